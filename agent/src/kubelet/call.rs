//! One question to the kubelet, over a connection that lives for it alone.
//!
//! What comes back is bounded in time and size; the kubelet itself, which is root on the node, is trusted with the memory
//! that decoding such an answer takes.

use std::{
    error::Error,
    future::{Ready, ready},
    io,
    path::Path,
    task::{Context, Poll},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, time::timeout};
use tonic::{
    Code, Status,
    codegen::{Service, http::Uri},
    transport::Endpoint,
};
use warmlane_api::podresources::{
    ListPodResourcesRequest, pod_resources_lister_client::PodResourcesListerClient,
};

use super::pods::{self, Pod};

/// The longest answer that is read; the kubelet's own clients have the same limit.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// Characters of another's text that are logged.
const LONGEST_TEXT: usize = 200;

/// Why the kubelet did not tell.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// There is no socket.
    #[error(
        "there is no such socket: not a node of Kubernetes, or its directory is not mounted into this container"
    )]
    Missing,
    /// This process may not use it.
    #[error("this process may not use it: run the agent as root")]
    Denied,
    /// Nobody listens.
    #[error(
        "nobody listens there: the kubelet is down, or the socket alone is mounted and not its directory"
    )]
    Refused,
    /// Another failure of connecting.
    #[error("cannot connect: {0}")]
    Unconnected(io::Error),
    /// Too slow.
    #[error("no answer within {0:?}: see how the kubelet does (journalctl -u kubelet)")]
    TimedOut(Duration),
    /// More than is read.
    #[error("its answer is longer than {MAX_ANSWER_BYTES} bytes: is this the kubelet's socket?")]
    TooLarge,
    /// It has no such method.
    #[error("it does not know the pod-resources API v1: kubelets do from Kubernetes 1.20 on")]
    Unknown,
    /// It answered something else.
    #[error("it does not answer as a kubelet does: is this its socket? ({code:?}: {text})")]
    Answered {
        /// gRPC's.
        code: Code,
        /// Its words, or the client's about them.
        text: String,
    },
}

/// Hands out a connection that was made before: once.
struct Made(Option<UnixStream>);

/// Asks the kubelet behind `socket` which pod has which GPU.
pub(super) async fn list(socket: &Path, limit: Duration) -> Result<Vec<Pod>, Trouble> {
    timeout(limit, ask(socket)).await.unwrap_or(Err(Trouble::TimedOut(limit)))
}

async fn ask(socket: &Path) -> Result<Vec<Pod>, Trouble> {
    let stream = UnixStream::connect(socket).await?;
    // No name is looked up for it: the connection is there already.
    let endpoint = Endpoint::from_static("http://localhost");
    let connected = endpoint.connect_with_connector(Made(Some(stream))).await;
    let channel = connected.map_err(|error| Trouble::answered(Code::Unavailable, &innermost(&error)))?;
    let mut client = PodResourcesListerClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
    let answer = client.list(ListPodResourcesRequest {}).await?;
    Ok(pods::pods(answer.get_ref()))
}

/// The cause at the bottom: those above it only say that the transport failed.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

// === Trouble ===

impl Trouble {
    /// As counters call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Denied => "denied",
            Self::Refused => "refused",
            Self::Unconnected(_) => "unconnected",
            Self::TimedOut(_) => "timeout",
            Self::TooLarge => "too_large",
            Self::Unknown => "unknown_api",
            Self::Answered { .. } => "error",
        }
    }

    /// With as much of the text as a log line should hold, and nothing that moves a terminal.
    fn answered(code: Code, text: &str) -> Self {
        let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
        Self::Answered { code, text: text.chars().take(LONGEST_TEXT).map(plain).collect() }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing,
            io::ErrorKind::PermissionDenied => Self::Denied,
            io::ErrorKind::ConnectionRefused => Self::Refused,
            _ => Self::Unconnected(error),
        }
    }
}

impl From<Status> for Trouble {
    fn from(status: Status) -> Self {
        match status.code() {
            Code::Unimplemented => Self::Unknown,
            // What the client says of a message over its limit.
            Code::OutOfRange => Self::TooLarge,
            // Of a broken connection the text alone only says that the transport failed.
            code => {
                Self::answered(code, &status.source().map_or_else(|| status.message().to_owned(), innermost))
            }
        }
    }
}

// === Made ===

impl Service<Uri> for Made {
    type Response = TokioIo<UnixStream>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        // Asked again only when the first one broke, and then the question has failed.
        let broken = || io::Error::new(io::ErrorKind::NotConnected, "it ended the connection");
        ready(self.0.take().map(TokioIo::new).ok_or_else(broken))
    }
}
