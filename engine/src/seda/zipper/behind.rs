//! The digest of the whole zip, made from the file itself behind the thread that writes it.

use super::hash::PIECE;
use crate::domain::hex;
use crate::error::{Error, IoContext, Result};
use sha2::{Digest, Sha512};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// A file that tells how far it goes, wherever it is written.
pub struct End {
    file: File,
    at: u64,
    end: Arc<AtomicU64>,
}

impl End {
    /// `file` is empty; `end` is kept at its size.
    pub fn new(file: File, end: Arc<AtomicU64>) -> Self {
        End { file, at: 0, end }
    }

    /// Bytes reach the disk.
    pub fn sync(&self) -> std::io::Result<()> {
        self.file.sync_all()
    }
}

impl Write for End {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.at += n as u64;
        self.end.fetch_max(self.at, Ordering::Relaxed);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Seek for End {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.at = self.file.seek(to)?;
        Ok(self.at)
    }
}

/// Digests a file as far as it is known to be final.
pub enum Behind {
    /// At the end, in the thread of the caller.
    Here(PathBuf),
    /// In a thread of its own.
    Beside(Sender<u64>, JoinHandle<Result<Sum>>, PathBuf),
}

/// A digest under way, and the bytes that it read.
type Sum = (File, Sha512, u64);

impl Behind {
    /// `threads` from 2 on gives the digest a thread of its own.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn new(path: &Path, threads: usize) -> Result<Self> {
        if threads < 2 {
            return Ok(Behind::Here(path.to_path_buf()));
        }
        let file = File::open(path).at(path)?;
        let (send, receive) = channel();
        let owned = path.to_path_buf();
        let thread = std::thread::spawn(move || run(file, &owned, &receive));
        Ok(Behind::Beside(send, thread, path.to_path_buf()))
    }

    /// Bytes before `end` change no more.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn digest_to(&mut self, end: u64) -> Result<()> {
        match self {
            Behind::Here(_) => Ok(()),
            Behind::Beside(send, ..) => send.send(end).map_err(gone),
        }
    }

    /// The file is whole: its lower-case SHA-512 and its size.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn finish(self) -> Result<(String, u64)> {
        let (path, mut sum) = match self {
            Behind::Here(path) => {
                let file = File::open(&path).at(&path)?;
                (path, (file, Sha512::new(), 0))
            }
            Behind::Beside(send, thread, path) => {
                drop(send);
                (path, thread.join().map_err(gone)??)
            }
        };
        read(&mut sum, &path, u64::MAX)?;
        Ok((hex(&sum.1.finalize()), sum.2))
    }
}

fn gone<T>(_: T) -> Error {
    Error::Write("le calcul des empreintes s'est arrêté".into())
}

fn run(file: File, path: &Path, ends: &Receiver<u64>) -> Result<Sum> {
    let mut sum = (file, Sha512::new(), 0);
    for end in ends {
        read(&mut sum, path, end)?;
    }
    Ok(sum)
}

/// Goes on to `end`, or to the end of the file.
fn read((file, hasher, done): &mut Sum, path: &Path, end: u64) -> Result<()> {
    let mut piece = Vec::with_capacity(PIECE);
    while *done < end {
        piece.clear();
        let n = file.take((end - *done).min(PIECE as u64)).read_to_end(&mut piece).at(path)?;
        if n == 0 {
            break;
        }
        hasher.update(&piece);
        *done += n as u64;
    }
    Ok(())
}
