//! Harness: the whole router in process on port 0, raw engines that record and misbehave, a raw client.
//!
//! Everything here blocks and uses threads of its own, so that a test reads as a dialogue and a suite needs no
//! runtime. Waiting is for a condition ([`eventually`]), never for a time.

#![forbid(unsafe_code)]

pub mod admin;
pub mod agent;
pub mod boards;
pub mod browser;
pub mod caller;
pub mod cgroup;
pub mod clusters;
pub mod demo;
pub mod engine;
pub mod envoy;
pub mod follower;
pub mod gateway;
pub mod http2;
pub mod kube;
pub mod kubelet;
pub mod lane;
pub mod namespace;
pub mod nodes;
pub mod nvml;
pub mod observed;
mod palette;
pub mod picker;
pub mod pickers;
pub mod prometheus;
pub mod proxy;
pub mod rides;
pub mod router;
pub mod soak;
pub mod terminal;
pub mod tls;
pub mod told;
pub mod torrent;
pub mod wire;

pub use engine::{Behaviour, RawEngine, Seen};
pub use router::TestRouter;
pub use wire::{Response, Wire};

use std::time::{Duration, Instant};

/// How long a condition may take on a busy machine before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// On a page of metrics, the sum of all lines that start with `series`.
pub(crate) fn metric(page: &str, series: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(series));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until `condition` holds.
///
/// # Panics
/// With `what` when it does not come true.
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "did not come true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
