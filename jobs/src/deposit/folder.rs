//! Deposit in a folder that the archive watches: the package first, its marker last.

use super::{Fault, FaultKind, Found, Package, Progress, Target, digest};
use async_trait::async_trait;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A watched folder. `NAME.zip.sha512` beside `NAME.zip` says that the package is whole; whoever
/// watches must wait for it.
#[derive(Debug, Clone)]
pub struct Folder {
    name: String,
    root: PathBuf,
}

impl Folder {
    /// A folder that exists.
    pub fn new(name: impl Into<String>, root: impl Into<PathBuf>) -> Self {
        Folder { name: name.into(), root: root.into() }
    }

    fn marker(&self, package: &Package) -> (PathBuf, String) {
        (
            self.root.join(format!("{}.sha512", package.name)),
            format!("{}  {}\n", package.sha512, package.name),
        )
    }

    fn look(&self, package: &Package) -> io::Result<Found> {
        let (marker, want) = self.marker(package);
        let path = self.root.join(&package.name);
        match std::fs::read_to_string(&marker) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Found::Absent),
            Err(e) => Err(e),
            // Whoever watches may have taken the package away: its marker is enough.
            Ok(text) if text == want => Ok(Found::Operation(path.display().to_string())),
            Ok(_) => Ok(Found::Unknown(format!("{} porte une autre empreinte", marker.display()))),
        }
    }

    fn write(&self, package: &Package) -> Result<String, Fault> {
        let io = |e: io::Error| {
            Fault::new(
                FaultKind::NotReceived,
                format!("écriture dans {} impossible : {e}", self.root.display()),
            )
        };
        match self.look(package).map_err(io)? {
            Found::Operation(path) => return Ok(path),
            Found::Unknown(why) => return Err(Fault::new(FaultKind::Refused, why)),
            Found::Absent => {}
        }
        let path = self.root.join(&package.name);
        let part = self.root.join(format!(".{}.part", package.name));
        let mut to = File::create(&part).map_err(io)?;
        File::open(&package.path).and_then(|mut from| io::copy(&mut from, &mut to)).map_err(io)?;
        to.sync_all().map_err(io)?;
        let (sha512, _) = digest(&part).map_err(io)?;
        if sha512 != package.sha512 {
            return Err(Fault::new(FaultKind::NotReceived, "la copie relue n'a pas la bonne empreinte"));
        }
        std::fs::rename(&part, &path).map_err(io)?;
        self.sync().map_err(io)?;
        let (marker, text) = self.marker(package);
        let part = self.root.join(format!(".{}.sha512.part", package.name));
        let mut to = File::create(&part).map_err(io)?;
        to.write_all(text.as_bytes()).and_then(|()| to.sync_all()).map_err(io)?;
        std::fs::rename(&part, &marker).map_err(io)?;
        self.sync().map_err(io)?;
        Ok(path.display().to_string())
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.root)?.sync_all()
    }
}

#[async_trait]
impl Target for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    async fn find(&self, package: &Package) -> Result<Found, Fault> {
        self.look(package).map_err(|e| Fault::new(FaultKind::NotReceived, e.to_string()))
    }

    async fn send(&self, package: &Package) -> Result<String, Fault> {
        let (this, package) = (self.clone(), package.clone());
        let done = tokio::task::spawn_blocking(move || this.write(&package)).await;
        done.unwrap_or_else(|e| Err(Fault::new(FaultKind::InDoubt, e.to_string())))
    }

    async fn reply(&self, _operation: &str, _into: &Path) -> Result<Progress, Fault> {
        Ok(Progress::NoReply)
    }
}
