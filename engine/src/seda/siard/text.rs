//! Texts inside the XML of an archive.

use std::io::Write as _;

/// Adds a text to `out`, so that every character comes back from any reader of SIARD.
///
/// The standard's escape is a backslash, `u` and four hexadecimal digits. It stands for the
/// backslash itself, control characters (0 to 31, 127 to 159), spaces that begin, end or follow
/// another, and here also for what XML 1.0 forbids (U+FFFE, U+FFFF) and for the separators that the
/// reference reader folds into a plain space. `&`, `<` and `>` are entities.
pub fn push(out: &mut Vec<u8>, text: &str) {
    let mut after_space = true;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '&' => out.extend_from_slice(b"&amp;"),
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            ' ' if after_space || rest.as_str().is_empty() => escape(out, c),
            '\\' | '\u{FFFE}' | '\u{FFFF}' => escape(out, c),
            _ if c.is_control() || folds(c) => escape(out, c),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        after_space = c == ' ';
    }
}

/// White space that readers fold, apart from the space and the control characters.
/// The no-break spaces are not folded: French texts keep theirs readable.
fn folds(c: char) -> bool {
    c.is_whitespace() && !matches!(c, ' ' | '\u{A0}' | '\u{2007}' | '\u{202F}')
}

/// Every escaped character is below U+10000: four digits are enough.
fn escape(out: &mut Vec<u8>, c: char) {
    let _ = write!(out, "\\u{:04X}", u32::from(c));
}

/// A small XML document in memory, one element a line.
pub struct Xml {
    out: Vec<u8>,
    open: Vec<&'static str>,
}

impl Xml {
    /// Begins the document with its root; `attributes` are written as they are.
    pub fn new(root: &'static str, attributes: &str) -> Self {
        let mut xml = Xml { out: b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec(), open: Vec::new() };
        let _ = writeln!(xml.out, "<{root} {attributes}>");
        xml.open.push(root);
        xml
    }

    /// Opens an element.
    pub fn open(&mut self, name: &'static str) {
        self.indent();
        let _ = writeln!(self.out, "<{name}>");
        self.open.push(name);
    }

    /// Closes the last one opened.
    pub fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            let _ = writeln!(self.out, "</{name}>");
        }
    }

    /// An element that holds a text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.indent();
        let _ = write!(self.out, "<{name}>");
        push(&mut self.out, text);
        let _ = writeln!(self.out, "</{name}>");
    }

    /// An element that is left out when its text is empty.
    pub fn optional(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.leaf(name, text);
        }
    }

    /// An element without content, or a piece of XML, written as it is.
    pub fn raw(&mut self, xml: &str) {
        self.indent();
        let _ = writeln!(self.out, "{xml}");
    }

    /// Closes what is open.
    pub fn finish(mut self) -> Vec<u8> {
        while !self.open.is_empty() {
            self.close();
        }
        self.out
    }

    fn indent(&mut self) {
        self.out.extend(self.open.iter().flat_map(|_| b"  "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        push(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    /// The reference reader's way: white space becomes a space, runs of it one, then escapes count.
    fn read(xml: &str) -> String {
        let xml = xml.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let (mut out, mut space) = (String::new(), false);
        let mut rest = xml.chars();
        while let Some(c) = rest.next() {
            let c =
                if c.is_whitespace() && !matches!(c, '\u{A0}' | '\u{2007}' | '\u{202F}') { ' ' } else { c };
            if c == '\\' {
                assert_eq!(rest.next(), Some('u'), "a backslash begins an escape");
                let digits: String = rest.by_ref().take(4).collect();
                out.push(char::from_u32(u32::from_str_radix(&digits, 16).unwrap()).unwrap());
                space = false;
            } else if !(space && c == ' ') {
                out.push(c);
                space = c == ' ';
            }
        }
        out
    }

    #[test]
    fn what_xml_cannot_hold_is_escaped() {
        for (text, expected) in [
            ("", ""),
            ("Éléonore d'« Île »", "Éléonore d'« Île »"),
            ("a<b>&\"'", "a&lt;b&gt;&amp;\"'"),
            ("]]>", "]]&gt;"),
            ("\0\u{1}\t\n\r\u{1F}", r"\u0000\u0001\u0009\u000A\u000D\u001F"),
            ("\u{7F}\u{85}\u{9F}", r"\u007F\u0085\u009F"),
            ("\\", r"\u005C"),
            (r"\u0041", r"\u005Cu0041"),
            (" ", r"\u0020"),
            (" a  b ", r"\u0020a \u0020b\u0020"),
            ("   ", r"\u0020\u0020\u0020"),
            ("a b", "a b"),
            ("\u{A0}:\u{202F}", "\u{A0}:\u{202F}"),
            ("\u{2028}\u{3000}", r"\u2028\u3000"),
            ("\u{FFFE}\u{FFFF}\u{FFFD}", "\\uFFFE\\uFFFF\u{FFFD}"),
            ("😀\u{1FFFE}", "😀\u{1FFFE}"),
        ] {
            assert_eq!(written(text), expected, "{text:?}");
        }
    }

    #[test]
    fn elements_nest_and_close() {
        let mut xml = Xml::new("a", "b=\"c\"");
        xml.open("d");
        xml.leaf("e", "1 < 2");
        xml.optional("f", "");
        xml.close();
        xml.raw("<g/>");
        let expected = "<a b=\"c\">\n  <d>\n    <e>1 &lt; 2</e>\n  </d>\n  <g/>\n</a>\n";
        assert!(String::from_utf8(xml.finish()).unwrap().ends_with(expected));
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            prop_assert_eq!(read(&written(&text)), text);
        }

        #[test]
        fn every_text_of_troublesome_characters_comes_back(
            text in "[ \\\\u0-9\t\r\n\u{0}\u{85}\u{A0}\u{2028}\u{FFFE}<&>]{0,12}"
        ) {
            prop_assert_eq!(read(&written(&text)), text);
        }
    }
}
