//! From the cells of a dataset to what may leave: what to mask, and the proof that it is enough.

use super::dataset::Dataset;
use super::protection::Protection;
use super::table::{Cube, Figures, Several};
use crate::disclosure::certificate::Certificate;
use crate::disclosure::certify;
use crate::disclosure::policy::{Insiders, Policy, Requirement, Zeros};
use crate::disclosure::proof_file::{ProofFile, Proven};
use crate::disclosure::published_csv::PublishedTable;
use crate::disclosure::release::Key;
use crate::disclosure::suppress::{Imposed, Suppression, suppress};
use crate::disclosure::table::{Dimension, LEVEL, Record, Spec, Tables};
use crate::error::{Error, Result};
use crate::french::count;
use std::collections::{BTreeMap, BTreeSet};

/// Cells of a dataset that counts persons, and what is masked of them.
pub struct Protected {
    /// The cells as one system.
    pub tables: Tables,
    /// What is masked.
    pub suppression: Suppression,
    certificate: Certificate,
    /// What these persons make together; masked in the same cells.
    amounts: Option<Box<Protected>>,
}

/// Combinations that a dataset may list with their zeros.
const DENSE_MAX: usize = 2_000_000;

/// Amount of a cell, so that no addition of the audit overflows.
const LARGEST: i64 = 1_000_000_000_000;

/// Where zeros may be masked, they are cells like the others: every combination is listed.
///
/// # Errors
/// [`Error::Refused`] when they are too many.
pub fn with_zeros(dataset: &Dataset, inner: &mut BTreeMap<Vec<String>, Figures>) -> Result<()> {
    if dataset.protection.as_ref().is_none_or(|p| p.policy().zeros == Zeros::Published) || inner.is_empty() {
        return Ok(());
    }
    let leaves: Vec<(Vec<usize>, BTreeSet<Vec<String>>)> = dataset
        .chains()
        .into_iter()
        .map(|chain| {
            let of = |codes: &Vec<String>| chain.iter().filter_map(|c| codes.get(*c).cloned()).collect();
            let found = inner.keys().map(of).collect();
            (chain, found)
        })
        .collect();
    let size = leaves.iter().fold(1_usize, |n, (_, l)| n.saturating_mul(l.len()));
    if size > DENSE_MAX {
        return Err(Error::Refused {
            code: "TOO_MANY_ZEROS",
            message: format!("{size} combinaisons à lister avec leurs zéros : publiez moins de croisements"),
        });
    }
    let mut all = vec![vec![String::new(); dataset.dimensions.len()]];
    for (chain, codes) in &leaves {
        let mut next = Vec::with_capacity(all.len() * codes.len());
        for (key, leaf) in all.iter().flat_map(|key| codes.iter().map(move |leaf| (key, leaf))) {
            let mut key: Vec<String> = key.clone();
            for (column, code) in chain.iter().zip(leaf) {
                if let Some(place) = key.get_mut(*column) {
                    place.clone_from(code);
                }
            }
            next.push(key);
        }
        all = next;
    }
    for key in all {
        inner.entry(key).or_default();
    }
    Ok(())
}

/// Builds the system of cells of a dataset: its persons, or what they make where their number does not leave.
///
/// # Errors
/// [`Error::Refused`] `FIGURE_TOO_LARGE`, or `TABLES` when its crossings are no system.
pub fn tables(dataset: &Dataset, inner: &BTreeMap<Vec<String>, Figures>) -> Result<Tables> {
    built(dataset, inner, dataset.measure.counts_persons())
}

/// The same cells with what persons make together, where the dataset publishes it.
///
/// # Errors
/// As [`tables`].
pub fn amounts(dataset: &Dataset, inner: &BTreeMap<Vec<String>, Figures>) -> Result<Option<Tables>> {
    let beside = dataset.measure.amounts() && dataset.measure.counts_persons();
    beside.then(|| built(dataset, inner, false)).transpose()
}

fn built(dataset: &Dataset, inner: &BTreeMap<Vec<String>, Figures>, persons: bool) -> Result<Tables> {
    let names = dataset.dimension_names();
    let chains = dataset.chains();
    let several = Several::of(&chains, inner.keys());
    let dimensions: Vec<Dimension> =
        chains.iter().map(|chain| dimension(&names, chain, inner, &several)).collect::<Result<_>>()?;
    let nodes: Vec<BTreeMap<&str, u32>> = dimensions.iter().map(Dimension::nodes).collect();
    let mut records = Vec::with_capacity(inner.len());
    for (codes, figures) in inner {
        let leaf = |(chain, nodes): (&Vec<usize>, &BTreeMap<&str, u32>)| {
            nodes.get(node(chain, codes, &several).as_str()).copied()
        };
        let leaves: Option<Vec<u32>> = chains.iter().zip(&nodes).map(leaf).collect();
        let record = leaves.and_then(|leaves| match persons {
            true => Some(Record::count(leaves, u32::try_from(figures.value).ok()?)),
            false => Some(Record {
                leaves,
                value: i64::try_from(figures.sum).ok().filter(|v| *v <= LARGEST)?,
                contributors: figures.value,
                first: i64::try_from(figures.first).ok()?,
                second: i64::try_from(figures.second).ok()?,
            }),
        });
        let Some(record) = record else {
            return Err(Error::Refused {
                code: "FIGURE_TOO_LARGE",
                message: format!("jeu {} : un chiffre est trop grand pour être protégé", dataset.name),
            });
        };
        records.push(record);
    }
    drop(nodes);
    let overlap = !dataset.measure.counts_persons();
    let spec = Spec { dimensions, records, published: dataset.margins.clone(), overlap };
    // One dataset that is no system keeps the night from nothing else.
    Tables::build(vec![spec], persons)
        .map_err(|e| Error::Refused { code: "TABLES", message: format!("jeu {} : {e}", dataset.name) })
}

/// Name of the node of the last column of a chain, marked by its level (Paris is an académie, a département and a
/// commune).
fn node(chain: &[usize], codes: &[String], several: &Several) -> String {
    let level = LEVEL.to_string().repeat(chain.len().saturating_sub(1));
    format!("{}{level}", several.name(chain, codes))
}

fn dimension(
    names: &[&str],
    chain: &[usize],
    inner: &BTreeMap<Vec<String>, Figures>,
    several: &Several,
) -> Result<Dimension> {
    let levels: Vec<&str> = chain.iter().filter_map(|c| names.get(*c).copied()).collect();
    let name = levels.last().copied().unwrap_or_default();
    let mut edges: BTreeSet<(String, Option<String>)> = BTreeSet::new();
    for codes in inner.keys() {
        let mut parent = None;
        for depth in 1..=chain.len() {
            let own = node(chain.get(..depth).unwrap_or_default(), codes, several);
            edges.insert((own.clone(), parent.replace(own)));
        }
    }
    if chain.len() == 1 {
        return Ok(Dimension::flat(name, edges.into_iter().map(|(code, _)| code)));
    }
    let edges: Vec<(&str, Option<&str>)> = edges.iter().map(|(c, p)| (c.as_str(), p.as_deref())).collect();
    Dimension::hierarchy(name, &edges).map(|d| d.with_levels(levels)).map_err(|e| Error::Refused {
        code: "HIERARCHY",
        message: format!(
            "{e} : un code ne peut être rangé qu'à un endroit ; publiez ces dimensions sans hiérarchie"
        ),
    })
}

/// Chooses what to mask and proves it. Where persons are masked, so are their `amounts`, from which their
/// number could be guessed.
///
/// # Errors
/// [`Error::Refused`] `DISCLOSURE_AUDIT` when a cell cannot be protected.
pub fn protect(policy: &Policy, tables: Tables, amounts: Option<Tables>) -> Result<Protected> {
    let persons = safe(suppress(&tables, policy, &Imposed::default())?)?;
    Protected::of(policy, tables, persons, amounts)
}

/// What the persons' own table says of amounts: masked where they are, and known to be nil where nobody is.
fn as_masked(policy: &Policy, amounts: &Tables, persons: &Tables, masked: &[bool]) -> Imposed {
    let rule = policy.uniform().of(false);
    let mut out = Imposed::default();
    let cells = (0_u32..).zip(&amounts.cells).zip(persons.cells.iter().zip(masked));
    for ((cell, amount), (own, masked)) in cells {
        if *masked {
            let at_least = amount.value.saturating_add(rule.rise(amount.value));
            out.required.push(Requirement { cell, at_least, at_most: amount.value });
        } else if own.published && own.value == 0 {
            out.fixed.insert(cell);
        }
    }
    out
}

fn safe(suppression: Suppression) -> Result<Suppression> {
    if suppression.unprotected.is_empty() {
        return Ok(suppression);
    }
    Err(Error::Refused {
        code: "DISCLOSURE_AUDIT",
        message: format!(
            "{} à partir de ce qui serait publié ; rien n'est publié : publiez moins de croisements, ou un niveau plus large",
            count(
                suppression.unprotected.len() as u64,
                "cellule masquée pourrait être déduite",
                "cellules masquées pourraient être déduites"
            )
        ),
    })
}

impl Protected {
    /// With its proof, and that of its amounts.
    fn of(
        policy: &Policy,
        tables: Tables,
        suppression: Suppression,
        amounts: Option<Tables>,
    ) -> Result<Self> {
        let published = tables.published(&suppression.masked, policy.floor(&tables));
        let certificate = certify(&tables, &suppression, &published);
        let amounts = match amounts {
            None => None,
            Some(sums) => {
                let imposed = as_masked(policy, &sums, &tables, &suppression.masked);
                let chosen = safe(suppress(&sums, policy, &imposed)?)?;
                Some(Box::new(Protected::of(policy, sums, chosen, None)?))
            }
        };
        Ok(Protected { tables, suppression, certificate, amounts })
    }

    /// With other masks than it was made with, chosen together with earlier publications.
    ///
    /// # Errors
    /// [`Error::Refused`] when its amounts cannot follow.
    pub fn with(self, policy: &Policy, suppression: Suppression) -> Result<Self> {
        Protected::of(policy, self.tables, suppression, self.amounts.map(|a| a.tables))
    }

    /// Marks the masked cells of the published table.
    pub fn mask(&self, cube: &mut Cube, names: &[&str]) {
        let persons = self.masked();
        let amounts = self.amounts.as_ref().map(|a| a.masked()).unwrap_or_default();
        let keys: Vec<Key> = cube.keys(names);
        for (cell, key) in cube.cells.iter_mut().zip(keys) {
            cell.masked = persons.contains(&key);
            cell.amount_masked = amounts.contains(&key);
        }
    }

    fn masked(&self) -> BTreeSet<Key> {
        let cells = (0_u32..).zip(&self.suppression.masked).filter(|(_, masked)| **masked);
        cells.map(|(cell, _)| self.tables.key(cell)).collect()
    }
}

/// The certificate of what was written, checked before anything leaves: the figures are those read
/// back from the files, and the check shares nothing with what chose the masks.
///
/// # Errors
/// [`Error::Refused`] when the proof does not hold.
pub fn prove(
    dataset: &Dataset,
    protected: Option<&Protected>,
    written: &PublishedTable,
) -> Result<ProofFile> {
    let policy = dataset.protection.as_ref().map_or_else(nobody, Protection::policy);
    let systems = protected.iter().flat_map(|p| [Some(*p), p.amounts.as_deref()]).flatten();
    let figures = dataset.figures();
    let proven: Vec<Proven<'_>> = figures
        .iter()
        .filter(|f| f.unit.additive())
        .zip(systems)
        .map(|(figure, p)| Proven {
            measure: figure.name,
            tables: &p.tables,
            suppression: &p.suppression,
            certificate: &p.certificate,
        })
        .collect();
    let proof = ProofFile::of(written, &policy, &proven)?;
    proof.check(written, policy.uniform())?;
    written.check_computed()?;
    Ok(proof)
}

/// The policy of figures that count nobody: nothing is masked.
fn nobody() -> Policy {
    Policy {
        name: "aucune personne".into(),
        since: String::new(),
        threshold: 2,
        width: 1,
        dominance: None,
        p_percent: None,
        attributes: Vec::new(),
        zeros: Zeros::Published,
        insiders: Insiders::None,
    }
}
