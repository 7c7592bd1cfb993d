//! Signed statements: what somebody declares about a list, in a file that can be checked anywhere.
//!
//! The file is one line of canonical JSON (sorted keys, no spaces) and a line feed:
//! ```json
//! {"kind":"visa","signatures":[{"name":"…","person":"…","public_key":"…","role":"archives","signature":"…","signed_on":"2026-03-02"}],"statement":{…},"version":1}
//! ```
//! Each signature is Ed25519 over `cartulaire/<kind>/v1`, a zero byte, and the canonical JSON of
//! `{"signatory":{name, person, public_key, role, signed_on},"statement":…}`: a signature of one
//! kind is worth nothing in another, and nothing in the file is left unsigned. The text must be the
//! canonical one to the byte, so a change that leaves the values alone is found too.

use super::keys::{PrivateKey, PublicKey, unhex};
use super::refusal::Refusal;
use super::registry::{Registry, Role, Signatory};
use crate::domain::{DateFormat, Digest, hex};
use crate::journal::canonical;
use chrono::NaiveDate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Far above any visa row by row; a larger file is not read.
const MAX_BYTES: usize = 64 << 20;

/// What a kind of file declares.
pub trait Statement: Serialize + DeserializeOwned {
    /// Name of the kind, part of what is signed.
    const KIND: &'static str;
    /// Who signs, in this order: one signature each, by different persons.
    const ROLES: &'static [Role];

    /// What the types cannot say.
    ///
    /// # Errors
    /// Why such a statement may be neither signed nor received.
    fn check(&self) -> Result<(), Refusal>;
}

/// Who signed, in which quality, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signer {
    /// Name, as in the register.
    pub name: String,
    /// Identifier of the person.
    pub person: String,
    /// Public key, hexadecimal.
    pub public_key: String,
    /// Quality.
    pub role: Role,
    /// Day that the signatory gives.
    #[serde(with = "iso")]
    pub signed_on: NaiveDate,
}

/// A statement whose signatures were all checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<S> {
    /// What is declared.
    pub statement: S,
    /// Who signed it, in the order of [`Statement::ROLES`].
    pub signers: Vec<Signer>,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
}

/// Makes a file with its first signature, dated `on`; the key says who signs.
///
/// # Errors
/// When the statement is not one, or the key may not sign it.
pub fn sign<S: Statement>(
    statement: &S,
    key: &PrivateKey,
    registry: &Registry,
    on: NaiveDate,
) -> Result<String, Refusal> {
    statement.check()?;
    let statement = serde_json::to_value(statement).map_err(|_| unreadable("valeur impossible à écrire"))?;
    add::<S>(&statement, Vec::new(), key, registry, on)
}

/// Adds the next signature to a file, by another person than those who have signed it.
///
/// # Errors
/// When the file does not hold, wants no further signature, or the key may not give it.
pub fn cosign<S: Statement>(
    text: &str,
    key: &PrivateKey,
    registry: &Registry,
    on: NaiveDate,
) -> Result<String, Refusal> {
    let (opened, _) = open::<S>(text, registry, on)?;
    add::<S>(&opened.statement, opened.signatures, key, registry, on)
}

/// What somebody signed for the journal: an act without a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Who, in which quality.
    pub signer: Signer,
    /// Ed25519 over `cartulaire/<kind>/v1`, a zero byte, and the canonical JSON of
    /// `{"signatory":…,"statement":…}`, hexadecimal.
    pub signature: String,
}

impl Seal {
    /// What the journal keeps of it, beside the statement.
    pub fn facts(&self) -> Vec<(String, Value)> {
        let s = &self.signer;
        let facts = [
            ("person", &s.person),
            ("public_key", &s.public_key),
            ("role", &s.role.as_str().to_owned()),
            ("signature", &self.signature),
            ("signed_on", &s.signed_on.to_string()),
            ("signed_as", &s.name),
        ];
        facts.map(|(key, value)| (key.to_owned(), json!(value))).to_vec()
    }
}

/// Signs a statement that the journal keeps, in a quality that the key has on that day.
///
/// # Errors
/// When the key may not sign.
pub fn seal(
    kind: &str,
    statement: &Value,
    role: Role,
    key: &PrivateKey,
    registry: &Registry,
    on: NaiveDate,
) -> Result<Seal, Refusal> {
    let holder = registry.holder(&key.public(), role, on, on)?;
    let signer = signer(holder, key, role, on);
    let signature = hex(&key.sign(&message(kind, &signer, statement)));
    Ok(Seal { signer, signature })
}

/// Reads and checks a file received on a day; total: whatever the text, a statement or a reason. To
/// check it again years later, give the day that the ledger has: a key revoked since was good then.
///
/// # Errors
/// Why it is refused, with what to do.
pub fn verify<S: Statement>(
    text: &str,
    registry: &Registry,
    seen_on: NaiveDate,
) -> Result<Signed<S>, Refusal> {
    let (opened, signers) = open::<S>(text, registry, seen_on)?;
    if let Some(role) = S::ROLES.get(signers.len()) {
        return Err(Refusal::new(
            "ELIM_SIGN_MISSING",
            format!("il manque une signature : faites signer une personne inscrite comme {}", role.french()),
        ));
    }
    let statement: S = serde_json::from_value(opened.statement)
        .map_err(|_| unreadable("déclaration hors du format de la version 1"))?;
    statement.check()?;
    Ok(Signed { statement, signers, sha256: Digest::of(text.as_bytes()).to_string() })
}

/// The file as JSON, its statement untouched: the signatures are over it as it stands.
struct Opened {
    statement: Value,
    signatures: Vec<Value>,
}

fn unreadable(why: &str) -> Refusal {
    Refusal::new(
        "ELIM_SIGN_UNREADABLE",
        format!("fichier signé illisible : {why} ; redemandez le fichier tel qu'il a été produit"),
    )
}

fn signer(holder: &Signatory, key: &PrivateKey, role: Role, on: NaiveDate) -> Signer {
    Signer {
        name: holder.name.clone(),
        person: holder.person.clone(),
        public_key: key.public().to_string(),
        role,
        signed_on: on,
    }
}

fn message(kind: &str, signer: &Signer, statement: &Value) -> Vec<u8> {
    let mut bytes = format!("cartulaire/{kind}/v1\0").into_bytes();
    bytes.extend(canonical(&json!({"signatory": signer, "statement": statement})).into_bytes());
    bytes
}

fn add<S: Statement>(
    statement: &Value,
    mut signatures: Vec<Value>,
    key: &PrivateKey,
    registry: &Registry,
    on: NaiveDate,
) -> Result<String, Refusal> {
    let Some(role) = S::ROLES.get(signatures.len()) else {
        return Err(Refusal::new(
            "ELIM_SIGN_UNEXPECTED",
            "ce fichier porte déjà toutes ses signatures : il n'en reçoit pas d'autre",
        ));
    };
    let holder = registry.holder(&key.public(), *role, on, on)?;
    let signer = signer(holder, key, *role, on);
    let signature = hex(&key.sign(&message(S::KIND, &signer, statement)));
    let mut signed = serde_json::to_value(&signer).map_err(|_| unreadable("valeur impossible à écrire"))?;
    if let Some(fields) = signed.as_object_mut() {
        fields.insert("signature".into(), signature.into());
    }
    signatures.push(signed);
    let file = json!({"kind": S::KIND, "signatures": signatures, "statement": statement, "version": 1});
    let text = format!("{}\n", canonical(&file));
    // What was just written must pass what the receiver will ask; among it, different persons.
    open::<S>(&text, registry, on)?;
    Ok(text)
}

/// Checks everything but the number of signatures and the inside of the statement.
fn open<S: Statement>(
    text: &str,
    registry: &Registry,
    seen_on: NaiveDate,
) -> Result<(Opened, Vec<Signer>), Refusal> {
    if text.len() > MAX_BYTES {
        return Err(unreadable("il dépasse 64 Mio"));
    }
    let file: Value = serde_json::from_str(text)
        .map_err(|e| unreadable(&format!("JSON mal formé, ligne {}, colonne {}", e.line(), e.column())))?;
    let Value::Object(mut fields) = file else { return Err(unreadable("un objet JSON est attendu")) };
    match fields.get("version").and_then(Value::as_u64) {
        Some(1) => {}
        Some(_) => {
            return Err(Refusal::new(
                "ELIM_SIGN_VERSION",
                "ce fichier signé est d'une version inconnue de ce programme : mettez le programme à jour",
            ));
        }
        None => return Err(unreadable("sa version manque")),
    }
    if fields.get("kind").and_then(Value::as_str) != Some(S::KIND) {
        return Err(Refusal::new(
            "ELIM_SIGN_KIND",
            format!("ce fichier n'est pas de la sorte « {} » : donnez le fichier attendu", S::KIND),
        ));
    }
    let known = ["kind", "signatures", "statement", "version"];
    if fields.keys().any(|k| !known.contains(&k.as_str())) {
        return Err(unsigned());
    }
    if text.strip_suffix('\n') != Some(canonical(&Value::Object(fields.clone())).as_str()) {
        return Err(Refusal::new(
            "ELIM_SIGN_ALTERED",
            "ce fichier n'a plus les octets avec lesquels il a été signé (espaces, fins de ligne ou encodage changés en chemin) : redemandez-le, transmis tel quel",
        ));
    }
    let (Some(statement), Some(Value::Array(signatures))) =
        (fields.remove("statement"), fields.remove("signatures"))
    else {
        return Err(unreadable("la déclaration ou les signatures manquent"));
    };
    if signatures.is_empty() {
        return Err(Refusal::new("ELIM_SIGN_MISSING", "ce fichier n'est pas signé : faites-le signer"));
    }
    if signatures.len() > S::ROLES.len() {
        return Err(Refusal::new(
            "ELIM_SIGN_UNEXPECTED",
            "ce fichier porte une signature de trop : redemandez le fichier d'origine",
        ));
    }
    let mut signers: Vec<Signer> = Vec::new();
    for (found, role) in signatures.iter().zip(S::ROLES) {
        let signer = signature_holds::<S>(found, &statement, *role, registry, seen_on)?;
        if signers.iter().any(|s| s.person == signer.person) {
            return Err(Refusal::new(
                "ELIM_SAME_PERSON",
                format!("{} a déjà signé : la seconde signature est celle d'une autre personne", signer.name),
            ));
        }
        if signers.last().is_some_and(|s| signer.signed_on < s.signed_on) {
            return Err(Refusal::new(
                "ELIM_SIGN_DATE",
                "la seconde signature est datée d'avant la première : vérifiez les dates, puis faites signer de nouveau",
            ));
        }
        signers.push(signer);
    }
    Ok((Opened { statement, signatures }, signers))
}

fn unsigned() -> Refusal {
    Refusal::new(
        "ELIM_SIGN_UNSIGNED",
        "ce fichier porte une information que personne n'a signée : redemandez le fichier d'origine",
    )
}

fn signature_holds<S: Statement>(
    found: &Value,
    statement: &Value,
    role: Role,
    registry: &Registry,
    seen_on: NaiveDate,
) -> Result<Signer, Refusal> {
    let mut fields = found.as_object().cloned().unwrap_or_default();
    let known = ["name", "person", "public_key", "role", "signature", "signed_on"];
    if fields.keys().any(|k| !known.contains(&k.as_str())) {
        return Err(unsigned());
    }
    let signature = fields.remove("signature").and_then(|s| s.as_str().and_then(unhex));
    let signer: Result<Signer, _> = serde_json::from_value(Value::Object(fields));
    let (Some(signature), Ok(signer)) = (signature, signer) else {
        return Err(unreadable("une signature est incomplète ou mal écrite"));
    };
    let key =
        PublicKey::parse(&signer.public_key).ok_or_else(|| unreadable("une clé publique est mal écrite"))?;
    let registered = registry.holder(&key, signer.role, signer.signed_on, seen_on);
    // An unknown key proves nothing by signing: it is named first.
    if let Err(refusal) = &registered
        && refusal.code == "ELIM_SIGN_UNKNOWN_KEY"
    {
        return Err(refusal.clone());
    }
    if !key.verifies(&message(S::KIND, &signer, statement), &signature) {
        return Err(Refusal::new(
            "ELIM_SIGN_BROKEN",
            "la signature ne correspond pas au contenu : le fichier a été changé après la signature ; redemandez l'original",
        ));
    }
    let registered = registered?;
    if signer.role != role {
        return Err(Refusal::new(
            "ELIM_SIGN_ROLE",
            format!(
                "signature donnée comme {} : il faut celle d'une personne inscrite comme {}",
                signer.role.french(),
                role.french()
            ),
        ));
    }
    if registered.person != signer.person || registered.name != signer.name {
        return Err(Refusal::new(
            "ELIM_SIGN_IDENTITY",
            "le nom du signataire n'est pas celui du registre pour cette clé : vérifiez le registre des signataires",
        ));
    }
    if signer.signed_on > seen_on {
        return Err(Refusal::new(
            "ELIM_SIGN_DATE",
            format!(
                "signature datée du {}, dans l'avenir : vérifiez la date, puis faites signer de nouveau",
                signer.signed_on.format("%d/%m/%Y")
            ),
        ));
    }
    Ok(signer)
}

/// Days as `yyyy-mm-dd` in signed files.
pub(super) mod iso {
    use super::{DateFormat, Deserialize, NaiveDate};
    use serde::{Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(day: &NaiveDate, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(day)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<NaiveDate, D::Error> {
        let text = String::deserialize(d)?;
        DateFormat::Iso.parse(&text).ok_or_else(|| D::Error::custom("date aaaa-mm-jj attendue"))
    }
}

#[cfg(test)]
mod tests;
