//! From protected tables to files, and from files to a verdict.

use super::{Done, SMALL, cube, naive, policy, protect};
use crate::disclosure::audit::Limits;
use crate::disclosure::policy::{Policy, Zeros};
use crate::disclosure::proof_file::{ProofFile, Proven};
use crate::disclosure::published_csv::{PublishedTable, TOTAL, parse};
use crate::disclosure::table::{Dimension, Record, Spec, Tables};
use crate::disclosure::verdict::{Verdict, attack_table, audit_folder};
use crate::domain::Digest;
use crate::error::{Error, Result};
use serde_json::json;

/// `datapackage.json` and `data.csv` of the first table.
fn files(tables: &Tables, masked: &[bool]) -> (String, String) {
    let table = &tables.tables[0];
    let levels = |d: &Dimension| -> Vec<String> {
        let deepest = (0..d.len() as u32).max_by_key(|n| d.depth(*n)).unwrap();
        let mut names: Vec<String> = std::iter::successors(Some(deepest), |n| d.parent(*n))
            .filter(|n| *n != 0)
            .map(|n| d.level(n).to_owned())
            .collect();
        names.reverse();
        names
    };
    let mut header: Vec<String> = table.dimensions.iter().flat_map(levels).collect();
    let mut fields = Vec::new();
    for d in &table.dimensions {
        let mut coarser: Option<String> = None;
        for level in levels(d) {
            fields.push(json!({"name": level, "type": "string", "cartulaire:role": "dimension", "cartulaire:hierarchy": coarser}));
            coarser = Some(level);
        }
    }
    fields.push(json!({"name": "eleves", "type": "integer", "cartulaire:role": "measure", "cartulaire:additive": true}));
    fields.push(json!({"name": "eleves_statut", "type": "string", "cartulaire:role": "status"}));
    header.extend(["eleves".to_owned(), "eleves_statut".to_owned()]);
    let mut rows = Vec::new();
    for (key, cell) in table.keys.iter().zip(&table.cells) {
        let c = &tables.cells[*cell as usize];
        if !c.published {
            continue;
        }
        let mut row: Vec<String> = Vec::new();
        for (node, d) in table.nodes(*key).into_iter().zip(&table.dimensions) {
            let mut path: Vec<&str> = std::iter::successors(Some(node), |n| d.parent(*n))
                .filter(|n| *n != 0)
                .map(|n| d.code(n))
                .collect();
            path.reverse();
            path.resize(levels(d).len(), TOTAL);
            row.extend(path.into_iter().map(str::to_owned));
        }
        let hidden = masked[*cell as usize];
        row.push(if hidden { String::new() } else { c.value.to_string() });
        row.push(if hidden { "C" } else { "F" }.to_owned());
        rows.push(row.join(";"));
    }
    rows.sort();
    let data = format!("\u{feff}{}\n{}\n", header.join(";"), rows.join("\n"));
    (descriptor(&fields, &data), data)
}

fn descriptor(fields: &[serde_json::Value], data: &str) -> String {
    let hash = format!("sha256:{}", Digest::of(data.as_bytes()));
    json!({"name": "eleves", "version": "2026.1", "resources": [{"path": "data.csv", "hash": hash, "schema": {"fields": fields}}]})
        .to_string()
}

fn read(files: &(String, String)) -> Result<PublishedTable> {
    parse(files.0.as_bytes(), files.1.as_bytes())
}

/// Other data under the same descriptor, whose hash follows.
fn with_data(files: &(String, String), data: String) -> (String, String) {
    let hash = |data: &str| Digest::of(data.as_bytes()).to_string();
    (files.0.replace(&hash(&files.1), &hash(&data)), data)
}

/// Schools in départements, by level and sex.
fn schools() -> Spec {
    let edges: Vec<(String, Option<String>)> = (0..9)
        .map(|u| (format!("u{u}"), Some(format!("d{}", u / 3))))
        .chain((0..3).map(|d| (format!("d{d}"), None)))
        .collect();
    let edges: Vec<(&str, Option<&str>)> = edges.iter().map(|(c, p)| (c.as_str(), p.as_deref())).collect();
    let uai = Dimension::hierarchy("uai", &edges).unwrap().with_levels(["departement", "uai"]);
    let nodes: Vec<u32> = (0..9).map(|u| uai.node(&format!("u{u}")).unwrap()).collect();
    let records = (0..54_u32)
        .map(|i| Record::count(vec![nodes[i as usize / 6], i / 2 % 3 + 1, i % 2 + 1], 1 + i * 37 % 29))
        .collect();
    Spec {
        dimensions: vec![uai, super::dimension("niveau", 3), super::dimension("sexe", 2)],
        records,
        published: None,
        overlap: false,
    }
}

struct Made {
    done: Done,
    policy: Policy,
    files: (String, String),
    proof: ProofFile,
}

fn made(specs: Vec<Spec>) -> Made {
    let policy = policy(Zeros::Published);
    let done = protect(specs, &policy);
    assert!(done.suppression.unprotected.is_empty());
    let files = files(&done.tables, &done.suppression.masked);
    let proven = Proven {
        measure: "eleves",
        tables: &done.tables,
        suppression: &done.suppression,
        certificate: &done.proof,
    };
    let proof = ProofFile::of(&read(&files).unwrap(), &policy, &[proven]).unwrap();
    Made { done, policy, files, proof }
}

#[test]
fn files_say_the_same_additions_as_the_tables() {
    let m = made(vec![schools()]);
    let table = read(&m.files).unwrap();
    let published = &table.measures[0].published;
    assert_eq!(published.cells.len(), m.done.tables.cells.len());
    let named = |keys: &dyn Fn(u32) -> String, relations: &[crate::disclosure::system::Relation]| {
        let mut all: Vec<(String, Vec<String>)> = relations
            .iter()
            .map(|r| {
                let mut children: Vec<String> = r.children.iter().map(|c| keys(*c)).collect();
                children.sort();
                (keys(r.parent), children)
            })
            .collect();
        all.sort();
        all
    };
    let from_files =
        named(&|c| crate::disclosure::release::label(&table.keys[c as usize]), &published.relations);
    assert_eq!(from_files, named(&|c| m.done.tables.label(c), &m.done.tables.relations));
    assert!(published.cells.iter().all(|k| k.value().is_some() || k.floor() == Some(1)));
}

#[test]
fn a_publication_and_its_certificate_are_audited_from_their_files() {
    let m = made(vec![schools()]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (name, bytes) in [
        ("datapackage.json", m.files.0.clone().into_bytes()),
        ("data.csv", m.files.1.clone().into_bytes()),
        ("certificate.json", m.proof.to_bytes().unwrap()),
    ] {
        std::io::Write::write_all(&mut std::fs::File::create(path(name)).unwrap(), &bytes).unwrap();
    }
    let rule = m.policy.uniform();
    let proven =
        audit_folder(folder.path(), Some(&path("certificate.json")), rule.into(), &Limits::default())
            .unwrap();
    assert_eq!((proven.verdict, proven.certified), (Verdict::Safe, true));
    // A proof that is not named is a file that nobody proved.
    std::fs::remove_file(path("certificate.json")).unwrap();
    let attacked = audit_folder(folder.path(), None, rule.into(), &Limits::default()).unwrap();
    assert_eq!((attacked.verdict, attacked.undecided, attacked.exposed.len()), (Verdict::Safe, 0, 0));
    assert_eq!((attacked.suppressed, attacked.cells), (proven.suppressed, proven.cells));
    assert_eq!(attacked.suppressed, m.done.published.masked().count());
}

#[test]
fn naive_masking_is_recomputed_from_the_files() {
    for specs in [vec![schools()], vec![cube(&[4, 3, 2], &SMALL)]] {
        let tables = Tables::build(specs, true).unwrap();
        let masked = naive(&tables);
        let audit = attack_table(
            &read(&files(&tables, &masked)).unwrap(),
            policy(Zeros::Published).uniform(),
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(audit.verdict, Verdict::Unsafe);
        assert_eq!(audit.exposed.len(), masked.iter().filter(|m| **m).count());
        for e in &audit.exposed {
            let cell = (0..).find(|c| tables.label(*c) == e.cell).unwrap();
            assert_eq!(
                (e.lower, e.upper),
                (tables.cells[cell as usize].value, tables.cells[cell as usize].value)
            );
        }
    }
}

#[test]
fn any_figure_of_the_certificate_changed_is_refused() {
    let m = made(vec![cube(&[4, 3, 2], &SMALL)]);
    let table = read(&m.files).unwrap();
    let text = String::from_utf8(m.proof.to_bytes().unwrap()).unwrap();
    let check = |text: &str| {
        ProofFile::parse("c.json", text.as_bytes()).and_then(|p| p.check(&table, m.policy.uniform()))
    };
    assert!(check(&text).is_ok());
    let mut tried = 0;
    for (i, digit) in text.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
        let other = if digit == '9' { '8' } else { char::from(digit as u8 + 1) };
        let changed = format!("{}{other}{}", text.get(..i).unwrap(), text.get(i + 1..).unwrap());
        assert!(check(&changed).is_err(), "{changed}");
        tried += 1;
    }
    assert!(tried > 200);
    // Sealed again after a change, the tables themselves no longer agree.
    for change in 0..m.proof.content.measures[0].certificate.base.len() {
        let mut certificate = m.proof.content.measures[0].certificate.clone();
        certificate.base[change].1 += 1;
        assert!(
            certificate.check(&table.measures[0].published, Some(m.policy.uniform().of(true)), &[]).is_err()
        );
    }
    let unknown = text.replacen("\"format\"", "\"formats\"", 1);
    assert!(matches!(check(&unknown), Err(Error::Config(f)) if f[0].line == 1 && f[0].column > 1));
}

#[test]
fn a_published_figure_changed_or_a_mask_removed_is_refused() {
    let m = made(vec![cube(&[4, 3, 2], &SMALL)]);
    let lines: Vec<&str> = m.files.1.lines().collect();
    for i in 1..lines.len() {
        let mut fields: Vec<String> = lines[i].split(';').map(str::to_owned).collect();
        let masked = fields[4] == "C";
        if masked {
            let key: Vec<&str> = lines[i].split(';').take(3).collect();
            let name: Vec<String> = ["a", "b", "c"]
                .iter()
                .zip(&key)
                .filter(|(_, c)| **c != TOTAL)
                .map(|(d, c)| format!("{d}={c}"))
                .collect();
            let cell = (0..)
                .find(|c| {
                    m.done.tables.label(*c) == if name.is_empty() { "total".into() } else { name.join(", ") }
                })
                .unwrap();
            (fields[3], fields[4]) = (m.done.tables.cells[cell as usize].value.to_string(), "F".into());
        } else {
            fields[3] = (fields[3].parse::<i64>().unwrap() + 1).to_string();
        }
        let mut changed: Vec<String> = lines.iter().map(|l| (*l).to_owned()).collect();
        changed[i] = fields.join(";");
        let data = changed.join("\n") + "\n";
        // The descriptor's hash no longer is that of the file.
        assert!(read(&(m.files.0.clone(), data.clone())).unwrap().altered);
        let table = read(&with_data(&m.files, data)).unwrap();
        assert!(m.proof.check(&table, m.policy.uniform()).is_err(), "line {i}");
        // Nor do the tables of the proof agree with it, bound to it or not.
        let proof = &m.proof.content.measures[0];
        assert!(
            proof
                .certificate
                .check(&table.measures[0].published, Some(m.policy.uniform().of(true)), &[])
                .is_err(),
            "line {i}"
        );
        if !masked {
            assert!(attack_table(&table, m.policy.uniform(), &Limits::default()).is_err(), "line {i}");
        }
    }
}

#[test]
fn another_rule_or_another_version_is_refused() {
    let m = made(vec![schools()]);
    let table = read(&m.files).unwrap();
    assert!(m.proof.check(&table, Policy { threshold: 11, ..m.policy.clone() }.uniform()).is_err());
    let other = (m.files.0.replace("2026.1", "2026.2"), m.files.1.clone());
    assert!(m.proof.check(&read(&other).unwrap(), m.policy.uniform()).is_err());
}

#[test]
fn what_is_proven_in_a_larger_system_is_proven_of_the_crossings_published() {
    // A row of 3 pupils: its margin is masked, the crossing under it is not published.
    let mut values = SMALL;
    (values[0], values[1]) = (1, 2);
    let mut spec = cube(&[4, 3, 2], &values);
    let depths = |d: u8| vec![d & 1, d >> 1 & 1, d >> 2 & 1];
    spec.published = Some((0..7).map(depths).collect());
    let m = made(vec![spec]);
    let table = read(&m.files).unwrap();
    assert!(table.keys.len() < m.done.tables.cells.len());
    assert!(m.proof.check(&table, m.policy.uniform()).unwrap().cells > 0);
}

#[test]
fn a_certificate_does_not_tell_which_cells_are_small() {
    let m = made(vec![schools()]);
    let text = String::from_utf8(m.proof.to_bytes().unwrap()).unwrap();
    assert!(!text.contains("required") && !text.contains("at_most"), "{text}");
    assert!(m.done.suppression.primary > 0);
}

/// A package of persons and what they make: rows of (zone, persons, amount), totals given.
fn amounts(rows: &str) -> crate::disclosure::published_csv::PublishedTable {
    let measure = |name: &str, more: &str| {
        format!(
            "{{\"name\":\"{name}\",\"type\":\"integer\",\"cartulaire:role\":\"measure\",\"cartulaire:additive\":true,\"cartulaire:zeros\":\"concealed\"{more}}},\
             {{\"name\":\"{name}_statut\",\"type\":\"string\",\"cartulaire:role\":\"status\"}}"
        )
    };
    let descriptor = format!(
        "{{\"name\":\"x\",\"resources\":[{{\"path\":\"data.csv\",\"schema\":{{\"fields\":[\
         {{\"name\":\"zone\",\"type\":\"string\",\"cartulaire:role\":\"dimension\"}},{},{},\
         {{\"name\":\"moyenne\",\"type\":\"number\",\"cartulaire:role\":\"measure\"}},{{\"name\":\"moyenne_statut\",\"type\":\"string\",\"cartulaire:role\":\"status\"}}]}}}}]}}",
        measure("eleves", ""),
        measure("euros", ",\"cartulaire:amount\":true")
    );
    let csv = format!("\u{feff}zone;eleves;eleves_statut;euros;euros_statut;moyenne;moyenne_statut\n{rows}");
    crate::disclosure::published_csv::parse(descriptor.as_bytes(), csv.as_bytes()).unwrap()
}

#[test]
fn where_nobody_is_a_masked_amount_is_nil_and_gives_the_other_away() {
    let table = amounts("A;0;F;;C;;M\nB;6;F;;C;;C\nC;9;F;200;F;22.22;F\n_T;15;F;500;F;33.33;F\n");
    let rule = policy(Zeros::Concealed).uniform();
    let found = attack_table(&table, rule, &Limits::default()).unwrap();
    let told: Vec<(&str, i64, i64)> =
        found.exposed.iter().map(|e| (e.cell.as_str(), e.lower, e.upper)).collect();
    assert_eq!(told, [("euros : zone=B", 300, 300)]);
}

#[test]
fn a_mean_that_does_not_follow_from_what_is_printed_is_refused() {
    let rows = |mean: &str| format!("B;6;F;300;F;{mean};F\nC;9;F;200;F;22.22;F\n_T;15;F;500;F;33.33;F\n");
    assert!(amounts(&rows("50.00")).check_computed().is_ok());
    let Err(Error::Refused { code, .. }) = amounts(&rows("51.00")).check_computed() else {
        panic!("accepted")
    };
    assert_eq!(code, "FIGURE_UNPROVEN");
}

#[test]
fn figures_that_add_up_are_attacked_whatever_their_descriptor_says() {
    let m = made(vec![schools()]);
    let hidden = m.files.0.replace("\"cartulaire:additive\":true", "\"cartulaire:additive\":false");
    assert_ne!(hidden, m.files.0);
    let table = read(&(hidden, m.files.1.clone())).unwrap();
    assert!(table.measures[0].additive);
}

#[test]
fn a_table_that_masks_nothing_is_not_safe() {
    let done = protect(vec![schools()], &policy(Zeros::Published));
    let files = files(&done.tables, &vec![false; done.tables.cells.len()]);
    let table = read(&files).unwrap();
    let few = table.printed_few(policy(Zeros::Published).uniform());
    assert_eq!(few.len(), done.tables.cells.iter().filter(|c| (1..5).contains(&c.value)).count());
    assert!(few.len() > 3);
}

#[test]
fn crossings_that_are_not_published_leave_their_additions_to_the_next() {
    // Only schools by level and the grand total: the total is the sum of all.
    let mut spec = schools();
    spec.published = Some([vec![2, 1, 0], vec![0, 0, 0]].into_iter().collect());
    let m = made(vec![spec]);
    let (head, rows) = m.files.1.split_once('\n').unwrap();
    let kept: Vec<&str> = rows
        .lines()
        .filter(|l| {
            let codes: Vec<&str> = l.split(';').take(4).collect();
            let all = codes.iter().filter(|c| **c == "_T").count();
            all == 4 || (codes[1] != "_T" && codes[2] != "_T" && codes[3] == "_T")
        })
        .collect();
    let csv = format!("{head}\n{}\n", kept.join("\n"));
    let table = crate::disclosure::published_csv::parse(m.files.0.as_bytes(), csv.as_bytes()).unwrap();
    let relations = &table.measures[0].published.relations;
    assert_eq!(relations.len(), 1);
    assert_eq!(relations[0].children.len(), kept.len() - 1);
}
