//! A profile as RELAX NG, so that an archive can load it: it fixes the agreement, the profile, the
//! agencies and the appraisal rules of the root units, asks every root unit for a title, and leaves
//! the rest to the SEDA schema.

use crate::seda::model::Version;
use quick_xml::escape::escape;

/// What a profile fixes.
#[derive(Debug, Clone)]
pub struct Fixed<'a> {
    /// Ingest contract.
    pub archival_agreement: &'a str,
    /// Archive profile, if the archive asks for one.
    pub archival_profile: Option<&'a str>,
    /// Producers: a package has one of them.
    pub originating: &'a [&'a str],
    /// Who deposits.
    pub submission: &'a str,
    /// The archives service.
    pub archival: &'a str,
    /// Who sends.
    pub transferring: &'a str,
    /// Appraisal rules that a root unit may have, each required once of them.
    pub appraisal_rules: &'a [&'a str],
}

/// The schema.
pub fn rng(version: Version, fixed: &Fixed<'_>) -> String {
    let element = |name: &str, inner: &str| format!("<element name=\"{name}\">{inner}</element>");
    let value =
        |name: &str, text: &str| element(name, &format!("<value type=\"token\">{}</value>", escape(text)));
    let any = |name: &str| element(name, "<ref name=\"any\"/>");
    let optional = |inner: String| format!("<optional>{inner}</optional>");
    let many = |inner: String| format!("<zeroOrMore>{inner}</zeroOrMore>");
    let title = element("Title", "<data type=\"token\"><param name=\"minLength\">1</param></data>");
    let values = |list: &[&str]| -> String {
        list.iter().map(|c| format!("<value type=\"token\">{}</value>", escape(*c))).collect()
    };
    let (codes, producers) = (values(fixed.appraisal_rules), values(fixed.originating));
    let appraisal = element(
        "AppraisalRule",
        &format!("{}<ref name=\"others\"/>", element("Rule", &format!("<choice>{codes}</choice>"))),
    );
    let unit = element(
        "ArchiveUnit",
        &format!(
            "<attribute name=\"id\"/>{}{}{}<ref name=\"others\"/>",
            optional(any("ArchiveUnitProfile")),
            element(
                "Management",
                &format!("{}{appraisal}<ref name=\"others\"/>", optional(any("StorageRule")))
            ),
            element(
                "Content",
                &format!("{}{title}<ref name=\"others\"/>", optional(any("DescriptionLevel")))
            ),
        ),
    );
    let management = element(
        "ManagementMetadata",
        &format!(
            "{}{}{}{}{}{}<ref name=\"others\"/>",
            fixed.archival_profile.map(|p| value("ArchivalProfile", p)).unwrap_or_default(),
            optional(any("ServiceLevel")),
            optional(any("AcquisitionInformation")),
            optional(any("LegalStatus")),
            element("OriginatingAgencyIdentifier", &format!("<choice>{producers}</choice>")),
            value("SubmissionAgencyIdentifier", fixed.submission),
        ),
    );
    let package = element(
        "DataObjectPackage",
        &format!(
            "{}{}{management}",
            many(any("DataObjectGroup")),
            element("DescriptiveMetadata", &format!("<oneOrMore>{unit}</oneOrMore>")),
        ),
    );
    let transfer = element(
        "ArchiveTransfer",
        &format!(
            "{}{}{}{}{}{package}{}{}{}{}",
            many(any("Comment")),
            any("Date"),
            any("MessageIdentifier"),
            value("ArchivalAgreement", fixed.archival_agreement),
            any("CodeListVersions"),
            many(any("RelatedTransferReference")),
            optional(any("TransferRequestReplyIdentifier")),
            element("ArchivalAgency", &value("Identifier", fixed.archival)),
            element("TransferringAgency", &value("Identifier", fixed.transferring)),
        ),
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<grammar xmlns=\"http://relaxng.org/ns/structure/1.0\" ns=\"{}\" datatypeLibrary=\"http://www.w3.org/2001/XMLSchema-datatypes\">\n<start>{transfer}</start>\n<define name=\"others\"><zeroOrMore><element><anyName/><ref name=\"any\"/></element></zeroOrMore></define>\n<define name=\"any\"><zeroOrMore><choice><attribute><anyName/></attribute><text/><element><anyName/><ref name=\"any\"/></element></choice></zeroOrMore></define>\n</grammar>\n",
        version.namespace()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seda::model::*;
    use std::io::Write as _;
    use std::process::Command;

    #[test]
    fn a_manifest_of_the_profile_validates_and_a_changed_one_does_not() {
        if Command::new("xmllint").arg("--version").output().is_err() {
            println!("sauté : xmllint absent");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        for version in Version::ALL {
            let fixed = Fixed {
                archival_agreement: "CT & 1",
                archival_profile: Some("PR-1"),
                originating: &["P", "P2"],
                submission: "S",
                archival: "A",
                transferring: "T",
                appraisal_rules: &["R-1", "R-2"],
            };
            let rules = Rules {
                category: Category::Appraisal,
                rules: vec![Rule { code: "R-2".into(), ..Rule::default() }],
                inheritance: Inheritance::Kept,
                final_action: Some(FinalAction::Keep),
                classification: None,
            };
            let content =
                Content { title: "Titre".into(), level: Some(Level::RecordGrp), ..Content::default() };
            let unit = ArchiveUnit { id: "U1".into(), rules: vec![rules], content, ..ArchiveUnit::default() };
            let some = |s: &str| Some(s.to_owned());
            let message = Message {
                identifier: "M".into(),
                archival_agreement: some("CT & 1"),
                archival_agency: "A".into(),
                transferring_agency: "T".into(),
                management: ManagementMetadata {
                    archival_profile: some("PR-1"),
                    originating_agency: some("P"),
                    submission_agency: some("S"),
                    ..ManagementMetadata::default()
                },
                ..Message::default()
            };
            let mut out = Vec::new();
            crate::seda::write::write(&mut out, version, &message, [], [Ok((0, Unit::Own(Box::new(unit))))])
                .unwrap();
            let good = String::from_utf8(out).unwrap();
            let save = |name: &str, text: &str| {
                let path = folder.path().join(name);
                std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
                path
            };
            let schema = save("p.rng", &rng(version, &fixed));
            let valid = |text: &str| {
                let file = save("m.xml", text);
                let said = Command::new("xmllint")
                    .args(["--noout", "--relaxng"])
                    .arg(&schema)
                    .arg(file)
                    .output()
                    .unwrap();
                (said.status.success(), String::from_utf8_lossy(&said.stderr).into_owned())
            };
            let (ok, why) = valid(&good);
            assert!(ok, "{why}");
            for (from, to) in [
                ("CT &amp; 1", "CT 2"),
                (">PR-1<", ">PR-2<"),
                (">P<", ">Q<"),
                (">R-2<", ">R-3<"),
                ("Titre", ""),
                (">T<", ">X<"),
            ] {
                assert!(good.contains(from), "{from}");
                assert!(!valid(&good.replacen(from, to, 1)).0, "{from} → {to} accepted");
            }
        }
    }
}
