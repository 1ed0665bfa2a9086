//! A response's slot, as both programs use it: the order that is taken up, how far it went, and where it was handed over.
//!
//! Every path that ends redirecting says why. What is written here is for the moment at which user space has read bytes that
//! came on their own way: the programs run before those are queued.

use core::ptr::addr_of_mut;

use warmlane_abi::{Course, Cut, Order, Slot, count, reason};

use crate::{
    maps::{CLIENT_SOCKETS, SLOT_OF, SLOTS, count},
    socket::{Socket, read_long},
};

/// Reads a field of the slot. Volatile: the router writes and reads there too.
macro_rules! get {
    ($slot:expr, $($path:tt)+) => {
        // SAFETY: the slot lies in a map value that outlives the run.
        unsafe { core::ptr::read_volatile(core::ptr::addr_of!((*$slot).$($path)+)) }
    };
}

/// Writes a field of the slot.
macro_rules! set {
    ($slot:expr, $($path:ident).+ = $value:expr) => {
        let value = $value;
        // SAFETY: as for `get`.
        unsafe { core::ptr::write_volatile(core::ptr::addr_of_mut!((*$slot).$($path).+), value) };
    };
}

/// See the module's header.
#[derive(Clone, Copy)]
pub struct Ride {
    pub slot: *mut Slot,
}

/// To whom bytes go.
pub struct Target {
    pub socket: Socket,
    pub cookie: u64,
}

/// Why none go.
pub enum Stop {
    /// Nothing is ordered for them.
    Idle,
    /// One of [`reason`].
    Why(u32),
}

// === Ride ===

impl Ride {
    /// The slot of a socket's responses.
    #[inline(always)]
    pub fn of(cookie: u64) -> Option<Self> {
        // SAFETY: the router writes an entry before the slot is used, and not again while it is.
        let slot = match unsafe { SLOT_OF.get(cookie) } {
            Some(index) => SLOTS.get_ptr_mut(*index),
            None => None,
        };
        if slot.is_none() {
            count(count::NO_SLOT, 1);
        }
        slot.map(|slot| Self { slot })
    }

    /// Where what comes now goes to; `sequence` is the number of its first byte.
    #[inline(always)]
    pub fn target(self, sequence: impl FnOnce() -> u32) -> Result<Target, Stop> {
        if get!(self.slot, course.active) == 0 {
            if !self.takes_up(sequence) {
                return Err(Stop::Idle);
            }
            if get!(self.slot, course.active) == 0 {
                return Err(Stop::Why(reason::CLIENT));
            }
        }
        if get!(self.slot, order.generation) != get!(self.slot, course.taken) {
            return Err(Stop::Why(reason::DISARMED));
        }
        let socket = Socket(get!(self.slot, course.client_socket));
        // Read once: what is checked is what is redirected to.
        let cookie = get!(self.slot, order.client_cookie);
        if socket.cookie() != cookie {
            return Err(Stop::Why(reason::CLIENT));
        }
        // Sending then fails for want of memory, room or not.
        if read_long(get!(self.slot, course.memory_pressure)) != 0 {
            return Err(Stop::Why(reason::MEMORY));
        }
        Ok(Target { socket, cookie })
    }

    /// Takes up what the router has ordered, if it is time. Without the client's socket it is done with at once.
    #[inline(always)]
    fn takes_up(self, sequence: impl FnOnce() -> u32) -> bool {
        let order: Order = get!(self.slot, order);
        if !order.is_given() || order.generation == get!(self.slot, course.taken) {
            count(count::IDLE, 1);
            return false;
        }
        if !order.is_whole() {
            count(count::TORN, 1);
            return false;
        }
        if !order.begins_at(sequence()) {
            count(count::LATE, 1);
            return false;
        }
        set!(self.slot, course.taken = order.generation);
        set!(self.slot, course.framing = order.framing);
        set!(self.slot, course.bytes = 0);
        set!(self.slot, course.chunks = 0);
        set!(self.slot, course.messages = 0);
        set!(self.slot, course.data = 0);
        set!(self.slot, course.packets = 0);
        set!(self.slot, course.next_sequence = order.sequence);
        // SAFETY: an entry is written once, when its connection begins.
        if let Some(address) = unsafe { CLIENT_SOCKETS.get(order.client_cookie) } {
            let client = Socket(*address);
            set!(self.slot, course.client_socket = client.0);
            set!(self.slot, course.client_sequence = client.write_sequence());
            set!(self.slot, course.memory_pressure = client.memory_pressure());
            set!(self.slot, course.active = 1);
            count(count::STARTED, 1);
        }
        true
    }

    /// That much of it went.
    #[inline(always)]
    pub fn went(self, cut: &Cut) {
        let sequence = get!(self.slot, course.client_sequence);
        set!(self.slot, course.client_sequence = sequence.wrapping_add(cut.redirected));
        set!(self.slot, course.framing = cut.framing);
        set!(self.slot, course.bytes = get!(self.slot, course.bytes) + u64::from(cut.redirected));
        set!(self.slot, course.chunks = get!(self.slot, course.chunks) + u64::from(cut.chunks));
        set!(self.slot, course.messages = get!(self.slot, course.messages) + 1);
        set!(self.slot, course.data = get!(self.slot, course.data) + u64::from(cut.data));
        count(count::REDIRECTED, 1);
        count(count::BYTES, u64::from(cut.redirected));
    }

    /// Leaves what comes now, and all after it, to user space.
    #[inline(always)]
    pub fn hand_over(self, reason: u32) {
        set!(self.slot, course.active = 0);
        set!(self.slot, course.reason = reason);
        set!(self.slot, course.handed_over = get!(self.slot, course.taken));
        count(count::HANDED_OVER + reason, 1);
    }

    #[inline(always)]
    pub fn course(self) -> *mut Course {
        // SAFETY: as for `get`.
        unsafe { addr_of_mut!((*self.slot).course) }
    }
}
