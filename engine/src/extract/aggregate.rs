//! Group-bys, in polars: each snapshot is reduced on its own, then the reductions are added.

use super::dataset::{Dataset, MeasureKind};
use super::table::Cube;
use crate::error::{Error, Result};
use crate::run::Counts;
use crate::store::{Snapshot, Store, current, read_batches};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use cartulaire_bridge::{to_array, to_frame};
use chrono::NaiveDate;
use polars::prelude::{Column, DataFrame, Expr, IntoLazy, JoinArgs, JoinType, col, len, lit};
use std::collections::{BTreeMap, BTreeSet};

/// The filled cells of a dataset with all their margins, the records that made them, and the
/// snapshots that hold these.
///
/// # Errors
/// When the store fails.
pub fn aggregate(store: &Store, dataset: &Dataset, date: NaiveDate) -> Result<(Cube, Counts, Vec<String>)> {
    let all = store.ledger.snapshots(&dataset.table)?;
    let mut current = current(&all, dataset.snapshot, date);
    if dataset.latest_year_only {
        let last = current.iter().map(|s| s.annee_scolaire.clone()).max();
        current.retain(|s| Some(&s.annee_scolaire) == last.as_ref());
    }
    let total: u64 = all.iter().map(|s| s.rows.unsigned_abs()).sum();
    let mut cells: BTreeMap<Vec<String>, u64> = BTreeMap::new();
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
    let sources = current.iter().map(|s| s.path.clone()).collect();
    Ok((Cube::with_totals(dataset.dimension_names().len(), &cells), counts, sources))
}

fn reduce(
    store: &Store,
    dataset: &Dataset,
    (emitter, year): (&str, &str),
    parts: &[&Snapshot],
    date: NaiveDate,
    cells: &mut BTreeMap<Vec<String>, u64>,
) -> Result<u64> {
    let brought: Vec<&String> = dataset.join.iter().flat_map(|j| &j.columns).collect();
    let mut columns: BTreeSet<&str> = dataset.key.iter().map(String::as_str).collect();
    columns.extend(
        dataset
            .dimensions
            .iter()
            .map(|d| d.column.as_str())
            .filter(|c| !brought.iter().any(|b| b.as_str() == *c)),
    );
    columns.extend(dataset.join.iter().map(|j| j.left.as_str()));
    columns.extend(dataset.measure.column.iter().chain(dataset.exclude.keys()).map(String::as_str));
    // The school year is in the path, not in the file.
    let columns: Vec<&str> = columns.into_iter().filter(|c| *c != "annee_scolaire").collect();
    let Some(frame) = load(store, parts, &columns)? else { return Ok(0) };
    let keys: Vec<Expr> =
        dataset.key.iter().filter(|k| columns.contains(&k.as_str())).map(|k| col(k.as_str())).collect();
    let others: Vec<Expr> =
        columns.iter().filter(|c| !dataset.key.iter().any(|k| k == *c)).map(|c| col(*c).last()).collect();
    let mut records = frame.lazy().group_by_stable(keys).agg(others);
    for (column, values) in &dataset.exclude {
        for value in values {
            records = records.filter(col(column.as_str()).neq_missing(lit(value.as_str())));
        }
    }
    if let Some(join) = &dataset.join {
        let other = store.ledger.snapshots(&join.table)?;
        let same_sender = other.iter().any(|s| s.emitter == emitter);
        let same_year: Vec<Snapshot> = other
            .into_iter()
            .filter(|s| s.annee_scolaire == year && (!same_sender || s.emitter == emitter))
            .collect();
        let parts = crate::store::current(&same_year, true, date);
        let mut columns: Vec<&str> = join.columns.iter().map(String::as_str).collect();
        columns.push(&join.right);
        let Some(right) = load(store, &parts, &columns)? else { return Ok(0) };
        // One line per joined key: a school delivered twice must not count its pupils twice.
        let brought: Vec<Expr> = join.columns.iter().map(|c| col(c.as_str()).last()).collect();
        let right = right.lazy().group_by_stable([col(join.right.as_str())]).agg(brought);
        records = records.join(
            right,
            [col(join.left.as_str())],
            [col(join.right.as_str())],
            JoinArgs::new(JoinType::Inner),
        );
    }
    let records = records.collect()?;
    let counted = records.height() as u64;
    let by: Vec<Expr> = dataset.dimensions.iter().map(|d| col(d.column.as_str())).collect();
    let value = match (dataset.measure.kind, &dataset.measure.column) {
        (MeasureKind::Sum, Some(column)) => col(column.as_str()).sum(),
        _ => len() * lit(1_i64),
    };
    let values = records.lazy().group_by_stable(&by).agg([value.alias("_value")]).collect()?;
    add(&values, dataset, cells)?;
    Ok(counted)
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
        let array = if f.data_type() == &DataType::Date32 { cast(a, &DataType::Utf8)? } else { a.clone() };
        Ok((f.name().clone(), array))
    });
    let batch = RecordBatch::try_from_iter(texts.collect::<Result<Vec<(String, ArrayRef)>>>()?)?;
    Ok(Some(to_frame(&batch)?))
}

fn add(frame: &DataFrame, dataset: &Dataset, cells: &mut BTreeMap<Vec<String>, u64>) -> Result<()> {
    let array = |name: &str, kind: &DataType| -> Result<ArrayRef> {
        let column: &Column = frame.column(name)?;
        Ok(cast(&to_array(column.as_materialized_series())?, kind)?)
    };
    let dimensions: Vec<ArrayRef> =
        dataset.dimensions.iter().map(|d| array(&d.column, &DataType::Utf8)).collect::<Result<_>>()?;
    let dimensions: Vec<&StringArray> = dimensions.iter().map(|d| d.as_string()).collect();
    let values = array("_value", &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    for row in 0..values.len() {
        let codes =
            dimensions.iter().map(|d| if d.is_valid(row) { safe_code(d.value(row)) } else { "_Z".into() });
        let codes: Vec<String> = codes.collect();
        let value = u64::try_from(values.value(row))
            .map_err(|_| Error::Corrupt(format!("jeu {} : valeur négative", dataset.name)))?;
        if value > 0 {
            *cells.entry(codes).or_default() += value;
        }
    }
    Ok(())
}

/// A code that no spreadsheet takes for a formula and no reader for a total (OWASP: CSV injection).
fn safe_code(code: &str) -> String {
    let clean: String = code.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let risky = clean.starts_with(['=', '+', '-', '@', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}'])
        || clean == super::table::TOTAL;
    if risky { format!("'{clean}") } else { clean }
}
