//! The manifest of a tri: all that is needed to carry it out again, what is kept and why, and of
//! what may go only a digest.
//!
//! One JSON text for one sample: fields in alphabetical order, no space, a line feed at the end.

use super::merkle::MerkleTree;
use super::plan::Plan;
use super::population::Population;
use super::score::ALGORITHM;
use super::select::{Reason, Request, Sample, Step};
use crate::domain::hex;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`ALGORITHM`].
    pub algorithm: String,
    /// Totals.
    pub counts: Counts,
    /// RFC 6962 root over the identifiers that may go, in order; hexadecimal.
    pub eliminated_root: String,
    /// Records kept, in the order of identifiers.
    pub kept: Vec<Kept>,
    /// The whole plan.
    pub plan: Plan,
    /// SHA-256 of the plan's JSON text; hexadecimal.
    pub plan_digest: String,
    /// RFC 6962 root over the records, in the order of identifiers; hexadecimal.
    pub population_root: String,
    /// Value that nobody could choose.
    pub public_value: String,
    /// Number of the elimination request.
    pub request_number: String,
    /// The seed, hexadecimal.
    pub seed: String,
    /// Steps, in order.
    pub steps: Vec<Step>,
}

/// Totals of a tri.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    /// Records that may go.
    pub eliminated: u64,
    /// Records kept.
    pub kept: u64,
    /// Records.
    pub records: u64,
    /// Persons, and records of nobody.
    pub units: u64,
}

/// A record that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Canonical identifier.
    pub id: String,
    /// Every [`Reason`], with its code after a colon when it has one.
    pub reasons: Vec<String>,
}

/// What a manifest says otherwise than the population and the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Field of the manifest; empty for the whole of it.
    pub field: &'static str,
    /// In French; never an identifier.
    pub message: String,
}

impl Sample<'_> {
    /// The manifest of the sample.
    ///
    /// # Errors
    /// Never in practice: a plan has a JSON form.
    pub fn manifest(&self) -> Result<Manifest> {
        let p = self.population;
        let mut eliminated = MerkleTree::default();
        let mut kept = Vec::new();
        for (r, mark) in p.records.iter().zip(&self.marks) {
            if *mark == 0 {
                eliminated.push(r.id.as_bytes());
                continue;
            }
            let reasons = Reason::ALL.into_iter().filter(|reason| mark & reason.bit() != 0);
            let reasons = reasons.map(|reason| match reason {
                Reason::Excluded => format!("{}:{}", reason.as_str(), p.reasons.text(r.excluded)),
                Reason::Qualitative => format!("{}:{}", reason.as_str(), p.reasons.text(r.qualitative)),
                other => other.as_str().to_owned(),
            });
            kept.push(Kept { id: r.id.to_string(), reasons: reasons.collect() });
        }
        Ok(Manifest {
            algorithm: ALGORITHM.to_owned(),
            counts: Counts {
                eliminated: (p.records.len() - kept.len()) as u64,
                kept: kept.len() as u64,
                records: p.records.len() as u64,
                units: p.units.len() as u64,
            },
            eliminated_root: hex(&eliminated.root()),
            kept,
            plan: p.plan.clone(),
            plan_digest: p.plan.digest()?.to_string(),
            population_root: p.root(),
            public_value: self.request.public_value.to_owned(),
            request_number: self.request.number.to_owned(),
            seed: hex(&self.seed),
            steps: self.steps.clone(),
        })
    }
}

impl Manifest {
    /// The one JSON text of the manifest.
    ///
    /// # Errors
    /// Never in practice: every field has a JSON form.
    pub fn text(&self) -> Result<String> {
        let mut text = serde_json::to_string(self).map_err(|e| Error::Write(e.to_string()))?;
        text.push('\n');
        Ok(text)
    }

    /// Reads a manifest, for its plan or its list; it proves nothing before [`Manifest::verify`].
    ///
    /// # Errors
    /// A difference about the whole: it is not a manifest, or not in its one form.
    pub fn read(bytes: &[u8]) -> Result<Self, Difference> {
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| Difference {
            field: "",
            message: format!(
                "le manifeste n'est pas lisible (ligne {}, colonne {}) : reprenez le fichier d'origine",
                e.line(),
                e.column()
            ),
        })?;
        if manifest.text().is_ok_and(|text| text.as_bytes() == bytes) {
            return Ok(manifest);
        }
        let message =
            "le manifeste n'est pas dans sa forme d'origine (espaces, ordre ou écriture des champs)";
        Err(Difference { field: "", message: message.into() })
    }

    /// Carries out the tri again from a manifest and the population gathered for the plan that was
    /// agreed, and says all that differs; nothing when the manifest holds.
    ///
    /// # Errors
    /// Every difference, in the order of the causes.
    pub fn verify(bytes: &[u8], population: &Population) -> Result<Manifest, Vec<Difference>> {
        let said = Manifest::read(bytes).map_err(|d| vec![d])?;
        let request = Request { number: &said.request_number, public_value: &said.public_value };
        let found = population.draw(request).and_then(|sample| sample.manifest());
        let found = found.map_err(|e| vec![Difference { field: "", message: e.to_string() }])?;
        let differences = said.differences(&found);
        if differences.is_empty() { Ok(said) } else { Err(differences) }
    }

    fn differences(&self, found: &Manifest) -> Vec<Difference> {
        let missing = |a: &[Kept], b: &[Kept]| {
            a.iter().filter(|k| b.binary_search_by(|other| other.id.cmp(&k.id)).is_err()).count() as u64
        };
        let (extra, lacking) = (missing(&self.kept, &found.kept), missing(&found.kept, &self.kept));
        let kept = format!(
            "la liste des enregistrements gardés n'est pas celle du tirage refait : {} en trop, {} en moins ; sinon l'ordre ou les motifs diffèrent",
            crate::french::thousands(extra),
            crate::french::thousands(lacking)
        );
        let checks = [
            ("algorithm", self.algorithm == found.algorithm, "le manifeste annonce un autre algorithme"),
            ("plan", self.plan == found.plan, "le plan du manifeste n'est pas le plan convenu"),
            (
                "plan_digest",
                self.plan_digest == found.plan_digest,
                "l'empreinte du plan n'est pas celle du plan convenu",
            ),
            (
                "population_root",
                self.population_root == found.population_root,
                "la population n'est pas celle du tri : un enregistrement, une année, un pseudonyme ou une strate a changé",
            ),
            (
                "seed",
                self.seed == found.seed,
                "la graine ne vient pas de cette population, de ce numéro de demande et de cette valeur publique",
            ),
            ("steps", self.steps == found.steps, "les nombres par étape ne sont pas ceux du tirage refait"),
            ("kept", self.kept == found.kept, &kept),
            ("counts", self.counts == found.counts, "les totaux ne sont pas ceux du tirage refait"),
            (
                "eliminated_root",
                self.eliminated_root == found.eliminated_root,
                "l'empreinte des enregistrements éliminables n'est pas celle du tirage refait",
            ),
        ];
        let wrong = checks.into_iter().filter(|(_, same, _)| !same);
        wrong.map(|(field, _, message)| Difference { field, message: message.to_owned() }).collect()
    }
}
