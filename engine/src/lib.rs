//! Cartulaire's engine.
#![forbid(unsafe_code)]

pub mod codes;
pub mod contract;
pub mod domain;
pub mod error;
pub mod finding;
pub mod nomenclature;
pub mod source;
pub mod validate;
