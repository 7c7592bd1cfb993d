//! Which field of a table file is which column, whatever the order, the case and the aliases.

use super::{Headers, printable};
use crate::codes::Code;
use crate::contract::Contract;
use crate::finding::{Finding, Origin};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a header means for a contract.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Fields of the header.
    pub(super) fields: usize,
    /// (field, column) of the columns that stand once in a record.
    pub(super) plain: Vec<(usize, usize)>,
    /// Columns that the header does not have.
    pub(super) absent: Vec<usize>,
    /// For wide files: each item with its (field, column).
    pub(super) items: Vec<(String, Vec<(usize, usize)>)>,
    /// For wide files: the name of the field of each (item, column).
    pub(super) headers: Arc<Headers>,
}

/// Why a header cannot be used.
pub(super) enum Unusable {
    Missing(Vec<String>),
    Duplicate(String),
}

/// Reads a header. `findings` takes what is only to be told.
pub(super) fn layout(
    contract: &Contract,
    names: &[String],
    origin: &Origin,
    findings: &mut Vec<Finding>,
) -> Result<Layout, Unusable> {
    let mut found = Layout { fields: names.len(), ..Layout::default() };
    let folded: Vec<String> = names.iter().map(|n| n.trim().to_lowercase()).collect();
    let mut taken: BTreeSet<usize> = BTreeSet::new();
    let mut measured: BTreeSet<usize> = BTreeSet::new();
    if let Some(unpivot) = &contract.input.unpivot {
        for (field, name) in names.iter().enumerate() {
            let Some(parts) = unpivot.pattern.captures(name.trim()) else { continue };
            let part = |g: &str| parts.name(g).map_or(String::new(), |m| m.as_str().to_lowercase());
            let (measure, item) = (part("measure"), part("item"));
            let Some(column) = contract.columns.iter().position(|c| c.name.to_lowercase() == measure) else {
                continue;
            };
            taken.insert(field);
            measured.insert(column);
            match found.items.iter_mut().find(|(i, _)| *i == item) {
                Some((_, cells)) if cells.iter().any(|(_, c)| *c == column) => {
                    return Err(Unusable::Duplicate(printable(name)));
                }
                Some((_, cells)) => cells.push((field, column)),
                None => {
                    if !unpivot.known.contains(&item) {
                        findings.push(Finding::new(
                            Code::ItemUnknown,
                            Origin { column: printable(name).into(), ..origin.clone() },
                            "mesure inconnue du contrat : elle est reprise, signalée une fois",
                        ));
                    }
                    found.items.push((item, vec![(field, column)]));
                }
            }
        }
        measured.insert(unpivot.item);
    }
    let mut missing = Vec::new();
    for (i, column) in contract.columns.iter().enumerate().filter(|(i, _)| !measured.contains(i)) {
        let exact = |n: &String| n.as_str() == &*column.name || column.aliases.contains(n);
        let lower: Vec<String> =
            column.aliases.iter().map(|a| a.to_lowercase()).chain([column.name.to_lowercase()]).collect();
        let mut fields: Vec<usize> =
            names.iter().enumerate().filter(|(_, n)| exact(n)).map(|(j, _)| j).collect();
        if fields.is_empty() {
            fields = folded.iter().enumerate().filter(|(_, n)| lower.contains(n)).map(|(j, _)| j).collect();
        }
        match fields.as_slice() {
            [one] => {
                found.plain.push((*one, i));
                taken.insert(*one);
            }
            [] if column.optional => found.absent.push(i),
            [] => missing.push(column.name.to_string()),
            _ => return Err(Unusable::Duplicate(column.name.to_string())),
        }
    }
    if contract.input.unpivot.is_some() && found.items.is_empty() {
        missing.extend(contract.input.unpivot.iter().map(|u| format!("« {} »", u.pattern.as_str())));
    }
    if !missing.is_empty() {
        return Err(Unusable::Missing(missing));
    }
    let headers = found.items.iter().flat_map(|(item, cells)| {
        cells.iter().map(|(f, c)| ((item.clone(), *c), names.get(*f).map_or("", |n| n).into()))
    });
    found.headers = Arc::new(headers.collect());
    // Items in the order of their names: a reordered header gives the same rows.
    found.items.sort();
    for (j, name) in names.iter().enumerate().filter(|(j, _)| !taken.contains(j)) {
        if names.iter().take(j).filter(|n| *n == name).count() == 0 || !name.is_empty() {
            findings.push(Finding::new(
                Code::CsvHeaderUnknown,
                Origin { column: printable(name).into(), ..origin.clone() },
                "colonne inconnue du contrat : elle n'est pas reprise",
            ));
        }
    }
    Ok(found)
}

/// The origin of a finding about a header.
pub(super) fn header_origin(file: &Arc<str>, line: u64) -> Origin {
    Origin { file: file.clone(), line, ..Origin::default() }
}
