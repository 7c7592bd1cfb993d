//! The population of a plan: what the analysis of a store says is to be sorted by it.

use super::draws::record_id;
use super::plan::Plan;
use super::population::Record;
use crate::domain::hex;
use crate::error::Result;
use crate::retention::{Analysis, Group, Outcome, record_names};
use crate::run::Rulebook;
use crate::store::{Store, column_names, read_batches, tombstone};
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// Kept without a draw, and why.
const PERSON_UNKNOWN: &str = "personne-inconnue";
const PERSON_KEPT: &str = "personne-gardee";
const LINE_SHARED: &str = "ligne-partagee";

/// Records that are due at a day and to be sorted by a plan, in the order of their identifiers.
/// What an earlier draw of the plan sorted, and what a package for the archives holds, is not there.
///
/// # Errors
/// When the store cannot be read.
pub fn gather(
    store: &Store,
    rulebook: &Rulebook,
    plan: &Plan,
    at: NaiveDate,
    salt: &[u8; 32],
) -> Result<Vec<Record>> {
    let analysis = Analysis::new(store, rulebook, at)?;
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    for snapshot in store.ledger.snapshots("")? {
        if store.ledger.packaged_in(&snapshot.path)?.is_some() {
            continue;
        }
        let groups = analysis.groups(snapshot.clone(), &store.path(&snapshot.path))?;
        let sorted = |g: &&Group| {
            g.verdict.outcome == Outcome::Sort && analysis.plan_of(g).as_deref() == Some(&*plan.id)
        };
        let kinds: BTreeMap<usize, String> = groups
            .iter()
            .filter(sorted)
            .map(|g| (g.number, g.shared.document.clone().unwrap_or_else(|| snapshot.table_name.clone())))
            .collect();
        if kinds.is_empty() {
            continue;
        }
        let path = store.snapshot_path(&snapshot)?;
        let mut splitter = analysis.splitter(&snapshot, &path)?;
        let there = column_names(&path)?;
        let unit = plan.unit.get(&snapshot.table_name);
        let strata = plan.stratified.iter().flat_map(|s| &s.columns);
        let own = unit.into_iter().chain(plan.surname.as_ref().map(|s| &s.column)).chain(strata);
        let mut columns: Vec<String> = splitter.wanted().into_iter().map(str::to_owned).collect();
        columns.extend(own.filter(|c| there.contains(c)).cloned());
        columns.extend(["_file".to_owned(), "_record".to_owned()]);
        columns.sort_unstable();
        columns.dedup();
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        for batch in read_batches(&path, Some(&columns))? {
            let batch = batch?;
            let numbers = splitter.rows(&snapshot, &batch)?;
            let names = record_names(&snapshot.delivery_id, &batch)?;
            let persons = unit.map(|c| texts(&batch, c));
            let surnames = plan.surname.as_ref().map(|s| texts(&batch, &s.column));
            let strata: Vec<Option<StringArray>> =
                plan.stratified.iter().flat_map(|s| &s.columns).map(|c| texts(&batch, c)).collect();
            for (row, name) in names.as_string::<i32>().iter().enumerate() {
                let kind = numbers.get(row).and_then(|n| kinds.get(n));
                let (Some(kind), Some(name)) = (kind, name) else { continue };
                let person = persons.as_ref().map(|column| value(column, row));
                let key = person.flatten().map(|p| hex(&tombstone(salt, &format!("tri\0{p}"))));
                let kept_before = key.as_deref().is_some_and(|k| analysis.keeps_person(&plan.id, k));
                let excluded = match person {
                    Some(None) => Some(PERSON_UNKNOWN),
                    _ if kept_before => Some(PERSON_KEPT),
                    _ => None,
                };
                let record = Record {
                    id: record_id(&snapshot.table_name, name),
                    key,
                    year: snapshot.annee_scolaire.clone(),
                    name: surnames.as_ref().and_then(|column| value(column, row)).map(str::to_owned),
                    kind: kind.clone(),
                    strata: strata.iter().map(|c| value(c, row).unwrap_or_default().to_owned()).collect(),
                    qualitative: None,
                    excluded: excluded.map(str::to_owned),
                };
                match records.entry(record.id.clone()) {
                    Entry::Vacant(free) => {
                        free.insert(record);
                    }
                    // Rows of one line of a wide file have one name, and one fate.
                    Entry::Occupied(mut known) if *known.get() != record => {
                        known.get_mut().excluded = Some(LINE_SHARED.to_owned());
                    }
                    Entry::Occupied(_) => {}
                }
            }
        }
    }
    Ok(records.into_values().collect())
}

/// A column as text; `None` when it is not there or has no text form.
fn texts(batch: &RecordBatch, column: &str) -> Option<StringArray> {
    let text = cast(batch.column_by_name(column)?, &DataType::Utf8).ok()?;
    text.as_string_opt::<i32>().cloned()
}

fn value(column: &Option<StringArray>, row: usize) -> Option<&str> {
    let column = column.as_ref().filter(|c| c.is_valid(row))?;
    Some(column.value(row).trim()).filter(|v| !v.is_empty())
}
