//! What a dataset is made of, in words that do not depend on how it calls its columns: two datasets that cross the
//! same column of the same table speak of the same cells, whatever their names.

use super::dataset::{Dataset, Dimension, Join};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where the codes of a dimension come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Origin {
    /// `table.column`, or `left=table.right:column` for a column found by an equality.
    pub source: String,
    /// First characters that are the code; all when none.
    pub prefix: Option<usize>,
}

impl Origin {
    /// Of a dimension of `table`.
    pub fn of(table: &str, join: Option<&Join>, dimension: &Dimension) -> Self {
        let column = &dimension.column;
        let source = match join.filter(|j| j.columns.contains(column)) {
            Some(j) => format!("{}={}.{}:{column}", j.left, j.table, j.right),
            None => format!("{table}.{column}"),
        };
        Origin { source, prefix: dimension.prefix }
    }

    /// Its name among all levels.
    pub fn name(&self) -> String {
        match self.prefix {
            Some(n) => format!("{}/{n}", self.source),
            None => self.source.clone(),
        }
    }

    /// The join that brings it and its column; only the column when it is the table's own.
    pub fn parts(&self) -> (Option<Join>, String) {
        let own = || (None, self.source.rsplit('.').next().unwrap_or_default().to_owned());
        let Some((left, rest)) = self.source.split_once('=') else { return own() };
        let Some(((table, right), column)) =
            rest.split_once(':').and_then(|(t, c)| Some((t.rsplit_once('.')?, c)))
        else {
            return own();
        };
        let join = Join {
            table: table.to_owned(),
            left: left.to_owned(),
            right: right.to_owned(),
            columns: vec![column.to_owned()],
        };
        (Some(join), column.to_owned())
    }

    /// Whether this one is the beginning of the other: its code says this one's.
    pub fn begins(&self, other: &Origin) -> bool {
        self.source == other.source
            && self.prefix.is_some_and(|own| other.prefix.is_none_or(|whole| own < whole))
    }
}

/// The first characters of a code.
pub fn first(code: &str, characters: Option<usize>) -> &str {
    let end = characters.and_then(|n| code.char_indices().nth(n)).map_or(code.len(), |(i, _)| i);
    code.get(..end).unwrap_or(code)
}

/// Which rows of the table are counted, in a form of its own: another choice of rows is another state.
pub fn filter(
    exclude: &BTreeMap<String, Vec<String>>,
    only: &BTreeMap<String, Vec<String>>,
    join: Option<&Join>,
) -> String {
    let sorted = |values: &Vec<String>| {
        let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
        values.into_iter().collect::<Vec<_>>().join("|")
    };
    let kept = only.iter().map(|(c, v)| format!("{c}={}", sorted(v)));
    let left = exclude.iter().map(|(c, v)| format!("{c}!={}", sorted(v)));
    // Rows whose join finds nothing are not counted.
    let joined = join.iter().map(|j| format!("{} in {}.{}", j.left, j.table, j.right));
    kept.chain(left).chain(joined).collect::<Vec<_>>().join(" & ")
}

/// A state of the population: its date, and which rows.
pub fn state(date: &str, filter: &str) -> String {
    if filter.is_empty() { date.to_owned() } else { format!("{date} {filter}") }
}

impl Dataset {
    /// Where each dimension comes from.
    pub fn origins(&self) -> Vec<Origin> {
        self.dimensions.iter().map(|d| Origin::of(&self.table, self.join.as_ref(), d)).collect()
    }

    /// Which rows it counts.
    pub fn filter(&self) -> String {
        filter(&self.exclude, &self.only, self.join.as_ref())
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
        assert_eq!(brought.name(), "cle=b.id:uai/3");
        let (found, column) = brought.parts();
        let found = found.unwrap();
        assert_eq!(
            (found.table.as_str(), found.left.as_str(), found.right.as_str(), column.as_str()),
            ("b", "cle", "id", "uai")
        );
        let whole = Origin::of("a", Some(&join), &dimension("uai", "uai", None, None));
        let own = Origin::of("a", Some(&join), &dimension("mef", "mef", Some(3), None));
        assert_eq!((own.name().as_str(), own.parts().1.as_str()), ("a.mef/3", "mef"));
        assert!(brought.begins(&whole) && !whole.begins(&brought) && !own.begins(&whole));
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
