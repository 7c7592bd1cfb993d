//! A candidate beside everything published of the same persons, in one set of names.

use super::dataset::Dataset;
use super::earlier::{self, Earlier, Who, Zoning};
use super::implied::{Knowledge, knowledge};
use super::levels::{Condition, Origin};
use super::protect::Protected;
use super::protection::{Conflict, Protection};
use super::publish::Edition;
use super::{aggregate, protect};
use crate::disclosure::audit::Limits;
use crate::disclosure::joint::{Proof, refusal, review};
use crate::disclosure::propose::{Candidate, Proposal, propose, settle};
use crate::disclosure::release::{Chosen, Key, Release};
use crate::disclosure::suppress::Suppression;
use crate::disclosure::table::Tables;
use crate::error::Result;
use crate::store::Store;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet};

/// A dataset that this run protected: what its masks prove serves those that follow.
pub struct Kept {
    who: Who,
    state: String,
    levels: Vec<(String, Option<Origin>)>,
    conditions: Vec<Condition>,
    keys: Vec<Key>,
    truth: Vec<i64>,
    suppression: Suppression,
}

impl Kept {
    /// What a dataset proves of its own.
    pub(super) fn of(dataset: &Dataset, edition: &Edition<'_>, protected: &Protected) -> Self {
        let names = dataset.dimension_names().into_iter().map(ToOwned::to_owned);
        let tables = &protected.tables;
        Kept {
            who: edition.who.clone(),
            state: edition.state.to_owned(),
            levels: names.zip(dataset.origins().into_iter().map(Some)).collect(),
            conditions: edition.rows.conditions(&dataset.table),
            keys: (0..).take(tables.cells.len()).map(|c| tables.key(c)).collect(),
            truth: tables.cells.iter().map(|c| c.value).collect(),
            suppression: protected.suppression.clone(),
        }
    }
}

/// What the records of each state say of the levels of all; nothing where all are versions of one dataset, whose
/// names are the same.
struct Said<'a> {
    dataset: &'a Dataset,
    states: BTreeMap<String, Knowledge>,
}

impl<'a> Said<'a> {
    fn of(
        store: &Store,
        dataset: &'a Dataset,
        state: &str,
        own: &Zoning,
        earlier: &[Earlier],
    ) -> Result<Self> {
        let mut said = Said { dataset, states: BTreeMap::new() };
        if earlier.iter().all(|e| e.zoning == *own) && dataset.margins.is_none() {
            return Ok(said);
        }
        let mut levels: BTreeSet<(String, Origin)> = own.levels.iter().cloned().collect();
        let mut conditions: BTreeSet<Condition> = own.conditions.iter().cloned().collect();
        for zoning in earlier.iter().map(|e| &e.zoning) {
            levels.extend(zoning.levels.iter().cloned());
            conditions.extend(zoning.conditions.iter().cloned());
        }
        // What a choice looks at may be said by a level.
        for condition in &conditions {
            let origin = Origin::own(&dataset.table, &condition.column);
            if !levels.iter().any(|(_, o)| *o == origin) {
                levels.insert((origin.name(), origin));
            }
        }
        let levels: Vec<_> = levels.into_iter().collect();
        let conditions: Vec<_> = conditions.into_iter().collect();
        let states: BTreeSet<&str> =
            earlier.iter().map(|e| e.release.state.as_str()).chain([state]).collect();
        for state in states {
            if let Ok(day) = state.parse::<NaiveDate>() {
                let found = knowledge(store, dataset, day, &levels, &conditions)?;
                said.states.insert(state.to_owned(), found);
            }
        }
        Ok(said)
    }

    /// The choices of a state that leave rows out, as names of cells say them.
    fn chosen(&self, state: &str, conditions: &[Condition]) -> Vec<Chosen> {
        let Some(here) = self.states.get(state) else { return Vec::new() };
        let (own, names) = (self.dataset.origins(), self.dataset.dimension_names());
        let level = |column: &str| {
            let origin = Origin::own(&self.dataset.table, column);
            let same = own.iter().position(|o| *o == origin).and_then(|i| names.get(i));
            same.map_or_else(|| origin.name(), |n| (*n).to_owned())
        };
        let leaves = conditions.iter().filter(|c| !here.idle.contains(&c.name));
        leaves.map(|c| c.chosen(level(&c.column))).collect()
    }

    /// An earlier release, its cells named by what it chose.
    fn named(&self, earlier: &Earlier) -> Release {
        let mut release = earlier.release.clone();
        let choice = self.chosen(&release.state, &earlier.zoning.conditions);
        for key in &mut release.keys {
            choice.iter().for_each(|c| c.name(key));
        }
        let implied = self.states.get(&release.state).map(|k| k.implied.clone()).unwrap_or_default();
        Release { implied: implied.into(), chosen: choice.into(), ..release }
    }

    /// Names of the cells of a dataset that this run protected.
    fn keys(&self, kept: &Kept) -> Vec<Key> {
        let names = earlier::names(self.dataset, &kept.levels);
        let choice = self.chosen(&kept.state, &kept.conditions);
        let named = |key: &Key| {
            let mut key = earlier::renamed(key, &names);
            choice.iter().for_each(|c| c.name(&mut key));
            key
        };
        kept.keys.iter().map(named).collect()
    }
}

/// Looks at a protected table together with everything published of the same persons.
///
/// # Errors
/// [`Refused`](crate::error::Error::Refused) when they say too much together.
pub fn with_earlier(
    store: &Store,
    dataset: &Dataset,
    protection: &Protection,
    edition: &Edition<'_>,
    alone: Protected,
    earlier: &[Earlier],
    kept: &[Kept],
) -> Result<Protected> {
    let (policy, limits) = (protection.policy(), Limits::default());
    let name = format!("{} {}", dataset.name, edition.version);
    let levels = dataset.dimension_names().into_iter().map(ToOwned::to_owned).zip(dataset.origins());
    let mut own = Zoning { levels: levels.collect(), conditions: edition.rows.conditions(&dataset.table) };
    own.levels.sort();
    let said = Said::of(store, dataset, edition.state, &own, earlier)?;
    let releases: Vec<Release> = earlier.iter().map(|e| said.named(e)).collect();
    let implied = said.states.get(edition.state).map(|k| k.implied.clone()).unwrap_or_default();
    let chosen = said.chosen(edition.state, &own.conditions);
    let candidate = Candidate {
        name: &name,
        population: &edition.who.population,
        state: edition.state,
        tables: &alone.tables,
        implied: &implied,
        chosen: &chosen,
    };
    let before: Vec<(Vec<Key>, &Kept)> = kept
        .iter()
        .filter(|k| k.who == *edition.who && k.state == edition.state)
        .map(|k| (said.keys(k), k))
        .collect();
    let others: Vec<Proof<'_>> = before
        .iter()
        .map(|(keys, k)| Proof { state: &k.state, keys, truth: &k.truth, suppression: &k.suppression })
        .collect();
    let keys = candidate.keys();
    let truth: Vec<i64> = alone.tables.cells.iter().map(|c| c.value).collect();
    let mut proofs = others.clone();
    proofs.push(Proof { state: edition.state, keys: &keys, truth: &truth, suppression: &alone.suppression });
    let release = candidate.release(&alone.suppression.masked, &policy);
    let findings = review(&release, &releases, policy.uniform(), &limits, &proofs)?;
    if findings.is_empty() {
        return Ok(alone);
    }
    if protection.conflict == Conflict::KeepMasks
        && let Some(suppression) = settle(&candidate, &policy, &releases, &limits, &others)?
    {
        return alone.with(&policy, suppression);
    }
    let again = at_earlier_state(store, dataset, edition, &releases)?;
    let reference = again.as_ref().map(|(state, tables)| Candidate { state, tables, ..candidate });
    let proposals = propose(&candidate, reference.as_ref(), &policy, &releases, &limits, &others)?;
    Err(refusal(&findings, &proposals.iter().map(Proposal::text).collect::<Vec<_>>()))
}

/// The dataset counted again at the last date of which something was published before.
fn at_earlier_state(
    store: &Store,
    dataset: &Dataset,
    edition: &Edition<'_>,
    earlier: &[Release],
) -> Result<Option<(String, Tables)>> {
    let before = earlier.iter().map(|r| r.state.as_str()).filter(|s| *s < edition.state).max();
    let Some(date) = before.and_then(|s| s.parse::<NaiveDate>().ok()) else { return Ok(None) };
    let mut counted = aggregate::aggregate(store, dataset, date)?;
    if counted.inner.is_empty() {
        return Ok(None);
    }
    protect::with_zeros(dataset, &mut counted.inner)?;
    Ok(Some((counted.state, protect::tables(dataset, &counted.inner)?)))
}
