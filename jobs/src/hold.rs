//! Holds (gels): what must not be eliminated, whatever the dates.

use crate::cli::Hold;
use crate::config::Config;
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::{now, open_store_existing, today};
use cartulaire_engine::error::{Error, Result};
use cartulaire_engine::french::count;
use cartulaire_engine::journal::{self, NewEntry};
use cartulaire_engine::retention::{check_scope, decisions, unknown_columns};
use cartulaire_engine::store::{Gel, Store};
use serde_json::{Value, json};

/// Runs one of the commands.
pub fn run(config: &Config, command: &Hold, shown: &Shown) -> Result<u8> {
    match command {
        Hold::Add { id, reason, owner, scope, by, from, until, reassess_on, date } => {
            let on = date.date.unwrap_or_else(today);
            check_scope(scope).map_err(|why| {
                Error::Usage(format!("périmètre du gel : {why} ; écrivez une condition SQL, par exemple « classe = 'ent-annuaire' AND annee_scolaire = '2019-2020' »"))
            })?;
            let gel = Gel {
                id: id.clone(),
                reason: reason.clone(),
                owner: owner.clone(),
                scope: scope.clone(),
                from: from.unwrap_or(on),
                until: *until,
                reassess_on: *reassess_on,
                placed_by: by.clone(),
                placed_on: on,
                lifted_on: None,
                lifted_by: None,
            };
            let book = config.rulebook()?;
            let strange = unknown_columns(scope, &book.contracts);
            if !strange.is_empty() {
                return Err(Error::Usage(format!(
                    "périmètre du gel : aucune table n'a de colonne « {} » ; vérifiez son nom",
                    strange.join(" », « ")
                )));
            }
            let mut store = open_store_existing(config)?;
            if store.ledger.gels()?.iter().any(|g| g.id == *id) {
                return Err(Error::Usage(format!("un gel « {id} » existe déjà : choisissez un autre nom")));
            }
            let (at, day) = (now(), on.to_string());
            store.ledger.transact(|tx| {
                tx.place_gel(&gel, &at)?;
                // A scope may name a person: the journal, which is for ever, does not repeat it.
                let payload = json!({"hold": id, "person": by});
                tx.journal(&NewEntry { at: &at, date: &day, run_id: id, kind: "hold_placed", payload })
            })?;
            journal::mirror(&mut store)?;
            let held: u64 = decisions(&store, &book, gel.from.max(on))?
                .iter()
                .filter(|g| g.shared.held.contains(id))
                .map(|g| g.records)
                .sum();
            shown.document(&json!({"hold": id, "records": held}));
            shown.say(&format!(
                "Gel {id} posé : {}.",
                count(held, "enregistrement gelé", "enregistrements gelés")
            ));
        }
        Hold::List { date } => {
            let on = date.date.unwrap_or_else(today);
            let gels = Store::open(&config.store)?.ledger.gels()?;
            let json: Vec<Value> = gels
                .iter()
                .map(|g| json!({"id": g.id, "reason": g.reason, "owner": g.owner, "scope": g.scope, "from": g.from.to_string(), "until": g.until.map(|d| d.to_string()), "reassess_on": g.reassess_on.map(|d| d.to_string()), "lifted_on": g.lifted_on.map(|d| d.to_string()), "active": g.is_active(on), "to_reassess": g.to_reassess(on)}))
                .collect();
            shown.document(&json!({"holds": json}));
            let rows: Vec<Vec<String>> = gels
                .iter()
                .map(|g| {
                    let state = match (g.is_active(on), g.lifted_on) {
                        (true, _) if g.to_reassess(on) => "en cours, à réévaluer".to_owned(),
                        (true, _) => "en cours".to_owned(),
                        (false, Some(day)) => format!("levé le {}", day.format("%d/%m/%Y")),
                        (false, None) => "hors période".to_owned(),
                    };
                    vec![g.id.clone(), state, g.owner.clone(), g.reason.clone(), g.scope.clone()]
                })
                .collect();
            shown.say(&format!(
                "{}\n\n{}",
                count(rows.len() as u64, "gel", "gels"),
                table(&["gel", "état", "demandeur", "motif", "périmètre"], &rows, &[])
            ));
        }
        Hold::Reassess { id, by, reason, next, date } => {
            let on = date.date.unwrap_or_else(today);
            if next.is_some_and(|next| next <= on) {
                return Err(Error::Usage("--next : donnez un jour à venir".into()));
            }
            let mut store = open_store_existing(config)?;
            let (at, day) = (now(), on.to_string());
            let again = next.map(|d| d.to_string());
            store.ledger.transact(|tx| {
                tx.reassess_gel(id, by, on, *next, reason, &at)?;
                let payload = json!({"hold": id, "person": by, "reassess_on": again});
                tx.journal(&NewEntry { at: &at, date: &day, run_id: id, kind: "hold_reassessed", payload })
            })?;
            journal::mirror(&mut store)?;
            shown.document(&json!({"hold": id, "reassess_on": again}));
            shown.say(&match next {
                Some(next) => format!("Gel {id} maintenu, à réévaluer le {}.", next.format("%d/%m/%Y")),
                None => format!("Gel {id} maintenu."),
            });
        }
        Hold::Lift { id, by, reason, date } => {
            let on = date.date.unwrap_or_else(today);
            let mut store = open_store_existing(config)?;
            let (at, day) = (now(), on.to_string());
            store.ledger.transact(|tx| {
                tx.lift_gel(id, by, on, reason, &at)?;
                let payload = json!({"hold": id, "person": by});
                tx.journal(&NewEntry { at: &at, date: &day, run_id: id, kind: "hold_lifted", payload })
            })?;
            journal::mirror(&mut store)?;
            shown.document(&json!({"hold": id, "lifted_on": on.to_string()}));
            shown.say(&format!("Gel {id} levé."));
        }
    }
    Ok(exit::DONE)
}
