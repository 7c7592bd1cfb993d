//! All that a table says of one code, for `bcn show TABLE CODE [--date D]`.

use super::{LabelKind, Role, Table, Validity, Verdict, french_day, iso};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// What a table says of a code, and of what replaces it, on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeSheet {
    /// BCN name of the table.
    pub table: String,
    /// File of the edition.
    pub file: String,
    /// Digest of that file.
    pub sha256: String,
    /// The code asked for.
    pub code: String,
    /// The day asked for, `yyyy-mm-dd`.
    pub date: String,
    /// Verdict on that day.
    pub verdict: VerdictLine,
    /// All its periods, oldest first.
    pub periods: Vec<PeriodLine>,
    /// Labels that are not empty, in the order of the file, of the row that holds on that day.
    pub labels: Vec<LabelLine>,
    /// Codes that the table names as its successors.
    pub successors: Vec<SuccessorLine>,
    /// Codes that hold on that day, reached through successors of successors.
    pub valid_successors: Vec<String>,
    /// All other cells of that row that are not empty.
    pub cells: Vec<CellLine>,
    /// When the code is unknown: codes that differ by leading zeros or by case only.
    pub similar: Vec<String>,
}

/// A verdict, as told in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerdictLine {
    /// `valid`, `unknown`, `not_yet_open` or `closed`.
    pub status: &'static str,
    /// First day to come, or last day gone.
    #[serde(serialize_with = "iso")]
    pub day: Option<NaiveDate>,
}

/// A period of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeriodLine {
    /// First and last day.
    #[serde(flatten)]
    pub validity: Validity,
    /// Opening that is written after the closing, and ignored.
    #[serde(serialize_with = "iso")]
    pub ignored_opening: Option<NaiveDate>,
}

/// A label of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelLine {
    /// Which.
    pub kind: LabelKind,
    /// Column as found.
    pub column: String,
    /// Text without spaces around.
    pub text: String,
}

/// A successor of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SuccessorLine {
    /// Its code.
    pub code: String,
    /// Its long label, or another one.
    pub label: Option<String>,
    /// Its verdict on the same day.
    pub verdict: VerdictLine,
}

/// Another cell of a code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CellLine {
    /// Column as found.
    pub column: String,
    /// Text without spaces around.
    pub text: String,
}

impl From<Verdict<'_>> for VerdictLine {
    fn from(verdict: Verdict<'_>) -> Self {
        let (status, day) = match verdict {
            Verdict::Valid => ("valid", None),
            Verdict::Unknown => ("unknown", None),
            Verdict::NotYetOpen(day) => ("not_yet_open", Some(day)),
            Verdict::Closed { last_day, .. } => ("closed", Some(last_day)),
        };
        VerdictLine { status, day }
    }
}

impl VerdictLine {
    /// As said to people.
    pub fn french(&self) -> String {
        let day = self.day.map(french_day).unwrap_or_default();
        match self.status {
            "valid" => "valide".into(),
            "not_yet_open" => format!("pas encore ouvert (ouverture le {day})"),
            "closed" => format!("fermé (dernier jour de validité : {day})"),
            _ => "inconnu".into(),
        }
    }
}

impl PeriodLine {
    /// As said to people.
    pub fn french(&self) -> String {
        let period = match (self.validity.open, self.validity.close) {
            (None, None) => "sans limite".into(),
            (Some(o), None) => format!("depuis le {}", french_day(o)),
            (None, Some(c)) => format!("jusqu'au {}", french_day(c)),
            (Some(o), Some(c)) => format!("du {} au {}", french_day(o), french_day(c)),
        };
        match self.ignored_opening {
            None => period,
            Some(o) => {
                format!("{period} (ouverture notée le {}, après la fermeture : ignorée)", french_day(o))
            }
        }
    }
}

impl Table {
    /// All that is known of a code on a day. An unknown code has a sheet too, which says so.
    pub fn show(&self, code: &str, at: NaiveDate) -> CodeSheet {
        let row = self.row_at(code, at);
        let found = |wanted: fn(Role) -> bool| {
            self.columns
                .iter()
                .enumerate()
                .filter(move |(_, c)| wanted(c.role))
                .filter_map(move |(i, c)| row.map(|r| (c, r.cell(i).trim())))
                .filter(|(_, text)| !text.is_empty())
        };
        let mut periods: Vec<PeriodLine> = self
            .rows(code)
            .iter()
            .map(|r| PeriodLine { validity: r.validity, ignored_opening: r.ignored_opening })
            .collect();
        periods.dedup();
        CodeSheet {
            table: self.name.clone(),
            file: self.file.clone(),
            sha256: self.digest.to_string(),
            code: code.to_owned(),
            date: at.to_string(),
            verdict: self.judge(code, at).into(),
            periods,
            labels: found(|r| matches!(r, Role::Label(_)))
                .filter_map(|(c, text)| match c.role {
                    Role::Label(kind) => {
                        Some(LabelLine { kind, column: c.name.clone(), text: text.to_owned() })
                    }
                    _ => None,
                })
                .collect(),
            successors: self
                .successors(code)
                .iter()
                .map(|s| SuccessorLine {
                    code: s.clone(),
                    label: self.any_label(s).map(str::to_owned),
                    verdict: self.judge(s, at).into(),
                })
                .collect(),
            valid_successors: self.valid_successors(code, at),
            cells: found(|r| r == Role::Other || r == Role::Key)
                .map(|(c, text)| CellLine { column: c.name.clone(), text: text.to_owned() })
                .collect(),
            similar: if row.is_none() { self.similar(code) } else { Vec::new() },
        }
    }

    fn any_label(&self, code: &str) -> Option<&str> {
        [LabelKind::Long, LabelKind::Edition, LabelKind::Short, LabelKind::Other]
            .into_iter()
            .find_map(|kind| self.label(code, kind))
    }

    /// Follows successors until codes that hold; a circle of codes ends by itself.
    fn valid_successors(&self, code: &str, at: NaiveDate) -> Vec<String> {
        let mut seen: BTreeSet<&str> = BTreeSet::from([code]);
        let mut waiting: Vec<&str> = self.successors(code).iter().map(String::as_str).collect();
        let mut valid = BTreeSet::new();
        while let Some(next) = waiting.pop() {
            if !seen.insert(next) {
                continue;
            }
            match self.judge(next, at) {
                Verdict::Valid => {
                    valid.insert(next.to_owned());
                }
                _ => waiting.extend(self.successors(next).iter().map(String::as_str)),
            }
        }
        valid.into_iter().collect()
    }

    fn similar(&self, code: &str) -> Vec<String> {
        let core = |c: &str| c.trim().trim_start_matches('0').to_lowercase();
        let wanted = core(code);
        self.codes().into_iter().filter(|c| core(c) == wanted).map(str::to_owned).collect()
    }
}

impl CodeSheet {
    /// As said to people, several lines.
    pub fn french(&self) -> String {
        let edition: String = self.sha256.chars().take(12).collect();
        let day = self.date.parse::<NaiveDate>().map_or_else(|_| self.date.clone(), french_day);
        let mut text = format!(
            "{} {} (édition « {} », sha256 {edition})\nau {day} : {}\n",
            self.table,
            self.code,
            self.file,
            self.verdict.french()
        );
        if !self.similar.is_empty() {
            let _ = writeln!(text, "codes ressemblants : {}", self.similar.join(", "));
        }
        for label in &self.labels {
            let kind = match label.kind {
                LabelKind::Long => "libellé long",
                LabelKind::Short => "libellé court",
                LabelKind::Edition => "libellé d'édition",
                LabelKind::Other => "autre libellé",
            };
            let _ = writeln!(text, "{kind} : {}", label.text);
        }
        for period in &self.periods {
            let _ = writeln!(text, "période : {}", period.french());
        }
        for s in &self.successors {
            let label = s.label.as_deref().map(|l| format!(" {l}")).unwrap_or_default();
            let _ = writeln!(text, "remplacé par : {}{label}, {}", s.code, s.verdict.french());
        }
        let direct = |code: &String| self.successors.iter().any(|s| s.code == *code);
        if self.valid_successors.iter().any(|c| !direct(c)) {
            let _ = writeln!(
                text,
                "valides à cette date, de remplacement en remplacement : {}",
                self.valid_successors.join(", ")
            );
        }
        for cell in &self.cells {
            let _ = writeln!(text, "{} : {}", cell.column, cell.text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{day, real, real_table, table};
    use super::*;

    fn diplomas() -> Table {
        table(
            "n_formation_diplome.csv",
            "FORMATION_DIPLOME;LIBELLE_COURT;LIBELLE_LONG_200;DATE_OUVERTURE;DATE_FERMETURE;NOUVEAU_DIPLOME_1;NOUVEAU_DIPLOME_2;NATURE\n\
             01;CAP;CAP BÉTON ;01/09/1990;31/08/2000;02;09;1\n\
             02;CAP;CAP BÉTON ARMÉ;01/09/2000;31/08/2010;03;01;1\n\
             03;CAP;CAP MAÇON;01/09/2010;;;;1\n\
             04;CAP;CAP RATÉ;01/09/2019;31/08/1998;;;\n"
                .as_bytes(),
        )
    }

    #[test]
    fn a_sheet_tells_labels_periods_and_what_replaces_the_code() {
        let sheet = diplomas().show("01", day("01/09/2015"));
        assert_eq!(sheet.valid_successors, ["03"]);
        let french = sheet.french();
        let (head, tail) = french.split_once('\n').unwrap();
        assert!(
            head.starts_with("N_FORMATION_DIPLOME 01 (édition « n_formation_diplome.csv », sha256 "),
            "{head}"
        );
        assert_eq!(
            tail,
            "au 01/09/2015 : fermé (dernier jour de validité : 31/08/2000)\n\
             libellé court : CAP\n\
             libellé long : CAP BÉTON\n\
             période : du 01/09/1990 au 31/08/2000\n\
             remplacé par : 02 CAP BÉTON ARMÉ, fermé (dernier jour de validité : 31/08/2010)\n\
             remplacé par : 09, inconnu\n\
             valides à cette date, de remplacement en remplacement : 03\n\
             FORMATION_DIPLOME : 01\n\
             NATURE : 1\n"
        );
        let json = serde_json::to_value(&sheet).unwrap();
        assert_eq!(json["verdict"], serde_json::json!({"status": "closed", "day": "2000-08-31"}));
        assert_eq!(
            json["periods"],
            serde_json::json!([{"open": "1990-09-01", "close": "2000-08-31", "ignored_opening": null}])
        );
        assert_eq!(json["labels"][1]["kind"], "long");
    }

    #[test]
    fn an_inverted_period_shows_the_opening_that_was_ignored() {
        let french = diplomas().show("04", day("01/01/1990")).french();
        assert!(
            french.contains("période : jusqu'au 31/08/1998 (ouverture notée le 01/09/2019, après la fermeture : ignorée)\n"),
            "{french}"
        );
    }

    #[test]
    fn an_unknown_code_names_those_that_differ_by_zeros_or_case() {
        let sheet =
            table("n_matiere.csv", b"MATIERE;L\n35515;x\n371900;y\n").show("035515", day("01/01/2020"));
        assert_eq!((sheet.verdict.status, sheet.similar.as_slice()), ("unknown", &["35515".to_owned()][..]));
        assert!(sheet.french().contains("au 01/01/2020 : inconnu\ncodes ressemblants : 35515\n"));
    }

    #[test]
    fn a_real_replaced_diploma_names_its_successors() {
        let Some(folder) = real() else { return };
        let t = real_table(&folder, "n_formation_diplome.csv");
        let code = t
            .codes()
            .into_iter()
            .find(|c| !t.show(c, day("01/09/2020")).valid_successors.is_empty())
            .unwrap();
        let french = t.show(code, day("01/09/2020")).french();
        println!("{french}");
        assert!(french.contains("remplacé par : "));
    }
}
