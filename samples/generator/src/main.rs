//! Writes invented exports of the four sources in their real formats, with known faults, and the list of
//! what must be found in them.
#![allow(
    clippy::indexing_slicing,
    reason = "it reads no foreign input: indexes are into its own constant tables"
)]

mod aaf;
mod bcn;
mod coherence;
mod cohort;
mod crdc;
mod dnma;
mod ent;
mod faults;
mod frame;
mod nomenclature;
mod output;
mod people;
mod plan;
mod reading;
mod references;
mod rng;
mod scope;
mod timetable;
mod world;
mod years;

use clap::{Parser, ValueEnum};
use output::{Night, Result};
use std::path::PathBuf;
use std::process::ExitCode;

/// Generates a night of deliveries and `<out>.truth.json`.
#[derive(Parser)]
struct Args {
    /// Folder of the deliveries.
    #[arg(long, required_unless_present = "make_bcn")]
    out: Option<PathBuf>,
    /// Same seed, same bytes.
    #[arg(long, default_value_t = 20_260_112)]
    seed: u64,
    /// Pupils of the school year 2025-2026: 2000, or about 200 with several school years.
    #[arg(long)]
    pupils: Option<u64>,
    /// School years, the last one 2025-2026: with several, a folder a night, and `<out>.years.json`. At
    /// most eleven: the MEF of the samples open no lycée before.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=11))]
    years: i32,
    /// One DNMA profiles file of this many rows instead of the usual weeks.
    #[arg(long, conflicts_with = "years")]
    dnma_rows: Option<u64>,
    /// Only these sources (repeatable).
    #[arg(long, value_enum)]
    only: Vec<Source>,
    /// Where `--make-bcn` writes.
    #[arg(long, default_value = "samples/bcn")]
    bcn: PathBuf,
    /// Instead of a night, cuts the BCN rows in use out of the real tables of this folder.
    #[arg(long, value_name = "FROM_DIR")]
    make_bcn: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    Ent,
    Scope,
    Dnma,
    Crdc,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Result<()> {
    if let Some(from) = args.make_bcn {
        return bcn::make(&from, &args.bcn);
    }
    let Some(out) = args.out else { return Ok(()) };
    let wanted = |source| args.only.is_empty() || args.only.contains(&source);
    let several = args.years > 1;
    let pupils = args.pupils.unwrap_or(if several { 200 } else { 2_000 });
    let world = match several {
        true => cohort::world(args.seed, pupils, args.years)?,
        false => world::World::new(args.seed, pupils),
    };
    let mut night = Night::create(out, args.seed, pupils, several)?;
    // In the order of file names, which is that of the truth.
    if wanted(Source::Crdc) {
        crdc::write(&mut night, &world)?;
    }
    if wanted(Source::Ent) {
        ent::write(&mut night, &world)?;
    }
    if wanted(Source::Scope) {
        scope::write(&mut night, &world)?;
    }
    if wanted(Source::Dnma) {
        match args.dnma_rows {
            Some(rows) => dnma::write_rows(&mut night, rows)?,
            None => dnma::write(&mut night, &world)?,
        }
    }
    // Last: what refers to a record depends on every fault of its delivery.
    references::tell(&mut night)?;
    coherence::tell(&mut night)?;
    night.finish()?;
    if several {
        years::tell(&night, &world)?;
    }
    let told: u64 = night.findings.values().sum();
    eprintln!("{} records, {} wrong, {} warnings", night.records, night.wrong, told - night.wrong);
    for (code, count) in &night.findings {
        eprintln!("{count:8} {code}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::Path;

    /// Every byte below a folder.
    fn tree(at: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.extend(tree(&path));
            } else {
                all.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
        all
    }

    /// What the generator writes with these options, by path below the folder of its output.
    fn written(options: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("night").display().to_string();
        run(Args::parse_from(["", "--out", &out].iter().chain(options))).unwrap();
        let bare = |p: PathBuf| p.strip_prefix(folder.path()).unwrap().to_owned();
        tree(folder.path()).into_iter().map(|(p, bytes)| (bare(p), bytes)).collect()
    }

    #[test]
    fn without_options_the_committed_night_is_written_byte_by_byte() {
        let samples = Path::new("..");
        let truth = std::fs::read(samples.join("night.truth.json")).unwrap();
        let mut committed: BTreeMap<PathBuf, Vec<u8>> = tree(&samples.join("night"))
            .into_iter()
            .map(|(p, bytes)| (p.strip_prefix(samples).unwrap().to_owned(), bytes))
            .collect();
        committed.insert("night.truth.json".into(), truth);
        let found = written(&[]);
        let names = |t: &BTreeMap<PathBuf, Vec<u8>>| t.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&committed));
        for (name, bytes) in &committed {
            assert!(found[name] == *bytes, "{}", name.display());
        }
    }

    #[test]
    fn several_school_years_are_the_same_bytes_twice() {
        let options = ["--years", "3", "--pupils", "120"];
        assert!(written(&options) == written(&options));
        assert!(written(&options) != written(&["--years", "3", "--pupils", "120", "--seed", "1"]));
    }

    fn text_of(name: &str) -> String {
        let path = format!("../../engine/contracts/{name}.toml");
        std::fs::read_to_string(path).unwrap()
    }

    /// Column names of a shipped contract.
    fn contract(name: &str) -> Vec<String> {
        let text = text_of(name);
        let (_, columns) = text.split_once("[[column]]").unwrap();
        let names = columns.split("[[column]]").map(|c| c.lines().find_map(|l| l.strip_prefix("name = ")));
        names.map(|n| n.unwrap().trim_matches('"').to_owned()).collect()
    }

    #[test]
    fn columns_are_those_of_the_contracts_in_their_order() {
        let words = |t: &str| t.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let list = |t: &[&str]| t.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (name, ours) in [
            ("ent_eleve", words(aaf::ELEVE)),
            ("ent_etablissement", words(aaf::ETABLISSEMENT)),
            ("ent_matiere", words(aaf::MATIERE)),
            ("ent_mef", words(aaf::MEF)),
            ("ent_personnel", words(aaf::PERSONNEL)),
            ("ent_responsable", words(aaf::RESPONSABLE)),
            ("scope_structures", list(scope::STRUCTURES)),
            ("scope_services", list(scope::SERVICES)),
            ("scope_seances", list(scope::SEANCES)),
            ("scope_appartenances", list(scope::APPARTENANCES)),
            ("scope_enseignants", list(scope::ENSEIGNANTS)),
            ("crdc_droits", list(crdc::DROITS)),
        ] {
            assert_eq!(ours, contract(name), "{name}");
        }
        // Wide files: a column a measure and item, which the contract turns into rows.
        for (name, ours) in
            [("dnma_profils", dnma::profil_columns()), ("dnma_appareils", dnma::appareil_columns())]
        {
            let (keys, measures) = ours.split_at(dnma::KEYS.len());
            assert_eq!(keys, &contract(name)[..keys.len()], "{name}");
            let text = text_of(name);
            let known = text.lines().find_map(|l| l.strip_prefix("known = [")).unwrap();
            for column in measures {
                let (measure, item) = column.split_once('_').unwrap();
                assert!(contract(name).iter().any(|c| c == measure), "{name}: {measure}");
                assert!(known.contains(&format!("\"{item}\"")), "{name}: {item}");
            }
        }
    }
    #[test]
    fn links_are_those_of_the_contracts() {
        let tables = [
            "ent_eleve",
            "ent_etablissement",
            "ent_matiere",
            "ent_mef",
            "ent_personnel",
            "ent_responsable",
            "scope_appartenances",
            "scope_enseignants",
            "scope_seances",
            "scope_services",
            "scope_structures",
        ];
        let mut theirs = Vec::new();
        for table in tables {
            let mut column = String::new();
            for line in text_of(table).lines() {
                if let Some(name) = line.strip_prefix("name = ") {
                    column = name.trim_matches('"').to_owned();
                } else if let Some(link) = line.strip_prefix("references = ") {
                    theirs.push(format!("{table}.{column} {link}"));
                }
            }
        }
        let ours: Vec<String> = references::LINKS
            .iter()
            .map(|l| {
                let part = l.part.map(|p| format!(", part = {p}")).unwrap_or_default();
                let with = match l.target.with {
                    [] => String::new(),
                    with => format!(", with = {with:?}"),
                };
                let window = l.at.zip(l.target.window).map_or_else(String::new, |(at, (from, to))| {
                    format!(", at = \"{at}\", from = \"{from}\", to = \"{to}\"")
                });
                let to = format!(
                    "table = \"{}\", column = \"{}\"{part}{with}{window}",
                    l.target.table, l.target.key
                );
                format!("{}.{} {{ {to}, severity = \"warning\" }}", l.table, l.column)
            })
            .collect();
        assert_eq!(ours, theirs);
    }
    #[test]
    fn what_coherence_judges_is_in_the_contracts() {
        for (table, rule) in [
            (
                "scope_structures",
                "counts = { table = \"scope_appartenances\", column = \"code_structure\", with = [\"uai\"], \
                 from = \"date_debut\", to = \"date_fin\", severity = \"warning\" }\n",
            ),
            (
                "scope_seances",
                "by = [\"uai\", \"id_enseignant\"]\ndate = \"date\"\nfrom = \"heure_debut\"\n\
                 to = \"heure_fin\"\nonly = { statut = \"prévue\" }\n",
            ),
        ] {
            assert!(text_of(table).contains(rule), "{table}: {rule}");
        }
    }
}
