//! Lengths of time, and the ways to count them from a day.

use crate::domain::Calendar;
use chrono::{Datelike, Days, Months, NaiveDate};
use serde::Deserialize;
use std::cmp::Ordering;
use std::fmt;

/// A calendar length of time: years, months and days are added in this order; a day that does not
/// exist becomes the last of its month (29 February + 1 year = 28 February).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duration {
    /// Months, years included.
    pub months: u32,
    /// Days.
    pub days: u64,
}

impl Duration {
    /// `P10Y`, `P3M`, `P1Y6M`, `P30D` (ISO 8601, dates only); `P0D` is no time at all.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('P')?;
        let (mut months, mut days, mut last) = (0_u32, 0_u64, 0);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let n: u32 = rest.get(..end)?.parse().ok()?;
            let (unit, order) = match rest.get(end..=end)? {
                "Y" => (12, 1),
                "M" => (1, 2),
                "D" => (0, 3),
                _ => return None,
            };
            if order <= last || n > 12_000 {
                return None;
            }
            last = order;
            months = months.checked_add(n.checked_mul(unit)?)?;
            days += if unit == 0 { u64::from(n) } else { 0 };
            rest = rest.get(end + 1..)?;
        }
        (last > 0).then_some(Duration { months, days })
    }

    /// The due day; records are due strictly after it. `None` past the calendar.
    pub fn after(self, start: NaiveDate) -> Option<NaiveDate> {
        start.checked_add_months(Months::new(self.months))?.checked_add_days(Days::new(self.days))
    }

    /// No time at all.
    pub fn is_zero(self) -> bool {
        self.months == 0 && self.days == 0
    }

    /// Which of two lengths ends last, whatever the start day; `None` when it depends on the day
    /// (30 days and 1 month).
    pub fn compare(self, other: Duration) -> Option<Ordering> {
        compare_ends(|d| self.after(d), |d| other.after(d))
    }

    /// In French.
    pub fn french(self) -> String {
        let mut parts = Vec::new();
        match self.months / 12 {
            0 => {}
            1 => parts.push("1 an".to_owned()),
            n => parts.push(format!("{n} ans")),
        }
        match self.months % 12 {
            0 => {}
            n => parts.push(format!("{n} mois")),
        }
        match self.days {
            0 => {}
            1 => parts.push("1 jour".to_owned()),
            n => parts.push(format!("{n} jours")),
        }
        if parts.is_empty() { "0 jour".into() } else { parts.join(" et ") }
    }
}

impl fmt::Display for Duration {
    /// ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("P")?;
        for (n, unit) in [(u64::from(self.months / 12), 'Y'), (u64::from(self.months % 12), 'M')] {
            if n > 0 {
                write!(f, "{n}{unit}")?;
            }
        }
        if self.days > 0 || self.is_zero() { write!(f, "{}D", self.days) } else { Ok(()) }
    }
}

/// How the end of a length of time is found from its start day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// From date to date: start + duration.
    #[default]
    DateADate,
    /// 31 December of the year in which start + duration falls.
    FinAnneeCivile,
    /// Last day of the school year in which start + duration falls, by the calendar; nothing when
    /// the calendar does not hold that day.
    FinAnneeScolaire,
    /// 1 January of the year after the start (never the start day itself), + duration. The day
    /// reached still counts, as in the other modes: one day longer than 31 December.
    PremierJanvierSuivant,
}

impl Mode {
    /// Name in the files of rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::DateADate => "date_a_date",
            Mode::FinAnneeCivile => "fin_annee_civile",
            Mode::FinAnneeScolaire => "fin_annee_scolaire",
            Mode::PremierJanvierSuivant => "premier_janvier_suivant",
        }
    }

    /// Last day of a duration that starts on a day; `None` past the calendar of days, or outside
    /// the calendar of school years.
    pub fn end(self, start: NaiveDate, duration: Duration, calendar: &Calendar) -> Option<NaiveDate> {
        self.end_with(start, duration, |day| calendar.end_of(calendar.year_of(day)?))
    }

    /// The same with any way to end a school year.
    pub(super) fn end_with(
        self,
        start: NaiveDate,
        duration: Duration,
        school_year_end: impl Fn(NaiveDate) -> Option<NaiveDate>,
    ) -> Option<NaiveDate> {
        match self {
            Mode::DateADate => duration.after(start),
            Mode::FinAnneeCivile => NaiveDate::from_ymd_opt(duration.after(start)?.year(), 12, 31),
            Mode::FinAnneeScolaire => school_year_end(duration.after(start)?),
            Mode::PremierJanvierSuivant => {
                duration.after(NaiveDate::from_ymd_opt(start.year().checked_add(1)?, 1, 1)?)
            }
        }
    }

    /// A duration of this mode after a French noun group (« la fin de l'année scolaire »).
    pub fn french(self, duration: Duration, after: &str) -> String {
        let length = duration.french();
        match (self, duration.is_zero()) {
            (Mode::DateADate, false) => format!("{length} après {after}"),
            (Mode::DateADate, true) => format!("dès {after}"),
            (Mode::FinAnneeCivile, false) => {
                format!("{length} après {after}, puis jusqu'à la fin de l'année civile")
            }
            (Mode::FinAnneeCivile, true) => format!("à la fin de l'année civile où tombe {after}"),
            (Mode::FinAnneeScolaire, false) => {
                format!("{length} après {after}, puis jusqu'à la fin de l'année scolaire")
            }
            (Mode::FinAnneeScolaire, true) => format!("à la fin de l'année scolaire où tombe {after}"),
            (Mode::PremierJanvierSuivant, false) => {
                format!("{length} après le 1er janvier de l'année qui suit {after}")
            }
            (Mode::PremierJanvierSuivant, true) => format!("le 1er janvier de l'année qui suit {after}"),
        }
    }
}

/// Compares two ways to compute an end over every start day of a cycle of four years: which one is
/// never before the other; `None` when it depends on the day.
pub(super) fn compare_ends(
    a: impl Fn(NaiveDate) -> Option<NaiveDate>,
    b: impl Fn(NaiveDate) -> Option<NaiveDate>,
) -> Option<Ordering> {
    let cycle = NaiveDate::from_ymd_opt(2021, 1, 1)?.iter_days().take(4 * 365 + 1);
    // Past the calendar is later than any day.
    let far = |end: Option<NaiveDate>| end.unwrap_or(NaiveDate::MAX);
    let mut seen = cycle.map(|day| far(a(day)).cmp(&far(b(day)))).filter(|o| o.is_ne());
    match seen.next() {
        None => Some(Ordering::Equal),
        Some(first) => seen.all(|o| o == first).then_some(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::DateFormat;

    fn day(text: &str) -> NaiveDate {
        DateFormat::Iso.parse(text).unwrap()
    }

    #[test]
    fn durations_follow_the_calendar() {
        for (start, duration, want) in [
            ("2024-02-29", "P1Y", "2025-02-28"),
            ("2024-02-29", "P4Y", "2028-02-29"),
            ("2024-02-29", "P10Y", "2034-02-28"),
            ("2008-02-29", "P18Y", "2026-02-28"),
            ("2025-01-31", "P1M", "2025-02-28"),
            ("2025-08-31", "P3M", "2025-11-30"),
            ("2025-08-31", "P1Y2M3D", "2026-11-03"),
            ("2025-08-31", "P0D", "2025-08-31"),
        ] {
            let duration = Duration::parse(duration).unwrap();
            assert_eq!(duration.after(day(start)), Some(day(want)), "{start} + {duration}");
        }
        assert_eq!(Duration::parse("P12000Y").unwrap().after(NaiveDate::MAX), None);
        for bad in ["", "P", "3M", "P3", "P3M1Y", "PT3H", "P-1Y", "P99999999999Y", "P1.5Y", "P1Y1Y", "Pé"] {
            assert_eq!(Duration::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["P10Y", "P3M", "P1Y6M", "P30D", "P1Y2M3D", "P0D"] {
            assert_eq!(Duration::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Duration::parse("P24M").unwrap().to_string(), "P2Y");
    }

    #[test]
    fn two_durations_compare_only_when_the_start_day_does_not_matter() {
        for (a, b, want) in [
            ("P1Y", "P12M", Some(Ordering::Equal)),
            ("P10Y", "P5Y", Some(Ordering::Greater)),
            ("P30D", "P1M", None),
            ("P28D", "P1M", Some(Ordering::Less)),
            ("P365D", "P1Y", Some(Ordering::Less)),
            ("P366D", "P1Y", Some(Ordering::Greater)),
        ] {
            let parse = |t| Duration::parse(t).unwrap();
            assert_eq!(parse(a).compare(parse(b)), want, "{a} and {b}");
        }
    }

    #[test]
    fn each_mode_ends_where_it_says() {
        let calendar = Calendar::load(
            "c.toml",
            "citation = \"x\"\n[[annee]]\nannee_scolaire = \"2025-2026\"\nstart = \"2025-09-01\"\nend = \"2026-08-30\"\n[[annee]]\nannee_scolaire = \"2026-2027\"\nstart = \"2026-09-01\"\nend = \"2027-08-31\"\n",
        )
        .unwrap();
        let table = [
            (Mode::DateADate, "2025-11-03", "P1Y", Some("2026-11-03")),
            (Mode::FinAnneeCivile, "2025-11-03", "P0D", Some("2025-12-31")),
            (Mode::FinAnneeCivile, "2025-12-31", "P1D", Some("2026-12-31")),
            (Mode::FinAnneeScolaire, "2025-11-03", "P0D", Some("2026-08-30")),
            (Mode::FinAnneeScolaire, "2025-11-03", "P1Y", Some("2027-08-31")),
            (Mode::FinAnneeScolaire, "2026-08-30", "P0D", Some("2026-08-30")),
            (Mode::FinAnneeScolaire, "2026-08-31", "P0D", None),
            (Mode::FinAnneeScolaire, "2026-11-03", "P1Y", None),
            (Mode::PremierJanvierSuivant, "2025-11-03", "P4Y", Some("2030-01-01")),
            (Mode::PremierJanvierSuivant, "2025-01-01", "P4Y", Some("2030-01-01")),
        ];
        for (mode, start, duration, want) in table {
            let got = mode.end(day(start), Duration::parse(duration).unwrap(), &calendar);
            assert_eq!(got, want.map(day), "{} from {start} + {duration}", mode.as_str());
        }
        for mode in [Mode::FinAnneeCivile, Mode::PremierJanvierSuivant] {
            let end = mode.end(NaiveDate::MAX, Duration { months: 1, days: 0 }, &calendar);
            assert_eq!(end, None, "past the calendar of days");
        }
    }
}
