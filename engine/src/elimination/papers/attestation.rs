//! What an attestation d'élimination says: the proof that a visaed list was carried out.

use super::super::operator::SourceCovered;
use super::bordereau::{CopyCovered, Service};
use chrono::{DateTime, FixedOffset, NaiveDate};
use serde::{Deserialize, Serialize};

/// The attestation, without its signatures' bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attestation {
    /// Its identifier.
    pub id: String,
    /// Identifier of the list.
    pub list_id: String,
    /// SHA-256 of the canonical list.
    pub list_digest: String,
    /// Whose archives they were.
    pub service: Service,
    /// The agreement that was carried out.
    pub visa: VisaCited,
    /// Who ran the elimination.
    pub executor: Person,
    /// Who witnessed it.
    pub witness: Person,
    /// First deletion.
    pub started_at: DateTime<FixedOffset>,
    /// End of the last one.
    pub ended_at: DateTime<FixedOffset>,
    /// How the bytes were destroyed, in French.
    pub method: String,
    /// Every row of the list.
    pub rows: Vec<AttestedRow>,
    /// What could not be deleted.
    pub failures: Vec<Failure>,
    /// Places where the bytes were.
    pub copies: Vec<CopyCovered>,
    /// What the operators of the source applications were asked, and answered.
    #[serde(default)]
    pub sources: Vec<SourceCovered>,
    /// The entry of the journal that closes the elimination.
    pub journal: JournalAnchor,
    /// What is kept of the records for ever.
    pub tombstones: Tombstones,
    /// Of two people.
    pub signatures: Vec<SignatureCited>,
}

/// The visa that an attestation cites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VisaCited {
    /// Its number or name.
    pub reference: String,
    /// Its day.
    pub date: NaiveDate,
    /// The service in charge of the contrôle scientifique et technique.
    pub authority: String,
    /// Who gave it, with function.
    pub by: Person,
    /// SHA-256 of the visa.
    pub digest: String,
}

/// An agent, by name and function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Name.
    pub name: String,
    /// Function.
    pub role: String,
}

impl std::fmt::Display for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.name, self.role)
    }
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowOutcome {
    /// All its records are gone.
    Eliminated,
    /// Some are not; see the failures.
    PartlyFailed,
    /// Without visa: kept.
    Kept,
}

impl RowOutcome {
    /// As the attestation says it.
    pub fn french(self) -> &'static str {
        match self {
            RowOutcome::Eliminated => "Éliminée",
            RowOutcome::PartlyFailed => "Éliminée en partie",
            RowOutcome::Kept => "Conservée",
        }
    }
}

/// A row of the list and what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestedRow {
    /// Order number in the list.
    pub order: usize,
    /// Reference in the tableau de gestion.
    pub rule: String,
    /// What the records were.
    pub typology: String,
    /// Records in the list.
    pub listed: u64,
    /// Records deleted.
    pub eliminated: u64,
    /// Bytes deleted.
    pub bytes: u64,
    /// What became of it.
    pub outcome: RowOutcome,
}

/// Something that could not be deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Order number of the row.
    pub order: usize,
    /// Where.
    pub place: String,
    /// Why, in French.
    pub reason: String,
    /// Records left there.
    pub records: u64,
}

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalAnchor {
    /// Its number.
    pub sequence: u64,
    /// Its digest, chained to all before.
    pub digest: String,
}

/// The trace kept for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstones {
    /// Records traced.
    pub count: u64,
    /// SHA-256 of the file of the traces.
    pub digest: String,
}

/// A signature, by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureCited {
    /// Who signed.
    pub by: Person,
    /// When.
    pub at: DateTime<FixedOffset>,
    /// Identifier of the key.
    pub key: String,
    /// SHA-256 of the signature.
    pub digest: String,
}
