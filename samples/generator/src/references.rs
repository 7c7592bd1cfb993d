//! An oracle for the references between the tables of a delivery: it reads the written files back
//! in the simplest way, knows from the truth which records are rejected, and tells the others that
//! refer to a record that is not there, or not accepted.

use crate::output::{Night, Result};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// The column of a table, the part of its `$` composites that is looked up, and the column of the table
/// that must hold it. None of them depends on a date: a target is there or it is not.
pub struct Link {
    pub table: &'static str,
    pub column: &'static str,
    pub part: Option<usize>,
    pub target: &'static str,
    pub key: &'static str,
}

const fn link(
    table: &'static str,
    column: &'static str,
    part: Option<usize>,
    target: &'static str,
    key: &'static str,
) -> Link {
    Link { table, column, part, target, key }
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
    link("scope_appartenances", "code_structure", None, "scope_structures", "code_structure"),
    link("scope_seances", "code_structure", None, "scope_structures", "code_structure"),
    link("scope_seances", "id_enseignant", None, "scope_enseignants", "id_enseignant"),
    link("scope_services", "code_structure", None, "scope_structures", "code_structure"),
    link("scope_services", "id_enseignant", None, "scope_enseignants", "id_enseignant"),
    link("scope_structures", "divisions_appartenance", None, "scope_structures", "code_structure"),
];

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
    ];
    ENDS.iter().find_map(|(end, table)| Some((file.split_once(end)?.0, *table)))
}

/// Values of a record by column.
type Values = HashMap<String, Vec<String>>;

/// Adds to the truth what is expected of the references of every delivery.
pub fn tell(night: &mut Night) -> Result<()> {
    let mut deliveries: BTreeMap<String, Vec<(String, &'static str)>> = BTreeMap::new();
    for file in night.files() {
        if let Some((delivery, table)) = place(file) {
            deliveries.entry(delivery.to_owned()).or_default().push((file.clone(), table));
        }
    }
    for files in deliveries.values() {
        let mut there: HashMap<(&str, &str), HashSet<String>> = HashMap::new();
        for (file, table) in files {
            let keys: HashSet<&str> = LINKS.iter().filter(|l| l.target == *table).map(|l| l.key).collect();
            if keys.is_empty() {
                continue;
            }
            for key in &keys {
                there.entry((*table, *key)).or_default();
            }
            let rejected = night.rejected(file);
            records(&night.path(file), &keys, &mut |record, _, values| {
                if rejected.contains(&record) {
                    return Ok(());
                }
                for key in &keys {
                    let set = there.entry((*table, *key)).or_default();
                    set.extend(values.get(*key).into_iter().flatten().cloned());
                }
                Ok(())
            })?;
        }
        for (file, table) in files {
            let links: Vec<&Link> = LINKS.iter().filter(|l| l.table == *table).collect();
            if links.is_empty() {
                continue;
            }
            let columns = links.iter().map(|l| l.column).collect();
            let rejected = night.rejected(file);
            records(&night.path(file), &columns, &mut |record, line, values| {
                if rejected.contains(&record) {
                    return Ok(());
                }
                for link in &links {
                    let Some(targets) = there.get(&(link.target, link.key)) else { continue };
                    let mut wanted = values.get(link.column).into_iter().flatten().map(|v| {
                        link.part.map_or(Some(v.as_str()), |p| v.split('$').nth(p)).unwrap_or_default()
                    });
                    if wanted.any(|v| !v.is_empty() && !targets.contains(v)) {
                        night.warn(file, line, record, link.column, "REFERENCE_UNKNOWN")?;
                    }
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Gives each record of a file: its number, its line, its values in the wanted columns.
fn records(
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
