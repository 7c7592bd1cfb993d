//! What several school years hold: how many records of each table, and for every person the values that
//! name him and the years and tables where these are. It reads the written files back, so that faults
//! and copies are told as they are.

use crate::output::{Night, Result};
use crate::people::{
    family, guardian_id, guardian_mail, ine, person, pupil_id, pupil_mail, staff_id, staff_mail,
};
use crate::reading::{records, table_of};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Write;

/// Columns that name a person, and the part of their `$` composites that does.
const NAMING: &[(&str, &str, Option<usize>)] = &[
    ("crdc_droits", "id_eleve", None),
    ("crdc_droits", "ine", None),
    ("crdc_droits", "id_responsable_payeur", None),
    ("ent_eleve", "ENTPersonJointure", None),
    ("ent_eleve", "ENTEleveINE", None),
    ("ent_eleve", "ENTElevePersRelEleve", Some(0)),
    ("ent_eleve", "mail", None),
    ("ent_personnel", "ENTPersonJointure", None),
    ("ent_personnel", "mail", None),
    ("ent_responsable", "ENTPersonJointure", None),
    ("ent_responsable", "ENTAuxPersRelEleveEleve", None),
    ("ent_responsable", "mail", None),
    ("scope_appartenances", "id_eleve", None),
    ("scope_enseignants", "id_enseignant", None),
    ("scope_seances", "id_enseignant", None),
    ("scope_services", "id_enseignant", None),
];

/// School years by table.
type Places = BTreeMap<&'static str, BTreeSet<String>>;

/// A person, by the values that name him, and the school years of the plan.
#[derive(Default)]
struct Known {
    identifiers: Vec<String>,
    name: String,
    guardians: Vec<u64>,
    years: BTreeSet<String>,
}

/// Writes `<out>.years.json`.
pub fn tell(night: &Night, world: &World) -> Result<()> {
    let mut found: BTreeMap<String, Places> = BTreeMap::new();
    let mut tables: BTreeMap<&str, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
    let mut files = Vec::new();
    for written in night.files() {
        let table = table_of(&written.name).ok_or("file of no table")?;
        let rejected = night.rejected(&written.name).len() as u64;
        let counts = tables.entry(&written.year).or_default().entry(table).or_default();
        *counts = (counts.0 + written.records, counts.1 + rejected);
        let folder = written.folder.file_name().unwrap_or_default().to_string_lossy();
        files.push(json!({
            "night": folder, "file": written.name, "table": table, "school_year": written.year,
            "records": written.records, "rejected": rejected,
        }));
        let naming: Vec<_> = NAMING.iter().filter(|(t, _, _)| *t == table).collect();
        if naming.is_empty() {
            continue;
        }
        let columns: HashSet<&str> = naming.iter().map(|(_, column, _)| *column).collect();
        records(&night.path(&written.name), &columns, &mut |_, _, values| {
            for (_, column, part) in &naming {
                for value in values.get(*column).into_iter().flatten() {
                    let value = value.split('$').nth(part.unwrap_or_default()).unwrap_or_default();
                    let places = found.entry(value.to_owned()).or_default();
                    places.entry(table).or_default().insert(written.year.clone());
                }
            }
            Ok(())
        })?;
    }
    let years: Vec<Value> = tables
        .iter()
        .map(|(year, tables)| {
            let tables: BTreeMap<&str, Value> = tables
                .iter()
                .map(|(table, (records, rejected))| {
                    (*table, json!({"records": records, "rejected": rejected}))
                })
                .collect();
            json!({"school_year": year, "tables": tables})
        })
        .collect();
    let (pupils, guardians, staff) = people(world);
    let told = |people: &BTreeMap<u64, Known>| {
        let all = people.iter().filter(|(_, k)| !k.years.is_empty());
        all.map(|(id, k)| one(*id, k, &found)).collect::<Vec<Value>>()
    };
    let mut out = std::io::BufWriter::new(std::fs::File::create(night.beside(".years.json"))?);
    write!(out, "{{\"seed\":{}", night.seed)?;
    let lists = [
        ("school_years", years),
        ("files", files),
        ("pupils", told(&pupils)),
        ("guardians", told(&guardians)),
        ("staff", told(&staff)),
    ];
    // One element a line, so that two of these files can be compared.
    for (name, list) in lists {
        let lines: Vec<String> = list.iter().map(Value::to_string).collect();
        write!(out, ",\n\"{name}\":[\n{}\n]", lines.join(",\n"))?;
    }
    out.write_all(b"}\n")?;
    Ok(out.flush()?)
}

fn one(id: u64, known: &Known, found: &BTreeMap<String, Places>) -> Value {
    let mut places = Places::new();
    for (table, years) in known.identifiers.iter().filter_map(|i| found.get(i)).flatten() {
        places.entry(table).or_default().extend(years.iter().cloned());
    }
    let mut told = json!({
        "id": id.to_string(), "identifiers": known.identifiers, "years": known.years, "tables": places,
    });
    if let Some(map) = told.as_object_mut().filter(|_| !known.guardians.is_empty()) {
        map.insert("name".to_owned(), json!(known.name));
        let guardians: Vec<String> = known.guardians.iter().map(ToString::to_string).collect();
        map.insert("guardians".to_owned(), json!(guardians));
    }
    told
}

/// Pupils, guardians and staff by identifier, with the school years of the plan.
fn people(world: &World) -> (BTreeMap<u64, Known>, BTreeMap<u64, Known>, BTreeMap<u64, Known>) {
    let (mut pupils, mut guardians, mut staff) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for year in &world.years {
        for pupil in world.pupils(year) {
            let home = family(world.seed, pupil.family);
            let known: &mut Known = pupils.entry(pupil_id(pupil.person)).or_default();
            if known.identifiers.is_empty() {
                let who = person(world.seed, pupil.person, pupil.school.kind);
                let ine = who.has_ine.then(|| ine(pupil.person));
                let id = pupil_id(pupil.person).to_string();
                known.identifiers = [id].into_iter().chain(ine).chain([pupil_mail(pupil.person)]).collect();
                known.name = format!("{} {}", home.name, who.given);
                known.guardians = (0..home.guardians).map(|g| guardian_id(pupil.family, g)).collect();
            }
            known.years.insert(year.label());
            for id in &known.guardians {
                let known: &mut Known = guardians.entry(*id).or_default();
                known.identifiers = vec![id.to_string(), guardian_mail(*id)];
                known.years.insert(year.label());
            }
        }
        for index in &year.schools {
            for rank in 0..world.staff_count(year, *index) {
                let id = staff_id(world.school(*index).number, rank);
                let known: &mut Known = staff.entry(id).or_default();
                known.identifiers = vec![id.to_string(), staff_mail(id)];
                known.years.insert(year.label());
            }
        }
    }
    (pupils, guardians, staff)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Args, run};
    use clap::Parser;
    use std::path::{Path, PathBuf};

    const TABLES: usize = 14;

    fn generate(folder: &Path) -> (PathBuf, Value) {
        let out = folder.join("ten");
        run(Args::parse_from(["", "--years", "10", "--out", &out.display().to_string()])).unwrap();
        let text = std::fs::read(folder.join("ten.years.json")).unwrap();
        (out, serde_json::from_slice(&text).unwrap())
    }

    fn texts(value: &Value) -> Vec<String> {
        value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn ten_school_years_hold_every_table_and_tell_every_pupil() {
        let folder = tempfile::tempdir().unwrap();
        let (out, told) = generate(folder.path());
        let years = told["school_years"].as_array().unwrap();
        let labels: Vec<String> = (2016..2026).map(|y| format!("{y}-{}", y + 1)).collect();
        let found: Vec<&str> = years.iter().map(|y| y["school_year"].as_str().unwrap()).collect();
        assert_eq!(found, labels);
        for year in years {
            let tables = year["tables"].as_object().unwrap();
            assert_eq!(tables.len(), TABLES, "{year}");
            for (table, counts) in tables {
                let (all, wrong) =
                    (counts["records"].as_u64().unwrap(), counts["rejected"].as_u64().unwrap());
                // A delivery is refused when one record in ten is wrong.
                assert!(all > 0 && wrong * 10 <= all, "{table}: {counts}");
            }
        }
        let files = told["files"].as_array().unwrap();
        for file in files {
            let path = out.join(file["night"].as_str().unwrap()).join(file["file"].as_str().unwrap());
            assert!(path.is_file(), "{file}");
        }
        let nights = std::fs::read_dir(&out).unwrap().count();
        assert_eq!((nights, files.len()), (30, 10 * (2 * 13 + 3)));
        let pupils = told["pupils"].as_array().unwrap();
        assert!(pupils.len() > 400);
        let position = |year: &String| labels.iter().position(|l| l == year).unwrap();
        for pupil in pupils {
            let own = texts(&pupil["years"]);
            assert!(own.windows(2).all(|w| position(&w[1]) == position(&w[0]) + 1), "{pupil}");
            // Nothing is said of a pupil in a year when he is not there.
            let places = pupil["tables"].as_object().unwrap();
            assert!(places.values().flat_map(texts).all(|year| own.contains(&year)), "{pupil}");
            for table in ["ent_eleve", "ent_responsable", "scope_appartenances"] {
                assert_eq!(texts(&places[table]), own, "{table}: {pupil}");
            }
        }
    }

    #[test]
    fn an_identifier_is_in_the_bytes_of_its_years_only() {
        let folder = tempfile::tempdir().unwrap();
        let (out, told) = generate(folder.path());
        // Words of all files, whatever their columns.
        let mut words: BTreeMap<String, HashSet<String>> = BTreeMap::new();
        for file in told["files"].as_array().unwrap() {
            let path = out.join(file["night"].as_str().unwrap()).join(file["file"].as_str().unwrap());
            let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
            let all = text.split(|c: char| !c.is_ascii_alphanumeric() && !['@', '.'].contains(&c));
            let year = words.entry(file["school_year"].as_str().unwrap().to_owned()).or_default();
            year.extend(all.map(str::to_owned));
        }
        for person in ["pupils", "guardians", "staff"].iter().flat_map(|k| told[k].as_array().unwrap()) {
            let own: BTreeSet<String> =
                person["tables"].as_object().unwrap().values().flat_map(texts).collect();
            let there =
                |year: &HashSet<String>| texts(&person["identifiers"]).iter().any(|i| year.contains(i));
            let found: BTreeSet<String> =
                words.iter().filter(|(_, year)| there(year)).map(|(label, _)| label.clone()).collect();
            assert_eq!(found, own, "{person}");
        }
    }
}
