//! The archived form of a table: CSV (UTF-8, RFC 4180), Table Schema, dictionary, quality report.
//! Plain formats that an archive identifies and that can be read in fifty years; not Parquet,
//! which PRONOM does not list.

use super::profile::{ClassProfile, Kind};
use super::zipper::Method;
use crate::contract::{ColumnSpec, Contract, dictionary, table_schema};
use crate::domain::Digest;
use crate::error::{Error, IoContext, Result};
use crate::store::{Snapshot, Store, files, read_batches};
use crate::validate::composite_text;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// SIARD.
pub const SIARD: Format = Format {
    name: "SIARD",
    mime: "application/zip",
    puid: "fmt/1777",
    extension: "siard",
    method: Method::Stored,
};

/// A file of the package, written aside.
#[derive(Debug, Clone)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Table that it belongs to.
    pub table: Option<String>,
    /// Where it waits.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// Name for people.
    pub filename: String,
    /// Title of its unit.
    pub title: String,
    /// Scope of its unit.
    pub description: String,
    /// Format.
    pub format: Format,
}

/// Formats that we write, with their PRONOM identifiers (DROID signature file v109).
#[derive(Debug, Clone, Copy)]
pub struct Format {
    pub name: &'static str,
    pub mime: &'static str,
    pub puid: &'static str,
    pub extension: &'static str,
    pub method: Method,
}

/// Comma separated values.
pub const CSV: Format = Format {
    name: "Comma Separated Values",
    mime: "text/csv",
    puid: "x-fmt/18",
    extension: "csv",
    method: Method::Deflated,
};
/// JSON.
pub const JSON: Format = Format {
    name: "JSON Data Interchange Format",
    mime: "application/json",
    puid: "fmt/817",
    extension: "json",
    method: Method::Deflated,
};
/// Plain text.
pub const TEXT: Format = Format {
    name: "Plain Text File",
    mime: "text/plain",
    puid: "x-fmt/111",
    extension: "txt",
    method: Method::Deflated,
};

/// Rows of one producer in a table: its data file and how many rows each snapshot gave.
pub struct Share {
    /// Agency.
    pub producer: String,
    /// The data.
    pub data: Object,
    /// (path of the snapshot, rows).
    pub rows: Vec<(String, u64)>,
}

/// Writes the rows of a table below `folder`, one file a producer.
///
/// # Errors
/// When the store or the disk fail, or the contract is not that of the rows.
pub fn write_rows(
    store: &Store,
    contract: &Contract,
    class: &ClassProfile,
    snapshots: &[&Snapshot],
    folder: &Path,
) -> Result<Vec<Share>> {
    let producers =
        class.producers.as_ref().and_then(|p| contract.column(&p.column).map(|_| p.column.as_str()));
    let mut files: BTreeMap<&str, Table> = BTreeMap::new();
    let fault = |e: csv::Error| Error::Write(e.to_string());
    for snapshot in snapshots {
        for batch in read_batches(&store.snapshot_path(snapshot)?, None)? {
            let columns = columns(contract, snapshot, &batch?)?;
            let texts: Vec<&StringArray> = columns.iter().map(|c| c.as_string()).collect();
            let by = producers.and_then(|name| contract.columns.iter().position(|c| &*c.name == name));
            let by = by.and_then(|i| texts.get(i).copied());
            for row in 0..texts.first().map_or(0, |c| c.len()) {
                let agency = class.agency_of(by.filter(|c| c.is_valid(row)).map(|c| c.value(row)));
                let table = match files.entry(agency) {
                    Entry::Occupied(e) => e.into_mut(),
                    Entry::Vacant(e) => {
                        let name =
                            format!("{}-{}.csv", contract.name, Digest::of(agency.as_bytes()).short(8));
                        e.insert(Table::create(folder.join(name), contract)?)
                    }
                };
                table
                    .writer
                    .write_record(texts.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }))
                    .map_err(fault)?;
                match table.rows.last_mut() {
                    Some((path, n)) if *path == snapshot.path => *n += 1,
                    _ => table.rows.push((snapshot.path.clone(), 1)),
                }
            }
        }
    }
    files.into_iter().map(|(agency, table)| table.finish(agency, contract)).collect()
}

/// Files of a producer that are open at the same time are as many as its profile names.
struct Table {
    path: PathBuf,
    writer: csv::Writer<File>,
    rows: Vec<(String, u64)>,
}

impl Table {
    fn create(path: PathBuf, contract: &Contract) -> Result<Self> {
        let file = File::create(&path).at(&path)?;
        let mut writer = csv::WriterBuilder::new()
            .terminator(csv::Terminator::CRLF)
            .buffer_capacity(1 << 17)
            .from_writer(file);
        let header = contract.columns.iter().map(|c| c.name.as_bytes());
        writer.write_record(header).map_err(|e| Error::Write(e.to_string()))?;
        Ok(Table { path, writer, rows: Vec::new() })
    }

    fn finish(mut self, agency: &str, contract: &Contract) -> Result<Share> {
        self.writer.flush().at(&self.path)?;
        let size = std::fs::metadata(&self.path).at(&self.path)?.len();
        let data = Object {
            kind: Kind::Data,
            table: Some(contract.name.clone()),
            path: self.path,
            size,
            filename: format!("{}-donnees.csv", contract.name),
            title: format!("{} : données", contract.title),
            description: "Table en CSV (RFC 4180, UTF-8, virgule, en-tête).".into(),
            format: CSV,
        };
        Ok(Share { producer: agency.to_owned(), data, rows: self.rows })
    }
}

/// Writes what explains a table below `folder`: Table Schema, dictionary, quality report.
///
/// # Errors
/// When the disk fails.
pub fn write_explanations(contract: &Contract, quality: &str, folder: &Path) -> Result<Vec<Object>> {
    let schema =
        serde_json::to_string_pretty(&table_schema(contract)).map_err(|e| Error::Write(e.to_string()))?;
    [
        (Kind::Schema, "schema", JSON, "schéma", "Description des colonnes (Table Schema).", schema),
        (
            Kind::Dictionary,
            "dictionnaire",
            TEXT,
            "dictionnaire",
            "Dictionnaire de données en clair.",
            dictionary(contract),
        ),
        (
            Kind::Quality,
            "qualite",
            JSON,
            "contrôles",
            "Contrôles faits à la réception des données.",
            quality.to_owned(),
        ),
    ]
    .into_iter()
    .map(|(kind, what, format, word, description, text)| {
        let filename = format!("{}-{what}.{}", contract.name, format.extension);
        let title = format!("{} : {word}", contract.title);
        let object = write_text(kind, filename, title, description, format, &text, folder)?;
        Ok(Object { table: Some(contract.name.clone()), ..object })
    })
    .collect()
}

/// Writes a text of the package below `folder`, with a line end.
///
/// # Errors
/// When the disk fails.
pub fn write_text(
    kind: Kind,
    filename: String,
    title: String,
    description: &str,
    format: Format,
    text: &str,
    folder: &Path,
) -> Result<Object> {
    let path = folder.join(&filename);
    files::write_atomic(&path, format!("{text}\n").as_bytes())?;
    let size = text.len() as u64 + 1;
    Ok(Object { kind, table: None, path, size, filename, title, description: description.into(), format })
}

/// Columns of the contract as texts.
fn columns(contract: &Contract, snapshot: &Snapshot, batch: &RecordBatch) -> Result<Vec<ArrayRef>> {
    contract.columns.iter().map(|c| as_text(&column_of(contract, snapshot, batch, c)?)).collect()
}

/// A column of the contract in a batch of a snapshot.
///
/// # Errors
/// When the contract is not that of the rows.
pub fn column_of(
    contract: &Contract,
    snapshot: &Snapshot,
    batch: &RecordBatch,
    column: &ColumnSpec,
) -> Result<ArrayRef> {
    let known = |n: &str| n.starts_with('_') || contract.column(n).is_some();
    if let Some(field) = batch.schema().fields().iter().find(|f| !known(f.name())) {
        return Err(changed(contract, field.name()));
    }
    match batch.column_by_name(&column.name) {
        Some(array) => Ok(array.clone()),
        // The school year is the partition: its value is in the path.
        None if contract.partition_column() == contract.column(&column.name) => {
            let year = std::iter::repeat_n(&snapshot.annee_scolaire, batch.num_rows());
            Ok(Arc::new(StringArray::from_iter_values(year)))
        }
        None => Err(changed(contract, &column.name)),
    }
}

/// An archive must not receive a table under a description that is not its own.
fn changed(contract: &Contract, column: &str) -> Error {
    Error::Usage(format!(
        "le contrat de la table « {} » a changé depuis l'ingestion (colonne « {column} ») : remettez le contrat d'alors pour empaqueter ces enregistrements",
        contract.name
    ))
}

/// ISO dates and times, decimal points, true/false, composites with their `$`, lists joined by `|`.
pub fn as_text(array: &ArrayRef) -> Result<ArrayRef> {
    if let Some(text) = composite_text(array) {
        return Ok(text);
    }
    let Some(list) = array.as_list_opt::<i32>() else { return Ok(cast(array, &DataType::Utf8)?) };
    let items = as_text(list.values())?;
    let items: &StringArray = items.as_string();
    let joined = (0..list.len()).map(|row| {
        let (from, to) = (list.value_offsets().get(row)?, list.value_offsets().get(row + 1)?);
        let values = items.slice(usize::try_from(*from).ok()?, usize::try_from(to - from).ok()?);
        list.is_valid(row).then(|| values.iter().flatten().collect::<Vec<_>>().join("|"))
    });
    Ok(Arc::new(StringArray::from_iter(joined)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ListArray, StructArray};
    use arrow::datatypes::Field;

    #[test]
    fn composites_and_lists_of_them_are_written_as_they_came() {
        let field = |n: &str| Arc::new(Field::new(n, DataType::Utf8, true));
        let text = |v: [Option<&str>; 3]| Arc::new(StringArray::from_iter(v)) as ArrayRef;
        let parts = StructArray::from(vec![
            (field("a"), text([Some("1"), Some("2"), Some("3")])),
            (field("b"), text([Some("x"), None, Some("")])),
        ]);
        let composite = Arc::new(parts) as ArrayRef;
        let written = as_text(&composite).unwrap();
        let written: Vec<_> = written.as_string::<i32>().iter().map(Option::unwrap).collect();
        assert_eq!(written, ["1$x", "2", "3$"]);
        let item = Arc::new(Field::new_list_field(composite.data_type().clone(), true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0, 1]);
        let lists = Arc::new(ListArray::new(item, offsets, composite, None)) as ArrayRef;
        let written = as_text(&lists).unwrap();
        let written: Vec<_> = written.as_string::<i32>().iter().map(Option::unwrap).collect();
        assert_eq!(written, ["1$x|2", "", "3$"]);
    }
}
