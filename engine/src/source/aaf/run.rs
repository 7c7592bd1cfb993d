//! Runs of whole `addRequest` elements: cut from the stream without a look at what they say, then read
//! where somebody is free. Only the one way of writing that every export uses is read here; anything
//! else in a run (a comment, CDATA, another element, a fault) leaves it to the event reader, which
//! alone knows how to refuse.

use super::super::columns::RawColumns;
use super::super::lines::LineReader;
use super::super::xml::Walk;
use super::super::{Limits, Place, RawBatch};
use super::request::{Layout, Requests};
use super::{ROOT, read};
use memchr::memmem::Finder;
use quick_xml::escape::unescape;
use std::borrow::Cow;
use std::io::BufRead;
use std::sync::Arc;

const END: &str = "</addRequest>";

/// What the cutter found at the head of the stream.
pub(super) enum Cut {
    /// Whole requests, whose first byte has this place.
    Run { text: String, line: u64, byte: u64, records: u64 },
    /// Something else: the stream stands where it stood.
    Other,
}

/// Cuts the stream after the last whole request of every few megabytes.
pub(super) struct Cutter {
    target: usize,
    request: Finder<'static>,
}

impl Cutter {
    pub(super) fn new(target: usize) -> Self {
        Cutter { target, request: Finder::new("Request") }
    }

    /// The next run.
    pub(super) fn cut(&self, lines: &mut LineReader<'_>) -> Cut {
        let (line, byte) = lines.place();
        let mut text = Vec::with_capacity(self.target);
        while text.len() < self.target {
            // Whatever fails here fails again, and is told, when the stream is read event by event.
            let Ok(available) = lines.fill_buf() else { break };
            // As many bytes as asked for, however they arrive: runs do not depend on the container.
            let Some(more) = available.get(..available.len().min(self.target - text.len())) else { break };
            let n = more.len();
            if n == 0 {
                break;
            }
            text.extend_from_slice(more);
            lines.consume(n);
            lines.since_mark = 0;
        }
        let cut = memchr::memmem::rfind(&text, END.as_bytes()).map(|at| at + END.len());
        let records = cut.and_then(|cut| self.only_requests(text.get(..cut)?));
        let (Some(cut), Some(records)) = (cut, records) else {
            lines.give_back(text, line, byte);
            return Cut::Other;
        };
        let rest = text.split_off(cut);
        let text = match String::from_utf8(text) {
            Ok(text) => text,
            Err(e) => {
                let mut all = e.into_bytes();
                all.extend(rest);
                lines.give_back(all, line, byte);
                return Cut::Other;
            }
        };
        let (end_line, end_byte) = (line + newlines(&text), byte + width(&text, lines.byte_is_char()));
        lines.give_back(rest, end_line, end_byte);
        Cut::Run { text, line, byte, records }
    }

    /// Number of requests, when all that is called a request is an `addRequest` and nothing can hide
    /// a tag: no comment, no CDATA, no instruction.
    fn only_requests(&self, text: &[u8]) -> Option<u64> {
        let hidden = |at: usize| at > 0 && text.get(at - 1) == Some(&b'<');
        if memchr::memchr2_iter(b'!', b'?', text).any(hidden) {
            return None;
        }
        let (mut opened, mut closed) = (0_u64, 0_u64);
        for at in self.request.find_iter(text) {
            let before = text.get(at.saturating_sub(5)..at).unwrap_or_default();
            let closes = text.get(at + 7) == Some(&b'>');
            match closes && before.ends_with(b"add") {
                true if before == b"</add" => closed += 1,
                true if before.ends_with(b"<add") => opened += 1,
                _ => return None,
            }
        }
        (opened == closed).then_some(closed)
    }
}

fn newlines(text: &str) -> u64 {
    memchr::memchr_iter(b'\n', text.as_bytes()).count() as u64
}

/// Bytes that a text takes in the file: in a single-byte encoding, one a character.
fn width(text: &str, byte_is_char: bool) -> u64 {
    if byte_is_char { text.chars().count() as u64 } else { text.len() as u64 }
}

/// Whole requests, not read yet.
pub struct Run<'a> {
    pub(super) layout: Arc<Layout<'a>>,
    pub(super) file: Arc<str>,
    pub(super) text: String,
    /// Place of the first byte, and number of the record before.
    pub(super) start: Place,
    pub(super) records: u64,
    pub(super) byte_is_char: bool,
    pub(super) limits: Limits,
}

impl Run<'_> {
    /// The records as columns; with the refusal that ends the reading, if the run is not what it
    /// looked like.
    pub(in super::super) fn parse(self) -> RawBatch {
        let mut form = Requests::new(self.layout.clone());
        if let Some(batch) = self.straight(&mut form) {
            return batch;
        }
        let mut form = Requests::new(self.layout.clone());
        let (start, text) = (self.start, self.text);
        let mut walk = Walk::resume(ROOT, text, start, self.byte_is_char, self.file, self.limits);
        let limits = Limits { batch_records: usize::MAX, batch_bytes: usize::MAX, ..self.limits };
        let mut batch = read(&mut walk, &mut form, &self.layout, limits);
        batch.unknown.extend(form.take_unknown());
        batch.stop = walk.end.refusal.take();
        batch
    }

    fn straight(&self, form: &mut Requests<'_>) -> Option<RawBatch> {
        let mut columns = RawColumns::new(self.layout.contract, usize::try_from(self.records).ok()?);
        let mut batch = RawBatch::default();
        let mut scan = Scan { text: &self.text, at: 0 };
        let mut place = Counted { run: self, at: 0, place: self.start };
        let mut record = self.start.record;
        loop {
            scan.blank();
            if scan.at == self.text.len() {
                break;
            }
            record += 1;
            place.place.record = record;
            form.begin_add(place.to(scan.at));
            request(&mut scan, form, &mut place)?;
            form.emit(record, &self.file, &mut columns, &mut batch);
        }
        (batch.columns, batch.extra) = columns.finish();
        batch.unknown = form.take_unknown();
        Some(batch)
    }
}

/// One request, from its first tag to its last.
fn request(scan: &mut Scan<'_>, form: &mut Requests<'_>, place: &mut Counted<'_, '_>) -> Option<()> {
    scan.eat("<addRequest>")?;
    loop {
        scan.blank();
        if scan.eat("<attributes>").is_some() {
            while scan.unless("</attributes>") {
                let at = scan.at;
                let name = scan.attribute()?;
                let target = form.target_named(name, &mut || place.to(at)).ok()?;
                let open = scan.open()?;
                while open && scan.unless("</attr>") {
                    form.add_value(target, &scan.element("value")?);
                }
            }
        } else if scan.eat("<operationalAttributes>").is_some() {
            while scan.unless("</operationalAttributes>") {
                scan.attribute()?;
                let open = scan.open()?;
                while open && scan.unless("</attr>") {
                    form.set_category(&scan.element("value")?);
                }
            }
        } else if scan.eat("<identifier>").is_some() {
            while scan.unless("</identifier>") {
                form.set_id(&scan.element("id")?);
            }
        } else {
            return scan.eat(END);
        }
    }
}

/// Line and byte of growing offsets of a run.
struct Counted<'r, 'a> {
    run: &'r Run<'a>,
    at: usize,
    place: Place,
}

impl Counted<'_, '_> {
    fn to(&mut self, at: usize) -> Place {
        let passed = self.run.text.get(self.at..at).unwrap_or_default();
        self.place.line += newlines(passed);
        self.place.byte += width(passed, self.run.byte_is_char);
        self.at = at;
        self.place
    }
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn blank(&mut self) {
        let rest = self.rest().as_bytes();
        self.at += rest.iter().take_while(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')).count();
    }

    fn eat(&mut self, what: &str) -> Option<()> {
        self.rest().as_bytes().starts_with(what.as_bytes()).then(|| self.at += what.len())
    }

    /// Whether something else than this end comes, blanks aside.
    fn unless(&mut self, end: &str) -> bool {
        self.blank();
        self.eat(end).is_none()
    }

    /// The end of a first tag: whether the element goes on.
    fn open(&mut self) -> Option<bool> {
        match self.eat("/>") {
            Some(()) => Some(false),
            None => self.eat(">").map(|()| true),
        }
    }

    /// Text up to a byte, which is passed over.
    fn until(&mut self, byte: u8) -> Option<&'t str> {
        let rest = self.rest();
        let end = memchr::memchr(byte, rest.as_bytes())?;
        self.at += end + 1;
        rest.get(..end)
    }

    /// The name in `<attr name="…"`.
    fn attribute(&mut self) -> Option<&'t str> {
        self.eat("<attr name=\"")?;
        self.until(b'"').filter(|n| !n.contains(['&', '<', '\r', '\n', '\t']))
    }

    /// The text of `<tag>…</tag>` or `<tag/>`.
    fn element(&mut self, tag: &str) -> Option<Cow<'t, str>> {
        self.eat("<")?;
        self.eat(tag)?;
        if !self.open()? {
            return Some(Cow::Borrowed(""));
        }
        let text = self.until(b'<')?;
        self.eat("/")?;
        self.eat(tag)?;
        self.eat(">")?;
        match memchr::memchr2(b'&', b'\r', text.as_bytes()).and_then(|i| text.as_bytes().get(i)) {
            None => Some(Cow::Borrowed(text)),
            Some(b'&') if !text.contains('\r') => unescape(text).ok(),
            // Line ends are the event reader's affair.
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::AafReader;
    use super::*;
    use crate::codes::Code;
    use crate::contract::Contract;
    use crate::finding::Finding;
    use crate::source::{Chunk, Delivered, RecordReader};
    use arrow::array::Array;
    use proptest::prelude::*;

    const CONTRACT: &str = include_str!("../../../contracts/ent_eleve.toml");

    /// All that a file says, one line a record, attribute or fault.
    fn said(contract: &Contract, bytes: &[u8], batch_bytes: usize, runs: bool) -> (Vec<String>, usize) {
        let file: Arc<str> = "f.xml".into();
        let input = Box::new(std::io::Cursor::new(bytes.to_vec()));
        let delivered = Delivered { name: &file, input, path: None, delta: false };
        let limits = Limits { batch_bytes, ..Limits::default() };
        let mut reader = AafReader::new(contract, delivered, "Eleve", None, limits);
        if !runs {
            reader.cutter = Cutter::new(0);
        }
        let (mut out, mut cut, mut stopped) = (Vec::new(), 0, false);
        let mut unknown = std::collections::BTreeMap::new();
        while let Some(chunk) = reader.next_chunk().unwrap() {
            cut += usize::from(matches!(chunk, Chunk::Requests(_)));
            let batch = chunk.parse();
            for (row, place) in batch.places.iter().enumerate() {
                let filled = batch.columns.iter().enumerate().filter(|(_, c)| c.is_valid(row));
                let values: Vec<_> = filled.map(|(i, c)| format!("{i} {:?}", c.slice(row, 1))).collect();
                let extra = batch.extra.as_ref().map(|e| format!("{:?}", e.slice(row, 1)));
                let broken: Vec<_> = batch.broken.iter().filter(|(r, _)| *r == row).collect();
                let raw: Vec<_> = batch.raw.iter().filter(|(r, _)| *r == row).map(|(_, t)| t).collect();
                out.push(format!(
                    "{place:?} {values:?} {extra:?} {:?} {raw:?}",
                    broken.iter().map(|b| &b.1).collect::<Vec<_>>()
                ));
            }
            batch.unknown.into_iter().for_each(|(name, place)| {
                unknown.entry(name).or_insert(place);
            });
            if let Some(stop) = batch.stop {
                out.push(refusal(&stop));
                stopped = true;
                break;
            }
        }
        let end = reader.finish();
        end.unknown.into_iter().for_each(|(name, place)| {
            unknown.entry(name).or_insert(place);
        });
        match end.refusal.filter(|_| !stopped) {
            Some(finding) => out.push(refusal(&finding)),
            // How much of an unfinished record was looked at before a refusal is nobody's concern.
            None if stopped => {}
            None => out.push(format!("{unknown:?} {:?}", end.metadata)),
        }
        (out, cut)
    }

    /// A run cannot know whether a file that is badly written also ends too early, or past which limit
    /// a tag that never ends would go.
    fn refusal(finding: &Finding) -> String {
        match finding.code {
            Code::XmlMalformed | Code::XmlTruncated | Code::FileLimit => "ill-formed".into(),
            _ => format!("{finding:?}"),
        }
    }

    fn same_both_ways(bytes: &[u8], batch_bytes: usize) -> usize {
        let contract = Contract::parse("c.toml", CONTRACT).unwrap();
        let (by_runs, cut) = said(&contract, bytes, batch_bytes, true);
        assert_eq!(by_runs, said(&contract, bytes, batch_bytes, false).0);
        cut
    }

    fn person(n: u64, name: &str, more: &str) -> String {
        format!(
            "<addRequest>\n<operationalAttributes><attr name=\"categoriePersonne\"><value>Eleve</value></attr>\
             </operationalAttributes>\n<identifier><id>{n}</id></identifier>\n<attributes>\n\
             <attr name=\"ENTPersonJointure\"><value>{n}</value></attr>\n<attr name=\"sn\"><value>{name}</value></attr>\n\
             {more}</attributes>\n</addRequest>\n"
        )
    }

    fn file(head: &str, people: &[String], tail: &str) -> String {
        format!("{head}<ficAlimMENESR>\n{}{tail}", people.concat())
    }

    #[test]
    fn plain_requests_are_cut_and_say_what_the_events_say() {
        let unknown = "<attr name=\"ENTInconnu\"><value>x</value><value></value><value/>\
                       <value>y</value></attr>\n<attr name=\"ENTVide\"/>\n";
        let people: Vec<String> = (1..40)
            .map(|n| person(n, "D&apos;Exemple &amp; &#233;", if n % 7 == 0 { unknown } else { "" }))
            .collect();
        let text = file("<?xml version=\"1.0\"?>\n<!-- versionAF=\"X\" -->\n", &people, "</ficAlimMENESR>\n");
        assert!(same_both_ways(text.as_bytes(), 2000) > 3);
        let latin = text.replace("1.0\"?", "1.0\" encoding=\"ISO-8859-15\"?").replace("&#233;", "É");
        let (latin, _, _) = encoding_rs::ISO_8859_15.encode(&latin);
        assert!(same_both_ways(&latin, 2000) > 3);
        assert!(same_both_ways(text.replace('\n', "\r\n").as_bytes(), 2000) > 3);
    }

    #[test]
    fn what_is_not_plain_says_what_the_events_say() {
        let plain = || person(1, "Exemple", "");
        for odd in [
            "<!-- </addRequest> -->\n",
            "<addRequest/>\n",
            "<addRequest></addRequest>\n",
            "<addRequest ></addRequest >\n",
            "<modifyRequest></modifyRequest>\n",
            "<attr name=\"sn\"></attr>",
            "text between\n",
            "<?pi </addRequest>?>",
            "</addRequest>",
            "&unknown;",
            "<addRequest><attributes><attr name=\"sn\"><value><![CDATA[</addRequest>]]></value></attr></attributes></addRequest>",
            "<addRequest><attributes><attr name=\"sn\"><value>&nbsp;</value></attr></attributes></addRequest>",
            "<addRequest><attributes><attr name=\"sn\"><value>a\r\nb</value></attr></attributes></addRequest>",
            "<addRequest><attributes><attr><value>a</value></attr></attributes></addRequest>",
            "<addRequest><attributes><attr name='sn'><value/></attr></attributes></addRequest>",
            "<addRequest><attributes><attr name=\"s&#110;\"><value>Request</value></attr></attributes></addRequest>",
            "<addRequest><attributes><attr name=\"sn\"><value>\0</value></attr></attributes></addRequest>",
        ] {
            let text = file("", &[plain(), odd.to_owned(), plain(), plain()], "</ficAlimMENESR>");
            for batch in [300, 1000, 1 << 20] {
                same_both_ways(text.as_bytes(), batch);
            }
        }
    }

    proptest! {
        #[test]
        fn a_mutated_file_says_the_same_both_ways(
            edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
            batch in 200_usize..3000,
        ) {
            let people: Vec<String> = (1..9).map(|n| person(n, "Élève", "")).collect();
            let mut bytes = file("", &people, "</ficAlimMENESR>").into_bytes();
            for (at, byte, how) in edits {
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, b"<>&/!?\"Rr "[usize::from(byte) % 10]),
                }
            }
            same_both_ways(&bytes, batch);
        }
    }
}
