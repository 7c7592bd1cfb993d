//! The Vitam form: what it accepts, what it refuses, and hostile bytes.

use super::*;
use proptest::prelude::*;

const HEAD: &str = "RuleId,RuleType,RuleValue,RuleDescription,RuleDuration,RuleMeasurement\n";

fn faults(body: &str) -> Vec<(&'static str, usize, usize)> {
    let found = read(format!("{HEAD}{body}").as_bytes()).unwrap_err();
    assert!(found.iter().all(|f| !f.message.is_empty()));
    found.iter().map(|f| (f.code, f.line, f.column)).collect()
}

fn rules(body: &str) -> Vec<VitamRule> {
    read(format!("{HEAD}{body}").as_bytes()).unwrap_or_else(|e| panic!("{body}: {e:?}"))
}

fn rule(id: &str, duration: Option<(Length, Unit)>) -> VitamRule {
    VitamRule {
        id: id.into(),
        kind: if duration.is_none() { RuleType::HoldRule } else { RuleType::AppraisalRule },
        value: "Titre".into(),
        description: String::new(),
        duration: duration.map(|(length, unit)| RuleDuration { length, unit }),
    }
}

#[test]
fn accepted_forms() {
    for (row, duration) in [
        ("A,AppraisalRule,t,d,80,YEAR", Some((Length::Count(80), Unit::Year))),
        ("A,AppraisalRule,t,,0,DAY", Some((Length::Count(0), Unit::Day))),
        ("A,AppraisalRule,t,,007,month", Some((Length::Count(7), Unit::Month))),
        ("A,AppraisalRule,t,,999,Year", Some((Length::Count(999), Unit::Year))),
        ("A,AppraisalRule,t,,11988,MONTH", Some((Length::Count(11_988), Unit::Month))),
        ("A,AppraisalRule,t,,359640,DAY", Some((Length::Count(359_640), Unit::Day))),
        ("A,AppraisalRule,t,,unLimiTEd,YEAR", Some((Length::Unlimited, Unit::Year))),
        ("A,HoldRule,t,,,", None),
        ("A,HoldRule,t,,5,YEAR", Some((Length::Count(5), Unit::Year))),
        ("A.10.3_2,StorageRule,t,\"deux\nlignes\",1,DAY", Some((Length::Count(1), Unit::Day))),
        ("A,AccessRule,\"un, deux\",\"« dit \"\"oui\"\" »\",25,YEAR", Some((Length::Count(25), Unit::Year))),
        ("A,AccessRule,moins < dix et a<1,,25,YEAR", Some((Length::Count(25), Unit::Year))),
    ] {
        let want = duration.map(|(length, unit)| RuleDuration { length, unit });
        assert_eq!(rules(row).first().map(|r| r.duration), Some(want), "{row}");
    }
    let multi = rules("A,ReuseRule,t,\"deux\r\nlignes, \"\"ici\"\"\",1,DAY\r\nB,ReuseRule,t,,1,DAY");
    assert_eq!(multi.len(), 2);
    assert_eq!(multi[0].description, "deux\r\nlignes, \"ici\"");
    assert_eq!(rules(""), []);
}

#[test]
fn a_byte_order_mark_and_another_order_of_columns_are_accepted() {
    let text = "\u{FEFF}RuleMeasurement,RuleId,RuleType,RuleValue,RuleDescription,RuleDuration\nYEAR,A,AccessRule,t,d,1\n";
    assert_eq!(read(text.as_bytes()), read(format!("{HEAD}A,AccessRule,t,d,1,YEAR\n").as_bytes()));
}

#[test]
fn refusals_have_their_code_and_place() {
    for (body, want) in [
        ("A,AppraisalRule,t,d,80", vec![("RULES_CSV_FIELD_COUNT", 2, 1)]),
        ("A,,AppraisalRule,t,d,80,YEAR", vec![("RULES_CSV_FIELD_COUNT", 2, 1)]),
        ("A,AppraisalRule,t,d,1,DAY\n\nB,AppraisalRule,t,d,1,DAY", vec![("RULES_CSV_FIELD_COUNT", 3, 1)]),
        ("A,AppraisalRule,t,d,1,DAY\n\n", vec![("RULES_CSV_FIELD_COUNT", 3, 1)]),
        (",AppraisalRule,t,d,1,DAY", vec![("RULES_CSV_MISSING", 2, 1)]),
        ("A,,t,d,1,DAY", vec![("RULES_CSV_MISSING", 2, 3)]),
        ("A,AppraisalRule,,d,1,DAY", vec![("RULES_CSV_MISSING", 2, 17)]),
        ("A,AppraisalRule,t,d,,DAY", vec![("RULES_CSV_MISSING", 2, 21)]),
        ("A,AppraisalRule,t,d,1,", vec![("RULES_CSV_MISSING", 2, 23)]),
        ("A,AppraisalRule,t,d,,", vec![("RULES_CSV_MISSING", 2, 21), ("RULES_CSV_MISSING", 2, 22)]),
        ("A,HoldRule,t,d,,DAY", vec![("RULES_CSV_MISSING", 2, 16)]),
        ("A,HoldRule,t,d,1,", vec![("RULES_CSV_MISSING", 2, 18)]),
        ("A,AnarchyRule,t,d,1,DAY", vec![("RULES_CSV_TYPE", 2, 3)]),
        ("A,appraisalRule,t,d,1,DAY", vec![("RULES_CSV_TYPE", 2, 3)]),
        ("A,AppraisalRule,t,d,1,DECADE", vec![("RULES_CSV_MEASURE", 2, 23)]),
        ("A,AppraisalRule,t,d,1,Année", vec![("RULES_CSV_MEASURE", 2, 23)]),
        ("A,AppraisalRule,t,d,1,SECOND", vec![("RULES_CSV_MEASURE", 2, 23)]),
        ("A,AppraisalRule,t,d,-1,DAY", vec![("RULES_CSV_DURATION", 2, 21)]),
        ("A,AppraisalRule,t,d,1.5,DAY", vec![("RULES_CSV_DURATION", 2, 21)]),
        ("A,AppraisalRule,t,d, 1,DAY", vec![("RULES_CSV_DURATION", 2, 21)]),
        ("A,AppraisalRule,t,d,dix,DAY", vec![("RULES_CSV_DURATION", 2, 21)]),
        ("A,AppraisalRule,t,d,٣,DAY", vec![("RULES_CSV_DURATION", 2, 21)]),
        ("A,AppraisalRule,t,d,illimité,DAY", vec![("RULES_CSV_DURATION", 2, 21)]),
        ("A,AppraisalRule,t,d,1000,YEAR", vec![("RULES_CSV_DURATION_LIMIT", 2, 21)]),
        ("A,AppraisalRule,t,d,11989,MONTH", vec![("RULES_CSV_DURATION_LIMIT", 2, 21)]),
        ("A,AppraisalRule,t,d,359641,DAY", vec![("RULES_CSV_DURATION_LIMIT", 2, 21)]),
        ("A,AppraisalRule,t,d,99999999999999999999,DAY", vec![("RULES_CSV_DURATION_LIMIT", 2, 21)]),
        ("A.10.3 ,AppraisalRule,t,d,1,DAY", vec![("RULES_CSV_ID", 2, 1)]),
        ("RÈGLE,AppraisalRule,t,d,1,DAY", vec![("RULES_CSV_ID", 2, 1)]),
        ("A,AppraisalRule,<h1>t</h1>,d,1,DAY", vec![("RULES_CSV_TEXT", 2, 17)]),
        ("A,AppraisalRule,t,\"a\nb <script>\",1,DAY", vec![("RULES_CSV_TEXT", 2, 19)]),
        ("A,AppraisalRule,t\0,d,1,DAY", vec![("RULES_CSV_TEXT", 2, 17)]),
        ("A,AppraisalRule,t,d,1,DAY\nA,AccessRule,t,d,1,DAY", vec![("RULES_CSV_DUPLICATE", 3, 1)]),
        ("A,AppraisalRule,\"t,d,1,DAY\n", vec![("RULES_CSV_QUOTE", 2, 17)]),
        ("A,AppraisalRule,\"t\"x,d,1,DAY\n", vec![("RULES_CSV_QUOTE", 2, 20)]),
        (
            "A,AppraisalRule,t,\"é\nà\",x,JOUR\n,Rule,,d,1000,YEAR\nA,AccessRule,t,d,1,DAY",
            vec![
                ("RULES_CSV_MEASURE", 3, 6),
                ("RULES_CSV_DURATION", 3, 4),
                ("RULES_CSV_MISSING", 4, 1),
                ("RULES_CSV_MISSING", 4, 7),
                ("RULES_CSV_TYPE", 4, 2),
                ("RULES_CSV_DURATION_LIMIT", 4, 10),
                ("RULES_CSV_DUPLICATE", 5, 1),
            ],
        ),
    ] {
        assert_eq!(faults(body), want, "{body}");
    }
}

#[test]
fn a_wrong_header_or_encoding_stops_at_once() {
    for (text, code, line, column) in [
        (&b""[..], "RULES_CSV_HEADER", 0, 0),
        (b"\n", "RULES_CSV_HEADER", 1, 1),
        (
            b"RuleId;RuleType;RuleValue;RuleDescription;RuleDuration;RuleMeasurement\n",
            "RULES_CSV_HEADER",
            1,
            1,
        ),
        (b"RuleId,RuleType,RuleValue,RuleDescription,RuleDuration\n", "RULES_CSV_HEADER", 1, 1),
        (
            b"RuleId,RuleType,RuleValue,RuleDescription,RuleDuration,RuleMeasurement,Lorem\n",
            "RULES_CSV_HEADER",
            1,
            72,
        ),
        (
            b"RuleId,RuleType,RuleValue,RuleDescription,RuleDuration,RuleMeasurement,RuleId\n",
            "RULES_CSV_HEADER",
            1,
            72,
        ),
        (
            b"ruleid,RuleType,RuleValue,RuleDescription,RuleDuration,RuleMeasurement\n",
            "RULES_CSV_HEADER",
            1,
            1,
        ),
        (b"\"RuleId", "RULES_CSV_QUOTE", 1, 1),
        (b"RuleId\nab\xE9", "RULES_CSV_NOT_UTF8", 2, 3),
    ] {
        let found = read(text).unwrap_err();
        let first = &found[0];
        assert_eq!((first.code, first.line, first.column), (code, line, column), "{found:?}");
    }
}

#[test]
fn a_huge_file_is_read_in_a_time_that_follows_its_size() {
    let row = |n: usize| format!("R{n},AppraisalRule,t,d,x,DAY\n");
    let body: String = (0..50_000).map(row).collect();
    assert_eq!(faults(&body).len(), 50_000);
    let wide = ",x".repeat(500_000);
    assert!(read(format!("RuleId{wide}\n").as_bytes()).unwrap_err().len() <= 17);
}

#[test]
fn the_written_form_is_exact() {
    let mut first = rule("APP-00001", Some((Length::Count(80), Unit::Year)));
    first.description = "Deux\nlignes, et « \"mots\" »".into();
    let all = [first, rule("HOL-1", None), rule("STO-1", Some((Length::Unlimited, Unit::Day)))];
    let text = String::from_utf8(write(&all).unwrap()).unwrap();
    assert_eq!(
        text,
        format!(
            "{HEAD}APP-00001,AppraisalRule,Titre,\"Deux\nlignes, et « \"\"mots\"\" »\",80,YEAR\nHOL-1,HoldRule,Titre,,,\nSTO-1,AppraisalRule,Titre,,unlimited,DAY\n"
        )
    );
    assert_eq!(read(text.as_bytes()).unwrap(), all);
}

#[test]
fn the_minimum_refuses_only_what_is_strictly_shorter() {
    let d = |length, unit| RuleDuration { length, unit };
    let year = d(Length::Count(1), Unit::Year);
    for (duration, minimum, below) in [
        (d(Length::Count(364), Unit::Day), year, true),
        (d(Length::Count(365), Unit::Day), year, false),
        (d(Length::Count(12), Unit::Month), year, true),
        (d(Length::Count(13), Unit::Month), year, false),
        (year, d(Length::Count(12), Unit::Month), false),
        (d(Length::Unlimited, Unit::Day), d(Length::Count(999), Unit::Year), false),
        (d(Length::Count(999), Unit::Year), d(Length::Unlimited, Unit::Year), true),
        (d(Length::Unlimited, Unit::Day), d(Length::Unlimited, Unit::Year), false),
    ] {
        assert_eq!(duration.is_below(minimum), below, "{duration:?} {minimum:?}");
    }
    // The ids say what Vitam's own fixture expects of a minimum of one year for DUA.
    let all = rules(
        "KO-1,AppraisalRule,t,,15,day\nOK-1,AppraisalRule,t,,3000,day\nKO-2,AppraisalRule,t,,10,month\nOK-2,AppraisalRule,t,,40,month\nKO-3,AppraisalRule,t,,0,year\nOK-3,AppraisalRule,t,,1,year\nOK-4,StorageRule,t,,1,day\nOK-5,HoldRule,t,,,\n",
    );
    let short = below_minimum(&all, |t| (t == RuleType::AppraisalRule).then_some(year));
    let ids: Vec<&str> = short.iter().map(|(r, _)| r.id.as_str()).collect();
    assert_eq!(ids, ["KO-1", "KO-2", "KO-3"]);
}

#[test]
fn a_used_rule_is_neither_deleted_nor_switched_and_its_changes_are_warned() {
    let years = |n| Some((Length::Count(n), Unit::Year));
    let retitled = VitamRule { value: "Autre".into(), ..rule("A", years(1)) };
    let access = VitamRule { kind: RuleType::AccessRule, ..rule("A", years(1)) };
    let hold = |duration| VitamRule { kind: RuleType::HoldRule, ..rule("A", duration) };
    let unlimited = rule("A", Some((Length::Unlimited, Unit::Year)));
    for (old, new, unused, used) in [
        (None, Some(rule("A", years(1))), Some(ChangeKind::Added), Some(ChangeKind::Added)),
        (Some(rule("A", years(1))), None, Some(ChangeKind::Deleted), Some(ChangeKind::UsedDeleted)),
        (Some(rule("A", years(1))), Some(rule("A", years(1))), None, None),
        (Some(rule("A", years(1))), Some(retitled), Some(ChangeKind::Updated), Some(ChangeKind::Updated)),
        (
            Some(rule("A", years(1))),
            Some(rule("A", years(2))),
            Some(ChangeKind::Recomputed),
            Some(ChangeKind::UsedRecomputed),
        ),
        (
            Some(rule("A", years(1))),
            Some(unlimited),
            Some(ChangeKind::Recomputed),
            Some(ChangeKind::UsedRecomputed),
        ),
        (
            Some(rule("A", years(1))),
            Some(access),
            Some(ChangeKind::Recomputed),
            Some(ChangeKind::UsedRecomputed),
        ),
        (
            Some(hold(None)),
            Some(hold(years(1))),
            Some(ChangeKind::Recomputed),
            Some(ChangeKind::UsedDurationMode),
        ),
        (
            Some(hold(years(1))),
            Some(hold(None)),
            Some(ChangeKind::Recomputed),
            Some(ChangeKind::UsedDurationMode),
        ),
    ] {
        let (old, new): (Vec<_>, Vec<_>) = (old.into_iter().collect(), new.into_iter().collect());
        for (is_used, want) in [(false, unused), (true, used)] {
            let changes = compare(&old, &new, |_| is_used);
            assert_eq!(changes.first().map(|c| c.kind), want, "{old:?} {new:?} {is_used}");
            let refused = changes.iter().any(|c| c.kind.is_refused());
            assert_eq!(
                refused,
                is_used && matches!(want, Some(ChangeKind::UsedDeleted | ChangeKind::UsedDurationMode))
            );
            assert!(
                changes
                    .iter()
                    .all(|c| (c.kind.is_refused() || c.kind.is_warned()) == c.kind.code().is_some())
            );
        }
    }
}

/// Bytes close enough to the form to go deep.
fn near_csv() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "A",
        "B-1",
        "AppraisalRule",
        "HoldRule",
        "12",
        "unlimited",
        "YEAR",
        "day",
        ",",
        ",",
        ",",
        "\n",
        "\r\n",
        "\r",
        "\"",
        "\"\"",
        " ",
        "é",
        "<b>",
        "\u{FEFF}",
        "",
        "x, y",
    ]);
    prop_oneof![
        prop::collection::vec(piece, 0..60).prop_map(|p| p.concat()),
        prop::collection::vec(("[A-Z]{1,3}", "[ -~é\n\"]{0,12}", 0..400_000_u32), 0..6).prop_map(|rows| {
            let quoted = |t: &str| t.replace('"', "\"\"");
            let row = |(id, text, n): &(String, String, u32)| {
                format!("{id},AppraisalRule,\"t{0}\",\"{0}\",{n},DAY\n", quoted(text))
            };
            rows.iter().map(row).collect()
        }),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn what_is_read_is_written_and_read_again(body in near_csv()) {
        match read(format!("{HEAD}{body}").as_bytes()) {
            Ok(found) => {
                // Another reader finds the same texts.
                let other: Vec<csv::StringRecord> =
                    csv::ReaderBuilder::new().has_headers(false).from_reader(body.as_bytes()).into_records().map(Result::unwrap).collect();
                let texts = |r: &VitamRule| [r.id.clone(), r.value.clone(), r.description.clone()];
                let other_texts = |r: &csv::StringRecord| [0, 2, 3].map(|i| r[i].to_owned());
                prop_assert_eq!(
                    found.iter().map(texts).collect::<Vec<_>>(),
                    other.iter().map(other_texts).collect::<Vec<_>>()
                );
                let written = write(&found).unwrap();
                prop_assert_eq!(read(&written), Ok(found));
            }
            Err(faults) => prop_assert!(faults.iter().all(|f| f.line > 0 && f.column > 0)),
        }
    }
}
