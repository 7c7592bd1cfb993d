//! Corrélation with the source itself: whether an identifier of a person stands among what is published. Columns
//! that identify are no dimensions, so one that does is a coincidence, which the methodology tells.

use super::dataset::Dataset;
use super::table::Cube;
use crate::error::Result;
use crate::store::{Store, read_batches};
use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use std::collections::BTreeSet;

/// Identifiers of persons in the deliveries that were counted, and how many of them are published codes.
///
/// # Errors
/// When the store fails.
pub fn among_codes(store: &Store, dataset: &Dataset, sources: &[String], cube: &Cube) -> Result<(u64, u64)> {
    let codes: BTreeSet<&str> = cube.cells.iter().flat_map(|c| &c.codes).map(String::as_str).collect();
    let columns: Vec<&str> = dataset.raw_keys.iter().map(String::as_str).collect();
    let (mut compared, mut found) = (0, 0);
    if columns.is_empty() {
        return Ok((0, 0));
    }
    for snapshot in store.ledger.snapshots(&dataset.table)?.iter().filter(|s| sources.contains(&s.path)) {
        for batch in read_batches(&store.snapshot_path(snapshot)?, Some(&columns))? {
            for column in batch?.columns() {
                let texts = cast(column, &DataType::Utf8)?;
                for value in texts.as_string::<i32>().iter().flatten() {
                    compared += 1;
                    found += u64::from(codes.contains(value));
                }
            }
        }
    }
    Ok((compared, found))
}
