//! What the descriptor says of each column.

use crate::disclosure::policy::Zeros;
use crate::disclosure::slots::Slots;
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(rename = "cartulaire:role")]
    pub(super) role: Role,
    #[serde(rename = "cartulaire:hierarchy")]
    pub(super) coarser: Option<String>,
    #[serde(rename = "cartulaire:additive", default)]
    pub(super) additive: bool,
    /// What persons make together: their number is another measure.
    #[serde(rename = "cartulaire:amount", default)]
    pub(super) amount: bool,
    /// Counts persons: every measure that does not say otherwise.
    #[serde(rename = "cartulaire:persons")]
    pub(super) persons: Option<bool>,
    /// `concealed`: masked cells may be nil.
    #[serde(rename = "cartulaire:zeros")]
    pub(super) zeros: Option<Zeros>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    Dimension,
    Measure,
    Status,
}

/// What the columns are.
pub(super) struct Layout {
    pub(super) names: Vec<String>,
    /// Columns of each hierarchy, coarse before fine.
    pub(super) chains: Vec<Vec<usize>>,
    /// Column, column of its status, and what the descriptor says of it.
    pub(super) measures: Vec<(usize, usize, Field)>,
    /// Dimension number of each column.
    pub(super) dimension: Vec<Option<usize>>,
    pub(super) dimensions: Vec<usize>,
}

/// Hierarchies and dimensions at most: every crossing of them is looked at with all others.
const HIERARCHIES: usize = 8;
const DIMENSIONS: usize = 24;

/// What the fields say, or the name near which they are wrong and why.
pub(super) fn layout(fields: Vec<Field>) -> Result<Layout, (String, String)> {
    let names: Vec<String> = fields.iter().map(|f| f.name.clone()).collect();
    let refuse = |near: &str, message: &str| Err((near.to_owned(), format!("champ « {near} » : {message}")));
    let mut seen = BTreeSet::new();
    let mut layout = Layout {
        names: names.clone(),
        chains: Vec::new(),
        measures: Vec::new(),
        dimension: vec![None; names.len()],
        dimensions: Vec::new(),
    };
    for (i, field) in fields.iter().enumerate() {
        if !seen.insert(field.name.clone()) {
            return refuse(&field.name, "deux champs de ce nom");
        }
        if field.role != Role::Dimension {
            continue;
        }
        layout.dimension.put(i, Some(layout.dimensions.len()));
        layout.dimensions.push(i);
        match &field.coarser {
            None => layout.chains.push(vec![i]),
            Some(coarser) => {
                let above = names.iter().position(|n| n == coarser);
                match layout.chains.iter_mut().find(|c| above.is_some() && c.last().copied() == above) {
                    Some(chain) => chain.push(i),
                    None => {
                        return refuse(
                            &field.name,
                            "cartulaire:hierarchy nomme la dimension plus large qui la précède, et n'en porte qu'une plus fine",
                        );
                    }
                }
            }
        }
    }
    if layout.chains.len() > HIERARCHIES || layout.dimensions.len() > DIMENSIONS {
        let message = format!(
            "{} dimensions en {} hiérarchies : au plus {DIMENSIONS} et {HIERARCHIES}",
            layout.dimensions.len(),
            layout.chains.len()
        );
        return Err(("fields".into(), message));
    }
    for (i, field) in fields.into_iter().enumerate() {
        match field.role {
            Role::Dimension => {}
            Role::Measure => {
                let status = format!("{}_statut", field.name);
                let Some(at) = names.iter().position(|n| *n == status) else {
                    return refuse(&field.name, "la mesure n'a pas de colonne de statut");
                };
                if field.additive && field.kind != "integer" {
                    return refuse(&field.name, "une mesure additive est de type integer");
                }
                layout.measures.push((i, at, field));
            }
            Role::Status => {
                if !field.name.strip_suffix("_statut").is_some_and(|m| names.iter().any(|n| n == m)) {
                    return refuse(&field.name, "un statut se nomme comme sa mesure, suivi de _statut");
                }
            }
        }
    }
    if layout.measures.is_empty() {
        return Err(("fields".into(), "aucune mesure".into()));
    }
    Ok(layout)
}
