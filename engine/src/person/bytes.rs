//! Values in bytes, as whole words: what no contract names is found so.

use memchr::memmem::Finder;
use std::io::Read;

const CHUNK: u64 = 1 << 20;

/// How often each value stands in an input between bytes that are neither letters nor figures, in bounded
/// memory.
///
/// # Errors
/// When the input cannot be read.
pub(super) fn occurrences(mut input: impl Read, values: &[String]) -> std::io::Result<Vec<u64>> {
    let finders: Vec<Finder<'_>> = values.iter().map(|v| Finder::new(v.as_bytes())).collect();
    let keep = values.iter().map(String::len).max().unwrap_or_default() + 1;
    let mut counts = vec![0; values.len()];
    let mut window: Vec<u8> = Vec::new();
    let mut carried = 0;
    loop {
        let read = input.by_ref().take(CHUNK).read_to_end(&mut window)?;
        let end = read == 0;
        for ((finder, value), count) in finders.iter().zip(values).zip(&mut counts) {
            // A match that ends with the window waits for the byte after it.
            let is_new = |to: usize| to >= carried && (to < window.len() || end);
            let word = |at: Option<&u8>| at.is_some_and(u8::is_ascii_alphanumeric);
            *count += finder
                .find_iter(&window)
                .map(|from| (from, from + value.len()))
                .filter(|(from, to)| {
                    let before = from.checked_sub(1).and_then(|b| window.get(b));
                    is_new(*to) && !word(before) && !word(window.get(*to))
                })
                .count() as u64;
        }
        if end {
            return Ok(counts);
        }
        window.drain(..window.len().saturating_sub(keep));
        carried = window.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives few bytes at a time, and the same counts.
    #[test]
    fn whole_words_are_counted_wherever_the_reading_is_cut() {
        let values = ["12".to_owned(), "345".to_owned()];
        let cases: [(&str, [u64; 2]); 6] = [
            ("12;345", [1, 1]),
            ("123;0345", [0, 0]),
            ("<id>12</id>$345$", [1, 1]),
            ("12", [1, 0]),
            ("", [0, 0]),
            ("12 12 12", [3, 0]),
        ];
        for (text, counts) in cases {
            assert_eq!(occurrences(text.as_bytes(), &values).unwrap(), counts, "{text}");
        }
        for shift in 0..8 {
            let size = usize::try_from(CHUNK).unwrap() - 4 + shift;
            let text = format!("{}12 345 12", " ".repeat(size));
            assert_eq!(occurrences(text.as_bytes(), &values).unwrap(), [2, 1], "{shift}");
        }
    }
}
