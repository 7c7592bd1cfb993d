//! The list: one line a record, one row a kind of record, bound by a digest.
//!
//! The digest covers the canonical list (rows and records), not the day it was proposed: the same
//! records give the same list, night after night, until something is decided about them.

use super::bordereau;
use crate::domain::Digest;
use crate::error::{Error, Result};
use crate::french::count;
use crate::journal::{NewEntry, canonical};
use crate::retention::{Group, Outcome, decisions, record_names};
use crate::run::{Counts, Run, Said};
use crate::store::{ListRow, PartWriter, files, read_batches};
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One row of the bordereau: records of one class, table and school year.
#[derive(Debug, Clone, Serialize)]
pub struct BordereauRow {
    /// Order number, from 1.
    pub order: usize,
    /// Rule: the reference in the tableau de gestion.
    pub rule: String,
    /// What the records are.
    pub typology: String,
    /// Table.
    pub table: String,
    /// First year of the dates extrêmes.
    pub first_year: String,
    /// Last year.
    pub last_year: String,
    /// Duration, in French.
    pub duration: String,
    /// Due day.
    pub due_date: String,
    /// Records.
    pub records: u64,
    /// Bytes at rest.
    pub bytes: u64,
    /// Digest of the names of the records, in order.
    pub records_sha256: String,
    /// Reasons.
    pub reasons: Vec<String>,
}

/// The elimination step.
///
/// # Errors
/// When the store fails.
pub fn propose(run: &mut Run<'_>) -> Result<Said> {
    let groups = decisions(run.store, &run.rulebook.referential, &run.rulebook.calendar, run.date)?;
    let read: u64 = groups.iter().map(|g| g.records).sum();
    let due: Vec<&Group> = groups.iter().filter(|g| g.decision.outcome == Outcome::Eliminate).collect();
    let listed: u64 = due.iter().map(|g| g.records).sum();
    let counts = Counts { read, accepted: listed, excluded: read - listed, ..Counts::default() };
    if due.is_empty() {
        return Ok(Said { counts, detail: "aucun enregistrement éliminable".into(), ..Said::default() });
    }
    let work = run.store.work_dir("elimination")?;
    let folder = work.join("list");
    let rows = write_records(run, &due, &folder)?;
    let canonical_list = json!({"rules_version": run.rulebook.referential.version, "rows": rows});
    let digest = Digest::of(canonical(&canonical_list).as_bytes()).to_string();
    if let Some(known) = run.store.ledger.lists()?.into_iter().find(|l| l.digest == digest) {
        files::remove_dir(&work)?;
        let detail =
            format!("liste {} inchangée : {listed} enregistrements, en attente de décision", known.id);
        return Ok(Said { counts, outputs: vec![known.path], detail, ..Said::default() });
    }
    let id = format!("EL-{}-{}", run.date.format("%Y%m%d"), digest.get(..8).unwrap_or_default());
    let path = format!("elimination/{id}");
    let document = json!({
        "id": id, "digest": digest, "status": "proposed", "proposed_on": run.date.to_string(),
        "rules_version": run.rulebook.referential.version, "records": listed, "rows": rows,
    });
    let mut text = serde_json::to_string_pretty(&document).map_err(|e| Error::Write(e.to_string()))?;
    text.push('\n');
    files::write_atomic(&folder.join("list.json"), text.as_bytes())?;
    files::write_atomic(&folder.join("bordereau.xlsx"), &bordereau::xlsx(&id, &digest, run.date, &rows)?)?;
    run.store.publish(&[(folder, path.clone())])?;
    let row = ListRow {
        id: id.clone(),
        digest: digest.clone(),
        path: path.clone(),
        records: i64::try_from(listed).unwrap_or(i64::MAX),
        status: "proposed".into(),
        proposed_on: run.date.to_string(),
        run_id: run.id.clone(),
    };
    let payload = json!({"list": id, "digest": digest, "records": listed, "rows": rows.len()});
    let (at, date) = (run.now(), run.date.to_string());
    run.store.ledger.transact(|tx| {
        tx.list(&row)?;
        tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind: "list_proposed", payload })
    })?;
    files::remove_dir(&work)?;
    let detail = format!(
        "liste {id} : {} en {} de bordereau ; rien n'est supprimé sans visa",
        count(listed, "enregistrement", "enregistrements"),
        count(rows.len() as u64, "ligne", "lignes")
    );
    Ok(Said { counts, outputs: vec![path], detail, ..Said::default() })
}

/// Writes `list.parquet` and gathers the rows of the bordereau.
fn write_records(run: &Run<'_>, due: &[&Group], folder: &std::path::Path) -> Result<Vec<BordereauRow>> {
    let text = |n: &str| Field::new(n, DataType::Utf8, false);
    let schema = Arc::new(Schema::new(vec![
        text("row"),
        text("record"),
        text("table"),
        text("annee_scolaire"),
        text("rule"),
        text("due_date"),
    ]));
    let mut writer = PartWriter::create(&folder.join("list.parquet"), schema.clone())?;
    let mut by_row: BTreeMap<(String, String, String), Vec<&Group>> = BTreeMap::new();
    for group in due {
        let s = &group.snapshot;
        by_row
            .entry((s.record_class.clone(), s.annee_scolaire.clone(), s.table_name.clone()))
            .or_default()
            .push(group);
    }
    let mut rows = Vec::new();
    for (order, ((_, year, table), groups)) in (1..).zip(by_row) {
        let (mut records, mut bytes, mut digest) = (0, 0, Sha256::new());
        let Some(first) = groups.first() else { continue };
        let due_date =
            groups.iter().filter_map(|g| g.decision.due).max().map(|d| d.to_string()).unwrap_or_default();
        let rule_id = first.decision.rules.join(",");
        for group in &groups {
            let path = run.store.snapshot_path(&group.snapshot)?;
            bytes += std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len();
            for batch in read_batches(&path, Some(&["_file", "_record"]))? {
                let batch = batch?;
                let names = record_names(&group.snapshot.delivery_id, &batch)?;
                let list: &StringArray = names.as_string();
                list.iter().flatten().for_each(|n| {
                    digest.update(n.as_bytes());
                    digest.update(b"\n");
                });
                let n = batch.num_rows();
                records += n as u64;
                let same = |v: &str| -> ArrayRef {
                    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(v, n)))
                };
                let columns = vec![
                    same(&order.to_string()),
                    names.clone(),
                    same(&table),
                    same(&year),
                    same(&rule_id),
                    same(&due_date),
                ];
                writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
            }
        }
        let rule =
            run.rulebook.referential.rules.iter().find(|r| first.decision.rules.first() == Some(&r.id));
        let contract = run.rulebook.contracts.iter().find(|c| c.name == table);
        let (first_year, last_year) = year.split_once('-').unwrap_or((&year, &year));
        rows.push(BordereauRow {
            order,
            rule: rule_id,
            typology: contract.map_or(table.clone(), |c| c.title.clone()),
            table: table.clone(),
            first_year: first_year.to_owned(),
            last_year: last_year.to_owned(),
            duration: rule.map(|r| r.duration.french()).unwrap_or_default(),
            due_date,
            records,
            bytes,
            records_sha256: crate::domain::hex(&digest.finalize()),
            reasons: first.decision.reasons.clone(),
        });
    }
    writer.finish()?;
    Ok(rows)
}
