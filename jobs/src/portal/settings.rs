//! `[publish.ods]` and `[publish.datagouv]`: portals. Keys are in files of their own.

use super::http::base;
use super::{Kind, Portal, Secret};
use crate::deposit::{Policy, private};
use cartulaire_engine::error::{ConfigFault, Error, IoContext, Result};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The section as written.
#[derive(Deserialize, Debug, Clone, Default)]
#[serde(deny_unknown_fields)]
pub struct Section {
    url: Option<String>,
    key: Option<String>,
    organisation: Option<String>,
    license: Option<String>,
    #[serde(default)]
    themes: Vec<String>,
    attempts: Option<u32>,
    retry_seconds: Option<u64>,
    settle_seconds: Option<u64>,
    timeout_seconds: Option<u64>,
}

/// The section, with the configuration file that it is in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which portal.
    pub kind: Kind,
    /// What was written.
    pub section: Section,
    /// Configuration file.
    pub file: String,
    /// Folder that paths start from.
    pub base: PathBuf,
}

impl Settings {
    /// Everything that is wrong with the section itself; the key is read when something leaves.
    pub fn faults(&self) -> Vec<ConfigFault> {
        let s = &self.section;
        let mut faults = Vec::new();
        let required = match self.kind {
            Kind::Ods => [("url", &s.url), ("key", &s.key), ("license", &s.license)],
            Kind::Datagouv => [("url", &s.url), ("key", &s.key), ("organisation", &s.organisation)],
        };
        for (name, value) in required {
            if value.as_ref().is_none_or(|v| v.trim().is_empty()) {
                faults.push(self.fault(format!("clé « {name} » manquante")));
            }
        }
        if let Some(Err(Error::Usage(why))) = s.url.as_deref().map(base) {
            faults.push(self.fault(why));
        }
        let id = |o: &String| o.len() == 24 && o.bytes().all(|b| b.is_ascii_hexdigit());
        if self.kind == Kind::Datagouv && s.organisation.as_ref().is_some_and(|o| !id(o)) {
            let what = "organisation : l'identifiant de l'organisation, 24 chiffres hexadécimaux (page de l'organisation, « Informations »)";
            faults.push(self.fault(what.into()));
        }
        if s.attempts == Some(0) {
            faults.push(self.fault("attempts vaut au moins 1".into()));
        }
        faults
    }

    fn fault(&self, what: String) -> ConfigFault {
        let message = format!("[publish.{}] {what}", self.kind.as_str());
        ConfigFault { file: self.file.clone(), line: 0, column: 0, message }
    }

    /// The portal, without its key.
    ///
    /// # Errors
    /// [`Error::Config`] with every fault of the section.
    pub fn portal(&self, recreate: bool) -> Result<Portal> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        let (s, default) = (&self.section, Policy::default());
        let seconds = |s: Option<u64>, or: Duration| s.map_or(or, Duration::from_secs);
        let first = seconds(s.retry_seconds, default.first);
        Ok(Portal {
            kind: self.kind,
            url: s.url.clone().unwrap_or_default(),
            organisation: s.organisation.clone(),
            license: s.license.clone(),
            themes: s.themes.clone(),
            recreate,
            policy: Policy {
                attempts: s.attempts.unwrap_or(default.attempts),
                first,
                longest: default.longest.min(first.saturating_mul(150)),
                settle: seconds(s.settle_seconds, Duration::from_secs(10)),
            },
            timeout: seconds(s.timeout_seconds, Duration::from_secs(120)),
        })
    }

    /// The key of the portal, from its file.
    ///
    /// # Errors
    /// The file cannot be read, others may read it, or it has no key.
    pub fn key(&self) -> Result<Secret> {
        let path = self.base.join(self.section.key.as_deref().unwrap_or_default());
        private(&path)?;
        Secret::new(&std::fs::read_to_string(&path).at(&path)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn settings(kind: Kind, text: &str, base: &Path) -> Settings {
        let section = toml::from_str(text).unwrap();
        Settings { kind, section, file: "c.toml".into(), base: base.to_path_buf() }
    }

    #[test]
    fn what_a_portal_lacks_is_told_by_its_key() {
        let count = |kind, text: &str| settings(kind, text, Path::new("")).faults().len();
        let ods = "url = \"https://data.education.gouv.fr\"\nkey = \"cle\"\nlicense = \"lov2\"";
        let id = "5bbb6d6cff66bd4dc17bfd5a";
        let dgv = format!("url = \"https://www.data.gouv.fr\"\nkey = \"cle\"\norganisation = \"{id}\"");
        for (kind, text, want) in [
            (Kind::Ods, ods, 0),
            (Kind::Datagouv, dgv.as_str(), 0),
            (Kind::Ods, dgv.as_str(), 1),
            (Kind::Datagouv, ods, 1),
            (Kind::Ods, "", 3),
            (Kind::Ods, "url = \"http://data.education.gouv.fr\"\nkey = \"c\"\nlicense = \"l\"", 1),
            (Kind::Datagouv, "url = \"https://a.fr\"\nkey = \"c\"\norganisation = \"menj\"\nattempts = 0", 2),
        ] {
            assert_eq!(count(kind, text), want, "{kind:?} {text}");
        }
        // The key itself has no place in the configuration.
        assert!(toml::from_str::<Section>("apikey = \"abc\"").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cle");
        std::fs::File::create(&path).unwrap();
        let settings = settings(Kind::Ods, "key = \"cle\"", dir.path());
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o640);
        assert!(settings.key().unwrap_err().to_string().contains("chmod 600"));
        mode(0o600);
        assert!(settings.key().unwrap_err().to_string().contains("clé"));
    }
}
