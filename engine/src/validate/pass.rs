//! One pass over the files of a lot: what its tables collect, and the rows on their way to disk.

use super::aggregate::Aggregate;
use super::assort::{Lot, Unit};
use super::delivery::{FileResult, LotResult, Offered, Shelf, TableResult, Terms};
use super::file::{FileOutcome, Means, Sink, validate_file};
use super::judge::{Judge, Judged, Totals};
use super::keys::{KeyLog, Loser};
use super::log::FindingLog;
use super::overlap::overlapping;
use super::profile::{ColumnPart, profiles};
use super::references::References;
use super::visits::Visits;
use crate::codes::Code;
use crate::contract::{Contract, Repair};
use crate::domain::AnneeScolaire;
use crate::error::Result;
use crate::finding::{Finding, Origin};
use crate::french::{count, thousands};
use crate::source::{ArchiveLimits, Delivered, each_member};
use crate::store::{Encoded, PartWriter, Spill};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a table collects during a pass.
struct TableState {
    outcome: FileOutcome,
    log: FindingLog,
    writers: BTreeMap<Option<AnneeScolaire>, PartWriter>,
    keys: KeyLog,
    offered: Vec<References>,
    repairs: BTreeMap<(usize, Repair), u64>,
    aggregates: Vec<Aggregate>,
    visits: Vec<Visits>,
    totals: BTreeMap<usize, Totals>,
    profile: Vec<ColumnPart>,
    periods: Vec<Spill<42>>,
}

pub(super) struct Pass<'p> {
    shelf: &'p mut dyn Shelf,
    contracts: Vec<&'p Contract>,
    tables: Vec<TableState>,
    files: Vec<FileResult>,
}

impl<'p> Pass<'p> {
    pub(super) fn new<'a: 'p>(judges: &[Judge<'a>], terms: &Terms<'_>, shelf: &'p mut dyn Shelf) -> Self {
        let state = |j: &Judge<'a>| TableState {
            outcome: FileOutcome::default(),
            log: FindingLog::new(terms.max_findings),
            writers: BTreeMap::new(),
            keys: KeyLog::default(),
            offered: vec![References::default(); j.targets().len()],
            repairs: BTreeMap::new(),
            aggregates: j.contract().aggregates.iter().map(Aggregate::new).collect(),
            visits: j.contract().visits.iter().map(Visits::new).collect(),
            totals: BTreeMap::new(),
            profile: Vec::new(),
            periods: j.contract().overlaps.iter().map(|_| Spill::default()).collect(),
        };
        let contracts = judges.iter().map(Judge::contract).collect();
        Pass { shelf, contracts, tables: judges.iter().map(state).collect(), files: Vec::new() }
    }

    pub(super) fn run(&mut self, lot: &Lot<'_>, judges: &[Judge<'_>], means: Means) -> Result<()> {
        for same in lot.units.chunk_by(|a, b| a.path == b.path) {
            let Some(first) = same.first() else { continue };
            let mut said = Vec::new();
            let outcome = each_member(&first.path, &ArchiveLimits::default(), &mut |member, input| {
                let Some(unit) = same.iter().find(|u| u.member.as_deref().is_none_or(|m| m == member)) else {
                    return Ok(());
                };
                let number = self.files.len() + said.len();
                let bases: Vec<u64> = self.tables.iter().map(|t| t.outcome.read).collect();
                let shown = unit.shown();
                let path = unit.member.is_none().then_some(unit.path.as_path());
                let delivered = Delivered { name: &shown, input, path, delta: lot.delta };
                let file = validate_file(judges, delivered, &bases, number, means, self)?;
                let mut total = FileOutcome::default();
                for (table, outcome) in self.tables.iter_mut().zip(&file.tables) {
                    table.outcome.add(*outcome);
                    total.add(*outcome);
                }
                said.push((unit.clone(), total, file.metadata));
                Ok(())
            })?;
            for refusal in outcome.refusals {
                let file = Unit { member: None, ..first.clone() }.shown();
                let origin = Origin { file: file.into(), ..Origin::default() };
                self.finding(0, Finding::new(refusal.code, origin, refusal.message));
                self.tables.iter_mut().for_each(|t| t.outcome.refused = true);
            }
            let sha256 = outcome.sha256;
            self.files.extend(said.into_iter().map(|(unit, outcome, metadata)| FileResult {
                unit,
                sha256,
                outcome,
                metadata,
            }));
        }
        Ok(())
    }

    /// Whether a file could not be read to its end.
    pub(super) fn refused(&self) -> bool {
        self.tables.iter().any(|t| t.outcome.refused)
    }

    /// Records that lose their keys, by table.
    pub(super) fn settle(&mut self) -> Result<Vec<HashMap<u64, Loser>>> {
        self.tables.iter_mut().map(|t| std::mem::take(&mut t.keys).settle()).collect()
    }

    pub(super) fn finish<'a>(
        mut self,
        lot: &Lot<'a>,
        judges: &[Judge<'a>],
        unchecked: &[(String, usize, String)],
        offered: &mut Offered,
    ) -> Result<LotResult<'a>> {
        let mut tables = Vec::new();
        for ((contract, judge), mut state) in
            lot.contracts.iter().zip(judges).zip(std::mem::take(&mut self.tables))
        {
            let name = |i: usize| contract.columns.get(i).map_or_else(|| Arc::from(""), |c| c.name.clone());
            for ((column, kind), n) in &state.repairs {
                let origin = Origin { column: name(*column), ..Origin::default() };
                let message =
                    format!("{} : {}", count(*n, "valeur réparée", "valeurs réparées"), kind.french());
                state.log.add(Finding::new(Code::Repaired, origin, message));
            }
            for (column, sums) in &state.totals {
                let Some(total) = sums.total.filter(|t| *t != sums.parts) else { continue };
                let origin = Origin { column: name(*column), ..Origin::default() };
                let gap = u64::try_from((total - sums.parts).unsigned_abs()).unwrap_or(u64::MAX);
                let message = format!(
                    "le total dépasse ou n'atteint pas la somme des parts : écart de {}",
                    thousands(gap)
                );
                state.log.add(Finding::new(Code::TotalGap, origin, message));
            }
            for (spec, periods) in contract.overlaps.iter().zip(std::mem::take(&mut state.periods)) {
                for (file, place) in overlapping(periods)? {
                    let shown =
                        self.files.get(usize::from(file)).map_or_else(String::new, |f| f.unit.shown());
                    let origin = place.origin(&shown.as_str().into(), &name(spec.from));
                    let found = Finding::new(Code::Overlap, origin, spec.message.as_str());
                    state.log.add(Finding { rule: Some(spec.name.clone()), ..found });
                }
            }
            let unchecked = unchecked.iter().filter(|(t, _, _)| *t == contract.name);
            let unchecked =
                unchecked.map(|(_, column, table)| (name(*column).to_string(), table.clone())).collect();
            for (target, set) in judge.targets().iter().zip(state.offered) {
                offered.insert((contract.name.clone(), target.clone()), Arc::new(set));
            }
            let mut parts = Vec::new();
            for (year, writer) in state.writers {
                let (rows, digest) = writer.finish()?;
                parts.push((year, rows, digest));
            }
            let summaries = contract
                .aggregates
                .iter()
                .zip(state.aggregates)
                .map(|(spec, a)| Ok((spec.name.clone(), a.finish(contract)?)));
            let column = |i: usize| contract.columns.get(i).map_or("", |c| &*c.name);
            let visits = contract.visits.iter().zip(state.visits);
            let visits = visits.map(|(spec, v)| Ok((spec.name.clone(), v.finish(&column)?)));
            let aggregates = summaries.chain(visits).collect::<Result<Vec<_>>>()?;
            tables.push(TableResult {
                contract,
                outcome: state.outcome,
                log: state.log,
                parts,
                aggregates,
                profile: profiles(contract, state.profile),
                unchecked,
            });
        }
        Ok(LotResult { files: self.files, tables })
    }

    fn write(&mut self, table: usize, year: Option<AnneeScolaire>, rows: Encoded) -> Result<()> {
        use std::collections::btree_map::Entry;
        let (Some(state), Some(contract)) = (self.tables.get_mut(table), self.contracts.get(table)) else {
            return Ok(());
        };
        if !self.shelf.wants_rows() {
            return Ok(());
        }
        let writer = match state.writers.entry(year) {
            Entry::Occupied(e) => e.into_mut(),
            Entry::Vacant(e) => e.insert(self.shelf.writer(contract, year, rows.schema().clone())?),
        };
        writer.append(rows)
    }
}

impl Sink for Pass<'_> {
    fn wants_rows(&self) -> bool {
        self.shelf.wants_rows()
    }

    fn accepted(&mut self, table: usize, year: AnneeScolaire, rows: Encoded) -> Result<()> {
        self.write(table, Some(year), rows)
    }

    fn rejected(&mut self, table: usize, rows: Encoded) -> Result<()> {
        self.write(table, None, rows)
    }

    fn finding(&mut self, table: usize, finding: Finding) {
        if let Some(state) = self.tables.get_mut(table) {
            state.log.add(finding);
        }
    }

    fn side(&mut self, table: usize, judged: Judged) -> Result<()> {
        let Some(state) = self.tables.get_mut(table) else { return Ok(()) };
        judged.claims.into_iter().try_for_each(|c| state.keys.add(c))?;
        for (target, hash, from, to) in judged.offered {
            if let Some(set) = state.offered.get_mut(target) {
                set.add(hash, from, to);
            }
        }
        for (key, n) in judged.repairs {
            *state.repairs.entry(key).or_default() += n;
        }
        for (aggregate, part) in state.aggregates.iter_mut().zip(judged.partials) {
            aggregate.add(part)?;
        }
        for (visits, part) in state.visits.iter_mut().zip(judged.hits) {
            visits.add(part)?;
        }
        for (column, sums) in judged.totals {
            state.totals.entry(column).or_default().add(sums);
        }
        for (spill, periods) in state.periods.iter_mut().zip(judged.periods) {
            periods.into_iter().try_for_each(|p| spill.add(p))?;
        }
        if state.profile.is_empty() {
            state.profile = judged.profile;
        } else {
            state.profile.iter_mut().zip(judged.profile).for_each(|(a, b)| a.merge(b));
        }
        Ok(())
    }
}
