//! What a table lists: whole crossings, and totals that are not written as such.

use super::ALL;
use super::layout::Layout;
use super::rows::Rows;
use crate::disclosure::slots::Slots;
use crate::disclosure::system::{CellId, Known};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

/// Sums that must be right before a code beside its own total is held for a margin: small figures may meet by
/// chance.
const MET: usize = 3;

/// What speaks for a code being the sum of the others.
#[derive(Default)]
struct Evidence {
    /// Sums that are right.
    right: usize,
    /// Those where no `_T` is printed beside.
    alone: usize,
    /// One is wrong.
    wrong: bool,
}

impl Rows<'_> {
    /// By row, whether its crossing lists every combination of the codes that the table shows at these levels: only
    /// there may a masked cell be nil, for one that is left out elsewhere is known to be.
    pub(super) fn full(&self, layout: &Layout) -> Vec<bool> {
        let mut paths: HashSet<(usize, Vec<u32>), FixedState> = HashSet::default();
        let mut rows: HashMap<Vec<usize>, u128, FixedState> = HashMap::default();
        for row in &self.rows {
            let depths = self.depths(layout, row);
            for (number, (chain, depth)) in layout.chains.iter().zip(&depths).enumerate() {
                let mut path = Vec::with_capacity(*depth);
                for column in chain.iter().take(*depth) {
                    path.push(layout.dimension.at(*column).map_or(ALL, |d| row.at(d)));
                    if !paths.contains(&(number, path.clone())) {
                        paths.insert((number, path.clone()));
                    }
                }
            }
            *rows.entry(depths).or_default() += 1;
        }
        let mut codes: HashMap<(usize, usize), u128, FixedState> = HashMap::default();
        for (number, path) in &paths {
            *codes.entry((*number, path.len())).or_default() += 1;
        }
        let combinations = |depths: &[usize]| {
            let of = |(number, depth): (usize, &usize)| match depth {
                0 => 1,
                depth => codes.get(&(number, *depth)).copied().unwrap_or(0),
            };
            depths.iter().enumerate().map(of).fold(1_u128, u128::saturating_mul)
        };
        let whole = |row: &Vec<u32>| {
            let depths = self.depths(layout, row);
            rows.get(&depths) == Some(&combinations(&depths))
        };
        self.rows.iter().map(whole).collect()
    }

    /// A column and its code whose every printed figure is the sum of the other codes: a margin that readers take
    /// for one, and that no addition here would.
    pub(super) fn unmarked_total(&self, layout: &Layout) -> Option<(String, String)> {
        for chain in &layout.chains {
            let places: Vec<usize> = chain.iter().filter_map(|c| layout.dimension.at(*c)).collect();
            for (i, place) in places.iter().enumerate() {
                let groups = self.groups(*place, places.get(i + 1..).unwrap_or_default());
                let whole =
                    layout.measures.iter().zip(&self.cells).filter(|((_, _, f), _)| f.kind == "integer");
                for (_, cells) in whole {
                    let Some(code) = self.sum_of_others(*place, &groups, cells) else { continue };
                    let column = chain.get(i).and_then(|c| layout.names.get(*c))?;
                    let code = self.codes.get(*place)?.get(code as usize)?;
                    return Some((column.clone(), code.clone()));
                }
            }
        }
        None
    }

    /// Rows that differ by their code in one place only, `finer` ones being totals.
    fn groups(&self, place: usize, finer: &[usize]) -> HashMap<Vec<u32>, Vec<CellId>, FixedState> {
        let mut groups: HashMap<Vec<u32>, Vec<CellId>, FixedState> = HashMap::default();
        for (cell, row) in (0_u32..).zip(&self.rows) {
            if row.at(place) != ALL && finer.iter().all(|f| row.at(*f) == ALL) {
                let mut others = row.clone();
                others.put(place, ALL);
                groups.entry(others).or_default().push(cell);
            }
        }
        groups
    }

    fn sum_of_others(
        &self,
        place: usize,
        groups: &HashMap<Vec<u32>, Vec<CellId>, FixedState>,
        cells: &[Known],
    ) -> Option<u32> {
        let value = |c: &CellId| cells.get(*c as usize).copied().and_then(Known::value).map(i128::from);
        let mut found: HashMap<u32, Evidence, FixedState> = HashMap::default();
        for (total, group) in groups.iter().filter(|(_, group)| group.len() > 1) {
            let printed: Vec<(CellId, i128)> = group.iter().filter_map(|c| Some((*c, value(c)?))).collect();
            let sum: i128 = printed.iter().map(|(_, v)| v).sum();
            let marked = self.numbers.get(total).is_some_and(|c| value(c).is_some());
            for (cell, own) in &printed {
                let code = self.rows.get(*cell as usize).map_or(ALL, |row| row.at(place));
                let evidence = found.entry(code).or_default();
                let rest = sum - own;
                if printed.len() < group.len() {
                    // Masked ones are at least nil.
                    evidence.wrong |= *own < rest;
                } else if *own != rest {
                    evidence.wrong = true;
                } else if group.len() > 2 && rest > 0 {
                    evidence.right += 1;
                    evidence.alone += usize::from(!marked);
                }
            }
        }
        let margin = |e: &Evidence| !e.wrong && (e.alone > 0 || e.right >= MET);
        found.iter().filter(|(_, e)| margin(e)).map(|(code, _)| *code).min()
    }
}
