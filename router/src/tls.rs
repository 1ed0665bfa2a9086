//! TLS: a certificate for the listeners of clients, one for the listener of gateways, and one for Envoy Gateway. Loaded from two PEM files and
//! again whenever they change, or made at start. What the router shows its agents is not here: see
//! [`Credentials`](crate::agents::Credentials).
//!
//! A handshake uses what is loaded when it begins; open connections keep what they began with. Files that cannot be
//! used change nothing: the last good certificate stays, one log line and a counter say why.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{task::spawn_blocking, time::sleep};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
pub use warmlane_tls::H2;
use warmlane_tls::{End, Failed, File, HTTP11, Kept, Pem, Server, TlsError};

use crate::{
    extension::ExtensionTls,
    metrics::{LoadOutcome, ProxyMetrics},
};

mod identity;

pub use identity::Identity;

const PROTOCOLS: &[&[u8]] = &[H2, HTTP11];

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

/// The certificate in use.
#[derive(Debug)]
pub struct Tls {
    source: Source,
}

#[derive(Debug)]
enum Source {
    Files { kept: Arc<Kept<Server>>, reload_interval: Duration },
    Made(Arc<ServerConfig>),
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// None could be made.
    #[error("cannot make a certificate (ext_proc.tls = \"self-signed\"): {0}")]
    Made(rcgen::Error),
}

/// Why a handshake failed, for people.
pub fn why_no_handshake(error: &io::Error) -> String {
    Failed::of(error).to_string()
}

// === Tls ===

impl Tls {
    /// Loads the clients' files for the first time.
    ///
    /// # Errors
    /// When they cannot be read or do not fit together.
    pub fn load(files: &TlsFiles) -> Result<Self, CertificateError> {
        let certificate = File::new("tls.certificate", &files.certificate);
        Self::of_files(certificate, File::new("tls.key", &files.key), None, files.reload_interval)
    }

    /// What gateways are shown; `None` where that is nothing. Files are looked at again as often as clients' are.
    ///
    /// # Errors
    /// As of [`Tls::load`].
    pub fn for_gateways(
        identity: &Identity,
        reload_interval: Duration,
    ) -> Result<Option<Self>, CertificateError> {
        let file = |path: &PathBuf| File::new("ext_proc.tls", path);
        match identity {
            Identity::Off => Ok(None),
            Identity::SelfSigned => Self::self_signed().map(Some),
            Identity::Files(pair) => {
                Self::of_files(file(&pair.certificate), file(&pair.key), None, reload_interval).map(Some)
            }
        }
    }

    /// What callers of the extension server are shown, and asked for; `None` where that is nothing. Files are looked at again as
    /// often as clients' are.
    ///
    /// # Errors
    /// As of [`Tls::load`].
    pub fn for_extension(
        files: &ExtensionTls,
        reload_interval: Duration,
    ) -> Result<Option<Self>, CertificateError> {
        if !files.is_on() {
            return Ok(None);
        }
        let certificate = File::new("extension_tls.certificate", &files.certificate);
        let key = File::new("extension_tls.key", &files.key);
        let is_asked = !files.client_ca.as_os_str().is_empty();
        let clients = is_asked.then(|| File::new("extension_tls.client_ca", &files.client_ca));
        Self::of_files(certificate, key, clients, reload_interval).map(Some)
    }

    fn of_files(
        certificate: File,
        key: File,
        clients: Option<File>,
        reload_interval: Duration,
    ) -> Result<Self, CertificateError> {
        let kept = Kept::load(Server { certificate, key, clients, protocols: PROTOCOLS })?;
        Ok(Self { source: Source::Files { kept: Arc::new(kept), reload_interval } })
    }

    fn self_signed() -> Result<Self, CertificateError> {
        let made = rcgen::generate_simple_self_signed(["warmlane-router".to_owned()]);
        let made = made.map_err(CertificateError::Made)?;
        let file = || File::new("ext_proc.tls", "");
        let server = Server { certificate: file(), key: file(), clients: None, protocols: PROTOCOLS };
        let certificate = Pem::new(file(), made.cert.pem());
        let key = Pem::new(file(), made.signing_key.serialize_pem());
        Ok(Self { source: Source::Made(Arc::new(server.config(&(certificate, key, None))?)) })
    }

    /// Begins handshakes with the present certificate.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(match &self.source {
            Source::Files { kept, .. } => kept.current(),
            Source::Made(config) => config.clone(),
        })
    }

    /// Looks at the files for ever.
    pub async fn follow(self: Arc<Self>, metrics: Arc<ProxyMetrics>) {
        let Source::Files { kept, reload_interval } = &self.source else { return };
        loop {
            sleep(*reload_interval).await;
            let looking = kept.clone();
            // A file system that hangs must not hold up the control plane.
            let Ok(reloaded) = spawn_blocking(move || looking.reload()).await else { return };
            let certificate = kept.end().certificate.path.display();
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
}
