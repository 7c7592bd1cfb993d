//! The bordereau d'élimination on paper: what is proposed, to whom, and two areas for signatures.

use super::bordereau::{Answer, Bordereau, BordereauRow, CopyCovered, RowDecision, Service, day, volume};
use crate::error::Result;
use crate::french::{count, thousands};
use crate::paper::{Align, Column, Field, Frame, Orientation, Paper, Table, Weight};
use std::collections::BTreeMap;

const fn column(heading: &'static str, share: f32, align: Align) -> Column {
    Column { heading, share, align }
}

const COLUMNS: [Column; 11] = [
    column("N° d'ordre", 40.0, Align::Center),
    column("Référence au tableau de gestion", 87.0, Align::Left),
    column("Typologie des documents", 150.0, Align::Left),
    column("Année de début", 45.0, Align::Center),
    column("Année de fin", 45.0, Align::Center),
    column("DUA ou DUP", 58.0, Align::Left),
    column("Échéance", 52.0, Align::Center),
    column("Enregistrements", 78.0, Align::Right),
    column("Volume (octets)", 84.0, Align::Right),
    column("Observations du service", 116.0, Align::Left),
    column("Décision des archives", 74.0, Align::Left),
];

/// The bordereau as a PDF, with the decisions that are known; without any, their column is left for
/// a hand. The same arguments give the same bytes.
///
/// # Errors
/// When the document cannot be written.
pub fn bordereau_pdf(bordereau: &Bordereau, decisions: &[RowDecision]) -> Result<Vec<u8>> {
    draft(bordereau, decisions)?.finish(bordereau.proposed_on)
}

fn draft(b: &Bordereau, decisions: &[RowDecision]) -> Result<Paper> {
    let title = format!("Bordereau d'élimination {}", b.id);
    let foot = format!("{title}, empreinte de la liste (SHA-256) : {}", b.digest);
    let mut paper = Paper::new(Orientation::Landscape, &title, &foot)?;
    paper.title("Bordereau d'élimination d'archives publiques");
    paper.paragraph(
        "Code du patrimoine, articles L212-2, L212-3 et R212-14. Aucune élimination sans le visa de la personne chargée du contrôle scientifique et technique de l'État sur les archives ; détruire des archives publiques sans cet accord est un délit (article L214-3).",
        Weight::Regular,
    );
    let mut asking = service_fields(&b.service);
    asking.push(("Contact", b.service.contact.clone()));
    asking.push(("Archives compétentes", b.archives.clone()));
    asking.retain(|(_, value)| !value.is_empty());
    let rows = count(b.rows.len() as u64, "ligne", "lignes");
    let asked = [
        ("Numéro de la demande", b.request_number.clone()),
        ("Date de la proposition", day(b.proposed_on)),
        ("Volume total", format!("{rows}, {}", volume(b.records(), b.bytes()))),
        ("Liste", b.id.clone()),
        ("Empreinte (SHA-256)", b.digest.clone()),
    ];
    paper.fields(120.0, &[&asking, &asked]);

    paper.section("Archives proposées à l'élimination", 60.0);
    let by_order: BTreeMap<usize, &RowDecision> = decisions.iter().map(|d| (d.order, d)).collect();
    if !decisions.is_empty() {
        paper.paragraph(&tally(b, &by_order), Weight::Bold);
    }
    paper.table(&Table {
        columns: COLUMNS.to_vec(),
        rows: b.rows.iter().map(|r| cells(r, by_order.get(&r.order).copied())).collect(),
        total: Some(total(b)),
    });
    copies(&mut paper, &b.copies);
    let frames = signatures();
    paper.section("Signatures", paper.frames_height(&frames));
    paper.frames(&frames, 70.0);
    Ok(paper)
}

/// The service and its place; values may be empty.
pub(super) fn service_fields(service: &Service) -> Vec<(&'static str, String)> {
    vec![
        ("Service producteur", service.name.clone()),
        ("Place dans la hiérarchie", service.hierarchy.join(" › ")),
        ("Anciens noms du service", service.former_names.join(" ; ")),
    ]
}

/// The table of the copies.
pub(super) fn copies(paper: &mut Paper, copies: &[CopyCovered]) {
    paper.section("Copies couvertes", 40.0);
    if copies.is_empty() {
        paper.paragraph("Aucune copie n'est déclarée.", Weight::Regular);
        return;
    }
    let columns = vec![
        column("Nature", 72.0, Align::Left),
        column("Nom", 130.0, Align::Left),
        column("Empreinte (SHA-256)", 330.0, Align::Left),
        column("Volume (octets)", 78.0, Align::Right),
    ];
    let rows = copies
        .iter()
        .map(|c| vec![c.kind.french().into(), c.name.clone(), c.sha256.clone(), thousands(c.bytes)]);
    paper.table(&Table { columns, rows: rows.collect(), total: None });
}

fn cells(row: &BordereauRow, decision: Option<&RowDecision>) -> Vec<String> {
    let decision = decision.map(|d| {
        let word = d.decision.map_or("Sans décision", Answer::french);
        match &d.observation {
            Some(observation) => format!("{word} : {observation}"),
            None => word.to_owned(),
        }
    });
    vec![
        row.order.to_string(),
        row.rule.clone(),
        row.typology.clone(),
        row.first_year.to_string(),
        row.last_year.to_string(),
        row.duration.clone(),
        day(row.due_date),
        thousands(row.records),
        thousands(row.bytes),
        row.observations.join(" ; "),
        decision.unwrap_or_default(),
    ]
}

fn total(b: &Bordereau) -> Vec<String> {
    let mut cells = vec![String::new(); COLUMNS.len()];
    for (at, text) in [(0, "Total".to_owned()), (7, thousands(b.records())), (8, thousands(b.bytes()))] {
        if let Some(cell) = cells.get_mut(at) {
            *cell = text;
        }
    }
    cells
}

/// How many rows got each answer.
fn tally(b: &Bordereau, decisions: &BTreeMap<usize, &RowDecision>) -> String {
    let answers: Vec<Option<Answer>> =
        b.rows.iter().map(|r| decisions.get(&r.order).and_then(|d| d.decision)).collect();
    let with = |wanted: Option<Answer>| answers.iter().filter(|a| **a == wanted).count() as u64;
    format!(
        "Décisions : {}, {}, {} à trier, {} sans décision. Seules les lignes visées peuvent être éliminées.",
        count(with(Some(Answer::Visa)), "visa", "visas"),
        count(with(Some(Answer::Refus)), "refus", "refus"),
        count(with(Some(Answer::ATrier)), "ligne", "lignes"),
        count(with(None), "ligne", "lignes"),
    )
}

fn signatures() -> [Frame; 2] {
    [
        Frame {
            heading: "Le responsable du service producteur".into(),
            sentences: vec![
                "atteste que les archives décrites ici n'ont plus d'utilité pour son service, que leur durée d'utilité et les délais de prescription et de recours sont écoulés, qu'à sa connaissance aucun contentieux, contrôle ni gel ne les concerne, et demande le visa d'élimination.".into(),
                "Établi en deux exemplaires originaux. L'exemplaire visé vaut autorisation d'élimination ; le service le conserve sans limite de durée.".into(),
            ],
            fields: vec![
                Field::blank("Date"),
                Field::blank("Nom et qualité"),
                Field::room("Signature et cachet", 32.0),
            ],
        },
        Frame {
            heading: "Visa du contrôle scientifique et technique de l'État sur les archives".into(),
            sentences: vec![
                "Le visa ne vaut que pour la liste de cette empreinte et pour les lignes visées ; les lignes refusées, à trier ou sans décision sont conservées.".into(),
            ],
            fields: vec![
                Field::blank("Date"),
                Field::blank("Nom"),
                Field::blank("Qualité"),
                Field::room("Observations", 16.0),
                Field::room("Signature et cachet", 32.0),
            ],
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::paper::plain_text;
    use proptest::prelude::*;

    #[test]
    fn the_same_bordereau_gives_the_same_bytes() {
        let b = samples::bordereau(30);
        assert_eq!(bordereau_pdf(&b, &[]).unwrap(), bordereau_pdf(&b, &[]).unwrap());
    }

    #[test]
    fn a_short_bordereau_is_signed_on_its_only_page() {
        assert_eq!(draft(&samples::bordereau(1), &[]).unwrap().pages(), 1);
    }

    #[test]
    fn everything_that_the_archives_ask_for_is_on_the_paper() {
        let b = samples::bordereau(30);
        let text = plain_text(&draft(&b, &[]).unwrap());
        let mut wanted = vec![
            "L212-2, L212-3 et R212-14".to_owned(),
            "Ministère de l'Éducation nationale › Académie de Rennes › Rectorat".into(),
            b.service.name.clone(),
            b.service.contact.clone(),
            b.archives.clone(),
            b.digest.clone(),
            "22/11/2026".into(),
            "574\u{202F}073\u{202F}655 enregistrements".into(),
            "Le responsable du service producteur".into(),
            "Visa du contrôle scientifique et technique de l'État sur les archives".into(),
            "DNMA_2016_001.csv".into(),
        ];
        for row in &b.rows {
            wanted.extend([row.rule.clone(), thousands(row.bytes), row.observations.join("\u{A0}; ")]);
        }
        for word in wanted {
            // The paper keeps French punctuation with the word before it.
            let word = word.replace(" :", "\u{A0}:");
            assert!(text.contains(&word), "« {word} » absent");
        }
    }

    #[test]
    fn decisions_are_shown_and_counted() {
        let b = samples::bordereau(10);
        let text = plain_text(&draft(&b, &samples::decisions(9)).unwrap());
        // The tenth row got no answer at all.
        assert!(
            text.contains("Décisions\u{A0}: 4 visas, 2 refus, 2 lignes à trier, 2 lignes sans décision."),
            "{text}"
        );
        assert!(text.contains("Refus\u{A0}: intérêt historique\u{A0}: à verser en 2030"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn no_text_stops_the_writing(text in any::<String>(), observation in "(\\PC| |\n){0,400}") {
            let mut b = samples::bordereau(2);
            b.service.name = text.clone();
            b.rows[0].typology = text;
            b.rows[1].observations = vec![observation];
            prop_assert!(bordereau_pdf(&b, &[]).is_ok());
        }
    }
}
