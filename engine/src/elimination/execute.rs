//! The execution: what was visaed goes, and nothing else. The plan is in the ledger before the first
//! byte goes; each file is looked at once more just before, and a hold placed meanwhile wins. Whatever
//! stops it, the next call goes on where the plan stands.

use super::acts::CopyCovered;
use super::exported::{ExportedList, ListRef, list_digest};
use super::keys::PrivateKey;
use super::list::{Due, Part, bordereau, document, due, names, only_copy_of_ingested, quarantine_due};
use super::papers::{Bordereau, CopyKind};
use super::refusal::{
    Changes, Check, Persons, RecordFacts, Refusal, RowFacts, RowFate, RuleFacts, VisaFacts, refusals,
};
use super::registry::Role;
use super::state::{Course, Event, State, Step};
use super::visa;
use crate::error::{Error, Result};
use crate::french::count;
use crate::journal::NewEntry;
use crate::retention::tri::Draws;
use crate::retention::{Analysis, Clock, Outcome};
use crate::run::Rulebook;
use crate::seda::reply::Verdict;
use crate::store::{
    PartWriter, Snapshot, Store, Target, TargetKind, files, gels_digest, read_batches, signed, tombstone,
};
use arrow::array::{ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::filter_record_batch;
use chrono::NaiveDate;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Who executes which list, when.
pub struct Execution<'a> {
    /// Store.
    pub store: &'a mut Store,
    /// Rules in force.
    pub rulebook: &'a Rulebook,
    /// Day of the execution.
    pub date: NaiveDate,
    /// The machine's clock, UTC, RFC 3339.
    pub clock: &'a dyn Fn() -> String,
    /// Salt of the store's tombstones.
    pub salt: [u8; 32],
    /// Person who executes.
    pub executor: &'a str,
    /// Their key.
    pub key: Option<&'a PrivateKey>,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Executed {
    /// `executed` or `partly_failed`.
    pub state: &'static str,
    /// Records eliminated.
    pub records: u64,
    /// Files removed or rewritten.
    pub files: usize,
    /// Why others stay, in French.
    pub failures: Vec<String>,
}

impl Execution<'_> {
    /// Executes a visaed list, or goes on with an execution that was interrupted.
    ///
    /// # Errors
    /// [`Error::Refused`] with every reason not to; those of the store.
    pub fn run(&mut self, list: &str) -> Result<Executed> {
        let course = self.store.ledger.course(list)?;
        let (_, exported) = read_list(self.store, list)?;
        let what = json!({"event": Event::Started.as_str(), "list": exported.reference});
        let terms = &self.rulebook.elimination;
        let seal = terms.seal_act(self.executor, &[Role::Executant], self.key, &what, self.date)?;
        if course.state() == State::Executing {
            if course.actor(Event::Started) != Some(self.executor) {
                let message = "une autre personne a commencé cette exécution : c'est à elle de la reprendre";
                return Err(Refusal::new("ELIM_EXECUTOR", message).into());
            }
            // What is refused at the end is refused before anything more goes.
            course.permits(&Step::new(Event::Executed, self.executor, Role::Executant, self.date))?;
        } else {
            let step = Step::new(Event::Started, self.executor, Role::Executant, self.date);
            self.store.ledger.course(list)?.permits(&step)?;
            if terms.cooling_off_on_clock {
                self.cooled(list, &course)?;
            }
            let (check, plan) = self.prepare(list)?;
            refuse(&refusals(&check))?;
            let (at, date) = ((self.clock)(), self.date.to_string());
            let mut payload = json!({"list": list, "event": step.event.as_str(), "targets": plan.len()});
            if let Some(fields) = payload.as_object_mut() {
                fields.extend(seal.facts());
            }
            self.store.ledger.transact(|tx| {
                tx.start_elimination(list, &step, &at, &plan)?;
                tx.journal(&NewEntry { at: &at, date: &date, run_id: list, kind: "list_step", payload })
            })?;
        }
        self.carry_out(list)?;
        self.end(list)
    }

    /// The cooling-off has passed on the machine's clock too, since the visa and the approval were
    /// recorded: dating them back shortens nothing.
    fn cooled(&self, list: &str, course: &Course) -> Result<()> {
        let approved = course.steps().iter().rev().find(|s| s.event == Event::Approved);
        let days = approved.and_then(|s| Some(s.until? - s.on)).unwrap_or_default();
        let day = |at: &str| {
            let at = chrono::DateTime::parse_from_rfc3339(at);
            at.map(|at| at.to_utc().date_naive())
                .map_err(|e| Error::Corrupt(format!("instant de {list} : {e}")))
        };
        let mut recorded = Vec::new();
        for event in [Event::Visaed, Event::VisaedPartial, Event::Approved] {
            if let Some(at) = self.store.ledger.elimination_event_at(list, event.as_str())? {
                recorded.push(day(&at)?);
            }
        }
        let Some(last) = recorded.into_iter().max() else { return Ok(()) };
        let from = last.checked_add_signed(days).unwrap_or(NaiveDate::MAX);
        if day(&(self.clock)())? >= from {
            return Ok(());
        }
        let french = |d: NaiveDate| d.format("%d/%m/%Y");
        let message = format!(
            "le délai de réflexion court aussi depuis l'inscription du visa et de l'ordre au registre, le {} : exécutez à partir du {}",
            french(last),
            french(from)
        );
        Err(Refusal::new("ELIM_COOLING_OFF", message).into())
    }

    /// Facts of the last look, and the files that would go.
    pub(super) fn prepare(&self, list: &str) -> Result<(Check, Vec<Target>)> {
        let ledger = &self.store.ledger;
        let (text, exported) = read_list(self.store, list)?;
        let proposed = bordereau(&text)?;
        let replaces: Option<String> = serde_json::from_str::<serde_json::Value>(&text)
            .ok()
            .and_then(|v| Some(v.get("replaces")?.as_str()?.to_owned()));
        let visa = ledger.elimination_document(list, "visa")?;
        let visa = match &visa {
            Some(text) => Some(visa::read(text, &exported, &self.rulebook.elimination.registry, self.date)?),
            None => None,
        };
        let granted = visa.as_ref().map(|v| v.statement.granted(&exported)).unwrap_or_default();
        // The names that will be looked for must be those of the list, before anything starts.
        Listed::read(self.store, list, &text, &granted)?;
        // The same question as on the day of the list, with the rules and holds of today.
        let again = due(self.store, self.rulebook, proposed.proposed_on, &mut |_, _| Ok(()))?;
        let now = list_digest(&document(self.rulebook, &again, replaces.as_deref())).to_string();
        let gels = ledger.gels()?;
        let reference = ListRef {
            digest: now,
            holds_digest: gels_digest(&gels),
            rules_version: self.rulebook.referential.version.clone(),
            ..exported.reference.clone()
        };
        let course = ledger.course(list)?;
        let today = self.today(&again, &granted)?;
        let holds = gels.iter().flat_map(|g| [Some(g.placed_on), g.lifted_on]).flatten().max();
        let rules = proposed.rows.iter().flat_map(|r| r.rule.split(',')).collect::<BTreeSet<_>>();
        let check = Check {
            today: self.date,
            reference: proposed.proposed_on,
            list: reference,
            visa: visa.as_ref().map(|v| VisaFacts {
                list: v.statement.list.clone(),
                signed_on: v.signers.first().map_or(self.date, |s| s.signed_on),
            }),
            changes: Changes { rules: None, holds, list: None },
            records: today,
            rows: self.fates(&proposed, &granted)?,
            rules: rules.into_iter().map(|id| self.rule(id)).collect(),
            persons: Persons {
                requester: course.actor(Event::Proposed).unwrap_or_default().to_owned(),
                approver: course.actor(Event::Approved).map(str::to_owned),
                archives: course
                    .actor(Event::Visaed)
                    .or_else(|| course.actor(Event::VisaedPartial))
                    .unwrap_or_default()
                    .to_owned(),
                executor: self.executor.to_owned(),
            },
            threshold: self.rulebook.elimination.threshold,
            in_progress: ledger.executing()?.filter(|l| l != list),
            targets: Vec::new(),
        };
        let plan = self.plan(list, &again, &granted)?;
        let targets = plan.iter().map(|t| t.path.clone()).collect();
        Ok((Check { targets, ..check }, plan))
    }

    /// Sort final of the granted rows; of those that the archive holds, package and reply are read again.
    fn fates(&self, proposed: &Bordereau, granted: &BTreeSet<usize>) -> Result<Vec<RowFacts>> {
        let mut proofs = BTreeMap::new();
        let mut facts = Vec::new();
        for row in proposed.rows.iter().filter(|r| granted.contains(&r.order)) {
            let mut fate = if row.archived.is_empty() { RowFate::Eliminate } else { RowFate::Archived };
            for copy in &row.archived {
                if self.proof(&copy.sip, &mut proofs)?.as_ref() != Ok(&copy.reply_sha512) {
                    fate = RowFate::ArchiveUnproved;
                }
            }
            facts.push(RowFacts { order: row.order, fate, granted: true });
        }
        Ok(facts)
    }

    /// Digest of the reply by which the archive holds a package, or why nothing proves it; the package
    /// is read once a look.
    fn proof<'p>(&self, sip: &str, proofs: &'p mut Proofs) -> Result<&'p Result<String, String>> {
        let found = match proofs.remove(sip) {
            Some(found) => found,
            None => match crate::seda::reply::proved(self.store, sip) {
                Ok(reply) => Ok(reply.sha512),
                Err(Error::Refused { message, .. }) => Err(message),
                Err(other) => return Err(other),
            },
        };
        Ok(proofs.entry(sip.to_owned()).or_insert(found))
    }

    fn rule(&self, id: &str) -> RuleFacts {
        let rule = self.rulebook.referential.rule(id).filter(|r| r.clock == Clock::Dua);
        RuleFacts {
            id: id.to_owned(),
            verified_on: rule
                .filter(|r| r.is_verified(self.date))
                .map(|r| r.verified.as_ref().and_then(|v| v.on).unwrap_or(r.effective_from)),
            effective_from: rule.map_or(NaiveDate::MAX, |r| r.effective_from),
            effective_to: rule.and_then(|r| r.effective_to),
            // The loader refuses a rule below its minimum.
            below_minimum: false,
        }
    }

    /// What today's rules and holds say of the granted records.
    fn today(&self, due: &Due, granted: &BTreeSet<usize>) -> Result<RecordFacts> {
        let analysis = Analysis::new(self.store, self.rulebook, self.date)?;
        let mut facts = RecordFacts {
            total: 0,
            latest_due: None,
            undated: 0,
            held: 0,
            open: 0,
            conflict: 0,
            children_kept: 0,
        };
        for part in due.parts.iter().filter(|p| granted.contains(&p.order)) {
            facts.total += part.records;
            let path = self.store.path(&part.snapshot.path);
            for group in analysis.groups(part.snapshot.clone(), &path)? {
                if !part.whole && !part.groups.contains(&group.number) {
                    continue;
                }
                facts.latest_due = facts.latest_due.max(group.verdict.due);
                let archived = due.rows.iter().any(|r| r.order == part.order && !r.archived.is_empty());
                match group.verdict.outcome {
                    Outcome::Eliminate if !archived => {}
                    Outcome::Conserve if archived && group.whole => {}
                    Outcome::KeepHeld => facts.held += group.records,
                    Outcome::KeepUndated => facts.undated += group.records,
                    _ => facts.conflict += group.records,
                }
            }
        }
        Ok(facts)
    }

    /// Files that hold granted records: tables, then their quarantine, then received deliveries.
    fn plan(&self, list: &str, due: &Due, granted: &BTreeSet<usize>) -> Result<Vec<Target>> {
        let mut plan = Vec::new();
        for part in due.parts.iter().filter(|p| granted.contains(&p.order)) {
            let path = &part.snapshot.path;
            let file = self.store.path(path);
            plan.push(Target {
                path: path.clone(),
                kind: TargetKind::Table,
                new_path: (!part.whole).then(|| rewritten_path(path, list)),
                bytes: std::fs::metadata(&file).map_err(|e| Error::io(&file, e))?.len(),
                records: part.records,
                done: false,
                failure: None,
            });
        }
        // A received file is a copy as soon as one row goes; rejected records are in no other place.
        let mine = |copy: &&super::list::Copy| match copy.covered.kind {
            CopyKind::Quarantine => copy.rows.iter().all(|r| granted.contains(r)),
            _ => copy.rows.iter().any(|r| granted.contains(r)),
        };
        let mut copies: Vec<_> = due.copies.iter().filter(mine).collect();
        copies.sort_by_key(|c| c.covered.kind != CopyKind::Quarantine);
        plan.extend(copies.into_iter().map(|copy| Target {
            path: copy.covered.name.clone(),
            kind: match copy.covered.kind {
                CopyKind::Quarantine => TargetKind::Quarantine,
                _ => TargetKind::Delivery,
            },
            new_path: None,
            bytes: copy.covered.bytes,
            records: copy.records,
            done: false,
            failure: None,
        }));
        Ok(plan)
    }

    fn carry_out(&mut self, list: &str) -> Result<()> {
        let (text, exported) = read_list(self.store, list)?;
        let visa = self.store.ledger.elimination_document(list, "visa")?.unwrap_or_default();
        // A key revoked since does not stop half an execution.
        let seen_on = visa_seen_on(self.store, list, self.date)?;
        let visa = visa::read(&visa, &exported, &self.rulebook.elimination.registry, seen_on)?;
        let granted = visa.statement.granted(&exported);
        let listed = Listed::read(self.store, list, &text, &granted)?;
        let draws = Draws::load(self.store, &self.rulebook.plans, self.date)?;
        let mut proofs = Proofs::new();
        for target in self.store.ledger.targets(list)?.into_iter().filter(|t| !t.done) {
            let gone = match target.kind {
                TargetKind::Table => self.table(list, &target, &listed, &draws, &mut proofs),
                TargetKind::Quarantine => self.quarantine(list, &target, &draws),
                TargetKind::Delivery => self.delivery(list, &target),
            };
            match gone {
                Ok(()) => self.store.ledger.transact(|tx| tx.target_done(list, &target.path))?,
                Err(Error::Refused { message, .. }) => {
                    self.store.ledger.transact(|tx| tx.target_failed(list, &target.path, &message))?;
                }
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Removes a snapshot, or puts one without the eliminated records in its place.
    fn table(
        &mut self,
        list: &str,
        target: &Target,
        listed: &Listed,
        draws: &Draws,
        proofs: &mut Proofs,
    ) -> Result<()> {
        let old = self.store.path(&target.path);
        // After a crash the ledger may already be ahead of the disk.
        if let Some(snapshot) = self.store.ledger.snapshot(&target.path)? {
            let sips = self.archived(&snapshot, proofs)?;
            let (goes, rows) = self.last_look(&snapshot, listed, draws, &sips)?;
            if goes != target.records {
                return Err(changed("le fichier ne porte plus les enregistrements visés"));
            }
            let kept = match &target.new_path {
                Some(new) => Some(self.without(&snapshot, new, listed)?),
                None if goes != snapshot.rows.unsigned_abs() => {
                    return Err(changed("le fichier porte aussi d'autres enregistrements"));
                }
                None => None,
            };
            if !sips.is_empty() && kept.is_some() {
                return Err(changed("le fichier est déjà dans un paquet pour les archives"));
            }
            let (salt, table) = (self.salt, &snapshot.table_name);
            // Rows of one line of a wide file have one name: one tombstone remembers them.
            let digests: BTreeMap<usize, BTreeSet<[u8; 32]>> = rows
                .into_iter()
                .map(|(row, names)| {
                    (row, names.iter().map(|n| tombstone(&salt, &format!("{table}\0{n}"))).collect())
                })
                .collect();
            self.store.ledger.transact(|tx| {
                for (row, digests) in digests {
                    tx.tombstones(list, row, digests)?;
                }
                tx.replace_snapshot(&target.path, kept.as_ref())
            })?;
        }
        gone(&old)
    }

    /// Packages by which the archive holds a snapshot, each proved again; none when it is in none.
    fn archived(&self, snapshot: &Snapshot, proofs: &mut Proofs) -> Result<Vec<String>> {
        let packages = self.store.ledger.packages_of(&snapshot.path)?;
        let (mut sips, mut held, mut why) = (Vec::new(), 0, None);
        for (sip, records) in &packages {
            match self.proof(sip, proofs)? {
                Ok(_) => {
                    sips.push(sip.clone());
                    held += records;
                }
                Err(message) => why = Some(message.clone()),
            }
        }
        if packages.is_empty() || held == snapshot.rows.unsigned_abs() {
            return Ok(sips);
        }
        let why = why.unwrap_or_else(|| "des enregistrements du fichier ne sont dans aucun paquet".into());
        Err(Refusal::new("ELIM_NOT_ARCHIVED", why).into())
    }

    /// Records of a snapshot that go, by row, if nothing holds them now.
    fn last_look(
        &self,
        snapshot: &Snapshot,
        listed: &Listed,
        draws: &Draws,
        sips: &[String],
    ) -> Result<(u64, BTreeMap<usize, Vec<String>>)> {
        let analysis = Analysis::with_draws(self.store, self.rulebook, self.date, draws.clone())?;
        let path = self.store.snapshot_path(snapshot)?;
        let groups = analysis.groups(snapshot.clone(), &path)?;
        let part = Part {
            order: 0,
            snapshot: snapshot.clone(),
            groups: groups
                .iter()
                .filter(|g| match sips {
                    [] => g.verdict.outcome == Outcome::Eliminate,
                    _ => g.verdict.outcome == Outcome::Conserve && g.whole,
                })
                .map(|g| g.number)
                .collect(),
            whole: false,
            records: 0,
        };
        let mut rows: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        let mut total = 0;
        names(&analysis, &part, &path, true, &mut |names| {
            for name in names.as_string::<i32>().iter().flatten() {
                if let Some(row) = listed.row(&snapshot.table_name, name, sips) {
                    rows.entry(row).or_default().push(name.to_owned());
                    total += 1;
                }
            }
            Ok(())
        })?;
        let mut blocked = 0_u64;
        names(&analysis, &part, &path, false, &mut |names| {
            blocked += names
                .as_string::<i32>()
                .iter()
                .flatten()
                .filter(|n| listed.row(&snapshot.table_name, n, sips).is_some())
                .count() as u64;
            Ok(())
        })?;
        if blocked > 0 {
            let message = format!(
                "{} : {} par un gel ou une règle changée depuis le visa ; le fichier entier est gardé, proposez une nouvelle liste",
                snapshot.path,
                count(blocked, "enregistrement retenu", "enregistrements retenus")
            );
            return Err(Refusal::new("ELIM_HELD_MEANWHILE", message).into());
        }
        Ok((total, rows))
    }

    /// Writes the snapshot without the listed records.
    fn without(&mut self, snapshot: &Snapshot, new: &str, listed: &Listed) -> Result<Snapshot> {
        let work = self.store.work_dir("elimination-rewrite")?;
        let aside = work.join("part-00000.parquet");
        let mut writer: Option<PartWriter> = None;
        let mut kept = 0_u64;
        for batch in read_batches(&self.store.snapshot_path(snapshot)?, None)? {
            let batch = batch?;
            let names = crate::retention::record_names(&snapshot.delivery_id, &batch)?;
            let stays: BooleanArray = names
                .as_string::<i32>()
                .iter()
                .map(|n| Some(n.is_none_or(|n| listed.row(&snapshot.table_name, n, &[]).is_none())))
                .collect();
            let batch = filter_record_batch(&batch, &stays)?;
            kept += batch.num_rows() as u64;
            let writer = match &mut writer {
                Some(w) => w,
                None => writer.insert(PartWriter::create(&aside, batch.schema())?),
            };
            writer.write(&batch)?;
        }
        let Some(writer) = writer else { return Err(changed("le fichier est vide")) };
        let (rows, digest) = writer.finish()?;
        if rows != kept {
            return Err(Error::Corrupt(format!(
                "{} : {rows} lignes écrites, {kept} attendues",
                snapshot.path
            )));
        }
        self.store.publish(&[(aside, new.to_owned())])?;
        Ok(Snapshot {
            path: new.to_owned(),
            rows: signed(rows),
            sha256: digest.to_string(),
            ..snapshot.clone()
        })
    }

    fn quarantine(&mut self, list: &str, target: &Target, draws: &Draws) -> Result<()> {
        self.not_after_failure(list, &target.path)?;
        let aside = self.store.ledger.quarantine_snapshots()?;
        if let Some(quarantine) = aside.iter().find(|q| q.path == target.path) {
            let analysis = Analysis::with_draws(self.store, self.rulebook, self.date, draws.clone())?;
            if quarantine_due(self.store, &analysis, self.rulebook, quarantine)?.is_none() {
                return Err(changed(
                    "la quarantaine est retenue par un gel ou une règle changée depuis le visa",
                ));
            }
        }
        self.store.ledger.transact(|tx| tx.quarantine_gone(&target.path))?;
        gone(&self.store.path(&target.path))
    }

    fn delivery(&mut self, list: &str, target: &Target) -> Result<()> {
        self.not_after_failure(list, &target.path)?;
        if !only_copy_of_ingested(self.store, &target.path)? {
            return Err(changed("ces octets servent aussi une livraison qui n'est pas dans les tables"));
        }
        gone(&self.store.path(&target.path))
    }

    /// A copy stays as long as records that came in it stay although they were visaed.
    fn not_after_failure(&self, list: &str, path: &str) -> Result<()> {
        let failed = self.store.ledger.targets(list)?;
        let failed = failed.iter().filter(|t| t.failure.is_some() && t.path != path);
        let deliveries = self.store.ledger.deliveries_of_file(path)?;
        let aside = self.store.ledger.quarantine_snapshots()?;
        for target in failed {
            let snapshot = self.store.ledger.snapshot(&target.path)?;
            let quarantine = aside.iter().find(|q| q.path == target.path).cloned();
            if snapshot.or(quarantine).is_some_and(|s| deliveries.contains(&s.delivery_id)) {
                return Err(changed("des enregistrements de la même livraison sont gardés"));
            }
        }
        Ok(())
    }

    fn end(&mut self, list: &str) -> Result<Executed> {
        let targets = self.store.ledger.targets(list)?;
        let failures: Vec<String> = targets.iter().filter_map(|t| t.failure.clone()).collect();
        let event = if failures.is_empty() { Event::Executed } else { Event::PartlyFailed };
        let step = Step::new(event, self.executor, Role::Executant, self.date);
        let gone = targets.iter().filter(|t| t.done && t.kind == TargetKind::Table);
        let records: u64 = gone.map(|t| t.records).sum();
        let done = Executed {
            state: event.as_str(),
            records,
            files: targets.iter().filter(|t| t.done).count(),
            failures,
        };
        let (at, date) = ((self.clock)(), self.date.to_string());
        let payload = json!({"list": list, "state": done.state, "records": records, "files": done.files, "failures": done.failures.len()});
        self.store.ledger.transact(|tx| {
            tx.elimination_step(list, &step, &at, &payload)?;
            tx.journal(&NewEntry { at: &at, date: &date, run_id: list, kind: "list_executed", payload })
        })?;
        files::remove_empty_dirs(&self.store.path("tables"))?;
        files::remove_empty_dirs(&self.store.path("quarantine"))?;
        files::remove_empty_dirs(&self.store.path("received"))?;
        Ok(done)
    }
}

/// All refusals at once: whoever mends one sees the others.
pub(super) fn refuse(found: &[Refusal]) -> Result<()> {
    let Some(first) = found.first() else { return Ok(()) };
    let message: Vec<String> = found.iter().map(|r| format!("[{}] {}", r.code, r.message)).collect();
    match found.len() {
        1 => Err(first.clone().into()),
        _ => Err(Error::Refused { code: "ELIM_REFUSED", message: message.join("\n") }),
    }
}

pub(super) fn changed(what: &str) -> Error {
    let message = format!("{what} : gardé, proposez une nouvelle liste");
    Refusal::new("ELIM_TARGET_CHANGED", message).into()
}

/// Removes a file for good, and makes it durable.
fn gone(path: &std::path::Path) -> Result<()> {
    files::remove(path)?;
    path.parent().filter(|p| p.exists()).map_or(Ok(()), files::sync_dir)
}

/// Day on which the ledger took the visa: its signature is judged at it once the execution runs.
pub(super) fn visa_seen_on(store: &Store, list: &str, today: NaiveDate) -> Result<NaiveDate> {
    let course = store.ledger.course(list)?;
    let taken = course.steps().iter().find(|s| matches!(s.event, Event::Visaed | Event::VisaedPartial));
    Ok(taken.map_or(today, |s| s.on))
}

/// Where a snapshot goes once a list was eliminated from it.
fn rewritten_path(path: &str, list: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let short = list.rsplit_once('-').map_or(list, |(_, s)| s);
    format!("{folder}-sans-{short}/{file}")
}

/// The exported list of the store, checked against its own digest.
///
/// # Errors
/// When it cannot be read, or was changed.
pub fn read_list(store: &Store, list: &str) -> Result<(String, ExportedList)> {
    let row = store.ledger.lists()?.into_iter().find(|l| l.id == list);
    let row =
        row.ok_or_else(|| Error::Usage(format!("aucune liste « {list} » : voyez `elimination list`")))?;
    let path = store.path(&row.path).join("list.json");
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
    let exported = ExportedList::read(&text)?;
    if exported.reference.digest != row.digest {
        let refusal = Refusal::new("ELIM_LIST_ALTERED", "list.json n'est plus celui que le registre connaît");
        return Err(refusal.into());
    }
    Ok((text, exported))
}

/// Packages that were looked at: digest of their reply, or why nothing proves that the archive holds them.
type Proofs = BTreeMap<String, Result<String, String>>;

/// Names of the granted records, exactly as they were visaed.
pub(super) struct Listed {
    /// Row, its table, its packages when the archive holds it, names of its records. A name is unique in
    /// its table only.
    rows: Vec<(usize, String, Vec<String>, HashSet<String>)>,
}

impl Listed {
    pub(super) fn read(store: &Store, list: &str, text: &str, granted: &BTreeSet<usize>) -> Result<Self> {
        let paper = bordereau(text)?;
        let path = store.path(&format!("elimination/{list}/list.parquet"));
        let altered = || {
            let message = "list.parquet n'est plus celui de la liste visée : restaurez-le";
            Error::from(Refusal::new("ELIM_LIST_ALTERED", message))
        };
        let expected = serde_json::from_str::<serde_json::Value>(text).ok();
        let expected = expected.as_ref().and_then(|v| v.get("list_parquet_sha256")?.as_str());
        if expected != Some(files::digest(&path)?.to_string().as_str()) {
            return Err(altered());
        }
        let mut rows: BTreeMap<usize, HashSet<String>> = BTreeMap::new();
        let mut digests: BTreeMap<usize, sha2::Sha256> = BTreeMap::new();
        use sha2::Digest as _;
        for batch in read_batches(&path, Some(&["row", "record"]))? {
            let batch = batch?;
            let column = |name: &str| -> Result<StringArray> {
                let found: Option<&ArrayRef> = batch.column_by_name(name);
                found
                    .and_then(|c| c.as_string_opt::<i32>())
                    .cloned()
                    .ok_or_else(|| Error::Corrupt(format!("list.parquet sans {name}")))
            };
            for (row, record) in column("row")?.iter().zip(column("record")?.iter()) {
                let row: usize = row.and_then(|r| r.parse().ok()).unwrap_or(0);
                let record = record.unwrap_or_default();
                let digest = digests.entry(row).or_default();
                digest.update(record.as_bytes());
                digest.update(b"\n");
                if granted.contains(&row) {
                    rows.entry(row).or_default().insert(record.to_owned());
                }
            }
        }
        let same = paper.rows.iter().all(|r| {
            digests.remove(&r.order).map(|d| crate::domain::hex(&d.finalize()))
                == Some(r.records_sha256.clone())
        });
        if !same || !digests.is_empty() {
            return Err(altered());
        }
        let rows = rows.into_iter().filter_map(|(order, names)| {
            let row = paper.rows.iter().find(|r| r.order == order)?;
            Some((order, row.table.clone(), row.archived.iter().map(|a| a.sip.clone()).collect(), names))
        });
        Ok(Listed { rows: rows.collect() })
    }

    /// The row of a record that these packages hold; none of them: that is only here.
    pub(super) fn row(&self, table: &str, record: &str, sips: &[String]) -> Option<usize> {
        let mut rows = self.rows.iter().filter(|(_, of, held, _)| of == table && held == sips);
        rows.find(|(.., names)| names.contains(record)).map(|(row, ..)| *row)
    }
}

/// What the attestation says of each row and copy, from what the ledger remembers.
///
/// # Errors
/// When the ledger cannot be read.
pub fn done(store: &Store, list: &str) -> Result<(Vec<super::acts::RowDone>, Vec<CopyCovered>, Vec<String>)> {
    let (text, exported) = read_list(store, list)?;
    let paper = bordereau(&text)?;
    let targets = store.ledger.targets(list)?;
    let visa = store.ledger.elimination_document(list, "visa")?.unwrap_or_default();
    let granted: BTreeSet<usize> = serde_json::from_str::<serde_json::Value>(&visa)
        .ok()
        .and_then(|v| serde_json::from_value::<visa::Visa>(v.get("statement")?.clone()).ok())
        .map(|v| v.granted(&exported))
        .unwrap_or_default();
    let mut packages = BTreeMap::new();
    for target in &targets {
        let mut held = Vec::new();
        for (sip, _) in store.ledger.packages_of(&target.path)? {
            let last = store.ledger.replies(&sip)?.pop();
            held.extend(last.filter(|r| r.verdict == Verdict::Archived).map(|r| r.sip_id));
        }
        packages.insert(target.path.as_str(), held);
    }
    let rows = paper.rows.iter().map(|r| {
        let folder = format!("tables/{}/annee_scolaire={}-{}/", r.table, r.first_year, r.last_year);
        let same = |t: &&Target| {
            packages
                .get(t.path.as_str())
                .is_some_and(|held| held.iter().eq(r.archived.iter().map(|a| &a.sip)))
        };
        let mine =
            targets.iter().filter(|t| t.done && t.kind == TargetKind::Table && t.path.starts_with(&folder));
        let mine = mine.filter(same);
        let eliminated: u64 = mine.map(|t| t.records).sum();
        let left = r.records - eliminated.min(r.records);
        let (failed, kept) = if granted.contains(&r.order) { (left, 0) } else { (0, left) };
        let bytes = match r.records {
            0 => 0,
            n => {
                u64::try_from(u128::from(r.bytes) * u128::from(eliminated) / u128::from(n)).unwrap_or(r.bytes)
            }
        };
        super::acts::RowDone { bytes, eliminated, failed, kept, order: r.order }
    });
    let copies = targets.iter().filter(|t| t.done && t.kind != TargetKind::Table).map(|t| CopyCovered {
        bytes: t.bytes,
        kind: if t.kind == TargetKind::Delivery { "Livraison reçue" } else { "Quarantaine" }.to_owned(),
        name: t.path.clone(),
        sha256: paper.copies.iter().find(|c| c.name == t.path).map(|c| c.sha256.clone()).unwrap_or_default(),
    });
    let failures = targets.iter().filter_map(|t| t.failure.clone()).collect();
    Ok((rows.collect(), copies.collect(), failures))
}
