//! Streaming reader of the archive's messages, SEDA 2.1 to 2.3.
//!
//! A reply comes from another machine: no document type, no entity beyond the five of XML, and
//! every size is bounded, so that the memory used depends on the number of identifiers only.

use crate::error::{Error, Result};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event as Xml};
use std::collections::BTreeMap;
use std::io::{BufRead, Read};

const NAMESPACE: &str = "fr:gouv:culture:archivesdefrance:seda:v";

/// Edition of SEDA of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 2.1 (2018).
    V2_1,
    /// 2.2 (2022).
    V2_2,
    /// 2.3.
    V2_3,
}

impl Version {
    /// Every edition known.
    pub const ALL: [Version; 3] = [Version::V2_1, Version::V2_2, Version::V2_3];

    /// Its number: `2.2`.
    pub fn number(self) -> &'static str {
        match self {
            Version::V2_1 => "2.1",
            Version::V2_2 => "2.2",
            Version::V2_3 => "2.3",
        }
    }

    /// Its XML namespace.
    pub fn namespace(self) -> String {
        format!("{NAMESPACE}{}", self.number())
    }

    pub(super) fn of(namespace: &str) -> Option<Self> {
        let number = namespace.strip_prefix(NAMESPACE)?;
        Version::ALL.into_iter().find(|v| v.number() == number)
    }
}

/// Which message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `Acknowledgement`: received, nothing decided yet.
    Acknowledgement,
    /// `ArchiveTransferReply`: the deposit is accepted or refused.
    Transfer,
    /// `AuthorizationOriginatingAgencyRequestReply`: visa of the producer.
    OriginatingAgency,
    /// `AuthorizationControlAuthorityRequestReply`: visa of the control authority.
    ControlAuthority,
}

impl Kind {
    fn of(root: &str) -> Option<Self> {
        Some(match root {
            "Acknowledgement" => Kind::Acknowledgement,
            "ArchiveTransferReply" => Kind::Transfer,
            "AuthorizationOriginatingAgencyRequestReply" => Kind::OriginatingAgency,
            "AuthorizationControlAuthorityRequestReply" => Kind::ControlAuthority,
            _ => return None,
        })
    }
}

/// `ReplyCode`, or the outcome of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Accepted.
    Ok,
    /// Accepted, with remarks.
    Warning,
    /// Refused: nothing was kept.
    Ko,
    /// The archive broke down: whether it kept something is for its operator to say.
    Fatal,
    /// No code, or one that is not known: counts as no answer.
    Unknown(String),
}

impl Outcome {
    fn of(code: &str) -> Self {
        match code.trim().to_ascii_uppercase().as_str() {
            "OK" => Outcome::Ok,
            "WARNING" => Outcome::Warning,
            "KO" => Outcome::Ko,
            "FATAL" => Outcome::Fatal,
            _ => Outcome::Unknown(code.trim().to_owned()),
        }
    }
}

/// One control of the archive that the reply tells about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// XML identifier of the unit, group or object it is about; `None`: the whole deposit.
    pub subject: Option<String>,
    /// Code of the step (`EventTypeCode`, else `EventType`).
    pub code: String,
    /// `Outcome` as written.
    pub outcome: String,
    /// Full code with its cause (`OutcomeDetail`): `CHECK_DIGEST.INVALID.KO`.
    pub detail: String,
    /// Sentence of the archive.
    pub message: String,
}

/// A message of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Which message.
    pub kind: Kind,
    /// Edition of SEDA.
    pub version: Version,
    /// Identifier that the archive gave to this message.
    pub message_id: String,
    /// Identifier of our message that it answers (`MessageRequestIdentifier`, or
    /// `MessageReceivedIdentifier` of an acknowledgement).
    pub request_id: String,
    /// `Date`, as written.
    pub date: String,
    /// `GrantDate`: when the archive took charge, as written.
    pub grant_date: Option<String>,
    /// The verdict.
    pub outcome: Outcome,
    /// Identifier of the archive.
    pub archival_agency: String,
    /// Identifier of the transferring agency, as the archive knows it.
    pub transferring_agency: String,
    /// System identifier of each unit, by the XML identifier of our manifest.
    pub units: BTreeMap<String, String>,
    /// System identifier of each object, by the XML identifier of our manifest.
    pub objects: BTreeMap<String, String>,
    /// XML identifiers that the reply gives two different system identifiers to.
    pub contradictions: Vec<String>,
    /// Controls told, in the order of the reply.
    pub events: Vec<Event>,
    /// More events were told than were kept.
    pub events_cut: bool,
}

/// Bounds of what a reply may make us hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of the whole message.
    pub bytes: u64,
    /// Bytes of one tag or one text.
    pub token: usize,
    /// Depth of elements.
    pub depth: usize,
    /// Identified units and objects.
    pub ids: usize,
    /// Events kept; the rest is counted as cut.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 2 << 30, token: 1 << 20, depth: 512, ids: 2_000_000, events: 10_000 }
    }
}

/// Lets through at most `left` bytes until it is refilled: bounds one token.
struct Bounded<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.left == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "token too long"));
        }
        let bytes = self.inner.fill_buf()?;
        Ok(bytes.get(..self.left.min(bytes.len())).unwrap_or(bytes))
    }

    fn consume(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n);
        self.inner.consume(n);
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::Refused { code: "SEDA_REPLY_UNREADABLE", message: message.into() }
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// An element being read.
struct Open {
    name: String,
    /// Unit, group or object that the element is.
    id: Option<String>,
    text: String,
}

#[derive(Default)]
struct Reading {
    stack: Vec<Open>,
    root: Option<(Kind, Version)>,
    fields: BTreeMap<&'static str, String>,
    units: BTreeMap<String, String>,
    objects: BTreeMap<String, String>,
    contradictions: Vec<String>,
    event: Option<Event>,
    events: Vec<Event>,
    events_cut: bool,
}

/// Reads a message of the archive.
///
/// # Errors
/// [`Error::Refused`] with `SEDA_REPLY_UNREADABLE`: not XML, not a reply of SEDA 2.1 to 2.3, a
/// document type or an entity, beyond the limits, or no identifier of the message it answers.
pub fn read(input: impl BufRead, limits: Limits) -> Result<Reply> {
    let bounded = Bounded { inner: input.take(limits.bytes), left: limits.token };
    let mut reader = Reader::from_reader(bounded);
    let mut state = Reading::default();
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        reader.get_mut().left = limits.token;
        let event = reader.read_event_into(&mut buffer).map_err(|e| match e {
            quick_xml::Error::Io(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                refused("la réponse contient un élément démesuré : demandez-la de nouveau à l'archive")
            }
            e => refused(format!(
                "la réponse n'est pas un XML lisible ({e}) : demandez-la de nouveau à l'archive"
            )),
        })?;
        match event {
            Xml::Start(tag) => state.start(&tag, limits)?,
            Xml::Empty(tag) => {
                state.start(&tag, limits)?;
                state.end(limits)?;
            }
            Xml::End(_) => state.end(limits)?,
            Xml::Text(text) => state.text(&text.xml10_content(), limits)?,
            Xml::CData(text) => state.text(&text.xml10_content(), limits)?,
            Xml::GeneralRef(reference) => {
                let c =
                    match &*reference {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => reference.resolve_char_ref().ok().flatten().ok_or_else(|| {
                            refused("la réponse emploie une entité XML qui n'est pas permise")
                        })?,
                    };
                state.text(c.encode_utf8(&mut [0; 4]), limits)?;
            }
            Xml::DocType(_) => {
                return Err(refused("la réponse contient une déclaration DOCTYPE, qui n'est pas permise"));
            }
            Xml::Eof => break,
            Xml::Decl(_) | Xml::Comment(_) | Xml::PI(_) => {}
        }
    }
    if !state.stack.is_empty() {
        return Err(refused("la réponse est coupée avant sa fin : demandez-la de nouveau à l'archive"));
    }
    state.finish()
}

impl Reading {
    fn start(&mut self, tag: &BytesStart<'_>, limits: Limits) -> Result<()> {
        if self.stack.len() >= limits.depth {
            return Err(refused("la réponse emboîte trop d'éléments"));
        }
        let raw = tag.name();
        let raw: &str = raw.as_ref();
        let name = local(raw).to_owned();
        let mut id = None;
        if self.stack.is_empty() {
            if self.root.is_some() {
                return Err(refused("la réponse a deux racines"));
            }
            self.root = Some(root(raw, tag)?);
        } else if matches!(
            name.as_str(),
            "ArchiveUnit" | "DataObjectGroup" | "BinaryDataObject" | "PhysicalDataObject"
        ) {
            for a in tag.attributes() {
                let a = a.map_err(|_| refused("un élément de la réponse a un attribut mal écrit"))?;
                let key: &str = a.key.as_ref();
                if key == "id" || key == "xml:id" {
                    let value = a
                        .normalized_value(quick_xml::XmlVersion::default())
                        .map_err(|_| refused("un identifiant de la réponse est mal écrit"))?;
                    id = Some(value.into_owned());
                }
            }
        } else if name == "Event" {
            let subject = self.stack.iter().rev().find_map(|o| o.id.clone());
            self.event = Some(Event { subject, ..Event::default() });
        }
        self.stack.push(Open { name, id, text: String::new() });
        Ok(())
    }

    fn text(&mut self, text: &str, limits: Limits) -> Result<()> {
        let Some(open) = self.stack.last_mut() else {
            return match text.trim() {
                "" => Ok(()),
                _ => Err(refused("la réponse a du texte hors de sa racine")),
            };
        };
        if open.text.len() + text.len() > limits.token {
            return Err(refused("la réponse contient un texte démesuré"));
        }
        open.text.push_str(text);
        Ok(())
    }

    fn end(&mut self, limits: Limits) -> Result<()> {
        let Some(open) = self.stack.pop() else { return Ok(()) };
        let value = open.text.trim();
        let parent = self.stack.last().map_or("", |o| o.name.as_str());
        let level = self.stack.len();
        if let Some(event) = &mut self.event {
            match open.name.as_str() {
                "EventTypeCode" => value.clone_into(&mut event.code),
                "EventType" if event.code.is_empty() => value.clone_into(&mut event.code),
                "Outcome" => value.clone_into(&mut event.outcome),
                "OutcomeDetail" => value.clone_into(&mut event.detail),
                "OutcomeDetailMessage" => value.clone_into(&mut event.message),
                "Event" => {
                    let event = self.event.take().unwrap_or_default();
                    if self.events.len() < limits.events {
                        self.events.push(event)
                    } else {
                        self.events_cut = true
                    }
                }
                _ => {}
            }
            return Ok(());
        }
        match (open.name.as_str(), parent, level) {
            ("Date", _, 1) => self.field("Date", value),
            ("MessageIdentifier", _, 1) => self.field("MessageIdentifier", value),
            ("MessageRequestIdentifier" | "MessageReceivedIdentifier", _, 1) => self.field("Request", value),
            ("ReplyCode", _, 1) => self.field("ReplyCode", value),
            ("GrantDate", _, 1) => self.field("GrantDate", value),
            ("Identifier", "ArchivalAgency", 2) => self.field("ArchivalAgency", value),
            ("Identifier", "TransferringAgency", 2) => self.field("TransferringAgency", value),
            // A unit's own identifier only: an object reference also holds identifiers.
            ("SystemId", "Content", _) => {
                let unit = self
                    .stack
                    .iter()
                    .rev()
                    .nth(1)
                    .filter(|o| o.name == "ArchiveUnit")
                    .and_then(|o| o.id.clone());
                self.identify(unit, value, true, limits)
            }
            ("DataObjectSystemId", "BinaryDataObject" | "PhysicalDataObject", _) => {
                let object = self.stack.last().and_then(|o| o.id.clone());
                self.identify(object, value, false, limits)
            }
            _ => Ok(()),
        }
    }

    /// A field of the message; a second value would make the reply say two things.
    fn field(&mut self, name: &'static str, value: &str) -> Result<()> {
        match self.fields.insert(name, value.to_owned()) {
            Some(before) if before != value => {
                Err(refused(format!("la réponse donne deux valeurs à {name}")))
            }
            _ => Ok(()),
        }
    }

    fn identify(&mut self, id: Option<String>, system: &str, unit: bool, limits: Limits) -> Result<()> {
        let Some(id) = id else { return Ok(()) };
        if system.is_empty() {
            return Ok(());
        }
        if self.units.len() + self.objects.len() >= limits.ids {
            return Err(refused("la réponse identifie plus d'unités et d'objets qu'un dépôt n'en contient"));
        }
        let known = if unit { &mut self.units } else { &mut self.objects };
        match known.get(&id) {
            Some(before) if before != system => self.contradictions.push(id),
            Some(_) => {}
            None => {
                known.insert(id, system.to_owned());
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Reply> {
        let Some((kind, version)) = self.root else {
            return Err(refused("la réponse est vide : demandez-la de nouveau à l'archive"));
        };
        let mut take = |name| self.fields.remove(name).filter(|v: &String| !v.is_empty());
        let outcome = Outcome::of(&take("ReplyCode").unwrap_or_default());
        let request_id = take("Request").ok_or_else(|| {
            refused("la réponse ne dit pas à quel message elle répond (MessageRequestIdentifier) : demandez-la de nouveau à l'archive")
        })?;
        Ok(Reply {
            kind,
            version,
            message_id: take("MessageIdentifier").unwrap_or_default(),
            request_id,
            date: take("Date").unwrap_or_default(),
            grant_date: take("GrantDate"),
            outcome,
            archival_agency: take("ArchivalAgency").unwrap_or_default(),
            transferring_agency: take("TransferringAgency").unwrap_or_default(),
            units: self.units,
            objects: self.objects,
            contradictions: self.contradictions,
            events: self.events,
            events_cut: self.events_cut,
        })
    }
}

/// Message and edition of a root element: its name, and the namespace that its prefix is bound to.
fn root(raw: &str, tag: &BytesStart<'_>) -> Result<(Kind, Version)> {
    let declaration = raw.split_once(':').map_or("xmlns".to_owned(), |(prefix, _)| format!("xmlns:{prefix}"));
    let mut namespace = String::new();
    for a in tag.attributes() {
        let a = a.map_err(|_| refused("la racine de la réponse a un attribut mal écrit"))?;
        if AsRef::<str>::as_ref(&a.key) == declaration {
            namespace.push_str(&a.value);
        }
    }
    let version = Version::of(&namespace).ok_or_else(|| {
        refused("ce n'est pas un message SEDA 2.1, 2.2 ou 2.3 (espace de noms de la racine)")
    })?;
    let kind = Kind::of(local(raw)).ok_or_else(|| {
        refused("ce n'est pas une réponse de l'archive (ArchiveTransferReply, Acknowledgement ou réponse à une demande d'autorisation)")
    })?;
    Ok((kind, version))
}

#[cfg(test)]
mod tests;
