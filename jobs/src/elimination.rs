//! Elimination: what people do with a list. Keys are drawn here, files are read and written here; who
//! may do what is the engine's.

use crate::cli::{Answered, Elimination, VisaArgs};
use crate::config::{Config, read};
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::{now, open_store_existing, today};
use cartulaire_engine::elimination::exported::ExportedList;
use cartulaire_engine::elimination::keys::PrivateKey;
use cartulaire_engine::elimination::papers::{Answer as Cell, annotate};
use cartulaire_engine::elimination::registry::Registry;
use cartulaire_engine::elimination::state::State;
use cartulaire_engine::elimination::visa::{Answer, Authority, Decision, RowChoice, RowDecision, give};
use cartulaire_engine::elimination::{Desk, Execution, bordereau, order};
use cartulaire_engine::error::{Error, IoContext, Result};
use cartulaire_engine::french::{count, thousands};
use cartulaire_engine::journal;
use cartulaire_engine::store::{Store, files};
use chrono::NaiveDate;
use serde_json::{Value, json};
use std::path::Path;

/// Runs one of the commands.
pub fn run(config: &Config, command: &Elimination, shown: &Shown) -> Result<u8> {
    match command {
        Elimination::Propose { .. } => Err(Error::Usage("proposer passe par une exécution".into())),
        Elimination::List => lists(config, shown),
        Elimination::Show { id } => show(config, id, shown),
        Elimination::Export { id, out } => export(config, id, out, shown),
        Elimination::Key { person, out } => key(person, out, shown),
        Elimination::Annotate { folder, sheet } => annotated(folder, sheet, shown),
        Elimination::Visa(args) => visa(config, args, shown),
        Elimination::Sign { id, key, date } => {
            let key = private_key(key)?;
            act(config, id, date.date, shown, |desk| desk.sign(id, &key))
        }
        Elimination::Submit { id, by, key, date } => {
            let key = own_key(key.as_deref())?;
            act(config, id, date.date, shown, |desk| desk.submit(id, by, key.as_ref()))
        }
        Elimination::Recall { id, by, key, reason, date } => {
            let key = own_key(key.as_deref())?;
            act(config, id, date.date, shown, |desk| desk.recall(id, by, key.as_ref(), reason))
        }
        Elimination::Execute { id, approve, by, key, date } => match (approve, by) {
            (Some(key), None) => approval(config, id, key, date.date, shown),
            (None, Some(person)) => execute(config, id, (person, key.as_deref()), date.date, shown),
            _ => Err(Error::Usage(
                "donnez --approve CLÉ (le responsable ordonne l'exécution) ou --by PERSONNE (l'exécutant exécute)".into(),
            )),
        },
        Elimination::Order { id, out: Some(out), date, .. } => orders(config, id, out, date.date, shown),
        Elimination::Order { id, import, date, .. } => answered(config, id, import.as_deref(), date.date, shown),
        Elimination::Attest { id, key, date } => {
            let key = private_key(key)?;
            act(config, id, date.date, shown, |desk| desk.attest(id, &key))
        }
    }
}

/// An act on a list, and where the list stands after it.
pub fn act(
    config: &Config,
    list: &str,
    date: Option<NaiveDate>,
    shown: &Shown,
    act: impl FnOnce(&mut Desk<'_>) -> Result<State>,
) -> Result<u8> {
    let terms = config.elimination()?;
    let mut store = open_store_existing(config)?;
    let mut desk = Desk { store: &mut store, terms: &terms, date: date.unwrap_or_else(today), clock: &now };
    let state = act(&mut desk)?;
    journal::mirror(&mut store)?;
    shown.document(&json!({"list": list, "state": state.as_str()}));
    shown.say(&format!("Liste {list} : {}.", state.french()));
    Ok(exit::DONE)
}

fn approval(config: &Config, list: &str, key: &Path, date: Option<NaiveDate>, shown: &Shown) -> Result<u8> {
    let key = private_key(key)?;
    let terms = config.elimination()?;
    let mut store = open_store_existing(config)?;
    let mut desk = Desk { store: &mut store, terms: &terms, date: date.unwrap_or_else(today), clock: &now };
    let until = desk.approve(list, &key)?;
    // Dated back, it still runs from today.
    let delay = until - desk.date;
    let until = until.max(today().checked_add_signed(delay).unwrap_or(until));
    journal::mirror(&mut store)?;
    shown.document(&json!({"list": list, "state": State::CoolingOff.as_str(), "until": until.to_string()}));
    shown.say(&format!(
        "Liste {list} : exécution ordonnée ; elle est possible à partir du {}. Produisez avant elle les ordres pour les applications sources (`cartulaire elimination order {list} --out DOSSIER`) : après, leurs identifiants ne sont plus dans l'entrepôt.",
        until.format("%d/%m/%Y")
    ));
    Ok(exit::DONE)
}

fn execute(
    config: &Config,
    list: &str,
    (person, key): (&str, Option<&Path>),
    date: Option<NaiveDate>,
    shown: &Shown,
) -> Result<u8> {
    let key = own_key(key)?;
    let date = date.unwrap_or_else(today);
    if date > today() {
        // A day that has not come would skip the cooling-off, and the durations themselves.
        return Err(Error::Refused {
            code: "ELIM_DATE_FUTURE",
            message: format!(
                "une exécution ne se date pas dans l'avenir : le {} n'est pas encore venu",
                date.format("%d/%m/%Y")
            ),
        });
    }
    let rulebook = config.rulebook()?;
    let mut store = open_store_existing(config)?;
    let salt = salt(&mut store)?;
    let mut execution = Execution {
        store: &mut store,
        rulebook: &rulebook,
        date,
        clock: &now,
        salt,
        executor: person,
        key: key.as_ref(),
    };
    let done = execution.run(list);
    // Also after a refusal: an execution killed at its very end has left this to the next call.
    journal::mirror(&mut store)?;
    let done = done?;
    shown.document(&json!({"list": list, "state": done.state, "records": done.records, "files": done.files, "failures": done.failures}));
    let mut text = format!(
        "Liste {list} : {} éliminés, {} supprimés ou réécrits.",
        count(done.records, "enregistrement", "enregistrements"),
        count(done.files as u64, "fichier", "fichiers")
    );
    for failure in &done.failures {
        text.push_str(&format!("\n  gardé : {failure}"));
    }
    shown.say(&text);
    Ok(if done.failures.is_empty() { exit::DONE } else { exit::REFUSED })
}

fn orders(config: &Config, list: &str, out: &Path, date: Option<NaiveDate>, shown: &Shown) -> Result<u8> {
    let rulebook = config.rulebook()?;
    let mut store = open_store_existing(config)?;
    let date = date.unwrap_or_else(today);
    // Nobody executes here: no tombstone is left, no name is taken.
    let making = Execution {
        store: &mut store,
        rulebook: &rulebook,
        date,
        clock: &now,
        salt: [0; 32],
        executor: "",
        key: None,
    };
    let orders = making.orders(list)?;
    let mut written = Vec::new();
    let mut all = Vec::new();
    for order in &orders {
        for (name, bytes) in order.files()? {
            let path = out.join(name);
            if path.exists() {
                let what = format!("« {} » existe déjà : donnez un autre dossier", path.display());
                return Err(Error::Usage(what));
            }
            written.push(path.display().to_string());
            all.push((path, bytes));
        }
    }
    if !out.exists() {
        std::fs::create_dir_all(out).at(out)?;
        files::restrict(out)?;
    }
    for (path, bytes) in &all {
        files::write_atomic(path, bytes)?;
    }
    order::record(&mut store, &orders, date, &now())?;
    journal::mirror(&mut store)?;
    let json = orders.iter().map(|o| Ok(json!({"source": o.source, "order": o.order, "sha256": o.digest()?, "items": o.items.len(), "records": o.records})));
    shown.document(&json!({"list": list, "orders": json.collect::<Result<Vec<Value>>>()?, "files": written}));
    shown.say(&format!(
        "Liste {list} : {}. Ces fichiers désignent des personnes : transmettez-les par une voie protégée, et ne les gardez pas.\n  {}",
        count(orders.len() as u64, "ordre d'élimination", "ordres d'élimination"),
        written.join("\n  ")
    ));
    Ok(exit::DONE)
}

fn answered(
    config: &Config,
    list: &str,
    file: Option<&Path>,
    date: Option<NaiveDate>,
    shown: &Shown,
) -> Result<u8> {
    let file = file.ok_or_else(|| Error::Usage("donnez --out DOSSIER ou --import FICHIER".into()))?;
    let bytes = std::fs::read(file).at(file)?;
    let terms = config.elimination()?;
    let mut store = open_store_existing(config)?;
    let mut desk = Desk { store: &mut store, terms: &terms, date: date.unwrap_or_else(today), clock: &now };
    let covered = desk.order_answer(list, &bytes)?;
    journal::mirror(&mut store)?;
    let (done, failed) = covered.answer.as_ref().map_or((0, 0), |a| (a.done, a.failed));
    shown.document(&json!({"list": list, "source": covered.source, "order": covered.order, "done": done, "failed": failed}));
    shown.say(&format!(
        "Ordre {} : {}, {}. L'empreinte du retour est au registre ; détruisez les fichiers de l'ordre, gardez le retour.",
        covered.order,
        count(done, "numéro effacé", "numéros effacés"),
        count(failed, "échec", "échecs")
    ));
    Ok(if failed == 0 { exit::DONE } else { exit::REFUSED })
}

fn lists(config: &Config, shown: &Shown) -> Result<u8> {
    let store = Store::open(&config.store)?;
    let mut json = Vec::new();
    let mut rows = Vec::new();
    for l in store.ledger.lists()? {
        let state = store.ledger.course(&l.id)?.state();
        json.push(json!({"id": l.id, "digest": l.digest, "status": state.as_str(), "records": l.records, "proposed_on": l.proposed_on, "path": l.path}));
        rows.push(vec![l.id, state.french().to_owned(), l.proposed_on, thousands(l.records), l.path]);
    }
    shown.document(&json!({"lists": json}));
    shown.say(&table(&["liste", "état", "établie le", "enregistrements", "dossier"], &rows, &[3]));
    Ok(exit::DONE)
}

fn show(config: &Config, id: &str, shown: &Shown) -> Result<u8> {
    let store = Store::open(&config.store)?;
    let (text, _) = cartulaire_engine::elimination::read_list(&store, id)?;
    let paper = bordereau(&text)?;
    let course = store.ledger.course(id)?;
    let steps: Vec<Value> = course
        .steps()
        .iter()
        .map(|s| json!({"event": s.event.as_str(), "person": s.actor, "role": s.role.as_str(), "on": s.on.to_string()}))
        .collect();
    shown.document(&json!({"id": id, "digest": paper.digest, "state": course.state().as_str(), "records": paper.records(), "rows": paper.rows, "copies": paper.copies, "events": steps}));
    let rows: Vec<Vec<String>> = paper
        .rows
        .iter()
        .map(|r| {
            vec![
                r.order.to_string(),
                r.rule.clone(),
                r.typology.clone(),
                format!("{}-{}", r.first_year, r.last_year),
                r.due_date.format("%d/%m/%Y").to_string(),
                thousands(i128::from(r.records)),
            ]
        })
        .collect();
    let mut said = format!(
        "Liste {id} : {}\nEmpreinte : {}\n\n{}",
        course.state().french(),
        paper.digest,
        table(&["n°", "règle", "typologie", "année", "échéance", "enregistrements"], &rows, &[0, 5])
    );
    for row in paper.rows.iter().filter(|r| !r.archived.is_empty()) {
        said.push_str(&format!("\nn° {} : {}", row.order, row.observations.join(" ; ")));
    }
    for step in course.steps() {
        said.push_str(&format!(
            "\n{} : {} ({}, {})",
            step.on.format("%d/%m/%Y"),
            step.event.french(),
            step.actor,
            step.role.french()
        ));
    }
    shown.say(&said);
    Ok(exit::DONE)
}

fn export(config: &Config, id: &str, out: &Path, shown: &Shown) -> Result<u8> {
    let store = Store::open(&config.store)?;
    let list = store.ledger.lists()?.into_iter().find(|l| l.id == id);
    let list = list.ok_or_else(|| {
        Error::Usage(format!("liste inconnue « {id} » : voyez `cartulaire elimination list`"))
    })?;
    let mut copied = Vec::new();
    for path in files::list(&store.path(&list.path))? {
        let to = out.join(path.file_name().unwrap_or_default());
        if to.exists() {
            return Err(Error::Usage(format!("« {} » existe déjà : donnez un autre dossier", to.display())));
        }
        files::write_atomic(&to, &std::fs::read(&path).at(&path)?)?;
        copied.push(to.display().to_string());
    }
    shown.document(&json!({"id": list.id, "digest": list.digest, "files": copied}));
    shown.say(&format!("Liste {} copiée :\n  {}", list.id, copied.join("\n  ")));
    Ok(exit::DONE)
}

fn key(person: &str, out: &Path, shown: &Shown) -> Result<u8> {
    if out.exists() {
        return Err(Error::Usage(format!("« {} » existe déjà : une clé ne s'écrase pas", out.display())));
    }
    let key = PrivateKey::from_bytes(&random()?);
    write_private(out, &key.file_text())?;
    let public = key.public().to_string();
    shown
        .document(&json!({"person": person, "private_key": out.display().to_string(), "public_key": public}));
    shown.say(&format!(
        "Clé privée écrite dans « {} » : gardez-la, elle signe en votre nom.\nÀ inscrire au registre des signataires :\n\n[[signatory]]\nname = \"…\"\nperson = \"{person}\"\nrole = \"agent | producteur | archives | executant | temoin\"\npublic_key = \"{public}\"\nvalid_from = \"aaaa-mm-jj\"\nvalid_to = \"aaaa-mm-jj\"",
        out.display()
    ));
    Ok(exit::DONE)
}

/// Readable by its owner alone, from its first byte on.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    let mut options = std::fs::File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).at(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).at(path)
}

/// Salt of the store, drawn once.
pub fn salt(store: &mut Store) -> Result<[u8; 32]> {
    if let Some(salt) = store.ledger.salt()? {
        return Ok(salt);
    }
    let salt = random()?;
    store.ledger.transact(|tx| tx.keep_salt(&salt))?;
    Ok(salt)
}

/// Bytes of the system that nobody can guess.
fn random() -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|_| Error::Usage("le système ne donne pas d'aléa : aucune clé n'est créée".into()))?;
    Ok(bytes)
}

/// The key of whoever acts, when it is given.
pub fn own_key(path: Option<&Path>) -> Result<Option<PrivateKey>> {
    path.map(private_key).transpose()
}

/// The private key of a file.
pub fn private_key(path: &Path) -> Result<PrivateKey> {
    PrivateKey::read(&path.display().to_string(), &read(path)?)
}

fn list_of(folder: &Path) -> Result<String> {
    let path = folder.join("list.json");
    std::fs::read_to_string(&path).map_err(|_| {
        Error::Usage(format!(
            "« {} » illisible : donnez le dossier écrit par `cartulaire elimination export`",
            path.display()
        ))
    })
}

fn annotated(folder: &Path, sheet: &Path, shown: &Shown) -> Result<u8> {
    let text = list_of(folder)?;
    ExportedList::read(&text)?;
    let paper = bordereau(&text)?;
    let decisions = annotate(sheet, &paper)?;
    shown.document(&json!({"list": paper.id, "rows": decisions}));
    let rows: Vec<Vec<String>> = decisions
        .iter()
        .map(|d| {
            let said = match d.decision {
                Some(Cell::Visa) => "visa",
                Some(Cell::Refus) => "refus",
                Some(Cell::ATrier) => "à trier",
                None => "(aucune : gardé)",
            };
            vec![d.order.to_string(), said.into(), d.observation.clone().unwrap_or_default()]
        })
        .collect();
    shown.say(&format!("Liste {}\n\n{}", paper.id, table(&["n°", "décision", "observation"], &rows, &[0])));
    Ok(exit::DONE)
}

fn visa(config: &Config, args: &VisaArgs, shown: &Shown) -> Result<u8> {
    if let Some(file) = &args.import {
        let text = std::fs::read_to_string(file).at(file)?;
        return act(config, &args.list, args.date.date, shown, |desk| desk.visa(&args.list, &text));
    }
    // Without a store: what the archives do, on their own machine.
    let folder = Path::new(&args.list);
    let text = list_of(folder)?;
    let exported = ExportedList::read(&text)?;
    let paper = bordereau(&text)?;
    let (Some(key), Some(register)) = (&args.key, &args.register) else {
        return Err(Error::Usage(
            "donnez --key CLÉ et --register REGISTRE pour viser, ou --import FICHIER pour recevoir un visa"
                .into(),
        ));
    };
    let key = private_key(key)?;
    let registry = Registry::load(&register.display().to_string(), &read(register)?)?;
    let mut rows = Vec::new();
    if let Some(sheet) = &args.sheet {
        for row in annotate(sheet, &paper)? {
            let decision = match row.decision {
                Some(Cell::Visa) => RowChoice::Visa,
                Some(Cell::Refus) => RowChoice::Refus,
                Some(Cell::ATrier) => RowChoice::ATrier,
                None => continue,
            };
            let observation = row.observation.unwrap_or_default();
            rows.push(RowDecision { decision, observation, order: row.order });
        }
    }
    let all = rows.len() == exported.rows.len();
    let decision = match args.answer {
        Some(Answered::Visa) => Decision::Visa,
        Some(Answered::Refus) => Decision::Refused,
        Some(Answered::Retour) => Decision::Returned,
        None if args.sheet.is_none() => {
            return Err(Error::Usage("donnez --answer (visa, refus, retour) ou --sheet BORDEREAU".into()));
        }
        None if all && rows.iter().all(|r| r.decision == RowChoice::Visa) => Decision::Visa,
        None if rows.iter().all(|r| r.decision != RowChoice::Visa) => Decision::Refused,
        None => Decision::Partial,
    };
    let answer = Answer {
        authority: Authority {
            service: paper.archives.clone(),
            title: args.title.clone().unwrap_or_default(),
        },
        decision,
        observation: args.observation.clone().unwrap_or_default(),
        rows,
    };
    let signed = give(&text, answer, &key, &registry, args.date.date.unwrap_or_else(today))?;
    let out = folder.join("visa.json");
    if out.exists() {
        return Err(Error::Usage(format!("« {} » existe déjà : un visa ne s'écrase pas", out.display())));
    }
    files::write_atomic(&out, signed.as_bytes())?;
    shown.document(&json!({"list": paper.id, "visa": out.display().to_string()}));
    shown.say(&format!(
        "Visa de la liste {} écrit dans « {} » : rendez ce fichier au service.",
        paper.id,
        out.display()
    ));
    Ok(exit::DONE)
}
