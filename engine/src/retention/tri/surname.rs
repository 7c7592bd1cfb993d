//! The letter under which a surname is filed.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

/// Words that are skipped at the head of a name unless a plan gives its own list.
pub const PARTICLES: [&str; 13] =
    ["d", "de", "del", "den", "der", "des", "du", "l", "la", "le", "les", "van", "von"];

/// First letter (`A` to `Z`) of a name, without accents or leading particles (normalised, see
/// [`normalised`]). The last word is never a particle: « Le » is filed under L. `None` when the name
/// is empty or begins with another script or a sign: its letter is unknown.
pub fn initial(name: &str, particles: &[String]) -> Option<char> {
    let name = normalised(name);
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let last = words.len().checked_sub(1)?;
    let word = words.iter().enumerate().find(|(i, w)| *i == last || !particles.iter().any(|p| p == *w))?.1;
    word.chars().next().filter(char::is_ascii_uppercase)
}

/// Canonical decomposition, marks removed, upper case; letters that do not decompose take the
/// place where French files them.
pub fn normalised(name: &str) -> String {
    name.nfd()
        .filter(|c| !is_combining_mark(*c))
        .flat_map(char::to_uppercase)
        .flat_map(|c| match c {
            'Œ' => ['O', 'E'].into_iter().take(2),
            'Æ' => ['A', 'E'].into_iter().take(2),
            'Ø' => ['O', ' '].into_iter().take(1),
            'Ł' => ['L', ' '].into_iter().take(1),
            'Đ' | 'Ð' => ['D', ' '].into_iter().take(1),
            other => [other, ' '].into_iter().take(1),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filed_under_their_letter() {
        let particles: Vec<String> = PARTICLES.iter().map(|p| normalised(p)).collect();
        for (name, want) in [
            ("Martin", Some('M')),
            ("martin", Some('M')),
            ("Élie", Some('E')),
            ("E\u{301}lie", Some('E')),
            ("Çelik", Some('C')),
            ("Œuvrard", Some('O')),
            ("ægidius", Some('A')),
            ("Øster", Some('O')),
            ("Łukasz", Some('L')),
            ("Đorđević", Some('D')),
            ("ßmann", Some('S')),
            ("de Broglie", Some('B')),
            ("DE BROGLIE", Some('B')),
            ("d'Artagnan", Some('A')),
            ("d’Artagnan", Some('A')),
            ("D ARTAGNAN", Some('A')),
            ("L'Hermite", Some('H')),
            ("de La Tour", Some('T')),
            ("Le Goff", Some('G')),
            ("du Bellay", Some('B')),
            ("des Essarts", Some('E')),
            ("von der Leyen", Some('L')),
            ("van den Berg", Some('B')),
            ("Delacroix", Some('D')),
            ("Dupont", Some('D')),
            ("Vandamme", Some('V')),
            ("O'Brien", Some('O')),
            ("Martin-Bernard", Some('M')),
            ("De-Smet", Some('S')),
            ("  Petit ", Some('P')),
            ("'Petit", Some('P')),
            ("Le", Some('L')),
            ("de la", Some('L')),
            ("", None),
            ("   ", None),
            ("-", None),
            ("3e personne", None),
            ("Иванов", None),
            ("李", None),
        ] {
            assert_eq!(initial(name, &particles), want, "{name}");
        }
    }

    #[test]
    fn a_plan_may_count_particles() {
        assert_eq!(initial("Le Goff", &[]), Some('L'));
    }
}
