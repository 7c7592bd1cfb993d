//! The file of a population: one JSON line a record, in the order of identifiers, in one form only.
//! With a manifest it is all that is needed to carry out a tri again.

use super::manifest::{Difference, Manifest};
use super::plan::Plan;
use super::population::{Population, Record};
use crate::error::{Error, Result};

/// What of a record the plan looks at: of a name its letter alone, and no stratum without strata.
fn reduced(plan: &Plan, mut record: Record) -> Record {
    let letter = plan.surname.as_ref().zip(record.name.as_deref()).and_then(|(s, name)| s.initial(name));
    record.name = letter.map(String::from);
    if plan.stratified.is_none() {
        record.strata.clear();
    }
    record
}

/// The text of a population's file; records in any order.
///
/// # Errors
/// Never in practice: every field has a JSON form.
pub fn population_text(plan: &Plan, records: Vec<Record>) -> Result<String> {
    let mut records: Vec<Record> = records.into_iter().map(|r| reduced(plan, r)).collect();
    records.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let mut text = String::new();
    for record in &records {
        text.push_str(&serde_json::to_string(record).map_err(|e| Error::Write(e.to_string()))?);
        text.push('\n');
    }
    Ok(text)
}

/// Reads a population's file for a plan.
///
/// # Errors
/// What is wrong with it: it is no population, or not in its one form.
pub fn read_population(plan: &Plan, bytes: &[u8]) -> Result<Population, Difference> {
    let wrong = |message: String| Difference { field: "population", message };
    let line = |(n, text): (usize, &[u8])| {
        serde_json::from_slice::<Record>(text).map_err(|_| {
            wrong(format!("population illisible, ligne {} : reprenez le fichier d'origine", n + 1))
        })
    };
    let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|b| *b == b'\n');
    let records: Vec<Record> = match bytes {
        [] => Vec::new(),
        _ => lines.enumerate().map(line).collect::<Result<_, _>>()?,
    };
    let text = population_text(plan, records.clone()).map_err(|e| wrong(e.to_string()))?;
    if text.as_bytes() != bytes {
        let message = "la population n'est pas dans sa forme d'origine (ordre, espaces, ou plus que ce que le plan regarde)";
        return Err(wrong(message.into()));
    }
    Population::new(plan, records).map_err(|e| wrong(e.to_string()))
}

impl Manifest {
    /// Carries out the tri again from the manifest and the file of its population, and nothing else.
    /// Whether its plan is the one that was agreed is not known here.
    ///
    /// # Errors
    /// Every difference, in the order of the causes.
    pub fn verify_files(manifest: &[u8], population: &[u8]) -> Result<Manifest, Vec<Difference>> {
        let said = Manifest::read(manifest).map_err(|d| vec![d])?;
        let population = read_population(&said.plan, population).map_err(|d| vec![d])?;
        Manifest::verify(manifest, &population)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Request, Size, Surname};
    use super::*;

    fn plan() -> Plan {
        Plan {
            id: "p".into(),
            version: "1".into(),
            random: Some(Size::Count(2)),
            surname: Some(Surname { column: "nom".into(), letters: vec!['B'], particles: Vec::new() }),
            ..Plan::default()
        }
    }

    fn records() -> Vec<Record> {
        let names = ["Bernard", "Martin", "Élie", "d'Or", "Zola", "Hugo"];
        let one = |(i, name): (usize, &&str)| Record {
            id: format!("t/l/f.csv#{i}"),
            key: (i % 2 == 0).then(|| format!("k{}", i % 4)),
            year: "2021-2022".into(),
            name: Some((*name).to_owned()),
            kind: "dossier".into(),
            ..Record::default()
        };
        names.iter().enumerate().map(one).collect()
    }

    fn files() -> (Vec<u8>, Vec<u8>) {
        let text = population_text(&plan(), records()).unwrap();
        let population = read_population(&plan(), text.as_bytes()).unwrap();
        let sample = population.draw(Request { number: "TR-1", public_value: "nonce" }).unwrap();
        (sample.manifest().unwrap().text().unwrap().into_bytes(), text.into_bytes())
    }

    #[test]
    fn a_file_holds_letters_and_no_name_and_its_order_is_its_own() {
        let text = population_text(&plan(), records()).unwrap();
        assert!(!text.contains("Martin") && text.contains(r#""name":"M""#), "{text}");
        let back = records().into_iter().rev().collect();
        assert_eq!(population_text(&plan(), back).unwrap(), text);
        // The letter is that of the whole name.
        let direct = Population::new(&plan(), records()).unwrap();
        assert_eq!(read_population(&plan(), text.as_bytes()).unwrap().root(), direct.root());
    }

    #[test]
    fn every_flipped_bit_of_either_file_is_found() {
        let (manifest, population) = files();
        Manifest::verify_files(&manifest, &population).unwrap();
        for at in 0..manifest.len() {
            for bit in 0..8 {
                let mut other = manifest.clone();
                other[at] ^= 1 << bit;
                assert!(Manifest::verify_files(&other, &population).is_err(), "manifest {at} {bit}");
            }
        }
        for at in 0..population.len() {
            for bit in 0..8 {
                let mut other = population.clone();
                other[at] ^= 1 << bit;
                assert!(Manifest::verify_files(&manifest, &other).is_err(), "population {at} {bit}");
            }
        }
        assert!(Manifest::verify_files(&manifest, b"").is_err());
    }
}
