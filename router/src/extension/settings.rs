//! What can be set of the extension server.

use std::{convert::Infallible, fmt, path::PathBuf, str::FromStr};

/// What the hooks put into Envoy's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionSettings {
    /// The domain of the cluster's Services. `cluster.local`.
    pub domain: String,
    /// How Envoy connects to pickers. Off.
    pub picker_tls: PickerTls,
}

/// How Envoy connects to pickers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PickerTls {
    /// In the clear.
    #[default]
    Off,
    /// By TLS, with whoever answers: it encrypts and proves nothing.
    Unverified,
    /// By TLS, with a certificate for the picker's Service that the CA in this PEM file signed.
    Authority(PathBuf),
}

/// Who may call the hooks. Paths may be empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtensionTls {
    /// PEM file of the chain that Envoy Gateway is shown, the server's own certificate first. Empty: hooks are called in the clear.
    pub certificate: PathBuf,
    /// PEM file of its private key.
    pub key: PathBuf,
    /// PEM file of the CA that callers' certificates must be signed by. Empty: anybody may call.
    pub client_ca: PathBuf,
}

// === ExtensionSettings ===

impl ExtensionSettings {
    /// Where a Service is.
    pub fn host(&self, service: &str, namespace: &str) -> String {
        format!("{service}.{namespace}.svc.{}", self.domain)
    }
}

impl Default for ExtensionSettings {
    fn default() -> Self {
        Self { domain: "cluster.local".to_owned(), picker_tls: PickerTls::default() }
    }
}

// === PickerTls ===

impl fmt::Display for PickerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Unverified => f.write_str("unverified"),
            Self::Authority(path) => path.display().fmt(f),
        }
    }
}

impl FromStr for PickerTls {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" | "off" => Self::Off,
            "unverified" => Self::Unverified,
            path => Self::Authority(path.into()),
        })
    }
}

// === ExtensionTls ===

impl ExtensionTls {
    /// Whether hooks are called over TLS.
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}
