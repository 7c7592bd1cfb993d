//! What is wrong with the data, and where.

use crate::codes::Code;
use serde::Serialize;
use std::sync::Arc;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Told, nothing more.
    Information,
    /// The record is accepted.
    Warning,
    /// The record goes to quarantine.
    Error,
    /// The whole delivery is refused.
    Refusal,
}

impl Severity {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Information => "information",
            Severity::Warning => "warning",
            Severity::Error => "error",
            Severity::Refusal => "refusal",
        }
    }

    /// French word shown to people.
    pub fn french(self) -> &'static str {
        match self {
            Severity::Information => "information",
            Severity::Warning => "avertissement",
            Severity::Error => "rejet",
            Severity::Refusal => "refus",
        }
    }
}

/// Where a value came from. Zero or empty means "the whole of it" at that level.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// File name as delivered.
    #[serde(serialize_with = "text")]
    pub file: Arc<str>,
    /// Line, from 1, where the record starts.
    pub line: u64,
    /// Record, from 1 (a header is not a record).
    pub record: u64,
    /// Column or attribute name.
    #[serde(serialize_with = "text")]
    pub column: Arc<str>,
    /// Byte where the record starts, from 0.
    pub byte: u64,
}

fn optional_text<S: serde::Serializer>(value: &Option<Arc<str>>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(value.as_deref().unwrap_or_default())
}

fn text<S: serde::Serializer>(value: &Arc<str>, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(value)
}

/// One constat about the data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable code; its meaning is in [`crate::codes`].
    pub code: Code,
    /// Weight.
    pub severity: Severity,
    /// Place.
    #[serde(flatten)]
    pub origin: Origin,
    /// Name of the contract's rule, for cross-field rules.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_text")]
    pub rule: Option<Arc<str>>,
    /// French text; never a personal value.
    pub message: String,
}

impl Finding {
    /// A finding with its code's own severity.
    pub fn new(code: Code, origin: Origin, message: impl Into<String>) -> Self {
        Finding { code, severity: code.severity(), origin, rule: None, message: message.into() }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.origin.file.is_empty() {
            f.write_str("livraison")?;
            if !self.origin.column.is_empty() {
                write!(f, ", colonne « {} »", self.origin.column)?;
            }
            return write!(f, " : [{}] {} ({})", self.code, self.message, self.severity.french());
        }
        write!(f, "{}", self.origin.file)?;
        if self.origin.line > 0 {
            write!(f, ":{}", self.origin.line)?;
        }
        if !self.origin.column.is_empty() {
            write!(f, ", colonne « {} »", self.origin.column)?;
        }
        write!(f, " : [{}] {} ({})", self.code, self.message, self.severity.french())
    }
}
