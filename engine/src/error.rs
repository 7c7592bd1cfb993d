//! What stops a run: an *error* is about the run, a [`crate::finding::Finding`] is about the data.

use std::path::{Path, PathBuf};

/// Result of everything that can stop a run.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the run could not go on. Texts are for people, in French.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration, contract, rule, profile or job file is wrong.
    #[error("{}", ConfigFault::join(.0))]
    Config(Vec<ConfigFault>),
    /// A command was called wrongly.
    #[error("{0}")]
    Usage(String),
    /// Reading or writing failed.
    #[error("{} : {}", path.display(), system(source))]
    Io {
        /// What was being read or written.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// There is no store where one was expected.
    #[error("aucun entrepôt dans « {} » : créez-le avec `cartulaire init`", .0.display())]
    NoStore(PathBuf),
    /// Another process holds the store.
    #[error("l'entrepôt « {} » est utilisé par un autre processus : attendez sa fin, puis relancez", .0.display())]
    Locked(PathBuf),
    /// A quality gate, an audit or a check refused; nothing was published.
    #[error("[{code}] {message}")]
    Refused {
        /// Stable code of the refusal.
        code: &'static str,
        /// What was refused, why, what to do.
        message: String,
    },
    /// The store contradicts itself.
    #[error("entrepôt incohérent : {0}")]
    Corrupt(String),
    /// The ledger refused.
    #[error("registre (ledger.sqlite) : {0}")]
    Ledger(#[from] rusqlite::Error),
    /// Columns in memory.
    #[error("colonnes : {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Parquet files.
    #[error("Parquet : {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
    /// Group-bys and joins.
    #[error("agrégation : {0}")]
    Polars(#[from] polars::prelude::PolarsError),
    /// Columns between the two.
    #[error("agrégation : {0}")]
    Bridge(#[from] cartulaire_bridge::BridgeError),
    /// A spreadsheet, a zip or a JSON document could not be written.
    #[error("écriture : {0}")]
    Write(String),
}

impl Error {
    /// An I/O error on a path.
    pub fn io(path: impl AsRef<Path>, source: std::io::Error) -> Self {
        Error::Io { path: path.as_ref().to_path_buf(), source }
    }

    /// One fault of a configuration file.
    pub fn config(fault: ConfigFault) -> Self {
        Error::Config(vec![fault])
    }
}

/// A fault in a file that people write (configuration, contract, rule, profile, job).
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConfigFault {
    /// File as the user named it.
    pub file: String,
    /// Line, from 1; 0 when the fault is about the whole file.
    pub line: usize,
    /// Column, from 1, in characters; 0 with line 0.
    pub column: usize,
    /// French text: what, accepted values, what to do.
    pub message: String,
}

impl std::fmt::Display for ConfigFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "{} : {}", self.file, self.message),
            _ => write!(f, "{}:{}:{} : {}", self.file, self.line, self.column, self.message),
        }
    }
}

impl ConfigFault {
    fn join(faults: &[ConfigFault]) -> String {
        faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

/// The system's most usual answers, in French.
fn system(e: &std::io::Error) -> String {
    use std::io::ErrorKind as K;
    match e.kind() {
        K::NotFound => "introuvable".into(),
        K::PermissionDenied => "accès refusé : vérifiez les droits".into(),
        K::IsADirectory => "c'est un dossier, un fichier est attendu".into(),
        K::NotADirectory => "c'est un fichier, un dossier est attendu".into(),
        K::StorageFull | K::QuotaExceeded => "disque plein : libérez de la place, puis relancez".into(),
        K::ReadOnlyFilesystem => "système de fichiers en lecture seule".into(),
        K::InvalidData => "le contenu n'est pas lisible".into(),
        _ => e.to_string(),
    }
}

/// Adds the path to an I/O result.
pub trait IoContext<T> {
    /// Turns the error into [`Error::Io`] on `path`.
    ///
    /// # Errors
    /// The same error, with its path.
    fn at(self, path: impl AsRef<Path>) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, path: impl AsRef<Path>) -> Result<T> {
        self.map_err(|e| Error::io(path, e))
    }
}
