//! Who is not let in, and what the log says of it.

use std::{net::SocketAddr, time::Duration};

use warmlane_tls::Failed;

use crate::pace::Pace;

/// A connection that is not let in.
pub(super) struct Refused {
    pub(super) from: SocketAddr,
    pub(super) why: Why,
}

pub(super) enum Why {
    Failed(Failed),
    /// It took longer than this.
    Slow(Duration),
}

/// Says in the log, now and then, who is not let in.
pub(super) struct Complaint(Pace);

// === Refused ===

impl Refused {
    /// What may be wrong, as a question: only people can know.
    fn hint(&self) -> &'static str {
        match &self.why {
            Why::Failed(Failed::NotTls) => "; is it a router without --agent-tls-ca?",
            Why::Failed(Failed::NoCertificate) => {
                "; is it a router without --agent-tls-certificate and --agent-tls-key?"
            }
            Why::Failed(Failed::Foreign) => "; is its certificate signed by the CA in --tls-client-ca?",
            Why::Failed(Failed::Untrusted) => {
                "; is --tls signed by the CA in that router's --agent-tls-ca, and for the name that it dials or has in \
                 --agent-tls-name?"
            }
            Why::Failed(
                Failed::Authority
                | Failed::Name { .. }
                | Failed::Expired
                | Failed::Early
                | Failed::Certificate(_)
                | Failed::Wanted
                | Failed::NothingCommon
                | Failed::BrokenOff
                | Failed::Closed
                | Failed::Other(_),
            )
            | Why::Slow(_) => "",
        }
    }

    fn why(&self) -> String {
        match &self.why {
            Why::Failed(failed) => failed.to_string(),
            Why::Slow(limit) => format!("the handshake did not come to an end within {limit:?}"),
        }
    }
}

// === Complaint ===

impl Complaint {
    pub(super) fn new() -> Self {
        Self(Pace::of(1))
    }

    pub(super) fn about(&mut self, refused: &Refused) {
        let (from, why, hint) = (refused.from, refused.why(), refused.hint());
        tracing::debug!(%from, "a TLS handshake failed: {why}");
        // A probe that connects and leaves is no event.
        if matches!(refused.why, Why::Failed(Failed::Closed)) {
            return;
        }
        if let Some(not_logged) = self.0.turn() {
            tracing::warn!(%from, not_logged, "somebody who dialled is not let in: {why}{hint}");
        }
    }
}
