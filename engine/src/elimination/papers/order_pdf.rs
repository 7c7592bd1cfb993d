//! The covering page of an ordre d'élimination: what is asked of the operator of a source
//! application. It holds counts, never an identifier.

use super::super::order::SourceOrder;
use super::bordereau::day;
use super::bordereau_pdf::service_fields;
use crate::error::Result;
use crate::french::{count, thousands};
use crate::paper::{Align, Column, Orientation, Paper, Table, Weight};

/// The page as a PDF. The same order gives the same bytes.
///
/// # Errors
/// When the document cannot be written.
pub fn order_pdf(order: &SourceOrder) -> Result<Vec<u8>> {
    draft(order)?.finish(order.ordered_on)
}

fn draft(o: &SourceOrder) -> Result<Paper> {
    let digest = o.digest()?;
    let title = format!("Ordre d'élimination {}", o.order);
    let mut paper =
        Paper::new(Orientation::Portrait, &title, &format!("{title}, empreinte (SHA-256) : {digest}"))?;
    paper.title("Ordre d'élimination dans l'application source");
    paper.paragraph(
        "Code du patrimoine, articles L212-2, L212-3 et R212-14. Les archives ont visé l'élimination des enregistrements désignés par les fichiers joints. L'opérateur de l'application les y efface, ainsi que leurs copies, et en rend compte.",
        Weight::Regular,
    );
    let mut fields = service_fields(&o.service);
    fields.extend([
        ("Application source", o.source.clone()),
        ("Ordre", o.order.clone()),
        ("Empreinte de l'ordre", digest),
        ("Date de l'ordre", day(o.ordered_on)),
        ("Liste", o.list.clone()),
        ("Empreinte de la liste", o.list_digest.clone()),
        ("Visa", format!("du {}, {}", day(o.visa_on), o.archives)),
        ("Empreinte du visa", o.visa_sha256.clone()),
        ("À effacer", count(o.items.len() as u64, "numéro", "numéros")),
        ("Pas avant le", day(o.not_before)),
    ]);
    fields.retain(|(_, value)| !value.is_empty());
    paper.fields(125.0, &[&fields]);
    paper.section("Ce qui est à effacer", 60.0);
    let column = |heading, share, align| Column { heading, share, align };
    let columns = vec![
        column("Ligne du bordereau", 55.0, Align::Center),
        column("Typologie des documents", 170.0, Align::Left),
        column("Année scolaire", 65.0, Align::Center),
        column("Identifiant", 120.0, Align::Left),
        column("Numéros", 60.0, Align::Right),
        column("Enregistrements", 80.0, Align::Right),
    ];
    let rows = o.classes.iter().map(|c| {
        let identifier =
            if c.columns.is_empty() { "toute la classe de l'année".into() } else { c.columns.join(", ") };
        vec![
            c.row.to_string(),
            c.typology.clone(),
            c.annee_scolaire.clone(),
            identifier,
            thousands(i128::from(c.items)),
            thousands(i128::from(c.records)),
        ]
    });
    paper.table(&Table { columns, rows: rows.collect(), total: None });
    paper.section("Comment faire", 60.0);
    for sentence in [
        "Avant d'effacer, assurez-vous auprès du service que la liste n'a pas été retirée et qu'aucun gel n'a été posé.",
        "N'effacez que les données de l'année scolaire dite. Quand « autres_donnees_gardees » vaut « oui », la personne ou l'objet a d'autres données, qui ne sont pas éliminables : elles restent.",
        "Un identifiant de plusieurs colonnes est écrit avec des barres verticales. Le fichier JSON fait foi ; dans le CSV, une valeur qui commencerait une formule est précédée d'une apostrophe.",
        "Remplissez le fichier « retour » : opérateur et date sur la première ligne, puis pour chaque numéro « fait », ou « echec » et son motif. N'y écrivez aucun nom de personne autre que l'opérateur. Rendez-le au service.",
        "Les fichiers de l'ordre désignent des personnes : transmettez-les par une voie protégée, et détruisez-les quand le service a reçu votre retour.",
    ] {
        paper.paragraph(sentence, Weight::Regular);
    }
    Ok(paper)
}
