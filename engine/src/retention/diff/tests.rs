use super::super::testing::{calendar, day, referential, rule, simple};
use super::*;

/// The one change between two rules of the same identifier.
fn change(old: &str, new: &str) -> RuleChange {
    let mut all = diff(&referential(&[old.to_owned()]), &referential(&[new.to_owned()]));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn a_shortening_is_seen_whatever_its_form() {
    use Direction::{Longer, Other, Shorter};
    let r = |duration: &str, more: &str| simple("R", duration, more);
    let chain = |second: &str| {
        rule(
            "R",
            &format!(
                "sort_final = \"elimination\"\n[[rule.phase]]\nname = \"courant\"\nstart = \"sortie\"\nduration = \"P2M\"\n[[rule.phase]]\nname = \"intermediaire\"\n{second}\n"
            ),
        )
    };
    let cap = |event: &str, d: &str| format!("[rule.at_latest]\nstart = \"{event}\"\nduration = \"{d}\"\n");
    let docs = |d: &str| format!("documents = [{d}]\n");
    let sort = |s: &str| format!("sort_final = \"{s}\"\n");
    let tri = |p: &str| format!("sort_final = \"tri\"\ntri = \"{p}\"\n");
    let unverified = "verification = \"unverified\"\n";
    let silent = || rule("R", "start = \"sortie\"\nduration = \"P5Y\"\n");
    let table: &[(&str, String, String, Direction, bool)] = &[
        ("longer", r("P5Y", ""), r("P10Y", ""), Longer, false),
        ("shorter", r("P10Y", ""), r("P5Y", ""), Shorter, true),
        ("a month for thirty days", r("P1M", ""), r("P30D", ""), Other, true),
        ("to the end of the year", r("P5Y", ""), r("P5Y", "mode = \"fin_annee_scolaire\"\n"), Longer, false),
        (
            "no longer to the end of the year",
            r("P5Y", "mode = \"fin_annee_civile\"\n"),
            r("P5Y", ""),
            Shorter,
            true,
        ),
        (
            "one year end for another",
            r("P5Y", "mode = \"fin_annee_civile\"\n"),
            r("P5Y", "mode = \"fin_annee_scolaire\"\n"),
            Other,
            true,
        ),
        ("another event", r("P5Y", ""), r("P5Y", "").replace("sortie", "retour"), Other, true),
        ("another event, longer", r("P5Y", ""), r("P50Y", "").replace("sortie", "retour"), Other, true),
        ("cut in two phases", r("P8M", ""), chain("duration = \"P6M\""), Shorter, true),
        ("one phase longer", chain("duration = \"P6M\""), chain("duration = \"P7M\""), Longer, false),
        (
            "its own event, shorter",
            chain("start = \"naissance\"\nduration = \"P80Y\""),
            chain("start = \"naissance\"\nduration = \"P75Y\""),
            Shorter,
            true,
        ),
        (
            "its own event appears",
            chain("duration = \"P6M\""),
            chain("start = \"naissance\"\nduration = \"P6M\""),
            Other,
            true,
        ),
        ("a cap", r("P5Y", ""), r("P5Y", &cap("retour", "P1Y")), Shorter, true),
        ("no cap", r("P5Y", &cap("retour", "P1Y")), r("P5Y", ""), Longer, false),
        ("a lower cap", r("P5Y", &cap("retour", "P2Y")), r("P5Y", &cap("retour", "P1Y")), Shorter, true),
        ("a higher cap", r("P5Y", &cap("retour", "P1Y")), r("P5Y", &cap("retour", "P2Y")), Longer, false),
        (
            "a cap of another event",
            r("P5Y", &cap("retour", "P1Y")),
            r("P5Y", &cap("naissance", "P90Y")),
            Other,
            true,
        ),
        ("a cancelling event more", r("P5Y", ""), r("P5Y", "cancelled_by = [\"retour\"]\n"), Longer, false),
        ("a cancelling event less", r("P5Y", "cancelled_by = [\"retour\"]\n"), r("P5Y", ""), Shorter, true),
        (
            "a cancelling event for another",
            r("P5Y", "cancelled_by = [\"retour\"]\n"),
            r("P5Y", "cancelled_by = [\"naissance\"]\n"),
            Other,
            true,
        ),
        ("to elimination", r("P5Y", &sort("conservation")), r("P5Y", &sort("elimination")), Shorter, true),
        ("from nothing to elimination", silent(), r("P5Y", &sort("elimination")), Shorter, true),
        ("to tri", r("P5Y", &sort("conservation")), r("P5Y", &tri("p")), Shorter, true),
        ("from elimination to tri", r("P5Y", &sort("elimination")), r("P5Y", &tri("p")), Longer, false),
        ("to conservation", r("P5Y", &sort("elimination")), r("P5Y", &sort("conservation")), Longer, false),
        ("another plan", r("P5Y", &tri("p")), r("P5Y", &tri("q")), Other, true),
        ("verified", r("P5Y", unverified), r("P5Y", ""), Shorter, true),
        ("no longer verified", r("P5Y", ""), r("P5Y", unverified), Other, false),
        (
            "longer, but to elimination",
            r("P5Y", &sort("conservation")),
            r("P9Y", &sort("elimination")),
            Other,
            true,
        ),
        ("fewer documents", r("P5Y", &docs("\"a\", \"b\"")), r("P5Y", &docs("\"a\"")), Other, true),
        ("in force later", r("P5Y", ""), r("P5Y", "effective_from = \"2010-01-01\"\n"), Other, true),
        ("another class", r("P5Y", ""), r("P5Y", "record_class = \"d\"\n"), Other, true),
        (
            "no longer a DUA",
            r("P5Y", "sort_final = \"conservation\"\n"),
            r("P5Y", "clock = \"rgpd\"\n"),
            Other,
            true,
        ),
        ("a lower minimum", r("P5Y", "minimum = \"P5Y\"\n"), r("P5Y", "minimum = \"P4Y\"\n"), Other, true),
        ("a higher minimum", r("P5Y", "minimum = \"P4Y\"\n"), r("P5Y", "minimum = \"P5Y\"\n"), Other, false),
        ("other words", r("P5Y", ""), r("P5Y", "citation = \"Un autre texte.\"\n"), Other, false),
    ];
    for (case, old, new, direction, second) in table {
        let got = change(old, new);
        assert_eq!((got.direction, got.needs_second_person), (*direction, *second), "{case}: {got:?}");
        assert_eq!(got.change, ChangeKind::Changed, "{case}");
    }
}

#[test]
fn the_fields_that_changed_are_shown_as_written() {
    let got = change(&simple("R", "P10Y", ""), &simple("R", "P5Y", "minimum = \"P5Y\"\n"));
    let fields: Vec<_> = got.fields.iter().map(|f| (f.field, f.old.as_str(), f.new.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("phases", "intermediaire sortie P10Y date_a_date", "intermediaire sortie P5Y date_a_date"),
            ("minimum", "", "P5Y"),
        ]
    );
}

#[test]
fn a_rule_removed_or_added_verified_needs_a_second_person() {
    let unverified = simple("U", "P1Y", "verification = \"unverified\"\n");
    let old = referential(&[simple("R", "P5Y", ""), simple("S", "P5Y", "")]);
    let new = referential(&[simple("S", "P5Y", ""), simple("T", "P5Y", ""), unverified]);
    let got: Vec<_> =
        diff(&old, &new).into_iter().map(|c| (c.rule, c.change, c.needs_second_person)).collect();
    assert_eq!(
        got,
        [
            ("R".to_owned(), ChangeKind::Removed, true),
            ("T".to_owned(), ChangeKind::Added, true),
            ("U".to_owned(), ChangeKind::Added, false),
        ]
    );
    assert!(diff(&new, &new).is_empty());
}

#[test]
fn an_older_verification_is_one_that_appears() {
    let rules = || referential(&[simple("R", "P5Y", "verification = \"unverified\"\n")]);
    let on = |date: &str| {
        let text = format!(
            "[[verification]]\nrule = \"R\"\nverified_by = \"A\"\nverified_on = \"{date}\"\ntext_read = \"B\"\n"
        );
        rules().overlay("o.toml", &text).unwrap()
    };
    let second = |old: &Referential, new: &Referential| diff(old, new)[0].needs_second_person;
    assert!(second(&rules(), &on("2025-01-01")) && second(&on("2025-01-01"), &on("2024-01-01")));
    assert!(!second(&on("2024-01-01"), &on("2025-01-01")) && !second(&on("2024-01-01"), &rules()));
}

#[test]
fn records_that_move_are_counted_by_class() {
    let before = referential(&[
        simple("R", "P5Y", "cancelled_by = [\"retour\"]\n"),
        simple("D", "P1Y", "record_class = \"d\"\n"),
    ]);
    let after = referential(&[
        simple("R", "P4Y", "cancelled_by = [\"retour\"]\n"),
        simple("E", "P9Y", "record_class = \"e\"\n"),
    ]);
    let left = |more: Option<&str>| {
        let mut events = BTreeMap::from([("sortie".to_owned(), EventDate::On(day("2020-07-04")))]);
        events.insert("retour".into(), more.map_or(EventDate::Never, |d| EventDate::On(day(d))));
        events
    };
    let (gone, back) = (left(None), left(Some("2020-09-01")));
    let share = |class, events, records| Share { class, events, document: None, records };
    let shares = [
        share("c", &gone, 10),
        share("c", &gone, 5),
        share("c", &back, 3),
        share("d", &gone, 7),
        share("e", &gone, 2),
    ];
    let forth = impact(&before, &after, &calendar(), day("2024-12-31"), shares.into_iter());
    assert_eq!(forth["c"], Impact { earlier: 15, unchanged: 3, due_after: 15, ..Impact::default() });
    assert_eq!(forth["d"], Impact { no_longer: 7, due_before: 7, ..Impact::default() });
    assert_eq!(forth["e"], Impact { newly: 2, ..Impact::default() });
    let back_again = impact(&after, &before, &calendar(), day("2024-12-31"), shares.into_iter());
    assert_eq!(back_again["c"], Impact { later: 15, unchanged: 3, due_before: 15, ..Impact::default() });
}
