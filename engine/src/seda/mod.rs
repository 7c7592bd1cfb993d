//! SEDA packages (SIP) of the records to be kept for good. SEDA words stay inside this module.

mod build;
pub mod certificate;
pub mod check;
mod content;
mod context;
pub mod destruction;
pub mod model;
mod package;
pub mod profile;
pub mod reply;
mod siard;
pub mod write;
pub mod zipper;

pub use package::package;
pub use profile::Profile;
