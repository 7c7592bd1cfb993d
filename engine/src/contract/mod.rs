//! Contrats d'interface: what each table holds, in TOML, one file a table (`engine/contracts/`).
//!
//! A contract is data: a new table needs a new file and no code. Unknown keys are refused with
//! their line and column.

mod dictionary;
mod load;
mod sections;
mod table_schema;
mod toml_text;

pub use dictionary::{dictionary, dictionary_page};
pub use load::plain_name;
pub use table_schema::{field_schema, json_schema, table_schema};
pub use toml_text::{fault_at, toml_file};

use crate::domain::DateFormat;
use crate::error::{ConfigFault, Error, Result};
use crate::finding::Severity;
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
    /// Checks across the columns of a record.
    pub rules: Vec<RuleSpec>,
    /// Periods that may not overlap.
    pub overlaps: Vec<OverlapSpec>,
    /// Summaries written beside the accepted records by a validation with an output folder.
    pub aggregates: Vec<AggregateSpec>,
    /// Visits made of the accepted records, written beside the summaries.
    pub visits: Vec<VisitsSpec>,
    /// Date columns that tell when events of the retention rules happened.
    pub events: Vec<EventSpec>,
    /// Column of the type of document, for retention rules about acts with several documents.
    pub document: Option<usize>,
}

/// A date column that tells an event of the retention rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSpec {
    /// Event, as the rules name it.
    pub event: String,
    /// Date column.
    pub column: usize,
    /// An empty date says that the event never happened, not that nobody knows.
    pub empty_is_never: bool,
}

/// A check across columns: a SQL boolean expression, evaluated by polars.
#[derive(Debug, Clone)]
pub struct RuleSpec {
    /// Name shown in findings.
    pub name: Arc<str>,
    /// The expression; false breaks the rule, null passes.
    pub sql: String,
    /// What is wrong when it is false, in French.
    pub message: String,
    /// Weight of a broken rule.
    pub severity: Severity,
    /// Where the finding points.
    pub column: usize,
    /// Columns that the expression names.
    pub columns: Vec<usize>,
}

/// Periods of a day that may not overlap for the same values (a teacher's lessons).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverlapSpec {
    /// Name shown in findings.
    pub name: Arc<str>,
    /// Text columns that must be the same; of a list, each value counts.
    pub by: Vec<usize>,
    /// Day.
    pub date: usize,
    /// Beginning, a time.
    pub from: usize,
    /// End, a time.
    pub to: usize,
    /// Records with another value in this column do not count: (column, value).
    pub only: Option<(usize, String)>,
    /// What is wrong, in French.
    pub message: String,
}

/// A summary of the accepted records, exact, in bounded memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateSpec {
    /// File name.
    pub name: String,
    /// Date column cut to its month, as the first group column.
    pub month_of: Option<usize>,
    /// Text columns to group by.
    pub by: Vec<usize>,
    /// Integer or decimal columns to add up.
    pub sum: Vec<usize>,
    /// Text columns whose distinct values are counted.
    pub count_distinct: Vec<usize>,
}

/// Raw hits made into visits by the ACPM rule, exact, in bounded memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitsSpec {
    /// File name.
    pub name: String,
    /// Text column of the instant of a hit, in UTC.
    pub at: usize,
    /// Text column of the visitor's pseudonym.
    pub visitor: usize,
    /// Text columns to group by.
    pub by: Vec<usize>,
    /// Minutes without a new page after which a visit is over.
    pub gap_minutes: u32,
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
    /// Wide columns to turn into rows.
    pub unpivot: Option<Unpivot>,
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
        /// Column that takes the request's `<id>`; without it the id must equal the key.
        identifier: Option<usize>,
        /// First degree: its attributes have other names than the second's.
        first_degree: bool,
    },
    /// Any other XML: one element is a record. Several contracts may read one document.
    Xml {
        /// Local name of the root.
        root: String,
        /// Namespace of the root, when the form has one.
        namespace: Option<String>,
        /// Elements from below the root to the record.
        record: Vec<String>,
    },
    /// One JSON object a line.
    NdJson,
    /// Parquet, columns by name.
    Parquet,
}

/// Wide columns turned into one row per item; all rows of a line are one record.
#[derive(Debug, Clone)]
pub struct Unpivot {
    /// Over header names: groups `measure` (a column of the contract) and `item`.
    pub pattern: Regex,
    /// Column that takes the item.
    pub item: usize,
    /// Items that the contract knows; others are accepted and reported.
    pub known: Vec<String>,
    /// Item that should be the total of the others.
    pub total: Option<String>,
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

/// What a person is to the school.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Pupil.
    Eleve,
    /// Guardian.
    Responsable,
    /// Member of the staff.
    Agent,
    /// Visitor of a site, known by a pseudonym only.
    Visiteur,
}

/// Whether a record is about the person, or only names him.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The record is about him.
    Subject,
    /// The record, about something or somebody else, names him.
    Mention,
}

/// A column whose value is a person's identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonKey {
    /// What he may be: one kind, unless the column holds several.
    pub who: Vec<Who>,
    /// Where equal values mean the same person; tables share a space by its name.
    pub space: String,
    /// Which part of the composite is the identifier.
    pub part: Option<usize>,
    /// Columns that must be equal too.
    pub within: Vec<usize>,
    /// As written, or by the key: what is in it is a subject.
    pub role: Role,
    /// Line and column of the contract.
    pub at: (usize, usize),
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
    /// Column whose code stands for this one when it is a local variant (`ENTMEFRattach`).
    pub or: Option<usize>,
    /// What follows the prefix in a national code (`0` in a MEF): such a code has no variant.
    pub national: Option<String>,
    /// An unknown code passes when the table that the column refers to holds it: local codes are
    /// declared there.
    pub local: bool,
}

/// A check figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// National pupil number, RNIE or BEA form.
    Ine,
    /// Nine digits, Luhn.
    Siren,
    /// Fourteen digits, Luhn.
    Siret,
    /// One of both.
    SirenOrSiret,
}

/// A repair that the contract allows; each is counted and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// `12,50` for `12.50`.
    DecimalComma,
    /// Zeros lost on the left of a code.
    LeadingZeros,
    /// Day number of a spreadsheet instead of a date.
    ExcelDate,
    /// Spaces around the value.
    Trim,
    /// Label of an académie in any case, with or without accents and hyphens.
    Academie,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Table that holds the value.
    pub table: String,
    /// Its column.
    pub column: String,
    /// Which part of the local composite is compared.
    pub part: Option<usize>,
    /// Weight of an orphan.
    pub severity: Severity,
    /// Columns of the same name on both sides that belong to the value.
    pub with: Vec<usize>,
    /// Local date at which the target must be open.
    pub at: Option<usize>,
    /// First day of the target: its date column.
    pub from: Option<String>,
    /// Last day of the target.
    pub to: Option<String>,
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
    /// Whose identifier it is, when it singles out one person.
    pub person: Option<PersonKey>,
    /// How many persons the row is of, where none is named.
    pub counts_persons: bool,
    /// XML: where the value stands (see [`load`]); the column's name by default.
    pub path: Option<String>,
    /// Names of the parts of a `$` composite.
    pub parts: Vec<String>,
    /// Check figure.
    pub checksum: Option<Checksum>,
    /// Weight of the checks other than presence and type; that of the code when none is given.
    pub severity: Option<Severity>,
    /// Repairs allowed.
    pub repair: Vec<Repair>,
    /// Characters of a code whose leading zeros may be restored.
    pub width: Option<usize>,
    /// Foreign key.
    pub references: Option<Reference>,
    /// The value must be the number of records that refer to this one, open at the delivery's date:
    /// their table, and their columns of the same names.
    pub counts: Option<Reference>,
}

impl ColumnSpec {
    /// Other tables that the column leads to: those that it refers to, and that it counts.
    pub fn foreign_keys(&self) -> impl Iterator<Item = &Reference> {
        self.references.iter().chain(&self.counts)
    }
}

impl CodeList {
    /// Whether a value may be a local variant rather than a national code.
    pub fn may_be_local(&self, value: &str) -> bool {
        let rest = self.prefix.and_then(|n| value.get(n..)).unwrap_or_default();
        self.national.as_ref().is_none_or(|n| n != rest)
    }
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

    /// Whether the table is one of a form (`siecle`, `gar`, `sts`): the beginning of its name.
    pub fn is_of_form(&self, form: &str) -> bool {
        self.name.strip_prefix(form).is_some_and(|rest| rest.starts_with(['_', '1', '2']))
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

macro_rules! builtin {
    ($($name:literal),* $(,)?) => {
        &[$((concat!($name, ".toml"), include_str!(concat!("../../contracts/", $name, ".toml")))),*]
    };
}

/// Shipped contracts, by file.
pub const BUILTIN: &[(&str, &str)] = builtin![
    "ent_etablissement",
    "ent_eleve",
    "ent_personnel",
    "ent_responsable",
    "ent_matiere",
    "ent_mef",
    "scope_structures",
    "scope_services",
    "scope_seances",
    "scope_appartenances",
    "scope_enseignants",
    "dnma_profils",
    "dnma_appareils",
    "dnma_services",
    "dnma_profils_appareils",
    "dnma_hits",
    "crdc_droits",
    "ent1d_eleve",
    "ent1d_etablissement",
    "ent1d_personnel",
    "ent1d_responsable",
    "gar1d_eleve",
    "gar1d_eleve_mefstat4",
    "gar1d_enseignant",
    "gar1d_etab",
    "gar1d_groupe",
    "gar1d_personne_groupe",
    "gar1d_respaff",
    "gar2d_eleve",
    "gar2d_eleve_enseignement",
    "gar2d_eleve_mef",
    "gar2d_ens_classe_matiere",
    "gar2d_ens_groupe_matiere",
    "gar2d_enseignant",
    "gar2d_etab",
    "gar2d_groupe",
    "gar2d_matiere",
    "gar2d_mef",
    "gar2d_personne_groupe",
    "gar2d_respaff",
    "siecle_adresses",
    "siecle_eleves",
    "siecle_eleves_options",
    "siecle_eleves_structures",
    "siecle_nomenclature_matiere",
    "siecle_nomenclature_mef",
    "siecle_personnes",
    "siecle_responsables",
    "siecle_structures_divisions",
    "siecle_structures_groupes",
    "sts_divisions",
    "sts_groupes",
    "sts_individus",
    "sts_matieres",
    "sts_mefs",
    "sts_programmes",
    "sts_services_divisions",
    "sts_services_groupes",
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
