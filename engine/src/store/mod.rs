//! The store: bulk data in immutable files, everything that must be true together in one SQLite
//! ledger. A file is visible when the ledger says so: files are written under `tmp/`, synced,
//! announced in the ledger, renamed to their place, then named by one transaction. After a crash,
//! what was announced and never named is removed, and the step that was running writes the same
//! bytes again. A file that the ledger never heard of (a ledger restored from an older backup, a
//! file put there by somebody) is left alone: nothing is destroyed for being unknown.

mod current;
pub mod files;
mod ledger;
mod parquet;
mod spill;

pub use current::current;
pub use ledger::{
    DeliveredFile, Delivery, DepositRow, EditionRow, Gel, IngestRow, Ledger, ListRow, PortalStep,
    Publication, PublicationFacts, Refusal, ReplyRow, RunRow, SipRow, Snapshot, StepRow, Target, TargetKind,
    TriDraw, TriRow, gels_digest, tombstone,
};
pub use parquet::{Encoded, PartWriter, column_names, holds_text, read_batches};
pub use spill::Spill;

use crate::error::{Error, IoContext, Result};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// An open, locked store.
pub struct Store {
    root: PathBuf,
    /// The facts.
    pub ledger: Ledger,
    /// Snapshots whose bytes were checked.
    checked: RefCell<BTreeSet<String>>,
    /// Held as long as the store is open; the system frees it if the process dies.
    _lock: File,
}

const FOLDERS: &[&str] = &[
    "received",
    "nomenclatures",
    "tables",
    "quarantine",
    "reports",
    "publications",
    "certificates",
    "elimination",
    "archives",
    "tri",
    "journal",
    "tmp",
];

impl Store {
    /// Creates an empty store.
    ///
    /// # Errors
    /// When the folder already holds something else, or cannot be written.
    pub fn create(root: &Path) -> Result<Self> {
        // Our own folders without a ledger are what a crash while creating leaves.
        let ours = |name: &str| name == ".lock" || FOLDERS.contains(&name);
        let foreign = std::fs::read_dir(root).is_ok_and(|mut entries| {
            entries.any(|e| e.is_ok_and(|e| !ours(&e.file_name().to_string_lossy())))
        });
        if !root.join("ledger.sqlite").exists() && (foreign || holds_files(root)?) {
            return Err(Error::Usage(format!(
                "« {} » n'est pas vide et n'est pas un entrepôt : choisissez un autre dossier",
                root.display()
            )));
        }
        std::fs::create_dir_all(root).at(root)?;
        let lock = lock(root)?;
        for folder in FOLDERS {
            std::fs::create_dir_all(root.join(folder)).at(root.join(folder))?;
        }
        files::restrict(root)?;
        let ledger = Ledger::create(&root.join("ledger.sqlite"))?;
        files::sync_dir(root)?;
        Ok(Store { root: root.to_path_buf(), ledger, checked: RefCell::default(), _lock: lock })
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
        let ledger = Ledger::open(&root.join("ledger.sqlite"), holds_files(root)?)?;
        let mut store = Store { root: root.to_path_buf(), ledger, checked: RefCell::default(), _lock: lock };
        store.recover()?;
        Ok(store)
    }

    /// Nomenclatures imported on or before a date: of each table the last edition.
    ///
    /// # Errors
    /// When an edition can no longer be read.
    pub fn nomenclatures(&self, date: &str) -> Result<crate::nomenclature::Nomenclatures> {
        let mut last = std::collections::BTreeMap::new();
        for edition in self.ledger.editions(date)? {
            last.insert(edition.table_name.clone(), edition);
        }
        let mut files = Vec::new();
        for edition in last.into_values() {
            let path = self.path(&edition.path);
            files.push((edition.file, std::fs::read(&path).at(&path)?));
        }
        Ok(crate::nomenclature::Nomenclatures::from_files(&files).0)
    }

    /// Root folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path below the root, from its stored form (`/` between parts).
    pub fn path(&self, relative: &str) -> PathBuf {
        relative.split('/').fold(self.root.clone(), |p, part| p.join(part))
    }

    /// A snapshot's file, after checking once per opening of the store that its bytes are those
    /// that were ingested.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when they are not.
    pub fn snapshot_path(&self, snapshot: &Snapshot) -> Result<PathBuf> {
        let path = self.path(&snapshot.path);
        if !self.checked.borrow().contains(&snapshot.path) {
            if files::digest(&path)?.to_string() != snapshot.sha256 {
                return Err(Error::Corrupt(format!(
                    "« {} » n'a plus les octets ingérés : restaurez-le depuis une sauvegarde",
                    snapshot.path
                )));
            }
            self.checked.borrow_mut().insert(snapshot.path.clone());
        }
        Ok(path)
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

    /// Writes finished files or folders to their places: announced first, so that a crash before
    /// the transaction that names them leaves nothing behind for good. What already stands there is
    /// unknown to the ledger (a ledger restored from an older backup): it is moved to
    /// `lost+found/`, never written over.
    ///
    /// # Errors
    /// When the ledger or the disk refuse.
    pub fn publish(&mut self, moves: &[(PathBuf, String)]) -> Result<()> {
        let paths: Vec<String> = moves.iter().map(|(_, to)| to.clone()).collect();
        for relative in paths.iter().filter(|p| self.path(p).exists()) {
            let name = relative.replace('/', "__");
            let free = (1_u64..).map(|n| self.path(&format!("lost+found/{name}.{n}"))).find(|p| !p.exists());
            let aside = free.ok_or_else(|| Error::Corrupt("lost+found est plein".into()))?;
            tracing::warn!(path = %relative, "moving what the ledger does not know to lost+found");
            files::publish(&self.path(relative), &aside)?;
        }
        self.ledger.announce(&paths)?;
        moves.iter().try_for_each(|(from, to)| files::publish(from, &self.path(to)))
    }

    /// Finishes what a crash interrupted.
    fn recover(&mut self) -> Result<()> {
        files::remove_dir(&self.root.join("tmp"))?;
        for folder in FOLDERS {
            let folder = self.root.join(folder);
            std::fs::create_dir_all(&folder).at(&folder)?;
        }
        for folder in ["reports", "journal"] {
            for path in files::list(&self.root.join(folder))?.iter().filter(|p| files::is_aside(p)) {
                std::fs::remove_file(path).at(path)?;
            }
        }
        for relative in self.ledger.abandoned()? {
            tracing::warn!(path = %relative, "removing what an interrupted step left behind");
            files::remove(&self.path(&relative))?;
            let top = relative.split('/').next().unwrap_or_default();
            files::remove_empty_dirs(&self.root.join(top))?;
        }
        self.ledger.settle()
    }
}

/// A count as the ledger keeps it.
pub fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Whether anything was ever received or written in the journal.
fn holds_files(root: &Path) -> Result<bool> {
    Ok(!files::list(&root.join("received"))?.is_empty() || !files::list(&root.join("journal"))?.is_empty())
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
