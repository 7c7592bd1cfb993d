//! Cartulaire's engine: ingest, validate, extract, sort final, package. A library without terminal,
//! environment, clock or network: dates, times and paths are arguments.
//!
//! Start at [`run`]: it shows the main path. Then, in the way of the data: [`receive`], [`ingest`]
//! (with [`contract`], [`source`], [`validate`], [`nomenclature`]), [`extract`], [`retention`],
//! [`elimination`], [`seda`]. [`store`] keeps, [`journal`] remembers.
//!
//! ```
//! use cartulaire_engine::domain::Uai;
//! assert!(Uai::parse("0350122T").is_ok());
//! assert!(Uai::parse("0350122A").is_err());
//! ```
#![forbid(unsafe_code)]

pub mod codes;
pub mod contract;
pub(crate) mod delta;
pub mod disclosure;
pub mod domain;
pub mod elimination;
pub mod error;
pub mod extract;
pub mod finding;
pub mod french;
pub mod ingest;
pub mod journal;
pub mod nomenclature;
pub(crate) mod paper;
pub mod person;
pub mod quarantine;
pub mod receive;
pub mod report;
pub mod retention;
pub mod run;
pub mod seda;
pub mod source;
pub mod store;
pub mod validate;
