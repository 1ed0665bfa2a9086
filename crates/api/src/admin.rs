//! The pages that routers and agents show on their admin ports, as values: who serves a page fills one, who reads it gets the
//! same one. JSON, UTF-8, indented by two spaces.
//!
//! Versions meet: a reader ignores what it does not know. What a page has had from its beginning must be there; what came later
//! is an `Option` or has a default, so that an older page can be read too.

use serde::{Deserialize, Serialize};

mod actions;
mod agents;
pub mod answer;
mod decisions;
mod endpoints;
pub mod foreign;
mod lane;
mod node;
#[cfg(feature = "schema")]
pub mod openapi;
mod pins;
mod pools;
pub mod route;
mod router;

pub use actions::{Changed, Log, Now, SetLog, SwitchLane};
pub use agents::{Agent, Agents, Gpu, Kv};
pub use decisions::{
    Choice, Considered, Counts, Decision, Decisions, Estimate, Explanation, Outcome, Stated,
};
pub use endpoints::{Aged, Endpoint, Endpoints, Lora, Signals};
pub use lane::Lane;
pub use node::{Card, Follower, Held, Node, NodeEngine, Source};
pub use pins::{Carried, Group, GroupPins, Groups, Pins, Session, Sessions};
pub use pools::{Cluster, Model, Pool, Pools, Refused, Target};
pub use router::Router;

/// The header that every answer of an admin port has: the version of who answers.
pub const VERSION_HEADER: &str = "warmlane-version";

/// Where a router, or an agent, has which page.
pub mod path {
    /// [`super::Router`].
    pub const ROUTER: &str = "/debug/router";
    /// [`super::Endpoints`].
    pub const ENDPOINTS: &str = "/debug/endpoints";
    /// [`super::Agents`].
    pub const AGENTS: &str = "/debug/agents";
    /// [`super::Lane`].
    pub const LANE: &str = "/debug/lane";
    /// [`super::Pins`].
    pub const PINS: &str = "/debug/pins";
    /// [`super::GroupPins`].
    pub const GROUPS: &str = "/debug/groups";
    /// [`super::Pools`].
    pub const POOLS: &str = "/debug/pools";
    /// [`super::Decisions`], and below it [`super::Explanation`] by the id of a request.
    pub const DECISIONS: &str = "/debug/decisions";
    /// [`super::Explanation`] of a body that is posted.
    pub const EXPLAIN: &str = "/debug/explain";
    /// [`super::Log`], and where its filter is set.
    pub const LOG: &str = "/debug/log";
    /// The settings, as text with the source of each.
    pub const CONFIG: &str = "/debug/config";
    /// Of an agent: [`super::Node`].
    pub const NODE: &str = "/debug/node";
    /// What the port has, as OpenAPI describes it.
    pub const OPENAPI: &str = "/openapi.json";
    /// Text: whether requests can be served, and why not.
    pub const READY: &str = "/readyz";
    /// Text: that it answers.
    pub const HEALTH: &str = "/healthz";
}

/// What an answer other than 200 holds, where it is JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// Why.
    pub error: Problem,
}

/// See [`Failure`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Problem {
    /// For people.
    pub message: String,
    /// What could be asked instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
}

/// A key as pages have it: more digits than a JSON number is sure to keep.
pub fn hex(key: u64) -> String {
    format!("{key:016x}")
}

/// A page as it is sent.
pub fn text(page: &impl Serialize) -> String {
    // Strings and numbers always serialise; the fallback only keeps this function total.
    serde_json::to_string_pretty(page).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")) + "\n"
}

// === Failure ===

impl Failure {
    /// Why something cannot be had, and what can.
    pub fn new(message: impl Into<String>, paths: &[&str]) -> Self {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        Self { error: Problem { message: message.into(), paths } }
    }
}

#[cfg(test)]
mod tests;
