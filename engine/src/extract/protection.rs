//! `[protection]` of a dataset, and the dated, named policies that it cites.
//!
//! Thresholds are conventions of each source (INSEE, manuel de protection des tableaux): they are data, with a
//! day from which they hold. A run obeys the last text in force on its date.

use super::perturb::Method;
use crate::contract::{fault_at, toml_file};
use crate::disclosure::policy::{Insiders, Policy, Uniform, Zeros};
use crate::error::{ConfigFault, Error, Result};
use chrono::NaiveDate;
use serde::Deserialize;
use toml::Spanned;

/// What is asked of sums when nothing says otherwise (INSEE, secret statistique sur les tableaux).
const DOMINANCE: u32 = 85;
const P_PERCENT: u32 = 10;
const WIDTH: u32 = 2;

/// Policies that datasets may cite.
#[derive(Debug, Clone, Default)]
pub struct Policies(Vec<Text>);

/// A policy from a day on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    name: Spanned<String>,
    /// Day from which it holds.
    since: Spanned<String>,
    /// Who decided so, and where it is written.
    source: Spanned<String>,
    /// A cell of fewer persons is masked.
    threshold: Spanned<u32>,
    /// Every masked cell stays unknown by this much.
    width: Option<u32>,
    /// A cell whose greatest contributor holds more than this share (%) is masked.
    dominance: Option<u32>,
    /// A masked amount is not known within this many %, nor its greatest contributor by the second.
    p_percent: Option<u32>,
    /// Who attacks with what he knows of himself.
    insiders: Option<Insiders>,
}

/// What a policy says in numbers.
struct Numbers {
    threshold: u32,
    width: Option<u32>,
    dominance: Option<u32>,
    p_percent: Option<u32>,
    insiders: Option<Insiders>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoliciesFile {
    policy: Vec<Text>,
}

fn day(text: &str) -> Option<NaiveDate> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10)
}

impl Numbers {
    fn policy(&self, name: String, since: String) -> Policy {
        Policy {
            name,
            since,
            threshold: self.threshold,
            width: self.width.unwrap_or(WIDTH),
            dominance: Some(self.dominance.unwrap_or(DOMINANCE)),
            p_percent: Some(self.p_percent.unwrap_or(P_PERCENT)),
            attributes: Vec::new(),
            zeros: Zeros::Published,
            insiders: self.insiders.unwrap_or(Insiders::Singletons),
        }
    }
}

impl Text {
    fn policy(&self) -> Policy {
        let numbers = Numbers {
            threshold: *self.threshold.get_ref(),
            width: self.width,
            dominance: self.dominance,
            p_percent: self.p_percent,
            insiders: self.insiders,
        };
        numbers.policy(self.name.get_ref().clone(), self.since.get_ref().clone())
    }
}

impl Policies {
    /// Reads files of policies.
    ///
    /// # Errors
    /// Every fault with its place: a day that is none, a policy twice from the same day, one that could not
    /// protect.
    pub fn load(files: &[(String, String)]) -> Result<Self> {
        let mut all: Vec<Text> = Vec::new();
        let mut faults: Vec<ConfigFault> = Vec::new();
        for (file, text) in files {
            let raw: PoliciesFile = toml_file(file, text)?;
            for own in raw.policy {
                let mut fault = |at: usize, message: String| faults.push(fault_at(file, text, at, message));
                let (name, since) = (own.name.get_ref(), own.since.get_ref());
                if day(since).is_none() {
                    fault(own.since.span().start, "since est un jour, comme « 2026-09-01 »".into());
                }
                if own.source.get_ref().trim().is_empty() {
                    fault(own.source.span().start, "source dit qui a décidé cette règle, et où".into());
                }
                if let Err(e) = own.policy().validate() {
                    fault(own.threshold.span().start, e.to_string());
                }
                if all.iter().any(|o| o.name.get_ref() == name && o.since.get_ref() == since) {
                    fault(own.name.span().start, format!("« {name} » a déjà un texte du {since}"));
                }
                all.push(own);
            }
        }
        all.sort_by(|a, b| a.since.get_ref().cmp(b.since.get_ref()));
        if faults.is_empty() { Ok(Policies(all)) } else { Err(Error::Config(faults)) }
    }

    fn of(&self, name: &str) -> Vec<Policy> {
        let own = self.0.iter().filter(|t| t.name.get_ref() == name);
        own.map(Text::policy).collect()
    }

    fn names(&self) -> String {
        let mut names: Vec<&str> = self.0.iter().map(|t| t.name.get_ref().as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

/// `[protection]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    /// Policy that is cited; a name for numbers that stand here.
    policy: Option<Spanned<String>>,
    since: Option<Spanned<String>>,
    threshold: Option<Spanned<u32>>,
    width: Option<u32>,
    dominance: Option<u32>,
    p_percent: Option<u32>,
    insiders: Option<Insiders>,
    /// Masks, or figures that are changed.
    #[serde(default)]
    method: Method,
    /// Of rounding: every figure is a multiple of it.
    base: Option<u32>,
    /// Of noise: its bound.
    noise: Option<u32>,
    /// Sensitive columns that this dataset may cross; each must be among `attributes`.
    #[serde(default)]
    sensitive: Vec<String>,
    /// Dimensions of which a group that falls whole into one code is protected.
    #[serde(default)]
    attributes: Vec<String>,
    /// Whether zeros may be masked.
    zeros: Option<Zeros>,
    /// What to do when an earlier publication and this one say too much together.
    #[serde(default)]
    conflict: Conflict,
}

/// What to do when publications of a population say too much together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// Nothing leaves; a person chooses among what is proposed.
    #[default]
    Refuse,
    /// What was masked stays masked, and what a subtraction would tell is masked too.
    KeepMasks,
}

/// How the persons of a dataset are protected.
#[derive(Debug, Clone)]
pub struct Protection {
    /// Texts of its policy, oldest first; the first one holds since ever when it has no day.
    texts: Vec<Policy>,
    /// The one in force.
    policy: Policy,
    /// Masks, or figures that are changed.
    pub method: Method,
    base: Option<u32>,
    noise: Option<u32>,
    /// Sensitive columns that may be crossed.
    pub sensitive: Vec<String>,
    /// What to do when publications say too much together.
    pub conflict: Conflict,
}

impl Written {
    /// With the policies that exist; what is wrong is told at its place, `at` where it has none.
    pub(super) fn resolved(
        self,
        policies: &Policies,
        at: usize,
        fault: &mut impl FnMut(usize, String),
    ) -> Option<Protection> {
        let place = |s: &Option<Spanned<String>>| s.as_ref().map_or(at, |s| s.span().start);
        let own = [self.width, self.dominance, self.p_percent].iter().any(Option::is_some);
        let mut texts = match (&self.policy, &self.threshold) {
            (_, Some(threshold)) => {
                let number = *threshold.get_ref();
                let name = self.policy.as_ref().map(|p| p.get_ref().clone());
                let since = self.since.as_ref().map(|s| s.get_ref().clone()).unwrap_or_default();
                if !since.is_empty() && day(&since).is_none() {
                    fault(place(&self.since), "since est un jour, comme « 2026-09-01 »".into());
                }
                let numbers = Numbers {
                    threshold: number,
                    width: self.width,
                    dominance: self.dominance,
                    p_percent: self.p_percent,
                    insiders: self.insiders,
                };
                vec![numbers.policy(name.unwrap_or_else(|| format!("seuil-{number}")), since)]
            }
            (Some(name), None) => {
                if own || self.since.is_some() || self.insiders.is_some() {
                    fault(
                        name.span().start,
                        "la politique citée dit déjà since, width, dominance, p_percent et insiders : retirez-les, ou écrivez aussi threshold".into(),
                    );
                }
                policies.of(name.get_ref())
            }
            (None, None) => Vec::new(),
        };
        if texts.is_empty() {
            let names = policies.names();
            fault(
                place(&self.policy),
                format!("citez une politique (policy : {names}), ou écrivez son threshold"),
            );
        }
        let spot = self.threshold.as_ref().map_or(place(&self.policy), |t| t.span().start);
        for policy in &mut texts {
            policy.attributes.clone_from(&self.attributes);
            policy.zeros = self.zeros.unwrap_or(Zeros::Published);
            if let Err(e) = policy.validate() {
                fault(spot, e.to_string());
            }
            let told = super::perturb::faults(self.method, policy, self.base, self.noise);
            told.into_iter().for_each(|text| fault(spot, text));
        }
        let policy = texts.last().cloned()?;
        Some(Protection {
            texts,
            policy,
            method: self.method,
            base: self.base,
            noise: self.noise,
            sensitive: self.sensitive,
            conflict: self.conflict,
        })
    }
}

impl Protection {
    /// Multiple of all figures, when they are rounded.
    pub fn base(&self) -> Option<u32> {
        self.base.filter(|_| self.method == Method::Rounding)
    }

    /// Bound of the noise, when there is one.
    pub fn noise(&self) -> Option<u32> {
        self.noise.filter(|_| self.method == Method::CellKey)
    }

    /// The policy.
    pub fn policy(&self) -> Policy {
        self.policy.clone()
    }

    /// Whether every text of the policy says this of what the people counted know.
    pub fn always(&self, insiders: Insiders) -> bool {
        self.texts.iter().all(|p| p.insiders == insiders)
    }

    /// With the text in force on a day; none when none is yet.
    pub fn on(&self, date: NaiveDate) -> Option<Self> {
        let holds = |p: &&Policy| p.since.is_empty() || day(&p.since).is_some_and(|d| d <= date);
        let policy = self.texts.iter().rfind(holds)?.clone();
        Some(Protection { policy, ..self.clone() })
    }

    /// Never weaker than what was promised of these persons before.
    pub fn strengthen(&mut self, before: Uniform) {
        self.policy = self.policy.clone().strengthened(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: &str = "[[policy]]\nname = \"eleves\"\nsince = \"2026-09-01\"\nsource = \"essai\"\nthreshold = 5\n\n\
        [[policy]]\nname = \"eleves\"\nsince = \"2027-01-01\"\nsource = \"essai\"\nthreshold = 11\n";

    fn load(text: &str) -> Result<Policies> {
        Policies::load(&[("p.toml".into(), text.into())])
    }

    fn resolve(text: &str, policies: &Policies) -> (Option<Protection>, Vec<String>) {
        let mut faults = Vec::new();
        let written: Written = toml::from_str(text).unwrap();
        let found = written.resolved(policies, 0, &mut |_, m| faults.push(m));
        (found, faults)
    }

    #[test]
    fn the_last_text_in_force_on_the_day_is_obeyed() {
        let (found, faults) = resolve("policy = \"eleves\"", &load(TEXTS).unwrap());
        assert!(faults.is_empty(), "{faults:?}");
        let found = found.unwrap();
        let on = |d: &str| found.on(d.parse().unwrap()).map(|p| p.policy().threshold);
        assert_eq!(
            [on("2026-08-31"), on("2026-09-01"), on("2026-12-31"), on("2027-01-01")],
            [None, Some(5), Some(5), Some(11)]
        );
    }

    #[test]
    fn what_is_no_policy_is_told() {
        for (old, new, want) in [
            ("2027-01-01", "hier", "since est un jour"),
            ("2027-01-01", "2026-09-01", "déjà un texte"),
            ("threshold = 11", "threshold = 1", "seuil"),
            ("source = \"essai\"\nthreshold = 11", "source = \"\"\nthreshold = 11", "qui a décidé"),
        ] {
            let Err(Error::Config(faults)) = load(&TEXTS.replace(old, new)) else { panic!("{new} accepted") };
            assert!(faults.iter().any(|f| f.message.contains(want)), "{want}: {faults:?}");
        }
        let policies = load(TEXTS).unwrap();
        for (text, want) in [
            ("policy = \"autre\"", "citez une politique (policy : eleves)"),
            ("", "citez une politique"),
            ("policy = \"eleves\"\nwidth = 1", "dit déjà"),
            ("threshold = 5\nsince = \"hier\"", "since est un jour"),
        ] {
            let (_, faults) = resolve(text, &policies);
            assert!(faults.iter().any(|f| f.contains(want)), "{want}: {faults:?}");
        }
    }
}
