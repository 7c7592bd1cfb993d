//! Sort final, read-only: simulation, the story of a record, rules checked and compared.

use crate::cli::{GroupBy, Retention, RulesCommand};
use crate::config::{Config, rule_files};
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::{now, open_store_existing, today};
use cartulaire_engine::elimination::second;
use cartulaire_engine::error::{ConfigFault, Error, IoContext, Result};
use cartulaire_engine::french::{count, thousands};
use cartulaire_engine::journal;
use cartulaire_engine::retention::{
    Analysis, Direction, Group, Impact, Outcome, Referential, diff, each_snapshot, first_due, impacts,
    record_names, vitam,
};
use cartulaire_engine::run::Rulebook;
use cartulaire_engine::store::{Store, read_batches};
use chrono::{Datelike, NaiveDate};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Runs one of the commands.
pub fn run(config: &Config, command: &Retention, shown: &Shown) -> Result<u8> {
    match command {
        Retention::Simulate { as_of, group_by } => simulation(config, *as_of, group_by, shown),
        Retention::Explain { record, table, date } => {
            explain(config, record, table.as_deref(), date.date.unwrap_or_else(today), shown)
        }
        Retention::Rules(RulesCommand::Check { file }) => check(config, file, shown),
        Retention::Rules(RulesCommand::Diff { old, new, date }) => {
            differences(config, old, new, date.date.unwrap_or_else(today), shown)
        }
        Retention::Rules(RulesCommand::Export { out, date }) => {
            export(config, out, date.date.unwrap_or_else(today), shown)
        }
        Retention::Rules(RulesCommand::Approve { key, date }) => {
            approve(config, key, date.date.unwrap_or_else(today), shown)
        }
    }
}

/// Key of a group of the simulation: those of its parts that were asked for.
type Key = (Option<String>, Option<String>, Option<String>, Option<String>, Outcome);

fn simulation(config: &Config, as_of: NaiveDate, group_by: &[GroupBy], shown: &Shown) -> Result<u8> {
    let book = config.rulebook()?;
    let store = Store::open(&config.store)?;
    let wants = |g: GroupBy| group_by.contains(&g);
    let mut total: BTreeMap<Outcome, u64> = BTreeMap::new();
    let mut grouped: BTreeMap<Key, u64> = BTreeMap::new();
    each_snapshot(&store, &book, as_of, &mut |groups| {
        // Of a snapshot, only the year and the decision differ.
        let mut here: BTreeMap<(Option<i32>, Outcome), u64> = BTreeMap::new();
        for g in &groups {
            let due = if wants(GroupBy::DueYear) { first_due(&book, g).map(|d| d.year()) } else { None };
            *here.entry((due, g.verdict.outcome)).or_default() += g.records;
        }
        let Some(s) = groups.first().map(|g| &g.snapshot) else { return Ok(()) };
        for ((due, outcome), records) in here {
            let due = || due.map_or_else(|| "jamais".to_owned(), |year| year.to_string());
            let key = (
                wants(GroupBy::Class).then(|| s.record_class.clone()),
                wants(GroupBy::Year).then(|| s.annee_scolaire.clone()),
                wants(GroupBy::Producer).then(|| s.emitter.clone()),
                wants(GroupBy::DueYear).then(due),
                outcome,
            );
            *total.entry(outcome).or_default() += records;
            *grouped.entry(key).or_default() += records;
        }
        Ok(())
    })?;
    let groups_json: Vec<Value> = if group_by.is_empty() {
        Vec::new()
    } else {
        grouped
            .iter()
            .map(|((c, y, p, due, d), n)| json!({"class": c, "year": y, "producer": p, "due_year": due, "decision": d.as_str(), "count": n}))
            .collect()
    };
    let by_decision: Vec<Value> =
        total.iter().map(|(d, n)| json!({"decision": d.as_str(), "count": n})).collect();
    shown.document(&json!({"as_of": as_of.to_string(), "records": total.values().sum::<u64>(), "by_decision": by_decision, "groups": groups_json}));
    let rows: Vec<Vec<String>> = grouped
        .into_iter()
        .map(|((c, y, p, due, d), n)| {
            let parts = [c, y, p, due].into_iter().flatten();
            parts.chain([d.french().to_owned(), thousands(i128::from(n))]).collect()
        })
        .collect();
    let names = [
        (GroupBy::Class, "classe"),
        (GroupBy::Year, "année scolaire"),
        (GroupBy::Producer, "producteur"),
        (GroupBy::DueYear, "échue en"),
    ];
    let mut header: Vec<&str> = names.iter().filter(|(g, _)| wants(*g)).map(|(_, n)| *n).collect();
    header.extend(["décision", "enregistrements"]);
    shown.say(&format!(
        "Sort final au {}\n\n{}",
        as_of.format("%d/%m/%Y"),
        table(&header, &rows, &[header.len() - 1])
    ));
    Ok(exit::DONE)
}

fn explain(config: &Config, record: &str, wanted: Option<&str>, at: NaiveDate, shown: &Shown) -> Result<u8> {
    let book = config.rulebook()?;
    let store = Store::open(&config.store)?;
    let mut groups = groups_of(&store, &book, record, wanted, at)?;
    let tables: Vec<String> = groups.iter().map(|g| g.snapshot.table_name.clone()).collect();
    let Some(group) = groups.pop() else {
        let what = format!(
            "aucun enregistrement « {record} » dans les tables : donnez son nom, LIVRAISON/FICHIER#NUMÉRO, comme dans decisions.parquet ou list.parquet"
        );
        return Err(Error::Usage(what));
    };
    // A file may fill several tables: their records are counted apart.
    if !groups.is_empty() {
        let what =
            format!("« {record} » est dans plusieurs tables : ajoutez --table ({})", tables.join(", "));
        return Err(Error::Usage(what));
    }
    let mut story = Analysis::new(&store, &book, at)?.explain(&group);
    for (sip, _) in store.ledger.packages_of(&group.snapshot.path)? {
        story.sentences.push(match cartulaire_engine::seda::reply::archived(&store, &sip)? {
            Some(reply) => format!(
                "Archivé : paquet {sip}, réponse de l'archive du {} (SHA-512 {}).",
                reply.replied_at, reply.sha512
            ),
            None => format!("Paquet {sip} : l'archive ne l'a pas encore pris en charge."),
        });
    }
    shown.document(&json!({"record": record, "table": group.snapshot.table_name, "record_class": group.snapshot.record_class, "annee_scolaire": group.snapshot.annee_scolaire, "explanation": story}));
    shown.say(&format!(
        "{record} ({}, {}), au {} : {}\n\n  {}",
        group.snapshot.table_name,
        group.snapshot.annee_scolaire,
        at.format("%d/%m/%Y"),
        story.decision.french(),
        story.sentences.join("\n  ")
    ));
    Ok(exit::DONE)
}

fn groups_of(
    store: &Store,
    book: &Rulebook,
    record: &str,
    wanted: Option<&str>,
    at: NaiveDate,
) -> Result<Vec<Group>> {
    let analysis = Analysis::new(store, book, at)?;
    let mut found = Vec::new();
    for snapshot in store.ledger.snapshots("")? {
        let asked = wanted.is_none_or(|table| table == snapshot.table_name);
        if !asked || !record.starts_with(&snapshot.delivery_id) {
            continue;
        }
        let path = store.snapshot_path(&snapshot)?;
        let mut splitter = analysis.splitter(&snapshot, &path)?;
        let mut columns: Vec<String> = splitter.wanted().into_iter().map(str::to_owned).collect();
        columns.extend(["_file".to_owned(), "_record".to_owned()]);
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        for batch in read_batches(&path, Some(&columns))? {
            let batch = batch?;
            let names = record_names(&snapshot.delivery_id, &batch)?;
            let numbers = splitter.rows(&snapshot, &batch)?;
            let names = arrow::array::AsArray::as_string::<i32>(&names);
            if let Some(row) = names.iter().position(|n| n == Some(record)) {
                let number = numbers.get(row).copied();
                let groups = analysis.groups(snapshot, &path)?;
                found.extend(groups.into_iter().find(|g| Some(g.number) == number));
                break;
            }
        }
    }
    Ok(found)
}

fn export(config: &Config, out: &Path, at: NaiveDate, shown: &Shown) -> Result<u8> {
    let book = config.rulebook()?;
    let (rules, left) = vitam::export(&book.referential.rules, at);
    let bytes = vitam::write(&rules)?;
    let mut file = std::fs::File::create_new(out).at(out)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).at(out)?;
    shown.document(&json!({"rules": rules.len(), "left_out": left}));
    let rows: Vec<Vec<String>> = left.into_iter().map(|l| vec![l.rule, l.reason.to_owned()]).collect();
    let mut said = format!("{} : {}", out.display(), count(rules.len() as u64, "règle", "règles"));
    if !rows.is_empty() {
        said.push_str(&format!("\n\n{}", table(&["laissée de côté", "elle"], &rows, &[])));
    }
    shown.say(&said);
    Ok(exit::DONE)
}

fn check(config: &Config, file: &Path, shown: &Shown) -> Result<u8> {
    let name = file.display().to_string();
    let (rules, findings): (usize, Vec<Value>) = if file.extension().is_some_and(|e| e == "csv") {
        match vitam::read(&std::fs::read(file).at(file)?) {
            Ok(rules) => (rules.len(), Vec::new()),
            Err(faults) => (0, faults.iter().map(|f| json!(f)).collect()),
        }
    } else {
        let files = rule_files(file)?;
        let loaded = Referential::load(&files).and_then(|r| {
            r.check_examples(&config.calendar()?)?;
            Ok(r.rules.len())
        });
        match loaded {
            Ok(rules) => (rules, Vec::new()),
            Err(Error::Config(faults)) => (0, faults.iter().map(fault).collect()),
            Err(other) => return Err(other),
        }
    };
    let verdict = if findings.is_empty() { "accepted" } else { "refused" };
    shown.document(&json!({"verdict": verdict, "rules": rules, "findings": findings}));
    let said: Vec<String> = findings
        .iter()
        .map(|f| {
            let text = |k: &str| {
                f.get(k).map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).unwrap_or_default()
            };
            format!("{name}:{}:{} [{}] {}", text("line"), text("column"), text("code"), text("message"))
        })
        .collect();
    shown.say(&match said.is_empty() {
        true => format!("« {name} » : {}, aucun défaut.", count(rules as u64, "règle", "règles")),
        false => said.join("\n"),
    });
    Ok(if findings.is_empty() { exit::DONE } else { exit::REFUSED })
}

fn fault(f: &ConfigFault) -> Value {
    json!({"code": "RULES_TOML", "line": f.line, "column": f.column, "message": f.message})
}

/// A second person approves the rules in force.
fn approve(config: &Config, key: &Path, date: NaiveDate, shown: &Shown) -> Result<u8> {
    let key = crate::elimination::private_key(key)?;
    let book = config.rulebook()?;
    let mut store = open_store_existing(config)?;
    let (rules, texts) = (&book.referential, &book.rule_texts);
    let done = second::approve(&mut store, &book.elimination, rules, texts, &key, (date, &now()))?;
    journal::mirror(&mut store)?;
    let ids: Vec<&str> = done.changes.iter().map(|c| c.rule.as_str()).collect();
    shown.document(&json!({"digest": done.digest, "previous": done.previous, "rules": ids}));
    shown.say(&format!("Règles approuvées : {}\nEmpreinte : {}", ids.join(", "), done.digest));
    Ok(exit::DONE)
}

fn differences(config: &Config, old: &Path, new: &Path, at: NaiveDate, shown: &Shown) -> Result<u8> {
    let load = |path: &Path| Referential::load(&rule_files(path)?);
    let (old, new) = (load(old)?, load(new)?);
    let changes = diff(&old, &new);
    let moved = match config.store.join("ledger.sqlite").exists() {
        true => Some(impacts(&Store::open(&config.store)?, &config.rulebook()?, &old, &new, at)?),
        false => None,
    };
    let json: Vec<Value> = changes
        .iter()
        .map(|c| json!({"rule": c.rule, "record_class": c.record_class, "direction": direction(c.direction), "needs_second_person": c.needs_second_person, "fields": c.fields.iter().map(|f| json!({"field": f.field, "old": f.old, "new": f.new})).collect::<Vec<_>>()}))
        .collect();
    let mut document = json!({"changes": json});
    if let (Some(moved), Some(fields)) = (&moved, document.as_object_mut()) {
        fields.insert("as_of".into(), json!(at.to_string()));
        fields.insert("impact".into(), json!(moved));
    }
    shown.document(&document);
    let rows: Vec<Vec<String>> = changes
        .iter()
        .map(|c| {
            let fields: Vec<String> =
                c.fields.iter().map(|f| format!("{} : {} → {}", f.field, f.old, f.new)).collect();
            vec![
                c.rule.clone(),
                match c.direction {
                    Direction::Longer => "allonge".into(),
                    Direction::Shorter => "raccourcit".into(),
                    Direction::Other => "change".into(),
                },
                if c.needs_second_person { "deux personnes".into() } else { String::new() },
                fields.join(" ; "),
            ]
        })
        .collect();
    let mut said = match rows.is_empty() {
        true => "Aucune différence.".to_owned(),
        false => table(&["règle", "effet", "à valider par", "champs"], &rows, &[]),
    };
    if let Some(moved) = &moved {
        said.push_str(&format!("\n\n{}", moves(moved, at)));
    }
    shown.say(&said);
    Ok(exit::DONE)
}

/// Records of the store that become due earlier or later, by class.
fn moves(moved: &BTreeMap<String, Impact>, at: NaiveDate) -> String {
    let rows =
        moved.iter().filter(|(_, i)| i.earlier + i.later + i.newly + i.no_longer > 0).map(|(class, i)| {
            let counts = [i.earlier, i.later, i.newly, i.no_longer, i.unchanged, i.due_before, i.due_after];
            std::iter::once(class.clone()).chain(counts.map(|n| thousands(i128::from(n)))).collect()
        });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        return "Aucune échéance d'enregistrement de l'entrepôt ne bouge.".to_owned();
    }
    let header = [
        "classe",
        "plus tôt",
        "plus tard",
        "jamais → échu",
        "échu → jamais",
        "inchangés",
        "échus avant",
        "échus après",
    ];
    format!(
        "Enregistrements de l'entrepôt dont l'échéance bouge ; échus au {} par les deux référentiels\n\n{}",
        at.format("%d/%m/%Y"),
        table(&header, &rows, &[1, 2, 3, 4, 5, 6, 7])
    )
}

fn direction(d: Direction) -> &'static str {
    match d {
        Direction::Longer => "longer",
        Direction::Shorter => "shorter",
        Direction::Other => "other",
    }
}
