//! Parquet at rest: zstd, statistics, same bytes for the same rows.

use crate::domain::{Digest, DigestReader};
use crate::error::{Error, IoContext, Result};
use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::{EnabledStatistics, WriterProperties};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Writes one Parquet file.
pub struct PartWriter {
    path: PathBuf,
    writer: ArrowWriter<File>,
    rows: u64,
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
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(131_072))
            .set_created_by("cartulaire".into())
            .build();
        let file = File::create(path).at(path)?;
        Ok(PartWriter {
            path: path.to_path_buf(),
            writer: ArrowWriter::try_new(file, schema, Some(properties))?,
            rows: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        self.writer.write(batch)?;
        Ok(())
    }

    /// Closes and syncs the file; its rows and digest.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn finish(self) -> Result<(u64, Digest)> {
        let file = self.writer.into_inner()?;
        file.sync_all().at(&self.path)?;
        drop(file);
        let mut reader = DigestReader::new(File::open(&self.path).at(&self.path)?);
        std::io::copy(&mut reader, &mut std::io::sink()).at(&self.path)?;
        Ok((self.rows, reader.finish().0))
    }
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
