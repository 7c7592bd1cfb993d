//! School years, and the calendar that says when they end.

use crate::error::{ConfigFault, Error, Result};
use chrono::NaiveDate;

/// "2025-2026". Its dates come from a [`Calendar`], never from a constant: the administrative end
/// differs by territory and was moved more than once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnneeScolaire(u16);

impl AnneeScolaire {
    /// Two consecutive years joined by a hyphen.
    pub fn parse(text: &str) -> Option<Self> {
        let (a, b) = text.split_once('-')?;
        if a.len() != 4 || b.len() != 4 || !text.bytes().all(|c| c.is_ascii_digit() || c == b'-') {
            return None;
        }
        let (a, b): (u16, u16) = (a.parse().ok()?, b.parse().ok()?);
        (a.checked_add(1)? == b && (1850..9000).contains(&a)).then_some(Self(a))
    }
}

impl std::fmt::Display for AnneeScolaire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:04}", self.0, self.0.saturating_add(1))
    }
}

/// First and last day of each school year known to the organisation.
#[derive(Debug, Clone)]
pub struct Calendar {
    years: Vec<(AnneeScolaire, NaiveDate, NaiveDate)>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarFile {
    #[expect(dead_code, reason = "read by people, who must say where the dates come from")]
    citation: String,
    annee: Vec<CalendarRow>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct CalendarRow {
    annee_scolaire: toml::Spanned<String>,
    start: toml::Spanned<String>,
    end: String,
}

impl Calendar {
    /// Reads a calendar file.
    ///
    /// # Errors
    /// Each wrong row, with its line.
    pub fn load(file: &str, text: &str) -> Result<Self> {
        let parsed: CalendarFile = crate::contract::toml_file(file, text)?;
        let mut years = Vec::new();
        let mut faults: Vec<ConfigFault> = Vec::new();
        for row in parsed.annee {
            let year = AnneeScolaire::parse(row.annee_scolaire.get_ref());
            let dates = crate::domain::DateFormat::Iso
                .parse(row.start.get_ref())
                .zip(crate::domain::DateFormat::Iso.parse(&row.end));
            match (year, dates) {
                (Some(y), Some((s, e))) if s < e && years.last().is_none_or(|(_, _, last)| *last < s) => {
                    years.push((y, s, e));
                }
                _ => faults.push(crate::contract::fault_at(
                    file,
                    text,
                    row.start.span().start,
                    "année scolaire ou dates fausses : « 2025-2026 », deux dates aaaa-mm-jj croissantes, années sans chevauchement".into(),
                )),
            }
        }
        if faults.is_empty() { Ok(Calendar { years }) } else { Err(Error::Config(faults)) }
    }

    /// The school year of a day, if the calendar knows it.
    pub fn year_of(&self, day: NaiveDate) -> Option<AnneeScolaire> {
        let i = self.years.partition_point(|(_, _, end)| *end < day);
        self.years.get(i).filter(|(_, start, _)| *start <= day).map(|(y, _, _)| *y)
    }

    /// Last day of a school year, if the calendar knows it.
    pub fn end_of(&self, year: AnneeScolaire) -> Option<NaiveDate> {
        self.years.iter().find(|(y, _, _)| *y == year).map(|(_, _, end)| *end)
    }

    /// First day of a school year, if the calendar knows it.
    pub fn start_of(&self, year: AnneeScolaire) -> Option<NaiveDate> {
        self.years.iter().find(|(y, _, _)| *y == year).map(|(_, start, _)| *start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_consecutive_years_are_a_school_year() {
        assert_eq!(AnneeScolaire::parse("2025-2026").map(|y| y.to_string()).as_deref(), Some("2025-2026"));
        for bad in ["2025-2025", "2026-2025", "25-26", "2025/2026", "", "+025-0026", "9999-10000"] {
            assert_eq!(AnneeScolaire::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_day_outside_the_calendar_has_no_year() {
        let c = Calendar::load(
            "c.toml",
            "citation = \"test\"\n[[annee]]\nannee_scolaire = \"2025-2026\"\nstart = \"2025-09-01\"\nend = \"2026-08-31\"\n",
        )
        .unwrap();
        let day = |t| DateFormat::Iso.parse(t).unwrap();
        use crate::domain::DateFormat;
        assert_eq!(c.year_of(day("2026-08-31")).map(|y| y.to_string()).as_deref(), Some("2025-2026"));
        assert_eq!(c.year_of(day("2026-09-01")), None);
        assert_eq!(c.year_of(day("2025-08-31")), None);
    }
}
