//! The portals as documented, over real HTTP: Opendatasoft's Automation API v1.0 and the API v1 of
//! data.gouv.fr. And what goes wrong on the way to them, at any request.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

pub const KEY: &str = "cle-de-test-3f9a";
pub const ORGANISATION: &str = "5bbb6d6cff66bd4dc17bfd5a";

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// This status, nothing done.
    Refuse(u16),
    /// This status, nothing done, and `Retry-After`.
    Later(u16, &'static str),
    /// This status and this body, nothing done.
    Says(u16, String),
    /// 302 to this address, nothing done.
    Redirect(String),
    /// The connection is cut before the body is read.
    CutUnread,
    /// Done, and the connection is cut.
    DoneThenCut,
    /// Done, and this status.
    DoneThen(u16),
}

#[derive(Default, Clone, Debug)]
pub struct Resource {
    pub id: String,
    pub body: Map<String, Value>,
    /// Name and bytes of its file.
    pub file: (String, Vec<u8>),
}

#[derive(Default, Clone, Debug)]
pub struct Dataset {
    pub uid: String,
    /// `dataset_id`, or slug.
    pub id: String,
    pub hidden: bool,
    pub deleted: bool,
    /// Editable by the key.
    pub ours: bool,
    pub published: bool,
    pub body: Map<String, Value>,
    pub resources: Vec<Resource>,
    /// Questions for which it is at work.
    pub busy: u32,
    /// Publications asked for and processed.
    pub processed: u32,
}

#[derive(Default)]
pub struct Portal {
    pub datasets: Vec<Dataset>,
    /// Opendatasoft: files sent, by identifier; whether a resource uses them or not.
    pub files: BTreeMap<String, (String, Vec<u8>)>,
    /// What happens to the n-th request, from 0.
    pub acts: BTreeMap<usize, Act>,
    /// Every request: method and path.
    pub requests: Vec<String>,
    /// Metadata templates that this Opendatasoft portal has.
    pub templates: Vec<String>,
    /// The next processing ends with this state and so many refused rows.
    pub fails: Option<(&'static str, usize)>,
    last: Option<(&'static str, usize)>,
    made: u32,
}

impl Portal {
    fn name(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{:04}", self.made)
    }

    /// What readers of the portal see, without what depends on the way there.
    pub fn seen(&self) -> Vec<String> {
        let line = |d: &Dataset| {
            let resources: Vec<String> = d
                .resources
                .iter()
                .map(|r| {
                    let mut body = r.body.clone();
                    body.remove("datasource");
                    format!("{} {}", Value::Object(body), String::from_utf8_lossy(&r.file.1))
                })
                .collect();
            format!(
                "{} hidden={} published={} {} {resources:?}",
                d.id,
                d.hidden,
                d.published,
                Value::Object(d.body.clone())
            )
        };
        self.datasets.iter().filter(|d| !d.deleted).map(line).collect()
    }
}

pub struct Server {
    portal: Arc<Mutex<Portal>>,
    pub url: String,
}

impl Server {
    pub fn portal(&self) -> MutexGuard<'_, Portal> {
        self.portal.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn open() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let templates = ["default", "internal", "dcat"].map(str::to_owned).to_vec();
        let portal = Arc::new(Mutex::new(Portal { templates, ..Portal::default() }));
        let shared = portal.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One at a time: the order of requests is theirs.
                let _ = talk(stream, &shared);
            }
        });
        Server { portal, url }
    }
}

struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

fn talk(mut stream: TcpStream, portal: &Mutex<Portal>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|l| l.split_once(": "))
        .map(|(k, v)| (k.to_ascii_lowercase(), v.to_owned()))
        .collect();
    let act = {
        let mut portal = portal.lock().unwrap_or_else(|e| e.into_inner());
        let n = portal.requests.len();
        portal.requests.push(format!("{method} {target}"));
        portal.acts.get(&n).cloned()
    };
    if act == Some(Act::CutUnread) {
        return stream.shutdown(Shutdown::Both);
    }
    let size: usize = headers.get("content-length").map_or(0, |v| v.parse().unwrap());
    let mut body = vec![0; size];
    stream.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query =
        query.split('&').filter_map(|p| p.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
    let request = Request { method, path: path.to_owned(), query, headers, body };
    let refuse = |status: u16| (status, json!({"message": format!("status {status}")}).to_string());
    let (status, text, more) = match &act {
        Some(Act::Refuse(status)) => (*status, refuse(*status).1, String::new()),
        Some(Act::Later(status, after)) => (*status, refuse(*status).1, format!("Retry-After: {after}\r\n")),
        Some(Act::Says(status, body)) => (*status, body.clone(), String::new()),
        Some(Act::Redirect(to)) => (302, String::new(), format!("Location: {to}\r\n")),
        _ => {
            let mut portal = portal.lock().unwrap_or_else(|e| e.into_inner());
            let (status, value) = answer(&mut portal, &request);
            match act {
                Some(Act::DoneThenCut) => return stream.shutdown(Shutdown::Both),
                Some(Act::DoneThen(status)) => (status, refuse(status).1, String::new()),
                _ => (status, value.to_string(), String::new()),
            }
        }
    };
    let answer = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{more}Connection: close\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes())
}

fn answer(portal: &mut Portal, request: &Request) -> (u16, Value) {
    let known = request.headers.get("authorization").is_some_and(|v| *v == format!("Apikey {KEY}"))
        || request.headers.get("x-api-key").is_some_and(|v| v == KEY);
    if !known {
        return (401, json!({"message": "unknown key"}));
    }
    let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
    match path.as_slice() {
        ["api", "automation", "v1.0", "datasets", rest @ ..] => ods(portal, request, rest),
        ["api", "explore", "v2.1", "catalog", "datasets", id] => {
            let there = portal.datasets.iter().any(|d| d.id == *id && d.published && !d.hidden && !d.deleted);
            if there { (200, json!({"dataset_id": id})) } else { (404, json!({})) }
        }
        ["api", "1", rest @ ..] => datagouv(portal, request, rest),
        _ => (404, json!({"message": "no such path"})),
    }
}

fn object(request: &Request) -> Map<String, Value> {
    assert_eq!(request.headers.get("content-type").map(String::as_str), Some("application/json"));
    serde_json::from_slice(&request.body).unwrap()
}

/// Name and bytes of the part `file` of a multipart body, read strictly.
fn file(request: &Request) -> (String, Vec<u8>) {
    let kind = &request.headers["content-type"];
    let edge = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
    let find = |from: usize, what: &[u8]| {
        request.body[from..].windows(what.len()).position(|w| w == what).map(|at| from + at).unwrap()
    };
    assert!(request.body.starts_with(format!("--{edge}\r\n").as_bytes()));
    let start = find(0, b"\r\n\r\n") + 4;
    let head = String::from_utf8(request.body[..start].to_vec()).unwrap();
    let end = find(start, format!("\r\n--{edge}").as_bytes());
    assert_eq!(request.body[end..], *format!("\r\n--{edge}--\r\n").as_bytes());
    let name = head.split("name=\"file\"; filename=\"").nth(1).unwrap().split('"').next().unwrap();
    (name.to_owned(), request.body[start..end].to_vec())
}

fn ods(portal: &mut Portal, request: &Request, rest: &[&str]) -> (u16, Value) {
    let missing = (404, json!({"message": "not found"}));
    let list = |items: Vec<Value>| (200, json!({"total_count": items.len(), "next": null, "results": items}));
    let shown = |d: &Dataset| json!({"uid": d.uid, "dataset_id": d.id, "is_restricted": d.hidden, "is_published": d.published});
    let method = request.method.as_str();
    if rest.is_empty() {
        if method == "GET" {
            let wanted = request.query.get("dataset_id");
            let found = portal.datasets.iter().filter(|d| d.ours && !d.deleted);
            return list(found.filter(|d| wanted.is_none_or(|w| *w == d.id)).map(shown).collect());
        }
        let body = object(request);
        // An identifier is not unique, and metadata is required.
        if !body.get("metadata").is_some_and(Value::is_object) {
            return (400, json!({"message": "metadata is required"}));
        }
        let dataset = Dataset {
            uid: portal.name("da_"),
            id: body["dataset_id"].as_str().unwrap().to_owned(),
            hidden: body["is_restricted"].as_bool().unwrap(),
            ours: true,
            busy: 1,
            ..Dataset::default()
        };
        let shown = shown(&dataset);
        portal.datasets.push(dataset);
        return (201, shown);
    }
    let Some(at) = portal.datasets.iter().position(|d| d.uid == rest[0] && d.ours && !d.deleted) else {
        return missing;
    };
    let busy = portal.datasets[at].busy > 0;
    match (method, &rest[1..]) {
        ("GET", []) => (200, shown(&portal.datasets[at])),
        ("GET", ["status"]) => {
            let last = portal.last;
            let dataset = &mut portal.datasets[at];
            dataset.busy = dataset.busy.saturating_sub(1);
            let (state, errors) = last.unwrap_or(("idle", 0));
            let state = if busy { "processing" } else { state };
            let since = format!("2026-11-23T06:00:{:02}Z", dataset.processed * 2 + u32::from(busy));
            let errors = vec![json!({"row": 1}); errors];
            (
                200,
                json!({"status": state, "since": since, "is_published": dataset.published, "records_errors": errors}),
            )
        }
        _ if busy => (409, json!({"message": "the dataset is being processed"})),
        ("PUT", ["metadata", template, field]) => {
            if !portal.templates.iter().any(|t| t == template) {
                return missing;
            }
            let body = object(request);
            portal.datasets[at].body.insert(format!("{template}.{field}"), body["value"].clone());
            (200, Value::Object(body))
        }
        ("POST", ["resources", "files"]) => {
            let uid = portal.name("fi_");
            portal.files.insert(uid.clone(), file(request));
            (201, json!({"uid": uid}))
        }
        ("GET", ["resources"]) => {
            let show = |r: &Resource| {
                let mut body = r.body.clone();
                body.insert("uid".into(), json!(r.id));
                Value::Object(body)
            };
            list(portal.datasets[at].resources.iter().map(show).collect())
        }
        ("POST" | "PUT", ["resources", which @ ..]) => {
            let body = object(request);
            let uid = body["datasource"]["file"]["uid"].as_str().unwrap_or_default();
            let Some(file) = portal.files.get(uid).cloned() else {
                return (400, json!({"message": "no such file"}));
            };
            assert_eq!(body["datasource"]["type"], "uploaded_file");
            let id = match which {
                [] => portal.name("re_"),
                _ => which[0].to_owned(),
            };
            let dataset = &mut portal.datasets[at];
            if method == "POST" {
                dataset.resources.push(Resource { id: id.clone(), body, file });
                return (201, json!({"uid": id}));
            }
            let Some(old) = dataset.resources.iter_mut().find(|r| r.id == id) else { return missing };
            (old.body, old.file) = (body, file);
            (200, json!({"uid": id}))
        }
        ("POST", ["publish"]) => {
            portal.last = portal.fails.take();
            let failed = portal.last.is_some();
            let dataset = &mut portal.datasets[at];
            (dataset.published, dataset.busy) = (dataset.published || !failed, 2);
            dataset.processed += 1;
            (200, json!({"status": "queued"}))
        }
        _ => missing,
    }
}

fn datagouv(portal: &mut Portal, request: &Request, rest: &[&str]) -> (u16, Value) {
    let missing = (404, json!({"message": "not found"}));
    let full = |d: &Dataset| {
        let mut body = d.body.clone();
        body.extend([
            ("id".to_owned(), json!(d.uid)),
            ("slug".to_owned(), json!(d.id)),
            ("private".to_owned(), json!(d.hidden)),
            ("deleted".to_owned(), if d.deleted { json!("2026-11-01") } else { Value::Null }),
            ("resources".to_owned(), d.resources.iter().map(resource).collect()),
        ]);
        Value::Object(body)
    };
    match (request.method.as_str(), rest) {
        ("GET", ["me"]) => (200, json!({"id": "534fff81a3a7292c64a77e95"})),
        ("GET", ["organizations", org, "datasets"]) => {
            if *org != ORGANISATION {
                return missing;
            }
            // Pages of two, whatever is asked: the limit is the portal's.
            let page: usize = request.query["page"].parse().unwrap();
            let data: Vec<Value> = portal.datasets.iter().skip((page - 1) * 2).take(2).map(full).collect();
            let next = portal.datasets.len() > page * 2;
            (200, json!({"data": data, "page": page, "next_page": next.then_some("http://127.0.0.1/next")}))
        }
        ("POST", ["datasets"]) => {
            let mut body = object(request);
            if body.get("organization").is_none_or(|o| *o != json!(ORGANISATION)) {
                return (
                    400,
                    json!({"errors": {"organization": ["Permission denied"]}, "message": "invalid"}),
                );
            }
            let hidden = body.remove("private") == Some(json!(true));
            // The slug comes from the title, whatever is asked.
            let id = body["title"].as_str().unwrap().to_lowercase().replace(' ', "-");
            let dataset = Dataset {
                uid: portal.name("6f"),
                id,
                hidden,
                ours: true,
                published: true,
                body,
                ..Dataset::default()
            };
            let shown = full(&dataset);
            portal.datasets.push(dataset);
            (201, shown)
        }
        (method, ["datasets", id, more @ ..]) => {
            let Some(at) = portal.datasets.iter().position(|d| d.uid == *id) else { return missing };
            if portal.datasets[at].deleted && method != "GET" {
                return (410, json!({"message": "Dataset has been deleted"}));
            }
            match (method, more) {
                ("GET", []) => (200, full(&portal.datasets[at])),
                ("PUT", []) => {
                    let mut body = object(request);
                    let dataset = &mut portal.datasets[at];
                    // Public unless said otherwise.
                    dataset.hidden = body.remove("private") == Some(json!(true));
                    dataset.body.extend(body);
                    (200, full(dataset))
                }
                ("POST", ["upload"]) => {
                    let (name, bytes) = file(request);
                    let mut new = Resource { id: portal.name("54d47250-"), ..Resource::default() };
                    uploaded(&mut new, name, bytes);
                    let shown = resource(&new);
                    portal.datasets[at].resources.push(new);
                    (201, shown)
                }
                (_, ["resources", rid, action @ ..]) => {
                    let dataset = &mut portal.datasets[at];
                    let Some(old) = dataset.resources.iter_mut().find(|r| r.id == *rid) else {
                        return missing;
                    };
                    match (method, action) {
                        ("POST", ["upload"]) => {
                            let (name, bytes) = file(request);
                            uploaded(old, name, bytes);
                        }
                        ("PUT", []) => old.body.extend(object(request)),
                        _ => return missing,
                    }
                    (200, resource(old))
                }
                _ => missing,
            }
        }
        _ => missing,
    }
}

/// The portal names, types and measures a file by itself.
fn uploaded(resource: &mut Resource, name: String, bytes: Vec<u8>) {
    assert_eq!(name, name.to_lowercase());
    resource.body.insert("title".into(), json!(name));
    resource.body.insert("checksum".into(), json!({"type": "sha1", "value": "…"}));
    resource.file = (name, bytes);
}

fn resource(resource: &Resource) -> Value {
    let mut body = resource.body.clone();
    body.insert("id".into(), json!(resource.id));
    body.insert("url".into(), json!(format!("https://static.invalid/20261123-060000/{}", resource.file.0)));
    Value::Object(body)
}
