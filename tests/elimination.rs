//! Elimination from end to end, through the command line: three invented school years, the persons of
//! a service and of its archives. What was visaed goes from every file, nothing else does, whatever
//! stops it; and what is not right is refused.

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
#[path = "common/elimination.rs"]
mod place;

use common::bytes;
use place::*;
use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

#[test]
fn the_whole_chain_leaves_nothing_of_the_eliminated_and_everything_else() {
    let place = listed().copy();
    let before = bytes(&place.store());
    // What is due in the simulation is what the list holds.
    let simulated = place.json(&format!("retention simulate --as-of {LISTED}"));
    let decided = simulated["by_decision"].as_array().unwrap().iter();
    let due = decided.filter(|d| d["decision"] == "eliminate").map(|d| d["count"].as_u64().unwrap());
    let listed: u64 =
        parquet_text(&place.store().join(format!("elimination/{}/list.parquet", place.list())), None).len()
            as u64;
    assert_eq!(due.sum::<u64>(), listed);
    submit(&place);
    let how = match annotated_by_openpyxl(&place) {
        true => {
            place.does("elimination annotate @exported @rendu.xlsx");
            "--sheet @rendu.xlsx"
        }
        false => "--answer visa",
    };
    // The archives have the exported folder, the register, a key; neither store nor configuration.
    let archives = tempfile::tempdir().unwrap();
    for name in ["archiviste-trois.key", "signataires.toml", "rendu.xlsx"] {
        let _ = std::fs::copy(place.path(name), archives.path().join(name));
    }
    copy(&place.path("exported"), &archives.path().join("exported"));
    std::fs::write(archives.path().join("cartulaire.toml"), "").unwrap();
    let theirs = Place { at: archives.path().to_owned(), _temporary: None };
    theirs.does(&visa(how));
    assert!(!theirs.store().exists() && !archives.path().join("var").exists());
    copy(&theirs.path("exported"), &place.path("exported"));
    approve(&place);

    let victims = leavers().split_off(1);
    assert!(victims.len() >= 3, "{}", victims.len());
    // Every value that names them is found before, so it can be missed after.
    for (value, files) in search(&place.store(), &identifiers(&victims)) {
        let there = |folder| files.iter().any(|f| f.starts_with(folder));
        assert!(there("tables/") && there("received/"), "{value}: {files:?}");
    }
    let done = place.json(&execute());
    assert_eq!((&done["state"], done["records"].as_u64()), (&"executed".into(), Some(listed)));
    place.does("elimination attest LIST --key @exec-quatre.key --date 2026-07-30");
    assert_eq!(place.status(), "executed");
    place.does("elimination attest LIST --key @temoin-cinq.key --date 2026-07-30");
    assert_eq!(place.status(), "attested");
    place.is_intact("attested");

    let held = texts(&leavers()[0]["identifiers"])[0];
    let pupils = truth()["pupils"].as_array().unwrap().iter();
    let present: Vec<&Value> = pupils.filter(|p| texts(&p["years"]).contains(&"2025-2026")).collect();
    assert!(present.len() > 20);
    let (gone, present) = (identifiers(&victims), identifiers(&present));
    let left = search(&place.store(), &[gone.as_slice(), &present, &[held]].concat());
    for value in gone {
        assert!(left[value].is_empty(), "{value}: {:?}", left[value]);
    }
    // Who is held, and who is there in the last year, are still in the tables; the latter as delivered.
    assert!(left[held].iter().any(|f| f.starts_with("tables/ent_eleve/")), "{:?}", left[held]);
    for value in present {
        let there = |folder| left[value].iter().any(|f| f.starts_with(folder));
        assert!(there("tables/") && there("received/"), "{value}: {:?}", left[value]);
    }
    only_the_plan_changed(&place, &before);
}

/// Targets are gone; every other file is as before, except the list's folder and the journal, which grow.
fn only_the_plan_changed(place: &Place, before: &BTreeMap<String, Vec<u8>>) {
    let after = bytes(&place.store());
    let plan = plan(&place.store());
    let targets: BTreeSet<&str> = plan.iter().map(|t| t.0.as_str()).collect();
    let new: BTreeSet<&str> = plan.iter().filter_map(|t| t.2.as_deref()).collect();
    assert!(
        !new.is_empty() && ["table", "delivery", "quarantine"].iter().all(|k| plan.iter().any(|t| t.1 == *k))
    );
    let grows = |name: &str| name.starts_with("journal/");
    for (name, digest) in before.iter().filter(|(name, _)| !grows(name)) {
        let expected = (!targets.contains(name.as_str())).then_some(digest);
        assert_eq!(after.get(name), expected, "{name}");
    }
    let folder = format!("elimination/{}/", place.list());
    let added = after.keys().map(String::as_str).filter(|n| !before.contains_key(*n) && !grows(n));
    let others: BTreeSet<&str> = added.filter(|n| !n.starts_with(&folder)).collect();
    assert_eq!(others, new);
}

#[test]
fn a_partial_visa_keeps_the_refused_undecided_and_to_be_sorted_rows() {
    let place = submitted().copy();
    let before = bytes(&place.store());
    let mut decisions = BTreeMap::new();
    let mut kept = BTreeSet::new();
    for (order, table, year) in rows(&place) {
        let decision = match (table.as_str(), year) {
            ("ent_personnel", _) => Some("Refus"),
            ("ent_matiere", _) => Some("À trier"),
            ("ent_mef", _) => None,
            ("ent_eleve", 2024) => Some("Refus"),
            _ => Some("Visa"),
        };
        if decision != Some("Visa") {
            kept.insert((table, year));
        }
        decision.map(|d| decisions.insert(order, d));
    }
    assert_eq!(kept.len(), 7);
    annotate(&place, &decisions);
    place.does(&visa("--sheet @rendu.xlsx"));
    approve(&place);
    assert_eq!(place.json(&execute())["state"], "executed");
    only_the_plan_changed(&place, &before);
    for (table, year) in &kept {
        let of = |name: &&String| {
            let mine = name.starts_with(&format!("tables/{table}/"));
            mine && name.contains(&format!("annee_scolaire={year}-{}/", year + 1))
        };
        assert!(before.keys().any(|n| of(&n)), "{table} {year}");
        let targets = plan(&place.store());
        let touched: Vec<_> = targets.iter().filter(|t| of(&&t.0)).collect();
        assert!(touched.is_empty(), "{touched:?}");
    }
    let copies = "SELECT count(*) FROM elimination_targets t WHERE t.path LIKE 'quarantine/ent_m%' OR t.path LIKE 'quarantine/ent_pers%'
        OR EXISTS (SELECT 1 FROM files f WHERE f.table_name IN ('ent_personnel', 'ent_matiere', 'ent_mef') AND t.path LIKE '%/' || f.sha256)";
    assert_eq!(counted(&place, copies), 0);
    place.does("elimination attest LIST --key @exec-quatre.key --date 2026-07-30");
    place.does("elimination attest LIST --key @temoin-cinq.key --date 2026-07-30");
    let path = place.store().join(format!("elimination/{}/attestation.json", place.list()));
    let attestation: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    for (row, (order, table, year)) in
        attestation["statement"]["rows"].as_array().unwrap().iter().zip(rows(&place))
    {
        let (gone, stays) = (row["eliminated"].as_u64().unwrap(), row["kept"].as_u64().unwrap());
        let expected = kept.contains(&(table, year));
        assert_eq!((gone == 0, stays > 0, &row["failed"]), (expected, expected, &0.into()), "row {order}");
    }
}

#[test]
fn who_may_not_act_is_refused() {
    let place = listed().copy();
    place.does("elimination key inconnu --out @inconnu.key");
    place.refuses(
        "elimination propose LIST --by chef-deux --key @chef-deux.key --date 2026-07-07",
        "ELIM_PERSON]",
        "wrong role",
    );
    place.refuses(
        "elimination propose LIST --by inconnu --key @inconnu.key --date 2026-07-07",
        "ELIM_PERSON]",
        "unknown person",
    );
    place.does("elimination propose LIST --by zoe-six --key @zoe-six.key --date 2026-07-07");
    place.refuses(
        "elimination sign LIST --key @agent-un.key --date 2026-07-08",
        "ELIM_SIGN_ROLE]",
        "agent signs",
    );
    let same = "ELIM_SAME_PERSON]";
    place.refuses("elimination sign LIST --key @zoe-six.key --date 2026-07-08", same, "proposes and signs");
    place.does("elimination sign LIST --key @chef-deux.key --date 2026-07-08");
    place.does("elimination submit LIST --by chef-deux --key @chef-deux.key --date 2026-07-08");
    place.does("elimination export LIST --out @exported");
    let by = |who: &str| visa("--answer visa").replace("archiviste-trois", who);
    place.refuses(&by("chef-deux"), "ELIM_SIGN_ROLE]", "the producer visas");
    place.does(&by("zoe-six"));
    let import = "elimination visa LIST --import @exported/visa.json --date 2026-07-21";
    place.refuses(import, same, "proposes and visas");
    std::fs::remove_file(place.path("exported/visa.json")).unwrap();
    place.does(&by("archiviste-trois"));
    place.does(import);
    let approval = |who: &str| format!("elimination execute LIST --approve @{who}.key --date {APPROVED}");
    place.refuses(&approval("zoe-six"), same, "proposes and approves");
    place.refuses(&approval("archiviste-trois"), "ELIM_SIGN_ROLE]", "the archives approve");
    place.does(&approval("chef-deux"));
    time_passes(&place);
    let by = |who: &str| format!("elimination execute LIST --by {who} --key @{who}.key --date {EXECUTED}");
    place.refuses(&by("archiviste-trois"), "ELIM_", "the archives execute");
    place.does(&by("zoe-six"));
    let attest = |who: &str| format!("elimination attest LIST --key @{who}.key --date 2026-07-30");
    place.refuses(&attest("temoin-cinq"), "ELIM_SIGN_ROLE]", "a witness attests first");
    place.does(&attest("zoe-six"));
    place.refuses(&attest("zoe-six"), same, "is one's own witness");
    place.does(&attest("temoin-cinq"));
    place.is_intact("attested");
}

#[test]
fn nobody_acts_under_another_name() {
    let place = listed().copy();
    let refused = |line: &str, code: &str| {
        place.refuses(line, "ELIM_KEY_MISSING]", line);
        let (before, after) = line.split_once(" --date").unwrap();
        place.refuses(&format!("{before} --key @exec-quatre.key --date{after}"), code, line);
    };
    // A key of another role first, then one of the same role and another person.
    refused("elimination propose LIST --by agent-un --date 2026-07-07", "ELIM_SIGN_ROLE]");
    let propose = |who: &str, day: &str| {
        format!("elimination propose LIST --by agent-un --key @{who}.key --date {day}")
    };
    place.refuses(&propose("zoe-six", "2026-07-07"), "ELIM_KEY_OTHER]", "the key of another agent");
    place.refuses(&propose("agent-un", "2026-07-05"), "ELIM_DATE]", "before the list was made");
    place.does(&propose("agent-un", "2026-07-07"));
    place.does("elimination sign LIST --key @chef-deux.key --date 2026-07-08");
    refused("elimination submit LIST --by agent-un --date 2026-07-08", "ELIM_SIGN_ROLE]");
    refused("elimination recall LIST --by agent-un --reason erreur --date 2026-07-08", "ELIM_SIGN_ROLE]");
    let place = approved().copy();
    let line = format!("elimination execute LIST --by exec-quatre --date {EXECUTED}");
    place.refuses(&line, "ELIM_KEY_MISSING]", "executed with a name alone");
    let other = format!("elimination execute LIST --by exec-quatre --key @zoe-six.key --date {EXECUTED}");
    place.refuses(&other, "ELIM_KEY_OTHER]", "executed with the key of another executant");
    // What was signed is in the journal, and can be checked with the public key alone.
    let db = ledger(&place.store());
    let sealed = "SELECT count(*) FROM journal WHERE kind = 'list_step' AND json_extract(payload, '$.event') IN ('proposed', 'submitted') AND length(json_extract(payload, '$.signature')) = 128";
    let sealed: i64 = db.query_row(sealed, [], |r| r.get(0)).unwrap();
    assert_eq!(sealed, 2);
}

#[test]
fn whoever_executed_attests() {
    let place = approved().copy();
    place.does(&execute());
    let attest = "elimination attest LIST --key @zoe-six.key --date 2026-07-30";
    place.refuses(attest, "ELIM_", "an executant attests what another has executed");
}

#[test]
fn only_an_executant_of_the_register_executes() {
    let place = approved().copy();
    place.does("elimination key inconnu --out @inconnu.key");
    for who in ["temoin-cinq", "agent-un", "chef-deux", "inconnu"] {
        place.refuses(&execute().replace("exec-quatre", who), "ELIM_PERSON]", who);
    }
    // Known, but no longer on that day.
    edit(&place.path("signataires.toml"), |t| {
        let (before, after) = t.split_once("\"exec-quatre\"").unwrap();
        format!("{before}\"exec-quatre\"{}", after.replacen("2030-12-31", "2026-07-28", 1))
    });
    place.refuses(&execute(), "ELIM_PERSON]", "an executant of another time");
}

#[test]
fn nothing_is_executed_without_its_visa() {
    let place = submitted().copy();
    let approval = format!("elimination execute LIST --approve @chef-deux.key --date {APPROVED}");
    place.refuses(&execute(), "ELIM_TRANSITION]", "executed without a visa");
    place.refuses(&approval, "ELIM_TRANSITION]", "approved without a visa");

    // The first list, that of the time before the hold, is visaed; the second is not.
    let first = std::fs::read_to_string(place.path("first-list.txt")).unwrap();
    place.does(&format!("elimination export {first} --out @first"));
    place.does(&visa("--answer visa").replace("@exported", "@first"));
    let import = |file: &str, date: &str| format!("elimination visa LIST --import @{file} --date {date}");
    place.refuses(&import("first/visa.json", VISAED), "ELIM_SIGN_OTHER_LIST]", "visa for another list");

    place.does(&visa("--answer visa"));
    let good = std::fs::read(place.path("exported/visa.json")).unwrap();
    for at in (0..good.len()).step_by(good.len() / 16) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(place.path("flipped.json"), bytes).unwrap();
        place.refuses(&import("flipped.json", VISAED), "ELIM_", &format!("visa with byte {at} flipped"));
    }
    place.refuses(&import("exported/visa.json", "2026-07-19"), "ELIM_", "received before it was signed");
    place.does(&import("exported/visa.json", "2026-07-21"));
    place.refuses(&import("exported/visa.json", "2026-07-21"), "ELIM_TRANSITION]", "received twice");
    place.refuses(&execute(), "ELIM_TRANSITION]", "executed without an approval");
    let early = approval.replace(APPROVED, "2026-07-20");
    place.refuses(&early, "ELIM_DATE]", "approved before the visa came");
    place.does(&approval);
    place.refuses(&execute(), "ELIM_COOLING_OFF]", "its days were dated back: none has passed");
    let replayed = place.copy();
    let config = std::fs::read_to_string(replayed.path("cartulaire.toml")).unwrap();
    std::fs::write(replayed.path("cartulaire.toml"), config.replace("cooling_off_on_clock = true\n", ""))
        .unwrap();
    let early = execute().replace(EXECUTED, "2026-07-28");
    replayed.refuses(&early, "ELIM_COOLING_OFF]", "the day before its time, by logical dates alone");
    replayed.does(&execute());
    time_passes(&place);
    for date in ["2026-07-19", "2026-07-28"] {
        place.refuses(&execute().replace(EXECUTED, date), "ELIM_", &format!("executed on {date}"));
    }
    place.refuses(&execute().replace(EXECUTED, "2026-07-28"), "ELIM_COOLING_OFF]", "the day before its time");
    place.does(&execute());
}

fn edit(path: &Path, change: impl Fn(String) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    let changed = change(text.clone());
    assert_ne!(changed, text, "{}", path.display());
    std::fs::write(path, changed).unwrap();
}

#[test]
fn what_changed_after_the_visa_is_refused() {
    let list = |p: &Place, name: &str| p.store().join(format!("elimination/{}/{name}", p.list()));
    type Case<'a> = (&'a str, &'a str, &'a dyn Fn(&Place));
    let cases: [Case<'_>; 6] = [
        ("list.json changed", "ELIM_LIST_ALTERED]", &|p| {
            edit(&list(p, "list.json"), |t| t.replacen("\"records\": 8", "\"records\": 9", 1));
        }),
        ("list.json respaced", "ELIM_", &|p| edit(&list(p, "list.json"), |t| t.replacen(": ", ":  ", 1))),
        ("a hold placed", "ELIM_HELD]", &|p| {
            p.does("hold add --id gel --reason litige --owner DAJ --by chef-deux --scope \"annee_scolaire = '2023-2024'\" --date 2026-07-25");
        }),
        ("a duration that is longer", "ELIM_VISA_", &|p| {
            edit(&p.path("rules/ent.toml"), |t| {
                t.replacen("\"P3M\"", "\"P9M\"", 1)
                    .replace("2025-11-30", "2026-05-31")
                    .replace("2025-12-01", "2026-06-01")
            });
        }),
        ("a rule no longer verified", "ELIM_RULE_UNVERIFIED]", &|p| {
            edit(&p.path("overlay.toml"), |t| t.replacen("verified_on = \"2025", "verified_on = \"2027", 1));
        }),
        ("a record less", "ELIM_", &|p| {
            let db = Connection::open(p.store().join("ledger.sqlite")).unwrap();
            let gone = db.execute("DELETE FROM snapshots WHERE path = (SELECT min(path) FROM snapshots WHERE table_name = 'ent_mef')", []);
            assert_eq!(gone.unwrap(), 1);
        }),
    ];
    for (case, code, change) in cases {
        let place = approved().copy();
        change(&place);
        place.refuses(&execute(), code, case);
    }
}

#[test]
fn list_parquet_of_another_list_starts_nothing() {
    let place = approved().copy();
    let first = std::fs::read_to_string(place.path("first-list.txt")).unwrap();
    let of = |list: &str| place.store().join(format!("elimination/{list}/list.parquet"));
    std::fs::copy(of(&first), of(&place.list())).unwrap();
    place.refuses(&execute(), "ELIM_LIST_ALTERED]", "list.parquet of another list");
}

#[test]
fn a_byte_flipped_anywhere_in_list_parquet_is_found() {
    let place = approved().copy();
    let path = place.store().join(format!("elimination/{}/list.parquet", place.list()));
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(good.len() / 12) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        place.refuses(&execute(), "ELIM_LIST_ALTERED]", &format!("byte {at} of {}", good.len()));
    }
}

/// Goes on with the execution; refused when it had ended just before its kill.
fn finish(place: &Place, what: &str) {
    let code = if place.status() == "executed" { 4 } else { 0 };
    place.exits(&execute(), code);
    assert_eq!(place.status(), "executed", "{what}");
}

/// One tombstone a granted record, under the salt of the store, and no other.
fn each_record_has_its_tombstone(place: &Place, what: &str) {
    let db = ledger(&place.store());
    let salt: String =
        db.query_row("SELECT value FROM meta WHERE key = 'tombstone_salt'", [], |r| r.get(0)).unwrap();
    let salt: Vec<u8> = (0..32).map(|i| u8::from_str_radix(&salt[2 * i..2 * i + 2], 16).unwrap()).collect();
    let mut found = db.prepare("SELECT digest, row FROM tombstones").unwrap();
    let found =
        found.query_map([], |r| Ok((r.get::<_, Vec<u8>>(0)?, r.get::<_, i64>(1)?.to_string()))).unwrap();
    let found: BTreeMap<Vec<u8>, String> = found.map(Result::unwrap).collect();
    let visa = std::fs::read(place.store().join(format!("elimination/{}/visa.json", place.list()))).unwrap();
    let visa: Value = serde_json::from_slice(&visa).unwrap();
    let decided = visa["statement"]["rows"].as_array().unwrap().iter().filter(|r| r["decision"] == "visa");
    let granted: BTreeSet<String> = decided.map(|r| r["order"].to_string()).collect();
    let list = place.store().join(format!("elimination/{}/list.parquet", place.list()));
    let expected: BTreeMap<Vec<u8>, String> = parquet_text(&list, Some(&["row", "record", "table"]))
        .iter()
        .filter(|line| granted.is_empty() || granted.contains(&line[0]))
        .map(|line| {
            let text = [
                &b"cartulaire/tombstone/v1\0"[..],
                salt.as_slice(),
                line[2].as_bytes(),
                b"\0",
                line[1].as_bytes(),
            ]
            .concat();
            (Sha256::digest(text).to_vec(), line[0].clone())
        })
        .collect();
    assert!(!expected.is_empty() && found == expected, "{what}: {} of {}", found.len(), expected.len());
}

/// Few rows are granted, with every kind of file among their targets.
fn approved_in_part() -> Place {
    let place = submitted().copy();
    let few = ["ent_eleve", "ent_responsable", "scope_appartenances"];
    let granted = rows(&place).into_iter().filter(|r| r.2 == 2023 && few.contains(&r.1.as_str()));
    annotate(&place, &granted.map(|r| (r.0, "Visa")).collect());
    place.does(&visa("--sheet @rendu.xlsx"));
    approve(&place);
    place
}

/// A number that the ledger of a place knows at this moment, perhaps while it is written.
fn counted(place: &Place, sql: &str) -> i64 {
    let path = place.path("store/ledger.sqlite");
    let count = || -> rusqlite::Result<i64> {
        let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        db.query_row(sql, [], |r| r.get(0))
    };
    count().unwrap_or(0)
}

/// Starts the execution and waits until as many targets are done; or, below zero, not at all.
fn begin(place: &Place, done: i64) -> Child {
    let child = place.command(&execute()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    // The plan is written when the execution starts.
    let sql = "SELECT count(*) FROM elimination_targets WHERE done OR ordinal = (SELECT min(ordinal) FROM elimination_targets)";
    while done >= 0 && counted(place, sql) <= done && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_micros(300));
    }
    child
}

fn kill(mut child: Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// 25 moments here; `CARTULAIRE_KILLS` asks for more.
#[test]
fn kills_at_many_moments_change_nothing_in_the_end() {
    let start = approved_in_part();
    let peaceful = start.copy();
    let begun = Instant::now();
    let mut child = begin(&peaceful, 0);
    let before = begun.elapsed();
    assert!(child.wait().unwrap().success());
    let during = begun.elapsed().saturating_sub(before);
    only_the_plan_changed(&peaceful, &bytes(&start.store()));
    let expected = bytes(&peaceful.store());
    let rounds: u32 = std::env::var("CARTULAIRE_KILLS").ok().and_then(|v| v.parse().ok()).unwrap_or(25);
    let mut stopped: BTreeMap<String, u32> = BTreeMap::new();
    for round in 0..rounds {
        let place = start.copy();
        // One time in five before the start, most often while files go.
        let (from, delay) = if round % 5 == 0 { (-1, before) } else { (0, during) };
        let child = begin(&place, from);
        std::thread::sleep(delay * round / rounds);
        kill(child);
        let status = place.status();
        // Every third time, what goes on is killed too.
        if round % 3 == 0 && status == "executing" {
            let child = begin(&place, -1);
            std::thread::sleep(during / 3);
            kill(child);
        }
        let what = format!("killed at {round} of {rounds}, {status}");
        *stopped.entry(status).or_default() += 1;
        finish(&place, &what);
        assert_same(&bytes(&place.store()), &expected, &what);
        each_record_has_its_tombstone(&place, &what);
        place.is_intact(&what);
    }
    println!("stopped when: {stopped:?}");
    assert!(stopped.contains_key("executing"), "no kill during the execution: {stopped:?}");
}

/// A place whose execution was stopped once some tables were done, and others not.
fn stopped() -> Place {
    for _ in 0..10 {
        let place = approved().copy();
        kill(begin(&place, 3));
        let done = counted(&place, "SELECT count(*) FROM elimination_targets WHERE done");
        if (3..20).contains(&done) && place.status() == "executing" {
            return place;
        }
    }
    panic!("no execution was stopped in its middle");
}

#[test]
fn a_hold_placed_while_an_execution_is_stopped_wins_over_the_rest_of_it() {
    let place = stopped();
    place.does("hold add --id gel --reason litige --owner DAJ --by chef-deux --scope \"classe = 'ent-annuaire'\" --date 2026-07-29");
    let tables = |place: &Place| -> BTreeMap<String, Vec<u8>> {
        bytes(&place.store()).into_iter().filter(|(n, _)| n.starts_with("tables/ent_")).collect()
    };
    let before = tables(&place);
    let known = "SELECT path FROM snapshots WHERE path LIKE 'tables/ent_%'";
    let known: BTreeSet<String> = {
        let db = ledger(&place.store());
        let mut all = db.prepare(known).unwrap();
        all.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
    };
    let out = place.exits(&format!("--json {}", execute()), 4);
    let done: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((&done["state"], place.status().as_str()), (&"partly_failed".into(), "partly_failed"));
    let after = tables(&place);
    for path in &known {
        assert_eq!(after.get(path), before.get(path), "{path}");
    }
    // What came with the held records stays, too.
    for (path, kind, _) in plan(&place.store()).iter().filter(|t| t.1 != "table") {
        let of = "SELECT count(*) FROM snapshots s JOIN files f ON f.delivery_id = s.delivery_id AND f.table_name = s.table_name WHERE s.table_name LIKE 'ent_%' AND 'received/' || substr(f.sha256, 1, 2) || '/' || f.sha256 = ?";
        let held: i64 = ledger(&place.store()).query_row(of, [path], |r| r.get(0)).unwrap();
        assert!(held == 0 || place.store().join(path).exists(), "{kind} {path}");
    }
    place.is_intact("partly failed");
}

#[test]
fn a_hold_on_a_pupil_puts_no_identifier_in_the_journal() {
    let held = texts(&leavers()[0]["identifiers"])[0];
    for file in common::files(&listed().store().join("journal")) {
        let text = without_digests(&std::fs::read_to_string(file).unwrap());
        assert!(!text.contains(held), "{}", text.lines().find(|l| l.contains(held)).unwrap_or_default());
    }
}

/// Without runs of 64 hexadecimal digits: they differ from run to run, and may hold any eight figures by chance.
fn without_digests(text: &str) -> String {
    let hex = |c: char| c.is_ascii_hexdigit();
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(hex) {
        let (before, from) = rest.split_at(start);
        let (run, after) = from.split_at(from.find(|c| !hex(c)).unwrap_or(from.len()));
        out.push_str(before);
        out.push_str(if run.len() == 64 { "(digest)" } else { run });
        rest = after;
    }
    out + rest
}

#[test]
fn only_whole_digests_are_left_out_of_what_is_searched() {
    let digest = "10000009".repeat(8);
    let text = format!("{{\"hash\":\"{digest}\",\"id\":\"10000009\",\"prev\":\"{}\"}}", &digest[1..]);
    assert_eq!(without_digests(&text), text.replacen(&digest, "(digest)", 1));
}

#[test]
fn nothing_is_executed_twice() {
    let place = approved().copy();
    place.does(&execute());
    each_record_has_its_tombstone(&place, "executed");
    place.refuses(&execute(), "ELIM_TRANSITION]", "executed again");
    let recall =
        "elimination recall LIST --by agent-un --key @agent-un.key --reason erreur --date 2026-07-30";
    place.refuses(recall, "ELIM_TRANSITION]", "recalled once executed");
    place.does("elimination attest LIST --key @exec-quatre.key --date 2026-07-30");
    place.does("elimination attest LIST --key @temoin-cinq.key --date 2026-07-30");
    place.refuses(&execute().replace(EXECUTED, "2026-08-15"), "ELIM_TRANSITION]", "executed once attested");
    place.is_intact("attested");
}

#[test]
fn the_nights_that_follow_work_and_list_nothing_of_what_is_gone() {
    let place = approved().copy();
    place.does(&execute());
    let tables = |place: &Place| -> BTreeMap<String, Vec<u8>> {
        let kept = ["tables/", "received/", "quarantine/"];
        bytes(&place.store()).into_iter().filter(|(n, _)| kept.iter().any(|k| n.starts_with(k))).collect()
    };
    let left = tables(&place);
    let lists = place.json("elimination list");
    assert_eq!(place.json("run nightly --date 2026-07-30")["status"], "ok");
    assert_eq!(tables(&place), left);
    assert_eq!(place.json("elimination list"), lists);
    // Months later the last year is due; nothing of the first two, which are gone or held, is listed.
    assert_eq!(place.json("run nightly --date 2026-12-05")["status"], "ok");
    let known = texts_of(&lists);
    let now = texts_of(&place.json("elimination list"));
    let new: Vec<&String> = now.iter().filter(|id| !known.contains(id)).collect();
    assert_eq!(new.len(), 1);
    let shown = place.json(&format!("elimination show {}", new[0]));
    for row in shown["rows"].as_array().unwrap() {
        let (table, year) = (row["table"].as_str().unwrap(), row["first_year"].as_u64().unwrap());
        let expected = if table.starts_with("ent_") { 2025 } else { 2024 };
        assert_eq!(year, expected, "{row}");
    }
    assert_eq!(tables(&place), left);
    for command in ["status", "quarantine list", "history"] {
        place.does(command);
    }
    place.is_intact("months later");
}

fn texts_of(lists: &Value) -> Vec<String> {
    lists["lists"].as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap().to_owned()).collect()
}
