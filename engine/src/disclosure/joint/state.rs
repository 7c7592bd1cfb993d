//! One state of the population: every cell that is published of it, and every addition between them.
//!
//! A crossing adds up from each nearest finer one that any release lists, by the levels that they share and by
//! levels that imply others. A crossing of which only some rows were counted leaves the sum open.

use crate::disclosure::release::{Implied, Key, Release, levels};
use crate::disclosure::slots::Slots;
use crate::disclosure::system::{CellId, Known};
use crate::disclosure::table::UNDER;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};

/// Codes of one cell that are tried at once where it may be under several.
const SPREAD: usize = 64;

/// Levels of a crossing, in order.
pub(super) type Levels = Vec<String>;

/// A margin, what adds up to it, what a part of may, and whether others may that nobody lists.
pub(super) struct Sum {
    pub parent: CellId,
    pub sure: BTreeSet<CellId>,
    pub open: BTreeSet<CellId>,
    pub more: bool,
}

/// Names of codes by level and plain code.
type Composed = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A crossing by another, where some cells are under several margins.
pub(super) struct Spread {
    pub sums: Vec<Sum>,
    /// Cells of which a part may be under no margin that is there.
    pub loose: BTreeSet<CellId>,
}

/// What one release lists.
struct Listing<'a> {
    release: &'a Release,
    keys: HashMap<&'a Key, CellId, FixedState>,
    crossings: BTreeSet<Levels>,
}

impl Listing<'_> {
    /// Whether a cell that it does not list is nil.
    fn covers(&self, key: &Key, crossing: &Levels) -> bool {
        self.crossings.contains(crossing) && self.release.chosen.iter().all(|c| c.takes(key))
    }

    /// Whether all persons are in its cells of a crossing.
    fn whole(&self, crossing: &Levels) -> bool {
        self.crossings.contains(crossing) && self.release.chosen.iter().all(|c| !c.narrows(crossing))
    }
}

/// One state of the population.
#[derive(Default)]
pub(super) struct State<'a> {
    pub keys: Vec<Key>,
    pub known: Vec<Known>,
    numbers: HashMap<Key, CellId, FixedState>,
    crossings: BTreeMap<Levels, Vec<CellId>>,
    listings: Vec<Listing<'a>>,
    /// Codes that are named after the one above them, by level and by their own name.
    composed: Composed,
    /// Crossings of which every person is in some cell.
    whole: BTreeSet<Levels>,
    /// By margin and levels of what adds up to it.
    pub sums: BTreeMap<(CellId, Levels), BTreeSet<CellId>>,
    /// Sums that are not all known, one crossing by another.
    pub spread: Vec<Spread>,
}

fn owned(key: &Key) -> Levels {
    levels(key).into_iter().map(ToOwned::to_owned).collect()
}

impl<'a> State<'a> {
    /// Of releases of one state.
    pub fn of(releases: &[&'a Release]) -> Self {
        let mut state = State::default();
        for release in releases.iter().copied() {
            let crossings: BTreeSet<Levels> = release
                .crossings()
                .into_iter()
                .map(|c| c.into_iter().map(ToOwned::to_owned).collect())
                .collect();
            state.listings.push(Listing { release, keys: release.index(), crossings });
            for (key, known) in release.keys.iter().zip(&release.published.cells) {
                let cell = state.cell(key);
                let before = state.known.at(cell as usize);
                state.known.put(cell as usize, closer(before, *known));
            }
            for relation in &release.published.relations {
                let name = |c: CellId| release.keys.get(c as usize);
                let Some(parent) = name(relation.parent).map(|k| state.cell(k)) else { continue };
                let children: Vec<&Key> = relation.children.iter().filter_map(|c| name(*c)).collect();
                let Some(below) = children.first().map(|k| owned(k)) else { continue };
                let children: BTreeSet<CellId> = children.into_iter().map(|k| state.cell(k)).collect();
                state.sums.entry((parent, below)).or_default().extend(children);
            }
        }
        let whole = state.crossings.keys().filter(|c| {
            let unlisted = !state.listings.iter().any(|l| l.crossings.contains(*c));
            // What a release leaves out of its own tables is all there.
            let whole = |l: &Listing<'_>| l.whole(c) || (unlisted && l.release.chosen.is_empty());
            state.listings.iter().any(whole)
        });
        state.whole = whole.cloned().collect();
        state.nil();
        state
    }

    /// The number of a cell, a new one when it is not known.
    fn cell(&mut self, key: &Key) -> CellId {
        if let Some(cell) = self.numbers.get(key) {
            return *cell;
        }
        let cell = self.keys.len() as CellId;
        self.numbers.insert(key.clone(), cell);
        for (level, code) in key.iter().filter(|(_, code)| code.contains(UNDER)) {
            let plain = code.rsplit(UNDER).next().unwrap_or(code).to_owned();
            self.composed.entry(level.clone()).or_default().entry(plain).or_default().insert(code.clone());
        }
        self.crossings.entry(owned(key)).or_default().push(cell);
        self.keys.push(key.clone());
        self.known.push(Known::Absent { floor: 0 });
        cell
    }

    /// What a release that lists a crossing leaves out of it is nil.
    fn nil(&mut self) {
        for (crossing, cells) in &self.crossings {
            for listing in self.listings.iter().filter(|l| l.crossings.contains(crossing)) {
                for cell in cells {
                    let Some(key) = self.keys.get(*cell as usize) else { continue };
                    if !listing.keys.contains_key(key) && listing.covers(key, crossing) {
                        self.known.change(*cell as usize, |k| closer(k, Known::Value(0)));
                    }
                }
            }
        }
    }

    /// Number of a cell.
    pub fn number(&self, key: &Key) -> Option<CellId> {
        self.numbers.get(key).copied()
    }

    /// What is known of a cell; nil when it is not listed where it would be. None when nothing says.
    pub fn known_of(&self, key: &Key) -> Option<Known> {
        if let Some(cell) = self.number(key) {
            return Some(self.known.at(cell as usize));
        }
        let crossing = owned(key);
        self.listings.iter().any(|l| l.covers(key, &crossing)).then_some(Known::Value(0))
    }

    /// Crossings that its releases list.
    pub fn listed(&self) -> impl Iterator<Item = &Levels> {
        self.listings.iter().flat_map(|l| &l.crossings)
    }

    /// Adds the cells of crossings that only other states list, where those of this one say them.
    pub fn derive(&mut self, wanted: &BTreeSet<Levels>, implied: &[Implied]) {
        for crossing in
            wanted.iter().filter(|c| !self.crossings.contains_key(*c)).cloned().collect::<Vec<_>>()
        {
            let finer = self.whole.iter().filter(|f| refines(&crossing, f, implied));
            let Some(finer) = finer.min_by_key(|f| f.len()).cloned() else { continue };
            let mut keys: BTreeSet<Key> = BTreeSet::new();
            for cell in self.crossings.get(&finer).into_iter().flatten() {
                let Some(key) = self.keys.get(*cell as usize) else { continue };
                keys.extend(project(key, &crossing, implied, &self.composed).unwrap_or_default());
            }
            for key in &keys {
                self.cell(key);
            }
            self.whole.insert(crossing);
        }
    }

    /// Adds every crossing up from the nearest finer ones.
    pub fn link(&mut self, implied: &[Implied]) {
        let related: BTreeSet<(Levels, Levels)> = self
            .sums
            .keys()
            .filter_map(|(parent, below)| Some((owned(self.keys.get(*parent as usize)?), below.clone())))
            .collect();
        let all: Vec<Levels> = self.crossings.keys().cloned().collect();
        for coarse in &all {
            let finer: Vec<&Levels> = all.iter().filter(|f| refines(coarse, f, implied)).collect();
            // What lies between only hides a finer one when it says all of the coarser one by itself.
            let exact: Vec<&Levels> = finer
                .iter()
                .copied()
                .filter(|g| self.whole.contains(*g) && says_all(coarse, g, implied))
                .collect();
            let between = |fine: &Levels| {
                let hides =
                    |g: &&&Levels| **g != fine && refines(g, fine, implied) && !refines(fine, g, implied);
                exact.iter().any(|g| hides(&g))
            };
            let nearest: Vec<&Levels> = finer.iter().copied().filter(|f| !between(f)).collect();
            for fine in nearest {
                if !related.contains(&(coarse.clone(), fine.clone())) {
                    self.add_up(coarse, fine, implied);
                }
            }
        }
    }

    /// The cells of a crossing by those of a finer one.
    fn add_up(&mut self, coarse: &Levels, fine: &Levels, implied: &[Implied]) {
        let Some(parents) = self.crossings.get(coarse).cloned() else { return };
        let more = !self.whole.contains(fine);
        let mut sums: BTreeMap<CellId, (BTreeSet<CellId>, BTreeSet<CellId>)> =
            parents.iter().map(|p| (*p, Default::default())).collect();
        let mut nil: Vec<CellId> = Vec::new();
        let mut loose: BTreeSet<CellId> = BTreeSet::new();
        let mut lost = false;
        for cell in self.crossings.get(fine).into_iter().flatten() {
            let Some(key) = self.keys.get(*cell as usize) else { continue };
            let Some(above) = project(key, coarse, implied, &self.composed) else {
                // A code that nobody knows may go with any: no sum is then known to be whole.
                lost = true;
                continue;
            };
            let one = above.len() == 1;
            for parent in &above {
                match self.numbers.get(parent).and_then(|p| sums.get_mut(p)) {
                    Some((sure, _)) if one => drop(sure.insert(*cell)),
                    Some((_, open)) => drop(open.insert(*cell)),
                    None if self.known_of(parent) != Some(Known::Value(0)) => drop(loose.insert(*cell)),
                    None if one => nil.push(*cell),
                    None => {}
                }
            }
        }
        for cell in nil {
            self.known.change(cell as usize, |k| closer(k, Known::Value(0)));
        }
        let mut spread = Vec::new();
        for (parent, (sure, open)) in sums {
            let more = more || lost;
            if open.is_empty() && !more {
                self.sums.entry((parent, fine.clone())).or_default().extend(sure);
            } else if !(sure.is_empty() && more) {
                spread.push(Sum { parent, sure, open, more });
            }
        }
        self.spread.push(Spread { sums: spread, loose });
    }
}

/// Whether each level of a crossing is one of a finer one, or said by one; false for the same.
fn refines(coarse: &Levels, fine: &Levels, implied: &[Implied]) -> bool {
    let has = |level: &String| fine.binary_search(level).is_ok();
    let said = |level: &String| implied.iter().any(|i| i.coarse == *level && has(&i.fine));
    coarse != fine && coarse.iter().all(|l| has(l) || said(l))
}

/// Whether each level of a crossing is one of another, or said for sure by one.
fn says_all(coarse: &Levels, fine: &Levels, implied: &[Implied]) -> bool {
    let has = |level: &String| fine.binary_search(level).is_ok();
    coarse.iter().all(|l| has(l) || implied.iter().any(|i| i.sure && i.coarse == *l && has(&i.fine)))
}

/// Cells of a coarser crossing under which a cell is: one, or some of which it is spread over. None when nothing
/// says which.
fn project(key: &Key, coarse: &Levels, implied: &[Implied], composed: &Composed) -> Option<Vec<Key>> {
    let mut found: Vec<Key> = vec![Key::new()];
    for level in coarse {
        let own = key.iter().find(|(l, _)| l == level).map(|(_, code)| BTreeSet::from([code.as_str()]));
        let codes = match own {
            Some(own) => own,
            None => named(key, said(key, level, implied)?, composed.get(level)),
        };
        if found.len() * codes.len() > SPREAD {
            return None;
        }
        found = found
            .iter()
            .flat_map(|k| {
                codes.iter().map(|code| {
                    let mut k = k.clone();
                    k.push((level.clone(), (*code).to_owned()));
                    k
                })
            })
            .collect();
    }
    Some(found)
}

/// Codes as their level names them: one that comes under several by all its names, or by that of a code of the cell.
fn named<'n>(
    key: &Key,
    codes: BTreeSet<&'n str>,
    composed: Option<&'n BTreeMap<String, BTreeSet<String>>>,
) -> BTreeSet<&'n str> {
    let Some(composed) = composed else { return codes };
    let mut found = BTreeSet::new();
    for code in codes {
        let Some(names) = composed.get(code) else {
            found.insert(code);
            continue;
        };
        let above = |name: &&String| {
            let mut parts = name.rsplit(UNDER).skip(1);
            parts.next().is_some_and(|above| key.iter().any(|(_, own)| own == above))
        };
        let mut under: Vec<&str> = names.iter().filter(above).map(String::as_str).collect();
        if under.is_empty() {
            under = names.iter().map(String::as_str).collect();
        }
        found.extend(under);
    }
    found
}

/// Codes of a level that those of a cell leave possible.
fn said<'i>(key: &'i Key, level: &str, implied: &'i [Implied]) -> Option<BTreeSet<&'i str>> {
    let mut found: Option<BTreeSet<&str>> = None;
    for i in implied.iter().filter(|i| i.coarse == level) {
        let Some((_, code)) = key.iter().find(|(l, _)| *l == i.fine) else { continue };
        // A code that comes under several is written after the one above it.
        let mut parts = code.rsplit(UNDER);
        let plain = parts.next().unwrap_or(code);
        let Some(codes) = i.map.get(code).or_else(|| i.map.get(plain)) else { continue };
        let above = parts.next().filter(|above| codes.iter().any(|c| c == above));
        let codes: BTreeSet<&str> = match above {
            Some(above) => BTreeSet::from([above]),
            None => codes.iter().map(String::as_str).collect(),
        };
        found = Some(match found {
            None => codes,
            Some(known) if known.is_disjoint(&codes) => known,
            Some(known) => known.intersection(&codes).copied().collect(),
        });
    }
    found
}

/// The sharper of two.
fn closer(a: Known, b: Known) -> Known {
    match (a, b) {
        (Known::Value(_), _) => a,
        (_, Known::Value(_)) => b,
        (Known::Masked { floor: x }, Known::Masked { floor: y } | Known::Absent { floor: y })
        | (Known::Absent { floor: x }, Known::Masked { floor: y }) => Known::Masked { floor: x.max(y) },
        (Known::Absent { floor: x }, Known::Absent { floor: y }) => Known::Absent { floor: x.max(y) },
    }
}
