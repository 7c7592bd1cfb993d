//! Rules that shorten a duration serve for eliminations once a second person has approved them. The
//! ledger remembers the rules that served last: their texts are in `rules/<digest>.json`, their
//! digest in the journal. Rules that shorten nothing take their place by themselves.

use super::Terms;
use super::keys::PrivateKey;
use super::refusal::Refusal;
use super::registry::Role;
use super::signature::seal;
use crate::domain::Digest;
use crate::error::{Error, Result};
use crate::french::count;
use crate::journal::NewEntry;
use crate::retention::{Referential, RuleChange, RuleTexts, diff};
use crate::store::{Store, files};
use chrono::NaiveDate;
use serde_json::{Value, json};

/// Kind of the journal's entries that record which rules serve, and what they are about.
const ACCEPTED: (&str, &str) = ("rules", "rules_accepted");
/// Who may approve: the head of the service, or the archives.
const ROLES: [Role; 2] = [Role::Producteur, Role::Archives];

/// Rules that wait for a second person.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Digest of the rules in force.
    pub digest: String,
    /// Digest of those that served last.
    pub previous: String,
    /// Changes that shorten, or may; none when the texts of before cannot be read any more.
    pub changes: Vec<RuleChange>,
}

impl Waiting {
    /// What to do, in French, with the code of the refusal.
    pub fn refusal(&self) -> Refusal {
        let rules: Vec<&str> = self.changes.iter().map(|c| c.rule.as_str()).take(5).collect();
        let more = self.changes.len().saturating_sub(rules.len());
        let what = match self.changes.len() as u64 {
            0 => "les règles d'avant ne peuvent plus être relues".to_owned(),
            n => format!(
                "{} ({}{})",
                count(
                    n,
                    "règle raccourcit ou peut raccourcir une durée",
                    "règles raccourcissent ou peuvent raccourcir une durée"
                ),
                rules.join(", "),
                if more > 0 { "…" } else { "" }
            ),
        };
        Refusal::new(
            "RULES_SECOND_PERSON",
            format!(
                "aucune liste n'est établie : {what} ; une seconde personne relit (`retention rules diff`), puis approuve (`retention rules approve --key CLÉ`)"
            ),
        )
    }
}

/// What the journal says of the rules that served last.
fn last(store: &Store) -> Result<Option<(String, Option<RuleTexts>)>> {
    let Some(entry) = store.ledger.journal_kind(ACCEPTED.0, ACCEPTED.1)?.pop() else { return Ok(None) };
    let value: Value = serde_json::from_str(&entry.payload).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let digest = text("digest");
    let bytes = std::fs::read(store.path(&place(&digest))).unwrap_or_default();
    let whole = Digest::of(&bytes).to_string() == text("texts_sha256");
    let texts = whole.then(|| serde_json::from_slice(&bytes).ok()).flatten();
    Ok(Some((digest, texts)))
}

fn place(digest: &str) -> String {
    format!("rules/{digest}.json")
}

/// What a second person has to look at before these rules make a list; `None` when nothing.
///
/// # Errors
/// Those of the ledger.
pub fn waiting(store: &Store, rules: &Referential) -> Result<Option<Waiting>> {
    let digest = rules.deciding_digest().to_string();
    let Some((previous, texts)) = last(store)?.filter(|(previous, _)| *previous != digest) else {
        return Ok(None);
    };
    // Texts that an older program took may be refused by this one: then nobody can compare.
    let before = texts.and_then(|t| t.load().ok());
    let changes = before.as_ref().map(|b| diff(b, rules));
    let mut changes = changes.unwrap_or_default();
    changes.retain(|c| c.needs_second_person);
    let waits = before.is_none() || !changes.is_empty();
    Ok(waits.then_some(Waiting { digest, previous, changes }))
}

/// Lets rules serve that wait for nobody; those of a store's first list do.
///
/// # Errors
/// Those of the store.
pub(super) fn accept(
    store: &mut Store,
    rules: &Referential,
    texts: &RuleTexts,
    date: NaiveDate,
    at: &str,
) -> Result<Option<Waiting>> {
    if let Some(waiting) = waiting(store, rules)? {
        return Ok(Some(waiting));
    }
    let digest = rules.deciding_digest().to_string();
    if last(store)?.is_none_or(|(previous, _)| previous != digest) {
        keep(store, texts, json!({"digest": digest}), date, at)?;
    }
    Ok(None)
}

fn keep(store: &mut Store, texts: &RuleTexts, mut payload: Value, date: NaiveDate, at: &str) -> Result<()> {
    let bytes = serde_json::to_vec(texts).map_err(|e| Error::Write(e.to_string()))?;
    let digest = payload.get("digest").and_then(Value::as_str).unwrap_or_default().to_owned();
    files::write_atomic(&store.path(&place(&digest)), &bytes)?;
    if let Some(fields) = payload.as_object_mut() {
        fields.insert("texts_sha256".into(), json!(Digest::of(&bytes).to_string()));
    }
    let date = date.to_string();
    store.ledger.transact(|tx| {
        tx.journal(&NewEntry { at, date: &date, run_id: ACCEPTED.0, kind: ACCEPTED.1, payload })
    })
}

/// A second person approves the rules in force; who verified the rules that change is the first.
///
/// # Errors
/// [`Error::Refused`] with what to do; those of the store.
pub fn approve(
    store: &mut Store,
    terms: &Terms,
    rules: &Referential,
    texts: &RuleTexts,
    key: &PrivateKey,
    (date, at): (NaiveDate, &str),
) -> Result<Waiting> {
    let waiting = waiting(store, rules)?.ok_or_else(|| {
        Refusal::new(
            "RULES_NOTHING",
            "aucune règle n'attend une seconde personne : il n'y a rien à approuver",
        )
    })?;
    let role = terms.registry.role_of(&key.public(), &ROLES, date)?;
    let ids: Vec<&str> = waiting.changes.iter().map(|c| c.rule.as_str()).collect();
    let statement = json!({"digest": waiting.digest, "previous": waiting.previous, "rules": ids});
    let seal = seal("rules", &statement, role, key, &terms.registry, date)?;
    let verified = ids.iter().filter_map(|id| rules.rule(id)?.verified.as_ref());
    let name = seal.signer.name.to_lowercase();
    if verified.into_iter().any(|v| v.by.to_lowercase().starts_with(&name)) {
        let message =
            format!("{} a vérifié une de ces règles : une autre personne les approuve", seal.signer.name);
        return Err(Refusal::new("RULES_SAME_PERSON", message).into());
    }
    let mut payload = statement;
    if let Some(fields) = payload.as_object_mut() {
        fields.extend(seal.facts());
    }
    keep(store, texts, payload, date, at)?;
    Ok(waiting)
}
