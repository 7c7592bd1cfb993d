//! A contract as a plain-text data dictionary in French, for readers of fifty years from now.

use super::{ColumnType, Contract, Personal};
use std::fmt::Write as _;

/// The dictionary of a table.
pub fn dictionary(contract: &Contract) -> String {
    let mut out = format!(
        "DICTIONNAIRE DE DONNÉES\nTable : {} ({})\n{}\n\nFichier CSV (RFC 4180) : UTF-8, séparateur « , », fins de ligne CRLF, première ligne\nd'en-tête, dates aaaa-mm-jj, point décimal, valeurs multiples séparées par « | », durées en secondes.\n",
        contract.title, contract.name, contract.description
    );
    for column in &contract.columns {
        let kind = match column.kind {
            ColumnType::Text => "texte".to_owned(),
            ColumnType::List => "textes multiples".to_owned(),
            ColumnType::Integer => "entier".to_owned(),
            ColumnType::Decimal { scale, .. } => format!("décimal à {scale} décimales"),
            ColumnType::Date => "date".to_owned(),
            ColumnType::Time => "heure".to_owned(),
            ColumnType::Duration => "durée en secondes".to_owned(),
            ColumnType::Boolean => "vrai ou faux".to_owned(),
            ColumnType::AnneeScolaire => "année scolaire".to_owned(),
        };
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
