//! Controlled rounding: every figure becomes a multiple of a base, and tables still add up.
//!
//! Only the finest cells are rounded, to one of the two multiples around them; margins are their sums. A
//! cell that is `rest` above a multiple goes up with probability `rest / base`: figures are right on
//! average, and who knows the method can exclude no figure nearer than the base. Cells are not drawn one by
//! one: what one wins, others lose around a cycle, so that margins stay between their own multiples (Cox, A
//! constructive procedure for unbiased controlled rounding, 1987; Hundepool et al., 2012). Cycles keep two
//! chains of margins, from the finest to the total: all there are in two dimensions of which one at most
//! has levels. A systematic draw would keep one chain.
//!
//! Elsewhere some margins are in no chain. Cells are then turned until none is too far, and what is turned
//! no longer has its probability: in one table of 4 × 3 × 2 with bases from 3 to 15, cells are up to 0.12
//! base off on average over keys, and margins 0.23. Where turning is not enough, how far the furthest
//! margin went is told, never hidden.

mod flow;

use self::flow::{Draws, Flow};
use super::slots::Slots;
use super::system::CellId;
use super::table::{Table, Tables, ancestors};
use crate::error::{Error, Result};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;
use std::collections::BTreeSet;

/// Domain of the draws.
const DOMAIN: &[u8] = b"cartulaire/rounding/v1";
/// Turns for each cell that is too far, and, above one a leaf, for a table.
const STEPS: (usize, usize) = (200, 20_000);
/// Leaves looked at to choose one: in a large margin some of many will do.
const LOOK: usize = 192;
/// Steps during which a turned leaf is left alone.
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
    work.draw(table);
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
    cell: CellId,
    key: u64,
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
    /// Cells further than the multiples around them, by distance.
    far: BTreeSet<(i64, CellId)>,
    draws: Draws,
}

impl Work {
    /// All leaves down, in an order drawn by their labels: that of records is nothing.
    fn new(tables: &Tables, table: &Table, base: i64, key: &[u8; 32]) -> Self {
        let mut block = [0; 64];
        block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        let mut seed = Hmac::<Sha256>::new(&block.into()).chain_update(DOMAIN);
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
            let score = seed.clone().chain_update(tables.label(*cell)).finalize().into_bytes();
            drawn.push((score, Leaf { cell: *cell, key: *key, rest, up: false, counted }));
        }
        drawn.sort_by_key(|(score, _)| *score);
        drawn.iter().for_each(|(score, _)| seed.update(score));
        let leaves: Vec<Leaf> = drawn.into_iter().map(|(_, leaf)| leaf).collect();
        let (mut parts, mut errors) = (vec![Vec::new(); tables.cells.len()], vec![0; tables.cells.len()]);
        for (i, leaf) in (0_u32..).zip(&leaves) {
            for cell in &leaf.counted {
                parts.get_mut(*cell as usize).into_iter().for_each(|list| list.push(i));
                errors.change(*cell as usize, |e| e - leaf.rest);
            }
        }
        Work { base, leaves, parts, errors, far: BTreeSet::new(), draws: Draws { seed, drawn: 0 } }
    }

    /// Each leaf goes up with probability rest / base.
    fn draw(&mut self, table: &Table) {
        let mut flow = Flow::new(table, self);
        flow.settle(&mut self.draws);
        for (leaf, edge) in self.leaves.iter_mut().zip(flow.own) {
            let above = flow.edges.at(edge as usize).above;
            // All are settled; were one not, this would be its chance.
            leaf.up =
                above == self.base || (above > 0 && (self.draws.below(self.base as usize) as i64) < above);
            for cell in leaf.counted.iter().filter(|_| leaf.up) {
                self.errors.change(*cell as usize, |e| e + self.base);
            }
        }
        let errors = (0_u32..).zip(&self.errors).map(|(cell, e)| (e.abs(), cell));
        self.far = errors.filter(|(distance, _)| *distance >= self.base).collect();
    }

    /// Rounds a leaf the other way.
    fn turn(&mut self, i: u32) {
        let Some(leaf) = self.leaves.get_mut(i as usize) else { return };
        let by = if leaf.up { -self.base } else { self.base };
        leaf.up = !leaf.up;
        for cell in &leaf.counted {
            let error = self.errors.at(*cell as usize);
            self.errors.put(*cell as usize, error + by);
            self.far.remove(&(error.abs(), *cell));
            if (error + by).abs() >= self.base {
                self.far.insert(((error + by).abs(), *cell));
            }
        }
    }

    /// What turning a leaf adds to the turns that margins need.
    fn gain(&self, leaf: &Leaf) -> i64 {
        let by = if leaf.up { -self.base } else { self.base };
        let errors = leaf.counted.iter().map(|c| self.errors.at(*c as usize));
        errors.map(|e| (e + by).abs() / self.base - e.abs() / self.base).sum()
    }

    /// Turns the leaf that helps most, in a margin that is furthest, until none is too far or steps end; goes
    /// back to the best that was met. Of those that help alike it is the first in a drawn order, whatever
    /// its rest: nothing pulls to the nearest multiple.
    fn mend(&mut self) {
        let (mut total, mut least, mut kept, mut turned) = (0, 0, 0, Vec::new());
        let mut rests = vec![0_usize; self.leaves.len()];
        for step in 1..=(self.far.len() * STEPS.0).min(self.leaves.len() + STEPS.1) {
            let Some((furthest, last)) = self.far.last().copied() else { break };
            // Any of them: always the same would be turned and turned back.
            let any = self.draws.below(self.errors.len()) as CellId;
            let cell = self.far.range((furthest, any)..).next().map_or(last, |(_, cell)| *cell);
            let over = self.errors.at(cell as usize) > 0;
            let parts = self.parts.get(cell as usize).map_or(&[][..], Vec::as_slice);
            let around = parts.iter().skip(self.draws.below(parts.len())).chain(parts);
            let found = around
                .take(parts.len().min(LOOK))
                .filter_map(|i| Some((*i, self.leaves.get(*i as usize)?)))
                .filter(|(i, leaf)| leaf.up == over && rests.at(*i as usize) < step)
                .map(|(i, leaf)| (self.gain(leaf), i))
                .min_by_key(|(gain, _)| *gain);
            let Some((gain, i)) = found else { continue };
            rests.put(i as usize, step + REST);
            self.turn(i);
            turned.push(i);
            total += gain;
            if total < least {
                (least, kept) = (total, turned.len());
            }
        }
        turned.into_iter().skip(kept).for_each(|i| self.turn(i));
    }
}

#[cfg(test)]
mod tests {
    use super::super::audit::{Limits, attack_within};
    use super::super::table::Dimension;
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

    #[test]
    fn figures_are_right_on_average() {
        const KEYS: u32 = 2_000;
        let schools = [("d1", None), ("d2", None), ("u1", Some("d1")), ("u2", Some("d1"))];
        let more = [("u3", Some("d2")), ("u4", Some("d2")), ("u5", Some("d2"))];
        let mut spec = cube(&[5, 3], &SMALL[..15]);
        spec.dimensions[0] = Dimension::hierarchy("uai", &[&schools[..], &more].concat()).unwrap();
        spec.records.iter_mut().for_each(|r| r.leaves[0] += 2);
        let plain = Tables::build(vec![spec], true).unwrap();
        for (t, mended) in [(plain, false), (tables(&[4, 3, 2], &SMALL), true)] {
            let (mut drawn, mut kept) = (vec![0; t.cells.len()], vec![0; t.cells.len()]);
            for key in 0..KEYS {
                let key: Vec<u8> = key.to_be_bytes().repeat(8);
                let mut work = Work::new(&t, &t.tables[0], 5, &key.try_into().unwrap());
                work.draw(&t.tables[0]);
                assert!(mended || work.far.is_empty());
                drawn.iter_mut().zip(&work.errors).for_each(|(sum, e)| *sum += e);
                work.mend();
                kept.iter_mut().zip(&work.errors).for_each(|(sum, e)| *sum += e);
            }
            for ((c, drawn), kept) in t.cells.iter().zip(drawn).zip(kept) {
                // A mean error in bases is the share that went up, less what it should be. Four standard
                // deviations: of some 90 cells none is expected further. A margin of no chain is not kept
                // between its multiples when drawn: at most six cells of a quarter.
                let share = (c.value % 5) as f64 / 5.0;
                let spread = if mended && c.key.len() < 3 { 1.5 } else { share * (1.0 - share) };
                let chance = 4.0 * (spread / f64::from(KEYS)).sqrt();
                let off = |sum: i64| (sum as f64 / 5.0 / f64::from(KEYS)).abs();
                assert!(off(drawn) <= chance, "{:?} {}", c.key, off(drawn));
                // What mending adds was measured: 0.15.
                assert!(
                    off(kept) <= if mended { chance + 0.15 } else { chance },
                    "{:?} {}",
                    c.key,
                    off(kept)
                );
            }
        }
    }

    #[test]
    #[ignore = "a measure: one hundred thousand cells"]
    fn a_large_table() {
        let values: Vec<u32> = (0..46 * 46 * 48_u32).map(|i| i.wrapping_mul(2_654_435_769) >> 26).collect();
        let t = tables(&[46, 46, 48], &values);
        let started = std::time::Instant::now();
        let guarantee = round(&t, 10, &KEY).unwrap().guarantee;
        println!("{} cells, {guarantee:?}, {:?}", t.cells.len(), started.elapsed());
        assert_eq!(guarantee.beyond, 0);
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
