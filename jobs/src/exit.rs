//! Exit codes, one mapping.

use cartulaire_engine::error::Error;

/// Done.
pub const DONE: u8 = 0;
/// Failed.
pub const FAILED: u8 = 1;
/// Usage or configuration.
pub const USAGE: u8 = 2;
/// Quarantined records, and `--fail-on-quarantine`.
pub const QUARANTINE: u8 = 3;
/// Refused by a gate, an audit or a check.
pub const REFUSED: u8 = 4;
/// No store.
pub const NO_STORE: u8 = 10;
/// Store in use.
pub const LOCKED: u8 = 11;

/// The code of an error.
pub fn of(error: &Error) -> u8 {
    match error {
        Error::Config(_) | Error::Usage(_) => USAGE,
        Error::Refused { .. } => REFUSED,
        Error::NoStore(_) => NO_STORE,
        Error::Locked(_) => LOCKED,
        Error::Io { .. }
        | Error::Corrupt(_)
        | Error::Ledger(_)
        | Error::Arrow(_)
        | Error::Parquet(_)
        | Error::Polars(_)
        | Error::Bridge(_)
        | Error::Write(_) => FAILED,
    }
}
