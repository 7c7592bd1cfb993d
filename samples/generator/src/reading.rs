//! Reads written files back in the simplest way, for the oracles that judge a whole delivery.

use crate::output::{Night, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Delivery and table of a file, by its name.
fn place(file: &str) -> Option<(&str, &'static str)> {
    const ENDS: &[(&str, &str)] = &[
        ("_EtabEducNat_", "ent_etablissement"),
        ("_Eleve_", "ent_eleve"),
        ("_MatiereEducNat_", "ent_matiere"),
        ("_MefEducNat_", "ent_mef"),
        ("_PersEducNat_", "ent_personnel"),
        ("_PersRelEleve_", "ent_responsable"),
        ("_appartenances.", "scope_appartenances"),
        ("_enseignants.", "scope_enseignants"),
        ("_seances.", "scope_seances"),
        ("_services.", "scope_services"),
        ("_structures.", "scope_structures"),
        ("CRDC_", "crdc_droits"),
        ("-appareils_", "dnma_appareils"),
        ("-profils_", "dnma_profils"),
    ];
    ENDS.iter().find_map(|(end, table)| Some((file.split_once(end)?.0, *table)))
}

/// Table of a file, by its name.
pub fn table_of(file: &str) -> Option<&'static str> {
    place(file).map(|(_, table)| table)
}

/// Files of each delivery whose tables are judged together, and the table of each.
pub fn deliveries(night: &Night) -> BTreeMap<String, Vec<(String, &'static str)>> {
    let mut deliveries: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in night.files() {
        if let Some((delivery, table)) = place(&file.name) {
            deliveries.entry(delivery.to_owned()).or_default().push((file.name.clone(), table));
        }
    }
    deliveries
}

/// Values of a record by column.
pub type Values = HashMap<String, Vec<String>>;

pub fn first<'v>(values: &'v Values, column: &str) -> &'v str {
    values.get(column).and_then(|v| v.first()).map_or("", String::as_str)
}

/// Whether a day is between two, both included; an empty one is open. Dates are written year first,
/// so that they compare as text.
pub fn is_open(from: &str, to: &str, day: &str) -> bool {
    (from.is_empty() || from <= day) && (to.is_empty() || day <= to)
}

/// Gives each record of a file: its number, its line, its values in the wanted columns.
pub fn records(
    path: &Path,
    wanted: &HashSet<&str>,
    each: &mut dyn FnMut(u64, u64, &Values) -> Result<()>,
) -> Result<()> {
    let mut input = BufReader::with_capacity(1 << 18, File::open(path)?);
    let csv = path.extension().is_some_and(|e| e == "csv");
    let (mut bytes, mut header) = (Vec::new(), Vec::new());
    let (mut line, mut record, mut began) = (0, 0, 0);
    let mut values = Values::new();
    loop {
        bytes.clear();
        if input.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        line += 1;
        // Bytes of another encoding are in records that are rejected.
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end_matches('\n');
        if csv {
            let fields = csv_fields(text);
            if header.is_empty() {
                header = fields;
                continue;
            }
            record += 1;
            let split = |f: String| f.split('|').map(str::to_owned).collect();
            let cells = header.iter().zip(fields).filter(|(h, _)| wanted.contains(h.as_str()));
            values = cells.map(|(h, f)| (h.clone(), split(f))).collect();
            each(record, line, &values)?;
        } else if text == "<addRequest>" {
            record += 1;
            began = line;
            values.clear();
        } else if text == "</addRequest>" {
            each(record, began, &values)?;
        } else if let Some((name, rest)) =
            text.strip_prefix("<attr name=\"").and_then(|t| t.split_once("\">"))
        {
            let found =
                rest.split("<value>").skip(1).filter_map(|v| Some(plain(v.split_once("</value>")?.0)));
            values.insert(name.to_owned(), found.collect());
        }
    }
}

fn plain(value: &str) -> String {
    value.replace("&lt;", "<").replace("&gt;", ">").replace("&apos;", "'").replace("&amp;", "&")
}

fn csv_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let last = fields.len() - 1;
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => fields[last].push('"'),
            '"' => quoted = !quoted,
            ';' if !quoted => fields.push(String::new()),
            c => fields[last].push(c),
        }
    }
    fields
}
