//! Cuts a table file into records (RFC 4180): bounded memory, exact line and byte of each.
//! Written here because no CSV reader at hand tells an unclosed quote from the end of the file,
//! or bounds the length of a record.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::sync::Arc;

/// Fields of one record.
pub(super) struct Fields<'b> {
    rest: Option<&'b [u8]>,
    separator: u8,
    quoted: bool,
}

impl<'b> Fields<'b> {
    pub(super) fn new(bytes: &'b [u8], separator: u8, quoted: bool) -> Self {
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

pub(super) struct RecordBytes {
    pub(super) range: Range<usize>,
    pub(super) line: u64,
    pub(super) byte: u64,
    pub(super) quoted: bool,
}

pub(super) enum Scanned {
    Record(RecordBytes),
    End,
    TooLong { line: u64 },
    Unclosed { line: u64 },
}

/// Cuts the stream into records. `buffer[start..]` is not consumed yet.
pub(super) struct Scanner<'a> {
    input: Box<dyn Read + Send + 'a>,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    eof: bool,
    line: u64,
    byte: u64,
    separator: u8,
    quotes: bool,
    max: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(input: Box<dyn Read + Send + 'a>, separator: u8, max: usize) -> Self {
        Scanner {
            input,
            buffer: vec![0; 256 << 10],
            start: 0,
            filled: 0,
            eof: false,
            line: 1,
            byte: 0,
            separator,
            quotes: true,
            max,
        }
    }

    /// Quotes are text: every line feed ends a record.
    pub(super) fn without_quotes(&mut self) {
        self.quotes = false;
    }

    pub(super) fn set_separator(&mut self, separator: u8) {
        self.separator = separator;
    }

    pub(super) fn bytes(&self, range: &Range<usize>) -> &[u8] {
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

    pub(super) fn next_record(&mut self, file: &Arc<str>) -> Result<Scanned> {
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
            if let Some(end) = seek.find_end(window, self.separator, self.quotes) {
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
    fn find_end(&mut self, window: &[u8], separator: u8, quotes: bool) -> Option<usize> {
        if !quotes {
            let found = memchr::memchr(b'\n', window.get(self.at..).unwrap_or_default()).map(|i| self.at + i);
            self.at = window.len();
            return found;
        }
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
    use crate::source::lossless;

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
