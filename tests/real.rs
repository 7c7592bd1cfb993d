//! Real data of the ministry, where it is at hand.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests state what they expect"
)]

mod common;

use common::{DATE, json, night, root, shared};
use std::collections::BTreeSet;

#[test]
fn the_night_runs_with_the_whole_real_nomenclatures_and_finds_the_same() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
    let config = config
        .replace("samples/bcn", &shared.join("bcn").display().to_string())
        .replace("\"samples/", &format!("\"{}/samples/", root().display()));
    let path = folder.path().join("cartulaire.toml");
    std::fs::write(&path, config).unwrap();
    let real =
        json(&["run", "nightly", "--date", DATE, "--config", &path.display().to_string(), "--json"], 0);
    let other = tempfile::tempdir().unwrap();
    let sample = night(other.path(), "2");
    for (a, b) in real["steps"].as_array().unwrap().iter().zip(sample["steps"].as_array().unwrap()) {
        for key in ["name", "read", "accepted", "rejected", "excluded"] {
            assert_eq!(a[key], b[key], "{key}");
        }
    }
}

#[test]
fn the_real_annuaire_is_taken_by_a_plain_contract_and_its_duplicates_told_by_line() {
    let Some(shared) = shared() else { return };
    let file = shared.join("real/dep35-fr-en-annuaire-education.csv");
    let contract = root().join("samples/contracts/fr-en-annuaire-education.toml");
    let (file, contract) = (file.display().to_string(), contract.display().to_string());
    let report = json(&["validate", "annuaire", &file, "--contract", &contract, "--date", DATE, "--json"], 0);
    assert_eq!(report["files"][0]["records"]["read"], 996);
    let found: BTreeSet<(u64, String, String)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["line"].as_u64().unwrap(),
                f["code"].as_str().unwrap().to_owned(),
                f["message"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    let text = std::fs::read_to_string(&file).unwrap();
    let mut seen = std::collections::BTreeMap::new();
    let mut wanted = BTreeSet::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        let uai = line.trim_start_matches('"').get(..8).unwrap().to_owned();
        if let Some(first) = seen.get(&uai) {
            let _: &usize = first;
            wanted.insert((i as u64 + 1, "KEY_DUPLICATE".to_owned(), uai));
        } else {
            seen.insert(uai, i);
        }
    }
    assert_eq!(wanted.len(), 3);
    assert_eq!(
        found.iter().map(|(l, c, _)| (*l, c.clone())).collect::<Vec<_>>(),
        wanted.iter().map(|(l, c, _)| (*l, c.clone())).collect::<Vec<_>>(),
        "{found:#?}"
    );
}
