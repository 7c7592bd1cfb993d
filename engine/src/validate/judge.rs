//! Splits raw batches into accepted records and quarantine, by one contract, for one delivery.
//! Judging is a function of the batch: batches may be judged in any order, on any thread. What
//! needs all records (keys, references) was settled before and is part of what is known.

use super::Reference;
use super::aggregate::{Partial, partial};
use super::coded::{Coded, coded_columns};
use super::column::{Fault, Raw, check, check_codes, from_days};
use super::composite;
use super::keys::{Claim, Loser};
use super::overlap::{Period, periods};
use super::references::References;
use super::repair::repaired;
use super::rule::Rules;
use super::schema::{accepted_schema, frame_columns, origin_columns, quarantine_schema, reason_columns};
use super::visits::{VisitsPartial, partial as hits, unreadable};
use crate::codes::Code;
use crate::contract::{ColumnType, Contract, Partition, Repair};
use crate::domain::AnneeScolaire;
use crate::error::Result;
use crate::finding::Finding;
use crate::source::{RawBatch, Request};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{Date32Type, Int64Type, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

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
    /// Hits, one set per visits section of the contract.
    pub hits: Vec<VisitsPartial>,
    /// For wide files with a total: its sum and that of the parts, by measure column.
    pub totals: BTreeMap<usize, Totals>,
    /// Periods that may not overlap, by spec of the contract.
    pub periods: Vec<Vec<Period>>,
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
    pub(super) contract: &'a Contract,
    pub(super) reference: Reference<'a>,
    accepted_schema: SchemaRef,
    quarantine_schema: SchemaRef,
    /// Date columns first: codes are judged at them.
    order: Vec<usize>,
    /// Columns whose values are numbered.
    coded: BTreeSet<usize>,
    rules: Rules,
    delta: bool,
    pub(super) targets: Vec<Target>,
    pub(super) wanted: Wanted,
    pub(super) known: Known,
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
            coded: coded_columns(contract),
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

    /// Judges a batch. `base` is the number of records of the table in the files before, `base_file`
    /// the number of those files.
    ///
    /// # Errors
    /// Only when columns cannot be built, which no input causes.
    pub fn judge(&self, file: &Arc<str>, base: u64, base_file: usize, raw: RawBatch) -> Result<Judged> {
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
        let mut coded: Vec<Option<Coded>> = raw.columns.iter().map(|_| None).collect();
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
            if let (Some(slot), Some(text)) = (coded.get_mut(*i), column.as_string_opt::<i32>())
                && self.coded.contains(i)
            {
                *slot = Some(Coded::of(text));
            }
            let values = Raw { values: &column, coded: coded.get(*i).and_then(Option::as_ref) };
            let array = check(spec, values, skip, &mut found);
            if let Some(codes) = &spec.codes {
                let table = self.reference.nomenclatures.table(&codes.table);
                let dates = codes.at.and_then(|at| typed.get(at).cloned().flatten());
                let dates = dates.as_ref().and_then(|d| d.as_primitive_opt::<Date32Type>());
                let faulty: BTreeSet<usize> = found.iter().map(|f| f.row).collect();
                let mut bad_codes = Vec::new();
                let or = codes.or.and_then(|o| raw.columns.get(o)).and_then(|c| c.as_string_opt::<i32>());
                check_codes(spec, table, values, dates, or, self.reference.delivery_date, &mut bad_codes);
                self.drop_local(*i, codes.local, &clean, &mut bad_codes);
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
        let years = self.years(&typed, &mut bad, &mut faults);
        self.rules(&typed, rows, &bad, &mut faults)?;
        self.instants(&typed, &bad, &mut faults);
        mark(&mut bad, &faults);
        self.losers(base, &raw, &clean, &mut bad, &mut faults);
        self.spread(&raw, &mut bad);
        self.foreign_keys(&clean, &typed, &bad, &mut faults);
        self.targets_of_requests(&raw, &bad, &mut faults);
        self.counted(&clean, &typed, &bad, &mut faults);
        mark(&mut bad, &faults);
        self.spread(&raw, &mut bad);
        let claims = self.claims(base, &raw, &clean, &bad);

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
        let frame = frame_columns(self.contract, self.delta, rows, raw.extra.as_ref(), &raw.requests);
        let offered = self.offers(&typed, &keep);
        let partials = self.contract.aggregates.iter().map(|a| partial(a, &typed, &coded, &keep)).collect();
        let hits = self.contract.visits.iter().map(|v| hits(v, &typed, &keep)).collect();
        let totals = self.totals(&typed, &keep);
        let file_number = u16::try_from(base_file).unwrap_or(u16::MAX);
        let periods = self
            .contract
            .overlaps
            .iter()
            .map(|o| periods(o, &typed, &keep, &raw.places, file_number))
            .collect();
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
            // Neighbours share their year: nearly every look is at the last one.
            let mut distinct: Vec<AnneeScolaire> = Vec::new();
            for (year, _) in years.iter().zip(&bad).filter(|(_, b)| !**b) {
                if let Some(year) = year.filter(|y| distinct.last() != Some(y) && !distinct.contains(y)) {
                    distinct.push(year);
                }
            }
            distinct.sort_unstable();
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
            hits,
            totals,
            periods,
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

    /// A text that has the form of an instant and is none (a 30th of February) makes no visit.
    fn instants(&self, typed: &[ArrayRef], bad: &[bool], faults: &mut Vec<(usize, Fault)>) {
        let mut seen = BTreeSet::new();
        for spec in self.contract.visits.iter().filter(|v| seen.insert(v.at)) {
            for row in unreadable(spec, typed).into_iter().filter(|r| bad.get(*r) == Some(&false)) {
                let message =
                    "instant réel attendu, en temps universel, comme 2026-01-05T07:30:00Z".to_owned();
                faults.push((spec.at, Fault::new(row, Code::TypeDate, message)));
            }
        }
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
}
