//! `header/metadata.xml`: what the archive says of itself. The order of the elements is the
//! standard's.

use super::archive::TableRows;
use super::cell::Seen;
use super::model::{Column, Database, Key, Kind, Schema, Table};
use super::schema::sql;
use super::text::Xml;

const NAMESPACE: &str = "http://www.bar.admin.ch/xmlns/siard/2/metadata.xsd";

/// Folder of the only schema.
pub const SCHEMA_FOLDER: &str = "schema0";

/// Folder of a table, and name of its files.
pub fn table_folder(index: usize) -> String {
    format!("table{index}")
}

/// The whole document; `digest` is the SHA-256, in upper-case hexadecimal, of all bytes of the
/// archive before `header/`.
pub fn document(database: &Database, rows: &[TableRows], digest: &str) -> Vec<u8> {
    let mut out = Xml::new(
        "siardArchive",
        &format!(
            "xmlns=\"{NAMESPACE}\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:schemaLocation=\"{NAMESPACE} metadata.xsd\" version=\"2.2\""
        ),
    );
    out.leaf("dbname", &database.name);
    out.optional("description", &database.description);
    out.leaf("dataOwner", &database.owner);
    out.leaf("dataOriginTimespan", &database.timespan);
    out.optional("producerApplication", &database.producer);
    out.leaf("archivalDate", &database.date.to_string());
    out.open("messageDigest");
    out.leaf("digestType", "SHA-256");
    out.leaf("digest", digest);
    out.close();
    out.open("schemas");
    out.open("schema");
    let schema = &database.schema;
    out.leaf("name", &schema.name);
    out.leaf("folder", SCHEMA_FOLDER);
    out.optional("description", &schema.description);
    out.open("tables");
    for (i, (table, rows)) in schema.tables.iter().zip(rows).enumerate() {
        write_table(&mut out, schema, table, i, rows);
    }
    out.close();
    out.close();
    out.close();
    // The accounts of a database: tables made of files have none.
    out.raw("<users/>");
    out.finish()
}

fn write_table(out: &mut Xml, schema: &Schema, table: &Table, index: usize, rows: &TableRows) {
    out.open("table");
    out.leaf("name", &table.name);
    out.leaf("folder", &table_folder(index));
    out.optional("description", &table.description);
    out.open("columns");
    for (column, seen) in table.columns.iter().zip(&rows.seen) {
        write_column(out, column, *seen);
    }
    out.close();
    if let Some(key) = &table.primary_key {
        write_key(out, "primaryKey", key);
    }
    if !table.foreign_keys.is_empty() {
        out.open("foreignKeys");
        for key in &table.foreign_keys {
            out.open("foreignKey");
            out.leaf("name", &key.name);
            out.leaf("referencedSchema", &schema.name);
            out.leaf("referencedTable", &key.table);
            for (here, there) in &key.columns {
                out.open("reference");
                out.leaf("column", here);
                out.leaf("referenced", there);
                out.close();
            }
            out.optional("description", &key.description);
            out.close();
        }
        out.close();
    }
    out.leaf("rows", &rows.rows.to_string());
    out.close();
}

fn write_column(out: &mut Xml, column: &Column, seen: Seen) {
    out.open("column");
    out.leaf("name", &column.name);
    out.leaf("type", &sql(column.kind, seen));
    let places = seen.items.max(1);
    if column.kind == Kind::List {
        out.open("fields");
        for place in 1..=places {
            out.open("field");
            out.leaf("name", &format!("{}[{place}]", column.name));
            out.close();
        }
        out.close();
    }
    out.leaf("nullable", if column.nullable { "true" } else { "false" });
    if column.kind == Kind::List {
        out.leaf("cardinality", &places.to_string());
    }
    out.optional("description", &column.description);
    out.close();
}

fn write_key(out: &mut Xml, element: &'static str, key: &Key) {
    out.open(element);
    out.leaf("name", &key.name);
    for column in &key.columns {
        out.leaf("column", column);
    }
    out.close();
}
