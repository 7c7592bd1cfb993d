//! Packages: accepted by the official schema, whole, and closed on themselves.

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

use common::{json, night, run, shared};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;
use sha2::{Digest, Sha512};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

fn packages(store: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(store.join("archives"))
        .unwrap()
        .flat_map(|e| std::fs::read_dir(e.unwrap().path()).unwrap())
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "zip"))
        .collect();
    all.sort();
    all
}

fn entries(zip: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(zip).unwrap()).unwrap();
    (0..archive.len())
        .map(|i| {
            let mut file = archive.by_index(i).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            let name = file.name().unwrap().into_owned();
            (name, bytes)
        })
        .collect()
}

fn sha512(bytes: &[u8]) -> String {
    Sha512::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Texts of each element name, and the ids, in document order.
fn read_manifest(bytes: &[u8]) -> (Vec<(String, String)>, Vec<String>) {
    let mut reader = Reader::from_reader(bytes);
    let (mut texts, mut ids, mut name, mut buffer) = (Vec::new(), Vec::new(), String::new(), Vec::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).unwrap() {
            Event::Start(tag) => {
                name = tag.name().as_ref().to_owned();
                if let Some(id) = tag.try_get_attribute("id").unwrap() {
                    ids.push(id.value.to_string());
                }
            }
            Event::Text(text) if !text.trim().is_empty() => texts.push((name.clone(), text.to_string())),
            Event::Eof => return (texts, ids),
            _ => {}
        }
    }
}

#[test]
fn every_package_holds_its_manifest_and_declared_files_only() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let all = packages(store.path());
    assert_eq!(all.len(), 2);
    for zip in all {
        let sidecar = std::fs::read_to_string(zip.with_extension("zip.sha512")).unwrap();
        assert!(sidecar.starts_with(&sha512(&std::fs::read(&zip).unwrap())));
        let mut entries = entries(&zip);
        let manifest = entries.remove("manifest.xml").unwrap();
        let (texts, ids) = read_manifest(&manifest);
        let of =
            |name: &str| texts.iter().filter(|(n, _)| n == name).map(|(_, t)| t.clone()).collect::<Vec<_>>();
        let distinct: BTreeSet<&String> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "ids are unique");
        for reference in of("DataObjectGroupReferenceId") {
            assert!(ids.contains(&reference), "{reference}");
        }
        let groups: Vec<&String> = ids.iter().filter(|i| i.starts_with("DOG-")).collect();
        assert_eq!(
            of("DataObjectGroupReferenceId").iter().collect::<BTreeSet<_>>(),
            groups.into_iter().collect(),
            "no orphan group"
        );
        let uris = of("Uri");
        assert_eq!(
            uris.iter().collect::<BTreeSet<_>>(),
            entries.keys().collect(),
            "each file is declared once"
        );
        for ((uri, digest), size) in uris.iter().zip(of("MessageDigest")).zip(of("Size")) {
            let bytes = &entries[uri];
            assert_eq!((sha512(bytes), bytes.len().to_string()), (digest, size), "{uri}");
        }
        assert_eq!(of("FinalAction"), ["Keep"]);
        assert_eq!(of("MessageIdentifier"), [zip.file_stem().unwrap().to_string_lossy().into_owned()]);
        assert_eq!(of("OriginatingAgencyIdentifier").len(), 1);
    }
}

#[test]
fn the_official_schema_accepts_every_manifest() {
    let Some(shared) = shared() else { return };
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let schema = shared.join("seda-xsd/2.2/seda-2.2-main.xsd");
    let mut tried = 0;
    for zip in packages(store.path()) {
        let manifest = store.path().join("manifest.xml");
        std::fs::write(&manifest, &entries(&zip)["manifest.xml"]).unwrap();
        let out = std::process::Command::new("xmllint")
            .args(["--nonet", "--noout", "--schema"])
            .arg(&schema)
            .arg(&manifest)
            .output();
        match out {
            Ok(out) => {
                assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
                tried += 1;
            }
            Err(_) => return println!("skipped: xmllint is not here"),
        }
    }
    assert_eq!(tried, 2);
}

fn check(path: &Path, more: &[&str], code: i32) -> Value {
    json(&[&["seda", "check", path.to_str().unwrap(), "--json"], more].concat(), code)
}

fn all_of(verdict: &Value, list: &str, key: &str) -> Vec<String> {
    let values = verdict[list].as_array().unwrap().iter();
    values.map(|v| v[key].as_str().unwrap().to_owned()).collect()
}

/// A zip of the same entries in the order of their names.
fn write_zip(path: &Path, entries: &BTreeMap<String, Vec<u8>>) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in entries {
        zip.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

#[test]
fn every_package_passes_the_check_and_what_was_not_given_is_told() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let mut unknown = ["agencies", "contracts", "profiles", "rules", "formats"].map(String::from).to_vec();
    for zip in packages(store.path()) {
        let verdict = check(&zip, &[], 0);
        assert_eq!(verdict["verdict"], "accepted");
        assert_eq!(verdict["version"], "2.2");
        assert_eq!(all_of(&verdict, "findings", "message"), [""; 0]);
        unknown.push("xsd".into());
        assert_eq!(all_of(&verdict, "skipped", "control"), unknown);
        unknown.pop();
        let page = String::from_utf8(run(&["seda", "check", zip.to_str().unwrap()], 0).stdout).unwrap();
        for want in [": accepté", "Version du SEDA : 2.2", "Constats : 0", "(--referentials)", "(--xsd)"] {
            assert!(page.contains(want), "{want}: {page}");
        }
        if let Some(xsd) = shared().map(|s| s.join("seda-xsd").display().to_string()) {
            let config = store.path().join("avec-schemas.toml");
            std::fs::write(&config, format!("[seda]\nxsd = \"{xsd}\"\n")).unwrap();
            for more in [["--xsd", &xsd], ["--config", config.to_str().unwrap()]] {
                let verdict = check(&zip, &more, 0);
                assert_eq!(all_of(&verdict, "findings", "message"), [""; 0]);
                assert_eq!(all_of(&verdict, "skipped", "control"), unknown);
            }
        }
    }
}

#[test]
fn a_wrong_digest_and_a_hostile_zip_are_refused_under_their_codes() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let good = entries(&packages(store.path())[0]);
    let spoilt = store.path().join("SIP-faux.zip");

    let mut wrong = good.clone();
    let manifest = String::from_utf8(wrong["manifest.xml"].clone()).unwrap();
    let (before, after) = manifest.split_once("algorithm=\"SHA-512\">").unwrap();
    let digit = if after.starts_with('0') { '1' } else { '0' };
    let manifest = format!("{before}algorithm=\"SHA-512\">{digit}{}", &after[1..]);
    wrong.insert("manifest.xml".into(), manifest.into_bytes());
    write_zip(&spoilt, &wrong);
    let verdict = check(&spoilt, &[], 4);
    assert_eq!(verdict["verdict"], "refused");
    assert_eq!(all_of(&verdict, "findings", "code"), ["CHECK_DIGEST.INVALID"]);
    let place = &all_of(&verdict, "findings", "xpath")[0];
    assert!(place.starts_with("/ArchiveTransfer/DataObjectPackage[1]/"), "{place}");
    let page = String::from_utf8(run(&["seda", "check", spoilt.to_str().unwrap()], 4).stdout).unwrap();
    assert!(page.contains(": refusé") && page.contains("CHECK_DIGEST.INVALID"), "{page}");

    let mut slip = good;
    slip.insert("content/../../evasion.csv".into(), b"x".to_vec());
    write_zip(&spoilt, &slip);
    let verdict = check(&spoilt, &[], 4);
    assert_eq!(all_of(&verdict, "findings", "code"), ["CHECK_CONTAINER"]);
    assert_eq!(all_of(&verdict, "findings", "xpath"), [""]);

    let absent = store.path().join("absent.zip").display().to_string();
    run(&["seda", "check", &absent], 2);
    run(&["seda", "check", spoilt.to_str().unwrap(), "--xsd", &absent], 2);
}
