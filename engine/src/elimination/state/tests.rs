use super::super::fixture::{day, person};
use super::*;
use proptest::prelude::*;

/// A step by the person of the role that the event wants.
pub(crate) fn step(event: Event, on: &str) -> Step {
    let role = event.rule().2[0];
    let on = day(on);
    match event {
        Event::Approved => Step::approval(person(role), on, CoolingOff::default()).unwrap(),
        Event::Attested => Step::attestation(person(role), person(Role::Temoin), on),
        _ => Step::new(event, person(role), role, on),
    }
}

/// Steps that lead to a state, one a day from 1 March 2026; the execution starts on 1 April.
pub(crate) fn way_to(state: State) -> Vec<Step> {
    use Event as E;
    let (answer, end): (E, &[E]) = match state {
        State::Returned => (E::Returned, &[]),
        State::Refused => (E::Refused, &[]),
        State::VisaedPartial => (E::VisaedPartial, &[]),
        State::PartlyFailed => (E::Visaed, &[E::Approved, E::Started, E::PartlyFailed]),
        _ => (E::Visaed, &[E::Approved, E::Started, E::Executed, E::Attested]),
    };
    let all = [E::Proposed, E::Signed, E::Submitted, answer].into_iter().chain(end.iter().copied());
    let mut steps = Vec::new();
    for event in all {
        if Course::replay(steps.clone()).unwrap().state() == state {
            break;
        }
        let late = matches!(event, E::Started | E::Executed | E::PartlyFailed | E::Attested);
        let on = if late { "2026-04-01".to_owned() } else { format!("2026-03-{:02}", steps.len() + 1) };
        steps.push(step(event, &on));
    }
    steps
}

fn refusal(course: &Course, step: &Step) -> Option<&'static str> {
    course.permits(step).map_err(|r| r.code).err()
}

/// What may happen in each state, and nothing else.
const ALLOWED: &[(State, &[Event])] = &[
    (State::Simulated, &[Event::Proposed]),
    (State::Proposed, &[Event::Signed, Event::Recalled]),
    (State::Signed, &[Event::Submitted, Event::Recalled]),
    (
        State::Submitted,
        &[Event::Returned, Event::Visaed, Event::VisaedPartial, Event::Refused, Event::Recalled],
    ),
    (State::Returned, &[]),
    (State::Visaed, &[Event::Approved, Event::Recalled]),
    (State::VisaedPartial, &[Event::Approved, Event::Recalled]),
    (State::Refused, &[]),
    (State::CoolingOff, &[Event::Started, Event::Recalled]),
    (State::Executing, &[Event::Executed, Event::PartlyFailed]),
    (State::Executed, &[Event::Attested]),
    (State::PartlyFailed, &[Event::Attested]),
    (State::Attested, &[]),
];

#[test]
fn every_event_in_every_state() {
    assert!(ALLOWED.iter().map(|(s, _)| s).eq(State::ALL));
    for (state, allowed) in ALLOWED {
        let course = Course::replay(way_to(*state)).unwrap();
        assert_eq!(course.state(), *state);
        for event in Event::ALL {
            let want = (!allowed.contains(event)).then_some("ELIM_TRANSITION");
            assert_eq!(refusal(&course, &step(*event, "2026-04-02")), want, "{state:?} {event:?}");
        }
    }
}

#[test]
fn every_event_in_every_role() {
    for (state, allowed) in ALLOWED {
        let course = Course::replay(way_to(*state)).unwrap();
        for (event, role) in allowed.iter().flat_map(|e| Role::ALL.map(|r| (*e, r))) {
            let other = Step { role, actor: "zoe".into(), ..step(event, "2026-04-02") };
            let want = (!event.rule().2.contains(&role)).then_some("ELIM_ROLE");
            assert_eq!(refusal(&course, &other), want, "{event:?} {role:?}");
        }
    }
}

#[test]
fn two_persons_where_two_are_wanted() {
    use Event as E;
    let answers = [E::Returned, E::Visaed, E::VisaedPartial, E::Refused];
    let mut apart = vec![(E::Signed, E::Proposed), (E::Approved, E::Proposed)];
    apart.extend(answers.iter().flat_map(|a| [E::Proposed, E::Signed, E::Submitted].map(|o| (*a, o))));
    let after = [E::Approved, E::Started, E::Executed, E::PartlyFailed, E::Attested];
    apart.extend(after.map(|e| (e, E::Visaed)));
    for (state, allowed) in ALLOWED {
        let course = Course::replay(way_to(*state)).unwrap();
        for (event, done) in allowed.iter().flat_map(|e| course.steps().iter().map(move |s| (*e, s))) {
            let by_the_same = Step { actor: done.actor.clone(), ..step(event, "2026-04-02") };
            // The same person may have done something else that forbids it.
            let forbidden =
                course.steps().iter().any(|s| s.actor == done.actor && apart.contains(&(event, s.event)))
                    || (done.event, event) == (E::VisaedPartial, E::Approved);
            let want = forbidden.then_some("ELIM_SAME_PERSON");
            assert_eq!(refusal(&course, &by_the_same), want, "{event:?} after {:?}", done.event);
        }
    }
    let executed = Course::replay(way_to(State::Executed)).unwrap();
    for (witness, want) in [("emma", None), ("driss", Some("ELIM_SAME_PERSON"))] {
        let attestation = Step::attestation("driss", witness, day("2026-04-02"));
        assert_eq!(refusal(&executed, &attestation), want);
    }
    let alone = Step { witness: None, ..step(Event::Attested, "2026-04-02") };
    assert_eq!(refusal(&executed, &alone), Some("ELIM_SAME_PERSON"));
}

#[test]
fn the_cooling_off_is_the_only_date_that_counts() {
    let on = day("2026-03-05");
    for (delay, start, want) in [
        (CoolingOff::default(), "2026-03-11", Some("ELIM_COOLING_OFF")),
        (CoolingOff::default(), "2026-03-12", None),
        (CoolingOff::configured(0), "2026-03-05", None),
        (CoolingOff::configured(1), "2026-03-05", Some("ELIM_COOLING_OFF")),
    ] {
        let mut course = Course::replay(way_to(State::Visaed)).unwrap();
        course.take(Step::approval("bernard", on, delay).unwrap()).unwrap();
        assert_eq!(refusal(&course, &step(Event::Started, start)), want, "{delay:?} {start}");
    }
    let visaed = Course::replay(way_to(State::Visaed)).unwrap();
    let without = Step { until: None, ..step(Event::Approved, "2026-03-05") };
    let backwards = Step { until: Some(day("2026-03-04")), ..without.clone() };
    for bad in [without, backwards] {
        assert_eq!(refusal(&visaed, &bad), Some("ELIM_COOLING_OFF"));
    }
    assert_eq!(refusal(&visaed, &step(Event::Approved, "2026-03-03")), Some("ELIM_DATE"));
    assert!(Step::approval("b", NaiveDate::MAX, CoolingOff::default()).is_err());
}

#[test]
fn a_century_of_silence_leaves_a_submitted_list_submitted() {
    let course = Course::replay(way_to(State::Submitted)).unwrap();
    for event in [Event::Approved, Event::Started, Event::Executed, Event::Attested] {
        assert_eq!(refusal(&course, &step(event, "2126-03-04")), Some("ELIM_TRANSITION"));
    }
}

#[test]
fn a_refusal_says_what_is_possible() {
    let said = |state| {
        let course = Course::replay(way_to(state)).unwrap();
        course.permits(&step(Event::Started, "2026-04-02")).unwrap_err().message
    };
    assert!(said(State::Visaed).contains("la liste est visée : la suite est « approuver l'exécution »"));
    assert!(said(State::Returned).ends_with("proposez une nouvelle liste"));
    assert!(said(State::Attested).ends_with("il n'y a plus rien à faire"));
}

#[test]
fn names_are_read_back() {
    assert!(State::ALL.iter().all(|s| State::parse(s.as_str()) == Some(*s)));
    assert!(Event::ALL.iter().all(|e| Event::parse(e.as_str()) == Some(*e)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Whatever people try, an execution was proposed, signed, visaed and approved before it, by
    /// the persons it wants, and its delay had passed.
    #[test]
    fn nothing_executes_without_the_whole_chain(tries in proptest::collection::vec((any::<bool>(), 0..13_usize, 0..4_usize, 0..5_usize, 0..3_u64), 0..40)) {
        let mut course = Course::default();
        let mut on = day("2026-03-01");
        for (wild, event, who, role, days) in tries {
            // One try in two is any event in any role; the others are possible, so that many arrive.
            let possible: Vec<Event> =
                Event::ALL.iter().copied().filter(|e| *e != Event::Recalled && e.rule().0.contains(&course.state())).collect();
            let event = if wild || possible.is_empty() { Event::ALL[event] } else { possible[event % possible.len()] };
            on = on + Days::new(days);
            let step = Step {
                event,
                actor: ["alice", "bernard", "chloe", "driss"][who].into(),
                role: if wild { Role::ALL[role] } else { event.rule().2[0] },
                on,
                until: (event == Event::Approved).then(|| on + Days::new(1)),
                witness: (event == Event::Attested).then(|| "emma".into()),
            };
            let _ = course.take(step);
        }
        let of = |e: Event| course.steps().iter().find(|s| s.event == e);
        if let Some(start) = of(Event::Started) {
            let visa = of(Event::Visaed).or(of(Event::VisaedPartial)).unwrap();
            let (proposal, signed, approved) =
                (of(Event::Proposed).unwrap(), of(Event::Signed).unwrap(), of(Event::Approved).unwrap());
            prop_assert!(proposal.actor != signed.actor && proposal.actor != approved.actor);
            prop_assert!([proposal, signed, approved, start].iter().all(|s| s.actor != visa.actor));
            prop_assert!(start.on >= approved.until.unwrap() && visa.role == Role::Archives);
        }
    }
}
