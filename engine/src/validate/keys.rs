//! Keys already taken in a delivery, in 16 bytes each: 96 bits of hash and the record number.
//! Two different keys collide with a probability of 10⁻¹⁵ at ten million keys; a collision would
//! quarantine a right record, never lose it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};

/// The 64-bit half of the hash is the map's key: hashing it again would waste time.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*b);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// Remembers keys.
#[derive(Default)]
pub struct KeySet {
    /// Low hash → high 32 bits of the second hash, and the record (32 bits each).
    seen: HashMap<u64, (u32, u32), BuildHasherDefault<Identity>>,
    /// Keys whose low hash was taken by another key: next to never used.
    overflow: HashMap<(u64, u32), u32>,
}

impl KeySet {
    /// The record that took this key before, if any; otherwise it is now taken by `record`.
    pub fn claim<'k>(&mut self, parts: impl Iterator<Item = &'k str> + Clone, record: u64) -> Option<u64> {
        let (low, high) = (hash(1, parts.clone()), (hash(2, parts) >> 32) as u32);
        let record = u32::try_from(record).unwrap_or(u32::MAX);
        match self.seen.get(&low) {
            None => {
                self.seen.insert(low, (high, record));
                None
            }
            Some((h, first)) if *h == high => Some(u64::from(*first)),
            Some(_) => match self.overflow.get(&(low, high)) {
                Some(first) => Some(u64::from(*first)),
                None => {
                    self.overflow.insert((low, high), record);
                    None
                }
            },
        }
    }
}

fn hash<'k>(salt: u8, parts: impl Iterator<Item = &'k str>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u8(salt);
    for part in parts {
        part.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_claim_is_told_who_came_first_and_borders_count() {
        let mut k = KeySet::default();
        assert_eq!(k.claim(["a", "bc"].into_iter(), 1), None);
        assert_eq!(k.claim(["ab", "c"].into_iter(), 2), None);
        assert_eq!(k.claim(["a", "bc"].into_iter(), 3), Some(1));
        assert_eq!(k.claim(["ab", "c"].into_iter(), 4), Some(2));
    }
}
