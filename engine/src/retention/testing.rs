//! Rules for tests, written short.

use super::Referential;
use chrono::NaiveDate;

/// Events of these tests.
pub const EVENTS: &str = r#"
family = "essai"
version = "2026.1"
[[event]]
id = "sortie"
title = "la sortie de l'établissement"
[[event]]
id = "retour"
title = "la nouvelle admission"
[[event]]
id = "naissance"
title = "la naissance"
"#;

/// A rule of class `c`: `lines` are its own, over the usual ones.
pub fn rule(id: &str, lines: &str) -> String {
    let usual = [
        ("record_class", "\"c\""),
        ("title", "\"Dossier\""),
        ("basis", "\"DUA\""),
        ("citation", "\"Un texte.\""),
        ("verification", "\"verified\""),
        ("effective_from", "\"2000-01-01\""),
    ];
    // Keys stand before the tables of a rule.
    let (keys, tables) = lines.split_at(lines.find("[[").or(lines.find("[rule")).unwrap_or(lines.len()));
    let mut text = format!("\n[[rule]]\nid = \"{id}\"\n{keys}\n");
    for (key, value) in usual {
        if !keys.lines().any(|l| l.split(" =").next() == Some(key)) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text + tables + "\n"
}

/// The usual single phase, from « sortie ».
pub fn simple(id: &str, duration: &str, more: &str) -> String {
    let sort = if more.contains("sort_final") || more.contains("rgpd") {
        ""
    } else {
        "sort_final = \"elimination\"\n"
    };
    rule(id, &format!("start = \"sortie\"\nduration = \"{duration}\"\n{sort}{more}"))
}

/// A referential of these rules.
pub fn referential(rules: &[String]) -> Referential {
    let text = format!("{EVENTS}{}", rules.concat());
    Referential::load(&[("essai.toml".into(), text)]).unwrap_or_else(|e| panic!("{e}"))
}

/// A day in ISO form.
pub fn day(text: &str) -> NaiveDate {
    crate::domain::DateFormat::Iso.parse(text).unwrap()
}

/// School years 2019-2020 to 2027-2028.
pub fn calendar() -> crate::domain::Calendar {
    let years = (2019..2028).map(|y| {
        format!(
            "[[annee]]\nannee_scolaire = \"{y}-{}\"\nstart = \"{y}-09-01\"\nend = \"{}-08-31\"\n",
            y + 1,
            y + 1
        )
    });
    let text = format!("citation = \"essai\"\n{}", years.collect::<String>());
    crate::domain::Calendar::load("c.toml", &text).unwrap()
}
