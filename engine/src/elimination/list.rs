//! The list: one line a record, one row a kind of record, bound by a digest.
//!
//! The digest covers the canonical list (rows, copies, service), not the day it was made: the same
//! records give the same list, night after night, until something is decided about them.

use super::exported::list_digest;
use super::papers::{ArchivedCopy, Bordereau, BordereauRow, CopyCovered, CopyKind, bordereau_pdf, xlsx};
use super::state::State;
use crate::domain::hex;
use crate::error::{Error, Result};
use crate::french::count;
use crate::journal::NewEntry;
use crate::retention::{Analysis, Group, Outcome, Rule, record_names};
use crate::run::{Counts, Rulebook, Run, Said};
use crate::store::{ListRow, PartWriter, ReplyRow, Snapshot, Store, files, gels_digest, read_batches};
use arrow::array::{ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::filter;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Records of one snapshot that a row holds.
#[derive(Debug, Clone)]
pub struct Part {
    /// Row.
    pub order: usize,
    /// Where they are.
    pub snapshot: Snapshot,
    /// Numbers of their groups in the snapshot.
    pub groups: BTreeSet<usize>,
    /// They are all the records of the snapshot.
    pub whole: bool,
    /// How many.
    pub records: u64,
}

/// What the rules make due at a date.
pub struct Due {
    /// Rows of the bordereau.
    pub rows: Vec<BordereauRow>,
    /// Where their records are.
    pub parts: Vec<Part>,
    /// Deliveries and quarantine files that go with them.
    pub copies: Vec<Copy>,
    /// Draws that said which of them may go: identifier of the tri, SHA-256 of its manifest.
    pub tris: BTreeMap<String, String>,
    /// Records analysed.
    pub read: u64,
}

/// A file that holds bytes of listed records besides the tables.
#[derive(Debug, Clone)]
pub struct Copy {
    /// As the bordereau names it; its name is the path below the store's root.
    pub covered: CopyCovered,
    /// Rows whose records it holds.
    pub rows: BTreeSet<usize>,
    /// Records in it that are in no table.
    pub records: u64,
}

/// The list of what is due at a date; `sink` takes the name of each record with its row.
///
/// # Errors
/// When the store fails.
pub fn due(
    store: &Store,
    rulebook: &Rulebook,
    at: NaiveDate,
    sink: &mut dyn FnMut(&BordereauRow, ArrayRef) -> Result<()>,
) -> Result<Due> {
    let analysis = Analysis::new(store, rulebook, at)?;
    let mut by_row: BTreeMap<(String, String, String, Vec<String>), Vec<Group>> = BTreeMap::new();
    let mut replies = BTreeMap::new();
    let mut read = 0;
    for snapshot in store.ledger.snapshots("")? {
        let path = store.path(&snapshot.path);
        // What went into a package is no longer ours to list, until the archive holds it.
        let packages = store.ledger.packages_of(&snapshot.path)?;
        let sips = local_copy(store, rulebook, &snapshot, &packages, &mut replies)?;
        for group in analysis.groups(snapshot, &path)? {
            read += group.records;
            let goes = match group.verdict.outcome {
                Outcome::Eliminate => packages.is_empty(),
                Outcome::Conserve => !sips.is_empty() && group.whole,
                _ => false,
            };
            if goes {
                let s = &group.snapshot;
                let (class, year) = (s.record_class.clone(), s.annee_scolaire.clone());
                by_row.entry((class, year, s.table_name.clone(), sips.clone())).or_default().push(group);
            }
        }
    }
    let (mut rows, mut parts, mut tris) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (order, ((_, year, table, sips), groups)) in (1..).zip(by_row) {
        let told = Told::of(&analysis, &groups);
        let contract = rulebook.contracts.iter().find(|c| c.name == table);
        let (first_year, last_year) = year.split_once('-').unwrap_or((&year, &year));
        let number = |t: &str| t.parse().map_err(|_| Error::Corrupt(format!("année scolaire « {year} »")));
        let due_date = groups.iter().filter_map(|g| g.verdict.due).max();
        let mut row = BordereauRow {
            order,
            rule: told.rules.iter().map(|r| r.id.as_str()).collect::<Vec<_>>().join(","),
            typology: contract.map_or_else(|| table.clone(), |c| c.title.clone()),
            table: table.clone(),
            first_year: number(first_year)?,
            last_year: number(last_year)?,
            duration: told.durations().join(" ; "),
            due_date: due_date.ok_or_else(|| Error::Corrupt("liste sans échéance".into()))?,
            records: groups.iter().map(|g| g.records).sum(),
            bytes: 0,
            records_sha256: String::new(),
            reasons: told.reasons,
            observations: Vec::new(),
            archived: Vec::new(),
        };
        for reply in sips.iter().filter_map(|sip| replies.get(sip)?.clone()) {
            row.observations.push(format!(
                "copie locale seulement : l'archive conserve ces enregistrements (paquet {}, réponse {} du {}, SHA-512 {})",
                reply.sip_id, reply.message_id, reply.replied_at, reply.sha512
            ));
            row.archived.push(ArchivedCopy { sip: reply.sip_id, reply_sha512: reply.sha512 });
        }
        let drawn: BTreeMap<&str, _> =
            groups.iter().filter_map(|g| analysis.drawn(g)).map(|(tri, _)| (tri.id.as_str(), tri)).collect();
        for tri in drawn.into_values() {
            tris.insert(tri.id.clone(), tri.manifest_sha256.clone());
            row.observations.push(format!(
                "tri {} : {} sur {} ; manifeste {}",
                tri.id,
                count(tri.kept, "enregistrement gardé", "enregistrements gardés"),
                crate::french::thousands(tri.records),
                tri.manifest_sha256
            ));
        }
        let mut digest = Sha256::new();
        for same in groups.chunk_by(|a, b| a.snapshot.path == b.snapshot.path) {
            let Some(one) = same.first() else { continue };
            let part = Part {
                order,
                snapshot: Snapshot::clone(&one.snapshot),
                groups: same.iter().map(|g| g.number).collect(),
                whole: one.whole,
                records: same.iter().map(|g| g.records).sum(),
            };
            let path = store.snapshot_path(&part.snapshot)?;
            row.bytes += std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len();
            names(&analysis, &part, &path, true, &mut |names| {
                let list: &StringArray = names.as_string();
                list.iter().flatten().for_each(|n| {
                    digest.update(n.as_bytes());
                    digest.update(b"\n");
                });
                sink(&row, names)
            })?;
            if !part.whole {
                row.observations.push(format!(
                    "{} d'un même fichier de {}",
                    count(part.records, "enregistrement", "enregistrements"),
                    part.snapshot.rows
                ));
            }
            parts.push(part);
        }
        row.records_sha256 = hex(&digest.finalize());
        rows.push(row);
    }
    let copies = copies(store, &analysis, rulebook, &parts)?;
    Ok(Due { rows, parts, copies, tris, read })
}

/// Packages by which the archive holds every row of a snapshot, so that the local copy may be asked
/// for; none when a row is missing. Nor as long as an older state of a complete delivery is kept: it
/// would pass for the present one.
fn local_copy(
    store: &Store,
    rulebook: &Rulebook,
    snapshot: &Snapshot,
    packages: &[(String, u64)],
    replies: &mut BTreeMap<String, Option<ReplyRow>>,
) -> Result<Vec<String>> {
    let (mut sips, mut held) = (Vec::new(), 0);
    for (sip, records) in packages {
        if !replies.contains_key(sip) {
            replies.insert(sip.clone(), crate::seda::reply::archived(store, sip)?);
        }
        if replies.get(sip).is_some_and(Option::is_some) {
            sips.push(sip.clone());
            held += records;
        }
    }
    let complete = rulebook.contracts.iter().any(|c| c.name == snapshot.table_name && c.snapshot);
    let whole = held == snapshot.rows.unsigned_abs();
    Ok(if whole && !(complete && store.ledger.older_state(&snapshot.path)?) { sips } else { Vec::new() })
}

/// What a row says of its records: they may fall under several rules.
struct Told<'r> {
    rules: Vec<&'r Rule>,
    reasons: Vec<String>,
}

impl<'r> Told<'r> {
    fn of(analysis: &Analysis<'r>, groups: &[Group]) -> Self {
        let mut told = Told { rules: Vec::new(), reasons: Vec::new() };
        let mut seen: BTreeSet<Vec<&str>> = BTreeSet::new();
        for group in groups {
            let rules = analysis.dua_rules(group);
            if !seen.insert(rules.iter().map(|r| r.id.as_str()).collect()) {
                continue;
            }
            for rule in rules {
                if !told.rules.iter().any(|r| r.id == rule.id) {
                    told.rules.push(rule);
                }
            }
            for reason in analysis.explain(group).reasons {
                if !told.reasons.contains(&reason) {
                    told.reasons.push(reason);
                }
            }
        }
        told
    }

    fn durations(&self) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        for text in self.rules.iter().map(|r| r.duration_french()) {
            if !all.contains(&text) {
                all.push(text);
            }
        }
        all
    }
}

/// Names of the records of a part (`listed`), or of the others of its snapshot.
///
/// # Errors
/// When the snapshot cannot be read.
pub(super) fn names(
    analysis: &Analysis<'_>,
    part: &Part,
    path: &Path,
    listed: bool,
    each: &mut dyn FnMut(ArrayRef) -> Result<()>,
) -> Result<()> {
    let mut splitter = analysis.splitter(&part.snapshot, path)?;
    let mut columns: Vec<String> = splitter.wanted().into_iter().map(str::to_owned).collect();
    columns.extend(["_file".to_owned(), "_record".to_owned()]);
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    for batch in read_batches(path, Some(&columns))? {
        let batch = batch?;
        let groups = splitter.rows(&part.snapshot, &batch)?;
        let mask: BooleanArray = groups.iter().map(|g| Some(part.groups.contains(g) == listed)).collect();
        each(filter(&record_names(&part.snapshot.delivery_id, &batch)?, &mask)?)?;
    }
    Ok(())
}

/// Received files and quarantine of the deliveries that the listed records came from. A received
/// file is a copy of what was ingested: its other records stay in the tables and the quarantine.
fn copies(store: &Store, analysis: &Analysis<'_>, rulebook: &Rulebook, parts: &[Part]) -> Result<Vec<Copy>> {
    let mut all: BTreeMap<String, Copy> = BTreeMap::new();
    let aside = store.ledger.quarantine_snapshots()?;
    for part in parts {
        let (delivery, table) = (&part.snapshot.delivery_id, &part.snapshot.table_name);
        let delivered = store.ledger.files(delivery)?;
        let own: Vec<_> = delivered.iter().filter(|f| f.table_name == *table).collect();
        let mine = if own.is_empty() { delivered.iter().collect() } else { own };
        let received = mine.into_iter().map(|f| CopyCovered {
            kind: CopyKind::Delivery,
            name: crate::receive::received_path(&f.sha256),
            sha256: f.sha256.clone(),
            bytes: f.size.unsigned_abs(),
        });
        for covered in received {
            if store.path(&covered.name).exists() && only_copy_of_ingested(store, &covered.name)? {
                let name = covered.name.clone();
                let copy = all.entry(name).or_insert(Copy { covered, rows: BTreeSet::new(), records: 0 });
                copy.rows.insert(part.order);
            }
        }
        for quarantine in aside.iter().filter(|q| q.delivery_id == *delivery && q.table_name == *table) {
            let path = store.path(&quarantine.path);
            // Rejected records go with the row of their own year, or not yet.
            let year = quarantine_due(store, analysis, rulebook, quarantine)?;
            if year.as_deref() != Some(part.snapshot.annee_scolaire.as_str()) {
                continue;
            }
            let bytes = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?.len();
            let covered = CopyCovered {
                kind: CopyKind::Quarantine,
                name: quarantine.path.clone(),
                sha256: quarantine.sha256.clone(),
                bytes,
            };
            let records = quarantine.rows.unsigned_abs();
            let copy = all.entry(quarantine.path.clone()).or_insert(Copy {
                covered,
                rows: BTreeSet::new(),
                records,
            });
            copy.rows.insert(part.order);
        }
    }
    Ok(all.into_values().collect())
}

/// School year of a quarantine whose every record is due, like those of its table; `None` when one
/// is not.
pub(super) fn quarantine_due(
    store: &Store,
    analysis: &Analysis<'_>,
    rulebook: &Rulebook,
    quarantine: &Snapshot,
) -> Result<Option<String>> {
    let contract = rulebook.contracts.iter().find(|c| c.name == quarantine.table_name);
    let year = crate::domain::DateFormat::Iso
        .parse(&quarantine.delivery_date)
        .and_then(|d| rulebook.calendar.year_of(d));
    let (Some(contract), Some(year)) = (contract, year) else { return Ok(None) };
    let snapshot = Snapshot {
        record_class: contract.record_class.clone(),
        annee_scolaire: year.to_string(),
        ..quarantine.clone()
    };
    let groups = analysis.groups(snapshot, &store.path(&quarantine.path))?;
    let due = !groups.is_empty() && groups.iter().all(|g| g.verdict.outcome == Outcome::Eliminate);
    Ok(due.then(|| year.to_string()))
}

/// Whether all deliveries that these bytes came with are in the tables: of one that was refused, or
/// waits to be ingested, they are the only copy.
pub(super) fn only_copy_of_ingested(store: &Store, path: &str) -> Result<bool> {
    for delivery in store.ledger.deliveries_of_file(path)? {
        if store.ledger.ingest_of(&delivery)?.is_none_or(|i| i.status != "accepted") {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The canonical list as a document, without what depends on the day.
pub(super) fn document(rulebook: &Rulebook, due: &Due, replaces: Option<&str>) -> Value {
    let copies: Vec<&CopyCovered> = due.copies.iter().map(|c| &c.covered).collect();
    let terms = &rulebook.elimination;
    let mut document = json!({
        "rules_version": rulebook.referential.version, "service": terms.service,
        "archives": terms.archives, "rows": due.rows, "copies": copies,
    });
    if let (false, Some(fields)) = (due.tris.is_empty(), document.as_object_mut()) {
        fields.insert("tris".into(), json!(due.tris));
    }
    if let (Some(list), Some(fields)) = (replaces, document.as_object_mut()) {
        fields.insert("replaces".into(), json!(list));
    }
    document
}

/// The elimination step: makes the list of what is due. Nobody has proposed it yet.
///
/// # Errors
/// When the store fails.
pub fn propose(run: &mut Run<'_>) -> Result<Said> {
    let at = run.now();
    let rules = &run.rulebook.referential;
    if let Some(waiting) = super::second::accept(run.store, rules, &run.rulebook.rule_texts, run.date, &at)? {
        let refusal = waiting.refusal();
        let detail = format!("[{}] {}", refusal.code, refusal.message);
        return Ok(Said { gated: true, detail, ..Said::default() });
    }
    let work = run.store.work_dir("elimination")?;
    let folder = work.join("list");
    let text = |n: &str| Field::new(n, DataType::Utf8, false);
    let fields = ["row", "record", "table", "annee_scolaire", "rule", "due_date"].map(text);
    let schema = Arc::new(Schema::new(fields.to_vec()));
    let mut writer = PartWriter::create(&folder.join("list.parquet"), schema.clone())?;
    let due = due(run.store, run.rulebook, run.date, &mut |row, names| {
        let n = names.len();
        let same =
            |v: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n(v, n))) };
        let year = format!("{}-{}", row.first_year, row.last_year);
        let columns = vec![
            same(&row.order.to_string()),
            names,
            same(&row.table),
            same(&year),
            same(&row.rule),
            same(&row.due_date.to_string()),
        ];
        writer.write(&RecordBatch::try_new(schema.clone(), columns)?)
    })?;
    let (_, parquet_digest) = writer.finish()?;
    let listed: u64 = due.rows.iter().map(|r| r.records).sum();
    let counts =
        Counts { read: due.read, accepted: listed, excluded: due.read - listed, ..Counts::default() };
    if due.rows.is_empty() {
        files::remove_dir(&work)?;
        return Ok(Said { counts, detail: "aucun enregistrement éliminable".into(), ..Said::default() });
    }
    let mut document = document(run.rulebook, &due, None);
    let mut digest = list_digest(&document).to_string();
    while let Some(known) = run.store.ledger.lists()?.into_iter().find(|l| l.digest == digest) {
        let state = run.store.ledger.course(&known.id)?.state();
        let over = [State::Returned, State::Refused, State::PartlyFailed, State::Executed, State::Attested];
        if !over.contains(&state) {
            files::remove_dir(&work)?;
            let detail = format!(
                "liste {} inchangée : {}, {}",
                known.id,
                count(listed, "enregistrement", "enregistrements"),
                state.french()
            );
            return Ok(Said { counts, outputs: vec![known.path], detail, ..Said::default() });
        }
        // The same records are asked for once more: another list, which says which it replaces.
        document = self::document(run.rulebook, &due, Some(&known.id));
        digest = list_digest(&document).to_string();
    }
    let id = format!("EL-{}-{}", run.date.format("%Y%m%d"), digest.get(..8).unwrap_or_default());
    let holds = gels_digest(&run.store.ledger.gels()?);
    if let Some(fields) = document.as_object_mut() {
        let more = [
            ("id", json!(id)),
            ("digest", json!(digest)),
            ("proposed_on", json!(run.date.to_string())),
            ("records", json!(listed)),
            ("holds_digest", json!(holds)),
            ("list_parquet_sha256", json!(parquet_digest.to_string())),
        ];
        fields.extend(more.map(|(k, v)| (k.to_owned(), v)));
    }
    let path = format!("elimination/{id}");
    let mut text = serde_json::to_string_pretty(&document).map_err(|e| Error::Write(e.to_string()))?;
    text.push('\n');
    let paper = bordereau(&text)?;
    files::write_atomic(&folder.join("list.json"), text.as_bytes())?;
    files::write_atomic(&folder.join("bordereau.xlsx"), &xlsx(&paper)?)?;
    files::write_atomic(&folder.join("bordereau.pdf"), &bordereau_pdf(&paper, &[])?)?;
    run.store.publish(&[(folder, path.clone())])?;
    let row = ListRow {
        id: id.clone(),
        digest: digest.clone(),
        path: path.clone(),
        records: i64::try_from(listed).unwrap_or(i64::MAX),
        proposed_on: run.date.to_string(),
        run_id: run.id.clone(),
    };
    let payload = json!({"list": id, "digest": digest, "records": listed, "rows": due.rows.len()});
    let (at, date) = (run.now(), run.date.to_string());
    run.store.ledger.transact(|tx| {
        tx.list(&row)?;
        tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind: "list_made", payload })
    })?;
    files::remove_dir(&work)?;
    let detail = format!(
        "liste {id} : {} en {} de bordereau ; rien n'est supprimé sans visa",
        count(listed, "enregistrement", "enregistrements"),
        count(due.rows.len() as u64, "ligne", "lignes")
    );
    Ok(Said { counts, outputs: vec![path], detail, ..Said::default() })
}

/// The bordereau that a `list.json` says.
///
/// # Errors
/// When it is not the text of a list.
pub fn bordereau(list_json: &str) -> Result<Bordereau> {
    let wrong = |e: serde_json::Error| Error::Refused {
        code: "ELIM_LIST_UNREADABLE",
        message: format!("list.json illisible (ligne {}) : exportez de nouveau la liste", e.line()),
    };
    let mut value: Value = serde_json::from_str(list_json).map_err(wrong)?;
    if let Some(fields) = value.as_object_mut() {
        let id = fields.get("id").cloned().unwrap_or_default();
        fields.insert("request_number".into(), id);
    }
    serde_json::from_value(value).map_err(wrong)
}
