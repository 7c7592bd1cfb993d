//! Controlled rounding: every figure becomes a multiple of a base, and tables still add up.
//!
//! Only the finest cells are rounded, to one of the two multiples around them; margins are their sums.
//! Which of the two is chosen, cell after cell in an order drawn from a key, so that margins stay
//! between the multiples around them too; a search then mends those that do not. In two dimensions this
//! always exists; in more it may not, and how far the furthest margin went is told, never hidden
//! (Cox, 1987; Hundepool et al., 2012). The choice serves the margins: it is not without bias.

use super::slots::Slots;
use super::system::CellId;
use super::table::{Table, Tables, ancestors};
use crate::error::{Error, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;
use std::cmp::Reverse;

/// Mending steps for each cell that is too far.
const STEPS: usize = 200;
/// Steps during which a mended cell is left alone.
const REST: usize = 12;

/// Rounded tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rounded {
    /// Values by cell.
    pub values: Vec<i64>,
    /// What they guarantee.
    pub guarantee: Guarantee,
}

/// What rounded tables guarantee: found again from the figures, not from how they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Guarantee {
    /// The base.
    pub base: i64,
    /// Greatest distance from the truth: below the base when all cells are between the multiples around
    /// them.
    pub furthest: i64,
    /// Cells that are further than the multiples around them.
    pub beyond: usize,
    /// A reader who knows that no figure is further than this from the truth, and the additions, knows
    /// no figure closer: the truth may be any whole number, from 0, as far on either side.
    pub doubt: i64,
}

/// Rounds one table (all crossings of its dimensions) to multiples of `base`.
///
/// # Errors
/// [`Error::Usage`] for a base below 2 or for linked tables: what is rounded apart does not add up.
pub fn round(tables: &Tables, base: u32, key: &[u8; 32]) -> Result<Rounded> {
    let ([table], 2..) = (tables.tables.as_slice(), base) else {
        return Err(Error::Usage(
            "l'arrondi contrôlé porte sur un seul tableau, avec une base d'au moins 2 : des tableaux liés s'arrondissent par leur croisement commun".into(),
        ));
    };
    let base = i64::from(base);
    let mut work = Work::new(tables, table, base, key);
    work.choose();
    work.mend();
    let values: Vec<i64> = tables.cells.iter().zip(&work.errors).map(|(c, e)| c.value + e).collect();
    let guarantee = check(tables, &values, base)?;
    Ok(Rounded { values, guarantee })
}

/// What `values` guarantee of `tables`.
///
/// # Errors
/// [`Error::Refused`] `ROUNDING_REFUSED` when a value is no multiple, is negative, hides a nil behind a
/// figure, or when an addition is wrong.
pub fn check(tables: &Tables, values: &[i64], base: i64) -> Result<Guarantee> {
    let refuse = |cell: CellId, why: &str| {
        let message = format!("arrondi refusé : {} {why}", tables.label(cell));
        Err(Error::Refused { code: "ROUNDING_REFUSED", message })
    };
    let (mut furthest, mut beyond) = (0, 0);
    for ((cell, c), value) in (0_u32..).zip(&tables.cells).zip(values) {
        if value.checked_rem(base) != Some(0) || *value < 0 {
            return refuse(cell, "n'est pas un multiple positif de la base");
        }
        if c.value == 0 && *value != 0 {
            return refuse(cell, "est nul et ne l'est plus");
        }
        let distance = (value - c.value).abs();
        furthest = furthest.max(distance);
        beyond += usize::from(distance >= base);
    }
    for r in &tables.relations {
        if values.len() != tables.cells.len()
            || r.children.iter().map(|c| values.at(*c as usize)).sum::<i64>() != values.at(r.parent as usize)
        {
            return refuse(r.parent, "n'est pas la somme de ses parties");
        }
    }
    Ok(Guarantee { base, furthest, beyond, doubt: furthest.max(base - 1) })
}

/// A finest cell that is no multiple.
struct Leaf {
    /// What remains above the multiple under it.
    rest: i64,
    up: bool,
    /// All cells it is counted in, itself included.
    counted: Vec<CellId>,
}

struct Work {
    base: i64,
    leaves: Vec<Leaf>,
    /// Leaves of each cell.
    parts: Vec<Vec<u32>>,
    /// Rounded less true, by cell.
    errors: Vec<i64>,
}

impl Work {
    fn new(tables: &Tables, table: &Table, base: i64, key: &[u8; 32]) -> Self {
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let started = Hmac::<Sha256>::new(&block.into());
        let mut drawn = Vec::new();
        for (key, cell) in table.keys.iter().zip(&table.cells) {
            let nodes = table.nodes(*key);
            let finest =
                nodes.iter().zip(&table.dimensions).all(|(n, d)| *n != 0 && d.children(*n).is_empty());
            let value = tables.cells.get(*cell as usize).map_or(0, |c| c.value);
            let rest = value.checked_rem(base).unwrap_or(0);
            if !finest || rest == 0 {
                continue;
            }
            let mut keys = vec![0_u64];
            for ((node, d), stride) in nodes.iter().zip(&table.dimensions).zip(&table.strides) {
                keys = keys
                    .iter()
                    .flat_map(|k| ancestors(d, *node).map(move |n| k + u64::from(n) * stride))
                    .collect();
            }
            let counted = keys.into_iter().filter_map(|k| table.cell(k)).collect();
            let mut mac = started.clone();
            mac.update(tables.label(*cell).as_bytes());
            let score: [u8; 32] = mac.finalize().into_bytes().into();
            drawn.push((score, Leaf { rest, up: false, counted }));
        }
        drawn.sort_by_key(|(score, _)| *score);
        let leaves: Vec<Leaf> = drawn.into_iter().map(|(_, leaf)| leaf).collect();
        let mut parts = vec![Vec::new(); tables.cells.len()];
        for (i, leaf) in (0_u32..).zip(&leaves) {
            for cell in &leaf.counted {
                if let Some(list) = parts.get_mut(*cell as usize) {
                    list.push(i);
                }
            }
        }
        Work { base, leaves, parts, errors: vec![0; tables.cells.len()] }
    }

    /// Each in turn where the errors of all it is counted in stay least.
    fn choose(&mut self) {
        for leaf in &mut self.leaves {
            let squares = |by: i64| -> i64 {
                leaf.counted.iter().map(|c| (self.errors.at(*c as usize) + by).pow(2)).sum()
            };
            leaf.up = squares(self.base - leaf.rest) < squares(-leaf.rest);
            let by = if leaf.up { self.base - leaf.rest } else { -leaf.rest };
            for cell in &leaf.counted {
                self.errors.change(*cell as usize, |e| e + by);
            }
        }
    }

    fn excess(&self, error: i64) -> i64 {
        (error.abs() - self.base + 1).max(0).pow(2)
    }

    /// What turning a leaf changes: of what is too far, then of all errors.
    fn gain(&self, leaf: &Leaf) -> (i64, i64) {
        let by = if leaf.up { -self.base } else { self.base };
        leaf.counted.iter().map(|c| self.errors.at(*c as usize)).fold((0, 0), |(far, all), e| {
            (far + self.excess(e + by) - self.excess(e), all + (e + by).pow(2) - e.pow(2))
        })
    }

    /// Turns the leaf that helps most, in the margin that is furthest, until none is too far or steps end;
    /// keeps the best that was met.
    fn mend(&mut self) {
        let mut total: i64 = self.errors.iter().map(|e| self.excess(*e)).sum();
        let mut best = (total, self.errors.clone());
        let mut rests = vec![0_usize; self.leaves.len()];
        let far = self.errors.iter().filter(|e| e.abs() >= self.base).count();
        for step in 1..=far * STEPS {
            if total == 0 {
                break;
            }
            let errors = (0_u32..).zip(&self.errors);
            let Some((cell, error)) =
                errors.max_by_key(|(i, e)| (e.abs(), Reverse(*i))).map(|(i, e)| (i, *e))
            else {
                break;
            };
            let found = self
                .parts
                .get(cell as usize)
                .into_iter()
                .flatten()
                .filter_map(|i| Some((*i, self.leaves.get(*i as usize)?)))
                .filter(|(i, leaf)| leaf.up == (error > 0) && rests.at(*i as usize) < step)
                .map(|(i, leaf)| (self.gain(leaf), i))
                .min();
            let Some(((gain, _), i)) = found else { break };
            total += gain;
            rests.put(i as usize, step + REST);
            let Some(leaf) = self.leaves.get_mut(i as usize) else { break };
            let by = if leaf.up { -self.base } else { self.base };
            leaf.up = !leaf.up;
            for cell in &leaf.counted {
                self.errors.change(*cell as usize, |e| e + by);
            }
            if total < best.0 {
                best = (total, self.errors.clone());
            }
        }
        self.errors = best.1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::{Limits, attack_within};
    use super::super::tests::{SMALL, cube};
    use super::*;
    use proptest::prelude::*;

    const KEY: [u8; 32] = [7; 32];

    fn tables(sizes: &[usize], values: &[u32]) -> Tables {
        Tables::build(vec![cube(sizes, values)], true).unwrap()
    }

    #[test]
    fn three_dimensions_add_up_and_stay_between_their_multiples() {
        let t = tables(&[4, 3, 2], &SMALL);
        for base in [3, 5, 10] {
            let rounded = round(&t, base, &KEY).unwrap();
            assert_eq!(rounded.guarantee.beyond, 0, "base {base}");
            assert_eq!(rounded.guarantee.doubt, i64::from(base) - 1);
        }
    }

    #[test]
    fn readers_know_no_figure_closer_than_told() {
        let t = tables(&[4, 3, 2], &SMALL);
        let rounded = round(&t, 5, &KEY).unwrap();
        let doubt = rounded.guarantee.doubt;
        let bounds: Vec<(i64, i64)> =
            rounded.values.iter().map(|v| ((v - doubt).max(0), v + doubt)).collect();
        for i in attack_within(&bounds, &t.relations, &Limits::default()).unwrap() {
            assert_eq!((i.lower, i.upper.unwrap()), bounds[i.cell as usize]);
        }
    }

    #[test]
    fn another_key_rounds_otherwise_and_the_same_one_alike() {
        let t = tables(&[4, 3, 2], &SMALL);
        let of = |key: u8| round(&t, 5, &[key; 32]).unwrap().values;
        assert_eq!(of(1), of(1));
        assert!((2..9).any(|k| of(k) != of(1)));
    }

    #[test]
    fn what_is_not_rounded_is_refused() {
        let t = tables(&[2, 2], &[10, 5, 0, 20]);
        let good = round(&t, 5, &KEY).unwrap().values;
        for cell in 0..good.len() {
            for by in [1, 5] {
                let mut values = good.clone();
                values[cell] += by;
                assert!(check(&t, &values, 5).is_err(), "{cell} {by}");
            }
        }
        assert!(check(&t, &good[1..], 5).is_err());
        assert!(round(&t, 1, &KEY).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn two_dimensions_stay_between_their_multiples(values in prop::collection::vec(0_u32..60, 20), base in 2_u32..8) {
            let rounded = round(&tables(&[5, 4], &values), base, &KEY).unwrap();
            prop_assert_eq!(rounded.guarantee.beyond, 0);
        }

        #[test]
        fn order_of_records_changes_no_rounding(values in prop::collection::vec(0_u32..60, 24), turn in 0_usize..24) {
            let spec = cube(&[4, 3, 2], &values);
            let mut turned = spec.clone();
            turned.records.rotate_left(turn);
            let of = |s| round(&Tables::build(vec![s], true).unwrap(), 5, &KEY).unwrap();
            prop_assert_eq!(of(spec), of(turned));
        }
    }
}
