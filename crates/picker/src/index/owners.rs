//! Sets of endpoints as the index stores them in one word: up to four slots inline, ascending, or the number
//! of a bitmap.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::Slot;

/// No owner: four empty places.
pub(super) const EMPTY: u64 = u64::MAX;

/// Marks an empty place. Slots stay below [`WIDE`].
const NOBODY: u16 = u16::MAX;
/// In the top place: the low half names a bitmap.
const WIDE: u16 = 0xfffe;

/// A borrowed owner set.
#[derive(Clone, Copy)]
pub(super) enum Owners<'i> {
    /// Up to four slots.
    Inline(u64),
    /// One bit per slot.
    Wide(&'i [AtomicU64]),
}

/// The bitmap's number, if the value names one.
#[inline]
pub(super) fn wide_set(value: u64) -> Option<u32> {
    ((value >> 48) as u16 == WIDE).then_some(value as u32)
}

/// The value that names a bitmap.
pub(super) fn wide_value(set: u32) -> u64 {
    u64::from(WIDE) << 48 | u64::from(set)
}

/// The slots of an inline value, ascending.
pub(super) fn inline_slots(value: u64) -> impl Iterator<Item = Slot> {
    places(value).into_iter().filter(|slot| *slot != NOBODY).map(Slot)
}

/// The inline value with one more slot; `None` when four others are there.
pub(super) fn inline_with(value: u64, slot: Slot) -> Option<u64> {
    let mut places = places(value);
    if places.contains(&slot.0) {
        return Some(value);
    }
    if places[3] != NOBODY {
        return None;
    }
    places[3] = slot.0;
    places.sort_unstable();
    Some(pack(places))
}

/// The inline value without a slot.
pub(super) fn inline_without(value: u64, slot: Slot) -> u64 {
    let mut places = places(value).map(|place| if place == slot.0 { NOBODY } else { place });
    places.sort_unstable();
    pack(places)
}

/// Lowest place in the lowest bits.
fn places(value: u64) -> [u16; 4] {
    [value as u16, (value >> 16) as u16, (value >> 32) as u16, (value >> 48) as u16]
}

fn pack(places: [u16; 4]) -> u64 {
    places.iter().rev().fold(0, |value, place| value << 16 | u64::from(*place))
}

// === Owners ===

impl Owners<'_> {
    pub(super) const NONE: Self = Self::Inline(EMPTY);

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Inline(value) => *value == EMPTY,
            Self::Wide(words) => words.iter().all(|w| w.load(Relaxed) == 0),
        }
    }

    fn holds(&self, slot: Slot) -> bool {
        match self {
            Self::Inline(value) => places(*value).contains(&slot.0),
            Self::Wide(words) => {
                words.get(usize::from(slot.0) / 64).is_some_and(|w| w.load(Relaxed) & (1 << (slot.0 % 64)) != 0)
            }
        }
    }

    /// Calls `each` for every slot in `self` that is not in `other`.
    pub(super) fn each_not_in(&self, other: &Self, mut each: impl FnMut(Slot)) {
        match (self, other) {
            (Self::Inline(value), _) => {
                inline_slots(*value).filter(|slot| !other.holds(*slot)).for_each(each);
            }
            (Self::Wide(mine), Self::Wide(theirs)) => {
                for (at, (mine, theirs)) in mine.iter().zip(*theirs).enumerate() {
                    each_bit(mine.load(Relaxed) & !theirs.load(Relaxed), at, &mut each);
                }
            }
            (Self::Wide(mine), Self::Inline(theirs)) => {
                for (at, word) in mine.iter().enumerate() {
                    let taken = inline_slots(*theirs).filter(|s| usize::from(s.0) / 64 == at);
                    let taken = taken.fold(0, |bits, s| bits | 1_u64 << (s.0 % 64));
                    each_bit(word.load(Relaxed) & !taken, at, &mut each);
                }
            }
        }
    }
}

impl PartialEq for Owners<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Inline(a), Self::Inline(b)) => a == b,
            (Self::Wide(a), Self::Wide(b)) => {
                std::ptr::eq(*a, *b) || a.iter().zip(*b).all(|(a, b)| a.load(Relaxed) == b.load(Relaxed))
            }
            // A bitmap of few owners may equal an inline set; taking them for different costs a probe.
            _ => false,
        }
    }
}

#[inline]
fn each_bit(mut bits: u64, word: usize, each: &mut impl FnMut(Slot)) {
    while bits != 0 {
        each(Slot((word * 64) as u16 + bits.trailing_zeros() as u16));
        bits &= bits - 1;
    }
}
