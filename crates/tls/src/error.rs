//! Why files make no end of a connection.

use std::{io, path::PathBuf};

use tokio_rustls::rustls;

/// See the module's header.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path} ({setting}): {why}{}", hint(.why))]
    Read {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        why: io::Error,
    },
    /// Not a PEM file, or one without what it must hold.
    #[error("{path} ({setting}) holds no {what} in PEM form: {hint}")]
    Empty {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// What may be the reason.
        hint: &'static str,
    },
    /// The two do not make an identity.
    #[error("{certificate} and {key} cannot be used together: {why}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// Its key's.
        key: PathBuf,
        /// What is wrong.
        why: rustls::Error,
    },
    /// A certificate that others' certificates cannot be checked by.
    #[error(
        "{path} ({setting}) is no CA to check certificates by: {why}; name the PEM file of the CA's own certificate"
    )]
    Authority {
        /// The setting that names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

fn hint(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::NotFound => "; is the path right, and the secret mounted?",
        io::ErrorKind::PermissionDenied => "; may the user that this runs as read it?",
        _ => "",
    }
}
