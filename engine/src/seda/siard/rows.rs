//! Tables of the store as an archive: keys and references where the contracts promise them.

use super::archive::Siard;
use super::cell::Cell;
use super::model::{Column, Database, ForeignKey, Key, Kind, Schema, Table};
use crate::contract::{ColumnSpec, ColumnType, Contract};
use crate::error::{Error, Result};
use crate::finding::Severity;
use crate::seda::content::{as_text, column_of};
use crate::store::{Snapshot, Store, read_batches};
use crate::validate::from_days;
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{Date32Type, Decimal128Type, Int64Type, Time32SecondType};
use chrono::{NaiveDate, NaiveTime};
use std::borrow::Cow;
use std::path::Path;

/// What an archive says of itself.
pub struct Described<'a> {
    /// Name.
    pub name: &'a str,
    /// What it holds.
    pub description: &'a str,
    /// Who answers for the data.
    pub owner: &'a str,
    /// When the data were made.
    pub timespan: &'a str,
    /// Day of the archive.
    pub date: NaiveDate,
}

/// Writes the tables into `path`; the number of rows.
///
/// # Errors
/// When the store or the disk fail, or the rows are not what their contract says.
pub fn write(
    store: &Store,
    path: &Path,
    described: &Described<'_>,
    tables: &[(&Contract, Vec<&Snapshot>)],
) -> Result<u64> {
    let database = database(described, tables);
    let mut archive = Siard::create(path, &database)?;
    for (contract, snapshots) in tables {
        archive.open_table()?;
        for snapshot in snapshots {
            for batch in read_batches(&store.snapshot_path(snapshot)?, None)? {
                let batch = batch?;
                let columns: Vec<(ColumnType, ArrayRef)> = contract
                    .columns
                    .iter()
                    .map(|c| Ok((c.kind, plain(c, column_of(contract, snapshot, &batch, c)?)?)))
                    .collect::<Result<_>>()?;
                for row in 0..batch.num_rows() {
                    let cells: Option<Vec<Cell<'_>>> =
                        columns.iter().map(|(kind, array)| cell(*kind, array, row)).collect();
                    let broken = || Error::Corrupt(format!("{} : jour ou heure impossible", snapshot.path));
                    archive.row(cells.ok_or_else(broken)?)?;
                }
            }
        }
    }
    Ok(archive.finish()?.rows.iter().sum())
}

/// Texts as texts: a composite is written as it came.
fn plain(spec: &ColumnSpec, array: ArrayRef) -> Result<ArrayRef> {
    let text = matches!(spec.kind, ColumnType::Text | ColumnType::AnneeScolaire);
    if text { as_text(&array) } else { Ok(array) }
}

/// None for a day or a time that no calendar has.
fn cell(kind: ColumnType, array: &ArrayRef, row: usize) -> Option<Cell<'_>> {
    if array.is_null(row) {
        return Some(Cell::Null);
    }
    Some(match kind {
        ColumnType::Text | ColumnType::AnneeScolaire => {
            Cell::Text(Cow::Borrowed(array.as_string::<i32>().value(row)))
        }
        ColumnType::List => {
            let items = as_text(&array.as_list::<i32>().value(row)).ok()?;
            let items = items.as_string_opt::<i32>()?.iter().flatten();
            Cell::List(items.map(|text| Cow::Owned(text.to_owned())).collect())
        }
        ColumnType::Integer => Cell::Integer(array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Duration => Cell::Seconds(array.as_primitive::<Int64Type>().value(row)),
        ColumnType::Decimal { .. } => Cell::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        ColumnType::Date => Cell::Date(from_days(array.as_primitive::<Date32Type>().value(row))?),
        ColumnType::Time => {
            let seconds = array.as_primitive::<Time32SecondType>().value(row);
            Cell::Time(NaiveTime::from_num_seconds_from_midnight_opt(u32::try_from(seconds).ok()?, 0)?)
        }
        ColumnType::Boolean => Cell::Boolean(array.as_boolean().value(row)),
    })
}

fn database(described: &Described<'_>, tables: &[(&Contract, Vec<&Snapshot>)]) -> Database {
    let alone: Vec<&Contract> = tables.iter().filter(|(_, s)| s.len() == 1).map(|(c, _)| *c).collect();
    let tables = tables.iter().map(|(c, _)| table(c, &alone)).collect();
    Database {
        name: described.name.to_owned(),
        description: described.description.to_owned(),
        owner: described.owner.to_owned(),
        timespan: described.timespan.to_owned(),
        producer: concat!("Cartulaire ", env!("CARGO_PKG_VERSION")).into(),
        date: described.date,
        schema: Schema { name: "cartulaire".into(), description: described.description.to_owned(), tables },
    }
}

fn kind(column: &ColumnSpec) -> Kind {
    match column.kind {
        ColumnType::Text | ColumnType::AnneeScolaire => Kind::Text,
        ColumnType::List => Kind::List,
        ColumnType::Integer => Kind::Integer,
        ColumnType::Decimal { precision, scale } => Kind::Decimal { precision, scale: scale.unsigned_abs() },
        ColumnType::Date => Kind::Date,
        ColumnType::Time => Kind::Time,
        ColumnType::Duration => Kind::Seconds,
        ColumnType::Boolean => Kind::Boolean,
    }
}

/// Columns that single out a row: those of one delivery do, as its validation refused the others.
fn primary<'c>(contract: &'c Contract, alone: &[&Contract]) -> Option<Vec<&'c str>> {
    let columns: Vec<&ColumnSpec> = contract.key.iter().filter_map(|k| contract.columns.get(*k)).collect();
    let fit = |c: &&ColumnSpec| is_filled(contract, c) && c.kind != ColumnType::List;
    (alone.iter().any(|a| a.name == contract.name) && !columns.is_empty() && columns.iter().all(fit))
        .then(|| columns.iter().map(|c| &*c.name).collect())
}

fn is_filled(contract: &Contract, column: &ColumnSpec) -> bool {
    column.required || contract.partition_column() == contract.column(&column.name)
}

fn table(contract: &Contract, alone: &[&Contract]) -> Table {
    let key = primary(contract, alone);
    let references = contract.columns.iter().filter_map(|c| Some((c, c.references.as_ref()?)));
    let foreign_keys = references.filter_map(|(column, reference)| {
        let target = alone.iter().find(|t| t.name == reference.table)?;
        // Only what was checked whole: one column, an orphan refused.
        let whole = reference.part.is_none() && reference.with.is_empty() && column.kind != ColumnType::List;
        let single = primary(target, alone)? == [reference.column.as_str()];
        (whole && single && reference.severity >= Severity::Error).then(|| ForeignKey {
            name: format!("fk_{}_{}", contract.name, column.name),
            table: target.name.clone(),
            columns: vec![(column.name.to_string(), reference.column.clone())],
            description: String::new(),
        })
    });
    Table {
        name: contract.name.clone(),
        description: format!("{} : {}", contract.title, contract.description),
        columns: contract
            .columns
            .iter()
            .map(|c| Column {
                name: c.name.to_string(),
                description: c.description.clone(),
                kind: kind(c),
                nullable: !is_filled(contract, c),
            })
            .collect(),
        primary_key: key.map(|columns| Key {
            name: format!("pk_{}", contract.name),
            columns: columns.into_iter().map(str::to_owned).collect(),
        }),
        foreign_keys: foreign_keys.collect(),
    }
}
