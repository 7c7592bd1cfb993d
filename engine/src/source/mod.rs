//! From delivered files to raw columns: every value still text, every record with its origin.
//!
//! One reader per frame of records (`csv`, `aaf`, `document`, `ndjson`, `parquet`); which columns,
//! names and encodings a file has comes from its [`crate::contract::Contract`], so that a new
//! table needs no code.

mod aaf;
mod archive;
mod columns;
mod csv;
mod document;
mod header;
mod limits;
mod lines;
mod ndjson;
mod parquet;
mod scan;
mod sniff;
mod xml;

pub use aaf::{too_many_unknown, unknown_attributes};
pub use archive::{ArchiveLimits, Fault as ArchiveFault, Kind, each_member, is_plain};
pub use limits::Limits;
pub use sniff::{Head, Sniffed};

use crate::contract::{Contract, Format};
use crate::error::Result;
use crate::finding::{Finding, Origin};
use arrow::array::ArrayRef;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Records as they came. All columns have the same length as `places`.
#[derive(Default)]
pub struct RawBatch {
    /// Which of the document's contracts they belong to.
    pub table: usize,
    /// One `Utf8` (or `List<Utf8>`) column per column of the contract, in its order.
    pub columns: Vec<ArrayRef>,
    /// Attributes and elements that the contract does not name, for XML frames: `Map<Utf8, List<Utf8>>`.
    pub extra: Option<ArrayRef>,
    /// What each request of a Delta asks for; empty for whole records.
    pub requests: Vec<Request>,
    /// Place of each record.
    pub places: Vec<Place>,
    /// What was wrong with a record's frame: (row, finding). Such a record goes to quarantine.
    pub broken: Vec<(usize, Finding)>,
    /// The whole record as text, for broken frames only.
    pub raw: Vec<(usize, String)>,
    /// Attributes that the contract does not name, and where each was first met in the batch.
    pub unknown: Vec<(String, Place)>,
    /// Why the file cannot be read further than this batch: what follows it does not count.
    pub stop: Option<Finding>,
    /// For wide files: the header's name of each (item, measure column).
    pub headers: Option<Arc<Headers>>,
}

/// Names of the fields of a wide file, by item and measure column.
pub type Headers = HashMap<(String, usize), Arc<str>>;

/// What a request of an AAF Delta asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Request {
    /// A whole record.
    #[default]
    Add,
    /// Only these columns change (positions in the contract).
    Modify(Vec<usize>),
    /// The record goes.
    Delete,
}

impl RawBatch {
    /// Rows in the batch.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// Where a record stands in its file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: u64,
    /// Record, from 1.
    pub record: u64,
    /// Byte, from 0.
    pub byte: u64,
}

impl Place {
    /// With the file's and the column's names.
    pub fn origin(self, file: &Arc<str>, column: &Arc<str>) -> Origin {
        Origin {
            file: file.clone(),
            line: self.line,
            record: self.record,
            column: column.clone(),
            byte: self.byte,
        }
    }
}

/// What a reader says of the file as a whole.
#[derive(Default)]
pub struct FileFindings {
    /// Findings without a record: headers, unknown attributes.
    pub findings: Vec<Finding>,
    /// The finding that stopped the reading, if any: the delivery is refused.
    pub refusal: Option<Finding>,
    /// Attributes that the contract does not name, met after the last whole record.
    pub unknown: Vec<(String, Place)>,
    /// What the file says of itself (comments of an AAF header, root attributes).
    pub metadata: Vec<(String, String)>,
}

/// A run of records, cut but perhaps not parsed yet: cutting is sequential, parsing is not.
pub enum Chunk<'a> {
    /// Rows of a table file.
    Rows(csv::Rows<'a>),
    /// Requests of an AAF file.
    Requests(aaf::Run<'a>),
    /// Parsed already.
    Ready(RawBatch),
}

impl Chunk<'_> {
    /// The records as columns.
    pub fn parse(self) -> RawBatch {
        match self {
            Chunk::Rows(rows) => rows.parse(),
            Chunk::Requests(run) => run.parse(),
            Chunk::Ready(batch) => batch,
        }
    }
}

/// Reads one file in runs of records.
pub trait RecordReader<'a>: Send {
    /// The next records; `None` at the end, or where the file had to be refused.
    ///
    /// # Errors
    /// Only when reading itself fails: what is wrong with the content is a finding.
    fn next_chunk(&mut self) -> Result<Option<Chunk<'a>>>;

    /// Called once, after the last chunk.
    fn finish(&mut self) -> FileFindings;
}

/// A file to read, under the name shown in findings.
pub struct Delivered<'a> {
    /// Name for findings and lineage.
    pub name: &'a str,
    /// Its bytes.
    pub input: Box<dyn Read + Send + 'a>,
    /// Where it lies, when it is a file of its own (Parquet is read from its end).
    pub path: Option<&'a Path>,
    /// It is a Delta: requests may modify and delete.
    pub delta: bool,
}

/// The reader that the contracts of a document ask for. All have the same format.
pub fn open<'a>(
    contracts: &[&'a Contract],
    file: Delivered<'a>,
    limits: Limits,
) -> Box<dyn RecordReader<'a> + 'a> {
    let Some(first) = contracts.first().copied() else {
        return Box::new(sniff::Nothing);
    };
    match &first.input.format {
        Format::Csv { separator } => Box::new(csv::CsvReader::new(first, file, *separator, limits)),
        Format::Aaf { category, identifier, .. } => {
            Box::new(aaf::AafReader::new(first, file, category, *identifier, limits))
        }
        Format::Xml { .. } => Box::new(document::DocumentReader::new(contracts, file, limits)),
        Format::NdJson => Box::new(ndjson::NdJsonReader::new(first, file, limits)),
        Format::Parquet => Box::new(parquet::ParquetReader::new(first, file, limits)),
    }
}

/// Text of bytes that may not belong to the encoding: wrong bytes are written `\xHH`, so that
/// the quarantine loses nothing.
fn lossless(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02X}"));
        }
    }
    out
}

/// Names come from foreign files: shown only when they look like names.
fn printable(name: &str) -> String {
    // A run of nine digits is a national pupil number rather than a name.
    let number = name.as_bytes().windows(9).any(|w| w.iter().all(u8::is_ascii_digit));
    let fits = !name.is_empty()
        && !number
        && name.len() <= 80
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | ' ' | '/' | '@'));
    if fits { name.to_owned() } else { "(nom illisible)".into() }
}
