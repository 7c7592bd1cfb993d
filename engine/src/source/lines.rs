//! Feeds UTF-8 to the XML parser, whatever the file's encoding; knows the line and byte of what
//! was consumed; stops a record that grows past the limit.

use super::{lossless, printable};
use encoding_rs::{Encoding, UTF_8};
use std::io::{BufRead, Read};

/// Bytes read at once.
const BLOCK: usize = 256 << 10;

pub(super) struct LineReader<'a> {
    input: Box<dyn Read + Send + 'a>,
    raw: Vec<u8>,
    decoded: Vec<u8>,
    position: usize,
    /// Up to where lines and bytes were counted: counting in large runs costs next to nothing.
    counted: usize,
    decoder: Option<encoding_rs::Decoder>,
    /// A single-byte encoding: one byte of the file is a character.
    byte_is_char: bool,
    started: bool,
    eof: bool,
    lines_before: u64,
    bytes_before: u64,
    pub(super) since_mark: usize,
    max: usize,
    pub(super) too_long: bool,
    pub(super) failed: bool,
    pub(super) unsupported: Option<String>,
}

impl<'a> LineReader<'a> {
    pub(super) fn new(input: Box<dyn Read + Send + 'a>, max: usize) -> Self {
        LineReader {
            input,
            raw: Vec::new(),
            decoded: Vec::new(),
            position: 0,
            counted: 0,
            decoder: None,
            byte_is_char: false,
            started: false,
            eof: false,
            lines_before: 1,
            bytes_before: 0,
            since_mark: 0,
            max,
            too_long: false,
            failed: false,
            unsupported: None,
        }
    }

    /// Reads a text that was read before: what comes first has this line and byte in its file.
    pub(super) fn over(text: String, line: u64, byte: u64, byte_is_char: bool) -> LineReader<'static> {
        let mut lines = LineReader::new(Box::new(std::io::empty()), usize::MAX);
        (lines.started, lines.eof, lines.byte_is_char) = (true, true, byte_is_char);
        lines.give_back(text.into_bytes(), line, byte);
        lines
    }

    /// Takes back the last of what was consumed, whose first byte has this place.
    pub(super) fn give_back(&mut self, bytes: Vec<u8>, line: u64, byte: u64) {
        let unread = self.decoded.split_off(self.position.min(self.decoded.len()));
        self.decoded = bytes;
        self.decoded.extend(unread);
        (self.position, self.counted) = (0, 0);
        (self.lines_before, self.bytes_before) = (line, byte);
    }

    /// Whether everything was consumed.
    pub(super) fn at_end(&self) -> bool {
        self.eof && self.position >= self.decoded.len()
    }

    /// Whether a character is a byte of the file, in a single-byte encoding.
    pub(super) fn byte_is_char(&self) -> bool {
        self.byte_is_char
    }

    fn count(&mut self) {
        let used = self.decoded.get(self.counted..self.position).unwrap_or_default();
        self.lines_before += memchr::memchr_iter(b'\n', used).count() as u64;
        self.bytes_before += match self.byte_is_char {
            false => used.len() as u64,
            true => used.iter().filter(|b| (**b & 0xC0) != 0x80).count() as u64,
        };
        self.counted = self.position;
    }

    /// Line (from 1) and byte (from 0) of what comes next.
    pub(super) fn place(&mut self) -> (u64, u64) {
        self.count();
        (self.lines_before, self.bytes_before)
    }

    /// The encoding of the XML declaration, read on the first bytes.
    pub(super) fn declared_encoding(head: &[u8]) -> Result<&'static Encoding, String> {
        if head.starts_with(b"\xFF\xFE")
            || head.starts_with(b"\xFE\xFF")
            || head.iter().take(4).any(|b| *b == 0)
        {
            return Err("UTF-16".into());
        }
        let head = lossless(head.get(..head.len().min(200)).unwrap_or_default());
        let Some(declaration) =
            head.trim_start_matches('\u{FEFF}').strip_prefix("<?xml").and_then(|d| d.split_once("?>"))
        else {
            return Ok(UTF_8);
        };
        let Some((_, after)) = declaration.0.split_once("encoding") else { return Ok(UTF_8) };
        let name: String = after
            .chars()
            .skip_while(|c| " ='\"\t\r\n".contains(*c))
            .take_while(|c| !"'\" ?".contains(*c))
            .collect();
        match name.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" | "us-ascii" => Ok(UTF_8),
            "iso-8859-15" | "latin-9" | "latin9" => Ok(encoding_rs::ISO_8859_15),
            "iso-8859-1" | "latin1" | "windows-1252" | "cp1252" => Ok(encoding_rs::WINDOWS_1252),
            _ => Err(printable(&name)),
        }
    }

    fn fill(&mut self) -> std::io::Result<()> {
        self.count();
        (self.position, self.counted) = (0, 0);
        // UTF-8 is read to where it is parsed; other encodings pass through `raw`.
        let room = if self.decoder.is_some() { &mut self.raw } else { &mut self.decoded };
        room.resize(BLOCK, 0);
        let n = loop {
            match self.input.read(room) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                // What failed once does not heal: whoever reads next must see it too.
                _ if self.failed => return Err(std::io::Error::from(std::io::ErrorKind::Other)),
                other => {
                    self.failed = other.is_err();
                    break other?;
                }
            }
        };
        room.truncate(n);
        self.eof = n == 0;
        if !self.started {
            self.started = true;
            match Self::declared_encoding(&self.decoded) {
                Ok(encoding) if encoding == UTF_8 => {}
                Ok(other) => {
                    self.decoder = Some(other.new_decoder_without_bom_handling());
                    self.byte_is_char = true;
                    std::mem::swap(&mut self.raw, &mut self.decoded);
                }
                Err(name) => {
                    self.unsupported = Some(name);
                    return Err(std::io::Error::from(std::io::ErrorKind::InvalidData));
                }
            }
        }
        if let Some(decoder) = &mut self.decoder {
            let mut text = String::with_capacity(decoder.max_utf8_buffer_length(n).unwrap_or(n * 3));
            let _ = decoder.decode_to_string(&self.raw, &mut text, n == 0);
            self.decoded = text.into_bytes();
        }
        Ok(())
    }
}

impl Read for LineReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let n = available.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..n), available.get(..n)) {
            to.copy_from_slice(from);
        }
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for LineReader<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.since_mark > self.max {
            self.too_long = true;
            return Err(std::io::Error::from(std::io::ErrorKind::InvalidData));
        }
        if self.position >= self.decoded.len() && !self.eof {
            self.fill()?;
        }
        Ok(self.decoded.get(self.position..).unwrap_or_default())
    }

    fn consume(&mut self, amount: usize) {
        self.since_mark += amount;
        self.position += amount;
    }
}
