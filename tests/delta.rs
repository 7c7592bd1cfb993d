//! AAF Delta: applied to the state of the day before, it gives the Complet of its day.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests state what they expect"
)]

mod common;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use common::{files, root};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

type Person = BTreeMap<&'static str, String>;

fn person(id: u64, name: &str) -> Person {
    let mut p = BTreeMap::new();
    for (k, v) in [
        ("ENTPersonJointure", id.to_string()),
        ("ENTPersonNomPatro", name.to_owned()),
        ("sn", name.to_owned()),
        ("givenName", "Prénom-Inventé".to_owned()),
        ("ENTPersonAdresse", format!("{} rue Inventée", id % 7)),
        ("mobile", if id.is_multiple_of(3) { "01 99 00 00 01".into() } else { String::new() }),
    ] {
        p.insert(k, v);
    }
    p
}

fn document(requests: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE ficAlimMENESR SYSTEM \"ficAlimMENESR.dtd\">\n<ficAlimMENESR>\n{requests}</ficAlimMENESR>\n"
    )
}

fn frame(verb: &str, id: &str, body: &str) -> String {
    frame_of("PersRelEleve", verb, id, body)
}

fn frame_of(category: &str, verb: &str, id: &str, body: &str) -> String {
    format!(
        "<{verb}>\n<operationalAttributes><attr name=\"categoriePersonne\"><value>{category}</value></attr></operationalAttributes>\n<identifier><id>{id}</id></identifier>\n{body}</{verb}>\n"
    )
}

fn add(p: &Person) -> String {
    let mut body = "<attributes>\n".to_owned();
    for (k, v) in p {
        let _ = writeln!(body, "<attr name=\"{k}\"><value>{v}</value></attr>");
    }
    frame("addRequest", &p["ENTPersonJointure"], &(body + "</attributes>\n"))
}

fn modify(id: u64, changed: &[(&str, &str)]) -> String {
    let mut body = "<modifications>\n".to_owned();
    for (k, v) in changed {
        let _ = writeln!(
            body,
            "<modification name=\"{k}\" operation=\"replace\"><value>{v}</value></modification>"
        );
    }
    frame("modifyRequest", &id.to_string(), &(body + "</modifications>\n"))
}

fn delete(id: u64) -> String {
    frame("deleteRequest", &id.to_string(), "")
}

struct Place {
    work: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let work = tempfile::tempdir().unwrap();
        let config = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
        let config = config.replace("\"samples/", &format!("\"{}/samples/", root().display()));
        std::fs::write(work.path().join("cartulaire.toml"), config).unwrap();
        Place { work }
    }

    fn config(&self) -> String {
        self.work.path().join("cartulaire.toml").display().to_string()
    }

    fn deliver(&self, kind: &str, day: &str, requests: &str) -> Value {
        self.deliver_all(kind, day, &[("PersRelEleve", requests)])
    }

    fn deliver_all(&self, kind: &str, day: &str, files: &[(&str, &str)]) -> Value {
        let written = files.iter().map(|(category, requests)| {
            let name = format!("ENT2DEX-ENT99_{kind}_{}_{category}_0000.xml", day.replace('-', ""));
            let path = self.work.path().join(name);
            std::fs::write(&path, document(requests)).unwrap();
            path.display().to_string()
        });
        let paths: Vec<String> = written.collect();
        let config = self.config();
        let mut args = vec!["ingest", "ent"];
        args.extend(paths.iter().map(String::as_str));
        args.extend(["--date", day, "--config", &config, "--json"]);
        let out = common::cartulaire(&args).output().unwrap();
        serde_json::from_slice(&out.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&out.stderr)))
    }

    /// Last delivery's findings: (code, message).
    fn findings(&self, run: &Value) -> Vec<(String, String)> {
        let path = self
            .work
            .path()
            .join(format!("var/store/reports/{}/report.json", run["run_id"].as_str().unwrap()));
        let report: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        report["deliveries"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|d| d["tables"].as_array().unwrap())
            .flat_map(|t| t["findings"].as_array().unwrap())
            .map(|f| (f["code"].as_str().unwrap().to_owned(), f["message"].as_str().unwrap().to_owned()))
            .collect()
    }

    /// Rows of the last snapshot of a table, as text, without their origin.
    fn rows(&self, table: &str, day: &str) -> Vec<Vec<String>> {
        let folder = self.work.path().join(format!("var/store/tables/{table}"));
        let mut out = Vec::new();
        for path in
            files(&folder).into_iter().filter(|p| p.display().to_string().contains(&day.replace('-', "")))
        {
            let file = std::fs::File::open(path).unwrap();
            for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
                let batch = batch.unwrap();
                let schema = batch.schema();
                let wanted: Vec<usize> = schema
                    .fields()
                    .iter()
                    .enumerate()
                    .filter(|(_, f)| !["_file", "_line", "_record", "_byte"].contains(&f.name().as_str()))
                    .map(|(i, _)| i)
                    .collect();
                let options = FormatOptions::default().with_null("∅");
                let formats: Vec<ArrayFormatter<'_>> = wanted
                    .iter()
                    .map(|i| ArrayFormatter::try_new(batch.column(*i).as_ref(), &options).unwrap())
                    .collect();
                for row in 0..batch.num_rows() {
                    out.push(formats.iter().map(|f| f.value(row).to_string()).collect());
                }
            }
        }
        out.sort();
        out
    }
}

#[test]
fn what_is_deleted_leaves_a_tombstone_and_what_is_unknown_is_set_aside() {
    let place = Place::new();
    let people: String = (1..=40).map(|i| add(&person(i, "Nom-Inventé"))).collect();
    assert_eq!(place.deliver("Complet", "2026-01-10", &people)["status"], "ok");
    let requests =
        [delete(7), modify(8, &[("sn", "Nom-Changé")]), delete(999), add(&person(41, "Nom-Nouveau"))]
            .concat();
    let more: String = (50..=80).map(|i| add(&person(i, "Nom-Inventé"))).collect();
    let run = place.deliver("Delta", "2026-01-11", &(requests + &more));
    assert_eq!(run["status"], "ok", "{:?}", place.findings(&run));
    assert_eq!(place.findings(&run).iter().map(|f| f.0.as_str()).collect::<Vec<_>>(), ["DELTA_TARGET"]);
    let rows = place.rows("ent_responsable", "2026-01-11");
    assert_eq!(rows.len(), 40 - 1 + 1 + 31);
    assert!(rows.iter().any(|r| r.contains(&"Nom-Changé".to_owned())));
    assert_eq!(place.rows("ent_responsable_suppressions", "2026-01-11"), [["7", "2026-01-11"]]);
}

#[test]
fn a_gap_a_stale_delta_and_a_delta_without_state_are_refused_with_the_date() {
    let place = Place::new();
    let run = place.deliver("Delta", "2026-01-09", &delete(1));
    assert_eq!(run["status"], "gated");
    assert!(
        place.findings(&run).iter().any(|(c, m)| c == "DELTA_GAP" && m.contains("08/01/2026")),
        "{:?}",
        place.findings(&run)
    );
    let people: String = (1..=20).map(|i| add(&person(i, "Nom-Inventé"))).collect();
    place.deliver("Complet", "2026-01-10", &people);
    let run = place.deliver("Delta", "2026-01-12", &delete(1));
    assert!(
        place.findings(&run).iter().any(|(c, m)| c == "DELTA_GAP" && m.contains("11/01/2026")),
        "{:?}",
        place.findings(&run)
    );
    let run = place.deliver("Delta", "2026-01-10", &delete(1));
    assert!(
        place.findings(&run).iter().any(|(c, m)| c == "DELTA_STALE" && m.contains("10/01/2026")),
        "{:?}",
        place.findings(&run)
    );
    assert_eq!(place.rows("ent_responsable", "2026-01-10").len(), 20);
}

#[test]
fn a_delta_refers_to_what_it_brings_and_to_the_state() {
    let place = Place::new();
    let pupil = |verb: &str, section: &str, element: &str, guardian: u64| {
        let operation = if element == "attr" { "" } else { " operation=\"replace\"" };
        let one = |name: &str, value: &str| {
            format!("<{element} name=\"{name}\"{operation}><value>{value}</value></{element}>\n")
        };
        let mut body = one("ENTElevePersRelEleve", &format!("{guardian}$1$1$1$1$1"));
        if verb == "addRequest" {
            for (name, value) in [
                ("ENTPersonJointure", "900"),
                ("ENTPersonDateNaissance", "02/03/2012"),
                ("ENTPersonNomPatro", "Exemple-Inventé"),
                ("sn", "Exemple-Inventé"),
                ("givenName", "Prénom-Inventé"),
                ("ENTEleveNivFormation", "6EME"),
                ("ENTEleveMEF", "10010012110"),
                ("ENTPersonStructRattach", "1"),
            ] {
                body.push_str(&one(name, value));
            }
        }
        frame_of("Eleve", verb, "900", &format!("<{section}>\n{body}</{section}>\n"))
    };
    let unknown =
        |run: &Value| place.findings(run).into_iter().filter(|f| f.0 == "REFERENCE_UNKNOWN").count();
    let guardians: String = (1..=30).map(|i| add(&person(i, "Nom-Inventé"))).collect();
    let complet =
        [("PersRelEleve", guardians.as_str()), ("Eleve", &pupil("addRequest", "attributes", "attr", 5))];
    let run = place.deliver_all("Complet", "2026-01-10", &complet);
    assert_eq!((run["status"].as_str(), unknown(&run)), (Some("ok"), 0), "{:?}", place.findings(&run));
    for (day, guardian, expected) in [("2026-01-11", 6, 0), ("2026-01-12", 41, 0), ("2026-01-13", 777, 1)] {
        let brought = add(&person(if guardian == 41 { 41 } else { 30 }, "Nom-Nouveau"));
        let changed = pupil("modifyRequest", "modifications", "modification", guardian);
        let run = place.deliver_all("Delta", day, &[("PersRelEleve", &brought), ("Eleve", &changed)]);
        assert_eq!(
            (run["status"].as_str(), unknown(&run)),
            (Some("ok"), expected),
            "{day} {:?}",
            place.findings(&run)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn a_complet_and_the_deltas_after_it_are_the_complet_of_the_last_day(
        days in proptest::collection::vec(proptest::collection::btree_map(1_u64..40, 0_u8..4, 1..12), 1..3)
    ) {
        let (by_deltas, at_once) = (Place::new(), Place::new());
        let mut state: BTreeMap<u64, Person> = (1..=30).map(|i| (i, person(i, "Nom-Inventé"))).collect();
        by_deltas.deliver("Complet", "2026-01-05", &state.values().map(add).collect::<String>());
        let mut last = "2026-01-05".to_owned();
        for (n, changes) in days.iter().enumerate() {
            let mut requests = String::new();
            for (id, what) in changes {
                match (what, state.contains_key(id)) {
                    (0, true) => {
                        requests.push_str(&delete(*id));
                        state.remove(id);
                    }
                    (1, true) => {
                        let name = format!("Nom-Jour-{n}");
                        requests.push_str(&modify(*id, &[("sn", &name), ("mobile", "")]));
                        let p = state.get_mut(id).unwrap();
                        p.insert("sn", name);
                        p.insert("mobile", String::new());
                    }
                    _ => {
                        let p = person(*id, &format!("Nom-Ajouté-{n}"));
                        requests.push_str(&add(&p));
                        state.insert(*id, p);
                    }
                }
            }
            last = format!("2026-01-{:02}", 6 + n);
            let run = by_deltas.deliver("Delta", &last, &requests);
            prop_assert_eq!(&run["status"], "ok", "{:?}", by_deltas.findings(&run));
        }
        at_once.deliver("Complet", &last, &state.values().map(add).collect::<String>());
        prop_assert_eq!(by_deltas.rows("ent_responsable", &last), at_once.rows("ent_responsable", &last));
    }
}
