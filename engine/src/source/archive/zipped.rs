//! Members of a zip: its directory is judged before anything is read.

use super::*;
use flate2::bufread::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

/// Members of a zip. Nothing is read of an archive whose directory has a fault.
pub(super) fn walk_zip<S: Read + Seek + Send>(
    input: &mut S,
    length: u64,
    walk: &mut Walk<'_>,
) -> Result<(), Stop> {
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
