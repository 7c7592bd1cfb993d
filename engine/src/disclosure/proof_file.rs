//! The certificate of a publication as one JSON file, kept apart from what is published.
//!
//! Cells are the rows of `data.csv`, from 0. The file names the digest of that `data.csv` and carries its
//! own: a proof is of these figures and no others. Base and tables are kept sparse.

use super::certificate::{Certificate, Checked};
use super::policy::{Policy, Requirement, Uniform};
use super::published_csv::PublishedTable;
use super::release::cells_by_key;
use super::slots::Slots;
use super::suppress::Suppression;
use super::system::CellId;
use super::table::Tables;
use crate::domain::Digest;
use crate::error::{ConfigFault, Error, Result};
use serde::{Deserialize, Serialize};

/// What the file is.
const FORMAT: &str = "cartulaire-certificate/2";

/// A certificate file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofFile {
    format: String,
    /// SHA-256 of `content`, written compactly.
    digest: String,
    /// The proof.
    pub content: Content,
}

/// What is proven, of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// Data set.
    pub dataset: String,
    /// Version.
    pub version: String,
    /// Policy it is protected by.
    pub policy: String,
    /// Doubt that it asks for every masked cell.
    pub rule: Uniform,
    /// SHA-256 of `data.csv`.
    pub data_sha256: String,
    /// Rows of `data.csv` under the header.
    pub rows: usize,
    /// One proof for each measure with masked cells that adds up.
    pub measures: Vec<Proof>,
}

/// The proof of one measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Column.
    pub measure: String,
    /// The tables. What each cell needed besides the rule of all was checked before it was written, and is
    /// not written: it would tell which cells are small, and how much.
    pub certificate: Certificate,
}

/// A protected measure and where its proof comes from.
#[derive(Debug, Clone, Copy)]
pub struct Proven<'a> {
    /// Column.
    pub measure: &'a str,
    /// Its cells.
    pub tables: &'a Tables,
    /// What was masked.
    pub suppression: &'a Suppression,
    /// The proof, in the numbers of `tables`.
    pub certificate: &'a Certificate,
}

fn refused(message: &str) -> Error {
    Error::Refused { code: "CERTIFICATE_REFUSED", message: message.to_owned() }
}

impl ProofFile {
    /// The certificate of `table`, read back from its files, by the proofs made before it was written.
    ///
    /// # Errors
    /// [`Error::Refused`] when a row of the files is no cell of the tables, or a proof is less than what the
    /// policy asks of each cell.
    pub fn of(table: &PublishedTable, policy: &Policy, proven: &[Proven]) -> Result<Self> {
        let mut measures = Vec::with_capacity(proven.len());
        let rule = policy.uniform();
        for p in proven {
            let Some(measure) = table.measures.iter().find(|m| m.name == p.measure) else { continue };
            if measure.published.masked().next().is_none() {
                continue;
            }
            let numbers = cells_by_key(p.tables);
            let mut row: Vec<Option<CellId>> = vec![None; p.tables.cells.len()];
            for (i, key) in (0_u32..).zip(&table.keys) {
                let Some(cell) = numbers.get(key) else {
                    return Err(refused("une ligne publiée n'est pas une cellule des tableaux protégés"));
                };
                row.put(*cell as usize, Some(i));
            }
            let required = p.suppression.requirements.iter();
            let mut required: Vec<Requirement> = required
                .filter_map(|r| row.at(r.cell as usize).map(|cell| Requirement { cell, ..*r }))
                .collect();
            required.sort_by_key(|r| r.cell);
            let certificate = p.certificate.renumbered(&row);
            certificate.check(&measure.published, Some(rule.of(p.tables.counts)), &required)?;
            measures.push(Proof { measure: p.measure.to_owned(), certificate });
        }
        let content = Content {
            dataset: table.name.clone(),
            version: table.version.clone(),
            policy: policy.name.clone(),
            rule: policy.uniform(),
            data_sha256: table.digest.to_string(),
            rows: table.keys.len(),
            measures,
        };
        Ok(ProofFile { format: FORMAT.to_owned(), digest: digest(&content)?, content })
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// [`Error::Write`] when it cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec(self).map_err(|e| Error::Write(e.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a file, and refuses one that was changed since it was written.
    ///
    /// # Errors
    /// [`Error::Config`] with line and column when it is no certificate; [`Error::Refused`] when its
    /// digest is not its own.
    pub fn parse(file: &str, bytes: &[u8]) -> Result<Self> {
        let found: ProofFile = serde_json::from_slice(bytes).map_err(|e| {
            Error::config(ConfigFault {
                file: file.to_owned(),
                line: e.line(),
                column: e.column(),
                message: "certificat illisible : clé inconnue ou absente, ou valeur d'un autre type".into(),
            })
        })?;
        if found.format != FORMAT {
            return Err(refused("ce certificat est d'un autre format"));
        }
        if found.digest != digest(&found.content)? {
            return Err(refused("le certificat a été modifié : son empreinte n'est pas la sienne"));
        }
        Ok(found)
    }

    /// Checks the proof of every measure of `table` by additions only; `rule` is the doubt that the
    /// policy in force asks for.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first reason.
    pub fn check(&self, table: &PublishedTable, rule: Uniform) -> Result<Checked> {
        let content = &self.content;
        if content.data_sha256 != table.digest.to_string() || content.rows != table.keys.len() {
            return Err(refused("ce certificat est celui d'un autre data.csv"));
        }
        if (&content.dataset, &content.version) != (&table.name, &table.version) {
            return Err(refused("ce certificat est celui d'un autre jeu ou d'une autre version"));
        }
        table.check_rounding(rule)?;
        let mut total = Checked { cells: 0, tables: 0, steps: 0 };
        let mut proofs = content.measures.iter();
        for measure in table.measures.iter().filter(|m| m.published.masked().next().is_some()) {
            if !measure.additive {
                // Nothing adds up: nothing is computed.
                continue;
            }
            let Some(proof) = proofs.next().filter(|p| p.measure == measure.name) else {
                return Err(refused("une mesure aux cellules masquées n'a pas de preuve"));
            };
            let checked = proof.certificate.check(&measure.published, Some(rule.of(measure.persons)), &[])?;
            total.cells += checked.cells;
            total.tables += checked.tables;
            total.steps += checked.steps;
        }
        if proofs.next().is_some() {
            return Err(refused("le certificat porte sur une mesure sans cellule masquée"));
        }
        Ok(total)
    }
}

fn digest(content: &Content) -> Result<String> {
    let bytes = serde_json::to_vec(content).map_err(|e| Error::Write(e.to_string()))?;
    Ok(Digest::of(&bytes).to_string())
}
