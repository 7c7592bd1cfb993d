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
mod tests {
    use super::super::tests::{day, real, table};
    use super::super::{Nomenclatures, Verdict, diff};
    use super::*;

    fn reason(file: &str, bytes: &[u8]) -> String {
        Table::from_file(file, bytes).unwrap().unwrap_err()
    }

    #[test]
    fn every_shape_of_export_gives_the_same_table() {
        let shapes: [(&str, Vec<u8>); 8] = [
            ("n_mef.csv", "MEF;LIBELLE_COURT;DATE_OUVERTURE;DATE_FERMETURE\n0001;é;01/09/2000;31/08/2010\n".into()),
            ("N_MEF.CSV", "mef|libelle_court|date_ouverture|date_fermeture\r\n0001|é|2000-09-01|2010-08-31\r\n".into()),
            ("a/n_mef_BCN.csv", "\"Mef\",\"Libellé court\",\"Date ouverture\",\"Date fermeture\"\n0001,é,01/09/2000,31/08/2010".into()),
            ("n_mef_long.csv", "MEF\tLIBELLE_COURT\tDATE_OUVERTURE\tDATE_FERMETURE\n0001\té\t01/09/2000\t31/08/2010\n".into()),
            ("n_mef_bcn.csv", "\u{FEFF}MEF;LIBELLE_COURT;DATE_OUVERTURE;DATE_FERMETURE\n0001;é;01/09/2000;2010-08-31\n".into()),
            ("n_mef.csv", b"MEF;LIBELLE_COURT;DATE_OUVERTURE;DATE_FERMETURE\n0001;\xE9;01/09/2000;31/08/2010\n".to_vec()),
            ("n_mef.csv", "\n\"LIBELLE_COURT\",\"DATE_OUVERTURE\",\"DATE_FERMETURE\",\"a;b;c;d;e\",MEF\né,01/09/2000,31/08/2010,,0001\n".into()),
            ("n_mef.json", r#"{"0001":{"shortName":"é","DATE_OUVERTURE":"01/09/2000","DATE_FERMETURE":"31/08/2010"}}"#.into()),
        ];
        let want = Validity { open: Some(day("01/09/2000")), close: Some(day("31/08/2010")) };
        for (file, bytes) in shapes {
            let t = table(file, &bytes);
            let shown = String::from_utf8_lossy(&bytes);
            assert_eq!(t.name, "N_MEF", "{shown}");
            assert_eq!(t.windows("0001"), [want], "{shown}");
            assert_eq!(t.label("0001", LabelKind::Short), Some("é"), "{shown}");
            assert_eq!((t.flawed_rows, t.len()), (0, 1), "{shown}");
            assert_eq!(t.digest, Digest::of(&bytes));
        }
    }

    #[test]
    fn plain_code_lists_are_read_with_their_first_column_or_code() {
        let csv = "code;libelle;academie;date_ouverture;date_fermeture\n\
            0010024W;Établissement 00001;01;1985-03-02;\n0010025X;Établissement 00002;01;1990-01-01;2025-01-31\n";
        let t = table("etablissements.csv", csv.as_bytes());
        assert_eq!(t.name, "ETABLISSEMENTS");
        assert_eq!(t.label("0010024W", LabelKind::Long), Some("Établissement 00001"));
        assert_eq!(t.judge("0010024W", day("01/01/2050")), Verdict::Valid);
        assert_eq!(t.judge("0010025X", day("31/01/2025")), Verdict::Valid);
        assert_eq!(
            t.judge("0010025X", day("01/02/2025")),
            Verdict::Closed { last_day: day("31/01/2025"), successors: &[] }
        );
        assert_eq!(table("x.csv", b"libelle;CODE\na;1\n").codes(), ["1"]);
        assert_eq!(table("x.csv", b"a;b\n1;2\n").codes(), ["1"]);
    }

    #[test]
    fn flaws_are_counted_with_their_line_and_nothing_is_repaired() {
        let csv = "MEF;LIBELLE;DATE_OUVERTURE;DATE_FERMETURE\n\
            10;a;01/09/2019;31/08/1998\n11;b;31/02/2000;\n10;a;01/09/2019;31/08/1998\n;c;;\n;;;\n12;d\n7;e;;\n13;f;;\n";
        let t = table("n_mef.csv", csv.as_bytes());
        let told: Vec<(FlawKind, u64, &str)> =
            t.flaws.iter().map(|f| (f.kind, f.line, f.code.as_str())).collect();
        assert_eq!(
            told,
            [
                (FlawKind::OpeningAfterClosing, 2, "10"),
                (FlawKind::UnreadableDate, 3, "11"),
                (FlawKind::DuplicateRow, 4, "10"),
                (FlawKind::MissingCode, 5, ""),
                (FlawKind::RowWidth, 7, "12"),
                (FlawKind::LostZeros, 8, "7"),
            ]
        );
        assert_eq!(t.flawed_rows, 6);
        assert_eq!(t.codes(), ["10", "11", "12", "13", "7"]);
        assert_eq!(t.rows("10").len(), 1);
        assert_eq!(t.rows("10")[0].ignored_opening, Some(day("01/09/2019")));
        assert_eq!(t.judge("07", day("01/01/2020")), Verdict::Unknown);
    }

    #[test]
    fn short_codes_are_suspect_only_when_zeros_may_have_been_lost() {
        let suspects = |codes: &[&str]| {
            let csv = format!("X;L\n{}", codes.iter().map(|c| format!("{c};\n")).collect::<String>());
            table("n_x.csv", csv.as_bytes()).flaws.iter().filter(|f| f.kind == FlawKind::LostZeros).count()
        };
        for (codes, want) in [
            (["371900", "379900", "35515"], 1),
            (["LYC", "EREA", "COLL"], 0),
            (["371900", "035515", "35515"], 0),
            (["10", "1", "2"], 0),
            (["36C25011", "36C25012", "36C250N"], 0),
        ] {
            assert_eq!(suspects(&codes), want, "{codes:?}");
        }
    }

    #[test]
    fn a_link_is_known_by_all_the_codes_it_joins() {
        let key = |file: &str, header: &str| {
            let t = table(file, format!("{header}\n1;2;3;;\n").as_bytes());
            t.codes()[0].to_owned()
        };
        for (file, header, want) in [
            (
                "n_lien_mef_famille_metier.csv",
                "FAMILLE_METIER;MEF;METIER;DATE_OUVERTURE;DATE_FERMETURE",
                "2/1",
            ),
            ("n_lien_academie_departement.csv", "ACA;DEP;DATE_OUVERTURE;x;y", "1/2"),
            ("n_lien_mef_matiere.csv", "MEF;MATIERE;HORAIRE;DATE_OUVERTURE;DATE_FERMETURE", "1/2"),
            ("n_lien_x.csv", "X;DATE_OUVERTURE;a;b;c", "1"),
        ] {
            assert_eq!(key(file, header), want, "{file}");
        }
    }

    #[test]
    fn successors_are_found_by_the_name_of_their_column() {
        let keys = ["FORMATION_DIPLOME"];
        for (name, want) in [
            ("NOUVEAU_DIPLOME_1", Role::Successor),
            ("NOUVELLE_FORMATION_DIPLOME", Role::Successor),
            ("SUCCESSEUR", Role::Successor),
            ("REMPLACE_PAR_2", Role::Successor),
            ("NOUVEAU_BAREME", Role::Other),
            ("NOUVEAU_", Role::Other),
            ("ANCIEN_DIPLOME_1", Role::Other),
            ("LIBELLE_LONG_200", Role::Label(LabelKind::Long)),
            ("LIBELLE_100", Role::Label(LabelKind::Long)),
            ("LIBELLE_STAT_33", Role::Label(LabelKind::Other)),
        ] {
            assert_eq!(role(name, &keys), want, "{name}");
        }
    }

    #[test]
    fn what_is_no_table_says_why() {
        for (file, bytes, want) in [
            ("n_a.csv", &b""[..], "fichier vide"),
            ("n_a.csv", b"\n \n", "aucun code : la table est vide"),
            ("n_a.csv", b"A;B\n", "aucun code : la table est vide"),
            ("n_a.csv", b"<html>", "page HTML ou document XML : exportez la table au format CSV"),
            (
                "n_a.csv",
                b"A;B\n1;x\n2;\"y\n3;z\n",
                "guillemet ouvert ligne 3 et jamais refermé : corrigez ce fichier ou exportez-le de nouveau",
            ),
            (
                "n_a.csv",
                b"\"A;B\n1;x\n",
                "guillemet ouvert ligne 1 et jamais refermé : corrigez ce fichier ou exportez-le de nouveau",
            ),
            (
                "n_a.csv",
                b"\xFF\xFEA\0;\0",
                "octets nuls : fichier binaire ou UTF-16, exportez la table en UTF-8 ou en windows-1252",
            ),
            ("n_a.json", b"{\n1", "objet JSON dont les clés sont les codes attendu (ligne 2)"),
        ] {
            assert_eq!(reason(file, bytes), want);
        }
        assert!(Table::from_file("lisezmoi.md", b"").is_none());
        assert!(Table::from_file("csv", b"").is_none());
    }

    #[test]
    fn json_may_hold_labels_and_repeated_codes() {
        let t = table("n_a.json", br#"{"01":"un","02":{"name":"deux","n":2},"01":"un","03":null}"#);
        assert_eq!(t.codes(), ["01", "02", "03"]);
        assert_eq!(t.label("01", LabelKind::Long), Some("un"));
        assert_eq!(t.label("02", LabelKind::Long), Some("deux"));
        assert_eq!(t.flaws.iter().map(|f| f.kind).collect::<Vec<_>>(), [FlawKind::DuplicateRow]);
    }

    #[test]
    fn rows_in_any_order_give_the_same_answers() {
        let rows = ["1;01/09/2000;31/08/2010;2", "1;01/09/2020;;", "2;;;", "3;01/09/2019;31/08/1998;1"];
        let read = |order: [usize; 4]| {
            let body: String = order.iter().map(|i| format!("{}\n", rows[*i])).collect();
            table("n_mef.csv", format!("MEF;DATE_OUVERTURE;DATE_FERMETURE;NOUVEAU_MEF\n{body}").as_bytes())
        };
        let (a, b) = (read([0, 1, 2, 3]), read([3, 1, 0, 2]));
        for code in ["1", "2", "3", "4"] {
            assert_eq!(a.windows(code), b.windows(code));
            for at in ["01/01/1990", "01/09/2005", "01/01/2015", "01/01/2025"] {
                assert_eq!(a.judge(code, day(at)), b.judge(code, day(at)));
            }
        }
        assert!(diff(&a, &b).is_unchanged());
    }

    /// Run once in a while: `cargo test --release mutated_bytes -- --ignored`.
    #[test]
    #[ignore = "100,000 mutations: slow without optimisation"]
    fn mutated_bytes_never_panic() {
        let mut seeds: Vec<(String, Vec<u8>)> = vec![
            ("n_mef.csv".into(), b"MEF;LIBELLE_LONG;DATE_OUVERTURE;DATE_FERMETURE;NOUVEAU_MEF\n01;\"a;\"\"b\";01/09/2000;31/12/9999;02\n02;;;;\n".to_vec()),
            ("n_lien_mef_a.csv".into(), "\u{FEFF}MEF|A|DATE_OUVERTURE\n01|é|2000-09-01\n".into()),
            ("n_a.json".into(), br#"{"01":{"name":"x","n":[1]},"02":"y","03":null}"#.to_vec()),
        ];
        if let Some(folder) = real() {
            for file in [
                "n_mef.csv",
                "n_formation_diplome.csv",
                "n_lien_mef_famille_metier.csv",
                "n_type_diplome_sise.csv",
            ] {
                let bytes = std::fs::read(folder.join(file)).unwrap();
                seeds.push((file.into(), bytes.into_iter().take(3000).collect()));
            }
        }
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below.max(1) as u64).unwrap()
        };
        let spice = b";|,\t\"\n\r\0\x01/-09{}[]:\xE9\xC3\xEF\xBB\xBF_N";
        let mut before: Option<Table> = None;
        let mut read = 0;
        for round in 0..100_000 {
            let (file, mut bytes) = seeds[round % seeds.len()].clone();
            for _ in 0..=random(8) {
                let at = random(bytes.len());
                match random(5) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, spice[random(spice.len())]),
                    2 if at < bytes.len() => bytes[at] = u8::try_from(random(256)).unwrap(),
                    3 if at < bytes.len() => bytes[at] = spice[random(spice.len())],
                    _ => {
                        let piece = bytes[at..(at + random(80)).min(bytes.len())].to_vec();
                        let to = random(bytes.len());
                        bytes.splice(to..to, piece);
                    }
                }
            }
            let (all, _) = Nomenclatures::from_files(&[(file.clone(), bytes.clone())]);
            assert!(all.editions().count() <= 1);
            let Some(Ok(table)) = Table::from_file(&file, &bytes) else { continue };
            read += 1;
            for code in table.codes() {
                assert!(!table.windows(code).is_empty());
                let sheet = table.show(code, day("01/09/2005"));
                assert!(!sheet.french().is_empty());
                serde_json::to_string(&sheet).unwrap();
            }
            assert!(!table.show("01", day("01/09/2005")).french().is_empty());
            if let Some(old) = before.replace(table) {
                let change = diff(&old, before.as_ref().unwrap());
                assert!(!change.french().is_empty());
                serde_json::to_string(&change).unwrap();
            }
        }
        println!("{read} tables lues sur 100000");
        assert!(read > 10_000);
    }
}
