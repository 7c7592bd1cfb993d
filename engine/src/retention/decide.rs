//! One decision, pure and total: given the rules of a class and what is known of a record, what
//! becomes of it at a day. Unknown, undated, unverified, held or conflicting means keep.

use super::class::{ClassRules, Facts};
use super::rules::{Clock, Phase, Rule, SortFinal};
use crate::domain::Calendar;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// What becomes of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
    /// Nothing says when it started, or it did not.
    KeepUndated,
    /// No rule for the record.
    KeepNoRule,
    /// A rule that nobody has verified.
    KeepUnverified,
    /// Due, but a gel holds it.
    KeepHeld,
    /// Rules disagree on the sort final, or one does not say it.
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
            Outcome::KeepHeld => "keep_held",
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
            Outcome::KeepHeld => "gardé : gel en cours",
            Outcome::Conflict => "gardé : règles contradictoires",
        }
    }
}

/// A decision, without its story (see [`ClassRules::explain`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// What.
    pub outcome: Outcome,
    /// Youngest age that a rule gives; `None` without a rule.
    pub phase: Option<Phase>,
    /// Day that started the chain of the rule that is due last; of the first undated rule when
    /// there is one.
    pub start: Option<NaiveDate>,
    /// Last due day of all rules; `None` as soon as one has none.
    pub due: Option<NaiveDate>,
    /// Last day in the active base: the first end of the RGPD clock.
    pub active_until: Option<NaiveDate>,
}

impl ClassRules<'_> {
    /// Decides for a record at a day. Records are due strictly after the due day; `held` says
    /// that a gel covers the record.
    pub fn decide(&self, facts: Facts<'_>, at: NaiveDate, calendar: &Calendar, held: bool) -> Verdict {
        let mut verdict =
            Verdict { outcome: Outcome::KeepNoRule, phase: None, start: None, due: None, active_until: None };
        let (mut first, mut undated, mut unverified, mut conflict) = (None, false, false, false);
        for (prepared, span) in self.governing(facts, at, calendar) {
            let rule = prepared.rule;
            if rule.clock == Clock::Rgpd {
                verdict.active_until = [verdict.active_until, span.due].into_iter().flatten().min();
                continue;
            }
            if undated {
                // The start already told is that of the first rule without a due day.
            } else if span.due.is_none() {
                undated = true;
                (verdict.start, verdict.due) = (span.start, None);
            } else if span.due > verdict.due {
                (verdict.start, verdict.due) = (span.start, span.due);
            }
            verdict.phase = Some(verdict.phase.map_or(span.phase, |p| p.min(span.phase)));
            unverified |= !rule.is_verified(at);
            let sort = *first.get_or_insert(rule);
            conflict |= rule.sort_final.is_none() || !same_sort(sort, rule);
        }
        let Some(first) = first else { return verdict };
        verdict.outcome = match (verdict.due, first.sort_final) {
            (None, _) => Outcome::KeepUndated,
            (Some(due), _) if at <= due => Outcome::KeepNotDue,
            _ if unverified => Outcome::KeepUnverified,
            _ if conflict => Outcome::Conflict,
            _ if held => Outcome::KeepHeld,
            (_, Some(SortFinal::Conservation)) => Outcome::Conserve,
            (_, Some(SortFinal::Elimination)) => Outcome::Eliminate,
            (_, Some(SortFinal::Tri)) => Outcome::Sort,
            (_, None) => Outcome::Conflict,
        };
        verdict
    }

    /// First day on which a record is past the due day of every rule then in force, whatever their
    /// verification, their sort final and the gels; `None` when no day is.
    ///
    /// Rules come into force and leave it: a record may be due on this day and no longer later.
    pub fn first_due(&self, facts: Facts<'_>, calendar: &Calendar) -> Option<NaiveDate> {
        self.periods().find_map(|(from, to)| {
            let due = self.decide(facts, from, calendar, false).due?;
            let first = due.succ_opt()?.max(from);
            (first <= to).then_some(first)
        })
    }
}

fn same_sort(a: &Rule, b: &Rule) -> bool {
    a.sort_final == b.sort_final && a.tri == b.tri
}

#[cfg(test)]
mod tests;
