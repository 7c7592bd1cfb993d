//! `manifest.xml`, SEDA 2.2, element by element in the order of the schema.

use super::content::Object;
use super::profile::{ClassProfile, Profile};
use crate::error::{Error, Result};
use chrono::NaiveDate;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use std::io::Write;

const NAMESPACE: &str = "fr:gouv:culture:archivesdefrance:seda:v2.2";

/// What a package is about.
pub struct Transfer<'a> {
    /// Identifier of the message, and name of the package.
    pub id: &'a str,
    /// Day of the package.
    pub date: NaiveDate,
    /// Parties.
    pub profile: &'a Profile,
    /// Description of the class.
    pub class: &'a ClassProfile,
    /// School year.
    pub year: &'a str,
    /// First and last day of the records.
    pub dates: (NaiveDate, NaiveDate),
    /// Day that started the duration.
    pub start: NaiveDate,
    /// Files.
    pub objects: &'a [Object],
}

struct Xml<W: Write>(Writer<W>);

impl<W: Write> Xml<W> {
    fn event(&mut self, event: Event<'_>) -> Result<()> {
        self.0.write_event(event).map_err(|e| Error::Write(format!("manifeste : {e}")))
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) -> Result<()> {
        let mut start = BytesStart::new(name);
        attributes.iter().for_each(|a| start.push_attribute(*a));
        self.event(Event::Start(start))
    }

    fn close(&mut self, name: &str) -> Result<()> {
        self.event(Event::End(BytesEnd::new(name)))
    }

    fn text(&mut self, name: &str, value: &str) -> Result<()> {
        self.open(name, &[])?;
        self.event(Event::Text(BytesText::new(&legal(value))))?;
        self.close(name)
    }

    fn within(
        &mut self,
        name: &str,
        attributes: &[(&str, &str)],
        inner: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.open(name, attributes)?;
        inner(self)?;
        self.close(name)
    }
}

/// XML 1.0 has no place for most control characters, escaped or not.
fn legal(value: &str) -> String {
    value
        .chars()
        .filter(|c| matches!(c, '\t' | '\n' | '\r') || (*c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}')))
        .collect()
}

/// Writes the manifest.
///
/// # Errors
/// When the output refuses.
pub fn write(out: impl Write, t: &Transfer<'_>) -> Result<()> {
    let mut x = Xml(Writer::new_with_indent(out, b' ', 1));
    x.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    x.within("ArchiveTransfer", &[("xmlns", NAMESPACE)], |x| {
        x.text("Comment", &title(t))?;
        x.text("Date", &format!("{}T00:00:00.000Z", t.date))?;
        x.text("MessageIdentifier", t.id)?;
        x.text("ArchivalAgreement", &t.profile.archival_agreement)?;
        x.within("CodeListVersions", &[], |_| Ok(()))?;
        x.within("DataObjectPackage", &[], |x| {
            t.objects.iter().try_for_each(|o| object(x, o))?;
            x.within("DescriptiveMetadata", &[], |x| units(x, t))?;
            x.within("ManagementMetadata", &[], |x| {
                if let Some(profile) = &t.profile.archival_profile {
                    x.text("ArchivalProfile", profile)?;
                }
                x.text("OriginatingAgencyIdentifier", &t.profile.agencies.originating)?;
                x.text("SubmissionAgencyIdentifier", &t.profile.agencies.submission)
            })
        })?;
        x.within("ArchivalAgency", &[], |x| x.text("Identifier", &t.profile.agencies.archival))?;
        x.within("TransferringAgency", &[], |x| x.text("Identifier", &t.profile.agencies.transferring))
    })?;
    x.0.into_inner().write_all(b"\n").map_err(|e| Error::Write(format!("manifeste : {e}")))
}

fn title(t: &Transfer<'_>) -> String {
    format!("{}, année scolaire {}", t.class.title, t.year)
}

fn group_id(object: &Object) -> String {
    object.id.replacen("BDO", "DOG", 1)
}

fn object<W: Write>(x: &mut Xml<W>, o: &Object) -> Result<()> {
    x.within("DataObjectGroup", &[("id", &group_id(o))], |x| {
        x.within("BinaryDataObject", &[("id", &o.id)], |x| {
            x.text("DataObjectVersion", "BinaryMaster_1")?;
            x.text("Uri", &o.uri)?;
            x.open("MessageDigest", &[("algorithm", "SHA-512")])?;
            x.event(Event::Text(BytesText::new(&o.sha512)))?;
            x.close("MessageDigest")?;
            x.text("Size", &o.size.to_string())?;
            x.within("FormatIdentification", &[], |x| {
                x.text("FormatLitteral", o.format.name)?;
                x.text("MimeType", o.format.mime)?;
                x.text("FormatId", o.format.puid)
            })?;
            x.within("FileInfo", &[], |x| x.text("Filename", &o.filename))
        })
    })
}

fn units<W: Write>(x: &mut Xml<W>, t: &Transfer<'_>) -> Result<()> {
    x.within("ArchiveUnit", &[("id", "AU-0000")], |x| {
        x.within("Management", &[], |x| {
            x.within("AppraisalRule", &[], |x| {
                x.text("Rule", &t.class.appraisal_rule)?;
                x.text("StartDate", &t.start.to_string())?;
                // Only records to be kept come this far: see `retention::Outcome::Conserve`.
                x.text("FinalAction", "Keep")
            })?;
            match &t.class.access_rule {
                Some(rule) => x.within("AccessRule", &[], |x| {
                    x.text("Rule", rule)?;
                    x.text("StartDate", &t.dates.1.to_string())
                }),
                None => Ok(()),
            }
        })?;
        x.within("Content", &[], |x| {
            x.text("DescriptionLevel", "RecordGrp")?;
            x.text("Title", &title(t))?;
            x.text("Description", &t.class.description)?;
            x.text("StartDate", &t.dates.0.to_string())?;
            x.text("EndDate", &t.dates.1.to_string())
        })?;
        t.objects.iter().try_for_each(|o| {
            let unit_id = o.id.replacen("BDO", "AU", 1);
            x.within("ArchiveUnit", &[("id", &unit_id)], |x| {
                x.within("Content", &[], |x| {
                    x.text("DescriptionLevel", "Item")?;
                    x.text("Title", &o.title)?;
                    x.text("Description", &o.description)?;
                    x.text("StartDate", &t.dates.0.to_string())?;
                    x.text("EndDate", &t.dates.1.to_string())
                })?;
                x.within("DataObjectReference", &[], |x| x.text("DataObjectGroupReferenceId", &group_id(o)))
            })
        })
    })
}
