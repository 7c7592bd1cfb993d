//! A contract as Table Schema (Frictionless), the form that portals and archives read.

use super::{ColumnSpec, ColumnType, Contract};
use serde_json::{Map, Value, json};

/// One field, as it is written in our own CSV files: ISO dates, decimal point, lists joined by `|`.
pub fn field_schema(column: &ColumnSpec) -> Value {
    let kind = match column.kind {
        ColumnType::Text | ColumnType::List | ColumnType::AnneeScolaire => "string",
        ColumnType::Integer | ColumnType::Duration => "integer",
        ColumnType::Decimal { .. } => "number",
        ColumnType::Date => "date",
        ColumnType::Time => "time",
        ColumnType::Boolean => "boolean",
    };
    let mut constraints = Map::new();
    if column.required {
        constraints.insert("required".into(), json!(true));
    }
    if !column.values.is_empty() && column.kind == ColumnType::Text {
        constraints.insert("enum".into(), json!(column.values));
    }
    let mut field = json!({ "name": &*column.name, "type": kind, "description": column.description });
    if let (Some(map), false) = (field.as_object_mut(), constraints.is_empty()) {
        map.insert("constraints".into(), Value::Object(constraints));
    }
    if let (Some(map), ColumnType::Boolean) = (field.as_object_mut(), column.kind) {
        map.insert("trueValues".into(), json!(["true"]));
        map.insert("falseValues".into(), json!(["false"]));
    }
    field
}

/// The whole table.
pub fn table_schema(contract: &Contract) -> Value {
    json!({
        "$schema": "https://specs.frictionlessdata.io/schemas/table-schema.json",
        "name": contract.name,
        "title": contract.title,
        "description": contract.description,
        "missingValues": [""],
        "primaryKey": contract.key.iter().filter_map(|i| contract.columns.get(*i)).map(|c| &*c.name).collect::<Vec<_>>(),
        "fields": contract.columns.iter().map(field_schema).collect::<Vec<_>>(),
    })
}
