//! An oracle for the references between the tables of a delivery: it reads the written files back
//! in the simplest way, knows from the truth which records are rejected, and tells the others that
//! refer to a record that is not there, not accepted, or not open at their date.

use crate::output::{Night, Result};
use crate::reading::{Values, deliveries, first, is_open, records};
use std::collections::{HashMap, HashSet};

/// The column of a table, the part of its `$` composites that is looked up, and what must hold it.
pub struct Link {
    pub table: &'static str,
    pub column: &'static str,
    pub part: Option<usize>,
    pub target: Target,
    /// The date at which the target must be open, in the table that refers.
    pub at: Option<&'static str>,
}

/// A table that others refer to, and the column they name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    pub table: &'static str,
    pub key: &'static str,
    /// Columns of the same name in both tables, which must hold the same values too.
    pub with: &'static [&'static str],
    /// First and last day, both included; an empty one is open.
    pub window: Option<(&'static str, &'static str)>,
}

impl Target {
    fn columns(self) -> impl Iterator<Item = &'static str> {
        let window = self.window.into_iter().flat_map(|(from, to)| [from, to]);
        self.with.iter().copied().chain([self.key]).chain(window)
    }
}

const fn link(
    table: &'static str,
    column: &'static str,
    part: Option<usize>,
    target: &'static str,
    key: &'static str,
) -> Link {
    let target = Target { table: target, key, with: &[], window: None };
    Link { table, column, part, target, at: None }
}

impl Link {
    /// The target is one of the same school.
    const fn in_school(self) -> Link {
        Link { target: Target { with: &["uai"], ..self.target }, ..self }
    }

    /// The target is open at this date.
    const fn open_at(self, at: &'static str) -> Link {
        let window = Some(("date_debut", "date_fin"));
        Link { target: Target { window, ..self.target }, at: Some(at), ..self }
    }
}

const SCHOOL: &str = "ENTStructureJointure";
const PERSON: &str = "ENTPersonJointure";
const SUBJECT: &str = "ENTMatJointure";

/// What the shipped contracts say, in their order; a test compares.
pub const LINKS: &[Link] = &[
    link("ent_eleve", "ENTElevePersRelEleve", Some(0), "ent_responsable", PERSON),
    link("ent_eleve", "ENTEleveMEF", None, "ent_mef", "ENTMefJointure"),
    link("ent_eleve", "ENTEleveCodeEnseignements", None, "ent_matiere", SUBJECT),
    link("ent_eleve", "ENTPersonStructRattach", None, "ent_etablissement", SCHOOL),
    link("ent_eleve", "ENTEleveClasses", Some(0), "ent_etablissement", SCHOOL),
    link("ent_eleve", "ENTEleveGroupes", Some(0), "ent_etablissement", SCHOOL),
    link("ent_etablissement", "ENTEtablissementStructRattachFctl", None, "ent_etablissement", SCHOOL),
    link("ent_personnel", "ENTPersonStructRattach", None, "ent_etablissement", SCHOOL),
    link("ent_personnel", "ENTAuxEnsMEF", Some(0), "ent_etablissement", SCHOOL),
    link("ent_personnel", "ENTAuxEnsMatiereEnseignEtab", Some(0), "ent_etablissement", SCHOOL),
    link("ent_personnel", "ENTAuxEnsClasses", Some(0), "ent_etablissement", SCHOOL),
    link("ent_personnel", "ENTAuxEnsGroupes", Some(0), "ent_etablissement", SCHOOL),
    link("ent_personnel", "ENTAuxEnsClassesMatieres", Some(2), "ent_matiere", SUBJECT),
    link("ent_personnel", "ENTAuxEnsGroupesMatieres", Some(2), "ent_matiere", SUBJECT),
    link("ent_personnel", "ENTAuxEnsClassesPrincipal", Some(0), "ent_etablissement", SCHOOL),
    link("ent_personnel", "ENTPersonFonctions", Some(0), "ent_etablissement", SCHOOL),
    link("ent_responsable", "ENTAuxPersRelEleveEleve", None, "ent_eleve", PERSON),
    link("scope_appartenances", "code_structure", None, "scope_structures", "code_structure")
        .in_school()
        .open_at("date_debut"),
    link("scope_seances", "code_structure", None, "scope_structures", "code_structure")
        .in_school()
        .open_at("date"),
    link("scope_seances", "id_enseignant", None, "scope_enseignants", "id_enseignant").in_school(),
    link("scope_services", "code_structure", None, "scope_structures", "code_structure").in_school(),
    link("scope_services", "id_enseignant", None, "scope_enseignants", "id_enseignant").in_school(),
    link("scope_structures", "divisions_appartenance", None, "scope_structures", "code_structure")
        .in_school(),
];

/// What the columns of `with` hold, each ended by a character that no value holds, then a value.
fn whole(target: Target, values: &Values, value: &str) -> String {
    let mut all: String = target.with.iter().map(|w| format!("{}\u{1f}", first(values, w))).collect();
    all.push_str(value);
    all
}

/// The values that a target offers, with the days on which they are open where it has some.
type Offers = HashMap<String, Vec<(String, String)>>;

/// What is wrong with a value at a date.
fn fault(offers: &Offers, value: &str, day: &str) -> Option<&'static str> {
    let Some(windows) = offers.get(value) else { return Some("REFERENCE_UNKNOWN") };
    let open = |(from, to): &(String, String)| is_open(from, to, day);
    let closed = !day.is_empty() && !windows.is_empty() && !windows.iter().any(open);
    closed.then_some("REFERENCE_CLOSED")
}

/// Adds to the truth what is expected of the references of every delivery.
pub fn tell(night: &mut Night) -> Result<()> {
    for files in deliveries(night).values() {
        let mut there: HashMap<Target, Offers> = HashMap::new();
        for (file, table) in files {
            let targets: HashSet<Target> =
                LINKS.iter().map(|l| l.target).filter(|t| t.table == *table).collect();
            if targets.is_empty() {
                continue;
            }
            let columns = targets.iter().flat_map(|t| t.columns()).collect();
            let rejected = night.rejected(file);
            let mut offers: Vec<(Target, Offers)> =
                targets.into_iter().map(|t| (t, there.remove(&t).unwrap_or_default())).collect();
            records(&night.path(file), &columns, &mut |record, _, values| {
                if rejected.contains(&record) {
                    return Ok(());
                }
                for (target, offers) in &mut offers {
                    for value in values.get(target.key).into_iter().flatten() {
                        let windows = offers.entry(whole(*target, values, value)).or_default();
                        let window = target.window.map(|(from, to)| (first(values, from), first(values, to)));
                        windows.extend(window.map(|(from, to)| (from.to_owned(), to.to_owned())));
                    }
                }
                Ok(())
            })?;
            there.extend(offers);
        }
        for (file, table) in files {
            let links: Vec<&Link> = LINKS.iter().filter(|l| l.table == *table).collect();
            if links.is_empty() {
                continue;
            }
            let needs = |l: &&Link| [l.column].into_iter().chain(l.at).chain(l.target.with.iter().copied());
            let columns = links.iter().flat_map(needs).collect();
            let rejected = night.rejected(file);
            records(&night.path(file), &columns, &mut |record, line, values| {
                if rejected.contains(&record) {
                    return Ok(());
                }
                for link in &links {
                    let Some(offers) = there.get(&link.target) else { continue };
                    let day = link.at.map_or("", |at| first(values, at));
                    let mut wanted = values.get(link.column).into_iter().flatten().map(|v| {
                        link.part.map_or(Some(v.as_str()), |p| v.split('$').nth(p)).unwrap_or_default()
                    });
                    // A list tells its first wrong value.
                    let wrong = wanted.find_map(|v| {
                        let value = whole(link.target, values, v);
                        if v.is_empty() { None } else { fault(offers, &value, day) }
                    });
                    if let Some(code) = wrong {
                        night.warn(file, line, record, link.column, code)?;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_open_on_its_first_and_last_days() {
        let window = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        let offers = Offers::from([
            ("once".to_owned(), vec![window("2025-09-01", "2026-01-15")]),
            ("twice".to_owned(), vec![window("", "2025-09-30"), window("2026-01-01", "")]),
            ("ever".to_owned(), Vec::new()),
        ]);
        let (closed, unknown) = (Some("REFERENCE_CLOSED"), Some("REFERENCE_UNKNOWN"));
        for (value, day, expected) in [
            ("once", "2025-08-31", closed),
            ("once", "2025-09-01", None),
            ("once", "2026-01-15", None),
            ("once", "2026-01-16", closed),
            ("once", "", None),
            ("twice", "1999-09-01", None),
            ("twice", "2025-10-01", closed),
            ("twice", "2030-01-01", None),
            ("ever", "2025-09-01", None),
            ("never", "2025-09-01", unknown),
        ] {
            assert_eq!(fault(&offers, value, day), expected, "{value} {day}");
        }
    }
}
