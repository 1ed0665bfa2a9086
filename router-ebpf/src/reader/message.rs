//! Bytes of a message of a pod on this node.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::{bindings::sk_msg_md, helpers::bpf_msg_pull_data, programs::SkMsgContext};
use warmlane_abi::{Course, Cut, Framing, Scan, outcome};

use super::{Bytes, load, step, store};

/// Steps per run. A chunk takes about sixteen; what is left of a message comes in another run.
const STEPS: usize = 64;

/// How far into what it can see a program may look. Further on a byte at a time is fetched.
const WINDOW: u32 = 0x3fff;

/// What becomes of the message.
#[inline(always)]
pub fn read(ctx: &SkMsgContext, course: *mut Course, before: Framing, length: u32) -> Cut {
    let seen = (ctx.data_end() - ctx.data()) as u32;
    let seen = if seen > WINDOW { WINDOW } else { seen };
    store(course, Scan::new(before, length));
    // SAFETY: the course lies in a map value that outlives the run; so below.
    unsafe {
        write_volatile(addr_of_mut!((*course).seen_from), 0);
        write_volatile(addr_of_mut!((*course).seen_to), seen);
    }
    let mut outcome = outcome::UNFINISHED;
    for _ in 0..STEPS {
        outcome = message_step(ctx.msg, course);
        if outcome != outcome::UNFINISHED {
            break;
        }
    }
    load(course).cut(before, outcome)
}

/// Global to the verifier by its name that is kept and by its arguments, which are the context and memory of a known size.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn message_step(ctx: *mut sk_msg_md, course: *mut Course) -> u32 {
    // It never is, but the verifier sees only this function.
    if course.is_null() {
        return outcome::UNREADABLE;
    }
    step(&SkMsgContext::new(ctx), course)
}

impl Bytes for SkMsgContext {
    /// Beyond the first piece of a message in many, a byte is fetched alone, which copies nothing.
    #[inline(always)]
    fn byte(&self, course: *mut Course, offset: u32) -> Option<u8> {
        // SAFETY: see above.
        if offset >= unsafe { read_volatile(addr_of!((*course).seen_to)) } {
            // SAFETY: the context is the program's own.
            if unsafe { bpf_msg_pull_data(self.msg, offset, offset + 1, 0) } != 0 {
                return None;
            }
            // SAFETY: see above.
            unsafe {
                write_volatile(addr_of_mut!((*course).seen_from), offset);
                write_volatile(addr_of_mut!((*course).seen_to), offset + 1);
            }
        }
        // SAFETY: see above.
        let seen_from = unsafe { read_volatile(addr_of!((*course).seen_from)) };
        let at = self.data() + (offset.wrapping_sub(seen_from) & WINDOW) as usize;
        if at + 1 > self.data_end() {
            return None;
        }
        // SAFETY: the byte lies before the end of what the program may see.
        Some(unsafe { *(at as *const u8) })
    }
}
