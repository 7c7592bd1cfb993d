//! The life of a list, pure: who may do what, after what. The ledger holds the same rules as
//! triggers (`store/ledger/schema_3.sql`), so that no other program can skip a step.
//!
//! ```text
//! simulated → proposed → signed → submitted → returned
//!                                           → refused
//!                                           → visaed | visaed_partial → cooling_off → executing
//!                                               → executed | partly_failed → attested
//! ```
//! Until the execution starts, a list may be recalled; it then is returned, and only a new list
//! may be proposed. Time alone changes nothing: the archives' silence is never an agreement, and
//! the end of the cooling-off only makes a start possible.

use super::refusal::Refusal;
use super::registry::Role;
use chrono::{Days, NaiveDate};

macro_rules! names {
    ($(#[$doc:meta])* $kind:ident { $( $(#[$vdoc:meta])* $variant:ident $text:literal $french:literal; )* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind { $( $(#[$vdoc])* $variant, )* }

        impl $kind {
            /// All of them.
            pub const ALL: &'static [$kind] = &[ $( $kind::$variant, )* ];

            /// As in the ledger and in JSON.
            pub fn as_str(self) -> &'static str { match self { $( $kind::$variant => $text, )* } }

            /// For people.
            pub fn french(self) -> &'static str { match self { $( $kind::$variant => $french, )* } }

            /// The reverse of `as_str`.
            pub fn parse(text: &str) -> Option<Self> { Self::ALL.iter().copied().find(|v| v.as_str() == text) }
        }
    };
}

names! {
    /// Where a list stands.
    State {
        /// Made by the analysis; nobody has asked for anything.
        Simulated "simulated" "simulée";
        /// An agent proposes it.
        Proposed "proposed" "proposée";
        /// The head of the service has signed it.
        Signed "signed" "signée par le producteur";
        /// The archives have it.
        Submitted "submitted" "soumise aux archives";
        /// Sent back by the archives, or recalled: only a new list follows.
        Returned "returned" "retournée";
        /// All rows granted.
        Visaed "visaed" "visée";
        /// Some rows granted.
        VisaedPartial "visaed_partial" "visée en partie";
        /// No row granted.
        Refused "refused" "refusée par les archives";
        /// Execution approved; the delay runs.
        CoolingOff "cooling_off" "en délai de réflexion";
        /// Records are being eliminated.
        Executing "executing" "en cours d'exécution";
        /// All were.
        Executed "executed" "exécutée";
        /// Some could not be: they are kept, a later list may hold them.
        PartlyFailed "partly_failed" "exécutée en partie";
        /// Two persons attest it.
        Attested "attested" "attestée";
    }
}

names! {
    /// What somebody does.
    Event {
        /// An agent asks for the elimination.
        Proposed "proposed" "proposer";
        /// The head of the service signs.
        Signed "signed" "signer";
        /// The signed list goes to the archives.
        Submitted "submitted" "soumettre";
        /// The archives send it back with a remark.
        Returned "returned" "retourner";
        /// The archives grant all rows.
        Visaed "visaed" "viser";
        /// The archives grant some rows.
        VisaedPartial "visaed_partial" "viser en partie";
        /// The archives grant none.
        Refused "refused" "refuser";
        /// The head of the service orders the execution; the cooling-off starts.
        Approved "approved" "approuver l'exécution";
        /// The execution starts.
        Started "started" "exécuter";
        /// It ended, everything was eliminated.
        Executed "executed" "constater l'exécution";
        /// It ended, something could not be.
        PartlyFailed "partly_failed" "constater l'exécution partielle";
        /// Two persons attest it.
        Attested "attested" "attester";
        /// Somebody takes the list back before anything is deleted.
        Recalled "recalled" "retirer";
    }
}

impl Event {
    /// States in which it may happen, the state that it leads to, and in which roles.
    fn rule(self) -> (&'static [State], State, &'static [Role]) {
        use Role::{Agent, Archives, Executant, Producteur};
        use State as S;
        match self {
            Event::Proposed => (&[S::Simulated], S::Proposed, &[Agent]),
            Event::Signed => (&[S::Proposed], S::Signed, &[Producteur]),
            Event::Submitted => (&[S::Signed], S::Submitted, &[Agent, Producteur]),
            Event::Returned => (&[S::Submitted], S::Returned, &[Archives]),
            Event::Visaed => (&[S::Submitted], S::Visaed, &[Archives]),
            Event::VisaedPartial => (&[S::Submitted], S::VisaedPartial, &[Archives]),
            Event::Refused => (&[S::Submitted], S::Refused, &[Archives]),
            Event::Approved => (&[S::Visaed, S::VisaedPartial], S::CoolingOff, &[Producteur]),
            Event::Started => (&[S::CoolingOff], S::Executing, &[Executant]),
            Event::Executed => (&[S::Executing], S::Executed, &[Executant]),
            Event::PartlyFailed => (&[S::Executing], S::PartlyFailed, &[Executant]),
            Event::Attested => (&[S::Executed, S::PartlyFailed], S::Attested, &[Executant]),
            Event::Recalled => (
                &[S::Proposed, S::Signed, S::Submitted, S::Visaed, S::VisaedPartial, S::CoolingOff],
                S::Returned,
                &[Agent, Producteur, Archives],
            ),
        }
    }

    fn is_answer(self) -> bool {
        matches!(self, Event::Returned | Event::Visaed | Event::VisaedPartial | Event::Refused)
    }

    /// Whether one person may not do both on the same list: whoever proposes neither signs nor
    /// approves, and whoever answers for the archives does nothing else but take the list back.
    fn apart(self, other: Event) -> bool {
        let service = |e: Event| !e.is_answer() && e != Event::Recalled;
        let (a, b) = if self <= other { (self, other) } else { (other, self) };
        matches!((a, b), (Event::Proposed, Event::Signed | Event::Approved))
            || (a.is_answer() && service(b))
            || (service(a) && b.is_answer())
    }
}

/// Days between the approval of an execution and its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoolingOff {
    days: u16,
}

impl Default for CoolingOff {
    /// Seven days, as the elimination tools of other countries have it.
    fn default() -> Self {
        CoolingOff { days: 7 }
    }
}

impl CoolingOff {
    /// A delay that somebody configured; zero only then.
    pub fn configured(days: u16) -> Self {
        CoolingOff { days }
    }

    /// First day on which an execution approved on a day may start; `None` past the calendar.
    pub fn until(self, approved_on: NaiveDate) -> Option<NaiveDate> {
        approved_on.checked_add_days(Days::new(u64::from(self.days)))
    }
}

/// An event that somebody wants, or that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub event: Event,
    /// Person.
    pub actor: String,
    /// In which quality.
    pub role: Role,
    /// Logical day.
    pub on: NaiveDate,
    /// Only of an approval: first day on which the execution may start.
    pub until: Option<NaiveDate>,
    /// Only of an attestation: the witness.
    pub witness: Option<String>,
}

impl Step {
    /// A step other than an approval or an attestation.
    pub fn new(event: Event, actor: &str, role: Role, on: NaiveDate) -> Self {
        Step { event, actor: actor.to_owned(), role, on, until: None, witness: None }
    }

    /// The approval of an execution.
    ///
    /// # Errors
    /// When the delay passes the calendar.
    pub fn approval(actor: &str, on: NaiveDate, delay: CoolingOff) -> Result<Self, Refusal> {
        let until = delay.until(on).ok_or_else(|| {
            Refusal::new("ELIM_COOLING_OFF", "délai de réflexion au-delà du calendrier : réduisez-le")
        })?;
        Ok(Step { until: Some(until), ..Step::new(Event::Approved, actor, Role::Producteur, on) })
    }

    /// The attestation by whoever executed, with a witness.
    pub fn attestation(actor: &str, witness: &str, on: NaiveDate) -> Self {
        Step { witness: Some(witness.to_owned()), ..Step::new(Event::Attested, actor, Role::Executant, on) }
    }
}

/// What happened to a list so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    steps: Vec<Step>,
}

impl Course {
    /// The course that these steps make.
    ///
    /// # Errors
    /// The first step that the rules refuse.
    pub fn replay(steps: impl IntoIterator<Item = Step>) -> Result<Self, Refusal> {
        let mut course = Course::default();
        steps.into_iter().try_for_each(|step| course.take(step).map(|_| ()))?;
        Ok(course)
    }

    /// Steps taken.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Where the list stands: what its last event led to.
    pub fn state(&self) -> State {
        self.steps.last().map_or(State::Simulated, |s| s.event.rule().1)
    }

    /// Who did something, if it was done.
    pub fn actor(&self, event: Event) -> Option<&str> {
        self.steps.iter().find(|s| s.event == event).map(|s| s.actor.as_str())
    }

    /// Takes a step; the state that follows.
    ///
    /// # Errors
    /// Why the step is refused; then nothing has changed.
    pub fn take(&mut self, step: Step) -> Result<State, Refusal> {
        self.permits(&step)?;
        self.steps.push(step);
        Ok(self.state())
    }

    /// Whether a step may be taken now.
    ///
    /// # Errors
    /// Why not, with what to do.
    pub fn permits(&self, step: &Step) -> Result<(), Refusal> {
        let state = self.state();
        let (before, _, roles) = step.event.rule();
        if !before.contains(&state) {
            return Err(Refusal::new("ELIM_TRANSITION", not_now(step.event, state)));
        }
        if !roles.contains(&step.role) {
            let expected: Vec<&str> = roles.iter().map(|r| r.french()).collect();
            return Err(Refusal::new(
                "ELIM_ROLE",
                format!(
                    "« {} » ne revient pas à un {} : adressez-vous à un {}",
                    step.event.french(),
                    step.role.french(),
                    expected.join(" ou ")
                ),
            ));
        }
        let same = |s: &&Step| s.actor == step.actor && s.event.apart(step.event);
        if let Some(other) = self.steps.iter().find(same) {
            return Err(Refusal::new(
                "ELIM_SAME_PERSON",
                format!(
                    "« {} » et « {} » reviennent à deux personnes différentes : faites intervenir quelqu'un d'autre",
                    other.event.french(),
                    step.event.french()
                ),
            ));
        }
        if (step.event == Event::Attested) != step.witness.is_some()
            || step.witness.as_ref() == Some(&step.actor)
        {
            return Err(Refusal::new(
                "ELIM_SAME_PERSON",
                "une attestation a un exécutant et un témoin, deux personnes différentes : faites signer les deux",
            ));
        }
        self.dates_hold(step)
    }

    fn dates_hold(&self, step: &Step) -> Result<(), Refusal> {
        let french = |d: NaiveDate| d.format("%d/%m/%Y");
        if let Some(last) = self.steps.last().filter(|s| step.on < s.on) {
            return Err(Refusal::new(
                "ELIM_DATE",
                format!(
                    "« {} » au {} précéderait « {} », fait le {} : vérifiez la date",
                    step.event.french(),
                    french(step.on),
                    last.event.french(),
                    french(last.on)
                ),
            ));
        }
        if (step.event == Event::Approved) != step.until.is_some_and(|until| until >= step.on) {
            return Err(Refusal::new(
                "ELIM_COOLING_OFF",
                "une approbation fixe le premier jour d'exécution, et elle seule : donnez le délai de réflexion",
            ));
        }
        let until = self.steps.iter().rev().find_map(|s| s.until);
        match until.filter(|until| step.event == Event::Started && step.on < *until) {
            Some(until) => Err(Refusal::new(
                "ELIM_COOLING_OFF",
                format!(
                    "le délai de réflexion court jusqu'au {} : exécutez à partir de ce jour",
                    french(until)
                ),
            )),
            None => Ok(()),
        }
    }
}

/// Why an event is not for this state, and what is.
fn not_now(event: Event, state: State) -> String {
    let next: Vec<String> = Event::ALL
        .iter()
        .filter(|e| e.rule().0.contains(&state))
        .map(|e| format!("« {} »", e.french()))
        .collect();
    let what_to_do = match (state, next.is_empty()) {
        (State::Returned | State::Refused, _) => "proposez une nouvelle liste".to_owned(),
        (_, true) => "il n'y a plus rien à faire".to_owned(),
        (_, false) => format!("la suite est {}", next.join(" ou ")),
    };
    format!("« {} » n'est pas possible, la liste est {} : {what_to_do}", event.french(), state.french())
}

#[cfg(test)]
pub(crate) mod tests;
