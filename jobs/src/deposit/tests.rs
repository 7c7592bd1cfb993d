#![allow(clippy::disallowed_methods)] // what a crash leaves is written as it is

#[path = "../../../tests/common/archive.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod archive;

use super::*;
use archive::{Act, Says, Server};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

const ATR: &str = "<ArchiveTransferReply/>";

fn serve(dir: &Path, acts: &[Act]) -> Server {
    Server::open(dir, acts, Says::Ok)
}

fn config(dir: &Path, server: &Server) -> VitamConfig {
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    VitamConfig {
        base: format!("https://localhost:{}", server.port),
        tenant: 3,
        access_contract: "CA-1".into(),
        context: "DEFAULT_WORKFLOW".into(),
        authority: read("autorite.pem"),
        identity: [read("client.pem"), read("client.key")].concat(),
        trust_absence: true,
        timeout: Duration::from_secs(20),
    }
}

#[derive(Default)]
struct Memory {
    entries: Mutex<BTreeMap<(String, String), Entry>>,
    /// Writings left before the process « dies ».
    life: Mutex<Option<u32>>,
}

impl DepositLog for Memory {
    fn get(&self, target: &str, id: &str) -> Result<Option<Entry>> {
        Ok(self.entries.lock().unwrap().get(&(target.into(), id.into())).cloned())
    }

    fn other(&self, target: &str, sha512: &str, id: &str) -> Result<Option<String>> {
        let entries = self.entries.lock().unwrap();
        Ok(entries
            .iter()
            .find(|((t, i), e)| t == target && i != id && e.sha512 == sha512)
            .map(|((_, i), _)| i.clone()))
    }

    fn put(&self, target: &str, id: &str, entry: &Entry) -> Result<()> {
        if let Some(left) = self.life.lock().unwrap().as_mut() {
            *left = left.checked_sub(1).ok_or(Error::Corrupt("mort".into()))?;
        }
        self.entries.lock().unwrap().insert((target.into(), id.into()), entry.clone());
        Ok(())
    }
}

fn package(dir: &Path, bytes: usize) -> Package {
    let path = dir.join("SIP-1.zip");
    std::fs::write(&path, vec![7; bytes]).unwrap();
    let (sha512, size) = digest(&path).unwrap();
    Package { message_id: "SIP-1".into(), path, name: "SIP-1.zip".into(), sha512, size }
}

const QUICK: Policy = Policy {
    attempts: 5,
    first: Duration::from_millis(1),
    longest: Duration::from_millis(5),
    settle: Duration::from_millis(20),
};

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn send(package: &Package, target: &dyn Target, log: &Memory) -> Result<String> {
    run(deposit(package, target, log, QUICK, &Utc::now))
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    match result {
        Err(Error::Refused { code, message }) => {
            assert!(!message.is_empty());
            code
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_broken_answer_ends_in_exactly_one_deposit() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 3 << 20);
    for acts in [
        vec![Act::Accept],
        vec![Act::Refuse(429), Act::Refuse(429)],
        vec![Act::Refuse(503), Act::Refuse(500)],
        vec![Act::AcceptThen(500)],
        vec![Act::AcceptThen(409)],
        vec![Act::AcceptThen(202)], // no X-Request-Id
        vec![Act::AcceptThenCut],
        vec![Act::CutUnread, Act::Refuse(502), Act::AcceptThenCut],
    ] {
        let server = serve(dir.path(), &acts);
        let (target, log) = (Vitam::new("vitam", config(dir.path(), &server)).unwrap(), Memory::default());
        assert_eq!(send(&package, &target, &log).unwrap(), "aeeaa1", "{acts:?}");
        assert_eq!(send(&package, &target, &log).unwrap(), "aeeaa1");
        let archive = server.archive();
        let got: Vec<_> = archive.operations.iter().map(|(id, b)| (id.as_str(), b.len() as u64)).collect();
        assert_eq!(got, [("SIP-1", package.size)], "{acts:?}");
    }
}

#[test]
fn a_refusal_is_told_once_and_nothing_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    for status in [400, 401, 403, 412, 413] {
        let server = serve(dir.path(), &[Act::Refuse(status)]);
        let (target, log) = (Vitam::new("vitam", config(dir.path(), &server)).unwrap(), Memory::default());
        assert_eq!(code(send(&package, &target, &log)), "DEPOSIT_REFUSED");
        assert_eq!(log.get("vitam", "SIP-1").unwrap().unwrap().state, State::Planned);
        assert_eq!(server.archive().uploads, 1);
    }
}

#[test]
fn when_the_archive_cannot_tell_a_person_is_asked_and_nothing_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    for (trust, logbook) in [(false, None), (true, Some(403)), (true, Some(401))] {
        let server = serve(dir.path(), &[Act::CutUnread]);
        server.archive().logbook.extend(logbook);
        let config = VitamConfig { trust_absence: trust, ..config(dir.path(), &server) };
        let (target, log) = (Vitam::new("vitam", config).unwrap(), Memory::default());
        assert_eq!(code(send(&package, &target, &log)), "DEPOSIT_UNRESOLVED");
        assert!(matches!(log.get("vitam", "SIP-1").unwrap().unwrap().state, State::Sending { .. }));
        assert_eq!(server.archive().uploads, 1);
    }
}

#[test]
fn a_silent_logbook_is_asked_again_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    let server = serve(dir.path(), &[Act::AcceptThenCut]);
    server.archive().logbook.extend([500, 429]);
    let (target, log) = (Vitam::new("vitam", config(dir.path(), &server)).unwrap(), Memory::default());
    assert_eq!(send(&package, &target, &log).unwrap(), "aeeaa1");
    assert_eq!(server.archive().uploads, 1);
}

#[test]
fn a_crash_at_each_record_ends_in_exactly_one_deposit() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    for life in 0..4 {
        let server = serve(dir.path(), &[Act::AcceptThenCut]);
        let (target, log) = (Vitam::new("vitam", config(dir.path(), &server)).unwrap(), Memory::default());
        *log.life.lock().unwrap() = Some(life);
        let first = send(&package, &target, &log);
        assert!(matches!(first, Err(Error::Corrupt(_))), "{life}: {first:?}");
        *log.life.lock().unwrap() = None;
        assert_eq!(send(&package, &target, &log).unwrap(), "aeeaa1", "{life}");
        assert_eq!(server.archive().operations.len(), 1, "{life}");
    }
}

#[test]
fn a_package_never_goes_under_two_identifiers_nor_changed() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    let (target, log) = (Folder::new("dossier", dir.path().join("out")), Memory::default());
    std::fs::create_dir(dir.path().join("out")).unwrap();
    send(&package, &target, &log).unwrap();
    let renamed = Package { message_id: "SIP-2".into(), ..package.clone() };
    assert_eq!(code(send(&renamed, &target, &log)), "DEPOSIT_TWICE");
    let other = Package { sha512: "00".into(), ..package.clone() };
    assert_eq!(code(send(&other, &target, &log)), "DEPOSIT_CHANGED");
    let altered = Package { message_id: "SIP-3".into(), sha512: "11".into(), ..package };
    assert_eq!(code(send(&altered, &target, &log)), "DEPOSIT_CHANGED");
}

#[test]
fn the_reply_is_fetched_when_the_operation_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    let server = serve(dir.path(), &[]);
    let (target, log) = (Vitam::new("vitam", config(dir.path(), &server)).unwrap(), Memory::default());
    server.archive().running = 2;
    server.archive().reply = Some(ATR.to_owned());
    let into = dir.path().join("ATR.xml");
    assert_eq!(code(run(fetch_reply("SIP-1", &target, &log, QUICK, &into))), "DEPOSIT_NOT_SENT");
    send(&package, &target, &log).unwrap();
    let Progress::Ready(sha512) = run(fetch_reply("SIP-1", &target, &log, QUICK, &into)).unwrap() else {
        panic!()
    };
    assert_eq!(std::fs::read_to_string(&into).unwrap(), ATR);
    assert_eq!(digest(&into).unwrap().0, sha512);
    assert!(matches!(log.get("vitam", "SIP-1").unwrap().unwrap().state, State::Replied { .. }));
    assert_eq!(server.archive().running, 0);
}

#[test]
fn a_server_of_another_authority_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    let elsewhere = tempfile::tempdir().unwrap();
    let (server, other) = (serve(dir.path(), &[]), serve(elsewhere.path(), &[]));
    let (good, foreign) = (config(dir.path(), &server), config(elsewhere.path(), &other));
    let config = VitamConfig { authority: foreign.authority, ..good.clone() };
    let log = Memory::default();
    assert_eq!(code(send(&package, &Vitam::new("vitam", config).unwrap(), &log)), "DEPOSIT_UNREACHABLE");
    assert_eq!(server.archive().uploads, 0);
    // And an archive of that authority takes no client of another.
    let config = VitamConfig { identity: foreign.identity, ..good.clone() };
    assert!(send(&package, &Vitam::new("vitam", config).unwrap(), &Memory::default()).is_err());
    assert_eq!(server.archive().uploads, 0);
    assert!(Vitam::new("x", VitamConfig { base: "http://localhost".into(), ..good }).is_err());
}

#[test]
fn a_folder_gets_the_package_then_its_marker_once() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 5000);
    let out = dir.path().join("out");
    std::fs::create_dir(&out).unwrap();
    // What a crash may leave: half a copy, or a package without its marker.
    std::fs::write(out.join(".SIP-1.zip.part"), "x").unwrap();
    std::fs::write(out.join("SIP-1.zip"), "x").unwrap();
    let target = Folder::new("dossier", &out);
    assert_eq!(run(target.find(&package)).unwrap(), Found::Absent);
    send(&package, &target, &Memory::default()).unwrap();
    assert_eq!(digest(&out.join("SIP-1.zip")).unwrap().0, package.sha512);
    let marker = std::fs::read_to_string(out.join("SIP-1.zip.sha512")).unwrap();
    assert_eq!(marker, format!("{}  SIP-1.zip\n", package.sha512));
    assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2);
    std::fs::write(out.join("SIP-1.zip.sha512"), "00").unwrap();
    assert_eq!(code(send(&package, &target, &Memory::default())), "DEPOSIT_REFUSED");
}

#[test]
fn a_bucket_gets_the_package_then_its_marker_once() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 9 << 20);
    let store: Arc<dyn object_store::ObjectStore> = Arc::new(object_store::memory::InMemory::new());
    let target = S3::new("s3", store.clone(), "depots/2026");
    assert_eq!(run(target.find(&package)).unwrap(), Found::Absent);
    assert_eq!(send(&package, &target, &Memory::default()).unwrap(), "depots/2026/SIP-1.zip");
    let get = |key: &str| {
        use object_store::ObjectStoreExt as _;
        let key = object_store::path::Path::from(key);
        run(async { store.get(&key).await.unwrap().bytes().await.unwrap() })
    };
    assert_eq!(get("depots/2026/SIP-1.zip").len() as u64, package.size);
    assert!(get("depots/2026/SIP-1.zip.sha512").starts_with(package.sha512.as_bytes()));
    assert_eq!(run(target.find(&package)).unwrap(), Found::Operation("depots/2026/SIP-1.zip".into()));
    let other = Package { sha512: "00".into(), ..package };
    assert!(matches!(run(target.find(&other)).unwrap(), Found::Unknown(_)));
}
