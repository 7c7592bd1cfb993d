//! Records of a `;` file, with the place of every field. Strict: LF ends every record, quotes are
//! doubled inside quotes and nowhere else.

use std::borrow::Cow;

/// Fields of a record, each with its first byte.
pub type Record<'a> = Vec<(usize, Cow<'a, str>)>;

/// Records one after the other; stops at the first that is malformed.
pub struct Records<'a> {
    text: &'a str,
    at: usize,
    broken: bool,
}

impl<'a> Records<'a> {
    pub fn new(text: &'a str) -> Self {
        Records { text, at: 0, broken: false }
    }

    /// A field and the byte after its separator; true when it ends its record.
    fn field(&self, start: usize) -> Result<(Cow<'a, str>, usize, bool), (usize, &'static str)> {
        let rest = self.text.get(start..).unwrap_or("");
        let (value, end) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut from = 0;
            loop {
                let Some(quote) = quoted.get(from..).and_then(|r| r.find('"')).map(|q| from + q) else {
                    return Err((start, "un guillemet ouvert n'est pas fermé"));
                };
                if !quoted.get(quote + 1..).is_some_and(|r| r.starts_with('"')) {
                    let inside = quoted.get(..quote).unwrap_or("");
                    break (Cow::Owned(inside.replace("\"\"", "\"")), start + quote + 2);
                }
                from = quote + 2;
            }
        } else {
            let end = rest.find([';', '\n', '"', '\r']).unwrap_or(rest.len());
            (Cow::Borrowed(rest.get(..end).unwrap_or("")), start + end)
        };
        match self.text.as_bytes().get(end) {
            Some(b';') => Ok((value, end + 1, false)),
            Some(b'\n') => Ok((value, end + 1, true)),
            Some(b'\r') => Err((end, "un retour chariot : les lignes finissent par LF seul")),
            Some(_) => Err((end, "un guillemet au milieu d'un champ")),
            None => Err((end, "la dernière ligne ne finit pas par LF")),
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, (usize, &'static str)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken || self.at >= self.text.len() {
            return None;
        }
        let mut record = Record::new();
        loop {
            let start = self.at;
            match self.field(start) {
                Ok((value, next, last)) => {
                    record.push((start, value));
                    self.at = next;
                    if last {
                        return Some(Ok(record));
                    }
                }
                Err(fault) => {
                    self.broken = true;
                    return Some(Err(fault));
                }
            }
        }
    }
}
