//! The names of the rows, and the additions between them.

use super::layout::Layout;
use super::rows::Rows;
use super::{ALL, TOLD};
use crate::contract::fault_at;
use crate::disclosure::release::Key;
use crate::disclosure::slots::Slots;
use crate::disclosure::system::{CellId, Known, Relation};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Crossings of a table at most: each is compared with those that are finer.
const CROSSINGS: usize = 1024;

impl Rows<'_> {
    /// Levels of each hierarchy that a row details.
    pub(super) fn depths(&self, layout: &Layout, row: &[u32]) -> Vec<usize> {
        let fine = |c: &&usize| layout.dimension.at(**c).is_some_and(|d| row.at(d) != ALL);
        layout.chains.iter().map(|chain| chain.iter().filter(fine).count()).collect()
    }

    /// Names of the cells: the finest code of each hierarchy, with those above it where it comes under
    /// several (a week under two months).
    pub(super) fn keys(&self, layout: &Layout) -> Vec<Key> {
        let dimension = |c: usize| layout.dimension.at(c).unwrap_or(usize::MAX);
        let mut above: BTreeMap<(usize, u32), u32> = BTreeMap::new();
        let mut several: BTreeSet<(usize, u32)> = BTreeSet::new();
        for (row, pair) in self
            .rows
            .iter()
            .flat_map(|r| layout.chains.iter().flat_map(|c| c.windows(2)).map(move |p| (r, p)))
        {
            let [coarse, fine] = pair else { continue };
            let (coarse, fine) = (row.at(dimension(*coarse)), (*fine, row.at(dimension(*fine))));
            if fine.1 != ALL && *above.entry(fine).or_insert(coarse) != coarse {
                several.insert(fine);
            }
        }
        let named = |row: &Vec<u32>| {
            let mut key = Key::new();
            for chain in &layout.chains {
                for column in chain.iter().rev() {
                    let number = row.at(dimension(*column));
                    if number == ALL {
                        continue;
                    }
                    let code = self.codes.get(dimension(*column)).and_then(|c| c.get(number as usize));
                    let level = layout.names.get(*column);
                    key.extend(level.cloned().zip(code.cloned()));
                    if !several.contains(&(*column, number)) {
                        break;
                    }
                }
            }
            key.sort_unstable();
            key
        };
        self.rows.iter().map(named).collect()
    }

    /// Additions: a cell of a crossing is the sum of what falls in it in every nearest finer crossing that is
    /// listed. A margin that is not there is a fault when `whole`.
    pub(super) fn relations(&self, layout: &Layout, whole: bool) -> Result<Vec<Relation>> {
        let depths: Vec<Vec<usize>> = self.rows.iter().map(|r| self.depths(layout, r)).collect();
        let mut listed: BTreeMap<&Vec<usize>, Vec<CellId>> = BTreeMap::new();
        for (cell, depths) in (0_u32..).zip(&depths) {
            listed.entry(depths).or_default().push(cell);
        }
        if listed.len() > CROSSINGS {
            let message = format!("{} croisements : au plus {CROSSINGS}", listed.len());
            return Err(Error::config(fault_at("data.csv", self.data, 0, message)));
        }
        let below = |fine: &Vec<usize>, coarse: &Vec<usize>| {
            fine != coarse && fine.iter().zip(coarse).all(|(f, c)| f >= c)
        };
        let mut sums: BTreeMap<(CellId, &Vec<usize>), Vec<CellId>> = BTreeMap::new();
        let mut faults = Vec::new();
        for coarse in listed.keys().copied() {
            let finer: Vec<&Vec<usize>> = listed.keys().copied().filter(|f| below(f, coarse)).collect();
            let nearest = finer.iter().filter(|f| !finer.iter().any(|other| below(f, other)));
            for fine in nearest.copied() {
                // Columns that are totals in the coarser crossing.
                let mut cut: Vec<usize> = Vec::new();
                let mut name = "";
                for (chain, (c, f)) in layout.chains.iter().zip(coarse.iter().zip(fine)) {
                    cut.extend(chain.iter().skip(*c).filter_map(|column| layout.dimension.at(*column)));
                    if let Some(column) = chain.get(*c).filter(|_| c < f) {
                        name = layout.names.get(*column).map_or(name, String::as_str);
                    }
                }
                for cell in listed.get(fine).into_iter().flatten() {
                    let Some(row) = self.rows.get(*cell as usize) else { continue };
                    let mut codes = row.clone();
                    cut.iter().for_each(|d| codes.put(*d, ALL));
                    match self.numbers.get(&codes) {
                        Some(parent) => sums.entry((*parent, fine)).or_default().push(*cell),
                        None if whole && faults.len() < TOLD => {
                            let message = format!("la marge de cette ligne, « {name} » à _T, manque");
                            let start = self.starts.get(*cell as usize).copied().unwrap_or(0);
                            faults.push(fault_at("data.csv", self.data, start, message));
                        }
                        None => {}
                    }
                }
            }
        }
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        let mut relations: Vec<Relation> =
            sums.into_iter().map(|((parent, _), children)| Relation { parent, children }).collect();
        relations.sort_by(|a, b| (a.parent, &a.children).cmp(&(b.parent, &b.children)));
        Ok(relations)
    }
}

/// Whether every sum whose terms are all printed is right, and there is one: such figures add up, whatever their
/// descriptor says.
pub(super) fn adds_up(cells: &[Known], relations: &[Relation]) -> bool {
    let value = |c: &CellId| cells.get(*c as usize).copied().and_then(Known::value);
    let mut seen = false;
    for r in relations.iter().filter(|r| r.children.len() > 1) {
        let parts: Option<Vec<i64>> = r.children.iter().map(value).collect();
        let (Some(parent), Some(parts)) = (value(&r.parent), parts) else { continue };
        seen |= parent > 0;
        if parts.iter().try_fold(0_i64, |s, v| s.checked_add(*v)) != Some(parent) {
            return false;
        }
    }
    seen
}
