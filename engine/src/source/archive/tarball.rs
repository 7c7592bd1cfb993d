//! Members of a tar. Headers are walked here: long names and PAX records are bounded.

use super::*;

/// What extension headers say of the member after them.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    size: Option<u64>,
    any: bool,
}

/// Members of a tar, POSIX and GNU. Strict where two readers could differ: a header whose sum is
/// wrong, bytes after the end, an end that is missing.
pub(super) fn walk_tar(input: &mut (impl BufRead + Send), walk: &mut Walk<'_>) -> Result<(), Stop> {
    let mut ahead = Extension::default();
    loop {
        let mut block = [0; BLOCK];
        match fill(input, &mut block) {
            (_, Some(e)) => return Err(e.into()),
            (BLOCK, None) => {}
            _ => return Err(Fault::broken("l'archive tar est coupée : la marque de fin manque").into()),
        }
        if block.iter().all(|b| *b == 0) {
            return if ahead.any { Err(bad_header()) } else { only_zeros(input) };
        }
        let header = tar::Header::from_byte_slice(&block);
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(i, b)| u32::from(if (148..156).contains(&i) { b' ' } else { *b }))
            .sum();
        let (Ok(told), Ok(size)) = (header.cksum(), header.entry_size()) else { return Err(bad_header()) };
        if told != sum {
            return Err(bad_header());
        }
        let nature = match header.entry_type().as_byte() {
            b'0' | b'7' | 0 => Nature::File,
            b'5' => Nature::Folder,
            b'1' => Nature::Refused("lien physique"),
            b'2' => Nature::Refused("lien symbolique"),
            b'3' | b'4' | b'6' => Nature::Refused("périphérique ou tube"),
            b'S' => Nature::Refused("fichier creux"),
            mark @ (b'L' | b'K' | b'x' | b'g') => {
                extend(&mut ahead, mark, size, input)?;
                continue;
            }
            _ => Nature::Refused("ni fichier ni dossier"),
        };
        let ahead = std::mem::take(&mut ahead);
        let size = ahead.size.unwrap_or(size);
        let path = text_of(ahead.path.as_deref().unwrap_or(&header.path_bytes()));
        let nature = match nature {
            Nature::File if path.ends_with('/') => Nature::Folder,
            nature => nature,
        };
        if matches!(nature, Nature::Folder) && size > 0 {
            return Err(bad_header());
        }
        let admitted = walk.admit(&path, nature)?;
        let mut content = Exact { inner: &mut *input, left: size };
        if admitted {
            walk.member(&path, &mut content)?;
        }
        drain(&mut content)?;
        pad(size, input)?;
    }
}

fn bad_header() -> Stop {
    Fault::broken("l'archive tar est abîmée : un en-tête est faux").into()
}

/// Passes over the bytes that fill the last block.
fn pad(size: u64, input: &mut (dyn Read + Send)) -> Result<(), Stop> {
    let left = size.next_multiple_of(BLOCK as u64) - size;
    drain(&mut Exact { inner: input, left })?;
    Ok(())
}

/// Long names and PAX records, which bear on the next member.
fn extend(ahead: &mut Extension, mark: u8, size: u64, input: &mut (dyn Read + Send)) -> Result<(), Stop> {
    if size > EXTENSION_BYTES_MAX {
        return Err(Fault::limit("un en-tête de l'archive tar n'a pas une taille normale").into());
    }
    let mut content = Vec::new();
    Exact { inner: &mut *input, left: size }.read_to_end(&mut content)?;
    pad(size, input)?;
    ahead.any |= mark != b'g';
    match mark {
        b'L' => {
            let end = content.iter().position(|b| *b == 0).unwrap_or(content.len());
            content.truncate(end);
            ahead.path = Some(content);
        }
        b'x' | b'g' => {
            for record in tar::PaxExtensions::new(&content) {
                let record = record.map_err(|_| bad_header())?;
                match (record.key_bytes(), mark) {
                    (b"path", b'x') => ahead.path = Some(record.value_bytes().to_vec()),
                    (b"size", b'x') => {
                        let size = record.value().ok().and_then(|v| v.parse().ok());
                        ahead.size = Some(size.ok_or_else(bad_header)?);
                    }
                    // For all members at once: no tool writes that.
                    (b"path" | b"size", _) => return Err(bad_header()),
                    (key, _) if key.starts_with(b"GNU.sparse") => {
                        return Err(
                            Fault::broken("fichier creux dans l'archive tar : il n'est pas lu").into()
                        );
                    }
                    _ => {}
                }
            }
        }
        // A long link name: the link itself is refused.
        _ => {}
    }
    Ok(())
}

/// After the end of a tar there are only zeros.
fn only_zeros(input: &mut impl BufRead) -> Result<(), Stop> {
    loop {
        let bytes = match input.fill_buf() {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.into()),
        };
        if bytes.iter().any(|b| *b != 0) {
            return Err(Fault::broken("l'archive tar a des octets après sa fin").into());
        }
        match bytes.len() {
            0 => return Ok(()),
            n => input.consume(n),
        }
    }
}
