//! Members of a tar. Headers are walked here: long names and PAX records are bounded, which the `tar`
//! crate's own reader does not do.

use super::{Entry, Fault, Limits, Names};
use std::collections::HashSet;
use std::io::{self, Read};

const BLOCK: u64 = 512;
/// Bytes of a long name or of PAX records.
const EXTENSION_BYTES_MAX: u64 = 1 << 20;

struct Counted<R> {
    inner: R,
    at: u64,
}

impl<R: Read> Counted<R> {
    fn pass(&mut self, bytes: u64) -> io::Result<()> {
        let n = io::copy(&mut (&mut self.inner).take(bytes), &mut io::sink())?;
        self.at += n;
        if n < bytes { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn bytes(&mut self, count: u64) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        (&mut self.inner).take(count).read_to_end(&mut out)?;
        self.at += out.len() as u64;
        if (out.len() as u64) < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(out) }
    }
}

fn bad() -> io::Error {
    Fault::new("l'archive tar est abîmée : un en-tête est faux").into()
}

/// Lists the members; strict where two readers could differ.
pub fn list(input: impl Read, limits: &Limits) -> io::Result<Vec<Entry>> {
    let mut input = Counted { inner: input, at: 0 };
    let mut names = Names { seen: HashSet::new() };
    let (mut entries, mut total) = (Vec::new(), 0_u64);
    let (mut long_name, mut long_size): (Option<Vec<u8>>, Option<u64>) = (None, None);
    loop {
        let block = input.bytes(BLOCK)?;
        if block.iter().all(|b| *b == 0) {
            let mut rest = [0; 4096];
            loop {
                match input.inner.read(&mut rest)? {
                    0 => return Ok(entries),
                    n if rest.iter().take(n).any(|b| *b != 0) => {
                        return Err(Fault::new("le tar a des octets après sa fin").into());
                    }
                    _ => {}
                }
            }
        }
        let block: [u8; 512] = block.try_into().map_err(|_| bad())?;
        let header = tar::Header::from_byte_slice(&block);
        let sum = block.iter().enumerate();
        let sum: u32 = sum.map(|(i, b)| u32::from(if (148..156).contains(&i) { b' ' } else { *b })).sum();
        let size = header.entry_size().map_err(|_| bad())?;
        if header.cksum().map_err(|_| bad())? != sum {
            return Err(bad());
        }
        let mark = header.entry_type().as_byte();
        let padded = |size: u64| size.checked_next_multiple_of(BLOCK).ok_or_else(bad);
        if matches!(mark, b'L' | b'K' | b'x' | b'g') {
            if size > EXTENSION_BYTES_MAX {
                return Err(Fault::new("un en-tête du tar n'a pas une taille normale").into());
            }
            let mut content = input.bytes(size)?;
            input.pass(padded(size)? - size)?;
            match mark {
                b'L' => {
                    content.truncate(content.iter().position(|b| *b == 0).unwrap_or(content.len()));
                    long_name = Some(content);
                }
                b'x' => {
                    for record in tar::PaxExtensions::new(&content) {
                        let record = record.map_err(|_| bad())?;
                        match record.key_bytes() {
                            b"path" => long_name = Some(record.value_bytes().to_vec()),
                            b"size" => {
                                let size = record.value().ok().and_then(|v| v.parse().ok());
                                long_size = Some(size.ok_or_else(bad)?);
                            }
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
            continue;
        }
        let size = long_size.take().unwrap_or(size);
        let name = long_name.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let Ok(mut name) = String::from_utf8(name) else {
            return Err(Fault::new("un nom de fichier n'est pas en UTF-8 : renommez-le").into());
        };
        if let Some(rest) = name.strip_prefix("./") {
            name = rest.to_owned();
            if name.is_empty() && mark == b'5' {
                continue;
            }
        }
        let folder = match mark {
            b'0' | b'7' | 0 => name.ends_with('/'),
            b'5' => true,
            _ => {
                return Err(Fault::new(format!(
                    "{} : ni fichier ni dossier (lien, périphérique)",
                    super::shown(&name)
                ))
                .into());
            }
        };
        if folder && size > 0 {
            return Err(bad());
        }
        names.admit(&name)?;
        total = total.saturating_add(size);
        if entries.len() as u64 >= limits.members_max {
            return Err(Fault::new(format!(
                "plus de {} membres",
                crate::french::thousands(limits.members_max)
            ))
            .into());
        }
        if size > limits.member_bytes_max || total > limits.total_bytes_max {
            return Err(Fault::new("le contenu est trop gros").into());
        }
        let start = input.at;
        entries.push(Entry { name, folder, size, start, packed: size, deflated: false, crc: 0 });
        input.pass(padded(size)?)?;
    }
}
