//! Ed25519 keys. A private key file holds two lines, and nothing else:
//! ```text
//! cartulaire-private-key v1
//! <64 lower-case hexadecimal digits: the Ed25519 seed>
//! ```
//! The public halves are in the register of the signatories (`registry`).

use crate::domain::hex;
use crate::error::{ConfigFault, Error, Result};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

/// Exactly `N` bytes in lower-case hexadecimal: one text for one value, so that no change of a
/// signed file goes unseen.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let nibble = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(nibble(*high)? << 4 | nibble(*low)?),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

/// An Ed25519 public key; never one of the few with which anything can be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        VerifyingKey::from_bytes(&unhex(text)?).ok().filter(|k| !k.is_weak()).map(PublicKey)
    }

    /// Whether the signature over these bytes was made with the private half.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(self.0.as_bytes()))
    }
}

/// An Ed25519 private key. It cannot be printed; its memory is wiped when it is dropped.
pub struct PrivateKey(SigningKey);

/// First line of a private key file.
const PRIVATE_KEY_HEAD: &str = "cartulaire-private-key v1";

impl PrivateKey {
    /// From 32 bytes that the caller drew from the system's randomness.
    pub fn from_bytes(seed: &[u8; 32]) -> Self {
        PrivateKey(SigningKey::from_bytes(seed))
    }

    /// Reads a private key file. No message ever repeats what the file holds.
    ///
    /// # Errors
    /// [`Error::Config`] with the line that is wrong.
    pub fn read(file: &str, text: &str) -> Result<Self> {
        let fault = |line, message: &str| {
            let message = format!("{message} ; redemandez ou recréez la clé privée");
            Error::config(ConfigFault { file: file.to_owned(), line, column: 1, message })
        };
        let mut lines = text.lines();
        match lines.next() {
            Some(PRIVATE_KEY_HEAD) => {}
            Some(head) if head.starts_with("cartulaire-private-key ") => {
                return Err(fault(1, "cette version de clé privée n'est pas connue de ce programme"));
            }
            _ => return Err(fault(1, "ce n'est pas une clé privée de Cartulaire")),
        }
        let seed = lines.next().and_then(unhex);
        let seed = seed.ok_or_else(|| fault(2, "64 chiffres hexadécimaux minuscules attendus"))?;
        if lines.next().is_some() {
            return Err(fault(3, "rien ne suit la deuxième ligne d'une clé privée"));
        }
        Ok(Self::from_bytes(&seed))
    }

    /// The private key file: to be written readable by its owner alone.
    pub fn file_text(&self) -> String {
        format!("{PRIVATE_KEY_HEAD}\n{}\n", hex(self.0.as_bytes()))
    }

    /// The half that goes into the register.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_survives_its_file_and_never_shows_in_a_fault() {
        let key = PrivateKey::from_bytes(&[7; 32]);
        let text = key.file_text();
        assert_eq!(PrivateKey::read("k", &text).unwrap().public(), key.public());
        // RFC 8032, test 1: the public half that this seed must give.
        let seed = unhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(PrivateKey::from_bytes(&seed).public().to_string(), public);
        let secret = "07".repeat(32);
        for (bad, line) in [
            (secret.clone(), 1),
            (String::new(), 1),
            (text.replace("v1", "v2"), 1),
            (format!("{PRIVATE_KEY_HEAD}\n{}", secret.get(..62).unwrap()), 2),
            (text.replace('0', "G"), 2),
            (format!("{text}{secret}"), 3),
        ] {
            let Err(Error::Config(found)) = PrivateKey::read("k", &bad) else { panic!("accepted: {bad}") };
            assert_eq!(found[0].line, line, "{bad}");
            assert!(!found[0].message.contains("0707"), "{}", found[0].message);
        }
    }

    #[test]
    fn a_weak_public_key_is_refused() {
        // The neutral point: any message would have a valid signature.
        assert_eq!(PublicKey::parse(&format!("01{}", "00".repeat(31))), None);
        let key = PrivateKey::from_bytes(&[1; 32]).public().to_string();
        assert!(PublicKey::parse(&key).is_some());
        assert_eq!(PublicKey::parse(&key.to_uppercase()), None, "one text for one key");
    }
}
