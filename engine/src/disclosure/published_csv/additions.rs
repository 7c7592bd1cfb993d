//! The names of the rows, and the additions between them.

use super::layout::Layout;
use super::rows::Rows;
use super::{ALL, TOLD};
use crate::contract::fault_at;
use crate::disclosure::release::Key;
use crate::disclosure::slots::Slots;
use crate::disclosure::system::{CellId, Known, Relation};
use crate::disclosure::table::UNDER;
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Crossings of a table at most: each is compared with those that are finer.
const CROSSINGS: usize = 1024;

/// A code, after the one above it where it comes under several.
pub fn under(above: Option<String>, code: &str) -> String {
    above.map_or_else(|| code.to_owned(), |above| format!("{above}{UNDER}{code}"))
}

impl Rows<'_> {
    /// Levels of each hierarchy that a row details.
    pub(super) fn depths(&self, layout: &Layout, row: &[u32]) -> Vec<usize> {
        let fine = |c: &&usize| layout.dimension.at(**c).is_some_and(|d| row.at(d) != ALL);
        layout.chains.iter().map(|chain| chain.iter().filter(fine).count()).collect()
    }

    /// Names of the cells: the finest code of each hierarchy, after those above it where it comes under several (two
    /// communes of one name).
    pub(super) fn keys(&self, layout: &Layout) -> Vec<Key> {
        let dimension = |c: usize| layout.dimension.at(c).unwrap_or(usize::MAX);
        // Codes that come under several paths.
        let mut paths: HashMap<(usize, u32), Vec<u32>, FixedState> = HashMap::default();
        let mut several: BTreeSet<(usize, u32)> = BTreeSet::new();
        for row in &self.rows {
            for chain in &layout.chains {
                let codes: Vec<u32> = chain.iter().map(|c| row.at(dimension(*c))).collect();
                for (depth, (column, code)) in chain.iter().zip(&codes).enumerate().skip(1) {
                    let above = codes.get(..depth).unwrap_or_default();
                    if *code == ALL {
                        break;
                    }
                    if paths.entry((*column, *code)).or_insert_with(|| above.to_vec()) != above {
                        several.insert((*column, *code));
                    }
                }
            }
        }
        let named = |row: &Vec<u32>| {
            let mut key = Key::new();
            for chain in &layout.chains {
                let filled = chain.iter().take_while(|c| row.at(dimension(**c)) != ALL);
                let mut name: Option<(String, String)> = None;
                for column in filled {
                    let number = row.at(dimension(*column));
                    let code = self.codes.get(dimension(*column)).and_then(|c| c.get(number as usize));
                    let (Some(level), Some(code)) = (layout.names.get(*column), code) else { continue };
                    let above = name.take().filter(|_| several.contains(&(*column, number)));
                    name = Some((level.clone(), under(above.map(|(_, c)| c), code)));
                }
                key.extend(name);
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
