//! Sort final: what the rules say of every record at a date. Nothing here deletes anything.

mod decide;
mod rules;
mod stage;

pub use decide::{Decision, Outcome, decide};
pub use rules::{Basis, Duration, Referential, Rule, SortFinal, Verified};
pub use stage::{Group, decisions, record_names, simulate, sort_final};
