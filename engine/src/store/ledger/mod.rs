//! The ledger: one SQLite file, durable writes, strict tables. Reading is here, writing in `write`.

mod elimination;
mod gels;
mod portals;
mod sips;
mod tri;
mod write;

pub use elimination::{Target, TargetKind, tombstone};
pub use gels::{Gel, gels_digest};
pub use portals::PortalStep;
pub use sips::{DepositRow, ReplyRow};
pub use tri::{TriDraw, TriRow};
pub use write::Tx;

use crate::error::{Error, Result};
use crate::journal::Entry;
use chrono::NaiveDate;
use rusqlite::types::FromSql;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, Transaction};
use std::path::Path;

/// Version of the tables; a ledger of another version is not opened.
const SCHEMA_VERSION: &str = "8";
/// What each version added to the one before it.
const MIGRATIONS: &[(&str, &str, &str)] = &[
    ("1", "2", include_str!("schema_2.sql")),
    ("2", "3", include_str!("schema_3.sql")),
    ("3", "4", include_str!("schema_4.sql")),
    ("4", "5", include_str!("schema_5.sql")),
    ("5", "6", include_str!("schema_6.sql")),
    ("6", "7", include_str!("schema_7.sql")),
    ("7", "8", include_str!("schema_8.sql")),
];

/// Open ledger.
pub struct Ledger {
    db: Connection,
}

macro_rules! rows {
    ($( $(#[$doc:meta])* $name:ident { $( $(#[$fdoc:meta])* $field:ident : $kind:ty ),* $(,)? } )*) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $( $(#[$fdoc])* pub $field: $kind, )* }

        impl $name {
            const COLUMNS: &'static str = concat!($( ", ", stringify!($field) ),*);

            fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
                Ok($name { $( $field: get(row, stringify!($field))?, )* })
            }

            fn insert(&self, tx: &Transaction<'_>, table: &str) -> Result<()> {
                let columns = Self::COLUMNS.trim_start_matches(", ");
                let marks = vec!["?"; columns.split(", ").count()].join(", ");
                let values: Vec<&dyn ToSql> = vec![ $( &self.$field ),* ];
                tx.prepare_cached(&format!("INSERT INTO {table} ({columns}) VALUES ({marks})"))?.execute(values.as_slice())?;
                Ok(())
            }
        }
    )* };
}

fn get<T: FromSql>(row: &Row<'_>, name: &str) -> rusqlite::Result<T> {
    row.get(name)
}

rows! {
    /// A run of a job for a logical date. Revisions above 1 exist when new deliveries came after
    /// the date's run had ended.
    RunRow {
        /// `nightly-2026-01-12`, then `nightly-2026-01-12.2`…
        id: String, /// Job.
        job: String, /// `yyyy-mm-dd`.
        logical_date: String, /// From 1.
        revision: i64, /// running, ok, gated, failed.
        status: String,
    }
    /// A finished step.
    StepRow {
        /// Run.
        run_id: String, /// Order in the run.
        ordinal: i64, /// Step.
        name: String, /// ok or gated.
        status: String, /// Records read.
        read: i64, /// Accepted.
        accepted: i64, /// Rejected.
        rejected: i64, /// Excluded.
        excluded: i64, /// JSON list of paths.
        outputs: String, /// French sentence for people.
        detail: String, /// Time spent.
        millis: i64,
    }
    /// Files of one export, as received.
    Delivery {
        /// Digest of its content, shortened.
        id: String, /// Source.
        source: String, /// Name common to the files.
        name: String, /// Date in the names.
        delivery_date: String, /// Run that received it.
        run_id: String,
        /// Who sends: the name without its date.
        emitter: String,
    }
    /// One received file.
    DeliveredFile {
        /// Digest; also its name in `received/`.
        sha256: String, /// Delivery.
        delivery_id: String, /// Name as received.
        name: String, /// Bytes.
        size: i64, /// Table it feeds.
        table_name: String,
    }
    /// A file that was not taken.
    Refusal {
        /// Name in the inbox.
        name: String, /// Digest, empty when not read.
        sha256: String, /// Code.
        code: String, /// French text.
        message: String, /// Run.
        run_id: String,
    }
    /// What became of a delivery.
    IngestRow {
        /// Delivery.
        delivery_id: String, /// Run.
        run_id: String, /// accepted or refused.
        status: String, /// Records.
        read: i64, /// Accepted.
        accepted: i64, /// Quarantined.
        rejected: i64, /// JSON of the quality figures.
        quality: String,
    }
    /// One Parquet file of a table.
    Snapshot {
        /// Path below the root.
        path: String, /// Table.
        table_name: String, /// Class that the retention rules speak of.
        record_class: String, /// Partition.
        annee_scolaire: String, /// Delivery.
        delivery_id: String, /// Its date.
        delivery_date: String, /// Who sent it.
        emitter: String, /// Rows.
        rows: i64, /// Digest.
        sha256: String,
    }
    /// An edition of a nomenclature.
    EditionRow {
        /// BCN table.
        table_name: String, /// Digest of the file.
        sha256: String, /// Its name.
        file: String, /// Where it is kept.
        path: String, /// Logical date of the import.
        imported_on: String, /// Codes.
        codes: i64,
    }
    /// A published version.
    Publication {
        /// Dataset.
        dataset: String, /// Version.
        version: String, /// Folder.
        path: String, /// Digest of its data.csv.
        digest: String, /// Run.
        run_id: String,
    }
    /// What the register of publications keeps of a version.
    PublicationFacts {
        /// Dataset.
        dataset: String, /// Version.
        version: String, /// SHA-256 of `SHA256SUMS`: of all that left.
        sums_sha256: String, /// Table counted.
        source_table: String, /// School year, empty when all are counted.
        school_year: String, /// Population.
        population: String, /// State of the population, a day.
        state: String, /// Which rows.
        row_filter: String, /// Levels and where they come from, JSON.
        zoning: String, /// SHA-256 of which figures are masked.
        mask_sha256: String, /// Figures.
        figures: i64, /// Those that are masked.
        masked: i64, /// Policy, JSON.
        policy: String,
    }
    /// A proposed elimination list.
    ListRow {
        /// List.
        id: String, /// Digest of the canonical list.
        digest: String, /// Folder.
        path: String, /// Records.
        records: i64, /// Logical date.
        proposed_on: String, /// Run.
        run_id: String,
    }
    /// A package.
    SipRow {
        /// Package.
        id: String, /// Class.
        record_class: String, /// School year.
        annee_scolaire: String, /// Folder.
        path: String, /// Digest of the zip.
        sha512: String, /// Records.
        records: i64, /// Run.
        run_id: String,
    }
}

impl Ledger {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let ledger = Self::connect(path)?;
        if !ledger.has_tables()? {
            let sql = include_str!("schema.sql");
            ledger.db.execute_batch(&format!(
                "BEGIN;\n{sql}\nINSERT INTO meta VALUES ('schema_version', '1'), ('mirrored_seq', '0');\nCOMMIT;"
            ))?;
        }
        for (from, to, sql) in MIGRATIONS {
            if ledger.meta("schema_version")?.as_deref() == Some(from) {
                ledger.db.execute_batch(&format!(
                    "BEGIN;\n{sql}\nUPDATE meta SET value = '{to}' WHERE key = 'schema_version';\nCOMMIT;"
                ))?;
            }
        }
        ledger.check_version(path)?;
        Ok(ledger)
    }

    /// `in_use`: the store holds files, so its ledger cannot be new.
    pub(super) fn open(path: &Path, in_use: bool) -> Result<Self> {
        if in_use && !Self::connect(path)?.has_tables()? {
            return Err(Error::Corrupt(format!(
                "« {} » est vide alors que l'entrepôt contient des fichiers : restaurez l'entrepôt entier depuis une sauvegarde",
                path.display()
            )));
        }
        // A crash while creating leaves a file without tables: creating again is harmless then.
        Self::create(path)
    }

    fn has_tables(&self) -> Result<bool> {
        Ok(self
            .db
            .query_row("SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'meta'", [], |r| r.get(0))?)
    }

    fn connect(path: &Path) -> Result<Self> {
        let db = Connection::open(path)?;
        // Recursive triggers: a replaced row is a deleted one, and what is append-only refuses it.
        db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA recursive_triggers = ON;")?;
        Ok(Ledger { db })
    }

    fn check_version(&self, path: &Path) -> Result<()> {
        let found = self.meta("schema_version")?.unwrap_or_default();
        if found != SCHEMA_VERSION {
            return Err(Error::Corrupt(format!(
                "« {} » est en version {found}, ce programme lit la version {SCHEMA_VERSION}",
                path.display()
            )));
        }
        Ok(())
    }

    /// All or nothing.
    ///
    /// # Errors
    /// Those of the work; then nothing has changed.
    pub fn transact<T>(&mut self, work: impl FnOnce(&Tx<'_>) -> Result<T>) -> Result<T> {
        let tx = Tx(self.db.transaction()?);
        let out = work(&tx)?;
        tx.0.commit()?;
        Ok(out)
    }

    fn all<T>(
        &self,
        sql: &str,
        args: &[&dyn ToSql],
        read: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>> {
        let mut statement = self.db.prepare_cached(sql)?;
        let rows = statement.query_map(args, read)?.collect::<rusqlite::Result<Vec<T>>>()?;
        Ok(rows)
    }

    fn meta(&self, key: &str) -> Result<Option<String>> {
        Ok(self.db.query_row("SELECT value FROM meta WHERE key = ?", [key], |r| r.get(0)).optional()?)
    }

    /// Runs of a job at a date, by revision; of all jobs when `job` is empty, newest first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn runs(&self, job: &str, date: Option<NaiveDate>) -> Result<Vec<RunRow>> {
        let date = date.map(|d| d.to_string());
        self.all(
            "SELECT * FROM runs WHERE (?1 = '' OR job = ?1) AND (?2 IS NULL OR logical_date = ?2) ORDER BY logical_date DESC, revision",
            &[&job, &date],
            RunRow::read,
        )
    }

    /// The run that a process worked on last.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn last_run(&self) -> Result<Option<RunRow>> {
        let sql = "SELECT r.* FROM runs r JOIN attempts a ON a.run_id = r.id ORDER BY a.id DESC LIMIT 1";
        Ok(self.all(sql, &[], RunRow::read)?.into_iter().next())
    }

    /// Start and end of the last work on a run.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn last_attempt(&self, run: &str) -> Result<Option<(String, Option<String>)>> {
        let sql = "SELECT started_at, ended_at FROM attempts WHERE run_id = ? ORDER BY id DESC LIMIT 1";
        Ok(self.db.query_row(sql, [run], |r| Ok((r.get(0)?, r.get(1)?))).optional()?)
    }

    /// Steps of a run that are done.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn steps(&self, run: &str) -> Result<Vec<StepRow>> {
        self.all("SELECT * FROM steps WHERE run_id = ? ORDER BY ordinal", &[&run], StepRow::read)
    }

    /// Deliveries received by a run, or all; in order of date, source and name.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn deliveries(&self, run: Option<&str>) -> Result<Vec<Delivery>> {
        self.all(
            "SELECT * FROM deliveries WHERE ?1 IS NULL OR run_id = ?1 ORDER BY delivery_date, source, name, id",
            &[&run],
            Delivery::read,
        )
    }

    /// Files of a delivery, in name order.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn files(&self, delivery: &str) -> Result<Vec<DeliveredFile>> {
        self.all(
            "SELECT * FROM files WHERE delivery_id = ? ORDER BY name, sha256",
            &[&delivery],
            DeliveredFile::read,
        )
    }

    /// The run that received these bytes under this name, if any. The same bytes may come back in
    /// another export (a list of schools that did not change): they are another file then.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn received_by(&self, name: &str, sha256: &str) -> Result<Option<String>> {
        let sql = "SELECT d.run_id FROM files f JOIN deliveries d ON d.id = f.delivery_id WHERE f.name = ? AND f.sha256 = ?";
        Ok(self.db.query_row(sql, [name, sha256], |r| r.get(0)).optional()?)
    }

    /// The code with which this file was refused, if it was.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn refused_by(&self, name: &str, sha256: &str) -> Result<Option<String>> {
        let sql = "SELECT code FROM refusals WHERE name = ? AND sha256 = ?";
        Ok(self.db.query_row(sql, [name, sha256], |r| r.get(0)).optional()?)
    }

    /// Files refused by a run.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn refusals(&self, run: &str) -> Result<Vec<Refusal>> {
        self.all("SELECT * FROM refusals WHERE run_id = ? ORDER BY name, sha256", &[&run], Refusal::read)
    }

    /// What became of the deliveries of a run.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn ingests(&self, run: &str) -> Result<Vec<IngestRow>> {
        self.all("SELECT * FROM ingests WHERE run_id = ? ORDER BY delivery_id", &[&run], IngestRow::read)
    }

    /// Editions imported on or before a date, oldest first.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn editions(&self, date: &str) -> Result<Vec<EditionRow>> {
        self.all(
            "SELECT * FROM editions WHERE imported_on <= ? ORDER BY imported_on, seq",
            &[&date],
            EditionRow::read,
        )
    }

    /// Quarantine files: (path, table, delivery, rows).
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn quarantines(&self) -> Result<Vec<(String, String, String, i64)>> {
        self.all("SELECT * FROM quarantines ORDER BY table_name, delivery_id", &[], |r| {
            Ok((get(r, "path")?, get(r, "table_name")?, get(r, "delivery_id")?, get(r, "rows")?))
        })
    }

    /// Whether a delivery that came after this one took its place: of the same sender and of its
    /// date or a later one; of an increment, under the same name.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn replaced(&self, delivery: &str, increment: bool) -> Result<bool> {
        let found = self.all(
            "SELECT count(*) AS n FROM deliveries d JOIN deliveries o ON o.id <> d.id AND o.emitter = d.emitter
             JOIN ingests i ON i.delivery_id = o.id AND i.status = 'accepted'
             WHERE d.id = ?1 AND ((o.rowid > d.rowid AND o.delivery_date >= d.delivery_date AND (NOT ?2 OR o.name = d.name))
               OR (NOT ?2 AND o.delivery_date > d.delivery_date))",
            &[&delivery, &increment],
            |r| get::<i64>(r, "n"),
        )?;
        Ok(found.first().is_some_and(|n| *n > 0))
    }

    /// How often the quarantine of a delivery was replayed with a result.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn replays(&self, delivery: &str) -> Result<u64> {
        let found = self.all(
            "SELECT count(*) AS n FROM journal WHERE kind = 'quarantine_replayed' AND json_extract(payload, '$.delivery') = ?",
            &[&delivery],
            |r| get::<i64>(r, "n"),
        )?;
        Ok(found.first().map_or(0, |n| n.unsigned_abs()))
    }

    /// Date of the last delivery of a sender that was accepted.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn state_date(&self, emitter: &str) -> Result<Option<String>> {
        let found = self.all(
            "SELECT max(d.delivery_date) AS day FROM deliveries d JOIN ingests i ON i.delivery_id = d.id
             WHERE d.emitter = ? AND i.status = 'accepted'",
            &[&emitter],
            |r| get::<Option<String>>(r, "day"),
        )?;
        Ok(found.into_iter().next().flatten())
    }

    /// What the last accepted delivery of a sender before a date was worth, as JSON.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn quality_before(&self, emitter: &str, date: &str) -> Result<Option<String>> {
        let found = self.all(
            "SELECT i.* FROM ingests i JOIN deliveries d ON d.id = i.delivery_id
             WHERE d.emitter = ?1 AND d.delivery_date < ?2 AND i.status = 'accepted'
             ORDER BY d.delivery_date DESC, d.id LIMIT 1",
            &[&emitter, &date],
            IngestRow::read,
        )?;
        Ok(found.into_iter().next().map(|r| r.quality))
    }

    /// What became of a delivery.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn ingest_of(&self, delivery: &str) -> Result<Option<IngestRow>> {
        Ok(self
            .all("SELECT * FROM ingests WHERE delivery_id = ?", &[&delivery], IngestRow::read)?
            .into_iter()
            .next())
    }

    /// Deliveries received and not yet ingested, oldest first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn pending(&self) -> Result<Vec<Delivery>> {
        self.all(
            "SELECT * FROM deliveries WHERE id NOT IN (SELECT delivery_id FROM ingests) ORDER BY delivery_date, source, name, id",
            &[],
            Delivery::read,
        )
    }

    /// Every Parquet file of a table (of all tables when `table` is empty), in the order in which
    /// they were ingested.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn snapshots(&self, table: &str) -> Result<Vec<Snapshot>> {
        self.all(
            "SELECT * FROM snapshots WHERE ?1 = '' OR table_name = ?1 ORDER BY rowid",
            &[&table],
            Snapshot::read,
        )
    }

    /// What the register keeps of a version; none for those from before it.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn publication_facts(&self, dataset: &str, version: &str) -> Result<Option<PublicationFacts>> {
        let sql = "SELECT * FROM publication_facts WHERE dataset = ? AND version = ?";
        Ok(self.all(sql, &[&dataset, &version], PublicationFacts::read)?.pop())
    }

    /// Publications, newest first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn publications(&self) -> Result<Vec<Publication>> {
        self.all("SELECT * FROM publications ORDER BY rowid DESC", &[], Publication::read)
    }

    /// Elimination lists, oldest first.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn lists(&self) -> Result<Vec<ListRow>> {
        self.all("SELECT * FROM elimination_lists ORDER BY proposed_on, id", &[], ListRow::read)
    }

    /// Packages.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn sips(&self) -> Result<Vec<SipRow>> {
        self.all("SELECT * FROM sips ORDER BY id", &[], SipRow::read)
    }

    /// The package that holds the records of a snapshot, if any.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn packaged_in(&self, snapshot: &str) -> Result<Option<String>> {
        let sql = "SELECT sip_id FROM sip_items WHERE snapshot = ? ORDER BY sip_id LIMIT 1";
        Ok(self.db.query_row(sql, [snapshot], |r| r.get(0)).optional()?)
    }

    /// Journal entries from `seq` on.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn journal_from(&self, seq: i64) -> Result<Vec<Entry>> {
        self.all("SELECT * FROM journal WHERE seq >= ? ORDER BY seq", &[&seq], read_entry)
    }

    /// Journal entries of a logical date.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn journal_of(&self, date: &str) -> Result<Vec<Entry>> {
        self.all("SELECT * FROM journal WHERE logical_date = ? ORDER BY seq", &[&date], read_entry)
    }

    /// Journal entries of a kind about a run, a list or what else their `run_id` names.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn journal_kind(&self, run_id: &str, kind: &str) -> Result<Vec<Entry>> {
        let sql = "SELECT * FROM journal WHERE run_id = ? AND kind = ? ORDER BY seq";
        self.all(sql, &[&run_id, &kind], read_entry)
    }

    /// Journal entries of a kind whose payload names a file of the store, in quotes.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn journal_naming(&self, kind: &str, path: &str) -> Result<Vec<Entry>> {
        let sql =
            "SELECT * FROM journal WHERE kind = ? AND instr(payload, '\"' || ? || '\"') > 0 ORDER BY seq";
        self.all(sql, &[&kind, &path], read_entry)
    }

    /// Last entry whose mirror file is written.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn mirrored_seq(&self) -> Result<i64> {
        Ok(self.meta("mirrored_seq")?.and_then(|v| v.parse().ok()).unwrap_or(0))
    }

    /// Announces paths that are about to be written at their place.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn announce(&mut self, paths: &[String]) -> Result<()> {
        self.transact(|tx| {
            paths.iter().try_for_each(|p| {
                tx.0.execute("INSERT OR IGNORE INTO pending (path) VALUES (?)", [p]).map(|_| ())
            })?;
            Ok(())
        })
    }

    /// Paths announced by a transaction that was never made.
    pub(super) fn abandoned(&self) -> Result<Vec<String>> {
        self.all(
            "SELECT path FROM pending WHERE path NOT IN (SELECT 'received/' || substr(sha256, 1, 2) || '/' || sha256 FROM files \
             UNION ALL SELECT path FROM snapshots UNION ALL SELECT path FROM quarantines UNION ALL SELECT path FROM editions UNION ALL SELECT path FROM publications \
             UNION ALL SELECT 'certificates/' || dataset || '/' || version FROM publications \
             UNION ALL SELECT path FROM elimination_lists UNION ALL SELECT path FROM sips) ORDER BY path",
            &[],
            |r| r.get(0),
        )
    }

    /// Forgets the announcements.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.transact(|tx| tx.settle())
    }
}

fn read_entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        seq: get(row, "seq")?,
        at: get(row, "at")?,
        date: get(row, "logical_date")?,
        run_id: get(row, "run_id")?,
        kind: get(row, "kind")?,
        payload: get(row, "payload")?,
        prev: get(row, "prev")?,
        hash: get(row, "hash")?,
    })
}
