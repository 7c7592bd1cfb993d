//! Members of a zip: its central directory is read here record by record, and each local header is
//! compared with it, so that what the archive's reader sees is what was checked.

use super::{Entry, Fault, Limits, Names};
use crate::french::thousands;
use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Take};

const END: u64 = 22;
const END64: u64 = 56;
const LOCATOR: u64 = 20;
/// Bytes of the central directory.
const DIRECTORY_BYTES_MAX: u64 = 128 << 20;
/// Bytes of a data descriptor with ZIP64 sizes and its signature.
const DESCRIPTOR_BYTES_MAX: u64 = 24;
const FULL: u64 = 0xFFFF_FFFF;

fn bad() -> io::Error {
    Fault::new("le répertoire du zip est coupé, abîmé ou contredit les membres : refaites le zip").into()
}

fn number(bytes: &[u8], at: usize, width: usize) -> io::Result<u64> {
    let field = bytes.get(at..at + width).ok_or_else(bad)?;
    Ok(field.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b)))
}

fn exactly(input: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    input.take(count).read_to_end(&mut out)?;
    if (out.len() as u64) < count { Err(bad()) } else { Ok(out) }
}

fn bytes_at(input: &mut File, at: u64, count: u64) -> io::Result<Vec<u8>> {
    input.seek(SeekFrom::Start(at))?;
    exactly(input, count)
}

struct Directory {
    start: u64,
    end: u64,
    entries: u64,
}

/// Finds the directory. It, its end record and the comment are the last bytes of the file, and no
/// other end record fits: every reader finds the same one.
fn directory(input: &mut File, length: u64, limits: &Limits) -> io::Result<Directory> {
    let tail_start = length.saturating_sub(END + 0xFFFF);
    let tail = bytes_at(input, tail_start, length - tail_start)?;
    let ends: Vec<usize> = tail
        .windows(END as usize)
        .enumerate()
        .filter(|(i, w)| {
            let rest = (tail.len() - i) as u64;
            w.starts_with(b"PK\x05\x06") && number(w, 20, 2).is_ok_and(|comment| END + comment == rest)
        })
        .map(|(i, _)| i)
        .collect();
    let [at] = ends.as_slice() else { return Err(bad()) };
    let end = tail.get(*at..).unwrap_or_default();
    let mut end_start = tail_start + *at as u64;
    let (mut entries, mut size, mut start) = (number(end, 10, 2)?, number(end, 12, 4)?, number(end, 16, 4)?);
    if number(end, 4, 4)? != 0 && number(end, 4, 4)? != FULL {
        return Err(Fault::new("le zip est en plusieurs volumes : refaites-en un seul").into());
    }
    let locator = match end_start.checked_sub(LOCATOR) {
        Some(at) => bytes_at(input, at, LOCATOR)?,
        None => Vec::new(),
    };
    if locator.starts_with(b"PK\x06\x07") {
        let locator_start = end_start - LOCATOR;
        end_start = number(&locator, 8, 8)?;
        if end_start.checked_add(END64).is_none_or(|e| e > locator_start) {
            return Err(bad());
        }
        let end64 = bytes_at(input, end_start, END64)?;
        let whole = number(&end64, 4, 8)?.saturating_add(12).saturating_add(end_start);
        let told = (entries, size, start);
        (entries, size, start) = (number(&end64, 32, 8)?, number(&end64, 40, 8)?, number(&end64, 48, 8)?);
        let agrees = |small: u64, full: u64, big: u64| small == full || small == big;
        if !end64.starts_with(b"PK\x06\x06")
            || whole != locator_start
            || !(agrees(told.0, 0xFFFF, entries) && agrees(told.1, FULL, size) && agrees(told.2, FULL, start))
        {
            return Err(bad());
        }
    }
    if entries > limits.members_max {
        return Err(Fault::new(format!("plus de {} membres", thousands(limits.members_max))).into());
    }
    if size > DIRECTORY_BYTES_MAX {
        return Err(Fault::new("le répertoire du zip n'a pas une taille normale").into());
    }
    if start.checked_add(size) != Some(end_start) {
        return Err(bad());
    }
    Ok(Directory { start, end: end_start, entries })
}

/// A record of the directory, with what the local header must say too.
struct Record {
    entry: Entry,
    raw_name: Vec<u8>,
    flags: u64,
    method: u64,
    header: u64,
}

/// Lists the members.
pub fn list(input: &mut File, length: u64, limits: &Limits) -> io::Result<Vec<Entry>> {
    let directory = directory(input, length, limits)?;
    input.seek(SeekFrom::Start(directory.start))?;
    let mut reader = BufReader::with_capacity(64 << 10, &mut *input).take(directory.end - directory.start);
    let mut names = Names { seen: HashSet::new() };
    let (mut records, mut total) = (Vec::new(), 0_u64);
    while !reader.fill_buf()?.is_empty() {
        let record = record(&mut reader, limits)?;
        names.admit(&record.entry.name)?;
        total = total.saturating_add(record.entry.size);
        records.push(record);
    }
    if records.len() as u64 != directory.entries {
        return Err(bad());
    }
    if total > limits.total_bytes_max {
        return Err(Fault::new("le contenu décompressé est trop gros").into());
    }
    if total > limits.unpacked_max(length) {
        return Err(Fault::bomb(limits).into());
    }
    locals(input, &mut records, directory.start)?;
    Ok(records.into_iter().map(|r| r.entry).collect())
}

fn record(reader: &mut impl Read, limits: &Limits) -> io::Result<Record> {
    let fixed = exactly(reader, 46)?;
    let field = |at, width| number(&fixed, at, width);
    if !fixed.starts_with(b"PK\x01\x02") {
        return Err(bad());
    }
    let raw_name = exactly(reader, field(28, 2)?)?;
    let extra = exactly(reader, field(30, 2)?)?;
    exactly(reader, field(32, 2)?)?;
    let (mut packed, mut size, mut header) = (field(20, 4)?, field(24, 4)?, field(42, 4)?);
    zip64(&extra, &mut [&mut size, &mut packed, &mut header])?;
    let (flags, method) = (field(8, 2)?, field(10, 2)?);
    let Ok(name) = String::from_utf8(raw_name.clone()) else {
        return Err(Fault::new("un nom de fichier n'est pas en UTF-8 : renommez-le sans accent").into());
    };
    let shown = super::shown(&name);
    let refuse = |why: &str| Err(Fault::new(format!("{shown} : {why}")).into());
    // Strong encryption and masked headers have their own bits.
    if flags & (1 | 1 << 6 | 1 << 13) != 0 {
        return refuse("membre chiffré : l'archive ne peut pas le lire, refaites le zip sans mot de passe");
    }
    let folder = match (field(38, 4)? >> 16) & 0o170_000 {
        0 | 0o100_000 | 0o040_000 if name.ends_with('/') => true,
        0 | 0o100_000 => false,
        0o120_000 => return refuse("lien symbolique : mettez le fichier lui-même"),
        _ => return refuse("ni fichier ni dossier"),
    };
    let deflated = match method {
        0 => false,
        8 => true,
        _ => return refuse("compression inconnue : seule la compression deflate est lue"),
    };
    if folder && size > 0 || !deflated && size != packed {
        return Err(bad());
    }
    if size > limits.member_bytes_max {
        return refuse("le contenu décompressé est trop gros");
    }
    if size > limits.unpacked_max(packed) {
        return Err(Fault::bomb(limits).into());
    }
    let crc = u32::try_from(field(16, 4)?).map_err(|_| bad())?;
    let entry = Entry { name, folder, size, start: 0, packed, deflated, crc };
    Ok(Record { entry, raw_name, flags, method, header })
}

/// Fills the fields that say "see the ZIP64 extra", in its order.
fn zip64(extra: &[u8], fields: &mut [&mut u64]) -> io::Result<()> {
    let mut rest = extra;
    while rest.len() >= 4 {
        let (id, size) = (number(rest, 0, 2)?, number(rest, 2, 2)? as usize);
        let content = rest.get(4..4 + size).ok_or_else(bad)?;
        if id == 1 {
            let mut at = 0;
            for field in fields.iter_mut().filter(|f| ***f == FULL) {
                **field = number(content, at, 8)?;
                at += 8;
            }
            return Ok(());
        }
        rest = rest.get(4 + size..).unwrap_or_default();
    }
    Ok(())
}

/// Compares each local header with the directory; members neither overlap nor leave bytes between.
fn locals(input: &mut File, records: &mut [Record], directory_start: u64) -> io::Result<()> {
    let mut order: Vec<usize> = (0..records.len()).collect();
    order.sort_by_key(|i| records.get(*i).map_or(0, |r| r.header));
    let mut at = 0;
    let mut slack = 0;
    for i in order {
        let Some(record) = records.get_mut(i) else { continue };
        if record.header < at || record.header - at > slack {
            return Err(bad());
        }
        let name_bytes = record.raw_name.len() as u64;
        let local = bytes_at(input, record.header, 30 + name_bytes)?;
        let field = |at, width| number(&local, at, width);
        let extra = exactly(input, field(28, 2)?)?;
        let described = record.flags & 8 != 0;
        let (crc, mut packed, mut size) = (field(14, 4)?, field(18, 4)?, field(22, 4)?);
        zip64(&extra, &mut [&mut size, &mut packed])?;
        let e = &mut record.entry;
        let known = (crc, packed, size) == (u64::from(e.crc), e.packed, e.size);
        if !local.starts_with(b"PK\x03\x04")
            || local.get(30..) != Some(&record.raw_name)
            || field(26, 2)? != name_bytes
            || field(6, 2)? & !0x806 != record.flags & !0x806
            || field(8, 2)? != record.method
            || !known && !described
        {
            return Err(bad());
        }
        e.start = record.header + 30 + name_bytes + extra.len() as u64;
        at = e.start.checked_add(e.packed).filter(|end| *end <= directory_start).ok_or_else(bad)?;
        slack = if described { DESCRIPTOR_BYTES_MAX } else { 0 };
    }
    if directory_start - at > slack { Err(bad()) } else { Ok(()) }
}

enum Packed<R> {
    Stored(Take<R>),
    Deflated(DeflateDecoder<BufReader<Take<R>>>),
}

/// A member's bytes, whose sizes and checksum are those of the directory or it is broken.
pub struct Unpacked<R> {
    packed: Packed<R>,
    size: u64,
    packed_size: u64,
    expected: u32,
    out: u64,
    crc: Crc,
}

impl<R: Read + Seek> Unpacked<R> {
    pub fn new(mut input: R, entry: &Entry) -> io::Result<Self> {
        input.seek(SeekFrom::Start(entry.start))?;
        let input = input.take(entry.packed);
        let packed = if entry.deflated {
            Packed::Deflated(DeflateDecoder::new(BufReader::with_capacity(64 << 10, input)))
        } else {
            Packed::Stored(input)
        };
        let (size, packed_size, expected) = (entry.size, entry.packed, entry.crc);
        Ok(Unpacked { packed, size, packed_size, expected, out: 0, crc: Crc::new() })
    }
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
        if self.out > self.size || n == 0 && (self.out != self.size || consumed != self.packed_size) {
            return Err(Fault::new("le zip annonce une autre taille que la vraie : refaites le zip").into());
        }
        if n == 0 && self.crc.sum() != self.expected {
            return Err(Fault::new(
                "la somme de contrôle est fausse : le fichier est abîmé, refaites le zip",
            )
            .into());
        }
        Ok(n)
    }
}
