//! Bytes of a packet of a pod on another node.

use aya_ebpf::{EbpfContext as _, bindings::__sk_buff, helpers::bpf_skb_load_bytes, programs::SkBuffContext};
use warmlane_abi::{Course, Cut, Framing, Scan, outcome};

use super::{Bytes, load, step, store};

/// Steps per run, and no other run follows for the same packet: thirty chunks of tokens, where networks put many into one.
const STEPS: usize = 512;

/// What becomes of the packet.
#[inline(always)]
pub fn read(ctx: &SkBuffContext, course: *mut Course, before: Framing, length: u32) -> Cut {
    store(course, Scan::new(before, length));
    let mut outcome = outcome::UNFINISHED;
    for _ in 0..STEPS {
        outcome = packet_step(ctx.skb.skb, course);
        if outcome != outcome::UNFINISHED {
            break;
        }
    }
    load(course).undivided(before, outcome)
}

/// Global to the verifier, as the one for messages.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn packet_step(ctx: *mut __sk_buff, course: *mut Course) -> u32 {
    // It never is, but the verifier sees only this function.
    if course.is_null() {
        return outcome::UNREADABLE;
    }
    step(&SkBuffContext::new(ctx), course)
}

impl Bytes for SkBuffContext {
    /// Copied out one by one: most of a packet lies where programs cannot look, and making it visible would move all of it.
    #[inline(always)]
    fn byte(&self, _: *mut Course, offset: u32) -> Option<u8> {
        let mut byte = 0_u8;
        // SAFETY: one byte is written, where there is one.
        let failed = unsafe { bpf_skb_load_bytes(self.as_ptr(), offset, (&raw mut byte).cast(), 1) };
        if failed == 0 { Some(byte) } else { None }
    }
}
