//! Deposit by the external ingest API of Vitam, over mutual TLS.

use super::{Fault, FaultKind, Found, Package, Progress, Target};
use async_trait::async_trait;
use cartulaire_engine::domain::hex;
use cartulaire_engine::error::{Error, Result};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use sha2::{Digest as _, Sha512};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Most bytes of an answer of the logbook.
const ANSWER: usize = 4 << 20;

/// How to reach the archive.
#[derive(Clone)]
pub struct VitamConfig {
    /// `https://host:port`, without the path of the API.
    pub base: String,
    /// `X-Tenant-Id`.
    pub tenant: u32,
    /// `X-Access-Contract-Id`: needed to ask the logbook whether a deposit arrived.
    pub access_contract: String,
    /// `X-Context-Id`: `DEFAULT_WORKFLOW`, or `BLANK_TEST` to have the controls only.
    pub context: String,
    /// PEM of the authority of the server.
    pub authority: Vec<u8>,
    /// PEM of our certificate followed by its private key.
    pub identity: Vec<u8>,
    /// Whether the logbook's silence, after the settling time, means that nothing arrived.
    pub trust_absence: bool,
    /// Longest silence of the connection.
    pub timeout: Duration,
}

/// An archive.
pub struct Vitam {
    name: String,
    config: VitamConfig,
    client: Client,
}

/// Chooses the cryptography of the process, once; a first choice stands.
pub(crate) fn provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

impl Vitam {
    /// Prepares the connection; nothing is sent.
    ///
    /// # Errors
    /// [`Error::Usage`]: an address that is not https, or a certificate that cannot be read.
    pub fn new(name: impl Into<String>, config: VitamConfig) -> Result<Self> {
        provider();
        if !config.base.starts_with("https://") {
            return Err(Error::Usage("l'adresse de l'archive doit commencer par https://".into()));
        }
        let wrong = |what: &str| Error::Usage(format!("{what} illisible : un fichier PEM est attendu"));
        let roots =
            reqwest::Certificate::from_pem_bundle(&config.authority).map_err(|_| wrong("autorité"))?;
        let identity =
            reqwest::Identity::from_pem(&config.identity).map_err(|_| wrong("certificat client"))?;
        let client = Client::builder()
            .tls_certs_only(roots)
            .identity(identity)
            .https_only(true)
            // A redirection would send the package to a host that nobody chose.
            .redirect(reqwest::redirect::Policy::none())
            // The library would send again by itself a request that may have arrived.
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_secs(30))
            .read_timeout(config.timeout)
            .build()
            .map_err(|e| Error::Usage(format!("connexion à l'archive mal configurée : {e}")))?;
        Ok(Vitam { name: name.into(), config, client })
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("{}/{path}", self.config.base.trim_end_matches('/')))
            .header("X-Tenant-Id", self.config.tenant)
            .header("X-Access-Contract-Id", &self.config.access_contract)
    }

    /// Operations of the logbook that carry our identifier, given as session at the sending and
    /// read by the archive in the manifest.
    async fn operations(&self, id: &str) -> Result<Option<BTreeSet<String>>, Fault> {
        let query = serde_json::json!({
            "$query": { "$or": [{ "$eq": { "evIdAppSession": id } }, { "$eq": { "obIdIn": id } }] },
            "$filter": {}, "$projection": {}
        });
        let sent = self
            .request(Method::POST, "access-external/v1/logbookoperations")
            .header("X-Http-Method-Override", "GET")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json")
            .body(query.to_string())
            .send()
            .await;
        let response = sent.map_err(|e| transport(&e))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(Some(BTreeSet::new())),
            _ => return Err(refusal(&response)),
        }
        let bytes = bounded(response).await?;
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes) else { return Ok(None) };
        let Some(results) = value.get("$results").and_then(|r| r.as_array()) else { return Ok(None) };
        let mut found = BTreeSet::new();
        for result in results {
            let text = |key: &str| result.get(key).and_then(|v| v.as_str());
            if text("evTypeProc").is_some_and(|t| !t.starts_with("INGEST")) {
                continue;
            }
            match text("evIdProc").or_else(|| text("#id")).filter(|id| plain(id)) {
                Some(operation) => found.insert(operation.to_owned()),
                None => return Ok(None),
            };
        }
        Ok(Some(found))
    }
}

/// An identifier goes into addresses: nothing but letters, digits, `-` and `_`.
fn plain(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| transport(&e))? {
        if out.len() + chunk.len() > ANSWER {
            return Err(Fault::new(FaultKind::Refused, "la réponse de l'archive est démesurée"));
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out)
}

fn transport(e: &reqwest::Error) -> Fault {
    if e.is_connect() {
        let message = "connexion impossible : vérifiez l'adresse, le réseau et les certificats";
        return Fault::new(FaultKind::NotReceived, message);
    }
    Fault::new(FaultKind::InDoubt, "la connexion a été coupée avant la réponse de l'archive")
}

fn refusal(response: &Response) -> Fault {
    use FaultKind::{InDoubt, NotReceived, Refused};
    let status = response.status().as_u16();
    let (kind, what) = match status {
        401 => {
            (Refused, "le certificat client n'est pas reconnu : faites-le déclarer par l'archive".to_owned())
        }
        403 => (
            Refused,
            "l'application n'a pas ce droit : vérifiez le tenant, le contrat et le contexte applicatif"
                .to_owned(),
        ),
        409 => (InDoubt, "l'archive signale un conflit (409)".to_owned()),
        429 => (NotReceived, "l'archive demande d'attendre (429)".to_owned()),
        400..=499 => (
            Refused,
            format!("l'archive refuse la requête ({status}) : transmettez ce code au service d'archives"),
        ),
        _ => (InDoubt, format!("l'archive a répondu {status}")),
    };
    let after = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    Fault { kind, after: after.map(Duration::from_secs), message: what }
}

#[async_trait]
impl Target for Vitam {
    fn name(&self) -> &str {
        &self.name
    }

    async fn find(&self, package: &Package) -> Result<Found, Fault> {
        let Some(operations) = self.operations(&package.message_id).await? else {
            return Ok(Found::Unknown("le journal des opérations n'est pas lisible".into()));
        };
        let mut operations = operations.into_iter();
        Ok(match (operations.next(), operations.next()) {
            (Some(one), None) => Found::Operation(one),
            (None, _) if self.config.trust_absence => Found::Absent,
            (None, _) => Found::Unknown("le journal des opérations ne connaît pas cet identifiant".into()),
            (Some(_), Some(_)) => Found::Unknown("plusieurs opérations portent cet identifiant".into()),
        })
    }

    async fn send(&self, package: &Package) -> Result<String, Fault> {
        let io = |e: std::io::Error| Fault::new(FaultKind::NotReceived, format!("lecture du paquet : {e}"));
        let file = tokio::fs::File::open(&package.path).await.map_err(io)?;
        let stream = futures_util::stream::try_unfold(file, |mut file| async move {
            let mut buffer = vec![0; 256 << 10];
            let n = file.read(&mut buffer).await?;
            buffer.truncate(n);
            Ok::<_, std::io::Error>((n > 0).then_some((bytes::Bytes::from(buffer), file)))
        });
        let sent = self
            .request(Method::POST, "ingest-external/v1/ingests")
            .header("X-Context-Id", &self.config.context)
            .header("X-Action", "RESUME")
            .header("X-Application-Id", &package.message_id)
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::ACCEPT, "application/xml")
            .header(header::CONTENT_LENGTH, package.size)
            .body(reqwest::Body::wrap_stream(stream))
            .send()
            .await;
        let response = sent.map_err(|e| transport(&e))?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refusal(&response));
        }
        let operation =
            response.headers().get("X-Request-Id").and_then(|v| v.to_str().ok()).filter(|id| plain(id));
        let none = || Fault::new(FaultKind::InDoubt, "l'archive n'a pas donné l'identifiant de l'opération");
        operation.map(str::to_owned).ok_or_else(none)
    }

    async fn reply(&self, operation: &str, into: &Path) -> Result<Progress, Fault> {
        if !plain(operation) {
            return Err(Fault::new(
                FaultKind::Refused,
                "l'identifiant de l'opération n'est pas celui d'une archive",
            ));
        }
        let path = format!("admin-external/v1/operations/{operation}");
        let status = self.request(Method::HEAD, &path).send().await.map_err(|e| transport(&e))?;
        if !status.status().is_success() {
            return Err(refusal(&status));
        }
        match status.headers().get("X-Global-Execution-State").and_then(|v| v.to_str().ok()) {
            Some("COMPLETED") => {}
            Some("PAUSE") => return Ok(Progress::Paused),
            _ => return Ok(Progress::Pending),
        }
        let path = format!("ingest-external/v1/ingests/{operation}/archivetransferreply");
        let get = self.request(Method::GET, &path).header(header::ACCEPT, "application/octet-stream");
        let mut response = get.send().await.map_err(|e| transport(&e))?;
        if response.status() != StatusCode::OK {
            return Err(refusal(&response));
        }
        let io = |e: std::io::Error| Fault::new(FaultKind::Refused, format!("écriture de la réponse : {e}"));
        let part = into.with_extension("part");
        let mut file = tokio::fs::File::create(&part).await.map_err(io)?;
        let mut hasher = Sha512::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| transport(&e))? {
            hasher.update(&chunk);
            file.write_all(&chunk).await.map_err(io)?;
        }
        file.sync_all().await.map_err(io)?;
        tokio::fs::rename(&part, into).await.map_err(io)?;
        Ok(Progress::Ready(hex(&hasher.finalize())))
    }
}
