//! `[microdata]` of a dataset: rows of persons leave only when someone wrote why, and how alike they are.

use super::dataset::Dimension;
use crate::contract::Personal;
use crate::disclosure::microdata::{PARTS, Request};
use serde::Deserialize;
use toml::Spanned;

/// Characters of a reason, at least.
const REASON: usize = 20;

/// What is asked of rows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Someone wants rows to leave.
    allow_microdata: Spanned<bool>,
    /// Why.
    reason: Spanned<String>,
    /// Rows of a class, at least.
    k: Spanned<u32>,
    /// Different values of each secret in a class, at least.
    l: Option<Spanned<u32>>,
    /// Distance of a class's secrets from those of all rows, at most.
    t: Option<Spanned<f64>>,
    /// Rows that may be left out, in per cent.
    max_suppressed: Option<Spanned<f64>>,
}

impl Terms {
    /// Why rows leave.
    pub fn reason(&self) -> &str {
        self.reason.get_ref()
    }

    /// As the search takes it.
    pub fn request(&self) -> Request {
        // Bounds are checked when the file is read: rounding down asks for more, never for less.
        let parts = |share: f64| (share * PARTS as f64).floor() as u64;
        Request {
            k: *self.k.get_ref(),
            l: self.l.as_ref().map_or(1, |l| *l.get_ref()),
            t: self.t.as_ref().map(|t| parts(*t.get_ref())),
            suppressed: self.max_suppressed.as_ref().map_or(0, |s| parts(*s.get_ref() / 100.0)),
        }
    }
}

/// Faults of a dataset as microdata, or of columns that only microdata have. `said`: whether it has a
/// measure, and a protection of counts; `alone`: whether a record is a person, once.
pub fn faults_of(
    terms: Option<&Terms>,
    dimensions: &[Dimension],
    said: (bool, bool),
    alone: bool,
    at: usize,
    personal: impl Fn(&Dimension) -> Option<Personal>,
    fault: &mut impl FnMut(usize, String),
) {
    let Some(terms) = terms else {
        if !said.0 {
            fault(at, "[measure] manque : un jeu compte, ou somme".into());
        }
        for d in dimensions.iter().filter(|d| d.secret || d.ordered || !d.levels.is_empty()) {
            fault(at, format!("« {} » : secret, ordered et levels ne valent qu'avec [microdata]", d.name));
        }
        return;
    };
    if !terms.allow_microdata.get_ref() {
        fault(
            terms.allow_microdata.span().start,
            "des lignes de personnes ne partent que si allow_microdata vaut true ; préférez un tableau"
                .into(),
        );
    }
    if terms.reason().trim().chars().count() < REASON {
        fault(
            terms.reason.span().start,
            format!("écrivez pourquoi des lignes doivent partir, en {REASON} caractères au moins"),
        );
    }
    if *terms.k.get_ref() < 3 {
        fault(terms.k.span().start, "k vaut au moins 3".into());
    }
    let inside = |value: &Spanned<f64>, most: f64| (0.0..=most).contains(value.get_ref());
    if let Some(t) = terms.t.as_ref().filter(|t| !inside(t, 1.0)) {
        fault(t.span().start, "t est entre 0 et 1".into());
    }
    if let Some(s) = terms.max_suppressed.as_ref().filter(|s| !inside(s, 100.0)) {
        fault(s.span().start, "max_suppressed est un pourcentage, entre 0 et 100".into());
    }
    if let Some(l) = terms.l.as_ref().filter(|l| *l.get_ref() == 0) {
        fault(l.span().start, "l vaut au moins 1".into());
    }
    if !alone {
        fault(
            at,
            "plusieurs enregistrements peuvent être de la même personne, qui se ressemblerait à elle-même : years = \"latest\", et une table dont la clé est la personne seule".into(),
        );
    }
    if said != (false, false) {
        fault(at, "[microdata] remplace [measure] et [protection]".into());
    }
    if !dimensions.iter().any(|d| !d.secret) {
        fault(at, "au moins une [[dimension]] est un quasi-identifiant (sans secret = true)".into());
    }
    // A distance alone lets a class leave of which everyone has the same secret.
    let guarded = terms.l.as_ref().is_some_and(|l| *l.get_ref() > 1);
    for d in dimensions {
        let sensitive = personal(d) == Some(Personal::Sensitive);
        if d.secret && !guarded {
            fault(at, format!("« {} » est secrète : donnez l, 2 ou plus", d.name));
        }
        // A column that others know, left exact under the name of a secret, would single people out.
        if sensitive != d.secret {
            fault(
                at,
                format!(
                    "« {} » : secret = true vaut pour les colonnes sensibles de leur contrat, et pour elles seules",
                    d.name
                ),
            );
        }
        if d.coarser.is_some() || (d.secret && !d.levels.is_empty()) {
            fault(
                at,
                format!(
                    "« {} » : un quasi-identifiant se généralise par levels ; un secret reste tel quel",
                    d.name
                ),
            );
        }
        let lengths = d.prefix.iter().chain(&d.levels);
        if !lengths.clone().zip(lengths.skip(1)).all(|(a, b)| a > b) || d.levels.contains(&0) {
            fault(at, format!("« {} » : levels donne de moins en moins de caractères, un au moins", d.name));
        }
    }
}
