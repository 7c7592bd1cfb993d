//! A published table read back from `data.csv` and `datapackage.json` alone, as any reader has it.
//!
//! SDMX conventions: `_T` is the total of a dimension, a measure `m` is empty where `m_statut` is `C`.
//! Additions are rebuilt from the hierarchies of the descriptor: a margin is the sum of the rows of the
//! nearest finer level that the table publishes.

mod additions;
mod computed;
mod layout;
pub(super) mod lexer;
mod listed;
mod rows;

use additions::adds_up;
pub use additions::under;
use layout::{Field, layout};
use rows::Rows;

use super::policy::Uniform;
use super::release::{Key, Release};
use super::system::{CellId, Known, Published};
use crate::contract::fault_at;
use crate::domain::Digest;
use crate::error::{ConfigFault, Error, IoContext as _, Result};
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;

/// The total of a dimension.
pub const TOTAL: &str = "_T";
/// Code number of [`TOTAL`].
const ALL: u32 = 0;
/// Bytes of a published file at most.
const LARGEST: u64 = 4 << 30;
/// Faults told at once.
const TOLD: usize = 20;

/// A table as published: cell `i` is the `i`-th row under the header.
#[derive(Debug, Clone)]
pub struct PublishedTable {
    /// Data set.
    pub name: String,
    /// Version.
    pub version: String,
    /// SHA-256 of `data.csv`.
    pub digest: Digest,
    /// The descriptor names another digest: the file changed since it was written.
    pub altered: bool,
    /// The descriptor names no digest: nothing says that these are the figures it describes.
    pub unpinned: bool,
    /// Doubt that its own policy promises.
    pub promised: Option<Uniform>,
    /// Figures are rounded to multiples of this.
    pub base: Option<i64>,
    /// Figures are this far from the truth at most. The truth adds up, and a row that is not there may be
    /// as much.
    pub noise: Option<u32>,
    /// Names of the cells.
    pub keys: Vec<Key>,
    /// Measures, in the order of columns.
    pub measures: Vec<Measure>,
    /// Resources that the descriptor names besides `data.csv`.
    pub resources: Vec<String>,
    /// A column and its code that is the sum of the others, and not written [`TOTAL`].
    pub unmarked_total: Option<(String, String)>,
    /// Code numbers of each row, one per dimension.
    codes: Vec<Vec<u32>>,
    /// Dimensions of each hierarchy, coarse before fine.
    chains: Vec<Vec<usize>>,
}

/// One measure of a table.
#[derive(Debug, Clone)]
pub struct Measure {
    /// Column.
    pub name: String,
    /// Its figures add up over dimensions. One that does not (a mean, a rate) has no additions.
    pub additive: bool,
    /// Whole numbers.
    pub whole: bool,
    /// They count persons, or some are masked as if they did.
    pub persons: bool,
    /// The package says that they count nobody.
    pub nobody: bool,
    /// Persons make them together.
    pub amount: bool,
    /// Figures and additions.
    pub published: Published,
}

impl PublishedTable {
    /// Checks figures said to be rounded, by additions only: a reader who knows of each that it is within the
    /// base of the truth cannot exclude any number as near, since adding the same to a finest cell and to all
    /// it is counted in gives another table that agrees.
    ///
    /// # Errors
    /// [`Error::Refused`] when the base leaves less doubt than `rule`, a figure is no multiple, or an
    /// addition is wrong.
    pub fn check_rounding(&self, rule: Uniform) -> Result<()> {
        let Some(base) = self.base else { return Ok(()) };
        let refuse =
            |message: &str| Err(Error::Refused { code: "ROUNDING_REFUSED", message: message.into() });
        if base <= rule.threshold || base < rule.width.saturating_add(2) {
            return refuse("la base de l'arrondi laisse moins de doute que la règle n'en demande");
        }
        for measure in &self.measures {
            let value = |c: CellId| measure.published.cells.get(c as usize).copied().and_then(Known::value);
            let rounded = |k: &Known| k.value().is_some_and(|v| v.checked_rem(base) == Some(0));
            if !measure.additive || !measure.published.cells.iter().all(rounded) {
                return refuse("un chiffre n'est pas un multiple de la base");
            }
            for r in &measure.published.relations {
                let sum = r.children.iter().try_fold(0_i64, |s, c| s.checked_add(value(*c)?));
                if sum != value(r.parent) {
                    return refuse("un total arrondi n'est pas la somme de ses parties");
                }
            }
        }
        Ok(())
    }

    /// One measure as a release to join with others.
    pub fn release(&self, measure: &str, population: &str, state: &str) -> Option<Release> {
        let found = self.measures.iter().find(|m| m.name == measure)?;
        Some(Release {
            name: format!("{} {}", self.name, self.version).trim_end().to_owned(),
            population: population.to_owned(),
            state: state.to_owned(),
            persons: found.persons,
            implied: Arc::default(),
            chosen: Arc::default(),
            keys: self.keys.clone(),
            published: found.published.clone(),
        })
    }
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(rename = "cartulaire:base")]
    base: Option<u32>,
    #[serde(rename = "cartulaire:noise")]
    noise: Option<u32>,
    #[serde(rename = "cartulaire:policy")]
    policy: Option<Promised>,
    /// Written by every package of ours, before they told their policy.
    #[serde(rename = "cartulaire:table")]
    table: Option<serde_json::Value>,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Promised {
    threshold: i64,
    width: i64,
    #[serde(default)]
    percent: i64,
}

#[derive(Deserialize)]
struct Resource {
    path: String,
    hash: Option<String>,
    schema: Option<Schema>,
}

#[derive(Deserialize)]
struct Schema {
    fields: Vec<Field>,
}

/// Reads a publication from its folder.
///
/// # Errors
/// As [`parse`], and when a file cannot be read.
pub fn read(folder: &Path) -> Result<PublishedTable> {
    let load = |name: &str| {
        let path = folder.join(name);
        // What is no plain file may have no end.
        let size = std::fs::metadata(&path).at(&path)?;
        if !size.is_file() || size.len() > LARGEST {
            return Err(Error::Usage(format!(
                "« {} » n'est pas un fichier ordinaire de moins de 4 Gio",
                path.display()
            )));
        }
        std::fs::read(&path).at(&path)
    };
    parse(&load("datapackage.json")?, &load("data.csv")?)
}

/// Reads a publication from the bytes of its two files.
///
/// # Errors
/// [`Error::Config`] with file, line and column of what does not follow the conventions, at most
/// twenty at once.
pub fn parse(descriptor: &[u8], data: &[u8]) -> Result<PublishedTable> {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "cartulaire:microdata", default)]
        microdata: bool,
    }
    if serde_json::from_slice::<Kind>(descriptor).is_ok_and(|k| k.microdata) {
        return Err(Error::Usage(
            "ce paquet contient des lignes de personnes : l'audit porte sur des tableaux ; ses mesures sont dans METHODOLOGIE-anonymisation.md".into(),
        ));
    }
    let package: Package = serde_json::from_slice(descriptor).map_err(|e| {
        Error::config(ConfigFault {
            file: "datapackage.json".into(),
            line: e.line(),
            column: e.column(),
            message: "descripteur illisible : il faut name, resources, et pour chaque champ name, type et cartulaire:role (dimension, measure, status)".into(),
        })
    })?;
    let text = String::from_utf8_lossy(descriptor);
    let refuse = |near: &str, message: String| {
        let at = text.find(&format!("\"{near}\"")).unwrap_or(0);
        Error::config(fault_at("datapackage.json", &text, at, message))
    };
    let (own, resources): (Vec<Resource>, Vec<Resource>) =
        package.resources.into_iter().partition(|r| r.path == "data.csv");
    let Some(resource) = own.into_iter().next() else {
        return Err(refuse("resources", "aucune ressource « data.csv »".into()));
    };
    let digest = Digest::of(data);
    let unpinned = resource.hash.is_none();
    let altered = resource.hash.is_some_and(|h| h != format!("sha256:{digest}"));
    let Some(schema) = resource.schema else {
        return Err(refuse("data.csv", "la ressource n'a pas de schéma".into()));
    };
    let layout = layout(schema.fields).map_err(|(near, message)| refuse(&near, message))?;
    let rows = Rows::read(&layout, data)?;
    // A margin whose noise made it nil is not there.
    let (keys, relations) = (rows.keys(&layout), rows.relations(&layout, package.noise.is_none())?);
    let older = package.policy.is_none() && package.table.is_some();
    let full = rows.full(&layout);
    // Noise leaves no sum right.
    let unmarked_total = rows.unmarked_total(&layout).filter(|_| package.noise.is_none());
    let places =
        |chain: &Vec<usize>| chain.iter().filter_map(|c| layout.dimension.get(*c).copied()?).collect();
    let chains = layout.chains.iter().map(places).collect();
    let codes = rows.rows;
    let measures: Vec<Measure> = layout
        .measures
        .into_iter()
        .zip(rows.cells)
        .map(|((_, _, field), mut cells)| {
            // Where nils are left out, a row that is there is at least one.
            let concealed = field.zeros.map_or_else(
                || cells.iter().any(|k| k.value() == Some(0)),
                |z| z == super::policy::Zeros::Concealed,
            );
            // Where persons are, their amount may be nil.
            for (cell, full) in cells.iter_mut().zip(&full).filter(|_| !field.amount) {
                if let (Known::Masked { floor }, false) = (cell, concealed && *full) {
                    *floor = 1;
                }
            }
            let masked = cells.iter().any(|k| matches!(k, Known::Masked { .. }));
            let integer = field.kind == "integer";
            let whole = integer && package.noise.is_none();
            let additive = field.additive || (whole && adds_up(&cells, &relations));
            let added = additive || package.noise.is_some();
            let relations = if added { relations.clone() } else { Vec::new() };
            // What a package masks it hides from somebody, whatever it says that it counts.
            let said = field.persons.unwrap_or(!older || masked);
            let (persons, nobody) = (!field.amount && (said || masked), !field.amount && !said);
            let published = Published { cells, relations };
            Measure {
                name: field.name,
                additive,
                whole: integer || field.additive,
                persons,
                nobody,
                amount: field.amount,
                published,
            }
        })
        .collect();
    let mut measures = measures;
    nil_amounts(&mut measures);
    let base = package.base.map(i64::from);
    let (name, version, noise) = (package.name, package.version, package.noise);
    let promised =
        package.policy.map(|p| Uniform { threshold: p.threshold, width: p.width, percent: p.percent });
    let resources = resources.into_iter().map(|r| r.path).collect();
    Ok(PublishedTable {
        name,
        version,
        digest,
        altered,
        unpinned,
        promised,
        base,
        noise,
        keys,
        measures,
        resources,
        unmarked_total,
        codes,
        chains,
    })
}

/// Where nobody is, nothing is made: a masked amount beside a count of 0 is 0.
fn nil_amounts(measures: &mut [Measure]) {
    let nil =
        |m: &Measure, c: usize| m.persons && m.additive && m.published.cells.get(c) == Some(&Known::Value(0));
    let cells = measures.iter().map(|m| m.published.cells.len()).max().unwrap_or(0);
    let nobody: Vec<bool> = (0..cells).map(|c| measures.iter().any(|m| nil(m, c))).collect();
    for measure in measures.iter_mut().filter(|m| m.amount) {
        for (known, nobody) in measure.published.cells.iter_mut().zip(&nobody) {
            if *nobody && known.value().is_none() {
                *known = Known::Value(0);
            }
        }
    }
}

#[cfg(test)]
mod tests;
