//! The two ends of a connection: what each shows and asks for.

use std::sync::Arc;

use tokio_rustls::rustls::{
    ClientConfig, Error, ServerConfig,
    client::Resumption,
    crypto::ring,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};

use crate::{End, File, Pem, TlsError};

/// The end that listens.
#[derive(Clone, Debug)]
pub struct Server {
    /// The chain of certificates that it shows, its own first.
    pub certificate: File,
    /// The private key.
    pub key: File,
    /// Who must have signed what clients show; `None`: they show nothing.
    pub clients: Option<File>,
    /// What it speaks, preferred first, by ALPN's names.
    pub protocols: &'static [&'static [u8]],
}

/// The end that connects.
#[derive(Clone, Debug)]
pub struct Client {
    /// Who must have signed what servers show.
    pub authority: File,
    /// The chain of certificates that it shows and its private key; `None`: it shows nothing.
    pub identity: Option<(File, File)>,
    /// What it speaks, by ALPN's names.
    pub protocols: &'static [&'static [u8]],
}

// === Server ===

impl End for Server {
    type Config = ServerConfig;
    type Read = (Pem, Pem, Option<Pem>);

    fn read(&self) -> Result<Self::Read, TlsError> {
        let clients = self.clients.as_ref().map(File::read).transpose()?;
        Ok((self.certificate.read()?, self.key.read()?, clients))
    }

    fn config(&self, (certificate, key, clients): &Self::Read) -> Result<ServerConfig, TlsError> {
        let unusable = |why| unusable(certificate, key, why);
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => {
                let roots = Arc::new(clients.authorities()?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|why| clients.no_authority(&why))?)
            }
        };
        let mut config = builder.with_single_cert(certificate.chain()?, key.key()?).map_err(unusable)?;
        if clients.is_some() {
            // Who comes again shows its certificate again: it may have expired since.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        config.alpn_protocols = names(self.protocols);
        Ok(config)
    }
}

// === Client ===

impl End for Client {
    type Config = ClientConfig;
    type Read = (Pem, Option<(Pem, Pem)>);

    fn read(&self) -> Result<Self::Read, TlsError> {
        let read = |(certificate, key): &(File, File)| Ok((certificate.read()?, key.read()?));
        Ok((self.authority.read()?, self.identity.as_ref().map(read).transpose()?))
    }

    fn config(&self, (authority, identity): &Self::Read) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|why| authority.no_authority(&why))?;
        let builder = builder.with_root_certificates(authority.authorities()?);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificate.chain()?, key.key()?)
                .map_err(|why| unusable(certificate, key, why))?,
        };
        config.resumption = Resumption::disabled();
        config.alpn_protocols = names(self.protocols);
        Ok(config)
    }
}

fn unusable(certificate: &Pem, key: &Pem, why: Error) -> TlsError {
    TlsError::Unusable { certificate: certificate.file().path.clone(), key: key.file().path.clone(), why }
}

fn names(protocols: &[&[u8]]) -> Vec<Vec<u8>> {
    protocols.iter().map(|name| name.to_vec()).collect()
}
