//! Quarantine is not a graveyard: after a new edition of the BCN or a corrected contract, what is there
//! is judged again from the bytes as received, and what passes joins its table. Nothing enters
//! twice: only records that were in quarantine, or whole deliveries that had been refused, may come.

use crate::domain::DateFormat;
use crate::error::{Error, Result};
use crate::ingest::{self, Judging, Part};
use crate::journal::NewEntry;
use crate::receive::received_path;
use crate::run::Run;
use crate::store::{Delivery, IngestRow, PartWriter, files, read_batches, signed};
use arrow::array::{AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

/// What replaying a delivery gave.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Delivery.
    pub delivery: String,
    /// Its name.
    pub name: String,
    /// Records judged again: those that were in quarantine, or all those of a refused delivery.
    pub read: u64,
    /// Records that joined their table.
    pub accepted: u64,
    /// Records still set aside.
    pub rejected: u64,
    /// Why it was left alone, in French; empty when it was judged again.
    pub skipped: String,
}

/// Judges again the quarantines of every delivery, or of one.
///
/// # Errors
/// When the store fails or received bytes are no longer what was received.
pub fn replay(run: &mut Run<'_>, only: Option<&str>) -> Result<Vec<Replayed>> {
    let mut out = Vec::new();
    let deliveries = run.store.ledger.deliveries(None)?;
    for delivery in deliveries.iter().filter(|d| only.is_none_or(|o| d.id.starts_with(o))) {
        let Some(before) = run.store.ledger.ingest_of(&delivery.id)? else { continue };
        if before.rejected == 0 && before.status == "accepted" {
            continue;
        }
        out.push(one(run, delivery, &before)?);
    }
    if out.is_empty()
        && let Some(id) = only
        && !deliveries.iter().any(|d| d.id.starts_with(id))
    {
        return Err(Error::Usage(format!("aucune livraison « {id} » : voyez `cartulaire quarantine list`")));
    }
    Ok(out)
}

fn one(run: &mut Run<'_>, delivery: &Delivery, before: &IngestRow) -> Result<Replayed> {
    let mut said =
        Replayed { delivery: delivery.id.clone(), name: delivery.name.clone(), ..Replayed::default() };
    let date = DateFormat::Iso
        .parse(&delivery.delivery_date)
        .ok_or_else(|| Error::Corrupt(format!("date de la livraison {}", delivery.id)))?;
    let was_refused = before.status == "refused";
    if delivery.name.contains("_Delta_") && !was_refused {
        // Its requests would apply to a state that has moved on.
        said.skipped = "un Delta accepté ne se rejoue pas : l'état a changé depuis".into();
        return Ok(said);
    }
    if run.store.ledger.replaced(&delivery.id, !complete(run, delivery)?)? {
        said.skipped = "une livraison plus récente du même émetteur l'a remplacée".into();
        return Ok(said);
    }
    let received = run.store.ledger.files(&delivery.id)?;
    if received.iter().any(|f| !run.store.path(&received_path(&f.sha256)).exists()) {
        said.skipped = "des fichiers de cette livraison ont été éliminés sous visa".into();
        return Ok(said);
    }
    let work = run.store.work_dir(&format!("replay-{}", delivery.id))?;
    let Judging { mut tables, parts } = ingest::judge(run, delivery, date, &work)?;
    let refused = tables.iter().any(|t| t.refused);
    let sum = |f: fn(&crate::report::TableQuality) -> u64| tables.iter().map(f).sum::<u64>();
    let (accepted, rejected) = (sum(|t| t.accepted), sum(|t| t.rejected));
    said.read = if was_refused { sum(|t| t.read) } else { before.rejected.unsigned_abs() };
    if refused && was_refused {
        said.rejected = said.read;
        files::remove_dir(&work)?;
        return Ok(said);
    }
    if refused {
        // What was accepted stays; nothing new may come of a delivery that would now be refused.
        said.skipped = "la livraison serait refusée aujourd'hui : corrigez-en d'abord la cause".into();
        files::remove_dir(&work)?;
        return Ok(said);
    }
    ingest::drifts(run, delivery, &mut tables)?;
    let (moved, kept, came) = split(run, delivery, parts, was_refused, &work)?;
    said.accepted = if was_refused { accepted } else { came };
    said.rejected = said.read.saturating_sub(said.accepted);
    if said.accepted == 0 && !was_refused {
        files::remove_dir(&work)?;
        return Ok(said);
    }
    let old: Vec<String> = run
        .store
        .ledger
        .quarantines()?
        .into_iter()
        .filter(|(_, _, d, _)| *d == delivery.id)
        .map(|(path, ..)| path)
        .collect();
    let parts: Vec<Part> = moved.into_iter().chain(kept).collect();
    let moves = parts.iter().map(|p| (p.written.clone(), p.path.clone())).collect::<Vec<_>>();
    run.store.publish(&moves)?;
    let (snapshots, quarantines) = ingest::rows(delivery, parts);
    let quality = ingest::quality(delivery, false, tables);
    let row = IngestRow {
        delivery_id: delivery.id.clone(),
        run_id: run.id.clone(),
        status: "accepted".into(),
        read: if was_refused { signed(said.read) } else { before.read },
        accepted: if was_refused { signed(accepted) } else { before.accepted + signed(said.accepted) },
        rejected: if was_refused { signed(rejected) } else { signed(said.rejected) },
        quality: serde_json::to_string(&quality).map_err(|e| Error::Write(e.to_string()))?,
    };
    let payload = json!({
        "delivery": delivery.id, "read": said.read, "accepted": said.accepted, "rejected": said.rejected,
        "tables": snapshots.iter().map(|s| json!({"path": s.path, "rows": s.rows, "sha256": s.sha256})).collect::<Vec<_>>(),
        "editions": run.nomenclatures.editions().map(|(n, t)| json!({"table": n, "sha256": t.digest.to_string()})).collect::<Vec<_>>(),
    });
    let (at, logical) = (run.now(), run.date.to_string());
    run.store.ledger.transact(|tx| {
        tx.replay(&row, &snapshots, &quarantines)?;
        tx.journal(&NewEntry {
            at: &at,
            date: &logical,
            run_id: &run.id,
            kind: "quarantine_replayed",
            payload,
        })
    })?;
    for path in old.iter().filter(|p| !quarantines.iter().any(|(q, ..)| q == *p)) {
        files::remove(&run.store.path(path))?;
    }
    files::remove_dir(&work)?;
    Ok(said)
}

/// Whether the deliveries of this one's tables replace each other.
fn complete(run: &Run<'_>, delivery: &Delivery) -> Result<bool> {
    let replaces = |table: &str| run.rulebook.contracts.iter().any(|c| c.name == table && c.snapshot);
    Ok(run.store.ledger.files(&delivery.id)?.iter().all(|f| replaces(&f.table_name)))
}

/// Of what was judged, the accepted records that were in quarantine, those of them that still are,
/// and how many records came.
fn split(
    run: &Run<'_>,
    delivery: &Delivery,
    parts: Vec<Part>,
    was_refused: bool,
    work: &Path,
) -> Result<(Vec<Part>, Vec<Part>, u64)> {
    let mut held: BTreeMap<String, HashSet<(String, i64)>> = BTreeMap::new();
    for (path, table, _, _) in run.store.ledger.quarantines()?.into_iter().filter(|q| q.2 == delivery.id) {
        for batch in read_batches(&run.store.path(&path), Some(&["_file", "_record"]))? {
            let batch = batch?;
            let places = places(&batch).ok_or_else(|| Error::Corrupt(format!("{path} : origine absente")))?;
            held.entry(table.clone()).or_default().extend(places);
        }
    }
    // Each replay writes files of its own: a snapshot never changes.
    let turn = run.store.ledger.replays(&delivery.id)? + 1;
    let (mut moved, mut kept, mut came) = (Vec::new(), Vec::new(), 0);
    for mut part in parts {
        part.path = part.path.replace("part-00000", &format!("part-{turn:05}"));
        if !was_refused {
            let none = HashSet::new();
            let held = held.get(&part.table).unwrap_or(&none);
            let (filtered, records) = only(part, held, work)?;
            let Some(filtered) = filtered else { continue };
            came += if filtered.year.is_some() { records } else { 0 };
            part = filtered;
        }
        if part.year.is_some() { moved.push(part) } else { kept.push(part) }
    }
    Ok((moved, kept, came))
}

/// The rows of a part whose records are among those held; how many records they are.
fn only(part: Part, held: &HashSet<(String, i64)>, work: &Path) -> Result<(Option<Part>, u64)> {
    let year = part.year.map_or("quarantine".to_owned(), |y| y.to_string());
    let filtered = work.join(format!("replay-{}-{year}.parquet", part.table));
    let mut writer = None;
    let mut records = HashSet::new();
    for batch in read_batches(&part.written, None)? {
        let batch = batch?;
        let places = places(&batch).ok_or_else(|| Error::Corrupt("origine absente".into()))?;
        let mask: Vec<bool> = places.iter().map(|p| held.contains(p)).collect();
        let batch = filter_record_batch(&batch, &BooleanArray::from(mask))?;
        records.extend(places.into_iter().filter(|p| held.contains(p)));
        if batch.num_rows() > 0 {
            let writer = match &mut writer {
                Some(w) => w,
                None => writer.insert(PartWriter::create(&filtered, batch.schema())?),
            };
            writer.write(&batch)?;
        }
    }
    let Some(writer) = writer else { return Ok((None, 0)) };
    let (rows, digest) = writer.finish()?;
    Ok((Some(Part { written: filtered, rows, digest, ..part }), records.len() as u64))
}

fn places(batch: &arrow::record_batch::RecordBatch) -> Option<Vec<(String, i64)>> {
    let files = batch.column_by_name("_file")?.as_string_opt::<i32>()?;
    let records = batch.column_by_name("_record")?.as_primitive_opt::<Int64Type>()?;
    Some((0..batch.num_rows()).map(|r| (files.value(r).to_owned(), records.value(r))).collect())
}
