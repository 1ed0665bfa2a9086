//! PEM files, and what they hold.

use std::path::PathBuf;

use tokio_rustls::rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use crate::TlsError;

/// A PEM file and what it is called.
#[derive(Clone, Debug, Hash)]
pub struct File {
    /// The setting that names it, for messages.
    pub setting: &'static str,
    /// Where it is.
    pub path: PathBuf,
}

/// What a file held when it was read.
#[derive(Hash)]
pub struct Pem {
    file: File,
    text: Vec<u8>,
}

// === File ===

impl File {
    /// A file that a setting names.
    pub fn new(setting: &'static str, path: impl Into<PathBuf>) -> Self {
        Self { setting, path: path.into() }
    }

    /// What it holds now.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(&self) -> Result<Pem, TlsError> {
        let failed = |why| TlsError::Read { setting: self.setting, path: self.path.clone(), why };
        Ok(Pem { file: self.clone(), text: std::fs::read(&self.path).map_err(failed)? })
    }
}

// === Pem ===

impl Pem {
    /// Text that no file holds.
    pub fn new(file: File, text: impl Into<Vec<u8>>) -> Self {
        Self { file, text: text.into() }
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// A chain of certificates, at least one.
    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| self.empty("certificate"))
    }

    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(&self.text).map_err(|_| self.empty("private key"))
    }

    /// Certificates whose signature on others is believed.
    pub(crate) fn authorities(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.chain()? {
            roots.add(certificate).map_err(|why| self.no_authority(&why))?;
        }
        Ok(roots)
    }

    pub(crate) fn no_authority(&self, why: &impl ToString) -> TlsError {
        let File { setting, path } = self.file.clone();
        TlsError::Authority { setting, path, why: why.to_string() }
    }

    fn empty(&self, what: &'static str) -> TlsError {
        let text = String::from_utf8_lossy(&self.text);
        let hint = match () {
            () if text.contains("ENCRYPTED PRIVATE KEY") => "it is encrypted; decrypt it with openssl pkey",
            () if text.contains("PRIVATE KEY") || text.contains("CERTIFICATE") => {
                "are the two files swapped?"
            }
            () => "does it begin with -----BEGIN?",
        };
        let File { setting, path } = self.file.clone();
        TlsError::Empty { setting, path, what, hint }
    }
}
