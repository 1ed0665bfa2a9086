//! Why the kernel stopped redirecting and handed a response over to user space.
//!
//! Numbers, not an enum: they lie in shared memory, where any value may stand.

/// The body ends: its last size line, or its last byte, comes next.
pub const END: u32 = 1;
/// A chunk begins like an event by which an engine gives an answer up.
pub const FAILURE: u32 = 2;
/// The client's connection has no room for the message.
pub const ROOM: u32 = 3;
/// The client's connection took less, or more, than was redirected to it: bytes are lost or foreign.
pub const DESYNC: u32 = 4;
/// The framing is wrong, or of a kind that is not followed.
pub const FRAMING: u32 = 5;
/// The client's connection is not there, or no longer the one that was meant.
pub const CLIENT: u32 = 6;
/// A piece of the message could not be read.
pub const UNREADABLE: u32 = 7;
/// User space took its order back.
pub const DISARMED: u32 = 8;
/// Bytes went to user space that no program has seen, as somebody redirects them into the pod's socket.
pub const FOREIGN: u32 = 9;
/// One packet holds more chunks than a run can follow, and a packet cannot be parted.
pub const STEPS: u32 = 10;
/// The machine is short of memory for TCP: what is redirected might find none, and the pod would have to send it again and again.
pub const MEMORY: u32 = 11;

/// How many there are, with 0 for none.
pub const KINDS: u32 = 12;
