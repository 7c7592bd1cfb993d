use super::*;
use crate::seda::check::{Decision, Options, Severity, check};
use crate::seda::model::*;
use chrono::NaiveDate;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::path::PathBuf;
use std::process::Command;

/// The official schemas, which are not shipped.
fn schemas() -> Option<PathBuf> {
    let found = Some(PathBuf::from("../../shared/seda-xsd")).filter(|p| p.is_dir());
    if found.is_none() || Command::new("xmllint").arg("--version").output().is_err() {
        println!("sauté : schémas SEDA ou xmllint absents");
        return None;
    }
    found
}

fn models() -> usize {
    #[allow(clippy::disallowed_methods)]
    std::env::var("CARTULAIRE_SEDA_MODELS").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

type Model = (Message, Vec<ObjectGroup>, Vec<(usize, Unit)>);

fn text() -> impl Strategy<Value = String> {
    "[a-zA-Zéè0-9&<>\"' ]{0,20}[a-z]".prop_map(|s| s)
}

fn date() -> impl Strategy<Value = NaiveDate> {
    (0..30_000_i32).prop_map(|n| NaiveDate::from_num_days_from_ce_opt(710_000 + n).unwrap())
}

fn option<S: Strategy + 'static>(s: S) -> BoxedStrategy<Option<S::Value>>
where
    S::Value: Clone,
{
    prop::option::of(s).boxed()
}

fn list<S: Strategy>(s: S) -> impl Strategy<Value = Vec<S::Value>> {
    prop::collection::vec(s, 0..3)
}

type Seed = (Vec<(String, Option<NaiveDate>)>, u8, String, u8);

fn rules(version: Version) -> impl Strategy<Value = Vec<Rules>> {
    use Category as C;
    let one = (list((text(), option(date()))), 0..3_u8, text(), any::<u8>());
    let mut all =
        vec![C::Hold, C::Access, C::Storage, C::Appraisal, C::Dissemination, C::Reuse, C::Classification];
    if version == Version::V2_1 {
        all.remove(0);
    }
    (prop::sample::subsequence(all.clone(), 0..=all.len()).prop_shuffle(), prop::collection::vec(one, 7))
        .prop_map(|(categories, seeds)| {
            let each = |(category, (rules, inheritance, word, n)): (C, Seed)| Rules {
                category,
                rules: rules
                    .into_iter()
                    .map(|(code, start)| Rule {
                        hold: (category == C::Hold).then(|| Hold {
                            end: start,
                            owner: Some(word.clone()),
                            reassess: start,
                            reason: Some(word.clone()),
                            prevent_rearrangement: Some(n & 1 == 0),
                        }),
                        code,
                        start,
                    })
                    .collect(),
                inheritance: match inheritance {
                    0 => Inheritance::Kept,
                    1 => Inheritance::Prevented,
                    _ => Inheritance::Without(vec![word.clone()]),
                },
                final_action: match category {
                    C::Storage => [FinalAction::Copy, FinalAction::Transfer, FinalAction::RestrictAccess]
                        .get(n as usize % 3)
                        .copied(),
                    C::Appraisal => [FinalAction::Keep, FinalAction::Destroy].get(n as usize % 2).copied(),
                    _ => None,
                },
                classification: (category == C::Classification).then(|| Classification {
                    audience: Some(word.clone()),
                    level: "CD".into(),
                    owner: word.clone(),
                    reassess: None,
                    needs_authorization: Some(true),
                }),
            };
            categories.into_iter().zip(seeds).map(each).collect()
        })
}

fn content(version: Version) -> impl Strategy<Value = Content> {
    let texts = prop::collection::vec(list(text()), 8);
    let options = prop::collection::vec(option(text()), 8);
    let dates = prop::collection::vec(option(date()), 4);
    (text(), texts, options, dates, list((option(date()), text())), list(date()), 0..5_u8).prop_map(
        move |(title, t, o, d, history, events, n)| {
            let newer = version > Version::V2_1;
            Content {
                level: [Level::Fonds, Level::Item, Level::RecordGrp, Level::OtherLevel]
                    .get(n as usize)
                    .copied(),
                title,
                file_plan_position: t[0].clone(),
                originating_system_ids: t[1].clone(),
                archival_ids: t[2].clone(),
                originating_ids: t[3].clone(),
                transferring_ids: t[4].clone(),
                description: t[5].clone(),
                custodial_history: history,
                document_type: o[0].clone(),
                languages: vec!["fra".into()],
                description_language: Some("fra".into()),
                status: o[1].clone(),
                version: o[2].clone(),
                tags: t[6].clone(),
                keywords: t[7]
                    .iter()
                    .map(|k| Keyword {
                        content: k.clone(),
                        reference: o[3].clone(),
                        kind: Some(KeywordKind::Subject),
                    })
                    .collect(),
                coverage: [t[0].clone(), t[1].clone(), t[2].clone()],
                originating_agency: o[4].clone(),
                submission_agency: o[5].clone(),
                source: o[6].clone(),
                relations: o[7]
                    .iter()
                    .flat_map(|id| {
                        [
                            (RelationKind::References, Target::External(id.clone())),
                            (RelationKind::IsPartOf, Target::Archived(id.clone())),
                        ]
                    })
                    .map(|(kind, target)| Relation { kind, target })
                    .collect(),
                created: d[0],
                received: d[1],
                start: d[2].min(d[3]),
                end: d[2].max(d[3]),
                date_literal: newer.then(|| "vers 2020".into()),
                events: events
                    .into_iter()
                    .map(|date| crate::seda::model::Event {
                        date,
                        kind: o[0].clone(),
                        code: o[1].clone(),
                        detail: o[2].clone(),
                        outcome: o[3].clone(),
                        outcome_message: o[4].clone(),
                        identifier: o[5].clone(),
                        agents: if newer { vec![("a".into(), "b".into(), "c".into())] } else { vec![] },
                    })
                    .collect(),
                persistent_ids: if version == Version::V2_3 {
                    vec![("ark".into(), "ark:/1/2".into())]
                } else {
                    vec![]
                },
            }
        },
    )
}

fn model(version: Version) -> impl Strategy<Value = Model> {
    let unit = (content(version), rules(version), option(any::<bool>()), 0..4_usize);
    (
        prop::collection::vec(unit, 1..6),
        rules(version),
        date(),
        list(text()),
        prop::collection::vec(option(text()), 7),
    )
        .prop_map(|(units, rules, date, comments, o)| {
            let mut depth = 0;
            let mut groups = Vec::new();
            let mut out: Vec<(usize, Unit)> = Vec::new();
            for (i, (content, rules, need, wanted)) in units.into_iter().enumerate() {
                depth = if i == 0 { 0 } else { wanted.min(depth + 1) };
                groups.push(ObjectGroup {
                    id: format!("G{i}"),
                    objects: vec![BinaryObject {
                        id: format!("B{i}"),
                        usage: "BinaryMaster_1".into(),
                        uri: format!("content/B{i}.csv"),
                        sha512: "0a".repeat(64),
                        size: 1 + i as u64,
                        format_name: o[0].clone(),
                        mime: o[1].clone(),
                        puid: o[2].clone(),
                        filename: "é è.csv".into(),
                        last_modified: Some(date),
                    }],
                });
                let unit = ArchiveUnit {
                    id: format!("U{i}"),
                    profile: o[3].clone(),
                    rules,
                    need_authorization: need,
                    content,
                    groups: vec![format!("G{i}")],
                };
                out.push((depth, Unit::Own(Box::new(unit))));
            }
            out.push((0, Unit::Alias("A0".into(), "U0".into())));
            let message = Message {
                comments,
                date,
                identifier: "SIP-1".into(),
                archival_agreement: Some("CT".into()),
                code_lists: vec![
                    ("MimeTypeCodeListVersion".into(), "1".into()),
                    ("ReplyCodeListVersion".into(), "1".into()),
                ],
                related_transfers: o[5].iter().cloned().collect(),
                request_reply: o[6].clone(),
                archival_agency: "AD".into(),
                transferring_agency: "AC".into(),
                management: ManagementMetadata {
                    archival_profile: o[0].clone(),
                    service_level: o[1].clone(),
                    acquisition: o[2].clone(),
                    legal_status: Some(LegalStatus::Public),
                    originating_agency: Some("P".into()),
                    submission_agency: o[4].clone(),
                    rules,
                },
            };
            (message, groups, out)
        })
}

fn written(version: Version, (message, groups, units): Model) -> Result<String> {
    let mut out = Vec::new();
    write(&mut out, version, &message, groups.into_iter().map(Ok), units.into_iter().map(Ok))?;
    Ok(String::from_utf8(out).unwrap())
}

fn sample(version: Version) -> Model {
    model(version).new_tree(&mut TestRunner::deterministic()).unwrap().current()
}

#[test]
fn random_models_pass_the_official_schema_of_each_version_and_the_check() {
    let Some(schemas) = schemas() else { return };
    for version in Version::ALL {
        let folder = tempfile::tempdir().unwrap();
        let mut runner = TestRunner::deterministic();
        let strategy = model(version);
        let files: Vec<PathBuf> = (0..models())
            .map(|i| {
                let text = written(version, strategy.new_tree(&mut runner).unwrap().current()).unwrap();
                let path = folder.path().join(format!("{i}.xml"));
                std::io::Write::write_all(&mut std::fs::File::create(&path).unwrap(), text.as_bytes())
                    .unwrap();
                path
            })
            .collect();
        let n = version.number();
        let said = Command::new("xmllint")
            .args(["--nonet", "--noout", "--schema"])
            .arg(schemas.join(format!("{n}/seda-{n}-main.xsd")))
            .args(&files)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&said.stderr);
        let faults: Vec<&str> = errors.lines().filter(|l| !l.ends_with(" validates")).take(5).collect();
        assert!(said.status.success(), "{n} : {faults:#?}");
        let mut refused: Vec<(PathBuf, Vec<_>)> = Vec::new();
        for path in &files {
            let options = Options { xsd: Some(schemas.clone()), ..Options::default() };
            let verdict = check(path, &options).unwrap();
            if verdict.verdict == Decision::Refused {
                let errors = verdict.findings.into_iter().filter(|f| f.severity == Severity::Error);
                refused.push((path.clone(), errors.collect()));
            }
        }
        assert_eq!(refused, vec![], "{n}");
    }
}

#[test]
fn what_an_archive_would_refuse_is_refused_before_it_is_written() {
    type Change = fn(&mut Model);
    fn unit(m: &mut Model) -> &mut ArchiveUnit {
        match &mut m.2[0].1 {
            Unit::Own(u) => u,
            Unit::Alias(..) => panic!(),
        }
    }
    let table: &[(&str, Change)] = &[
        ("pas de titre", |m| unit(m).content.title = " ".into()),
        ("écrit deux fois", |m| unit(m).id = "B0".into()),
        ("identifiant", |m| unit(m).id = "0é".into()),
        ("aucune unité ne montre", |m| unit(m).groups.clear()),
        ("absent du paquet", |m| unit(m).groups.push("G99".into())),
        ("absente du paquet", |m| m.2.push((0, Unit::Alias("A1".into(), "U99".into())))),
        ("parente", |m| m.2.push((9, Unit::Alias("A1".into(), "U0".into())))),
        ("parente", |m| m.2.push((1, Unit::Alias("A1".into(), "U0".into())))),
        ("une seule version", |m| {
            let mut twin = m.1[0].objects[0].clone();
            (twin.id, twin.usage) = ("B99".into(), "BinaryMaster_2".into());
            m.1[0].objects.push(twin);
        }),
        ("BinaryMaster_1", |m| m.1[0].objects.clear()),
        ("SHA-512", |m| m.1[0].objects[0].sha512 = "0A".repeat(64)),
        ("vide", |m| m.1[0].objects[0].size = 0),
        ("sort final", |m| {
            m.0.management.rules = vec![Rules {
                category: Category::Appraisal,
                rules: vec![],
                inheritance: Inheritance::Kept,
                final_action: None,
                classification: None,
            }];
        }),
        ("n'existe pas en SEDA 2.1", |m| unit(m).content.date_literal = Some("vers 2020".into())),
        ("n'existe pas en SEDA 2.1", |m| {
            m.0.management.rules = vec![Rules {
                category: Category::Hold,
                rules: vec![],
                inheritance: Inheritance::Kept,
                final_action: None,
                classification: None,
            }];
        }),
        ("inconnue du SEDA", |m| m.0.code_lists.push(("X".into(), "1".into()))),
    ];
    assert!(written(Version::V2_1, sample(Version::V2_1)).is_ok());
    for (word, change) in table {
        let mut m = sample(Version::V2_1);
        change(&mut m);
        match written(Version::V2_1, m) {
            Err(Error::Refused { code: "SEDA_MODEL", message }) => {
                assert!(message.contains(word), "{word} : {message}")
            }
            other => panic!("{word} : {other:?}"),
        }
    }
}

#[test]
fn control_characters_have_no_place_in_xml() {
    assert_eq!(legal("a\u{0}b\u{1b}\r\nc\rd\u{FFFE}\té"), "ab\ncd\té");
}

#[test]
fn a_hundred_thousand_units_are_streamed() {
    let unit = |i: usize| {
        let content =
            Content {
                title: format!("Unité {i}"), description: vec!["é".repeat(100)], ..Content::default()
            };
        let u = ArchiveUnit { id: format!("U{i}"), content, ..ArchiveUnit::default() };
        Ok((usize::from(i > 0), Unit::Own(Box::new(u))))
    };
    let begun = std::time::Instant::now();
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, b: &[u8]) -> std::io::Result<usize> {
            self.0 += b.len() as u64;
            Ok(b.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut out = Count(0);
    write(&mut out, Version::V2_2, &Message::default(), [], (0..100_000).map(unit)).unwrap();
    println!("100 000 unités : {} octets en {:?}", out.0, begun.elapsed());
    assert!(out.0 > 20_000_000);
}
