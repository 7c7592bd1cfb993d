//! Open data, judged by programs that share nothing with the engine: an attacker, and the readers
//! that publishers use. They need Python packages (scipy, duckdb, frictionless): the interpreter
//! that has them is named by `CARTULAIRE_PYTHON`, and without it these tests say that they skip.

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
use common::{night, root};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn python() -> Option<PathBuf> {
    let path = std::env::var("CARTULAIRE_PYTHON").ok().map(PathBuf::from);
    if path.is_none() {
        println!("skipped: CARTULAIRE_PYTHON names no interpreter");
    }
    path
}

fn package(store: &Path, dataset: &str) -> PathBuf {
    store.join("publications").join(dataset).join(common::DATE)
}

/// Attacks all publications under a folder: the threshold and the doubt of the shipped policies.
fn attack(python: &Path, publications: &Path) -> Output {
    let program = root().join("tests/attack_releases.py");
    Command::new(python).arg(program).arg(publications).args(["5", "2"]).output().unwrap()
}

fn answer(out: &Output) -> serde_json::Value {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    serde_json::from_slice(&out.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", said(&out.stdout), said(&out.stderr)))
}

#[test]
fn an_attacker_finds_no_pinned_cell_and_does_on_naive_masking() {
    let Some(python) = python() else { return };
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let out = attack(&python, &store.path().join("publications"));
    let result = answer(&out);
    assert!(out.status.success(), "{result}");
    let attacked = result["tables"].as_array().unwrap();
    assert_eq!(attacked.len(), 10);
    assert!(attacked.iter().map(|t| t["masked"].as_u64().unwrap()).sum::<u64>() > 400, "{result}");
    // The attack can fail a table: the same one, with only the cells under the threshold masked.
    let folder = package(store.path(), "eleves-uai-niveau");
    let csv = std::fs::read_to_string(folder.join("data.csv")).unwrap();
    let truth = true_values(&python, store.path());
    let naive = csv.lines().map(|line| {
        let (uai, rest) = line.split_once(';').unwrap();
        match rest.strip_suffix(";;C").and_then(|level| truth.get(&format!("{uai};{level}"))) {
            Some(n) if n.as_u64().unwrap() >= 5 => line.replace(";;C", &format!(";{n};F")),
            _ => line.to_owned(),
        }
    });
    let naive: Vec<String> = naive.collect();
    assert_ne!(naive.join("\n"), csv.trim_end());
    let other = tempfile::tempdir().unwrap();
    let copy = other.path().join("eleves-uai-niveau").join(common::DATE);
    std::fs::create_dir_all(&copy).unwrap();
    // Whoever weakens a table describes it anew.
    let naive = format!("{}\n", naive.join("\n"));
    let described = std::fs::read_to_string(folder.join("datapackage.json")).unwrap();
    let described = described.replace(&sha256(csv.as_bytes()), &sha256(naive.as_bytes()));
    std::fs::write(copy.join("datapackage.json"), described).unwrap();
    std::fs::write(copy.join("data.csv"), naive).unwrap();
    let out = attack(&python, other.path());
    assert_eq!(out.status.code(), Some(1), "{}", answer(&out));
}

fn sha256(bytes: &[u8]) -> String {
    cartulaire_engine::domain::Digest::of(bytes).to_string()
}

#[test]
fn the_attacker_finds_what_handmade_stores_leak() {
    let Some(python) = python() else { return };
    let out = Command::new(python).arg(root().join("tests/test_attack_releases.py")).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

/// Pupils by school and level in the store's tables, counted by DuckDB.
fn true_values(python: &Path, store: &Path) -> serde_json::Map<String, serde_json::Value> {
    let sql = format!(
        "import duckdb, json; print(json.dumps(dict(duckdb.sql(\"select s.ENTStructureUAI || ';' || e.ENTEleveNivFormation, count(*) \
         from read_parquet('{0}/tables/ent_eleve/annee_scolaire=2025-2026/*/*.parquet') e \
         join read_parquet('{0}/tables/ent_etablissement/annee_scolaire=2025-2026/*/*.parquet') s \
         on e.ENTPersonStructRattach = s.ENTStructureJointure group by all\").fetchall())))",
        store.display()
    );
    let out = Command::new(python).args(["-c", &sql]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

/// What a program that reads packages prints for each, `{0}` being the folder of the package.
fn each_package(python: &Path, store: &Path, program: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(store.join("publications")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let out = Command::new(python).args(["-c", program]).arg(package(store, &name)).output().unwrap();
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        found.push((name, String::from_utf8_lossy(&out.stdout).trim().to_owned()));
    }
    found.sort();
    assert_eq!(found.len(), 8);
    found
}

/// Totals and masked cells, from the CSV by its own reader and from the Parquet by two.
const TOTALS: &str = r#"
import csv, duckdb, json, pathlib, polars, sys
folder = pathlib.Path(sys.argv[1])
fields = json.loads((folder / "datapackage.json").read_text("utf-8"))["resources"][0]["schema"]["fields"]
path = str(folder / "data.parquet")
with open(folder / "data.csv", encoding="utf-8-sig", newline="") as f:
    lines = list(csv.DictReader(f, delimiter=";"))
for field in (f for f in fields if f["cartulaire:role"] == "measure"):
    measure, kind = field["name"], "bigint" if field["type"] == "integer" else "double"
    rows = [r[measure] for r in lines]
    want = (len(rows), round(sum(float(v) for v in rows if v), 2), sum(v == "" for v in rows))
    by_duckdb = duckdb.sql(f"select count(*), round(sum({measure})::double, 2), count(*) filter (where {measure} is null) from '{path}'").fetchall()[0]
    column = polars.read_parquet(path)[measure]
    by_polars = (len(column), round(float(column.sum()), 2), column.null_count())
    assert want == by_duckdb == by_polars, (want, by_duckdb, by_polars)
print(len(lines))
"#;

/// Title, files and digests of the dataset, as a reader of RDF finds them.
const CATALOGUE: &str = r#"
import hashlib, pathlib, sys
from rdflib import Graph, Namespace, RDF
folder = pathlib.Path(sys.argv[1])
dcat, dct, spdx = (Namespace(n) for n in ("http://www.w3.org/ns/dcat#", "http://purl.org/dc/terms/", "http://spdx.org/rdf/terms#"))
graph = Graph().parse(folder / "dcat.jsonld", format="json-ld", publicID="https://exemple.test/jeu/")
(dataset,) = graph.subjects(RDF.type, dcat.Dataset)
assert len(str(graph.value(dataset, dct.title))) > 5 and graph.value(dataset, dct.license) is not None
sums = dict(reversed(l.split("  ")) for l in (folder / "SHA256SUMS").read_text("utf-8").splitlines())
assert sums == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.name != "SHA256SUMS"}
found = {}
for d in graph.objects(dataset, dcat.distribution):
    name = str(graph.value(d, dcat.downloadURL)).removeprefix("https://exemple.test/jeu/")
    found[name] = str(graph.value(graph.value(d, spdx.checksum), spdx.checksumValue))
    assert int(graph.value(d, dcat.byteSize)) == (folder / name).stat().st_size
assert found == {n: sums[n] for n in ("data.csv", "data.parquet")}, found
"#;

const FRICTIONLESS: &str = r#"
import frictionless, pathlib, sys
frictionless.system.trusted = True
report = frictionless.validate(str(pathlib.Path(sys.argv[1]) / "datapackage.json"))
assert report.valid, report.flatten(["code", "message"])
"#;

#[test]
fn other_programs_accept_every_package_and_read_the_same_totals() {
    let Some(python) = python() else { return };
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    each_package(&python, store.path(), FRICTIONLESS);
    each_package(&python, store.path(), CATALOGUE);
    let cells: Vec<String> =
        each_package(&python, store.path(), TOTALS).into_iter().map(|(_, cells)| cells).collect();
    assert_eq!(cells, ["48", "48", "60", "280", "880", "792", "128", "442"]);
    let sql = format!(
        "import duckdb; print(duckdb.sql(\"select sum(n), count(distinct annee_scolaire), bool_and(livraison is not null) from (select annee_scolaire, livraison, count(*) n \
         from read_parquet('{}/tables/**/*.parquet', hive_partitioning=true, union_by_name=true) group by all)\").fetchall()[0])",
        store.path().display()
    );
    let out = Command::new(&python).args(["-c", &sql]).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&out.stdout).trim(),
        // A wide line of DNMA is a row per item: more rows than records.
        "(23822, 2, True)",
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
}

fn copy_package(from: &Path, to: &Path) {
    for name in ["data.csv", "datapackage.json"] {
        std::fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn each_package_leaves_with_its_certificate_and_what_is_changed_is_refused() {
    let store = tempfile::tempdir().unwrap();
    night(store.path(), "2");
    let mut audited = Vec::new();
    for entry in std::fs::read_dir(store.path().join("publications")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let folder = package(store.path(), &name).display().to_string();
        let proof = store.path().join("certificates").join(&name).join(common::DATE).join("certificate.json");
        let proof = proof.display().to_string();
        let found = common::json(&["extract", "audit", &folder, "--certificate", &proof, "--json"], 0);
        assert_eq!((&found["verdict"], &found["certified"]), (&"safe".into(), &true.into()), "{name}");
        audited.push((name, found["suppressed"].as_u64().unwrap() > 0));
    }
    audited.sort();
    let masked: Vec<bool> = audited.iter().map(|(_, m)| *m).collect();
    assert_eq!(masked, [true, true, false, false, true, true, true, true], "{audited:?}");

    let good = package(store.path(), "eleves-uai-niveau-sexe");
    let proof =
        store.path().join("certificates/eleves-uai-niveau-sexe").join(common::DATE).join("certificate.json");
    let text = std::fs::read_to_string(&proof).unwrap();
    let digit = text.rfind(|c: char| c.is_ascii_digit()).unwrap();
    let other = if &text[digit..=digit] == "9" { "8" } else { "9" };
    let changed = store.path().join("certificat.json");
    std::fs::write(&changed, format!("{}{other}{}", &text[..digit], &text[digit + 1..])).unwrap();
    let audit = |folder: &Path, certificate: Option<&Path>, code: i32| {
        let mut args = vec!["extract", "audit", folder.to_str().unwrap(), "--json"];
        args.extend(certificate.iter().flat_map(|c| ["--certificate", c.to_str().unwrap()]));
        common::json(&args, code)
    };
    assert_eq!(audit(&good, Some(&changed), 4)["verdict"], "unsafe");
    let csv = std::fs::read_to_string(good.join("data.csv")).unwrap();
    let line = csv.lines().find(|l| l.ends_with(";F") && l.contains(";_T;")).unwrap();
    let (before, value) = line.strip_suffix(";F").unwrap().rsplit_once(';').unwrap();
    let more = format!("{before};{};F", value.parse::<u64>().unwrap() + 1);
    let other = tempfile::tempdir().unwrap();
    copy_package(&good, other.path());
    std::fs::write(other.path().join("data.csv"), csv.replace(line, &more)).unwrap();
    assert_eq!(audit(other.path(), Some(&proof), 4)["verdict"], "unsafe");
    assert_eq!(audit(other.path(), None, 4)["verdict"], "unsafe");
}

#[test]
fn naive_masking_is_recomputed_by_the_audit() {
    let folder = tempfile::tempdir().unwrap();
    let field = |name: &str, role: &str, more: &str| {
        format!("{{\"name\":\"{name}\",\"type\":\"string\",\"cartulaire:role\":\"{role}\"{more}}}")
    };
    let fields = [
        field("uai", "dimension", ""),
        field("niveau", "dimension", ""),
        "{\"name\":\"eleves\",\"type\":\"integer\",\"cartulaire:role\":\"measure\",\"cartulaire:additive\":true}".into(),
        field("eleves_statut", "status", ""),
    ];
    let descriptor = format!(
        "{{\"name\":\"x\",\"resources\":[{{\"path\":\"data.csv\",\"schema\":{{\"fields\":[{}]}}}}]}}",
        fields.join(",")
    );
    std::fs::write(folder.path().join("datapackage.json"), descriptor).unwrap();
    let rows = "uai;niveau;eleves;eleves_statut\nA;6EME;;C\nA;5EME;20;F\nA;_T;23;F\nB;6EME;12;F\nB;5EME;9;F\nB;_T;21;F\n_T;6EME;15;F\n_T;5EME;29;F\n_T;_T;44;F\n";
    std::fs::write(folder.path().join("data.csv"), format!("\u{feff}{rows}")).unwrap();
    let found = common::json(&["extract", "audit", folder.path().to_str().unwrap(), "--json"], 4);
    assert_eq!(found["exposed"], serde_json::json!([{"cell": "niveau=6EME, uai=A", "lower": 3, "upper": 3}]));
}

#[test]
fn a_second_table_of_the_same_pupils_is_refused_then_passes_with_the_proposal() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("jeux")).unwrap();
    let config = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
    let samples = format!("\"{}/samples/", root().display());
    let config = config.replace("\"samples/", &samples).replace("var/store", "entrepot");
    let path = folder.path().join("cartulaire.toml");
    std::fs::write(&path, format!("{config}\n[datasets]\npath = \"jeux\"\n")).unwrap();
    let own = folder.path().join("jeux/eleves-uai-niveau.toml");
    let shipped = std::fs::read_to_string(root().join("jobs/datasets/eleves-uai-niveau.toml")).unwrap();
    std::fs::write(&own, shipped.replace("conflict = \"keep_masks\"", "conflict = \"refuse\"")).unwrap();
    let config = path.display().to_string();
    let out = common::run(&["run", "nightly", "--date", common::DATE, "--config", &config], 4);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let refused = said.lines().find(|l| l.contains("RELEASES_DISCLOSE")).unwrap();
    for want in [
        "« eleves-uai-niveau-sexe 2026-01-12 »",
        "« eleves-uai-niveau 2026-01-12 »",
        "possible : garder les masques",
    ] {
        assert!(refused.contains(want), "{want}: {refused}");
    }
    let published = folder.path().join("entrepot/publications/eleves-uai-niveau");
    assert!(!published.exists());
    std::fs::write(&own, shipped).unwrap();
    common::run(&["extract", "eleves-uai-niveau", "--date", common::DATE, "--config", &config], 0);
    assert_eq!(std::fs::read_dir(published).unwrap().count(), 1);
}

#[test]
fn pupils_gone_between_two_nights_refuse_the_second_release_which_passes_with_the_proposal() {
    let dataset = "eleves-uai-niveau";
    let own = Own::new(dataset);
    own.conflict(dataset, "refuse");
    let night = |date: &str, code: i32| {
        let out = common::run(&["run", "nightly", "--date", date, "--config", &own.config], code);
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    night("2026-01-12", 0);
    // 0.3 % of the pupils.
    assert_eq!(own.some_leave(333), 6);
    let said = night("2026-01-13", 4);
    let refused = said.lines().find(|l| l.contains("RELEASES_DISCLOSE")).unwrap();
    for want in [
        "« eleves-uai-niveau 2026-01-12 »",
        "« eleves-uai-niveau 2026-01-13 »",
        "garder les masques antérieurs",
        "publier à la date de référence 2026-01-10",
    ] {
        assert!(refused.contains(want), "{want}: {refused}");
    }
    let published = own.folder.path().join("var/store/publications").join(dataset);
    assert_eq!(std::fs::read_dir(&published).unwrap().count(), 1);
    // Counted at the reference date, the figures are those already published: nothing new leaves.
    let file = own.folder.path().join(format!("jeux/{dataset}.toml"));
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("years =", "reference = \"01-10\"\nyears =")).unwrap();
    common::run(&["extract", dataset, "--date", "2026-01-13", "--config", &own.config], 0);
    assert_eq!(std::fs::read_dir(&published).unwrap().count(), 1);
    own.conflict(dataset, "keep_masks");
    common::run(&["extract", dataset, "--date", "2026-01-13", "--config", &own.config], 0);
    assert_eq!(std::fs::read_dir(&published).unwrap().count(), 2);
    let page = std::fs::read_to_string(published.join("2026-01-13/METHODOLOGIE-anonymisation.md")).unwrap();
    let link = page.lines().find(|l| l.starts_with("| eleves-uai-niveau 2026-01-12 |")).unwrap();
    assert!(link.ends_with("| 0 |"), "{link}");
}

/// Persons, amounts rounded person by person, and means, of the store's rows, by DuckDB; the published file
/// must say the same wherever it says something, and nothing of a few.
const AMOUNTS: &str = r#"
import csv, duckdb, pathlib, sys
store, data = sys.argv[1:]
rows = duckdb.sql(f"select left(uai, 3), nature_droit, coalesce(bourse_echelon::varchar, '_Z'), id_eleve, "
                  f"floor(sum(droit_net)::double + 0.5)::bigint from read_parquet('{store}/tables/crdc_droits/annee_scolaire=2025-2026/*/*.parquet') "
                  f"where nature_droit in ('DEMI_PENSION', 'INTERNAT') and trimestre = 1 group by all").fetchall()
shown = masked = 0
for r in csv.DictReader(open(data, encoding="utf-8-sig", newline=""), delimiter=";"):
    own = [row for row in rows if all(r[d] in ("_T", c) for d, c in zip(("departement", "nature", "echelon"), row))]
    persons, amount = len({row[3] for row in own}), sum(row[4] for row in own)
    for column, want in (("eleves", str(persons)), ("droit_net", str(amount))):
        assert r[column] in ("", want), (r, want)
    if r["droit_net"]:
        shown += 1
        first = max((row[4] for row in own), default=0)
        assert r["eleves"] and (persons == 0 or persons >= 5 and amount > 0 and first * 100 <= amount * 85), r
        assert r["droit_net_moyen_statut"] == "M" if persons == 0 else abs(float(r["droit_net_moyen"]) - amount / persons) < 0.006, r
    else:
        masked += 1
        assert r["droit_net_moyen_statut"] == "C" and r["droit_net_moyen"] == "", r
assert shown > 10 and masked > 10, (shown, masked)
"#;

#[test]
fn amounts_are_those_of_the_source_masked_where_few_make_them_and_leave_once() {
    let dataset = "demi-pension-droit-net-departement-bourse";
    let own = Own::new(dataset);
    let shipped = std::fs::read_to_string(root().join(format!("jobs/datasets/{dataset}.toml"))).unwrap();
    // The same without a dimension.
    let (head, rest) = shipped.split_once("[[dimension]]\nname = \"nature\"").unwrap();
    let (_, rest) = rest.split_once("[[dimension]]").unwrap();
    let other = format!("{head}[[dimension]]{rest}").replace(dataset, "autres-montants");
    std::fs::write(own.folder.path().join("jeux/autres.toml"), other).unwrap();
    common::run(&["run", "nightly", "--date", common::DATE, "--config", &own.config], 0);
    let store = own.folder.path().join("var/store");
    if let Some(python) = python() {
        let data = package(&store, dataset).join("data.csv");
        let out = Command::new(&python).args(["-c", AMOUNTS]).args([&store, &data]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let extract = |dataset: &str, code: i32| {
        let out = common::run(&["extract", dataset, "--date", "2026-01-13", "--config", &own.config], code);
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    // The same file says nothing more; another one of the same persons would.
    extract(dataset, 0);
    let text = std::fs::read_to_string(&own.config).unwrap();
    let text = text.replace(&format!("only = [\"{dataset}\"]"), "only = [\"autres-montants\"]");
    std::fs::write(&own.config, text).unwrap();
    assert!(extract("autres-montants", 4).contains("AMOUNTS_REPEATED"));
}

/// The shipped table by school and level, with another method; a key that its owner alone reads.
fn changed(method: &str) -> Own {
    let dataset = "eleves-uai-niveau";
    let own = Own::new(dataset);
    let shipped = std::fs::read_to_string(root().join(format!("jobs/datasets/{dataset}.toml"))).unwrap();
    let text = shipped
        .replace("kind = \"count\"", "kind = \"count\"\ncontributor = \"ENTPersonJointure\"")
        .replace("policy = \"eleves-5\"", &format!("policy = \"eleves-5\"\n{method}"));
    std::fs::write(own.folder.path().join("jeux/autre.toml"), text).unwrap();
    own
}

fn with_key(own: &Own, key: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = own.folder.path().join("cle");
    std::fs::write(&file, key).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = std::fs::read_to_string(&own.config).unwrap();
    if !text.contains("key_file") {
        std::fs::write(&own.config, text.replace("[datasets]\n", "[datasets]\nkey_file = \"cle\"\n"))
            .unwrap();
    }
}

/// Figures of a package by their codes.
fn figures(folder: &Path) -> std::collections::BTreeMap<String, i64> {
    let csv = std::fs::read_to_string(folder.join("data.csv")).unwrap();
    let row = |line: &str| {
        let (codes, figure) = line.strip_suffix(";F").unwrap().rsplit_once(';').unwrap();
        (codes.to_owned(), figure.parse().unwrap())
    };
    csv.lines().skip(1).map(row).collect()
}

fn run_in(own: &Own, date: &str, code: i32) -> String {
    let out = common::run(&["run", "nightly", "--date", date, "--config", &own.config], code);
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}

#[test]
fn changed_figures_need_a_key_stay_near_the_truth_and_alone_of_their_population() {
    let dataset = "eleves-uai-niveau";
    for (method, bound) in [("method = \"rounding\"\nbase = 10", 9), ("method = \"cell_key\"\nnoise = 6", 6)]
    {
        let own = changed(method);
        let run = |code: i32| run_in(&own, common::DATE, code);
        assert!(run(2).contains("key_file"), "{method}");
        with_key(&own, &[7; 8]);
        assert!(run(2).contains("trop court"), "{method}");
        with_key(&own, &[7; 40]);
        run(0);
        let store = own.folder.path().join("var/store");
        let folder = package(&store, dataset);
        let shown = figures(&folder);
        assert!(shown.len() > 50, "{method}");
        let audit = |folder: &Path, code: i32| {
            common::json(&["extract", "audit", folder.to_str().unwrap(), "--json"], code)
        };
        assert_eq!(audit(&folder, 0)["verdict"], "safe", "{method}");
        if let Some(python) = python() {
            let mut near = 0;
            for (codes, n) in true_values(&python, &store) {
                let (truth, shown) = (n.as_i64().unwrap(), shown.get(&codes).copied().unwrap_or(0));
                assert!((truth - shown).abs() <= bound, "{method}: {codes}");
                near += i32::from(truth != shown);
            }
            assert!(near > 20, "{method}");
        }
        if bound == 9 {
            // A row at nil would say that somebody is there.
            assert!(shown.values().all(|v| v % 10 == 0 && *v > 0));
            // A total that is no longer the sum of its parts.
            let other = tempfile::tempdir().unwrap();
            copy_package(&folder, other.path());
            let csv = std::fs::read_to_string(folder.join("data.csv")).unwrap();
            let total = shown["_T;_T"];
            let more = csv.replace(&format!("_T;_T;{total};F"), &format!("_T;_T;{};F", total + 10));
            std::fs::write(other.path().join("data.csv"), more).unwrap();
            assert_eq!(audit(other.path(), 4)["verdict"], "unsafe");
        }
        let page = std::fs::read_to_string(folder.join("METHODOLOGIE-anonymisation.md")).unwrap();
        assert!(page.contains("clé secrète") && !page.contains("est masquée"), "{page}");
        // Exact figures of the same persons would tell what was changed, and another key something of both.
        std::fs::remove_file(own.folder.path().join("jeux/autre.toml")).unwrap();
        let extract = || {
            let out = common::run(&["extract", dataset, "--date", "2026-01-13", "--config", &own.config], 4);
            String::from_utf8_lossy(&out.stdout).into_owned()
        };
        assert!(extract().contains("PERTURBED_PUBLISHED"), "{method}");
        let own = changed(method);
        with_key(&own, &[7; 40]);
        run_in(&own, common::DATE, 0);
        with_key(&own, &[8; 40]);
        assert!(run_in(&own, "2026-01-13", 4).contains("PERTURBED_REPEATED"), "{method}");
    }
}

#[test]
fn a_method_that_leaves_too_little_doubt_is_told_at_its_place() {
    for (method, want) in [
        ("method = \"rounding\"", "base, de 10"),
        ("method = \"rounding\"\nbase = 9", "base, de 10"),
        ("method = \"rounding\"\nbase = 4294967295", "base, de 10"),
        ("method = \"rounding\"\nbase = 10\nzeros = \"concealed\"\nattributes = [\"niveau\"]", "attributes"),
        ("method = \"rounding\"\nbase = 10\nnoise = 5", "base, de 10"),
        ("method = \"cell_key\"\nnoise = 3", "noise, de 4"),
        ("method = \"cell_key\"\nnoise = 11", "noise, de 4"),
        ("base = 10", "base et noise"),
        ("method = \"arrondi\"", "autre.toml:"),
    ] {
        let own = changed(method);
        let out = common::run(&["check", "--config", &own.config], 2);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains(want) && said.contains("autre.toml:"), "{method}: {said}");
    }
}

const ROWS: &str = r#"[dataset]
name = "eleves-lignes"
title = "Élèves, ligne à ligne"
description = "Élèves par établissement, niveau et bourse."
table = "ent_eleve"
years = "latest"

[join]
table = "ent_etablissement"
left = "ENTPersonStructRattach"
right = "ENTStructureJointure"
columns = ["ENTStructureUAI"]

[microdata]
allow_microdata = true
reason = "Étude inventée, convenue avec personne"
k = 5
l = 2
max_suppressed = 5

[[dimension]]
name = "uai"
column = "ENTStructureUAI"
title = "Établissement"
levels = [3]

[[dimension]]
name = "mef"
column = "ENTEleveMEF"
title = "MEF"
levels = [7, 3]

[[dimension]]
name = "boursier"
column = "ENTEleveBoursier"
title = "Boursier"
secret = true
"#;

#[test]
fn rows_of_persons_leave_only_with_a_reason_alike_and_alone() {
    let own = Own::new("eleves-lignes");
    let write = |text: &str| std::fs::write(own.folder.path().join("jeux/lignes.toml"), text).unwrap();
    for (old, new, want) in [
        ("allow_microdata = true", "allow_microdata = false", "lignes.toml:15:19"),
        ("\"Étude inventée, convenue avec personne\"", "\"oui\"", "écrivez pourquoi"),
        ("k = 5", "k = 2", "au moins 3"),
        ("l = 2\n", "", "donnez l"),
        ("secret = true\n", "", "colonnes sensibles"),
        (
            "column = \"ENTEleveMEF\"\ntitle = \"MEF\"\nlevels = [7, 3]",
            "column = \"ENTEleveMEF\"\ntitle = \"MEF\"\nsecret = true",
            "colonnes sensibles",
        ),
        ("levels = [7, 3]", "levels = [3, 7]", "de moins en moins"),
        ("column = \"ENTEleveMEF\"", "column = \"sn\"", "désigne une personne"),
        (
            "[microdata]",
            "[measure]\nname = \"n\"\ntitle = \"n\"\nkind = \"count\"\n\n[microdata]",
            "remplace [measure]",
        ),
    ] {
        let text = ROWS.replace(old, new);
        assert_ne!(text, ROWS, "{old}");
        write(&text);
        let out = common::run(&["check", "--config", &own.config], 2);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains(want), "{new}: {said}");
    }
    write(ROWS);
    common::run(&["run", "nightly", "--date", common::DATE, "--config", &own.config], 0);
    let store = own.folder.path().join("var/store");
    let folder = package(&store, "eleves-lignes");
    let csv = std::fs::read_to_string(folder.join("data.csv")).unwrap();
    let mut rows = csv.lines();
    assert_eq!(rows.next(), Some("\u{feff}uai;mef;boursier"));
    let mut classes: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for row in rows {
        let (known, secret) = row.rsplit_once(';').unwrap();
        classes.entry(known).or_default().push(secret);
    }
    assert!(classes.len() > 3, "{classes:?}");
    for (known, secrets) in &classes {
        let values: std::collections::BTreeSet<&&str> = secrets.iter().collect();
        assert!(secrets.len() >= 5 && values.len() >= 2, "{known}");
    }
    let page = std::fs::read_to_string(folder.join("METHODOLOGIE-anonymisation.md")).unwrap();
    assert!(page.contains("Étude inventée") && page.contains("| k-anonymat"), "{page}");
    if let Some(python) = python() {
        let out = Command::new(&python).args(["-c", FRICTIONLESS]).arg(&folder).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    common::run(&["extract", "audit", folder.to_str().unwrap()], 2);
    // What was published of these persons stays alone, under another name and with a better k too.
    let again = ROWS.replace("eleves-lignes", "autres-lignes").replace("k = 5", "k = 9");
    std::fs::write(own.folder.path().join("jeux/autres.toml"), again).unwrap();
    let config = std::fs::read_to_string(&own.config).unwrap();
    std::fs::write(
        &own.config,
        config.replace(
            "only = [\"eleves-lignes\"]",
            "only = [\"eleves-lignes\", \"autres-lignes\", \"eleves-uai-niveau\"]",
        ),
    )
    .unwrap();
    let extract = |dataset: &str, code: i32| {
        let out = common::run(&["extract", dataset, "--date", common::DATE, "--config", &own.config], code);
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    extract("eleves-lignes", 0);
    assert!(extract("eleves-uai-niveau", 4).contains("MICRODATA_PUBLISHED"));
    assert!(extract("autres-lignes", 4).contains("MICRODATA_REPEATED"));
}
