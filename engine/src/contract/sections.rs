//! A contract's file as it is written: its sections and their defaults.

use super::{Checksum, Personal, Repair, Role, Who};
use crate::domain::DateFormat;
use crate::finding::Severity;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ContractFile {
    pub(super) table: TableSection,
    pub(super) input: InputSection,
    #[serde(default)]
    pub(super) gate: GateSection,
    pub(super) column: Vec<ColumnSection>,
    #[serde(default)]
    pub(super) rule: Vec<RuleSection>,
    #[serde(default)]
    pub(super) aggregate: Vec<AggregateSection>,
    #[serde(default)]
    pub(super) visits: Vec<VisitsSection>,
    #[serde(default)]
    pub(super) overlap: Vec<OverlapSection>,
    #[serde(default)]
    pub(super) event: Vec<EventSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventSection {
    pub(super) name: Spanned<String>,
    pub(super) column: Spanned<String>,
    #[serde(default)]
    pub(super) empty: EmptyEvent,
}

/// What an empty date says of an event.
#[derive(Deserialize, PartialEq, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum EmptyEvent {
    #[default]
    Unknown,
    Never,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverlapSection {
    pub(super) name: String,
    pub(super) by: Vec<Spanned<String>>,
    pub(super) date: Spanned<String>,
    pub(super) from: Spanned<String>,
    pub(super) to: Spanned<String>,
    pub(super) only: Option<BTreeMap<String, String>>,
    pub(super) message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RuleSection {
    pub(super) name: Spanned<String>,
    pub(super) sql: Spanned<String>,
    pub(super) message: String,
    #[serde(default = "error")]
    pub(super) severity: Spanned<Severity>,
    pub(super) column: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AggregateSection {
    pub(super) name: Spanned<String>,
    pub(super) month_of: Option<Spanned<String>>,
    pub(super) by: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) sum: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) count_distinct: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VisitsSection {
    pub(super) name: Spanned<String>,
    pub(super) at: Spanned<String>,
    pub(super) visitor: Spanned<String>,
    pub(super) by: Vec<Spanned<String>>,
    pub(super) gap_minutes: Spanned<u32>,
}

fn error() -> Spanned<Severity> {
    Spanned::new(0..0, Severity::Error)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnpivotSection {
    pub(super) pattern: Spanned<String>,
    pub(super) item: Spanned<String>,
    #[serde(default)]
    pub(super) known: Vec<String>,
    pub(super) total: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableSection {
    pub(super) name: Spanned<String>,
    pub(super) title: String,
    pub(super) description: String,
    pub(super) source: String,
    pub(super) record_class: Spanned<String>,
    pub(super) key: Vec<Spanned<String>>,
    /// `delivery`, or the name of a date or school-year column.
    pub(super) school_year_from: Spanned<String>,
    #[serde(default)]
    pub(super) delivery: DeliveryMode,
    /// Column of the type of document, for retention rules about acts with several documents.
    pub(super) document: Option<Spanned<String>>,
}

#[derive(Deserialize, PartialEq, Default)]
#[serde(rename_all = "lowercase")]
pub(super) enum DeliveryMode {
    #[default]
    Complete,
    Increment,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputSection {
    pub(super) format: FormatName,
    pub(super) category: Option<String>,
    pub(super) identifier: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) first_degree: bool,
    pub(super) root: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) record: Option<String>,
    pub(super) unpivot: Option<UnpivotSection>,
    pub(super) separator: Option<Spanned<String>>,
    pub(super) file_name: Option<Spanned<String>>,
    #[serde(default = "compact")]
    pub(super) file_date: DateFormat,
    pub(super) encoding: Option<Spanned<String>>,
}

fn compact() -> DateFormat {
    DateFormat::Compact
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum FormatName {
    Csv,
    Aaf,
    Xml,
    NdJson,
    Parquet,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GateSection {
    pub(super) max_rejected_share: Spanned<f64>,
}

impl Default for GateSection {
    fn default() -> Self {
        GateSection { max_rejected_share: Spanned::new(0..0, 0.10) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnSection {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    #[serde(default)]
    pub(super) description: String,
    #[serde(rename = "type")]
    pub(super) kind: Spanned<String>,
    #[serde(default)]
    pub(super) required: bool,
    #[serde(default)]
    pub(super) optional: bool,
    pub(super) pattern: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) values: Vec<String>,
    pub(super) min: Option<i64>,
    pub(super) max: Option<i64>,
    #[serde(default)]
    pub(super) uai: bool,
    pub(super) codes: Option<CodesSection>,
    #[serde(default)]
    pub(super) date_format: DateFormat,
    #[serde(default = "oui_non")]
    pub(super) marks: [String; 2],
    pub(super) personal: Personal,
    pub(super) person: Option<Spanned<PersonSection>>,
    pub(super) counts_persons: Option<Spanned<bool>>,
    pub(super) path: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) parts: Vec<String>,
    pub(super) checksum: Option<Checksum>,
    pub(super) severity: Option<Spanned<Severity>>,
    #[serde(default)]
    pub(super) repair: Vec<Repair>,
    pub(super) width: Option<usize>,
    pub(super) references: Option<ReferenceSection>,
    pub(super) counts: Option<ReferenceSection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonSection {
    pub(super) who: Who,
    #[serde(default)]
    pub(super) or: Vec<Who>,
    pub(super) space: Spanned<String>,
    pub(super) part: Option<Spanned<usize>>,
    #[serde(default)]
    pub(super) within: Vec<Spanned<String>>,
    pub(super) role: Option<Role>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceSection {
    pub(super) table: String,
    pub(super) column: String,
    pub(super) part: Option<usize>,
    #[serde(default = "error")]
    pub(super) severity: Spanned<Severity>,
    #[serde(default)]
    pub(super) with: Vec<Spanned<String>>,
    pub(super) at: Option<Spanned<String>>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodesSection {
    pub(super) table: String,
    pub(super) prefix: Option<usize>,
    pub(super) at: Option<Spanned<String>>,
    pub(super) part: Option<usize>,
    pub(super) or: Option<Spanned<String>>,
    pub(super) national: Option<String>,
    #[serde(default)]
    pub(super) local: bool,
}

fn oui_non() -> [String; 2] {
    ["O".into(), "N".into()]
}
