//! The records that a tri is about, reduced to what a plan looks at, and bound by a Merkle root.

use super::merkle::MerkleTree;
use super::plan::{Plan, start_year};
use super::score::{Unit, fields};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::Hash;

/// A record, as given to the tri. Empty texts and `None` mean unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Canonical identifier: opaque, unique, the same whenever the record is read.
    pub id: String,
    /// Pseudonym of the person, the same in every class; never a clear identifier. Records that
    /// share it are drawn together.
    pub key: Option<String>,
    /// School year, such as 2019-2020.
    pub year: String,
    /// Value of the plan's surname column. Only its letter is retained.
    pub name: Option<String>,
    /// Type, for specimens.
    pub kind: String,
    /// Values of the plan's strata columns, in their order.
    pub strata: Vec<String>,
    /// Code of the reason for which somebody chose it, among those of the plan.
    pub qualitative: Option<String>,
    /// Why it takes no part and is kept (a hold, a decision that is not a tri), in printable ASCII.
    pub excluded: Option<String>,
}

/// What of a record the steps look at; texts that repeat are numbers of a [`Words`].
#[derive(Debug)]
pub(super) struct Facts {
    pub id: Box<str>,
    pub unit: usize,
    pub year: usize,
    pub kind: usize,
    pub stratum: usize,
    pub qualitative: Option<usize>,
    pub excluded: Option<usize>,
    pub initial: Option<char>,
}

/// Values that repeat, kept once.
#[derive(Debug)]
pub(super) struct Words<T> {
    pub list: Vec<T>,
    index: HashMap<T, usize>,
}

impl<T: Hash + Eq + Clone> Words<T> {
    fn new() -> Self {
        Words { list: Vec::new(), index: HashMap::new() }
    }

    fn number(&mut self, value: T) -> usize {
        let next = self.list.len();
        *self.index.entry(value).or_insert_with_key(|v| {
            self.list.push(v.clone());
            next
        })
    }
}

impl Words<String> {
    pub fn text(&self, number: Option<usize>) -> &str {
        number.and_then(|n| self.list.get(n)).map_or("", String::as_str)
    }

    fn bytes(&self, number: Option<usize>) -> &[u8] {
        self.text(number).as_bytes()
    }
}

/// A population gathered for one plan. Its memory holds identifiers, pseudonyms and a few numbers a
/// record: about 200 bytes.
#[derive(Debug)]
pub struct Population {
    pub(super) plan: Plan,
    /// In the order of identifiers.
    pub(super) records: Vec<Facts>,
    /// In the order of their lowest identifier.
    pub(super) units: Vec<Unit>,
    pub(super) years: Words<String>,
    /// First year of each of `years`.
    pub(super) starts: Vec<Option<u16>>,
    pub(super) kinds: Words<String>,
    pub(super) strata: Words<Vec<String>>,
    pub(super) reasons: Words<String>,
    pub(super) root: [u8; 32],
}

fn refused(code: &'static str, message: &str) -> Error {
    Error::Refused { code, message: message.into() }
}

impl Population {
    /// Gathers the records for a plan, in any order.
    ///
    /// # Errors
    /// `TRI_ID` for an empty or repeated identifier, `TRI_KEY` for an empty pseudonym, `TRI_STRATA`
    /// when a record has not as many values as the plan has columns, `TRI_REASON` for a reason that
    /// is not the plan's or not printable.
    pub fn new(plan: &Plan, records: impl IntoIterator<Item = Record>) -> Result<Self> {
        let (mut years, mut kinds, mut reasons) = (Words::new(), Words::new(), Words::new());
        let mut strata = Words::new();
        let columns = plan.stratified.as_ref().map_or(0, |s| s.columns.len());
        let mut gathered: Vec<(Facts, Option<Box<str>>)> = Vec::new();
        for record in records {
            if record.id.is_empty() {
                return Err(refused("TRI_ID", "un enregistrement n'a pas d'identifiant : rien n'est tiré"));
            }
            if record.key.as_ref().is_some_and(String::is_empty) {
                return Err(refused(
                    "TRI_KEY",
                    "un enregistrement porte un pseudonyme vide : donnez-en un, ou aucun ; rien n'est tiré",
                ));
            }
            if columns > 0 && record.strata.len() != columns {
                return Err(refused(
                    "TRI_STRATA",
                    "un enregistrement n'a pas une valeur par colonne de strate du plan : rien n'est tiré",
                ));
            }
            if record.qualitative.as_ref().is_some_and(|code| !plan.qualitative.contains_key(code)) {
                return Err(refused(
                    "TRI_REASON",
                    "un choix qualitatif porte un motif absent du plan : ajoutez ce motif à une nouvelle version du plan",
                ));
            }
            if record.excluded.as_ref().is_some_and(|code| !printable(code)) {
                return Err(refused(
                    "TRI_REASON",
                    "un motif d'exclusion n'est pas un code : 1 à 80 caractères ASCII sans espace",
                ));
            }
            let stratum = if columns > 0 { record.strata } else { Vec::new() };
            let facts = Facts {
                id: record.id.into(),
                unit: 0,
                year: years.number(record.year),
                kind: kinds.number(record.kind),
                stratum: strata.number(stratum),
                qualitative: record.qualitative.map(|code| reasons.number(code)),
                excluded: record.excluded.map(|code| reasons.number(code)),
                initial: plan.surname.as_ref().zip(record.name).and_then(|(s, name)| s.initial(&name)),
            };
            gathered.push((facts, record.key.map(String::into_boxed_str)));
        }
        gathered.sort_unstable_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        if gathered.windows(2).any(|w| matches!(w, [(a, _), (b, _)] if a.id == b.id)) {
            return Err(refused("TRI_ID", "deux enregistrements ont le même identifiant : rien n'est tiré"));
        }
        let starts = years.list.iter().map(|label: &String| start_year(label)).collect();
        let mut population = Population {
            plan: plan.clone(),
            records: Vec::with_capacity(gathered.len()),
            units: Vec::new(),
            years,
            starts,
            kinds,
            strata,
            reasons,
            root: [0; 32],
        };
        population.number_units(gathered);
        population.root = population.merkle_root();
        Ok(population)
    }

    fn number_units(&mut self, gathered: Vec<(Facts, Option<Box<str>>)>) {
        let mut persons: HashMap<Box<str>, usize> = HashMap::new();
        for (mut facts, key) in gathered {
            let next = self.units.len();
            facts.unit = match &key {
                Some(key) => *persons.entry(key.clone()).or_insert(next),
                None => next,
            };
            if facts.unit == next {
                self.units.push(key.map_or_else(|| Unit::Record(facts.id.clone()), Unit::Person));
            }
            self.records.push(facts);
        }
    }

    /// Leaves hold all that a draw looks at, not the identifier alone: whoever could still change a
    /// pseudonym or a year after the public value is known could choose the sample.
    fn merkle_root(&self) -> [u8; 32] {
        let mut tree = MerkleTree::default();
        let mut leaf = Vec::new();
        let none = Vec::new();
        for r in &self.records {
            leaf.clear();
            let mut buffer = [0; 4];
            let initial: &[u8] = r.initial.map_or(&[], |c| c.encode_utf8(&mut buffer).as_bytes());
            let (kind, key): (&[u8], &[u8]) = match self.units.get(r.unit) {
                Some(Unit::Person(key)) => (b"person", key.as_bytes()),
                _ => (b"record", b""),
            };
            let parts = [
                r.id.as_bytes(),
                kind,
                key,
                self.years.bytes(Some(r.year)),
                self.kinds.bytes(Some(r.kind)),
                self.reasons.bytes(r.qualitative),
                self.reasons.bytes(r.excluded),
                initial,
            ];
            let strata = self.strata.list.get(r.stratum).unwrap_or(&none);
            fields(parts.into_iter().chain(strata.iter().map(String::as_bytes)), |b| {
                leaf.extend_from_slice(b)
            });
            tree.push(&leaf);
        }
        tree.root()
    }

    /// Root to record before the public value is known.
    pub fn root(&self) -> String {
        crate::domain::hex(&self.root)
    }

    /// Records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The plan that the records were gathered for.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

fn printable(code: &str) -> bool {
    (1..=80).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_graphic())
}
