//! From a package to the end of its local copy: deposit over real TLS, reply, reconciliation, purge
//! under visa. One deposit whatever breaks; nothing goes that the archive is not proved to hold.

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

#[path = "common/archive.rs"]
mod archive;
mod common;

use archive::{Act, Says, Server, atr, manifest};
use common::{bytes, cartulaire, files, root, shared};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const DNMA: &str = "SIP-dnma-audience-";
/// Persons of the register, in their roles.
const PERSONS: [&str; 5] = ["agent", "producteur", "archives", "executant", "temoin"];

/// A configuration and a store after the night of the samples, in a folder of their own.
struct Place {
    at: tempfile::TempDir,
}

/// The night, made once.
fn night() -> &'static Path {
    static NIGHT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let at = NIGHT.get_or_init(|| {
        let at = tempfile::tempdir().unwrap();
        common::night(&at.path().join("store"), "2");
        let mut register = "version = 1\n".to_owned();
        for role in PERSONS {
            let key = at.path().join(format!("{role}.key"));
            let words = ["--json", "elimination", "key", role, "--out", key.to_str().unwrap()];
            let made = common::json(&words, 0);
            register.push_str(&format!(
                "[[signatory]]\nname = \"{role}\"\nperson = \"{role}\"\nrole = \"{role}\"\npublic_key = {}\nvalid_from = \"2025-01-01\"\nvalid_to = \"2030-12-31\"\n",
                made["public_key"]
            ));
        }
        std::fs::write(at.path().join("signataires.toml"), register).unwrap();
        at
    });
    at.path()
}

impl Place {
    fn new(deposit: &str) -> Place {
        let at = tempfile::tempdir().unwrap();
        for file in files(night()) {
            let to = at.path().join(file.strip_prefix(night()).unwrap());
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(&file, to).unwrap();
        }
        let place = Place { at };
        place.configure(deposit);
        place
    }

    /// With an archive that answers so.
    fn served(acts: &[Act], says: Says) -> (Place, Server) {
        let place = Place::new("");
        let server = Server::open(place.at.path(), acts, says);
        place.configure(&server.section());
        (place, server)
    }

    fn configure(&self, deposit: &str) {
        let samples = root().join("samples");
        let config = format!(
            "[store]\npath = \"store\"\n[nomenclatures]\npath = \"{s}/bcn\"\n[retention]\noverlay = \"{s}/retention-overlay.toml\"\n[elimination]\nservice = \"Rectorat inventé\"\narchives = \"Archives inventées\"\nregister = \"signataires.toml\"\n{deposit}",
            s = samples.display()
        );
        std::fs::write(self.path("cartulaire.toml"), config).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.at.path().join(name)
    }

    fn command(&self, line: &str) -> std::process::Command {
        let config = self.path("cartulaire.toml").display().to_string();
        let mut words = vec!["--config".to_owned(), config];
        words.extend(line.split_whitespace().map(|w| match w.strip_prefix('@') {
            Some(name) => self.path(name).display().to_string(),
            None => w.to_owned(),
        }));
        cartulaire(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn exits(&self, line: &str, code: i32) -> Output {
        let out = self.command(line).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(code), "{line}\n{said}\n{}", String::from_utf8_lossy(&out.stdout));
        out
    }

    fn json(&self, line: &str, code: i32) -> Value {
        serde_json::from_slice(&self.exits(&format!("--json {line}"), code).stdout).unwrap()
    }

    /// Refused with this code; the files of the store are as before.
    fn refuses(&self, line: &str, code: &str) -> String {
        let before = bytes(&self.path("store"));
        let out = self.exits(line, 4);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(said.contains(&format!("[{code}")), "{line}: {code} expected: {said}");
        let after = bytes(&self.path("store"));
        let changed: Vec<_> =
            before.iter().filter(|(n, b)| after.get(*n) != Some(*b)).map(|(n, _)| n).collect();
        assert!(changed.is_empty() && after.len() == before.len(), "{line}: {changed:?}");
        said
    }

    fn packages(&self) -> Vec<Value> {
        self.json("seda list", 0)["packages"].as_array().unwrap().clone()
    }

    fn state(&self, sip: &str) -> String {
        let all = self.packages();
        let mine = all.iter().find(|p| p["id"].as_str().unwrap().starts_with(sip)).unwrap();
        mine["state"].as_str().unwrap().to_owned()
    }

    fn sip(&self, start: &str) -> String {
        let all = self.packages();
        let ids = all.iter().map(|p| p["id"].as_str().unwrap());
        ids.into_iter().find(|id| id.starts_with(start)).unwrap().to_owned()
    }

    fn kept(&self, sip: &str, name: &str) -> PathBuf {
        self.path(&format!("store/archives/{sip}/{name}"))
    }

    /// A reply to a package, in a file.
    fn answer(&self, sip: &str, says: Says, name: &str) {
        let zip = std::fs::read(self.kept(sip, &format!("{sip}.zip"))).unwrap();
        std::fs::write(self.path(name), atr(sip, &manifest(&zip), says)).unwrap();
    }

    /// The list of what is due on a day.
    fn list(&self, date: &str) -> (String, Vec<Value>) {
        self.exits(&format!("elimination propose --date {date}"), 0);
        let lists = self.json("elimination list", 0);
        let last = lists["lists"].as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
        let shown = self.json(&format!("elimination show {last}"), 0);
        (last, shown["rows"].as_array().unwrap().clone())
    }

    /// Proposed, signed, visaed and ordered.
    fn approve(&self, list: &str) {
        for line in [
            "elimination propose LIST --by agent --key @agent.key --date 2026-02-03",
            "elimination sign LIST --key @producteur.key --date 2026-02-03",
            "elimination submit LIST --by agent --key @agent.key --date 2026-02-03",
            "elimination export LIST --out @exported",
            "elimination visa @exported --key @archives.key --register @signataires.toml --title directrice --answer visa --date 2026-02-09",
            "elimination visa LIST --import @exported/visa.json --date 2026-02-10",
            "elimination execute LIST --approve @producteur.key --date 2026-02-11",
        ] {
            self.exits(&line.replace("LIST", list), 0);
        }
    }

    fn is_intact(&self) {
        assert_eq!(self.json("journal verify", 0)["verdict"], "intact");
    }
}

fn execute(list: &str) -> String {
    format!("elimination execute {list} --by executant --key @executant.key --date 2026-03-31")
}

/// Rows about records that the archive holds.
fn archived(rows: &[Value]) -> Vec<&Value> {
    rows.iter().filter(|r| r["archived"].is_array()).collect()
}

fn packaged(place: &Place) -> Vec<PathBuf> {
    let tables = ["dnma_appareils", "dnma_profils", "scope_structures", "scope_services"];
    let year = |t: &str| place.path(&format!("store/tables/{t}/annee_scolaire=2024-2025"));
    tables.iter().flat_map(|t| files(&year(t))).collect()
}

#[test]
fn deposited_archived_reconciled_then_the_local_copy_goes_under_visa() {
    let (place, server) = Place::served(&[], Says::Ok);
    assert_eq!(place.state(DNMA), "created");
    let told = place.json("seda deposit --date 2026-01-13", 0);
    assert_eq!(told["deposits"].as_array().unwrap().len(), 2, "{told}");
    assert!(told["deposits"].as_array().unwrap().iter().all(|d| d["verdict"] == "archived"), "{told}");
    assert!(place.packages().iter().all(|p| p["state"] == "archived"));
    assert_eq!(server.archive().operations.len(), 2);
    // What was received is what was made, and asking again sends nothing.
    let sip = place.sip(DNMA);
    let zip = std::fs::read(place.kept(&sip, &format!("{sip}.zip"))).unwrap();
    assert!(server.archive().operations.contains(&(sip.clone(), zip)));
    assert_eq!(place.json("seda deposit", 0)["deposits"].as_array().unwrap().len(), 0);
    place.exits(&format!("seda deposit {sip}"), 0);
    assert_eq!(server.archive().uploads, 2);
    // The certificate ties package, reply and journal together.
    let certificate: Value =
        serde_json::from_slice(&std::fs::read(place.kept(&sip, "certificat.json")).unwrap()).unwrap();
    assert_eq!(certificate["reply"]["verdict"], "archived");
    assert_eq!(certificate["reply"]["units"]["AU-0000"], "aeunit-AU-0000");
    assert!(certificate["operation"].as_str().unwrap().starts_with("aeeaa"));
    let journal = std::fs::read_to_string(place.path("store/journal/2026-01-13.jsonl")).unwrap();
    let anchor =
        journal.lines().find(|l| l.contains(certificate["journal"]["digest"].as_str().unwrap())).unwrap();
    assert!(anchor.contains("sip_archived") && anchor.contains(&sip), "{anchor}");
    assert!(std::fs::read(place.kept(&sip, "certificat.pdf")).unwrap().starts_with(b"%PDF"));
    place.is_intact();

    let before = packaged(&place);
    assert_eq!(before.len(), 4);
    let (list, rows) = place.list("2026-02-02");
    let held = archived(&rows);
    assert_eq!(held.len(), 4, "{rows:?}");
    assert!(held.iter().all(|r| r["observations"][0].as_str().unwrap().contains("copie locale seulement")));
    assert!(rows.len() > 4, "what is due by itself is there as before");
    place.approve(&list);
    let zips: Vec<_> = bytes(&place.path("store/archives")).into_iter().collect();
    let done = place.json(&execute(&list), 0);
    assert_eq!(done["state"], "executed", "{done}");
    assert!(packaged(&place).is_empty());
    assert_eq!(bytes(&place.path("store/archives")).into_iter().collect::<Vec<_>>(), zips);
    place.exits(&format!("elimination attest {list} --key @executant.key --date 2026-04-01"), 0);
    place.exits(&format!("elimination attest {list} --key @temoin.key --date 2026-04-01"), 0);
    let attested = place.path(&format!("store/elimination/{list}/attestation.json"));
    let attested: Value = serde_json::from_slice(&std::fs::read(attested).unwrap()).unwrap();
    for (row, told) in rows.iter().zip(attested["statement"]["rows"].as_array().unwrap()) {
        assert_eq!((&told["eliminated"], &told["failed"]), (&row["records"], &0.into()), "{row}");
    }
    place.is_intact();
    // What has gone is packaged no more, and sent no more.
    place.exits("seda pack --date 2026-04-02", 0);
    assert_eq!(place.packages().len(), 2);

    // SEDA messages tell of what was eliminated, not of copies of what is archived.
    let wrote = place.json(&format!("seda destruction {list} --out @messages --date 2026-04-02"), 0);
    assert_eq!(wrote["files"].as_array().unwrap().len(), 3);
    for file in wrote["files"].as_array().unwrap() {
        let text = std::fs::read_to_string(file.as_str().unwrap()).unwrap();
        assert_eq!(text.matches("<UnitIdentifier>").count(), rows.len() - 4, "{file}");
        let Some(shared) = shared() else { continue };
        let schema = shared.join("seda-xsd/2.2/seda-2.2-main.xsd");
        let mut lint = std::process::Command::new("xmllint");
        lint.args(["--nonet", "--noout", "--schema"]).arg(schema).arg(file.as_str().unwrap());
        let Ok(out) = lint.output() else { continue };
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn refused_by_the_archive_nothing_goes_and_the_message_says_why() {
    let (place, server) = Place::served(&[], Says::Ko);
    let out = place.exits("seda deposit --date 2026-01-13", 4);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("une règle de gestion n'est pas dans le référentiel de l'archive"), "{said}");
    assert!(said.contains("à faire : ") && said.contains("rien n'est effacé"), "{said}");
    assert!(place.packages().iter().all(|p| p["state"] == "refused"));
    let (_, rows) = place.list("2026-02-02");
    assert!(archived(&rows).is_empty() && !rows.is_empty());
    assert_eq!(packaged(&place).len(), 4);
    // A refused package is not sent again.
    place.exits("seda deposit", 0);
    place.exits(&format!("seda deposit {}", place.sip(DNMA)), 4);
    assert_eq!(server.archive().uploads, 2);
    place.is_intact();
}

#[test]
fn cut_connections_and_broken_answers_end_in_exactly_one_deposit() {
    for acts in [
        &[Act::Refuse(429), Act::Refuse(503), Act::Refuse(500)][..],
        &[Act::AcceptThen(500)],
        &[Act::AcceptThen(202)],
        &[Act::AcceptThenCut],
        &[Act::CutUnread, Act::Refuse(502), Act::AcceptThenCut],
    ] {
        let (place, server) = Place::served(acts, Says::Warning);
        let sip = place.sip(DNMA);
        let told = place.json(&format!("seda deposit {sip} --date 2026-01-13"), 0);
        assert_eq!(told["deposits"][0]["verdict"], "archived", "{acts:?} {told}");
        let sent: Vec<_> = server.archive().operations.iter().map(|(s, _)| s.clone()).collect();
        assert_eq!(sent, [sip], "{acts:?}");
    }
}

#[test]
fn a_process_killed_on_the_way_ends_in_exactly_one_deposit() {
    for act in [Act::HangUnread, Act::AcceptThenHang] {
        let (place, server) = Place::served(&[act], Says::Ok);
        let sip = place.sip(DNMA);
        let line = format!("seda deposit {sip} --date 2026-01-13");
        let mut child = place.command(&line).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let begun = |server: &Server| {
            let archive = server.archive();
            archive.uploads == 1 && (act == Act::HangUnread || archive.operations.len() == 1)
        };
        let start = Instant::now();
        while !begun(&server) {
            assert!(start.elapsed() < Duration::from_secs(60), "{act:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(place.state(DNMA), "in_doubt", "{act:?}");
        assert_eq!(place.json(&line, 0)["deposits"][0]["verdict"], "archived", "{act:?}");
        assert_eq!(server.archive().operations.len(), 1, "{act:?}");
        assert_eq!(place.state(DNMA), "archived");
        place.is_intact();
    }
}

#[test]
fn what_nobody_can_know_is_asked_of_a_person() {
    let (place, server) = Place::served(&[Act::AcceptThenCut], Says::Ok);
    server.archive().blind = true;
    place.configure(&server.section().replace("trust_absence = true", "trust_absence = false"));
    let sip = place.sip(DNMA);
    let deposit = format!("seda deposit {sip} --date 2026-01-13");
    place.exits("seda resolve INCONNU --absent --by chef", 2);
    for _ in 0..2 {
        let out = place.exits(&deposit, 4);
        assert!(String::from_utf8_lossy(&out.stderr).contains("[DEPOSIT_UNRESOLVED]"));
        assert_eq!((server.archive().uploads, place.state(DNMA).as_str()), (1, "in_doubt"));
    }
    place.exits(&format!("seda resolve {sip} --operation aeeaa1 --by chef --date 2026-01-14"), 0);
    assert_eq!(place.state(DNMA), "deposited");
    place.exits(&format!("seda resolve {sip} --absent --by chef"), 2);
    assert_eq!(place.json(&deposit, 0)["deposits"][0]["verdict"], "archived");
    assert_eq!(server.archive().uploads, 1);
    let journal = std::fs::read_to_string(place.path("store/journal/2026-01-14.jsonl")).unwrap();
    assert!(journal.contains("deposit_resolved") && journal.contains("chef"));
}

#[test]
fn a_folder_gets_a_package_once_and_no_other_target_gets_it() {
    let place = Place::new("[seda.deposit]\nkind = \"folder\"\npath = \"sas\"\n");
    place.exits("seda deposit", 2);
    std::fs::create_dir(place.path("sas")).unwrap();
    let told = place.json("seda deposit", 0);
    assert!(told["deposits"].as_array().unwrap().iter().all(|d| d["state"] == "deposited"), "{told}");
    let sip = place.sip(DNMA);
    let marker = std::fs::read_to_string(place.path(&format!("sas/{sip}.zip.sha512"))).unwrap();
    assert_eq!(marker, std::fs::read_to_string(place.kept(&sip, &format!("{sip}.zip.sha512"))).unwrap());
    let all = files(&place.path("sas"));
    assert_eq!(all.len(), 4);
    // Taken away by who watches: it is not put there again.
    all.iter().for_each(|f| std::fs::remove_file(f).unwrap());
    place.exits("seda deposit", 0);
    assert!(files(&place.path("sas")).is_empty());
    assert_eq!(place.state(DNMA), "deposited");
    place.configure("[seda.deposit]\nkind = \"folder\"\nname = \"autre\"\npath = \"sas\"\n");
    let out = place.exits("seda deposit", 4);
    assert!(String::from_utf8_lossy(&out.stderr).contains("[DEPOSIT_OTHER_TARGET]"));
    assert!(files(&place.path("sas")).is_empty());
    // The reply comes by hand.
    place.answer(&sip, Says::Ok, "atr.xml");
    assert_eq!(place.json("seda reply import @atr.xml --date 2026-01-20", 0)["verdict"], "archived");
    assert_eq!(place.state(DNMA), "archived");
}

#[test]
fn replies_are_matched_reconciled_and_never_replaced_once_archived() {
    let place = Place::new("");
    let sip = place.sip(DNMA);
    let import = "seda reply import @atr.xml --date 2026-01-20";
    for (text, code) in [
        ("<a/>", "SEDA_REPLY_UNREADABLE]"),
        (
            "<!DOCTYPE a [<!ENTITY b \"c\">]><ArchiveTransferReply xmlns=\"fr:gouv:culture:archivesdefrance:seda:v2.2\"><MessageRequestIdentifier>&b;</MessageRequestIdentifier></ArchiveTransferReply>",
            "SEDA_REPLY_UNREADABLE]",
        ),
        (
            "<ArchiveTransferReply xmlns=\"fr:gouv:culture:archivesdefrance:seda:v2.2\"><ReplyCode>OK</ReplyCode><MessageRequestIdentifier>AUTRE</MessageRequestIdentifier></ArchiveTransferReply>",
            "SEDA_REPLY_UNKNOWN]",
        ),
    ] {
        std::fs::write(place.path("atr.xml"), text).unwrap();
        place.refuses(import, code);
    }
    place.answer(&sip, Says::Missing, "atr.xml");
    let told = place.json(import, 4);
    assert_eq!((&told["verdict"], &told["missing_units"][0]), (&"incomplete".into(), &"AU-0000".into()));
    assert_eq!(place.state(DNMA), "incomplete");
    assert!(archived(&place.list("2026-02-02").1).is_empty());
    // Its correction comes: both are kept.
    place.answer(&sip, Says::Warning, "atr.xml");
    let told = place.json(import, 0);
    assert_eq!((&told["verdict"], &told["known"]), (&"archived".into(), &false.into()));
    assert_eq!(told["explanations"][0]["code"], "CHECK_OBJECT_SIZE.WARNING");
    let folder = bytes(&place.path(&format!("store/archives/{sip}")));
    assert_eq!(folder.keys().filter(|n| n.starts_with("reply")).count(), 2, "{:?}", folder.keys());
    let again = place.json(import, 0);
    assert_eq!((&again["verdict"], &again["known"]), (&"archived".into(), &true.into()));
    assert_eq!(bytes(&place.path(&format!("store/archives/{sip}"))), folder, "the same bytes change nothing");
    place.answer(&sip, Says::Ko, "atr.xml");
    place.refuses(import, "SEDA_REPLY_AFTER_ARCHIVED]");
    assert_eq!(place.state(DNMA), "archived");
    place.is_intact();
}

#[test]
fn the_local_copy_stays_when_package_reply_or_holds_are_not_what_was_visaed() {
    let place = Place::new("");
    let sip = place.sip(DNMA);
    place.answer(&sip, Says::Ok, "atr.xml");
    place.exits("seda reply import @atr.xml --date 2026-01-20", 0);
    let (list, rows) = place.list("2026-02-02");
    assert_eq!(archived(&rows).len(), 2);
    place.approve(&list);
    for name in ["reply.xml".to_owned(), format!("{sip}.zip")] {
        let file = place.kept(&sip, &name);
        let good = std::fs::read(&file).unwrap();
        let mut bad = good.clone();
        *bad.last_mut().unwrap() ^= 1;
        std::fs::write(&file, &bad).unwrap();
        let said = place.refuses(&execute(&list), "ELIM_");
        assert!(said.contains("ELIM_NOT_ARCHIVED"), "{name}: {said}");
        std::fs::remove_file(&file).unwrap();
        let said = place.refuses(&execute(&list), "ELIM_");
        assert!(said.contains("ELIM_NOT_ARCHIVED"), "{name}: {said}");
        std::fs::write(&file, &good).unwrap();
    }
    // A hold placed since wins.
    let hold = [
        "hold",
        "add",
        "--id",
        "gel",
        "--reason",
        "litige",
        "--owner",
        "DAJ",
        "--by",
        "agent",
        "--date",
        "2026-03-01",
        "--scope",
        "classe = 'dnma-audience'",
    ];
    assert!(place.command("").args(hold).output().unwrap().status.success());
    place.refuses(&execute(&list), "ELIM_");
    assert_eq!(packaged(&place).len(), 4);
}

#[test]
fn a_table_in_two_packages_stays_until_the_archive_holds_both() {
    let place = Place::new("");
    std::fs::remove_dir_all(place.path("store")).unwrap();
    std::fs::create_dir(place.path("profils")).unwrap();
    for file in files(&root().join("seda-profiles")) {
        let mut text = std::fs::read_to_string(&file).unwrap();
        let name = file.file_name().unwrap();
        if name == "scope-organisation.toml" {
            let producers =
                "]\n\n[producers]\ncolumn = \"uai\"\n[producers.agencies]\n\"0960009N\" = \"LYCEE\"\n";
            text = text.replacen("]\n", producers, 1);
        }
        std::fs::write(place.path("profils").join(name), text).unwrap();
    }
    let inbox = root().join("samples/night");
    place.configure(&format!("[seda]\nprofiles = \"profils\"\n[inbox]\npath = \"{}\"\n", inbox.display()));
    place.exits("init", 0);
    place.exits("run nightly --date 2026-01-12", 0);
    let mut sips: Vec<String> =
        place.packages().iter().map(|p| p["id"].as_str().unwrap().to_owned()).collect();
    sips.retain(|s| s.starts_with("SIP-scope-organisation"));
    assert_eq!(sips.len(), 2);
    let taken = |sip: &str| {
        place.answer(sip, Says::Ok, "atr.xml");
        place.exits("seda reply import @atr.xml --date 2026-01-20", 0);
    };
    taken(&sips[0]);
    let held = |rows: &[Value]| archived(rows).iter().map(|r| r["archived"].as_array().unwrap().len()).max();
    assert!(held(&place.list("2026-02-01").1).is_none_or(|packages| packages == 1));
    taken(&sips[1]);
    let (list, rows) = place.list("2026-02-02");
    assert_eq!((archived(&rows).len(), held(&rows)), (2, Some(2)), "{rows:?}");
    place.approve(&list);
    assert_eq!(place.json(&execute(&list), 0)["state"], "executed");
    let left =
        |table: &str| files(&place.path(&format!("store/tables/{table}/annee_scolaire=2024-2025"))).len();
    assert_eq!((left("scope_structures"), left("scope_services"), left("dnma_profils")), (0, 0, 1));
}
