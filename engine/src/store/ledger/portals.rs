//! What was sent to open data portals.

use super::{Ledger, Tx, get};
use crate::error::Result;
use rusqlite::params;

/// A step of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalStep {
    /// Address of the portal.
    pub portal: String,
    /// Dataset, as the portal knows it.
    pub dataset: String,
    /// Step.
    pub step: String,
    /// What the portal calls its result.
    pub remote: String,
    /// Digest of what was sent.
    pub digest: String,
}

impl Tx<'_> {
    /// Records a step, replacing what was known of it.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn portal_step(&self, row: &PortalStep) -> Result<()> {
        self.0.execute(
            "INSERT INTO portal_steps (portal, dataset, step, remote, digest) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (portal, dataset, step) DO UPDATE SET remote = ?4, digest = ?5",
            params![row.portal, row.dataset, row.step, row.remote, row.digest],
        )?;
        Ok(())
    }
}

impl Ledger {
    /// The last doing of a step.
    ///
    /// # Errors
    /// Those of the ledger.
    pub fn portal_step(&self, portal: &str, dataset: &str, step: &str) -> Result<Option<PortalStep>> {
        let sql = "SELECT * FROM portal_steps WHERE portal = ? AND dataset = ? AND step = ?";
        let read = |r: &rusqlite::Row<'_>| {
            Ok(PortalStep {
                portal: get(r, "portal")?,
                dataset: get(r, "dataset")?,
                step: get(r, "step")?,
                remote: get(r, "remote")?,
                digest: get(r, "digest")?,
            })
        };
        Ok(self.all(sql, &[&portal, &dataset, &step], read)?.into_iter().next())
    }
}
