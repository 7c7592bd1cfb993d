//! An archive that behaves as documented, over mutual TLS: it takes packages, keeps its logbook, gives
//! its replies. And what goes wrong on the way to it.

use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// What becomes of the next sending.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Taken.
    Accept,
    /// This status, nothing taken.
    Refuse(u16),
    /// The connection is cut before the package is read.
    CutUnread,
    /// Taken, and the connection is cut.
    AcceptThenCut,
    /// Taken, and this status.
    AcceptThen(u16),
    /// Nothing is read, nothing is answered.
    HangUnread,
    /// Taken, nothing is answered.
    AcceptThenHang,
}

/// What the replies say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Says {
    #[default]
    Ok,
    Warning,
    Ko,
    /// OK, with the first unit left out.
    Missing,
}

#[derive(Default)]
pub struct Archive {
    pub acts: VecDeque<Act>,
    pub says: Says,
    /// Sendings that began.
    pub uploads: u32,
    /// Session and bytes of each package taken whole.
    pub operations: Vec<(String, Vec<u8>)>,
    /// The logbook answers nothing of what it knows.
    pub blind: bool,
    /// What the next questions to the logbook answer, instead of the truth.
    pub logbook: VecDeque<u16>,
    /// Questions for which an operation still runs.
    pub running: u32,
    /// The reply, whatever was sent.
    pub reply: Option<String>,
}

pub struct Server {
    archive: Arc<Mutex<Archive>>,
    pub port: u16,
}

impl Server {
    pub fn archive(&self) -> MutexGuard<'_, Archive> {
        self.archive.lock().unwrap()
    }

    /// Writes the certificates to a folder; opens the server.
    pub fn open(folder: &Path, acts: &[Act], says: Says) -> Server {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let ca = authority.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(authority, ca_key);
        let issue = |name: &str| {
            let key = rcgen::KeyPair::generate().unwrap();
            let params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (server, server_key) = issue("localhost");
        let (client, client_key) = issue("client");
        std::fs::write(folder.join("autorite.pem"), ca.pem()).unwrap();
        std::fs::write(folder.join("client.pem"), client.pem()).unwrap();
        let key = folder.join("client.key");
        std::fs::write(&key, client_key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
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
        let archive = Archive { acts: acts.iter().copied().collect(), says, ..Archive::default() };
        let archive = Arc::new(Mutex::new(archive));
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
        Server { archive, port }
    }

    /// The section of the configuration that names it.
    pub fn section(&self) -> String {
        format!(
            "[seda.deposit]\nkind = \"vitam\"\nname = \"sae\"\nurl = \"https://localhost:{}\"\ntenant = 3\ncontract = \"CA-1\"\nauthority = \"autorite.pem\"\ncertificate = \"client.pem\"\nkey = \"client.key\"\ntrust_absence = true\nattempts = 5\nretry_seconds = 0\nsettle_seconds = 0\n",
            self.port
        )
    }
}

type Tls = rustls::StreamOwned<rustls::ServerConnection, TcpStream>;

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
    assert_eq!(headers.get("x-tenant-id").map(String::as_str), Some("3"));
    assert_eq!(headers.get("x-access-contract-id").map(String::as_str), Some("CA-1"));
    let size: u64 = headers.get("content-length").map_or(0, |v| v.parse().unwrap());
    let mut act = None;
    if (method, path) == ("POST", "/ingest-external/v1/ingests") {
        assert_eq!(headers.get("x-context-id").map(String::as_str), Some("DEFAULT_WORKFLOW"));
        assert_eq!(headers.get("x-action").map(String::as_str), Some("RESUME"));
        let mut archive = archive.lock().unwrap();
        archive.uploads += 1;
        act = Some(archive.acts.pop_front().unwrap_or(Act::Accept));
    }
    match act {
        Some(Act::CutUnread) => return stream.sock.shutdown(Shutdown::Both),
        // Until the other side gives up.
        Some(Act::HangUnread) => return hang(&mut stream),
        _ => {}
    }
    let mut body = Vec::new();
    (&mut stream).take(size).read_to_end(&mut body)?;
    if body.len() as u64 != size {
        return Ok(());
    }
    let (status, extra, body) = match act {
        None => archive.lock().unwrap().answer(method, path),
        Some(Act::Refuse(status)) => (status, "Retry-After: 0\r\n".to_owned(), String::new()),
        Some(act) => {
            let mut archive = archive.lock().unwrap();
            archive.operations.push((headers["x-application-id"].clone(), body));
            let number = archive.operations.len();
            drop(archive);
            match act {
                Act::AcceptThenCut => return stream.sock.shutdown(Shutdown::Both),
                Act::AcceptThenHang => return hang(&mut stream),
                Act::AcceptThen(status) => (status, String::new(), String::new()),
                _ => (202, format!("X-Request-Id: aeeaa{number}\r\n"), String::new()),
            }
        }
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

fn hang(stream: &mut Tls) -> std::io::Result<()> {
    let mut bytes = vec![0; 1];
    while stream.sock.peek(&mut bytes)? > 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

impl Archive {
    /// Status, headers and body.
    fn answer(&mut self, method: &str, path: &str) -> (u16, String, String) {
        let operation = |tail: &str| -> usize {
            let id = path.split('/').find_map(|p| p.strip_prefix("aeeaa")).unwrap();
            assert!(path.ends_with(tail), "{path}");
            id.parse::<usize>().unwrap() - 1
        };
        match method {
            "POST" => {
                assert_eq!(path, "/access-external/v1/logbookoperations");
                if let Some(status) = self.logbook.pop_front() {
                    return (status, String::new(), String::new());
                }
                let known = if self.blind { 0 } else { self.operations.len() };
                let results: Vec<_> = (1..=known)
                    .map(|i| serde_json::json!({"evIdProc": format!("aeeaa{i}"), "evTypeProc": "INGEST"}))
                    .collect();
                (200, String::new(), serde_json::json!({"$results": results}).to_string())
            }
            "HEAD" => {
                assert!(operation("") < self.operations.len());
                let state = if self.running > 0 { "RUNNING" } else { "COMPLETED" };
                self.running = self.running.saturating_sub(1);
                (200, format!("X-Global-Execution-State: {state}\r\n"), String::new())
            }
            _ => {
                let (session, package) = &self.operations[operation("/archivetransferreply")];
                let told = || atr(session, &manifest(package), self.says);
                (200, String::new(), self.reply.clone().unwrap_or_else(told))
            }
        }
    }
}

/// The manifest of a package.
pub fn manifest(package: &[u8]) -> String {
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(package)).unwrap();
    let mut text = String::new();
    zip.by_name("manifest.xml").unwrap().read_to_string(&mut text).unwrap();
    text
}

fn ids<'m>(manifest: &'m str, element: &str) -> Vec<&'m str> {
    let open = format!("<{element} id=\"");
    manifest.split(open.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// The reply to a message whose manifest is given.
pub fn atr(request: &str, manifest: &str, says: Says) -> String {
    let units = ids(manifest, "ArchiveUnit");
    let objects = ids(manifest, "BinaryDataObject");
    assert!(units.len() > 1 && !objects.is_empty());
    let skip = usize::from(says == Says::Missing);
    let objects: String = objects
        .iter()
        .map(|id| format!("<BinaryDataObject id=\"{id}\"><DataObjectSystemId>aeobj-{id}</DataObjectSystemId></BinaryDataObject>"))
        .collect();
    let units: String = units
        .iter()
        .skip(skip)
        .map(|id| {
            format!(
                "<ArchiveUnit id=\"{id}\"><Content><SystemId>aeunit-{id}</SystemId></Content></ArchiveUnit>"
            )
        })
        .collect();
    let (code, event) = match says {
        Says::Ok | Says::Missing => ("OK", ""),
        Says::Warning => (
            "WARNING",
            "<Event><EventTypeCode>CHECK_OBJECT_SIZE</EventTypeCode><Outcome>WARNING</Outcome><OutcomeDetail>CHECK_OBJECT_SIZE.WARNING</OutcomeDetail></Event>",
        ),
        Says::Ko => (
            "KO",
            "<Event><EventTypeCode>CHECK_DATAOBJECTPACKAGE</EventTypeCode><Outcome>KO</Outcome><OutcomeDetail>UNITS_RULES_COMPUTE.UNKNOWN.KO</OutcomeDetail><OutcomeDetailMessage>Règle inconnue</OutcomeDetailMessage></Event>",
        ),
    };
    let package = match says {
        Says::Ko => String::new(),
        _ => format!(
            "<DataObjectPackage>{objects}<DescriptiveMetadata>{units}</DescriptiveMetadata><ManagementMetadata/></DataObjectPackage>"
        ),
    };
    format!(
        "<?xml version=\"1.0\"?><ArchiveTransferReply xmlns=\"fr:gouv:culture:archivesdefrance:seda:v2.2\"><Date>2026-01-13T08:00:00Z</Date><MessageIdentifier>ATR-{request}</MessageIdentifier><CodeListVersions/>{package}<ReplyCode>{code}</ReplyCode><Operation>{event}</Operation><MessageRequestIdentifier>{request}</MessageRequestIdentifier><GrantDate>2026-01-13T08:00:00Z</GrantDate><ArchivalAgency><Identifier>AD</Identifier></ArchivalAgency><TransferringAgency><Identifier>DSI</Identifier></TransferringAgency></ArchiveTransferReply>"
    )
}
