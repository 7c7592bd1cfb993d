//! Splits raw batches into accepted records and quarantine, by one contract, for one delivery.
//! Judging is a function of the batch: batches may be judged in any order, on any thread. What
//! needs all records (keys, references) was settled before and is part of what is known.

use super::Reference;
use super::aggregate::{Partial, partial};
use super::column::{Fault, arrow_type, check, check_codes, from_days};
use super::composite;
use super::keys::{Claim, Loser, hash_key, hash64};
use super::references::{Found, References, reference_hash};
use super::repair::repaired;
use super::rule::Rules;
use crate::codes::Code;
use crate::contract::{ColumnType, Contract, Format, Partition, Personal, Repair};
use crate::domain::AnneeScolaire;
use crate::error::Result;
use crate::finding::{Finding, Severity};
use crate::source::{RawBatch, Request};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListBuilder, StringArray, StringBuilder,
    new_null_array,
};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Int64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Where each accepted record came from.
const ORIGIN: [(&str, DataType); 4] = [
    ("_file", DataType::Utf8),
    ("_line", DataType::Int64),
    ("_record", DataType::Int64),
    ("_byte", DataType::Int64),
];

/// Columns that a frame adds: what the contract does not name, and what a Delta asks for.
fn frame_fields(contract: &Contract, delta: bool) -> Vec<Field> {
    let mut out = Vec::new();
    if matches!(contract.input.format, Format::Aaf { .. } | Format::Xml { .. }) {
        out.push(Field::new("_extra", extra_type(), true));
    }
    if delta {
        out.push(Field::new("_request", DataType::Utf8, false));
        out.push(Field::new("_changed", DataType::new_list(DataType::Utf8, true), true));
    }
    out
}

fn extra_type() -> DataType {
    let entries = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::new_list(DataType::Utf8, true), true),
    ];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}

/// Columns of an accepted table: those of the contract but the partition's, then the frame's, then
/// the origin.
pub fn accepted_schema(contract: &Contract, delta: bool) -> SchemaRef {
    let skip = contract.partition_column();
    let columns = contract
        .columns
        .iter()
        .enumerate()
        .filter(|(i, _)| Some(*i) != skip)
        .map(|(_, c)| Field::new(&*c.name, arrow_type(c), true));
    let origin = ORIGIN.iter().map(|(n, t)| Field::new(*n, t.clone(), false));
    Arc::new(Schema::new(columns.chain(frame_fields(contract, delta)).chain(origin).collect::<Vec<_>>()))
}

/// Columns of a quarantine: every raw value as text, the origin, the codes and the raw record of
/// broken frames.
pub fn quarantine_schema(contract: &Contract, delta: bool) -> SchemaRef {
    let columns = contract.columns.iter().map(|c| Field::new(&*c.name, raw_type(c.kind), true));
    let origin = ORIGIN.iter().map(|(n, t)| Field::new(*n, t.clone(), false));
    let reasons = [
        Field::new("_codes", DataType::Utf8, false),
        Field::new("_columns", DataType::Utf8, false),
        Field::new("_raw", DataType::Utf8, true),
    ];
    Arc::new(Schema::new(
        columns.chain(frame_fields(contract, delta)).chain(origin).chain(reasons).collect::<Vec<_>>(),
    ))
}

fn raw_type(kind: ColumnType) -> DataType {
    if kind == ColumnType::List { DataType::new_list(DataType::Utf8, true) } else { DataType::Utf8 }
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
    /// Claims of the accepted records on their keys.
    pub claims: Vec<Claim>,
    /// Values that other tables may refer to: (target, hash, from, to).
    pub offered: Vec<(usize, u64, i32, i32)>,
    /// Repairs by column.
    pub repairs: BTreeMap<(usize, Repair), u64>,
    /// Summaries, one per aggregate of the contract.
    pub partials: Vec<Partial>,
    /// For wide files with a total: its sum and that of the parts, by measure column.
    pub totals: BTreeMap<usize, Totals>,
    /// Profile of the accepted records.
    pub profile: Vec<super::profile::ColumnPart>,
}

/// The total item of a wide file and the sum of the others, for one measure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Sum of the total item; `None` when no record has it.
    pub total: Option<i128>,
    /// Sum of the other items.
    pub parts: i128,
}

impl Totals {
    /// Adds another batch.
    pub fn add(&mut self, other: Totals) {
        self.total = [self.total, other.total].into_iter().flatten().reduce(|a, b| a + b);
        self.parts += other.parts;
    }
}

/// A column of this table that another one refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Columns that make the value, the main one last.
    pub columns: Vec<usize>,
    /// Date columns between which it holds.
    pub from: Option<usize>,
    /// Last day.
    pub to: Option<usize>,
}

/// What was settled before the judging: keys lost, values that may be referred to.
#[derive(Default)]
pub struct Known {
    /// Records that lose their key.
    pub losers: HashMap<u64, Loser>,
    /// For each column with a foreign key: the values of its target, when they are known.
    pub references: HashMap<usize, Arc<References>>,
    /// Keys of the present state, for a Delta.
    pub state: Option<Arc<References>>,
}

/// What a pass over the records is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Claims on keys are collected.
    pub claims: bool,
    /// Columns are profiled.
    pub profile: bool,
}

/// Judges the records of one table in one delivery.
pub struct Judge<'a> {
    contract: &'a Contract,
    reference: Reference<'a>,
    accepted_schema: SchemaRef,
    quarantine_schema: SchemaRef,
    /// Date columns first: codes are judged at them.
    order: Vec<usize>,
    rules: Rules,
    delta: bool,
    targets: Vec<Target>,
    wanted: Wanted,
    known: Known,
}

impl<'a> Judge<'a> {
    /// A judge who knows nothing of the other records yet.
    ///
    /// # Errors
    /// When a rule of the contract can no longer be read.
    pub fn new(contract: &'a Contract, reference: Reference<'a>, delta: bool) -> Result<Self> {
        let mut order: Vec<usize> = (0..contract.columns.len()).collect();
        order.sort_by_key(|i| contract.columns.get(*i).is_none_or(|c| c.kind != ColumnType::Date));
        Ok(Judge {
            contract,
            reference,
            accepted_schema: accepted_schema(contract, delta),
            quarantine_schema: quarantine_schema(contract, delta),
            order,
            rules: Rules::new(contract)?,
            delta,
            targets: Vec::new(),
            wanted: Wanted { claims: !contract.key.is_empty(), profile: false },
            known: Known::default(),
        })
    }

    /// With the columns that other tables refer to.
    pub fn offering(mut self, targets: Vec<Target>) -> Self {
        self.targets = targets;
        self
    }

    /// With what was settled before.
    pub fn knowing(mut self, known: Known, wanted: Wanted) -> Self {
        self.known = known;
        self.wanted = wanted;
        self
    }

    /// The contract it judges by.
    pub fn contract(&self) -> &'a Contract {
        self.contract
    }

    /// Columns that other tables refer to, in the order of [`Judged::offered`].
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Rows of a column that are not looked at: broken frames, and in a Delta what a request does
    /// not bring.
    fn skipped(&self, column: usize, raw: &RawBatch, broken: &[bool]) -> Vec<bool> {
        let mut skip = broken.to_vec();
        if self.contract.key.contains(&column) {
            return skip;
        }
        for (row, request) in raw.requests.iter().enumerate() {
            let absent = match request {
                Request::Add => false,
                Request::Delete => true,
                Request::Modify(named) => !named.contains(&column),
            };
            if let Some(s) = skip.get_mut(row).filter(|_| absent) {
                *s = true;
            }
        }
        skip
    }

    /// Judges a batch. `base` is the number of records of the table in the files before.
    ///
    /// # Errors
    /// Only when columns cannot be built, which no input causes.
    pub fn judge(&self, file: &Arc<str>, base: u64, raw: RawBatch) -> Result<Judged> {
        let rows = raw.len();
        let mut broken = vec![false; rows];
        for (row, _) in &raw.broken {
            if let Some(b) = broken.get_mut(*row) {
                *b = true;
            }
        }
        let mut faults: Vec<(usize, Fault)> = Vec::new();
        let mut typed: Vec<Option<ArrayRef>> = vec![None; raw.columns.len()];
        let mut repairs = BTreeMap::new();
        // Keys and references see values as they are repaired; quarantine keeps them as they came.
        let mut clean = raw.columns.clone();
        let mut found = Vec::new();
        for i in &self.order {
            let (Some(spec), Some(column)) = (self.contract.columns.get(*i), raw.columns.get(*i)) else {
                continue;
            };
            let (column, done) = repaired(spec, column);
            if let Some(slot) = clean.get_mut(*i).filter(|_| !done.is_empty()) {
                *slot = column.clone();
            }
            repairs.extend(done.into_iter().map(|(kind, n)| ((*i, kind), n)));
            let partly;
            let skip = if raw.requests.is_empty() {
                &broken
            } else {
                partly = self.skipped(*i, &raw, &broken);
                &partly
            };
            let array = check(spec, &column, skip, &mut found);
            if let Some(codes) = &spec.codes {
                let table = self.reference.nomenclatures.table(&codes.table);
                let dates = codes.at.and_then(|at| typed.get(at).cloned().flatten());
                let dates = dates.as_ref().and_then(|d| d.as_primitive_opt::<Date32Type>());
                let faulty: BTreeSet<usize> = found.iter().map(|f| f.row).collect();
                let mut bad_codes = Vec::new();
                check_codes(spec, table, &column, dates, self.reference.delivery_date, &mut bad_codes);
                found.extend(bad_codes.into_iter().filter(|f| !faulty.contains(&f.row)));
            }
            faults.extend(found.drain(..).map(|f| (*i, f)));
            if let Some(slot) = typed.get_mut(*i) {
                *slot = Some(array);
            }
        }
        let typed: Vec<ArrayRef> = typed.into_iter().flatten().collect();
        let mut bad = broken;
        let mark = |bad: &mut Vec<bool>, faults: &[(usize, Fault)]| {
            for (_, f) in faults.iter().filter(|(_, f)| f.rejects()) {
                if let Some(b) = bad.get_mut(f.row) {
                    *b = true;
                }
            }
        };
        mark(&mut bad, &faults);
        self.rules(&typed, rows, &bad, &mut faults)?;
        self.foreign_keys(&clean, &typed, &bad, &mut faults);
        self.targets_of_requests(&raw, &bad, &mut faults);
        mark(&mut bad, &faults);
        let years = self.years(&typed, &mut bad, &mut faults);
        self.spread(&raw, &mut bad);
        let claims = self.claims(base, &raw, &clean, &bad);
        self.losers(base, &raw, &clean, &mut bad, &mut faults);
        self.spread(&raw, &mut bad);

        faults.sort_by_key(|(column, f)| (f.row, *column));
        let no_column: Arc<str> = "".into();
        let items = raw.headers.as_ref().filter(|_| !faults.is_empty()).and_then(|_| self.items(&raw));
        let mut findings: Vec<(usize, Finding)> = raw.broken;
        for (column, f) in faults {
            let name = self.contract.columns.get(column).map_or(&no_column, |c| &c.name);
            // People look for the wide file's column, not for the table's.
            let header =
                raw.headers.as_ref().and_then(|h| h.get(&(items.as_ref()?.get(f.row)?.clone(), column)));
            let name = header.unwrap_or(name);
            let place = raw.places.get(f.row).copied().unwrap_or_default();
            let mut finding = Finding::new(f.code, place.origin(file, name), f.message);
            finding.severity = f.severity.unwrap_or(finding.severity);
            finding.rule = f.rule;
            findings.push((f.row, finding));
        }
        findings.sort_by_key(|(row, _)| *row);
        if self.contract.input.unpivot.is_some() {
            // What is wrong once in a line is wrong in each of its rows: told once.
            let mut told = BTreeSet::new();
            findings.retain(|(_, f)| {
                let key = matches!(f.code, Code::KeyDuplicate | Code::KeyConflict);
                let message = if key { String::new() } else { f.message.clone() };
                told.insert((f.origin.record, f.origin.column.clone(), f.code, message))
            });
        }

        let keep = BooleanArray::from(bad.iter().map(|b| !b).collect::<Vec<bool>>());
        let (read, accepted_count) = self.counts(&raw.places, &bad);
        let origin = origin_columns(file, &raw.places);
        let frame = self.frame_columns(rows, raw.extra.as_ref(), &raw.requests);
        let offered = self.offers(&typed, &keep);
        let partials = self.contract.aggregates.iter().map(|a| partial(a, &typed, &keep)).collect();
        let totals = self.totals(&typed, &keep);
        let profile = if self.wanted.profile {
            super::profile::parts(self.contract, &typed, &keep)
        } else {
            Vec::new()
        };
        let mut accepted = Vec::new();
        if accepted_count > 0 {
            let skip = self.contract.partition_column();
            let columns: Vec<ArrayRef> = typed
                .into_iter()
                .zip(&self.contract.columns)
                .enumerate()
                .filter(|(i, _)| Some(*i) != skip)
                .map(|(_, (a, spec))| composite::typed(spec, &a))
                .chain(frame.iter().cloned())
                .chain(origin.iter().cloned())
                .collect();
            let all = RecordBatch::try_new(self.accepted_schema.clone(), columns)?;
            let distinct: BTreeSet<AnneeScolaire> =
                years.iter().zip(&bad).filter(|(_, b)| !**b).filter_map(|(y, _)| *y).collect();
            let whole = distinct.len() == 1 && keep.true_count() == rows;
            for year in distinct {
                if whole {
                    accepted.push((year, all.clone()));
                    continue;
                }
                let mask: Vec<bool> = years.iter().zip(&bad).map(|(y, b)| !b && *y == Some(year)).collect();
                accepted.push((year, filter_record_batch(&all, &BooleanArray::from(mask))?));
            }
        }
        let rejected = match rows - keep.true_count() {
            0 => None,
            _ => {
                let drop = arrow::compute::not(&keep)?;
                let reasons = reason_columns(rows, &findings, &raw.raw);
                let columns = raw
                    .columns
                    .iter()
                    .chain(&frame)
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
            read,
            accepted_count,
            claims,
            offered,
            repairs,
            partials,
            totals,
            profile,
        })
    }

    /// Item of each row of a wide file.
    fn items(&self, raw: &RawBatch) -> Option<Vec<String>> {
        let column = raw.columns.get(self.contract.input.unpivot.as_ref()?.item)?.as_string_opt::<i32>()?;
        Some(column.iter().map(|v| v.unwrap_or_default().to_owned()).collect())
    }

    /// Rows of one wide record stand or fall together.
    fn spread(&self, raw: &RawBatch, bad: &mut [bool]) {
        if self.contract.input.unpivot.is_none() {
            return;
        }
        let fallen: BTreeSet<u64> =
            raw.places.iter().zip(bad.iter()).filter(|(_, b)| **b).map(|(p, _)| p.record).collect();
        for (place, b) in raw.places.iter().zip(bad) {
            *b |= fallen.contains(&place.record);
        }
    }

    /// Records read and accepted: rows, or lines of a wide file.
    fn counts(&self, places: &[crate::source::Place], bad: &[bool]) -> (u64, u64) {
        if self.contract.input.unpivot.is_none() {
            return (bad.len() as u64, bad.iter().filter(|b| !**b).count() as u64);
        }
        let first =
            |i: usize| i == 0 || places.get(i).map(|p| p.record) != places.get(i - 1).map(|p| p.record);
        let records = (0..bad.len()).filter(|i| first(*i));
        records
            .fold((0, 0), |(read, accepted), i| (read + 1, accepted + u64::from(bad.get(i) == Some(&false))))
    }

    fn rules(
        &self,
        typed: &[ArrayRef],
        rows: usize,
        bad: &[bool],
        faults: &mut Vec<(usize, Fault)>,
    ) -> Result<()> {
        let broken = self.rules.broken(self.contract, typed, rows)?;
        for (rule, rows) in self.contract.rules.iter().zip(broken) {
            // On a record with a wrong value a rule says nothing more.
            for row in rows.into_iter().filter(|r| bad.get(*r) == Some(&false)) {
                let fault = Fault {
                    severity: Some(rule.severity),
                    rule: Some(rule.name.clone()),
                    ..Fault::new(row, Code::Rule, rule.message.clone())
                };
                faults.push((rule.column, fault));
            }
        }
        Ok(())
    }

    fn foreign_keys(
        &self,
        clean: &[ArrayRef],
        typed: &[ArrayRef],
        bad: &[bool],
        faults: &mut Vec<(usize, Fault)>,
    ) {
        for (i, spec) in self.contract.columns.iter().enumerate() {
            let (Some(key), Some(known)) = (&spec.references, self.known.references.get(&i)) else {
                continue;
            };
            let with: Vec<&StringArray> = key
                .with
                .iter()
                .filter_map(|w| clean.get(*w))
                .filter_map(|c| c.as_string_opt::<i32>())
                .collect();
            let days = key.at.and_then(|at| typed.get(at)).and_then(|d| d.as_primitive_opt::<Date32Type>());
            let judge = |row: usize, value: &str| -> Option<Fault> {
                let value = key.part.map_or(Some(value), |p| value.split('$').nth(p)).unwrap_or("");
                if value.is_empty() {
                    return None;
                }
                let parts =
                    with.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }).chain([value]);
                let day = days.filter(|d| d.is_valid(row)).map(|d| d.value(row));
                let (code, message) = match known.find(reference_hash(parts), day) {
                    Found::Yes => return None,
                    Found::No => (Code::ReferenceUnknown, format!("absent de {}.{}", key.table, key.column)),
                    Found::Closed => (
                        Code::ReferenceClosed,
                        format!("présent dans {}.{}, à d'autres dates", key.table, key.column),
                    ),
                };
                Some(Fault { severity: Some(key.severity), ..Fault::new(row, code, message) })
            };
            let Some(column) = clean.get(i) else { continue };
            for row in (0..bad.len()).filter(|r| bad.get(*r) == Some(&false) && column.is_valid(*r)) {
                let fault = if let Some(list) = column.as_list_opt::<i32>() {
                    let values = list.value(row);
                    values.as_string_opt::<i32>().and_then(|v| v.iter().flatten().find_map(|v| judge(row, v)))
                } else {
                    column.as_string_opt::<i32>().and_then(|c| judge(row, c.value(row)))
                };
                faults.extend(fault.map(|f| (i, f)));
            }
        }
    }

    /// A modification or a deletion is about somebody whom the state knows.
    fn targets_of_requests(&self, raw: &RawBatch, bad: &[bool], faults: &mut Vec<(usize, Fault)>) {
        let (Some(state), Some(key)) = (&self.known.state, self.contract.key.first().copied()) else {
            return;
        };
        let Some(keys) = raw.columns.get(key).and_then(|c| c.as_string_opt::<i32>()) else { return };
        for (row, request) in raw.requests.iter().enumerate().filter(|(_, r)| **r != Request::Add) {
            if bad.get(row) == Some(&false)
                && keys.is_valid(row)
                && state.find(reference_hash(std::iter::once(keys.value(row))), None) == Found::No
            {
                let what = if *request == Request::Delete { "suppression" } else { "modification" };
                let message = format!("{what} d'un enregistrement que l'état ne connaît pas");
                faults.push((key, Fault::new(row, Code::DeltaTarget, message)));
            }
        }
    }

    /// Values of the accepted records that other tables refer to.
    fn offers(&self, typed: &[ArrayRef], keep: &BooleanArray) -> Vec<(usize, u64, i32, i32)> {
        let mut out = Vec::new();
        for (n, target) in self.targets.iter().enumerate() {
            let columns: Vec<&StringArray> = target
                .columns
                .iter()
                .filter_map(|c| typed.get(*c))
                .filter_map(|c| c.as_string_opt::<i32>())
                .collect();
            if columns.len() != target.columns.len() {
                continue;
            }
            let date = |c: Option<usize>| {
                c.and_then(|c| typed.get(c)).and_then(|c| c.as_primitive_opt::<Date32Type>())
            };
            let (from, to) = (date(target.from), date(target.to));
            let day = |d: Option<&arrow::array::Date32Array>, row: usize, none: i32| {
                d.filter(|d| d.is_valid(row)).map_or(none, |d| d.value(row))
            };
            for row in (0..keep.len()).filter(|r| keep.value(*r)) {
                let parts = columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" });
                out.push((n, reference_hash(parts), day(from, row, i32::MIN), day(to, row, i32::MAX)));
            }
        }
        out
    }

    /// The total item of a wide file against the sum of the others, by integer measure.
    fn totals(&self, typed: &[ArrayRef], keep: &BooleanArray) -> BTreeMap<usize, Totals> {
        let mut out: BTreeMap<usize, Totals> = BTreeMap::new();
        let unpivot = self.contract.input.unpivot.as_ref();
        let Some((unpivot, total)) = unpivot.and_then(|u| Some((u, u.total.as_ref()?))) else { return out };
        let Some(items) = typed.get(unpivot.item).and_then(|c| c.as_string_opt::<i32>()) else { return out };
        for (i, column) in typed.iter().enumerate() {
            let Some(values) = column.as_primitive_opt::<Int64Type>() else { continue };
            if self.contract.columns.get(i).is_none_or(|c| c.kind != ColumnType::Integer) {
                continue;
            }
            let sums = out.entry(i).or_default();
            for row in (0..keep.len()).filter(|r| keep.value(*r) && values.is_valid(*r) && items.is_valid(*r))
            {
                let value = i128::from(values.value(row));
                match items.value(row) == total {
                    true => sums.total = Some(sums.total.unwrap_or(0) + value),
                    false => sums.parts += value,
                }
            }
        }
        out
    }

    fn frame_columns(&self, rows: usize, extra: Option<&ArrayRef>, requests: &[Request]) -> Vec<ArrayRef> {
        let mut out: Vec<ArrayRef> = Vec::new();
        if matches!(self.contract.input.format, Format::Aaf { .. } | Format::Xml { .. }) {
            out.push(extra.cloned().unwrap_or_else(|| new_null_array(&extra_type(), rows)));
        }
        if self.delta {
            let (mut verbs, mut changed) = (StringBuilder::new(), ListBuilder::new(StringBuilder::new()));
            for row in 0..rows {
                match requests.get(row) {
                    Some(Request::Modify(named)) => {
                        verbs.append_value("modify");
                        let names = named
                            .iter()
                            .filter_map(|c| self.contract.columns.get(*c))
                            .map(|c| Some(&*c.name));
                        changed.append_value(names);
                    }
                    Some(Request::Delete) => {
                        verbs.append_value("delete");
                        changed.append_null();
                    }
                    _ => {
                        verbs.append_value("add");
                        changed.append_null();
                    }
                }
            }
            out.push(Arc::new(verbs.finish()));
            out.push(Arc::new(changed.finish()));
        }
        out
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
                faults.push((column, Fault::new(row, Code::PartitionUnknown, message)));
            }
            years.push(year);
        }
        years
    }

    /// Only records that are otherwise right claim their keys.
    fn claims(&self, base: u64, raw: &RawBatch, clean: &[ArrayRef], bad: &[bool]) -> Vec<Claim> {
        let columns = self.key_columns(clean);
        if !self.wanted.claims || columns.is_empty() {
            return Vec::new();
        }
        let texts: Vec<Option<&StringArray>> = raw.columns.iter().map(|c| c.as_string_opt::<i32>()).collect();
        let mut claims = Vec::with_capacity(bad.len());
        let mut list_text = String::new();
        for row in (0..bad.len()).filter(|r| bad.get(*r) == Some(&false)) {
            let key = hash_key(columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }));
            list_text.clear();
            for list in raw.columns.iter().filter_map(|c| c.as_list_opt::<i32>()).filter(|l| l.is_valid(row))
            {
                let values = list.value(row);
                for v in values.as_string_opt::<i32>().into_iter().flatten().flatten() {
                    list_text.push_str(v);
                    list_text.push('\u{1F}');
                }
                list_text.push('\u{1E}');
            }
            let content = texts.iter().map(|t| t.filter(|t| t.is_valid(row)).map_or("", |t| t.value(row)));
            let request = match raw.requests.get(row) {
                Some(Request::Delete) => "delete",
                Some(Request::Modify(_)) => "modify",
                _ => "add",
            };
            let content = hash64(3, content.chain([list_text.as_str(), request]));
            let ordinal = base + raw.places.get(row).map_or(0, |p| p.record);
            claims.push(Claim { key, content, ordinal });
        }
        claims
    }

    fn key_columns<'r>(&self, clean: &'r [ArrayRef]) -> Vec<&'r StringArray> {
        self.contract
            .key
            .iter()
            .filter_map(|k| clean.get(*k))
            .filter_map(|c| c.as_string_opt::<i32>())
            .collect()
    }

    /// Records that an earlier pass found to share a key.
    fn losers(
        &self,
        base: u64,
        raw: &RawBatch,
        clean: &[ArrayRef],
        bad: &mut [bool],
        faults: &mut Vec<(usize, Fault)>,
    ) {
        let Some(first_column) = self.contract.key.first().copied().filter(|_| !self.known.losers.is_empty())
        else {
            return;
        };
        let columns = self.key_columns(clean);
        for (row, flag) in bad.iter_mut().enumerate() {
            let ordinal = base + raw.places.get(row).map_or(0, |p| p.record);
            let Some(why) = self.known.losers.get(&ordinal) else { continue };
            if *flag {
                continue;
            }
            *flag = true;
            let key = self.key_shown(columns.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }));
            let (code, message) = match why {
                Loser::Copy(first) => (
                    Code::KeyDuplicate,
                    format!("clé ({key}) déjà portée par l'enregistrement n° {first}, identique"),
                ),
                Loser::Conflict(first) => (
                    Code::KeyConflict,
                    format!(
                        "clé ({key}) portée par des enregistrements qui diffèrent, dont le n° {first} : aucun n'est repris"
                    ),
                ),
            };
            faults.push((first_column, Fault::new(row, code, message)));
        }
    }

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
        Arc::new(StringArray::new_repeated(&**file, places.len())),
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
                .filter(|f| f.severity >= Severity::Error)
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
