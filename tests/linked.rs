//! What publications of the same persons say together: names hide nothing, and what was promised holds.

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

use common::own::Own;
use common::root;
use std::path::{Path, PathBuf};
use std::process::Command;

const NEXT: &str = "2026-01-13";

/// Pupils by school, département aside, and what a column says: named as one likes.
fn dataset(name: &str, population: &str, dimensions: &[(&str, &str, &str)], more: &str) -> String {
    let dimension = |(name, column, extra): &(&str, &str, &str)| {
        format!("[[dimension]]\nname = \"{name}\"\ncolumn = \"{column}\"\ntitle = \"{name}\"\n{extra}\n")
    };
    let dimensions: String = dimensions.iter().map(dimension).collect();
    format!(
        "[dataset]\nname = \"{name}\"\ntitle = \"Élèves\"\ndescription = \"Élèves.\"\ntable = \"ent_eleve\"\nyears = \"latest\"\n\
         population = \"{population}\"\n{more}\n\n[join]\ntable = \"ent_etablissement\"\nleft = \"ENTPersonStructRattach\"\n\
         right = \"ENTStructureJointure\"\ncolumns = [\"ENTStructureUAI\"]\n\n{dimensions}[measure]\nname = \"effectif\"\n\
         title = \"Effectif\"\nkind = \"count\"\n\n[protection]\npolicy = \"eleves-5\"\n"
    )
}

/// A store whose configuration publishes these datasets only.
fn publishing(own: &Own, datasets: &[(&str, String)]) {
    for (name, text) in datasets {
        std::fs::write(own.folder.path().join(format!("jeux/{name}.toml")), text).unwrap();
    }
    let text = std::fs::read_to_string(&own.config).unwrap();
    let (head, _) = text.split_once("only = ").unwrap();
    let names: Vec<String> = datasets.iter().map(|(n, _)| format!("\"{n}\"")).collect();
    std::fs::write(&own.config, format!("{head}only = [{}]\n", names.join(", "))).unwrap();
}

fn night(own: &Own, date: &str, code: i32) -> String {
    let out = common::run(&["run", "nightly", "--date", date, "--config", &own.config], code);
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}

fn extract(own: &Own, dataset: &str, date: &str, code: i32) -> String {
    let out = common::run(&["extract", dataset, "--date", date, "--config", &own.config], code);
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}

fn package(own: &Own, dataset: &str, date: &str) -> PathBuf {
    own.folder.path().join("var/store/publications").join(dataset).join(date)
}

const SCHOOL: (&str, &str, &str) = ("ecole", "ENTStructureUAI", "");
const LEVEL: (&str, &str, &str) = ("niveau", "ENTEleveNivFormation", "");

#[test]
fn neither_another_name_of_dataset_population_or_dimensions_hides_that_pupils_left() {
    let own = Own::new("x");
    publishing(&own, &[("un", dataset("un", "p", &[SCHOOL, LEVEL], ""))]);
    night(&own, common::DATE, 0);
    assert_eq!(own.some_leave(333), 6);
    let renamed = [("lieu", "ENTStructureUAI", ""), ("classe", "ENTEleveNivFormation", "")];
    publishing(&own, &[("deux", dataset("deux", "q", &renamed, ""))]);
    let said = night(&own, NEXT, 4);
    let refused = said.lines().find(|l| l.contains("RELEASES_DISCLOSE")).unwrap_or_else(|| panic!("{said}"));
    assert!(refused.contains("« un 2026-01-12 »") && refused.contains("lieu="), "{refused}");
    assert!(!package(&own, "deux", NEXT).exists());
}

#[test]
fn a_prefix_of_a_published_column_is_added_up() {
    let own = Own::new("x");
    let sex = ("sexe", "personalTitle", "");
    publishing(&own, &[("un", dataset("un", "p", &[SCHOOL, LEVEL, sex], ""))]);
    night(&own, common::DATE, 0);
    // The finest figures below a prefix are those of the schools.
    let department = ("d", "ENTStructureUAI", "prefix = 3\n");
    publishing(&own, &[("deux", dataset("deux", "q", &[department, LEVEL, sex], ""))]);
    let said = extract(&own, "deux", NEXT, 4);
    assert!(said.contains("RELEASES_DISCLOSE"), "{said}");
}

/// MEF and level are two columns: nothing in the files says that one says the other.
#[test]
fn a_table_by_mef_beside_one_by_level_is_refused_then_leaves_with_masks_that_no_reader_undoes() {
    let own = Own::new("x");
    let by_level = dataset("niveaux", "p", &[SCHOOL, LEVEL, ("sexe", "personalTitle", "")], "");
    let mef = |way: &str| {
        let text =
            dataset("formations", "q", &[("mef", "ENTEleveMEF", ""), ("sexe", "personalTitle", "")], "");
        format!("{text}conflict = \"{way}\"\n")
    };
    publishing(&own, &[("niveaux", by_level), ("formations", mef("refuse"))]);
    let said = night(&own, common::DATE, 4);
    let refused = said.lines().find(|l| l.contains("formations : [RELEASES_DISCLOSE]"));
    assert!(refused.is_some_and(|l| l.contains("se calcule de trop près")), "{said}");
    std::fs::write(own.folder.path().join("jeux/formations.toml"), mef("keep_masks")).unwrap();
    extract(&own, "formations", common::DATE, 0);
    let Some(python) = python() else { return };
    let store = own.folder.path().join("var/store");
    let known = own.folder.path().join("connu.json");
    let out = Command::new(&python).args(["-c", KNOWN]).arg(&store).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    std::fs::write(&known, &out.stdout).unwrap();
    let attack = |publications: &Path| {
        Command::new(&python)
            .arg(root().join("tests/attack_releases.py"))
            .arg(publications)
            .args(["5", "2", "--known"])
            .arg(&known)
            .output()
            .unwrap()
    };
    let found = attack(&store.join("publications"));
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stdout));
    // Without what was masked for the sake of the other table, the same attack succeeds.
    let alone = Own::new("x");
    publishing(&alone, &[("formations", mef("refuse"))]);
    night(&alone, common::DATE, 0);
    let mixed = tempfile::tempdir().unwrap();
    for (from, name) in [(&own, "niveaux"), (&alone, "formations")] {
        let to = mixed.path().join(name).join(common::DATE);
        std::fs::create_dir_all(&to).unwrap();
        for file in ["data.csv", "datapackage.json"] {
            std::fs::copy(package(from, name, common::DATE).join(file), to.join(file)).unwrap();
        }
    }
    assert_eq!(attack(mixed.path()).status.code(), Some(1));
}

/// The nomenclature that readers have: the level of each MEF that has one.
const KNOWN: &str = r#"
import duckdb, json, sys
rows = duckdb.sql(f"select ENTEleveMEF, ENTEleveNivFormation from read_parquet('{sys.argv[1]}/tables/ent_eleve/annee_scolaire=2025-2026/*/*.parquet') group by all").fetchall()
levels = {}
for mef, level in rows:
    levels.setdefault(mef, set()).add(level)
print(json.dumps([{"fine": "ent_eleve.ENTEleveMEF", "coarse": "ent_eleve.ENTEleveNivFormation",
                   "map": {m: next(iter(l)) for m, l in levels.items() if len(l) == 1}}]))
"#;

fn python() -> Option<PathBuf> {
    let path = std::env::var("CARTULAIRE_PYTHON").ok().map(PathBuf::from);
    if path.is_none() {
        println!("skipped: CARTULAIRE_PYTHON names no interpreter");
    }
    path
}

#[test]
fn a_choice_of_rows_is_subtracted_from_all_rows() {
    let own = Own::new("x");
    let some = "only = { personalTitle = [\"M.\"] }";
    publishing(
        &own,
        &[
            ("tous", dataset("tous", "p", &[SCHOOL, LEVEL], "")),
            ("garcons", dataset("garcons", "q", &[SCHOOL, LEVEL], some)),
        ],
    );
    let said = night(&own, common::DATE, 4);
    assert!(said.contains("[RELEASES_DISCLOSE]") && said.contains("la différence isole"), "{said}");
}

#[test]
fn a_weaker_policy_keeps_what_a_stronger_one_promised() {
    let own = Own::new("x");
    let strong =
        dataset("fort", "p", &[SCHOOL, LEVEL], "").replace("policy = \"eleves-5\"", "threshold = 11");
    publishing(&own, &[("fort", strong)]);
    night(&own, common::DATE, 0);
    let weak = format!("{}conflict = \"keep_masks\"\n", dataset("faible", "q", &[SCHOOL], ""));
    publishing(&own, &[("faible", weak)]);
    extract(&own, "faible", NEXT, 0);
    let descriptor = std::fs::read_to_string(package(&own, "faible", NEXT).join("datapackage.json")).unwrap();
    let descriptor: serde_json::Value = serde_json::from_str(&descriptor).unwrap();
    assert_eq!(descriptor["cartulaire:policy"]["threshold"], 11);
}

#[test]
fn only_the_crossings_that_are_asked_for_leave_and_are_proven() {
    let own = Own::new("x");
    let margins = "margins = [[\"ecole\", \"niveau\"], []]";
    publishing(&own, &[("peu", dataset("peu", "p", &[SCHOOL, LEVEL], margins))]);
    night(&own, common::DATE, 0);
    let folder = package(&own, "peu", common::DATE);
    let csv = std::fs::read_to_string(folder.join("data.csv")).unwrap();
    let totals: Vec<usize> = csv.lines().skip(1).map(|l| l.matches("_T").count()).collect();
    assert!(totals.iter().all(|n| *n != 1) && totals.contains(&2) && totals.contains(&0));
    let proof =
        own.folder.path().join(format!("var/store/certificates/peu/{}/certificate.json", common::DATE));
    let folder = folder.display().to_string();
    for more in [&["--certificate", &proof.display().to_string()][..], &[]] {
        let args: Vec<&str> = ["extract", "audit", &folder, "--json"].iter().chain(more).copied().collect();
        assert_eq!(common::json(&args, 0)["verdict"], "safe", "{more:?}");
    }
}

#[test]
fn what_left_is_pinned_by_the_register_down_to_the_parquet_file() {
    let own = Own::new("x");
    publishing(&own, &[("un", dataset("un", "p", &[SCHOOL, LEVEL], ""))]);
    night(&own, common::DATE, 0);
    let folder = package(&own, "un", common::DATE);
    let path = folder.display().to_string();
    let db = rusqlite::Connection::open(own.folder.path().join("var/store/ledger.sqlite")).unwrap();
    let (table, year, state, masked): (String, String, String, i64) = db
        .query_row("SELECT source_table, school_year, state, masked FROM publication_facts", [], |r| {
            Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?))
        })
        .unwrap();
    assert_eq!((table.as_str(), year.as_str(), state.as_str()), ("ent_eleve", "2025-2026", "2026-01-10"));
    assert!(masked > 5 && db.execute("DELETE FROM publication_facts", []).is_err());
    drop(db);
    let audit = |code| common::json(&["extract", "audit", &path, "--json"], code);
    assert_eq!(audit(0)["verdict"], "safe");
    // A Parquet file with other figures, its digest written where readers look.
    let other = Own::new("x");
    publishing(
        &other,
        &[(
            "un",
            dataset("un", "p", &[SCHOOL, LEVEL], "")
                .replace("policy = \"eleves-5\"", "threshold = 2\nwidth = 1"),
        )],
    );
    night(&other, common::DATE, 0);
    std::fs::copy(package(&other, "un", common::DATE).join("data.parquet"), folder.join("data.parquet"))
        .unwrap();
    let found = audit(4);
    assert!(found["reason"].as_str().unwrap().contains("data.parquet"), "{found}");
    std::fs::remove_file(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(audit(4)["verdict"], "unsafe");
    // Nothing is audited against what is no longer what left.
    publishing(&own, &[("deux", dataset("deux", "p", &[SCHOOL], ""))]);
    let said = extract(&own, "deux", NEXT, 4);
    assert!(said.contains("PUBLICATION_CHANGED"), "{said}");
}

#[test]
fn a_table_that_prints_a_few_persons_is_unsafe_under_the_policy_that_it_promises() {
    let own = Own::new("x");
    let few =
        dataset("un", "p", &[SCHOOL, LEVEL], "").replace("policy = \"eleves-5\"", "threshold = 2\nwidth = 1");
    publishing(&own, &[("un", few)]);
    night(&own, common::DATE, 0);
    let path = package(&own, "un", common::DATE).display().to_string();
    assert_eq!(common::json(&["extract", "audit", &path, "--json"], 0)["rule"]["threshold"], 2);
    let found = common::json(&["extract", "audit", &path, "--threshold", "5", "--json"], 4);
    let exposed = found["exposed"].as_array().unwrap();
    let printed = exposed.iter().filter(|e| e["lower"] == e["upper"] && e["lower"].as_i64() < Some(5));
    assert!(printed.count() > 3, "{found}");
}

#[test]
fn visits_that_few_make_are_masked() {
    let own = Own::new("dnma-visites-uai-mois-profil");
    night(&own, common::DATE, 0);
    let Some(python) = python() else { return };
    let store = own.folder.path().join("var/store");
    let data = package(&own, "dnma-visites-uai-mois-profil", common::DATE).join("data.csv");
    let out = Command::new(python).args(["-c", VISITS]).args([&store, &data]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Of every printed figure, some row of the source is of five users at least; it is the sum of its rows, and of
/// months that are over.
const VISITS: &str = r#"
import csv, duckdb, sys
store, data = sys.argv[1:]
rows = duckdb.sql(f"select academie, departement, commune, uai, annee_scolaire, left(debutsemaine::varchar, 7), profil, visites, utilisateurs "
                  f"from read_parquet('{store}/tables/dnma_profils/**/*.parquet', hive_partitioning=true) where profil <> 'globales'").fetchall()
names = ("academie", "departement", "commune", "uai", "annee_scolaire", "mois", "profil")
shown = masked = 0
for r in csv.DictReader(open(data, encoding="utf-8-sig", newline=""), delimiter=";"):
    own = [row for row in rows if all(r[n] in ("_T", v) for n, v in zip(names, row))]
    users = max(row[8] for row in own)
    if r["visites_statut"] == "F":
        shown += 1
        assert (users >= 5 or r["visites"] == "0") and int(r["visites"]) == sum(row[7] for row in own), r
    else:
        masked += 1
assert shown > 300 and masked > 10, (shown, masked)
"#;

fn audited(own: &Own, dataset: &str, date: &str) -> serde_json::Value {
    let path = package(own, dataset, date).display().to_string();
    common::json(&["extract", "audit", &path, "--json"], 0)
}

#[test]
fn crossings_shared_out_between_two_datasets_are_added_up() {
    let own = Own::new("x");
    publishing(
        &own,
        &[
            ("fin", dataset("fin", "p", &[SCHOOL, LEVEL], "margins = [[\"ecole\", \"niveau\"], []]")),
            ("gros", dataset("gros", "p", &[SCHOOL], "margins = [[\"ecole\"], []]")),
        ],
    );
    let said = night(&own, common::DATE, 4);
    assert!(said.contains("gros : [RELEASES_DISCLOSE]"), "{said}");
}

#[test]
fn a_choice_that_leaves_nobody_out_hides_nothing() {
    let own = Own::new("x");
    let all = "only = { personalTitle = [\"M.\", \"Mme\"] }";
    publishing(
        &own,
        &[
            ("niveaux", dataset("niveaux", "p", &[SCHOOL, LEVEL], "")),
            ("formations", dataset("formations", "q", &[SCHOOL, ("mef", "ENTEleveMEF", "")], all)),
        ],
    );
    let said = night(&own, common::DATE, 4);
    assert!(said.contains("[RELEASES_DISCLOSE]"), "{said}");
}

#[test]
fn the_table_of_one_school_is_a_part_of_that_of_all() {
    let own = Own::new("x");
    let sex = ("sexe", "personalTitle", "");
    let one = dataset("une", "q", &[LEVEL, sex], "only = { ENTPersonStructRattach = [\"1002\"] }");
    // Of the pupils' own column, without the table of schools.
    let (head, rest) = one.split_once("[join]").unwrap();
    let one = format!("{head}{}", &rest[rest.find("[[dimension]]").unwrap()..]);
    publishing(&own, &[("tous", dataset("tous", "p", &[SCHOOL, LEVEL, sex], "")), ("une", one)]);
    let said = night(&own, common::DATE, 4);
    assert!(said.contains("une : [RELEASES_DISCLOSE]"), "{said}");
}

#[test]
fn a_dataset_that_comes_after_another_delivery_is_compared_with_what_came_before() {
    let own = Own::new("x");
    publishing(&own, &[("niveaux", dataset("niveaux", "p", &[SCHOOL, LEVEL], ""))]);
    night(&own, common::DATE, 0);
    assert_eq!(own.some_leave(1_000_000), 1);
    publishing(
        &own,
        &[("formations", dataset("formations", "q", &[SCHOOL, ("mef", "ENTEleveMEF", "")], ""))],
    );
    let said = night(&own, NEXT, 4);
    assert!(said.contains("formations : [RELEASES_DISCLOSE]"), "{said}");
}

#[test]
fn two_tables_of_the_same_pupils_leave_together_and_are_safe() {
    let own = Own::new("x");
    publishing(
        &own,
        &[
            ("fin", format!("{}conflict = \"keep_masks\"\n", dataset("fin", "p", &[SCHOOL, LEVEL], ""))),
            ("gros", format!("{}conflict = \"keep_masks\"\n", dataset("gros", "p", &[SCHOOL], ""))),
        ],
    );
    night(&own, common::DATE, 0);
    for name in ["fin", "gros"] {
        assert_eq!(audited(&own, name, common::DATE)["verdict"], "safe", "{name}");
    }
}

#[test]
fn a_choice_beside_a_crossing_of_the_same_column_is_subtracted() {
    let own = Own::new("x");
    let some = "only = { ENTEleveNivFormation = [\"ULIS\", \"3EME\"] }";
    publishing(
        &own,
        &[
            ("niveaux", dataset("niveaux", "p", &[SCHOOL, LEVEL], "")),
            ("quelques", dataset("quelques", "q", &[SCHOOL], some)),
        ],
    );
    let said = night(&own, common::DATE, 4);
    assert!(said.contains("[RELEASES_DISCLOSE]"), "{said}");
}
