//! A package in one pass: the bytes of an object are read once, digested beside, and go to the zip
//! as they are. The objects come first and `manifest.xml`, which names their digests, last. The zip
//! is digested behind the writing, once an entry is whole: its header is written again when its
//! checksum is known. No time, no owner: same content, same bytes, on any number of threads.

mod behind;
mod hash;
#[cfg(test)]
mod tests;

use crate::domain::hex;
use crate::error::{Error, IoContext, Result};
use behind::{Behind, End};
use hash::{Hasher, PIECE, Pool};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// An object as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Path in the package.
    pub uri: String,
    /// Lower-case SHA-512, in hexadecimal.
    pub sha512: String,
    /// Bytes.
    pub size: u64,
}

/// The finished package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Lower-case SHA-512 of the zip, read back from the file.
    pub sha512: String,
    /// Bytes of the zip.
    pub size: u64,
}

/// A package being written, under a name of its own until [`Packager::seal`].
pub struct Packager {
    path: PathBuf,
    aside: PathBuf,
    zip: ZipWriter<BufWriter<End>>,
    behind: Behind,
    /// Bytes of the zip.
    end: Arc<AtomicU64>,
    hasher: Hasher,
    pool: Pool,
    objects: Vec<(String, u64)>,
}

/// Twice the room of a 32-bit size is left to a file that grows while it is read.
const LARGE: u64 = u32::MAX as u64 / 2;

/// How an object lies in the zip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As it is: what is compressed already, or too large to wait for.
    Stored,
    /// Deflated, fast.
    Deflated,
}

fn options(size: Option<u64>, method: Method) -> SimpleFileOptions {
    let (method, level) = match method {
        Method::Stored => (CompressionMethod::Stored, None),
        Method::Deflated => (CompressionMethod::Deflated, Some(1)),
    };
    SimpleFileOptions::default()
        .compression_method(method)
        .compression_level(level)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .large_file(size.is_none_or(|s| s >= LARGE))
}

impl Packager {
    /// Begins the package that will be at `path`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn begin(path: &Path, threads: usize) -> Result<Self> {
        let aside = beside(path, ".part");
        let end = Arc::new(AtomicU64::new(0));
        let file = End::new(File::create(&aside).at(&aside)?, end.clone());
        Ok(Packager {
            end,
            path: path.to_path_buf(),
            behind: Behind::new(&aside, threads)?,
            aside,
            zip: ZipWriter::new(BufWriter::with_capacity(1 << 18, file)),
            hasher: Hasher::new(threads),
            pool: Pool::default(),
            objects: Vec::new(),
        })
    }

    /// Adds an object; `size` is what the caller knows of it, in bytes.
    ///
    /// # Errors
    /// When the source or the disk fail, or when the name is taken.
    pub fn add(&mut self, uri: &str, method: Method, size: Option<u64>, source: &mut dyn Read) -> Result<()> {
        self.start(uri, options(size, method))?;
        let mut total = 0_u64;
        loop {
            let mut piece = self.pool.take();
            piece.clear();
            let n = source.take(PIECE as u64).read_to_end(&mut piece).at(uri)?;
            if n == 0 {
                break;
            }
            total += n as u64;
            let piece = Arc::new(piece);
            self.hasher.piece(&piece)?;
            self.zip.write_all(&piece).at(&self.aside)?;
            self.pool.give(piece);
        }
        self.hasher.end()?;
        self.objects.push((uri.to_owned(), total));
        Ok(())
    }

    /// Begins an entry. The one before is then whole on the disk, up to where it ended.
    fn start(&mut self, name: &str, options: SimpleFileOptions) -> Result<()> {
        let whole = self.written()?;
        self.zip.start_file(name, options).map_err(|e| fault(&self.aside, e))?;
        self.behind.digest_to(whole)
    }

    /// Bytes of the zip so far.
    fn written(&mut self) -> Result<u64> {
        self.zip.flush().at(&self.aside)?;
        Ok(self.end.load(Ordering::Relaxed))
    }

    /// Ends the package: `manifest` writes itself knowing the objects, in the order they were added.
    /// The zip is synced, digested and renamed; its `.sha512` beside it comes first, so that a
    /// package without one is never seen.
    ///
    /// # Errors
    /// When the manifest, the disk or a thread fail; nothing is then at the name of the package.
    pub fn seal(mut self, manifest: impl FnOnce(&[Written], &mut dyn Write) -> Result<()>) -> Result<Sealed> {
        let hasher = std::mem::replace(&mut self.hasher, Hasher::new(1));
        let digests = hasher.finish()?;
        let objects = std::mem::take(&mut self.objects);
        let written: Vec<Written> = objects
            .into_iter()
            .zip(&digests)
            .map(|((uri, size), digest)| Written { uri, sha512: hex(digest), size })
            .collect();
        self.start("manifest.xml", options(None, Method::Deflated).large_file(false))?;
        manifest(&written, &mut BufWriter::with_capacity(1 << 16, &mut self.zip))?;
        let out = self.zip.finish().map_err(|e| fault(&self.aside, e))?;
        let end = out.into_inner().map_err(|e| Error::io(&self.aside, e.into_error()))?;
        end.sync().at(&self.aside)?;
        let (sha512, size) = self.behind.finish()?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let sidecar = beside(&self.path, ".sha512");
        let part = beside(&sidecar, ".part");
        let mut side = File::create(&part).at(&part)?;
        writeln!(side, "{sha512}  {name}").and_then(|()| side.sync_all()).at(&part)?;
        std::fs::rename(&part, &sidecar).at(&sidecar)?;
        std::fs::rename(&self.aside, &self.path).at(&self.path)?;
        let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|d| d.sync_all()).at(folder)?;
        Ok(Sealed { sha512, size })
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn fault(path: &Path, e: zip::result::ZipError) -> Error {
    Error::Write(format!("{} : {e}", path.display()))
}
