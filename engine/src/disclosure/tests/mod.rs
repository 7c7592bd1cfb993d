//! Laws of the whole: suppress, certify, check, attack.

mod files;
mod releases;
mod verdicts;

use crate::disclosure::audit::{Interval, Limits, attack};
use crate::disclosure::certificate::{Certificate, Checked};
use crate::disclosure::certify;
use crate::disclosure::policy::{Insiders, Policy, Zeros};
use crate::disclosure::suppress::{Imposed, Suppression, suppress};
use crate::disclosure::system::{Known, Published};
use crate::disclosure::table::{Dimension, Record, Spec, Tables};
use crate::error::Result;
use proptest::prelude::*;

fn policy(zeros: Zeros) -> Policy {
    Policy {
        name: "essai".into(),
        since: "2026-09-01".into(),
        threshold: 5,
        width: 2,
        dominance: None,
        p_percent: None,
        attributes: vec![],
        zeros,
        insiders: Insiders::None,
    }
}

fn dimension(name: &str, codes: usize) -> Dimension {
    Dimension::flat(name, (0..codes).map(|i| format!("{name}{i:02}")))
}

/// A table of flat dimensions, all crossings given, last dimension first to turn.
pub(super) fn cube(sizes: &[usize], values: &[u32]) -> Spec {
    let dimensions: Vec<Dimension> =
        sizes.iter().zip(["a", "b", "c", "d"]).map(|(n, x)| dimension(x, *n)).collect();
    let records = values
        .iter()
        .enumerate()
        .map(|(i, v)| {
            let mut rest = i;
            let mut leaves: Vec<u32> = sizes
                .iter()
                .rev()
                .map(|n| {
                    let node = rest % n;
                    rest /= n;
                    node as u32 + 1
                })
                .collect();
            leaves.reverse();
            Record::count(leaves, *v)
        })
        .collect();
    Spec { dimensions, records, published: None, overlap: false }
}

fn naive(tables: &Tables) -> Vec<bool> {
    tables.cells.iter().map(|c| (1..5).contains(&c.value)).collect()
}

struct Done {
    tables: Tables,
    suppression: Suppression,
    published: Published,
    proof: Certificate,
}

fn protect(specs: Vec<Spec>, policy: &Policy) -> Done {
    let tables = Tables::build(specs, true).unwrap();
    let suppression = suppress(&tables, policy, &Imposed::default()).unwrap();
    let published = tables.published(&suppression.masked, policy.floor(&tables));
    let proof = certify(&tables, &suppression, &published);
    Done { tables, suppression, published, proof }
}

fn check(d: &Done, p: &Policy) -> Result<Checked> {
    d.proof.check(&d.published, Some(p.uniform().of(true)), &d.suppression.requirements)
}

pub(super) const SMALL: [u32; 24] =
    [12, 3, 9, 30, 22, 17, 8, 40, 2, 11, 25, 9, 33, 14, 7, 6, 10, 18, 21, 5, 16, 28, 4, 13];

#[test]
fn masking_small_cells_alone_tells_them_all() {
    let tables = Tables::build(vec![cube(&[4, 3, 2], &SMALL)], true).unwrap();
    let found = attack(&tables.published(&naive(&tables), 1), |_| true, &Limits::default()).unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|i| i.is_pinned() && i.is_exact()));
    assert!(found.iter().all(|i| tables.cells[i.cell as usize].value == i.lower));
}

#[test]
fn what_is_suppressed_is_proven_and_withstands_the_attack() {
    for zeros in [Zeros::Published, Zeros::Concealed] {
        let p = policy(zeros);
        let d = protect(vec![cube(&[4, 3, 2], &SMALL)], &p);
        assert_eq!((d.suppression.primary, d.suppression.unprotected.len()), (3, 0));
        assert_eq!(check(&d, &p).unwrap().cells, d.published.masked().count());
        for i in attack(&d.published, |_| true, &Limits::default()).unwrap() {
            assert!(i.upper.is_none_or(|u| u >= 5 && u - i.lower >= 2), "{i:?}");
        }
    }
}

#[test]
fn a_certificate_changed_anywhere_is_refused() {
    let p = policy(Zeros::Published);
    let d = protect(vec![cube(&[4, 3, 2], &SMALL)], &p);
    let refused = |proof: &Certificate, published: &Published| {
        proof.check(published, Some(p.uniform().of(true)), &d.suppression.requirements).is_err()
    };
    for i in 0..d.proof.base.len() {
        let mut proof = d.proof.clone();
        proof.base[i].1 += 1;
        assert!(refused(&proof, &d.published), "base {i}");
    }
    for (t, table) in d.proof.tables.iter().enumerate() {
        for i in 0..table.len() {
            let mut proof = d.proof.clone();
            proof.tables[t][i].1 += 1;
            assert!(refused(&proof, &d.published), "table {t}, change {i}");
        }
    }
    for i in 0..d.proof.witnesses.len() {
        let mut proof = d.proof.clone();
        proof.witnesses.remove(i);
        assert!(refused(&proof, &d.published), "witness {i}");
        let mut proof = d.proof.clone();
        proof.witnesses[i].high = proof.witnesses[i].low;
        assert!(refused(&proof, &d.published), "witness {i} with one table");
    }
    for (i, known) in d.published.cells.iter().enumerate() {
        let mut published = d.published.clone();
        published.cells[i] = match known {
            Known::Value(v) => Known::Value(v + 1),
            // A mask removed.
            _ => Known::Value(d.tables.cells[i].value),
        };
        assert!(refused(&d.proof, &published), "cell {i}");
    }
}

#[test]
fn the_base_is_not_the_truth() {
    let d = protect(vec![cube(&[4, 3, 2], &SMALL)], &policy(Zeros::Published));
    assert!(d.proof.base.iter().any(|(c, v)| d.tables.cells[*c as usize].value != *v));
}

#[test]
fn a_hierarchy_and_linked_tables_are_protected_together() {
    let schools = Dimension::hierarchy(
        "uai",
        &[
            ("d1", None),
            ("d2", None),
            ("u1", Some("d1")),
            ("u2", Some("d1")),
            ("u3", Some("d2")),
            ("u4", Some("d2")),
        ],
    )
    .unwrap();
    let nodes = ["u1", "u2", "u3", "u4"].map(|u| schools.node(u).unwrap());
    // Pupils by (level, sex, boarding): the same people in both tables.
    let people: Vec<u32> =
        (0..32_u32).map(|i| [7, 14, 22, 9, 3, 18, 11, 27][i as usize % 8] + i % 5).collect();
    let by = |name: &str, code: &dyn Fn(usize) -> u32| Spec {
        dimensions: vec![schools.clone(), dimension(name, 2), dimension("sexe", 2)],
        records: people
            .iter()
            .enumerate()
            .map(|(i, n)| Record::count(vec![nodes[i / 8], code(i) + 1, (i / 2 % 2) as u32 + 1], *n))
            .collect(),
        published: None,
        overlap: false,
    };
    let specs = vec![by("niveau", &|i| (i % 2) as u32), by("internat", &|i| (i / 4 % 2) as u32)];
    let p = policy(Zeros::Published);
    let d = protect(specs, &Policy { threshold: 26, ..p.clone() });
    let p = Policy { threshold: 26, ..p };
    assert!(d.suppression.primary > 0);
    assert!(d.suppression.unprotected.is_empty());
    check(&d, &p).unwrap();
    assert!(
        attack(&d.published, |_| true, &Limits::default())
            .unwrap()
            .iter()
            .all(|i| i.upper.is_none_or(|u| u >= 26))
    );
}

#[test]
fn a_school_alone_in_its_commune_hides_the_commune_too() {
    let d = Dimension::hierarchy(
        "uai",
        &[("c1", None), ("c2", None), ("u1", Some("c1")), ("u2", Some("c2")), ("u3", Some("c2"))],
    )
    .unwrap();
    let spec = Spec {
        records: [("u1", 3), ("u2", 20), ("u3", 30)]
            .map(|(u, n)| Record::count(vec![d.node(u).unwrap()], n))
            .to_vec(),
        dimensions: vec![d],
        published: None,
        overlap: false,
    };
    let p = policy(Zeros::Published);
    let d = protect(vec![spec], &p);
    check(&d, &p).unwrap();
    let masked: Vec<String> = d.published.masked().map(|c| d.tables.label(c)).collect();
    assert!(masked.contains(&"uai=c1".to_owned()) && masked.contains(&"uai=u1".to_owned()), "{masked:?}");
}

#[test]
fn a_group_whole_in_one_code_is_protected_by_its_zeros() {
    // All girls of b00 hold a scholarship.
    let spec = cube(&[3, 2, 2], &[9, 0, 12, 8, 20, 30, 15, 14, 22, 18, 19, 25]);
    let p = Policy { attributes: vec!["c".into()], ..policy(Zeros::Concealed) };
    let d = protect(vec![spec], &p);
    assert!(d.suppression.unprotected.is_empty());
    check(&d, &p).unwrap();
    let zero = d.tables.cells.iter().position(|c| c.value == 0).unwrap();
    assert!(d.suppression.masked[zero]);
}

#[test]
fn whoever_is_a_whole_margin_learns_nothing_of_its_empty_parts() {
    // The only one of a01 holds no scholarship (c01): that nobody else of a01 does is about himself.
    let values = [9, 12, 8, 7, 1, 0, 0, 0, 22, 18, 19, 25];
    let p =
        Policy { attributes: vec!["c".into()], insiders: Insiders::Singletons, ..policy(Zeros::Concealed) };
    let d = protect(vec![cube(&[3, 2, 2], &values)], &p);
    assert!(d.suppression.unprotected.is_empty());
    check(&d, &p).unwrap();
}

#[test]
fn a_margin_of_a_hierarchy_moves_by_a_leaf_that_has_its_crossing() {
    // The large school of d1 has no pupil of the rare level; the small one has three.
    let schools = Dimension::hierarchy(
        "uai",
        &[("d1", None), ("u1", Some("d1")), ("u2", Some("d1")), ("d2", None), ("u3", Some("d2"))],
    )
    .unwrap()
    .with_levels(vec!["departement", "uai"]);
    let levels = dimension("b", 2);
    let node = |d: &Dimension, code: &str| d.nodes()[code];
    let records =
        [("u1", "b00", 900), ("u2", "b00", 20), ("u2", "b01", 3), ("u3", "b00", 40), ("u3", "b01", 30)]
            .map(|(u, b, n)| Record::count(vec![node(&schools, u), node(&levels, b)], n));
    let spec = Spec {
        records: records.to_vec(),
        dimensions: vec![schools.clone(), levels.clone()],
        published: None,
        overlap: false,
    };
    let p = policy(Zeros::Published);
    let d = protect(vec![spec], &p);
    assert!(d.suppression.unprotected.is_empty());
    check(&d, &p).unwrap();
    let masked: Vec<String> = d.published.masked().map(|c| d.tables.label(c)).collect();
    assert!(
        masked.contains(&"departement=d1, b=b01".to_owned())
            || masked.contains(&"b=b01, departement=d1".to_owned()),
        "{masked:?}"
    );
}

#[test]
fn someone_alone_in_a_cell_cannot_compute_another() {
    // (a00, b00) and (a00, b01) hold one person each: each would read the other from the total.
    let values = [1, 1, 30, 20, 25, 40, 12, 16, 9, 8, 31, 22];
    let p = Policy { insiders: Insiders::Singletons, ..policy(Zeros::Concealed) };
    let d = protect(vec![cube(&[4, 3], &values)], &p);
    assert!(d.suppression.unprotected.is_empty());
    let one = |cell: &str| (0..).find(|c| d.tables.label(*c) == cell).unwrap();
    for (insider, other) in [("a=a00, b=b00", "a=a00, b=b01"), ("a=a00, b=b01", "a=a00, b=b00")] {
        let mut known = d.published.clone();
        known.cells[one(insider) as usize] = Known::Value(1);
        let found = attack(&known, |_| true, &Limits::default()).unwrap();
        let interval = found.iter().find(|i| i.cell == one(other)).unwrap();
        assert!(interval.upper.is_none_or(|u| u >= 5), "{interval:?}");
    }
}

#[test]
fn magnitudes_with_a_dominant_contributor_are_protected() {
    let mut spec = cube(&[3, 3], &[400, 300, 250, 500, 350, 280, 260, 330, 310]);
    for r in &mut spec.records {
        (r.contributors, r.first, r.second) = (20, r.value / 10, r.value / 20);
    }
    spec.records[4].first = 340;
    let p = Policy { dominance: Some(85), p_percent: Some(10), ..policy(Zeros::Published) };
    let tables = Tables::build(vec![spec], false).unwrap();
    let s = suppress(&tables, &p, &Imposed::default()).unwrap();
    assert_eq!((s.primary, s.unprotected.len()), (1, 0));
    let published = tables.published(&s.masked, p.floor(&tables));
    certify(&tables, &s, &published).check(&published, None, &s.requirements).unwrap();
}

/// Every table that agrees, by trying all values up to a bound.
fn by_enumeration(published: &Published, most: i64) -> Vec<(i64, i64)> {
    let hidden: Vec<usize> = published.masked().map(|c| c as usize).collect();
    let floor = published.cells[hidden[0]].floor().unwrap();
    let mut x: Vec<i64> = published.cells.iter().map(|k| k.value().unwrap_or(floor)).collect();
    let mut bounds = vec![(i64::MAX, i64::MIN); hidden.len()];
    loop {
        if published
            .relations
            .iter()
            .all(|r| r.children.iter().map(|c| x[*c as usize]).sum::<i64>() == x[r.parent as usize])
        {
            for (b, i) in bounds.iter_mut().zip(&hidden) {
                *b = (b.0.min(x[*i]), b.1.max(x[*i]));
            }
        }
        let Some(turn) = hidden.iter().position(|i| x[*i] < most) else { return bounds };
        x[hidden[turn]] += 1;
        for i in &hidden[..turn] {
            x[*i] = floor;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bounds_are_those_of_enumeration(values in prop::collection::vec(1_u32..4, 8), masks in prop::collection::vec(0_usize..8, 6)) {
        let tables = Tables::build(vec![cube(&[2, 2, 2], &values)], true).unwrap();
        let inner: Vec<usize> = (0..tables.cells.len()).filter(|i| tables.cells[*i].key.len() == 3).collect();
        let mut masked = vec![false; tables.cells.len()];
        masks.iter().for_each(|m| masked[inner[*m]] = true);
        // One margin too: the flat tables have it as a child and as a parent.
        let margin = (0..tables.cells.len()).find(|i| tables.cells[*i].key.len() == 2).unwrap();
        masked[margin] = true;
        let published = tables.published(&masked, 0);
        let found: Vec<(i64, i64)> = attack(&published, |_| true, &Limits::default()).unwrap().iter()
            .map(|i| { assert!(i.is_exact()); (i.lower, i.upper.unwrap()) }).collect();
        prop_assert_eq!(found, by_enumeration(&published, 7));
    }

    #[test]
    fn order_of_records_changes_nothing(values in prop::collection::vec(0_u32..40, 24), seed in 0_usize..24) {
        let spec = cube(&[4, 3, 2], &values);
        let mut turned = spec.clone();
        turned.records.rotate_left(seed);
        turned.records.reverse();
        let p = policy(Zeros::Concealed);
        let (a, b) = (protect(vec![spec], &p), protect(vec![turned], &p));
        prop_assert_eq!(a.published, b.published);
        prop_assert_eq!(a.proof, b.proof);
    }

    #[test]
    fn proven_or_said_to_be_unprotected(values in prop::collection::vec(0_u32..30, 36), published in any::<bool>()) {
        let p = policy(if published { Zeros::Published } else { Zeros::Concealed });
        let d = protect(vec![cube(&[4, 3, 3], &values)], &p);
        prop_assert_eq!(check(&d, &p).is_ok(), d.suppression.unprotected.is_empty());
        if d.suppression.unprotected.is_empty() {
            let found = attack(&d.published, |_| true, &Limits::default()).unwrap();
            // No witness lies outside what the attack says is possible.
            for (i, w) in found.iter().zip(&d.proof.witnesses) {
                prop_assert_eq!(i.cell, w.cell);
                let truth = d.tables.cells[i.cell as usize].value;
                prop_assert!(i.lower <= truth && i.upper.is_none_or(|u| u >= truth.max(5)));
            }
        }
    }

    #[test]
    fn one_more_margin_never_makes_an_unsafe_table_safe(values in prop::collection::vec(1_u32..30, 24), margin in 0_usize..7) {
        let depths: Vec<Vec<u8>> = (0..8_u8).map(|m| vec![m & 1, m >> 1 & 1, m >> 2 & 1]).collect();
        let inner_and = |n: usize| {
            let mut spec = cube(&[4, 3, 2], &values);
            spec.published = Some(depths.iter().take(n).chain(depths.last()).cloned().collect());
            let tables = Tables::build(vec![spec], true).unwrap();
            let masked = naive(&tables);
            attack(&tables.published(&masked, 1), |_| true, &Limits::default()).unwrap()
        };
        let (few, more) = (inner_and(margin), inner_and(margin + 1));
        let narrower = |a: &Interval, b: &Interval| b.lower >= a.lower && b.upper.unwrap_or(i64::MAX) <= a.upper.unwrap_or(i64::MAX);
        for a in &few {
            let b = more.iter().find(|b| b.cell == a.cell).unwrap();
            prop_assert!(narrower(a, b), "{a:?} {b:?}");
        }
    }
}
