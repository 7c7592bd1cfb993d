//! The sort-final step: a decision for every record of every table, with its reasons.
//!
//! Records of one snapshot whose duration starts on the same day share their decision: they are a
//! [`Group`], decided once.

use super::decide::{Decision, Outcome, decide};
use super::rules::Referential;
use crate::domain::{AnneeScolaire, Calendar};
use crate::error::{Error, Result};
use crate::french::thousands;
use crate::run::{Counts, Run, Said};
use crate::store::{PartWriter, Snapshot, Store, files, read_batches};
use crate::validate::days;
use arrow::array::{ArrayRef, AsArray, Date32Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Records that share a decision.
#[derive(Debug, Clone)]
pub struct Group {
    /// Where they are.
    pub snapshot: Snapshot,
    /// Day that starts the duration.
    pub start: Option<NaiveDate>,
    /// How many.
    pub records: u64,
    /// What and why.
    pub decision: Decision,
}

/// Decisions for everything in the store at a date, in the order of ingestion.
///
/// # Errors
/// When the ledger cannot be read or says nonsense.
pub fn decisions(
    store: &Store,
    referential: &Referential,
    calendar: &Calendar,
    at: NaiveDate,
) -> Result<Vec<Group>> {
    store
        .ledger
        .snapshots("")?
        .into_iter()
        .map(|snapshot| {
            let year = AnneeScolaire::parse(&snapshot.annee_scolaire)
                .ok_or_else(|| Error::Corrupt(format!("année scolaire de {}", snapshot.path)))?;
            let start = calendar.end_of(year);
            let decision = decide(referential.of_class(&snapshot.record_class, at), start, at);
            Ok(Group { start, records: snapshot.rows.unsigned_abs(), decision, snapshot })
        })
        .collect()
}

/// Records by (class, school year, decision).
pub type Simulation = BTreeMap<(String, String, Outcome), u64>;

/// Counts by decision, then in detail.
pub fn simulate(groups: &[Group]) -> (BTreeMap<Outcome, u64>, Simulation) {
    let (mut total, mut detail) = (BTreeMap::new(), BTreeMap::new());
    for g in groups {
        *total.entry(g.decision.outcome).or_default() += g.records;
        let key = (g.snapshot.record_class.clone(), g.snapshot.annee_scolaire.clone(), g.decision.outcome);
        *detail.entry(key).or_default() += g.records;
    }
    (total, detail)
}

/// The sort-final step: writes `reports/<run id>/decisions.parquet`, one row a record.
///
/// # Errors
/// When the store fails, or a snapshot does not hold the records that the ledger counts.
pub fn sort_final(run: &mut Run<'_>) -> Result<Said> {
    let groups = decisions(run.store, &run.rulebook.referential, &run.rulebook.calendar, run.date)?;
    let path = format!("reports/{}/decisions.parquet", run.id);
    let aside = run.store.work_dir("sort-final")?.join("decisions.parquet");
    let text = |n: &str, null: bool| Field::new(n, DataType::Utf8, null);
    let schema = Arc::new(Schema::new(vec![
        text("table", false),
        text("record", false),
        text("record_class", false),
        text("annee_scolaire", false),
        text("decision", false),
        text("rules", false),
        text("rules_version", false),
        Field::new("start_date", DataType::Date32, true),
        Field::new("due_date", DataType::Date32, true),
        text("reasons", false),
    ]));
    let mut writer = PartWriter::create(&aside, schema.clone())?;
    let mut decided = 0_u64;
    for (i, group) in groups.iter().enumerate() {
        let mut rows = 0_u64;
        for batch in read_batches(&run.store.snapshot_path(&group.snapshot)?, Some(&["_file", "_record"]))? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            writer.write(&decision_rows(&schema, group, &run.rulebook.referential.version, &batch)?)?;
        }
        if rows != group.records {
            return Err(Error::Corrupt(format!(
                "{} : {rows} enregistrements lus, {} attendus",
                group.snapshot.path, group.records
            )));
        }
        decided += rows;
        run.progress.advance(i as u64 + 1, groups.len() as u64);
    }
    let (_, digest) = writer.finish()?;
    files::publish(&aside, &run.store.path(&path))?;
    let (total, _) = simulate(&groups);
    let by_decision: serde_json::Map<String, serde_json::Value> =
        total.iter().map(|(o, n)| (o.as_str().to_owned(), json!(n))).collect();
    let payload = json!({"by_decision": by_decision, "rules_version": run.rulebook.referential.version, "decisions_sha256": digest.to_string()});
    let detail = total
        .iter()
        .map(|(o, n)| format!("{} : {}", o.french(), thousands(*n)))
        .collect::<Vec<_>>()
        .join(", ");
    let counts = Counts { read: decided, accepted: decided, ..Counts::default() };
    Ok(Said {
        counts,
        outputs: vec![path],
        detail,
        facts: vec![("decisions_made", payload)],
        ..Said::default()
    })
}

/// Name of a record for people and lists: delivery, file and number; never a personal value.
pub fn record_name(delivery: &str, file: &str, record: i64) -> String {
    format!("{delivery}/{file}#{record}")
}

fn decision_rows(
    schema: &Arc<Schema>,
    group: &Group,
    version: &str,
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    let n = batch.num_rows();
    let same =
        |value: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, n))) };
    let date = |d: Option<NaiveDate>| -> ArrayRef {
        Arc::new(Date32Array::from_iter(std::iter::repeat_n(d.map(days), n)))
    };
    let (s, d) = (&group.snapshot, &group.decision);
    Ok(RecordBatch::try_new(
        schema.clone(),
        vec![
            same(&s.table_name),
            record_names(&s.delivery_id, batch)?,
            same(&s.record_class),
            same(&s.annee_scolaire),
            same(d.outcome.as_str()),
            same(&d.rules.join(",")),
            same(version),
            date(group.start),
            date(d.due),
            same(&d.reasons.join(" ; ")),
        ],
    )?)
}

/// Names of the records of a batch that holds `_file` and `_record`.
///
/// # Errors
/// When the columns are missing.
pub fn record_names(delivery: &str, batch: &RecordBatch) -> Result<ArrayRef> {
    let missing = || Error::Corrupt("colonnes d'origine absentes".into());
    let file = batch.column_by_name("_file").and_then(|c| c.as_string_opt::<i32>()).ok_or_else(missing)?;
    let record = batch
        .column_by_name("_record")
        .and_then(|c| c.as_primitive_opt::<Int64Type>())
        .ok_or_else(missing)?;
    let names =
        file.iter().zip(record.iter()).map(|(f, r)| record_name(delivery, f.unwrap_or(""), r.unwrap_or(0)));
    Ok(Arc::new(StringArray::from_iter_values(names)))
}
