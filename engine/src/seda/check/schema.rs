//! The official schema, applied in process. The schema is chosen by the manifest's namespace among
//! those of the user's folder.

use super::xml::NAMESPACE;
use super::{Findings, codes};
use crate::error::{ConfigFault, Error, IoContext, Result};
use std::collections::VecDeque;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use xsd_schema::SchemaSetBuilder;
use xsd_schema::validation::{
    DriveError, SchemaValidator, ValidationError, ValidationFlags, ValidationSink, ValidationWarning,
    drive_quick_xml,
};

/// Bytes of the beginning of a schema, where its namespace is.
const HEAD_BYTES: u64 = 8 << 10;
/// Folders inside the user's folder.
const DEPTH_MAX: usize = 3;

/// The main schema of a version: the file that declares its namespace and includes the others,
/// `seda-2.2-main.xsd` in the official sets.
///
/// # Errors
/// When the folder cannot be read.
pub fn find(folder: &Path, version: &str) -> Result<Option<PathBuf>> {
    let namespace = format!("targetNamespace=\"{NAMESPACE}{version}\"");
    let mut found = Vec::new();
    search(folder, &namespace, 0, &mut found)?;
    found.sort();
    Ok(found.into_iter().next())
}

fn search(folder: &Path, namespace: &str, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).at(folder)? {
        let path = entry.at(folder)?.path();
        if path.is_dir() {
            if depth < DEPTH_MAX {
                search(&path, namespace, depth + 1, found)?;
            }
        } else if path.file_name().is_some_and(|n| n.to_string_lossy().ends_with("main.xsd")) {
            let mut head = Vec::new();
            std::fs::File::open(&path).at(&path)?.take(HEAD_BYTES).read_to_end(&mut head).at(&path)?;
            if String::from_utf8_lossy(&head).contains(namespace) {
                found.push(path);
            }
        }
    }
    Ok(())
}

/// Elements whose content is known to be wrong that are remembered.
const BROKEN_MAX: usize = 64;

/// One fault of an element is told once: once its content is wrong, what follows in it is not
/// recognised; and a wrong value is told by its facet, then by its type.
struct Sink<'a> {
    findings: &'a mut Findings,
    broken: VecDeque<String>,
    last: String,
}

impl ValidationSink for Sink<'_> {
    fn on_error(&mut self, error: ValidationError) {
        let path = error.instance_path().map(|p| readable(&p.to_string())).unwrap_or_default();
        let inside = |b: &String| {
            path.strip_prefix(b.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.broken.iter().any(inside) || path == self.last {
            return;
        }
        if error.constraint.starts_with("cvc-complex-type.2") {
            if self.broken.len() == BROKEN_MAX {
                self.broken.pop_front();
            }
            self.broken.push_back(path.clone());
        }
        self.last.clone_from(&path);
        self.findings.error(codes::NOT_XSD, path, french(error.constraint));
    }

    fn on_warning(&mut self, _: ValidationWarning) {}
}

/// `/Q{urn}root[1]/Q{urn}child[2]` as `/root/child[2]`.
fn readable(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for (i, step) in path.split("Q{").enumerate() {
        match step.split_once('}') {
            Some((_, name)) if i > 0 => out.push_str(name),
            _ => out.push_str(step),
        }
    }
    match out.strip_prefix("/ArchiveTransfer[1]") {
        Some(rest) => format!("/ArchiveTransfer{rest}"),
        None => out,
    }
}

/// The library's texts are English and may quote values of the manifest: the constraint is told.
fn french(constraint: &str) -> String {
    let what = match constraint {
        c if c.starts_with("cvc-complex-type.2.4") || c == "cvc-complex-type" => {
            "un élément n'est pas à sa place, est de trop ou manque ici"
        }
        c if c.starts_with("cvc-complex-type.3") || c.starts_with("cvc-attribute") => {
            "un attribut est de trop ou faux"
        }
        c if c.starts_with("cvc-complex-type.4") => "un attribut obligatoire manque",
        c if c.starts_with("cvc-complex-type.2") => "du texte ou des éléments sont là où il n'en faut pas",
        c if c.starts_with("cvc-id.1") => "la référence ne mène à aucun élément du manifeste",
        c if c.starts_with("cvc-id.2") => "cet identifiant est déjà porté par un autre élément",
        c if c.starts_with("cvc-enumeration") => "la valeur n'est pas dans la liste du schéma",
        c if c.starts_with("cvc-datatype") || c.starts_with("cvc-pattern") || c.starts_with("cvc-type") => {
            "la valeur n'a pas la forme attendue"
        }
        c if c.starts_with("cvc-min") || c.starts_with("cvc-length") => "la valeur est vide ou trop courte",
        c if c.starts_with("cvc-elt.1") => "l'élément n'est pas déclaré dans le schéma",
        _ => "l'élément n'est pas conforme",
    };
    format!("{what} : corrigez selon le schéma du SEDA ({constraint})")
}

/// Applies a schema to a manifest that is known to be well formed.
///
/// # Errors
/// When the schema cannot be read, or the manifest any more.
pub fn validate(main: &Path, version: &str, input: impl Read, findings: &mut Findings) -> Result<()> {
    let bad = |message: String| {
        Error::config(ConfigFault { file: main.display().to_string(), line: 0, column: 0, message })
    };
    let compiled = SchemaSetBuilder::new()
        .add(&format!("{NAMESPACE}{version}"), &main.to_string_lossy())
        .and_then(SchemaSetBuilder::compile)
        .map_err(|e| bad(format!("le schéma n'est pas lisible : {e}")))?;
    let set = compiled.into_schema_set();
    let validator = SchemaValidator::new(&set, ValidationFlags::default());
    let mut told = Findings::new(findings.max);
    let mut runtime =
        validator.start_run(Sink { findings: &mut told, broken: VecDeque::new(), last: String::new() });
    let outcome = drive_quick_xml(BufReader::with_capacity(64 << 10, input), &mut runtime, &set);
    drop(runtime);
    match outcome {
        Ok(_) => {}
        Err(DriveError::Io(e)) => return Err(Error::io(main, e)),
        Err(_) => told.error(codes::NOT_XML, "", "le manifeste n'est pas un fichier XML bien formé"),
    }
    findings.append(told);
    Ok(())
}
