//! Retention rules, as people write them in `retention-rules/*.toml`.

use super::decide::Outcome;
use super::duration::{Duration, Mode};
use super::tri::Plan;
use crate::domain::{Digest, DigestWriter};
use crate::error::ConfigFault;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// DUA: a text sets the duration. DUP: agreed with the archives where no text does (doctrine
/// technique 2025, 5.3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub enum Basis {
    /// Durée d'utilité administrative.
    #[serde(rename = "DUA")]
    Dua,
    /// Durée d'utilité pratique.
    #[serde(rename = "DUP")]
    Dup,
}

impl Basis {
    /// Name in the files of rules, and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Basis::Dua => "DUA",
            Basis::Dup => "DUP",
        }
    }
}

/// Sort final: what happens to records at the end of their duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SortFinal {
    /// Kept for good by an archives service.
    Conservation,
    /// Destroyed, with the visa of the scientific and technical control.
    Elimination,
    /// Some are kept, the others destroyed.
    Tri,
}

impl SortFinal {
    /// Name in the files of rules.
    pub fn as_str(self) -> &'static str {
        match self {
            SortFinal::Conservation => "conservation",
            SortFinal::Tri => "tri",
            SortFinal::Elimination => "elimination",
        }
    }

    /// For people.
    pub fn french(self) -> &'static str {
        match self {
            SortFinal::Conservation => "conservation",
            SortFinal::Tri => "tri",
            SortFinal::Elimination => "élimination",
        }
    }
}

/// Which of two durations a rule sets: they are two things, and the end of the first is not an
/// elimination (code du patrimoine, L212-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clock {
    /// Time of administrative use, before the sort final.
    #[default]
    Dua,
    /// Longest stay in the active base.
    Rgpd,
}

impl Clock {
    /// Name in the files of rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Clock::Dua => "dua",
            Clock::Rgpd => "rgpd",
        }
    }
}

/// Age of records, in the order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// In use.
    Courant,
    /// Kept for its administrative use.
    Intermediaire,
    /// Past its duration: the sort final is due.
    #[serde(skip_deserializing)]
    Definitif,
}

impl Phase {
    /// Name in the files of rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Courant => "courant",
            Phase::Intermediaire => "intermediaire",
            Phase::Definitif => "definitif",
        }
    }

    /// For people.
    pub fn french(self) -> &'static str {
        match self {
            Phase::Courant => "courant",
            Phase::Intermediaire => "intermédiaire",
            Phase::Definitif => "définitif",
        }
    }
}

/// Something that happens to a record or to its subject, on a day.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Identifier, stable.
    pub id: String,
    /// A French noun group with its article: « la sortie de l'établissement ».
    pub title: String,
}

/// What starts a step of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// An event.
    Event(Arc<Event>),
    /// The end of the steps before it.
    Previous,
}

/// One step of the chain of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Age of the records during this step.
    pub phase: Phase,
    /// From when.
    pub start: Start,
    /// How long.
    pub duration: Duration,
    /// How it is counted.
    pub mode: Mode,
}

/// The day that ends a dated chain "at the latest", once the cap's own event has a date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    /// From when.
    pub start: Arc<Event>,
    /// How long.
    pub duration: Duration,
    /// How it is counted.
    pub mode: Mode,
}

/// Which day must fall in the time during which a rule is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EffectiveBy {
    /// The day of the evaluation: a new text governs older records.
    #[default]
    Evaluation,
    /// The day of the start event: each record stays under the text of its time.
    Start,
}

impl EffectiveBy {
    /// Name in the files of rules.
    pub fn as_str(self) -> &'static str {
        match self {
            EffectiveBy::Evaluation => "evaluation",
            EffectiveBy::Start => "start",
        }
    }
}

/// A verification: it counts from its day on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Day; `None` when the referential itself says so.
    pub on: Option<NaiveDate>,
    /// Who, when, which text.
    pub by: String,
}

/// Agreement of the producer and the archives on a DUP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    /// Authority of the scientific and technical control.
    pub with: String,
    /// Day.
    pub on: NaiveDate,
}

/// A worked example: the rule, as if verified and alone, must answer this.
#[derive(Debug, Clone)]
pub struct Example {
    /// Days of the events; one that is not named never happened.
    pub events: BTreeMap<String, NaiveDate>,
    /// Type of the document.
    pub document: Option<String>,
    /// Day of the evaluation.
    pub at: NaiveDate,
    /// Due day, or the last day in the active base; `None` for none.
    pub due: Option<NaiveDate>,
    /// Decision; `None` for a rule of the RGPD clock, which makes none.
    pub outcome: Option<Outcome>,
    /// Where it is written; its message says only which rule it illustrates.
    pub place: ConfigFault,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Identifier, stable and unique.
    pub id: String,
    /// Version of the file it stands in.
    pub version: String,
    /// Class of records it governs.
    pub record_class: String,
    /// Title.
    pub title: String,
    /// Text or agreement.
    pub basis: Basis,
    /// The agreement, when there is one.
    pub agreement: Option<Agreement>,
    /// Which duration it sets.
    pub clock: Clock,
    /// The chain, one step at least; the first starts with an event.
    pub steps: Vec<Step>,
    /// Events that cancel the start of the chain when they are not before it.
    pub cancelled_by: Vec<Arc<Event>>,
    /// At the latest.
    pub cap: Option<Cap>,
    /// Then what; `None` is unknown, hence keep. Never for the RGPD clock.
    pub sort_final: Option<SortFinal>,
    /// Plan of the tri.
    pub tri: Option<String>,
    /// The rule governs only these types of documents; all when empty.
    pub documents: Vec<String>,
    /// The duration may not be set below.
    pub minimum: Option<Duration>,
    /// Source.
    pub citation: String,
    /// When and by whom the text was read; `None` is unverified.
    pub verified: Option<Verified>,
    /// First day on which the rule is in force.
    pub effective_from: NaiveDate,
    /// Last day, if it was replaced.
    pub effective_to: Option<NaiveDate>,
    /// Which day must be between the two.
    pub effective_by: EffectiveBy,
    /// Worked examples.
    pub examples: Vec<Example>,
}

/// All rules, with the organisation's verifications.
#[derive(Debug, Clone)]
pub struct Referential {
    /// Written in every decision: the highest version of the files, then the beginning of a
    /// SHA-256 of their names and texts.
    pub version: String,
    /// Rules, by file name, then in the order of the file.
    pub rules: Vec<Rule>,
    /// Events, by identifier.
    pub events: BTreeMap<String, Arc<Event>>,
}

impl Rule {
    /// Whether the text had been read at a date.
    pub fn is_verified(&self, at: NaiveDate) -> bool {
        self.verified.as_ref().is_some_and(|v| v.on.is_none_or(|on| on <= at))
    }

    /// Whether a day falls in the time during which the rule is in force.
    pub fn in_force(&self, day: NaiveDate) -> bool {
        self.effective_from <= day && self.effective_to.is_none_or(|to| day <= to)
    }

    /// The chain and its cap, in French: « 10 ans après la sortie de l'établissement ».
    pub fn duration_french(&self) -> String {
        let mut parts = self.steps.iter().enumerate().map(|(i, step)| {
            let after = match &step.start {
                Start::Event(e) => e.title.as_str(),
                Start::Previous => "la phase précédente",
            };
            let text = step.mode.french(step.duration, after);
            if i == 0 { text } else { format!("puis {text}") }
        });
        let mut text = parts.by_ref().collect::<Vec<_>>().join(" ; ");
        if let Some(cap) = &self.cap {
            text.push_str(&format!(" ; au plus tard {}", cap.mode.french(cap.duration, &cap.start.title)));
        }
        text
    }

    /// What the rule says, field by field: all that a verification binds. The verification itself,
    /// the version of the file and the examples are not part of it.
    pub(super) fn fields(&self) -> [(&'static str, String); 18] {
        let steps = self.steps.iter().map(|s| {
            let start = match &s.start {
                Start::Event(e) => e.id.as_str(),
                Start::Previous => "-",
            };
            format!("{} {start} {} {}", s.phase.as_str(), s.duration, s.mode.as_str())
        });
        let cap = self.cap.as_ref().map(|c| format!("{} {} {}", c.start.id, c.duration, c.mode.as_str()));
        let sort_final = self.sort_final.map_or("", SortFinal::as_str);
        [
            ("id", self.id.clone()),
            ("record_class", self.record_class.clone()),
            ("title", self.title.clone()),
            ("basis", self.basis.as_str().to_owned()),
            ("agreed_with", self.agreement.as_ref().map(|a| a.with.clone()).unwrap_or_default()),
            ("agreed_on", self.agreement.as_ref().map(|a| a.on.to_string()).unwrap_or_default()),
            ("clock", self.clock.as_str().to_owned()),
            ("phases", steps.collect::<Vec<_>>().join(" | ")),
            ("cancelled_by", self.cancelled_by.iter().map(|e| e.id.as_str()).collect::<Vec<_>>().join(" ")),
            ("at_latest", cap.unwrap_or_default()),
            ("sort_final", sort_final.to_owned()),
            ("tri", self.tri.clone().unwrap_or_default()),
            ("documents", self.documents.join(" ")),
            ("minimum", self.minimum.map(|m| m.to_string()).unwrap_or_default()),
            ("citation", self.citation.clone()),
            ("effective_from", self.effective_from.to_string()),
            ("effective_to", self.effective_to.map(|d| d.to_string()).unwrap_or_default()),
            ("effective_by", self.effective_by.as_str().to_owned()),
        ]
    }

    /// Digest of all that the rule says: a verification that names it holds for this text only.
    pub fn digest(&self) -> Digest {
        let mut writer = DigestWriter::default();
        for (name, value) in self.fields() {
            // The length closes the value: no text can pass for two fields.
            writer.update(format!("{name}:{}:{value}\n", value.len()).as_bytes());
        }
        writer.finish()
    }
}

impl Referential {
    /// A rule by its identifier.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|r| r.id == id)
    }

    /// Rules that name a plan of tri that is not among these.
    pub fn missing_plans<'a>(&'a self, plans: &'a [Plan]) -> impl Iterator<Item = &'a Rule> {
        self.rules.iter().filter(|r| r.tri.as_ref().is_some_and(|t| !plans.iter().any(|p| p.id == *t)))
    }
}
