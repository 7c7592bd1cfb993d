//! Rights of persons: what the store holds of one, shown or copied out.

use crate::cli::{Person, PersonArgs};
use crate::config::Config;
use crate::elimination::{salt, write_private};
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::{now, open_store_existing, today};
use cartulaire_engine::contract::{Role, Who};
use cartulaire_engine::error::{Error, IoContext, Result};
use cartulaire_engine::french::count;
use cartulaire_engine::journal::{self, NewEntry};
use cartulaire_engine::person::{Answer, Found, Place, Question, find, identifier_digest, page};
use cartulaire_engine::store::Store;
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;

/// Bytes of an identifier read from the standard input, at most.
const INPUT_MAX: u64 = 1024;

/// Runs one of the commands.
pub fn run(config: &Config, command: &Person, shown: &Shown) -> Result<u8> {
    match command {
        Person::Find(args) => {
            let (answer, at) = search(config, args, false)?;
            shown.document(&document(&answer, at, false));
            shown.say(&said(&answer, at));
        }
        Person::Export { who, out } => {
            refuse_full(out)?;
            let (answer, at) = search(config, who, true)?;
            write(&answer, at, out)?;
            shown.document(&json!({"out": out.display().to_string(), "records": answer.found.len()}));
            shown.say(&format!(
                "{} dans « {} » : personne.html et person.json, lisibles de leur seul propriétaire.",
                count(answer.found.len() as u64, "enregistrement copié", "enregistrements copiés"),
                out.display()
            ));
        }
    }
    Ok(exit::DONE)
}

fn search(config: &Config, args: &PersonArgs, exported: bool) -> Result<(Answer, NaiveDate)> {
    let given = args.ine.as_ref().or(args.id.as_ref()).map_or("", String::as_str);
    let value = if given == "-" { from_input()? } else { given.trim().to_owned() };
    if value.is_empty() {
        return Err(Error::Usage("identifiant vide : donnez --ine INE ou --id IDENTIFIANT".into()));
    }
    let (space, who) = match (&args.ine, &args.space) {
        (Some(_), _) => (Some("ine"), None),
        (None, Some(space)) => match space.split_once(':') {
            Some((space, who)) => (Some(space), Some(kind(who)?)),
            None => (Some(space.as_str()), None),
        },
        (None, None) => (None, None),
    };
    let book = config.rulebook()?;
    let mut store = open_store_existing(config)?;
    let at = args.date.date.unwrap_or_else(today);
    let answer = find(&store, &book, &Question { value: &value, space, who, at })?;
    remember(&mut store, &answer, (space.unwrap_or_default(), &value), at, exported)?;
    Ok((answer, at))
}

fn kind(who: &str) -> Result<Who> {
    Ok(match who {
        "eleve" => Who::Eleve,
        "responsable" => Who::Responsable,
        "agent" => Who::Agent,
        "visiteur" => Who::Visiteur,
        _ => {
            let message = "--space ESPACE:QUI : qui est eleve, responsable, agent ou visiteur";
            return Err(Error::Usage(message.into()));
        }
    })
}

fn from_input() -> Result<String> {
    let mut text = String::new();
    let input = std::io::stdin().lock().take(INPUT_MAX + 1).read_to_string(&mut text);
    match input {
        Ok(n) if n as u64 <= INPUT_MAX => Ok(text.trim().to_owned()),
        _ => Err(Error::Usage("entrée standard : un seul identifiant, en UTF-8, est attendu".into())),
    }
}

/// The journal keeps that somebody was searched; who, only to those who know the identifier.
fn remember(
    store: &mut Store,
    answer: &Answer,
    asked: (&str, &str),
    at: NaiveDate,
    exported: bool,
) -> Result<()> {
    let salt = salt(store)?;
    let known = answer.identifiers.iter().map(|i| (i.space.as_str(), i.value.as_str()));
    let mut digests: Vec<String> =
        known.chain([asked]).map(|(space, value)| identifier_digest(&salt, space, value)).collect();
    digests.sort_unstable();
    digests.dedup();
    let payload = json!({"identifiers": digests, "records": answer.found.len(), "exported": exported});
    let (now, date) = (now(), at.to_string());
    store.ledger.transact(|tx| {
        tx.journal(&NewEntry { at: &now, date: &date, run_id: "", kind: "person_searched", payload })
    })?;
    journal::mirror(store)
}

/// With the values of the records when it goes to the person; a search tells only where they are.
fn document(answer: &Answer, at: NaiveDate, values: bool) -> Value {
    let mut document = json!({"date": at.to_string()});
    if let (Some(into), Ok(Value::Object(from))) = (document.as_object_mut(), serde_json::to_value(answer)) {
        into.extend(from);
    }
    if !values && let Some(found) = document.get_mut("found").and_then(Value::as_array_mut) {
        for record in found.iter_mut().filter_map(Value::as_object_mut) {
            record.remove("values");
        }
    }
    document
}

fn french_day(date: NaiveDate) -> String {
    date.format("%d/%m/%Y").to_string()
}

fn fate(found: &Found) -> String {
    match (found.decision, found.due) {
        (None, _) => "copie : part avec sa livraison".to_owned(),
        (Some(decision), Some(due)) => format!("{} (échéance {})", decision.french(), french_day(due)),
        (Some(decision), None) => decision.french().to_owned(),
    }
}

fn said(answer: &Answer, at: NaiveDate) -> String {
    let mut out = match answer.found.len() {
        0 => "Aucun enregistrement.".to_owned(),
        n => format!("{}, au {}.", count(n as u64, "enregistrement", "enregistrements"), french_day(at)),
    };
    if !answer.found.is_empty() {
        let rows: Vec<Vec<String>> = answer
            .found
            .iter()
            .map(|f| {
                let place = match (f.place, f.superseded) {
                    (Place::Table, false) => "table",
                    (Place::Table, true) => "table (remplacé)",
                    (Place::Quarantine, _) => "quarantaine",
                };
                let role = if f.role == Role::Subject { "sujet" } else { "mention" };
                [place, &f.table, &f.annee_scolaire, role, &f.record, &fate(f)].map(str::to_owned).to_vec()
            })
            .collect();
        let header = ["lieu", "table", "année scolaire", "rôle", "enregistrement", "sort"];
        out.push_str(&format!("\n\n{}", table(&header, &rows, &[])));
        let mut rules: Vec<String> = answer
            .found
            .iter()
            .filter(|f| f.place == Place::Table)
            .map(|f| {
                format!(
                    "{} : {}",
                    f.record_class,
                    if f.rules.is_empty() { "aucune règle".into() } else { f.rules.join(" ; ") }
                )
            })
            .collect();
        rules.sort_unstable();
        rules.dedup();
        if !rules.is_empty() {
            out.push_str(&format!("\n\nTextes qui gardent ces enregistrements :\n  {}", rules.join("\n  ")));
        }
    }
    if !answer.received.is_empty() {
        let rows: Vec<Vec<String>> = answer
            .received
            .iter()
            .map(|r| {
                let told = if r.explained { "" } else { "trouvé hors des colonnes connues" };
                vec![r.delivery.clone(), r.file.clone(), r.occurrences.to_string(), told.to_owned()]
            })
            .collect();
        let header = ["livraison", "fichier reçu", "occurrences", "remarque"];
        out.push_str(&format!("\n\n{}", table(&header, &rows, &[2])));
    }
    let conflicts = answer.conflicts.len() as u64;
    if conflicts > 0 {
        out.push_str(&format!(
            "\n\n{} entre identifiants : rien n'a été suivi de ce qui est contredit (détail : --json).",
            count(conflicts, "contradiction", "contradictions")
        ));
    }
    let lost: u64 = answer.unreachable.iter().map(|u| u.records).sum();
    if lost > 0 {
        out.push_str(&format!(
            "\n\nRecherche non complète : {} en quarantaine, à l'identifiant vide ou mal formé (détail : --json).",
            count(lost, "enregistrement", "enregistrements")
        ));
    }
    for o in &answer.opaque {
        out.push_str(&format!("\nNon fouillé octet par octet : {} ({})", o.file, o.why));
    }
    out
}

/// Somebody's data are never mixed with another's.
fn refuse_full(out: &Path) -> Result<()> {
    let full = match std::fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(e) => e.kind() != std::io::ErrorKind::NotFound,
    };
    match full {
        true => {
            Err(Error::Usage(format!("« {} » n'est pas un dossier vide : donnez-en un autre", out.display())))
        }
        false => Ok(()),
    }
}

fn write(answer: &Answer, at: NaiveDate, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).at(out)?;
    cartulaire_engine::store::files::restrict(out)?;
    let text =
        serde_json::to_string_pretty(&document(answer, at, true)).map_err(|e| Error::Write(e.to_string()))?;
    write_private(&out.join("person.json"), &(text + "\n"))?;
    write_private(&out.join("personne.html"), &page(answer, at))
}
