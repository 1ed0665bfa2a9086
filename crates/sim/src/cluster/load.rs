//! Requests of a scenario from a seed, as the scheduler needs them: block hashes and lengths, no text.

use fastrand::Rng;

use super::scenario::{Scenario, Shape, Span};
use crate::model::{Prompt, root};

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) prompt: Prompt,
    pub(super) output: u32,
    pub(super) adapter: Option<u16>,
    pub(super) session: Option<u32>,
}

/// A session and what was said in it.
struct Session {
    id: u32,
    said: Vec<u32>,
    turns: u32,
}

/// Tokens per KV block; the router's blocks of 64 bytes are as many tokens of text.
pub(super) const BLOCK_TOKENS: u32 = 16;

/// All requests, in order.
pub(super) fn asks(scenario: &Scenario, seed: u64) -> Vec<Ask> {
    let rng = &mut Rng::with_seed(seed);
    let count = scenario.prompts;
    match &scenario.shape {
        Shape::Random { prefix, input, output } => {
            let prefix = text(*prefix, rng);
            let ask = || {
                let prompt = join(&prefix, &text(input.draw(rng), rng));
                Ask { prompt: cut(&prompt, None), output: output.draw(rng), adapter: None, session: None }
            };
            std::iter::repeat_with(ask).take(count).collect()
        }
        Shape::Adapters { count: adapters, base_share, input, output } => {
            let popularity = cumulative(usize::from(*adapters));
            let ask = || {
                let other = rng.f64() >= *base_share;
                let rank = draw(&popularity, rng) as u16;
                let adapter = other.then_some(rank);
                let prompt = text(input.draw(rng), rng);
                Ask { prompt: cut(&prompt, adapter), output: output.draw(rng), adapter, session: None }
            };
            std::iter::repeat_with(ask).take(count).collect()
        }
        Shape::Sessions { .. } => sessions(&scenario.shape, count, rng),
    }
}

/// Turns of open sessions in random order; a session that ends makes room for a new one. Earlier answers are
/// part of a prompt but not what the engine generated, as in a replayed log.
fn sessions(shape: &Shape, count: usize, rng: &mut Rng) -> Vec<Ask> {
    let Shape::Sessions { systems, system, open, turns, question, answer } = shape else { return Vec::new() };
    let systems: Vec<Vec<u32>> = (0..*systems).map(|_| text(system.draw(rng), rng)).collect();
    let popularity = cumulative(systems.len());
    let mut sessions: Vec<Session> = Vec::new();
    let mut begun = 0;
    let mut asks = Vec::with_capacity(count);
    while asks.len() < count {
        while sessions.len() < *open {
            let said = systems[draw(&popularity, rng)].clone();
            sessions.push(Session { id: begun, said, turns: turns.draw(rng) });
            begun += 1;
        }
        let chosen = rng.usize(..sessions.len());
        let session = &mut sessions[chosen];
        session.said.extend(text(question.draw(rng), rng));
        let output = answer.draw(rng);
        let prompt = cut(&session.said, None);
        asks.push(Ask { prompt, output, adapter: None, session: Some(session.id) });
        session.said.extend(text(output, rng));
        session.turns -= 1;
        if session.turns == 0 {
            sessions.swap_remove(chosen);
        }
    }
    asks
}

fn text(tokens: u32, rng: &mut Rng) -> Vec<u32> {
    (0..tokens).map(|_| rng.u32(..)).collect()
}

fn join(a: &[u32], b: &[u32]) -> Vec<u32> {
    [a, b].concat()
}

fn cut(tokens: &[u32], adapter: Option<u16>) -> Prompt {
    let name = adapter.map(|number| number.to_string());
    Prompt::new(tokens, BLOCK_TOKENS, root(name.as_deref(), None))
}

/// Cumulative weights `1 / rank`, not scaled.
fn cumulative(count: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let weigh = |rank: usize| {
        sum += 1.0 / rank as f64;
        sum
    };
    (1..=count).map(weigh).collect()
}

fn draw(cumulative: &[f64], rng: &mut Rng) -> usize {
    let at = rng.f64() * cumulative.last().copied().unwrap_or_default();
    cumulative.partition_point(|weight| *weight <= at).min(cumulative.len().saturating_sub(1))
}

// === Span ===

impl Span {
    fn draw(self, rng: &mut Rng) -> u32 {
        let mean = f64::from(self.mean);
        let low = (mean * (1.0 - self.ratio)).floor().max(1.0) as u32;
        let high = (mean * (1.0 + self.ratio)).ceil().max(1.0) as u32;
        rng.u32(low..=high)
    }
}
