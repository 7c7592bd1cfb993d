//! From a bound over the reals to one over the integers.

use super::Limits;
use super::simplex::{Outcome, Solver};
use crate::disclosure::slots::Slots;

/// A bound of one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    /// No integer table goes past it.
    pub value: i64,
    /// One reaches it.
    pub exact: bool,
}

/// Least and greatest value of each unknown among the integer tables that were met.
pub(super) struct Seen(Vec<Option<(i64, i64)>>);

impl Seen {
    pub(super) fn new(unknowns: usize) -> Self {
        Seen(vec![None; unknowns])
    }

    /// Remembers a table; the solver's is whole.
    fn note(&mut self, solver: &Solver) {
        for (i, seen) in self.0.iter_mut().enumerate() {
            let v = solver.value(i).round() as i64;
            *seen = Some(seen.map_or((v, v), |(low, high)| (low.min(v), high.max(v))));
        }
    }

    pub(super) fn of(&self, i: usize) -> Option<(i64, i64)> {
        self.0.get(i).copied().flatten()
    }
}

/// Greatest (`way` 1) or least (-1) value of an unknown; none when nothing is known of it.
///
/// `home` is the last whole table met: from there, what has nothing to do with the unknown stays whole.
pub(super) fn bound(
    solver: &mut Solver,
    home: &mut Option<Solver>,
    i: usize,
    way: i64,
    limits: &Limits,
    seen: &mut Seen,
) -> Option<Bound> {
    let Outcome::Best(value) = solver.extreme(i, way) else { return None };
    let outer = whole(value, way);
    if solver.whole() {
        seen.note(solver);
        *home = Some(solver.clone());
        return Some(Bound { value: outer, exact: true });
    }
    let from = solver.clone();
    if let Some(home) = home {
        solver.clone_from(home);
    }
    if from.size() > limits.branched {
        return Some(Bound { value: outer, exact: false });
    }
    let mut nodes = limits.nodes;
    let mut best: Option<i64> = None;
    let complete = search(from, i, way, &mut nodes, &mut best, seen);
    match best {
        Some(b) if complete || b == outer => Some(Bound { value: b, exact: true }),
        _ => Some(Bound { value: outer, exact: false }),
    }
}

/// The last whole number on this side of a real bound.
fn whole(value: f64, way: i64) -> i64 {
    if way > 0 { (value + 1e-6).floor() as i64 } else { (value - 1e-6).ceil() as i64 }
}

/// Branches on the first fraction; true when everything was looked at.
fn search(
    mut solver: Solver,
    i: usize,
    way: i64,
    nodes: &mut usize,
    best: &mut Option<i64>,
    seen: &mut Seen,
) -> bool {
    if *nodes == 0 {
        return false;
    }
    *nodes -= 1;
    match solver.feasible() {
        Some(false) => return true,
        None => return false,
        Some(true) => {}
    }
    let Outcome::Best(value) = solver.extreme(i, way) else { return false };
    let outer = whole(value, way);
    if best.is_some_and(|b| outer.saturating_sub(b).saturating_mul(way) <= 0) {
        return true;
    }
    let Some((at, fraction)) = solver.fraction() else {
        if !solver.whole() {
            return false;
        }
        seen.note(&solver);
        *best = Some(outer);
        return true;
    };
    let (lower, upper) = (solver.lower.at(at), solver.upper.at(at));
    let mut under = solver.clone();
    under.restrict(at, lower, fraction.floor());
    solver.restrict(at, fraction.ceil(), upper);
    let first = search(under, i, way, nodes, best, seen);
    search(solver, i, way, nodes, best, seen) && first
}
