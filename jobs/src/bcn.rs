//! `bcn`: dated editions of the nomenclatures.

use crate::cli::Bcn;
use crate::config::{Config, nomenclature_files, nomenclatures};
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::{aside, nomenclatures_at, open_store, today};
use cartulaire_engine::error::{Error, IoContext, Result};
use cartulaire_engine::french::thousands;
use cartulaire_engine::journal::NewEntry;
use cartulaire_engine::nomenclature::{Nomenclatures, Table, TableDiff, diff};
use cartulaire_engine::run::Run;
use cartulaire_engine::store::files::write_atomic;
use cartulaire_engine::store::{EditionRow, Store};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Runs a `bcn` command.
pub fn run(config: &Config, command: &Bcn, shown: &Shown) -> Result<u8> {
    match command {
        Bcn::Import { folder, date } => import(config, folder, date.date.unwrap_or_else(today), shown),
        Bcn::Diff { table, old: Some(old), new: Some(new) } => {
            let (old, new) = (nomenclatures(old, None)?, nomenclatures(new, None)?);
            differences(compare(&old, &new, table.as_deref()), shown)
        }
        Bcn::Diff { table, .. } => differences(last_two(&open_store(config)?, table.as_deref())?, shown),
        Bcn::Show { table, code, date } => show(config, table, code, date.date.unwrap_or_else(today), shown),
    }
}

/// Keeps the files of a folder as they are: of each table, the last edition on or before a run's
/// date governs it.
fn import(config: &Config, folder: &Path, date: NaiveDate, shown: &Shown) -> Result<u8> {
    let files = nomenclature_files(folder, None)?;
    if files.is_empty() {
        return Err(Error::Usage(format!("aucun fichier .csv ou .json dans « {} »", folder.display())));
    }
    let (tables, unreadable) = Nomenclatures::from_files(&files);
    let bytes: BTreeMap<&str, &[u8]> = files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let book = config.rulebook()?;
    let imported = aside(config, &book, "bcn-import", date, shown, |run| {
        tables
            .editions()
            .map(|(name, t)| keep(run, name, t, bytes.get(t.file.as_str()).copied().unwrap_or_default()))
            .collect::<Result<Vec<Value>>>()
    })?;
    let unreadable: Vec<Value> =
        unreadable.iter().map(|u| json!({"file": u.file, "reason": u.reason})).collect();
    shown.document(&json!({"date": date.to_string(), "imported": imported, "unreadable": unreadable}));
    let text = |v: &Value, k: &str| v.get(k).and_then(Value::as_str).unwrap_or("").to_owned();
    let number = |v: &Value, k: &str| thousands(v.get(k).and_then(Value::as_i64).unwrap_or(0));
    let rows: Vec<Vec<String>> = imported
        .iter()
        .map(|v| {
            let status = if text(v, "status") == "new" { "nouvelle" } else { "inchangée" };
            vec![
                text(v, "table"),
                text(v, "file"),
                number(v, "codes"),
                number(v, "flawed_rows"),
                status.to_owned(),
            ]
        })
        .collect();
    let mut out = table(&["table", "fichier", "codes", "lignes douteuses", "édition"], &rows, &[2, 3]);
    for u in &unreadable {
        out.push_str(&format!("\nNon lu : {} — {}", text(u, "file"), text(u, "reason")));
    }
    shown.say(&out);
    Ok(exit::DONE)
}

fn keep(run: &mut Run<'_>, name: &str, table: &Table, bytes: &[u8]) -> Result<Value> {
    let sha256 = table.digest.to_string();
    let known: Vec<EditionRow> =
        run.store.ledger.editions("9999")?.into_iter().filter(|e| e.table_name == name).collect();
    let date = run.date.to_string();
    let governing = known.iter().rfind(|e| e.imported_on <= date);
    let status = if governing.is_some_and(|e| e.sha256 == sha256) { "unchanged" } else { "new" };
    let flaws: BTreeMap<String, usize> = table
        .flaws_by_kind()
        .into_iter()
        .filter_map(|(k, n)| Some((serde_json::to_value(k).ok()?.as_str()?.to_owned(), n)))
        .collect();
    if status == "new" {
        let extension =
            Path::new(&table.file).extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let path = format!("nomenclatures/{name}/{sha256}.{extension}");
        if !known.iter().any(|e| e.path == path) {
            let work = run.store.work_dir("bcn")?;
            let aside = work.join(&sha256);
            write_atomic(&aside, bytes)?;
            run.store.publish(&[(aside, path.clone())])?;
        }
        let row = EditionRow {
            table_name: name.to_owned(),
            sha256: sha256.clone(),
            file: table.file.clone(),
            path,
            imported_on: run.date.to_string(),
            codes: i64::try_from(table.len()).unwrap_or(i64::MAX),
        };
        let payload = json!({"table": name, "sha256": sha256, "codes": row.codes});
        let (at, date) = (run.now(), run.date.to_string());
        run.store.ledger.transact(|tx| {
            tx.edition(&row)?;
            tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind: "edition_imported", payload })
        })?;
    }
    Ok(
        json!({"table": name, "file": table.file, "sha256": sha256, "codes": table.len(), "flawed_rows": table.flawed_rows, "flaws": flaws, "status": status}),
    )
}

fn compare(old: &Nomenclatures, new: &Nomenclatures, only: Option<&str>) -> Vec<TableDiff> {
    new.editions()
        .filter(|(name, _)| only.is_none_or(|o| o.eq_ignore_ascii_case(name)))
        .filter_map(|(name, table)| Some(diff(old.table(name)?, table)))
        .collect()
}

fn last_two(store: &Store, only: Option<&str>) -> Result<Vec<TableDiff>> {
    let mut editions: BTreeMap<String, Vec<EditionRow>> = BTreeMap::new();
    for edition in store.ledger.editions("9999")? {
        editions.entry(edition.table_name.clone()).or_default().push(edition);
    }
    let read = |e: &EditionRow| -> Result<Option<Table>> {
        let path = store.path(&e.path);
        let bytes = std::fs::read(&path).at(&path)?;
        Ok(Table::from_file(&e.file, &bytes).and_then(|t| t.ok()))
    };
    let mut out = Vec::new();
    for (_, list) in editions.iter().filter(|(n, _)| only.is_none_or(|o| o.eq_ignore_ascii_case(n))) {
        if let [.., before, last] = list.as_slice()
            && let (Some(before), Some(last)) = (read(before)?, read(last)?)
        {
            out.push(diff(&before, &last));
        }
    }
    Ok(out)
}

fn differences(all: Vec<TableDiff>, shown: &Shown) -> Result<u8> {
    shown.document(&json!({"tables": all}));
    shown.say(&if all.is_empty() {
        "Rien à comparer : il faut deux éditions d'une même table (`cartulaire bcn import`).".to_owned()
    } else {
        all.iter().map(TableDiff::french).collect::<Vec<_>>().join("\n\n")
    });
    Ok(exit::DONE)
}

fn show(config: &Config, name: &str, code: &str, date: NaiveDate, shown: &Shown) -> Result<u8> {
    let tables = match open_store(config) {
        Ok(store) => nomenclatures_at(config, &store, date)?,
        Err(Error::NoStore(_)) => config.nomenclatures(None)?,
        Err(e) => return Err(e),
    };
    let wanted = name.to_uppercase();
    let Some(found) = tables.table(&wanted) else {
        let known: Vec<&str> = tables.editions().map(|(n, _)| n).collect();
        return Err(Error::Usage(format!("table inconnue « {name} » ; tables : {}", known.join(", "))));
    };
    let sheet = found.show(code, date);
    let document = serde_json::to_value(&sheet).map_err(|e| Error::Write(e.to_string()))?;
    shown.document(&document);
    shown.say(&sheet.french());
    Ok(exit::DONE)
}
