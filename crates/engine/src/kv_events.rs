//! What an engine publishes about its KV cache: one payload in, its events out; and the set of blocks they add up to.
//!
//! A payload is msgpack `[time, [events...], rank]`. vLLM 0.32 writes an event as a map, 0.17 as an array in the same
//! order; both are read. Not here: sequence numbers and sockets.
//!
//! Bounds: a payload of n bytes allocates at most 64 n bytes while it is decoded. No list reserves more entries than
//! bytes are left, and an entry is at most 32 bytes. Nesting is skipped without recursion.

use thiserror::Error;

mod blocks;
mod decode;
mod digest;
mod event;
mod reader;
#[cfg(test)]
mod tests;

pub use blocks::{Blocks, Changes, MOST, chain, chained, root};
pub use decode::decode;
pub use digest::Digest;

/// Longest payload that is read.
pub const MAX_PAYLOAD: usize = 64 << 20;

/// Most events in one payload.
pub const MAX_EVENTS: usize = 1 << 16;

/// Longest adapter name, salt, medium or event type, in bytes.
pub const MAX_TEXT: usize = 1024;

/// One payload.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The engine's clock, in seconds since 1970.
    pub time: f64,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The data-parallel rank that says so.
    pub rank: Option<u32>,
}

/// One change of the cache.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Blocks were cached.
    Stored(Box<Stored>),
    /// Blocks were evicted.
    Removed(Box<Removed>),
    /// Everything was dropped.
    Cleared,
    /// A type this reader does not know.
    Unknown(Box<str>),
}

// The bound on memory counts on it.
const _: () = assert!(size_of::<Event>() <= 32 && size_of::<Stored>() <= 256);

/// A run of blocks, each the child of the one before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stored {
    /// The engine's own hashes, in order.
    pub hashes: Vec<u64>,
    /// The engine's hash of the block before the first; none at the start of a prompt.
    pub parent: Option<u64>,
    /// Token ids of all the blocks.
    pub tokens: Vec<u32>,
    /// Tokens per block.
    pub block_size: u32,
    /// Name of the adapter.
    pub adapter: Option<Box<str>>,
    /// Cache salt, known where the run starts a prompt.
    pub salt: Option<Box<str>>,
    /// Per block, a hash of what else tells it from others with the same tokens, such as an image; 0 for nothing.
    pub extras: Vec<u64>,
    /// Where the blocks lie.
    pub place: Place,
}

/// Evicted blocks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Removed {
    /// The engine's own hashes.
    pub hashes: Vec<u64>,
    /// Where the blocks lay.
    pub place: Place,
}

/// A medium and a group of layers. One block may lie in several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// `GPU`, `CPU` or another; none in old engines.
    pub medium: Option<Box<str>>,
    /// Number of the group of layers.
    pub group: u32,
}

/// Why a payload cannot be read. Reading it again does not help.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The payload ends inside a value.
    #[error("the payload ends inside a value: was the frame cut?")]
    Truncated,
    /// A value has a type that does not belong there.
    #[error("{0} has another type than vLLM gives it: is this a KV event payload?")]
    Type(&'static str),
    /// A limit was exceeded.
    #[error("{0} is larger than this reader takes")]
    TooLarge(&'static str),
    /// Bytes follow the payload.
    #[error("bytes follow the end of the payload")]
    Trailing,
}
