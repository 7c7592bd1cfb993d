//! What was sent, so that a crash in between continues and nothing is sent twice.

use super::Plan;
use cartulaire_engine::domain::hex;
use cartulaire_engine::error::Result;
use sha2::{Digest as _, Sha256};

/// A step that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// What the portal calls its result.
    pub remote: String,
    /// Digest of what was sent.
    pub digest: String,
}

/// Durable memory of the publications, one row for (portal, dataset, step). `put` must be on disk when
/// it returns, and one process at a time publishes a dataset on a portal.
pub trait Progress {
    /// The last doing of a step.
    ///
    /// # Errors
    /// The memory cannot be read.
    fn get(&self, portal: &str, dataset: &str, step: &str) -> Result<Option<Done>>;

    /// Records a step, replacing what was known.
    ///
    /// # Errors
    /// The memory cannot be written.
    fn put(&self, portal: &str, dataset: &str, step: &str, done: &Done) -> Result<()>;
}

/// How the dataset came to be known, kept as the digest of its own row: its identifier never changes.
const MADE: &str = "made";
const ADOPTED: &str = "adopted";

/// The rows of one dataset on one portal.
pub(super) struct Track<'a> {
    progress: &'a dyn Progress,
    portal: &'a str,
    dataset: &'a str,
}

impl<'a> Track<'a> {
    pub fn new(progress: &'a dyn Progress, portal: &'a str, dataset: &'a str) -> Self {
        Track { progress, portal, dataset }
    }

    /// Identifier of the dataset on the portal.
    pub fn dataset(&self) -> Result<Option<String>> {
        Ok(self.progress.get(self.portal, self.dataset, Plan::DATASET)?.map(|d| d.remote))
    }

    pub fn adopted(&self) -> Result<bool> {
        let row = self.progress.get(self.portal, self.dataset, Plan::DATASET)?;
        Ok(row.is_some_and(|d| d.digest == ADOPTED))
    }

    pub fn know(&self, remote: &str, adopted: bool) -> Result<()> {
        let digest = if adopted { ADOPTED } else { MADE }.to_owned();
        self.progress.put(
            self.portal,
            self.dataset,
            Plan::DATASET,
            &Done { remote: remote.to_owned(), digest },
        )
    }

    /// The result of a step, if it was done for this dataset with this content.
    pub fn done(&self, dataset: &str, step: &str, digest: &str) -> Result<Option<String>> {
        let row = self.progress.get(self.portal, self.dataset, step)?;
        Ok(row.filter(|d| d.digest == bound(dataset, digest)).map(|d| d.remote))
    }

    /// The result of a step, whatever its content was.
    pub fn last(&self, step: &str) -> Result<Option<String>> {
        Ok(self.progress.get(self.portal, self.dataset, step)?.map(|d| d.remote).filter(|r| !r.is_empty()))
    }

    pub fn record(&self, dataset: &str, step: &str, digest: &str, remote: &str) -> Result<()> {
        let done = Done { remote: remote.to_owned(), digest: bound(dataset, digest) };
        self.progress.put(self.portal, self.dataset, step, &done)
    }

    /// The step is to be done again.
    pub fn forget(&self, step: &str) -> Result<()> {
        let nothing = Done { remote: String::new(), digest: String::new() };
        self.progress.put(self.portal, self.dataset, step, &nothing)
    }
}

/// A dataset that was made again owes nothing to what the former one had received.
fn bound(dataset: &str, digest: &str) -> String {
    digest_of(&[dataset, digest])
}

/// SHA-256 of several texts, each with its length so that their borders count.
pub(super) fn digest_of(texts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for text in texts {
        hasher.update((text.len() as u64).to_be_bytes());
        hasher.update(text.as_bytes());
    }
    hex(&hasher.finalize())
}
