//! `/debug/lane`: the kernel lane, whether it is on and why not, and every way that messages took.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Lane {
    /// Responses may take it now.
    pub on: bool,
    /// Which responses may take it, as configured: `off`, `pinned` or `all`.
    pub mode: String,
    /// Those of pods on other nodes may take it too.
    pub remote: bool,
    /// `None` while it is on.
    pub why_off: Option<String>,
    /// The programs' file.
    pub object: Option<String>,
    /// The kernel's numbers for the programs.
    pub programs: Vec<u32>,
    /// Connections to pods that take part now.
    pub pods: usize,
    /// Of clients.
    pub clients: usize,
    /// Since the router started; `None` where it was off from the start.
    pub counts: Option<BTreeMap<String, u64>>,
    /// Why the kernel left responses to the router.
    pub handed_over: Option<BTreeMap<String, u64>>,
}
