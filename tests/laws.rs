//! Laws of validation: the order of rows says nothing, threads change no byte, no input makes it fall.

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

use arrow::array::AsArray;
use cartulaire_engine::contract::Contract;
use cartulaire_engine::domain::Calendar;
use cartulaire_engine::nomenclature::Nomenclatures;
use cartulaire_engine::source::{Delivered, Limits, open};
use common::{cartulaire, files, root};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const CONTRACT: &str = r#"
[table]
name = "essai"
title = "Essai"
description = "Lignes inventées."
source = "essai"
record_class = "essai"
key = ["code"]
school_year_from = "jour"

[input]
format = "csv"

[gate]
max_rejected_share = 1.0

[[column]]
name = "code"
type = "text"
required = true
personal = "none"

[[column]]
name = "jour"
type = "date"
date_format = "yyyy-mm-dd"
personal = "none"

[[column]]
name = "nombre"
type = "integer"
min = 0
personal = "none"

[[column]]
name = "plafond"
type = "integer"
personal = "none"

[[rule]]
name = "sous_plafond"
sql = "nombre <= plafond"
message = "le nombre dépasse son plafond"
"#;

fn validate(folder: &Path, rows: &[String], threads: &str, out: &str) -> Value {
    let (file, contract) = (folder.join("essai.csv"), folder.join("essai.toml"));
    std::fs::write(&contract, CONTRACT).unwrap();
    std::fs::write(&file, format!("code;jour;nombre;plafond\n{}\n", rows.join("\n"))).unwrap();
    let out = folder.join(out).display().to_string();
    let (file, contract) = (file.display().to_string(), contract.display().to_string());
    let args = [
        "validate",
        "essai",
        &file,
        "--contract",
        &contract,
        "--out",
        &out,
        "--threads",
        threads,
        "--date",
        "2026-01-12",
        "--json",
    ];
    let said = cartulaire(&args).output().unwrap();
    serde_json::from_slice(&said.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)))
}

fn accepted(folder: &Path) -> Vec<String> {
    let mut out = Vec::new();
    for path in files(&folder.join("accepted")) {
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path).unwrap())
            .unwrap()
            .build()
            .unwrap();
        for batch in reader {
            let batch = batch.unwrap();
            let code = batch.column_by_name("code").unwrap().as_string::<i32>().clone();
            let n =
                batch.column_by_name("nombre").unwrap().as_primitive::<arrow::datatypes::Int64Type>().clone();
            out.extend(
                (0..batch.num_rows()).map(|i| format!("{}={:?}", code.value(i), n.iter().nth(i).unwrap())),
            );
        }
    }
    out.sort();
    out
}

fn row() -> impl Strategy<Value = String> {
    let day = prop_oneof![Just("2025-10-01"), Just("2026-01-05"), Just("31/02/2025"), Just("")];
    (
        "[A-F]{0,2}",
        day,
        prop_oneof![
            Just("1".to_owned()),
            Just("-3".to_owned()),
            Just("9".to_owned()),
            Just("12,5".to_owned())
        ],
        0..10_i64,
    )
        .prop_map(|(code, day, n, max)| format!("{code};{day};{n};{max}"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, ..ProptestConfig::default() })]
    #[test]
    fn any_permutation_of_rows_gives_the_same_accepted_set(rows in proptest::collection::vec(row(), 1..40), seed in any::<u64>()) {
        let work = tempfile::tempdir().unwrap();
        let first = validate(work.path(), &rows, "2", "a");
        let mut mixed = rows.clone();
        let mut state = seed | 1;
        for i in (1..mixed.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            mixed.swap(i, (state >> 33) as usize % (i + 1));
        }
        let second = validate(work.path(), &mixed, "2", "b");
        prop_assert_eq!(&first["files"][0]["records"], &second["files"][0]["records"]);
        prop_assert_eq!(&first["by_code"], &second["by_code"]);
        prop_assert_eq!(accepted(&work.path().join("a")), accepted(&work.path().join("b")));
    }
}

#[test]
fn a_year_of_which_nothing_is_kept_leaves_no_half_file() {
    let work = tempfile::tempdir().unwrap();
    let rows = ["B;2025-10-01;1;1", "B;2025-10-01;1;2", "C;2026-10-01;1;1"].map(str::to_owned);
    let said = validate(work.path(), &rows, "2", "out");
    assert_eq!(said["files"][0]["records"]["accepted"], 1);
    assert_eq!(accepted(&work.path().join("out")), ["C=Some(1)"]);
}

#[test]
fn one_thread_and_two_write_the_same_bytes_over_many_runs_of_records() {
    let work = tempfile::tempdir().unwrap();
    let rows: Vec<String> = (0..300_000_u32)
        .map(|i| format!("C{};2025-10-{:02};{};{}", i % 299_000, i % 28 + 1, i % 97, 200 - i % 7))
        .collect();
    let one = validate(work.path(), &rows, "1", "one");
    let two = validate(work.path(), &rows, "2", "two");
    assert_eq!(one["by_code"], two["by_code"]);
    assert_eq!(one["findings"], two["findings"]);
    let records = &one["files"][0]["records"];
    assert_eq!((records["read"].as_u64(), records["rejected"].as_u64()), (Some(300_000), Some(2_000)));
    let (a, b) = (files(&work.path().join("one")), files(&work.path().join("two")));
    assert_eq!(a.len(), b.len());
    assert!(a.len() >= 2);
    for (a, b) in a.iter().zip(&b) {
        assert!(std::fs::read(a).unwrap() == std::fs::read(b).unwrap(), "{}", a.display());
    }
}

/// Reads to the end; what matters is that it ends, and that the runs are as long as they say.
fn drain(contracts: &[&Contract], bytes: &[u8]) {
    let limits = Limits { record_bytes_max: 1 << 16, batch_records: 64, ..Limits::default() };
    let file = Delivered { name: "f", input: Box::new(bytes), path: None, delta: false };
    let mut reader = open(contracts, file, limits);
    while let Some(chunk) = reader.next_chunk().unwrap() {
        let batch = chunk.parse();
        let contract = contracts[batch.table];
        assert_eq!(batch.columns.len(), contract.columns.len());
        assert!(batch.columns.iter().all(|c| c.len() == batch.len()));
    }
    reader.finish();
}

/// What files of each form look like, cut in pieces to be put together in any order.
fn pieces() -> Vec<&'static str> {
    vec![
        "<?xml version=\"1.0\" encoding=\"ISO-8859-15\"?>",
        "<!DOCTYPE x [<!ENTITY a \"b\">]>",
        "<ficAlimMENESR>",
        "</ficAlimMENESR>",
        "<addRequest>",
        "</addRequest>",
        "<modifyRequest>",
        "<operationalAttributes>",
        "<attr name=\"sn\">",
        "</attr>",
        "<value>",
        "</value>",
        "<value/>",
        "<identifier><id>1</id></identifier>",
        "<attributes>",
        "</attributes>",
        "<!-- c -->",
        "<![CDATA[x]]>",
        "&amp;",
        "&#0;",
        "&x;",
        "<BEE_ELEVES VERSION=\"3.0\">",
        "<DONNEES><ELEVES><ELEVE ELEVE_ID=\"1\">",
        "</ELEVE>",
        "<NOM_DE_FAMILLE>",
        "é",
        "\u{0}",
        "\u{FEFF}",
        "uai;date",
        ";",
        "\"",
        "\n",
        "\r\n",
        "|",
        "{\"a\":1}",
        "{",
        "[1",
        "debutsemaine",
        "visites_eleve",
        "0750000T",
        "31/02/2025",
    ]
}

fn contracts() -> Vec<Vec<Contract>> {
    let all = Contract::builtin().unwrap();
    let named = |n: &str| all.iter().find(|c| c.name == n).unwrap().clone();
    let roots: Vec<Contract> = all.iter().filter(|c| c.name.starts_with("siecle_eleves")).cloned().collect();
    let mut json = named("scope_enseignants");
    json.input.format = cartulaire_engine::contract::Format::NdJson;
    vec![
        vec![named("ent_eleve")],
        roots,
        vec![named("scope_seances")],
        vec![named("dnma_profils")],
        vec![json],
    ]
}

fn hostile(cases: u32) {
    let forms = contracts();
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let piece = prop_oneof![
        4 => proptest::sample::select(pieces()).prop_map(|p| p.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..12),
    ];
    let input = proptest::collection::vec(piece, 0..24).prop_map(|p| p.concat());
    proptest!(config, |(bytes in input)| {
        for form in &forms {
            let contracts: Vec<&Contract> = form.iter().collect();
            drain(&contracts, &bytes);
        }
        let (tables, _) = Nomenclatures::from_files(&[("n_mef.csv".to_owned(), bytes.clone())]);
        let _ = tables.table("N_MEF").map(|t| t.len());
        let _ = Calendar::load("c", &String::from_utf8_lossy(&bytes));
        let _ = Contract::parse("c", &String::from_utf8_lossy(&bytes));
    });
}

#[test]
fn no_bytes_make_a_reader_fall() {
    hostile(3_000);
}

/// `cargo test --release --test laws -- --ignored`: a few minutes.
#[test]
#[ignore = "a hundred thousand inputs take minutes"]
fn a_hundred_thousand_inputs_make_no_reader_fall() {
    hostile(100_000);
}

#[test]
fn every_shipped_contract_has_its_exports() {
    let names: BTreeSet<String> = Contract::builtin().unwrap().into_iter().map(|c| c.name).collect();
    for name in names {
        for form in ["table-schema", "json-schema", "dictionary"] {
            let out = cartulaire(&["contract", "export", &name, "--as", form])
                .current_dir(root())
                .output()
                .unwrap();
            assert_eq!(out.status.code(), Some(0), "{name} {form}");
            let text = String::from_utf8(out.stdout).unwrap();
            if form == "dictionary" {
                assert!(text.contains("lang=\"fr\"") && text.contains(&name) && !text.contains("<script"));
            } else {
                let document: Value = serde_json::from_str(&text).unwrap();
                assert!(document["fields"].is_array() || document["properties"].is_object());
            }
        }
    }
}
