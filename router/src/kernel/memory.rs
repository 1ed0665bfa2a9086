//! The slots, in memory that the kernel's programs share.
//!
//! Invariants: the mapping lives as long as the value and is never moved; each field is read and written by volatile accesses
//! of its own width, as the other side may write at any time; the router writes a slot's order and nothing of its course
//! while a program may run for it.

#![expect(unsafe_code, reason = "memory shared with the kernel is reached through raw pointers")]

use std::{
    io,
    os::fd::AsFd,
    ptr::{self, NonNull, addr_of_mut},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use warmlane_abi::{Course, Order, Slot};

/// See the module's header.
#[derive(Debug)]
pub(super) struct Memory {
    slots: NonNull<Slot>,
    count: u32,
    bytes: usize,
}

// SAFETY: the mapping belongs to no thread, and every access to what others may write is volatile or atomic.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

// === Memory ===

impl Memory {
    /// Maps the array of a map.
    pub(super) fn map(array: impl AsFd, count: u32) -> io::Result<Self> {
        let bytes = count as usize * size_of::<Slot>();
        let (rights, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: the kernel chooses the place, so that no other memory is touched.
        let at = unsafe { mmap(ptr::null_mut(), bytes, rights, flags, array, 0) }?;
        let slots = NonNull::new(at.cast()).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { slots, count, bytes })
    }

    /// How many slots there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Writes an order, its generation last.
    pub(super) fn give(&self, index: u32, order: Order) {
        let slot = self.slot(index);
        // SAFETY: inside the mapping; nobody else writes orders.
        let place = unsafe { addr_of_mut!((*slot).order) };
        // SAFETY: as above, and aligned as the whole slot is.
        let before = unsafe { addr_of_mut!((*place).generation).read_volatile() };
        // SAFETY: as above.
        unsafe { place.write_volatile(Order { generation: before, ..order }) };
        // SAFETY: as above; atomics may lie in memory that was not made for them.
        let generation = unsafe { AtomicU32::from_ptr(addr_of_mut!((*place).generation)) };
        generation.store(order.generation, Ordering::SeqCst);
    }

    /// The generation of the order that was given last.
    pub(super) fn generation(&self, index: u32) -> u32 {
        let slot = self.slot(index);
        // SAFETY: inside the mapping, and aligned.
        unsafe { addr_of_mut!((*slot).order.generation).read_volatile() }
    }

    /// How far the program is.
    pub(super) fn course(&self, index: u32) -> Course {
        let slot = self.slot(index);
        // SAFETY: inside the mapping, and aligned; every bit pattern is a course.
        unsafe { addr_of_mut!((*slot).course).read_volatile() }
    }

    /// Forgets what an earlier connection left. Only while no program runs for the slot.
    pub(super) fn clear(&self, index: u32) {
        let slot = self.slot(index);
        let kept = self.course(index);
        let fresh = Course { taken: kept.taken, handed_over: kept.handed_over, ..Course::default() };
        // SAFETY: inside the mapping, and aligned.
        unsafe { addr_of_mut!((*slot).course).write_volatile(fresh) };
    }

    fn slot(&self, index: u32) -> *mut Slot {
        assert!(index < self.count, "slot {index} of {}", self.count);
        // SAFETY: the index was checked, so the place lies inside the mapping.
        unsafe { self.slots.as_ptr().add(index as usize) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: nothing that borrows from the mapping outlives it. A failure leaves it mapped, no more.
        let _ = unsafe { munmap(self.slots.as_ptr().cast(), self.bytes) };
    }
}
