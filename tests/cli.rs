//! What people meet: exit codes, French texts, faults with their place.

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

use common::{DATE, cartulaire, json, night, root, run};
use std::path::Path;

fn stderr_of(args: &[&str], code: i32) -> String {
    let out = run(args, code);
    assert!(out.stdout.is_empty(), "results go to stdout, faults to stderr");
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn exit_codes_are_those_of_the_manual() {
    let nowhere = tempfile::tempdir().unwrap();
    let at = nowhere.path().join("none").display().to_string();
    run(&["--help"], 0);
    run(&["--version"], 0);
    run(&[], 2);
    run(&["run", "nightly", "--date", "2026-02-30"], 2);
    for args in [
        &["status"][..],
        &["history"],
        &["journal", "verify"],
        &["elimination", "list"],
        &["seda", "pack"],
        &["retention", "simulate", "--as-of", DATE],
    ] {
        let args: Vec<&str> = args.iter().copied().chain(["--store", &at]).collect();
        assert!(stderr_of(&args, 10).contains("cartulaire init"));
    }
}

#[test]
fn quarantine_is_exit_3_only_when_asked_and_only_what_is_built_is_in_the_help() {
    let store = tempfile::tempdir().unwrap();
    let at = store.path().display().to_string();
    run(&["run", "nightly", "--date", DATE, "--store", &at, "--fail-on-quarantine", "--quiet"], 3);
    run(&["run", "nightly", "--date", DATE, "--store", &at, "--quiet"], 0);
    let help = String::from_utf8(run(&["--help"], 0).stdout).unwrap();
    for absent in ["backfill", "explain", "lineage", "Usage:", "Print", "Commands:"] {
        assert!(!help.contains(absent), "{absent}");
    }
}

#[test]
fn usage_faults_are_told_in_french() {
    for (args, want) in [
        (&["foo"][..], "commande inconnue « foo »"),
        (&["run"], "il manque : <TÂCHE>"),
        (&["run", "nightli"], "tâche inconnue « nightli » ; tâches : nightly"),
        (&["run", "nightly", "--date", "12/01/2026"], "date réelle aaaa-mm-jj attendue"),
        (&["validate", "foo", "x.csv"], "source inconnue « foo » ; admises : crdc, dnma, ent, scope"),
        (
            &["extract", "foo"],
            "jeu inconnu « foo » ; jeux : demi-pension-departement-bourse, demi-pension-droit-net-departement-bourse, dnma-visites-academie-mois-appareil,",
        ),
    ] {
        assert!(stderr_of(args, 2).contains(want), "{want}: {}", stderr_of(args, 2));
    }
}

#[test]
fn a_job_file_with_a_typo_is_told_with_file_line_column_and_accepted_names() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("jobs")).unwrap();
    let text = std::fs::read_to_string(root().join("jobs/definitions/nightly.toml")).unwrap();
    std::fs::write(folder.path().join("jobs/nuit.toml"), text.replace("catch_up =", "catchup =")).unwrap();
    std::fs::write(folder.path().join("cartulaire.toml"), "[jobs]\npath = \"jobs\"\n").unwrap();
    let config = folder.path().join("cartulaire.toml").display().to_string();
    let said = stderr_of(&["check", "--config", &config], 2);
    let place = format!("{}:8:1 : clé inconnue « catchup »", folder.path().join("jobs/nuit.toml").display());
    assert!(said.contains(&place) && said.contains("« catch_up »"), "{said}");
}

#[test]
fn check_tells_the_faults_of_every_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "cartulaire.toml",
        "[contracts]\npath = \"c\"\n[datasets]\npath = \"d\"\n[retention]\noverlay = \"o.toml\"\n",
    );
    write("c/a.toml", "[table]\nname = \"a\"\ntitre = \"x\"\n");
    write("c/b.toml", "[table\n");
    write(
        "o.toml",
        "[[verification]]\nrule = \"NOPE\"\nverified_by = \"a\"\nverified_on = \"2025-01-01\"\ntext_read = \"b\"\n",
    );
    let config = folder.path().join("cartulaire.toml").display().to_string();
    let out = run(&["check", "--json", "--config", &config], 2);
    let report: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let found: Vec<(String, u64)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                Path::new(f["file"].as_str().unwrap()).file_name().unwrap().to_string_lossy().into_owned(),
                f["line"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(found, [("a.toml".to_owned(), 3), ("b.toml".to_owned(), 1), ("o.toml".to_owned(), 2)]);
}

#[test]
fn a_contract_of_ones_own_brings_a_table_without_code() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("contracts")).unwrap();
    std::fs::create_dir(at("inbox")).unwrap();
    std::fs::write(
        at("contracts/cantine.toml"),
        "[table]\nname = \"cantine\"\ntitle = \"Repas\"\ndescription = \"Un repas.\"\nsource = \"cantine\"\nrecord_class = \"cantine\"\nkey = [\"id\"]\nschool_year_from = \"jour\"\n\n[input]\nformat = \"csv\"\nseparator = \",\"\nfile_name = '(?<delivery>cantine_(?<date>[0-9]{8}))\\.csv'\n\n[[column]]\nname = \"id\"\ntype = \"text\"\nrequired = true\npersonal = \"none\"\n\n[[column]]\nname = \"jour\"\ntype = \"date\"\nrequired = true\npersonal = \"none\"\n",
    )
    .unwrap();
    std::fs::write(at("inbox/cantine_20260110.csv"), "id,jour\n1,05/01/2026\n2,06/01/2026\n").unwrap();
    std::fs::write(at("cartulaire.toml"), "[store]\npath = \"store\"\ncreate = true\n[inbox]\npath = \"inbox\"\n[contracts]\npath = \"contracts\"\n").unwrap();
    let config = at("cartulaire.toml").display().to_string();
    let outcome = json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 0);
    assert_eq!((&outcome["status"], &outcome["steps"][1]["accepted"]), (&"ok".into(), &2.into()));
    let simulated =
        json(&["retention", "simulate", "--as-of", "2126-01-01", "--config", &config, "--json"], 0);
    assert_eq!(simulated["by_decision"], serde_json::json!([{"decision": "keep_no_rule", "count": 2}]));
}

#[test]
fn ingest_enters_one_delivery_and_says_when_it_was_already_there() {
    let store = tempfile::tempdir().unwrap();
    let at = store.path().display().to_string();
    let file = "samples/night/CRDC_99_20260105_T1.csv";
    let first = json(&["ingest", "crdc", file, "--date", DATE, "--store", &at, "--json"], 0);
    assert_eq!((&first["steps"][0]["accepted"], &first["status"]), (&1.into(), &"ok".into()));
    let second = run(&["ingest", "crdc", file, "--date", DATE, "--store", &at], 0);
    assert!(String::from_utf8_lossy(&second.stdout).contains("Rien à faire"));
    assert!(stderr_of(&["ingest", "ent", file, "--store", &at], 2).contains("source « crdc »"));
}

#[test]
fn a_refused_delivery_is_exit_4_and_changes_no_table() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("CRDC_99_20260105_T1.csv");
    let text = std::fs::read_to_string(root().join("samples/night/CRDC_99_20260105_T1.csv"));
    let text = text.unwrap_or_else(|_| {
        String::from_utf8_lossy(&std::fs::read(root().join("samples/night/CRDC_99_20260105_T1.csv")).unwrap())
            .into_owned()
    });
    std::fs::write(&file, text.replace("DEMI_PENSION", "DEMIPENSION")).unwrap();
    let at = folder.path().join("store").display().to_string();
    let file = file.display().to_string();
    let outcome = json(&["ingest", "crdc", &file, "--date", DATE, "--store", &at, "--json"], 4);
    assert_eq!(outcome["status"], "gated");
    let ingest = &outcome["steps"][1];
    assert_eq!((ingest["accepted"].as_u64(), ingest["read"] == ingest["excluded"]), (Some(0), true));
    assert_eq!(json(&["status", "--store", &at, "--json"], 0)["tables"], serde_json::json!([]));
}

#[test]
fn an_elimination_list_can_be_exported_and_a_second_proposal_is_the_same_list() {
    let store = tempfile::tempdir().unwrap();
    let at = store.path().display().to_string();
    night(store.path(), "2");
    let lists = json(&["elimination", "list", "--store", &at, "--json"], 0);
    let id = lists["lists"][0]["id"].as_str().unwrap().to_owned();
    let out = tempfile::tempdir().unwrap();
    let to = out.path().display().to_string();
    json(&["elimination", "export", &id, "--out", &to, "--store", &at, "--json"], 0);
    let mut names: Vec<String> = std::fs::read_dir(out.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["bordereau.pdf", "bordereau.xlsx", "list.json", "list.parquet"]);
    run(&["elimination", "export", &id, "--out", &to, "--store", &at], 2);
    run(&["elimination", "propose", "--date", "2026-02-01", "--store", &at, "--quiet"], 0);
    assert_eq!(json(&["elimination", "list", "--store", &at, "--json"], 0), lists);
}

/// A copy of the night's inbox that a test may change, and a configuration that points at it.
fn own_inbox() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(&inbox).unwrap();
    for entry in std::fs::read_dir(root().join("samples/night")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, inbox.join(path.file_name().unwrap())).unwrap();
    }
    let text = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
    let text = text
        .replace("\"samples/night\"", "\"inbox\"")
        .replace("\"samples/", &format!("\"{}/samples/", root().display()));
    std::fs::write(folder.path().join("cartulaire.toml"), text).unwrap();
    let config = folder.path().join("cartulaire.toml").display().to_string();
    (folder, config)
}

#[test]
fn a_file_twice_in_the_inbox_is_received_once_and_equal_bytes_of_two_exports_are_two_files() {
    let (folder, config) = own_inbox();
    let inbox = folder.path().join("inbox");
    std::fs::create_dir(inbox.join("copie")).unwrap();
    std::fs::copy(inbox.join("CRDC_99_20260105_T1.csv"), inbox.join("copie/CRDC_99_20260105_T1.csv"))
        .unwrap();
    // A nomenclature file that did not change from one export to the next.
    let name = |date: &str| inbox.join(format!("ENT2DEX-ENT99_Complet_{date}_MefEducNat_0000.xml"));
    std::fs::copy(name("20250705"), name("20260110")).unwrap();
    let outcome = json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 0);
    let receive = &outcome["steps"][0];
    let n = |k: &str| receive[k].as_u64().unwrap();
    assert_eq!((n("read"), n("accepted"), n("excluded")), (28, 27, 1));
    let status = json(&["status", "--config", &config, "--json"], 0);
    let mef = status["tables"].as_array().unwrap().iter().filter(|t| t["table"] == "ent_mef").count();
    assert_eq!(mef, 2, "both school years have their list");
    assert_eq!(
        json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 0)["nothing_to_do"],
        true
    );
}

#[test]
fn a_delivery_that_waits_for_a_file_opens_no_new_run_until_it_is_whole() {
    let (folder, config) = own_inbox();
    let file = |suffix: &str| folder.path().join(format!("inbox/SCOPE_99_20260110_services.csv{suffix}"));
    std::fs::rename(file(""), file(".part")).unwrap();
    let first = json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 0);
    let n = |v: &serde_json::Value, k: &str| v["steps"][0][k].as_u64().unwrap();
    assert_eq!((n(&first, "accepted"), n(&first, "rejected"), n(&first, "excluded")), (22, 1, 4));
    assert_eq!(
        json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 0)["nothing_to_do"],
        true
    );
    std::fs::rename(file(".part"), file("")).unwrap();
    let second = json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 0);
    assert_eq!((second["run_id"].as_str(), n(&second, "accepted")), (Some("nightly-2026-01-12.2"), 5));
}

#[test]
fn a_cut_journal_and_changed_table_bytes_are_found() {
    let store = tempfile::tempdir().unwrap();
    let at = store.path().display().to_string();
    night(store.path(), "2");
    let copy = tempfile::tempdir().unwrap();
    let cut = copy.path().display().to_string();
    std::fs::copy(store.path().join("ledger.sqlite"), copy.path().join("ledger.sqlite")).unwrap();
    let db = rusqlite::Connection::open(copy.path().join("ledger.sqlite")).unwrap();
    db.execute_batch("DROP TRIGGER journal_no_delete; DELETE FROM journal WHERE seq > 20;").unwrap();
    drop(db);
    assert_eq!(json(&["journal", "verify", "--store", &cut, "--json"], 4)["first_broken"], 21);
    let part = std::fs::read_dir(store.path().join("tables/dnma_profils/annee_scolaire=2024-2025"))
        .unwrap()
        .next()
        .unwrap();
    let part = part.unwrap().path().join("part-00000.parquet");
    let mut bytes = std::fs::read(&part).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let said = stderr_of(&["run", "nightly", "--date", "2026-01-13", "--store", &at], 1);
    assert!(said.contains("n'a plus les octets ingérés"), "{said}");
}

#[test]
fn an_emptied_ledger_destroys_nothing() {
    let store = tempfile::tempdir().unwrap();
    let at = store.path().display().to_string();
    night(store.path(), "2");
    let before = common::tree(store.path());
    std::fs::write(store.path().join("ledger.sqlite"), "").unwrap();
    for file in ["ledger.sqlite-wal", "ledger.sqlite-shm"] {
        let _ = std::fs::remove_file(store.path().join(file));
    }
    assert!(
        stderr_of(&["status", "--store", &at], 1)
            .contains("est vide alors que l'entrepôt contient des fichiers")
    );
    assert_eq!(common::tree(store.path()), before);
}

#[test]
fn a_dataset_may_not_publish_who_people_are() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("d")).unwrap();
    std::fs::write(folder.path().join("cartulaire.toml"), "[datasets]\npath = \"d\"\n").unwrap();
    let config = folder.path().join("cartulaire.toml").display().to_string();
    let shipped = std::fs::read_to_string(root().join("jobs/datasets/eleves-uai-niveau.toml")).unwrap();
    for (old, new, want) in [
        ("ENTEleveNivFormation", "givenName", "désigne une personne"),
        ("ENTEleveNivFormation", "ENTEleveBoursier", "est sensible"),
        ("ENTEleveNivFormation", "ENTEleveGroupes", "ne peut pas être une dimension"),
        (
            "[protection]\npolicy = \"eleves-5\"\nconflict = \"keep_masks\"\n",
            "",
            "[protection] est obligatoire",
        ),
        ("policy = \"eleves-5\"", "threshold = 1", "entre 2 et"),
        ("policy = \"eleves-5\"", "policy = \"eleves-5\"\nattributes = [\"niveau\"]", "zeros"),
        (
            "policy = \"eleves-5\"",
            "policy = \"eleves-5\"\nattributes = [\"classe\"]",
            "n'est pas une dimension",
        ),
        (
            "policy = \"eleves-5\"",
            "policy = \"inconnue\"",
            "citez une politique (policy : audience-5, eleves-5, montants-5)",
        ),
        (
            "policy = \"eleves-5\"",
            "policy = \"eleves-5\"\nthreshold = 5\nsince = \"hier\"",
            "since est un jour",
        ),
        ("name = \"niveau\"", "name = \"niveau\"\nprefix = 0", "prefix vaut au moins 1"),
        ("name = \"niveau\"", "name = \"eleves_statut\"", "nomme deux colonnes"),
        ("name = \"niveau\"", "name = \"=niveau\"", "une colonne se nomme"),
        ("years = \"latest\"", "years = \"latest\"\nmargins = [[\"uai\"], [\"niveau\"]]", "ajoutez-le"),
        (
            "kind = \"count\"",
            "kind = \"count\"\ncontributor = \"ENTEleveMEF\"",
            "ne désigne pas une personne",
        ),
        ("name = \"niveau\"", "name = \"niveau\"\ncoarser = \"niveau\"", "écrite juste avant"),
        ("right = \"ENTStructureJointure\"", "right = \"ENTStructureUAI\"", "n'est pas la clé"),
        ("name = \"niveau\"", "name = \"uai\"", "nomme deux colonnes"),
    ] {
        let text = shipped.replace(old, new);
        assert_ne!(text, shipped, "{old}");
        std::fs::write(folder.path().join("d/x.toml"), text).unwrap();
        let said = stderr_of(&["check", "--config", &config], 2);
        assert!(said.contains(want), "{new}: {said}");
    }
}

#[test]
fn a_corrected_delivery_of_the_same_date_replaces_records_instead_of_doubling_them() {
    let (folder, config) = own_inbox();
    let inbox = folder.path().join("inbox");
    json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 0);
    for part in ["Eleve", "EtabEducNat"] {
        let file = inbox.join(format!("ENT2DEX-ENT99_Complet_20260110_{part}_0000.xml"));
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("Exempleville", "Exemplebourg").replace("1 rue", "2 rue"))
            .unwrap();
    }
    let second = json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 0);
    assert_eq!(second["run_id"], "nightly-2026-01-12.2");
    assert_eq!(second["steps"][0]["accepted"], 2);
    let publications = folder.path().join("var/store/publications/eleves-uai-niveau");
    assert_eq!(
        std::fs::read_dir(publications).unwrap().count(),
        1,
        "the same pupils give the same table: no new version"
    );
}

#[test]
fn a_refused_dataset_is_exit_4_and_the_rest_of_the_night_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let (night, inbox) = (root().join("samples/night"), folder.path().join("inbox"));
    std::fs::create_dir(&inbox).unwrap();
    std::fs::create_dir(folder.path().join("datasets")).unwrap();
    for name in ["fr-en-dnma-par-uai-profils_2025-05-05.csv", "CRDC_99_20260105_T1.csv"] {
        std::fs::copy(night.join(name), inbox.join(name)).unwrap();
    }
    // A pupil owes for several natures: he would count in several cells.
    let text = std::fs::read_to_string(root().join("jobs/datasets/eleves-uai-niveau.toml")).unwrap();
    let (head, _) = text.split_once("[join]").unwrap();
    let text = format!(
        "{}\n[[dimension]]\nname = \"uai\"\ncolumn = \"uai\"\ntitle = \"UAI\"\n\n[[dimension]]\nname = \"nature\"\ncolumn = \"nature_droit\"\ntitle = \"Nature\"\n\n[measure]\nname = \"droits\"\ntitle = \"Droits\"\nkind = \"count\"\ncontributor = \"id_eleve\"\n\n[protection]\nthreshold = 5\n",
        head.replace("ent_eleve", "crdc_droits")
    );
    std::fs::write(folder.path().join("datasets/eleves.toml"), text).unwrap();
    let config = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
    let config = config
        .replace("\"samples/night\"", "\"inbox\"")
        .replace("\"samples/", &format!("\"{}/samples/", root().display()));
    std::fs::write(
        folder.path().join("cartulaire.toml"),
        format!("{config}\n[datasets]\npath = \"datasets\"\n"),
    )
    .unwrap();
    let config = folder.path().join("cartulaire.toml").display().to_string();
    let outcome = json(&["run", "nightly", "--date", DATE, "--config", &config, "--json"], 4);
    assert_eq!(outcome["status"], "gated");
    let names: Vec<&str> =
        outcome["steps"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names.last(), Some(&"package"));
    let published = folder.path().join("var/store/publications");
    let mut published: Vec<String> = std::fs::read_dir(published)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    published.sort();
    assert_eq!(
        published,
        [
            "demi-pension-departement-bourse",
            "demi-pension-droit-net-departement-bourse",
            "dnma-visites-academie-semaine-profil",
            "dnma-visites-uai-mois-profil"
        ]
    );
    run(&["extract", "eleves-uai-niveau", "--date", DATE, "--config", &config, "--quiet"], 4);
}

#[test]
fn completions_are_written_for_the_usual_shells() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(run(&["completions", shell], 0).stdout.len() > 1000);
    }
    let out = cartulaire(&["completions", "nope"]).output().unwrap();
    assert_eq!(out.status.code(), Some(2));
}

/// The commands that the README gives are those that the tests and CI run.
#[test]
fn the_readme_gives_the_two_commands() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    for command in ["cargo run --locked -- run nightly --date 2026-01-12", "cargo test --locked --workspace"]
    {
        assert!(readme.contains(command), "{command}");
    }
    let ci = std::fs::read_to_string(root().join(".ci/run")).unwrap();
    assert!(ci.contains("cargo test --locked --workspace"));
}
