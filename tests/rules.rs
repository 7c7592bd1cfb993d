//! Rules that change under a store, from the command line: which records move, and the second person
//! without whom a shortened duration makes no list.

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

use common::root;
use place::*;
use serde_json::Value;

const PROPOSE: &str = "elimination propose --date 2026-07-10";

/// The duration of the accounts of an ENT, and the days of its examples.
fn accounts(place: &Place, months: u32, due: &str, after: &str) {
    let path = place.path("rules/ent.toml");
    let text = std::fs::read_to_string(root().join("retention-rules/ent.toml")).unwrap();
    let changed = text
        .replacen("\"P3M\"", &format!("\"P{months}M\""), 1)
        .replace("2025-11-30", due)
        .replace("2025-12-01", after);
    assert_ne!(changed, text);
    std::fs::write(path, changed).unwrap();
}

fn lists(place: &Place) -> usize {
    place.json("elimination list")["lists"].as_array().unwrap().len()
}

#[test]
fn a_shortened_duration_makes_no_list_before_a_second_person_approves() {
    let place = listed().copy();
    let approve = |who: &str| format!("retention rules approve --key @{who}.key --date 2026-07-10");
    place.refuses(&approve("chef-deux"), "RULES_NOTHING]", "nothing changed");
    accounts(&place, 1, "2025-09-30", "2025-10-01");
    let before = lists(&place);
    place.refuses(PROPOSE, "RULES_SECOND_PERSON]", "nobody approved");
    // The night goes on; only its list is not made.
    let out = place.exits("--json run nightly --date 2026-07-10", 4);
    let night: Value = serde_json::from_slice(&out.stdout).unwrap();
    let step = |name: &str| {
        let steps = night["steps"].as_array().unwrap();
        steps.iter().find(|s| s["name"] == name).unwrap()["status"].clone()
    };
    assert_eq!((step("elimination"), step("package")), ("gated".into(), "ok".into()), "{night}");
    assert_eq!(lists(&place), before);
    place.refuses(&approve("agent-un"), "ELIM_SIGN_ROLE]", "an agent approves");
    let approved = place.json(&approve("chef-deux"));
    assert_eq!(approved["rules"], serde_json::json!(["ENT-ANNUAIRE"]));
    place.does(PROPOSE);
    assert_eq!(lists(&place), before + 1, "the list is made by the new rules");
    // Longer again needs nobody, and shorter once more does.
    accounts(&place, 2, "2025-10-31", "2025-11-01");
    place.does(PROPOSE);
    accounts(&place, 1, "2025-09-30", "2025-10-01");
    place.refuses(PROPOSE, "RULES_SECOND_PERSON]", "shortened anew");
    place.is_intact("approved");
}

#[test]
fn who_verified_a_rule_is_not_its_second_person() {
    let place = listed().copy();
    let overlay = std::fs::read_to_string(place.path("overlay.toml")).unwrap();
    let changed = overlay.replace("Camille Fictive", "chef-deux, rectorat");
    assert_ne!(changed, overlay);
    std::fs::write(place.path("overlay.toml"), changed.replace("2025-10-01", "2025-09-30")).unwrap();
    place.refuses(PROPOSE, "RULES_SECOND_PERSON]", "verified earlier");
    let approve = |who: &str| format!("retention rules approve --key @{who}.key --date 2026-07-10");
    place.refuses(&approve("chef-deux"), "RULES_SAME_PERSON]", "verified and approves");
    place.does(&approve("archiviste-trois"));
    place.does(PROPOSE);
}

#[test]
fn texts_of_rules_that_were_changed_in_the_store_prove_nothing() {
    let place = listed().copy();
    accounts(&place, 9, "2026-05-31", "2026-06-01");
    let kept = common::files(&place.path("store/rules"));
    assert_eq!(kept.len(), 1);
    let text = std::fs::read_to_string(&kept[0]).unwrap();
    std::fs::write(&kept[0], text.replace("P3M", "P99Y")).unwrap();
    place.refuses(PROPOSE, "RULES_SECOND_PERSON]", "the texts of before cannot be trusted");
}

#[test]
fn a_comparison_says_which_records_move() {
    let place = listed().copy();
    accounts(&place, 1, "2025-09-30", "2025-10-01");
    let old = root().join("retention-rules").display().to_string();
    let said = place.json(&format!("retention rules diff {old} @rules --date 2026-10-15"));
    let class = &said["impact"]["ent-annuaire"];
    let n = |key: &str| class[key].as_u64().unwrap();
    assert!(n("earlier") > 0 && n("later") == 0 && n("unchanged") == 0, "{said}");
    // The last school year ended in August: by a month it is due, by three it is not yet.
    assert!(n("due_after") > n("due_before") && n("due_before") > 0, "{said}");
    assert!(n("due_after") == n("earlier"), "{said}");
    let back = place.json(&format!("retention rules diff @rules {old} --date 2026-10-15"));
    assert_eq!(back["impact"]["ent-annuaire"]["later"], class["earlier"]);
    // Without a store nothing is counted.
    std::fs::remove_dir_all(place.store()).unwrap();
    let said = place.json(&format!("retention rules diff {old} @rules"));
    assert!(said.get("impact").is_none() && !said["changes"].as_array().unwrap().is_empty());
}
