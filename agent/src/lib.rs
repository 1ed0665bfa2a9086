//! What one node knows of its replicas and a router far away does not.
//!
//! The GPU side reads the node's cards and judges their health. It never chooses a replica: that is the picker's.

#![forbid(unsafe_code)]

pub mod gpu;
