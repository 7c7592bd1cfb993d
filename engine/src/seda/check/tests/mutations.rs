//! One fault each: the right code and nothing else, with and without the schema.

use super::super::codes::*;
use super::builder::{Package, check_bytes, codes, good, lists, schemas};
use crate::seda::check::Options;

type Spoil = fn(&mut Package);

/// Faults that a manifest shows with or without the schema.
const MUTATIONS: &[(&str, &str, Spoil)] = &[
    ("manifest absent", MANIFEST_NAME, |p| p.manifest_name.clear()),
    ("manifest renamed", MANIFEST_NAME, |p| p.manifest_name = "bordereau.xml".into()),
    ("manifest prefix with an accent", MANIFEST_NAME, |p| p.manifest_name = "é_manifest.xml".into()),
    ("manifest prefix too long", MANIFEST_NAME, |p| {
        p.manifest_name = format!("{}_manifest.xml", "a".repeat(57))
    }),
    ("manifest prefix without a separator", MANIFEST_NAME, |p| p.manifest_name = "xmanifest.xml".into()),
    ("package zipped with its folder", MANIFEST_NAME, |p| {
        p.manifest_name = "sip/manifest.xml".into();
        p.folders.clear();
        p.files.iter_mut().for_each(|f| f.0 = format!("sip/{}", f.0));
    }),
    ("two manifests", ONE_FILE, |p| p.files.push(("x_manifest.xml".into(), b"<a/>".to_vec()))),
    ("a README at the root", ONE_FILE, |p| p.files.push(("README.txt".into(), b"x".to_vec()))),
    ("a checksum at the root", ONE_FILE, |p| p.files.push(("manifest.xml.sha512".into(), b"x".to_vec()))),
    ("a second folder", ONE_FOLDER, |p| p.files.push(("annexes/a.txt".into(), b"x".to_vec()))),
    ("an empty second folder", ONE_FOLDER, |p| p.folders.push("vide/".into())),
    ("a folder with another name", ONE_FOLDER, |p| {
        p.folders.clear();
        p.files.iter_mut().for_each(|f| f.0 = f.0.replace("content", "objets"));
        p.replace_all("content/", "objets/");
    }),
    ("a file name with a space", FILE_NAME, |p| rename(p, "B 1.csv")),
    ("a file name with an accent", FILE_NAME, |p| rename(p, "é.csv")),
    ("a file name with an apostrophe", FILE_NAME, |p| rename(p, "l'an.csv")),
    ("a file name with a comma", FILE_NAME, |p| rename(p, "a,b.csv")),
    ("a file name with a bracket", FILE_NAME, |p| rename(p, "a(1).csv")),
    ("a hidden file", FILE_NAME, |p| rename(p, ".b.csv")),
    // XML
    ("a manifest that is a text", NOT_XML, |p| p.manifest = "bordereau".into()),
    ("an empty manifest", NOT_XML, |p| p.manifest.clear()),
    ("a manifest cut", NOT_XML, |p| p.manifest.truncate(900)),
    ("a closing tag of another name", NOT_XML, |p| p.replace("</Comment>", "</Coment>")),
    ("a bare ampersand", NOT_XML, |p| p.replace("&amp;", "&")),
    ("an unknown entity", NOT_XML, |p| p.replace("&amp;", "&eacute;")),
    ("a DTD", NOT_XML, |p| p.replace("<ArchiveTransfer", "<!DOCTYPE a [<!ENTITY b \"c\">]><ArchiveTransfer")),
    ("a DTD without entities", NOT_XML, |p| {
        p.replace("<ArchiveTransfer", "<!DOCTYPE ArchiveTransfer><ArchiveTransfer")
    }),
    ("a control character", NOT_XML, |p| p.replace("Mesures", "Mes\u{1}ures")),
    ("an escaped control character", NOT_XML, |p| p.replace("Mesures", "Mes&#1;ures")),
    ("another encoding", NOT_XML, |p| p.replace("UTF-8", "ISO-8859-1")),
    ("an unbound prefix", NOT_XML, |p| p.replace_all("Comment>", "x:Comment>")),
    ("an attribute twice", NOT_XML, |p| p.replace("id=\"U1\"", "id=\"U1\" id=\"U9\"")),
    ("two roots", NOT_XML, |p| p.manifest.push_str("<a/>")),
    ("text after the root", NOT_XML, |p| p.manifest.push_str("fin")),
    ("too many levels", NOT_XML, |p| {
        p.replace("<Content>", &format!("{}<Content>", "<Content>".repeat(300)))
    }),
    // Version and schema
    ("an unknown version", VERSION, |p| p.replace(":v2.2", ":v2.4")),
    ("an old version", VERSION, |p| p.replace(":v2.2", ":v1.0")),
    ("another namespace", VERSION, |p| p.replace("fr:gouv:culture:archivesdefrance:seda:v2.2", "urn:x")),
    ("another message", NOT_XSD, |p| {
        p.manifest = "<ArchiveTransferReply xmlns=\"fr:gouv:culture:archivesdefrance:seda:v2.2\"/>".into();
    }),
    ("no date", NOT_XSD, |p| p.cut("<Date>", "</Date>")),
    ("a date that is not one", NOT_XSD, |p| p.replace("2025-11-03T00:00:00.000Z", "3 novembre")),
    ("no message identifier", NOT_XSD, |p| p.cut("<MessageIdentifier>", "</MessageIdentifier>")),
    ("an empty message identifier", NOT_XSD, |p| p.replace("SIP-essai-1", "")),
    ("no code lists", NOT_XSD, |p| p.replace("<CodeListVersions/>", "")),
    ("no archival agency", NOT_XSD, |p| p.cut("<ArchivalAgency>", "</ArchivalAgency>")),
    ("no transferring agency", NOT_XSD, |p| p.cut("<TransferringAgency>", "</TransferringAgency>")),
    ("no management metadata", NOT_XSD, |p| p.cut("<ManagementMetadata>", "</ManagementMetadata>")),
    ("an identifier twice", NOT_XSD, |p| p.replace("id=\"U2\"", "id=\"U1\"")),
    ("an identifier that begins by a digit", NOT_XSD, |p| p.replace("id=\"U2\"", "id=\"2\"")),
    ("a reference to no group", NOT_XSD, |p| p.replace("ReferenceId>G2<", "ReferenceId>G9<")),
    ("a reference to no object", NOT_XSD, |p| p.replace("ReferenceId>B3<", "ReferenceId>B9<")),
    ("a reference to no unit", NOT_XSD, |p| p.replace("RefId>U3<", "RefId>U9<")),
    ("no final action", NOT_XSD, |p| p.cut("<FinalAction>", "</FinalAction>")),
    ("an unknown final action", NOT_XSD, |p| p.replace("Keep", "Garder")),
    ("a final action of another category", NOT_XSD, |p| p.replace("Keep", "Transfer")),
    ("inheritance prevented and refused", NOT_XSD, |p| {
        p.replace("<RefNonRuleId>", "<PreventInheritance>true</PreventInheritance><RefNonRuleId>");
    }),
    ("a digest without an algorithm", NOT_XSD, |p| p.replace(" algorithm=\"SHA-512\"", "")),
    ("a size that is not a number", NOT_XSD, |p| p.replace("<Size>24<", "<Size>petit<")),
    // Header
    ("no agreement", CONTRACT_ABSENT, |p| p.cut("<ArchivalAgreement>", "</ArchivalAgreement>")),
    ("no originating agency", AGENT_EMPTY, |p| {
        p.cut("<OriginatingAgencyIdentifier>", "</OriginatingAgencyIdentifier>")
    }),
    // Objects
    ("an unknown usage", USAGE_INVALID, |p| p.replace("BinaryMaster_1", "Original_1")),
    ("a version in letters", USAGE_INVALID, |p| p.replace("BinaryMaster_1", "BinaryMaster_One")),
    ("a version after a hyphen", USAGE_INVALID, |p| p.replace("BinaryMaster_1", "BinaryMaster-1")),
    ("a version after a comma", USAGE_INVALID, |p| p.replace("BinaryMaster_1", "BinaryMaster_1,0")),
    ("a glued version", USAGE_INVALID, |p| p.replace("BinaryMaster_1", "BinaryMaster1")),
    ("a negative version", USAGE_INVALID, |p| p.replace("BinaryMaster_1", "BinaryMaster_-1")),
    ("a version without its number", USAGE_INVALID, |p| p.replace("BinaryMaster_1", "BinaryMaster_")),
    ("a usage in small letters", USAGE_INVALID, |p| p.replace("BinaryMaster_1", "binarymaster_1")),
    ("no usage", USAGE_INVALID, |p| p.replace("<DataObjectVersion>BinaryMaster_1</DataObjectVersion>", "")),
    ("a binary master on paper", USAGE_PHYSICAL, |p| p.replace("PhysicalMaster_1", "BinaryMaster_1")),
    ("a physical master in bytes", USAGE_BINARY, |p| p.replace("BinaryMaster_1", "PhysicalMaster_1")),
    ("an empty Uri", OBJECT_EMPTY, |p| p.replace("<Uri>content/B1.csv</Uri>", "<Uri/>")),
    ("a file missing", TOO_FEW_FILES, |p| drop(p.files.remove(0))),
    ("all files missing", TOO_FEW_FILES, |p| {
        p.cut("<BinaryDataObject id=\"B2\"", "</BinaryDataObject>");
        p.cut("<BinaryDataObject id=\"B3\"", "</BinaryDataObject>");
        p.cut("<DataObjectReference><DataObjectReferenceId>", "</DataObjectReference>");
        p.files.clear();
        p.folders.clear();
    }),
    ("a file too many", TOO_MANY_FILES, |p| p.files.push(("content/B9.csv".into(), b"x".to_vec()))),
    ("an Uri of no file", URI, |p| p.replace("content/B1.csv", "content/B8.csv")),
    ("an Uri of another case", URI, |p| p.replace("content/B1.csv", "Content/B1.csv")),
    ("an Uri twice", URI, |p| {
        p.replace("content/B2.pdf", "content/B1.csv");
    }),
    ("a usage twice in a group", USAGE_TWICE, |p| p.replace("Dissemination_1", "BinaryMaster_2")),
    ("a group without a master", NO_MASTER, |p| p.replace("BinaryMaster_1", "Thumbnail_1")),
    ("a lone object without a master", NO_MASTER, |p| p.replace(">BinaryMaster<", ">TextContent<")),
    ("a unit that holds itself", LOOP, |p| p.replace("RefId>U3<", "RefId>U4<")),
    ("two units that hold each other", LOOP, |p| {
        p.replace("</Content><DataObjectReference><DataObjectGroupReferenceId>G2", "</Content><ArchiveUnit id=\"U6\"><ArchiveUnitRefId>U4</ArchiveUnitRefId></ArchiveUnit><DataObjectReference><DataObjectGroupReferenceId>G2");
    }),
    ("a reference to an object of a group", OBJECT_FOR_GROUP, |p| {
        p.replace(
            "<DataObjectGroupReferenceId>G1</DataObjectGroupReferenceId>",
            "<DataObjectReferenceId>B1</DataObjectReferenceId>",
        );
    }),
    ("an object referred to as a group", OBJECT_FOR_GROUP, |p| {
        p.replace("ReferenceId>G1<", "ReferenceId>B1<")
    }),
    ("a unit referred to as a group", MALFORMED, |p| {
        p.replace("<DataObjectReference><DataObjectGroupReferenceId>G1", "<DataObjectReference><DataObjectGroupReferenceId>G1</DataObjectGroupReferenceId></DataObjectReference><DataObjectReference><DataObjectGroupReferenceId>U1");
    }),
    ("a unit with two groups", TWO_GROUPS, |p| {
        p.replace("ReferenceId>G1</DataObjectGroupReferenceId></DataObjectReference>", "ReferenceId>G1</DataObjectGroupReferenceId></DataObjectReference><DataObjectReference><DataObjectGroupReferenceId>G2</DataObjectGroupReferenceId></DataObjectReference>");
    }),
    ("an attachment that is no identifier", GUID, |p| {
        p.replace(
            "<DataObjectVersion>BinaryMaster<",
            "<DataObjectGroupSystemId>G-1</DataObjectGroupSystemId><DataObjectVersion>BinaryMaster<",
        );
    }),
    ("an orphan group", ORPHAN, |p| {
        p.cut("<DataObjectReference><DataObjectGroupReferenceId>G2", "</DataObjectReference>")
    }),
    ("an orphan object", ORPHAN, |p| {
        p.cut("<DataObjectReference><DataObjectReferenceId>B3", "</DataObjectReference>")
    }),
    ("an empty digest", DIGEST_EMPTY, |p| {
        p.cut("SHA-512\">", "</MessageDigest>");
        p.replace("algorithm=\"", "algorithm=\"SHA-512\"></MessageDigest>");
    }),
    ("a file that changed", DIGEST_INVALID, |p| p.files[0].1[3] = b'x'),
    ("a digest cut", DIGEST_INVALID, |p| p.replace("</MessageDigest>", "00</MessageDigest>")),
    ("a digest of another algorithm", DIGEST_INVALID, |p| p.replace("SHA-512", "SHA-256")),
    ("an unknown algorithm", DIGEST_FATAL, |p| p.replace("SHA-512", "SHA512")),
    ("a wrong size", SIZE, |p| p.replace("<Size>24<", "<Size>25<")),
    ("a format that is not the file's", FORMAT, |p| p.replace("x-fmt/18", "fmt/817")),
    ("a text that is a PDF", FORMAT, |p| p.replace("fmt/95", "x-fmt/111")),
    ("an object modified after the year 9000", GROUP_SCHEMA, |p| p.replace("2025-09-01T", "9000-09-01T")),
    // Units
    ("no title", UNIT_EMPTY, |p| p.replace("<Title>Boîte</Title>", "")),
    ("a blank title", UNIT_EMPTY, |p| p.replace("Boîte", " ")),
    ("a start in the year 9000", UNIT_DATE, |p| p.replace("<EndDate>2024-09-30<", "<EndDate>9000-01-01<")),
    ("an end before the start", UNIT_CONSISTENCY, |p| {
        p.replace("<EndDate>2025-08-31<", "<EndDate>2024-08-31<")
    }),
    ("an end a month before the start", UNIT_CONSISTENCY, |p| p.replace("2024-09-30", "2024-08-31")),
    ("a person without a name", UNIT_INVALID, |p| {
        p.replace("<FirstName>Ada</FirstName><BirthName>Byron</BirthName>", "<GivenName>Ada</GivenName>");
    }),
    ("a rule that starts in the year 9000", UNIT_DATE, |p| {
        p.replace("<StartDate>2025-08-31<", "<StartDate>9000-08-31<")
    }),
    ("a hold that ends before it starts", RULE_CONSISTENCY, |p| p.replace("2026-01-01", "2024-01-01")),
    ("a hold that ends in the year 9999", UNIT_DATE, |p| p.replace("2026-01-01", "9999-12-31")),
    // Advice
    ("a message identifier with an odd character", W_MESSAGE_ID, |p| p.replace("SIP-essai-1", "SIP:1")),
    ("two titles of one language", W_TITLE_LANG, |p| {
        p.replace("<Title>Boîte</Title>", "<Title>Boîte</Title><Title>Carton</Title>")
    }),
    ("a value that begins by a hash", W_FIELD, |p| p.replace("Mesures", "#Mesures")),
    ("a value with HTML", W_FIELD, |p| p.replace("Mesures", "&lt;b&gt;Mesures&lt;/b&gt;")),
    ("a text that is too long", W_FIELD, |p| p.replace("Mesures", &"é".repeat(32_001))),
    ("a journal of the archive", W_LOGBOOK, |p| {
        p.replace("</AccessRule><HoldRule>", "</AccessRule><LogBook><Event><EventDateTime>2025-01-01T00:00:00</EventDateTime></Event></LogBook><HoldRule>");
        let start = p.manifest.find("<LogBook>").unwrap();
        let end = p.manifest.find("</LogBook>").unwrap() + "</LogBook>".len();
        let book: String = p.manifest.drain(start..end).collect();
        p.replace("</HoldRule>", &format!("</HoldRule>{book}"));
        // LogBook comes before HoldRule in the schema.
        let hold_start = p.manifest.find("<HoldRule>").unwrap();
        let hold_end = p.manifest.find("</HoldRule>").unwrap() + "</HoldRule>".len();
        let hold: String = p.manifest.drain(hold_start..hold_end).collect();
        p.replace("</LogBook>", &format!("</LogBook>{hold}"));
    }),
    ("a destruction without a date", W_NEVER_DUE, |p| {
        p.replace(
            "<Rule>APP-1</Rule><StartDate>2025-08-31</StartDate><FinalAction>Keep",
            "<FinalAction>Destroy",
        );
    }),
    ("a digest in capitals", W_FIELD, |p| {
        let start = p.manifest.find("SHA-512\">").unwrap() + 9;
        let upper = p.manifest.get(start..start + 128).unwrap().to_uppercase();
        p.manifest.replace_range(start..start + 128, &upper);
    }),
];

/// Faults that the schema would tell under its own code.
const WITHOUT_SCHEMA: &[(&str, &str, Spoil)] = &[
    ("an object without a digest", DIGEST_EMPTY, |p| p.cut("<MessageDigest", "</MessageDigest>")),
    ("an empty originating agency", AGENT_EMPTY, |p| {
        p.replace("<OriginatingAgencyIdentifier>SERV-1", "<OriginatingAgencyIdentifier>")
    }),
    ("an empty PhysicalId", OBJECT_EMPTY, |p| p.replace("BOITE-1", "")),
    ("a field that begins by an underscore", UNIT_INVALID, |p| {
        p.replace("<Writer>", "<x:_id xmlns:x=\"urn:x\">1</x:_id><Writer>")
    }),
];

/// Faults that only the archive's lists show.
const LOOKUPS: &[(&str, &str, Spoil)] = &[
    ("an unknown originating agency", AGENT_UNKNOWN, |p| {
        p.replace("<OriginatingAgencyIdentifier>SERV-1", "<OriginatingAgencyIdentifier>SERV-9")
    }),
    ("an unknown submission agency", AGENT_UNKNOWN, |p| p.replace("SERV-2", "SERV-9")),
    ("an unknown contract", CONTRACT_UNKNOWN, |p| p.replace("CT-1", "CT-9")),
    ("a contract that is not active", CONTRACT_INACTIVE, |p| p.replace("CT-1", "CT-2")),
    ("a contract that asks for a profile", PROFILE_DIFF, |p| p.replace("CT-1", "CT-3")),
    ("a profile that the contract has not", PROFILE_DIFF, |p| {
        p.replace("<ManagementMetadata>", "<ManagementMetadata><ArchivalProfile>PR-1</ArchivalProfile>");
    }),
    ("a profile that is not active", PROFILE_INACTIVE, |p| {
        p.replace("CT-1", "CT-5");
        p.replace("<ManagementMetadata>", "<ManagementMetadata><ArchivalProfile>PR-2</ArchivalProfile>");
    }),
    ("an unknown profile", PROFILE_UNKNOWN, |p| {
        p.replace("<ManagementMetadata>", "<ManagementMetadata><ArchivalProfile>PR-9</ArchivalProfile>");
    }),
    ("an unknown rule", RULE_UNKNOWN, |p| p.replace("APP-1", "APP-8")),
    ("a rule of another category", RULE_CONSISTENCY, |p| p.replace("<Rule>ACC-1", "<Rule>APP-1")),
    ("an unknown rule refused", RULE_REF, |p| p.replace("<RefNonRuleId>ACC-1", "<RefNonRuleId>ACC-9")),
    ("a rule of another category refused", RULE_REF, |p| {
        p.replace("<RefNonRuleId>ACC-1", "<RefNonRuleId>APP-1")
    }),
    ("an end for a hold that has a duration", RULE_CONSISTENCY, |p| p.replace("HOL-1", "HOL-2")),
    ("a rule due after the year 9000", RULE_DATE, |p| p.replace("APP-1", "APP-9")),
    ("a format that the archive has not", FORMAT_UNCHARTED, |p| p.replace("x-fmt/111", "fmt/1001")),
    ("a format that the contract has not", FORMAT_REJECTED, |p| p.replace("CT-1", "CT-4")),
];

fn rename(p: &mut Package, name: &str) {
    p.files[0].0 = format!("content/{name}");
    p.replace("content/B1.csv", &format!("content/{name}"));
}

fn run(list: &[(&str, &str, Spoil)], options: &Options) {
    let mut wrong = Vec::new();
    for (name, code, spoil) in list {
        let mut package = good("2.2");
        spoil(&mut package);
        let verdict = check_bytes(&package.zip(zip::CompressionMethod::Deflated), options);
        if codes(&verdict) != [*code] {
            wrong.push(format!("{name}: {code} expected, {:#?} found", verdict.findings));
        }
        for f in &verdict.findings {
            let in_manifest = f.xpath.is_empty() || f.xpath.starts_with('/');
            assert!(in_manifest && f.message.len() > 20, "{name}: {f:?}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_fault_has_its_code_and_no_other_without_schema() {
    run(MUTATIONS, &Options::default());
    run(WITHOUT_SCHEMA, &Options::default());
}

#[test]
fn each_fault_has_its_code_and_no_other_with_schema() {
    let Some(xsd) = schemas() else { return };
    run(MUTATIONS, &Options { xsd: Some(xsd), ..Options::default() });
}

#[test]
fn each_lookup_has_its_code_and_no_other() {
    let lists = lists();
    let referentials = Some(lists.path().to_path_buf());
    run(LOOKUPS, &Options { referentials: referentials.clone(), ..Options::default() });
    if let Some(xsd) = schemas() {
        run(LOOKUPS, &Options { xsd: Some(xsd), referentials, ..Options::default() });
    }
}
