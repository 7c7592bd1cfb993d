//! Splits raw batches into accepted records and quarantine, by one contract, for one delivery.

use super::Reference;
use super::column::{Fault, arrow_type, check, check_codes, from_days};
use super::keys::KeySet;
use crate::codes::Code;
use crate::contract::{ColumnType, Contract, Partition, Personal};
use crate::domain::AnneeScolaire;
use crate::error::Result;
use crate::finding::{Finding, Severity};
use crate::source::RawBatch;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, StringArray, StringBuilder};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Where each accepted record came from.
const ORIGIN: [(&str, DataType); 4] = [
    ("_file", DataType::Utf8),
    ("_line", DataType::Int64),
    ("_record", DataType::Int64),
    ("_byte", DataType::Int64),
];

/// Columns of an accepted table: those of the contract but the partition's, then the origin.
pub fn accepted_schema(contract: &Contract) -> SchemaRef {
    let skip = contract.partition_column();
    let columns = contract
        .columns
        .iter()
        .enumerate()
        .filter(|(i, _)| Some(*i) != skip)
        .map(|(_, c)| Field::new(&*c.name, arrow_type(c.kind), true));
    let origin = ORIGIN.iter().map(|(n, t)| Field::new(*n, t.clone(), false));
    Arc::new(Schema::new(columns.chain(origin).collect::<Vec<_>>()))
}

/// Columns of a quarantine: every raw value as text, the origin, the codes and the raw record of
/// broken frames.
pub fn quarantine_schema(contract: &Contract) -> SchemaRef {
    let columns = contract.columns.iter().map(|c| {
        let kind = if c.kind == ColumnType::List { arrow_type(ColumnType::List) } else { DataType::Utf8 };
        Field::new(&*c.name, kind, true)
    });
    let origin = ORIGIN.iter().map(|(n, t)| Field::new(*n, t.clone(), false));
    let reasons = [
        Field::new("_codes", DataType::Utf8, false),
        Field::new("_columns", DataType::Utf8, false),
        Field::new("_raw", DataType::Utf8, true),
    ];
    Arc::new(Schema::new(columns.chain(origin).chain(reasons).collect::<Vec<_>>()))
}

/// What a batch became.
pub struct Judged {
    /// Accepted records by school year.
    pub accepted: Vec<(AnneeScolaire, RecordBatch)>,
    /// Rejected records with their reasons.
    pub rejected: Option<RecordBatch>,
    /// Findings, in the order of records and columns.
    pub findings: Vec<Finding>,
    /// Records in the batch; always accepted + rejected.
    pub read: u64,
    /// Records accepted.
    pub accepted_count: u64,
}

/// Judges the files of one table in one delivery.
pub struct Validator<'a> {
    contract: &'a Contract,
    reference: Reference<'a>,
    keys: KeySet,
    accepted_schema: SchemaRef,
    quarantine_schema: SchemaRef,
    /// Date columns first: codes are judged at them.
    order: Vec<usize>,
    records_before: u64,
}

impl<'a> Validator<'a> {
    /// A validator with no key seen yet.
    pub fn new(contract: &'a Contract, reference: Reference<'a>) -> Self {
        let mut order: Vec<usize> = (0..contract.columns.len()).collect();
        order.sort_by_key(|i| contract.columns.get(*i).is_none_or(|c| c.kind != ColumnType::Date));
        Validator {
            contract,
            reference,
            keys: KeySet::default(),
            accepted_schema: accepted_schema(contract),
            quarantine_schema: quarantine_schema(contract),
            order,
            records_before: 0,
        }
    }

    /// The contract it judges by.
    pub fn contract(&self) -> &'a Contract {
        self.contract
    }

    /// Ends a file of `records` records; keys of the next file must differ from those already seen.
    pub fn end_file(&mut self, records: u64) {
        self.records_before += records;
    }

    /// Judges a batch.
    ///
    /// # Errors
    /// Only when columns cannot be built, which no input causes.
    pub fn judge(&mut self, file: &Arc<str>, raw: RawBatch) -> Result<Judged> {
        let rows = raw.len();
        let mut broken = vec![false; rows];
        for (row, _) in &raw.broken {
            if let Some(b) = broken.get_mut(*row) {
                *b = true;
            }
        }
        let mut faults: Vec<(usize, Fault)> = Vec::new();
        let mut typed: Vec<Option<ArrayRef>> = vec![None; raw.columns.len()];
        let mut found = Vec::new();
        for i in &self.order {
            let (Some(spec), Some(column)) = (self.contract.columns.get(*i), raw.columns.get(*i)) else {
                continue;
            };
            let array = check(spec, column, &broken, &mut found);
            if let Some(codes) = &spec.codes {
                let table = self.reference.nomenclatures.table(&codes.table);
                let dates = codes.at.and_then(|at| typed.get(at).cloned().flatten());
                let dates = dates.as_ref().and_then(|d| d.as_primitive_opt::<Date32Type>());
                let faulty: BTreeSet<usize> = found.iter().map(|f| f.row).collect();
                let mut bad_codes = Vec::new();
                check_codes(spec, table, column, dates, self.reference.delivery_date, &mut bad_codes);
                found.extend(bad_codes.into_iter().filter(|f| !faulty.contains(&f.row)));
            }
            faults.extend(found.drain(..).map(|f| (*i, f)));
            if let Some(slot) = typed.get_mut(*i) {
                *slot = Some(array);
            }
        }
        let typed: Vec<ArrayRef> = typed.into_iter().flatten().collect();
        let mut bad = broken;
        for (_, f) in &faults {
            if let Some(b) = bad.get_mut(f.row) {
                *b = true;
            }
        }
        let years = self.years(&typed, &mut bad, &mut faults);
        self.claim_keys(&raw, &mut bad, &mut faults);

        faults.sort_by_key(|(column, f)| (f.row, *column));
        let no_column: Arc<str> = "".into();
        let mut findings: Vec<(usize, Finding)> = raw.broken;
        for (column, f) in faults {
            let name = self.contract.columns.get(column).map_or(&no_column, |c| &c.name);
            let place = raw.places.get(f.row).copied().unwrap_or_default();
            findings.push((f.row, Finding::new(f.code, place.origin(file, name), f.message)));
        }
        findings.sort_by_key(|(row, _)| *row);

        let origin = origin_columns(file, &raw.places);
        let keep = BooleanArray::from_iter(bad.iter().map(|b| Some(!b)));
        let accepted_count = keep.true_count();
        let mut accepted = Vec::new();
        if accepted_count > 0 {
            let skip = self.contract.partition_column();
            let columns: Vec<ArrayRef> = typed
                .into_iter()
                .enumerate()
                .filter(|(i, _)| Some(*i) != skip)
                .map(|(_, a)| a)
                .chain(origin.iter().cloned())
                .collect();
            let all = RecordBatch::try_new(self.accepted_schema.clone(), columns)?;
            let distinct: BTreeSet<AnneeScolaire> =
                years.iter().zip(&bad).filter(|(_, b)| !**b).filter_map(|(y, _)| *y).collect();
            for year in distinct {
                let mask = BooleanArray::from_iter(
                    years.iter().zip(&bad).map(|(y, b)| Some(!b && *y == Some(year))),
                );
                accepted.push((year, filter_record_batch(&all, &mask)?));
            }
        }
        let rejected = match rows - accepted_count {
            0 => None,
            _ => {
                let drop = arrow::compute::not(&keep)?;
                let reasons = reason_columns(rows, &findings, &raw.raw);
                let columns = raw
                    .columns
                    .iter()
                    .chain(&origin)
                    .chain(&reasons)
                    .map(|c| filter(c, &drop))
                    .collect::<Result<Vec<_>, _>>()?;
                Some(RecordBatch::try_new(self.quarantine_schema.clone(), columns)?)
            }
        };
        Ok(Judged {
            accepted,
            rejected,
            findings: findings.into_iter().map(|(_, f)| f).collect(),
            read: rows as u64,
            accepted_count: accepted_count as u64,
        })
    }

    /// School year of each record; a record without one cannot be filed, nor ever become due.
    fn years(
        &self,
        typed: &[ArrayRef],
        bad: &mut [bool],
        faults: &mut Vec<(usize, Fault)>,
    ) -> Vec<Option<AnneeScolaire>> {
        let calendar = self.reference.calendar;
        let fixed = calendar.year_of(self.reference.delivery_date);
        let mut last: Option<(i32, Option<AnneeScolaire>)> = None;
        let mut years = Vec::with_capacity(bad.len());
        for (row, flag) in bad.iter_mut().enumerate() {
            let (column, year) = match self.contract.partition {
                Partition::Delivery => (usize::MAX, fixed),
                Partition::YearColumn(i) => {
                    let text = typed
                        .get(i)
                        .and_then(|a| a.as_string_opt::<i32>())
                        .filter(|a: &&StringArray| a.is_valid(row));
                    let year = text.and_then(|a| AnneeScolaire::parse(a.value(row)));
                    (i, year.filter(|y| calendar.end_of(*y).is_some()))
                }
                Partition::DateColumn(i) => {
                    let date = typed
                        .get(i)
                        .and_then(|a| a.as_primitive_opt::<Date32Type>())
                        .filter(|a| a.is_valid(row));
                    let year = date.map(|a| a.value(row)).and_then(|d| match last {
                        Some((day, year)) if day == d => year,
                        _ => {
                            let year = from_days(d).and_then(|d| calendar.year_of(d));
                            last = Some((d, year));
                            year
                        }
                    });
                    (i, year)
                }
            };
            if year.is_none() && !*flag {
                *flag = true;
                let message =
                    "le calendrier scolaire ne connaît pas l'année de cet enregistrement".to_owned();
                faults.push((column, Fault { row, code: Code::PartitionUnknown, message }));
            }
            years.push(year);
        }
        years
    }

    /// Only accepted records take keys: the first right one keeps it.
    fn claim_keys(&mut self, raw: &RawBatch, bad: &mut [bool], faults: &mut Vec<(usize, Fault)>) {
        let columns: Vec<&StringArray> = self
            .contract
            .key
            .iter()
            .filter_map(|k| raw.columns.get(*k))
            .filter_map(|c| c.as_string_opt::<i32>())
            .collect();
        let Some(first_column) = self.contract.key.first().copied() else { return };
        for (row, flag) in bad.iter_mut().enumerate().filter(|(_, b)| !**b) {
            let parts = columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" });
            let record = self.records_before + raw.places.get(row).map_or(0, |p| p.record);
            if let Some(first) = self.keys.claim(parts, record) {
                *flag = true;
                let message = format!(
                    "clé ({}) déjà portée par l'enregistrement n° {first} de la livraison",
                    self.key_shown(columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }))
                );
                faults.push((first_column, Fault { row, code: Code::KeyDuplicate, message }));
            }
        }
    }
}

impl Validator<'_> {
    /// Names of the key's columns, with the values that say nothing about people.
    fn key_shown<'v>(&self, values: impl Iterator<Item = &'v str>) -> String {
        let specs = self.contract.key.iter().filter_map(|k| self.contract.columns.get(*k));
        let parts = specs.zip(values).map(|(spec, value)| match spec.personal {
            Personal::None if value.chars().count() <= 40 => format!("{} = {value}", spec.name),
            _ => spec.name.to_string(),
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

fn origin_columns(file: &Arc<str>, places: &[crate::source::Place]) -> [ArrayRef; 4] {
    let number = |f: fn(&crate::source::Place) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(places.iter().map(|p| i64::try_from(f(p)).unwrap_or(i64::MAX))))
    };
    [
        Arc::new(StringArray::from_iter_values(std::iter::repeat_n(&**file, places.len()))),
        number(|p| p.line),
        number(|p| p.record),
        number(|p| p.byte),
    ]
}

/// Codes and columns of each row's rejecting findings, and the raw text of broken frames.
fn reason_columns(rows: usize, findings: &[(usize, Finding)], raw: &[(usize, String)]) -> [ArrayRef; 3] {
    let (mut codes, mut columns, mut texts) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut rest = findings;
    let mut raw = raw.iter().peekable();
    for row in 0..rows {
        let count = rest.iter().take_while(|(r, _)| *r == row).count();
        let (mine, after) = rest.split_at(count);
        rest = after;
        let join = |text: fn(&Finding) -> &str| {
            mine.iter()
                .map(|(_, f)| f)
                .filter(|f| f.severity != Severity::Warning)
                .map(text)
                .collect::<Vec<_>>()
                .join(",")
        };
        codes.append_value(join(|f| f.code.as_str()));
        columns.append_value(join(|f| &f.origin.column));
        texts.append_option(raw.next_if(|(r, _)| *r == row).map(|(_, t)| t));
        while raw.next_if(|(r, _)| *r == row).is_some() {}
    }
    [Arc::new(codes.finish()), Arc::new(columns.finish()), Arc::new(texts.finish())]
}
