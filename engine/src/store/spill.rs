//! Fixed-size records in bounded memory: beyond a threshold they go to unnamed temporary files,
//! one per partition, and come back partition by partition.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};

/// Partitions: enough that one of a hundred million records fits in memory.
const PARTITIONS: usize = 64;
/// Records kept in memory before they are written.
const KEPT: usize = 1 << 19;

/// Records of `N` bytes, spread by their first byte: it must be that of a hash.
pub struct Spill<const N: usize> {
    kept: Vec<Vec<[u8; N]>>,
    count: usize,
    files: Vec<Option<File>>,
}

impl<const N: usize> Default for Spill<N> {
    fn default() -> Self {
        Spill { kept: vec![Vec::new(); PARTITIONS], count: 0, files: (0..PARTITIONS).map(|_| None).collect() }
    }
}

fn leading<const N: usize>(record: &[u8; N]) -> u128 {
    record.first_chunk::<16>().map_or(0, |b| u128::from_be_bytes(*b))
}

fn failed(e: std::io::Error) -> Error {
    Error::io("fichier temporaire", e)
}

impl<const N: usize> Spill<N> {
    /// Adds a record.
    ///
    /// # Errors
    /// When the temporary folder is full.
    pub fn add(&mut self, record: [u8; N]) -> Result<()> {
        let partition = usize::from(record.first().copied().unwrap_or(0)) % PARTITIONS;
        if let Some(kept) = self.kept.get_mut(partition) {
            kept.push(record);
            self.count += 1;
        }
        if self.count >= KEPT { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        for (kept, file) in self.kept.iter_mut().zip(&mut self.files) {
            let file = match file {
                Some(f) => f,
                None => file.insert(tempfile::tempfile().map_err(failed)?),
            };
            file.write_all(kept.as_flattened()).map_err(failed)?;
            kept.clear();
        }
        self.count = 0;
        Ok(())
    }

    /// Gives each partition back, sorted; equal records are next to each other.
    ///
    /// # Errors
    /// When a temporary file cannot be read, or `visit` fails.
    pub fn each_partition(self, mut visit: impl FnMut(&[[u8; N]]) -> Result<()>) -> Result<()> {
        for (mut kept, file) in self.kept.into_iter().zip(self.files) {
            if let Some(mut file) = file {
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                let mut reader = BufReader::with_capacity(1 << 20, file);
                let mut record = [0; N];
                loop {
                    match reader.read_exact(&mut record) {
                        Ok(()) => kept.push(record),
                        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => break,
                        Err(e) => return Err(failed(e)),
                    }
                }
            }
            // The first sixteen bytes are a number in order: comparing numbers is far cheaper.
            kept.sort_unstable_by(|a, b| leading(a).cmp(&leading(b)).then_with(|| a.cmp(b)));
            visit(&kept)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_sorted_inside_their_partition_spilled_or_not() {
        for n in [10_u32, 2_000_000] {
            let mut spill = Spill::<8>::default();
            for i in 0..n {
                let mut record = [0; 8];
                record[..4].copy_from_slice(&(i.wrapping_mul(2_654_435_761)).to_be_bytes());
                record[4..].copy_from_slice(&i.to_be_bytes());
                spill.add(record).unwrap();
            }
            let mut seen = 0;
            spill
                .each_partition(|p| {
                    assert!(p.is_sorted());
                    seen += p.len();
                    Ok(())
                })
                .unwrap();
            assert_eq!(seen, n as usize);
        }
    }
}
