use super::*;
use proptest::prelude::*;

/// A quasi-identifier of `codes` codes, each level a `step` times coarser.
fn quasi(codes: u32, steps: &[u32]) -> Quasi {
    let levels: Vec<Vec<String>> =
        steps.iter().map(|s| (0..codes).map(|c| (c / s).to_string()).collect()).collect();
    Quasi::new(codes as usize, &levels)
}

fn asks(k: u32, l: u32, t: Option<u64>, suppressed: u64) -> Request {
    Request { k, l, t, suppressed }
}

/// The rows that a solution lets leave, as texts.
fn leaving(
    quasi: &[Quasi],
    columns: &[&[u32]],
    secret: &[u32],
    classes: &Classes,
    found: &Solution,
) -> Vec<Vec<String>> {
    (0..secret.len())
        .filter(|row| !found.suppressed[classes.of[*row] as usize])
        .map(|row| {
            let known = quasi.iter().zip(columns).zip(&found.levels);
            let mut out: Vec<String> =
                known.map(|((q, c), level)| format!("{level}:{}", q.maps[*level][c[row] as usize])).collect();
            out.push(secret[row].to_string());
            out
        })
        .collect()
}

#[test]
fn the_least_generalisation_that_is_safe_is_found() {
    // Four schools under two towns, by age: each pair once; towns by age twice.
    let (schools, ages) = ([0, 1, 2, 3, 0, 1, 2, 3], [0, 0, 0, 0, 1, 1, 1, 1]);
    let q = [quasi(4, &[2]), quasi(2, &[])];
    let classes = group(&q, &[&schools, &ages], &[]).unwrap();
    assert_eq!((classes.len(), classes.rows()), (8, 8));
    for (k, suppressed, levels) in [(2, 0, vec![1, 0]), (4, 0, vec![2, 0]), (8, 0, vec![2, 1])] {
        let found = search(&classes, &q, &asks(k, 1, None, suppressed)).unwrap().unwrap();
        assert_eq!((found.levels, found.suppressed_rows), (levels, 0), "{k}");
    }
    assert_eq!(search(&classes, &q, &asks(9, 1, None, 0)).unwrap(), None);
    for wrong in [asks(1, 1, None, 0), asks(2, 0, None, 0), asks(2, 1, None, PARTS + 1)] {
        assert!(search(&classes, &q, &wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_few_odd_rows_are_left_out_rather_than_all_generalised() {
    // Nineteen rows of one code, one of another.
    let mut column = vec![0; 19];
    column.push(1);
    let q = [quasi(2, &[])];
    let classes = group(&q, &[&column], &[]).unwrap();
    let found = search(&classes, &q, &asks(5, 1, None, 50_000)).unwrap().unwrap();
    assert_eq!((found.levels, found.suppressed_rows), (vec![0], 1));
    assert!((found.loss - 0.05).abs() < 1e-9);
    let found = search(&classes, &q, &asks(5, 1, None, 40_000)).unwrap().unwrap();
    assert_eq!((found.levels, found.suppressed_rows), (vec![1], 0));
}

#[test]
fn columns_that_do_not_go_together_are_refused() {
    let q = [quasi(2, &[])];
    assert!(group(&q, &[&[0, 2]], &[]).is_err());
    assert!(group(&q, &[&[0], &[0]], &[]).is_err());
    assert!(
        group(&q, &[&[0, 1]], &[Secret { codes: &[0], values: 1, ordered: false, missing: None }]).is_err()
    );
    let none = group(&q, &[&[]], &[]).unwrap();
    assert!(none.is_empty());
    assert_eq!(search(&none, &q, &asks(5, 2, None, 0)).unwrap().map(|s| s.suppressed_rows), Some(0));
}

#[test]
fn rows_that_are_not_what_is_asked_do_not_leave() {
    let row = |a: &str, s: &str| vec![a.to_owned(), s.to_owned()];
    let rows = vec![row("x", "1"), row("x", "2"), row("y", "3"), row("y", "3")];
    let measured = verify(&rows, 1, &[true], &asks(2, 1, None, 0)).unwrap();
    assert_eq!((measured.k, measured.l, measured.classes), (2, 1, 2));
    let gap = vec![row("x", "1"), row("x", "_Z"), row("y", "3"), row("y", "4")];
    assert!(verify(&gap, 1, &[true], &asks(2, 2, None, 0)).is_err(), "what is missing hides nothing");
    for refused in [asks(3, 1, None, 0), asks(2, 2, None, 0), asks(2, 1, Some(100_000), 0)] {
        assert!(verify(&rows, 1, &[true], &refused).is_err(), "{refused:?}");
    }
    assert!(verify(&rows, 1, &[], &asks(2, 1, None, 0)).is_err(), "an undeclared column");
}

proptest! {
    #[test]
    fn what_is_found_holds_and_no_node_loses_less(
        rows in prop::collection::vec((0_u32..6, 0_u32..4, 0_u32..3), 1..60),
        k in 2_u32..5, l in 1_u32..3, t in prop::option::of(100_000_u64..900_000), suppressed in 0_u64..400_000,
        ordered in any::<bool>(), turn in 0_usize..60,
    ) {
        let q = [quasi(6, &[2, 3]), quasi(4, &[2])];
        let request = asks(k, l, t, suppressed);
        let of = |rows: &[(u32, u32, u32)]| {
            let columns: [Vec<u32>; 3] = [
                rows.iter().map(|r| r.0).collect(), rows.iter().map(|r| r.1).collect(), rows.iter().map(|r| r.2).collect(),
            ];
            let secret = Secret { codes: &columns[2], values: 3, ordered, missing: None };
            let classes = group(&q, &[&columns[0], &columns[1]], &[secret]).unwrap();
            let found = search(&classes, &q, &request).unwrap();
            (columns, classes, found)
        };
        let (columns, classes, found) = of(&rows);
        if let Some(found) = &found {
            prop_assert!(found.suppressed_rows * PARTS <= rows.len() as u64 * suppressed);
            let out = leaving(&q, &[&columns[0], &columns[1]], &columns[2], &classes, found);
            prop_assert_eq!(out.len() as u64 + found.suppressed_rows, rows.len() as u64);
            let measured = verify(&out, 2, &[ordered], &request);
            prop_assert!(measured.is_ok(), "{measured:?}");
        }
        // The order of rows is nothing.
        let mut other = rows.clone();
        other.rotate_left(turn % rows.len());
        let (_, _, again) = of(&other);
        let told = |s: &Option<Solution>| s.as_ref().map(|s| (s.levels.clone(), s.suppressed_rows, s.loss.to_bits()));
        prop_assert_eq!(told(&found), told(&again));
        // Without secrets: every node tried by hand loses as much or more.
        if l == 1 && t.is_none() {
            let mut least = f64::INFINITY;
            for a in 0..4 {
                for b in 0..3 {
                    let mut sizes = std::collections::BTreeMap::new();
                    for r in &rows {
                        *sizes.entry((q[0].maps[a][r.0 as usize], q[1].maps[b][r.1 as usize])).or_insert(0_u32) += 1;
                    }
                    let (mut loss, mut out) = (0.0, 0);
                    for r in &rows {
                        let at = (q[0].maps[a][r.0 as usize], q[1].maps[b][r.1 as usize]);
                        if sizes[&at] < k { out += 1; loss += 2.0; continue; }
                        loss += f64::from([0, 1, 2, 5][a]) / 5.0 + f64::from([0, 1, 3][b]) / 3.0;
                    }
                    if out * PARTS <= rows.len() as u64 * suppressed {
                        least = least.min(loss / (2.0 * rows.len() as f64));
                    }
                }
            }
            match &found {
                Some(s) => prop_assert!((s.loss - least).abs() < 1e-5, "{} {least}", s.loss),
                None => prop_assert!(least.is_infinite()),
            }
        }
    }
}
