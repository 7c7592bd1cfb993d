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
