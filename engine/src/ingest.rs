//! Ingests received deliveries: one commit each, accepted records to `tables/`, the others whole
//! to `quarantine/`. A refused delivery changes no table; its bytes stay in `received/`.

use crate::codes::Code;
use crate::contract::{Contract, Reference as ForeignKey};
use crate::delta;
use crate::domain::{AnneeScolaire, DateFormat, Digest};
use crate::error::{Error, Result};
use crate::finding::{Finding, Origin};
use crate::french::{count, thousands};
use crate::journal::NewEntry;
use crate::report::{DeliveryQuality, TableQuality};
use crate::run::{Counts, Run, Said};
use crate::source::Limits;
use crate::store::{Delivery, IngestRow, PartWriter, Snapshot, current, files, signed};
use crate::validate::{
    FileOutcome, FindingLog, Lot, Means, Reference, References, Shelf, Terms, assort, drift, look,
    missing_tables, validate_delivery,
};
use arrow::datatypes::SchemaRef;
use chrono::NaiveDate;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
        "{}, {} en quarantaine",
        count((done.len() - refused) as u64, "livraison ingérée", "livraisons ingérées"),
        count(counts.rejected, "enregistrement", "enregistrements")
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
    let Judging { mut tables, parts } = judge(run, delivery, date, &work)?;
    drifts(run, delivery, &mut tables)?;
    let refused = tables.iter().any(|t| t.refused);
    let sum = |f: fn(&TableQuality) -> u64| signed(tables.iter().map(f).sum::<u64>());
    let (read, accepted, rejected) = (sum(|t| t.read), sum(|t| t.accepted), sum(|t| t.rejected));
    let quality = quality(delivery, refused, tables);
    let row = IngestRow {
        delivery_id: delivery.id.clone(),
        run_id: run.id.clone(),
        status: if refused { "refused" } else { "accepted" }.into(),
        read,
        accepted,
        rejected,
        quality: serde_json::to_string(&quality).map_err(|e| Error::Write(e.to_string()))?,
    };
    let (mut snapshots, mut quarantines) = (Vec::new(), Vec::new());
    if !refused {
        let moves: Vec<(PathBuf, String)> =
            parts.iter().map(|p| (p.written.clone(), p.path.clone())).collect();
        run.store.publish(&moves)?;
        (snapshots, quarantines) = rows(delivery, parts);
    }
    let payload = json!({
        "delivery": delivery.id, "status": row.status, "read": row.read, "accepted": row.accepted, "rejected": row.rejected,
        "tables": snapshots.iter().map(|s| json!({"path": s.path, "rows": s.rows, "sha256": s.sha256})).collect::<Vec<_>>(),
        "quarantine": quarantines.iter().map(|(path, _, rows, sha256)| json!({"path": path, "rows": rows, "sha256": sha256})).collect::<Vec<_>>(),
        "editions": run.nomenclatures.editions().map(|(n, t)| json!({"table": n, "sha256": t.digest.to_string()})).collect::<Vec<_>>(),
    });
    let (at, logical) = (run.now(), run.date.to_string());
    run.store.ledger.transact(|tx| {
        tx.ingest(&row, &snapshots, &quarantines)?;
        tx.journal(&NewEntry { at: &at, date: &logical, run_id: &run.id, kind: "delivery_ingested", payload })
    })?;
    files::remove_dir(&work)
}

/// What a delivery was worth, for the ledger and the report.
pub(crate) fn quality(delivery: &Delivery, refused: bool, tables: Vec<TableQuality>) -> DeliveryQuality {
    DeliveryQuality {
        delivery: delivery.id.clone(),
        name: delivery.name.clone(),
        source: delivery.source.clone(),
        delivery_date: delivery.delivery_date.clone(),
        refused,
        tables,
    }
}

/// A quarantine file: path, table, rows, digest.
type QuarantineRow = (String, String, i64, String);

/// Rows of the ledger for published files.
pub(crate) fn rows(delivery: &Delivery, parts: Vec<Part>) -> (Vec<Snapshot>, Vec<QuarantineRow>) {
    let (mut snapshots, mut quarantines) = (Vec::new(), Vec::new());
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
    (snapshots, quarantines)
}

/// A written Parquet file on its way to its place; `year` is `None` for a quarantine.
pub(crate) struct Part {
    pub(crate) written: PathBuf,
    pub(crate) path: String,
    pub(crate) table: String,
    pub(crate) record_class: String,
    pub(crate) year: Option<AnneeScolaire>,
    pub(crate) rows: u64,
    pub(crate) digest: Digest,
}

/// A delivery, judged: its tables for the report, its files for the store.
pub(crate) struct Judging {
    pub(crate) tables: Vec<TableQuality>,
    pub(crate) parts: Vec<Part>,
}

/// Parquet files of a delivery on their way to `tables/` and `quarantine/`.
struct WorkShelf<'w> {
    work: &'w Path,
    paths: BTreeMap<(String, Option<AnneeScolaire>), PathBuf>,
}

impl Shelf for WorkShelf<'_> {
    fn wants_rows(&self) -> bool {
        true
    }

    fn writer(
        &mut self,
        contract: &Contract,
        year: Option<AnneeScolaire>,
        schema: SchemaRef,
    ) -> Result<PartWriter> {
        let name = year.map_or("quarantine".to_owned(), |y| y.to_string());
        let path = self.work.join(format!("{}-{name}.parquet", contract.name));
        self.paths.insert((contract.name.clone(), year), path.clone());
        PartWriter::create(&path, schema)
    }
}

/// Judges all files of a delivery together: tables of one delivery may refer to each other.
pub(crate) fn judge(run: &Run<'_>, delivery: &Delivery, date: NaiveDate, work: &Path) -> Result<Judging> {
    let book = run.rulebook;
    let contracts: Vec<&Contract> = book.contracts.iter().filter(|c| c.source == delivery.source).collect();
    let mut contents = Vec::new();
    let mut refusals = Vec::new();
    let mut sha256 = BTreeMap::new();
    for file in run.store.ledger.files(&delivery.id)? {
        let path = run.store.path(&crate::receive::received_path(&file.sha256));
        let found = look(&path, &file.name)?;
        contents.extend(found.units);
        refusals.extend(found.refusals);
        sha256.insert(path, file);
    }
    // What the files say was settled when they were received: the delivery's date and name hold, and
    // files of one table are judged together, whatever dates an archive's members bear.
    let mut lots: Vec<Lot<'_>> = Vec::new();
    for lot in assort(contents, &contracts, date, &mut refusals).into_iter().flat_map(|a| a.lots) {
        let same =
            |l: &Lot<'_>| l.contracts.first().map(|c| &c.name) == lot.contracts.first().map(|c| &c.name);
        match lots.iter_mut().find(|l| same(l)) {
            Some(other) if other.delta == lot.delta => other.units.extend(lot.units),
            Some(_) => {
                let message =
                    "une même livraison porte un export Complet et un Delta de la même table : séparez-les";
                refusals.push(Finding::new(Code::RecvName, Origin::default(), message));
            }
            None => lots.push(lot),
        }
    }
    for contract in lots.iter().flat_map(|l| &l.contracts) {
        if let Some(name) = missing_tables(contract, run.nomenclatures).first() {
            return Err(Error::Usage(format!(
                "la table {name} de la BCN manque pour juger « {} » : importez-la (`cartulaire bcn import`) ou donnez son dossier dans [nomenclatures] path, puis relancez",
                contract.name
            )));
        }
    }
    let terms = Terms {
        reference: Reference {
            nomenclatures: run.nomenclatures,
            calendar: &book.calendar,
            delivery_date: date,
        },
        means: Means { threads: run.threads, limits: Limits::default() },
        max_findings: KEPT_FINDINGS,
        profile: true,
        outside: &|key| outside(run, key, date),
        state: &|contract| delta::keys(run, delivery, contract).map(Some),
    };
    let deltas = delta::tables(&lots);
    let mut shelf = WorkShelf { work, paths: BTreeMap::new() };
    let results = validate_delivery(lots, &terms, &mut shelf)?;
    let mut tables = Vec::new();
    let mut parts = Vec::new();
    for lot in results {
        for file in &lot.files {
            let expected = sha256.get(&file.unit.path).map(|f| f.sha256.as_str());
            if expected != Some(file.sha256.to_string().as_str()) {
                return Err(Error::Corrupt(format!(
                    "« {} » n'a plus les octets reçus ({}) : restaurez-le depuis une sauvegarde",
                    file.unit.path.display(),
                    file.unit.shown()
                )));
            }
        }
        let digests: Vec<(String, String)> =
            lot.files.iter().map(|f| (f.unit.shown(), f.sha256.to_string())).collect();
        for mut table in lot.tables {
            let mut outcome = table.outcome;
            if let Some(finding) = gate(table.contract, outcome) {
                outcome.refused = true;
                table.log.add(finding);
            }
            let quality = TableQuality::new(table.contract, outcome, &table.log, table.profile, &digests);
            if quality.is_idle() {
                continue;
            }
            tables.push(quality);
            for (year, rows, digest) in table.parts {
                let name = &table.contract.name;
                let place = match year {
                    Some(year) => table_path(name, year, delivery, date),
                    None => format!("quarantine/{name}/delivery={}/part-00000.parquet", delivery.id),
                };
                parts.push(Part {
                    written: shelf.paths.get(&(name.clone(), year)).cloned().unwrap_or_default(),
                    path: place,
                    table: name.clone(),
                    record_class: table.contract.record_class.clone(),
                    year,
                    rows,
                    digest,
                });
            }
        }
    }
    if !deltas.is_empty() {
        refusals.extend(delta::follows(run, delivery, date)?);
        if refusals.is_empty() && !tables.iter().any(|t| t.refused) {
            for contract in deltas.values() {
                parts = delta::apply(run, delivery, contract, date, parts, work)?;
            }
        }
    }
    if !refusals.is_empty() {
        let mut log = FindingLog::new(KEPT_FINDINGS);
        refusals.into_iter().for_each(|f| log.add(f));
        tables.push(TableQuality::refusal(&log, &[]));
    }
    Ok(Judging { tables, parts })
}

/// What changed since the last delivery of the same sender.
pub(crate) fn drifts(run: &Run<'_>, delivery: &Delivery, tables: &mut [TableQuality]) -> Result<()> {
    // A Delta brings a few requests: comparing them with a whole state would say nothing.
    if delivery.name.contains("_Delta_") {
        return Ok(());
    }
    let Some(before) = run.store.ledger.quality_before(&delivery.emitter, &delivery.delivery_date)? else {
        return Ok(());
    };
    let before: DeliveryQuality = serde_json::from_str(&before)
        .map_err(|e| Error::Corrupt(format!("qualité d'une livraison : {e}")))?;
    for table in tables {
        if let Some(old) = before.tables.iter().find(|t| t.table == table.table) {
            table.drift = drift(&old.profile, &table.profile);
        }
    }
    Ok(())
}

/// Values of a table in its present state, for references that leave the delivery.
fn outside(run: &Run<'_>, key: &ForeignKey, date: NaiveDate) -> Result<Option<References>> {
    let Some(contract) = run.rulebook.contracts.iter().find(|c| c.name == key.table) else { return Ok(None) };
    // A reference over several columns or dates is only followed inside a delivery.
    if !key.with.is_empty() || key.from.is_some() {
        return Ok(None);
    }
    let all = run.store.ledger.snapshots(&key.table)?;
    let present = current(&all, contract.snapshot, date);
    if present.is_empty() {
        return Ok(None);
    }
    References::read(run.store, &present, &key.column)
}

/// Place of a delivery's records of a school year in a table.
pub(crate) fn table_path(table: &str, year: AnneeScolaire, delivery: &Delivery, date: NaiveDate) -> String {
    let (day, id) = (date.format("%Y%m%d"), delivery.id.get(..8).unwrap_or_default());
    format!("tables/{table}/annee_scolaire={year}/livraison={day}-{id}/part-00000.parquet")
}
