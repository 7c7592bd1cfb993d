//! `validate`: a delivery judged without a store, in one pass over each file.

use crate::cli::ValidateArgs;
use crate::config::{Config, nomenclatures, read};
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::today;
use arrow::record_batch::RecordBatch;
use cartulaire_engine::contract::Contract;
use cartulaire_engine::domain::AnneeScolaire;
use cartulaire_engine::error::{Error, IoContext, Result};
use cartulaire_engine::finding::{Finding, Severity};
use cartulaire_engine::french::thousands;
use cartulaire_engine::ingest::{SharedDigest, gate};
use cartulaire_engine::receive::recognise;
use cartulaire_engine::source::Limits;
use cartulaire_engine::store::PartWriter;
use cartulaire_engine::store::files::write_atomic;
use cartulaire_engine::validate::missing_tables;
use cartulaire_engine::validate::{
    FileOutcome, FindingLog, Reference, Sink, Validator, accepted_schema, quarantine_schema, validate_file,
};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn run(config: &Config, args: &ValidateArgs, shown: &Shown) -> Result<u8> {
    let contracts = match &args.contract {
        Some(file) => vec![Contract::parse(&file.display().to_string(), &read(file)?)?],
        None => config.contracts()?,
    };
    let tables = match &args.bcn {
        Some(folder) => nomenclatures(folder)?,
        None => config.nomenclatures()?,
    };
    let calendar = config.calendar()?;
    let today = args.date.date.unwrap_or_else(today);
    // Keys are unique inside a delivery: the files of one are judged together.
    let mut deliveries: BTreeMap<(NaiveDate, String, &str), (&Contract, Vec<&PathBuf>)> = BTreeMap::new();
    for path in &args.paths {
        let (contract, delivery, date) = contract_of(&contracts, args, path, today)?;
        deliveries.entry((date, delivery, &contract.name)).or_insert((contract, Vec::new())).1.push(path);
    }
    let mut log = FindingLog::new(args.max_findings);
    let mut files = Vec::new();
    let (mut refused, mut rejected) = (false, 0);
    for (part, ((delivery_date, _, _), (contract, paths))) in deliveries.into_iter().enumerate() {
        let missing = missing_tables(contract, &tables);
        if let Some(name) = missing.first() {
            return Err(Error::Usage(format!(
                "la table {name} de la BCN manque pour juger « {} » : donnez son dossier avec --bcn ou dans la configuration",
                contract.name
            )));
        }
        let mut validator = Validator::new(
            contract,
            Reference { nomenclatures: &tables, calendar: &calendar, delivery_date },
        );
        let mut sink =
            FileSink { contract, part, out: args.out.as_deref(), writers: BTreeMap::new(), log: &mut log };
        let mut total = FileOutcome::default();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let digest = SharedDigest::open(path)?;
            let outcome = validate_file(
                &mut validator,
                &name,
                Box::new(digest.clone()),
                Limits::default(),
                config.threads,
                &mut sink,
            )?;
            let (sha256, _) = digest.finish(path)?;
            files.push(json!({"path": path.display().to_string(), "sha256": sha256.to_string(),
                "records": {"read": outcome.read, "accepted": outcome.accepted, "rejected": outcome.rejected}}));
            total.read += outcome.read;
            total.accepted += outcome.accepted;
            total.rejected += outcome.rejected;
            total.refused |= outcome.refused;
        }
        if let Some(finding) = gate(contract, total) {
            total.refused = true;
            sink.finding(finding);
        }
        sink.finish()?;
        refused |= total.refused;
        rejected += total.rejected;
    }
    let verdict = match (refused, rejected) {
        (true, _) => "refused",
        (false, 0) => "accepted",
        (false, _) => "accepted_with_quarantine",
    };
    let document = json!({
        "verdict": verdict, "files": files, "findings_total": log.total(),
        "by_code": log.by_code(), "findings": log.kept(),
    });
    if let Some(folder) = &args.report {
        write_atomic(&folder.join("report.json"), format!("{document:#}\n").as_bytes())?;
    }
    shown.document(&document);
    shown.say(&text(verdict, &files, &log, args.max_findings));
    Ok(if refused { exit::REFUSED } else { exit::DONE })
}

/// The contract of a file, by `--contract`, by the contract's name, or by the file's name among
/// those of the source.
fn contract_of<'c>(
    contracts: &'c [Contract],
    args: &ValidateArgs,
    path: &Path,
    today: NaiveDate,
) -> Result<(&'c Contract, String, NaiveDate)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let dated = recognise(contracts, &name);
    let (delivery, date) = dated.as_ref().map_or((String::new(), today), |(_, n, d)| (n.clone(), *d));
    if let (Some(_), [only]) = (&args.contract, contracts) {
        return Ok((only, delivery, date));
    }
    if let Some(named) = contracts.iter().find(|c| c.name == args.source) {
        return Ok((named, delivery, date));
    }
    let of_source: Vec<&str> =
        contracts.iter().filter(|c| c.source == args.source).map(|c| c.name.as_str()).collect();
    if of_source.is_empty() {
        let mut sources: Vec<&str> = contracts.iter().map(|c| c.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        return Err(Error::Usage(format!(
            "source inconnue « {} » ; admises : {}, ou le nom d'un contrat",
            args.source,
            sources.join(", ")
        )));
    }
    match dated {
        Some((contract, delivery, date)) if contract.source == args.source => Ok((contract, delivery, date)),
        _ => Err(Error::Usage(format!(
            "« {name} » ne suit aucune convention de nom de la source « {} » ; nommez le contrat : {}",
            args.source,
            of_source.join(", ")
        ))),
    }
}

struct FileSink<'a> {
    contract: &'a Contract,
    part: usize,
    out: Option<&'a Path>,
    writers: BTreeMap<Option<AnneeScolaire>, PartWriter>,
    log: &'a mut FindingLog,
}

impl FileSink<'_> {
    fn write(&mut self, year: Option<AnneeScolaire>, batch: &RecordBatch) -> Result<()> {
        let Some(out) = self.out else { return Ok(()) };
        use std::collections::btree_map::Entry;
        let writer = match self.writers.entry(year) {
            Entry::Occupied(e) => e.into_mut(),
            Entry::Vacant(e) => {
                let table = &self.contract.name;
                let (path, schema) = match year {
                    Some(y) => (
                        out.join(format!(
                            "accepted/{table}/annee_scolaire={y}/part-{:05}.parquet",
                            self.part
                        )),
                        accepted_schema(self.contract),
                    ),
                    None => (
                        out.join(format!("quarantine/{table}/part-{:05}.parquet", self.part)),
                        quarantine_schema(self.contract),
                    ),
                };
                if path.exists() {
                    return Err(Error::Usage(format!(
                        "« {} » existe déjà : donnez un dossier vide à --out",
                        path.display()
                    )));
                }
                e.insert(PartWriter::create(&path, schema)?)
            }
        };
        writer.write(batch)
    }

    fn finish(self) -> Result<()> {
        self.writers.into_values().try_for_each(|w| w.finish().map(|_| ()))?;
        match self.out {
            Some(folder) => std::fs::create_dir_all(folder).at(folder),
            None => Ok(()),
        }
    }
}

impl Sink for FileSink<'_> {
    fn accepted(&mut self, year: AnneeScolaire, batch: &RecordBatch) -> Result<()> {
        self.write(Some(year), batch)
    }

    fn rejected(&mut self, batch: &RecordBatch) -> Result<()> {
        self.write(None, batch)
    }

    fn finding(&mut self, finding: Finding) {
        self.log.add(finding);
    }
}

fn text(verdict: &str, files: &[Value], log: &FindingLog, max: usize) -> String {
    let verdict = match verdict {
        "refused" => "Livraison refusée.",
        "accepted" => "Livraison acceptée, aucun rejet.",
        _ => "Livraison acceptée ; des enregistrements sont rejetés.",
    };
    let rows: Vec<Vec<String>> = files
        .iter()
        .map(|f| {
            let n =
                |k: &str| thousands(f.pointer(&format!("/records/{k}")).and_then(Value::as_u64).unwrap_or(0));
            vec![
                f.get("path").and_then(Value::as_str).unwrap_or("").to_owned(),
                n("read"),
                n("accepted"),
                n("rejected"),
            ]
        })
        .collect();
    let mut out =
        format!("{verdict}\n\n{}", table(&["fichier", "lus", "acceptés", "rejetés"], &rows, &[1, 2, 3]));
    if log.total() > 0 {
        let codes: Vec<Vec<String>> = log
            .by_code()
            .iter()
            .map(|c| {
                vec![
                    c.code.to_string(),
                    c.severity.french().to_owned(),
                    thousands(c.count),
                    c.code.meaning().to_owned(),
                    c.code.what_to_do().to_owned(),
                ]
            })
            .collect();
        out.push_str(&format!(
            "\n\n{}",
            table(&["code", "effet", "nombre", "sens", "que faire"], &codes, &[2])
        ));
        out.push_str("\n\n");
        let kept = log.kept();
        let shown: Vec<String> = kept
            .iter()
            .filter(|f| f.severity == Severity::Refusal)
            .chain(kept.iter().filter(|f| f.severity != Severity::Refusal))
            .take(20)
            .map(ToString::to_string)
            .collect();
        out.push_str(&shown.join("\n"));
        if log.total() > shown.len() as u64 {
            out.push_str(&format!(
                "\n… {} constats en tout ; --json en donne jusqu'à {max}",
                thousands(log.total())
            ));
        }
    }
    out
}
