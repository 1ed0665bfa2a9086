//! Connections as they begin: which of them may take part in the lane, and under which names the router finds them.
//!
//! A connection between the router and a pod of this node is seen twice, at both its ends, and at the router's first: the pod's
//! is established by what the router's sends once it is. The router has named its own ends beforehand. Nobody else's connection is
//! kept, to the same pod either, as a socket in the map costs its pod time with each message.

use core::ptr::{addr_of, read_volatile};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB},
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie},
    programs::SockOpsContext,
};
use warmlane_abi::{Link, Place, Seen, count, seen};

use crate::{
    maps::{CLIENT_SOCKETS, FRONTS, LINKS, POD_SOCKETS, POSITIONS, REMOTES, UPSTREAMS, count},
    socket::{Socket, read_long},
};

const AF_INET: u32 = 2;

/// The router's network namespace. Filled in by the router before it loads the object.
#[unsafe(no_mangle)]
static HOME: u64 = 0;

/// Reads a field of the context. Volatile, with a constant offset each: else two reads become one at a chosen address,
/// which the verifier refuses.
macro_rules! field {
    ($ctx:expr, $($path:tt)+) => {
        // SAFETY: the kernel hands a context that is whole.
        unsafe { read_volatile(addr_of!((*$ctx.ops).$($path)+)) }
    };
}

/// One end's place, from the fields of its addresses.
macro_rules! place {
    ($ctx:expr, $v4:ident, $v6:ident, $port:expr) => {{
        let (v4, port) = (field!($ctx, $v4), $port);
        if field!($ctx, family) == AF_INET {
            Place::v4(v4, port)
        } else {
            let address_be =
                [field!($ctx, $v6[0]), field!($ctx, $v6[1]), field!($ctx, $v6[2]), field!($ctx, $v6[3])];
            Place { address_be, port }
        }
    }};
}

/// Keeps what the router will ask for.
#[inline(always)]
pub fn begin(ctx: &SockOpsContext) {
    match field!(ctx, op) {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => upstream(ctx),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => {
            pod(ctx);
            let port = field!(ctx, local_port);
            // SAFETY: the value is not written by anyone while it is looked at.
            if unsafe { FRONTS.get(port) }.is_some() && is_home(ctx) {
                client(ctx);
            }
        }
        _ => {}
    }
}

/// A router's end, if it is one that our router has announced.
#[inline(always)]
fn upstream(ctx: &SockOpsContext) {
    let cookie = cookie(ctx);
    // SAFETY: as above.
    let Some(Seen { state, .. }) = (unsafe { UPSTREAMS.get(cookie) }).copied() else { return };
    match state {
        // What is sent by a socket in the map fails then, where TCP finds a little for any other.
        seen::ANNOUNCED | seen::ANNOUNCED_REMOTE if is_short(ctx) => {
            note(cookie, 0, seen::SHORT);
        }
        seen::ANNOUNCED => look_for_pod(ctx, cookie),
        seen::ANNOUNCED_REMOTE => watch(ctx, cookie),
        _ => {}
    }
}

/// Whether the machine is short of memory for TCP.
#[inline(always)]
fn is_short(ctx: &SockOpsContext) -> bool {
    let short = socket(ctx).is_some_and(|socket| read_long(socket.memory_pressure()) != 0);
    if short {
        count(count::SHORT, 1);
    }
    short
}

/// Has the pod's end known when it comes.
#[inline(always)]
fn look_for_pod(ctx: &SockOpsContext, cookie: u64) {
    let first_sequence = field!(ctx, rcv_nxt);
    let link = Link { pod: remote(ctx), router: local(ctx), first_sequence };
    let done = note(cookie, first_sequence, seen::ESTABLISHED) && LINKS.insert(link, cookie, 0).is_ok();
    count(if done { count::UPSTREAMS } else { count::UPSTREAMS_FULL }, 1);
}

/// Has the packets that come to a router's end looked at, from the first one on: what had come before would not be shown, and what
/// was read in part would be shown again.
#[inline(always)]
fn watch(ctx: &SockOpsContext, cookie: u64) {
    let first_sequence = field!(ctx, rcv_nxt);
    let done = POSITIONS.insert(cookie, first_sequence, 0).is_ok();
    // SAFETY: the kernel hands a context that is whole, and nobody else has it.
    let done = done && REMOTES.update(cookie, unsafe { &mut *ctx.ops }, 0).is_ok();
    let state = if done { seen::WATCHED } else { seen::ESTABLISHED };
    let done = note(cookie, first_sequence, state) && done;
    count(if done { count::REMOTES } else { count::REMOTES_FULL }, 1);
}

#[inline(always)]
fn note(cookie: u64, first_sequence: u32, state: u32) -> bool {
    UPSTREAMS.insert(cookie, Seen { pod_cookie: 0, first_sequence, state }, 0).is_ok()
}

/// A pod's end, if the other one was seen: from now on its messages are shown to the other program.
#[inline(always)]
fn pod(ctx: &SockOpsContext) {
    let link = Link { pod: local(ctx), router: remote(ctx), first_sequence: field!(ctx, snd_nxt) };
    // SAFETY: as above.
    let Some(router) = (unsafe { LINKS.get(link) }).copied() else { return };
    let cookie = cookie(ctx);
    // SAFETY: the kernel hands a context that is whole, and nobody else has it.
    let done = POD_SOCKETS.update(cookie, unsafe { &mut *ctx.ops }, 0).is_ok() && tell(router, cookie);
    count(if done { count::PODS } else { count::PODS_FULL }, 1);
}

/// Tells a router's end of the pod's.
#[inline(always)]
fn tell(router: u64, pod_cookie: u64) -> bool {
    let Some(seen) = UPSTREAMS.get_ptr_mut(router) else { return false };
    // SAFETY: the entry stays while a program runs, and the router reads it only.
    unsafe { (*seen).pod_cookie = pod_cookie };
    true
}

/// A client's connection at the router.
#[inline(always)]
fn client(ctx: &SockOpsContext) {
    let Some(socket) = socket(ctx) else {
        count(count::NO_SOCKET, 1);
        return;
    };
    let done = CLIENT_SOCKETS.insert(cookie(ctx), socket.0, 0);
    count(if done.is_ok() { count::CLIENTS } else { count::CLIENTS_FULL }, 1);
}

/// Whether the socket is in the router's network namespace: a port of its number elsewhere is another's.
#[inline(always)]
fn is_home(ctx: &SockOpsContext) -> bool {
    // SAFETY: the static is there; volatile, as the compiler would take the zero above for what it is.
    let home = unsafe { read_volatile(addr_of!(HOME)) };
    // SAFETY: the context is the program's own.
    unsafe { bpf_get_netns_cookie(ctx.as_ptr()) == home }
}

#[inline(always)]
fn socket(ctx: &SockOpsContext) -> Option<Socket> {
    // SAFETY: the kernel hands a context that is whole.
    Socket::tcp(unsafe { (*ctx.ops).__bindgen_anon_2.sk })
}

#[inline(always)]
fn cookie(ctx: &SockOpsContext) -> u64 {
    // SAFETY: the context is the program's own.
    unsafe { bpf_get_socket_cookie(ctx.as_ptr()) }
}

#[inline(always)]
fn local(ctx: &SockOpsContext) -> Place {
    place!(ctx, local_ip4, local_ip6, field!(ctx, local_port))
}

#[inline(always)]
fn remote(ctx: &SockOpsContext) -> Place {
    place!(ctx, remote_ip4, remote_ip6, u32::from_be(field!(ctx, remote_port)))
}
