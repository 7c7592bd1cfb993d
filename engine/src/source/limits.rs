//! Bounds on everything that comes from outside.

/// Limits of the readers. Past one of them the file is refused, never read further into memory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one record (a CSV row, an AAF request).
    pub record_bytes_max: usize,
    /// Columns of a header.
    pub columns_max: usize,
    /// Records per chunk.
    pub batch_records: usize,
    /// Bytes per chunk, about.
    pub batch_bytes: usize,
    /// Bytes that one line of a wide file may give once its items are rows.
    pub wide_bytes_max: usize,
    /// Depth of elements in an XML document.
    pub depth_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            record_bytes_max: 16 << 20,
            columns_max: 10_000,
            batch_records: 65_536,
            batch_bytes: 6 << 20,
            wide_bytes_max: 64 << 20,
            depth_max: 64,
        }
    }
}
