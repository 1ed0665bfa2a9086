//! Certificates for tests, and clients that speak TLS.

use std::{
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    sync::Arc,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, ClientConnection, RootCertStore, StreamOwned,
        crypto::ring,
        pki_types::{CertificateDer, ServerName},
    },
};
use warmlane_router::tls::TlsFiles;

use crate::PATIENCE;

mod authority;
mod trusting;

pub use authority::{Authority, Issued};
pub use trusting::trusting;

/// A certificate for `localhost` and its key, in files.
pub struct Certificate {
    folder: TempDir,
    der: CertificateDer<'static>,
}

/// A TLS client that blocks.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

// === Certificate ===

impl Certificate {
    /// Makes one.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut certificate = Self { folder, der: CertificateDer::from(Vec::new()) };
        certificate.renew();
        certificate
    }

    /// Puts another one in its place.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn renew(&mut self) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        std::fs::write(self.key(), signing_key.serialize_pem()).expect("written");
        std::fs::write(self.file(), cert.pem()).expect("written");
        self.der = cert.der().clone();
    }

    /// Settings that name the files, looked at often.
    pub fn files(&self) -> TlsFiles {
        TlsFiles {
            certificate: self.file(),
            key: self.key(),
            reload_interval: std::time::Duration::from_millis(100),
        }
    }

    /// The certificate's file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("tls.crt")
    }

    /// The key's file.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("tls.key")
    }

    /// Connects as a client that trusts this certificate only.
    ///
    /// # Errors
    /// When the handshake fails.
    ///
    /// # Panics
    /// When nobody listens.
    pub fn connect(&self, address: SocketAddr, protocols: &[&str]) -> std::io::Result<Secure> {
        let mut stream = TcpStream::connect(address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
        let mut connection =
            ClientConnection::new(self.client(protocols), localhost()).map_err(std::io::Error::other)?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(connection, stream))
    }

    /// The same for an asynchronous client.
    ///
    /// # Panics
    /// When nobody listens or the handshake fails.
    pub async fn connect_async(
        &self,
        address: SocketAddr,
        protocols: &[&str],
    ) -> TlsStream<tokio::net::TcpStream> {
        let stream = tokio::net::TcpStream::connect(address).await.expect("connect");
        let connector = TlsConnector::from(self.client(protocols));
        connector.connect(localhost(), stream).await.expect("handshake")
    }

    fn client(&self, protocols: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

fn localhost() -> ServerName<'static> {
    ServerName::try_from("localhost").expect("a name")
}
