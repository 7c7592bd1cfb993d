//! Bordereaux for the tests.

use super::*;
use chrono::NaiveDate;

/// A bordereau of so many rows, with texts that put programs to the test.
pub fn bordereau(rows: usize) -> Bordereau {
    let typologies = [
        "Fréquentation des espaces numériques de travail : relevés quotidiens",
        "Journaux d'accès « œuvre », coût 12 € & frais <divers>",
        "_x0041_ Élèves inscrits : effectifs de l'année, répartis par établissement, par niveau et par formation (données provisoires puis définitives)",
    ];
    Bordereau {
        id: "EL-20261122-3f9a1c02".into(),
        digest: "3f9a1c02".repeat(8),
        request_number: "2026-014".into(),
        proposed_on: NaiveDate::from_ymd_opt(2026, 11, 22).unwrap(),
        service: Service {
            name: "Direction des systèmes d'information et des études statistiques".into(),
            hierarchy: vec![
                "Ministère de l'Éducation nationale".into(),
                "Académie de Rennes".into(),
                "Rectorat".into(),
            ],
            contact: "Correspondant archives, 02 99 00 00 00, archives@exemple.fr".into(),
            former_names: vec!["Service statistique académique".into()],
        },
        archives: "Archives départementales d'Ille-et-Vilaine".into(),
        rows: (1..=rows)
            .map(|order| BordereauRow {
                order,
                rule: format!("DNMA-{order:03}"),
                typology: typologies[order % 3].into(),
                table: "dnma_visites".into(),
                first_year: 2010 + (order % 10) as i32,
                last_year: 2011 + (order % 10) as i32,
                duration: "DUP : 10 ans".into(),
                due_date: NaiveDate::from_ymd_opt(2025, 8, 31).unwrap(),
                records: 1_234_567 * order as u64,
                bytes: 98_765_432_109 * order as u64,
                records_sha256: "ab".repeat(32),
                reasons: vec!["échéance passée".into()],
                observations: match order % 4 {
                    0 => vec![
                        "Tri par années témoins (millésimes en 0 et 5) : 2 années sur 10 conservées".into(),
                        "Échantillon versé, accusé de réception du 03/06/2026".into(),
                    ],
                    1 => Vec::new(),
                    _ => vec!["=1+1 n'est pas une formule".into()],
                },
                archived: Vec::new(),
            })
            .collect(),
        copies: vec![
            CopyCovered {
                kind: CopyKind::Delivery,
                name: "DNMA_2016_001.csv".into(),
                sha256: "cd".repeat(32),
                bytes: 1_048_576,
            },
            CopyCovered {
                kind: CopyKind::Backup,
                name: "sauvegardes mensuelles".into(),
                sha256: String::new(),
                bytes: 5_000_000_000,
            },
        ],
    }
}

/// Decisions on the rows of a bordereau, of every kind.
pub fn decisions(rows: usize) -> Vec<RowDecision> {
    (1..=rows)
        .map(|order| RowDecision {
            order,
            decision: [
                None,
                Some(Answer::Visa),
                Some(Answer::Visa),
                Some(Answer::Refus),
                Some(Answer::ATrier),
            ][order % 5],
            observation: (order % 5 == 3).then(|| "intérêt historique : à verser en 2030".into()),
        })
        .collect()
}

/// The attestation of that bordereau, with two failures where there are many rows.
pub fn attestation(rows: usize) -> Attestation {
    let b = bordereau(rows);
    let person = |name: &str, role: &str| Person { name: name.into(), role: role.into() };
    let at = |time: &str| chrono::DateTime::parse_from_rfc3339(time).unwrap();
    let outcome = |order: usize| match order % 5 {
        0 | 3 | 4 => RowOutcome::Kept,
        1 if order.is_multiple_of(11) => RowOutcome::PartlyFailed,
        _ => RowOutcome::Eliminated,
    };
    let row = |r: &BordereauRow| {
        let outcome = outcome(r.order);
        let share = match outcome {
            RowOutcome::Eliminated => 1,
            RowOutcome::PartlyFailed => 2,
            RowOutcome::Kept => u64::MAX,
        };
        AttestedRow {
            order: r.order,
            rule: r.rule.clone(),
            typology: r.typology.clone(),
            listed: r.records,
            eliminated: r.records / share,
            bytes: r.bytes / share,
            outcome,
        }
    };
    let signature = |by: Person, time: &str, key: &str| SignatureCited {
        by,
        at: at(time),
        key: key.into(),
        digest: "ef".repeat(32),
    };
    let executor = person("Anne Le Goff", "administratrice des données");
    let witness = person("Jean Dœuf", "correspondant archives");
    Attestation {
        id: "AT-20270115-77aa01b3".into(),
        list_id: b.id.clone(),
        list_digest: b.digest.clone(),
        rows: b.rows.iter().map(row).collect(),
        service: b.service,
        visa: VisaCited {
            reference: "Visa n° 2026-118".into(),
            date: NaiveDate::from_ymd_opt(2026, 12, 14).unwrap(),
            authority: b.archives,
            by: person("Claire Martin", "directrice"),
            digest: "1b".repeat(32),
        },
        executor: executor.clone(),
        witness: witness.clone(),
        started_at: at("2027-01-15T21:00:04+01:00"),
        ended_at: at("2027-01-15T21:47:39+01:00"),
        method: "réécriture des tables sans les enregistrements, effacement des fichiers d'origine, destruction des clés de chiffrement des livraisons".into(),
        failures: if rows > 10 {
            vec![Failure {
                order: 11,
                place: "sauvegardes mensuelles, bande 2026-04".into(),
                reason: "support hors ligne : à effacer à son retour".into(),
                records: 6_790_118,
            }]
        } else {
            Vec::new()
        },
        copies: b.copies,
        sources: Vec::new(),
        journal: JournalAnchor { sequence: 48_213, digest: "9c".repeat(32) },
        tombstones: Tombstones { count: 1_234_567, digest: "42".repeat(32) },
        signatures: vec![
            signature(executor, "2027-01-16T09:12:00+01:00", "ed25519:5f3c9a10"),
            signature(witness, "2027-01-16T10:30:00+01:00", "ed25519:a0b1c2d3"),
        ],
    }
}
