//! Rows of persons made alike: k-anonymity, l-diversity and t-closeness over declared quasi-identifiers.
//!
//! Quasi-identifiers are generalised, each to one level of its hierarchy for the whole table; rows whose
//! class still fails are left out. [`classes`] groups the rows once, [`search`] tries levels on classes,
//! [`verify`] looks at the rows that would leave; it shares with the search what a distance is, and nothing else.
//! [`criteria`] measures what these rows say.
//!
//! Sweeney (2002), Machanavajjhala et al. (2007), Li et al. (2007). What these models say nothing of is
//! the columns that nobody declared: there may be none.

mod classes;
pub mod criteria;
mod distance;
mod search;
#[cfg(test)]
mod tests;
mod verify;

pub use classes::{Classes, group};
pub use search::{Solution, search};
pub use verify::{Measured, order, verify};

/// Parts of the whole in which shares and distances are given.
pub const PARTS: u64 = 1_000_000;

/// A column that others know, and its levels from the finest to one code for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quasi {
    /// For each level, the code there of each code of level 0. Level 0 is the codes themselves; the last
    /// has one code.
    maps: Vec<Vec<u32>>,
    /// Codes of each level.
    sizes: Vec<u32>,
}

impl Quasi {
    /// From the label of each code at each level above 0; a level that hides everything is added.
    pub fn new(codes: usize, levels: &[Vec<String>]) -> Self {
        let mut quasi = Quasi { maps: vec![(0..codes as u32).collect()], sizes: vec![codes as u32] };
        for labels in levels {
            let mut numbers = std::collections::BTreeMap::new();
            let map: Vec<u32> = (0..codes)
                .map(|code| {
                    let next = numbers.len() as u32;
                    *numbers.entry(labels.get(code).map_or("", String::as_str)).or_insert(next)
                })
                .collect();
            quasi.sizes.push(numbers.len() as u32);
            quasi.maps.push(map);
        }
        quasi.maps.push(vec![0; codes]);
        quasi.sizes.push(1);
        quasi
    }

    /// Levels, the finest and the one that hides everything included.
    pub fn levels(&self) -> usize {
        self.maps.len()
    }
}

/// A column that nobody should learn.
#[derive(Debug, Clone, Copy)]
pub struct Secret<'a> {
    /// Code of each row; codes are in the order of values.
    pub codes: &'a [u32],
    /// Different codes.
    pub values: u32,
    /// Values have an order: the distance between two counts what lies between them.
    pub ordered: bool,
    /// Code of what is missing in the source: it hides nothing.
    pub missing: Option<u32>,
}

/// What is missing in the source, in files.
pub const MISSING: &str = "_Z";

/// What is asked of the rows that leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Rows of each class, at least.
    pub k: u32,
    /// Different values of each secret in each class, at least; 1 asks nothing.
    pub l: u32,
    /// Distance of each class's secrets from those of all rows, at most, in [`PARTS`].
    pub t: Option<u64>,
    /// Rows that may be left out, in [`PARTS`].
    pub suppressed: u64,
}
