//! Tri: which records of a due population are kept, by a plan that anybody can carry out again.
//!
//! The same population, plan, request number and public value give the same sample, whatever the
//! order of the records and the machine. A [`Population`] is gathered first and its root recorded;
//! the public value is given afterwards (a nonce of the archives, a published number), so that
//! nobody can look for a seed that suits him. The [`Manifest`] says what was kept and why; of what
//! may go it only holds a digest. Whoever has the manifest and the population can check it.
//!
//! Unknown means keep: a record without readable year, name, type or stratum, where the plan looks
//! at it, is kept for that reason.

mod desk;
mod draws;
mod file;
mod gather;
mod load;
mod manifest;
mod merkle;
mod plan;
mod population;
mod score;
mod select;
mod size;
mod surname;

pub use desk::TriDesk;
pub use draws::{DrawnTri, Draws, PlanDraws};
pub use file::{population_text, read_population};
pub use gather::gather;
pub use load::load_plans;
pub use manifest::{Counts, Difference, Kept, Manifest};
pub use merkle::MerkleTree;
pub use plan::{Plan, Reading, Stratified, Surname, WholeKind, WholeYears, WitnessYears};
pub use population::{Population, Record};
pub use score::ALGORITHM;
pub use select::{Reason, Request, Sample, Step, StratumCount};
pub use size::{Decimal, Size, allocate};

#[cfg(test)]
mod tests;
