//! A workbook (.xlsx) as the zip of XML parts that it is, within bounds.
//!
//! Everything is bounded before it is parsed: bytes of the file, members, bytes of each part once
//! inflated. A DTD, a macro, a link to another file and comments in the margin are refused: what is
//! not understood is never half read.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::io::{Cursor, Read};
use zip::ZipArchive;

/// Bounds on a workbook.
#[derive(Debug, Clone, Copy)]
pub struct WorkbookLimits {
    /// Bytes of the file.
    pub file_bytes_max: usize,
    /// Members of the zip.
    pub members_max: usize,
    /// Bytes of one part, inflated.
    pub part_bytes_max: u64,
    /// Shared strings.
    pub strings_max: usize,
    /// Cells that hold something, in all sheets.
    pub cells_max: usize,
}

impl Default for WorkbookLimits {
    fn default() -> Self {
        WorkbookLimits {
            file_bytes_max: 16 << 20,
            members_max: 500,
            part_bytes_max: 64 << 20,
            strings_max: 1_000_000,
            cells_max: 1_000_000,
        }
    }
}

/// Why the file is refused, in French.
pub(super) type Refusal = String;

pub(super) fn not_a_workbook() -> Refusal {
    "ce n'est pas un classeur .xlsx : enregistrez le bordereau au format « Classeur Excel (.xlsx) », puis relancez".into()
}

pub(super) fn broken() -> Refusal {
    "le classeur est abîmé ou d'une forme inconnue : ouvrez-le dans un tableur, enregistrez-le de nouveau en .xlsx, puis relancez".into()
}

pub(super) fn too_big(what: &str) -> Refusal {
    format!("le classeur dépasse la limite : {what} ; repartez du bordereau que l'outil a produit")
}

/// The parts of the package, read one at a time.
pub(super) struct Parts<'a> {
    zip: ZipArchive<Cursor<&'a [u8]>>,
    limits: &'a WorkbookLimits,
}

impl<'a> Parts<'a> {
    pub(super) fn open(bytes: &'a [u8], limits: &'a WorkbookLimits) -> Result<Self, Refusal> {
        if bytes.len() > limits.file_bytes_max {
            return Err(too_big(&format!("{} Mio pour le fichier", limits.file_bytes_max >> 20)));
        }
        if !bytes.starts_with(b"PK\x03\x04") {
            return Err(not_a_workbook());
        }
        // The crate loads the whole directory: its entries are counted first, by their marks.
        let marks = bytes.windows(4).filter(|w| w == b"PK\x01\x02").count();
        if marks > limits.members_max {
            return Err(too_big(&format!("{} éléments dans le fichier", limits.members_max)));
        }
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(|_| broken())?;
        // Two members of one name: this reader and a spreadsheet program could see different cells.
        if zip.has_duplicate_names() || zip.offset() != 0 {
            return Err(broken());
        }
        let names: Result<Vec<String>, _> = zip.file_names().map(|n| Ok(n?.to_lowercase())).collect();
        let names = names.map_err(|_: zip::result::ZipError| broken())?;
        for (mark, why) in [
            ("vbaproject", "le classeur porte des macros : enregistrez-le en .xlsx sans macro"),
            ("externallinks/", "le classeur porte des liens vers d'autres fichiers : retirez-les"),
            (
                "comments",
                "le classeur porte des commentaires, qui ne seraient pas lus : recopiez-les dans la colonne « Observations des archives », puis supprimez-les",
            ),
        ] {
            if names.iter().any(|n| n.contains(mark)) {
                return Err(why.into());
            }
        }
        Ok(Parts { zip, limits })
    }

    pub(super) fn text(&mut self, path: &str) -> Result<String, Refusal> {
        let max = self.limits.part_bytes_max;
        let part = self.zip.by_name(path).map_err(|_| broken())?;
        let too_big = || too_big(&format!("{} Mio de contenu décompressé", max >> 20));
        if part.size() > max {
            return Err(too_big());
        }
        let mut bytes = Vec::new();
        // The declared size is only a promise.
        part.take(max + 1).read_to_end(&mut bytes).map_err(|_| broken())?;
        if bytes.len() as u64 > max {
            return Err(too_big());
        }
        String::from_utf8(bytes).map_err(|_| broken())
    }

    /// Relations of a part; those of the package for an empty path.
    pub(super) fn relations(&mut self, path: &str) -> Result<Relations, Refusal> {
        let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
        let slash = if folder.is_empty() { "" } else { "/" };
        let text = self.text(&format!("{folder}{slash}_rels/{file}.rels"))?;
        let mut list = Vec::new();
        each_tag(&text, |tag| {
            if tag.local_name().as_ref() == "Relationship" {
                let external = attribute(tag, "TargetMode")?.is_some_and(|m| m == "External");
                let (id, kind) = (attribute(tag, "Id")?, attribute(tag, "Type")?);
                let target = attribute(tag, "Target")?;
                let (Some(id), Some(kind), Some(target), false) = (id, kind, target, external) else {
                    return Ok(());
                };
                let path = match target.strip_prefix('/') {
                    Some(absolute) => absolute.to_owned(),
                    None => format!("{folder}{slash}{target}"),
                };
                list.push((id, kind, path));
            }
            Ok(())
        })?;
        Ok(Relations(list))
    }
}

/// Relations of a part: identifier, type, path in the package.
pub(super) struct Relations(Vec<(String, String, String)>);

impl Relations {
    pub(super) fn first(&self, kind: &str) -> Option<String> {
        let is = |k: &str| k.rsplit_once('/').is_some_and(|(_, last)| last == kind);
        self.0.iter().find(|(_, k, _)| is(k)).map(|(_, _, path)| path.clone())
    }

    pub(super) fn by_id(&self, id: &str) -> Option<String> {
        self.0.iter().find(|(i, _, _)| i == id).map(|(_, _, path)| path.clone())
    }
}

/// An attribute's value, by its name without prefix.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Result<Option<String>, Refusal> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| broken())?;
        if attribute.key.local_name().as_ref() == name {
            let value = quick_xml::escape::unescape(&attribute.value).map_err(|_| broken())?;
            return Ok(Some(value.into_owned()));
        }
    }
    Ok(None)
}

/// What an XML part is made of, for these readers.
pub(super) enum Node<'a> {
    Start(BytesStart<'a>),
    End(String),
    Text(String),
}

/// Walks an XML part. Entities other than the five of XML are refused, so is a DTD.
pub(super) fn walk(
    text: &str,
    mut visit: impl FnMut(Node<'_>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut xml = Reader::from_str(text);
    loop {
        match xml.read_event().map_err(|_| broken())? {
            Event::Start(tag) => visit(Node::Start(tag))?,
            Event::Empty(tag) => {
                let name = tag.local_name().as_ref().to_owned();
                visit(Node::Start(tag))?;
                visit(Node::End(name))?;
            }
            Event::End(tag) => visit(Node::End(tag.local_name().as_ref().to_owned()))?,
            Event::Text(text) => visit(Node::Text(text.xml10_content().into_owned()))?,
            Event::CData(text) => visit(Node::Text(text.xml10_content().into_owned()))?,
            Event::GeneralRef(entity) => {
                let c = match &*entity.xml10_content() {
                    "amp" => Some('&'),
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => entity.resolve_char_ref().ok().flatten(),
                };
                visit(Node::Text(c.ok_or_else(broken)?.to_string()))?;
            }
            Event::DocType(_) => {
                return Err("le classeur porte un DOCTYPE, qu'aucun tableur n'écrit : refusé".into());
            }
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => return Ok(()),
        }
    }
}

pub(super) fn each_tag(
    text: &str,
    mut visit: impl FnMut(&BytesStart<'_>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    walk(text, |node| if let Node::Start(tag) = node { visit(&tag) } else { Ok(()) })
}
