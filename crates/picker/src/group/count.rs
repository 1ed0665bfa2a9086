//! How many requests had a prefix lately, in one word of a table.

use crate::Time;

/// Window number (32 bits), requests in it (16), requests in the one before (16).
#[derive(Clone, Copy)]
pub(super) struct Count {
    window: u32,
    current: u16,
    previous: u16,
}

// === Count ===

impl Count {
    pub(super) const NONE: u64 = 0;

    #[inline]
    pub(super) fn of(value: u64) -> Self {
        Self { window: (value >> 32) as u32, current: (value >> 16) as u16, previous: value as u16 }
    }

    #[inline]
    pub(super) fn pack(self) -> u64 {
        u64::from(self.window) << 32 | u64::from(self.current) << 16 | u64::from(self.previous)
    }

    #[inline]
    pub(super) fn one_more(self, now: Time, window: Time) -> Self {
        let number = (now.as_secs_f64() / window.as_secs_f64()) as u32;
        let previous = match number.wrapping_sub(self.window) {
            0 => self.previous,
            1 => self.current,
            _ => 0,
        };
        let current = if number == self.window { self.current.saturating_add(1) } else { 1 };
        Self { window: number, current, previous }
    }

    #[inline]
    pub(super) fn estimate(self, now: Time, window: Time) -> u16 {
        let into = (now.as_secs_f64() / window.as_secs_f64()).fract();
        self.current.saturating_add((f64::from(self.previous) * (1.0 - into)) as u16)
    }
}
