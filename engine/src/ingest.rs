//! Ingests received deliveries: one commit each, accepted records to `tables/`, the others whole
//! to `quarantine/`. A refused delivery changes no table; its bytes stay in `received/`.

use crate::codes::Code;
use crate::contract::Contract;
use crate::domain::{AnneeScolaire, DateFormat, Digest, DigestReader};
use crate::error::{Error, IoContext, Result};
use crate::finding::{Finding, Origin};
use crate::french::{count, thousands};
use crate::journal::NewEntry;
use crate::report::{DeliveryQuality, TableQuality};
use crate::run::{Counts, Run, Said};
use crate::source::Limits;
use crate::store::{DeliveredFile, Delivery, IngestRow, PartWriter, Snapshot, files};
use crate::validate::missing_tables;
use crate::validate::{
    FileOutcome, FindingLog, Reference, Sink, Validator, accepted_schema, quarantine_schema, validate_file,
};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Findings kept per table and delivery for the report; counts have no bound.
const KEPT_FINDINGS: usize = 200;

/// The gate: too many rejected records refuse the whole delivery.
pub fn gate(contract: &Contract, outcome: FileOutcome) -> Option<Finding> {
    let share = outcome.rejected as f64 / outcome.read.max(1) as f64;
    (share > contract.max_rejected_share).then(|| {
        Finding::new(
            Code::GateRejected,
            Origin::default(),
            format!(
                "table {} : {} sur {} ({:.1} %), seuil {:.1} %",
                contract.name,
                count(outcome.rejected, "enregistrement rejeté", "enregistrements rejetés"),
                thousands(outcome.read),
                share * 100.0,
                contract.max_rejected_share * 100.0
            )
            .replace('.', ","),
        )
    })
}

/// The ingest step.
///
/// # Errors
/// When the store fails, or when received bytes are no longer what was received.
pub fn ingest(run: &mut Run<'_>) -> Result<Said> {
    let pending = run.store.ledger.pending()?;
    for (i, delivery) in pending.iter().enumerate() {
        ingest_delivery(run, delivery)?;
        run.progress.advance(i as u64 + 1, pending.len() as u64);
    }
    let done = run.store.ledger.ingests(&run.id)?;
    let mut counts = Counts::default();
    for row in &done {
        let (read, accepted, rejected) =
            (row.read.unsigned_abs(), row.accepted.unsigned_abs(), row.rejected.unsigned_abs());
        counts.read += read;
        match row.status.as_str() {
            "accepted" => {
                counts.accepted += accepted;
                counts.rejected += rejected;
            }
            _ => counts.excluded += read,
        }
    }
    let refused = done.iter().filter(|r| r.status == "refused").count();
    let outputs = crate::report::write(run, &done)?;
    let mut detail = format!(
        "{} livraisons ingérées, {} enregistrements en quarantaine",
        done.len() - refused,
        counts.rejected
    );
    let any_refused = refused > 0;
    if any_refused {
        let refused = count(refused as u64, "livraison refusée", "livraisons refusées");
        detail.push_str(&format!(", {refused} (voir le rapport)"));
    }
    Ok(Said { counts, gated: any_refused, outputs, detail, ..Said::default() })
}

fn ingest_delivery(run: &mut Run<'_>, delivery: &Delivery) -> Result<()> {
    let work = run.store.work_dir(&format!("ingest-{}", delivery.id))?;
    let date = DateFormat::Iso
        .parse(&delivery.delivery_date)
        .ok_or_else(|| Error::Corrupt(format!("date de la livraison {}", delivery.id)))?;
    let mut by_table: BTreeMap<String, Vec<DeliveredFile>> = BTreeMap::new();
    for file in run.store.ledger.files(&delivery.id)? {
        by_table.entry(file.table_name.clone()).or_default().push(file);
    }
    let mut tables = Vec::new();
    let mut parts = Vec::new();
    for (table, files) in by_table {
        let contract = run.rulebook.contracts.iter().find(|c| c.name == table);
        let contract = contract.ok_or_else(|| {
            Error::Usage(format!("le contrat de la table « {table} » a disparu : remettez-le"))
        })?;
        let (quality, mut written) = ingest_table(run, contract, delivery, date, &files, &work)?;
        tables.push(quality);
        parts.append(&mut written);
    }
    let refused = tables.iter().any(|t| t.refused);
    let sum = |f: fn(&TableQuality) -> u64| tables.iter().map(f).sum::<u64>();
    let row = IngestRow {
        delivery_id: delivery.id.clone(),
        run_id: run.id.clone(),
        status: if refused { "refused" } else { "accepted" }.into(),
        read: signed(sum(|t| t.read)),
        accepted: signed(sum(|t| t.accepted)),
        rejected: signed(sum(|t| t.rejected)),
        quality: String::new(),
    };
    let quality = DeliveryQuality {
        delivery: delivery.id.clone(),
        name: delivery.name.clone(),
        source: delivery.source.clone(),
        delivery_date: delivery.delivery_date.clone(),
        refused,
        tables,
    };
    let row = IngestRow {
        quality: serde_json::to_string(&quality).map_err(|e| Error::Write(e.to_string()))?,
        ..row
    };
    let (mut snapshots, mut quarantines) = (Vec::new(), Vec::new());
    if !refused {
        let moves: Vec<(PathBuf, String)> =
            parts.iter().map(|p| (p.written.clone(), p.path.clone())).collect();
        run.store.publish(&moves)?;
        for part in parts {
            match part.year {
                Some(year) => snapshots.push(Snapshot {
                    path: part.path,
                    table_name: part.table,
                    record_class: part.record_class,
                    annee_scolaire: year.to_string(),
                    delivery_id: delivery.id.clone(),
                    delivery_date: delivery.delivery_date.clone(),
                    emitter: delivery.emitter.clone(),
                    rows: signed(part.rows),
                    sha256: part.digest.to_string(),
                }),
                None => quarantines.push((part.path, part.table, signed(part.rows), part.digest.to_string())),
            }
        }
    }
    let payload = json!({
        "delivery": delivery.id, "status": row.status, "read": row.read, "accepted": row.accepted, "rejected": row.rejected,
        "tables": snapshots.iter().map(|s| json!({"path": s.path, "rows": s.rows, "sha256": s.sha256})).collect::<Vec<_>>(),
        "quarantine": quarantines.iter().map(|(path, _, rows, sha256)| json!({"path": path, "rows": rows, "sha256": sha256})).collect::<Vec<_>>(),
        "editions": run.rulebook.nomenclatures.editions().map(|(n, t)| json!({"table": n, "sha256": t.digest.to_string()})).collect::<Vec<_>>(),
    });
    let (at, logical) = (run.now(), run.date.to_string());
    run.store.ledger.transact(|tx| {
        tx.ingest(&row, &snapshots, &quarantines)?;
        tx.journal(&NewEntry { at: &at, date: &logical, run_id: &run.id, kind: "delivery_ingested", payload })
    })?;
    files::remove_dir(&work)
}

/// A written Parquet file on its way to its place; `year` is `None` for a quarantine.
struct Part {
    written: PathBuf,
    path: String,
    table: String,
    record_class: String,
    year: Option<AnneeScolaire>,
    rows: u64,
    digest: Digest,
}

fn ingest_table(
    run: &Run<'_>,
    contract: &Contract,
    delivery: &Delivery,
    date: NaiveDate,
    files: &[DeliveredFile],
    work: &Path,
) -> Result<(TableQuality, Vec<Part>)> {
    if let Some(name) = missing_tables(contract, &run.rulebook.nomenclatures).first() {
        return Err(Error::Usage(format!(
            "la table {name} de la BCN manque pour juger « {} » : donnez son dossier dans [nomenclatures] path, puis relancez",
            contract.name
        )));
    }
    let reference = Reference {
        nomenclatures: &run.rulebook.nomenclatures,
        calendar: &run.rulebook.calendar,
        delivery_date: date,
    };
    let mut validator = Validator::new(contract, reference);
    let mut sink =
        TableSink { contract, work, writers: BTreeMap::new(), log: FindingLog::new(KEPT_FINDINGS) };
    let mut total = FileOutcome::default();
    for file in files {
        let path =
            run.store.path(&format!("received/{}/{}", file.sha256.get(..2).unwrap_or_default(), file.sha256));
        let digest = SharedDigest::open(&path)?;
        let outcome = validate_file(
            &mut validator,
            &file.name,
            Box::new(digest.clone()),
            Limits::default(),
            run.threads,
            &mut sink,
        )?;
        if digest.finish(&path)?.0.to_string() != file.sha256 {
            return Err(Error::Corrupt(format!(
                "« {} » n'a plus les octets reçus ({}) : restaurez-le depuis une sauvegarde",
                path.display(),
                file.name
            )));
        }
        total.read += outcome.read;
        total.accepted += outcome.accepted;
        total.rejected += outcome.rejected;
        total.refused |= outcome.refused;
    }
    if let Some(finding) = gate(contract, total) {
        total.refused = true;
        sink.finding(finding);
    }
    let mut parts = Vec::new();
    for (year, (path, writer)) in sink.writers {
        let (rows, digest) = writer.finish()?;
        let id8 = delivery.id.get(..8).unwrap_or_default();
        let (table, day) = (&contract.name, date.format("%Y%m%d"));
        let place = match year {
            Some(y) => format!("tables/{table}/annee_scolaire={y}/livraison={day}-{id8}/part-00000.parquet"),
            None => format!("quarantine/{table}/delivery={}/part-00000.parquet", delivery.id),
        };
        parts.push(Part {
            written: path,
            path: place,
            table: table.clone(),
            record_class: contract.record_class.clone(),
            year,
            rows,
            digest,
        });
    }
    let quality = TableQuality {
        table: contract.name.clone(),
        title: contract.title.clone(),
        files: files.iter().map(|f| f.name.clone()).collect(),
        read: total.read,
        accepted: total.accepted,
        rejected: total.rejected,
        refused: total.refused,
        by_code: sink.log.by_code().iter().map(Into::into).collect(),
        findings: sink.log.kept().iter().map(Into::into).collect(),
    };
    Ok((quality, parts))
}

struct TableSink<'a> {
    contract: &'a Contract,
    work: &'a Path,
    writers: BTreeMap<Option<AnneeScolaire>, (PathBuf, PartWriter)>,
    log: FindingLog,
}

impl TableSink<'_> {
    fn writer(&mut self, year: Option<AnneeScolaire>) -> Result<&mut PartWriter> {
        use std::collections::btree_map::Entry;
        match self.writers.entry(year) {
            Entry::Occupied(e) => Ok(&mut e.into_mut().1),
            Entry::Vacant(e) => {
                let name = year.map_or("quarantine".to_owned(), |y| y.to_string());
                let path = self.work.join(format!("{}-{name}.parquet", self.contract.name));
                let schema = if year.is_some() {
                    accepted_schema(self.contract)
                } else {
                    quarantine_schema(self.contract)
                };
                let writer = PartWriter::create(&path, schema)?;
                Ok(&mut e.insert((path, writer)).1)
            }
        }
    }
}

impl Sink for TableSink<'_> {
    fn accepted(&mut self, year: AnneeScolaire, batch: &RecordBatch) -> Result<()> {
        self.writer(Some(year))?.write(batch)
    }

    fn rejected(&mut self, batch: &RecordBatch) -> Result<()> {
        self.writer(None)?.write(batch)
    }

    fn finding(&mut self, finding: Finding) {
        self.log.add(finding);
    }
}

/// A file read by the parser whose digest is asked for afterwards.
#[derive(Clone)]
pub struct SharedDigest(Arc<Mutex<DigestReader<File>>>);

impl SharedDigest {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(SharedDigest(Arc::new(Mutex::new(DigestReader::new(File::open(path).at(path)?)))))
    }

    /// Digest and size of the whole file: what the parser left unread is read now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn finish(mut self, path: &Path) -> Result<(Digest, u64)> {
        std::io::copy(&mut self, &mut std::io::sink()).at(path)?;
        let inner = Arc::try_unwrap(self.0).ok().and_then(|m| m.into_inner().ok());
        inner.map(DigestReader::finish).ok_or_else(|| Error::Corrupt("fichier encore en lecture".into()))
    }
}

impl Read for SharedDigest {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.lock().map_err(|_| std::io::Error::other("lecture interrompue"))?.read(buf)
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
