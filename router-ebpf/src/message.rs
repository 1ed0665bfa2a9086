//! One message of a pod on this node: to the client's connection, or on the pod's own way to the router.
//!
//! It runs before the message is queued, so nothing may be told of it that user space could act on at once. Every path
//! counts.

use aya_ebpf::{bindings::sk_action::SK_PASS, helpers::bpf_msg_apply_bytes, programs::SkMsgContext};
use warmlane_abi::{Cut, Framing, count, has_room, kind, reason};

use crate::{
    maps::{CLIENTS, POD_SOCKETS, count},
    reader,
    ride::{Ride, Stop, Target},
    socket::Socket,
};

/// A message and what belongs to it.
struct Message<'m> {
    ctx: &'m SkMsgContext,
    pod: Socket,
    /// The pod's socket.
    cookie: u64,
    ride: Ride,
    length: u32,
}

/// Decides where a message goes.
#[inline(always)]
pub fn route(ctx: &SkMsgContext) -> u32 {
    count(count::MESSAGES, 1);
    // SAFETY: the pointer is read as the context has it.
    let Some(pod) = Socket::tcp(unsafe { (*ctx.msg).__bindgen_anon_3.sk }) else {
        count(count::NO_SOCKET, 1);
        return SK_PASS;
    };
    let cookie = pod.cookie();
    let Some(ride) = Ride::of(cookie) else { return SK_PASS };
    Message { ctx, pod, cookie, ride, length: ctx.size() }.route()
}

// === Message ===

impl Message<'_> {
    #[inline(always)]
    fn route(&self) -> u32 {
        if get!(self.ride.slot, course.parted) != 0 {
            // The rest of a message of which a part was redirected: the kernel still has that part's length.
            self.apply(0);
        }
        let target = match self.ride.target(|| self.pod.write_sequence()) {
            Ok(target) => target,
            Err(Stop::Idle) => return self.pass(),
            Err(Stop::Why(reason)) => return self.hand_over(reason),
        };
        // Nothing is queued in the pod's own socket while its messages are redirected, but by others that redirect into it, as the lane
        // of a router that is the pod does. User space has yet to read that, and what follows must not overtake it.
        if !self.order_begins_at_own_position() {
            return self.hand_over(reason::FOREIGN);
        }
        let client = target.socket;
        if client.write_sequence() != get!(self.ride.slot, course.client_sequence) {
            return self.hand_over(reason::DESYNC);
        }
        let cut = self.cut();
        if cut.redirected == 0 {
            return self.hand_over(cut.reason);
        }
        let limit = get!(self.ride.slot, order.queue_limit);
        if !has_room(cut.redirected, client.queued(), client.send_buffer(), limit) {
            return self.hand_over(reason::ROOM);
        }
        self.redirect(&cut, &target)
    }

    #[inline(always)]
    fn order_begins_at_own_position(&self) -> bool {
        get!(self.ride.slot, order.sequence) == self.pod.write_sequence()
    }

    /// How much of it goes to the client.
    #[inline(always)]
    fn cut(&self) -> Cut {
        let before: Framing = get!(self.ride.slot, course.framing);
        if before.kind == kind::CHUNKED {
            return reader::message::read(self.ctx, self.ride.course(), before, self.length);
        }
        Cut::of_length(before, self.length)
    }

    #[inline(always)]
    fn redirect(&self, cut: &Cut, client: &Target) -> u32 {
        let parted = cut.redirected < self.length;
        if parted {
            self.apply(cut.redirected);
        }
        if CLIENTS.redirect_msg(self.ctx, client.cookie, 0) as u32 != SK_PASS {
            if parted {
                self.apply(0);
            }
            return self.hand_over(reason::CLIENT);
        }
        self.ride.went(cut);
        set!(self.ride.slot, course.parted = u32::from(parted));
        if parted {
            count(count::PARTED, 1);
        }
        SK_PASS
    }

    /// Leaves this message and all after it to user space.
    #[inline(always)]
    fn hand_over(&self, reason: u32) -> u32 {
        self.ride.hand_over(reason);
        self.pass()
    }

    /// Sends it on the pod's own way. The rest of a message of which a part was redirected would follow that part if it were just
    /// passed, as the kernel still has its target: so it is redirected to where it came from.
    #[inline(always)]
    fn pass(&self) -> u32 {
        if get!(self.ride.slot, course.parted) == 0 {
            return SK_PASS;
        }
        set!(self.ride.slot, course.parted = 0);
        count(count::OWN_WAY, 1);
        POD_SOCKETS.redirect_msg(self.ctx, self.cookie, 0) as u32
    }

    #[inline(always)]
    fn apply(&self, bytes: u32) {
        // SAFETY: the context is the program's own.
        unsafe { bpf_msg_apply_bytes(self.ctx.msg, bytes) };
    }
}
