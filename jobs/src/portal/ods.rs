//! Opendatasoft portals (data.education.gouv.fr), by the Automation API v1.0.
//!
//! From the documentation (help.opendatasoft.com/apis/ods-automation-v1, developer.huwise.com/apis/
//! automation/v1.0): `GET datasets/?dataset_id=` lists what this key may edit; `POST datasets/` takes
//! `dataset_id`, `is_restricted` and the required `metadata` (template → field → `{"value"}`); a
//! `dataset_id` is not said to be unique, the `uid` is. From public clients of ministries and cities
//! (139bercy/data-eco-datasets-manager, opendatabs/huwise-utils-py): `POST …/resources/files/` with the
//! part `file` answers `{"uid"}`; `POST …/resources/` and `PUT …/resources/{uid}/` take `type`, `title`,
//! `params` and `datasource {"type": "uploaded_file", "file": {"uid"}}`; `PUT …/metadata/{template}/
//! {field}/`; `POST …/publish/`; `GET …/status/` answers `status`, `since`, `is_published`, `message` and
//! `records_errors`. Licence and themes are `internal.license_id` and `internal.theme_id`, identifiers of
//! the portal. Not sure: that `internal.theme_id` is a list; that `since` always moves when a dataset is
//! published again; how long an uploaded file that no resource uses is kept (it is uploaded anew).

use super::http::Body;
use super::ledger::digest_of;
use super::{Fault, Package, Plan, Portal, Run, Step, plain};
use cartulaire_engine::error::{ConfigFault, Error, Result};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Most datasets or resources asked for at once.
const LIMIT: usize = 100;
/// States of a dataset in which nothing is going on.
const STILL: [&str; 3] = ["idle", "error", "limit_reached"];
/// Templates that every portal has; the others are up to its administrators.
const ALWAYS: [&str; 2] = ["default", "internal"];

/// `ods.json`.
#[derive(Deserialize)]
struct Payload {
    dataset_id: String,
    is_restricted: bool,
    metadata: BTreeMap<String, BTreeMap<String, Value>>,
    resource: Resource,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "type")]
    kind: String,
    title: String,
    #[serde(default = "data")]
    path: String,
    #[serde(default)]
    params: Map<String, Value>,
}

fn data() -> String {
    "data.csv".into()
}

impl Payload {
    fn read(package: &Package) -> Result<Self> {
        let payload: Payload = package.description("ods.json")?;
        let names = payload.metadata.iter().flat_map(|(t, fields)| std::iter::once(t).chain(fields.keys()));
        if !plain(&payload.dataset_id) || !names.into_iter().all(|n| plain(n)) {
            let what = "ods.json : un identifiant n'admet que lettres, chiffres, « - » et « _ »";
            return Err(package.fault(what).into());
        }
        package.sha256(&payload.resource.path)?;
        Ok(payload)
    }

    /// Template, field and value, as this portal takes them.
    fn metadata(&self, portal: &Portal) -> Vec<(&str, &str, Value)> {
        let mut out = Vec::new();
        for (template, fields) in &self.metadata {
            for (field, value) in fields {
                let empty = match value {
                    Value::Null => true,
                    Value::String(text) => text.is_empty(),
                    Value::Array(list) => list.is_empty(),
                    _ => false,
                };
                // Their names in the package are for readers; the portal has identifiers of its own.
                if !empty && !matches!((template.as_str(), field.as_str()), ("default", "license" | "theme"))
                {
                    out.push((template.as_str(), field.as_str(), value.clone()));
                }
            }
        }
        if let Some(license) = &portal.license {
            out.push(("internal", "license_id", json!(license)));
        }
        if !portal.themes.is_empty() {
            out.push(("internal", "theme_id", json!(portal.themes)));
        }
        out
    }
}

/// The dataset's identifier, and what is to be done.
pub(super) fn steps(package: &Package, portal: &Portal) -> Result<(String, Vec<Step>)> {
    if portal.license.is_none() {
        let message = "publication sur Opendatasoft : donnez `license`, l'identifiant de la licence sur ce portail \
                       (GET /api/automation/v1.0/metadata_templates/internal/fields/license_id/suggest/)";
        let fault = ConfigFault { file: portal.url.clone(), line: 0, column: 0, message: message.into() };
        return Err(Error::config(fault));
    }
    let payload = Payload::read(package)?;
    let (id, resource) = (&payload.dataset_id, &payload.resource);
    let metadata = payload.metadata(portal);
    let told = json!(metadata).to_string();
    let data = package.sha256(&resource.path)?;
    let source = digest_of(&[data, &resource.kind, &resource.title, &json!(resource.params).to_string()]);
    let all = digest_of(&[&told, &source]);
    let size = package.check(&resource.path)?;
    let step = |id: &str, text: String, digest: &str| Step {
        id: id.into(),
        text,
        digest: digest.into(),
        done: false,
    };
    let steps = vec![
        step(Plan::DATASET, format!("chercher le jeu de données « {id} », ou le créer"), ""),
        step(
            "metadata",
            format!("décrire le jeu de données ({} champs)", metadata.len()),
            &digest_of(&[&told]),
        ),
        step(
            &format!("resource:{}", resource.path),
            format!("envoyer {} ({size} octets) et en faire la source « {} »", resource.path, resource.title),
            &source,
        ),
        step("publish", "demander la publication".into(), &all),
        step("online", "attendre que le portail ait traité et publié les données".into(), &all),
    ];
    Ok((payload.dataset_id, steps))
}

/// Does what is not done yet; gives the `uid`.
pub(super) async fn publish(run: &Run<'_>) -> Result<String> {
    let ods = Ods { run, payload: Payload::read(run.package)? };
    let uid = ods.dataset().await?;
    if run.done(&uid, "metadata")?.is_none() {
        ods.still(&uid).await?;
        // What is not ours is found out before anything of it is replaced.
        let known = run.track.last(&format!("resource:{}", ods.payload.resource.path))?;
        run.client.repeat(async || ods.ours(&uid, known.as_deref()).await.map(|_| ())).await?;
        ods.describe(&uid).await?;
        run.record(&uid, "metadata", &uid)?;
    }
    let step = format!("resource:{}", ods.payload.resource.path);
    if run.done(&uid, &step)?.is_none() {
        ods.still(&uid).await?;
        let resource = ods.source(&uid, &step).await?;
        run.record(&uid, &step, &resource)?;
    }
    if run.done(&uid, "publish")?.is_none() {
        let before = since(&ods.still(&uid).await?);
        let busy = async || Ok(ods.status(&uid).await?.filter(|s| !is_still(s)).map(|_| ()));
        run.client
            .effect(busy, async || ods.post(&format!("{uid}/publish/"), Body::Nothing).await.map(|_| ()))
            .await?;
        run.record(&uid, "publish", if before.is_empty() { "-" } else { &before })?;
    }
    if run.done(&uid, "online")?.is_none() {
        ods.online(&uid).await?;
        run.record(&uid, "online", &uid)?;
    }
    Ok(uid)
}

struct Ods<'a> {
    run: &'a Run<'a>,
    payload: Payload,
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

fn since(status: &Value) -> String {
    text(status, "since").unwrap_or_default().to_owned()
}

fn is_still(status: &Value) -> bool {
    text(status, "status").is_some_and(|s| STILL.contains(&s))
}

/// Entries of a list.
fn listed(answer: &Value) -> Result<&[Value], Fault> {
    let results = answer.get("results").and_then(Value::as_array).map(Vec::as_slice);
    let odd = "la réponse du portail n'est pas une liste de l'API d'automatisation";
    results.ok_or_else(|| Fault::refused("PORTAL_REFUSED", odd))
}

fn uid_of(value: &Value) -> Result<String, Fault> {
    let uid = text(value, "uid").filter(|id| plain(id)).map(str::to_owned);
    uid.ok_or_else(|| Fault::refused("PORTAL_REFUSED", "le portail n'a pas donné d'identifiant utilisable"))
}

impl Ods<'_> {
    fn path(rest: &str) -> String {
        format!("api/automation/v1.0/datasets/{rest}")
    }

    async fn post(&self, rest: &str, body: Body<'_>) -> Result<Value, Fault> {
        self.sure(Method::POST, rest, body).await
    }

    /// A writing whose target must exist.
    async fn sure(&self, method: Method, rest: &str, body: Body<'_>) -> Result<Value, Fault> {
        let answer = self.run.client.write(method, &Self::path(rest), self.run.package, body).await?;
        let gone = || Fault::refused("PORTAL_REFUSED", format!("le portail ne connaît pas « {rest} » (404)"));
        answer.ok_or_else(gone)
    }

    async fn dataset(&self) -> Result<String> {
        let (run, id) = (self.run, &self.payload.dataset_id);
        if let Some(uid) = run.track.dataset()? {
            if let Some(dataset) = run.client.get(&Self::path(&format!("{uid}/"))).await? {
                return Ok(self.accept(&dataset)?);
            }
            if !run.portal.recreate {
                let message = format!(
                    "le jeu de données « {id} », déjà publié, n'est plus sur le portail : si son retrait n'était pas voulu, republiez-le avec --recreate"
                );
                return Err(Error::Refused { code: "PORTAL_GONE", message });
            }
        }
        let find = async || Ok(self.find().await?.map(|uid| (uid, true)));
        let (uid, found) = run.client.effect(find, async || Ok((self.create().await?, false))).await?;
        run.track.know(&uid, found)?;
        run.sent.borrow_mut().push(Plan::DATASET.into());
        if found {
            run.note(format!("le jeu de données « {id} » était déjà sur le portail : il est mis à jour"));
        }
        Ok(uid)
    }

    async fn find(&self) -> Result<Option<String>, Fault> {
        let id = &self.payload.dataset_id;
        let query = Self::path(&format!("?dataset_id={id}&limit={LIMIT}"));
        let answer = self.run.client.read(&query).await?.unwrap_or(Value::Null);
        let results = listed(&answer)?;
        if results.iter().any(|d| text(d, "dataset_id") != Some(id)) {
            // Were the filter ignored, ours could be further in the list.
            let message =
                "le portail ne sait pas chercher un jeu de données par son identifiant : rien n'est créé";
            return Err(Fault::refused("PORTAL_REFUSED", message));
        }
        match results {
            [] => self.elsewhere().await.map(|()| None),
            [one] => self.accept(one).map(Some),
            _ => Err(Fault::refused(
                "PORTAL_AMBIGUOUS",
                format!(
                    "plusieurs jeux de données du portail portent l'identifiant « {id} » : n'en gardez qu'un"
                ),
            )),
        }
    }

    /// The list has only what the key may edit, and an identifier may be taken twice: the public
    /// catalogue tells what others have published.
    async fn elsewhere(&self) -> Result<(), Fault> {
        let id = &self.payload.dataset_id;
        match self.run.client.read(&format!("api/explore/v2.1/catalog/datasets/{id}/")).await? {
            None => Ok(()),
            Some(_) => Err(Fault::refused(
                "PORTAL_FOREIGN",
                format!(
                    "« {id} » existe sur le portail et cette clé ne peut pas le modifier : faites-lui en donner le droit"
                ),
            )),
        }
    }

    /// What a person decided about who sees the dataset is not undone.
    fn accept(&self, dataset: &Value) -> Result<String, Fault> {
        let id = &self.payload.dataset_id;
        let restricted = dataset.get("is_restricted").and_then(Value::as_bool);
        if self.payload.is_restricted && restricted != Some(true) {
            let message = format!(
                "« {id} » doit être d'accès restreint et le portail le montre à tous : restreignez-le d'abord sur le portail"
            );
            return Err(Fault::refused("PORTAL_FOREIGN", message));
        }
        if !self.payload.is_restricted && restricted == Some(true) {
            self.run.note(format!("« {id} » est d'accès restreint sur le portail : il le reste"));
        }
        uid_of(dataset)
    }

    async fn create(&self) -> Result<String, Fault> {
        let title = self.payload.metadata.get("default").and_then(|d| d.get("title")).cloned();
        let title = title.unwrap_or_else(|| json!(self.payload.resource.title));
        let body = json!({
            "dataset_id": self.payload.dataset_id,
            "is_restricted": self.payload.is_restricted,
            "metadata": {"default": {"title": {"value": title}}},
        });
        uid_of(&self.post("", Body::Json(&body)).await?)
    }

    async fn status(&self, uid: &str) -> Result<Option<Value>, Fault> {
        self.run.client.read(&Self::path(&format!("{uid}/status/"))).await
    }

    /// Waits until nothing is going on: a dataset at work takes no change.
    async fn still(&self, uid: &str) -> Result<Value> {
        for attempt in 0.. {
            let status = self.run.client.get(&Self::path(&format!("{uid}/status/"))).await?;
            if let Some(status) = status.filter(is_still) {
                return Ok(status);
            }
            if !self.run.client.again(attempt).await {
                break;
            }
        }
        Err(pending())
    }

    async fn describe(&self, uid: &str) -> Result<()> {
        let client = &self.run.client;
        for (template, field, value) in self.payload.metadata(self.run.portal) {
            let rest = format!("{uid}/metadata/{template}/{field}/");
            let body = json!({"value": value, "override_remote_value": true});
            let put = async || {
                client.write(Method::PUT, &Self::path(&rest), self.run.package, Body::Json(&body)).await
            };
            match client.repeat(put).await? {
                Some(_) => {}
                None if ALWAYS.contains(&template) => {
                    let message =
                        format!("le portail n'a pas le champ « {template}.{field} » : rien n'est publié");
                    return Err(Error::Refused { code: "PORTAL_REFUSED", message });
                }
                None => self.run.note(format!(
                    "le portail n'a pas le champ « {template}.{field} » : il n'est pas rempli"
                )),
            }
        }
        Ok(())
    }

    /// Sends the file, and makes it the only source of the dataset; gives the source's identifier.
    async fn source(&self, uid: &str, step: &str) -> Result<String> {
        let (client, resource) = (&self.run.client, &self.payload.resource);
        let known = self.run.track.last(step)?;
        // Sources are added up by the portal: another one would mix its rows with ours.
        client.repeat(async || self.ours(uid, known.as_deref()).await.map(|_| ())).await?;
        let sent_as = format!("{}-{}", self.payload.dataset_id, resource.path);
        let files = format!("{uid}/resources/files/");
        let upload = async || {
            let file = Body::File { name: &resource.path, sent_as: &sent_as, mime: "text/csv" };
            uid_of(&self.post(&files, file).await?)
        };
        // Sent again after a cut, a file is an orphan that no dataset uses.
        let file = client.repeat(upload).await?;
        let body = json!({
            "type": resource.kind, "title": resource.title, "params": resource.params,
            "datasource": {"type": "uploaded_file", "file": {"uid": file}},
        });
        let look = async || {
            let ours = self.ours(uid, known.as_deref()).await?;
            Ok(ours.filter(|(_, used)| *used == file).map(|(resource, _)| resource))
        };
        let act = async || {
            let Some((resource, _)) = self.ours(uid, known.as_deref()).await? else {
                return uid_of(&self.post(&format!("{uid}/resources/"), Body::Json(&body)).await?);
            };
            let rest = format!("{uid}/resources/{resource}/");
            self.sure(Method::PUT, &rest, Body::Json(&body)).await?;
            Ok(resource)
        };
        client.effect(look, act).await
    }

    /// Our source and the file that it uses, if there is one.
    async fn ours(&self, uid: &str, known: Option<&str>) -> Result<Option<(String, String)>, Fault> {
        let query = Self::path(&format!("{uid}/resources/?limit={LIMIT}"));
        let answer = self.run.client.read(&query).await?.unwrap_or(Value::Null);
        let results = listed(&answer)?;
        match results {
            [] => Ok(None),
            [one]
                if text(one, "title") == Some(&self.payload.resource.title)
                    || (known.is_some() && text(one, "uid") == known) =>
            {
                let used = one.pointer("/datasource/file/uid").and_then(Value::as_str).unwrap_or_default();
                Ok(Some((uid_of(one)?, used.to_owned())))
            }
            _ => {
                let message = format!(
                    "« {} » a sur le portail d'autres sources que « {} », dont les lignes s'ajouteraient aux nôtres : retirez-les d'abord",
                    self.payload.dataset_id, self.payload.resource.title
                );
                Err(Fault::refused("PORTAL_FOREIGN", message))
            }
        }
    }

    /// Waits until the portal says that the dataset is published.
    async fn online(&self, uid: &str) -> Result<()> {
        let run = self.run;
        let before = run.done(uid, "publish")?.unwrap_or_default();
        for attempt in 0.. {
            let status = run.client.get(&Self::path(&format!("{uid}/status/"))).await?.unwrap_or_default();
            let published = status.get("is_published").and_then(Value::as_bool) == Some(true);
            let errors = status.get("records_errors").and_then(Value::as_array).map_or(0, Vec::len);
            let state = text(&status, "status").unwrap_or_default();
            // Just after the request the portal may still show the state of before.
            let moved = since(&status) != before;
            if is_still(&status) && moved && (state != "idle" || errors > 0) {
                run.track.forget("publish")?;
                let message = format!(
                    "le portail n'a pas pu traiter les données (état « {state} », {errors} ligne(s) en erreur) : lisez son journal, corrigez, puis relancez"
                );
                return Err(Error::Refused { code: "PORTAL_FAILED", message });
            }
            if state == "idle" && published && moved {
                return Ok(());
            }
            if run.client.again(attempt).await {
                continue;
            }
            if state == "idle" && published && errors == 0 {
                run.note("le portail n'a pas signalé de nouveau traitement : vérifiez la date de mise à jour du jeu de données");
                return Ok(());
            }
            break;
        }
        Err(pending())
    }
}

fn pending() -> Error {
    let message = "le portail traite encore le jeu de données : relancez la commande plus tard, elle reprendra où elle en est";
    Error::Refused { code: "PORTAL_PENDING", message: message.into() }
}
