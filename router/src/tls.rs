//! TLS: a certificate for the listeners of clients, and one for the listener of gateways. Loaded from two PEM files and
//! again whenever they change, or made at start.
//!
//! A handshake uses what is loaded when it begins; open connections keep what they began with. Files that cannot be
//! used change nothing: the last good certificate stays, one log line and a counter say why.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{task::spawn_blocking, time::sleep};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use crate::metrics::{LoadOutcome, ProxyMetrics};

mod handshake;
mod identity;

pub use handshake::why_no_handshake;
pub use identity::Identity;

/// ALPN's name for HTTP/2.
pub const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file of the chain, the server's own certificate first. Empty: none.
    pub certificate: PathBuf,
    /// PEM file of its private key. Empty: none.
    pub key: PathBuf,
    /// How often both are looked at for changes. 10 s.
    pub reload_interval: Duration,
}

/// The settings that name a certificate and its key, for messages.
#[derive(Clone, Copy, Debug)]
struct Named {
    certificate: &'static str,
    key: &'static str,
}

const CLIENTS: Named = Named { certificate: "tls.certificate", key: "tls.key" };
const GATEWAYS: Named = Named { certificate: "ext_proc.tls", key: "ext_proc.tls" };

/// The certificate in use.
#[derive(Debug)]
pub struct Tls {
    /// `None`: it was made here.
    files: Option<(TlsFiles, Named)>,
    config: ArcSwap<ServerConfig>,
    seen: Mutex<Seen>,
}

/// What the files were like at some moment: a hash of what they held, or of why they could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look(u64);

#[derive(Debug)]
struct Seen {
    /// What is in use, or has been complained about.
    told: Look,
    last: Look,
}

/// The two files as they were read.
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path} ({key}): {why}")]
    Read {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        why: io::Error,
    },
    /// Not a PEM file, or one without what it must hold.
    #[error("{path} ({key}) holds no {what} in PEM form: {hint}")]
    Empty {
        /// The setting that names it.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What may be the reason.
        hint: &'static str,
    },
    /// The two do not make a server.
    #[error("{certificate} and {key} cannot be used together: {why}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// Its key's.
        key: PathBuf,
        /// What is wrong.
        why: rustls::Error,
    },
    /// None could be made.
    #[error("cannot make a certificate (ext_proc.tls = \"self-signed\"): {0}")]
    Made(rcgen::Error),
}

// === Tls ===

impl Tls {
    /// Loads the clients' files for the first time.
    ///
    /// # Errors
    /// When they cannot be read or do not fit together.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        Self::load_named(files.clone(), CLIENTS)
    }

    /// What gateways are shown; `None` where that is nothing. Files are looked at again as often as clients' are.
    ///
    /// # Errors
    /// As of [`Tls::load`].
    pub fn for_gateways(identity: &Identity, reload_interval: Duration) -> Result<Option<Self>, TlsError> {
        match identity {
            Identity::Off => Ok(None),
            Identity::SelfSigned => Self::self_signed().map(Some),
            Identity::Files { certificate, key } => {
                let files = TlsFiles { certificate: certificate.clone(), key: key.clone(), reload_interval };
                Self::load_named(files, GATEWAYS).map(Some)
            }
        }
    }

    fn load_named(files: TlsFiles, named: Named) -> Result<Self, TlsError> {
        let read = Pem::read(&files, named);
        let told = Look::of(&read);
        let config = ArcSwap::from_pointee(read?.config(&files, named)?);
        Ok(Self { files: Some((files, named)), config, seen: Mutex::new(Seen { told, last: told }) })
    }

    fn self_signed() -> Result<Self, TlsError> {
        let made =
            rcgen::generate_simple_self_signed(["warmlane-router".to_owned()]).map_err(TlsError::Made)?;
        let pem = Pem {
            certificate: made.cert.pem().into_bytes(),
            key: made.signing_key.serialize_pem().into_bytes(),
        };
        let config = pem.config(&TlsFiles::default(), GATEWAYS)?;
        let told = Look(0);
        Ok(Self {
            files: None,
            config: ArcSwap::from_pointee(config),
            seen: Mutex::new(Seen { told, last: told }),
        })
    }

    /// Begins handshakes with the present certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.load_full())
    }

    /// Looks at the files for ever. Contents are compared, not times: mounted secrets change by renamed links.
    pub async fn follow(self: Arc<Self>, metrics: Arc<ProxyMetrics>) {
        let Some((files, _)) = &self.files else { return };
        loop {
            sleep(files.reload_interval).await;
            let tls = self.clone();
            // A file system that hangs must not hold up the control plane.
            let Ok(reloaded) = spawn_blocking(move || tls.reload()).await else { return };
            let certificate = files.certificate.display();
            match reloaded {
                None => {}
                Some(Ok(())) => {
                    metrics.certificate_loaded(LoadOutcome::Ok);
                    tracing::info!(%certificate, "TLS certificate loaded anew");
                }
                Some(Err(error)) => {
                    metrics.certificate_loaded(LoadOutcome::Failed);
                    tracing::warn!(%error, "TLS certificate not loaded anew; the last good one stays in use");
                }
            }
        }
    }

    /// Uses the files if they are not as they were; `None` when they are, or when a failure has been seen only once: the two
    /// files change one after the other.
    fn reload(&self) -> Option<Result<(), TlsError>> {
        let (files, named) = self.files.as_ref()?;
        let read = Pem::read(files, *named);
        let look = Look::of(&read);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if look == seen.told {
            return None;
        }
        let outcome = read.and_then(|pem| pem.config(files, *named));
        let before = std::mem::replace(&mut seen.last, look);
        if outcome.is_err() && before != look {
            return None;
        }
        seen.told = look;
        Some(outcome.map(|config| self.config.store(Arc::new(config))))
    }
}

// === Look ===

impl Look {
    fn of(read: &Result<Pem, TlsError>) -> Self {
        let mut hasher = DefaultHasher::new();
        match read {
            Ok(pem) => (&pem.certificate, &pem.key).hash(&mut hasher),
            Err(error) => error.to_string().hash(&mut hasher),
        }
        Self(hasher.finish())
    }
}

// === Pem ===

impl Pem {
    fn read(files: &TlsFiles, named: Named) -> Result<Self, TlsError> {
        let read = |key, path: &Path| {
            std::fs::read(path).map_err(|why| TlsError::Read { key, path: path.to_owned(), why })
        };
        Ok(Self {
            certificate: read(named.certificate, &files.certificate)?,
            key: read(named.key, &files.key)?,
        })
    }

    fn config(&self, files: &TlsFiles, named: Named) -> Result<ServerConfig, TlsError> {
        let has = |text: &[u8], word: &str| memchr::memmem::find(text, word.as_bytes()).is_some();
        let hint = |text: &[u8]| match () {
            () if has(text, "ENCRYPTED PRIVATE KEY") => "it is encrypted; decrypt it with openssl pkey",
            () if has(text, "PRIVATE KEY") || has(text, "CERTIFICATE") => "are the two files swapped?",
            () => "does it begin with -----BEGIN?",
        };
        let empty = |key, path: &Path, what, text: &[u8]| {
            let hint = hint(text);
            TlsError::Empty { key, path: path.to_owned(), what, hint }
        };
        let no_certificate =
            || empty(named.certificate, &files.certificate, "certificate", &self.certificate);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.certificate).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(no_certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key);
        let key = key.map_err(|_| empty(named.key, &files.key, "private key", &self.key))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = builder
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
        let mut config = config.map_err(|why| TlsError::Unusable {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            why,
        })?;
        config.alpn_protocols = vec![H2.to_vec(), HTTP11.to_vec()];
        Ok(config)
    }
}
