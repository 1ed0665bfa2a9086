//! One replica: an engine that steps from one event to the next.

use crate::{
    Error,
    model::{AdapterId, Engine, Options, Output, Profile, Request},
};

use super::load::{Ask, BLOCK_TOKENS};

/// See the module's header.
#[derive(Debug)]
pub(super) struct Replica {
    pub(super) engine: Engine,
}

// === Replica ===

impl Replica {
    pub(super) fn new(card: &Profile) -> Self {
        let options = Options { block_size: BLOCK_TOKENS, ..Options::default() };
        Self { engine: Engine::new(card.clone(), options) }
    }

    /// Takes a request; gives the end of the step it begins, where the engine was idle.
    pub(super) fn take(&mut self, now: f64, id: usize, ask: &Ask) -> Result<Option<f64>, Error> {
        let request = Request {
            prompt: ask.prompt.clone(),
            max_tokens: ask.output,
            stop_after: None,
            adapter: ask.adapter.map(AdapterId),
        };
        self.engine.submit(now, id as u64, request)?;
        Ok(self.begin(now))
    }

    /// Ends a step and begins the next; gives its end.
    pub(super) fn step(&mut self, now: f64, output: &mut Output) -> Option<f64> {
        self.engine.complete(output);
        self.begin(now)
    }

    fn begin(&mut self, now: f64) -> Option<f64> {
        self.engine.schedule(now).map(|step| step.ends_at)
    }
}
