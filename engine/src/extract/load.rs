//! Reads a dataset's file against the contracts of its tables: every fault with its place.

use super::dataset::{Dataset, Dimension, Join};
use super::levels;
use super::measure::{Measure, MeasureKind};
use super::metadata::Metadata;
use super::perturb::Method;
use super::protection::{Policies, Written};
use super::terms::{Terms, faults_of};
use crate::contract::{ColumnSpec, ColumnType, Contract, Personal, fault_at, toml_file};
use crate::disclosure::policy::Insiders;
use crate::error::{ConfigFault, Error, Result};
use chrono::{Datelike as _, NaiveDate};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// The school year, which every table is kept by.
pub(super) const YEAR: &str = "annee_scolaire";

/// Dimensions of a dataset at most: every crossing of them is a table to protect.
const DIMENSIONS: usize = 8;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DatasetFile {
    dataset: Head,
    join: Option<Spanned<Join>>,
    #[serde(default)]
    dimension: Vec<Spanned<Dimension>>,
    measure: Option<Spanned<Measure>>,
    protection: Option<Spanned<Written>>,
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
    /// Crossings to publish, each by the finest dimensions that it details; all when none.
    margins: Option<Spanned<Vec<Vec<String>>>>,
    /// Dimension of time, of which a period leaves once it is over.
    closed: Option<Spanned<String>>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Years {
    Latest,
    All,
}

/// Columns that tell the records of one school year apart: the year itself is in the path.
fn key(contract: &Contract) -> Vec<&ColumnSpec> {
    let columns = contract.key.iter().filter(|k| Some(**k) != contract.partition_column());
    columns.filter_map(|k| contract.columns.get(*k)).collect()
}

/// Month and day of `MM-DD`; the 29th of February is not a day of every year.
fn reference(text: &str) -> Option<(u32, u32)> {
    let (month, day) = text.split_once('-')?;
    let date = NaiveDate::from_ymd_opt(2001, month.parse().ok()?, day.parse().ok()?)?;
    (text.len() == 5).then_some((date.month(), date.day()))
}

/// A name that is a column in any file: no spreadsheet takes it for a formula, no reader for a status.
fn is_name(name: &str) -> bool {
    let mut letters = name.bytes();
    letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.len() <= 60
}

/// Identifies one person, by itself or through the column that it refers to.
fn identifies(column: &ColumnSpec) -> bool {
    column.person.is_some() || (column.personal == Personal::Direct && column.references.is_some())
}

/// The tables of a dataset: the one that is counted, and the one that brings columns.
struct Tables<'a> {
    own: Option<&'a Contract>,
    other: Option<&'a Contract>,
    brought: Vec<String>,
}

impl Tables<'_> {
    /// A column that is brought comes from the other table, whatever its name is in this one.
    fn spec(&self, column: &str) -> Option<&ColumnSpec> {
        let table = if self.brought.iter().any(|b| b == column) { self.other } else { self.own }?;
        table.columns.get(table.column(column)?)
    }
}

impl Dataset {
    /// Reads a dataset against the contracts of its tables and the policies that it may cite.
    ///
    /// # Errors
    /// Every fault with its place.
    pub fn load(file: &str, text: &str, contracts: &[Contract], policies: &Policies) -> Result<Self> {
        let raw: DatasetFile = toml_file(file, text)?;
        let mut faults: Vec<ConfigFault> = Vec::new();
        let mut fault = |at: usize, message: String| faults.push(fault_at(file, text, at, message));
        let at = raw.dataset.name.span().start;
        let measure = raw.measure.as_ref().map_or_else(Measure::rows, |m| m.get_ref().clone());
        let measure_at = raw.measure.as_ref().map_or(at, |m| m.span().start);
        let protected = raw.protection.is_some();
        let protection_at = raw.protection.as_ref().map_or(at, |p| p.span().start);
        let protection =
            raw.protection.and_then(|p| p.into_inner().resolved(policies, protection_at, &mut fault));
        let places: Vec<usize> = raw.dimension.iter().map(|d| d.span().start).collect();
        let dimensions: Vec<Dimension> = raw.dimension.into_iter().map(Spanned::into_inner).collect();
        let dimension = || dimensions.iter().zip(places.iter().copied());
        let join_at = raw.join.as_ref().map_or(at, |j| j.span().start);
        let join = raw.join.map(Spanned::into_inner);

        let name = raw.dataset.name.get_ref();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        {
            fault(at, "nom de jeu : lettres minuscules sans accent, chiffres et « - »".into());
        }
        let contract = |table: &str| contracts.iter().find(|c| c.name == table);
        let (table, table_at) = (raw.dataset.table.get_ref(), raw.dataset.table.span().start);
        let tables = Tables {
            own: contract(table),
            other: join.as_ref().and_then(|j| contract(&j.table)),
            brought: join.as_ref().map(|j| j.columns.clone()).unwrap_or_default(),
        };
        match tables.own {
            None => fault(table_at, format!("aucun contrat ne décrit la table « {table} »")),
            Some(c) if key(c).is_empty() => fault(
                table_at,
                format!(
                    "la table « {table} » n'a pas de clé : un enregistrement livré deux fois compterait deux fois ; donnez une clé à son contrat, ou comptez une autre table"
                ),
            ),
            Some(_) => {}
        }
        // Columns that are not there.
        let mut need = |table: Option<&Contract>, column: &str, at: usize| {
            let year = column == YEAR && table.is_some_and(|c| tables.own.is_some_and(|o| o.name == c.name));
            if let Some(c) = table.filter(|c| !year && c.column(column).is_none()) {
                fault(at, format!("colonne « {column} » absente de la table « {} »", c.name));
            }
        };
        for (d, at) in dimension().filter(|(d, _)| !tables.brought.contains(&d.column)) {
            need(tables.own, &d.column, at);
        }
        if let Some(join) = &join {
            need(tables.own, &join.left, join_at);
            need(tables.other, &join.right, join_at);
            tables.brought.iter().for_each(|c| need(tables.other, c, join_at));
        }
        let measured = measure.column.iter().chain(&measure.contributor).chain(&measure.contributors);
        measured.for_each(|c| need(tables.own, c, measure_at));
        let filters = || raw.dataset.exclude.keys().chain(raw.dataset.only.keys());
        filters().for_each(|c| need(tables.own, c, at));
        // Names of what is published.
        let mut taken: Vec<String> = Vec::new();
        let mut named = |name: &str, status: bool, at: usize, fault: &mut dyn FnMut(usize, String)| {
            let own = [Some(name.to_owned()), status.then(|| format!("{name}_statut"))];
            for own in own.into_iter().flatten() {
                if taken.contains(&own) {
                    fault(at, format!("« {own} » nomme deux colonnes publiées"));
                }
                taken.push(own);
            }
            if !is_name(name) {
                fault(
                    at,
                    format!(
                        "« {name} » : une colonne se nomme par une lettre, puis lettres sans accent, chiffres et « _ »"
                    ),
                );
            }
        };
        for (d, at) in dimension() {
            named(&d.name, false, at, &mut fault);
        }
        for figure in measure.figures(&dimensions) {
            named(figure.name, raw.microdata.is_none(), measure_at, &mut fault);
        }
        if !(1..=DIMENSIONS).contains(&dimensions.len()) {
            fault(
                at,
                format!("un jeu a de 1 à {DIMENSIONS} [[dimension]], celui-ci en a {}", dimensions.len()),
            );
        }
        for (i, (d, at)) in dimension().enumerate() {
            let sensitive = protection
                .as_ref()
                .is_some_and(|p| p.sensitive.contains(&d.column) && p.policy().attributes.contains(&d.name));
            let allowed = sensitive || raw.microdata.is_some();
            tables.spec(&d.column).into_iter().for_each(|s| dimension_faults(d, s, allowed, at, &mut fault));
            if d.column == YEAR && tables.brought.contains(&d.column) {
                fault(
                    at,
                    "l'année scolaire est celle de la table comptée, et non de celle qui est jointe".into(),
                );
            }
            let same = |o: &Dimension| (&o.column, o.prefix) == (&d.column, d.prefix);
            if dimensions.iter().take(i).any(same) && raw.microdata.is_none() {
                fault(at, format!("« {} » et une autre dimension sont la même colonne", d.name));
            }
            if d.prefix == Some(0) {
                fault(at, format!("« {} » : prefix vaut au moins 1", d.name));
            }
            let before = i.checked_sub(1).and_then(|b| dimensions.get(b)).map(|b| &b.name);
            if d.coarser.is_some() && d.coarser.as_ref() != before {
                fault(at, format!("« {} » : coarser nomme la dimension écrite juste avant", d.name));
            }
        }
        if let Some(own) = tables.own {
            let told = measure.faults(own, &dimensions, protection.as_ref());
            told.into_iter().for_each(|text| fault(measure_at, text));
            let persons = matches!(measure.kind, MeasureKind::Count | MeasureKind::Rate);
            let alone = matches!(key(own).as_slice(), [] | [_]) && key(own).iter().all(|one| identifies(one));
            if protected && persons && measure.contributor.is_none() && !alone {
                fault(
                    measure_at,
                    "un enregistrement n'est pas une personne : nommez la colonne qui les désigne (contributor), ou comptez une table dont la clé est la personne seule (person, dans son contrat)".into(),
                );
            }
        }
        if let Some(spec) =
            measure.contributor.as_ref().and_then(|c| tables.spec(c)).filter(|s| !identifies(s))
        {
            fault(
                measure_at,
                format!(
                    "« {} » ne désigne pas une personne (person, dans son contrat) : la règle compterait autre chose",
                    spec.name
                ),
            );
        }
        if let (Some(join), Some(other)) = (&join, tables.other) {
            let unique = other.key.len() == 1 && other.key.first() == other.column(&join.right).as_ref();
            if !unique {
                fault(
                    join_at,
                    format!(
                        "« {} » n'est pas la clé de « {} » : la jointure compterait plusieurs fois",
                        join.right, join.table
                    ),
                );
            }
        } else if join.is_some() {
            fault(join_at, "aucun contrat ne décrit la table jointe".into());
        }
        let day = raw.dataset.reference.as_ref().and_then(|r| {
            let found = reference(r.get_ref());
            if found.is_none() {
                fault(r.span().start, "date de référence : mois et jour, comme « 10-15 »".into());
            }
            found
        });
        let said = (raw.measure.is_some(), protected);
        let alone = raw.dataset.years == Years::Latest && tables.own.is_some_and(|c| key(c).len() == 1);
        let personal = |d: &Dimension| tables.spec(&d.column).map(|s| s.personal);
        faults_of(raw.microdata.as_ref(), &dimensions, said, alone, at, personal, &mut fault);
        for column in filters() {
            let class = tables.own.and_then(|c| c.columns.get(c.column(column)?)).map(|c| c.personal);
            if matches!(class, Some(Personal::Direct | Personal::Sensitive)) {
                fault(
                    at,
                    format!(
                        "« {column} » désigne une personne ou est sensible : un filtre dirait ce que chacun de ceux qui restent a de commun"
                    ),
                );
            }
        }
        if protected && raw.dataset.years == Years::All && measure.contributors.is_none() {
            fault(at, "un jeu qui compte des personnes compte une seule année : years = \"latest\" ; la même personne y serait plusieurs fois".into());
        }
        if let Some(protection) = &protection {
            let changed = protection.method != Method::Suppression;
            if changed && measure.kind != MeasureKind::Count {
                fault(
                    protection_at,
                    "l'arrondi et le bruit portent sur un nombre de personnes : prenez la mesure « count »"
                        .into(),
                );
            }
            if changed && raw.dataset.margins.is_some() {
                fault(protection_at, "margins va avec method = \"suppression\"".into());
            }
            if protection.method == Method::CellKey && measure.contributor.is_none() {
                fault(
                    protection_at,
                    "le bruit se tire des personnes : nommez la colonne qui les désigne (contributor)".into(),
                );
            }
            if measure.contributors.is_some() && !protection.always(Insiders::None) {
                fault(
                    protection_at,
                    "contributors ne nomme personne : deux nombres égaux y seraient les mêmes personnes pour qui sait ce qu'il pèse ; prenez une politique dont insiders = \"none\"".into(),
                );
            }
            for name in protection.policy().attributes {
                if !dimensions.iter().any(|d| d.name == name) {
                    fault(protection_at, format!("« {name} » n'est pas une dimension de ce jeu"));
                }
            }
        } else if !protected && raw.microdata.is_none() {
            let all = [tables.own, tables.other].into_iter().flatten().flat_map(|c| &c.columns);
            let columns: Vec<&ColumnSpec> = all.into_iter().collect();
            if columns.iter().any(|c| c.personal != Personal::None) {
                fault(at, "la table porte des données personnelles : [protection] est obligatoire".into());
            } else if let Some(column) = columns.iter().find(|c| c.counts_persons) {
                fault(
                    at,
                    format!(
                        "« {} » dit de combien de personnes est chaque ligne : [protection] est obligatoire",
                        column.name
                    ),
                );
            }
        }
        let chains = chains(&dimensions);
        let margins = raw.dataset.margins.as_ref().and_then(|m| {
            if raw.microdata.is_some() {
                fault(m.span().start, "margins n'a pas de sens avec [microdata]".into());
            }
            levels::margins(m.get_ref(), &dimensions, &chains)
                .map_err(|text| fault(m.span().start, text))
                .ok()
        });
        let closed = raw.dataset.closed.as_ref().and_then(|c| {
            let dated = |d: &Dimension| tables.spec(&d.column).is_some_and(|s| s.kind == ColumnType::Date);
            let found = dimensions.iter().position(|d| d.name == *c.get_ref() && dated(d));
            if found.is_none() {
                fault(c.span().start, "closed nomme une dimension dont la colonne est une date".into());
            }
            found
        });
        // A period that grows from a version to the next: the difference is what the last rows hold.
        if measure.contributors.is_some() && raw.dataset.years == Years::All && raw.dataset.closed.is_none() {
            fault(
                measure_at,
                "contributors avec years = \"all\" : nommez la dimension de dates dont une période ne part qu'une fois finie (closed)".into(),
            );
        }
        if !faults.is_empty() {
            return Err(Error::Config(faults));
        }
        let own = tables.own.ok_or_else(|| Error::Usage("table inconnue".into()))?;
        Ok(Dataset {
            name: raw.dataset.name.into_inner(),
            title: raw.dataset.title,
            description: raw.dataset.description,
            table: raw.dataset.table.into_inner(),
            latest_year_only: raw.dataset.years == Years::Latest,
            join,
            dimensions,
            exclude: raw.dataset.exclude,
            only: raw.dataset.only,
            scale: measure.scale(own),
            measure,
            microdata: raw.microdata,
            population: raw.dataset.population.unwrap_or_else(|| own.name.clone()),
            protection,
            secret: None,
            metadata: raw.metadata,
            key: key(own).into_iter().map(|c| c.name.to_string()).collect(),
            snapshot: own.snapshot,
            reference: day,
            margins,
            closed,
            raw_keys: own.columns.iter().filter(|c| c.person.is_some()).map(|c| c.name.to_string()).collect(),
        })
    }
}

/// What keeps a column from being a dimension.
fn dimension_faults(
    d: &Dimension,
    spec: &ColumnSpec,
    allowed: bool,
    at: usize,
    fault: &mut impl FnMut(usize, String),
) {
    if spec.personal == Personal::Sensitive && !allowed {
        fault(
            at,
            format!(
                "« {} » est sensible : la politique doit la nommer (sensitive) et protéger sa dimension (attributes)",
                d.column
            ),
        );
    }
    if spec.personal == Personal::Direct {
        fault(at, format!("« {} » désigne une personne : elle ne peut pas être publiée", d.column));
    }
    use ColumnType as T;
    if !matches!(spec.kind, T::Text | T::Date | T::Boolean | T::Integer | T::AnneeScolaire) {
        fault(
            at,
            format!(
                "« {} » n'est ni un texte, ni une date, ni un entier, ni une marque, ni une année scolaire : elle ne peut pas être une dimension",
                d.column
            ),
        );
    }
}

/// Columns of each hierarchy, coarse before fine.
pub(super) fn chains(dimensions: &[Dimension]) -> Vec<Vec<usize>> {
    let mut chains: Vec<Vec<usize>> = Vec::new();
    for (i, d) in dimensions.iter().enumerate() {
        match chains.last_mut().filter(|_| d.coarser.is_some()) {
            Some(chain) => chain.push(i),
            None => chains.push(vec![i]),
        }
    }
    chains
}
