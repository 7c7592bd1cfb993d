//! The scheduler. tokio-cron-scheduler only ticks: it keeps a fixed offset across changes of hour,
//! lets runs overlap and never catches up. What is due is computed from the ledger at each tick,
//! where (job, logical date) is unique.

use crate::commands::{french_status, inbox};
use crate::config::Config;
use crate::job::Job;
use crate::output::Shown;
use crate::runner::{Order, execute, open_store};
use cartulaire_engine::domain::DateFormat;
use cartulaire_engine::error::{Error, Result};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use tokio_cron_scheduler::{Job as Tick, JobScheduler};

const TICK: Duration = Duration::from_secs(10);

/// Runs jobs when they are due, until interrupted. Jobs run on this thread; ticks and signals come
/// from another, which alone is asynchronous.
pub fn serve(config: &Config, shown: &Shown) -> Result<u8> {
    config.rulebook()?;
    drop(open_store(config)?);
    let started = Utc::now();
    let stop = Arc::new(AtomicBool::new(false));
    // One waiting tick is enough: a run in progress looks at everything when it ends.
    let (sender, ticks) = sync_channel::<()>(1);
    let ticker = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let done = ticker(&sender);
            stop.store(true, Ordering::SeqCst);
            // Full or gone: the other side is awake.
            let _ = sender.try_send(());
            done
        })
    };
    announce(config, shown)?;
    while !stop.load(Ordering::SeqCst) {
        run_due(config, shown, started);
        if ticks.recv().is_err() {
            break;
        }
    }
    ticker.join().map_err(|_| Error::Write("planificateur : le compteur s'est arrêté".into()))??;
    shown.say("Planificateur arrêté.");
    Ok(130)
}

/// Sends a tick now and then, until a signal asks to stop.
fn ticker(sender: &SyncSender<()>) -> Result<()> {
    let fault = |e: &dyn std::fmt::Display| Error::Write(format!("planificateur : {e}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| fault(&e))?;
    runtime.block_on(async {
        let mut scheduler = JobScheduler::new().await.map_err(|e| fault(&e))?;
        let sender = sender.clone();
        let tick = Tick::new_repeated_async(TICK, move |_, _| {
            let sender = sender.clone();
            Box::pin(async move {
                let _ = sender.try_send(());
            })
        });
        scheduler.add(tick.map_err(|e| fault(&e))?).await.map_err(|e| fault(&e))?;
        scheduler.start().await.map_err(|e| fault(&e))?;
        asked_to_stop().await.map_err(|e| fault(&e))?;
        scheduler.shutdown().await.map_err(|e| fault(&e))
    })
}

#[cfg(unix)]
async fn asked_to_stop() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        done = tokio::signal::ctrl_c() => done,
    }
}

#[cfg(not(unix))]
async fn asked_to_stop() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn announce(config: &Config, shown: &Shown) -> Result<()> {
    for job in config.jobs()? {
        let next = job.next(Utc::now().with_timezone(&job.timezone), 1);
        let when = next.first().map_or("jamais".to_owned(), |t| t.format("%d/%m/%Y à %H:%M").to_string());
        shown.say(&format!("{} ({}) : prochaine exécution le {when}", job.name, job.title));
    }
    Ok(())
}

/// One tick: every job in turn. The failure of one is said and the others go on; the next tick
/// tries again.
fn run_due(config: &Config, shown: &Shown, started: DateTime<Utc>) {
    let jobs = match config.jobs() {
        Ok(jobs) => jobs,
        Err(e) => return eprintln!("cartulaire : {e}"),
    };
    for job in jobs {
        if let Err(e) = run_job(config, &job, shown, started) {
            eprintln!("cartulaire : {} : {e}", job.name);
        }
    }
}

fn run_job(config: &Config, job: &Job, shown: &Shown, started: DateTime<Utc>) -> Result<()> {
    let (known, first) = {
        let store = open_store(config)?;
        let runs = store.ledger.runs(&job.name, None)?;
        let dates = |done: bool| {
            runs.iter()
                .filter(|r| !done || matches!(r.status.as_str(), "ok" | "gated"))
                .filter_map(|r| DateFormat::Iso.parse(&r.logical_date))
                .collect::<BTreeSet<_>>()
        };
        (dates(true), dates(false).first().copied())
    };
    let now: DateTime<Tz> = Utc::now().with_timezone(&job.timezone);
    // Nights before the first run of the job were never promised.
    let since = first
        .and_then(|d| d.and_hms_opt(0, 0, 0))
        .and_then(|d| d.and_local_timezone(job.timezone).earliest())
        .unwrap_or_else(|| started.with_timezone(&job.timezone));
    for date in job.due(&known, since, now) {
        let inbox = inbox(config, job)?;
        let order =
            Order { job: &job.name, date, steps: job.steps.clone(), inbox, always: false, resume: true };
        let outcome = execute(config, &config.rulebook()?, &order, shown)?;
        shown.say(&format!("{} : {}", outcome.run.id, french_status(&outcome.run.status)));
    }
    Ok(())
}
