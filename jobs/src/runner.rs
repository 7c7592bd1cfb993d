//! Opens or resumes the run of a job for a date. The only place of the program that knows the time.

use crate::config::Config;
use crate::output::Shown;
use cartulaire_engine::error::{Error, Result};
use cartulaire_engine::journal;
use cartulaire_engine::nomenclature::Nomenclatures;
use cartulaire_engine::receive;
use cartulaire_engine::run::{self, Rulebook, Run};
use cartulaire_engine::store::{RunRow, StepRow, Store};
use chrono::{NaiveDate, SecondsFormat, Utc};
use chrono_tz::Europe::Paris;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;

/// Today where the administration is.
pub fn today() -> NaiveDate {
    Utc::now().with_timezone(&Paris).date_naive()
}

/// The machine's time, UTC, RFC 3339.
pub fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A store that must be there.
pub fn open_store_existing(config: &Config) -> Result<Store> {
    if config.store.join("ledger.sqlite").exists() {
        open_store(config)
    } else {
        Err(Error::NoStore(config.store.clone()))
    }
}

/// What to run.
pub struct Order<'a> {
    /// Job, the first part of the run's name.
    pub job: &'a str,
    /// Logical date.
    pub date: NaiveDate,
    /// Steps wanted.
    pub steps: Vec<String>,
    /// Files that have arrived.
    pub inbox: Vec<PathBuf>,
    /// A finished run of the same date is run again even without new files.
    pub always: bool,
    /// An interrupted run of the same date is gone on with. Not for commands whose files are given
    /// on the command line: they would be swallowed by the run before.
    pub resume: bool,
}

/// What came of it.
pub struct Outcome {
    /// Run.
    pub run: RunRow,
    /// Steps.
    pub steps: Vec<StepRow>,
    /// Everything had been done before.
    pub nothing_to_do: bool,
}

impl Outcome {
    /// The document that `run --json` prints.
    pub fn json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|s| {
                json!({"name": s.name, "status": s.status, "read": s.read, "accepted": s.accepted, "rejected": s.rejected,
                       "excluded": s.excluded, "outputs": serde_json::from_str::<Value>(&s.outputs).unwrap_or(Value::Null)})
            })
            .collect();
        json!({"run_id": self.run.id, "job": self.run.job, "date": self.run.logical_date, "status": self.run.status,
               "nothing_to_do": self.nothing_to_do, "steps": steps})
    }
}

/// Opens the store, creating it where the configuration allows.
pub fn open_store(config: &Config) -> Result<Store> {
    let mut store = match Store::open(&config.store) {
        Err(Error::NoStore(_)) if config.create_store => Store::create(&config.store)?,
        other => other?,
    };
    // A crash after a transaction may have left the journal's copies behind it.
    journal::mirror(&mut store)?;
    Ok(store)
}

/// The run that an order would open or go on with; `None` when everything is done.
pub fn next_run(
    store: &Store,
    rulebook: &Rulebook,
    order: &Order<'_>,
) -> Result<(Option<RunRow>, Option<RunRow>)> {
    let runs = store.ledger.runs(order.job, Some(order.date))?;
    let last = runs.into_iter().max_by_key(|r| r.revision);
    let revision = match &last {
        None => 1,
        Some(r) if matches!(r.status.as_str(), "running" | "failed") => match order.resume {
            true => return Ok((Some(r.clone()), last)),
            false => r.revision + 1,
        },
        Some(r) if order.always || !receive::news(store, &order.inbox, &rulebook.contracts)?.is_empty() => {
            r.revision + 1
        }
        Some(_) => return Ok((None, last)),
    };
    let suffix = if revision == 1 { String::new() } else { format!(".{revision}") };
    let row = RunRow {
        id: format!("{}-{}{suffix}", order.job, order.date),
        job: order.job.to_owned(),
        logical_date: order.date.to_string(),
        revision,
        status: "running".into(),
    };
    Ok((Some(row), last))
}

/// Code lists that govern a date: the editions imported until then, then those of the configuration.
pub fn nomenclatures_at(config: &Config, store: &Store, date: NaiveDate) -> Result<Nomenclatures> {
    Ok(store.nomenclatures(&date.to_string())?.or(config.nomenclatures(None)?))
}

/// Runs a piece of work that is not a job's step, as a run of its own in the journal.
pub fn aside<T>(
    config: &Config,
    rulebook: &Rulebook,
    id: &str,
    date: NaiveDate,
    shown: &Shown,
    work: impl FnOnce(&mut Run<'_>) -> Result<T>,
) -> Result<T> {
    let mut store = open_store(config)?;
    let nomenclatures = nomenclatures_at(config, &store, date)?;
    let runs = store.ledger.runs(id, Some(date))?;
    let revision = runs.iter().map(|r| r.revision).max().unwrap_or(0) + 1;
    let suffix = if revision == 1 { String::new() } else { format!(".{revision}") };
    let row = RunRow {
        id: format!("{id}-{date}{suffix}"),
        job: id.to_owned(),
        logical_date: date.to_string(),
        revision,
        status: "running".into(),
    };
    store.ledger.transact(|tx| tx.open_run(&row, &now()))?;
    let stopwatch = || 0;
    let mut run = Run {
        id: row.id.clone(),
        date,
        store: &mut store,
        rulebook,
        nomenclatures: &nomenclatures,
        inbox: &[],
        threads: config.threads,
        clock: &now,
        stopwatch: &stopwatch,
        progress: shown,
    };
    let result = work(&mut run);
    let status = if result.is_ok() { "ok" } else { "failed" };
    store.ledger.transact(|tx| tx.close_run(&row.id, status, &now()))?;
    journal::mirror(&mut store)?;
    result
}

/// Runs an order to its end.
pub fn execute(config: &Config, rulebook: &Rulebook, order: &Order<'_>, shown: &Shown) -> Result<Outcome> {
    let mut store = open_store(config)?;
    let (next, last) = next_run(&store, rulebook, order)?;
    let Some(row) = next else {
        let run = last.ok_or_else(|| Error::Usage("aucune exécution".into()))?;
        let steps = store.ledger.steps(&run.id)?;
        return Ok(Outcome { run, steps, nothing_to_do: true });
    };
    let nomenclatures = nomenclatures_at(config, &store, order.date)?;
    let instant = Instant::now();
    let stopwatch = || u64::try_from(instant.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut run = Run {
        id: row.id.clone(),
        date: order.date,
        store: &mut store,
        rulebook,
        nomenclatures: &nomenclatures,
        inbox: &order.inbox,
        threads: config.threads,
        clock: &now,
        stopwatch: &stopwatch,
        progress: shown,
    };
    match run::run(&mut run, &row, &order.steps) {
        Ok(steps) => {
            let status = if steps.iter().any(|s| s.status == "gated") { "gated" } else { "ok" };
            Ok(Outcome { run: RunRow { status: status.into(), ..row }, steps, nothing_to_do: false })
        }
        Err(e) => {
            // The failure is noted when the ledger still answers; the error itself matters more.
            if let Err(second) = store.ledger.transact(|tx| tx.close_run(&row.id, "failed", &now())) {
                tracing::error!(error = %second, "the failed run could not be closed");
            }
            Err(e)
        }
    }
}
