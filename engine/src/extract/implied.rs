//! What the records say of levels: whoever knows the MEF of a pupil knows his level, by a nomenclature that everybody
//! reads. What one dataset masks by level, another could print by MEF.
//!
//! Nobody has to declare it: it is looked for among all records, at the date of each state. A level says another when
//! knowing it leaves at most half the errors of a guess; of each code, with which codes it is found. Which rows a dataset chose
//! is a level like the others.

use super::aggregate::{records, safe_code};
use super::dataset::{Dataset, Join};
use super::levels::{Condition, Origin, Test, first};
use super::load::YEAR;
use crate::disclosure::release::{CHOSEN, Implied, LEFT};
use crate::error::Result;
use crate::store::{Snapshot, Store, current};
use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use cartulaire_bridge::to_array;
use chrono::NaiveDate;
use polars::prelude::{Expr, col, len};
use std::collections::{BTreeMap, BTreeSet};

/// Persons by code of a level, then by code of another.
type Pairs = BTreeMap<String, BTreeMap<String, u64>>;

/// What one state says.
#[derive(Debug, Clone, Default)]
pub struct Knowledge {
    /// Levels that say others.
    pub implied: Vec<Implied>,
    /// Conditions that leave no row out.
    pub idle: BTreeSet<String>,
}

/// What the records of a day say of these levels and conditions on rows.
///
/// # Errors
/// When the store fails.
pub fn knowledge(
    store: &Store,
    dataset: &Dataset,
    date: NaiveDate,
    levels: &[(String, Origin)],
    conditions: &[Condition],
) -> Result<Knowledge> {
    let mut levels: Vec<(String, Origin)> = levels.to_vec();
    levels.retain(|(_, o)| o.parts().is_some_and(|(table, ..)| table == dataset.table));
    // Two columns of one name cannot be told apart here: the table's own come first.
    levels.sort_by_key(|(n, o)| (o.source.contains('='), n.clone()));
    let mut sources: BTreeMap<String, String> = BTreeMap::new();
    levels.retain(|(_, o)| {
        let column = o.parts().map(|(_, _, column)| column).unwrap_or_default();
        *sources.entry(column).or_insert_with(|| o.source.clone()) == o.source
    });
    let names: Vec<String> =
        levels.iter().map(|(n, _)| n.clone()).chain(conditions.iter().map(|c| c.name.clone())).collect();
    let flags = levels.len();
    let pairs: Vec<(usize, usize)> =
        (0..flags).flat_map(|a| (0..names.len()).map(move |b| (a, b))).filter(|(a, b)| a != b).collect();
    let mut found: Vec<Pairs> = vec![Pairs::new(); pairs.len()];
    let mut left: BTreeSet<usize> = BTreeSet::new();
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
        let rows = combinations(store, dataset, (emitter, year), &parts, date, &levels, conditions)?;
        for (codes, persons) in rows {
            for ((a, b), pairs) in pairs.iter().zip(&mut found) {
                let (Some(fine), Some(coarse)) = (codes.get(*a), codes.get(*b)) else { continue };
                *pairs.entry(fine.clone()).or_default().entry(coarse.clone()).or_default() += persons;
            }
            left.extend((flags..names.len()).filter(|i| codes.get(*i).is_some_and(|c| c == LEFT)));
        }
    }
    let name = |i: usize| names.get(i).map_or("", String::as_str);
    let idle = (flags..names.len()).filter(|i| !left.contains(i)).map(|i| name(i).to_owned()).collect();
    // Whether rows were chosen is said as soon as one code says it.
    let told = |found: &Pairs| found.values().any(|codes| codes.len() == 1);
    let said = pairs
        .iter()
        .zip(&found)
        .filter(|((_, b), found)| if *b >= flags { told(found) } else { says(found) });
    let implied = said.map(|((a, b), found)| {
        let codes = |(fine, coarse): (&String, &BTreeMap<String, u64>)| {
            (fine.clone(), coarse.keys().cloned().collect())
        };
        Implied::new(name(*a), name(*b), found.iter().map(codes).collect())
    });
    Ok(Knowledge { implied: implied.collect(), idle })
}

/// Whether knowing the first level leaves at most half the errors of guessing the second.
fn says(pairs: &Pairs) -> bool {
    let mut by: BTreeMap<&String, u64> = BTreeMap::new();
    for (coarse, persons) in pairs.values().flatten() {
        *by.entry(coarse).or_default() += persons;
    }
    let all: u64 = by.values().sum();
    let right: u64 = pairs.values().filter_map(|codes| codes.values().max()).sum();
    let guessed = by.values().max().copied().unwrap_or(0);
    by.len() > 1 && all.saturating_sub(right).saturating_mul(2) <= all.saturating_sub(guessed)
}

/// Distinct codes of all levels, then of all conditions, among the records of a sender and year, and how many have
/// them.
fn combinations(
    store: &Store,
    dataset: &Dataset,
    (emitter, year): (&str, &str),
    parts: &[&Snapshot],
    date: NaiveDate,
    levels: &[(String, Origin)],
    conditions: &[Condition],
) -> Result<Vec<(Vec<String>, u64)>> {
    let mut joins: Vec<Join> = Vec::new();
    let mut bring = |join: Join| match joins.iter().position(|j| j.table == join.table && j.left == join.left)
    {
        Some(at) => {
            if let Some(known) = joins.get_mut(at) {
                known.columns.extend(join.columns);
                known.columns.sort();
                known.columns.dedup();
            }
            at
        }
        None => {
            joins.push(join);
            joins.len() - 1
        }
    };
    let mut own: BTreeSet<String> = BTreeSet::new();
    let mut columns: Vec<String> = Vec::new();
    for (_, join, column) in levels.iter().filter_map(|(_, o)| o.parts()) {
        match join {
            None => drop(own.insert(column.clone())),
            Some(join) => drop(bring(join)),
        }
        columns.push(column);
    }
    let mut found: Vec<Option<String>> = Vec::new();
    for condition in conditions {
        own.insert(condition.column.clone());
        found.push(match &condition.test {
            Test::Joined(table, right) => {
                let (table, left, right) = (table.clone(), condition.column.clone(), right.clone());
                Some(format!("_joined_{}", bring(Join { table, left, right, columns: Vec::new() })))
            }
            _ => None,
        });
    }
    let own: BTreeSet<&str> = own.iter().map(String::as_str).collect();
    let Some(records) = records(store, dataset, (emitter, year), parts, date, &own, &joins, true)? else {
        return Ok(Vec::new());
    };
    let mut by: BTreeSet<&str> = columns.iter().map(String::as_str).filter(|c| *c != YEAR).collect();
    by.extend(conditions.iter().map(|c| c.column.as_str()));
    by.extend(found.iter().flatten().map(String::as_str));
    let by: Vec<Expr> = by.into_iter().map(col).collect();
    let frame = records.group_by_stable(&by).agg([len().alias("_records")]).collect()?;
    let array = |name: &str, kind: &DataType| -> Result<ArrayRef> {
        Ok(cast(&to_array(frame.column(name)?.as_materialized_series())?, kind)?)
    };
    let text = |name: &String| -> Result<Option<ArrayRef>> {
        if name == YEAR { Ok(None) } else { array(name, &DataType::Utf8).map(Some) }
    };
    let arrays: Vec<Option<ArrayRef>> = columns.iter().map(text).collect::<Result<_>>()?;
    let looked: Vec<Option<ArrayRef>> = conditions.iter().map(|c| text(&c.column)).collect::<Result<_>>()?;
    let found: Vec<Option<ArrayRef>> = found
        .iter()
        .map(|f| f.as_ref().map(|name| array(name, &DataType::Boolean)).transpose())
        .collect::<Result<_>>()?;
    let counts = array("_records", &DataType::UInt64)?;
    let counts = counts.as_primitive::<arrow::datatypes::UInt64Type>();
    let value = |array: &'_ ArrayRef, row: usize| -> Option<String> {
        array.is_valid(row).then(|| array.as_string::<i32>().value(row).to_owned())
    };
    let code = |row: usize, (array, (_, origin)): (&Option<ArrayRef>, &(String, Origin))| match array {
        None => year.to_owned(),
        Some(array) => match value(array, row) {
            Some(v) => safe_code(first(&v, origin.prefix)),
            None => "_Z".to_owned(),
        },
    };
    Ok((0..frame.height())
        .map(|row| {
            let mut codes: Vec<String> = arrays.iter().zip(levels).map(|x| code(row, x)).collect();
            for ((condition, looked), found) in conditions.iter().zip(&looked).zip(&found) {
                let own = match looked {
                    None => Some(year.to_owned()),
                    Some(array) => value(array, row),
                };
                let there = found.as_ref().is_some_and(|f| f.is_valid(row) && f.as_boolean().value(row));
                let taken = condition.takes(own.as_deref(), there);
                codes.push(if taken { CHOSEN } else { LEFT }.to_owned());
            }
            (codes, counts.value(row))
        })
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
    fn a_level_says_another_when_it_halves_the_errors_of_a_guess() {
        for (list, want) in [
            (&[("m1", "6EME", 30), ("m2", "5EME", 20)][..], true),
            (&[("m1", "6EME", 50), ("m1", "5EME", 5), ("m2", "5EME", 40)][..], true),
            (&[("m1", "6EME", 30), ("m1", "5EME", 20)][..], false),
            // Nearly all have the same: whoever guesses it is right as often.
            (&[("m1", "non", 96), ("m1", "oui", 2), ("m2", "non", 4), ("m2", "oui", 2)][..], false),
            // Nothing is learnt where everybody has the same.
            (&[("m1", "6EME", 30), ("m2", "6EME", 20)][..], false),
            (&[][..], false),
        ] {
            assert_eq!(says(&pairs(list)), want, "{list:?}");
        }
    }
}
