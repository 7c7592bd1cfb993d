//! What changed in a table from one edition to another.

use super::{LabelKind, Role, Row, Table, french_day, iso};
use crate::french::{count, thousands};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Codes quoted in a summary, at most.
const EXAMPLES: usize = 10;

/// Changes between two editions of a table; codes and columns are in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableDiff {
    /// BCN name.
    pub table: String,
    /// The older edition.
    pub old: Edition,
    /// The newer one.
    pub new: Edition,
    /// Codes of both.
    pub common: usize,
    /// Codes of the new edition alone.
    pub opened: Vec<String>,
    /// Codes of the old edition alone: the BCN closes codes, it should not remove them.
    pub removed: Vec<String>,
    /// Codes with a new closing date: they were open, or closed on another day.
    pub closed: Vec<ClosingChange>,
    /// Codes that had a closing date and have none any more.
    pub reopened: Vec<ClosingChange>,
    /// Labels that changed, spaces and case included.
    pub relabelled: Vec<LabelChange>,
    /// All other columns that changed.
    pub changed_columns: Vec<ColumnChange>,
    /// Columns of the new edition alone; their cells are not compared.
    pub columns_added: Vec<String>,
    /// Columns of the old edition alone; their cells are not compared.
    pub columns_removed: Vec<String>,
}

/// An edition that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edition {
    /// Its file.
    pub file: String,
    /// Digest of that file.
    pub sha256: String,
    /// Its number of codes.
    pub codes: usize,
}

/// The end of a code moved: last day of its most recent period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosingChange {
    /// The code.
    pub code: String,
    /// In the old edition; none is open.
    #[serde(serialize_with = "iso")]
    pub old: Option<NaiveDate>,
    /// In the new edition; none is open.
    #[serde(serialize_with = "iso")]
    pub new: Option<NaiveDate>,
}

/// A label changed. When a code has several rows, the distinct labels are joined by ` | `.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LabelChange {
    /// The code.
    pub code: String,
    /// Which label.
    pub kind: LabelKind,
    /// Column, as the new edition names it.
    pub column: String,
    /// In the old edition.
    pub old: String,
    /// In the new edition.
    pub new: String,
}

/// A column changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnChange {
    /// Column, as the new edition names it.
    pub column: String,
    /// How many codes have another value.
    pub codes: usize,
}

/// Columns of both editions that hold the same thing.
struct Pair<'t> {
    name: &'t str,
    role: Role,
    old: usize,
    new: usize,
}

/// Compares two editions of a table. Columns are compared by name, in any case, and labels by kind
/// too, because exports rename them (`LIBELLE_LONG`, `name`); dates are compared as dates. The
/// closing dates are compared only when both editions have that column: otherwise nothing is known.
pub fn diff(old: &Table, new: &Table) -> TableDiff {
    let (old_codes, new_codes): (BTreeSet<&str>, BTreeSet<&str>) =
        (old.codes().into_iter().collect(), new.codes().into_iter().collect());
    let only = |a: &BTreeSet<&str>, b: &BTreeSet<&str>| a.difference(b).map(|c| (*c).to_owned()).collect();
    let pairs = pairs(old, new);
    let (mut closed, mut reopened, mut relabelled) = (Vec::new(), Vec::new(), Vec::new());
    let mut changed: BTreeMap<usize, usize> = BTreeMap::new();
    let mut common = 0;
    for code in old_codes.intersection(&new_codes) {
        common += 1;
        let (before, after) = (old.rows(code), new.rows(code));
        for pair in &pairs {
            let (was, is) = (values(before, pair.role, pair.old), values(after, pair.role, pair.new));
            if was == is {
                continue;
            }
            let end = |rows: &[Row]| rows.last().and_then(|r| r.validity.close);
            match (pair.role, end(before), end(after)) {
                (Role::Closing, o, n) if o != n => {
                    let change = ClosingChange { code: (*code).to_owned(), old: o, new: n };
                    if n.is_some() { closed.push(change) } else { reopened.push(change) }
                }
                (Role::Label(kind), _, _) => relabelled.push(LabelChange {
                    code: (*code).to_owned(),
                    kind,
                    column: pair.name.to_owned(),
                    old: was.join(" | "),
                    new: is.join(" | "),
                }),
                _ => *changed.entry(pair.new).or_default() += 1,
            }
        }
    }
    let names = |t: &Table, paired: fn(&Pair<'_>) -> usize| {
        let paired: BTreeSet<usize> = pairs.iter().map(paired).collect();
        let alone = t.columns.iter().enumerate().filter(|(i, c)| c.role != Role::Key && !paired.contains(i));
        alone.map(|(_, c)| c.name.clone()).collect()
    };
    TableDiff {
        table: new.name.clone(),
        old: edition(old),
        new: edition(new),
        common,
        opened: only(&new_codes, &old_codes),
        removed: only(&old_codes, &new_codes),
        closed,
        reopened,
        relabelled,
        changed_columns: changed
            .into_iter()
            .filter_map(|(i, codes)| {
                new.columns.get(i).map(|c| ColumnChange { column: c.name.clone(), codes })
            })
            .collect(),
        columns_added: names(new, |p| p.new),
        columns_removed: names(old, |p| p.old),
    }
}

fn edition(table: &Table) -> Edition {
    Edition { file: table.file.clone(), sha256: table.digest.to_string(), codes: table.len() }
}

fn pairs<'t>(old: &Table, new: &'t Table) -> Vec<Pair<'t>> {
    let mut free: BTreeSet<usize> = (0..old.columns.len()).collect();
    let mut by_name: BTreeMap<String, usize> = BTreeMap::new();
    for (i, c) in old.columns.iter().enumerate() {
        by_name.entry(c.name.to_uppercase()).or_insert(i);
    }
    let mut partner: Vec<Option<usize>> = Vec::new();
    for c in &new.columns {
        let same = by_name.get(&c.name.to_uppercase()).copied();
        partner
            .push(same.filter(|i| old.columns.get(*i).is_some_and(|o| o.role == c.role) && free.remove(i)));
    }
    // What is left and stands alone in its role is the same thing under another name.
    for (c, mate) in new.columns.iter().zip(&mut partner) {
        let named_alike = matches!(
            c.role,
            Role::Opening
                | Role::Closing
                | Role::Label(LabelKind::Long | LabelKind::Short | LabelKind::Edition)
        );
        if mate.is_none() && named_alike {
            *mate = old.columns_of(c.role).find(|i| free.contains(i));
            if let Some(i) = mate {
                free.remove(i);
            }
        }
    }
    let all = new.columns.iter().enumerate().zip(partner);
    all.filter(|((_, c), _)| c.role != Role::Key)
        .filter_map(|((i, c), mate)| mate.map(|old| Pair { name: &c.name, role: c.role, old, new: i }))
        .collect()
}

/// The values of a column in the rows of a code, oldest row first, without equal neighbours.
fn values(rows: &[Row], role: Role, column: usize) -> Vec<String> {
    let text = |date: Option<NaiveDate>| date.map(|d| d.to_string()).unwrap_or_default();
    let mut all: Vec<String> = rows
        .iter()
        .map(|row| match role {
            Role::Opening => text(row.validity.open.or(row.ignored_opening)),
            Role::Closing => text(row.validity.close),
            _ => row.cell(column).to_owned(),
        })
        .collect();
    all.dedup();
    all
}

impl TableDiff {
    /// Whether no code and no cell changed; the bytes may differ.
    pub fn is_unchanged(&self) -> bool {
        self.opened.is_empty()
            && self.removed.is_empty()
            && self.closed.is_empty()
            && self.reopened.is_empty()
            && self.relabelled.is_empty()
            && self.changed_columns.is_empty()
            && self.columns_added.is_empty()
            && self.columns_removed.is_empty()
    }

    /// As said to people, several lines.
    pub fn french(&self) -> String {
        let edition = |e: &Edition| {
            let short: String = e.sha256.chars().take(12).collect();
            format!("« {} » ({}, sha256 {short})", e.file, codes(e.codes))
        };
        let mut text = format!("{} : de {} à {}\n", self.table, edition(&self.old), edition(&self.new));
        if self.is_unchanged() {
            text.push_str("aucun changement\n");
            return text;
        }
        let _ = writeln!(text, "codes communs : {}", thousands(self.common as u64));
        let _ = writeln!(text, "codes ajoutés : {}", listed(&self.opened, String::clone));
        let _ = writeln!(text, "codes retirés : {}", listed(&self.removed, String::clone));
        let (newly, moved): (Vec<&ClosingChange>, Vec<&ClosingChange>) =
            self.closed.iter().partition(|c| c.old.is_none());
        let at = |c: &&ClosingChange| format!("{} le {}", c.code, c.new.map(french_day).unwrap_or_default());
        let _ = writeln!(text, "codes fermés : {}", listed(&newly, at));
        let from = |c: &&ClosingChange| {
            format!(
                "{} du {} au {}",
                c.code,
                c.old.map(french_day).unwrap_or_default(),
                c.new.map(french_day).unwrap_or_default()
            )
        };
        let _ = writeln!(text, "fermetures déplacées : {}", listed(&moved, from));
        let _ = writeln!(text, "codes rouverts : {}", listed(&self.reopened, |c| c.code.clone()));
        let labels = self.relabelled.iter().fold(BTreeMap::<&str, usize>::new(), |mut counts, l| {
            *counts.entry(&l.column).or_default() += 1;
            counts
        });
        let labels = labels.iter().map(|(column, n)| format!("{column} ({})", codes(*n)));
        let _ = writeln!(text, "libellés changés : {}", or_none("aucun", labels));
        let columns = self.changed_columns.iter().map(|c| format!("{} ({})", c.column, codes(c.codes)));
        let _ = writeln!(text, "autres colonnes changées : {}", or_none("aucune", columns));
        for (what, names) in
            [("colonnes ajoutées", &self.columns_added), ("colonnes retirées", &self.columns_removed)]
        {
            if !names.is_empty() {
                let _ = writeln!(text, "{what} : {}", names.join(", "));
            }
        }
        text
    }
}

fn codes(n: usize) -> String {
    count(n as u64, "code", "codes")
}

fn or_none(none: &str, parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { none.to_owned() } else { parts.join(", ") }
}

/// A number, and the first of what it counts.
fn listed<T>(all: &[T], say: impl Fn(&T) -> String) -> String {
    if all.is_empty() {
        return "0".into();
    }
    let shown: Vec<String> = all.iter().take(EXAMPLES).map(say).collect();
    let more = if all.len() > EXAMPLES { ", …" } else { "" };
    format!("{} ({}{more})", thousands(all.len() as u64), shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{real, real_table, table};
    use super::*;

    #[test]
    fn each_change_is_told_once_in_order() {
        let old = table(
            "2012/n_mef_BCN.csv",
            b"MEF;LIBELLE_LONG;DATE_OUVERTURE;DATE_FERMETURE;HORAIRE;VIEUX\n\
              1;a;01/09/2000;;5;\n2;b;01/09/2000;31/08/2010;5;\n3;c;;31/08/2010;5;\n4;d;;;5;\n6;f;;31/12/9999;5;\n",
        );
        let new = table(
            "n_mef.csv",
            b"mef|libelle_long_200|date_ouverture|date_fermeture|horaire|neuf\n\
              6|f|||5|\n5|e|||5|\n3|c|2000-09-01|2011-08-31|6|\n2|b |2000-09-01||5|\n1|A|2000-09-01|2015-08-31|5|\n",
        );
        let d = diff(&old, &new);
        let json = serde_json::to_value(&d).unwrap();
        assert_eq!(json["common"], 4);
        assert_eq!(json["opened"], serde_json::json!(["5"]));
        assert_eq!(json["removed"], serde_json::json!(["4"]));
        assert_eq!(
            json["closed"],
            serde_json::json!([
                {"code": "1", "old": null, "new": "2015-08-31"},
                {"code": "3", "old": "2010-08-31", "new": "2011-08-31"},
            ])
        );
        assert_eq!(json["reopened"], serde_json::json!([{"code": "2", "old": "2010-08-31", "new": null}]));
        let label = |code: &str, old: &str, new: &str| serde_json::json!({"code": code, "kind": "long", "column": "libelle_long_200", "old": old, "new": new});
        assert_eq!(json["relabelled"], serde_json::json!([label("1", "a", "A"), label("2", "b", "b ")]));
        assert_eq!(
            json["changed_columns"],
            serde_json::json!([{"column": "date_ouverture", "codes": 1}, {"column": "horaire", "codes": 1}])
        );
        assert_eq!(
            (d.columns_added.as_slice(), d.columns_removed.as_slice()),
            (&["neuf".to_owned()][..], &["VIEUX".to_owned()][..])
        );
        let french = d.french();
        let (_, tail) = french.split_once('\n').unwrap();
        assert_eq!(
            tail,
            "codes communs : 4\n\
             codes ajoutés : 1 (5)\n\
             codes retirés : 1 (4)\n\
             codes fermés : 1 (1 le 31/08/2015)\n\
             fermetures déplacées : 1 (3 du 31/08/2010 au 31/08/2011)\n\
             codes rouverts : 1 (2)\n\
             libellés changés : libelle_long_200 (2 codes)\n\
             autres colonnes changées : date_ouverture (1 code), horaire (1 code)\n\
             colonnes ajoutées : neuf\n\
             colonnes retirées : VIEUX\n"
        );
        assert!(diff(&old, &old).is_unchanged());
        assert!(diff(&new, &new).french().ends_with("aucun changement\n"));
    }

    #[test]
    fn without_a_closing_column_nothing_is_said_of_closings() {
        let old = table("n_x_BCN.csv", b"X;LIBELLE_COURT\n1;a\n2;b\n");
        let new = table("n_x.csv", b"X;LIBELLE_COURT;DATE_FERMETURE\n1;a;31/08/2010\n2;b;\n");
        let d = diff(&old, &new);
        assert!(d.closed.is_empty() && d.reopened.is_empty());
        assert_eq!(d.columns_added, ["DATE_FERMETURE"]);
    }

    #[test]
    fn several_rows_of_a_code_are_compared_as_a_whole() {
        let head = "X;LIBELLE;DATE_OUVERTURE;DATE_FERMETURE\n";
        let old = table("n_x.csv", format!("{head}1;a;01/09/2000;31/08/2010\n1;b;01/09/2015;\n").as_bytes());
        let new = table("n_x.csv", format!("{head}1;b;01/09/2015;\n1;c;01/09/2000;31/08/2011\n").as_bytes());
        let d = diff(&old, &new);
        assert!(d.closed.is_empty() && d.reopened.is_empty(), "its last period is open in both");
        assert_eq!(d.changed_columns, [ColumnChange { column: "DATE_FERMETURE".into(), codes: 1 }]);
        assert_eq!((d.relabelled[0].old.as_str(), d.relabelled[0].new.as_str()), ("a | b", "c | b"));
    }

    #[test]
    fn real_mef_of_2012_and_2020_differ_as_known() {
        let Some(folder) = real() else { return };
        let d = diff(&real_table(&folder, "2012/n_mef_BCN.csv"), &real_table(&folder, "n_mef.csv"));
        println!("{}", d.french());
        let long = d.relabelled.iter().filter(|l| l.kind == LabelKind::Long).count();
        assert_eq!((d.common, d.opened.len(), d.removed.len()), (8007, 1188, 10));
        assert_eq!((d.closed.len() + d.reopened.len(), d.reopened.len(), long), (1146, 78, 89));
        let json = serde_json::to_string(&d).unwrap();
        let again = diff(&real_table(&folder, "2012/n_mef_BCN.csv"), &real_table(&folder, "n_mef.csv"));
        assert_eq!(json, serde_json::to_string(&again).unwrap());
    }

    #[test]
    fn real_subjects_that_lost_their_zeros_are_not_taken_for_others() {
        let Some(folder) = real() else { return };
        let d = diff(
            &real_table(&folder, "2012/n_matiere_enseignee_BCN.csv"),
            &real_table(&folder, "n_matiere_enseignee_long.json"),
        );
        println!("{}", d.french());
        assert_eq!((d.common, d.removed.len()), (1420, 1256));
    }
}
