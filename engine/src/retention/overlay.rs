//! The verifications of an organisation, in a file of its own: who read which text, and when.

use super::rules::{Referential, Rule, Verified};
use crate::contract::{fault_at, toml_file};
use crate::domain::DateFormat;
use crate::error::{ConfigFault, Error, Result};
use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverlayFile {
    verification: Vec<OverlayRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverlayRow {
    rule: Spanned<String>,
    verified_by: Spanned<String>,
    verified_on: Spanned<String>,
    text_read: Spanned<String>,
    rule_version: Option<Spanned<String>>,
    digest: Option<Spanned<String>>,
}

impl Referential {
    /// Adds the verifications of an organisation. One that names the version or the digest of its
    /// rule (see [`Rule::digest`]) holds for that text only.
    ///
    /// # Errors
    /// Every fault with its place; among them, a rule that does not exist or that has changed.
    pub fn overlay(mut self, file: &str, text: &str) -> Result<Self> {
        let raw: OverlayFile = toml_file(file, text)?;
        let mut faults: Vec<ConfigFault> = Vec::new();
        for row in raw.verification {
            let rule = self.rules.iter_mut().find(|r| r.id == *row.rule.get_ref());
            if let Err((at, message)) = verify(rule, &row) {
                faults.push(fault_at(file, text, at.span().start, message));
            }
        }
        if faults.is_empty() { Ok(self) } else { Err(Error::Config(faults)) }
    }
}

fn verify<'a>(rule: Option<&mut Rule>, row: &'a OverlayRow) -> Result<(), (&'a Spanned<String>, String)> {
    let empty = [&row.verified_by, &row.text_read].into_iter().find(|t| t.get_ref().trim().is_empty());
    if let Some(at) = empty {
        return Err((at, "qui a vérifié et quel texte a été lu sont obligatoires".into()));
    }
    let on = DateFormat::Iso.parse(row.verified_on.get_ref());
    let on = on.ok_or_else(|| (&row.verified_on, "date aaaa-mm-jj attendue".to_owned()))?;
    let rule = rule.ok_or_else(|| (&row.rule, "aucune règle de ce nom dans le référentiel".to_owned()))?;
    if rule.verified.is_some() {
        return Err((&row.rule, "cette règle est déjà vérifiée".into()));
    }
    let changed = |now: &str| {
        format!("la règle a changé depuis sa vérification : relisez le texte, puis écrivez « {now} » ici")
    };
    if let Some(version) = row.rule_version.as_ref().filter(|v| *v.get_ref() != rule.version) {
        return Err((version, changed(&rule.version)));
    }
    let now = rule.digest().to_string();
    if let Some(digest) = row.digest.as_ref().filter(|d| *d.get_ref() != now) {
        return Err((digest, changed(&now)));
    }
    let (who, text) = (row.verified_by.get_ref(), row.text_read.get_ref());
    let by = format!("{who}, le {} : {text}", on.format("%d/%m/%Y"));
    rule.verified = Some(Verified { on: Some(on), by });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
family = "essai"
version = "2026.1"
[[event]]
id = "sortie"
title = "la sortie"
[[rule]]
id = "R"
record_class = "c"
title = "t"
basis = "DUA"
start = "sortie"
duration = "P10Y"
sort_final = "elimination"
citation = "x"
verification = "unverified"
effective_from = "2000-01-01"
"#;

    fn rules(text: &str) -> Referential {
        Referential::load(&[("r.toml".into(), text.into())]).unwrap()
    }

    fn overlay(line: &str) -> String {
        format!(
            "[[verification]]\nrule = \"R\"\nverified_by = \"A\"\nverified_on = \"2025-10-01\"\ntext_read = \"B\"\n{line}\n"
        )
    }

    #[test]
    fn a_verification_counts_from_its_day() {
        let all = rules(RULES).overlay("o.toml", &overlay("")).unwrap();
        let day = |t| DateFormat::Iso.parse(t).unwrap();
        let rule = all.rule("R").unwrap();
        assert!(!rule.is_verified(day("2025-09-30")) && rule.is_verified(day("2025-10-01")));
        assert_eq!(rule.verified.as_ref().unwrap().by, "A, le 01/10/2025 : B");
    }

    #[test]
    fn a_verification_is_bound_to_the_text_that_was_read() {
        let read = rules(RULES).rule("R").unwrap().digest().to_string();
        let bound = overlay(&format!("rule_version = \"2026.1\"\ndigest = \"{read}\""));
        assert!(rules(RULES).overlay("o.toml", &bound).is_ok());
        // Examples and the version of the file say nothing new of the rule.
        let example = format!(
            "{}[[rule.example]]\nat = \"2026-01-01\"\nexpect = \"keep_undated\"\n",
            RULES.replace("2026.1", "2026.2")
        );
        assert!(rules(&example).overlay("o.toml", &overlay(&format!("digest = \"{read}\""))).is_ok());
        for (old, new) in [
            ("P10Y", "P9Y"),
            ("\"elimination\"", "\"conservation\""),
            ("citation = \"x\"", "citation = \"y\""),
            ("effective_from = \"2000-01-01\"", "effective_from = \"2001-01-01\""),
        ] {
            let changed = rules(&RULES.replace(old, new));
            let Err(Error::Config(faults)) =
                changed.overlay("o.toml", &overlay(&format!("digest = \"{read}\"")))
            else {
                panic!("{old} accepted")
            };
            assert!(faults[0].message.contains("a changé depuis sa vérification"), "{}", faults[0].message);
            assert_eq!((faults[0].line, faults[0].column), (6, 10));
        }
    }

    #[test]
    fn every_fault_of_an_overlay_has_its_place() {
        let with = |old: &str, new: &str| overlay("").replace(old, new);
        for (text, line, message) in [
            (with("\"R\"", "\"S\""), 2, "aucune règle de ce nom"),
            (with("\"A\"", "\" \""), 3, "obligatoires"),
            (with("2025-10-01", "01/10/2025"), 4, "aaaa-mm-jj"),
            (overlay("rule_version = \"2025.1\""), 6, "« 2026.1 »"),
            (overlay("digset = \"a\""), 6, "clé inconnue"),
            (format!("{}{}", overlay(""), overlay("")), 8, "déjà vérifiée"),
        ] {
            let Err(Error::Config(faults)) = rules(RULES).overlay("o.toml", &text) else {
                panic!("{message}: accepted")
            };
            assert_eq!((faults.len(), faults[0].line), (1, line), "{faults:?}");
            assert!(faults[0].message.contains(message), "{}", faults[0].message);
        }
    }
}
