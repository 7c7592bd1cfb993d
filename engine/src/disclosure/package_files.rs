//! The files of a package: that they go together, and that no other holds data.

use crate::error::{Error, IoContext as _, Result};
use crate::store::files;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Digests of a package.
const SUMS: &str = "SHA256SUMS";
/// What a package is made of; the first two are what is proven.
const OWN: [&str; 10] = [
    "data.csv",
    "data.parquet",
    "datapackage.json",
    "dcat.jsonld",
    "ods.json",
    "datagouv.json",
    "README.md",
    "METHODOLOGIE-anonymisation.md",
    "apercu.html",
    SUMS,
];
/// What people read, and programs do not take for data.
const PAGES: [&str; 9] = ["md", "html", "htm", "pdf", "png", "jpg", "jpeg", "svg", "css"];
/// The same, by name.
const LEGAL: [&str; 3] = ["LICENSE", "LICENCE", "NOTICE"];
/// Bytes of the digests at most.
const LARGEST: u64 = 1 << 20;

/// Checks every file that `SHA256SUMS` names; whether it is there.
///
/// # Errors
/// [`Error::Refused`] `PACKAGE_CHANGED` when it cannot be read as digests, or a file is no longer the one it names.
pub fn whole(folder: &Path) -> Result<bool> {
    let path = folder.join(SUMS);
    let refuse = |message: String| Err(Error::Refused { code: "PACKAGE_CHANGED", message });
    match std::fs::symlink_metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(false),
        _ => {}
    }
    // A pipe has no end, and is not opened.
    let plain = std::fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= LARGEST);
    let Some(text) = plain.then(|| bounded(&path)).flatten() else {
        return refuse(format!("{SUMS} n'est pas un fichier lisible, en UTF-8, d'au plus 1 Mio"));
    };
    for line in text.lines() {
        let Some((digest, name)) = line.split_once("  ").filter(|(_, n)| !n.contains(['/', '\\'])) else {
            return refuse(format!("{SUMS} : une ligne n'est pas une empreinte et un nom"));
        };
        let file = folder.join(name);
        // What is no plain file is not read: a pipe has no end.
        if !file.is_file() || files::digest(&file)?.to_string() != digest {
            return refuse(format!("« {name} » n'est plus celui dont {SUMS} donne l'empreinte"));
        }
    }
    Ok(true)
}

/// Its text, unless it grew since it was measured.
fn bounded(path: &Path) -> Option<String> {
    let mut text = String::new();
    let read = std::fs::File::open(path).ok()?.take(LARGEST + 1).read_to_string(&mut text).ok()?;
    (read as u64 <= LARGEST).then_some(text)
}

/// Checks that nothing in the folder, nor among the `resources` of its descriptor, is data that nobody proved. A
/// `certificate` that is kept there is none.
///
/// # Errors
/// [`Error::Refused`] `DATA_UNPROVEN`.
pub fn alone(folder: &Path, resources: &[String], certificate: Option<&Path>) -> Result<()> {
    let mut found: Vec<String> = resources.iter().filter(|r| !known(r)).cloned().collect();
    let certificate = certificate.and_then(|c| c.canonicalize().ok());
    for entry in std::fs::read_dir(folder).at(folder)? {
        let entry = entry.at(folder)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let proof = certificate.is_some() && entry.path().canonicalize().ok() == certificate;
        // What is no plain file is not looked at: it may hold anything.
        let ours = proof || (known(&name) && entry.path().is_file());
        if !ours {
            found.push(name);
        }
    }
    found.sort();
    match found.first() {
        None => Ok(()),
        Some(first) => Err(Error::Refused {
            code: "DATA_UNPROVEN",
            message: format!(
                "« {first} » n'est pas un fichier du paquet : ce qu'il contient n'est prouvé par rien, et partirait avec lui"
            ),
        }),
    }
}

/// Whether a name is of the package, or of a page.
fn known(name: &str) -> bool {
    let extension = Path::new(name).extension().map(|e| e.to_string_lossy().to_lowercase());
    OWN.contains(&name) || LEGAL.contains(&name) || extension.is_some_and(|e| PAGES.contains(&e.as_str()))
}
