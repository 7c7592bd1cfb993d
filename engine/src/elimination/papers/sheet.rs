//! The cells of the spreadsheet, told once: `xlsx` writes them and `annotate` compares them.

use super::bordereau::{Bordereau, BordereauRow, day, volume};
use crate::french::thousands;
use chrono::NaiveDate;

/// Name of the sheet that the archives fill in.
pub(super) const MAIN: &str = "Bordereau";
/// Name of the sheet of the copies; absent when there is none.
pub(super) const COPIES: &str = "Copies couvertes";

/// A column: heading and width in characters.
pub(super) type Column = (&'static str, f64);

/// Columns of the bordereau; the last two belong to the archives.
pub(super) const COLUMNS: [Column; 12] = [
    ("N° d'ordre", 9.0),
    ("Référence au tableau de gestion", 24.0),
    ("Typologie des documents", 44.0),
    ("Année de début", 10.0),
    ("Année de fin", 10.0),
    ("DUA ou DUP", 16.0),
    ("Échéance", 12.0),
    ("Nombre d'enregistrements", 17.0),
    ("Volume (octets)", 19.0),
    ("Observations du service", 46.0),
    ("Décision des archives", 16.0),
    ("Observations des archives", 44.0),
];
/// Index of the column of decisions.
pub(super) const DECISION: u16 = 10;
/// Index of the column of the archives' observations.
pub(super) const OBSERVATION: u16 = 11;
/// Where the digest of the list is, from 0.
pub(super) const DIGEST: (u32, u16) = (7, 8);
/// Row of the headings, from 0.
pub(super) const TOP: u32 = 9;

/// Columns of the sheet of the copies.
pub(super) const COPY_COLUMNS: [Column; 4] =
    [("Nature", 20.0), ("Nom", 60.0), ("Empreinte (SHA-256)", 70.0), ("Volume (octets)", 19.0)];

/// UTF-16 units of a text cell: the format allows 32,767.
const TEXT_UNITS_MAX: usize = 32_000;

/// What a cell holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// A count, shown in groups of three.
    Count(u64),
    /// A number that names: an order, a year.
    Plain(i64),
    Day(NaiveDate),
}

impl Value {
    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Value::Text(plain(text.as_ref()))
    }

    /// The number that the file holds; `None` for a text. Exact below 2^53, far above any volume.
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Value::Text(_) => None,
            Value::Count(n) => Some(*n as f64),
            Value::Plain(n) => Some(*n as f64),
            Value::Day(date) => Some(serial(*date) as f64),
        }
    }

    /// As a person reads it.
    pub(super) fn shown(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Count(n) => thousands(*n),
            Value::Plain(n) => n.to_string(),
            Value::Day(date) => day(*date),
        }
    }
}

/// Days of the spreadsheet's calendar, whose day 0 is 30 December 1899 from March 1900 on.
fn serial(date: NaiveDate) -> i64 {
    const UNIX_DAY_0: i64 = 25_569;
    let epoch = NaiveDate::default();
    date.signed_duration_since(epoch).num_days() + UNIX_DAY_0
}

/// A text that every spreadsheet program gives back unchanged: no control character but the line
/// feed, no blank at its ends, within the format's length.
pub(super) fn plain(text: &str) -> String {
    let mut units = 0;
    let mut plain = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        let noncharacter = matches!(c, '\u{FFFE}' | '\u{FFFF}');
        let c = if (c.is_control() && c != '\n') || noncharacter { ' ' } else { c };
        units += c.len_utf16();
        if units > TEXT_UNITS_MAX {
            plain.push('…');
            break;
        }
        plain.push(c);
    }
    plain.trim().to_owned()
}

/// What a cell of the heading block is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Part {
    Title,
    Note,
    Label,
    Value,
}

/// The heading block: row and column from 0, part, text. Short enough to stay on the screen, frozen
/// above the rows.
pub(super) fn head(b: &Bordereau) -> Vec<(u32, u16, Part, String)> {
    const LEFT: (u16, u16) = (0, 2);
    const RIGHT: (u16, u16) = (6, DIGEST.1);
    let fields = [
        (2, LEFT, "Service producteur", b.service.name.clone()),
        (2, RIGHT, "Numéro de la demande", b.request_number.clone()),
        (3, LEFT, "Place dans la hiérarchie", b.service.hierarchy.join(" > ")),
        (4, LEFT, "Anciens noms du service", b.service.former_names.join(" ; ")),
        (5, LEFT, "Contact", b.service.contact.clone()),
        (5, RIGHT, "Date de la proposition", day(b.proposed_on)),
        (6, LEFT, "Archives compétentes", b.archives.clone()),
        (6, RIGHT, "Volume total", volume(b.records(), b.bytes())),
        (DIGEST.0, LEFT, "Liste", b.id.clone()),
        (DIGEST.0, RIGHT, "Empreinte (SHA-256)", b.digest.clone()),
    ];
    let mut cells: Vec<(u32, u16, Part, String)> = vec![
        (0, 0, Part::Title, "Bordereau d'élimination d'archives publiques".into()),
        (
            1,
            0,
            Part::Note,
            "Code du patrimoine, articles L212-2, L212-3 et R212-14 : aucune élimination sans le visa de la personne chargée du contrôle scientifique et technique de l'État sur les archives.".into(),
        ),
        (
            8,
            0,
            Part::Note,
            "Archives : remplissez seulement les deux dernières colonnes. Décision : « Visa », « Refus » ou « À trier ». Une ligne sans décision est conservée.".into(),
        ),
    ];
    for (row, (label_column, value_column), label, value) in fields {
        cells.push((row, label_column, Part::Label, label.into()));
        cells.push((row, value_column, Part::Value, plain(&value)));
    }
    cells
}

/// The locked cells of a row, in the order of the columns.
pub(super) fn row(r: &BordereauRow) -> [Value; 10] {
    [
        Value::Plain(i64::try_from(r.order).unwrap_or(i64::MAX)),
        Value::text(&r.rule),
        Value::text(&r.typology),
        Value::Plain(r.first_year.into()),
        Value::Plain(r.last_year.into()),
        Value::text(&r.duration),
        Value::Day(r.due_date),
        Value::Count(r.records),
        Value::Count(r.bytes),
        Value::text(r.observations.join(" ; ")),
    ]
}

/// The rows of the sheet of the copies, headings apart.
pub(super) fn copies(b: &Bordereau) -> Vec<[Value; 4]> {
    b.copies
        .iter()
        .map(|c| {
            [
                Value::text(c.kind.french()),
                Value::text(&c.name),
                Value::text(&c.sha256),
                Value::Count(c.bytes),
            ]
        })
        .collect()
}

/// The name of a cell as spreadsheet programs show it, from a row and a column counted from 0.
pub(super) fn cell_name(row: u32, column: u16) -> String {
    let (mut letters, mut rest) = (Vec::new(), u32::from(column) + 1);
    while rest > 0 {
        letters.push(char::from(b'A' + u8::try_from((rest - 1) % 26).unwrap_or(0)));
        rest = (rest - 1) / 26;
    }
    letters.iter().rev().chain(row.saturating_add(1).to_string().chars().collect::<Vec<_>>().iter()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_named_as_spreadsheet_programs_do() {
        for (row, column, want) in
            [(0, 0, "A1"), (17, 10, "K18"), (0, 25, "Z1"), (0, 26, "AA1"), (1_048_575, 16_383, "XFD1048576")]
        {
            assert_eq!(cell_name(row, column), want);
        }
    }

    #[test]
    fn days_are_the_serials_of_the_format() {
        for ((y, m, d), want) in [((1900, 3, 1), 61), ((1970, 1, 1), 25_569), ((2026, 11, 22), 46_348)] {
            assert_eq!(serial(NaiveDate::from_ymd_opt(y, m, d).unwrap()), want);
        }
    }

    #[test]
    fn texts_lose_what_programs_would_change() {
        assert_eq!(plain(" a\r\nb\u{7}c\t"), "a\nb c");
        assert_eq!(plain(&"x".repeat(40_000)).chars().count(), TEXT_UNITS_MAX + 1);
    }
}
