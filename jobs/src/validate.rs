//! `validate`: a delivery judged without a store, in one pass over each file.

use crate::cli::ValidateArgs;
use crate::config::{Config, nomenclatures, read};
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::today;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use cartulaire_engine::contract::Contract;
use cartulaire_engine::domain::{AnneeScolaire, Digest};
use cartulaire_engine::error::{Error, IoContext, Result};
use cartulaire_engine::finding::{Finding, Severity};
use cartulaire_engine::french::thousands;
use cartulaire_engine::ingest::gate;
use cartulaire_engine::report::{DeliveryQuality, TableQuality, page_of};
use cartulaire_engine::source::Limits;
use cartulaire_engine::store::PartWriter;
use cartulaire_engine::store::files::{self, write_atomic};
use cartulaire_engine::validate::{
    CodeCount, FindingLog, Means, Reference, RuleCount, Shelf, Terms, assort, group, look, missing_tables,
    validate_delivery,
};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Runs the command.
pub fn run(config: &Config, args: &ValidateArgs, shown: &Shown) -> Result<u8> {
    let contracts = match &args.contract {
        Some(file) => vec![Contract::parse(&file.display().to_string(), &read(file)?)?],
        None => config.contracts()?,
    };
    let mine = of_source(&contracts, args)?;
    let wanted: BTreeSet<&str> = mine
        .iter()
        .flat_map(|c| c.columns.iter().filter_map(|c| c.codes.as_ref()).map(|c| c.table.as_str()))
        .collect();
    let tables = match &args.bcn {
        Some(folder) => nomenclatures(folder, Some(&wanted))?,
        None => config.nomenclatures(Some(&wanted))?,
    };
    let calendar = config.calendar()?;
    let today = args.date.date.unwrap_or_else(today);
    let mut contents = Vec::new();
    let mut refusals = Vec::new();
    let mut unread: BTreeMap<PathBuf, Option<Digest>> = BTreeMap::new();
    for path in &args.paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let found = look(path, &name)?;
        contents.extend(found.units);
        refusals.extend(found.refusals);
        unread.insert(path.clone(), found.sha256);
    }
    // A contract that was named is for every file, whatever its looks.
    let deliveries = match mine.as_slice() {
        [only] => group(contents.into_iter().map(|(u, s)| (u, s, vec![*only])).collect(), today),
        _ => assort(contents, &mine, today, &mut refusals),
    };
    let mut log = FindingLog::new(args.max_findings);
    let mut files = Vec::new();
    let mut judged: Vec<DeliveryQuality> = Vec::new();
    let mut unchecked = Vec::new();
    let (mut refused, mut rejected) = (!refusals.is_empty(), 0);
    if refused {
        refusals.into_iter().for_each(|f| log.add(f));
        judged.push(DeliveryQuality {
            delivery: String::new(),
            name: String::new(),
            source: args.source.clone(),
            delivery_date: today.to_string(),
            refused: true,
            tables: vec![TableQuality::refusal(&log, &[])],
        });
    }
    for (part, delivery) in deliveries.into_iter().enumerate() {
        for contract in delivery.lots.iter().flat_map(|l| &l.contracts) {
            if let Some(name) = missing_tables(contract, &tables).first() {
                return Err(Error::Usage(format!(
                    "la table {name} de la BCN manque pour juger « {} » : donnez son dossier avec --bcn ou dans la configuration",
                    contract.name
                )));
            }
        }
        let terms = Terms {
            reference: Reference {
                nomenclatures: &tables,
                calendar: &calendar,
                delivery_date: delivery.date,
            },
            means: Means { threads: config.threads, limits: Limits::default() },
            max_findings: args.max_findings,
            profile: args.report.is_some(),
            outside: &|_| Ok(None),
            state: &|_| Ok(None),
        };
        let mut tables_of = Vec::new();
        let mut shelf = OutShelf { part, out: args.out.as_deref(), made: BTreeSet::new() };
        for lot in validate_delivery(delivery.lots, &terms, &mut shelf)? {
            let digests: Vec<(String, String)> =
                lot.files.iter().map(|f| (f.unit.shown(), f.sha256.to_string())).collect();
            for file in lot.files {
                let path = match &file.unit.member {
                    Some(m) => file.unit.path.join(m),
                    None => file.unit.path.clone(),
                };
                unread.remove(&file.unit.path);
                let o = file.outcome;
                files.push(json!({"path": path.display().to_string(), "sha256": file.sha256.to_string(),
                    "records": {"read": o.read, "accepted": o.accepted, "rejected": o.rejected},
                    "metadata": file.metadata.into_iter().collect::<BTreeMap<_, _>>()}));
            }
            for table in lot.tables {
                let mut outcome = table.outcome;
                let name = &table.contract.name;
                unchecked.extend(
                    table.unchecked.iter().map(|(c, t)| json!({"table": name, "column": c, "references": t})),
                );
                let mut found = table.log;
                if let Some(finding) = gate(table.contract, outcome) {
                    outcome.refused = true;
                    found.add(finding);
                }
                if args.report.is_some() {
                    let quality = TableQuality::new(table.contract, outcome, &found, table.profile, &digests);
                    tables_of.extend(Some(quality).filter(|q| !q.is_idle()));
                }
                log.absorb(found);
                refused |= outcome.refused;
                rejected += outcome.rejected;
                for (name, batch) in table.aggregates {
                    shelf.aggregate(table.contract, &name, &batch)?;
                }
            }
        }
        judged.push(DeliveryQuality {
            delivery: String::new(),
            name: delivery.name,
            source: args.source.clone(),
            delivery_date: delivery.date.to_string(),
            refused: tables_of.iter().any(|t| t.refused),
            tables: tables_of,
        });
        shelf.finish()?;
    }
    // A refused archive, or a file that no contract is for: told with its digest and no record.
    for (path, digest) in unread {
        let digest = match digest {
            Some(d) => d,
            None => files::digest(&path)?,
        };
        files.push(json!({"path": path.display().to_string(), "sha256": digest.to_string(),
            "records": {"read": 0, "accepted": 0, "rejected": 0}, "metadata": {}}));
    }
    let verdict = match (refused, rejected) {
        (true, _) => "refused",
        (false, 0) => "accepted",
        (false, _) => "accepted_with_quarantine",
    };
    let editions: Vec<Value> = tables
        .editions()
        .map(|(n, t)| json!({"table": n, "file": t.file, "sha256": t.digest.to_string()}))
        .collect();
    let document = Document {
        verdict,
        files: &files,
        findings_total: log.total(),
        by_code: log.by_code(),
        by_rule: log.by_rule(),
        unchecked_references: &unchecked,
        findings: log.kept(),
    };
    if let Some(folder) = &args.report {
        let full = Report { document: &document, deliveries: &judged, editions: &editions };
        let mut text = serde_json::to_string_pretty(&full).map_err(|e| Error::Write(e.to_string()))?;
        text.push('\n');
        write_atomic(&folder.join("report.json"), text.as_bytes())?;
        let editions: Vec<_> =
            tables.editions().map(|(n, t)| (n.to_owned(), t.file.clone(), t.digest.to_string())).collect();
        let page = page_of(&judged, "Contrôle d'une livraison", french(verdict), &editions)?;
        write_atomic(&folder.join("index.html"), page.as_bytes())?;
    }
    shown.document(&document);
    shown.say(&text(verdict, &files, &log, args.max_findings));
    Ok(if refused { exit::REFUSED } else { exit::DONE })
}

/// What `--json` prints; findings are written as they are kept, never copied into a tree.
#[derive(Serialize)]
struct Document<'a> {
    verdict: &'a str,
    files: &'a [Value],
    findings_total: u64,
    by_code: Vec<CodeCount>,
    by_rule: Vec<RuleCount>,
    unchecked_references: &'a [Value],
    findings: &'a [Finding],
}

/// `report.json`: the same, then table by table.
#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    document: &'a Document<'a>,
    deliveries: &'a [DeliveryQuality],
    editions: &'a [Value],
}

/// Contracts meant by the command: that of `--contract`, the one named, all those of a source, or
/// those of a form (`siecle`, `gar`, `sts`: the beginning of their names).
fn of_source<'c>(contracts: &'c [Contract], args: &ValidateArgs) -> Result<Vec<&'c Contract>> {
    if args.contract.is_some() {
        return Ok(contracts.iter().collect());
    }
    let wanted = args.source.as_str();
    if let Some(named) = contracts.iter().find(|c| c.name == wanted) {
        return Ok(vec![named]);
    }
    let mine: Vec<&Contract> =
        contracts.iter().filter(|c| c.source == wanted || c.is_of_form(wanted)).collect();
    if mine.is_empty() {
        let mut sources: Vec<&str> = contracts.iter().map(|c| c.source.as_str()).collect();
        sources.sort_unstable();
        sources.dedup();
        return Err(Error::Usage(format!(
            "source inconnue « {wanted} » ; admises : {}, ou le nom d'un contrat",
            sources.join(", ")
        )));
    }
    Ok(mine)
}

/// Parquet files of `--out`.
struct OutShelf<'a> {
    part: usize,
    out: Option<&'a Path>,
    made: BTreeSet<PathBuf>,
}

impl OutShelf<'_> {
    fn aggregate(&self, contract: &Contract, name: &str, batch: &RecordBatch) -> Result<()> {
        let Some(out) = self.out else { return Ok(()) };
        let folder = out.join("aggregates").join(&contract.name);
        let name = if self.part == 0 { name.to_owned() } else { format!("{name}-{:05}", self.part) };
        let mut writer = PartWriter::create(&folder.join(format!("{name}.parquet")), batch.schema())?;
        writer.write(batch)?;
        writer.finish().map(|_| ())
    }

    fn finish(&self) -> Result<()> {
        self.out.map_or(Ok(()), |folder| std::fs::create_dir_all(folder).at(folder))
    }
}

impl Shelf for OutShelf<'_> {
    fn wants_rows(&self) -> bool {
        self.out.is_some()
    }

    fn writer(
        &mut self,
        contract: &Contract,
        year: Option<AnneeScolaire>,
        schema: SchemaRef,
    ) -> Result<PartWriter> {
        let (out, table) = (self.out.unwrap_or(Path::new(".")), &contract.name);
        let path = match year {
            Some(y) => out.join(format!("accepted/{table}/annee_scolaire={y}/part-{:05}.parquet", self.part)),
            None => out.join(format!("quarantine/{table}/part-{:05}.parquet", self.part)),
        };
        // What an earlier pass of this command wrote may be written again; a user's file may not.
        if self.made.insert(path.clone()) && path.exists() {
            return Err(Error::Usage(format!(
                "« {} » existe déjà : donnez un dossier vide à --out",
                path.display()
            )));
        }
        PartWriter::create(&path, schema)
    }
}

/// The verdict for people.
fn french(verdict: &str) -> &'static str {
    match verdict {
        "refused" => "Livraison refusée.",
        "accepted" => "Livraison acceptée, aucun rejet.",
        _ => "Livraison acceptée ; des enregistrements sont rejetés.",
    }
}

fn text(verdict: &str, files: &[Value], log: &FindingLog, max: usize) -> String {
    let verdict = french(verdict);
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
