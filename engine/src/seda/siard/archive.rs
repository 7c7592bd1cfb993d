//! The ZIP of an archive, written table after table in bounded memory.

use super::cell::{self, Cell, Seen};
use super::metadata::{self, SCHEMA_FOLDER, table_folder};
use super::model::{Database, Table};
use super::schema;
use crate::domain::DigestWriter;
use crate::error::{Error, IoContext as _, Result};
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Rows gathered before they go to the compressor.
const BATCH: usize = 1 << 16;

/// Bytes of the entry of the folder `header/`: a fixed part of 30, and its name.
const HEADER_ENTRY: u64 = 30 + "header/".len() as u64;

/// What was written of a table.
#[derive(Debug, Clone, Default)]
pub struct TableRows {
    /// Rows.
    pub rows: u64,
    /// Of each column.
    pub seen: Vec<Seen>,
}

/// A finished archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Rows of each table, in order.
    pub rows: Vec<u64>,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the primary data, as in the metadata.
    pub digest: String,
}

/// An archive being written, beside its path under the name `….part` until it is whole: what was
/// not finished leaves no file.
///
/// Tables are opened in the order of the model, and each takes its rows. The same model and rows
/// give the same bytes.
pub struct Siard<'d> {
    database: &'d Database,
    path: PathBuf,
    zip: ZipWriter<BufWriter<File>>,
    tables: Vec<TableRows>,
    /// Rows of the open table, not yet given to the compressor.
    batch: Vec<u8>,
    part: Part,
}

/// A file that goes away, unless it was renamed.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Nothing is there once the archive has its name.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl<'d> Siard<'d> {
    /// Begins the archive `path`.
    ///
    /// # Errors
    /// `SIARD_MODEL` when the model is wrong; when the file cannot be made.
    pub fn create(path: &Path, database: &'d Database) -> Result<Self> {
        database.check()?;
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = Part(part.into());
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = BufWriter::with_capacity(1 << 18, options.open(&part.0).at(&part.0)?);
        let (zip, path) = (ZipWriter::new(file), path.to_path_buf());
        let mut archive = Siard { database, path, zip, tables: Vec::new(), batch: Vec::new(), part };
        archive.folder("content/")?;
        archive.folder(&format!("content/{SCHEMA_FOLDER}/"))?;
        Ok(archive)
    }

    /// Opens the next table of the model; the one before is closed.
    ///
    /// # Errors
    /// When the model has no more tables, or the file cannot be written.
    pub fn open_table(&mut self) -> Result<()> {
        self.close_table()?;
        let index = self.tables.len();
        let table =
            self.database.schema.tables.get(index).ok_or_else(|| refused("plus de tables que prévu"))?;
        self.tables.push(TableRows { rows: 0, seen: vec![Seen::default(); table.columns.len()] });
        let folder = folder_of(index);
        self.folder(&format!("{folder}/"))?;
        // Nobody knows yet how long it will be: its sizes have the room of ZIP64.
        self.file(&format!("{folder}/{}.xml", table_folder(index)), true)?;
        write!(
            self.batch,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<table xmlns=\"{0}\" \
             xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
             xsi:schemaLocation=\"{0} {1}.xsd\" version=\"2.2\">\n",
            schema::NAMESPACE,
            table_folder(index)
        )
        .at(&self.path)
    }

    /// Adds a row to the open table: a cell for each column, in order.
    ///
    /// # Errors
    /// `SIARD_ROW` when the table cannot hold the row (the message tells which cell, never what it
    /// holds), and none of it is written then; when the file cannot be written.
    pub fn row<'c>(&mut self, cells: impl IntoIterator<Item = Cell<'c>>) -> Result<()> {
        let (Some(index), Some(table)) = (self.tables.len().checked_sub(1), self.tables.last_mut()) else {
            return Err(refused("aucune table n'est ouverte"));
        };
        let Some(model) = self.database.schema.tables.get(index) else {
            return Err(refused("table inconnue"));
        };
        let before = self.batch.len();
        if let Err(message) = push_row(&mut self.batch, model, table, cells) {
            self.batch.truncate(before);
            let row = table.rows + 1;
            return Err(refused(&format!("table « {} », ligne {row} : {message}", model.name)));
        }
        table.rows += 1;
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Closes the last table, writes what the archive says of itself, and gives the file its name.
    ///
    /// # Errors
    /// When a table of the model was not opened, or the file cannot be written.
    pub fn finish(mut self) -> Result<Written> {
        self.close_table()?;
        if self.tables.len() < self.database.schema.tables.len() {
            return Err(refused("moins de tables que prévu"));
        }
        self.folder("header/")?;
        let digest = self.digest()?;
        self.folder("header/siardversion/")?;
        self.folder("header/siardversion/2.2/")?;
        let metadata = metadata::document(self.database, &self.tables, &digest);
        for (name, bytes) in
            [("header/metadata.xml", &*metadata), ("header/metadata.xsd", schema::METADATA_SCHEMA.as_bytes())]
        {
            self.file(name, false)?;
            self.zip.write_all(bytes).at(&self.path)?;
        }
        let Siard { path, zip, tables, part, .. } = self;
        let out = zip.finish().map_err(|e| zip_fault(&path, e))?;
        let file = out.into_inner().map_err(|e| Error::io(&path, e.into_error()))?;
        file.sync_all().at(&path)?;
        let bytes = file.metadata().at(&path)?.len();
        std::fs::rename(&part.0, &path).at(&path)?;
        Ok(Written { rows: tables.iter().map(|t| t.rows).collect(), bytes, digest })
    }

    fn close_table(&mut self) -> Result<()> {
        let Some(index) = self.tables.len().checked_sub(1) else { return Ok(()) };
        self.batch.extend_from_slice(b"</table>\n");
        self.flush()?;
        let (Some(table), Some(rows)) = (self.database.schema.tables.get(index), self.tables.get(index))
        else {
            return Ok(());
        };
        let schema = schema::of_table(table, &rows.seen);
        self.file(&format!("{}/{}.xsd", folder_of(index), table_folder(index)), false)?;
        self.zip.write_all(&schema).at(&self.path)
    }

    fn flush(&mut self) -> Result<()> {
        self.zip.write_all(&self.batch).at(&self.path)?;
        self.batch.clear();
        Ok(())
    }

    fn folder(&mut self, name: &str) -> Result<()> {
        self.zip.add_directory(name, options().unix_permissions(0o755)).map_err(|e| zip_fault(&self.path, e))
    }

    fn file(&mut self, name: &str, large: bool) -> Result<()> {
        let options = options().unix_permissions(0o644).large_file(large);
        self.zip.start_file(name, options).map_err(|e| zip_fault(&self.path, e))
    }

    /// Digest of all bytes before the entry of `header/`, which was the last written. They are read
    /// again, because the sizes of an entry are set in front of it once it is written.
    fn digest(&mut self) -> Result<String> {
        self.zip.flush().at(&self.path)?;
        let mut file = self.zip.get_ref().map(BufWriter::get_ref).ok_or_else(|| refused("fichier fermé"))?;
        let end = file.stream_position().at(&self.path)?;
        let mut left = end.saturating_sub(HEADER_ENTRY);
        let mut digest = DigestWriter::default();
        let mut buffer = vec![0; 1 << 16];
        file.rewind().at(&self.path)?;
        while left > 0 {
            let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let part = buffer.get_mut(..room).unwrap_or_default();
            file.read_exact(part).at(&self.path)?;
            digest.update(part);
            left -= room as u64;
        }
        let mut entry = [0; HEADER_ENTRY as usize];
        file.read_exact(&mut entry).at(&self.path)?;
        if !(entry.starts_with(b"PK\x03\x04") && entry.ends_with(b"header/")) {
            return Err(refused("le dossier « header/ » n'est pas où il doit être"));
        }
        file.seek(SeekFrom::Start(end)).at(&self.path)?;
        Ok(digest.finish().to_string().to_uppercase())
    }
}

/// No time, no owner: same content, same bytes. The standard allows stored and deflated entries.
fn options() -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
}

fn folder_of(index: usize) -> String {
    format!("content/{SCHEMA_FOLDER}/{}", table_folder(index))
}

fn push_row<'c>(
    out: &mut Vec<u8>,
    model: &Table,
    table: &mut TableRows,
    cells: impl IntoIterator<Item = Cell<'c>>,
) -> Result<(), String> {
    out.extend_from_slice(b"<row>");
    let mut cells = cells.into_iter();
    for (i, (column, seen)) in model.columns.iter().zip(&mut table.seen).enumerate() {
        let cell = cells.next().ok_or("moins de cellules que de colonnes")?;
        cell::push(out, i + 1, column, &cell, seen)
            .map_err(|message| format!("colonne « {} » : {message}", column.name))?;
    }
    if cells.next().is_some() {
        return Err("plus de cellules que de colonnes".into());
    }
    out.extend_from_slice(b"</row>\n");
    Ok(())
}

fn refused(message: &str) -> Error {
    Error::Refused { code: "SIARD_ROW", message: format!("archive SIARD : {message}") }
}

fn zip_fault(path: &Path, e: ZipError) -> Error {
    match e {
        ZipError::Io(e) => Error::io(path, e),
        e => Error::Write(format!("{} : {e}", path.display())),
    }
}
