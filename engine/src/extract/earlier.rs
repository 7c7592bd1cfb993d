//! What was published before of the same persons, as its files say it: files that the ledger pins.

use super::dataset::Dataset;
use super::levels::{Condition, Origin, Rows};
use super::perturb;
use crate::disclosure::policy::Uniform;
use crate::disclosure::published_csv::{self, PublishedTable};
use crate::disclosure::release::{Key, Release};
use crate::disclosure::table::UNDER;
use crate::error::{Error, IoContext, Result};
use crate::store::{Publication, Store, files};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Whose figures they are. A name is what someone wrote; the table and its school year are facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Name of the population, and its school year.
    pub population: String,
    /// Table counted.
    pub table: String,
    /// School year, where one alone is counted.
    pub year: Option<String>,
}

/// What figures are of, in the candidate's names of levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zoning {
    /// Levels, and where they come from.
    pub levels: Vec<(String, Origin)>,
    /// Conditions on rows.
    pub conditions: Vec<Condition>,
}

/// A publication of the same persons.
pub struct Earlier {
    /// Its figures.
    pub release: Release,
    /// Doubt that was promised of them.
    pub rule: Uniform,
    /// What they are of.
    pub zoning: Zoning,
}

/// Names of levels as a candidate has them: its own, or that of their column. Of another table that is said to hold the same
/// persons, the published name is all there is.
pub fn names(
    candidate: &Dataset,
    levels: &[(String, Option<Origin>)],
) -> BTreeMap<String, (String, Option<Origin>)> {
    let (own, names) = (candidate.origins(), candidate.dimension_names());
    let foreign = |o: &Origin| o.parts().is_none_or(|(table, ..)| table != candidate.table);
    let of = |(name, origin): &(String, Option<Origin>)| {
        let renamed = match origin {
            Some(o) if foreign(o) => name.clone(),
            Some(o) => {
                let same = own.iter().position(|mine| mine == o).and_then(|i| names.get(i));
                same.map_or_else(|| o.name(), |n| (*n).to_owned())
            }
            None => name.clone(),
        };
        (name.clone(), (renamed, origin.clone()))
    };
    levels.iter().map(of).collect()
}

/// A key under other names of levels.
pub fn renamed(key: &Key, names: &BTreeMap<String, (String, Option<Origin>)>) -> Key {
    let level = |(l, c): &(String, String)| (names.get(l).map_or(l, |(n, _)| n).clone(), c.clone());
    let mut key: Key = key.iter().map(level).collect();
    key.sort_unstable();
    key
}

/// Publications of the same persons that the ledger knows, oldest first.
///
/// # Errors
/// [`Error::Refused`] when one is not what the ledger knows (nothing can be audited against it), published rows, or
/// changed figures.
pub fn earlier(store: &Store, dataset: &Dataset, who: &Who) -> Result<Vec<Earlier>> {
    let mut found = Vec::new();
    for row in store.ledger.publications()?.into_iter().rev() {
        let Some(said) = of_same_persons(store, &row, who)? else { continue };
        let folder = store.path(&row.path);
        if said.microdata {
            return Err(Error::Refused {
                code: "MICRODATA_PUBLISHED",
                message: format!(
                    "« {} » a publié des lignes de la même population : aucun tableau ne peut plus en être prouvé sûr",
                    row.path
                ),
            });
        }
        if said.method.is_some() {
            return Err(Error::Refused {
                code: "PERTURBED_PUBLISHED",
                message: format!(
                    "« {} » a publié des chiffres arrondis ou bruités de la même population : des chiffres exacts diraient ce qui a été changé",
                    row.path
                ),
            });
        }
        found.extend(said.releases(&published_csv::read(&folder)?, dataset, who));
    }
    Ok(found)
}

/// Refuses amounts of persons of whom amounts were published already: the difference of two sums may be what
/// one person makes, and nobody proved that it is not. The same file once more says nothing more.
///
/// # Errors
/// [`Error::Refused`] `AMOUNTS_REPEATED`.
pub fn amounts_once(store: &Store, who: &Who, digest: &str) -> Result<()> {
    for row in store.ledger.publications()?.into_iter().filter(|p| p.digest != digest) {
        let Some(found) = of_same_persons(store, &row, who)? else { continue };
        let folder = store.path(&row.path);
        if found.microdata {
            continue;
        }
        if published_csv::read(&folder)?.measures.iter().any(|m| m.amount) {
            return Err(Error::Refused {
                code: "AMOUNTS_REPEATED",
                message: format!(
                    "« {} » a publié des montants de la même population : la différence de deux sommes peut être ce qu'une \
                     seule personne apporte ; les montants d'une année ne partent qu'une fois (reference les fixe à une date)",
                    row.path
                ),
            });
        }
    }
    Ok(())
}

/// Refuses changed figures of persons of whom others were published: together they narrow the doubt. Noise
/// drawn alike from the same persons is the same: the versions of one series may follow each other.
///
/// # Errors
/// [`Error::Refused`] `PERTURBED_REPEATED`.
pub fn changed_alone(store: &Store, dataset: &Dataset, who: &Who, digest: &str) -> Result<()> {
    let series = perturb::series(dataset);
    for row in store.ledger.publications()?.into_iter().filter(|p| p.digest != digest) {
        let Some(found) = of_same_persons(store, &row, who)? else { continue };
        let same_noise = !found.microdata && series.is_some() && found.series == series;
        if !same_noise {
            return Err(Error::Refused {
                code: "PERTURBED_REPEATED",
                message: format!(
                    "« {} » porte sur la même population : des chiffres arrondis partent une fois, et ni arrondis ni bruit ne se \
                     mêlent à d'autres, ni à un bruit tiré autrement (même clé, même noise, même jeu ; reference fixe la date du compte)",
                    row.path
                ),
            });
        }
    }
    Ok(())
}

/// Refuses rows of persons of whom anything else was published, in whatever year and under whatever name of
/// population: tables and rows, or two versions of rows, say more together than anyone proved.
///
/// # Errors
/// [`Error::Refused`] `MICRODATA_REPEATED`.
pub fn alone(store: &Store, dataset: &Dataset, population: &str, digest: &str) -> Result<()> {
    let who = Who { population: population.to_owned(), table: dataset.table.clone(), year: None };
    for row in store.ledger.publications()?.into_iter().filter(|p| p.digest != digest) {
        if of_same_persons(store, &row, &who)?.is_some() {
            return Err(Error::Refused {
                code: "MICRODATA_REPEATED",
                message: format!(
                    "« {} » porte sur la même population : des lignes de personnes ne partent qu'une fois, et seules",
                    row.path
                ),
            });
        }
    }
    Ok(())
}

/// What a publication says of itself when it is of these persons: the register says so first, and its files are then
/// looked at whole.
fn of_same_persons(store: &Store, row: &Publication, who: &Who) -> Result<Option<Described>> {
    let folder = store.path(&row.path);
    if let Some(facts) = store.ledger.publication_facts(&row.dataset, &row.version)? {
        let year = Some(facts.school_year).filter(|y| !y.is_empty());
        if !who.same(&facts.population, &facts.source_table, year.as_ref()) {
            return Ok(None);
        }
        pinned(store, row)?;
        return described(&folder).map(Some);
    }
    pinned(store, row)?;
    let found = described(&folder)?;
    Ok(who.same(&found.population, &found.table, found.year.as_ref()).then_some(found))
}

impl Who {
    /// Whether they are those of a table and year, or said to be of the same population.
    fn same(&self, population: &str, table: &str, year: Option<&String>) -> bool {
        let apart = matches!((year, &self.year), (Some(a), Some(b)) if a != b);
        self.population == population || (self.table == table && !apart)
    }
}

/// Refuses a package whose files are not those that the ledger knows: `data.csv` by its digest, all by that of
/// `SHA256SUMS`.
///
/// # Errors
/// [`Error::Refused`] `PUBLICATION_CHANGED`.
pub fn pinned(store: &Store, row: &Publication) -> Result<()> {
    let folder = store.path(&row.path);
    // One package that was touched keeps its population from leaving, and not the night from going on.
    let refuse = |name: &str| {
        Err(Error::Refused {
            code: "PUBLICATION_CHANGED",
            message: format!(
                "« {}/{name} » n'est plus ce qui a été publié : rien ne peut être examiné avec",
                row.path
            ),
        })
    };
    let data = folder.join("data.csv");
    if !data.is_file() || files::digest(&data)?.to_string() != row.digest {
        return refuse("data.csv");
    }
    // Versions from before the register have no digest of the whole.
    let Some(facts) = store.ledger.publication_facts(&row.dataset, &row.version)? else { return Ok(()) };
    let path = folder.join("SHA256SUMS");
    let plain = |path: &Path| path.is_file();
    if !plain(&path) || files::digest(&path)?.to_string() != facts.sums_sha256 {
        return refuse("SHA256SUMS");
    }
    let text = std::fs::read_to_string(&path).at(&path)?;
    for (digest, name) in text.lines().filter_map(|l| l.split_once("  ")) {
        if !plain(&folder.join(name)) || files::digest(&folder.join(name))?.to_string() != digest {
            return refuse(name);
        }
    }
    Ok(())
}

/// What a publication says that it is of.
#[derive(Deserialize)]
struct Described {
    #[serde(rename = "cartulaire:population", default)]
    population: String,
    #[serde(rename = "cartulaire:state", default)]
    state: String,
    #[serde(rename = "cartulaire:rows", default)]
    rows: Rows,
    #[serde(rename = "cartulaire:table", default)]
    table: String,
    #[serde(rename = "cartulaire:school_year")]
    year: Option<String>,
    #[serde(rename = "cartulaire:microdata", default)]
    microdata: bool,
    /// Method that changed its figures.
    #[serde(rename = "cartulaire:method")]
    method: Option<String>,
    /// What its noise was drawn from.
    #[serde(rename = "cartulaire:series")]
    series: Option<String>,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    schema: Option<Schema>,
}

#[derive(Deserialize)]
struct Schema {
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    #[serde(rename = "cartulaire:source")]
    source: Option<String>,
    #[serde(rename = "cartulaire:prefix")]
    prefix: Option<usize>,
    #[serde(rename = "cartulaire:column")]
    column: Option<String>,
}

impl Described {
    /// Its measures that say the same as the candidate's, under the candidate's names.
    fn releases(&self, table: &PublishedTable, dataset: &Dataset, who: &Who) -> Vec<Earlier> {
        let fields = || self.resources.iter().filter_map(|r| r.schema.as_ref()).flat_map(|s| &s.fields);
        let origin = |f: &Field| f.source.clone().map(|source| Origin { source, prefix: f.prefix });
        let all: Vec<(String, Option<Origin>)> = fields().map(|f| (f.name.clone(), origin(f))).collect();
        let names = names(dataset, &all);
        let keys: Vec<Key> = table.keys.iter().map(|k| renamed(k, &names)).collect();
        let mut levels: Vec<(String, Origin)> =
            names.into_values().filter_map(|(name, origin)| Some((name, origin?))).collect();
        levels.sort();
        levels.dedup();
        let zoning = Zoning { levels, conditions: self.rows.conditions(&self.table) };
        let summed = dataset.summed();
        let same = |m: &&published_csv::Measure| {
            let column = fields().find(|f| f.name == m.name).and_then(|f| f.column.as_ref());
            let counts = dataset.measure.counts_persons();
            m.additive && if counts { m.persons } else { column == summed.as_ref() }
        };
        // A table that protects nobody promises nothing.
        let rule = table.promised.unwrap_or(Uniform { threshold: 2, width: 1, percent: 0 });
        table
            .measures
            .iter()
            .filter(same)
            .filter_map(|m| {
                let release = table.release(&m.name, &who.population, &self.state)?;
                // Of a sum that several datasets make, the candidate's rule is that of all.
                let persons = dataset.measure.counts_persons();
                let release = Release { keys: keys.clone(), persons, ..release };
                Some(Earlier { release, rule, zoning: zoning.clone() })
            })
            .collect()
    }
}

fn described(folder: &Path) -> Result<Described> {
    let path = folder.join("datapackage.json");
    let text = std::fs::read_to_string(&path).at(&path)?;
    serde_json::from_str(&text).map_err(|e| Error::Corrupt(format!("{} : {e}", path.display())))
}

/// Refuses a candidate in which a code comes under several others where an earlier release had it under one, or
/// the contrary: the same persons would have two names, and masks would not be kept.
///
/// # Errors
/// [`Error::Refused`] `HIERARCHY_CHANGED`.
pub fn same_names(dataset: &Dataset, own: &[Key], earlier: &[Earlier]) -> Result<()> {
    let fine: BTreeSet<&str> =
        dataset.dimensions.iter().filter(|d| d.coarser.is_some()).map(|d| d.name.as_str()).collect();
    // Codes of fine levels, by whether they are named after the one above.
    let forms = |keys: &[Key]| {
        let mut found: BTreeMap<(String, String), BTreeSet<bool>> = BTreeMap::new();
        for (level, code) in keys.iter().flatten().filter(|(l, _)| fine.contains(l.as_str())) {
            let plain = code.rsplit(UNDER).next().unwrap_or(code).to_owned();
            found.entry((level.clone(), plain)).or_default().insert(code.contains(UNDER));
        }
        found
    };
    if fine.is_empty() {
        return Ok(());
    }
    let now = forms(own);
    for other in earlier {
        let turned =
            forms(&other.release.keys).into_iter().find(|(k, form)| now.get(k).is_some_and(|n| n != form));
        if let Some(((level, code), _)) = turned {
            return Err(Error::Refused {
                code: "HIERARCHY_CHANGED",
                message: format!(
                    "« {level} » : le code « {code} » ne se range plus comme dans « {} » (un seul code au-dessus, puis plusieurs, ou \
                     l'inverse) : les masques ne se suivraient plus ; corrigez la source, ou publiez sans cette hiérarchie",
                    other.release.name
                ),
            });
        }
    }
    Ok(())
}
