//! Sets of endpoints as the index stores them in one word.
//!
//! In an index of up to 64 endpoints the word is the set, a bit per slot. In a larger one it is up to four
//! slots inline, ascending, or the number of a bitmap.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{Slot, snapshot::bits_of};

/// No slot inline: four empty places.
pub(super) const EMPTY: u64 = u64::MAX;

/// Marks an empty place. Slots stay below [`WIDE`].
const NOBODY: u16 = u16::MAX;
/// In the top place: the low half names a bitmap.
const WIDE: u16 = 0xfffe;

/// A borrowed owner set.
#[derive(Clone, Copy)]
pub(super) enum Owners<'i> {
    /// One bit per slot below 64.
    Bits(u64),
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

/// The inline value of four slots with one more in place of one of them. Which one goes depends on the
/// newcomer, so that none stays for ever, and is the same along a chain.
pub(super) fn inline_instead(value: u64, slot: Slot) -> u64 {
    let mut places = places(value);
    places[usize::from(slot.0) % 4] = slot.0;
    places.sort_unstable();
    pack(places)
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

/// The slots of one word of a set.
#[inline]
pub(super) fn slots_of(at: usize, bits: u64) -> impl Iterator<Item = Slot> {
    bits_of(bits).map(move |bit| Slot((at * 64 + bit) as u16))
}

// === Owners ===

impl Owners<'_> {
    /// Slots `64 * at ..` as bits.
    #[inline]
    pub(super) fn word(&self, at: usize) -> u64 {
        match self {
            Self::Bits(bits) => *bits * u64::from(at == 0),
            Self::Inline(value) => {
                let here =
                    |place: u16| u64::from(usize::from(place) / 64 == at && place != NOBODY) << (place % 64);
                places(*value).into_iter().fold(0, |bits, place| bits | here(place))
            }
            Self::Wide(words) => words.get(at).map_or(0, |word| word.load(Relaxed)),
        }
    }

    /// Words of the set that are not empty, with their numbers, ascending.
    pub(super) fn words(&self) -> impl Iterator<Item = (usize, u64)> {
        let few = match self {
            Self::Inline(value) => {
                places(*value).map(|place| (place != NOBODY).then(|| usize::from(place) / 64))
            }
            Self::Bits(_) => [Some(0), None, None, None],
            Self::Wide(_) => [None; 4],
        };
        let all = if let Self::Wide(words) = self { words.len() } else { 0 };
        // Places ascend, so equal words stand side by side.
        let few = (0..4).filter_map(move |at| few[at].filter(|word| at == 0 || few[at - 1] != Some(*word)));
        few.chain(0..all).map(|at| (at, self.word(at))).filter(|(_, bits)| *bits != 0)
    }

    /// True when nobody is in it. A bitmap has somebody: the last one who leaves hands it back.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Bits(bits) => *bits == 0,
            Self::Inline(value) => *value == EMPTY,
            Self::Wide(_) => false,
        }
    }
}
