//! Takes an answer of the archive: matched with its package, compared with it, kept beside it, told in
//! the ledger and the journal in one transaction.

use super::explain::{Explanation, explain};
use super::read::{Limits, Reply, read};
use super::reconcile::{Reconciliation, Verdict, reconcile};
use super::sent::{package, sha512};
use crate::error::{Error, IoContext, Result};
use crate::journal::NewEntry;
use crate::seda::certificate;
use crate::store::{ReplyRow, SipRow, Store, files};
use chrono::NaiveDate;
use serde_json::json;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// An answer that is in the store.
#[derive(Debug, Clone)]
pub struct Imported {
    /// Package.
    pub sip: String,
    /// SHA-512 of the answer.
    pub sha512: String,
    /// These bytes had been taken before: nothing changed.
    pub known: bool,
    /// What it covers, what it allows.
    pub found: Reconciliation,
    /// Why it refuses, or what it remarks.
    pub explanations: Vec<Explanation>,
}

fn refused(code: &'static str, message: String) -> Error {
    Error::Refused { code, message }
}

/// Takes the answer that a file holds, on a logical day; `clock` gives UTC times, RFC 3339.
///
/// # Errors
/// [`Error::Refused`]: `SEDA_REPLY_UNREADABLE`, `SEDA_REPLY_UNKNOWN` (no package of that name),
/// `SEDA_REPLY_NOT_OURS` (another kind of message), `SEDA_REPLY_AFTER_ARCHIVED`,
/// `SEDA_PACKAGE_CHANGED`; those of the store.
pub fn import(
    store: &mut Store,
    path: &Path,
    date: NaiveDate,
    clock: &dyn Fn() -> String,
) -> Result<Imported> {
    let work = store.work_dir("reply")?;
    let taken = take(store, path, &work, date, clock);
    files::remove_dir(&work)?;
    taken
}

fn take(
    store: &mut Store,
    path: &Path,
    work: &Path,
    date: NaiveDate,
    clock: &dyn Fn() -> String,
) -> Result<Imported> {
    // What is judged is what is kept: the file may change under our eyes.
    let aside = work.join("reply.xml");
    let limits = Limits::default();
    let mut to = File::create(&aside).at(&aside)?;
    let bytes = std::io::copy(&mut File::open(path).at(path)?.take(limits.bytes + 1), &mut to).at(path)?;
    if bytes > limits.bytes {
        return Err(refused(
            "SEDA_REPLY_UNREADABLE",
            "la réponse est démesurée : demandez-la de nouveau à l'archive".into(),
        ));
    }
    to.sync_all().at(&aside)?;
    let (digest, _) = sha512(&aside)?;
    let reply = parse(&aside)?;
    let sip = find(store, &reply.request_id)?;
    let (manifest, _) = package(store, &sip)?;
    let found = reconcile(&manifest.sent, &reply);
    if found.verdict == Verdict::NotOurs {
        return Err(refused("SEDA_REPLY_NOT_OURS", found.message));
    }
    let before = store.ledger.replies(&sip.id)?;
    let known = before.iter().any(|r| r.sha512 == digest);
    if !known {
        if let Some(r) = before.iter().find(|r| r.verdict == Verdict::Archived) {
            let message = format!(
                "l'archive a déjà pris en charge « {} » par une autre réponse (empreinte {}) : celle-ci n'est pas inscrite ; demandez au service d'archives laquelle fait foi",
                sip.id,
                r.sha512.get(..16).unwrap_or_default()
            );
            return Err(refused("SEDA_REPLY_AFTER_ARCHIVED", message));
        }
        keep(store, &sip, &aside)?;
        record(store, &sip, &reply, &found, &digest, date, &clock())?;
    } else if before.last().is_some_and(|r| r.sha512 == digest) && !is_kept(store, &sip, &digest)? {
        // Known to the ledger, lost on the disk.
        keep(store, &sip, &aside)?;
    }
    certificate::write(store, &sip)?;
    Ok(Imported { explanations: explain(&reply), sip: sip.id, sha512: digest, known, found })
}

fn parse(path: &Path) -> Result<Reply> {
    read(BufReader::with_capacity(1 << 16, File::open(path).at(path)?), Limits::default())
}

fn find(store: &Store, id: &str) -> Result<SipRow> {
    store.ledger.sips()?.into_iter().find(|s| s.id == id).ok_or_else(|| {
        let named: String = id.chars().filter(|c| !c.is_control()).take(100).collect();
        let message = format!(
            "cette réponse porte sur le message « {named} », qu'aucun paquet de cet entrepôt ne porte : vérifiez l'entrepôt et le fichier"
        );
        refused("SEDA_REPLY_UNKNOWN", message)
    })
}

/// Puts an answer beside its package; the one before keeps a name of its own.
fn keep(store: &Store, sip: &SipRow, aside: &Path) -> Result<()> {
    let folder = store.path(&sip.path);
    let place = folder.join("reply.xml");
    if place.exists() {
        let (before, _) = sha512(&place)?;
        let name = format!("reply-{}.xml", before.get(..12).unwrap_or_default());
        files::publish(&place, &folder.join(name))?;
    }
    files::publish(aside, &place)
}

fn is_kept(store: &Store, sip: &SipRow, digest: &str) -> Result<bool> {
    match sha512(&store.path(&sip.path).join("reply.xml")) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(false),
        other => Ok(other?.0 == digest),
    }
}

fn record(
    store: &mut Store,
    sip: &SipRow,
    reply: &Reply,
    found: &Reconciliation,
    digest: &str,
    date: NaiveDate,
    at: &str,
) -> Result<()> {
    let date = date.to_string();
    let row = ReplyRow {
        sip_id: sip.id.clone(),
        sha512: digest.to_owned(),
        verdict: found.verdict,
        message_id: reply.message_id.clone(),
        replied_at: reply.grant_date.clone().unwrap_or_else(|| reply.date.clone()),
        on_day: date.clone(),
    };
    let kind = format!("sip_{}", found.verdict.as_str());
    let payload = json!({
        "sip": sip.id, "zip_sha512": sip.sha512, "reply_sha512": digest, "verdict": found.verdict,
        "units": found.units.len(), "objects": found.objects.len(),
        "missing": found.missing_units.len() + found.missing_objects.len(),
        "unknown": found.unknown.len(), "contradictions": found.contradictions.len(),
    });
    store.ledger.transact(|tx| {
        tx.sip_reply(&row, found)?;
        tx.journal(&NewEntry { at, date: &date, run_id: &sip.id, kind: &kind, payload })
    })
}

/// The answer by which the archive holds a package, as long as the store still has it as it came.
///
/// # Errors
/// Those of the store.
pub fn archived(store: &Store, sip: &str) -> Result<Option<ReplyRow>> {
    let last = store.ledger.replies(sip)?.pop().filter(|r| r.verdict == Verdict::Archived);
    let Some(reply) = last else { return Ok(None) };
    let row = find(store, sip)?;
    Ok(is_kept(store, &row, &reply.sha512)?.then_some(reply))
}

/// Reads package and answer once more: the archive holds every unit and object of the package.
///
/// # Errors
/// [`Error::Refused`] with `ELIM_NOT_ARCHIVED` when that is not proved by what the store holds; those
/// of the disk.
pub fn proved(store: &Store, sip: &str) -> Result<ReplyRow> {
    let not = |why: &str| {
        let message = format!(
            "la prise en charge du paquet « {sip} » par l'archive n'est pas prouvée : {why} ; sa copie locale est gardée"
        );
        refused("ELIM_NOT_ARCHIVED", message)
    };
    let row = archived(store, sip)?.ok_or_else(|| {
        not("sa réponse manque à l'entrepôt, n'est plus celle qui est venue, ou ne couvre pas tout")
    })?;
    let package_row = find(store, sip)?;
    let judged = package(store, &package_row).and_then(|(manifest, _)| {
        let reply = parse(&store.path(&package_row.path).join("reply.xml"))?;
        Ok(reconcile(&manifest.sent, &reply))
    });
    match judged {
        Ok(found) if found.archived() => Ok(row),
        Ok(found) => Err(not(&found.message)),
        Err(Error::Refused { message, .. }) => Err(not(&message)),
        Err(other) => Err(other),
    }
}
