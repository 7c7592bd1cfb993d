use super::super::samples::bordereau;
use super::*;
use crate::elimination::papers::xlsx;
use proptest::prelude::*;
use std::io::{Cursor, Write};
use std::process::Command;
use std::sync::LazyLock;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

fn read(bytes: &[u8], b: &Bordereau) -> Result<Vec<RowDecision>, String> {
    annotations("rendu.xlsx", bytes, b, &WorkbookLimits::default()).map_err(|e| e.to_string())
}

/// The workbook with each part passed through a function of its name and text.
fn rewrite(bytes: &[u8], change: impl Fn(&str, String) -> String) -> Vec<u8> {
    let mut zip = ZipArchive::new(Cursor::new(bytes)).unwrap();
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for i in 0..zip.len() {
        let mut part = zip.by_index(i).unwrap();
        let name = part.name().unwrap().into_owned();
        let mut text = String::new();
        part.read_to_string(&mut text).unwrap();
        out.start_file(&*name, SimpleFileOptions::default()).unwrap();
        out.write_all(change(&name, text).as_bytes()).unwrap();
    }
    out.finish().unwrap().into_inner()
}

const SHEET: &str = "xl/worksheets/sheet1.xml";

/// The workbook with cells written as a program would: `(name, XML inside the cell)`.
fn with_cells(b: &Bordereau, cells: &[(&str, &str)]) -> Vec<u8> {
    rewrite(&xlsx(b).unwrap(), |name, mut text| {
        if name == SHEET {
            for (cell, inside) in cells {
                let (before, after) =
                    text.split_once(&format!("<c r=\"{cell}\"")).expect("the cell is there");
                // A cell ends with its own tag or, empty, with its only one.
                let full = after.split_once("</c>").filter(|(old, _)| !old.contains("/>"));
                let (_, after) = full.or_else(|| after.split_once("/>")).unwrap();
                text = format!("{before}<c r=\"{cell}\" {inside}</c>{after}");
            }
        }
        text
    })
}

fn inline(text: &str) -> String {
    format!("t=\"inlineStr\"><is><t>{text}</t></is>")
}

#[test]
fn a_sheet_given_back_untouched_decides_nothing() {
    for rows in [0, 1, 30, 1_000] {
        let b = bordereau(rows);
        let decisions = read(&xlsx(&b).unwrap(), &b).unwrap();
        assert_eq!(decisions.len(), rows);
        assert!(decisions.iter().all(|d| d.decision.is_none() && d.observation.is_none()));
    }
    let without_copies = Bordereau { copies: Vec::new(), ..bordereau(2) };
    assert_eq!(read(&xlsx(&without_copies).unwrap(), &without_copies).unwrap().len(), 2);
}

#[test]
fn the_same_bordereau_gives_the_same_bytes() {
    assert_eq!(xlsx(&bordereau(30)).unwrap(), xlsx(&bordereau(30)).unwrap());
}

#[test]
fn decisions_are_read_whatever_their_case_and_accents() {
    let b = bordereau(5);
    let words = ["VISA", " refus ", "A TRIER", "a\u{300} trier", "à\u{a0}Trier"];
    let cells: Vec<(String, String)> =
        (11..).zip(words).map(|(row, word)| (format!("K{row}"), inline(word))).collect();
    let mut cells: Vec<(&str, &str)> = cells.iter().map(|(c, x)| (c.as_str(), x.as_str())).collect();
    let note = inline("voir l&apos;archiviste");
    cells.push(("L12", &note));
    let decisions = read(&with_cells(&b, &cells), &b).unwrap();
    let answers: Vec<_> = decisions.iter().map(|d| d.decision.unwrap()).collect();
    assert_eq!(answers, [Answer::Visa, Answer::Refus, Answer::ATrier, Answer::ATrier, Answer::ATrier]);
    assert_eq!(decisions[1].observation.as_deref(), Some("voir l'archiviste"));
}

#[test]
fn any_other_change_is_refused_and_its_cell_is_named() {
    let b = bordereau(5);
    for (cell, inside, words) in [
        ("C11", inline("autre chose"), ["C11", "Typologie"]),
        ("B12", inline(""), ["B12", "« DNMA-002 »"]),
        ("D11", "><v>2012</v>".into(), ["D11", "« 2011 »"]),
        ("G11", "><v>45901</v>".into(), ["G11", "« 31/08/2025 »"]),
        ("I11", "><v>98765432108</v>".into(), ["I11", "« 98\u{202f}765\u{202f}432\u{202f}109 »"]),
        ("I11", inline("98765432109"), ["I11", "contenu modifié"]),
        ("H11", "><f>1234567</f><v>1234567</v>".into(), ["H11", "contenu modifié"]),
        ("J11", inline("ajout"), ["J11", "la cellule était vide"]),
        ("A11", "><v>2</v>".into(), ["A12", "déjà à la ligne 11"]),
        ("A11", "><v>77</v>".into(), ["A11", "n'est pas dans la liste"]),
        ("A11", inline("1"), ["A11", "sans numéro d'ordre"]),
        ("K11", inline("oui"), ["K11", "décision inconnue"]),
        ("K11", "><v>1</v>".into(), ["K11", "décision inconnue"]),
        ("K11", "t=\"str\"><f>\"Visa\"</f><v>Visa</v>".into(), ["K11", "formule"]),
        ("L11", "t=\"e\"><v>#REF!</v>".into(), ["L11", "observation"]),
        ("C3", inline("Autre service"), ["C3", "Direction des systèmes"]),
        ("A10", inline("n°"), ["A10", "N° d'ordre"]),
        ("L11", inline("x</t></is></c><c r=\"M11\" t=\"inlineStr\"><is><t>plus"), ["M11", "contenu ajouté"]),
        (
            "L15",
            inline("x</t></is></c></row><row r=\"40\"><c r=\"C40\" t=\"inlineStr\"><is><t>plus"),
            ["A40", "sans numéro d'ordre"],
        ),
    ] {
        let message = read(&with_cells(&b, &[(cell, &inside)]), &b).unwrap_err();
        for word in words {
            assert!(message.contains(word), "{cell} {inside}: {message}");
        }
    }
}

#[test]
fn rows_and_sheets_must_all_be_there() {
    let b = bordereau(3);
    let bytes = xlsx(&b).unwrap();
    let without = |row: usize| {
        rewrite(&bytes, |name, text| match text.split_once(&format!("<row r=\"{row}\"")) {
            Some((before, after)) if name == SHEET => {
                format!("{before}{}", after.split_once("</row>").unwrap().1)
            }
            _ => text,
        })
    };
    assert!(read(&without(12), &b).unwrap_err().contains("numéro d'ordre 2 manque"));
    let renamed = rewrite(&bytes, |_, text| text.replace("name=\"Bordereau\"", "name=\"Feuille\""));
    assert!(read(&renamed, &b).unwrap_err().contains("la feuille « Bordereau » manque"));
    let renamed = rewrite(&bytes, |_, text| text.replace("name=\"Copies couvertes\"", "name=\"Feuille\""));
    let message = read(&renamed, &b).unwrap_err();
    assert!(
        message.contains("une feuille en trop") && message.contains("« Copies couvertes », cellule A1"),
        "{message}"
    );
}

#[test]
fn rows_in_another_order_are_the_same_rows() {
    let (b, reversed) =
        (bordereau(3), Bordereau { rows: bordereau(3).rows.into_iter().rev().collect(), ..bordereau(3) });
    let decisions = read(&xlsx(&reversed).unwrap(), &b).unwrap();
    assert_eq!(decisions.iter().map(|d| d.order).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn another_list_is_told_once() {
    let other = Bordereau { digest: "0".repeat(64), ..bordereau(3) };
    let error = annotations("r.xlsx", &xlsx(&other).unwrap(), &bordereau(3), &WorkbookLimits::default());
    let Err(Error::Config(faults)) = error else { panic!("refused") };
    assert_eq!((faults.len(), faults[0].line, faults[0].column), (1, 8, 9));
    assert!(faults[0].message.contains("ne porte pas l'empreinte de la liste EL-20261122-3f9a1c02"));
}

#[test]
fn faults_are_told_up_to_a_limit() {
    let (b, mut other) = (bordereau(200), bordereau(200));
    other.rows.iter_mut().for_each(|r| r.records += 1);
    let error = annotations("r.xlsx", &xlsx(&other).unwrap(), &b, &WorkbookLimits::default());
    let Err(Error::Config(faults)) = error else { panic!("refused") };
    // The total volume of the heading block differs too.
    assert_eq!(faults.len(), FAULTS_MAX + 1);
    assert!(faults[FAULTS_MAX].message.starts_with("et 151 autres"), "{}", faults[FAULTS_MAX]);
}

/// A zip of stored and deflated members.
fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        out.start_file(*name, SimpleFileOptions::default()).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap().into_inner()
}

#[test]
fn hostile_files_are_refused_within_bounds() {
    let b = bordereau(2);
    let sound = xlsx(&b).unwrap();
    let bomb = rewrite(&sound, |name, text| match name {
        SHEET => text.replace("<sheetData>", &format!("<sheetData>{}", " ".repeat(65 << 20))),
        _ => text,
    });
    assert!(bomb.len() < 1 << 20);
    let many: Vec<String> = (0..501).map(|i| format!("xl/{i}")).collect();
    let many = zip_of(&many.iter().map(|n| (n.as_str(), &b"x"[..])).collect::<Vec<_>>());
    // A member that promises another size: the declared one is in the directory, 24 bytes in.
    let mut liar = sound.clone();
    for at in
        liar.windows(4).enumerate().filter(|(_, w)| w == b"PK\x01\x02").map(|(i, _)| i).collect::<Vec<_>>()
    {
        liar[at + 24..at + 28].copy_from_slice(&[0xFE, 0xFF, 0xFF, 0xFF]);
    }
    let parted = |mark: &str| {
        let name = format!("xl/{mark}");
        let mut zip = ZipWriter::new_append(Cursor::new(sound.clone())).unwrap();
        zip.start_file(&*name, SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap().into_inner()
    };
    let xxe = rewrite(&sound, |name, text| match name {
        SHEET => {
            text.replace("<worksheet", "<!DOCTYPE w [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><worksheet")
        }
        _ => text,
    });
    let far = rewrite(&sound, |name, text| match name {
        SHEET => text
            .replace("</sheetData>", "<row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row></sheetData>"),
        _ => text,
    });
    let outside = rewrite(&sound, |name, text| match name {
        "xl/_rels/workbook.xml.rels" => text.replace("worksheets/sheet1.xml", "../../etc/passwd"),
        _ => text,
    });
    for (what, bytes, word) in [
        ("empty", Vec::new(), "n'est pas un classeur"),
        ("text", b"a;b\n1;2\n".to_vec(), "n'est pas un classeur"),
        ("OpenDocument", zip_of(&[("mimetype", b"application/vnd.oasis")]), "abîmé"),
        ("bomb", bomb, "64 Mio de contenu décompressé"),
        ("many members", many, "500 éléments"),
        ("false sizes", liar, "limite"),
        ("large file", vec![b'P'; (16 << 20) + 1], "16 Mio pour le fichier"),
        ("macro", parted("vbaProject.bin"), "macros"),
        ("comments", parted("comments1.xml"), "commentaires"),
        ("links", parted("externalLinks/externalLink1.xml"), "liens"),
        ("external entity", xxe, "DOCTYPE"),
        ("a far cell", far, "sans numéro d'ordre"),
        ("a path outside", outside, "abîmé"),
        ("cut", sound[..sound.len() - 30].to_vec(), "abîmé"),
    ] {
        let message = read(&bytes, &b).unwrap_err();
        assert!(message.contains(word), "{what}: {message}");
    }
}

/// Three rows and their sheet, made once.
fn three() -> (Bordereau, Vec<u8>) {
    static MADE: LazyLock<(Bordereau, Vec<u8>)> = LazyLock::new(|| {
        let b = bordereau(3);
        let bytes = xlsx(&b).unwrap();
        (b, bytes)
    });
    MADE.clone()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_mutation_makes_a_decision_or_a_panic(at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in 0_usize..3) {
        let (b, mut bytes) = three();
        let at = at.index(bytes.len());
        match cut {
            0 => bytes.truncate(at),
            _ => bytes[at] = byte,
        }
        // Either the file is refused, or what was hit (a date of the zip) is not read.
        if let Ok(decisions) = read(&bytes, &b) {
            prop_assert!(decisions.len() == 3 && decisions.iter().all(|d| d.decision.is_none()));
        }
    }

    #[test]
    fn no_mutation_of_the_sheet_invents_a_decision(at in any::<proptest::sample::Index>(), with in "[ -~é]{0,6}") {
        let (b, bytes) = three();
        let bytes = rewrite(&bytes, |name, mut text| {
            if name == SHEET {
                let at = (0..=at.index(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap();
                text.replace_range(at..text.ceil_char_boundary((at + with.len()).min(text.len())), &with);
            }
            text
        });
        if let Ok(decisions) = read(&bytes, &b) {
            prop_assert!(decisions.len() == 3 && decisions.iter().all(|d| d.decision.is_none()));
        }
    }
}

/// Runs a program; `None`, said on the console, where it is not installed.
fn run(program: &str, arguments: &[&str]) -> Option<()> {
    let done = Command::new(program).args(arguments).output();
    if done.as_ref().is_ok_and(|o| o.status.success()) {
        return Some(());
    }
    println!("{program} absent ou en échec : essai sauté");
    None
}

#[test]
fn a_sheet_annotated_with_openpyxl_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (sent, back) = (folder.path().join("b.xlsx"), folder.path().join("rendu.xlsx"));
    let b = bordereau(30);
    File::create(&sent).unwrap().write_all(&xlsx(&b).unwrap()).unwrap();
    let script = "import sys, openpyxl\nw = openpyxl.load_workbook(sys.argv[1])\ns = w['Bordereau']\n\
        assert s.protection.sheet and s['C11'].protection.locked and not s['K11'].protection.locked and not s['L11'].protection.locked\n\
        assert s.data_validations.dataValidation[0].formula1 == '\"Visa,Refus,À trier\"'\n\
        assert s.print_title_rows == '$10:$10' and s.freeze_panes == 'A11' and s.page_setup.orientation == 'landscape'\n\
        s['K11'] = 'Visa'; s['K12'] = 'refus'; s['K13'] = 'À trier'; s['L12'] = 'à revoir en 2030'\nw.save(sys.argv[2])";
    if run("python3", &["-c", "import openpyxl"]).is_none() {
        return;
    }
    let paths = [sent.to_str().unwrap(), back.to_str().unwrap()];
    run("python3", &["-c", script, paths[0], paths[1]]).expect("openpyxl reads what we write");
    let decisions = annotate(&back, &b).unwrap();
    let answers: Vec<_> = decisions.iter().take(4).map(|d| d.decision).collect();
    assert_eq!(answers, [Some(Answer::Visa), Some(Answer::Refus), Some(Answer::ATrier), None]);
    assert_eq!(decisions[1].observation.as_deref(), Some("à revoir en 2030"));
}

#[test]
fn a_sheet_saved_by_libreoffice_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let sent = folder.path().join("rendu.xlsx");
    let b = bordereau(30);
    let marked = with_cells(&b, &[("K11", &inline("Visa")), ("L11", &inline("vu"))]);
    File::create(&sent).unwrap().write_all(&marked).unwrap();
    let profile = format!("-env:UserInstallation=file://{}", folder.path().join("profile").display());
    let out = folder.path().join("out");
    let arguments = [
        &profile,
        "--headless",
        "--convert-to",
        "xlsx",
        "--outdir",
        out.to_str().unwrap(),
        sent.to_str().unwrap(),
    ];
    if run("soffice", &arguments).is_none() {
        return;
    }
    let decisions = annotate(&out.join("rendu.xlsx"), &b).unwrap();
    assert_eq!(decisions[0].decision, Some(Answer::Visa));
    assert_eq!(decisions[0].observation.as_deref(), Some("vu"));
    assert_eq!(decisions.iter().filter(|d| d.decision.is_some()).count(), 1);
}
