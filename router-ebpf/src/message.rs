//! One message of a pod: to the client's connection, or on the pod's own way to the router.
//!
//! It runs before the message is queued, so nothing may be told of it that user space could act on at once: what it
//! writes into the slot is for the moment at which user space has read bytes that came on the pod's own way.
//! Every path counts, and every path that ends redirecting says why.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::{bindings::sk_action::SK_PASS, helpers::bpf_msg_apply_bytes, programs::SkMsgContext};
use warmlane_abi::{Course, Cut, Framing, Order, Slot, count, has_room, kind, reason};

use crate::{
    maps::{CLIENT_SOCKETS, CLIENTS, POD_SOCKETS, SLOT_OF, SLOTS, count},
    reader,
    socket::Socket,
};

/// Reads a field of the slot. Volatile: the router writes and reads there too.
macro_rules! get {
    ($slot:expr, $($path:tt)+) => {
        // SAFETY: the slot lies in a map value that outlives the run.
        unsafe { read_volatile(addr_of!((*$slot).$($path)+)) }
    };
}

/// Writes a field of the slot.
macro_rules! set {
    ($slot:expr, $($path:ident).+ = $value:expr) => {
        let value = $value;
        // SAFETY: as for `get`.
        unsafe { write_volatile(addr_of_mut!((*$slot).$($path).+), value) };
    };
}

/// A message and what belongs to it.
struct Message<'m> {
    ctx: &'m SkMsgContext,
    pod: Socket,
    /// The pod's socket.
    cookie: u64,
    slot: *mut Slot,
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
    // SAFETY: the router writes an entry before the slot is used, and not again while it is.
    let slot = match unsafe { SLOT_OF.get(cookie) } {
        Some(index) => SLOTS.get_ptr_mut(*index),
        None => None,
    };
    let Some(slot) = slot else {
        count(count::NO_SLOT, 1);
        return SK_PASS;
    };
    Message { ctx, pod, cookie, slot, length: ctx.size() }.route()
}

// === Message ===

impl Message<'_> {
    #[inline(always)]
    fn route(&self) -> u32 {
        if get!(self.slot, course.parted) != 0 {
            // The rest of a message of which a part was redirected: the kernel still has that part's length.
            self.apply(0);
        }
        if get!(self.slot, course.active) == 0 {
            if !self.takes_up() {
                return self.pass();
            }
            if get!(self.slot, course.active) == 0 {
                return self.hand_over(reason::CLIENT);
            }
        }
        if get!(self.slot, order.generation) != get!(self.slot, course.taken) {
            return self.hand_over(reason::DISARMED);
        }
        // Nothing is queued in the pod's own socket while its messages are redirected, but by others that redirect into it, as the lane
        // of a router that is the pod does. User space has yet to read that, and what follows must not overtake it.
        if !self.order_begins_at_own_position() {
            return self.hand_over(reason::FOREIGN);
        }
        let client = Socket(get!(self.slot, course.client_socket));
        // Read once: what is checked is what is redirected to.
        let client_cookie = get!(self.slot, order.client_cookie);
        if client.cookie() != client_cookie {
            return self.hand_over(reason::CLIENT);
        }
        if client.write_sequence() != get!(self.slot, course.client_sequence) {
            return self.hand_over(reason::DESYNC);
        }
        let cut = self.cut();
        if cut.redirected == 0 {
            return self.hand_over(cut.reason);
        }
        let limit = get!(self.slot, order.queue_limit);
        if !has_room(cut.redirected, client.queued(), client.send_buffer(), limit) {
            return self.hand_over(reason::ROOM);
        }
        self.redirect(&cut, client_cookie)
    }

    /// Takes up what the router has ordered, if it is time. Without the client's socket it is done with at once.
    #[inline(always)]
    fn takes_up(&self) -> bool {
        let order: Order = get!(self.slot, order);
        if !order.is_given() || order.generation == get!(self.slot, course.taken) {
            count(count::IDLE, 1);
            return false;
        }
        if !order.is_whole() {
            count(count::TORN, 1);
            return false;
        }
        if !order.begins_at(self.pod.write_sequence()) {
            count(count::LATE, 1);
            return false;
        }
        set!(self.slot, course.taken = order.generation);
        set!(self.slot, course.framing = order.framing);
        set!(self.slot, course.bytes = 0);
        set!(self.slot, course.chunks = 0);
        set!(self.slot, course.messages = 0);
        set!(self.slot, course.data = 0);
        // SAFETY: an entry is written once, when its connection begins.
        if let Some(address) = unsafe { CLIENT_SOCKETS.get(order.client_cookie) } {
            let client = Socket(*address);
            set!(self.slot, course.client_socket = client.0);
            set!(self.slot, course.client_sequence = client.write_sequence());
            set!(self.slot, course.active = 1);
            count(count::STARTED, 1);
        }
        true
    }

    #[inline(always)]
    fn order_begins_at_own_position(&self) -> bool {
        get!(self.slot, order.sequence) == self.pod.write_sequence()
    }

    /// How much of it goes to the client.
    #[inline(always)]
    fn cut(&self) -> Cut {
        let before: Framing = get!(self.slot, course.framing);
        if before.kind == kind::CHUNKED {
            return reader::read(self.ctx, self.course(), before, self.length);
        }
        Cut::of_length(before, self.length)
    }

    #[inline(always)]
    fn redirect(&self, cut: &Cut, client: u64) -> u32 {
        let parted = cut.redirected < self.length;
        if parted {
            self.apply(cut.redirected);
        }
        if CLIENTS.redirect_msg(self.ctx, client, 0) as u32 != SK_PASS {
            if parted {
                self.apply(0);
            }
            return self.hand_over(reason::CLIENT);
        }
        let sequence = get!(self.slot, course.client_sequence);
        set!(self.slot, course.client_sequence = sequence.wrapping_add(cut.redirected));
        set!(self.slot, course.framing = cut.framing);
        set!(self.slot, course.bytes = get!(self.slot, course.bytes) + u64::from(cut.redirected));
        set!(self.slot, course.chunks = get!(self.slot, course.chunks) + u64::from(cut.chunks));
        set!(self.slot, course.messages = get!(self.slot, course.messages) + 1);
        set!(self.slot, course.data = get!(self.slot, course.data) + u64::from(cut.data));
        set!(self.slot, course.parted = u32::from(parted));
        count(count::REDIRECTED, 1);
        count(count::BYTES, u64::from(cut.redirected));
        if parted {
            count(count::PARTED, 1);
        }
        SK_PASS
    }

    /// Leaves this message and all after it to user space.
    #[inline(always)]
    fn hand_over(&self, reason: u32) -> u32 {
        set!(self.slot, course.active = 0);
        set!(self.slot, course.reason = reason);
        set!(self.slot, course.handed_over = get!(self.slot, course.taken));
        count(count::HANDED_OVER + reason, 1);
        self.pass()
    }

    /// Sends it on the pod's own way. The rest of a message of which a part was redirected would follow that part if it were just
    /// passed, as the kernel still has its target: so it is redirected to where it came from.
    #[inline(always)]
    fn pass(&self) -> u32 {
        if get!(self.slot, course.parted) == 0 {
            return SK_PASS;
        }
        set!(self.slot, course.parted = 0);
        count(count::OWN_WAY, 1);
        POD_SOCKETS.redirect_msg(self.ctx, self.cookie, 0) as u32
    }

    #[inline(always)]
    fn apply(&self, bytes: u32) {
        // SAFETY: the context is the program's own.
        unsafe { bpf_msg_apply_bytes(self.ctx.msg, bytes) };
    }

    #[inline(always)]
    fn course(&self) -> *mut Course {
        // SAFETY: as for `get`.
        unsafe { addr_of_mut!((*self.slot).course) }
    }
}
