//! From delivered files to raw columns: every value still text, every record with its origin.
//!
//! One reader per frame of records (`csv`, `aaf`); which columns, names and encodings a file has
//! comes from its [`crate::contract::Contract`], so that DNMA, SCOPE and CRDC need no code.

mod aaf;
mod csv;
mod limits;

pub use limits::Limits;

use crate::contract::{ColumnType, Contract, Format};
use crate::error::Result;
use crate::finding::{Finding, Origin};
use arrow::array::{ArrayRef, ListBuilder, StringBuilder};
use std::io::Read;
use std::sync::Arc;

/// Records as they came. All columns have the same length as `origins`.
pub struct RawBatch {
    /// One `Utf8` (or `List<Utf8>`) column per column of the contract, in its order.
    pub columns: Vec<ArrayRef>,
    /// Place of each record.
    pub places: Vec<Place>,
    /// What was wrong with a record's frame: (row, finding). Such a record goes to quarantine.
    pub broken: Vec<(usize, Finding)>,
    /// The whole record as text, for broken frames only.
    pub raw: Vec<(usize, String)>,
}

impl RawBatch {
    /// Records in the batch.
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
}

/// Reads one file in batches.
pub trait RecordReader: Send {
    /// The next records; `None` at the end, or where the file had to be refused.
    ///
    /// # Errors
    /// Only when reading itself fails: what is wrong with the content is a finding.
    fn next_batch(&mut self) -> Result<Option<RawBatch>>;

    /// Called once, after the last batch.
    fn finish(&mut self) -> FileFindings;
}

/// The reader that a contract asks for. `file` is the name used in findings.
pub fn open<'a>(
    contract: &'a Contract,
    file: &str,
    input: Box<dyn Read + Send + 'a>,
    limits: Limits,
) -> Box<dyn RecordReader + 'a> {
    match &contract.input.format {
        Format::Csv { separator } => Box::new(csv::CsvReader::new(contract, file, input, *separator, limits)),
        Format::Aaf { category } => Box::new(aaf::AafReader::new(contract, file, input, category, limits)),
    }
}

/// Builders for the raw columns of a contract.
struct RawColumns {
    builders: Vec<RawColumn>,
}

enum RawColumn {
    Text(StringBuilder),
    List(ListBuilder<StringBuilder>),
}

impl RawColumns {
    fn new(contract: &Contract) -> Self {
        let builders = contract
            .columns
            .iter()
            .map(|c| match c.kind {
                ColumnType::List => RawColumn::List(ListBuilder::new(StringBuilder::new())),
                _ => RawColumn::Text(StringBuilder::new()),
            })
            .collect();
        RawColumns { builders }
    }

    /// Appends a value; the empty text is null.
    fn push(&mut self, column: usize, value: Option<&str>) {
        let value = value.filter(|v| !v.is_empty());
        match self.builders.get_mut(column) {
            Some(RawColumn::Text(b)) => b.append_option(value),
            Some(RawColumn::List(b)) => match value {
                Some(v) => b.append_value([Some(v)]),
                None => b.append_null(),
            },
            None => {}
        }
    }

    /// Appends several values to a list column; empty ones are dropped.
    fn push_list<'a>(&mut self, column: usize, values: impl Iterator<Item = &'a str>) {
        if let Some(RawColumn::List(b)) = self.builders.get_mut(column) {
            let mut any = false;
            for v in values.filter(|v| !v.is_empty()) {
                b.values().append_value(v);
                any = true;
            }
            b.append(any);
        }
    }

    fn is_list(&self, column: usize) -> bool {
        matches!(self.builders.get(column), Some(RawColumn::List(_)))
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        self.builders
            .iter_mut()
            .map(|b| match b {
                RawColumn::Text(b) => Arc::new(b.finish()) as ArrayRef,
                RawColumn::List(b) => Arc::new(b.finish()) as ArrayRef,
            })
            .collect()
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
