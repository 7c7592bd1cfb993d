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

    /// Packages that hold rows of a snapshot, with how many.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn packages_of(&self, snapshot: &str) -> Result<Vec<(String, u64)>> {
        let sql = "SELECT sip_id, records FROM sip_items WHERE snapshot = ? ORDER BY sip_id";
        self.all(sql, &[&snapshot], |r| Ok((get(r, "sip_id")?, get::<i64>(r, "records")?.unsigned_abs())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::collections::BTreeMap;

    /// A package `S` of the snapshot `b`, and an older state `a` of the same table.
    fn ledger(folder: &std::path::Path) -> Ledger {
        let ledger = Ledger::create(&folder.join("ledger.sqlite")).unwrap();
        let rows = "INSERT INTO runs VALUES ('r', 'j', '2026-01-12', 1, 'ok');
            INSERT INTO deliveries (id, source, name, delivery_date, emitter, run_id) VALUES ('d', 's', 'n', '2026-01-10', 'e', 'r');
            INSERT INTO snapshots VALUES ('tables/a', 't', 'c', '2024-2025', 'd', '2025-01-10', 'e', 1, 'x'),
              ('tables/b', 't', 'c', '2024-2025', 'd', '2025-02-10', 'e', 1, 'x');";
        ledger.db.execute_batch(rows).unwrap();
        let sip = format!(
            "INSERT INTO sips VALUES ('S', 'c', '2024-2025', 'archives/S', '{}', 1, 'r');",
            "5".repeat(128)
        );
        ledger
            .db
            .execute_batch(&format!("{sip} INSERT INTO sip_items VALUES ('S', 'tables/b', 1);"))
            .unwrap();
        ledger
    }

    fn answered(ledger: &mut Ledger, verdict: Verdict, digit: &str) -> Result<()> {
        let row = ReplyRow {
            sip_id: "S".into(),
            sha512: digit.repeat(128),
            verdict,
            message_id: "ATR".into(),
            replied_at: "2026-01-13".into(),
            on_day: "2026-01-13".into(),
        };
        let found = Reconciliation {
            verdict,
            units: [("U".to_owned(), "sys".to_owned())].into(),
            objects: BTreeMap::new(),
            missing_units: Vec::new(),
            missing_objects: Vec::new(),
            unknown: Vec::new(),
            contradictions: Vec::new(),
            message: String::new(),
        };
        ledger.transact(|tx| tx.sip_reply(&row, &found))
    }

    fn says(result: std::result::Result<(), impl ToString>, text: &str) {
        let said = result.map_err(|e| e.to_string());
        assert!(said.as_ref().is_err_and(|e| e.contains(text)), "{said:?}");
    }

    #[test]
    fn a_packaged_record_goes_by_no_other_way_than_an_execution_of_what_is_archived() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        let delete = "DELETE FROM snapshots WHERE path = 'tables/b'";
        says(ledger.db.execute_batch(delete), "stays until the archive holds it");
        says(
            ledger.db.execute_batch("UPDATE snapshots SET rows = 2 WHERE path = 'tables/b'"),
            "not rewritten",
        );
        answered(&mut ledger, Verdict::Archived, "a").unwrap();
        // Archived, but no execution is under way.
        says(ledger.db.execute_batch(delete), "a visa lets it go");
        says(ledger.db.execute_batch("DELETE FROM sip_items"), "append-only");
        ledger.db.execute_batch("DELETE FROM snapshots WHERE path = 'tables/a'").unwrap();
    }

    #[test]
    fn nothing_follows_an_answer_that_archives_and_a_refusal_frees_the_records() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        let again = "INSERT INTO sip_items VALUES ('S', 'tables/b', 1)";
        let other = again.replace("'S'", "'T'");
        ledger
            .db
            .execute_batch(&format!(
                "INSERT INTO sips VALUES ('T', 'c', '2024-2025', 'archives/T', '{}', 1, 'r')",
                "6".repeat(128)
            ))
            .unwrap();
        says(ledger.db.execute_batch(&other), "packaged once");
        answered(&mut ledger, Verdict::Refused, "b").unwrap();
        ledger.db.execute_batch(&other).unwrap();
        assert_eq!(ledger.packages_of("tables/b").unwrap(), [("S".to_owned(), 1), ("T".to_owned(), 1)]);
        answered(&mut ledger, Verdict::Archived, "a").unwrap();
        assert!(matches!(answered(&mut ledger, Verdict::Refused, "c"), Err(Error::Ledger(_))));
        let all: Vec<Verdict> = ledger.replies("S").unwrap().into_iter().map(|r| r.verdict).collect();
        assert_eq!(all, [Verdict::Refused, Verdict::Archived]);
        let units = ledger.system_identifiers(&"a".repeat(128), "unit").unwrap();
        assert_eq!(units, [("U".to_owned(), "sys".to_owned())]);
    }

    #[test]
    fn what_was_sent_is_not_sent_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = ledger(folder.path());
        let row = |state: &str, target: &str| DepositRow {
            sip_id: "S".into(),
            target: target.into(),
            sha512: "5".repeat(128),
            state: state.into(),
            since: (state == "sending").then(|| "2026-01-13T08:00:00Z".into()),
            operation: (state == "sent").then(|| "op".into()),
            reply_sha512: None,
            sent_at: (state == "sent").then(|| "2026-01-13T08:00:00Z".into()),
        };
        let mut put = |row: DepositRow| ledger.transact(|tx| tx.deposit(&row));
        says(put(DepositRow { sha512: "7".repeat(128), ..row("planned", "a") }), "not the package");
        for step in [
            row("planned", "a"),
            row("planned", "b"),
            row("sending", "b"),
            row("planned", "b"),
            row("sending", "b"),
        ] {
            put(step).unwrap();
        }
        says(put(row("sending", "a")), "not sent again");
        put(row("sent", "b")).unwrap();
        for back in ["planned", "sending"] {
            says(put(row(back, "b")), "not sent again");
        }
        says(put(DepositRow { operation: Some("other".into()), ..row("sent", "b") }), "not sent again");
    }

    #[test]
    fn an_older_state_of_the_same_sender_and_year_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path());
        assert_eq!(
            (ledger.older_state("tables/b").unwrap(), ledger.older_state("tables/a").unwrap()),
            (true, false)
        );
    }
}
