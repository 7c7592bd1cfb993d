//! Everything that changes the ledger: inside one transaction, all or nothing.

use super::{
    DeliveredFile, Delivery, EditionRow, IngestRow, ListRow, Publication, PublicationFacts, Refusal, RunRow,
    SipRow, Snapshot, StepRow,
};
use crate::error::Result;
use crate::journal::NewEntry;
use rusqlite::{OptionalExtension, Transaction, params};

/// An open transaction.
pub struct Tx<'a>(pub(super) Transaction<'a>);

impl Tx<'_> {
    /// Opens a run, or marks it running again.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn open_run(&self, run: &RunRow, started_at: &str) -> Result<()> {
        let known: bool =
            self.0.query_row("SELECT count(*) > 0 FROM runs WHERE id = ?", [&run.id], |r| r.get(0))?;
        match known {
            true => {
                self.0.execute("UPDATE runs SET status = 'running' WHERE id = ?", [&run.id]).map(|_| ())?
            }
            false => run.insert(&self.0, "runs")?,
        }
        self.0.execute(
            "INSERT INTO attempts (run_id, started_at) VALUES (?, ?)",
            [run.id.as_str(), started_at],
        )?;
        Ok(())
    }

    /// Closes a run.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn close_run(&self, run: &str, status: &str, ended_at: &str) -> Result<()> {
        self.0.execute("UPDATE runs SET status = ? WHERE id = ?", [status, run])?;
        let last = "(SELECT max(id) FROM attempts WHERE run_id = ?3)";
        self.0.execute(
            &format!("UPDATE attempts SET ended_at = ?1, outcome = ?2 WHERE id = {last}"),
            [ended_at, status, run],
        )?;
        Ok(())
    }

    /// Records a finished step.
    ///
    /// # Errors
    /// Those of the ledger; among them, counts that do not add up.
    pub fn step(&self, step: &StepRow) -> Result<()> {
        step.insert(&self.0, "steps")
    }

    /// What was announced is now named by this transaction.
    pub(super) fn settle(&self) -> Result<()> {
        self.0.execute("DELETE FROM pending", [])?;
        Ok(())
    }

    /// Records a delivery and its files.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn delivery(&self, delivery: &Delivery, files: &[DeliveredFile]) -> Result<()> {
        self.settle()?;
        delivery.insert(&self.0, "deliveries")?;
        files.iter().try_for_each(|f| f.insert(&self.0, "files"))
    }

    /// Records a refused file.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn refusal(&self, refusal: &Refusal) -> Result<()> {
        refusal.insert(&self.0, "refusals")
    }

    /// Records what became of a delivery.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn ingest(
        &self,
        row: &IngestRow,
        snapshots: &[Snapshot],
        quarantines: &[(String, String, i64, String)],
    ) -> Result<()> {
        self.settle()?;
        row.insert(&self.0, "ingests")?;
        snapshots.iter().try_for_each(|s| s.insert(&self.0, "snapshots"))?;
        for (path, table, rows, sha256) in quarantines {
            self.0.execute(
                "INSERT INTO quarantines (path, table_name, delivery_id, rows, sha256) VALUES (?, ?, ?, ?, ?)",
                params![path, table, row.delivery_id, rows, sha256],
            )?;
        }
        Ok(())
    }

    /// Records an edition of a nomenclature.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn edition(&self, row: &EditionRow) -> Result<()> {
        self.settle()?;
        row.insert(&self.0, "editions")
    }

    /// What was judged again takes the place of what was said of a delivery: its quality, its
    /// quarantine, and the snapshots that it gained.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn replay(
        &self,
        row: &IngestRow,
        snapshots: &[Snapshot],
        quarantines: &[(String, String, i64, String)],
    ) -> Result<()> {
        self.0.execute("DELETE FROM quarantines WHERE delivery_id = ?", [&row.delivery_id])?;
        self.0.execute("DELETE FROM ingests WHERE delivery_id = ?", [&row.delivery_id])?;
        self.ingest(row, snapshots, quarantines)
    }

    /// Records a publication, and what the register keeps of it.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn publication(&self, row: &Publication, facts: &PublicationFacts) -> Result<()> {
        self.settle()?;
        row.insert(&self.0, "publications")?;
        facts.insert(&self.0, "publication_facts")
    }

    /// Records a list.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn list(&self, row: &ListRow) -> Result<()> {
        self.settle()?;
        row.insert(&self.0, "elimination_lists")
    }

    /// Records a package and what it holds: (snapshot, records).
    ///
    /// # Errors
    /// Those of the ledger; among them, a record packaged twice.
    pub fn sip(&self, row: &SipRow, items: &[(String, i64)]) -> Result<()> {
        self.settle()?;
        row.insert(&self.0, "sips")?;
        for (snapshot, records) in items {
            self.0.execute(
                "INSERT INTO sip_items (sip_id, snapshot, records) VALUES (?, ?, ?)",
                params![row.id, snapshot, records],
            )?;
        }
        Ok(())
    }

    /// Notes that the mirror files are written up to an entry.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn mirrored(&self, seq: i64) -> Result<()> {
        self.0.execute("UPDATE meta SET value = ? WHERE key = 'mirrored_seq'", [seq.to_string()])?;
        Ok(())
    }

    /// Adds to the journal, chained to the last entry.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn journal(&self, new: &NewEntry<'_>) -> Result<()> {
        let last: Option<(i64, String)> = self
            .0
            .query_row("SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1", [], |r| {
                Ok((r.get(0)?, r.get(1)?))
            })
            .optional()?;
        let entry = new.chained(last);
        self.0.execute(
            "INSERT INTO journal (seq, at, logical_date, run_id, kind, payload, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![entry.seq, entry.at, entry.date, entry.run_id, entry.kind, entry.payload, entry.prev, entry.hash],
        )?;
        Ok(())
    }
}
