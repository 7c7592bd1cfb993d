//! Two of the three criteria of anonymity (WP29 opinion 05/2014; doctrine 5.4.1), measured on rows about
//! to leave: who is singled out, what is inferred. The third is a matter of releases, not of rows.
//!
//! Columns hold codes: what a value means is nothing here, nor are values kept.

use crate::disclosure::slots::Slots;
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use serde::Serialize;

/// Columns crossed at most.
pub const CROSSED: usize = 4;

/// Rows that some columns tell apart from all others.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subset {
    /// The columns, by number.
    pub columns: Vec<usize>,
    /// Different combinations.
    pub classes: u64,
    /// Rows alone in theirs.
    pub unique: u64,
    /// `unique` over all rows.
    pub rate: f64,
}

/// Individualisation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Individualisation {
    /// All rows.
    pub rows: u64,
    /// Every subset of columns, from one to [`CROSSED`], in order.
    pub subsets: Vec<Subset>,
    /// Rows alone in at least one of them.
    pub singled_out: u64,
    /// `singled_out` over all rows.
    pub rate: f64,
}

/// Inférence: what is known of a secret when some columns are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inference {
    /// All rows.
    pub rows: u64,
    /// Combinations of the known columns.
    pub classes: u64,
    /// Classes of two rows or more with one secret.
    pub homogeneous_classes: u64,
    /// Their rows: the secret is certain.
    pub homogeneous_rows: u64,
    /// Rows alone in their class: certain for who knows that they are there.
    pub alone: u64,
    /// Rows whose secret is the most frequent of their class: what the best guess finds.
    pub guessed: u64,
    /// Rows whose secret is the most frequent of all: what the margin alone lets anyone find.
    pub guessed_from_margin: u64,
    /// `homogeneous_rows` over all rows.
    pub certain_rate: f64,
    /// `guessed` over all rows.
    pub guess_rate: f64,
    /// `guessed_from_margin` over all rows: the columns add what `guess_rate` has more.
    pub margin_rate: f64,
}

fn rate(part: u64, rows: usize) -> f64 {
    if rows == 0 { 0.0 } else { part as f64 / rows as f64 }
}

/// Rows of the columns.
fn height<'a>(columns: impl IntoIterator<Item = &'a [u32]>) -> Result<usize> {
    let mut heights = columns.into_iter().map(<[u32]>::len);
    let first = heights.next().unwrap_or(0);
    if heights.all(|h| h == first) {
        return Ok(first);
    }
    Err(Error::Usage("les colonnes à mesurer n'ont pas toutes le même nombre de lignes".into()))
}

/// Classes of rows: numbers from 0, and how many rows each holds.
#[derive(Clone)]
struct Classes {
    of: Vec<u32>,
    sizes: Vec<u32>,
}

impl Classes {
    /// One class of everything.
    fn one(rows: usize) -> Self {
        Classes { of: vec![0; rows], sizes: vec![rows as u32] }
    }

    /// Split by one more column.
    fn split(&self, column: &[u32]) -> Self {
        let mut numbers: HashMap<u64, u32, FixedState> = HashMap::default();
        let mut sizes: Vec<u32> = Vec::with_capacity(self.sizes.len());
        let mut number = |class: u32, code: u32| {
            let next = sizes.len() as u32;
            let found = *numbers.entry(u64::from(class) << 32 | u64::from(code)).or_insert(next);
            if found == next {
                sizes.push(0);
            }
            sizes.change(found as usize, |n| n + 1);
            found
        };
        let of = self.of.iter().zip(column).map(|(class, code)| number(*class, *code)).collect();
        Classes { of, sizes }
    }

    fn all(columns: &[&[u32]], rows: usize) -> Self {
        columns.iter().fold(Classes::one(rows), |classes, c| classes.split(c))
    }

    fn unique(&self) -> u64 {
        self.sizes.iter().filter(|n| **n == 1).count() as u64
    }
}

/// Rows that are alone in some crossing of up to `crossed` columns ([`CROSSED`] at most).
///
/// # Errors
/// [`Error::Usage`] when columns differ in length.
pub fn individualisation(columns: &[&[u32]], crossed: usize) -> Result<Individualisation> {
    let rows = height(columns.iter().copied())?;
    let mut search =
        Search { columns, crossed: crossed.min(CROSSED), alone: vec![false; rows], subsets: Vec::new() };
    search.from(0, &mut Vec::new(), &Classes::one(rows));
    search.subsets.sort_by(|a, b| (a.columns.len(), &a.columns).cmp(&(b.columns.len(), &b.columns)));
    let singled_out = search.alone.iter().filter(|a| **a).count() as u64;
    Ok(Individualisation {
        rows: rows as u64,
        subsets: search.subsets,
        singled_out,
        rate: rate(singled_out, rows),
    })
}

struct Search<'a> {
    columns: &'a [&'a [u32]],
    crossed: usize,
    alone: Vec<bool>,
    subsets: Vec<Subset>,
}

impl Search<'_> {
    /// All subsets that begin with `chosen`, by one more column from `first` on.
    fn from(&mut self, first: usize, chosen: &mut Vec<usize>, classes: &Classes) {
        if chosen.len() == self.crossed {
            return;
        }
        for (i, column) in self.columns.iter().enumerate().skip(first) {
            chosen.push(i);
            let finer = classes.split(column);
            for (alone, class) in self.alone.iter_mut().zip(&finer.of) {
                *alone |= finer.sizes.at(*class as usize) == 1;
            }
            let unique = finer.unique();
            self.subsets.push(Subset {
                columns: chosen.clone(),
                classes: finer.sizes.len() as u64,
                unique,
                rate: rate(unique, finer.of.len()),
            });
            self.from(i + 1, chosen, &finer);
            chosen.pop();
        }
    }
}

/// What `known` columns say of `secret`.
///
/// # Errors
/// [`Error::Usage`] when columns differ in length.
pub fn inference(known: &[&[u32]], secret: &[u32]) -> Result<Inference> {
    let rows = height(known.iter().copied().chain([secret]))?;
    let classes = Classes::all(known, rows);
    let pairs = classes.split(secret);
    // The most frequent secret of each class.
    let mut most = vec![0_u32; classes.sizes.len()];
    for (class, pair) in classes.of.iter().zip(&pairs.of) {
        most.change(*class as usize, |n| n.max(pairs.sizes.at(*pair as usize)));
    }
    let whole = || classes.sizes.iter().zip(&most).filter(|(size, most)| size == most && **size > 1);
    let homogeneous_rows = whole().map(|(size, _)| u64::from(*size)).sum();
    let guessed = most.iter().map(|n| u64::from(*n)).sum();
    let margin = Classes::one(rows).split(secret);
    let guessed_from_margin = u64::from(margin.sizes.iter().copied().max().unwrap_or(0));
    Ok(Inference {
        rows: rows as u64,
        classes: classes.sizes.iter().filter(|n| **n > 0).count() as u64,
        homogeneous_classes: whole().count() as u64,
        homogeneous_rows,
        alone: classes.unique(),
        guessed,
        guessed_from_margin,
        certain_rate: rate(homogeneous_rows, rows),
        guess_rate: rate(guessed, rows),
        margin_rate: rate(guessed_from_margin, rows),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn a_row_is_singled_out_by_columns_that_alone_say_nothing() {
        // Sex and level: each pair twice, but for one girl in 5e.
        let (sex, level) = ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0]);
        let found = individualisation(&[&sex, &level], CROSSED).unwrap();
        let unique: Vec<(Vec<usize>, u64)> =
            found.subsets.iter().map(|s| (s.columns.clone(), s.unique)).collect();
        assert_eq!(unique, [(vec![0], 0), (vec![1], 0), (vec![0, 1], 2)]);
        assert_eq!((found.singled_out, found.rows), (2, 6));
    }

    #[test]
    fn what_the_class_says_more_than_the_margin_is_counted() {
        let school = [0, 0, 0, 1, 1, 1, 2];
        let held = [1, 1, 1, 0, 0, 1, 0];
        let found = inference(&[&school], &held).unwrap();
        assert_eq!(
            (found.classes, found.homogeneous_classes, found.homogeneous_rows, found.alone),
            (3, 1, 3, 1)
        );
        assert_eq!((found.guessed, found.guessed_from_margin), (3 + 2 + 1, 4));
    }

    #[test]
    fn columns_of_two_lengths_are_refused_and_no_row_is_no_risk() {
        assert!(individualisation(&[&[1, 2], &[1]], 2).is_err());
        assert!(inference(&[&[1, 2]], &[1]).is_err());
        assert_eq!(individualisation(&[&[], &[]], 4).unwrap().rate, 0.0);
        assert_eq!(inference(&[&[]], &[]).unwrap().classes, 0);
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_plain_count(rows in prop::collection::vec(prop::array::uniform5(0_u32..3), 0..40)) {
            let columns: Vec<Vec<u32>> = (0..5).map(|c| rows.iter().map(|r| r[c]).collect()).collect();
            let columns: Vec<&[u32]> = columns.iter().map(Vec::as_slice).collect();
            let found = individualisation(&columns, 4).unwrap();
            prop_assert_eq!(found.subsets.len(), 5 + 10 + 10 + 5);
            let mut alone = BTreeSet::new();
            for s in &found.subsets {
                let mut classes: BTreeMap<Vec<u32>, Vec<usize>> = BTreeMap::new();
                for (i, r) in rows.iter().enumerate() {
                    classes.entry(s.columns.iter().map(|c| r[*c]).collect()).or_default().push(i);
                }
                let single: Vec<usize> = classes.values().filter(|v| v.len() == 1).map(|v| v[0]).collect();
                prop_assert_eq!((s.classes.max(1), s.unique), (classes.len().max(1) as u64, single.len() as u64));
                alone.extend(single);
            }
            prop_assert_eq!(found.singled_out, alone.len() as u64);
        }
    }
}
