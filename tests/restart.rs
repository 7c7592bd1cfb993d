//! A night that is killed and started again ends like one that was left in peace.

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

use common::{DATE, cartulaire, json, night, tree};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

fn start(store: &Path) -> Child {
    let store = store.display().to_string();
    cartulaire(&["run", "nightly", "--date", DATE, "--store", &store, "--quiet"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Steps recorded in the ledger; 0 while it cannot be read.
fn steps_done(store: &Path) -> i64 {
    let count = || -> rusqlite::Result<i64> {
        let db = Connection::open_with_flags(store.join("ledger.sqlite"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.query_row("SELECT count(*) FROM steps", [], |r| r.get(0))
    };
    count().unwrap_or(0)
}

fn ends_like(store: &Path, peaceful: &Path, what: &str) {
    night(store, "2");
    assert_eq!(tree(store), tree(peaceful), "{what}");
    let store = store.display().to_string();
    assert_eq!(json(&["journal", "verify", "--store", &store, "--json"], 0)["verdict"], "intact", "{what}");
}

#[test]
fn a_kill_after_any_step_changes_nothing_in_the_end() {
    let peaceful = tempfile::tempdir().unwrap();
    night(peaceful.path(), "2");
    for steps in 0..6 {
        let store = tempfile::tempdir().unwrap();
        let mut child = start(store.path());
        let begun = Instant::now();
        while steps_done(store.path()) < steps && begun.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_micros(300));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        ends_like(store.path(), peaceful.path(), &format!("killed after step {steps}"));
    }
}

/// Ten moments here; `CARTULAIRE_KILLS` asks for more.
#[test]
fn kills_at_random_moments_change_nothing_in_the_end() {
    let peaceful = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    night(peaceful.path(), "2");
    let whole = begun.elapsed().as_micros() as u64;
    let rounds: u64 = std::env::var("CARTULAIRE_KILLS").ok().and_then(|v| v.parse().ok()).unwrap_or(10);
    let mut seed = 20_260_112_u64;
    for round in 0..rounds {
        let store = tempfile::tempdir().unwrap();
        // Up to three kills of the same night.
        for _ in 0..=round % 3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let mut child = start(store.path());
            std::thread::sleep(Duration::from_micros((seed >> 33) % whole));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        ends_like(store.path(), peaceful.path(), &format!("round {round}"));
    }
}

#[test]
fn the_scheduler_runs_a_due_job_once_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("jobs")).unwrap();
    let job = std::fs::read_to_string(common::root().join("jobs/definitions/nightly.toml")).unwrap();
    // Every second: due as soon as the scheduler looks.
    let job = job.replace("\"30 2 * * *\"", "\"* * * * * *\"");
    std::fs::write(folder.path().join("jobs/nightly.toml"), job).unwrap();
    let text = std::fs::read_to_string(common::root().join("cartulaire.toml")).unwrap();
    let text = text.replace("\"samples/", &format!("\"{}/samples/", common::root().display()));
    std::fs::write(folder.path().join("cartulaire.toml"), format!("{text}\n[jobs]\npath = \"jobs\"\n"))
        .unwrap();
    let config = folder.path().join("cartulaire.toml").display().to_string();
    let mut child = cartulaire(&["serve", "--config", &config]).stdout(Stdio::piped()).spawn().unwrap();
    let store = folder.path().join("var/store");
    let begun = Instant::now();
    while steps_done(&store) < 6 && begun.elapsed() < Duration::from_secs(90) {
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(Duration::from_secs(1));
    let killed = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let history = json(&["history", "--config", &config, "--json"], 0);
    let runs = history["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[0]["status"]), (1, &"ok".into()), "{history:#}");
}

#[test]
fn a_second_process_is_told_that_the_store_is_in_use() {
    let store = tempfile::tempdir().unwrap();
    let at = store.path().display().to_string();
    common::run(&["init", "--store", &at], 0);
    let held = std::fs::File::options().write(true).open(store.path().join(".lock")).unwrap();
    held.lock().unwrap();
    let out = cartulaire(&["run", "nightly", "--date", DATE, "--store", &at]).output().unwrap();
    assert_eq!(out.status.code(), Some(11));
    assert!(String::from_utf8_lossy(&out.stderr).contains("utilisé par un autre processus"));
}

#[test]
fn a_file_that_the_ledger_never_heard_of_is_left_alone() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    for name in [
        "tables/ent_eleve/mine.parquet",
        "received/ab/cd",
        "archives/SIP-x/x.zip",
        "elimination/EL-x/list.json",
    ] {
        let path = store.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "kept").unwrap();
    }
    let before = tree(store.path());
    let at = store.path().display().to_string();
    json(&["status", "--store", &at, "--json"], 0);
    assert_eq!(tree(store.path()), before);
}

#[test]
fn a_night_on_an_older_ledger_writes_over_nothing() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    // Another night's bytes stand where this ledger, emptied of all it knew, will want to write.
    let stands = ["archives", "publications", "elimination", "tables"].map(|f| {
        let all = tree(store.path());
        let name = all.keys().find(|n| n.starts_with(f)).unwrap().clone();
        std::fs::write(store.path().join(&name), f).unwrap();
        f
    });
    let other = tempfile::tempdir().unwrap();
    let at = other.path().display().to_string();
    common::run(&["init", "--store", &at], 0);
    for file in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(store.path().join(file));
    }
    std::fs::copy(other.path().join("ledger.sqlite"), store.path().join("ledger.sqlite")).unwrap();
    night(store.path(), "2");
    let kept = common::files(&store.path().join("lost+found"));
    let kept: Vec<Vec<u8>> = kept.iter().map(|p| std::fs::read(p).unwrap()).collect();
    for text in stands {
        assert!(kept.iter().any(|k| k == text.as_bytes()), "{text} was written over");
    }
}
