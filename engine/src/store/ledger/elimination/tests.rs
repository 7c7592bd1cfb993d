use super::*;
use crate::elimination::acts::{Attestation, ExecutionApproval, Proposal, RowDone};
use crate::elimination::exported::ListRef;
use crate::elimination::fixture::{day, key, list_json, list_ref, registry};
use crate::elimination::signature::{Statement, cosign, sign};
use crate::elimination::state::tests::{step, way_to};
use crate::elimination::visa::{Answer, Authority, Decision, RowChoice, RowDecision, give};
use crate::store::ledger::{ListRow, RunRow};
use std::path::Path;

mod plan;

const AT: &str = "2026-03-01T02:30:00Z";

/// A ledger in memory.
pub(in crate::store::ledger) fn ledger() -> Ledger {
    Ledger::create(Path::new(":memory:")).unwrap()
}

fn list_row(id: &str, digest: &str) -> ListRow {
    ListRow {
        id: id.into(),
        digest: digest.into(),
        path: format!("elimination/{id}"),
        records: 30,
        proposed_on: "2026-03-01".into(),
        run_id: "r".into(),
    }
}

/// The same, with a run and the list of the fixtures, simulated.
fn with_list() -> (Ledger, ListRef) {
    let (mut ledger, list) = (ledger(), list_ref());
    let run = RunRow {
        id: "r".into(),
        job: "nightly".into(),
        logical_date: "2026-03-01".into(),
        revision: 1,
        status: "running".into(),
    };
    ledger
        .transact(|tx| {
            tx.open_run(&run, AT)?;
            tx.list(&list_row(&list.id, &list.digest))
        })
        .unwrap();
    (ledger, list)
}

/// What a step signs, without a real signature: the ledger looks at the content alone.
fn unsigned(step: &Step, list: &ListRef, visa_sha256: &str) -> Option<(&'static str, String)> {
    let decision = match step.event {
        Event::Returned => "returned",
        Event::Visaed => "visa",
        Event::VisaedPartial => "partial",
        Event::Refused => "refused",
        _ => "",
    };
    let (kind, mut statement) = match step.event {
        Event::Signed => ("proposal", json!({})),
        Event::Returned | Event::Visaed | Event::VisaedPartial | Event::Refused => {
            ("visa", json!({"decision": decision}))
        }
        Event::Approved => (
            "execution",
            json!({"visa_sha256": visa_sha256, "cooling_off_until": step.until.map(|d| d.to_string())}),
        ),
        Event::Attested => ("attestation", json!({"visa_sha256": visa_sha256})),
        _ => return None,
    };
    statement["list"] = serde_json::to_value(list).unwrap();
    let signatures: Vec<Value> = [Some(&step.actor), step.witness.as_ref()]
        .into_iter()
        .flatten()
        .map(|p| json!({"person": p}))
        .collect();
    Some((kind, canonical(&json!({"kind": kind, "signatures": signatures, "statement": statement}))))
}

fn payload(step: &Step, list: &ListRef) -> Value {
    match step.event {
        Event::Proposed => serde_json::to_value(list).unwrap(),
        Event::Recalled => json!({"reason": "liste refaite"}),
        Event::Started => json!({"targets": 2}),
        _ => json!({}),
    }
}

fn plan() -> Vec<Target> {
    let target = |path: &str, kind, new_path: Option<&str>| Target {
        path: path.into(),
        kind,
        new_path: new_path.map(str::to_owned),
        bytes: 100,
        records: 15,
        done: false,
        failure: None,
    };
    vec![
        target("tables/t/part-0.parquet", TargetKind::Table, Some("tables/t/part-1.parquet")),
        target("received/ab/abcd", TargetKind::Delivery, None),
    ]
}

fn visa_sha256(tx: &Tx<'_>, list: &ListRef) -> String {
    let sql = "SELECT sha256 FROM elimination_documents WHERE list_id = ? AND kind = 'visa'";
    tx.0.query_row(sql, [&list.id], |r| r.get(0)).optional().unwrap().unwrap_or_default()
}

fn paths_of(plan: &[Target]) -> Vec<&str> {
    plan.iter().map(|t| t.path.as_str()).collect()
}

/// What comes before an event, beside the events: its signed file, the end of its plan.
fn prepare(tx: &Tx<'_>, step: &Step, list: &ListRef) -> Result<()> {
    if let Some((kind, text)) = unsigned(step, list, &visa_sha256(tx, list)) {
        tx.elimination_document(&list.id, kind, &text)?;
    }
    let plan = plan();
    match step.event {
        Event::Executed => paths_of(&plan).into_iter().try_for_each(|p| tx.target_done(&list.id, p)),
        Event::PartlyFailed => {
            tx.target_done(&list.id, &plan[0].path)?;
            tx.target_failed(&list.id, &plan[1].path, "fichier verrouillé")
        }
        _ => Ok(()),
    }
}

fn advance(tx: &Tx<'_>, step: &Step, list: &ListRef) -> Result<State> {
    prepare(tx, step, list)?;
    match step.event {
        Event::Started => tx.start_elimination(&list.id, step, AT, &plan()),
        _ => tx.elimination_step(&list.id, step, AT, &payload(step, list)),
    }
}

/// A ledger whose list is in a state.
fn in_state(state: State) -> (Ledger, ListRef) {
    let (mut ledger, list) = with_list();
    ledger.transact(|tx| way_to(state).iter().try_for_each(|s| advance(tx, s, &list).map(|_| ()))).unwrap();
    assert_eq!(ledger.course(&list.id).unwrap().state(), state);
    (ledger, list)
}

/// The row as any program could write it, whatever `state.rs` thinks.
fn insert_raw(tx: &Tx<'_>, list: &ListRef, step: &Step, after: State, payload: &Value) -> bool {
    let insert = tx.0.prepare_cached(
        "INSERT INTO elimination_events (list_id, event, state, actor, role, witness, on_day, until_day, at, payload)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    );
    insert
        .unwrap()
        .execute(params![
            list.id,
            step.event.as_str(),
            after.as_str(),
            step.actor,
            step.role.as_str(),
            step.witness,
            step.on.to_string(),
            step.until.map(|d| d.to_string()),
            AT,
            canonical(payload)
        ])
        .is_ok()
}

/// Where an event leads, as the ways of the fixtures have it.
fn leads_to(event: Event) -> State {
    let ends_with = |s: &&State| way_to(**s).last().is_some_and(|l| l.event == event);
    State::ALL.iter().find(ends_with).copied().unwrap_or(State::Returned)
}

/// The first state, in the order of a list's life, in which an event may happen.
fn leads_from(event: Event) -> State {
    let possible =
        |s: &&State| Course::replay(way_to(**s)).is_ok_and(|c| c.permits(&step(event, "2026-04-02")).is_ok());
    State::ALL.iter().find(possible).copied().unwrap()
}

fn code<T>(result: Result<T>) -> &'static str {
    match result {
        Ok(_) => "",
        Err(Error::Refused { code, .. }) => code,
        Err(_) => "ledger",
    }
}

#[test]
fn the_triggers_and_the_state_machine_say_the_same_of_every_step() {
    let mut allowed = 0;
    for state in State::ALL {
        let (mut ledger, list) = in_state(*state);
        let course = ledger.course(&list.id).unwrap();
        for event in Event::ALL {
            let after = leads_to(*event);
            for (role, actor) in Role::ALL
                .into_iter()
                .flat_map(|r| ["alice", "bernard", "chloe", "driss", "zoe"].map(|a| (r, a)))
            {
                let tried = Step { role, actor: actor.into(), ..step(*event, "2026-04-02") };
                let by_rust = course.permits(&tried).is_ok();
                // A signed file that cannot be there is one more reason to refuse.
                let tx = Tx(ledger.db.transaction().unwrap());
                let _ = prepare(&tx, &tried, &list);
                assert_eq!(
                    insert_raw(&tx, &list, &tried, after, &payload(&tried, &list)),
                    by_rust,
                    "{state:?} {event:?} {role:?} {actor}"
                );
                allowed += usize::from(by_rust);
            }
        }
    }
    assert!(allowed > 30, "{allowed}");
}

/// The whole life of a list with real keys, from the proposal to the attestation.
#[test]
fn a_list_goes_its_whole_way_with_real_signatures() {
    let (mut ledger, list) = with_list();
    let registry = registry();
    let answer = Answer {
        authority: Authority { service: "Archives départementales".into(), title: "directrice".into() },
        decision: Decision::Partial,
        observation: String::new(),
        rows: [(1, RowChoice::Visa), (2, RowChoice::Refus)]
            .map(|(order, decision)| RowDecision { decision, observation: String::new(), order })
            .to_vec(),
    };
    let proposal =
        sign(&Proposal::new(list.clone(), "Collège"), &key(Role::Producteur), &registry, day("2026-03-02"))
            .unwrap();
    let visa = give(&list_json(3), answer, &key(Role::Archives), &registry, day("2026-03-04")).unwrap();
    let visa_sha256 = Digest::of(visa.as_bytes()).to_string();
    let approval = Step::approval("bernard", day("2026-03-05"), Default::default()).unwrap();
    let order = ExecutionApproval {
        cooling_off_until: approval.until.unwrap(),
        list: list.clone(),
        visa_sha256: visa_sha256.clone(),
    };
    let order = sign(&order, &key(Role::Producteur), &registry, day("2026-03-05")).unwrap();
    let attestation = Attestation {
        copies: Vec::new(),
        ended_at: AT.into(),
        failures: Vec::new(),
        journal_hash: "0".repeat(64),
        journal_seq: 1,
        list: list.clone(),
        method: "réécriture".into(),
        rows: vec![RowDone { bytes: 1, eliminated: 10, failed: 0, kept: 0, order: 1 }],
        sources: Vec::new(),
        started_at: AT.into(),
        visa_authority: "Archives départementales, directrice".into(),
        visa_on: day("2026-03-04"),
        visa_sha256,
    };
    let attested = sign(&attestation, &key(Role::Executant), &registry, day("2026-04-02")).unwrap();
    let attested =
        cosign::<Attestation>(&attested, &key(Role::Temoin), &registry, day("2026-04-02")).unwrap();
    let id = list.id.as_str();
    let salt = [5; 32];
    let go = |tx: &Tx<'_>, event, on: &str| {
        let step = step(event, on);
        tx.elimination_step(id, &step, AT, &payload(&step, &list))
    };
    ledger
        .transact(|tx| {
            go(tx, Event::Proposed, "2026-03-01")?;
            tx.elimination_document(id, Proposal::KIND, &proposal)?;
            go(tx, Event::Signed, "2026-03-02")?;
            go(tx, Event::Submitted, "2026-03-03")?;
            tx.elimination_document(id, "visa", &visa)?;
            go(tx, Decision::Partial.event(), "2026-03-05")?;
            tx.elimination_document(id, ExecutionApproval::KIND, &order)?;
            tx.elimination_step(id, &approval, AT, &json!({}))
        })
        .unwrap();
    let started = step(Event::Started, "2026-04-01");
    ledger.transact(|tx| tx.start_elimination(id, &started, AT, &plan())).unwrap();
    assert_eq!(ledger.executing().unwrap().as_deref(), Some(id));
    // As after a crash: what is done is known, what remains too.
    ledger.transact(|tx| tx.target_done(id, &plan()[0].path)).unwrap();
    let done: Vec<bool> = ledger.targets(id).unwrap().iter().map(|t| t.done).collect();
    assert_eq!(done, [true, false]);
    ledger
        .transact(|tx| {
            tx.tombstones(id, 1, ["d#1", "d#2"].map(|r| tombstone(&salt, r)))?;
            tx.target_failed(id, &plan()[1].path, "fichier verrouillé")?;
            tx.target_done(id, &plan()[1].path)?;
            go(tx, Event::Executed, "2026-04-01")?;
            tx.elimination_document(id, Attestation::KIND, &attested)?;
            tx.elimination_step(id, &step(Event::Attested, "2026-04-02"), AT, &json!({}))
        })
        .unwrap();
    let course = ledger.course(id).unwrap();
    assert_eq!((course.state(), course.actor(Event::Proposed)), (State::Attested, Some("alice")));
    assert_eq!(ledger.elimination_document(id, "visa").unwrap(), Some(visa));
    assert_eq!(ledger.eliminated_by(&tombstone(&salt, "d#2")).unwrap(), Some((id.to_owned(), 1)));
    assert_eq!(ledger.eliminated_by(&tombstone(&[6; 32], "d#2")).unwrap(), None, "another salt");
    assert_eq!(ledger.executing().unwrap(), None);
}

#[test]
fn a_refused_step_says_why_and_leaves_nothing() {
    let (mut ledger, list) = in_state(State::Submitted);
    let by = |actor: &str, event, on: &str| Step { actor: actor.into(), ..step(event, on) };
    for (tried, want) in [
        (step(Event::Started, "2026-04-01"), "ELIM_TRANSITION"),
        (Step { role: Role::Agent, ..step(Event::Visaed, "2026-04-01") }, "ELIM_ROLE"),
        (by("alice", Event::Visaed, "2026-04-01"), "ELIM_SAME_PERSON"),
        (by("chloe", Event::Visaed, "2026-02-01"), "ELIM_DATE"),
        // Without its signed file, the archives' word is nobody's.
        (step(Event::Visaed, "2026-04-01"), "ledger"),
    ] {
        assert_eq!(code(ledger.transact(|tx| tx.elimination_step(&list.id, &tried, AT, &json!({})))), want);
    }
    assert_eq!(ledger.course(&list.id).unwrap().state(), State::Submitted);
}

#[test]
fn a_signed_file_is_of_this_list_this_visa_and_this_person() {
    let (mut ledger, list) = in_state(State::Submitted);
    let visaed = step(Event::Visaed, "2026-03-10");
    for other in [
        ListRef { digest: "f".repeat(64), ..list.clone() },
        ListRef { file_sha256: "f".repeat(64), ..list.clone() },
        ListRef { holds_digest: "f".repeat(64), ..list.clone() },
        ListRef { rules_version: "2".into(), ..list.clone() },
    ] {
        let (kind, text) = unsigned(&visaed, &other, "").unwrap();
        assert_eq!(code(ledger.transact(|tx| tx.elimination_document(&list.id, kind, &text))), "ledger");
    }
    let zoe = Step { actor: "zoe".into(), ..visaed.clone() };
    let refused = step(Event::Refused, "2026-03-10");
    for document in [&zoe, &refused] {
        let (kind, text) = unsigned(document, &list, "").unwrap();
        let done = ledger.transact(|tx| {
            tx.elimination_document(&list.id, kind, &text)?;
            tx.elimination_step(&list.id, &visaed, AT, &json!({}))
        });
        assert_eq!(code(done), "ledger", "{text}");
    }
    let (mut ledger, list) = in_state(State::Visaed);
    let approved = step(Event::Approved, "2026-03-10");
    let (kind, text) = unsigned(&approved, &list, &"f".repeat(64)).unwrap();
    assert_eq!(
        code(ledger.transact(|tx| tx.elimination_document(&list.id, kind, &text))),
        "ledger",
        "another visa"
    );
}

/// Each row: a state, the step that is right there, and what makes it wrong for the ledger alone:
/// in the step itself, in the signed file, in the payload.
#[test]
fn the_ledger_alone_refuses_what_the_engine_would_never_write() {
    type InStep = fn(&mut Step);
    type Wrong = (InStep, InStep, fn(&mut Value));
    let same: InStep = |_| {};
    let whole: fn(&mut Value) = |_| {};
    let table: &[(&str, Event, Wrong)] = &[
        ("a proposal of another digest", Event::Proposed, (same, same, |p| p["digest"] = json!("x"))),
        ("a proposal of another name", Event::Proposed, (same, same, |p| p["id"] = json!("EL-2"))),
        ("no plan", Event::Started, (same, same, |p| p["targets"] = json!(0))),
        ("a plan of unknown size", Event::Started, (same, same, |p| p["targets"] = Value::Null)),
        ("before the end of the delay", Event::Started, (|s| s.on = day("2026-03-11"), same, whole)),
        ("before the step before", Event::Submitted, (|s| s.on = day("2026-02-28"), same, whole)),
        ("another delay than the signed one", Event::Approved, (|s| s.until = Some(s.on), same, whole)),
        ("no delay", Event::Approved, (|s| s.until = None, |s| s.until = None, whole)),
        (
            "a delay that ends before it starts",
            Event::Approved,
            (|s| s.until = Some(day("2026-03-02")), |s| s.until = Some(day("2026-03-02")), whole),
        ),
        ("a delay without approval", Event::Submitted, (|s| s.until = Some(s.on), same, whole)),
        (
            "another witness than the signed one",
            Event::Attested,
            (|s| s.witness = Some("zoe".into()), same, whole),
        ),
        ("no witness", Event::Attested, (|s| s.witness = None, |s| s.witness = None, whole)),
        (
            "a witness of oneself",
            Event::Attested,
            (|s| s.witness = Some("driss".into()), |s| s.witness = Some("driss".into()), whole),
        ),
        ("nobody", Event::Submitted, (|s| s.actor.clear(), same, whole)),
        ("a person in capitals", Event::Submitted, (|s| s.actor = "Bernard".into(), same, whole)),
    ];
    for (case, event, (in_step, in_file, in_payload)) in table {
        let (mut ledger, list) = in_state(leads_from(*event));
        let right = step(*event, if *event == Event::Approved { "2026-03-05" } else { "2026-04-01" });
        let mut tried = |wrong: bool| {
            let (mut row, mut file, mut payload) = (right.clone(), right.clone(), payload(&right, &list));
            if wrong {
                in_step(&mut row);
                in_file(&mut file);
                in_payload(&mut payload);
            }
            let tx = Tx(ledger.db.transaction().unwrap());
            prepare(&tx, &file, &list).unwrap();
            insert_raw(&tx, &list, &row, leads_to(*event), &payload)
        };
        assert!(tried(false), "{case}: the right step must pass");
        assert!(!tried(true), "{case}");
    }
}

/// A late entry under an early number would not be the last event, and the state would not move.
#[test]
fn an_event_takes_its_number_after_all_others() {
    let (ledger, list) = in_state(State::Visaed);
    let insert = |seq: i64| {
        let sql =
            "INSERT INTO elimination_events (seq, list_id, event, state, actor, role, on_day, at, payload)
             VALUES (?, ?, 'recalled', 'returned', 'zoe', 'agent', '2026-04-01', '', '{\"reason\":\"r\"}')";
        ledger.db.execute(sql, params![seq, list.id])
    };
    assert!(insert(-1).is_err());
    assert!(insert(100).is_ok());
}

/// The check made in the transaction that starts the deletion stands alone, whatever let a visa in.
#[test]
fn a_visa_of_another_digest_starts_nothing() {
    for (digest, want) in [(list_ref().digest, ""), ("f".repeat(64), "ledger")] {
        let (mut ledger, list) = with_list();
        ledger.db.execute_batch("DROP TRIGGER documents_bind").unwrap();
        let visaed = ListRef { digest, ..list.clone() };
        let done = ledger.transact(|tx| {
            for step in way_to(State::Executing) {
                let signed_for = if step.event == Event::Visaed { &visaed } else { &list };
                prepare(tx, &step, signed_for)?;
                match step.event {
                    Event::Started => tx.start_elimination(&list.id, &step, AT, &plan())?,
                    _ => tx.elimination_step(&list.id, &step, AT, &payload(&step, &list))?,
                };
            }
            Ok(())
        });
        assert_eq!(code(done), want);
    }
}

#[test]
fn nothing_of_the_workflow_is_changed_or_forgotten() {
    let (mut ledger, list) = in_state(State::Executing);
    ledger.transact(|tx| tx.tombstones(&list.id, 1, [[9; 32]])).unwrap();
    for sql in [
        "DELETE FROM elimination_lists",
        "UPDATE elimination_lists SET digest = 'x'",
        "DELETE FROM elimination_events",
        "UPDATE elimination_events SET actor = 'x'",
        "INSERT OR REPLACE INTO elimination_events SELECT * FROM elimination_events",
        "INSERT INTO elimination_events SELECT -1, list_id, 'executed', 'executed', actor, role, witness, on_day, until_day, at, payload FROM elimination_events WHERE event = 'started'",
        "DELETE FROM elimination_documents",
        "UPDATE elimination_documents SET sha256 = 'x' WHERE kind = 'visa'",
        "INSERT OR REPLACE INTO elimination_documents SELECT * FROM elimination_documents",
        "DELETE FROM tombstones",
        "UPDATE tombstones SET row = 2",
        "INSERT OR REPLACE INTO tombstones SELECT * FROM tombstones",
        "DELETE FROM elimination_targets",
        "INSERT OR REPLACE INTO elimination_targets SELECT * FROM elimination_targets",
    ] {
        assert!(ledger.db.execute_batch(sql).is_err(), "{sql}");
    }
}

#[test]
fn a_list_is_recalled_for_a_reason_and_only_before_the_execution() {
    for (reason, want) in [("gel posé", ""), (" ", "ledger")] {
        let (mut ledger, list) = in_state(State::CoolingOff);
        let recalled = step(Event::Recalled, "2026-03-10");
        let done =
            ledger.transact(|tx| tx.elimination_step(&list.id, &recalled, AT, &json!({"reason": reason})));
        assert_eq!(code(done), want);
    }
}

#[test]
fn the_lists_of_an_older_store_stay_and_are_simulated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.sqlite");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(&format!(
        "{}{}
         INSERT INTO meta VALUES ('schema_version', '2'), ('mirrored_seq', '0');
         INSERT INTO runs VALUES ('r', 'nightly', '2026-01-12', 1, 'ok');
         INSERT INTO elimination_lists (id, digest, path, records, status, proposed_on, run_id)
         VALUES ('EL-1', 'abc', 'elimination/EL-1', 5, 'proposed', '2026-01-12', 'r');",
        include_str!("../schema.sql"),
        include_str!("../schema_2.sql")
    ))
    .unwrap();
    drop(old);
    for _ in 0..2 {
        let ledger = Ledger::create(&path).unwrap();
        let lists: Vec<String> = ledger.lists().unwrap().into_iter().map(|l| l.path).collect();
        assert_eq!(lists, ["elimination/EL-1"]);
        assert_eq!(ledger.course("EL-1").unwrap().state(), State::Simulated);
    }
}
