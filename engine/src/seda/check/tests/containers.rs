//! Containers that were made to harm, or are broken.

use super::super::codes::CONTAINER;
use super::builder::{check_bytes, codes, good};
use crate::seda::check::{Limits, Options};
use zip::CompressionMethod::{Deflated, Stored};

fn refused(bytes: &[u8], what: &str) {
    let verdict = check_bytes(bytes, &Options::default());
    assert_eq!(codes(&verdict), [CONTAINER], "{what}: {:?}", verdict.findings);
}

fn find(bytes: &[u8], mark: &[u8], from: usize) -> usize {
    from + bytes[from..].windows(mark.len()).position(|w| w == mark).unwrap()
}

/// Writes into the first record of the central directory.
fn directory(bytes: &mut [u8], at: usize, value: &[u8]) {
    let first = find(bytes, b"PK\x01\x02", 0);
    // The record of the folder comes first: the manifest's is the one after.
    let record = find(bytes, b"PK\x01\x02", first + 4);
    bytes[record + at..record + at + value.len()].copy_from_slice(value);
}

fn local(bytes: &mut [u8], at: usize, value: &[u8]) {
    let record = find(bytes, b"PK\x03\x04", 4);
    bytes[record + at..record + at + value.len()].copy_from_slice(value);
}

type Spoil = fn(&mut Vec<u8>);

#[test]
fn a_zip_that_contradicts_itself_is_refused() {
    let zip = good("2.2").zip(Deflated);
    let cases: &[(&str, Spoil)] = &[
        ("crc of the directory", |z| directory(z, 16, &[1, 2, 3, 4])),
        ("size of the directory", |z| directory(z, 24, &[1, 0, 0, 0])),
        ("packed size of the directory", |z| directory(z, 20, &[1, 0, 0, 0])),
        ("encrypted", |z| directory(z, 8, &[1, 0])),
        ("unknown method", |z| directory(z, 10, &[12, 0])),
        ("symbolic link", |z| directory(z, 38, &[0, 0, 0xFF, 0xA1])),
        ("offset", |z| directory(z, 42, &[9, 0, 0, 0])),
        ("local name", |z| local(z, 30, b"M")),
        ("local method", |z| local(z, 8, &[0, 0])),
        ("local size", |z| local(z, 22, &[1, 0, 0, 0])),
        ("local crc", |z| local(z, 14, &[1, 2, 3, 4])),
        ("cut", |z| z.truncate(z.len() / 2)),
        ("bytes after the end", |z| z.push(0)),
        ("bytes before the start", |z| z.splice(0..0, *b"PK\x03\x04").for_each(drop)),
        ("entries hidden from the count", |z| {
            let end = z.len() - 22;
            z[end + 8..end + 12].copy_from_slice(&[2, 0, 2, 0]);
        }),
    ];
    assert!(codes(&check_bytes(&zip, &Options::default())).is_empty());
    for (what, spoil) in cases {
        let mut bytes = zip.clone();
        spoil(&mut bytes);
        refused(&bytes, what);
    }
}

#[test]
fn a_member_that_is_damaged_is_refused() {
    let mut zip = good("2.2").zip(Stored);
    let at = find(&zip, super::builder::CSV, 0);
    zip[at] ^= 1;
    refused(&zip, "crc of an object");
}

#[test]
fn a_zip_with_a_comment_is_read_and_one_with_two_ends_is_refused() {
    let mut zip = good("2.2").zip(Deflated);
    let end = zip.len() - 22;
    let record = zip[end..].to_vec();
    zip[end + 20..].copy_from_slice(&[4, 0]);
    zip.extend_from_slice(b"note");
    assert!(codes(&check_bytes(&zip, &Options::default())).is_empty());
    let mut twice = zip[..end].to_vec();
    twice.extend_from_slice(&record[..20]);
    twice.extend_from_slice(&[22, 0]);
    twice.extend_from_slice(&record);
    refused(&twice, "two ends");
}

#[test]
fn names_that_climb_or_hide_are_refused() {
    for name in [
        "../x",
        "content/../../x",
        "/etc/x",
        "C:/x",
        "content\\x",
        "content//x",
        "content/./x",
        "content/x\u{1}",
    ] {
        let mut package = good("2.2");
        package.files[0].0 = format!("content/{}", "A".repeat(name.len().max(10) - 8));
        let placeholder = package.files[0].0.clone();
        let mut zip = package.zip(Deflated);
        let mut wanted = name.as_bytes().to_vec();
        wanted.resize(placeholder.len(), b'a');
        let mut from = 0;
        while let Some(at) = zip[from..].windows(placeholder.len()).position(|w| w == placeholder.as_bytes())
        {
            zip[from + at..from + at + wanted.len()].copy_from_slice(&wanted);
            from += at + 1;
        }
        refused(&zip, name);
    }
}

#[test]
fn two_members_of_one_name_are_refused() {
    let mut package = good("2.2");
    package.files.push(("content/B9.csv".into(), b"x".to_vec()));
    let mut zip = package.zip(Deflated);
    let mut from = 0;
    while let Some(at) = zip[from..].windows(14).position(|w| w == b"content/B9.csv") {
        zip[from + at + 9] = b'1';
        from += at + 1;
    }
    refused(&zip, "duplicate");
}

#[test]
fn bombs_and_crowds_are_refused() {
    let mut package = good("2.2");
    package.files.push(("content/zero.bin".into(), vec![0; 80 << 20]));
    refused(&package.zip(Deflated), "zip bomb");
    let tar = package.tar();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut gz, &tar).unwrap();
    refused(&gz.finish().unwrap(), "tar.gz bomb");

    let limits = Limits { members_max: 3, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let package = good("2.2");
    for bytes in [package.zip(Deflated), package.tar()] {
        assert_eq!(codes(&check_bytes(&bytes, &options)), [CONTAINER]);
    }
}

#[test]
fn seventy_thousand_members_are_counted_in_zip64() {
    let mut package = good("2.2");
    package.files.extend((0..70_000).map(|i| (format!("content/x{i}.csv"), Vec::new())));
    let verdict = check_bytes(&package.zip(Stored), &Options { findings_max: 3, ..Options::default() });
    assert_eq!(verdict.findings_total, 70_000);
    assert!(verdict.findings.iter().all(|f| f.code.ends_with("MANIFEST_INFERIOR_BDO")));
}

#[test]
fn data_descriptors_are_read() {
    use std::io::Write;
    let mut out = zip::ZipWriter::new_stream(Vec::new());
    for (name, bytes) in good("2.2").members() {
        out.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        out.write_all(&bytes).unwrap();
    }
    let bytes = out.finish().unwrap().into_inner();
    assert!(codes(&check_bytes(&bytes, &Options::default())).is_empty());
}

#[test]
fn a_tar_that_is_cut_or_holds_a_link_is_refused() {
    let tar = good("2.2").tar();
    refused(&tar[..tar.len() / 2], "cut");
    let mut bad_sum = tar.clone();
    bad_sum[0] ^= 1;
    refused(&bad_sum, "header sum");
    let mut out = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    out.append_link(&mut header, "content/a", "/etc/passwd").unwrap();
    refused(&out.into_inner().unwrap(), "link");
}

#[test]
fn other_files_are_refused() {
    for bytes in [&b"BZh91AY&SY"[..], b"", b"uai;visites\n", b"\x1F\x8B\x08\0\0", b"PK\x05\x06"] {
        refused(bytes, &String::from_utf8_lossy(bytes));
    }
}

#[test]
fn no_cut_and_no_flipped_byte_panics() {
    let zip = good("2.2").zip(Deflated);
    for at in (0..zip.len()).step_by(37) {
        check_bytes(&zip[..at], &Options::default());
        let mut bytes = zip.clone();
        bytes[at] ^= 0x5A;
        check_bytes(&bytes, &Options::default());
    }
}
