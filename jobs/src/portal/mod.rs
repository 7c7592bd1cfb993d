//! Publication of a package on an open data portal, by the portal's own API.
//!
//! What is there is looked at before anything is sent: a portal gets one dataset for an identifier,
//! whatever was cut, refused or repeated, and a second call with the same files sends nothing.

mod command;
mod datagouv;
mod http;
mod ledger;
mod ods;
mod package;
mod settings;

pub use command::run;
pub use http::{Secret, Sleep};
pub use ledger::{Done, Progress};
pub use package::Package;
pub use settings::{Section, Settings};

use crate::deposit::{FaultKind, Policy};
use cartulaire_engine::error::{Error, Result};
use http::Client;
use ledger::Track;
use std::cell::RefCell;
use std::time::Duration;

/// Which API a portal speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Opendatasoft, Automation API v1.0 (data.education.gouv.fr).
    Ods,
    /// data.gouv.fr, API v1.
    Datagouv,
}

impl Kind {
    /// As `--to` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Ods => "ods",
            Kind::Datagouv => "datagouv",
        }
    }
}

/// A portal, without its key.
#[derive(Debug, Clone)]
pub struct Portal {
    /// Its API.
    pub kind: Kind,
    /// `https://host`, without the path of the API; `http` only towards this machine.
    pub url: String,
    /// data.gouv.fr: identifier of the organisation that publishes, 24 hexadecimal digits.
    pub organisation: Option<String>,
    /// Opendatasoft: identifier of the licence on this portal.
    pub license: Option<String>,
    /// Opendatasoft: identifiers of the themes on this portal.
    pub themes: Vec<String>,
    /// Makes the dataset again when it is no longer on the portal, where it had been published.
    pub recreate: bool,
    /// When to try again.
    pub policy: Policy,
    /// Longest silence of the connection.
    pub timeout: Duration,
}

impl Portal {
    /// Its name in the ledger: two portals of the same kind have two histories.
    pub fn id(&self) -> &str {
        self.url.trim_end_matches('/')
    }
}

/// What is to be done on the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name in the ledger: `dataset`, `metadata`, `resource:data.csv`, `publish`…
    pub id: String,
    /// French text.
    pub text: String,
    /// Digest of what it sends.
    pub digest: String,
    /// Whether the ledger says that it was done with this very content.
    pub done: bool,
}

/// What came of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Identifier that the portal gave to the dataset.
    pub remote: String,
    /// Whether the dataset was on the portal before our first publication.
    pub adopted: bool,
    /// Steps that were done this time; none when all was published already.
    pub sent: Vec<String>,
    /// French texts: what a person should know.
    pub notes: Vec<String>,
}

/// Why a request failed.
#[derive(Debug)]
struct Fault {
    code: &'static str,
    kind: FaultKind,
    /// Delay that the portal asks for.
    after: Option<Duration>,
    /// French text, without the key.
    message: String,
}

impl Fault {
    fn refused(code: &'static str, message: impl Into<String>) -> Self {
        Fault { code, kind: FaultKind::Refused, after: None, message: message.into() }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Refused { code: fault.code, message: fault.message }
    }
}

/// What a portal is to be told: the dataset's identifier there, and the steps.
struct Plan {
    dataset: String,
    steps: Vec<Step>,
}

impl Plan {
    /// The name of the step under which the dataset itself is recorded; always the first.
    const DATASET: &str = "dataset";

    fn read(package: &Package, portal: &Portal, progress: &dyn Progress) -> Result<Self> {
        let (dataset, steps) = match portal.kind {
            Kind::Ods => ods::steps(package, portal)?,
            Kind::Datagouv => datagouv::steps(package, portal)?,
        };
        let mut plan = Plan { dataset, steps };
        let track = Track::new(progress, portal.id(), &plan.dataset);
        let remote = track.dataset()?;
        for step in &mut plan.steps {
            step.done = match &remote {
                Some(_) if step.id == Plan::DATASET => true,
                Some(remote) => track.done(remote, &step.id, &step.digest)?.is_some(),
                None => false,
            };
        }
        Ok(plan)
    }
}

/// What [`publish`] would do. Touches no network, needs no key.
///
/// # Errors
/// [`Error::Config`] for the portal, [`Error::Refused`] with `PORTAL_PACKAGE` or `PORTAL_CHANGED`
/// for the package, and those of the ledger.
pub fn plan(package: &Package, portal: &Portal, progress: &dyn Progress) -> Result<Vec<Step>> {
    http::base(&portal.url)?;
    Ok(Plan::read(package, portal, progress)?.steps)
}

/// One publication under way.
struct Run<'a> {
    client: Client<'a>,
    package: &'a Package,
    portal: &'a Portal,
    track: Track<'a>,
    steps: &'a [Step],
    sent: RefCell<Vec<String>>,
    notes: RefCell<Vec<String>>,
}

impl Run<'_> {
    fn note(&self, text: impl Into<String>) {
        let text = text.into();
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&text) {
            notes.push(text);
        }
    }

    fn step(&self, id: &str) -> Result<&Step> {
        let found = self.steps.iter().find(|s| s.id == id);
        found.ok_or_else(|| Error::Corrupt(format!("étape de publication inconnue : {id}")))
    }

    /// What the ledger has of a step done with this very content, if it was.
    fn done(&self, dataset: &str, id: &str) -> Result<Option<String>> {
        self.track.done(dataset, id, &self.step(id)?.digest)
    }

    /// The step is on disk when this returns.
    fn record(&self, dataset: &str, id: &str, remote: &str) -> Result<()> {
        self.track.record(dataset, id, &self.step(id)?.digest, remote)?;
        self.sent.borrow_mut().push(id.to_owned());
        Ok(())
    }
}

/// Publishes a package, resuming what a crash or a cut left. Nothing that the ledger has as done is
/// sent again; when all is, the network is not touched.
///
/// # Errors
/// [`Error::Config`] for the portal, and [`Error::Refused`]: `PORTAL_PACKAGE` (the package is not one),
/// `PORTAL_CHANGED` (a file is not the one listed), `PORTAL_KEY` (the key is refused), `PORTAL_REFUSED`
/// (the portal refuses), `PORTAL_FOREIGN` (what is there is not ours to change), `PORTAL_AMBIGUOUS`
/// (several datasets answer to the identifier), `PORTAL_GONE` (the dataset was taken away),
/// `PORTAL_FAILED` (the portal could not process the data), `PORTAL_PENDING` (it has not finished),
/// `PORTAL_UNREACHABLE` (every try failed; calling again resumes).
pub async fn publish(
    package: &Package,
    portal: &Portal,
    key: &Secret,
    progress: &dyn Progress,
    sleep: &Sleep,
) -> Result<Published> {
    let client = Client::new(portal, key, sleep)?;
    let plan = Plan::read(package, portal, progress)?;
    let track = Track::new(progress, portal.id(), &plan.dataset);
    if let Some(remote) = track.dataset()?.filter(|_| plan.steps.iter().all(|s| s.done)) {
        return Ok(Published { remote, adopted: track.adopted()?, sent: Vec::new(), notes: Vec::new() });
    }
    let run = Run {
        client,
        package,
        portal,
        track,
        steps: &plan.steps,
        sent: RefCell::default(),
        notes: RefCell::default(),
    };
    let remote = match portal.kind {
        Kind::Ods => ods::publish(&run).await?,
        Kind::Datagouv => datagouv::publish(&run).await?,
    };
    Ok(Published {
        remote,
        adopted: run.track.adopted()?,
        sent: run.sent.into_inner(),
        notes: run.notes.into_inner(),
    })
}

/// An identifier goes into addresses: nothing but letters, digits, `-` and `_`.
fn plain(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

#[cfg(test)]
mod tests;
