//! What a person is given: his records as a page in French.

use super::{Answer, Found, Place};
use crate::contract::Role;
use chrono::NaiveDate;
use std::fmt::Write;

/// The page. Of records that only name him, what they say of others is masked.
pub fn page(answer: &Answer, at: NaiveDate) -> String {
    let mut out = String::from(
        "<!DOCTYPE html>\n<html lang=\"fr\"><head><meta charset=\"utf-8\"><title>Données d'une personne</title>\n<style>body{font-family:sans-serif;margin:2em}table{border-collapse:collapse;margin:0 0 1em}th,td{border:1px solid #999;padding:.2em .5em;text-align:left;vertical-align:top}</style></head><body>\n<main><h1>Données d'une personne</h1>\n",
    );
    let said = match answer.found.len() {
        0 => "Aucun enregistrement".to_owned(),
        n => crate::french::count(n as u64, "enregistrement", "enregistrements"),
    };
    // Writing to a text cannot fail.
    let _ = writeln!(out, "<p>{said}, au {}.</p>", at.format("%d/%m/%Y"));
    for (n, record) in answer.found.iter().enumerate() {
        one(&mut out, n + 1, record);
    }
    out.push_str("</main></body></html>\n");
    out
}

fn one(out: &mut String, n: usize, f: &Found) {
    let _ = writeln!(out, "<section><h2>{n}. {} ({})</h2>", escaped(&f.table), escaped(&f.annee_scolaire));
    let mut place = match f.place {
        Place::Table => "Table",
        Place::Quarantine => "Mis de côté (quarantaine)",
    }
    .to_owned();
    if f.superseded {
        place.push_str(", remplacé par une livraison plus récente");
    }
    let fate = match (f.decision, f.due) {
        (Some(d), Some(due)) => format!(" Sort : {}, échéance le {}.", d.french(), due.format("%d/%m/%Y")),
        (Some(d), None) => format!(" Sort : {}.", d.french()),
        (None, _) => String::new(),
    };
    let _ = writeln!(
        out,
        "<p>{place} ; livraison du {}, {}.{fate}</p>",
        escaped(&f.delivery_date),
        escaped(&f.record)
    );
    if !f.rules.is_empty() {
        let _ = writeln!(out, "<p>Règles : {}</p>", escaped(&f.rules.join(" ; ")));
    }
    out.push_str(
        "<table><thead><tr><th scope=\"col\">Colonne</th><th scope=\"col\">Valeur</th></tr></thead><tbody>\n",
    );
    for (name, value) in &f.values {
        let _ = writeln!(out, "<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escaped(name), escaped(value));
    }
    if f.role == Role::Mention {
        out.push_str(
            "<tr><th scope=\"row\">autres colonnes</th><td>masquées : elles concernent un tiers</td></tr>\n",
        );
    }
    out.push_str("</tbody></table></section>\n");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
