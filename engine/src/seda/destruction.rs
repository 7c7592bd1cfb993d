//! SEDA messages of elimination: requests for authorisation, and notification once the visa is
//! given. They are written from a visaed list, and streamed: a list has no bound.

use crate::error::{Error, Result};
use crate::seda::reply::Version;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::io::Write;

/// Which message, with what only it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `AuthorizationOriginatingAgencyRequest`: the archive asks the producer.
    OriginatingAgencyRequest(Request),
    /// `AuthorizationControlAuthorityRequest`: the archive asks the control authority (visa of
    /// art. L212-2 of the Code du patrimoine).
    ControlAuthorityRequest(Request),
    /// `ArchiveDestructionNotification`: the destruction, told to the producer.
    Notification {
        /// Identifier of the reply that carries the visa: none, no notification.
        authorization_reply: String,
    },
}

/// What a request for authorisation says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Reason, a code or a few words.
    pub reason: String,
    /// Day of the request.
    pub date: NaiveDate,
    /// Identifier of who asks.
    pub requester: String,
}

/// Head of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Edition of SEDA.
    pub version: Version,
    /// `MessageIdentifier`.
    pub message_id: String,
    /// `Date`.
    pub date: DateTime<Utc>,
    /// French sentence for whoever reads the message.
    pub comment: Option<String>,
    /// `ArchivalAgreement`.
    pub agreement: Option<String>,
    /// Identifier of the archive.
    pub archival_agency: String,
    /// Identifier of the other party: the producer, or the control authority of
    /// [`Message::ControlAuthorityRequest`].
    pub party: String,
}

/// Writes a message about `units`, identifiers that the archive knows.
///
/// # Errors
/// [`Error::Refused`] with `SEDA_DESTRUCTION`: an empty identifier, no unit, or a notification
/// without its visa; [`Error::Write`] when the output fails.
pub fn write<'a>(
    out: impl Write,
    head: &Head,
    message: &Message,
    units: impl IntoIterator<Item = &'a str>,
) -> Result<()> {
    let (root, party) = match message {
        Message::OriginatingAgencyRequest(_) => {
            ("AuthorizationOriginatingAgencyRequest", "OriginatingAgency")
        }
        Message::ControlAuthorityRequest(_) => ("AuthorizationControlAuthorityRequest", "ControlAuthority"),
        Message::Notification { .. } => ("ArchiveDestructionNotification", "OriginatingAgency"),
    };
    let mut xml = Xml(Writer::new(out));
    xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let namespace = head.version.namespace();
    let mut start = BytesStart::new(root);
    start.push_attribute(("xmlns", namespace.as_str()));
    xml.event(Event::Start(start))?;
    if let Some(comment) = &head.comment {
        xml.text("Comment", comment)?;
    }
    xml.text("Date", &head.date.to_rfc3339_opts(SecondsFormat::Millis, true))?;
    xml.required("MessageIdentifier", &head.message_id)?;
    if let Some(agreement) = &head.agreement {
        xml.required("ArchivalAgreement", agreement)?;
    }
    xml.event(Event::Empty(BytesStart::new("CodeListVersions")))?;
    match message {
        Message::OriginatingAgencyRequest(request) | Message::ControlAuthorityRequest(request) => {
            xml.open("AuthorizationRequestContent")?;
            xml.required("AuthorizationReason", &request.reason)?;
            xml.text("RequestDate", &request.date.to_string())?;
            xml.units(units)?;
            xml.agency("Requester", &request.requester)?;
            xml.close("AuthorizationRequestContent")?;
        }
        Message::Notification { authorization_reply } => {
            xml.required("AuthorizationRequestReplyIdentifier", authorization_reply)?;
            xml.units(units)?;
        }
    }
    xml.agency("ArchivalAgency", &head.archival_agency)?;
    xml.agency(party, &head.party)?;
    xml.close(root)
}

fn refused(message: String) -> Error {
    Error::Refused { code: "SEDA_DESTRUCTION", message }
}

struct Xml<W: Write>(Writer<W>);

impl<W: Write> Xml<W> {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        self.0.write_event(event).map_err(|e| Error::Write(format!("message SEDA : {e}")))
    }

    fn open(&mut self, name: &str) -> Result<()> {
        self.event(Event::Start(BytesStart::new(name)))
    }

    fn close(&mut self, name: &str) -> Result<()> {
        self.event(Event::End(BytesEnd::new(name)))
    }

    fn text(&mut self, name: &str, value: &str) -> Result<()> {
        // XML 1.0 has no way to write these, not even escaped.
        let legal = |c: char| !matches!(c, '\u{0}'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}');
        if !value.chars().all(legal) {
            return Err(refused(format!("le champ {name} contient un caractère de contrôle : corrigez-le")));
        }
        self.open(name)?;
        self.event(Event::Text(BytesText::new(value)))?;
        self.close(name)
    }

    fn required(&mut self, name: &str, value: &str) -> Result<()> {
        match value.trim() {
            "" => Err(refused(format!(
                "le champ {name} est vide : un message d'élimination ne peut pas être écrit sans lui"
            ))),
            value => self.text(name, value),
        }
    }

    fn agency(&mut self, name: &str, id: &str) -> Result<()> {
        self.open(name)?;
        self.required("Identifier", id)?;
        self.close(name)
    }

    fn units<'a>(&mut self, units: impl IntoIterator<Item = &'a str>) -> Result<()> {
        let mut any = false;
        for unit in units {
            self.required("UnitIdentifier", unit)?;
            any = true;
        }
        if any {
            Ok(())
        } else {
            Err(refused("la liste visée est vide : il n'y a rien à éliminer".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn schemas() -> PathBuf {
        PathBuf::from("../../shared/seda-xsd")
    }

    fn head(version: Version) -> Head {
        Head {
            version,
            message_id: "ELIM-2026-001".into(),
            date: DateTime::UNIX_EPOCH,
            comment: Some("Élimination des états d'absences <2015 & visés>".into()),
            agreement: Some("CE-1".into()),
            archival_agency: "AN".into(),
            party: "RECTORAT".into(),
        }
    }

    fn messages() -> [Message; 3] {
        let date = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        let request = Request { reason: "DUA échue".into(), date, requester: "DSI".into() };
        [
            Message::OriginatingAgencyRequest(request.clone()),
            Message::ControlAuthorityRequest(request),
            Message::Notification { authorization_reply: "VISA-7".into() },
        ]
    }

    #[test]
    fn every_message_of_every_version_fits_the_official_schema() {
        if !schemas().is_dir() {
            println!("skipped: no schemas at {}", schemas().display());
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        for version in Version::ALL {
            for (i, message) in messages().iter().enumerate() {
                let file = dir.path().join(format!("{i}.xml"));
                write(std::fs::File::create(&file).unwrap(), &head(version), message, ["u1", "u2"]).unwrap();
                let number = version.number();
                let xsd = schemas().join(number).join(format!("seda-{number}-main.xsd"));
                let out = std::process::Command::new("xmllint")
                    .args(["--nonet", "--noout", "--schema"])
                    .args([&xsd, &file])
                    .output();
                let Ok(out) = out else {
                    println!("skipped: no xmllint");
                    return;
                };
                assert!(
                    out.status.success(),
                    "{number} {message:?}: {}",
                    String::from_utf8_lossy(&out.stderr)
                );
            }
        }
    }

    #[test]
    fn nothing_is_written_without_a_visa_a_unit_or_an_identifier() {
        let visa = Message::Notification { authorization_reply: " ".into() };
        let [_, _, notification] = messages();
        let empty = Head { archival_agency: String::new(), ..head(Version::V2_2) };
        let control = Head { message_id: "a\u{1}b".into(), ..head(Version::V2_2) };
        let none: [&str; 0] = [];
        assert!(write(Vec::new(), &head(Version::V2_2), &visa, ["u"]).is_err());
        assert!(write(Vec::new(), &head(Version::V2_2), &notification, none).is_err());
        assert!(write(Vec::new(), &head(Version::V2_2), &notification, ["u", ""]).is_err());
        assert!(write(Vec::new(), &empty, &notification, ["u"]).is_err());
        assert!(write(Vec::new(), &control, &notification, ["u"]).is_err());
    }
}
