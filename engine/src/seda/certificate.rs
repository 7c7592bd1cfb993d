//! Deposit certificate: what left, where to, when, and what the archive answered, with the digests
//! that let anyone check it, beside the package and never inside it. It says what the ledger knows:
//! the same facts give the same bytes.

use crate::domain::DateFormat;
use crate::error::{Error, Result};
use crate::french::count;
use crate::journal::canonical;
use crate::paper::{Orientation, Paper, Weight};
use crate::seda::reply::{Verdict, package};
use crate::store::{ReplyRow, SipRow, Store, files};
use chrono::NaiveDate;
use serde::Serialize;
use std::collections::BTreeMap;

/// A file and what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Name without its folder.
    pub file: String,
    /// Lower-case hexadecimal SHA-512.
    pub sha512: String,
    /// Bytes.
    pub size: u64,
}

/// What the archive answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// Identifier of its message.
    pub message_id: String,
    /// Day that it bears, as written.
    pub replied_at: String,
    /// Lower-case hexadecimal SHA-512 of its message.
    pub sha512: String,
    /// What it allows.
    pub verdict: Verdict,
    /// What it calls our units.
    pub units: BTreeMap<String, String>,
    /// What it calls our objects.
    pub objects: BTreeMap<String, String>,
}

/// The entry of the journal that tells the deposit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Anchor {
    /// Its number.
    pub entry: u64,
    /// Lower-case hexadecimal digest of the chain up to it.
    pub digest: String,
}

/// A deposit certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Shape of this document: 1.
    pub format: u32,
    /// `MessageIdentifier` of the transfer.
    pub message_id: String,
    /// Edition of SEDA: `2.2`.
    pub seda: String,
    /// Identifier of the transferring agency.
    pub transferring_agency: String,
    /// Identifier of the archive.
    pub archival_agency: String,
    /// Name of the target; none when it was carried by other means.
    pub target: Option<String>,
    /// Identifier of the operation at the archive, path or key.
    pub operation: Option<String>,
    /// When it was deposited, ISO 8601, UTC.
    pub deposited_at: Option<String>,
    /// The package.
    pub package: Proof,
    /// Its manifest.
    pub manifest: Proof,
    /// Units of the manifest.
    pub units: u64,
    /// Objects of the manifest.
    pub objects: u64,
    /// The archive's reply.
    pub reply: Option<Answer>,
    /// Journal entry of the reply; before it, of the deposit.
    pub journal: Option<Anchor>,
    /// Version of the tool.
    pub tool: String,
}

impl Certificate {
    /// Canonical JSON and a line feed.
    ///
    /// # Errors
    /// [`Error::Write`] when a value has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        let value = serde_json::to_value(self).map_err(|e| Error::Write(e.to_string()))?;
        Ok(format!("{}\n", canonical(&value)))
    }

    /// Label and value of each line of the printed certificate, in French.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let or = |text: &Option<String>, none: &str| text.clone().unwrap_or_else(|| none.to_owned());
        let mut lines = vec![
            ("Identifiant du transfert", self.message_id.clone()),
            ("Norme", format!("SEDA {}", self.seda)),
            ("Service versant", self.transferring_agency.clone()),
            ("Service d'archives", self.archival_agency.clone()),
            ("Destination", or(&self.target, "remis par une autre voie")),
            ("Opération de l'archive", or(&self.operation, "non connue de cet outil")),
            ("Déposé le (UTC)", or(&self.deposited_at, "non connu de cet outil")),
            (
                "Contenu",
                format!(
                    "{}, {}",
                    count(self.units, "unité d'archives", "unités d'archives"),
                    count(self.objects, "objet", "objets")
                ),
            ),
            ("Paquet", format!("{} ({})", self.package.file, count(self.package.size, "octet", "octets"))),
            ("SHA-512 du paquet", self.package.sha512.clone()),
            ("SHA-512 du bordereau", self.manifest.sha512.clone()),
        ];
        let verdict = self.reply.as_ref().map(|r| r.verdict);
        lines.push(("Réponse de l'archive", answer(verdict).into()));
        if let Some(reply) = &self.reply {
            lines.push(("Message de l'archive", reply.message_id.clone()));
            lines.push(("Date de la réponse", reply.replied_at.clone()));
            lines.push(("SHA-512 de la réponse", reply.sha512.clone()));
        }
        let journal = self.journal.as_ref();
        let anchor = journal.map_or("non ancré".into(), |a| format!("entrée n° {}, {}", a.entry, a.digest));
        lines.push(("Ancrage au journal", anchor));
        lines.push(("Produit par", self.tool.clone()));
        lines
    }

    /// The certificate as a PDF, dated of a day.
    ///
    /// # Errors
    /// When the document cannot be written.
    pub fn pdf(&self, date: NaiveDate) -> Result<Vec<u8>> {
        let title = format!("Certificat de dépôt {}", self.message_id);
        let mut paper = Paper::new(Orientation::Portrait, &title, &title)?;
        paper.title("Certificat de dépôt");
        paper.paragraph(
            "Ce certificat dit ce que le service versant a préparé et remis, et ce que le service d'archives a répondu. Il est produit par le service versant : seule la réponse de l'archive vaut prise en charge.",
            Weight::Regular,
        );
        paper.fields(125.0, &[&self.lines()]);
        paper.finish(date)
    }
}

/// Writes `certificat.json` and `certificat.pdf` beside a package, from what the ledger knows now.
///
/// # Errors
/// [`Error::Refused`] with `SEDA_PACKAGE_CHANGED`; those of the store.
pub fn write(store: &Store, sip: &SipRow) -> Result<()> {
    let ledger = &store.ledger;
    let (manifest, size) = package(store, sip)?;
    let deposit = ledger.deposit(&sip.id)?.filter(|d| d.operation.is_some());
    let reply = ledger.replies(&sip.id)?.pop();
    let kind = reply.as_ref().map_or("sip_deposited".to_owned(), |r| format!("sip_{}", r.verdict.as_str()));
    let journal = ledger.journal_anchor(&sip.id, &kind)?;
    let day = |text: &str| DateFormat::Iso.parse(text.get(..10).unwrap_or_default());
    let told = reply.as_ref().map(|r| r.on_day.clone());
    let told = told.or_else(|| deposit.as_ref().and_then(|d| d.sent_at.clone()));
    let date = told.and_then(|t| day(&t)).unwrap_or_default();
    let answer = |r: ReplyRow| -> Result<Answer> {
        let ids = |kind| Ok::<_, Error>(ledger.system_identifiers(&r.sha512, kind)?.into_iter().collect());
        Ok(Answer {
            units: ids("unit")?,
            objects: ids("object")?,
            message_id: r.message_id,
            replied_at: r.replied_at,
            sha512: r.sha512,
            verdict: r.verdict,
        })
    };
    let certificate = Certificate {
        format: 1,
        message_id: sip.id.clone(),
        seda: manifest.version.number().into(),
        transferring_agency: manifest.transferring_agency,
        archival_agency: manifest.archival_agency,
        target: deposit.as_ref().map(|d| d.target.clone()),
        operation: deposit.as_ref().and_then(|d| d.operation.clone()),
        deposited_at: deposit.and_then(|d| d.sent_at),
        package: Proof { file: format!("{}.zip", sip.id), sha512: sip.sha512.clone(), size },
        manifest: Proof { file: "manifest.xml".into(), sha512: manifest.sha512, size: manifest.size },
        units: manifest.sent.units.len() as u64,
        objects: manifest.sent.objects.len() as u64,
        reply: reply.map(answer).transpose()?,
        journal: journal.map(|(entry, digest)| Anchor { entry: entry.unsigned_abs(), digest }),
        tool: concat!("cartulaire ", env!("CARGO_PKG_VERSION")).into(),
    };
    let folder = store.path(&sip.path);
    files::write_atomic(&folder.join("certificat.json"), certificate.to_json()?.as_bytes())?;
    files::write_atomic(&folder.join("certificat.pdf"), &certificate.pdf(date)?)
}

fn answer(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        None => "pas encore reçue",
        Some(Verdict::Archived) => "prise en charge de toutes les unités et de tous les objets",
        Some(Verdict::Received) => "reçu, décision attendue",
        Some(Verdict::Incomplete) => "acceptée sans couvrir tout le dépôt",
        Some(Verdict::Refused) => "refusée",
        Some(Verdict::Undecided) => "sans verdict connu",
        Some(Verdict::NotOurs) => "ne porte pas sur ce dépôt",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> Certificate {
        let proof = |file: &str| Proof { file: file.into(), sha512: "ab".repeat(64), size: 3 };
        Certificate {
            format: 1,
            message_id: "SIP \"1\"".into(),
            seda: "2.2".into(),
            transferring_agency: "DSI".into(),
            archival_agency: "AN".into(),
            target: Some("vitam".into()),
            operation: Some("aeeaaa".into()),
            deposited_at: Some("2026-03-02T10:00:00Z".into()),
            package: proof("SIP-1.zip"),
            manifest: proof("manifest.xml"),
            units: 5,
            objects: 4,
            reply: Some(Answer {
                message_id: "ATR-1".into(),
                replied_at: "2026-03-02".into(),
                sha512: "cd".repeat(64),
                verdict: Verdict::Archived,
                units: [("AU-1".to_owned(), "aeaq".to_owned())].into(),
                objects: BTreeMap::new(),
            }),
            journal: Some(Anchor { entry: 12, digest: "cd".into() }),
            tool: "cartulaire 0.1.0".into(),
        }
    }

    #[test]
    fn the_json_is_canonical_and_reads_back() {
        let json = certificate().to_json().unwrap();
        assert!(json.starts_with("{\"archival_agency\":\"AN\",\"deposited_at\""), "{json}");
        assert!(json.contains("\"journal\":{\"digest\":\"cd\",\"entry\":12}"), "{json}");
        assert!(json.contains("\"verdict\":\"archived\"") && json.ends_with("}\n"));
        let back: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(back, serde_json::to_value(certificate()).unwrap());
    }

    #[test]
    fn the_lines_say_so_when_nothing_is_answered() {
        let c = Certificate { reply: None, journal: None, target: None, ..certificate() };
        let lines = c.lines();
        assert!(lines.contains(&("Réponse de l'archive", "pas encore reçue".into())));
        assert!(lines.contains(&("Ancrage au journal", "non ancré".into())));
        assert!(lines.contains(&("Destination", "remis par une autre voie".into())));
    }

    #[test]
    fn the_same_certificate_gives_the_same_pdf() {
        let day = NaiveDate::from_ymd_opt(2026, 3, 2).unwrap();
        assert_eq!(certificate().pdf(day).unwrap(), certificate().pdf(day).unwrap());
    }
}
