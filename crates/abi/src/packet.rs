//! What waits between a redirect and the client's socket, where packets are redirected and not messages.
//!
//! A packet that is redirected is queued beside the client's socket, outside of all that the kernel counts as anyone's, and a
//! worker of the kernel sends it later. So the budget is this program's to keep: without it, a client that reads nothing,
//! or a worker that has no time, makes the kernel hold whatever the pod sends.
//!
//! ```text
//! waiting bytes = sequence behind all that was redirected - the client's write_seq
//! held          = wmem_queued + waiting bytes + 1024 for each waiting packet      at most the budget
//! ```

/// Kernel memory that a packet takes beside its data, at least: its head, its `sk_buff`, and their rounding.
const PACKET: u64 = 1024;

/// What was redirected and has not come to the client's socket yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Bytes.
    pub bytes: u32,
    /// Packets, at most.
    pub packets: u32,
}

// === Waiting ===

impl Waiting {
    /// With the client's socket here, and all that was redirected reaching to `behind`; `bytes` were in all, in `packets` since none
    /// waited last. `None` where the socket is beyond that, or before the first of them: others wrote to it.
    #[inline(always)]
    pub fn between(written: u32, behind: u32, bytes: u64, packets: u32) -> Option<Self> {
        // Sequence numbers wrap.
        let waiting = behind.wrapping_sub(written);
        if waiting as u64 > bytes {
            return None;
        }
        Some(Self { bytes: waiting, packets: if waiting == 0 { 0 } else { packets } })
    }
}

/// The room check: whether a packet of `bytes` may follow what waits, with `queued` and `buffer` as the client's socket has them.
///
/// In the socket it will take more memory than its bytes, which is why an eighth and a page are left; and a socket that is
/// full makes the worker try again with each tick of the clock.
#[inline(always)]
pub fn has_room_beside(waiting: Waiting, bytes: u32, queued: u32, buffer: u32, budget: u32) -> bool {
    let most = if budget < buffer { budget } else { buffer };
    let coming = waiting.bytes as u64 + bytes as u64;
    let packets = (waiting.packets as u64 + 1) * PACKET;
    queued as u64 + coming + (coming >> 3) + packets + 4096 <= most as u64
}
