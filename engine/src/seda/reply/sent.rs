//! What a package of the store holds, read again from the package itself: its own manifest says what
//! a reply must cover.

use super::read::Version;
use super::reconcile::Sent;
use crate::domain::hex;
use crate::error::{Error, IoContext, Result};
use crate::store::{SipRow, Store};
use quick_xml::Reader;
use quick_xml::events::Event;
use sha2::{Digest as _, Sha512};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A manifest that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Identifiers.
    pub sent: Sent,
    /// Edition of SEDA.
    pub version: Version,
    /// Identifier of the archive.
    pub archival_agency: String,
    /// Identifier of the transferring agency.
    pub transferring_agency: String,
    /// Lower-case SHA-512 of the file.
    pub sha512: String,
    /// Its bytes.
    pub size: u64,
}

/// SHA-512 and size of a file.
///
/// # Errors
/// When it cannot be read.
pub(super) fn sha512(path: &Path) -> Result<(String, u64)> {
    let mut input = Hashing::new(File::open(path).at(path)?);
    std::io::copy(&mut input, &mut std::io::sink()).at(path)?;
    Ok(input.finish())
}

/// The manifest of a package of the store, once its bytes are those that were made.
///
/// # Errors
/// [`Error::Refused`] with `SEDA_PACKAGE_CHANGED` when they are not, or hold no readable manifest.
pub fn package(store: &Store, sip: &SipRow) -> Result<(Manifest, u64)> {
    let path = store.path(&sip.path).join(format!("{}.zip", sip.id));
    let wrong = |what: &str| Error::Refused {
        code: "SEDA_PACKAGE_CHANGED",
        message: format!(
            "le paquet « {} » {what} : restaurez archives/{} depuis une sauvegarde",
            sip.id, sip.id
        ),
    };
    let (digest, size) = match sha512(&path) {
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Err(wrong("n'est plus dans l'entrepôt"));
        }
        other => other?,
    };
    if digest != sip.sha512 {
        return Err(wrong("n'a plus les octets qui ont été préparés"));
    }
    let file = BufReader::with_capacity(1 << 18, File::open(&path).at(&path)?);
    let mut zip = zip::ZipArchive::new(file).map_err(|_| wrong("n'est pas un zip lisible"))?;
    let entry = zip.by_name("manifest.xml").map_err(|_| wrong("n'a pas de bordereau"))?;
    let manifest = read(entry).map_err(|_| wrong("a un bordereau illisible"))?;
    Ok((manifest, size))
}

fn read(input: impl Read) -> Result<Manifest, quick_xml::Error> {
    let mut input = BufReader::with_capacity(1 << 16, Hashing::new(input));
    let mut found = Manifest {
        sent: Sent::default(),
        version: Version::V2_2,
        archival_agency: String::new(),
        transferring_agency: String::new(),
        sha512: String::new(),
        size: 0,
    };
    let mut reader = Reader::from_reader(&mut input);
    reader.config_mut().expand_empty_elements = true;
    walk(&mut reader, &mut found)?;
    drop(reader);
    // What follows the root counts in the digest.
    std::io::copy(&mut input, &mut std::io::sink())?;
    (found.sha512, found.size) = input.into_inner().finish();
    Ok(found)
}

fn walk(reader: &mut Reader<impl BufRead>, found: &mut Manifest) -> Result<(), quick_xml::Error> {
    let (mut buffer, mut stack, mut text) =
        (Vec::new(), Vec::<(String, Option<String>)>::new(), String::new());
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer)? {
            Event::Start(tag) => {
                let name = tag.local_name().as_ref().to_owned();
                if stack.is_empty()
                    && let Some(namespace) = tag.try_get_attribute("xmlns")?
                {
                    found.version = Version::of(&namespace.value).unwrap_or(found.version);
                }
                let id = tag.try_get_attribute("id")?.map(|id| id.value.into_owned());
                match (name.as_str(), &id) {
                    ("ArchiveUnit", Some(id)) => {
                        found.sent.units.insert(id.clone());
                    }
                    ("BinaryDataObject" | "PhysicalDataObject", Some(id)) => {
                        found.sent.objects.insert(id.clone());
                    }
                    // The parent only points at another unit: it is none by itself.
                    ("ArchiveUnitRefId", _) => {
                        if let Some((_, Some(parent))) = stack.last() {
                            found.sent.units.remove(parent);
                        }
                    }
                    _ => {}
                }
                stack.push((name, id));
                text.clear();
            }
            Event::Text(t) => text.push_str(&t.xml10_content()),
            Event::End(_) => {
                let Some((name, _)) = stack.pop() else { continue };
                let parent = stack.last().map_or("", |(name, _)| name.as_str());
                let value = || text.trim().to_owned();
                match (name.as_str(), parent, stack.len()) {
                    ("MessageIdentifier", _, 1) => found.sent.message_id = value(),
                    ("Identifier", "ArchivalAgency", 2) => found.archival_agency = value(),
                    ("Identifier", "TransferringAgency", 2) => found.transferring_agency = value(),
                    _ => {}
                }
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

struct Hashing<R> {
    inner: R,
    hasher: Sha512,
    size: u64,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Hashing { inner, hasher: Sha512::new(), size: 0 }
    }

    fn finish(self) -> (String, u64) {
        (hex(&self.hasher.finalize()), self.size)
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        self.size += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_says_its_units_objects_parties_and_edition() {
        let xml = r#"<?xml version="1.0"?><ArchiveTransfer xmlns="fr:gouv:culture:archivesdefrance:seda:v2.3">
            <MessageIdentifier>SIP-1</MessageIdentifier><DataObjectPackage><DataObjectGroup id="G"><BinaryDataObject id="B1"><Uri>content/a</Uri>
            </BinaryDataObject></DataObjectGroup><DescriptiveMetadata><ArchiveUnit id="U1"><ArchiveUnit id="U2"/><ArchiveUnit id="R">
            <ArchiveUnitRefId>U1</ArchiveUnitRefId></ArchiveUnit></ArchiveUnit></DescriptiveMetadata></DataObjectPackage>
            <ArchivalAgency><Identifier>AD</Identifier></ArchivalAgency><TransferringAgency><Identifier>DSI</Identifier></TransferringAgency></ArchiveTransfer>
"#;
        let m = read(xml.as_bytes()).unwrap();
        let of = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(",");
        assert_eq!((of(&m.sent.units), of(&m.sent.objects)), ("U1,U2".into(), "B1".into()));
        assert_eq!((m.sent.message_id.as_str(), m.version), ("SIP-1", Version::V2_3));
        assert_eq!((m.archival_agency.as_str(), m.transferring_agency.as_str()), ("AD", "DSI"));
        assert_eq!((m.size, m.sha512), (xml.len() as u64, hex(&Sha512::digest(xml.as_bytes()))));
    }
}
