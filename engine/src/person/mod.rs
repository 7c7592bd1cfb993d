//! Every record that concerns one person, for who asks for his data, their rectification or erasure.
//!
//! Which columns identify whom is said by the contracts (`person = {…}`). From one identifier the others of
//! the same person are found ([`closure`]), then every place of the store is looked at ([`search`]).

mod bytes;
mod closure;
mod page;
mod scan;
mod search;
mod spaces;

pub use closure::{Conflict, Hop, Identifier, Known, Naming, closure};
pub use page::page;
pub use search::{Answer, Found, Opaque, Place, Question, Received, Unreachable, find, identifier_digest};
pub use spaces::{Identifies, Spaces};
