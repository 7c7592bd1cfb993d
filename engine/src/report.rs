//! The quality report of a run: HTML for people, JSON for machines, both without a personal value
//! and without a clock, so that the same night gives the same bytes.

use crate::error::{Error, Result};
use crate::finding::Finding;
use crate::run::Run;
use crate::store::{IngestRow, files};
use crate::validate::CodeCount;
use askama::Template;
use serde::{Deserialize, Serialize};

/// Findings of one code, as kept in the ledger and the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CodeLine {
    /// Code.
    pub code: String,
    /// Weight.
    pub severity: String,
    /// The same in French.
    pub effect: String,
    /// Findings.
    pub count: u64,
    /// French meaning.
    pub meaning: String,
    /// French advice.
    pub what_to_do: String,
}

impl From<&CodeCount> for CodeLine {
    fn from(c: &CodeCount) -> Self {
        CodeLine {
            code: c.code.to_string(),
            severity: c.severity.as_str().to_owned(),
            effect: c.severity.french().to_owned(),
            count: c.count,
            meaning: c.code.meaning().to_owned(),
            what_to_do: c.code.what_to_do().to_owned(),
        }
    }
}

/// A finding, as kept in the ledger and the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FindingLine {
    /// Code.
    pub code: String,
    /// File name.
    pub file: String,
    /// Line.
    pub line: u64,
    /// Record.
    pub record: u64,
    /// Column.
    pub column: String,
    /// French text.
    pub message: String,
}

impl From<&Finding> for FindingLine {
    fn from(f: &Finding) -> Self {
        FindingLine {
            code: f.code.to_string(),
            file: f.origin.file.to_string(),
            line: f.origin.line,
            record: f.origin.record,
            column: f.origin.column.to_string(),
            message: f.message.clone(),
        }
    }
}

/// Quality of one table in one delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TableQuality {
    /// Table.
    pub table: String,
    /// Title.
    pub title: String,
    /// File names.
    pub files: Vec<String>,
    /// Records read.
    pub read: u64,
    /// Accepted.
    pub accepted: u64,
    /// Rejected.
    pub rejected: u64,
    /// Something refused the delivery.
    pub refused: bool,
    /// Counts by code.
    pub by_code: Vec<CodeLine>,
    /// First places.
    pub findings: Vec<FindingLine>,
}

/// Quality of one delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryQuality {
    /// Delivery.
    pub delivery: String,
    /// Its name.
    pub name: String,
    /// Source.
    pub source: String,
    /// Its date.
    pub delivery_date: String,
    /// Nothing of it was taken.
    pub refused: bool,
    /// Tables.
    pub tables: Vec<TableQuality>,
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: String,
    run_id: &'a str,
    date: String,
    verdict: &'a str,
    refused: &'a [String],
    deliveries: &'a [DeliveryQuality],
    editions: &'a [(String, String, String)],
}

/// Writes `reports/<run id>/{index.html,report.json}`; their paths.
///
/// # Errors
/// When the disk refuses.
pub fn write(run: &Run<'_>, done: &[IngestRow]) -> Result<Vec<String>> {
    let mut deliveries: Vec<DeliveryQuality> = done
        .iter()
        .map(|r| {
            serde_json::from_str(&r.quality)
                .map_err(|e| Error::Corrupt(format!("qualité de {} : {e}", r.delivery_id)))
        })
        .collect::<Result<_>>()?;
    deliveries
        .sort_by(|a, b| (&a.delivery_date, &a.source, &a.name).cmp(&(&b.delivery_date, &b.source, &b.name)));
    let editions: Vec<(String, String, String)> = run
        .rulebook
        .nomenclatures
        .editions()
        .map(|(n, t)| (n.to_owned(), t.file.clone(), t.digest.to_string()))
        .collect();
    let refused: Vec<String> = run
        .store
        .ledger
        .refusals(&run.id)?
        .iter()
        .map(|r| format!("{} : [{}] {}", r.name, r.code, r.message))
        .collect();
    let verdict = match (
        deliveries.iter().any(|d| d.refused),
        deliveries.iter().flat_map(|d| &d.tables).any(|t| t.rejected > 0),
    ) {
        (true, _) => "Au moins une livraison est refusée : rien n'en a été repris.",
        (false, true) => "Livraisons acceptées ; des enregistrements sont en quarantaine.",
        (false, false) => "Livraisons acceptées, aucun rejet.",
    };
    let date = run.date.format("%d/%m/%Y").to_string();
    let title = format!("Rapport de qualité du {date}");
    let page = Page {
        title,
        run_id: &run.id,
        date,
        verdict,
        refused: &refused,
        deliveries: &deliveries,
        editions: &editions,
    };
    let html = page.render().map_err(|e| Error::Write(e.to_string()))?;
    let json = serde_json::json!({
        "run_id": run.id, "date": run.date.to_string(), "refused_files": refused,
        "deliveries": deliveries,
        "editions": editions.iter().map(|(t, f, d)| serde_json::json!({"table": t, "file": f, "sha256": d})).collect::<Vec<_>>(),
    });
    let mut json = serde_json::to_string_pretty(&json).map_err(|e| Error::Write(e.to_string()))?;
    json.push('\n');
    let outputs = [("index.html", html), ("report.json", json)];
    outputs
        .into_iter()
        .map(|(name, text)| {
            let path = format!("reports/{}/{name}", run.id);
            files::write_atomic(&run.store.path(&path), text.as_bytes())?;
            Ok(path)
        })
        .collect()
}
