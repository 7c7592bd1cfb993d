//! Archives of every kind, whole and broken.

use super::*;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

fn limits() -> ArchiveLimits {
    ArchiveLimits::default()
}

type Members = Vec<(String, Vec<u8>)>;

/// Reads everything; a visit passes a reader's error on, as a parser does.
fn read_with(bytes: &[u8], name: &str, limits: &ArchiveLimits) -> (Outcome, Members) {
    let mut members = Vec::new();
    let mut visit = |name: &str, mut input: Box<dyn Read + Send + '_>| {
        let mut content = Vec::new();
        input.read_to_end(&mut content).at(name)?;
        members.push((name.to_owned(), content));
        Ok(())
    };
    let outcome = visit_members(&mut Cursor::new(bytes), name, limits, &mut visit).unwrap();
    (outcome, members)
}

fn read(bytes: &[u8], name: &str) -> (Outcome, Members) {
    read_with(bytes, name, &limits())
}

fn sound(bytes: &[u8], name: &str) -> Members {
    let (outcome, members) = read(bytes, name);
    assert_eq!(outcome.refusals, []);
    assert_eq!(outcome.bytes, bytes.len() as u64);
    members
}

/// The whole list of faults, and that no member was given.
fn refused(bytes: &[u8]) -> Vec<(Code, String)> {
    let (outcome, members) = read(bytes, "lot");
    assert!(members.is_empty(), "{:?}", members.len());
    assert_eq!(outcome.visited, 0);
    outcome.refusals.into_iter().map(|f| (f.code, f.message)).collect()
}

fn broken(bytes: &[u8]) {
    let (outcome, _) = read(bytes, "lot.gz");
    assert!(!outcome.refusals.is_empty());
    assert!(outcome.refusals.iter().all(|f| f.code == Code::ArchiveBroken), "{:?}", outcome.refusals);
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn tar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = tar::Builder::new(Vec::new());
    for (name, content) in members {
        tar_add(&mut out, name, content, tar::EntryType::Regular);
    }
    out.into_inner().unwrap()
}

/// Writes the name as it is: the crate refuses the ones that are tested.
fn tar_add(out: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8], kind: tar::EntryType) {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(kind);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name_literal("/etc/passwd").unwrap();
    }
    header.set_cksum();
    out.append(&header, content).unwrap();
}

fn zip_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in members {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        out.start_file(*name, options).unwrap();
        out.write_all(content).unwrap();
    }
    out.finish().unwrap().into_inner()
}

fn positions(bytes: &[u8], mark: &[u8]) -> Vec<usize> {
    bytes.windows(mark.len()).enumerate().filter(|(_, w)| *w == mark).map(|(i, _)| i).collect()
}

/// Replaces a text everywhere by one of the same length.
fn patched(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    for at in positions(bytes, from.as_bytes()) {
        out[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    out
}

/// Patches a field of the local (`local`) and of the central (`central`) header of member 0.
fn patch_field(bytes: &mut [u8], local: Option<usize>, central: Option<usize>, field: &[u8]) {
    for (mark, at) in [(b"PK\x03\x04", local), (b"PK\x01\x02", central)] {
        if let Some(at) = at {
            let at = positions(bytes, mark)[0] + at;
            bytes[at..at + field.len()].copy_from_slice(field);
        }
    }
}

fn texts(members: &Members) -> Vec<(&str, &str)> {
    members.iter().map(|(n, c)| (n.as_str(), std::str::from_utf8(c).unwrap())).collect()
}

#[test]
fn plain_files_are_never_archives() {
    let mut ustar = b"a".repeat(257);
    ustar.extend(b"ustar;une;colonne;qui;tombe;mal\n");
    for plain in [
        b"".as_slice(),
        b"<?xml version=\"1.0\"?><a/>",
        b"\xEF\xBB\xBFa;b\n",
        b"PAR1\x15\x04",
        b"PK;NOM\n1;2\n",
        b"BZh;9;1\n",
        b"7z;Rar!;x\n",
        b"\x1F",
        b"\x1F\x8B",
        &[0; 2000],
        &ustar,
    ] {
        assert_eq!(kind(plain), Kind::Plain, "{plain:?}");
        assert_eq!(sound(plain, "x.gz"), [("x.gz".to_owned(), plain.to_vec())]);
    }
}

#[test]
fn each_kind_is_told_by_its_bytes() {
    let tar = tar_of(&[("a.csv", b"1\n")]);
    assert_eq!(kind(&tar), Kind::Tar);
    assert_eq!(kind(&gz(&tar)), Kind::TarGz);
    assert_eq!(kind(&gz(b"a;b\n")), Kind::Gzip);
    assert_eq!(kind(&zip_of(&[("a", b"1")])), Kind::Zip);
    assert_eq!(kind(&zip_of(&[])), Kind::Zip);
    assert_eq!(kind(b"\xFD7zXZ\0\0"), Kind::Foreign("xz"));
    assert_eq!(kind(b"BZh91AY&SY"), Kind::Foreign("bzip2"));
    let mut gnu = tar::Header::new_gnu();
    gnu.set_cksum();
    assert_eq!(kind(gnu.as_bytes()), Kind::Tar);
    let told = [(Code::ArchiveBroken, "archive 7z : seuls gz, tar.gz et zip sont lus".to_owned())];
    assert_eq!(refused(b"7z\xBC\xAF\x27\x1C\0\0"), told);
}

#[test]
fn members_of_each_kind_are_visited_in_order() {
    let members: &[(&str, &[u8])] = &[("d/a.csv", b"1\n"), ("./b.csv", b""), ("c.csv", b"3\n")];
    let expected = [("a.csv", "1\n"), ("b.csv", ""), ("c.csv", "3\n")];
    for bytes in [tar_of(members), gz(&tar_of(members)), zip_of(members)] {
        assert_eq!(texts(&sound(&bytes, "lot")), expected);
    }
}

#[test]
fn digest_and_size_are_those_of_the_delivered_file() {
    let tar = tar_of(&[("a.csv", b"1\n")]);
    for bytes in [gz(b"a\n"), tar.clone(), gz(&tar), zip_of(&[("a", b"1")]), b"a\n".to_vec()] {
        let mut digest = DigestReader::new(bytes.as_slice());
        drain(&mut digest).unwrap();
        let (outcome, _) = read(&bytes, "lot");
        assert_eq!((outcome.sha256, outcome.bytes), digest.finish());
    }
}

#[test]
fn a_file_on_disk_is_read_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("eleves.csv.gz");
    File::create(&path).unwrap().write_all(&gz(b"a;b\n")).unwrap();
    let mut names = Vec::new();
    let outcome = each_member(&path, &limits(), &mut |name, _| {
        names.push(name.to_owned());
        Ok(())
    });
    let outcome = outcome.unwrap();
    assert_eq!((outcome.kind, outcome.visited, names), (Kind::Gzip, 1, vec!["eleves.csv".to_owned()]));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let missing = each_member(&dir.path().join("absent"), &limits(), &mut |_, _| Ok(()));
    assert!(matches!(missing, Err(Error::Io { .. })));
}

#[test]
fn gzip_names_its_member() {
    for (file, header, expected) in [
        ("x.csv.gz", None, "x.csv"),
        ("x.csv.GZ", Some("y.csv"), "x.csv"),
        ("lot", Some("dossier/y.csv"), "y.csv"),
        ("lot", Some("../../etc/passwd"), "passwd"),
        ("lot", Some(".."), "lot"),
        ("lot", Some("a\nb"), "lot"),
        ("lot.bin", None, "lot.bin"),
        (".gz", None, ".gz"),
    ] {
        assert_eq!(gzip_name(file, header.map(str::as_bytes)), expected);
    }
    let mut out = flate2::GzBuilder::new().filename("y.csv").write(Vec::new(), Compression::fast());
    out.write_all(b"1\n").unwrap();
    assert_eq!(texts(&sound(&out.finish().unwrap(), "lot")), [("y.csv", "1\n")]);
}

#[test]
fn concatenated_gzip_is_read_whole() {
    let bytes = [gz(b"1\n"), gz(b""), gz(b"2\n")].concat();
    assert_eq!(texts(&sound(&bytes, "a.csv.gz")), [("a.csv", "1\n2\n")]);
}

#[test]
fn damaged_gzip_is_broken() {
    let noise: Vec<u8> = noise(7).take(5000).collect();
    let whole = gz(&noise);
    for cut in [3, 10, 11, 600, whole.len() - 9, whole.len() - 4, whole.len() - 1] {
        broken(&whole[..cut]);
    }
    let mut crc = whole.clone();
    let at = crc.len() - 6;
    crc[at] ^= 1;
    broken(&crc);
    broken(&[whole.clone(), b"reste".to_vec()].concat());
    let (outcome, _) = read(&whole[..600], "e.csv.gz");
    let told: Vec<_> = outcome.refusals.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(told, ["« e.csv » : le fichier est coupé avant sa fin"]);
}

#[test]
fn damaged_tar_is_broken_before_any_visit() {
    let content: Vec<u8> = noise(3).take(3000).collect();
    let whole = tar_of(&[("a.csv", b"1\n"), ("b.csv", &content)]);
    for cut in [700, 1030, 1600, 3000, whole.len() - 1024] {
        for bytes in [whole[..cut].to_vec(), gz(&whole[..cut])] {
            assert_eq!(refused(&bytes)[0].0, Code::ArchiveBroken, "{cut}");
        }
    }
    let mut header = whole.clone();
    header[1024 + 3] ^= 1;
    assert_eq!(refused(&header)[0].1, "l'archive tar est abîmée : un en-tête est faux");
    let after = [whole.clone(), b"x".to_vec()].concat();
    assert_eq!(refused(&after)[0].1, "l'archive tar a des octets après sa fin");
    let mut crc = gz(&whole);
    let at = crc.len() - 6;
    crc[at] ^= 1;
    assert_eq!(refused(&crc)[0].0, Code::ArchiveBroken);
    sound(&[whole, vec![0; 10_000]].concat(), "lot");
}

#[test]
fn damaged_zip_is_broken() {
    let content: Vec<u8> = noise(5).take(3000).collect();
    let whole = zip_of(&[("a.csv", b"1\n"), ("b.csv", &content)]);
    for cut in [4, 30, 100, 2000, whole.len() - 30, whole.len() - 1] {
        assert_eq!(refused(&whole[..cut])[0].0, Code::ArchiveBroken, "{cut}");
    }
    assert_eq!(refused(&[whole.clone(), b"x".to_vec()].concat())[0].1, "le zip a des octets après sa fin");
    // The content of the second member only: the first is still read.
    let mut bytes = whole;
    let at = positions(&bytes, b"PK\x03\x04")[1] + 1000;
    bytes[at] ^= 0x55;
    let (outcome, members) = read(&bytes, "lot");
    assert_eq!(texts(&members), [("a.csv", "1\n")]);
    assert_eq!(outcome.refusals.len(), 1);
    assert_eq!(outcome.refusals[0].code, Code::ArchiveBroken);
    assert!(outcome.refusals[0].message.starts_with("« b.csv » : "));
}

#[test]
fn every_broken_member_of_a_zip_is_told() {
    let mut bytes = zip_of(&[("a.csv", b"1\n"), ("b.csv", b"2\n"), ("c.csv", b"3\n")]);
    for i in [0, 2] {
        for (mark, at) in [(b"PK\x03\x04", 14), (b"PK\x01\x02", 16)] {
            let at = positions(&bytes, mark)[i] + at;
            bytes[at] ^= 1;
        }
    }
    let (outcome, members) = read(&bytes, "lot");
    assert_eq!(texts(&members), [("b.csv", "2\n")]);
    let told: Vec<_> = outcome.refusals.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(told, ["« a.csv » : somme de contrôle fausse", "« c.csv » : somme de contrôle fausse"]);
}

#[test]
fn zip_sizes_that_lie_are_broken() {
    let whole = zip_of(&[("a.csv", &b"1;2;3\n".repeat(200))]);
    let told = "le répertoire du zip est coupé, abîmé ou contredit les membres";
    let lie = |local: Option<usize>, central: Option<usize>, value: u32| {
        let mut bytes = whole.clone();
        patch_field(&mut bytes, local, central, &value.to_le_bytes());
        read(&bytes, "lot").0.refusals
    };
    // Local against central: unpacked size, packed size, checksum.
    for (local, central) in [(22, 24), (18, 20), (14, 16)] {
        assert_eq!(lie(Some(local), None, 7)[0].message, told);
        assert_eq!(lie(None, Some(central), 7)[0].message, told);
    }
    // Both say the same, which is not the truth.
    let real = "« a.csv » : le zip annonce une autre taille que la vraie";
    for size in [0, 1, 1199, 1201, 2000] {
        assert_eq!(lie(Some(22), Some(24), size)[0].message, real);
    }
    for packed in [1, 5] {
        assert_eq!(lie(Some(18), Some(20), packed)[0].code, Code::ArchiveBroken);
    }
    assert_eq!(lie(Some(18), Some(20), 60_000)[0].message, told);
}

#[test]
fn zip_members_that_share_bytes_are_broken() {
    // Both entries of the directory point to the first member.
    let mut bytes = zip_of(&[("a.csv", b"1\n"), ("b.csv", b"1\n")]);
    let at = positions(&bytes, b"PK\x01\x02")[1] + 42;
    bytes[at..at + 4].copy_from_slice(&[0; 4]);
    assert_eq!(refused(&bytes)[0].0, Code::ArchiveBroken);
}

#[test]
fn unsafe_paths_refuse_the_archive_before_any_visit() {
    for (path, why) in [
        ("/tmp/x.csv", "chemin absolu"),
        ("\\tmp\\x.csv", "chemin absolu"),
        ("C:/tmp/x.csv", "chemin avec une lettre de lecteur"),
        ("../../x.csv", "chemin qui remonte d'un dossier (« .. »)"),
        ("d/../../x.csv", "chemin qui remonte d'un dossier (« .. »)"),
        ("d\\..\\x.csv", "chemin qui remonte d'un dossier (« .. »)"),
    ] {
        let expected = [(Code::ArchiveUnsafe, format!("« x.csv » : {why}"))];
        let tar = tar_of(&[("a.csv", b"1\n"), (path, b"2\n")]);
        let neutral = "_".repeat(path.len());
        let zip = patched(&zip_of(&[("a.csv", b"1\n"), (&neutral, b"2\n")]), &neutral, path);
        for bytes in [tar.clone(), gz(&tar), zip] {
            assert_eq!(refused(&bytes), expected, "{path}");
        }
    }
}

#[test]
fn links_and_devices_refuse_the_archive_before_any_visit() {
    use tar::EntryType as T;
    for (kind, why) in [
        (T::Symlink, "lien symbolique"),
        (T::Link, "lien physique"),
        (T::Char, "périphérique ou tube"),
        (T::Block, "périphérique ou tube"),
        (T::Fifo, "périphérique ou tube"),
        (T::GNUSparse, "fichier creux"),
        (T::new(b'Z'), "ni fichier ni dossier"),
    ] {
        let mut out = tar::Builder::new(Vec::new());
        tar_add(&mut out, "a.csv", b"1\n", T::Regular);
        tar_add(&mut out, "x.csv", b"", kind);
        let bytes = out.into_inner().unwrap();
        let expected = [(Code::ArchiveUnsafe, format!("« x.csv » : {why}"))];
        assert_eq!(refused(&bytes), expected);
        assert_eq!(refused(&gz(&bytes)), expected);
    }
    let mut out = zip::ZipWriter::new(Cursor::new(Vec::new()));
    out.start_file("a.csv", SimpleFileOptions::default()).unwrap();
    out.add_symlink("x.csv", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let bytes = out.finish().unwrap().into_inner();
    assert_eq!(refused(&bytes), [(Code::ArchiveUnsafe, "« x.csv » : lien symbolique".to_owned())]);
}

#[test]
fn encrypted_zip_is_refused() {
    let mut bytes = zip_of(&[("a.csv", b"1\n"), ("x.csv", b"2\n")]);
    for (mark, at) in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)] {
        let at = positions(&bytes, mark)[1] + at;
        bytes[at] |= 1;
    }
    assert_eq!(refused(&bytes), [(Code::ArchiveUnsafe, "« x.csv » : membre chiffré".to_owned())]);
}

#[test]
fn unknown_compression_is_told() {
    let mut bytes = zip_of(&[("x.csv", b"2\n")]);
    patch_field(&mut bytes, Some(8), Some(10), &[12, 0]);
    let told = "« x.csv » : compression inconnue, seule la compression deflate est lue";
    assert_eq!(refused(&bytes), [(Code::ArchiveBroken, told.to_owned())]);
}

#[test]
fn duplicate_names_are_refused() {
    let told = [(Code::ArchiveUnsafe, "« X.csv » : deux membres portent ce nom".to_owned())];
    let members: &[(&str, &[u8])] = &[("d/x.csv", b"1\n"), ("e/X.csv", b"2\n")];
    assert_eq!(refused(&tar_of(members)), told);
    assert_eq!(refused(&zip_of(members)), told);
    let same = patched(&zip_of(&[("x.csv", b"1"), ("y.csv", b"2")]), "y.csv", "x.csv");
    assert_eq!(refused(&same), [(Code::ArchiveUnsafe, "deux membres portent le même nom".to_owned())]);
}

#[test]
fn litter_is_ignored_and_named() {
    let members: &[(&str, &[u8])] = &[
        ("__MACOSX/._a.csv", b"x"),
        ("d/.DS_Store", b"x"),
        ("e/.DS_Store", b"x"),
        ("thumbs.db", b"x"),
        ("ficAlimMENESR.DTD", b"x"),
        ("a.csv.md5", b"x"),
        ("a.csv.sha256", b"x"),
        ("a.csv", b"1\n"),
    ];
    let mut tar = tar::Builder::new(Vec::new());
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    tar_add(&mut tar, "./", b"", tar::EntryType::Directory);
    tar_add(&mut tar, "d/", b"", tar::EntryType::Directory);
    zip.add_directory("d", SimpleFileOptions::default()).unwrap();
    for (name, content) in members {
        tar_add(&mut tar, name, content, tar::EntryType::Regular);
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    let litter = [
        "« d »",
        "« ._a.csv »",
        "« .DS_Store »",
        "« .DS_Store »",
        "« thumbs.db »",
        "« ficAlimMENESR.DTD »",
        "« a.csv.md5 »",
        "« a.csv.sha256 »",
    ];
    let (tar, zip) = (tar.into_inner().unwrap(), zip.finish().unwrap().into_inner());
    for bytes in [gz(&tar), tar, zip] {
        let (outcome, members) = read(&bytes, "lot");
        assert_eq!(texts(&members), [("a.csv", "1\n")]);
        let ignored: Vec<_> = outcome.ignored.iter().filter(|n| *n != "« . »").collect();
        assert_eq!(ignored, litter);
        assert_eq!(outcome.refusals, []);
    }
}

#[test]
fn nested_archives_are_told_and_not_opened() {
    let inner = zip_of(&[("a.csv", b"1\n")]);
    let told = |name: &str| {
        [(Code::ArchiveBroken, format!("« {name} » : archive dans l'archive, elle n'est pas ouverte"))]
    };
    for nested in [inner.clone(), gz(b"1\n"), tar_of(&[("a", b"1")]), b"\xFD7zXZ\0".to_vec()] {
        assert_eq!(refused(&tar_of(&[("x", &nested), ("b.csv", b"1")])), told("x"));
        assert_eq!(refused(&zip_of(&[("x", &nested)])), told("x"));
    }
    assert_eq!(refused(&gz(&inner)), told("lot"));
    assert_eq!(refused(&gz(&gz(b"1\n"))), told("lot"));
}

#[test]
fn bombs_of_zeros_are_stopped() {
    let zeros = vec![0; 40 << 20];
    let bomb =
        (Code::ArchiveLimit, "le contenu décompressé dépasse 200 fois la taille du fichier".to_owned());
    assert_eq!(refused(&zip_of(&[("x.csv", &zeros)])), [bomb.clone(), bomb.clone()]);
    assert_eq!(refused(&gz(&tar_of(&[("x.csv", &zeros)]))), std::slice::from_ref(&bomb));
    // The zeros after the end of a tar, and those of a gzip, count too.
    assert_eq!(
        refused(&gz(&[tar_of(&[("x.csv", b"1")]), zeros.clone()].concat())),
        std::slice::from_ref(&bomb)
    );
    let mut out = 0;
    let mut visit = |_: &str, mut input: Box<dyn Read + Send + '_>| {
        let mut buf = vec![0; 1 << 16];
        loop {
            match input.read(&mut buf) {
                Ok(n) => out += n,
                // As the caller tells a bomb from a failing disk; the visit may even swallow it.
                Err(e) => {
                    assert_eq!(fault(&e).unwrap().code, Code::ArchiveLimit);
                    return Ok(());
                }
            }
        }
    };
    let outcome = visit_members(&mut Cursor::new(gz(&zeros)), "x", &limits(), &mut visit).unwrap();
    assert_eq!(outcome.refusals, [Fault { code: bomb.0, message: bomb.1 }]);
    assert!(out <= 16 << 20);
}

#[test]
fn limits_are_kept() {
    let members: &[(&str, &[u8])] = &[("a.csv", b"12345"), ("b.csv", b"67890")];
    let tar = tar_of(members);
    let told = |limits: &ArchiveLimits, bytes: &[u8]| {
        let (outcome, members) = read_with(bytes, "lot", limits);
        assert!(members.is_empty());
        assert!(outcome.refusals.iter().all(|f| f.code == Code::ArchiveLimit));
        outcome.refusals.into_iter().map(|f| f.message).collect::<Vec<_>>()
    };
    for bytes in [&tar, &gz(&tar), &zip_of(members)] {
        let few = ArchiveLimits { members_max: 1, ..limits() };
        assert_eq!(told(&few, bytes), ["plus de 1 membres"]);
        let short = ArchiveLimits { name_bytes_max: 4, ..limits() };
        assert_eq!(told(&short, bytes), ["« a.csv » : nom trop long", "« b.csv » : nom trop long"]);
        let small = ArchiveLimits { member_bytes_max: 4, ..limits() };
        assert!(told(&small, bytes)[0].starts_with("« a.csv » : le contenu décompressé dépasse"));
        let little = ArchiveLimits { total_bytes_max: 9, ..limits() };
        assert_eq!(told(&little, bytes), ["le contenu décompressé dépasse 0 Mio"]);
    }
}

#[test]
fn tar_extensions_are_bounded_and_understood() {
    let long = format!("dossier/{}.csv", "n".repeat(200));
    let mut out = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    out.append_data(&mut header, &long, b"1\n".as_slice()).unwrap();
    let pax = [("path", "d/é.csv".as_bytes()), ("size", b"3"), ("mtime", b"1.5")];
    out.append_pax_extensions(pax).unwrap();
    // The size of the header is not the one that counts.
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_cksum();
    out.append(&header, b"".as_slice()).unwrap();
    let mut bytes = out.into_inner().unwrap();
    let end = bytes.len() - 1024;
    let mut content = b"xyz".to_vec();
    content.resize(512, 0);
    bytes.splice(end..end, content);
    let expected = [(format!("{}.csv", "n".repeat(200)), b"1\n".to_vec()), ("é.csv".into(), b"xyz".to_vec())];
    assert_eq!(sound(&bytes, "lot"), expected);
    // A name too long to be shown is not.
    let (outcome, _) = read_with(&bytes, "lot", &ArchiveLimits { name_bytes_max: 100, ..limits() });
    assert_eq!(outcome.refusals[0].message, "membre n° 1 : nom trop long");

    for (key, value) in [("path", "../x"), ("path", "/x"), ("path", "a\0b")] {
        let mut out = tar::Builder::new(Vec::new());
        out.append_pax_extensions([(key, value.as_bytes())]).unwrap();
        tar_add(&mut out, "a.csv", b"1", tar::EntryType::Regular);
        assert_eq!(refused(&out.into_inner().unwrap())[0].0, Code::ArchiveUnsafe);
    }
    for (kind, size, code) in [
        (b'L', 2 << 20, Code::ArchiveLimit),
        (b'x', 2 << 20, Code::ArchiveLimit),
        (b'x', 5, Code::ArchiveBroken),
    ] {
        let mut out = tar::Builder::new(Vec::new());
        tar_add(&mut out, "a.csv", b"1", tar::EntryType::Regular);
        tar_add(&mut out, "e", &vec![b'n'; size], tar::EntryType::new(kind));
        assert_eq!(refused(&out.into_inner().unwrap())[0].0, code);
    }
}

#[test]
fn a_member_left_unread_does_not_break_the_next() {
    let big: Vec<u8> = noise(9).take(300_000).collect();
    let members: &[(&str, &[u8])] = &[("a", &big), ("b", &big), ("c", b"3")];
    let tar = tar_of(members);
    for bytes in [gz(&tar), tar, zip_of(members)] {
        let mut seen = Vec::new();
        let mut visit = |name: &str, mut input: Box<dyn Read + Send + '_>| {
            if name == "b" {
                input.read_exact(&mut [0; 700]).at(name)?;
            }
            seen.push(name.to_owned());
            Ok(())
        };
        let outcome = visit_members(&mut Cursor::new(bytes), "lot", &limits(), &mut visit).unwrap();
        assert_eq!((outcome.refusals, seen.concat()), (vec![], "abc".to_owned()));
    }
}

#[test]
fn an_error_of_the_visit_stops_the_walk() {
    let bytes = zip_of(&[("a", b"1"), ("b", b"2")]);
    let mut visit = |_: &str, _: Box<dyn Read + Send + '_>| Err(Error::Usage("non".into()));
    let stopped = visit_members(&mut Cursor::new(bytes), "lot", &limits(), &mut visit);
    assert!(matches!(stopped, Err(Failure::Visit(Error::Usage(_)))));
}

/// A disk that fails is not the archive's fault.
#[test]
fn an_error_of_the_system_is_not_a_fault() {
    struct Failing(Cursor<Vec<u8>>, u64);
    impl Read for Failing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            match self.0.position() >= self.1 {
                true => Err(io::Error::from_raw_os_error(5)),
                false => {
                    let n = buf.len().min(1000);
                    self.0.read(&mut buf[..n])
                }
            }
        }
    }
    impl Seek for Failing {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }
    let noise: Vec<u8> = noise(1).take(100_000).collect();
    for bytes in [gz(&noise), gz(&tar_of(&[("a", &noise)])), zip_of(&[("a", &noise)])] {
        let mut file = Failing(Cursor::new(bytes), 50_000);
        let read = visit_members(&mut file, "lot", &limits(), &mut |_, _| Ok(()));
        assert!(matches!(read, Err(Failure::System(_))));
    }
}

/// A file that grows or shrinks once its first pass is done.
#[test]
fn a_file_that_changes_is_broken() {
    struct Changing(Cursor<Vec<u8>>, Vec<u8>, u32);
    impl Read for Changing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.0.read(buf)
        }
    }
    impl Seek for Changing {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.2 += u32::from(to == SeekFrom::Start(0));
            if self.2 == 3 {
                self.0 = Cursor::new(self.1.clone());
            }
            self.0.seek(to)
        }
    }
    let first = tar_of(&[("a.csv", b"1\n"), ("b.csv", b"2\n")]);
    for second in [
        tar_of(&[("a.csv", b"1\n"), ("b.csv", b"3\n")]),
        tar_of(&[("a.csv", b"1\n")]),
        [first.clone(), vec![0; 512]].concat(),
    ] {
        let mut file = Changing(Cursor::new(first.clone()), second, 0);
        let outcome = visit_members(&mut file, "lot", &limits(), &mut |_, _| Ok(())).unwrap();
        assert!(outcome.refusals.contains(&changed(outcome.kind)), "{:?}", outcome.refusals);
    }
}

#[test]
fn faults_are_told_up_to_a_bound() {
    let names: Vec<String> = (0..50).map(|i| format!("../x{i}")).collect();
    let members: Vec<(&str, &[u8])> = names.iter().map(|n| (n.as_str(), b"1".as_slice())).collect();
    let told = refused(&tar_of(&members));
    assert_eq!(told.len(), FAULTS_MAX);
    assert!(told[FAULTS_MAX - 1].1.ends_with(" (et 30 autres constats)"));
}

#[test]
fn names_that_cannot_be_shown_are_not() {
    assert_eq!(shown("d/é.csv", 3), "« é.csv »");
    for name in ["", "a\u{7}", "a\u{202E}vsc.exe", &"n".repeat(81)] {
        assert_eq!(shown(name, 3), "membre n° 3");
    }
}

/// A small generator (xorshift): tests need no more.
fn noise(seed: u64) -> impl Iterator<Item = u8> {
    let mut x = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        (x >> 32) as u8
    })
}

#[test]
fn random_and_mutated_bytes_never_panic() {
    let members: &[(&str, &[u8])] = &[("d/a.csv", b"1;2\n3;4\n"), ("b.csv", b"5;6\n")];
    let tar = tar_of(members);
    let marks: [&[u8]; 5] = [b"\x1F\x8B\x08", b"PK\x03\x04", b"PK\x05\x06", b"ustar", b""];
    let seeds = [gz(&tar), gz(b"1;2\n"), zip_of(members), tar];
    let limits = ArchiveLimits { total_bytes_max: 1 << 20, ..limits() };
    let mut random = noise(42);
    let mut number = |below: usize| {
        let n = (0..4).fold(0_usize, |n, _| n << 8 | usize::from(random.next().unwrap()));
        n % below.max(1)
    };
    let (mut refused, mut longest) = (0, std::time::Duration::ZERO);
    for round in 0..100_000 {
        let mut bytes;
        if round % 4 == 0 {
            bytes = marks[number(marks.len())].to_vec();
            bytes.extend((0..number(300)).map(|_| number(256) as u8));
        } else {
            bytes = seeds[number(seeds.len())].clone();
            for _ in 0..=number(4) {
                let at = number(bytes.len());
                match number(5) {
                    0 => bytes.truncate(at + 1),
                    1 => bytes[at] = [0, 0xFF, 0x7F, 0x80, 1][number(5)],
                    2 => bytes.insert(at, number(256) as u8),
                    3 => drop(bytes.remove(at)),
                    _ => bytes[at] ^= 1 << number(8),
                }
                if bytes.is_empty() {
                    break;
                }
            }
        }
        let start = std::time::Instant::now();
        let (outcome, members) = read_with(&bytes, "lot.gz", &limits);
        longest = longest.max(start.elapsed());
        refused += usize::from(!outcome.refusals.is_empty());
        assert!(members.iter().map(|(_, c)| c.len()).sum::<usize>() < 2 << 20);
    }
    assert!(refused > 30_000, "{refused}");
    assert!(longest.as_secs() < 5, "{longest:?}");
}
