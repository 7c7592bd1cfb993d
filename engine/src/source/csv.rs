//! Table files, RFC 4180: one pass over the bytes, bounded memory, exact line and byte of each
//! record. Written here because no CSV reader at hand tells an unclosed quote from the end of the
//! file, or bounds the length of a record.

use super::{FileFindings, Limits, Place, RawBatch, RawColumns, RecordReader, lossless};
use crate::codes::Code;
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::finding::{Finding, Origin};
use encoding_rs::{Encoding, UTF_8};
use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

/// Reads a table file by its contract.
pub struct CsvReader<'a> {
    contract: &'a Contract,
    file: Arc<str>,
    scanner: Scanner<'a>,
    separator: u8,
    encoding: &'static Encoding,
    limits: Limits,
    /// For each field of the header, the contract's column.
    layout: Option<Vec<Option<usize>>>,
    records: u64,
    end: FileFindings,
    done: bool,
}

impl<'a> CsvReader<'a> {
    pub(super) fn new(
        contract: &'a Contract,
        file: &str,
        input: Box<dyn Read + Send + 'a>,
        separator: u8,
        limits: Limits,
    ) -> Self {
        CsvReader {
            contract,
            file: file.into(),
            scanner: Scanner::new(input, separator, limits.record_bytes_max),
            separator,
            encoding: contract.input.encoding,
            limits,
            layout: None,
            records: 0,
            end: FileFindings::default(),
            done: false,
        }
    }

    fn refuse(&mut self, code: Code, line: u64, column: &str, message: String) {
        let origin = Origin { file: self.file.clone(), line, column: column.into(), ..Origin::default() };
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
                self.refuse(
                    Code::FileLimit,
                    line,
                    "",
                    format!("une ligne dépasse {max} Mio : vérifiez les guillemets et les fins de ligne"),
                );
                Ok(None)
            }
            Scanned::Unclosed { line } => {
                self.refuse(
                    Code::CsvUnclosedQuote,
                    line,
                    "",
                    "un guillemet ouvert sur cette ligne n'est jamais refermé".into(),
                );
                Ok(None)
            }
        }
    }

    fn read_header(&mut self) -> Result<Option<Vec<Option<usize>>>> {
        let Some(header) = self.next_record()? else {
            if self.end.refusal.is_none() {
                self.refuse(Code::RecvEmpty, 1, "", "le fichier n'a pas d'en-tête".into());
            }
            return Ok(None);
        };
        let bytes = self.scanner.bytes(&header.range);
        let mut names: Vec<String> = Vec::new();
        for f in Fields::new(bytes, self.separator, header.quoted) {
            names.push(decode(self.encoding, &f).map_or_else(|| lossless(&f), Cow::into_owned));
            if names.len() > self.limits.columns_max {
                break;
            }
        }
        if names.len() > self.limits.columns_max {
            let max = self.limits.columns_max;
            self.refuse(Code::FileLimit, header.line, "", format!("l'en-tête compte plus de {max} colonnes"));
            return Ok(None);
        }
        let mut layout = vec![None; names.len()];
        let mut missing = Vec::new();
        for (i, column) in self.contract.columns.iter().enumerate() {
            let exact = |n: &String| n.as_str() == &*column.name || column.aliases.contains(n);
            let folded = |n: &String| n.to_lowercase() == column.name.to_lowercase();
            let found: Vec<usize> = match names.iter().any(exact) {
                true => (0..names.len()).filter(|j| names.get(*j).is_some_and(exact)).collect(),
                false => (0..names.len()).filter(|j| names.get(*j).is_some_and(folded)).collect(),
            };
            match found.as_slice() {
                [one] => {
                    if let Some(slot) = layout.get_mut(*one) {
                        *slot = Some(i);
                    }
                }
                [] if column.optional => {}
                [] => missing.push(&*column.name),
                _ => {
                    let name = column.name.to_string();
                    self.refuse(
                        Code::CsvHeaderDuplicate,
                        header.line,
                        &name,
                        "cette colonne est répétée dans l'en-tête".into(),
                    );
                    return Ok(None);
                }
            }
        }
        if let Some(first) = missing.first() {
            let (first, all) = ((*first).to_owned(), missing.join(", "));
            self.refuse(
                Code::CsvHeaderMissing,
                header.line,
                &first,
                format!(
                    "colonnes attendues absentes de l'en-tête : {all} (séparateur attendu : « {} »)",
                    char::from(self.separator)
                ),
            );
            return Ok(None);
        }
        for (name, slot) in names.iter().zip(&layout) {
            if slot.is_none() {
                let origin = Origin {
                    file: self.file.clone(),
                    line: header.line,
                    column: shown_name(name).into(),
                    ..Origin::default()
                };
                self.end.findings.push(Finding::new(
                    Code::CsvHeaderUnknown,
                    origin,
                    "colonne inconnue du contrat : elle n'est pas reprise",
                ));
            }
        }
        Ok(Some(layout))
    }
}

impl RecordReader for CsvReader<'_> {
    fn next_batch(&mut self) -> Result<Option<RawBatch>> {
        if self.layout.is_none() && !self.done {
            self.layout = self.read_header()?;
        }
        let Some(layout) = self.layout.clone() else { return Ok(None) };
        if self.done {
            return Ok(None);
        }
        let mut columns = RawColumns::new(self.contract);
        let absent: Vec<usize> =
            (0..self.contract.columns.len()).filter(|c| !layout.contains(&Some(*c))).collect();
        let mut batch =
            RawBatch { columns: Vec::new(), places: Vec::new(), broken: Vec::new(), raw: Vec::new() };
        while batch.places.len() < self.limits.batch_records {
            let Some(record) = self.next_record()? else { break };
            self.records += 1;
            let row = batch.places.len();
            let place = Place { line: record.line, record: self.records, byte: record.byte };
            batch.places.push(place);
            let bytes = self.scanner.bytes(&record.range);
            let no_column: Arc<str> = "".into();
            let fault = frame_fault(bytes, self.separator, record.quoted, layout.len(), self.encoding);
            if let Some((code, at, message)) = fault {
                let column = at
                    .and_then(|i| layout.get(i).copied().flatten())
                    .and_then(|c| self.contract.columns.get(c));
                let name = column.map_or(&no_column, |c| &c.name);
                batch.broken.push((row, Finding::new(code, place.origin(&self.file, name), message)));
                batch.raw.push((row, lossless(bytes)));
                (0..self.contract.columns.len()).for_each(|c| columns.push(c, None));
                continue;
            }
            let mut fields = Fields::new(bytes, self.separator, record.quoted);
            for slot in &layout {
                let field = fields.next().unwrap_or_default();
                let Some(column) = *slot else { continue };
                let text = decode(self.encoding, &field).unwrap_or_default();
                match columns.is_list(column) {
                    true => columns.push_list(column, text.split('|')),
                    false => columns.push(column, Some(&text)),
                }
            }
            absent.iter().for_each(|c| columns.push(*c, None));
        }
        batch.columns = columns.finish();
        Ok((!batch.is_empty()).then_some(batch))
    }

    fn finish(&mut self) -> FileFindings {
        std::mem::take(&mut self.end)
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
    // Most rows: plain ASCII or valid UTF-8, no quote. Count separators without building fields.
    let found = if quoted {
        Fields::new(bytes, separator, true).count()
    } else {
        memchr::memchr_iter(separator, bytes).count() + 1
    };
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

/// A header of a foreign file, as far as it looks like a name.
fn shown_name(name: &str) -> String {
    if name.chars().any(char::is_control) {
        "(nom illisible)".into()
    } else {
        name.chars().take(80).collect()
    }
}

fn decode<'b>(encoding: &'static Encoding, field: &'b [u8]) -> Option<Cow<'b, str>> {
    if encoding == UTF_8 || field.is_ascii() {
        return std::str::from_utf8(field).ok().map(Cow::Borrowed);
    }
    encoding.decode_without_bom_handling_and_without_replacement(field)
}

/// Fields of one record.
struct Fields<'b> {
    rest: Option<&'b [u8]>,
    separator: u8,
    quoted: bool,
}

impl<'b> Fields<'b> {
    fn new(bytes: &'b [u8], separator: u8, quoted: bool) -> Self {
        Fields { rest: Some(bytes), separator, quoted }
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Cow<'b, [u8]>;

    fn next(&mut self) -> Option<Cow<'b, [u8]>> {
        let rest = self.rest?;
        if !(self.quoted && rest.first() == Some(&b'"')) {
            let end = memchr::memchr(self.separator, rest);
            let (field, after) = match end {
                Some(i) => (rest.get(..i).unwrap_or_default(), rest.get(i + 1..)),
                None => (rest, None),
            };
            self.rest = after;
            return Some(Cow::Borrowed(field));
        }
        // A quoted field: doubled quotes stand for one; text after the closing quote is kept.
        let mut value = Vec::new();
        let mut i = 1;
        while let Some(b) = rest.get(i) {
            if *b == b'"' {
                if rest.get(i + 1) != Some(&b'"') {
                    i += 1;
                    break;
                }
                i += 1;
            }
            value.push(*b);
            i += 1;
        }
        let tail = rest.get(i..).unwrap_or_default();
        let end = memchr::memchr(self.separator, tail);
        value.extend_from_slice(tail.get(..end.unwrap_or(tail.len())).unwrap_or_default());
        self.rest = end.and_then(|e| tail.get(e + 1..));
        Some(Cow::Owned(value))
    }
}

struct RecordBytes {
    range: Range<usize>,
    line: u64,
    byte: u64,
    quoted: bool,
}

enum Scanned {
    Record(RecordBytes),
    End,
    TooLong { line: u64 },
    Unclosed { line: u64 },
}

/// Cuts the stream into records. `buffer[start..]` is not consumed yet.
struct Scanner<'a> {
    input: Box<dyn Read + Send + 'a>,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    eof: bool,
    line: u64,
    byte: u64,
    separator: u8,
    max: usize,
}

impl<'a> Scanner<'a> {
    fn new(input: Box<dyn Read + Send + 'a>, separator: u8, max: usize) -> Self {
        Scanner {
            input,
            buffer: vec![0; 256 << 10],
            start: 0,
            filled: 0,
            eof: false,
            line: 1,
            byte: 0,
            separator,
            max,
        }
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        self.buffer.get(range.clone()).unwrap_or_default()
    }

    /// Reads more after what is kept; grows only while one record fills the whole buffer.
    fn refill(&mut self, file: &Arc<str>) -> Result<()> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        } else if self.filled == self.buffer.len() {
            let size = (self.buffer.len() * 2).min(self.max + 1);
            self.buffer.resize(size, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        let n = loop {
            match self.input.read(room) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.map_err(|e| Error::io(&**file, e))?,
            }
        };
        self.filled += n;
        self.eof = n == 0;
        Ok(())
    }

    fn next_record(&mut self, file: &Arc<str>) -> Result<Scanned> {
        // Where the search for the record's end stands: offset from `start`, and whether the
        // byte before it opened or closed quotes.
        let mut seek = Seek::default();
        if self.byte == 0 && self.filled == 0 {
            self.refill(file)?;
            if self.buffer.starts_with(b"\xEF\xBB\xBF") && self.filled >= 3 {
                (self.start, self.byte) = (3, 3);
            }
        }
        loop {
            let window = self.buffer.get(self.start..self.filled).unwrap_or_default();
            if let Some(end) = seek.find_end(window, self.separator) {
                let quoted = seek.any_quote;
                let content = window.get(..end).unwrap_or_default();
                let length = content.strip_suffix(b"\r").map_or(end, <[u8]>::len);
                let inner_lines = if quoted { memchr::memchr_iter(b'\n', content).count() as u64 } else { 0 };
                let record = RecordBytes {
                    range: self.start..self.start + length,
                    line: self.line,
                    byte: self.byte,
                    quoted,
                };
                self.start += end + 1;
                self.line += 1 + inner_lines;
                self.byte += end as u64 + 1;
                if length == 0 {
                    seek = Seek::default();
                    continue;
                }
                return Ok(Scanned::Record(record));
            }
            if self.eof {
                if window.is_empty() {
                    return Ok(Scanned::End);
                }
                if seek.in_quotes {
                    let opened = window.get(..seek.opened_at).unwrap_or_default();
                    return Ok(Scanned::Unclosed {
                        line: self.line + memchr::memchr_iter(b'\n', opened).count() as u64,
                    });
                }
                let length = window.strip_suffix(b"\r").map_or(window.len(), <[u8]>::len);
                let record = RecordBytes {
                    range: self.start..self.start + length,
                    line: self.line,
                    byte: self.byte,
                    quoted: seek.any_quote,
                };
                self.byte += window.len() as u64;
                self.start = self.filled;
                return Ok(if length == 0 { Scanned::End } else { Scanned::Record(record) });
            }
            if window.len() > self.max {
                return Ok(Scanned::TooLong { line: self.line });
            }
            self.refill(file)?;
        }
    }
}

/// Search for the end of a record, resumable when more bytes arrive.
#[derive(Default)]
struct Seek {
    at: usize,
    in_quotes: bool,
    any_quote: bool,
    opened_at: usize,
    closed_at: Option<usize>,
}

impl Seek {
    /// Offset of the line feed that ends the record. A quote opens a quoted field only where a
    /// field begins, or right after one that closed it (a doubled quote); elsewhere it is text, as
    /// in `disque 5"`.
    fn find_end(&mut self, window: &[u8], separator: u8) -> Option<usize> {
        while let Some(i) = memchr::memchr2(b'\n', b'"', window.get(self.at..).unwrap_or_default()) {
            let at = self.at + i;
            self.at = at + 1;
            if window.get(at) == Some(&b'\n') {
                if !self.in_quotes {
                    return Some(at);
                }
                continue;
            }
            let before = at.checked_sub(1).and_then(|b| window.get(b)).copied();
            if self.in_quotes {
                self.in_quotes = false;
                self.closed_at = Some(at);
            } else if before.is_none_or(|b| b == separator)
                || (self.closed_at.is_some() && self.closed_at == at.checked_sub(1))
            {
                self.any_quote = true;
                self.in_quotes = true;
                self.opened_at = at;
            }
        }
        self.at = window.len();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &[u8]) -> Vec<(u64, u64, Vec<String>)> {
        let file: Arc<str> = "f.csv".into();
        let mut s = Scanner::new(Box::new(std::io::Cursor::new(text.to_vec())), b';', 1 << 20);
        s.buffer = vec![0; 7];
        let mut out = Vec::new();
        while let Scanned::Record(r) = s.next_record(&file).unwrap() {
            let fields = Fields::new(s.bytes(&r.range), b';', r.quoted);
            out.push((r.line, r.byte, fields.map(|f| lossless(&f)).collect()));
        }
        out
    }

    fn row(line: u64, byte: u64, fields: &[&str]) -> (u64, u64, Vec<String>) {
        (line, byte, fields.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn quotes_blank_lines_and_crlf_keep_exact_lines_and_bytes() {
        let text = b"a;b\r\n\r\n\"x;\"\"y\"\"\nz\";2\n;\n3;4";
        assert_eq!(
            records(text),
            [
                row(1, 0, &["a", "b"]),
                row(3, 7, &["x;\"y\"\nz", "2"]),
                row(5, 21, &["", ""]),
                row(6, 23, &["3", "4"])
            ]
        );
    }

    #[test]
    fn a_quote_inside_a_plain_field_is_text() {
        let text = b"disque 5\";2\n3;4\"\n\"a\"\"b\";\"c\"d\"\n";
        assert_eq!(
            records(text),
            [row(1, 0, &["disque 5\"", "2"]), row(2, 12, &["3", "4\""]), row(3, 17, &["a\"b", "cd\""])]
        );
    }

    #[test]
    fn an_unclosed_quote_is_told_at_the_line_where_it_opens() {
        let mut s = Scanner::new(Box::new(&b"a;b\n1;2\n3;\"4\n5;6\n"[..]), b';', 1 << 20);
        let file: Arc<str> = "f".into();
        let mut last = Scanned::End;
        for _ in 0..3 {
            last = s.next_record(&file).unwrap();
        }
        assert!(matches!(last, Scanned::Unclosed { line: 3 }));
    }

    #[test]
    fn a_line_without_end_is_refused_in_bounded_memory() {
        let mut s = Scanner::new(Box::new(std::io::repeat(b'x')), b';', 1 << 20);
        assert!(matches!(s.next_record(&"f".into()).unwrap(), Scanned::TooLong { line: 1 }));
        assert!(s.buffer.len() <= (1 << 20) + 1);
    }
}
