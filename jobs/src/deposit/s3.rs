//! Deposit in S3-compatible storage: the package in parts, its marker last. The key is that of the
//! package and the marker holds its digest, so that sending again changes nothing.

use super::{Fault, FaultKind, Found, Package, Progress, Target};
use async_trait::async_trait;
use cartulaire_engine::domain::hex;
use cartulaire_engine::error::{Error, Result};
use futures_util::TryStreamExt as _;
use object_store::aws::{AmazonS3Builder, Checksum};
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt as _, WriteMultipart};
use sha2::{Digest as _, Sha512};
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;

const PART: usize = 8 << 20;

/// How to reach a bucket. The secret comes from the caller and is never shown.
#[derive(Clone)]
pub struct S3Config {
    /// `https://…`.
    pub endpoint: String,
    /// Region; many compatible servers take any.
    pub region: String,
    /// Bucket.
    pub bucket: String,
    /// Key identifier.
    pub access_key: String,
    /// Secret.
    pub secret_key: String,
    /// PEM of the authority of the server, when it is not of the system's.
    pub authority: Option<Vec<u8>>,
}

/// Opens a bucket, over TLS only.
///
/// # Errors
/// [`Error::Usage`] when the settings are wrong.
pub fn connect(config: &S3Config) -> Result<Arc<dyn ObjectStore>> {
    super::vitam::provider();
    let wrong = |e: &dyn std::fmt::Display| Error::Usage(format!("stockage S3 mal configuré : {e}"));
    let mut options = ClientOptions::new();
    if let Some(pem) = &config.authority {
        options =
            options.with_root_certificate(object_store::Certificate::from_pem(pem).map_err(|e| wrong(&e))?);
    }
    let store = AmazonS3Builder::new()
        .with_endpoint(&config.endpoint)
        .with_region(&config.region)
        .with_bucket_name(&config.bucket)
        .with_access_key_id(&config.access_key)
        .with_secret_access_key(&config.secret_key)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_client_options(options)
        .build()
        .map_err(|e| wrong(&e))?;
    Ok(Arc::new(store))
}

/// A folder of a bucket.
#[derive(Clone)]
pub struct S3 {
    name: String,
    store: Arc<dyn ObjectStore>,
    prefix: Key,
}

impl S3 {
    /// Packages go under `prefix`.
    pub fn new(name: impl Into<String>, store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        S3 { name: name.into(), store, prefix: Key::from(prefix) }
    }

    fn keys(&self, package: &Package) -> (Key, Key) {
        let key = self.prefix.clone().join(package.name.as_str());
        (key, self.prefix.clone().join(format!("{}.sha512", package.name)))
    }

    async fn upload(&self, package: &Package, key: &Key) -> Result<(), Fault> {
        let io = |e: std::io::Error| Fault::new(FaultKind::NotReceived, format!("lecture du paquet : {e}"));
        let mut file = tokio::fs::File::open(&package.path).await.map_err(io)?;
        let upload = self.store.put_multipart(key).await.map_err(|e| fault(&e))?;
        let mut parts = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut buffer = vec![0; 1 << 20];
        loop {
            let n = match file.read(&mut buffer).await {
                Ok(n) => n,
                Err(e) => {
                    // Parts left behind would be paid for; failing to drop them changes nothing else.
                    let _ = parts.abort().await;
                    return Err(io(e));
                }
            };
            if n == 0 {
                break;
            }
            parts.write(buffer.get(..n).unwrap_or_default());
            parts.wait_for_capacity(2).await.map_err(|e| fault(&e))?;
        }
        parts.finish().await.map(drop).map_err(|e| fault(&e))
    }

    async fn reread(&self, key: &Key) -> Result<String, Fault> {
        let mut stream = self.store.get(key).await.map_err(|e| fault(&e))?.into_stream();
        let mut hasher = Sha512::new();
        while let Some(bytes) = stream.try_next().await.map_err(|e| fault(&e))? {
            hasher.update(&bytes);
        }
        Ok(hex(&hasher.finalize()))
    }
}

/// Keys and markers make a second sending harmless: nothing is ever in doubt here.
fn fault(e: &object_store::Error) -> Fault {
    use object_store::Error as E;
    match e {
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => Fault::new(
            FaultKind::Refused,
            "le stockage refuse la clé d'accès : vérifiez la clé, le secret et les droits sur le compartiment",
        ),
        E::NotFound { .. } => {
            Fault::new(FaultKind::Refused, "le compartiment n'existe pas : vérifiez son nom")
        }
        _ => Fault::new(FaultKind::NotReceived, "le stockage ne répond pas comme attendu"),
    }
}

#[async_trait]
impl Target for S3 {
    fn name(&self) -> &str {
        &self.name
    }

    async fn find(&self, package: &Package) -> Result<Found, Fault> {
        let (key, marker) = self.keys(package);
        let text = match self.store.get(&marker).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(Found::Absent),
            Err(e) => return Err(fault(&e)),
            Ok(found) => found.bytes().await.map_err(|e| fault(&e))?,
        };
        Ok(if text.starts_with(package.sha512.as_bytes()) {
            Found::Operation(key.to_string())
        } else {
            Found::Unknown(format!("la clé {marker} porte une autre empreinte"))
        })
    }

    async fn send(&self, package: &Package) -> Result<String, Fault> {
        match self.find(package).await? {
            Found::Operation(key) => return Ok(key),
            Found::Unknown(why) => return Err(Fault::new(FaultKind::Refused, why)),
            Found::Absent => {}
        }
        let (key, marker) = self.keys(package);
        // A whole object without its marker is a deposit that a crash stopped: nothing to send again.
        let whole = match self.store.head(&key).await {
            Ok(meta) => meta.size == package.size && self.reread(&key).await? == package.sha512,
            Err(object_store::Error::NotFound { .. }) => false,
            Err(e) => return Err(fault(&e)),
        };
        if !whole {
            self.upload(package, &key).await?;
            if self.reread(&key).await? != package.sha512 {
                return Err(Fault::new(FaultKind::NotReceived, "l'objet relu n'a pas la bonne empreinte"));
            }
        }
        let text = format!("{}  {}\n", package.sha512, package.name);
        self.store.put(&marker, text.into()).await.map_err(|e| fault(&e))?;
        Ok(key.to_string())
    }

    async fn reply(&self, _operation: &str, _into: &Path) -> Result<Progress, Fault> {
        Ok(Progress::NoReply)
    }
}
