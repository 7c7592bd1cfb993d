//! The main path: one night, from the inbox to what leaves.
//!
//! ```text
//! inbox ─ receive ─► received/ ─ ingest ─► tables/ + quarantine/ + reports/
//!                                            ├─ extract ───► publications/
//!                                            └─ sort final ─► decisions ─┬─ elimination ─► elimination/ (a list, nothing deleted)
//!                                                                        └─ package ─────► archives/ (SEDA)
//! ```
//!
//! Every step ends in one ledger transaction. A run that was interrupted goes on at the first step
//! that is not recorded; a step that is run again writes the same bytes.

use crate::contract::Contract;
use crate::domain::Calendar;
use crate::error::Result;
use crate::extract::Dataset;
use crate::journal::{self, NewEntry};
use crate::nomenclature::Nomenclatures;
use crate::retention::tri::Plan;
use crate::retention::{Referential, RuleTexts};
use crate::seda::Profile;
use crate::store::{RunRow, StepRow, Store, signed};
use crate::{elimination, extract, ingest, receive, retention, seda};
use chrono::NaiveDate;
use serde_json::json;
use std::path::PathBuf;

/// Everything that a night obeys and does not change: data written by people.
pub struct Rulebook {
    /// Tables.
    pub contracts: Vec<Contract>,
    /// Code lists.
    pub nomenclatures: Nomenclatures,
    /// School years.
    pub calendar: Calendar,
    /// Retention rules, with the organisation's own verifications.
    pub referential: Referential,
    /// Plans of tri.
    pub plans: Vec<Plan>,
    /// What the referential was read from.
    pub rule_texts: RuleTexts,
    /// Open data to publish.
    pub datasets: Vec<Dataset>,
    /// How packages are described.
    pub profile: Profile,
    /// Who eliminates, with whose visa.
    pub elimination: elimination::Terms,
}

/// What a step says while it works. Only shown, never stored.
pub trait Progress {
    /// A step begins.
    fn begin(&self, step: &str);
    /// `done` of `total` units of the step are done.
    fn advance(&self, done: u64, total: u64);
    /// The step ended.
    fn end(&self, step: &StepRow);
}

/// A run in progress.
pub struct Run<'a> {
    /// Name of the run.
    pub id: String,
    /// Logical date: every rule is judged at it.
    pub date: NaiveDate,
    /// Where everything is kept.
    pub store: &'a mut Store,
    /// What governs it.
    pub rulebook: &'a Rulebook,
    /// Code lists at the run's date: the editions of the store, then those of the configuration.
    pub nomenclatures: &'a Nomenclatures,
    /// Files that have arrived.
    pub inbox: &'a [PathBuf],
    /// Threads that parsing and judging may use.
    pub threads: usize,
    /// The machine's clock, UTC, RFC 3339: for the journal only.
    pub clock: &'a dyn Fn() -> String,
    /// Milliseconds since some instant: for the table of steps only.
    pub stopwatch: &'a dyn Fn() -> u64,
    /// For people.
    pub progress: &'a dyn Progress,
}

impl Run<'_> {
    /// Time of the machine.
    pub fn now(&self) -> String {
        (self.clock)()
    }
}

/// Records of a step; read is always the sum of the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read.
    pub read: u64,
    /// Accepted.
    pub accepted: u64,
    /// Rejected.
    pub rejected: u64,
    /// Excluded.
    pub excluded: u64,
}

/// What a step has to say when it is done.
#[derive(Default)]
pub struct Said {
    /// Records.
    pub counts: Counts,
    /// A quality gate refused something.
    pub gated: bool,
    /// Paths below the store's root.
    pub outputs: Vec<String>,
    /// French text for people.
    pub detail: String,
    /// Journal entries that belong to the step as a whole: written with it or not at all.
    pub facts: Vec<(&'static str, serde_json::Value)>,
}

type Step = (&'static str, fn(&mut Run<'_>) -> Result<Said>);

/// The steps of a night, in order.
pub const STEPS: &[Step] = &[
    ("receive", receive::receive),
    ("ingest", ingest::ingest),
    ("extract", extract::extract),
    ("sort-final", retention::sort_final),
    ("elimination", elimination::propose),
    ("package", seda::package),
];

/// Runs the named steps that are not done yet, in their order; every step of the run when done.
///
/// # Errors
/// That of the first step that fails; what was done before stays, and the next call goes on.
pub fn run(run: &mut Run<'_>, row: &RunRow, wanted: &[String]) -> Result<Vec<StepRow>> {
    let started = run.now();
    run.store.ledger.transact(|tx| tx.open_run(row, &started))?;
    for (ordinal, (name, work)) in (1_i64..).zip(STEPS) {
        let done = run.store.ledger.steps(&run.id)?;
        if !wanted.iter().any(|w| w == name) || done.iter().any(|s| s.name == *name) {
            continue;
        }
        run.progress.begin(name);
        let start = (run.stopwatch)();
        let mut said = work(run)?;
        let facts = std::mem::take(&mut said.facts);
        let step = finished(&run.id, ordinal, name, said, (run.stopwatch)().saturating_sub(start));
        let (at, date) = (run.now(), run.date.to_string());
        let done = json!({"step": name, "status": step.status, "read": step.read, "accepted": step.accepted, "rejected": step.rejected, "excluded": step.excluded});
        run.store.ledger.transact(|tx| {
            tx.step(&step)?;
            facts.into_iter().chain([("step_done", done)]).try_for_each(|(kind, payload)| {
                tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind, payload })
            })
        })?;
        run.progress.end(&step);
    }
    let steps = run.store.ledger.steps(&run.id)?;
    let status = if steps.iter().any(|s| s.status == "gated") { "gated" } else { "ok" };
    let ended = run.now();
    run.store.ledger.transact(|tx| tx.close_run(&run.id, status, &ended))?;
    journal::mirror(run.store)?;
    Ok(steps)
}

fn finished(run_id: &str, ordinal: i64, name: &str, said: Said, millis: u64) -> StepRow {
    StepRow {
        run_id: run_id.to_owned(),
        ordinal,
        name: name.to_owned(),
        status: if said.gated { "gated" } else { "ok" }.to_owned(),
        read: signed(said.counts.read),
        accepted: signed(said.counts.accepted),
        rejected: signed(said.counts.rejected),
        excluded: signed(said.counts.excluded),
        outputs: json!(said.outputs).to_string(),
        detail: said.detail,
        millis: signed(millis),
    }
}
