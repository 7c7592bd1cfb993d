//! The elimination of what is due: list, signatures, visa of the archives, execution, attestation
//! (code du patrimoine, L212-2, L212-3, R212-14). Nothing goes without the visa of exactly that list.

pub mod acts;
mod execute;
pub mod exported;
#[cfg(test)]
pub(crate) mod fixture;
pub mod keys;
mod list;
pub mod operator;
pub mod order;
pub mod papers;
pub mod refusal;
pub mod registry;
pub mod second;
pub mod signature;
pub mod state;
pub mod visa;
mod workflow;

pub use execute::{Executed, Execution, done, read_list};
pub use list::{bordereau, due, propose};
pub use workflow::Desk;

use crate::error::Result;
use chrono::NaiveDate;
use keys::PrivateKey;
use papers::Service;
use refusal::Refusal;
use registry::{Registry, Role};
use signature::{Seal, seal};
use state::CoolingOff;

/// What an organisation says of its eliminations.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// The producing service.
    pub service: Service,
    /// The archives service whose visa is asked.
    pub archives: String,
    /// Days between the approval of an execution and its start.
    pub cooling_off: CoolingOff,
    /// They are counted on the machine's clock too, not by logical dates alone.
    pub cooling_off_on_clock: bool,
    /// Most records that one execution may eliminate.
    pub threshold: u64,
    /// Who signs, with which key, in which quality.
    pub registry: Registry,
}

impl Terms {
    /// Signs an act that somebody does under a name: a name that the register knows has a key there,
    /// and only its holder acts under it.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] without the key, or with another's.
    pub(crate) fn seal_act(
        &self,
        person: &str,
        roles: &[Role],
        key: Option<&PrivateKey>,
        statement: &serde_json::Value,
        on: NaiveDate,
    ) -> Result<Seal> {
        self.role_among(person, roles, on)?;
        let key = key.ok_or_else(|| {
            let message = format!("« {person} » a une clé au registre des signataires : donnez-la par --key, un nom ne suffit pas");
            Refusal::new("ELIM_KEY_MISSING", message)
        })?;
        let role = self.registry.role_of(&key.public(), roles, on)?;
        let seal = seal("act", statement, role, key, &self.registry, on)?;
        if seal.signer.person != person {
            let message = format!("cette clé n'est pas celle de « {person} » : chacun agit sous son nom");
            return Err(Refusal::new("ELIM_KEY_OTHER", message).into());
        }
        Ok(seal)
    }

    /// The first of these qualities in which a person is registered on a day.
    ///
    /// # Errors
    /// [`crate::error::Error::Refused`] when there is none.
    pub fn role_among(&self, person: &str, roles: &[Role], on: NaiveDate) -> Result<Role> {
        let valid =
            self.registry.signatories().iter().filter(|s| {
                s.valid_from <= on && on <= s.valid_to && s.revoked_on.is_none_or(|day| on < day)
            });
        let found = valid.filter(|s| s.person == person && roles.contains(&s.role)).map(|s| s.role).next();
        found.ok_or_else(|| {
            let wanted: Vec<&str> = roles.iter().map(|r| r.french()).collect();
            let message = format!(
                "« {person} » n'est pas inscrit au registre des signataires comme {} à cette date : complétez le registre",
                wanted.join(" ou ")
            );
            Refusal::new("ELIM_PERSON", message).into()
        })
    }
}
