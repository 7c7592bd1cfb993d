//! Labels of the académies. Open datasets write them in every spelling: upper case without accents,
//! spaces for hyphens; the portal's own is kept (N_ACADEMIE_ET_ASSIMILE has the codes).

use unicode_normalization::UnicodeNormalization;

/// Code and label, as data.education.gouv.fr writes it.
const ACADEMIES: &[(&str, &str)] = &[
    ("01", "Paris"),
    ("02", "Aix-Marseille"),
    ("03", "Besançon"),
    ("04", "Bordeaux"),
    ("06", "Clermont-Ferrand"),
    ("07", "Dijon"),
    ("08", "Grenoble"),
    ("09", "Lille"),
    ("10", "Lyon"),
    ("11", "Montpellier"),
    ("12", "Nancy-Metz"),
    ("13", "Poitiers"),
    ("14", "Rennes"),
    ("15", "Strasbourg"),
    ("16", "Toulouse"),
    ("17", "Nantes"),
    ("18", "Orléans-Tours"),
    ("19", "Reims"),
    ("20", "Amiens"),
    ("22", "Limoges"),
    ("23", "Nice"),
    ("24", "Créteil"),
    ("25", "Versailles"),
    ("27", "Corse"),
    ("28", "La Réunion"),
    ("31", "Martinique"),
    ("32", "Guadeloupe"),
    ("33", "Guyane"),
    ("40", "Nouvelle-Calédonie"),
    ("41", "Polynésie Française"),
    ("42", "Wallis-et-Futuna"),
    ("43", "Mayotte"),
    ("44", "Saint-Pierre-et-Miquelon"),
    ("70", "Normandie"),
];

/// Other labels met for the same académie, already folded.
const OTHERS: &[(&str, &str)] = &[("polynesie", "41"), ("reunion", "28"), ("st pierre et miquelon", "44")];

/// Letters without case, accent, hyphen or apostrophe, one space between words.
fn folded(label: &str) -> String {
    let plain: String = label
        .nfd()
        .filter(|c| !('\u{300}'..='\u{36F}').contains(c))
        .map(|c| if c.is_alphanumeric() { c } else { ' ' })
        .collect();
    plain.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Code and label of an académie written in any spelling.
pub fn academie(label: &str) -> Option<(&'static str, &'static str)> {
    let wanted = folded(label);
    let other = OTHERS.iter().find(|(l, _)| *l == wanted).map(|(_, code)| *code);
    ACADEMIES.iter().find(|(code, l)| other.map_or_else(|| folded(l) == wanted, |o| o == *code)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_finds_its_academie() {
        for (written, code) in [
            ("Orléans-Tours", "18"),
            ("ORLEANS-TOURS", "18"),
            ("orleans tours", "18"),
            ("Nouvelle Calédonie", "40"),
            ("LA REUNION", "28"),
            ("Réunion", "28"),
            ("wallis et futuna", "42"),
        ] {
            assert_eq!(academie(written).map(|(c, _)| c), Some(code), "{written}");
        }
        assert_eq!(academie("Exemple"), None);
    }
}
