//! What a dataset is made of, in words that do not depend on how it calls its columns: two datasets that cross the
//! same column of the same table speak of the same cells, whatever their names.

use super::dataset::{Dataset, Dimension, Join};
use crate::disclosure::release::Chosen;
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where the codes of a dimension come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// `table.column`, or `table.left=other.right:column` for a column found by an equality.
    pub source: String,
    /// First characters that are the code; all when none.
    pub prefix: Option<usize>,
}

impl Origin {
    /// Of a dimension of `table`.
    pub fn of(table: &str, join: Option<&Join>, dimension: &Dimension) -> Self {
        let column = &dimension.column;
        let source = match join.filter(|j| j.columns.contains(column)) {
            Some(j) => format!("{table}.{}={}.{}:{column}", j.left, j.table, j.right),
            None => format!("{table}.{column}"),
        };
        Origin { source, prefix: dimension.prefix }
    }

    /// A column of the table counted.
    pub fn own(table: &str, column: &str) -> Self {
        Origin { source: format!("{table}.{column}"), prefix: None }
    }

    /// Its name among all levels.
    pub fn name(&self) -> String {
        match self.prefix {
            Some(n) => format!("{}/{n}", self.source),
            None => self.source.clone(),
        }
    }

    /// The table counted, the join that brings the column when it is another's, and the column.
    pub fn parts(&self) -> Option<(String, Option<Join>, String)> {
        let (own, brought) =
            self.source.split_once('=').map_or((self.source.as_str(), None), |(o, b)| (o, Some(b)));
        let (table, column) = own.split_once('.')?;
        let Some(brought) = brought else { return Some((table.to_owned(), None, column.to_owned())) };
        let (other, brought) = brought.split_once(':')?;
        let (other, right) = other.split_once('.')?;
        let join = Join {
            table: other.to_owned(),
            left: column.to_owned(),
            right: right.to_owned(),
            columns: vec![brought.to_owned()],
        };
        Some((table.to_owned(), Some(join), brought.to_owned()))
    }
}

/// The first characters of a code.
pub fn first(code: &str, characters: Option<usize>) -> &str {
    let end = characters.and_then(|n| code.char_indices().nth(n)).map_or(code.len(), |(i, _)| i);
    code.get(..end).unwrap_or(code)
}

/// Which rows of the table are counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rows {
    /// Those with these values: column → values.
    pub only: BTreeMap<String, BTreeSet<String>>,
    /// Not those with these.
    pub exclude: BTreeMap<String, BTreeSet<String>>,
    /// Those before this: a column, and what its first characters are under.
    pub before: Option<(String, String)>,
    /// Those that have a value.
    pub present: Option<String>,
    /// Those whose join finds something: left column, other table, its column.
    pub joined: Option<(String, String, String)>,
}

/// One condition on rows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Condition {
    /// Its name, the same wherever it is asked.
    pub name: String,
    /// Column of the table that it looks at.
    pub column: String,
    /// What it asks.
    pub test: Test,
}

/// What a condition asks of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Test {
    /// To be one of these.
    In(BTreeSet<String>),
    /// To be none of these.
    Out(BTreeSet<String>),
    /// To begin under this.
    Before(String),
    /// To be there.
    Present,
    /// To be found in a column of another table.
    Joined(String, String),
}

impl Condition {
    /// Whether a value passes; `found` for what is asked of another table.
    pub fn takes(&self, value: Option<&str>, found: bool) -> bool {
        match &self.test {
            Test::In(codes) => value.is_some_and(|v| codes.contains(v)),
            Test::Out(codes) => value.is_none_or(|v| !codes.contains(v)),
            Test::Before(end) => value.is_some_and(|v| first(v, Some(end.chars().count())) < end.as_str()),
            Test::Present => value.is_some(),
            Test::Joined(..) => found,
        }
    }

    /// As names of cells say it; `level` is what the column is called there.
    pub fn chosen(&self, level: String) -> Chosen {
        let (codes, out) = match &self.test {
            Test::In(codes) => (codes.clone(), false),
            Test::Out(codes) => (codes.clone(), true),
            _ => (BTreeSet::new(), true),
        };
        let looks = matches!(self.test, Test::In(_) | Test::Out(_));
        Chosen { flag: self.name.clone(), level: looks.then_some(level), codes, out }
    }
}

impl Rows {
    /// Its conditions, on a table.
    pub fn conditions(&self, table: &str) -> Vec<Condition> {
        let list = |codes: &BTreeSet<String>| codes.iter().map(String::as_str).collect::<Vec<_>>().join("|");
        let of = |column: &String, test: Test| {
            let text = match &test {
                Test::In(codes) => format!("={}", list(codes)),
                Test::Out(codes) => format!("!={}", list(codes)),
                Test::Before(end) => format!("<{end}"),
                Test::Present => " présent".into(),
                Test::Joined(other, right) => format!(" dans {other}.{right}"),
            };
            Condition { name: format!("{table}.{column}{text}"), column: column.clone(), test }
        };
        let mut all: Vec<Condition> = self.only.iter().map(|(c, v)| of(c, Test::In(v.clone()))).collect();
        all.extend(self.exclude.iter().map(|(c, v)| of(c, Test::Out(v.clone()))));
        all.extend(self.before.iter().map(|(c, end)| of(c, Test::Before(end.clone()))));
        all.extend(self.present.iter().map(|c| of(c, Test::Present)));
        all.extend(self.joined.iter().map(|(l, t, r)| of(l, Test::Joined(t.clone(), r.clone()))));
        all
    }

    /// For people.
    pub fn text(&self, table: &str) -> String {
        let all = self.conditions(table);
        let short = |c: &Condition| c.name.strip_prefix(&format!("{table}.")).unwrap_or(&c.name).to_owned();
        all.iter().map(short).collect::<Vec<_>>().join(" & ")
    }
}

impl Dataset {
    /// Where each dimension comes from.
    pub fn origins(&self) -> Vec<Origin> {
        self.dimensions.iter().map(|d| Origin::of(&self.table, self.join.as_ref(), d)).collect()
    }

    /// Which rows it counts on a day.
    pub fn rows(&self, date: NaiveDate) -> Rows {
        let sets = |all: &BTreeMap<String, Vec<String>>| {
            all.iter().map(|(c, v)| (c.clone(), v.iter().cloned().collect())).collect()
        };
        Rows {
            only: sets(&self.only),
            exclude: sets(&self.exclude),
            before: self.end(date),
            present: self.measure.column.clone(),
            joined: self.join.as_ref().map(|j| (j.left.clone(), j.table.clone(), j.right.clone())),
        }
    }

    /// Column of the periods that leave once they are over, and the first that is not.
    pub fn end(&self, date: NaiveDate) -> Option<(String, String)> {
        let d = self.closed.and_then(|at| self.dimensions.get(at))?;
        // A day stands for the week that begins there.
        let day = if d.prefix.is_some() { date } else { date - Days::new(6) };
        Some((d.column.clone(), first(&day.to_string(), d.prefix).to_owned()))
    }

    /// Whether a crossing is published: levels of each hierarchy that its codes detail.
    pub fn publishes(&self, depths: &[u8]) -> bool {
        self.margins.as_ref().is_none_or(|m| m.contains(depths))
    }
}

/// Crossings to publish, as levels of each hierarchy, or what is wrong with them. A crossing names the finest
/// dimension of each hierarchy that it details. What two of them have in common is said by both: it must be
/// among them, or readers would know more than the audit.
pub fn margins(
    listed: &[Vec<String>],
    dimensions: &[Dimension],
    chains: &[Vec<usize>],
) -> Result<BTreeSet<Vec<u8>>, String> {
    let mut found = BTreeSet::new();
    let name = |depths: &[u8]| -> String {
        let fine = |(chain, depth): (&Vec<usize>, &u8)| {
            let column = chain.get(usize::from(depth.checked_sub(1)?))?;
            dimensions.get(*column).map(|d| d.name.clone())
        };
        format!("[{}]", chains.iter().zip(depths).filter_map(fine).collect::<Vec<_>>().join(", "))
    };
    for crossing in listed {
        let mut depths = vec![0_u8; chains.len()];
        for own in crossing {
            let place = chains.iter().zip(&mut depths).find_map(|(chain, depth)| {
                let level = chain.iter().position(|c| dimensions.get(*c).is_some_and(|d| d.name == *own))?;
                Some((level, depth))
            });
            let Some((level, depth)) = place else {
                return Err(format!("margins : « {own} » n'est pas une dimension de ce jeu"));
            };
            if *depth != 0 {
                return Err(format!(
                    "margins : « {own} » et une autre sont de la même hiérarchie ; nommez la plus fine"
                ));
            }
            *depth = u8::try_from(level + 1).unwrap_or(u8::MAX);
        }
        found.insert(depths);
    }
    for a in &found {
        for b in &found {
            let common: Vec<u8> = a.iter().zip(b).map(|(x, y)| *x.min(y)).collect();
            if !found.contains(&common) {
                return Err(format!(
                    "margins : {} et {} disent tous deux {} : ajoutez-le",
                    name(a),
                    name(b),
                    name(&common)
                ));
            }
        }
    }
    if found.is_empty() {
        return Err("margins : aucun croisement".into());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimension(name: &str, column: &str, prefix: Option<usize>, coarser: Option<&str>) -> Dimension {
        Dimension {
            name: name.into(),
            column: column.into(),
            prefix,
            title: name.into(),
            coarser: coarser.map(Into::into),
            levels: vec![],
            secret: false,
            ordered: false,
        }
    }

    #[test]
    fn an_origin_says_how_it_is_found_again() {
        let join =
            Join { table: "b".into(), left: "cle".into(), right: "id".into(), columns: vec!["uai".into()] };
        let brought = Origin::of("a", Some(&join), &dimension("dep", "uai", Some(3), None));
        assert_eq!(brought.name(), "a.cle=b.id:uai/3");
        let (table, found, column) = brought.parts().unwrap();
        let found = found.unwrap();
        assert_eq!(
            [&table, &found.table, &found.left, &found.right, &column],
            ["a", "b", "cle", "id", "uai"]
        );
        let own = Origin::of("a", Some(&join), &dimension("mef", "mef", Some(3), None));
        assert_eq!(own.name(), "a.mef/3");
        assert_eq!(own.parts().map(|(t, j, c)| (t, j.is_none(), c)), Some(("a".into(), true, "mef".into())));
    }

    #[test]
    fn each_condition_takes_what_the_group_by_takes() {
        let set = |codes: &[&str]| codes.iter().map(|c| (*c).to_owned()).collect::<BTreeSet<String>>();
        for (test, taken, left) in [
            (Test::In(set(&["x", "y"])), vec![Some("x")], vec![Some("z"), None]),
            (Test::Out(set(&["x"])), vec![Some("z"), None], vec![Some("x")]),
            (Test::Before("2026-01".into()), vec![Some("2025-12-29")], vec![Some("2026-01-05"), None]),
            (Test::Present, vec![Some("")], vec![None]),
        ] {
            let condition = Condition { name: "c".into(), column: "c".into(), test };
            assert!(taken.iter().all(|v| condition.takes(*v, false)), "{condition:?}");
            assert!(!left.iter().any(|v| condition.takes(*v, false)), "{condition:?}");
        }
    }

    #[test]
    fn margins_hold_what_two_of_them_have_in_common() {
        let dimensions = [
            dimension("dep", "uai", Some(3), None),
            dimension("uai", "uai", None, Some("dep")),
            dimension("sexe", "s", None, None),
        ];
        let chains = [vec![0, 1], vec![2]];
        let list = |crossings: &[&[&str]]| -> Vec<Vec<String>> {
            crossings.iter().map(|c| c.iter().map(|n| (*n).to_owned()).collect()).collect()
        };
        let of = |crossings: &[&[&str]]| margins(&list(crossings), &dimensions, &chains);
        assert_eq!(
            of(&[&["uai", "sexe"], &["dep"]]).unwrap(),
            [vec![1, 0], vec![2, 1]].into_iter().collect()
        );
        for (crossings, want) in [
            (&[&["uai"][..], &["dep", "sexe"][..]][..], "disent tous deux [dep]"),
            (&[&["uai", "dep"][..]][..], "même hiérarchie"),
            (&[&["age"][..]][..], "n'est pas une dimension"),
            (&[][..], "aucun croisement"),
        ] {
            let said = of(crossings).unwrap_err();
            assert!(said.contains(want), "{said}");
        }
    }
}
