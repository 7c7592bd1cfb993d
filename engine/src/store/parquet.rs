//! Parquet at rest: zstd, statistics, same bytes for the same rows.

use crate::domain::{Digest, DigestWriter};
use crate::error::{Error, IoContext, Result};
use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::arrow::arrow_writer::{ArrowColumnChunk, compute_leaves};
use ::parquet::basic::{Compression, Encoding, ZstdLevel};
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::ColumnPath;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn properties(schema: &Schema) -> Result<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_max_row_group_row_count(None)
        .set_created_by("cartulaire".into());
    for field in schema.fields() {
        // Numbers of lines and bytes only grow, measures rarely repeat: their differences are
        // smaller, and found faster, than a dictionary of them.
        if matches!(field.data_type(), DataType::Int64) {
            let column = ColumnPath::from(field.name().as_str());
            properties = properties
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    Ok(properties.build())
}

/// A row group, encoded and compressed away from its file: on any thread.
pub struct Encoded {
    schema: SchemaRef,
    rows: u64,
    chunks: Vec<ArrowColumnChunk>,
}

impl Encoded {
    /// Encodes a batch as one row group.
    ///
    /// # Errors
    /// When a column has no Parquet form.
    pub fn new(batch: &RecordBatch) -> Result<Self> {
        let schema = batch.schema();
        let blank = ArrowWriter::try_new(std::io::sink(), schema.clone(), Some(properties(&schema)?))?;
        let (_, factory) = blank.into_serialized_writer()?;
        let mut writers = factory.create_column_writers(0)?.into_iter();
        let mut chunks = Vec::with_capacity(schema.fields().len());
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            for leaf in compute_leaves(field, column)? {
                let mut writer =
                    writers.next().ok_or_else(|| Error::Corrupt("colonne sans écrivain".into()))?;
                writer.write(&leaf)?;
                chunks.push(writer.close()?);
            }
        }
        Ok(Encoded { schema, rows: batch.num_rows() as u64, chunks })
    }

    /// Rows that nobody wants to read back.
    pub fn counted(rows: usize) -> Self {
        Encoded { schema: Arc::new(Schema::empty()), rows: rows as u64, chunks: Vec::new() }
    }

    /// Columns of the row group.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

/// Writes one Parquet file. Dropped before its end, it leaves no half file behind: what a first pass
/// wrote of a year in which the second one keeps nothing goes this way.
pub struct PartWriter {
    path: PathBuf,
    writer: Option<SerializedFileWriter<Digested>>,
    rows: u64,
}

impl Drop for PartWriter {
    fn drop(&mut self) {
        if self.writer.take().is_some() {
            // What cannot be removed here is what a killed process leaves too.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A file whose digest is taken as it is written: Parquet is written from its first byte to its last.
struct Digested {
    file: File,
    hasher: DigestWriter,
}

impl Write for Digested {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(buf)?;
        self.hasher.update(buf.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl PartWriter {
    /// A writer to a new file; its folder is made.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn create(path: &Path, schema: SchemaRef) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).at(folder)?;
        }
        let file = Digested { file: File::create(path).at(path)?, hasher: DigestWriter::default() };
        let properties = properties(&schema)?;
        let (writer, _) = ArrowWriter::try_new(file, schema, Some(properties))?.into_serialized_writer()?;
        Ok(PartWriter { path: path.to_path_buf(), writer: Some(writer), rows: 0 })
    }

    /// Adds a row group.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn append(&mut self, rows: Encoded) -> Result<()> {
        let writer = self.writer.as_mut().ok_or_else(|| Error::Corrupt("fichier déjà fermé".into()))?;
        let mut group = writer.next_row_group()?;
        for chunk in rows.chunks {
            chunk.append_to_row_group(&mut group)?;
        }
        group.close()?;
        self.rows += rows.rows;
        Ok(())
    }

    /// Adds rows as one row group.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 { Ok(()) } else { self.append(Encoded::new(batch)?) }
    }

    /// Closes and syncs the file; its rows and digest.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(mut self) -> Result<(u64, Digest)> {
        let writer = self.writer.take().ok_or_else(|| Error::Corrupt("fichier déjà fermé".into()))?;
        let Digested { file, hasher } = writer.into_inner()?;
        file.sync_all().at(&self.path)?;
        Ok((self.rows, hasher.finish()))
    }
}

/// Whether a Parquet file has a text column of that name.
///
/// # Errors
/// When the file is missing or damaged.
pub fn holds_text(path: &Path, column: &str) -> Result<bool> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).at(path)?)?;
    Ok(builder.schema().field_with_name(column).is_ok_and(|f| f.data_type() == &DataType::Utf8))
}

/// Names of the columns of a Parquet file.
///
/// # Errors
/// When the file is missing or damaged.
pub fn column_names(path: &Path) -> Result<Vec<String>> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path).at(path)?)?;
    Ok(builder.schema().fields().iter().map(|f| f.name().clone()).collect())
}

/// Reads a Parquet file batch by batch, some columns or all.
///
/// # Errors
/// When the file is missing, damaged, or lacks a column.
pub fn read_batches(
    path: &Path,
    columns: Option<&[&str]>,
) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
    let file = File::open(path).at(path)?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(8192);
    if let Some(names) = columns {
        for name in names {
            if builder.schema().column_with_name(name).is_none() {
                return Err(Error::Corrupt(format!("{} : colonne « {name} » absente", path.display())));
            }
        }
        let mask = ::parquet::arrow::ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
        builder = builder.with_projection(mask);
    }
    Ok(builder.build()?.map(|b| b.map_err(Error::from)))
}
