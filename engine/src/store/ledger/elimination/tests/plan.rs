//! The plan of an execution and the tombstones that it leaves.

use super::*;

#[test]
fn one_execution_at_a_time_after_its_delay_with_a_plan_that_spares_what_is_kept() {
    let (mut ledger, list) = in_state(State::CoolingOff);
    let mut start = |on: &str, plan: &[Target]| {
        let step = step(Event::Started, on);
        // Rolled back: each try finds the same ledger.
        let tx = Tx(ledger.db.transaction().unwrap());
        code(tx.start_elimination(&list.id, &step, AT, plan))
    };
    let at = |path: &str| {
        let mut plan = plan();
        plan[1].path = path.into();
        plan
    };
    assert_eq!(start("2026-04-01", &plan()), "");
    assert_eq!(start("2026-03-06", &plan()), "ELIM_COOLING_OFF");
    assert_eq!(start("2026-04-01", &[]), "ELIM_EMPTY_PLAN");
    assert_eq!(start("2026-04-01", &at("journal/2026-01-12.jsonl")), "ELIM_PROTECTED_TARGET");
    assert_eq!(start("2026-04-01", &at("tables/t/part-0.parquet")), "ledger", "a path twice");

    let other = ListRef { id: "EL-2".into(), digest: "e".repeat(64), ..list.clone() };
    ledger
        .transact(|tx| {
            tx.list(&list_row(&other.id, &other.digest))?;
            way_to(State::Executing).iter().try_for_each(|s| advance(tx, s, &other).map(|_| ()))
        })
        .unwrap();
    let started = step(Event::Started, "2026-04-01");
    let both = ledger.transact(|tx| tx.start_elimination(&list.id, &started, AT, &plan()));
    assert_eq!(code(both), "ledger");
}

#[test]
fn a_plan_is_carried_out_as_written() {
    let (ledger, list) = in_state(State::Executing);
    let raw = |sql: &str| {
        ledger.db.execute_batch(&format!("SAVEPOINT t; {sql};")).map(|()| true).unwrap_or(false)
            & ledger.db.execute_batch("ROLLBACK TO t; RELEASE t").is_ok()
    };
    let id = &list.id;
    let done = "UPDATE elimination_targets SET done = 1 WHERE ordinal = 1";
    assert!(raw(done));
    for (case, sql) in [
        (
            "a third target",
            format!(
                "INSERT INTO elimination_targets (list_id, ordinal, path, kind, action, bytes, records) VALUES ('{id}', 3, 'tables/x', 'table', 'remove', 1, 1)"
            ),
        ),
        ("another path", "UPDATE elimination_targets SET path = 'tables/x'".into()),
        ("another action", "UPDATE elimination_targets SET action = 'remove', new_path = NULL".into()),
        ("undone", format!("{done}; UPDATE elimination_targets SET done = 0")),
        ("done twice", format!("{done}; {done}")),
        ("forgotten", "DELETE FROM elimination_targets".into()),
        ("done and failed", "UPDATE elimination_targets SET done = 1, failure = 'x'".into()),
    ] {
        assert!(!raw(&sql), "{case}");
    }
    let (mut ledger, list) = in_state(State::Executing);
    let mut end = |event, done: &[&str], failed: &[&str]| {
        let tx = Tx(ledger.db.transaction().unwrap());
        done.iter().for_each(|p| tx.target_done(&list.id, p).unwrap());
        failed.iter().for_each(|p| tx.target_failed(&list.id, p, "verrouillé").unwrap());
        code(tx.elimination_step(&list.id, &step(event, "2026-04-01"), AT, &json!({})))
    };
    let (a, b) = (plan()[0].path.clone(), plan()[1].path.clone());
    for (event, done, failed, want) in [
        (Event::Executed, &[&*a, &*b][..], &[][..], ""),
        (Event::Executed, &[&*a], &[], "ledger"),
        (Event::Executed, &[&*a], &[&*b], "ledger"),
        (Event::PartlyFailed, &[&*a], &[&*b], ""),
        (Event::PartlyFailed, &[&*a, &*b], &[], "ledger"),
        (Event::PartlyFailed, &[], &[&*b], "ledger"),
    ] {
        assert_eq!(end(event, done, failed), want, "{event:?} {done:?} {failed:?}");
    }
    let unknown = ledger.transact(|tx| tx.target_done(&list.id, "tables/unknown"));
    assert!(matches!(unknown, Err(Error::Corrupt(_))));
}

#[test]
fn the_ledger_alone_keeps_targets_away_from_what_is_kept() {
    let (ledger, list) = in_state(State::CoolingOff);
    let start = format!(
        "INSERT INTO elimination_events (list_id, event, state, actor, role, on_day, at, payload)
         VALUES ('{0}', 'started', 'executing', 'driss', 'executant', '2026-04-01', '', '{{\"targets\":9}}')",
        list.id
    );
    ledger.db.execute_batch(&start).unwrap();
    for (path, ok) in [
        ("tables/t/p", true),
        ("quarantine/t/p", true),
        ("journal/x.jsonl", false),
        ("elimination/EL/list.json", false),
        ("ledger.sqlite", false),
        ("tables/", false),
        ("tables/../journal/x", false),
        ("tables//x", false),
        ("/tables/x", false),
        ("tables\\x", false),
    ] {
        let sql = "INSERT INTO elimination_targets (list_id, ordinal, path, kind, action, bytes, records) VALUES (?1, (SELECT count(*) + 1 FROM elimination_targets), ?2, 'table', 'remove', 1, 1)";
        assert_eq!(ledger.db.execute(sql, [list.id.as_str(), path]).is_ok(), ok, "{path}");
        assert!(ok == may_be_target(path), "{path}");
    }
}

#[test]
fn a_record_is_eliminated_once_and_only_by_an_execution() {
    let digest = tombstone(&[1; 32], "d#1");
    let (mut ledger, list) = in_state(State::CoolingOff);
    let leave = |ledger: &mut Ledger, id: &str| code(ledger.transact(|tx| tx.tombstones(id, 1, [digest])));
    assert_eq!(leave(&mut ledger, &list.id), "ledger");
    let (mut ledger, list) = in_state(State::Executing);
    assert_eq!(leave(&mut ledger, &list.id), "");
    assert_eq!(leave(&mut ledger, &list.id), "ledger", "twice");
    assert_ne!(tombstone(&[1; 32], "d#2"), digest);
}
