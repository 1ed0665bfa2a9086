//! A CA for tests, and the certificates that it signs.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;
use warmlane_router::agents::AgentTls;
use warmlane_tls::Pair;

/// A CA whose certificate and key are in files.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that a CA signed and its key, in files that may get others.
pub struct Issued {
    folder: TempDir,
}

// === Authority ===

impl Authority {
    /// Makes one that nobody knows.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Not the name that all others have: Envoy would take what this one signs for self-signed.
        params.distinguished_name.push(DnType::CommonName, "a CA");
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate");
        write(folder.path(), &own.pem(), &key.serialize_pem());
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// Its certificate's file.
    pub fn file(&self) -> PathBuf {
        pair(self.folder.path()).certificate
    }

    /// Its certificate and key, as something that shows them by mistake would be given them.
    pub fn pair(&self) -> Pair {
        pair(self.folder.path())
    }

    /// Signs a certificate for this name or address.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn issue(&self, name: &str) -> Issued {
        let issued = Issued { folder: tempfile::tempdir().expect("a folder") };
        self.renew(&issued, name);
        issued
    }

    /// Puts another one in the place of what is there, whoever had signed that.
    ///
    /// # Panics
    /// When the disk is full.
    pub fn renew(&self, issued: &Issued, name: &str) {
        let params = CertificateParams::new([name.to_owned()]).expect("a name");
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("a certificate");
        write(issued.folder.path(), &signed.pem(), &key.serialize_pem());
    }

    /// What a router is set to that trusts this CA and shows nothing.
    pub fn trusted(&self) -> AgentTls {
        AgentTls { ca: self.file(), ..AgentTls::default() }
    }

    /// The same, and it shows this.
    pub fn trusted_with(&self, shown: &Issued) -> AgentTls {
        let Pair { certificate, key } = shown.pair();
        AgentTls { certificate, key, ..self.trusted() }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

// === Issued ===

impl Issued {
    /// The two files.
    pub fn pair(&self) -> Pair {
        pair(self.folder.path())
    }
}

fn pair(folder: &Path) -> Pair {
    Pair { certificate: folder.join("tls.crt"), key: folder.join("tls.key") }
}

fn write(folder: &Path, certificate: &str, key: &str) {
    let Pair { certificate: certificate_file, key: key_file } = pair(folder);
    fs::write(certificate_file, certificate).expect("written");
    fs::write(key_file, key).expect("written");
}
