//! The archived form of a table: CSV (UTF-8, RFC 4180), Table Schema, dictionary, quality report.
//! Plain formats that an archive identifies and that can be read in fifty years; not Parquet,
//! which PRONOM does not list.

use crate::contract::{Contract, dictionary, table_schema};
use crate::domain::hex;
use crate::error::{Error, IoContext, Result};
use crate::store::{Snapshot, Store, read_batches};
use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use sha2::{Digest, Sha512};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// A file of the package.
pub struct Object {
    /// XML identifier; also the neutral file name.
    pub id: String,
    /// Path inside the package.
    pub uri: String,
    /// Name for people.
    pub filename: String,
    /// Title of its unit.
    pub title: String,
    /// What it is.
    pub description: String,
    /// Format.
    pub format: Format,
    /// Lower-case SHA-512.
    pub sha512: String,
    /// Bytes.
    pub size: u64,
}

/// Formats that we write, with their PRONOM identifiers (DROID signature file v109).
#[derive(Debug, Clone, Copy)]
pub struct Format {
    pub name: &'static str,
    pub mime: &'static str,
    pub puid: &'static str,
    pub extension: &'static str,
}

const CSV: Format =
    Format { name: "Comma Separated Values", mime: "text/csv", puid: "x-fmt/18", extension: "csv" };
const JSON: Format = Format {
    name: "JSON Data Interchange Format",
    mime: "application/json",
    puid: "fmt/817",
    extension: "json",
};
const TEXT: Format =
    Format { name: "Plain Text File", mime: "text/plain", puid: "x-fmt/111", extension: "txt" };

/// Writes the four objects of a table below `folder`; numbers go on from `next`.
///
/// # Errors
/// When the store or the disk fail.
pub fn write_table(
    store: &Store,
    contract: &Contract,
    snapshots: &[&Snapshot],
    quality: &str,
    folder: &Path,
    next: &mut usize,
) -> Result<(Vec<Object>, u64)> {
    let mut object = |format: Format, what: &str, title: String, description: String| {
        *next += 1;
        let id = format!("BDO-{next:04}");
        Object {
            uri: format!("content/{id}.{}", format.extension),
            filename: format!("{}-{what}.{}", contract.name, format.extension),
            id,
            title,
            description,
            format,
            sha512: String::new(),
            size: 0,
        }
    };
    let t = &contract.title;
    let mut data = object(
        CSV,
        "donnees",
        format!("{t} : données"),
        "Table en CSV (RFC 4180, UTF-8, virgule, en-tête).".into(),
    );
    let mut schema =
        object(JSON, "schema", format!("{t} : schéma"), "Description des colonnes (Table Schema).".into());
    let mut words = object(
        TEXT,
        "dictionnaire",
        format!("{t} : dictionnaire"),
        "Dictionnaire de données en clair.".into(),
    );
    let mut report = object(
        JSON,
        "qualite",
        format!("{t} : contrôles"),
        "Contrôles faits à la réception des données.".into(),
    );

    let mut out = Hashing::create(&folder.join(&data.uri))?;
    let rows = write_csv(store, contract, snapshots, &mut out)?;
    (data.sha512, data.size) = out.finish()?;
    let schema_text =
        serde_json::to_string_pretty(&table_schema(contract)).map_err(|e| Error::Write(e.to_string()))?;
    for (object, text) in
        [(&mut schema, schema_text), (&mut words, dictionary(contract)), (&mut report, quality.to_owned())]
    {
        let mut out = Hashing::create(&folder.join(&object.uri))?;
        out.write_all(text.as_bytes()).at(folder)?;
        out.write_all(b"\n").at(folder)?;
        (object.sha512, object.size) = out.finish()?;
    }
    Ok((vec![data, schema, words, report], rows))
}

fn write_csv(
    store: &Store,
    contract: &Contract,
    snapshots: &[&Snapshot],
    out: &mut impl Write,
) -> Result<u64> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    let fault = |e: csv::Error| Error::Write(e.to_string());
    writer.write_record(contract.columns.iter().map(|c| c.name.as_bytes())).map_err(fault)?;
    let mut rows = 0;
    for snapshot in snapshots {
        for batch in read_batches(&store.snapshot_path(snapshot)?, None)? {
            let batch = batch?;
            let n = batch.num_rows();
            let known = |n: &str| n.starts_with('_') || contract.column(n).is_some();
            if let Some(field) = batch.schema().fields().iter().find(|f| !known(f.name())) {
                return Err(changed(contract, field.name()));
            }
            let columns: Vec<ArrayRef> = contract
                .columns
                .iter()
                .map(|c| match batch.column_by_name(&c.name) {
                    Some(array) => as_text(array),
                    // The school year is the partition: its value is in the path.
                    None if contract.partition_column() == contract.column(&c.name) => {
                        Ok(std::sync::Arc::new(StringArray::from_iter_values(std::iter::repeat_n(
                            &snapshot.annee_scolaire,
                            n,
                        ))) as ArrayRef)
                    }
                    None => Err(changed(contract, &c.name)),
                })
                .collect::<Result<_>>()?;
            let texts: Vec<&StringArray> = columns.iter().map(|c| c.as_string()).collect();
            for row in 0..n {
                writer
                    .write_record(texts.iter().map(|c| if c.is_valid(row) { c.value(row) } else { "" }))
                    .map_err(fault)?;
            }
            rows += n as u64;
        }
    }
    writer.flush().at(store.root())?;
    Ok(rows)
}

/// An archive must not receive a table under a description that is not its own.
fn changed(contract: &Contract, column: &str) -> Error {
    Error::Usage(format!(
        "le contrat de la table « {} » a changé depuis l'ingestion (colonne « {column} ») : remettez le contrat d'alors pour empaqueter ces enregistrements",
        contract.name
    ))
}

/// ISO dates and times, decimal points, true/false, lists joined by `|`.
fn as_text(array: &ArrayRef) -> Result<ArrayRef> {
    let Some(list) = array.as_list_opt::<i32>() else { return Ok(cast(array, &DataType::Utf8)?) };
    let joined = (0..list.len()).map(|row| {
        list.is_valid(row).then(|| {
            let values = list.value(row);
            let values: &StringArray = values.as_string();
            values.iter().flatten().collect::<Vec<_>>().join("|")
        })
    });
    Ok(std::sync::Arc::new(StringArray::from_iter(joined)))
}

/// A file that is digested while it is written.
struct Hashing {
    file: BufWriter<File>,
    hasher: Sha512,
    size: u64,
    path: std::path::PathBuf,
}

impl Hashing {
    fn create(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).at(folder)?;
        }
        let file = BufWriter::with_capacity(1 << 18, File::create(path).at(path)?);
        Ok(Hashing { file, hasher: Sha512::new(), size: 0, path: path.to_path_buf() })
    }

    fn finish(mut self) -> Result<(String, u64)> {
        self.file.flush().at(&self.path)?;
        Ok((hex(&self.hasher.finalize()), self.size))
    }
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..n).unwrap_or_default());
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}
