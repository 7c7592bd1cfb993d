use super::super::testing::{calendar, day, referential, rule, simple};
use super::super::{EventDate, Facts, Outcome, Phase, Verdict};

/// Facts as `event = day` words; `?` is unknown; an event that is not named never happened.
fn decide(rules: &[String], facts: &str, document: Option<&str>, at: &str, held: bool) -> Verdict {
    let all = referential(rules);
    let class = all.class("c");
    let dates = class.dates(|id| {
        let told = facts.split_whitespace().find_map(|w| w.strip_prefix(id)?.strip_prefix('='));
        told.map_or(EventDate::Never, |t| if t == "?" { EventDate::Unknown } else { EventDate::On(day(t)) })
    });
    class.decide(Facts { dates: &dates, document }, day(at), &calendar(), held)
}

const LEFT: &str = "sortie=2025-08-31";

#[test]
fn every_outcome_in_its_order() {
    use Outcome::*;
    let sort = |s: &str| {
        simple(
            "S",
            "P1M",
            &format!("sort_final = \"{s}\"\n{}", if s == "tri" { "tri = \"p\"\n" } else { "" }),
        )
    };
    let unverified = || simple("U", "P1M", "verification = \"unverified\"\n");
    let silent = || rule("N", "start = \"sortie\"\nduration = \"P1M\"\n");
    let r = |d: &str| simple("R", d, "");
    type Case<'a> = (&'a str, Vec<String>, &'a str, &'a str, bool, Outcome);
    let table: &[Case<'_>] = &[
        ("no rule", vec![], LEFT, "2100-01-01", false, KeepNoRule),
        ("no rule, held", vec![], LEFT, "2100-01-01", true, KeepNoRule),
        ("never left", vec![r("P3M")], "", "2100-01-01", false, KeepUndated),
        ("nobody knows", vec![r("P3M")], "sortie=?", "2100-01-01", false, KeepUndated),
        ("the due day itself is not due", vec![r("P3M")], LEFT, "2025-11-30", false, KeepNotDue),
        ("not due, held", vec![r("P3M")], LEFT, "2025-11-30", true, KeepNotDue),
        ("the day after is", vec![r("P3M")], LEFT, "2025-12-01", false, Eliminate),
        ("due and held", vec![r("P3M")], LEFT, "2025-12-01", true, KeepHeld),
        ("conservation", vec![sort("conservation")], LEFT, "2025-12-01", false, Conserve),
        ("conservation held", vec![sort("conservation")], LEFT, "2025-12-01", true, KeepHeld),
        ("tri", vec![sort("tri")], LEFT, "2025-12-01", false, Sort),
        ("tri held", vec![sort("tri")], LEFT, "2025-12-01", true, KeepHeld),
        ("unverified", vec![unverified()], LEFT, "2025-12-01", false, KeepUnverified),
        ("unverified, held", vec![unverified()], LEFT, "2025-12-01", true, KeepUnverified),
        ("one of two unverified", vec![r("P3M"), unverified()], LEFT, "2025-12-01", false, KeepUnverified),
        (
            "the last of two due days counts",
            vec![r("P3M"), simple("T", "P1Y", "")],
            LEFT,
            "2025-12-01",
            false,
            KeepNotDue,
        ),
        ("both due", vec![r("P3M"), simple("T", "P1Y", "")], LEFT, "2026-09-01", false, Eliminate),
        (
            "one undated",
            vec![
                r("P3M"),
                rule("T", "start = \"naissance\"\nduration = \"P1Y\"\nsort_final = \"elimination\"\n"),
            ],
            LEFT,
            "2026-09-01",
            false,
            KeepUndated,
        ),
        ("two sorts", vec![r("P3M"), sort("conservation")], LEFT, "2025-12-01", false, Conflict),
        ("two sorts, held", vec![r("P3M"), sort("conservation")], LEFT, "2025-12-01", true, Conflict),
        ("two sorts, not due", vec![r("P3M"), sort("conservation")], LEFT, "2025-11-30", false, KeepNotDue),
        (
            "two sorts, unverified",
            vec![unverified(), sort("conservation")],
            LEFT,
            "2025-12-01",
            false,
            KeepUnverified,
        ),
        ("no sort final", vec![silent()], LEFT, "2025-12-01", false, Conflict),
        ("one without sort final", vec![r("P3M"), silent()], LEFT, "2025-12-01", false, Conflict),
        (
            "two plans",
            vec![sort("tri"), simple("T", "P1M", "sort_final = \"tri\"\ntri = \"q\"\n")],
            LEFT,
            "2025-12-01",
            false,
            Conflict,
        ),
        (
            "the RGPD clock alone",
            vec![simple("G", "P1M", "clock = \"rgpd\"\n")],
            LEFT,
            "2025-12-01",
            false,
            KeepNoRule,
        ),
    ];
    for (case, rules, facts, at, held, want) in table {
        assert_eq!(decide(rules, facts, None, at, *held).outcome, *want, "{case}");
    }
}

#[test]
fn a_verification_of_later_counts_only_later() {
    let rules = referential(&[simple("R", "P1M", "verification = \"unverified\"\n")]);
    let overlay = "[[verification]]\nrule = \"R\"\nverified_by = \"A\"\nverified_on = \"2025-12-01\"\ntext_read = \"B\"\n";
    let rules = rules.overlay("o.toml", overlay).unwrap();
    let class = rules.class("c");
    let facts = Facts { dates: &[EventDate::On(day("2025-08-31"))], document: None };
    let at = |d| class.decide(facts, day(d), &calendar(), false).outcome;
    assert_eq!((at("2025-11-30"), at("2025-12-01")), (Outcome::KeepUnverified, Outcome::Eliminate));
}

#[test]
fn both_clocks_are_told() {
    let rules = [
        simple("R", "P10Y", ""),
        simple("G", "P1Y", "clock = \"rgpd\"\n"),
        simple("H", "P2Y", "clock = \"rgpd\"\n"),
    ];
    let verdict = decide(&rules, "sortie=2020-02-29", None, "2024-01-01", false);
    let due = Some(day("2030-02-28"));
    assert_eq!((verdict.due, verdict.active_until), (due, Some(day("2021-02-28"))));
    assert_eq!((verdict.outcome, verdict.phase), (Outcome::KeepNotDue, Some(Phase::Intermediaire)));
}

#[test]
fn a_chain_has_ages_and_each_phase_its_event() {
    let chain = rule(
        "R",
        "sort_final = \"elimination\"\n[[rule.phase]]\nname = \"courant\"\nstart = \"sortie\"\nduration = \"P1Y\"\n[[rule.phase]]\nname = \"intermediaire\"\nstart = \"naissance\"\nduration = \"P30Y\"\n",
    );
    let rules = [chain];
    let both = "sortie=2020-06-30 naissance=1995-01-01";
    let table: &[(&str, &str, &str, Phase, Option<&str>)] = &[
        ("the start day is still open", both, "2020-06-30", Phase::Courant, Some("2025-01-01")),
        ("first phase", both, "2021-06-30", Phase::Courant, Some("2025-01-01")),
        ("second phase", both, "2021-07-01", Phase::Intermediaire, Some("2025-01-01")),
        ("due", both, "2025-01-02", Phase::Definitif, Some("2025-01-01")),
        (
            "the second phase may end first",
            "sortie=2026-06-30 naissance=1995-01-01",
            "2027-06-30",
            Phase::Courant,
            Some("2027-06-30"),
        ),
        ("no birth", "sortie=2020-06-30 naissance=?", "2060-01-01", Phase::Intermediaire, None),
        ("still there", "naissance=1995-01-01", "2060-01-01", Phase::Courant, None),
    ];
    for (case, facts, at, phase, due) in table {
        let verdict = decide(&rules, facts, None, at, false);
        assert_eq!((verdict.phase, verdict.due), (Some(*phase), due.map(day)), "{case}");
    }
}

#[test]
fn a_later_event_cancels_the_start() {
    let rules = [simple("R", "P1Y", "cancelled_by = [\"retour\"]\n")];
    for (case, facts, want) in [
        ("never back", "sortie=2020-07-04", Some("2021-07-04")),
        ("back later", "sortie=2020-07-04 retour=2020-09-01", None),
        ("back the same day", "sortie=2020-07-04 retour=2020-07-04", None),
        ("left again since", "sortie=2022-07-04 retour=2020-09-01", Some("2023-07-04")),
        ("nobody knows whether back", "sortie=2020-07-04 retour=?", None),
    ] {
        let verdict = decide(&rules, facts, None, "2024-01-01", false);
        assert_eq!(verdict.due, want.map(day), "{case}");
        let outcome = if want.is_some() { Outcome::Eliminate } else { Outcome::KeepUndated };
        assert_eq!(verdict.outcome, outcome, "{case}");
    }
}

#[test]
fn a_cap_shortens_a_dated_chain_only() {
    let capped = |more: &str| {
        simple("R", "P10Y", &format!("{more}[rule.at_latest]\nstart = \"naissance\"\nduration = \"P20Y\"\n"))
    };
    let rgpd = [capped("clock = \"rgpd\"\n")];
    let dua = [capped("")];
    for (case, facts, due, active) in [
        ("the chain first", "sortie=2010-07-04 naissance=2005-01-01", Some("2020-07-04"), Some("2020-07-04")),
        ("the cap first", "sortie=2015-07-04 naissance=2000-01-01", Some("2020-01-01"), Some("2020-01-01")),
        ("the cap's event unknown", "sortie=2010-07-04 naissance=?", Some("2020-07-04"), Some("2020-07-04")),
        ("an undated chain", "naissance=2000-01-01", None, None),
        (
            "a cap before the start",
            "sortie=2022-07-04 naissance=2000-01-01",
            Some("2022-07-04"),
            Some("2020-01-01"),
        ),
    ] {
        assert_eq!(decide(&dua, facts, None, "2024-01-01", false).due, due.map(day), "{case}");
        assert_eq!(decide(&rgpd, facts, None, "2024-01-01", false).active_until, active.map(day), "{case}");
    }
}

#[test]
fn a_rule_of_named_documents_needs_their_type() {
    let rules = [
        simple("A", "P1M", "documents = [\"demande\"]\n"),
        simple("B", "P1Y", "documents = [\"decision\"]\n"),
    ];
    let general = [rules[0].clone(), simple("C", "P2M", "")];
    for (case, rules, document, want) in [
        ("its own rule", &rules, Some("demande"), Outcome::Eliminate),
        ("the other rule", &rules, Some("decision"), Outcome::KeepNotDue),
        ("a type without rule", &rules, Some("photo"), Outcome::KeepNoRule),
        ("an unknown type", &rules, None, Outcome::KeepNoRule),
        ("an unknown type beside a general rule", &general, None, Outcome::KeepNoRule),
        ("any type under the general rule", &general, Some("photo"), Outcome::Eliminate),
    ] {
        let verdict = decide(rules, "sortie=2025-08-31", document, "2025-12-01", false);
        assert_eq!(verdict.outcome, want, "{case}");
    }
}

/// The same event, another result by the version in force: RNIE (évaluation), sanctions (départ).
#[test]
fn versions_succeed_each_other_by_evaluation_or_by_start() {
    let two = |by: &str| {
        [
            simple("V1", "P1Y", &format!("effective_to = \"2023-01-04\"\n{by}")),
            simple("V2", "P2Y", &format!("effective_from = \"2023-01-05\"\n{by}")),
        ]
    };
    let by_start = two("effective_by = \"start\"\n");
    let by_evaluation = two("");
    let left = "sortie=2022-06-30";
    for (case, rules, facts, at, due) in [
        ("the first, on its last day", &by_evaluation, left, "2023-01-04", Some("2023-06-30")),
        ("the second, from its first", &by_evaluation, left, "2023-01-05", Some("2024-06-30")),
        ("the text of its time", &by_start, left, "2025-01-01", Some("2023-06-30")),
        ("the new text for the new start", &by_start, "sortie=2023-06-30", "2025-01-01", Some("2025-06-30")),
        ("no start, any text", &by_start, "", "2025-01-01", None),
    ] {
        assert_eq!(decide(rules, facts, None, at, false).due, due.map(day), "{case}");
    }
    assert_eq!(decide(&by_start, "", None, "2025-01-01", false).outcome, Outcome::KeepUndated);
    let old = "sortie=1999-01-01";
    assert_eq!(decide(&by_start, old, None, "2025-01-01", false).outcome, Outcome::KeepNoRule);
}

#[test]
fn the_first_due_day_follows_the_rules_in_force() {
    let v1 = simple("V1", "P1Y", "effective_to = \"2023-01-04\"\n");
    let v2 = simple("V2", "P10Y", "effective_from = \"2023-01-05\"\n");
    let all = referential(&[v1, v2]);
    let class = all.class("c");
    let first = |start: &str| {
        let dates = [EventDate::On(day(start))];
        class.first_due(Facts { dates: &dates, document: None }, &calendar())
    };
    assert_eq!(first("2020-06-30"), Some(day("2021-07-01")), "before the change");
    assert_eq!(first("2022-01-03"), Some(day("2023-01-04")), "on its last day");
    assert_eq!(first("2022-01-04"), Some(day("2032-01-05")), "one day too late for the first");
    assert_eq!(first("1990-01-01"), Some(day("2000-01-01")), "already due when the rule comes into force");
    let dates = [EventDate::Unknown];
    assert_eq!(class.first_due(Facts { dates: &dates, document: None }, &calendar()), None);
    let none = all.class("autre");
    assert_eq!(none.first_due(Facts { dates: &dates, document: None }, &calendar()), None);
}

#[test]
fn facts_that_are_missing_are_unknown() {
    let all = referential(&[simple("R", "P1Y", "cancelled_by = [\"retour\"]\n")]);
    let class = all.class("c");
    assert_eq!(class.events().collect::<Vec<_>>(), ["sortie", "retour"]);
    let dates = [EventDate::On(day("2020-01-01"))];
    let verdict =
        class.decide(Facts { dates: &dates, document: None }, day("2025-01-01"), &calendar(), false);
    assert_eq!(verdict.outcome, Outcome::KeepUndated, "whether the pupil came back is not known");
}
