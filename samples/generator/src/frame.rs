//! A table of one delivery, its records, and the two frames they are written in.

use crate::faults::{Act, Recipe};
use std::fmt::{Display, Write as _};

/// Frame of the records.
pub enum Frame {
    /// Fields separated by `;`.
    Csv,
    /// `addRequest` with this operational attribute and category.
    Aaf { attribute: &'static str, category: &'static str },
}

/// A table of one delivery.
pub struct Table {
    pub frame: Frame,
    /// Column names of the contract, in its order.
    pub columns: Vec<String>,
    /// AAF attributes left out when they have no value; the others are then written empty.
    pub sparse: &'static [&'static str],
    /// What comes before the first record.
    pub preamble: String,
    /// What comes after the last one.
    pub postamble: &'static str,
    pub recipes: Vec<&'static Recipe>,
    /// Recipe to begin with, so that small files do not all have the same faults.
    pub turn: usize,
}

impl Table {
    /// A CSV table whose header is written as the contract does.
    pub fn csv(columns: &[&str], recipes: Vec<&'static Recipe>, turn: usize) -> Self {
        Table {
            frame: Frame::Csv,
            columns: columns.iter().map(ToString::to_string).collect(),
            preamble: format!("{}\n", columns.join(";")),
            postamble: "",
            recipes,
            turn,
            sparse: &[],
        }
    }
}

/// Values of a record, their room used again from one to the next. The values of a list are
/// separated by `|` in both frames; no value holds that character.
#[derive(Default)]
pub struct Row {
    cells: Vec<String>,
    used: usize,
}

impl Row {
    pub fn put(&mut self, value: impl Display) -> &mut Self {
        if self.used == self.cells.len() {
            self.cells.push(String::new());
        }
        if let Some(cell) = self.cells.get_mut(self.used) {
            cell.clear();
            // Writing to a String cannot fail.
            let _ = write!(cell, "{value}");
        }
        self.used += 1;
        self
    }

    pub fn none(&mut self) -> &mut Self {
        self.put("")
    }

    pub fn clear(&mut self) {
        self.used = 0;
    }

    pub fn len(&self) -> usize {
        self.used
    }

    pub fn cell(&mut self, at: usize) -> Option<&mut String> {
        self.cells.get_mut(at)
    }

    fn values(&self) -> &[String] {
        self.cells.get(..self.used).unwrap_or_default()
    }
}

impl Table {
    /// Writes a record in its frame, which the recipe may spoil.
    pub fn render(&self, row: &Row, recipe: Option<&Recipe>, out: &mut Vec<u8>) {
        let act = recipe.map(|r| r.act);
        out.clear();
        match &self.frame {
            Frame::Csv => {
                let foreign = recipe.filter(|r| matches!(r.act, Act::ForeignByte)).map(|r| r.column);
                for (i, (cell, column)) in row.values().iter().zip(&self.columns).enumerate() {
                    if i > 0 {
                        out.push(b';');
                    }
                    csv_field(out, cell);
                    if foreign == Some(column.as_str()) {
                        out.push(0xE9);
                    }
                }
                if matches!(act, Some(Act::ExtraField)) {
                    out.extend_from_slice(b";surplus");
                }
                out.push(b'\n');
            }
            Frame::Aaf { attribute, category } => {
                let category = if let Some(Act::Category(other)) = act { other } else { category };
                let id = row.values().first().map(String::as_str).unwrap_or_default();
                let other = if matches!(act, Some(Act::OtherIdentifier)) { "9" } else { "" };
                out.extend_from_slice(
                    format!(
                        "<addRequest>\n<operationalAttributes><attr name=\"{attribute}\"><value>{category}</value>\
                         </attr></operationalAttributes>\n<identifier><id>{id}{other}</id></identifier>\n<attributes>\n"
                    )
                    .as_bytes(),
                );
                for (cell, column) in row.values().iter().zip(&self.columns) {
                    if !cell.is_empty() || !self.sparse.contains(&column.as_str()) {
                        aaf_attribute(out, column, cell);
                    }
                }
                out.extend_from_slice(b"</attributes>\n</addRequest>\n");
            }
        }
    }
}

pub fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}

fn csv_field(out: &mut Vec<u8>, cell: &str) {
    if cell.contains([';', '"']) {
        out.extend_from_slice(format!("\"{}\"", cell.replace('"', "\"\"")).as_bytes());
    } else {
        out.extend_from_slice(cell.as_bytes());
    }
}

fn aaf_attribute(out: &mut Vec<u8>, name: &str, cell: &str) {
    out.extend_from_slice(b"<attr name=\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\">");
    for value in cell.split('|') {
        if value.is_empty() {
            out.extend_from_slice(b"<value/>");
            continue;
        }
        out.extend_from_slice(b"<value>");
        for b in value.bytes() {
            match b {
                b'&' => out.extend_from_slice(b"&amp;"),
                b'<' => out.extend_from_slice(b"&lt;"),
                b'>' => out.extend_from_slice(b"&gt;"),
                b'\'' => out.extend_from_slice(b"&apos;"),
                _ => out.push(b),
            }
        }
        out.extend_from_slice(b"</value>");
    }
    out.extend_from_slice(b"</attr>\n");
}
