//! A candidate and what was published before it.

use super::{cube, dimension, policy};
use crate::disclosure::audit::Limits;
use crate::disclosure::certify;
use crate::disclosure::joint::{refusal, review};
use crate::disclosure::policy::{Policy, Zeros};
use crate::disclosure::propose::{Candidate, Proposal, Remedy, propose};
use crate::disclosure::release::{CHOSEN, Chosen, Finding, Implied, LEFT, Reason, Release, label};
use crate::disclosure::suppress::{Imposed, suppress};
use crate::disclosure::table::{Dimension, Record, Spec, Tables};

const OCTOBER: &str = "2026-10-01";
const NOVEMBER: &str = "2026-11-01";

fn tables(specs: Vec<Spec>) -> Tables {
    Tables::build(specs, true).unwrap()
}

fn candidate<'a>(name: &'a str, state: &'a str, tables: &'a Tables) -> Candidate<'a> {
    Candidate { name, population: "eleves-2026", state, tables, implied: &[], chosen: &[] }
}

fn printed(c: &Candidate, p: &Policy) -> Release {
    c.release(&vec![false; c.tables.cells.len()], p)
}

fn protected(c: &Candidate, p: &Policy) -> Release {
    let s = suppress(c.tables, p, &Imposed::default()).unwrap();
    assert!(s.unprotected.is_empty());
    c.release(&s.masked, p)
}

fn masking(c: &Candidate, cells: &[&str], p: &Policy) -> Release {
    let masked: Vec<bool> =
        (0..).take(c.tables.cells.len()).map(|i| cells.contains(&&*c.tables.label(i))).collect();
    assert_eq!(masked.iter().filter(|m| **m).count(), cells.len());
    c.release(&masked, p)
}

fn told(found: &[Finding]) -> Vec<(Reason, String)> {
    found.iter().map(|f| (f.reason, label(&f.cell))).collect()
}

fn certified(proposal: &Proposal, p: &Policy) {
    let published = proposal.tables.published(&proposal.suppression.masked, p.floor(&proposal.tables));
    certify(&proposal.tables, &proposal.suppression, &published)
        .check(&published, Some(p.uniform().of(true)), &proposal.suppression.requirements)
        .unwrap();
}

/// 24 schools × 4 levels × scholarship: about 4,000 pupils.
fn pupils() -> Vec<u32> {
    (0..192_u32).map(|i| 9 + (i * 7919 % 31) + (i / 8 % 3) * 4 - if i % 2 == 1 { 5 } else { 0 }).collect()
}

fn gone(before: &[u32]) -> Vec<u32> {
    let mut after = before.to_vec();
    // One pupil of each of these crossings: 0.3 %.
    for i in [3, 17, 34, 50, 61, 77, 90, 101, 118, 131, 149, 170, 185] {
        after[i] -= 1;
    }
    after
}

#[test]
fn pupils_gone_between_two_releases_are_found_then_hidden() {
    let p = policy(Zeros::Published);
    let (before, after) = (pupils(), gone(&pupils()));
    let share = 1.0 - f64::from(after.iter().sum::<u32>()) / f64::from(before.iter().sum::<u32>());
    assert!((0.0025..0.0035).contains(&share), "{share}");
    let (first, second) = (tables(vec![cube(&[24, 4, 2], &before)]), tables(vec![cube(&[24, 4, 2], &after)]));
    let (first, second) = (candidate("v1", OCTOBER, &first), candidate("v2", NOVEMBER, &second));
    let earlier = [protected(&first, &p)];
    let limits = Limits::default();
    let found = review(&protected(&second, &p), &earlier, p.uniform(), &limits, &[]).unwrap();
    let differences = found.iter().filter(|f| f.reason == Reason::Difference).count();
    assert!(differences > 13, "{differences}");
    assert!(found.iter().all(|f| f.releases == ["v1", "v2"]));

    let ways =
        propose(&second, Some(&candidate("v2", OCTOBER, first.tables)), &p, &earlier, &limits, &[]).unwrap();
    let text = refusal(&found, &ways.iter().map(Proposal::text).collect::<Vec<_>>()).to_string();
    assert!(text.contains("« v1 » et « v2 »") && text.contains("a=a"), "{text}");
    let kept = ways.iter().find(|w| w.remedy == Remedy::KeepMasks).unwrap();
    assert!(kept.shown > 4 * kept.masked, "{text}");
    assert!(ways.iter().any(|w| w.remedy == Remedy::ReferenceDate(OCTOBER.into())), "{text}");
    for way in &ways {
        certified(way, &p);
        let state = if matches!(way.remedy, Remedy::ReferenceDate(_)) { OCTOBER } else { NOVEMBER };
        let release = candidate("v2", state, &way.tables).release(&way.suppression.masked, &p);
        assert_eq!(review(&release, &earlier, p.uniform(), &limits, &[]).unwrap(), []);
        // What was masked stays so.
        for (key, known) in earlier[0].keys.iter().zip(&earlier[0].published.cells) {
            let again = release.keys.iter().position(|k| k == key).map(|i| release.published.cells[i]);
            assert!(known.value().is_some() || again.is_none_or(|k| k.value().is_none()), "{}", label(key));
        }
    }
}

#[test]
fn another_crossing_of_the_same_pupils_gives_a_masked_cell_away() {
    let p = policy(Zeros::Published);
    let by_level = tables(vec![Spec {
        dimensions: vec![dimension("uai", 2), dimension("niveau", 2)],
        ..cube(&[2, 2], &[20, 14, 30, 25])
    }]);
    let by_sex = tables(vec![Spec {
        dimensions: vec![dimension("uai", 2), dimension("sexe", 2)],
        ..cube(&[2, 2], &[31, 3, 28, 27])
    }]);
    let (earlier, after) = (candidate("niveaux", OCTOBER, &by_level), candidate("sexes", OCTOBER, &by_sex));
    let hidden = ["uai=uai00", "uai=uai01", "sexe=sexe01, uai=uai00", "sexe=sexe01, uai=uai01"];
    let release = masking(&after, &hidden, &p);
    // Alone, it says little; the other crossing printed the schools' totals.
    assert_eq!(review(&release, &[], p.uniform(), &Limits::default(), &[]).unwrap(), []);
    let found = review(&release, &[printed(&earlier, &p)], p.uniform(), &Limits::default(), &[]).unwrap();
    assert!(found.iter().all(|f| f.releases == ["niveaux", "sexes"]));
    let small = found.iter().find(|f| label(&f.cell) == "sexe=sexe01, uai=uai00").unwrap();
    assert_eq!((small.reason, small.lower, small.upper), (Reason::Cell, 3, Some(3)));
    // Protected with the earlier tables, it may leave.
    let linked = tables(vec![
        Spec {
            dimensions: vec![dimension("uai", 2), dimension("niveau", 2)],
            ..cube(&[2, 2], &[20, 14, 30, 25])
        },
        Spec {
            dimensions: vec![dimension("uai", 2), dimension("sexe", 2)],
            ..cube(&[2, 2], &[31, 3, 28, 27])
        },
    ]);
    let ways = propose(
        &candidate("sexes", OCTOBER, &linked),
        None,
        &p,
        &[printed(&earlier, &p)],
        &Limits::default(),
        &[],
    )
    .unwrap();
    assert!(!ways.is_empty());
    ways.iter().for_each(|w| certified(w, &p));
}

#[test]
fn zonings_that_say_little_two_by_two_are_attacked_together() {
    let p = policy(Zeros::Published);
    // a + b, then a + c, then b + c: each is harmless, the three give a, b and c.
    let zoning = |level: &str, first: &[&str]| {
        let zone = |c: &str| if first.contains(&c) { "z1" } else { "z2" };
        let edges: Vec<(&str, Option<&str>)> = ["a", "b", "c", "d"]
            .map(|c| (c, Some(zone(c))))
            .into_iter()
            .chain([("z1", None), ("z2", None)])
            .collect();
        let d = Dimension::hierarchy("commune", &edges).unwrap().with_levels([level, "commune"]);
        let records = [("a", 6), ("b", 4), ("c", 2), ("d", 24)]
            .map(|(c, n)| Record::count(vec![d.node(c).unwrap()], n));
        tables(vec![Spec { records: records.to_vec(), dimensions: vec![d], published: None, overlap: false }])
    };
    let communes = ["a", "b", "c", "d"].map(|c| format!("commune={c}"));
    let communes = communes.each_ref().map(String::as_str);
    let zonings = [("z1", ["a", "b"]), ("z2", ["a", "c"]), ("z3", ["b", "c"])];
    let mut earlier: Vec<Release> = zonings
        .iter()
        .map(|(name, first)| masking(&candidate(name, OCTOBER, &zoning(name, first)), &communes, &p))
        .collect();
    let release = earlier.pop().unwrap();
    for one in &earlier {
        assert_eq!(
            review(&release, std::slice::from_ref(one), p.uniform(), &Limits::default(), &[]).unwrap(),
            []
        );
    }
    let found = review(&release, &earlier, p.uniform(), &Limits::default(), &[]).unwrap();
    assert!(found.iter().all(|f| f.releases == ["z1", "z2", "z3"] && f.upper == Some(f.lower)));
    assert_eq!(found.iter().map(|f| f.lower).collect::<Vec<_>>(), [6, 4, 2, 24]);
}

#[test]
fn where_nobody_moved_an_earlier_figure_says_what_is_masked() {
    let p = policy(Zeros::Published);
    let values = [20, 31, 18, 25, 40, 22];
    let (first, second) = (tables(vec![cube(&[3, 2], &values)]), tables(vec![cube(&[3, 2], &values)]));
    let (first, second) = (candidate("v1", OCTOBER, &first), candidate("v2", NOVEMBER, &second));
    let hidden = ["a=a00, b=b00", "a=a00, b=b01", "a=a01, b=b00", "a=a01, b=b01"];
    let found =
        review(&masking(&second, &hidden, &p), &[printed(&first, &p)], p.uniform(), &Limits::default(), &[])
            .unwrap();
    let pinned: Vec<i64> = found.iter().filter(|f| f.upper == Some(f.lower)).map(|f| f.lower).collect();
    assert_eq!(told(&found), hidden.map(|h| (Reason::Cell, h.to_owned())));
    assert_eq!(pinned, [20, 31, 18, 25]);
}

#[test]
fn figures_that_move_both_ways_say_only_their_difference() {
    let p = policy(Zeros::Published);
    let (first, second) = (
        tables(vec![cube(&[3, 2], &[20, 31, 18, 25, 40, 22])]),
        tables(vec![cube(&[3, 2], &[28, 22, 18, 25, 39, 22])]),
    );
    let (first, second) = (candidate("v1", OCTOBER, &first), candidate("v2", NOVEMBER, &second));
    let found =
        review(&printed(&second, &p), &[printed(&first, &p)], p.uniform(), &Limits::default(), &[]).unwrap();
    let differences = ["a=a00", "a=a02", "a=a02, b=b00", "total"].map(|c| (Reason::Difference, c.to_owned()));
    let mut told = told(&found);
    told.sort();
    assert_eq!(told, differences);
}

#[test]
fn another_population_is_not_subtracted() {
    let p = policy(Zeros::Published);
    let (first, second) =
        (tables(vec![cube(&[2, 2], &[20, 31, 18, 25])]), tables(vec![cube(&[2, 2], &[20, 30, 18, 25])]));
    let last_year = Candidate { population: "eleves-2025", ..candidate("v1", OCTOBER, &first) };
    let second = candidate("v2", NOVEMBER, &second);
    assert_eq!(
        review(&printed(&second, &p), &[printed(&last_year, &p)], p.uniform(), &Limits::default(), &[])
            .unwrap(),
        []
    );
}

#[test]
fn the_same_date_with_two_figures_is_a_contradiction_and_a_mask_taken_off_is_named() {
    let p = policy(Zeros::Published);
    let (first, second) = (tables(vec![cube(&[2], &[20, 31])]), tables(vec![cube(&[2], &[20, 36])]));
    let (first, second) = (candidate("v1", OCTOBER, &first), candidate("v2", OCTOBER, &second));
    let found = review(
        &printed(&second, &p),
        &[masking(&first, &["a=a00", "total"], &p)],
        p.uniform(),
        &Limits::default(),
        &[],
    )
    .unwrap();
    let expected =
        [(Reason::Unmasked, "total"), (Reason::Unmasked, "a=a00"), (Reason::Contradiction, "a=a01")];
    assert_eq!(told(&found), expected.map(|(r, c)| (r, c.to_owned())));
}

#[test]
fn a_code_keeps_its_name_across_zonings() {
    let zones = Dimension::hierarchy("uai", &[("d1", None), ("u1", Some("d1")), ("u2", Some("d1"))])
        .unwrap()
        .with_levels(["departement", "uai"]);
    let leaf = zones.node("u1").unwrap();
    let fine = Spec {
        dimensions: vec![zones],
        records: vec![Record::count(vec![leaf], 9)],
        published: None,
        overlap: false,
    };
    let coarse = Dimension::flat("departement", ["d1"]);
    let coarse = Spec {
        dimensions: vec![coarse],
        records: vec![Record::count(vec![1], 9)],
        published: None,
        overlap: false,
    };
    let linked = tables(vec![fine, coarse]);
    let names: Vec<String> = (0..3).map(|c| linked.label(c)).collect();
    assert_eq!(
        (linked.cells.len(), names),
        (3, ["total", "departement=d1", "uai=u1"].map(str::to_owned).to_vec())
    );
}

/// `m00` and `m01` say `n00`, `m02` and `m03` say `n01`.
fn mef_says_level() -> Implied {
    let map = [("m00", "n00"), ("m01", "n00"), ("m02", "n01"), ("m03", "n01")];
    let map = map.iter().map(|(f, c)| ((*f).to_owned(), [(*c).to_owned()].into())).collect();
    Implied::new("m", "n", map)
}

fn crossed(name: &str, codes: usize, values: &[u32]) -> Tables {
    tables(vec![Spec {
        dimensions: vec![dimension(name, codes), dimension("s", 2)],
        ..cube(&[codes, 2], values)
    }])
}

#[test]
fn a_level_that_another_says_is_added_up_across_releases() {
    let p = policy(Zeros::Published);
    let by_level = crossed("n", 2, &[12, 20, 30, 40]);
    let by_mef = crossed("m", 4, &[3, 12, 9, 8, 18, 25, 12, 15]);
    let earlier = protected(&candidate("niveaux", OCTOBER, &by_level), &p);
    let implied = [mef_says_level()];
    let of = |known: bool| Candidate {
        implied: if known { &implied } else { &[] },
        ..candidate("mef", OCTOBER, &by_mef)
    };
    // Only m00 × s00 = 3 is small; masked alone with what adds up with it inside its own table.
    let hidden = ["m=m00, s=s00", "m=m00, s=s01", "m=m02, s=s00", "m=m02, s=s01"];
    let attacked = |known: bool| {
        let release = masking(&of(known), &hidden, &p);
        review(&release, std::slice::from_ref(&earlier), p.uniform(), &Limits::default(), &[]).unwrap()
    };
    let blind = attacked(false);
    assert!(blind.iter().all(|f| f.reason != Reason::Cell), "{:?}", told(&blind));
    // n00 is printed, m01 too: what the level leaves to m00 is known.
    let found = attacked(true);
    assert!(told(&found).contains(&(Reason::Cell, "m=m00, s=s00".into())), "{:?}", told(&found));
    // What settles it is masked further, and then found safe.
    let ways = propose(&of(true), None, &p, std::slice::from_ref(&earlier), &Limits::default(), &[]).unwrap();
    assert!(ways.iter().any(|w| w.remedy == Remedy::KeepMasks));
    for way in &ways {
        let candidate = Candidate { tables: &way.tables, ..of(true) };
        let release = candidate.release(&way.suppression.masked, &p);
        let again = review(&release, std::slice::from_ref(&earlier), p.uniform(), &Limits::default(), &[]);
        assert_eq!(again.unwrap(), []);
    }
}

#[test]
fn a_code_found_with_several_is_spread_over_them_and_no_others() {
    let p = policy(Zeros::Published);
    let by_level = crossed("n", 3, &[22, 27, 36, 45, 9, 9]);
    let by_mef = crossed("m", 6, &[3, 12, 9, 8, 18, 25, 12, 15, 16, 12, 9, 9]);
    let mut map = mef_says_level().map;
    map.insert("m05".into(), ["n02".to_owned()].into());
    map.insert("m04".into(), ["n00".to_owned(), "n01".to_owned()].into());
    let known = [Implied::new("m", "n", map)];
    let earlier = printed(&candidate("niveaux", OCTOBER, &by_level), &p);
    let of = Candidate { implied: &known, ..candidate("mef", OCTOBER, &by_mef) };
    let release = printed(&of, &p);
    let joint =
        crate::disclosure::joint::Joint::of(&[&earlier, &release], crate::disclosure::joint::Supposed::Come);
    // Two levels of three, alone and by sex.
    assert_eq!(joint.cells.iter().filter(|m| m.state.is_empty()).count(), 6);
    // The truth agrees with every sum, however m04 is spread.
    assert!(joint.exposed(p.uniform().of(true), &Limits::default(), &[]).is_ok());
}

#[test]
fn a_cell_of_the_same_persons_keeps_its_mask_under_another_name() {
    let p = policy(Zeros::Published);
    let by_level = crossed("n", 2, &[12, 20, 30, 40]);
    let by_mef = crossed("m", 2, &[12, 20, 30, 40]);
    let map = [("m00", "n00"), ("m01", "n01")];
    let map = map.iter().map(|(f, c)| ((*f).to_owned(), [(*c).to_owned()].into())).collect();
    let known = [Implied::new("m", "n", map)];
    let hidden = ["n=n00, s=s00", "n=n00, s=s01", "n=n01, s=s00", "n=n01, s=s01"];
    let earlier = masking(&candidate("niveaux", OCTOBER, &by_level), &hidden, &p);
    let of = Candidate { implied: &known, ..candidate("mef", OCTOBER, &by_mef) };
    let found = propose(&of, None, &p, &[earlier], &Limits::default(), &[]).unwrap();
    let kept = found.iter().find(|w| w.remedy == Remedy::KeepMasks).unwrap();
    let masked: Vec<String> =
        (0_u32..).zip(&kept.suppression.masked).filter(|(_, m)| **m).map(|(c, _)| by_mef.label(c)).collect();
    assert_eq!(masked, ["m=m00, s=s00", "m=m00, s=s01", "m=m01, s=s00", "m=m01, s=s01"]);
}

/// Cells chosen by `n00`: the persons of one code of another level.
fn of_one_code(out: bool) -> Chosen {
    Chosen { flag: "n=n00".into(), level: Some("n".into()), codes: ["n00".to_owned()].into(), out }
}

fn flagged() -> Implied {
    let map = [("n00", CHOSEN), ("n01", LEFT)];
    let map = map.iter().map(|(f, c)| ((*f).to_owned(), [(*c).to_owned()].into())).collect();
    Implied::new("n", "n=n00", map)
}

#[test]
fn rows_that_a_code_chose_are_those_of_the_code() {
    let p = policy(Zeros::Published);
    let by_level = crossed("n", 2, &[10, 20, 30, 40]);
    // Of n00 alone, by m: m01 × s00 is small.
    let chosen_only = crossed("m", 2, &[8, 12, 2, 8]);
    let known = [flagged()];
    let choice = [of_one_code(false)];
    let earlier =
        Release { implied: known.to_vec().into(), ..printed(&candidate("tous", OCTOBER, &by_level), &p) };
    let of = Candidate { implied: &known, chosen: &choice, ..candidate("un", OCTOBER, &chosen_only) };
    // Its own margins hide what the other table prints.
    let hidden = ["m=m01, s=s00", "m=m01", "s=s00", "total"];
    let release = masking(&of, &hidden, &p);
    let found = review(&release, &[earlier], p.uniform(), &Limits::default(), &[]).unwrap();
    let small = found.iter().find(|f| label(&f.cell).contains("m=m01, n=n00=oui, s=s00")).unwrap();
    assert_eq!((small.reason, small.lower, small.upper), (Reason::Cell, 2, Some(2)));
    // What it does not list of the others is not nil.
    assert!(found.iter().all(|f| f.reason != Reason::Contradiction));
}

#[test]
fn crossings_that_two_releases_share_out_are_added_up() {
    let p = policy(Zeros::Published);
    let only = |crossings: &[[u8; 2]]| {
        let published = Some(crossings.iter().map(|c| c.to_vec()).collect());
        tables(vec![Spec { published, ..cube(&[3, 2], &[3, 20, 12, 30, 14, 9]) }])
    };
    let (fine, coarse) = (only(&[[1, 1]]), only(&[[1, 0], [0, 0]]));
    let earlier = masking(&candidate("fin", OCTOBER, &fine), &["a=a00, b=b00"], &p);
    let release = printed(&candidate("gros", OCTOBER, &coarse), &p);
    let found = review(&release, &[earlier], p.uniform(), &Limits::default(), &[]).unwrap();
    let told = told(&found);
    assert!(told.contains(&(Reason::Cell, "a=a00, b=b00".into())), "{told:?}");
}

#[test]
fn where_nothing_printed_moved_a_reader_may_suppose_that_people_left() {
    let p = policy(Zeros::Published);
    let first = crossed("n", 2, &[6, 20, 30, 40]);
    let second = tables(vec![Spec {
        dimensions: vec![dimension("n", 2), dimension("s", 2), dimension("x", 2)],
        ..cube(&[2, 2, 2], &[5, 1, 10, 10, 15, 15, 20, 20])
    }]);
    let earlier = printed(&candidate("v1", OCTOBER, &first), &p);
    // One of the n00 × s00 left; the second release hides that total, and one of its two parts.
    let hidden: Vec<String> = (0..second.cells.len() as u32)
        .map(|c| second.label(c))
        .filter(|l| !l.contains("x=") || l.contains("x=x01"))
        .collect();
    let hidden: Vec<&str> = hidden.iter().map(String::as_str).collect();
    let release = masking(&candidate("v2", NOVEMBER, &second), &hidden, &p);
    let found = review(&release, &[earlier], p.uniform(), &Limits::default(), &[]).unwrap();
    let small = found.iter().find(|f| label(&f.cell) == "n=n00, s=s00, x=x01").unwrap();
    assert_eq!((small.reason, small.upper), (Reason::Cell, Some(1)));
}

#[test]
fn what_one_state_says_by_another_level_is_subtracted() {
    let p = policy(Zeros::Published);
    let by_level = crossed("n", 2, &[13, 20, 30, 40]);
    let by_mef = crossed("m", 4, &[3, 12, 9, 8, 18, 25, 12, 15]);
    let known = [mef_says_level()];
    let earlier =
        Release { implied: known.to_vec().into(), ..printed(&candidate("v1", OCTOBER, &by_level), &p) };
    let of = Candidate { implied: &known, ..candidate("v2", NOVEMBER, &by_mef) };
    let hidden: Vec<String> = ["m=m00, s=s00", "m=m00", "s=s00", "total"].map(str::to_owned).into();
    let hidden: Vec<&str> = hidden.iter().map(String::as_str).collect();
    let found = review(&masking(&of, &hidden, &p), &[earlier], p.uniform(), &Limits::default(), &[]).unwrap();
    // n00 × s00 went from 13 to m00 + m01 = m00 + 9: at most 4 are in m00.
    let small = found.iter().find(|f| label(&f.cell) == "m=m00, s=s00").unwrap();
    assert_eq!((small.reason, small.upper), (Reason::Cell, Some(4)));
}

#[test]
fn a_policy_is_never_weaker_than_what_was_promised_before() {
    let strong = Policy { threshold: 11, width: 3, p_percent: Some(20), ..policy(Zeros::Published) };
    let weak = policy(Zeros::Published).strengthened(strong.uniform());
    assert_eq!((weak.threshold, weak.width, weak.p_percent), (11, 3, Some(20)));
    assert!(weak.name.contains("relevée"), "{}", weak.name);
    let same = strong.clone().strengthened(policy(Zeros::Published).uniform());
    assert_eq!(same, strong);
}

#[test]
fn amounts_stay_in_doubt_by_their_share_whatever_their_size() {
    let p = Policy { p_percent: Some(10), ..policy(Zeros::Published) };
    let mut spec = cube(&[4, 3], &[0; 12]);
    for (i, r) in spec.records.iter_mut().enumerate() {
        let few = if i == 5 { 2 } else { 20 };
        *r = Record { value: 400 + 37 * i as i64, contributors: few, first: 40, second: 30, ..r.clone() };
    }
    let tables = Tables::build(vec![spec], false).unwrap();
    let found = suppress(&tables, &p, &Imposed::default()).unwrap();
    assert!(found.unprotected.is_empty());
    let published = tables.published(&found.masked, 0);
    let rule = p.uniform().of(false);
    certify(&tables, &found, &published).check(&published, Some(rule), &found.requirements).unwrap();
    for i in crate::disclosure::audit::attack(&published, |_| true, &Limits::default()).unwrap() {
        assert!(rule.allows(i.lower, i.upper), "{i:?}");
        assert!(i.upper.is_none_or(|u| (u - i.lower) * 10 >= i.lower), "{i:?}");
    }
}

#[test]
fn people_who_come_back_are_counted_once_in_a_margin() {
    let mut spec = Spec { overlap: true, ..cube(&[3, 2], &[0; 6]) };
    for r in &mut spec.records {
        *r = Record { value: 50, contributors: 2, first: 0, second: 0, ..r.clone() };
    }
    let built = Tables::build(vec![spec], false).unwrap();
    assert!(built.cells.iter().all(|c| c.contributors == 2));
}

#[test]
fn what_a_wider_choice_took_and_a_narrower_one_did_not_is_subtracted() {
    let p = policy(Zeros::Published);
    let (wide, narrow) = (crossed("u", 2, &[14, 20, 30, 40]), crossed("u", 2, &[11, 20, 30, 40]));
    let choice = |codes: &[&str], out: bool| Chosen {
        flag: format!("n {codes:?} {out}"),
        level: Some("n".into()),
        codes: codes.iter().map(|c| (*c).to_owned()).collect(),
        out,
    };
    for (one, other) in [
        (choice(&["a", "b"], false), choice(&["a"], false)),
        (choice(&["c"], true), choice(&["c", "d"], true)),
        (choice(&["c"], true), choice(&["a"], false)),
    ] {
        let (one, other) = ([one], [other]);
        let earlier = printed(&Candidate { chosen: &one, ..candidate("large", OCTOBER, &wide) }, &p);
        let release = printed(&Candidate { chosen: &other, ..candidate("etroit", OCTOBER, &narrow) }, &p);
        let found = review(&release, &[earlier], p.uniform(), &Limits::default(), &[]).unwrap();
        assert!(
            found.iter().any(|f| f.reason == Reason::Difference && f.upper == Some(3)),
            "{one:?} {found:?}"
        );
    }
}

#[test]
fn a_first_person_of_a_combination_can_be_masked() {
    let p = policy(Zeros::Published);
    let (first, second) =
        (crossed("u", 3, &[9, 20, 0, 40, 12, 15]), crossed("u", 3, &[9, 20, 1, 40, 12, 15]));
    let earlier = [protected(&candidate("v1", OCTOBER, &first), &p)];
    let ways =
        propose(&candidate("v2", NOVEMBER, &second), None, &p, &earlier, &Limits::default(), &[]).unwrap();
    assert!(ways.iter().any(|w| w.remedy == Remedy::KeepMasks));
}

#[test]
fn releases_of_one_date_are_proven_by_themselves_beside_older_ones() {
    let p = policy(Zeros::Published);
    let by_level = crossed("n", 3, &[22, 27, 36, 45, 9, 9]);
    let by_mef = crossed("m", 3, &[22, 27, 36, 45, 9, 9]);
    let hidden = ["n=n00, s=s00", "n=n00, s=s01", "n=n01, s=s00", "n=n01, s=s01"];
    let old = masking(&candidate("v0", OCTOBER, &by_level), &hidden, &p);
    let other = masking(&candidate("niveaux", NOVEMBER, &by_level), &hidden, &p);
    let release = printed(&candidate("mef", NOVEMBER, &by_mef), &p);
    // No component is small enough to be attacked: nothing shows that what is masked of that date is in doubt.
    let limits = Limits { dense: 0, ..Limits::default() };
    let found = review(&release, &[old, other], p.uniform(), &limits, &[]).unwrap();
    let unproven: Vec<&Finding> =
        found.iter().filter(|f| f.releases == ["niveaux", "mef"] && f.reason == Reason::Cell).collect();
    assert_eq!(unproven.len(), hidden.len(), "{:?}", told(&found));
}
