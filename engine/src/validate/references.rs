//! Foreign keys: the values of a table, as hashes, with the days between which each holds.

use super::keys::hash64;
use std::collections::HashMap;

/// Salt of the hashes of references.
const SALT: u8 = 9;

/// Values that may be referred to.
#[derive(Debug, Default, Clone)]
pub struct References {
    /// Windows of each value, and how often each came.
    values: HashMap<u64, Vec<(i32, i32, u32)>, foldhash::fast::RandomState>,
}

/// What is asked of a set of references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// There, and open at the date.
    Yes,
    /// There, at other dates.
    Closed,
    /// Not there.
    No,
}

/// Hash of a referred value, whose parts are the columns that make it.
pub fn reference_hash<'v>(parts: impl Iterator<Item = &'v str>) -> u64 {
    hash64(SALT, parts)
}

impl References {
    /// Adds a value that holds between two days, both included (days since 1970-01-01).
    pub fn add(&mut self, hash: u64, from: i32, to: i32) {
        let windows = self.values.entry(hash).or_default();
        match windows.iter_mut().find(|(f, t, _)| (*f, *t) == (from, to)) {
            Some((_, _, n)) => *n = n.saturating_add(1),
            None => windows.push((from, to, 1)),
        }
    }

    /// How often a value was added with a window that holds a day.
    pub fn count(&self, hash: u64, day: i32) -> u64 {
        let windows = self.values.get(&hash).into_iter().flatten();
        windows.filter(|(from, to, _)| (*from..=*to).contains(&day)).map(|(_, _, n)| u64::from(*n)).sum()
    }

    /// Looks a value up, at a day when there is one.
    pub fn find(&self, hash: u64, day: Option<i32>) -> Found {
        match self.values.get(&hash) {
            None => Found::No,
            Some(windows) => match day {
                Some(d) if !windows.iter().any(|(from, to, _)| (*from..=*to).contains(&d)) => Found::Closed,
                _ => Found::Yes,
            },
        }
    }
}
