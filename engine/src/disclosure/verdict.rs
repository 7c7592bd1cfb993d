//! The audit of a publication by its files: attacked, or checked against its certificate.

use super::audit::{Interval, Limits, attack};
use super::cell_key::Perturbation;
use super::policy::Uniform;
use super::proof_file::ProofFile;
use super::published_csv::{Measure, PublishedTable, read};
use super::release::label;
use super::system::{Known, Published};
use crate::error::{Error, IoContext as _, Result};
use serde::Serialize;
use std::path::Path;

/// What the audit says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Every masked cell is in doubt: two tables were seen that say so.
    Safe,
    /// Some masked cell can be computed too closely.
    Unsafe,
    /// Nothing was found, nothing is proven: the table is too large to be attacked to the end. Not safe.
    #[serde(rename = "unsafe")]
    Undecided,
}

/// A masked cell that readers can compute too closely.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exposed {
    /// `uai=0350122T, sexe=F`, preceded by the measure where there are several.
    pub cell: String,
    /// It is at least this.
    pub lower: i64,
    /// And at most this.
    pub upper: i64,
}

/// The result of an audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Of everything.
    pub verdict: Verdict,
    /// Figures published or masked.
    pub cells: usize,
    /// Masked ones.
    pub suppressed: usize,
    /// Those that can be computed too closely.
    pub exposed: Vec<Exposed>,
    /// Those of which the attack could say nothing for sure.
    pub undecided: usize,
    /// A certificate was checked.
    pub certified: bool,
    /// Why it is not safe, apart from the cells exposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Audit {
    fn of(table: &PublishedTable, certified: bool) -> Self {
        let masked = |m: &Measure| m.published.masked().count();
        Audit {
            verdict: Verdict::Safe,
            cells: table.keys.len() * table.measures.len(),
            suppressed: table.measures.iter().map(masked).sum(),
            exposed: Vec::new(),
            undecided: 0,
            certified,
            reason: None,
        }
    }
}

/// Audits the publication in `folder`: with its certificate in linear time, without by attack.
///
/// # Errors
/// As [`read`]; [`Error::Config`] when the certificate is none.
pub fn audit_folder(
    folder: &Path,
    certificate: Option<&Path>,
    rule: Uniform,
    limits: &Limits,
) -> Result<Audit> {
    let table = read(folder)?;
    let checked = match certificate {
        None => attack_table(&table, rule, limits),
        Some(path) => {
            let bytes = std::fs::read(path).at(path)?;
            ProofFile::parse(&path.display().to_string(), &bytes)
                .and_then(|proof| proof.check(&table, rule))
                .map(|_| Audit::of(&table, true))
        }
    };
    let mut audit = match checked {
        Err(Error::Refused { message, .. } | Error::Corrupt(message)) => {
            Audit { verdict: Verdict::Unsafe, reason: Some(message), ..Audit::of(&table, false) }
        }
        found => found?,
    };
    if table.altered {
        audit.verdict = Verdict::Unsafe;
        audit.reason.get_or_insert_with(|| "data.csv a changé depuis que son descripteur a été écrit".into());
    }
    Ok(audit)
}

/// Attacks every measure that adds up; `rule` is the doubt that masked counts must keep.
///
/// # Errors
/// [`Error::Corrupt`] when no table agrees with what is published.
pub fn attack_table(table: &PublishedTable, rule: Uniform, limits: &Limits) -> Result<Audit> {
    table.check_rounding(rule)?;
    let mut audit = Audit::of(table, false);
    for measure in table.measures.iter().filter(|m| m.additive) {
        let found = match attack(&measure.published, |_| true, limits) {
            // Masked cells are not all at least one.
            Err(Error::Corrupt(_)) => attack(&with_zeros(&measure.published), |_| true, limits)?,
            found => found?,
        };
        for i in found {
            let few = |u: i64| measure.persons && u < rule.threshold;
            let narrow = |u: i64| few(u) || u - i.lower < rule.width;
            match i.upper.filter(|u| narrow(*u)) {
                Some(upper) => {
                    let key = table.keys.get(i.cell as usize).map_or(&[][..], Vec::as_slice);
                    let several =
                        if table.measures.len() > 1 { format!("{} : ", measure.name) } else { String::new() };
                    audit.exposed.push(Exposed { cell: several + &label(key), lower: i.lower, upper });
                }
                None => audit.undecided += usize::from(!decided(&i)),
            }
        }
    }
    if let Some(noise) = table.noise {
        attack_noise(table, noise, rule, limits, &mut audit)?;
    }
    audit.verdict = match (audit.exposed.is_empty(), audit.undecided) {
        (false, _) => Verdict::Unsafe,
        (true, 0) => Verdict::Safe,
        (true, _) => Verdict::Undecided,
    };
    Ok(audit)
}

/// What noise leaves to compute: the truth is near each figure, adds up, and is anything where no row is.
fn attack_noise(
    table: &PublishedTable,
    noise: u32,
    rule: Uniform,
    limits: &Limits,
    audit: &mut Audit,
) -> Result<()> {
    for measure in &table.measures {
        let near = Perturbation::new(noise)?;
        let shown: Vec<u64> = measure
            .published
            .cells
            .iter()
            .map(|k| k.value().and_then(|v| u64::try_from(v).ok()).unwrap_or(0))
            .collect();
        for i in near.attack_listed(&shown, &measure.published.relations, limits)? {
            let few = i.lower < rule.threshold;
            match i.upper.filter(|u| few && (*u < rule.threshold || u - i.lower < rule.width)) {
                Some(upper) => {
                    let key = table.keys.get(i.cell as usize).map_or(&[][..], Vec::as_slice);
                    audit.exposed.push(Exposed { cell: label(key), lower: i.lower, upper });
                }
                None => audit.undecided += usize::from(few && !decided(&i)),
            }
        }
    }
    Ok(())
}

/// Tables were seen at both ends; or nothing bounds the cell.
fn decided(i: &Interval) -> bool {
    i.upper.is_none() || i.is_exact()
}

fn with_zeros(published: &Published) -> Published {
    let cells = published.cells.iter().map(|k| match k {
        Known::Masked { .. } => Known::Masked { floor: 0 },
        k => *k,
    });
    Published { cells: cells.collect(), relations: published.relations.clone() }
}
