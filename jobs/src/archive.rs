//! Packages and the archive: what it answered, where each package stands, messages of elimination.

use crate::cli::DestructionArgs;
use crate::config::Config;
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::{now, open_store_existing, today};
use cartulaire_engine::elimination::papers::Bordereau;
use cartulaire_engine::elimination::state::State;
use cartulaire_engine::elimination::{bordereau, done, read_list};
use cartulaire_engine::error::{Error, Result};
use cartulaire_engine::french::{count, thousands};
use cartulaire_engine::journal;
use cartulaire_engine::run::Rulebook;
use cartulaire_engine::seda::destruction::{Head, Message, Request, write};
use cartulaire_engine::seda::profile::Agencies;
use cartulaire_engine::seda::reply::{Imported, Verdict, Version, import};
use cartulaire_engine::store::{SipRow, Store, files};
use chrono::{NaiveDate, NaiveTime};
use serde_json::{Value, json};
use std::path::Path;

/// Where a package stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Made, not sent.
    Created,
    /// May have left: the target must be asked.
    InDoubt,
    /// Sent, not answered.
    Deposited,
    /// The archive holds it whole.
    Archived,
    /// The archive refuses it.
    Refused,
    /// Answered without covering everything, or without a known verdict.
    Incomplete,
}

impl Standing {
    /// Where a package of the store stands: the last answer, else the deposit.
    pub fn of(store: &Store, sip: &SipRow) -> Result<Self> {
        let answer = store.ledger.replies(&sip.id)?.pop().map(|r| r.verdict);
        Ok(match answer {
            Some(Verdict::Archived) => Standing::Archived,
            Some(Verdict::Refused) => Standing::Refused,
            Some(Verdict::Received) => Standing::Deposited,
            Some(Verdict::Incomplete | Verdict::Undecided | Verdict::NotOurs) => Standing::Incomplete,
            None => match store.ledger.deposit(&sip.id)?.map(|d| d.state).as_deref() {
                Some("sent" | "replied") => Standing::Deposited,
                Some("sending") => Standing::InDoubt,
                _ => Standing::Created,
            },
        })
    }

    /// Name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Created => "created",
            Standing::InDoubt => "in_doubt",
            Standing::Deposited => "deposited",
            Standing::Archived => "archived",
            Standing::Refused => "refused",
            Standing::Incomplete => "incomplete",
        }
    }

    fn french(self) -> &'static str {
        match self {
            Standing::Created => "créé",
            Standing::InDoubt => "envoi incertain",
            Standing::Deposited => "déposé",
            Standing::Archived => "archivé",
            Standing::Refused => "refusé",
            Standing::Incomplete => "réponse incomplète",
        }
    }
}

/// `seda list`.
pub fn list(config: &Config, shown: &Shown) -> Result<u8> {
    let store = open_store_existing(config)?;
    let (mut json, mut rows) = (Vec::new(), Vec::new());
    for sip in store.ledger.sips()? {
        let standing = Standing::of(&store, &sip)?;
        let deposit = store.ledger.deposit(&sip.id)?;
        let reply = store.ledger.replies(&sip.id)?.pop();
        json.push(json!({
            "id": sip.id, "state": standing.as_str(), "record_class": sip.record_class,
            "annee_scolaire": sip.annee_scolaire, "records": sip.records, "zip_sha512": sip.sha512, "path": sip.path,
            "target": deposit.as_ref().map(|d| &d.target),
            "operation": deposit.as_ref().and_then(|d| d.operation.as_ref()),
            "reply_sha512": reply.map(|r| r.sha512),
        }));
        rows.push(vec![
            sip.id,
            standing.french().to_owned(),
            sip.record_class,
            sip.annee_scolaire,
            thousands(sip.records),
        ]);
    }
    shown.document(&json!({"packages": json}));
    shown.say(&table(&["paquet", "état", "classe", "année scolaire", "enregistrements"], &rows, &[4]));
    Ok(exit::DONE)
}

/// `seda reply import`.
pub fn reply(config: &Config, file: &Path, date: Option<NaiveDate>, shown: &Shown) -> Result<u8> {
    let mut store = open_store_existing(config)?;
    let taken = import(&mut store, file, date.unwrap_or_else(today), &now)?;
    journal::mirror(&mut store)?;
    shown.document(&document(&taken));
    shown.say(&page(&taken));
    Ok(exit_of(taken.found.verdict))
}

/// A refusal, and what does not cover the whole, are told by the exit code.
pub fn exit_of(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Archived | Verdict::Received => exit::DONE,
        _ => exit::REFUSED,
    }
}

/// What `--json` says of an answer.
pub fn document(taken: &Imported) -> Value {
    let found = &taken.found;
    json!({
        "sip": taken.sip, "verdict": found.verdict, "known": taken.known, "reply_sha512": taken.sha512,
        "units": found.units.len(), "objects": found.objects.len(), "missing_units": found.missing_units,
        "missing_objects": found.missing_objects, "unknown": found.unknown,
        "contradictions": found.contradictions, "message": found.message, "explanations": taken.explanations,
    })
}

/// What people read of an answer.
pub fn page(taken: &Imported) -> String {
    let found = &taken.found;
    let mut text = found.message.clone();
    if taken.known {
        text.push_str("\nCette réponse était déjà inscrite : rien n'a changé.");
    }
    for (what, ids) in [
        ("Unités sans identifiant", &found.missing_units),
        ("Objets sans identifiant", &found.missing_objects),
        ("Identifiants inconnus de notre paquet", &found.unknown),
        ("Identifiants contradictoires", &found.contradictions),
    ] {
        if !ids.is_empty() {
            let first: Vec<&str> = ids.iter().take(10).map(String::as_str).collect();
            let more = if ids.len() > first.len() { " …" } else { "" };
            text.push_str(&format!(
                "\n  {what} ({}) : {}{more}",
                thousands(ids.len() as u64),
                first.join(", ")
            ));
        }
    }
    for cause in &taken.explanations {
        text.push_str(&format!(
            "\n- [{}] {} ({})\n  à faire : {}",
            cause.code,
            cause.cause,
            count(cause.count, "fois", "fois"),
            cause.remedy
        ));
        if !cause.subjects.is_empty() {
            text.push_str(&format!("\n  concerne : {}", cause.subjects.join(", ")));
        }
    }
    text
}

/// Agencies of the classes of a list: those that have a profile agree on them.
fn agencies<'r>(rulebook: &'r Rulebook, paper: &Bordereau) -> Result<&'r Agencies> {
    let class = |table: &str| {
        let contract = rulebook.contracts.iter().find(|c| c.name == table)?;
        rulebook.profile.class(&contract.record_class)
    };
    let mut own = paper.rows.iter().filter_map(|r| class(&r.table)).map(|c| &c.parties.agencies);
    let any = || rulebook.profile.classes.values().map(|c| &c.parties.agencies).next();
    let first = own.next().or_else(any);
    match first {
        Some(first) if own.all(|a| a == first) => Ok(first),
        Some(_) => Err(Error::Usage(
            "les classes de cette liste n'ont pas les mêmes services dans les profils SEDA : faites-en des listes séparées".into(),
        )),
        None => Err(Error::Usage("aucun profil SEDA ne dit les services : voyez [seda] profiles".into())),
    }
}

/// `seda destruction`: requests for authorisation from a list that was submitted, notification from
/// one that was executed. Units are the rows of the bordereau; those whose records the archive holds
/// are left out: only a copy of them goes.
pub fn destruction(config: &Config, args: &DestructionArgs, shown: &Shown) -> Result<u8> {
    let rulebook = config.rulebook()?;
    let store = open_store_existing(config)?;
    let list = args.list.as_str();
    let (text, _) = read_list(&store, list)?;
    let paper = bordereau(&text)?;
    let state = store.ledger.course(list)?.state();
    let executed = matches!(state, State::Executed | State::PartlyFailed | State::Attested);
    let asked = executed
        || matches!(
            state,
            State::Submitted | State::Visaed | State::VisaedPartial | State::CoolingOff | State::Executing
        );
    if !asked {
        let message = format!(
            "la liste est {} : les messages se tirent d'une liste soumise aux archives ou visée",
            state.french()
        );
        return Err(Error::Refused { code: "SEDA_DESTRUCTION", message });
    }
    let agencies = agencies(&rulebook, &paper)?;
    let date = args.date.date.unwrap_or_else(today);
    let unit = |order: usize| format!("{list}-L{order:04}");
    let rows: Vec<usize> = paper.rows.iter().filter(|r| r.archived.is_empty()).map(|r| r.order).collect();
    let head = |suffix: &str, party: &str| Head {
        version: Version::V2_2,
        message_id: format!("{list}-{suffix}"),
        date: date.and_time(NaiveTime::MIN).and_utc(),
        comment: Some(format!("Liste d'élimination {list}, empreinte {}", paper.digest)),
        agreement: None,
        archival_agency: agencies.transferring.clone(),
        party: party.to_owned(),
    };
    let request = Request {
        reason: "DUA échue, sort final élimination".into(),
        date: paper.proposed_on,
        requester: agencies.submission.clone(),
    };
    let mut messages = vec![
        (
            "demande-service-producteur.xml",
            head("DSP", &agencies.originating),
            Message::OriginatingAgencyRequest(request.clone()),
            rows.clone(),
        ),
        (
            "demande-controle-scientifique.xml",
            head("DCST", &agencies.archival),
            Message::ControlAuthorityRequest(request),
            rows.clone(),
        ),
    ];
    if executed {
        let visa = store.ledger.elimination_document(list, "visa")?.unwrap_or_default();
        let visa = cartulaire_engine::domain::Digest::of(visa.as_bytes()).to_string();
        // What was refused or could not go is not told as destroyed.
        let (attested, ..) = done(&store, list)?;
        let whole = |order: &usize| {
            attested.iter().any(|r| r.order == *order && r.eliminated > 0 && r.failed + r.kept == 0)
        };
        messages.push((
            "notification-elimination.xml",
            head("NOTIF", &agencies.originating),
            Message::Notification {
                authorization_reply: format!("{list}-VISA-{}", visa.get(..16).unwrap_or_default()),
            },
            rows.iter().copied().filter(|r| whole(r)).collect(),
        ));
    }
    let mut all = Vec::new();
    for (name, head, message, rows) in messages {
        let path = args.out.join(name);
        if path.exists() {
            return Err(Error::Usage(format!(
                "« {} » existe déjà : donnez un autre dossier",
                path.display()
            )));
        }
        let units: Vec<String> = rows.into_iter().map(unit).collect();
        let mut bytes = Vec::new();
        write(&mut bytes, &head, &message, units.iter().map(String::as_str))?;
        all.push((path, bytes));
    }
    let mut written = Vec::new();
    for (path, bytes) in all {
        files::write_atomic(&path, &bytes)?;
        written.push(path.display().to_string());
    }
    shown.document(&json!({"list": list, "state": state.as_str(), "files": written}));
    shown.say(&format!(
        "Liste {list} ({}) : {}\n  {}",
        state.french(),
        count(written.len() as u64, "message SEDA écrit", "messages SEDA écrits"),
        written.join("\n  ")
    ));
    Ok(exit::DONE)
}
