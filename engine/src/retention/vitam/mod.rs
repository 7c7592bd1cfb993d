//! The rules referential of Vitam, as CSV: `RuleId,RuleType,RuleValue,RuleDescription,RuleDuration,
//! RuleMeasurement`, UTF-8, comma.
//!
//! What Vitam refuses is refused here, with all findings in one pass (Vitam: `RulesManagerFileImpl`
//! and the *Référentiel des règles de gestion*, Licence Ouverte 2.0). Sort final is not in this file:
//! Vitam holds it on the archive unit.

mod compare;
mod export;
mod places;
mod read;

pub use compare::{Change, ChangeKind, compare};
pub use export::{LeftOut, export};
pub use read::read;

use crate::error::{Error, Result};
use serde::Serialize;

/// Columns, in the order in which they are written.
pub const COLUMNS: [&str; 6] =
    ["RuleId", "RuleType", "RuleValue", "RuleDescription", "RuleDuration", "RuleMeasurement"];

/// Category of a rule. Names are Vitam's, case included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum RuleType {
    /// Communicability.
    AccessRule,
    /// DUA.
    AppraisalRule,
    /// Classification as a secret.
    ClassificationRule,
    /// Publication.
    DisseminationRule,
    /// Hold (gel).
    HoldRule,
    /// Reuse.
    ReuseRule,
    /// DUC.
    StorageRule,
}

impl RuleType {
    /// Every type.
    pub const ALL: [RuleType; 7] = [
        RuleType::AccessRule,
        RuleType::AppraisalRule,
        RuleType::ClassificationRule,
        RuleType::DisseminationRule,
        RuleType::HoldRule,
        RuleType::ReuseRule,
        RuleType::StorageRule,
    ];

    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            RuleType::AccessRule => "AccessRule",
            RuleType::AppraisalRule => "AppraisalRule",
            RuleType::ClassificationRule => "ClassificationRule",
            RuleType::DisseminationRule => "DisseminationRule",
            RuleType::HoldRule => "HoldRule",
            RuleType::ReuseRule => "ReuseRule",
            RuleType::StorageRule => "StorageRule",
        }
    }

    /// Case counts.
    pub fn parse(text: &str) -> Option<Self> {
        RuleType::ALL.into_iter().find(|t| t.as_str() == text)
    }
}

/// Unit of a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Unit {
    /// Days.
    Day,
    /// Months.
    Month,
    /// Years.
    Year,
}

impl Unit {
    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Day => "DAY",
            Unit::Month => "MONTH",
            Unit::Year => "YEAR",
        }
    }

    /// In any case.
    pub fn parse(text: &str) -> Option<Self> {
        [Unit::Day, Unit::Month, Unit::Year].into_iter().find(|u| u.as_str().eq_ignore_ascii_case(text))
    }

    /// Longest duration in this unit: 999 years of 12 months, or of 360 days.
    pub fn limit(self) -> u32 {
        match self {
            Unit::Day => 359_640,
            Unit::Month => 11_988,
            Unit::Year => 999,
        }
    }

    /// Days that the minimum duration counts for one unit.
    fn days(self) -> u64 {
        match self {
            Unit::Day => 1,
            Unit::Month => 30,
            Unit::Year => 365,
        }
    }
}

/// How long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// So many units.
    Count(u32),
    /// For ever.
    Unlimited,
}

/// A duration with its unit; an unlimited one has a unit too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RuleDuration {
    /// How long.
    pub length: Length,
    /// In what.
    pub unit: Unit,
}

impl RuleDuration {
    /// In days of the minimum-duration guard (year 365, month 30); `None` for ever.
    pub fn guard_days(self) -> Option<u64> {
        match self.length {
            Length::Count(n) => Some(u64::from(n) * self.unit.days()),
            Length::Unlimited => None,
        }
    }

    /// Whether it is strictly shorter than a minimum, as Vitam counts: equality is accepted.
    pub fn is_below(self, minimum: RuleDuration) -> bool {
        match (self.guard_days(), minimum.guard_days()) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(days), Some(least)) => days < least,
        }
    }

    /// In French.
    pub fn french(self) -> String {
        match (self.length, self.unit) {
            (Length::Unlimited, _) => "illimitée".into(),
            (Length::Count(n), Unit::Day) => crate::french::count(n.into(), "jour", "jours"),
            (Length::Count(n), Unit::Month) => crate::french::count(n.into(), "mois", "mois"),
            (Length::Count(n), Unit::Year) => crate::french::count(n.into(), "an", "ans"),
        }
    }
}

/// One rule of the referential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VitamRule {
    /// `RuleId`: unique in the whole file.
    pub id: String,
    /// `RuleType`.
    #[serde(rename = "type")]
    pub kind: RuleType,
    /// `RuleValue`: title.
    pub value: String,
    /// `RuleDescription`; may be empty, may hold several lines.
    pub description: String,
    /// `RuleDuration` and `RuleMeasurement`; none for a hold of unknown end.
    pub duration: Option<RuleDuration>,
}

/// Something wrong in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// `RULES_CSV_…`.
    pub code: &'static str,
    /// Line, from 1; 0 when the fault is about the whole file.
    pub line: usize,
    /// Column, from 1, in characters; 0 with line 0.
    pub column: usize,
    /// French text: what, accepted values, what to do.
    pub message: String,
}

/// Minimum durations by type, from the configuration: rules that are strictly shorter.
pub fn below_minimum<'r>(
    rules: &'r [VitamRule],
    minimum: impl Fn(RuleType) -> Option<RuleDuration>,
) -> Vec<(&'r VitamRule, RuleDuration)> {
    let short = |rule: &'r VitamRule| {
        let least = minimum(rule.kind)?;
        rule.duration.filter(|d| d.is_below(least)).map(|_| (rule, least))
    };
    rules.iter().filter_map(short).collect()
}

/// The file of a referential: header, one rule a line, line feeds, quotes only where needed, units
/// in upper case, `unlimited` in lower case.
///
/// # Errors
/// `Error::Write` when the writer fails; it writes to memory.
pub fn write(rules: &[VitamRule]) -> Result<Vec<u8>> {
    let failed = |e: csv::Error| Error::Write(e.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(failed)?;
    for rule in rules {
        let (length, unit) = match rule.duration {
            None => (String::new(), ""),
            Some(RuleDuration { length: Length::Unlimited, unit }) => ("unlimited".to_owned(), unit.as_str()),
            Some(RuleDuration { length: Length::Count(n), unit }) => (n.to_string(), unit.as_str()),
        };
        let fields = [&rule.id, rule.kind.as_str(), &rule.value, &rule.description, &length, unit];
        writer.write_record(fields).map_err(failed)?;
    }
    writer.into_inner().map_err(|e| Error::Write(e.to_string()))
}

#[cfg(test)]
mod tests;
