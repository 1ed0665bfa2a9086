//! What user space orders for one response, and when the kernel may act on it.

use crate::Framing;

/// One response to be redirected: by whom it is read from where on. Written by the router, read by the program.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Where the body stands behind all that the router has read.
    pub framing: Framing,
    /// The client's socket; 0 where nothing is ordered.
    pub client_cookie: u64,
    /// See [`Self::sealed`].
    pub seal: u64,
    /// The sequence number of the pod's next byte, if the router has read all before it.
    pub sequence: u32,
    /// The most that may wait in the client's socket, in bytes of kernel memory.
    pub queue_limit: u32,
    /// Another than the last one's. Written last.
    pub generation: u32,
    #[doc(hidden)]
    pub _pad: u32,
}

const _: () = assert!(size_of::<Order>() == size_of::<Framing>() + 2 * 8 + 4 * 4);

// === Order ===

impl Order {
    /// The order with its seal. Kernel programs have no load that is ordered before others, so that on some processors the
    /// new generation may be seen beside older fields: the seal tells.
    pub fn sealed(mut self) -> Self {
        self.seal = self.sum();
        self
    }

    /// Whether all of it was written.
    #[inline(always)]
    pub fn is_whole(&self) -> bool {
        self.seal == self.sum()
    }

    /// Whether there is an order at all.
    #[inline(always)]
    pub fn is_given(&self) -> bool {
        self.client_cookie != 0
    }

    /// The position check: whether the pod's next byte is the first one that the router has not read. If it is not, bytes are on
    /// their way to the router, and what is redirected now would overtake them.
    #[inline(always)]
    pub fn begins_at(&self, sequence: u32) -> bool {
        self.sequence == sequence
    }

    #[inline(always)]
    fn sum(&self) -> u64 {
        let framing = &self.framing;
        let words = [
            framing.remaining,
            framing.kind as u64 | (framing.stage as u64) << 32,
            framing.digits as u64 | (framing.extension as u64) << 32,
            framing.mark as u64 | (self.sequence as u64) << 32,
            self.client_cookie,
            self.queue_limit as u64 | (self.generation as u64) << 32,
        ];
        let (mut sum, mut at) = (0x9e37_79b9_7f4a_7c15, 0);
        while at < words.len() {
            sum = (sum ^ words[at]).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
            at += 1;
        }
        sum
    }
}

/// The room check: whether a client's socket takes `bytes` more without having to wait.
///
/// A redirect that meets a full socket makes the pod's send fail with EAGAIN although its own socket is writable: it would
/// spin, or never be woken. `queued` counts kernel memory, which is more than the bytes: hence an eighth and a page on top.
#[inline(always)]
pub fn has_room(bytes: u32, queued: u32, buffer: u32, limit: u32) -> bool {
    let most = if limit < buffer { limit } else { buffer };
    queued as u64 + bytes as u64 + (bytes as u64 >> 3) + 4096 <= most as u64
}
