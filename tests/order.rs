//! Orders to the source applications, from the command line: what they hold, when they are made, what
//! their operators answer, and what the attestation says of it.

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

use common::bytes;
use place::*;
use serde_json::Value;
use std::collections::BTreeSet;

const ORDER: &str = "elimination order LIST --out @orders --date 2026-07-23";

fn order(place: &Place, source: &str) -> Value {
    serde_json::from_slice(&std::fs::read(place.path(&format!("orders/ordre-{source}.json"))).unwrap())
        .unwrap()
}

/// The operator's form, filled: every number done, but for those that fail.
fn fill(place: &Place, source: &str, day: &str, failed: &[usize]) {
    let form = std::fs::read_to_string(place.path(&format!("orders/retour-{source}.csv"))).unwrap();
    let mut lines: Vec<String> = form.lines().map(str::to_owned).collect();
    for line in lines.iter_mut().skip(1) {
        let cells: Vec<&str> = line.split(';').collect();
        let number: usize = cells[4].parse().unwrap();
        let result = if failed.contains(&number) { "echec;compte verrouillé" } else { "fait;" };
        *line = format!("{};{};Opérateur Inventé, DSI;{day};{number};{result}", cells[0], cells[1]);
    }
    std::fs::write(place.path("retour.csv"), lines.join("\r\n")).unwrap();
}

fn import(date: &str) -> String {
    format!("elimination order LIST --import @retour.csv --date {date}")
}

fn attested(place: &Place) -> Value {
    place.does("elimination attest LIST --key @exec-quatre.key --date 2026-07-30");
    place.does("elimination attest LIST --key @temoin-cinq.key --date 2026-07-30");
    let path = place.store().join(format!("elimination/{}/attestation.json", place.list()));
    let document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    document["statement"].clone()
}

#[test]
fn an_order_names_what_was_visaed_and_only_its_files_do() {
    let place = approved().copy();
    let made = place.json(ORDER);
    let sources: BTreeSet<&str> =
        made["orders"].as_array().unwrap().iter().map(|o| o["source"].as_str().unwrap()).collect();
    assert!(sources.contains("ent") && sources.contains("scope"), "{made}");
    let ent = order(&place, "ent");
    let classes = ent["classes"].as_array().unwrap();
    // What goes: those who left, in their year. Who is held does not, who stays is said to.
    let row = classes
        .iter()
        .find(|c| c["table"] == "ent_eleve" && c["annee_scolaire"] == "2023-2024")
        .map(|c| c["row"].clone())
        .unwrap();
    let items = ent["items"].as_array().unwrap();
    let named = |id: &str| items.iter().find(|i| i["row"] == row && i["identifier"][0] == id);
    let mut victims = leavers();
    let held = victims.remove(0);
    for victim in &victims {
        let item = named(victim["id"].as_str().unwrap()).expect("a leaver is in the order");
        assert_eq!(item["kept_elsewhere"], false);
    }
    assert!(named(held["id"].as_str().unwrap()).is_none(), "a held pupil is in the order");
    let present: Vec<&Value> = truth()["pupils"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|p| texts(&p["years"]).contains(&"2025-2026"))
        .filter_map(|p| named(p["id"].as_str().unwrap()))
        .collect();
    assert!(!present.is_empty() && present.iter().all(|i| i["kept_elsewhere"] == true));
    // Numbers follow each other, and the counts are those of the list.
    let numbers = items.iter().map(|i| i["number"].as_u64().unwrap());
    assert!(numbers.eq(1..=items.len() as u64));
    let shown = place.json("elimination show LIST");
    for class in classes {
        let row = shown["rows"].as_array().unwrap().iter().find(|r| r["order"] == class["row"]).unwrap();
        assert_eq!(row["records"], class["records"], "{class}");
    }
    // Made again: the same bytes. Nothing of it is in the store: neither in the ledger nor in the journal.
    place.does("elimination order LIST --out @again --date 2026-07-25");
    assert_eq!(bytes(&place.path("orders")), bytes(&place.path("again")));
    let id = victims[0]["id"].as_str().unwrap();
    let found = &search(&place.store(), &[id])[id];
    let allowed = |f: &String| ["tables/", "received/"].iter().any(|k| f.starts_with(k));
    assert!(found.iter().all(allowed), "{found:?}");
    let form = std::fs::read_to_string(place.path("orders/retour-ent.csv")).unwrap();
    assert!(!form.contains(id));
    place.is_intact("ordered");
}

#[test]
fn an_order_comes_between_the_visa_and_the_execution() {
    let place = submitted().copy();
    place.refuses(ORDER, "ELIM_ORDER_EARLY]", "not visaed");
    place.does(&visa("--answer visa"));
    place.does("elimination visa LIST --import @exported/visa.json --date 2026-07-21");
    place.refuses(ORDER, "ELIM_ORDER_EARLY]", "nobody ordered the execution");
    let place = approved().copy();
    place.refuses(&ORDER.replace("2026-07-23", "2026-07-21"), "ELIM_DATE]", "before the approval");
    place.does("hold add --id gel --reason litige --owner DAJ --by chef-deux --scope \"annee_scolaire = '2023-2024'\" --date 2026-07-22");
    place.refuses(ORDER, "ELIM_", "held since");
    assert!(!place.path("orders").exists());
    let place = approved().copy();
    place.does(&execute());
    place.refuses(ORDER, "ELIM_ORDER_LATE]", "executed");
    let said = attested(&place);
    assert!(said.get("sources").is_none(), "{said}");
}

#[test]
fn what_an_operator_answers_is_bound_to_the_order_and_attested() {
    let place = approved().copy();
    place.does(ORDER);
    place.does(&execute());
    fill(&place, "ent", "2026-07-29", &[2]);
    let whole = std::fs::read_to_string(place.path("retour.csv")).unwrap();
    let write = |text: &str| std::fs::write(place.path("retour.csv"), text).unwrap();
    write(&whole.replacen("ORD-EL-", "ORD-EM-", usize::MAX));
    place.refuses(&import("2026-07-30"), "ELIM_ORDER_OTHER]", "another order");
    let sha = whole.lines().nth(1).unwrap().split(';').nth(1).unwrap().to_owned();
    write(&whole.replace(&sha, &"0".repeat(64)));
    place.refuses(&import("2026-07-30"), "ELIM_ORDER_OTHER]", "another digest");
    let mut lines: Vec<&str> = whole.lines().collect();
    lines.pop();
    write(&lines.join("\n"));
    place.refuses(&import("2026-07-30"), "ELIM_ORDER_COVERAGE]", "a number is missing");
    write(&whole.replace("compte verrouillé", ""));
    place.refuses(&import("2026-07-30"), "ELIM_ORDER_REASON]", "a failure without a reason");
    write(&whole);
    place.refuses(&import("2026-07-28"), "ELIM_DATE]", "done in the future");
    let out = place.exits(&format!("--json {}", import("2026-07-30")), 4);
    let said: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((said["source"].as_str(), said["failed"].as_u64()), (Some("ent"), Some(1)));
    // What failed is done later; then there is nothing more to say.
    fill(&place, "ent", "2026-07-30", &[]);
    place.does(&import("2026-07-30"));
    place.refuses(&import("2026-07-30"), "ELIM_ORDER_DONE]", "answered whole");
    let said = attested(&place);
    let sources = said["sources"].as_array().unwrap();
    let of = |name: &str| sources.iter().find(|s| s["source"] == name).unwrap();
    assert_eq!(
        (&of("ent")["answer"]["failed"], of("ent")["order_sha256"].as_str()),
        (&0.into(), Some(&*sha))
    );
    assert_eq!(of("scope")["answer"], Value::Null, "no answer was received");
    place.is_intact("attested");
}
