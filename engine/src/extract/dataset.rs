//! A dataset is data: one TOML file says what is counted, along which dimensions, how protected.

use super::measure::{Figure, Measure, Unit};
use super::metadata::Metadata;
use super::perturb::Method;
use super::protection::Protection;
use super::terms::Terms;
use crate::error::{Error, Result};
use chrono::{Datelike as _, NaiveDate};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A dataset to publish.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Name: folder and identifier.
    pub name: String,
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// Table counted.
    pub table: String,
    /// Only the latest school year, or all.
    pub latest_year_only: bool,
    /// Columns brought from another table.
    pub join: Option<Join>,
    /// Dimensions read in a column, in order.
    pub dimensions: Vec<Dimension>,
    /// Rows left out: column → values.
    pub exclude: BTreeMap<String, Vec<String>>,
    /// Rows kept: column → values.
    pub only: BTreeMap<String, Vec<String>>,
    /// What is counted.
    pub measure: Measure,
    /// Decimals of the column that is summed.
    pub scale: u32,
    /// How persons are protected; none where nobody is counted.
    pub protection: Option<Protection>,
    /// Rows of persons leave, and not their numbers.
    pub microdata: Option<Terms>,
    /// What catalogues want to know.
    pub metadata: Metadata,
    /// Key from which changed figures are drawn: kept by who runs the engine, never rotated within a series.
    pub secret: Option<[u8; 32]>,
    /// Who is counted: publications of one population are audited together.
    pub population: String,
    /// Columns that identify a record of the table: a later delivery of the same one replaces it.
    pub key: Vec<String>,
    /// Whether a delivery replaces the ones before it in its school year.
    pub snapshot: bool,
    /// Month and day of the year at which it is counted; at the date of the run when none.
    pub reference: Option<(u32, u32)>,
    /// Crossings that are published, as levels of each hierarchy; all when none.
    pub margins: Option<BTreeSet<Vec<u8>>>,
    /// Dimension of which only the periods that are over are published.
    pub closed: Option<usize>,
    /// Columns of the table that identify persons.
    pub raw_keys: Vec<String>,
}

/// Columns of another table, found by an equality.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Join {
    /// Other table.
    pub table: String,
    /// Column of the table counted.
    pub left: String,
    /// Column of the other table.
    pub right: String,
    /// Columns brought.
    pub columns: Vec<String>,
}

/// A dimension.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dimension {
    /// Published name.
    pub name: String,
    /// Column.
    pub column: String,
    /// First characters that are the code (3 of a UAI: its département; 7 of a day: its month).
    pub prefix: Option<usize>,
    /// Title.
    pub title: String,
    /// Coarser dimension of the same hierarchy.
    pub coarser: Option<String>,
    /// In microdata: first characters kept at each coarser level.
    #[serde(default)]
    pub levels: Vec<usize>,
    /// In microdata: nobody should learn it.
    #[serde(default)]
    pub secret: bool,
    /// Of a secret: its values have an order.
    #[serde(default)]
    pub ordered: bool,
}

impl Dataset {
    /// Day whose state a run of `date` counts: the last reference day that is past.
    pub fn counted_on(&self, date: NaiveDate) -> NaiveDate {
        let Some((month, day)) = self.reference else { return date };
        let of = |year: i32| NaiveDate::from_ymd_opt(year, month, day);
        let mut years = (0..2).filter_map(|back| of(date.year() - back));
        years.find(|d| *d <= date).unwrap_or(date)
    }

    /// Columns of each hierarchy, coarse before fine.
    pub fn chains(&self) -> Vec<Vec<usize>> {
        super::load::chains(&self.dimensions)
    }

    /// The dataset under the text of its policy that is in force on a day.
    ///
    /// # Errors
    /// [`Error::Refused`] `POLICY_NOT_IN_FORCE` when there is none yet.
    pub fn dated(&self, date: NaiveDate) -> Result<Self> {
        let Some(protection) = &self.protection else { return Ok(self.clone()) };
        let Some(protection) = protection.on(date) else {
            return Err(Error::Refused {
                code: "POLICY_NOT_IN_FORCE",
                message: format!(
                    "jeu {} : sa politique « {} » n'est pas encore en vigueur le {date}",
                    self.name,
                    protection.policy().name
                ),
            });
        };
        Ok(Dataset { protection: Some(protection), ..self.clone() })
    }

    /// Published columns of figures.
    pub fn figures(&self) -> Vec<Figure<'_>> {
        let mut figures = self.measure.figures(&self.dimensions);
        if self.protection.as_ref().is_some_and(|p| p.method == Method::CellKey) {
            figures.iter_mut().for_each(|f| f.unit = Unit::Noisy);
        }
        figures
    }

    /// `table.column` that is summed.
    pub fn summed(&self) -> Option<String> {
        self.measure.column.as_ref().map(|c| format!("{}.{c}", self.table))
    }

    /// Whether its figures are changed by what is drawn with a key.
    pub fn needs_key(&self) -> bool {
        self.protection.as_ref().is_some_and(|p| p.method != Method::Suppression)
    }

    /// Names of all dimensions, in published order.
    pub fn dimension_names(&self) -> Vec<&str> {
        self.dimensions.iter().map(|d| d.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::protection::Policies;
    use super::*;
    use crate::contract::Contract;

    const CONTRACT: &str = r#"
[table]
name = "essai"
title = "Essai"
description = "Essai"
source = "essai"
record_class = "essai"
key = ["annee_scolaire", "code"]
school_year_from = "annee_scolaire"

[input]
format = "csv"

[[column]]
name = "annee_scolaire"
type = "annee_scolaire"
personal = "none"

[[column]]
name = "code"
type = "text"
personal = "direct"
person = { who = "eleve", space = "essai" }

[[column]]
name = "uai"
type = "text"
personal = "none"

[[column]]
name = "niveau"
type = "text"
personal = "none"
"#;

    const DATASET: &str = r#"[dataset]
name = "essai"
title = "Essai"
description = "Essai"
table = "essai"
years = "latest"

[[dimension]]
name = "uai"
column = "uai"
title = "UAI"

[[dimension]]
name = "niveau"
column = "niveau"
title = "Niveau"

[measure]
name = "eleves"
title = "Nombre d'élèves"
kind = "count"

[protection]
threshold = 5
"#;

    #[test]
    fn a_reference_date_is_the_last_one_past_and_a_day_of_every_year() {
        let load = |day: &str| {
            let contract = Contract::parse("essai.toml", CONTRACT).unwrap();
            let text = DATASET.replace("years =", &format!("reference = \"{day}\"\nyears ="));
            Dataset::load("jeu.toml", &text, &[contract], &Policies::default())
        };
        let date = |s: &str| s.parse::<NaiveDate>().unwrap();
        let dataset = load("10-15").unwrap();
        for (run, counted) in
            [("2026-01-12", "2025-10-15"), ("2026-10-15", "2026-10-15"), ("2026-10-14", "2025-10-15")]
        {
            assert_eq!(dataset.counted_on(date(run)), date(counted), "{run}");
        }
        for wrong in ["02-29", "13-01", "1-1", "10/15", ""] {
            let Err(Error::Config(faults)) = load(wrong) else { panic!("{wrong} accepted") };
            assert_eq!((faults.len(), faults[0].line, faults[0].column), (1, 6, 13), "{wrong}");
        }
    }

    #[test]
    fn a_sum_is_not_protected_by_a_threshold_on_persons() {
        let contract = CONTRACT.replace("name = \"niveau\"\ntype", "name = \"heures\"\ntype = \"integer\"\npersonal = \"none\"\n\n[[column]]\nname = \"niveau\"\ntype");
        let contract = Contract::parse("essai.toml", &contract).unwrap();
        let text = DATASET.replace("kind = \"count\"", "kind = \"sum\"\ncolumn = \"heures\"");
        let Err(Error::Config(faults)) = Dataset::load("jeu.toml", &text, &[contract], &Policies::default())
        else {
            panic!("accepted")
        };
        let found: Vec<(usize, bool)> =
            faults.iter().map(|f| (f.line, f.message.contains("une somme ne dit pas"))).collect();
        assert_eq!(found, [(18, true)]);
    }

    #[test]
    fn a_table_whose_records_cannot_be_told_apart_is_not_counted() {
        let load = |key: &str| {
            let text = CONTRACT.replace(r#"["annee_scolaire", "code"]"#, key);
            let contract = Contract::parse("essai.toml", &text).unwrap();
            Dataset::load("jeu.toml", DATASET, &[contract], &Policies::default())
        };
        for named in [r#"["code"]"#, r#"["annee_scolaire", "code"]"#] {
            assert_eq!(load(named).unwrap().key, ["code"], "{named}");
        }
        for none in ["[]", r#"["annee_scolaire"]"#] {
            let Err(Error::Config(faults)) = load(none) else { panic!("{none} accepted") };
            let places: Vec<(usize, usize)> = faults.iter().map(|f| (f.line, f.column)).collect();
            assert_eq!(places, [(5, 9)], "{none}");
            assert!(faults[0].message.contains("n'a pas de clé"), "{none}");
        }
    }
}
