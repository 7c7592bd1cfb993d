use super::super::testing::{EVENTS, referential, rule, simple};
use super::*;

fn faults(files: &[(&str, &str)]) -> Vec<ConfigFault> {
    let files: Vec<(String, String)> =
        files.iter().map(|(f, t)| ((*f).to_owned(), (*t).to_owned())).collect();
    match Referential::load(&files) {
        Err(Error::Config(faults)) => faults,
        Err(other) => panic!("{other}"),
        Ok(_) => Vec::new(),
    }
}

/// Line and column, from 1, of the only place where a text stands.
fn place(text: &str, part: &str) -> (usize, usize) {
    assert_eq!(text.matches(part).count(), 1, "{part}");
    let before = text.split(part).next().unwrap();
    (before.matches('\n').count() + 1, before.rsplit('\n').next().unwrap().chars().count() + 1)
}

#[test]
fn each_fault_of_a_rule_is_told_in_its_place() {
    let cap =
        |d: &str| format!("minimum = \"P9Y\"\n[rule.at_latest]\nstart = \"sortie\"\nduration = \"{d}\"\n");
    let example = |lines: &str| format!("[[rule.example]]\n{lines}");
    let rgpd = "clock = \"rgpd\"\n";
    let phase = |lines: &str| {
        rule(
            "R",
            &format!("[[rule.phase]]\nname = \"courant\"\nstart = \"sortie\"\nduration = \"P1Y\"\n{lines}"),
        )
    };
    let table: &[(String, &str, &str)] = &[
        (simple("R", "10 ans", ""), "\"10 ans\"", "« P10Y »"),
        (
            simple("R", "P1Y", "mode = \"fin_annee\"\n"),
            "\"fin_annee\"",
            "valeur inconnue « fin_annee » ; valeurs admises : « date_a_date »",
        ),
        (simple("R", "P1Y", "sort = 1\n"), "sort = 1", "clé inconnue « sort »"),
        (simple("R", "P1Y", "record_class = \"Élèves\"\n"), "\"Élèves\"", "classe : lettres minuscules"),
        (simple("R", "P1Y", "title = \" \"\n"), "\"R\"", "identifiant et titre sont obligatoires"),
        (simple("R", "P1Y", "citation = \"\"\n"), "\"\"", "sans texte ni accord cité"),
        (simple("R", "P1Y", "verification = \"oui\"\n"), "\"oui\"", "« verified », « unverified »"),
        (simple("R", "P1Y", "effective_from = \"01/09/2019\"\n"), "\"01/09/2019\"", "aaaa-mm-jj"),
        (simple("R", "P1Y", "effective_to = \"2020-02-30\"\n"), "\"2020-02-30\"", "aaaa-mm-jj"),
        (
            simple("R", "P1Y", "effective_to = \"1999-12-31\"\n"),
            "\"1999-12-31\"",
            "finirait avant de commencer",
        ),
        (simple("R", "P1Y", "effective_by = \"depart\"\n"), "\"depart\"", "« evaluation », « start »"),
        (simple("R", "P1Y", "cancelled_by = [\"jamais\"]\n"), "\"jamais\"", "événement inconnu"),
        (
            simple("R", "P1Y", "cancelled_by = [\"retour\", \"sortie\"]\n"),
            "\"sortie\"]",
            "ne peut pas annuler le départ",
        ),
        (simple("R", "P1Y", "documents = []\n"), "[]", "liste vide"),
        (simple("R", "P1Y", "documents = [\"Décision\"]\n"), "\"Décision\"", "type de document"),
        (simple("R", "P9Y", "minimum = \"P10Y\"\n"), "\"P10Y\"", "plus courte que ce minimum"),
        (simple("R", "P365D", "minimum = \"P1Y\"\n"), "\"P1Y\"", "plus courte que ce minimum"),
        (simple("R", "P10Y", &cap("P8Y")), "\"P9Y\"", "plus courte que ce minimum"),
        (simple("R", "P1Y", "minimum = \"un an\"\n"), "\"un an\"", "durée : "),
        (simple("R", "P1Y", "sort_final = \"tri\"\n"), "\"tri\"", "un tri nomme son plan"),
        (simple("R", "P1Y", "tri = \"plan\"\n"), "\"plan\"", "seulement avec sort_final"),
        (simple("R", "P1Y", "sort_final = \"tri\"\ntri = \"Plan A\"\n"), "\"Plan A\"", "plan de tri"),
        (
            simple("R", "P1Y", "clock = \"rgpd\"\nsort_final = \"conservation\"\n"),
            "\"conservation\"",
            "n'a pas de sort final",
        ),
        (simple("R", "P1Y", "agreed_with = \"les Archives\"\n"), "\"les Archives\"", "vont ensemble"),
        (simple("R", "P1Y", "agreed_on = \"2020-01-01\"\n"), "\"2020-01-01\"", "vont ensemble"),
        (
            simple("R", "P1Y", "agreed_with = \"les Archives\"\nagreed_on = \"2020-01-01\"\n"),
            "\"les Archives\"",
            "une DUA vient d'un texte",
        ),
        (
            simple("R", "P1Y", "basis = \"DUP\"\nagreed_with = \"\"\nagreed_on = \"2020-01-01\"\n"),
            "\"\"",
            "avec qui",
        ),
        (rule("R", "start = \"sortie\"\n"), "\"R\"", "il manque « start » et « duration »"),
        (rule("R", "duration = \"P1Y\"\n"), "\"R\"", "il manque « start » et « duration »"),
        (
            simple(
                "R",
                "P3Y",
                "[[rule.phase]]\nname = \"courant\"\nstart = \"retour\"\nduration = \"P1Y\"\n",
            ),
            "\"sortie\"",
            "pas les deux",
        ),
        (
            rule("R", "[[rule.phase]]\nname = \"courant\"\nduration = \"P1Y\"\n"),
            "\"courant\"",
            "la première phase nomme",
        ),
        (
            phase("[[rule.phase]]\nname = \"definitif\"\nduration = \"P2Y\"\n"),
            "\"definitif\"",
            "« courant », « intermediaire »",
        ),
        (phase("[[rule.phase]]\nname = \"intermediaire\"\nduration = \"deux\"\n"), "\"deux\"", "durée : "),
        (
            rule(
                "R",
                "[[rule.phase]]\nname = \"intermediaire\"\nstart = \"sortie\"\nduration = \"P1Y\"\n[[rule.phase]]\nname = \"courant\"\nduration = \"P2Y\"\n",
            ),
            "\"courant\"",
            "ne revient pas",
        ),
        (
            simple("R", "P1Y", "[rule.at_latest]\nstart = \"ailleurs\"\nduration = \"P1Y\"\n"),
            "\"ailleurs\"",
            "événement inconnu",
        ),
        (simple("R", "P1Y", &example("at = \"2025-01-01\"\n")), "\"2025-01-01\"", "quelle décision"),
        (
            simple("R", "P1Y", &example("at = \"2025-01-01\"\nexpect = \"garder\"\n")),
            "\"garder\"",
            "« keep_not_due »",
        ),
        (
            simple(
                "R",
                "P1Y",
                &example("events = { partie = \"2024-01-01\" }\nat = \"2025-01-01\"\nexpect = \"sort\"\n"),
            ),
            "partie",
            "événement inconnu",
        ),
        (
            simple(
                "R",
                "P1Y",
                &example("events = { retour = \"hier\" }\nat = \"2025-01-01\"\nexpect = \"sort\"\n"),
            ),
            "\"hier\"",
            "aaaa-mm-jj",
        ),
        (
            simple(
                "R",
                "P1Y",
                &example("at = \"2025-01-01\"\nexpect = \"sort\"\nexpect_active_until = \"2026-01-01\"\n"),
            ),
            "\"2026-01-01\"",
            "ici « expect_due »",
        ),
        (
            simple("R", "P1Y", &format!("{rgpd}{}", example("at = \"2025-01-01\"\nexpect = \"sort\"\n"))),
            "\"sort\"",
            "jamais une décision",
        ),
        (
            simple(
                "R",
                "P1Y",
                &format!("{rgpd}{}", example("at = \"2025-01-01\"\nexpect_due = \"2026-01-01\"\n")),
            ),
            "\"2026-01-01\"",
            "jamais une décision",
        ),
    ];
    for (rule, part, message) in table {
        let text = format!("{EVENTS}{rule}");
        let found = faults(&[("r.toml", &text)]);
        assert_eq!(found.len(), 1, "{message}: {found:?}");
        assert!(found[0].message.contains(message), "{}", found[0].message);
        let (line, column) = place(rule, part);
        let first = EVENTS.matches('\n').count();
        assert_eq!((found[0].line, found[0].column), (line + first, column), "{message}");
    }
}

#[test]
fn the_faults_of_all_files_come_together() {
    let a = format!("{EVENTS}{}{}", simple("R", "P1", ""), simple("S", "P1Y", "sort_final = \"tri\"\n"));
    let b = format!("family = \"b\"\nversion = \"deux\"\n{}", simple("S", "P1Y", ""));
    let found = faults(&[("b.toml", &b), ("a.toml", &a)]);
    let messages: Vec<(&str, &str)> =
        found.iter().map(|f| (f.file.as_str(), f.message.split([' ', ',']).next().unwrap())).collect();
    assert_eq!(messages, [("a.toml", "durée"), ("a.toml", "un"), ("b.toml", "version")], "{found:?}");
}

#[test]
fn an_identifier_and_an_event_are_defined_once() {
    let twice = format!("{EVENTS}{}{}", simple("R", "P1Y", ""), simple("R", "P2Y", ""));
    assert_eq!(faults(&[("a.toml", &twice)])[0].message, "identifiant de règle déjà employé");
    let other = EVENTS.replace("essai", "autre");
    let found = faults(&[("a.toml", EVENTS), ("b.toml", &other)]);
    assert!(found.len() == 3 && found.iter().all(|f| f.file == "b.toml"), "{found:?}");
    let unnamed = "family = \"x\"\nversion = \"1\"\n[[event]]\nid = \"Fin\"\ntitle = \"\"\n";
    let lines: Vec<usize> = faults(&[("a.toml", unnamed)]).iter().map(|f| f.line).collect();
    assert_eq!(lines, [4, 5]);
}

#[test]
fn a_file_that_cannot_be_read_does_not_make_its_events_unknown() {
    let events = EVENTS.replacen("title", "titel", 1);
    let rules =
        format!("family = \"b\"\nversion = \"1\"\n{}", simple("R", "P1Y", "cancelled_by = [\"retour\"]\n"));
    let found = faults(&[("a.toml", &events), ("b.toml", &rules)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.contains("clé inconnue « titel »"));
}

#[test]
fn the_version_is_the_highest_of_the_files_by_numbers() {
    let b = "family = \"b\"\nversion = \"2026.10\"\n";
    let all = Referential::load(&[("a.toml".into(), EVENTS.into()), ("b.toml".into(), b.into())]).unwrap();
    assert!(all.version.starts_with("2026.10+") && all.version.len() == 16, "{}", all.version);
    assert!(matches!(Referential::load(&[]), Err(Error::Usage(_))));
}

#[test]
fn the_short_form_is_one_intermediate_phase() {
    let all = referential(&[simple("R", "P1Y", "mode = \"fin_annee_civile\"\n")]);
    let rule = all.rule("R").unwrap();
    assert_eq!(rule.steps.len(), 1);
    assert_eq!((rule.steps[0].phase, rule.steps[0].mode), (Phase::Intermediaire, Mode::FinAnneeCivile));
    assert_eq!(
        rule.duration_french(),
        "1 an après la sortie de l'établissement, puis jusqu'à la fin de l'année civile"
    );
}

#[test]
fn a_duration_at_its_minimum_is_enough() {
    for (duration, minimum) in [("P10Y", "P10Y"), ("P120M", "P10Y"), ("P366D", "P1Y")] {
        let all = referential(&[simple("R", duration, &format!("minimum = \"{minimum}\"\n"))]);
        assert_eq!(all.rules.len(), 1, "{duration}");
    }
    let chain = "minimum = \"P8M\"\n[[rule.phase]]\nname = \"courant\"\nstart = \"sortie\"\nduration = \"P2M\"\n[[rule.phase]]\nname = \"intermediaire\"\nduration = \"P6M\"\n";
    assert_eq!(referential(&[rule("R", chain)]).rules.len(), 1);
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", lines in proptest::collection::vec("[a-z_]{1,10} = (\"\\PC{0,12}\"|[0-9]{1,4}|\\[\\])", 0..6)) {
        let rule = format!("{EVENTS}\n[[rule]]\n{}", lines.join("\n"));
        for text in [text, rule] {
            let _ = Referential::load(&[("r.toml".into(), text)]).map(|r| r.version);
        }
    }
}
