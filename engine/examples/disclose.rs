//! Protects tables and rows of a CSV of persons: what `bench/disclosure.py` measures.
//!
//! `disclose table CSV DIMENSIONS` · `disclose distance CSV KNOWN SECRET` · `disclose rows CSV K SUPPRESSED`

use cartulaire_engine::disclosure::certify;
use cartulaire_engine::disclosure::microdata::{PARTS, Quasi, Request, group, search, verify};
use cartulaire_engine::disclosure::policy::{Insiders, Policy, Zeros};
use cartulaire_engine::disclosure::suppress::{Imposed, suppress};
use cartulaire_engine::disclosure::table::{Dimension, Record, Spec, Tables};
use cartulaire_engine::error::{Error, IoContext as _, Result};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number =
        |text: &str| text.parse::<u64>().map_err(|_| Error::Usage(format!("« {text} » n'est pas un nombre")));
    let found = match words.as_slice() {
        ["table", file, dimensions] => table(Path::new(file), &dimensions.split(',').collect::<Vec<_>>()),
        ["distance", file, known, secret] => {
            distance(Path::new(file), &known.split(',').collect::<Vec<_>>(), secret)
        }
        ["rows", file, k, suppressed] => rows(Path::new(file), number(k)?, number(suppressed)?),
        _ => Err(Error::Usage(
            "disclose table CSV DIMENSIONS | distance CSV CONNUES SECRET | rows CSV K MILLIONIEMES".into(),
        )),
    }?;
    std::io::stdout().write_all(format!("{found}\n").as_bytes()).at("stdout")
}

/// A column: different values, and the number of each row's.
struct Column {
    values: Vec<String>,
    codes: Vec<u32>,
}

/// Columns of a CSV, `;` between them, by name; values in their order.
fn read(file: &Path, names: &[&str]) -> Result<Vec<Column>> {
    let fault = |e: csv::Error| Error::Corrupt(e.to_string());
    let mut reader = csv::ReaderBuilder::new().delimiter(b';').from_path(file).map_err(fault)?;
    let header = reader.headers().map_err(fault)?.clone();
    let place = |name: &&str| {
        header
            .iter()
            .position(|h| h == *name)
            .ok_or_else(|| Error::Usage(format!("colonne « {name} » absente")))
    };
    let places: Vec<usize> = names.iter().map(place).collect::<Result<_>>()?;
    let mut numbers: Vec<HashMap<String, u32>> = vec![HashMap::new(); names.len()];
    let mut codes: Vec<Vec<u32>> = vec![Vec::new(); names.len()];
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(fault)? {
        for ((place, numbers), codes) in places.iter().zip(&mut numbers).zip(&mut codes) {
            let value = record.get(*place).unwrap_or_default();
            let next = numbers.len() as u32;
            codes.push(match numbers.get(value) {
                Some(code) => *code,
                None => *numbers.entry(value.to_owned()).or_insert(next),
            });
        }
    }
    Ok(numbers.into_iter().zip(codes).map(|(numbers, codes)| sorted(numbers, codes)).collect())
}

fn sorted(numbers: HashMap<String, u32>, codes: Vec<u32>) -> Column {
    let mut values: Vec<(String, u32)> = numbers.into_iter().collect();
    values.sort_by(|a, b| {
        let key = |v: &str| (v.parse::<i64>().is_err(), v.parse::<i64>().unwrap_or(0));
        (key(&a.0), &a.0).cmp(&(key(&b.0), &b.0))
    });
    let places: BTreeMap<u32, u32> = values.iter().map(|(_, old)| *old).zip(0..).collect();
    Column {
        codes: codes.iter().filter_map(|c| places.get(c).copied()).collect(),
        values: values.into_iter().map(|(value, _)| value).collect(),
    }
}

/// Counts persons by `names`, masks, certifies, checks.
fn table(file: &Path, names: &[&str]) -> Result<Value> {
    let columns = read(file, names)?;
    let started = Instant::now();
    let mut counts: HashMap<Vec<u32>, u32> = HashMap::new();
    let rows = columns.first().map_or(0, |c| c.codes.len());
    for row in 0..rows {
        let key = columns.iter().filter_map(|c| c.codes.get(row)).map(|c| c + 1).collect();
        *counts.entry(key).or_default() += 1;
    }
    let dimensions = names.iter().zip(&columns).map(|(n, c)| Dimension::flat(n, c.values.clone()));
    let records: Vec<Record> = counts.into_iter().map(|(leaves, n)| Record::count(leaves, n)).collect();
    let tables = Tables::build(
        vec![Spec { dimensions: dimensions.collect(), records, published: None, overlap: false }],
        true,
    )?;
    let policy = Policy {
        name: "mesure".into(),
        since: "2026-09-01".into(),
        threshold: 5,
        width: 2,
        dominance: None,
        p_percent: None,
        attributes: Vec::new(),
        zeros: Zeros::Published,
        insiders: Insiders::None,
    };
    let built = started.elapsed();
    let found = suppress(&tables, &policy, &Imposed::default())?;
    let suppressed = started.elapsed();
    let published = tables.published(&found.masked, policy.floor(&tables));
    let proof = certify(&tables, &found, &published);
    let checked = proof.check(&published, Some(policy.uniform().of(true)), &found.requirements)?;
    Ok(json!({
        "cells": tables.cells.len(), "primary": found.primary, "secondary": found.secondary(),
        "unprotected": found.unprotected.len(), "certified": checked.cells,
        "build_s": built.as_secs_f64(), "suppress_s": (suppressed - built).as_secs_f64(),
        "certify_and_check_s": (started.elapsed() - suppressed).as_secs_f64(), "work_s": started.elapsed().as_secs_f64(),
    }))
}

fn text(column: &Column, row: usize) -> &str {
    column.codes.get(row).and_then(|v| column.values.get(*v as usize)).map_or("", String::as_str)
}

/// The t of a file as it is, `secret` being ordered.
fn distance(file: &Path, known: &[&str], secret: &str) -> Result<Value> {
    let columns = read(file, &[known, &[secret]].concat())?;
    let started = Instant::now();
    let rows = columns.first().map_or(0, |c| c.codes.len());
    let all: Vec<Vec<&str>> = (0..rows).map(|row| columns.iter().map(|c| text(c, row)).collect()).collect();
    let anything = Request { k: 0, l: 0, t: None, suppressed: 0 };
    let found = verify(&all, known.len(), &[true], &anything)?;
    Ok(
        json!({"k": found.k, "t": found.t as f64 / PARTS as f64, "classes": found.classes, "work_s": started.elapsed().as_secs_f64()}),
    )
}

/// The hierarchies that the peers are given: label of a code at each coarser level.
fn levels(name: &str, value: &str) -> Vec<String> {
    let year = |step: i64| value.parse::<i64>().map_or(0, |v| v / step * step).to_string();
    match name {
        "departement" => vec![value.chars().take(2).collect()],
        "annee_naissance" => vec![year(2), year(4)],
        "niveau" => vec![if value.starts_with(['6', '5', '4', '3']) { "COL" } else { "LYC" }.into()],
        _ => Vec::new(),
    }
}

/// k-anonymity by the least generalisation.
fn rows(file: &Path, k: u64, suppressed: u64) -> Result<Value> {
    let names = ["departement", "sexe", "annee_naissance", "niveau", "boursier"];
    let columns = read(file, &names)?;
    let started = Instant::now();
    let quasi: Vec<Quasi> = names
        .iter()
        .zip(&columns)
        .map(|(name, c)| {
            let of: Vec<Vec<String>> = c.values.iter().map(|v| levels(name, v)).collect();
            let count = of.first().map_or(0, Vec::len);
            let level = |i: usize| of.iter().map(|l| l.get(i).cloned().unwrap_or_default()).collect();
            Quasi::new(c.values.len(), &(0..count).map(level).collect::<Vec<_>>())
        })
        .collect();
    let codes: Vec<&[u32]> = columns.iter().map(|c| c.codes.as_slice()).collect();
    let classes = group(&quasi, &codes, &[])?;
    let request = Request { k: u32::try_from(k).unwrap_or(u32::MAX), l: 1, t: None, suppressed };
    let Some(found) = search(&classes, &quasi, &request)? else {
        return Ok(json!({"levels": null, "work_s": started.elapsed().as_secs_f64()}));
    };
    Ok(json!({
        "levels": found.levels, "suppressed_rows": found.suppressed_rows, "loss": found.loss, "classes": classes.len(),
        "nodes": found.tried, "work_s": started.elapsed().as_secs_f64(),
    }))
}
