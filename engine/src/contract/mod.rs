//! Contrats d'interface: what each table holds, in TOML, one file a table (`engine/contracts/`).
//!
//! A contract is data: a new table needs a new file and no code. Unknown keys are refused with
//! their line and column.

mod dictionary;
mod load;
mod table_schema;

pub use dictionary::dictionary;
pub use load::{fault_at, plain_name, toml_file};
pub use table_schema::{field_schema, table_schema};

use crate::domain::DateFormat;
use crate::error::{ConfigFault, Error, Result};
use regex::Regex;
use std::sync::Arc;

/// A table's contract, checked.
#[derive(Debug, Clone)]
pub struct Contract {
    /// Table name: `[a-z0-9_]+`.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// What a row is.
    pub description: String,
    /// `ent`, `scope`, `dnma`, `crdc`, or the name of a source of one's own.
    pub source: String,
    /// Class whose retention rule governs the records.
    pub record_class: String,
    /// Columns that identify a record inside one delivery.
    pub key: Vec<usize>,
    /// How the files look.
    pub input: Input,
    /// Where the school year of a record comes from.
    pub partition: Partition,
    /// A delivery holds everything and replaces the ones before it in its school year; otherwise
    /// it adds records, and replaces those of the same key.
    pub snapshot: bool,
    /// Share of rejected records above which the whole delivery is refused (0 to 1).
    pub max_rejected_share: f64,
    /// Columns, in order.
    pub columns: Vec<ColumnSpec>,
}

/// How the delivered files look.
#[derive(Debug, Clone)]
pub struct Input {
    /// Frame of the records.
    pub format: Format,
    /// Convention on file names; named groups `delivery` and `date` are read.
    pub file_name: Option<Regex>,
    /// How the `date` group is written.
    pub file_date: DateFormat,
    /// Text encoding of table files (XML declares its own).
    pub encoding: &'static encoding_rs::Encoding,
}

/// Frame of the records of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// One row a line, RFC 4180 quoting.
    Csv {
        /// Field separator.
        separator: u8,
    },
    /// `ficAlimMENESR` XML (SDET, annexe 4bis).
    Aaf {
        /// Value of the operational attribute (`Eleve`, `MatEducNat`…).
        category: String,
    },
}

/// Where the school year of a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// The date of the delivery, through the calendar.
    Delivery,
    /// A date column, through the calendar.
    DateColumn(usize),
    /// A column that holds the school year itself.
    YearColumn(usize),
}

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// Several texts (multi-valued attribute).
    List,
    /// 64-bit integer.
    Integer,
    /// Exact decimal: money is never a float.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: i8,
    },
    /// Day.
    Date,
    /// Time of day, in seconds.
    Time,
    /// Length of time, in seconds.
    Duration,
    /// Two-valued mark.
    Boolean,
    /// "2025-2026".
    AnneeScolaire,
}

/// What a column says about people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Personal {
    /// Nothing about a person: values may be shown in messages.
    None,
    /// Identifies alone (name, INE, internal number).
    Direct,
    /// Identifies with others, or describes a person.
    Indirect,
    /// Opinions, health, money of a family.
    Sensitive,
}

/// A nomenclature check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeList {
    /// BCN table (`N_MEF`).
    pub table: String,
    /// Only the first characters are the national code (10 of 11 for a MEF).
    pub prefix: Option<usize>,
    /// Date column at which the code is judged; the delivery's date when absent or empty.
    pub at: Option<usize>,
    /// For composites: the part, from 0, between `$`.
    pub part: Option<usize>,
}

/// One column.
#[derive(Debug, Clone)]
pub struct ColumnSpec {
    /// Name, as in the source.
    pub name: Arc<str>,
    /// Other names met in real exports.
    pub aliases: Vec<String>,
    /// What it holds, in French.
    pub description: String,
    /// Type.
    pub kind: ColumnType,
    /// An empty value rejects the record.
    pub required: bool,
    /// The column may be missing from the header (or the attribute from the request).
    pub optional: bool,
    /// Form, matched whole.
    pub pattern: Option<Regex>,
    /// Accepted values.
    pub values: Vec<String>,
    /// Bounds for integers and decimals.
    pub min: Option<i64>,
    /// Upper bound.
    pub max: Option<i64>,
    /// UAI check letter.
    pub uai: bool,
    /// Nomenclature check.
    pub codes: Option<CodeList>,
    /// How dates are written.
    pub date_format: DateFormat,
    /// The two marks of a boolean, true first.
    pub marks: (String, String),
    /// What it says about people.
    pub personal: Personal,
}

impl Contract {
    /// Reads and checks a contract.
    ///
    /// # Errors
    /// Every fault of the file, with line and column.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        load::parse(file, text)
    }

    /// The contracts shipped with the engine.
    ///
    /// # Errors
    /// None in a released binary: a test reads them all.
    pub fn builtin() -> Result<Vec<Contract>> {
        BUILTIN.iter().map(|(file, text)| Contract::parse(file, text)).collect()
    }

    /// Position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|c| &*c.name == name)
    }

    /// Name of the column that gives way to the partition folder, if any: its value is in the path.
    pub fn partition_column(&self) -> Option<usize> {
        match self.partition {
            Partition::YearColumn(i) => Some(i),
            _ => None,
        }
    }
}

/// Shipped contracts, by file.
pub const BUILTIN: &[(&str, &str)] = &[
    ("ent_etablissement.toml", include_str!("../../contracts/ent_etablissement.toml")),
    ("ent_eleve.toml", include_str!("../../contracts/ent_eleve.toml")),
    ("ent_personnel.toml", include_str!("../../contracts/ent_personnel.toml")),
    ("ent_responsable.toml", include_str!("../../contracts/ent_responsable.toml")),
    ("ent_matiere.toml", include_str!("../../contracts/ent_matiere.toml")),
    ("ent_mef.toml", include_str!("../../contracts/ent_mef.toml")),
    ("scope_structures.toml", include_str!("../../contracts/scope_structures.toml")),
    ("scope_services.toml", include_str!("../../contracts/scope_services.toml")),
    ("scope_seances.toml", include_str!("../../contracts/scope_seances.toml")),
    ("scope_appartenances.toml", include_str!("../../contracts/scope_appartenances.toml")),
    ("scope_enseignants.toml", include_str!("../../contracts/scope_enseignants.toml")),
    ("dnma_profils.toml", include_str!("../../contracts/dnma_profils.toml")),
    ("dnma_appareils.toml", include_str!("../../contracts/dnma_appareils.toml")),
    ("crdc_droits.toml", include_str!("../../contracts/crdc_droits.toml")),
];

/// Two contracts may not write the same table.
///
/// # Errors
/// The name that is taken twice.
pub fn check_names(contracts: &[Contract]) -> Result<()> {
    let mut names: Vec<&str> = contracts.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|w| w.first() == w.last()) {
        Some(w) => Err(Error::config(ConfigFault {
            file: format!("{}.toml", w.first().unwrap_or(&"")),
            line: 0,
            column: 0,
            message: "deux contrats décrivent la même table : renommez-en un".into(),
        })),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_contract_is_right_and_names_are_unique() {
        let all = Contract::builtin().unwrap();
        assert_eq!(all.len(), BUILTIN.len());
        check_names(&all).unwrap();
    }

    #[test]
    fn every_shipped_contract_is_refused_on_an_unknown_key() {
        for (file, text) in BUILTIN {
            for (old, new) in [
                ("[table]\n", "[table]\nnmae = 1\n"),
                ("[[column]]\n", "[[column]]\ntyp = \"text\"\n"),
                ("[input]\n", "[input]\nseparateur = \";\"\n"),
            ] {
                let broken = text.replacen(old, new, 1);
                assert_ne!(&broken, text, "{file}");
                let Err(Error::Config(faults)) = Contract::parse(file, &broken) else {
                    panic!("{file} accepted")
                };
                let line = 1 + broken.lines().position(|l| Some(l) == new.lines().nth(1)).unwrap();
                assert_eq!(
                    (faults.len(), faults[0].line, faults[0].column),
                    (1, line, 1),
                    "{file}: {faults:?}"
                );
                assert!(faults[0].message.contains("clé inconnue"), "{}", faults[0].message);
            }
        }
    }
}
