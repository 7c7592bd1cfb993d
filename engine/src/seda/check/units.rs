//! Description of a unit: titles, dates, persons, values.

use super::xml::Place;
use super::{Findings, codes};

/// Characters of a field that the archive indexes.
const FIELD_CHARS_MAX: usize = 32_000;

/// A date as XML Schema writes it, with the precision that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment<'a> {
    pub year: i64,
    pub month: Option<u32>,
    pub day: Option<u32>,
    /// Hour, minute, second and what follows, zone left out.
    pub time: Option<&'a str>,
    zone: &'a str,
}

impl<'a> Moment<'a> {
    /// Reads `AAAA`, `AAAA-MM`, `AAAA-MM-JJ` and `AAAA-MM-JJThh:mm:ss`, with or without a zone.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (year, rest) = rest.split_at_checked(digits)?;
        if !(4..=9).contains(&digits) {
            return None;
        }
        let year: i64 = year.parse().ok()?;
        let year = if negative { -year } else { year };
        let (month, rest) = two(rest);
        let (day, rest) = if month.is_some() { two(rest) } else { (None, rest) };
        let real = |m: u32, d: u32| {
            let year = i32::try_from(year).unwrap_or(2000);
            chrono::NaiveDate::from_ymd_opt(year, m, d).is_some()
        };
        if !real(month.unwrap_or(1), day.unwrap_or(1)) {
            return None;
        }
        let (time, zone) = match rest.strip_prefix('T') {
            Some(rest) => {
                let end = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
                let (time, zone) = rest.split_at_checked(end)?;
                let ok =
                    time.len() >= 8 && time.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
                if !ok || day.is_none() {
                    return None;
                }
                (Some(time), zone)
            }
            None => (None, rest),
        };
        let zone_ok =
            zone.is_empty() || zone == "Z" || (zone.len() == 6 && zone.as_bytes().get(3) == Some(&b':'));
        zone_ok.then_some(Moment { year, month, day, time, zone })
    }

    /// Whether it is certainly earlier: only what both tell is compared.
    pub fn is_before(&self, other: &Moment<'_>) -> bool {
        let both = |a: Option<u32>, b: Option<u32>| a.zip(b).map(|(a, b)| a.cmp(&b));
        let mut order = self.year.cmp(&other.year);
        for next in [both(self.month, other.month), both(self.day, other.day)] {
            match next {
                Some(next) => order = order.then(next),
                None => return order.is_lt(),
            }
        }
        match (self.time, other.time) {
            (Some(a), Some(b)) if self.zone == other.zone => order.then(a.cmp(b)).is_lt(),
            _ => order.is_lt(),
        }
    }
}

/// A hyphen and two digits; a zone looks alike but has a colon.
fn two(text: &str) -> (Option<u32>, &str) {
    match text.as_bytes() {
        [b'-', a, b, after @ ..]
            if a.is_ascii_digit() && b.is_ascii_digit() && after.first() != Some(&b':') =>
        {
            let n = u32::from(a - b'0') * 10 + u32::from(b - b'0');
            (Some(n), text.get(3..).unwrap_or_default())
        }
        _ => (None, text),
    }
}

const DATES: [&str; 9] = [
    "CreatedDate",
    "TransactedDate",
    "AcquiredDate",
    "SentDate",
    "ReceivedDate",
    "RegisteredDate",
    "StartDate",
    "EndDate",
    "EventDateTime",
];

const AGENTS: [&str; 7] =
    ["Agent", "AuthorizedAgent", "Writer", "Addressee", "Recipient", "Transmitter", "Sender"];

/// The `Content` that is being read.
#[derive(Debug, Default)]
pub struct Content {
    /// Open elements at its own start tag, itself included.
    depth: usize,
    titled: bool,
    blank_title: Option<String>,
    langs: Vec<String>,
    lang: String,
    start: Option<String>,
    end: Option<String>,
    /// The agent that is open has something, and what identifies it.
    agent: (bool, bool),
}

impl Content {
    pub fn new(depth: usize) -> Self {
        Content { depth, ..Content::default() }
    }

    fn is_child(&self, place: &Place) -> bool {
        place.depth() == self.depth + 1
    }

    pub fn open(&mut self, place: &Place, attributes: &[(String, String)], findings: &mut Findings) {
        if place.shown().starts_with(['_', '#']) {
            let message = "un nom de champ commence par « _ » ou « # », réservés à l'archive : renommez-le";
            findings.error(codes::UNIT_INVALID, place.xpath(), message);
        }
        if self.is_child(place) {
            self.agent = (false, false);
            let lang = attributes.iter().find(|(k, _)| k == "xml:lang" || k == "lang");
            self.lang = lang.map(|(_, v)| v.clone()).unwrap_or_default();
        }
    }

    pub fn close(&mut self, place: &Place, text: &str, findings: &mut Findings) {
        if place.depth() <= self.depth {
            return;
        }
        let name = place.name(0);
        if DATES.contains(&name) && Moment::parse(text.trim()).is_some_and(|m| m.year >= 9000) {
            let message = "l'année est au-delà de 8999 : laissez le champ vide si la date n'est pas connue";
            findings.error(codes::UNIT_DATE, place.xpath(), message);
        } else {
            value(place, text, findings);
        }
        if self.is_child(place) {
            match name {
                "Title" => self.title(place, text, findings),
                "StartDate" => self.start = Some(text.trim().to_owned()),
                "EndDate" => self.end = Some(text.trim().to_owned()),
                _ if AGENTS.contains(&name) && self.agent == (true, false) => {
                    let message = "une personne est nommée par FirstName ou BirthName, une organisation par Corpname : ajoutez l'un d'eux";
                    findings.error(codes::UNIT_INVALID, place.xpath(), message);
                }
                _ => {}
            }
        } else if place.depth() == self.depth + 2 && AGENTS.contains(&place.name(1)) {
            let named = matches!(name, "FirstName" | "BirthName" | "Corpname") && !text.trim().is_empty();
            self.agent = (true, self.agent.1 || named);
        }
    }

    fn title(&mut self, place: &Place, text: &str, findings: &mut Findings) {
        if text.trim().is_empty() {
            self.blank_title = Some(place.xpath());
        } else {
            self.titled = true;
        }
        if self.langs.contains(&self.lang) {
            let message = "deux titres dans la même langue : l'archive n'en garde qu'un";
            findings.warning(codes::W_TITLE_LANG, place.xpath(), message);
        }
        self.langs.push(std::mem::take(&mut self.lang));
    }

    pub fn finish(self, place: &Place, findings: &mut Findings) {
        if let Some(path) = self.blank_title {
            findings.error(codes::UNIT_EMPTY, path, "le titre est vide : donnez-en un à l'unité");
        } else if !self.titled {
            findings.error(
                codes::UNIT_EMPTY,
                place.xpath(),
                "l'unité n'a pas de titre (Title) : donnez-lui-en un",
            );
        }
        let (Some(start), Some(end)) = (&self.start, &self.end) else { return };
        if let (Some(start), Some(end)) = (Moment::parse(start), Moment::parse(end))
            && end.year < 9000
            && start.year < 9000
            && end.is_before(&start)
        {
            let message =
                "la date de fin (EndDate) est avant la date de début (StartDate) : corrigez l'une des deux";
            findings.error(codes::UNIT_CONSISTENCY, place.xpath(), message);
        }
    }
}

/// What the archive's packaging document asks of any value.
fn value(place: &Place, text: &str, findings: &mut Findings) {
    let tag = |i: usize| text.as_bytes().get(i + 1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/');
    let what = if text.len() > FIELD_CHARS_MAX && text.chars().count() > FIELD_CHARS_MAX {
        "le texte dépasse 32 000 caractères : l'archive peut le refuser ; abrégez-le"
    } else if text.trim_start().starts_with(['_', '#']) {
        "la valeur commence par « _ » ou « # », réservés à l'archive : changez le premier caractère"
    } else if text.match_indices('<').any(|(i, _)| tag(i)) && text.contains('>') {
        "le texte contient du HTML : gardez le texte seul"
    } else {
        return;
    };
    findings.warning(codes::W_FIELD, place.xpath(), what);
}
