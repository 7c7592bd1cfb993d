//! What was published before of the same population, as its files say it.

use super::dataset::Dataset;
use super::perturb;
use crate::disclosure::published_csv;
use crate::disclosure::release::Release;
use crate::error::{Error, IoContext, Result};
use crate::store::{Store, files};
use serde_json::Value;
use std::path::Path;

/// Publications of a population that the ledger knows, from their folders.
///
/// # Errors
/// When a publication is not what the ledger knows: nothing can be audited against it.
pub fn earlier(store: &Store, dataset: &Dataset, population: &str) -> Result<Vec<Release>> {
    let mut found = Vec::new();
    for row in store.ledger.publications()?.into_iter().rev() {
        let folder = store.path(&row.path);
        if files::digest(&folder.join("data.csv"))?.to_string() != row.digest {
            return Err(Error::Corrupt(format!("« {} » n'est plus ce qui a été publié", row.path)));
        }
        let found_of = described(&folder)?;
        if found_of.microdata && found_of.same_persons(dataset, population) {
            return Err(Error::Refused {
                code: "MICRODATA_PUBLISHED",
                message: format!(
                    "« {} » a publié des lignes de la même population : aucun tableau ne peut plus en être prouvé sûr",
                    row.path
                ),
            });
        }
        if found_of.changed.is_some() && found_of.population == population {
            return Err(Error::Refused {
                code: "PERTURBED_PUBLISHED",
                message: format!(
                    "« {} » a publié des chiffres arrondis ou bruités de la même population : des chiffres exacts diraient ce qui a été changé",
                    row.path
                ),
            });
        }
        let Described { population: own, state, microdata, .. } = found_of;
        if microdata || own != population {
            continue;
        }
        let table = published_csv::read(&folder)?;
        let measures: Vec<&str> =
            table.measures.iter().filter(|m| m.additive && m.persons).map(|m| m.name.as_str()).collect();
        found.extend(measures.iter().filter_map(|m| table.release(m, population, &state)));
    }
    Ok(found)
}

/// Refuses amounts of persons of whom amounts were published already: the difference of two sums may be what
/// one person makes, and nobody proved that it is not. The same file once more says nothing more.
///
/// # Errors
/// [`Error::Refused`] `AMOUNTS_REPEATED`.
pub fn amounts_once(store: &Store, population: &str, digest: &str) -> Result<()> {
    for row in store.ledger.publications()?.into_iter().filter(|p| p.digest != digest) {
        let folder = store.path(&row.path);
        let found = described(&folder)?;
        if found.microdata || found.population != population {
            continue;
        }
        if published_csv::read(&folder)?.measures.iter().any(|m| m.additive && !m.persons) {
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

/// Refuses changed figures of a population of which others were published: together they narrow the doubt. Noise
/// drawn alike from the same persons is the same: the versions of one series may follow each other.
///
/// # Errors
/// [`Error::Refused`] `PERTURBED_REPEATED`.
pub fn changed_alone(store: &Store, dataset: &Dataset, population: &str, digest: &str) -> Result<()> {
    let series = perturb::series(dataset);
    for row in store.ledger.publications()?.into_iter().filter(|p| p.digest != digest) {
        let found = described(&store.path(&row.path))?;
        let same_noise = series.is_some() && found.series == series;
        let rows = found.microdata && found.same_persons(dataset, population);
        if rows || found.population == population && !same_noise {
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
    for row in store.ledger.publications()?.into_iter().filter(|p| p.digest != digest) {
        if described(&store.path(&row.path))?.same_persons(dataset, population) {
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

/// What a publication says it is of.
struct Described {
    population: String,
    state: String,
    microdata: bool,
    table: String,
    /// Method that changed its figures.
    changed: Option<String>,
    /// What its noise was drawn from.
    series: Option<String>,
}

impl Described {
    /// Whether it is made of the same table, or says that it is of the same population.
    fn same_persons(&self, dataset: &Dataset, population: &str) -> bool {
        self.population == population || self.table == dataset.table
    }
}

fn described(folder: &Path) -> Result<Described> {
    let path = folder.join("datapackage.json");
    let text = std::fs::read_to_string(&path).at(&path)?;
    let value: Value =
        serde_json::from_str(&text).map_err(|e| Error::Corrupt(format!("{} : {e}", path.display())))?;
    let of = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let told = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(Described {
        population: of("cartulaire:population"),
        state: of("cartulaire:state"),
        table: of("cartulaire:table"),
        changed: told("cartulaire:method"),
        series: told("cartulaire:series"),
        microdata: value.get("cartulaire:microdata").is_some_and(|m| m == &Value::Bool(true)),
    })
}
