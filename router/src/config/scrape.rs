//! How often engines are read.

use std::time::Duration;

/// See the module's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Shortest time between two readings of one engine. 50 ms.
    pub min_interval: Duration,
    /// Longest, when nothing moves. 1 s.
    pub max_interval: Duration,
    /// A reading that takes longer is given up. 2 s.
    pub timeout: Duration,
    /// Most readings a second, of all engines together. 2,000.
    pub rate: usize,
}
