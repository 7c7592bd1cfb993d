//! The rules of one class, prepared once: which events they need, and when they end for a record.

use super::duration::{Duration, Mode};
use super::rules::{Clock, EffectiveBy, Event, Phase, Referential, Rule, Start};
use crate::domain::Calendar;
use chrono::NaiveDate;
use std::sync::Arc;

/// What is known of an event for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventDate {
    /// It happened, or will, on this day: the last time when there are several.
    On(NaiveDate),
    /// It is known not to have happened.
    Never,
    /// Nobody knows: no source tells it, or its value cannot be read.
    Unknown,
}

impl From<Option<NaiveDate>> for EventDate {
    /// No date is an event that nobody knows: the reading that keeps.
    fn from(date: Option<NaiveDate>) -> Self {
        date.map_or(EventDate::Unknown, EventDate::On)
    }
}

/// What a decision needs to know of a record.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// One date an event, in the order of [`ClassRules::events`]; those missing are unknown.
    pub dates: &'a [EventDate],
    /// Type of the document, for acts with several documents.
    pub document: Option<&'a str>,
}

impl Facts<'_> {
    fn on(&self, event: usize) -> EventDate {
        self.dates.get(event).copied().unwrap_or(EventDate::Unknown)
    }

    pub(super) fn day(&self, event: usize) -> Option<NaiveDate> {
        match self.on(event) {
            EventDate::On(day) => Some(day),
            EventDate::Never | EventDate::Unknown => None,
        }
    }
}

/// Rules of one class.
#[derive(Debug, Clone)]
pub struct ClassRules<'r> {
    /// Class.
    pub class: String,
    rules: Vec<Prepared<'r>>,
    events: Vec<Arc<Event>>,
    names_documents: bool,
    /// First days of the periods in which the same rules are in force, in order.
    changes: Vec<NaiveDate>,
}

/// A rule whose events are positions.
#[derive(Debug, Clone)]
pub(super) struct Prepared<'r> {
    pub rule: &'r Rule,
    /// Start of the first step.
    first: usize,
    steps: Vec<PreparedStep>,
    cancels: Vec<usize>,
    cap: Option<(usize, Duration, Mode)>,
}

#[derive(Debug, Clone)]
struct PreparedStep {
    phase: Phase,
    /// Its own event; `None` for the end of the steps before.
    start: Option<usize>,
    duration: Duration,
    mode: Mode,
}

/// What starts the chain of a rule for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// The chain runs from this day.
    On(NaiveDate),
    /// The start event has no date.
    Missing,
    /// An event, by its position, cancels the start or may have.
    Cancelled(usize),
}

/// The chain of a rule for a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub start: Option<NaiveDate>,
    pub due: Option<NaiveDate>,
    pub phase: Phase,
}

impl Referential {
    /// The rules of a class, ready for decisions; none is an answer too.
    pub fn class(&self, class: &str) -> ClassRules<'_> {
        ClassRules::new(class, self.rules.iter().filter(|r| r.record_class == class))
    }
}

impl<'r> ClassRules<'r> {
    /// Prepares rules, all of one class.
    pub(super) fn new(class: &str, rules: impl Iterator<Item = &'r Rule>) -> Self {
        let mut all = ClassRules {
            class: class.to_owned(),
            rules: Vec::new(),
            events: Vec::new(),
            names_documents: false,
            changes: Vec::new(),
        };
        for rule in rules {
            if let Some(prepared) = prepare(rule, &mut all.events) {
                all.rules.push(prepared);
            }
            if rule.clock == Clock::Rgpd {
                continue;
            }
            all.names_documents |= !rule.documents.is_empty();
            if rule.effective_by == EffectiveBy::Evaluation {
                all.changes.push(rule.effective_from);
                all.changes.extend(rule.effective_to.and_then(|d| d.succ_opt()));
            }
        }
        all.changes.sort_unstable();
        all.changes.dedup();
        all
    }

    /// Events whose days decide, in the order of [`Facts::dates`].
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(|e| e.id.as_str())
    }

    /// Days in the order of [`Facts::dates`], from what tells the day of an event.
    pub fn dates(&self, mut of: impl FnMut(&str) -> EventDate) -> Vec<EventDate> {
        self.events().map(&mut of).collect()
    }

    /// Whether the type of the document decides: without it, such a record is kept.
    pub fn names_documents(&self) -> bool {
        self.names_documents
    }

    /// Every rule of the class, in force or not.
    pub fn rules(&self) -> impl Iterator<Item = &'r Rule> {
        self.rules.iter().map(|p| p.rule)
    }

    pub(super) fn event(&self, position: usize) -> Option<&Event> {
        self.events.get(position).map(AsRef::as_ref)
    }

    pub(super) fn prepared(&self) -> &[Prepared<'r>] {
        &self.rules
    }

    /// Periods in which the same rules are in force: first and last day.
    pub(super) fn periods(&self) -> impl Iterator<Item = (NaiveDate, NaiveDate)> {
        let from = std::iter::once(NaiveDate::MIN).chain(self.changes.iter().copied());
        let to = self.changes.iter().filter_map(|d| d.pred_opt()).chain([NaiveDate::MAX]);
        from.zip(to)
    }

    /// Rules that govern a record at a day, with their chains; those of the RGPD clock too. A
    /// class whose rules name documents has none of the DUA clock for a document of unknown type.
    pub(super) fn governing(
        &self,
        facts: Facts<'_>,
        at: NaiveDate,
        calendar: &Calendar,
    ) -> impl Iterator<Item = (&Prepared<'r>, Span)> {
        let unknown_document = self.names_documents && facts.document.is_none();
        self.rules.iter().filter_map(move |prepared| {
            let rule = prepared.rule;
            if rule.clock == Clock::Dua && unknown_document || !prepared.concerns(facts.document) {
                return None;
            }
            if rule.effective_by == EffectiveBy::Evaluation && !rule.in_force(at) {
                return None;
            }
            let span = prepared.span(facts, at, calendar);
            // A chain that has not started may start under any text: the rule governs, undated.
            let of_its_time = rule.effective_by == EffectiveBy::Evaluation
                || span.start.is_none_or(|start| rule.in_force(start));
            of_its_time.then_some((prepared, span))
        })
    }
}

/// `None` for a chain without a first event, which the loader refuses.
fn prepare<'r>(rule: &'r Rule, events: &mut Vec<Arc<Event>>) -> Option<Prepared<'r>> {
    let mut position = |event: &Arc<Event>| match events.iter().position(|e| e.id == event.id) {
        Some(i) => i,
        None => {
            events.push(event.clone());
            events.len() - 1
        }
    };
    let steps: Vec<PreparedStep> = rule
        .steps
        .iter()
        .map(|step| PreparedStep {
            phase: step.phase,
            start: match &step.start {
                Start::Event(event) => Some(position(event)),
                Start::Previous => None,
            },
            duration: step.duration,
            mode: step.mode,
        })
        .collect();
    Some(Prepared {
        rule,
        first: steps.first()?.start?,
        steps,
        cancels: rule.cancelled_by.iter().map(&mut position).collect(),
        cap: rule.cap.as_ref().map(|c| (position(&c.start), c.duration, c.mode)),
    })
}

impl Prepared<'_> {
    /// Whether the rule is about a type of documents.
    pub fn concerns(&self, document: Option<&str>) -> bool {
        let listed = &self.rule.documents;
        listed.is_empty() || document.is_some_and(|d| listed.iter().any(|l| l == d))
    }

    /// Position of the event that starts the chain.
    pub fn first(&self) -> usize {
        self.first
    }

    /// What starts the chain. A cancelling event counts when it is on the day of the start or
    /// after; when nobody knows whether it happened, the chain has no sure start.
    pub fn begin(&self, facts: Facts<'_>) -> Begin {
        let Some(start) = facts.day(self.first) else { return Begin::Missing };
        let cancels = |event: &&usize| match facts.on(**event) {
            EventDate::On(day) => start <= day,
            EventDate::Never => false,
            EventDate::Unknown => true,
        };
        self.cancels.iter().find(cancels).map_or(Begin::On(start), |event| Begin::Cancelled(*event))
    }

    /// Days on which each step starts and ends: `seen(phase, from, to)`. Returns the start of the
    /// chain and its end before the cap.
    ///
    /// A step that starts with the end of the steps before starts on the last of their ends, and
    /// the chain ends with the last of all.
    fn walk(
        &self,
        facts: Facts<'_>,
        calendar: &Calendar,
        mut seen: impl FnMut(Phase, Option<NaiveDate>, Option<NaiveDate>),
    ) -> (Option<NaiveDate>, Option<NaiveDate>) {
        let start = match self.begin(facts) {
            Begin::On(day) => Some(day),
            Begin::Missing | Begin::Cancelled(_) => None,
        };
        let mut reached = start;
        for (i, step) in self.steps.iter().enumerate() {
            let from = match step.start {
                Some(event) if i > 0 => facts.day(event),
                _ => reached,
            };
            let end = from.and_then(|from| step.mode.end(from, step.duration, calendar));
            reached = reached.zip(end).map(|(before, end)| before.max(end));
            seen(step.phase, from, reached);
        }
        (start, reached)
    }

    /// The day of the cap, once its event has one.
    pub fn cap(&self, facts: Facts<'_>, calendar: &Calendar) -> Option<NaiveDate> {
        let (event, duration, mode) = self.cap?;
        mode.end(facts.day(event)?, duration, calendar)
    }

    /// The chain at a day. A cap shortens a dated chain and never dates one that has no date; it
    /// takes records out of the active base before their start, but makes none due before it.
    pub fn span(&self, facts: Facts<'_>, at: NaiveDate, calendar: &Calendar) -> Span {
        let mut running = None;
        let (start, chain) = self.walk(facts, calendar, |phase, _, end| {
            if running.is_none() && end.is_none_or(|end| at <= end) {
                running = Some(phase);
            }
        });
        let due = chain.zip(start).map(|(chain, start)| match (self.cap(facts, calendar), self.rule.clock) {
            (None, _) => chain,
            (Some(cap), Clock::Rgpd) => chain.min(cap),
            (Some(cap), Clock::Dua) => chain.min(cap.max(start)),
        });
        let phase = match start {
            _ if due.is_some_and(|due| due < at) => Phase::Definitif,
            Some(start) if start < at => running.unwrap_or(Phase::Definitif),
            _ => Phase::Courant,
        };
        Span { start, due, phase }
    }

    /// First and last day of each step.
    pub fn steps(
        &self,
        facts: Facts<'_>,
        calendar: &Calendar,
    ) -> Vec<(Phase, Option<NaiveDate>, Option<NaiveDate>)> {
        let mut steps = Vec::with_capacity(self.steps.len());
        self.walk(facts, calendar, |phase, from, to| steps.push((phase, from, to)));
        steps
    }
}
