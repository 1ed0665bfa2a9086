//! Reads framing: `warmlane_abi::Scan` over bytes that are got at one by one, from a message or from a packet.
//!
//! The scan lies in the slot and is read and written whole and volatile at each step. The verifier does not follow what
//! is stored there, so all steps look the same to it; kept in registers, each would multiply the states of the last. And
//! a step is a function of its own that the verifier sees once, for whatever arguments, not once for each time it is
//! called: as a part of the loop, 64 steps are over its limit of a million instructions on Linux 6.1, which forgets less
//! of what lies behind it than later ones.

use core::ptr::{addr_of, addr_of_mut, read_volatile, write_volatile};

use warmlane_abi::{Course, Scan, outcome};

pub mod message;
pub mod packet;

/// Bytes that cannot be indexed.
trait Bytes {
    fn byte(&self, course: *mut Course, offset: u32) -> Option<u8>;
}

#[inline(always)]
fn step(bytes: &impl Bytes, course: *mut Course) -> u32 {
    let scan = load(course);
    let (scan, outcome) = if scan.wants_byte() {
        let Some(byte) = bytes.byte(course, scan.offset) else { return outcome::UNREADABLE };
        scan.read(byte)
    } else {
        scan.leap()
    };
    store(course, scan);
    outcome
}

#[inline(always)]
fn load(course: *mut Course) -> Scan {
    // SAFETY: the course lies in a map value that outlives the run.
    unsafe { read_volatile(addr_of!((*course).scan)) }
}

#[inline(always)]
fn store(course: *mut Course, scan: Scan) {
    // SAFETY: as for `load`.
    unsafe { write_volatile(addr_of_mut!((*course).scan), scan) };
}
