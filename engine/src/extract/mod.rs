//! Open data: aggregate, protect, audit, publish. Nothing else of the store may leave.

mod aggregate;
mod catalogue;
mod contributors;
mod dataset;
mod earlier;
mod measure;
mod metadata;
mod methodology;
mod microdata;
mod perturb;
mod preview;
mod protect;
mod publish;
mod shown;
mod table;
mod terms;

pub use dataset::{Conflict, Dataset};
pub use table::{Cell, Cube, TOTAL};

use crate::disclosure::audit::Limits;
use crate::disclosure::criteria::{Criteria, criteria};
use crate::disclosure::joint::{Proof, refusal, review};
use crate::disclosure::propose::{Candidate, Proposal, propose, settle};
use crate::disclosure::published_csv::PublishedTable;
use crate::disclosure::release::Release;
use crate::disclosure::table::Tables;
use crate::error::{Error, Result};
use crate::french::count;
use crate::journal::NewEntry;
use crate::run::{Counts, Run, Said};
use crate::store::{Publication, Store, files};
use chrono::NaiveDate;
use dataset::Protection;
use perturb::Method;
use protect::Protected;
use publish::Edition;
use serde_json::json;
use std::path::{Path, PathBuf};

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
    /// Cells, and how many are masked.
    pub cells: (usize, usize),
    /// Snapshots whose rows were counted.
    pub sources: Vec<String>,
}

impl Extracted {
    /// What it holds, for people.
    pub fn summary(&self, dataset: &Dataset) -> String {
        let (all, without) = (self.cells.0 as u64, self.cells.1 as u64);
        if dataset.microdata.is_some() {
            let left = count(without, "retirée", "retirées");
            return format!("{}, dont {left}", count(all, "ligne de personne", "lignes de personnes"));
        }
        format!("{}, dont {}", count(all, "cellule", "cellules"), count(without, "masquée", "masquées"))
    }
}

/// Aggregates, protects, audits and writes a dataset into `folder`.
///
/// # Errors
/// [`Error::Refused`] when a cell could be computed back, from this publication or with earlier ones
/// of the same population.
pub fn build(
    store: &Store,
    dataset: &Dataset,
    date: NaiveDate,
    version: &str,
    folder: &Path,
) -> Result<Extracted> {
    let mut counted = aggregate::aggregate(store, dataset, dataset.counted_on(date))?;
    // The cohorts of another school year are other persons.
    let year = if dataset.latest_year_only { format!(" {}", counted.year) } else { String::new() };
    let population = format!("{}{year}", dataset.population);
    let (state, modified) = (counted.state.clone(), date.to_string());
    let edition = Edition { version, population: &population, state: &state, modified: &modified };
    if let Some(terms) = dataset.microdata.as_ref().filter(|_| !counted.inner.is_empty()) {
        return microdata::build(store, dataset, terms, counted, &edition, folder);
    }
    protect::with_zeros(dataset, &mut counted.inner)?;
    let changed = dataset.protection.as_ref().filter(|p| p.method != Method::Suppression);
    let mut cube = match changed.filter(|_| !counted.inner.is_empty()) {
        Some(protection) => perturb::cube(dataset, protection, &counted.inner)?,
        None => Cube::with_totals(dataset.chains(), &counted.inner),
    };
    let mut before = Vec::new();
    let masking = dataset.protection.as_ref().filter(|p| p.method == Method::Suppression);
    let protected = match masking.filter(|_| !cube.cells.is_empty()) {
        Some(protection) => {
            before = earlier::earlier(store, dataset, &population)?;
            let policy = protection.policy();
            let tables = protect::tables(dataset, &counted.inner)?;
            let alone = protect::protect(&policy, tables, protect::amounts(dataset, &counted.inner)?)?;
            Some(with_earlier(store, dataset, protection, &edition, alone, &before)?)
        }
        None => None,
    };
    if let Some(protected) = &protected {
        protected.mask(&mut cube, &dataset.dimension_names());
    }
    let written = publish::write_data(dataset, &cube, &edition, folder)?;
    let certificate = protect::prove(dataset, protected.as_ref(), &written)?;
    if changed.is_some() {
        earlier::changed_alone(store, dataset, &population, &written.digest.to_string())?;
    }
    if dataset.measure.amounts() {
        earlier::amounts_once(store, &population, &written.digest.to_string())?;
    }
    let measured = measured(dataset, &written, &before);
    let pages = publish::pages(dataset, &cube, &edition, &measured);
    publish::write_companions(dataset, &edition, pages, folder)?;
    let masked = cube.cells.iter().filter(|c| c.masked || c.amount_masked).count();
    Ok(Extracted {
        package: folder.to_path_buf(),
        data_digest: written.digest.to_string(),
        certificate: certificate.to_bytes()?,
        counts: counted.counts,
        cells: (cube.cells.len(), masked),
        sources: counted.sources,
    })
}

/// The three criteria, on the figures read back from the files.
fn measured(dataset: &Dataset, written: &PublishedTable, before: &[Release]) -> Criteria {
    let policy = dataset.protection.as_ref().map(Protection::policy);
    let (threshold, names) = policy.map_or((1, Vec::new()), |p| (i64::from(p.threshold), p.attributes));
    let found = written.measures.first();
    found.map(|m| criteria(&written.keys, m, threshold, &names, before)).unwrap_or_default()
}

/// Looks at a protected table together with everything published of its population.
fn with_earlier(
    store: &Store,
    dataset: &Dataset,
    protection: &Protection,
    edition: &Edition<'_>,
    alone: Protected,
    earlier: &[Release],
) -> Result<Protected> {
    let (policy, limits) = (protection.policy(), Limits::default());
    let name = format!("{} {}", dataset.name, edition.version);
    let candidate = Candidate {
        name: &name,
        population: edition.population,
        state: edition.state,
        tables: &alone.tables,
    };
    let release = candidate.release(&alone.suppression.masked, &policy);
    let proof = Proof { state: edition.state, tables: &alone.tables, suppression: &alone.suppression };
    let findings = review(&release, earlier, policy.uniform(), &limits, Some(&proof))?;
    if findings.is_empty() {
        return Ok(alone);
    }
    if protection.conflict == Conflict::KeepMasks
        && let Some(suppression) = settle(&candidate, &policy, earlier, &limits)?
    {
        return alone.with(&policy, suppression);
    }
    let again = at_earlier_state(store, dataset, edition, earlier)?;
    let reference = again.as_ref().map(|(state, tables)| Candidate { state, tables, ..candidate });
    let proposals = propose(&candidate, reference.as_ref(), &policy, earlier, &limits)?;
    Err(refusal(&findings, &proposals.iter().map(Proposal::text).collect::<Vec<_>>()))
}

/// The dataset counted again at the last date of which something was published.
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

/// The extract step: every dataset, published when its data changed.
///
/// # Errors
/// When the store fails, or an audit refuses.
pub fn extract(run: &mut Run<'_>) -> Result<Said> {
    // The most detailed first: what they mask, those that say less about the same persons mask too.
    let mut datasets: Vec<&Dataset> = run.rulebook.datasets.iter().collect();
    datasets.sort_by_key(|d| (std::cmp::Reverse(d.dimensions.len()), &d.name));
    let (mut total, mut outputs, mut details) = (Counts::default(), Vec::new(), Vec::new());
    let mut gated = false;
    for (i, dataset) in datasets.iter().copied().enumerate() {
        let gone = |p: &&Publication| dataset.microdata.is_some() && p.dataset == dataset.name;
        if let Some(before) = run.store.ledger.publications()?.iter().find(gone) {
            // Rows leave once: the nights after have nothing to refuse.
            details.push(format!("{} : lignes déjà parties, version {}", dataset.name, before.version));
            continue;
        }
        let version = free_version(run, dataset)?;
        let work = run.store.work_dir(&format!("extract-{}", dataset.name))?;
        let built = match build(run.store, dataset, run.date, &version, &work.join("package")) {
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
        let path = match previous {
            Some(p) if p.digest == built.data_digest => p.path,
            _ => publish_version(run, dataset, &version, &built)?,
        };
        details.push(format!("{} : {}", dataset.name, built.summary(dataset)));
        outputs.push(path);
        files::remove_dir(&work)?;
        run.progress.advance(i as u64 + 1, datasets.len() as u64);
    }
    Ok(Said { counts: total, gated, outputs, detail: details.join("\n"), ..Said::default() })
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
    run.store.ledger.transact(|tx| {
        tx.publication(&row)?;
        tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind: "dataset_published", payload })
    })?;
    Ok(path)
}
