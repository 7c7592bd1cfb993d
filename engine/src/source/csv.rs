//! Table files: the reader cuts them into runs of rows in one pass over the bytes; the runs are
//! parsed wherever there is a thread for it.

use super::columns::RawColumns;
use super::header::{Layout, Unusable, header_origin, layout};
use super::scan::{Fields, RecordBytes, Scanned, Scanner};
use super::{Chunk, Delivered, FileFindings, Limits, Place, RawBatch, RecordReader, lossless};
use crate::codes::Code;
use crate::contract::Contract;
use crate::error::Result;
use crate::finding::{Finding, Origin};
use encoding_rs::{Encoding, UTF_8};
use std::borrow::Cow;
use std::sync::Arc;

/// Separators that exports are met with, whatever the contract says.
const SEPARATORS: [u8; 4] = [b';', b',', b'\t', b'|'];

/// Reads a table file by its contract.
pub struct CsvReader<'a> {
    contract: &'a Contract,
    file: Arc<str>,
    scanner: Scanner<'a>,
    separator: u8,
    limits: Limits,
    layout: Option<Arc<Layout>>,
    records: u64,
    end: FileFindings,
    done: bool,
}

impl<'a> CsvReader<'a> {
    pub(super) fn new(contract: &'a Contract, file: Delivered<'a>, separator: u8, limits: Limits) -> Self {
        CsvReader {
            contract,
            file: file.name.into(),
            scanner: Scanner::new(file.input, separator, limits.record_bytes_max),
            separator,
            limits,
            layout: None,
            records: 0,
            end: FileFindings::default(),
            done: false,
        }
    }

    fn refuse(&mut self, code: Code, line: u64, column: &str, message: String) {
        let origin = Origin { column: column.into(), ..header_origin(&self.file, line) };
        self.end.refusal = Some(Finding::new(code, origin, message));
        self.done = true;
    }

    /// Turns what the scanner says into a record, or ends the reading.
    fn next_record(&mut self) -> Result<Option<RecordBytes>> {
        match self.scanner.next_record(&self.file)? {
            Scanned::Record(r) => Ok(Some(r)),
            Scanned::End => {
                self.done = true;
                Ok(None)
            }
            Scanned::TooLong { line } => {
                let max = self.limits.record_bytes_max >> 20;
                let message =
                    format!("une ligne dépasse {max} Mio : vérifiez les guillemets et les fins de ligne");
                self.refuse(Code::FileLimit, line, "", message);
                Ok(None)
            }
            Scanned::Unclosed { line } => {
                let message = "un guillemet ouvert sur cette ligne n'est jamais refermé";
                self.refuse(Code::CsvUnclosedQuote, line, "", message.into());
                Ok(None)
            }
        }
    }

    fn names(&self, header: &RecordBytes, separator: u8) -> Vec<String> {
        Fields::new(self.scanner.bytes(&header.range), separator, header.quoted)
            .take(self.limits.columns_max + 1)
            .map(|f| {
                let name =
                    decode(self.contract.input.encoding, &f).map_or_else(|| lossless(&f), Cow::into_owned);
                name.trim().to_owned()
            })
            .collect()
    }

    fn read_header(&mut self) -> Result<Option<Arc<Layout>>> {
        let Some(header) = self.next_record()? else {
            if self.end.refusal.is_none() {
                self.refuse(Code::RecvEmpty, 1, "", "le fichier n'a pas d'en-tête".into());
            }
            return Ok(None);
        };
        let origin = header_origin(&self.file, header.line);
        let declared = self.names(&header, self.separator);
        if declared.len() > self.limits.columns_max {
            let max = self.limits.columns_max;
            self.refuse(Code::FileLimit, header.line, "", format!("l'en-tête compte plus de {max} colonnes"));
            return Ok(None);
        }
        let mut findings = Vec::new();
        let unusable = match layout(self.contract, &declared, &origin, &mut findings) {
            Ok(found) => {
                self.end.findings.append(&mut findings);
                return Ok(Some(Arc::new(found)));
            }
            Err(unusable) => unusable,
        };
        for other in SEPARATORS.into_iter().filter(|s| *s != self.separator) {
            let mut findings = Vec::new();
            let names = self.names(&header, other);
            if let Ok(found) = layout(self.contract, &names, &origin, &mut findings) {
                self.end.findings.push(Finding::new(
                    Code::CsvSeparator,
                    origin,
                    format!("séparateur {} au lieu de {}", said(other), said(self.separator)),
                ));
                self.end.findings.append(&mut findings);
                self.separator = other;
                self.scanner.set_separator(other);
                return Ok(Some(Arc::new(found)));
            }
        }
        match unusable {
            Unusable::Duplicate(name) => self.refuse(
                Code::CsvHeaderDuplicate,
                header.line,
                &name,
                "cette colonne est répétée dans l'en-tête".into(),
            ),
            Unusable::Missing(names) => {
                let message = format!(
                    "colonnes attendues absentes de l'en-tête : {} (séparateur attendu : {})",
                    names.join(", "),
                    said(self.separator)
                );
                self.refuse(Code::CsvHeaderMissing, header.line, names.first().map_or("", |n| n), message);
            }
        }
        Ok(None)
    }
}

fn said(separator: u8) -> String {
    if separator == b'\t' { "tabulation".into() } else { format!("« {} »", char::from(separator)) }
}

impl<'a> RecordReader<'a> for CsvReader<'a> {
    fn next_chunk(&mut self) -> Result<Option<Chunk<'a>>> {
        if self.layout.is_none() && !self.done {
            self.layout = self.read_header()?;
        }
        let Some(layout) = self.layout.clone() else { return Ok(None) };
        let per_record = layout.items.len().max(1);
        let mut rows = Rows {
            contract: self.contract,
            file: self.file.clone(),
            layout,
            separator: self.separator,
            bytes: Vec::with_capacity(self.limits.batch_bytes / 4),
            records: Vec::new(),
            first: self.records + 1,
        };
        let mut spread = 0;
        while !self.done
            && rows.records.len() * per_record < self.limits.batch_records
            && spread < self.limits.batch_bytes
        {
            let Some(record) = self.next_record()? else { break };
            if record.range.len().saturating_mul(per_record) > self.limits.wide_bytes_max {
                let max = self.limits.wide_bytes_max >> 20;
                let message = format!("une ligne large donnerait plus de {max} Mio une fois mise en lignes");
                self.refuse(Code::FileLimit, record.line, "", message);
                break;
            }
            spread += record.range.len().saturating_mul(per_record);
            self.records += 1;
            let start = rows.bytes.len();
            rows.bytes.extend_from_slice(self.scanner.bytes(&record.range));
            rows.records.push(Row { start, line: record.line, byte: record.byte, quoted: record.quoted });
        }
        Ok((!rows.records.is_empty()).then_some(Chunk::Rows(rows)))
    }

    fn finish(&mut self) -> FileFindings {
        std::mem::take(&mut self.end)
    }
}

struct Row {
    start: usize,
    line: u64,
    byte: u64,
    quoted: bool,
}

/// Rows cut from a file, not parsed yet.
pub struct Rows<'a> {
    contract: &'a Contract,
    file: Arc<str>,
    layout: Arc<Layout>,
    separator: u8,
    bytes: Vec<u8>,
    records: Vec<Row>,
    first: u64,
}

impl Rows<'_> {
    /// The rows as columns.
    pub(super) fn parse(self) -> RawBatch {
        let encoding = self.contract.input.encoding;
        let rows = self.records.len() * self.layout.items.len().max(1);
        let mut columns = RawColumns::new(self.contract, rows);
        let mut batch = RawBatch { places: Vec::with_capacity(rows), ..RawBatch::default() };
        // One look at the whole run spares one at each field.
        let whole = std::str::from_utf8(&self.bytes).ok();
        let clean = whole
            .filter(|t| (encoding == UTF_8 || t.is_ascii()) && memchr::memchr(0, t.as_bytes()).is_none());
        let list: Vec<bool> = (0..self.contract.columns.len()).map(|c| columns.is_list(c)).collect();
        let push = |columns: &mut RawColumns, column: usize, text: &str| match list.get(column) {
            Some(true) => columns.push_list(column, text.split('|')),
            _ => columns.push(column, Some(text)),
        };
        let mut cuts: Vec<usize> = Vec::with_capacity(self.layout.fields + 1);
        let mut ends = self.records.iter().skip(1).map(|r| r.start).chain([self.bytes.len()]);
        for (n, row) in self.records.iter().enumerate() {
            let end = ends.next().unwrap_or(self.bytes.len());
            let place = Place { line: row.line, record: self.first + n as u64, byte: row.byte };
            if let (Some(text), false, true) = (clean, row.quoted, self.layout.items.is_empty()) {
                let text = text.get(row.start..end).unwrap_or_default();
                cuts.clear();
                cuts.push(0);
                cuts.extend(memchr::memchr_iter(self.separator, text.as_bytes()).map(|i| i + 1));
                if cuts.len() == self.layout.fields {
                    cuts.push(text.len() + 1);
                    for (field, column) in &self.layout.plain {
                        let (from, to) = (cuts.get(*field), cuts.get(*field + 1));
                        let range = from.copied().unwrap_or(0)..to.copied().unwrap_or(1) - 1;
                        push(&mut columns, *column, text.get(range).unwrap_or_default());
                    }
                    self.layout.absent.iter().for_each(|c| columns.push(*c, None));
                    batch.places.push(place);
                    continue;
                }
            }
            let bytes = self.bytes.get(row.start..end).unwrap_or_default();
            let fault = frame_fault(bytes, self.separator, row.quoted, self.layout.fields, encoding);
            if let Some((code, at, message)) = fault {
                let column = at
                    .and_then(|field| self.layout.plain.iter().find(|(f, _)| *f == field))
                    .and_then(|(_, c)| self.contract.columns.get(*c));
                let name = column.map_or_else(|| Arc::from(""), |c| c.name.clone());
                batch
                    .broken
                    .push((batch.places.len(), Finding::new(code, place.origin(&self.file, &name), message)));
                batch.raw.push((batch.places.len(), lossless(bytes)));
                (0..self.contract.columns.len()).for_each(|c| columns.push(c, None));
                batch.places.push(place);
                continue;
            }
            let fields: Vec<Cow<'_, [u8]>> = Fields::new(bytes, self.separator, row.quoted).collect();
            let text = |field: usize| fields.get(field).and_then(|f| decode(encoding, f)).unwrap_or_default();
            if self.layout.items.is_empty() {
                self.layout.plain.iter().for_each(|(f, c)| push(&mut columns, *c, &text(*f)));
                self.layout.absent.iter().for_each(|c| columns.push(*c, None));
                batch.places.push(place);
                continue;
            }
            self.unpivot(&text, &mut columns, place, &mut batch.places);
        }
        (batch.columns, batch.extra) = columns.finish();
        batch.headers = (!self.layout.items.is_empty()).then(|| self.layout.headers.clone());
        batch
    }

    /// One row per item that has a measure; one row with the first item when none has.
    fn unpivot<'t>(
        &self,
        text: &dyn Fn(usize) -> Cow<'t, str>,
        columns: &mut RawColumns,
        place: Place,
        places: &mut Vec<Place>,
    ) {
        let item_column = self.contract.input.unpivot.as_ref().map_or(0, |u| u.item);
        let filled = |cells: &[(usize, usize)]| cells.iter().any(|(f, _)| !text(*f).is_empty());
        let any = self.layout.items.iter().any(|(_, cells)| filled(cells));
        for (n, (item, cells)) in self.layout.items.iter().enumerate() {
            if !(filled(cells) || (!any && n == 0)) {
                continue;
            }
            self.layout.plain.iter().for_each(|(f, c)| columns.push(*c, Some(&text(*f))));
            self.layout.absent.iter().for_each(|c| columns.push(*c, None));
            columns.push(item_column, Some(item));
            let measures = self.layout.items.iter().flat_map(|(_, cells)| cells.iter().map(|(_, c)| *c));
            let mut done: Vec<usize> = Vec::new();
            for column in measures {
                if done.contains(&column) {
                    continue;
                }
                done.push(column);
                match cells.iter().find(|(_, c)| *c == column) {
                    Some((field, _)) => columns.push(column, Some(&text(*field))),
                    None => columns.push(column, None),
                }
            }
            places.push(place);
        }
    }
}

/// What keeps a row from being read as fields: wrong count, foreign bytes, NUL.
fn frame_fault(
    bytes: &[u8],
    separator: u8,
    quoted: bool,
    expected: usize,
    encoding: &'static Encoding,
) -> Option<(Code, Option<usize>, String)> {
    let found = Fields::new(bytes, separator, quoted).count();
    if found != expected {
        return Some((Code::CsvFieldCount, None, format!("{found} champs au lieu de {expected}")));
    }
    if memchr::memchr(0, bytes).is_some() {
        let at = Fields::new(bytes, separator, quoted).position(|f| f.contains(&0));
        return Some((Code::EncNul, at, "caractère nul dans la valeur".into()));
    }
    if encoding == UTF_8 && std::str::from_utf8(bytes).is_err() {
        let at = Fields::new(bytes, separator, quoted).position(|f| std::str::from_utf8(&f).is_err());
        return Some((
            Code::EncInvalid,
            at,
            "octets qui ne sont pas de l'UTF-8 : le fichier est sans doute en windows-1252".into(),
        ));
    }
    None
}

fn decode<'b>(encoding: &'static Encoding, field: &'b [u8]) -> Option<Cow<'b, str>> {
    if encoding == UTF_8 || field.is_ascii() {
        return std::str::from_utf8(field).ok().map(Cow::Borrowed);
    }
    encoding.decode_without_bom_handling_and_without_replacement(field)
}
