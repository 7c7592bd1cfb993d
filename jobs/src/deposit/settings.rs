//! `[seda.deposit]`: where packages go. Keys and certificates are in files of their own.

use super::{Folder, Policy, S3, S3Config, Target, Vitam, VitamConfig, connect};
use cartulaire_engine::error::{ConfigFault, Error, IoContext, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The section as written.
#[derive(Deserialize, Debug, Clone, Default)]
#[serde(deny_unknown_fields)]
pub struct Section {
    kind: String,
    name: Option<String>,
    path: Option<String>,
    url: Option<String>,
    tenant: Option<u32>,
    contract: Option<String>,
    context: Option<String>,
    authority: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
    trust_absence: Option<bool>,
    region: Option<String>,
    bucket: Option<String>,
    prefix: Option<String>,
    access_key: Option<String>,
    secret_key: Option<String>,
    attempts: Option<u32>,
    retry_seconds: Option<u64>,
    settle_seconds: Option<u64>,
    timeout_seconds: Option<u64>,
}

/// The section, with the configuration file that it is in.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What was written.
    pub section: Section,
    /// Configuration file.
    pub file: String,
    /// Folder that paths start from.
    pub base: PathBuf,
}

impl Settings {
    /// Everything that is wrong with the section itself; files are read when a package leaves.
    pub fn faults(&self) -> Vec<ConfigFault> {
        let s = &self.section;
        let there = [
            ("path", s.path.is_some()),
            ("url", s.url.is_some()),
            ("tenant", s.tenant.is_some()),
            ("contract", s.contract.is_some()),
            ("authority", s.authority.is_some()),
            ("certificate", s.certificate.is_some()),
            ("key", s.key.is_some()),
            ("bucket", s.bucket.is_some()),
            ("access_key", s.access_key.is_some()),
            ("secret_key", s.secret_key.is_some()),
        ];
        let required: &[&str] = match s.kind.as_str() {
            "folder" => &["path"],
            "vitam" => &["url", "tenant", "contract", "authority", "certificate", "key"],
            "s3" => &["url", "bucket", "access_key", "secret_key"],
            other => {
                return vec![self.fault(format!(
                    "[seda.deposit] kind « {other} » : « folder » (dossier), « s3 » ou « vitam »"
                ))];
            }
        };
        let missing = required
            .iter()
            .filter(|k| there.iter().any(|(name, is)| name == *k && !is))
            .map(|k| self.fault(format!("[seda.deposit] kind = \"{}\" veut aussi la clé « {k} »", s.kind)));
        let mut faults: Vec<ConfigFault> = missing.collect();
        if s.kind != "folder" && s.url.as_ref().is_some_and(|u| !u.starts_with("https://")) {
            faults
                .push(self.fault("[seda.deposit] url commence par https:// : rien ne part en clair".into()));
        }
        if s.attempts == Some(0) {
            faults.push(self.fault("[seda.deposit] attempts vaut au moins 1".into()));
        }
        faults
    }

    fn fault(&self, message: String) -> ConfigFault {
        ConfigFault { file: self.file.clone(), line: 0, column: 0, message }
    }

    /// When to try again.
    pub fn policy(&self) -> Policy {
        let default = Policy::default();
        let seconds = |s: Option<u64>, or: Duration| s.map_or(or, Duration::from_secs);
        Policy {
            attempts: self.section.attempts.unwrap_or(default.attempts),
            first: seconds(self.section.retry_seconds, default.first),
            longest: default
                .longest
                .min(seconds(self.section.retry_seconds, default.longest).saturating_mul(150)),
            settle: seconds(self.section.settle_seconds, default.settle),
        }
    }

    /// Opens the target; nothing is sent.
    ///
    /// # Errors
    /// [`Error::Config`], and what its files have wrong.
    pub fn target(&self) -> Result<Box<dyn Target>> {
        let faults = self.faults();
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        let s = &self.section;
        let name = s.name.clone().unwrap_or_else(|| s.kind.clone());
        let text = |v: &Option<String>| v.clone().unwrap_or_default();
        Ok(match s.kind.as_str() {
            "folder" => {
                let path = self.base.join(text(&s.path));
                if !path.is_dir() {
                    return Err(Error::Usage(format!(
                        "« {} » n'est pas un dossier : créez-le",
                        path.display()
                    )));
                }
                Box::new(Folder::new(name, path))
            }
            "s3" => {
                let secret = |file: &Option<String>| -> Result<String> {
                    let bytes = self.secret(file)?;
                    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
                };
                let config = S3Config {
                    endpoint: text(&s.url),
                    region: s.region.clone().unwrap_or_else(|| "us-east-1".into()),
                    bucket: text(&s.bucket),
                    access_key: secret(&s.access_key)?,
                    secret_key: secret(&s.secret_key)?,
                    authority: s.authority.as_ref().map(|f| self.public(f)).transpose()?,
                };
                Box::new(S3::new(name, connect(&config)?, &text(&s.prefix)))
            }
            _ => {
                let mut identity = self.public(&text(&s.certificate))?;
                identity.push(b'\n');
                identity.extend(self.secret(&s.key)?);
                let config = VitamConfig {
                    base: text(&s.url),
                    tenant: s.tenant.unwrap_or_default(),
                    access_contract: text(&s.contract),
                    context: s.context.clone().unwrap_or_else(|| "DEFAULT_WORKFLOW".into()),
                    authority: self.public(&text(&s.authority))?,
                    identity,
                    trust_absence: s.trust_absence.unwrap_or(false),
                    timeout: Duration::from_secs(s.timeout_seconds.unwrap_or(300)),
                };
                Box::new(Vitam::new(name, config)?)
            }
        })
    }

    fn public(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.base.join(file);
        std::fs::read(&path).at(&path)
    }

    fn secret(&self, file: &Option<String>) -> Result<Vec<u8>> {
        let path = self.base.join(file.as_deref().unwrap_or_default());
        private(&path)?;
        std::fs::read(&path).at(&path)
    }
}

/// A secret that others may read is none.
///
/// # Errors
/// [`Error::Usage`] when the file's mode lets others read it.
pub(crate) fn private(path: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(path).at(path)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::Usage(format!(
                "« {} » est lisible par d'autres que son propriétaire : `chmod 600`, puis relancez",
                path.display()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        let section: Section = toml::from_str(text).unwrap();
        let settings = Settings { section, file: "c.toml".into(), base: PathBuf::new() };
        settings.faults().into_iter().map(|f| f.message).collect()
    }

    #[test]
    fn what_a_kind_lacks_is_told_by_its_key() {
        assert!(faults("kind = \"folder\"\npath = \"sas\"").is_empty());
        assert_eq!(faults("kind = \"ftp\"").len(), 1);
        let vitam = faults("kind = \"vitam\"\nurl = \"http://sae.invalid\"\ntenant = 1");
        assert_eq!(vitam.len(), 5, "{vitam:?}");
        assert!(vitam.iter().any(|f| f.contains("« key »")) && vitam.iter().any(|f| f.contains("https://")));
        assert!(faults("kind = \"folder\"\npath = \"sas\"\nattempts = 0")[0].contains("attempts"));
        // A secret has no place in the configuration.
        assert!(toml::from_str::<Section>("kind = \"s3\"\nsecret = \"abc\"").is_err());
    }
}
