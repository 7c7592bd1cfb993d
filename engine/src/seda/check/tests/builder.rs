//! A small good package, and what is needed to spoil it.

use crate::domain::hex;
use crate::seda::check::{Decision, Options, Verdict, check};
use sha2::Digest as _;
use std::io::Write;
use std::path::PathBuf;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

pub const CSV: &[u8] = b"uai;visites\n0350001A;12\n";
pub const TEXT: &[u8] = b"uai : identifiant\n";
pub const SCAN: &[u8] = b"%PDF-1.7 page\n";

/// Files and manifest of a package that is not written yet.
#[derive(Clone)]
pub struct Package {
    pub manifest: String,
    pub manifest_name: String,
    pub files: Vec<(String, Vec<u8>)>,
    pub folders: Vec<String>,
}

fn sha512(bytes: &[u8]) -> String {
    hex(&sha2::Sha512::digest(bytes))
}

fn object(id: &str, usage: &str, uri: &str, bytes: &[u8], puid: &str) -> String {
    format!(
        r#"<BinaryDataObject id="{id}"><DataObjectVersion>{usage}</DataObjectVersion><Uri>{uri}</Uri><MessageDigest algorithm="SHA-512">{}</MessageDigest><Size>{}</Size><FormatIdentification><FormatId>{puid}</FormatId></FormatIdentification><FileInfo><Filename>{id}.x</Filename><LastModified>2025-09-01T00:00:00Z</LastModified></FileInfo></BinaryDataObject>"#,
        sha512(bytes),
        bytes.len()
    )
}

/// A good package of a version.
pub fn good(version: &str) -> Package {
    let hold = if version == "2.1" {
        ""
    } else {
        "<HoldRule><Rule>HOL-1</Rule><StartDate>2025-01-01</StartDate><HoldEndDate>2026-01-01</HoldEndDate></HoldRule>"
    };
    let manifest = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<ArchiveTransfer xmlns="fr:gouv:culture:archivesdefrance:seda:v{version}">
<Comment>Essai &amp; contrôle</Comment>
<Date>2025-11-03T00:00:00.000Z</Date>
<MessageIdentifier>SIP-essai-1</MessageIdentifier>
<ArchivalAgreement>CT-1</ArchivalAgreement>
<CodeListVersions/>
<DataObjectPackage>
<DataObjectGroup id="G1">{csv}{thumb}</DataObjectGroup>
<DataObjectGroup id="G2"><PhysicalDataObject id="P1"><DataObjectVersion>PhysicalMaster_1</DataObjectVersion><PhysicalId>BOITE-1</PhysicalId></PhysicalDataObject></DataObjectGroup>
{lone}
<DescriptiveMetadata>
<ArchiveUnit id="U1"><Management><AppraisalRule><Rule>APP-1</Rule><StartDate>2025-08-31</StartDate><FinalAction>Keep</FinalAction></AppraisalRule><AccessRule><Rule>ACC-1</Rule><StartDate>2025-08-31</StartDate></AccessRule>{hold}</Management>
<Content><DescriptionLevel>RecordGrp</DescriptionLevel><Title>Audience</Title><Description>Mesures</Description><Writer><FirstName>Ada</FirstName><BirthName>Byron</BirthName></Writer><StartDate>2024-09-01</StartDate><EndDate>2025-08-31</EndDate></Content>
<ArchiveUnit id="U2"><Management><AccessRule><RefNonRuleId>ACC-1</RefNonRuleId></AccessRule></Management><Content><DescriptionLevel>Item</DescriptionLevel><Title>Données</Title><StartDate>2024-09</StartDate><EndDate>2024-09-30</EndDate></Content><DataObjectReference><DataObjectGroupReferenceId>G1</DataObjectGroupReferenceId></DataObjectReference></ArchiveUnit>
<ArchiveUnit id="U3"><Content><DescriptionLevel>Item</DescriptionLevel><Title>Boîte</Title></Content><DataObjectReference><DataObjectGroupReferenceId>G2</DataObjectGroupReferenceId></DataObjectReference></ArchiveUnit>
</ArchiveUnit>
<ArchiveUnit id="U4"><Content><DescriptionLevel>File</DescriptionLevel><Title>Dictionnaire</Title></Content><ArchiveUnit id="U5"><ArchiveUnitRefId>U3</ArchiveUnitRefId></ArchiveUnit><DataObjectReference><DataObjectReferenceId>B3</DataObjectReferenceId></DataObjectReference></ArchiveUnit>
</DescriptiveMetadata>
<ManagementMetadata><OriginatingAgencyIdentifier>SERV-1</OriginatingAgencyIdentifier><SubmissionAgencyIdentifier>SERV-2</SubmissionAgencyIdentifier></ManagementMetadata>
</DataObjectPackage>
<ArchivalAgency><Identifier>AD</Identifier></ArchivalAgency>
<TransferringAgency><Identifier>SERV-1</Identifier></TransferringAgency>
</ArchiveTransfer>
"#,
        csv = object("B1", "BinaryMaster_1", "content/B1.csv", CSV, "x-fmt/18"),
        thumb = object("B2", "Dissemination_1", "content/B2.pdf", SCAN, "fmt/95"),
        lone = object("B3", "BinaryMaster", "content/sous/B3.txt", TEXT, "x-fmt/111"),
    );
    Package {
        manifest,
        manifest_name: "manifest.xml".into(),
        files: [("content/B1.csv", CSV), ("content/B2.pdf", SCAN), ("content/sous/B3.txt", TEXT)]
            .map(|(n, b)| (n.to_owned(), b.to_vec()))
            .into(),
        folders: vec!["content/".into()],
    }
}

impl Package {
    /// Replaces the first occurrence; the text must be there.
    pub fn replace(&mut self, from: &str, to: &str) {
        assert!(self.manifest.contains(from), "{from}");
        self.manifest = self.manifest.replacen(from, to, 1);
    }

    /// Replaces every occurrence.
    pub fn replace_all(&mut self, from: &str, to: &str) {
        assert!(self.manifest.contains(from), "{from}");
        self.manifest = self.manifest.replace(from, to);
    }

    /// Cuts from the first `from` to the next `to`, both included.
    pub fn cut(&mut self, from: &str, to: &str) {
        let start = self.manifest.find(from).unwrap();
        let end = start + self.manifest.get(start..).and_then(|rest| rest.find(to)).unwrap() + to.len();
        self.manifest.replace_range(start..end, "");
    }

    pub fn members(&self) -> Vec<(String, Vec<u8>)> {
        let mut all = vec![(self.manifest_name.clone(), self.manifest.clone().into_bytes())];
        if self.manifest_name.is_empty() {
            all.clear();
        }
        all.extend(self.files.iter().cloned());
        all
    }

    pub fn zip(&self, method: zip::CompressionMethod) -> Vec<u8> {
        let mut out = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        for folder in &self.folders {
            out.add_directory(folder.as_str(), options).unwrap();
        }
        for (name, bytes) in self.members() {
            out.start_file(name, options).unwrap();
            out.write_all(&bytes).unwrap();
        }
        out.finish().unwrap().into_inner()
    }

    pub fn tar(&self) -> Vec<u8> {
        let mut out = tar::Builder::new(Vec::new());
        for (name, bytes) in self.members() {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            out.append_data(&mut header, name, bytes.as_slice()).unwrap();
        }
        out.into_inner().unwrap()
    }
}

/// The official schemas, where they are.
pub fn schemas() -> Option<PathBuf> {
    // Tests run in the folder of their crate.
    let found = Some(PathBuf::from("../../shared/seda-xsd")).filter(|p| p.is_dir());
    if found.is_none() {
        println!("skipped: ../shared/seda-xsd is not here");
    }
    found
}

/// The archive's lists, as it would export them.
pub fn lists() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        std::fs::File::create(dir.path().join(name)).unwrap().write_all(text.as_bytes()).unwrap()
    };
    put("agencies.csv", "Identifier,Name,Description\nSERV-1,Académie,\nSERV-2,Service,\nAD,Archives,\n");
    put(
        "rules.csv",
        "RuleId,RuleType,RuleValue,RuleDescription,RuleDuration,RuleMeasurement\nAPP-1,AppraisalRule,x,,5,Year\nAPP-9,AppraisalRule,x,,6990,Year\nACC-1,AccessRule,x,,0,Year\nHOL-1,HoldRule,x,,,\nHOL-2,HoldRule,x,,3,Year\n",
    );
    put(
        "contracts.json",
        r#"[{"Identifier":"CT-1","Status":"ACTIVE","ArchiveProfiles":[],"EveryFormatType":true},
        {"Identifier":"CT-2","Status":"INACTIVE","ArchiveProfiles":[]},
        {"Identifier":"CT-3","Status":"ACTIVE","ArchiveProfiles":["PR-1"]},
        {"Identifier":"CT-5","Status":"ACTIVE","ArchiveProfiles":["PR-2"]},
        {"Identifier":"CT-4","Status":"ACTIVE","ArchiveProfiles":[],"EveryFormatType":false,"FormatType":["x-fmt/18","fmt/95"]}]"#,
    );
    put(
        "profiles.json",
        r#"[{"Identifier":"PR-1","Status":"ACTIVE","Format":"RNG"},{"Identifier":"PR-2","Status":"INACTIVE","Format":"RNG"}]"#,
    );
    put("formats.json", r#"[{"PUID":"x-fmt/18"},{"PUID":"fmt/95"},{"PUID":"x-fmt/111"}]"#);
    dir
}

/// Checks bytes as a file.
pub fn check_bytes(bytes: &[u8], options: &Options) -> Verdict {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    check(file.path(), options).unwrap()
}

/// Codes of the findings, and that the verdict agrees with them.
pub fn codes(verdict: &Verdict) -> Vec<&'static str> {
    let refused = verdict.findings.iter().any(|f| f.severity == super::super::Severity::Error);
    assert_eq!(verdict.verdict == Decision::Refused, refused);
    verdict.findings.iter().map(|f| f.code).collect()
}
