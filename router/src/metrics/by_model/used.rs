//! What engines counted of a model's answers, and how long each of their tokens took.

use std::time::Duration;

use warmlane_engine::sse::payload::Usage;

use super::super::{Amounts, Durations};

/// See the module's header. Of the answers whose counts were seen.
#[derive(Debug)]
pub(in super::super) struct Used {
    pub(in super::super) prompt: Amounts,
    pub(in super::super) cached: Amounts,
    pub(in super::super) completion: Amounts,
    /// All of an answer's time, for each of its tokens.
    pub(in super::super) per_token: Durations,
    /// Its time from the first byte on, for each token after the first.
    pub(in super::super) per_later_token: Durations,
}

// === Used ===

impl Used {
    pub(super) fn observe(&self, usage: Usage, took: Duration, first_byte: Option<Duration>) {
        // No prompt is empty: a 0 says that what states it was not seen.
        if usage.prompt_tokens > 0 {
            self.prompt.observe(usage.prompt_tokens);
        }
        self.completion.observe(usage.completion_tokens);
        if let Some(cached) = usage.cached_tokens {
            self.cached.observe(cached);
        }
        let tokens = u32::try_from(usage.completion_tokens).unwrap_or(u32::MAX);
        if let Some(each) = took.checked_div(tokens) {
            self.per_token.observe(each);
        }
        let later =
            first_byte.and_then(|first| took.saturating_sub(first).checked_div(tokens.saturating_sub(1)));
        if let Some(each) = later {
            self.per_later_token.observe(each);
        }
    }

    pub(super) fn absorb(&self, other: &Self) {
        self.prompt.absorb(&other.prompt);
        self.cached.absorb(&other.cached);
        self.completion.absorb(&other.completion);
        self.per_token.absorb(&other.per_token);
        self.per_later_token.absorb(&other.per_later_token);
    }
}

impl Default for Used {
    fn default() -> Self {
        let [prompt, cached, completion] = std::array::from_fn(|_| Amounts::of_tokens());
        let [per_token, per_later_token] = Default::default();
        Self { prompt, cached, completion, per_token, per_later_token }
    }
}
