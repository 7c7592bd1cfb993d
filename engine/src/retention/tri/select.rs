//! The steps of a plan, in their order, over a population.

use super::plan::{WholeKind, WitnessYears};
use super::population::{Facts, Population};
use super::score::{Score, Scorer, seed};
use super::size::allocate;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;

/// Why a record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Takes no part in the tri.
    Excluded,
    /// Somebody chose it.
    Qualitative,
    /// Drawn among its type.
    Specimen,
    /// Its type is unknown.
    KindUnknown,
    /// A launch year.
    LaunchYear,
    /// An exceptional year.
    ExceptionalYear,
    /// A witness year, or drawn in one.
    WitnessYear,
    /// Its school year is unknown.
    YearUnknown,
    /// Surname letter.
    Surname,
    /// Its surname letter is unknown.
    SurnameUnknown,
    /// Systematic sample.
    Systematic,
    /// Random sample.
    Random,
    /// Stratified sample.
    Stratified,
    /// Its stratum is unknown.
    StratumUnknown,
}

impl Reason {
    /// Every reason, in the order of the steps.
    pub const ALL: [Reason; 14] = [
        Reason::Excluded,
        Reason::Qualitative,
        Reason::Specimen,
        Reason::KindUnknown,
        Reason::LaunchYear,
        Reason::ExceptionalYear,
        Reason::WitnessYear,
        Reason::YearUnknown,
        Reason::Surname,
        Reason::SurnameUnknown,
        Reason::Systematic,
        Reason::Random,
        Reason::Stratified,
        Reason::StratumUnknown,
    ];

    /// Name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Excluded => "excluded",
            Reason::Qualitative => "qualitative",
            Reason::Specimen => "specimen",
            Reason::KindUnknown => "kind_unknown",
            Reason::LaunchYear => "launch_year",
            Reason::ExceptionalYear => "exceptional_year",
            Reason::WitnessYear => "witness_year",
            Reason::YearUnknown => "year_unknown",
            Reason::Surname => "surname",
            Reason::SurnameUnknown => "surname_unknown",
            Reason::Systematic => "systematic",
            Reason::Random => "random",
            Reason::Stratified => "stratified",
            Reason::StratumUnknown => "stratum_unknown",
        }
    }

    /// For people.
    pub fn french(self) -> &'static str {
        match self {
            Reason::Excluded => "hors du tri",
            Reason::Qualitative => "choix qualitatif",
            Reason::Specimen => "spécimen (non représentatif)",
            Reason::KindUnknown => "type inconnu",
            Reason::LaunchYear => "année de lancement",
            Reason::ExceptionalYear => "année exceptionnelle",
            Reason::WitnessYear => "année témoin",
            Reason::YearUnknown => "année scolaire inconnue",
            Reason::Surname => "lettre du nom",
            Reason::SurnameUnknown => "lettre du nom inconnue",
            Reason::Systematic => "tirage systématique",
            Reason::Random => "tirage au sort",
            Reason::Stratified => "tirage au sort par strate",
            Reason::StratumUnknown => "strate inconnue",
        }
    }

    pub(super) fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What the seed is made of, besides the population.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// Number of the elimination request. Another population is another request.
    pub number: &'a str,
    /// A value that the producer could neither know nor choose when the root was recorded.
    pub public_value: &'a str,
}

/// What a step did. Fields in alphabetical order, as in the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Records that no step before had kept.
    pub added: u64,
    /// Records that the step looked at.
    pub considered: u64,
    /// Records that it keeps.
    pub kept: u64,
    /// A [`Reason`].
    pub method: String,
    /// For a draw, its strata: one without name when the draw has none.
    pub strata: Vec<StratumCount>,
}

impl Step {
    /// For people.
    pub fn french(&self) -> &str {
        match Reason::ALL.into_iter().find(|r| r.as_str() == self.method) {
            Some(reason) => reason.french(),
            None => &self.method,
        }
    }
}

/// Draw in a stratum, in units: a person, or a record of nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StratumCount {
    /// Units drawn.
    pub drawn: u64,
    /// Values of the columns.
    pub stratum: Vec<String>,
    /// Units there are.
    pub units: u64,
}

/// What a plan keeps of a population.
#[derive(Debug)]
pub struct Sample<'p> {
    pub(super) population: &'p Population,
    pub(super) request: Request<'p>,
    pub(super) seed: [u8; 32],
    /// Reasons of each record, one bit each; 0 may go.
    pub(super) marks: Vec<u16>,
    /// Steps, in order.
    pub steps: Vec<Step>,
}

/// A draw: whose records, in which strata, how many.
struct Lot<'a> {
    reason: Reason,
    /// A person is drawn once, in the stratum of the last school year; otherwise once a stratum.
    once: bool,
    /// Stratum of a record; `None` keeps it out of the draw.
    stratum: &'a dyn Fn(&Facts) -> Option<usize>,
    /// Values of a stratum.
    label: &'a dyn Fn(usize) -> Vec<String>,
    /// Units to draw, from the units of each stratum.
    sizes: &'a dyn Fn(&[u64]) -> Vec<u64>,
}

impl Population {
    /// Carries out the plan.
    ///
    /// # Errors
    /// `TRI_REQUEST` when the request number or the public value is empty or not printable.
    pub fn draw<'a>(&'a self, request: Request<'a>) -> Result<Sample<'a>> {
        for text in [request.number, request.public_value] {
            if text.trim().is_empty() || text.chars().any(char::is_control) {
                return Err(Error::Refused {
                    code: "TRI_REQUEST",
                    message: "le tri demande un numéro de demande et une valeur publique, sans caractère de contrôle".into(),
                });
            }
        }
        let seed = seed(&self.root, request.number, request.public_value);
        let mut sample =
            Sample { population: self, request, seed, marks: vec![0; self.records.len()], steps: Vec::new() };
        sample.carry_out();
        Ok(sample)
    }
}

/// At most that many in each stratum.
fn each(n: u64, sizes: &[u64]) -> Vec<u64> {
    sizes.iter().map(|s| n.min(*s)).collect()
}

impl<'p> Sample<'p> {
    fn carry_out(&mut self) {
        let p = self.population;
        let plan = &p.plan;
        self.criterion(Reason::Excluded, |r| r.excluded.is_some());
        self.criterion(Reason::Qualitative, |r| r.qualitative.is_some());
        if let Some(n) = plan.specimen_per_type {
            let known = |r: &Facts| !p.kinds.text(Some(r.kind)).is_empty();
            self.criterion(Reason::KindUnknown, |r| !known(r));
            self.lot(&Lot {
                reason: Reason::Specimen,
                once: false,
                stratum: &|r| Some(r.kind),
                label: &|n| vec![p.kinds.text(Some(n)).to_owned()],
                sizes: &|sizes| each(n.get().into(), sizes),
            });
        }
        let start = |r: &Facts| p.starts.get(r.year).copied().flatten();
        if !plan.whole_years.is_empty() || plan.witness_years.is_some() {
            self.criterion(Reason::YearUnknown, |r| start(r).is_none());
        }
        for (kind, reason) in
            [(WholeKind::Launch, Reason::LaunchYear), (WholeKind::Exceptional, Reason::ExceptionalYear)]
        {
            let of_kind = || plan.whole_years.iter().filter(|w| w.kind == kind);
            if of_kind().next().is_some() {
                self.criterion(reason, |r| {
                    of_kind().any(|w| w.years.iter().any(|y| *y == p.years.text(Some(r.year))))
                });
            }
        }
        if let Some(witness) = &plan.witness_years {
            let included = |r: &Facts| start(r).is_some_and(|y| witness.includes(y));
            self.witness(witness, &included);
        }
        if let Some(surname) = &plan.surname {
            self.criterion(Reason::SurnameUnknown, |r| r.initial.is_none());
            self.criterion(Reason::Surname, |r| r.initial.is_some_and(|c| surname.letters.contains(&c)));
        }
        if let Some(k) = plan.systematic_one_in {
            self.systematic(k);
        }
        if let Some(size) = &plan.random {
            self.lot(&Lot {
                reason: Reason::Random,
                once: true,
                stratum: &|_| Some(0),
                label: &|_| Vec::new(),
                sizes: &|sizes| sizes.iter().map(|s| size.of(*s)).collect(),
            });
        }
        if let Some(stratified) = &plan.stratified {
            let label = |n: usize| p.strata.list.get(n).cloned().unwrap_or_default();
            let unknown: Vec<bool> = p.strata.list.iter().map(|s| s.iter().any(String::is_empty)).collect();
            self.criterion(Reason::StratumUnknown, |r| unknown.get(r.stratum).copied().unwrap_or(true));
            self.lot(&Lot {
                reason: Reason::Stratified,
                once: true,
                stratum: &|r| Some(r.stratum),
                label: &label,
                sizes: &|sizes| {
                    allocate(stratified.size.of(sizes.iter().sum()), sizes, stratified.minimum.into())
                },
            });
        }
    }

    fn witness(&mut self, witness: &WitnessYears, included: &dyn Fn(&Facts) -> bool) {
        let p = self.population;
        match witness.one_in {
            None => self.criterion(Reason::WitnessYear, included),
            Some(k) => self.lot(&Lot {
                reason: Reason::WitnessYear,
                once: true,
                stratum: &|r| included(r).then_some(r.year),
                label: &|n| vec![p.years.text(Some(n)).to_owned()],
                sizes: &|sizes| sizes.iter().map(|s| s.div_ceil(k.get().into())).collect(),
            }),
        }
    }

    /// Keeps what answers, whatever the steps before kept; only what is excluded is not looked at.
    fn criterion(&mut self, reason: Reason, keeps: impl Fn(&Facts) -> bool) {
        let mut step =
            Step { added: 0, considered: 0, kept: 0, method: reason.as_str().to_owned(), strata: Vec::new() };
        for (facts, mark) in self.population.records.iter().zip(&mut self.marks) {
            if *mark & Reason::Excluded.bit() != 0 {
                continue;
            }
            step.considered += 1;
            if keeps(facts) {
                step.kept += 1;
                step.added += u64::from(*mark == 0);
                *mark |= reason.bit();
            }
        }
        self.steps.push(step);
    }

    /// Marks the records of the rest that were drawn.
    fn keep(&mut self, reason: Reason, strata: Vec<StratumCount>, drawn: impl Fn(&Facts) -> Option<bool>) {
        let mut step = Step { added: 0, considered: 0, kept: 0, method: reason.as_str().to_owned(), strata };
        for (facts, mark) in self.population.records.iter().zip(&mut self.marks) {
            let Some(kept) = drawn(facts).filter(|_| *mark == 0) else { continue };
            step.considered += 1;
            if kept {
                *mark |= reason.bit();
                step.kept += 1;
            }
        }
        step.added = step.kept;
        self.steps.push(step);
    }

    /// Records that no step has kept so far.
    fn rest(&self) -> impl Iterator<Item = &'p Facts> {
        self.population.records.iter().zip(&self.marks).filter(|(_, mark)| **mark == 0).map(|(r, _)| r)
    }

    fn lot(&mut self, lot: &Lot<'_>) {
        let p = self.population;
        // Stratum of each unit's record of the last year; of equal years, the lowest identifier.
        let mut homes: Vec<Option<(Option<u16>, usize)>> = vec![None; p.units.len()];
        let mut members: Vec<(usize, usize)> = Vec::new();
        for r in self.rest() {
            let Some(stratum) = (lot.stratum)(r) else { continue };
            let year = p.starts.get(r.year).copied().flatten();
            if !lot.once {
                members.push((stratum, r.unit));
            } else if let Some(home) = homes.get_mut(r.unit)
                && home.is_none_or(|(last, _)| last < year)
            {
                *home = Some((year, stratum));
            }
        }
        members.sort_unstable();
        members.dedup();
        let placed = homes.iter().enumerate().filter_map(|(unit, home)| home.map(|(_, s)| (s, unit)));
        let mut strata: BTreeMap<Vec<String>, (usize, Vec<usize>)> = BTreeMap::new();
        let mut by_number: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (stratum, unit) in placed.chain(members) {
            by_number.entry(stratum).or_default().push(unit);
        }
        for (stratum, units) in by_number {
            strata.insert((lot.label)(stratum), (stratum, units));
        }
        let units: Vec<u64> = strata.values().map(|(_, units)| units.len() as u64).collect();
        let sizes = (lot.sizes)(&units);
        let scorer = Scorer::new(&self.seed, &p.plan, lot.reason.as_str());
        let mut drawn: HashSet<(usize, usize)> = HashSet::new();
        let mut counts = Vec::new();
        for ((label, (stratum, units)), n) in strata.into_iter().zip(sizes) {
            let there = units.len() as u64;
            let chosen = lowest(p, &scorer, &label, units, n);
            counts.push(StratumCount { drawn: chosen.len() as u64, stratum: label, units: there });
            drawn.extend(chosen.into_iter().map(|unit| (stratum, unit)));
        }
        self.keep(lot.reason, counts, |r| {
            let own = (lot.stratum)(r)?;
            let home = homes.get(r.unit).copied().flatten().map_or(own, |(_, home)| home);
            Some(drawn.contains(&(home, r.unit)))
        });
    }

    fn systematic(&mut self, k: NonZeroU32) {
        let p = self.population;
        let mut units: Vec<usize> = self.rest().map(|r| r.unit).collect();
        units.sort_unstable();
        units.dedup();
        let there = units.len() as u64;
        let k = u64::from(k.get());
        // A start past the end would keep nothing of a small population.
        let start = Scorer::new(&self.seed, &p.plan, Reason::Systematic.as_str()).start(k.min(there));
        let drawn: HashSet<usize> = units
            .into_iter()
            .zip(0..)
            .filter(|(_, i): &(usize, u64)| i % k == start)
            .map(|(u, _)| u)
            .collect();
        let counts = vec![StratumCount { drawn: drawn.len() as u64, stratum: Vec::new(), units: there }];
        self.keep(Reason::Systematic, counts, |r| Some(drawn.contains(&r.unit)));
    }

    /// Identifiers of records in order, each with whether it is kept.
    pub fn records(&self) -> impl Iterator<Item = (&'p str, bool)> {
        self.population.records.iter().zip(&self.marks).map(|(r, mark)| (&*r.id, *mark != 0))
    }

    /// Reasons of a record, by its identifier; empty when it may go, `None` when it is not there.
    pub fn reasons(&self, id: &str) -> Option<Vec<Reason>> {
        let at = self.population.records.binary_search_by(|r| (*r.id).cmp(id)).ok()?;
        let mark = self.marks.get(at)?;
        Some(Reason::ALL.into_iter().filter(|r| mark & r.bit() != 0).collect())
    }
}

/// The `n` units of the lowest scores; of equal scores, the lowest identifier.
fn lowest(p: &Population, scorer: &Scorer, stratum: &[String], units: Vec<usize>, n: u64) -> Vec<usize> {
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    if n >= units.len() {
        return units;
    }
    let scorer = scorer.of(stratum);
    let score = |unit: usize| Some((scorer.score(p.units.get(unit)?), unit));
    let mut scores: Vec<(Score, usize)> = units.into_iter().filter_map(score).collect();
    scores.select_nth_unstable(n);
    scores.truncate(n);
    scores.into_iter().map(|(_, unit)| unit).collect()
}
