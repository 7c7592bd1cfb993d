//! The referential shipped with the engine: nothing in it is verified.

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$((concat!($name, ".toml"), include_str!(concat!("../../../retention-rules/", $name, ".toml")))),*]
    };
}

/// Files of `retention-rules/`, by name.
pub const SHIPPED: &[(&str, &str)] = shipped![
    "dnma",
    "eleves",
    "ent",
    "evenements",
    "examens",
    "finances",
    "journaux",
    "personnels",
    "scope",
    "vie-scolaire",
];

/// Plans of tri of `retention-rules/plans/`, by name.
pub const SHIPPED_PLANS: &[(&str, &str)] = shipped!["plans/examens", "plans/scope", "plans/vie-scolaire"];

#[cfg(test)]
mod tests {
    use super::super::{Clock, EventDate, Facts, Outcome, Referential, SortFinal};
    use super::*;
    use crate::domain::{Calendar, DateFormat};
    use crate::error::Error;
    use std::collections::BTreeMap;

    const CALENDAR: &str = include_str!("../../../retention-rules/calendars/annees-scolaires.toml");

    fn files() -> Vec<(String, String)> {
        SHIPPED.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect()
    }

    #[test]
    fn every_plan_that_a_shipped_rule_names_is_shipped() {
        let plans = super::super::tri::load_plans(SHIPPED_PLANS.iter().copied()).unwrap();
        let rules = Referential::load(&files()).unwrap();
        let missing: Vec<&str> = rules.missing_plans(&plans).map(|r| r.id.as_str()).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(rules.missing_plans(&[]).count() > 3);
    }

    #[test]
    fn every_file_of_the_folder_is_shipped() {
        // Tests run in the folder of their crate.
        let mut names: Vec<String> = std::fs::read_dir("../retention-rules")
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n.ends_with(".toml"))
            .collect();
        names.sort();
        assert_eq!(names, SHIPPED.iter().map(|(f, _)| *f).collect::<Vec<_>>());
    }

    #[test]
    fn every_rule_has_worked_examples_and_answers_them() {
        let all = Referential::load(&files()).unwrap();
        assert!(all.version.starts_with("2026.2+"), "{}", all.version);
        for rule in &all.rules {
            assert!(rule.verified.is_none(), "{}: nothing is verified by us", rule.id);
            assert!(!rule.examples.is_empty(), "{}: no worked example", rule.id);
        }
        let calendar = Calendar::load("annees-scolaires.toml", CALENDAR).unwrap();
        match all.check_examples(&calendar) {
            Ok(count) => assert!(count >= all.rules.len(), "{count}"),
            Err(faults) => panic!("{faults}"),
        }
    }

    #[test]
    fn a_wrong_example_is_told_with_its_place() {
        let text = SHIPPED.iter().find(|(f, _)| *f == "scope.toml").unwrap().1;
        let events = SHIPPED.iter().find(|(f, _)| *f == "evenements.toml").unwrap().1;
        let wrong = text.replacen("expect_due = \"2025-11-30\"", "expect_due = \"2025-11-29\"", 1);
        let load = |t: &str| {
            Referential::load(&[("scope.toml".into(), t.into()), ("evenements.toml".into(), events.into())])
                .unwrap()
        };
        let calendar = Calendar::load("annees-scolaires.toml", CALENDAR).unwrap();
        let Err(Error::Config(faults)) = load(&wrong).check_examples(&calendar) else { panic!("accepted") };
        let line = 1 + text.lines().position(|l| l == "at = \"2025-12-01\"").unwrap();
        assert_eq!((faults.len(), faults[0].line, faults[0].column), (1, line, 6));
        assert_eq!(
            faults[0].message,
            "exemple de la règle SCOPE-ORGANISATION : il attend « conserve », 2025-11-29 ; la règle répond « conserve », 2025-11-30"
        );
    }

    #[test]
    fn the_classes_of_the_night_keep_their_rules() {
        let all = Referential::load(&files()).unwrap();
        let dua: BTreeMap<&str, (&str, String, Option<SortFinal>)> = all
            .rules
            .iter()
            .filter(|r| r.clock == Clock::Dua)
            .map(|r| {
                (r.record_class.as_str(), (r.id.as_str(), r.steps[0].duration.to_string(), r.sort_final))
            })
            .collect();
        for (class, id, duration, sort) in [
            ("ent-annuaire", "ENT-ANNUAIRE", "P3M", SortFinal::Elimination),
            ("scope-organisation", "SCOPE-ORGANISATION", "P3M", SortFinal::Conservation),
            ("scope-organisation-nominative", "SCOPE-NOMINATIF", "P1Y", SortFinal::Elimination),
            ("scope-seances", "SCOPE-SEANCES", "P3M", SortFinal::Tri),
            ("dnma-audience", "DNMA-AUDIENCE", "P3M", SortFinal::Conservation),
            ("crdc-droits-constates", "CRDC-DROITS", "P10Y", SortFinal::Elimination),
        ] {
            assert_eq!(dua.get(class), Some(&(id, duration.to_owned(), Some(sort))), "{class}");
        }
    }

    /// R511-13 of the code de l'éducation: the text of the day when the sanction was pronounced.
    #[test]
    fn one_reprimand_has_three_results_under_three_regimes() {
        let all = Referential::load(&files()).unwrap();
        let class = all.class("vie-sanctions");
        let calendar = Calendar::load("annees-scolaires.toml", CALENDAR).unwrap();
        let day = |t| DateFormat::Iso.parse(t).unwrap();
        for (pronounced, due) in
            [("2010-11-12", "2011-11-12"), ("2015-11-12", "2016-08-31"), ("2022-11-12", "2024-08-31")]
        {
            let dates = class.dates(|id| match id {
                "prononce_sanction" => EventDate::On(day(pronounced)),
                _ => EventDate::Never,
            });
            let facts = Facts { dates: &dates, document: Some("blame") };
            let verdict = class.decide(facts, day("2026-01-12"), &calendar, false);
            assert_eq!(
                (verdict.due, verdict.outcome),
                (Some(day(due)), Outcome::KeepUnverified),
                "{pronounced}"
            );
        }
    }

    #[test]
    fn the_version_follows_the_texts_and_not_their_order_or_folder() {
        let version = |files: &[(String, String)]| Referential::load(files).unwrap().version;
        let base = version(&files());
        let mut other = files();
        other.reverse();
        for (file, _) in &mut other {
            *file = format!("/ailleurs/{file}");
        }
        assert_eq!(version(&other), base);
        other[0].1.push_str("# une remarque\n");
        assert_ne!(version(&other), base);
        let mut renamed = files();
        renamed[0].0 = "audience.toml".into();
        assert_ne!(version(&renamed), base);
    }
}
