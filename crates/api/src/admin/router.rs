//! `/debug/router`: which router this is, and whether it serves.

use serde::{Deserialize, Serialize};

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Router {
    /// Of the program.
    pub version: String,
    /// Since it started.
    pub uptime_seconds: f64,
    /// New requests can be served.
    pub ready: bool,
    /// As `/readyz` has it: how many replicas are ready, or why nothing can be served.
    pub readiness: String,
}
