//! An oracle for what the SCOPE tables of a delivery say of each other: it reads the written files
//! back, leaves out the records that the truth rejects, counts the members of the structures and looks
//! for teachers who are in two places at once.

use crate::output::{Night, Result};
use crate::reading::{Values, deliveries, first, is_open, records};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Beginning and end of a session, then its file, line and record.
type Session = (String, String, String, u64, u64);

/// Adds to the truth the wrong numbers of members and the overlaps of every delivery.
pub fn tell(night: &mut Night) -> Result<()> {
    for (delivery, files) in deliveries(night) {
        let mut members: HashMap<(String, String), u64> = HashMap::new();
        let day = day_of(&delivery);
        accepted(night, &files, "scope_appartenances", &mut |_, _, _, values| {
            if is_open(first(values, "date_debut"), first(values, "date_fin"), &day) {
                *members.entry(structure(values)).or_default() += 1;
            }
        })?;
        let mut wrong = Vec::new();
        accepted(night, &files, "scope_structures", &mut |file, line, record, values| {
            let declared = first(values, "effectif");
            let found = members.get(&structure(values)).copied().unwrap_or_default();
            if !declared.is_empty() && declared.parse() != Ok(found) {
                wrong.push((file.to_owned(), line, record));
            }
        })?;
        // Sessions by school, teacher and day.
        let mut sessions: BTreeMap<[String; 3], Vec<Session>> = BTreeMap::new();
        accepted(night, &files, "scope_seances", &mut |file, line, record, values| {
            let value = |column| first(values, column).to_owned();
            let teachers: BTreeSet<&String> = values.get("id_enseignant").into_iter().flatten().collect();
            for teacher in teachers.into_iter().filter(|t| !t.is_empty() && value("statut") == "prévue") {
                let who = [value("uai"), teacher.clone(), value("date")];
                let session = (value("heure_debut"), value("heure_fin"), file.to_owned(), line, record);
                sessions.entry(who).or_default().push(session);
            }
        })?;
        let overlaps: BTreeSet<_> = sessions.into_values().flat_map(overlapping).collect();
        for (file, line, record) in wrong {
            night.warn(&file, line, record, "effectif", "COUNT_MISMATCH")?;
        }
        for (file, line, record) in overlaps {
            night.warn(&file, line, record, "heure_debut", "OVERLAP")?;
        }
    }
    Ok(())
}

/// Gives the records of a table that are not rejected: file, line, record, values.
fn accepted(
    night: &Night,
    files: &[(String, &str)],
    table: &str,
    each: &mut dyn FnMut(&str, u64, u64, &Values),
) -> Result<()> {
    let columns = [
        "uai",
        "code_structure",
        "date_debut",
        "date_fin",
        "effectif",
        "id_enseignant",
        "date",
        "heure_debut",
        "heure_fin",
        "statut",
    ];
    for (file, _) in files.iter().filter(|(_, t)| *t == table) {
        let rejected = night.rejected(file);
        records(&night.path(file), &columns.into(), &mut |record, line, values| {
            if !rejected.contains(&record) {
                each(file, line, record, values);
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn structure(values: &Values) -> (String, String) {
    (first(values, "uai").to_owned(), first(values, "code_structure").to_owned())
}

/// The day at the end of the name of a delivery, as the records write theirs.
fn day_of(delivery: &str) -> String {
    let digits = delivery.rsplit('_').next().unwrap_or_default();
    let part = |range| digits.get(range).unwrap_or_default();
    format!("{}-{}-{}", part(0..4), part(4..6), part(6..8))
}

/// Those that begin before an earlier one has ended. Hours have two digits: they compare as text.
fn overlapping(mut sessions: Vec<Session>) -> Vec<(String, u64, u64)> {
    sessions.sort();
    let mut latest = String::new();
    let mut out = Vec::new();
    for (start, end, file, line, record) in sessions {
        if start < latest {
            out.push((file, line, record));
        }
        latest = latest.max(end);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_may_begin_when_another_ends() {
        let told = |hours: &[(&str, &str)]| {
            let of = |(i, (from, to)): (usize, &(&str, &str))| {
                ((*from).to_owned(), (*to).to_owned(), String::new(), i as u64, i as u64)
            };
            let told = overlapping(hours.iter().enumerate().map(of).collect());
            told.into_iter().map(|(_, line, _)| line).collect::<Vec<_>>()
        };
        assert_eq!(told(&[("08:30", "09:25"), ("09:25", "10:20")]), [0; 0]);
        assert_eq!(told(&[("09:00", "10:00"), ("08:30", "09:25")]), [0]);
        assert_eq!(told(&[("08:30", "09:25"), ("08:30", "09:25"), ("08:30", "09:25")]), [1, 2]);
        // The longest of the earlier ones counts, not the last.
        assert_eq!(told(&[("08:30", "12:35"), ("09:30", "10:25"), ("11:40", "12:35")]), [1, 2]);
        assert_eq!(told(&[]), [0; 0]);
    }

    #[test]
    fn the_day_of_a_delivery_is_in_its_name() {
        assert_eq!(day_of("SCOPE_99_20260110"), "2026-01-10");
    }
}
