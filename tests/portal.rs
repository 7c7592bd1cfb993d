//! A dataset from the store to the portals, over real HTTP: nothing without `--yes`, one dataset whatever
//! is cut, nothing twice, nothing unproven, the key nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "tests state what they expect"
)]

mod common;
#[path = "common/portal.rs"]
#[allow(dead_code, reason = "the unit tests use the rest")]
mod server;

use common::root;
use server::{Act, KEY, ORGANISATION, Server};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

const DATASET: &str = "eleves-uai-niveau";

struct Place {
    folder: tempfile::TempDir,
    config: String,
    server: Server,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::open();
        let samples = format!("\"{}/samples/", root().display());
        let text = std::fs::read_to_string(root().join("cartulaire.toml")).unwrap();
        let text = text.replace("\"samples/", &samples);
        let key = folder.path().join("cle");
        std::fs::write(&key, format!("{KEY}\n")).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let url = &server.url;
        let more = format!(
            "\n[datasets]\nonly = [\"{DATASET}\"]\n[publish.ods]\nurl = \"{url}\"\nkey = \"cle\"\nlicense = \"lov2\"\nretry_seconds = 0\nsettle_seconds = 0\n\
             [publish.datagouv]\nurl = \"{url}\"\nkey = \"cle\"\norganisation = \"{ORGANISATION}\"\nretry_seconds = 0\nsettle_seconds = 0\n"
        );
        let path = folder.path().join("cartulaire.toml");
        std::fs::write(&path, format!("{text}{more}")).unwrap();
        let place = Place { config: path.display().to_string(), folder, server };
        common::run(&["run", "nightly", "--date", common::DATE, "--config", &place.config], 0);
        place
    }

    fn publish(&self, more: &[&str], code: i32) -> Output {
        let args = [&["publish", DATASET, "--config", &self.config], more].concat();
        let out = common::run(&args, code);
        for bytes in [&out.stdout, &out.stderr] {
            assert!(!String::from_utf8_lossy(bytes).contains(KEY), "the key is told");
        }
        out
    }

    fn said(&self, more: &[&str], code: i32) -> String {
        let out = self.publish(more, code);
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    }
}

#[test]
fn a_dataset_goes_to_each_portal_once_and_only_when_asked() {
    let place = Place::new();
    for portal in ["ods", "datagouv"] {
        let announced = place.said(&["--to", portal], 0);
        assert!(announced.contains("rien n'est envoyé sans --yes"), "{announced}");
    }
    assert!(place.server.portal().requests.is_empty());
    // The first answer is lost after its effect, another comes late.
    place.server.portal().acts.extend([
        (2, Act::DoneThenCut),
        (4, Act::Refuse(500)),
        (5, Act::Later(429, "0")),
    ]);
    for portal in ["ods", "datagouv"] {
        place.publish(&["--to", portal, "--yes"], 0);
        let requests = place.server.portal().requests.len();
        assert!(place.said(&["--to", portal, "--yes"], 0).contains("rien n'a été envoyé"));
        assert_eq!(place.server.portal().requests.len(), requests, "{portal}");
    }
    let portal = place.server.portal();
    assert_eq!(portal.datasets.len(), 2, "{:?}", portal.seen());
    let csv = std::fs::read(
        place.folder.path().join(format!("var/store/publications/{DATASET}/{}/data.csv", common::DATE)),
    )
    .unwrap();
    for dataset in &portal.datasets {
        assert!(dataset.resources.iter().any(|r| r.file.1 == csv), "{}", dataset.id);
    }
}

#[test]
fn a_refused_key_and_an_unproven_version_send_nothing() {
    let place = Place::new();
    place.server.portal().acts.insert(0, Act::Refuse(401));
    assert!(place.said(&["--to", "ods", "--yes"], 4).contains("PORTAL_KEY"));
    assert!(place.server.portal().datasets.is_empty());
    let requests = place.server.portal().requests.len();
    assert_eq!(requests, 1, "a refused key is not tried again");

    let key = place.folder.path().join("cle");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(place.said(&["--to", "ods", "--yes"], 2).contains("chmod 600"));
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();

    let store = place.folder.path().join("var/store");
    let proof = store.join(format!("certificates/{DATASET}/{}/certificate.json", common::DATE));
    let text = std::fs::read_to_string(&proof).unwrap();
    std::fs::write(&proof, text.replacen(",2", ",3", 1)).unwrap();
    assert!(place.said(&["--to", "ods", "--yes"], 4).contains("PUBLICATION_UNPROVEN"));
    std::fs::write(&proof, text).unwrap();
    let csv = store.join(format!("publications/{DATASET}/{}/data.csv", common::DATE));
    let text = std::fs::read_to_string(&csv).unwrap();
    std::fs::write(&csv, format!("{text}\n")).unwrap();
    assert!(place.said(&["--to", "datagouv", "--yes"], 4).contains("PUBLICATION_UNPROVEN"));
    std::fs::write(&csv, text).unwrap();
    assert_eq!(place.server.portal().requests.len(), requests);

    assert!(place.said(&["--to", "ailleurs"], 2).contains("ods"));
    let config = std::fs::read_to_string(&place.config).unwrap();
    std::fs::write(&place.config, config.replace("license = \"lov2\"\n", "")).unwrap();
    assert!(place.said(&["--to", "ods"], 2).contains("« license » manquante"));
}
