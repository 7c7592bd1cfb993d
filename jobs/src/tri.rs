//! Tri: a population recorded, then drawn among, shown, and checked from its files alone.

use crate::cli::{DrawArgs, Tri};
use crate::config::Config;
use crate::elimination::salt;
use crate::exit;
use crate::output::{Shown, table};
use crate::runner::{now, open_store_existing, today};
use cartulaire_engine::domain::Digest;
use cartulaire_engine::error::{Error, IoContext, Result};
use cartulaire_engine::french::{count, thousands};
use cartulaire_engine::journal;
use cartulaire_engine::retention::tri::{Difference, Manifest, TriDesk};
use cartulaire_engine::run::Rulebook;
use cartulaire_engine::store::{Store, TriRow};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Runs one of the commands.
pub fn run(config: &Config, command: &Tri, shown: &Shown) -> Result<u8> {
    match command {
        Tri::Draw(args) => draw(config, args, shown),
        Tri::Verify { manifest } => verify(manifest, shown),
        Tri::Show { id: None } => list(config, shown),
        Tri::Show { id: Some(id) } => show(config, id, shown),
    }
}

/// The plan asked for, or the only one that the rules of a class name.
fn plan_of(book: &Rulebook, args: &DrawArgs) -> Result<String> {
    let Some(class) = &args.class else {
        let none = || Error::Usage("donnez un plan de tri, ou --class CLASSE".into());
        return args.plan.clone().ok_or_else(none);
    };
    let rules = book.referential.rules.iter().filter(|r| r.record_class == *class);
    let plans: BTreeSet<&str> = rules.filter_map(|r| r.tri.as_deref()).collect();
    match (plans.first(), plans.len()) {
        (Some(plan), 1) => Ok((*plan).to_owned()),
        (None, _) => {
            Err(Error::Usage(format!("aucune règle de la classe « {class} » ne nomme un plan de tri")))
        }
        (Some(_), _) => Err(Error::Usage(format!(
            "les règles de la classe « {class} » nomment plusieurs plans : donnez celui que vous voulez ({})",
            plans.into_iter().collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn draw(config: &Config, args: &DrawArgs, shown: &Shown) -> Result<u8> {
    let book = config.rulebook()?;
    let plan = plan_of(&book, args)?;
    let choices = args.choices.as_deref().map(choices).transpose()?;
    let mut store = open_store_existing(config)?;
    let salt = salt(&mut store)?;
    let date = args.date.date.unwrap_or_else(today);
    let mut desk = TriDesk { store: &mut store, rulebook: &book, date, clock: &now, person: &args.by };
    let tri = match (&args.value, &args.origin) {
        (Some(value), Some(origin)) => desk.draw(&plan, value, origin),
        _ => desk.record(&plan, &salt, choices.as_ref()),
    };
    journal::mirror(&mut store)?;
    let tri = tri?;
    shown.document(&document(&tri));
    let records = count(tri.records.unsigned_abs(), "enregistrement", "enregistrements");
    shown.say(&match &tri.draw {
        Some(draw) => format!(
            "Tri {} tiré : {} gardés sur {records}.\nManifeste : {}/manifest.json\nEmpreinte : {}\nLe reste est éliminable sous visa : `cartulaire elimination propose`.",
            tri.id,
            thousands(draw.kept),
            tri.path,
            draw.manifest_sha256
        ),
        None => format!(
            "Tri {} enregistré : {records} à trier par le plan « {} ».\nRacine de la population : {}\nRien n'est tiré. Transmettez cette racine aux archives, et demandez-leur une valeur qu'elles choisissent maintenant, puis :\n  cartulaire tri draw {} --value VALEUR --origin \"qui l'a donnée, et quand\" --by PERSONNE",
            tri.id, tri.plan, tri.population_root, tri.plan
        ),
    });
    Ok(exit::DONE)
}

/// Records chosen by somebody: one a line, `table/name;code`.
fn choices(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).at(path)?;
    let mut all = BTreeMap::new();
    for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let Some((record, code)) = line.trim().rsplit_once(';') else {
            let message = format!(
                "« {} », ligne {} : table/LIVRAISON/FICHIER#NUMÉRO;motif attendu",
                path.display(),
                n + 1
            );
            return Err(Error::Usage(message));
        };
        if all.insert(record.to_owned(), code.to_owned()).is_some() {
            let message = format!("« {} », ligne {} : enregistrement déjà choisi", path.display(), n + 1);
            return Err(Error::Usage(message));
        }
    }
    Ok(all)
}

fn document(tri: &TriRow) -> Value {
    let drawn = tri.draw.as_ref().map(|d| json!({"public_value": d.public_value, "origin": d.origin, "manifest_sha256": d.manifest_sha256, "kept": d.kept, "drawn_on": d.drawn_on, "person": d.person}));
    json!({"tri": tri.id, "plan": tri.plan, "plan_version": tri.plan_version, "plan_digest": tri.plan_digest, "population_root": tri.population_root, "records": tri.records, "recorded_on": tri.recorded_on, "person": tri.person, "path": tri.path, "draw": drawn})
}

fn list(config: &Config, shown: &Shown) -> Result<u8> {
    let tris = Store::open(&config.store)?.ledger.tris()?;
    shown.document(&json!({"tris": tris.iter().map(document).collect::<Vec<_>>()}));
    let row = |t: &TriRow| {
        let drawn = t.draw.as_ref();
        vec![
            t.id.clone(),
            format!("{} ({})", t.plan, t.plan_version),
            t.recorded_on.clone(),
            drawn.map_or_else(|| "attend une valeur".to_owned(), |d| d.drawn_on.clone()),
            thousands(t.records),
            drawn.map(|d| thousands(d.kept)).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = tris.iter().map(row).collect();
    let header = ["tri", "plan (version)", "enregistré le", "tiré le", "enregistrements", "gardés"];
    shown.say(&table(&header, &rows, &[4, 5]));
    Ok(exit::DONE)
}

fn show(config: &Config, id: &str, shown: &Shown) -> Result<u8> {
    let store = Store::open(&config.store)?;
    let tri = store.ledger.tris()?.into_iter().find(|t| t.id == id);
    let tri =
        tri.ok_or_else(|| Error::Usage(format!("tri inconnu « {id} » : voyez `cartulaire tri show`")))?;
    let mut document = document(&tri);
    let mut said = format!(
        "Tri {} : plan « {} », version {}\nPopulation du {} : {}, racine {}",
        tri.id,
        tri.plan,
        tri.plan_version,
        tri.recorded_on,
        count(tri.records.unsigned_abs(), "enregistrement", "enregistrements"),
        tri.population_root
    );
    match &tri.draw {
        None => said.push_str("\nPas encore tiré : il attend une valeur publique."),
        Some(draw) => {
            let path = store.path(&tri.path).join("manifest.json");
            let manifest = Manifest::read(&std::fs::read(&path).at(&path)?).map_err(|d| refused(&[d]))?;
            said.push_str(&format!(
                "\nTiré le {} par {}, valeur « {} » ({})\nEmpreinte du manifeste : {}\n{}",
                draw.drawn_on,
                draw.person,
                draw.public_value,
                draw.origin,
                draw.manifest_sha256,
                told(&manifest)
            ));
            if let Some(fields) = document.as_object_mut() {
                fields.insert("counts".into(), json!(manifest.counts));
                fields.insert("steps".into(), json!(manifest.steps));
            }
        }
    }
    shown.document(&document);
    shown.say(&said);
    Ok(exit::DONE)
}

/// The plan, and what each step kept.
fn told(manifest: &Manifest) -> String {
    let rows: Vec<Vec<String>> = manifest
        .steps
        .iter()
        .map(|s| vec![s.french().to_owned(), thousands(s.considered), thousands(s.kept), thousands(s.added)])
        .collect();
    format!(
        "{} enregistrements, {} unités : {} gardés, {} éliminables\n\nPlan « {} », version {} : {}\n  {}\n\n{}",
        thousands(manifest.counts.records),
        thousands(manifest.counts.units),
        thousands(manifest.counts.kept),
        thousands(manifest.counts.eliminated),
        manifest.plan.id,
        manifest.plan.version,
        manifest.plan.title,
        manifest.plan.french().join("\n  "),
        table(&["étape", "regardés", "gardés", "de plus"], &rows, &[1, 2, 3])
    )
}

/// Without a store: a manifest, and its population beside it.
fn verify(path: &Path, shown: &Shown) -> Result<u8> {
    let path = if path.is_dir() { path.join("manifest.json") } else { path.to_owned() };
    let manifest = std::fs::read(&path).at(&path)?;
    let beside = path.with_file_name("population.jsonl");
    let population = std::fs::read(&beside).map_err(|_| {
        Error::Usage(format!(
            "« {} » illisible : la population se garde à côté du manifeste",
            beside.display()
        ))
    })?;
    let digest = Digest::of(&manifest).to_string();
    match Manifest::verify_files(&manifest, &population) {
        Ok(read) => {
            shown.document(&json!({"verdict": "intact", "tri": read.request_number, "manifest_sha256": digest, "counts": read.counts, "differences": []}));
            shown.say(&format!(
                "Le tirage refait donne le manifeste, octet pour octet.\nTri {}, empreinte {digest}\n{}\n\nComparez le plan à celui que vous avez convenu, et la valeur publique « {} » à celle qui a été donnée.",
                read.request_number,
                told(&read),
                read.public_value
            ));
            Ok(exit::DONE)
        }
        Err(differences) => {
            shown.document(
                &json!({"verdict": "altered", "manifest_sha256": digest, "differences": differences}),
            );
            Err(refused(&differences))
        }
    }
}

fn refused(differences: &[Difference]) -> Error {
    let lines: Vec<String> = differences
        .iter()
        .map(|d| match d.field {
            "" => d.message.clone(),
            field => format!("{field} : {}", d.message),
        })
        .collect();
    Error::Refused {
        code: "TRI_DIFFERENT",
        message: format!("le manifeste ne tient pas :\n  {}", lines.join("\n  ")),
    }
}
