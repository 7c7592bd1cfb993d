//! Levels that say others: whoever knows the MEF of a pupil knows his level, by a nomenclature that everybody
//! reads. What one dataset masks by level, another could print by MEF.
//!
//! Nobody has to declare it: it is looked for in the records. A level says another when nearly all persons of each
//! of its codes have the same code there; of the others, with which codes they are found.

use super::aggregate::{records, safe_code};
use super::dataset::{Dataset, Join};
use super::earlier::{Earlier, other_levels};
use super::levels::{Origin, first};
use super::load::YEAR;
use crate::disclosure::release::Implied;
use crate::error::Result;
use crate::store::{Snapshot, Store, current};
use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use cartulaire_bridge::to_array;
use chrono::NaiveDate;
use polars::prelude::{Expr, col, len};
use std::collections::{BTreeMap, BTreeSet};

/// Persons, in %, whose code is the one that their group says.
const NEARLY_ALL: u64 = 95;

/// Persons by code of a level, then by code of another.
type Pairs = BTreeMap<String, BTreeMap<String, u64>>;

/// What the levels of a candidate and of earlier publications say of each other.
///
/// # Errors
/// When the store fails.
pub fn implied(
    store: &Store,
    dataset: &Dataset,
    date: NaiveDate,
    earlier: &[Earlier],
) -> Result<Vec<Implied>> {
    let others = other_levels(dataset, earlier);
    if others.is_empty() {
        return Ok(Vec::new());
    }
    let mut levels: Vec<(String, Origin)> =
        dataset.dimension_names().into_iter().map(ToOwned::to_owned).zip(dataset.origins()).collect();
    levels.extend(others);
    // What another table holds is not in these records.
    let mine = |o: &Origin| match o.parts() {
        (Some(_), _) => true,
        (None, _) => o.source.split('.').next() == Some(dataset.table.as_str()),
    };
    levels.retain(|(_, o)| mine(o));
    // Two columns of one name cannot be told apart here.
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    levels.retain(|(_, o)| *sources.entry(o.parts().1).or_insert_with(|| o.source.clone()) == o.source);
    // What a dataset says of itself is in its own additions.
    let own = levels.iter().filter(|(n, _)| dataset.dimension_names().contains(&n.as_str())).count();
    let pairs: Vec<(usize, usize)> = (0..levels.len())
        .flat_map(|a| (0..levels.len()).map(move |b| (a, b)))
        .filter(|(a, b)| a != b && (*a >= own || *b >= own))
        .collect();
    let mut found: Vec<Pairs> = vec![Pairs::new(); pairs.len()];
    let all = store.ledger.snapshots(&dataset.table)?;
    let mut current = current(&all, dataset.snapshot, date);
    if dataset.latest_year_only {
        let last = current.iter().map(|s| s.annee_scolaire.clone()).max();
        current.retain(|s| Some(&s.annee_scolaire) == last.as_ref());
    }
    let groups: BTreeSet<(&str, &str)> =
        current.iter().map(|s| (s.emitter.as_str(), s.annee_scolaire.as_str())).collect();
    for (emitter, year) in groups {
        let parts: Vec<&Snapshot> =
            current.iter().filter(|s| s.emitter == emitter && s.annee_scolaire == year).copied().collect();
        for (codes, persons) in combinations(store, dataset, (emitter, year), &parts, date, &levels)? {
            for ((a, b), pairs) in pairs.iter().zip(&mut found) {
                let (Some(fine), Some(coarse)) = (codes.get(*a), codes.get(*b)) else { continue };
                *pairs.entry(fine.clone()).or_default().entry(coarse.clone()).or_default() += persons;
            }
        }
    }
    let name = |i: usize| levels.get(i).map(|(n, _)| n.clone()).unwrap_or_default();
    let said = pairs.iter().zip(&found).filter(|(_, found)| says(found));
    Ok(said
        .map(|((a, b), found)| {
            let codes = |(fine, coarse): (&String, &BTreeMap<String, u64>)| {
                (fine.clone(), coarse.keys().cloned().collect())
            };
            Implied::new(&name(*a), &name(*b), found.iter().map(codes).collect())
        })
        .collect())
}

/// Whether the first level says the second: for nearly all, and more than guessing would.
fn says(pairs: &Pairs) -> bool {
    let all: u64 = pairs.values().flat_map(BTreeMap::values).sum();
    let right: u64 = pairs.values().filter_map(|codes| codes.values().max()).sum();
    let several = pairs.values().flat_map(BTreeMap::keys).collect::<BTreeSet<_>>().len() > 1;
    several && right.saturating_mul(100) >= all.saturating_mul(NEARLY_ALL)
}

/// Distinct codes of all levels among the records of a sender and year, and how many have them.
fn combinations(
    store: &Store,
    dataset: &Dataset,
    (emitter, year): (&str, &str),
    parts: &[&Snapshot],
    date: NaiveDate,
    levels: &[(String, Origin)],
) -> Result<Vec<(Vec<String>, u64)>> {
    let mut joins: Vec<Join> = dataset.join.iter().cloned().collect();
    let mut own: BTreeSet<String> = BTreeSet::new();
    let mut columns: Vec<String> = Vec::new();
    for (_, origin) in levels {
        let (join, column) = origin.parts();
        match join {
            None => drop(own.insert(column.clone())),
            Some(join) => {
                let same = |j: &&mut Join| j.table == join.table && j.left == join.left;
                match joins.iter_mut().find(same) {
                    Some(known) if known.columns.contains(&column) => {}
                    Some(known) => known.columns.push(column.clone()),
                    None => joins.push(join),
                }
            }
        }
        columns.push(column);
    }
    let own: BTreeSet<&str> = own.iter().map(String::as_str).collect();
    let Some(records) = records(store, dataset, (emitter, year), parts, date, &own, &joins)? else {
        return Ok(Vec::new());
    };
    let by: BTreeSet<&str> = columns.iter().map(String::as_str).filter(|c| *c != YEAR).collect();
    let by: Vec<Expr> = by.into_iter().map(col).collect();
    let frame = records.group_by_stable(&by).agg([len().alias("_records")]).collect()?;
    let array = |name: &str, kind: &DataType| -> Result<ArrayRef> {
        Ok(cast(&to_array(frame.column(name)?.as_materialized_series())?, kind)?)
    };
    let mut arrays: Vec<Option<ArrayRef>> = Vec::new();
    for column in &columns {
        arrays.push(if column == YEAR { None } else { Some(array(column, &DataType::Utf8)?) });
    }
    let counts = array("_records", &DataType::UInt64)?;
    let counts = counts.as_primitive::<arrow::datatypes::UInt64Type>();
    let code = |row: usize, (array, (_, origin)): (&Option<ArrayRef>, &(String, Origin))| match array {
        None => year.to_owned(),
        Some(array) if array.is_valid(row) => {
            safe_code(first(array.as_string::<i32>().value(row), origin.prefix))
        }
        Some(_) => "_Z".to_owned(),
    };
    Ok((0..frame.height())
        .map(|row| (arrays.iter().zip(levels).map(|x| code(row, x)).collect(), counts.value(row)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str, u64)]) -> Pairs {
        let mut out = Pairs::new();
        for (fine, coarse, n) in list {
            out.entry((*fine).into()).or_default().insert((*coarse).into(), *n);
        }
        out
    }

    #[test]
    fn a_level_says_another_when_nearly_all_agree() {
        for (list, want) in [
            (&[("m1", "6EME", 30), ("m2", "5EME", 20)][..], true),
            (&[("m1", "6EME", 97), ("m1", "5EME", 2), ("m2", "5EME", 1)][..], true),
            (&[("m1", "6EME", 30), ("m1", "5EME", 20)][..], false),
            // Nothing is learnt where everybody has the same.
            (&[("m1", "6EME", 30), ("m2", "6EME", 20)][..], false),
            (&[][..], false),
        ] {
            assert_eq!(says(&pairs(list)), want, "{list:?}");
        }
    }
}
