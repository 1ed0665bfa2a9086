//! What the router and its kernel programs agree on: the layouts of shared memory and the decisions made over them.
//!
//! Compiled twice: for the host into the router, and for BPF into `router-ebpf`. So nothing here allocates, panics,
//! loops without a bound or depends on another crate; and the decisions take values and return values, so that the same
//! code is tested on the host that later runs where no test can look.
//! Layouts hold fixed-width integers only, spell out their padding, and assert their sizes: a compiler that sees
//! one of them otherwise does not build it. [`VERSION`] changes with each of them.

#![no_std]
#![forbid(unsafe_code)]

pub mod count;
pub mod failure;
mod framing;
mod layout;
mod order;
mod packet;
mod place;
pub mod reason;
mod scan;
mod slot;

pub use framing::{Framing, Turn, kind, stage};
pub use layout::Layout;
pub use order::{Order, has_room};
pub use packet::{Waiting, has_room_beside};
pub use place::{Link, Place, Seen, seen};
pub use scan::{Cut, Scan, outcome};
pub use slot::{Course, Slot};

/// Of every layout and map here. The router refuses an object that was built with another.
pub const VERSION: u32 = 7;

#[cfg(test)]
mod tests;
