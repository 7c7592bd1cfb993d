//! Job definitions, and what is due: a function of the definition, the ledger and a given time.

use cartulaire_engine::contract::{fault_at, toml_file};
use cartulaire_engine::error::{ConfigFault, Error, Result};
use cartulaire_engine::run::STEPS;
use chrono::{DateTime, Days, NaiveDate};
use chrono_tz::Tz;
use croner::Cron;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::str::FromStr;
use toml::Spanned;

/// Jobs that commands make of themselves: runs bear their names.
const RESERVED: &[&str] = &["ingest", "extract", "seda-pack", "elimination-propose"];

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Name.
    pub name: String,
    /// Title.
    pub title: String,
    /// When, in local time.
    pub schedule: Cron,
    /// Of where.
    pub timezone: Tz,
    /// What to do of missed times.
    pub catch_up: CatchUp,
    /// Missed times older than this are left.
    pub max_age_days: u32,
    /// Steps.
    pub steps: Vec<String>,
}

/// What to do of missed times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// Run each of them.
    All,
    /// Run the last one.
    Last,
    /// Run none.
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobFile {
    name: Spanned<String>,
    title: String,
    schedule: Spanned<String>,
    timezone: Spanned<String>,
    catch_up: CatchUp,
    max_age_days: u32,
    steps: Vec<Spanned<String>>,
}

impl Job {
    /// Reads a job.
    pub fn load(file: &str, text: &str) -> Result<Self> {
        let raw: JobFile = toml_file(file, text)?;
        let mut faults: Vec<ConfigFault> = Vec::new();
        let mut fault = |at: &Spanned<String>, message: String| {
            faults.push(fault_at(file, text, at.span().start, message))
        };
        let name = raw.name.get_ref();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            fault(&raw.name, "nom de tâche : lettres minuscules sans accent et « - »".into());
        }
        if RESERVED.contains(&name.as_str()) {
            fault(&raw.name, "ce nom est celui d'une commande : choisissez-en un autre".into());
        }
        if raw.steps.is_empty() {
            fault(&raw.name, "la tâche n'a aucune étape".into());
        }
        let schedule = Cron::from_str(raw.schedule.get_ref());
        if schedule.is_err() {
            fault(&raw.schedule, "planification : cinq champs « minute heure jour mois jour-de-semaine », par exemple « 30 2 * * * »".into());
        }
        let timezone = Tz::from_str(raw.timezone.get_ref());
        if timezone.is_err() {
            fault(&raw.timezone, "fuseau inconnu, par exemple « Europe/Paris »".into());
        }
        let known: Vec<&str> = STEPS.iter().map(|(n, _)| *n).collect();
        for step in raw.steps.iter().filter(|s| !known.contains(&s.get_ref().as_str())) {
            fault(
                step,
                format!("étape inconnue « {} » ; étapes admises : {}", step.get_ref(), known.join(", ")),
            );
        }
        match (schedule, timezone) {
            (Ok(schedule), Ok(timezone)) if faults.is_empty() => Ok(Job {
                name: raw.name.into_inner(),
                title: raw.title,
                schedule,
                timezone,
                catch_up: raw.catch_up,
                max_age_days: raw.max_age_days,
                steps: raw.steps.into_iter().map(Spanned::into_inner).collect(),
            }),
            _ => Err(Error::Config(faults)),
        }
    }

    /// The next planned times after `now`.
    pub fn next(&self, now: DateTime<Tz>, count: usize) -> Vec<DateTime<Tz>> {
        let now = now.with_timezone(&self.timezone);
        self.schedule.iter_after(now).take(count).collect()
    }

    /// Logical dates to run at `now`: planned after `since` (when the scheduler was first in
    /// charge), not older than the job allows, not in the ledger yet. A logical date is the local
    /// day of the planned time, so that a change of hour neither skips nor doubles a night.
    pub fn due(&self, known: &BTreeSet<NaiveDate>, since: DateTime<Tz>, now: DateTime<Tz>) -> Vec<NaiveDate> {
        let (since, now) = (since.with_timezone(&self.timezone), now.with_timezone(&self.timezone));
        let oldest =
            now.checked_sub_days(Days::new(u64::from(self.max_age_days))).unwrap_or(since).max(since);
        let mut dates: Vec<NaiveDate> = self
            .schedule
            .iter_after(oldest)
            .take_while(|t| *t <= now)
            .take(10_000)
            .map(|t| t.date_naive())
            .filter(|d| !known.contains(d))
            .collect();
        dates.dedup();
        let today = now.date_naive();
        match self.catch_up {
            CatchUp::All => dates,
            CatchUp::Last => dates.pop().into_iter().collect(),
            CatchUp::None => dates.into_iter().filter(|d| *d == today).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone;
    use chrono_tz::Europe::Paris;

    const NIGHTLY: &str = include_str!("../definitions/nightly.toml");

    fn at(y: i32, m: u32, d: u32, h: u32, min: u32) -> DateTime<Tz> {
        Paris.with_ymd_and_hms(y, m, d, h, min, 0).earliest().unwrap()
    }

    #[test]
    fn ten_years_of_nights_run_once_each_across_changes_of_hour() {
        let job = Job::load("nightly.toml", NIGHTLY).unwrap();
        let mut known = BTreeSet::new();
        let (start, mut now) = (at(2024, 1, 1, 0, 0), at(2024, 1, 1, 0, 0));
        let mut runs = 0;
        while now < at(2034, 1, 1, 0, 0) {
            for date in job.due(&known, start, now) {
                assert!(known.insert(date), "{date} twice");
                runs += 1;
            }
            now += chrono::TimeDelta::minutes(60);
        }
        assert_eq!(runs, 3653);
    }

    #[test]
    fn missed_nights_follow_the_policy() {
        let known = BTreeSet::from([NaiveDate::from_ymd_opt(2026, 1, 8).unwrap()]);
        let (since, now) = (at(2026, 1, 1, 0, 0), at(2026, 1, 12, 9, 0));
        for (policy, want) in [("all", vec![6, 7, 9, 10, 11, 12]), ("last", vec![12]), ("none", vec![12])] {
            let job =
                Job::load("j", &NIGHTLY.replace("catch_up = \"last\"", &format!("catch_up = \"{policy}\"")))
                    .unwrap();
            let days: Vec<u32> = job.due(&known, since, now).iter().map(chrono::Datelike::day).collect();
            assert_eq!(days, want, "{policy}");
        }
    }

    #[test]
    fn a_typo_is_told_with_line_column_and_accepted_names() {
        let Err(Error::Config(f)) = Job::load("nightly.toml", &NIGHTLY.replace("schedule =", "shedule ="))
        else {
            panic!("accepted")
        };
        assert_eq!((f[0].line, f[0].column), (5, 1));
        assert!(
            f[0].message.contains("« shedule »") && f[0].message.contains("« schedule »"),
            "{}",
            f[0].message
        );
        let Err(Error::Config(f)) = Job::load("nightly.toml", &NIGHTLY.replace("\"receive\"", "\"recieve\""))
        else {
            panic!("accepted")
        };
        assert_eq!((f[0].line, f[0].column), (10, 10));
        assert!(f[0].message.contains("sort-final"), "{}", f[0].message);
    }
}
