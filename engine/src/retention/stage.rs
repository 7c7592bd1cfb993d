//! The sort-final step: a decision for every record of every table, with its reasons.
//!
//! Records of one snapshot of which the same is known share their decision: they are a [`Group`],
//! decided once.

use super::class::{ClassRules, EventDate};
use super::diff::{Impact, Share, impact};
use super::facts::{Shared, Splitter};
use super::tri::{DrawnTri, Draws};
use super::{Clock, Explanation, Facts, Outcome, Phase, Referential, Rule, Verdict};
use crate::contract::Contract;
use crate::domain::Calendar;
use crate::error::{Error, Result};
use crate::french::thousands;
use crate::run::{Counts, Rulebook, Run, Said};
use crate::store::{Gel, PartWriter, Snapshot, Store, column_names, files, read_batches};
use crate::validate::days;
use arrow::array::{ArrayRef, AsArray, Date32Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use chrono::NaiveDate;
use serde_json::json;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;

/// Records of a snapshot that share a decision.
#[derive(Debug, Clone)]
pub struct Group {
    /// Where they are.
    pub snapshot: Arc<Snapshot>,
    /// Number of the group in its snapshot.
    pub number: usize,
    /// They are all the records of their snapshot.
    pub whole: bool,
    /// What they have in common.
    pub shared: Shared,
    /// How many.
    pub records: u64,
    /// What becomes of them.
    pub verdict: Verdict,
}

/// What decides at a date: rules, school years, tables, holds.
pub struct Analysis<'r> {
    referential: &'r Referential,
    calendar: &'r Calendar,
    contracts: &'r [Contract],
    gels: Vec<Gel>,
    draws: Draws,
    at: NaiveDate,
}

impl<'r> Analysis<'r> {
    /// Of a store, at a date, with the holds in force and the tris drawn that day.
    ///
    /// # Errors
    /// When the ledger cannot be read, or the files of a draw are not what it knows.
    pub fn new(store: &Store, rulebook: &'r Rulebook, at: NaiveDate) -> Result<Self> {
        Self::with_draws(store, rulebook, at, Draws::load(store, &rulebook.plans, at)?)
    }

    /// As [`Analysis::new`], with draws that were loaded before.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn with_draws(store: &Store, rulebook: &'r Rulebook, at: NaiveDate, draws: Draws) -> Result<Self> {
        let gels = store.ledger.gels()?.into_iter().filter(|g| g.is_active(at)).collect();
        let Rulebook { referential, calendar, contracts, .. } = rulebook;
        Ok(Analysis { referential, calendar, contracts, gels, draws, at })
    }

    /// What tells the records of a snapshot apart; the first look at its file, if one is needed.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn splitter(&self, snapshot: &Snapshot, path: &Path) -> Result<Splitter> {
        let rules = self.referential.class(&snapshot.record_class);
        let contract = self.contracts.iter().find(|c| c.name == snapshot.table_name);
        let gels: Vec<&Gel> = self.gels.iter().collect();
        let mut plans: Vec<&str> = rules.rules().filter_map(|r| r.tri.as_deref()).collect();
        plans.sort_unstable();
        plans.dedup();
        let draws: Vec<_> = plans.into_iter().filter_map(|p| self.draws.of(p).cloned()).collect();
        let plain = gels.is_empty() && contract.is_none_or(|c| c.events.is_empty() && c.document.is_none());
        let columns = if plain { Vec::new() } else { column_names(path)? };
        let splitter = Splitter::new(snapshot, contract, &rules, &gels, self.calendar, &columns)?;
        Ok(splitter.with_draws(draws))
    }

    /// The plan that sorts a group, when a rule that governs it names one.
    pub fn plan_of(&self, group: &Group) -> Option<String> {
        let rules = self.referential.class(&group.snapshot.record_class);
        self.governing_plan(&rules, &group.shared).map(str::to_owned)
    }

    fn governing_plan<'a>(&self, rules: &ClassRules<'a>, shared: &Shared) -> Option<&'a str> {
        let facts = Facts { dates: &shared.dates, document: shared.document.as_deref() };
        let mut governing = rules.governing(facts, self.at, self.calendar).map(|(p, _)| p.rule);
        governing.find(|r| r.clock == Clock::Dua)?.tri.as_deref()
    }

    /// The draw that decided about a group to be sorted, and whether it keeps it.
    pub fn drawn(&self, group: &Group) -> Option<(&DrawnTri, bool)> {
        let plan = self.plan_of(group)?;
        let (_, number, kept) = group.shared.drawn.iter().find(|(p, _, _)| *p == plan)?;
        Some((self.draws.of(&plan)?.tris.get(*number)?, *kept))
    }

    /// Whether a draw of a plan keeps something of a person, by the pseudonym.
    pub fn keeps_person(&self, plan: &str, pseudonym: &str) -> bool {
        self.draws.of(plan).is_some_and(|d| d.keeps_person(pseudonym))
    }

    /// The whole story of a group, in French.
    pub fn explain(&self, group: &Group) -> Explanation {
        let rules = self.referential.class(&group.snapshot.record_class);
        let facts = Facts { dates: &group.shared.dates, document: group.shared.document.as_deref() };
        let mut story = rules.explain(facts, self.at, self.calendar, &group.shared.held);
        if let (Outcome::Sort, Some((tri, kept))) = (story.decision, self.drawn(group)) {
            story.decision = group.verdict.outcome;
            let fate = if kept { "retenu, donc gardé" } else { "non retenu" };
            story.reasons.push(format!("tri {} : {fate}", tri.id));
            story.sentences.push(format!(
                "Tri {} : {fate} ; manifeste {} ({} gardés sur {}). Décision : {}.",
                tri.id,
                tri.manifest_sha256,
                thousands(tri.kept),
                thousands(tri.records),
                story.decision.french()
            ));
        }
        story
    }

    /// Rules that govern a group and may end in an elimination: not those of the other clock.
    pub fn dua_rules(&self, group: &Group) -> Vec<&'r Rule> {
        let class = self.referential.class(&group.snapshot.record_class);
        let facts = Facts { dates: &group.shared.dates, document: group.shared.document.as_deref() };
        let governing = class.governing(facts, self.at, self.calendar).map(|(p, _)| p.rule);
        governing.filter(|r| r.clock == Clock::Dua).collect()
    }

    /// What the rules say of a group, were no hold on it.
    pub fn without_holds(&self, group: &Group) -> Outcome {
        let rules = self.referential.class(&group.snapshot.record_class);
        let facts = Facts { dates: &group.shared.dates, document: group.shared.document.as_deref() };
        rules.decide(facts, self.at, self.calendar, false).outcome
    }

    /// Groups of one snapshot whose file is at `path`.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold the records that the ledger counts.
    pub fn groups(&self, snapshot: Snapshot, path: &Path) -> Result<Vec<Group>> {
        let snapshot = Arc::new(snapshot);
        let mut splitter = self.splitter(&snapshot, path)?;
        let rows = snapshot.rows.unsigned_abs();
        let counted: Vec<(Shared, u64)> = if splitter.is_single() {
            vec![(splitter.single(), rows)]
        } else {
            let wanted = splitter.wanted();
            let wanted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
            let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
            let mut counts: Vec<u64> = Vec::new();
            for batch in read_batches(path, Some(&wanted))? {
                for group in splitter.rows(&snapshot, &batch?)? {
                    counts.resize(counts.len().max(group + 1), 0);
                    if let Some(n) = counts.get_mut(group) {
                        *n += 1;
                    }
                }
            }
            splitter.groups.into_iter().zip(counts).collect()
        };
        if counted.iter().map(|(_, n)| n).sum::<u64>() != rows {
            return Err(Error::Corrupt(format!("{} : {rows} enregistrements attendus", snapshot.path)));
        }
        let whole = counted.len() == 1;
        let rules = self.referential.class(&snapshot.record_class);
        let decide = |shared: &Shared| {
            let facts = Facts { dates: &shared.dates, document: shared.document.as_deref() };
            let mut verdict = rules.decide(facts, self.at, self.calendar, !shared.held.is_empty());
            if verdict.outcome == Outcome::Sort && !shared.drawn.is_empty() {
                let plan = self.governing_plan(&rules, shared);
                let drawn = shared.drawn.iter().find(|(p, _, _)| Some(p.as_str()) == plan);
                verdict.outcome = match drawn {
                    Some((_, _, true)) => Outcome::Conserve,
                    Some((_, _, false)) => Outcome::Eliminate,
                    None => Outcome::Sort,
                };
            }
            verdict
        };
        let groups = counted.into_iter().enumerate().map(|(number, (shared, records))| Group {
            verdict: decide(&shared),
            snapshot: snapshot.clone(),
            number,
            whole,
            shared,
            records,
        });
        Ok(groups.collect())
    }
}

/// First day on which records become due, whatever the sort final, verifications and holds; `None`
/// when nothing says.
pub fn first_due(rulebook: &Rulebook, group: &Group) -> Option<NaiveDate> {
    let facts = Facts { dates: &group.shared.dates, document: group.shared.document.as_deref() };
    rulebook.referential.class(&group.snapshot.record_class).first_due(facts, &rulebook.calendar)
}

/// Decisions for every record of every table of the store at a date, in the order of ingestion.
///
/// # Errors
/// When the store cannot be read or says nonsense.
pub fn decisions(store: &Store, rulebook: &Rulebook, at: NaiveDate) -> Result<Vec<Group>> {
    let mut all = Vec::new();
    each_snapshot(store, rulebook, at, &mut |groups| {
        all.extend(groups);
        Ok(())
    })?;
    Ok(all)
}

/// Decisions of one snapshot after the other, in the order of ingestion: what two of them need is in
/// memory, read by two threads.
///
/// # Errors
/// When the store cannot be read or says nonsense, or `take` refuses.
pub fn each_snapshot(
    store: &Store,
    rulebook: &Rulebook,
    at: NaiveDate,
    take: &mut dyn FnMut(Vec<Group>) -> Result<()>,
) -> Result<()> {
    let analysis = Analysis::new(store, rulebook, at)?;
    let mut snapshots = store.ledger.snapshots("")?.into_iter().map(|s| (store.path(&s.path), s));
    while let Some((path, snapshot)) = snapshots.next() {
        let other = snapshots.next();
        let analysis = &analysis;
        let (first, second) = std::thread::scope(|scope| {
            let second = other.map(|(path, s)| scope.spawn(move || analysis.groups(s, &path)));
            let first = analysis.groups(snapshot, &path);
            (first, second.map(|handle| handle.join().unwrap_or_else(|panic| resume_unwind(panic))))
        });
        take(first?)?;
        second.map_or(Ok(()), |groups| take(groups?))?;
    }
    Ok(())
}

/// How many records of the store another referential moves, by class; `at` is the day of those that
/// are due.
///
/// # Errors
/// When the store cannot be read.
pub fn impacts(
    store: &Store,
    rulebook: &Rulebook,
    old: &Referential,
    new: &Referential,
    at: NaiveDate,
) -> Result<BTreeMap<String, Impact>> {
    // What either asks of the records, asked together.
    let both = Referential {
        version: String::new(),
        rules: old.rules.iter().chain(&new.rules).cloned().collect(),
        events: old.events.iter().chain(&new.events).map(|(id, e)| (id.clone(), e.clone())).collect(),
    };
    let Rulebook { calendar, contracts, .. } = rulebook;
    let analysis =
        Analysis { referential: &both, calendar, contracts, gels: Vec::new(), draws: Draws::default(), at };
    let mut known: Vec<(Group, BTreeMap<String, EventDate>)> = Vec::new();
    for snapshot in store.ledger.snapshots("")? {
        let path = store.snapshot_path(&snapshot)?;
        let rules = both.class(&snapshot.record_class);
        for group in analysis.groups(snapshot, &path)? {
            let events = rules.events().map(str::to_owned).zip(group.shared.dates.iter().copied());
            let events = events.collect();
            known.push((group, events));
        }
    }
    let shares = known.iter().map(|(group, events)| Share {
        class: &group.snapshot.record_class,
        events,
        document: group.shared.document.as_deref(),
        records: group.records,
    });
    Ok(impact(old, new, calendar, at, shares))
}

/// Records by (class, school year, decision).
pub type Simulation = BTreeMap<(String, String, Outcome), u64>;

/// Counts by decision, then in detail.
pub fn simulate(groups: &[Group]) -> (BTreeMap<Outcome, u64>, Simulation) {
    let (mut total, mut detail) = (BTreeMap::new(), BTreeMap::new());
    for g in groups {
        *total.entry(g.verdict.outcome).or_default() += g.records;
        let key = (g.snapshot.record_class.clone(), g.snapshot.annee_scolaire.clone(), g.verdict.outcome);
        *detail.entry(key).or_default() += g.records;
    }
    (total, detail)
}

/// The sort-final step: writes `reports/<run id>/decisions.parquet`, one row a record.
///
/// # Errors
/// When the store fails, or a snapshot does not hold the records that the ledger counts.
pub fn sort_final(run: &mut Run<'_>) -> Result<Said> {
    let groups = decisions(run.store, run.rulebook, run.date)?;
    let analysis = Analysis::new(run.store, run.rulebook, run.date)?;
    let path = format!("reports/{}/decisions.parquet", run.id);
    let aside = run.store.work_dir("sort-final")?.join("decisions.parquet");
    let text = |n: &str, null: bool| Field::new(n, DataType::Utf8, null);
    let schema = Arc::new(Schema::new(vec![
        text("table", false),
        text("record", false),
        text("record_class", false),
        text("annee_scolaire", false),
        text("decision", false),
        text("phase", true),
        text("rules", false),
        text("rules_version", false),
        Field::new("start_date", DataType::Date32, true),
        Field::new("due_date", DataType::Date32, true),
        Field::new("active_until", DataType::Date32, true),
        text("holds", false),
        text("reasons", false),
    ]));
    let mut writer = PartWriter::create(&aside, schema.clone())?;
    let mut decided = 0_u64;
    let mut done = 0;
    for same in groups.chunk_by(|a, b| a.snapshot.path == b.snapshot.path) {
        let Some(first) = same.first() else { continue };
        let path = run.store.snapshot_path(&first.snapshot)?;
        let told: Vec<Told> = same.iter().map(|g| Told::of(&analysis, g)).collect();
        let mut splitter = analysis.splitter(&first.snapshot, &path)?;
        let mut columns: Vec<String> = splitter.wanted().into_iter().map(str::to_owned).collect();
        columns.extend(["_file".to_owned(), "_record".to_owned()]);
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        let mut rows = 0_u64;
        for batch in read_batches(&path, Some(&columns))? {
            let batch = batch?;
            rows += batch.num_rows() as u64;
            let numbers = splitter.rows(&first.snapshot, &batch)?;
            let version = &run.rulebook.referential.version;
            writer.write(&decision_rows(&schema, &first.snapshot, &told, &numbers, version, &batch)?)?;
        }
        if rows != same.iter().map(|g| g.records).sum::<u64>() {
            return Err(Error::Corrupt(format!("{} : {rows} enregistrements lus", first.snapshot.path)));
        }
        decided += rows;
        done += same.len();
        run.progress.advance(done as u64, groups.len() as u64);
    }
    let (_, digest) = writer.finish()?;
    files::publish(&aside, &run.store.path(&path))?;
    let (total, _) = simulate(&groups);
    let by_decision: serde_json::Map<String, serde_json::Value> =
        total.iter().map(|(o, n)| (o.as_str().to_owned(), json!(n))).collect();
    let payload = json!({"by_decision": by_decision, "rules_version": run.rulebook.referential.version, "decisions_sha256": digest.to_string()});
    let mut detail = total
        .iter()
        .map(|(o, n)| format!("{} : {}", o.french(), thousands(*n)))
        .collect::<Vec<_>>()
        .join(", ");
    let gels = run.store.ledger.gels()?;
    let late: Vec<&str> = gels.iter().filter(|g| g.to_reassess(run.date)).map(|g| g.id.as_str()).collect();
    if !late.is_empty() {
        detail.push_str(&format!("\ngels à réévaluer (ils tiennent) : {}", late.join(", ")));
    }
    let counts = Counts { read: decided, accepted: decided, ..Counts::default() };
    Ok(Said {
        counts,
        outputs: vec![path],
        detail,
        facts: vec![("decisions_made", payload)],
        ..Said::default()
    })
}

/// Name of a record for people and lists: delivery, file and number; never a personal value.
pub fn record_name(delivery: &str, file: &str, record: i64) -> String {
    format!("{delivery}/{file}#{record}")
}

/// A decision as it is written beside each of its records.
struct Told {
    outcome: &'static str,
    phase: Option<&'static str>,
    rules: String,
    start: Option<NaiveDate>,
    due: Option<NaiveDate>,
    active_until: Option<NaiveDate>,
    holds: String,
    reasons: String,
}

impl Told {
    fn of(analysis: &Analysis<'_>, group: &Group) -> Self {
        let story = analysis.explain(group);
        let ids: Vec<&str> = analysis.dua_rules(group).into_iter().map(|r| r.id.as_str()).collect();
        let v = &group.verdict;
        Told {
            outcome: v.outcome.as_str(),
            phase: v.phase.map(Phase::as_str),
            rules: ids.join(","),
            start: v.start,
            due: v.due,
            active_until: v.active_until,
            holds: group.shared.held.join(","),
            reasons: story.reasons.join(" ; "),
        }
    }
}

fn decision_rows(
    schema: &Arc<Schema>,
    s: &Snapshot,
    told: &[Told],
    numbers: &[usize],
    version: &str,
    batch: &RecordBatch,
) -> Result<RecordBatch> {
    let n = batch.num_rows();
    let same =
        |value: &str| -> ArrayRef { Arc::new(StringArray::from_iter_values(std::iter::repeat_n(value, n))) };
    let of = |number: &usize| told.get(*number);
    let text = |get: fn(&Told) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter(numbers.iter().map(|i| of(i).map(get))))
    };
    let date = |get: fn(&Told) -> Option<NaiveDate>| -> ArrayRef {
        Arc::new(Date32Array::from_iter(numbers.iter().map(|i| of(i).and_then(get).map(days))))
    };
    Ok(RecordBatch::try_new(
        schema.clone(),
        vec![
            same(&s.table_name),
            record_names(&s.delivery_id, batch)?,
            same(&s.record_class),
            same(&s.annee_scolaire),
            text(|t| t.outcome),
            Arc::new(StringArray::from_iter(numbers.iter().map(|i| of(i).and_then(|t| t.phase)))),
            text(|t| &t.rules),
            same(version),
            date(|t| t.start),
            date(|t| t.due),
            date(|t| t.active_until),
            text(|t| &t.holds),
            text(|t| &t.reasons),
        ],
    )?)
}

/// Names of the records of a batch that holds `_file` and `_record`.
///
/// # Errors
/// When the columns are missing.
pub fn record_names(delivery: &str, batch: &RecordBatch) -> Result<ArrayRef> {
    let missing = || Error::Corrupt("colonnes d'origine absentes".into());
    let file = batch.column_by_name("_file").and_then(|c| c.as_string_opt::<i32>()).ok_or_else(missing)?;
    let record = batch
        .column_by_name("_record")
        .and_then(|c| c.as_primitive_opt::<Int64Type>())
        .ok_or_else(missing)?;
    let names =
        file.iter().zip(record.iter()).map(|(f, r)| record_name(delivery, f.unwrap_or(""), r.unwrap_or(0)));
    Ok(Arc::new(StringArray::from_iter_values(names)))
}
