//! A recorded decision, made again.
//!
//! A pick is a pure function, so what it was made of is all that must be kept of it: [`Inputs`] beside the snapshot and the
//! profile of that moment. [`explain`] makes the same decision again and says why it came out so; with another profile it says
//! what would have been. [`mod@file`] is the format in which decisions leave a router.
//!
//! No prompt is in any of this: lengths and hashes only.

#![forbid(unsafe_code)]

mod choice;
pub mod file;
mod inputs;
mod recorded;
mod state;
mod why;

pub use choice::{Admit, Asked, Refusal, choice, explain, sentence};
pub use inputs::{Held, Inputs};
pub use state::{State, weights};
