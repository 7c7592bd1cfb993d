//! Receives deliveries: the inbox is only read, bytes are kept as they came in `received/`, named
//! by their digest; what was taken is known from the ledger.

use crate::codes::Code;
use crate::contract::{Contract, Format};
use crate::domain::{DateFormat, Digest, DigestReader, Uai};
use crate::error::{IoContext, Result};
use crate::french::{count, thousands};
use crate::journal::NewEntry;
use crate::run::{Counts, Run, Said};
use crate::source::{ArchiveLimits, Head, Sniffed, each_member, is_plain};
use crate::store::{DeliveredFile, Delivery, Refusal, Store, files, signed};
use chrono::NaiveDate;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Suffixes that transfer tools give to files they have not finished.
const PARTIAL: &[&str] = &[".part", ".tmp", ".partial", ".filepart", ".crdownload"];

/// A file of the inbox, and what its name says.
struct Arrival<'a> {
    path: PathBuf,
    name: String,
    /// Contract, name of the delivery, its date.
    known: Option<(&'a Contract, String, NaiveDate)>,
    partial_name: bool,
}

/// What receiving a file would do, or did.
enum Fate {
    Taken(DeliveredFile),
    Already { sha256: String, run_id: String },
    Refused { code: Code, sha256: String, message: String },
}

/// A foreign file name as it may be shown: no control characters, not endless.
pub(crate) fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).take(120).collect()
}

/// What a file name says by the conventions of the contracts.
pub fn recognise<C: std::borrow::Borrow<Contract>>(
    contracts: &[C],
    name: &str,
) -> Option<(usize, String, NaiveDate)> {
    contracts.iter().enumerate().find_map(|(i, c)| {
        let input = &c.borrow().input;
        let found = input.file_name.as_ref()?.captures(name)?;
        let date = input.file_date.parse(found.name("date")?.as_str())?;
        let delivery = found.name("delivery").map_or(name, |m| m.as_str());
        Some((i, delivery.to_owned(), date))
    })
}

/// Regular files of an inbox, in any folder below it: links, pipes and devices are left out.
///
/// # Errors
/// When the folder cannot be read.
pub fn inbox_files(inbox: &Path) -> Result<Vec<PathBuf>> {
    std::fs::read_dir(inbox).at(inbox)?;
    let regular = |p: &PathBuf| std::fs::symlink_metadata(p).is_ok_and(|m| m.is_file());
    Ok(files::list(inbox)?.into_iter().filter(regular).collect())
}

fn arrivals<'a>(inbox: &[PathBuf], contracts: &'a [Contract]) -> Vec<Arrival<'a>> {
    let mut out = Vec::new();
    for path in inbox {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let suffix = PARTIAL.iter().find(|s| name.to_ascii_lowercase().ends_with(**s));
        let bare = suffix.and_then(|s| name.get(..name.len() - s.len())).unwrap_or(&name);
        let known = recognise(contracts, bare).and_then(|(i, n, d)| Some((contracts.get(i)?, n, d)));
        let known = known.or_else(|| match suffix {
            Some(_) => None,
            None => by_members(path, contracts).or_else(|| by_content(path, contracts)),
        });
        out.push(Arrival { path: path.clone(), known, partial_name: suffix.is_some(), name });
    }
    out.sort_by(|a, b| a.name.cmp(&b.name));
    out
}

/// What the members of an archive say by their names: the first that follows a convention.
fn by_members<'a>(path: &Path, contracts: &'a [Contract]) -> Option<(&'a Contract, String, NaiveDate)> {
    if is_plain(path).ok()? {
        return None;
    }
    let mut found = None;
    each_member(path, &ArchiveLimits::default(), &mut |member, _| {
        found = found.take().or_else(|| recognise(contracts, member));
        Ok(())
    })
    .ok()?;
    found.and_then(|(i, n, d)| Some((contracts.get(i)?, n, d)))
}

/// Exports with a fixed name (`ElevesSansAdresses.xml`) say inside which school sends them and when;
/// without both they cannot be told from those of another school, and are not taken.
fn by_content<'a>(path: &Path, contracts: &'a [Contract]) -> Option<(&'a Contract, String, NaiveDate)> {
    let head = Head::read(Box::new(File::open(path).ok()?)).ok()?;
    let Sniffed::Xml { root, .. } = head.sniff() else { return None };
    let contract =
        contracts.iter().find(|c| matches!(&c.input.format, Format::Xml { root: r, .. } if *r == root))?;
    let text = head.text();
    let after = |mark: &str| text.split_once(mark).map(|(_, rest)| rest);
    let school = after("<UAJ>").or_else(|| after("<UAJ CODE=\""))?;
    let school = school.get(..8).filter(|u| Uai::parse(u).is_ok())?;
    let day = after("<DATE_EXPORT>").or_else(|| after("<HORODATAGE>"))?;
    let date = DateFormat::French.parse(day.get(..10)?)?;
    Some((contract, format!("{root}_{school}_{}", date.format("%Y%m%d")), date))
}

/// Names of the files that a run would take or refuse for the first time.
///
/// # Errors
/// When the inbox or the ledger cannot be read.
pub fn news(store: &Store, inbox: &[PathBuf], contracts: &[Contract]) -> Result<Vec<String>> {
    let (mut out, mut waiting) = (Vec::new(), BTreeSet::new());
    for arrival in arrivals(inbox, contracts) {
        let sha256 = match (arrival.partial_name, files::digest(&arrival.path)) {
            (false, Ok(digest)) => digest.to_string(),
            _ => String::new(),
        };
        let refused = store.ledger.refused_by(&shown(&arrival.name), &sha256)?;
        let delivery = arrival.known.map(|(_, delivery, _)| delivery);
        if refused.as_deref() == Some(Code::RecvPartial.as_str()) {
            waiting.extend(delivery.clone());
        }
        if refused.is_none() && store.ledger.received_by(&arrival.name, &sha256)?.is_none() {
            out.push((arrival.name, delivery));
        }
    }
    // Files that wait for another of their delivery bring nothing new until it is whole.
    Ok(out
        .into_iter()
        .filter(|(_, d)| d.as_ref().is_none_or(|d| !waiting.contains(d)))
        .map(|(name, _)| name)
        .collect())
}

/// The receiving step. Counts are files: accepted are those of this run, excluded those of an
/// earlier run and those that wait for a file of the same delivery.
///
/// # Errors
/// When the inbox, the store or the ledger fail.
pub fn receive(run: &mut Run<'_>) -> Result<Said> {
    let contracts = &run.rulebook.contracts;
    let arrivals = arrivals(run.inbox, contracts);
    let work = run.store.work_dir("receive")?;
    let mut counts = Counts { read: arrivals.len() as u64, ..Counts::default() };
    let mut groups: BTreeMap<(NaiveDate, String, String), Vec<DeliveredFile>> = BTreeMap::new();
    let mut waiting: BTreeSet<String> = BTreeSet::new();
    let mut refusals = Vec::new();
    // A file in two folders of the inbox is one file.
    let mut seen: BTreeSet<(&str, String)> = BTreeSet::new();
    for (i, arrival) in arrivals.iter().enumerate() {
        run.progress.advance(i as u64 + 1, arrivals.len() as u64);
        match fate(run.store, arrival, &work)? {
            Fate::Taken(file) if !seen.insert((&arrival.name, file.sha256.clone())) => counts.excluded += 1,
            Fate::Taken(file) => {
                if let Some((contract, delivery, date)) = &arrival.known {
                    groups.entry((*date, contract.source.clone(), delivery.clone())).or_default().push(file);
                }
            }
            Fate::Already { sha256, run_id }
                if run_id == run.id && seen.insert((&arrival.name, sha256.clone())) =>
            {
                counts.accepted += 1;
            }
            Fate::Already { .. } => counts.excluded += 1,
            Fate::Refused { code, sha256, message } => {
                counts.rejected += 1;
                if let (Code::RecvPartial, Some((_, delivery, _))) = (code, &arrival.known) {
                    waiting.insert(delivery.clone());
                }
                let name = shown(&arrival.name);
                refusals.push(Refusal {
                    name,
                    sha256,
                    code: code.to_string(),
                    message,
                    run_id: run.id.clone(),
                });
            }
        }
    }
    let mut refused = Vec::new();
    for refusal in refusals {
        refused.push(format!("{} : [{}] {}", refusal.name, refusal.code, refusal.message));
        if run.store.ledger.refused_by(&refusal.name, &refusal.sha256)?.is_none() {
            // Not the name: what people call a file may name somebody.
            let payload = json!({"sha256": refusal.sha256, "code": refusal.code});
            let (at, date) = (run.now(), run.date.to_string());
            run.store.ledger.transact(|tx| {
                tx.refusal(&refusal)?;
                tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind: "file_refused", payload })
            })?;
        }
    }
    let mut taken_bytes = 0;
    for ((date, source, name), mut group) in groups {
        if waiting.contains(&name) {
            counts.excluded += group.len() as u64;
            continue;
        }
        group.sort_by(|a, b| a.name.cmp(&b.name));
        let digests = group.iter().map(|f| f.sha256.as_str());
        let id = Digest::of_lines([source.as_str(), &name].into_iter().chain(digests)).short(16);
        let mut moves = Vec::new();
        for file in &mut group {
            file.delivery_id.clone_from(&id);
            let place = received_path(&file.sha256);
            taken_bytes += file.size;
            // Bytes already there under another name are kept once.
            let aside = work.join(&file.sha256);
            if !run.store.path(&place).exists() && !moves.iter().any(|(from, _)| *from == aside) {
                moves.push((aside, place));
            }
        }
        run.store.publish(&moves)?;
        counts.accepted += group.len() as u64;
        let emitter = emitter(&name, date);
        let delivery =
            Delivery { id, source, name, delivery_date: date.to_string(), run_id: run.id.clone(), emitter };
        let payload = json!({
            "delivery": delivery.id, "source": delivery.source, "delivery_date": delivery.delivery_date,
            "files": group.iter().map(|f| json!({"sha256": f.sha256, "size": f.size, "table": f.table_name})).collect::<Vec<_>>(),
        });
        let (at, logical) = (run.now(), run.date.to_string());
        run.store.ledger.transact(|tx| {
            tx.delivery(&delivery, &group)?;
            tx.journal(&NewEntry {
                at: &at,
                date: &logical,
                run_id: &run.id,
                kind: "delivery_received",
                payload,
            })
        })?;
    }
    files::remove_dir(&work)?;
    let received = count(counts.accepted, "fichier reçu", "fichiers reçus");
    let mut detail = format!("{received} ({} Kio)", thousands(taken_bytes / 1024));
    if counts.excluded > 0 {
        detail.push_str(&format!(", {} déjà reçus ou en attente", counts.excluded));
    }
    refused.iter().for_each(|r| detail.push_str(&format!("\n{r}")));
    Ok(Said { counts, detail, ..Said::default() })
}

/// Who sends: the name of the delivery without its date, so that each export of the same sender
/// replaces the one before it, and nobody else's. A Delta changes the state that a Complet set.
fn emitter(name: &str, date: NaiveDate) -> String {
    let bare = [date.format("%Y%m%d").to_string(), date.to_string()].iter().fold(name.to_owned(), |n, d| {
        let Some((before, after)) = n.split_once(d.as_str()) else { return n };
        // The hour of an export (`_hhmmss`) changes from one to the next.
        let hour = after
            .strip_prefix('_')
            .and_then(|a| a.get(..6))
            .is_some_and(|h| h.bytes().all(|b| b.is_ascii_digit()));
        format!("{before}{}", if hour { after.get(7..).unwrap_or_default() } else { after })
    });
    bare.replace("_Delta_", "_Complet_")
}

/// Reads a file once: copy, digest, and the checks that tell a whole file from half of one.
fn fate(store: &Store, arrival: &Arrival<'_>, work: &Path) -> Result<Fate> {
    let refused = |code: Code, sha256: String, message: &str| Fate::Refused {
        code,
        sha256,
        message: message.to_owned(),
    };
    if arrival.partial_name {
        return Ok(refused(
            Code::RecvPartial,
            String::new(),
            "transfert en cours : le suffixe du nom dit que le fichier n'est pas complet",
        ));
    }
    let path = &arrival.path;
    let (Ok(before), Ok(file)) = (std::fs::metadata(path), File::open(path)) else {
        return Ok(refused(
            Code::RecvPartial,
            String::new(),
            "fichier illisible : vérifiez ses droits d'accès",
        ));
    };
    let aside = work.join("incoming");
    let mut input = DigestReader::new(file);
    let mut output = File::create(&aside).at(&aside)?;
    std::io::copy(&mut input, &mut output).at(path)?;
    let (sha256, size) = input.finish();
    let sha256 = sha256.to_string();
    if let Some(run_id) = store.ledger.received_by(&arrival.name, &sha256)? {
        return Ok(Fate::Already { sha256, run_id });
    }
    let Some((contract, _, _)) = &arrival.known else {
        return Ok(refused(
            Code::RecvName,
            sha256,
            "aucune source n'attend ce nom de fichier : comparez-le aux conventions (`cartulaire check`)",
        ));
    };
    if size == 0 {
        return Ok(refused(Code::RecvEmpty, sha256, "le fichier est vide"));
    }
    let after = std::fs::metadata(path).at(path)?;
    if before.len() != size || after.len() != size || before.modified().ok() != after.modified().ok() {
        return Ok(refused(
            Code::RecvPartial,
            sha256,
            "le fichier a changé pendant la lecture : attendez la fin du transfert",
        ));
    }
    if let Some(message) = unfinished(contract, &aside)? {
        return Ok(refused(Code::RecvPartial, sha256, message));
    }
    output.sync_all().at(&aside)?;
    std::fs::rename(&aside, work.join(&sha256)).at(&aside)?;
    Ok(Fate::Taken(DeliveredFile {
        sha256,
        delivery_id: String::new(),
        name: arrival.name.clone(),
        size: signed(size),
        table_name: contract.name.clone(),
    }))
}

/// Every source ends its files in a known way: a table with a line feed, XML with its root's end.
/// An archive says by its own structure whether it is whole.
fn unfinished(contract: &Contract, path: &Path) -> Result<Option<&'static str>> {
    if !is_plain(path)? {
        let said = each_member(path, &ArchiveLimits::default(), &mut |_, _| Ok(()))?;
        let cut = said.refusals.iter().any(|f| f.code == Code::ArchiveBroken);
        return Ok(
            cut.then_some("l'archive ne se lit pas jusqu'au bout : le transfert est sans doute inachevé")
        );
    }
    let mut file = File::open(path).at(path)?;
    let length = file.metadata().at(path)?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(512))).at(path)?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).at(path)?;
    let text = String::from_utf8_lossy(&tail);
    let closes = |root: &str| text.contains(&format!("{root}>"));
    Ok(match &contract.input.format {
        Format::Csv { .. } | Format::NdJson if !text.ends_with('\n') => {
            Some("la dernière ligne n'a pas de fin : le fichier est sans doute coupé")
        }
        Format::Aaf { .. } if !closes("/ficAlimMENESR") => {
            Some("la balise de fin </ficAlimMENESR> manque : le fichier est sans doute coupé")
        }
        Format::Xml { root, .. } if !closes(root) => {
            Some("la balise de fin de la racine manque : le fichier est sans doute coupé")
        }
        Format::Parquet if !tail.ends_with(b"PAR1") => Some("la fin du fichier Parquet manque"),
        _ => None,
    })
}
/// Place of a received file below the store's root.
pub fn received_path(sha256: &str) -> String {
    format!("received/{}/{sha256}", sha256.get(..2).unwrap_or_default())
}
