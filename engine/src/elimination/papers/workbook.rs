//! Reads the cells of a workbook that somebody gives back, as they are stored.
//!
//! No spreadsheet crate: `calamine` builds dense ranges from the cells' addresses, so that two cells
//! far apart take all memory, and it turns `quick-xml/encoding` on for the XML readers of the whole
//! workspace.

use super::package::{
    Node, Parts, Refusal, WorkbookLimits, attribute, broken, each_tag, not_a_workbook, too_big, walk,
};
use std::collections::BTreeMap;

/// What a cell holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Content {
    Text(String),
    Number(f64),
    /// A formula, whatever its last result.
    Formula,
    /// A truth value, an error, a date in text: nothing the bordereau uses.
    Other,
}

/// Cells of a sheet, by row and column from 0. Empty cells and empty texts are absent.
pub(super) type Cells = BTreeMap<(u32, u16), Content>;

/// The sheets, in their order: name and cells.
pub(super) type Workbook = Vec<(String, Cells)>;

/// Reads all sheets.
///
/// # Errors
/// A [`Refusal`] when the file is not a workbook, passes a limit or holds what is never accepted.
pub(super) fn read(bytes: &[u8], limits: &WorkbookLimits) -> Result<Workbook, Refusal> {
    let mut parts = Parts::open(bytes, limits)?;
    let root = parts.relations("")?;
    let book_path = root.first("officeDocument").ok_or_else(not_a_workbook)?;
    let relations = parts.relations(&book_path)?;
    let names = sheet_names(&parts.text(&book_path)?)?;
    let strings = match relations.first("sharedStrings") {
        Some(path) => shared_strings(&parts.text(&path)?, limits)?,
        None => Vec::new(),
    };
    let mut sheets = Vec::new();
    let mut left = limits.cells_max;
    for (name, id) in names {
        let path = relations.by_id(&id).ok_or_else(broken)?;
        let cells = cells(&parts.text(&path)?, &strings, left)?;
        left -= cells.len();
        sheets.push((name, cells));
    }
    Ok(sheets)
}

/// Names of the sheets and the identifiers of their parts.
fn sheet_names(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let mut names = Vec::new();
    each_tag(text, |tag| {
        if tag.local_name().as_ref() == "sheet" {
            let (name, id) = (attribute(tag, "name")?, attribute(tag, "id")?);
            names.push((name.ok_or_else(broken)?, id.ok_or_else(broken)?));
        }
        Ok(())
    })?;
    Ok(names)
}

/// The text of rich or plain strings, phonetic hints apart.
#[derive(Default)]
struct Strings {
    text: String,
    inside: bool,
    phonetic: bool,
}

impl Strings {
    fn start(&mut self, name: &str) {
        match name {
            "t" => self.inside = !self.phonetic,
            "rPh" => self.phonetic = true,
            _ => {}
        }
    }

    fn end(&mut self, name: &str) {
        match name {
            "t" => self.inside = false,
            "rPh" => self.phonetic = false,
            _ => {}
        }
    }

    fn take(&mut self) -> String {
        unescape(&std::mem::take(&mut self.text))
    }
}

fn shared_strings(text: &str, limits: &WorkbookLimits) -> Result<Vec<String>, Refusal> {
    let (mut strings, mut current) = (Vec::new(), Strings::default());
    walk(text, |node| {
        match node {
            Node::Start(tag) => current.start(tag.local_name().as_ref()),
            Node::Text(text) if current.inside => current.text.push_str(&text),
            Node::Text(_) => {}
            Node::End(name) if name == "si" => {
                if strings.len() == limits.strings_max {
                    return Err(too_big("trop de textes différents"));
                }
                strings.push(current.take());
            }
            Node::End(name) => current.end(&name),
        }
        Ok(())
    })?;
    Ok(strings)
}

/// Undoes `_xHHHH_`, by which the format writes what XML cannot hold.
pub(super) fn unescape(text: &str) -> String {
    if !text.contains("_x") {
        return text.to_owned();
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once("_x") {
        out.push_str(before);
        let code = after.get(..4).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = code.filter(|_| after.get(4..5) == Some("_"));
        match code.and_then(|h| u32::from_str_radix(h, 16).ok()).and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                rest = after.get(5..).unwrap_or_default();
            }
            None => {
                out.push_str("_x");
                rest = after;
            }
        }
    }
    out + rest
}

/// A cell that is being read.
#[derive(Default)]
struct Open {
    place: (u32, u16),
    kind: String,
    value: String,
    in_value: bool,
    formula: bool,
    strings: Strings,
}

impl Open {
    fn close(mut self, strings: &[String]) -> Result<Option<Content>, Refusal> {
        if self.formula {
            return Ok(Some(Content::Formula));
        }
        let text = |t: String| (!t.is_empty()).then_some(Content::Text(t));
        Ok(match self.kind.as_str() {
            "inlineStr" => text(self.strings.take()),
            _ if self.value.trim().is_empty() => None,
            "s" => {
                let index: usize = self.value.trim().parse().map_err(|_| broken())?;
                text(strings.get(index).ok_or_else(broken)?.clone())
            }
            "str" => text(unescape(&self.value)),
            "" | "n" => Some(Content::Number(self.value.trim().parse().map_err(|_| broken())?)),
            _ => Some(Content::Other),
        })
    }
}

/// The cells of a sheet, at most so many.
fn cells(text: &str, strings: &[String], max: usize) -> Result<Cells, Refusal> {
    let mut cells = Cells::new();
    let (mut row, mut column) = (0_u32, 0_u16);
    let mut open: Option<Open> = None;
    walk(text, |node| {
        match (node, &mut open) {
            (Node::Start(tag), None) => match tag.local_name().as_ref() {
                "row" => {
                    row = match attribute(&tag, "r")? {
                        Some(r) => r.parse().ok().filter(|r| *r > 0).ok_or_else(broken)?,
                        None => row.checked_add(1).ok_or_else(broken)?,
                    };
                    column = 0;
                }
                "c" => {
                    let place = match attribute(&tag, "r")? {
                        Some(name) => place(&name).ok_or_else(broken)?,
                        None => (row.saturating_sub(1), column),
                    };
                    column = place.1.saturating_add(1);
                    let kind = attribute(&tag, "t")?.unwrap_or_default();
                    open = Some(Open { place, kind, ..Open::default() });
                }
                _ => {}
            },
            (Node::Start(tag), Some(cell)) => match tag.local_name().as_ref() {
                "v" => cell.in_value = true,
                "f" => cell.formula = true,
                name => cell.strings.start(name),
            },
            (Node::Text(text), Some(cell)) if cell.in_value => cell.value.push_str(&text),
            (Node::Text(text), Some(cell)) if cell.strings.inside => cell.strings.text.push_str(&text),
            (Node::End(name), Some(cell)) => match name.as_str() {
                "v" => cell.in_value = false,
                "c" => {
                    let place = cell.place;
                    let content = open.take().map(|c| c.close(strings)).transpose()?.flatten();
                    if let Some(content) = content
                        && cells.insert(place, content).is_some()
                    {
                        return Err(broken());
                    }
                    if cells.len() > max {
                        return Err(too_big("trop de cellules remplies"));
                    }
                }
                name => cell.strings.end(name),
            },
            _ => {}
        }
        Ok(())
    })?;
    Ok(cells)
}

/// Row and column, from 0, of a name such as `K18`.
fn place(name: &str) -> Option<(u32, u16)> {
    const ROWS: u32 = 1 << 20;
    const COLUMNS: u32 = 1 << 14;
    let letters = name.bytes().take_while(u8::is_ascii_uppercase).count();
    let (letters, digits) = name.split_at_checked(letters)?;
    if letters.is_empty() || letters.len() > 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let column = letters.bytes().fold(0, |n, b| n * 26 + u32::from(b - b'A') + 1);
    let row: u32 = digits.parse().ok()?;
    let (row, column) = (row.checked_sub(1)?, column.checked_sub(1)?);
    (row < ROWS && column < COLUMNS).then_some((row, u16::try_from(column).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_names_are_places_or_nothing() {
        for (name, want) in [
            ("A1", Some((0, 0))),
            ("K18", Some((17, 10))),
            ("XFD1048576", Some((1_048_575, 16_383))),
            ("XFE1", None),
            ("A0", None),
            ("A1048577", None),
            ("A", None),
            ("18", None),
            ("A+1", None),
            ("é1", None),
            ("A99999999999", None),
        ] {
            assert_eq!(place(name), want, "{name}");
        }
    }

    #[test]
    fn escapes_of_the_format_are_undone() {
        for (text, want) in [
            ("a_x000A_b", "a\nb"),
            ("_x005F_x000A_", "_x000A_"),
            ("_xZZZZ_ _x00", "_xZZZZ_ _x00"),
            ("_xD800_", "_xD800_"),
            ("_xé", "_xé"),
        ] {
            assert_eq!(unescape(text), want);
        }
    }

    #[test]
    fn cells_of_every_kind_are_read() {
        let strings = ["un".to_owned(), String::new()];
        let sheet = r#"<x:worksheet xmlns:x="u"><x:sheetData><x:row><x:c t="s"><x:v>0</x:v></x:c><x:c t="inlineStr"><x:is><x:r><x:t>a&amp;</x:t></x:r><x:r><x:t>b</x:t></x:r><x:rPh><x:t>non</x:t></x:rPh></x:is></x:c></x:row>
            <x:row r="4"><x:c r="C4"><x:v>1.5E1</x:v></x:c><x:c r="D4" t="b"><x:v>1</x:v></x:c><x:c r="E4" t="str"><x:f>1+1</x:f><x:v>Visa</x:v></x:c><x:c r="F4" t="s"><x:v>1</x:v></x:c><x:c r="G4"/></x:row></x:sheetData></x:worksheet>"#;
        let want = [
            ((0, 0), Content::Text("un".into())),
            ((0, 1), Content::Text("a&b".into())),
            ((3, 2), Content::Number(15.0)),
            ((3, 3), Content::Other),
            ((3, 4), Content::Formula),
        ];
        assert_eq!(cells(sheet, &strings, 10).unwrap(), want.into_iter().collect());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let strings: [String; 0] = [];
        for (sheet, word) in [
            ("<a><row><c r='A1'><v>1</v></c><c r='A1'><v>1</v></c></row></a>", "abîmé"),
            ("<a><row><c t='s'><v>3</v></c></row></a>", "abîmé"),
            ("<a><row><c><v>un</v></c></row></a>", "abîmé"),
            ("<a><row><c r='A1'><v>1</v></c><c r='B1'><v>1</v></c></row></a>", "trop de cellules"),
            ("<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>", "DOCTYPE"),
            ("<a><row><c t='inlineStr'><is><t>&e;</t></is></c></row></a>", "abîmé"),
            ("<a><row></a>", "abîmé"),
        ] {
            let refusal = cells(sheet, &strings, 1).unwrap_err();
            assert!(refusal.contains(word), "{sheet}: {refusal}");
        }
    }
}
