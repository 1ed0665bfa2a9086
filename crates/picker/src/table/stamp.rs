//! When an entry was last used: a coarse moment that fits beside a tag.

use crate::Time;

/// Bits of a stamp; a tag has the others of its word.
pub(crate) const STAMP_BITS: u32 = 24;
pub(crate) const STAMP_MASK: u64 = (1 << STAMP_BITS) - 1;

/// A coarse moment: eighths of a second, wrapping after 24 days. Ages are told up to 12 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(u32);

// === Stamp ===

impl Stamp {
    /// The stamp of a moment.
    #[inline]
    pub fn of(now: Time) -> Self {
        Self(((now.as_millis() as u64 / 125) & STAMP_MASK) as u32)
    }

    /// Eighths of a second since `self`, at `now`; 0 when `self` is later, as when another thread read its
    /// clock after this one did.
    #[inline]
    pub fn age(self, now: Self) -> u32 {
        let age = now.0.wrapping_sub(self.0) & STAMP_MASK as u32;
        if age > STAMP_MASK as u32 / 2 { 0 } else { age }
    }

    /// The same as a time.
    pub fn idle(self, now: Self) -> Time {
        Time::from_millis(u64::from(self.age(now)) * 125)
    }

    /// The stamp in an entry's first word.
    #[inline]
    pub(super) fn of_word(word: u64) -> Self {
        Self((word & STAMP_MASK) as u32)
    }

    /// Its part of that word.
    #[inline]
    pub(super) fn word(self) -> u64 {
        u64::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_wrap() {
        let late = Stamp::of(Time::from_millis(125 * ((1 << 24) - 1)));
        let wrapped = Stamp::of(Time::from_millis(125 * ((1 << 24) + 1)));
        assert_eq!(late.age(wrapped), 2);
        assert_eq!(late.idle(wrapped), Time::from_millis(250));
        assert_eq!(wrapped.age(late), 0, "another thread's clock is ahead");
    }
}
