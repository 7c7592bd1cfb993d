use super::super::fixture::{day, list_ref};
use super::*;
use proptest::prelude::*;

/// An execution that nothing speaks against.
fn good() -> Check {
    Check {
        today: day("2026-04-01"),
        reference: day("2026-04-01"),
        list: list_ref(),
        visa: Some(VisaFacts { list: list_ref(), signed_on: day("2026-03-10") }),
        changes: Changes { rules: Some(day("2026-03-10")), holds: None, list: Some(day("2026-03-01")) },
        records: RecordFacts {
            total: 30,
            latest_due: Some(day("2026-03-31")),
            undated: 0,
            held: 0,
            open: 0,
            conflict: 0,
            children_kept: 0,
        },
        rows: vec![
            RowFacts { order: 1, fate: RowFate::Eliminate, granted: true },
            RowFacts { order: 2, fate: RowFate::TriSampleTransferred, granted: true },
            RowFacts { order: 3, fate: RowFate::Archived, granted: true },
        ],
        rules: vec![RuleFacts {
            id: "R".into(),
            verified_on: Some(day("2026-01-01")),
            effective_from: day("2020-01-01"),
            effective_to: Some(day("2026-04-01")),
            below_minimum: false,
        }],
        persons: Persons {
            requester: "alice".into(),
            approver: Some("bernard".into()),
            archives: "chloe".into(),
            executor: "alice".into(),
        },
        threshold: 30,
        in_progress: None,
        targets: vec![
            "tables/t/part-0.parquet".into(),
            "received/ab/abcd".into(),
            "quarantine/t/d=1/p".into(),
        ],
    }
}

type Change = fn(&mut Check);

/// (number in the list of what must be refused, case, one change, code).
const CASES: &[(u8, &str, Change, &str)] = &[
    (1, "no visa", |c| c.visa = None, "ELIM_NO_VISA"),
    (1, "visa of another digest", |c| visa(c).list.digest = "f".repeat(64), "ELIM_VISA_OTHER_LIST"),
    (1, "visa of another name", |c| visa(c).list.id = "EL-2".into(), "ELIM_VISA_OTHER_LIST"),
    (1, "list.json changed", |c| c.list.file_sha256 = "f".repeat(64), "ELIM_VISA_OTHER_LIST"),
    (1, "records changed", |c| c.list.digest = "f".repeat(64), "ELIM_VISA_OTHER_LIST"),
    (1, "visa of tomorrow", |c| visa(c).signed_on = day("2026-04-02"), "ELIM_VISA_FUTURE"),
    (2, "a rule changed after", |c| c.changes.rules = Some(day("2026-03-11")), "ELIM_VISA_STALE"),
    (2, "a hold changed after", |c| c.changes.holds = Some(day("2026-03-11")), "ELIM_VISA_STALE"),
    (2, "the list changed after", |c| c.changes.list = Some(day("2026-03-11")), "ELIM_VISA_STALE"),
    (2, "other rules, same day", |c| c.list.rules_version = "2026.2".into(), "ELIM_VISA_STALE"),
    (2, "other holds, same day", |c| c.list.holds_digest = "f".repeat(64), "ELIM_VISA_STALE"),
    (3, "due today", |c| c.records.latest_due = Some(day("2026-04-01")), "ELIM_NOT_DUE"),
    (3, "due later", |c| c.records.latest_due = Some(day("2030-04-01")), "ELIM_NOT_DUE"),
    (3, "no due day at all", |c| c.records.latest_due = None, "ELIM_UNDATED"),
    (3, "one without due day", |c| c.records.undated = 1, "ELIM_UNDATED"),
    (3, "analysed at a later day", |c| c.reference = day("2026-04-02"), "ELIM_REFERENCE_FUTURE"),
    (4, "held", |c| c.records.held = 1, "ELIM_HELD"),
    (4, "open dossier", |c| c.records.open = 2, "ELIM_OPEN"),
    (4, "conflict", |c| c.records.conflict = 1, "ELIM_CONFLICT"),
    (4, "no sort final", |c| c.rows[0].fate = RowFate::Missing, "ELIM_NO_SORT_FINAL"),
    (5, "conservation", |c| c.rows[0].fate = RowFate::Conserve, "ELIM_CONSERVATION"),
    (5, "not proved archived", |c| c.rows[0].fate = RowFate::ArchiveUnproved, "ELIM_NOT_ARCHIVED"),
    (5, "tri not run", |c| c.rows[1].fate = RowFate::TriNotRun, "ELIM_TRI_NOT_RUN"),
    (
        5,
        "sample not acknowledged",
        |c| c.rows[1].fate = RowFate::TriSampleHere,
        "ELIM_SAMPLE_NOT_TRANSFERRED",
    ),
    (6, "kept children", |c| c.records.children_kept = 3, "ELIM_CHILDREN_KEPT"),
    (7, "row not granted", |c| c.rows[0].granted = false, "ELIM_ROW_REFUSED"),
    (8, "proposes and approves", |c| c.persons.approver = Some("alice".into()), "ELIM_SAME_PERSON"),
    (8, "visas and approves", |c| c.persons.approver = Some("chloe".into()), "ELIM_SAME_PERSON"),
    (8, "visas and executes", |c| c.persons.executor = "chloe".into(), "ELIM_SAME_PERSON"),
    (8, "proposes and visas", |c| c.persons.requester = "chloe".into(), "ELIM_SAME_PERSON"),
    (8, "nobody approves", |c| c.persons.approver = None, "ELIM_NOT_APPROVED"),
    (9, "unverified", |c| c.rules[0].verified_on = None, "ELIM_RULE_UNVERIFIED"),
    (9, "verified tomorrow", |c| c.rules[0].verified_on = Some(day("2026-04-02")), "ELIM_RULE_UNVERIFIED"),
    (
        9,
        "no longer in force",
        |c| c.rules[0].effective_to = Some(day("2026-03-31")),
        "ELIM_RULE_NOT_IN_FORCE",
    ),
    (9, "not yet in force", |c| c.rules[0].effective_from = day("2026-04-02"), "ELIM_RULE_NOT_IN_FORCE"),
    (9, "below the minimum", |c| c.rules[0].below_minimum = true, "ELIM_RULE_TOO_SHORT"),
    (9, "no rule", |c| c.rules.clear(), "ELIM_NO_RULE"),
    (10, "one record too many", |c| c.threshold = 29, "ELIM_THRESHOLD"),
    (11, "another under way", |c| c.in_progress = Some("EL-2".into()), "ELIM_CONCURRENT"),
    (12, "the visaed list", |c| target(c, "elimination/EL-1/list.json"), "ELIM_PROTECTED_TARGET"),
    (12, "the journal", |c| target(c, "journal/2026-01-12.jsonl"), "ELIM_PROTECTED_TARGET"),
    (12, "the tombstones", |c| target(c, "ledger.sqlite"), "ELIM_PROTECTED_TARGET"),
    (12, "a package", |c| target(c, "archives/s/s.zip"), "ELIM_PROTECTED_TARGET"),
    (12, "the journal by a detour", |c| target(c, "tables/../journal/x"), "ELIM_PROTECTED_TARGET"),
    (12, "a whole folder", |c| target(c, "tables"), "ELIM_PROTECTED_TARGET"),
    (12, "outside the store", |c| target(c, "/tables/x"), "ELIM_PROTECTED_TARGET"),
    (12, "nothing", |c| target(c, ""), "ELIM_PROTECTED_TARGET"),
];

fn visa(check: &mut Check) -> &mut VisaFacts {
    check.visa.as_mut().unwrap()
}

fn target(check: &mut Check, path: &str) {
    check.targets.push(path.into());
}

fn codes(check: &Check) -> Vec<&'static str> {
    refusals(check).into_iter().map(|r| r.code).collect()
}

#[test]
fn nothing_speaks_against_a_good_execution() {
    assert_eq!(codes(&good()), [""; 0]);
}

#[test]
fn each_fact_alone_is_exactly_one_refusal() {
    for (number, case, change, want) in CASES {
        let mut check = good();
        change(&mut check);
        assert_eq!(codes(&check), [*want], "({number}) {case}");
    }
    let numbers: std::collections::BTreeSet<u8> = CASES.iter().map(|c| c.0).collect();
    assert!(numbers.into_iter().eq(1..=12));
}

#[test]
fn each_refusal_says_in_french_what_to_do() {
    for (_, case, change, _) in CASES {
        let mut check = good();
        change(&mut check);
        for refusal in refusals(&check) {
            let said = refusal.message.split_once(" : ").map(|(_, rest)| rest.trim());
            assert!(said.is_some_and(|s| s.len() > 10), "{case}: {}", refusal.message);
        }
    }
}

proptest! {
    /// (13) Nothing forces: whatever else is true, a fact that refuses still refuses.
    #[test]
    fn no_other_fact_takes_a_refusal_away(
        others in proptest::collection::vec(0..CASES.len(), 0..8),
        last in 0..CASES.len(),
    ) {
        let (_, case, change, want) = CASES[last];
        let mut check = good();
        // Without a visa or a rule, or with one of tomorrow, later cases would have nothing to change.
        let hides = ["ELIM_NO_VISA", "ELIM_NO_RULE", "ELIM_VISA_FUTURE", want];
        others.iter().map(|i| CASES[*i]).filter(|c| !hides.contains(&c.3)).for_each(|c| c.2(&mut check));
        change(&mut check);
        prop_assert!(codes(&check).contains(&want), "{case}");
    }
}
