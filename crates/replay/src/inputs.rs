//! What a decision was made of, beside its snapshot and its profile.

use warmlane_picker::{Criticality, Group, Live, Matches, Request, Slot, SlotSet, Source, Time};

/// How much of a prompt an endpoint was believed to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which endpoint.
    pub slot: Slot,
    /// Blocks of the prompt.
    pub blocks: u32,
    /// Where that was known from.
    pub source: Source,
}

/// See the module's header. Reusable: [`Inputs::take`] keeps the allocations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// When, by the clock of the router.
    pub at: Time,
    /// State of the random generator.
    pub seed: u64,
    /// As in [`Request::model`].
    pub model: Option<String>,
    /// As in [`Request::prompt_tokens`].
    pub prompt_tokens: u64,
    /// As in [`Request::output_tokens`].
    pub output_tokens: u64,
    /// As in [`Request::criticality`].
    pub criticality: Criticality,
    /// Who held something of the prompt.
    pub held: Vec<Held>,
    /// Tokens in one of its blocks.
    pub tokens_per_block: f32,
    /// As in [`Request::session`].
    pub session: Option<Slot>,
    /// As in [`Request::group`].
    pub group: Option<Group>,
    /// As in [`Request::offered`].
    pub offered: Option<SlotSet>,
    /// As in [`Request::live`].
    pub live: Vec<Live>,
    /// Admission refused it: nobody was picked.
    pub shed: bool,
}

// === Inputs ===

impl Inputs {
    /// All that the picker read.
    pub fn of(request: &Request<'_>, at: Time, seed: u64) -> Self {
        let mut inputs = Self { live: request.live.to_vec(), ..Self::default() };
        inputs.take(request, at, seed);
        inputs
    }

    /// What the router knew of its endpoints goes by itself: whoever has it in a buffer of its own swaps them.
    pub fn take(&mut self, request: &Request<'_>, at: Time, seed: u64) {
        (self.at, self.seed) = (at, seed);
        match (&mut self.model, request.model) {
            (Some(kept), Some(model)) => {
                kept.clear();
                kept.push_str(model);
            }
            (kept, model) => *kept = model.map(str::to_owned),
        }
        self.prompt_tokens = request.prompt_tokens;
        self.output_tokens = request.output_tokens;
        self.criticality = request.criticality;
        self.tokens_per_block = request.prefix.tokens_per_block();
        let held = |slot: Slot| {
            let source = request.prefix.source(slot)?;
            Some(Held { slot, blocks: request.prefix.depth(slot), source })
        };
        self.held.clear();
        self.held.extend(request.prefix.holders().filter_map(held));
        self.session = request.session;
        self.group = request.group.copied();
        self.offered = request.offered.cloned();
        self.shed = false;
    }

    /// What was believed to be held, as the picker reads it.
    pub fn matches(&self) -> Matches {
        let mut matches = Matches::default();
        matches.reset(self.tokens_per_block);
        self.held.iter().for_each(|held| matches.hold(held.slot, held.blocks, held.source));
        matches
    }

    /// The request, as the picker reads it.
    pub fn request<'a>(&'a self, matches: &'a Matches) -> Request<'a> {
        Request {
            model: self.model.as_deref(),
            prompt_tokens: self.prompt_tokens,
            output_tokens: self.output_tokens,
            criticality: self.criticality,
            prefix: matches,
            session: self.session,
            group: self.group.as_ref(),
            offered: self.offered.as_ref(),
            live: &self.live,
        }
    }
}
