//! Persons, keys and a list that the tests share.

use super::exported::{ExportedList, ListRef, list_digest};
use super::keys::PrivateKey;
use super::registry::{Registry, Role};
use crate::domain::DateFormat;
use chrono::NaiveDate;
use serde_json::{Value, json};

pub(crate) fn day(text: &str) -> NaiveDate {
    DateFormat::Iso.parse(text).unwrap()
}

/// One person a role, with a key of their own.
pub(crate) fn person(role: Role) -> &'static str {
    match role {
        Role::Agent => "alice",
        Role::Producteur => "bernard",
        Role::Archives => "chloe",
        Role::Executant => "driss",
        Role::Temoin => "emma",
    }
}

pub(crate) fn key(role: Role) -> PrivateKey {
    PrivateKey::from_bytes(&[1 + role as u8; 32])
}

/// `signataires.toml` with those persons; Driss is also a witness, with the same key.
pub(crate) fn registry() -> Registry {
    let row = |role: Role, signs_as: Role| {
        format!(
            "[[signatory]]\nname = \"{0} É.\"\nperson = \"{0}\"\nrole = \"{1}\"\npublic_key = \"{2}\"\nvalid_from = \"2025-09-01\"\nvalid_to = \"2028-08-31\"\n",
            person(role),
            signs_as.as_str(),
            key(role).public()
        )
    };
    let rows: String = Role::ALL.into_iter().map(|r| row(r, r)).collect();
    let text = format!("version = 1\n{rows}{}", row(Role::Executant, Role::Temoin));
    Registry::load("signataires.toml", &text).unwrap()
}

/// `list.json` with rows of 10 records each.
pub(crate) fn list_json(rows: usize) -> String {
    let rows: Vec<Value> = (1..=rows)
        .map(|order| json!({"order": order, "rule": "R", "typology": "Élèves", "records": 10, "bytes": 100}))
        .collect();
    let mut document = json!({
        "id": "EL-20260301-00000000", "status": "proposed", "proposed_on": "2026-03-01",
        "rules_version": "2026.1", "holds_digest": "0".repeat(64), "records": 10 * rows.len(), "rows": rows,
    });
    document["digest"] = json!(list_digest(&document).to_string());
    serde_json::to_string_pretty(&document).unwrap() + "\n"
}

pub(crate) fn list(rows: usize) -> ExportedList {
    ExportedList::read(&list_json(rows)).unwrap()
}

pub(crate) fn list_ref() -> ListRef {
    list(3).reference
}
