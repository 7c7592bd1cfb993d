//! A list as it was exported: `list.json`, read without a store, on any machine.

use super::refusal::Refusal;
use crate::domain::Digest;
use crate::journal::canonical;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// What everybody's signature binds: exactly this list, made with these rules, under these holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListRef {
    /// SHA-256 of the canonical list, hexadecimal.
    pub digest: String,
    /// SHA-256 of `list.json` as exported.
    pub file_sha256: String,
    /// Digest of the register of holds when the list was made.
    pub holds_digest: String,
    /// Name of the list.
    pub id: String,
    /// Version of the referential of rules.
    pub rules_version: String,
}

impl ListRef {
    /// What distinguishes two lists, in French; empty when they are the same.
    pub fn differences(&self, other: &ListRef) -> Vec<&'static str> {
        [
            ("le nom de la liste", self.id == other.id),
            ("l'empreinte de la liste", self.digest == other.digest),
            ("le fichier list.json", self.file_sha256 == other.file_sha256),
            ("la version du référentiel", self.rules_version == other.rules_version),
            ("les gels", self.holds_digest == other.holds_digest),
        ]
        .into_iter()
        .filter_map(|(what, same)| (!same).then_some(what))
        .collect()
    }

    /// Refuses what was signed for another list.
    ///
    /// # Errors
    /// What differs.
    pub fn must_be(&self, expected: &ListRef) -> Result<(), Refusal> {
        match self.differences(expected) {
            different if different.is_empty() => Ok(()),
            different => Err(Refusal::new(
                "ELIM_SIGN_OTHER_LIST",
                format!(
                    "ce fichier a été signé pour une autre liste que {} : diffèrent {} ; faites signer la liste exportée",
                    expected.id,
                    different.join(", ")
                ),
            )),
        }
    }
}

/// What `list.json` says beside the canonical list: derived from it, or bound by the signatures.
const OUTSIDE_THE_DIGEST: &[&str] =
    &["id", "digest", "status", "proposed_on", "records", "holds_digest", "list_parquet_sha256"];

/// Digest of the canonical list in a `list.json` document: all of it but what is derived from the
/// list and the day it was made, so that the same records give the same digest every night.
pub fn list_digest(document: &Value) -> Digest {
    let mut list = document.clone();
    if let Value::Object(fields) = &mut list {
        fields.retain(|key, _| !OUTSIDE_THE_DIGEST.contains(&key.as_str()));
    }
    Digest::of(canonical(&list).as_bytes())
}

/// One row of an exported list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ExportedRow {
    /// Order number, from 1.
    pub order: usize,
    /// Records.
    pub records: u64,
}

/// An exported list that agrees with itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedList {
    /// What a signature binds.
    pub reference: ListRef,
    /// Rows, by order number.
    pub rows: Vec<ExportedRow>,
}

#[derive(Deserialize)]
struct Document {
    id: String,
    digest: String,
    rules_version: String,
    holds_digest: String,
    records: u64,
    rows: Vec<ExportedRow>,
}

impl ExportedList {
    /// Reads the text of `list.json`.
    ///
    /// # Errors
    /// When it is not a list, or does not agree with its own digest.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let unreadable = |why: &str| {
            Refusal::new(
                "ELIM_LIST_UNREADABLE",
                format!("list.json illisible : {why} ; exportez de nouveau la liste"),
            )
        };
        let altered = |why: &str| {
            Refusal::new(
                "ELIM_LIST_ALTERED",
                format!(
                    "list.json a été changé : {why} ; exportez de nouveau la liste, et ne la modifiez pas"
                ),
            )
        };
        let value: Value = serde_json::from_str(text).map_err(|e| {
            unreadable(&format!("JSON mal formé, ligne {}, colonne {}", e.line(), e.column()))
        })?;
        let digest = list_digest(&value).to_string();
        let document: Document = serde_json::from_value(value)
            .map_err(|_| unreadable("une clé attendue manque, ou la liste vient d'une version antérieure"))?;
        if document.digest != digest {
            return Err(altered("son empreinte n'est plus celle de son contenu"));
        }
        if document.rows.is_empty() || !document.rows.iter().map(|r| r.order).eq(1..=document.rows.len()) {
            return Err(altered("ses lignes ne se suivent pas à partir de 1"));
        }
        let records = document.rows.iter().try_fold(0_u64, |sum, r| sum.checked_add(r.records));
        if records != Some(document.records) {
            return Err(altered("le nombre d'enregistrements n'est pas la somme des lignes"));
        }
        let reference = ListRef {
            digest,
            file_sha256: Digest::of(text.as_bytes()).to_string(),
            holds_digest: document.holds_digest,
            id: document.id,
            rules_version: document.rules_version,
        };
        Ok(ExportedList { reference, rows: document.rows })
    }

    /// Order numbers of all rows.
    pub fn orders(&self) -> BTreeSet<usize> {
        self.rows.iter().map(|r| r.order).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_read_and_its_reference_covers_the_file_to_the_byte() {
        let text = fixture::list_json(3);
        let list = ExportedList::read(&text).unwrap();
        assert_eq!(list.orders(), BTreeSet::from([1, 2, 3]));
        let spaced = ExportedList::read(&text.replacen(':', ": ", 1)).unwrap();
        assert_eq!(spaced.reference.digest, list.reference.digest);
        assert_eq!(list.reference.differences(&spaced.reference), ["le fichier list.json"]);
        assert_eq!(
            list.reference.must_be(&spaced.reference).map_err(|r| r.code),
            Err("ELIM_SIGN_OTHER_LIST")
        );
        assert_eq!(list.reference.must_be(&list.reference), Ok(()));
    }

    #[test]
    fn the_digest_covers_all_but_what_is_derived() {
        let list =
            json!({"rules_version": "1", "rows": [], "records": 0, "id": "a", "proposed_on": "2026-01-01"});
        let mut other = list.clone();
        other["id"] = json!("b");
        other["proposed_on"] = json!("2026-01-02");
        assert_eq!(list_digest(&list), list_digest(&other));
        other["service"] = json!("Collège");
        assert_ne!(list_digest(&list), list_digest(&other));
        // The list and the export agree on the form of the digest.
        let canonical_list = json!({"rules_version": "1", "rows": []});
        assert_eq!(list_digest(&list), Digest::of(canonical(&canonical_list).as_bytes()));
    }

    #[test]
    fn a_list_that_does_not_agree_with_itself_is_refused() {
        let good: Value = serde_json::from_str(&fixture::list_json(2)).unwrap();
        let sealed = |mut v: Value| {
            v["digest"] = json!(list_digest(&v).to_string());
            v.to_string()
        };
        let change = |key: &str, to: Value| {
            let mut v = good.clone();
            v[key] = to;
            v
        };
        let without = |key: &str| {
            let mut v = good.clone();
            v.as_object_mut().unwrap().remove(key);
            v
        };
        for (text, want) in [
            ("{".to_owned(), "ELIM_LIST_UNREADABLE"),
            ("[]".to_owned(), "ELIM_LIST_UNREADABLE"),
            (sealed(without("holds_digest")), "ELIM_LIST_UNREADABLE"),
            (change("rules_version", json!("2")).to_string(), "ELIM_LIST_ALTERED"),
            (change("records", json!(7)).to_string(), "ELIM_LIST_ALTERED"),
            (sealed(change("rows", json!([]))), "ELIM_LIST_ALTERED"),
            (sealed(change("rows", json!([{"order": 2, "records": 10}]))), "ELIM_LIST_ALTERED"),
            (
                sealed(change(
                    "rows",
                    json!([{"order": 1, "records": u64::MAX}, {"order": 2, "records": 1}]),
                )),
                "ELIM_LIST_ALTERED",
            ),
        ] {
            assert_eq!(ExportedList::read(&text).map_err(|r| r.code), Err(want), "{text}");
        }
    }
}
