//! Packages after their making, in the ledger: how far their deposit is, what the archive answered.

use super::{Ledger, Tx, get};
use crate::error::Result;
use crate::seda::reply::{Reconciliation, Verdict};
use rusqlite::{OptionalExtension, Row, params};

/// An answer of the archive about a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyRow {
    /// Package.
    pub sip_id: String,
    /// Lower-case SHA-512 of the message.
    pub sha512: String,
    /// What it allows.
    pub verdict: Verdict,
    /// Identifier that the archive gave to its message.
    pub message_id: String,
    /// Day that it bears: of the taking in charge when there is one, as written.
    pub replied_at: String,
    /// Logical day of its import.
    pub on_day: String,
}

fn reply(row: &Row<'_>) -> rusqlite::Result<ReplyRow> {
    let verdict: String = get(row, "verdict")?;
    Ok(ReplyRow {
        sip_id: get(row, "sip_id")?,
        sha512: get(row, "sha512")?,
        // A word that this program does not know is no permission.
        verdict: Verdict::parse(&verdict).unwrap_or(Verdict::Undecided),
        message_id: get(row, "message_id")?,
        replied_at: get(row, "replied_at")?,
        on_day: get(row, "on_day")?,
    })
}

/// How far the deposit of a package is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositRow {
    /// Package.
    pub sip_id: String,
    /// Name of the target.
    pub target: String,
    /// SHA-512 of the package.
    pub sha512: String,
    /// `planned`, `sending`, `sent` or `replied`.
    pub state: String,
    /// When the last sending began, RFC 3339; while it is `sending`.
    pub since: Option<String>,
    /// Operation, path or key at the target; once `sent`.
    pub operation: Option<String>,
    /// SHA-512 of the reply; once `replied`.
    pub reply_sha512: Option<String>,
    /// When the target was known to have it, RFC 3339.
    pub sent_at: Option<String>,
}

fn deposit(row: &Row<'_>) -> rusqlite::Result<DepositRow> {
    Ok(DepositRow {
        sip_id: get(row, "sip_id")?,
        target: get(row, "target")?,
        sha512: get(row, "sha512")?,
        state: get(row, "state")?,
        since: get(row, "since")?,
        operation: get(row, "operation")?,
        reply_sha512: get(row, "reply_sha512")?,
        sent_at: get(row, "sent_at")?,
    })
}

impl Tx<'_> {
    /// Records an answer, with what the archive calls our units and objects.
    ///
    /// # Errors
    /// Those of the ledger; among them, an answer after one that archived.
    pub fn sip_reply(&self, row: &ReplyRow, found: &Reconciliation) -> Result<()> {
        self.0.execute(
            "INSERT INTO sip_replies (sip_id, sha512, verdict, message_id, replied_at, on_day) VALUES (?, ?, ?, ?, ?, ?)",
            params![row.sip_id, row.sha512, row.verdict.as_str(), row.message_id, row.replied_at, row.on_day],
        )?;
        let seq = self.0.last_insert_rowid();
        let mut insert = self.0.prepare_cached(
            "INSERT INTO sip_identifiers (reply, kind, xml_id, system_id) VALUES (?, ?, ?, ?)",
        )?;
        for (kind, ids) in [("unit", &found.units), ("object", &found.objects)] {
            for (xml, system) in ids {
                insert.execute(params![seq, kind, xml, system])?;
            }
        }
        Ok(())
    }

    /// Records how far a deposit is.
    ///
    /// # Errors
    /// Those of the ledger; among them, a step back from what was sent.
    pub fn deposit(&self, row: &DepositRow) -> Result<()> {
        self.0.execute(
            "INSERT INTO deposits (sip_id, target, sha512, state, since, operation, reply_sha512, sent_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (sip_id) DO UPDATE SET target = ?2, sha512 = ?3, state = ?4, since = ?5, operation = ?6,
               reply_sha512 = ?7, sent_at = ?8",
            params![
                row.sip_id,
                row.target,
                row.sha512,
                row.state,
                row.since,
                row.operation,
                row.reply_sha512,
                row.sent_at
            ],
        )?;
        Ok(())
    }
}

impl Ledger {
    /// Answers about a package, oldest first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn replies(&self, sip: &str) -> Result<Vec<ReplyRow>> {
        self.all("SELECT * FROM sip_replies WHERE sip_id = ? ORDER BY seq", &[&sip], reply)
    }

    /// What the archive calls the units (or objects) of a package, by our identifiers, as an answer
    /// told.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn system_identifiers(&self, reply_sha512: &str, kind: &str) -> Result<Vec<(String, String)>> {
        self.all(
            "SELECT xml_id, system_id FROM sip_identifiers WHERE kind = ?2 AND reply IN
               (SELECT seq FROM sip_replies WHERE sha512 = ?1) ORDER BY xml_id",
            &[&reply_sha512, &kind],
            |r| Ok((get(r, "xml_id")?, get(r, "system_id")?)),
        )
    }

    /// The deposit of a package, once there is one.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn deposit(&self, sip: &str) -> Result<Option<DepositRow>> {
        Ok(self.all("SELECT * FROM deposits WHERE sip_id = ?", &[&sip], deposit)?.into_iter().next())
    }

    /// The deposit of a package by its digest.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn deposit_of(&self, sha512: &str) -> Result<Option<DepositRow>> {
        Ok(self.all("SELECT * FROM deposits WHERE sha512 = ?", &[&sha512], deposit)?.into_iter().next())
    }

    /// Number and digest of the last journal entry of a kind about a package.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn journal_anchor(&self, about: &str, kind: &str) -> Result<Option<(i64, String)>> {
        let sql = "SELECT seq, hash FROM journal WHERE run_id = ? AND kind = ? ORDER BY seq DESC LIMIT 1";
        Ok(self.db.query_row(sql, [about, kind], |r| Ok((r.get(0)?, r.get(1)?))).optional()?)
    }

    /// Whether another state of the same table, sender and school year, older than a snapshot, is
    /// still in the tables.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn older_state(&self, snapshot: &str) -> Result<bool> {
        let sql = "SELECT count(*) > 0 FROM snapshots s JOIN snapshots o ON o.table_name = s.table_name
             AND o.emitter = s.emitter AND o.annee_scolaire = s.annee_scolaire AND o.delivery_date < s.delivery_date
             WHERE s.path = ?";
        Ok(self.db.query_row(sql, [snapshot], |r| r.get(0))?)
    }
}
