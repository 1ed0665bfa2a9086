//! The memory that the router and the program share for one connection to a pod.

use crate::{Framing, Order, Scan};

/// See the module's header. The halves lie on lines of their own: each has one writer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// The router's half.
    pub order: Order,
    /// The program's half.
    pub course: Course,
}

/// How far the program is with an order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Where the body stands behind all that was redirected; once handed over, that is where user space goes on.
    pub framing: Framing,
    /// Bytes redirected under this order.
    pub bytes: u64,
    /// Chunks that ended in them.
    pub chunks: u64,
    /// Messages, or parts of them, that they came in: each would have woken the router.
    pub messages: u64,
    /// Bytes of data among those redirected, without the framing of chunks.
    pub data: u64,
    /// Where the client's socket is in the kernel.
    pub client_socket: u64,
    /// The generation that was taken up last.
    pub taken: u32,
    /// The generation that was handed over last.
    pub handed_over: u32,
    /// Why: one of [`crate::reason`].
    pub reason: u32,
    /// Not 0 while messages are redirected.
    pub active: u32,
    /// The sequence number of the client's next byte, if all that was redirected went out.
    pub client_sequence: u32,
    /// Not 0 while the kernel may show the rest of a message again.
    pub parted: u32,
    /// The program's own: where the bytes begin that it can see.
    pub seen_from: u32,
    /// And where they end.
    pub seen_to: u32,
    /// The program's own.
    pub scan: Scan,
    /// Of a pod on another node: the sequence number of its next byte.
    pub next_sequence: u32,
    /// And how many of its packets were redirected since the client's socket last had all of them.
    pub packets: u32,
    /// Where the kernel keeps whether the client's protocol is short of memory.
    pub memory_pressure: u64,
    #[doc(hidden)]
    pub _pad: [u64; 2],
}

const _: () = assert!(size_of::<Order>() == 64);
const _: () =
    assert!(size_of::<Course>() == size_of::<Framing>() + 6 * 8 + 10 * 4 + size_of::<Scan>() + 2 * 8);
const _: () = assert!(size_of::<Slot>() == 256 && align_of::<Slot>() == 8);
