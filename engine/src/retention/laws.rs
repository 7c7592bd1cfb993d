//! Laws of decisions, on random rules against a slow oracle of another style: it walks the days
//! one by one and asks "is it over?" instead of computing due days.

use super::{ClassRules, EventDate, Facts, Outcome, Phase, Referential};
use crate::domain::Calendar;
use chrono::{Datelike, NaiveDate};
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

const EVENTS: usize = 4;
const DOCUMENTS: [&str; 3] = ["acte", "demande", "decision"];

/// The school years of these tests: one ends early, and none is known past 2031.
fn school_years() -> Vec<(NaiveDate, NaiveDate)> {
    let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap();
    let end = |y: i32| if y == 2020 { day(y, 7, 10) } else { day(y, 8, 31) };
    (2012..2031).map(|y| (day(y, 9, 1), end(y + 1))).collect()
}

fn calendar() -> Calendar {
    let rows = school_years().into_iter().map(|(from, to)| {
        format!(
            "[[annee]]\nannee_scolaire = \"{}-{}\"\nstart = \"{from}\"\nend = \"{to}\"\n",
            from.year(),
            from.year() + 1
        )
    });
    Calendar::load("c.toml", &format!("citation = \"essai\"\n{}", rows.collect::<String>())).unwrap()
}

#[derive(Debug, Clone)]
struct Length {
    months: u32,
    days: u32,
    mode: &'static str,
}

#[derive(Debug, Clone)]
enum Checked {
    No,
    Shipped,
    On(NaiveDate),
}

#[derive(Debug, Clone)]
struct Spec {
    first: usize,
    /// Each step with its own event, if any; that of the first step is `first`.
    steps: Vec<(Option<usize>, Length)>,
    intermediate_from: usize,
    cancels: Vec<usize>,
    cap: Option<(usize, Length)>,
    sort: Option<&'static str>,
    plan: &'static str,
    documents: Vec<usize>,
    checked: Checked,
    rgpd: bool,
    from: NaiveDate,
    to: Option<NaiveDate>,
    by_start: bool,
}

#[derive(Debug, Clone)]
struct Case {
    rules: Vec<Spec>,
    dates: Vec<EventDate>,
    document: Option<usize>,
    at: NaiveDate,
    /// Moves `at` to this many days after the due day.
    near: Option<i64>,
    held: bool,
}

impl Spec {
    fn steps(&self) -> impl Iterator<Item = (&Length, Option<usize>, Phase)> {
        self.steps.iter().enumerate().map(|(i, (own, length))| {
            let phase = if i < self.intermediate_from { Phase::Courant } else { Phase::Intermediaire };
            (length, if i == 0 { Some(self.first) } else { *own }, phase)
        })
    }

    fn toml(&self, i: usize) -> String {
        use std::fmt::Write as _;
        let iso = |l: &Length| format!("P{}Y{}M{}D", l.months / 12, l.months % 12, l.days);
        let quoted =
            |items: Vec<String>| items.iter().map(|t| format!("\"{t}\"")).collect::<Vec<_>>().join(", ");
        let mut t = format!(
            "[[rule]]\nid = \"R{i}\"\nrecord_class = \"c\"\ntitle = \"t\"\nbasis = \"DUA\"\ncitation = \"x\"\neffective_from = \"{}\"\n",
            self.from
        );
        let verification = if matches!(self.checked, Checked::Shipped) { "verified" } else { "unverified" };
        writeln!(t, "verification = \"{verification}\"").unwrap();
        if let Some(to) = self.to {
            writeln!(t, "effective_to = \"{to}\"").unwrap();
        }
        if self.by_start {
            t.push_str("effective_by = \"start\"\n");
        }
        if self.rgpd {
            t.push_str("clock = \"rgpd\"\n");
        } else if let Some(sort) = self.sort {
            writeln!(t, "sort_final = \"{sort}\"").unwrap();
            if sort == "tri" {
                writeln!(t, "tri = \"{}\"", self.plan).unwrap();
            }
        }
        if !self.documents.is_empty() {
            let names = self.documents.iter().map(|d| DOCUMENTS[*d].to_owned()).collect();
            writeln!(t, "documents = [{}]", quoted(names)).unwrap();
        }
        let cancels = self.cancels.iter().map(|e| format!("e{e}")).collect();
        writeln!(t, "cancelled_by = [{}]", quoted(cancels)).unwrap();
        for (length, start, phase) in self.steps() {
            writeln!(t, "[[rule.phase]]\nname = \"{}\"\nduration = \"{}\"", phase.as_str(), iso(length))
                .unwrap();
            writeln!(t, "mode = \"{}\"", length.mode).unwrap();
            if let Some(event) = start {
                writeln!(t, "start = \"e{event}\"").unwrap();
            }
        }
        if let Some((event, length)) = &self.cap {
            let (duration, mode) = (iso(length), length.mode);
            writeln!(
                t,
                "[rule.at_latest]\nstart = \"e{event}\"\nduration = \"{duration}\"\nmode = \"{mode}\""
            )
            .unwrap();
        }
        t
    }
}

fn load(rules: &[Spec]) -> Referential {
    let mut text = "family = \"essai\"\nversion = \"1\"\n".to_owned();
    for event in 0..EVENTS {
        text.push_str(&format!("[[event]]\nid = \"e{event}\"\ntitle = \"l'événement {event}\"\n"));
    }
    let mut overlay = "verification = []\n".to_owned();
    for (i, rule) in rules.iter().enumerate() {
        text.push_str(&rule.toml(i));
        if let Checked::On(day) = rule.checked {
            overlay = overlay.replace("verification = []\n", "");
            overlay.push_str(&format!(
                "[[verification]]\nrule = \"R{i}\"\nverified_by = \"a\"\nverified_on = \"{day}\"\ntext_read = \"b\"\n"
            ));
        }
    }
    let loaded = Referential::load(&[("essai.toml".into(), text)]).unwrap_or_else(|e| panic!("{e}"));
    loaded.overlay("o.toml", &overlay).unwrap_or_else(|e| panic!("{e}"))
}

/// The oracle.
struct Oracle<'a> {
    case: &'a Case,
    years: Vec<(NaiveDate, NaiveDate)>,
}

fn next(day: NaiveDate) -> NaiveDate {
    day.succ_opt().unwrap()
}

impl Oracle<'_> {
    fn day(&self, event: usize) -> Option<NaiveDate> {
        match self.case.dates[event] {
            EventDate::On(day) => Some(day),
            _ => None,
        }
    }

    fn add(start: NaiveDate, length: &Length) -> NaiveDate {
        let mut day = start;
        while day.day() > 1 {
            day = day.pred_opt().unwrap();
        }
        for _ in 0..length.months {
            day = next(day);
            while day.day() > 1 {
                day = next(day);
            }
        }
        while day.day() < start.day() && next(day).day() > 1 {
            day = next(day);
        }
        (0..length.days).fold(day, |day, _| next(day))
    }

    fn end(&self, start: NaiveDate, length: &Length) -> Option<NaiveDate> {
        let walk = |mut day: NaiveDate, stop: &dyn Fn(NaiveDate) -> bool| {
            while !stop(day) {
                day = next(day);
            }
            day
        };
        match length.mode {
            "date_a_date" => Some(Self::add(start, length)),
            "fin_annee_civile" => Some(walk(Self::add(start, length), &|d| (d.month(), d.day()) == (12, 31))),
            "fin_annee_scolaire" => {
                let day = Self::add(start, length);
                let inside = self.years.iter().any(|(from, to)| (*from..=*to).contains(&day));
                inside.then(|| walk(day, &|d| self.years.iter().any(|(_, to)| *to == d)))
            }
            "premier_janvier_suivant" => {
                Some(Self::add(walk(next(start), &|d| (d.month(), d.day()) == (1, 1)), length))
            }
            other => panic!("{other}"),
        }
    }

    /// Day that opens the chain, unless something cancels it or may have.
    fn start(&self, rule: &Spec) -> Option<NaiveDate> {
        let start = self.day(rule.first)?;
        for event in &rule.cancels {
            match self.case.dates[*event] {
                EventDate::Unknown => return None,
                EventDate::On(day) if day >= start => return None,
                _ => {}
            }
        }
        Some(start)
    }

    /// Last days of the steps; `None` when one is not known.
    fn ends(&self, rule: &Spec) -> Option<Vec<NaiveDate>> {
        let start = self.start(rule)?;
        let mut ends: Vec<NaiveDate> = Vec::new();
        for (i, (length, own, _)) in rule.steps().enumerate() {
            let from = match own {
                _ if i == 0 => start,
                Some(event) => self.day(event)?,
                None => *ends.iter().max().unwrap(),
            };
            ends.push(self.end(from, length)?);
        }
        Some(ends)
    }

    fn cap(&self, rule: &Spec) -> Option<NaiveDate> {
        let (event, length) = rule.cap.as_ref()?;
        self.end(self.day(*event)?, length)
    }

    /// Whether a rule no longer holds a record on a day.
    fn over(&self, rule: &Spec, day: NaiveDate) -> bool {
        let Some(ends) = self.ends(rule) else { return false };
        let steps_over = ends.iter().all(|end| *end < day);
        let cap_over = self.cap(rule).is_some_and(|cap| cap < day);
        let started = rule.rgpd || self.start(rule).is_some_and(|start| start < day);
        steps_over || (cap_over && started)
    }

    /// Last day on which a rule holds a record: of the days that count, the last that is not over.
    fn last(&self, rule: &Spec) -> Option<NaiveDate> {
        let mut days = self.ends(rule)?;
        days.extend(self.cap(rule));
        days.extend(self.start(rule));
        days.into_iter().filter(|day| !self.over(rule, *day)).max()
    }

    fn applies(&self, rule: &Spec, at: NaiveDate) -> bool {
        let known = match self.case.document {
            Some(document) => rule.documents.is_empty() || rule.documents.contains(&document),
            None if rule.rgpd => rule.documents.is_empty(),
            None => self.case.rules.iter().all(|r| r.rgpd || r.documents.is_empty()),
        };
        let on = if rule.by_start { self.start(rule) } else { Some(at) };
        known && on.is_none_or(|on| on >= rule.from && rule.to.is_none_or(|to| on <= to))
    }

    fn phase(&self, rule: &Spec, at: NaiveDate) -> Phase {
        if self.over(rule, at) {
            return Phase::Definitif;
        }
        let Some(start) = self.start(rule).filter(|start| *start < at) else { return Phase::Courant };
        let mut reached = start;
        for (i, (length, own, phase)) in rule.steps().enumerate() {
            let from = match own {
                Some(event) if i > 0 => self.day(event),
                _ => Some(reached),
            };
            match from.and_then(|from| self.end(from, length)) {
                Some(end) => reached = reached.max(end),
                None => return phase,
            }
            if at <= reached {
                return phase;
            }
        }
        panic!("a chain that is not over has a step that runs")
    }

    fn verdict(&self, at: NaiveDate) -> (Outcome, Option<Phase>, Option<NaiveDate>, Option<NaiveDate>) {
        let applies: Vec<&Spec> = self.case.rules.iter().filter(|r| self.applies(r, at)).collect();
        let (rgpd, dua): (Vec<&Spec>, Vec<&Spec>) = applies.into_iter().partition(|r| r.rgpd);
        let active_until = rgpd.into_iter().filter_map(|r| self.last(r)).min();
        let phase = dua.iter().map(|r| self.phase(r, at)).min();
        let lasts: Vec<Option<NaiveDate>> = dua.iter().map(|r| self.last(r)).collect();
        let dated = lasts.iter().all(Option::is_some);
        let due = if dated { lasts.into_iter().flatten().max() } else { None };
        let checked = |r: &&Spec| match r.checked {
            Checked::No => false,
            Checked::Shipped => true,
            Checked::On(day) => day <= at,
        };
        let sort = |r: &&Spec| (r.sort, if r.sort == Some("tri") { r.plan } else { "" });
        let outcome = if dua.is_empty() {
            Outcome::KeepNoRule
        } else if !dated {
            Outcome::KeepUndated
        } else if !dua.iter().all(|r| self.over(r, at)) {
            Outcome::KeepNotDue
        } else if !dua.iter().all(checked) {
            Outcome::KeepUnverified
        } else if dua.iter().any(|r| r.sort.is_none() || sort(r) != sort(&dua[0])) {
            Outcome::Conflict
        } else if self.case.held {
            Outcome::KeepHeld
        } else {
            match dua[0].sort {
                Some("elimination") => Outcome::Eliminate,
                Some("tri") => Outcome::Sort,
                _ => Outcome::Conserve,
            }
        };
        (outcome, phase, due, active_until)
    }
}

fn a_day() -> impl Strategy<Value = NaiveDate> {
    let edges = [
        (2016, 2, 29),
        (2020, 2, 29),
        (2021, 1, 31),
        (2020, 7, 11),
        (2022, 8, 31),
        (2022, 9, 1),
        (2023, 12, 31),
        (2024, 1, 1),
    ];
    let edges = edges.map(|(y, m, d)| NaiveDate::from_ymd_opt(y, m, d).unwrap()).to_vec();
    let from = NaiveDate::from_ymd_opt(2014, 1, 1).unwrap();
    prop_oneof![
        1 => proptest::sample::select(edges),
        3 => (0_u64..4_000).prop_map(move |n| from + chrono::Days::new(n)),
    ]
}

fn a_length() -> impl Strategy<Value = Length> {
    let modes =
        ["date_a_date", "date_a_date", "fin_annee_civile", "fin_annee_scolaire", "premier_janvier_suivant"];
    (
        prop_oneof![0_u32..4, 0_u32..40],
        prop_oneof![3 => Just(0_u32), 1 => 0_u32..70],
        proptest::sample::select(modes.to_vec()),
    )
        .prop_map(|(months, days, mode)| Length { months, days, mode })
}

/// Kinder than a uniform draw: most rules are in force, verified and agree, so that many cases end
/// in an elimination that one fault would take away.
fn a_rule() -> impl Strategy<Value = Spec> {
    let sorts = || {
        prop_oneof![
            8 => Just(Some("elimination")),
            1 => Just(Some("tri")),
            1 => Just(Some("conservation")),
            1 => Just(None),
        ]
    };
    let checked = prop_oneof![
        4 => Just(Checked::Shipped),
        2 => a_day().prop_map(Checked::On),
        1 => Just(Checked::No),
    ];
    let documents = prop_oneof![24 => Just(Vec::new()), 1 => vec(0_usize..DOCUMENTS.len(), 1..3)];
    let chain = (0..EVENTS, vec((weighted(0.2, 0..EVENTS), a_length()), 1..4), 0_usize..4);
    let more = (
        prop_oneof![2 => Just(Vec::new()), 1 => vec(0..EVENTS, 1..3)],
        weighted(0.3, (0..EVENTS, a_length())),
        sorts(),
        prop_oneof![Just("p"), Just("q")],
    );
    let force = (
        prop_oneof![4 => Just(NaiveDate::from_ymd_opt(2010, 1, 1).unwrap()), 1 => a_day()],
        weighted(0.1, a_day()),
        weighted(0.3, Just(())),
    );
    (chain, more, documents, checked, weighted(0.2, Just(())), force).prop_map(
        |(
            (first, steps, intermediate_from),
            (mut cancels, cap, sort, plan),
            documents,
            checked,
            rgpd,
            (from, to, by_start),
        )| {
            cancels.retain(|e| *e != first);
            let to = to.filter(|to| *to >= from);
            let (rgpd, by_start) = (rgpd.is_some(), by_start.is_some());
            Spec {
                first,
                steps,
                intermediate_from,
                cancels,
                cap,
                sort,
                plan,
                documents,
                checked,
                rgpd,
                from,
                to,
                by_start,
            }
        },
    )
}

fn a_case() -> impl Strategy<Value = Case> {
    let fact = prop_oneof![30 => a_day().prop_map(EventDate::On), 3 => Just(EventDate::Never), 1 => Just(EventDate::Unknown)];
    let document = prop_oneof![3 => (0..DOCUMENTS.len()).prop_map(Some), 1 => Just(None)];
    (
        prop_oneof![1 => Just(Vec::new()), 9 => vec(a_rule(), 1..4)],
        vec(fact, EVENTS),
        document,
        a_day(),
        weighted(0.8, -1_i64..5),
        weighted(0.2, Just(())),
    )
        .prop_map(|(rules, dates, document, at, near, held)| {
            let mut case = Case { rules, dates, document, at, near, held: held.is_some() };
            let due = Oracle { case: &case, years: school_years() }.verdict(case.at).2;
            if let (Some(near), Some(due)) = (case.near, due) {
                case.at = due + chrono::TimeDelta::days(near);
            }
            case
        })
}

fn decide(rules: &ClassRules<'_>, case: &Case, at: NaiveDate) -> super::Verdict {
    let dates = rules.dates(|id| case.dates[id.trim_start_matches('e').parse::<usize>().unwrap()]);
    let facts = Facts { dates: &dates, document: case.document.map(|d| DOCUMENTS[d]) };
    rules.decide(facts, at, &calendar(), case.held)
}

fn outcome(case: &Case) -> Outcome {
    decide(&load(&case.rules).class("c"), case, case.at).outcome
}

fn destroys(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Eliminate | Outcome::Sort)
}

fn is_due(outcome: Outcome) -> bool {
    destroys(outcome) || outcome == Outcome::Conserve
}

proptest! {
    #[test]
    fn decisions_are_those_of_the_oracle(case in a_case()) {
        let referential = load(&case.rules);
        let rules = referential.class("c");
        let got = decide(&rules, &case, case.at);
        let want = Oracle { case: &case, years: school_years() }.verdict(case.at);
        prop_assert_eq!((got.outcome, got.phase, got.due, got.active_until), want);
    }

    #[test]
    fn a_hold_never_lets_anything_go(case in a_case()) {
        let free = outcome(&Case { held: false, ..case.clone() });
        let held = outcome(&Case { held: true, ..case });
        let want = if is_due(free) { Outcome::KeepHeld } else { free };
        prop_assert_eq!(held, want);
    }

    #[test]
    fn a_rule_more_never_turns_keep_into_eliminate(case in a_case(), rule in a_rule()) {
        let before = outcome(&case);
        let mut more = case.clone();
        more.rules.push(rule);
        // The first rule of a record opens its duration: before it, nothing is known.
        if !is_due(before) && before != Outcome::KeepNoRule {
            prop_assert!(!is_due(outcome(&more)), "{:?} then {:?}", before, outcome(&more));
        }
    }

    #[test]
    fn an_unknown_fact_never_turns_keep_into_eliminate(case in a_case(), event in 0..EVENTS, document in any::<bool>()) {
        let mut less = case.clone();
        less.dates[event] = EventDate::Unknown;
        if document {
            less.document = None;
        }
        let (before, after) = (outcome(&case), outcome(&less));
        // A type of document that no rule lists is a fact too: unlisted, the record has fewer rules.
        prop_assert!(is_due(before) || !is_due(after), "{:?} then {:?}", before, after);
    }

    #[test]
    fn a_later_day_never_unexpires_under_the_same_rules(case in a_case(), days in 0_u64..4_000) {
        let mut case = case;
        for rule in &mut case.rules {
            (rule.from, rule.to) = (NaiveDate::from_ymd_opt(2000, 1, 1).unwrap(), None);
        }
        let later = Case { at: case.at + chrono::Days::new(days), ..case.clone() };
        let (before, after) = (outcome(&case), outcome(&later));
        prop_assert!(!is_due(before) || before == after, "{:?} then {:?}", before, after);
    }

    #[test]
    fn the_first_due_day_is_the_first(case in a_case()) {
        let referential = load(&case.rules);
        let rules = referential.class("c");
        let dates = rules.dates(|id| case.dates[id.trim_start_matches('e').parse::<usize>().unwrap()]);
        let facts = Facts { dates: &dates, document: case.document.map(|d| DOCUMENTS[d]) };
        let calendar = calendar();
        let due_on = |day| rules.decide(facts, day, &calendar, false).due.is_some_and(|due| due < day);
        let first = rules.first_due(facts, &calendar);
        let from = NaiveDate::from_ymd_opt(2009, 12, 31).unwrap();
        let mut days: Vec<NaiveDate> = from.iter_days().step_by(97).take(300).collect();
        days.extend(first.into_iter().flat_map(|d| [d, d.pred_opt().unwrap()]));
        for rule in &case.rules {
            days.extend([rule.from, next(rule.from)]);
            days.extend(rule.to.into_iter().flat_map(|to| [to, next(to)]));
        }
        for day in days {
            match first {
                Some(first) if day == first => prop_assert!(due_on(day), "{}", day),
                Some(first) if day > first => {}
                _ => prop_assert!(!due_on(day), "{} before {:?}", day, first),
            }
        }
    }
}

#[test]
fn the_draw_reaches_every_outcome() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<Outcome, u32>::new();
    for _ in 0..600 {
        *seen.entry(outcome(&a_case().new_tree(&mut runner).unwrap().current())).or_default() += 1;
    }
    assert_eq!(seen.len(), 9, "{seen:?}");
    assert!(seen[&Outcome::Eliminate] > 40, "{seen:?}");
}

#[test]
fn the_edges_of_the_calendar_are_kept() {
    let far = |mode| Length { months: 12_000, days: 12_000, mode };
    for mode in ["date_a_date", "fin_annee_civile", "fin_annee_scolaire", "premier_janvier_suivant"] {
        for day in [NaiveDate::MIN, NaiveDate::MAX] {
            let rule = Spec {
                first: 0,
                steps: vec![(None, far(mode)), (None, far(mode))],
                intermediate_from: 1,
                cancels: vec![],
                cap: Some((1, far(mode))),
                sort: Some("elimination"),
                plan: "p",
                documents: vec![],
                checked: Checked::Shipped,
                rgpd: false,
                from: NaiveDate::from_ymd_opt(2010, 1, 1).unwrap(),
                to: None,
                by_start: false,
            };
            let referential = load(&[rule]);
            let rules = referential.class("c");
            let dates = vec![EventDate::On(day); EVENTS];
            let facts = Facts { dates: &dates, document: None };
            let verdict = rules.decide(facts, NaiveDate::MAX, &calendar(), false);
            let dated = day == NaiveDate::MIN && mode != "fin_annee_scolaire";
            assert_eq!(verdict.due.is_some(), dated, "{mode} from {day}");
            assert_eq!(rules.first_due(facts, &calendar()).is_some(), dated, "{mode} from {day}");
        }
    }
}
