//! SEDA packages (SIP) of the records to be kept for good. SEDA words stay inside this module.

pub mod certificate;
pub mod check;
mod content;
pub mod destruction;
mod manifest;
mod package;
mod profile;
pub mod reply;

pub use package::package;
pub use profile::{ClassProfile, Profile};
