//! A connection to a pod, on this node or on another, and the order for one response on it.

use std::{
    os::fd::AsFd,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use warmlane_abi::{Course, Framing, Order, kind, reason};

use super::{Client, Lane, Refusal, Settled, settled::Due, socket};

/// Above this many bytes that wait to be sent, a client has a response copied to it: the kernel would hand it over again
/// before long.
const BEHIND: u32 = 64 * 1024;

/// See the module's header. Its slot is given back once dropped.
#[derive(Debug)]
pub struct Upstream {
    lane: Arc<Lane>,
    side: Side,
    slot: u32,
    /// The socket for which a program runs: the pod's, or the router's own.
    shown: u64,
    /// The sequence number of the pod's first byte on the connection.
    first_sequence: u32,
    /// Bytes that came on the connection and were redirected, as far as they were counted.
    redirected: u64,
    /// The order up to which they were.
    counted: u32,
    /// Of [`Lane::sweeps`], when it began.
    sweep: u32,
}

/// At which end of a connection its responses take the lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// At the pod's, which is in this kernel.
    Local,
    /// At the router's own.
    Remote,
}

/// An order that stands. Dropped, it is taken back: then nothing more may be written to the client unless
/// [`Standing::HandedOver`] was seen, or bytes were read while it was [`Standing::Waiting`], as a message that is just on its
/// way may still come.
#[derive(Debug)]
pub struct Armed<'a> {
    upstream: &'a mut Upstream,
    /// Must stay in the map.
    _client: &'a Client,
    generation: u32,
    /// What the client's socket must come to have, before what is redirected.
    due: Due,
}

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was not taken up. Where bytes have come since it was given, it never will be.
    Waiting,
    /// Bytes go to the client. Where bytes were read from the upstream all the same, no program has seen those, and none follows the
    /// order any longer: [`Armed::framing`] tells where the body stands.
    Riding(Progress),
    /// No more do. What the router reads next is what follows them.
    HandedOver(HandOver),
}

/// What has gone to the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes.
    pub bytes: u64,
    /// Chunks that ended in them.
    pub chunks: u64,
    /// Data among them, without the framing of chunks.
    pub data: u64,
    /// Messages or packets that they came in: as often the router had nothing to do.
    pub messages: u64,
}

/// Where user space goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// Why: one of [`reason`].
    pub reason: u32,
    /// Where the body stands.
    pub framing: Framing,
    /// What has gone to the client.
    pub progress: Progress,
    due: Due,
}

// === Upstream ===

impl Upstream {
    pub(super) fn new(lane: Arc<Lane>, side: Side, slot: u32, shown: u64, first_sequence: u32) -> Self {
        // What an earlier connection left in the slot is none of this one's.
        let counted = lane.memory.course(slot).taken;
        let sweep = lane.sweeps.load(Relaxed);
        Self { lane, side, slot, shown, first_sequence, redirected: 0, counted, sweep }
    }

    /// At which end its responses take the lane.
    pub fn side(&self) -> Side {
        self.side
    }

    /// Orders the rest of a response to be redirected to a client.
    ///
    /// `read` is all that was ever read from the connection, responses before this one included; `framing` is where the body stands behind
    /// it. All of it must have been written to `client_side`, the socket behind `client`.
    pub fn arm<'a>(
        &'a mut self,
        client: &'a Client,
        client_side: &impl AsFd,
        read: u64,
        framing: Framing,
    ) -> Result<Armed<'a>, Refusal> {
        let followed = match framing.kind {
            kind::CHUNKED => true,
            kind::LENGTH => framing.remaining > 1,
            _ => false,
        };
        if !followed {
            return Err(Refusal::Framing);
        }
        if self.side == Side::Local && self.sweep != self.lane.sweeps.load(Relaxed) {
            return Err(Refusal::Left);
        }
        if socket::backlog(client_side).is_none_or(|waiting| waiting > BEHIND) {
            return Err(Refusal::Behind);
        }
        let (due, queue_limit) = match self.side {
            Side::Local => (Due::at_once(), self.lane.queue_limit),
            Side::Remote => (Due::behind(client_side).ok_or(Refusal::Behind)?, self.lane.remote_budget),
        };
        let generation = self.next_generation();
        let order = Order {
            framing,
            client_cookie: client.cookie(),
            sequence: self.next_sequence(read),
            queue_limit,
            generation,
            ..Order::default()
        };
        self.lane.memory.give(self.slot, order.sealed());
        Ok(Armed { upstream: self, _client: client, generation, due })
    }

    /// Has the pod's end take no part any more. A socket whose messages a program looks at is told that it may send while the machine has no
    /// memory left, again and again; one that none looks at waits. Nothing changes for a pod on another node, whose end is not looked at.
    pub fn leave(self) {
        if self.side == Side::Local {
            self.lane.forget_pod(self.shown);
        }
    }

    /// The number of the pod's next byte where the program sees it. What was redirected never was a byte of the pod's own connection, but
    /// one of the router's.
    fn next_sequence(&mut self, read: u64) -> u32 {
        let course = self.lane.memory.course(self.slot);
        if self.side == Side::Remote && course.taken != self.counted {
            self.redirected += course.bytes;
            self.counted = course.taken;
        }
        // Sequence numbers wrap.
        self.first_sequence.wrapping_add((read + self.redirected) as u32)
    }

    /// Takes back what was ordered.
    fn disarm(&mut self) {
        let nothing = Order { generation: self.next_generation(), ..Order::default() };
        self.lane.memory.give(self.slot, nothing.sealed());
    }

    fn next_generation(&self) -> u32 {
        self.lane.memory.generation(self.slot).wrapping_add(1)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.disarm();
        self.lane.forget_upstream(self.shown, self.slot);
    }
}

// === Armed ===

impl Armed<'_> {
    /// What became of it. Tells for certain once bytes were read from the upstream.
    pub fn standing(&self) -> Standing {
        let course = self.course();
        if course.taken != self.generation {
            return Standing::Waiting;
        }
        let progress = Progress::of(&course);
        if course.handed_over != self.generation {
            return Standing::Riding(progress);
        }
        let Course { reason, framing, .. } = course;
        Standing::HandedOver(HandOver { reason, framing, progress, due: self.due })
    }

    /// What has gone to the client so far. A glance: it may be behind by a message.
    pub fn progress(&self) -> Progress {
        let course = self.course();
        if course.taken == self.generation { Progress::of(&course) } else { Progress::default() }
    }

    /// Where the body stands behind all that has gone to the client, once the order was taken up.
    pub fn framing(&self) -> Framing {
        self.course().framing
    }

    /// As [`HandOver::settled`], where the response breaks off: what came before should reach the client before it is closed.
    pub fn settled(&self, client_side: &impl AsFd) -> Settled {
        self.due.settled(self.progress().bytes, client_side)
    }

    fn course(&self) -> Course {
        self.upstream.lane.memory.course(self.upstream.slot)
    }
}

impl Drop for Armed<'_> {
    fn drop(&mut self) {
        self.upstream.disarm();
    }
}

// === Progress ===

impl Progress {
    fn of(course: &Course) -> Self {
        let Course { bytes, chunks, data, messages, .. } = *course;
        Self { bytes, chunks, data, messages }
    }
}

// === HandOver ===

impl HandOver {
    /// Whether the client lacks bytes that were redirected to it: its response must break off.
    pub fn is_lossy(&self) -> bool {
        self.reason == reason::DESYNC
    }

    /// Whether the client or the machine had no room for more.
    pub fn is_full(&self) -> bool {
        self.reason == reason::ROOM || self.is_short()
    }

    /// Whether it was the machine.
    pub fn is_short(&self) -> bool {
        self.reason == reason::MEMORY
    }

    /// Whether the client's socket has all that was redirected to it. Nothing may be written to it, and it may not be closed, before.
    ///
    /// From a pod on this node it has at once. From another node it has once a worker of the kernel has run, which
    /// takes microseconds on a machine with time, and as long as it takes where the client does not read. There is no event for it, so
    /// one looks again [after a moment](Settled::LOOK_AGAIN), for as long as the client is there and the response has time.
    pub fn settled(&self, client_side: &impl AsFd) -> Settled {
        self.due.settled(self.progress.bytes, client_side)
    }
}
