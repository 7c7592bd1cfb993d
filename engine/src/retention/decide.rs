//! One decision, pure and total: given the rules of a class and the date that starts them, what
//! becomes of the records at a day. Unknown, undated, unverified or conflicting means keep.

use super::rules::{Rule, SortFinal};
use chrono::NaiveDate;
use serde::Serialize;

/// What becomes of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Due, to be kept for good.
    Conserve,
    /// Due, may be proposed for elimination.
    Eliminate,
    /// Due, a tri must say which are kept.
    Sort,
    /// The duration still runs.
    KeepNotDue,
    /// Nothing says when it started.
    KeepUndated,
    /// No rule for the class.
    KeepNoRule,
    /// A rule that nobody has verified.
    KeepUnverified,
    /// Rules disagree on the sort final.
    Conflict,
}

impl Outcome {
    /// Name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Conserve => "conserve",
            Outcome::Eliminate => "eliminate",
            Outcome::Sort => "sort",
            Outcome::KeepNotDue => "keep_not_due",
            Outcome::KeepUndated => "keep_undated",
            Outcome::KeepNoRule => "keep_no_rule",
            Outcome::KeepUnverified => "keep_unverified",
            Outcome::Conflict => "conflict",
        }
    }

    /// For people.
    pub fn french(self) -> &'static str {
        match self {
            Outcome::Conserve => "à conserver",
            Outcome::Eliminate => "éliminable sous visa",
            Outcome::Sort => "à trier",
            Outcome::KeepNotDue => "gardé : échéance à venir",
            Outcome::KeepUndated => "gardé : date de départ inconnue",
            Outcome::KeepNoRule => "gardé : aucune règle",
            Outcome::KeepUnverified => "gardé : règle non vérifiée",
            Outcome::Conflict => "gardé : règles contradictoires",
        }
    }
}

/// A decision and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What.
    pub outcome: Outcome,
    /// Rules that apply, in the referential's order.
    pub rules: Vec<String>,
    /// Last due day of all rules.
    pub due: Option<NaiveDate>,
    /// Reasons, in French.
    pub reasons: Vec<String>,
}

/// Decides for records of a class whose rules are `rules` (those that hold at `at`) and whose
/// duration starts on `start`. Records are due strictly after the due day.
pub fn decide<'r>(
    rules: impl Iterator<Item = &'r Rule>,
    start: Option<NaiveDate>,
    at: NaiveDate,
) -> Decision {
    let rules: Vec<&Rule> = rules.collect();
    let ids: Vec<String> = rules.iter().map(|r| r.id.clone()).collect();
    let day = |d: NaiveDate| d.format("%d/%m/%Y");
    let mut reasons: Vec<String> = rules
        .iter()
        .map(|r| {
            let verified = r.verified.as_ref().filter(|_| r.is_verified(at));
            let sure = verified.map_or("non vérifiée".to_owned(), |v| format!("vérifiée par {}", v.by));
            format!(
                "règle {} ({}) : {} après {} ; {sure}",
                r.id,
                r.title,
                r.duration.french(),
                r.start_event.french()
            )
        })
        .collect();
    let mut end = |outcome, due, reason: String| {
        reasons.push(reason);
        Decision { outcome, rules: Vec::clone(&ids), due, reasons: std::mem::take(&mut reasons) }
    };
    let Some(first) = rules.first() else {
        return end(Outcome::KeepNoRule, None, "aucune règle en vigueur pour cette classe".into());
    };
    let Some(start) = start else {
        return end(Outcome::KeepUndated, None, "la date de départ est inconnue".into());
    };
    let dues: Option<Vec<NaiveDate>> = rules.iter().map(|r| r.duration.after(start)).collect();
    let Some(due) = dues.and_then(|d| d.into_iter().max()) else {
        return end(Outcome::KeepUndated, None, "l'échéance dépasse le calendrier".into());
    };
    if at <= due {
        return end(
            Outcome::KeepNotDue,
            Some(due),
            format!("échéance le {}, pas encore passée au {}", day(due), day(at)),
        );
    }
    if rules.iter().any(|r| !r.is_verified(at)) {
        return end(
            Outcome::KeepUnverified,
            Some(due),
            format!("échéance du {} passée, mais une règle n'est pas vérifiée", day(due)),
        );
    }
    if rules.iter().any(|r| r.sort_final != first.sort_final) {
        return end(Outcome::Conflict, Some(due), "les règles ne s'accordent pas sur le sort final".into());
    }
    let outcome = match first.sort_final {
        SortFinal::Conservation => Outcome::Conserve,
        SortFinal::Elimination => Outcome::Eliminate,
        SortFinal::Tri => Outcome::Sort,
    };
    // Without the day of the decision: the same due records give the same list every night.
    end(outcome, Some(due), format!("échéance du {} passée", day(due)))
}

#[cfg(test)]
mod tests {
    use super::super::rules::{Basis, Duration, StartEvent, Verified};
    use super::*;
    use crate::domain::DateFormat;

    fn day(t: &str) -> NaiveDate {
        DateFormat::Iso.parse(t).unwrap()
    }

    fn rule(duration: &str, sort_final: SortFinal, verified: bool) -> Rule {
        Rule {
            id: format!("R-{duration}"),
            record_class: "c".into(),
            title: "t".into(),
            basis: Basis::Dua,
            duration: Duration::parse(duration).unwrap(),
            start_event: StartEvent::FinAnneeScolaire,
            sort_final,
            citation: "x".into(),
            verified: verified.then(|| Verified { on: Some(day("2025-10-01")), by: "y".into() }),
            effective_from: day("2000-01-01"),
            effective_to: None,
        }
    }

    #[test]
    fn every_case_of_the_decision() {
        use Outcome::*;
        use SortFinal::*;
        let start = Some(day("2025-08-31"));
        type Case<'a> = (&'a str, Vec<Rule>, Option<NaiveDate>, &'a str, Outcome);
        let table: &[Case<'_>] = &[
            ("no rule", vec![], start, "2100-01-01", KeepNoRule),
            ("no start", vec![rule("P3M", Elimination, true)], None, "2100-01-01", KeepUndated),
            (
                "the due day itself is not due",
                vec![rule("P3M", Elimination, true)],
                start,
                "2025-11-30",
                KeepNotDue,
            ),
            ("the day after is", vec![rule("P3M", Elimination, true)], start, "2025-12-01", Eliminate),
            ("conservation", vec![rule("P3M", Conservation, true)], start, "2025-12-01", Conserve),
            ("tri", vec![rule("P3M", Tri, true)], start, "2025-12-01", Sort),
            ("unverified", vec![rule("P3M", Elimination, false)], start, "2025-12-01", KeepUnverified),
            (
                "verified only later",
                vec![rule("P3M", Elimination, true)],
                Some(day("2025-01-01")),
                "2025-09-30",
                KeepUnverified,
            ),
            (
                "one of two unverified",
                vec![rule("P3M", Elimination, true), rule("P1M", Elimination, false)],
                start,
                "2025-12-01",
                KeepUnverified,
            ),
            (
                "the last of two due days counts",
                vec![rule("P3M", Elimination, true), rule("P1Y", Elimination, true)],
                start,
                "2025-12-01",
                KeepNotDue,
            ),
            (
                "two sorts",
                vec![rule("P3M", Elimination, true), rule("P1M", Conservation, true)],
                start,
                "2025-12-01",
                Conflict,
            ),
            (
                "past the calendar",
                vec![rule("P12000Y", Elimination, true), rule("P3M", Elimination, true)],
                start,
                "2026-01-01",
                KeepNotDue,
            ),
        ];
        for (case, rules, start, at, want) in table {
            assert_eq!(decide(rules.iter(), *start, day(at)).outcome, *want, "{case}");
        }
    }
}
