//! The package step: the records of a class, a school year and a start of retention whose sort final
//! is conservation go into one set of packages. A record is packaged once.

use super::build::{Built, Set, build};
use super::model::Version;
use crate::domain::{AnneeScolaire, Digest};
use crate::error::{Error, Result};
use crate::french::{count, thousands};
use crate::journal::NewEntry;
use crate::retention::{Analysis, Group, Outcome, decisions};
use crate::run::{Counts, Run, Said};
use crate::store::{Gel, SipRow, current, files, signed};
use chrono::NaiveDate;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What goes together: class, school year, start of the duration, holds.
type Key = (String, String, NaiveDate, Vec<String>);

/// The package step.
///
/// # Errors
/// When the store fails.
pub fn package(run: &mut Run<'_>) -> Result<Said> {
    let groups = decisions(run.store, run.rulebook, run.date)?;
    let mut counts = Counts { read: groups.iter().map(|g| g.records).sum(), ..Counts::default() };
    let mut todo: BTreeMap<Key, Vec<&Group>> = BTreeMap::new();
    let (mut waiting, mut before, mut replaced) = (Vec::new(), 0_u64, 0_u64);
    let present = present(run)?;
    let analysis = Analysis::new(run.store, run.rulebook, run.date)?;
    for group in groups.iter().filter(|g| kept_for_good(run, &analysis, g)) {
        // A snapshot goes into a package whole, or not yet.
        let Some(start) = group.verdict.start.filter(|_| group.whole) else { continue };
        let s = &group.snapshot;
        if !present.contains(&s.path) {
            replaced += group.records;
        } else if let Some(sip) = run.store.ledger.packaged_in(&s.path)? {
            // A run that was interrupted after this package counts it as its own.
            let mine = run.store.ledger.sips()?.iter().any(|p| p.id == sip && p.run_id == run.id);
            if mine { counts.accepted += group.records } else { before += group.records }
        } else if run.rulebook.profile.class(&s.record_class).is_none() {
            waiting.push(s.record_class.clone());
        } else {
            let key = (s.record_class.clone(), s.annee_scolaire.clone(), start, group.shared.held.clone());
            todo.entry(key).or_default().push(group);
        }
    }
    let total = todo.len() as u64;
    for (i, (key, groups)) in todo.into_iter().enumerate() {
        let mut rules: Vec<String> =
            groups.iter().flat_map(|g| analysis.dua_rules(g)).map(|r| r.id.clone()).collect();
        rules.sort_unstable();
        rules.dedup();
        counts.accepted += set(run, &key, rules, &groups)?;
        run.progress.advance(i as u64 + 1, total);
    }
    counts.excluded = counts.read - counts.accepted;
    let sips = run.store.ledger.sips()?;
    let mine: Vec<_> = sips.iter().filter(|s| s.run_id == run.id).collect();
    let mut detail = format!(
        "{}, {}",
        count(mine.len() as u64, "paquet", "paquets"),
        count(counts.accepted, "enregistrement", "enregistrements")
    );
    if before > 0 {
        detail.push_str(&format!(", {} déjà dans un paquet", thousands(before)));
    }
    if replaced > 0 {
        detail.push_str(&format!(
            ", {} d'états remplacés par une livraison plus récente, gardés",
            thousands(replaced)
        ));
    }
    waiting.sort();
    waiting.dedup();
    if !waiting.is_empty() {
        detail.push_str(&format!("\nclasses sans profil SEDA, gardées en attente : {}", waiting.join(", ")));
    }
    let outputs = mine.iter().map(|s| format!("{}/{}.zip", s.path, s.id)).collect();
    Ok(Said { counts, outputs, detail, ..Said::default() })
}

/// Paths of the snapshots that say the present state: an archive receives the last complete
/// delivery of a school year, not every night's copy of it.
fn present(run: &Run<'_>) -> Result<BTreeSet<String>> {
    let mut out = BTreeSet::new();
    for contract in &run.rulebook.contracts {
        let all = run.store.ledger.snapshots(&contract.name)?;
        out.extend(current(&all, contract.snapshot, run.date).into_iter().map(|s| s.path.clone()));
    }
    Ok(out)
}

/// Whether a group goes to the archive: to be conserved, even under a hold when the profile of its
/// class says by which rule the archive holds.
fn kept_for_good(run: &Run<'_>, analysis: &Analysis<'_>, group: &Group) -> bool {
    let profile = &run.rulebook.profile;
    let holds = || profile.class(&group.snapshot.record_class).is_some_and(|c| c.hold_rule.is_some());
    match group.verdict.outcome {
        Outcome::Conserve => true,
        Outcome::KeepHeld => {
            profile.version >= Version::V2_2 && holds() && analysis.without_holds(group) == Outcome::Conserve
        }
        _ => false,
    }
}

/// Makes and publishes the packages of a set; the number of their records.
fn set(run: &mut Run<'_>, key: &Key, rules: Vec<String>, groups: &[&Group]) -> Result<u64> {
    let (name, year, start, held) = key;
    let Some(class) = run.rulebook.profile.class(name) else { return Ok(0) };
    let start_text = start.to_string();
    let digests = groups.iter().map(|g| g.snapshot.sha256.as_str());
    let lines = [name.as_str(), year, &start_text].into_iter().chain(digests);
    let digest = Digest::of_lines(lines.chain(held.iter().map(String::as_str)));
    let calendar = &run.rulebook.calendar;
    let parsed = AnneeScolaire::parse(year);
    let dates = parsed.and_then(|y| calendar.start_of(y).zip(calendar.end_of(y))).unwrap_or((*start, *start));
    let gels: Vec<Gel> = run.store.ledger.gels()?.into_iter().filter(|g| held.contains(&g.id)).collect();
    let set = Set {
        id: format!("SIP-{name}-{year}-{}", digest.short(8)),
        class,
        year,
        dates,
        start: *start,
        rules,
        gels,
        snapshots: groups.iter().map(|g| &*g.snapshot).collect(),
    };
    let work = run.store.work_dir(&format!("package-{}", set.id))?;
    let built = build(run, &set, &work)?;
    let records: u64 = built.iter().flat_map(|b| &b.items).map(|(_, n)| n).sum();
    let expected: u64 = groups.iter().map(|g| g.records).sum();
    if records != expected {
        return Err(Error::Corrupt(format!(
            "paquet {} : {records} enregistrements écrits, {expected} attendus",
            set.id
        )));
    }
    publish(run, name, year, &built)?;
    files::remove_dir(&work)?;
    Ok(records)
}

/// All packages of a set, or none: a record that is packaged is in one that stands.
fn publish(run: &mut Run<'_>, class: &str, year: &str, built: &[Built]) -> Result<()> {
    let path = |b: &Built| format!("archives/{}", b.id);
    let moves: Vec<_> = built.iter().map(|b| (b.folder.clone(), path(b))).collect();
    run.store.publish(&moves)?;
    let (at, date) = (run.now(), run.date.to_string());
    run.store.ledger.transact(|tx| {
        for b in built {
            let records: u64 = b.items.iter().map(|(_, n)| n).sum();
            let row = SipRow {
                id: b.id.clone(),
                record_class: class.to_owned(),
                annee_scolaire: year.to_owned(),
                path: path(b),
                sha512: b.sha512.clone(),
                records: signed(records),
                run_id: run.id.clone(),
            };
            let items: Vec<(String, i64)> = b.items.iter().map(|(p, n)| (p.clone(), signed(*n))).collect();
            tx.sip(&row, &items)?;
            let payload = json!({"sip": b.id, "zip_sha512": b.sha512, "records": records, "snapshots": items.iter().map(|i| &i.0).collect::<Vec<_>>()});
            tx.journal(&NewEntry { at: &at, date: &date, run_id: &run.id, kind: "sip_packaged", payload })?;
        }
        Ok(())
    })
}
