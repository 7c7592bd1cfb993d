//! BCN tables (Base Centrale des Nomenclatures): codes with the dates between which they hold.
//!
//! One [`Table`] is one table in one dated edition, named by the digest of its file. `read.rs`
//! says which files are understood; `diff.rs` compares two editions; `show.rs` tells all of a code.
//! Checking a value needs [`Table::judge`] only: one hash lookup, nothing allocated.

mod academies;
mod diff;
mod read;
mod show;

pub use academies::academie;
pub use read::table_of;

pub use diff::{ClosingChange, ColumnChange, Edition, LabelChange, TableDiff, diff};
pub use show::{CellLine, CodeSheet, LabelLine, PeriodLine, SuccessorLine, VerdictLine};

use crate::domain::Digest;
use chrono::NaiveDate;
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, HashMap};

/// Looked up for every code of every record.
type Codes = HashMap<String, Entry, foldhash::fast::RandomState>;

/// Days between which a code holds, both included; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Validity {
    /// First day.
    #[serde(serialize_with = "iso")]
    pub open: Option<NaiveDate>,
    /// Last day.
    #[serde(serialize_with = "iso")]
    pub close: Option<NaiveDate>,
}

impl Validity {
    /// Whether a day is between the two, both included.
    pub fn holds(&self, at: NaiveDate) -> bool {
        self.open.is_none_or(|o| o <= at) && self.close.is_none_or(|c| at <= c)
    }
}

/// What a column is for, known from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The code, or a part of it in a link table.
    Key,
    /// `DATE_OUVERTURE`.
    Opening,
    /// `DATE_FERMETURE`.
    Closing,
    /// A text for people.
    Label(LabelKind),
    /// A code of the same table that replaces this one.
    Successor,
    /// Anything else.
    Other,
}

/// Which of the labels of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelKind {
    /// `LIBELLE_LONG`, `LIBELLE_LONG_200`, `LIBELLE_100`, `LIBELLE`; `name` in JSON.
    Long,
    /// `LIBELLE_COURT`; `shortName` in JSON.
    Short,
    /// `LIBELLE_EDITION`, with lower case and accents.
    Edition,
    /// Another `LIBELLE_…`.
    Other,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name as found, without spaces around it.
    pub name: String,
    /// What it is for.
    pub role: Role,
}

/// One row of a code.
#[derive(Debug, Clone)]
pub struct Row {
    /// Line of the file, from 1; 0 in JSON.
    pub line: u64,
    /// When it holds.
    pub validity: Validity,
    /// The opening that was found, when it is after the closing and therefore ignored.
    pub ignored_opening: Option<NaiveDate>,
    cells: csv::StringRecord,
}

impl Row {
    /// The cell of a column, as found (spaces included); empty when the row is too short.
    pub fn cell(&self, column: usize) -> &str {
        self.cells.get(column).unwrap_or_default()
    }
}

/// What is wrong with a row of a nomenclature. The row is kept, except when said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlawKind {
    /// A date that cannot be read: taken as open.
    UnreadableDate,
    /// An opening after the closing: the opening is ignored.
    OpeningAfterClosing,
    /// Equal, cell for cell, to a row already read: dropped.
    DuplicateRow,
    /// No code and yet other cells: dropped.
    MissingCode,
    /// More or fewer cells than columns.
    RowWidth,
    /// A code that a numeric type seems to have shortened (`35515` for `035515`): not repaired.
    LostZeros,
    /// A successor that is no code of the table.
    UnknownSuccessor,
}

impl FlawKind {
    /// As said to people.
    pub fn french(self) -> &'static str {
        match self {
            FlawKind::UnreadableDate => "date illisible, prise pour absente",
            FlawKind::OpeningAfterClosing => "ouverture postérieure à la fermeture, ignorée",
            FlawKind::DuplicateRow => "ligne en double, écartée",
            FlawKind::MissingCode => "ligne sans code, écartée",
            FlawKind::RowWidth => "nombre de cellules différent du nombre de colonnes",
            FlawKind::LostZeros => "code trop court, zéros de tête sans doute perdus (non réparé)",
            FlawKind::UnknownSuccessor => "successeur absent de la table",
        }
    }
}

/// A flaw and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// What.
    pub kind: FlawKind,
    /// Line of the file, from 1; 0 in JSON.
    pub line: u64,
    /// Code of the row, empty when it has none.
    pub code: String,
}

#[derive(Debug, Default)]
struct Entry {
    /// Distinct periods, for `judge`.
    windows: Vec<Validity>,
    successors: Vec<String>,
    /// By closing then opening: the last one is the most recent.
    rows: Vec<Row>,
}

/// One table in one edition.
#[derive(Debug)]
pub struct Table {
    codes: Codes,
    /// BCN name: `N_MEF`.
    pub name: String,
    /// Columns in the order of the file.
    pub columns: Vec<Column>,
    /// File it was read from.
    pub file: String,
    /// Digest of that file: names the edition.
    pub digest: Digest,
    /// Rows with at least one flaw of any kind.
    pub flawed_rows: usize,
    /// Every flaw, by line.
    pub flaws: Vec<Flaw>,
}

/// What the nomenclature says of a code at a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'t> {
    /// Open at that date.
    Valid,
    /// Never heard of.
    Unknown,
    /// Opens later.
    NotYetOpen(NaiveDate),
    /// Closed earlier.
    Closed {
        /// Last day on which it held.
        last_day: NaiveDate,
        /// Codes that replace it, as the table names them; see [`replaced_by`].
        successors: &'t [String],
    },
}

/// The end of a message about a closed code: `, remplacé par A ou B`, or nothing.
pub fn replaced_by(successors: &[String]) -> String {
    match successors.split_last() {
        None => String::new(),
        Some((last, [])) => format!(", remplacé par {last}"),
        Some((last, others)) => format!(", remplacé par {} ou {last}", others.join(", ")),
    }
}

/// All tables at hand, by BCN name (`N_MEF`).
#[derive(Debug, Default)]
pub struct Nomenclatures {
    tables: BTreeMap<String, Table>,
}

/// A file that looked like a table and could not be used as one.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// File name.
    pub file: String,
    /// Why, in French.
    pub reason: String,
}

impl Nomenclatures {
    /// Reads every `.csv` and `.json` of a folder, given as (name, bytes) in name order. The first
    /// file of a table wins; later ones and files that are no table are told, not fatal.
    pub fn from_files(files: &[(String, Vec<u8>)]) -> (Self, Vec<Unreadable>) {
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        let mut unreadable = Vec::new();
        for (file, bytes) in files {
            let reason = match Table::from_file(file, bytes) {
                None => continue,
                Some(Err(reason)) => reason,
                Some(Ok(table)) => match tables.get(&table.name) {
                    Some(first) => format!(
                        "table {} déjà lue dans « {} » : ce fichier est ignoré, gardez une seule édition par dossier",
                        table.name, first.file
                    ),
                    None => {
                        tables.insert(table.name.clone(), table);
                        continue;
                    }
                },
            };
            unreadable.push(Unreadable { file: file.clone(), reason });
        }
        (Nomenclatures { tables }, unreadable)
    }

    /// These tables, and those of `other` that are not among them.
    pub fn or(mut self, other: Nomenclatures) -> Self {
        for (name, table) in other.tables {
            self.tables.entry(name).or_insert(table);
        }
        self
    }

    /// A table by its BCN name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// Names and editions, in order.
    pub fn editions(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.tables.iter().map(|(n, t)| (n.as_str(), t))
    }
}

impl Table {
    /// Judges a code at a date.
    pub fn judge(&self, code: &str, at: NaiveDate) -> Verdict<'_> {
        let Some(entry) = self.codes.get(code) else { return Verdict::Unknown };
        let windows = &entry.windows;
        if windows.iter().any(|v| v.holds(at)) {
            return Verdict::Valid;
        }
        match windows.iter().filter_map(|v| v.close).filter(|c| *c < at).max() {
            Some(last_day) => Verdict::Closed { last_day, successors: &entry.successors },
            None => windows.iter().filter_map(|v| v.open).min().map_or(Verdict::Unknown, Verdict::NotYetOpen),
        }
    }

    /// The distinct periods of a code, oldest first; none when it is unknown. A caller that meets
    /// the same code on many days may keep them and ask [`Validity::holds`].
    pub fn windows(&self, code: &str) -> &[Validity] {
        self.codes.get(code).map(|e| e.windows.as_slice()).unwrap_or_default()
    }

    /// Codes that replace a code, in the order of the file, without repeats.
    pub fn successors(&self, code: &str) -> &[String] {
        self.codes.get(code).map(|e| e.successors.as_slice()).unwrap_or_default()
    }

    /// Rows of a code, the most recent last.
    pub fn rows(&self, code: &str) -> &[Row] {
        self.codes.get(code).map(|e| e.rows.as_slice()).unwrap_or_default()
    }

    /// The row that holds on a day, the most recent when none or several do.
    pub fn row_at(&self, code: &str, at: NaiveDate) -> Option<&Row> {
        let rows = self.rows(code);
        rows.iter().rfind(|r| r.validity.holds(at)).or_else(|| rows.last())
    }

    /// The first label of a kind that is not empty, in the most recent row, without spaces around.
    pub fn label(&self, code: &str, kind: LabelKind) -> Option<&str> {
        let row = self.rows(code).last()?;
        self.columns_of(Role::Label(kind)).map(|i| row.cell(i).trim()).find(|l| !l.is_empty())
    }

    /// All codes, in order.
    pub fn codes(&self) -> Vec<&str> {
        let mut codes: Vec<&str> = self.codes.keys().map(String::as_str).collect();
        codes.sort_unstable();
        codes
    }

    /// How many flaws of each kind.
    pub fn flaws_by_kind(&self) -> BTreeMap<FlawKind, usize> {
        self.flaws.iter().fold(BTreeMap::new(), |mut counts, f| {
            *counts.entry(f.kind).or_default() += 1;
            counts
        })
    }

    /// Number of distinct codes.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether the table holds no code.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    fn columns_of(&self, role: Role) -> impl Iterator<Item = usize> {
        self.columns.iter().enumerate().filter(move |(_, c)| c.role == role).map(|(i, _)| i)
    }
}

/// A date as `yyyy-mm-dd`, or null.
fn iso<S: Serializer>(date: &Option<NaiveDate>, serializer: S) -> Result<S::Ok, S::Error> {
    date.map(|d| d.to_string()).serialize(serializer)
}

/// A date as people read it.
fn french_day(date: NaiveDate) -> String {
    date.format("%d/%m/%Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DateFormat;
    use std::path::{Path, PathBuf};

    pub(super) fn day(t: &str) -> NaiveDate {
        DateFormat::French.parse(t).unwrap()
    }

    pub(super) fn table(file: &str, bytes: &[u8]) -> Table {
        Table::from_file(file, bytes).unwrap().unwrap()
    }

    /// The real tables, where they are at hand.
    pub(super) fn real() -> Option<PathBuf> {
        // Tests run in the folder of their crate.
        let here = Path::new(".");
        let found = ["../../shared/bcn", "../shared/bcn"].iter().map(|p| here.join(p)).find(|p| p.is_dir());
        if found.is_none() {
            println!("ignoré : nomenclatures réelles absentes (../shared/bcn)");
        }
        found
    }

    pub(super) fn real_table(folder: &Path, file: &str) -> Table {
        table(file, &std::fs::read(folder.join(file)).unwrap())
    }

    #[test]
    fn a_code_is_judged_at_the_day_both_bounds_included() {
        let csv = "MEF;LIBELLE;DATE_OUVERTURE;DATE_FERMETURE\n\
                   1;a;01/09/2000;31/08/2010\n1;a;01/09/2020;\n2;b;;31/12/9999\n3;c;01/09/2019;31/08/1998\n";
        let latin = encoding_rs::WINDOWS_1252.encode(csv).0.into_owned();
        let (n, bad) = Nomenclatures::from_files(&[("n_mef.csv".into(), latin)]);
        assert_eq!(bad, []);
        let t = n.table("N_MEF").unwrap();
        assert_eq!(t.flawed_rows, 1);
        let closed = |d| Verdict::Closed { last_day: day(d), successors: &[] };
        for (code, at, want) in [
            ("1", "31/08/2000", Verdict::NotYetOpen(day("01/09/2000"))),
            ("1", "01/09/2000", Verdict::Valid),
            ("1", "31/08/2010", Verdict::Valid),
            ("1", "01/09/2010", closed("31/08/2010")),
            ("1", "01/09/2025", Verdict::Valid),
            ("2", "01/01/1900", Verdict::Valid),
            ("3", "31/08/1998", Verdict::Valid),
            ("3", "01/09/1998", closed("31/08/1998")),
            ("4", "01/01/2025", Verdict::Unknown),
        ] {
            assert_eq!(t.judge(code, day(at)), want, "{code} at {at}");
            let holds = t.windows(code).iter().any(|v| v.holds(day(at)));
            assert_eq!(holds, want == Verdict::Valid, "{code} at {at}");
        }
        assert_eq!(t.windows("1").len(), 2);
        assert_eq!(t.windows("4"), []);
    }

    #[test]
    fn separators_and_json_are_recognised() {
        let files = [
            ("n_a.csv".to_owned(), b"A|DATE_OUVERTURE\nX|01/01/2000\n".to_vec()),
            ("n_matiere_enseignee_long.json".to_owned(), br#"{"030101":{"name":"x"}}"#.to_vec()),
            ("readme.md".to_owned(), b"#".to_vec()),
            ("n_bad.json".to_owned(), b"[1]".to_vec()),
        ];
        let (n, bad) = Nomenclatures::from_files(&files);
        assert_eq!(
            n.editions().map(|(name, t)| (name, t.len())).collect::<Vec<_>>(),
            [("N_A", 1), ("N_MATIERE_ENSEIGNEE", 1)]
        );
        assert_eq!(bad.len(), 1);
    }

    #[test]
    fn the_first_file_of_a_table_wins_and_the_second_is_told() {
        let files = [
            ("2012/n_a_BCN.csv".to_owned(), b"A;B\nX;1\n".to_vec()),
            ("n_a.csv".to_owned(), b"A;B\nY;1\n".to_vec()),
        ];
        let (n, told) = Nomenclatures::from_files(&files);
        assert_eq!(n.table("N_A").unwrap().codes(), ["X"]);
        assert_eq!(
            told,
            [Unreadable {
                file: "n_a.csv".into(),
                reason: "table N_A déjà lue dans « 2012/n_a_BCN.csv » : ce fichier est ignoré, gardez une seule édition par dossier".into()
            }]
        );
    }

    #[test]
    fn a_closed_code_tells_what_replaces_it() {
        let csv = b"FORMATION_DIPLOME;DATE_FERMETURE;NOUVEAU_DIPLOME_1;NOUVEAU_DIPLOME_2\n\
            40023303;31/08/2014;40023304; 40023305 \n40023304;;;\n40023305;;40023305;\n";
        let t = table("n_formation_diplome.csv", csv);
        let verdict = t.judge("40023303", day("01/09/2014"));
        let Verdict::Closed { last_day, successors } = verdict else { panic!("{verdict:?}") };
        assert_eq!(last_day, day("31/08/2014"));
        assert_eq!(successors, ["40023304", "40023305"]);
        assert_eq!(replaced_by(successors), ", remplacé par 40023304 ou 40023305");
        assert_eq!(replaced_by(&successors[..1]), ", remplacé par 40023304");
        assert_eq!(replaced_by(t.successors("40023305")), "", "a code does not replace itself");
    }

    /// Rows, codes and flaws of each real file: `cargo test real_files -- --nocapture` shows them.
    #[test]
    fn real_files_give_the_rows_they_are_known_to_have() {
        let Some(folder) = real() else { return };
        use FlawKind::*;
        type Known = (&'static str, &'static str, usize, &'static [(FlawKind, usize)]);
        let known: [Known; 15] = [
            ("2012/n_dispositif_formation_BCN.csv", "N_DISPOSITIF_FORMATION", 150, &[(LostZeros, 8)]),
            ("2012/n_famille_matiere_BCN.csv", "N_FAMILLE_MATIERE", 57, &[(LostZeros, 10)]),
            ("2012/n_matiere_enseignee_BCN.csv", "N_MATIERE_ENSEIGNEE", 2676, &[(LostZeros, 1256)]),
            ("2012/n_mef_BCN.csv", "N_MEF", 8017, &[(OpeningAfterClosing, 17)]),
            ("2012/n_type_uai_BCN.csv", "N_TYPE_UAI", 62, &[]),
            ("n_dispositif_formation.csv", "N_DISPOSITIF_FORMATION", 168, &[]),
            ("n_famille_metier_spec_pro.csv", "N_FAMILLE_METIER_SPEC_PRO", 20, &[]),
            ("n_formation_diplome.csv", "N_FORMATION_DIPLOME", 3714, &[(UnknownSuccessor, 15)]),
            ("n_lettre_specialite.csv", "N_LETTRE_SPECIALITE", 17, &[]),
            ("n_lien_mef_famille_metier.csv", "N_LIEN_MEF_FAMILLE_METIER", 275, &[]),
            ("n_matiere_enseignee_long.json", "N_MATIERE_ENSEIGNEE", 3379, &[]),
            ("n_mef.csv", "N_MEF", 9195, &[(OpeningAfterClosing, 17)]),
            ("n_niveau_formation_diplome.csv", "N_NIVEAU_FORMATION_DIPLOME", 189, &[]),
            ("n_type_diplome_sise.csv", "N_TYPE_DIPLOME_SISE", 232, &[]),
            ("v_formation_diplome.csv", "V_FORMATION_DIPLOME", 9709, &[]),
        ];
        for (file, name, rows, flaws) in known {
            let t = real_table(&folder, file);
            let read: usize = t.codes().iter().map(|c| t.rows(c).len()).sum();
            println!("{file} : {} lignes, {} codes, {:?}", read, t.len(), t.flaws_by_kind());
            assert_eq!((t.name.as_str(), read, t.len()), (name, rows, rows), "{file}");
            assert_eq!(t.flaws_by_kind(), flaws.iter().copied().collect(), "{file}");
        }
        let diplomas = real_table(&folder, "n_formation_diplome.csv");
        let replaced = diplomas.codes().iter().filter(|c| !diplomas.successors(c).is_empty()).count();
        println!("n_formation_diplome.csv : {replaced} codes avec successeur");
        let link = real_table(&folder, "n_lien_mef_famille_metier.csv");
        assert_eq!(link.judge("2762111432/018_temp", day("01/09/2020")), Verdict::Valid);
        let mef = real_table(&folder, "n_mef.csv");
        let open = mef.codes().iter().filter(|c| mef.windows(c).iter().any(|v| v.close.is_none())).count();
        assert_eq!(open, 2242);
    }
}
