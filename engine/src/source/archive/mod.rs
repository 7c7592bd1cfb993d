//! Delivered files that are archives: `.gz`, `.tar`, `.tar.gz` and `.zip`, told by their first
//! bytes and never by their name. Members are read one after another in bounded memory; nothing is
//! written to disk, no path of an archive is ever used as a path.
//!
//! What is wrong with an archive is a [`Fault`], which refuses the whole of it:
//!
//! * **zip**: the central directory is judged before any member is read (names, kinds, sizes,
//!   local headers, overlaps). The directory's size is bounded before the `zip` crate loads it;
//!   members are inflated here, because what counts is that the real sizes, the declared ones and
//!   the bytes consumed are all the same.
//! * **tar, tar.gz**: read twice. A first pass verifies the whole (headers, sizes, checksums,
//!   bombs) and only a sound archive is read again for its members: what a bad archive holds is
//!   never seen by a parser. Inflating again costs little beside parsing. Headers are walked here,
//!   because the `tar` crate loads long names and PAX records of any size into memory.
//! * **gz**: one pass, its only member is judged as it is read.
//!
//! Each member is read to its end whatever the visit left unread, so that its checksum is known.

mod tarball;
#[cfg(test)]
mod tests;
mod zipped;

use crate::codes::Code;
use crate::domain::{Digest, DigestReader};
use crate::error::{Error, IoContext, Result};
use crate::french::thousands;
use flate2::Crc;
use flate2::bufread::MultiGzDecoder;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use tarball::walk_tar;
use zipped::walk_zip;

/// Bytes that [`kind`] needs to tell a `.gz` from a `.tar.gz`: a gzip header and one tar block.
pub const HEAD_BYTES: usize = 16 << 10;
/// A block of a tar file.
const BLOCK: usize = 512;
/// Bytes of a long name or of PAX records in a tar file.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;
/// Bytes of a zip's central directory.
const DIRECTORY_BYTES_MAX: u64 = 64 << 20;
/// Faults told one by one.
const FAULTS_MAX: usize = 20;
/// Characters of a name that is shown.
const SHOWN_CHARS_MAX: usize = 80;

/// Bounds on archives.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveLimits {
    /// Members, folders included.
    pub members_max: u64,
    /// Bytes of one member, unpacked.
    pub member_bytes_max: u64,
    /// Bytes of all members, unpacked.
    pub total_bytes_max: u64,
    /// Bytes that may come out of each byte that was delivered.
    pub ratio_max: u64,
    /// Bytes that may always come out: small files may be very regular.
    pub ratio_floor_bytes: u64,
    /// Bytes of a member's path.
    pub name_bytes_max: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        ArchiveLimits {
            members_max: 10_000,
            member_bytes_max: 64 << 30,
            total_bytes_max: 256 << 30,
            ratio_max: 200,
            ratio_floor_bytes: 16 << 20,
            name_bytes_max: 1024,
        }
    }
}

impl ArchiveLimits {
    /// Bytes that may come out of so many.
    fn unpacked_max(&self, packed: u64) -> u64 {
        packed.saturating_mul(self.ratio_max).max(self.ratio_floor_bytes)
    }

    fn bomb(&self) -> Fault {
        let ratio = thousands(self.ratio_max);
        Fault::limit(format!("le contenu décompressé dépasse {ratio} fois la taille du fichier"))
    }

    fn too_much(&self) -> Fault {
        let mib = thousands(self.total_bytes_max >> 20);
        Fault::limit(format!("le contenu décompressé dépasse {mib} Mio"))
    }

    fn too_big(&self, shown: &str) -> Fault {
        let mib = thousands(self.member_bytes_max >> 20);
        Fault::limit(format!("{shown} : le contenu décompressé dépasse {mib} Mio"))
    }
}

/// What a file is, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not an archive.
    Plain,
    /// One file in gzip.
    Gzip,
    /// A tar.
    Tar,
    /// A tar in gzip.
    TarGz,
    /// A zip.
    Zip,
    /// An archive of a kind that is not read; its usual name.
    Foreign(&'static str),
}

/// First bytes of the kinds that are not read. bzip2's three letters alone could start a text.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"\xFD7zXZ\0", "xz"),
    (b"\x28\xB5\x2F\xFD", "zstd"),
    (b"7z\xBC\xAF\x27\x1C", "7z"),
    (b"Rar!\x1A\x07", "rar"),
    (b"\x04\x22\x4D\x18", "lz4"),
    (b"\x1F\x9D", "compress"),
];

/// Whether a file on disk is what it is, and not an archive.
///
/// # Errors
/// When it cannot be read.
pub fn is_plain(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    File::open(path).at(path)?.take(HEAD_BYTES as u64).read_to_end(&mut head).at(path)?;
    Ok(kind(&head) == Kind::Plain)
}

/// What a file is, by its first bytes ([`HEAD_BYTES`] are enough). Texts and Parquet never look like
/// an archive: every mark holds control characters, which no XML or table file has.
pub fn kind(head: &[u8]) -> Kind {
    if head.starts_with(b"\x1F\x8B\x08") {
        let mut block = [0; BLOCK];
        let (n, _) = fill(&mut MultiGzDecoder::new(head), &mut block);
        return if is_tar(block.get(..n).unwrap_or_default()) { Kind::TarGz } else { Kind::Gzip };
    }
    if [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|m| head.starts_with(*m)) {
        return Kind::Zip;
    }
    if is_tar(head) {
        return Kind::Tar;
    }
    if head.starts_with(b"BZh") && head.get(4..10) == Some(b"1AY&SY") {
        return Kind::Foreign("bzip2");
    }
    FOREIGN
        .iter()
        .find(|(mark, _)| head.starts_with(mark))
        .map_or(Kind::Plain, |(_, name)| Kind::Foreign(name))
}

fn is_tar(head: &[u8]) -> bool {
    matches!(head.get(257..265), Some([b'u', b's', b't', b'a', b'r', 0, ..] | b"ustar  \0"))
}

/// Fills a buffer as far as the input goes: bytes read, and the error that stopped the reading.
fn fill(input: &mut dyn Read, buf: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while let Some(rest) = buf.get_mut(filled..).filter(|r| !r.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return (filled, Some(e)),
        }
    }
    (filled, None)
}

/// What refuses an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// [`Code::ArchiveUnsafe`], [`Code::ArchiveLimit`] or [`Code::ArchiveBroken`].
    pub code: Code,
    /// French text; names a member only where its name can be shown.
    pub message: String,
}

impl Fault {
    fn limit(message: impl Into<String>) -> Self {
        Fault { code: Code::ArchiveLimit, message: message.into() }
    }

    fn broken(message: impl Into<String>) -> Self {
        Fault { code: Code::ArchiveBroken, message: message.into() }
    }

    fn unsafe_member(shown: &str, why: &str) -> Self {
        Fault { code: Code::ArchiveUnsafe, message: format!("{shown} : {why}") }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        io::Error::new(ErrorKind::InvalidData, fault)
    }
}

/// The fault behind an error of a member's reader; `None` when the system failed.
pub fn fault(e: &io::Error) -> Option<&Fault> {
    e.get_ref()?.downcast_ref()
}

/// What reading an archive came to.
#[derive(Debug)]
pub struct Outcome {
    /// What the file is.
    pub kind: Kind,
    /// Digest of the file as delivered.
    pub sha256: Digest,
    /// Bytes of the file as delivered.
    pub bytes: u64,
    /// Members that were visited.
    pub visited: u64,
    /// Why the file is refused; empty when it is sound.
    pub refusals: Vec<Fault>,
    /// Names of the members that are never data: folders, litter of desktops, DTDs, checksums.
    pub ignored: Vec<String>,
}

/// Called with each member: the last part of its name, and its bytes.
pub type Visit<'v> = &'v mut dyn FnMut(&str, Box<dyn Read + Send + '_>) -> Result<()>;

/// Visits the members of a file, a plain file being its own only member. A member's reader fails
/// with a [`Fault`] where the archive is wrong; the visit may pass that error on, or leave members
/// unread: the outcome tells the fault. With a visit that does nothing, the file is only verified.
///
/// # Errors
/// When the system fails, or the visit for a reason of its own.
pub fn each_member(path: &Path, limits: &ArchiveLimits, visit: Visit<'_>) -> Result<Outcome> {
    let mut file = File::open(path).at(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    visit_members(&mut file, &name, limits, visit).map_err(|stop| match stop {
        Failure::System(e) => Error::io(path, e),
        Failure::Visit(e) => e,
    })
}

/// What stops a run.
#[derive(Debug)]
enum Failure {
    System(io::Error),
    Visit(Error),
}

/// What stops the reading of an archive.
enum Stop {
    Fault(Fault),
    Failure(Failure),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

/// The system's errors have a number; all others come from the bytes.
impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        match fault(&e) {
            Some(f) => Stop::Fault(f.clone()),
            None if e.raw_os_error().is_some() => Stop::Failure(Failure::System(e)),
            None if e.kind() == ErrorKind::UnexpectedEof => {
                Stop::Fault(Fault::broken("le fichier est coupé avant sa fin"))
            }
            None => Stop::Fault(Fault::broken("le contenu compressé est abîmé")),
        }
    }
}

impl Stop {
    /// Names the member that is broken.
    fn about(self, shown: &str) -> Self {
        match self {
            Stop::Fault(Fault { code: Code::ArchiveBroken, message }) => {
                Stop::Fault(Fault::broken(format!("{shown} : {message}")))
            }
            other => other,
        }
    }
}

fn drain(input: &mut dyn Read) -> io::Result<u64> {
    io::copy(input, &mut io::sink())
}

fn visit_members<S: Read + Seek + Send>(
    input: &mut S,
    name: &str,
    limits: &ArchiveLimits,
    visit: Visit<'_>,
) -> Result<Outcome, Failure> {
    let system = Failure::System;
    let length = input.seek(SeekFrom::End(0)).map_err(system)?;
    input.rewind().map_err(system)?;
    let mut head = vec![0; usize::try_from(length).unwrap_or(HEAD_BYTES).min(HEAD_BYTES)];
    let (n, failed) = fill(input, &mut head);
    if let Some(e) = failed {
        return Err(Failure::System(e));
    }
    head.truncate(n);
    let kind = kind(&head);
    input.rewind().map_err(system)?;

    let unpacked_max = limits.unpacked_max(length);
    let mut walk = Walk::new(limits, visit);
    let (sha256, bytes) = match kind {
        // No further than the length first seen: a file may grow faster than it is read.
        Kind::Plain => {
            let mut whole = input.take(length);
            digested(&mut whole, &mut walk, |input, walk| Ok(walk.call(name, input)?))?
        }
        Kind::Foreign(what) => digested(input, &mut walk, |_, _| {
            Err(Fault::broken(format!("archive {what} : seuls gz, tar.gz et zip sont lus")).into())
        })?,
        Kind::Gzip => digested(input, &mut walk, |input, walk| {
            let gz = MultiGzDecoder::new(BufReader::with_capacity(64 << 10, input));
            let name = gzip_name(name, gz.header().and_then(|h| h.filename()));
            walk.member(&name, &mut Metered { inner: gz, out: 0, unpacked_max, limits })
        })?,
        Kind::Tar | Kind::TarGz => {
            let tar = |input: &mut (dyn Read + Send), walk: &mut Walk<'_>| {
                let file = BufReader::with_capacity(64 << 10, input);
                let inner: Box<dyn Read + Send> =
                    if kind == Kind::Tar { Box::new(file) } else { Box::new(MultiGzDecoder::new(file)) };
                let metered = Metered { inner, out: 0, unpacked_max, limits };
                walk_tar(&mut BufReader::with_capacity(64 << 10, metered), walk)
            };
            let mut nothing = |_: &str, _: Box<dyn Read + Send + '_>| Ok(());
            let mut verified = Walk::new(limits, &mut nothing);
            let first = digested(input, &mut verified, tar)?;
            if !verified.faults.is_empty() {
                verified.visited = 0;
                return Ok(verified.outcome(kind, first));
            }
            input.rewind().map_err(system)?;
            let second = digested(input, &mut walk, tar)?;
            if first.0 != second.0 {
                walk.faults.push(changed(kind));
            }
            second
        }
        Kind::Zip => {
            let digest = digested(input, &mut walk, |_, _| Ok(()))?;
            match walk_zip(input, length, &mut walk) {
                Ok(()) => {}
                Err(Stop::Fault(fault)) => walk.faults.push(fault),
                Err(Stop::Failure(failure)) => return Err(failure),
            }
            digest
        }
    };
    if bytes != length || input.seek(SeekFrom::End(0)).map_err(system)? != length {
        walk.faults.push(changed(kind));
    }
    Ok(walk.outcome(kind, (sha256, bytes)))
}

fn changed(kind: Kind) -> Fault {
    let message = "le fichier a changé pendant la lecture : attendez la fin du transfert".to_owned();
    let code = if kind == Kind::Plain { Code::RecvPartial } else { Code::ArchiveBroken };
    Fault { code, message }
}

/// Reads the whole of an input for its digest, and lets `read` take what it wants of it.
fn digested(
    input: &mut (dyn Read + Send),
    walk: &mut Walk<'_>,
    read: impl FnOnce(&mut (dyn Read + Send), &mut Walk<'_>) -> Result<(), Stop>,
) -> Result<(Digest, u64), Failure> {
    let mut input = DigestReader::new(input);
    match read(&mut input, walk) {
        Ok(()) => {}
        Err(Stop::Fault(fault)) => walk.faults.push(fault),
        Err(Stop::Failure(failure)) => return Err(failure),
    }
    drain(&mut input).map_err(Failure::System)?;
    Ok(input.finish())
}

/// The name of what a `.gz` holds: the file's own without its suffix, or the one in its header.
fn gzip_name(file: &str, header: Option<&[u8]>) -> String {
    let stem = file.rsplit_once('.').filter(|(stem, suffix)| {
        !stem.is_empty() && ["gz", "gzip", "tgz"].iter().any(|s| suffix.eq_ignore_ascii_case(s))
    });
    if let Some((stem, _)) = stem {
        return stem.to_owned();
    }
    let header = header.map(text_of).unwrap_or_default();
    match base(&header) {
        "" | "." | ".." => file.to_owned(),
        name if name.chars().any(char::is_control) => file.to_owned(),
        name => name.to_owned(),
    }
}

/// A foreign name: UTF-8, or else Latin-1, so that two names of the archive stay two names.
fn text_of(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) => name.iter().copied().map(char::from).collect(),
    }
}

/// Last part of a path, whichever way its separators lean.
fn base(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or_default()
}

/// A member's name as it may be shown: its last part if it can be printed, else its rank.
fn shown(path: &str, rank: u64) -> String {
    let name = base(path);
    // Marks that reorder or hide text would let a name pass for another.
    let hidden = |c: char| matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    let printable = !name.is_empty()
        && name.chars().count() <= SHOWN_CHARS_MAX
        && !name.chars().any(|c| c.is_control() || hidden(c));
    if printable { format!("« {name} »") } else { format!("membre n° {rank}") }
}

/// Why a path is refused. Paths are never followed here, but an archive that holds such a one was
/// made to harm, or is not the one that was meant.
fn path_fault(path: &str) -> Option<&'static str> {
    let bytes = path.as_bytes();
    if bytes.iter().any(u8::is_ascii_control) {
        return Some("nom avec des caractères de contrôle");
    }
    if matches!(bytes.first(), Some(b'/' | b'\\')) {
        return Some("chemin absolu");
    }
    if matches!(bytes, [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Some("chemin avec une lettre de lecteur");
    }
    if path.split(['/', '\\']).any(|part| part == "..") {
        return Some("chemin qui remonte d'un dossier (« .. »)");
    }
    matches!(base(path), "" | ".").then_some("nom vide")
}

/// Members that are never data.
fn is_ignored(path: &str) -> bool {
    let name = base(path);
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    path.split(['/', '\\']).any(|part| part == "__MACOSX")
        || name.starts_with("._")
        || [".DS_Store", "Thumbs.db"].iter().any(|n| name.eq_ignore_ascii_case(n))
        || ["dtd", "md5", "sha256"].iter().any(|s| suffix.eq_ignore_ascii_case(s))
}

/// What a header says a member is.
enum Nature {
    File,
    Folder,
    Refused(&'static str),
}

/// The walk over one archive: what was met, and the visit.
struct Walk<'v> {
    limits: &'v ArchiveLimits,
    visit: Visit<'v>,
    seen: BTreeSet<String>,
    members: u64,
    visited: u64,
    faults: Vec<Fault>,
    ignored: Vec<String>,
}

impl<'v> Walk<'v> {
    fn new(limits: &'v ArchiveLimits, visit: Visit<'v>) -> Self {
        Walk {
            limits,
            visit,
            seen: BTreeSet::new(),
            members: 0,
            visited: 0,
            faults: Vec::new(),
            ignored: Vec::new(),
        }
    }

    fn outcome(mut self, kind: Kind, (sha256, bytes): (Digest, u64)) -> Outcome {
        let more = self.faults.len().saturating_sub(FAULTS_MAX);
        if more > 0 {
            self.faults.truncate(FAULTS_MAX);
            if let Some(last) = self.faults.last_mut() {
                last.message.push_str(&format!(" (et {} autres constats)", thousands(more as u64)));
            }
        }
        Outcome { kind, sha256, bytes, visited: self.visited, refusals: self.faults, ignored: self.ignored }
    }

    /// Judges a member by its header: whether it is to be read. Faults are kept, so that one pass
    /// tells them all.
    fn admit(&mut self, path: &str, nature: Nature) -> Result<bool, Fault> {
        self.members += 1;
        if self.members > self.limits.members_max {
            return Err(Fault::limit(format!("plus de {} membres", thousands(self.limits.members_max))));
        }
        let shown = shown(path, self.members);
        if path.len() > self.limits.name_bytes_max {
            self.faults.push(Fault::limit(format!("{shown} : nom trop long")));
            return Ok(false);
        }
        let folder = matches!(nature, Nature::Folder);
        let current = folder && path.trim_end_matches(['/', '\\']) == ".";
        let why = match nature {
            Nature::Refused(why) => Some(why),
            _ if current => None,
            _ => path_fault(path),
        };
        if let Some(why) = why {
            self.faults.push(Fault::unsafe_member(&shown, why));
            return Ok(false);
        }
        if folder || is_ignored(path) {
            self.ignored.push(shown);
            return Ok(false);
        }
        // The name is all that a contract sees: the same name in two folders is a duplicate too.
        if !self.seen.insert(base(path).to_lowercase()) {
            self.faults.push(Fault::unsafe_member(&shown, "deux membres portent ce nom"));
            return Ok(false);
        }
        Ok(true)
    }

    /// Visits a member, then reads what the visit left of it.
    fn member(&mut self, path: &str, input: &mut (dyn Read + Send)) -> Result<(), Stop> {
        let mut head = [0; BLOCK];
        let shown = shown(path, self.members.max(1));
        let (n, failed) = fill(input, &mut head);
        let head = head.get(..n).unwrap_or_default();
        if let Some(e) = failed {
            return Err(Stop::from(e).about(&shown));
        }
        if kind(head) != Kind::Plain {
            let message = format!("{shown} : archive dans l'archive, elle n'est pas ouverte");
            self.faults.push(Fault::broken(message));
            return drain(input).map(|_| ()).map_err(|e| Stop::from(e).about(&shown));
        }
        let mut member =
            Member { inner: Cursor::new(head).chain(input), out: 0, limits: self.limits, shown, fault: None };
        let visited = self.call(base(path), &mut member);
        if let Some(fault) = member.fault {
            return Err(fault.into());
        }
        visited?;
        drain(&mut member)?;
        Ok(())
    }

    fn call(&mut self, name: &str, input: &mut (dyn Read + Send)) -> Result<(), Failure> {
        self.visited += 1;
        (self.visit)(name, Box::new(input)).map_err(Failure::Visit)
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Stop::Failure(failure)
    }
}

/// A member's bytes. It keeps the fault that it told, so that a visit cannot lose it.
struct Member<'a, R> {
    inner: R,
    out: u64,
    limits: &'a ArchiveLimits,
    shown: String,
    fault: Option<Fault>,
}

impl<R: Read> Read for Member<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone().into());
        }
        let told = match self.inner.read(buf) {
            Ok(n) => {
                self.out += n as u64;
                if self.out <= self.limits.member_bytes_max {
                    return Ok(n);
                }
                self.limits.too_big(&self.shown)
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => return Err(e),
            Err(e) => match Stop::from(e).about(&self.shown) {
                Stop::Fault(fault) => fault,
                Stop::Failure(Failure::System(e)) => return Err(e),
                Stop::Failure(Failure::Visit(e)) => return Err(io::Error::other(e)),
            },
        };
        self.fault = Some(told.clone());
        Err(told.into())
    }
}

/// All that comes out of a compressed stream, headers of a tar included.
struct Metered<'a, R> {
    inner: R,
    out: u64,
    unpacked_max: u64,
    limits: &'a ArchiveLimits,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.out += n as u64;
        match self.out {
            out if out > self.limits.total_bytes_max => Err(self.limits.too_much().into()),
            out if out > self.unpacked_max => Err(self.limits.bomb().into()),
            _ => Ok(n),
        }
    }
}

/// Exactly so many bytes: fewer are an error.
struct Exact<'a> {
    inner: &'a mut (dyn Read + Send),
    left: u64,
}

impl Read for Exact<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let Some(buf) = buf.get_mut(..most).filter(|b| !b.is_empty()) else { return Ok(0) };
        match self.inner.read(buf)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            n => {
                self.left = self.left.saturating_sub(n as u64);
                Ok(n)
            }
        }
    }
}
