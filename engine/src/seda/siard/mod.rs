//! SIARD 2.2 archives (eCH-0165): a set of related tables in one ZIP of XML that any archive reads
//! without the software that held them.
//!
//! What the standard asks, and where it is done:
//! - `content/` stands before `header/` in the ZIP, and every folder has an entry of its own
//!   ([`archive`]); `header/siardversion/2.2/` is what format identification looks for;
//! - a digest of all bytes before `header/` is in `header/metadata.xml` ([`metadata`]);
//! - each table is `content/schema0/tableN/tableN.xml`, with its own schema beside it ([`schema`]);
//! - what XML cannot hold is written `\u0000` ([`text`]); a null cell has no element ([`cell`]).

mod archive;
mod cell;
mod metadata;
mod model;
mod rows;
mod schema;
mod text;

pub use rows::{Described, write};
