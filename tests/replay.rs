//! Nomenclatures as dated editions, and quarantines judged again after a new one.

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

use common::{cartulaire, files, json, root, shared, tree};
use serde_json::Value;
use std::path::Path;

struct Place {
    work: tempfile::TempDir,
}

impl Place {
    /// A store whose only nomenclatures are those that are imported.
    fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
        std::fs::create_dir(work.path().join("bcn")).unwrap();
        let config = config
            .replace("\"samples/bcn\"", &format!("{:?}", work.path().join("bcn")))
            .replace("\"samples/", &format!("\"{}/samples/", root().display()));
        std::fs::write(work.path().join("cartulaire.toml"), config).unwrap();
        Place { work }
    }

    fn json(&self, args: &[&str], code: i32) -> Value {
        let config = self.work.path().join("cartulaire.toml").display().to_string();
        let mut all = args.to_vec();
        all.extend(["--config", &config, "--json"]);
        json(&all, code)
    }

    fn store(&self) -> std::path::PathBuf {
        self.work.path().join("var/store")
    }

    fn folder(&self, name: &str, files: &[(&str, &str)]) -> String {
        let folder = self.work.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in files {
            std::fs::write(folder.join(file), text).unwrap();
        }
        folder.display().to_string()
    }
}

fn rows(store: &Path, table: &str) -> u64 {
    let count = |path: &std::path::PathBuf| {
        let file = std::fs::File::open(path).unwrap();
        let builder = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap()
    };
    files(&store.join("tables").join(table)).iter().map(count).sum()
}

const OLD: &str = "MEF;LIBELLE_LONG;DATE_OUVERTURE;DATE_FERMETURE\n1001001211;SIXIEME;01/09/2000;\n1021001911;CINQUIEME;01/09/2000;31/08/2024\n";
const NEW: &str = "MEF;LIBELLE_LONG;DATE_OUVERTURE;DATE_FERMETURE\n1001001211;SIXIEME;01/09/2000;\n1021001911;CINQUIEME;01/09/2000;\n1031001911;QUATRIEME;01/09/2020;\n";

#[test]
fn editions_are_imported_compared_and_shown() {
    let place = Place::new();
    let old = place.folder("old", &[("n_mef_BCN.csv", OLD)]);
    let new = place.folder("new", &[("n_mef.csv", NEW), ("notes.csv.txt", "x")]);
    let first = place.json(&["bcn", "import", &old, "--date", "2025-09-01"], 0);
    assert_eq!(first["imported"][0]["status"], "new");
    assert_eq!(
        place.json(&["bcn", "import", &old, "--date", "2025-09-02"], 0)["imported"][0]["status"],
        "unchanged"
    );
    place.json(&["bcn", "import", &new, "--date", "2026-01-05"], 0);
    let diff = place.json(&["bcn", "diff"], 0);
    let table = &diff["tables"][0];
    assert_eq!(table["opened"], serde_json::json!(["1031001911"]));
    assert_eq!(table["reopened"][0]["code"], "1021001911", "{table}");
    let before = place.json(&["bcn", "show", "N_MEF", "1021001911", "--date", "2025-12-31"], 0);
    let after = place.json(&["bcn", "show", "N_MEF", "1021001911", "--date", "2026-01-06"], 0);
    assert_ne!(before["verdict"], after["verdict"], "{before}\n{after}");
    assert_eq!(place.json(&["journal", "verify"], 0)["verdict"], "intact");
}

#[test]
fn the_real_editions_of_n_mef_differ_as_they_are_known_to() {
    let Some(shared) = shared() else { return };
    let place = Place::new();
    let bcn = shared.join("bcn");
    let (old, new) = (bcn.join("2012").display().to_string(), bcn.display().to_string());
    place.json(&["bcn", "import", &old, "--date", "2012-12-01"], 0);
    let imported = place.json(&["bcn", "import", &new, "--date", "2020-09-15"], 0);
    assert_eq!(imported["imported"].as_array().unwrap().len(), 10, "{imported}");
    assert_eq!(imported["unreadable"].as_array().unwrap().len(), 0, "{imported}");
    let diff = place.json(&["bcn", "diff", "N_MEF"], 0);
    let table = &diff["tables"][0];
    let n = |k: &str| table[k].as_array().map_or_else(|| table[k].as_u64().unwrap() as usize, Vec::len);
    assert_eq!((n("common"), n("opened"), n("removed")), (8007, 1188, 10));
    assert_eq!(n("closed") + n("reopened"), 1146);
    let shown = place.json(&["bcn", "show", "N_MEF", "0001000131"], 0);
    assert_eq!(shown["code"], "0001000131");
}

fn mef(number: u64, mef: &str) -> String {
    format!(
        "<addRequest>\n<operationalAttributes><attr name=\"categorieMef\"><value>MefEducNat</value></attr></operationalAttributes>\n<identifier><id>{mef}</id></identifier>\n<attributes>\n<attr name=\"ENTMefJointure\"><value>{mef}</value></attr>\n<attr name=\"ENTLibelleMef\"><value>INVENTE {number}</value></attr>\n</attributes>\n</addRequest>\n"
    )
}

fn delivery(place: &Place, day: &str, mefs: &[&str]) -> Value {
    let path =
        place.work.path().join(format!("ENT2DEX-ENT99_Complet_{}_MefEducNat_0000.xml", day.replace('-', "")));
    let body: String = mefs.iter().enumerate().map(|(i, m)| mef(i as u64, m)).collect();
    std::fs::write(
        &path,
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ficAlimMENESR>\n{body}</ficAlimMENESR>\n"),
    )
    .unwrap();
    let path = path.display().to_string();
    let config = place.work.path().join("cartulaire.toml").display().to_string();
    let out =
        cartulaire(&["ingest", "ent", &path, "--date", day, "--config", &config, "--json"]).output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)))
}

/// Eleven good records for each doubtful one, so that the gate lets the delivery in.
fn good() -> Vec<String> {
    "0123456789ABCDEFGHIJKLMNOP".chars().map(|c| format!("1001001211{c}")).collect()
}

#[test]
fn a_new_edition_frees_what_it_makes_right_once_and_leaves_the_rest() {
    let place = Place::new();
    let old = place.folder("old", &[("n_mef.csv", OLD)]);
    place.json(&["bcn", "import", &old, "--date", "2025-09-01"], 0);
    let good = good();
    let mut mefs: Vec<&str> = good.iter().map(String::as_str).collect();
    mefs.extend(["10210019110", "99999999990"]);
    let run = delivery(&place, "2026-01-04", &mefs);
    let step = run["steps"].as_array().unwrap().iter().find(|s| s["name"] == "ingest").unwrap().clone();
    assert_eq!((step["accepted"].as_u64(), step["rejected"].as_u64()), (Some(26), Some(2)), "{run}");
    let listed = place.json(&["quarantine", "list"], 0);
    assert_eq!(listed["quarantines"][0]["rows"], 2);
    let id = listed["quarantines"][0]["delivery"].as_str().unwrap().to_owned();
    let records = place.json(&["quarantine", "show", &id], 0);
    assert_eq!(records["records"].as_array().unwrap().len(), 2);
    // Nothing has changed yet: nothing moves.
    let none = place.json(&["quarantine", "replay", "--date", "2026-01-04"], 0);
    assert_eq!(none["deliveries"][0]["accepted"], 0);
    assert_eq!(rows(&place.store(), "ent_mef"), 26);
    let new = place.folder("new", &[("n_mef.csv", NEW)]);
    place.json(&["bcn", "import", &new, "--date", "2026-01-05"], 0);
    let said = place.json(&["quarantine", "replay", "--date", "2026-01-06"], 0);
    let one = &said["deliveries"][0];
    assert_eq!(
        (one["read"].as_u64(), one["accepted"].as_u64(), one["rejected"].as_u64()),
        (Some(2), Some(1), Some(1)),
        "{said}"
    );
    assert_eq!(rows(&place.store(), "ent_mef"), 27);
    assert_eq!(place.json(&["quarantine", "list"], 0)["quarantines"][0]["rows"], 1);
    // Once more: nothing twice.
    let before = tree(&place.store().join("tables"));
    let again = place.json(&["quarantine", "replay", "--date", "2026-01-07"], 0);
    assert_eq!(again["deliveries"][0]["accepted"], 0);
    assert_eq!(tree(&place.store().join("tables")), before);
    assert_eq!(place.json(&["journal", "verify"], 0)["verdict"], "intact");
}

#[test]
fn a_refused_delivery_enters_whole_when_its_cause_is_gone_and_a_superseded_one_stays() {
    let place = Place::new();
    let old = place.folder("old", &[("n_mef.csv", OLD)]);
    place.json(&["bcn", "import", &old, "--date", "2025-09-01"], 0);
    let run = delivery(&place, "2026-01-04", &["10010012110", "10210019110"]);
    assert_eq!(run["status"], "gated");
    assert_eq!(rows(&place.store(), "ent_mef"), 0);
    let new = place.folder("new", &[("n_mef.csv", NEW)]);
    place.json(&["bcn", "import", &new, "--date", "2026-01-05"], 0);
    let said = place.json(&["quarantine", "replay", "--date", "2026-01-06"], 0);
    assert_eq!(said["deliveries"][0]["accepted"], 2, "{said}");
    assert_eq!(rows(&place.store(), "ent_mef"), 2);
    let good = good();
    let mut mefs: Vec<&str> = good.iter().map(String::as_str).collect();
    mefs.push("99999999990");
    delivery(&place, "2026-01-08", &mefs);
    delivery(&place, "2026-01-09", &mefs[..26]);
    let said = place.json(&["quarantine", "replay", "--date", "2026-01-10"], 0);
    let skipped: Vec<&str> =
        said["deliveries"].as_array().unwrap().iter().map(|d| d["skipped"].as_str().unwrap()).collect();
    assert_eq!(skipped.len(), 1, "{said}");
    assert!(skipped[0].contains("remplacée"), "{said}");
}
