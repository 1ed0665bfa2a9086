//! How the kernel lane is used.

use std::{fmt, path::PathBuf, str::FromStr};

/// Settings of the kernel lane: see `crate::lane`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    /// Which responses may take it. `pinned`.
    pub mode: LaneMode,
    /// Whether those of pods on other nodes may take it too. `off`.
    pub remote: RemoteLane,
    /// The kernel programs; empty: beside the router, or in `../lib/warmlane`. Empty.
    pub object: PathBuf,
    /// The cgroup v2 whose connections are seen; empty: the root of the hierarchy. Empty.
    pub cgroup: PathBuf,
    /// Most kernel memory that may wait to be sent to one client; beyond it its response is copied. Half of it for
    /// pods on other nodes. 1 MiB.
    pub budget: u32,
}

/// Which responses may take the kernel lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneMode {
    /// None: no program is loaded.
    Off,
    /// Those of pinned sessions and prefix groups.
    #[default]
    Pinned,
    /// All that gain.
    All,
}

/// Whether responses of pods on other nodes may take the kernel lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemoteLane {
    /// They are copied.
    #[default]
    Off,
    /// Where those of pods on this node may, so may they.
    On,
}

// === LaneMode ===

impl fmt::Display for LaneMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::Pinned => "pinned",
            Self::All => "all",
        })
    }
}

impl FromStr for LaneMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "pinned" => Ok(Self::Pinned),
            "all" => Ok(Self::All),
            _ => Err("valid values are off, pinned and all"),
        }
    }
}

// === RemoteLane ===

impl fmt::Display for RemoteLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
        })
    }
}

impl FromStr for RemoteLane {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self::Off),
            "on" => Ok(Self::On),
            _ => Err("valid values are off and on"),
        }
    }
}
