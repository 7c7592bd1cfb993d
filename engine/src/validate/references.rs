//! Foreign keys: the values of a table, as hashes, with the days between which each holds.

use super::keys::hash64;
use crate::error::Result;
use crate::store::{Snapshot, Store, holds_text, read_batches};
use arrow::array::AsArray;
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
    /// Values of a text column of snapshots, at any day. `None` when one of them was written without
    /// that column, or not as text: nothing can then be said of a value that is not found.
    ///
    /// # Errors
    /// When a snapshot cannot be read, or no longer has the bytes that were ingested.
    pub fn read(store: &Store, snapshots: &[&Snapshot], column: &str) -> Result<Option<Self>> {
        let mut out = References::default();
        for snapshot in snapshots {
            let path = store.snapshot_path(snapshot)?;
            if !holds_text(&path, column)? {
                return Ok(None);
            }
            for batch in read_batches(&path, Some(&[column]))? {
                let batch = batch?;
                let values = batch.columns().first().and_then(|c| c.as_string_opt::<i32>());
                for value in values.into_iter().flatten().flatten() {
                    out.add(reference_hash(std::iter::once(value)), i32::MIN, i32::MAX);
                }
            }
        }
        Ok(Some(out))
    }

    /// Adds a value that holds between two days, both included (days since 1970-01-01).
    pub fn add(&mut self, hash: u64, from: i32, to: i32) {
        let windows = self.values.entry(hash).or_default();
        match windows.iter_mut().find(|(f, t, _)| (*f, *t) == (from, to)) {
            Some((_, _, n)) => *n = n.saturating_add(1),
            None => windows.push((from, to, 1)),
        }
    }

    /// These and those.
    pub fn and(mut self, other: &References) -> Self {
        for (hash, windows) in &other.values {
            windows.iter().for_each(|(from, to, _)| self.add(*hash, *from, *to));
        }
        self
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::store::PartWriter;
    use arrow::array::{ArrayRef, Int64Array, StringArray};
    use arrow::record_batch::RecordBatch;
    use std::sync::Arc;

    #[test]
    fn values_of_a_snapshot_are_read_only_from_the_bytes_that_were_ingested() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::create(folder.path()).unwrap();
        let columns: [(&str, ArrayRef); 2] = [
            ("code", Arc::new(StringArray::from(vec![Some("A1"), None, Some("B2")]))),
            ("nombre", Arc::new(Int64Array::from(vec![1, 2, 3]))),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let path = "tables/t/part-00000.parquet";
        let mut writer = PartWriter::create(&store.path(path), batch.schema()).unwrap();
        writer.write(&batch).unwrap();
        let (_, digest) = writer.finish().unwrap();
        let snapshot = Snapshot {
            path: path.into(),
            table_name: "t".into(),
            record_class: "c".into(),
            annee_scolaire: "2025-2026".into(),
            delivery_id: "d".into(),
            delivery_date: "2026-01-10".into(),
            emitter: "e".into(),
            rows: 3,
            sha256: digest.to_string(),
        };
        let altered = Snapshot { sha256: "0".repeat(64), ..snapshot.clone() };
        assert!(matches!(References::read(&store, &[&altered], "code"), Err(Error::Corrupt(_))));
        let known = References::read(&store, &[&snapshot], "code").unwrap().unwrap();
        for (value, found) in [("A1", Found::Yes), ("B2", Found::Yes), ("C3", Found::No)] {
            assert_eq!(known.find(reference_hash(std::iter::once(value)), None), found, "{value}");
        }
        for column in ["nombre", "absente"] {
            assert!(References::read(&store, &[&snapshot], column).unwrap().is_none(), "{column}");
        }
    }
}
