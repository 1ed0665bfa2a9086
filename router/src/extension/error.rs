//! Why a hook is refused. Envoy Gateway then keeps the configuration that it last made, unless it is told to fail open.

use std::{io, path::PathBuf};

use tonic::Status;
use warmlane_api::kube::Invalid;

use super::wire::Malformed;

/// See the module's header.
#[derive(Debug, thiserror::Error)]
pub enum ExtensionError {
    /// What should be a part of Envoy's configuration is none.
    #[error("Envoy Gateway sent something that cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// What should be an object of Kubernetes is no JSON.
    #[error("a backend is no JSON object: {0}")]
    Json(#[from] serde_json::Error),
    /// An object without a name.
    #[error("an InferencePool has no {0}")]
    Nameless(&'static str),
    /// A version that nobody here knows.
    #[error(
        "InferencePool {pool}: apiVersion: {version:?} is unknown; known are inference.networking.k8s.io/v1 and \
         inference.networking.x-k8s.io/v1alpha2"
    )]
    Version {
        /// The pool.
        pool: String,
        /// What it says.
        version: String,
    },
    /// A pool that cannot be routed to.
    #[error("InferencePool {pool}: {invalid}")]
    Pool {
        /// Its namespace and name.
        pool: String,
        /// The field, and what is wrong with it.
        invalid: Invalid,
    },
    /// A cluster that this server has marked, and somebody else has changed.
    #[error("a cluster's metadata warmlane.dev does not say {0}: has another extension changed it?")]
    Mark(&'static str),
    /// The CA of pickers cannot be read.
    #[error("cannot read {path} (extension.picker_tls): {why}; is the secret mounted?")]
    Authority {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        why: io::Error,
    },
}

impl From<ExtensionError> for Status {
    fn from(error: ExtensionError) -> Self {
        let text = error.to_string();
        match error {
            ExtensionError::Malformed(_)
            | ExtensionError::Json(_)
            | ExtensionError::Nameless(_)
            | ExtensionError::Version { .. }
            | ExtensionError::Pool { .. }
            | ExtensionError::Mark(_) => Self::invalid_argument(text),
            // Not UNAVAILABLE, which Envoy Gateway would try again at once.
            ExtensionError::Authority { .. } => Self::failed_precondition(text),
        }
    }
}
