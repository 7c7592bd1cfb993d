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

use crate::codes::Code;
use crate::domain::{Digest, DigestReader};
use crate::error::{Error, IoContext, Result};
use crate::french::thousands;
use flate2::Crc;
use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

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
        Kind::Plain => digested(input, &mut walk, |input, walk| Ok(walk.call(name, input)?))?,
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
                walk.faults.push(changed());
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
        walk.faults.push(changed());
    }
    Ok(walk.outcome(kind, (sha256, bytes)))
}

fn changed() -> Fault {
    Fault::broken("le fichier a changé pendant la lecture")
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

/// What extension headers say of the member after them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    any: bool,
}

/// Members of a tar, POSIX and GNU. Strict where two readers could differ: a header whose sum is
/// wrong, bytes after the end, an end that is missing.
fn walk_tar(input: &mut (impl BufRead + Send), walk: &mut Walk<'_>) -> Result<(), Stop> {
    let mut ahead = Extension::default();
    loop {
        let mut block = [0; BLOCK];
        match fill(input, &mut block) {
            (_, Some(e)) => return Err(e.into()),
            (BLOCK, None) => {}
            _ => return Err(Fault::broken("l'archive tar est coupée : la marque de fin manque").into()),
        }
        if block.iter().all(|b| *b == 0) {
            return if ahead.any { Err(bad_header()) } else { only_zeros(input) };
        }
        let header = tar::Header::from_byte_slice(&block);
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(i, b)| u32::from(if (148..156).contains(&i) { b' ' } else { *b }))
            .sum();
        let (Ok(told), Ok(size)) = (header.cksum(), header.entry_size()) else { return Err(bad_header()) };
        if told != sum {
            return Err(bad_header());
        }
        let nature = match header.entry_type().as_byte() {
            b'0' | b'7' | 0 => Nature::File,
            b'5' => Nature::Folder,
            b'1' => Nature::Refused("lien physique"),
            b'2' => Nature::Refused("lien symbolique"),
            b'3' | b'4' | b'6' => Nature::Refused("périphérique ou tube"),
            b'S' => Nature::Refused("fichier creux"),
            mark @ (b'L' | b'K' | b'x' | b'g') => {
                extend(&mut ahead, mark, size, input)?;
                continue;
            }
            _ => Nature::Refused("ni fichier ni dossier"),
        };
        let ahead = std::mem::take(&mut ahead);
        let size = ahead.size.unwrap_or(size);
        let path = text_of(ahead.path.as_deref().unwrap_or(&header.path_bytes()));
        let nature = match nature {
            Nature::File if path.ends_with('/') => Nature::Folder,
            nature => nature,
        };
        if matches!(nature, Nature::Folder) && size > 0 {
            return Err(bad_header());
        }
        let admitted = walk.admit(&path, nature)?;
        let mut content = Exact { inner: &mut *input, left: size };
        if admitted {
            walk.member(&path, &mut content)?;
        }
        drain(&mut content)?;
        pad(size, input)?;
    }
}

fn bad_header() -> Stop {
    Fault::broken("l'archive tar est abîmée : un en-tête est faux").into()
}

/// Passes over the bytes that fill the last block.
fn pad(size: u64, input: &mut (dyn Read + Send)) -> Result<(), Stop> {
    let left = size.next_multiple_of(BLOCK as u64) - size;
    drain(&mut Exact { inner: input, left })?;
    Ok(())
}

/// Long names and PAX records, which bear on the next member.
fn extend(ahead: &mut Extension, mark: u8, size: u64, input: &mut (dyn Read + Send)) -> Result<(), Stop> {
    if size > EXTENSION_BYTES_MAX {
        return Err(Fault::limit("un en-tête de l'archive tar n'a pas une taille normale").into());
    }
    let mut content = Vec::new();
    Exact { inner: &mut *input, left: size }.read_to_end(&mut content)?;
    pad(size, input)?;
    ahead.any |= mark != b'g';
    match mark {
        b'L' => {
            let end = content.iter().position(|b| *b == 0).unwrap_or(content.len());
            content.truncate(end);
            ahead.path = Some(content);
        }
        b'x' | b'g' => {
            for record in tar::PaxExtensions::new(&content) {
                let record = record.map_err(|_| bad_header())?;
                match (record.key_bytes(), mark) {
                    (b"path", b'x') => ahead.path = Some(record.value_bytes().to_vec()),
                    (b"size", b'x') => {
                        let size = record.value().ok().and_then(|v| v.parse().ok());
                        ahead.size = Some(size.ok_or_else(bad_header)?);
                    }
                    // For all members at once: no tool writes that.
                    (b"path" | b"size", _) => return Err(bad_header()),
                    (key, _) if key.starts_with(b"GNU.sparse") => {
                        return Err(
                            Fault::broken("fichier creux dans l'archive tar : il n'est pas lu").into()
                        );
                    }
                    _ => {}
                }
            }
        }
        // A long link name: the link itself is refused.
        _ => {}
    }
    Ok(())
}

/// After the end of a tar there are only zeros.
fn only_zeros(input: &mut impl BufRead) -> Result<(), Stop> {
    loop {
        let bytes = match input.fill_buf() {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        };
        if bytes.iter().any(|b| *b != 0) {
            return Err(Fault::broken("l'archive tar a des octets après sa fin").into());
        }
        match bytes.len() {
            0 => return Ok(()),
            n => input.consume(n),
        }
    }
}

/// Members of a zip. Nothing is read of an archive whose directory has a fault.
fn walk_zip<S: Read + Seek + Send>(input: &mut S, length: u64, walk: &mut Walk<'_>) -> Result<(), Stop> {
    let limits = walk.limits;
    let directory = directory(input, length, limits)?;
    let mut zip = ZipArchive::new(BufReader::new(input)).map_err(zip_stop)?;
    if zip.offset() != 0
        || zip.central_directory_start() != directory.start
        || zip.len() as u64 > directory.entries
    {
        return Err(bad_directory());
    }
    if zip.has_duplicate_names() {
        let fault = Fault { code: Code::ArchiveUnsafe, message: "deux membres portent le même nom".into() };
        return Err(fault.into());
    }
    let (mut total, mut admitted) = (0_u64, Vec::new());
    for i in 0..zip.len() {
        let entry = zip.by_index_data(i).map_err(zip_stop)?;
        let path = entry.name().map_err(zip_stop)?;
        let nature = match entry.unix_mode().unwrap_or_default() & 0o170_000 {
            _ if entry.encrypted() => Nature::Refused("membre chiffré"),
            0o120_000 => Nature::Refused("lien symbolique"),
            0 | 0o040_000 | 0o100_000 if path.ends_with(['/', '\\']) => Nature::Folder,
            0 | 0o100_000 => Nature::File,
            0o040_000 => Nature::Folder,
            _ => Nature::Refused("périphérique ou tube"),
        };
        if !walk.admit(&path, nature)? {
            continue;
        }
        let shown = shown(&path, walk.members);
        let (size, packed) = (entry.size(), entry.compressed_size());
        total = total.saturating_add(size);
        if size > limits.member_bytes_max {
            walk.faults.push(limits.too_big(&shown));
        } else if size > limits.unpacked_max(packed) {
            walk.faults.push(limits.bomb());
        }
        let deflated = match entry.compression() {
            CompressionMethod::Stored => false,
            CompressionMethod::Deflated => true,
            _ => {
                let message = format!("{shown} : compression inconnue, seule la compression deflate est lue");
                walk.faults.push(Fault::broken(message));
                continue;
            }
        };
        let crc = entry.crc32();
        admitted.push((path.into_owned(), Entry { index: i, size, packed, crc, deflated }));
    }
    if total > limits.total_bytes_max {
        walk.faults.push(limits.too_much());
    } else if total > limits.unpacked_max(length) {
        walk.faults.push(limits.bomb());
    }
    if !walk.faults.is_empty() {
        return Ok(());
    }
    zip.validate_header_consistency().map_err(zip_stop)?;
    for (path, entry) in admitted {
        let raw = zip.by_index_raw(entry.index).map_err(zip_stop)?;
        let packed = if entry.deflated {
            Packed::Deflated(DeflateDecoder::new(BufReader::with_capacity(64 << 10, raw)))
        } else {
            Packed::Stored(raw)
        };
        match walk.member(&path, &mut Unpacked { packed, entry, out: 0, crc: Crc::new() }) {
            // Members are independent: the others are still judged.
            Err(Stop::Fault(fault)) if fault.code == Code::ArchiveBroken => walk.faults.push(fault),
            other => other?,
        }
    }
    Ok(())
}

/// The crate's messages are English and may quote names: only the system's errors pass.
fn zip_stop(e: zip::result::ZipError) -> Stop {
    match e {
        zip::result::ZipError::Io(e) if e.raw_os_error().is_some() => Stop::Failure(Failure::System(e)),
        _ => bad_directory(),
    }
}

fn bad_directory() -> Stop {
    Fault::broken("le répertoire du zip est coupé, abîmé ou contredit les membres").into()
}

/// What the central directory says of a member.
struct Entry {
    index: usize,
    size: u64,
    packed: u64,
    crc: u32,
    deflated: bool,
}

/// Where the central directory is.
struct Directory {
    start: u64,
    entries: u64,
}

/// Finds the end of a zip and bounds its directory before anything of it is loaded. Strict: the
/// directory, its end record and the comment are the last bytes of the file, so that every reader
/// finds the same one.
fn directory<S: Read + Seek>(input: &mut S, length: u64, limits: &ArchiveLimits) -> Result<Directory, Stop> {
    const END: u64 = 22;
    const END64: u64 = 56;
    const LOCATOR: u64 = 20;
    let tail_start = length.saturating_sub(END + 0xFFFF);
    let tail = bytes_at(input, tail_start, length - tail_start)?;
    let at = tail.windows(4).rposition(|w| w == b"PK\x05\x06").ok_or_else(bad_directory)?;
    let end = tail.get(at..).unwrap_or_default();
    let mut end_start = tail_start + at as u64;
    let number = |bytes: &[u8], at: usize, width: usize| {
        let field = bytes.get(at..at + width)?;
        Some(field.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b)))
    };
    let field = |at, width| number(end, at, width).ok_or_else(bad_directory);
    if END + field(20, 2)? != end.len() as u64 {
        return Err(Fault::broken("le zip a des octets après sa fin").into());
    }
    let (mut entries, mut size, mut start) = (field(10, 2)?, field(12, 4)?, field(16, 4)?);
    let locator = match end_start.checked_sub(LOCATOR) {
        Some(at) => bytes_at(input, at, LOCATOR)?,
        None => Vec::new(),
    };
    if locator.starts_with(b"PK\x06\x07") {
        let locator_start = end_start - LOCATOR;
        end_start = number(&locator, 8, 8).ok_or_else(bad_directory)?;
        if end_start.checked_add(END64).is_none_or(|e| e > locator_start) {
            return Err(bad_directory());
        }
        let end64 = bytes_at(input, end_start, END64)?;
        let field = |at, width| number(&end64, at, width).ok_or_else(bad_directory);
        let whole = field(4, 8)?.saturating_add(12).saturating_add(end_start);
        if !end64.starts_with(b"PK\x06\x06") || whole != locator_start || locator_start - end_start > 0xFFFF {
            return Err(bad_directory());
        }
        (entries, size, start) = (field(32, 8)?, field(40, 8)?, field(48, 8)?);
    }
    if entries > limits.members_max {
        return Err(Fault::limit(format!("plus de {} membres", thousands(limits.members_max))).into());
    }
    if size > DIRECTORY_BYTES_MAX {
        return Err(Fault::limit("le répertoire du zip n'a pas une taille normale").into());
    }
    if start.checked_add(size) != Some(end_start) {
        return Err(bad_directory());
    }
    input.rewind()?;
    Ok(Directory { start, entries })
}

fn bytes_at<S: Read + Seek>(input: &mut S, at: u64, length: u64) -> Result<Vec<u8>, Stop> {
    input.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length { Err(bad_directory()) } else { Ok(bytes) }
}

enum Packed<R> {
    Stored(R),
    Deflated(DeflateDecoder<BufReader<R>>),
}

/// A member of a zip, whose sizes and checksum are what the directory says or it is broken.
struct Unpacked<R> {
    packed: Packed<R>,
    entry: Entry,
    out: u64,
    crc: Crc,
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let n = match &mut self.packed {
            Packed::Stored(r) => r.read(buf)?,
            Packed::Deflated(d) => d.read(buf)?,
        };
        self.out += n as u64;
        self.crc.update(buf.get(..n).unwrap_or_default());
        let consumed = match &self.packed {
            Packed::Stored(_) => self.out,
            Packed::Deflated(d) => d.total_in(),
        };
        let Entry { size, packed, crc, .. } = self.entry;
        if self.out > size || n == 0 && (self.out != size || consumed != packed) {
            return Err(Fault::broken("le zip annonce une autre taille que la vraie").into());
        }
        if n == 0 && self.crc.sum() != crc {
            return Err(Fault::broken("somme de contrôle fausse").into());
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    fn limits() -> ArchiveLimits {
        ArchiveLimits::default()
    }

    type Members = Vec<(String, Vec<u8>)>;

    /// Reads everything; a visit passes a reader's error on, as a parser does.
    fn read_with(bytes: &[u8], name: &str, limits: &ArchiveLimits) -> (Outcome, Members) {
        let mut members = Vec::new();
        let mut visit = |name: &str, mut input: Box<dyn Read + Send + '_>| {
            let mut content = Vec::new();
            input.read_to_end(&mut content).at(name)?;
            members.push((name.to_owned(), content));
            Ok(())
        };
        let outcome = visit_members(&mut Cursor::new(bytes), name, limits, &mut visit).unwrap();
        (outcome, members)
    }

    fn read(bytes: &[u8], name: &str) -> (Outcome, Members) {
        read_with(bytes, name, &limits())
    }

    fn sound(bytes: &[u8], name: &str) -> Members {
        let (outcome, members) = read(bytes, name);
        assert_eq!(outcome.refusals, []);
        assert_eq!(outcome.bytes, bytes.len() as u64);
        members
    }

    /// The whole list of faults, and that no member was given.
    fn refused(bytes: &[u8]) -> Vec<(Code, String)> {
        let (outcome, members) = read(bytes, "lot");
        assert!(members.is_empty(), "{:?}", members.len());
        assert_eq!(outcome.visited, 0);
        outcome.refusals.into_iter().map(|f| (f.code, f.message)).collect()
    }

    fn broken(bytes: &[u8]) {
        let (outcome, _) = read(bytes, "lot.gz");
        assert!(!outcome.refusals.is_empty());
        assert!(outcome.refusals.iter().all(|f| f.code == Code::ArchiveBroken), "{:?}", outcome.refusals);
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut out = GzEncoder::new(Vec::new(), Compression::best());
        out.write_all(bytes).unwrap();
        out.finish().unwrap()
    }

    fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = tar::Builder::new(Vec::new());
        for (name, content) in members {
            tar_add(&mut out, name, content, tar::EntryType::Regular);
        }
        out.into_inner().unwrap()
    }

    /// Writes the name as it is: the crate refuses the ones that are tested.
    fn tar_add(out: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8], kind: tar::EntryType) {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(kind);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name_literal("/etc/passwd").unwrap();
        }
        header.set_cksum();
        out.append(&header, content).unwrap();
    }

    fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
            out.start_file(*name, options).unwrap();
            out.write_all(content).unwrap();
        }
        out.finish().unwrap().into_inner()
    }

    fn positions(bytes: &[u8], mark: &[u8]) -> Vec<usize> {
        bytes.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark).map(|(i, _)| i).collect()
    }

    /// Replaces a text everywhere by one of the same length.
    fn patched(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
        assert_eq!(from.len(), to.len());
        let mut out = bytes.to_vec();
        for at in positions(bytes, from.as_bytes()) {
            out[at..at + to.len()].copy_from_slice(to.as_bytes());
        }
        out
    }

    /// Patches a field of the local (`local`) and of the central (`central`) header of member 0.
    fn patch_field(bytes: &mut [u8], local: Option<usize>, central: Option<usize>, field: &[u8]) {
        for (mark, at) in [(b"PK\x03\x04", local), (b"PK\x01\x02", central)] {
            if let Some(at) = at {
                let at = positions(bytes, mark)[0] + at;
                bytes[at..at + field.len()].copy_from_slice(field);
            }
        }
    }

    fn texts(members: &Members) -> Vec<(&str, &str)> {
        members.iter().map(|(n, c)| (n.as_str(), std::str::from_utf8(c).unwrap())).collect()
    }

    #[test]
    fn plain_files_are_never_archives() {
        let mut ustar = b"a".repeat(257);
        ustar.extend(b"ustar;une;colonne;qui;tombe;mal\n");
        for plain in [
            b"".as_slice(),
            b"<?xml version=\"1.0\"?><a/>",
            b"\xEF\xBB\xBFa;b\n",
            b"PAR1\x15\x04",
            b"PK;NOM\n1;2\n",
            b"BZh;9;1\n",
            b"7z;Rar!;x\n",
            b"\x1F",
            b"\x1F\x8B",
            &[0; 2000],
            &ustar,
        ] {
            assert_eq!(kind(plain), Kind::Plain, "{plain:?}");
            assert_eq!(sound(plain, "x.gz"), [("x.gz".to_owned(), plain.to_vec())]);
        }
    }

    #[test]
    fn each_kind_is_told_by_its_bytes() {
        let tar = tar_of(&[("a.csv", b"1\n")]);
        assert_eq!(kind(&tar), Kind::Tar);
        assert_eq!(kind(&gz(&tar)), Kind::TarGz);
        assert_eq!(kind(&gz(b"a;b\n")), Kind::Gzip);
        assert_eq!(kind(&zip_of(&[("a", b"1")])), Kind::Zip);
        assert_eq!(kind(&zip_of(&[])), Kind::Zip);
        assert_eq!(kind(b"\xFD7zXZ\0\0"), Kind::Foreign("xz"));
        assert_eq!(kind(b"BZh91AY&SY"), Kind::Foreign("bzip2"));
        let mut gnu = tar::Header::new_gnu();
        gnu.set_cksum();
        assert_eq!(kind(gnu.as_bytes()), Kind::Tar);
        let told = [(Code::ArchiveBroken, "archive 7z : seuls gz, tar.gz et zip sont lus".to_owned())];
        assert_eq!(refused(b"7z\xBC\xAF\x27\x1C\0\0"), told);
    }

    #[test]
    fn members_of_each_kind_are_visited_in_order() {
        let members: &[(&str, &[u8])] = &[("d/a.csv", b"1\n"), ("./b.csv", b""), ("c.csv", b"3\n")];
        let expected = [("a.csv", "1\n"), ("b.csv", ""), ("c.csv", "3\n")];
        for bytes in [tar_of(members), gz(&tar_of(members)), zip_of(members)] {
            assert_eq!(texts(&sound(&bytes, "lot")), expected);
        }
    }

    #[test]
    fn digest_and_size_are_those_of_the_delivered_file() {
        let tar = tar_of(&[("a.csv", b"1\n")]);
        for bytes in [gz(b"a\n"), tar.clone(), gz(&tar), zip_of(&[("a", b"1")]), b"a\n".to_vec()] {
            let mut digest = DigestReader::new(bytes.as_slice());
            drain(&mut digest).unwrap();
            let (outcome, _) = read(&bytes, "lot");
            assert_eq!((outcome.sha256, outcome.bytes), digest.finish());
        }
    }

    #[test]
    fn a_file_on_disk_is_read_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eleves.csv.gz");
        File::create(&path).unwrap().write_all(&gz(b"a;b\n")).unwrap();
        let mut names = Vec::new();
        let outcome = each_member(&path, &limits(), &mut |name, _| {
            names.push(name.to_owned());
            Ok(())
        });
        let outcome = outcome.unwrap();
        assert_eq!((outcome.kind, outcome.visited, names), (Kind::Gzip, 1, vec!["eleves.csv".to_owned()]));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        let missing = each_member(&dir.path().join("absent"), &limits(), &mut |_, _| Ok(()));
        assert!(matches!(missing, Err(Error::Io { .. })));
    }

    #[test]
    fn gzip_names_its_member() {
        for (file, header, expected) in [
            ("x.csv.gz", None, "x.csv"),
            ("x.csv.GZ", Some("y.csv"), "x.csv"),
            ("lot", Some("dossier/y.csv"), "y.csv"),
            ("lot", Some("../../etc/passwd"), "passwd"),
            ("lot", Some(".."), "lot"),
            ("lot", Some("a\nb"), "lot"),
            ("lot.bin", None, "lot.bin"),
            (".gz", None, ".gz"),
        ] {
            assert_eq!(gzip_name(file, header.map(str::as_bytes)), expected);
        }
        let mut out = flate2::GzBuilder::new().filename("y.csv").write(Vec::new(), Compression::fast());
        out.write_all(b"1\n").unwrap();
        assert_eq!(texts(&sound(&out.finish().unwrap(), "lot")), [("y.csv", "1\n")]);
    }

    #[test]
    fn concatenated_gzip_is_read_whole() {
        let bytes = [gz(b"1\n"), gz(b""), gz(b"2\n")].concat();
        assert_eq!(texts(&sound(&bytes, "a.csv.gz")), [("a.csv", "1\n2\n")]);
    }

    #[test]
    fn damaged_gzip_is_broken() {
        let noise: Vec<u8> = noise(7).take(5000).collect();
        let whole = gz(&noise);
        for cut in [3, 10, 11, 600, whole.len() - 9, whole.len() - 4, whole.len() - 1] {
            broken(&whole[..cut]);
        }
        let mut crc = whole.clone();
        let at = crc.len() - 6;
        crc[at] ^= 1;
        broken(&crc);
        broken(&[whole.clone(), b"reste".to_vec()].concat());
        let (outcome, _) = read(&whole[..600], "e.csv.gz");
        let told: Vec<_> = outcome.refusals.iter().map(|f| f.message.as_str()).collect();
        assert_eq!(told, ["« e.csv » : le fichier est coupé avant sa fin"]);
    }

    #[test]
    fn damaged_tar_is_broken_before_any_visit() {
        let content: Vec<u8> = noise(3).take(3000).collect();
        let whole = tar_of(&[("a.csv", b"1\n"), ("b.csv", &content)]);
        for cut in [700, 1030, 1600, 3000, whole.len() - 1024] {
            for bytes in [whole[..cut].to_vec(), gz(&whole[..cut])] {
                assert_eq!(refused(&bytes)[0].0, Code::ArchiveBroken, "{cut}");
            }
        }
        let mut header = whole.clone();
        header[1024 + 3] ^= 1;
        assert_eq!(refused(&header)[0].1, "l'archive tar est abîmée : un en-tête est faux");
        let after = [whole.clone(), b"x".to_vec()].concat();
        assert_eq!(refused(&after)[0].1, "l'archive tar a des octets après sa fin");
        let mut crc = gz(&whole);
        let at = crc.len() - 6;
        crc[at] ^= 1;
        assert_eq!(refused(&crc)[0].0, Code::ArchiveBroken);
        sound(&[whole, vec![0; 10_000]].concat(), "lot");
    }

    #[test]
    fn damaged_zip_is_broken() {
        let content: Vec<u8> = noise(5).take(3000).collect();
        let whole = zip_of(&[("a.csv", b"1\n"), ("b.csv", &content)]);
        for cut in [4, 30, 100, 2000, whole.len() - 30, whole.len() - 1] {
            assert_eq!(refused(&whole[..cut])[0].0, Code::ArchiveBroken, "{cut}");
        }
        assert_eq!(
            refused(&[whole.clone(), b"x".to_vec()].concat())[0].1,
            "le zip a des octets après sa fin"
        );
        // The content of the second member only: the first is still read.
        let mut bytes = whole;
        let at = positions(&bytes, b"PK\x03\x04")[1] + 1000;
        bytes[at] ^= 0x55;
        let (outcome, members) = read(&bytes, "lot");
        assert_eq!(texts(&members), [("a.csv", "1\n")]);
        assert_eq!(outcome.refusals.len(), 1);
        assert_eq!(outcome.refusals[0].code, Code::ArchiveBroken);
        assert!(outcome.refusals[0].message.starts_with("« b.csv » : "));
    }

    #[test]
    fn every_broken_member_of_a_zip_is_told() {
        let mut bytes = zip_of(&[("a.csv", b"1\n"), ("b.csv", b"2\n"), ("c.csv", b"3\n")]);
        for i in [0, 2] {
            for (mark, at) in [(b"PK\x03\x04", 14), (b"PK\x01\x02", 16)] {
                let at = positions(&bytes, mark)[i] + at;
                bytes[at] ^= 1;
            }
        }
        let (outcome, members) = read(&bytes, "lot");
        assert_eq!(texts(&members), [("b.csv", "2\n")]);
        let told: Vec<_> = outcome.refusals.iter().map(|f| f.message.as_str()).collect();
        assert_eq!(told, ["« a.csv » : somme de contrôle fausse", "« c.csv » : somme de contrôle fausse"]);
    }

    #[test]
    fn zip_sizes_that_lie_are_broken() {
        let whole = zip_of(&[("a.csv", &b"1;2;3\n".repeat(200))]);
        let told = "le répertoire du zip est coupé, abîmé ou contredit les membres";
        let lie = |local: Option<usize>, central: Option<usize>, value: u32| {
            let mut bytes = whole.clone();
            patch_field(&mut bytes, local, central, &value.to_le_bytes());
            read(&bytes, "lot").0.refusals
        };
        // Local against central: unpacked size, packed size, checksum.
        for (local, central) in [(22, 24), (18, 20), (14, 16)] {
            assert_eq!(lie(Some(local), None, 7)[0].message, told);
            assert_eq!(lie(None, Some(central), 7)[0].message, told);
        }
        // Both say the same, which is not the truth.
        let real = "« a.csv » : le zip annonce une autre taille que la vraie";
        for size in [0, 1, 1199, 1201, 2000] {
            assert_eq!(lie(Some(22), Some(24), size)[0].message, real);
        }
        for packed in [1, 5] {
            assert_eq!(lie(Some(18), Some(20), packed)[0].code, Code::ArchiveBroken);
        }
        assert_eq!(lie(Some(18), Some(20), 60_000)[0].message, told);
    }

    #[test]
    fn zip_members_that_share_bytes_are_broken() {
        // Both entries of the directory point to the first member.
        let mut bytes = zip_of(&[("a.csv", b"1\n"), ("b.csv", b"1\n")]);
        let at = positions(&bytes, b"PK\x01\x02")[1] + 42;
        bytes[at..at + 4].copy_from_slice(&[0; 4]);
        assert_eq!(refused(&bytes)[0].0, Code::ArchiveBroken);
    }

    #[test]
    fn unsafe_paths_refuse_the_archive_before_any_visit() {
        for (path, why) in [
            ("/tmp/x.csv", "chemin absolu"),
            ("\\tmp\\x.csv", "chemin absolu"),
            ("C:/tmp/x.csv", "chemin avec une lettre de lecteur"),
            ("../../x.csv", "chemin qui remonte d'un dossier (« .. »)"),
            ("d/../../x.csv", "chemin qui remonte d'un dossier (« .. »)"),
            ("d\\..\\x.csv", "chemin qui remonte d'un dossier (« .. »)"),
        ] {
            let expected = [(Code::ArchiveUnsafe, format!("« x.csv » : {why}"))];
            let tar = tar_of(&[("a.csv", b"1\n"), (path, b"2\n")]);
            let neutral = "_".repeat(path.len());
            let zip = patched(&zip_of(&[("a.csv", b"1\n"), (&neutral, b"2\n")]), &neutral, path);
            for bytes in [tar.clone(), gz(&tar), zip] {
                assert_eq!(refused(&bytes), expected, "{path}");
            }
        }
    }

    #[test]
    fn links_and_devices_refuse_the_archive_before_any_visit() {
        use tar::EntryType as T;
        for (kind, why) in [
            (T::Symlink, "lien symbolique"),
            (T::Link, "lien physique"),
            (T::Char, "périphérique ou tube"),
            (T::Block, "périphérique ou tube"),
            (T::Fifo, "périphérique ou tube"),
            (T::GNUSparse, "fichier creux"),
            (T::new(b'Z'), "ni fichier ni dossier"),
        ] {
            let mut out = tar::Builder::new(Vec::new());
            tar_add(&mut out, "a.csv", b"1\n", T::Regular);
            tar_add(&mut out, "x.csv", b"", kind);
            let bytes = out.into_inner().unwrap();
            let expected = [(Code::ArchiveUnsafe, format!("« x.csv » : {why}"))];
            assert_eq!(refused(&bytes), expected);
            assert_eq!(refused(&gz(&bytes)), expected);
        }
        let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
        out.start_file("a.csv", SimpleFileOptions::default()).unwrap();
        out.add_symlink("x.csv", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        let bytes = out.finish().unwrap().into_inner();
        assert_eq!(refused(&bytes), [(Code::ArchiveUnsafe, "« x.csv » : lien symbolique".to_owned())]);
    }

    #[test]
    fn encrypted_zip_is_refused() {
        let mut bytes = zip_of(&[("a.csv", b"1\n"), ("x.csv", b"2\n")]);
        for (mark, at) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
            let at = positions(&bytes, mark)[1] + at;
            bytes[at] |= 1;
        }
        assert_eq!(refused(&bytes), [(Code::ArchiveUnsafe, "« x.csv » : membre chiffré".to_owned())]);
    }

    #[test]
    fn unknown_compression_is_told() {
        let mut bytes = zip_of(&[("x.csv", b"2\n")]);
        patch_field(&mut bytes, Some(8), Some(10), &[12, 0]);
        let told = "« x.csv » : compression inconnue, seule la compression deflate est lue";
        assert_eq!(refused(&bytes), [(Code::ArchiveBroken, told.to_owned())]);
    }

    #[test]
    fn duplicate_names_are_refused() {
        let told = [(Code::ArchiveUnsafe, "« X.csv » : deux membres portent ce nom".to_owned())];
        let members: &[(&str, &[u8])] = &[("d/x.csv", b"1\n"), ("e/X.csv", b"2\n")];
        assert_eq!(refused(&tar_of(members)), told);
        assert_eq!(refused(&zip_of(members)), told);
        let same = patched(&zip_of(&[("x.csv", b"1"), ("y.csv", b"2")]), "y.csv", "x.csv");
        assert_eq!(refused(&same), [(Code::ArchiveUnsafe, "deux membres portent le même nom".to_owned())]);
    }

    #[test]
    fn litter_is_ignored_and_named() {
        let members: &[(&str, &[u8])] = &[
            ("__MACOSX/._a.csv", b"x"),
            ("d/.DS_Store", b"x"),
            ("e/.DS_Store", b"x"),
            ("thumbs.db", b"x"),
            ("ficAlimMENESR.DTD", b"x"),
            ("a.csv.md5", b"x"),
            ("a.csv.sha256", b"x"),
            ("a.csv", b"1\n"),
        ];
        let mut tar = tar::Builder::new(Vec::new());
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        tar_add(&mut tar, "./", b"", tar::EntryType::Directory);
        tar_add(&mut tar, "d/", b"", tar::EntryType::Directory);
        zip.add_directory("d", SimpleFileOptions::default()).unwrap();
        for (name, content) in members {
            tar_add(&mut tar, name, content, tar::EntryType::Regular);
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        let litter = [
            "« d »",
            "« ._a.csv »",
            "« .DS_Store »",
            "« .DS_Store »",
            "« thumbs.db »",
            "« ficAlimMENESR.DTD »",
            "« a.csv.md5 »",
            "« a.csv.sha256 »",
        ];
        let (tar, zip) = (tar.into_inner().unwrap(), zip.finish().unwrap().into_inner());
        for bytes in [gz(&tar), tar, zip] {
            let (outcome, members) = read(&bytes, "lot");
            assert_eq!(texts(&members), [("a.csv", "1\n")]);
            let ignored: Vec<_> = outcome.ignored.iter().filter(|n| *n != "« . »").collect();
            assert_eq!(ignored, litter);
            assert_eq!(outcome.refusals, []);
        }
    }

    #[test]
    fn nested_archives_are_told_and_not_opened() {
        let inner = zip_of(&[("a.csv", b"1\n")]);
        let told = |name: &str| {
            [(Code::ArchiveBroken, format!("« {name} » : archive dans l'archive, elle n'est pas ouverte"))]
        };
        for nested in [inner.clone(), gz(b"1\n"), tar_of(&[("a", b"1")]), b"\xFD7zXZ\0".to_vec()] {
            assert_eq!(refused(&tar_of(&[("x", &nested), ("b.csv", b"1")])), told("x"));
            assert_eq!(refused(&zip_of(&[("x", &nested)])), told("x"));
        }
        assert_eq!(refused(&gz(&inner)), told("lot"));
        assert_eq!(refused(&gz(&gz(b"1\n"))), told("lot"));
    }

    #[test]
    fn bombs_of_zeros_are_stopped() {
        let zeros = vec![0; 40 << 20];
        let bomb =
            (Code::ArchiveLimit, "le contenu décompressé dépasse 200 fois la taille du fichier".to_owned());
        assert_eq!(refused(&zip_of(&[("x.csv", &zeros)])), [bomb.clone(), bomb.clone()]);
        assert_eq!(refused(&gz(&tar_of(&[("x.csv", &zeros)]))), std::slice::from_ref(&bomb));
        // The zeros after the end of a tar, and those of a gzip, count too.
        assert_eq!(
            refused(&gz(&[tar_of(&[("x.csv", b"1")]), zeros.clone()].concat())),
            std::slice::from_ref(&bomb)
        );
        let mut out = 0;
        let mut visit = |_: &str, mut input: Box<dyn Read + Send + '_>| {
            let mut buf = vec![0; 1 << 16];
            loop {
                match input.read(&mut buf) {
                    Ok(n) => out += n,
                    // As the caller tells a bomb from a failing disk; the visit may even swallow it.
                    Err(e) => {
                        assert_eq!(fault(&e).unwrap().code, Code::ArchiveLimit);
                        return Ok(());
                    }
                }
            }
        };
        let outcome = visit_members(&mut Cursor::new(gz(&zeros)), "x", &limits(), &mut visit).unwrap();
        assert_eq!(outcome.refusals, [Fault { code: bomb.0, message: bomb.1 }]);
        assert!(out <= 16 << 20);
    }

    #[test]
    fn limits_are_kept() {
        let members: &[(&str, &[u8])] = &[("a.csv", b"12345"), ("b.csv", b"67890")];
        let tar = tar_of(members);
        let told = |limits: &ArchiveLimits, bytes: &[u8]| {
            let (outcome, members) = read_with(bytes, "lot", limits);
            assert!(members.is_empty());
            assert!(outcome.refusals.iter().all(|f| f.code == Code::ArchiveLimit));
            outcome.refusals.into_iter().map(|f| f.message).collect::<Vec<_>>()
        };
        for bytes in [&tar, &gz(&tar), &zip_of(members)] {
            let few = ArchiveLimits { members_max: 1, ..limits() };
            assert_eq!(told(&few, bytes), ["plus de 1 membres"]);
            let short = ArchiveLimits { name_bytes_max: 4, ..limits() };
            assert_eq!(told(&short, bytes), ["« a.csv » : nom trop long", "« b.csv » : nom trop long"]);
            let small = ArchiveLimits { member_bytes_max: 4, ..limits() };
            assert!(told(&small, bytes)[0].starts_with("« a.csv » : le contenu décompressé dépasse"));
            let little = ArchiveLimits { total_bytes_max: 9, ..limits() };
            assert_eq!(told(&little, bytes), ["le contenu décompressé dépasse 0 Mio"]);
        }
    }

    #[test]
    fn tar_extensions_are_bounded_and_understood() {
        let long = format!("dossier/{}.csv", "n".repeat(200));
        let mut out = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        out.append_data(&mut header, &long, b"1\n".as_slice()).unwrap();
        let pax = [("path", "d/é.csv".as_bytes()), ("size", b"3"), ("mtime", b"1.5")];
        out.append_pax_extensions(pax).unwrap();
        // The size of the header is not the one that counts.
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_cksum();
        out.append(&header, b"".as_slice()).unwrap();
        let mut bytes = out.into_inner().unwrap();
        let end = bytes.len() - 1024;
        let mut content = b"xyz".to_vec();
        content.resize(512, 0);
        bytes.splice(end..end, content);
        let expected =
            [(format!("{}.csv", "n".repeat(200)), b"1\n".to_vec()), ("é.csv".into(), b"xyz".to_vec())];
        assert_eq!(sound(&bytes, "lot"), expected);
        // A name too long to be shown is not.
        let (outcome, _) = read_with(&bytes, "lot", &ArchiveLimits { name_bytes_max: 100, ..limits() });
        assert_eq!(outcome.refusals[0].message, "membre n° 1 : nom trop long");

        for (key, value) in [("path", "../x"), ("path", "/x"), ("path", "a\0b")] {
            let mut out = tar::Builder::new(Vec::new());
            out.append_pax_extensions([(key, value.as_bytes())]).unwrap();
            tar_add(&mut out, "a.csv", b"1", tar::EntryType::Regular);
            assert_eq!(refused(&out.into_inner().unwrap())[0].0, Code::ArchiveUnsafe);
        }
        for (kind, size, code) in [
            (b'L', 2 << 20, Code::ArchiveLimit),
            (b'x', 2 << 20, Code::ArchiveLimit),
            (b'x', 5, Code::ArchiveBroken),
        ] {
            let mut out = tar::Builder::new(Vec::new());
            tar_add(&mut out, "a.csv", b"1", tar::EntryType::Regular);
            tar_add(&mut out, "e", &vec![b'n'; size], tar::EntryType::new(kind));
            assert_eq!(refused(&out.into_inner().unwrap())[0].0, code);
        }
    }

    #[test]
    fn a_member_left_unread_does_not_break_the_next() {
        let big: Vec<u8> = noise(9).take(300_000).collect();
        let members: &[(&str, &[u8])] = &[("a", &big), ("b", &big), ("c", b"3")];
        let tar = tar_of(members);
        for bytes in [gz(&tar), tar, zip_of(members)] {
            let mut seen = Vec::new();
            let mut visit = |name: &str, mut input: Box<dyn Read + Send + '_>| {
                if name == "b" {
                    input.read_exact(&mut [0; 700]).at(name)?;
                }
                seen.push(name.to_owned());
                Ok(())
            };
            let outcome = visit_members(&mut Cursor::new(bytes), "lot", &limits(), &mut visit).unwrap();
            assert_eq!((outcome.refusals, seen.concat()), (vec![], "abc".to_owned()));
        }
    }

    #[test]
    fn an_error_of_the_visit_stops_the_walk() {
        let bytes = zip_of(&[("a", b"1"), ("b", b"2")]);
        let mut visit = |_: &str, _: Box<dyn Read + Send + '_>| Err(Error::Usage("non".into()));
        let stopped = visit_members(&mut Cursor::new(bytes), "lot", &limits(), &mut visit);
        assert!(matches!(stopped, Err(Failure::Visit(Error::Usage(_)))));
    }

    /// A disk that fails is not the archive's fault.
    #[test]
    fn an_error_of_the_system_is_not_a_fault() {
        struct Failing(Cursor<Vec<u8>>, u64);
        impl Read for Failing {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                match self.0.position() >= self.1 {
                    true => Err(io::Error::from_raw_os_error(5)),
                    false => {
                        let n = buf.len().min(1000);
                        self.0.read(&mut buf[..n])
                    }
                }
            }
        }
        impl Seek for Failing {
            fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
                self.0.seek(to)
            }
        }
        let noise: Vec<u8> = noise(1).take(100_000).collect();
        for bytes in [gz(&noise), gz(&tar_of(&[("a", &noise)])), zip_of(&[("a", &noise)])] {
            let mut file = Failing(Cursor::new(bytes), 50_000);
            let read = visit_members(&mut file, "lot", &limits(), &mut |_, _| Ok(()));
            assert!(matches!(read, Err(Failure::System(_))));
        }
    }

    /// A file that grows or shrinks once its first pass is done.
    #[test]
    fn a_file_that_changes_is_broken() {
        struct Changing(Cursor<Vec<u8>>, Vec<u8>, u32);
        impl Read for Changing {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.read(buf)
            }
        }
        impl Seek for Changing {
            fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
                self.2 += u32::from(to == SeekFrom::Start(0));
                if self.2 == 3 {
                    self.0 = Cursor::new(self.1.clone());
                }
                self.0.seek(to)
            }
        }
        let first = tar_of(&[("a.csv", b"1\n"), ("b.csv", b"2\n")]);
        for second in [
            tar_of(&[("a.csv", b"1\n"), ("b.csv", b"3\n")]),
            tar_of(&[("a.csv", b"1\n")]),
            [first.clone(), vec![0; 512]].concat(),
        ] {
            let mut file = Changing(Cursor::new(first.clone()), second, 0);
            let outcome = visit_members(&mut file, "lot", &limits(), &mut |_, _| Ok(())).unwrap();
            assert!(outcome.refusals.contains(&changed()), "{:?}", outcome.refusals);
        }
    }

    #[test]
    fn faults_are_told_up_to_a_bound() {
        let names: Vec<String> = (0..50).map(|i| format!("../x{i}")).collect();
        let members: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), b"1".as_slice())).collect();
        let told = refused(&tar_of(&members));
        assert_eq!(told.len(), FAULTS_MAX);
        assert!(told[FAULTS_MAX - 1].1.ends_with(" (et 30 autres constats)"));
    }

    #[test]
    fn names_that_cannot_be_shown_are_not() {
        assert_eq!(shown("d/é.csv", 3), "« é.csv »");
        for name in ["", "a\u{7}", "a\u{202E}vsc.exe", &"n".repeat(81)] {
            assert_eq!(shown(name, 3), "membre n° 3");
        }
    }

    /// A small generator (xorshift): tests need no more.
    fn noise(seed: u64) -> impl Iterator<Item = u8> {
        let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        std::iter::repeat_with(move || {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            (x >> 32) as u8
        })
    }

    #[test]
    fn random_and_mutated_bytes_never_panic() {
        let members: &[(&str, &[u8])] = &[("d/a.csv", b"1;2\n3;4\n"), ("b.csv", b"5;6\n")];
        let tar = tar_of(members);
        let marks: [&[u8]; 5] = [b"\x1F\x8B\x08", b"PK\x03\x04", b"PK\x05\x06", b"ustar", b""];
        let seeds = [gz(&tar), gz(b"1;2\n"), zip_of(members), tar];
        let limits = ArchiveLimits { total_bytes_max: 1 << 20, ..limits() };
        let mut random = noise(42);
        let mut number = |below: usize| {
            let n = (0..4).fold(0_usize, |n, _| n << 8 | usize::from(random.next().unwrap()));
            n % below.max(1)
        };
        let (mut refused, mut longest) = (0, std::time::Duration::ZERO);
        for round in 0..100_000 {
            let mut bytes;
            if round % 4 == 0 {
                bytes = marks[number(marks.len())].to_vec();
                bytes.extend((0..number(300)).map(|_| number(256) as u8));
            } else {
                bytes = seeds[number(seeds.len())].clone();
                for _ in 0..=number(4) {
                    let at = number(bytes.len());
                    match number(5) {
                        0 => bytes.truncate(at + 1),
                        1 => bytes[at] = [0, 0xFF, 0x7F, 0x80, 1][number(5)],
                        2 => bytes.insert(at, number(256) as u8),
                        3 => drop(bytes.remove(at)),
                        _ => bytes[at] ^= 1 << number(8),
                    }
                    if bytes.is_empty() {
                        break;
                    }
                }
            }
            let start = std::time::Instant::now();
            let (outcome, members) = read_with(&bytes, "lot.gz", &limits);
            longest = longest.max(start.elapsed());
            refused += usize::from(!outcome.refusals.is_empty());
            assert!(members.iter().map(|(_, c)| c.len()).sum::<usize>() < 2 << 20);
        }
        assert!(refused > 30_000, "{refused}");
        assert!(longest.as_secs() < 5, "{longest:?}");
    }
}
