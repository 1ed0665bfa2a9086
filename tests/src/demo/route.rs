//! The three ways from client to replica that are compared.

/// One way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// The plain listener, a random replica for each request.
    Plain,
    /// The plain listener, the replica with the fewest requests in flight.
    PlainLeastRequest,
    /// The inference-aware listener.
    Aware,
}

impl Route {
    /// In the order in which they are run and shown.
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::PlainLeastRequest, Self::Aware];

    /// Name in the JSON file.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::PlainLeastRequest => "plain_least_request",
            Self::Aware => "aware",
        }
    }

    /// Name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain, random",
            Self::PlainLeastRequest => "plain, least request",
            Self::Aware => "aware",
        }
    }

    /// The same in Envoy's words.
    pub(super) fn envoy_policy(self) -> &'static str {
        match self {
            Self::Plain | Self::Aware => "RANDOM",
            Self::PlainLeastRequest => "LEAST_REQUEST",
        }
    }

    /// What the plain listener is told to do; on the aware route it is only there to be tried by hand.
    pub(super) fn plain_policy(self) -> &'static str {
        match self {
            Self::Plain | Self::Aware => "random",
            Self::PlainLeastRequest => "least-request",
        }
    }
}
