//! Open data, judged by programs that share nothing with the engine: an attacker, and the readers
//! that publishers use. They need Python packages (scipy, duckdb, frictionless): the interpreter
//! that has them is named by `CARTULAIRE_PYTHON`, and without it these tests say that they skip.

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

use common::{night, root};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn python() -> Option<PathBuf> {
    let path = std::env::var("CARTULAIRE_PYTHON").ok().map(PathBuf::from);
    if path.is_none() {
        println!("skipped: CARTULAIRE_PYTHON names no interpreter");
    }
    path
}

fn package(store: &Path, dataset: &str) -> PathBuf {
    store.join("publications").join(dataset).join(common::DATE)
}

fn attack(python: &Path, package: &Path) -> Output {
    Command::new(python).arg(root().join("tests/attack_tables.py")).arg(package).arg("5").output().unwrap()
}

#[test]
fn an_attacker_finds_no_pinned_cell_and_does_on_naive_masking() {
    let Some(python) = python() else { return };
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let folder = package(store.path(), "eleves-uai-niveau");
    let out = attack(&python, &folder);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}{}", String::from_utf8_lossy(&out.stderr));
    let result: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(result["masked"].as_u64().unwrap() > 10);
    // The attack can fail a table: the same one, with only the cells under the threshold masked.
    let csv = std::fs::read_to_string(folder.join("data.csv")).unwrap();
    let truth = true_values(&python, store.path());
    let naive = csv.lines().map(|line| {
        let (uai, rest) = line.split_once(';').unwrap();
        match rest.strip_suffix(";;C").and_then(|level| truth.get(&format!("{uai};{level}"))) {
            Some(n) if n.as_u64().unwrap() >= 5 => line.replace(";;C", &format!(";{n};F")),
            _ => line.to_owned(),
        }
    });
    let naive: Vec<String> = naive.collect();
    assert_ne!(naive.join("\n"), csv.trim_end());
    let other = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("datapackage.json"), other.path().join("datapackage.json")).unwrap();
    std::fs::write(other.path().join("data.csv"), naive.join("\n")).unwrap();
    let out = attack(&python, other.path());
    assert_eq!(out.status.code(), Some(1), "{}", String::from_utf8_lossy(&out.stdout));
}

/// Pupils by school and level in the store's tables, counted by DuckDB.
fn true_values(python: &Path, store: &Path) -> serde_json::Map<String, serde_json::Value> {
    let sql = format!(
        "import duckdb, json; print(json.dumps(dict(duckdb.sql(\"select s.ENTStructureUAI || ';' || e.ENTEleveNivFormation, count(*) \
         from read_parquet('{0}/tables/ent_eleve/annee_scolaire=2025-2026/*/*.parquet') e \
         join read_parquet('{0}/tables/ent_etablissement/annee_scolaire=2025-2026/*/*.parquet') s \
         on e.ENTPersonStructRattach = s.ENTStructureJointure group by all\").fetchall())))",
        store.display()
    );
    let out = Command::new(python).args(["-c", &sql]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn frictionless_accepts_both_packages_and_duckdb_reads_the_partitions() {
    let Some(python) = python() else { return };
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    for dataset in ["eleves-uai-niveau", "dnma-visites-academie-semaine-profil"] {
        let descriptor = package(store.path(), dataset).join("datapackage.json");
        let out =
            Command::new(&python).args(["-m", "frictionless", "validate"]).arg(&descriptor).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    }
    let sql = format!(
        "import duckdb; print(duckdb.sql(\"select sum(n), count(distinct annee_scolaire), bool_and(livraison is not null) from (select annee_scolaire, livraison, count(*) n \
         from read_parquet('{}/tables/**/*.parquet', hive_partitioning=true, union_by_name=true) group by all)\").fetchall()[0])",
        store.path().display()
    );
    let out = Command::new(&python).args(["-c", &sql]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&out.stdout).trim(),
        // A wide line of DNMA is a row per item: more rows than records.
        "(23822, 2, True)",
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}
