//! What a bordereau d'élimination says, whatever it is shown on: spreadsheet, PDF or JSON.
//!
//! The fields are those that several Archives départementales ask for: the service and its place in
//! the hierarchy, a request number, and one row a kind of records with its dates extrêmes, DUA and
//! volume. Nothing here names a person whose data is eliminated.

use crate::french::count;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The service that asks for the elimination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Exact name, acronyms expanded.
    pub name: String,
    /// Its place, from the highest body to the one above it.
    pub hierarchy: Vec<String>,
    /// Whom the archives may ask: function, telephone, e-mail.
    pub contact: String,
    /// Names it had when the records were made.
    pub former_names: Vec<String>,
}

/// One row: records of one class, table and school year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BordereauRow {
    /// Order number, from 1, unique in the list.
    pub order: usize,
    /// Rule: the reference in the tableau de gestion.
    pub rule: String,
    /// What the records are: a category, never a person.
    pub typology: String,
    /// Table.
    pub table: String,
    /// First year of the dates extrêmes.
    pub first_year: i32,
    /// Last year.
    pub last_year: i32,
    /// DUA or DUP and its duration, in French: "DUA : 10 ans".
    pub duration: String,
    /// Due day.
    pub due_date: NaiveDate,
    /// Records.
    pub records: u64,
    /// Bytes at rest.
    pub bytes: u64,
    /// Digest of the names of the records, in order.
    pub records_sha256: String,
    /// Why the records are due. Not shown on the papers.
    pub reasons: Vec<String>,
    /// What the archives should know: a tri that was done and how, a part that was kept.
    pub observations: Vec<String>,
    /// Packages by which the archive holds these records: only the local copy would go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub archived: Vec<ArchivedCopy>,
}

/// What proves that the archive holds records of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedCopy {
    /// Package.
    pub sip: String,
    /// SHA-512 of the reply that covers it, hexadecimal.
    pub reply_sha512: String,
}

/// What kind of copy the elimination covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CopyKind {
    /// A published table.
    Table,
    /// A received delivery.
    Delivery,
    /// Rejected records.
    Quarantine,
    /// A backup.
    Backup,
    /// The application that the data came from.
    SourceApplication,
}

impl CopyKind {
    /// Its French name.
    pub fn french(self) -> &'static str {
        match self {
            CopyKind::Table => "Table",
            CopyKind::Delivery => "Livraison reçue",
            CopyKind::Quarantine => "Quarantaine",
            CopyKind::Backup => "Sauvegarde",
            CopyKind::SourceApplication => "Application source",
        }
    }
}

/// A place that holds the bytes of the records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyCovered {
    /// Kind of place.
    pub kind: CopyKind,
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal; empty where it is not one file.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
}

/// The whole bordereau.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bordereau {
    /// Identifier of the list.
    pub id: String,
    /// SHA-256 of the canonical list, in hexadecimal: what a visa is bound to.
    pub digest: String,
    /// Number that the service gives to its request.
    pub request_number: String,
    /// Day of the proposal.
    pub proposed_on: NaiveDate,
    /// Who asks.
    pub service: Service,
    /// Whose visa is asked: the service in charge of the contrôle scientifique et technique.
    pub archives: String,
    /// Rows, by order number.
    pub rows: Vec<BordereauRow>,
    /// Where the bytes are.
    pub copies: Vec<CopyCovered>,
}

impl Bordereau {
    /// Records of all rows.
    pub fn records(&self) -> u64 {
        self.rows.iter().fold(0, |sum, r| sum.saturating_add(r.records))
    }

    /// Bytes of all rows.
    pub fn bytes(&self) -> u64 {
        self.rows.iter().fold(0, |sum, r| sum.saturating_add(r.bytes))
    }
}

/// What the archives decide about a row. No answer is no decision: the records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The elimination is authorised.
    Visa,
    /// It is not: the records are kept.
    Refus,
    /// They must be sorted first, and asked for again.
    ATrier,
}

impl Answer {
    /// The three answers, in the order of the drop-down list.
    pub const ALL: [Answer; 3] = [Answer::Visa, Answer::Refus, Answer::ATrier];

    /// The word of the bordereau.
    pub fn french(self) -> &'static str {
        match self {
            Answer::Visa => "Visa",
            Answer::Refus => "Refus",
            Answer::ATrier => "À trier",
        }
    }
}

/// The archives' answer to one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowDecision {
    /// Order number of the row.
    pub order: usize,
    /// The decision; `None` where the row was left blank.
    pub decision: Option<Answer>,
    /// What the archives wrote beside it.
    pub observation: Option<String>,
}

/// A day as the French write it.
pub(super) fn day(date: NaiveDate) -> String {
    date.format("%d/%m/%Y").to_string()
}

/// Records and bytes in words: "3 enregistrements, 1 500 000 octets (1,5 Mo)".
pub(super) fn volume(records: u64, bytes: u64) -> String {
    let (records, exact) =
        (count(records, "enregistrement", "enregistrements"), count(bytes, "octet", "octets"));
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    match unit {
        Some((unit, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            format!("{records}, {exact} ({},{}\u{A0}{name})", tenths / 10, tenths % 10)
        }
        None => format!("{records}, {exact}"),
    }
}

const UNITS: [(u64, &str); 4] =
    [(1_000_000_000_000, "To"), (1_000_000_000, "Go"), (1_000_000, "Mo"), (1_000, "ko")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_are_told_exactly_then_roughly() {
        for (records, bytes, want) in [
            (0, 0, "0 enregistrement, 0 octet"),
            (1, 999, "1 enregistrement, 999 octets"),
            (2, 1_000, "2 enregistrements, 1\u{202F}000 octets (1,0\u{A0}ko)"),
            (2, 1_590_000_000, "2 enregistrements, 1\u{202F}590\u{202F}000\u{202F}000 octets (1,5\u{A0}Go)"),
            (
                2,
                u64::MAX,
                "2 enregistrements, 18\u{202F}446\u{202F}744\u{202F}073\u{202F}709\u{202F}551\u{202F}615 octets (18446744,0\u{A0}To)",
            ),
        ] {
            assert_eq!(volume(records, bytes), want);
        }
    }

    #[test]
    fn totals_never_overflow() {
        let mut b = crate::elimination::papers::samples::bordereau(2);
        b.rows[0].records = u64::MAX;
        assert_eq!(b.records(), u64::MAX);
    }
}
