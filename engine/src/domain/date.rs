//! Dates, times and durations as the sources write them.

use chrono::{Datelike, NaiveDate};

/// How a source writes its dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
pub enum DateFormat {
    /// `dd/mm/yyyy`: AAF, SIECLE, BCN.
    #[default]
    #[serde(rename = "dd/mm/yyyy")]
    French,
    /// `yyyy-mm-dd`: DNMA, open data.
    #[serde(rename = "yyyy-mm-dd")]
    Iso,
    /// `yyyymmdd`: file names.
    #[serde(rename = "yyyymmdd")]
    Compact,
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |n, d| d.is_ascii_digit().then(|| n * 10 + u32::from(d - b'0')))
}

impl DateFormat {
    /// A real calendar date between 1850 and 8999 (SEDA refuses years from 9000 on; a source that
    /// writes 00/00/0000 or 31/12/9999 means "none", which is not a date).
    pub fn parse(self, text: &str) -> Option<NaiveDate> {
        let b = text.as_bytes();
        let (y, m, d) = match self {
            DateFormat::French => match b {
                [d1, d2, b'/', m1, m2, b'/', y @ ..] if y.len() == 4 => {
                    (number(y)?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)
                }
                _ => return None,
            },
            DateFormat::Iso => match b {
                [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] => {
                    (number(&[*y1, *y2, *y3, *y4])?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)
                }
                _ => return None,
            },
            DateFormat::Compact => match b {
                [y1, y2, y3, y4, m1, m2, d1, d2] => {
                    (number(&[*y1, *y2, *y3, *y4])?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)
                }
                _ => return None,
            },
        };
        let date = NaiveDate::from_ymd_opt(i32::try_from(y).ok()?, m, d)?;
        (1850..9000).contains(&date.year()).then_some(date)
    }

    /// As said to people.
    pub fn french(self) -> &'static str {
        match self {
            DateFormat::French => "jj/mm/aaaa",
            DateFormat::Iso => "aaaa-mm-jj",
            DateFormat::Compact => "aaaammjj",
        }
    }
}

/// `hh:mm` or `hh:mm:ss` as seconds since midnight.
pub fn parse_time_seconds(text: &str) -> Option<i32> {
    let mut total = 0_u32;
    let mut parts = 0;
    for (part, bound, unit) in
        text.split(':').zip([(24, 3600), (60, 60), (60, 1)]).map(|(p, (b, u))| (p, b, u))
    {
        let n = (part.len() == 2).then(|| number(part.as_bytes())).flatten().filter(|n| *n < bound)?;
        total += n * unit;
        parts += 1;
    }
    (parts >= 2 && text.len() == parts * 3 - 1).then(|| i32::try_from(total).ok()).flatten()
}

/// `hh:mm:ss` or `hh:mm:ss:ff` (the fourth part is a fraction, dropped) in seconds.
/// Hours have no upper bound: DNMA durations are means that may pass a day on broken probes.
pub fn parse_duration_seconds(text: &str) -> Option<i64> {
    let parts: Vec<&str> = text.split(':').collect();
    let (h, m, s) = match parts.as_slice() {
        [h, m, s] => (h, m, s),
        [h, m, s, f] if (1..=9).contains(&f.len()) && f.bytes().all(|b| b.is_ascii_digit()) => (h, m, s),
        _ => return None,
    };
    let get = |p: &str, max: u32| {
        ((1..=6).contains(&p.len()))
            .then(|| number(p.as_bytes()))
            .flatten()
            .filter(|n| *n < max)
            .map(i64::from)
    };
    Some(get(h, 1_000_000)? * 3600 + get(m, 60)? * 60 + get(s, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_dates_pass() {
        let ok = |f: DateFormat, t: &str| f.parse(t).map(|d| d.to_string());
        assert_eq!(ok(DateFormat::French, "29/02/2024").as_deref(), Some("2024-02-29"));
        assert_eq!(ok(DateFormat::Iso, "2025-11-03").as_deref(), Some("2025-11-03"));
        assert_eq!(ok(DateFormat::Compact, "20240916").as_deref(), Some("2024-09-16"));
        for bad in [
            "00/00/0000",
            "31/02/2025",
            "29/02/2025",
            "31/12/9999",
            "1/2/2024",
            "2024-02-01",
            "",
            "12/13/2024",
            "é/02/2024",
            "01/01/20255",
        ] {
            assert_eq!(ok(DateFormat::French, bad), None, "{bad}");
        }
    }

    #[test]
    fn times_and_durations() {
        assert_eq!(parse_time_seconds("08:30"), Some(30_600));
        assert_eq!(parse_time_seconds("23:59:59"), Some(86_399));
        for bad in ["24:00", "8:30", "08", "08:30:00:00", "08:60", "", "aa:bb", "08:30:"] {
            assert_eq!(parse_time_seconds(bad), None, "{bad}");
        }
        assert_eq!(parse_duration_seconds("00:04:10"), Some(250));
        assert_eq!(parse_duration_seconds("00:04:10:50"), Some(250));
        for bad in [
            "04:10",
            "00:61:00",
            "00:00:60",
            "-1:00:00",
            "a:b:c",
            "00:00:00:",
            "::",
            "00:04:10:99999999999",
            "99999999999:00:00",
        ] {
            assert_eq!(parse_duration_seconds(bad), None, "{bad}");
        }
    }
}
