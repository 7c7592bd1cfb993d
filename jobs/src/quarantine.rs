//! `quarantine`: what was set aside, and judging it again.

use crate::cli::Quarantine;
use crate::config::Config;
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::{aside, today};
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use cartulaire_engine::error::{Error, Result};
use cartulaire_engine::french::thousands;
use cartulaire_engine::quarantine::replay;
use cartulaire_engine::store::{Store, read_batches};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Runs a `quarantine` command.
pub fn run(config: &Config, command: &Quarantine, shown: &Shown) -> Result<u8> {
    match command {
        Quarantine::List => list(&Store::open(&config.store)?, shown),
        Quarantine::Show { delivery, max } => show(&Store::open(&config.store)?, delivery, *max, shown),
        Quarantine::Replay { delivery, date } => {
            drop(Store::open(&config.store)?);
            let book = config.rulebook()?;
            let date = date.date.unwrap_or_else(today);
            let done = aside(config, &book, "quarantine-replay", date, shown, |run| {
                replay(run, delivery.as_deref())
            })?;
            shown.document(&json!({"deliveries": done}));
            let rows: Vec<Vec<String>> = done
                .iter()
                .map(|r| {
                    let n = |n: u64| thousands(i64::try_from(n).unwrap_or(i64::MAX));
                    vec![
                        short(&r.delivery),
                        r.name.clone(),
                        n(r.read),
                        n(r.accepted),
                        n(r.rejected),
                        r.skipped.clone(),
                    ]
                })
                .collect();
            shown.say(&if rows.is_empty() {
                "Aucune quarantaine à juger de nouveau.".to_owned()
            } else {
                table(&["livraison", "nom", "rejugés", "repris", "restent", "remarque"], &rows, &[2, 3, 4])
            });
            Ok(exit::DONE)
        }
    }
}

fn short(id: &str) -> String {
    id.chars().take(12).collect()
}

/// Codes of a quarantine file, with their counts.
fn codes(store: &Store, path: &str) -> Result<BTreeMap<String, u64>> {
    let mut out = BTreeMap::new();
    for batch in read_batches(&store.path(path), Some(&["_codes"]))? {
        let batch = batch?;
        for codes in batch.column(0).as_string_opt::<i32>().into_iter().flatten().flatten() {
            for code in codes.split(',') {
                *out.entry(code.to_owned()).or_default() += 1;
            }
        }
    }
    Ok(out)
}

fn list(store: &Store, shown: &Shown) -> Result<u8> {
    let names: BTreeMap<String, (String, String)> =
        store.ledger.deliveries(None)?.into_iter().map(|d| (d.id, (d.name, d.delivery_date))).collect();
    let mut documents = Vec::new();
    let mut rows = Vec::new();
    for (path, name, delivery, count) in store.ledger.quarantines()? {
        let codes = codes(store, &path)?;
        let (from, date) = names.get(&delivery).cloned().unwrap_or_default();
        let said: Vec<String> = codes.iter().map(|(c, n)| format!("{c} {n}")).collect();
        rows.push(vec![short(&delivery), from.clone(), name.clone(), thousands(count), said.join(", ")]);
        documents.push(json!({"delivery": delivery, "name": from, "date": date, "table": name, "rows": count, "codes": codes, "path": path}));
    }
    shown.document(&json!({"quarantines": documents}));
    shown.say(&if rows.is_empty() {
        "Aucun enregistrement en quarantaine.".to_owned()
    } else {
        table(&["livraison", "nom", "table", "lignes", "codes"], &rows, &[3])
    });
    Ok(exit::DONE)
}

fn show(store: &Store, delivery: &str, max: usize, shown: &Shown) -> Result<u8> {
    let mine: Vec<_> =
        store.ledger.quarantines()?.into_iter().filter(|q| q.2.starts_with(delivery)).collect();
    if mine.is_empty() {
        return Err(Error::Usage(format!(
            "aucune quarantaine pour la livraison « {delivery} » : voyez `cartulaire quarantine list`"
        )));
    }
    let mut records: Vec<Value> = Vec::new();
    let mut rows = Vec::new();
    for (path, name, _, _) in mine {
        for batch in
            read_batches(&store.path(&path), Some(&["_file", "_line", "_record", "_codes", "_columns"]))?
        {
            let batch = batch?;
            let text = |n: &str, r: usize| {
                batch
                    .column_by_name(n)
                    .and_then(|c| c.as_string_opt::<i32>())
                    .map_or("", |c| c.value(r))
                    .to_owned()
            };
            let number = |n: &str, r: usize| {
                batch
                    .column_by_name(n)
                    .and_then(|c| c.as_primitive_opt::<Int64Type>())
                    .map_or(0, |c| c.value(r))
            };
            for r in 0..batch.num_rows() {
                if records.len() >= max {
                    break;
                }
                let (file, line, record) = (text("_file", r), number("_line", r), number("_record", r));
                let (codes, columns) = (text("_codes", r), text("_columns", r));
                rows.push(vec![
                    name.clone(),
                    format!("{file}:{line}"),
                    record.to_string(),
                    codes.clone(),
                    columns.clone(),
                ]);
                records.push(json!({"table": name, "file": file, "line": line, "record": record, "codes": codes.split(',').collect::<Vec<_>>(), "columns": columns.split(',').collect::<Vec<_>>(), "path": path}));
            }
        }
    }
    shown.document(&json!({"records": records}));
    let mut out = table(&["table", "place", "enregistrement", "codes", "colonnes"], &rows, &[2]);
    out.push_str(
        "\n\nLes valeurs d'origine sont dans les fichiers Parquet du dossier quarantine/ de l'entrepôt.",
    );
    shown.say(&out);
    Ok(exit::DONE)
}
