//! Laws of the tri.

use super::*;
use crate::error::Error;
use crate::french::thousands;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::num::{NonZeroU16, NonZeroU32};

const REQUEST: Request<'static> = Request { number: "2026-001", public_value: "nonce des archives" };

const SHIPPED: [(&str, &str); 3] = [
    ("vie-scolaire.toml", include_str!("../../../../retention-rules/plans/vie-scolaire.toml")),
    ("examens.toml", include_str!("../../../../retention-rules/plans/examens.toml")),
    ("scope.toml", include_str!("../../../../retention-rules/plans/scope.toml")),
];

fn record(id: impl Into<String>) -> Record {
    Record { id: id.into(), year: "2021-2022".into(), kind: "dossier".into(), ..Record::default() }
}

fn plan() -> Plan {
    Plan { id: "p".into(), version: "1".into(), ..Plan::default() }
}

fn random(n: u64) -> Plan {
    Plan { random: Some(Size::Count(n)), ..plan() }
}

fn kept(plan: &Plan, records: impl IntoIterator<Item = Record>) -> BTreeSet<String> {
    let population = Population::new(plan, records).unwrap();
    let sample = population.draw(REQUEST).unwrap();
    sample.records().filter(|(_, kept)| *kept).map(|(id, _)| id.to_owned()).collect()
}

fn ids(set: &[&str]) -> BTreeSet<String> {
    set.iter().map(|s| (*s).to_owned()).collect()
}

fn refusal(plan: &Plan, records: Vec<Record>) -> &'static str {
    match Population::new(plan, records) {
        Err(Error::Refused { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn shipped_plans_are_right_and_speak_french() {
    let plans = load_plans(SHIPPED).unwrap();
    let names: Vec<&str> = plans.iter().map(|p| p.id.as_str()).collect();
    assert_eq!(
        names,
        [
            "annees-0-et-5",
            "courrier-selectif",
            "cahier-textes",
            "evaluations-nationales",
            "copies-baccalaureat",
            "copies-superieur",
            "scope-seances"
        ]
    );
    assert!(plans.iter().all(|p| p.french().len() > 1));
}

#[test]
fn launch_years_and_one_in_ten_of_witness_years() {
    let plans = load_plans(SHIPPED).unwrap();
    let mut plan = plans.iter().find(|p| p.id == "evaluations-nationales").unwrap().clone();
    plan.whole_years = vec![WholeYears {
        because: "lancement".into(),
        kind: WholeKind::Launch,
        years: vec!["2018-2019".into()],
    }];
    let records = [("2018-2019", 30), ("2019-2020", 30), ("2020-2021", 30), ("2024-2025", 31)];
    let records = records.iter().flat_map(|(year, n)| {
        (0..*n).map(move |i| Record { year: (*year).into(), ..record(format!("{year}/{i}")) })
    });
    let mut by_year: BTreeMap<String, usize> = BTreeMap::new();
    for id in kept(&plan, records) {
        *by_year.entry(id.split('/').next().unwrap().into()).or_default() += 1;
    }
    let got: Vec<(&str, usize)> = by_year.iter().map(|(y, n)| (y.as_str(), *n)).collect();
    assert_eq!(got, [("2018-2019", 30), ("2019-2020", 3), ("2024-2025", 4)]);
}

#[test]
fn every_criterion_keeps_its_records_with_every_reason() {
    let plan = Plan {
        qualitative: [("contentieux".to_owned(), "dossier contentieux".to_owned())].into(),
        surname: Some(Surname { column: "nom".into(), letters: vec!['B'], particles: Vec::new() }),
        witness_years: Some(WitnessYears {
            modulus: NonZeroU16::new(5).unwrap(),
            one_in: None,
            reading: Reading::End,
            residues: vec![0],
        }),
        ..plan()
    };
    let of = |id: &str, year: &str, name: &str| Record {
        year: year.into(),
        name: Some(name.into()),
        ..record(id)
    };
    let population = Population::new(
        &plan,
        [
            of("a", "2019-2020", "Bernard"),
            of("b", "2020-2021", "Bernard"),
            of("c", "2020-2021", "Martin"),
            of("d", "", "Martin"),
            of("e", "2020-2021", " "),
            Record { name: None, ..of("f", "2020-2021", "") },
            Record { excluded: Some("gel-7".into()), ..of("g", "2019-2020", "Bernard") },
            Record { qualitative: Some("contentieux".into()), ..of("h", "2019-2020", "Martin") },
            of("i", "2020-2022", "Martin"),
        ],
    )
    .unwrap();
    let sample = population.draw(REQUEST).unwrap();
    for (id, want) in [
        ("a", &[Reason::WitnessYear, Reason::Surname][..]),
        ("b", &[Reason::Surname]),
        ("c", &[]),
        ("d", &[Reason::YearUnknown]),
        ("e", &[Reason::SurnameUnknown]),
        ("f", &[Reason::SurnameUnknown]),
        ("g", &[Reason::Excluded]),
        ("h", &[Reason::Qualitative, Reason::WitnessYear]),
        ("i", &[Reason::YearUnknown]),
    ] {
        assert_eq!(sample.reasons(id).as_deref(), Some(want), "{id}");
    }
    assert_eq!(sample.reasons("z"), None);
    let manifest = sample.manifest().unwrap();
    assert_eq!(manifest.kept.len(), 8);
    let said = |id: &str| manifest.kept.iter().find(|k| k.id == id).unwrap().reasons.join(",");
    assert_eq!(
        (said("g"), said("h")),
        ("excluded:gel-7".into(), "qualitative:contentieux,witness_year".into())
    );
    let added: u64 = manifest.steps.iter().map(|s| s.added).sum();
    assert_eq!((added, manifest.counts.kept, manifest.counts.eliminated), (8, 8, 1));
}

#[test]
fn unknown_types_and_strata_are_kept() {
    let specimens = Plan { specimen_per_type: NonZeroU32::new(1), ..plan() };
    let untyped = ["x", "y"].map(|id| Record { kind: String::new(), ..record(id) });
    assert_eq!(kept(&specimens, untyped.into_iter().chain([record("a")])), ids(&["a", "x", "y"]));
    let strata = Stratified { columns: vec!["uai".into()], minimum: 0, size: Size::Count(1) };
    let stratified = Plan { stratified: Some(strata), ..plan() };
    let of = |id: &str, uai: &str| Record { strata: vec![uai.into()], ..record(id) };
    let got = kept(&stratified, [of("x", ""), of("y", ""), of("a", "1"), of("b", "1")]);
    assert!(got.contains("x") && got.contains("y") && got.len() == 3, "{got:?}");
}

#[test]
fn a_person_is_drawn_in_the_stratum_of_the_last_year_then_of_the_lowest_identifier() {
    let strata = Stratified { columns: vec!["uai".into()], minimum: 0, size: Size::Count(1) };
    let plan = Plan { stratified: Some(strata), ..plan() };
    for (first, second, home) in [
        ("2018-2019", "2019-2020", "lycee"),
        ("2019-2020", "2018-2019", "college"),
        ("2019-2020", "2019-2020", "college"),
        ("", "2019-2020", "lycee"),
        ("", "", "college"),
    ] {
        let of = |id: &str, year: &str, uai: &str| Record {
            key: Some("k".into()),
            year: year.into(),
            strata: vec![uai.into()],
            ..record(id)
        };
        let population =
            Population::new(&plan, [of("2", second, "lycee"), of("1", first, "college")]).unwrap();
        let sample = population.draw(REQUEST).unwrap();
        let step = sample.steps.last().unwrap();
        assert_eq!(step.strata, [StratumCount { drawn: 1, stratum: vec![home.into()], units: 1 }]);
        assert_eq!(step.kept, 2, "{first} {second}");
    }
}

#[test]
fn a_systematic_draw_takes_one_in_k_of_the_order_and_never_nothing() {
    let plan = Plan { systematic_one_in: NonZeroU32::new(10), ..plan() };
    let got = kept(&plan, (0..100).map(|i| record(format!("{i:03}"))));
    let places: Vec<usize> = got.iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(places.len(), 10);
    assert!(places.windows(2).all(|w| w[1] - w[0] == 10), "{places:?}");
    for n in 1..10 {
        assert_eq!(kept(&plan, (0..n).map(|i| record(format!("{i}")))).len(), 1, "{n}");
    }
}

#[test]
fn specimens_are_drawn_in_each_type() {
    let plan = Plan { specimen_per_type: NonZeroU32::new(2), ..plan() };
    let of = |kind: &str, n: usize| {
        let kind = kind.to_owned();
        (0..n).map(move |i| Record { kind: kind.clone(), ..record(format!("{kind}{i}")) }).collect::<Vec<_>>()
    };
    let got = kept(&plan, [of("a", 10), of("b", 1), of("c", 2)].concat());
    let of_type = |t: char| got.iter().filter(|id| id.starts_with(t)).count();
    assert_eq!((of_type('a'), of_type('b'), of_type('c')), (2, 1, 2));
}

#[test]
fn the_last_draws_take_from_the_rest() {
    let plan = Plan { specimen_per_type: NonZeroU32::new(3), ..random(4) };
    let population = Population::new(&plan, (0..20).map(|i| record(format!("{i:02}")))).unwrap();
    let sample = population.draw(REQUEST).unwrap();
    assert_eq!(sample.records().filter(|(_, kept)| *kept).count(), 7);
    let last = sample.steps.last().unwrap();
    assert_eq!((last.considered, last.kept, last.added), (17, 4, 4));
    assert_eq!(last.strata, [StratumCount { drawn: 4, stratum: Vec::new(), units: 17 }]);
}

#[test]
fn a_wrong_population_is_refused() {
    let qualitative = Record { qualitative: Some("inconnu".into()), ..record("a") };
    let excluded = Record { excluded: Some("gel de Paul".into()), ..record("a") };
    let stratum = Stratified { columns: vec!["uai".into()], minimum: 0, size: Size::Count(1) };
    for (plan, records, code) in [
        (random(1), vec![record("a"), record("b"), record("a")], "TRI_ID"),
        (random(1), vec![record("")], "TRI_ID"),
        (random(1), vec![Record { key: Some(String::new()), ..record("a") }], "TRI_KEY"),
        (random(1), vec![qualitative], "TRI_REASON"),
        (random(1), vec![excluded], "TRI_REASON"),
        (Plan { stratified: Some(stratum), ..plan() }, vec![record("a")], "TRI_STRATA"),
    ] {
        assert_eq!(refusal(&plan, records), code);
    }
    let population = Population::new(&random(1), [record("a")]).unwrap();
    for (number, public_value) in [("", "v"), ("1", " "), ("1\n", "v")] {
        assert!(matches!(
            population.draw(Request { number, public_value }),
            Err(Error::Refused { code: "TRI_REQUEST", .. })
        ));
    }
}

#[test]
fn an_empty_population_gives_an_empty_sample() {
    let population = Population::new(&random(5), []).unwrap();
    let manifest = population.draw(REQUEST).unwrap().manifest().unwrap();
    assert_eq!((manifest.counts.kept, manifest.counts.eliminated), (0, 0));
    assert!(population.is_empty());
}

/// Everything at once, on a small population of persons.
fn busy() -> (Plan, Vec<Record>) {
    let strata = Stratified { columns: vec!["uai".into()], minimum: 1, size: Size::Count(3) };
    let plan = Plan {
        qualitative: [("notable".to_owned(), "cas notable".to_owned())].into(),
        specimen_per_type: NonZeroU32::new(1),
        systematic_one_in: NonZeroU32::new(7),
        stratified: Some(strata),
        surname: Some(Surname { column: "nom".into(), letters: vec!['B'], particles: vec!["DE".into()] }),
        ..random(2)
    };
    let records = (0..40_usize).map(|i| Record {
        id: format!("r{i:02}"),
        key: (i % 3 > 0).then(|| format!("k{}", i / 4)),
        year: format!("{}-{}", 2010 + i % 9, 2011 + i % 9),
        name: Some(["Bernard", "de Martin", "Petit", "Zola"][i % 4].into()),
        kind: ["dossier", "bulletin"][i % 2].into(),
        strata: vec![format!("uai{}", i % 3)],
        qualitative: (i == 5).then(|| "notable".into()),
        excluded: (i == 6).then(|| "gel-1".into()),
    });
    (plan, records.collect())
}

#[test]
fn a_manifest_holds_and_any_flipped_bit_is_found() {
    let (plan, records) = busy();
    let population = Population::new(&plan, records).unwrap();
    let text = population.draw(REQUEST).unwrap().manifest().unwrap().text().unwrap();
    let read = Manifest::verify(text.as_bytes(), &population).unwrap();
    assert_eq!(read.plan, plan);
    assert!(!text.contains("\"k1\""), "a pseudonym is in the manifest");
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let found = Manifest::verify(&bytes, &population).unwrap_err();
        assert!(found.iter().all(|d| !d.message.is_empty()), "{at}");
    }
    for changed in [format!(" {text}"), format!("{text}\n"), text.trim_end().to_owned(), String::new()] {
        assert!(Manifest::verify(changed.as_bytes(), &population).is_err());
    }
}

#[test]
fn any_change_of_the_population_is_found() {
    let (plan, records) = busy();
    let population = Population::new(&plan, records.clone()).unwrap();
    let text = population.draw(REQUEST).unwrap().manifest().unwrap().text().unwrap();
    let changes: [fn(&mut Record); 8] = [
        |r| r.id.push('x'),
        |r| r.key = Some("k999".into()),
        |r| r.year = "2009-2010".into(),
        |r| r.name = Some("Xavier".into()),
        |r| r.kind = "registre".into(),
        |r| r.strata = vec!["uai9".into()],
        |r| r.qualitative = Some("notable".into()),
        |r| r.excluded = Some("gel-2".into()),
    ];
    for (n, change) in changes.iter().enumerate() {
        for at in [0, 20, 39] {
            let mut other = records.clone();
            change(&mut other[at]);
            let other = Population::new(&plan, other).unwrap();
            let found = Manifest::verify(text.as_bytes(), &other).unwrap_err();
            assert!(found.iter().any(|d| d.field == "population_root"), "{n} {at}");
        }
    }
    let other = Plan { random: Some(Size::Count(3)), ..plan };
    let other = Population::new(&other, records).unwrap();
    let found = Manifest::verify(text.as_bytes(), &other).unwrap_err();
    let fields: Vec<&str> = found.iter().map(|d| d.field).collect();
    assert!(fields.starts_with(&["plan", "plan_digest", "steps"]), "{fields:?}");
}

#[test]
fn a_lie_of_the_manifest_is_named() {
    let (plan, records) = busy();
    let population = Population::new(&plan, records).unwrap();
    let good = population.draw(REQUEST).unwrap().manifest().unwrap();
    type Lie = (&'static str, fn(&mut Manifest));
    let lies: [Lie; 9] = [
        ("algorithm", |m| m.algorithm.push('x')),
        ("plan", |m| m.plan.title.push('x')),
        ("plan_digest", |m| m.plan_digest.push('x')),
        ("population_root", |m| m.population_root.push('x')),
        ("seed", |m| m.public_value.push('x')),
        ("steps", |m| m.steps.reverse()),
        ("kept", |m| m.kept.truncate(3)),
        ("counts", |m| m.counts.kept += 1),
        ("eliminated_root", |m| m.eliminated_root.push('x')),
    ];
    for (field, lie) in lies {
        let mut bad = good.clone();
        lie(&mut bad);
        let found = Manifest::verify(bad.text().unwrap().as_bytes(), &population).unwrap_err();
        assert_eq!(found.first().unwrap().field, field);
    }
}

#[test]
fn another_seed_gives_another_sample_and_every_record_its_chance() {
    let plan = random(10);
    let population = Population::new(&plan, (0..40).map(|i| record(format!("{i:02}")))).unwrap();
    let mut times = BTreeMap::new();
    let mut samples = BTreeSet::new();
    for value in 0..400 {
        let public_value = value.to_string();
        let sample = population.draw(Request { public_value: &public_value, ..REQUEST }).unwrap();
        let drawn: Vec<String> =
            sample.records().filter(|(_, kept)| *kept).map(|(id, _)| id.to_owned()).collect();
        drawn.iter().for_each(|id| *times.entry(id.clone()).or_insert(0) += 1);
        samples.insert(drawn);
    }
    assert_eq!(samples.len(), 400);
    // 100 expected, standard deviation 8.7: five of them on each side.
    assert!(times.len() == 40 && times.values().all(|n| (56..=144).contains(n)), "{times:?}");
}

fn arb_records() -> impl Strategy<Value = Vec<Record>> {
    let one = (0..25_u8, 0..2_u8, 0..6_u16, 0..3_u8, 0..3_u8);
    prop::collection::vec(one, 0..80).prop_map(|all| {
        let numbered = all.into_iter().enumerate();
        let to = |(i, (key, has_key, year, kind, stratum)): (usize, (u8, u8, u16, u8, u8))| Record {
            id: format!("id-{:02}", (i * 37) % 80),
            key: (has_key == 1).then(|| format!("k{key}")),
            year: format!("{}-{}", 2015 + year, 2016 + year),
            name: Some("Martin".into()),
            kind: format!("t{kind}"),
            strata: vec![format!("s{stratum}")],
            qualitative: None,
            excluded: None,
        };
        numbered.map(to).collect()
    })
}

/// Plans whose only criterion is a draw of persons over the whole.
fn arb_draw() -> impl Strategy<Value = Plan> {
    prop_oneof![
        (0..30_u64).prop_map(random),
        (2..9_u32).prop_map(|k| Plan { systematic_one_in: NonZeroU32::new(k), ..plan() }),
        (0..30_u64, 0..3_u32).prop_map(|(n, minimum)| Plan {
            stratified: Some(Stratified { columns: vec!["uai".into()], minimum, size: Size::Count(n) }),
            ..plan()
        }),
    ]
}

proptest! {
    #[test]
    fn a_permutation_never_changes_the_manifest(
        (records, shuffled) in arb_records().prop_flat_map(|r| (Just(r.clone()), Just(r).prop_shuffle())),
        draw in arb_draw(),
    ) {
        let plan = Plan { specimen_per_type: NonZeroU32::new(1), ..draw };
        let text = |records| {
            Population::new(&plan, records).unwrap().draw(REQUEST).unwrap().manifest().unwrap().text().unwrap()
        };
        prop_assert_eq!(text(records), text(shuffled));
    }

    #[test]
    fn a_random_draw_takes_exactly_n_units(records in arb_records(), n in 0..60_u64) {
        let population = Population::new(&random(n), records.clone()).unwrap();
        let sample = population.draw(REQUEST).unwrap();
        let person = |r: &Record| r.key.clone().unwrap_or_else(|| format!("/{}", r.id));
        let all: BTreeSet<String> = records.iter().map(person).collect();
        let drawn: BTreeSet<String> =
            records.iter().filter(|r| !sample.reasons(&r.id).unwrap().is_empty()).map(person).collect();
        prop_assert_eq!(drawn.len() as u64, n.min(all.len() as u64));
    }

    #[test]
    fn the_records_of_a_person_follow_one_draw(records in arb_records(), plan in arb_draw()) {
        let population = Population::new(&plan, records.clone()).unwrap();
        let sample = population.draw(REQUEST).unwrap();
        let mut fate: BTreeMap<String, bool> = BTreeMap::new();
        for r in &records {
            let kept = !sample.reasons(&r.id).unwrap().is_empty();
            if let Some(key) = &r.key {
                prop_assert_eq!(*fate.entry(key.clone()).or_insert(kept), kept, "{}", key);
            }
        }
    }

    #[test]
    fn each_stratum_gets_its_share_and_its_minimum(records in arb_records(), n in 0..30_u64, minimum in 0..3_u32) {
        let strata = Stratified { columns: vec!["uai".into()], minimum, size: Size::Count(n) };
        let plan = Plan { stratified: Some(strata), ..plan() };
        let population = Population::new(&plan, records).unwrap();
        let sample = population.draw(REQUEST).unwrap();
        let strata = &sample.steps.last().unwrap().strata;
        let units: u64 = strata.iter().map(|s| s.units).sum();
        let drawn: u64 = strata.iter().map(|s| s.drawn).sum();
        prop_assert_eq!(units, population.units.len() as u64);
        prop_assert!(drawn >= n.min(units));
        prop_assert!(strata.iter().all(|s| s.drawn >= s.units.min(minimum.into())));
        if minimum == 0 {
            prop_assert_eq!(drawn, n.min(units));
        }
    }

    #[test]
    fn a_hold_only_ever_keeps_more_of_what_it_holds(records in arb_records(), draw in arb_draw()) {
        let held: Vec<Record> =
            records.iter().cloned().map(|r| Record { excluded: Some("gel".into()), ..r }).collect();
        let population = Population::new(&draw, held).unwrap();
        let sample = population.draw(REQUEST).unwrap();
        prop_assert!(sample.records().all(|(_, kept)| kept));
    }

    #[test]
    fn arbitrary_bytes_are_never_a_manifest(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Manifest::read(&bytes).is_err());
    }
}

/// `cargo test --release -- --ignored million --nocapture`
#[test]
#[ignore = "a measure: one million records"]
fn a_million_records() {
    let strata = Stratified { columns: vec!["uai".into()], minimum: 1, size: Size::Count(20_000) };
    let plan = Plan { stratified: Some(strata), specimen_per_type: NonZeroU32::new(5), ..random(50_000) };
    let records = (0..1_000_000_u64).map(|i| Record {
        id: format!("{:016x}{:08x}", i.wrapping_mul(0x9e37_79b9_7f4a_7c15), i),
        key: Some(format!("{:032x}", i / 5)),
        year: format!("{}-{}", 2010 + i % 10, 2011 + i % 10),
        name: Some("d'Artagnan".into()),
        kind: format!("type{}", i % 7),
        strata: vec![format!("uai{}", i % 3000)],
        qualitative: None,
        excluded: None,
    });
    let clock = std::time::Instant::now();
    let population = Population::new(&plan, records).unwrap();
    println!("gathered {:?}", clock.elapsed());
    let sample = population.draw(REQUEST).unwrap();
    println!("drawn {:?}", clock.elapsed());
    let text = sample.manifest().unwrap().text().unwrap();
    println!("written {:?}", clock.elapsed());
    let manifest = Manifest::verify(text.as_bytes(), &population).unwrap();
    println!("verified {:?}, {} kept", clock.elapsed(), thousands(manifest.counts.kept));
}
