//! What lets the tables be read in fifty years: the code lists as they were used, and where every
//! record comes from.

use super::content::{CSV, JSON, Object, write_text};
use super::model::Event;
use super::profile::Kind;
use crate::contract::Contract;
use crate::domain::DateFormat;
use crate::error::{Error, Result};
use crate::french::thousands;
use crate::nomenclature::Table;
use crate::report::DeliveryQuality;
use crate::run::Run;
use crate::store::{DeliveredFile, Delivery, Snapshot};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where the rows of a snapshot come from.
pub struct Origin {
    /// The snapshot.
    pub snapshot: Snapshot,
    /// Its delivery.
    pub delivery: Delivery,
    /// Files of the delivery that feed the table.
    pub files: Vec<DeliveredFile>,
    /// What the ingest found in it.
    pub quality: DeliveryQuality,
    /// Logical date of the judgement that accepted the rows.
    pub judged_on: Option<NaiveDate>,
    /// Editions of code lists that judged them: BCN table, digest of the file.
    pub editions: BTreeMap<String, String>,
}

/// Reads what the ledger knows of a snapshot.
///
/// # Errors
/// When the ledger fails or lost the delivery.
pub fn origin(run: &Run<'_>, snapshot: &Snapshot) -> Result<Origin> {
    let ledger = &run.store.ledger;
    let lost = || Error::Corrupt(format!("la livraison de {} est inconnue du registre", snapshot.path));
    let delivery =
        ledger.deliveries(None)?.into_iter().find(|d| d.id == snapshot.delivery_id).ok_or_else(lost)?;
    let files = ledger.files(&delivery.id)?.into_iter().filter(|f| f.table_name == snapshot.table_name);
    let row = ledger.ingest_of(&delivery.id)?.ok_or_else(lost)?;
    let quality = serde_json::from_str(&row.quality)
        .map_err(|e| Error::Corrupt(format!("qualité de {} : {e}", row.delivery_id)))?;
    let mut entry = ledger.journal_naming("delivery_ingested", &snapshot.path)?.pop();
    if entry.is_none() {
        entry = ledger.journal_naming("quarantine_replayed", &snapshot.path)?.pop();
    }
    let payload: Value = entry
        .as_ref()
        .map_or(Ok(Value::Null), |e| serde_json::from_str(&e.payload))
        .map_err(|e| Error::Corrupt(format!("journal : {e}")))?;
    let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).map(str::to_owned);
    let editions = payload.get("editions").and_then(Value::as_array).into_iter().flatten();
    Ok(Origin {
        snapshot: snapshot.clone(),
        files: files.collect(),
        quality,
        judged_on: entry.and_then(|e| DateFormat::Iso.parse(&e.date)),
        editions: editions.filter_map(|e| Some((text(e, "table")?, text(e, "sha256")?))).collect(),
        delivery,
    })
}

impl Origin {
    /// Reception and control of the records, for the unit of their table.
    pub fn events(&self) -> Vec<Event> {
        let table = self.quality.tables.iter().find(|t| t.table == self.snapshot.table_name);
        let name = &self.delivery.name;
        let received = DateFormat::Iso.parse(&self.delivery.delivery_date).map(|date| Event {
            kind: Some("Réception".into()),
            date,
            detail: Some(format!("Livraison « {name} »")),
            outcome: Some("OK".into()),
            outcome_message: table.map(|t| format!("Enregistrements lus : {}", thousands(t.read))),
            ..Event::default()
        });
        let judged = self.judged_on.zip(table).map(|(date, t)| Event {
            kind: Some("Contrôle".into()),
            date,
            detail: Some(format!("Schéma et nomenclatures datées, livraison « {name} »")),
            outcome: Some(if t.rejected == 0 { "OK" } else { "WARNING" }.into()),
            outcome_message: Some(format!(
                "Enregistrements acceptés : {} ; écartés : {}",
                thousands(t.accepted),
                thousands(t.rejected)
            )),
            ..Event::default()
        });
        received.into_iter().chain(judged).collect()
    }

    fn lineage(&self) -> Value {
        let s = &self.snapshot;
        json!({
            "table": s.table_name, "annee_scolaire": s.annee_scolaire, "rows": s.rows, "path": s.path, "sha256": s.sha256,
            "delivery": {"id": self.delivery.id, "name": self.delivery.name, "source": self.delivery.source,
                "date": self.delivery.delivery_date, "emitter": self.delivery.emitter,
                "files": self.files.iter().map(|f| json!({"name": f.name, "sha256": f.sha256, "size": f.size})).collect::<Vec<_>>()},
            "judged_on": self.judged_on.map(|d| d.to_string()),
            "editions": self.editions,
        })
    }
}

/// Open data made from rows of these snapshots: each an anonymisation of them.
///
/// # Errors
/// When the ledger fails.
pub fn publications(run: &Run<'_>, origins: &[&Origin]) -> Result<Vec<Event>> {
    let mut found: BTreeMap<(NaiveDate, String), Event> = BTreeMap::new();
    for origin in origins {
        for entry in run.store.ledger.journal_naming("dataset_published", &origin.snapshot.path)? {
            let Some(date) = DateFormat::Iso.parse(&entry.date) else { continue };
            let payload: Value =
                serde_json::from_str(&entry.payload).map_err(|e| Error::Corrupt(format!("journal : {e}")))?;
            let text = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let event = Event {
                kind: Some("Anonymisation".into()),
                date,
                detail: Some(format!(
                    "Données ouvertes « {} », version {}",
                    text("dataset"),
                    text("version")
                )),
                outcome: Some("OK".into()),
                ..Event::default()
            };
            found.insert((date, text("dataset")), event);
        }
    }
    Ok(found.into_values().collect())
}

/// The checks made when the records of a table came in.
///
/// # Errors
/// Never in fact: the values are plain.
pub fn quality(origins: &[&Origin]) -> Result<String> {
    let mut seen = BTreeSet::new();
    let reports: Vec<Value> = origins
        .iter()
        .filter(|o| seen.insert(&o.delivery.id))
        .map(|o| {
            let q = &o.quality;
            let tables = q.tables.iter().filter(|t| t.table == o.snapshot.table_name);
            json!({
                "delivery": q.delivery, "name": q.name, "delivery_date": q.delivery_date,
                "tables": tables.map(|t| json!({"table": t.table, "files": t.files, "read": t.read, "accepted": t.accepted,
                    "rejected": t.rejected, "by_code": t.by_code})).collect::<Vec<_>>(),
            })
        })
        .collect();
    pretty(&json!({"deliveries": reports}))
}

/// The provenance extract of a package.
///
/// # Errors
/// When the disk fails.
pub fn write_lineage(origins: &[&Origin], decision: &Value, folder: &Path) -> Result<Object> {
    let text = pretty(
        &json!({"decision": decision, "records": origins.iter().map(|o| o.lineage()).collect::<Vec<_>>()}),
    )?;
    write_text(
        Kind::Lineage,
        "provenance.json".into(),
        "Provenance des enregistrements".into(),
        "Livraisons reçues, fichiers et empreintes, contrôles, décision de conservation.",
        JSON,
        &text,
        folder,
    )
}

/// The code lists that the tables use, as they were when their rows were judged; those that are no
/// longer at hand are told by the lineage alone.
///
/// # Errors
/// When the store or the disk fail.
pub fn write_nomenclatures(
    run: &Run<'_>,
    contracts: &[&Contract],
    origins: &[&Origin],
    folder: &Path,
) -> Result<Vec<Object>> {
    let lists = contracts.iter().flat_map(|c| &c.columns).flat_map(|c| &c.codes);
    let wanted: BTreeSet<&str> = lists.map(|l| l.table.as_str()).collect();
    let used: BTreeSet<(&str, &str)> = origins
        .iter()
        .flat_map(|o| &o.editions)
        .map(|(t, sha256)| (t.as_str(), sha256.as_str()))
        .filter(|(t, _)| wanted.contains(t))
        .collect();
    let mut out = Vec::new();
    for (name, sha256) in used {
        let current = run.nomenclatures.table(name).filter(|t| t.digest.to_string() == sha256);
        let kept = if current.is_none() { kept(run, name, sha256)? } else { None };
        let Some(table) = current.or(kept.as_ref()) else { continue };
        let short = sha256.get(..8).unwrap_or(sha256);
        out.push(write_text(
            Kind::Nomenclatures,
            format!("{}-{short}.csv", name.to_lowercase()),
            format!("Nomenclature {name}, édition {short}"),
            &format!(
                "Base centrale des nomenclatures : table {name}, fichier « {} », SHA-256 {sha256}.",
                table.file
            ),
            CSV,
            csv_of(table)?.trim_end(),
            folder,
        )?);
    }
    Ok(out)
}

/// An edition that the store keeps.
fn kept(run: &Run<'_>, name: &str, sha256: &str) -> Result<Option<Table>> {
    let date = run.date.to_string();
    let rows = run.store.ledger.editions(&date)?;
    let Some(row) = rows.into_iter().find(|r| r.table_name == name && r.sha256 == sha256) else {
        return Ok(None);
    };
    let path = run.store.path(&row.path);
    let bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
    Ok(Table::from_file(&row.file, &bytes).and_then(|t| t.ok()))
}

/// A table as CSV: all its codes, all its columns, one row a period.
fn csv_of(table: &Table) -> Result<String> {
    let fault = |e: csv::Error| Error::Write(e.to_string());
    let mut out = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    out.write_record(table.columns.iter().map(|c| &c.name)).map_err(fault)?;
    let mut codes = table.codes();
    codes.sort_unstable();
    for row in codes.iter().flat_map(|c| table.rows(c)) {
        out.write_record((0..table.columns.len()).map(|i| row.cell(i).trim())).map_err(fault)?;
    }
    let bytes = out.into_inner().map_err(|e| Error::Write(e.to_string()))?;
    String::from_utf8(bytes).map_err(|e| Error::Write(e.to_string()))
}

fn pretty(value: &Value) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::Write(e.to_string()))
}
