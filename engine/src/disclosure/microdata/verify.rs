//! The rows about to leave, measured again from their texts: nothing is taken over from the search.

use super::{MISSING, PARTS, Request, distance};
use crate::error::{Error, Result};
use serde::Serialize;
use std::collections::BTreeMap;

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
pub fn verify(rows: &[Vec<String>], known: usize, ordered: &[bool], request: &Request) -> Result<Measured> {
    let refuse = |message: String| Err(Error::Refused { code: "MICRODATA_UNSAFE", message });
    if rows.iter().any(|r| r.len() != known + ordered.len()) {
        return refuse("une ligne a une colonne qui n'est pas déclarée, ou il lui en manque une".into());
    }
    let mut classes: BTreeMap<&[String], Vec<&Vec<String>>> = BTreeMap::new();
    for row in rows {
        classes.entry(row.get(..known).unwrap_or_default()).or_default().push(row);
    }
    let mut found = Measured {
        rows: rows.len() as u64,
        classes: classes.len() as u64,
        k: classes.values().map(|c| c.len() as u64).min().unwrap_or(0),
        l: 0,
        t: 0,
    };
    let mut least = None;
    for (i, ordered) in ordered.iter().enumerate() {
        let value = |row: &Vec<String>| row.get(known + i).cloned().unwrap_or_default();
        let mut values: Vec<String> = rows.iter().map(value).collect();
        values.sort_by(|a, b| order(a).cmp(&order(b)));
        values.dedup();
        let count = |list: &mut dyn Iterator<Item = String>| -> Vec<u64> {
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            list.for_each(|v| *counts.entry(v).or_default() += 1);
            values.iter().map(|v| counts.get(v).copied().unwrap_or(0)).collect()
        };
        let all = count(&mut rows.iter().map(value));
        for class in classes.values() {
            let counts = count(&mut class.iter().map(|r| value(r)));
            let told = counts.iter().zip(&values).filter(|(n, v)| **n > 0 && *v != MISSING);
            let different = told.count() as u64;
            least = Some(least.map_or(different, |l: u64| l.min(different)));
            let (far, whole) = distance(&counts, class.len() as u64, &all, found.rows, *ordered);
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
