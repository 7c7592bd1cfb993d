//! Applies an AAF Delta to the last state of its académie: what is added or modified takes its place,
//! what is deleted leaves a tombstone. The result is a whole new snapshot, as the Complet of that
//! day would have been.

use crate::codes::Code;
use crate::contract::Contract;
use crate::domain::{AnneeScolaire, DateFormat};
use crate::error::{Error, Result};
use crate::finding::{Finding, Origin};
use crate::ingest::{Part, table_path};
use crate::run::Run;
use crate::store::{Delivery, PartWriter, Snapshot, read_batches};
use crate::validate::{References, accepted_schema, days};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, StringArray};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// Suffix of the table that holds the tombstones of a table.
pub const TOMBSTONES: &str = "_suppressions";

/// Whether a Delta follows the state: a day too early or too late is told with the date that is
/// missing.
///
/// # Errors
/// When the ledger cannot be read.
pub fn follows(run: &Run<'_>, delivery: &Delivery, date: NaiveDate) -> Result<Option<Finding>> {
    let state = run.store.ledger.state_date(&delivery.emitter)?;
    let day = |d: NaiveDate| d.format("%d/%m/%Y").to_string();
    let told = |code, message| Some(Finding::new(code, Origin::default(), message));
    let Some(state) = state.and_then(|s| DateFormat::Iso.parse(&s)) else {
        let before = date.pred_opt().unwrap_or(date);
        let message = format!(
            "Delta du {} sans état : l'export Complet du {} ou d'avant manque",
            day(date),
            day(before)
        );
        return Ok(told(Code::DeltaGap, message));
    };
    if date <= state {
        return Ok(told(
            Code::DeltaStale,
            format!("Delta du {}, l'état est déjà celui du {}", day(date), day(state)),
        ));
    }
    let next = state.succ_opt().unwrap_or(state);
    if date > next {
        let message =
            format!("Delta du {} sur l'état du {} : il manque celui du {}", day(date), day(state), day(next));
        return Ok(told(Code::DeltaGap, message));
    }
    Ok(None)
}

/// Snapshots of the sender's present state of a table.
fn state(run: &Run<'_>, delivery: &Delivery, table: &str) -> Result<Vec<Snapshot>> {
    let mine: Vec<Snapshot> =
        run.store.ledger.snapshots(table)?.into_iter().filter(|s| s.emitter == delivery.emitter).collect();
    let last = mine.iter().map(|s| s.delivery_date.clone()).max().unwrap_or_default();
    // Newest first: of a record that a correction of the same day brought again, the last one counts.
    Ok(mine.into_iter().rev().filter(|s| s.delivery_date == last).collect())
}

/// Keys of the sender's present state: a Delta may only change or delete one of them.
///
/// # Errors
/// When the state cannot be read, or no longer has the bytes that were ingested.
pub fn keys(run: &Run<'_>, delivery: &Delivery, contract: &Contract) -> Result<References> {
    let Some(key) = contract.key.first().and_then(|k| contract.columns.get(*k)) else {
        return Ok(References::default());
    };
    let state = state(run, delivery, &contract.name)?;
    let keys = References::read(run.store, &state.iter().collect::<Vec<_>>(), &key.name)?;
    keys.ok_or_else(|| Error::Corrupt(format!("Delta de {} : clé absente de l'état", contract.name)))
}

/// One accepted request of the Delta: the batch and row that hold it, and the columns that it
/// changes (`None`: all of them).
struct Change {
    at: (usize, usize),
    columns: Option<BTreeSet<String>>,
    delete: bool,
}

/// Turns the accepted requests of a Delta into the new state of the table, and its tombstones.
///
/// # Errors
/// When the state or the Delta's work file cannot be read, or the new one written.
pub fn apply(
    run: &Run<'_>,
    delivery: &Delivery,
    contract: &Contract,
    date: NaiveDate,
    parts: Vec<Part>,
    work: &Path,
) -> Result<Vec<Part>> {
    let corrupt = |what: &str| Error::Corrupt(format!("Delta de {} : {what}", contract.name));
    let key = contract
        .key
        .first()
        .and_then(|k| contract.columns.get(*k))
        .ok_or_else(|| corrupt("table sans clé"))?;
    let (requests, others): (Vec<Part>, Vec<Part>) =
        parts.into_iter().partition(|p| p.table == contract.name && p.year.is_some());
    let Some(year) = run.rulebook.calendar.year_of(date) else {
        return Err(corrupt("le calendrier scolaire ne connaît pas sa date"));
    };
    let mut batches = Vec::new();
    for part in &requests {
        for batch in read_batches(&part.written, None)? {
            batches.push(batch?);
        }
    }
    let mut changes = changes(&batches, &key.name).ok_or_else(|| corrupt("colonnes de requête absentes"))?;
    let schema = accepted_schema(contract, false);
    let written = work.join(format!("{}-etat.parquet", contract.name));
    let mut writer = PartWriter::create(&written, schema.clone())?;
    let mut deleted: Vec<(String, (usize, usize))> = Vec::new();
    let mut seen: HashSet<String> = HashSet::new();
    let state = state(run, delivery, &contract.name)?;
    let several = state.len() > 1;
    for snapshot in state {
        for batch in read_batches(&run.store.snapshot_path(&snapshot)?, None)? {
            let batch = batch?;
            let keys = text(&batch, &key.name).ok_or_else(|| corrupt("clé absente de l'état"))?;
            let mut rows: Vec<(usize, Option<Change>)> = Vec::new();
            for row in 0..batch.num_rows() {
                if several && !seen.insert(keys.value(row).to_owned()) {
                    continue;
                }
                match changes.remove(keys.value(row)) {
                    Some(change) if change.delete => deleted.push((keys.value(row).to_owned(), change.at)),
                    change => rows.push((row, change)),
                }
            }
            writer.write(&mixed(&schema, &batch, &batches, &rows)?)?;
        }
    }
    let mut added: Vec<(usize, usize)> = changes.into_values().filter(|c| !c.delete).map(|c| c.at).collect();
    added.sort_unstable();
    if !added.is_empty() {
        let columns = schema
            .fields()
            .iter()
            .map(|f| {
                let sources: Vec<&ArrayRef> =
                    batches.iter().filter_map(|b| b.column_by_name(f.name())).collect();
                let arrays: Vec<&dyn Array> = sources.iter().map(|a| a.as_ref()).collect();
                Ok(interleave(&arrays, &added)?)
            })
            .collect::<Result<Vec<_>>>()?;
        writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
    }
    let (rows, digest) = writer.finish()?;
    let place = |table: &str| table_path(table, year, delivery, date);
    let mut out = others;
    out.push(Part {
        written,
        path: place(&contract.name),
        table: contract.name.clone(),
        record_class: contract.record_class.clone(),
        year: Some(year),
        rows,
        digest,
    });
    if !deleted.is_empty() {
        out.push(tombstones(contract, &key.name, date, year, &batches, &deleted, &place, work)?);
    }
    Ok(out)
}

fn text<'b>(batch: &'b RecordBatch, name: &str) -> Option<&'b StringArray> {
    batch.column_by_name(name)?.as_string_opt::<i32>()
}

fn changes(batches: &[RecordBatch], key: &str) -> Option<HashMap<String, Change>> {
    let mut out = HashMap::new();
    for (b, batch) in batches.iter().enumerate() {
        let (keys, verbs) = (text(batch, key)?, text(batch, "_request")?);
        let changed = batch.column_by_name("_changed")?.as_list_opt::<i32>()?;
        for row in 0..batch.num_rows() {
            let columns = (verbs.value(row) == "modify").then(|| {
                let names = changed.value(row);
                names.as_string_opt::<i32>().into_iter().flatten().flatten().map(str::to_owned).collect()
            });
            let change = Change { at: (b, row), columns, delete: verbs.value(row) == "delete" };
            out.insert(keys.value(row).to_owned(), change);
        }
    }
    Some(out)
}

/// Rows of the state, with the columns that the Delta changes taken from it.
fn mixed(
    schema: &Arc<Schema>,
    state: &RecordBatch,
    delta: &[RecordBatch],
    rows: &[(usize, Option<Change>)],
) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .map(|f| {
            let old = state
                .column_by_name(f.name())
                .cloned()
                .unwrap_or_else(|| arrow::array::new_null_array(f.data_type(), state.num_rows()));
            let new: Vec<&ArrayRef> = delta.iter().filter_map(|b| b.column_by_name(f.name())).collect();
            let arrays: Vec<&dyn Array> =
                std::iter::once(old.as_ref()).chain(new.iter().map(|a| a.as_ref())).collect();
            // Lineage says where the values come from: the last request that touched the record.
            let origin = f.name().starts_with('_') && f.name() != "_extra";
            let indices: Vec<(usize, usize)> = rows
                .iter()
                .map(|(row, change)| match change {
                    Some(c) if origin || c.columns.as_ref().is_none_or(|names| names.contains(f.name())) => {
                        (c.at.0 + 1, c.at.1)
                    }
                    _ => (0, *row),
                })
                .collect();
            Ok(interleave(&arrays, &indices)?)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

#[expect(clippy::too_many_arguments, reason = "one call, all of it needed")]
fn tombstones(
    contract: &Contract,
    key: &str,
    date: NaiveDate,
    year: AnneeScolaire,
    delta: &[RecordBatch],
    deleted: &[(String, (usize, usize))],
    place: &dyn Fn(&str) -> String,
    work: &Path,
) -> Result<Part> {
    let table = format!("{}{TOMBSTONES}", contract.name);
    let origin = ["_file", "_line", "_record", "_byte"];
    let at: Vec<(usize, usize)> = deleted.iter().map(|(_, at)| *at).collect();
    let mut fields =
        vec![Field::new(key, DataType::Utf8, false), Field::new("supprime_le", DataType::Date32, false)];
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(deleted.iter().map(|(k, _)| k))),
        Arc::new(Date32Array::from_iter_values(deleted.iter().map(|_| days(date)))),
    ];
    for name in origin {
        let sources: Vec<&ArrayRef> = delta.iter().filter_map(|b| b.column_by_name(name)).collect();
        let arrays: Vec<&dyn Array> = sources.iter().map(|a| a.as_ref()).collect();
        let column = interleave(&arrays, &at)?;
        fields.push(Field::new(name, column.data_type().clone(), false));
        columns.push(column);
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let written = work.join(format!("{table}.parquet"));
    let mut writer = PartWriter::create(&written, batch.schema())?;
    writer.write(&batch)?;
    let (rows, digest) = writer.finish()?;
    Ok(Part {
        written,
        path: place(&table),
        table,
        record_class: contract.record_class.clone(),
        year: Some(year),
        rows,
        digest,
    })
}

/// Requests of a Delta by table: a delivery holds either Complet or Delta files.
pub fn tables<'c>(lots: &[crate::validate::Lot<'c>]) -> BTreeMap<String, &'c Contract> {
    lots.iter().filter(|l| l.delta).flat_map(|l| l.contracts.iter().map(|c| (c.name.clone(), *c))).collect()
}
