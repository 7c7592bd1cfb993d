//! The whole night, end to end, on the committed samples.

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

use common::{DATE, json, night, root, run, tree};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_step_accounts_for_its_records_and_outputs_exist() {
    let store = tempfile::tempdir().unwrap();
    let outcome = night(store.path(), "2");
    assert_eq!(outcome["status"], "ok");
    let steps = outcome["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["receive", "ingest", "extract", "sort-final", "elimination", "package"]);
    for step in steps {
        let n = |k: &str| step[k].as_u64().unwrap();
        assert!(n("read") > 0);
        assert_eq!(n("read"), n("accepted") + n("rejected") + n("excluded"), "{step}");
        for output in step["outputs"].as_array().unwrap() {
            assert!(store.path().join(output.as_str().unwrap()).exists(), "{output}");
        }
    }
}

/// To renew after a wanted change: `CARTULAIRE_GOLDEN=write cargo test --test night`, then read the
/// difference before committing it.
#[test]
fn the_output_tree_is_the_golden_one() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let found: String =
        tree(store.path()).iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
    let golden = root().join("tests/golden/night.sha256");
    if std::env::var("CARTULAIRE_GOLDEN").is_ok_and(|v| v == "write") {
        std::fs::write(&golden, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&golden).unwrap();
    let (found, expected): (BTreeSet<&str>, BTreeSet<&str>) =
        (found.lines().collect(), expected.lines().collect());
    let news: Vec<_> = found.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(&found).collect();
    assert!(news.is_empty() && gone.is_empty(), "new: {news:#?}\ngone: {gone:#?}");
}

#[test]
fn two_empty_stores_give_the_same_bytes_on_one_and_two_threads() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    night(one.path(), "1");
    night(two.path(), "2");
    assert_eq!(tree(one.path()), tree(two.path()));
}

#[test]
fn the_second_run_of_a_date_has_nothing_to_do_and_changes_no_byte() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let every_byte = |dir: &Path| -> Vec<(String, Vec<u8>)> {
        let names = ["ledger.sqlite"].into_iter().map(str::to_owned).chain(tree(dir).into_keys());
        names.map(|n| (n.clone(), std::fs::read(dir.join(&n)).unwrap())).collect()
    };
    let before = every_byte(store.path());
    let again = night(store.path(), "2");
    assert_eq!(again["nothing_to_do"], true);
    let text = run(&["run", "nightly", "--date", DATE, "--store", &store.path().display().to_string()], 0);
    assert!(String::from_utf8_lossy(&text.stdout).contains("Rien à faire"));
    assert!(before == every_byte(store.path()), "a byte changed");
}

#[test]
fn a_later_date_publishes_packages_and_lists_nothing_twice() {
    let store = tempfile::tempdir().unwrap();
    let at = store.path().display().to_string();
    night(store.path(), "2");
    let before: Vec<String> = tree(store.path())
        .into_keys()
        .filter(|n| !n.starts_with("reports/") && !n.starts_with("journal/"))
        .collect();
    let next = json(&["run", "nightly", "--date", "2026-01-13", "--store", &at, "--json"], 0);
    assert_eq!(next["status"], "ok");
    let after: Vec<String> = tree(store.path())
        .into_keys()
        .filter(|n| !n.starts_with("reports/") && !n.starts_with("journal/"))
        .collect();
    assert_eq!(before, after);
    assert_eq!(json(&["journal", "verify", "--store", &at, "--json"], 0)["verdict"], "intact");
}

/// (file, line, record, column, code)
type Place = (String, u64, u64, String, String);

fn places(findings: &Value) -> BTreeSet<Place> {
    let text = |f: &Value, k: &str| f[k].as_str().unwrap().to_owned();
    let list = findings.as_array().unwrap();
    let set: BTreeSet<Place> = list
        .iter()
        .map(|f| {
            (
                text(f, "file"),
                f["line"].as_u64().unwrap(),
                f["record"].as_u64().unwrap(),
                text(f, "column"),
                text(f, "code"),
            )
        })
        .collect();
    assert_eq!(set.len(), list.len(), "a finding is told twice");
    set
}

#[test]
fn findings_equal_the_truth_file_record_by_record() {
    let truth: Value =
        serde_json::from_slice(&std::fs::read(root().join("samples/night.truth.json")).unwrap()).unwrap();
    let expected = places(&truth["findings"]);
    let mut found = BTreeSet::new();
    // The two ENT and SCOPE exports are two deliveries: keys may come back from one to the other.
    let groups = [
        ("ent", "ENT2DEX-ENT99_Complet_20250705"),
        ("ent", "ENT2DEX-ENT99_Complet_20260110"),
        ("scope", "SCOPE_99_20250705"),
        ("scope", "SCOPE_99_20260110"),
        ("dnma", "fr-en-dnma-par-uai-profils_2025-05-05"),
        ("dnma", "fr-en-dnma-par-uai-profils_2025-09-01"),
        ("dnma", "fr-en-dnma-par-uai-appareils_2025-05-05"),
        ("dnma", "fr-en-dnma-par-uai-appareils_2025-09-01"),
        ("crdc", "CRDC_99_20260105"),
    ];
    let mut files: Vec<String> = std::fs::read_dir(root().join("samples/night"))
        .unwrap()
        .map(|e| e.unwrap().path().display().to_string())
        .collect();
    files.sort();
    let mut seen = 0;
    for (source, prefix) in groups {
        let mine: Vec<&str> = files.iter().filter(|f| f.contains(prefix)).map(String::as_str).collect();
        assert!(!mine.is_empty(), "{prefix}");
        seen += mine.len();
        let args: Vec<&str> = ["validate", source]
            .into_iter()
            .chain(mine)
            .chain(["--json", "--max-findings", "100000"])
            .collect();
        let report = json(&args, 0);
        let sum = |k: &str| {
            report["files"].as_array().unwrap().iter().map(|f| f["records"][k].as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(sum("read"), sum("accepted") + sum("rejected"));
        assert_eq!(
            report["findings_total"].as_u64().unwrap(),
            report["findings"].as_array().unwrap().len() as u64
        );
        found.extend(places(&report["findings"]));
    }
    assert_eq!(seen, files.len(), "a file of the night is not validated");
    let missed: Vec<_> = expected.difference(&found).collect();
    let surplus: Vec<_> = found.difference(&expected).collect();
    assert!(missed.is_empty() && surplus.is_empty(), "missed: {missed:#?}\nsurplus: {surplus:#?}");
}

#[test]
fn a_dry_run_and_a_plan_change_nothing_and_name_what_would_be_done() {
    let store = tempfile::tempdir().unwrap();
    let at = store.path().join("s").display().to_string();
    for args in [["run", "nightly", "--dry-run"], ["plan", "nightly", "--no-progress"]] {
        let args: Vec<&str> = args.into_iter().chain(["--date", DATE, "--store", &at, "--json"]).collect();
        let plan = json(&args, 0);
        assert_eq!(plan["run_id"], "nightly-2026-01-12");
        assert_eq!(plan["steps"].as_array().unwrap().len(), 6);
        assert_eq!(plan["new_files"].as_array().unwrap().len(), 27);
        assert_eq!(plan["next_planned"].as_array().unwrap().len(), 10);
        assert!(!Path::new(&at).exists());
    }
}

#[test]
fn no_planted_name_leaves_through_reports_publications_or_the_journal() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    // Every family name, given name, mail and INE of the pupils' file is a canary.
    let export =
        std::fs::read_to_string(root().join("samples/night/ENT2DEX-ENT99_Complet_20260110_Eleve_0000.xml"))
            .unwrap();
    let mut canaries = BTreeSet::new();
    for attribute in ["ENTPersonNomPatro", "sn", "givenName", "mail", "ENTEleveINE"] {
        for part in export.split(&format!("<attr name=\"{attribute}\">")).skip(1) {
            let value = part.split("<value>").nth(1).and_then(|v| v.split("</value>").next()).unwrap_or("");
            if value.len() > 5 && !value.contains('&') && part.find("</attr>") > part.find("<value>") {
                canaries.insert(value.to_owned());
            }
        }
    }
    assert!(canaries.len() > 500, "{}", canaries.len());
    let mut read = 0;
    for name in tree(store.path()).into_keys() {
        if ["reports/", "publications/", "certificates/", "journal/", "elimination/"]
            .iter()
            .any(|p| name.starts_with(p))
            && !name.ends_with(".parquet")
        {
            let text =
                String::from_utf8_lossy(&std::fs::read(store.path().join(&name)).unwrap()).into_owned();
            read += 1;
            let leaked = canaries.iter().find(|c| text.contains(c.as_str()));
            assert_eq!(leaked, None, "{name}");
        }
    }
    assert!(read >= 10);
}
