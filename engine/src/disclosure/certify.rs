//! Writes the certificate of a suppression.

use super::certificate::{Certificate, Witness};
use super::moves::{Changes, merged};
use super::slots::Slots;
use super::suppress::Suppression;
use super::system::{CellId, Known, Published};
use super::table::Tables;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Moves of the base through one cell: each may have to be undone, and written, for each table that
/// meets it there.
const CROWD: usize = 4;

/// A table of the certificate, as it differs from the base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Made {
    /// The truth changed by a move, and by what else of the base agrees with it.
    Applied(usize),
    /// The base without what makes a cell rise (-1) or fall (1).
    Undone(CellId, i64),
}

/// A certificate for what `suppression` masks in `tables`; `published` is what readers see of it.
///
/// The base is the truth changed by as many moves as can be added up without any cell that falls going
/// under its floor, however many of them are undone: any choice of these moves is then a table that
/// agrees with what is published. Nothing here needs to be trusted: [`Certificate::check`] looks at the
/// result.
pub fn certify(tables: &Tables, suppression: &Suppression, published: &Published) -> Certificate {
    let base = Base::new(tables, &suppression.moves, published);
    // The moves that take each cell furthest down and up.
    let mut furthest: Vec<[Option<(i64, usize)>; 2]> = vec![[None; 2]; published.cells.len()];
    for (number, changes) in suppression.moves.iter().enumerate() {
        for (cell, change) in changes {
            furthest.change(*cell as usize, |[down, up]| {
                let further = |old: Option<(i64, usize)>, way: i64| {
                    if change * way > old.map_or(0, |(c, _)| c * way) { Some((*change, number)) } else { old }
                };
                [further(down, -1), further(up, 1)]
            });
        }
    }
    let mut proof = Certificate::default();
    let mut written: HashMap<Made, u32, FixedState> = HashMap::default();
    for (cell, known) in (0_u32..).zip(&published.cells) {
        let i = cell as usize;
        let truth = base.truth.at(i);
        if known.value().is_none() {
            proof.base.push((cell, truth + base.falls.at(i) + base.rises.at(i)));
        }
        if !matches!(known, Known::Masked { .. }) {
            continue;
        }
        let [down, up] = furthest.at(i);
        let mut found = vec![(truth + base.falls.at(i) + base.rises.at(i), None)];
        if base.rises.at(i) != 0 {
            found.push((truth + base.falls.at(i), Some(Made::Undone(cell, -1))));
        }
        if base.falls.at(i) != 0 {
            found.push((truth + base.rises.at(i), Some(Made::Undone(cell, 1))));
        }
        // What the base adds goes the same way: these are reached, or passed.
        found.extend([down, up].into_iter().flatten().map(|(d, m)| (truth + d, Some(Made::Applied(m)))));
        let low = found.iter().min_by_key(|(v, _)| *v).and_then(|(_, t)| *t);
        let high = found.iter().min_by_key(|(v, _)| -*v).and_then(|(_, t)| *t);
        let mut write = |made: Option<Made>| -> u32 {
            let Some(made) = made else { return 0 };
            *written.entry(made).or_insert_with(|| {
                proof.tables.push(base.changes(made));
                proof.tables.len() as u32
            })
        };
        let (low, high) = (write(low), write(high));
        proof.witnesses.push(Witness { cell, low, high });
    }
    proof
}

/// A table far from the truth, and the moves that lead there.
struct Base<'a> {
    moves: &'a [Changes],
    truth: Vec<i64>,
    floor: Vec<i64>,
    /// What its moves take from and give to each cell.
    falls: Vec<i64>,
    rises: Vec<i64>,
    /// Its moves, by cell.
    through: Vec<Vec<(usize, i64)>>,
}

impl<'a> Base<'a> {
    fn new(tables: &Tables, moves: &'a [Changes], published: &Published) -> Self {
        let n = published.cells.len();
        let mut base = Base {
            moves,
            truth: tables.cells.iter().map(|c| c.value).collect(),
            floor: published.cells.iter().map(|k| k.floor().unwrap_or(0)).collect(),
            falls: vec![0; n],
            rises: vec![0; n],
            through: vec![Vec::new(); n],
        };
        // The shortest first: more of them fit, and the base is further from the truth.
        let mut shortest: Vec<(usize, &Changes)> = moves.iter().enumerate().collect();
        shortest.sort_by_key(|(number, changes)| (changes.len(), *number));
        for (number, changes) in shortest {
            let fits = changes.iter().all(|(cell, change)| {
                let i = *cell as usize;
                // A cell goes one way: a move is then rarely undone for another.
                let same_way = if *change < 0 { base.rises.at(i) == 0 } else { base.falls.at(i) == 0 };
                let crowd = base.through.get(i).map_or(0, Vec::len);
                crowd < CROWD && same_way && base.room(i) + change.min(&0) >= 0
            });
            if !fits {
                continue;
            }
            for (cell, change) in changes {
                let i = *cell as usize;
                base.falls.change(i, |v| v + change.min(&0));
                base.rises.change(i, |v| v + change.max(&0));
                if let Some(list) = base.through.get_mut(i) {
                    list.push((number, *change));
                }
            }
        }
        base
    }

    /// How far a cell can still fall when everything that makes it fall is kept.
    fn room(&self, i: usize) -> i64 {
        self.truth.at(i) + self.falls.at(i) - self.floor.at(i)
    }

    /// A table as changes of the base.
    fn changes(&self, made: Made) -> Changes {
        let through = |cell: CellId| self.through.get(cell as usize).into_iter().flatten();
        let mut all = Changes::new();
        let mut undone: Vec<usize> = Vec::new();
        match made {
            Made::Undone(cell, way) => {
                undone.extend(through(cell).filter(|(_, d)| d.signum() * way < 0).map(|(m, _)| *m));
            }
            Made::Applied(number) => {
                all.extend(self.moves.get(number).into_iter().flatten());
                for (cell, change) in &all {
                    let crowded = *change < 0 && self.room(*cell as usize) + change < 0;
                    undone.extend(
                        through(*cell)
                            .filter(|(_, d)| d.signum() * change.signum() < 0 || (crowded && *d < 0))
                            .map(|(m, _)| *m),
                    );
                }
            }
        }
        undone.sort_unstable();
        undone.dedup();
        for number in undone {
            all.extend(self.moves.get(number).into_iter().flatten().map(|(c, d)| (*c, -d)));
        }
        merged(all)
    }
}
