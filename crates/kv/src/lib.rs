//! Follows the KV events of one engine: the set of blocks that it holds, kept by sequence numbers, replays and new starts.
//!
//! Start reading at [`Follower`]: it subscribes, asks for a replay of what it missed, and takes frames in order;
//! [`order`] decides, without sockets or clocks, what a frame means. What changes goes to a [`Sink`].
//!
//! Bounds: a frame of 8 MiB, and what it decodes to, at a time; the blocks themselves ([`warmlane_engine::kv_events::MOST`]).

#![forbid(unsafe_code)]

mod follower;
pub mod order;
mod sink;
mod trouble;
pub mod zmtp;

pub use follower::Follower;
pub use sink::{Fit, Sink, State};
pub use trouble::Trouble;
