//! The two methods that mask nothing and change figures instead: controlled rounding, and noise by cell key.

use super::dataset::Dataset;
use super::protect;
use super::protection::Protection;
use super::table::{Cube, Figures};
use crate::disclosure::audit::{Interval, Limits};
use crate::disclosure::cell_key::{Perturbation, RecordKeys};
use crate::disclosure::policy::Policy;
use crate::disclosure::release::Key;
use crate::disclosure::rounding::{Guarantee, round};
use crate::error::{Error, Result};
use crate::french::count;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Base of rounding at most.
const LARGEST_BASE: u32 = 10_000;

/// How persons are protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Cells are masked.
    #[default]
    Suppression,
    /// Figures are multiples of `base`, and add up.
    Rounding,
    /// Figures carry a bounded noise, the same for the same persons, and do not add up.
    CellKey,
}

/// Faults of a method under its policy: with the base of rounding or the bound of noise.
pub fn faults(method: Method, policy: &Policy, base: Option<u32>, noise: Option<u32>) -> Vec<String> {
    let mut found = Vec::new();
    // A reader who knows more than the draw promises (mending is not unbiased) must still not exclude the
    // threshold of what is not shown.
    let least = policy.threshold.saturating_mul(2).max(policy.width.saturating_add(2));
    match (method, base, noise) {
        (Method::Suppression, None, None) => {}
        (Method::Suppression, ..) => {
            found.push("base et noise sont ceux de method = \"rounding\" et \"cell_key\"".into());
        }
        (Method::Rounding, Some(base), None) if (least..=LARGEST_BASE).contains(&base) => {}
        (Method::Rounding, ..) => found.push(format!(
            "method = \"rounding\" veut base, de {least} (deux fois le seuil) à {LARGEST_BASE}, et pas de noise"
        )),
        (Method::CellKey, None, Some(noise)) if noise < 11 && noise.saturating_add(1) >= policy.threshold => {}
        (Method::CellKey, ..) => found.push(format!(
            "method = \"cell_key\" veut noise, de {} à 10 (un chiffre montré à 1 peut alors atteindre le seuil), et pas de base",
            policy.threshold.saturating_sub(1)
        )),
    }
    if method != Method::Suppression && !policy.attributes.is_empty() {
        found.push(
            "attributes ne se protège qu'en masquant : deux chiffres changés mais égaux diraient qu'un groupe est tout \
             entier dans une modalité ; retirez attributes, ou écrivez method = \"suppression\""
                .into(),
        );
    }
    found
}

/// What versions drawn alike have in common, in a form that tells nothing of the key: none without noise. Another
/// key, bound, contributor or table gives another noise, and two noises of one figure narrow it.
pub fn series(dataset: &Dataset) -> Option<String> {
    let noise = dataset.protection.as_ref()?.noise()?;
    let contributor = dataset.measure.contributor.as_deref().unwrap_or_default();
    let names = dataset.dimension_names().join("\0");
    // No pseudonym of a person begins with a nil.
    let words = format!("\0{}\0{noise}\0{contributor}\0{names}", dataset.name);
    Some(format!("{:016x}", RecordKeys::new(dataset.secret.as_ref()?).of(&words)))
}

/// The published figures of a dataset whose method changes them, and how far rounding went.
///
/// # Errors
/// [`Error::Usage`] without a key; [`Error::Refused`] `PERTURBATION_REFUSED` when a small cell can still be
/// computed.
pub fn cube(
    dataset: &Dataset,
    protection: &Protection,
    inner: &BTreeMap<Vec<String>, Figures>,
) -> Result<(Cube, Option<Guarantee>)> {
    let Some(secret) = dataset.secret else {
        return Err(Error::Usage(format!(
            "jeu {} : ses chiffres se changent avec une clé, et il n'y en a pas",
            dataset.name
        )));
    };
    let mut cube = Cube::with_totals(dataset.chains(), inner);
    let names = dataset.dimension_names();
    let keys: Vec<Key> = cube.keys(&names);
    let tables = protect::tables(dataset, inner)?;
    if let Some(base) = protection.base() {
        let rounded = round(&tables, base, &secret)?;
        let by: BTreeMap<Key, i64> =
            (0_u32..).zip(&rounded.values).map(|(cell, value)| (tables.key(cell), *value)).collect();
        for (cell, key) in cube.cells.iter_mut().zip(&keys) {
            let shown = by.get(key).and_then(|v| u64::try_from(*v).ok());
            cell.figures.value = shown.ok_or_else(|| {
                Error::Corrupt(format!("jeu {} : cellule hors de ses dimensions", dataset.name))
            })?;
        }
        // A row shown at nil would tell that somebody is there.
        cube.cells.retain(|c| c.figures.value > 0);
        return Ok((cube, Some(rounded.guarantee)));
    }
    let noise = Perturbation::new(protection.noise().unwrap_or(0))?;
    for cell in &mut cube.cells {
        cell.figures.value = noise.shown(cell.figures.value, cell.figures.key);
    }
    let by: BTreeMap<&Key, u64> = keys.iter().zip(&cube.cells).map(|(k, c)| (k, c.figures.value)).collect();
    let shown: Vec<u64> =
        (0..).take(tables.cells.len()).map(|cell| by.get(&tables.key(cell)).copied().unwrap_or(0)).collect();
    let policy = protection.policy();
    let rule = policy.uniform().of(true);
    let known = noise.attack(&shown, &tables.relations, &Limits::default())?;
    let few = |i: &&Interval| {
        tables.cells.get(i.cell as usize).is_some_and(|c| (1..rule.threshold).contains(&c.value))
    };
    let exposed = known.iter().filter(few).filter(|i| !rule.allows(i.lower, i.upper)).count() as u64;
    // Wide bounds that no table was seen to reach prove nothing.
    let proven = |i: &Interval| i.proves(|low, high| rule.allows(low, high));
    let unsure = known.iter().filter(few).filter(|i| rule.allows(i.lower, i.upper) && !proven(i)).count();
    let refuse = |what: String| {
        Err(Error::Refused {
            code: "PERTURBATION_REFUSED",
            message: format!(
                "{what} ; rien n'est publié : masquez (method = \"suppression\"), ou publiez moins de croisements"
            ),
        })
    };
    if exposed > 0 {
        let few = count(exposed, "petite cellule se recalcule", "petites cellules se recalculent");
        return refuse(format!("{few} malgré le bruit, par les additions"));
    }
    if unsure > 0 {
        let few = count(unsure as u64, "petite cellule", "petites cellules");
        return refuse(format!("l'attaque n'a pas pu être menée à son terme sur {few}"));
    }
    // A row shown at nil would tell that somebody is there.
    cube.cells.retain(|c| c.figures.value > 0);
    Ok((cube, None))
}
