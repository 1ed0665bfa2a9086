//! Reads a message's framing: `warmlane_abi::Scan` over bytes that are got at one by one.
//!
//! The scan lies in the slot and is read and written whole and volatile at each step. The verifier does not follow what
//! is stored there, so all steps look the same to it; kept in registers, each would multiply the states of the last. And
//! a step is a function of its own that the verifier sees once, for whatever arguments, not once for each time it is
//! called: as a part of the loop, 64 steps are over its limit of a million instructions on Linux 6.1, which forgets less
//! of what lies behind it than later ones.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use aya_ebpf::{bindings::sk_msg_md, helpers::bpf_msg_pull_data, programs::SkMsgContext};
use warmlane_abi::{Course, Cut, Framing, Scan, outcome};

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
        outcome = step(ctx.msg, course);
        if outcome != outcome::UNFINISHED {
            break;
        }
    }
    load(course).cut(before, outcome)
}

/// Global to the verifier by its name that is kept and by its arguments, which are the context and memory of a known size.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step(ctx: *mut sk_msg_md, course: *mut Course) -> u32 {
    // It never is, but the verifier sees only this function.
    if course.is_null() {
        return outcome::UNREADABLE;
    }
    let ctx = &SkMsgContext::new(ctx);
    let scan = load(course);
    let (scan, outcome) = if scan.wants_byte() {
        let Some(byte) = byte(ctx, course, scan.offset) else { return outcome::UNREADABLE };
        scan.read(byte)
    } else {
        scan.leap()
    };
    store(course, scan);
    outcome
}

/// One byte of the message. Beyond the first piece of a message in many, it is fetched alone, which copies nothing.
#[inline(always)]
fn byte(ctx: &SkMsgContext, course: *mut Course, offset: u32) -> Option<u8> {
    // SAFETY: see above.
    if offset >= unsafe { read_volatile(addr_of!((*course).seen_to)) } {
        // SAFETY: the context is the program's own.
        if unsafe { bpf_msg_pull_data(ctx.msg, offset, offset + 1, 0) } != 0 {
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
    let at = ctx.data() + (offset.wrapping_sub(seen_from) & WINDOW) as usize;
    if at + 1 > ctx.data_end() {
        return None;
    }
    // SAFETY: the byte lies before the end of what the program may see.
    Some(unsafe { *(at as *const u8) })
}

#[inline(always)]
fn load(course: *mut Course) -> Scan {
    // SAFETY: see above.
    unsafe { read_volatile(addr_of!((*course).scan)) }
}

#[inline(always)]
fn store(course: *mut Course, scan: Scan) {
    // SAFETY: see above.
    unsafe { write_volatile(addr_of_mut!((*course).scan), scan) };
}
