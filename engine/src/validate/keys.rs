//! Unique keys of a delivery, whatever its size, in bounded memory.
//!
//! Which record of a key is kept may not depend on the order of the rows: of records that are the
//! same in every column one is kept (the first, so that the report points at the copies); records
//! of one key that differ are all set aside, since nothing says which one is right.
//!
//! Keys are compared by 128 bits of hash: at a hundred million keys two different ones collide with
//! a probability of 10⁻²³, and a collision would quarantine right records, never lose one.

use crate::error::Result;
use crate::store::Spill;
use foldhash::quality::RandomState;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::LazyLock;

/// A record's claim on its key.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// Hash of the key.
    pub key: u128,
    /// Hash of the whole record.
    pub content: u64,
    /// Number of the record in the delivery's table.
    pub ordinal: u64,
}

/// Why a record loses its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loser {
    /// A copy of this record.
    Copy(u64),
    /// One of several different records; the first of them.
    Conflict(u64),
}

/// Claims of a delivery, to be settled when all are known.
#[derive(Default)]
pub struct KeyLog {
    spill: Spill<32>,
}

impl KeyLog {
    /// Adds a claim.
    ///
    /// # Errors
    /// When the temporary folder is full.
    pub fn add(&mut self, claim: Claim) -> Result<()> {
        let mut record = [0; 32];
        let parts = claim
            .key
            .to_be_bytes()
            .into_iter()
            .chain(claim.ordinal.to_be_bytes())
            .chain(claim.content.to_be_bytes());
        record.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        self.spill.add(record)
    }

    /// Records that lose their key, by ordinal.
    ///
    /// # Errors
    /// When the temporary files cannot be read.
    pub fn settle(self) -> Result<HashMap<u64, Loser>> {
        let mut losers = HashMap::new();
        self.spill.each_partition(|records| {
            for same in records.chunk_by(|a, b| a.first_chunk::<16>() == b.first_chunk::<16>()) {
                let [first, rest @ ..] = same else { continue };
                if rest.is_empty() {
                    continue;
                }
                let ordinal = |r: &[u8; 32]| number(r.get(16..24));
                let content = |r: &[u8; 32]| number(r.get(24..32));
                let copies = rest.iter().all(|r| content(r) == content(first));
                let why = if copies { Loser::Copy(ordinal(first)) } else { Loser::Conflict(ordinal(first)) };
                let lost = if copies { rest } else { same };
                for record in lost {
                    // A record with several keys (a wide line): a conflict says more than a copy.
                    losers
                        .entry(ordinal(record))
                        .and_modify(|w: &mut Loser| *w = (*w).max(why))
                        .or_insert(why);
                }
            }
            Ok(())
        })?;
        Ok(losers)
    }
}

fn number(bytes: Option<&[u8]>) -> u64 {
    bytes.and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// Hashes of this process: nobody outside can prepare values that collide.
static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);

/// 64-bit hash of texts whose borders count. It holds for this process only.
pub fn hash64<'k>(salt: u8, parts: impl Iterator<Item = &'k str>) -> u64 {
    let mut hasher = STATE.build_hasher();
    hasher.write_u8(salt);
    for part in parts {
        part.hash(&mut hasher);
    }
    hasher.finish()
}

/// 128-bit hash of a key.
pub fn hash_key<'k>(parts: impl Iterator<Item = &'k str> + Clone) -> u128 {
    (u128::from(hash64(1, parts.clone())) << 64) | u128::from(hash64(2, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(records: &[(&str, &str)]) -> Vec<(u64, Loser)> {
        let mut log = KeyLog::default();
        for (i, (key, content)) in records.iter().enumerate() {
            let key = hash_key(std::iter::once(*key));
            log.add(Claim { key, content: hash64(3, std::iter::once(*content)), ordinal: i as u64 }).unwrap();
        }
        let mut losers: Vec<_> = log.settle().unwrap().into_iter().collect();
        losers.sort_by_key(|(o, _)| *o);
        losers
    }

    #[test]
    fn copies_leave_the_first_and_conflicts_leave_none() {
        assert_eq!(
            settle(&[("a", "x"), ("b", "x"), ("a", "x"), ("a", "x")]),
            [(2, Loser::Copy(0)), (3, Loser::Copy(0))]
        );
        assert_eq!(
            settle(&[("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")]),
            [(0, Loser::Conflict(0)), (2, Loser::Conflict(0)), (3, Loser::Conflict(0))]
        );
    }

    #[test]
    fn borders_of_key_parts_count() {
        assert_ne!(hash_key(["a", "bc"].into_iter()), hash_key(["ab", "c"].into_iter()));
    }
}
