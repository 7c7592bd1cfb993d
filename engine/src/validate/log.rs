//! Findings counted without bound, kept up to a bound.

use crate::codes::Code;
use crate::finding::{Finding, Severity};
use serde::Serialize;
use std::collections::BTreeMap;

/// How often a code was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeCount {
    /// Code.
    pub code: Code,
    /// Weight.
    pub severity: Severity,
    /// Findings.
    pub count: u64,
}

/// Findings of a run: counts are exact, places are kept up to `max`.
#[derive(Debug)]
pub struct FindingLog {
    max: usize,
    counts: BTreeMap<(Code, Severity), u64>,
    kept: Vec<Finding>,
}

impl FindingLog {
    /// Keeps at most `max` findings.
    pub fn new(max: usize) -> Self {
        FindingLog { max, counts: BTreeMap::new(), kept: Vec::new() }
    }

    /// Counts a finding.
    pub fn add(&mut self, finding: Finding) {
        *self.counts.entry((finding.code, finding.severity)).or_default() += 1;
        // Why a delivery was refused is never lost among its records' findings.
        if self.kept.len() < self.max || finding.severity == Severity::Refusal {
            self.kept.push(finding);
        }
    }

    /// All findings ever added.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Counts, by code.
    pub fn by_code(&self) -> Vec<CodeCount> {
        self.counts
            .iter()
            .map(|((code, severity), count)| CodeCount { code: *code, severity: *severity, count: *count })
            .collect()
    }

    /// The findings kept, in the order they came.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }
}
