//! `data.parquet` beside `data.csv`: what is proven of one holds for the other only when they say the same.

use super::published_csv::lexer::Records;
use crate::error::{Error, IoContext as _, Result};
use crate::store::read_batches;
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use std::path::Path;

/// Checks that both files of a package hold the same columns and rows, in the same order. One that has no
/// `data.parquet` has nothing to check.
///
/// # Errors
/// [`Error::Refused`] `PARQUET_DIFFERS` with the first row that differs.
pub fn same_as_csv(folder: &Path) -> Result<()> {
    let (parquet, csv) = (folder.join("data.parquet"), folder.join("data.csv"));
    if !parquet.is_file() {
        return Ok(());
    }
    let refuse = |what: String| {
        Err(Error::Refused {
            code: "PARQUET_DIFFERS",
            message: format!("data.parquet ne dit pas la même chose que data.csv, seul prouvé : {what}"),
        })
    };
    let bytes = std::fs::read(&csv).at(&csv)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut records = Records::new(text.trim_start_matches('\u{feff}'));
    let Some(Ok(header)) = records.next() else { return refuse("data.csv est vide".into()) };
    let mut row = 1_usize;
    let batches = match read_batches(&parquet, None) {
        Ok(batches) => batches,
        Err(_) => return refuse("il est illisible".into()),
    };
    for batch in batches {
        let Ok(batch) = batch else { return refuse("il est illisible".into()) };
        let schema = batch.schema();
        let names = schema.fields().iter().map(|f| f.name().as_str());
        if !names.eq(header.iter().map(|(_, f)| f.as_ref())) {
            return refuse("les colonnes diffèrent".into());
        }
        for at in 0..batch.num_rows() {
            row += 1;
            let Some(Ok(record)) = records.next() else {
                return refuse(format!("la ligne {row} manque à data.csv"));
            };
            let fields = record.iter().map(|(_, f)| f.as_ref());
            if record.len() != batch.num_columns() || !fields.enumerate().all(|(c, f)| same(&batch, c, at, f))
            {
                return refuse(format!("la ligne {row} diffère"));
            }
        }
    }
    if records.next().is_some() {
        return refuse(format!("la ligne {} manque à data.parquet", row + 1));
    }
    Ok(())
}

/// Whether a value is what the text says; an empty text is no value, or an empty one.
fn same(batch: &RecordBatch, column: usize, row: usize, text: &str) -> bool {
    let Some(array) = batch.columns().get(column) else { return false };
    if array.is_null(row) {
        return text.is_empty();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row) == text,
        DataType::Int64 => text.parse() == Ok(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float64 => text.parse::<f64>().is_ok_and(|v| {
            (v - array.as_primitive::<Float64Type>().value(row)).abs() < 1e-9 * v.abs().max(1.0)
        }),
        _ => false,
    }
}
