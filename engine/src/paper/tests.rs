use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use std::process::Command;

/// The text of the tag tree, a line a node, in reading order.
pub(crate) fn plain_text(paper: &Paper) -> String {
    let mut texts: BTreeMap<usize, String> = BTreeMap::new();
    for mark in paper.pages.iter().flatten() {
        if let Mark::Text { node: Some(node), line, .. } = mark {
            texts.entry(*node).or_default().push_str(&line.text);
        }
    }
    texts.into_values().collect::<Vec<_>>().join("\n")
}

fn paper() -> Paper {
    Paper::new(Orientation::Landscape, "Essai", "pied").unwrap()
}

fn table(rows: usize, text: &str) -> Table {
    let column = |heading| Column { heading, share: 1.0, align: Align::Left };
    Table {
        columns: vec![column("N°"), column("Texte")],
        rows: (1..=rows).map(|r| vec![r.to_string(), text.to_owned()]).collect(),
        total: Some(vec!["Total".into(), String::new()]),
    }
}

fn texts(page: &[Mark]) -> Vec<(Option<usize>, &str)> {
    page.iter()
        .filter_map(|m| match m {
            Mark::Text { node, line, .. } => Some((*node, line.text.as_str())),
            _ => None,
        })
        .collect()
}

#[test]
fn headings_of_tables_come_again_on_each_page_but_once_in_the_tree() {
    let mut paper = paper();
    paper.table(&table(200, "mot"));
    assert!(paper.pages() > 3);
    for (number, page) in paper.pages.iter().enumerate() {
        let (node, text) = texts(page)[0];
        assert_eq!((text, node.is_some()), ("N°", number == 0));
    }
    assert_eq!(plain_text(&paper).matches("N°").count(), 1);
    let rows = paper.nodes.iter().filter(|n| n.role == Role::Row).count();
    assert_eq!(rows, 202);
}

#[test]
fn rows_have_as_many_cells_as_columns_even_empty_ones() {
    let mut paper = paper();
    paper.table(&table(2, ""));
    let drawn: Vec<usize> = paper.pages.iter().flat_map(|p| texts(p)).filter_map(|(n, _)| n).collect();
    for row in paper.nodes.iter().filter(|n| n.role == Role::Row) {
        assert_eq!(row.children.len(), 2);
        assert!(row.children.iter().all(|c| drawn.contains(c)));
    }
}

#[test]
fn a_row_taller_than_a_page_goes_on_and_one_that_is_not_moves() {
    let mut tall = paper();
    tall.table(&table(1, &"mot ".repeat(6_000)));
    assert!(tall.pages() > 2);
    assert_eq!(plain_text(&tall).matches("mot").count(), 6_000);
    let mut small = paper();
    small.table(&table(40, &"mot ".repeat(300)));
    for page in &small.pages {
        // A row of some lines is whole on its page: each number is beside its own text.
        let numbers = texts(page).iter().filter(|(n, t)| n.is_some() && t.parse::<u32>().is_ok()).count();
        let words: usize = texts(page).iter().map(|(_, t)| t.matches("mot").count()).sum();
        assert_eq!(words, numbers * 300);
    }
}

#[test]
fn frames_stay_whole_with_their_heading() {
    for lines in 0..45 {
        let mut paper = paper();
        (0..lines).for_each(|_| paper.paragraph("ligne", Weight::Regular));
        let frames = ["gauche", "droite"].map(|heading| Frame {
            heading: heading.into(),
            sentences: vec!["phrase".into()],
            fields: vec![Field::blank("Date"), Field::room("Cachet", 60.0)],
        });
        paper.section("Signatures", paper.frames_height(&frames));
        paper.frames(&frames, 70.0);
        let last = texts(paper.pages.last().unwrap());
        for word in ["Signatures", "gauche", "droite", "Cachet\u{A0}: "] {
            assert!(last.iter().any(|(_, t)| *t == word), "{lines} lines: {word} in {last:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn nothing_is_drawn_outside_the_margins(rows in 0_usize..60, text in "[a-zé «»;:\n]{0,200}", wide in any::<bool>()) {
        let orientation = if wide { Orientation::Landscape } else { Orientation::Portrait };
        let mut paper = Paper::new(orientation, "Essai", "pied").unwrap();
        paper.title(&text);
        paper.fields(100.0, &[&[("Un", text.clone())], &[("Deux", text.clone())]]);
        paper.table(&table(rows, &text));
        let (width, height) = paper.size;
        for mark in paper.pages.iter().flatten() {
            let (left, top, right, low) = match mark {
                Mark::Text { x, baseline, line, size, .. } => (*x, baseline - size, x + line.width, *baseline),
                Mark::Rule { from, to } => (from.0, from.1, to.0, to.1),
                Mark::Shade { at, size } => (at.0, at.1, at.0 + size.0, at.1 + size.1),
            };
            // A title starts a hair higher than its line.
            let top = top + 0.5;
            prop_assert!(left >= MARGIN - 0.1 && right <= width - MARGIN + 0.1, "{left} to {right}");
            prop_assert!(top >= MARGIN && low <= height - MARGIN - FOOT + 0.1, "{top} to {low}");
        }
    }
}

#[test]
fn the_file_is_tagged_french_and_says_which_standards_it_follows() {
    let mut paper = paper();
    paper.title("Élimination");
    paper.table(&table(3, "cœur « œuvre » 12 €"));
    let bytes = paper.finish(NaiveDate::from_ymd_opt(2026, 11, 22).unwrap()).unwrap();
    let has = |word: &str| bytes.windows(word.len()).any(|w| w == word.as_bytes());
    for word in [
        "/Lang(fr-FR)",
        "/StructTreeRoot",
        "/Marked true",
        "/S/TH",
        "/Scope/Column",
        "/Scope/Row",
        "<pdfuaid:part>1<",
        "<pdfaid:part>2<",
        "<pdfaid:conformance>A<",
        "/CreationDate(D:20261122000000Z)",
    ] {
        assert!(has(word), "{word}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("essai.pdf");
    std::fs::File::create(&path).unwrap().write_all(&bytes).unwrap();
    let Ok(read) = Command::new("pdftotext").args([path.to_str().unwrap(), "-"]).output() else {
        println!("pdftotext absent : lecture du texte sautée");
        return;
    };
    let text = String::from_utf8(read.stdout).unwrap().replace('\u{A0}', " ");
    assert!(text.starts_with("Élimination") && text.contains("cœur « œuvre » 12 €"), "{text}");
}
