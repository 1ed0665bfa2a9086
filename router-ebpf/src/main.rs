//! The router's kernel programs. For a pod on the router's own node, the messages of a response go from the pod's socket
//! to the client's connection without waking the router; for one on another node, the packets do that come to the router.
//!
//! `connections` sees connections begin and finds those that may take part; `messages` sees what pods here send and decides
//! where it goes, and `packets` what comes from pods elsewhere. All are thin: what they decide by stands in `warmlane-abi`, which is tested on the host.
//! Built by `cargo xtask ebpf`, loaded by the router's module `kernel`.

#![no_std]
#![no_main]

mod connections;
mod maps;
#[macro_use]
mod ride;
mod message;
mod packet;
mod reader;
mod socket;

use aya_ebpf::{
    macros::{sk_msg, sock_ops, stream_verdict},
    programs::{SkBuffContext, SkMsgContext, SockOpsContext},
};

/// Where the router finds out whether it understands what lies in the maps.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".rodata.abi")]
static ABI_VERSION: u32 = warmlane_abi::VERSION;

/// The kernel lends some helpers to programs under its own licence only. The rest of this repository is not bound by it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// Runs as connections of this node are established.
#[sock_ops]
pub fn connections(ctx: SockOpsContext) -> u32 {
    connections::begin(&ctx);
    1
}

/// Runs for each message that a pod's end sends, before it is queued.
#[sk_msg]
pub fn messages(ctx: SkMsgContext) -> u32 {
    message::route(&ctx)
}

/// Runs for each packet that comes to a router's end of a connection to another node. Loaded only where that is wanted.
#[stream_verdict]
pub fn packets(ctx: SkBuffContext) -> u32 {
    packet::route(&ctx)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
