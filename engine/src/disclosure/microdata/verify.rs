//! The rows about to leave, measured again from their texts: nothing is taken over from the search.

use super::distance::Spread;
use super::{MISSING, PARTS, Request};
use crate::disclosure::slots::Slots;
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use serde::Serialize;
use std::hash::Hash;

/// What the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Rows.
    pub rows: u64,
    /// Classes of the quasi-identifiers.
    pub classes: u64,
    /// Rows of the smallest.
    pub k: u64,
    /// Values of a secret in the class that has fewest; 0 when there is no secret.
    pub l: u64,
    /// Greatest distance of a class's secrets from those of all rows, in [`PARTS`], rounded up.
    pub t: u64,
}

/// Measures `rows`, whose first `known` columns are quasi-identifiers and the next are secrets; for each
/// secret, the rank of its values when they have an order. Refuses rows that are not what `request` asks.
///
/// # Errors
/// [`Error::Refused`] `MICRODATA_UNSAFE` with what fails.
pub fn verify<'a, T: AsRef<str> + Eq + Hash>(
    rows: &'a [Vec<T>],
    known: usize,
    ordered: &[bool],
    request: &Request,
) -> Result<Measured> {
    let refuse = |message: String| Err(Error::Refused { code: "MICRODATA_UNSAFE", message });
    if rows.iter().any(|r| r.len() != known + ordered.len()) {
        return refuse("une ligne a une colonne qui n'est pas déclarée, ou il lui en manque une".into());
    }
    let mut numbers: HashMap<&[T], u32, FixedState> = HashMap::default();
    let mut sizes: Vec<u64> = Vec::new();
    let mut of = Vec::with_capacity(rows.len());
    for row in rows {
        let next = sizes.len() as u32;
        let class = *numbers.entry(row.get(..known).unwrap_or_default()).or_insert(next);
        if class == next {
            sizes.push(0);
        }
        sizes.change(class as usize, |n| n + 1);
        of.push(class);
    }
    let mut found = Measured {
        rows: rows.len() as u64,
        classes: sizes.len() as u64,
        k: sizes.iter().copied().min().unwrap_or(0),
        l: 0,
        t: 0,
    };
    let mut least = None;
    for (i, ordered) in ordered.iter().enumerate() {
        let value = |row: &'a Vec<T>| row.get(known + i).map_or("", T::as_ref);
        let held: HashSet<&str, FixedState> = rows.iter().map(value).collect();
        let mut values: Vec<&str> = held.into_iter().collect();
        values.sort_by(|a, b| order(a).cmp(&order(b)));
        let ranks: HashMap<&str, u32, FixedState> = values.iter().copied().zip(0..).collect();
        let mut all = vec![0_u64; values.len()];
        let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(rows.len());
        for (class, row) in of.iter().zip(rows) {
            let rank = ranks.get(value(row)).copied().unwrap_or(0);
            all.change(rank as usize, |n| n + 1);
            pairs.push((*class, rank));
        }
        pairs.sort_unstable();
        let all = Spread::new(all, *ordered);
        let missing = ranks.get(MISSING).map(|rank| *rank as usize);
        let mut class: Vec<(usize, u64)> = Vec::new();
        for part in pairs.chunk_by(|a, b| a.0 == b.0) {
            class.clear();
            class.extend(
                part.chunk_by(|a, b| a.1 == b.1)
                    .map(|same| (same.first().map_or(0, |(_, rank)| *rank as usize), same.len() as u64)),
            );
            let different = class.iter().filter(|(rank, _)| Some(*rank) != missing).count() as u64;
            least = Some(least.map_or(different, |l: u64| l.min(different)));
            let (far, whole) = all.distance(&class);
            let parts = (far * u128::from(PARTS)).div_ceil(whole.max(1));
            found.t = found.t.max(u64::try_from(parts).unwrap_or(u64::MAX));
        }
    }
    found.l = least.unwrap_or(0);
    if found.rows > 0 && found.k < u64::from(request.k) {
        return refuse(format!("une classe n'a que {} lignes, {} sont demandées", found.k, request.k));
    }
    if found.rows > 0 && !ordered.is_empty() && found.l < u64::from(request.l) {
        return refuse(format!(
            "une classe n'a que {} valeurs d'une colonne sensible, {} sont demandées",
            found.l, request.l
        ));
    }
    if request.t.is_some_and(|t| found.t > t) {
        return refuse(
            "la répartition d'une colonne sensible s'écarte trop, dans une classe, de celle de tous".into(),
        );
    }
    Ok(found)
}

/// Order of values: numbers by value, before texts in theirs.
pub fn order(value: &str) -> (bool, i64, &str) {
    value.parse::<i64>().map_or((true, 0, value), |n| (false, n, value))
}
