//! Every code of the register, on input that deserves it: whole lists of findings compared with
//! `samples/invalid/<CODE>_<what>/expected.json`.

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

use cartulaire_engine::codes::Code;
use common::{cartulaire, root};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn fixtures() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(root().join("samples/invalid"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    all.sort();
    all
}

fn expected(folder: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

fn short(findings: &Value, keys: &[&str]) -> Vec<Value> {
    let short =
        |f: &Value| keys.iter().map(|k| ((*k).to_owned(), f[*k].clone())).collect::<serde_json::Map<_, _>>();
    findings.as_array().unwrap().iter().map(|f| Value::Object(short(f))).collect()
}

#[test]
fn every_code_has_a_fixture() {
    let names: Vec<String> =
        fixtures().iter().map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect();
    let bare: Vec<&str> = Code::ALL
        .iter()
        .map(|c| c.as_str())
        .filter(|c| !names.iter().any(|n| n.starts_with(&format!("{c}_"))))
        .collect();
    assert_eq!(bare, Vec::<&str>::new());
}

#[test]
fn every_fixture_gives_its_findings_and_no_other() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for folder in fixtures() {
        let want = expected(&folder);
        if want["inbox"] == true {
            continue;
        }
        seen += 1;
        let path = |name: &str| folder.join(name).display().to_string();
        let mut files: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|e| e.unwrap().path())
            .filter(|p| p.is_file() && !["contract.toml", "expected.json"].iter().any(|n| p.ends_with(n)))
            .map(|p| p.display().to_string())
            .collect();
        files.sort();
        let mut args = vec!["validate".to_owned(), want["source"].as_str().unwrap().to_owned()];
        args.append(&mut files);
        args.extend(["--json", "--date", want["date"].as_str().unwrap()].map(str::to_owned));
        if folder.join("contract.toml").exists() {
            args.extend(["--contract".to_owned(), path("contract.toml")]);
        }
        if folder.join("bcn").exists() {
            args.extend(["--bcn".to_owned(), path("bcn")]);
        }
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        for threads in ["1", "2"] {
            let out = cartulaire(&args).args(["--threads", threads]).output().unwrap();
            let code = if want["verdict"] == "refused" { 4 } else { 0 };
            let Ok(found) = serde_json::from_slice::<Value>(&out.stdout) else {
                wrong.push(format!("{}: {}", folder.display(), String::from_utf8_lossy(&out.stderr)));
                continue;
            };
            let sum = |k: &str| {
                found["files"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|f| f["records"][k].as_u64().unwrap())
                    .sum::<u64>()
            };
            let keys = ["code", "severity", "file", "line", "record", "column"];
            let got = json!({"verdict": found["verdict"], "read": sum("read"), "accepted": sum("accepted"), "rejected": sum("rejected"),
                "findings": short(&found["findings"], &keys), "exit": out.status.code()});
            let want = json!({"verdict": want["verdict"], "read": want["read"], "accepted": want["accepted"], "rejected": want["rejected"],
                "findings": short(&want["findings"], &keys), "exit": code});
            if got != want {
                wrong.push(format!("{}\nfound  {got}\nwanted {want}", folder.display()));
            }
            for f in found["findings"].as_array().unwrap() {
                assert!(!f["message"].as_str().unwrap().is_empty());
            }
        }
    }
    assert!(seen > 50);
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n\n"));
}

/// Findings of every delivery of a run's report, with its name and their severity.
fn findings_of(report: &Value) -> Vec<Value> {
    let mut out = Vec::new();
    for delivery in report["deliveries"].as_array().unwrap() {
        for table in delivery["tables"].as_array().unwrap() {
            let by_code = table["by_code"].as_array().unwrap();
            for f in table["findings"].as_array().unwrap() {
                let severity = &by_code.iter().find(|c| c["code"] == f["code"]).unwrap()["severity"];
                out.push(json!({"code": f["code"], "severity": severity, "delivery": delivery["name"],
                    "file": f["file"], "line": f["line"], "record": f["record"], "column": f["column"]}));
            }
        }
    }
    out
}

#[test]
fn what_cannot_be_received_is_refused_by_name_and_the_rest_waits_or_enters() {
    let mut seen = 0;
    for folder in fixtures() {
        let want = expected(&folder);
        if want["inbox"] != true {
            continue;
        }
        seen += 1;
        let work = tempfile::tempdir().unwrap();
        let config = work.path().join("cartulaire.toml");
        std::fs::copy(root().join("cartulaire.toml"), &config).unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        let samples = root().join("samples");
        let text = text
            .replace("\"samples/night\"", &format!("{:?}", folder.join("inbox")))
            .replace("\"samples/", &format!("\"{}/", samples.display()));
        std::fs::write(&config, text).unwrap();
        let config = config.display().to_string();
        let out =
            cartulaire(&["run", "nightly", "--date", "2026-01-12", "--config", &config]).output().unwrap();
        let shown = String::from_utf8_lossy(&out.stdout).into_owned();
        let exit = want["exit"].as_i64().unwrap_or(0);
        assert_eq!(
            out.status.code().map(i64::from),
            Some(exit),
            "{shown}\n{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let report: Value = serde_json::from_slice(
            &std::fs::read(work.path().join("var/store/reports/nightly-2026-01-12/report.json")).unwrap(),
        )
        .unwrap();
        let refused: Vec<&str> =
            report["refused_files"].as_array().unwrap().iter().map(|r| r.as_str().unwrap()).collect();
        // A finding that names a delivery is about one that was received, and judged.
        let keys = ["code", "severity", "delivery", "file", "line", "record", "column"];
        let of_deliveries = |findings: Vec<Value>| findings.into_iter().filter(|f| f["delivery"].is_string());
        let judged: Vec<Value> = of_deliveries(short(&want["findings"], &keys)).collect();
        assert_eq!(findings_of(&report), judged, "{}", folder.display());
        let wanted: Vec<(&str, &str)> = want["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|f| f["delivery"].is_null())
            .map(|f| (f["file"].as_str().unwrap(), f["code"].as_str().unwrap()))
            .collect();
        assert_eq!(refused.len(), wanted.len(), "{refused:?}");
        for ((file, code), text) in wanted.iter().zip(&refused) {
            assert!(text.starts_with(&format!("{file} : [{code}]")), "{text}");
            assert!(shown.contains(text), "told at the end of the run: {text}");
        }
    }
    assert_eq!(seen, 7);
}
