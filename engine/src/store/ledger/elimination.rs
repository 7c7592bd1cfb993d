//! The elimination workflow in the ledger: events, signed files, plans, tombstones. The rules are
//! asked of `elimination::state` first, for a French answer; the triggers of `schema_3.sql` refuse
//! the same, whatever program writes.

use super::{Ledger, Snapshot, Tx, get};
use crate::domain::{DateFormat, Digest};
use crate::elimination::refusal::{Refusal, may_be_target};
use crate::elimination::registry::Role;
use crate::elimination::state::{Course, Event, State, Step};
use crate::error::{Error, Result};
use crate::journal::canonical;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// What kind of bytes a target holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A snapshot of a table.
    Table,
    /// A received delivery.
    Delivery,
    /// A quarantine file.
    Quarantine,
}

impl TargetKind {
    fn as_str(self) -> &'static str {
        match self {
            TargetKind::Table => "table",
            TargetKind::Delivery => "delivery",
            TargetKind::Quarantine => "quarantine",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [TargetKind::Table, TargetKind::Delivery, TargetKind::Quarantine]
            .into_iter()
            .find(|k| k.as_str() == text)
    }
}

/// A file that an execution removes, or replaces by one without the eliminated records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Path below the root.
    pub path: String,
    /// What it holds.
    pub kind: TargetKind,
    /// Path of what replaces it; `None` when it is only removed.
    pub new_path: Option<String>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Records of it that are eliminated.
    pub records: u64,
    /// Whether the old file is gone.
    pub done: bool,
    /// Why it could not go, in French.
    pub failure: Option<String>,
}

/// Salted digest under which an eliminated record is remembered. The same salt must serve a whole
/// store, or a record could be eliminated twice without being noticed.
pub fn tombstone(salt: &[u8; 32], record: &str) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update(b"cartulaire/tombstone/v1\0");
    hasher.update(salt);
    hasher.update(record.as_bytes());
    hasher.finalize().into()
}

fn stored(list: &str, what: &str) -> Error {
    Error::Corrupt(format!("la liste {list} porte un {what} inconnu de ce programme"))
}

fn step_of(list: &str, row: &Row<'_>) -> Result<Step> {
    let text = |column| get::<String>(row, column);
    let day = |column: &str| -> Result<_> {
        let found: Option<String> = get(row, column)?;
        found.map(|t| DateFormat::Iso.parse(&t).ok_or_else(|| stored(list, "jour"))).transpose()
    };
    Ok(Step {
        event: Event::parse(&text("event")?).ok_or_else(|| stored(list, "événement"))?,
        actor: text("actor")?,
        role: Role::parse(&text("role")?).ok_or_else(|| stored(list, "rôle"))?,
        on: day("on_day")?.ok_or_else(|| stored(list, "jour"))?,
        until: day("until_day")?,
        witness: get(row, "witness")?,
    })
}

fn course(db: &Connection, list: &str) -> Result<Course> {
    let mut statement =
        db.prepare_cached("SELECT * FROM elimination_events WHERE list_id = ? ORDER BY seq")?;
    let mut rows = statement.query([list])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        steps.push(step_of(list, row)?);
    }
    Course::replay(steps).map_err(|r| Error::Corrupt(format!("parcours de la liste {list} : {}", r.message)))
}

impl Tx<'_> {
    /// Records what somebody does with a list, `at` being the machine's UTC time. The payload of a
    /// proposal is the reference of the list (`elimination::exported::ListRef`); that of a recall
    /// has a `reason`. A signed event wants its file recorded before.
    ///
    /// # Errors
    /// [`Error::Refused`] when the step is not permitted; those of the ledger.
    pub fn elimination_step(&self, list: &str, step: &Step, at: &str, payload: &Value) -> Result<State> {
        let state = course(&self.0, list)?.take(step.clone())?;
        self.0.execute(
            "INSERT INTO elimination_events (list_id, event, state, actor, role, witness, on_day, until_day, at, payload)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                list,
                step.event.as_str(),
                state.as_str(),
                step.actor,
                step.role.as_str(),
                step.witness,
                step.on.to_string(),
                step.until.map(|d| d.to_string()),
                at,
                canonical(payload)
            ],
        )?;
        Ok(state)
    }

    /// Starts an execution: the event and the whole plan, which nothing changes afterwards. To be
    /// called in the transaction that asked `elimination::refusal::refusals`.
    ///
    /// # Errors
    /// [`Error::Refused`] when the step is not permitted, the plan is empty, or it touches what is
    /// kept for ever; those of the ledger.
    pub fn start_elimination(&self, list: &str, step: &Step, at: &str, plan: &[Target]) -> Result<State> {
        if plan.is_empty() {
            let refusal = Refusal::new("ELIM_EMPTY_PLAN", "rien à éliminer : proposez une nouvelle liste");
            return Err(refusal.into());
        }
        let paths = plan.iter().flat_map(|t| [Some(&t.path), t.new_path.as_ref()]).flatten();
        if let Some(path) = paths.into_iter().find(|p| !may_be_target(p)) {
            let message =
                format!("le plan toucherait {path}, qui ne s'élimine jamais : signalez cette anomalie");
            return Err(Refusal::new("ELIM_PROTECTED_TARGET", message).into());
        }
        let state = self.elimination_step(list, step, at, &json!({"targets": plan.len()}))?;
        let mut insert = self.0.prepare_cached(
            "INSERT INTO elimination_targets (list_id, ordinal, path, kind, action, new_path, bytes, records)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        for (ordinal, t) in (1_i64..).zip(plan) {
            let action = if t.new_path.is_some() { "rewrite" } else { "remove" };
            let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            insert.execute(params![
                list,
                ordinal,
                t.path,
                t.kind.as_str(),
                action,
                t.new_path,
                signed(t.bytes),
                signed(t.records)
            ])?;
        }
        Ok(state)
    }

    /// Notes that a target is gone from the disk.
    ///
    /// # Errors
    /// Those of the ledger; among them, a target that is unknown or already done.
    pub fn target_done(&self, list: &str, path: &str) -> Result<()> {
        self.tick(list, path, None)
    }

    /// Notes that a target could not go, and why, in French; a later try may still succeed.
    ///
    /// # Errors
    /// Those of the ledger; among them, a target that is unknown or already done.
    pub fn target_failed(&self, list: &str, path: &str, why: &str) -> Result<()> {
        self.tick(list, path, Some(why))
    }

    fn tick(&self, list: &str, path: &str, failure: Option<&str>) -> Result<()> {
        let sql =
            "UPDATE elimination_targets SET done = ?3 IS NULL, failure = ?3 WHERE list_id = ?1 AND path = ?2";
        match self.0.execute(sql, params![list, path, failure])? {
            1 => Ok(()),
            _ => Err(Error::Corrupt(format!("« {path} » n'est pas dans le plan de la liste {list}"))),
        }
    }

    /// Puts a snapshot in the place of another, or none.
    ///
    /// # Errors
    /// Those of the ledger; among them, a snapshot that was packaged.
    pub fn replace_snapshot(&self, old: &str, new: Option<&Snapshot>) -> Result<()> {
        self.settle()?;
        match new {
            None => self.0.execute("DELETE FROM snapshots WHERE path = ?", [old])?,
            // In its place among the others: which delivery is the last one does not change.
            Some(s) => self.0.execute(
                "UPDATE snapshots SET path = ?2, rows = ?3, sha256 = ?4 WHERE path = ?1",
                params![old, s.path, s.rows, s.sha256],
            )?,
        };
        Ok(())
    }

    /// Keeps the salt of the store's tombstones, once.
    ///
    /// # Errors
    /// Those of the ledger; among them, a salt that is there already.
    pub fn keep_salt(&self, salt: &[u8; 32]) -> Result<()> {
        let text = crate::domain::hex(salt);
        self.0.execute("INSERT INTO meta (key, value) VALUES ('tombstone_salt', ?)", [text])?;
        Ok(())
    }

    /// Forgets a quarantine file.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn quarantine_gone(&self, path: &str) -> Result<()> {
        self.0.execute("DELETE FROM quarantines WHERE path = ?", [path])?;
        Ok(())
    }

    /// Keeps a signed file (`proposal`, `visa`, `execution` or `attestation`) that was verified.
    ///
    /// # Errors
    /// Those of the ledger; among them, a second file of a kind, or one for another list.
    pub fn elimination_document(&self, list: &str, kind: &str, text: &str) -> Result<()> {
        self.0.execute(
            "INSERT INTO elimination_documents (list_id, kind, sha256, document) VALUES (?, ?, ?, ?)",
            params![list, kind, Digest::of(text.as_bytes()).to_string(), text],
        )?;
        Ok(())
    }

    /// Leaves the tombstones of a row's records (see [`tombstone`]).
    ///
    /// # Errors
    /// Those of the ledger; among them, a record that was already eliminated.
    pub fn tombstones(
        &self,
        list: &str,
        row: usize,
        digests: impl IntoIterator<Item = [u8; 32]>,
    ) -> Result<()> {
        let row = i64::try_from(row).unwrap_or(i64::MAX);
        let mut insert =
            self.0.prepare_cached("INSERT INTO tombstones (digest, list_id, row) VALUES (?, ?, ?)")?;
        for digest in digests {
            insert.execute(params![digest, list, row])?;
        }
        Ok(())
    }
}

impl Ledger {
    /// What happened to a list; a list without events, or unknown, is simulated.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn course(&self, list: &str) -> Result<Course> {
        course(&self.db, list)
    }

    /// The list that is being executed, if any.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn executing(&self) -> Result<Option<String>> {
        let sql = "SELECT list_id FROM elimination_states WHERE state = 'executing'";
        Ok(self.db.query_row(sql, [], |r| r.get(0)).optional()?)
    }

    /// A signed file of a list, as it was received.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn elimination_document(&self, list: &str, kind: &str) -> Result<Option<String>> {
        let sql = "SELECT document FROM elimination_documents WHERE list_id = ? AND kind = ?";
        Ok(self.db.query_row(sql, [list, kind], |r| r.get(0)).optional()?)
    }

    /// The plan of an execution, in its order.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn targets(&self, list: &str) -> Result<Vec<Target>> {
        let mut statement =
            self.db.prepare_cached("SELECT * FROM elimination_targets WHERE list_id = ? ORDER BY ordinal")?;
        let mut rows = statement.query([list])?;
        let mut targets = Vec::new();
        while let Some(row) = rows.next()? {
            let kind: String = get(row, "kind")?;
            let number = |column| -> Result<u64> { Ok(get::<i64>(row, column)?.unsigned_abs()) };
            targets.push(Target {
                path: get(row, "path")?,
                kind: TargetKind::parse(&kind).ok_or_else(|| stored(list, "genre de fichier"))?,
                new_path: get(row, "new_path")?,
                bytes: number("bytes")?,
                records: number("records")?,
                done: get(row, "done")?,
                failure: get(row, "failure")?,
            });
        }
        Ok(targets)
    }

    /// Salt of the store's tombstones, once it was drawn.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn salt(&self) -> Result<Option<[u8; 32]>> {
        let Some(text) = self.meta("tombstone_salt")? else { return Ok(None) };
        let salt = crate::elimination::keys::unhex(&text);
        salt.map(Some).ok_or_else(|| Error::Corrupt("sel des éliminations illisible".into()))
    }

    /// Number and digest of the last entry of the journal.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn journal_head(&self) -> Result<(u64, String)> {
        let sql = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1";
        let head = self.db.query_row(sql, [], |r| Ok((r.get::<_, i64>(0)?, r.get(1)?))).optional()?;
        Ok(head.map_or_else(|| (0, "0".repeat(64)), |(seq, hash)| (seq.unsigned_abs(), hash)))
    }

    /// UTC time at which an event of a list was recorded.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn elimination_event_at(&self, list: &str, event: &str) -> Result<Option<String>> {
        let sql = "SELECT at FROM elimination_events WHERE list_id = ? AND event = ?";
        Ok(self.db.query_row(sql, [list, event], |r| r.get(0)).optional()?)
    }

    /// Digest over the tombstones that a list left, in their order.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn tombstones_digest(&self, list: &str) -> Result<String> {
        let mut statement =
            self.db.prepare_cached("SELECT digest FROM tombstones WHERE list_id = ? ORDER BY digest")?;
        let mut rows = statement.query([list])?;
        let mut hasher = Sha256::new();
        while let Some(row) = rows.next()? {
            hasher.update(row.get::<_, Vec<u8>>(0)?);
        }
        Ok(crate::domain::hex(&hasher.finalize()))
    }

    /// A snapshot by its path.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn snapshot(&self, path: &str) -> Result<Option<Snapshot>> {
        let found = self.all("SELECT * FROM snapshots WHERE path = ?", &[&path], Snapshot::read)?;
        Ok(found.into_iter().next())
    }

    /// Quarantine files as snapshots without class or school year.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn quarantine_snapshots(&self) -> Result<Vec<Snapshot>> {
        self.all(
            "SELECT q.path, q.table_name, '' AS record_class, '' AS annee_scolaire, q.delivery_id, d.delivery_date, d.emitter,
               q.rows, q.sha256 FROM quarantines q JOIN deliveries d ON d.id = q.delivery_id ORDER BY q.path",
            &[],
            Snapshot::read,
        )
    }

    /// Deliveries whose records a received or quarantine file holds.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn deliveries_of_file(&self, path: &str) -> Result<Vec<String>> {
        self.all(
            "SELECT delivery_id FROM files WHERE 'received/' || substr(sha256, 1, 2) || '/' || sha256 = ?1
             UNION SELECT delivery_id FROM quarantines WHERE path = ?1",
            &[&path],
            |r| r.get(0),
        )
    }

    /// Records eliminated by a list, by row.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn eliminated(&self, list: &str) -> Result<BTreeMap<usize, u64>> {
        let rows = self.all(
            "SELECT row, count(*) AS n FROM tombstones WHERE list_id = ? GROUP BY row",
            &[&list],
            |r| Ok((get::<i64>(r, "row")?, get::<i64>(r, "n")?)),
        )?;
        Ok(rows.into_iter().map(|(r, n)| (usize::try_from(r).unwrap_or(0), n.unsigned_abs())).collect())
    }

    /// List and row by which a record was eliminated, from its tombstone's digest.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn eliminated_by(&self, digest: &[u8; 32]) -> Result<Option<(String, i64)>> {
        let sql = "SELECT list_id, row FROM tombstones WHERE digest = ?";
        Ok(self.db.query_row(sql, params![digest], |r| Ok((r.get(0)?, r.get(1)?))).optional()?)
    }
}

#[cfg(test)]
pub(super) mod tests;
