//! A published table: cells with totals, as SDMX writes them.

use super::dataset::Dataset;
use crate::disclosure::published_csv::under;
use crate::disclosure::release::Key;
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// The total of a dimension.
pub const TOTAL: &str = "_T";

/// Cells that may be made of a dataset, before what they have in common is found.
const LARGEST: usize = 40_000_000;

/// Refuses a dataset whose crossings would not fit in memory.
///
/// # Errors
/// [`Error::Refused`] `TOO_MANY_CELLS`.
pub fn check_size(dataset: &Dataset, inner: usize) -> Result<()> {
    let size = dataset.chains().iter().fold(inner, |n, chain| n.saturating_mul(chain.len() + 1));
    if size <= LARGEST {
        return Ok(());
    }
    Err(Error::Refused {
        code: "TOO_MANY_CELLS",
        message: format!(
            "jeu {} : {inner} croisements fins et leurs totaux ne se protègent pas d'un coup ; publiez moins de dimensions",
            dataset.name
        ),
    })
}

/// Figures of a cell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Persons, records, or a sum that nobody makes.
    pub value: u64,
    /// What persons make together.
    pub sum: u64,
    /// What the first of them makes.
    pub first: u64,
    /// What the second makes.
    pub second: u64,
    /// Sum of the keys of its records, where noise is drawn from them.
    pub key: u64,
}

impl Figures {
    /// A value alone.
    pub fn value(value: u64) -> Self {
        Figures { value, ..Figures::default() }
    }

    /// With those of other persons.
    pub fn add(&mut self, other: Figures) {
        // What is too large for the proof is refused later, by name.
        self.value = self.value.saturating_add(other.value);
        self.sum = self.sum.saturating_add(other.sum);
        self.key = self.key.wrapping_add(other.key);
        let (low, high) = (self.first.min(other.first), self.first.max(other.first));
        self.second = low.max(self.second).max(other.second);
        self.first = high;
    }
}

/// One published cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// One code per dimension; [`TOTAL`] for a margin.
    pub codes: Vec<String>,
    /// True figures: known to the engine only when `masked`.
    pub figures: Figures,
    /// Persons are not published, nor anything made of their number.
    pub masked: bool,
    /// Neither is what they make together.
    pub amount_masked: bool,
}

/// Cells with every margin, sorted by codes. Combinations that nobody fills are absent: readers
/// know that they are zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cube {
    /// Columns of each hierarchy, coarse before fine.
    pub chains: Vec<Vec<usize>>,
    /// Cells.
    pub cells: Vec<Cell>,
}

impl Cube {
    /// All margins of the given inner cells: a finer column is a total wherever a coarser one is.
    pub fn with_totals(chains: Vec<Vec<usize>>, inner: &BTreeMap<Vec<String>, Figures>) -> Self {
        let mut all: BTreeMap<Vec<String>, Figures> = BTreeMap::new();
        for (codes, figures) in inner {
            let mut keys = vec![codes.clone()];
            for chain in &chains {
                // From the finest: each step replaces one more column.
                let mut coarser = Vec::new();
                for mut key in keys {
                    coarser.push(key.clone());
                    for column in chain.iter().rev() {
                        if let Some(code) = key.get_mut(*column) {
                            TOTAL.clone_into(code);
                        }
                        coarser.push(key.clone());
                    }
                }
                keys = coarser;
            }
            for key in keys {
                all.entry(key).or_default().add(*figures);
            }
        }
        let cells = all
            .into_iter()
            .map(|(codes, figures)| Cell { codes, figures, masked: false, amount_masked: false })
            .collect();
        Cube { chains, cells }
    }

    /// Levels of each hierarchy that a cell details.
    pub fn depths(&self, cell: &Cell) -> Vec<u8> {
        let filled = |c: &&usize| cell.codes.get(**c).is_some_and(|code| code != TOTAL);
        let depth = |chain: &Vec<usize>| u8::try_from(chain.iter().filter(filled).count());
        self.chains.iter().map(|chain| depth(chain).unwrap_or(u8::MAX)).collect()
    }

    /// Names of the cells: the finest code of each hierarchy, after those above it where it comes under several.
    pub fn keys(&self, names: &[&str]) -> Vec<Key> {
        let several = Several::of(&self.chains, self.cells.iter().map(|c| &c.codes));
        let named = |cell: &Cell| {
            let mut key = Key::new();
            for chain in &self.chains {
                let filled =
                    chain.iter().take_while(|c| cell.codes.get(**c).is_some_and(|code| code != TOTAL));
                let filled: Vec<usize> = filled.copied().collect();
                let name = filled.last().and_then(|c| names.get(*c));
                key.extend(name.map(|n| ((*n).to_owned(), several.name(&filled, &cell.codes))));
            }
            key.sort_unstable();
            key
        };
        self.cells.iter().map(named).collect()
    }
}

/// Codes that come under several others: two communes of one name.
pub struct Several(BTreeSet<(usize, String)>);

impl Several {
    /// Among these rows of codes, by all that is above each.
    pub fn of<'a>(chains: &[Vec<usize>], rows: impl Iterator<Item = &'a Vec<String>>) -> Self {
        let mut paths: BTreeMap<(usize, &'a str), Vec<&'a str>> = BTreeMap::new();
        let mut found = BTreeSet::new();
        for codes in rows {
            for chain in chains {
                let own: Vec<&str> = chain.iter().filter_map(|c| codes.get(*c)).map(String::as_str).collect();
                for (depth, (column, code)) in chain.iter().zip(&own).enumerate().skip(1) {
                    let above = own.get(..depth).unwrap_or_default();
                    if *code == TOTAL {
                        break;
                    }
                    if paths.entry((*column, code)).or_insert_with(|| above.to_vec()) != above {
                        found.insert((*column, (*code).to_owned()));
                    }
                }
            }
        }
        Several(found)
    }

    /// Name of the code of the last column of a chain.
    pub fn name(&self, chain: &[usize], codes: &[String]) -> String {
        let mut name: Option<String> = None;
        for column in chain {
            let code = codes.get(*column).map_or("", String::as_str);
            let above = name.take().filter(|_| self.has(*column, code));
            name = Some(under(above, code));
        }
        name.unwrap_or_default()
    }

    fn has(&self, column: usize, code: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&(column, code.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(list: &[(&[&str], u64)]) -> BTreeMap<Vec<String>, Figures> {
        let codes = |codes: &[&str]| codes.iter().map(|c| (*c).to_owned()).collect();
        list.iter().map(|(c, n)| (codes(c), Figures::value(*n))).collect()
    }

    #[test]
    fn the_first_two_of_a_margin_are_those_of_its_cells() {
        let of = |sum, first, second| Figures { value: 3, sum, first, second, key: 0 };
        let mut a = of(100, 60, 30);
        a.add(of(90, 50, 40));
        assert_eq!(a, Figures { value: 6, ..of(190, 60, 50) });
        a.add(of(200, 99, 98));
        assert_eq!(a, Figures { value: 9, ..of(390, 99, 98) });
    }

    #[test]
    fn every_margin_is_the_sum_of_its_cells() {
        let cells = inner(&[(&["a", "x"], 3), (&["a", "y"], 4), (&["b", "x"], 5)]);
        let cube = Cube::with_totals(vec![vec![0], vec![1]], &cells);
        let of = |a: &str, b: &str| cube.cells.iter().find(|c| c.codes == [a, b]).map(|c| c.figures.value);
        assert_eq!(cube.cells.len(), 3 + 2 + 2 + 1);
        assert_eq!(
            (of("a", TOTAL), of(TOTAL, "x"), of(TOTAL, TOTAL), of("b", "y")),
            (Some(7), Some(8), Some(12), None)
        );
    }

    #[test]
    fn a_school_has_no_cell_apart_from_its_departement() {
        let cells = inner(&[(&["d1", "u1", "F"], 3), (&["d1", "u2", "F"], 4), (&["d2", "u3", "M"], 5)]);
        let cube = Cube::with_totals(vec![vec![0, 1], vec![2]], &cells);
        // (3 schools + 2 départements + all) by (own sex + all), and all by the other sex.
        assert_eq!(cube.cells.len(), 3 * 2 + 2 * 2 + 3);
        assert!(cube.cells.iter().all(|c| c.codes[0] != TOTAL || c.codes[1] == TOTAL));
        let cell = &cube.cells.iter().find(|c| c.codes == ["d1", "u2", TOTAL]).unwrap();
        let at = cube.cells.iter().position(|c| c == *cell).unwrap();
        assert_eq!(cube.keys(&["departement", "uai", "sexe"])[at], [("uai".to_owned(), "u2".to_owned())]);
    }

    #[test]
    fn a_code_under_two_others_is_named_with_them() {
        let cells = inner(&[(&["d1", "u1"], 3), (&["d2", "u1"], 4), (&["d2", "u2"], 5)]);
        let cube = Cube::with_totals(vec![vec![0, 1]], &cells);
        let names: Vec<String> =
            cube.keys(&["d", "u"]).iter().map(|k| crate::disclosure::release::label(k)).collect();
        assert_eq!(names, ["total", "d=d1", "u=d1 / u1", "d=d2", "u=d2 / u1", "u=u2"]);
    }
}
