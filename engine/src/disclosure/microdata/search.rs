//! The levels that lose least and make every class safe.
//!
//! Loss of a row: the mean over quasi-identifiers of (codes under its generalised code − 1) over (all
//! codes − 1); 1 for a row left out. A row's loss only grows with levels, and a row left out loses most:
//! levels alone, without looking at classes, bound the loss from below. Nodes are tried from the smallest
//! bound up, until no bound is below the best loss found. With t-closeness a node leaves out at once all its
//! classes that are too far, which may be more than needed: never unsafe, not always the least.

use super::classes::Classes;
use super::distance::Spread;
use super::{PARTS, Quasi, Request};
use crate::disclosure::slots::Slots;
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Nodes of the lattice at most.
const NODES: usize = 200_000;

/// What leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// Level of each quasi-identifier.
    pub levels: Vec<usize>,
    /// Classes of level 0 whose rows are left out.
    pub suppressed: Vec<bool>,
    /// Rows left out.
    pub suppressed_rows: u64,
    /// Information lost, from 0 to 1.
    pub loss: f64,
    /// Nodes whose classes were looked at.
    pub tried: usize,
}

/// The solution of least loss; ties go to the least bound, then to the first in the order of levels. None when nothing is safe.
///
/// # Errors
/// [`Error::Usage`] when there are too many levels to try, or `request` asks for no anonymity.
pub fn search(classes: &Classes, quasi: &[Quasi], request: &Request) -> Result<Option<Solution>> {
    if request.k < 2 || request.l == 0 || request.suppressed > PARTS {
        return Err(Error::Usage(
            "k vaut au moins 2, l au moins 1, la part des lignes retirées au plus 1".into(),
        ));
    }
    let nodes = quasi.iter().fold(1_usize, |n, q| n.saturating_mul(q.levels()));
    if nodes > NODES {
        return Err(Error::Usage(format!(
            "{nodes} combinaisons de niveaux, {NODES} au plus : déclarez moins de niveaux"
        )));
    }
    let losses = losses(classes, quasi);
    let mut order: Vec<(u64, Vec<usize>)> = nodes_of(quasi)
        .map(|levels| (levels.iter().zip(&losses).map(|(l, of)| of.at(*l)).sum(), levels))
        .collect();
    order.sort_unstable();
    let worst = classes.rows() * quasi.len() as u64 * PARTS;
    let mut best: Option<(u64, Solution)> = None;
    let mut tried = 0;
    for (bound, levels) in order {
        if best.as_ref().is_some_and(|(loss, _)| bound >= *loss) {
            break;
        }
        tried += 1;
        let Some(failing) = failing(classes, quasi, &levels, request) else { continue };
        let loss = loss(classes, quasi, &levels, &failing);
        if best.as_ref().is_none_or(|(known, _)| loss < *known) {
            let suppressed_rows = rows_of(classes, &failing);
            let share = if worst == 0 { 0.0 } else { loss as f64 / worst as f64 };
            best = Some((
                loss,
                Solution { levels, suppressed: failing, suppressed_rows, loss: share, tried: 0 },
            ));
        }
    }
    Ok(best.map(|(_, solution)| Solution { tried, ..solution }))
}

/// Every choice of one level for each quasi-identifier.
fn nodes_of(quasi: &[Quasi]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let count = quasi.iter().map(Quasi::levels).product::<usize>();
    (0..count).map(move |mut rest| {
        let mut levels: Vec<usize> = quasi
            .iter()
            .rev()
            .map(|q| {
                let level = rest % q.levels();
                rest /= q.levels();
                level
            })
            .collect();
        levels.reverse();
        levels
    })
}

/// Loss of one row by its code of level 0, for each level; in [`PARTS`].
fn row_losses(quasi: &Quasi) -> Vec<Vec<u64>> {
    let all = quasi.sizes.first().copied().unwrap_or(0).saturating_sub(1).max(1);
    let of = |map: &Vec<u32>, size: u32| {
        let mut under = vec![0_u32; size as usize];
        map.iter().for_each(|code| under.change(*code as usize, |n| n + 1));
        let one = |code: &u32| u64::from(under.at(*code as usize).saturating_sub(1)) * PARTS / u64::from(all);
        map.iter().map(one).collect()
    };
    let mut levels: Vec<Vec<u64>> = quasi.maps.iter().zip(&quasi.sizes).map(|(m, s)| of(m, *s)).collect();
    // Of a column with one code, hiding it loses all that it says all the same.
    if let Some(last) = levels.last_mut() {
        last.iter_mut().for_each(|loss| *loss = PARTS);
    }
    levels
}

/// Loss of all rows by quasi-identifier and level, none left out.
fn losses(classes: &Classes, quasi: &[Quasi]) -> Vec<Vec<u64>> {
    let of = |(i, q): (usize, &Quasi)| {
        let rows = row_losses(q);
        let sum = |level: &Vec<u64>| {
            let class = |(c, size): (usize, &u32)| {
                level.at(classes.codes.at(c * classes.width + i) as usize) * u64::from(*size)
            };
            classes.sizes.iter().enumerate().map(class).sum()
        };
        rows.iter().map(sum).collect()
    };
    quasi.iter().enumerate().map(of).collect()
}

/// Loss of a node, rows left out included.
fn loss(classes: &Classes, quasi: &[Quasi], levels: &[usize], failing: &[bool]) -> u64 {
    let tables: Vec<Vec<u64>> = quasi
        .iter()
        .zip(levels)
        .map(|(q, level)| row_losses(q).into_iter().nth(*level).unwrap_or_default())
        .collect();
    let class = |(c, size): (usize, &u32)| {
        let one: u64 = match failing.at(c) {
            true => tables.len() as u64 * PARTS,
            false => {
                let code = |i: usize| classes.codes.at(c * classes.width + i) as usize;
                tables.iter().enumerate().map(|(i, t)| t.at(code(i))).sum()
            }
        };
        one * u64::from(*size)
    };
    classes.sizes.iter().enumerate().map(class).sum()
}

fn rows_of(classes: &Classes, chosen: &[bool]) -> u64 {
    classes.sizes.iter().zip(chosen).filter(|(_, c)| **c).map(|(n, _)| u64::from(*n)).sum()
}

/// Classes of level 0 whose merged class fails; none when more rows fail than may be left out.
fn failing(classes: &Classes, quasi: &[Quasi], levels: &[usize], request: &Request) -> Option<Vec<bool>> {
    let maps: Vec<&[u32]> =
        quasi.iter().zip(levels).map(|(q, l)| q.maps.get(*l).map_or(&[][..], Vec::as_slice)).collect();
    let mut of = vec![0_u32; classes.len()];
    let mut numbers: HashMap<u64, u32, FixedState> = HashMap::default();
    let mut count = usize::from(!classes.is_empty());
    // Columns together as long as their product has room, then by number: few passes, no overflow.
    let (mut keys, mut room) = (vec![0_u64; classes.len()], 1_u64);
    for (i, (map, q)) in maps.iter().zip(quasi).enumerate() {
        let size = u64::from(levels.get(i).map_or(1, |l| q.sizes.at(*l)).max(1));
        if room.checked_mul(size).is_none() {
            count = renumber(&mut keys, &mut numbers, &mut of);
            of.iter().zip(&mut keys).for_each(|(class, key)| *key = u64::from(*class));
            room = count as u64;
        }
        for (c, key) in keys.iter_mut().enumerate() {
            *key = *key * size + u64::from(map.at(classes.codes.at(c * classes.width + i) as usize));
        }
        room = room.saturating_mul(size);
    }
    if !maps.is_empty() {
        count = renumber(&mut keys, &mut numbers, &mut of);
    }
    let mut sizes = vec![0_u64; count];
    for (class, rows) in of.iter().zip(&classes.sizes) {
        sizes.change(*class as usize, |n| n + u64::from(*rows));
    }
    let budget = u128::from(classes.rows()) * u128::from(request.suppressed) / u128::from(PARTS);
    let mut bad: Vec<bool> = sizes.iter().map(|n| *n < u64::from(request.k)).collect();
    let spent = |bad: &[bool]| -> u128 {
        sizes.iter().zip(bad).filter(|(_, b)| **b).map(|(n, _)| u128::from(*n)).sum()
    };
    if spent(&bad) > budget {
        return None;
    }
    if request.l > 1 || request.t.is_some() {
        let merged: Vec<Vec<(u32, u32, u64)>> = classes.secrets.iter().map(|s| merge(s, &of)).collect();
        for (secret, missing) in merged.iter().zip(&classes.missing).filter(|_| request.l > 1) {
            let mut values = vec![0_u32; count];
            let told = secret.iter().filter(|(_, value, _)| Some(*value) != *missing);
            told.for_each(|(class, _, _)| values.change(*class as usize, |n| n + 1));
            bad.iter_mut().zip(&values).for_each(|(bad, n)| *bad |= *n < request.l);
        }
        if let Some(t) = request.t {
            // Leaving rows out changes what all rows are: again until none fails.
            while spent(&bad) <= budget && far(classes, &merged, t, &mut bad) {}
        }
        if spent(&bad) > budget {
            return None;
        }
    }
    Some(of.iter().map(|class| bad.at(*class as usize)).collect())
}

/// Numbers equal keys alike, in the order of classes.
fn renumber(keys: &mut [u64], numbers: &mut HashMap<u64, u32, FixedState>, of: &mut [u32]) -> usize {
    numbers.clear();
    for (key, class) in keys.iter().zip(of) {
        let next = numbers.len() as u32;
        *class = *numbers.entry(*key).or_insert(next);
    }
    numbers.len()
}

/// Secrets of merged classes: (class, value, rows), in order.
fn merge(secret: &[(u32, u32, u32)], of: &[u32]) -> Vec<(u32, u32, u64)> {
    let mut list: Vec<(u32, u32, u64)> = secret
        .iter()
        .map(|(class, value, rows)| (of.at(*class as usize), *value, u64::from(*rows)))
        .collect();
    list.sort_unstable();
    list.dedup_by(|b, a| {
        let same = (a.0, a.1) == (b.0, b.1);
        if same {
            a.2 += b.2;
        }
        same
    });
    list
}

/// Adds the classes whose secrets are too far from those of the rows that stay; whether there were any.
fn far(classes: &Classes, merged: &[Vec<(u32, u32, u64)>], t: u64, bad: &mut [bool]) -> bool {
    let mut found = Vec::new();
    for (secret, (whole, ordered)) in merged.iter().zip(&classes.whole) {
        let mut all = vec![0_u64; whole.len()];
        for (_, value, rows) in secret.iter().filter(|(class, _, _)| !bad.at(*class as usize)) {
            all.change(*value as usize, |n| n + rows);
        }
        // Ranks count the values that stay.
        let ranks: Vec<Option<usize>> = all
            .iter()
            .scan(0, |next, n| {
                let rank = (*n > 0).then_some(*next);
                *next += usize::from(*n > 0);
                Some(rank)
            })
            .collect();
        all.retain(|n| *n > 0);
        let all = Spread::new(all, *ordered);
        let mut held = Vec::new();
        for part in secret.chunk_by(|a, b| a.0 == b.0) {
            let class = part.first().map_or(0, |(class, _, _)| *class);
            if bad.at(class as usize) {
                continue;
            }
            held.clear();
            held.extend(part.iter().filter_map(|(_, value, n)| Some(((*ranks.get(*value as usize)?)?, *n))));
            if !all.within(&held, t) {
                found.push(class);
            }
        }
    }
    found.iter().for_each(|class| bad.put(*class as usize, true));
    !found.is_empty()
}
