#![allow(clippy::disallowed_methods)] // what a crash leaves is written as it is

use super::*;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// What the archive does with the next upload.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Accept,
    Refuse(u16),
    CutUnread,
    AcceptThenCut,
    AcceptThen(u16),
}

#[derive(Default)]
struct Archive {
    acts: VecDeque<Act>,
    /// What the next questions to the logbook answer, instead of the truth.
    logbook: VecDeque<u16>,
    /// Session of each operation: one entry a deposit received whole.
    operations: Vec<(String, u64)>,
    uploads: u32,
    polls: u32,
}

const ATR: &str = "<ArchiveTransferReply/>";

impl Archive {
    /// Status, headers and body; `None` cuts the connection.
    fn answer(
        &mut self,
        method: &str,
        path: &str,
        headers: &BTreeMap<String, String>,
        body: u64,
    ) -> Option<(u16, String, String)> {
        assert_eq!(headers.get("x-tenant-id").map(String::as_str), Some("3"));
        assert_eq!(headers.get("x-access-contract-id").map(String::as_str), Some("CA-1"));
        let plain = |status| Some((status, String::new(), String::new()));
        match (method, path) {
            ("POST", "/ingest-external/v1/ingests") => {
                self.uploads += 1;
                assert_eq!(headers.get("x-context-id").map(String::as_str), Some("DEFAULT_WORKFLOW"));
                assert_eq!(headers.get("x-action").map(String::as_str), Some("RESUME"));
                let act = self.acts.pop_front().unwrap_or(Act::Accept);
                if let Act::Refuse(status) = act {
                    return Some((status, "Retry-After: 0\r\n".into(), String::new()));
                }
                if act == Act::CutUnread {
                    return None;
                }
                self.operations.push((headers.get("x-application-id").unwrap().clone(), body));
                match act {
                    Act::AcceptThenCut => None,
                    Act::AcceptThen(status) => plain(status),
                    _ => Some((
                        202,
                        format!("X-Request-Id: aeeaa{}\r\n", self.operations.len()),
                        String::new(),
                    )),
                }
            }
            ("POST", "/access-external/v1/logbookoperations") => {
                assert_eq!(headers.get("x-http-method-override").map(String::as_str), Some("GET"));
                if let Some(status) = self.logbook.pop_front() {
                    return plain(status);
                }
                let ops: Vec<_> = (1..=self.operations.len())
                    .map(|i| serde_json::json!({ "evIdProc": format!("aeeaa{i}"), "evTypeProc": "INGEST" }))
                    .collect();
                Some((200, String::new(), serde_json::json!({ "$results": ops }).to_string()))
            }
            ("HEAD", "/admin-external/v1/operations/aeeaa1") => {
                self.polls += 1;
                let state = if self.polls < 3 { "RUNNING" } else { "COMPLETED" };
                Some((
                    200,
                    format!("X-Global-Execution-State: {state}\r\nX-Global-Execution-Status: OK\r\n"),
                    String::new(),
                ))
            }
            ("GET", "/ingest-external/v1/ingests/aeeaa1/archivetransferreply") => {
                Some((200, String::new(), ATR.into()))
            }
            other => panic!("{other:?}"),
        }
    }
}

struct Server {
    archive: Arc<Mutex<Archive>>,
    config: VitamConfig,
}

fn serve(acts: &[Act]) -> Server {
    provider_for_tests();
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let ca = authority.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, ca_key);
    let issue = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        (rcgen::CertificateParams::new(vec![name.into()]).unwrap().signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = issue("localhost");
    let (client, client_key) = issue("client");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(ca.der().to_vec())).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(server_key.serialize_der()));
    let tls = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![CertificateDer::from(server.der().to_vec())], key)
        .unwrap();
    let tls = Arc::new(tls);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let archive =
        Arc::new(Mutex::new(Archive { acts: acts.iter().copied().collect(), ..Archive::default() }));
    let shared = archive.clone();
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let (tls, shared) = (tls.clone(), shared.clone());
            std::thread::spawn(move || {
                let connection = rustls::ServerConnection::new(tls).unwrap();
                let _ = talk(rustls::StreamOwned::new(connection, tcp), &shared);
            });
        }
    });
    let config = VitamConfig {
        base: format!("https://localhost:{port}"),
        tenant: 3,
        access_contract: "CA-1".into(),
        context: "DEFAULT_WORKFLOW".into(),
        authority: ca.pem().into_bytes(),
        identity: format!("{}{}", client.pem(), client_key.serialize_pem()).into_bytes(),
        trust_absence: true,
        timeout: Duration::from_secs(20),
    };
    Server { archive, config }
}

fn provider_for_tests() {
    super::vitam::provider();
}

type Tls = rustls::StreamOwned<rustls::ServerConnection, std::net::TcpStream>;

fn talk(mut stream: Tls, archive: &Mutex<Archive>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, path) = (first.next().unwrap(), first.next().unwrap());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|l| l.split_once(": "))
        .map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()))
        .collect();
    let size: u64 = headers.get("content-length").map_or(0, |v| v.parse().unwrap());
    if method == "POST"
        && path.ends_with("ingests")
        && archive.lock().unwrap().acts.front() == Some(&Act::CutUnread)
    {
        archive.lock().unwrap().answer(method, path, &headers, 0);
        return stream.sock.shutdown(std::net::Shutdown::Both);
    }
    let read = std::io::copy(&mut (&mut stream).take(size), &mut std::io::sink())?;
    assert_eq!(read, size);
    let Some((status, extra, body)) = archive.lock().unwrap().answer(method, path, &headers, read) else {
        return stream.sock.shutdown(std::net::Shutdown::Both);
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status} X\r\n{extra}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )?;
    stream.flush()?;
    stream.conn.send_close_notify();
    stream.flush()
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
        let server = serve(&acts);
        let (target, log) = (Vitam::new("vitam", server.config.clone()).unwrap(), Memory::default());
        assert_eq!(send(&package, &target, &log).unwrap(), "aeeaa1", "{acts:?}");
        assert_eq!(send(&package, &target, &log).unwrap(), "aeeaa1");
        let archive = server.archive.lock().unwrap();
        assert_eq!(archive.operations, [("SIP-1".to_owned(), package.size)], "{acts:?}");
    }
}

#[test]
fn a_refusal_is_told_once_and_nothing_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    for status in [400, 401, 403, 412, 413] {
        let server = serve(&[Act::Refuse(status)]);
        let (target, log) = (Vitam::new("vitam", server.config.clone()).unwrap(), Memory::default());
        assert_eq!(code(send(&package, &target, &log)), "DEPOSIT_REFUSED");
        assert_eq!(log.get("vitam", "SIP-1").unwrap().unwrap().state, State::Planned);
        assert_eq!(server.archive.lock().unwrap().uploads, 1);
    }
}

#[test]
fn when_the_archive_cannot_tell_a_person_is_asked_and_nothing_is_sent_again() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    for (trust, logbook) in [(false, None), (true, Some(403)), (true, Some(401))] {
        let server = serve(&[Act::CutUnread]);
        server.archive.lock().unwrap().logbook.extend(logbook);
        let config = VitamConfig { trust_absence: trust, ..server.config.clone() };
        let (target, log) = (Vitam::new("vitam", config).unwrap(), Memory::default());
        assert_eq!(code(send(&package, &target, &log)), "DEPOSIT_UNRESOLVED");
        assert!(matches!(log.get("vitam", "SIP-1").unwrap().unwrap().state, State::Sending { .. }));
        assert_eq!(server.archive.lock().unwrap().uploads, 1);
    }
}

#[test]
fn a_silent_logbook_is_asked_again_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    let server = serve(&[Act::AcceptThenCut]);
    server.archive.lock().unwrap().logbook.extend([500, 429]);
    let (target, log) = (Vitam::new("vitam", server.config.clone()).unwrap(), Memory::default());
    assert_eq!(send(&package, &target, &log).unwrap(), "aeeaa1");
    assert_eq!(server.archive.lock().unwrap().uploads, 1);
}

#[test]
fn a_crash_at_each_record_ends_in_exactly_one_deposit() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    for life in 0..4 {
        let server = serve(&[Act::AcceptThenCut]);
        let (target, log) = (Vitam::new("vitam", server.config.clone()).unwrap(), Memory::default());
        *log.life.lock().unwrap() = Some(life);
        let first = send(&package, &target, &log);
        assert!(matches!(first, Err(Error::Corrupt(_))), "{life}: {first:?}");
        *log.life.lock().unwrap() = None;
        assert_eq!(send(&package, &target, &log).unwrap(), "aeeaa1", "{life}");
        assert_eq!(server.archive.lock().unwrap().operations.len(), 1, "{life}");
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
    let server = serve(&[]);
    let (target, log) = (Vitam::new("vitam", server.config.clone()).unwrap(), Memory::default());
    let into = dir.path().join("ATR.xml");
    assert_eq!(code(run(fetch_reply("SIP-1", &target, &log, QUICK, &into))), "DEPOSIT_NOT_SENT");
    send(&package, &target, &log).unwrap();
    let Progress::Ready(sha512) = run(fetch_reply("SIP-1", &target, &log, QUICK, &into)).unwrap() else {
        panic!()
    };
    assert_eq!(std::fs::read_to_string(&into).unwrap(), ATR);
    assert_eq!(digest(&into).unwrap().0, sha512);
    assert!(matches!(log.get("vitam", "SIP-1").unwrap().unwrap().state, State::Replied { .. }));
    assert_eq!(server.archive.lock().unwrap().polls, 3);
}

#[test]
fn a_server_of_another_authority_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let package = package(dir.path(), 10);
    let (server, other) = (serve(&[]), serve(&[]));
    let config = VitamConfig { authority: other.config.authority.clone(), ..server.config.clone() };
    let log = Memory::default();
    assert_eq!(code(send(&package, &Vitam::new("vitam", config).unwrap(), &log)), "DEPOSIT_UNREACHABLE");
    assert_eq!(server.archive.lock().unwrap().uploads, 0);
    // And an archive of that authority takes no client of another.
    let config = VitamConfig { identity: other.config.identity.clone(), ..server.config.clone() };
    assert!(send(&package, &Vitam::new("vitam", config).unwrap(), &Memory::default()).is_err());
    assert_eq!(server.archive.lock().unwrap().uploads, 0);
    assert!(Vitam::new("x", VitamConfig { base: "http://localhost".into(), ..server.config }).is_err());
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
