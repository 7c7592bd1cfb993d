//! From TOML files to a checked referential: the faults of all files at once, in French, each with
//! its line and column.

use super::decide::Outcome;
use super::duration::{Duration, Mode};
use super::rules::{
    Agreement, Basis, Cap, Clock, EffectiveBy, Event, Example, Phase, Referential, Rule, SortFinal, Start,
    Step, Verified,
};
use crate::contract::{fault_at, plain_name, toml_file};
use crate::domain::{DateFormat, Digest};
use crate::error::{ConfigFault, Error, Result};
use chrono::NaiveDate;
use serde::Deserialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FamilyFile {
    family: Spanned<String>,
    version: Spanned<String>,
    #[serde(default)]
    event: Vec<EventRow>,
    #[serde(default)]
    rule: Vec<RuleRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventRow {
    id: Spanned<String>,
    title: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleRow {
    id: Spanned<String>,
    record_class: Spanned<String>,
    title: Spanned<String>,
    basis: Basis,
    agreed_with: Option<Spanned<String>>,
    agreed_on: Option<Spanned<String>>,
    #[serde(default)]
    clock: Clock,
    start: Option<Spanned<String>>,
    duration: Option<Spanned<String>>,
    mode: Option<Spanned<Mode>>,
    #[serde(default)]
    phase: Vec<PhaseRow>,
    #[serde(default)]
    cancelled_by: Vec<Spanned<String>>,
    at_latest: Option<CapRow>,
    sort_final: Option<Spanned<SortFinal>>,
    tri: Option<Spanned<String>>,
    documents: Option<Spanned<Vec<Spanned<String>>>>,
    minimum: Option<Spanned<String>>,
    citation: Spanned<String>,
    verification: Verification,
    effective_from: Spanned<String>,
    effective_to: Option<Spanned<String>>,
    #[serde(default)]
    effective_by: EffectiveBy,
    #[serde(default)]
    example: Vec<ExampleRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PhaseRow {
    name: Spanned<Phase>,
    start: Option<Spanned<String>>,
    duration: Spanned<String>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CapRow {
    start: Spanned<String>,
    duration: Spanned<String>,
    #[serde(default)]
    mode: Mode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleRow {
    #[serde(default)]
    events: BTreeMap<Spanned<String>, Spanned<String>>,
    document: Option<Spanned<String>>,
    at: Spanned<String>,
    expect_due: Option<Spanned<String>>,
    expect: Option<Spanned<Outcome>>,
    expect_active_until: Option<Spanned<String>>,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Verification {
    Verified,
    Unverified,
}

/// One file being read, and the faults found so far in all of them.
struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    events: &'a BTreeMap<String, Arc<Event>>,
    /// A file could not be read: an event may be defined there.
    partial: bool,
    faults: &'a mut Vec<ConfigFault>,
}

const DATE: &str = "date aaaa-mm-jj attendue";

impl Referential {
    /// Reads a referential: names and texts of its files, in any order.
    ///
    /// # Errors
    /// Every fault of every file with its place.
    pub fn load(files: &[(String, String)]) -> Result<Self> {
        let mut files: Vec<(&str, &str)> = files.iter().map(|(f, t)| (f.as_str(), t.as_str())).collect();
        files.sort_by_key(|(file, _)| base_name(file));
        let mut faults = Vec::new();
        let mut families = Vec::new();
        for &(file, text) in &files {
            match toml_file::<FamilyFile>(file, text) {
                Ok(family) => families.push((file, text, family)),
                Err(Error::Config(more)) => faults.extend(more),
                Err(other) => return Err(other),
            }
        }
        let partial = families.len() < files.len();
        let events = events(&families, &mut faults);
        let mut rules: Vec<Rule> = Vec::new();
        let mut highest: Option<(Vec<u32>, String)> = None;
        for (file, text, family) in families {
            let mut reader = Reader { file, text, events: &events, partial, faults: &mut faults };
            match version(family.version.get_ref()) {
                None => {
                    reader.fault(&family.version, "version : des nombres séparés par des points, « 2026.1 »")
                }
                key => highest = highest.max(key.map(|key| (key, family.version.get_ref().clone()))),
            }
            if family.family.get_ref().trim().is_empty() {
                reader.fault(&family.family, "le nom de la famille est obligatoire");
            }
            for row in family.rule {
                if rules.iter().any(|r| r.id == *row.id.get_ref()) {
                    reader.fault(&row.id, "identifiant de règle déjà employé");
                }
                rules.extend(reader.rule(row, family.version.get_ref()));
            }
        }
        match highest {
            Some((_, highest)) if faults.is_empty() => {
                let texts = files.iter().flat_map(|(file, text)| [base_name(file), text]);
                // Each text by its own digest: no line of one can pass for the name of another.
                let texts: Vec<String> = texts.map(|t| Digest::of(t.as_bytes()).to_string()).collect();
                let digest = Digest::of_lines(texts.iter().map(String::as_str));
                Ok(Referential { version: format!("{highest}+{}", digest.short(8)), rules, events })
            }
            None if faults.is_empty() => {
                Err(Error::Usage("référentiel vide : aucun fichier de règles (*.toml) n'est donné".into()))
            }
            _ => Err(Error::Config(faults)),
        }
    }
}

/// Where a file stands is not part of what it says.
fn base_name(file: &str) -> &str {
    file.rsplit(['/', '\\']).next().unwrap_or(file)
}

fn version(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|n| n.bytes().all(|b| b.is_ascii_digit()).then(|| n.parse().ok()).flatten()).collect()
}

fn events(
    families: &[(&str, &str, FamilyFile)],
    faults: &mut Vec<ConfigFault>,
) -> BTreeMap<String, Arc<Event>> {
    let mut events = BTreeMap::new();
    for (file, text, family) in families {
        for row in &family.event {
            let (id, title) = (row.id.get_ref().clone(), row.title.get_ref().clone());
            let mut fault = |at: &Spanned<String>, message: &str| {
                faults.push(fault_at(file, text, at.span().start, message.into()));
            };
            if !plain_name(&id) {
                fault(&row.id, "événement : lettres minuscules sans accent, chiffres, « _ » et « - »");
            }
            if title.trim().is_empty() {
                fault(
                    &row.title,
                    "le titre se lit dans une phrase, avec son article : « la sortie de l'établissement »",
                );
            }
            if events.insert(id.clone(), Arc::new(Event { id, title })).is_some() {
                fault(&row.id, "événement déjà défini");
            }
        }
    }
    events
}

impl Reader<'_> {
    fn fault<T>(&mut self, at: &Spanned<T>, message: &str) {
        self.faults.push(fault_at(self.file, self.text, at.span().start, message.into()));
    }

    fn event(&mut self, id: &Spanned<String>) -> Option<Arc<Event>> {
        let found = self.events.get(id.get_ref()).cloned();
        if found.is_none() && !self.partial {
            self.fault(id, "événement inconnu : définissez-le par [[event]] (evenements.toml)");
        }
        found
    }

    fn duration(&mut self, text: &Spanned<String>) -> Option<Duration> {
        let duration = Duration::parse(text.get_ref());
        if duration.is_none() {
            self.fault(
                text,
                "durée : « P10Y », « P3M », « P30D » ou une suite années, mois, jours ; « P0D » pour aucune",
            );
        }
        duration
    }

    fn date(&mut self, text: &Spanned<String>) -> Option<NaiveDate> {
        let date = DateFormat::Iso.parse(text.get_ref());
        if date.is_none() {
            self.fault(text, DATE);
        }
        date
    }

    /// A rule, or the faults that forbid one.
    fn rule(&mut self, row: RuleRow, version: &str) -> Option<Rule> {
        let before = self.faults.len();
        if row.id.get_ref().trim().is_empty() || row.title.get_ref().trim().is_empty() {
            self.fault(&row.id, "identifiant et titre sont obligatoires");
        }
        if !plain_name(row.record_class.get_ref()) {
            self.fault(
                &row.record_class,
                "classe : lettres minuscules sans accent, chiffres, « _ » et « - »",
            );
        }
        if row.citation.get_ref().trim().is_empty() {
            self.fault(&row.citation, "une règle sans texte ni accord cité ne peut pas être vérifiée");
        }
        let agreement = self.agreement(&row);
        self.sort_final(&row);
        let steps = self.steps(&row);
        let cap = row.at_latest.as_ref().map(|c| (self.event(&c.start), self.duration(&c.duration), c.mode));
        let cap =
            cap.and_then(|(start, duration, mode)| Some(Cap { start: start?, duration: duration?, mode }));
        let cancelled_by: Vec<Arc<Event>> = row.cancelled_by.iter().filter_map(|e| self.event(e)).collect();
        let first = steps.first().and_then(|s| if let Start::Event(e) = &s.start { Some(e) } else { None });
        if let Some(i) = cancelled_by.iter().position(|e| Some(e) == first)
            && let Some(at) = row.cancelled_by.get(i)
        {
            self.fault(at, "un événement ne peut pas annuler le départ dont il donne la date");
        }
        let minimum = row.minimum.as_ref().and_then(|m| self.duration(m).map(|d| (m, d)));
        if let Some((at, minimum)) = minimum {
            self.minimum(at, minimum, &steps, cap.as_ref());
        }
        let documents = self.documents(row.documents.as_ref());
        let effective_from = self.date(&row.effective_from);
        let effective_to = row.effective_to.as_ref().map(|t| (t, self.date(t)));
        if let (Some(from), Some((at, Some(to)))) = (effective_from, effective_to)
            && to < from
        {
            self.fault(at, "la règle finirait avant de commencer");
        }
        let effective_to = effective_to.and_then(|(_, d)| d);
        let id = row.id.get_ref();
        let examples = row.example.iter().filter_map(|e| self.example(e, row.clock, id)).collect();
        if self.faults.len() > before || steps.is_empty() {
            return None;
        }
        Some(Rule {
            id: row.id.into_inner(),
            version: version.to_owned(),
            record_class: row.record_class.into_inner(),
            title: row.title.into_inner(),
            basis: row.basis,
            agreement,
            clock: row.clock,
            steps,
            cancelled_by,
            cap,
            sort_final: row.sort_final.map(Spanned::into_inner),
            tri: row.tri.map(Spanned::into_inner),
            documents,
            minimum: minimum.map(|(_, d)| d),
            citation: row.citation.into_inner(),
            verified: (row.verification == Verification::Verified)
                .then(|| Verified { on: None, by: "le référentiel".to_owned() }),
            effective_from: effective_from?,
            effective_to,
            effective_by: row.effective_by,
            examples,
        })
    }

    fn agreement(&mut self, row: &RuleRow) -> Option<Agreement> {
        match (&row.agreed_with, &row.agreed_on) {
            (None, None) => None,
            (Some(with), Some(on)) => {
                if row.basis == Basis::Dua {
                    self.fault(with, "un accord fonde une DUP ; une DUA vient d'un texte");
                } else if with.get_ref().trim().is_empty() {
                    self.fault(with, "avec qui l'accord est-il conclu ?");
                }
                Some(Agreement { with: with.get_ref().clone(), on: self.date(on)? })
            }
            (Some(at), None) | (None, Some(at)) => {
                self.fault(at, "« agreed_with » et « agreed_on » vont ensemble");
                None
            }
        }
    }

    fn sort_final(&mut self, row: &RuleRow) {
        if let (Clock::Rgpd, Some(at)) = (row.clock, &row.sort_final) {
            self.fault(at, "l'horloge « rgpd » fait sortir de la base active : elle n'a pas de sort final");
        }
        let is_tri = row.sort_final.as_ref().is_some_and(|s| *s.get_ref() == SortFinal::Tri);
        match (&row.tri, &row.sort_final) {
            (Some(plan), _) if !is_tri => {
                self.fault(plan, "« tri » nomme un plan : seulement avec sort_final = \"tri\"")
            }
            (Some(plan), _) if !plain_name(plan.get_ref()) => {
                self.fault(plan, "plan de tri : lettres minuscules sans accent, chiffres, « _ » et « - »")
            }
            (None, Some(at)) if is_tri => self.fault(at, "un tri nomme son plan : ajoutez « tri »"),
            _ => {}
        }
    }

    /// The chain; empty after a fault.
    fn steps(&mut self, row: &RuleRow) -> Vec<Step> {
        let short = row.start.as_ref().or(row.duration.as_ref()).map(|s| s.span().start);
        let short = short.or(row.mode.as_ref().map(|m| m.span().start));
        if let (Some(at), false) = (short, row.phase.is_empty()) {
            let message = "« start », « duration » et « mode », ou bien [[rule.phase]] : pas les deux";
            self.faults.push(fault_at(self.file, self.text, at, message.into()));
            return Vec::new();
        }
        if row.phase.is_empty() {
            let (Some(start), Some(duration)) = (&row.start, &row.duration) else {
                self.fault(&row.id, "il manque « start » et « duration », ou des [[rule.phase]]");
                return Vec::new();
            };
            let mode = row.mode.as_ref().map(|m| *m.get_ref()).unwrap_or_default();
            // Until the start event the file is open; the duration is its intermediate age.
            let (start, duration) = (self.event(start), self.duration(duration));
            let step = start.zip(duration).map(|(event, duration)| Step {
                phase: Phase::Intermediaire,
                start: Start::Event(event),
                duration,
                mode,
            });
            return step.into_iter().collect();
        }
        let mut steps = Vec::new();
        let mut age = Phase::Courant;
        for (i, phase) in row.phase.iter().enumerate() {
            let name = *phase.name.get_ref();
            if name < age {
                self.fault(&phase.name, "l'âge courant ne revient pas après l'âge intermédiaire");
            }
            age = name;
            let start = match &phase.start {
                Some(event) => self.event(event).map(Start::Event),
                None if i > 0 => Some(Start::Previous),
                None => {
                    self.fault(
                        &phase.name,
                        "la première phase nomme l'événement qui la fait partir : « start »",
                    );
                    None
                }
            };
            let duration = self.duration(&phase.duration);
            steps.extend(start.zip(duration).map(|(start, duration)| Step {
                phase: name,
                start,
                duration,
                mode: phase.mode,
            }));
        }
        if steps.len() == row.phase.len() { steps } else { Vec::new() }
    }

    /// A duration may not be shorter than its minimum, from any start day: the longest run of
    /// steps that follow each other counts, and a cap that starts with the same event.
    fn minimum(&mut self, at: &Spanned<String>, minimum: Duration, steps: &[Step], cap: Option<&Cap>) {
        let mut runs: Vec<Duration> = Vec::new();
        for step in steps {
            match (&step.start, runs.last_mut()) {
                (Start::Previous, Some(run)) => {
                    run.months = run.months.saturating_add(step.duration.months);
                    run.days = run.days.saturating_add(step.duration.days);
                }
                _ => runs.push(step.duration),
            }
        }
        let enough = |d: Duration| matches!(d.compare(minimum), Some(Ordering::Equal | Ordering::Greater));
        let capped = steps.first().zip(cap).is_some_and(|(first, cap)| {
            first.start == Start::Event(cap.start.clone()) && !enough(cap.duration)
        });
        if capped || (!steps.is_empty() && !runs.into_iter().any(enough)) {
            self.fault(at, "la durée de la règle est plus courte que ce minimum");
        }
    }

    fn documents(&mut self, row: Option<&Spanned<Vec<Spanned<String>>>>) -> Vec<String> {
        let Some(row) = row else { return Vec::new() };
        if row.get_ref().is_empty() {
            self.fault(row, "liste vide : nommez les types de documents, ou ôtez « documents »");
        }
        for document in row.get_ref() {
            if !plain_name(document.get_ref()) {
                self.fault(
                    document,
                    "type de document : lettres minuscules sans accent, chiffres, « _ » et « - »",
                );
            }
        }
        row.get_ref().iter().map(|d| d.get_ref().clone()).collect()
    }

    fn example(&mut self, row: &ExampleRow, clock: Clock, rule: &str) -> Option<Example> {
        let before = self.faults.len();
        let mut events = BTreeMap::new();
        for (event, day) in &row.events {
            let (found, day) = (self.event(event), self.date(day));
            events.extend(found.map(|e| e.id.clone()).zip(day));
        }
        let at = self.date(&row.at);
        let expected = match clock {
            Clock::Dua => &row.expect_due,
            Clock::Rgpd => &row.expect_active_until,
        };
        let due = expected.as_ref().and_then(|d| self.date(d));
        match clock {
            Clock::Dua if row.expect.is_none() => {
                self.fault(&row.at, "exemple : quelle décision ? ajoutez « expect »")
            }
            Clock::Dua => {
                if let Some(at) = &row.expect_active_until {
                    self.fault(
                        at,
                        "« expect_active_until » est pour l'horloge « rgpd » ; ici « expect_due »",
                    );
                }
            }
            Clock::Rgpd => {
                let message = "horloge « rgpd » : l'exemple dit « expect_active_until », jamais une décision";
                if let Some(at) = &row.expect {
                    self.fault(at, message);
                }
                if let Some(at) = &row.expect_due {
                    self.fault(at, message);
                }
            }
        }
        let place =
            fault_at(self.file, self.text, row.at.span().start, format!("exemple de la règle {rule}"));
        (self.faults.len() == before).then_some(())?;
        Some(Example {
            events,
            document: row.document.as_ref().map(|d| d.get_ref().clone()),
            at: at?,
            due,
            outcome: row.expect.as_ref().map(|o| *o.get_ref()),
            place,
        })
    }
}

#[cfg(test)]
mod tests;
