//! What the store tells of its records: days of their events, types of document, holds. Records of
//! one snapshot that agree in all of it share a decision.

use super::tri::PlanDraws;
use super::{ClassRules, EventDate};
use crate::contract::Contract;
use crate::domain::{AnneeScolaire, Calendar, DateFormat};
use crate::error::{Error, Result};
use crate::store::{Gel, Snapshot};
use crate::validate::{from_days, sql_columns};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Date32Type;
use cartulaire_bridge::to_series;
use chrono::NaiveDate;
use polars::prelude::{Column, DataFrame, Expr, IntoLazy};
use polars::sql::sql_expr;
use std::collections::HashMap;
use std::sync::Arc;

/// What is said of every record of a snapshot, and may be asked by the scope of a hold.
const OF_SNAPSHOT: [&str; 5] = ["classe", "nom_table", "annee_scolaire", "livraison", "emetteur"];
/// Unknown and never, as days that no calendar has.
const UNKNOWN: i64 = i64::MIN;
const NEVER: i64 = i64::MAX;

/// What the records of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Days of the events of their class, in the order of [`ClassRules::events`].
    pub dates: Vec<EventDate>,
    /// Type of document.
    pub document: Option<String>,
    /// Holds that block them.
    pub held: Vec<String>,
    /// What draws said of them: plan, number of the draw, whether they are kept.
    pub drawn: Vec<(String, usize, bool)>,
}

/// Tells the records of one snapshot apart.
pub struct Splitter {
    dates: Vec<EventDate>,
    /// (event, column, an empty value says that it never happened).
    columns: Vec<(usize, String, bool)>,
    document: Option<String>,
    held: Vec<String>,
    filters: Vec<Filter>,
    draws: Vec<Arc<PlanDraws>>,
    documents: HashMap<String, i64>,
    index: HashMap<Box<[i64]>, usize, foldhash::fast::RandomState>,
    /// Groups in the order in which they are met.
    pub groups: Vec<Shared>,
}

/// A hold that looks at each record.
struct Filter {
    gel: String,
    scope: Expr,
    columns: Vec<String>,
}

/// Whether the scope of a hold is a question that can be asked.
///
/// # Errors
/// Why not, in French.
pub fn check_scope(scope: &str) -> Result<(), String> {
    sql_columns(scope).map(|_| ())
}

/// Columns of a scope that neither a table nor what is said of every snapshot has.
pub fn unknown_columns(scope: &str, contracts: &[Contract]) -> Vec<String> {
    let known = |name: &String| {
        OF_SNAPSHOT.contains(&name.as_str())
            || contracts.iter().any(|c| c.columns.iter().any(|column| *column.name == **name))
    };
    sql_columns(scope).unwrap_or_default().into_iter().filter(|c| !known(c)).collect()
}

impl Splitter {
    /// For a snapshot of a table, under the holds in force. `columns` are those that the snapshot
    /// has: an event whose column is missing is unknown, and a scope that asks for another column
    /// is about other tables.
    ///
    /// # Errors
    /// When the ledger says nonsense, or the scope of a hold can no longer be read.
    pub fn new(
        snapshot: &Snapshot,
        contract: Option<&Contract>,
        rules: &ClassRules<'_>,
        gels: &[&Gel],
        calendar: &Calendar,
        columns: &[String],
    ) -> Result<Self> {
        let year = AnneeScolaire::parse(&snapshot.annee_scolaire)
            .ok_or_else(|| Error::Corrupt(format!("année scolaire de {}", snapshot.path)))?;
        let has = |name: &str| columns.iter().any(|c| c == name);
        let mut splitter = Splitter {
            dates: Vec::new(),
            columns: Vec::new(),
            document: None,
            held: Vec::new(),
            filters: Vec::new(),
            draws: Vec::new(),
            documents: HashMap::new(),
            index: HashMap::default(),
            groups: Vec::new(),
        };
        for (position, event) in rules.events().enumerate() {
            splitter.dates.push(match event {
                "fin_annee_scolaire" => calendar.end_of(year).into(),
                "collecte_donnees" => DateFormat::Iso.parse(&snapshot.delivery_date).into(),
                _ => EventDate::Unknown,
            });
            let told = contract.and_then(|c| {
                let told = c.events.iter().find(|e| e.event == event)?;
                Some((c.columns.get(told.column)?.name.to_string(), told.empty_is_never))
            });
            if let Some((name, never)) = told.filter(|(name, _)| has(name)) {
                splitter.columns.push((position, name, never));
            }
        }
        if rules.names_documents() {
            let column = contract.and_then(|c| c.columns.get(c.document?)).map(|c| c.name.to_string());
            splitter.document = column.filter(|name| has(name));
        }
        for gel in gels {
            let wanted = sql_columns(&gel.scope).map_err(|_| unreadable(gel))?;
            let scope = sql_expr(&gel.scope).map_err(|_| unreadable(gel))?;
            let of_snapshot = |name: &String| OF_SNAPSHOT.contains(&name.as_str());
            if wanted.iter().all(of_snapshot) {
                // Nothing less than a clear no lets the records go.
                if holds(&scope, &about(snapshot, 1), 1).is_none_or(|h| h.first() != Some(&false)) {
                    splitter.held.push(gel.id.clone());
                }
            } else if wanted.iter().all(|c| of_snapshot(c) || has(c)) {
                let columns = wanted.into_iter().filter(|c| !of_snapshot(c)).collect();
                splitter.filters.push(Filter { gel: gel.id.clone(), scope, columns });
            } else {
                // A column that is not here is not known: what the rest of the scope says alone
                // holds, and nothing else, unless the table should have had the column.
                let of_table =
                    |c: &String| contract.is_some_and(|k| k.columns.iter().any(|column| *column.name == **c));
                let mut frame = about(snapshot, 1);
                for name in wanted.iter().filter(|c| !of_snapshot(c)) {
                    frame.push((name.clone(), Arc::new(StringArray::new_null(1)) as ArrayRef));
                }
                let should = wanted.iter().any(|c| !of_snapshot(c) && !has(c) && of_table(c));
                let answer = answer(&scope, &frame, 1).map(|a| a.first().copied().flatten());
                let held = match answer {
                    Some(Some(told)) => told,
                    // Half of the columns are here, or one was added later: not sure is held.
                    _ => should || wanted.iter().any(|c| !of_snapshot(c) && has(c)),
                };
                if held {
                    splitter.held.push(gel.id.clone());
                }
            }
        }
        Ok(splitter)
    }

    /// Tells records apart by what these draws said of them.
    pub fn with_draws(mut self, draws: Vec<Arc<PlanDraws>>) -> Self {
        self.draws = draws;
        self
    }

    /// Whether the ledger alone says everything: all records of the snapshot share one decision.
    pub fn is_single(&self) -> bool {
        self.columns.is_empty() && self.document.is_none() && self.filters.is_empty() && self.draws.is_empty()
    }

    /// What all records share when there is nothing to tell them apart.
    pub fn single(&self) -> Shared {
        Shared { dates: self.dates.clone(), document: None, held: self.held.clone(), drawn: Vec::new() }
    }

    /// Columns to read.
    pub fn wanted(&self) -> Vec<&str> {
        let events = self.columns.iter().map(|(_, c, _)| c);
        let filters = self.filters.iter().flat_map(|f| &f.columns);
        let mut all: Vec<&str> =
            events.chain(self.document.as_ref()).chain(filters).map(String::as_str).collect();
        if !self.draws.is_empty() {
            all.extend(["_file", "_record"]);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Number of the group of each row, for a batch that has the wanted columns.
    ///
    /// # Errors
    /// When the batch lacks one of them.
    pub fn rows(&mut self, snapshot: &Snapshot, batch: &RecordBatch) -> Result<Vec<usize>> {
        let rows = batch.num_rows();
        if self.is_single() {
            if self.groups.is_empty() {
                self.groups.push(self.single());
            }
            return Ok(vec![0; rows]);
        }
        let missing = || Error::Corrupt(format!("colonne absente de {}", snapshot.path));
        let mut told = Vec::new();
        for (position, name, never) in &self.columns {
            told.push((*position, batch.column_by_name(name).ok_or_else(missing)?, *never));
        }
        let documents = match &self.document {
            Some(name) => batch.column_by_name(name).ok_or_else(missing)?.as_string_opt::<i32>(),
            None => None,
        };
        let mut blocked = Vec::new();
        for filter in &self.filters {
            let mut frame = about(snapshot, rows);
            for name in &filter.columns {
                let column = batch.column_by_name(name).ok_or_else(missing)?;
                frame.push((name.clone(), column.clone()));
            }
            blocked.push(holds(&filter.scope, &frame, rows));
        }
        let names = match self.draws.is_empty() {
            true => None,
            false => Some(super::record_names(&snapshot.delivery_id, batch)?),
        };
        let names = names.as_ref().and_then(|n| n.as_string_opt::<i32>());
        let mut out = Vec::with_capacity(rows);
        let mut key: Vec<i64> = Vec::new();
        for row in 0..rows {
            key.clear();
            key.extend(self.dates.iter().map(number));
            for (position, column, never) in &told {
                if let Some(slot) = key.get_mut(*position) {
                    *slot = day_of(column, row, *never);
                }
            }
            let document = documents.filter(|d| d.is_valid(row)).map(|d| d.value(row));
            key.push(match document {
                None => -1,
                Some(text) => match self.documents.get(text) {
                    Some(n) => *n,
                    None => {
                        let next = i64::try_from(self.documents.len()).unwrap_or(i64::MAX);
                        self.documents.insert(text.to_owned(), next);
                        next
                    }
                },
            });
            // What cannot be evaluated, or gives neither yes nor no, holds.
            key.extend(
                blocked
                    .iter()
                    .map(|b| i64::from(b.as_ref().is_none_or(|b| b.get(row).copied().unwrap_or(true)))),
            );
            let name = names.map(|n| n.value(row));
            key.extend(self.draws.iter().map(
                |plan| match name.and_then(|n| plan.of(&snapshot.table_name, n)) {
                    Some((draw, kept)) => 2 * i64::try_from(draw).unwrap_or(0) + i64::from(kept),
                    None => UNKNOWN,
                },
            ));
            let group = match self.index.get(key.as_slice()) {
                Some(group) => *group,
                None => {
                    let next = self.groups.len();
                    let shared = self.shared(&key, document);
                    self.groups.push(shared);
                    self.index.insert(key.as_slice().into(), next);
                    next
                }
            };
            out.push(group);
        }
        Ok(out)
    }

    fn shared(&self, key: &[i64], document: Option<&str>) -> Shared {
        let dates = key.iter().take(self.dates.len()).map(|n| event_date(*n)).collect();
        let flags = key.iter().skip(self.dates.len() + 1);
        let blocked = self.filters.iter().zip(flags).filter(|(_, f)| **f == 1).map(|(f, _)| f.gel.clone());
        let mut held: Vec<String> = self.held.iter().cloned().chain(blocked).collect();
        held.sort();
        let codes = key.iter().skip(self.dates.len() + 1 + self.filters.len());
        let drawn = self.draws.iter().zip(codes).filter_map(|(plan, code)| {
            Some((plan.plan.clone(), usize::try_from(code / 2).ok()?, code % 2 == 1))
        });
        Shared { dates, document: document.map(str::to_owned), held, drawn: drawn.collect() }
    }
}

fn unreadable(gel: &Gel) -> Error {
    Error::Refused {
        code: "GEL_SCOPE",
        message: format!("le périmètre du gel {} ne se lit plus : levez-le et posez-le de nouveau", gel.id),
    }
}

fn number(date: &EventDate) -> i64 {
    match date {
        EventDate::On(day) => i64::from(crate::validate::days(*day)),
        EventDate::Never => NEVER,
        EventDate::Unknown => UNKNOWN,
    }
}

fn event_date(number: i64) -> EventDate {
    match number {
        NEVER => EventDate::Never,
        n => i32::try_from(n).ok().and_then(from_days).into(),
    }
}

fn day_of(column: &ArrayRef, row: usize, never: bool) -> i64 {
    if column.is_null(row) {
        return if never { NEVER } else { UNKNOWN };
    }
    if let Some(days) = column.as_primitive_opt::<Date32Type>() {
        return i64::from(days.value(row));
    }
    // In quarantine, values are as they came: only a plain date counts.
    let text = column.as_string_opt::<i32>().map(|t| t.value(row));
    let day: Option<NaiveDate> = text.and_then(|t| DateFormat::Iso.parse(t));
    day.map_or(UNKNOWN, |d| i64::from(crate::validate::days(d)))
}

/// Columns that say where records are.
fn about(snapshot: &Snapshot, rows: usize) -> Vec<(String, ArrayRef)> {
    let values = [
        &snapshot.record_class,
        &snapshot.table_name,
        &snapshot.annee_scolaire,
        &snapshot.delivery_id,
        &snapshot.emitter,
    ];
    OF_SNAPSHOT
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let column = StringArray::from_iter_values(std::iter::repeat_n(value, rows));
            ((*name).to_owned(), Arc::new(column) as ArrayRef)
        })
        .collect()
}

/// Rows that a scope holds; `None` when it cannot be asked of these columns. A null answer holds.
fn holds(scope: &Expr, columns: &[(String, ArrayRef)], rows: usize) -> Option<Vec<bool>> {
    Some(answer(scope, columns, rows)?.into_iter().map(|v| v.unwrap_or(true)).collect())
}

/// What a scope says of rows; `None` when it cannot be asked of these columns.
fn answer(scope: &Expr, columns: &[(String, ArrayRef)], rows: usize) -> Option<Vec<Option<bool>>> {
    let series = columns.iter().map(|(name, array)| to_series(name, array).ok().map(Column::from));
    let frame = DataFrame::new(rows, series.collect::<Option<Vec<Column>>>()?).ok()?;
    let answer = frame.lazy().select([scope.clone().alias("held")]).collect().ok()?;
    let answer = answer.column("held").ok()?.bool().ok()?;
    (answer.len() == rows).then(|| answer.iter().collect())
}
