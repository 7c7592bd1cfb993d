//! The report as JSON and as a page.

use super::*;
use crate::codes::Code;
use crate::finding::Origin;
use quick_xml::Reader;
use quick_xml::events::Event;

/// A delivery with a bit of everything, and names that a page must escape.
fn delivery() -> DeliveryQuality {
    let mut log = FindingLog::new(4);
    for line in [1_234, 5, 6, 7, 8] {
        let origin = Origin { file: "a<b>&.csv".into(), line, record: line, column: "uai".into(), byte: 0 };
        log.add(Finding::new(Code::UaiLetter, origin, "lettre « <script> » inattendue"));
    }
    let origin = Origin { file: "a<b>&.csv".into(), ..Origin::default() };
    let mut light = Finding::new(Code::Range, origin, "date rare");
    light.severity = Severity::Warning;
    light.rule = Some("dates".into());
    log.add(light);
    let digests = [("a<b>&.csv".to_owned(), "0".repeat(64))];
    let outcome = FileOutcome { read: 12_345, accepted: 12_340, rejected: 5, refused: false };
    let column = |name: &str, personal| ColumnProfile {
        column: name.into(),
        rows: 12_340,
        nulls: 3,
        distinct: Some(2),
        extremes: Some(("-12345,60".into(), "2026".into())),
        top: vec![("A".into(), 12_000), ("B\"&".into(), 337)],
        personal,
    };
    let profile = vec![column("code", false), ColumnProfile { top: Vec::new(), ..column("nom", true) }];
    let drift = |column: &str, before| Drift {
        column: column.into(),
        message: "écart".into(),
        severity: Severity::Warning,
        before,
        now: before.map(|n| n / 2),
    };
    let table = TableQuality {
        drift: vec![drift("", Some(24_680)), drift("code", None)],
        ..TableQuality::named("t", "Une table", outcome, &log, profile, &digests)
    };
    DeliveryQuality {
        delivery: "d".into(),
        name: String::new(),
        source: "scope".into(),
        delivery_date: "2026-01-12".into(),
        refused: false,
        tables: vec![table, TableQuality::refusal(&FindingLog::new(1), &digests)],
    }
}

#[test]
fn rules_are_told_heaviest_first_with_their_share_and_first_places() {
    let delivery = delivery();
    let rules = &delivery.tables[0].by_rule;
    let told: Vec<(&str, &str, &str, u64, usize)> = rules
        .iter()
        .map(|r| (r.code.as_str(), r.rule.as_str(), r.severity.as_str(), r.count, r.first.len()))
        .collect();
    // The second came after the last finding kept, and has its place nevertheless.
    assert_eq!(told, [("UAI_LETTER", "", "error", 5, 3), ("RANGE", "dates", "warning", 1, 1)]);
    assert_eq!(rules[0].first[0], Place { file: "a<b>&.csv".into(), line: 1_234, record: 1_234 });
    assert!((rules[0].share - 5.0 / 12_345.0).abs() < 1e-6);
}

#[test]
fn the_page_is_well_formed_without_script_and_says_its_verdict_first() {
    let editions = [("N_MEF".to_owned(), "n_mef.csv".to_owned(), "1".repeat(64))];
    let page = page_of(&[delivery()], "Contrôle <i>", "Verdict & suite.", &editions).unwrap();
    assert!(page.find("class=\"verdict\"").unwrap() < page.find("<table").unwrap());
    assert!(!page.contains("<script") && !page.contains("http"), "{page}");
    for shown in
        ["12\u{202F}345", "-12\u{202F}345,60", ">2026<", "97,2\u{202F}%", "ligne 1\u{202F}234", "12/01/2026"]
    {
        assert!(page.contains(shown), "{shown} in {page}");
    }
    let mut reader = Reader::from_str(&page);
    let (mut charts, mut heading, mut open) = (0, 0, Vec::new());
    let mut ids = BTreeSet::new();
    let mut links = Vec::new();
    loop {
        let event = reader.read_event().unwrap();
        let tag = match &event {
            Event::Start(t) | Event::Empty(t) => t,
            Event::End(_) => {
                open.pop();
                continue;
            }
            Event::Eof => break,
            _ => continue,
        };
        let name = tag.name().as_ref().to_owned();
        let attributes: Vec<(String, String)> = tag
            .attributes()
            .map(|a| a.unwrap())
            .map(|a| (a.key.as_ref().to_owned(), a.value.to_string()))
            .collect();
        let get = |k: &str| attributes.iter().find(|(n, _)| n == k).map_or("", |(_, v)| v.as_str());
        match name.as_str() {
            "svg" => {
                charts += 1;
                assert!(get("role") == "img" && !get("aria-label").is_empty(), "{attributes:?}");
            }
            "th" => assert!(["col", "row"].contains(&get("scope")), "{attributes:?}"),
            "html" => assert_eq!(get("lang"), "fr"),
            "h1" | "h2" | "h3" => {
                let level = name.trim_start_matches('h').parse::<u32>().unwrap();
                assert!(level <= heading + 1, "{name} after h{heading}");
                heading = level;
            }
            "a" => links.push(get("href").trim_start_matches('#').to_owned()),
            _ => {}
        }
        if !get("id").is_empty() {
            assert!(ids.insert(get("id").to_owned()), "{attributes:?}");
        }
        if matches!(event, Event::Start(_)) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
    // Nulls of two columns, two codes, one drift of rows.
    assert_eq!(charts, 5);
    assert!(links.iter().all(|l| ids.contains(l)), "{links:?} {ids:?}");
    assert_eq!(page, page_of(&[delivery()], "Contrôle <i>", "Verdict & suite.", &editions).unwrap());
}
