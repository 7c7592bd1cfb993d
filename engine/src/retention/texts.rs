//! The texts that a referential was read from, kept so that a later one can be compared with it.

use super::rules::Referential;
use crate::domain::{Digest, DigestWriter};
use crate::error::Result;
use serde::{Deserialize, Serialize};

/// Files of rules and the organisation's verifications, as people wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleTexts {
    /// Name and text of each file of rules.
    pub files: Vec<(String, String)>,
    /// Name and text of the overlay.
    pub overlay: Option<(String, String)>,
}

impl RuleTexts {
    /// The referential that they say.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn load(&self) -> Result<Referential> {
        let rules = Referential::load(&self.files)?;
        match &self.overlay {
            Some((file, text)) => rules.overlay(file, text),
            None => Ok(rules),
        }
    }
}

impl Referential {
    /// Digest of all that decides: rules and verifications, whatever the files, their order and
    /// their comments.
    pub fn deciding_digest(&self) -> Digest {
        let mut rules: Vec<_> = self.rules.iter().collect();
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let mut writer = DigestWriter::default();
        for rule in rules {
            let verified = rule.verified.as_ref().map(|v| format!("{:?} {}", v.on, v.by)).unwrap_or_default();
            for part in [rule.id.as_str(), &rule.digest().to_string(), &verified] {
                writer.update(format!("{}:{part}\n", part.len()).as_bytes());
            }
        }
        writer.finish()
    }
}
