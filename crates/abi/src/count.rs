//! What the kernel programs count, per CPU: one counter for every way that a message or a connection can take.
//!
//! Hand-overs are counted at [`HANDED_OVER`] plus their reason.

use crate::reason;

/// Messages of pods that a program looked at.
pub const MESSAGES: u32 = 0;
/// Of sockets to which no slot belongs.
pub const NO_SLOT: u32 = 1;
/// Passed, as nothing was ordered for the connection.
pub const IDLE: u32 = 2;
/// Passed, as the pod had sent more than user space had read when it gave the order.
pub const LATE: u32 = 3;
/// Passed, as the order was not whole yet.
pub const TORN: u32 = 4;
/// Orders taken up.
pub const STARTED: u32 = 5;
/// Messages, or parts of them, redirected to a client.
pub const REDIRECTED: u32 = 6;
/// Bytes redirected to clients.
pub const BYTES: u32 = 7;
/// Messages of which a part was redirected, and that the kernel shows again from there on.
pub const PARTED: u32 = 8;
/// Rests of such messages sent on the pod's own way.
pub const OWN_WAY: u32 = 9;
/// Sockets whose place in the kernel could not be found.
pub const NO_SOCKET: u32 = 10;
/// Ends of connections at pods that were put into the map.
pub const PODS: u32 = 11;
/// Such ends for which there was no room, or which another router's lane already has.
pub const PODS_FULL: u32 = 12;
/// Connections from the router to pods.
pub const UPSTREAMS: u32 = 13;
/// Such connections for which there was no room.
pub const UPSTREAMS_FULL: u32 = 14;
/// Connections of clients.
pub const CLIENTS: u32 = 15;
/// Such connections for which there was no room.
pub const CLIENTS_FULL: u32 = 16;
/// Packets of pods on other nodes that a program looked at.
pub const PACKETS: u32 = 17;
/// Of them, those without data: a pod's last word.
pub const EMPTY: u32 = 18;
/// Connections from the router to pods on other nodes whose packets are looked at.
pub const REMOTES: u32 = 19;
/// Such connections for which there was no room, or which another router's lane already has.
pub const REMOTES_FULL: u32 = 20;
/// Packets of which the first bytes had come before: those were cut off.
pub const REPEATED: u32 = 21;
/// Such packets from which they could not be cut off: lost, so that no byte comes twice.
pub const UNCUT: u32 = 22;
/// Connections that began while the machine was short of memory for TCP.
pub const SHORT: u32 = 23;
/// The first of the hand-overs, which stand in the order of their reasons.
pub const HANDED_OVER: u32 = 24;

/// How many counters there are.
pub const LEN: u32 = HANDED_OVER + reason::KINDS;
