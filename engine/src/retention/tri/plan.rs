//! A plan of tri: what is kept of records that are due, in the order of the *Cadre méthodologique
//! pour l'évaluation, la sélection et l'échantillonnage des archives publiques* (CIAF, July 2014):
//! qualitative choice, specimens, then samples. What several criteria keep is kept for every reason.
//!
//! Fields are in alphabetical order: a plan has one JSON text, which manifests hold and digest.

use super::size::Size;
use super::surname::{initial, normalised};
use crate::domain::{AnneeScolaire, Digest};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::{NonZeroU16, NonZeroU32};

/// A plan. Every section is a criterion; a section that is absent keeps nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Text, agreement or practice behind the plan.
    pub citation: String,
    /// Identifier that rules name.
    pub id: String,
    /// Codes and meanings of the reasons of a qualitative choice; the choice itself comes with the
    /// records.
    pub qualitative: BTreeMap<String, String>,
    /// So many, by lot.
    pub random: Option<Size>,
    /// So many of each type of record. Not representative.
    pub specimen_per_type: Option<NonZeroU32>,
    /// So many, by lot, in proportion of strata.
    pub stratified: Option<Stratified>,
    /// Surnames under some letters.
    pub surname: Option<Surname>,
    /// One in so many, in the order of canonical identifiers.
    pub systematic_one_in: Option<NonZeroU32>,
    /// Title for people.
    pub title: String,
    /// Of each table whose records belong to a person, the column that names the person. All
    /// records of a person are drawn together, in every table: the columns hold the same identifiers.
    pub unit: BTreeMap<String, String>,
    /// Version; it changes with the plan.
    pub version: String,
    /// School years kept whole.
    pub whole_years: Vec<WholeYears>,
    /// School years at a regular interval.
    pub witness_years: Option<WitnessYears>,
}

/// School years of which everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeYears {
    /// Why, in French.
    pub because: String,
    /// Launch of a scheme, or exceptional years.
    pub kind: WholeKind,
    /// Labels such as 2020-2021.
    pub years: Vec<String>,
}

/// Why a school year is kept whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WholeKind {
    /// First years of a scheme.
    Launch,
    /// Years unlike the others.
    Exceptional,
}

/// School years at a regular interval, wholly kept or of which one record in so many is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessYears {
    /// Interval in years.
    pub modulus: NonZeroU16,
    /// By lot, one in so many of each witness year; all without it.
    pub one_in: Option<NonZeroU32>,
    /// Which of the two years of a school year counts.
    pub reading: Reading,
    /// Remainders of the year by the modulus.
    pub residues: Vec<u16>,
}

/// « Les années scolaires en 0 et 5 » may mean either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// 2019 in 2019-2020.
    Start,
    /// 2020 in 2019-2020.
    End,
}

/// Surnames under some letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surname {
    /// Column that holds the surname (birth name or usage name: the plan says which).
    pub column: String,
    /// Upper-case letters without accent.
    pub letters: Vec<char>,
    /// Leading words that are skipped, normalised.
    pub particles: Vec<String>,
}

/// Shares by strata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stratified {
    /// Columns whose values make a stratum.
    pub columns: Vec<String>,
    /// Units drawn at least in each stratum.
    pub minimum: u32,
    /// Units drawn in all, before the minimum.
    pub size: Size,
}

/// First of the two years of a label such as 2019-2020; `None` when it is not a school year.
pub(super) fn start_year(label: &str) -> Option<u16> {
    AnneeScolaire::parse(label)?;
    label.get(..4)?.parse().ok()
}

impl WitnessYears {
    /// Whether the school year that starts in `start` is one of them.
    pub fn includes(&self, start: u16) -> bool {
        let year = match self.reading {
            Reading::Start => start,
            Reading::End => start.saturating_add(1),
        };
        self.residues.contains(&(year % self.modulus))
    }

    /// Which years, by their last digit when it tells them.
    fn rule(&self, which: &str) -> String {
        let modulus = self.modulus.get();
        let joined = |list: Vec<u16>| list.iter().map(u16::to_string).collect::<Vec<_>>().join(" ou ");
        if 10_u16.checked_rem(modulus) == Some(0) {
            let digits = (0..10).filter(|d| self.residues.contains(&(*d % self.modulus))).collect();
            return format!("l'année où elle {which} se termine par {}", joined(digits));
        }
        format!("l'année où elle {which}, divisée par {modulus}, laisse {}", joined(self.residues.clone()))
    }

    /// The interpretation in French, with examples.
    pub fn french(&self) -> String {
        let label = |start: u16| format!("{start:04}-{:04}", start.saturating_add(1));
        let (kept, left): (Vec<u16>, Vec<u16>) = (2009..2026).partition(|y| self.includes(*y));
        let some = |years: &[u16]| {
            years.iter().rev().take(3).rev().map(|y| label(*y)).collect::<Vec<_>>().join(", ")
        };
        let which = match self.reading {
            Reading::Start => "commence",
            Reading::End => "finit",
        };
        let share = match self.one_in {
            None => "en entier".to_owned(),
            Some(k) => format!("à raison d'un dossier sur {k}, tiré au sort"),
        };
        let mut text = format!("années témoins, {share} : les années scolaires dont {}", self.rule(which));
        for (title, years) in [("gardées", some(&kept)), ("non gardées à ce titre", some(&left))] {
            if !years.is_empty() {
                text.push_str(&format!(" ; {title} par exemple : {years}"));
            }
        }
        text
    }
}

impl Surname {
    /// Letter of a name, as this plan reads it.
    pub fn initial(&self, name: &str) -> Option<char> {
        initial(name, &self.particles)
    }
}

impl Plan {
    /// The one JSON text of the plan.
    ///
    /// # Errors
    /// Never in practice: every field has a JSON form.
    pub fn text(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|e| Error::Write(e.to_string()))
    }

    /// Digest of [`Plan::text`].
    ///
    /// # Errors
    /// As [`Plan::text`].
    pub fn digest(&self) -> Result<Digest> {
        Ok(Digest::of(self.text()?.as_bytes()))
    }

    /// Whether any criterion keeps something.
    pub fn keeps_something(&self) -> bool {
        !self.qualitative.is_empty()
            || self.random.is_some()
            || self.specimen_per_type.is_some()
            || self.stratified.is_some()
            || self.surname.is_some()
            || self.systematic_one_in.is_some()
            || !self.whole_years.is_empty()
            || self.witness_years.is_some()
    }

    /// The plan in French, one sentence a step, in the order in which steps are taken.
    pub fn french(&self) -> Vec<String> {
        let mut steps =
            vec!["exclus du tri et gardés : gels et tout enregistrement écarté avec son motif".into()];
        if !self.unit.is_empty() {
            let columns: Vec<String> = self.unit.iter().map(|(t, c)| format!("{t}.{c}")).collect();
            steps.push(format!(
                "les enregistrements d'une même personne ont le même sort dans toutes les tables ; personne lue dans {}",
                columns.join(", ")
            ));
        }
        if !self.qualitative.is_empty() {
            let reasons: Vec<String> = self.qualitative.iter().map(|(c, t)| format!("{t} ({c})")).collect();
            steps.push(format!("choix qualitatif : {}", reasons.join(" ; ")));
        }
        if let Some(n) = self.specimen_per_type {
            steps.push(format!("spécimens, non représentatifs : {n} par type"));
        }
        for whole in &self.whole_years {
            let kind = match whole.kind {
                WholeKind::Launch => "années de lancement gardées en entier",
                WholeKind::Exceptional => "années exceptionnelles gardées en entier",
            };
            steps.push(format!("{kind} : {} ({})", whole.years.join(", "), whole.because));
        }
        if let Some(witness) = &self.witness_years {
            steps.push(witness.french());
        }
        if let Some(surname) = &self.surname {
            let letters: Vec<String> = surname.letters.iter().map(char::to_string).collect();
            let particles = match surname.particles.as_slice() {
                [] => "aucune particule n'est sautée".into(),
                list => format!("particules sautées : {}", list.join(", ")),
            };
            steps.push(format!(
                "noms en {}, lus dans « {} » sans accent ({particles} ; un nom vide ou illisible est gardé). Critère non représentatif : les initiales ne sont pas réparties au hasard",
                letters.join(", "),
                surname.column
            ));
        }
        if let Some(k) = self.systematic_one_in {
            steps.push(format!(
                "tirage systématique : 1 sur {k} dans l'ordre des identifiants, départ tiré de la graine"
            ));
        }
        if let Some(size) = &self.random {
            steps.push(format!("tirage au sort sur le reste : {}", size.french()));
        }
        if let Some(s) = &self.stratified {
            steps.push(format!(
                "tirage au sort sur le reste, en proportion de {} : {}, au moins {} par strate",
                s.columns.join(", "),
                s.size.french(),
                s.minimum
            ));
        }
        steps
    }
}

/// Particles as a plan keeps them.
pub(super) fn particles<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let trim = |w: &str| normalised(w).trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
    let mut words: Vec<String> = words.into_iter().map(trim).filter(|w| !w.is_empty()).collect();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::super::size::Decimal;
    use super::*;

    fn witness(modulus: u16, residues: &[u16], reading: Reading) -> WitnessYears {
        let modulus = NonZeroU16::new(modulus).unwrap();
        WitnessYears { modulus, one_in: None, reading, residues: residues.to_vec() }
    }

    #[test]
    fn witness_years_follow_their_reading() {
        for (modulus, residues, reading, label, kept) in [
            (5, &[0][..], Reading::End, "2019-2020", true),
            (5, &[0], Reading::End, "2020-2021", false),
            (5, &[0], Reading::End, "2014-2015", true),
            (5, &[0], Reading::Start, "2019-2020", false),
            (5, &[0], Reading::Start, "2020-2021", true),
            (10, &[0, 5], Reading::End, "2024-2025", true),
            (10, &[0, 5], Reading::End, "2025-2026", false),
            (1, &[0], Reading::Start, "2023-2024", true),
            (5, &[7], Reading::End, "2019-2020", false),
        ] {
            let start = start_year(label).unwrap();
            assert_eq!(witness(modulus, residues, reading).includes(start), kept, "{label} {reading:?}");
        }
        assert_eq!(start_year("2019-2021"), None);
    }

    #[test]
    fn the_interpretation_is_printed_with_examples() {
        let end = witness(5, &[0], Reading::End).french();
        assert!(end.contains("dont l'année où elle finit se termine par 0 ou 5"), "{end}");
        assert!(end.contains("gardées par exemple : 2014-2015, 2019-2020, 2024-2025"), "{end}");
        assert!(
            end.contains("non gardées à ce titre par exemple : 2022-2023, 2023-2024, 2025-2026"),
            "{end}"
        );
        let third = witness(3, &[1], Reading::End).french();
        assert!(third.contains("finit, divisée par 3, laisse 1"), "{third}");
        let start = witness(5, &[0], Reading::Start).french();
        assert!(start.contains("gardées par exemple : 2015-2016, 2020-2021, 2025-2026"), "{start}");
    }

    #[test]
    fn a_plan_has_one_text_with_sorted_keys_and_is_read_back() {
        let plan = Plan {
            random: Some(Size::Rate(Decimal::new(0.05).unwrap())),
            witness_years: Some(witness(5, &[0], Reading::End)),
            surname: Some(Surname {
                column: "nom".into(),
                letters: vec!['B'],
                particles: particles(["d'", "de", "De"]),
            }),
            ..Plan::default()
        };
        let text = plan.text().unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(crate::journal::canonical(&value), text);
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        assert!(text.contains(r#""particles":["D","DE"]"#), "{text}");
        assert!(serde_json::from_str::<Plan>(&text.replacen("\"id\"", "\"idd\"", 1)).is_err());
        assert!(serde_json::from_str::<Plan>(&text.replacen("\"modulus\":5", "\"modulus\":0", 1)).is_err());
    }
}
