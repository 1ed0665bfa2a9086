//! A connection to a pod of this node, and the order for one response on it.

use std::{os::fd::AsFd, sync::Arc};

use warmlane_abi::{Course, Framing, Order, kind, reason};

use super::{Client, Lane, Refusal, socket};

/// Above this many bytes that wait to be sent, a client has a response copied to it: the kernel would hand it over again
/// before long.
const BEHIND: u32 = 64 * 1024;

/// See the module's header. Its slot is given back once dropped.
#[derive(Debug)]
pub struct Upstream {
    lane: Arc<Lane>,
    slot: u32,
    /// The pod's socket.
    pod: u64,
    /// The sequence number of the pod's first byte on the connection.
    first_sequence: u32,
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
    /// Messages that they came in: as often the router was not woken.
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
}

// === Upstream ===

impl Upstream {
    pub(super) fn new(lane: Arc<Lane>, slot: u32, pod: u64, first_sequence: u32) -> Self {
        Self { lane, slot, pod, first_sequence }
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
        if socket::backlog(client_side).is_none_or(|waiting| waiting > BEHIND) {
            return Err(Refusal::Behind);
        }
        let generation = self.next_generation();
        let order = Order {
            framing,
            client_cookie: client.cookie(),
            // Sequence numbers wrap.
            sequence: self.first_sequence.wrapping_add(read as u32),
            queue_limit: self.lane.queue_limit,
            generation,
            ..Order::default()
        };
        self.lane.memory.give(self.slot, order.sealed());
        Ok(Armed { upstream: self, _client: client, generation })
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
        self.lane.forget_pod(self.pod, self.slot);
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
        Standing::HandedOver(HandOver { reason: course.reason, framing: course.framing, progress })
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
}
