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
use papers::Service;
use refusal::Refusal;
use registry::{Registry, Role};
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
    /// Most records that one execution may eliminate.
    pub threshold: u64,
    /// Who signs, with which key, in which quality.
    pub registry: Registry,
}

impl Terms {
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
