//! One JSON object a line: columns by name, values as text.

use super::columns::RawColumns;
use super::scan::{Scanned, Scanner};
use super::{Chunk, Delivered, FileFindings, Limits, Place, RawBatch, RecordReader, lossless, printable};
use crate::codes::Code;
use crate::contract::Contract;
use crate::error::Result;
use crate::finding::{Finding, Origin};
use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Values of an object, by column.
type Cells = Vec<(usize, Vec<String>)>;

/// Reads NDJSON by its contract.
pub struct NdJsonReader<'a> {
    contract: &'a Contract,
    file: Arc<str>,
    scanner: Scanner<'a>,
    columns: HashMap<String, usize>,
    unknown: BTreeSet<String>,
    limits: Limits,
    records: u64,
    end: FileFindings,
    done: bool,
}

impl<'a> NdJsonReader<'a> {
    pub(super) fn new(contract: &'a Contract, file: Delivered<'a>, limits: Limits) -> Self {
        let names = contract.columns.iter().enumerate().flat_map(|(i, c)| {
            std::iter::once(c.name.to_string())
                .chain(c.aliases.iter().cloned())
                .map(move |n| (n.to_lowercase(), i))
        });
        let mut scanner = Scanner::new(file.input, 0, limits.record_bytes_max);
        scanner.without_quotes();
        NdJsonReader {
            contract,
            file: file.name.into(),
            scanner,
            columns: names.collect(),
            unknown: BTreeSet::new(),
            limits,
            records: 0,
            end: FileFindings::default(),
            done: false,
        }
    }

    /// A line as values of columns, or why it is not one.
    fn object(&mut self, line: &[u8]) -> Result<Cells, (Code, Option<usize>, String)> {
        if std::str::from_utf8(line).is_err() {
            return Err((Code::EncInvalid, None, "octets qui ne sont pas de l'UTF-8".into()));
        }
        let Ok(Value::Object(map)) = serde_json::from_slice::<Value>(line) else {
            return Err((Code::JsonMalformed, None, "la ligne n'est pas un objet JSON".into()));
        };
        let mut out = Vec::new();
        for (name, value) in map {
            let Some(column) = self.columns.get(&name.to_lowercase()).copied() else {
                if self.unknown.len() < self.limits.columns_max {
                    self.unknown.insert(name);
                }
                continue;
            };
            let spec = self.contract.columns.get(column);
            let text = |v: &Value| match v {
                Value::Null => Some(String::new()),
                Value::String(s) => Some(s.clone()),
                Value::Number(n) => Some(n.to_string()),
                Value::Bool(b) => spec.map(|s| if *b { s.marks.0.clone() } else { s.marks.1.clone() }),
                Value::Array(_) | Value::Object(_) => None,
            };
            let values = match &value {
                Value::Array(items) => items.iter().map(text).collect::<Option<Vec<_>>>(),
                one => text(one).map(|t| vec![t]),
            };
            let Some(values) = values else {
                return Err((
                    Code::JsonMalformed,
                    Some(column),
                    "valeur simple ou liste de valeurs attendue".into(),
                ));
            };
            if values.iter().any(|v| v.contains('\0')) {
                return Err((Code::EncNul, Some(column), "caractère nul dans la valeur".into()));
            }
            if out.iter().any(|(c, _)| *c == column) {
                return Err((
                    Code::MultipleValues,
                    Some(column),
                    "colonne écrite deux fois dans l'objet".into(),
                ));
            }
            out.push((column, values));
        }
        Ok(out)
    }
}

impl<'a> RecordReader<'a> for NdJsonReader<'a> {
    fn next_chunk(&mut self) -> Result<Option<Chunk<'a>>> {
        let mut columns = RawColumns::new(self.contract, 256);
        let mut batch = RawBatch::default();
        let mut bytes = 0;
        while !self.done && batch.len() < self.limits.batch_records && bytes < self.limits.batch_bytes {
            let record = match self.scanner.next_record(&self.file)? {
                Scanned::Record(r) => r,
                Scanned::TooLong { line } | Scanned::Unclosed { line } => {
                    let max = self.limits.record_bytes_max >> 20;
                    let origin = Origin { file: self.file.clone(), line, ..Origin::default() };
                    self.end.refusal =
                        Some(Finding::new(Code::FileLimit, origin, format!("une ligne dépasse {max} Mio")));
                    self.done = true;
                    break;
                }
                Scanned::End => {
                    self.done = true;
                    if self.records == 0 {
                        let origin = Origin { file: self.file.clone(), line: 1, ..Origin::default() };
                        self.end.refusal =
                            Some(Finding::new(Code::RecvEmpty, origin, "le fichier n'a pas d'objet"));
                    }
                    break;
                }
            };
            self.records += 1;
            let line = self.scanner.bytes(&record.range).to_vec();
            bytes += line.len();
            let place = Place { line: record.line, record: self.records, byte: record.byte };
            match self.object(&line) {
                Ok(mut values) => {
                    values.sort_by_key(|(c, _)| *c);
                    let mut values = values.into_iter().peekable();
                    for column in 0..self.contract.columns.len() {
                        let mine = values.next_if(|(c, _)| *c == column).map(|(_, v)| v).unwrap_or_default();
                        if columns.is_list(column) {
                            columns.push_list(column, mine.iter().map(String::as_str));
                            continue;
                        }
                        if mine.len() > 1 {
                            let name = self
                                .contract
                                .columns
                                .get(column)
                                .map_or_else(|| "".into(), |c| c.name.clone());
                            let origin = place.origin(&self.file, &name);
                            let finding =
                                Finding::new(Code::MultipleValues, origin, "une seule valeur est admise");
                            batch.broken.push((batch.places.len(), finding));
                            batch.raw.push((batch.places.len(), lossless(&line)));
                        }
                        columns.push(column, mine.first().map(String::as_str));
                    }
                }
                Err((code, column, message)) => {
                    let name = column
                        .and_then(|c| self.contract.columns.get(c))
                        .map_or_else(|| "".into(), |c| c.name.clone());
                    batch.broken.push((
                        batch.places.len(),
                        Finding::new(code, place.origin(&self.file, &name), message),
                    ));
                    batch.raw.push((batch.places.len(), lossless(&line)));
                    (0..self.contract.columns.len()).for_each(|c| columns.push(c, None));
                }
            }
            batch.places.push(place);
        }
        (batch.columns, batch.extra) = columns.finish();
        Ok((!batch.is_empty()).then_some(Chunk::Ready(batch)))
    }

    fn finish(&mut self) -> FileFindings {
        let mut end = std::mem::take(&mut self.end);
        for name in &self.unknown {
            let origin =
                Origin { file: self.file.clone(), column: printable(name).into(), ..Origin::default() };
            end.findings.push(Finding::new(
                Code::CsvHeaderUnknown,
                origin,
                "colonne inconnue du contrat : elle n'est pas reprise",
            ));
        }
        end
    }
}
