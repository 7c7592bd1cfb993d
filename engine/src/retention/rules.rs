//! The referential of retention rules, as written by people.

use crate::contract::{fault_at, plain_name, toml_file};
use crate::domain::DateFormat;
use crate::error::{ConfigFault, Error, Result};
use chrono::{Days, Months, NaiveDate};
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// DUA: a text sets the duration. DUP: agreed with the archives where no text does (doctrine
/// technique 2025, 5.3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Basis {
    /// Durée d'utilité administrative.
    #[serde(rename = "DUA")]
    Dua,
    /// Durée d'utilité pratique.
    #[serde(rename = "DUP")]
    Dup,
}

/// Sort final: what happens to records at the end of their duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SortFinal {
    /// Kept for good by an archives service.
    Conservation,
    /// Destroyed, with the visa of the scientific and technical control.
    Elimination,
    /// Some are kept, the others destroyed.
    Tri,
}

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
    /// `P10Y`, `P3M`, `P1Y6M`, `P30D` (ISO 8601, dates only).
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

/// Events that start a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StartEvent {
    /// Last day of the school year of the record, by the calendar.
    FinAnneeScolaire,
}

impl StartEvent {
    /// In French.
    pub fn french(self) -> &'static str {
        match self {
            StartEvent::FinAnneeScolaire => "la fin de l'année scolaire",
        }
    }
}

/// A verification: it counts from its day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Day; `None` when the referential itself says so.
    pub on: Option<NaiveDate>,
    /// Who, when, which text.
    pub by: String,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Identifier, stable.
    pub id: String,
    /// Class of records it governs.
    pub record_class: String,
    /// Title.
    pub title: String,
    /// Text or agreement.
    pub basis: Basis,
    /// How long.
    pub duration: Duration,
    /// From when.
    pub start_event: StartEvent,
    /// Then what.
    pub sort_final: SortFinal,
    /// Source.
    pub citation: String,
    /// When and by whom the text was read; `None` is unverified.
    pub verified: Option<Verified>,
    /// First day on which the rule holds.
    pub effective_from: NaiveDate,
    /// Last day, if it was replaced.
    pub effective_to: Option<NaiveDate>,
}

/// All rules, with the organisation's verifications.
#[derive(Debug, Clone)]
pub struct Referential {
    /// Version written in every decision.
    pub version: String,
    /// Rules, in file order.
    pub rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReferentialFile {
    version: String,
    rule: Vec<RuleRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    id: Spanned<String>,
    record_class: Spanned<String>,
    title: String,
    basis: Basis,
    duration: Spanned<String>,
    start_event: StartEvent,
    sort_final: SortFinal,
    citation: Spanned<String>,
    verification: Verification,
    effective_from: Spanned<String>,
    effective_to: Option<Spanned<String>>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Verification {
    Verified,
    Unverified,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverlayFile {
    verification: Vec<OverlayRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverlayRow {
    rule: Spanned<String>,
    verified_by: Spanned<String>,
    verified_on: Spanned<String>,
    text_read: Spanned<String>,
}

impl Rule {
    /// Whether the text had been read at a date.
    pub fn is_verified(&self, at: NaiveDate) -> bool {
        self.verified.as_ref().is_some_and(|v| v.on.is_none_or(|on| on <= at))
    }
}

impl Referential {
    /// Reads a referential.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn load(file: &str, text: &str) -> Result<Self> {
        let raw: ReferentialFile = toml_file(file, text)?;
        let mut faults: Vec<ConfigFault> = Vec::new();
        let mut fault = |at: usize, message: &str| faults.push(fault_at(file, text, at, message.into()));
        let mut rules: Vec<Rule> = Vec::new();
        for row in raw.rule {
            let duration = Duration::parse(row.duration.get_ref());
            let from = DateFormat::Iso.parse(row.effective_from.get_ref());
            let to = row.effective_to.as_ref().map(|t| (t.span().start, DateFormat::Iso.parse(t.get_ref())));
            if rules.iter().any(|r| r.id == *row.id.get_ref()) {
                fault(row.id.span().start, "identifiant de règle déjà employé");
            }
            if row.id.get_ref().trim().is_empty() || row.title.trim().is_empty() {
                fault(row.id.span().start, "identifiant et titre sont obligatoires");
            }
            if !plain_name(row.record_class.get_ref()) {
                fault(
                    row.record_class.span().start,
                    "classe : lettres minuscules sans accent, chiffres, « _ » et « - »",
                );
            }
            if duration == Some(Duration { months: 0, days: 0 }) {
                fault(row.duration.span().start, "une durée nulle n'est pas une durée d'utilité");
            }
            if let (Some(from), Some((at, Some(to)))) = (from, to)
                && to < from
            {
                fault(at, "la règle finirait avant de commencer");
            }
            if duration.is_none() {
                fault(
                    row.duration.span().start,
                    "durée : « P10Y », « P3M », « P30D » ou une suite années, mois, jours",
                );
            }
            if from.is_none() {
                fault(row.effective_from.span().start, "date aaaa-mm-jj attendue");
            }
            if let Some((at, None)) = to {
                fault(at, "date aaaa-mm-jj attendue");
            }
            if row.citation.get_ref().trim().is_empty() {
                fault(
                    row.citation.span().start,
                    "une règle sans texte ni accord cité ne peut pas être vérifiée",
                );
            }
            if let (Some(duration), Some(effective_from)) = (duration, from) {
                rules.push(Rule {
                    id: row.id.into_inner(),
                    record_class: row.record_class.into_inner(),
                    title: row.title,
                    basis: row.basis,
                    duration,
                    start_event: row.start_event,
                    sort_final: row.sort_final,
                    citation: row.citation.into_inner(),
                    verified: (row.verification == Verification::Verified)
                        .then(|| Verified { on: None, by: "le référentiel".to_owned() }),
                    effective_from,
                    effective_to: to.and_then(|(_, d)| d),
                });
            }
        }
        if faults.is_empty() {
            Ok(Referential { version: raw.version, rules })
        } else {
            Err(Error::Config(faults))
        }
    }

    /// Adds the verifications of an organisation.
    ///
    /// # Errors
    /// Every fault with its place; among them, a rule that does not exist.
    pub fn overlay(mut self, file: &str, text: &str) -> Result<Self> {
        let raw: OverlayFile = toml_file(file, text)?;
        let mut faults: Vec<ConfigFault> = Vec::new();
        for row in raw.verification {
            let mut fault = |at: &Spanned<String>, message: &str| {
                faults.push(fault_at(file, text, at.span().start, message.into()))
            };
            let empty =
                [&row.verified_by, &row.text_read].into_iter().find(|t| t.get_ref().trim().is_empty());
            if let Some(at) = empty {
                fault(at, "qui a vérifié et quel texte a été lu sont obligatoires");
            } else if let Some(on) = DateFormat::Iso.parse(row.verified_on.get_ref()) {
                match self.rules.iter_mut().find(|r| r.id == *row.rule.get_ref()) {
                    None => fault(&row.rule, "aucune règle de ce nom dans le référentiel"),
                    Some(rule) if rule.verified.is_some() => {
                        fault(&row.rule, "cette règle est déjà vérifiée")
                    }
                    Some(rule) => {
                        let (who, text) = (row.verified_by.get_ref(), row.text_read.get_ref());
                        let by = format!("{who}, le {} : {text}", on.format("%d/%m/%Y"));
                        rule.verified = Some(Verified { on: Some(on), by });
                    }
                }
            } else {
                fault(&row.verified_on, "date aaaa-mm-jj attendue");
            }
        }
        if faults.is_empty() { Ok(self) } else { Err(Error::Config(faults)) }
    }

    /// Rules of a class that hold at a date.
    pub fn of_class<'a>(&'a self, class: &'a str, at: NaiveDate) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(move |r| {
            r.record_class == class && r.effective_from <= at && r.effective_to.is_none_or(|to| at <= to)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) const SHIPPED: &str = include_str!("../../../retention-rules/referentiel.toml");

    #[test]
    fn durations_follow_the_calendar() {
        let day = |t: &str| DateFormat::Iso.parse(t).unwrap();
        for (start, duration, want) in [
            ("2024-02-29", "P1Y", "2025-02-28"),
            ("2024-02-29", "P4Y", "2028-02-29"),
            ("2025-01-31", "P1M", "2025-02-28"),
            ("2025-08-31", "P3M", "2025-11-30"),
            ("2025-08-31", "P1Y2M3D", "2026-11-03"),
        ] {
            assert_eq!(
                Duration::parse(duration).unwrap().after(day(start)),
                Some(day(want)),
                "{start} + {duration}"
            );
        }
        for bad in ["", "P", "3M", "P3", "P3M1Y", "PT3H", "P-1Y", "P99999999999Y", "P1.5Y", "P1Y1Y"] {
            assert_eq!(Duration::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_shipped_referential_is_right_and_refuses_an_unknown_key() {
        let all = Referential::load("referentiel.toml", SHIPPED).unwrap();
        assert!(all.rules.iter().all(|r| r.verified.is_none()), "nothing is verified by us");
        let broken = SHIPPED.replacen("[[rule]]\n", "[[rule]]\nsort = 1\n", 1);
        let Err(Error::Config(faults)) = Referential::load("r.toml", &broken) else { panic!("accepted") };
        assert!(
            faults[0].message.contains("« sort »") && faults[0].message.contains("« sort_final »"),
            "{}",
            faults[0].message
        );
    }
}
