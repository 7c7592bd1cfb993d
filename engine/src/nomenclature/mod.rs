//! BCN tables (Base Centrale des Nomenclatures): codes with the dates between which they hold.
//!
//! Real exports come in windows-1252 or UTF-8, with any of three separators, dates dd/mm/yyyy,
//! empty or 31/12/9999 for "open", and some rows opening after they close. Tables known only as a
//! JSON object keyed by code have no dates: such codes are known, never closed.

use crate::domain::{DateFormat, Digest};
use chrono::NaiveDate;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Days between which a code holds, both included; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Validity {
    open: Option<NaiveDate>,
    close: Option<NaiveDate>,
}

/// One table in one edition.
#[derive(Debug)]
pub struct Table {
    codes: HashMap<String, Vec<Validity>>,
    /// File it was read from.
    pub file: String,
    /// Digest of that file: names the edition.
    pub digest: Digest,
    /// Rows with an unreadable date (taken as open) or an opening after their closing (ignored).
    pub flawed_rows: usize,
}

/// What the nomenclature says of a code at a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Open at that date.
    Valid,
    /// Never heard of.
    Unknown,
    /// Opens later.
    NotYetOpen(NaiveDate),
    /// Closed earlier.
    Closed(NaiveDate),
}

/// All tables at hand, by BCN name (`N_MEF`).
#[derive(Debug, Default)]
pub struct Nomenclatures {
    tables: BTreeMap<String, Table>,
}

/// A file that looked like a table and could not be read as one.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// File name.
    pub file: String,
    /// Why, in French.
    pub reason: String,
}

impl Nomenclatures {
    /// Reads every `.csv` and `.json` of a folder, given as (name, bytes) in name order. The first
    /// file of a table wins; files that are no table are told, not fatal.
    pub fn from_files(files: &[(String, Vec<u8>)]) -> (Self, Vec<Unreadable>) {
        let mut tables = BTreeMap::new();
        let mut unreadable = Vec::new();
        for (file, bytes) in files {
            let stem = file.rsplit_once('.').map_or(file.as_str(), |(s, _)| s).to_uppercase();
            let name = stem.trim_end_matches("_BCN").trim_end_matches("_LONG").to_owned();
            let read = match file.rsplit_once('.').map(|(_, e)| e) {
                Some("csv") => read_csv(&name, bytes),
                Some("json") => read_json(bytes),
                _ => continue,
            };
            match read {
                Ok((codes, flawed_rows)) => {
                    tables.entry(name).or_insert(Table {
                        codes,
                        file: file.clone(),
                        digest: Digest::of(bytes),
                        flawed_rows,
                    });
                }
                Err(reason) => unreadable.push(Unreadable { file: file.clone(), reason }),
            }
        }
        (Nomenclatures { tables }, unreadable)
    }

    /// A table by its BCN name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    /// Names and editions, in order.
    pub fn editions(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.tables.iter().map(|(n, t)| (n.as_str(), t))
    }
}

impl Table {
    /// Judges a code at a date.
    pub fn judge(&self, code: &str, at: NaiveDate) -> Verdict {
        let Some(rows) = self.codes.get(code) else { return Verdict::Unknown };
        if rows.iter().any(|v| v.open.is_none_or(|o| o <= at) && v.close.is_none_or(|c| at <= c)) {
            return Verdict::Valid;
        }
        match rows.iter().filter_map(|v| v.close).filter(|c| *c < at).max() {
            Some(closed) => Verdict::Closed(closed),
            None => rows.iter().filter_map(|v| v.open).min().map_or(Verdict::Unknown, Verdict::NotYetOpen),
        }
    }

    /// Number of distinct codes.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether the table holds no code.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }
}

type Codes = (HashMap<String, Vec<Validity>>, usize);

fn read_csv(name: &str, bytes: &[u8]) -> Result<Codes, String> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(t) => Cow::Borrowed(t),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    };
    let header = text.lines().next().unwrap_or_default();
    let separator = [b';', b'|', b',']
        .into_iter()
        .max_by_key(|s| memchr::memchr_iter(*s, header.as_bytes()).count())
        .unwrap_or(b';');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(text.as_bytes());
    let headers = reader.headers().map_err(|e| e.to_string())?.clone();
    let at = |wanted: &str| headers.iter().position(|h| h.trim().eq_ignore_ascii_case(wanted));
    let bare = name.trim_start_matches("N_").trim_start_matches("V_");
    let key = at(bare).unwrap_or(0);
    let (open, close) = (at("DATE_OUVERTURE"), at("DATE_FERMETURE"));
    let mut codes: HashMap<String, Vec<Validity>> = HashMap::new();
    let mut flawed = 0;
    for row in reader.records() {
        let row = row.map_err(|e| e.to_string())?;
        let cell = |i: Option<usize>| i.and_then(|i| row.get(i)).map(str::trim).unwrap_or_default();
        let code = cell(Some(key));
        if code.is_empty() {
            continue;
        }
        let mut faulty = false;
        let mut date = |i| {
            let text = cell(i);
            let date = DateFormat::French.parse(text);
            faulty |= date.is_none() && !text.is_empty() && text != "31/12/9999";
            date
        };
        let mut validity = Validity { open: date(open), close: date(close) };
        if let (Some(o), Some(c)) = (validity.open, validity.close)
            && o > c
        {
            faulty = true;
            validity.open = None;
        }
        flawed += usize::from(faulty);
        let rows = codes.entry(code.to_owned()).or_default();
        if !rows.contains(&validity) {
            rows.push(validity);
        }
    }
    Ok((codes, flawed))
}

fn read_json(bytes: &[u8]) -> Result<Codes, String> {
    let map: HashMap<String, serde_json::Value> = serde_json::from_slice(bytes)
        .map_err(|_| "objet JSON dont les clés sont les codes attendu".to_owned())?;
    Ok((map.into_keys().map(|k| (k, vec![Validity { open: None, close: None }])).collect(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(t: &str) -> NaiveDate {
        DateFormat::French.parse(t).unwrap()
    }

    #[test]
    fn a_code_is_judged_at_the_day_both_bounds_included() {
        let csv = "MEF;LIBELLE;DATE_OUVERTURE;DATE_FERMETURE\n\
                   1;a;01/09/2000;31/08/2010\n1;a;01/09/2020;\n2;b;;31/12/9999\n3;c;01/09/2019;31/08/1998\n";
        let latin = encoding_rs::WINDOWS_1252.encode(csv).0.into_owned();
        let (n, bad) = Nomenclatures::from_files(&[("n_mef.csv".into(), latin)]);
        assert_eq!(bad, []);
        let t = n.table("N_MEF").unwrap();
        assert_eq!(t.flawed_rows, 1);
        for (code, at, want) in [
            ("1", "31/08/2000", Verdict::NotYetOpen(day("01/09/2000"))),
            ("1", "01/09/2000", Verdict::Valid),
            ("1", "31/08/2010", Verdict::Valid),
            ("1", "01/09/2010", Verdict::Closed(day("31/08/2010"))),
            ("1", "01/09/2025", Verdict::Valid),
            ("2", "01/01/1900", Verdict::Valid),
            ("3", "31/08/1998", Verdict::Valid),
            ("3", "01/09/1998", Verdict::Closed(day("31/08/1998"))),
            ("4", "01/01/2025", Verdict::Unknown),
        ] {
            assert_eq!(t.judge(code, day(at)), want, "{code} at {at}");
        }
    }

    #[test]
    fn separators_and_json_are_recognised() {
        let files = [
            ("n_a.csv".to_owned(), b"A|DATE_OUVERTURE\nX|01/01/2000\n".to_vec()),
            ("n_matiere_enseignee_long.json".to_owned(), br#"{"030101":{"name":"x"}}"#.to_vec()),
            ("readme.md".to_owned(), b"#".to_vec()),
            ("n_bad.json".to_owned(), b"[1]".to_vec()),
        ];
        let (n, bad) = Nomenclatures::from_files(&files);
        assert_eq!(
            n.editions().map(|(name, t)| (name, t.len())).collect::<Vec<_>>(),
            [("N_A", 1), ("N_MATIERE_ENSEIGNEE", 1)]
        );
        assert_eq!(bad.len(), 1);
    }
}
