//! What a dataset counts or adds, and the columns that it publishes of it.
//!
//! Counts and sums add up, and are proven. A mean and a rate are computed from published figures only:
//! a reader could do it, so they say nothing more.

use super::dataset::Dimension;
use super::protection::Protection;
use crate::contract::{ColumnType, Contract, Personal};
use serde::Deserialize;

/// What is counted.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Published name.
    pub name: String,
    /// Title.
    pub title: String,
    /// How it is made.
    pub kind: MeasureKind,
    /// The column that is summed; an amount is rounded to the unit, person by person.
    pub column: Option<String>,
    /// The column that tells who contributes: the policy counts them.
    pub contributor: Option<String>,
    /// The column that tells how many persons each row is of, where none is named: they may be the same from a
    /// row to another, so a cell is of as many as its greatest row.
    pub contributors: Option<String>,
    /// The dimension in whose total a rate is a share.
    pub dimension: Option<String>,
    /// The column of the number of persons, beside a sum of theirs, a mean or a rate.
    pub persons: Option<Named>,
    /// The column of the sum, beside a mean.
    pub sum: Option<Named>,
}

/// A published column.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Name.
    pub name: String,
    /// Title.
    pub title: String,
}

/// How a measure is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MeasureKind {
    /// Number of records, or of contributors.
    Count,
    /// Sum of a column.
    Sum,
    /// Sum over the number of contributors.
    Mean,
    /// Share of a cell in the total of a dimension.
    Rate,
}

/// What the figures of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Persons, records, or a sum that nobody makes: adds up.
    Count,
    /// Persons, each cell with its noise: adds up to nothing.
    Noisy,
    /// A sum that persons make: adds up, and is protected by what each contributes.
    Amount,
    /// An amount over persons.
    Mean,
    /// Persons over those of the total of this dimension, in %.
    Share(usize),
}

impl Unit {
    /// Whether figures add up over dimensions.
    pub fn additive(self) -> bool {
        matches!(self, Unit::Count | Unit::Amount)
    }

    /// Whether they are whole numbers.
    pub fn whole(self) -> bool {
        matches!(self, Unit::Count | Unit::Amount | Unit::Noisy)
    }
}

/// A published column of figures.
#[derive(Debug, Clone, Copy)]
pub struct Figure<'a> {
    /// Column.
    pub name: &'a str,
    /// Title.
    pub title: &'a str,
    /// What it holds.
    pub unit: Unit,
}

impl Figure<'_> {
    /// Column that says whether a figure is published.
    pub fn status(&self) -> String {
        format!("{}_statut", self.name)
    }
}

impl Measure {
    /// Of microdata: how many rows are alike.
    pub(super) fn rows() -> Self {
        Measure {
            name: "lignes".into(),
            title: "Lignes".into(),
            kind: MeasureKind::Count,
            column: None,
            contributor: None,
            contributors: None,
            dimension: None,
            persons: None,
            sum: None,
        }
    }

    /// Whether persons make the sum.
    pub fn amounts(&self) -> bool {
        let named = self.contributor.is_some() || self.contributors.is_some();
        matches!(self.kind, MeasureKind::Sum | MeasureKind::Mean) && named
    }

    /// Whether their number leaves beside what they make.
    pub fn counts_persons(&self) -> bool {
        self.contributors.is_none()
    }

    /// Columns, those that add up first: persons, then amounts, then what is computed of both.
    pub fn figures(&self, dimensions: &[Dimension]) -> Vec<Figure<'_>> {
        let own = |unit| Figure { name: &self.name, title: &self.title, unit };
        let share = dimensions.iter().position(|d| Some(&d.name) == self.dimension.as_ref());
        let last = match self.kind {
            MeasureKind::Sum if self.amounts() => own(Unit::Amount),
            MeasureKind::Count | MeasureKind::Sum => own(Unit::Count),
            MeasureKind::Mean => own(Unit::Mean),
            MeasureKind::Rate => own(Unit::Share(share.unwrap_or(usize::MAX))),
        };
        let beside = [(&self.persons, Unit::Count), (&self.sum, Unit::Amount)].into_iter();
        let beside = beside.filter_map(|(named, unit)| Some((named.as_ref()?, unit)));
        beside.map(|(n, unit)| Figure { name: &n.name, title: &n.title, unit }).chain([last]).collect()
    }

    /// Faults against the contract of the table counted.
    pub(super) fn faults(
        &self,
        own: &Contract,
        dimensions: &[Dimension],
        protection: Option<&Protection>,
    ) -> Vec<String> {
        use MeasureKind as K;
        let mut found = Vec::new();
        let mut fault = |text: String| found.push(text);
        let spec = |name: &String| own.columns.get(own.column(name)?);
        let sums = matches!(self.kind, K::Sum | K::Mean);
        if sums != self.column.is_some() {
            fault(
                "« sum » et « mean » somment leur colonne (column) ; « count » et « rate » n'en ont pas"
                    .into(),
            );
        }
        let personal = |c: &String| spec(c).is_some_and(|s| s.personal != Personal::None);
        if self.contributors.is_some() && (self.kind != K::Sum || self.contributor.is_some()) {
            fault("contributors va avec « sum », et sans contributor".into());
        }
        if let Some(column) = &self.contributors
            && spec(column).is_some_and(|s| !s.counts_persons)
        {
            fault(format!(
                "« {column} » ne dit pas de combien de personnes est la ligne (counts_persons, dans son contrat)"
            ));
        }
        if sums
            && self.contributor.is_none()
            && self.contributors.is_none()
            && (self.kind == K::Mean || protection.is_some() || self.column.as_ref().is_some_and(personal))
        {
            fault("une somme ne dit pas combien de personnes la font : nommez la colonne qui les désigne (contributor) ou celle de leur nombre (contributors), ou prenez la mesure « count »".into());
        }
        if (self.contributor.is_some() || self.contributors.is_some()) && protection.is_none() {
            fault("contributor et contributors disent des personnes : [protection] est obligatoire".into());
        }
        let beside = sums && self.contributor.is_some() || self.kind == K::Rate;
        if beside != self.persons.is_some() {
            fault("une somme de personnes, une moyenne et un taux se publient avec leur effectif (persons), les autres mesures sans".into());
        }
        if (self.kind == K::Mean) != self.sum.is_some() {
            fault("une moyenne se publie avec sa somme (sum), les autres mesures sans".into());
        }
        if (self.kind == K::Rate) != self.dimension.is_some() {
            fault("un taux est la part d'une modalité dans le total d'une dimension (dimension), les autres mesures n'en ont pas".into());
        }
        if let Some(name) = &self.dimension {
            if !dimensions.iter().any(|d| d.name == *name) {
                fault(format!("« {name} » n'est pas une dimension de ce jeu"));
            }
            if protection.is_some_and(|p| !p.policy().attributes.contains(name)) {
                fault(format!(
                    "un taux de 0 % ou de 100 % dit la modalité de chacun : la politique protège « {name} » (attributes)"
                ));
            }
        }
        if let Some(column) = &self.column {
            let summed = match spec(column).map(|s| &s.kind) {
                Some(ColumnType::Decimal { .. }) => self.amounts(),
                kind => kind.is_none_or(|k| *k == ColumnType::Integer),
            };
            if !summed {
                fault(format!("« {column} » n'est pas un entier : elle ne peut pas être sommée"));
            }
        }
        found
    }

    /// Decimals of the column that is summed.
    pub(super) fn scale(&self, own: &Contract) -> u32 {
        let spec = self.column.as_ref().and_then(|c| own.columns.get(own.column(c)?));
        match spec.map(|s| &s.kind) {
            Some(ColumnType::Decimal { scale, .. }) => u32::try_from(*scale).unwrap_or(0),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::dataset::Dataset;
    use super::super::protection::Policies;
    use crate::contract::Contract;
    use crate::error::{Error, Result};

    const CONTRACT: &str = r#"
[table]
name = "audience"
title = "Audience"
description = "Audience"
source = "essai"
record_class = "essai"
key = ["uai", "jour"]
school_year_from = "jour"

[input]
format = "csv"

[[column]]
name = "uai"
type = "text"
personal = "none"

[[column]]
name = "jour"
type = "date"
personal = "none"

[[column]]
name = "visites"
type = "integer"
personal = "none"

[[column]]
name = "utilisateurs"
type = "integer"
personal = "none"
counts_persons = true
"#;

    const DATASET: &str = r#"[dataset]
name = "audience"
title = "Audience"
description = "Audience"
table = "audience"
years = "all"
closed = "jour"

[[dimension]]
name = "uai"
column = "uai"
title = "UAI"

[[dimension]]
name = "jour"
column = "jour"
title = "Jour"

[measure]
name = "visites"
title = "Visites"
kind = "sum"
column = "visites"
contributors = "utilisateurs"

[protection]
threshold = 5
insiders = "none"
"#;

    fn load(contract: &str, dataset: &str) -> Result<Dataset> {
        Dataset::load("jeu.toml", dataset, &[Contract::parse("essai.toml", contract)?], &Policies::default())
    }

    fn faults(found: Result<Dataset>) -> Vec<(usize, String)> {
        let Err(Error::Config(faults)) = found else { panic!("accepted") };
        faults.into_iter().map(|f| (f.line, f.message)).collect()
    }

    #[test]
    fn a_table_that_says_of_how_many_persons_its_rows_are_is_protected() {
        assert!(load(CONTRACT, DATASET).is_ok());
        let plain = DATASET.replace("contributors = \"utilisateurs\"\n", "");
        let (open, _) = plain.split_once("\n[protection]").unwrap();
        let found = faults(load(CONTRACT, open));
        assert!(
            matches!(found.as_slice(), [(2, text)] if text.contains("« utilisateurs » dit de combien")),
            "{found:?}"
        );
        assert!(load(&CONTRACT.replace("counts_persons = true\n", ""), open).is_ok());
    }

    #[test]
    fn contributors_are_a_number_of_persons_without_insiders_of_periods_that_are_over() {
        for (old, new, line, want) in [
            (
                "contributors = \"utilisateurs\"",
                "contributors = \"visites\"",
                19,
                "« visites » ne dit pas de combien",
            ),
            ("insiders = \"none\"", "insiders = \"pairs\"", 26, "insiders = \"none\""),
            ("insiders = \"none\"\n", "", 26, "insiders = \"none\""),
            ("closed = \"jour\"\n", "", 18, "(closed)"),
        ] {
            let found = faults(load(CONTRACT, &DATASET.replace(old, new)));
            assert!(
                matches!(found.as_slice(), [(at, text)] if *at == line && text.contains(want)),
                "{want}: {found:?}"
            );
        }
        let latest = DATASET.replace("closed = \"jour\"\n", "").replace("\"all\"", "\"latest\"");
        assert!(load(CONTRACT, &latest).is_ok());
    }

    #[test]
    fn only_a_whole_number_says_how_many_persons() {
        let text =
            CONTRACT.replace("type = \"text\"\npersonal", "type = \"text\"\ncounts_persons = true\npersonal");
        let Err(Error::Config(found)) = Contract::parse("essai.toml", &text) else { panic!("accepted") };
        assert_eq!((found.len(), found[0].line), (1, 17), "{found:?}");
    }
}
