//! What the end-to-end tests share: the real binary, the samples, trees of digests.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod own;

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Date of the committed night.
pub const DATE: &str = "2026-01-12";

/// Root of the checkout.
pub fn root() -> PathBuf {
    // Asked when the test runs: checkouts that share a cache of builds share binaries.
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).parent().unwrap().to_path_buf()
}

/// The material beside the project, on the machines that have it.
pub fn shared() -> Option<PathBuf> {
    let path = root().parent()?.join("shared");
    if path.is_dir() {
        return Some(path);
    }
    println!("skipped: ../shared is not here");
    None
}

/// The binary, run from the root of the checkout.
pub fn cartulaire(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cartulaire"));
    command.current_dir(root()).args(args).env_remove("CARTULAIRE_LOG");
    command
}

/// Runs to the end; panics with stderr when the exit code is not the expected one.
pub fn run(args: &[&str], code: i32) -> Output {
    let out = cartulaire(args).output().unwrap();
    assert_eq!(
        out.status.code(),
        Some(code),
        "{args:?}\n{}\n{}",
        String::from_utf8_lossy(&out.stderr),
        String::from_utf8_lossy(&out.stdout)
    );
    out
}

/// Runs to the end and reads the JSON document.
pub fn json(args: &[&str], code: i32) -> Value {
    let out = run(args, code);
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The night of the samples in a store of its own.
pub fn night(store: &Path, threads: &str) -> Value {
    let store = store.display().to_string();
    json(&["run", "nightly", "--date", DATE, "--store", &store, "--threads", threads, "--json"], 0)
}

/// SHA-256 of every file below a folder, by path; of what [`bytes`] gives.
pub fn tree(store: &Path) -> BTreeMap<String, String> {
    let hex = |bytes: Vec<u8>| Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    bytes(store).into_iter().map(|(name, bytes)| (name, hex(bytes))).collect()
}

/// Every file below a folder, by path. The ledger is left out (its pages depend on the order of
/// writes), and the journal's machine times are replaced by a placeholder, with the digests that
/// cover them.
pub fn bytes(store: &Path) -> BTreeMap<String, Vec<u8>> {
    assert!(store.is_dir(), "{}", store.display());
    let mut out = BTreeMap::new();
    for path in files(store) {
        let name = path.strip_prefix(store).unwrap().display().to_string();
        if name.starts_with("ledger.sqlite") || name == ".lock" {
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        if name.starts_with("journal/") {
            bytes = without_times(&String::from_utf8(bytes).unwrap()).into_bytes();
        }
        out.insert(name, bytes);
    }
    out
}

fn without_times(journal: &str) -> String {
    let lines = journal.lines().map(|line| {
        let mut entry: Value = serde_json::from_str(line).unwrap();
        for key in ["at", "prev", "hash"] {
            let width = entry[key].as_str().unwrap().len();
            entry[key] = Value::String("·".repeat(width));
        }
        entry.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Every file below a folder, sorted; none when it is not there.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { todo.push(path) } else { out.push(path) }
        }
    }
    out.sort();
    out
}
