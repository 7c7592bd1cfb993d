//! The register of the persons who sign, and with which keys.
//!
//! `signataires.toml` holds public keys only and travels with the exported lists:
//! ```toml
//! version = 1
//!
//! [[signatory]]
//! name = "Claire Martin"            # as it must be read on the papers
//! person = "claire-martin"          # the same for all the keys and roles of a person
//! role = "archives"                 # agent, producteur, archives, executant, temoin
//! public_key = "<64 hexadecimal digits>"
//! valid_from = "2025-09-01"
//! valid_to = "2028-08-31"
//! revoked_on = "2026-03-02"         # only when the key was lost or its holder left
//! ```
//! One row a role: somebody with two roles has two rows, with the same key or not.

use super::keys::PublicKey;
use super::refusal::Refusal;
use crate::contract::{fault_at, plain_name, toml_file};
use crate::domain::DateFormat;
use crate::error::{ConfigFault, Error, Result};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use toml::Spanned;

/// In which quality somebody acts on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Prepares the list in the producing service.
    Agent,
    /// Head of the producing service, or who signs for them.
    Producteur,
    /// Whoever is in charge of the scientific and technical control (code du patrimoine, R212-14).
    Archives,
    /// Carries out the elimination.
    Executant,
    /// Saw it carried out.
    Temoin,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 5] = [Role::Agent, Role::Producteur, Role::Archives, Role::Executant, Role::Temoin];

    /// As in files and in the ledger.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Agent => "agent",
            Role::Producteur => "producteur",
            Role::Archives => "archives",
            Role::Executant => "executant",
            Role::Temoin => "temoin",
        }
    }

    /// The reverse of [`Role::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Role::ALL.into_iter().find(|r| r.as_str() == text)
    }

    /// For people.
    pub fn french(self) -> &'static str {
        match self {
            Role::Agent => "agent du service producteur",
            Role::Producteur => "responsable du service producteur",
            Role::Archives => "responsable du contrôle scientifique et technique",
            Role::Executant => "exécutant",
            Role::Temoin => "témoin",
        }
    }
}

/// Who may sign what, when: one row of the register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatory {
    /// Name on the papers.
    pub name: String,
    /// Identifier of the person, whatever the key and the role.
    pub person: String,
    /// Quality in which the key signs.
    pub role: Role,
    /// Public half.
    pub public_key: PublicKey,
    /// First day on which it may sign.
    pub valid_from: NaiveDate,
    /// Last day.
    pub valid_to: NaiveDate,
    /// Day from which nothing that it signed is received any more.
    pub revoked_on: Option<NaiveDate>,
}

/// The register of the signatories.
#[derive(Debug, Clone, Default)]
pub struct Registry(Vec<Signatory>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegistryFile {
    version: Spanned<u32>,
    #[serde(default)]
    signatory: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: Spanned<String>,
    person: Spanned<String>,
    role: Role,
    public_key: Spanned<String>,
    valid_from: Spanned<String>,
    valid_to: Spanned<String>,
    revoked_on: Option<Spanned<String>>,
}

impl Registry {
    /// Reads `signataires.toml`.
    ///
    /// # Errors
    /// Every fault with its place; among them, a key that two persons would share.
    pub fn load(file: &str, text: &str) -> Result<Self> {
        let raw: RegistryFile = toml_file(file, text)?;
        let mut faults: Vec<ConfigFault> = Vec::new();
        let mut known: Vec<Signatory> = Vec::new();
        if *raw.version.get_ref() != 1 {
            let message = "version de registre inconnue : ce programme lit la version 1".into();
            faults.push(fault_at(file, text, raw.version.span().start, message));
        }
        for row in raw.signatory {
            let mut fault = |at: &Spanned<String>, message: &str| {
                faults.push(fault_at(file, text, at.span().start, message.into()));
            };
            let key = PublicKey::parse(row.public_key.get_ref());
            let mut day = |at: &Spanned<String>| {
                let day = DateFormat::Iso.parse(at.get_ref());
                if day.is_none() {
                    fault(at, "date aaaa-mm-jj attendue");
                }
                day
            };
            let (from, to) = (day(&row.valid_from), day(&row.valid_to));
            let revoked_on = row.revoked_on.as_ref().and_then(&mut day);
            if row.name.get_ref().trim().is_empty() {
                fault(&row.name, "le nom du signataire est obligatoire");
            }
            if !plain_name(row.person.get_ref()) {
                fault(
                    &row.person,
                    "identifiant de personne : lettres minuscules sans accent, chiffres, « _ » et « - »",
                );
            }
            if key.is_none() {
                fault(
                    &row.public_key,
                    "clé publique Ed25519 attendue : 64 chiffres hexadécimaux minuscules, tels que les donne la création de la clé",
                );
            }
            if from.zip(to).is_some_and(|(from, to)| to < from) {
                fault(&row.valid_to, "la clé finirait de valoir avant d'avoir commencé");
            }
            let (Some(public_key), Some(valid_from), Some(valid_to)) = (key, from, to) else { continue };
            let same_key = known.iter().find(|s| s.public_key == public_key);
            if same_key.is_some_and(|s| s.person != *row.person.get_ref()) {
                fault(
                    &row.public_key,
                    "cette clé est déjà celle d'une autre personne : une clé, une personne",
                );
            } else if same_key.is_some_and(|s| s.revoked_on != revoked_on) {
                fault(&row.public_key, "cette clé n'est pas révoquée au même jour dans tous ses rôles");
            }
            if known.iter().any(|s| {
                (s.public_key, s.role) == (public_key, row.role)
                    && s.valid_from <= valid_to
                    && valid_from <= s.valid_to
            }) {
                fault(&row.public_key, "cette clé a déjà ce rôle pendant cette période");
            }
            known.push(Signatory {
                name: row.name.into_inner(),
                person: row.person.into_inner(),
                role: row.role,
                public_key,
                valid_from,
                valid_to,
                revoked_on,
            });
        }
        if faults.is_empty() { Ok(Registry(known)) } else { Err(Error::Config(faults)) }
    }

    /// All rows, in the order of the file.
    pub fn signatories(&self) -> &[Signatory] {
        &self.0
    }

    /// The first of these roles in which a key may sign on a day.
    ///
    /// # Errors
    /// Why it may not, in the first of them.
    pub fn role_of(&self, key: &PublicKey, roles: &[Role], on: NaiveDate) -> Result<Role, Refusal> {
        let mut refused = None;
        for role in roles {
            match self.holder(key, *role, on, on) {
                Ok(_) => return Ok(*role),
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        Err(refused.unwrap_or_else(|| Refusal::new("ELIM_SIGN_ROLE", "aucun rôle ne convient à cet acte")))
    }

    /// Who holds a key that signs in a role on a day, for whoever receives the signature on
    /// `seen_on`. A revoked key is worth nothing from the day of its revocation on, whatever day
    /// it writes: a thief writes the day that suits.
    ///
    /// # Errors
    /// Why the key may not sign.
    pub fn holder(
        &self,
        key: &PublicKey,
        role: Role,
        signed_on: NaiveDate,
        seen_on: NaiveDate,
    ) -> Result<&Signatory, Refusal> {
        let french = |d: NaiveDate| d.format("%d/%m/%Y");
        let rows: Vec<&Signatory> = self.0.iter().filter(|s| s.public_key == *key).collect();
        let Some(first) = rows.first() else {
            return Err(Refusal::new(
                "ELIM_SIGN_UNKNOWN_KEY",
                "signature d'une clé inconnue du registre des signataires : inscrivez sa clé publique, ou faites signer une personne inscrite",
            ));
        };
        if let Some(on) = first.revoked_on.filter(|on| *on <= seen_on) {
            return Err(Refusal::new(
                "ELIM_SIGN_REVOKED",
                format!(
                    "la clé de {} est révoquée depuis le {} : faites signer avec une autre clé",
                    first.name,
                    french(on)
                ),
            ));
        }
        let in_role: Vec<&Signatory> = rows.iter().copied().filter(|s| s.role == role).collect();
        if in_role.is_empty() {
            return Err(Refusal::new(
                "ELIM_SIGN_ROLE",
                format!(
                    "{} ne signe pas comme {} : faites signer une personne qui a ce rôle",
                    first.name,
                    role.french()
                ),
            ));
        }
        in_role.into_iter().find(|s| (s.valid_from..=s.valid_to).contains(&signed_on)).ok_or_else(|| {
            Refusal::new(
                "ELIM_SIGN_PERIOD",
                format!(
                    "la clé de {} ne vaut pas au {} comme {} : vérifiez la date, ou renouvelez la clé dans le registre",
                    first.name,
                    french(signed_on),
                    role.french()
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::keys::PrivateKey;
    use super::*;

    fn day(text: &str) -> NaiveDate {
        DateFormat::Iso.parse(text).unwrap()
    }

    fn row(person: &str, seed: u8, role: &str, rest: &str) -> String {
        let key = PrivateKey::from_bytes(&[seed; 32]).public();
        format!(
            "[[signatory]]\nname = \"Nom\"\nperson = \"{person}\"\nrole = \"{role}\"\npublic_key = \"{key}\"\nvalid_from = \"2025-09-01\"\nvalid_to = \"2028-08-31\"\n{rest}\n"
        )
    }

    fn faults(text: &str) -> Vec<(usize, String)> {
        match Registry::load("signataires.toml", text) {
            Err(Error::Config(faults)) => faults.into_iter().map(|f| (f.line, f.message)).collect(),
            Err(e) => panic!("{e}"),
            Ok(_) => Vec::new(),
        }
    }

    #[test]
    fn a_right_register_is_read_with_several_roles_a_person() {
        let text = format!(
            "version = 1\n{}{}{}",
            row("a", 1, "agent", ""),
            row("a", 1, "executant", ""),
            row("b", 2, "archives", "revoked_on = \"2026-01-01\"")
        );
        let registry = Registry::load("s", &text).unwrap();
        let roles: Vec<Role> = registry.signatories().iter().map(|s| s.role).collect();
        assert_eq!(roles, [Role::Agent, Role::Executant, Role::Archives]);
        assert!(Role::ALL.iter().all(|r| Role::parse(r.as_str()) == Some(*r)));
    }

    #[test]
    fn each_fault_of_a_register_comes_with_its_line() {
        let one = row("a", 1, "agent", "");
        for (text, line, said) in [
            (format!("version = 2\n{one}"), 1, "version 1"),
            (format!("version = 1\n{}", one.replace("\"Nom\"", "\" \"")), 3, "nom"),
            (format!("version = 1\n{}", one.replace("\"a\"", "\"A. B\"")), 4, "minuscules"),
            (format!("version = 1\n{}", one.replace("\"agent\"", "\"chef\"")), 5, "« agent »"),
            (format!("version = 1\n{}", one.replace("public_key = \"", "public_key = \"0")), 6, "Ed25519"),
            (format!("version = 1\n{}", one.replace("2025-09-01", "2025-02-30")), 7, "aaaa-mm-jj"),
            (format!("version = 1\n{}", one.replace("2028-08-31", "2025-08-31")), 8, "avant"),
            (format!("version = 1\n{}", row("a", 1, "agent", "revoked_on = \"hier\"")), 9, "aaaa-mm-jj"),
            (format!("version = 1\n{}", row("a", 1, "agent", "level = 3")), 9, "« level »"),
            (format!("version = 1\n{one}{}", row("b", 1, "archives", "")), 14, "autre personne"),
            (format!("version = 1\n{one}{one}"), 14, "déjà ce rôle"),
            (
                format!("version = 1\n{one}{}", row("a", 1, "temoin", "revoked_on = \"2026-01-01\"")),
                14,
                "même jour",
            ),
        ] {
            let found = faults(&text);
            assert!(found.len() == 1 && found[0].0 == line && found[0].1.contains(said), "{said}: {found:?}");
        }
    }

    #[test]
    fn a_key_signs_only_in_its_role_in_its_period_and_before_its_revocation() {
        let text = format!("version = 1\n{}", row("a", 1, "archives", "revoked_on = \"2027-01-01\""));
        let registry = Registry::load("s", &text).unwrap();
        let key = PrivateKey::from_bytes(&[1; 32]).public();
        let other = PrivateKey::from_bytes(&[2; 32]).public();
        let unknown = Some("ELIM_SIGN_UNKNOWN_KEY");
        for (key, role, signed, seen, want) in [
            (key, Role::Archives, "2025-09-01", "2025-09-02", None),
            (key, Role::Archives, "2026-12-31", "2026-12-31", None),
            (other, Role::Archives, "2026-01-01", "2026-01-01", unknown),
            (key, Role::Producteur, "2026-01-01", "2026-01-01", Some("ELIM_SIGN_ROLE")),
            (key, Role::Archives, "2025-08-31", "2026-01-01", Some("ELIM_SIGN_PERIOD")),
            (key, Role::Archives, "2028-09-01", "2026-01-01", Some("ELIM_SIGN_PERIOD")),
            (key, Role::Archives, "2026-06-01", "2027-01-01", Some("ELIM_SIGN_REVOKED")),
        ] {
            let found = registry.holder(&key, role, day(signed), day(seen)).map_err(|r| r.code).err();
            assert_eq!(found, want, "{signed} {seen}");
        }
    }
}
