//! Files that are whole or absent: written aside, synced, renamed, folder synced.

use crate::domain::{Digest, DigestReader};
use crate::error::{IoContext, Result};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a small file. A crash leaves the old one or the new one.
///
/// # Errors
/// When the disk refuses; nothing has changed then.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).at(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.join(format!(".{name}.tmp"));
    let mut file = File::create(&aside).at(&aside)?;
    file.write_all(bytes).at(&aside)?;
    // A failed sync is final: the kernel may have dropped the pages it could not write.
    file.sync_all().at(&aside)?;
    std::fs::rename(&aside, path).at(path)?;
    sync_dir(folder)
}

/// SHA-256 of a file, read once from its beginning to its end.
///
/// # Errors
/// When it cannot be read.
pub fn digest(path: &Path) -> Result<Digest> {
    let mut reader = DigestReader::new(File::open(path).at(path)?);
    std::io::copy(&mut reader, &mut std::io::sink()).at(path)?;
    Ok(reader.finish().0)
}

/// Whether a file is one that [`write_atomic`] had not renamed yet when it was interrupted.
pub fn is_aside(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') && name.ends_with(".tmp")
}

/// Moves a finished file or folder to its place, on the same file system.
///
/// # Errors
/// When the disk refuses.
pub fn publish(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).at(folder)?;
    std::fs::rename(from, to).at(to)?;
    sync_dir(folder)
}

/// Makes renames in a folder durable.
///
/// # Errors
/// When the disk refuses.
pub fn sync_dir(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|d| d.sync_all()).at(folder)
}

/// Removes a file or a folder if it is there.
///
/// # Errors
/// When the disk refuses.
pub fn remove(path: &Path) -> Result<()> {
    if path.is_dir() {
        return remove_dir(path);
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at(path),
        _ => Ok(()),
    }
}

/// Removes a folder if it is there.
///
/// # Errors
/// When the disk refuses.
pub fn remove_dir(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e).at(folder),
        _ => Ok(()),
    }
}

/// Every file below a folder, in name order; symbolic links are not followed.
///
/// # Errors
/// When a folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut out = Vec::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(dir) = todo.pop() {
        let entries = match std::fs::read_dir(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.at(&dir)?,
        };
        for entry in entries {
            let entry = entry.at(&dir)?;
            match entry.file_type().at(entry.path())?.is_dir() {
                true => todo.push(entry.path()),
                false => out.push(entry.path()),
            }
        }
    }
    out.sort();
    Ok(out)
}

/// Removes folders that hold nothing, the given one excepted.
///
/// # Errors
/// When a folder cannot be read.
pub fn remove_empty_dirs(folder: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.at(folder)?.path();
        if path.is_dir() && !path.is_symlink() {
            remove_empty_dirs(&path)?;
            // Refused by the system when something is inside: that is the check.
            let _ = std::fs::remove_dir(&path);
        }
    }
    Ok(())
}

/// The store holds pupils' data: only its owner may enter.
///
/// # Errors
/// When the system refuses.
pub fn restrict(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).at(folder)?;
    }
    Ok(())
}
