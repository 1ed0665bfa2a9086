//! What is simulated: the load, the replicas, and how well routers can see them.
//!
//! The named scenarios are those of the load test that users run and of the demo: the same lengths,
//! the same cards.

use warmlane_picker::Strategy;

use crate::model::Profile;

/// One situation in which policies are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Short name.
    pub name: &'static str,
    /// Kind of requests.
    pub shape: Shape,
    /// Requests in all.
    pub prompts: usize,
    /// How they are let go.
    pub pace: Pace,
    /// One replica each.
    pub cards: Vec<Profile>,
    /// Strategy of the aware policy.
    pub strategy: Strategy,
    /// Routers that share the replicas; each knows only what it sent itself.
    pub routers: usize,
    /// How routers read replicas.
    pub scrape: Scrape,
    /// Whether requests state their output length; where not, routers guess 256.
    pub declared: bool,
    /// The last replica is ready only this long after the first request.
    pub joins_after: Option<f64>,
}

/// Kinds of requests. Lengths are in tokens.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Independent prompts behind a short common prefix.
    Random {
        /// Tokens that all prompts begin with.
        prefix: u32,
        /// Prompt behind it.
        input: Span,
        /// Answer.
        output: Span,
    },
    /// Sessions that grow turn by turn, each under one of a few long system prompts.
    Sessions {
        /// How many system prompts, drawn by Zipf with exponent 1.
        systems: usize,
        /// Their length.
        system: Span,
        /// Sessions open at once.
        open: usize,
        /// Turns of a session.
        turns: Span,
        /// Question of a turn.
        question: Span,
        /// Answer of a turn.
        answer: Span,
    },
    /// A base model and adapters, drawn by Zipf with exponent 1; prompts are independent.
    Adapters {
        /// How many.
        count: u16,
        /// Share of requests for the base model.
        base_share: f64,
        /// Prompt.
        input: Span,
        /// Answer.
        output: Span,
    },
}

/// A length drawn evenly from `mean * (1 - ratio)` to `mean * (1 + ratio)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Mean length.
    pub mean: u32,
    /// Range ratio, 0 to 1.
    pub ratio: f64,
}

/// How requests are let go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many in flight; one that ends makes room for the next.
    Closed {
        /// In flight.
        concurrency: usize,
    },
    /// A Poisson process, whatever is in flight.
    Open {
        /// Mean rate.
        per_second: f64,
    },
}

/// How routers read replicas, in seconds: `interval = max(current, min, 30 * took)` spread by a tenth,
/// where `current` is `min` while load moves and grows to `max` while it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scrape {
    /// Shortest interval.
    pub min: f64,
    /// Longest interval.
    pub max: f64,
    /// Mean time a page takes; single pages take half to one and a half of it.
    pub took: f64,
}

// === Span ===

impl Span {
    /// A span of `mean` plus or minus `ratio` of it.
    pub const fn new(mean: u32, ratio: f64) -> Self {
        Self { mean, ratio }
    }
}

// === Scrape ===

impl Default for Scrape {
    /// A page of vLLM takes 3.6 ms of Python to render, and some way to go.
    fn default() -> Self {
        Self { min: 0.05, max: 1.0, took: 0.005 }
    }
}

// === Scenario ===

impl Scenario {
    /// The load test: 3,000 prompts, 200 at once, on five A10.
    pub fn random() -> Self {
        Self {
            name: "random",
            shape: Shape::Random { prefix: 10, input: Span::new(1550, 0.2), output: Span::new(1800, 0.2) },
            prompts: 3000,
            pace: Pace::Closed { concurrency: 200 },
            cards: vec![Profile::A10; 5],
            strategy: Strategy::Default,
            routers: 1,
            scrape: Scrape::default(),
            declared: true,
            joins_after: None,
        }
    }

    /// The same on three A10 and two L20.
    pub fn mixed() -> Self {
        let cards = [Profile::A10, Profile::A10, Profile::A10, Profile::L20, Profile::L20];
        Self { name: "mixed", cards: cards.to_vec(), ..Self::random() }
    }

    /// Sessions under 24 system prompts of about 3,000 tokens, on five A10.
    pub fn prefix() -> Self {
        let shape = Shape::Sessions {
            systems: 24,
            system: Span::new(3000, 0.3),
            open: 240,
            turns: Span::new(4, 0.5),
            question: Span::new(120, 0.5),
            answer: Span::new(200, 0.3),
        };
        let pace = Pace::Closed { concurrency: 60 };
        Self { name: "prefix", shape, pace, strategy: Strategy::PrefixCache, ..Self::random() }
    }

    /// Eight adapters on five A10 with room for two each.
    pub fn lora() -> Self {
        let (input, output) = (Span::new(800, 0.2), Span::new(300, 0.2));
        let shape = Shape::Adapters { count: 8, base_share: 0.2, input, output };
        Self { name: "lora", shape, pace: Pace::Closed { concurrency: 100 }, ..Self::random() }
    }

    /// The four that claims are made about.
    pub fn all() -> [Self; 4] {
        [Self::random(), Self::prefix(), Self::lora(), Self::mixed()]
    }

    /// Cut to the size of the demo, where simulated time runs several times as fast as the routers' clock:
    /// everything that takes wall time takes that many times as long.
    #[must_use]
    pub fn demo(self) -> Self {
        let mixed = self.cards.iter().any(|card| *card != self.cards[0]);
        let (prompts, concurrency, scale) = match self.shape {
            Shape::Random { .. } if mixed => (1200, 200, 6.0),
            Shape::Random { .. } => (600, 200, 6.0),
            Shape::Sessions { .. } => (1000, 60, 4.0),
            Shape::Adapters { .. } => (800, 60, 5.0),
        };
        let Scrape { min, max, took } = self.scrape;
        let scrape = Scrape { min: min * scale, max: max * scale, took: took * scale };
        Self { prompts, scrape, pace: Pace::Closed { concurrency }, ..self }
    }
}
