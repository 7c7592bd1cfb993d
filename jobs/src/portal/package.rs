//! What may leave: the files that `SHA256SUMS` lists, as it lists them, and nothing else.

use super::Fault;
use bytes::Bytes;
use cartulaire_engine::domain::hex;
use cartulaire_engine::error::Result;
use futures_util::stream::{Stream, try_unfold};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use tokio::io::AsyncReadExt as _;

/// Most bytes of `SHA256SUMS` and of a description.
const TEXT: u64 = 4 << 20;

/// A published folder whose list of digests was read.
#[derive(Debug, Clone)]
pub struct Package {
    folder: PathBuf,
    /// Lower-case hexadecimal SHA-256 by file name.
    sums: BTreeMap<String, String>,
}

impl Package {
    /// Opens a folder and checks every file that it lists. `expected` is the SHA-256 of `SHA256SUMS`
    /// itself, when the store's ledger has it: a folder that was changed as a whole is then refused too.
    ///
    /// # Errors
    /// [`Error::Refused`](cartulaire_engine::error::Error::Refused) with `PORTAL_PACKAGE` (no list, or a
    /// list that is not one) or `PORTAL_CHANGED` (a file is not the one listed).
    pub fn open(folder: &Path, expected: Option<&str>) -> Result<Self> {
        let mut package = Package { folder: folder.to_path_buf(), sums: BTreeMap::new() };
        let bytes = package.text("SHA256SUMS")?;
        if expected.is_some_and(|e| e != hex(&Sha256::digest(&bytes))) {
            return Err(package.changed("SHA256SUMS").into());
        }
        package.sums = parse(&bytes).ok_or_else(|| {
            package.fault("la liste SHA256SUMS est illisible : produisez l'extrait de nouveau")
        })?;
        for name in package.sums.keys() {
            package.check(name)?;
        }
        Ok(package)
    }

    /// The listed digest of a file.
    pub(super) fn sha256(&self, name: &str) -> Result<&str, Fault> {
        let unlisted = || {
            self.fault(&format!(
                "« {name} » n'est pas dans la liste SHA256SUMS : ce fichier n'est pas envoyé"
            ))
        };
        self.sums.get(name).map(String::as_str).ok_or_else(unlisted)
    }

    /// Verifies a file against the list; gives its size.
    pub(super) fn check(&self, name: &str) -> Result<u64, Fault> {
        let want = self.sha256(name)?;
        let mut file = self.file(name)?;
        let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0u64, vec![0; 256 << 10]);
        loop {
            let n = file.read(&mut buffer).map_err(|_| self.unreadable(name))?;
            if n == 0 {
                break;
            }
            size += n as u64;
            hasher.update(buffer.get(..n).unwrap_or_default());
        }
        if hex(&hasher.finalize()) == want { Ok(size) } else { Err(self.changed(name)) }
    }

    /// A description that the package holds.
    pub(super) fn description<T: DeserializeOwned>(&self, name: &str) -> Result<T, Fault> {
        let bytes = self.text(name)?;
        if hex(&Sha256::digest(&bytes)) != self.sha256(name)? {
            return Err(self.changed(name));
        }
        serde_json::from_slice(&bytes).map_err(|e| {
            self.fault(&format!("{name} illisible (ligne {}, colonne {}) : {e}", e.line(), e.column()))
        })
    }

    /// `head`, the file, `tail`. The tail leaves only if what was read is what the list says: until then
    /// the receiver has an unfinished request, that it drops.
    pub(super) fn body(
        &self,
        name: &str,
        head: Bytes,
        tail: Bytes,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + use<>, Fault> {
        let want = self.sha256(name)?.to_owned();
        let file = tokio::fs::File::from_std(self.file(name)?);
        let start = (Some(head), file, Sha256::new(), Some(tail));
        Ok(try_unfold(start, move |(mut head, mut file, mut hasher, mut tail)| {
            let want = want.clone();
            async move {
                if let Some(head) = head.take() {
                    return Ok(Some((head, (None, file, hasher, tail))));
                }
                let mut buffer = vec![0; 256 << 10];
                let n = file.read(&mut buffer).await?;
                if n > 0 {
                    buffer.truncate(n);
                    hasher.update(&buffer);
                    return Ok(Some((Bytes::from(buffer), (None, file, hasher, tail))));
                }
                let Some(tail) = tail.take() else { return Ok(None) };
                if hex(&hasher.finalize_reset()) != want {
                    return Err(std::io::Error::other("changed"));
                }
                Ok(Some((tail, (None, file, hasher, None))))
            }
        }))
    }

    /// A regular file of the folder; a link could lead to anything.
    fn file(&self, name: &str) -> Result<std::fs::File, Fault> {
        let path = self.folder.join(name);
        match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_file() => std::fs::File::open(&path).map_err(|_| self.unreadable(name)),
            Ok(_) => Err(self.fault(&format!("« {name} » n'est pas un fichier ordinaire"))),
            Err(_) => Err(self.unreadable(name)),
        }
    }

    fn text(&self, name: &str) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        let read = self.file(name)?.take(TEXT + 1).read_to_end(&mut bytes);
        match read {
            Ok(n) if n as u64 <= TEXT => Ok(bytes),
            _ => Err(self.unreadable(name)),
        }
    }

    fn unreadable(&self, name: &str) -> Fault {
        self.fault(&format!("« {name} » manque ou ne se lit pas : produisez l'extrait de nouveau"))
    }

    fn changed(&self, name: &str) -> Fault {
        let folder = self.folder.display();
        let message = format!(
            "{folder} : « {name} » a changé depuis sa production : rien n'est envoyé, produisez l'extrait de nouveau"
        );
        Fault::refused("PORTAL_CHANGED", message)
    }

    pub(super) fn fault(&self, what: &str) -> Fault {
        Fault::refused("PORTAL_PACKAGE", format!("{} : {what}", self.folder.display()))
    }
}

/// Lines `digest, two spaces, name`; names stay in the folder.
fn parse(bytes: &[u8]) -> Option<BTreeMap<String, String>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let (sum, name) = line.split_once("  ")?;
        let digest = sum.len() == 64 && sum.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if !digest || name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return None;
        }
        if sums.insert(name.to_owned(), sum.to_owned()).is_some() {
            return None;
        }
    }
    (!sums.is_empty()).then_some(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_files_of_the_folder_once_each() {
        let sum = "ab".repeat(32);
        let read = |text: &str| parse(text.as_bytes()).map(|s| s.len());
        assert_eq!(read(&format!("{sum}  data.csv\n{sum}  README.md\n")), Some(2));
        for bad in [
            String::new(),
            format!("{sum}  ../cle.pem\n"),
            format!("{sum}  /etc/passwd\n"),
            format!("{sum}  .cle\n"),
            format!("{sum}  a\n{sum}  a\n"),
            format!("{sum} a\n"),
            format!("{}  a\n", "AB".repeat(32)),
            format!("{}  a\n", "a".repeat(63)),
        ] {
            assert_eq!(read(&bad), None, "{bad}");
        }
    }
}
