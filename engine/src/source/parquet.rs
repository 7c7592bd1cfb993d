//! Parquet deliveries: columns by name, values back to the text of the contract, so that one set of
//! checks judges every form. Parquet is read from its end, so the file must lie on disk by itself.

use super::{Chunk, Delivered, FileFindings, Limits, Place, RawBatch, RecordReader, printable};
use crate::codes::Code;
use crate::contract::{ColumnSpec, ColumnType, Contract};
use crate::domain::DateFormat;
use crate::error::Result;
use crate::finding::{Finding, Origin};
use ::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, ListBuilder, StringArray, StringBuilder, new_null_array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Date32Type};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Reads a Parquet file by its contract.
pub struct ParquetReader<'a> {
    contract: &'a Contract,
    file: Arc<str>,
    rows: Option<ParquetRecordBatchReader>,
    records: u64,
    end: FileFindings,
}

impl<'a> ParquetReader<'a> {
    pub(super) fn new(contract: &'a Contract, file: Delivered<'a>, limits: Limits) -> Self {
        let mut reader = ParquetReader {
            contract,
            file: file.name.into(),
            rows: None,
            records: 0,
            end: FileFindings::default(),
        };
        match file.path {
            None => reader.refuse(
                Code::ParquetMalformed,
                "",
                "un fichier Parquet se dépose seul, hors d'une archive".into(),
            ),
            Some(path) => reader.open(path, limits),
        }
        reader
    }

    fn refuse(&mut self, code: Code, column: &str, message: String) {
        let origin = Origin { file: self.file.clone(), column: column.into(), ..Origin::default() };
        self.end.refusal = Some(Finding::new(code, origin, message));
        self.rows = None;
    }

    fn open(&mut self, path: &Path, limits: Limits) {
        // A damaged footer may ask for anything; the reader answers with an error, never a panic
        // that matters: it is told as a damaged file.
        let opened = File::open(path).ok().and_then(|f| ParquetRecordBatchReaderBuilder::try_new(f).ok());
        let Some(builder) = opened else {
            return self.refuse(Code::ParquetMalformed, "", "ce n'est pas un fichier Parquet lisible".into());
        };
        let schema = builder.schema().clone();
        let missing: Vec<&str> = self
            .contract
            .columns
            .iter()
            .filter(|c| !c.optional && position(&schema, c).is_none())
            .map(|c| &*c.name)
            .collect();
        if let Some(first) = missing.first() {
            let (first, all) = ((*first).to_owned(), missing.join(", "));
            return self.refuse(
                Code::CsvHeaderMissing,
                &first,
                format!("colonnes attendues absentes : {all}"),
            );
        }
        for field in schema.fields() {
            let known =
                self.contract.columns.iter().any(|c| names(c).any(|n| n.eq_ignore_ascii_case(field.name())));
            if !known {
                let origin = Origin {
                    file: self.file.clone(),
                    column: printable(field.name()).into(),
                    ..Origin::default()
                };
                self.end.findings.push(Finding::new(
                    Code::CsvHeaderUnknown,
                    origin,
                    "colonne inconnue du contrat : elle n'est pas reprise",
                ));
            }
        }
        match builder.with_batch_size(limits.batch_records.min(16_384)).build() {
            Ok(rows) => self.rows = Some(rows),
            Err(_) => self.refuse(Code::ParquetMalformed, "", "fichier Parquet abîmé".into()),
        }
    }
}

fn names(spec: &ColumnSpec) -> impl Iterator<Item = &str> {
    std::iter::once(&*spec.name).chain(spec.aliases.iter().map(String::as_str))
}

fn position(schema: &arrow::datatypes::Schema, spec: &ColumnSpec) -> Option<usize> {
    names(spec).find_map(|n| schema.fields().iter().position(|f| f.name().eq_ignore_ascii_case(n)))
}

/// A column as the text that the contract expects.
fn as_text(spec: &ColumnSpec, array: &ArrayRef) -> Option<ArrayRef> {
    if spec.kind == ColumnType::List {
        if let Some(list) = array.as_list_opt::<i32>() {
            let values = cast(list.values(), &DataType::Utf8).ok()?;
            let values: &StringArray = values.as_string_opt()?;
            let mut out = ListBuilder::new(StringBuilder::new());
            for row in 0..list.len() {
                let range = list.value_offsets().get(row..row + 2)?;
                let (from, to) =
                    (usize::try_from(*range.first()?).ok()?, usize::try_from(*range.last()?).ok()?);
                let filled: Vec<&str> = (from..to)
                    .filter(|i| values.is_valid(*i))
                    .map(|i| values.value(i))
                    .filter(|v| !v.is_empty())
                    .collect();
                match list.is_valid(row) && !filled.is_empty() {
                    true => out.append_value(filled.into_iter().map(Some)),
                    false => out.append_null(),
                }
            }
            return Some(Arc::new(out.finish()) as ArrayRef);
        }
        let text = cast(array, &DataType::Utf8).ok()?;
        let text: &StringArray = text.as_string_opt()?;
        let mut out = ListBuilder::new(StringBuilder::new());
        for value in text {
            match value.filter(|v| !v.is_empty()) {
                Some(v) => out.append_value(v.split('|').map(Some)),
                None => out.append_null(),
            }
        }
        let list: ListArray = out.finish();
        return Some(Arc::new(list));
    }
    let text: StringArray = if let Some(dates) = array.as_primitive_opt::<Date32Type>() {
        let format = match spec.date_format {
            DateFormat::French => "%d/%m/%Y",
            DateFormat::Iso => "%Y-%m-%d",
            DateFormat::Compact => "%Y%m%d",
        };
        dates
            .iter()
            .map(|d| d.and_then(crate::validate::from_days).map(|d| d.format(format).to_string()))
            .collect()
    } else if let Some(marks) = array.as_boolean_opt() {
        marks.iter().map(|m| m.map(|m| if m { spec.marks.0.clone() } else { spec.marks.1.clone() })).collect()
    } else {
        let text = cast(array, &DataType::Utf8).ok()?;
        text.as_string_opt::<i32>()?.iter().map(|v| v.filter(|v| !v.is_empty())).collect()
    };
    Some(Arc::new(text))
}

impl<'a> RecordReader<'a> for ParquetReader<'a> {
    fn next_chunk(&mut self) -> Result<Option<Chunk<'a>>> {
        let Some(next) = self.rows.as_mut().and_then(Iterator::next) else { return Ok(None) };
        let Ok(rows) = next else {
            self.refuse(Code::ParquetMalformed, "", "fichier Parquet abîmé".into());
            return Ok(None);
        };
        let mut batch = RawBatch::default();
        for spec in &self.contract.columns {
            let column = match position(&rows.schema(), spec) {
                Some(i) => as_text(spec, rows.column(i)),
                None if spec.kind == ColumnType::List => {
                    Some(new_null_array(&DataType::new_list(DataType::Utf8, true), rows.num_rows()))
                }
                None => Some(new_null_array(&DataType::Utf8, rows.num_rows())),
            };
            let Some(column) = column else {
                let name = spec.name.to_string();
                self.refuse(
                    Code::ParquetMalformed,
                    &name,
                    "type de colonne qui ne se lit pas comme du texte".into(),
                );
                return Ok(None);
            };
            batch.columns.push(column);
        }
        for _ in 0..rows.num_rows() {
            self.records += 1;
            batch.places.push(Place { line: 0, record: self.records, byte: 0 });
        }
        Ok((!batch.is_empty()).then_some(Chunk::Ready(batch)))
    }

    fn finish(&mut self) -> FileFindings {
        std::mem::take(&mut self.end)
    }
}
