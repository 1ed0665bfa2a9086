//! Whether spans of requests are told, and to whom.

/// See `crate::spans`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tracing {
    /// `http://host:port` of an OpenTelemetry collector's gRPC port; empty: none is told. Empty.
    pub endpoint: String,
    /// Of requests that come without a parent, the share that is sampled. 1.
    pub sample: f32,
    /// What the router is called there. `warmlane-router`.
    pub service_name: String,
}
