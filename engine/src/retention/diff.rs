//! What changes from one referential to another, and for how many records.

use super::class::{EventDate, Facts};
use super::duration::compare_ends;
use super::rules::{Cap, Event, Referential, Rule, SortFinal, Start, Step, Verified};
use crate::domain::Calendar;
use chrono::{Datelike, NaiveDate};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What happened to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is no more.
    Removed,
    /// It says something else.
    Changed,
}

/// Where a change moves the due days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Nothing is due earlier, nor destroyed sooner.
    Longer,
    /// Something is due earlier, or destroyed where it was not.
    Shorter,
    /// Neither, or one cannot tell.
    Other,
}

/// One field that differs, as the files write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// Key in the file; `phases` for the chain, `verification` for who read the text.
    pub field: &'static str,
    /// Before; empty for nothing.
    pub old: String,
    /// After; empty for nothing.
    pub new: String,
}

/// A rule that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleChange {
    /// Rule.
    pub rule: String,
    /// Its class, as it is now.
    pub record_class: String,
    /// Added, removed, changed.
    pub change: ChangeKind,
    /// Fields that differ; none for a rule added or removed.
    pub fields: Vec<FieldChange>,
    /// Taken together.
    pub direction: Direction,
    /// It shortens something, or may: a second person must approve it.
    pub needs_second_person: bool,
}

/// Differences between two referentials, by rule.
pub fn diff(old: &Referential, new: &Referential) -> Vec<RuleChange> {
    let ids: BTreeSet<&str> = old.rules.iter().chain(&new.rules).map(|r| r.id.as_str()).collect();
    ids.into_iter()
        .filter_map(|id| {
            let lone = |rule: &Rule, change, direction, needs_second_person| RuleChange {
                rule: rule.id.clone(),
                record_class: rule.record_class.clone(),
                change,
                fields: Vec::new(),
                direction,
                needs_second_person,
            };
            match (old.rule(id), new.rule(id)) {
                (Some(a), Some(b)) => changed(a, b),
                (Some(a), None) => Some(lone(a, ChangeKind::Removed, Direction::Shorter, true)),
                // An unverified rule decides nothing; a verified one may open an elimination.
                (None, Some(b)) => Some(lone(b, ChangeKind::Added, Direction::Other, b.verified.is_some())),
                (None, None) => None,
            }
        })
        .collect()
}

/// What one field does: the direction when it has one, and whether a second person must look.
type Effect = (Option<Direction>, bool);

const NEUTRAL: Effect = (None, false);
const LONGER: Effect = (Some(Direction::Longer), false);
const SHORTER: Effect = (Some(Direction::Shorter), true);
/// It cannot be told: a second person looks.
const UNSURE: Effect = (Some(Direction::Other), true);

fn changed(old: &Rule, new: &Rule) -> Option<RuleChange> {
    let mut fields = Vec::new();
    let mut effects: Vec<Effect> = Vec::new();
    for ((field, before), (_, after)) in old.fields().into_iter().zip(new.fields()) {
        if before != after {
            effects.push(effect(field, old, new));
            fields.push(FieldChange { field, old: before, new: after });
        }
    }
    if old.verified != new.verified {
        let by = |v: &Option<Verified>| v.as_ref().map(|v| v.by.clone()).unwrap_or_default();
        effects.push(verification(old.verified.as_ref(), new.verified.as_ref()));
        fields.push(FieldChange { field: "verification", old: by(&old.verified), new: by(&new.verified) });
    }
    if fields.is_empty() {
        return None;
    }
    let mut directions = effects.iter().filter_map(|(direction, _)| *direction);
    let direction = match directions.next() {
        Some(first) if directions.all(|d| d == first) => first,
        _ => Direction::Other,
    };
    Some(RuleChange {
        rule: new.id.clone(),
        record_class: new.record_class.clone(),
        change: ChangeKind::Changed,
        fields,
        direction,
        needs_second_person: effects.iter().any(|(_, second)| *second),
    })
}

fn effect(field: &str, old: &Rule, new: &Rule) -> Effect {
    match field {
        "title" | "basis" | "agreed_with" | "agreed_on" | "citation" => NEUTRAL,
        "phases" => chain(&old.steps, &new.steps),
        "at_latest" => cap(old.cap.as_ref(), new.cap.as_ref()),
        "cancelled_by" => cancels(&old.cancelled_by, &new.cancelled_by),
        "sort_final" => match severity(new.sort_final).cmp(&severity(old.sort_final)) {
            Ordering::Greater => SHORTER,
            Ordering::Less => LONGER,
            Ordering::Equal => NEUTRAL,
        },
        // A tri that appears or goes is the sort final's change.
        "tri" if old.sort_final != new.sort_final => NEUTRAL,
        "minimum" => match (old.minimum, new.minimum) {
            (None, Some(_)) => NEUTRAL,
            (Some(a), Some(b)) if b.compare(a) == Some(Ordering::Greater) => NEUTRAL,
            _ => UNSURE,
        },
        _ => UNSURE,
    }
}

/// How much of the records a sort final may destroy.
fn severity(sort: Option<SortFinal>) -> u8 {
    match sort {
        None | Some(SortFinal::Conservation) => 0,
        Some(SortFinal::Tri) => 1,
        Some(SortFinal::Elimination) => 2,
    }
}

fn verification(old: Option<&Verified>, new: Option<&Verified>) -> Effect {
    match (old, new) {
        (_, None) => NEUTRAL,
        // No day is before any day.
        (Some(a), Some(b)) if a.on <= b.on => NEUTRAL,
        _ => SHORTER,
    }
}

fn cancels(old: &[Arc<Event>], new: &[Arc<Event>]) -> Effect {
    let all_in = |a: &[Arc<Event>], b: &[Arc<Event>]| a.iter().all(|e| b.contains(e));
    match (all_in(old, new), all_in(new, old)) {
        (true, true) => NEUTRAL,
        (true, false) => LONGER,
        (false, true) => SHORTER,
        (false, false) => UNSURE,
    }
}

fn ordered(new_against_old: Option<Ordering>) -> Effect {
    match new_against_old {
        Some(Ordering::Equal) => NEUTRAL,
        Some(Ordering::Greater) => LONGER,
        Some(Ordering::Less) => SHORTER,
        None => UNSURE,
    }
}

/// To compare durations only, school years end on 31 August: the real calendar is that of records.
fn usual_year_end(day: NaiveDate) -> Option<NaiveDate> {
    let year = if day.month() > 8 { day.year().checked_add(1)? } else { day.year() };
    NaiveDate::from_ymd_opt(year, 8, 31)
}

fn cap(old: Option<&Cap>, new: Option<&Cap>) -> Effect {
    match (old, new) {
        (None, None) => NEUTRAL,
        (None, Some(_)) => SHORTER,
        (Some(_), None) => LONGER,
        (Some(a), Some(b)) if a.start == b.start => {
            let end = |cap: &Cap, day| cap.mode.end_with(day, cap.duration, usual_year_end);
            ordered(compare_ends(|day| end(b, day), |day| end(a, day)))
        }
        (Some(_), Some(_)) => UNSURE,
    }
}

/// Chains compare as wholes when one event starts each, else step by step when the same events
/// start the same steps.
fn chain(old: &[Step], new: &[Step]) -> Effect {
    let whole = |steps: &[Step]| steps.iter().skip(1).all(|s| s.start == Start::Previous);
    let same_first = old.first().zip(new.first()).is_some_and(|(a, b)| a.start == b.start);
    let end = |steps: &[Step], day: NaiveDate| {
        steps.iter().try_fold(day, |from, s| s.mode.end_with(from, s.duration, usual_year_end))
    };
    if same_first && whole(old) && whole(new) {
        return ordered(compare_ends(|day| end(new, day), |day| end(old, day)));
    }
    if old.len() != new.len() || old.iter().zip(new).any(|(a, b)| a.start != b.start) {
        return UNSURE;
    }
    let one = std::slice::from_ref;
    let steps = old.iter().zip(new);
    let effects: Vec<Option<Ordering>> =
        steps.map(|(a, b)| compare_ends(|day| end(one(b), day), |day| end(one(a), day))).collect();
    let mut moved = effects.iter().filter(|o| **o != Some(Ordering::Equal));
    match moved.next() {
        None => NEUTRAL,
        Some(first) if moved.all(|o| o == first) => ordered(*first),
        Some(_) => UNSURE,
    }
}

/// Records that share what is known of them.
#[derive(Debug, Clone, Copy)]
pub struct Share<'a> {
    /// Class.
    pub class: &'a str,
    /// What is known of the events, by identifier; those that are not named are unknown.
    pub events: &'a BTreeMap<String, EventDate>,
    /// Type of the document.
    pub document: Option<&'a str>,
    /// How many records.
    pub records: u64,
}

/// How many records a new referential moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Impact {
    /// First due on an earlier day.
    pub earlier: u64,
    /// First due on a later day.
    pub later: u64,
    /// Were to be due, never are.
    pub no_longer: u64,
    /// Were never to be due, are.
    pub newly: u64,
    /// The same day, or never as before.
    pub unchanged: u64,
    /// Due on the day that is asked about, by the rules of before.
    pub due_before: u64,
    /// Due that day by the new ones.
    pub due_after: u64,
}

/// Counts, by class, the records whose first due day moves (see
/// [`super::ClassRules::first_due`]): whatever the verifications and the sort final. `at` is the day
/// for those that are due.
pub fn impact<'a>(
    old: &Referential,
    new: &Referential,
    calendar: &Calendar,
    at: NaiveDate,
    shares: impl Iterator<Item = Share<'a>>,
) -> BTreeMap<String, Impact> {
    let mut classes = BTreeMap::new();
    for share in shares {
        let (was, will, total) = classes
            .entry(share.class)
            .or_insert_with(|| (old.class(share.class), new.class(share.class), Impact::default()));
        let [was, will] = [was, will].map(|rules| {
            let dates = rules.dates(|id| share.events.get(id).copied().unwrap_or(EventDate::Unknown));
            rules.first_due(Facts { dates: &dates, document: share.document }, calendar)
        });
        let count = match (was, will) {
            (Some(a), Some(b)) if b < a => &mut total.earlier,
            (Some(a), Some(b)) if b > a => &mut total.later,
            (Some(_), None) => &mut total.no_longer,
            (None, Some(_)) => &mut total.newly,
            _ => &mut total.unchanged,
        };
        *count = count.saturating_add(share.records);
        for (first, due) in [(was, &mut total.due_before), (will, &mut total.due_after)] {
            if first.is_some_and(|first| first <= at) {
                *due = due.saturating_add(share.records);
            }
        }
    }
    classes.into_iter().map(|(class, (_, _, total))| (class.to_owned(), total)).collect()
}

#[cfg(test)]
mod tests;
