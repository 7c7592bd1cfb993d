//! SEDA packages (SIP) of the records to be kept for good. SEDA words stay inside this module.

pub mod check;
mod content;
mod manifest;
mod package;
mod profile;

pub use package::package;
pub use profile::{ClassProfile, Profile};
