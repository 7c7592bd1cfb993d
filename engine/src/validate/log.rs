//! Findings counted without bound, kept up to a bound.

use crate::codes::Code;
use crate::finding::{Finding, Severity};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// First findings of each rule kept whatever the bound.
const FIRST: usize = 3;

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

/// How often a rule of a column was broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleCount {
    /// Name of the contract's rule; empty for a check of the column itself.
    pub rule: String,
    /// Code.
    pub code: Code,
    /// Column.
    pub column: String,
    /// Findings.
    pub count: u64,
    /// The first three.
    #[serde(skip)]
    pub first: Vec<Finding>,
}

/// A rule of a column: code, column, name.
type RuleKey = (Code, Arc<str>, Option<Arc<str>>);

/// Findings of a rule.
#[derive(Debug, Default)]
struct Seen {
    count: u64,
    first: Vec<Finding>,
}

impl Seen {
    fn add(&mut self, count: u64, first: impl IntoIterator<Item = Finding>) {
        self.count += count;
        let room = FIRST.saturating_sub(self.first.len());
        self.first.extend(first.into_iter().take(room));
    }
}

/// Findings of a run: counts are exact, places are kept up to `max`.
#[derive(Debug)]
pub struct FindingLog {
    max: usize,
    counts: BTreeMap<(Code, Severity), u64>,
    rules: BTreeMap<RuleKey, Seen>,
    kept: Vec<Finding>,
}

impl FindingLog {
    /// Keeps at most `max` findings.
    pub fn new(max: usize) -> Self {
        FindingLog { max, counts: BTreeMap::new(), rules: BTreeMap::new(), kept: Vec::new() }
    }

    /// Counts a finding.
    pub fn add(&mut self, finding: Finding) {
        *self.counts.entry((finding.code, finding.severity)).or_default() += 1;
        let rule = (finding.code, finding.origin.column.clone(), finding.rule.clone());
        // Cloned only while there is room.
        self.rules.entry(rule).or_default().add(1, std::iter::once_with(|| finding.clone()));
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

    /// Counts, by code, column and rule.
    pub fn by_rule(&self) -> Vec<RuleCount> {
        self.rules
            .iter()
            .map(|((code, column, rule), seen)| RuleCount {
                rule: rule.as_deref().unwrap_or_default().to_owned(),
                code: *code,
                column: column.to_string(),
                count: seen.count,
                first: seen.first.clone(),
            })
            .collect()
    }

    /// Takes the findings of another log.
    pub fn absorb(&mut self, other: FindingLog) {
        for (key, n) in other.counts {
            *self.counts.entry(key).or_default() += n;
        }
        for (key, seen) in other.rules {
            self.rules.entry(key).or_default().add(seen.count, seen.first);
        }
        for finding in other.kept {
            if self.kept.len() < self.max || finding.severity == Severity::Refusal {
                self.kept.push(finding);
            }
        }
    }

    /// The findings kept, in the order they came.
    pub fn kept(&self) -> &[Finding] {
        &self.kept
    }
}
