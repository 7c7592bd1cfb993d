use super::*;
use sha2::{Digest as _, Sha512};
use std::io::Cursor;

fn package(folder: &Path, threads: usize, objects: &[(String, Vec<u8>)]) -> (Vec<u8>, Sealed, Vec<Written>) {
    let path = folder.join(format!("p{threads}.zip"));
    let mut p = Packager::begin(&path, threads).unwrap();
    for (i, (uri, bytes)) in objects.iter().enumerate() {
        let method = if i % 2 == 0 { Method::Stored } else { Method::Deflated };
        p.add(uri, method, Some(bytes.len() as u64), &mut Cursor::new(bytes)).unwrap();
    }
    assert!(!path.exists(), "seen before its end");
    let mut seen = Vec::new();
    let sealed = p
        .seal(|w, out| {
            seen = w.to_vec();
            for o in w {
                writeln!(out, "{}", o.sha512).at("manifest")?;
            }
            Ok(())
        })
        .unwrap();
    (std::fs::read(path).unwrap(), sealed, seen)
}

#[test]
fn one_and_two_threads_give_the_same_bytes_and_right_digests() {
    let folder = tempfile::tempdir().unwrap();
    let objects: Vec<(String, Vec<u8>)> = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 7]
        .into_iter()
        .enumerate()
        .map(|(i, n)| (format!("content/o{i}.csv"), (0..n).map(|b| (b * 31 + i) as u8).collect()))
        .collect();
    let (one, sealed, seen) = package(folder.path(), 1, &objects);
    let (two, ..) = package(folder.path(), 2, &objects);
    assert!(one == two);
    assert_eq!(sealed.sha512, hex(&Sha512::digest(&one)));
    assert_eq!(sealed.size, one.len() as u64);
    let side = std::fs::read_to_string(folder.path().join("p1.zip.sha512")).unwrap();
    assert_eq!(side, format!("{}  p1.zip\n", sealed.sha512));
    let mut zip = zip::ZipArchive::new(Cursor::new(one)).unwrap();
    for ((uri, bytes), w) in objects.iter().zip(&seen) {
        assert_eq!((&w.uri, w.size), (uri, bytes.len() as u64));
        assert_eq!(w.sha512, hex(&Sha512::digest(bytes)));
        let mut read = Vec::new();
        zip.by_name(uri).unwrap().read_to_end(&mut read).unwrap();
        assert!(&read == bytes);
    }
    assert_eq!(zip.by_index(zip.len() - 1).unwrap().name().unwrap(), "manifest.xml");
}

#[test]
fn a_refused_manifest_leaves_no_package() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.zip");
    let p = Packager::begin(&path, 2).unwrap();
    assert!(p.seal(|_, _| Err(Error::Write("non".into()))).is_err());
    assert!(!path.exists() && !beside(&path, ".sha512").exists());
}

/// Readers that are not ours take the package, where they are installed.
fn others_accept(path: &Path) {
    for (program, before) in [("unzip", &["-tq"][..]), ("python3", &["-m", "zipfile", "-t"][..])] {
        match std::process::Command::new(program).args(before).arg(path).output() {
            Ok(said) => {
                assert!(said.status.success(), "{program}: {}", String::from_utf8_lossy(&said.stdout))
            }
            Err(_) => println!("skipped: {program} is not here"),
        }
    }
}

#[test]
fn seventy_thousand_objects_are_all_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.zip");
    let mut p = Packager::begin(&path, 2).unwrap();
    for i in 0..70_000 {
        p.add(&format!("content/{i}.txt"), Method::Stored, Some(1), &mut &b"x"[..]).unwrap();
    }
    p.seal(|w, out| writeln!(out, "{}", w.len()).at("manifest")).unwrap();
    assert_eq!(zip::ZipArchive::new(File::open(&path).unwrap()).unwrap().len(), 70_001);
    others_accept(&path);
}

/// In the folder that `CARTULAIRE_SEDA_BIG` names: 12 GB are more than a test should write unasked.
#[test]
fn an_object_of_twelve_gigabytes_is_read_by_other_tools() {
    #[allow(clippy::disallowed_methods)]
    let Ok(folder) = std::env::var("CARTULAIRE_SEDA_BIG") else {
        return println!("skipped: CARTULAIRE_SEDA_BIG names no folder");
    };
    let path = Path::new(&folder).join("gros.zip");
    let mut p = Packager::begin(&path, 2).unwrap();
    p.add("content/a.csv", Method::Stored, None, &mut std::io::repeat(0).take(12 << 30)).unwrap();
    p.add("content/b.csv", Method::Stored, Some(1), &mut &b"x"[..]).unwrap();
    p.seal(|w, out| writeln!(out, "{}", w[0].sha512).at("manifest")).unwrap();
    others_accept(&path);
    std::fs::remove_file(path).unwrap();
}
