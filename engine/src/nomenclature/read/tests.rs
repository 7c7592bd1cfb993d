//! Exports of every shape, right and wrong.

use super::super::tests::{day, real, table};
use super::super::{Nomenclatures, Verdict, diff};
use super::*;

fn reason(file: &str, bytes: &[u8]) -> String {
    Table::from_file(file, bytes).unwrap().unwrap_err()
}

#[test]
fn every_shape_of_export_gives_the_same_table() {
    let shapes: [(&str, Vec<u8>); 8] = [
        ("n_mef.csv", "MEF;LIBELLE_COURT;DATE_OUVERTURE;DATE_FERMETURE\n0001;é;01/09/2000;31/08/2010\n".into()),
        ("N_MEF.CSV", "mef|libelle_court|date_ouverture|date_fermeture\r\n0001|é|2000-09-01|2010-08-31\r\n".into()),
        ("a/n_mef_BCN.csv", "\"Mef\",\"Libellé court\",\"Date ouverture\",\"Date fermeture\"\n0001,é,01/09/2000,31/08/2010".into()),
        ("n_mef_long.csv", "MEF\tLIBELLE_COURT\tDATE_OUVERTURE\tDATE_FERMETURE\n0001\té\t01/09/2000\t31/08/2010\n".into()),
        ("n_mef_bcn.csv", "\u{FEFF}MEF;LIBELLE_COURT;DATE_OUVERTURE;DATE_FERMETURE\n0001;é;01/09/2000;2010-08-31\n".into()),
        ("n_mef.csv", b"MEF;LIBELLE_COURT;DATE_OUVERTURE;DATE_FERMETURE\n0001;\xE9;01/09/2000;31/08/2010\n".to_vec()),
        ("n_mef.csv", "\n\"LIBELLE_COURT\",\"DATE_OUVERTURE\",\"DATE_FERMETURE\",\"a;b;c;d;e\",MEF\né,01/09/2000,31/08/2010,,0001\n".into()),
        ("n_mef.json", r#"{"0001":{"shortName":"é","DATE_OUVERTURE":"01/09/2000","DATE_FERMETURE":"31/08/2010"}}"#.into()),
    ];
    let want = Validity { open: Some(day("01/09/2000")), close: Some(day("31/08/2010")) };
    for (file, bytes) in shapes {
        let t = table(file, &bytes);
        let shown = String::from_utf8_lossy(&bytes);
        assert_eq!(t.name, "N_MEF", "{shown}");
        assert_eq!(t.windows("0001"), [want], "{shown}");
        assert_eq!(t.label("0001", LabelKind::Short), Some("é"), "{shown}");
        assert_eq!((t.flawed_rows, t.len()), (0, 1), "{shown}");
        assert_eq!(t.digest, Digest::of(&bytes));
    }
}

#[test]
fn plain_code_lists_are_read_with_their_first_column_or_code() {
    let csv = "code;libelle;academie;date_ouverture;date_fermeture\n\
        0010024W;Établissement 00001;01;1985-03-02;\n0010025X;Établissement 00002;01;1990-01-01;2025-01-31\n";
    let t = table("etablissements.csv", csv.as_bytes());
    assert_eq!(t.name, "ETABLISSEMENTS");
    assert_eq!(t.label("0010024W", LabelKind::Long), Some("Établissement 00001"));
    assert_eq!(t.judge("0010024W", day("01/01/2050")), Verdict::Valid);
    assert_eq!(t.judge("0010025X", day("31/01/2025")), Verdict::Valid);
    assert_eq!(
        t.judge("0010025X", day("01/02/2025")),
        Verdict::Closed { last_day: day("31/01/2025"), successors: &[] }
    );
    assert_eq!(table("x.csv", b"libelle;CODE\na;1\n").codes(), ["1"]);
    assert_eq!(table("x.csv", b"a;b\n1;2\n").codes(), ["1"]);
}

#[test]
fn flaws_are_counted_with_their_line_and_nothing_is_repaired() {
    let csv = "MEF;LIBELLE;DATE_OUVERTURE;DATE_FERMETURE\n\
        10;a;01/09/2019;31/08/1998\n11;b;31/02/2000;\n10;a;01/09/2019;31/08/1998\n;c;;\n;;;\n12;d\n7;e;;\n13;f;;\n";
    let t = table("n_mef.csv", csv.as_bytes());
    let told: Vec<(FlawKind, u64, &str)> =
        t.flaws.iter().map(|f| (f.kind, f.line, f.code.as_str())).collect();
    assert_eq!(
        told,
        [
            (FlawKind::OpeningAfterClosing, 2, "10"),
            (FlawKind::UnreadableDate, 3, "11"),
            (FlawKind::DuplicateRow, 4, "10"),
            (FlawKind::MissingCode, 5, ""),
            (FlawKind::RowWidth, 7, "12"),
            (FlawKind::LostZeros, 8, "7"),
        ]
    );
    assert_eq!(t.flawed_rows, 6);
    assert_eq!(t.codes(), ["10", "11", "12", "13", "7"]);
    assert_eq!(t.rows("10").len(), 1);
    assert_eq!(t.rows("10")[0].ignored_opening, Some(day("01/09/2019")));
    assert_eq!(t.judge("07", day("01/01/2020")), Verdict::Unknown);
}

#[test]
fn short_codes_are_suspect_only_when_zeros_may_have_been_lost() {
    let suspects = |codes: &[&str]| {
        let csv = format!("X;L\n{}", codes.iter().map(|c| format!("{c};\n")).collect::<String>());
        table("n_x.csv", csv.as_bytes()).flaws.iter().filter(|f| f.kind == FlawKind::LostZeros).count()
    };
    for (codes, want) in [
        (["371900", "379900", "35515"], 1),
        (["LYC", "EREA", "COLL"], 0),
        (["371900", "035515", "35515"], 0),
        (["10", "1", "2"], 0),
        (["36C25011", "36C25012", "36C250N"], 0),
    ] {
        assert_eq!(suspects(&codes), want, "{codes:?}");
    }
}

#[test]
fn a_link_is_known_by_all_the_codes_it_joins() {
    let key = |file: &str, header: &str| {
        let t = table(file, format!("{header}\n1;2;3;;\n").as_bytes());
        t.codes()[0].to_owned()
    };
    for (file, header, want) in [
        ("n_lien_mef_famille_metier.csv", "FAMILLE_METIER;MEF;METIER;DATE_OUVERTURE;DATE_FERMETURE", "2/1"),
        ("n_lien_academie_departement.csv", "ACA;DEP;DATE_OUVERTURE;x;y", "1/2"),
        ("n_lien_mef_matiere.csv", "MEF;MATIERE;HORAIRE;DATE_OUVERTURE;DATE_FERMETURE", "1/2"),
        ("n_lien_x.csv", "X;DATE_OUVERTURE;a;b;c", "1"),
    ] {
        assert_eq!(key(file, header), want, "{file}");
    }
}

#[test]
fn successors_are_found_by_the_name_of_their_column() {
    let keys = ["FORMATION_DIPLOME"];
    for (name, want) in [
        ("NOUVEAU_DIPLOME_1", Role::Successor),
        ("NOUVELLE_FORMATION_DIPLOME", Role::Successor),
        ("SUCCESSEUR", Role::Successor),
        ("REMPLACE_PAR_2", Role::Successor),
        ("NOUVEAU_BAREME", Role::Other),
        ("NOUVEAU_", Role::Other),
        ("ANCIEN_DIPLOME_1", Role::Other),
        ("LIBELLE_LONG_200", Role::Label(LabelKind::Long)),
        ("LIBELLE_100", Role::Label(LabelKind::Long)),
        ("LIBELLE_STAT_33", Role::Label(LabelKind::Other)),
    ] {
        assert_eq!(role(name, &keys), want, "{name}");
    }
}

#[test]
fn what_is_no_table_says_why() {
    for (file, bytes, want) in [
        ("n_a.csv", &b""[..], "fichier vide"),
        ("n_a.csv", b"\n \n", "aucun code : la table est vide"),
        ("n_a.csv", b"A;B\n", "aucun code : la table est vide"),
        ("n_a.csv", b"<html>", "page HTML ou document XML : exportez la table au format CSV"),
        (
            "n_a.csv",
            b"A;B\n1;x\n2;\"y\n3;z\n",
            "guillemet ouvert ligne 3 et jamais refermé : corrigez ce fichier ou exportez-le de nouveau",
        ),
        (
            "n_a.csv",
            b"\"A;B\n1;x\n",
            "guillemet ouvert ligne 1 et jamais refermé : corrigez ce fichier ou exportez-le de nouveau",
        ),
        (
            "n_a.csv",
            b"\xFF\xFEA\0;\0",
            "octets nuls : fichier binaire ou UTF-16, exportez la table en UTF-8 ou en windows-1252",
        ),
        ("n_a.json", b"{\n1", "objet JSON dont les clés sont les codes attendu (ligne 2)"),
    ] {
        assert_eq!(reason(file, bytes), want);
    }
    assert!(Table::from_file("lisezmoi.md", b"").is_none());
    assert!(Table::from_file("csv", b"").is_none());
}

#[test]
fn json_may_hold_labels_and_repeated_codes() {
    let t = table("n_a.json", br#"{"01":"un","02":{"name":"deux","n":2},"01":"un","03":null}"#);
    assert_eq!(t.codes(), ["01", "02", "03"]);
    assert_eq!(t.label("01", LabelKind::Long), Some("un"));
    assert_eq!(t.label("02", LabelKind::Long), Some("deux"));
    assert_eq!(t.flaws.iter().map(|f| f.kind).collect::<Vec<_>>(), [FlawKind::DuplicateRow]);
}

#[test]
fn rows_in_any_order_give_the_same_answers() {
    let rows = ["1;01/09/2000;31/08/2010;2", "1;01/09/2020;;", "2;;;", "3;01/09/2019;31/08/1998;1"];
    let read = |order: [usize; 4]| {
        let body: String = order.iter().map(|i| format!("{}\n", rows[*i])).collect();
        table("n_mef.csv", format!("MEF;DATE_OUVERTURE;DATE_FERMETURE;NOUVEAU_MEF\n{body}").as_bytes())
    };
    let (a, b) = (read([0, 1, 2, 3]), read([3, 1, 0, 2]));
    for code in ["1", "2", "3", "4"] {
        assert_eq!(a.windows(code), b.windows(code));
        for at in ["01/01/1990", "01/09/2005", "01/01/2015", "01/01/2025"] {
            assert_eq!(a.judge(code, day(at)), b.judge(code, day(at)));
        }
    }
    assert!(diff(&a, &b).is_unchanged());
}

/// Run once in a while: `cargo test --release mutated_bytes -- --ignored`.
#[test]
#[ignore = "100,000 mutations: slow without optimisation"]
fn mutated_bytes_never_panic() {
    let mut seeds: Vec<(String, Vec<u8>)> = vec![
        ("n_mef.csv".into(), b"MEF;LIBELLE_LONG;DATE_OUVERTURE;DATE_FERMETURE;NOUVEAU_MEF\n01;\"a;\"\"b\";01/09/2000;31/12/9999;02\n02;;;;\n".to_vec()),
        ("n_lien_mef_a.csv".into(), "\u{FEFF}MEF|A|DATE_OUVERTURE\n01|é|2000-09-01\n".into()),
        ("n_a.json".into(), br#"{"01":{"name":"x","n":[1]},"02":"y","03":null}"#.to_vec()),
    ];
    if let Some(folder) = real() {
        for file in [
            "n_mef.csv",
            "n_formation_diplome.csv",
            "n_lien_mef_famille_metier.csv",
            "n_type_diplome_sise.csv",
        ] {
            let bytes = std::fs::read(folder.join(file)).unwrap();
            seeds.push((file.into(), bytes.into_iter().take(3000).collect()));
        }
    }
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    let spice = b";|,\t\"\n\r\0\x01/-09{}[]:\xE9\xC3\xEF\xBB\xBF_N";
    let mut before: Option<Table> = None;
    let mut read = 0;
    for round in 0..100_000 {
        let (file, mut bytes) = seeds[round % seeds.len()].clone();
        for _ in 0..=random(8) {
            let at = random(bytes.len());
            match random(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, spice[random(spice.len())]),
                2 if at < bytes.len() => bytes[at] = u8::try_from(random(256)).unwrap(),
                3 if at < bytes.len() => bytes[at] = spice[random(spice.len())],
                _ => {
                    let piece = bytes[at..(at + random(80)).min(bytes.len())].to_vec();
                    let to = random(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        let (all, _) = Nomenclatures::from_files(&[(file.clone(), bytes.clone())]);
        assert!(all.editions().count() <= 1);
        let Some(Ok(table)) = Table::from_file(&file, &bytes) else { continue };
        read += 1;
        for code in table.codes() {
            assert!(!table.windows(code).is_empty());
            let sheet = table.show(code, day("01/09/2005"));
            assert!(!sheet.french().is_empty());
            serde_json::to_string(&sheet).unwrap();
        }
        assert!(!table.show("01", day("01/09/2005")).french().is_empty());
        if let Some(old) = before.replace(table) {
            let change = diff(&old, before.as_ref().unwrap());
            assert!(!change.french().is_empty());
            serde_json::to_string(&change).unwrap();
        }
    }
    println!("{read} tables lues sur 100000");
    assert!(read > 10_000);
}
