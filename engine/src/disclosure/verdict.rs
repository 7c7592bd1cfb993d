//! The audit of a publication by its files: attacked, or checked against its certificate.

use super::audit::{Limits, attack_until};
use super::cell_key::Perturbation;
use super::package_files::{alone, whole};
use super::policy::Uniform;
use super::proof_file::ProofFile;
use super::published_csv::{Measure, PublishedTable, read};
use super::published_parquet::same_as_csv;
use super::release::label;
use super::system::{Known, Published};
use crate::error::{Error, IoContext as _, Result};
use crate::french::count;
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
    /// Rule by which it was judged.
    pub rule: Uniform,
    /// Why it is not safe, apart from the cells exposed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the package does not say, and what nothing but the package says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Audit {
    fn of(table: &PublishedTable, rule: Uniform, certified: bool) -> Self {
        let masked = |m: &Measure| m.published.masked().count();
        Audit {
            verdict: Verdict::Safe,
            cells: table.keys.len() * table.measures.len(),
            suppressed: table.measures.iter().map(masked).sum(),
            exposed: Vec::new(),
            undecided: 0,
            certified,
            rule,
            reason: None,
            notes: Vec::new(),
        }
    }
}

/// The rule where nothing says another.
const USUAL: Uniform = Uniform { threshold: 5, width: 2, percent: 0 };

/// What an audit is asked, where it does not follow the policy that the package promises.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Persons under which a cell is small, instead of those of its policy.
    pub threshold: Option<i64>,
    /// Doubt about every masked cell, instead of that of its policy.
    pub width: Option<i64>,
    /// What its policy may only strengthen.
    pub least: Option<Uniform>,
}

impl Asked {
    /// The rule for a table: the strictest of what is asked at least and of what its policy promises, else
    /// [`USUAL`]; in numbers that a policy may have.
    fn rule(self, table: &PublishedTable) -> Uniform {
        let own = match (self.least, table.promised) {
            (Some(least), Some(promised)) => least.strictest(promised),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => USUAL,
        };
        let (threshold, width) = (self.threshold.unwrap_or(own.threshold), self.width.unwrap_or(own.width));
        Uniform { threshold, width, ..own }.bounded()
    }

    /// Whether it asks for anything.
    fn any(self) -> bool {
        self.threshold.is_some() || self.width.is_some() || self.least.is_some()
    }
}

impl From<Uniform> for Asked {
    fn from(rule: Uniform) -> Self {
        Asked { least: Some(rule), ..Asked::default() }
    }
}

/// Audits the publication in `folder`: with its certificate in linear time, without by attack. Its Parquet file
/// must say what its CSV says, and every file be the one that `SHA256SUMS` names.
///
/// # Errors
/// As [`read`]; [`Error::Config`] when the certificate is none.
pub fn audit_folder(
    folder: &Path,
    certificate: Option<&Path>,
    asked: Asked,
    limits: &Limits,
) -> Result<Audit> {
    let table = read(folder)?;
    let rule = asked.rule(&table);
    // Noise has no table of witnesses: it is attacked again.
    let checked = match certificate {
        None => attack_table(&table, rule, limits),
        Some(path) => {
            if !std::fs::metadata(path).at(path)?.is_file() {
                return Err(Error::Usage(format!("« {} » n'est pas un fichier", path.display())));
            }
            let bytes = std::fs::read(path).at(path)?;
            let proof = ProofFile::parse(&path.display().to_string(), &bytes);
            let proven = proof.and_then(|proof| proof.check(&table, rule));
            proven.and_then(|_| match table.noise {
                Some(_) => attack_table(&table, rule, limits),
                None => table.check_computed().map(|()| Audit::of(&table, rule, true)),
            })
        }
    };
    let mut audit = match checked {
        Err(Error::Refused { message, .. } | Error::Corrupt(message)) => {
            Audit { verdict: Verdict::Unsafe, reason: Some(message), ..Audit::of(&table, rule, false) }
        }
        found => found?,
    };
    let few = table.printed_few(rule);
    if let (false, None) = (few.is_empty(), &audit.reason) {
        let shown = count(few.len() as u64, "chiffre publié compte", "chiffres publiés comptent");
        audit.reason = Some(format!("{shown} moins de {} personnes", rule.threshold));
    }
    for (key, value) in few {
        audit.exposed.push(Exposed { cell: label(key), lower: value, upper: value });
        audit.verdict = Verdict::Unsafe;
    }
    let mut refuse = |reason: String| {
        audit.verdict = Verdict::Unsafe;
        audit.reason.get_or_insert(reason);
    };
    if table.altered {
        refuse("data.csv a changé depuis que son descripteur a été écrit".into());
    }
    if let Some((column, code)) = &table.unmarked_total {
        refuse(format!(
            "« {code} » de « {column} » est la somme des autres modalités : un total s'écrit _T, sans quoi ce qui s'en calcule n'est pas examiné"
        ));
    }
    let mut together = true;
    let files = whole(folder).map(|there| together = there);
    for check in [same_as_csv(folder), files, alone(folder, &table.resources, certificate)] {
        match check {
            Err(Error::Refused { message, .. }) => refuse(message),
            found => found?,
        }
    }
    audit.notes = notes(&table, asked, rule);
    if !together {
        audit.notes.push("SHA256SUMS manque : rien ne dit que les fichiers vont ensemble".into());
    }
    Ok(audit)
}

/// What a reader of the verdict must know: what the package does not say, and what it alone says.
fn notes(table: &PublishedTable, asked: Asked, rule: Uniform) -> Vec<String> {
    let mut notes = Vec::new();
    if table.unpinned {
        notes.push(
            "le descripteur ne donne pas l'empreinte de data.csv : rien ne dit qu'il décrit ces chiffres"
                .into(),
        );
    }
    let numbers = format!("seuil de {} personnes, doute de {}", rule.threshold, rule.width);
    match table.promised {
        None if asked.any() => {
            notes.push(format!("le descripteur ne dit pas de politique ; la règle demandée : {numbers}"));
        }
        None => notes.push(format!("le descripteur ne dit pas de politique : {numbers}")),
        Some(own) if own.threshold < USUAL.threshold => notes.push(format!(
            "la politique que promet le paquet a un seuil de {} personnes : lui seul dit qu'il suffit",
            own.threshold
        )),
        Some(_) => {}
    }
    if let Some(noise) = table.noise {
        notes.push(format!("un bruit d'au plus {noise} sur chaque chiffre : seul le paquet le dit"));
    }
    for measure in table.measures.iter().filter(|m| m.nobody && m.whole) {
        notes.push(match measure.persons {
            true => format!(
                "« {} » ne compterait pas de personnes, seul le paquet le dit : elle en masque, et a été examinée comme si elle en comptait",
                measure.name
            ),
            false => format!("« {} » ne compterait pas de personnes : seul le paquet le dit", measure.name),
        });
    }
    notes
}

/// Attacks every measure that adds up; `rule` is the doubt that masked counts must keep.
///
/// # Errors
/// [`Error::Corrupt`] when no table agrees with what is published.
pub fn attack_table(table: &PublishedTable, rule: Uniform, limits: &Limits) -> Result<Audit> {
    table.check_rounding(rule)?;
    table.check_computed()?;
    let mut audit = Audit::of(table, rule, false);
    // Those that mask anything are of persons or of what they make, whatever the package says (see `parse`).
    for measure in table.measures.iter().filter(|m| m.additive && (m.persons || m.amount)) {
        let rule = rule.of(measure.persons);
        let enough = |_, low: i64, high: i64| low < high && rule.allows(low, Some(high));
        let found = match attack_until(&measure.published, |_| true, enough, limits) {
            // Masked cells are not all at least one.
            Err(Error::Corrupt(_)) => {
                attack_until(&with_zeros(&measure.published), |_| true, enough, limits)?
            }
            found => found?,
        };
        for i in found {
            match i.upper.filter(|u| !rule.allows(i.lower, Some(*u))) {
                Some(upper) => {
                    let key = table.keys.get(i.cell as usize).map_or(&[][..], Vec::as_slice);
                    let several =
                        if table.measures.len() > 1 { format!("{} : ", measure.name) } else { String::new() };
                    audit.exposed.push(Exposed { cell: several + &label(key), lower: i.lower, upper });
                }
                None => audit.undecided += usize::from(!i.proves(|low, high| rule.allows(low, high))),
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
    let rule = rule.of(true);
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
            match i.upper.filter(|u| few && !rule.allows(i.lower, Some(*u))) {
                Some(upper) => {
                    let key = table.keys.get(i.cell as usize).map_or(&[][..], Vec::as_slice);
                    audit.exposed.push(Exposed { cell: label(key), lower: i.lower, upper });
                }
                None => {
                    let proven = i.proves(|low, high| rule.allows(low, high));
                    audit.undecided += usize::from(few && !proven);
                }
            }
        }
    }
    Ok(())
}

fn with_zeros(published: &Published) -> Published {
    let cells = published.cells.iter().map(|k| match k {
        Known::Masked { .. } => Known::Masked { floor: 0 },
        k => *k,
    });
    Published { cells: cells.collect(), relations: published.relations.clone() }
}
