//! Files to tables: what real exports of the BCN and plain code lists look like.
//!
//! - **Encoding**: UTF-8, with or without BOM; any file that is not valid UTF-8 is windows-1252.
//! - **Separator**: the most frequent of `;` `|` `,` and tab in the header, outside quotes.
//! - **Headers**: quoted or not, in any case.
//! - **Dates**: dd/mm/yyyy or yyyy-mm-dd; empty or 31/12/9999 is open; both bounds are included.
//! - **Name of the table**: the file's, without folder, extension, `_BCN` nor `_LONG`.
//! - **Key**: the column named like the table without its `N_` or `V_`; else the column `CODE`;
//!   else the first one.
//! - **Key of a link table** (`N_LIEN_…`): a link is known by all codes it joins, so its code is the
//!   cells of every column that the table's name names, in the order of the name, joined by `/`:
//!   `2472000631/001` in `N_LIEN_MEF_FAMILLE_METIER`. When the name names fewer than two columns,
//!   all columns before the first date, label or comment.
//! - **Successors**: columns `NOUVEAU_…` whose end is a part of the key's name
//!   (`NOUVEAU_DIPLOME_1` for `FORMATION_DIPLOME`), `SUCCESSEUR…`, `REMPLACE_PAR…`, `REMPLACANT…`.
//! - **JSON**: an object keyed by code; its values are objects (their members are the columns) or
//!   labels. Without dates, such codes are known and never closed.
//!
//! Nothing is repaired: what is wrong with a row is counted, with its line, in [`Table::flaws`].

use super::{Codes, Column, Flaw, FlawKind, LabelKind, Role, Row, Table, Validity};
use crate::domain::{DateFormat, Digest};
use chrono::NaiveDate;
use csv::StringRecord;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;

/// More columns than any table has: the file is something else.
const COLUMNS_MAX: usize = 10_000;

/// Put after the last line: a quote that is never closed swallows it, and is seen so.
const SENTINEL: &str = "\u{1}";

impl Table {
    /// Reads one file; `None` when its name is not that of a table (`.csv` or `.json`).
    ///
    /// # Errors
    /// Why it is no table, in French.
    pub fn from_file(file: &str, bytes: &[u8]) -> Option<Result<Table, String>> {
        let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
        let (stem, extension) = base.rsplit_once('.')?;
        let name = table_name(stem);
        let read = match extension.to_ascii_lowercase().as_str() {
            "csv" => read_csv(&name, &decode(bytes)),
            "json" => read_json(&name, &decode(bytes)),
            _ => return None,
        };
        Some(read.and_then(|reading| reading.finish(name, file, Digest::of(bytes))))
    }
}

/// The table that a file is for, by its name: `2012/n_mef_BCN.csv` is `N_MEF`.
pub fn table_of(file: &str) -> Option<String> {
    let base = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let (stem, extension) = base.rsplit_once('.')?;
    ["csv", "json"].iter().any(|e| extension.eq_ignore_ascii_case(e)).then(|| table_name(stem))
}

fn table_name(stem: &str) -> String {
    let upper = stem.to_uppercase();
    let mut name = upper.as_str();
    while let Some(shorter) = name.strip_suffix("_BCN").or_else(|| name.strip_suffix("_LONG")) {
        name = shorter;
    }
    name.to_owned()
}

fn decode(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

fn read_csv(name: &str, text: &str) -> Result<Reading, String> {
    if text.contains('\0') {
        return Err(
            "octets nuls : fichier binaire ou UTF-16, exportez la table en UTF-8 ou en windows-1252".into()
        );
    }
    if text.trim_start().starts_with('<') {
        return Err("page HTML ou document XML : exportez la table au format CSV".into());
    }
    let ended = format!("\n{SENTINEL}\n");
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(separator(text))
        .flexible(true)
        .from_reader(text.as_bytes().chain(ended.as_bytes()));
    let headers = reader.headers().map_err(|_| "en-tête illisible".to_owned())?.clone();
    if is_end(&headers) {
        return Err("fichier vide".into());
    }
    let mut reading = Reading::new(name, headers.iter().map(|h| h.trim().to_owned()).collect())?;
    let mut pending: Option<StringRecord> = None;
    for row in reader.records() {
        let row = row.map_err(|_| "ligne illisible".to_owned())?;
        if let Some(before) = pending.replace(row) {
            reading.add(before);
        }
    }
    if !pending.as_ref().is_some_and(is_end) {
        let line = pending.as_ref().and_then(StringRecord::position).map_or(1, csv::Position::line);
        return Err(format!(
            "guillemet ouvert ligne {line} et jamais refermé : corrigez ce fichier ou exportez-le de nouveau"
        ));
    }
    Ok(reading)
}

fn is_end(record: &StringRecord) -> bool {
    record.iter().eq([SENTINEL])
}

/// The separator of the header. Without any there is one column, and `;` changes nothing to it.
fn separator(text: &str) -> u8 {
    let mut quoted = false;
    let mut counts = [(b';', 0_usize), (b'|', 0), (b',', 0), (b'\t', 0)];
    for byte in text.trim_start_matches(['\r', '\n']).bytes() {
        match byte {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'\n' | b'\r' => break,
            _ => counts.iter_mut().filter(|(s, _)| *s == byte).for_each(|(_, n)| *n += 1),
        }
    }
    // The first of equals: `max_by_key` would take the last.
    counts.iter().rev().max_by_key(|(_, n)| *n).map_or(b';', |(s, _)| *s)
}

fn read_json(name: &str, text: &str) -> Result<Reading, String> {
    let members = serde_json::Deserializer::from_str(text)
        .deserialize_map(Members)
        .map_err(|e| format!("objet JSON dont les clés sont les codes attendu (ligne {})", e.line()))?;
    let named: BTreeSet<&str> = members
        .iter()
        .filter_map(|(_, v)| v.as_object())
        .flat_map(|o| o.keys().map(String::as_str))
        .collect();
    let plain = members.iter().any(|(_, v)| !v.is_object());
    let key = bare(name).to_owned();
    let columns = std::iter::once(key.clone())
        .chain(plain.then(|| "LIBELLE".to_owned()))
        .chain(named.iter().map(|n| (*n).to_owned()))
        .collect();
    let mut reading = Reading::new(name, columns)?;
    // The key is outside of the values, whatever the names of their members.
    reading.set_key(vec![0]);
    for (code, value) in &members {
        let mut row = StringRecord::from(vec![code.as_str()]);
        if plain {
            row.push_field(&if value.is_object() { Cow::Borrowed("") } else { scalar(Some(value)) });
        }
        named.iter().for_each(|n| row.push_field(&scalar(value.get(n))));
        reading.add(row);
    }
    Ok(reading)
}

fn scalar(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        None | Some(Value::Null) => Cow::Borrowed(""),
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(other) => Cow::Owned(other.to_string()),
    }
}

/// Members of an object, repeated keys too, which a map would lose.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}

/// A table being read.
struct Reading {
    columns: Vec<Column>,
    key: Vec<usize>,
    open: Option<usize>,
    close: Option<usize>,
    successors: Vec<usize>,
    codes: Codes,
    /// Hashes of the rows, so that only rows likely to be equal are compared.
    seen: HashSet<u64>,
    flaws: Vec<Flaw>,
}

impl Reading {
    fn new(table: &str, names: Vec<String>) -> Result<Self, String> {
        if names.len() > COLUMNS_MAX {
            return Err(format!("plus de {COLUMNS_MAX} colonnes : ce n'est pas une nomenclature"));
        }
        let plain: Vec<String> = names.iter().map(|n| plain_name(n)).collect();
        let key = key_columns(bare(table), &plain);
        let key_names: Vec<&str> = key.iter().filter_map(|i| plain.get(*i)).map(String::as_str).collect();
        let roles: Vec<Role> = plain.iter().map(|n| role(n, &key_names)).collect();
        let columns: Vec<Column> =
            names.into_iter().zip(roles).map(|(name, role)| Column { name, role }).collect();
        let all =
            |role: Role| columns.iter().enumerate().filter(move |(_, c)| c.role == role).map(|(i, _)| i);
        let (open, close) = (all(Role::Opening).next(), all(Role::Closing).next());
        let successors = all(Role::Successor).collect();
        let mut reading = Reading {
            columns,
            key: Vec::new(),
            open,
            close,
            successors,
            codes: Codes::default(),
            seen: HashSet::new(),
            flaws: Vec::new(),
        };
        reading.set_key(key);
        Ok(reading)
    }

    fn set_key(&mut self, key: Vec<usize>) {
        for (i, column) in self.columns.iter_mut().enumerate() {
            match (key.contains(&i), column.role) {
                (true, _) => column.role = Role::Key,
                (false, Role::Key) => column.role = Role::Other,
                (false, _) => {}
            }
        }
        self.key = key;
    }

    fn add(&mut self, cells: StringRecord) {
        if cells.iter().all(|c| c.trim().is_empty()) {
            return;
        }
        let line = cells.position().map_or(0, csv::Position::line);
        let cell = |i: usize| cells.get(i).map(str::trim).unwrap_or_default();
        let parts: Vec<&str> = self.key.iter().map(|i| cell(*i)).collect();
        let missing = parts.iter().all(|p| p.is_empty());
        let code = if missing { String::new() } else { parts.join("/") };
        let mut flaws: Vec<FlawKind> = Vec::new();
        if cells.len() != self.columns.len() {
            flaws.push(FlawKind::RowWidth);
        }
        let mut hasher = DefaultHasher::new();
        cells.iter().for_each(|c| c.hash(&mut hasher));
        let seen = !self.seen.insert(hasher.finish());
        let entry = (!missing).then(|| self.codes.entry(code.clone()).or_default());
        match entry {
            None => flaws.push(FlawKind::MissingCode),
            Some(entry) if seen && entry.rows.iter().any(|r| r.cells == cells) => {
                flaws.push(FlawKind::DuplicateRow)
            }
            Some(entry) => {
                let mut date = |column: Option<usize>| {
                    parse_date(column.map(cell).unwrap_or_default()).unwrap_or_else(|()| {
                        flaws.push(FlawKind::UnreadableDate);
                        None
                    })
                };
                let mut validity = Validity { open: date(self.open), close: date(self.close) };
                let late = validity.open.filter(|o| validity.close.is_some_and(|c| *o > c));
                if late.is_some() {
                    flaws.push(FlawKind::OpeningAfterClosing);
                    validity.open = None;
                }
                for successor in self.successors.iter().map(|i| cell(*i)) {
                    let known = successor.is_empty()
                        || successor == code
                        || entry.successors.iter().any(|s| s == successor);
                    if !known {
                        entry.successors.push(successor.to_owned());
                    }
                }
                entry.rows.push(Row { line, validity, ignored_opening: late, cells });
            }
        }
        self.flaws.extend(flaws.into_iter().map(|kind| Flaw { kind, line, code: code.clone() }));
    }

    fn finish(mut self, name: String, file: &str, digest: Digest) -> Result<Table, String> {
        if self.codes.is_empty() {
            return Err("aucun code : la table est vide".into());
        }
        for entry in self.codes.values_mut() {
            let age = |v: &Validity| (v.close.is_none(), v.close, v.open);
            entry.rows.sort_by_key(|r| (age(&r.validity), r.line));
            entry.windows = entry.rows.iter().map(|r| r.validity).collect();
            entry.windows.dedup();
        }
        self.flaws.extend(lost_zeros(&self.codes, self.key.len()));
        self.flaws.extend(unknown_successors(&self.codes));
        self.flaws.sort_by(|a, b| (a.line, a.kind, &a.code).cmp(&(b.line, b.kind, &b.code)));
        let rows: BTreeSet<(u64, &str)> = self.flaws.iter().map(|f| (f.line, f.code.as_str())).collect();
        Ok(Table {
            flawed_rows: rows.len(),
            codes: self.codes,
            name,
            columns: self.columns,
            file: file.to_owned(),
            digest,
            flaws: self.flaws,
        })
    }
}

fn parse_date(text: &str) -> Result<Option<NaiveDate>, ()> {
    match text {
        "" | "31/12/9999" | "9999-12-31" => Ok(None),
        _ => DateFormat::French.parse(text).or_else(|| DateFormat::Iso.parse(text)).map(Some).ok_or(()),
    }
}

/// Codes that look as if a numeric type had eaten their zeros: at least half of the codes have the
/// greatest length, these are shorter and made of digits, and no number of the column begins with 0.
fn lost_zeros(codes: &Codes, key_columns: usize) -> Vec<Flaw> {
    let width = codes.keys().map(String::len).max().unwrap_or(0);
    let whole = codes.keys().filter(|c| c.len() == width).count();
    let number = |c: &&String| c.bytes().all(|b| b.is_ascii_digit());
    let zero_kept = codes.keys().filter(number).any(|c| c.len() > 1 && c.starts_with('0'));
    if key_columns != 1 || zero_kept || whole * 2 < codes.len() {
        return Vec::new();
    }
    codes
        .iter()
        .filter(|(c, _)| c.len() < width && number(c))
        .flat_map(|(c, e)| e.rows.iter().map(move |r| (c, r.line)))
        .map(|(c, line)| Flaw { kind: FlawKind::LostZeros, line, code: c.clone() })
        .collect()
}

fn unknown_successors(codes: &Codes) -> Vec<Flaw> {
    codes
        .iter()
        .flat_map(|(c, e)| e.successors.iter().map(move |s| (c, e, s)))
        .filter(|(_, _, s)| !codes.contains_key(*s))
        .map(|(c, e, _)| Flaw {
            kind: FlawKind::UnknownSuccessor,
            line: e.rows.first().map_or(0, |r| r.line),
            code: c.clone(),
        })
        .collect()
}

/// `N_MEF` without what all names begin with.
fn bare(table: &str) -> &str {
    table.strip_prefix("N_").or_else(|| table.strip_prefix("V_")).unwrap_or(table)
}

/// A column's name in capitals without accents, words joined by `_`.
fn plain_name(name: &str) -> String {
    let capitals = name.to_uppercase().replace(['É', 'È', 'Ê'], "E").replace('Ç', "C");
    capitals.split_whitespace().collect::<Vec<_>>().join("_")
}

fn key_columns(bare: &str, names: &[String]) -> Vec<usize> {
    if let Some(linked) = bare.strip_prefix("LIEN_") {
        let named = columns_named_in(linked, names);
        let leading: Vec<usize> = names
            .iter()
            .take_while(|n| !["DATE", "LIBELLE", "N_COMMENTAIRE"].iter().any(|p| n.starts_with(p)))
            .enumerate()
            .map(|(i, _)| i)
            .collect();
        if let Some(key) = [named, leading].into_iter().find(|k| k.len() > 1) {
            return key;
        }
    }
    let at = |wanted: &str| names.iter().position(|n| n == wanted);
    vec![at(bare).or_else(|| at("CODE")).unwrap_or(0)]
}

/// Columns whose names are whole words of a link's name, in its order. Longer names first, and each
/// word once: `METIER` is no part of the key when `FAMILLE_METIER` is.
fn columns_named_in(linked: &str, names: &[String]) -> Vec<usize> {
    let mut by_length: Vec<(usize, &String)> =
        names.iter().enumerate().filter(|(_, n)| !n.is_empty()).collect();
    by_length.sort_by_key(|(i, n)| (std::cmp::Reverse(n.len()), *i));
    let mut rest = format!("_{linked}_");
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (column, name) in by_length {
        let word = format!("_{name}_");
        if let Some(place) = rest.find(&word) {
            found.push((place, column));
            // Same length, so that later places stay comparable.
            rest = rest.replacen(&word, &format!("_{}_", "\u{1}".repeat(name.len())), 1);
        }
    }
    found.sort_unstable();
    found.into_iter().map(|(_, column)| column).collect()
}

fn role(name: &str, keys: &[&str]) -> Role {
    let begins = |starts: &[&str]| starts.iter().any(|s| name.starts_with(s));
    if keys.contains(&name) {
        return Role::Key;
    }
    match name {
        "DATE_OUVERTURE" => Role::Opening,
        "DATE_FERMETURE" => Role::Closing,
        "SHORTNAME" => Role::Label(LabelKind::Short),
        "NAME" => Role::Label(LabelKind::Long),
        _ if begins(&["LIBELLE_COURT"]) => Role::Label(LabelKind::Short),
        _ if begins(&["LIBELLE_EDITION"]) => Role::Label(LabelKind::Edition),
        _ if begins(&["LIBELLE_LONG"]) || without_number(name) == "LIBELLE" => Role::Label(LabelKind::Long),
        _ if begins(&["LIBELLE"]) => Role::Label(LabelKind::Other),
        _ if begins(&["SUCCESSEUR", "REMPLACE_PAR", "REMPLACANT"]) => Role::Successor,
        _ if replaces(name, keys) => Role::Successor,
        _ => Role::Other,
    }
}

/// `NOUVEAU_DIPLOME_1` names a successor among `FORMATION_DIPLOME`; `NOUVEAU_BARÈME` would not.
fn replaces(name: &str, keys: &[&str]) -> bool {
    let Some(what) = ["NOUVEAU_", "NOUVELLE_", "NOUVEL_"].iter().find_map(|p| name.strip_prefix(p)) else {
        return false;
    };
    let word = format!("_{}_", without_number(what));
    keys.iter().any(|k| format!("_{k}_").contains(&word))
}

fn without_number(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches('_')
}

#[cfg(test)]
mod tests;
