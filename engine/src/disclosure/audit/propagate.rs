//! Bounds pushed through additions, and what falls apart.

use super::{FREE, Unknowns};
use crate::disclosure::slots::Slots;
use std::collections::VecDeque;

/// Times that one addition is looked at: bounds can creep by one for ever.
const VISITS: u32 = 60;

/// A connected part of what stays unknown.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Unknowns that are not pinned, in order.
    pub unknowns: Vec<u32>,
    /// Rows with at least one of them.
    pub rows: Vec<u32>,
}

/// Tightens all bounds as far as single additions allow; none when they contradict each other.
pub(super) fn run(unknowns: &mut Unknowns) -> Option<()> {
    let mut rows_of: Vec<Vec<u32>> = vec![Vec::new(); unknowns.cells.len()];
    for (row, (terms, _)) in (0_u32..).zip(&unknowns.rows) {
        for (i, _) in terms {
            rows_of.get_mut(*i as usize)?.push(row);
        }
    }
    let mut queue: VecDeque<u32> = (0..unknowns.rows.len() as u32).collect();
    let mut waiting = vec![true; unknowns.rows.len()];
    let mut visits = vec![0_u32; unknowns.rows.len()];
    while let Some(row) = queue.pop_front() {
        waiting.put(row as usize, false);
        visits.change(row as usize, |n| n + 1);
        let (terms, sum) = unknowns.rows.get(row as usize)?;
        // Least and greatest of the whole sum, with what has no bound counted apart.
        let (mut least, mut most, mut no_least, mut no_most) = (0_i128, 0_i128, 0, 0);
        for (i, sign) in terms {
            let (lower, upper) = range(unknowns, *i, *sign);
            match lower {
                Some(v) => least += i128::from(v),
                None => no_least += 1,
            }
            match upper {
                Some(v) => most += i128::from(v),
                None => no_most += 1,
            }
        }
        let sum = i128::from(*sum);
        if (no_least == 0 && least > sum) || (no_most == 0 && most < sum) {
            return None;
        }
        let mut changed = Vec::new();
        for (i, sign) in terms {
            let (lower, upper) = range(unknowns, *i, *sign);
            // sign × x is at most what is left when all others are least, and at least the contrary.
            let others_least = no_least - i32::from(lower.is_none());
            let others_most = no_most - i32::from(upper.is_none());
            let at_most = (others_least == 0).then(|| inside(sum - (least - i128::from(lower.unwrap_or(0)))));
            let at_least = (others_most == 0).then(|| inside(sum - (most - i128::from(upper.unwrap_or(0)))));
            let (at_least, at_most) =
                if *sign > 0 { (at_least, at_most) } else { (at_most.map(|v| -v), at_least.map(|v| -v)) };
            changed.push((*i, at_least, at_most));
        }
        for (i, at_least, at_most) in changed {
            let at = i as usize;
            let (lower, upper) = (unknowns.lower.at(at), unknowns.upper.at(at));
            let new = (lower.max(at_least.unwrap_or(lower)), upper.min(at_most.unwrap_or(upper)));
            if new == (lower, upper) {
                continue;
            }
            if new.0 > new.1 {
                return None;
            }
            unknowns.lower.put(at, new.0);
            unknowns.upper.put(at, new.1);
            for other in rows_of.get(at)? {
                if !waiting.at(*other as usize) && visits.at(*other as usize) < VISITS {
                    waiting.put(*other as usize, true);
                    queue.push_back(*other);
                }
            }
        }
    }
    Some(())
}

/// A bound as it is kept: past [`FREE`] there is none.
fn inside(bound: i128) -> i64 {
    i64::try_from(bound.clamp(i128::from(-FREE), i128::from(FREE))).unwrap_or(FREE)
}

/// Bounds of sign × x.
fn range(unknowns: &Unknowns, i: u32, sign: i64) -> (Option<i64>, Option<i64>) {
    let (lower, upper) = (unknowns.lower.at(i as usize), unknowns.upper.at(i as usize));
    let lower = (lower > -FREE).then_some(lower);
    let upper = (upper < FREE).then_some(upper);
    if sign > 0 { (lower, upper) } else { (upper.map(|v| -v), lower.map(|v| -v)) }
}

/// Connected parts among what is not pinned.
pub(super) fn components(unknowns: &Unknowns) -> Vec<Part> {
    let n = unknowns.cells.len();
    let open: Vec<bool> = (0..n).map(|i| unknowns.lower.at(i) < unknowns.upper.at(i)).collect();
    let mut root: Vec<u32> = (0..n as u32).collect();
    fn find(root: &mut [u32], mut i: u32) -> u32 {
        while root.at(i as usize) != i {
            let above = root.at(root.at(i as usize) as usize);
            root.put(i as usize, above);
            i = above;
        }
        i
    }
    let first = |terms: &[(u32, i64)]| terms.iter().map(|(i, _)| *i).find(|i| open.at(*i as usize));
    for (terms, _) in &unknowns.rows {
        let Some(a) = first(terms) else { continue };
        for (b, _) in terms.iter().filter(|(i, _)| open.at(*i as usize)) {
            let (ra, rb) = (find(&mut root, a), find(&mut root, *b));
            root.put(ra.max(rb) as usize, ra.min(rb));
        }
    }
    let mut parts: std::collections::BTreeMap<u32, Part> = std::collections::BTreeMap::new();
    for i in (0..n as u32).filter(|i| open.at(*i as usize)) {
        parts.entry(find(&mut root, i)).or_default().unknowns.push(i);
    }
    for (row, (terms, _)) in (0_u32..).zip(&unknowns.rows) {
        if let Some(a) = first(terms) {
            parts.entry(find(&mut root, a)).or_default().rows.push(row);
        }
    }
    parts.into_values().collect()
}
