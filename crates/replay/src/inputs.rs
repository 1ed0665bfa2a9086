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

/// See the module's header.
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

// === Held ===

impl Held {
    /// What all of them are believed to hold.
    pub fn all(matches: &Matches) -> impl Iterator<Item = Self> {
        let held = |slot| Some(Self { slot, blocks: matches.depth(slot), source: matches.source(slot)? });
        matches.holders().filter_map(held)
    }
}

// === Inputs ===

impl Inputs {
    /// All that the picker read.
    pub fn of(request: &Request<'_>, at: Time, seed: u64) -> Self {
        Self {
            at,
            seed,
            model: request.model.map(str::to_owned),
            prompt_tokens: request.prompt_tokens,
            output_tokens: request.output_tokens,
            criticality: request.criticality,
            held: Held::all(request.prefix).collect(),
            tokens_per_block: request.prefix.tokens_per_block(),
            session: request.session,
            group: request.group.copied(),
            offered: request.offered.cloned(),
            live: request.live.to_vec(),
            shed: false,
        }
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
