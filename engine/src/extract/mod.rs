//! Open data: aggregate, protect, audit, publish. Nothing else of the store may leave.

mod aggregate;
mod catalogue;
mod contributors;
mod dataset;
mod earlier;
mod implied;
mod levels;
mod linked;
mod load;
mod measure;
mod metadata;
mod methodology;
mod microdata;
mod perturb;
mod preview;
mod protect;
mod protection;
mod publish;
mod raw_keys;
mod shown;
mod table;
mod terms;

pub use dataset::Dataset;
pub use earlier::pinned;
pub use protection::{Conflict, Policies};
pub use table::{Cell, Cube, TOTAL};

use crate::disclosure::criteria::{Criteria, criteria};
use crate::disclosure::policy::Zeros;
use crate::disclosure::published_csv::PublishedTable;
use crate::disclosure::release::Release;
use crate::error::{Error, Result};
use crate::french::count;
use crate::journal::NewEntry;
use crate::run::{Counts, Run, Said};
use crate::store::{Publication, PublicationFacts, Store, files};
use chrono::NaiveDate;
use earlier::Who;
use linked::Kept;
use perturb::Method;
use protection::Protection;
use publish::Edition;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A version that masks more of its figures than one in this many, beyond the version before it, says so.
const MUCH: i64 = 20;

/// A dataset made safe, in a folder of its own.
pub struct Extracted {
    /// Folder that may leave.
    pub package: PathBuf,
    /// Digest of `data.csv`: what decides whether a version is new.
    pub data_digest: String,
    /// Proof that masked cells stay in doubt, or what was measured of rows; never leaves.
    pub certificate: Vec<u8>,
    /// Source records read, and those counted in the result.
    pub counts: Counts,
    /// Figures, and how many are masked.
    pub cells: (usize, usize),
    /// Snapshots whose rows were counted.
    pub sources: Vec<String>,
    /// What the register of publications keeps of it.
    pub facts: PublicationFacts,
}

impl Extracted {
    /// What it holds, for people.
    pub fn summary(&self, dataset: &Dataset) -> String {
        let (all, without) = (self.cells.0 as u64, self.cells.1 as u64);
        if dataset.microdata.is_some() {
            let left = count(without, "retirée", "retirées");
            return format!("{}, dont {left}", count(all, "ligne de personne", "lignes de personnes"));
        }
        format!("{}, dont {}", count(all, "chiffre", "chiffres"), count(without, "masqué", "masqués"))
    }
}

/// Aggregates, protects, audits and writes a dataset into `folder`. `kept` are the datasets that the same run
/// protected before.
///
/// # Errors
/// [`Error::Refused`] when a cell could be computed back, from this publication or with earlier ones
/// of the same persons.
pub fn build(
    store: &Store,
    dataset: &Dataset,
    date: NaiveDate,
    version: &str,
    folder: &Path,
    kept: &mut Vec<Kept>,
) -> Result<Extracted> {
    let mut dataset = dataset.dated(date)?;
    let mut counted = aggregate::aggregate(store, &dataset, dataset.counted_on(date))?;
    // The cohorts of another school year are other persons.
    let year = dataset.latest_year_only.then(|| counted.year.clone());
    let of_year = year.as_ref().map(|y| format!(" {y}")).unwrap_or_default();
    let who =
        Who { population: format!("{}{of_year}", dataset.population), table: dataset.table.clone(), year };
    let (state, modified) = (counted.state.clone(), date.to_string());
    let rows = dataset.rows(dataset.counted_on(date));
    let edition = Edition { version, who: &who, state: &state, rows: &rows, modified: &modified };
    if let Some(terms) = dataset.microdata.as_ref().filter(|_| !counted.inner.is_empty()) {
        return microdata::build(store, &dataset, terms, counted, &edition, folder);
    }
    let masking = |p: &&Protection| p.method == Method::Suppression;
    let mut before = Vec::new();
    if dataset.protection.as_ref().is_some_and(|p| masking(&p)) && !counted.inner.is_empty() {
        before = earlier::earlier(store, &dataset, &who)?;
    }
    if let Some(protection) = &mut dataset.protection {
        // A weaker policy would give away what a stronger one masked.
        before.iter().for_each(|e| protection.strengthen(e.rule));
    }
    let dataset = &dataset;
    protect::with_zeros(dataset, &mut counted.inner)?;
    table::check_size(dataset, counted.inner.len())?;
    let changed = dataset.protection.as_ref().filter(|p| !masking(p));
    let (mut cube, rounding) = match changed.filter(|_| !counted.inner.is_empty()) {
        Some(protection) => perturb::cube(dataset, protection, &counted.inner)?,
        None => (Cube::with_totals(dataset.chains(), &counted.inner), None),
    };
    let protected = match dataset.protection.as_ref().filter(|p| masking(p) && !cube.cells.is_empty()) {
        Some(protection) => {
            let policy = protection.policy();
            let tables = protect::tables(dataset, &counted.inner)?;
            earlier::same_names(dataset, &cube.keys(&dataset.dimension_names()), &before)?;
            let alone = protect::protect(&policy, tables, protect::amounts(dataset, &counted.inner)?)?;
            Some(linked::with_earlier(store, dataset, protection, &edition, alone, &before, kept)?)
        }
        None => None,
    };
    if let Some(protected) = &protected {
        protected.mask(&mut cube, &dataset.dimension_names());
        kept.push(Kept::of(dataset, &edition, protected));
    }
    if dataset.margins.is_some() {
        let depths: Vec<Vec<u8>> = cube.cells.iter().map(|c| cube.depths(c)).collect();
        let mut listed = depths.iter().map(|d| dataset.publishes(d));
        cube.cells.retain(|_| listed.next().unwrap_or(false));
    }
    let written = publish::write_data(dataset, &cube, &edition, folder)?;
    let certificate = protect::prove(dataset, protected.as_ref(), &written)?;
    if changed.is_some() {
        earlier::changed_alone(store, dataset, &who, &written.digest.to_string())?;
    }
    if dataset.measure.amounts() && dataset.measure.counts_persons() {
        earlier::amounts_once(store, &who, &written.digest.to_string())?;
    }
    let releases: Vec<Release> = before.into_iter().map(|e| e.release).collect();
    let mut measured = Criteria { rounding, ..measured(dataset, &written, &releases) };
    if dataset.protection.is_some() {
        measured.raw_keys = Some(raw_keys::among_codes(store, dataset, &counted.sources, &cube)?);
    }
    let pages = publish::pages(dataset, &cube, &edition, &measured);
    publish::write_companions(dataset, &edition, pages, folder)?;
    Ok(Extracted {
        package: folder.to_path_buf(),
        data_digest: written.digest.to_string(),
        certificate: certificate.to_bytes()?,
        counts: counted.counts,
        cells: preview::counts(dataset, &cube),
        sources: counted.sources,
        facts: publish::facts(dataset, &edition, &written, folder)?,
    })
}

/// The three criteria, on the figures read back from the files.
fn measured(dataset: &Dataset, written: &PublishedTable, before: &[Release]) -> Criteria {
    let policy = dataset.protection.as_ref().map(Protection::policy);
    let (threshold, names) = policy.map_or((1, Vec::new()), |p| (i64::from(p.threshold), p.attributes));
    let found = written.measures.first();
    found.map(|m| criteria(&written.keys, m, threshold, &names, before)).unwrap_or_default()
}

/// The extract step: every dataset, published when its data changed.
///
/// # Errors
/// When the store fails, or an audit refuses.
pub fn extract(run: &mut Run<'_>) -> Result<Said> {
    // Those that may mask zeros have more ways to hide, and follow the others. Then the most detailed first: what
    // they mask, those that say less about the same persons mask too.
    let mut datasets: Vec<&Dataset> = run.rulebook.datasets.iter().collect();
    let conceals = |d: &Dataset| d.protection.as_ref().is_some_and(|p| p.policy().zeros == Zeros::Concealed);
    datasets.sort_by_key(|d| (conceals(d), std::cmp::Reverse(d.dimensions.len()), &d.name));
    let (mut total, mut outputs, mut details) = (Counts::default(), Vec::new(), Vec::new());
    let (mut gated, mut kept) = (false, Vec::new());
    for (i, dataset) in datasets.iter().copied().enumerate() {
        let gone = |p: &&Publication| dataset.microdata.is_some() && p.dataset == dataset.name;
        if let Some(before) = run.store.ledger.publications()?.iter().find(gone) {
            // Rows leave once: the nights after have nothing to refuse.
            details.push(format!("{} : lignes déjà parties, version {}", dataset.name, before.version));
            continue;
        }
        let version = free_version(run, dataset)?;
        let work = run.store.work_dir(&format!("extract-{}", dataset.name))?;
        let built = match build(run.store, dataset, run.date, &version, &work.join("package"), &mut kept) {
            // One dataset that may not leave keeps neither the others nor the rest of the night.
            Err(Error::Refused { code, message }) => {
                gated = true;
                let rows: i64 = run.store.ledger.snapshots(&dataset.table)?.iter().map(|s| s.rows).sum();
                total.read += rows.unsigned_abs();
                total.excluded += rows.unsigned_abs();
                details.push(format!("{} : [{code}] {message}", dataset.name));
                files::remove_dir(&work)?;
                continue;
            }
            other => other?,
        };
        total.read += built.counts.read;
        total.accepted += built.counts.accepted;
        total.excluded += built.counts.excluded;
        let previous = run.store.ledger.publications()?.into_iter().find(|p| p.dataset == dataset.name);
        if built.cells.0 == 0 {
            details.push(format!("{} : aucune donnée, rien à publier", dataset.name));
            files::remove_dir(&work)?;
            continue;
        }
        let more = previous.as_ref().map(|p| more_masked(run.store, p, built.cells)).transpose()?.flatten();
        let path = match previous {
            Some(p) if p.digest == built.data_digest => p.path,
            _ => publish_version(run, dataset, &version, &built)?,
        };
        details.push(format!("{} : {}{}", dataset.name, built.summary(dataset), more.unwrap_or_default()));
        outputs.push(path);
        files::remove_dir(&work)?;
        run.progress.advance(i as u64 + 1, datasets.len() as u64);
    }
    Ok(Said { counts: total, gated, outputs, detail: details.join("\n"), ..Said::default() })
}

/// What is told when a version masks much more than the one before it: masks are never taken back, and differences
/// between two dates are masked too.
fn more_masked(
    store: &Store,
    before: &Publication,
    (figures, masked): (usize, usize),
) -> Result<Option<String>> {
    let Some(facts) = store.ledger.publication_facts(&before.dataset, &before.version)? else {
        return Ok(None);
    };
    let grown = masked as i64 - facts.masked;
    let much = grown.saturating_mul(MUCH) > i64::try_from(figures).unwrap_or(i64::MAX);
    Ok(much.then(|| {
        format!(
            " (la version {} en masquait {} : comptez à une date de référence, reference, pour ne pas masquer chaque départ et chaque arrivée)",
            before.version, facts.masked
        )
    }))
}

/// The logical date; with a number when that version is already published.
fn free_version(run: &Run<'_>, dataset: &Dataset) -> Result<String> {
    let taken: Vec<String> = run
        .store
        .ledger
        .publications()?
        .into_iter()
        .filter(|p| p.dataset == dataset.name)
        .map(|p| p.version)
        .collect();
    let names = std::iter::once(run.date.to_string()).chain((2_u64..).map(|n| format!("{}.{n}", run.date)));
    names.into_iter().find(|v| !taken.contains(v)).ok_or_else(|| Error::Corrupt("versions épuisées".into()))
}

fn publish_version(run: &mut Run<'_>, dataset: &Dataset, version: &str, built: &Extracted) -> Result<String> {
    let path = format!("publications/{}/{version}", dataset.name);
    let aside = built.package.with_file_name("certificate");
    files::write_atomic(&aside.join("certificate.json"), &built.certificate)?;
    let proof = format!("certificates/{}/{version}", dataset.name);
    run.store.publish(&[(aside, proof), (built.package.clone(), path.clone())])?;
    let row = Publication {
        dataset: dataset.name.clone(),
        version: version.to_owned(),
        path: path.clone(),
        digest: built.data_digest.clone(),
        run_id: run.id.clone(),
    };
    let payload = json!({"dataset": row.dataset, "version": version, "data_sha256": row.digest, "cells": built.cells.0, "masked": built.cells.1, "sources": built.sources});
    let (at, date) = (run.now(), run.date.to_string());
    let facts = PublicationFacts { version: version.to_owned(), ..built.facts.clone() };
    run.store.ledger.transact(|tx| {
        tx.publication(&row, &facts)?;
        tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind: "dataset_published", payload })
    })?;
    Ok(path)
}
