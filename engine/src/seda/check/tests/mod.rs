mod builder;
mod containers;
mod mutations;

use super::*;
use builder::{check_bytes, codes, good, lists, schemas};
use zip::CompressionMethod::{Deflated, Stored};

#[test]
fn good_packages_of_three_versions_have_no_finding_in_any_container() {
    let lists = lists();
    let (referentials, xsd) = (Some(lists.path().to_path_buf()), schemas());
    for version in ["2.1", "2.2", "2.3"] {
        let package = good(version);
        let tar = package.tar();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, &tar).unwrap();
        let forms = [
            package.zip(Deflated),
            package.zip(Stored),
            tar,
            gz.finish().unwrap(),
            package.manifest.clone().into(),
        ];
        for (i, bytes) in forms.iter().enumerate() {
            let options =
                Options { xsd: xsd.clone(), referentials: referentials.clone(), ..Options::default() };
            let verdict = check_bytes(bytes, &options);
            assert_eq!(verdict.findings, [], "{version} form {i}");
            assert_eq!((verdict.verdict, verdict.version), (Decision::Accepted, Some(version)));
            let skipped: Vec<_> = verdict.skipped.iter().map(|s| s.control).filter(|c| *c != "xsd").collect();
            assert_eq!(skipped, if i == 4 { vec!["objects"] } else { vec![] });
        }
    }
}

#[test]
fn what_is_not_given_is_skipped_and_said() {
    let verdict = check_bytes(&good("2.2").zip(Deflated), &Options::default());
    let skipped: Vec<_> = verdict.skipped.iter().map(|s| s.control).collect();
    assert_eq!(skipped, ["agencies", "contracts", "profiles", "rules", "formats", "xsd"]);
    let json = serde_json::to_value(&verdict).unwrap();
    assert_eq!(json["verdict"], "accepted");
    assert_eq!(json["version"], "2.2");
    assert_eq!(json["findings"], serde_json::json!([]));
}

#[test]
fn another_prefix_and_foreign_elements_are_read() {
    let mut package = good("2.2");
    let body = package.manifest.split_once("?>").unwrap().1.to_owned();
    let prefixed = body
        .replace("</", "\u{1}")
        .replace('<', "<s:")
        .replace('\u{1}', "</s:")
        .replace("xmlns=", "xmlns:s=");
    package.manifest = prefixed;
    let options = Options { xsd: schemas(), ..Options::default() };
    assert_eq!(check_bytes(&package.zip(Deflated), &options).findings, []);

    let mut package = good("2.2");
    package.replace(
        "<Description>Mesures",
        "<x:Title xmlns:x=\"urn:x\"/><x:Rule xmlns:x=\"urn:x\">?</x:Rule><Description>Mesures",
    );
    assert_eq!(check_bytes(&package.zip(Deflated), &Options::default()).findings, []);
}

#[test]
fn a_finding_tells_its_place() {
    let mut package = good("2.2");
    package.replace("<Title>Boîte</Title>", "");
    package.replace("SHA-512", "SHA512");
    let verdict = check_bytes(&package.zip(Deflated), &Options::default());
    let places: Vec<_> = verdict.findings.iter().map(|f| f.xpath.as_str()).collect();
    assert_eq!(
        places,
        [
            "/ArchiveTransfer/DataObjectPackage[1]/DescriptiveMetadata[1]/ArchiveUnit[1]/ArchiveUnit[2]/Content[1]",
            "/ArchiveTransfer/DataObjectPackage[1]/DataObjectGroup[1]/BinaryDataObject[1]/MessageDigest[1]",
        ]
    );
}

#[test]
fn five_algorithms_are_computed() {
    use sha2::Digest as _;
    let csv = builder::CSV;
    for (name, value) in [
        ("MD5", crate::domain::hex(&md5::Md5::digest(csv))),
        ("SHA-1", crate::domain::hex(&sha1::Sha1::digest(csv))),
        ("SHA-256", crate::domain::hex(&sha2::Sha256::digest(csv))),
        ("SHA-384", crate::domain::hex(&sha2::Sha384::digest(csv))),
    ] {
        let mut package = good("2.2");
        let old = crate::domain::hex(&sha2::Sha512::digest(csv));
        package.replace(&format!("SHA-512\">{old}"), &format!("{name}\">{value}"));
        assert_eq!(check_bytes(&package.zip(Deflated), &Options::default()).findings, [], "{name}");
    }
}

#[test]
fn an_object_in_the_manifest_is_one_fault() {
    let mut package = good("2.2");
    package.replace("<Uri>content/B1.csv</Uri>", "<Attachment>dWFp</Attachment>");
    let verdict = check_bytes(&package.zip(Deflated), &Options::default());
    assert_eq!(
        codes(&verdict),
        ["CHECK_DATAOBJECTPACKAGE.CHECK_MANIFEST_DATAOBJECT_VERSION.EMPTY_REQUIRED_FIELD"]
    );
}

#[test]
fn hostile_markup_is_bounded() {
    let mut package = good("2.2");
    package.replace("id=\"U1\"", &format!("id=\"U1\" x=\"{}\"", "a".repeat(20 << 20)));
    assert_eq!(
        codes(&check_bytes(package.manifest.as_bytes(), &Options::default())),
        ["CHECK_SEDA.NOT_XML_FILE"]
    );
    let mut bytes = good("2.2").manifest.into_bytes();
    let at = bytes.iter().position(|b| *b == 0xC3).unwrap();
    bytes[at + 1] = b'x';
    assert_eq!(codes(&check_bytes(&bytes, &Options::default())), ["CHECK_SEDA.NOT_XML_FILE"]);
    let utf16: Vec<u8> = "\u{FEFF}<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(codes(&check_bytes(&utf16, &Options::default())), ["CHECK_SEDA.NOT_XML_FILE"]);
}

#[test]
fn findings_are_capped_and_counted() {
    let mut package = good("2.2");
    package.replace_all("_1<", "-1<");
    let verdict = check_bytes(&package.zip(Deflated), &Options { findings_max: 1, ..Options::default() });
    assert_eq!((verdict.findings.len(), verdict.findings_total), (1, 3));
}

#[test]
fn the_verdict_does_not_depend_on_threads() {
    let mut package = good("2.2");
    package.replace_all("SHA-512\">", "SHA-512\">0");
    let zip = package.zip(Deflated);
    let run = |threads| check_bytes(&zip, &Options { threads, ..Options::default() }).findings;
    assert_eq!(run(1), run(4));
    assert_eq!(run(1).len(), 3);
}
