//! The two acts of a tri in a store: its population is recorded, then a public value draws among it.

use super::draws::file;
use super::file::{population_text, read_population};
use super::gather::gather;
use super::plan::Plan;
use super::population::Population;
use super::select::Request;
use crate::domain::{DateFormat, Digest};
use crate::error::{Error, Result};
use crate::journal::NewEntry;
use crate::run::Rulebook;
use crate::store::{Store, TriDraw, TriRow, files, signed};
use chrono::NaiveDate;
use serde_json::json;
use std::collections::BTreeMap;

/// Who sorts, when.
pub struct TriDesk<'a> {
    /// Store.
    pub store: &'a mut Store,
    /// Rules and plans in force.
    pub rulebook: &'a Rulebook,
    /// Logical day.
    pub date: NaiveDate,
    /// The machine's clock, UTC, RFC 3339.
    pub clock: &'a dyn Fn() -> String,
    /// Person.
    pub person: &'a str,
}

fn refused(code: &'static str, message: String) -> Error {
    Error::Refused { code, message }
}

impl TriDesk<'_> {
    fn plan(&self, id: &str) -> Result<Plan> {
        let plan = self.rulebook.plans.iter().find(|p| p.id == id);
        plan.cloned().ok_or_else(|| {
            let known: Vec<&str> = self.rulebook.plans.iter().map(|p| p.id.as_str()).collect();
            Error::Usage(format!("plan de tri inconnu « {id} » ; plans : {}", known.join(", ")))
        })
    }

    /// Records the population of a plan: what is to be sorted by it this day. The same population is
    /// the same tri, whatever the day. `salt` is that of the store; `choices` are the records chosen
    /// by somebody, `table/name`, with the code of the reason.
    ///
    /// # Errors
    /// `TRI_EMPTY` when nothing is to be sorted, `TRI_CHOICES` when the plan asks for choices that
    /// are not given or are about other records; those of the store.
    pub fn record(
        &mut self,
        plan: &str,
        salt: &[u8; 32],
        choices: Option<&BTreeMap<String, String>>,
    ) -> Result<TriRow> {
        let plan = self.plan(plan)?;
        // No choice made is not the choice of nothing.
        if choices.is_none() != plan.qualitative.is_empty() {
            let message = match choices {
                None => format!(
                    "le plan « {} » demande un choix qualitatif : donnez --choices FICHIER, vide s'il n'y a rien à retenir",
                    plan.id
                ),
                Some(_) => format!("le plan « {} » n'a pas de choix qualitatif : retirez --choices", plan.id),
            };
            return Err(refused("TRI_CHOICES", message));
        }
        let mut records = gather(self.store, self.rulebook, &plan, self.date, salt)?;
        for (id, reason) in choices.into_iter().flatten() {
            let found = records.binary_search_by(|r| r.id.as_str().cmp(id)).ok();
            let Some(record) = found.and_then(|at| records.get_mut(at)) else {
                let message = format!(
                    "choix qualitatif : « {id} » n'est pas à trier par ce plan ; écrivez table/LIVRAISON/FICHIER#NUMÉRO"
                );
                return Err(refused("TRI_CHOICES", message));
            };
            record.qualitative = Some(reason.clone());
        }
        if records.is_empty() {
            let message = format!(
                "rien à trier par le plan « {} » au {} : aucun enregistrement échu dont la règle, vérifiée, le nomme, et qui ne soit déjà trié",
                plan.id,
                self.date.format("%d/%m/%Y")
            );
            return Err(refused("TRI_EMPTY", message));
        }
        let number = records.len() as u64;
        let text = population_text(&plan, records.clone())?;
        let root = Population::new(&plan, records)?.root();
        let plan_digest = plan.digest()?.to_string();
        let tris = self.store.ledger.tris()?;
        if let Some(known) =
            tris.into_iter().find(|t| t.plan_digest == plan_digest && t.population_root == root)
        {
            return Ok(known);
        }
        // One population may be recorded for two versions of a plan.
        let short = Digest::of(format!("{plan_digest}{root}").as_bytes()).to_string();
        let id = format!("TR-{}-{}", self.date.format("%Y%m%d"), short.get(..8).unwrap_or_default());
        let tri = TriRow {
            path: format!("tri/{id}"),
            id,
            plan: plan.id.clone(),
            plan_version: plan.version.clone(),
            plan_digest,
            population_root: root,
            population_sha256: Digest::of(text.as_bytes()).to_string(),
            records: signed(number),
            recorded_on: self.date.to_string(),
            person: self.person.to_owned(),
            draw: None,
        };
        self.publish(&tri, "population.jsonl", &text)?;
        let payload = json!({"tri": tri.id, "plan": tri.plan, "plan_digest": tri.plan_digest, "population_root": tri.population_root, "records": tri.records, "person": tri.person});
        let (at, date) = ((self.clock)(), self.date.to_string());
        self.store.ledger.transact(|tx| {
            tx.tri(&tri)?;
            tx.journal(&NewEntry { at: &at, date: &date, run_id: &tri.id, kind: "tri_recorded", payload })
        })?;
        Ok(tri)
    }

    /// Draws among the last population recorded for a plan. `origin` says where the value comes from,
    /// so that others can look it up.
    ///
    /// # Errors
    /// Why it may not be drawn; those of the store.
    pub fn draw(&mut self, plan: &str, public_value: &str, origin: &str) -> Result<TriRow> {
        let plan = self.plan(plan)?;
        let tris = self.store.ledger.tris()?;
        let Some(tri) = tris.into_iter().rfind(|t| t.plan == plan.id) else {
            let message = format!(
                "aucune population enregistrée pour le plan « {} » : lancez d'abord `cartulaire tri draw` sans --value",
                plan.id
            );
            return Err(refused("TRI_NOT_RECORDED", message));
        };
        self.may_draw(&tri, &plan, public_value, origin)?;
        let population = file(self.store, &tri, "population.jsonl", &tri.population_sha256)?;
        let population =
            read_population(&plan, &population).map_err(|d| refused("TRI_ALTERED", d.message))?;
        let request = Request { number: &tri.id, public_value };
        let manifest = population.draw(request)?.manifest()?;
        if manifest.population_root != tri.population_root {
            return Err(refused(
                "TRI_ALTERED",
                format!("tri {} : la population n'est plus celle qui a été enregistrée", tri.id),
            ));
        }
        let text = manifest.text()?;
        let draw = TriDraw {
            public_value: public_value.to_owned(),
            origin: origin.to_owned(),
            manifest_sha256: Digest::of(text.as_bytes()).to_string(),
            kept: signed(manifest.counts.kept),
            drawn_on: self.date.to_string(),
            person: self.person.to_owned(),
        };
        self.publish(&tri, "manifest.json", &text)?;
        let payload = json!({"tri": tri.id, "public_value": draw.public_value, "origin": draw.origin, "manifest_sha256": draw.manifest_sha256, "seed": manifest.seed, "kept": draw.kept, "records": tri.records, "person": draw.person});
        let (at, date) = ((self.clock)(), self.date.to_string());
        self.store.ledger.transact(|tx| {
            tx.tri_draw(&tri.id, &draw)?;
            tx.journal(&NewEntry { at: &at, date: &date, run_id: &tri.id, kind: "tri_drawn", payload })
        })?;
        Ok(TriRow { draw: Some(draw), ..tri })
    }

    fn may_draw(&self, tri: &TriRow, plan: &Plan, value: &str, origin: &str) -> Result<()> {
        let id = &tri.id;
        if tri.draw.is_some() {
            let message = format!(
                "le tri {id} est déjà tiré : un tirage ne se refait pas ; une autre population est un autre tri"
            );
            return Err(refused("TRI_DRAWN", message));
        }
        if tri.plan_digest != plan.digest()?.to_string() {
            let message = format!(
                "le plan « {} » a changé depuis l'enregistrement du tri {id} : enregistrez la population de nouveau",
                plan.id
            );
            return Err(refused("TRI_PLAN_CHANGED", message));
        }
        if origin.trim().is_empty() {
            return Err(Error::Usage("dites d'où vient la valeur publique : --origin TEXTE".into()));
        }
        if DateFormat::Iso.parse(&tri.recorded_on).is_some_and(|day| self.date < day) {
            let message =
                format!("le tri {id} n'était pas encore enregistré à cette date : vérifiez la date");
            return Err(refused("TRI_DATE", message));
        }
        if self.store.ledger.value_known_before(value, id)? {
            let message = format!(
                "cette valeur a déjà servi avant l'enregistrement du tri {id} : on la connaissait, demandez-en une autre"
            );
            return Err(refused("TRI_VALUE_KNOWN", message));
        }
        Ok(())
    }

    fn publish(&mut self, tri: &TriRow, name: &str, text: &str) -> Result<()> {
        let work = self.store.work_dir("tri")?;
        files::write_atomic(&work.join(name), text.as_bytes())?;
        self.store.publish(&[(work.join(name), format!("{}/{name}", tri.path))])
    }
}
