//! What every XML form has in common: quick-xml hands out events and never resolves anything. A
//! DOCTYPE is not fetched, declared entities are refused, so neither expansion nor inclusion can
//! happen; depth, attributes and the length of a record are bounded.

use super::lines::LineReader;
use super::{Delivered, FileFindings, Limits, Place};
use crate::codes::Code;
use crate::finding::{Finding, Severity};
use quick_xml::Reader;
use quick_xml::errors::IllFormedError;
use quick_xml::events::{BytesStart, Event};
use std::sync::Arc;

/// Attributes of one element: no form has more than a dozen.
pub(super) const ATTRIBUTES_MAX: usize = 100;

const ILL_FORMED: &str = "balises mal imbriquées ou mal écrites";

/// Why a document is refused.
pub(super) type Refusal = (Code, String);

/// What an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Continue,
    Record,
    End,
}

/// A form of documents. Depth 1 is the root.
pub(super) trait Form {
    /// Local name of the root, for messages.
    fn root(&self) -> String;
    /// An element begins. `place` is asked for only when it matters.
    fn start(
        &mut self,
        depth: usize,
        tag: &BytesStart<'_>,
        place: &mut dyn FnMut() -> Place,
    ) -> Result<(), Refusal>;
    /// The element at `depth` ends; whether it was a record.
    fn end(&mut self, depth: usize, name: &str) -> bool;
    /// Text inside an element whose text is wanted.
    fn text(&mut self, text: &str);
    /// Whether text counts here.
    fn wants_text(&self) -> bool;
    /// A comment at the top of the document.
    fn comment(&mut self, _text: &str) {}
    /// Marks where a new record begins, so that its length can be bounded.
    fn begins_record(&mut self) -> bool;
}

/// Walks through a document.
pub(super) struct Walk<'a> {
    xml: Reader<LineReader<'a>>,
    buffer: Vec<u8>,
    file: Arc<str>,
    limits: Limits,
    depth: usize,
    root_seen: bool,
    /// Only a part of a document is walked through.
    part: bool,
    pub(super) records: u64,
    pub(super) end: FileFindings,
    pub(super) done: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(file: Delivered<'a>, limits: Limits) -> Self {
        Walk {
            file: file.name.into(),
            xml: Reader::from_reader(LineReader::new(file.input, limits.record_bytes_max)),
            buffer: Vec::new(),
            limits,
            depth: 0,
            root_seen: false,
            part: false,
            records: 0,
            end: FileFindings::default(),
            done: false,
        }
    }

    /// A walk through a part of a document whose root is open: its end is no fault.
    pub(super) fn resume(
        root: &str,
        part: String,
        start: Place,
        byte_is_char: bool,
        file: Arc<str>,
        limits: Limits,
    ) -> Walk<'static> {
        let tag = format!("<{root}>");
        let byte = start.byte.saturating_sub(tag.len() as u64);
        let lines = LineReader::over(tag + &part, start.line, byte, byte_is_char);
        Walk {
            file,
            xml: Reader::from_reader(lines),
            buffer: Vec::new(),
            limits,
            depth: 0,
            root_seen: false,
            part: true,
            records: start.record,
            end: FileFindings::default(),
            done: false,
        }
    }

    /// Whether the walk stands between the children of the root.
    pub(super) fn in_root(&self) -> bool {
        self.depth == 1
    }

    /// The bytes to come. What is taken here, the walk does not see.
    pub(super) fn lines(&mut self) -> &mut LineReader<'a> {
        self.xml.get_mut()
    }

    pub(super) fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The next event.
    pub(super) fn step(&mut self, form: &mut impl Form) -> Step {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        let event = self.xml.read_event_into(&mut buffer);
        let step = match event {
            Ok(event) => self.event(event, form),
            Err(e) => Err(self.broken(&e)),
        };
        self.buffer = buffer;
        step.unwrap_or_else(|refusal| self.refuse(refusal))
    }

    pub(super) fn refuse(&mut self, (code, message): Refusal) -> Step {
        let (line, byte) = self.xml.get_mut().place();
        let place = Place { line, record: 0, byte };
        let finding = Finding::new(code, place.origin(&self.file, &"".into()), message);
        // Whatever the code weighs on a record, here it ends the reading.
        self.end.refusal = Some(Finding { severity: Severity::Refusal, ..finding });
        self.done = true;
        Step::End
    }

    fn broken(&self, e: &quick_xml::Error) -> Refusal {
        let reader = self.xml.get_ref();
        if let Some(name) = &reader.unsupported {
            let message = format!(
                "encodage « {name} » : seuls UTF-8, ISO-8859-15, ISO-8859-1 et windows-1252 sont lus"
            );
            return (Code::XmlEncoding, message);
        }
        if reader.too_long {
            return (
                Code::FileLimit,
                format!("un enregistrement dépasse {} Mio", self.limits.record_bytes_max >> 20),
            );
        }
        if reader.failed {
            return (Code::RecvPartial, "la lecture du fichier s'est interrompue".into());
        }
        // Past a part of a document there is more: it does not end in a tag, it is badly written.
        match (reader.at_end() && !self.part, e) {
            // The parser stumbles on the end of the file inside a tag, a reference or a character.
            (
                true,
                quick_xml::Error::Syntax(_)
                | quick_xml::Error::Encoding(_)
                | quick_xml::Error::IllFormed(
                    IllFormedError::MissingEndTag(_) | IllFormedError::UnclosedReference,
                ),
            ) => (Code::XmlTruncated, "le fichier s'arrête au milieu d'une balise ou d'un caractère".into()),
            (_, quick_xml::Error::Encoding(_)) => {
                (Code::XmlMalformed, "octets hors de l'encodage déclaré".into())
            }
            _ => (Code::XmlMalformed, ILL_FORMED.into()),
        }
    }

    /// `marks` are the bytes around the tag's text: `<>` or `</>`.
    fn start(&mut self, tag: &BytesStart<'_>, marks: u64, form: &mut impl Form) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > self.limits.depth_max {
            return Err((Code::FileLimit, format!("plus de {} niveaux d'éléments", self.limits.depth_max)));
        }
        // `a=""` and a space: a short tag cannot hold so many.
        if tag.len() > 5 * ATTRIBUTES_MAX && tag.attributes().with_checks(false).nth(ATTRIBUTES_MAX).is_some()
        {
            return Err((Code::FileLimit, format!("un élément porte plus de {ATTRIBUTES_MAX} attributs")));
        }
        if self.depth == 1 {
            if self.root_seen {
                return Err((Code::XmlMalformed, "un second document suit la fin du premier".into()));
            }
            self.root_seen = true;
        }
        let (xml, record) = (&mut self.xml, self.records + 1);
        let mut place = || {
            let (line, byte) = xml.get_mut().place();
            Place { line, record, byte: byte.saturating_sub(tag.len() as u64 + marks) }
        };
        form.start(self.depth, tag, &mut place)?;
        if form.begins_record() {
            self.xml.get_mut().since_mark = 0;
        }
        Ok(())
    }

    fn finish(&mut self, name: &str, form: &mut impl Form) -> Step {
        let depth = self.depth;
        self.depth = depth.saturating_sub(1);
        if form.end(depth, name) {
            self.records += 1;
            Step::Record
        } else {
            Step::Continue
        }
    }

    fn event(&mut self, event: Event<'_>, form: &mut impl Form) -> Result<Step, Refusal> {
        match event {
            Event::Start(tag) => self.start(&tag, 2, form)?,
            Event::Empty(tag) => {
                self.start(&tag, 3, form)?;
                return Ok(self.finish(tag.name().as_ref(), form));
            }
            Event::End(tag) => return Ok(self.finish(tag.name().as_ref(), form)),
            Event::Text(text) => {
                if form.wants_text() {
                    form.text(&text.xml10_content());
                } else if self.depth == 0 && self.root_seen && !text.trim().is_empty() {
                    return Err((Code::XmlMalformed, "texte après la fin du document".into()));
                }
            }
            Event::CData(text) if form.wants_text() => form.text(&text.xml10_content()),
            Event::GeneralRef(entity) => {
                let resolved = match &*entity.xml10_content() {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => entity.resolve_char_ref().ok().flatten(),
                };
                let Some(c) = resolved else {
                    let message = "entité autre que &amp; &lt; &gt; &quot; &apos; ou un caractère";
                    return Err((Code::XmlEntity, message.into()));
                };
                if form.wants_text() {
                    form.text(c.encode_utf8(&mut [0; 4]));
                }
            }
            Event::DocType(text) if text.contains('[') => {
                return Err((Code::XmlDtd, "le DOCTYPE porte un sous-ensemble interne".into()));
            }
            Event::Comment(text) if self.records == 0 && self.depth <= 1 => {
                form.comment(&text);
            }
            Event::CData(_) | Event::DocType(_) | Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => {
                if self.part && self.depth > 1 {
                    return Err((Code::XmlMalformed, ILL_FORMED.into()));
                }
                if self.depth > usize::from(self.part) {
                    return Err((Code::XmlTruncated, format!("la balise de fin </{}> manque", form.root())));
                }
                if !self.root_seen && self.xml.get_mut().place().1 == 0 {
                    return Err((Code::RecvEmpty, "le fichier est vide".into()));
                }
                if !self.root_seen {
                    return Err((Code::XmlRoot, format!("la racine <{}> manque", form.root())));
                }
                self.done = true;
                return Ok(Step::End);
            }
        }
        Ok(Step::Continue)
    }
}

/// The value of an attribute, unescaped; entities other than the predefined ones leave it as written.
pub(super) fn attribute(tag: &BytesStart<'_>, wanted: &str) -> Option<String> {
    tag.attributes()
        .with_checks(false)
        .flatten()
        .find(|a| local(a.key.as_ref()) == wanted)
        .map(|a| unescaped(&a.value))
}

/// Predefined entities and character references as characters.
pub(super) fn unescaped(value: &str) -> String {
    quick_xml::escape::unescape(value).map_or_else(|_| value.to_owned(), std::borrow::Cow::into_owned)
}

/// A name without its prefix.
pub(super) fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, l)| l)
}
