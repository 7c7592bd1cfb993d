//! Worked examples: what a rule must answer, executed.

use super::class::{ClassRules, EventDate, Facts};
use super::rules::{Clock, Example, Referential, Rule, Verified};
use crate::domain::Calendar;
use crate::error::{ConfigFault, Error, Result};
use chrono::NaiveDate;

impl Referential {
    /// Executes the worked examples of every rule, each as if its rule were verified and alone,
    /// and returns how many there are.
    ///
    /// # Errors
    /// Every example that its rule does not answer as it says, with its place.
    pub fn check_examples(&self, calendar: &Calendar) -> Result<usize> {
        let mut faults: Vec<ConfigFault> = Vec::new();
        let mut count = 0;
        for rule in &self.rules {
            let verified = Verified { on: None, by: String::new() };
            let sure = Rule { verified: Some(verified), ..rule.clone() };
            let alone = ClassRules::new(&sure.record_class, std::iter::once(&sure));
            for example in &rule.examples {
                count += 1;
                faults.extend(check(&alone, rule.clock, example, calendar));
            }
        }
        if faults.is_empty() { Ok(count) } else { Err(Error::Config(faults)) }
    }
}

fn check(
    rules: &ClassRules<'_>,
    clock: Clock,
    example: &Example,
    calendar: &Calendar,
) -> Option<ConfigFault> {
    let dates = rules.dates(|id| example.events.get(id).map_or(EventDate::Never, |day| EventDate::On(*day)));
    let facts = Facts { dates: &dates, document: example.document.as_deref() };
    let verdict = rules.decide(facts, example.at, calendar, false);
    let due = match clock {
        Clock::Dua => verdict.due,
        Clock::Rgpd => verdict.active_until,
    };
    let decided = example.outcome.filter(|expected| *expected != verdict.outcome);
    if due == example.due && decided.is_none() {
        return None;
    }
    let day = |d: Option<NaiveDate>| d.map_or("aucune date".to_owned(), |d| d.to_string());
    let answer = match example.outcome {
        Some(_) => format!("« {} », {}", verdict.outcome.as_str(), day(due)),
        None => day(due),
    };
    let wanted = match example.outcome {
        Some(outcome) => format!("« {} », {}", outcome.as_str(), day(example.due)),
        None => day(example.due),
    };
    let message = format!("{} : il attend {wanted} ; la règle répond {answer}", example.place.message);
    Some(ConfigFault { message, ..example.place.clone() })
}
