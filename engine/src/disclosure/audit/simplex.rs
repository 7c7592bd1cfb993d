//! A bounded simplex that keeps its place between objectives.
//!
//! The equations of a component are solved for some unknowns (the basis) in terms of the others (the
//! free ones): x_B = p − T x_F. There are few free ones, for published margins leave little freedom, so T
//! is small and dense. All unknowns have bounds; free ones sit at one of theirs.

use super::propagate::Part;
use super::{FREE, Limits, Unknowns};
use crate::disclosure::slots::Slots;

/// Below this a number is 0: coefficients are small integers or simple fractions.
const EPS: f64 = 1e-7;
/// A coefficient smaller than this is no pivot: it is what rounding left.
const PIVOT: f64 = 1e-5;
/// Steps without progress after which the rule that cannot cycle is used.
const STALLED: usize = 60;

/// Result of a search for one bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// Best value.
    Best(f64),
    /// Nothing bounds it.
    Unbounded,
    /// Too many pivots.
    GaveUp,
}

/// A component, solved for its basis.
#[derive(Debug, Clone)]
pub(super) struct Solver {
    /// Bounds by unknown of the component.
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    /// Unknown of each row.
    basis: Vec<u32>,
    /// Unknown of each column, and whether it sits at its upper bound.
    free: Vec<(u32, bool)>,
    /// Where each unknown is: row, or rows + column.
    place: Vec<u32>,
    table: Vec<f64>,
    /// Values of the basis.
    values: Vec<f64>,
    pivots: usize,
    /// Coefficients looked at.
    pub spent: u64,
    /// The equations, to check whole solutions exactly.
    equations: Vec<(Vec<(u32, i64)>, i64)>,
}

impl Solver {
    /// The component, or none when it is too large.
    pub(super) fn new(unknowns: &Unknowns, part: &Part, limits: &Limits) -> Option<Self> {
        let n = part.unknowns.len();
        let local = |i: u32| part.unknowns.binary_search(&i).ok();
        let mut equations = Vec::with_capacity(part.rows.len());
        for row in &part.rows {
            let (terms, sum) = unknowns.rows.get(*row as usize)?;
            let mut kept = Vec::new();
            // Figures are foreign: what does not fit is left unsolved.
            let mut rest = i128::from(*sum);
            for (i, sign) in terms {
                match local(*i) {
                    Some(at) => kept.push((at as u32, *sign)),
                    None => rest -= i128::from(*sign) * i128::from(unknowns.lower.at(*i as usize)),
                }
            }
            equations.push((kept, i64::try_from(rest).ok()?));
        }
        equations.sort_by_key(|(terms, _)| terms.len());
        let (basis, rows) = eliminate(&equations, n, limits.dense)?;
        let mut is_basic = vec![false; n];
        for b in &basis {
            is_basic.put(*b as usize, true);
        }
        let free: Vec<(u32, bool)> =
            (0..n as u32).filter(|i| !is_basic.at(*i as usize)).map(|i| (i, false)).collect();
        let mut column = vec![u32::MAX; n];
        let mut place = vec![0; n];
        for (j, (i, _)) in (0_u32..).zip(&free) {
            column.put(*i as usize, j);
            place.put(*i as usize, basis.len() as u32 + j);
        }
        let mut table = vec![0.0; basis.len() * free.len()];
        let mut values = Vec::with_capacity(basis.len());
        for (r, (terms, sum)) in rows.iter().enumerate() {
            for (i, a) in terms {
                let j = column.at(*i as usize);
                if j != u32::MAX {
                    table.put(r * free.len() + j as usize, *a);
                }
            }
            values.push(*sum);
        }
        for (r, b) in (0_u32..).zip(&basis) {
            place.put(*b as usize, r);
        }
        let bound = |v: i64| {
            if v >= FREE {
                f64::INFINITY
            } else if v <= -FREE {
                f64::NEG_INFINITY
            } else {
                v as f64
            }
        };
        let mut solver = Solver {
            lower: part.unknowns.iter().map(|i| bound(unknowns.lower.at(*i as usize))).collect(),
            upper: part.unknowns.iter().map(|i| bound(unknowns.upper.at(*i as usize))).collect(),
            basis,
            free,
            place,
            table,
            values,
            pivots: limits.pivots,
            spent: 0,
            equations,
        };
        for j in 0..solver.free.len() {
            let (i, _) = solver.free.at(j);
            if solver.lower.at(i as usize).is_infinite() {
                solver.free.put(j, (i, true));
            }
            let x = solver.seat(j);
            solver.shift(j, x);
        }
        Some(solver)
    }

    /// Free unknowns × equations.
    pub(super) fn size(&self) -> usize {
        self.table.len()
    }

    /// Value of a free unknown: the bound it sits at; 0 when it has none.
    fn seat(&self, j: usize) -> f64 {
        let (i, high) = self.free.at(j);
        let v = if high { self.upper.at(i as usize) } else { self.lower.at(i as usize) };
        if v.is_finite() { v } else { 0.0 }
    }

    /// Column `j` changes by `d`.
    fn shift(&mut self, j: usize, d: f64) {
        let w = self.free.len();
        for (r, value) in self.values.iter_mut().enumerate() {
            *value = snap(*value - self.table.at(r * w + j) * d);
        }
    }

    /// Value of an unknown.
    pub(super) fn value(&self, i: usize) -> f64 {
        let place = self.place.at(i) as usize;
        if place < self.basis.len() { self.values.at(place) } else { self.seat(place - self.basis.len()) }
    }

    /// All values, when they are whole and agree with every bound and equation.
    pub(super) fn whole(&self) -> bool {
        let mut x = Vec::with_capacity(self.lower.len());
        for i in 0..self.lower.len() {
            let v = self.value(i);
            let near = v.round();
            if (v - near).abs() > 1e-5 || near < self.lower.at(i) - 0.5 || near > self.upper.at(i) + 0.5 {
                return false;
            }
            x.push(near as i64);
        }
        // A vertex far out is not whole for having left the range of what is added.
        let added = |t: &[(u32, i64)]| -> i128 {
            t.iter().map(|(i, s)| i128::from(*s) * i128::from(x.at(*i as usize))).sum()
        };
        self.equations.iter().all(|(t, sum)| added(t) == i128::from(*sum))
    }

    /// First unknown whose value is not whole.
    pub(super) fn fraction(&self) -> Option<(usize, f64)> {
        (0..self.lower.len()).map(|i| (i, self.value(i))).find(|(_, v)| (v - v.round()).abs() > 1e-5)
    }

    /// New bounds for one unknown (a branch of a search over integers).
    pub(super) fn restrict(&mut self, i: usize, lower: f64, upper: f64) {
        let before = self.value(i);
        self.lower.put(i, lower);
        self.upper.put(i, upper);
        let place = self.place.at(i) as usize;
        if place >= self.basis.len() {
            let j = place - self.basis.len();
            let after = self.seat(j);
            self.shift(j, after - before);
        }
    }

    /// Brings all values inside their bounds; false when no table can, none when it gave up.
    pub(super) fn feasible(&mut self) -> Option<bool> {
        match self.run(None) {
            Outcome::Best(_) => Some(self.outside() < 1e-5),
            Outcome::Unbounded => Some(true),
            Outcome::GaveUp => None,
        }
    }

    fn outside(&self) -> f64 {
        self.basis
            .iter()
            .zip(&self.values)
            .map(|(b, v)| {
                (self.lower.at(*b as usize) - v).max(0.0) + (v - self.upper.at(*b as usize)).max(0.0)
            })
            .sum()
    }

    /// Greatest (`way` 1) or least (-1) value of an unknown, from where the last search ended.
    pub(super) fn extreme(&mut self, i: usize, way: i64) -> Outcome {
        self.run(Some((i, way as f64)))
    }

    /// What one more of each free unknown gains: of the objective, or of the infeasibility taken away.
    fn gains(&self, goal: Option<(usize, f64)>, out: &mut Vec<f64>) {
        let (w, rows) = (self.free.len(), self.basis.len());
        out.clear();
        out.resize(w, 0.0);
        match goal {
            Some((i, way)) => {
                let place = self.place.at(i) as usize;
                if place >= rows {
                    out.put(place - rows, way);
                } else if let Some(row) = self.table.get(place * w..(place + 1) * w) {
                    for (g, t) in out.iter_mut().zip(row) {
                        *g = -t * way;
                    }
                }
            }
            None => {
                for (r, (b, v)) in self.basis.iter().zip(&self.values).enumerate() {
                    let sign = if *v < self.lower.at(*b as usize) - EPS {
                        -1.0
                    } else if *v > self.upper.at(*b as usize) + EPS {
                        1.0
                    } else {
                        continue;
                    };
                    for (g, t) in out.iter_mut().zip(self.table.get(r * w..(r + 1) * w).unwrap_or_default()) {
                        *g += sign * t;
                    }
                }
            }
        }
    }

    fn run(&mut self, goal: Option<(usize, f64)>) -> Outcome {
        let mut gains = Vec::new();
        let mut stalled = 0;
        for _ in 0..self.pivots {
            if goal.is_none() && self.outside() < 1e-6 {
                return Outcome::Best(0.0);
            }
            self.gains(goal, &mut gains);
            let bland = stalled > STALLED;
            let mut entering: Option<(usize, f64, f64)> = None;
            for (j, g) in gains.iter().enumerate() {
                let (i, high) = self.free.at(j);
                let (lo, hi) = (self.lower.at(i as usize), self.upper.at(i as usize));
                let none = lo.is_infinite() && hi.is_infinite();
                let up = *g > EPS && (!high || none);
                let down = *g < -EPS && (high || none);
                if lo < hi
                    && (up || down)
                    && entering.is_none_or(
                        |(k, _, best)| {
                            if bland { self.free.at(k).0 > i } else { g.abs() > best }
                        },
                    )
                {
                    entering = Some((j, if up { 1.0 } else { -1.0 }, g.abs()));
                }
            }
            let Some((j, way, _)) = entering else {
                return Outcome::Best(goal.map_or(0.0, |(i, _)| self.value(i)));
            };
            let (i, _) = self.free.at(j);
            let mut step = self.upper.at(i as usize) - self.lower.at(i as usize);
            let mut leaving: Option<(usize, bool, f64)> = None;
            let w = self.free.len();
            for (r, b) in self.basis.iter().enumerate() {
                let a = self.table.at(r * w + j) * way;
                if a.abs() < PIVOT {
                    continue;
                }
                let (v, lo, hi) = (self.values.at(r), self.lower.at(*b as usize), self.upper.at(*b as usize));
                // The value falls when a > 0. One outside its bounds stops at the first that it meets.
                let (room, at_upper) = if a > 0.0 {
                    if v > hi + EPS {
                        (v - hi, true)
                    } else if v < lo - EPS {
                        continue;
                    } else {
                        (v - lo, false)
                    }
                } else if v < lo - EPS {
                    (lo - v, false)
                } else if v > hi + EPS {
                    continue;
                } else {
                    (hi - v, true)
                };
                let t = room.max(0.0) / a.abs();
                let better = match leaving {
                    _ if t < step - EPS => true,
                    Some((l, _, pivot)) if t <= step + EPS => {
                        if bland {
                            self.basis.at(l) > *b
                        } else {
                            a.abs() > pivot
                        }
                    }
                    None if t <= step => true,
                    _ => false,
                };
                if better {
                    step = t.min(step);
                    leaving = Some((r, at_upper, a.abs()));
                }
            }
            if step.is_infinite() {
                return Outcome::Unbounded;
            }
            stalled = if step > EPS { 0 } else { stalled + 1 };
            match leaving {
                None => {
                    let before = self.seat(j);
                    let (i, high) = self.free.at(j);
                    self.free.put(j, (i, !high));
                    let after = self.seat(j);
                    self.shift(j, after - before);
                }
                Some((r, at_upper, _)) => self.pivot(r, j, way * step, at_upper),
            }
        }
        Outcome::GaveUp
    }

    /// Column `j` moves by `d` and takes row `r`, whose unknown goes to a bound.
    fn pivot(&mut self, r: usize, j: usize, d: f64, at_upper: bool) {
        let w = self.free.len();
        let entering = self.seat(j) + d;
        self.shift(j, d);
        self.values.put(r, entering);
        let (i, _) = self.free.at(j);
        let b = self.basis.at(r);
        self.free.put(j, (b, at_upper));
        self.basis.put(r, i);
        self.place.put(i as usize, r as u32);
        self.place.put(b as usize, (self.basis.len() + j) as u32);
        let p = self.table.at(r * w + j);
        let mut line: Vec<f64> =
            self.table.get(r * w..(r + 1) * w).unwrap_or_default().iter().map(|t| snap(t / p)).collect();
        line.put(j, 1.0 / p);
        let used: Vec<usize> =
            line.iter().enumerate().filter(|(_, t)| t.abs() > 1e-11).map(|(k, _)| k).collect();
        for (k, row) in self.table.chunks_exact_mut(w).enumerate() {
            if k == r {
                row.copy_from_slice(&line);
                continue;
            }
            let a = row.at(j);
            if a == 0.0 {
                continue;
            }
            row.put(j, 0.0);
            self.spent = self.spent.saturating_add(used.len() as u64);
            for u in &used {
                row.put(*u, snap(row.at(*u) - a * line.at(*u)));
            }
        }
    }
}

/// The multiple of 1/60 that a number is within rounding of. Coefficients and vertices of such tables
/// are whole or simple fractions: brought back at each step, errors do not add up.
#[inline]
fn snap(v: f64) -> f64 {
    // Adding and taking away 1.5 × 2^52 rounds to a whole number.
    const WHOLE: f64 = 6_755_399_441_055_744.0;
    let scaled = v * 60.0;
    if scaled.abs() > 1e12 {
        return v;
    }
    let near = (scaled + WHOLE) - WHOLE;
    if (scaled - near).abs() < 1e-6 { near / 60.0 } else { v }
}

/// A row of solved equations: sparse terms, sum.
type Row = (Vec<(u32, f64)>, f64);

/// Solves the equations for as many unknowns as they determine: the unknown of each row, and the rows,
/// with the basis gone from all others. None when the result would be larger than `dense`.
fn eliminate(equations: &[(Vec<(u32, i64)>, i64)], n: usize, dense: usize) -> Option<(Vec<u32>, Vec<Row>)> {
    let mut basis: Vec<u32> = Vec::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut row_of = vec![u32::MAX; n];
    let mut used_in: Vec<Vec<u32>> = vec![Vec::new(); n];
    let mut count = vec![0_u32; n];
    for (i, _) in equations.iter().flat_map(|(t, _)| t) {
        count.change(*i as usize, |n| n + 1);
    }
    let mut size = 0;
    for (terms, sum) in equations {
        let mut work: Row = (terms.iter().map(|(i, s)| (*i, *s as f64)).collect(), *sum as f64);
        work.0.sort_unstable_by_key(|(i, _)| *i);
        let known: Vec<(u32, f64)> =
            work.0.iter().filter(|(i, _)| row_of.at(*i as usize) != u32::MAX).copied().collect();
        for (i, a) in known {
            if let Some(row) = rows.get(row_of.at(i as usize) as usize) {
                work = minus(&work, row, a);
            }
        }
        // The unknown met in fewest equations: the rows stay short.
        let Some((i, a)) = work
            .0
            .iter()
            .copied()
            .min_by_key(|(i, a)| (u8::from((a.abs() - 1.0).abs() > EPS), count.at(*i as usize), *i))
        else {
            continue;
        };
        let scaled: Row = (work.0.iter().map(|(k, v)| (*k, v / a)).collect(), work.1 / a);
        let number = rows.len() as u32;
        for other in used_in.get(i as usize).cloned().unwrap_or_default() {
            let Some(row) = rows.get_mut(other as usize) else { continue };
            let Ok(at) = row.0.binary_search_by_key(&i, |(k, _)| *k) else { continue };
            let factor = row.0.get(at).map_or(0.0, |(_, v)| *v);
            let next = minus(row, &scaled, factor);
            size += next.0.len();
            size -= row.0.len().min(size);
            *row = next;
            for (k, _) in &scaled.0 {
                if let Some(list) = used_in.get_mut(*k as usize) {
                    list.push(other);
                }
            }
        }
        for (k, _) in &scaled.0 {
            if let Some(list) = used_in.get_mut(*k as usize) {
                list.push(number);
            }
        }
        size += scaled.0.len();
        if size > dense {
            return None;
        }
        row_of.put(i as usize, number);
        basis.push(i);
        rows.push(scaled);
    }
    (rows.len().saturating_mul(n - basis.len()) <= dense).then_some((basis, rows))
}

/// a − factor × b, without what cancels.
fn minus(a: &Row, b: &Row, factor: f64) -> Row {
    let mut out = Vec::with_capacity(a.0.len() + b.0.len());
    let (mut x, mut y) = (a.0.iter().peekable(), b.0.iter().peekable());
    loop {
        let next = match (x.peek(), y.peek()) {
            (Some((i, v)), Some((k, u))) if i == k => {
                let term = (*i, v - factor * u);
                x.next();
                y.next();
                term
            }
            (Some((i, v)), other) if other.is_none_or(|(k, _)| i < k) => {
                let term = (*i, *v);
                x.next();
                term
            }
            (_, Some((k, u))) => {
                let term = (*k, -factor * u);
                y.next();
                term
            }
            (None, None) => break,
            (Some(_), None) => break,
        };
        if next.1.abs() > 1e-9 {
            out.push(next);
        }
    }
    (out, a.1 - factor * b.1)
}
