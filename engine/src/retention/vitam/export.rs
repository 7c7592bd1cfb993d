//! Our rules in Vitam's form, as far as it can say them: one duration from one date, and nothing else.

use super::super::duration::{Duration, Mode};
use super::super::rules::{Clock, Rule};
use super::{Length, RuleDuration, RuleType, Unit, VitamRule};
use chrono::NaiveDate;
use serde::Serialize;

/// A rule that is not in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Identifier.
    pub rule: String,
    /// Why, in French.
    pub reason: &'static str,
}

/// The rules in force at a date that Vitam's form says whole, and the others with the reason. A rule
/// that nobody has verified does not go where it would decide.
pub fn export(rules: &[Rule], at: NaiveDate) -> (Vec<VitamRule>, Vec<LeftOut>) {
    let (mut out, mut left) = (Vec::new(), Vec::new());
    for rule in rules.iter().filter(|r| r.clock == Clock::Dua) {
        match one(rule, at) {
            Ok(rule) => out.push(rule),
            Err(reason) => left.push(LeftOut { rule: rule.id.clone(), reason }),
        }
    }
    (out, left)
}

fn one(rule: &Rule, at: NaiveDate) -> Result<VitamRule, &'static str> {
    if !rule.in_force(at) {
        return Err("n'est pas en vigueur à cette date");
    }
    if !rule.is_verified(at) {
        return Err("n'est pas vérifiée");
    }
    let [step] = rule.steps.as_slice() else { return Err("a plusieurs phases") };
    if rule.cap.is_some() {
        return Err("a un terme au plus tard");
    }
    if !rule.cancelled_by.is_empty() {
        return Err("a un départ qu'un autre événement annule");
    }
    if !rule.documents.is_empty() {
        return Err("ne vaut que pour certains documents");
    }
    if step.mode != Mode::DateADate {
        return Err("ne compte pas de date à date");
    }
    let duration = duration(step.duration).ok_or("mêle deux unités, ou dépasse ce que Vitam admet")?;
    Ok(VitamRule {
        id: rule.id.clone(),
        kind: RuleType::AppraisalRule,
        value: rule.title.clone(),
        description: rule.citation.clone(),
        duration: Some(duration),
    })
}

fn duration(d: Duration) -> Option<RuleDuration> {
    let (count, unit) = match (d.months, d.days) {
        (0, days) => (u32::try_from(days).ok()?, Unit::Day),
        (months, 0) if months % 12 == 0 => (months / 12, Unit::Year),
        (months, 0) => (months, Unit::Month),
        _ => return None,
    };
    (count <= unit.limit()).then_some(RuleDuration { length: Length::Count(count), unit })
}

#[cfg(test)]
mod tests {
    use super::super::{read, write};
    use super::*;
    use crate::retention::rules::Verified;

    #[test]
    fn durations_keep_their_unit_or_are_left_out() {
        let said = |text| duration(Duration::parse(text).unwrap()).map(|d| d.french());
        assert_eq!(
            ["P10Y", "P18M", "P30D", "P1Y1D", "P2000Y", "P0D"].map(said),
            [
                Some("10 ans".into()),
                Some("18 mois".into()),
                Some("30 jours".into()),
                None,
                None,
                Some("0 jour".into())
            ]
        );
    }

    #[test]
    fn what_is_exported_of_the_shipped_rules_reads_back_and_every_rule_is_accounted_for() {
        let files: Vec<_> =
            crate::retention::SHIPPED.iter().map(|(f, t)| ((*f).into(), (*t).into())).collect();
        let mut all = crate::retention::Referential::load(&files).unwrap();
        let at = NaiveDate::from_ymd_opt(2026, 1, 12).unwrap();
        let (none, left) = export(&all.rules, at);
        assert!(none.is_empty() && left.iter().any(|l| l.reason == "n'est pas vérifiée"));
        all.rules.iter_mut().for_each(|r| r.verified = Some(Verified { on: None, by: "essai".into() }));
        let (out, left) = export(&all.rules, at);
        assert!(!out.is_empty());
        let dua = all.rules.iter().filter(|r| r.clock == Clock::Dua).count();
        assert_eq!(out.len() + left.len(), dua);
        assert_eq!(read(&write(&out).unwrap()), Ok(out));
    }
}
