//! What a script may say.

use std::collections::BTreeMap;

use serde::Deserialize;

/// NVML return codes by name of the call.
pub(crate) type Failures = BTreeMap<String, u32>;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Script {
    /// Version of the driver.
    pub(crate) driver: String,
    /// Calls that are about no card and fail.
    pub(crate) fail: Failures,
    /// Calls that are about no card and take so long, or until the script says otherwise.
    pub(crate) hang_ms: BTreeMap<String, u64>,
    /// In order of index.
    pub(crate) devices: Vec<Device>,
}

/// A card, or a MIG slice of one.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Device {
    pub(crate) uuid: String,
    pub(crate) name: String,
    pub(crate) values: BTreeMap<String, u64>,
    pub(crate) fail: Failures,
    /// As [`Script::hang_ms`].
    pub(crate) hang_ms: BTreeMap<String, u64>,
    /// Every call fails with `GPU_IS_LOST`, until this ends and the library is started anew.
    pub(crate) lost: bool,
    /// All XIDs so far: each one appended is raised once.
    pub(crate) xids: Vec<u64>,
    /// A card that has any is in MIG mode.
    pub(crate) slices: Vec<Device>,
}
