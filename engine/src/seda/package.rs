//! The package step: one SIP for the records of a class, a school year and a start of retention
//! whose sort final is conservation. A record is packaged once.

use super::content::{Object, write_table};
use super::manifest::{self, Transfer};
use super::profile::ClassProfile;
use crate::domain::{AnneeScolaire, Digest, hex};
use crate::error::{Error, IoContext, Result};
use crate::french::{count, thousands};
use crate::journal::NewEntry;
use crate::report::DeliveryQuality;
use crate::retention::{Group, Outcome, decisions};
use crate::run::{Counts, Run, Said};
use crate::store::{SipRow, Snapshot, current, files};
use chrono::NaiveDate;
use serde_json::json;
use sha2::{Digest as _, Sha512};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The package step.
///
/// # Errors
/// When the store fails.
pub fn package(run: &mut Run<'_>) -> Result<Said> {
    let groups = decisions(run.store, run.rulebook, run.date)?;
    let mut counts = Counts { read: groups.iter().map(|g| g.records).sum(), ..Counts::default() };
    let mut todo: BTreeMap<(String, String, NaiveDate), Vec<&Group>> = BTreeMap::new();
    let (mut waiting, mut before, mut replaced) = (Vec::new(), 0_u64, 0_u64);
    let present = present(run)?;
    for group in groups.iter().filter(|g| g.verdict.outcome == Outcome::Conserve) {
        // A snapshot goes into a package whole, or not yet.
        let Some(start) = group.verdict.start.filter(|_| group.whole) else { continue };
        let s = &group.snapshot;
        if !present.contains(&s.path) {
            replaced += group.records;
        } else if let Some(sip) = run.store.ledger.packaged_in(&s.path)? {
            // A run that was interrupted after this package counts it as its own.
            let mine = run.store.ledger.sips()?.iter().any(|p| p.id == sip && p.run_id == run.id);
            if mine { counts.accepted += group.records } else { before += group.records }
        } else if run.rulebook.profile.class(&s.record_class).is_none() {
            waiting.push(s.record_class.clone());
        } else {
            todo.entry((s.record_class.clone(), s.annee_scolaire.clone(), start)).or_default().push(group);
        }
    }
    let total = todo.len() as u64;
    for (i, ((class, year, start), groups)) in todo.into_iter().enumerate() {
        let Some(class) = run.rulebook.profile.class(&class) else { continue };
        counts.accepted += one(run, class, &year, start, &groups)?;
        run.progress.advance(i as u64 + 1, total);
    }
    counts.excluded = counts.read - counts.accepted;
    let sips = run.store.ledger.sips()?;
    let mine: Vec<_> = sips.iter().filter(|s| s.run_id == run.id).collect();
    let mut detail = format!(
        "{}, {}",
        count(mine.len() as u64, "paquet", "paquets"),
        count(counts.accepted, "enregistrement", "enregistrements")
    );
    if before > 0 {
        detail.push_str(&format!(", {} déjà dans un paquet", thousands(before)));
    }
    if replaced > 0 {
        detail.push_str(&format!(
            ", {} d'états remplacés par une livraison plus récente, gardés",
            thousands(replaced)
        ));
    }
    waiting.sort();
    waiting.dedup();
    if !waiting.is_empty() {
        detail.push_str(&format!("\nclasses sans profil SEDA, gardées en attente : {}", waiting.join(", ")));
    }
    let outputs = mine.iter().map(|s| format!("{}/{}.zip", s.path, s.id)).collect();
    Ok(Said { counts, outputs, detail, ..Said::default() })
}

/// Paths of the snapshots that say the present state: an archive receives the last complete
/// delivery of a school year, not every night's copy of it.
fn present(run: &Run<'_>) -> Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    for contract in &run.rulebook.contracts {
        let all = run.store.ledger.snapshots(&contract.name)?;
        out.extend(current(&all, contract.snapshot, run.date).into_iter().map(|s| s.path.clone()));
    }
    Ok(out)
}

/// Writes one package; the number of its records.
fn one(
    run: &mut Run<'_>,
    class: &ClassProfile,
    year: &str,
    start: NaiveDate,
    groups: &[&Group],
) -> Result<u64> {
    let digests = groups.iter().map(|g| g.snapshot.sha256.as_str());
    let start_text = start.to_string();
    let digest =
        Digest::of_lines([class.record_class.as_str(), year, &start_text].into_iter().chain(digests));
    let id = format!("SIP-{}-{year}-{}", class.record_class, digest.short(8));
    let work = run.store.work_dir(&format!("package-{id}"))?;
    let content = work.join("build");
    let mut by_table: BTreeMap<&str, Vec<&Snapshot>> = BTreeMap::new();
    for g in groups {
        by_table.entry(g.snapshot.table_name.as_str()).or_default().push(&g.snapshot);
    }
    let (mut objects, mut records, mut next) = (Vec::new(), 0, 0);
    for (table, snapshots) in by_table {
        let contract = run.rulebook.contracts.iter().find(|c| c.name == table);
        let contract = contract.ok_or_else(|| {
            Error::Usage(format!("le contrat de la table « {table} » a disparu : remettez-le"))
        })?;
        let quality = quality_of(run, table, &snapshots)?;
        let (mut written, rows) =
            write_table(run.store, contract, &snapshots, &quality, &content, &mut next)?;
        objects.append(&mut written);
        records += rows;
    }
    let expected: u64 = groups.iter().map(|g| g.records).sum();
    if records != expected {
        return Err(Error::Corrupt(format!(
            "paquet {id} : {records} enregistrements écrits, {expected} attendus"
        )));
    }
    let calendar = &run.rulebook.calendar;
    let parsed = AnneeScolaire::parse(year);
    let dates = parsed.and_then(|y| calendar.start_of(y).zip(calendar.end_of(y))).unwrap_or((start, start));
    let transfer = Transfer {
        id: &id,
        date: run.date,
        profile: &run.rulebook.profile,
        class,
        year,
        dates,
        start,
        objects: &objects,
    };
    let manifest_path = content.join("manifest.xml");
    let mut out = BufWriter::new(File::create(&manifest_path).at(&manifest_path)?);
    manifest::write(&mut out, &transfer)?;
    out.flush().at(&manifest_path)?;
    let folder = work.join("sip");
    std::fs::create_dir_all(&folder).at(&folder)?;
    let zip_path = folder.join(format!("{id}.zip"));
    write_zip(&content, &objects, &zip_path)?;
    let sha512 = sha512_of(&zip_path)?;
    files::write_atomic(
        &folder.join(format!("{id}.zip.sha512")),
        format!("{sha512}  {id}.zip\n").as_bytes(),
    )?;
    let path = format!("archives/{id}");
    run.store.publish(&[(folder, path.clone())])?;
    let row = SipRow {
        id: id.clone(),
        record_class: class.record_class.clone(),
        annee_scolaire: year.to_owned(),
        path,
        sha512: sha512.clone(),
        records: i64::try_from(records).unwrap_or(i64::MAX),
        run_id: run.id.clone(),
    };
    let items: Vec<(String, i64)> = groups
        .iter()
        .map(|g| (g.snapshot.path.clone(), i64::try_from(g.records).unwrap_or(i64::MAX)))
        .collect();
    let payload = json!({"sip": id, "zip_sha512": sha512, "records": records, "snapshots": items.iter().map(|i| &i.0).collect::<Vec<_>>()});
    let (at, date) = (run.now(), run.date.to_string());
    run.store.ledger.transact(|tx| {
        tx.sip(&row, &items)?;
        tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind: "sip_packaged", payload })
    })?;
    files::remove_dir(&work)?;
    Ok(records)
}

/// The checks made when the deliveries of these snapshots were ingested.
fn quality_of(run: &Run<'_>, table: &str, snapshots: &[&Snapshot]) -> Result<String> {
    let mut reports = Vec::new();
    for snapshot in snapshots {
        let Some(row) = run.store.ledger.ingest_of(&snapshot.delivery_id)? else { continue };
        let quality: DeliveryQuality = serde_json::from_str(&row.quality)
            .map_err(|e| Error::Corrupt(format!("qualité de {} : {e}", row.delivery_id)))?;
        let tables = quality.tables.iter().filter(|t| t.table == table);
        reports.push(json!({
            "delivery": quality.delivery, "name": quality.name, "delivery_date": quality.delivery_date,
            "tables": tables.map(|t| json!({"table": t.table, "files": t.files, "read": t.read, "accepted": t.accepted,
                "rejected": t.rejected, "by_code": t.by_code})).collect::<Vec<_>>(),
        }));
    }
    serde_json::to_string_pretty(&json!({"deliveries": reports})).map_err(|e| Error::Write(e.to_string()))
}

/// Manifest first, then the objects in their order; no time, no owner: same content, same bytes.
fn write_zip(content: &Path, objects: &[Object], path: &Path) -> Result<()> {
    let fault = |e: zip::result::ZipError| Error::Write(format!("{} : {e}", path.display()));
    let mut zip = ZipWriter::new(BufWriter::with_capacity(1 << 18, File::create(path).at(path)?));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    let entries =
        std::iter::once(("manifest.xml", 0)).chain(objects.iter().map(|o| (o.uri.as_str(), o.size)));
    for (name, size) in entries {
        zip.start_file(name, options.large_file(size >= u64::from(u32::MAX))).map_err(fault)?;
        let source = content.join(name);
        let mut input = BufReader::with_capacity(1 << 18, File::open(&source).at(&source)?);
        std::io::copy(&mut input, &mut zip).at(&source)?;
    }
    let out = zip.finish().map_err(fault)?;
    let file = out.into_inner().map_err(|e| Error::io(path, e.into_error()))?;
    file.sync_all().at(path)
}

fn sha512_of(path: &Path) -> Result<String> {
    let mut input = File::open(path).at(path)?;
    let mut hasher = Sha512::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let n = input.read(&mut buffer).at(path)?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(buffer.get(..n).unwrap_or_default());
    }
}
