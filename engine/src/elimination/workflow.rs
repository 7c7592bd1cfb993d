//! What people do with a list, from the proposal to the attestation: each act is checked, signed where
//! it must be, and written in the ledger and the journal in one transaction.

use super::Terms;
use super::acts::{Attestation, ExecutionApproval, Proposal};
use super::execute::{done, read_list, visa_seen_on};
use super::keys::PrivateKey;
use super::list::bordereau;
use super::papers::{self, Bordereau, attestation_pdf, bordereau_pdf};
use super::refusal::Refusal;
use super::registry::Role;
use super::signature::{Seal, Signed, cosign, sign, verify};
use super::state::{Event, State, Step};
use super::visa::{self, RowChoice, Visa};
use crate::domain::Digest;
use crate::error::{Error, Result};
use crate::journal::NewEntry;
use crate::store::{Store, files};
use chrono::{DateTime, FixedOffset, NaiveDate};
use serde_json::{Value, json};

/// Where the acts about lists are recorded.
pub struct Desk<'a> {
    /// Store.
    pub store: &'a mut Store,
    /// Signatories, service, archives, delays.
    pub terms: &'a Terms,
    /// Day of the act.
    pub date: NaiveDate,
    /// The machine's clock, UTC, RFC 3339.
    pub clock: &'a dyn Fn() -> String,
}

impl Desk<'_> {
    /// An agent asks for the elimination of a list that the analysis made.
    ///
    /// # Errors
    /// [`Error::Refused`] with what to do; those of the store.
    pub fn propose(&mut self, list: &str, person: &str, key: Option<&PrivateKey>) -> Result<State> {
        let (text, exported) = read_list(self.store, list)?;
        let made_on = bordereau(&text)?.proposed_on;
        if self.date < made_on {
            let message = format!(
                "la liste est du {}, on ne la propose pas avant : vérifiez la date",
                made_on.format("%d/%m/%Y")
            );
            return Err(Refusal::new("ELIM_DATE", message).into());
        }
        let what = json!({"event": Event::Proposed.as_str(), "list": exported.reference});
        let seal = self.terms.seal_act(person, &[Role::Agent], key, &what, self.date)?;
        let step = Step::new(Event::Proposed, person, seal.signer.role, self.date);
        self.sealed(list, &step, &seal, &json!(exported.reference))
    }

    /// The head of the service signs it.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub fn sign(&mut self, list: &str, key: &PrivateKey) -> Result<State> {
        let (_, exported) = read_list(self.store, list)?;
        let statement = Proposal::new(exported.reference, &self.terms.service.name);
        let text = sign(&statement, key, &self.terms.registry, self.date)?;
        let person = self.holder(key, Role::Producteur)?;
        let step = Step::new(Event::Signed, &person, Role::Producteur, self.date);
        self.act(list, &step, Some(("proposal", &text)), &json!({}))
    }

    /// The signed list goes to the archives.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub fn submit(&mut self, list: &str, person: &str, key: Option<&PrivateKey>) -> Result<State> {
        let (_, exported) = read_list(self.store, list)?;
        let what = json!({"event": Event::Submitted.as_str(), "list": exported.reference});
        let roles = [Role::Agent, Role::Producteur];
        let seal = self.terms.seal_act(person, &roles, key, &what, self.date)?;
        let step = Step::new(Event::Submitted, person, seal.signer.role, self.date);
        self.sealed(list, &step, &seal, &json!({}))
    }

    /// Somebody takes the list back before anything is deleted.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub fn recall(
        &mut self,
        list: &str,
        person: &str,
        key: Option<&PrivateKey>,
        reason: &str,
    ) -> Result<State> {
        let (_, exported) = read_list(self.store, list)?;
        let what = json!({"event": Event::Recalled.as_str(), "list": exported.reference, "reason": reason});
        let roles = [Role::Agent, Role::Producteur, Role::Archives];
        let seal = self.terms.seal_act(person, &roles, key, &what, self.date)?;
        let step = Step::new(Event::Recalled, person, seal.signer.role, self.date);
        self.sealed(list, &step, &seal, &json!({"reason": reason}))
    }

    /// The visa that came back from the archives; the annotated PDF is kept beside the list.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub fn visa(&mut self, list: &str, text: &str) -> Result<State> {
        let (list_text, exported) = read_list(self.store, list)?;
        let signed = visa::read(text, &exported, &self.terms.registry, self.date)?;
        let signer = signed.signers.first().ok_or_else(|| Error::Corrupt("visa sans signature".into()))?;
        let step = Step::new(signed.statement.decision.event(), &signer.person, Role::Archives, self.date);
        let state = self.act(list, &step, Some(("visa", text)), &json!({}))?;
        let folder = self.folder(list);
        files::write_atomic(&folder.join("visa.json"), text.as_bytes())?;
        let paper = bordereau(&list_text)?;
        let decisions = decisions(&paper, &signed.statement);
        files::write_atomic(&folder.join("bordereau-vise.pdf"), &bordereau_pdf(&paper, &decisions)?)?;
        Ok(state)
    }

    /// The head of the service orders the execution of a visaed list: the cooling-off starts.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub fn approve(&mut self, list: &str, key: &PrivateKey) -> Result<NaiveDate> {
        let (_, exported) = read_list(self.store, list)?;
        let person = self.holder(key, Role::Producteur)?;
        let step = Step::approval(&person, self.date, self.terms.cooling_off)?;
        let until = step.until.unwrap_or(self.date);
        let statement = ExecutionApproval {
            cooling_off_until: until,
            list: exported.reference,
            visa_sha256: self.document_sha256(list, "visa")?,
        };
        let text = sign(&statement, key, &self.terms.registry, self.date)?;
        self.act(list, &step, Some(("execution", &text)), &json!({}))?;
        Ok(until)
    }

    /// The executant attests; then a witness does, and the attestation is whole.
    ///
    /// # Errors
    /// As [`Desk::propose`].
    pub fn attest(&mut self, list: &str, key: &PrivateKey) -> Result<State> {
        let folder = self.folder(list);
        let waiting = folder.join("attestation-a-contresigner.json");
        let state = self.store.ledger.course(list)?.state();
        if !matches!(state, State::Executed | State::PartlyFailed) {
            let step = Step::attestation("executant", "temoin", self.date);
            self.store.ledger.course(list)?.permits(&step)?;
        }
        if !waiting.exists() {
            let person = self.holder(key, Role::Executant)?;
            if self.store.ledger.course(list)?.actor(Event::Started) != Some(person.as_str()) {
                let message = "l'attestation revient à la personne qui a exécuté la liste : faites-la signer";
                return Err(Refusal::new("ELIM_EXECUTOR", message).into());
            }
            let text = sign(&self.attestation(list)?, key, &self.terms.registry, self.date)?;
            files::write_atomic(&waiting, text.as_bytes())?;
            return Ok(state);
        }
        let first = std::fs::read_to_string(&waiting).map_err(|e| Error::io(&waiting, e))?;
        let text = cosign::<Attestation>(&first, key, &self.terms.registry, self.date)?;
        let signed = verify::<Attestation>(&text, &self.terms.registry, self.date)?;
        let [executant, witness] = signed.signers.as_slice() else {
            return Err(Error::Corrupt("attestation sans deux signatures".into()));
        };
        if self.store.ledger.course(list)?.actor(Event::Started) != Some(executant.person.as_str()) {
            let message = "l'attestation revient à la personne qui a exécuté la liste : faites-la signer";
            return Err(Refusal::new("ELIM_EXECUTOR", message).into());
        }
        let step = Step::attestation(&executant.person, &witness.person, self.date);
        let state = self.act(list, &step, Some(("attestation", &text)), &json!({}))?;
        files::write_atomic(&folder.join("attestation.json"), text.as_bytes())?;
        let pdf = attestation_pdf(&self.paper(list, &signed)?)?;
        files::write_atomic(&folder.join("attestation.pdf"), &pdf)?;
        files::remove(&waiting)?;
        Ok(state)
    }

    fn attestation(&self, list: &str) -> Result<Attestation> {
        let (_, exported) = read_list(self.store, list)?;
        let visa = self.store.ledger.elimination_document(list, "visa")?.unwrap_or_default();
        let visa =
            visa::read(&visa, &exported, &self.terms.registry, visa_seen_on(self.store, list, self.date)?)?;
        let (rows, copies, failures) = done(self.store, list)?;
        let (seq, hash) = self.store.ledger.journal_head()?;
        Ok(Attestation {
            copies,
            ended_at: self.event_at(list, &[Event::Executed, Event::PartlyFailed])?,
            failures,
            journal_hash: hash,
            journal_seq: seq,
            list: exported.reference,
            method: "suppression des fichiers, tables réécrites sans les enregistrements".into(),
            rows,
            sources: super::operator::covered(self.store, list)?,
            started_at: self.event_at(list, &[Event::Started])?,
            visa_authority: visa.statement.authority.service.clone(),
            visa_on: visa.signers.first().map_or(self.date, |s| s.signed_on),
            visa_sha256: visa.sha256,
        })
    }

    /// The attestation as its PDF says it.
    fn paper(&self, list: &str, signed: &Signed<Attestation>) -> Result<papers::Attestation> {
        let (text, exported) = read_list(self.store, list)?;
        let bordereau = bordereau(&text)?;
        let visa = self.store.ledger.elimination_document(list, "visa")?.unwrap_or_default();
        let visa =
            visa::read(&visa, &exported, &self.terms.registry, visa_seen_on(self.store, list, self.date)?)?;
        let a = &signed.statement;
        let time = |t: &str| -> Result<DateTime<FixedOffset>> {
            DateTime::parse_from_rfc3339(t).map_err(|_| Error::Corrupt(format!("instant « {t} »")))
        };
        let person =
            |name: &str, role: Role| papers::Person { name: name.into(), role: role.french().into() };
        let of = |role: Role| {
            let found = signed.signers.iter().find(|s| s.role == role);
            person(found.map_or("", |s| s.name.as_str()), role)
        };
        let rows = bordereau.rows.iter().zip(&a.rows).map(|(row, done)| papers::AttestedRow {
            order: row.order,
            rule: row.rule.clone(),
            typology: match row.archived.as_slice() {
                [] => row.typology.clone(),
                held => {
                    let sips: Vec<&str> = held.iter().map(|a| a.sip.as_str()).collect();
                    format!("{} (copie locale ; l'archive conserve {})", row.typology, sips.join(", "))
                }
            },
            listed: row.records,
            eliminated: done.eliminated,
            bytes: done.bytes,
            outcome: match (done.eliminated, done.failed) {
                (0, _) => papers::RowOutcome::Kept,
                (_, 0) => papers::RowOutcome::Eliminated,
                _ => papers::RowOutcome::PartlyFailed,
            },
        });
        let targets = self.store.ledger.targets(list)?;
        let failures = targets.iter().filter_map(|t| {
            let row = bordereau.rows.iter().find(|r| t.path.contains(&format!("/{}/", r.table)));
            Some(papers::Failure {
                order: row.map_or(0, |r| r.order),
                place: t.path.clone(),
                reason: t.failure.clone()?,
                records: t.records,
            })
        });
        let copies = a.copies.iter().map(|c| papers::CopyCovered {
            kind: bordereau
                .copies
                .iter()
                .find(|b| b.name == c.name)
                .map_or(papers::CopyKind::Delivery, |b| b.kind),
            name: c.name.clone(),
            sha256: c.sha256.clone(),
            bytes: c.bytes,
        });
        let ended = time(&a.ended_at)?;
        let count = self.store.ledger.eliminated(list)?.values().sum();
        Ok(papers::Attestation {
            id: format!("ATT-{list}"),
            list_id: list.to_owned(),
            list_digest: a.list.digest.clone(),
            service: bordereau.service.clone(),
            visa: papers::VisaCited {
                reference: format!("visa.json de {list}"),
                date: a.visa_on,
                authority: format!(
                    "{}, {}",
                    visa.statement.authority.service, visa.statement.authority.title
                ),
                by: person(visa.signers.first().map_or("", |s| s.name.as_str()), Role::Archives),
                digest: a.visa_sha256.clone(),
            },
            executor: of(Role::Executant),
            witness: of(Role::Temoin),
            started_at: time(&a.started_at)?,
            ended_at: ended,
            method: a.method.clone(),
            rows: rows.collect(),
            failures: failures.collect(),
            copies: copies.collect(),
            sources: a.sources.clone(),
            journal: papers::JournalAnchor { sequence: a.journal_seq, digest: a.journal_hash.clone() },
            tombstones: papers::Tombstones { count, digest: self.store.ledger.tombstones_digest(list)? },
            signatures: signed
                .signers
                .iter()
                .map(|s| papers::SignatureCited {
                    by: person(&s.name, s.role),
                    at: ended,
                    key: s.public_key.clone(),
                    digest: signed.sha256.clone(),
                })
                .collect(),
        })
    }

    /// An act whose signature is in the journal.
    fn sealed(&mut self, list: &str, step: &Step, seal: &Seal, payload: &Value) -> Result<State> {
        self.record(list, step, None, payload, seal.facts())
    }

    /// An act whose signed file the ledger keeps.
    fn act(
        &mut self,
        list: &str,
        step: &Step,
        signed: Option<(&str, &str)>,
        payload: &Value,
    ) -> Result<State> {
        self.record(list, step, signed, payload, Vec::new())
    }

    fn record(
        &mut self,
        list: &str,
        step: &Step,
        signed: Option<(&str, &str)>,
        payload: &Value,
        seal: Vec<(String, Value)>,
    ) -> Result<State> {
        self.store.ledger.course(list)?.permits(step)?;
        let (at, date) = ((self.clock)(), self.date.to_string());
        let mut state = State::Simulated;
        let mut entry = json!({
            "list": list, "event": step.event.as_str(), "person": step.actor, "role": step.role.as_str(),
            "document_sha256": signed.map(|(_, text)| Digest::of(text.as_bytes()).to_string()),
        });
        if let Some(fields) = entry.as_object_mut() {
            fields.extend(seal);
        }
        self.store.ledger.transact(|tx| {
            if let Some((kind, text)) = signed {
                tx.elimination_document(list, kind, text)?;
            }
            state = tx.elimination_step(list, step, &at, payload)?;
            let payload = entry.clone();
            tx.journal(&NewEntry { at: &at, date: &date, run_id: list, kind: "list_step", payload })
        })?;
        Ok(state)
    }

    fn folder(&self, list: &str) -> std::path::PathBuf {
        self.store.path(&format!("elimination/{list}"))
    }

    fn event_at(&self, list: &str, events: &[Event]) -> Result<String> {
        for event in events {
            if let Some(at) = self.store.ledger.elimination_event_at(list, event.as_str())? {
                return Ok(at);
            }
        }
        Err(Error::Corrupt(format!("la liste {list} n'a pas été exécutée")))
    }

    fn document_sha256(&self, list: &str, kind: &str) -> Result<String> {
        let text = self.store.ledger.elimination_document(list, kind)?;
        Ok(Digest::of(text.unwrap_or_default().as_bytes()).to_string())
    }

    fn holder(&self, key: &PrivateKey, role: Role) -> Result<String> {
        Ok(self.terms.registry.holder(&key.public(), role, self.date, self.date)?.person.clone())
    }
}

/// Decisions of a visa as the bordereau shows them.
fn decisions(paper: &Bordereau, visa: &Visa) -> Vec<papers::RowDecision> {
    let whole = match visa.decision {
        visa::Decision::Visa => Some(papers::Answer::Visa),
        visa::Decision::Refused => Some(papers::Answer::Refus),
        visa::Decision::Partial | visa::Decision::Returned => None,
    };
    let of = |order: usize| {
        let row = visa.rows.iter().find(|r| r.order == order);
        let decision = row.map(|r| match r.decision {
            RowChoice::Visa => papers::Answer::Visa,
            RowChoice::Refus => papers::Answer::Refus,
            RowChoice::ATrier => papers::Answer::ATrier,
        });
        papers::RowDecision {
            order,
            decision: decision.or(whole),
            observation: row.map(|r| r.observation.clone()).filter(|o| !o.is_empty()),
        }
    };
    paper.rows.iter().map(|r| of(r.order)).collect()
}
