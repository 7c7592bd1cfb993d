//! Who sends to whom, and how each class of records is described.

use crate::contract::{fault_at, toml_file};
use crate::error::{ConfigFault, Error, Result};
use serde::Deserialize;
use toml::Spanned;

/// Description of packages.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Ingest contract known to the archive.
    pub archival_agreement: String,
    /// Archive profile known to the archive, if it asks for one.
    pub archival_profile: Option<String>,
    /// Agencies, by their identifiers in the archive.
    pub agencies: Agencies,
    /// Classes that can be packaged.
    pub classes: Vec<ClassProfile>,
}

/// Identifiers of the parties.
#[derive(Debug, Clone, Deserialize)]
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

/// Description of one class.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassProfile {
    /// Class.
    pub record_class: String,
    /// Title, completed with the school year.
    pub title: String,
    /// What it is, for readers.
    pub description: String,
    /// Code of the appraisal rule in the archive's referential.
    pub appraisal_rule: String,
    /// Code of the communicability rule.
    pub access_rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    archival_agreement: String,
    archival_profile: Option<String>,
    agencies: Agencies,
    class: Vec<Spanned<ClassProfile>>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn load(file: &str, text: &str) -> Result<Self> {
        let raw: ProfileFile = toml_file(file, text)?;
        let mut faults: Vec<ConfigFault> = Vec::new();
        let mut classes: Vec<ClassProfile> = Vec::new();
        for class in raw.class {
            let at = class.span().start;
            let class = class.into_inner();
            let mut fault = |message: String| faults.push(fault_at(file, text, at, message));
            if class.title.trim().is_empty() {
                fault(
                    "un titre est obligatoire : les services d'archives refusent une unité sans titre".into(),
                );
            }
            if classes.iter().any(|c| c.record_class == class.record_class) {
                fault(format!("la classe « {} » est décrite deux fois", class.record_class));
            }
            for code in class.access_rule.iter().chain([&class.appraisal_rule]) {
                if code.is_empty()
                    || !code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
                {
                    fault(format!(
                        "code de règle « {code} » : lettres sans accent, chiffres, « - », « _ » et « . »"
                    ));
                }
            }
            classes.push(class);
        }
        let a = &raw.agencies;
        for (name, value) in [
            ("archival_agreement", &raw.archival_agreement),
            ("archival", &a.archival),
            ("transferring", &a.transferring),
            ("originating", &a.originating),
            ("submission", &a.submission),
        ] {
            if value.trim().is_empty() {
                faults.push(fault_at(
                    file,
                    text,
                    0,
                    format!("« {name} » est vide : le service d'archives refuserait le paquet"),
                ));
            }
        }
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        Ok(Profile {
            archival_agreement: raw.archival_agreement,
            archival_profile: raw.archival_profile,
            agencies: raw.agencies,
            classes,
        })
    }

    /// Description of a class.
    pub fn class(&self, record_class: &str) -> Option<&ClassProfile> {
        self.classes.iter().find(|c| c.record_class == record_class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_profile_is_right_and_refuses_an_unknown_key() {
        let text = include_str!("../../../seda-profiles/defaut.toml");
        assert!(Profile::load("p.toml", text).unwrap().class("dnma-audience").is_some());
        let Err(Error::Config(f)) =
            Profile::load("p.toml", &text.replacen("[agencies]\n", "[agencies]\nproducer = \"x\"\n", 1))
        else {
            panic!("accepted")
        };
        assert!(f[0].message.contains("« producer »"), "{}", f[0].message);
    }
}
