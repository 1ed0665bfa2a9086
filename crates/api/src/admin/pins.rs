//! `/debug/pins`: sessions and prefix groups that are pinned, with what the kernel lane carried for each; and `/debug/groups`,
//! the groups alone. `?limit=` says how many rows of each kind are shown, those used last.

use serde::{Deserialize, Serialize};

/// The page `/debug/pins`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Pins {
    /// By what clients call their sessions.
    pub sessions: Sessions,
    /// By what many prompts begin with.
    pub groups: Groups,
}

/// The page `/debug/groups`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GroupPins {
    /// As in [`Pins`].
    pub groups: Groups,
}

/// Pinned sessions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sessions {
    /// In all, shown or not.
    pub pinned: usize,
    /// Room for so many; then the one idle longest goes.
    pub capacity: usize,
    /// A session that is idle for so long is forgotten.
    pub lifetime_seconds: f64,
    /// Those used last.
    pub pins: Vec<Session>,
}

/// A pinned session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Session {
    /// The first bits of its key's hash: 16 hexadecimal digits.
    pub session: String,
    /// Where its requests go; `None`: it left the pool just now.
    pub endpoint: Option<String>,
    /// That one runs on the router's own node.
    pub local: Option<bool>,
    /// Since its last request.
    pub idle_seconds: f64,
    /// By the kernel lane.
    pub lane: Carried,
}

/// Pinned prefix groups.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Groups {
    /// In all, shown or not.
    pub pinned: usize,
    /// Room for so many; then the one idle longest goes.
    pub capacity: usize,
    /// Requests within this time make a group, and keep one.
    pub window_seconds: f64,
    /// So many of them, with one prefix. Zero: it is a router that does not say so yet.
    #[serde(default)]
    pub min_requests: u16,
    /// Those used last.
    pub pins: Vec<Group>,
}

/// A pinned prefix group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Group {
    /// The first bits of its prefix's hash: 16 hexadecimal digits.
    pub group: String,
    /// Where its requests go; the one that joined last first.
    pub endpoints: Vec<String>,
    /// Since its last request.
    pub idle_seconds: f64,
    /// By the kernel lane.
    pub lane: Carried,
}

/// What the kernel lane carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Carried {
    /// Responses that took it.
    pub responses: u64,
    /// Their payload that did.
    pub bytes: u64,
    /// Messages for which the router was not woken.
    pub wakeups_saved: u64,
}
