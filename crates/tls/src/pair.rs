//! A certificate and its key, as people write them in one setting.

use std::{fmt, path::PathBuf, str::FromStr};

/// See the module's header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// PEM file of the chain, the end's own certificate first.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
}

// === Pair ===

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.certificate.display(), self.key.display())
    }
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(',').map(|(certificate, key)| (certificate.trim(), key.trim())) {
            Some((certificate, key)) if !certificate.is_empty() && !key.is_empty() => {
                Ok(Self { certificate: certificate.into(), key: key.into() })
            }
            _ => Err("write the PEM files of a certificate and its key: CERT,KEY"),
        }
    }
}
