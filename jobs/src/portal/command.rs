//! `publish`: the last version of a dataset, on a portal.

use super::{Done, Package, Progress, Published, Secret, Sleep, Step, plan, publish};
use crate::cli::PublishArgs;
use crate::config::Config;
use crate::exit;
use crate::output::Shown;
use crate::runner::{now, open_store_existing, today};
use cartulaire_engine::disclosure::audit::Limits;
use cartulaire_engine::disclosure::verdict::{Asked, Audit, Verdict, audit_folder};
use cartulaire_engine::error::{Error, IoContext as _, Result};
use cartulaire_engine::extract;
use cartulaire_engine::french::count;
use cartulaire_engine::journal::{self, NewEntry};
use cartulaire_engine::store::{PortalStep, Publication, Store};
use serde_json::{Value, json};
use std::cell::RefCell;

/// The rows of a store that is locked by this process.
struct Rows<'a>(RefCell<&'a mut Store>);

impl Progress for Rows<'_> {
    fn get(&self, portal: &str, dataset: &str, step: &str) -> Result<Option<Done>> {
        let row = self.0.borrow().ledger.portal_step(portal, dataset, step)?;
        Ok(row.map(|r| Done { remote: r.remote, digest: r.digest }))
    }

    fn put(&self, portal: &str, dataset: &str, step: &str, done: &Done) -> Result<()> {
        let row = PortalStep {
            portal: portal.to_owned(),
            dataset: dataset.to_owned(),
            step: step.to_owned(),
            remote: done.remote.clone(),
            digest: done.digest.clone(),
        };
        self.0.borrow_mut().ledger.transact(|tx| tx.portal_step(&row))
    }
}

/// Runs the command.
pub fn run(config: &Config, args: &PublishArgs, shown: &Shown) -> Result<u8> {
    let kind = args.to;
    let settings = config.portals.iter().find(|s| s.kind == kind).ok_or_else(|| {
        Error::Usage(format!("aucun portail : complétez [publish.{}] dans la configuration", kind.as_str()))
    })?;
    let portal = settings.portal(args.recreate)?;
    let mut store = open_store_existing(config)?;
    let row = last(&store, &args.dataset)?;
    proven(config, &store, &row)?;
    let package = Package::open(&store.path(&row.path), None)?;
    let rows = Rows(RefCell::new(&mut store));
    let steps = plan(&package, &portal, &rows)?;
    if !args.yes {
        let listed: Vec<_> =
            steps.iter().map(|s| json!({"step": s.id, "text": s.text, "done": s.done})).collect();
        shown.document(&json!({"dataset": row.dataset, "version": row.version, "portal": portal.id(), "sent": false, "steps": listed}));
        shown.say(&announced(&row, portal.id(), &steps));
        return Ok(exit::DONE);
    }
    let key: Secret = settings.key()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().at("tokio")?;
    let sleep: &Sleep = &|delay| Box::pin(tokio::time::sleep(delay));
    // What a cut leaves on the portal is told too.
    note(&mut rows.0.borrow_mut(), "dataset_sending", &row, portal.id(), &json!({}), args)?;
    let found = runtime.block_on(publish(&package, &portal, &key, &rows, sleep))?;
    if !found.sent.is_empty() {
        let told = json!({"remote": found.remote, "steps": found.sent});
        note(&mut store, "dataset_sent", &row, portal.id(), &told, args)?;
    }
    shown.document(&json!({"dataset": row.dataset, "version": row.version, "portal": portal.id(), "sent": true, "remote": found.remote, "adopted": found.adopted, "steps": found.sent, "notes": found.notes}));
    shown.say(&told(&row, portal.id(), &found));
    Ok(exit::DONE)
}

/// The last version that the ledger knows.
fn last(store: &Store, dataset: &str) -> Result<Publication> {
    let all = store.ledger.publications()?;
    if let Some(found) = all.iter().find(|p| p.dataset == dataset) {
        return Ok(found.clone());
    }
    let mut known: Vec<String> = all.into_iter().map(|p| p.dataset).collect();
    known.sort();
    known.dedup();
    Err(Error::Usage(format!(
        "aucune version publiée de « {dataset} » dans l'entrepôt ; jeux publiés : {}",
        if known.is_empty() { "aucun".to_owned() } else { known.join(", ") }
    )))
}

/// What leaves cannot be taken back: the proof is read again just before, against the rule of today.
fn proven(config: &Config, store: &Store, row: &Publication) -> Result<()> {
    let folder = store.path(&row.path);
    let refuse = |message: String| Err(Error::Refused { code: "PUBLICATION_UNPROVEN", message });
    if let Err(e) = extract::pinned(store, row) {
        return refuse(e.to_string());
    }
    let book = config.rulebook()?;
    let Some(dataset) = book.datasets.iter().find(|d| d.name == row.dataset) else {
        return refuse(format!(
            "« {} » n'est plus un jeu de la configuration : sa règle est inconnue",
            row.dataset
        ));
    };
    let proof = store.path(&format!("certificates/{}/{}/certificate.json", row.dataset, row.version));
    if let Some(terms) = &dataset.microdata {
        let bytes = std::fs::read(&proof).at(&proof)?;
        let found: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let (asked, number) = (terms.request(), |key: &str| found.pointer(key).and_then(Value::as_u64));
        let same = found.get("data_sha256").and_then(Value::as_str) == Some(&row.digest);
        let alike = number("/measured/k") >= Some(u64::from(asked.k))
            && (number("/measured/l") >= Some(u64::from(asked.l)) || asked.l < 2)
            && asked.t.is_none_or(|t| number("/measured/t").is_some_and(|m| m <= t));
        return if same && alike {
            Ok(())
        } else {
            refuse(format!("« {} » : ses lignes n'ont pas été mesurées comme la règle le demande", row.path))
        };
    }
    let dataset = dataset.dated(today())?;
    let asked = dataset.protection.as_ref().map(|p| Asked::from(p.policy().uniform())).unwrap_or_default();
    let found = audit_folder(&folder, Some(&proof), asked, &Limits::default())?;
    if found.verdict == Verdict::Safe {
        return Ok(());
    }
    refuse(format!("« {} » : {}", row.path, unproven(&found)))
}

/// Why a package is not safe.
fn unproven(found: &Audit) -> String {
    match (&found.reason, found.exposed.len()) {
        (Some(reason), _) => reason.clone(),
        (None, 0) => "le certificat ne vaut pas".into(),
        (None, n) => {
            format!("{} de trop près", count(n as u64, "cellule se recalcule", "cellules se recalculent"))
        }
    }
}

fn note(
    store: &mut Store,
    kind: &str,
    row: &Publication,
    portal: &str,
    more: &Value,
    args: &PublishArgs,
) -> Result<()> {
    let (at, date) = (now(), args.date.date.unwrap_or_else(today).to_string());
    let payload = json!({"dataset": row.dataset, "version": row.version, "portal": portal, "more": more});
    let run_id = format!("publish-{}-{}", row.dataset, row.version);
    store
        .ledger
        .transact(|tx| tx.journal(&NewEntry { at: &at, date: &date, run_id: &run_id, kind, payload }))?;
    journal::mirror(store)
}

fn announced(row: &Publication, portal: &str, steps: &[Step]) -> String {
    let mut out = format!(
        "« {} », version {}, sur {portal} (rien n'est envoyé sans --yes) :",
        row.dataset, row.version
    );
    for step in steps {
        out.push_str(&format!("\n  {} {}", if step.done { "fait  " } else { "à faire" }, step.text));
    }
    out
}

fn told(row: &Publication, portal: &str, found: &Published) -> String {
    let mut out = if found.sent.is_empty() {
        format!("« {} », version {}, est déjà sur {portal} : rien n'a été envoyé.", row.dataset, row.version)
    } else {
        format!(
            "« {} », version {}, est sur {portal} (identifiant {}).",
            row.dataset, row.version, found.remote
        )
    };
    found.notes.iter().for_each(|note| out.push_str(&format!("\n{note}")));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use cartulaire_engine::disclosure::policy::Uniform;
    use cartulaire_engine::disclosure::verdict::Exposed;

    #[test]
    fn a_refusal_says_what_is_wrong() {
        let mut found = Audit {
            verdict: Verdict::Unsafe,
            cells: 3,
            suppressed: 0,
            exposed: Vec::new(),
            undecided: 0,
            certified: true,
            rule: Uniform { threshold: 5, width: 2, percent: 0 },
            reason: None,
            notes: Vec::new(),
        };
        assert_eq!(unproven(&found), "le certificat ne vaut pas");
        found.exposed.push(Exposed { cell: "uai=A".into(), lower: 3, upper: 3 });
        assert_eq!(unproven(&found), "1 cellule se recalcule de trop près");
        found.reason = Some("1 chiffre publié compte moins de 5 personnes".into());
        assert_eq!(unproven(&found), "1 chiffre publié compte moins de 5 personnes");
    }
}
