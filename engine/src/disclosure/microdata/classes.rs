//! Rows grouped once: what the search works on.

use super::{Quasi, Secret};
use crate::disclosure::slots::Slots;
use crate::error::{Error, Result};
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Rows with the same quasi-identifiers, at level 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes {
    /// Codes of each class, one after the other.
    pub(super) codes: Vec<u32>,
    /// Rows of each class.
    pub(super) sizes: Vec<u32>,
    /// For each secret, (class, value, rows), in order.
    pub(super) secrets: Vec<Vec<(u32, u32, u32)>>,
    /// For each secret, rows of each value, and whether values have an order.
    pub(super) whole: Vec<(Vec<u64>, bool)>,
    /// For each secret, the code that is no value.
    pub(super) missing: Vec<Option<u32>>,
    /// Class of each row.
    pub of: Vec<u32>,
    /// Quasi-identifiers.
    pub(super) width: usize,
}

impl Classes {
    /// How many.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// No row at all.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// Rows of all.
    pub fn rows(&self) -> u64 {
        self.of.len() as u64
    }
}

/// Groups rows by `columns`, each coded for its `quasi`.
///
/// # Errors
/// [`Error::Usage`] when columns differ in length, or a code has no place in its hierarchy.
pub fn group(quasi: &[Quasi], columns: &[&[u32]], secrets: &[Secret<'_>]) -> Result<Classes> {
    let rows = columns.first().map_or(0, |c| c.len());
    let lengths = columns.iter().map(|c| c.len()).chain(secrets.iter().map(|s| s.codes.len()));
    let known = |(q, c): (&Quasi, &&[u32])| c.iter().all(|code| q.sizes.first().is_some_and(|n| code < n));
    if quasi.len() != columns.len()
        || lengths.into_iter().any(|n| n != rows)
        || !quasi.iter().zip(columns).all(known)
        || secrets.iter().any(|s| s.codes.iter().any(|c| *c >= s.values))
    {
        return Err(Error::Usage("les colonnes à rendre anonymes ne vont pas ensemble".into()));
    }
    // Column after column: pairs of numbers never overflow.
    let mut of = vec![0_u32; rows];
    let mut numbers: HashMap<u64, u32, FixedState> = HashMap::default();
    for column in columns {
        numbers.clear();
        for (class, code) in of.iter_mut().zip(*column) {
            let next = numbers.len() as u32;
            *class = *numbers.entry(u64::from(*class) << 32 | u64::from(*code)).or_insert(next);
        }
    }
    let count = if columns.is_empty() { usize::from(rows > 0) } else { numbers.len() };
    let mut sizes = vec![0_u32; count];
    let mut codes = vec![0_u32; count * columns.len()];
    for (row, class) in of.iter().enumerate() {
        let class = *class as usize;
        if sizes.at(class) == 0 {
            for (i, column) in columns.iter().enumerate() {
                codes.put(class * columns.len() + i, column.at(row));
            }
        }
        sizes.change(class, |n| n + 1);
    }
    let mut made = Vec::with_capacity(secrets.len());
    let mut whole = Vec::with_capacity(secrets.len());
    for secret in secrets {
        let mut pairs: HashMap<u64, u32, FixedState> = HashMap::default();
        let mut all = vec![0_u64; secret.values as usize];
        for (class, value) in of.iter().zip(secret.codes) {
            *pairs.entry(u64::from(*class) << 32 | u64::from(*value)).or_default() += 1;
            all.change(*value as usize, |n| n + 1);
        }
        let mut list: Vec<(u32, u32, u32)> =
            pairs.into_iter().map(|(pair, rows)| ((pair >> 32) as u32, pair as u32, rows)).collect();
        list.sort_unstable();
        made.push(list);
        whole.push((all, secret.ordered));
    }
    let missing = secrets.iter().map(|s| s.missing).collect();
    Ok(Classes { codes, sizes, secrets: made, whole, missing, of, width: columns.len() })
}
