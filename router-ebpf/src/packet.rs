//! One packet from a pod on another node: to the client's connection, or to the router that it came for.
//!
//! It runs as the packet has come to the router's socket and before user space can read it. A packet cannot be parted: what
//! holds the end, a failure, or more than a run can read, goes to user space whole. What is redirected is sent by a worker of the
//! kernel, later: user space must wait for it before it writes. Every path counts.

use aya_ebpf::{
    EbpfContext as _,
    bindings::sk_action::{SK_DROP, SK_PASS},
    helpers::bpf_get_socket_cookie,
    programs::SkBuffContext,
};
use warmlane_abi::{Cut, Framing, Waiting, count, has_room_beside, kind, reason};

use crate::{
    maps::{CLIENTS, POSITIONS, count},
    reader,
    ride::{Ride, Stop, Target},
    socket::{Socket, packet_sequence},
};

/// As many bytes as the kernel takes off at a time, and as often as it takes for the longest packet.
const CUT: u32 = 0xfff;
const CUTS: u32 = 17;

/// A packet and what belongs to it.
struct Packet<'p> {
    ctx: &'p SkBuffContext,
    ride: Ride,
    length: u32,
    /// Of its first byte.
    sequence: u32,
}

/// Decides where a packet goes.
#[inline(always)]
pub fn route(ctx: &SkBuffContext) -> u32 {
    count(count::PACKETS, 1);
    let length = ctx.len();
    if length == 0 {
        // The kernel makes of it that reading ends.
        count(count::EMPTY, 1);
        return SK_PASS;
    }
    // SAFETY: the context is the program's own.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.as_ptr()) };
    let sequence = packet_sequence(ctx);
    let repeated = repeated(cookie, sequence, length);
    if repeated > 0 && !cut_off(ctx, repeated) {
        count(count::UNCUT, 1);
        return SK_DROP;
    }
    let Some(ride) = Ride::of(cookie) else { return SK_PASS };
    Packet { ctx, ride, length: length - repeated, sequence: sequence.wrapping_add(repeated) }.route()
}

/// How many of a packet's bytes came before it.
///
/// A sender that repeats what was lost puts more into one packet than before, and so also what was not lost. TCP takes such
/// a packet as it is and leaves out what it has as it is read; what the kernel shows to programs it leaves as it is
/// (`tcp_read_skb`, up to Linux 6.18 at least), so that whoever reads would get those bytes twice.
#[inline(always)]
fn repeated(cookie: u64, sequence: u32, length: u32) -> u32 {
    let Some(next) = POSITIONS.get_ptr_mut(cookie) else { return 0 };
    // SAFETY: packets of one socket are shown one after the other, under its lock.
    let repeated = unsafe { *next }.wrapping_sub(sequence);
    // SAFETY: as above.
    unsafe { *next = sequence.wrapping_add(length) };
    if repeated < length { repeated } else { 0 }
}

/// Takes that many bytes off its beginning.
#[inline(always)]
fn cut_off(ctx: &SkBuffContext, bytes: u32) -> bool {
    count(count::REPEATED, 1);
    let mut left = bytes;
    for _ in 0..CUTS {
        let now = if left < CUT { left } else { CUT };
        if ctx.adjust_room(-(now as i32), 0, 0).is_err() {
            return false;
        }
        left -= now;
        if left == 0 {
            return true;
        }
    }
    false
}

// === Packet ===

impl Packet<'_> {
    #[inline(always)]
    fn route(&self) -> u32 {
        match self.cut() {
            Ok((cut, target)) => self.redirect(&cut, &target),
            Err(Stop::Idle) => SK_PASS,
            Err(Stop::Why(reason)) => self.hand_over(reason),
        }
    }

    /// Where it goes to, if all of it may go there.
    #[inline(always)]
    fn cut(&self) -> Result<(Cut, Target), Stop> {
        let target = self.ride.target(|| self.sequence)?;
        if !target.socket.is_open() {
            return Err(Stop::Why(reason::CLIENT));
        }
        // Each byte must come once: whatever else, and the framing is not what it is taken for.
        if self.sequence != get!(self.ride.slot, course.next_sequence) {
            return Err(Stop::Why(reason::DESYNC));
        }
        let Some(waiting) = self.waiting(target.socket) else { return Err(Stop::Why(reason::DESYNC)) };
        set!(self.ride.slot, course.packets = waiting.packets);
        let (queued, buffer) = (target.socket.queued(), target.socket.send_buffer());
        let budget = get!(self.ride.slot, order.queue_limit);
        if !has_room_beside(waiting, self.length, queued, buffer, budget) {
            return Err(Stop::Why(reason::ROOM));
        }
        let before: Framing = get!(self.ride.slot, course.framing);
        let cut = if before.kind == kind::CHUNKED {
            reader::packet::read(self.ctx, self.ride.course(), before, self.length)
        } else {
            Cut::of_length_undivided(before, self.length)
        };
        if cut.redirected == self.length { Ok((cut, target)) } else { Err(Stop::Why(cut.reason)) }
    }

    /// What was redirected and is not in the client's socket yet.
    #[inline(always)]
    fn waiting(&self, client: Socket) -> Option<Waiting> {
        let course = self.ride.slot;
        let (behind, bytes) = (get!(course, course.client_sequence), get!(course, course.bytes));
        Waiting::between(client.write_sequence(), behind, bytes, get!(course, course.packets))
    }

    #[inline(always)]
    fn redirect(&self, cut: &Cut, client: &Target) -> u32 {
        if CLIENTS.redirect_skb(self.ctx, client.cookie, 0) as u32 != SK_PASS {
            return self.hand_over(reason::CLIENT);
        }
        self.ride.went(cut);
        set!(self.ride.slot, course.next_sequence = self.sequence.wrapping_add(self.length));
        set!(self.ride.slot, course.packets = get!(self.ride.slot, course.packets) + 1);
        SK_PASS
    }

    /// Leaves this packet and all after it to user space.
    #[inline(always)]
    fn hand_over(&self, reason: u32) -> u32 {
        self.ride.hand_over(reason);
        SK_PASS
    }
}
