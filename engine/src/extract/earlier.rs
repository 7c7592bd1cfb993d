//! What was published before of the same persons, as its files say it: files that the ledger pins.

use super::dataset::Dataset;
use super::levels::{self, Origin};
use super::perturb;
use crate::disclosure::policy::Uniform;
use crate::disclosure::published_csv::{self, PublishedTable};
use crate::disclosure::release::{Key, Release};
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

/// A publication of the same persons.
pub struct Earlier {
    /// Its figures, under the candidate's names of levels.
    pub release: Release,
    /// Doubt that was promised of them.
    pub rule: Uniform,
    /// Its levels, by the names that `release` gives them.
    pub levels: Vec<(String, Origin)>,
}

/// Publications of the same persons that the ledger knows, oldest first.
///
/// # Errors
/// [`Error::Corrupt`] when one is not what the ledger knows: nothing can be audited against it.
/// [`Error::Refused`] when it published rows, or changed figures.
pub fn earlier(store: &Store, dataset: &Dataset, who: &Who) -> Result<Vec<Earlier>> {
    let mut found = Vec::new();
    for row in store.ledger.publications()?.into_iter().rev() {
        let folder = store.path(&row.path);
        pinned(store, &row)?;
        let said = described(&folder)?;
        if !said.same_persons(who) {
            continue;
        }
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
        let folder = store.path(&row.path);
        let found = described(&folder)?;
        if found.microdata || !found.same_persons(who) {
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
        let found = described(&store.path(&row.path))?;
        let same_noise = !found.microdata && series.is_some() && found.series == series;
        if found.same_persons(who) && !same_noise {
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
        if described(&store.path(&row.path))?.same_persons(&who) {
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

/// Refuses a package whose files are not those that the ledger knows: `data.csv` by its digest, all by that of
/// `SHA256SUMS`.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn pinned(store: &Store, row: &Publication) -> Result<()> {
    let folder = store.path(&row.path);
    let refuse =
        |name: &str| Err(Error::Corrupt(format!("« {}/{name} » n'est plus ce qui a été publié", row.path)));
    if files::digest(&folder.join("data.csv"))?.to_string() != row.digest {
        return refuse("data.csv");
    }
    // Versions from before the register have no digest of the whole.
    let Some(facts) = store.ledger.publication_facts(&row.dataset, &row.version)? else { return Ok(()) };
    let path = folder.join("SHA256SUMS");
    let text = std::fs::read_to_string(&path).at(&path)?;
    if files::digest(&path)?.to_string() != facts.sums_sha256 {
        return refuse("SHA256SUMS");
    }
    for (digest, name) in text.lines().filter_map(|l| l.split_once("  ")) {
        if files::digest(&folder.join(name))?.to_string() != digest {
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
    #[serde(rename = "cartulaire:filter", default)]
    filter: String,
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
    #[serde(rename = "cartulaire:policy")]
    policy: Option<Promised>,
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
    /// Whether it is of the same table and year, or says that it is of the same population.
    fn same_persons(&self, who: &Who) -> bool {
        let years = [&self.year, &who.year];
        let apart = matches!(years, [Some(a), Some(b)] if a != b);
        self.population == who.population || (self.table == who.table && !apart)
    }

    /// Its measures that say the same as the candidate's, under the candidate's names.
    fn releases(&self, table: &PublishedTable, dataset: &Dataset, who: &Who) -> Vec<Earlier> {
        let fields = || self.resources.iter().filter_map(|r| r.schema.as_ref()).flat_map(|s| &s.fields);
        let origins = dataset.origins();
        let own = dataset.dimension_names();
        let mut names: BTreeMap<&str, String> = BTreeMap::new();
        let mut levels: Vec<(String, Origin)> = Vec::new();
        for field in fields() {
            let Some(source) = &field.source else { continue };
            let origin = Origin { source: source.clone(), prefix: field.prefix };
            let same = origins.iter().position(|o| *o == origin).and_then(|i| own.get(i));
            let name = same.map_or_else(|| origin.name(), |n| (*n).to_owned());
            if names.insert(&field.name, name.clone()).is_none() {
                levels.push((name, origin));
            }
        }
        let renamed = |key: &Key| {
            let level = |(l, c): &(String, String)| (names.get(l.as_str()).unwrap_or(l).clone(), c.clone());
            let mut key: Key = key.iter().map(level).collect();
            key.sort_unstable();
            key
        };
        let keys: Vec<Key> = table.keys.iter().map(renamed).collect();
        let summed = dataset.summed();
        let same = |m: &&published_csv::Measure| {
            let column = fields().find(|f| f.name == m.name).and_then(|f| f.column.as_ref());
            let counts = dataset.measure.counts_persons();
            m.additive && if counts { m.persons } else { m.amount && column == summed.as_ref() }
        };
        let rule = self.policy.as_ref().map_or(Uniform { threshold: 2, width: 1, percent: 0 }, |p| Uniform {
            threshold: p.threshold,
            width: p.width,
            percent: p.percent,
        });
        let state = levels::state(&self.state, &self.filter);
        table
            .measures
            .iter()
            .filter(same)
            .filter_map(|m| {
                let release = table.release(&m.name, &who.population, &state)?;
                let release = Release { keys: keys.clone(), ..release };
                Some(Earlier { release, rule, levels: levels.clone() })
            })
            .collect()
    }
}

fn described(folder: &Path) -> Result<Described> {
    let path = folder.join("datapackage.json");
    let text = std::fs::read_to_string(&path).at(&path)?;
    serde_json::from_str(&text).map_err(|e| Error::Corrupt(format!("{} : {e}", path.display())))
}

/// Levels that releases have and the candidate has not, once each.
pub fn other_levels(dataset: &Dataset, earlier: &[Earlier]) -> Vec<(String, Origin)> {
    let own = dataset.origins();
    let all: BTreeSet<(String, Origin)> = earlier.iter().flat_map(|e| e.levels.iter().cloned()).collect();
    all.into_iter().filter(|(_, origin)| !own.contains(origin)).collect()
}

/// Codes by level.
type Codes = BTreeSet<(String, String)>;

/// Refuses a candidate in which a code comes under several others where an earlier release had it under one, or
/// the contrary: the same persons would have two names, and masks would not be kept.
///
/// # Errors
/// [`Error::Refused`] `HIERARCHY_CHANGED`.
pub fn same_names(dataset: &Dataset, own: &[Key], earlier: &[Earlier]) -> Result<()> {
    let names = dataset.dimension_names();
    let pairs: Vec<(&str, &str)> = dataset
        .chains()
        .iter()
        .flat_map(|c| c.windows(2).map(<[usize]>::to_vec).collect::<Vec<_>>())
        .filter_map(|w| Some((*names.get(*w.first()?)?, *names.get(*w.get(1)?)?)))
        .collect();
    // Codes of fine levels, named with the level above or alone.
    let forms = |keys: &[Key]| {
        let (mut under, mut alone): (Codes, Codes) = Default::default();
        for key in keys {
            for (coarse, fine) in &pairs {
                let Some(pair) = key.iter().find(|(l, _)| l == fine) else { continue };
                let with = key.iter().any(|(l, _)| l == coarse);
                if with {
                    under.insert(pair.clone())
                } else {
                    alone.insert(pair.clone())
                };
            }
        }
        (under, alone)
    };
    if pairs.is_empty() || earlier.is_empty() {
        return Ok(());
    }
    let (under, alone) = forms(own);
    for other in earlier {
        let (before_under, before_alone) = forms(&other.release.keys);
        let turned = under.intersection(&before_alone).chain(alone.intersection(&before_under)).next();
        if let Some((level, code)) = turned {
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
