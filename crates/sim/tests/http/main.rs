//! The HTTP side of the simulated engine, in process on port 0, against recorded answers and by itself.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod behaviour;
mod binary;
mod client;
mod end;
mod faults;
mod kv_events;
mod page;
mod shapes;
