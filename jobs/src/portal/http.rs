//! Requests to a portal: the key in a header, patience, and no answer taken for another.

use super::{Fault, Kind, Package, Portal};
use crate::deposit::{FaultKind, Policy, provider};
use bytes::Bytes;
use cartulaire_engine::error::{Error, Result};
use chrono::DateTime;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;
use std::pin::Pin;
use std::time::Duration;

/// Most bytes of an answer.
const ANSWER: usize = 16 << 20;
/// Most characters that are shown of what a portal says.
const SAID: usize = 300;

/// How to wait: given by the caller, so that tests do not.
pub type Sleep = dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()>>>;

/// A key, that nothing prints.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// A key as its file has it, without the blanks around.
    ///
    /// # Errors
    /// [`Error::Usage`]: it is empty, or cannot be a key.
    pub fn new(text: &str) -> Result<Self> {
        let key = text.trim();
        if key.is_empty() || key.len() > 4096 || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::Usage(
                "le fichier de la clé doit contenir la clé du portail, seule, sur une ligne".into(),
            ));
        }
        Ok(Secret(key.to_owned()))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The address of a portal.
///
/// # Errors
/// [`Error::Usage`]: nothing leaves in clear, except towards this machine.
pub(super) fn base(url: &str) -> Result<Url> {
    let wrong = |why: &str| Error::Usage(format!("adresse du portail « {url} » : {why}"));
    let url = Url::parse(url.trim_end_matches('/')).map_err(|_| wrong("ce n'est pas une adresse"))?;
    let here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && here) {
        return Err(wrong("elle commence par https:// : rien ne part en clair"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("la clé est dans un fichier à part, pas dans l'adresse"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("elle s'arrête avant « ? » et « # »"));
    }
    Ok(url)
}

/// What a request carries.
pub(super) enum Body<'a> {
    Nothing,
    Json(&'a Value),
    /// One file under the name `file`, as `multipart/form-data`.
    File {
        name: &'a str,
        sent_as: &'a str,
        mime: &'a str,
    },
}

/// A connection to a portal.
pub(super) struct Client<'a> {
    http: reqwest::Client,
    base: String,
    key: Secret,
    policy: Policy,
    sleep: &'a Sleep,
}

impl<'a> Client<'a> {
    pub fn new(portal: &Portal, key: &Secret, sleep: &'a Sleep) -> Result<Self> {
        provider();
        let base = base(&portal.url)?.to_string();
        // `Authorization: Apikey …` and `X-API-KEY`: documentation of both portals.
        let (name, value) = match portal.kind {
            Kind::Ods => (header::AUTHORIZATION, format!("Apikey {}", key.0)),
            Kind::Datagouv => (HeaderName::from_static("x-api-key"), key.0.clone()),
        };
        let mut value = HeaderValue::try_from(value)
            .map_err(|_| Error::Usage("la clé ne peut pas être envoyée telle quelle".into()))?;
        value.set_sensitive(true);
        let http = reqwest::Client::builder()
            .default_headers(HeaderMap::from_iter([(name, value)]))
            .user_agent(concat!("cartulaire/", env!("CARGO_PKG_VERSION")))
            // A redirection would send the key to a host that nobody chose.
            .redirect(reqwest::redirect::Policy::none())
            // The library would send again by itself a request that may have arrived.
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(0)
            .connect_timeout(Duration::from_secs(30))
            .read_timeout(portal.timeout)
            .build()
            .map_err(|e| Error::Usage(format!("connexion au portail mal configurée : {e}")))?;
        let base = base.trim_end_matches('/').to_owned();
        Ok(Client { http, base, key: key.clone(), policy: portal.policy, sleep })
    }

    /// Reads, as many times as it takes; nothing when there is nothing there.
    pub async fn get(&self, path: &str) -> Result<Option<Value>> {
        self.repeat(async || self.read(path).await).await
    }

    /// Reads once.
    pub async fn read(&self, path: &str) -> Result<Option<Value>, Fault> {
        let (response, found) = self.send(Method::GET, path, None, &Body::Nothing).await?;
        if found { Ok(Some(self.json(response).await?)) } else { Ok(None) }
    }

    /// Writes once; gives the answer, nothing when what it is about is not there.
    pub async fn write(
        &self,
        method: Method,
        path: &str,
        package: &Package,
        body: Body<'_>,
    ) -> Result<Option<Value>, Fault> {
        let (response, found) = self.send(method, path, Some(package), &body).await?;
        if !found {
            return Ok(None);
        }
        // An answer that cannot be read leaves a doubt, which the next look lifts.
        Ok(Some(self.json(response).await?))
    }

    /// Does what can be done twice without harm.
    pub async fn repeat<T>(&self, act: impl AsyncFn() -> Result<T, Fault>) -> Result<T> {
        self.effect(async || Ok(None), act).await
    }

    /// Does once what must not be done twice: each try looks first, so that neither a cut after the
    /// effect nor a conflict doubles it.
    pub async fn effect<T>(
        &self,
        look: impl AsyncFn() -> Result<Option<T>, Fault>,
        act: impl AsyncFn() -> Result<T, Fault>,
    ) -> Result<T> {
        let mut last = String::new();
        for attempt in 0..self.policy.attempts {
            let tried = match look().await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => act().await,
                Err(fault) => Err(fault),
            };
            let fault = match tried {
                Ok(done) => return Ok(done),
                Err(fault) if fault.kind == FaultKind::Refused => return Err(fault.into()),
                Err(fault) => fault,
            };
            let mut delay = self.policy.delay(attempt, fault.after);
            if fault.kind == FaultKind::InDoubt {
                // The portal is given time to show what it received.
                delay = delay.max(self.policy.settle);
            }
            last = fault.message;
            if attempt + 1 < self.policy.attempts {
                (self.sleep)(delay).await;
            }
        }
        let message = format!(
            "{} n'a pas pu être joint ({last}) : relancez la commande, la publication reprendra où elle en est",
            self.base
        );
        Err(Error::Refused { code: "PORTAL_UNREACHABLE", message })
    }

    /// Waits before asking a portal at work for the `attempt`-th time; false when it has been long
    /// enough.
    pub async fn again(&self, attempt: u32) -> bool {
        if attempt + 1 >= self.policy.attempts {
            return false;
        }
        (self.sleep)(self.policy.delay(attempt, None)).await;
        true
    }

    /// The answer, and whether what was asked is there.
    async fn send(
        &self,
        method: Method,
        path: &str,
        package: Option<&Package>,
        body: &Body<'_>,
    ) -> Result<(Response, bool), Fault> {
        let mut request = self
            .http
            .request(method, format!("{}/{path}", self.base))
            .header(header::ACCEPT, "application/json");
        match (body, package) {
            (Body::Json(value), _) => {
                request = request.header(header::CONTENT_TYPE, "application/json").body(value.to_string());
            }
            (Body::File { name, sent_as, mime }, Some(package)) => {
                let size = package.check(name)?;
                // No file can hold a text made of its own digest.
                let edge = format!("cartulaire-{}", package.sha256(name)?);
                let head = format!(
                    "--{edge}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{sent_as}\"\r\n\
                     Content-Type: {mime}\r\n\r\n"
                );
                let tail = format!("\r\n--{edge}--\r\n");
                let length = (head.len() + tail.len()) as u64 + size;
                let stream = package.body(name, Bytes::from(head), Bytes::from(tail))?;
                request = request
                    .header(header::CONTENT_TYPE, format!("multipart/form-data; boundary={edge}"))
                    .header(header::CONTENT_LENGTH, length)
                    .body(reqwest::Body::wrap_stream(stream));
            }
            _ => {}
        }
        let response = request.send().await.map_err(|e| transport(&e))?;
        match response.status() {
            status if status.is_success() => Ok((response, true)),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok((response, false)),
            _ => Err(self.refusal(response).await),
        }
    }

    async fn json(&self, response: Response) -> Result<Value, Fault> {
        let bytes = bounded(response, ANSWER).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|_| Fault {
            code: "PORTAL_UNREACHABLE",
            kind: FaultKind::InDoubt,
            after: None,
            message: "la réponse du portail n'est pas lisible : vérifiez l'adresse et le réseau".into(),
        })
    }

    async fn refusal(&self, response: Response) -> Fault {
        use FaultKind::{InDoubt, NotReceived, Refused};
        let (status, after) = (response.status().as_u16(), retry_after(response.headers()));
        let (code, kind, what) = match status {
            300..=399 => (
                "PORTAL_REFUSED",
                Refused,
                format!("le portail renvoie vers une autre adresse ({status}), qui n'est pas suivie : corrigez l'adresse dans la configuration"),
            ),
            401 => (
                "PORTAL_KEY",
                Refused,
                "le portail a refusé la clé (401) : vérifiez qu'elle est entière et qu'elle n'est ni expirée ni révoquée".into(),
            ),
            403 => (
                "PORTAL_KEY",
                Refused,
                "le portail a refusé la clé (403) : elle n'a pas le droit de créer, modifier et publier ce jeu de données ; faites-le lui donner".into(),
            ),
            408 | 425 | 429 => ("", NotReceived, format!("le portail demande d'attendre ({status})")),
            409 => ("", InDoubt, "le portail signale un conflit (409)".into()),
            400..=499 => {
                let said = match self.said(response).await {
                    said if said.is_empty() => String::new(),
                    said => format!(" : {said}"),
                };
                ("PORTAL_REFUSED", Refused, format!("le portail refuse la requête ({status}){said}"))
            }
            _ => ("", InDoubt, format!("le portail a répondu {status}")),
        };
        Fault { code, kind, after, message: what }
    }

    /// What a refusal says, on one line, never the key.
    async fn said(&self, response: Response) -> String {
        let Ok(bytes) = bounded(response, 64 << 10).await else { return String::new() };
        let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return String::new() };
        let text = |key: &str| match value.get(key) {
            Some(Value::String(text)) => Some(text.clone()),
            None | Some(Value::Null) => None,
            Some(other) => Some(other.to_string()),
        };
        let parts: Vec<String> = ["message", "errors", "detail"].into_iter().filter_map(text).collect();
        let line = parts.join(" ; ").replace(&self.key.0, "…");
        line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SAID).collect()
    }
}

/// `Retry-After`, in seconds or as a date (RFC 9110 §10.2.3); the date is read against the answer's own.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok());
    if let Ok(seconds) = text(header::RETRY_AFTER)?.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = |name| DateTime::parse_from_rfc2822(text(name)?).ok();
    (date(header::RETRY_AFTER)? - date(header::DATE)?).to_std().ok()
}

async fn bounded(mut response: Response, most: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| transport(&e))? {
        if out.len() + chunk.len() > most {
            return Err(Fault::refused("PORTAL_REFUSED", "la réponse du portail est démesurée"));
        }
        out.extend_from_slice(&chunk);
    }
    Ok(out)
}

fn transport(e: &reqwest::Error) -> Fault {
    let (kind, message) = match e.is_connect() {
        true => (
            FaultKind::NotReceived,
            "connexion impossible : vérifiez l'adresse, le réseau et les certificats de la machine",
        ),
        false => (FaultKind::InDoubt, "la connexion a été coupée avant la réponse du portail"),
    };
    Fault { code: "PORTAL_UNREACHABLE", kind, after: None, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_in_clear_except_towards_this_machine() {
        for good in ["https://data.education.gouv.fr/", "http://127.0.0.1:8080", "http://localhost:1"] {
            assert!(base(good).is_ok(), "{good}");
        }
        for bad in [
            "http://data.education.gouv.fr",
            "http://127.0.0.1.example.org",
            "ftp://localhost",
            "https://moi:secret@data.education.gouv.fr",
            "https://data.education.gouv.fr/?apikey=secret",
            "data.education.gouv.fr",
        ] {
            assert!(base(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_one_word_and_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new(" abc123\n").unwrap()), "Secret(…)");
        for bad in ["", " \n", "deux mots", "clé", "a\nb"] {
            assert!(Secret::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_delay_is_read_in_seconds_or_against_the_date_of_the_answer() {
        let read = |pairs: &[(HeaderName, &str)]| {
            let pairs = pairs.iter().map(|(k, v)| (k.clone(), HeaderValue::from_str(v).unwrap()));
            retry_after(&HeaderMap::from_iter(pairs)).map(|d| d.as_secs())
        };
        let later = (header::RETRY_AFTER, "Sun, 06 Nov 2026 08:50:37 GMT");
        let now = (header::DATE, "Fri, 06 Nov 2026 08:49:37 GMT");
        assert_eq!(read(&[(header::RETRY_AFTER, "120")]), Some(120));
        assert_eq!(read(&[(header::RETRY_AFTER, "Fri, 06 Nov 2026 08:50:37 GMT"), now.clone()]), Some(60));
        assert_eq!(read(&[later, now]), None, "a date whose day is wrong");
        assert_eq!(read(&[(header::RETRY_AFTER, "Fri, 06 Nov 2026 08:50:37 GMT")]), None);
        assert_eq!(read(&[(header::RETRY_AFTER, "bientôt")]), None);
        assert_eq!(read(&[]), None);
    }
}
