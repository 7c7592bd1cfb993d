//! TOML written by people: faults in French with line and column.

use crate::error::{ConfigFault, Error, Result};
use serde::de::DeserializeOwned;

/// Reads a TOML file into `T`; unknown keys, wrong types and syntax faults come with their place.
///
/// # Errors
/// One fault: TOML readers stop at the first.
pub fn toml_file<T: DeserializeOwned>(file: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |s| s.start);
        Error::config(fault_at(file, text, at, in_french(e.message())))
    })
}

/// A fault at a byte of a file.
pub fn fault_at(file: &str, text: &str, byte: usize, message: String) -> ConfigFault {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    ConfigFault { file: file.to_owned(), line, column, message }
}

/// The TOML reader speaks English; the faults that people make most are said in French.
fn in_french(message: &str) -> String {
    let names = |list: &str| {
        list.split('`').skip(1).step_by(2).map(|n| format!("« {n} »")).collect::<Vec<_>>().join(", ")
    };
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (found, accepted) = rest.split_once(", ").unwrap_or((rest, ""));
        return format!("clé inconnue {} ; clés admises : {}", names(found), names(accepted));
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (found, accepted) = rest.split_once(", ").unwrap_or((rest, ""));
        return format!("valeur inconnue {} ; valeurs admises : {}", names(found), names(accepted));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        return format!("clé obligatoire absente : {}", names(rest));
    }
    if let Some(rest) = message.strip_prefix("invalid type: ") {
        let (found, expected) = rest.split_once(", expected ").unwrap_or((rest, "?"));
        return format!("type inattendu ({found}) ; attendu : {expected}");
    }
    if message.starts_with("duplicate key") {
        return "clé écrite deux fois : n'en gardez qu'une".into();
    }
    format!("TOML mal formé : {message}")
}
