//! What catalogues want to know of a dataset.

use serde::Deserialize;

/// `[metadata]` of a dataset.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Metadata {
    /// Who publishes.
    pub publisher: Option<String>,
    /// Address for questions: an e-mail or a page.
    pub contact: Option<String>,
    /// Themes of the portal.
    pub themes: Vec<String>,
    /// Keywords.
    pub keywords: Vec<String>,
    /// How often a version is expected.
    pub periodicity: Periodicity,
}

impl Metadata {
    /// Publisher and contact of the organisation, where the dataset names none.
    pub fn signed(&mut self, publisher: Option<&String>, contact: Option<&String>) {
        self.publisher = self.publisher.take().or_else(|| publisher.cloned());
        self.contact = self.contact.take().or_else(|| contact.cloned());
    }
}

/// How often a version is expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Periodicity {
    /// Each day.
    Daily,
    /// Each week.
    Weekly,
    /// Each month.
    Monthly,
    /// Each term.
    Quarterly,
    /// Each year.
    Annual,
    /// When there is something new.
    #[default]
    Irregular,
}

impl Periodicity {
    /// Code of the EU authority list of frequencies, that DCAT-AP asks for.
    pub fn authority(self) -> &'static str {
        match self {
            Periodicity::Daily => "DAILY",
            Periodicity::Weekly => "WEEKLY",
            Periodicity::Monthly => "MONTHLY",
            Periodicity::Quarterly => "QUARTERLY",
            Periodicity::Annual => "ANNUAL",
            Periodicity::Irregular => "IRREG",
        }
    }

    /// As data.gouv.fr writes it.
    pub fn datagouv(self) -> &'static str {
        match self {
            Periodicity::Daily => "daily",
            Periodicity::Weekly => "weekly",
            Periodicity::Monthly => "monthly",
            Periodicity::Quarterly => "quarterly",
            Periodicity::Annual => "annual",
            Periodicity::Irregular => "irregular",
        }
    }
}
