//! What a file looks like, by its first bytes and its extension, against the PRONOM identifier that
//! the manifest declares. A family is told, not a version: that takes PRONOM's own signatures.

/// Bytes that are enough to tell a family.
pub const HEAD_BYTES: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Csv,
    Tsv,
    Text,
    Json,
    Xml,
    Pdf,
    /// Zip, and what is made of one: office documents, SIARD.
    Zip,
    Gzip,
    Sqlite,
    Png,
    Jpeg,
    Gif,
    Tiff,
}

const SIGNATURES: &[(&[u8], Family)] = &[
    (b"%PDF-", Family::Pdf),
    (b"PK\x03\x04", Family::Zip),
    (b"\x1F\x8B\x08", Family::Gzip),
    (b"SQLite format 3\0", Family::Sqlite),
    (b"\x89PNG\r\n\x1A\n", Family::Png),
    (b"\xFF\xD8\xFF", Family::Jpeg),
    (b"GIF8", Family::Gif),
    (b"II*\0", Family::Tiff),
    (b"MM\0*", Family::Tiff),
    (b"<?xml", Family::Xml),
    (b"\xEF\xBB\xBF<?xml", Family::Xml),
];

/// PRONOM identifiers of the families (DROID signature file v109).
const PUIDS: &[(&str, Family)] = &[
    ("x-fmt/18", Family::Csv),
    ("fmt/800", Family::Csv),
    ("x-fmt/13", Family::Tsv),
    ("x-fmt/111", Family::Text),
    ("fmt/817", Family::Json),
    ("fmt/880", Family::Json),
    ("fmt/101", Family::Xml),
    ("fmt/1776", Family::Xml),
    ("fmt/95", Family::Pdf),
    ("fmt/354", Family::Pdf),
    ("fmt/477", Family::Pdf),
    ("fmt/480", Family::Pdf),
    ("fmt/161", Family::Zip),
    ("fmt/995", Family::Zip),
    ("fmt/1196", Family::Zip),
    ("fmt/1777", Family::Zip),
    ("fmt/295", Family::Zip),
    ("fmt/1755", Family::Zip),
    ("x-fmt/263", Family::Zip),
    ("x-fmt/266", Family::Gzip),
    ("fmt/729", Family::Sqlite),
];

/// What a declaration comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Match {
    /// The same family, or nothing can be said.
    Same,
    /// Another family than the declared one.
    Other,
    /// Neither signature nor known extension.
    Unidentified,
}

fn by_extension(name: &str) -> Option<Family> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "csv" | "csvs" => Family::Csv,
        "tsv" => Family::Tsv,
        "txt" | "md" => Family::Text,
        "json" => Family::Json,
        "xml" => Family::Xml,
        _ => return None,
    })
}

/// Compares what is declared with what is seen. Formats of text have no signature: their extension
/// tells them, as long as the bytes can be text.
pub fn compare(declared: Option<&str>, name: &str, head: &[u8]) -> Match {
    let signed = SIGNATURES.iter().find(|(mark, _)| head.starts_with(mark)).map(|(_, family)| *family);
    let binary = head.contains(&0);
    let seen = signed.or_else(|| by_extension(name).filter(|_| !binary));
    let expected =
        declared.and_then(|d| PUIDS.iter().find(|(puid, _)| *puid == d)).map(|(_, family)| *family);
    match (seen, expected) {
        (None, Some(_)) if head.is_empty() => Match::Same,
        (None, Some(_)) => Match::Unidentified,
        (None, None) if declared.is_none() && !head.is_empty() && head.starts_with(b"PAR1") => {
            Match::Unidentified
        }
        (Some(seen), Some(expected)) if seen != expected => Match::Other,
        _ => Match::Same,
    }
}
