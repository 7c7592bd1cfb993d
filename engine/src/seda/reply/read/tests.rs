use super::*;

fn reply(version: Version, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ArchiveTransferReply xmlns=\"{}\">{body}</ArchiveTransferReply>",
        version.namespace()
    )
}

const OK: &str = r#"<Date>2026-03-02T10:00:00Z</Date><MessageIdentifier>aeeaaa</MessageIdentifier><CodeListVersions/>
<DataObjectPackage><DataObjectGroup id="G1"><BinaryDataObject id="B1"><DataObjectSystemId>sys-b1</DataObjectSystemId>
</BinaryDataObject></DataObjectGroup><DescriptiveMetadata><ArchiveUnit id="U1"><Content><SystemId>sys-u1</SystemId></Content>
<ArchiveUnit id="U2"><Content><SystemId>sys&amp;u2</SystemId></Content></ArchiveUnit></ArchiveUnit></DescriptiveMetadata>
<ManagementMetadata/></DataObjectPackage><ReplyCode>OK</ReplyCode><Operation><Event><EventTypeCode>CHECK_SEDA</EventTypeCode>
<Outcome>OK</Outcome></Event></Operation><MessageRequestIdentifier>SIP-1</MessageRequestIdentifier>
<GrantDate>2026-03-02T10:00:00Z</GrantDate><ArchivalAgency><Identifier>AN</Identifier></ArchivalAgency>
<TransferringAgency><Identifier>DSI</Identifier></TransferringAgency>"#;

fn parse(xml: &str) -> Result<Reply> {
    read(xml.as_bytes(), Limits::default())
}

#[test]
fn an_accepting_reply_of_each_version_gives_its_identifiers() {
    for version in Version::ALL {
        let r = parse(&reply(version, OK)).unwrap();
        assert_eq!((r.kind, r.version, r.outcome), (Kind::Transfer, version, Outcome::Ok));
        assert_eq!((r.request_id.as_str(), r.archival_agency.as_str()), ("SIP-1", "AN"));
        assert_eq!(r.transferring_agency, "DSI");
        assert_eq!(r.units.get("U2").unwrap(), "sys&u2");
        assert_eq!(r.units.len(), 2);
        assert_eq!(r.objects.get("B1").unwrap(), "sys-b1");
        assert_eq!(r.events.len(), 1);
    }
}

#[test]
fn a_prefixed_root_is_read_alike() {
    let xml = format!(
        "<s:Acknowledgement xmlns:s=\"{}\"><s:MessageReceivedIdentifier>SIP-1</s:MessageReceivedIdentifier></s:Acknowledgement>",
        Version::V2_2.namespace()
    );
    let r = parse(&xml).unwrap();
    assert_eq!((r.kind, r.request_id.as_str()), (Kind::Acknowledgement, "SIP-1"));
    assert_eq!(r.outcome, Outcome::Unknown(String::new()));
}

#[test]
fn an_event_names_the_object_it_is_about() {
    let body = r#"<DataObjectPackage><DataObjectGroup id="G1"><LogBook><Event><EventTypeCode>CHECK_DIGEST</EventTypeCode>
        <Outcome>KO</Outcome><OutcomeDetail>CHECK_DIGEST.INVALID.KO</OutcomeDetail></Event></LogBook></DataObjectGroup></DataObjectPackage>
        <ReplyCode>KO</ReplyCode><MessageRequestIdentifier>SIP-1</MessageRequestIdentifier>"#;
    let r = parse(&reply(Version::V2_1, body)).unwrap();
    assert_eq!(r.outcome, Outcome::Ko);
    let event = r.events.first().unwrap();
    assert_eq!(event.subject.as_deref(), Some("G1"));
    assert_eq!(event.detail, "CHECK_DIGEST.INVALID.KO");
}

#[test]
fn two_system_identifiers_for_one_unit_are_a_contradiction() {
    let body = OK.replace("U2", "U1");
    assert_eq!(parse(&reply(Version::V2_2, &body)).unwrap().contradictions, ["U1"]);
}

#[test]
fn hostile_and_broken_messages_are_refused() {
    let ok = reply(Version::V2_2, OK);
    let bomb = format!("<!DOCTYPE r [<!ENTITY a \"b\">]>{ok}");
    let deep = reply(Version::V2_2, &"<a>".repeat(600));
    let long = reply(Version::V2_2, &format!("<Comment a=\"{}\"/>", "x".repeat(2 << 20)));
    for (case, xml, want) in [
        ("doctype", bomb, "DOCTYPE"),
        ("entity", ok.replace("SIP-1", "&x;"), "entité"),
        ("depth", deep, "emboîte"),
        ("token", long, "démesuré"),
        ("cut", ok.replace("</ArchiveTransferReply>", ""), "coupée"),
        ("namespace", ok.replace("v2.2", "v3.0"), "SEDA 2.1"),
        ("other message", ok.replace("ArchiveTransferReply", "ArchiveTransfer"), "pas une réponse"),
        ("two verdicts", ok.replace("<Operation>", "<ReplyCode>KO</ReplyCode><Operation>"), "deux valeurs"),
        ("no request", ok.replace("MessageRequestIdentifier", "Other"), "MessageRequestIdentifier"),
        (
            "two roots",
            format!("{ok}{}", ok.replace("<?xml version=\"1.0\" encoding=\"UTF-8\"?>", "")),
            "deux racines",
        ),
        ("text around", format!("{ok}coucou"), "hors"),
        ("empty", String::new(), "vide"),
    ] {
        match parse(&xml) {
            Err(Error::Refused { code: "SEDA_REPLY_UNREADABLE", message }) => {
                assert!(message.contains(want), "{case}: {message}");
            }
            other => panic!("{case}: {other:?}"),
        }
    }
    let few = Limits { ids: 2, ..Limits::default() };
    assert!(read(ok.as_bytes(), few).is_err());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400), at in 0usize..1200) {
        let mut xml = reply(Version::V2_3, OK).into_bytes();
        let at = at.min(xml.len());
        xml.splice(at..at, bytes);
        let _ = read(xml.as_slice(), Limits::default());
    }
}
