//! What makes a package unsafe besides its masks, and what a verdict tells.

use crate::disclosure::audit::Limits;
use crate::disclosure::policy::Uniform;
use crate::disclosure::verdict::{Asked, Audit, Verdict, audit_folder};
use crate::domain::Digest;
use crate::error::Result;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

const RULE: Uniform = Uniform { threshold: 5, width: 2, percent: 0 };

/// Every figure is of many.
const OPEN: &str = "A;20;F\nB;30;F\n_T;50;F\n";
/// A masked cell is the total less the other.
const NAIVE: &str = "A;;C\nB;30;F\n_T;33;F\n";

/// A package of a zone and a measure, whose field and descriptor say `field` and `more` too.
fn package(rows: &str, field: Value, more: Value) -> TempDir {
    let data = format!("\u{feff}zone;n;n_statut\n{rows}");
    let mut measure =
        json!({"name": "n", "type": "integer", "cartulaire:role": "measure", "cartulaire:additive": true});
    let mut whole = json!({"name": "x", "resources": [{"path": "data.csv", "hash": format!("sha256:{}", Digest::of(data.as_bytes())),
        "schema": {"fields": [{"name": "zone", "type": "string", "cartulaire:role": "dimension"}, null,
                              {"name": "n_statut", "type": "string", "cartulaire:role": "status"}]}}]});
    for (target, keys) in [(&mut measure, field), (&mut whole, more)] {
        target.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    }
    whole["resources"][0]["schema"]["fields"][1] = measure;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "data.csv", data.as_bytes());
    write(folder.path(), "datapackage.json", whole.to_string().as_bytes());
    folder
}

fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::io::Write::write_all(&mut std::fs::File::create(folder.join(name)).unwrap(), bytes).unwrap();
}

fn audit(folder: &Path, asked: Asked) -> Result<Audit> {
    audit_folder(folder, None, asked, &Limits::default())
}

fn found(folder: &TempDir) -> Audit {
    audit(folder.path(), Asked::default()).unwrap()
}

fn told(found: &Audit, text: &str) -> bool {
    found.notes.iter().any(|n| n.contains(text))
}

#[test]
fn what_is_masked_is_judged_as_persons_whatever_the_package_says() {
    for field in [json!({}), json!({"cartulaire:persons": false})] {
        let found = found(&package(NAIVE, field.clone(), json!({})));
        assert_eq!((found.verdict, found.exposed.len()), (Verdict::Unsafe, 1), "{field}");
        assert_eq!(told(&found, "seul le paquet le dit"), field != json!({}));
    }
}

#[test]
fn what_only_the_package_says_is_told() {
    let policy = |threshold: i64| json!({"cartulaire:policy": {"threshold": threshold, "width": 2}});
    for (field, more, want) in [
        (json!({"cartulaire:persons": false}), policy(5), Some("« n » ne compterait pas de personnes")),
        (json!({}), policy(3), Some("seuil de 3 personnes")),
        (json!({}), json!({"cartulaire:noise": 3}), Some("un bruit d'au plus 3")),
        (json!({}), policy(5), None),
    ] {
        let found = found(&package(OPEN, field, more.clone()));
        match want {
            Some(want) => assert!(told(&found, want), "{more}: {:?}", found.notes),
            None => assert_eq!(found.notes.len(), 1, "only SHA256SUMS: {:?}", found.notes),
        }
    }
}

#[test]
fn an_older_package_that_masks_nothing_counts_nobody_and_any_other_does() {
    let rows = "A;2;F\nB;30;F\n_T;32;F\n";
    let table = json!({"cartulaire:table": "dnma_profils"});
    let policy = json!({"cartulaire:table": "x", "cartulaire:policy": {"threshold": 5, "width": 2}});
    for (more, verdict) in [(table, Verdict::Safe), (policy, Verdict::Unsafe), (json!({}), Verdict::Unsafe)] {
        assert_eq!(found(&package(rows, json!({}), more.clone())).verdict, verdict, "{more}");
    }
    let few = found(&package(rows, json!({}), json!({})));
    assert_eq!(few.reason.as_deref(), Some("1 chiffre publié compte moins de 5 personnes"));
}

#[test]
fn digests_that_cannot_be_read_are_refused_and_missing_ones_are_told() {
    let reason = |make: &dyn Fn(&Path)| {
        let folder = package(OPEN, json!({}), json!({}));
        make(&folder.path().join("SHA256SUMS"));
        let found = found(&folder);
        (found.verdict == Verdict::Safe, told(&found, "SHA256SUMS manque"), found.reason.is_some())
    };
    let bytes = |path: &Path, bytes: &[u8]| write(path.parent().unwrap(), "SHA256SUMS", bytes);
    assert_eq!(reason(&|_| {}), (true, true, false));
    assert_eq!(reason(&|p| bytes(p, b"")), (true, false, false));
    let refused = (false, false, true);
    assert_eq!(reason(&|p| std::fs::create_dir(p).unwrap()), refused);
    assert_eq!(reason(&|p| bytes(p, b"\xff\xfe")), refused);
    assert_eq!(reason(&|p| bytes(p, &vec![b'\n'; (1 << 20) + 1])), refused);
    #[cfg(unix)]
    {
        let pipe = |p: &Path| {
            assert!(std::process::Command::new("mkfifo").arg(p).status().unwrap().success());
        };
        assert_eq!(reason(&pipe), refused);
        assert_eq!(reason(&|p| std::os::unix::fs::symlink("nowhere", p).unwrap()), refused);
    }
}

#[test]
fn data_that_nobody_proved_makes_a_package_unsafe() {
    for (name, safe) in [
        ("README.md", true),
        ("LICENSE", true),
        ("carte.png", true),
        ("dcat.jsonld", true),
        ("detail.csv", false),
        ("DATA.CSV", false),
        ("data.jsonl", false),
        ("data.xlsx", false),
        ("tout.zip", false),
        ("certificate.json", false),
        ("donnees", false),
    ] {
        let folder = package(OPEN, json!({}), json!({}));
        write(folder.path(), name, b"x");
        assert_eq!(found(&folder).verdict == Verdict::Safe, safe, "{name}");
    }
    let folder = package(OPEN, json!({}), json!({}));
    std::fs::create_dir(folder.path().join("plus")).unwrap();
    assert!(found(&folder).reason.unwrap().contains("plus"));
    // And what the descriptor alone names.
    let folder = package(OPEN, json!({}), json!({}));
    let path = folder.path().join("datapackage.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let more = text.replace("\"resources\":[", "\"resources\":[{\"path\":\"https://a.fr/lignes.csv\"},");
    assert_ne!(more, text);
    write(folder.path(), "datapackage.json", more.as_bytes());
    assert!(found(&folder).reason.unwrap().contains("lignes.csv"));
}

#[test]
fn the_rule_is_the_strictest_unless_the_command_line_replaces_it() {
    let policy = |threshold: i64, width: i64, percent: i64| json!({"cartulaire:policy": {"threshold": threshold, "width": width, "percent": percent}});
    let rule = |more: Value, asked: Asked| audit(package(OPEN, json!({}), more).path(), asked).unwrap().rule;
    let of = |threshold, width, percent| Uniform { threshold, width, percent };
    let portal = Asked::from(of(11, 1, 10));
    assert_eq!(rule(policy(5, 3, 0), portal), of(11, 3, 10));
    assert_eq!(rule(policy(20, 1, 20), portal), of(20, 1, 20));
    assert_eq!(rule(json!({}), portal), of(11, 1, 10));
    let line = Asked { threshold: Some(3), ..Asked::default() };
    assert_eq!(rule(policy(5, 3, 0), line), of(3, 3, 0));
    assert_eq!(rule(policy(-4, i64::MAX, i64::MAX), Asked::default()), of(2, 1_000_000, 100));
    assert_eq!(rule(policy(i64::MAX, 0, -1), Asked::default()), of(1_000_000, 1, 0));
}

#[test]
fn a_missing_policy_is_told_with_the_rule_that_was_used() {
    let folder = package(OPEN, json!({}), json!({}));
    assert!(told(&found(&folder), "ne dit pas de politique : seuil de 5 personnes, doute de 2"));
    let asked = Asked { threshold: Some(11), ..Asked::from(RULE) };
    let asked = audit(folder.path(), asked).unwrap();
    assert!(told(&asked, "la règle demandée : seuil de 11 personnes"), "{:?}", asked.notes);
    assert!(!told(&asked, "seuil de 5"));
}

#[test]
fn a_margin_that_is_not_written_as_a_total_is_told() {
    let rows = "A;20;F\nB;30;F\nC;;C\nD;40;F\nEnsemble;97;F\n";
    // With a masked cell, nothing tells the margin from a code; printed whole, its figures do.
    let printed = rows.replace("C;;C", "C;7;F");
    let found = found(&package(&printed, json!({}), json!({})));
    assert_eq!(found.verdict, Verdict::Unsafe);
    assert!(found.reason.unwrap().contains("« Ensemble » de « zone »"));
}
