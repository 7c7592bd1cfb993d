//! What a file is, by its first bytes: names of files are conventions that people break.

use super::lines::LineReader;
use super::xml::local;
use super::{Chunk, FileFindings, RecordReader, aaf, lossless};
use crate::contract::{Contract, Format};
use crate::error::Result;
use std::io::{Cursor, Read};

/// Bytes looked at.
const HEAD: usize = 64 << 10;

/// The beginning of a file, put back before the rest.
pub struct Head<'a> {
    bytes: Vec<u8>,
    rest: Box<dyn Read + Send + 'a>,
}

impl<'a> Head<'a> {
    /// Reads the beginning.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn read(mut input: Box<dyn Read + Send + 'a>) -> std::io::Result<Self> {
        let mut bytes = Vec::with_capacity(HEAD);
        input.by_ref().take(HEAD as u64).read_to_end(&mut bytes)?;
        Ok(Head { bytes, rest: input })
    }

    /// The whole input, from its first byte.
    pub fn into_input(self) -> Box<dyn Read + Send + 'a> {
        Box::new(Cursor::new(self.bytes).chain(self.rest))
    }

    /// The beginning as text, as far as it can be read.
    pub fn text(&self) -> String {
        text(&self.bytes)
    }

    /// What it looks like.
    pub fn sniff(&self) -> Sniffed {
        Sniffed::of(&self.bytes)
    }
}

/// What a file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sniffed {
    /// No byte.
    Empty,
    /// XML with this root.
    Xml {
        /// Local name of the root.
        root: String,
        /// Its attributes, as written: namespaces are found in it.
        attributes: String,
        /// Category of the first AAF request.
        category: Option<String>,
        /// The header says first degree.
        first_degree: bool,
        /// A request modifies or deletes.
        delta: bool,
    },
    /// Parquet.
    Parquet,
    /// One JSON object a line.
    NdJson,
    /// Anything else: a table file with this first line.
    Text {
        /// The first line.
        header: String,
    },
}

impl Sniffed {
    fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Sniffed::Empty;
        }
        if bytes.starts_with(b"PAR1") {
            return Sniffed::Parquet;
        }
        let text = text(bytes);
        let text = text.trim_start_matches('\u{FEFF}').trim_start();
        if text.starts_with('{') {
            return Sniffed::NdJson;
        }
        if !text.starts_with('<') {
            return Sniffed::Text { header: text.lines().next().unwrap_or_default().to_owned() };
        }
        let (root, attributes) = first_element(text).unwrap_or_default();
        let category = text.split("name=\"categorie").nth(1).and_then(|after| {
            let value = after.split_once("<value>")?.1.split_once("</value>")?.0;
            Some(value.trim().to_owned())
        });
        let delta = text.contains("<modifyRequest") || text.contains("<deleteRequest");
        let first_degree = text.contains("degre=\"1D\"");
        Sniffed::Xml { root, attributes, category, first_degree, delta }
    }

    /// The contracts, of those given, that this file is for: every table of an XML document, one
    /// for anything else. `name` decides between two that fit.
    pub fn contracts<'c>(&self, all: &[&'c Contract], name: &str) -> Vec<&'c Contract> {
        let degree = |c: &&Contract| match (self, &c.input.format) {
            (Sniffed::Xml { first_degree, .. }, Format::Aaf { first_degree: wanted, .. }) => {
                first_degree == wanted
            }
            _ => true,
        };
        let by_convention = |c: &&Contract| c.input.file_name.as_ref().is_some_and(|r| r.is_match(name));
        let named: Vec<&Contract> = all.iter().copied().filter(by_convention).filter(degree).collect();
        let fits = |c: &&Contract| match (self, &c.input.format) {
            (Sniffed::Xml { root, category, .. }, Format::Aaf { category: wanted, .. }) => {
                root == aaf::ROOT && degree(c) && category.as_ref().is_none_or(|c| c == wanted)
            }
            (Sniffed::Xml { root, attributes, .. }, Format::Xml { root: wanted, namespace, .. }) => {
                root == wanted
                    && namespace.as_ref().is_none_or(|n| {
                        attributes.contains(&format!("\"{n}\"")) || attributes.contains(&format!("'{n}'"))
                    })
            }
            (Sniffed::Text { header }, Format::Csv { .. }) => score(c, header).is_some(),
            (Sniffed::NdJson, Format::NdJson) | (Sniffed::Parquet, Format::Parquet) => true,
            _ => false,
        };
        let fitting: Vec<&Contract> = all.iter().copied().filter(fits).collect();
        let by_name: Vec<&Contract> =
            fitting.iter().copied().filter(|c| named.iter().any(|n| n.name == c.name)).collect();
        match self {
            // A right name and a wrong content: the reader says what is wrong with it.
            _ if !named.is_empty() && by_name.is_empty() => named.into_iter().take(1).collect(),
            Sniffed::Xml { root, .. } if root != aaf::ROOT && !fitting.is_empty() => fitting,
            _ if !by_name.is_empty() => by_name.into_iter().take(1).collect(),
            Sniffed::Text { header } => {
                fitting.into_iter().max_by_key(|c| score(c, header).unwrap_or(0)).into_iter().collect()
            }
            _ => fitting.into_iter().take(1).collect(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    match LineReader::declared_encoding(bytes) {
        Ok(e) if e != encoding_rs::UTF_8 => e.decode_without_bom_handling(bytes).0.into_owned(),
        _ => lossless(bytes),
    }
}

/// Columns of the contract that a header names, when none that it needs is missing.
fn score(contract: &Contract, header: &str) -> Option<usize> {
    let fields: Vec<String> =
        header.split([';', ',', '\t', '|']).map(|f| f.trim().trim_matches('"').to_lowercase()).collect();
    if let Some(unpivot) = &contract.input.unpivot {
        let measures = fields.iter().filter(|f| unpivot.pattern.is_match(f));
        let known = measures.filter(|f| {
            let item =
                unpivot.pattern.captures(f).and_then(|c| c.name("item").map(|m| m.as_str().to_owned()));
            item.is_some_and(|i| unpivot.known.contains(&i))
        });
        let known = known.count();
        return (known > 0).then_some(known);
    }
    let has = |c: &&crate::contract::ColumnSpec| {
        std::iter::once(c.name.to_lowercase())
            .chain(c.aliases.iter().map(|a| a.to_lowercase()))
            .any(|n| fields.contains(&n))
    };
    let found = contract.columns.iter().filter(has).count();
    let needed = contract.columns.iter().filter(|c| !c.optional).count();
    let missing = needed - contract.columns.iter().filter(|c| !c.optional).filter(has).count();
    (missing == 0 && found > 0).then_some(found)
}

/// Local name and attributes of the first element.
fn first_element(text: &str) -> Option<(String, String)> {
    let mut rest = text;
    loop {
        let (_, after) = rest.split_once('<')?;
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->")?.1;
        } else if after.starts_with('?') || after.starts_with('!') {
            rest = after.split_once('>')?.1;
        } else {
            let tag = after.split_once('>').map_or(after, |(t, _)| t);
            let (name, attributes) = tag.split_once(|c: char| c.is_whitespace()).unwrap_or((tag, ""));
            let name = local(name.trim_end_matches('/'));
            return Some((name.to_owned(), attributes.to_owned()));
        }
    }
}

/// A reader without records: no contract asks for the file.
pub(super) struct Nothing;

impl<'a> RecordReader<'a> for Nothing {
    fn next_chunk(&mut self) -> Result<Option<Chunk<'a>>> {
        Ok(None)
    }

    fn finish(&mut self) -> FileFindings {
        FileFindings::default()
    }
}
