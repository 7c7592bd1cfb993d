//! AAF files (`ficAlimMENESR`, SDET annexe 4bis), Complet exports: one `addRequest` a record.
//!
//! quick-xml hands out events and never resolves anything: a DOCTYPE is not fetched, declared
//! entities are refused, so neither expansion nor inclusion can happen.

use super::{FileFindings, Limits, Place, RawBatch, RawColumns, RecordReader, lossless};
use crate::codes::Code;
use crate::contract::Contract;
use crate::error::Result;
use crate::finding::Finding;
use encoding_rs::{Encoding, UTF_8};
use quick_xml::Reader;
use quick_xml::errors::IllFormedError;
use quick_xml::events::{BytesStart, Event};
use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, Read};
use std::ops::Range;
use std::sync::Arc;

const ROOT: &str = "ficAlimMENESR";

/// Where the reader stands inside a request.
#[derive(Clone, Copy, PartialEq)]
enum Section {
    None,
    Operational,
    Identifier,
    Attributes,
}

/// Reads an AAF file by its contract.
pub struct AafReader<'a> {
    contract: &'a Contract,
    category: &'a str,
    file: Arc<str>,
    xml: Reader<LineReader<'a>>,
    buffer: Vec<u8>,
    limits: Limits,
    attributes: HashMap<Arc<str>, usize>,
    unknown: BTreeSet<String>,
    records: u64,
    depth: usize,
    root_seen: bool,
    end: FileFindings,
    done: bool,
    request: Request,
}

/// The request being read: all its texts in one buffer, and who they belong to.
struct Request {
    place: Place,
    open: bool,
    section: Section,
    attribute: Option<usize>,
    in_value: bool,
    value_start: usize,
    text: String,
    values: Vec<(usize, Range<usize>)>,
    category: String,
    id: String,
}

enum Step {
    Continue,
    Record,
    End,
}

impl<'a> AafReader<'a> {
    pub(super) fn new(
        contract: &'a Contract,
        file: &str,
        input: Box<dyn Read + Send + 'a>,
        category: &'a str,
        limits: Limits,
    ) -> Self {
        let attributes = contract
            .columns
            .iter()
            .enumerate()
            .flat_map(|(i, c)| {
                std::iter::once((c.name.clone(), i))
                    .chain(c.aliases.iter().map(move |a| (a.as_str().into(), i)))
            })
            .collect();
        AafReader {
            contract,
            category,
            file: file.into(),
            xml: Reader::from_reader(LineReader::new(input, limits.record_bytes_max)),
            buffer: Vec::new(),
            limits,
            attributes,
            unknown: BTreeSet::new(),
            records: 0,
            depth: 0,
            root_seen: false,
            end: FileFindings::default(),
            done: false,
            request: Request::new(),
        }
    }

    fn refuse(&mut self, code: Code, message: String) -> Step {
        let place = Place { line: self.xml.get_ref().line, record: 0, byte: self.xml.get_ref().byte };
        self.end.refusal = Some(Finding::new(code, place.origin(&self.file, &"".into()), message));
        self.done = true;
        Step::End
    }

    fn step(&mut self) -> Step {
        self.buffer.clear();
        let mut buffer = std::mem::take(&mut self.buffer);
        let event = self.xml.read_event_into(&mut buffer);
        let step = match event {
            Ok(event) => self.event(event),
            Err(e) => self.broken_xml(&e),
        };
        self.buffer = buffer;
        step
    }

    fn broken_xml(&mut self, e: &quick_xml::Error) -> Step {
        let reader = self.xml.get_ref();
        if let Some(name) = &reader.unsupported {
            let message = format!(
                "encodage « {name} » : seuls UTF-8, ISO-8859-15, ISO-8859-1 et windows-1252 sont lus"
            );
            return self.refuse(Code::XmlEncoding, message);
        }
        if reader.too_long {
            let max = self.limits.record_bytes_max >> 20;
            return self.refuse(Code::FileLimit, format!("une requête dépasse {max} Mio"));
        }
        if reader.failed {
            return self.refuse(Code::RecvPartial, "la lecture du fichier s'est interrompue".into());
        }
        match (reader.eof, e) {
            // The parser stumbles on the end of the file inside a tag, a reference or a character.
            (
                true,
                quick_xml::Error::Syntax(_)
                | quick_xml::Error::Encoding(_)
                | quick_xml::Error::IllFormed(
                    IllFormedError::MissingEndTag(_) | IllFormedError::UnclosedReference,
                ),
            ) => self.refuse(
                Code::XmlTruncated,
                "le fichier s'arrête au milieu d'une balise ou d'un caractère".into(),
            ),
            (_, quick_xml::Error::Encoding(_)) => {
                self.refuse(Code::XmlMalformed, "octets hors de l'encodage déclaré".into())
            }
            _ => self.refuse(Code::XmlMalformed, "balises mal imbriquées ou mal écrites".into()),
        }
    }

    fn event(&mut self, event: Event<'_>) -> Step {
        match event {
            Event::Start(tag) => {
                self.depth += 1;
                self.start(&tag)
            }
            Event::Empty(tag) => {
                self.depth += 1;
                let step = self.start(&tag);
                if !matches!(step, Step::Continue) {
                    return step;
                }
                self.depth -= 1;
                self.close(tag.name().as_ref())
            }
            Event::End(tag) => {
                self.depth = self.depth.saturating_sub(1);
                self.close(tag.name().as_ref())
            }
            Event::Text(text) => {
                if self.request.in_value {
                    self.request.text.push_str(&text.xml10_content());
                } else if self.depth == 0 && self.root_seen && !text.trim().is_empty() {
                    return self.refuse(Code::XmlMalformed, "texte après la fin du document".into());
                }
                Step::Continue
            }
            Event::CData(text) => {
                if self.request.in_value {
                    self.request.text.push_str(&text.xml10_content());
                }
                Step::Continue
            }
            Event::GeneralRef(entity) => {
                let resolved = match &*entity.xml10_content() {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => entity.resolve_char_ref().ok().flatten(),
                };
                match resolved {
                    Some(c) if self.request.in_value => self.request.text.push(c),
                    Some(_) => {}
                    None => {
                        return self.refuse(
                            Code::XmlEntity,
                            "entité autre que &amp; &lt; &gt; &quot; &apos; ou un caractère".into(),
                        );
                    }
                }
                Step::Continue
            }
            Event::DocType(text) => {
                if text.contains('[') {
                    return self.refuse(Code::XmlDtd, "le DOCTYPE porte un sous-ensemble interne".into());
                }
                Step::Continue
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => Step::Continue,
            Event::Eof => {
                if self.depth > 0 {
                    return self.refuse(Code::XmlTruncated, format!("la balise de fin </{ROOT}> manque"));
                }
                if !self.root_seen {
                    return self.refuse(
                        Code::XmlRoot,
                        format!("la racine <{ROOT}> manque : ce n'est pas un fichier AAF"),
                    );
                }
                self.done = true;
                Step::End
            }
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Step {
        let name = tag.name();
        let name: &str = name.as_ref();
        match (self.depth, name) {
            (1, ROOT) if !self.root_seen => self.root_seen = true,
            (1, _) => return self.refuse(Code::XmlRoot, format!("la racine attendue est <{ROOT}>")),
            (2, "addRequest") => {
                self.records += 1;
                let reader = self.xml.get_mut();
                reader.since_mark = 0;
                let place = Place {
                    line: reader.line,
                    record: self.records,
                    byte: reader.byte.saturating_sub(tag.len() as u64 + 2),
                };
                self.request.begin(place);
            }
            (2, "modifyRequest" | "deleteRequest") => {
                return self.refuse(Code::AafRequest, format!("requête <{name}> : export Delta"));
            }
            (3, "operationalAttributes") => self.request.section = Section::Operational,
            (3, "identifier") => self.request.section = Section::Identifier,
            (3, "attributes") => self.request.section = Section::Attributes,
            (4, "attr") => return self.start_attribute(tag),
            (4, "id") | (5, "value") => {
                self.request.in_value = true;
                self.request.value_start = self.request.text.len();
            }
            _ => {
                return self.refuse(
                    Code::XmlMalformed,
                    format!("élément <{}> inattendu à cet endroit", printable(name)),
                );
            }
        }
        Step::Continue
    }

    fn start_attribute(&mut self, tag: &BytesStart<'_>) -> Step {
        let name = match tag.try_get_attribute("name") {
            Ok(Some(a)) => a.value.into_owned(),
            _ => return self.refuse(Code::XmlMalformed, "élément <attr> sans attribut « name »".into()),
        };
        self.request.attribute = self.attributes.get(name.as_str()).copied();
        if self.request.attribute.is_none()
            && self.request.section == Section::Attributes
            && self.unknown.len() < 1000
        {
            let name = printable(&name);
            if !self.unknown.contains(&name) {
                let place = Place {
                    line: self.xml.get_ref().line,
                    record: self.records,
                    byte: self.xml.get_ref().byte,
                };
                self.end.findings.push(Finding::new(
                    Code::AafAttributeUnknown,
                    place.origin(&self.file, &name.as_str().into()),
                    "attribut inconnu du contrat, signalé une fois : il n'est pas repris",
                ));
                self.unknown.insert(name);
            }
        }
        Step::Continue
    }

    fn close(&mut self, name: &str) -> Step {
        // `depth` is already that of the parent.
        let request = &mut self.request;
        match (self.depth, name) {
            (1, "addRequest") if request.open => {
                request.open = false;
                return Step::Record;
            }
            (2, _) => request.section = Section::None,
            (3, "attr") => request.attribute = None,
            (3, "id") if request.in_value => {
                request.in_value = false;
                request.id = request.text.split_off(request.value_start);
            }
            (4, "value") if request.in_value => {
                request.in_value = false;
                let range = request.value_start..request.text.len();
                match (request.section, request.attribute) {
                    (Section::Operational, _) => request.category = request.text.split_off(range.start),
                    (Section::Attributes, Some(column)) => request.values.push((column, range)),
                    _ => request.text.truncate(range.start),
                }
            }
            _ => {}
        }
        Step::Continue
    }

    /// Moves the finished request into the columns.
    fn emit(&mut self, columns: &mut RawColumns, batch: &mut RawBatch) {
        let row = batch.places.len();
        let request = &mut self.request;
        batch.places.push(request.place);
        let value = |r: &Range<usize>| request.text.get(r.clone()).unwrap_or_default();
        // Values of one attribute stay in their order: the sort is stable.
        request.values.sort_by_key(|(column, _)| *column);
        let key = self.contract.key.first().copied();
        let key_value = request.values.iter().find(|(c, _)| Some(*c) == key).map_or("", |(_, r)| value(r));
        let no_column: Arc<str> = "".into();
        let mut fault = None;
        if request.category != self.category {
            fault = Some((
                Code::AafCategory,
                no_column.clone(),
                format!("catégorie « {} » attendue dans ce fichier", self.category),
            ));
        } else if request.id.is_empty() || request.id != key_value {
            let name = key.and_then(|k| self.contract.columns.get(k)).map_or(&no_column, |c| &c.name);
            fault = Some((
                Code::AafIdentifier,
                name.clone(),
                "l'élément <id> est vide ou diffère de l'attribut clé".into(),
            ));
        } else if request.text.contains('\0') {
            fault = Some((Code::EncNul, no_column.clone(), "caractère nul dans une valeur".into()));
        }
        if let Some((code, column, message)) = fault {
            batch.broken.push((row, Finding::new(code, request.place.origin(&self.file, &column), message)));
            let name = |c: usize| self.contract.columns.get(c).map_or("", |c| &*c.name);
            let mut raw = format!("categorie={}\nid={}", request.category, request.id);
            for (column, range) in &request.values {
                raw.push_str(&format!("\n{}={}", name(*column), value(range)));
            }
            batch.raw.push((row, raw));
            (0..self.contract.columns.len()).for_each(|c| columns.push(c, None));
            return;
        }
        let mut rest = request.values.as_slice();
        for column in 0..self.contract.columns.len() {
            let count = rest.iter().take_while(|(c, _)| *c == column).count();
            let (mine, after) = rest.split_at(count);
            rest = after;
            if columns.is_list(column) {
                columns.push_list(column, mine.iter().map(|(_, r)| value(r)));
                continue;
            }
            let mut filled = mine.iter().map(|(_, r)| value(r)).filter(|v| !v.is_empty());
            let first = filled.next();
            if filled.next().is_some() {
                let name = self.contract.columns.get(column).map_or(&no_column, |c| &c.name);
                let finding = Finding::new(
                    Code::MultipleValues,
                    request.place.origin(&self.file, name),
                    "une seule valeur est admise",
                );
                batch.broken.push((row, finding));
                let all: Vec<&str> = mine.iter().map(|(_, r)| value(r)).collect();
                batch.raw.push((row, format!("{name}={}", all.join("|"))));
            }
            columns.push(column, first);
        }
    }
}

impl RecordReader for AafReader<'_> {
    fn next_batch(&mut self) -> Result<Option<RawBatch>> {
        if self.done {
            return Ok(None);
        }
        let mut columns = RawColumns::new(self.contract);
        let mut batch =
            RawBatch { columns: Vec::new(), places: Vec::new(), broken: Vec::new(), raw: Vec::new() };
        while batch.places.len() < self.limits.batch_records {
            match self.step() {
                Step::Continue => {}
                Step::Record => self.emit(&mut columns, &mut batch),
                Step::End => break,
            }
        }
        batch.columns = columns.finish();
        Ok((!batch.is_empty()).then_some(batch))
    }

    fn finish(&mut self) -> FileFindings {
        std::mem::take(&mut self.end)
    }
}

impl Request {
    fn new() -> Self {
        Request {
            place: Place::default(),
            open: false,
            section: Section::None,
            attribute: None,
            in_value: false,
            value_start: 0,
            text: String::new(),
            values: Vec::new(),
            category: String::new(),
            id: String::new(),
        }
    }

    fn begin(&mut self, place: Place) {
        self.place = place;
        self.open = true;
        self.section = Section::None;
        self.attribute = None;
        self.in_value = false;
        self.text.clear();
        self.values.clear();
        self.category.clear();
        self.id.clear();
    }
}

/// Names come from foreign files: shown only when they look like names.
fn printable(name: &str) -> String {
    let fits =
        name.len() <= 80 && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':'));
    if fits { name.to_owned() } else { "(nom illisible)".into() }
}

/// Feeds UTF-8 to the parser, whatever the file's encoding; counts lines and bytes of what was
/// consumed; stops a request that grows past the limit.
struct LineReader<'a> {
    input: Box<dyn Read + Send + 'a>,
    raw: Vec<u8>,
    decoded: Vec<u8>,
    position: usize,
    decoder: Option<encoding_rs::Decoder>,
    started: bool,
    eof: bool,
    line: u64,
    byte: u64,
    since_mark: usize,
    max: usize,
    too_long: bool,
    failed: bool,
    unsupported: Option<String>,
}

impl<'a> LineReader<'a> {
    fn new(input: Box<dyn Read + Send + 'a>, max: usize) -> Self {
        LineReader {
            input,
            raw: vec![0; 256 << 10],
            decoded: Vec::new(),
            position: 0,
            decoder: None,
            started: false,
            eof: false,
            line: 1,
            byte: 0,
            since_mark: 0,
            max,
            too_long: false,
            failed: false,
            unsupported: None,
        }
    }

    /// The encoding of the XML declaration, read on the first bytes.
    fn declared_encoding(head: &[u8]) -> Result<&'static Encoding, String> {
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
            "iso-8859-15" => Ok(encoding_rs::ISO_8859_15),
            "iso-8859-1" | "windows-1252" => Ok(encoding_rs::WINDOWS_1252),
            _ => Err(printable(&name)),
        }
    }

    fn fill(&mut self) -> std::io::Result<()> {
        let n = loop {
            match self.input.read(&mut self.raw) {
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                other => {
                    self.failed = other.is_err();
                    break other?;
                }
            }
        };
        let bytes = self.raw.get(..n).unwrap_or_default();
        if !self.started {
            self.started = true;
            match Self::declared_encoding(bytes) {
                Ok(encoding) if encoding == UTF_8 => {}
                Ok(other) => self.decoder = Some(other.new_decoder_without_bom_handling()),
                Err(name) => {
                    self.unsupported = Some(name);
                    return Err(std::io::Error::from(std::io::ErrorKind::InvalidData));
                }
            }
        }
        self.eof = n == 0;
        self.position = 0;
        self.decoded.clear();
        match &mut self.decoder {
            None => self.decoded.extend_from_slice(bytes),
            Some(decoder) => {
                let mut text = String::with_capacity(decoder.max_utf8_buffer_length(n).unwrap_or(n * 3));
                let _ = decoder.decode_to_string(bytes, &mut text, n == 0);
                self.decoded = text.into_bytes();
            }
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
        let used = self.decoded.get(self.position..self.position + amount).unwrap_or_default();
        self.line += memchr::memchr_iter(b'\n', used).count() as u64;
        // In a single-byte encoding a character is a byte of the file.
        self.byte += match self.decoder {
            None => amount as u64,
            Some(_) => used.iter().filter(|b| (**b & 0xC0) != 0x80).count() as u64,
        };
        self.since_mark += amount;
        self.position += amount;
    }
}
