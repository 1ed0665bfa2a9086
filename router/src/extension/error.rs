//! Why a hook is refused. Envoy Gateway then keeps the configuration that it last made, unless it is told to fail open.

use std::{io, path::PathBuf};

use bytes::Bytes;
use tokio::task::JoinError;
use tonic::Status;
use warmlane_api::kube::Invalid;

use super::wire::{Malformed, Message};
use crate::metrics::HookOutcome;

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
    #[error("InferencePool {pool}: cannot read {path} (extension.picker_tls): {why}; is the secret mounted?")]
    Authority {
        /// The pool whose picker it is for.
        pool: String,
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        why: io::Error,
    },
    /// The task that worked on it is gone.
    #[error("the router broke off: {0}; this is a defect of it")]
    Broken(#[from] JoinError),
    /// One of the above, in a part of the configuration.
    #[error("{part}: {cause}")]
    In {
        /// What it is and its name.
        part: String,
        /// What is wrong there.
        cause: Box<Self>,
    },
}

// === ExtensionError ===

impl ExtensionError {
    /// The same with the part of the configuration where it is, whose name stands in this field: unless it names an object itself.
    pub(super) fn within(self, kind: &str, part: &Bytes, name: u32) -> Self {
        match self {
            Self::Version { .. }
            | Self::Pool { .. }
            | Self::Authority { .. }
            | Self::Broken(_)
            | Self::In { .. } => self,
            Self::Malformed(_) | Self::Json(_) | Self::Nameless(_) | Self::Mark(_) => {
                let whole = Message::parse("", part);
                let name = whole.as_ref().ok().and_then(|part| part.bytes(name));
                let name = name.map_or("without a name".into(), |name| String::from_utf8_lossy(name));
                Self::In { part: format!("{kind} {name}"), cause: self.into() }
            }
        }
    }

    /// How it is counted.
    pub fn outcome(&self) -> HookOutcome {
        match self {
            Self::Malformed(_) | Self::Json(_) => HookOutcome::Unreadable,
            Self::Nameless(_) | Self::Version { .. } | Self::Pool { .. } => HookOutcome::Pool,
            Self::Mark(_) => HookOutcome::Mark,
            Self::Authority { .. } => HookOutcome::Authority,
            Self::Broken(_) => HookOutcome::Broken,
            Self::In { cause, .. } => cause.outcome(),
        }
    }
}

impl From<ExtensionError> for Status {
    fn from(error: ExtensionError) -> Self {
        let text = error.to_string();
        match error.outcome() {
            HookOutcome::Unreadable | HookOutcome::Pool | HookOutcome::Mark => Self::invalid_argument(text),
            // Not UNAVAILABLE, which Envoy Gateway would try again at once.
            HookOutcome::Authority => Self::failed_precondition(text),
            HookOutcome::Broken | HookOutcome::Ok => Self::internal(text),
        }
    }
}
