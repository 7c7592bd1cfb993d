//! What profiles make of packages: versions, cuts, producers, holds; and an independent reader that
//! finds the store's rows in them.

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

use common::{DATE, json, root, run, shared};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A store whose packages are described by changed profiles: (file, from, to).
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(changes: &[(&str, &str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let profiles = folder.path().join("profils");
        std::fs::create_dir(&profiles).unwrap();
        for (file, from, to) in changes {
            let own = profiles.join(file);
            let source = if own.exists() { own.clone() } else { root().join("seda-profiles").join(file) };
            let text = std::fs::read_to_string(source).unwrap();
            assert!(text.contains(from), "{file}: {from}");
            std::fs::write(own, text.replacen(from, to, 1)).unwrap();
        }
        let text = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
        let samples = format!("\"{}/samples/", root().display());
        let text = text.replace("\"samples/", &samples).replace("var/store", "entrepot");
        let text = format!("{text}\n[seda]\nprofiles = \"profils\"\n");
        std::fs::write(folder.path().join("cartulaire.toml"), text).unwrap();
        Place { folder }
    }

    fn config(&self) -> String {
        self.folder.path().join("cartulaire.toml").display().to_string()
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("entrepot")
    }

    fn does(&self, args: &[&str]) {
        run(&[&["--config", &self.config()], args].concat(), 0);
    }

    fn night(&self) -> Vec<PathBuf> {
        self.does(&["run", "nightly", "--date", DATE]);
        let files = common::files(&self.store().join("archives"));
        files.into_iter().filter(|p| p.extension().is_some_and(|e| e == "zip")).collect()
    }
}

fn manifest(zip: &Path) -> String {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(zip).unwrap()).unwrap();
    let mut text = String::new();
    archive.by_name("manifest.xml").unwrap().read_to_string(&mut text).unwrap();
    text
}

fn values<'m>(manifest: &'m str, element: &str) -> Vec<&'m str> {
    let (open, close) = (format!("<{element}>"), format!("</{element}>"));
    manifest.split(&open).skip(1).map(|rest| rest.split_once(&close).unwrap().0).collect()
}

/// Our own check, with the official schemas where they are.
fn check(zip: &Path) {
    let xsd = shared().map(|s| s.join("seda-xsd").display().to_string());
    let mut args = vec!["seda", "check", zip.to_str().unwrap(), "--json"];
    args.extend(xsd.iter().flat_map(|x| ["--xsd", x]));
    let verdict = json(&args, 0);
    assert_eq!(verdict["findings"].as_array().unwrap().len(), 0, "{verdict:#}");
}

/// Rows of each table in the packages, as the reader in Python counts them after comparing them
/// with the store's.
fn rebuilt(store: &Path, zips: &[PathBuf]) -> Option<BTreeMap<String, u64>> {
    let Ok(python) = std::env::var("CARTULAIRE_PYTHON") else {
        println!("skipped: CARTULAIRE_PYTHON names no interpreter");
        return None;
    };
    let out =
        Command::new(python).arg(root().join("tests/read_sip.py")).arg(store).args(zips).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let lines = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    Some(lines.map(|v| (v["table"].as_str().unwrap().to_owned(), v["rows"].as_u64().unwrap())).collect())
}

fn tables(list: [(&str, u64); 4]) -> BTreeMap<String, u64> {
    list.map(|(t, n)| (t.to_owned(), n)).into_iter().collect()
}

const ROWS: [(&str, u64); 4] =
    [("dnma_appareils", 2982), ("dnma_profils", 705), ("scope_services", 94), ("scope_structures", 42)];

#[test]
fn each_version_is_accepted_and_another_reader_finds_the_rows_of_the_store() {
    for version in ["2.1", "2.2", "2.3"] {
        let place = Place::new(&[("defaut.toml", "version = \"2.2\"", &format!("version = \"{version}\""))]);
        let zips = place.night();
        assert_eq!(zips.len(), 2);
        for zip in &zips {
            assert!(manifest(zip).contains(&format!("seda:v{version}\"")));
            check(zip);
        }
        if let Some(rows) = rebuilt(&place.store(), &zips) {
            assert_eq!(rows, tables(ROWS));
        }
    }
}

#[test]
fn a_reader_that_is_given_a_changed_package_says_so() {
    let place = Place::new(&[("defaut.toml", "AD-EXEMPLE", "AD-AUTRE")]);
    let zips = place.night();
    let Ok(python) = std::env::var("CARTULAIRE_PYTHON") else {
        return println!("skipped: CARTULAIRE_PYTHON names no interpreter");
    };
    let other = Place::new(&[("defaut.toml", "AD-EXEMPLE", "AD-AUTRE")]);
    other.night();
    // The store of the comparison has lost a row that the package has.
    let script = "import duckdb,sys\np=sys.argv[1]\nduckdb.sql(f\"CREATE TABLE t AS SELECT * FROM read_parquet('{p}', hive_partitioning=false)\")\nduckdb.sql(f\"COPY (SELECT * FROM t LIMIT 41) TO '{p}' (FORMAT parquet)\")";
    let parquet = common::files(&other.store().join("tables/scope_structures/annee_scolaire=2024-2025"));
    let done = Command::new(&python).args(["-c", script]).arg(&parquet[0]).status().unwrap();
    assert!(done.success());
    let out = Command::new(&python)
        .arg(root().join("tests/read_sip.py"))
        .arg(other.store())
        .args(&zips)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("scope_structures differs"), "{said}");
}

#[test]
fn a_set_above_the_limits_is_cut_into_numbered_packages_that_name_the_earlier_ones() {
    let place = Place::new(&[("defaut.toml", "objects = 10_000", "objects = 5")]);
    let zips = place.night();
    let ids: Vec<String> =
        zips.iter().map(|z| z.file_stem().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(ids.len(), 4);
    for (zip, id) in zips.iter().zip(&ids) {
        check(zip);
        let manifest = manifest(zip);
        assert_eq!(values(&manifest, "MessageIdentifier"), [id]);
        let (base, number) = id.strip_suffix("-0002").unwrap().rsplit_once('-').unwrap();
        let first = format!("{base}-0001-0002");
        let before = if number == "0001" { vec![] } else { vec![first.as_str()] };
        assert_eq!(values(&manifest, "RelatedTransferReference"), before);
        assert!(values(&manifest, "Comment")[0].ends_with(&format!("paquet {} sur 2", &number[3..])));
    }
    if let Some(rows) = rebuilt(&place.store(), &zips) {
        assert_eq!(rows, tables(ROWS));
    }
    // Nothing is packaged twice.
    assert_eq!(place.night().len(), 4);
}

#[test]
fn records_of_several_producers_go_to_packages_of_their_own() {
    let own = "\n[producers]\ncolumn = \"uai\"\n[producers.agencies]\n\"0960009N\" = \"LYCEE-EXEMPLE\"\n";
    let keywords = "]\n";
    let place = Place::new(&[("scope-organisation.toml", keywords, &format!("]\n{own}"))]);
    let zips = place.night();
    assert_eq!(zips.len(), 3);
    let mut agencies: Vec<String> = Vec::new();
    for zip in &zips {
        check(zip);
        let manifest = manifest(zip);
        agencies.extend(values(&manifest, "OriginatingAgencyIdentifier").iter().map(|a| (*a).to_owned()));
    }
    agencies.sort();
    assert_eq!(agencies, ["ACADEMIE-EXEMPLE", "ACADEMIE-EXEMPLE", "LYCEE-EXEMPLE"]);
    if let Some(rows) = rebuilt(&place.store(), &zips) {
        assert_eq!(rows, tables(ROWS));
    }
    assert_eq!(place.night().len(), 3);
}

#[test]
fn what_is_held_waits_unless_its_profile_names_a_rule_of_holds() {
    let hold = ["hold", "add", "--id", "gel-1", "--reason", "litige", "--owner", "DAJ", "--by", "chef-deux"];
    let scope = ["--scope", "classe = 'scope-organisation'", "--date", DATE];
    let kept = Place::new(&[]);
    let sent =
        Place::new(&[("defaut.toml", "version = \"2.2\"", "version = \"2.2\"\nhold_rule = \"HOL-00001\"")]);
    let old =
        Place::new(&[("defaut.toml", "version = \"2.2\"", "version = \"2.1\"\nhold_rule = \"HOL-00001\"")]);
    for (place, packages) in [(&kept, 1), (&sent, 2), (&old, 1)] {
        place.does(&["init"]);
        place.does(&[&hold[..], &scope[..]].concat());
        let zips = place.night();
        assert_eq!(zips.len(), packages);
        zips.iter().for_each(|z| check(z));
    }
    let zips = common::files(&sent.store().join("archives"));
    let zip = zips
        .iter()
        .find(|p| p.to_string_lossy().ends_with(".zip") && p.to_string_lossy().contains("scope"))
        .unwrap();
    let manifest = manifest(zip);
    let rule = values(&manifest, "HoldRule")[0];
    assert!(
        rule.contains("<Rule>HOL-00001</Rule>") && rule.contains("<HoldReason>gel-1</HoldReason>"),
        "{rule}"
    );
    assert!(!manifest.contains("litige"));
}

#[test]
fn the_life_of_the_data_and_their_context_are_told() {
    let place = Place::new(&[]);
    let zips = place.night();
    let manifest = manifest(zips.iter().find(|z| z.to_string_lossy().contains("dnma")).unwrap());
    let kinds = values(&manifest, "EventType");
    for kind in ["Réception", "Contrôle", "Anonymisation", "Sort final"] {
        assert!(kinds.contains(&kind), "{kind}: {kinds:?}");
    }
    let about = values(&manifest, "Description")[0];
    assert!(about.contains("du 01/09/2024 au 31/08/2025"), "{about}");
    assert!(values(&manifest, "KeywordContent").contains(&"statistique"));
}

#[test]
fn a_profile_as_relax_ng_accepts_its_packages_and_no_other() {
    let place = Place::new(&[]);
    let zips = place.night();
    if Command::new("xmllint").arg("--version").output().is_err() {
        return println!("skipped: xmllint is not here");
    }
    let rng = place.folder.path().join("dnma.rng");
    place.does(&["seda", "rng", "dnma-audience", "--out", rng.to_str().unwrap()]);
    for zip in &zips {
        let xml = place.folder.path().join("manifest.xml");
        std::fs::write(&xml, manifest(zip)).unwrap();
        let said =
            Command::new("xmllint").args(["--noout", "--relaxng"]).arg(&rng).arg(&xml).output().unwrap();
        let own = zip.to_string_lossy().contains("dnma");
        assert_eq!(said.status.success(), own, "{}", String::from_utf8_lossy(&said.stderr));
    }
    run(&["seda", "rng", "classe-inconnue"], 2);
}

#[test]
fn tables_in_siard_are_those_of_the_package_and_follow_the_schemas_beside_them() {
    let place = Place::new(&[("scope-organisation.toml", "keywords", "siard = true\nkeywords")]);
    let zips = place.night();
    let zip = zips.iter().find(|z| z.to_string_lossy().contains("scope")).unwrap();
    check(zip);
    let mut archive = zip::ZipArchive::new(std::fs::File::open(zip).unwrap()).unwrap();
    let named = |i: &usize| archive.name_for_index(*i).unwrap().unwrap().ends_with(".siard");
    let index = (0..archive.len()).find(named).unwrap();
    let mut bytes = Vec::new();
    archive.by_index(index).unwrap().read_to_end(&mut bytes).unwrap();
    let folder = place.folder.path().join("siard");
    zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap().extract(&folder).unwrap();
    let metadata = std::fs::read_to_string(folder.join("header/metadata.xml")).unwrap();
    assert_eq!(values(&metadata, "rows"), ["94", "42"]);
    if Command::new("xmllint").arg("--version").output().is_err() {
        return println!("skipped: xmllint is not here");
    }
    let mut pairs = vec![("header/metadata.xsd".to_owned(), "header/metadata.xml".to_owned())];
    for n in 0..2 {
        let path = format!("content/schema0/table{n}/table{n}");
        pairs.push((format!("{path}.xsd"), format!("{path}.xml")));
    }
    for (schema, document) in pairs {
        let said = Command::new("xmllint")
            .args(["--nonet", "--noout", "--schema"])
            .args([folder.join(&schema), folder.join(&document)])
            .output()
            .unwrap();
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    }
    // A row of the package's CSV is in the table.
    let table = std::fs::read_to_string(folder.join("content/schema0/table0/table0.xml")).unwrap();
    assert!(table.contains("<c1>0960002F</c1><c2>2024-2025</c2><c3>6A</c3>"), "{}", &table[..600]);
}
