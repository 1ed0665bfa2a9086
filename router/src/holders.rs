//! Who holds the prompt at hand, from all that is known: what this router sent, and what engines say they hold.
//!
//! Found before a pick, which then only reads it. The buffers are a worker's and reused.

use warmlane_engine::body::Prompt;
use warmlane_picker::{Chain, Matches, Slot, Time, Told};

use crate::{blocks::Tellers, world::World};

/// See the module's header.
#[derive(Debug, Default)]
pub struct Holders {
    /// The prompt, as text.
    chain: Chain,
    history: Matches,
    lately: Matches,
    before: Matches,
    /// The prompt in tokens, as far as it is known.
    tokens: Chain,
    told: Matches,
    combined: Matches,
    is_combined: bool,
}

// === Holders ===

impl Holders {
    /// Finds who holds a prompt whose chain starts from `seed`.
    pub fn find(&mut self, world: &World, seed: u64, prompt: &Prompt) {
        self.chain_of(seed, prompt);
        self.look(world, tokens_per_block(prompt));
    }

    /// Finds who holds a prompt of which the chain was kept, or its beginning.
    pub fn find_links(&mut self, world: &World, links: &[u64], tokens_per_block: f32) {
        self.chain.follow_all(links);
        self.look(world, tokens_per_block);
    }

    fn look(&mut self, world: &World, tokens_per_block: f32) {
        self.is_combined = false;
        self.history.reset(tokens_per_block);
        world.index.load().lookup(&self.chain, &mut self.history);
        let tellers = world.blocks.tellers();
        if tellers.block_size > 0 {
            self.ask(world, &tellers, tokens_per_block);
        }
    }

    /// Tokens in a block of the prompt's text.
    pub fn tokens_per_block(&self) -> f32 {
        self.history.tokens_per_block()
    }

    /// The chain of a prompt that starts from `seed`.
    pub fn chain_of(&mut self, seed: u64, prompt: &Prompt) -> &Chain {
        self.chain.set(seed, &prompt.blocks);
        &self.chain
    }

    /// Nothing is held of a request that has no prompt.
    pub fn nobody(&mut self) {
        self.is_combined = false;
        self.chain.set(0, &[]);
        self.history.reset(0.0);
    }

    /// Looks at what engines say, where it is known what the prompt is in tokens.
    fn ask(&mut self, world: &World, tellers: &Tellers, text: f32) {
        let Some(known) = world.tokens.find(&self.chain, tellers.block_size) else { return };
        self.tokens.follow(&known.prompt.links, known.blocks);
        let blocks = Chain::depth(self.tokens.links().len()) as u64;
        self.told.reset(tellers.block_size as f32);
        world.blocks.find(&self.tokens, &mut self.told);
        self.lately.reset(text);
        self.before.reset(text);
        world.lately.find(&self.chain, &mut self.lately, &mut self.before);
        let told = Told {
            held: &self.told,
            known: blocks * u64::from(tellers.block_size),
            wholly: &tellers.wholly,
            partly: &tellers.partly,
        };
        self.combined.combine(&self.history, &self.lately, told);
        self.is_combined = true;
    }

    /// The prompt's chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What each endpoint is believed to hold.
    pub fn matches(&self) -> &Matches {
        if self.is_combined { &self.combined } else { &self.history }
    }

    /// The prompt goes to an endpoint. Said when it is sent, not when it ends, so that the next of a burst already follows.
    pub fn remember(&self, world: &World, to: Slot, now: Time) {
        world.index.load().record(&self.chain, to, self.history.depth(to), now);
        if world.blocks.tellers().block_size > 0 {
            world.lately.record(&self.chain, to, now);
        }
    }
}

fn tokens_per_block(prompt: &Prompt) -> f32 {
    if prompt.bytes == 0 {
        return 0.0;
    }
    prompt.estimated_tokens() as f32 * prompt.block_bytes as f32 / prompt.bytes as f32
}
