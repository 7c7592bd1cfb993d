//! Tri from end to end, through the command line: a population is recorded, a public value draws
//! among it, and what was not drawn goes through the elimination; what was, stays.

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
#[allow(dead_code, reason = "shared with the eliminations")]
mod place;

use arrow::array::UInt64Array;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use place::*;
use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Day of the list that follows the draw.
const AFTER: &str = "2026-07-07";
const DRAW: &str = "tri draw personnes --value \"nonce 4f1c\" --origin \"archives, lettre du 6 juillet\" --by agent-un --date 2026-07-06";
const PLAN: &str = r#"
[[plan]]
id = "personnes"
version = "1"
title = "Personnes de l'annuaire"
citation = "Plan inventé."
unit = { ent_eleve = "ENTPersonJointure", ent_responsable = "ENTPersonJointure", scope_appartenances = "id_eleve" }
random = { size = { n = 40 } }
"#;

/// The place of the eliminations, whose directory and memberships are now to be sorted.
fn to_sort() -> Place {
    let place = listed().copy();
    for (file, rule) in [("ent.toml", "ENT-ANNUAIRE"), ("scope.toml", "SCOPE-NOMINATIF")] {
        let path = place.path("rules").join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let at = text.find(&format!("id = \"{rule}\"")).unwrap();
        let (before, after) = text.split_at(at);
        let sorted =
            after.replacen("sort_final = \"elimination\"", "sort_final = \"tri\"\ntri = \"personnes\"", 1);
        std::fs::write(path, format!("{before}{sorted}")).unwrap();
    }
    copy(&common::root().join("retention-rules/plans"), &place.path("plans"));
    std::fs::write(place.path("plans/personnes.toml"), PLAN).unwrap();
    let config = std::fs::read_to_string(place.path("cartulaire.toml")).unwrap();
    let config = config.replacen("rules = \"rules\"\n", "rules = \"rules\"\nplans = \"plans\"\n", 1);
    std::fs::write(place.path("cartulaire.toml"), config).unwrap();
    place
}

/// Its population recorded.
fn recorded() -> &'static (Place, Value) {
    static PLACE: OnceLock<(Place, Value)> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = to_sort();
        let tri = place.json("tri draw personnes --by agent-un --date 2026-07-06");
        (place, tri)
    })
}

fn decided(place: &Place, day: &str) -> BTreeMap<String, u64> {
    let simulated = place.json(&format!("retention simulate --as-of {day}"));
    let all = simulated["by_decision"].as_array().unwrap().iter();
    all.map(|d| (d["decision"].as_str().unwrap().to_owned(), d["count"].as_u64().unwrap())).collect()
}

/// The list that a day makes, if it makes another one.
fn new_list(place: &Place, day: &str) -> Option<String> {
    let ids = |lists: Value| -> BTreeSet<String> {
        lists["lists"].as_array().unwrap().iter().map(|l| l["id"].as_str().unwrap().to_owned()).collect()
    };
    let before = ids(place.json("elimination list"));
    place.does(&format!("elimination propose --date {day}"));
    let mut new = ids(place.json("elimination list")).into_iter().filter(|id| !before.contains(id));
    let id = new.next()?;
    assert_eq!(new.next(), None);
    std::fs::write(place.path("list.txt"), &id).unwrap();
    Some(id)
}

/// Table and name of every record of the list.
fn in_list(place: &Place) -> BTreeSet<String> {
    let path = place.store().join(format!("elimination/{}/list.parquet", place.list()));
    parquet_text(&path, Some(&["table", "record"]))
        .into_iter()
        .map(|r| format!("{}/{}", r[1], r[0]))
        .collect()
}

fn folder(place: &Place, tri: &Value) -> PathBuf {
    place.store().join(tri["path"].as_str().unwrap())
}

fn population(place: &Place, tri: &Value) -> Vec<Value> {
    let text = std::fs::read_to_string(folder(place, tri).join("population.jsonl")).unwrap();
    text.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn kept(place: &Place, tri: &Value) -> BTreeSet<String> {
    let text = std::fs::read(folder(place, tri).join("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&text).unwrap();
    manifest["kept"].as_array().unwrap().iter().map(|k| k["id"].as_str().unwrap().to_owned()).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_not_drawn_is_proposed_and_goes_what_is_drawn_stays() {
    let (ready, tri) = recorded();
    let place = ready.copy();
    let records = population(&place, tri);
    let (before, yesterday) = (decided(&place, AFTER), decided(&place, "2026-07-05"));
    let count = |of: &BTreeMap<String, u64>, what: &str| of.get(what).copied().unwrap_or(0);
    // Lessons are to be sorted too, by another plan.
    assert!(count(&before, "sort") > records.len() as u64);
    let without = new_list(&place, "2026-07-05").map(|_| in_list(&place)).unwrap_or_default();
    let tables = |ids: &BTreeSet<String>| -> BTreeSet<String> {
        ids.iter().map(|id| id.split('/').next().unwrap().to_owned()).collect()
    };
    let sorted: BTreeSet<String> = records.iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect();
    // Without a draw, nothing that is to be sorted is on a list.
    assert!(without.is_disjoint(&sorted) && tables(&sorted).len() > 5);

    let drawn = place.json(DRAW);
    assert_eq!(drawn["tri"], tri["tri"]);
    let kept = kept(&place, tri);
    assert!(!kept.is_empty() && kept.len() < sorted.len());
    assert_eq!(drawn["draw"]["kept"].as_u64(), Some(kept.len() as u64));
    let after = decided(&place, AFTER);
    assert_eq!(count(&after, "sort") + records.len() as u64, count(&before, "sort"));
    assert_eq!(count(&after, "conserve"), count(&before, "conserve") + kept.len() as u64);
    let gone: BTreeSet<String> = sorted.difference(&kept).cloned().collect();
    assert_eq!(count(&after, "eliminate"), count(&before, "eliminate") + gone.len() as u64);
    // Yesterday, nobody had drawn.
    assert_eq!(decided(&place, "2026-07-05"), yesterday);

    new_list(&place, AFTER).unwrap();
    let list = in_list(&place);
    assert!(gone.is_subset(&list) && list.is_disjoint(&kept));
    let digest = drawn["draw"]["manifest_sha256"].as_str().unwrap();
    let path = place.store().join(format!("elimination/{}/list.json", place.list()));
    let text = std::fs::read(path).unwrap();
    let json: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(json["tris"][tri["tri"].as_str().unwrap()], digest);
    let rows = json["rows"].as_array().unwrap().iter();
    let mut told = rows.filter(|r| r["table"] == "ent_eleve").map(|r| r["observations"].to_string());
    assert!(told.all(|t| t.contains(digest)));

    let one = |ids: &BTreeSet<String>| {
        ids.iter().find(|i| i.starts_with("ent_eleve/")).unwrap().split_once('/').unwrap().1.to_owned()
    };
    for (ids, decision) in [(&kept, "conserve"), (&gone, "eliminate")] {
        let story = place.json(&format!("retention explain \"{}\" --date {AFTER}", one(ids)));
        assert_eq!(story["explanation"]["decision"], decision);
        assert!(story["explanation"]["sentences"].to_string().contains(digest));
    }

    submit(&place);
    place.does(&visa("--answer visa"));
    approve(&place);
    // The draw is looked at again: one byte, and nothing goes.
    let manifest = folder(&place, tri).join("manifest.json");
    flip(&manifest, 40);
    place.refuses(&execute(), "TRI_ALTERED", "a byte of the manifest");
    flip(&manifest, 40);
    let people = folder(&place, tri).join("population.jsonl");
    flip(&people, 7);
    place.refuses(&execute(), "TRI_ALTERED", "a byte of the population");
    flip(&people, 7);
    let done = place.json(&execute());
    assert_eq!((&done["state"], done["records"].as_u64()), (&"executed".into(), Some(list.len() as u64)));
    place.is_intact("executed");
    let left = decided(&place, "2026-07-30");
    assert_eq!(left["conserve"], after["conserve"]);
    assert_eq!((count(&left, "eliminate"), &left["sort"]), (0, &after["sort"]));
}

#[test]
fn a_person_has_one_fate_in_every_class_and_no_name_is_written() {
    let (ready, tri) = recorded();
    let place = ready.copy();
    place.does(DRAW);
    let kept = kept(&place, tri);
    let mut persons: BTreeMap<String, (BTreeSet<String>, BTreeSet<bool>)> = BTreeMap::new();
    for record in population(&place, tri) {
        let id = record["id"].as_str().unwrap();
        let Some(key) = record["key"].as_str() else { continue };
        let (tables, fates) = persons.entry(key.to_owned()).or_default();
        tables.insert(id.split('/').next().unwrap().to_owned());
        fates.insert(kept.contains(id));
    }
    assert!(persons.values().all(|(_, fates)| fates.len() == 1));
    let both = |fate: bool| {
        let both = |t: &BTreeSet<String>| t.contains("ent_eleve") && t.contains("scope_appartenances");
        persons.values().filter(|(tables, fates)| both(tables) && fates.contains(&fate)).count()
    };
    assert!(both(true) > 0 && both(false) > 0);
    let pupils: Vec<&Value> = truth()["pupils"].as_array().unwrap().iter().collect();
    for name in ["population.jsonl", "manifest.json"] {
        let text = std::fs::read_to_string(folder(&place, tri).join(name)).unwrap();
        for value in identifiers(&pupils) {
            assert!(!text.contains(&format!("\"{value}\"")), "{name}: {value}");
        }
    }
}

#[test]
fn rows_and_files_in_another_order_are_the_same_population() {
    let (ready, tri) = recorded();
    let place = ready.copy();
    let db = Connection::open(place.store().join("ledger.sqlite")).unwrap();
    // The ledger protects what is in a package; the same rows in another order are the same state.
    db.execute("DROP TRIGGER snapshots_packaged", []).unwrap();
    let paths: Vec<String> = {
        let mut all = db
            .prepare("SELECT path FROM snapshots WHERE table_name IN ('ent_eleve', 'scope_appartenances')")
            .unwrap();
        let rows = all.query_map([], |r| r.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert!(paths.len() > 2);
    for path in paths {
        let file = place.store().join(&path);
        reverse(&file);
        let digest: String =
            Sha256::digest(std::fs::read(&file).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
        db.execute("UPDATE snapshots SET sha256 = ?2 WHERE path = ?1", [&path, &digest]).unwrap();
    }
    db.execute("UPDATE snapshots SET rowid = -rowid", []).unwrap();
    drop(db);
    let again = place.json("tri draw --class ent-annuaire --by agent-un --date 2026-07-06");
    assert_eq!(&again, tri);
}

/// Writes the rows of a file the other way round.
fn reverse(path: &Path) {
    let file = File::open(path).unwrap();
    let batches: Vec<_> = ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let all = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let order = UInt64Array::from_iter_values((0..all.num_rows() as u64).rev());
    let all = arrow::compute::take_record_batch(&all, &order).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), all.schema(), None).unwrap();
    writer.write(&all).unwrap();
    writer.close().unwrap();
}

#[test]
fn a_manifest_is_checked_without_a_store_and_one_flipped_byte_is_found() {
    let (ready, tri) = recorded();
    let place = ready.copy();
    place.does(DRAW);
    let away = tempfile::tempdir().unwrap();
    copy(&folder(&place, tri), away.path());
    std::fs::write(away.path().join("cartulaire.toml"), "").unwrap();
    let there = Place { at: away.path().to_owned(), _temporary: None };
    assert_eq!(there.json("tri verify @manifest.json")["verdict"], "intact");
    for (name, at) in [("manifest.json", 30), ("manifest.json", 2000), ("population.jsonl", 20)] {
        flip(&there.path(name), at);
        let out = there.exits("tri verify @manifest.json", 4);
        assert!(String::from_utf8_lossy(&out.stderr).contains("TRI_DIFFERENT"));
        flip(&there.path(name), at);
    }
    there.does("tri verify @manifest.json");
    assert!(!there.store().exists());
}

#[test]
fn a_qualitative_plan_waits_for_its_choices() {
    let place = recorded().0.copy();
    let plan = std::fs::read_to_string(place.path("plans/personnes.toml")).unwrap();
    let plan = plan.replace("version = \"1\"", "version = \"2\"");
    std::fs::write(
        place.path("plans/personnes.toml"),
        plan + "qualitative = { presse = \"cité dans la presse\" }\n",
    )
    .unwrap();
    let record = "tri draw personnes --by agent-un --date 2026-07-06";
    place.refuses(record, "TRI_CHOICES", "no choices");
    let (_, tri) = recorded();
    let one = population(&place, tri)[3]["id"].as_str().unwrap().to_owned();
    std::fs::write(place.path("choix.txt"), format!("{one}x;presse\n")).unwrap();
    place.refuses(&format!("{record} --choices @choix.txt"), "TRI_CHOICES", "an unknown record");
    std::fs::write(place.path("choix.txt"), format!("{one};autre\n")).unwrap();
    place.refuses(&format!("{record} --choices @choix.txt"), "TRI_REASON", "an unknown reason");
    std::fs::write(place.path("choix.txt"), format!("{one};presse\n")).unwrap();
    let tri = place.json(&format!("{record} --choices @choix.txt"));
    place.does(DRAW);
    assert!(kept(&place, &tri).contains(&one));
    let text = std::fs::read_to_string(folder(&place, &tri).join("manifest.json")).unwrap();
    assert!(text.contains("qualitative:presse"));
}

#[test]
fn nobody_draws_twice_nor_with_a_value_that_was_known() {
    let (ready, tri) = recorded();
    let place = ready.copy();
    let id = tri["tri"].as_str().unwrap();
    place.refuses(&DRAW.replace("2026-07-06", "2026-07-04"), "TRI_DATE", "before the population");
    // Recorded again, it is the same tri.
    assert_eq!(place.json("tri draw personnes --by agent-un --date 2026-07-07")["tri"], id);
    let drawn = place.json(DRAW);
    assert_eq!(place.json(&format!("tri show {id}"))["draw"], drawn["draw"]);
    place.refuses(DRAW, "TRI_DRAWN", "a second draw");
    place.refuses("tri draw personnes --by agent-un --date 2026-07-06", "TRI_EMPTY", "all is sorted");
    // Another version of the plan is another tri, but the value is known by now.
    let plan = std::fs::read_to_string(place.path("plans/personnes.toml")).unwrap();
    std::fs::write(place.path("plans/personnes.toml"), plan.replace("version = \"1\"", "version = \"2\""))
        .unwrap();
    assert!(decided(&place, AFTER)["sort"] > 0);
    let other = place.json("tri draw personnes --by agent-un --date 2026-07-06");
    assert_ne!(other["tri"], id);
    place.refuses(DRAW, "TRI_VALUE_KNOWN", "the value of the first draw");
    place.does(&DRAW.replace("4f1c", "9a02"));
    assert_eq!(place.json("tri show")["tris"].as_array().unwrap().len(), 2);
    let db = Connection::open(place.store().join("ledger.sqlite")).unwrap();
    for sql in [
        "UPDATE tri_draws SET public_value = 'x'",
        "DELETE FROM tri_draws",
        "UPDATE tris SET plan = 'x'",
        "DELETE FROM tris",
    ] {
        assert!(db.execute(sql, []).is_err(), "{sql}");
    }
    drop(db);
    place.is_intact("two draws");
}
