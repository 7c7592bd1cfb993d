//! Columns of accepted tables and of quarantines.

use super::column::arrow_type;
use crate::contract::{ColumnType, Contract, Format};
use crate::finding::{Finding, Severity};
use crate::source::{Place, Request};
use arrow::array::{ArrayRef, Int64Array, ListBuilder, StringArray, StringBuilder, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Where each accepted record came from.
const ORIGIN: [(&str, DataType); 4] = [
    ("_file", DataType::Utf8),
    ("_line", DataType::Int64),
    ("_record", DataType::Int64),
    ("_byte", DataType::Int64),
];

/// Columns that a frame adds: what the contract does not name, and what a Delta asks for.
fn frame_fields(contract: &Contract, delta: bool) -> Vec<Field> {
    let mut out = Vec::new();
    if matches!(contract.input.format, Format::Aaf { .. } | Format::Xml { .. }) {
        out.push(Field::new("_extra", extra_type(), true));
    }
    if delta {
        out.push(Field::new("_request", DataType::Utf8, false));
        out.push(Field::new("_changed", DataType::new_list(DataType::Utf8, true), true));
    }
    out
}

fn extra_type() -> DataType {
    let entries = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::new_list(DataType::Utf8, true), true),
    ];
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entries.into()), false)), false)
}

/// Columns of an accepted table: those of the contract but the partition's, then the frame's, then
/// the origin.
pub fn accepted_schema(contract: &Contract, delta: bool) -> SchemaRef {
    let skip = contract.partition_column();
    let columns = contract
        .columns
        .iter()
        .enumerate()
        .filter(|(i, _)| Some(*i) != skip)
        .map(|(_, c)| Field::new(&*c.name, arrow_type(c), true));
    let origin = ORIGIN.iter().map(|(n, t)| Field::new(*n, t.clone(), false));
    Arc::new(Schema::new(columns.chain(frame_fields(contract, delta)).chain(origin).collect::<Vec<_>>()))
}

/// Columns of a quarantine: every raw value as text, the origin, the codes and the raw record of
/// broken frames.
pub fn quarantine_schema(contract: &Contract, delta: bool) -> SchemaRef {
    let columns = contract.columns.iter().map(|c| Field::new(&*c.name, raw_type(c.kind), true));
    let origin = ORIGIN.iter().map(|(n, t)| Field::new(*n, t.clone(), false));
    let reasons = [
        Field::new("_codes", DataType::Utf8, false),
        Field::new("_columns", DataType::Utf8, false),
        Field::new("_raw", DataType::Utf8, true),
    ];
    Arc::new(Schema::new(
        columns.chain(frame_fields(contract, delta)).chain(origin).chain(reasons).collect::<Vec<_>>(),
    ))
}

fn raw_type(kind: ColumnType) -> DataType {
    if kind == ColumnType::List { DataType::new_list(DataType::Utf8, true) } else { DataType::Utf8 }
}

/// Columns that the frame adds to a batch.
pub(super) fn frame_columns(
    contract: &Contract,
    delta: bool,
    rows: usize,
    extra: Option<&ArrayRef>,
    requests: &[Request],
) -> Vec<ArrayRef> {
    let mut out: Vec<ArrayRef> = Vec::new();
    if matches!(contract.input.format, Format::Aaf { .. } | Format::Xml { .. }) {
        out.push(extra.cloned().unwrap_or_else(|| new_null_array(&extra_type(), rows)));
    }
    if delta {
        let (mut verbs, mut changed) = (StringBuilder::new(), ListBuilder::new(StringBuilder::new()));
        for row in 0..rows {
            match requests.get(row) {
                Some(Request::Modify(named)) => {
                    verbs.append_value("modify");
                    let names = named.iter().filter_map(|c| contract.columns.get(*c)).map(|c| Some(&*c.name));
                    changed.append_value(names);
                }
                Some(Request::Delete) => {
                    verbs.append_value("delete");
                    changed.append_null();
                }
                _ => {
                    verbs.append_value("add");
                    changed.append_null();
                }
            }
        }
        out.push(Arc::new(verbs.finish()));
        out.push(Arc::new(changed.finish()));
    }
    out
}

pub(super) fn origin_columns(file: &Arc<str>, places: &[Place]) -> [ArrayRef; 4] {
    let number = |f: fn(&Place) -> u64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(places.iter().map(|p| i64::try_from(f(p)).unwrap_or(i64::MAX))))
    };
    [
        Arc::new(StringArray::new_repeated(&**file, places.len())),
        number(|p| p.line),
        number(|p| p.record),
        number(|p| p.byte),
    ]
}

/// Codes and columns of each row's rejecting findings, and the raw text of broken frames.
pub(super) fn reason_columns(
    rows: usize,
    findings: &[(usize, Finding)],
    raw: &[(usize, String)],
) -> [ArrayRef; 3] {
    let (mut codes, mut columns, mut texts) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut rest = findings;
    let mut raw = raw.iter().peekable();
    for row in 0..rows {
        let count = rest.iter().take_while(|(r, _)| *r == row).count();
        let (mine, after) = rest.split_at(count);
        rest = after;
        let join = |text: fn(&Finding) -> &str| {
            mine.iter()
                .map(|(_, f)| f)
                .filter(|f| f.severity >= Severity::Error)
                .map(text)
                .collect::<Vec<_>>()
                .join(",")
        };
        codes.append_value(join(|f| f.code.as_str()));
        columns.append_value(join(|f| &f.origin.column));
        texts.append_option(raw.next_if(|(r, _)| *r == row).map(|(_, t)| t));
        while raw.next_if(|(r, _)| *r == row).is_some() {}
    }
    [Arc::new(codes.finish()), Arc::new(columns.finish()), Arc::new(texts.finish())]
}
