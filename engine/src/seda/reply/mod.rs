//! What the archive answers: read, compared with what was sent, explained, kept. A deposit counts as
//! archived only when the reply covers every unit and every object of our manifest.

mod explain;
mod import;
mod read;
mod reconcile;
mod sent;

pub use explain::{Explanation, explain};
pub use import::{Imported, archived, import, proved};
pub use read::{Event, Kind, Limits, Outcome, Reply, Version, read};
pub use reconcile::{Reconciliation, Sent, Verdict, reconcile};
pub use sent::{Manifest, package};
