//! Where an engine's events go, and what is said of how it stands with them.

use std::sync::Arc;

use warmlane_engine::kv_events::Event;

/// Who keeps the blocks. Called by one task, in order.
pub trait Sink: Send + Sync + 'static {
    /// Takes an event in.
    fn take(&self, event: &Event) -> Fit;

    /// Forgets everything.
    fn clear(&self);

    /// How it stands with the engine.
    fn stands(&self, state: &State);
}

/// How an event fits to what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// All of it was taken in.
    Whole,
    /// There was no room for some blocks, or no sense in them.
    Partly,
    /// Its blocks do not follow from what is known.
    Behind,
}

/// How it stands with an engine's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing has been heard.
    #[default]
    Unheard,
    /// Its blocks are known.
    Known {
        /// All of them: those of its first frames, too.
        whole: bool,
    },
    /// It is not followed for the moment; what is known grows old.
    Lost {
        /// Why.
        why: Arc<str>,
    },
}
