//! The attestation d'élimination on paper.

use super::super::operator::SourceCovered;
use super::attestation::{Attestation, AttestedRow, SignatureCited};
use super::bordereau::{day, volume};
use super::bordereau_pdf::{copies, service_fields};
use crate::error::Result;
use crate::french::{count, thousands};
use crate::paper::{Align, Column, Field, Frame, Orientation, Paper, Table, Weight};
use chrono::{DateTime, FixedOffset};

/// The attestation as a PDF, dated of the end of the elimination. The same attestation gives the
/// same bytes.
///
/// # Errors
/// When the document cannot be written.
pub fn attestation_pdf(attestation: &Attestation) -> Result<Vec<u8>> {
    draft(attestation)?.finish(attestation.ended_at.date_naive())
}

fn draft(a: &Attestation) -> Result<Paper> {
    let title = format!("Attestation d'élimination {}", a.id);
    let mut paper = Paper::new(Orientation::Portrait, &title, &format!("{title}, liste {}", a.list_id))?;
    paper.title("Attestation d'élimination d'archives publiques");
    paper.paragraph(
        "Code du patrimoine, articles L212-2, L212-3 et R212-14. Les signataires attestent que les archives publiques données ci-dessous comme éliminées ont été détruites intégralement et de façon confidentielle, dans la seule limite du visa cité. Cette attestation est conservée sans limite de durée avec le bordereau visé.",
        Weight::Regular,
    );
    if !a.failures.is_empty() {
        paper.paragraph("L'élimination est incomplète : voir « Échecs ».", Weight::Bold);
    }
    let mut fields = service_fields(&a.service);
    fields.extend([
        ("Attestation", a.id.clone()),
        ("Liste", a.list_id.clone()),
        ("Empreinte de la liste", a.list_digest.clone()),
        ("Visa", format!("{} du {}, {}", a.visa.reference, day(a.visa.date), a.visa.authority)),
        ("Visa donné par", a.visa.by.to_string()),
        ("Empreinte du visa", a.visa.digest.clone()),
        ("Exécution", format!("du {} au {}", moment(a.started_at), moment(a.ended_at))),
        ("Méthode", a.method.clone()),
        ("Exécutant", a.executor.to_string()),
        ("Témoin", a.witness.to_string()),
    ]);
    fields.retain(|(_, value)| !value.is_empty());
    paper.fields(125.0, &[&fields]);
    rows(&mut paper, &a.rows);
    failures(&mut paper, a);
    copies(&mut paper, &a.copies);
    sources(&mut paper, &a.sources);
    paper.section("Traces conservées", 50.0);
    let traces = format!(
        "La liste visée, sans valeur personnelle, et {} d'enregistrements éliminés, sous forme d'empreintes salées.",
        count(a.tombstones.count, "trace", "traces")
    );
    paper.paragraph(&traces, Weight::Regular);
    paper.fields(
        125.0,
        &[&[
            ("Empreinte des traces", a.tombstones.digest.clone()),
            ("Entrée du journal", format!("n° {}", thousands(a.journal.sequence))),
            ("Empreinte de l'entrée", a.journal.digest.clone()),
        ]],
    );
    let frames: Vec<Frame> = a.signatures.iter().map(frame).collect();
    // The heading, the line under it and the first two frames stay together.
    paper.section("Signatures", paper.frames_height(frames.get(..2).unwrap_or(&frames)) + 20.0);
    paper.paragraph("Toutes les empreintes sont des SHA-256, en hexadécimal.", Weight::Regular);
    for pair in frames.chunks(2) {
        paper.frames(pair, 0.0);
    }
    Ok(paper)
}

fn rows(paper: &mut Paper, rows: &[AttestedRow]) {
    let column = |heading, share, align| Column { heading, share, align };
    let columns = vec![
        column("N° d'ordre", 42.0, Align::Center),
        column("Référence au tableau de gestion", 80.0, Align::Left),
        column("Typologie des documents", 142.0, Align::Left),
        column("Enregistrements de la liste", 78.0, Align::Right),
        column("Enregistrements éliminés", 78.0, Align::Right),
        column("Octets éliminés", 84.0, Align::Right),
        column("Résultat", 60.0, Align::Left),
    ];
    let sum = |of: fn(&AttestedRow) -> u64| rows.iter().fold(0_u64, |sum, r| sum.saturating_add(of(r)));
    let (listed, eliminated, bytes) = (sum(|r| r.listed), sum(|r| r.eliminated), sum(|r| r.bytes));
    let empty = String::new;
    let total = vec![
        "Total".into(),
        empty(),
        empty(),
        thousands(listed),
        thousands(eliminated),
        thousands(bytes),
        empty(),
    ];
    paper.section("Détail par ligne du bordereau", 60.0);
    paper.paragraph(&format!("Éliminé : {}.", volume(eliminated, bytes)), Weight::Regular);
    let cells = |r: &AttestedRow| {
        vec![
            r.order.to_string(),
            r.rule.clone(),
            r.typology.clone(),
            thousands(r.listed),
            thousands(r.eliminated),
            thousands(r.bytes),
            r.outcome.french().to_owned(),
        ]
    };
    paper.table(&Table { columns, rows: rows.iter().map(cells).collect(), total: Some(total) });
}

fn failures(paper: &mut Paper, a: &Attestation) {
    paper.section("Échecs", 40.0);
    if a.failures.is_empty() {
        paper.paragraph("Aucun échec.", Weight::Regular);
        return;
    }
    let column = |heading, share, align| Column { heading, share, align };
    let columns = vec![
        column("N° d'ordre", 42.0, Align::Center),
        column("Lieu", 180.0, Align::Left),
        column("Raison", 230.0, Align::Left),
        column("Enregistrements restants", 80.0, Align::Right),
    ];
    let rows = a
        .failures
        .iter()
        .map(|f| vec![f.order.to_string(), f.place.clone(), f.reason.clone(), thousands(f.records)]);
    paper.table(&Table { columns, rows: rows.collect(), total: None });
}

fn sources(paper: &mut Paper, sources: &[SourceCovered]) {
    paper.section("Applications sources", 40.0);
    if sources.is_empty() {
        paper.paragraph(
            "Aucun ordre d'élimination n'a été remis aux opérateurs des applications sources : cette attestation ne les couvre pas.",
            Weight::Regular,
        );
        return;
    }
    let column = |heading, share, align| Column { heading, share, align };
    let columns = vec![
        column("Application", 60.0, Align::Left),
        column("Ordre et empreinte", 200.0, Align::Left),
        column("Attestation de l'opérateur", 270.0, Align::Left),
    ];
    let cells = |s: &SourceCovered| {
        let answer = match &s.answer {
            None => "Aucune attestation reçue à la date de celle-ci.".to_owned(),
            Some(a) => format!(
                "{}, le {} : {}, {} ; empreinte {}",
                a.operator,
                a.done_on,
                count(a.done, "numéro effacé", "numéros effacés"),
                count(a.failed, "échec", "échecs"),
                a.file_sha256
            ),
        };
        vec![s.source.clone(), format!("{} : {}", s.order, s.order_sha256), answer]
    };
    paper.table(&Table { columns, rows: sources.iter().map(cells).collect(), total: None });
}

fn frame(signature: &SignatureCited) -> Frame {
    Frame {
        heading: signature.by.name.clone(),
        sentences: Vec::new(),
        fields: vec![
            Field::filled("Qualité", &signature.by.role),
            Field::filled("Signé le", moment(signature.at)),
            Field::filled("Clé", &signature.key),
            Field::filled("Empreinte de la signature", &signature.digest),
        ],
    }
}

/// A moment with its offset, so that it reads the same everywhere.
fn moment(at: DateTime<FixedOffset>) -> String {
    at.format("%d/%m/%Y à %H:%M:%S (UTC%:z)").to_string()
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;
    use crate::paper::plain_text;

    #[test]
    fn the_same_attestation_gives_the_same_bytes() {
        let a = samples::attestation(3);
        assert_eq!(attestation_pdf(&a).unwrap(), attestation_pdf(&a).unwrap());
    }

    #[test]
    fn everything_that_proves_is_on_the_paper() {
        let a = samples::attestation(30);
        let text = plain_text(&draft(&a).unwrap());
        for word in [
            &a.id,
            &a.list_digest,
            &a.visa.digest,
            &a.journal.digest,
            &a.tombstones.digest,
            &a.signatures[0].digest,
            "Visa n° 2026-118 du 14/12/2026",
            "du 15/01/2027 à 21:00:04 (UTC+01:00) au 15/01/2027 à 21:47:39 (UTC+01:00)",
            "Claire Martin, directrice",
            "Éliminée en partie",
            "support hors ligne\u{A0}: à effacer à son retour",
            "L'élimination est incomplète",
        ] {
            assert!(text.contains(word), "« {word} » absent");
        }
    }

    #[test]
    fn without_failure_it_says_so() {
        let text = plain_text(&draft(&samples::attestation(1)).unwrap());
        assert!(text.contains("Aucun échec.") && !text.contains("incomplète"));
    }
}
