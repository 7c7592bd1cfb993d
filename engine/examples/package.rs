//! Packages files that exist, or writes a manifest of many units: what `bench/seda.py` measures.
//!
//! `package files FOLDER OUT.zip THREADS` · `package units NUMBER OUT.xml`

use cartulaire_engine::error::{Error, Result};
use cartulaire_engine::seda::model::{
    ArchiveUnit, BinaryObject, Content, Level, ManagementMetadata, Message, ObjectGroup, Unit, Version,
};
use cartulaire_engine::seda::write::write;
use cartulaire_engine::seda::zipper::{Method, Packager, Written};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number =
        |text: &str| text.parse().map_err(|_| Error::Usage(format!("« {text} » n'est pas un nombre")));
    match words.as_slice() {
        ["files", folder, out, threads] => files(Path::new(folder), Path::new(out), number(threads)?),
        ["units", count, out] => units(number(count)?, Path::new(out)),
        _ => Err(Error::Usage(
            "package files DOSSIER SORTIE.zip FILS | package units NOMBRE SORTIE.xml".into(),
        )),
    }
}

fn message() -> Message {
    Message {
        identifier: "MESURE".into(),
        archival_agreement: Some("CT-EXEMPLE".into()),
        archival_agency: "AD-EXEMPLE".into(),
        transferring_agency: "ACADEMIE-EXEMPLE".into(),
        management: ManagementMetadata {
            originating_agency: Some("ACADEMIE-EXEMPLE".into()),
            submission_agency: Some("ACADEMIE-EXEMPLE".into()),
            ..ManagementMetadata::default()
        },
        ..Message::default()
    }
}

fn unit(number: usize, groups: Vec<String>) -> Unit {
    let content = Content {
        level: Some(Level::Item),
        title: format!("Unité {number}"),
        description: vec!["Description d'une unité, longue comme celles que l'on écrit à la main.".into()],
        ..Content::default()
    };
    Unit::Own(Box::new(ArchiveUnit { id: format!("AU-{number}"), content, groups, ..ArchiveUnit::default() }))
}

fn files(folder: &Path, out: &Path, threads: usize) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    let mut packager = Packager::begin(out, threads)?;
    for (n, path) in paths.iter().enumerate() {
        let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
        let size = file.metadata().map_err(|e| Error::io(path, e))?.len();
        packager.add(&format!("content/BDO-{n}.bin"), Method::Stored, Some(size), &mut file)?;
    }
    packager.seal(|written, out| {
        let groups = written.iter().enumerate().map(|(n, w)| Ok(group(n, w)));
        let units = (0..written.len()).map(|n| Ok((0, unit(n, vec![format!("DOG-{n}")]))));
        write(out, Version::V2_2, &message(), groups, units)
    })?;
    Ok(())
}

fn group(number: usize, written: &Written) -> ObjectGroup {
    let object = BinaryObject {
        id: format!("BDO-{number}"),
        usage: "BinaryMaster_1".into(),
        uri: written.uri.clone(),
        sha512: written.sha512.clone(),
        size: written.size,
        filename: format!("{number}.bin"),
        ..BinaryObject::default()
    };
    ObjectGroup { id: format!("DOG-{number}"), objects: vec![object] }
}

fn units(count: usize, out: &Path) -> Result<()> {
    let file = File::create(out).map_err(|e| Error::io(out, e))?;
    let units = (0..count).map(|n| Ok((usize::from(n > 0), unit(n, Vec::new()))));
    write(BufWriter::new(file), Version::V2_2, &message(), [], units)
}
