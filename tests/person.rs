//! Rights of persons, through the command line, on ten invented school years: every record of a pupil, a
//! guardian or a member of the staff is found, and nobody else's.

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

use common::{files, root};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

const DATE: &str = "2026-07-06";

struct Place {
    at: tempfile::TempDir,
    truth: Value,
    /// A store serves one process at a time.
    turn: Mutex<()>,
}

impl Place {
    fn path(&self, name: &str) -> PathBuf {
        self.at.path().join(name)
    }

    /// Runs a command in the place; an identifier comes by the standard input.
    fn runs(&self, args: &str, input: &str) -> Output {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new(env!("CARGO_BIN_EXE_cartulaire"))
            .current_dir(self.at.path())
            .args(args.split(' '))
            .env("CARTULAIRE_LOG", "trace")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that refuses its arguments reads nothing.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn find(&self, how: &str, identifier: &str) -> Value {
        let out = self.runs(&format!("person find {how} - --date {DATE} --json"), identifier);
        let logged = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "{logged}");
        assert!(!logged.contains(identifier), "in the logs");
        serde_json::from_slice(&out.stdout).unwrap()
    }

    fn people(&self, kind: &str) -> &Vec<Value> {
        self.truth[kind].as_array().unwrap()
    }
}

/// Ten school years of few pupils, in a store. Made once for all tests.
fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let at = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| env!("CARGO").to_owned());
        let made = Command::new(cargo)
            .current_dir(root())
            .args(["run", "--quiet", "--locked", "-p", "cartulaire_samples", "--"])
            .args(["--years", "10", "--pupils", "60", "--out"])
            .arg(at.path().join("ten"))
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let truth = std::fs::read(at.path().join("ten.years.json")).unwrap();
        let bcn = root().join("samples/bcn");
        let config = format!(
            "[store]\npath = \"store\"\ncreate = true\n[inbox]\npath = \"ten\"\n[nomenclatures]\npath = \"{}\"\n[datasets]\nonly = [\"dnma-visites-academie-mois-appareil\"]\n",
            bcn.display()
        );
        std::fs::write(at.path().join("cartulaire.toml"), config).unwrap();
        let place = Place { at, truth: serde_json::from_slice(&truth).unwrap(), turn: Mutex::default() };
        let night = place.runs(&format!("run nightly --date {DATE} --quiet"), "");
        assert!(night.status.success(), "{}", String::from_utf8_lossy(&night.stderr));
        // A delivery that is refused names a person all the same.
        let refused = format!("x;y\n{};1\n", id(&place.people("pupils")[0]));
        std::fs::write(place.path("CRDC_99_20260705_T1.csv"), refused).unwrap();
        place.runs(&format!("ingest crdc CRDC_99_20260705_T1.csv --date {DATE}"), "");
        place
    })
}

fn id(person: &Value) -> &str {
    person["id"].as_str().unwrap()
}

fn texts(value: &Value) -> BTreeSet<String> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
}

/// School years by table.
type Years = BTreeMap<String, BTreeSet<String>>;

fn expected(person: &Value) -> Years {
    person["tables"].as_object().unwrap().iter().map(|(t, y)| (t.clone(), texts(y))).collect()
}

fn found(answer: &Value) -> Years {
    let mut out = Years::new();
    for record in answer["found"].as_array().unwrap() {
        let text = |key: &str| record[key].as_str().unwrap().to_owned();
        out.entry(text("table")).or_default().insert(text("annee_scolaire"));
    }
    out
}

fn ine(person: &Value) -> Option<String> {
    texts(&person["identifiers"]).into_iter().find(|i| i.len() == 11 && !i.contains('@'))
}

#[test]
fn everything_of_a_person_is_found_and_nothing_of_the_others() {
    let place = place();
    let pupils = place.people("pupils");
    let with_brothers = place
        .people("guardians")
        .iter()
        .filter(|g| pupils.iter().filter(|p| texts(&p["guardians"]).contains(id(g))).count() > 1);
    let mut sample: Vec<&Value> = pupils.iter().step_by(pupils.len() / 6).collect();
    sample.extend(pupils.iter().filter(|p| ine(p).is_none()).take(2));
    sample.extend(with_brothers.take(2));
    sample.extend(place.people("staff").iter().step_by(7).take(3));
    let mut replaced = 0;
    for person in sample {
        let answer = place.find("--id", id(person));
        assert_eq!(found(&answer), expected(person), "{person}\n{answer:#}");
        // Nobody of the family is walked into.
        let own = texts(&person["identifiers"]);
        for identifier in answer["identifiers"].as_array().unwrap() {
            let value = identifier["value"].as_str().unwrap();
            assert!(own.contains(value) || identifier["space"] == "aaf-etab", "{person}: {identifier}");
        }
        for record in answer["found"].as_array().unwrap() {
            replaced += usize::from(record["superseded"] == true);
            assert_eq!(record["place"] == "table", record["decision"].is_string(), "{record}");
            assert!(record.get("values").is_none(), "a search tells where, not what");
        }
    }
    assert!(replaced > 0, "records that newer deliveries replaced");
}

#[test]
fn a_pupil_is_found_by_his_ine_as_by_his_number() {
    let place = place();
    for pupil in place.people("pupils").iter().filter(|p| ine(p).is_some()).step_by(11).take(3) {
        let answer = place.find("--ine", &ine(pupil).unwrap());
        assert_eq!(found(&answer), expected(pupil), "{pupil}\n{answer:#}");
        let by_number = place.find("--id", id(pupil));
        assert_eq!(answer["found"], by_number["found"]);
        assert!(!answer["hops"].as_array().unwrap().is_empty());
    }
}

#[test]
fn a_record_set_aside_is_found_by_its_raw_value() {
    let place = place();
    let aside = place.runs("quarantine list --json", "");
    let aside: Value = serde_json::from_slice(&aside.stdout).unwrap();
    let mut wrong = 0;
    for file in
        aside["quarantines"].as_array().unwrap().iter().filter(|q| q["table"] == "crdc_droits").take(3)
    {
        let path = place.path("store").join(file["path"].as_str().unwrap());
        let Some(value) = texts_of(&path, "id_eleve").into_iter().find(|v| v.len() > 5) else { continue };
        let answer = place.find("--id", &format!("{value}\n"));
        let mut records = answer["found"].as_array().unwrap().iter();
        assert!(
            records.any(|r| r["place"] == "quarantine" && r["delivery"] == file["delivery"]),
            "{answer:#}"
        );
        wrong += 1;
    }
    assert!(wrong > 0, "{aside:#}");
}

/// Values of a text column of a Parquet file.
fn texts_of(path: &Path, name: &str) -> Vec<String> {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    let reader = SerializedFileReader::new(std::fs::File::open(path).unwrap()).unwrap();
    let rows = reader.get_row_iter(None).unwrap().map(Result::unwrap);
    let text = |row: parquet::record::Row| {
        row.get_column_iter().find(|(n, _)| *n == name).and_then(|(_, f)| match f {
            Field::Str(text) => Some(text.clone()),
            _ => None,
        })
    };
    rows.filter_map(text).collect()
}

#[test]
fn what_no_column_holds_is_found_in_the_bytes_as_received() {
    let place = place();
    let answer = place.find("--id", id(&place.people("pupils")[0]));
    let received = answer["received"].as_array().unwrap();
    let refused = received.iter().find(|r| r["file"] == "CRDC_99_20260705_T1.csv").unwrap();
    assert_eq!((&refused["occurrences"], &refused["explained"]), (&1.into(), &false.into()));
    let others: Vec<_> = received.iter().filter(|r| r["explained"] == false).collect();
    assert_eq!(others.len(), 1, "{others:#?}");
}

#[test]
fn nobody_is_an_answer_too() {
    let place = place();
    let out = place.runs(&format!("person find --id 31415926535 --date {DATE}"), "");
    assert!(out.status.success());
    assert!(String::from_utf8_lossy(&out.stdout).starts_with("Aucun enregistrement."));
    for (args, input) in
        [("person find", ""), ("person find --id -", " \n"), ("person find --id 1 --ine 2", "")]
    {
        assert_eq!(place.runs(args, input).status.code(), Some(2), "{args}");
    }
}

#[test]
fn an_export_is_private_masks_third_persons_and_is_journaled_by_digest() {
    let place = place();
    let guardian =
        place.people("guardians").iter().find(|g| g["tables"].get("crdc_droits").is_some()).expect("a payer");
    let out = place.path("export");
    let export = format!("person export --id - --date {DATE} --out {}", out.display());
    let done = place.runs(&export, id(guardian));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&out), 0o700);
    let names: Vec<PathBuf> = files(&out);
    assert_eq!(names, [out.join("person.json"), out.join("personne.html")]);
    assert!(names.iter().all(|f| mode(f) == 0o600));
    let document: Value = serde_json::from_slice(&std::fs::read(out.join("person.json")).unwrap()).unwrap();
    assert_eq!(found(&document), expected(guardian));
    let (mut subjects, mut mentions) = (0, 0);
    for record in document["found"].as_array().unwrap() {
        let values = record["values"].as_array().unwrap();
        match record["role"].as_str().unwrap() {
            "mention" => {
                mentions += 1;
                assert!(values.iter().all(|v| v[1] == guardian["id"]), "{record}");
            }
            _ => {
                subjects += 1;
                assert!(values.len() > 3 && values.iter().any(|v| v[1] == guardian["id"]), "{record}");
            }
        }
    }
    assert!(subjects > 0 && mentions > 0);
    let page = std::fs::read_to_string(out.join("personne.html")).unwrap();
    assert!(page.contains(id(guardian)) && page.contains("masquées"));
    // A folder that holds something is left alone.
    assert_eq!(place.runs(&export, id(guardian)).status.code(), Some(2));
    let journal: String =
        files(&place.path("store/journal")).iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    assert!(journal.contains("person_searched") && !journal.contains(id(guardian)));
    assert!(place.runs("journal verify", "").status.success());
}
