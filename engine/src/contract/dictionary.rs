//! A contract as a plain-text data dictionary in French, for readers of fifty years from now.

use super::{Checksum, ColumnSpec, ColumnType, Contract, Personal};
use crate::error::{Error, Result};
use askama::Template;
use std::fmt::Write as _;

/// The dictionary of a table.
pub fn dictionary(contract: &Contract) -> String {
    let mut out = format!(
        "DICTIONNAIRE DE DONNÉES\nTable : {} ({})\n{}\n\nFichier CSV (RFC 4180) : UTF-8, séparateur « , », fins de ligne CRLF, première ligne\nd'en-tête, dates aaaa-mm-jj, point décimal, valeurs multiples séparées par « | », durées en secondes.\n",
        contract.title, contract.name, contract.description
    );
    for column in &contract.columns {
        let kind = kind(column);
        let _ = write!(out, "\n{}\n  type : {kind}", column.name);
        if column.required {
            out.push_str(", obligatoire");
        }
        out.push('\n');
        if !column.description.is_empty() {
            let _ = writeln!(out, "  sens : {}", column.description);
        }
        if !column.values.is_empty() {
            let _ = writeln!(out, "  valeurs : {}", column.values.join(", "));
        }
        if let Some(codes) = &column.codes {
            let _ = writeln!(out, "  nomenclature : {}", codes.table);
        }
        if column.personal != Personal::None {
            out.push_str("  donnée à caractère personnel\n");
        }
    }
    out
}

/// Type of a column, in French.
fn kind(column: &ColumnSpec) -> String {
    match column.kind {
        ColumnType::Text if !column.parts.is_empty() => {
            format!("texte composé ({})", column.parts.join(" $ "))
        }
        ColumnType::List if !column.parts.is_empty() => {
            format!("textes composés multiples ({})", column.parts.join(" $ "))
        }
        ColumnType::Text => "texte".to_owned(),
        ColumnType::List => "textes multiples".to_owned(),
        ColumnType::Integer => "entier".to_owned(),
        ColumnType::Decimal { scale, .. } => format!("décimal à {scale} décimales"),
        ColumnType::Date => "date".to_owned(),
        ColumnType::Time => "heure".to_owned(),
        ColumnType::Duration => "durée en secondes".to_owned(),
        ColumnType::Boolean => "vrai ou faux".to_owned(),
        ColumnType::AnneeScolaire => "année scolaire".to_owned(),
    }
}

/// A column of the page.
struct Line {
    name: String,
    kind: String,
    required: bool,
    description: String,
    checks: Vec<String>,
    personal: &'static str,
}

#[derive(Template)]
#[template(path = "dictionary.html")]
struct Page<'a> {
    contract: &'a Contract,
    key: String,
    lines: Vec<Line>,
}

/// The dictionary of a table as a page for people: no script, printable.
///
/// # Errors
/// None that a contract causes.
pub fn dictionary_page(contract: &Contract) -> Result<String> {
    let name = |i: &usize| contract.columns.get(*i).map(|c| c.name.to_string());
    let lines = contract
        .columns
        .iter()
        .map(|c| {
            let mut checks = Vec::new();
            if !c.values.is_empty() {
                checks.push(format!("valeurs : {}", c.values.join(", ")));
            }
            if let Some(pattern) = &c.pattern {
                checks.push(format!(
                    "forme : {}",
                    pattern.as_str().trim_start_matches("^(?:").trim_end_matches(")$")
                ));
            }
            match (c.min, c.max) {
                (Some(a), Some(b)) => checks.push(format!("entre {a} et {b}")),
                (Some(a), None) => checks.push(format!("au moins {a}")),
                (None, Some(b)) => checks.push(format!("au plus {b}")),
                (None, None) => {}
            }
            if c.uai {
                checks.push("lettre de contrôle de l'UAI".into());
            }
            if let Some(k) = c.checksum {
                checks.push(
                    if k == Checksum::Ine {
                        "clé de contrôle de l'INE"
                    } else {
                        "clé de contrôle SIREN ou SIRET"
                    }
                    .into(),
                );
            }
            if let Some(codes) = &c.codes {
                let at = codes.at.as_ref().and_then(name);
                checks.push(match at {
                    Some(at) => format!("code de {}, valide à la date de {at}", codes.table),
                    None => format!("code de {}, valide à la date de la livraison", codes.table),
                });
            }
            if let Some(r) = &c.references {
                checks.push(format!("renvoie à {}.{}", r.table, r.column));
            }
            if !c.aliases.is_empty() {
                checks.push(format!("aussi nommée {}", c.aliases.join(", ")));
            }
            Line {
                name: c.name.to_string(),
                kind: kind(c),
                required: c.required,
                description: c.description.clone(),
                checks,
                personal: match c.personal {
                    Personal::None => "non",
                    Personal::Direct => "oui, identifie seule",
                    Personal::Indirect => "oui, décrit une personne",
                    Personal::Sensitive => "oui, sensible",
                },
            }
        })
        .collect();
    let key: Vec<String> = contract.key.iter().filter_map(name).collect();
    Page { contract, key: key.join(", "), lines }.render().map_err(|e| Error::Write(e.to_string()))
}
