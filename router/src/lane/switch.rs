//! The lane switched off by hand, and on again.
//!
//! Off is as where the lane was lost: nothing new takes it, what the kernel carries just then it carries on with, and a response
//! that comes back to the router is copied from there on.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::Lane;

const BY_HAND: &str = "it was switched off by hand (/debug/lane switches it on again)";

/// Whether somebody switched the lane off.
#[derive(Debug, Default)]
pub(super) struct Switch {
    is_off: AtomicBool,
}

// === Switch ===

impl Switch {
    pub(super) fn is_off(&self) -> bool {
        self.is_off.load(Relaxed)
    }

    /// Why the lane is off by this, if it is.
    pub(super) fn why_off(&self) -> Option<&'static str> {
        self.is_off().then_some(BY_HAND)
    }
}

// === Lane ===

impl Lane {
    /// Switches it off, or on again where it was switched off. Whether it was the other way before.
    ///
    /// # Errors
    /// Why it cannot be on: for another reason than that.
    pub fn switch(&self, on: bool) -> Result<bool, String> {
        match self.why_lost() {
            Some(why) if on => Err(why.to_owned()),
            Some(_) => Ok(false),
            None => Ok(self.switch.is_off.swap(!on, Relaxed) == on),
        }
    }
}
