//! The story of one decision, in plain French.

use super::class::{Begin, ClassRules, Facts, Prepared, Span};
use super::decide::{Outcome, Verdict};
use super::rules::{Clock, Phase, Rule, SortFinal};
use crate::domain::Calendar;
use chrono::NaiveDate;
use serde::{Serialize, Serializer};

/// A decision, what led to it, and what was left aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What.
    pub decision: Outcome,
    /// Age of the record.
    pub phase: Option<Phase>,
    /// See [`Verdict::start`].
    #[serde(serialize_with = "iso")]
    pub start: Option<NaiveDate>,
    /// See [`Verdict::due`].
    #[serde(serialize_with = "iso")]
    pub due: Option<NaiveDate>,
    /// See [`Verdict::active_until`].
    #[serde(serialize_with = "iso")]
    pub active_until: Option<NaiveDate>,
    /// Every rule of the class, those that do not apply too.
    pub rules: Vec<RuleStory>,
    /// Gels that cover the record, as given.
    pub holds: Vec<String>,
    /// Why, without any date of the record but its due day: for lists that circulate.
    pub reasons: Vec<String>,
    /// The whole story, with the days of the events: for who may see the record.
    pub sentences: Vec<String>,
}

/// What a rule says of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleStory {
    /// Identifier.
    pub id: String,
    /// Title.
    pub title: String,
    /// DUA or RGPD.
    pub clock: Clock,
    /// Duration, in French.
    pub duration: String,
    /// Sort final, when it is said.
    pub sort_final: Option<SortFinal>,
    /// Plan of the tri.
    pub tri: Option<String>,
    /// Source.
    pub citation: String,
    /// Who had read the text at the day of the decision.
    pub verified: Option<String>,
    /// Whether it governs the record.
    pub applies: bool,
    /// Day of the start event, unless it is cancelled.
    #[serde(serialize_with = "iso")]
    pub start: Option<NaiveDate>,
    /// Due day, or last day in the active base.
    #[serde(serialize_with = "iso")]
    pub due: Option<NaiveDate>,
}

fn iso<S: Serializer>(date: &Option<NaiveDate>, s: S) -> Result<S::Ok, S::Error> {
    match date {
        Some(date) => s.collect_str(date),
        None => s.serialize_none(),
    }
}

fn day(date: NaiveDate) -> impl std::fmt::Display {
    date.format("%d/%m/%Y")
}

impl ClassRules<'_> {
    /// Tells a decision. `holds` are the gels that cover the record, in French; one is enough to
    /// keep it.
    pub fn explain(
        &self,
        facts: Facts<'_>,
        at: NaiveDate,
        calendar: &Calendar,
        holds: &[String],
    ) -> Explanation {
        let verdict = self.decide(facts, at, calendar, !holds.is_empty());
        let governing: Vec<(&Prepared<'_>, Span)> = self.governing(facts, at, calendar).collect();
        let span_of =
            |p: &Prepared<'_>| governing.iter().find(|(g, _)| g.rule.id == p.rule.id).map(|(_, s)| *s);
        let mut sentences = Vec::new();
        for prepared in self.prepared() {
            match span_of(prepared) {
                Some(span) => self.tell(prepared, span, facts, at, calendar, &mut sentences),
                None => sentences.push(self.not_applied(prepared, facts)),
            }
        }
        let dua = || governing.iter().filter(|(p, _)| p.rule.clock == Clock::Dua);
        let mut reasons: Vec<String> = dua().map(|(p, _)| reason(p.rule, at)).collect();
        let why = self.why(&verdict, dua().copied(), facts, at);
        if let (true, Some(due)) = (dua().count() > 1, verdict.due) {
            sentences.push(format!(
                "Plusieurs règles s'appliquent : toutes doivent être échues, la dernière échéance est le {}.",
                day(due)
            ));
        }
        if let Some(until) = verdict.active_until {
            sentences.push(format!(
                "Horloge RGPD : hors de la base active après le {}. Ce retrait n'est pas une élimination.",
                day(until)
            ));
        }
        sentences.extend(holds.iter().map(|h| format!("Gel : {h}. Un gel l'emporte sur toute échéance.")));
        if let Some(phase) = verdict.phase {
            sentences.push(format!("Âge au {} : {}.", day(at), phase.french()));
        }
        sentences.push(format!("Décision au {} : {} ; {why}.", day(at), verdict.outcome.french()));
        reasons.push(why);
        reasons.extend(holds.iter().map(|h| format!("gel : {h}")));
        let rules = self.prepared().iter().map(|p| story(p.rule, span_of(p), at)).collect();
        Explanation {
            decision: verdict.outcome,
            phase: verdict.phase,
            start: verdict.start,
            due: verdict.due,
            active_until: verdict.active_until,
            rules,
            holds: holds.to_vec(),
            reasons,
            sentences,
        }
    }

    /// Title of an event by its position.
    fn title(&self, event: usize) -> &str {
        self.event(event).map_or("un événement", |e| e.title.as_str())
    }

    fn tell(
        &self,
        prepared: &Prepared<'_>,
        span: Span,
        facts: Facts<'_>,
        at: NaiveDate,
        calendar: &Calendar,
        sentences: &mut Vec<String>,
    ) {
        let rule = prepared.rule;
        let kind = match rule.clock {
            Clock::Dua => rule.basis.as_str(),
            Clock::Rgpd => "horloge RGPD",
        };
        let mut text = format!("Règle {} ({}), {kind} : {}.", rule.id, rule.title, rule.duration_french());
        if let Some(agreed) = &rule.agreement {
            text.push_str(&format!(" Accord avec {}, le {}.", agreed.with, day(agreed.on)));
        }
        if rule.clock == Clock::Dua {
            text.push_str(&match (rule.sort_final, &rule.tri) {
                (Some(sort), Some(plan)) => format!(" Sort final : {}, plan {plan}.", sort.french()),
                (Some(sort), None) => format!(" Sort final : {}.", sort.french()),
                (None, _) => " Sort final : inconnu.".to_owned(),
            });
        }
        let verified = rule.verified.as_ref().filter(|_| rule.is_verified(at));
        let sure = verified.map_or("Non vérifiée : elle simule, elle n'élimine rien.".to_owned(), |v| {
            format!("Vérifiée par {}.", v.by.trim_end_matches('.'))
        });
        sentences.push(format!("{text} Source : {}. {sure}", rule.citation.trim_end_matches('.')));
        let first = self.title(prepared.first());
        sentences.push(match (prepared.begin(facts), facts.day(prepared.first())) {
            (Begin::On(start), _) => format!("{} : départ « {first} », le {}.", rule.id, day(start)),
            (Begin::Cancelled(event), Some(start)) => {
                let event = (self.title(event), facts.day(event));
                let by = match event {
                    (title, Some(on)) => format!("annulé par « {title} », le {}", day(on)),
                    (title, None) => format!("peut-être annulé : nul ne sait si « {title} » a eu lieu"),
                };
                format!("{} : départ « {first} », le {}, {by}.", rule.id, day(start))
            }
            _ => format!("{} : départ « {first} », date inconnue ou événement à venir.", rule.id),
        });
        // The RGPD clock sets no age: it only empties the active base.
        let ages = if rule.clock == Clock::Dua { prepared.steps(facts, calendar) } else { Vec::new() };
        for (phase, from, to) in ages {
            if let Some(from) = from {
                let to = to.map_or("terme inconnu".to_owned(), |to| format!("jusqu'au {}", day(to)));
                sentences.push(format!(
                    "{} : âge {} compté du {}, {to}.",
                    rule.id,
                    phase.french(),
                    day(from)
                ));
            }
        }
        if let Some(cap) = prepared.cap(facts, calendar).filter(|_| span.start.is_some()) {
            sentences.push(format!("{} : au plus tard le {}.", rule.id, day(cap)));
        }
        sentences.push(match span.due {
            Some(due) => format!("{} : terme le {}.", rule.id, day(due)),
            None => format!("{} : aucun terme tant qu'une date manque.", rule.id),
        });
    }

    fn not_applied(&self, prepared: &Prepared<'_>, facts: Facts<'_>) -> String {
        let rule = prepared.rule;
        let why = if facts.document.is_none() && self.names_documents() && rule.clock == Clock::Dua {
            "le type du document n'est pas connu".to_owned()
        } else if !prepared.concerns(facts.document) {
            format!("elle ne concerne que les documents « {} »", rule.documents.join(" », « "))
        } else {
            let to = rule.effective_to.map_or(String::new(), |to| format!(" au {}", day(to)));
            format!("elle est en vigueur du {}{to}", day(rule.effective_from))
        };
        format!("La règle {} ({}) ne s'applique pas : {why}.", rule.id, rule.title)
    }

    /// Without the day of the decision once due: the same due records give the same list every
    /// night.
    fn why<'a>(
        &self,
        verdict: &Verdict,
        mut rules: impl Iterator<Item = (&'a Prepared<'a>, Span)>,
        facts: Facts<'_>,
        at: NaiveDate,
    ) -> String {
        let Some(due) = verdict.due else {
            return match rules.find(|(_, span)| span.due.is_none()).map(|(p, _)| p.begin(facts)) {
                Some(Begin::On(_)) => "une date manque, ou l'échéance dépasse le calendrier".into(),
                Some(Begin::Missing) => "la date de départ est inconnue".into(),
                Some(Begin::Cancelled(event)) => {
                    format!("le départ est annulé, ou peut l'être, par « {} »", self.title(event))
                }
                None if self.names_documents() && facts.document.is_none() => {
                    "le type du document n'est pas connu : aucune règle ne peut être choisie".into()
                }
                None => "aucune règle en vigueur pour cette classe".into(),
            };
        };
        let due = day(due);
        match verdict.outcome {
            Outcome::KeepNotDue => format!("échéance le {due}, pas encore passée au {}", day(at)),
            Outcome::KeepUnverified => {
                format!("échéance du {due} passée, mais une règle n'est pas vérifiée")
            }
            Outcome::Conflict if rules.any(|(p, _)| p.rule.sort_final.is_none()) => {
                format!("échéance du {due} passée, mais une règle ne dit pas le sort final")
            }
            Outcome::Conflict => "les règles ne s'accordent pas sur le sort final".into(),
            Outcome::KeepHeld => format!("échéance du {due} passée, mais un gel est en cours"),
            _ => format!("échéance du {due} passée"),
        }
    }
}

fn reason(rule: &Rule, at: NaiveDate) -> String {
    let verified = rule.verified.as_ref().filter(|_| rule.is_verified(at));
    let sure = verified.map_or("non vérifiée".to_owned(), |v| format!("vérifiée par {}", v.by));
    format!("règle {} ({}) : {} ; {sure}", rule.id, rule.title, rule.duration_french())
}

fn story(rule: &Rule, span: Option<Span>, at: NaiveDate) -> RuleStory {
    RuleStory {
        id: rule.id.clone(),
        title: rule.title.clone(),
        clock: rule.clock,
        duration: rule.duration_french(),
        sort_final: rule.sort_final,
        tri: rule.tri.clone(),
        citation: rule.citation.clone(),
        verified: rule.verified.as_ref().filter(|_| rule.is_verified(at)).map(|v| v.by.clone()),
        applies: span.is_some(),
        start: span.and_then(|s| s.start),
        due: span.and_then(|s| s.due),
    }
}

#[cfg(test)]
mod tests;
