//! The file that was given: a zip, a tar, a tar.gz or a bare manifest, told by its first bytes.
//!
//! Members are listed before anything is read of them, and never written to disk. What two readers
//! could see differently (headers that contradict the directory, hidden bytes, names that climb) is
//! a fault: the archive's reader and ours must find the same package.

mod tar;
mod zip;

use super::{Findings, Opener, buffered, codes};
use crate::error::{Error, IoContext, Result};
use crate::french::thousands;
use flate2::bufread::MultiGzDecoder;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Bounds on containers.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Members, folders included.
    pub members_max: u64,
    /// Bytes of one member, unpacked.
    pub member_bytes_max: u64,
    /// Bytes of all members, unpacked.
    pub total_bytes_max: u64,
    /// Bytes that may come out of each packed byte.
    pub ratio_max: u64,
    /// Bytes that may always come out: small files may be very regular.
    pub ratio_floor_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            members_max: 250_000,
            member_bytes_max: 256 << 30,
            total_bytes_max: 1 << 40,
            ratio_max: 250,
            ratio_floor_bytes: 64 << 20,
        }
    }
}

impl Limits {
    fn unpacked_max(&self, packed: u64) -> u64 {
        packed.saturating_mul(self.ratio_max).max(self.ratio_floor_bytes)
    }
}

/// What is wrong with a container, in French.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Fault(String);

impl Fault {
    fn new(message: impl Into<String>) -> Self {
        Fault(message.into())
    }

    fn bomb(limits: &Limits) -> Self {
        Fault::new(format!(
            "le contenu décompressé dépasse {} fois la taille du fichier",
            thousands(limits.ratio_max)
        ))
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

/// The fault behind an error of a reader; `None` when the system failed.
fn fault_of(e: &io::Error) -> Option<Fault> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = e.get_ref().map(|e| e as _);
    while let Some(inner) = source {
        if let Some(fault) = inner.downcast_ref::<Fault>() {
            return Some(fault.clone());
        }
        source = match inner.downcast_ref::<io::Error>() {
            Some(e) => e.get_ref().map(|e| e as _),
            None => inner.source(),
        };
    }
    match e.raw_os_error() {
        Some(_) => None,
        None if e.kind() == io::ErrorKind::UnexpectedEof => {
            Some(Fault::new("le fichier est coupé avant sa fin"))
        }
        None => Some(Fault::new("le contenu compressé est abîmé")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Zip,
    Tar,
    TarGz,
    Bare,
}

/// A file of the container.
#[derive(Debug)]
pub struct Entry {
    pub name: String,
    pub folder: bool,
    pub size: u64,
    /// Where its bytes begin, in the file or in what is unpacked of it.
    start: u64,
    packed: u64,
    deflated: bool,
    crc: u32,
}

impl Entry {
    /// Whether it is where objects are.
    pub fn is_object(&self) -> bool {
        !self.folder && self.name.contains('/')
    }

    /// Name as it may be shown.
    pub fn shown(&self) -> String {
        shown(&self.name)
    }
}

fn shown(name: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
    };
    let text: String = name.chars().map(|c| if hidden(c) { '?' } else { c }).take(120).collect();
    format!("« {text} »")
}

/// A container whose list of members is sound.
#[derive(Debug)]
pub struct Container {
    pub path: PathBuf,
    pub kind: Kind,
    pub entries: Vec<Entry>,
    limits: Limits,
    length: u64,
}

/// Judges names: the same ones for all containers.
struct Names {
    seen: HashSet<String>,
}

impl Names {
    fn admit(&mut self, name: &str) -> Result<(), Fault> {
        let why = if name.chars().any(char::is_control) {
            "nom avec des caractères de contrôle"
        } else if name.starts_with(['/', '\\']) {
            "chemin absolu"
        } else if matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
            "chemin avec une lettre de lecteur"
        } else if name.contains('\\') {
            "séparateur « \\ » : un chemin s'écrit avec « / »"
        } else if name.trim_end_matches('/').split('/').any(|part| matches!(part, ".." | "." | "")) {
            "chemin qui n'est pas droit (« .. », « . » ou « // »)"
        } else if name.len() > 1024 {
            "nom trop long"
        } else if !self.seen.insert(name.trim_end_matches('/').to_owned()) {
            "deux membres portent ce nom"
        } else {
            return Ok(());
        };
        Err(Fault::new(format!("{} : {why}", shown(name))))
    }
}

impl Container {
    /// Lists the members; `None`, and a finding, when the container is refused.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn open(path: &Path, limits: &Limits, findings: &mut Findings) -> Result<Option<Self>> {
        let mut file = buffered(path)?;
        let length = file.seek(SeekFrom::End(0)).at(path)?;
        file.rewind().at(path)?;
        let mut head = Vec::new();
        file.by_ref().take(16 << 10).read_to_end(&mut head).at(path)?;
        file.rewind().at(path)?;
        let listed = match kind(&head) {
            Some(Kind::Bare) => Ok((Kind::Bare, Vec::new())),
            Some(Kind::Zip) => zip::list(file.get_mut(), length, limits).map(|e| (Kind::Zip, e)),
            Some(kind) => tar::list(stream(path, kind, length, limits)?, limits).map(|e| (kind, e)),
            None => Err(Fault::new(
                "ce n'est ni un zip, ni un tar, ni un tar.gz, ni un manifeste XML : refaites un zip",
            )
            .into()),
        };
        match listed {
            Ok((kind, entries)) => {
                Ok(Some(Container { path: path.to_path_buf(), kind, entries, limits: *limits, length }))
            }
            Err(e) => match fault_of(&e) {
                Some(fault) => {
                    findings.error(codes::CONTAINER, "", fault.0);
                    Ok(None)
                }
                None => Err(Error::io(path, e)),
            },
        }
    }

    /// Code and message of what a reader of this container failed on.
    pub fn fault_of(&self, e: &io::Error) -> Option<(&'static str, String)> {
        fault_of(e).map(|f| (codes::CONTAINER, f.0))
    }

    pub fn file(&self) -> Result<File> {
        File::open(&self.path).at(&self.path)
    }

    /// Finds the manifest among the files at the root, and judges the layout.
    ///
    /// # Errors
    /// None of its own; the reader that is given back may fail to open.
    pub fn manifest(&self, findings: &mut Findings) -> Result<Option<Opener<'_>>> {
        if self.kind == Kind::Bare {
            return Ok(Some(Box::new(|| Ok(Box::new(buffered(&self.path)?)))));
        }
        let roots: Vec<&Entry> = self.entries.iter().filter(|e| !e.folder && !e.name.contains('/')).collect();
        let manifests: Vec<&Entry> = roots.iter().copied().filter(|e| is_manifest(&e.name)).collect();
        let Some(manifest) = manifests.first().copied() else {
            let inside = self.entries.iter().any(|e| e.name.rsplit('/').next().is_some_and(is_manifest));
            let message = if inside {
                "le manifeste est dans un dossier : faites le zip depuis l'intérieur du dossier, manifest.xml à la racine"
            } else {
                "aucun fichier manifest.xml à la racine (un préfixe de lettres et chiffres suivi de « _ » ou « - » est admis)"
            };
            findings.error(codes::MANIFEST_NAME, "", message);
            return Ok(None);
        };
        if roots.len() > 1 {
            let others: Vec<String> =
                roots.iter().filter(|e| e.name != manifest.name).take(5).map(|e| e.shown()).collect();
            let message = format!(
                "un seul fichier est admis à la racine, le manifeste : retirez {}",
                others.join(", ")
            );
            findings.error(codes::ONE_FILE, "", message);
        }
        let mut folders: Vec<&str> = self
            .entries
            .iter()
            .filter(|e| e.folder || e.name.contains('/'))
            .filter_map(|e| e.name.split('/').next())
            .collect();
        folders.sort_unstable();
        folders.dedup();
        if folders.len() > 1 || folders.iter().any(|f| !f.eq_ignore_ascii_case("content")) {
            let names: Vec<String> = folders.iter().take(5).map(|f| shown(f)).collect();
            let message =
                format!("un seul dossier est admis à la racine, « content » : trouvé {}", names.join(", "));
            findings.error(codes::ONE_FOLDER, "", message);
        }
        Ok(Some(Box::new(move || self.reader(manifest))))
    }

    /// Opens one member by itself.
    fn reader(&self, entry: &Entry) -> Result<Box<dyn Read + Send + '_>> {
        if self.kind == Kind::Zip {
            return Ok(Box::new(zip::Unpacked::new(self.file()?, entry).at(&self.path)?));
        }
        let mut input = stream(&self.path, self.kind, self.length, &self.limits)?;
        io::copy(&mut (&mut input).take(entry.start), &mut io::sink()).at(&self.path)?;
        Ok(Box::new(input.take(entry.size)))
    }

    /// Opens one member of a zip on a file of one's own.
    pub fn open_in<'f>(&self, file: &'f mut File, entry: &Entry) -> Result<Box<dyn Read + Send + 'f>> {
        Ok(Box::new(zip::Unpacked::new(file, entry).at(&self.path)?))
    }

    /// Gives the objects of a tar one after another.
    ///
    /// # Errors
    /// When the file cannot be read, or the visit fails.
    pub fn each(&self, visit: &mut dyn FnMut(usize, &mut (dyn Read + Send)) -> Result<()>) -> Result<()> {
        let mut input = stream(&self.path, self.kind, self.length, &self.limits)?;
        let mut at = 0;
        for (rank, entry) in self.entries.iter().enumerate().filter(|(_, e)| e.is_object()) {
            io::copy(&mut (&mut input).take(entry.start.saturating_sub(at)), &mut io::sink())
                .at(&self.path)?;
            let mut member = (&mut input).take(entry.size);
            visit(rank, &mut member)?;
            io::copy(&mut member, &mut io::sink()).at(&self.path)?;
            at = entry.start + entry.size;
        }
        Ok(())
    }
}

fn kind(head: &[u8]) -> Option<Kind> {
    if [b"PK\x03\x04", b"PK\x05\x06"].iter().any(|m| head.starts_with(*m)) {
        return Some(Kind::Zip);
    }
    let is_tar = |h: &[u8]| matches!(h.get(257..262), Some(b"ustar"));
    if head.starts_with(b"\x1F\x8B\x08") {
        let mut block = Vec::new();
        let _ = MultiGzDecoder::new(head).take(512).read_to_end(&mut block);
        return is_tar(&block).then_some(Kind::TarGz);
    }
    if is_tar(head) {
        return Some(Kind::Tar);
    }
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head);
    let utf16 = text.starts_with(b"\xFE\xFF") || text.starts_with(b"\xFF\xFE");
    let first = text.iter().find(|b| !b.is_ascii_whitespace() && **b != 0);
    (utf16 || first == Some(&b'<')).then_some(Kind::Bare)
}

/// Name of a manifest: `manifest.xml`, or a prefix of 56 letters and digits at most, then `_` or `-`.
fn is_manifest(name: &str) -> bool {
    match name.strip_suffix("manifest.xml") {
        Some("") => true,
        Some(prefix) => {
            prefix.ends_with(['_', '-'])
                && prefix.len() <= 57
                && prefix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        }
        None => false,
    }
}

/// The bytes of a tar.
fn stream(path: &Path, kind: Kind, length: u64, limits: &Limits) -> Result<Box<dyn Read + Send>> {
    let file = buffered(path)?;
    if kind == Kind::Tar {
        return Ok(Box::new(file));
    }
    let metered = Metered {
        inner: MultiGzDecoder::new(file),
        out: 0,
        max: limits.unpacked_max(length),
        limits: *limits,
    };
    Ok(Box::new(BufReader::with_capacity(256 << 10, metered)))
}

/// All that comes out of a compressed stream.
struct Metered<R> {
    inner: R,
    out: u64,
    max: u64,
    limits: Limits,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.out += n as u64;
        if self.out > self.max { Err(Fault::bomb(&self.limits).into()) } else { Ok(n) }
    }
}
