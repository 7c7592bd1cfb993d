//! Cuts out of the real BCN tables the rows that the night needs, bytes unchanged, and checks the
//! embedded codes and labels against them.

use crate::nomenclature::{MATIERES, MEFS, MEFS_OF_FAULTS};
use crate::output::Result;
use encoding_rs::WINDOWS_1252;
use std::fs::File;
use std::io::Write;
use std::path::Path;

const MEF_FILE: &str = "n_mef.csv";
const MATIERE_FILE: &str = "n_matiere_enseignee_long.json";

pub fn make(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    File::create(to.join(MEF_FILE))?.write_all(&mefs(&std::fs::read(from.join(MEF_FILE))?)?)?;
    let subjects = matieres(&std::fs::read_to_string(from.join(MATIERE_FILE))?)?;
    File::create(to.join(MATIERE_FILE))?.write_all(subjects.as_bytes())?;
    Ok(())
}

fn mefs(table: &[u8]) -> Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut found = 0;
    for (i, line) in table.split_inclusive(|b| *b == b'\n').enumerate() {
        let text = WINDOWS_1252.decode_without_bom_handling(line).0;
        let fields: Vec<&str> = text.split(';').collect();
        let [code, _, _, _, _, _, label, ..] = fields.as_slice() else { continue };
        let known = MEFS.iter().find(|(c, _, _)| c == code);
        if let Some((_, want, stat)) = known
            && (want != label || fields.get(17) != Some(stat))
        {
            return Err(format!("{code}: {label} in N_MEF").into());
        }
        if i == 0 || known.is_some() || MEFS_OF_FAULTS.contains(code) {
            found += usize::from(i > 0);
            kept.extend_from_slice(line);
        }
    }
    if found != MEFS.len() + MEFS_OF_FAULTS.len() {
        return Err(format!("{found} MEF found").into());
    }
    Ok(kept)
}

fn matieres(table: &str) -> Result<String> {
    let rows: serde_json::Map<String, serde_json::Value> = serde_json::from_str(table)?;
    for (code, label) in MATIERES {
        let name = rows.get(*code).and_then(|r| r.get("name")).and_then(|n| n.as_str());
        if name != Some(label) {
            return Err(format!("{code}: {name:?} in N_MATIERE_ENSEIGNEE").into());
        }
    }
    let ours = |line: &&str| MATIERES.iter().any(|(code, _)| line.starts_with(&format!("\"{code}\":")));
    let kept: Vec<&str> = table.lines().filter(ours).map(|l| l.trim_end_matches(',')).collect();
    Ok(format!("{{\n{}\n}}\n", kept.join(",\n")))
}
