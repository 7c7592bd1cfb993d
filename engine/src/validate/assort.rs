//! What a delivery holds: files and members of archives, sorted into lots by what they are.

use crate::codes::Code;
use crate::contract::Contract;
use crate::domain::Digest;
use crate::error::{IoContext, Result};
use crate::finding::{Finding, Origin};
use crate::receive::{recognise, shown};
use crate::source::{ArchiveLimits, Head, Sniffed, each_member, is_plain};
use chrono::NaiveDate;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A delivered file, or a member of a delivered archive.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// The file on disk.
    pub path: PathBuf,
    /// Its name as delivered.
    pub name: String,
    /// For an archive: the member.
    pub member: Option<String>,
}

impl Unit {
    /// The name that says what it is: the member's, or the file's.
    pub fn own_name(&self) -> &str {
        self.member.as_deref().unwrap_or(&self.name)
    }

    /// As shown in findings: `archive.zip/member.xml`. A name that cannot be shown as it is ends with
    /// its digest: records are known by it, two files may not get one name.
    pub fn shown(&self) -> String {
        let name = match &self.member {
            Some(m) => format!("{}/{m}", self.name),
            None => self.name.clone(),
        };
        let clean = shown(&name);
        if clean == name { name } else { format!("{clean}~{}", Digest::of(name.as_bytes()).short(8)) }
    }
}

/// What a delivered path holds.
pub struct Contents {
    /// Files, with what they look like.
    pub units: Vec<(Unit, Sniffed)>,
    /// Why an archive is refused.
    pub refusals: Vec<Finding>,
    /// Digest of the delivered bytes, when they had to be read to their end.
    pub sha256: Option<Digest>,
}

/// Looks into a delivered path: the beginning of a plain file, every member of an archive.
///
/// # Errors
/// When it cannot be read.
pub fn look(path: &Path, name: &str) -> Result<Contents> {
    let unit = |member: Option<&str>| Unit {
        path: path.to_path_buf(),
        name: name.to_owned(),
        member: member.map(str::to_owned),
    };
    let mut out = Contents { units: Vec::new(), refusals: Vec::new(), sha256: None };
    if is_plain(path)? {
        let file = File::open(path).at(path)?;
        let head = Head::read(Box::new(file)).at(path)?;
        out.units.push((unit(None), head.sniff()));
        return Ok(out);
    }
    let said = each_member(path, &ArchiveLimits::default(), &mut |member, reader| {
        let head = Head::read(reader).at(path)?;
        out.units.push((unit(Some(member)), head.sniff()));
        Ok(())
    })?;
    out.sha256 = Some(said.sha256);
    let origin = Origin { file: unit(None).shown().into(), ..Origin::default() };
    out.refusals =
        said.refusals.into_iter().map(|f| Finding::new(f.code, origin.clone(), f.message)).collect();
    if !out.refusals.is_empty() {
        // Nothing of a refused archive is judged.
        out.units.clear();
    }
    Ok(out)
}

/// Files of one kind in a delivery, and the tables that they feed.
pub struct Lot<'a> {
    /// One contract, or all those of an XML document.
    pub contracts: Vec<&'a Contract>,
    /// In the order of their names.
    pub units: Vec<Unit>,
    /// Requests may modify and delete.
    pub delta: bool,
}

/// Files of one delivery, sorted into lots.
pub struct Assorted<'a> {
    /// Name of the delivery, by the convention on names; empty when there is none.
    pub name: String,
    /// Its date.
    pub date: NaiveDate,
    /// Its lots, by table.
    pub lots: Vec<Lot<'a>>,
}

/// Sorts what was found into deliveries and lots, by the contracts given. A file that none of them
/// is for is a refusal.
pub fn assort<'a>(
    contents: Vec<(Unit, Sniffed)>,
    contracts: &[&'a Contract],
    date: NaiveDate,
    refusals: &mut Vec<Finding>,
) -> Vec<Assorted<'a>> {
    let mut known = Vec::new();
    for (unit, sniffed) in contents {
        let chosen = sniffed.contracts(contracts, unit.own_name());
        if chosen.is_empty() {
            let origin = Origin { file: unit.shown().into(), ..Origin::default() };
            let (code, message) = match sniffed {
                Sniffed::Empty => (Code::RecvEmpty, "le fichier est vide"),
                Sniffed::Xml { .. } => (Code::XmlRoot, "aucun contrat de la source n'a cette racine XML"),
                _ => (
                    Code::RecvName,
                    "aucun contrat de la source ne correspond à ce fichier : ni par son nom, ni par ses colonnes",
                ),
            };
            refusals.push(Finding::new(code, origin, message));
            continue;
        }
        known.push((unit, sniffed, chosen));
    }
    group(known, date)
}

/// Sorts files into deliveries and lots, each by the contracts that it is for. Of a table that came
/// both whole and as changes, the changes are a delivery of their own.
pub fn group<'a>(known: Vec<(Unit, Sniffed, Vec<&'a Contract>)>, date: NaiveDate) -> Vec<Assorted<'a>> {
    type Lots<'a> = BTreeMap<(Vec<String>, bool), Lot<'a>>;
    let mut groups: BTreeMap<(NaiveDate, String), Lots<'a>> = BTreeMap::new();
    for (unit, sniffed, chosen) in known {
        let first = chosen.get(..1).unwrap_or_default();
        let named = recognise(first, unit.own_name()).or_else(|| recognise(first, &unit.name));
        let (name, day) = named.map_or((String::new(), date), |(_, n, d)| (n, d));
        let delta = is_delta(&unit, &sniffed);
        let names = chosen.iter().map(|c| c.name.clone()).collect();
        let lots = groups.entry((day, name)).or_default();
        lots.entry((names, delta))
            .or_insert_with(|| Lot { contracts: chosen, units: Vec::new(), delta })
            .units
            .push(unit);
    }
    let mut out = Vec::new();
    for ((date, name), by_tables) in groups {
        let (mut lots, mut changes, mut last) = (Vec::new(), Vec::new(), None);
        for ((tables, _), mut lot) in by_tables {
            lot.units.sort();
            let again = last.as_ref() == Some(&tables);
            if again { &mut changes } else { &mut lots }.push(lot);
            last = Some(tables);
        }
        let both = [lots, changes].into_iter().filter(|l| !l.is_empty());
        out.extend(both.map(|lots| Assorted { name: name.clone(), date, lots }));
    }
    out
}

/// Whether requests may modify and delete: the name says so, or else the first requests do.
fn is_delta(unit: &Unit, sniffed: &Sniffed) -> bool {
    let name = unit.own_name();
    name.contains("_Delta_")
        || (!name.contains("_Complet_") && matches!(sniffed, Sniffed::Xml { delta: true, .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_foreign_files_are_shown_clean_and_stay_apart() {
        let shown = |name: &str, member: Option<&str>| {
            Unit { path: "p".into(), name: name.into(), member: member.map(str::to_owned) }.shown()
        };
        assert_eq!(shown("a.zip", Some("b/c.xml")), "a.zip/b/c.xml");
        let long = "d/".repeat(100);
        let (one, other) = (format!("{long}1.xml"), format!("{long}2.xml"));
        for (a, b) in [("x\u{1b}[31m", "x\u{7}[31m"), (&*one, &*other)] {
            let (a, b) = (shown("a.zip", Some(a)), shown("a.zip", Some(b)));
            assert_ne!(a, b);
            assert!(!a.contains(char::is_control) && a.chars().count() < 130, "{a}");
        }
    }

    #[test]
    fn files_of_a_table_are_one_lot_and_its_changes_a_delivery_of_their_own() {
        let contracts = Contract::builtin().unwrap();
        let contract = contracts.iter().find(|c| c.name == "ent_eleve").unwrap();
        let known = ["b_Complet_.xml", "a_Delta_.xml", "a_Complet_.xml"].map(|name| {
            let unit = Unit { path: name.into(), name: name.into(), member: None };
            (unit, Sniffed::Parquet, vec![contract])
        });
        let found = group(known.into(), NaiveDate::default());
        let lots: Vec<Vec<(bool, Vec<String>)>> = found
            .iter()
            .map(|a| a.lots.iter().map(|l| (l.delta, l.units.iter().map(Unit::shown).collect())).collect())
            .collect();
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            lots,
            [
                vec![(false, names(&["a_Complet_.xml", "b_Complet_.xml"]))],
                vec![(true, names(&["a_Delta_.xml"]))]
            ]
        );
    }
}
