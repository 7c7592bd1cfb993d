//! `extract`: open data, made or audited.

use crate::cli::{ExtractArgs, ExtractCommand};
use crate::commands::{exit_of, show_outcome};
use crate::config::Config;
use crate::exit;
use crate::output::Shown;
use crate::runner::{Order, execute, today};
use cartulaire_engine::disclosure::audit::Limits;
use cartulaire_engine::disclosure::verdict::{Asked, Audit, Verdict, audit_folder};
use cartulaire_engine::error::{Error, Result};
use cartulaire_engine::extract;
use cartulaire_engine::french::{count, thousands};
use cartulaire_engine::store::Store;
use chrono::NaiveDate;
use serde_json::json;
use std::path::Path;

/// Exposed cells shown to people; the JSON document has them all.
const SHOWN: usize = 20;

/// Runs the command.
pub fn run(config: &Config, args: &ExtractArgs, shown: &Shown) -> Result<u8> {
    match (&args.command, &args.dataset) {
        (Some(ExtractCommand::Audit { folder, certificate, threshold, width }), _) => {
            let (threshold, width) = (threshold.map(i64::from), width.map(i64::from));
            let asked = Asked { threshold, width, ..Asked::default() };
            audit(folder, certificate.as_deref(), asked, shown)
        }
        (None, Some(dataset)) => produce(config, dataset, args.date.date, args.out.as_deref(), shown),
        (None, None) => Err(Error::Usage("donnez le nom d'un jeu".into())),
    }
}

fn audit(folder: &Path, certificate: Option<&Path>, asked: Asked, shown: &Shown) -> Result<u8> {
    if asked.threshold.is_some_and(|t| t < 2) || asked.width.is_some_and(|w| w < 1) {
        return Err(Error::Usage("le seuil vaut au moins 2, le doute au moins 1".into()));
    }
    if !folder.is_dir() {
        return Err(Error::Usage(format!("« {} » n'est pas un dossier", folder.display())));
    }
    let found = audit_folder(folder, certificate, asked, &Limits::default())?;
    shown.document(&found);
    shown.say(&page(folder, &found));
    Ok(if found.verdict == Verdict::Safe { exit::DONE } else { exit::REFUSED })
}

fn page(folder: &Path, found: &Audit) -> String {
    let verdict = match (found.verdict, found.certified) {
        (Verdict::Safe, true) => "sûr, le certificat est vérifié",
        (Verdict::Safe, false) => "sûr, l'attaque n'a rien donné",
        (Verdict::Unsafe, _) => "dangereux",
        (Verdict::Undecided, _) => {
            "non prouvé : trop grand pour être attaqué jusqu'au bout, donnez son certificat"
        }
    };
    let mut out = format!(
        "{} : {verdict}\nChiffres : {} ; masqués : {}\nRègle : seuil de {} personnes, doute de {}\n",
        folder.display(),
        thousands(found.cells as u64),
        thousands(found.suppressed as u64),
        found.rule.threshold,
        found.rule.width
    );
    if !found.exposed.is_empty() {
        let n = count(found.exposed.len() as u64, "cellule se recalcule", "cellules se recalculent");
        out.push_str(&format!("{n} de trop près :\n"));
        for e in found.exposed.iter().take(SHOWN) {
            out.push_str(&format!("  {} : entre {} et {}\n", e.cell, e.lower, e.upper));
        }
    }
    if let Some(reason) = &found.reason {
        out.push_str(&format!("{reason}\n"));
    }
    for note in &found.notes {
        out.push_str(&format!("À savoir : {note}\n"));
    }
    if found.undecided > 0 {
        out.push_str(&format!("Indécises : {}\n", thousands(found.undecided as u64)));
    }
    out.trim_end().to_owned()
}

fn produce(
    config: &Config,
    name: &str,
    date: Option<NaiveDate>,
    out: Option<&Path>,
    shown: &Shown,
) -> Result<u8> {
    let mut book = config.rulebook()?;
    let names: Vec<String> = book.datasets.iter().map(|d| d.name.clone()).collect();
    book.datasets.retain(|d| d.name == name);
    let Some(dataset) = book.datasets.first() else {
        return Err(Error::Usage(format!("jeu inconnu « {name} » ; jeux : {}", names.join(", "))));
    };
    let date = date.unwrap_or_else(today);
    let Some(out) = out else {
        drop(Store::open(&config.store)?);
        let order = Order {
            job: "extract",
            date,
            steps: vec!["extract".into()],
            inbox: Vec::new(),
            always: true,
            resume: false,
        };
        let outcome = execute(config, &book, &order, shown)?;
        show_outcome(&outcome, config, shown);
        return Ok(exit_of(&outcome));
    };
    if std::fs::read_dir(out).is_ok_and(|mut d| d.next().is_some()) {
        return Err(Error::Usage(format!("« {} » n'est pas vide : donnez un autre dossier", out.display())));
    }
    let store = Store::open(&config.store)?;
    let built =
        extract::build(&store, dataset, date, &date.to_string(), out, &mut Vec::new()).inspect_err(|_| {
            // What is refused is not left where someone may take it.
            let _ = std::fs::remove_dir_all(out);
        })?;
    let (cells, masked) = built.cells;
    shown.document(&json!({"dataset": name, "date": date.to_string(), "out": out.display().to_string(), "cells": cells, "masked": masked, "data_sha256": built.data_digest}));
    shown.say(&format!(
        "Jeu « {name} » écrit dans « {} » : {}. Il n'est pas inscrit dans l'entrepôt : ne le diffusez pas, les publications \
         suivantes ne le connaîtraient pas.",
        out.display(),
        built.summary(dataset)
    ));
    Ok(exit::DONE)
}
