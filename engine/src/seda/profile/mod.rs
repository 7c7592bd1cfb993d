//! How packages are described. `defaut.toml` says the parties, the limits and the plan de
//! classement; one file a class says its title, its rules and its keywords, and may replace the rest.

mod load;
pub mod rng;
pub mod split;
mod tree;

pub use tree::{Kind, Placeholder, Template, Tree};

use super::model::{Keyword, LegalStatus, Version};
use serde::Deserialize;
use split::Limits;
use std::collections::BTreeMap;

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        [$((concat!($name, ".toml"), include_str!(concat!("../../../../seda-profiles/", $name, ".toml")))),*]
    };
}

/// The profiles that come with the program: (file, text).
pub const SHIPPED: [(&str, &str); 14] = shipped![
    "defaut",
    "dnma-audience",
    "eleves-dossier",
    "eleves-registre-matricule",
    "eleves-scolarite-lycee",
    "examens-copies-baccalaureat",
    "examens-copies-superieur",
    "examens-evaluations-livrets",
    "scope-organisation",
    "scope-seances",
    "vie-cahier-textes",
    "vie-conseils",
    "vie-courrier",
    "vie-elections",
];

/// Description of packages.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Version of the SEDA.
    pub version: Version,
    /// What a package may hold.
    pub limits: Limits,
    /// Classes that can be packaged, by name.
    pub classes: BTreeMap<String, ClassProfile>,
}

/// Who sends what to whom, under which agreement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// Ingest contract known to the archive.
    pub archival_agreement: String,
    /// Archive profile known to the archive, if it asks for one.
    pub archival_profile: Option<String>,
    /// Way of entry.
    pub acquisition: Option<String>,
    /// Status in law.
    pub legal_status: Option<LegalStatus>,
    /// Agencies, by their identifiers in the archive.
    pub agencies: Agencies,
}

/// Identifiers of the parties.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agencies {
    /// The archives service.
    pub archival: String,
    /// Who sends.
    pub transferring: String,
    /// Who produced the records.
    pub originating: String,
    /// Who deposits for the producer.
    pub submission: String,
}

/// Records of several producers in one table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Producers {
    /// Column that names the producer of a row.
    pub column: String,
    /// Its values, and the agency of each; the others are the originating agency's.
    pub agencies: BTreeMap<String, String>,
}

/// Description of one class.
#[derive(Debug, Clone)]
pub struct ClassProfile {
    /// Class.
    pub record_class: String,
    /// Title, without the school year.
    pub title: String,
    /// What it is, for readers.
    pub description: String,
    /// Code of the appraisal rule in the archive's referential.
    pub appraisal_rule: String,
    /// Code of the communicability rule.
    pub access_rule: Option<String>,
    /// Code of the rule of holds; without one, what is held waits.
    pub hold_rule: Option<String>,
    /// Words of access.
    pub keywords: Vec<Keyword>,
    /// Several producers, if any.
    pub producers: Option<Producers>,
    /// A SIARD archive of all tables goes with them.
    pub siard: bool,
    /// Parties.
    pub parties: Parties,
    /// Plan de classement.
    pub tree: Tree,
}

impl Profile {
    /// Description of a class.
    pub fn class(&self, record_class: &str) -> Option<&ClassProfile> {
        self.classes.get(record_class)
    }

    /// A class as RELAX NG, for the archive to load.
    pub fn rng(&self, class: &ClassProfile) -> String {
        let parties = &class.parties;
        rng::rng(
            self.version,
            &rng::Fixed {
                archival_agreement: &parties.archival_agreement,
                archival_profile: parties.archival_profile.as_deref(),
                originating: class.agencies().collect::<Vec<_>>().as_slice(),
                submission: &parties.agencies.submission,
                archival: &parties.agencies.archival,
                transferring: &parties.agencies.transferring,
                appraisal_rules: &[&class.appraisal_rule],
            },
        )
    }
}

impl ClassProfile {
    /// Agencies that a package may have as its producer.
    pub fn agencies(&self) -> impl Iterator<Item = &str> {
        let own = self.producers.iter().flat_map(|p| p.agencies.values().map(String::as_str));
        let mut all: Vec<&str> =
            std::iter::once(self.parties.agencies.originating.as_str()).chain(own).collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
    }

    /// Agency of a row, by the value of the column of producers.
    pub fn agency_of(&self, value: Option<&str>) -> &str {
        let named = value.zip(self.producers.as_ref()).and_then(|(v, p)| p.agencies.get(v));
        named.map_or(&self.parties.agencies.originating, |a| a)
    }
}
