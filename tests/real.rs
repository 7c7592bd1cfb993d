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
fn the_real_annuaire_is_taken_by_a_plain_contract_and_its_conflicts_told_by_line() {
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
    // Schools on several lines differ from one line to the other: none of them is taken.
    let text = std::fs::read_to_string(&file).unwrap();
    let mut lines = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for (i, line) in text.lines().enumerate().skip(1) {
        let uai = line.trim_start_matches('"').get(..8).unwrap().to_owned();
        lines.entry(uai).or_default().push(i as u64 + 1);
    }
    let wanted: BTreeSet<(u64, &str)> =
        lines.values().filter(|l| l.len() > 1).flatten().map(|l| (*l, "KEY_CONFLICT")).collect();
    assert_eq!(wanted.len(), 6);
    assert_eq!(found.iter().map(|(l, c, _)| (*l, c.as_str())).collect::<BTreeSet<_>>(), wanted, "{found:#?}");
}

#[test]
fn every_real_open_data_file_is_taken_by_its_contract() {
    let Some(shared) = shared() else { return };
    // File, contract, read, rejected: eight schools of the last one bear a UAI that ends in O.
    for (file, contract, read, rejected) in [
        ("acce_etablissements_extrait", "acce_etablissements", 1, 0),
        (
            "dep35-fr-en-adresse-et-geolocalisation-etablissements-premier-et-second-degre",
            "fr-en-adresse-et-geolocalisation-etablissements",
            117,
            0,
        ),
        ("dep35-fr-en-carte-scolaire-colleges-publics", "fr-en-carte-scolaire-colleges-publics", 5416, 0),
        ("dep35-fr-en-college-effectifs-niveau-sexe-lv", "fr-en-college-effectifs-niveau-sexe-lv", 374, 0),
        ("dep35-fr-en-ecoles-effectifs-nb_classes", "fr-en-ecoles-effectifs-nb_classes", 2704, 0),
        ("dep35-fr-en-effectifs-second-degre", "fr-en-effectifs-second-degre", 823, 8),
    ] {
        let file = shared.join(format!("real/{file}.csv")).display().to_string();
        let contract = root().join(format!("samples/contracts/{contract}.toml")).display().to_string();
        let report = json(&["validate", "x", &file, "--contract", &contract, "--date", DATE, "--json"], 0);
        let n = |k: &str| report["files"][0]["records"][k].as_u64().unwrap();
        assert_eq!((n("read"), n("rejected")), (read, rejected), "{file}");
    }
}
