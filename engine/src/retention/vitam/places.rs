//! Where the records and fields of a CSV text are, so that a fault can say its line and column.

use std::ops::Range;

/// A record of the text.
pub(super) struct Raw {
    /// Bytes of its fields, quotes included.
    pub fields: Vec<Range<usize>>,
    /// Byte where its form is wrong: an unclosed quote, or text after a closing quote.
    pub broken: Option<usize>,
}

/// Records of a text, empty lines included (one field without bytes).
pub(super) fn records(text: &str) -> Vec<Raw> {
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let mut records = Vec::new();
    while cursor.peek().is_some() {
        records.push(cursor.record());
    }
    records
}

/// Starts of the lines of a text.
pub(super) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub fn new(text: &'t str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        Lines { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    /// Line and column, from 1, of a byte; the column counts characters.
    pub fn place(&self, byte: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= byte).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        (line, self.text.get(start..byte).map_or(0, |t| t.chars().count()) + 1)
    }
}

struct Cursor<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn record(&mut self) -> Raw {
        let mut raw = Raw { fields: Vec::new(), broken: None };
        loop {
            let start = self.at;
            let broken = self.field();
            raw.broken = raw.broken.or(broken);
            raw.fields.push(start..self.at);
            if self.eat(b',') {
                continue;
            }
            let _ = self.eat(b'\r');
            let _ = self.eat(b'\n');
            return raw;
        }
    }

    /// Goes to the end of a field; the byte where its form is wrong.
    fn field(&mut self) -> Option<usize> {
        let opened = self.at;
        let mut broken = None;
        if self.eat(b'"') {
            loop {
                match self.peek() {
                    None => return Some(opened),
                    Some(b'"') => {
                        self.at += 1;
                        if !self.eat(b'"') {
                            break;
                        }
                    }
                    Some(_) => self.at += 1,
                }
            }
            broken = self.peek().filter(|b| !matches!(b, b',' | b'\r' | b'\n')).map(|_| self.at);
        }
        while self.peek().is_some_and(|b| !matches!(b, b',' | b'\r' | b'\n')) {
            self.at += 1;
        }
        broken
    }
}
