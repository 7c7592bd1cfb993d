//! `seda deposit`, and what a person answers for the archive.

use super::ledger::LedgerLog;
use super::{DepositLog, Entry, Package, Policy, Progress, State, Target, deposit, fetch_reply};
use crate::archive::{self, Standing};
use crate::cli::ResolveArgs;
use crate::config::Config;
use crate::exit;
use crate::output::Shown;
use crate::runner::{now, open_store_existing, today};
use cartulaire_engine::error::{Error, IoContext, Result};
use cartulaire_engine::journal::{self, NewEntry};
use cartulaire_engine::seda::certificate;
use cartulaire_engine::seda::reply::import;
use cartulaire_engine::store::{SipRow, Store, files};
use chrono::{NaiveDate, Utc};
use serde_json::{Value, json};

/// Deposits what is not yet, and fetches the replies that are ready.
pub fn run(config: &Config, wanted: &[String], date: Option<NaiveDate>, shown: &Shown) -> Result<u8> {
    let settings = config.deposit.as_ref().ok_or_else(|| {
        Error::Usage("aucune cible de dépôt : complétez [seda.deposit] dans la configuration".into())
    })?;
    let (target, policy) = (settings.target()?, settings.policy());
    let mut store = open_store_existing(config)?;
    let all = store.ledger.sips()?;
    if let Some(unknown) = wanted.iter().find(|id| !all.iter().any(|s| s.id == **id)) {
        return Err(Error::Usage(format!("paquet inconnu « {unknown} » : voyez `cartulaire seda list`")));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().at("tokio")?;
    let date = date.unwrap_or_else(today);
    let (mut code, mut documents, mut said) = (exit::DONE, Vec::new(), Vec::new());
    for sip in all.iter().filter(|s| wanted.is_empty() || wanted.contains(&s.id)) {
        let mut work = Work { store: &mut store, target: target.as_ref(), policy, date, runtime: &runtime };
        let done = work.one(sip, !wanted.is_empty());
        journal::mirror(&mut store)?;
        match done {
            Ok(Some(done)) => {
                code = code.max(done.code);
                said.push(format!("{} : {}", sip.id, done.said));
                documents.push(done.document);
            }
            Ok(None) => {}
            // The other packages have nothing to do with it.
            Err(Error::Refused { code: why, message }) => {
                code = exit::REFUSED;
                said.push(format!("{} : [{why}] {message}", sip.id));
                documents.push(json!({"sip": sip.id, "code": why, "message": message}));
            }
            Err(other) => return Err(other),
        }
    }
    if said.is_empty() {
        said.push("Aucun paquet à déposer, aucune réponse à attendre.".into());
    }
    shown.document(&json!({"target": target.name(), "deposits": documents}));
    match code {
        exit::DONE => shown.say(&said.join("\n")),
        _ => said.iter().for_each(|line| eprintln!("{line}")),
    }
    Ok(code)
}

/// What came of a package.
struct Done {
    code: u8,
    said: String,
    document: Value,
}

struct Work<'a> {
    store: &'a mut Store,
    target: &'a dyn Target,
    policy: Policy,
    date: NaiveDate,
    runtime: &'a tokio::runtime::Runtime,
}

impl Work<'_> {
    /// Nothing for a package that the archive has answered, unless it was named.
    fn one(&mut self, sip: &SipRow, named: bool) -> Result<Option<Done>> {
        let standing = Standing::of(self.store, sip)?;
        let over = match standing {
            Standing::Archived => "l'archive l'a déjà pris en charge",
            Standing::Refused => "l'archive l'a refusé : il ne se renvoie pas",
            Standing::Incomplete => {
                "l'archive a répondu sans le couvrir en entier : demandez-lui une nouvelle réponse"
            }
            Standing::Created | Standing::InDoubt | Standing::Deposited => "",
        };
        if !over.is_empty() {
            let code = if standing == Standing::Archived { exit::DONE } else { exit::REFUSED };
            let document = json!({"sip": sip.id, "state": standing.as_str(), "message": over});
            return Ok(named.then(|| Done { code, said: over.into(), document }));
        }
        let received = self.store.ledger.replies(&sip.id)?.pop().is_some();
        if received && self.store.ledger.deposit(&sip.id)?.is_none_or(|d| d.operation.is_none()) {
            // Acknowledged, though it left by another way: sending it now would be twice.
            let said = "l'archive l'a reçu par une autre voie : sa réponse s'importe (`cartulaire seda reply import`)";
            return Ok(Some(Done {
                code: exit::DONE,
                said: said.into(),
                document: json!({"sip": sip.id, "state": "deposited", "message": said}),
            }));
        }
        let path = self.store.path(&sip.path).join(format!("{}.zip", sip.id));
        let size = std::fs::metadata(&path).at(&path)?.len();
        let name = format!("{}.zip", sip.id);
        let package = Package { message_id: sip.id.clone(), path, name, sha512: sip.sha512.clone(), size };
        let work = self.store.work_dir("deposit")?;
        let into = work.join("ATR.xml");
        let log = LedgerLog::new(self.store, self.date);
        let sent = self.runtime.block_on(deposit(&package, self.target, &log, self.policy, &Utc::now));
        let operation = sent?;
        certificate::write(self.store, sip)?;
        let log = LedgerLog::new(self.store, self.date);
        let progress = self.runtime.block_on(fetch_reply(&sip.id, self.target, &log, self.policy, &into))?;
        let waiting = match progress {
            Progress::Ready(_) => {
                let taken = import(self.store, &into, self.date, &now);
                files::remove_dir(&work)?;
                let taken = taken?;
                if taken.sip != sip.id {
                    let message = format!(
                        "la réponse reçue pour « {} » porte sur « {} » : prévenez le service d'archives",
                        sip.id, taken.sip
                    );
                    return Err(Error::Refused { code: "DEPOSIT_REPLY_OTHER", message });
                }
                let mut document = archive::document(&taken);
                if let Some(fields) = document.as_object_mut() {
                    fields.insert("operation".into(), json!(operation));
                }
                return Ok(Some(Done {
                    code: archive::exit_of(taken.found.verdict),
                    said: archive::page(&taken),
                    document,
                }));
            }
            Progress::Pending => "déposé ; la réponse n'est pas prête, relancez la commande plus tard",
            Progress::Paused => "déposé ; l'archive a suspendu l'opération, son opérateur doit la reprendre",
            Progress::NoReply => {
                "déposé ; la réponse viendra par une autre voie (`cartulaire seda reply import`)"
            }
        };
        let document =
            json!({"sip": sip.id, "state": "deposited", "operation": operation, "message": waiting});
        Ok(Some(Done { code: exit::DONE, said: format!("{waiting} (opération {operation})"), document }))
    }
}

/// Records what a person learnt from the archive about a sending in doubt.
pub fn resolve(config: &Config, args: &ResolveArgs, shown: &Shown) -> Result<u8> {
    let mut store = open_store_existing(config)?;
    let row = store.ledger.deposit(&args.sip)?.filter(|d| d.state == "sending").ok_or_else(|| {
        Error::Usage(format!(
            "l'envoi de « {} » n'est pas incertain : voyez `cartulaire seda list`",
            args.sip
        ))
    })?;
    if args.by.trim().is_empty() {
        return Err(Error::Usage("--by : dites qui l'a demandé au service d'archives".into()));
    }
    if args
        .operation
        .as_ref()
        .is_some_and(|o| o.is_empty() || o.len() > 1024 || o.chars().any(char::is_control))
    {
        return Err(Error::Usage("--operation : un identifiant sur une ligne".into()));
    }
    let (date, at) = (args.date.date.unwrap_or_else(today), now());
    let state = match &args.operation {
        Some(operation) => State::Sent { operation: operation.clone() },
        None => State::Planned,
    };
    let payload =
        json!({"sip": args.sip, "target": row.target, "operation": args.operation, "person": args.by});
    let day = date.to_string();
    store.ledger.transact(|tx| {
        tx.journal(&NewEntry { at: &at, date: &day, run_id: &args.sip, kind: "deposit_resolved", payload })
    })?;
    LedgerLog::new(&mut store, date).put(&row.target, &args.sip, &Entry { sha512: row.sha512, state })?;
    journal::mirror(&mut store)?;
    let state = if args.absent { "planned" } else { "sent" };
    shown.document(&json!({"sip": args.sip, "state": state}));
    shown.say(match args.absent {
        true => "Noté : l'archive ne l'a pas reçu ; `cartulaire seda deposit` l'enverra de nouveau.",
        false => "Noté : l'archive l'a reçu ; `cartulaire seda deposit` ira chercher sa réponse.",
    });
    Ok(exit::DONE)
}
