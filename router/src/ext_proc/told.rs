//! What the gateway tells of a response beside it: who gave it, after how many tries, and whether it is an endpoint's at all.
//!
//! Envoy answers by itself when it reaches no endpoint, and its 503 looks like an endpoint's. `response.code_details` tells
//! them apart, where the filter is configured to send that attribute (`response_attributes`).

use std::net::SocketAddr;

use bytes::Bytes;
use prost::Message;

use super::{
    messages::{AttributesEntry, Kind, Metadata, Value},
    names::{LB, SERVED},
};

/// Where a response comes from, and of which of Envoy's tries it is; by the names of Envoy's attributes.
const DETAILS: &str = "response.code_details";
const ATTEMPTS: &str = "upstream.request_attempt_count";

/// See the module's header.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Who gave it.
    pub(super) served: Option<SocketAddr>,
    /// Envoy went to more than one endpoint.
    pub(super) was_retried: bool,
    pub(super) origin: Origin,
}

/// Where a response comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Origin {
    /// Nobody has told.
    #[default]
    Untold,
    /// An endpoint.
    Endpoint,
    /// The gateway: it could not reach the endpoint, or was cut off before a response.
    Unreachable,
    /// The gateway, for a reason of its own.
    Gateway,
}

// === Told ===

impl Told {
    /// Reads what came with the first message of a response.
    pub(super) fn read(metadata: Option<&Bytes>, attributes: &[Bytes]) -> Self {
        let mut told = Self { served: metadata.and_then(served), ..Self::default() };
        for entry in attributes.iter().filter_map(|entry| AttributesEntry::decode(entry.clone()).ok()) {
            let Some(attributes) = entry.attributes else { continue };
            if let Some(Kind::Text(details)) = attributes.fields.get(DETAILS).and_then(kind) {
                told.origin = origin(details);
            }
            if let Some(Kind::Number(count)) = attributes.fields.get(ATTEMPTS).and_then(kind) {
                told.was_retried = *count > 1.0;
            }
        }
        told
    }
}

fn kind(value: &Value) -> Option<&Kind> {
    value.kind.as_ref()
}

fn served(metadata: &Bytes) -> Option<SocketAddr> {
    let metadata = Metadata::decode(metadata.clone()).ok()?;
    match metadata.get(LB, SERVED).and_then(kind)? {
        Kind::Text(text) => text.parse().ok(),
        Kind::Number(_) | Kind::List(_) | Kind::Struct(_) => None,
    }
}

/// By Envoy's own words (its documentation, "Response code details").
fn origin(details: &str) -> Origin {
    match details.strip_prefix("upstream_reset_before_response_started{") {
        // A limit of Envoy's, and its own giving up.
        Some(why) if why.starts_with("overflow") || why.starts_with("local_") => Origin::Gateway,
        Some(_) => Origin::Unreachable,
        None if details == "via_upstream" => Origin::Endpoint,
        None => Origin::Gateway,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_cannot_be_reached_is_told_from_one_that_is_busy() {
        let reset = |why: &str| origin(&format!("upstream_reset_before_response_started{{{why}}}"));
        assert_eq!(origin("via_upstream"), Origin::Endpoint);
        assert_eq!(
            reset("remote_connection_failure|delayed_connect_error:_Connection_refused"),
            Origin::Unreachable
        );
        assert_eq!(reset("connection_termination"), Origin::Unreachable);
        assert_eq!(reset("overflow"), Origin::Gateway);
        assert_eq!(reset("local_reset"), Origin::Gateway);
        assert_eq!(origin("no_healthy_upstream"), Origin::Gateway);
    }
}
