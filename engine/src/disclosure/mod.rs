//! Statistical disclosure control: what may be published of a set of linked tables, and the proof.
//!
//! [`table`] builds the linked system of cells, [`policy`] says which cells need protection and how
//! much, [`suppress`] chooses what to mask, [`certificate`] proves it with additions only. [`audit`]
//! attacks what is published and shares no code with the suppressor. [`joint`] attacks a candidate with
//! every [`release`] before it, and [`propose`] finds what may leave instead. [`published_csv`] reads
//! published files back, [`proof_file`] keeps their certificate, [`verdict`] audits them.
//!
//! Method: Fischetti and Salazar (cell suppression), Hundepool et al. (Statistical Disclosure Control,
//! 2012); doctrine 5.4.1 for what anonymous means.

pub mod audit;
pub mod cell_key;
pub mod certificate;
mod certify;
pub mod criteria;
pub mod joint;
pub mod microdata;
mod moves;
mod package_files;
pub mod policy;
pub mod proof_file;
pub mod propose;
pub mod published_csv;
pub mod published_parquet;
pub mod release;
pub mod rounding;
mod slots;
pub mod suppress;
pub mod system;
pub mod table;
pub mod verdict;

#[cfg(test)]
mod tests;

pub use certify::certify;
