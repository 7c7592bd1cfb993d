//! Rows that name somebody, read from the tables and quarantines of a store.

use super::closure::{Identifier, Naming};
use super::spaces::Identifies;
use crate::contract::Role;
use crate::error::{Error, Result};
use crate::store::{column_names, read_batches};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::array_value_to_string;
use std::collections::HashSet;
use std::path::Path;

/// A row that holds one of the wanted values where its contract says that a person is named.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// Number in its file, from 0.
    pub(super) number: usize,
    /// File of origin.
    pub(super) file: String,
    /// Record of that file.
    pub(super) record: i64,
    /// Everybody whom the row names.
    pub(super) namings: Vec<Naming>,
}

/// Texts of a value: of each of its elements, and of one part of a composite.
pub(super) fn texts(array: &ArrayRef, row: usize, part: Option<usize>) -> Vec<String> {
    if array.is_null(row) {
        return Vec::new();
    }
    if let Some(list) = array.as_list_opt::<i32>() {
        let inner = list.value(row);
        return (0..inner.len()).flat_map(|i| texts(&inner, i, part)).collect();
    }
    if let Some(composite) = array.as_struct_opt() {
        return composite.columns().get(part.unwrap_or_default()).map_or(Vec::new(), |c| texts(c, row, None));
    }
    let text = match array.as_string_opt::<i32>() {
        Some(text) => text.value(row).to_owned(),
        None => array_value_to_string(array, row).unwrap_or_default(),
    };
    // In quarantine a composite is as it came.
    let text = part.map_or(Some(text.as_str()), |p| text.split('$').nth(p)).unwrap_or_default().trim();
    if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }
}

/// Rows of a Parquet file in which one of the values stands in an identifying column. A file written
/// before its contract had a column lacks it: nobody is named there.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn rows(path: &Path, columns: &[Identifies], values: &HashSet<&str>) -> Result<Vec<Row>> {
    let has = column_names(path)?;
    let columns: Vec<&Identifies> = columns.iter().filter(|c| has.contains(&c.column)).collect();
    let mut out = Vec::new();
    if columns.is_empty() {
        return Ok(out);
    }
    let mut wanted: Vec<&str> = columns
        .iter()
        .flat_map(|c| c.within.iter().filter(|w| has.contains(w)).chain([&c.column]))
        .map(String::as_str)
        .chain(["_file", "_record"])
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut before = 0;
    for batch in read_batches(path, Some(&wanted))? {
        let batch = batch?;
        let arrays: Vec<(&Identifies, &ArrayRef)> =
            columns.iter().filter_map(|c| Some((*c, batch.column_by_name(&c.column)?))).collect();
        for row in 0..batch.num_rows() {
            let told: Vec<(&Identifies, Vec<String>)> =
                arrays.iter().map(|(c, a)| (*c, texts(a, row, c.part))).collect();
            if told.iter().any(|(_, all)| all.iter().any(|v| values.contains(v.as_str()))) {
                let (file, record) = origin(path, &batch, row)?;
                out.push(Row { number: before + row, file, record, namings: namings(&told, &batch, row) });
            }
        }
        before += batch.num_rows();
    }
    Ok(out)
}

fn namings(told: &[(&Identifies, Vec<String>)], batch: &RecordBatch, row: usize) -> Vec<Naming> {
    let mut out = Vec::new();
    for (column, values) in told {
        let within: Vec<String> = column
            .within
            .iter()
            .map(|w| batch.column_by_name(w).and_then(|a| texts(a, row, None).pop()).unwrap_or_default())
            .collect();
        for (value, who) in values.iter().flat_map(|v| column.who.iter().map(move |w| (v, *w))) {
            let (space, value, within) = (column.space.clone(), value.clone(), within.clone());
            let identifier = Identifier { who, space, value, within };
            out.push(Naming { column: column.column.clone(), identifier, role: column.role });
        }
    }
    out
}

fn origin(path: &Path, batch: &RecordBatch, row: usize) -> Result<(String, i64)> {
    let file = batch.column_by_name("_file").and_then(|c| c.as_string_opt::<i32>());
    let record = batch.column_by_name("_record").and_then(|c| c.as_primitive_opt::<Int64Type>());
    file.zip(record)
        .map(|(f, r)| (f.value(row).to_owned(), r.value(row)))
        .ok_or_else(|| Error::Corrupt(format!("{} : origine absente", path.display())))
}

/// Records of a quarantine that no identifier can find: the columns that say whom they are about are
/// empty, or are what is wrong.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn unreachable(path: &Path, columns: &[Identifies]) -> Result<u64> {
    let has = column_names(path)?;
    let subject = columns.iter().filter(|c| c.role == Role::Subject && has.contains(&c.column));
    let columns: Vec<&Identifies> = subject.collect();
    if columns.is_empty() {
        return Ok(0);
    }
    let mut wanted: Vec<&str> = columns.iter().map(|c| c.column.as_str()).chain(["_columns"]).collect();
    wanted.dedup();
    let mut count = 0;
    for batch in read_batches(path, Some(&wanted))? {
        let batch = batch?;
        let faults = batch.column_by_name("_columns").and_then(|c| c.as_string_opt::<i32>());
        for row in 0..batch.num_rows() {
            let wrong =
                |c: &Identifies| faults.is_some_and(|f| f.value(row).split(',').any(|n| n == c.column));
            let found = |c: &Identifies| {
                batch.column_by_name(&c.column).is_some_and(|a| !texts(a, row, c.part).is_empty())
            };
            count += u64::from(!columns.iter().any(|c| found(c) && !wrong(c)));
        }
    }
    Ok(count)
}

/// Values of some rows, column by column as text; the numbers are in order.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn values(path: &Path, numbers: &[usize]) -> Result<Vec<Vec<(String, String)>>> {
    let (mut out, mut before) = (Vec::new(), 0);
    for batch in read_batches(path, None)? {
        let batch = batch?;
        let end = before + batch.num_rows();
        for number in numbers.iter().filter(|n| (before..end).contains(*n)) {
            let row = number - before;
            let schema = batch.schema();
            let fields = schema.fields().iter().zip(batch.columns());
            let told = fields
                .filter(|(_, a)| !a.is_null(row))
                .map(|(f, a)| (f.name().clone(), array_value_to_string(a, row).unwrap_or_default()));
            out.push(told.collect());
        }
        before = end;
    }
    Ok(out)
}
