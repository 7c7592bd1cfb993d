//! Reads the decisions that the archives wrote in the spreadsheet.
//!
//! Every cell but those of the two last columns is compared with the list. One difference and the
//! whole is refused: a decision counts for the row that was proposed, or not at all.

use super::bordereau::{Answer, Bordereau, RowDecision};
use super::package::WorkbookLimits;
use super::sheet::{self, COLUMNS, COPY_COLUMNS, DECISION, OBSERVATION, TOP, Value, cell_name};
use super::workbook::{self, Cells, Content, unescape};
use crate::error::{ConfigFault, Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Faults told one by one.
const FAULTS_MAX: usize = 50;
/// Characters of an expected text that are shown.
const SHOWN_CHARS_MAX: usize = 80;
/// Characters of an observation.
const OBSERVATION_CHARS_MAX: usize = 2_000;

/// Reads the decisions of a file given back; see [`annotations`].
///
/// # Errors
/// Those of [`annotations`], and [`Error::Io`] when the file cannot be read.
pub fn annotate(path: &Path, bordereau: &Bordereau) -> Result<Vec<RowDecision>> {
    let limits = WorkbookLimits::default();
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    // One byte more than the limit is enough to be refused.
    file.take(limits.file_bytes_max as u64 + 1).read_to_end(&mut bytes).map_err(|e| Error::io(path, e))?;
    annotations(&path.file_name().unwrap_or_default().to_string_lossy(), &bytes, bordereau, &limits)
}

/// The decisions of a returned spreadsheet: one a row of the bordereau, by order number. A row left
/// blank has no decision. Rows may come in another order; nothing else may differ.
///
/// # Errors
/// [`Error::Config`] with all faults, each with its row and column from 1: a file that is no
/// workbook or passes a limit, another list's digest, a changed, added or missing cell, row or
/// sheet, a formula, an unknown decision.
pub fn annotations(
    file: &str,
    bytes: &[u8],
    bordereau: &Bordereau,
    limits: &WorkbookLimits,
) -> Result<Vec<RowDecision>> {
    let mut faults = Faults { file, sheet: "", list: Vec::new() };
    let mut sheets = match workbook::read(bytes, limits) {
        Ok(sheets) => sheets,
        Err(refusal) => {
            faults.whole(refusal);
            return Err(faults.error());
        }
    };
    let mut take = |name: &str| {
        let at = sheets.iter().position(|(n, _)| n == name)?;
        Some(sheets.remove(at).1)
    };
    let (main, copies) = (take(sheet::MAIN), take(sheet::COPIES));
    let Some(main) = main else {
        faults.whole(format!(
            "la feuille « {} » manque : rendez le bordereau que l'outil a produit, sans renommer ses feuilles",
            sheet::MAIN
        ));
        return Err(faults.error());
    };
    // The digest first: on another list's bordereau everything differs, and one message says why.
    if !matches(main.get(&sheet::DIGEST), &Value::text(&bordereau.digest)) {
        let (row, column) = sheet::DIGEST;
        faults.sheet = sheet::MAIN;
        faults.at(row, column, format!(
            "ce bordereau ne porte pas l'empreinte de la liste {} : c'est celui d'une autre liste, ou d'une version antérieure ; faites annoter le bordereau de cette liste",
            bordereau.id
        ));
        return Err(faults.error());
    }
    if !sheets.is_empty() {
        faults.whole(format!(
            "{} en trop : supprimez-la, les décisions ne se lisent que dans « {} »",
            if sheets.len() == 1 { "une feuille" } else { "plusieurs feuilles" },
            sheet::MAIN
        ));
    }
    faults.sheet = sheet::COPIES;
    compare(&copies.unwrap_or_default(), &copies_cells(bordereau), &mut faults);
    faults.sheet = sheet::MAIN;
    let (head, rows): (Cells, Cells) = main.into_iter().partition(|((row, _), _)| *row <= TOP);
    compare(&head, &head_cells(bordereau), &mut faults);
    let decisions = read_rows(rows, bordereau, &mut faults);
    if faults.list.is_empty() { Ok(decisions) } else { Err(faults.error()) }
}

/// Faults of the file, all told at once.
struct Faults<'a> {
    file: &'a str,
    sheet: &'a str,
    list: Vec<ConfigFault>,
}

impl Faults<'_> {
    fn whole(&mut self, message: String) {
        self.list.push(ConfigFault { file: self.file.to_owned(), line: 0, column: 0, message });
    }

    fn at(&mut self, row: u32, column: u16, message: impl std::fmt::Display) {
        let heading = match self.sheet {
            sheet::MAIN if row > TOP => COLUMNS.get(usize::from(column)),
            sheet::COPIES => COPY_COLUMNS.get(usize::from(column)),
            _ => None,
        };
        let heading = heading.map(|(h, _)| format!(", colonne « {h} »")).unwrap_or_default();
        let cell = cell_name(row, column);
        self.list.push(ConfigFault {
            file: self.file.to_owned(),
            line: row as usize + 1,
            column: usize::from(column) + 1,
            message: format!("feuille « {} », cellule {cell}{heading} : {message}", self.sheet),
        });
    }

    fn error(mut self) -> Error {
        let more = self.list.len().saturating_sub(FAULTS_MAX);
        if more > 0 {
            self.list.truncate(FAULTS_MAX);
            self.whole(format!("et {more} autres écarts : rendez le bordereau que l'outil a produit, annoté dans ses deux dernières colonnes seulement"));
        }
        Error::Config(self.list)
    }
}

/// Whether a cell holds what it should.
fn matches(found: Option<&Content>, expected: &Value) -> bool {
    match (found, expected) {
        (None, Value::Text(text)) => text.is_empty(),
        // Some programs undo the format's escapes twice: "_x0041_" and "A" are one text here.
        (Some(Content::Text(found)), Value::Text(text)) => {
            unescape(&found.replace("\r\n", "\n")) == unescape(text)
        }
        (Some(Content::Number(found)), _) => expected.number() == Some(*found),
        _ => false,
    }
}

/// The cells of the copies' sheet.
fn copies_cells(bordereau: &Bordereau) -> BTreeMap<(u32, u16), Value> {
    if bordereau.copies.is_empty() {
        return BTreeMap::new();
    }
    let headings = COPY_COLUMNS.iter().map(|(h, _)| Value::text(h)).collect::<Vec<_>>();
    let rows = sheet::copies(bordereau).into_iter().map(Vec::from);
    (0..)
        .zip(std::iter::once(headings).chain(rows))
        .flat_map(|(row, values)| (0..).zip(values).map(move |(column, v)| ((row, column), v)))
        .collect()
}

/// The cells above the rows.
fn head_cells(bordereau: &Bordereau) -> BTreeMap<(u32, u16), Value> {
    let head =
        sheet::head(bordereau).into_iter().map(|(row, column, _, text)| ((row, column), Value::text(text)));
    head.chain((0..).zip(COLUMNS).map(|(column, (h, _))| ((TOP, column), Value::text(h)))).collect()
}

fn compare(found: &Cells, expected: &BTreeMap<(u32, u16), Value>, faults: &mut Faults<'_>) {
    for (&(row, column), value) in expected {
        if !matches(found.get(&(row, column)), value) {
            faults.at(row, column, changed(value));
        }
    }
    for &(row, column) in found.keys().filter(|at| !expected.contains_key(at)) {
        faults.at(row, column, "contenu ajouté : effacez-le");
    }
}

fn changed(expected: &Value) -> String {
    let shown = expected.shown();
    match shown.chars().count() {
        0 => "contenu modifié : la cellule était vide".into(),
        n if n > SHOWN_CHARS_MAX => {
            let start: String = shown.chars().take(SHOWN_CHARS_MAX).collect();
            format!("contenu modifié ; remettez le texte d'origine, qui commence par « {start} »")
        }
        _ => format!("contenu modifié ; remettez « {shown} »"),
    }
}

/// Decisions of the rows, found by their order numbers.
fn read_rows(cells: Cells, bordereau: &Bordereau, faults: &mut Faults<'_>) -> Vec<RowDecision> {
    let mut lines: BTreeMap<u32, BTreeMap<u16, Content>> = BTreeMap::new();
    for ((row, column), content) in cells {
        lines.entry(row).or_default().insert(column, content);
    }
    let by_order: BTreeMap<usize, _> = bordereau.rows.iter().map(|r| (r.order, r)).collect();
    let mut seen: BTreeMap<usize, u32> = BTreeMap::new();
    let mut decisions = Vec::new();
    for (line, found) in lines {
        let Some(order) = found.get(&0).and_then(order_number) else {
            faults.at(
                line,
                0,
                "ligne sans numéro d'ordre de la liste : supprimez-la, ou remettez son numéro",
            );
            continue;
        };
        let Some(row) = by_order.get(&order) else {
            faults.at(line, 0, format!("le numéro d'ordre {order} n'est pas dans la liste : supprimez la ligne, ou remettez son numéro"));
            continue;
        };
        if let Some(first) = seen.insert(order, line) {
            faults.at(
                line,
                0,
                format!(
                    "le numéro d'ordre {order} est déjà à la ligne {} : gardez une seule ligne",
                    first + 1
                ),
            );
            continue;
        }
        for (column, value) in (0..).zip(sheet::row(row)) {
            if !matches(found.get(&column), &value) {
                faults.at(line, column, changed(&value));
            }
        }
        for column in found.keys().filter(|c| **c > OBSERVATION) {
            faults.at(line, *column, "contenu ajouté : effacez-le");
        }
        let decision = answer(found.get(&DECISION)).unwrap_or_else(|why| {
            faults.at(line, DECISION, why);
            None
        });
        let observation = observation(found.get(&OBSERVATION)).unwrap_or_else(|why| {
            faults.at(line, OBSERVATION, why);
            None
        });
        decisions.push(RowDecision { order, decision, observation });
    }
    for order in by_order.keys().filter(|o| !seen.contains_key(o)) {
        faults.whole(format!(
            "feuille « {} » : la ligne du numéro d'ordre {order} manque ; pour ne pas éliminer, écrivez « Refus » au lieu de supprimer",
            sheet::MAIN
        ));
    }
    decisions.sort_by_key(|d| d.order);
    decisions
}

fn order_number(content: &Content) -> Option<usize> {
    match content {
        // Whole and small: the cast is exact.
        Content::Number(n) if n.fract() == 0.0 && (1.0..=1e9).contains(n) => Some(*n as usize),
        _ => None,
    }
}

fn answer(content: Option<&Content>) -> Result<Option<Answer>, &'static str> {
    match content {
        None => Ok(None),
        Some(Content::Formula) => {
            Err("une formule n'est pas une décision : écrivez le mot « Visa », « Refus » ou « À trier »")
        }
        Some(Content::Text(text)) if folded(text).is_empty() => Ok(None),
        Some(Content::Text(text)) => Answer::ALL
            .into_iter()
            .find(|a| folded(a.french()) == folded(text))
            .map(Some)
            .ok_or(
                "décision inconnue : écrivez « Visa », « Refus » ou « À trier », ou laissez la cellule vide pour ne pas décider",
            ),
        Some(Content::Number(_) | Content::Other) => Err(
            "décision inconnue : écrivez « Visa », « Refus » ou « À trier », ou laissez la cellule vide pour ne pas décider",
        ),
    }
}

/// A word without case, accents or blanks around it.
fn folded(text: &str) -> String {
    let letters: String = text.nfd().filter(|c| !is_combining_mark(*c)).collect();
    letters.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn observation(content: Option<&Content>) -> Result<Option<String>, String> {
    let text = match content {
        None => return Ok(None),
        Some(Content::Text(text)) => sheet::plain(text),
        Some(Content::Number(n)) => n.to_string(),
        Some(Content::Formula | Content::Other) => {
            return Err("une observation est un texte, sans formule ni erreur de calcul : récrivez-la".into());
        }
    };
    if text.chars().count() > OBSERVATION_CHARS_MAX {
        return Err(format!("observation de plus de {OBSERVATION_CHARS_MAX} caractères : abrégez-la"));
    }
    Ok((!text.is_empty()).then_some(text))
}

#[cfg(test)]
mod tests;
