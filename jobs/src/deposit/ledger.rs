//! The deposits of a store: each step is in its ledger, on disk, before anything is done.

use super::{DepositLog, Entry, State};
use crate::runner::now;
use cartulaire_engine::error::{Error, Result};
use cartulaire_engine::journal::NewEntry;
use cartulaire_engine::store::{DepositRow, Store};
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::json;
use std::sync::{Mutex, MutexGuard};

/// The ledger of a store that is locked by this process.
pub struct LedgerLog<'a> {
    store: Mutex<&'a mut Store>,
    date: NaiveDate,
}

impl<'a> LedgerLog<'a> {
    /// Entries of the journal bear this logical date.
    pub fn new(store: &'a mut Store, date: NaiveDate) -> Self {
        LedgerLog { store: Mutex::new(store), date }
    }

    fn store(&self) -> Result<MutexGuard<'_, &'a mut Store>> {
        self.store.lock().map_err(|_| Error::Corrupt("un dépôt s'est interrompu".into()))
    }
}

fn state_of(row: &DepositRow) -> Result<State> {
    let broken = || Error::Corrupt(format!("le dépôt de {} est dans un état inconnu", row.sip_id));
    let operation = || row.operation.clone().ok_or_else(broken);
    Ok(match row.state.as_str() {
        "planned" => State::Planned,
        "sending" => {
            let since = row.since.as_deref().and_then(|t| DateTime::parse_from_rfc3339(t).ok());
            State::Sending { since: since.ok_or_else(broken)?.to_utc() }
        }
        "sent" => State::Sent { operation: operation()? },
        "replied" => State::Replied {
            operation: operation()?,
            reply_sha512: row.reply_sha512.clone().ok_or_else(broken)?,
        },
        _ => return Err(broken()),
    })
}

impl DepositLog for LedgerLog<'_> {
    fn get(&self, target: &str, message_id: &str) -> Result<Option<Entry>> {
        let Some(row) = self.store()?.ledger.deposit(message_id)? else { return Ok(None) };
        let state = state_of(&row)?;
        if row.target != target {
            if state == State::Planned {
                return Ok(None);
            }
            let message = format!(
                "« {message_id} » est ou a pu être envoyé à « {} » : il ne l'est pas à « {target} » ; remettez cette cible, ou demandez-lui s'il est arrivé",
                row.target
            );
            return Err(Error::Refused { code: "DEPOSIT_OTHER_TARGET", message });
        }
        Ok(Some(Entry { sha512: row.sha512, state }))
    }

    fn other(&self, _target: &str, sha512: &str, message_id: &str) -> Result<Option<String>> {
        let row = self.store()?.ledger.deposit_of(sha512)?;
        Ok(row.map(|r| r.sip_id).filter(|id| id != message_id))
    }

    fn put(&self, target: &str, message_id: &str, entry: &Entry) -> Result<()> {
        let mut store = self.store()?;
        let before = store.ledger.deposit(message_id)?.and_then(|d| d.sent_at);
        let at = now();
        let mut row = DepositRow {
            sip_id: message_id.to_owned(),
            target: target.to_owned(),
            sha512: entry.sha512.clone(),
            state: "planned".into(),
            since: None,
            operation: None,
            reply_sha512: None,
            sent_at: None,
        };
        match &entry.state {
            State::Planned => {}
            State::Sending { since } => {
                row.state = "sending".into();
                row.since = Some(since.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Millis, true));
            }
            State::Sent { operation } => {
                row.state = "sent".into();
                row.operation = Some(operation.clone());
            }
            State::Replied { operation, reply_sha512 } => {
                row.state = "replied".into();
                row.operation = Some(operation.clone());
                row.reply_sha512 = Some(reply_sha512.clone());
            }
        }
        if row.operation.is_some() {
            row.sent_at = Some(before.clone().unwrap_or_else(|| at.clone()));
        }
        let date = self.date.to_string();
        let payload = json!({"sip": message_id, "target": target, "operation": row.operation, "zip_sha512": row.sha512});
        store.ledger.transact(|tx| {
            tx.deposit(&row)?;
            if row.operation.is_none() || before.is_some() {
                return Ok(());
            }
            tx.journal(&NewEntry { at: &at, date: &date, run_id: message_id, kind: "sip_deposited", payload })
        })
    }
}
