//! From bytes to rules, or to everything that is wrong with them.

use super::places::{Lines, Raw, records};
use super::{COLUMNS, Fault, Length, RuleDuration, RuleType, Unit, VitamRule};
use std::collections::BTreeMap;
use std::ops::Range;

/// Columns of a file, by the place of each of [`COLUMNS`].
type Header = [usize; 6];

/// A value and the byte where its field starts.
struct Cell {
    at: usize,
    text: String,
}

/// Reads a referential. A byte order mark is accepted; columns may be in any order.
///
/// # Errors
/// Every fault of the file in one pass, in the order of lines: `RULES_CSV_NOT_UTF8`,
/// `RULES_CSV_HEADER`, `RULES_CSV_QUOTE`, `RULES_CSV_FIELD_COUNT`, `RULES_CSV_MISSING`,
/// `RULES_CSV_ID`, `RULES_CSV_TYPE`, `RULES_CSV_MEASURE`, `RULES_CSV_DURATION`,
/// `RULES_CSV_DURATION_LIMIT`, `RULES_CSV_TEXT`, `RULES_CSV_DUPLICATE`. A file that is not UTF-8 or
/// whose header is wrong has that fault only.
pub fn read(bytes: &[u8]) -> Result<Vec<VitamRule>, Vec<Fault>> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let before = bytes.get(..e.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("");
            let (line, column) = Lines::new(before).place(before.len());
            let message = "octet étranger à l'UTF-8 : enregistrez le fichier en UTF-8".to_owned();
            return Err(vec![Fault { code: "RULES_CSV_NOT_UTF8", line, column, message }]);
        }
    };
    let mut reader = Reader { text, lines: Lines::new(text), faults: Vec::new(), ids: BTreeMap::new() };
    let mut rows = records(text).into_iter();
    let Some(header) = reader.header(rows.next()) else { return Err(reader.faults) };
    let rules: Vec<VitamRule> = rows.filter_map(|raw| reader.rule(&header, &raw)).collect();
    if reader.faults.is_empty() { Ok(rules) } else { Err(reader.faults) }
}

struct Reader<'t> {
    text: &'t str,
    lines: Lines<'t>,
    faults: Vec<Fault>,
    /// Line of each identifier.
    ids: BTreeMap<String, usize>,
}

impl Reader<'_> {
    fn add(&mut self, code: &'static str, byte: usize, message: impl Into<String>) {
        let (line, column) = self.lines.place(byte);
        self.faults.push(Fault { code, line, column, message: message.into() });
    }

    /// Values of a record; `None` with a fault when its form is wrong.
    fn values(&mut self, raw: &Raw) -> Option<Vec<String>> {
        if let Some(byte) = raw.broken {
            self.add(
                "RULES_CSV_QUOTE",
                byte,
                "guillemet mal placé : un champ entre guillemets se referme juste avant la virgule ou la fin de ligne, et un guillemet dans le texte s'y écrit deux fois",
            );
            return None;
        }
        let value = |field: &Range<usize>| {
            let written = self.text.get(field.clone()).unwrap_or_default();
            match written.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
                Some(quoted) => quoted.replace("\"\"", "\""),
                None => written.to_owned(),
            }
        };
        Some(raw.fields.iter().map(value).collect())
    }

    fn header(&mut self, raw: Option<Raw>) -> Option<Header> {
        let expected = format!("colonnes attendues, séparées par des virgules : {}", COLUMNS.join(","));
        let Some(raw) = raw else {
            self.faults.push(Fault {
                code: "RULES_CSV_HEADER",
                line: 0,
                column: 0,
                message: format!("fichier vide ; {expected}"),
            });
            return None;
        };
        let names = self.values(&raw)?;
        let mut header = Header::default();
        for (column, slot) in COLUMNS.iter().zip(&mut header) {
            match names.iter().position(|n| n == column) {
                Some(at) => *slot = at,
                None => {
                    self.add("RULES_CSV_HEADER", 0, format!("colonne « {column} » absente ; {expected}"));
                }
            }
        }
        // Past twice the columns nobody reads more faults.
        for (i, (name, field)) in names.iter().zip(&raw.fields).enumerate().take(2 * COLUMNS.len()) {
            let again = names.iter().take(i).any(|n| n == name);
            if again || !COLUMNS.contains(&name.as_str()) {
                let what = if again { "colonne répétée" } else { "colonne en trop" };
                self.add("RULES_CSV_HEADER", field.start, format!("{what} ; {expected}"));
            }
        }
        self.faults.is_empty().then_some(header)
    }

    fn rule(&mut self, header: &Header, raw: &Raw) -> Option<VitamRule> {
        let start = raw.fields.first().map_or(0, |f| f.start);
        if raw.fields.iter().all(|f| f.is_empty()) && raw.fields.len() == 1 {
            self.add("RULES_CSV_FIELD_COUNT", start, "ligne vide : retirez-la");
            return None;
        }
        let values = self.values(raw)?;
        if values.len() != COLUMNS.len() {
            self.add(
                "RULES_CSV_FIELD_COUNT",
                start,
                format!(
                    "{} au lieu de {} : vérifiez les virgules, et entourez de guillemets un texte qui en contient",
                    crate::french::count(values.len() as u64, "champ", "champs"),
                    COLUMNS.len()
                ),
            );
            return None;
        }
        let before = self.faults.len();
        let [id, kind, value, description, duration, measure] = header.map(|i| Cell {
            at: raw.fields.get(i).map_or(start, |f| f.start),
            text: values.get(i).cloned().unwrap_or_default(),
        });
        for (name, cell) in [("RuleId", &id), ("RuleType", &kind), ("RuleValue", &value)] {
            if cell.text.is_empty() {
                self.add("RULES_CSV_MISSING", cell.at, format!("{name} absent : valeur obligatoire"));
            }
        }
        self.duration_missing(&kind, &duration, &measure);
        self.id(&id);
        let kind = self.kind(&kind);
        let unit = Unit::parse(&measure.text);
        if unit.is_none() && !measure.text.is_empty() {
            self.add("RULES_CSV_MEASURE", measure.at, "unité inconnue ; unités admises : DAY, MONTH, YEAR");
        }
        let length = self.length(&duration, unit);
        for cell in [&value, &description] {
            if let Some(what) = foreign(&cell.text) {
                self.add("RULES_CSV_TEXT", cell.at, what);
            }
        }
        let kind = kind.filter(|_| self.faults.len() == before)?;
        let duration = length.zip(unit).map(|(length, unit)| RuleDuration { length, unit });
        Some(VitamRule { id: id.text, kind, value: value.text, description: description.text, duration })
    }

    fn duration_missing(&mut self, kind: &Cell, duration: &Cell, measure: &Cell) {
        let hold = kind.text == RuleType::HoldRule.as_str();
        if hold && duration.text.is_empty() && measure.text.is_empty() {
            return;
        }
        let why = match hold {
            true => "pour un gel (HoldRule), durée et unité vont ensemble, ou manquent toutes deux",
            false => "valeur obligatoire",
        };
        for (name, cell) in [("RuleDuration", duration), ("RuleMeasurement", measure)] {
            if cell.text.is_empty() {
                self.add("RULES_CSV_MISSING", cell.at, format!("{name} absent : {why}"));
            }
        }
    }

    fn id(&mut self, id: &Cell) {
        if id.text.bytes().any(|b| !b.is_ascii_graphic() || b"<>\"".contains(&b)) {
            self.add(
                "RULES_CSV_ID",
                id.at,
                "identifiant : ni espace, ni accent, ni guillemet, ni chevron ; par exemple « APP-00001 »",
            );
        }
        match self.ids.get(&id.text).copied() {
            _ if id.text.is_empty() => {}
            Some(line) => self.add(
                "RULES_CSV_DUPLICATE",
                id.at,
                format!("identifiant déjà employé à la ligne {line} : il est unique dans tout le fichier, toutes catégories confondues"),
            ),
            None => {
                let (line, _) = self.lines.place(id.at);
                self.ids.insert(id.text.clone(), line);
            }
        }
    }

    fn kind(&mut self, kind: &Cell) -> Option<RuleType> {
        let found = RuleType::parse(&kind.text);
        if found.is_none() && !kind.text.is_empty() {
            let names: Vec<&str> = RuleType::ALL.into_iter().map(RuleType::as_str).collect();
            self.add(
                "RULES_CSV_TYPE",
                kind.at,
                format!("catégorie inconnue (la casse compte) ; catégories admises : {}", names.join(", ")),
            );
        }
        found
    }

    fn length(&mut self, cell: &Cell, unit: Option<Unit>) -> Option<Length> {
        let duration = cell.text.as_str();
        if duration.is_empty() {
            return None;
        }
        if duration.eq_ignore_ascii_case("unlimited") {
            return Some(Length::Unlimited);
        }
        if !duration.bytes().all(|b| b.is_ascii_digit()) {
            self.add(
                "RULES_CSV_DURATION",
                cell.at,
                "durée : un nombre entier sans signe ni espace, ou « unlimited »",
            );
            return None;
        }
        // Without a unit only what passes every limit is certainly too long.
        let limit = unit.map_or(Unit::Day.limit(), Unit::limit);
        let within = duration.parse().ok().filter(|n: &u32| *n <= limit);
        if within.is_none() {
            self.add(
                "RULES_CSV_DURATION_LIMIT",
                cell.at,
                format!(
                    "durée trop longue : au plus {} YEAR, {} MONTH ou {} DAY ; au-delà, écrivez « unlimited »",
                    Unit::Year.limit(),
                    Unit::Month.limit(),
                    Unit::Day.limit()
                ),
            );
        }
        within.map(Length::Count)
    }
}

/// What a text may not hold: Vitam refuses markup, and nobody can read control characters.
fn foreign(text: &str) -> Option<&'static str> {
    let tag =
        |rest: &str| rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '!' | '?'));
    if text.split('<').skip(1).any(tag) {
        return Some("balise dans le texte : Vitam refuse le HTML et le XML ; écrivez du texte simple");
    }
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
    text.contains(control).then_some("caractère de contrôle dans le texte : retirez-le")
}
