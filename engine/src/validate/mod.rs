//! From raw columns to accepted tables and quarantine: every record ends in exactly one of them.

mod aggregate;
mod assort;
mod checksum;
mod claims;
mod coded;
mod column;
mod composite;
mod delivery;
mod file;
mod judge;
mod keys;
mod log;
mod overlap;
mod pass;
mod profile;
mod references;
mod relations;
mod repair;
mod rule;
mod schema;
mod short;
mod visits;

pub use assort::{Assorted, Contents, Lot, Unit, assort, group, look};
pub use column::{days, from_days};
pub use composite::as_text as composite_text;
pub use delivery::{FileResult, Lookup, LotResult, Shelf, TableResult, Terms, target, validate_delivery};
pub use file::{FileOutcome, Means};
pub use judge::Target;
pub use log::{CodeCount, FindingLog, RuleCount};
pub use profile::{ColumnProfile, Drift, drift};
pub use references::{Found, References};
pub use rule::{check_types, sql_columns};
pub use schema::{accepted_schema, quarantine_schema};
pub use visits::COLUMNS as VISIT_COLUMNS;

use crate::contract::Contract;
use crate::domain::Calendar;
use crate::nomenclature::Nomenclatures;
use chrono::NaiveDate;

/// Nomenclatures that a contract needs and that are not at hand: without them every code would
/// be unknown.
pub fn missing_tables<'c>(contract: &'c Contract, nomenclatures: &Nomenclatures) -> Vec<&'c str> {
    let needed = contract.columns.iter().filter_map(|c| c.codes.as_ref()).map(|c| c.table.as_str());
    let mut missing: Vec<&str> = needed.filter(|t| nomenclatures.table(t).is_none()).collect();
    missing.dedup();
    missing
}

/// What every judgement may look at besides the records.
#[derive(Clone, Copy)]
pub struct Reference<'a> {
    /// Code lists.
    pub nomenclatures: &'a Nomenclatures,
    /// School years.
    pub calendar: &'a Calendar,
    /// Date of the delivery: codes without a date of their own are judged at it.
    pub delivery_date: NaiveDate,
}
