#![allow(clippy::disallowed_methods)] // packages are written as they are

#[path = "../../../tests/common/portal.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod server;

use super::*;
use bytes::Bytes;
use cartulaire_engine::domain::hex;
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};
use server::{Act, Dataset, KEY, ORGANISATION, Resource, Server};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

const KINDS: [Kind; 2] = [Kind::Ods, Kind::Datagouv];
const CSV: &str = "\u{feff}academie;uai;eleves;eleves_statut\n01;_T;120;F\n01;0010001A;;C\n";

#[derive(Default)]
struct Memory {
    rows: RefCell<BTreeMap<[String; 3], Done>>,
    /// Writings left before the process « dies ».
    life: RefCell<Option<u32>>,
}

impl Progress for Memory {
    fn get(&self, portal: &str, dataset: &str, step: &str) -> Result<Option<Done>> {
        Ok(self.rows.borrow().get(&[portal, dataset, step].map(str::to_owned)).cloned())
    }

    fn put(&self, portal: &str, dataset: &str, step: &str, done: &Done) -> Result<()> {
        if let Some(left) = self.life.borrow_mut().as_mut() {
            *left = left.checked_sub(1).ok_or(Error::Corrupt("mort".into()))?;
        }
        self.rows.borrow_mut().insert([portal, dataset, step].map(str::to_owned), done.clone());
        Ok(())
    }
}

fn sha(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A package as the engine writes one; `data` is what changes from a version to another.
fn write(folder: &Path, data: &str) {
    let ods = json!({
        "dataset_id": "fr-en-eleves-uai", "is_restricted": false,
        "metadata": {
            "default": {"title": "Élèves par établissement", "description": "Effectifs", "theme": ["Éducation"],
                "keyword": ["élèves"], "license": "Licence Ouverte v2.0 (Etalab)", "publisher": "MENJ", "modified": "2026-10-01"},
            "dcat": {"contact_name": "DEPP", "spatial": null},
        },
        "resource": {"type": "csvfile", "title": "Élèves par établissement",
            "params": {"separator": ";", "encoding": "utf-8", "headers_first_row": true, "doublequote": true}},
    });
    let parquet = format!("PAR1{data}PAR1");
    let file = |path: &str, mime: &str, bytes: &str| {
        json!({"path": path, "title": format!("Données ({path})"), "format": path.split('.').next_back(), "mime": mime,
            "type": "main", "filesize": bytes.len(), "checksum": {"type": "sha256", "value": sha(bytes.as_bytes())}})
    };
    let datagouv = json!({
        "title": "Élèves par établissement", "slug": "eleves-uai", "description": "Effectifs", "license": "lov2",
        "frequency": "annual", "tags": ["eleves"],
        "resources": [file("data.csv", "text/csv", data), file("data.parquet", "application/vnd.apache.parquet", &parquet)],
    });
    let files = [
        ("README.md", "# Élèves\n".to_owned()),
        ("data.csv", data.to_owned()),
        ("data.parquet", parquet),
        ("datagouv.json", datagouv.to_string()),
        ("ods.json", ods.to_string()),
    ];
    let mut sums = String::new();
    for (name, text) in &files {
        std::fs::write(folder.join(name), text).unwrap();
        sums += &format!("{}  {name}\n", sha(text.as_bytes()));
    }
    std::fs::write(folder.join("SHA256SUMS"), sums).unwrap();
    // What is beside the list never leaves.
    std::fs::write(folder.join("cle.pem"), "SECRET").unwrap();
}

fn package(folder: &Path) -> Package {
    Package::open(folder, None).unwrap()
}

fn portal(kind: Kind, url: &str) -> Portal {
    let ms = Duration::from_millis;
    Portal {
        kind,
        url: url.to_owned(),
        organisation: Some(ORGANISATION.into()),
        license: Some("lov2".into()),
        themes: vec!["5e1a0b2".into()],
        recreate: false,
        policy: Policy { attempts: 6, first: ms(2000), longest: ms(300_000), settle: ms(10_000) },
        timeout: Duration::from_secs(20),
    }
}

/// What was waited, in milliseconds, without waiting.
type Waits = Rc<RefCell<Vec<u128>>>;

fn send_all(
    package: &Package,
    portal: &Portal,
    progress: &Memory,
    key: &str,
    waits: &Waits,
) -> Result<Published> {
    let waits = waits.clone();
    let sleep = move |d: Duration| -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
        waits.borrow_mut().push(d.as_millis());
        Box::pin(std::future::ready(()))
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(publish(package, portal, &Secret::new(key).unwrap(), progress, &sleep))
}

fn send(package: &Package, portal: &Portal, progress: &Memory) -> Result<Published> {
    send_all(package, portal, progress, KEY, &Waits::default())
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result {
        Err(Error::Refused { code, message }) => {
            assert!(!message.is_empty() && !message.contains(KEY), "{message}");
            code
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plan_says_in_french_what_would_be_done_and_touches_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    for (kind, count) in [(Kind::Ods, 5), (Kind::Datagouv, 4)] {
        let (server, progress) = (Server::open(), Memory::default());
        let portal = portal(kind, &server.url);
        let steps = plan(&package(dir.path()), &portal, &progress).unwrap();
        assert_eq!(steps.len(), count);
        assert!(steps.iter().all(|s| !s.done && !s.text.is_empty()), "{steps:?}");
        assert!(
            steps[0].text.contains("jeu de données") && steps.iter().any(|s| s.text.contains("data.csv"))
        );
        assert!(server.portal().requests.is_empty() && progress.rows.borrow().is_empty());
        send(&package(dir.path()), &portal, &progress).unwrap();
        assert!(plan(&package(dir.path()), &portal, &progress).unwrap().iter().all(|s| s.done));
    }
}

#[test]
fn a_package_is_published_once_and_a_new_version_takes_the_place_of_the_old() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, resources) in [(Kind::Ods, 1), (Kind::Datagouv, 2)] {
        write(dir.path(), CSV);
        let (server, progress) = (Server::open(), Memory::default());
        let portal = portal(kind, &server.url);
        let first = send(&package(dir.path()), &portal, &progress).unwrap();
        assert!(!first.adopted && first.notes.is_empty(), "{first:?}");
        assert_eq!(first.sent.len(), plan(&package(dir.path()), &portal, &progress).unwrap().len());
        let count = server.portal().requests.len();
        let again = send(&package(dir.path()), &portal, &progress).unwrap();
        assert_eq!((again.remote, again.sent), (first.remote.clone(), vec![]));
        assert_eq!(server.portal().requests.len(), count, "nothing is asked when nothing is to do");

        let ids =
            |s: &Server| s.portal().datasets[0].resources.iter().map(|r| r.id.clone()).collect::<Vec<_>>();
        let before = ids(&server);
        let newer = CSV.replace("120", "121");
        write(dir.path(), &newer);
        let second = send(&package(dir.path()), &portal, &progress).unwrap();
        assert_eq!(second.remote, first.remote);
        assert_eq!(ids(&server), before);
        let seen = server.portal();
        assert_eq!((seen.datasets.len(), before.len()), (1, resources));
        let dataset = &seen.datasets[0];
        assert!(dataset.published && !dataset.hidden);
        assert_eq!(dataset.resources[0].file.1, newer.as_bytes());
        // Only what the list has, and the key nowhere but in its header.
        let bytes = seen.files.values().map(|f| &f.1).chain(dataset.resources.iter().map(|r| &r.file.1));
        assert!(bytes.into_iter().all(|b| !String::from_utf8_lossy(b).contains("SECRET")));
        assert!(seen.requests.iter().all(|r| !r.contains(KEY)));
    }
}

#[test]
fn what_a_portal_is_told_is_what_it_understands() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    let server = Server::open();
    send(&package(dir.path()), &portal(Kind::Ods, &server.url), &Memory::default()).unwrap();
    let told = Value::Object(server.portal().datasets[0].body.clone());
    assert_eq!(told["default.title"], "Élèves par établissement");
    assert_eq!(told["internal.license_id"], "lov2");
    assert_eq!(told["internal.theme_id"], json!(["5e1a0b2"]));
    assert_eq!(told["dcat.contact_name"], "DEPP");
    for absent in ["default.license", "default.theme", "dcat.spatial"] {
        assert_eq!(told[absent], Value::Null, "{absent}");
    }
    assert_eq!(server.portal().datasets[0].resources[0].body["params"]["separator"], ";");

    let server = Server::open();
    send(&package(dir.path()), &portal(Kind::Datagouv, &server.url), &Memory::default()).unwrap();
    let told = Value::Object(server.portal().datasets[0].body.clone());
    assert_eq!((&told["license"], &told["organization"]), (&json!("lov2"), &json!(ORGANISATION)));
    assert_eq!(told["extras"], json!({"cartulaire_jeu": "eleves-uai", "cartulaire_etat": "publie"}));
    let resource = Value::Object(server.portal().datasets[0].resources[0].body.clone());
    assert_eq!(resource["checksum"], json!({"type": "sha256", "value": sha(CSV.as_bytes())}));
    assert_eq!((&resource["title"], &resource["type"]), (&json!("Données (data.csv)"), &json!("main")));
}

#[test]
fn whatever_breaks_at_any_request_the_portal_ends_the_same() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    let package = package(dir.path());
    for kind in KINDS {
        let server = Server::open();
        send(&package, &portal(kind, &server.url), &Memory::default()).unwrap();
        let want = server.portal().seen();
        let count = server.portal().requests.len();
        for n in 0..count {
            for act in [
                Act::Refuse(500),
                Act::Refuse(409),
                Act::Later(429, "1"),
                Act::CutUnread,
                Act::DoneThenCut,
                Act::DoneThen(502),
                Act::DoneThen(409),
            ] {
                let server = Server::open();
                server.portal().acts.insert(n, act.clone());
                send(&package, &portal(kind, &server.url), &Memory::default())
                    .unwrap_or_else(|e| panic!("{kind:?} {n} {act:?}: {e}"));
                assert_eq!(server.portal().seen(), want, "{kind:?} {n} {act:?}");
            }
        }
    }
}

#[test]
fn a_crash_at_each_record_ends_the_same() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    let package = package(dir.path());
    for kind in KINDS {
        let server = Server::open();
        let progress = Memory::default();
        let steps = send(&package, &portal(kind, &server.url), &progress).unwrap().sent.len();
        let want = server.portal().seen();
        for life in 0..steps as u32 {
            let (server, progress) = (Server::open(), Memory::default());
            let portal = portal(kind, &server.url);
            *progress.life.borrow_mut() = Some(life);
            assert!(matches!(send(&package, &portal, &progress), Err(Error::Corrupt(_))), "{kind:?} {life}");
            *progress.life.borrow_mut() = None;
            let done = send(&package, &portal, &progress).unwrap();
            assert_eq!(server.portal().seen(), want, "{kind:?} {life}");
            // What was recorded before the crash is not sent again.
            assert_eq!(done.sent.len(), steps - life as usize, "{kind:?} {life}");
            assert!(send(&package, &portal, &progress).unwrap().sent.is_empty());
        }
    }
}

#[test]
fn a_refused_key_is_told_once_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    for kind in KINDS {
        let server = Server::open();
        let result = send_all(
            &package(dir.path()),
            &portal(kind, &server.url),
            &Memory::default(),
            "autre",
            &Waits::default(),
        );
        let message = result.as_ref().unwrap_err().to_string();
        assert!(message.contains("refusé la clé (401)") && !message.contains("autre"), "{message}");
        assert_eq!(code(result), "PORTAL_KEY");
        assert_eq!(server.portal().requests.len(), 1);
        // No right to create: told at the first writing, nothing repeated.
        let server = Server::open();
        // After two looks: the list and the catalogue, or the account and the list.
        let create = 2;
        server.portal().acts.insert(create, Act::Refuse(403));
        assert_eq!(
            code(send(&package(dir.path()), &portal(kind, &server.url), &Memory::default())),
            "PORTAL_KEY"
        );
        assert_eq!(server.portal().requests.len(), create + 1);
        assert!(server.portal().requests[create].starts_with("POST"));
    }
}

#[test]
fn what_a_portal_says_of_a_refusal_is_shown_without_the_key() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    for kind in KINDS {
        let server = Server::open();
        let said = json!({"message": format!("bad\nfield {KEY}"), "errors": {"license": ["unknown"]}});
        server.portal().acts.insert(2, Act::Says(400, said.to_string()));
        let result = send(&package(dir.path()), &portal(kind, &server.url), &Memory::default());
        let message = result.as_ref().unwrap_err().to_string();
        assert!(message.contains("(400) : bad field …") && message.contains("unknown"), "{message}");
        assert_eq!(code(result), "PORTAL_REFUSED");
        assert_eq!(server.portal().requests.len(), 3);
    }
}

#[test]
fn a_portal_that_asks_to_wait_is_waited_for_and_patience_has_an_end() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    for kind in KINDS {
        let (server, waits) = (Server::open(), Waits::default());
        server.portal().acts.extend([
            (0, Act::Later(429, "7")),
            (1, Act::Later(503, "Fri, 06 Nov 2026 08:50:37 GMT")),
            (2, Act::Later(429, "99999999")),
        ]);
        let portal = portal(kind, &server.url);
        send_all(&package(dir.path()), &portal, &Memory::default(), KEY, &waits).unwrap();
        // A date without the portal's own is no delay; a 503 is a doubt, which settles; an hour at most.
        assert_eq!(waits.borrow()[..3], [7_000, 10_000, 3_600_000]);

        let (server, waits) = (Server::open(), Waits::default());
        server.portal().acts.extend((0..50).map(|n| (n, Act::Refuse(429))));
        let url = server.url.clone();
        let portal = Portal { url, ..portal };
        let result = send_all(&package(dir.path()), &portal, &Memory::default(), KEY, &waits);
        assert_eq!(code(result), "PORTAL_UNREACHABLE");
        assert_eq!(*waits.borrow(), [2_000, 4_000, 8_000, 16_000, 32_000]);
        assert_eq!(server.portal().requests.len(), 6);
    }
}

#[test]
fn nobody_there_is_told_and_calling_again_resumes() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for kind in KINDS {
        let result =
            send(&package(dir.path()), &portal(kind, &format!("http://{closed}")), &Memory::default());
        assert_eq!(code(result), "PORTAL_UNREACHABLE");
        // Half-way, then for good; the next call does the rest only.
        let (server, progress) = (Server::open(), Memory::default());
        let cut: BTreeMap<_, _> = (8..100).map(|n| (n, Act::CutUnread)).collect();
        server.portal().acts = cut;
        let portal = portal(kind, &server.url);
        assert_eq!(code(send(&package(dir.path()), &portal, &progress)), "PORTAL_UNREACHABLE");
        server.portal().acts.clear();
        assert!(!send(&package(dir.path()), &portal, &progress).unwrap().sent.contains(&"dataset".into()));
        assert_eq!(server.portal().datasets.len(), 1);
    }
}

#[test]
fn a_redirection_is_told_and_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    for kind in KINDS {
        let (server, elsewhere) = (Server::open(), Server::open());
        server.portal().acts.insert(0, Act::Redirect(format!("{}/api/1/me/", elsewhere.url)));
        let result = send(&package(dir.path()), &portal(kind, &server.url), &Memory::default());
        assert_eq!(code(result), "PORTAL_REFUSED");
        assert!(elsewhere.portal().requests.is_empty());
    }
}

#[test]
fn a_package_that_changed_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let opened = |expected: Option<&str>| Package::open(folder, expected).map(|_| ());
    assert_eq!(code(opened(None)), "PORTAL_PACKAGE");
    write(folder, CSV);
    let sums = sha(&std::fs::read(folder.join("SHA256SUMS")).unwrap());
    opened(Some(&sums)).unwrap();
    assert_eq!(code(opened(Some(&sums.replace('a', "b")))), "PORTAL_CHANGED");
    std::fs::write(folder.join("README.md"), "autre").unwrap();
    assert_eq!(code(opened(None)), "PORTAL_CHANGED");
    write(folder, CSV);
    std::fs::remove_file(folder.join("data.csv")).unwrap();
    assert_eq!(code(opened(None)), "PORTAL_PACKAGE");
    std::fs::write(folder.join("autre.csv"), CSV).unwrap();
    std::os::unix::fs::symlink(folder.join("autre.csv"), folder.join("data.csv")).unwrap();
    assert_eq!(code(opened(None)), "PORTAL_PACKAGE", "a link, though its content is right");
}

#[test]
fn a_file_that_changes_after_it_was_listed_does_not_leave() {
    let dir = tempfile::tempdir().unwrap();
    for kind in KINDS {
        write(dir.path(), CSV);
        let package = package(dir.path());
        std::fs::write(dir.path().join("data.csv"), "autre").unwrap();
        let server = Server::open();
        assert_eq!(code(send(&package, &portal(kind, &server.url), &Memory::default())), "PORTAL_CHANGED");
        assert!(server.portal().requests.is_empty());
    }
    // And in the midst of its sending, the request is never ended.
    write(dir.path(), CSV);
    let package = package(dir.path());
    let body = package.body("data.csv", Bytes::from("head"), Bytes::from("tail")).unwrap();
    std::fs::write(dir.path().join("data.csv"), CSV.replace("120", "999")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut left = Vec::new();
    let ended = runtime.block_on(body.try_for_each(|chunk| {
        left.extend_from_slice(&chunk);
        std::future::ready(Ok(()))
    }));
    assert!(ended.is_err() && left.starts_with(b"head") && !left.ends_with(b"tail"));
}

#[test]
fn only_listed_files_are_sent() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, name, from, to) in [
        (Kind::Ods, "ods.json", "\"type\":\"csvfile\"", "\"type\":\"csvfile\",\"path\":\"cle.pem\""),
        (Kind::Ods, "ods.json", "fr-en-eleves-uai", "../autre"),
        (Kind::Datagouv, "datagouv.json", "\"path\":\"data.csv\"", "\"path\":\"cle.pem\""),
        (Kind::Datagouv, "datagouv.json", "\"path\":\"data.parquet\"", "\"path\":\"data.csv\""),
    ] {
        write(dir.path(), CSV);
        let path = dir.path().join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let altered = text.replace(from, to);
        assert_ne!(text, altered);
        std::fs::write(&path, &altered).unwrap();
        let list = dir.path().join("SHA256SUMS");
        let sums = std::fs::read_to_string(&list).unwrap();
        std::fs::write(&list, sums.replace(&sha(text.as_bytes()), &sha(altered.as_bytes()))).unwrap();
        let server = Server::open();
        let result = send(&package(dir.path()), &portal(kind, &server.url), &Memory::default());
        assert_eq!(code(result), "PORTAL_PACKAGE", "{to}");
        assert!(server.portal().requests.is_empty());
    }
}

fn dataset(id: &str, uid: &str) -> Dataset {
    Dataset { uid: uid.into(), id: id.into(), ours: true, published: true, ..Dataset::default() }
}

#[test]
fn a_dataset_that_is_there_already_is_adopted_never_doubled() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    for (kind, id) in [(Kind::Ods, "fr-en-eleves-uai"), (Kind::Datagouv, "eleves-uai")] {
        let (server, progress) = (Server::open(), Memory::default());
        // On data.gouv.fr it is on the third page.
        let others = (0..4).map(|n| dataset(&format!("autre-{n}"), &format!("autre{n}")));
        server.portal().datasets.extend(others.chain([dataset(id, "celui1")]));
        let done = send(&package(dir.path()), &portal(kind, &server.url), &progress).unwrap();
        assert!(done.adopted && done.remote == "celui1" && done.notes.len() == 1, "{done:?}");
        assert_eq!(server.portal().datasets.len(), 5);
        assert_eq!(server.portal().datasets[4].resources[0].file.1, CSV.as_bytes());
        // Two of them: a person must choose.
        let server = Server::open();
        server.portal().datasets.extend([dataset(id, "un"), dataset(id, "deux")]);
        let result = send(&package(dir.path()), &portal(kind, &server.url), &Memory::default());
        assert_eq!(code(result), "PORTAL_AMBIGUOUS");
    }
}

#[test]
fn what_is_not_ours_on_the_portal_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    let ours = || dataset("fr-en-eleves-uai", "da_1");
    let title = serde_json::Map::from_iter([("title".to_owned(), json!("Autre source"))]);
    let source = Resource { id: "re_1".into(), body: title, ..Resource::default() };
    for (there, want) in [
        // Of someone else, whom the list does not show.
        (Dataset { ours: false, ..ours() }, "PORTAL_FOREIGN"),
        // With rows of another source.
        (Dataset { resources: vec![source], ..ours() }, "PORTAL_FOREIGN"),
    ] {
        let server = Server::open();
        server.portal().datasets.push(there);
        let result = send(&package(dir.path()), &portal(Kind::Ods, &server.url), &Memory::default());
        assert_eq!(code(result), want);
        assert!(server.portal().files.is_empty() && server.portal().datasets.len() == 1);
    }
}

#[test]
fn who_sees_a_dataset_stays_what_people_decided() {
    let dir = tempfile::tempdir().unwrap();
    for (kind, id) in [(Kind::Ods, "fr-en-eleves-uai"), (Kind::Datagouv, "eleves-uai")] {
        write(dir.path(), CSV);
        let server = Server::open();
        server.portal().datasets.push(Dataset { hidden: true, ..dataset(id, "celui1") });
        let done = send(&package(dir.path()), &portal(kind, &server.url), &Memory::default()).unwrap();
        assert!(server.portal().datasets[0].hidden && done.notes.len() == 2, "{done:?}");
        // Hidden after our publication: the next version does not show it again.
        let (server, progress) = (Server::open(), Memory::default());
        let portal = portal(kind, &server.url);
        send(&package(dir.path()), &portal, &progress).unwrap();
        assert!(!server.portal().datasets[0].hidden);
        server.portal().datasets[0].hidden = true;
        write(dir.path(), &CSV.replace("120", "121"));
        let done = send(&package(dir.path()), &portal, &progress).unwrap();
        assert!(server.portal().datasets[0].hidden && done.notes.len() == 1, "{done:?}");
    }
    // And what must be restricted is not sent where all would see it.
    write(dir.path(), CSV);
    let path = dir.path().join("ods.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let altered = text.replace("\"is_restricted\":false", "\"is_restricted\":true");
    std::fs::write(&path, &altered).unwrap();
    let list = dir.path().join("SHA256SUMS");
    let sums = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, sums.replace(&sha(text.as_bytes()), &sha(altered.as_bytes()))).unwrap();
    let server = Server::open();
    server.portal().datasets.push(dataset("fr-en-eleves-uai", "da_1"));
    let result = send(&package(dir.path()), &portal(Kind::Ods, &server.url), &Memory::default());
    assert_eq!(code(result), "PORTAL_FOREIGN");
    assert!(server.portal().files.is_empty());
}

#[test]
fn a_dataset_that_was_taken_away_comes_back_only_when_asked() {
    let dir = tempfile::tempdir().unwrap();
    for kind in KINDS {
        write(dir.path(), CSV);
        let (server, progress) = (Server::open(), Memory::default());
        let portal = portal(kind, &server.url);
        let steps = send(&package(dir.path()), &portal, &progress).unwrap().sent.len();
        server.portal().datasets[0].deleted = true;
        write(dir.path(), &CSV.replace("120", "121"));
        assert_eq!(code(send(&package(dir.path()), &portal, &progress)), "PORTAL_GONE");
        assert_eq!(server.portal().datasets.len(), 1);
        let again = Portal { recreate: true, ..portal };
        let done = send(&package(dir.path()), &again, &progress).unwrap();
        assert_eq!(done.sent.len(), steps, "the new one had received nothing");
        assert_eq!(server.portal().seen().len(), 1);
    }
}

#[test]
fn a_portal_without_a_template_is_told_of_and_one_without_a_needed_field_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    let server = Server::open();
    server.portal().templates.retain(|t| t != "dcat");
    let done = send(&package(dir.path()), &portal(Kind::Ods, &server.url), &Memory::default()).unwrap();
    assert!(done.notes.len() == 1 && done.notes[0].contains("dcat.contact_name"), "{done:?}");
    let server = Server::open();
    server.portal().templates.retain(|t| t != "internal");
    let result = send(&package(dir.path()), &portal(Kind::Ods, &server.url), &Memory::default());
    assert_eq!(code(result), "PORTAL_REFUSED");
    assert!(!server.portal().datasets[0].published);
}

#[test]
fn data_that_the_portal_cannot_process_is_told_and_published_again_next_time() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), CSV);
    for fails in [("error", 0), ("idle", 3), ("limit_reached", 0)] {
        let (server, progress) = (Server::open(), Memory::default());
        server.portal().fails = Some(fails);
        let portal = portal(Kind::Ods, &server.url);
        assert_eq!(code(send(&package(dir.path()), &portal, &progress)), "PORTAL_FAILED", "{fails:?}");
        let done = send(&package(dir.path()), &portal, &progress).unwrap();
        assert_eq!(done.sent, ["publish", "online"]);
        assert_eq!(server.portal().datasets[0].processed, 2);
    }
}
