//! The quality report, of a run or of a validation: one page for people, JSON for machines, both
//! without a personal value and without a clock, so that the same night gives the same bytes.
//!
//! The page is `templates/report.html`: no script, nothing from elsewhere, well-formed XML. Every
//! chart only repeats a number that stands beside it in words.

use crate::contract::Contract;
use crate::domain::DateFormat;
use crate::error::{Error, Result};
use crate::finding::{Finding, Severity};
use crate::run::Run;
use crate::store::{IngestRow, files};
use crate::validate::{CodeCount, ColumnProfile, Drift, FileOutcome, FindingLog, RuleCount};
use askama::Template;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Findings of a table on the page; the JSON has all that were kept.
const FINDINGS_SHOWN: usize = 200;

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

/// Where a finding is: enough to find the record in the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// File name; empty for the whole delivery.
    pub file: String,
    /// Line, from 1; 0 for the whole file.
    pub line: u64,
    /// Record, from 1; 0 when it is not about one.
    pub record: u64,
}

/// Findings of one rule of one column, as kept in the ledger and the report.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleLine {
    /// Code.
    pub code: String,
    /// Name of the contract's rule; empty for a check of the column itself.
    pub rule: String,
    /// Column; empty for the whole record or file.
    pub column: String,
    /// Weight.
    pub severity: String,
    /// The same in French.
    pub effect: String,
    /// Findings.
    pub count: u64,
    /// Findings for each record read, to the millionth; 0 when none was read.
    pub share: f64,
    /// First places, at most three.
    pub first: Vec<Place>,
    /// French meaning.
    pub meaning: String,
    /// French advice.
    pub what_to_do: String,
}

impl RuleLine {
    /// The rules of a log, the heaviest and most frequent first.
    fn all(log: &FindingLog, read: u64) -> Vec<Self> {
        let mut lines: Vec<(Severity, Self)> = log.by_rule().iter().map(|r| Self::of(r, read)).collect();
        lines.sort_by_key(|(severity, line)| std::cmp::Reverse((*severity, line.count)));
        lines.into_iter().map(|(_, line)| line).collect()
    }

    fn of(counted: &RuleCount, read: u64) -> (Severity, Self) {
        // A contract may weigh a rule otherwise than its code does.
        let severity = counted.first.first().map_or(counted.code.severity(), |f| f.severity);
        let line = RuleLine {
            code: counted.code.to_string(),
            rule: counted.rule.clone(),
            column: counted.column.clone(),
            severity: severity.as_str().to_owned(),
            effect: severity.french().to_owned(),
            count: counted.count,
            share: if read == 0 { 0.0 } else { (counted.count as f64 / read as f64 * 1e6).round() / 1e6 },
            first: counted.first.iter().map(Into::into).collect(),
            meaning: counted.code.meaning().to_owned(),
            what_to_do: counted.code.what_to_do().to_owned(),
        };
        (severity, line)
    }
}

impl From<&Finding> for Place {
    fn from(f: &Finding) -> Self {
        Place { file: f.origin.file.to_string(), line: f.origin.line, record: f.origin.record }
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
    /// Counts by rule and column, the heaviest and most frequent first.
    #[serde(default)]
    pub by_rule: Vec<RuleLine>,
    /// First places.
    pub findings: Vec<FindingLine>,
    /// Columns of the accepted records.
    #[serde(default)]
    pub profile: Vec<ColumnProfile>,
    /// What changed since the delivery before.
    #[serde(default)]
    pub drift: Vec<Drift>,
    /// Files as shown, and the SHA-256 of what was delivered.
    #[serde(default)]
    pub digests: Vec<(String, String)>,
}

impl TableQuality {
    /// A table, judged. `outcome.refused` and `log` hold the gate's word already; `digests` are the
    /// files that the table was read from, as shown, with their SHA-256.
    pub fn new(
        contract: &Contract,
        outcome: FileOutcome,
        log: &FindingLog,
        profile: Vec<ColumnProfile>,
        digests: &[(String, String)],
    ) -> Self {
        Self::named(&contract.name, &contract.title, outcome, log, profile, digests)
    }

    /// What refuses a delivery before any table of it is read.
    pub fn refusal(log: &FindingLog, digests: &[(String, String)]) -> Self {
        let outcome = FileOutcome { refused: true, ..FileOutcome::default() };
        Self::named("", "Livraison", outcome, log, Vec::new(), digests)
    }

    fn named(
        table: &str,
        title: &str,
        outcome: FileOutcome,
        log: &FindingLog,
        profile: Vec<ColumnProfile>,
        digests: &[(String, String)],
    ) -> Self {
        TableQuality {
            table: table.to_owned(),
            title: title.to_owned(),
            files: digests.iter().map(|(name, _)| name.clone()).collect(),
            read: outcome.read,
            accepted: outcome.accepted,
            rejected: outcome.rejected,
            refused: outcome.refused,
            by_code: log.by_code().iter().map(Into::into).collect(),
            by_rule: RuleLine::all(log, outcome.read),
            findings: log.kept().iter().map(Into::into).collect(),
            profile,
            drift: Vec::new(),
            digests: digests.to_vec(),
        }
    }

    /// Nothing read, nothing found: a table of a document that the delivery does not fill.
    pub fn is_idle(&self) -> bool {
        self.read == 0 && !self.refused && self.by_code.is_empty()
    }
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

/// An edition of a nomenclature: table, file, SHA-256.
pub type Edition = (String, String, String);

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    title: &'a str,
    verdict: &'a str,
    /// Run and its logical date; a validation has none.
    run: Option<(&'a str, &'a str)>,
    refused: &'a [String],
    deliveries: &'a [DeliveryQuality],
    digests: BTreeSet<&'a (String, String)>,
    editions: &'a [Edition],
}

impl<'a> Page<'a> {
    fn new(
        deliveries: &'a [DeliveryQuality],
        title: &'a str,
        verdict: &'a str,
        editions: &'a [Edition],
    ) -> Self {
        let digests = deliveries.iter().flat_map(|d| &d.tables).flat_map(|t| &t.digests).collect();
        Page { title, verdict, run: None, refused: &[], deliveries, digests, editions }
    }

    fn text(&self) -> Result<String> {
        self.render().map_err(|e| Error::Write(e.to_string()))
    }
}

/// The page of deliveries judged without a run; `verdict` and `title` in French.
///
/// # Errors
/// None that the deliveries cause.
pub fn page_of(
    deliveries: &[DeliveryQuality],
    title: &str,
    verdict: &str,
    editions: &[Edition],
) -> Result<String> {
    Page::new(deliveries, title, verdict, editions).text()
}

/// The JSON of a run, in the order of reading.
#[derive(Serialize)]
struct Document<'a> {
    verdict: &'a str,
    run_id: &'a str,
    date: String,
    refused_files: &'a [String],
    deliveries: &'a [DeliveryQuality],
    editions: Vec<serde_json::Value>,
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
    let editions: Vec<Edition> = run
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
    let (code, verdict) = verdict(&deliveries, !refused.is_empty());
    let date = run.date.format("%d/%m/%Y").to_string();
    let title = format!("Rapport de qualité du {date}");
    let page = Page {
        run: Some((&run.id, &date)),
        refused: &refused,
        ..Page::new(&deliveries, &title, verdict, &editions)
    };
    let html = page.text()?;
    let document = Document {
        verdict: code,
        run_id: &run.id,
        date: run.date.to_string(),
        refused_files: &refused,
        deliveries: &deliveries,
        editions: editions
            .iter()
            .map(|(t, f, d)| serde_json::json!({"table": t, "file": f, "sha256": d}))
            .collect(),
    };
    let mut json = serde_json::to_string_pretty(&document).map_err(|e| Error::Write(e.to_string()))?;
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

/// The verdict of a run: its code, and as said to people.
fn verdict(deliveries: &[DeliveryQuality], unreceived: bool) -> (&'static str, &'static str) {
    let refused = deliveries.iter().any(|d| d.refused);
    let rejected = deliveries.iter().flat_map(|d| &d.tables).any(|t| t.rejected > 0);
    match (refused, rejected, unreceived) {
        (true, _, false) => ("refused", "Au moins une livraison est refusée : rien n'en a été repris."),
        (true, _, true) => (
            "refused",
            "Au moins une livraison est refusée : rien n'en a été repris. Des fichiers n'ont pas été reçus.",
        ),
        (false, _, true) if deliveries.is_empty() => {
            ("refused", "Aucune livraison n'est reprise : les fichiers déposés n'ont pas été reçus.")
        }
        (false, false, false) if deliveries.is_empty() => ("accepted", "Aucune livraison à reprendre."),
        (false, true, false) => {
            ("accepted_with_quarantine", "Livraisons acceptées ; des enregistrements sont en quarantaine.")
        }
        (false, true, true) => (
            "accepted_with_quarantine",
            "Livraisons acceptées ; des enregistrements sont en quarantaine et des fichiers n'ont pas été reçus.",
        ),
        (false, false, true) => {
            ("accepted", "Livraisons acceptées, aucun rejet ; des fichiers n'ont pas été reçus.")
        }
        (false, false, false) => ("accepted", "Livraisons acceptées, aucun rejet."),
    }
}

/// How the page writes numbers; askama escapes what they return.
mod filters {
    use super::{DateFormat, Place};
    use askama::Values;
    use std::fmt::Display;

    /// `1 234`.
    #[askama::filter_fn]
    pub fn thousands(n: &u64, _: &dyn Values) -> askama::Result<String> {
        Ok(crate::french::thousands(*n))
    }

    /// A part of a whole: `12,5 %`.
    #[askama::filter_fn]
    pub fn percent(part: &u64, _: &dyn Values, whole: &u64) -> askama::Result<String> {
        if *whole == 0 {
            return Ok("sans objet".into());
        }
        let tenths = super::per_mille(*part, *whole);
        Ok(match (tenths, part) {
            (0, 1..) => "moins de 0,1\u{202F}%".into(),
            (1000, part) if part < whole => "plus de 99,9\u{202F}%".into(),
            _ => format!("{},{}\u{202F}%", crate::french::thousands(tenths / 10), tenths % 10),
        })
    }

    /// A part of a whole as the length of a bar of a hundred; what is there is seen.
    #[askama::filter_fn]
    pub fn bar(part: &u64, _: &dyn Values, whole: &u64) -> askama::Result<String> {
        let tenths = super::per_mille(*part, *whole).clamp(if *part > 0 { 10 } else { 0 }, 1000);
        Ok(format!("{}.{}", tenths / 10, tenths % 10))
    }

    /// A number of a column as text: long ones in groups; a year or a date as it is.
    #[askama::filter_fn]
    pub fn grouped(text: &str, _: &dyn Values) -> askama::Result<String> {
        let (whole, rest) = text.split_once(',').map_or((text, None), |(w, r)| (w, Some(r)));
        Ok(match whole.parse::<i128>() {
            Ok(n) if n.unsigned_abs() > 9_999 => {
                let head = crate::french::thousands(n);
                rest.map_or(head.clone(), |r| format!("{head},{r}"))
            }
            _ => text.to_owned(),
        })
    }

    /// An ISO date as the French write it.
    #[askama::filter_fn]
    pub fn day(text: &str, _: &dyn Values) -> askama::Result<String> {
        let date = DateFormat::Iso.parse(text);
        Ok(date.map_or(text.to_owned(), |d| d.format("%d/%m/%Y").to_string()))
    }

    /// `eleves.xml, ligne 12`.
    #[askama::filter_fn]
    pub fn place(p: &Place, _: &dyn Values) -> askama::Result<String> {
        Ok(match (p.file.as_str(), p.line) {
            ("", _) => "toute la livraison".into(),
            (file, 0) => format!("{file}, tout le fichier"),
            (file, line) => format!("{file}, ligne {}", crate::french::thousands(line)),
        })
    }

    /// `text`, or `other` when there is none.
    #[askama::filter_fn]
    pub fn or(text: impl Display, _: &dyn Values, other: &str) -> askama::Result<String> {
        let text = text.to_string();
        Ok(if text.is_empty() { other.to_owned() } else { text })
    }
}

/// A part of a whole in thousandths, rounded.
fn per_mille(part: u64, whole: u64) -> u64 {
    let whole = u128::from(whole.max(1));
    u64::try_from((u128::from(part) * 1000 + whole / 2) / whole).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
