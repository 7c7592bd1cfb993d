//! Visits against a plain reading of the rule.

use super::*;
use proptest::prelude::*;

/// Instant, visitor, school, service.
type Row = (String, String, Option<String>, Option<String>);
/// Week, school, service, then visits, visitors, seconds, pages.
type Line = (String, Option<String>, Option<String>, [i64; 4]);

fn spec(gap_minutes: u32) -> VisitsSpec {
    VisitsSpec { name: "visites".into(), at: 0, visitor: 1, by: vec![2, 3], gap_minutes }
}

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let column =
        |f: fn(&Row) -> Option<&str>| -> ArrayRef { Arc::new(StringArray::from_iter(rows.iter().map(f))) };
    vec![
        column(|r| Some(&r.0)),
        column(|r| Some(&r.1)),
        column(|r| r.2.as_deref()),
        column(|r| r.3.as_deref()),
    ]
}

fn table<'r>(spec: &VisitsSpec, batches: impl IntoIterator<Item = &'r [Row]>) -> RecordBatch {
    let mut all = Visits::new(spec);
    for rows in batches {
        all.add(partial(spec, &columns(rows), &BooleanArray::from(vec![true; rows.len()]))).unwrap();
    }
    all.finish(&|i| ["horodatage", "id_visiteur", "uai", "service"][i]).unwrap()
}

fn lines(batch: &RecordBatch) -> Vec<Line> {
    let names: Vec<&str> = batch.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
    assert_eq!(names, ["semaine", "uai", "service", "visites", "visiteurs", "duree_s", "pages"]);
    let weeks = batch.column(0).as_primitive::<arrow::datatypes::Date32Type>();
    let text = |c: usize, r| value(batch.column(c).as_string::<i32>(), r).map(str::to_owned);
    let number = |c: usize, r| batch.column(c).as_primitive::<arrow::datatypes::Int64Type>().value(r);
    (0..batch.num_rows())
        .map(|r| {
            let week = from_days(weeks.value(r)).unwrap();
            assert_eq!(week.weekday(), chrono::Weekday::Mon);
            (week.to_string(), text(1, r), text(2, r), [3, 4, 5, 6].map(|c| number(c, r)))
        })
        .collect()
}

fn row(at: &str, visitor: &str) -> Row {
    (at.into(), visitor.into(), Some("0990101X".into()), Some("notes".into()))
}

/// Weeks and numbers of hits of one group.
fn of_one_group(hits: &[(&str, &str)]) -> Vec<(String, [i64; 4])> {
    let rows: Vec<Row> = hits.iter().map(|(at, visitor)| row(at, visitor)).collect();
    lines(&table(&spec(30), [rows.as_slice()])).into_iter().map(|l| (l.0, l.3)).collect()
}

#[test]
fn instants_are_read_to_the_nanosecond_or_not_at_all() {
    let at = instant("2026-01-05T08:00:00Z").unwrap();
    assert_eq!(at, 1_767_600_000_000_000_000);
    for (text, more) in [
        ("2026-01-05T08:00:00+00:00", 0),
        ("2026-01-05 08:00:00", 0),
        ("2026-01-05T08:00:00.5Z", 500_000_000),
        ("2026-01-05 08:00:00.123", 123_000_000),
        ("2026-01-05T08:00:00.000000001+00:00", 1),
        ("2024-02-29T23:59:59Z", -58_348_801_000_000_000),
        ("1969-12-31T23:59:59Z", -1_767_600_001_000_000_000),
    ] {
        assert_eq!(instant(text), Some(at + more), "{text}");
    }
    for wrong in [
        "",
        "2026-01-05",
        "2026-01-05T08:00:00",
        "2026-01-05T08:00:00z",
        "2026-01-05T08:00:00+01:00",
        "2026-01-05T08:00:00-00:00",
        "2026-01-05 08:00:00Z",
        "2026-01-05T08:00:00.Z",
        "2026-01-05T08:00:00.1234567891Z",
        "2026-01-05T08:00:00Z ",
        "2026-02-29T08:00:00Z",
        "2026-01-05T24:00:00Z",
        "2026-01-05T08:60:00Z",
        "2026-01-05T08:00:60Z",
        "2026-1-05T08:00:00ZZ",
        "+026-01-05T08:00:00Z",
        "2026-01-05T08:00:é0Z",
        "9999-01-05T08:00:00Z",
        "05/01/2026 08:00:00",
    ] {
        assert_eq!(instant(wrong), None, "{wrong}");
    }
}

#[test]
fn thirty_minutes_are_one_visit_and_any_more_are_two() {
    let week = || "2026-01-05".to_owned();
    for (second, want) in [
        ("2026-01-05T08:30:00Z", [1, 1, 1800, 2]),
        ("2026-01-05 08:30:00", [1, 1, 1800, 2]),
        ("2026-01-05T08:30:00.000000001Z", [2, 1, 0, 2]),
        ("2026-01-05T08:30:01Z", [2, 1, 0, 2]),
    ] {
        assert_eq!(
            of_one_group(&[("2026-01-05T08:00:00Z", "v"), (second, "v")]),
            [(week(), want)],
            "{second}"
        );
    }
    // The time without a new page counts, not the length of the visit.
    let chain = [
        ("2026-01-05T08:00:00Z", "v"),
        ("2026-01-05T08:30:00Z", "v"),
        ("2026-01-05T09:00:00Z", "v"),
        ("2026-01-05T09:00:30Z", "w"),
    ];
    assert_eq!(of_one_group(&chain), [(week(), [2, 2, 3600, 4])]);
}

#[test]
fn two_hits_at_the_same_second_are_two_pages_of_one_visit() {
    let hit = ("2026-01-05T08:00:00Z", "v");
    assert_eq!(of_one_group(&[hit, hit]), [("2026-01-05".to_owned(), [1, 1, 0, 2])]);
}

#[test]
fn a_visit_over_monday_midnight_belongs_to_the_week_of_its_first_page() {
    // 23:00 UTC is midnight in Paris in winter.
    let over = [
        ("2026-01-11T22:50:00Z", "v"),
        ("2026-01-11T23:10:00Z", "v"),
        // Another visit of the same visitor: he is counted in both weeks, once in each.
        ("2026-01-12T08:00:00Z", "v"),
        ("2026-01-12T10:00:00Z", "v"),
        ("2026-01-11T23:00:00Z", "w"),
    ];
    assert_eq!(
        of_one_group(&over),
        [("2026-01-05".to_owned(), [1, 1, 1200, 2]), ("2026-01-12".to_owned(), [3, 2, 0, 3])]
    );
}

#[test]
fn weeks_are_those_of_paris_when_the_clocks_change_too() {
    for (at, monday) in [
        // The last week of winter time ends with Sunday the 29th, one hour shorter.
        ("2026-03-22T22:59:59Z", "2026-03-16"),
        ("2026-03-22T23:00:00Z", "2026-03-23"),
        ("2026-03-29T21:59:59Z", "2026-03-23"),
        ("2026-03-29T22:00:00Z", "2026-03-30"),
        // The last week of summer time ends with Sunday the 25th, one hour longer.
        ("2026-10-18T21:59:59Z", "2026-10-12"),
        ("2026-10-18T22:00:00Z", "2026-10-19"),
        ("2026-10-25T22:30:00Z", "2026-10-19"),
        ("2026-10-25T23:00:00Z", "2026-10-26"),
        ("2019-09-01T22:00:00Z", "2019-09-02"),
        ("2025-12-31T23:30:00Z", "2025-12-29"),
    ] {
        assert_eq!(of_one_group(&[(at, "v")]), [(monday.to_owned(), [1, 1, 0, 1])], "{at}");
    }
    // Twenty minutes over each change of the clocks are twenty minutes.
    for (a, b) in
        [("2026-03-29T00:50:00Z", "2026-03-29T01:10:00Z"), ("2026-10-25T00:50:00Z", "2026-10-25T01:10:00Z")]
    {
        assert_eq!(of_one_group(&[(a, "v"), (b, "v")])[0].1, [1, 1, 1200, 2]);
    }
}

#[test]
fn groups_part_visits_and_absent_values_are_a_group_before_the_others() {
    let at = |minute: u32| format!("2026-01-05T08:{minute:02}:00Z");
    let hit = |minute, uai: Option<&str>, service: Option<&str>| {
        (at(minute), "v".to_owned(), uai.map(str::to_owned), service.map(str::to_owned))
    };
    let rows = [
        hit(0, Some("b"), Some("notes")),
        hit(1, Some("b"), Some("absences")),
        hit(2, Some("b"), Some("notes")),
        hit(3, Some("a"), Some("notes")),
        hit(4, None, Some("notes")),
        hit(5, Some("a"), None),
        hit(6, Some("a"), Some("")),
        // Borders of the values count.
        hit(7, Some("ab"), Some("c")),
        hit(8, Some("a"), Some("bc")),
    ];
    let text = |t: &str| Some(t.to_owned());
    let line = |uai, service, numbers| ("2026-01-05".to_owned(), uai, service, numbers);
    assert_eq!(
        lines(&table(&spec(30), [rows.as_slice()])),
        [
            line(None, text("notes"), [1, 1, 0, 1]),
            line(text("a"), None, [1, 1, 0, 1]),
            line(text("a"), text(""), [1, 1, 0, 1]),
            line(text("a"), text("bc"), [1, 1, 0, 1]),
            line(text("a"), text("notes"), [1, 1, 0, 1]),
            line(text("ab"), text("c"), [1, 1, 0, 1]),
            line(text("b"), text("absences"), [1, 1, 0, 1]),
            line(text("b"), text("notes"), [1, 1, 120, 2]),
        ]
    );
}

#[test]
fn rows_set_aside_and_rows_without_instant_or_visitor_are_no_hits() {
    let spec = spec(30);
    let typed: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![
            Some("2026-01-05T08:00:00Z"),
            Some("2026-01-05T08:01:00Z"),
            Some("2026-02-30T08:00:00Z"),
            None,
            Some("2026-01-05T08:02:00Z"),
        ])),
        Arc::new(StringArray::from(vec![Some("v"), Some("w"), Some("v"), Some("v"), None])),
        Arc::new(StringArray::from(vec!["s"; 5])),
        Arc::new(StringArray::from(vec!["n"; 5])),
    ];
    assert_eq!(unreadable(&spec, &typed), [2]);
    let keep = BooleanArray::from(vec![true, false, true, true, true]);
    let mut all = Visits::new(&spec);
    all.add(partial(&spec, &typed, &keep)).unwrap();
    let batch = all.finish(&|i| ["horodatage", "id_visiteur", "uai", "service"][i]).unwrap();
    assert_eq!(lines(&batch)[0].3, [1, 1, 0, 1]);
}

#[test]
fn no_hit_gives_an_empty_table_with_its_columns() {
    assert_eq!(lines(&table(&spec(30), [])), []);
}

#[test]
fn a_fraction_of_a_second_is_kept_until_the_sum() {
    let hits: Vec<(String, String)> = (0..4)
        .flat_map(|v| [("2026-01-05T08:00:00Z", v), ("2026-01-05T08:00:00.75Z", v)])
        .map(|(at, v)| (at.to_owned(), v.to_string()))
        .collect();
    let hits: Vec<(&str, &str)> = hits.iter().map(|(a, v)| (a.as_str(), v.as_str())).collect();
    assert_eq!(of_one_group(&hits), [("2026-01-05".to_owned(), [4, 4, 3, 8])]);
}

#[test]
fn the_order_of_records_is_that_of_hash_group_and_time() {
    let sorted = [
        record(1, 0, i64::MIN),
        record(1, 0, -1),
        record(1, 0, 0),
        record(1, 0, i64::MAX),
        record(1, 1, i64::MIN),
        record(2, 0, i64::MIN),
    ];
    assert!(sorted.is_sorted());
    assert_eq!(sorted.map(|r| time(&r)), [i64::MIN, -1, 0, i64::MAX, i64::MIN, i64::MIN]);
    assert_eq!(sorted.map(|r| group(&r)), [0, 0, 0, 0, 1, 0]);
}

#[test]
fn spilled_hits_give_the_same() {
    // More than Spill keeps in memory. Each visitor: pages at 0, 10 and 20 minutes, then after an hour.
    let spec = spec(30);
    let mut all = Visits::new(&spec);
    for minute in [80, 10, 0, 20] {
        for from in (0..135_000).step_by(45_000) {
            let at = format!("2026-01-05T{:02}:{:02}:00Z", 8 + minute / 60, minute % 60);
            let rows: Vec<Row> = (from..from + 45_000).map(|v| row(&at, &v.to_string())).collect();
            all.add(partial(&spec, &columns(&rows), &BooleanArray::from(vec![true; rows.len()]))).unwrap();
        }
    }
    let batch = all.finish(&|i| ["horodatage", "id_visiteur", "uai", "service"][i]).unwrap();
    assert_eq!(lines(&batch)[0].3, [270_000, 135_000, 135_000 * 1200, 540_000]);
}

/// The rule said again, the slow way: no hash, no spill, no cut.
fn slowly(rows: &[Row], gap_minutes: u32) -> Vec<Line> {
    type Key = (Option<String>, Option<String>);
    let mut pages: BTreeMap<(Key, String), Vec<DateTime<chrono::Utc>>> = BTreeMap::new();
    for (at, visitor, uai, service) in rows {
        let at = at.parse().unwrap();
        pages.entry(((uai.clone(), service.clone()), visitor.clone())).or_default().push(at);
    }
    let mut out: BTreeMap<(String, Key), ([i64; 4], std::collections::BTreeSet<String>)> = BTreeMap::new();
    for ((key, visitor), mut at) in pages {
        at.sort();
        let mut visits: Vec<Vec<DateTime<chrono::Utc>>> = Vec::new();
        for at in at {
            match visits.last_mut() {
                Some(v) if (at - v[v.len() - 1]).num_seconds() <= i64::from(gap_minutes) * 60 => v.push(at),
                _ => visits.push(vec![at]),
            }
        }
        for visit in visits {
            let day = visit[0].with_timezone(&Paris).date_naive();
            let monday = day.week(chrono::Weekday::Mon).first_day().to_string();
            let (sums, visitors) = out.entry((monday, key.clone())).or_default();
            sums[0] += 1;
            sums[2] += (visit[visit.len() - 1] - visit[0]).num_seconds();
            sums[3] += visit.len() as i64;
            visitors.insert(visitor.clone());
        }
    }
    out.into_iter()
        .map(|((week, (uai, service)), (mut sums, visitors))| {
            sums[1] = visitors.len() as i64;
            (week, uai, service, sums)
        })
        .collect()
}

/// Hits around the change of the clocks of a Sunday night, often 30:00 or 30:01 from each other.
fn hits() -> impl Strategy<Value = Vec<Row>> {
    let start: DateTime<chrono::Utc> = "2026-03-29T20:00:00Z".parse().unwrap();
    let hit = (0_i64..9, -1_i64..2, 0..3_u8, 0..3_u8, 0..3_u8).prop_map(move |(half, more, v, u, s)| {
        let at = start + chrono::TimeDelta::seconds(half * 1800 + more);
        let name = |n: u8, known: &str| (n > 0).then(|| format!("{known}{n}"));
        let at = at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        (at, format!("v{v}"), name(u, "u"), name(s, "s"))
    });
    proptest::collection::vec(hit, 0..80)
}

proptest! {
    #[test]
    fn any_order_and_any_cut_give_the_table_of_the_rule(
        (rows, shuffled) in hits().prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        size in 1..20_usize,
        gap in prop_oneof![Just(30_u32), Just(0), Just(60), Just(u32::MAX)],
    ) {
        let whole = table(&spec(gap), [rows.as_slice()]);
        let cut = table(&spec(gap), shuffled.chunks(size));
        prop_assert_eq!(&whole, &cut);
        prop_assert_eq!(lines(&whole), slowly(&rows, gap));
    }

    #[test]
    fn no_text_makes_reading_an_instant_fail(text in ".{0,40}") {
        let _ = instant(&text);
    }

    #[test]
    fn instants_are_those_of_chrono(seconds in -9_000_000_000_i64..9_000_000_000, nanos in 0..SECOND as u32) {
        let at = DateTime::from_timestamp(seconds, nanos).unwrap();
        let text = at.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        prop_assert_eq!(instant(&text), at.timestamp_nanos_opt());
    }
}
