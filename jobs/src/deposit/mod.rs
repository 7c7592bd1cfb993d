//! Deposits of packages: the thin edge between a finished package and the archive.
//!
//! A package leaves once. What is about to be done is recorded before it is done; after an unknown
//! answer the target is asked what it holds before anything is sent again.

mod command;
mod folder;
mod ledger;
mod s3;
mod settings;
mod vitam;

pub use command::{resolve, run};
use folder::Folder;
use s3::{S3, S3Config, connect};
pub(crate) use settings::private;
pub use settings::{Section, Settings};
pub(crate) use vitam::provider;
use vitam::{Vitam, VitamConfig};

use async_trait::async_trait;
use cartulaire_engine::domain::hex;
use cartulaire_engine::error::{Error, IoContext, Result};
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha512};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A finished package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `MessageIdentifier` of its manifest.
    pub message_id: String,
    /// Where it is.
    pub path: PathBuf,
    /// Name at the target: letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Lower-case hexadecimal SHA-512.
    pub sha512: String,
    /// Bytes.
    pub size: u64,
}

/// How far a deposit is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Nothing left: it may be sent.
    Planned,
    /// It may have left: the target must be asked before it is sent again.
    Sending {
        /// When the last sending began.
        since: DateTime<Utc>,
    },
    /// The target has it.
    Sent {
        /// Identifier of the operation, path or key.
        operation: String,
    },
    /// The target answered, and the reply is stored.
    Replied {
        /// Identifier of the operation.
        operation: String,
        /// SHA-512 of the reply.
        reply_sha512: String,
    },
}

/// A deposit in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// SHA-512 of the package.
    pub sha512: String,
    /// How far it is.
    pub state: State,
}

/// Durable memory of the deposits. `put` must be on disk when it returns, and one process at a
/// time deposits to a target.
pub trait DepositLog: Send + Sync {
    /// The deposit of a message to a target.
    ///
    /// # Errors
    /// The log cannot be read.
    fn get(&self, target: &str, message_id: &str) -> Result<Option<Entry>>;

    /// Another message identifier that this package is recorded under at this target.
    ///
    /// # Errors
    /// The log cannot be read.
    fn other(&self, target: &str, sha512: &str, message_id: &str) -> Result<Option<String>>;

    /// Records a deposit, replacing what was known.
    ///
    /// # Errors
    /// The log cannot be written: nothing is sent then.
    fn put(&self, target: &str, message_id: &str, entry: &Entry) -> Result<()>;
}

/// What a target knows of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It has it.
    Operation(String),
    /// It surely does not have it.
    Absent,
    /// It cannot tell: a French reason.
    Unknown(String),
}

/// What a failure means for the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Refused for good, nothing received: a person must act.
    Refused,
    /// Nothing received: worth another try.
    NotReceived,
    /// It may have been received.
    InDoubt,
}

/// Why a target failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What it means.
    pub kind: FaultKind,
    /// Delay that the target asks for.
    pub after: Option<Duration>,
    /// French text: what happened, what to do.
    pub message: String,
}

impl Fault {
    fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Fault { kind, after: None, message: message.into() }
    }
}

/// Where an operation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Not over.
    Pending,
    /// Stopped at the archive until its operator acts.
    Paused,
    /// The reply was written; its SHA-512.
    Ready(String),
    /// This kind of target never replies: the reply comes by another way.
    NoReply,
}

/// Where packages go.
#[async_trait]
pub trait Target: Send + Sync {
    /// Its name in the log and in messages.
    fn name(&self) -> &str;

    /// Asks whether the target has this package.
    async fn find(&self, package: &Package) -> Result<Found, Fault>;

    /// Sends the package; gives the identifier of the operation, the path or the key.
    async fn send(&self, package: &Package) -> Result<String, Fault>;

    /// Asks for the reply, and writes it to `into` when it is ready.
    async fn reply(&self, operation: &str, into: &Path) -> Result<Progress, Fault>;
}

/// When to try again.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Sendings and questions at most.
    pub attempts: u32,
    /// First delay; doubled each time.
    pub first: Duration,
    /// Longest delay.
    pub longest: Duration,
    /// Time that a target is given to show what it received, before its silence counts as absence.
    pub settle: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        let s = Duration::from_secs;
        Policy { attempts: 8, first: s(2), longest: s(300), settle: s(600) }
    }
}

impl Policy {
    pub(crate) fn delay(&self, attempt: u32, asked: Option<Duration>) -> Duration {
        let backoff =
            self.first.saturating_mul(1u32.checked_shl(attempt).unwrap_or(u32::MAX)).min(self.longest);
        // A target may ask for more, never for a delay without end.
        asked.map_or(backoff, |a| a.min(Duration::from_secs(3600)).max(backoff))
    }
}

fn refused(code: &'static str, message: String) -> Error {
    Error::Refused { code, message }
}

/// Sends a package once, resuming what a crash or a cut left; gives the operation.
///
/// # Errors
/// [`Error::Refused`]: `DEPOSIT_TWICE` (the same package is recorded under another identifier),
/// `DEPOSIT_CHANGED` (the package is not the one recorded, or not its digest), `DEPOSIT_REFUSED`
/// (the target refuses), `DEPOSIT_UNRESOLVED` (nobody can say whether it arrived: a person must),
/// `DEPOSIT_UNREACHABLE` (every try failed; calling again resumes).
pub async fn deposit(
    package: &Package,
    target: &dyn Target,
    log: &dyn DepositLog,
    policy: Policy,
    now: &(dyn Fn() -> DateTime<Utc> + Sync),
) -> Result<String> {
    let (name, id) = (target.name(), package.message_id.as_str());
    if let Some(other) = log.other(name, &package.sha512, id)? {
        return Err(refused(
            "DEPOSIT_TWICE",
            format!(
                "ce paquet est déjà enregistré pour « {name} » sous l'identifiant « {other} » : il n'est pas envoyé sous « {id} »"
            ),
        ));
    }
    let put = |state: State| log.put(name, id, &Entry { sha512: package.sha512.clone(), state });
    let mut doubt = match log.get(name, id)? {
        Some(entry) if entry.sha512 != package.sha512 => {
            return Err(refused(
                "DEPOSIT_CHANGED",
                format!(
                    "un autre paquet est enregistré sous l'identifiant « {id} » : donnez un nouvel identifiant au nouveau paquet"
                ),
            ));
        }
        Some(Entry { state: State::Sent { operation } | State::Replied { operation, .. }, .. }) => {
            return Ok(operation);
        }
        Some(Entry { state: State::Sending { since }, .. }) => Some(since),
        Some(Entry { state: State::Planned, .. }) => None,
        None => {
            put(State::Planned)?;
            None
        }
    };
    verify(package)?;
    let mut last = String::new();
    for attempt in 0..policy.attempts {
        if let Some(since) = doubt {
            let elapsed = (now() - since).to_std().unwrap_or_default();
            tokio::time::sleep(policy.settle.saturating_sub(elapsed)).await;
            match target.find(package).await {
                Ok(Found::Operation(operation)) => {
                    put(State::Sent { operation: operation.clone() })?;
                    return Ok(operation);
                }
                Ok(Found::Absent) => doubt = None,
                Ok(Found::Unknown(why)) => return Err(unresolved(package, name, &why)),
                Err(fault) if fault.kind == FaultKind::Refused => {
                    return Err(unresolved(package, name, &fault.message));
                }
                Err(fault) => {
                    tokio::time::sleep(policy.delay(attempt, fault.after)).await;
                    last = fault.message;
                    continue;
                }
            }
        }
        let since = now();
        put(State::Sending { since })?;
        match target.send(package).await {
            Ok(operation) => {
                put(State::Sent { operation: operation.clone() })?;
                return Ok(operation);
            }
            Err(fault) => match fault.kind {
                FaultKind::Refused => {
                    put(State::Planned)?;
                    return Err(refused(
                        "DEPOSIT_REFUSED",
                        format!("« {name} » refuse « {id} » : {}", fault.message),
                    ));
                }
                FaultKind::NotReceived => {
                    put(State::Planned)?;
                    tokio::time::sleep(policy.delay(attempt, fault.after)).await;
                    last = fault.message;
                }
                FaultKind::InDoubt => {
                    // The settling time runs from the cut, not from the start of a long sending.
                    let since = now();
                    put(State::Sending { since })?;
                    doubt = Some(since);
                    last = fault.message;
                }
            },
        }
    }
    Err(refused(
        "DEPOSIT_UNREACHABLE",
        format!(
            "« {name} » n'a pas pu être joint pour « {id} » ({last}) : relancez la commande, le dépôt reprendra où il en est"
        ),
    ))
}

fn unresolved(package: &Package, target: &str, why: &str) -> Error {
    refused(
        "DEPOSIT_UNRESOLVED",
        format!(
            "on ne peut pas savoir si « {target} » a reçu « {} » ({why}) : demandez au service d'archives s'il a une entrée avec cet identifiant, puis inscrivez sa réponse (`cartulaire seda resolve`) ; rien n'est renvoyé d'ici là",
            package.message_id
        ),
    )
}

/// Waits for the reply of a sent deposit, at most `policy.attempts` questions.
///
/// # Errors
/// [`Error::Refused`] with `DEPOSIT_NOT_SENT`, `DEPOSIT_REFUSED` or `DEPOSIT_UNREACHABLE`.
pub async fn fetch_reply(
    message_id: &str,
    target: &dyn Target,
    log: &dyn DepositLog,
    policy: Policy,
    into: &Path,
) -> Result<Progress> {
    let Some(Entry { sha512, state: State::Sent { operation } | State::Replied { operation, .. } }) =
        log.get(target.name(), message_id)?
    else {
        return Err(refused("DEPOSIT_NOT_SENT", format!("« {message_id} » n'a pas encore été déposé")));
    };
    let mut last = Ok(Progress::Pending);
    for attempt in 0..policy.attempts {
        last = target.reply(&operation, into).await;
        match &last {
            Ok(Progress::Ready(digest)) => {
                let state = State::Replied { operation, reply_sha512: digest.clone() };
                log.put(target.name(), message_id, &Entry { sha512, state })?;
                return Ok(Progress::Ready(digest.clone()));
            }
            Ok(Progress::Pending) => tokio::time::sleep(policy.delay(attempt, None)).await,
            Err(fault) if fault.kind == FaultKind::Refused => {
                return Err(refused("DEPOSIT_REFUSED", fault.message.clone()));
            }
            Err(fault) => tokio::time::sleep(policy.delay(attempt, fault.after)).await,
            Ok(Progress::Paused | Progress::NoReply) => break,
        }
    }
    last.map_err(|f| {
        refused(
            "DEPOSIT_UNREACHABLE",
            format!("la réponse n'a pas pu être lue ({}) : relancez plus tard", f.message),
        )
    })
}

/// SHA-512 and size of a file.
fn digest(path: &Path) -> std::io::Result<(String, u64)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut size, mut buffer) = (Sha512::new(), 0u64, vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            return Ok((hex(&hasher.finalize()), size));
        }
        size += n as u64;
        hasher.update(buffer.get(..n).unwrap_or_default());
    }
}

fn verify(package: &Package) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if package.name.is_empty() || package.name.starts_with('.') || !package.name.chars().all(plain) {
        return Err(Error::Usage(
            "le nom du paquet n'admet que lettres, chiffres, « - », « _ » et « . »".into(),
        ));
    }
    let (sha512, size) = digest(&package.path).at(&package.path)?;
    if (sha512.as_str(), size) == (package.sha512.as_str(), package.size) {
        return Ok(());
    }
    Err(refused(
        "DEPOSIT_CHANGED",
        format!("{} a changé depuis sa préparation : préparez-le de nouveau", package.path.display()),
    ))
}

#[cfg(test)]
mod tests;
