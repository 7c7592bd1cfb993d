//! The manifest as a stream of elements with their places. Nothing that expands, nothing that piles
//! up: DTDs and entities are refused, depth and the size of one piece of markup are bounded.

use super::codes;
use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Elements inside one another.
const DEPTH_MAX: usize = 256;
/// Bytes of one piece of markup or text.
const TOKEN_BYTES_MAX: u64 = 8 << 20;
/// Common beginning of the namespaces of SEDA 2.
pub const NAMESPACE: &str = "fr:gouv:culture:archivesdefrance:seda:v";

/// What ends the reading.
#[derive(Debug)]
pub enum Stop {
    /// The system, or the container.
    Io(io::Error),
    /// The manifest.
    Fault { xpath: String, code: &'static str, message: String },
}

/// An element that is open.
#[derive(Debug, Default)]
pub struct Frame {
    /// Local name; empty for an element of another namespace.
    pub name: String,
    /// Name as shown in a path.
    shown: String,
    /// Rank among the siblings of the same name, from 1.
    pub position: u32,
    children: Vec<(String, u32)>,
    /// Whether it holds elements.
    pub parent: bool,
}

/// Where the reading is.
#[derive(Debug, Default)]
pub struct Place {
    stack: Vec<Frame>,
    depth: usize,
}

impl Place {
    fn push(&mut self, name: &str, seda: bool) {
        let position = match self.depth.checked_sub(1).and_then(|i| self.stack.get_mut(i)) {
            None => 1,
            Some(parent) => {
                parent.parent = true;
                // Siblings of one name mostly follow each other.
                match parent.children.iter_mut().rev().find(|(n, _)| n == name) {
                    Some((_, n)) => {
                        *n += 1;
                        *n
                    }
                    None => {
                        parent.children.push((name.to_owned(), 1));
                        1
                    }
                }
            }
        };
        if self.stack.len() == self.depth {
            self.stack.push(Frame::default());
        }
        if let Some(frame) = self.stack.get_mut(self.depth) {
            frame.name.clear();
            frame.shown.clear();
            frame.shown.push_str(name);
            if seda {
                frame.name.push_str(name);
            }
            frame.position = position;
            frame.children.clear();
            frame.parent = false;
        }
        self.depth += 1;
    }

    /// Local name of the element `up` levels above the current one.
    pub fn name(&self, up: usize) -> &str {
        self.frame(up).map_or("", |f| f.name.as_str())
    }

    /// The element `up` levels above the current one.
    pub fn frame(&self, up: usize) -> Option<&Frame> {
        self.stack.get(self.depth.checked_sub(up + 1)?)
    }

    /// Elements that are open.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Name as written, namespace left out, of an element of any namespace.
    pub fn shown(&self) -> &str {
        self.frame(0).map_or("", |f| f.shown.as_str())
    }

    /// Path of the current element.
    pub fn xpath(&self) -> String {
        self.xpath_up(0)
    }

    /// Path of the element `up` levels above.
    pub fn xpath_up(&self, up: usize) -> String {
        let mut out = String::new();
        for (i, frame) in self.stack.iter().take(self.depth.saturating_sub(up)).enumerate() {
            out.push('/');
            out.push_str(&frame.shown);
            if i > 0 {
                out.push_str(&format!("[{}]", frame.position));
            }
        }
        out
    }
}

/// What is told of a manifest.
pub trait Visit {
    /// An element opens; its attributes are unescaped.
    fn open(&mut self, place: &Place, attributes: &[(String, String)]);
    /// An element closes; `text` is its own when it holds no element.
    fn close(&mut self, place: &Place, text: &str);
    /// Namespace of the root.
    fn root(&mut self, name: &str, namespace: &str);
}

/// Stops a reader that gives too much between two events.
struct Guard<R> {
    inner: R,
    since: Arc<AtomicU64>,
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        if self.since.fetch_add(n as u64, Ordering::Relaxed) > TOKEN_BYTES_MAX {
            return Err(io::Error::other(TooLong));
        }
        Ok(n)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("token too long")]
struct TooLong;

fn not_xml(place: &Place, message: impl Into<String>) -> Stop {
    Stop::Fault { xpath: place.xpath(), code: codes::NOT_XML, message: message.into() }
}

/// Reads a whole manifest.
pub fn walk(input: impl Read, visit: &mut impl Visit) -> Result<(), Stop> {
    let mut place = Place::default();
    let since = Arc::new(AtomicU64::new(0));
    let mut input = BufReader::with_capacity(64 << 10, Guard { inner: input, since: Arc::clone(&since) });
    let head = io::BufRead::fill_buf(&mut input).map_err(Stop::Io)?;
    if head.starts_with(b"\xFE\xFF")
        || head.starts_with(b"\xFF\xFE")
        || head.get(..2) == Some(b"<\0")
        || head.get(..2) == Some(b"\0<")
    {
        return Err(not_xml(&place, "le manifeste est en UTF-16 : enregistrez-le en UTF-8"));
    }
    let mut reader = NsReader::from_reader(input);
    reader.config_mut().check_comments = true;
    let (mut buffer, mut text, mut seda, mut roots) = (Vec::new(), String::new(), String::new(), 0);
    let mut attributes = Vec::new();
    loop {
        buffer.clear();
        since.store(0, Ordering::Relaxed);
        let (namespace, event) = match reader.read_resolved_event_into(&mut buffer) {
            Ok((ns, event)) => (ns, event),
            Err(quick_xml::Error::Io(e)) => {
                if e.get_ref().is_some_and(|e| e.is::<TooLong>()) {
                    return Err(not_xml(
                        &place,
                        "un texte ou une balise dépasse 8 Mio : ce n'est pas un manifeste de versement",
                    ));
                }
                return Err(Stop::Io(io::Error::new(e.kind(), e)));
            }
            Err(e) => return Err(malformed(&place, &e)),
        };
        match event {
            Event::Start(ref start) | Event::Empty(ref start) => {
                let bound = match namespace {
                    ResolveResult::Bound(ns) => ns.0.to_owned(),
                    ResolveResult::Unbound => String::new(),
                    ResolveResult::Unknown(_) => {
                        return Err(not_xml(
                            &place,
                            "un préfixe n'est lié à aucun espace de noms : déclarez-le (xmlns:…)",
                        ));
                    }
                };
                if place.depth >= DEPTH_MAX {
                    let message =
                        format!("plus de {DEPTH_MAX} éléments emboîtés : aplatissez le plan de classement");
                    return Err(not_xml(&place, message));
                }
                if place.depth == 0 {
                    roots += 1;
                    if roots > 1 {
                        return Err(not_xml(&place, "le manifeste a plus d'un élément racine"));
                    }
                    seda.push_str(&bound);
                }
                let name = start.local_name();
                place.push(name.as_ref(), bound == seda);
                if place.depth == 1 {
                    visit.root(name.as_ref(), &seda);
                }
                read_attributes(start, &place, &mut attributes)?;
                text.clear();
                visit.open(&place, &attributes);
                if matches!(event, Event::Empty(_)) {
                    visit.close(&place, "");
                    place.depth -= 1;
                }
            }
            Event::End(_) => {
                let leaf = place.frame(0).is_some_and(|f| !f.parent);
                visit.close(&place, if leaf { &text } else { "" });
                text.clear();
                place.depth = place.depth.saturating_sub(1);
            }
            Event::Text(t) => {
                let piece = t.xml10_content();
                if place.depth == 0 && !piece.trim_matches(['\u{FEFF}', ' ', '\t', '\n', '\r']).is_empty() {
                    return Err(not_xml(
                        &place,
                        "du texte est hors de l'élément racine : ce n'est pas un fichier XML",
                    ));
                }
                if piece.contains("]]>") {
                    return Err(not_xml(&place, "« ]]> » dans un texte : écrivez « ]]&gt; »"));
                }
                legal(&place, &piece)?;
                text.push_str(&piece);
            }
            Event::CData(t) => {
                let piece = t.xml10_content();
                legal(&place, &piece)?;
                text.push_str(&piece);
            }
            Event::GeneralRef(r) => text.push(resolve(&place, &r)?),
            Event::Decl(decl) => {
                let encoding = decl.encoding().and_then(Result::ok).unwrap_or_default().to_ascii_lowercase();
                if !matches!(encoding.as_str(), "" | "utf-8" | "utf8" | "us-ascii" | "ascii") {
                    let message =
                        format!("le manifeste est déclaré en {} : enregistrez-le en UTF-8", shown(&encoding));
                    return Err(not_xml(&place, message));
                }
            }
            Event::DocType(_) => {
                return Err(not_xml(
                    &place,
                    "le manifeste a une DTD (DOCTYPE) : retirez-la, elle est refusée avec ses entités",
                ));
            }
            Event::Comment(_) | Event::PI(_) => {}
            Event::Eof if place.depth > 0 => {
                return Err(not_xml(&place, "le manifeste est coupé : cet élément n'est pas fermé"));
            }
            Event::Eof if roots == 0 => return Err(not_xml(&place, "le manifeste est vide")),
            Event::Eof => return Ok(()),
        }
    }
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

fn malformed(place: &Place, e: &quick_xml::Error) -> Stop {
    let what = match e {
        quick_xml::Error::Encoding(_) => {
            "un texte n'est pas en UTF-8 : enregistrez le manifeste en UTF-8".to_owned()
        }
        quick_xml::Error::IllFormed(quick_xml::errors::IllFormedError::MismatchedEndTag {
            expected,
            found,
        }) => {
            format!("la balise fermante </{}> est attendue, </{}> est trouvée", shown(expected), shown(found))
        }
        quick_xml::Error::IllFormed(quick_xml::errors::IllFormedError::UnclosedReference) => {
            "« & » seul dans un texte : écrivez « &amp; »".to_owned()
        }
        _ => {
            "le manifeste n'est pas un fichier XML bien formé : ouvrez-le dans un éditeur XML et corrigez-le"
                .to_owned()
        }
    };
    not_xml(place, what)
}

/// XML 1.0 has no place for most control characters, written or escaped.
fn legal(place: &Place, text: &str) -> Result<(), Stop> {
    let bad = |b: u8| b < b' ' && !matches!(b, b'\t' | b'\n' | b'\r');
    if text.bytes().any(bad) || text.contains(['\u{FFFE}', '\u{FFFF}']) {
        return Err(not_xml(place, "un caractère de contrôle est dans le texte : retirez-le"));
    }
    Ok(())
}

fn resolve(place: &Place, r: &quick_xml::events::BytesRef<'_>) -> Result<char, Stop> {
    let c = match r.resolve_char_ref() {
        Ok(Some(c)) => Some(c),
        Ok(None) => match r.xml10_content().as_ref() {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "apos" => Some('\''),
            "quot" => Some('"'),
            _ => {
                return Err(not_xml(
                    place,
                    "une entité est appelée : seules &lt; &gt; &amp; &apos; &quot; sont lues",
                ));
            }
        },
        Err(_) => None,
    };
    let Some(c) = c else {
        return Err(not_xml(place, "une référence de caractère (&#…;) n'en désigne aucun"));
    };
    legal(place, c.encode_utf8(&mut [0; 4]))?;
    Ok(c)
}

fn read_attributes(
    start: &BytesStart<'_>,
    place: &Place,
    out: &mut Vec<(String, String)>,
) -> Result<(), Stop> {
    out.clear();
    for attribute in start.attributes() {
        let Ok(attribute) = attribute else {
            return Err(not_xml(place, "un attribut est écrit deux fois ou mal écrit"));
        };
        let key: &str = attribute.key.as_ref();
        let Ok(value) = quick_xml::escape::unescape(attribute.value.as_ref()) else {
            return Err(not_xml(place, "un attribut appelle une entité inconnue"));
        };
        if value.contains('<') && attribute.value.contains('<') {
            return Err(not_xml(place, "« < » dans un attribut : écrivez « &lt; »"));
        }
        legal(place, &value)?;
        if !key.starts_with("xmlns") {
            out.push((key.to_owned(), value.into_owned()));
        }
    }
    Ok(())
}
