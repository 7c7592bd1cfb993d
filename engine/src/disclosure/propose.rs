//! What may leave instead of a candidate that was refused: computed, and reviewed like any candidate.

use super::audit::Limits;
use super::joint::{Proof, review};
use super::policy::{Policy, Requirement};
use super::release::{Chosen, Finding, Implied, Key, Reason, Release, imposed, masked_cells};
use super::slots::Slots;
use super::suppress::{Imposed, Suppression, suppress};
use super::system::{CellId, Incidence};
use super::table::Tables;
use crate::error::Result;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Times that what is still exposed is masked, and all reviewed again.
const ROUNDS: usize = 8;
/// Printed cells masked at once beside an exposed one whose margins are all masked.
const BESIDE: usize = 4;

/// What is meant to be published.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Data set and version.
    pub name: &'a str,
    /// Who is counted.
    pub population: &'a str,
    /// Reference date of the figures, `YYYY-MM-DD`.
    pub state: &'a str,
    /// The figures; linked with the tables of earlier releases of the same state, where there are some.
    pub tables: &'a Tables,
    /// What readers know of its levels and of earlier ones.
    pub implied: &'a [Implied],
    /// Which rows it counts.
    pub chosen: &'a [Chosen],
}

impl Candidate<'_> {
    /// Names of its cells, by number.
    pub fn keys(&self) -> Vec<Key> {
        let named = |cell| {
            let mut key = self.tables.key(cell);
            self.chosen.iter().for_each(|c| c.name(&mut key));
            key
        };
        (0..self.tables.cells.len() as CellId).map(named).collect()
    }

    /// What readers see of it.
    pub fn release(&self, masked: &[bool], policy: &Policy) -> Release {
        let floor = policy.floor(self.tables);
        let release = Release::of(self.name, self.population, self.state, self.tables, masked, floor);
        Release { keys: self.keys(), implied: self.implied.into(), chosen: self.chosen.into(), ..release }
    }
}

/// A way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The same cells at the same date, what was masked before still masked, and what subtraction gives
    /// away masked too.
    KeepMasks,
    /// The figures of the population's reference date, where earlier releases were counted.
    ReferenceDate(String),
    /// Without a level, or a dimension.
    Without(String),
}

/// What may leave: reviewed with all earlier releases, nothing found.
#[derive(Debug, Clone)]
pub struct Proposal {
    /// Which way.
    pub remedy: Remedy,
    /// The tables it is made of.
    pub tables: Tables,
    /// What to mask.
    pub suppression: Suppression,
    /// Cells that show their figure.
    pub shown: usize,
    /// Cells that are masked.
    pub masked: usize,
}

impl Proposal {
    /// For people.
    pub fn text(&self) -> String {
        let what = match &self.remedy {
            Remedy::KeepMasks => {
                "garder les masques antérieurs et masquer ce que la soustraction révèle".to_owned()
            }
            Remedy::ReferenceDate(date) => format!("publier à la date de référence {date}"),
            Remedy::Without(level) => format!("un zonage plus large, sans « {level} »"),
        };
        format!("{what} ({} cellules publiées, {} masquées)", self.shown, self.masked)
    }
}

/// The ways out that pass, the one that shows most cells first. `reference` is the same data set counted
/// at the reference date of earlier releases, when the caller can count it again.
///
/// # Errors
/// When the policy is not valid, or earlier releases contradict themselves.
pub fn propose(
    candidate: &Candidate,
    reference: Option<&Candidate>,
    policy: &Policy,
    earlier: &[Release],
    limits: &Limits,
    proofs: &[Proof<'_>],
) -> Result<Vec<Proposal>> {
    let mut found = Vec::new();
    let mut attempt = |remedy: Remedy, candidate: &Candidate| -> Result<bool> {
        let Some(suppression) = settle(candidate, policy, earlier, limits, proofs)? else { return Ok(false) };
        let masked = masked_cells(candidate.tables, &suppression.masked);
        let shown = candidate.tables.cells.iter().filter(|c| c.published).count() - masked;
        found.push(Proposal { remedy, tables: candidate.tables.clone(), suppression, shown, masked });
        Ok(true)
    };
    attempt(Remedy::KeepMasks, candidate)?;
    if let Some(reference) = reference {
        attempt(Remedy::ReferenceDate(reference.state.to_owned()), reference)?;
    }
    for level in candidate.tables.levels() {
        let tables = candidate.tables.without(level);
        attempt(Remedy::Without(level.to_owned()), &Candidate { tables: &tables, ..*candidate })?;
    }
    found.sort_by_key(|p| std::cmp::Reverse(p.shown));
    Ok(found)
}

/// Masks, reviews and masks what is still exposed, until nothing is; `proofs` are those of earlier releases. None when
/// that leads nowhere.
pub fn settle(
    candidate: &Candidate,
    policy: &Policy,
    earlier: &[Release],
    limits: &Limits,
    proofs: &[Proof<'_>],
) -> Result<Option<Suppression>> {
    let tables = candidate.tables;
    let rule = policy.uniform().of(tables.counts);
    let keys = candidate.keys();
    let truth: Vec<i64> = tables.cells.iter().map(|c| c.value).collect();
    let mut asked =
        imposed(tables, &keys, candidate.population, candidate.state, policy, earlier, candidate.implied);
    for _ in 0..ROUNDS {
        let suppression = suppress(tables, policy, &asked)?;
        if !suppression.unprotected.is_empty() {
            return Ok(None);
        }
        let release = candidate.release(&suppression.masked, policy);
        let own = Proof { state: candidate.state, keys: &keys, truth: &truth, suppression: &suppression };
        let proofs: Vec<Proof<'_>> = proofs.iter().copied().chain([own]).collect();
        let findings = review(&release, earlier, rule, limits, &proofs)?;
        if findings.is_empty() {
            return Ok(Some(suppression));
        }
        if findings.iter().any(|f| f.reason == Reason::Contradiction) {
            return Ok(None);
        }
        let more = around(candidate, &suppression.masked, &asked, &findings);
        if more.is_empty() {
            return Ok(None);
        }
        for cell in more {
            let value = tables.cells.get(cell as usize).map_or(0, |c| c.value);
            let at_least = value.saturating_add(rule.rise(value));
            asked.required.push(Requirement { cell, at_least, at_most: value });
        }
    }
    Ok(None)
}

/// Printed cells to mask so that what was found can no longer be computed: itself, else its margins,
/// else some of those that add up with it; of a cell of another release, those that say the same persons.
fn around(candidate: &Candidate, masked: &[bool], asked: &Imposed, findings: &[Finding]) -> BTreeSet<CellId> {
    let tables = candidate.tables;
    let numbers: HashMap<Key, CellId, FixedState> = candidate.keys().into_iter().zip(0..).collect();
    let incidence = Incidence::of(tables.cells.len(), &tables.relations);
    let printed = |c: CellId| {
        tables.cells.get(c as usize).is_some_and(|x| x.published)
            && !masked.at(c as usize)
            && !asked.fixed.contains(&c)
    };
    let mut out = BTreeSet::new();
    for finding in findings {
        let Some(cell) = numbers.get(&finding.cell).copied() else {
            let same = same_persons(&finding.cell, candidate.implied, &numbers);
            out.extend(same.into_iter().filter(|c| printed(*c)).take(BESIDE));
            continue;
        };
        if printed(cell) {
            out.insert(cell);
            continue;
        }
        let relations: Vec<_> = incidence
            .of_cell(cell)
            .iter()
            .filter_map(|(r, sign)| Some((tables.relations.get(*r as usize)?, *sign)))
            .collect();
        let above: Vec<CellId> =
            relations.iter().filter(|(_, s)| *s > 0).map(|(r, _)| r.parent).filter(|c| printed(*c)).collect();
        if above.is_empty() {
            let beside = relations.iter().flat_map(|(r, _)| &r.children).copied().filter(|c| printed(*c));
            out.extend(beside.take(BESIDE));
            let same = same_persons(&finding.cell, candidate.implied, &numbers);
            out.extend(same.into_iter().filter(|c| printed(*c)).take(BESIDE));
        }
        out.extend(above);
    }
    out
}

/// Cells, by name and number, that hold, or are held by, the persons of a cell named by levels that imply theirs; those
/// that cross most first.
fn same_persons(key: &Key, implied: &[Implied], numbers: &HashMap<Key, CellId, FixedState>) -> Vec<CellId> {
    let known: BTreeMap<&str, &str> = key.iter().map(|(l, c)| (l.as_str(), c.as_str())).collect();
    // Whether two cells can have a person in common, and by an implied level at least.
    let meets = |other: &Key| {
        let mut by = false;
        let agree = other.iter().all(|(level, code)| {
            if let Some(own) = known.get(level.as_str()) {
                return *own == code;
            }
            let up = implied.iter().filter_map(|i| {
                let own = known.get(i.fine.as_str()).filter(|_| i.coarse == *level)?;
                i.says(own)
            });
            let down = implied.iter().filter_map(|i| {
                let own = known.get(i.coarse.as_str()).filter(|_| i.fine == *level)?;
                i.says(code).map(|c| (c, own))
            });
            let mut said: Vec<bool> = up.map(|c| c == code).collect();
            said.extend(down.map(|(c, own)| c == own));
            by |= !said.is_empty();
            said.iter().all(|s| *s)
        });
        agree && by
    };
    let meeting = numbers.iter().filter(|(own, _)| meets(own));
    let mut found: Vec<(std::cmp::Reverse<usize>, CellId)> =
        meeting.map(|(own, c)| (std::cmp::Reverse(own.len()), *c)).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, c)| c).collect()
}
