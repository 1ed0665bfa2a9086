//! The cards of this node: what they measure, and whether requests should still go to them.
//!
//! [`Watch`] reads every card and publishes a list of [`Gpu`]s; [`Health`] is the pure rule that turns readings and
//! XID events into a [`Verdict`]. A node without NVML has an empty list and is no worse off otherwise: load signals
//! come from the engines.

use std::{sync::Arc, time::Instant};

pub mod health;
mod nvml;
pub mod sample;
mod watch;
pub mod xid;

pub use health::{Absence, Cause, Health, Verdict};
pub use nvml::LibrarySource;
pub use sample::Sample;
pub use watch::{Driver, Settings, Watch};

/// A card, or a MIG slice of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Gpu {
    /// The last reading that gave anything; only the index is in it where none did.
    pub sample: Arc<Sample>,
    /// A slice's is its card's: a fault of the card is a fault of every slice.
    pub verdict: Verdict,
    /// When the sample was taken; `None` where the card never answered.
    pub read_at: Option<Instant>,
}
