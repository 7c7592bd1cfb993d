use super::super::exported::ListRef;
use super::super::fixture::{day, key, list_ref, person, registry};
use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    list: ListRef,
    text: String,
}

impl Statement for Note {
    const KIND: &'static str = "visa";
    const ROLES: &'static [Role] = &[Role::Archives];

    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// The same content under another kind: a signature of one is worth nothing in the other.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Other(Note);

impl Statement for Other {
    const KIND: &'static str = "proposal";
    const ROLES: &'static [Role] = &[Role::Archives];

    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

fn signed() -> String {
    let note = Note { list: list_ref(), text: "vu, « accordé » à 100 %\n".into() };
    sign(&note, &key(Role::Archives), &registry(), day("2026-03-10")).unwrap()
}

fn refusal(text: &str) -> Option<&'static str> {
    verify::<Note>(text, &registry(), day("2026-03-11")).map_err(|r| r.code).err()
}

fn edited(change: impl FnOnce(&mut Value)) -> String {
    let mut file: Value = serde_json::from_str(&signed()).unwrap();
    change(&mut file);
    canonical(&file) + "\n"
}

#[test]
fn what_was_signed_is_read_with_its_signer() {
    let read = verify::<Note>(&signed(), &registry(), day("2026-03-11")).unwrap();
    assert_eq!(read.statement.text, "vu, « accordé » à 100 %\n");
    assert_eq!((read.signers[0].person.as_str(), read.signers[0].signed_on), ("chloe", day("2026-03-10")));
    assert_eq!(read.sha256, Digest::of(signed().as_bytes()).to_string());
    assert_eq!(signed(), signed(), "the same inputs give the same bytes");
}

#[test]
fn every_reason_to_refuse_a_file_has_its_code() {
    type Edit = fn(&mut Value);
    let edits: [(&str, Edit, &str); 16] = [
        ("no version", |f| drop(f.as_object_mut().unwrap().remove("version")), "ELIM_SIGN_UNREADABLE"),
        ("a later version", |f| f["version"] = json!(2), "ELIM_SIGN_VERSION"),
        ("another kind", |f| f["kind"] = json!("proposal"), "ELIM_SIGN_KIND"),
        ("an unsigned field", |f| f["remark"] = json!("x"), "ELIM_SIGN_UNSIGNED"),
        ("one beside the signature", |f| f["signatures"][0]["seal"] = json!("x"), "ELIM_SIGN_UNSIGNED"),
        ("a field added to the statement", |f| f["statement"]["x"] = json!(1), "ELIM_SIGN_BROKEN"),
        ("a changed text", |f| f["statement"]["text"] = json!("refusé"), "ELIM_SIGN_BROKEN"),
        ("a changed list", |f| f["statement"]["list"]["id"] = json!("EL-2"), "ELIM_SIGN_BROKEN"),
        ("another day", |f| f["signatures"][0]["signed_on"] = json!("2026-03-09"), "ELIM_SIGN_BROKEN"),
        ("another name", |f| f["signatures"][0]["name"] = json!("Z"), "ELIM_SIGN_BROKEN"),
        ("another role", |f| f["signatures"][0]["role"] = json!("agent"), "ELIM_SIGN_BROKEN"),
        (
            "another's signature",
            |f| f["signatures"][0]["signature"] = json!("0".repeat(128)),
            "ELIM_SIGN_BROKEN",
        ),
        ("a short signature", |f| f["signatures"][0]["signature"] = json!("00"), "ELIM_SIGN_UNREADABLE"),
        ("no signature", |f| f["signatures"] = json!([]), "ELIM_SIGN_MISSING"),
        ("two signatures", |f| f["signatures"] = json!([f["signatures"][0], {}]), "ELIM_SIGN_UNEXPECTED"),
        ("no statement", |f| drop(f.as_object_mut().unwrap().remove("statement")), "ELIM_SIGN_UNREADABLE"),
    ];
    assert_eq!(refusal(&signed()), None);
    for (case, edit, want) in edits {
        assert_eq!(refusal(&edited(edit)), Some(want), "{case}");
    }
    let key = key(Role::Archives).public().to_string();
    let stranger = PrivateKey::from_bytes(&[99; 32]).public().to_string();
    assert_eq!(refusal(&signed().replace(&key, &stranger)), Some("ELIM_SIGN_UNKNOWN_KEY"));
    assert_eq!(refusal(signed().trim_end()), Some("ELIM_SIGN_ALTERED"));
    assert_eq!(refusal(&signed().replacen(':', ": ", 1)), Some("ELIM_SIGN_ALTERED"));
    let twice = signed().replacen("\"version\":1", "\"version\":3,\"version\":1", 1);
    assert_eq!(refusal(&twice), Some("ELIM_SIGN_ALTERED"), "a key written twice");
    assert_eq!(refusal(&"[".repeat(100_000)), Some("ELIM_SIGN_UNREADABLE"));
}

/// Two signatures wanted, of the service and then of the archives.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Both(Note);

impl Statement for Both {
    const KIND: &'static str = "visa";
    const ROLES: &'static [Role] = &[Role::Producteur, Role::Archives];

    fn check(&self) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A file whose signatures are all true, whatever the roles and days: what somebody who holds keys
/// could make without this program.
fn crafted(signers: &[(Role, &str)]) -> String {
    let statement = serde_json::to_value(Note { list: list_ref(), text: "vu".into() }).unwrap();
    let signatures: Vec<Value> = signers
        .iter()
        .map(|(role, on)| {
            let signer = Signer {
                name: format!("{} É.", person(*role)),
                person: person(*role).into(),
                public_key: key(*role).public().to_string(),
                role: *role,
                signed_on: day(on),
            };
            let mut signed = serde_json::to_value(&signer).unwrap();
            signed["signature"] = json!(hex(&key(*role).sign(&message(Both::KIND, &signer, &statement))));
            signed
        })
        .collect();
    canonical(&json!({"kind": "visa", "signatures": signatures, "statement": statement, "version": 1})) + "\n"
}

#[test]
fn true_signatures_in_wrong_roles_orders_or_days_are_refused() {
    use Role::{Archives, Producteur};
    for (signers, want) in [
        (&[(Producteur, "2026-03-02"), (Archives, "2026-03-02")][..], None),
        (&[(Archives, "2026-03-02"), (Producteur, "2026-03-02")], Some("ELIM_SIGN_ROLE")),
        (&[(Producteur, "2026-03-03"), (Archives, "2026-03-02")], Some("ELIM_SIGN_DATE")),
        (&[(Producteur, "2026-03-02")], Some("ELIM_SIGN_MISSING")),
        (&[], Some("ELIM_SIGN_MISSING")),
    ] {
        let found = verify::<Both>(&crafted(signers), &registry(), day("2026-03-11")).map_err(|r| r.code);
        assert_eq!(found.err(), want, "{signers:?}");
    }
    let unsigned = cosign::<Both>(&crafted(&[]), &key(Producteur), &registry(), day("2026-03-11"));
    assert_eq!(unsigned.map_err(|r| r.code), Err("ELIM_SIGN_MISSING"), "nobody cosigns what nobody signed");
}

#[test]
fn a_signature_of_one_kind_is_worth_nothing_in_another() {
    let as_other = edited(|f| f["kind"] = json!("proposal"));
    let refused = verify::<Other>(&as_other, &registry(), day("2026-03-11")).map_err(|r| r.code);
    assert_eq!(refused.err(), Some("ELIM_SIGN_BROKEN"));
}

#[test]
fn a_signature_dated_after_the_day_it_came_is_refused() {
    let early = verify::<Note>(&signed(), &registry(), day("2026-03-09")).map_err(|r| r.code);
    assert_eq!(early.err(), Some("ELIM_SIGN_DATE"));
}

#[test]
fn a_name_or_a_person_that_the_register_does_not_know_under_this_key_is_refused() {
    let key = key(Role::Archives);
    let row = |name: &str, person: &str| {
        let text = format!(
            "version = 1\n[[signatory]]\nname = \"{name}\"\nperson = \"{person}\"\nrole = \"archives\"\npublic_key = \"{}\"\nvalid_from = \"2025-09-01\"\nvalid_to = \"2028-08-31\"\n",
            key.public()
        );
        let registry = Registry::load("s", &text).unwrap();
        verify::<Note>(&signed(), &registry, day("2026-03-11")).map_err(|r| r.code).err()
    };
    assert_eq!(row("chloe É.", "chloe"), None);
    for (name, person) in [("chloe É.", "autre"), ("Autre", "chloe")] {
        assert_eq!(row(name, person), Some("ELIM_SIGN_IDENTITY"));
    }
}

#[test]
fn no_refusal_says_nothing_or_speaks_english() {
    for bad in ["{}", "x", "[]", "{\"version\":1}", "null"] {
        let message = verify::<Note>(bad, &registry(), day("2026-03-11")).unwrap_err().message;
        assert!(message.contains(" : ") && !message.contains("expected"), "{message}");
    }
}

/// Every single byte of the file; the bit of 0x20 changes the case of a letter.
#[test]
fn any_flipped_byte_is_found() {
    let text = signed();
    for at in 0..text.len() {
        for bit in [0, 3, 5] {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            // Bytes that are no text never reach the reader.
            if let Ok(changed) = String::from_utf8(bytes) {
                assert!(refusal(&changed).is_some(), "byte {at}, bit {bit}: {changed}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_text_gives_an_answer_without_a_panic(text in ".{0,200}") {
        prop_assert!(refusal(&text).is_some());
    }

    #[test]
    fn any_cut_or_insertion_is_found(at in 0_usize..600, len in 0_usize..40, insert in "[ -~]{0,6}") {
        let text = signed();
        let (start, end) = (at.min(text.len()), (at + len).min(text.len()));
        if let (Some(head), Some(tail)) = (text.get(..start), text.get(end..)) {
            let changed = format!("{head}{insert}{tail}");
            prop_assert!(changed == text || refusal(&changed).is_some());
        }
    }
}

#[test]
fn a_seal_is_of_one_kind_one_statement_and_one_signer() {
    let (what, on) = (json!({"event": "submitted", "list": list_ref()}), day("2026-03-02"));
    let sealed = seal("act", &what, Role::Agent, &key(Role::Agent), &registry(), on).unwrap();
    assert_eq!(sealed.signer.person, person(Role::Agent));
    let holds = |kind: &str, signer: &Signer, what: &Value| {
        let signature = unhex(&sealed.signature).unwrap();
        key(Role::Agent).public().verifies(&message(kind, signer, what), &signature)
    };
    assert!(holds("act", &sealed.signer, &what));
    let later = Signer { signed_on: day("2026-03-03"), ..sealed.signer.clone() };
    assert!(!holds("rules", &sealed.signer, &what) && !holds("act", &later, &what));
    assert!(!holds("act", &sealed.signer, &json!({"event": "recalled", "list": list_ref()})));
    let wrong = seal("act", &what, Role::Archives, &key(Role::Agent), &registry(), on);
    assert_eq!(wrong.map_err(|r| r.code), Err("ELIM_SIGN_ROLE"));
}
