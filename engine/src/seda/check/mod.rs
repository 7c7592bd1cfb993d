//! Controls of a transfer package as the archive would make them at ingest, ours or anyone's:
//! a zip, a tar, a tar.gz or a bare manifest.
//!
//! The order is the archive's: the container, then the manifest as XML and against the schema, then
//! what the schema does not say. A step that fails ends the check, as it ends the ingest: what
//! follows it could only repeat the same fault under other names.
//!
//! Codes are the outcomes that the archive (Vitam) writes in its operation journal, without the
//! status at the end (`.KO`). Those that begin by `SIP.` are rules of its packaging document that it
//! does not control, and are warnings.

mod codes;
mod container;
mod format;
mod graph;
mod manifest;
mod model;
mod objects;
mod referentials;
mod rules;
mod schema;
#[cfg(test)]
mod tests;
mod units;
mod xml;

pub use container::Limits;

use crate::error::{Error, IoContext, Result};
use container::{Container, Kind};
use referentials::Referentials;
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// How a package is checked.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder that holds the official schemas, in any layout; without it the schema is not applied.
    pub xsd: Option<PathBuf>,
    /// Folder of the archive's lists: agencies and rules (CSV), contracts, profiles, formats (JSON).
    pub referentials: Option<PathBuf>,
    /// Findings that are told one by one; all are counted.
    pub findings_max: usize,
    /// Threads that read objects.
    pub threads: usize,
    /// Bounds on containers.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Options { xsd: None, referentials: None, findings_max: 1000, threads: 2, limits: Limits::default() }
    }
}

/// Weight of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The archive takes the package, and says so.
    Warning,
    /// The archive refuses the package.
    Error,
}

/// One fault of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Outcome of the archive.
    pub code: &'static str,
    /// Weight.
    pub severity: Severity,
    /// Place in the manifest, with positions; empty when the fault is in the container.
    pub xpath: String,
    /// French text: what, and what to do.
    pub message: String,
}

/// Whether the archive would take the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Warnings at most.
    Accepted,
    /// One error at least.
    Refused,
}

/// A control that could not be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// What: `xsd`, `objects`, `agencies`, `rules`, `contracts`, `profiles`, `formats`, `attachments`,
    /// `manifest`.
    pub control: &'static str,
    /// French text: why, and what would make it possible.
    pub reason: String,
}

/// What a check came to. Serialised, it is the JSON document of `seda check`.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Outcome.
    pub verdict: Decision,
    /// Version of the manifest, `2.1` to `2.3`, where it could be read.
    pub version: Option<&'static str>,
    /// All findings, those that are not told included.
    pub findings_total: u64,
    /// Findings in the order of the controls.
    pub findings: Vec<Finding>,
    /// Controls that were not made.
    pub skipped: Vec<Skipped>,
}

/// Gathers findings; the first ones are kept, all are counted.
#[derive(Debug)]
pub(crate) struct Findings {
    kept: Vec<Finding>,
    max: usize,
    total: u64,
    errors: u64,
}

impl Findings {
    fn new(max: usize) -> Self {
        Findings { kept: Vec::new(), max, total: 0, errors: 0 }
    }

    fn push(&mut self, severity: Severity, code: &'static str, xpath: String, message: impl Into<String>) {
        self.total += 1;
        self.errors += u64::from(severity == Severity::Error);
        if self.kept.len() < self.max {
            self.kept.push(Finding { code, severity, xpath, message: message.into() });
        }
    }

    fn error(&mut self, code: &'static str, xpath: impl Into<String>, message: impl Into<String>) {
        self.push(Severity::Error, code, xpath.into(), message);
    }

    fn warning(&mut self, code: &'static str, xpath: impl Into<String>, message: impl Into<String>) {
        self.push(Severity::Warning, code, xpath.into(), message);
    }

    fn append(&mut self, other: Findings) {
        self.total += other.total;
        self.errors += other.errors;
        let room = self.max.saturating_sub(self.kept.len());
        self.kept.extend(other.kept.into_iter().take(room));
    }
}

/// Checks a package.
///
/// # Errors
/// When the file cannot be read, or a schema or a list of the options is not what it should be.
/// Whatever is wrong with the package itself is a finding.
pub fn check(path: &Path, options: &Options) -> Result<Verdict> {
    let mut run = Run { findings: Findings::new(options.findings_max), skipped: Vec::new(), version: None };
    let lists = referentials(options, &mut run.skipped)?;
    run.package(path, options, &lists)?;
    let verdict = if run.findings.errors > 0 { Decision::Refused } else { Decision::Accepted };
    Ok(Verdict {
        verdict,
        version: run.version,
        findings_total: run.findings.total,
        findings: run.findings.kept,
        skipped: run.skipped,
    })
}

fn referentials(options: &Options, skipped: &mut Vec<Skipped>) -> Result<Referentials> {
    let lists = match &options.referentials {
        Some(folder) => Referentials::load(folder)?,
        None => Referentials::default(),
    };
    for (control, known) in [
        ("agencies", lists.agencies.is_some()),
        ("contracts", lists.contracts.is_some()),
        ("profiles", lists.profiles.is_some()),
        ("rules", lists.rules.is_some()),
        ("formats", lists.formats.is_some()),
    ] {
        if !known {
            let reason = match options.referentials {
                Some(_) => "cette liste manque dans le dossier des référentiels",
                None => "les référentiels du service d'archives n'ont pas été donnés (--referentials)",
            };
            skipped.push(Skipped { control, reason: reason.into() });
        }
    }
    Ok(lists)
}

struct Run {
    findings: Findings,
    skipped: Vec<Skipped>,
    version: Option<&'static str>,
}

impl Run {
    fn skip(&mut self, control: &'static str, reason: impl Into<String>) {
        self.skipped.push(Skipped { control, reason: reason.into() });
    }

    fn package(&mut self, path: &Path, options: &Options, lists: &Referentials) -> Result<()> {
        let container = Container::open(path, &options.limits, &mut self.findings)?;
        let Some(container) = container.filter(|_| self.findings.errors == 0) else {
            self.skip("manifest", "le contenant est refusé : rien n'en a été lu");
            return Ok(());
        };
        let Some(open) = container.manifest(&mut self.findings)? else {
            self.skip("manifest", "le manifeste est introuvable");
            return Ok(());
        };
        let mut semantic = Findings::new(options.findings_max);
        let mut structure = Findings::new(options.findings_max);
        let read = manifest::read(open()?, lists, &mut structure, &mut semantic);
        let mut model = match read {
            Ok(model) => model,
            Err(xml::Stop::Io(e)) => match container.fault_of(&e) {
                Some((code, message)) => {
                    self.findings.error(code, "", message);
                    return Ok(());
                }
                None => return Err(Error::io(path, e)),
            },
            Err(xml::Stop::Fault { xpath, code, message }) => {
                self.findings.error(code, xpath, message);
                return Ok(());
            }
        };
        self.version = model.version;
        if model.version.is_some() {
            graph::structure(&model, &mut structure);
        }
        match (&options.xsd, model.version) {
            (_, None) => self.findings.append(structure),
            (None, Some(_)) => {
                self.skip("xsd", "les schémas du SEDA n'ont pas été donnés (--xsd)");
                self.findings.append(structure);
            }
            (Some(folder), Some(version)) => match schema::find(folder, version)? {
                None => {
                    let reason = format!("le schéma du SEDA {version} n'est pas dans le dossier donné");
                    self.skip("xsd", reason);
                    self.findings.append(structure);
                }
                Some(main) => schema::validate(&main, version, open()?, &mut self.findings)?,
            },
        }
        if self.findings.errors > 0 {
            let reason = "le manifeste n'est pas conforme au schéma : corrigez-le d'abord, l'archive s'arrête là aussi";
            self.skip("manifest", reason);
            return Ok(());
        }
        self.findings.append(semantic);
        graph::check(&mut model, &mut self.findings);
        if model.attachments > 0 {
            self.skip(
                "attachments",
                "l'existence des unités et des groupes de rattachement n'est connue que de l'archive",
            );
        }
        match container.kind {
            Kind::Bare => {
                self.skip(
                    "objects",
                    "un manifeste seul a été donné : donnez le paquet pour contrôler ses objets",
                );
            }
            _ => objects::check(&container, &model, lists, options, &mut self.findings)?,
        }
        Ok(())
    }
}

/// A reader that can be opened again.
pub(crate) type Opener<'a> = Box<dyn Fn() -> Result<Box<dyn Read + Send + 'a>> + 'a>;

pub(crate) fn buffered(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::with_capacity(256 << 10, File::open(path).at(path)?))
}
