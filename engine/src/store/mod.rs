//! The store: bulk data in immutable files, everything that must be true together in one SQLite
//! ledger. A file is visible when the ledger says so: files are written under `tmp/`, synced,
//! renamed to their place, then named by one transaction. Whatever a crash leaves behind is either
//! named by the ledger (and whole) or removed by [`Store::recover`]; the step that was running
//! writes the same bytes again.

mod current;
pub mod files;
mod ledger;
mod parquet;

pub use current::current;
pub use ledger::{
    DeliveredFile, Delivery, IngestRow, Ledger, ListRow, Publication, Refusal, RunRow, SipRow, Snapshot,
    StepRow,
};
pub use parquet::{PartWriter, read_batches};

use crate::error::{Error, IoContext, Result};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// An open, locked store.
pub struct Store {
    root: PathBuf,
    /// The facts.
    pub ledger: Ledger,
    /// Held as long as the store is open; the system frees it if the process dies.
    _lock: File,
}

const FOLDERS: &[&str] = &[
    "received",
    "tables",
    "quarantine",
    "reports",
    "publications",
    "certificates",
    "elimination",
    "archives",
    "journal",
    "tmp",
];

impl Store {
    /// Creates an empty store.
    ///
    /// # Errors
    /// When the folder already holds something else, or cannot be written.
    pub fn create(root: &Path) -> Result<Self> {
        let taken = std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
        if taken && !root.join("ledger.sqlite").exists() {
            return Err(Error::Usage(format!(
                "« {} » n'est pas vide et n'est pas un entrepôt : choisissez un autre dossier",
                root.display()
            )));
        }
        for folder in FOLDERS {
            std::fs::create_dir_all(root.join(folder)).at(root.join(folder))?;
        }
        files::restrict(root)?;
        let lock = lock(root)?;
        let ledger = Ledger::create(&root.join("ledger.sqlite"))?;
        files::sync_dir(root)?;
        Ok(Store { root: root.to_path_buf(), ledger, _lock: lock })
    }

    /// Opens and locks a store, and finishes what a crash interrupted.
    ///
    /// # Errors
    /// [`Error::NoStore`], [`Error::Locked`].
    pub fn open(root: &Path) -> Result<Self> {
        if !root.join("ledger.sqlite").exists() {
            return Err(Error::NoStore(root.to_path_buf()));
        }
        let lock = lock(root)?;
        let ledger = Ledger::open(&root.join("ledger.sqlite"))?;
        let store = Store { root: root.to_path_buf(), ledger, _lock: lock };
        store.recover()?;
        Ok(store)
    }

    /// Root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root, from its stored form (`/` between parts).
    pub fn path(&self, relative: &str) -> PathBuf {
        relative.split('/').fold(self.root.clone(), |p, part| p.join(part))
    }

    /// A fresh working folder; emptied if a crash left one.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn work_dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.root.join("tmp").join(name);
        files::remove_dir(&dir)?;
        std::fs::create_dir_all(&dir).at(&dir)?;
        Ok(dir)
    }

    /// Removes what no transaction names. Only files of our own making are touched: the folders
    /// whose every entry is named by the ledger.
    fn recover(&self) -> Result<()> {
        let tmp = self.root.join("tmp");
        files::remove_dir(&tmp)?;
        for folder in FOLDERS {
            let folder = self.root.join(folder);
            std::fs::create_dir_all(&folder).at(&folder)?;
            for path in files::list(&folder)?.iter().filter(|p| files::is_aside(p)) {
                std::fs::remove_file(path).at(path)?;
            }
        }
        for (folder, named) in self.ledger.named_paths()? {
            for path in files::list(&self.root.join(folder))? {
                let relative = self.relative(&path);
                let kept = named.iter().any(|n| {
                    relative == *n || relative.strip_prefix(n.as_str()).is_some_and(|r| r.starts_with('/'))
                });
                if !kept {
                    tracing::warn!(path = %relative, "removing a file that an interrupted step left behind");
                    std::fs::remove_file(&path).at(&path)?;
                }
            }
            files::remove_empty_dirs(&self.root.join(folder))?;
        }
        Ok(())
    }

    /// The stored form of a path below the root.
    pub fn relative(&self, path: &Path) -> String {
        let below = path.strip_prefix(&self.root).unwrap_or(path);
        below.components().map(|c| c.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    }
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).at(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(root.to_path_buf())),
        Err(TryLockError::Error(e)) => Err(Error::io(path, e)),
    }
}
