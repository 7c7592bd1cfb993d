//! Group-bys, in polars: each snapshot is reduced on its own, then the reductions are added.

use super::contributors::Contributors;
use super::dataset::{Dataset, Dimension, Join};
use super::levels::first;
use super::load::YEAR;
use super::table::Figures;
use crate::error::{Error, Result};
use crate::run::Counts;
use crate::store::{Snapshot, Store, current, read_batches};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Decimal128Type, Int64Type};
use arrow::record_batch::RecordBatch;
use cartulaire_bridge::{to_array, to_frame};
use chrono::NaiveDate;
use polars::prelude::{
    Column, DataFrame, DataType as PolarsType, Expr, IntoLazy, JoinArgs, JoinType, LazyFrame, col, len, lit,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The filled cells of a dataset.
pub struct Aggregated {
    /// Figures of each crossing of the finest codes.
    pub inner: BTreeMap<Vec<String>, Figures>,
    /// Records that made them.
    pub counts: Counts,
    /// Snapshots that hold these.
    pub sources: Vec<String>,
    /// State of the population: day of the last delivery among them.
    pub state: String,
    /// The latest school year.
    pub year: String,
}

/// Counts a dataset.
///
/// # Errors
/// When the store fails.
pub fn aggregate(store: &Store, dataset: &Dataset, date: NaiveDate) -> Result<Aggregated> {
    let all = store.ledger.snapshots(&dataset.table)?;
    let mut current = current(&all, dataset.snapshot, date);
    if dataset.latest_year_only {
        let last = current.iter().map(|s| s.annee_scolaire.clone()).max();
        current.retain(|s| Some(&s.annee_scolaire) == last.as_ref());
    }
    let total: u64 = all.iter().map(|s| s.rows.unsigned_abs()).sum();
    let mut cells = Cells { plain: BTreeMap::new(), persons: Contributors::of(dataset) };
    let mut counted = 0;
    // A later delivery of the same record replaces it, and keys belong to their sender: records of
    // one sender and school year are seen together.
    let groups: BTreeSet<(&str, &str)> =
        current.iter().map(|s| (s.emitter.as_str(), s.annee_scolaire.as_str())).collect();
    for (emitter, year) in groups {
        let parts: Vec<&Snapshot> =
            current.iter().filter(|s| s.emitter == emitter && s.annee_scolaire == year).copied().collect();
        counted += reduce(store, dataset, (emitter, year), &parts, date, &mut cells)?;
    }
    let counts = Counts { read: total, accepted: counted, excluded: total - counted, ..Counts::default() };
    let last = |f: fn(&Snapshot) -> &String| current.iter().map(|s| f(s)).max().cloned().unwrap_or_default();
    Ok(Aggregated {
        inner: cells.finish(dataset)?,
        counts,
        sources: current.iter().map(|s| s.path.clone()).collect(),
        state: last(|s| &s.delivery_date),
        year: last(|s| &s.annee_scolaire),
    })
}

fn reduce(
    store: &Store,
    dataset: &Dataset,
    (emitter, year): (&str, &str),
    parts: &[&Snapshot],
    date: NaiveDate,
    cells: &mut Cells,
) -> Result<u64> {
    let joins: Vec<Join> = dataset.join.iter().cloned().collect();
    let brought = |c: &str| joins.iter().any(|j| j.columns.iter().any(|b| b == c));
    let own = dataset.dimensions.iter().map(|d| d.column.as_str()).filter(|c| !brought(c));
    let measure = &dataset.measure;
    let measured = measure.column.iter().chain(&measure.contributor).chain(&measure.contributors);
    let own: BTreeSet<&str> = own.chain(measured.map(String::as_str)).collect();
    let Some(mut records) = records(store, dataset, (emitter, year), parts, date, &own, &joins, false)?
    else {
        return Ok(0);
    };
    // Nobody knows what a missing amount is: its person is not counted beside those of others.
    if let Some(column) = &measure.column {
        records = records.filter(col(column.as_str()).is_not_null());
    }
    if let Some((column, end)) = dataset.end(date) {
        // A period that is not over would be published again with a few persons more. Days are text here.
        let own = col(column.as_str()).cast(PolarsType::String);
        let length = end.chars().count() as u64;
        records = records.filter(own.str().slice(lit(0_i64), lit(length)).lt(lit(end)));
    }
    let records = records.collect()?;
    let counted = records.height() as u64;
    // Two dimensions may be of one column.
    let by: BTreeSet<&str> = dataset
        .dimensions
        .iter()
        .map(|d| &d.column)
        .chain(&measure.contributor)
        .map(String::as_str)
        .filter(|c| *c != YEAR)
        .collect();
    let by: Vec<Expr> = by.into_iter().map(col).collect();
    let value = match &measure.column {
        Some(column) => col(column.as_str()).cast(PolarsType::Int64).sum(),
        None => len() * lit(1_i64),
    };
    let persons = match &measure.contributors {
        Some(column) => col(column.as_str()).cast(PolarsType::Int64).max().fill_null(lit(0_i64)),
        None => lit(0_i64),
    };
    let found = records.lazy().group_by_stable(&by).agg([value.alias("_value"), persons.alias("_persons")]);
    cells.add(&found.collect()?, dataset, (emitter, year))?;
    Ok(counted)
}

/// The records of one sender and school year that a dataset counts, once each: their key, the columns `own`, and
/// those that `joins` bring; with `all`, those that it does not count too, and `_joined_N` where the join `N` found
/// something. None when there are none.
#[expect(clippy::too_many_arguments, reason = "what is read, and how much of it")]
pub(super) fn records(
    store: &Store,
    dataset: &Dataset,
    (emitter, year): (&str, &str),
    parts: &[&Snapshot],
    date: NaiveDate,
    own: &BTreeSet<&str>,
    joins: &[Join],
    all: bool,
) -> Result<Option<LazyFrame>> {
    let mut columns: BTreeSet<&str> = dataset.key.iter().map(String::as_str).collect();
    columns.extend(own);
    columns.extend(joins.iter().chain(&dataset.join).map(|j| j.left.as_str()));
    columns.extend(dataset.exclude.keys().chain(dataset.only.keys()).map(String::as_str));
    // The school year is in the path, not in the file.
    let columns: Vec<&str> = columns.into_iter().filter(|c| *c != YEAR).collect();
    let Some(frame) = load(store, parts, &columns)? else { return Ok(None) };
    let keys: Vec<Expr> =
        dataset.key.iter().filter(|k| columns.contains(&k.as_str())).map(|k| col(k.as_str())).collect();
    let others: Vec<Expr> =
        columns.iter().filter(|c| !dataset.key.iter().any(|k| k == *c)).map(|c| col(*c).last()).collect();
    let mut records = frame.lazy().group_by_stable(keys).agg(others);
    for (column, values) in dataset.exclude.iter().filter(|_| !all) {
        for value in values {
            let text = col(column.as_str()).cast(PolarsType::String);
            records = records.filter(text.neq_missing(lit(value.as_str())));
        }
    }
    for (column, values) in dataset.only.iter().filter(|_| !all) {
        let text = || col(column.as_str()).cast(PolarsType::String);
        let any = values.iter().map(|v| text().eq_missing(lit(v.as_str()))).reduce(Expr::or);
        records = records.filter(any.unwrap_or(lit(false)));
    }
    for (number, join) in joins.iter().enumerate() {
        let other = store.ledger.snapshots(&join.table)?;
        let same_sender = other.iter().any(|s| s.emitter == emitter);
        let same_year: Vec<Snapshot> = other
            .into_iter()
            .filter(|s| s.annee_scolaire == year && (!same_sender || s.emitter == emitter))
            .collect();
        let parts = crate::store::current(&same_year, true, date);
        let mut columns: Vec<&str> = join.columns.iter().map(String::as_str).collect();
        columns.push(&join.right);
        let Some(right) = load(store, &parts, &columns)? else { return Ok(None) };
        // One line per joined key: a school delivered twice must not count its pupils twice.
        let mut brought: Vec<Expr> = join.columns.iter().map(|c| col(c.as_str()).last()).collect();
        brought.extend(all.then(|| len().gt(lit(0_u32)).alias(format!("_joined_{number}"))));
        let right = right.lazy().group_by_stable([col(join.right.as_str())]).agg(brought);
        records = records.join(
            right,
            [col(join.left.as_str())],
            [col(join.right.as_str())],
            JoinArgs::new(if all { JoinType::Left } else { JoinType::Inner }),
        );
    }
    Ok(Some(records))
}

/// Cells being filled: by record, or by contributor where the measure names them.
struct Cells {
    plain: BTreeMap<Vec<String>, Figures>,
    persons: Contributors,
}

/// Chosen columns of several snapshots, dates as text.
fn load(store: &Store, parts: &[&Snapshot], columns: &[&str]) -> Result<Option<DataFrame>> {
    let mut batches: Vec<RecordBatch> = Vec::new();
    for part in parts {
        for batch in read_batches(&store.snapshot_path(part)?, Some(columns))? {
            batches.push(batch?);
        }
    }
    let Some(schema) = batches.first().map(RecordBatch::schema) else { return Ok(None) };
    let all = concat_batches(&schema, &batches)?;
    let fields = schema.fields().iter().zip(all.columns());
    let texts = fields.map(|(f, a)| {
        let array: ArrayRef = match f.data_type() {
            DataType::Date32 => cast(a, &DataType::Utf8)?,
            // In units of the last decimal.
            DataType::Decimal128(..) => {
                Arc::new(a.as_primitive::<Decimal128Type>().try_unary::<_, Int64Type, Error>(|v| {
                    i64::try_from(v).map_err(|_| Error::Corrupt(format!("{} : montant trop grand", f.name())))
                })?)
            }
            _ => a.clone(),
        };
        Ok((f.name().clone(), array))
    });
    let batch = RecordBatch::try_from_iter(texts.collect::<Result<Vec<(String, ArrayRef)>>>()?)?;
    Ok(Some(to_frame(&batch)?))
}

impl Cells {
    fn add(&mut self, frame: &DataFrame, dataset: &Dataset, (emitter, year): (&str, &str)) -> Result<()> {
        let array = |name: &str, kind: &DataType| -> Result<ArrayRef> {
            let column: &Column = frame.column(name)?;
            Ok(cast(&to_array(column.as_materialized_series())?, kind)?)
        };
        let rows = frame.height();
        let codes = |d: &Dimension| -> Result<ArrayRef> {
            if d.column == YEAR {
                return Ok(Arc::new(StringArray::from_iter_values(std::iter::repeat_n(year, rows))));
            }
            array(&d.column, &DataType::Utf8)
        };
        let dimensions: Vec<ArrayRef> = dataset.dimensions.iter().map(codes).collect::<Result<_>>()?;
        let dimensions: Vec<&StringArray> = dimensions.iter().map(|d| d.as_string()).collect();
        let contributor = &dataset.measure.contributor;
        let contributor = contributor.as_ref().map(|c| array(c, &DataType::Utf8)).transpose()?;
        let contributor: Option<&StringArray> = contributor.as_ref().map(|c| c.as_string());
        let values = array("_value", &DataType::Int64)?;
        let values = values.as_primitive::<Int64Type>();
        let persons = array("_persons", &DataType::Int64)?;
        let persons = persons.as_primitive::<Int64Type>();
        for row in 0..values.len() {
            let code = |(array, d): (&&StringArray, &Dimension)| match array.is_valid(row) {
                true => safe_code(first(array.value(row), d.prefix)),
                false => "_Z".into(),
            };
            let codes: Vec<String> = dimensions.iter().zip(&dataset.dimensions).map(code).collect();
            let value = values.value(row);
            if let Some(who) = contributor {
                let who = who.is_valid(row).then(|| who.value(row));
                self.persons.add(codes, (emitter, who), value);
                continue;
            }
            let value = u64::try_from(value)
                .map_err(|_| Error::Corrupt(format!("jeu {} : valeur négative", dataset.name)))?;
            if dataset.measure.contributors.is_some() {
                // The same persons may come back from row to row. What nobody is said to make, somebody made.
                let persons = u64::try_from(persons.value(row)).unwrap_or(0).max(u64::from(value > 0));
                let cell = self.plain.entry(codes).or_default();
                cell.sum = cell.sum.saturating_add(value);
                cell.value = cell.value.max(persons);
            } else if value > 0 {
                self.plain.entry(codes).or_default().add(Figures::value(value));
            }
        }
        Ok(())
    }

    fn finish(self, dataset: &Dataset) -> Result<BTreeMap<Vec<String>, Figures>> {
        if dataset.measure.contributor.is_some() { self.persons.finish(dataset) } else { Ok(self.plain) }
    }
}

/// A code that no spreadsheet takes for a formula and no reader for a total (OWASP: CSV injection).
pub(super) fn safe_code(code: &str) -> String {
    let clean: String = code.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let risky = clean.starts_with(['=', '+', '-', '@', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}'])
        || clean == super::table::TOTAL;
    if risky { format!("'{clean}") } else { clean }
}
