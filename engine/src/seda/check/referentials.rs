//! The archive's lists, in its own import forms: agencies and rules in CSV, contracts, profiles and
//! formats in JSON. A file is known by its columns or its keys, not by its name.

use crate::error::{ConfigFault, Error, IoContext, Result};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Bytes of one list.
const LIST_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Default)]
pub struct Referentials {
    pub agencies: Option<HashSet<String>>,
    pub rules: Option<HashMap<String, Rule>>,
    pub contracts: Option<HashMap<String, Contract>>,
    /// Archive profiles, and whether each is active.
    pub profiles: Option<HashMap<String, bool>>,
    /// PRONOM identifiers.
    pub formats: Option<HashSet<String>>,
}

#[derive(Debug)]
pub struct Rule {
    /// Element of the manifest that may hold it.
    pub category: String,
    /// Whole years of the duration, rounded up; `None` when it is unlimited or left open.
    pub years: Option<i64>,
}

/// An ingest contract.
#[derive(Debug)]
pub struct Contract {
    pub active: bool,
    pub profiles: Vec<String>,
    /// Formats that are taken; `None` when all are.
    pub formats: Option<HashSet<String>>,
    /// What is not identified is refused.
    pub identified_only: bool,
}

fn fault(path: &Path, message: impl Into<String>) -> Error {
    let file = path.display().to_string();
    Error::config(ConfigFault { file, line: 0, column: 0, message: message.into() })
}

impl Referentials {
    /// Reads the lists of a folder; a list that is not there stays unknown.
    ///
    /// # Errors
    /// When the folder or a list cannot be read.
    pub fn load(folder: &Path) -> Result<Self> {
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).at(folder)? {
            paths.push(entry.at(folder)?.path());
        }
        paths.sort();
        let mut out = Referentials::default();
        for path in paths {
            let suffix = path.extension().unwrap_or_default().to_ascii_lowercase();
            if suffix != "csv" && suffix != "json" {
                continue;
            }
            if std::fs::metadata(&path).at(&path)?.len() > LIST_BYTES_MAX {
                return Err(fault(&path, "la liste dépasse 64 Mio"));
            }
            let bytes = std::fs::read(&path).at(&path)?;
            if suffix == "csv" { out.csv(&path, &bytes)? } else { out.json(&path, &bytes)? }
        }
        Ok(out)
    }

    fn csv(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let head = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
        let delimiter = if head.contains(&b';') { b';' } else { b',' };
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes);
        let bad = |e: csv::Error| fault(path, format!("ce n'est pas un CSV : {e}"));
        let headers = reader.headers().map_err(bad)?.clone();
        let column = |name: &str| headers.iter().position(|h| h.trim() == name);
        if let (Some(id), Some(kind)) = (column("RuleId"), column("RuleType")) {
            let (duration, unit) = (column("RuleDuration"), column("RuleMeasurement"));
            let rules = self.rules.get_or_insert_default();
            for row in reader.records() {
                let row = row.map_err(bad)?;
                let cell = |i: Option<usize>| i.and_then(|i| row.get(i)).unwrap_or_default().trim();
                let years = years(cell(duration), cell(unit));
                rules
                    .insert(cell(Some(id)).to_owned(), Rule { category: cell(Some(kind)).to_owned(), years });
            }
        } else if let (Some(id), Some(_)) = (column("Identifier"), column("Name")) {
            let agencies = self.agencies.get_or_insert_default();
            for row in reader.records() {
                agencies.insert(row.map_err(bad)?.get(id).unwrap_or_default().trim().to_owned());
            }
        } else {
            return Err(fault(
                path,
                "colonnes attendues : Identifier et Name (services agents), ou RuleId et RuleType (règles)",
            ));
        }
        Ok(())
    }

    fn json(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let value: Value =
            serde_json::from_slice(bytes).map_err(|e| fault(path, format!("ce n'est pas un JSON : {e}")))?;
        let list = match value {
            Value::Array(list) => list,
            // Answers of the archive's API wrap the list.
            Value::Object(mut o) => match o.remove("$results") {
                Some(Value::Array(list)) => list,
                _ => vec![Value::Object(o)],
            },
            _ => Vec::new(),
        };
        let any = |key: &str| list.iter().any(|v| v.get(key).is_some());
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        let text = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).map(str::to_owned);
        if any("PUID") || any("Puid") {
            let ids = list.iter().filter_map(|v| text(v, "PUID").or_else(|| text(v, "Puid")));
            self.formats.get_or_insert_default().extend(ids);
        } else if any("ArchiveProfiles")
            || any("EveryFormatType")
            || any("CheckParentLink")
            || stem.contains("contra")
        {
            let contracts = self.contracts.get_or_insert_default();
            for v in &list {
                let Some(id) = text(v, "Identifier") else {
                    return Err(fault(path, "un contrat n'a pas d'« Identifier »"));
                };
                contracts.insert(id, contract(v));
            }
        } else if any("Format") || stem.contains("profil") {
            let profiles = self.profiles.get_or_insert_default();
            for v in &list {
                if let Some(id) = text(v, "Identifier") {
                    profiles.insert(id, is_active(v));
                }
            }
        } else {
            return Err(fault(
                path,
                "liste inconnue : contrats d'entrée, profils d'archivage ou formats (PUID) attendus",
            ));
        }
        Ok(())
    }
}

/// As in the archive, what has no status is not active.
fn is_active(v: &Value) -> bool {
    v.get("Status").and_then(Value::as_str) == Some("ACTIVE")
}

fn contract(v: &Value) -> Contract {
    let texts = |key: &str| -> Vec<String> {
        let list = v.get(key).and_then(Value::as_array).into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let flag = |key: &str, absent: bool| v.get(key).and_then(Value::as_bool).unwrap_or(absent);
    Contract {
        active: is_active(v),
        profiles: texts("ArchiveProfiles"),
        formats: (!flag("EveryFormatType", true)).then(|| texts("FormatType").into_iter().collect()),
        identified_only: !flag("FormatUnidentifiedAuthorized", false),
    }
}

fn years(duration: &str, unit: &str) -> Option<i64> {
    let n: i64 = duration.parse().ok()?;
    Some(match unit.to_ascii_lowercase().as_str() {
        "month" => n.saturating_add(11) / 12,
        "day" => n.saturating_add(364) / 365,
        _ => n,
    })
}
