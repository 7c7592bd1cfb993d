//! Every form of delivery, as it really arrives: `samples/forms/<form>/expected.json`, bare and in
//! archives, on one thread and two.

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

use common::{cartulaire, root};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

fn forms() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(root().join("samples/forms"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    all.sort();
    all
}

fn files(form: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(form)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| !p.ends_with("expected.json"))
        .collect();
    all.sort();
    all
}

fn expected(form: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(form.join("expected.json")).unwrap()).unwrap()
}

fn validate(source: &str, paths: &[PathBuf], threads: &str) -> Value {
    let paths: Vec<String> = paths.iter().map(|p| p.display().to_string()).collect();
    let mut args = vec!["validate", source, "--json", "--date", "2026-01-13", "--threads", threads];
    args.extend(paths.iter().map(String::as_str));
    let out = cartulaire(&args).output().unwrap();
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|_| panic!("{args:?}: {}", String::from_utf8_lossy(&out.stderr)))
}

type Place = (String, String, u64, u64, String);

/// Findings about records; whether so small a delivery passes its gate is not the point here.
fn places(findings: &Value, archive: &str) -> BTreeSet<Place> {
    findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["code"] != "GATE_REJECTED")
        .map(|f| {
            let text = |k: &str| f[k].as_str().unwrap().to_owned();
            let file = text("file").trim_start_matches(archive).trim_start_matches('/').to_owned();
            (text("code"), file, f["line"].as_u64().unwrap(), f["record"].as_u64().unwrap(), text("column"))
        })
        .collect()
}

fn counts(report: &Value) -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = report["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let name = f["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            (name, f["records"].clone())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[test]
fn every_form_gives_its_records_and_findings_on_one_and_two_threads() {
    let mut seen = 0;
    for form in forms() {
        let want = expected(&form);
        let wanted: Vec<(String, Value)> =
            want["files"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        for threads in ["1", "2"] {
            let report = validate(want["source"].as_str().unwrap(), &files(&form), threads);
            assert_eq!(counts(&report), wanted, "{}", form.display());
            assert_eq!(places(&report["findings"], ""), places(&want["findings"], ""), "{}", form.display());
        }
        seen += 1;
    }
    assert!(seen >= 10);
}

#[test]
fn a_form_in_a_zip_or_a_tar_gz_gives_the_same() {
    let work = tempfile::tempdir().unwrap();
    for form in forms() {
        let want = expected(&form);
        let zipped = work.path().join("livraison.zip");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&zipped).unwrap());
        for file in files(&form) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&std::fs::read(&file).unwrap()).unwrap();
        }
        zip.finish().unwrap();
        let tarred = work.path().join("livraison.tar.gz");
        let gz = flate2::write::GzEncoder::new(
            std::fs::File::create(&tarred).unwrap(),
            flate2::Compression::fast(),
        );
        let mut tar = tar::Builder::new(gz);
        for file in files(&form) {
            tar.append_path_with_name(&file, file.file_name().unwrap()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        let wanted: Vec<(String, Value)> =
            want["files"].as_object().unwrap().iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        for archive in [&zipped, &tarred] {
            let report = validate(want["source"].as_str().unwrap(), std::slice::from_ref(archive), "2");
            assert_eq!(counts(&report), wanted, "{} in {}", form.display(), archive.display());
            let name = archive.file_name().unwrap().to_string_lossy().into_owned();
            assert_eq!(
                places(&report["findings"], &name),
                places(&want["findings"], ""),
                "{}",
                form.display()
            );
        }
    }
}

#[test]
fn rows_as_csv_ndjson_or_parquet_are_judged_alike() {
    let work = tempfile::tempdir().unwrap();
    let csv = root().join("samples/night/SCOPE_99_20260110_enseignants.csv");
    let text = String::from_utf8_lossy(&std::fs::read(&csv).unwrap()).into_owned();
    let mut lines = text.trim_start_matches('\u{FEFF}').lines();
    let header: Vec<&str> = lines.next().unwrap().split(';').collect();
    // Broken frames exist in CSV only.
    let rows: Vec<Vec<&str>> = lines
        .map(|l| l.split(';').collect::<Vec<_>>())
        .filter(|r| r.len() == header.len() && !r.iter().any(|v| v.contains(['"', '\u{FFFD}', '\0'])))
        .collect();
    let plain = work.path().join("table.csv");
    let body: Vec<String> = rows.iter().map(|r| r.join(";")).collect();
    std::fs::write(&plain, format!("{}\n{}\n", header.join(";"), body.join("\n"))).unwrap();
    let nd = work.path().join("table.ndjson");
    let objects: Vec<String> = rows
        .iter()
        .map(|r| {
            Value::Object(header.iter().zip(r).map(|(h, v)| ((*h).to_owned(), json!(v))).collect())
                .to_string()
        })
        .collect();
    std::fs::write(&nd, objects.join("\n") + "\n").unwrap();
    let contract = std::fs::read_to_string(root().join("engine/contracts/scope_enseignants.toml")).unwrap();
    let judge = |format: &str, file: &Path| {
        let path = work.path().join(format!("{format}.toml"));
        let text: String =
            contract
                .lines()
                .filter(|l| !(l.starts_with("file_name") || (format != "csv" && l.starts_with("separator"))))
                .map(|l| {
                    if l.starts_with("format") {
                        format!("format = \"{format}\"\n")
                    } else {
                        format!("{l}\n")
                    }
                })
                .collect();
        std::fs::write(&path, text).unwrap();
        let (file, path) = (file.display().to_string(), path.display().to_string());
        let args = ["validate", "x", &file, "--contract", &path, "--date", "2026-01-10", "--json"];
        let out = cartulaire(&args).output().unwrap();
        let report: Value = serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)));
        let findings: BTreeSet<(u64, String, String)> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| (f["record"].as_u64().unwrap(), f["code"].to_string(), f["column"].to_string()))
            .collect();
        (report["files"][0]["records"].clone(), findings)
    };
    let want = judge("csv", &plain);
    assert!(want.0["rejected"].as_u64().unwrap() > 0 && want.0["read"].as_u64().unwrap() > 50, "{want:?}");
    assert_eq!(judge("ndjson", &nd), want);
    let names: Vec<&str> = header.clone();
    let columns = names.iter().enumerate().map(|(i, n)| {
        let values: arrow::array::StringArray =
            rows.iter().map(|r| Some(r[i]).filter(|v| !v.is_empty())).collect();
        (*n, std::sync::Arc::new(values) as arrow::array::ArrayRef)
    });
    let batch = arrow::record_batch::RecordBatch::try_from_iter(columns).unwrap();
    let path = work.path().join("table.parquet");
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(std::fs::File::create(&path).unwrap(), batch.schema(), None)
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    assert_eq!(judge("parquet", &path), want);
}

#[test]
fn the_guide_s_table_by_contract_alone_gives_what_the_guide_says() {
    let folder = root().join("samples/exemple-contrat");
    let want = expected(&folder);
    let (csv, toml) = (
        folder.join("restauration.csv").display().to_string(),
        folder.join("restauration.toml").display().to_string(),
    );
    let out = tempfile::tempdir().unwrap();
    let to = out.path().display().to_string();
    let args =
        ["validate", "restauration", &csv, "--contract", &toml, "--out", &to, "--report", &to, "--json"];
    let said = cartulaire(&args).output().unwrap();
    let report: Value = serde_json::from_slice(&said.stdout).unwrap();
    let records = &report["files"][0]["records"];
    for key in ["read", "accepted", "rejected"] {
        assert_eq!(records[key], want[key], "{key}");
    }
    let short = |findings: &Value| -> BTreeSet<(String, u64, String)> {
        findings
            .as_array()
            .unwrap()
            .iter()
            .map(|f| {
                let text = |k: &str| f[k].as_str().unwrap().to_owned();
                (text("code"), f["line"].as_u64().unwrap(), text("column"))
            })
            .collect()
    };
    assert_eq!(short(&report["findings"]), short(&want["findings"]));
    let page = std::fs::read_to_string(out.path().join("index.html")).unwrap();
    assert!(page.contains("<html lang=\"fr\"") && !page.contains("<script"));
    let verdict = page.find("rejet").unwrap();
    assert!(verdict < page.find("<table").unwrap(), "the verdict comes first");
    // The guide quotes the contract and the rows as they are.
    let guide = std::fs::read_to_string(root().join("LISEZMOI.md")).unwrap();
    for line in std::fs::read_to_string(folder.join("restauration.csv")).unwrap().lines() {
        assert!(guide.contains(line.trim_start_matches('\u{FEFF}')), "{line}");
    }
}
