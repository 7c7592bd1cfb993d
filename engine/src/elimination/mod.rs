//! Elimination lists: what the rules make due, proposed to the archives. Nothing is deleted here.

mod bordereau;
mod list;

pub use list::{BordereauRow, propose};
