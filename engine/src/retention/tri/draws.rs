//! The draws of a store, checked again from their files each time they serve.

use super::manifest::Manifest;
use super::plan::Plan;
use super::population::Record;
use crate::domain::{DateFormat, Digest};
use crate::error::{Error, Result};
use crate::store::{Store, TriDraw, TriRow};
use chrono::NaiveDate;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A draw as lists name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawnTri {
    /// Identifier of the tri.
    pub id: String,
    /// SHA-256 of the manifest, hexadecimal.
    pub manifest_sha256: String,
    /// Records of the population.
    pub records: u64,
    /// Records kept.
    pub kept: u64,
}

/// Draws of one plan.
#[derive(Debug)]
pub struct PlanDraws {
    /// Plan.
    pub plan: String,
    /// Draws, in the order of their recording.
    pub tris: Vec<Arc<DrawnTri>>,
    /// Of each table, records by name: number of their draw, whether they are kept.
    records: HashMap<String, HashMap<Box<str>, (usize, bool)>>,
    /// Pseudonyms of persons of whom something is kept.
    persons: HashSet<Box<str>>,
}

impl PlanDraws {
    /// The draw that a record was in, and whether it is kept.
    pub fn of(&self, table: &str, record: &str) -> Option<(usize, bool)> {
        self.records.get(table)?.get(record).copied()
    }

    /// Whether something of a person is kept by a draw.
    pub fn keeps_person(&self, pseudonym: &str) -> bool {
        self.persons.contains(pseudonym)
    }
}

/// Draws that serve at a day, by plan.
#[derive(Debug, Clone, Default)]
pub struct Draws(Vec<Arc<PlanDraws>>);

impl Draws {
    /// Draws of the plans as they stand, made on or before a day; each is carried out again from its
    /// files. A draw of another version of a plan serves no more: what it had sorted is kept.
    ///
    /// # Errors
    /// `TRI_ALTERED` when a file is missing or is not the one that the ledger knows; those of the ledger.
    pub fn load(store: &Store, plans: &[Plan], at: NaiveDate) -> Result<Self> {
        let mut all: Vec<PlanDraws> = Vec::new();
        for row in store.ledger.tris()? {
            let Some(draw) = &row.draw else { continue };
            let day = DateFormat::Iso.parse(&draw.drawn_on);
            let Some(plan) = plans.iter().find(|p| p.id == row.plan) else { continue };
            if day.is_none_or(|d| d > at) || plan.digest()?.to_string() != row.plan_digest {
                continue;
            }
            let drawn = match all.iter_mut().find(|d| d.plan == row.plan) {
                Some(drawn) => drawn,
                None => {
                    all.push(PlanDraws {
                        plan: row.plan.clone(),
                        tris: Vec::new(),
                        records: HashMap::new(),
                        persons: HashSet::new(),
                    });
                    let Some(last) = all.last_mut() else { continue };
                    last
                }
            };
            drawn.add(store, &row, draw)?;
        }
        Ok(Draws(all.into_iter().map(Arc::new).collect()))
    }

    /// Draws of a plan.
    pub fn of(&self, plan: &str) -> Option<&Arc<PlanDraws>> {
        self.0.iter().find(|d| d.plan == plan)
    }
}

impl PlanDraws {
    fn add(&mut self, store: &Store, row: &TriRow, draw: &TriDraw) -> Result<()> {
        let manifest = file(store, row, "manifest.json", &draw.manifest_sha256)?;
        let population = file(store, row, "population.jsonl", &row.population_sha256)?;
        let manifest = Manifest::verify_files(&manifest, &population).map_err(|d| {
            let first = d.first().map(|d| d.message.clone()).unwrap_or_default();
            altered(row, &first)
        })?;
        let same = manifest.request_number == row.id
            && manifest.public_value == draw.public_value
            && manifest.population_root == row.population_root;
        if !same {
            return Err(altered(row, "le manifeste n'est pas celui de ce tri"));
        }
        let number = self.tris.len();
        let kept: HashSet<&str> = manifest.kept.iter().map(|k| k.id.as_str()).collect();
        for line in population.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
            let record: Record =
                serde_json::from_slice(line).map_err(|_| altered(row, "la population n'est pas lisible"))?;
            let keeps = kept.contains(record.id.as_str());
            let Some((table, name)) = record.id.split_once('/') else { continue };
            if let (true, Some(key)) = (keeps, record.key) {
                self.persons.insert(key.into());
            }
            self.records.entry(table.to_owned()).or_default().insert(name.into(), (number, keeps));
        }
        self.tris.push(Arc::new(DrawnTri {
            id: row.id.clone(),
            manifest_sha256: draw.manifest_sha256.clone(),
            records: manifest.counts.records,
            kept: manifest.counts.kept,
        }));
        Ok(())
    }
}

/// Canonical identifier of a record: its table and its name, which is unique there only.
pub(super) fn record_id(table: &str, name: &str) -> String {
    format!("{table}/{name}")
}

/// A file of a tri, when it is the one that the ledger knows.
pub(super) fn file(store: &Store, row: &TriRow, name: &str, sha256: &str) -> Result<Vec<u8>> {
    let bytes = std::fs::read(store.path(&row.path).join(name));
    let bytes = bytes.map_err(|_| altered(row, &format!("{name} est illisible")))?;
    match Digest::of(&bytes).to_string() == sha256 {
        true => Ok(bytes),
        false => Err(altered(row, &format!("{name} n'a plus les octets que le registre connaît"))),
    }
}

fn altered(row: &TriRow, why: &str) -> Error {
    Error::Refused {
        code: "TRI_ALTERED",
        message: format!("tri {} : {why} ; rien n'est proposé ni éliminé, restaurez son dossier", row.id),
    }
}
