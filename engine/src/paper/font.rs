//! The two faces of the papers, and text cut into lines.
//!
//! Liberation Sans is embedded whole in the program and as a subset in each document: the papers
//! look the same everywhere and for ever. No shaping: one character, one glyph, so that the text
//! copied out of a document is the text that was put in.

use crate::error::{Error, Result};
use krilla::text::{Font, GlyphId, KrillaGlyph};
use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};
use unicode_normalization::UnicodeNormalization;

const REGULAR: &[u8] = include_bytes!("../../assets/fonts/LiberationSans-Regular.ttf");
const BOLD: &[u8] = include_bytes!("../../assets/fonts/LiberationSans-Bold.ttf");

/// Stands for a character that the face has not.
const MISSING: char = '□';

/// Weight of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Regular.
    Regular,
    /// Bold.
    Bold,
}

/// A line of text, ready to be drawn.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// Its characters; a space at the end where the text goes on, so that words stay apart.
    pub(super) text: String,
    pub(super) glyphs: Vec<KrillaGlyph>,
    /// Width in points, that space apart.
    pub(super) width: f32,
}

/// One face.
pub(super) struct Face {
    pub(super) font: Font,
    source: FontRef<'static>,
    units: f32,
}

/// The faces of a document.
pub(super) struct Faces {
    regular: Face,
    bold: Face,
}

impl Faces {
    pub(super) fn load() -> Result<Self> {
        Ok(Faces { regular: Face::load(REGULAR)?, bold: Face::load(BOLD)? })
    }

    pub(super) fn of(&self, weight: Weight) -> &Face {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }
}

/// One character as it is drawn, and its advance for a size of 1.
#[derive(Clone, Copy)]
struct Set {
    c: char,
    glyph: u32,
    advance: f32,
}

impl Face {
    fn load(bytes: &'static [u8]) -> Result<Self> {
        let unreadable = || Error::Write("police de caractères illisible".into());
        let source = FontRef::new(bytes).map_err(|_| unreadable())?;
        let font = Font::new(bytes.into(), 0).ok_or_else(unreadable)?;
        Ok(Face { units: font.units_per_em(), font, source })
    }

    /// Text in lines no wider than `width` points. A text without characters is one empty line.
    pub(super) fn lines(&self, text: &str, size: f32, width: f32) -> Vec<Line> {
        let (map, metrics) =
            (self.source.charmap(), self.source.glyph_metrics(Size::unscaled(), LocationRef::default()));
        let set = |c: char| {
            let found = map.map(c).map(|g| (c, g)).or_else(|| map.map(MISSING).map(|g| (MISSING, g)));
            let (c, glyph) = found?;
            let advance = metrics.advance_width(glyph)? / self.units;
            Some(Set { c, glyph: glyph.to_u32(), advance })
        };
        let mut lines = Vec::new();
        for paragraph in text.split('\n') {
            let sets: Vec<Set> = typographic(paragraph).filter_map(set).collect();
            let mut rest = sets.as_slice();
            loop {
                let (line, after) = rest.split_at(first_line(rest, width / size));
                lines.push(self.line(line, size));
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
        }
        lines
    }

    fn line(&self, sets: &[Set], size: f32) -> Line {
        let (mut text, mut glyphs) = (String::new(), Vec::with_capacity(sets.len()));
        for set in sets {
            let start = text.len();
            text.push(set.c);
            glyphs.push(KrillaGlyph::new(
                GlyphId::new(set.glyph),
                set.advance,
                0.0,
                0.0,
                0.0,
                start..text.len(),
                None,
            ));
        }
        let inked = sets.iter().rposition(|s| s.c != ' ').map_or(0, |last| last + 1);
        let width = sets.iter().take(inked).map(|s| s.advance).sum::<f32>() * size;
        Line { text, glyphs, width }
    }
}

/// Characters as they are printed: composed, without controls, and the French blanks before `:`, `;`
/// or inside « » never at an end of line.
fn typographic(paragraph: &str) -> impl Iterator<Item = char> {
    const NO_BREAK: char = '\u{A0}';
    let chars: Vec<char> = paragraph.nfc().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let fixed: Vec<char> = chars
        .iter()
        .enumerate()
        .map(|(i, &c)| {
            let before = i.checked_sub(1).and_then(|i| chars.get(i));
            let after = chars.get(i + 1);
            match c {
                // No glyph shows these; they only join or steer.
                '\u{200B}'..='\u{200F}' | '\u{FEFF}' => NO_BREAK,
                ' ' if before == Some(&'«') => NO_BREAK,
                ' ' if matches!(after, Some(':' | ';' | '!' | '?' | '»')) => NO_BREAK,
                _ => c,
            }
        })
        .collect();
    fixed.into_iter()
}

/// Characters of the first line: as many words as fit, or else as many characters, at least one.
fn first_line(sets: &[Set], width: f32) -> usize {
    let (mut used, mut end, mut inked) = (0.0, 0, false);
    for (i, set) in sets.iter().enumerate() {
        used += set.advance;
        // Spaces at the end hang over the edge.
        if used > width && set.c != ' ' {
            return if inked { end } else { i.max(1) };
        }
        let number_goes_on = sets.get(i + 1).is_some_and(|next| next.c.is_ascii_digit());
        if set.c == ' ' || (matches!(set.c, '-' | '/' | '_') && !number_goes_on) {
            (end, inked) = (i + 1, true);
        }
    }
    sets.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(text: &str, width: f32) -> Vec<String> {
        Faces::load()
            .unwrap()
            .of(Weight::Regular)
            .lines(text, 10.0, width)
            .into_iter()
            .map(|l| l.text)
            .collect()
    }

    #[test]
    fn lines_break_where_a_french_reader_expects() {
        for (text, width, want) in [
            ("", 100.0, vec![""]),
            ("un deux", 1000.0, vec!["un deux"]),
            ("un deux", 30.0, vec!["un ", "deux"]),
            ("a\n\nb", 100.0, vec!["a", "", "b"]),
            ("le mot : suite", 31.0, vec!["le ", "mot\u{a0}: ", "suite"]),
            ("dit « oui » fort", 42.0, vec!["dit ", "«\u{a0}oui\u{a0}» ", "fort"]),
            ("e\u{301}te\u{301}", 100.0, vec!["été"]),
            ("tab\there", 100.0, vec!["tab here"]),
            ("rendez-vous", 45.0, vec!["rendez-", "vous"]),
            ("le 03/06/2026", 52.0, vec!["le ", "03/06/2026"]),
            ("aaaaaaaaaa", 30.0, vec!["aaaaa", "aaaaa"]),
            ("œuvre 12 € 漢", 100.0, vec!["œuvre 12 € □"]),
        ] {
            assert_eq!(lines(text, width), want, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_character_is_lost_and_no_line_is_too_wide(text in "[a-zé -]{0,80}", width in 12.0_f32..200.0) {
            let faces = Faces::load().unwrap();
            let lines = faces.of(Weight::Bold).lines(&text, 10.0, width);
            prop_assert_eq!(lines.iter().map(|l| l.text.as_str()).collect::<String>(), text);
            prop_assert!(lines.iter().all(|l| l.width <= width + 0.01));
        }
    }
}
