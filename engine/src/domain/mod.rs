//! Values that can only be right: the constructor is the check.

mod annee_scolaire;
mod date;
mod digest;
mod uai;

pub use annee_scolaire::{AnneeScolaire, Calendar};
pub use date::{DateFormat, parse_duration_seconds, parse_time_seconds};
pub use digest::{Digest, DigestReader, DigestWriter, hex};
pub use uai::{CHECK_LETTERS, Uai, UaiFault};
