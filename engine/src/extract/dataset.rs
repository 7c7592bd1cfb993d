//! A dataset is data: one TOML file says what is counted, along which dimensions, how protected.

use super::measure::{Figure, Measure, MeasureKind, Unit};
use super::metadata::Metadata;
use super::perturb::{self, Method};
use super::terms::{Terms, faults_of};
use crate::contract::{ColumnType, Contract, Personal, fault_at, toml_file};
use crate::disclosure::policy::{Insiders, Policy, Zeros};
use crate::error::{ConfigFault, Error, Result};
use chrono::{Datelike as _, NaiveDate};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetFile {
    dataset: Head,
    join: Option<Join>,
    #[serde(default)]
    dimension: Vec<Dimension>,
    measure: Option<Spanned<Measure>>,
    protection: Option<Protection>,
    microdata: Option<Terms>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    name: Spanned<String>,
    title: String,
    description: String,
    table: Spanned<String>,
    years: Years,
    population: Option<String>,
    /// `MM-DD`.
    reference: Option<Spanned<String>>,
    /// Rows left out: column → values (a total that the table holds beside its parts).
    #[serde(default)]
    exclude: BTreeMap<String, Vec<String>>,
    /// Rows kept: column → values.
    #[serde(default)]
    only: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Years {
    Latest,
    All,
}

/// A dated policy of protection, by masking.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protection {
    /// Name under which it is cited.
    policy: Option<String>,
    /// Day from which it holds.
    since: Option<String>,
    /// A cell of fewer persons is masked.
    threshold: Spanned<u32>,
    /// Every masked cell stays unknown by this much.
    #[serde(default = "width")]
    width: u32,
    /// Of a sum: a cell whose greatest contributor holds more than this share (%) is masked.
    dominance: Option<u32>,
    /// Of a sum: so is a cell whose second contributor can know the greatest within this many %.
    p_percent: Option<u32>,
    /// Masks, or figures that are changed.
    #[serde(default)]
    pub method: Method,
    /// Of rounding: every figure is a multiple of it.
    base: Option<u32>,
    /// Of noise: its bound.
    noise: Option<u32>,
    /// Sensitive columns that this policy allows as dimensions; each must be among `attributes`.
    #[serde(default)]
    sensitive: Vec<String>,
    /// Dimensions of which a group that falls whole into one code is protected.
    #[serde(default)]
    attributes: Vec<String>,
    /// Whether zeros may be masked.
    #[serde(default = "zeros")]
    zeros: Zeros,
    /// Who attacks with what he knows of himself.
    #[serde(default = "insiders")]
    insiders: Insiders,
    /// What to do when an earlier publication and this one say too much together.
    #[serde(default)]
    pub conflict: Conflict,
}

/// What to do when publications of a population say too much together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// Nothing leaves; a person chooses among what is proposed.
    #[default]
    Refuse,
    /// What was masked stays masked, and what a subtraction would tell is masked too.
    KeepMasks,
}

/// What is asked of sums when the policy does not say (INSEE, secret statistique sur les tableaux).
const DOMINANCE: u32 = 85;
const P_PERCENT: u32 = 10;

fn width() -> u32 {
    2
}

fn zeros() -> Zeros {
    Zeros::Published
}

fn insiders() -> Insiders {
    Insiders::Singletons
}

impl Protection {
    /// Multiple of all figures, when they are rounded.
    pub fn base(&self) -> Option<u32> {
        self.base.filter(|_| self.method == Method::Rounding)
    }

    /// Bound of the noise, when there is one.
    pub fn noise(&self) -> Option<u32> {
        self.noise.filter(|_| self.method == Method::CellKey)
    }

    /// The policy.
    pub fn policy(&self) -> Policy {
        let threshold = *self.threshold.get_ref();
        Policy {
            name: self.policy.clone().unwrap_or_else(|| format!("seuil-{threshold}")),
            since: self.since.clone().unwrap_or_default(),
            threshold,
            width: self.width,
            dominance: Some(self.dominance.unwrap_or(DOMINANCE)),
            p_percent: Some(self.p_percent.unwrap_or(P_PERCENT)),
            attributes: self.attributes.clone(),
            zeros: self.zeros,
            insiders: self.insiders,
        }
    }
}

/// Columns that tell the records of one school year apart: the year itself is in the path.
fn key(contract: &Contract) -> Vec<String> {
    let columns = contract.key.iter().filter(|k| Some(**k) != contract.partition_column());
    columns.filter_map(|k| contract.columns.get(*k)).map(|c| c.name.to_string()).collect()
}

/// Month and day of `MM-DD`; the 29th of February is not a day of every year.
fn reference(text: &str) -> Option<(u32, u32)> {
    let (month, day) = text.split_once('-')?;
    let date = NaiveDate::from_ymd_opt(2001, month.parse().ok()?, day.parse().ok()?)?;
    (text.len() == 5).then_some((date.month(), date.day()))
}

impl Dataset {
    /// Reads a dataset against the contracts of its tables.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn load(file: &str, text: &str, contracts: &[Contract]) -> Result<Self> {
        let raw: DatasetFile = toml_file(file, text)?;
        let measure = raw.measure.as_ref().map_or_else(Measure::rows, |m| m.get_ref().clone());
        let mut faults: Vec<ConfigFault> = Vec::new();
        let at = raw.dataset.name.span().start;
        let mut fault = |at: usize, message: String| faults.push(fault_at(file, text, at, message));
        let name = raw.dataset.name.get_ref();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            fault(at, "nom de jeu : lettres minuscules sans accent, chiffres et « - »".into());
        }
        let contract = |table: &str| contracts.iter().find(|c| c.name == table);
        let (table, table_at) = (raw.dataset.table.get_ref(), raw.dataset.table.span().start);
        let own = contract(table);
        match own {
            None => fault(table_at, format!("aucun contrat ne décrit la table « {table} »")),
            Some(c) if key(c).is_empty() => fault(
                table_at,
                format!(
                    "la table « {table} » n'a pas de clé : un enregistrement livré deux fois compterait deux fois ; donnez une clé à son contrat, ou comptez une autre table"
                ),
            ),
            Some(_) => {}
        }
        let other = raw.join.as_ref().and_then(|j| contract(&j.table));
        let mut need = |table: Option<&Contract>, column: &str| {
            if table.is_some_and(|c| c.column(column).is_none()) {
                fault(
                    at,
                    format!("colonne « {column} » absente de la table « {} »", table.map_or("", |c| &c.name)),
                );
            }
        };
        let brought = raw.join.as_ref().map(|j| j.columns.clone()).unwrap_or_default();
        for d in raw.dimension.iter().filter(|d| !brought.contains(&d.column)) {
            need(own, &d.column);
        }
        if let Some(join) = &raw.join {
            need(own, &join.left);
            need(other, &join.right);
            brought.iter().for_each(|c| need(other, c));
        }
        measure
            .column
            .iter()
            .chain(&measure.contributor)
            .chain(raw.dataset.exclude.keys())
            .chain(raw.dataset.only.keys())
            .for_each(|c| need(own, c));
        // A column that is brought comes from the other table, whatever its name is in this one.
        let tables_of = |column: &String| if brought.contains(column) { [other, None] } else { [own, None] };
        let figures = measure.figures(&raw.dimension).into_iter().map(|f| f.name);
        let published: Vec<&str> = raw.dimension.iter().map(|d| d.name.as_str()).chain(figures).collect();
        for (i, name) in published.iter().enumerate() {
            if published.iter().take(i).any(|n| n == name) || name.is_empty() {
                fault(at, format!("« {name} » nomme deux colonnes publiées, ou aucune"));
            }
        }
        for d in &raw.dimension {
            let spec =
                tables_of(&d.column).into_iter().flatten().find_map(|c| c.columns.get(c.column(&d.column)?));
            if let Some(spec) = spec {
                let allowed =
                    |p: &Protection| p.sensitive.contains(&d.column) && p.attributes.contains(&d.name);
                let named = raw.protection.as_ref().is_some_and(allowed);
                if spec.personal == Personal::Sensitive && !named && raw.microdata.is_none() {
                    fault(
                        at,
                        format!(
                            "« {} » est sensible : la politique doit la nommer (sensitive) et protéger sa dimension (attributes)",
                            d.column
                        ),
                    );
                }
                if spec.personal == Personal::Direct {
                    fault(
                        at,
                        format!("« {} » désigne une personne : elle ne peut pas être publiée", d.column),
                    );
                }
                use ColumnType as T;
                if !matches!(spec.kind, T::Text | T::Date | T::Boolean | T::Integer) {
                    fault(
                        at,
                        format!(
                            "« {} » n'est ni un texte, ni une date, ni un entier, ni une marque : elle ne peut pas être une dimension",
                            d.column
                        ),
                    );
                }
            }
        }
        for (i, d) in raw.dimension.iter().enumerate() {
            let before = i.checked_sub(1).and_then(|b| raw.dimension.get(b)).map(|b| &b.name);
            if d.coarser.is_some() && d.coarser.as_ref() != before {
                fault(at, format!("« {} » : coarser nomme la dimension écrite juste avant", d.name));
            }
        }
        if let Some(own) = own {
            let faults = measure.faults(own, &raw.dimension, raw.protection.as_ref());
            let at = raw.measure.as_ref().map_or(at, |m| m.span().start);
            faults.into_iter().for_each(|text| fault(at, text));
        }
        let unique =
            |c: &Contract, column: &str| c.key.len() == 1 && c.key.first() == c.column(column).as_ref();
        if let (Some(join), Some(other)) = (&raw.join, other)
            && !unique(other, &join.right)
        {
            fault(
                at,
                format!(
                    "« {} » n'est pas la clé de « {} » : la jointure compterait plusieurs fois",
                    join.right, join.table
                ),
            );
        }
        if raw.join.is_some() && other.is_none() {
            fault(at, "aucun contrat ne décrit la table jointe".into());
        }
        let reference = raw.dataset.reference.as_ref().and_then(|r| {
            let found = reference(r.get_ref());
            if found.is_none() {
                fault(r.span().start, "date de référence : mois et jour, comme « 10-15 »".into());
            }
            found
        });
        let personal = |d: &Dimension| {
            tables_of(&d.column)
                .into_iter()
                .flatten()
                .find_map(|c| c.columns.get(c.column(&d.column)?))
                .map(|s| s.personal)
        };
        let said = (raw.measure.is_some(), raw.protection.is_some());
        let alone = raw.dataset.years == Years::Latest && own.is_some_and(|c| key(c).len() == 1);
        faults_of(raw.microdata.as_ref(), &raw.dimension, said, alone, at, personal, &mut fault);
        for column in raw.dataset.exclude.keys().chain(raw.dataset.only.keys()) {
            let class = own.and_then(|c| c.columns.get(c.column(column)?)).map(|c| c.personal);
            if matches!(class, Some(Personal::Direct | Personal::Sensitive)) {
                fault(
                    at,
                    format!(
                        "« {column} » désigne une personne ou est sensible : un filtre dirait ce que chacun de ceux qui restent a de commun"
                    ),
                );
            }
        }
        if raw.protection.is_some() && raw.dataset.years == Years::All {
            fault(at, "un jeu qui compte des personnes compte une seule année : years = \"latest\" ; la même personne y serait plusieurs fois".into());
        }
        if raw.dimension.is_empty() {
            fault(at, "au moins une [[dimension]] est nécessaire".into());
        }
        if let Some(protection) = &raw.protection {
            if let Err(e) = protection.policy().validate() {
                fault(protection.threshold.span().start, e.to_string());
            }
            let place = protection.threshold.span().start;
            let told =
                perturb::faults(protection.method, &protection.policy(), protection.base, protection.noise);
            told.into_iter().for_each(|text| fault(place, text));
            let counts = measure.kind == MeasureKind::Count;
            if protection.method != Method::Suppression && !counts {
                fault(
                    place,
                    "l'arrondi et le bruit portent sur un nombre de personnes : prenez la mesure « count »"
                        .into(),
                );
            }
            if protection.method == Method::CellKey && measure.contributor.is_none() {
                fault(
                    place,
                    "le bruit se tire des personnes : nommez la colonne qui les désigne (contributor)".into(),
                );
            }
            for name in protection.attributes.iter().filter(|n| !published.contains(&n.as_str())) {
                fault(
                    protection.threshold.span().start,
                    format!("« {name} » n'est pas une dimension de ce jeu"),
                );
            }
        } else if raw.microdata.is_none()
            && [own, other]
                .into_iter()
                .flatten()
                .flat_map(|c| &c.columns)
                .any(|c| c.personal != Personal::None)
        {
            fault(at, "la table porte des données personnelles : [protection] est obligatoire".into());
        }
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        let own = own.ok_or_else(|| Error::Usage("table inconnue".into()))?;
        Ok(Dataset {
            name: raw.dataset.name.into_inner(),
            title: raw.dataset.title,
            description: raw.dataset.description,
            table: raw.dataset.table.into_inner(),
            latest_year_only: raw.dataset.years == Years::Latest,
            join: raw.join,
            dimensions: raw.dimension,
            exclude: raw.dataset.exclude,
            only: raw.dataset.only,
            scale: measure.scale(own),
            measure,
            microdata: raw.microdata,
            population: raw.dataset.population.unwrap_or_else(|| own.name.clone()),
            protection: raw.protection,
            secret: None,
            metadata: raw.metadata,
            key: key(own),
            snapshot: own.snapshot,
            reference,
        })
    }

    /// Day whose state a run of `date` counts: the last reference day that is past.
    pub fn counted_on(&self, date: NaiveDate) -> NaiveDate {
        let Some((month, day)) = self.reference else { return date };
        let of = |year: i32| NaiveDate::from_ymd_opt(year, month, day);
        let mut years = (0..2).filter_map(|back| of(date.year() - back));
        years.find(|d| *d <= date).unwrap_or(date)
    }

    /// Columns of each hierarchy, coarse before fine.
    pub fn chains(&self) -> Vec<Vec<usize>> {
        let mut chains: Vec<Vec<usize>> = Vec::new();
        for (i, d) in self.dimensions.iter().enumerate() {
            match chains.last_mut().filter(|_| d.coarser.is_some()) {
                Some(chain) => chain.push(i),
                None => chains.push(vec![i]),
            }
        }
        chains
    }

    /// Published columns of figures.
    pub fn figures(&self) -> Vec<Figure<'_>> {
        let mut figures = self.measure.figures(&self.dimensions);
        if self.protection.as_ref().is_some_and(|p| p.method == Method::CellKey) {
            figures.iter_mut().for_each(|f| f.unit = Unit::Noisy);
        }
        figures
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
    use super::*;

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
            Dataset::load("jeu.toml", &text, &[contract])
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
        let Err(Error::Config(faults)) = Dataset::load("jeu.toml", &text, &[contract]) else {
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
            Dataset::load("jeu.toml", DATASET, &[contract])
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
