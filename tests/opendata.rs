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
    // The attack can fail a table: the same one, with one masked cell more published, falls.
    let csv = std::fs::read_to_string(folder.join("data.csv")).unwrap();
    let masked: Vec<&str> = csv.lines().filter(|l| l.ends_with(";;C") && !l.contains("_T")).collect();
    let naive = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("datapackage.json"), naive.path().join("datapackage.json")).unwrap();
    let truth = true_value(store.path(), masked.first().unwrap());
    let revealed =
        csv.replace(masked.first().unwrap(), &masked.first().unwrap().replace(";;C", &format!(";{truth};F")));
    std::fs::write(naive.path().join("data.csv"), revealed).unwrap();
    assert_eq!(attack(&python, naive.path()).status.code(), Some(1));
}

/// Pupils of a school and level in the store's tables, counted by DuckDB.
fn true_value(store: &Path, line: &str) -> String {
    let mut parts = line.split(';');
    let (uai, level) = (parts.next().unwrap(), parts.next().unwrap());
    let sql = format!(
        "import duckdb; print(duckdb.sql(\"select count(*) from read_parquet('{0}/tables/ent_eleve/annee_scolaire=2025-2026/*/*.parquet') e \
         join read_parquet('{0}/tables/ent_etablissement/annee_scolaire=2025-2026/*/*.parquet') s on e.ENTPersonStructRattach = s.ENTStructureJointure \
         where s.ENTStructureUAI = '{uai}' and e.ENTEleveNivFormation = '{level}'\").fetchall()[0][0])",
        store.display()
    );
    let out = Command::new(python().unwrap()).args(["-c", &sql]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
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
        "(15314, 2, True)",
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}
