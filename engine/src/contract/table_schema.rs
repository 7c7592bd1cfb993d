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

/// A contract as JSON Schema (2020-12): one object a record, values as they are in our own files.
pub fn json_schema(contract: &Contract) -> Value {
    let mut properties = Map::new();
    for column in &contract.columns {
        let text = |extra: Value| {
            let mut map = Map::new();
            map.insert("type".into(), json!("string"));
            if let Value::Object(extra) = extra {
                map.extend(extra);
            }
            Value::Object(map)
        };
        let constrained = || {
            let mut extra = Map::new();
            if let Some(pattern) = &column.pattern {
                extra.insert("pattern".into(), json!(pattern.as_str()));
            }
            if !column.values.is_empty() {
                extra.insert("enum".into(), json!(column.values));
            }
            Value::Object(extra)
        };
        let mut schema = match column.kind {
            ColumnType::Text => text(constrained()),
            ColumnType::List => json!({"type": "array", "items": text(constrained())}),
            ColumnType::AnneeScolaire => text(json!({"pattern": "^[0-9]{4}-[0-9]{4}$"})),
            ColumnType::Integer | ColumnType::Duration => json!({"type": "integer"}),
            ColumnType::Decimal { .. } => json!({"type": "number"}),
            ColumnType::Date => text(json!({"format": "date"})),
            ColumnType::Time => text(json!({"format": "time"})),
            ColumnType::Boolean => json!({"type": "boolean"}),
        };
        if let Some(map) = schema.as_object_mut() {
            map.insert("description".into(), json!(column.description));
            for (name, bound) in [("minimum", column.min), ("maximum", column.max)] {
                if let Some(bound) = bound {
                    map.insert(name.into(), json!(bound));
                }
            }
        }
        properties.insert(column.name.to_string(), schema);
    }
    let required: Vec<&str> = contract.columns.iter().filter(|c| c.required).map(|c| &*c.name).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": contract.title,
        "description": contract.description,
        "type": "object",
        "properties": properties,
        "required": required,
    })
}
