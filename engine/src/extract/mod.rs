//! Open data: aggregate, protect, audit, publish. Nothing else of the store may leave.

mod aggregate;
mod audit;
mod dataset;
mod protect;
mod publish;
mod table;

pub use audit::{Interval, intervals, is_safe};
pub use dataset::Dataset;
pub use table::{Cell, Cube, TOTAL};

use crate::error::{Error, Result};
use crate::french::count;
use crate::journal::NewEntry;
use crate::run::{Counts, Run, Said};
use crate::store::{Publication, Store, files};
use chrono::NaiveDate;
use serde_json::json;
use std::path::{Path, PathBuf};

/// A dataset made safe, in a folder of its own.
pub struct Extracted {
    /// Folder that may leave.
    pub package: PathBuf,
    /// Digest of `data.csv`: what decides whether a version is new.
    pub data_digest: String,
    /// Intervals of the masked cells; never leaves.
    pub certificate: serde_json::Value,
    /// Source records read, and those counted in the result.
    pub counts: Counts,
    /// Cells, and how many are masked.
    pub cells: (usize, usize),
    /// Snapshots whose rows were counted.
    pub sources: Vec<String>,
}

/// Aggregates, protects, audits and writes a dataset into `folder`.
///
/// # Errors
/// [`Error::Refused`] when the audit finds a cell that can be computed back: nothing is written.
pub fn build(
    store: &Store,
    dataset: &Dataset,
    date: NaiveDate,
    version: &str,
    folder: &Path,
) -> Result<Extracted> {
    let (mut cube, counts, sources) = aggregate::aggregate(store, dataset, date)?;
    let mut certificate = json!({"dataset": dataset.name, "version": version, "masked": []});
    if let Some(threshold) = dataset.threshold {
        protect::protect(&mut cube, threshold)?;
        let found = intervals(&cube)?;
        let exposed = found.iter().filter(|i| !is_safe(i, threshold)).count();
        if exposed > 0 {
            return Err(Error::Refused {
                code: "DISCLOSURE_AUDIT",
                message: format!(
                    "{} à partir de ce qui serait publié ; rien n'est publié : publiez moins de croisements",
                    count(
                        exposed as u64,
                        "cellule masquée pourrait être déduite",
                        "cellules masquées pourraient être déduites"
                    )
                ),
            });
        }
        certificate =
            json!({"dataset": dataset.name, "version": version, "threshold": threshold, "masked": found});
    }
    let data_digest = publish::write_package(dataset, &cube, version, folder)?;
    let masked = cube.cells.iter().filter(|c| c.masked).count();
    Ok(Extracted {
        package: folder.to_path_buf(),
        data_digest,
        certificate,
        counts,
        cells: (cube.cells.len(), masked),
        sources,
    })
}

/// The extract step: every dataset, published when its data changed.
///
/// # Errors
/// When the store fails, or an audit refuses.
pub fn extract(run: &mut Run<'_>) -> Result<Said> {
    let datasets = &run.rulebook.datasets;
    let (mut total, mut outputs, mut details) = (Counts::default(), Vec::new(), Vec::new());
    let mut gated = false;
    for (i, dataset) in datasets.iter().enumerate() {
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
        details
            .push(format!("{} : {} cellules dont {} masquées", dataset.name, built.cells.0, built.cells.1));
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
    let mut certificate =
        serde_json::to_string_pretty(&built.certificate).map_err(|e| Error::Write(e.to_string()))?;
    certificate.push('\n');
    let aside = built.package.with_file_name("certificate");
    files::write_atomic(&aside.join("audit.json"), certificate.as_bytes())?;
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
