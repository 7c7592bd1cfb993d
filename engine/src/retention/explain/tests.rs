use super::super::testing::{calendar, day, referential, rule, simple};
use super::super::{EventDate, Explanation, Facts, Outcome};

fn explain(
    rules: &[String],
    dates: &[EventDate],
    document: Option<&str>,
    at: &str,
    holds: &[&str],
) -> Explanation {
    let all = referential(rules);
    let holds: Vec<String> = holds.iter().map(|h| (*h).to_owned()).collect();
    all.class("c").explain(Facts { dates, document }, day(at), &calendar(), &holds)
}

fn on(text: &str) -> EventDate {
    EventDate::On(day(text))
}

#[test]
fn the_whole_story_of_an_elimination() {
    let rules = [
        simple("R", "P10Y", "agreed_with = \"les Archives\"\nagreed_on = \"2019-05-02\"\nbasis = \"DUP\"\n"),
        simple("G", "P1Y", "clock = \"rgpd\"\n"),
        simple("V", "P1Y", "effective_to = \"2010-12-31\"\n"),
    ];
    let got = explain(&rules, &[on("2010-02-28")], None, "2020-03-01", &[]);
    assert_eq!(got.decision, Outcome::Eliminate);
    assert_eq!(
        got.sentences,
        [
            "Règle R (Dossier), DUP : 10 ans après la sortie de l'établissement. Accord avec les Archives, le 02/05/2019. Sort final : élimination. Source : Un texte. Vérifiée par le référentiel.",
            "R : départ « la sortie de l'établissement », le 28/02/2010.",
            "R : âge intermédiaire compté du 28/02/2010, jusqu'au 28/02/2020.",
            "R : terme le 28/02/2020.",
            "Règle G (Dossier), horloge RGPD : 1 an après la sortie de l'établissement. Source : Un texte. Vérifiée par le référentiel.",
            "G : départ « la sortie de l'établissement », le 28/02/2010.",
            "G : terme le 28/02/2011.",
            "La règle V (Dossier) ne s'applique pas : elle est en vigueur du 01/01/2000 au 31/12/2010.",
            "Horloge RGPD : hors de la base active après le 28/02/2011. Ce retrait n'est pas une élimination.",
            "Âge au 01/03/2020 : définitif.",
            "Décision au 01/03/2020 : éliminable sous visa ; échéance du 28/02/2020 passée.",
        ]
    );
}

#[test]
fn reasons_hold_no_day_of_the_record_but_its_due_day_nor_the_day_of_the_decision() {
    let rules = [simple("R", "P3M", "")];
    let got = explain(&rules, &[on("2025-08-31")], None, "2026-01-12", &[]);
    assert_eq!(
        got.reasons,
        [
            "règle R (Dossier) : 3 mois après la sortie de l'établissement ; vérifiée par le référentiel",
            "échéance du 30/11/2025 passée",
        ]
    );
    assert_eq!(explain(&rules, &[on("2025-08-31")], None, "2026-01-13", &[]).reasons, got.reasons);
}

#[test]
fn holds_are_always_listed() {
    let rules = [simple("R", "P3M", "")];
    let holds = ["réquisition du parquet", "contentieux"];
    for (at, want) in [("2025-09-30", Outcome::KeepNotDue), ("2026-01-12", Outcome::KeepHeld)] {
        let got = explain(&rules, &[on("2025-08-31")], None, at, &holds);
        assert_eq!((got.decision, got.holds.len()), (want, 2));
        assert_eq!(got.reasons.iter().filter(|r| r.starts_with("gel : ")).count(), 2);
        assert!(
            got.sentences.contains(&"Gel : contentieux. Un gel l'emporte sur toute échéance.".to_owned())
        );
    }
}

#[test]
fn every_way_to_be_kept_says_why() {
    let cancelled = [simple("R", "P1Y", "cancelled_by = [\"retour\"]\n")];
    let documents = [simple("R", "P1Y", "documents = [\"photo\", \"acte\"]\n")];
    let unverified = [simple("R", "P1Y", "verification = \"unverified\"\n")];
    let silent = [rule("R", "start = \"sortie\"\nduration = \"P1Y\"\n")];
    let two = [simple("R", "P1Y", ""), simple("S", "P1Y", "sort_final = \"conservation\"\n")];
    let school = [simple("R", "P1Y", "mode = \"fin_annee_scolaire\"\n")];
    let capped = [simple("R", "P10Y", "[rule.at_latest]\nstart = \"retour\"\nduration = \"P0D\"\n")];
    let left = || vec![on("2020-07-04")];
    type Case<'a> = (&'a [String], Vec<EventDate>, Option<&'a str>, &'a str, &'a str);
    let table: &[Case<'_>] = &[
        (&[], left(), None, "aucune règle en vigueur pour cette classe", "aucune règle"),
        (&cancelled, vec![EventDate::Never], None, "la date de départ est inconnue", "date inconnue"),
        (
            &cancelled,
            vec![on("2020-07-04"), on("2020-09-01")],
            None,
            "le départ est annulé, ou peut l'être, par « la nouvelle admission »",
            "annulé par « la nouvelle admission », le 01/09/2020",
        ),
        (
            &cancelled,
            left(),
            None,
            "le départ est annulé, ou peut l'être",
            "nul ne sait si « la nouvelle admission » a eu lieu",
        ),
        (
            &documents,
            left(),
            None,
            "le type du document n'est pas connu",
            "ne s'applique pas : le type du document n'est pas connu",
        ),
        (
            &documents,
            left(),
            Some("note"),
            "aucune règle en vigueur",
            "elle ne concerne que les documents « photo », « acte »",
        ),
        (
            &unverified,
            left(),
            None,
            "mais une règle n'est pas vérifiée",
            "Non vérifiée : elle simule, elle n'élimine rien.",
        ),
        (&silent, left(), None, "mais une règle ne dit pas le sort final", "Sort final : inconnu."),
        (
            &two,
            left(),
            None,
            "les règles ne s'accordent pas sur le sort final",
            "toutes doivent être échues, la dernière échéance est le 04/07/2021",
        ),
        (
            &school,
            vec![on("2040-07-04")],
            None,
            "une date manque, ou l'échéance dépasse le calendrier",
            "terme inconnu",
        ),
        (
            &capped,
            vec![on("2020-07-04"), on("2027-02-01")],
            None,
            "échéance le 01/02/2027, pas encore passée au 01/01/2025",
            "R : au plus tard le 01/02/2027.",
        ),
    ];
    for (rules, dates, document, reason, sentence) in table {
        let got = explain(rules, dates, *document, "2025-01-01", &[]);
        assert!(got.reasons.iter().any(|r| r.contains(reason)), "{reason}: {:?}", got.reasons);
        assert!(got.sentences.iter().any(|s| s.contains(sentence)), "{sentence}: {:?}", got.sentences);
    }
}

#[test]
fn the_story_is_json_with_english_keys() {
    let got = explain(&[simple("R", "P3M", "")], &[on("2025-08-31")], None, "2026-01-12", &[]);
    let json = serde_json::to_value(&got).unwrap();
    assert_eq!(json["decision"], "eliminate");
    assert_eq!((&json["phase"], &json["due"]), (&"definitif".into(), &"2025-11-30".into()));
    assert_eq!(json["active_until"], serde_json::Value::Null);
    assert_eq!(
        (&json["rules"][0]["sort_final"], &json["rules"][0]["applies"]),
        (&"elimination".into(), &true.into())
    );
}
