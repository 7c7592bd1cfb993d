//! What was published before of the same population, as its files say it.

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
pub fn earlier(store: &Store, population: &str) -> Result<Vec<Release>> {
    let mut found = Vec::new();
    for row in store.ledger.publications()?.into_iter().rev() {
        let folder = store.path(&row.path);
        if files::digest(&folder.join("data.csv"))?.to_string() != row.digest {
            return Err(Error::Corrupt(format!("« {} » n'est plus ce qui a été publié", row.path)));
        }
        let (own, state) = described(&folder)?;
        if own != population {
            continue;
        }
        let table = published_csv::read(&folder)?;
        let measures: Vec<&str> =
            table.measures.iter().filter(|m| m.additive).map(|m| m.name.as_str()).collect();
        found.extend(measures.iter().filter_map(|m| table.release(m, population, &state)));
    }
    Ok(found)
}

/// Population and state that a publication says it is of.
fn described(folder: &Path) -> Result<(String, String)> {
    let path = folder.join("datapackage.json");
    let text = std::fs::read_to_string(&path).at(&path)?;
    let value: Value =
        serde_json::from_str(&text).map_err(|e| Error::Corrupt(format!("{} : {e}", path.display())))?;
    let of = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok((of("cartulaire:population"), of("cartulaire:state")))
}
