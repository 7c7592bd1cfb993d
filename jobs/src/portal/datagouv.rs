//! data.gouv.fr, by its API v1.
//!
//! From the documentation (guides.data.gouv.fr, « Gérer un jeu de données par l'API »): `X-API-KEY`;
//! `POST datasets/` with `title`, `description`, `organization` (an identifier) answers `id` and `slug`;
//! a dataset is public unless each call says `private: true`; `POST datasets/{id}/upload/` takes the part
//! `file` and answers the resource; `POST datasets/{id}/resources/{rid}/upload/` replaces its file; `PUT`
//! on both. From the source of the portal (opendatateam/udata, core/dataset and core/organization): the
//! slug is made by the portal from the title and cannot be chosen, `extras` is free, checksums are `sha1`,
//! `sha2`, `sha256`, `md5` or `crc`, types are `main`, `documentation`, `update`, `api`, `code`, `other`;
//! an uploaded file keeps its name in small letters at the end of `url`, and gives the resource its first
//! title; `GET organizations/{id}/datasets/` pages through `data` and `next_page`, private datasets
//! included for members. Not sure: whether a `PUT` replaces `extras` or adds to them (both are sent
//! whole); which codes answer too many requests.
//!
//! A new dataset stays private until its files and its description are there.

use super::http::Body;
use super::ledger::digest_of;
use super::{Fault, Package, Plan, Portal, Run, Step, plain};
use cartulaire_engine::error::{ConfigFault, Error, Result};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Our identifier of a dataset, in its extras.
const DATASET: &str = "cartulaire_jeu";
/// Whether we have published it, in its extras: a dataset that someone made private stays so.
const STATE: &str = "cartulaire_etat";
const DRAFT: &str = "brouillon";
const PUBLIC: &str = "publie";
/// The file of a package that a resource shows, in its extras.
const FILE: &str = "cartulaire_fichier";
/// Datasets asked for at once, and pages at most.
const PAGE: usize = 50;
const PAGES: usize = 400;
/// Hexadecimal digits of its digest in the name of a sent file.
const MARK: usize = 16;

/// `datagouv.json`.
#[derive(Deserialize)]
struct Payload {
    title: String,
    slug: String,
    description: String,
    license: String,
    frequency: String,
    #[serde(default)]
    tags: Vec<String>,
    temporal_coverage: Option<Value>,
    resources: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    path: String,
    title: String,
    format: String,
    mime: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    filesize: Option<u64>,
    checksum: Checksum,
}

#[derive(Deserialize)]
struct Checksum {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

impl Payload {
    fn read(package: &Package) -> Result<Self> {
        let payload: Payload = package.description("datagouv.json")?;
        if !plain(&payload.slug) {
            let what = "datagouv.json : « slug » n'admet que lettres, chiffres, « - » et « _ »";
            return Err(package.fault(what).into());
        }
        for (i, r) in payload.resources.iter().enumerate() {
            let listed = package.sha256(&r.path)?;
            if r.checksum.kind != "sha256" || r.checksum.value != listed {
                let what =
                    format!("datagouv.json : l'empreinte de « {} » n'est pas celle de SHA256SUMS", r.path);
                return Err(package.fault(&what).into());
            }
            if payload.resources.iter().take(i).any(|before| before.path == r.path) {
                return Err(package.fault(&format!("datagouv.json : « {} » y est deux fois", r.path)).into());
            }
        }
        Ok(payload)
    }

    /// The description of the dataset; its state and who sees it are added to it.
    fn body(&self, organisation: &str) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("title".into(), json!(self.title));
        body.insert("description".into(), json!(self.description));
        body.insert("organization".into(), json!(organisation));
        body.insert("license".into(), json!(self.license));
        body.insert("frequency".into(), json!(self.frequency));
        body.insert("tags".into(), json!(self.tags));
        if let Some(coverage) = self.temporal_coverage.as_ref().filter(|c| !c.is_null()) {
            body.insert("temporal_coverage".into(), coverage.clone());
        }
        body
    }
}

impl Resource {
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        body.insert("title".into(), json!(self.title));
        body.insert("type".into(), json!(self.kind));
        body.insert("format".into(), json!(self.format));
        body.insert("checksum".into(), json!({"type": self.checksum.kind, "value": self.checksum.value}));
        if let Some(mime) = &self.mime {
            body.insert("mime".into(), json!(mime));
        }
        if let Some(size) = self.filesize {
            body.insert("filesize".into(), json!(size));
        }
        body
    }

    /// A mark of this very content: the portal keeps the names of files.
    fn mark(&self) -> String {
        self.checksum.value.chars().take(MARK).collect()
    }

    /// The name under which the file is sent, as the portal leaves it: small letters, digits, `-`, `.`.
    fn sent_as(&self, slug: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let (stem, extension) = self.path.rsplit_once('.').unwrap_or((&self.path, "txt"));
        let name: String = format!("{slug}-{stem}-{}", self.mark()).chars().map(plain).collect();
        format!("{name}.{}", extension.chars().map(plain).collect::<String>())
    }

    fn mime(&self) -> &str {
        let safe = |m: &&str| m.bytes().all(|b| b.is_ascii_graphic());
        self.mime.as_deref().filter(safe).unwrap_or("application/octet-stream")
    }
}

fn organisation(portal: &Portal) -> Result<&str> {
    let id = portal.organisation.as_deref();
    let is = |id: &&str| id.len() == 24 && id.bytes().all(|b| b.is_ascii_hexdigit());
    id.filter(is).ok_or_else(|| {
        let message = "publication sur data.gouv.fr : donnez `organisation`, l'identifiant de l'organisation qui publie (24 chiffres hexadécimaux)";
        Error::config(ConfigFault { file: portal.url.clone(), line: 0, column: 0, message: message.into() })
    })
}

/// The dataset's identifier, and what is to be done.
pub(super) fn steps(package: &Package, portal: &Portal) -> Result<(String, Vec<Step>)> {
    let payload = Payload::read(package)?;
    let body = Value::Object(payload.body(organisation(portal)?)).to_string();
    let step = |id: String, text: String, digest: String| Step { id, text, digest, done: false };
    let slug = &payload.slug;
    let mut steps = vec![step(
        Plan::DATASET.into(),
        format!("chercher le jeu de données « {slug} » de l'organisation, ou le créer en privé"),
        String::new(),
    )];
    for r in &payload.resources {
        let size = package.check(&r.path)?;
        steps.push(step(
            format!("resource:{}", r.path),
            format!("envoyer {} ({size} octets) et le décrire : « {} »", r.path, r.title),
            digest_of(&[&r.checksum.value, &Value::Object(r.body()).to_string()]),
        ));
    }
    let all: Vec<&str> =
        std::iter::once(body.as_str()).chain(steps.iter().map(|s| s.digest.as_str())).collect();
    let all = digest_of(&all);
    steps.push(step("publish".into(), "décrire le jeu de données et le rendre public".into(), all));
    Ok((payload.slug, steps))
}

/// Does what is not done yet; gives the identifier of the dataset.
pub(super) async fn publish(run: &Run<'_>) -> Result<String> {
    let payload = Payload::read(run.package)?;
    let datagouv = Datagouv { run, payload, organisation: organisation(run.portal)? };
    // Before anything else: a refused key is told as such.
    run.client.get("api/1/me/").await?;
    let id = datagouv.dataset().await?;
    for resource in &datagouv.payload.resources {
        let step = format!("resource:{}", resource.path);
        if run.done(&id, &step)?.is_none() {
            let rid = datagouv.resource(&id, resource, &step).await?;
            run.record(&id, &step, &rid)?;
        }
    }
    if run.done(&id, "publish")?.is_none() {
        datagouv.describe(&id).await?;
        run.record(&id, "publish", &id)?;
    }
    Ok(id)
}

struct Datagouv<'a> {
    run: &'a Run<'a>,
    payload: Payload,
    organisation: &'a str,
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn extra<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get("extras").and_then(|e| text(e, key))
}

/// The extras that are there, with ours.
fn extras(value: &Value, ours: &[(&str, &str)]) -> Value {
    let mut all = value.get("extras").and_then(Value::as_object).cloned().unwrap_or_default();
    all.extend(ours.iter().map(|(k, v)| ((*k).to_owned(), json!(v))));
    Value::Object(all)
}

fn id_of(value: &Value) -> Result<String, Fault> {
    let id = text(value, "id").filter(|id| plain(id)).map(str::to_owned);
    id.ok_or_else(|| Fault::refused("PORTAL_REFUSED", "le portail n'a pas donné d'identifiant utilisable"))
}

fn is_set(value: &Value, key: &str) -> bool {
    value.get(key).is_some_and(|v| !v.is_null() && *v != Value::Bool(false))
}

impl Datagouv<'_> {
    /// A writing whose target must exist.
    async fn sure(&self, method: Method, rest: &str, body: Body<'_>) -> Result<Value, Fault> {
        let answer = self.run.client.write(method, &format!("api/1/{rest}"), self.run.package, body).await?;
        let gone = || Fault::refused("PORTAL_REFUSED", format!("le portail ne connaît pas « {rest} » (404)"));
        answer.ok_or_else(gone)
    }

    async fn read(&self, id: &str) -> Result<Value, Fault> {
        let dataset = self.run.client.read(&format!("api/1/datasets/{id}/")).await?;
        dataset.filter(|d| !is_set(d, "deleted")).ok_or_else(|| {
            Fault::refused("PORTAL_GONE", "le jeu de données a été retiré du portail pendant la publication")
        })
    }

    async fn dataset(&self) -> Result<String> {
        let (run, slug) = (self.run, &self.payload.slug);
        if let Some(id) = run.track.dataset()? {
            let there = run.client.get(&format!("api/1/datasets/{id}/")).await?;
            if there.is_some_and(|d| !is_set(&d, "deleted")) {
                return Ok(id);
            }
            if !run.portal.recreate {
                let message = format!(
                    "le jeu de données « {slug} », déjà publié, n'est plus sur le portail : si son retrait n'était pas voulu, republiez-le avec --recreate"
                );
                return Err(Error::Refused { code: "PORTAL_GONE", message });
            }
        }
        let (id, foreign) =
            run.client.effect(async || self.find().await, async || Ok((self.create().await?, false))).await?;
        run.track.know(&id, foreign)?;
        run.sent.borrow_mut().push(Plan::DATASET.into());
        if foreign {
            run.note(format!("le jeu de données « {slug} » était déjà sur le portail : il est mis à jour"));
        }
        Ok(id)
    }

    /// The dataset of the organisation that bears our identifier, and whether others made it.
    async fn find(&self) -> Result<Option<(String, bool)>, Fault> {
        let slug = self.payload.slug.as_str();
        let (mut marked, mut named) = (Vec::new(), Vec::new());
        for page in 1.. {
            let path =
                format!("api/1/organizations/{}/datasets/?page={page}&page_size={PAGE}", self.organisation);
            let answer = self.run.client.read(&path).await?;
            let unknown = || {
                Fault::refused(
                    "PORTAL_REFUSED",
                    "le portail ne connaît pas cette organisation : vérifiez `organisation`",
                )
            };
            let answer = answer.ok_or_else(unknown)?;
            let odd = || {
                Fault::refused(
                    "PORTAL_REFUSED",
                    "la réponse du portail n'est pas une liste de jeux de données",
                )
            };
            let datasets = answer.get("data").and_then(Value::as_array).ok_or_else(odd)?;
            for dataset in datasets.iter().filter(|d| !is_set(d, "deleted")) {
                match extra(dataset, DATASET) {
                    Some(mark) if mark == slug => marked.push(id_of(dataset)?),
                    None if text(dataset, "slug") == Some(slug) => named.push(id_of(dataset)?),
                    _ => {}
                }
            }
            if !is_set(&answer, "next_page") {
                break;
            }
            if page >= PAGES {
                return Err(odd());
            }
        }
        match (marked.as_slice(), named.as_slice()) {
            ([one], _) => Ok(Some((one.clone(), false))),
            ([], [one]) => Ok(Some((one.clone(), true))),
            ([], []) => Ok(None),
            _ => Err(Fault::refused(
                "PORTAL_AMBIGUOUS",
                format!(
                    "plusieurs jeux de données de l'organisation portent l'identifiant « {slug} » : n'en gardez qu'un"
                ),
            )),
        }
    }

    async fn create(&self) -> Result<String, Fault> {
        let mut body = self.payload.body(self.organisation);
        body.insert("private".into(), json!(true));
        body.insert("extras".into(), json!({DATASET: self.payload.slug, STATE: DRAFT}));
        id_of(&self.sure(Method::POST, "datasets/", Body::Json(&Value::Object(body))).await?)
    }

    /// Sends a file, then says what it is; gives the identifier of the resource.
    async fn resource(&self, id: &str, resource: &Resource, step: &str) -> Result<String> {
        let known = self.run.track.last(step)?;
        let sent_as = resource.sent_as(&self.payload.slug);
        let look = async || {
            let there = self.there(id, resource, known.as_deref()).await?;
            Ok(there.filter(|(_, current)| *current).map(|(r, _)| r))
        };
        let act = async || {
            let file = Body::File { name: &resource.path, sent_as: &sent_as, mime: resource.mime() };
            let rest = match self.there(id, resource, known.as_deref()).await? {
                Some((old, _)) => format!("datasets/{id}/resources/{}/upload/", id_of(&old)?),
                None => format!("datasets/{id}/upload/"),
            };
            self.sure(Method::POST, &rest, file).await
        };
        let sent = self.run.client.effect(look, act).await?;
        let rid = id_of(&sent)?;
        let mut body = resource.body();
        body.insert("extras".into(), extras(&sent, &[(FILE, &resource.path)]));
        let (rest, body) = (format!("datasets/{id}/resources/{rid}/"), Value::Object(body));
        self.run.client.repeat(async || self.sure(Method::PUT, &rest, Body::Json(&body)).await).await?;
        Ok(rid)
    }

    /// The resource that shows this file of ours, and whether it has this very content.
    async fn there(
        &self,
        id: &str,
        resource: &Resource,
        known: Option<&str>,
    ) -> Result<Option<(Value, bool)>, Fault> {
        let dataset = self.read(id).await?;
        let all = dataset.get("resources").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mark = resource.mark();
        let holds = |r: &Value| {
            let last = text(r, "url").and_then(|u| u.rsplit('/').next());
            [last, text(r, "title")].into_iter().flatten().any(|name| name.contains(&mark))
        };
        let is = |r: &&Value| match extra(r, FILE) {
            Some(path) => path == resource.path,
            None => text(r, "id").is_some_and(|id| Some(id) == known),
        };
        // Sent and not described yet, when a crash came in between.
        let bare = |r: &&Value| extra(r, FILE).is_none() && holds(r);
        let found = all.iter().find(is).or_else(|| all.iter().find(bare));
        Ok(found.map(|r| (r.clone(), holds(r))))
    }

    async fn describe(&self, id: &str) -> Result<()> {
        let slug = self.payload.slug.as_str();
        let put = async || {
            let there = self.read(id).await?;
            // What a person made private stays private; our own draft becomes public.
            let private = is_set(&there, "private") && extra(&there, STATE) != Some(DRAFT);
            if private {
                self.run.note(format!("« {slug} » est privé sur le portail : il le reste"));
            }
            let mut body = self.payload.body(self.organisation);
            body.insert("private".into(), json!(private));
            body.insert("extras".into(), extras(&there, &[(DATASET, slug), (STATE, PUBLIC)]));
            self.sure(Method::PUT, &format!("datasets/{id}/"), Body::Json(&Value::Object(body))).await
        };
        self.run.client.repeat(put).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sent_file_bears_its_content_in_a_name_that_the_portal_keeps() {
        let resource = |path: &str| Resource {
            path: path.into(),
            title: String::new(),
            format: String::new(),
            mime: Some("text/csv\r\nX-A: b".into()),
            kind: "main".into(),
            filesize: None,
            checksum: Checksum { kind: "sha256".into(), value: "0123456789abcdef99".into() },
        };
        for (path, want) in [
            ("data.csv", "eleves-uai-data-0123456789abcdef.csv"),
            ("METHODOLOGIE_a.md", "eleves-uai-methodologie-a-0123456789abcdef.md"),
            ("README", "eleves-uai-readme-0123456789abcdef.txt"),
        ] {
            assert_eq!(resource(path).sent_as("eleves-uai"), want);
        }
        assert_eq!(resource("a").mime(), "application/octet-stream");
    }
}
