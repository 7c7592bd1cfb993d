//! Hostile deliveries, made in a temporary folder and given to `validate --json` one at a time.
//! Whatever the input: exit code 0 or 4, one JSON document whose counts add up, no panic, no
//! signal, at most 300 MiB of memory (Linux), no file beside `--out`, and no personal value shown.

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

use common::{cartulaire, root};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const PEAK_KIB: u64 = 300 << 10;
/// A run that is still there is killed: a watchdog, not a measure of speed.
const WATCHDOG: Duration = Duration::from_secs(60);
const MIB: usize = 1 << 20;
const GIB: u64 = 1 << 30;

/// A pupil's name, in every input that names persons: never on stdout or stderr.
const PUPIL: &str = "Canari-Secret";
/// A pupil's name in a file that no input may reach: nowhere.
const OUTSIDE: &str = "Canari-Hors-Livraison";

const ELEVE: &str = "X_Complet_20260110_Eleve_0000.xml";
const AAF_ZIP: &str = "X_Complet_20260110.zip";
const SIECLE: &str = "ElevesSansAdresses.xml";
const CRDC: &str = "CRDC_99_20260105_T1.csv";
const DNMA: &str = "fr-en-dnma-par-uai-profils_2026-01-12.csv";

// --- one run

/// What a case may end in.
enum Answer<'a> {
    /// Exit code 4, refused by one of these.
    Refused(&'a [&'a str]),
    /// Exit code 0, so many records rejected, each code among the findings.
    Judged(u64, &'a [&'a str]),
    /// Either, but one of these is among the findings.
    Either(&'a [&'a str]),
}

use Answer::{Either, Judged, Refused};

/// The folder of one case: what is delivered, where the program stands and what it may write to.
struct Lab {
    home: tempfile::TempDir,
    inbox: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let inbox = home.path().join("inbox");
        for folder in ["inbox", "tmp", "user", "run", "a/b/here"] {
            std::fs::create_dir_all(home.path().join(folder)).unwrap();
        }
        std::fs::write(home.path().join("secret.xml"), aaf(&[request(0, OUTSIDE)])).unwrap();
        Lab { home, inbox }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file of the delivery.
    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.inbox.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A file that is mostly a hole: reads as zeros.
    fn sparse(&self, name: &str, start: impl AsRef<[u8]>, size: u64) -> PathBuf {
        let path = self.file(name, start);
        OpenOptions::new().write(true).open(&path).unwrap().set_len(size).unwrap();
        path
    }

    /// Every file and folder but the program's answers.
    fn tree(&self) -> BTreeSet<PathBuf> {
        walk(self.home.path()).into_iter().filter(|p| !p.starts_with(self.at("run"))).collect()
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            all.extend(walk(&entry.path()));
        }
        all.push(entry.path());
    }
    all
}

/// The most memory a process has held so far; `None` when it has ended, or where there is no /proc.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Waits for the end, and kills what does not come to it; the peak that was seen last.
fn wait(child: &mut Child, case: &str) -> (ExitStatus, u64) {
    let (start, mut peak) = (Instant::now(), 0);
    loop {
        peak = peak_kib(child.id()).unwrap_or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            return (status, peak);
        }
        if start.elapsed() > WATCHDOG {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{case}: still running after {} s", WATCHDOG.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn holds(bytes: &[u8], token: &str) -> bool {
    bytes.windows(token.len()).any(|w| w == token.as_bytes())
}

/// Makes the input in a folder of its own, validates it and checks what holds for every case.
fn check(case: &str, source: &str, expected: &Answer<'_>, make: impl FnOnce(&Lab) -> PathBuf) {
    let lab = Lab::new();
    let path = make(&lab);
    validate(case, source, expected, &lab, &path);
}

fn validate(case: &str, source: &str, expected: &Answer<'_>, lab: &Lab, path: &Path) {
    let before = lab.tree();
    let (out, path) = (lab.at("run/out").display().to_string(), path.display().to_string());
    let config = root().join("cartulaire.toml").display().to_string();
    let mut args = vec!["validate", source, &path, "--json", "--max-findings", "50"];
    args.extend(["--date", "2026-01-12", "--out", &out, "--config", &config]);
    let mut child = cartulaire(&args)
        .current_dir(lab.at("a/b/here"))
        .env("TMPDIR", lab.at("tmp"))
        .env("HOME", lab.at("user"))
        .stdout(File::create(lab.at("run/stdout")).unwrap())
        .stderr(File::create(lab.at("run/stderr")).unwrap())
        .spawn()
        .unwrap();
    let (status, peak) = wait(&mut child, case);
    let (stdout, stderr) =
        (std::fs::read(lab.at("run/stdout")).unwrap(), std::fs::read(lab.at("run/stderr")).unwrap());
    let said = String::from_utf8_lossy(&stderr);
    assert!(!said.contains("erreur interne") && !said.contains("overflow"), "{case}: {said}");
    let code = status.code().unwrap_or_else(|| panic!("{case}: ended by a signal, {status}\n{said}"));
    assert!(peak <= PEAK_KIB, "{case}: {} MiB", peak >> 10);
    for text in [&stdout, &stderr] {
        assert!(!holds(text, PUPIL) && !holds(text, OUTSIDE), "{case}: shows a name");
    }
    assert_eq!(lab.tree().difference(&before).collect::<Vec<_>>(), Vec::<&PathBuf>::new(), "{case}");
    for written in walk(&lab.at("run")).into_iter().filter(|p| p.is_file()) {
        assert!(!holds(&std::fs::read(&written).unwrap(), OUTSIDE), "{case}: {}", written.display());
    }
    let answer: Value = serde_json::from_slice(&stdout).unwrap_or_else(|e| {
        panic!("{case}: exit code {code}, {e}\n{said}\n{}", String::from_utf8_lossy(&stdout))
    });
    judge(case, code, &answer, expected);
}

fn judge(case: &str, code: i32, answer: &Value, expected: &Answer<'_>) {
    let mut rejected = 0;
    for file in answer["files"].as_array().unwrap() {
        let count = |what: &str| file["records"][what].as_u64().unwrap();
        assert_eq!(count("read"), count("accepted") + count("rejected"), "{case}: {file}");
        rejected += count("rejected");
    }
    let by_code = answer["by_code"].as_array().unwrap();
    let sum: u64 = by_code.iter().map(|c| c["count"].as_u64().unwrap()).sum();
    assert_eq!(answer["findings_total"].as_u64(), Some(sum), "{case}: {by_code:?}");
    let codes = |refusals: bool| -> BTreeSet<&str> {
        by_code
            .iter()
            .filter(|c| !refusals || c["severity"] == "refusal")
            .map(|c| c["code"].as_str().unwrap())
            .collect()
    };
    assert_eq!(answer["verdict"] == "refused", code == 4, "{case}: exit code {code}, {}", answer["verdict"]);
    assert_eq!(!codes(true).is_empty(), code == 4, "{case}: exit code {code}, {by_code:?}");
    let one_of = |all: &[&str], refusals| all.iter().any(|c| codes(refusals).contains(c));
    match expected {
        Refused(why) => assert!(code == 4 && one_of(why, true), "{case}: {code}, {why:?} ≠ {by_code:?}"),
        Judged(n, found) => {
            assert!(code == 0, "{case}: {code}, {by_code:?}");
            assert_eq!(rejected, *n, "{case}: {by_code:?}");
            assert!(found.iter().all(|c| codes(false).contains(c)), "{case}: {found:?} ≠ {by_code:?}");
        }
        Either(why) => {
            assert!(
                [0, 4].contains(&code) && one_of(why, code == 4),
                "{case}: {code}, {why:?} ≠ {by_code:?}"
            );
        }
    }
}

// --- sound inputs, to be spoilt

const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <!DOCTYPE ficAlimMENESR SYSTEM \"ficAlimMENESR.dtd\">\n<ficAlimMENESR>\n";

/// One pupil's request; the name is put as it is written.
fn request(i: u32, name: &str) -> String {
    let id = 10_000_000 + i;
    let values = [
        ("ENTPersonJointure", id.to_string()),
        ("ENTPersonDateNaissance", "21/07/2014".into()),
        ("ENTPersonNomPatro", PUPIL.into()),
        ("sn", name.into()),
        ("givenName", "Prénom".into()),
        ("personalTitle", "M.".into()),
        ("ENTEleveMEF", "10010012110".into()),
        ("ENTEleveNivFormation", "6EME".into()),
        ("ENTPersonStructRattach", "1001".into()),
    ];
    let values = values.map(|(n, v)| format!("<attr name=\"{n}\"><value>{v}</value></attr>")).concat();
    // The file that no input may reach bears its own token alone.
    let values = if name == OUTSIDE { values.replace(PUPIL, OUTSIDE) } else { values };
    format!(
        "<addRequest><operationalAttributes><attr name=\"categoriePersonne\"><value>Eleve</value></attr>\
         </operationalAttributes><identifier><id>{id}</id></identifier><attributes>{values}</attributes>\
         </addRequest>\n"
    )
}

/// A request with something more at the end of its attributes.
fn request_with(i: u32, more: &str) -> String {
    request(i, PUPIL).replace("</attributes>", &format!("{more}</attributes>"))
}

fn requests(n: u32) -> Vec<String> {
    (0..n).map(|i| request(i, PUPIL)).collect()
}

fn aaf(requests: &[String]) -> String {
    format!("{HEAD}{}</ficAlimMENESR>\n", requests.concat())
}

/// A pupil of SIECLE, with something more at the end.
fn pupil(i: u32, more: &str) -> String {
    format!(
        "<ELEVE ELEVE_ID=\"{}\" ELENOET=\"{i}\"><NOM_DE_FAMILLE>{PUPIL}</NOM_DE_FAMILLE>\
         <PRENOM>Prénom</PRENOM><DATE_NAISS>14/03/2013</DATE_NAISS><CODE_SEXE>2</CODE_SEXE>{more}</ELEVE>\n",
        2_000_000 + i
    )
}

fn siecle(pupils: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<BEE_ELEVES VERSION=\"3.0\"><PARAMETRES>\
         <UAJ>0990101X</UAJ><ANNEE_SCOLAIRE>2025</ANNEE_SCOLAIRE><DATE_EXPORT>13/01/2026</DATE_EXPORT>\
         </PARAMETRES><DONNEES><ELEVES>\n{pupils}</ELEVES></DONNEES></BEE_ELEVES>\n"
    )
}

const CRDC_HEADER: &str = "uai;annee_scolaire;exercice;trimestre;numero_bordereau;id_eleve;ine;\
    id_responsable_payeur;code_regime;categorie_tarif;nature_droit;tarif_annuel;nb_jours_ouverts;\
    nb_jours_dus;droit_brut;remise_ordre_montant;remise_ordre_motif;remise_principe;bourse_echelon;\
    bourse_montant;prime_internat;prime_autre;aide_nationale;aide_locale;droit_net;solde_a_verser;\
    date_constatation;statut";

/// A row of the CRDC, its pupil bearing a name for an identifier, with some cells put otherwise.
fn row(i: usize, spoilt: &[(&str, &str)]) -> String {
    let number = 990_001 + i % 50;
    let letter = char::from(b"ABCDEFGHJKLMNPRSTUVWXYZ"[number % 23]);
    let sound = format!(
        "{number:07}{letter};2025-2026;2025;1;B1;{PUPIL}-{i};;{PUPIL};2;Forfait;DEMI_PENSION;490.00;56;56;\
         196.00;0.00;;0.00;0;0.00;0.00;0.00;0.00;0.00;196.00;0.00;15/12/2025;constaté"
    );
    let mut cells: Vec<&str> = sound.split(';').collect();
    for (column, value) in spoilt {
        cells[CRDC_HEADER.split(';').position(|h| h == *column).unwrap()] = value;
    }
    cells.join(";")
}

/// A table of 1,000 sound rows, some replaced: few enough for the gate.
fn crdc(replaced: &[(usize, Vec<u8>)]) -> Vec<u8> {
    let mut rows: Vec<Vec<u8>> = (0..1000).map(|i| row(i, &[]).into_bytes()).collect();
    for (i, bytes) in replaced {
        rows[*i].clone_from(bytes);
    }
    rows.insert(0, CRDC_HEADER.into());
    rows.push(Vec::new());
    rows.join(&b'\n')
}

/// Rows from the hundredth on, each with one of the values in a column.
fn crdc_values(column: &str, values: &[&str]) -> Vec<u8> {
    let rows = values.iter().enumerate();
    let rows = rows.map(|(i, v)| (100 + i, row(100 + i, &[(column, v)]).into_bytes()));
    crdc(&rows.collect::<Vec<_>>())
}

const DNMA_HEADER: &str = "debutSemaine;UAI;academie;commune;departement;region;ministere;circonscription;\
    nature_uai;secteur;visites_eleve;utilisateurs_eleve;duree_eleve;visites_globales;utilisateurs_globales";

/// A table of the DNMA: sound weeks, then one row for each pair of a week and a number of visits.
fn dnma(spoilt: &[(&str, &str)]) -> String {
    let row = |day: &str, uai: &str, visits: &str| {
        format!(
            "{day};{uai};Orléans-Tours;Exempleville;Département inventé;Région inventée;\
             MINISTERE DE L'EDUCATION NATIONALE;;COLLEGE;PUBLIC;{visits};33;00:05:00;466;154\n"
        )
    };
    let uai = |n: usize| format!("{n:07}{}", char::from(b"ABCDEFGHJKLMNPRSTUVWXYZ"[n % 23]));
    let sound: String = (0..200).map(|i| row("2026-01-05", &uai(990_001 + i), "100")).collect();
    let more = spoilt.iter().enumerate().map(|(i, (day, visits))| row(day, &uai(990_301 + i), visits));
    format!("{DNMA_HEADER}\n{sound}{}", more.collect::<String>())
}

/// Replaces the only occurrence of a mark by bytes that a string cannot hold.
fn spoil(text: &str, mark: &str, bytes: &[u8]) -> Vec<u8> {
    let (before, after) = text.split_once(mark).unwrap();
    [before.as_bytes(), bytes, after.as_bytes()].concat()
}

/// Delivered as AAF and as SIECLE, the same hostile piece inside a record.
fn in_both_records(case: &str, expected: &Answer<'_>, piece: &str) {
    check(&format!("{case} in AAF"), "ent", expected, |lab| {
        lab.file(ELEVE, aaf(&[request(0, PUPIL), request_with(1, piece), request(2, PUPIL)]))
    });
    check(&format!("{case} in SIECLE"), "siecle", expected, |lab| {
        lab.file(SIECLE, siecle(&[pupil(0, ""), pupil(1, piece), pupil(2, "")].concat()))
    });
}

#[test]
fn the_peak_of_memory_is_read() {
    let here = peak_kib(std::process::id());
    assert_eq!(here.is_some_and(|kib| kib > 512), cfg!(target_os = "linux"), "{here:?}");
}

// --- XML

#[test]
fn entities_and_internal_subsets_are_refused_and_nothing_is_fetched() {
    let laughs: String = (0..10)
        .map(|i| {
            let value = if i == 0 { PUPIL.to_owned() } else { format!("&l{};", i - 1).repeat(10) };
            format!("<!ENTITY l{i} \"{value}\">\n")
        })
        .collect();
    let cases = [
        ("billion laughs", laughs, "&l9;"),
        ("external entity", "<!ENTITY xxe SYSTEM \"file://@/secret.xml\">".into(), "&xxe;"),
        ("external parameter entity", "<!ENTITY % p SYSTEM \"file://@/secret.xml\"> %p;".into(), PUPIL),
        ("internal subset", "<!ELEMENT ficAlimMENESR ANY>".into(), PUPIL),
    ];
    for (case, subset, name) in &cases {
        for (source, file, root) in [("ent", ELEVE, "ficAlimMENESR"), ("siecle", SIECLE, "BEE_ELEVES")] {
            check(&format!("{case} as {source}"), source, &Refused(&["XML_DTD", "XML_ENTITY"]), |lab| {
                let subset = subset.replace('@', &lab.home.path().display().to_string());
                let text = if source == "ent" { aaf(&requests(3)) } else { siecle(&pupil(0, "")) };
                let body = text.split_once(&format!("<{root}")).unwrap().1.replacen(PUPIL, name, 1);
                let head = format!("<?xml version=\"1.0\"?>\n<!DOCTYPE {root} [\n{subset}]>\n<{root}");
                lab.file(file, head + &body)
            });
        }
    }
    let undeclared = &Refused(&["XML_ENTITY", "XML_MALFORMED"]);
    for reference in ["&xxe;", "&#xD800;", "&#0;", "&#99999999999999999999;"] {
        check(reference, "ent", undeclared, |lab| lab.file(ELEVE, aaf(&[request(0, reference)])));
    }
}

#[test]
fn elements_100000_deep_are_refused() {
    let deep = "<attr name='x'>".repeat(100_000) + &"</attr>".repeat(100_000);
    in_both_records("nesting", &Refused(&["FILE_LIMIT", "XML_MALFORMED"]), &deep);
    in_both_records(
        "nesting without end",
        &Refused(&["FILE_LIMIT", "XML_MALFORMED"]),
        &"<a>".repeat(100_000),
    );
}

#[test]
fn an_element_with_80000_attributes_is_bounded() {
    let many: String = (0..80_000).map(|i| format!(" a{i}=\"{i}\"")).collect();
    let piece = format!("<attr{many} name=\"x\"><value>1</value></attr>");
    in_both_records("attributes", &Refused(&["FILE_LIMIT", "XML_MALFORMED"]), &piece);
    let same = " name=\"x\"".repeat(80_000);
    in_both_records(
        "one attribute 80,000 times",
        &Refused(&["FILE_LIMIT", "XML_MALFORMED"]),
        &format!("<attr{same}/>"),
    );
}

#[test]
fn a_text_of_64_mib_is_refused() {
    let cases = [
        ("in an element", "", ""),
        ("in CDATA", "<![CDATA[", "]]>"),
        ("in a comment", "<!--", "-->"),
        ("in a processing instruction", "<?x ", "?>"),
    ];
    for (case, open, close) in cases {
        for (source, name) in [("ent", ELEVE), ("siecle", SIECLE)] {
            check(&format!("{case} as {source}"), source, &Refused(&["FILE_LIMIT"]), |lab| {
                let mark = format!("{open}@{close}");
                let text = if source == "ent" {
                    aaf(&[request(0, PUPIL), request(1, &mark)])
                } else {
                    siecle(&(pupil(0, "") + &pupil(1, &format!("<PRENOM2>{mark}</PRENOM2>"))))
                };
                let (before, after) = text.split_once('@').unwrap();
                let path = lab.file(name, before);
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                let block = vec![b'x'; MIB];
                for _ in 0..64 {
                    file.write_all(&block).unwrap();
                }
                file.write_all(after.as_bytes()).unwrap();
                path
            });
        }
    }
}

#[test]
fn xml_that_is_cut_or_of_another_root_is_refused() {
    let (aaf, siecle) = (aaf(&requests(20)), siecle(&pupil(0, "").repeat(20)));
    for cut in [200, 19, 9] {
        check("cut AAF", "ent", &Refused(&["XML_TRUNCATED"]), |lab| lab.file(ELEVE, &aaf[..aaf.len() - cut]));
        check("cut SIECLE", "siecle", &Refused(&["XML_TRUNCATED"]), |lab| {
            lab.file(SIECLE, &siecle[..siecle.len() - cut])
        });
    }
    // `ent` would take it for what its root says; the contract alone does not.
    check("SIECLE named as AAF", "ent", &Refused(&["XML_ROOT"]), |lab| lab.file(ELEVE, &siecle));
    for (source, name) in [("ent", ELEVE), ("ent", SIECLE), ("siecle", SIECLE)] {
        check("unknown root", source, &Refused(&["XML_ROOT"]), |lab| {
            lab.file(name, siecle.replace("BEE_ELEVES", "AUTRE"))
        });
    }
    check("two documents", "ent", &Refused(&["XML_MALFORMED"]), |lab| lab.file(ELEVE, aaf.repeat(2)));
}

// --- bytes

#[test]
fn bytes_that_are_no_text_are_told_in_xml() {
    let cases: [(&str, &[u8], &[&str]); 4] = [
        ("two encodings", b"\xC9rable", &["XML_MALFORMED", "ENC_INVALID"]),
        ("NUL", b"\0", &["XML_MALFORMED", "ENC_NUL"]),
        ("lone surrogate", b"\xED\xA0\x80", &["XML_MALFORMED", "ENC_INVALID"]),
        ("character cut", b"\xC3", &["XML_MALFORMED", "ENC_INVALID"]),
    ];
    for (case, bytes, codes) in cases {
        check(&format!("{case} in AAF"), "ent", &Either(codes), |lab| {
            let mut all = requests(20);
            all[10] = request(10, &format!("{PUPIL}@@"));
            lab.file(ELEVE, spoil(&aaf(&all), "@@", bytes))
        });
        check(&format!("{case} in SIECLE"), "siecle", &Either(codes), |lab| {
            let pupils: String =
                (0..20).map(|i| pupil(i, if i == 10 { "<PRENOM2>@@</PRENOM2>" } else { "" })).collect();
            lab.file(SIECLE, spoil(&siecle(&pupils), "@@", bytes))
        });
    }
}

#[test]
fn bytes_that_are_no_text_cost_a_table_its_rows_only() {
    let spoilt = |bytes: &[u8]| {
        let text = row(500, &[("categorie_tarif", "@@")]);
        crdc(&[(500, spoil(&text, "@@", bytes))])
    };
    let latin1: Vec<(usize, Vec<u8>)> =
        (500..510).map(|i| (i, spoil(&row(i, &[("statut", "constat@@")]), "@@", b"\xE9"))).collect();
    let cases = [
        ("two encodings", crdc(&latin1), 10, "ENC_INVALID"),
        ("NUL", spoilt(b"For\0fait"), 1, "ENC_NUL"),
        ("lone surrogate", spoilt(b"For\xED\xA0\x80fait"), 1, "ENC_INVALID"),
    ];
    for (case, table, rejected, code) in cases {
        check(case, "crdc", &Judged(rejected, &[code]), |lab| lab.file(CRDC, &table));
    }
}

#[test]
fn a_line_of_1_gib_is_refused() {
    let cut = request(0, "@");
    let xml = format!("{HEAD}{}", cut.split_once('@').unwrap().0);
    let cases = [
        ("row", "crdc", CRDC, format!("{CRDC_HEADER}\n"), GIB),
        ("row in quotes", "crdc", CRDC, format!("{CRDC_HEADER}\n\""), GIB / 8),
        ("header", "crdc", CRDC, "uai;".into(), GIB / 8),
        ("row", "dnma", DNMA, format!("{DNMA_HEADER}\n"), GIB / 8),
        ("text", "ent", ELEVE, xml, GIB),
    ];
    for (case, source, name, start, size) in cases {
        check(&format!("{case} as {source}"), source, &Refused(&["FILE_LIMIT", "ENC_NUL"]), |lab| {
            lab.sparse(name, start, size)
        });
    }
}

// --- tables

#[test]
fn an_unclosed_quote_is_refused() {
    let quoted = |i| row(i, &[("categorie_tarif", "\"Forfait")]).into_bytes();
    for place in [0, 500, 999] {
        check(&format!("row {place}"), "crdc", &Refused(&["CSV_UNCLOSED_QUOTE"]), |lab| {
            lab.file(CRDC, crdc(&[(place, quoted(place))]))
        });
    }
    check("before 24 MiB", "crdc", &Refused(&["FILE_LIMIT", "CSV_UNCLOSED_QUOTE"]), |lab| {
        let start = crdc(&[(999, quoted(999))]);
        let rest: String = (0..1000).map(|i| row(i, &[]) + "\n").collect();
        lab.file(CRDC, [start, rest.repeat(24 * MIB / rest.len()).into_bytes()].concat())
    });
}

#[test]
fn ragged_rows_are_rejected_alone() {
    let long = (100..110).map(|i| (i, (row(i, &[]) + ";de trop").into_bytes()));
    let short = (200..210).map(|i| (i, row(i, &[]).into_bytes()[..60].to_vec()));
    let table = crdc(&long.chain(short).collect::<Vec<_>>());
    check("ragged", "crdc", &Judged(20, &["CSV_FIELD_COUNT"]), |lab| lab.file(CRDC, &table));
}

#[test]
fn headers_too_wide_or_said_twice_are_refused() {
    let more: String = (0..100_000).map(|i| format!(";c{i}")).collect();
    check("100,000 columns", "crdc", &Refused(&["FILE_LIMIT"]), |lab| {
        let rows: String = (0..20).map(|i| row(i, &[]) + &";".repeat(100_000) + "\n").collect();
        lab.file(CRDC, format!("{CRDC_HEADER}{more}\n{rows}"))
    });
    check("100,000 measures", "dnma", &Refused(&["FILE_LIMIT"]), |lab| {
        lab.file(DNMA, dnma(&[]).replacen('\n', &(more.replace(";c", ";visites_c") + "\n"), 1))
    });
    let table = String::from_utf8(crdc(&[])).unwrap().trim_end().replace('\n', ";2\n") + ";2\n";
    let twice = table.replacen(";2\n", ";id_eleve\n", 1);
    check("a name twice", "crdc", &Refused(&["CSV_HEADER_DUPLICATE"]), |lab| lab.file(CRDC, twice));
}

#[test]
fn files_with_nothing_in_them() {
    for (source, name) in
        [("ent", ELEVE), ("siecle", SIECLE), ("crdc", CRDC), ("dnma", DNMA), ("ent", AAF_ZIP)]
    {
        // An AAF name is believed before the file is found to be empty.
        let codes = &Refused(&["RECV_EMPTY"]);
        check(&format!("empty {name}"), source, codes, |lab| lab.file(name, ""));
    }
    check("CRDC header", "crdc", &Judged(0, &[]), |lab| lab.file(CRDC, format!("{CRDC_HEADER}\n")));
    check("CRDC header without end", "crdc", &Judged(0, &[]), |lab| lab.file(CRDC, CRDC_HEADER));
    check("DNMA header", "dnma", &Judged(0, &[]), |lab| lab.file(DNMA, format!("{DNMA_HEADER}\n")));
    check("AAF without requests", "ent", &Judged(0, &[]), |lab| lab.file(ELEVE, aaf(&[])));
}

#[test]
fn dates_and_numbers_that_are_none_are_rejected_alone() {
    let digits = "9".repeat(400);
    let cents = format!("{digits}.00");
    let cases: [(&str, &str, Vec<&str>); 3] = [
        (
            "TYPE_DATE",
            "date_constatation",
            vec![
                "00/00/0000",
                "31/02/2025",
                "31/12/9999",
                "29/02/2025",
                "2025-12-15",
                "15/12/25",
                "١٥/١٢/٢٠٢٥",
            ],
        ),
        (
            "TYPE_INTEGER",
            "nb_jours_dus",
            vec![
                "9223372036854775808",
                "-9223372036854775809",
                "18446744073709551616",
                &digits,
                "0x10",
                "1e3",
                "²",
                "NaN",
            ],
        ),
        (
            "TYPE_DECIMAL",
            "droit_brut",
            vec!["NaN", "1e309", "Infinity", "-inf", "1.234,56", "1,234.56", "1.2.3", "1,2,3", &cents, "--1"],
        ),
    ];
    for (code, column, values) in &cases {
        for value in values {
            let table = crdc_values(column, &[value]);
            check(value, "crdc", &Judged(1, &[code]), |lab| lab.file(CRDC, &table));
        }
        let table = crdc_values(column, values);
        check(code, "crdc", &Judged(values.len() as u64, &[code]), |lab| lab.file(CRDC, &table));
    }
    let weeks = [
        ("0000-00-00", "1"),
        ("2026-02-31", "1"),
        ("9999-12-31", "1"),
        ("2026-01-05", "9223372036854775808"),
        ("2026-01-05", "NaN"),
        ("2026-01-05", "1e309"),
    ];
    check("weeks", "dnma", &Judged(6, &["TYPE_DATE", "TYPE_INTEGER"]), |lab| lab.file(DNMA, dnma(&weeks)));
}

#[test]
fn a_table_that_grows_while_it_is_read_is_refused() {
    let lab = Lab::new();
    let path = lab.file(CRDC, crdc(&[]));
    let mut file = OpenOptions::new().append(true).open(&path).unwrap();
    for i in 1000..20_000 {
        writeln!(file, "{}", row(i, &[])).unwrap();
    }
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Slower than the reader: it comes to the end, and the end is not the one it began with.
        scope.spawn(|| {
            for i in 20_000.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                file.write_all((row(i, &[]) + "\n").as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        // The appender ends with the check, whatever the check comes to.
        let judged = std::panic::catch_unwind(|| {
            validate("grows", "crdc", &Refused(&["RECV_PARTIAL"]), &lab, &path);
        });
        ended.store(true, Ordering::Relaxed);
        if let Err(failure) = judged {
            std::panic::resume_unwind(failure);
        }
    });
}

// --- archives

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Zeros, 1 MiB of them deflated once and repeated: the deflated bytes, their sum and their number.
fn zeros(size: u64) -> (Vec<u8>, flate2::Crc) {
    let block = vec![0; MIB];
    let mut packer = flate2::Compress::new(flate2::Compression::best(), false);
    let mut deflated = Vec::with_capacity(64 << 10);
    packer.compress_vec(&block, &mut deflated, flate2::FlushCompress::Full).unwrap();
    assert_eq!(packer.total_in(), MIB as u64);
    let (mut one, mut sum) = (flate2::Crc::new(), flate2::Crc::new());
    one.update(&block);
    let times = usize::try_from(size).unwrap() / MIB;
    (0..times).for_each(|_| sum.combine(&one));
    // An empty last block.
    (([deflated.repeat(times), vec![3, 0]].concat()), sum)
}

/// A zip of one member, the sizes and the sum being what they are.
fn zip_bomb(name: &str, size: u64) -> Vec<u8> {
    let (deflated, sum) = zeros(size);
    let mut common = Vec::new();
    for short in [20_u16, 0, 8, 0, 0x5821] {
        common.extend(short.to_le_bytes());
    }
    for long in [sum.sum(), u32::try_from(deflated.len()).unwrap(), u32::try_from(size).unwrap()] {
        common.extend(long.to_le_bytes());
    }
    common.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
    let local = [b"PK\x03\x04".as_slice(), &common, name.as_bytes(), &deflated].concat();
    let central = [b"PK\x01\x02\x14\x00".as_slice(), &common, &[0; 14], name.as_bytes()].concat();
    let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
    end.extend(u32::try_from(central.len()).unwrap().to_le_bytes());
    end.extend(u32::try_from(local.len()).unwrap().to_le_bytes());
    end.extend([0, 0]);
    [local, central, end].concat()
}

/// A stream says nothing of its size before it is unpacked up to the limit, which an unoptimised
/// build does slowly.
const STREAM: u64 = GIB / 8;

fn gz_bomb(size: u64) -> Vec<u8> {
    let (deflated, sum) = zeros(size);
    let length = u32::try_from(size).unwrap().to_le_bytes();
    [b"\x1F\x8B\x08\0\0\0\0\0\0\x03".as_slice(), &deflated, &sum.sum().to_le_bytes(), &length].concat()
}

fn tar_gz(entries: &[(&str, tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gz);
    for (name, kind, link, bytes) in entries {
        let mut header = tar::Header::new_ustar();
        // `set_path` would not have what this writes.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// Writes a number over both headers of a zip's first member, or over the directory's alone.
fn lie(mut zip: Vec<u8>, local: bool, field: usize, value: u32) -> Vec<u8> {
    let at = |zip: &[u8], mark: &[u8]| zip.windows(4).position(|w| w == mark).unwrap();
    let central = at(&zip, b"PK\x01\x02") + field + 2;
    zip[central..central + 4].copy_from_slice(&value.to_le_bytes());
    if local {
        let local = at(&zip, b"PK\x03\x04") + field;
        zip[local..local + 4].copy_from_slice(&value.to_le_bytes());
    }
    zip
}

const SUM: usize = 14;
const PACKED: usize = 18;
const UNPACKED: usize = 22;

/// A name of the same length, written over the one that the crate accepted.
fn renamed(mut zip: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> =
        zip.windows(from.len()).enumerate().filter(|(_, w)| *w == from.as_bytes()).map(|(i, _)| i).collect();
    assert_eq!(places.len(), 2);
    for place in places {
        zip[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    zip
}

#[test]
fn a_bomb_is_refused() {
    // Small ones are sound: it is for their size that the others are refused.
    let (size, mut nowhere) = (2 * MIB as u64, std::io::sink());
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(zip_bomb(ELEVE, size))).unwrap();
    assert_eq!(std::io::copy(&mut zip.by_index(0).unwrap(), &mut nowhere).unwrap(), size);
    let gz = gz_bomb(size);
    assert_eq!(std::io::copy(&mut flate2::read::GzDecoder::new(gz.as_slice()), &mut nowhere).unwrap(), size);
    let limit = &Refused(&["ARCHIVE_LIMIT"]);
    check("zip", "ent", limit, |lab| lab.file(AAF_ZIP, zip_bomb(ELEVE, GIB)));
    check("zip that hides it", "ent", &Refused(&["ARCHIVE_LIMIT", "ARCHIVE_BROKEN"]), |lab| {
        lab.file(AAF_ZIP, lie(zip_bomb(ELEVE, GIB), true, UNPACKED, 4096))
    });
    check("gz", "ent", limit, |lab| lab.file(&format!("{ELEVE}.gz"), gz_bomb(STREAM)));
    check("tar.gz", "ent", limit, |lab| {
        let mut header = tar::Header::new_ustar();
        header.set_path(ELEVE).unwrap();
        header.set_size(STREAM);
        header.set_cksum();
        // A gzip of two members: the header of the tar, then its zeros.
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(header.as_bytes()).unwrap();
        lab.file("X_Complet_20260110.tar.gz", [gz.finish().unwrap(), gz_bomb(STREAM + MIB as u64)].concat())
    });
}

#[test]
fn archives_in_archives_are_not_opened() {
    let inner = zip_bomb(ELEVE, GIB);
    let numbered: Vec<String> = (0..10).map(|i| format!("{i}.zip")).collect();
    let ten = |bytes: &[u8]| zip_of(&numbered.iter().map(|n| (n.as_str(), bytes)).collect::<Vec<_>>());
    let codes = &Refused(&["ARCHIVE_BROKEN", "ARCHIVE_LIMIT", "ARCHIVE_UNSAFE"]);
    check("zip in zip in zip", "ent", codes, |lab| lab.file(AAF_ZIP, ten(&ten(&inner))));
    let sound = aaf(&requests(3));
    check("zip under the name of its table", "ent", codes, |lab| {
        lab.file(AAF_ZIP, zip_of(&[(ELEVE, &zip_of(&[(ELEVE, sound.as_bytes())]))]))
    });
}

#[test]
fn paths_that_leave_the_folder_are_refused() {
    let body = aaf(&requests(3));
    let plain = format!("xx_xx_{ELEVE}");
    for to in ["../../", "/tmp//", "..\\..\\", "C:\\xx\\", "a/../.", "xx\0../"] {
        let name = format!("{to}{}", &plain[to.len()..]);
        check(&format!("{to:?} in zip"), "ent", &Refused(&["ARCHIVE_UNSAFE", "ARCHIVE_BROKEN"]), |lab| {
            let zip = zip_of(&[(&plain, body.as_bytes()), (ELEVE, body.as_bytes())]);
            lab.file(AAF_ZIP, renamed(zip, &plain, &name))
        });
    }
    for unsafe_to in ["../../evil.xml", "/evil.xml", "..\\..\\evil.xml"] {
        check(&format!("{unsafe_to} in tar.gz"), "ent", &Refused(&["ARCHIVE_UNSAFE"]), |lab| {
            let tar = tar_gz(&[
                (unsafe_to, tar::EntryType::Regular, "", body.as_bytes()),
                (ELEVE, tar::EntryType::Regular, "", body.as_bytes()),
            ]);
            lab.file("X_Complet_20260110.tar.gz", tar)
        });
    }
    // Where a path that is followed would lead: above where the program stands, and at the root.
    check("to a known place", "ent", &Refused(&["ARCHIVE_UNSAFE"]), |lab| {
        let slipped = format!("{}/slipped.xml", lab.home.path().display());
        let up = format!("{}{}", "../".repeat(12), slipped.trim_start_matches('/'));
        let from = [slipped.replace(['/', '.'], "_"), up.replace(['/', '.'], "-")];
        let zip = zip_of(&[(&from[0], body.as_bytes()), (&from[1], body.as_bytes())]);
        lab.file(AAF_ZIP, renamed(renamed(zip, &from[0], &slipped), &from[1], &up))
    });
}

#[test]
fn a_zip_that_lies_is_refused() {
    let body = aaf(&requests(200));
    let zip = zip_of(&[(ELEVE, body.as_bytes())]);
    let codes = &Refused(&["ARCHIVE_BROKEN", "ARCHIVE_LIMIT", "ARCHIVE_UNSAFE"]);
    for (field, values) in
        [(SUM, [0, 1, u32::MAX]), (PACKED, [0, 10, 0xFFFF_FFF0]), (UNPACKED, [0, 10, 0xFFFF_FFF0])]
    {
        for value in values {
            for local in [true, false] {
                let case = format!("field {field} says {value}, local header too: {local}");
                check(&case, "ent", codes, |lab| lab.file(AAF_ZIP, lie(zip.clone(), local, field, value)));
            }
        }
    }
    // The place of the local header.
    check("header elsewhere", "ent", codes, |lab| lab.file(AAF_ZIP, lie(zip.clone(), false, 40, 64)));
    check("cut", "ent", codes, |lab| lab.file(AAF_ZIP, &zip[..zip.len() / 2]));
    check("two members of the same bytes", "ent", codes, |lab| {
        let at = zip.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        let end = zip.windows(4).position(|w| w == b"PK\x05\x06").unwrap();
        let other = ELEVE.replace("_0000", "_0001");
        let second = spoil_bytes(&zip[at..end], ELEVE.as_bytes(), other.as_bytes());
        let mut both = [&zip[..end], &second, &zip[end..]].concat();
        let end = end + second.len();
        both[end + 8..end + 12].copy_from_slice(&[2, 0, 2, 0]);
        let size = u32::try_from(2 * second.len()).unwrap();
        both[end + 12..end + 16].copy_from_slice(&size.to_le_bytes());
        lab.file(AAF_ZIP, both)
    });
}

fn spoil_bytes(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|w| w == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn links_and_devices_in_an_archive_are_refused() {
    use tar::EntryType;
    let kinds = [EntryType::Symlink, EntryType::Link, EntryType::Char, EntryType::Block, EntryType::Fifo];
    for kind in kinds {
        check(&format!("{kind:?}"), "ent", &Refused(&["ARCHIVE_UNSAFE"]), |lab| {
            let secret = lab.at("secret.xml").display().to_string();
            let other = ELEVE.replace("_0000", "_0001");
            let sound = aaf(&requests(3));
            let tar =
                tar_gz(&[(ELEVE, kind, &secret, b""), (&other, EntryType::Regular, "", sound.as_bytes())]);
            lab.file("X_Complet_20260110.tar.gz", tar)
        });
    }
    check("symlink in zip", "ent", &Refused(&["ARCHIVE_UNSAFE"]), |lab| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let secret = lab.at("secret.xml").display().to_string();
        zip.add_symlink(ELEVE, secret, zip::write::SimpleFileOptions::default()).unwrap();
        lab.file(AAF_ZIP, zip.finish().unwrap().into_inner())
    });
}
