//! The way to a pod: opened when something is asked, and anew once kubectl has lost it.

use crate::{
    address::Address,
    clean::clean,
    kube::{Forward, KubeError, Wanted},
};

/// See the module's header.
#[derive(Debug)]
pub(super) struct Way {
    /// With the pod that was chosen.
    pub(super) wanted: Wanted,
    pub(super) forward: Option<Forward>,
    /// Somebody has named the pod: no other will do.
    is_given: bool,
    /// People know of the choice.
    is_told: bool,
}

// === Way ===

impl Way {
    pub(super) fn to(wanted: Wanted) -> Self {
        Self { is_given: wanted.pod.is_some(), wanted, forward: None, is_told: false }
    }

    /// Opens it, unless it is open: where it leads now, if that is new. It takes its own time.
    pub(super) async fn open(&mut self) -> Result<Option<Address>, KubeError> {
        if self.forward.as_mut().is_some_and(Forward::has_ended) {
            self.forward = None;
            if !self.is_given {
                // The one that was chosen may be gone for good.
                self.wanted.pod = None;
            }
        }
        if self.forward.is_some() {
            return Ok(None);
        }
        let forward = Forward::open(&self.wanted).await?;
        // Other ports are to be the same one's.
        self.wanted.pod = Some(forward.pod.clone());
        // Said once: later `top` has the terminal.
        if let Some(note) = forward.note.as_ref().filter(|_| !self.is_told) {
            eprintln!("warmlane: {}", clean(note));
        }
        self.is_told = true;
        Ok(Some(self.forward.insert(forward).address.clone()))
    }
}
