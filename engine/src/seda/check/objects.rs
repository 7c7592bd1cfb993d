//! The files of the package against what the manifest says of them: which, how big, which digest,
//! which format. Files are read by several threads; findings come in the manifest's order.

use super::container::{Container, Entry, Kind};
use super::format::{self, Match};
use super::model::{Model, Object};
use super::referentials::Referentials;
use super::{Findings, Options, codes};
use crate::domain::hex;
use crate::error::{Error, Result};
use sha2::Digest as _;
use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// An object beyond this travels alone.
const ALONE_BYTES: u64 = 10 << 30;
/// A file beyond this is read by one thread and digested by another.
const PIPED_BYTES: u64 = 32 << 20;
const CHUNK_BYTES: usize = 1 << 20;

/// Compares the files with the manifest.
///
/// # Errors
/// When the package cannot be read any more.
pub fn check(
    container: &Container,
    model: &Model,
    lists: &Referentials,
    options: &Options,
    findings: &mut Findings,
) -> Result<()> {
    let pairs = pair(container, model, findings);
    let seen = digest_all(container, model, &pairs, options)?;
    let mut sorted: Vec<(usize, Option<&Object>, Seen)> = Vec::with_capacity(seen.len());
    for (entry, seen) in seen {
        sorted.push((entry, pairs.get(&entry).and_then(|o| model.objects.get(*o)), seen));
    }
    sorted.sort_by_key(|(entry, _, _)| (pairs.get(entry).copied().unwrap_or(usize::MAX), *entry));
    for (entry, object, seen) in sorted {
        let Some(entry) = container.entries.get(entry) else { continue };
        judge(model, lists, entry, object, seen, findings);
    }
    Ok(())
}

/// A segment of a path as the archive takes it.
fn is_plain_segment(segment: &str) -> bool {
    !segment.starts_with('.')
        && !segment.ends_with('.')
        && !segment.is_empty()
        && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'@' | b'.'))
}

/// Finds the file of each object: rank of the entry → rank of the object.
fn pair(container: &Container, model: &Model, findings: &mut Findings) -> HashMap<usize, usize> {
    let files: HashMap<&str, usize> = container
        .entries
        .iter()
        .enumerate()
        .filter(|(_, e)| e.is_object())
        .map(|(i, e)| (e.name.as_str(), i))
        .collect();
    let (mut pairs, mut missing, mut named) = (HashMap::new(), Vec::new(), HashSet::new());
    let mut unnamed = 0_usize;
    for (rank, object) in model.objects.iter().enumerate().filter(|(_, o)| !o.physical) {
        let uri = object.uri.as_deref().unwrap_or_default();
        let path = || format!("{}/Uri[1]", model.object_path(object));
        if uri.is_empty() {
            unnamed += 1;
            continue;
        }
        if !named.insert(uri) {
            unnamed += 1;
            findings.error(
                codes::URI,
                path(),
                "cette Uri est déjà celle d'un autre objet : un fichier par objet",
            );
            continue;
        }
        match files.get(uri) {
            Some(entry) => {
                pairs.insert(*entry, rank);
            }
            None => missing.push((rank, object)),
        }
    }
    let mut extra: Vec<usize> = files.into_values().filter(|e| !pairs.contains_key(e)).collect();
    extra.sort_unstable();
    // A file that no good Uri names is that of an Uri already told wrong.
    extra.drain(..unnamed.min(extra.len()));
    let wrong = missing.len().min(extra.len());
    for (i, (_, object)) in missing.into_iter().enumerate() {
        let path = format!("{}/Uri[1]", model.object_path(object));
        if i < wrong {
            let message =
                "aucun fichier du paquet ne porte ce chemin : la casse et le dossier doivent être les mêmes";
            findings.error(codes::URI, path, message);
        } else {
            findings.error(
                codes::TOO_FEW_FILES,
                path,
                "le fichier de cet objet manque dans le paquet : ajoutez-le, ou retirez l'objet",
            );
        }
    }
    for entry in extra.into_iter().skip(wrong) {
        let shown = container.entries.get(entry).map(Entry::shown).unwrap_or_default();
        let message = format!(
            "{shown} : ce fichier n'est déclaré par aucun objet : déclarez-le, ou retirez-le du paquet"
        );
        findings.error(codes::TOO_MANY_FILES, "", message);
    }
    for entry in container.entries.iter().filter(|e| e.is_object()) {
        if !entry.name.split('/').all(is_plain_segment) {
            let message = format!(
                "{} : nom refusé par l'archive : lettres sans accent, chiffres, - _ @ et points intérieurs ; renommez le fichier et son Uri",
                entry.shown()
            );
            findings.error(codes::FILE_NAME, "", message);
        }
    }
    let alone = container.entries.iter().filter(|e| e.is_object());
    if alone.clone().count() > 1 {
        for entry in alone.filter(|e| e.size > ALONE_BYTES) {
            let message =
                format!("{} : un objet de plus de 10 Gio voyage seul : faites-en un paquet", entry.shown());
            findings.warning(codes::W_BIG_OBJECT, "", message);
        }
    }
    pairs
}

/// What was read of a file.
pub struct Seen {
    size: u64,
    head: Vec<u8>,
    digest: Option<String>,
    fault: Option<(&'static str, String)>,
}

enum Hasher {
    None,
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hasher {
    fn of(algorithm: &str) -> Self {
        match algorithm {
            "MD5" => Hasher::Md5(md5::Md5::new()),
            "SHA-1" => Hasher::Sha1(sha1::Sha1::new()),
            "SHA-256" => Hasher::Sha256(sha2::Sha256::new()),
            "SHA-384" => Hasher::Sha384(sha2::Sha384::new()),
            "SHA-512" => Hasher::Sha512(sha2::Sha512::new()),
            _ => Hasher::None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::None => {}
            Hasher::Md5(h) => h.update(bytes),
            Hasher::Sha1(h) => h.update(bytes),
            Hasher::Sha256(h) => h.update(bytes),
            Hasher::Sha384(h) => h.update(bytes),
            Hasher::Sha512(h) => h.update(bytes),
        }
    }

    fn finish(self) -> Option<String> {
        Some(match self {
            Hasher::None => return None,
            Hasher::Md5(h) => hex(&h.finalize()),
            Hasher::Sha1(h) => hex(&h.finalize()),
            Hasher::Sha256(h) => hex(&h.finalize()),
            Hasher::Sha384(h) => hex(&h.finalize()),
            Hasher::Sha512(h) => hex(&h.finalize()),
        })
    }
}

/// Reads all files: the ranks of the entries with what was seen, in no order.
fn digest_all(
    container: &Container,
    model: &Model,
    pairs: &HashMap<usize, usize>,
    options: &Options,
) -> Result<Vec<(usize, Seen)>> {
    let hasher = |entry: usize| {
        let object = pairs.get(&entry).and_then(|o| model.objects.get(*o));
        Hasher::of(object.and_then(|o| o.digest.as_ref()).map_or("", |d| &d.algorithm))
    };
    if container.kind != Kind::Zip {
        let mut out = Vec::new();
        container.each(&mut |rank, input| {
            let size = container.entries.get(rank).map_or(0, |e| e.size);
            out.push((rank, read(input, size, hasher(rank), container)?));
            Ok(())
        })?;
        return Ok(out);
    }
    let mut order: Vec<usize> =
        container.entries.iter().enumerate().filter(|(_, e)| e.is_object()).map(|(i, _)| i).collect();
    // The biggest first, so that no thread starts one when the others are done.
    order.sort_by_key(|i| std::cmp::Reverse(container.entries.get(*i).map_or(0, |e| e.size)));
    let (next, out) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(order.len())));
    let work = || -> Result<()> {
        let mut file = container.file()?;
        while let Some(rank) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            let Some(entry) = container.entries.get(*rank) else { continue };
            let mut input = container.open_in(&mut file, entry)?;
            let seen = read(&mut input, entry.size, hasher(*rank), container)?;
            if let Ok(mut out) = out.lock() {
                out.push((*rank, seen));
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (1..options.threads.max(1)).map(|_| scope.spawn(work)).collect();
        let mut result = work();
        for worker in workers {
            let other =
                worker.join().unwrap_or_else(|_| Err(Error::Write("un fil de lecture s'est arrêté".into())));
            result = result.and(other);
        }
        result
    })?;
    out.into_inner().map_err(|_| Error::Write("un fil de lecture s'est arrêté".into()))
}

/// Reads one file to its end. A fault of the container is kept, the system's errors stop.
fn read(input: &mut (dyn Read + Send), size: u64, mut hasher: Hasher, container: &Container) -> Result<Seen> {
    let mut seen = Seen { size: 0, head: Vec::new(), digest: None, fault: None };
    let mut failed = None;
    if size < PIPED_BYTES {
        let mut buffer = vec![0; usize::try_from(size).unwrap_or(CHUNK_BYTES).clamp(4 << 10, 256 << 10)];
        loop {
            match input.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    let bytes = buffer.get(..n).unwrap_or_default();
                    seen.note(bytes);
                    hasher.update(bytes);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    failed = Some(e);
                    break;
                }
            }
        }
        seen.digest = hasher.finish();
    } else {
        let (full, filled) = mpsc::sync_channel::<Vec<u8>>(2);
        let (empty, emptied) = mpsc::channel::<Vec<u8>>();
        seen.digest = std::thread::scope(|scope| {
            let digesting = scope.spawn(move || {
                for chunk in filled {
                    hasher.update(&chunk);
                    let _ = empty.send(chunk);
                }
                hasher.finish()
            });
            loop {
                let mut chunk = emptied.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK_BYTES));
                chunk.clear();
                match (&mut *input).take(CHUNK_BYTES as u64).read_to_end(&mut chunk) {
                    Ok(0) => break,
                    Ok(_) => {
                        seen.note(&chunk);
                        if full.send(chunk).is_err() {
                            break;
                        }
                    }
                    Err(e) => {
                        failed = Some(e);
                        break;
                    }
                }
            }
            drop(full);
            digesting.join().unwrap_or_default()
        });
    }
    if let Some(e) = failed {
        seen.fault = Some(container.fault_of(&e).ok_or_else(|| Error::io(&container.path, e))?);
    }
    Ok(seen)
}

impl Seen {
    fn note(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        let room = format::HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }
}

fn judge(
    model: &Model,
    lists: &Referentials,
    entry: &Entry,
    object: Option<&Object>,
    seen: Seen,
    findings: &mut Findings,
) {
    if let Some((code, message)) = seen.fault {
        return findings.error(code, "", format!("{} : {message}", entry.shown()));
    }
    let Some(object) = object else { return };
    let path = model.object_path(object);
    match &object.digest {
        None => {
            findings.error(
                codes::DIGEST_EMPTY,
                path.clone(),
                "l'objet n'a pas d'empreinte (MessageDigest) : ajoutez sa SHA-512",
            );
        }
        Some(d) if d.value.is_empty() => {
            findings.error(
                codes::DIGEST_EMPTY,
                format!("{path}/MessageDigest[1]"),
                "l'empreinte est vide : mettez la SHA-512 du fichier",
            );
        }
        Some(d) => match &seen.digest {
            None => {
                let message =
                    "algorithme d'empreinte inconnu : MD5, SHA-1, SHA-256, SHA-384 ou SHA-512 (conseillé)";
                findings.error(codes::DIGEST_FATAL, format!("{path}/MessageDigest[1]"), message);
            }
            Some(real) if !real.eq_ignore_ascii_case(&d.value) => {
                let message = "l'empreinte n'est pas celle du fichier : il a changé, ou l'empreinte est d'un autre ; recalculez-la";
                return findings.error(codes::DIGEST_INVALID, format!("{path}/MessageDigest[1]"), message);
            }
            Some(real) if **real != *d.value => {
                let message = "l'empreinte est en majuscules : l'archive la veut en minuscules";
                findings.warning(codes::W_FIELD, format!("{path}/MessageDigest[1]"), message);
            }
            Some(_) => {}
        },
    }
    if object.size.is_some_and(|size| size != seen.size) {
        let message =
            format!("la taille déclarée n'est pas celle du fichier ({} octets) : corrigez-la", seen.size);
        findings.warning(codes::SIZE, format!("{path}/Size[1]"), message);
    }
    formats(model, lists, object, &path, &entry.name, &seen.head, findings);
}

fn formats(
    model: &Model,
    lists: &Referentials,
    object: &Object,
    path: &str,
    name: &str,
    head: &[u8],
    findings: &mut Findings,
) {
    let declared = object.format.as_deref();
    let at = || format!("{path}/FormatIdentification[1]/FormatId[1]");
    let contracts = lists.contracts.as_ref();
    let contract = model.agreement.as_deref().and_then(|a| contracts?.get(a));
    match format::compare(declared, name, head) {
        Match::Same => {}
        Match::Other => {
            let message = "le fichier n'a pas l'air du format déclaré : vérifiez FormatId et l'extension";
            return findings.warning(codes::FORMAT, at(), message);
        }
        Match::Unidentified => {
            let message = "le format n'est reconnu ni par sa signature ni par son extension : remettez l'extension, ou convertissez le fichier";
            return match contract {
                Some(c) if c.identified_only => findings.error(codes::FORMAT, path, message),
                _ => findings.warning(codes::FORMAT, path, message),
            };
        }
    }
    let Some(puid) = declared.filter(|d| !d.is_empty()) else { return };
    if lists.formats.as_ref().is_some_and(|f| !f.contains(puid)) {
        let message = "ce format n'est pas au référentiel des formats du service d'archives : convertissez le fichier, ou faites ajouter le format";
        findings.error(codes::FORMAT_UNCHARTED, at(), message);
    } else if contract.and_then(|c| c.formats.as_ref()).is_some_and(|f| !f.contains(puid)) {
        let message = "le contrat d'entrée n'accepte pas ce format : convertissez le fichier, ou faites élargir le contrat";
        findings.error(codes::FORMAT_REJECTED, at(), message);
    }
}
