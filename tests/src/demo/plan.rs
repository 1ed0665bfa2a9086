//! What is sent where: each workload's load, its replicas, and how both were cut to fit one machine.
//!
//! The full load test that operators run is 3,000 prompts of about 1,550 tokens with 1,800 tokens of output, 200 at
//! once, on five replicas. Its 5.4 million tokens would keep two cores busy for far longer than anyone watches, so
//! fewer prompts are sent, at full length, and simulated time runs faster than wall time.

use std::fmt::Write as _;

use warmlane_load::workload::{Lora, Prefix, Random, Shape, Workload as Requests};

use warmlane_router::config::LaneMode;

use super::{Args, fault::Fault};

/// Kinds of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Workload {
    /// Independent prompts, five A10: the load test that operators run
    Random,
    /// Sessions under long shared system prompts, five A10
    Prefix,
    /// A base model and eight adapters, five A10 with room for two adapters each
    Lora,
    /// Independent prompts, three A10 and two L20
    Mixed,
}

/// What serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Engines {
    /// Simulated vLLM
    Sim,
    /// vLLM on the CPU with a tiny model
    Real,
}

/// A card that a simulated replica imitates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Card {
    A10,
    L20,
}

/// Everything that is decided before anything is started.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) workload: Workload,
    pub(super) engines: Engines,
    /// What goes wrong in the middle of the load, which then goes on until all is well.
    pub(super) fault: Option<Fault>,
    /// Envoy carries the traffic.
    pub(super) envoy: bool,
    /// Which responses may take the kernel lane.
    pub(super) lane: LaneMode,
    pub(super) shape: Shape,
    pub(super) prompts: usize,
    pub(super) concurrency: usize,
    /// Engine time is wall time multiplied by this.
    pub(super) time_scale: f64,
    pub(super) strategy: String,
    pub(super) cards: Vec<Card>,
    pub(super) adapters: Vec<String>,
}

/// The name under which the sample deployment serves its model.
pub(super) const MODEL: &str = "/model/qwen";

/// Real engines get a twentieth of the length: a CPU makes some hundred tokens a second.
const REAL_LENGTHS: f64 = 0.05;

/// With a fault a third of so many requests end before it. With so many at once, that is after some ten seconds, and
/// four replicas serve what five did.
const FAULT_PROMPTS: usize = 300;
const FAULT_CONCURRENCY: usize = 100;
/// More than are sent until all is well again, or given up.
const FAULT_LIMIT: usize = 5_000;

/// Prompts of the full load test.
const FULL_PROMPTS: usize = 3000;

// === Plan ===

impl Plan {
    pub(super) fn new(args: &Args) -> Self {
        let real = args.engines == Engines::Real;
        let adapters = adapters(if args.workload == Workload::Lora && !real { 8 } else { 2 });
        let (mut prompts, mut concurrency, scale) = if real { (240, 12, 1.0) } else { args.workload.load() };
        if args.fault.is_some() {
            (prompts, concurrency) = (FAULT_PROMPTS, concurrency.min(FAULT_CONCURRENCY));
        }
        let shape = args.workload.shape(&adapters);
        let strategy = if args.workload == Workload::Prefix { "PREFIX_CACHE" } else { "DEFAULT" };
        Self {
            workload: args.workload,
            engines: args.engines,
            fault: args.fault,
            envoy: args.envoy,
            lane: args.lane,
            shape: if real { shape.scaled(REAL_LENGTHS) } else { shape },
            prompts: args.prompts.map_or(prompts, |prompts| prompts as usize),
            concurrency: args.concurrency.map_or(concurrency, |concurrency| concurrency as usize),
            // A real engine cannot be hurried.
            time_scale: if real { 1.0 } else { args.scale.unwrap_or(scale) },
            strategy: args.strategy.clone().unwrap_or_else(|| strategy.into()),
            cards: args.workload.cards(),
            adapters,
        }
    }

    /// The requests of one round. Every simulated route gets the same ones; a real engine keeps its cache between
    /// routes, so there each route gets its own.
    pub(super) fn requests(&self, seed: u64, route: usize) -> Requests {
        let seed = match self.engines {
            Engines::Sim => seed,
            Engines::Real => seed + 1000 * route as u64,
        };
        let count = if self.fault.is_some() { FAULT_LIMIT.max(self.prompts) } else { self.prompts };
        Requests::new(self.shape.clone(), MODEL, count, seed)
    }

    /// Requests that end before a fault.
    pub(super) fn due(&self) -> u64 {
        self.prompts as u64 / 3
    }

    /// Names of the replicas, in the order of their start.
    pub(super) fn replica_names(&self) -> Vec<String> {
        match self.engines {
            Engines::Sim => {
                let cards = self.cards.iter().enumerate();
                cards.map(|(n, card)| format!("{} ({})", n + 1, card.title())).collect()
            }
            Engines::Real => vec!["1 (CPU)".into(), "2 (CPU)".into()],
        }
    }

    /// What is about to happen, and what was scaled.
    pub(super) fn describe(&self) -> String {
        let mut text = String::from("\n");
        let lines = [
            ("load", self.load()),
            ("replicas", self.replicas()),
            ("routes", self.routes()),
            ("scaled", self.scaled()),
        ];
        let fault = self
            .fault
            .map(|fault| ("fault", format!("{} once {} requests have ended", fault.title(), self.due())));
        for (name, line) in lines.into_iter().chain(fault) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<9} {line}");
        }
        text + "\n"
    }

    fn load(&self) -> String {
        let (at_once, traffic) = (self.concurrency, self.traffic());
        match self.fault {
            None => format!("{} prompts on each route, {at_once} at once: {traffic}", self.prompts),
            Some(_) => {
                format!("{at_once} prompts at once until the replica that fails serves again: {traffic}")
            }
        }
    }

    fn routes(&self) -> String {
        let (carrier, strategy) = (self.carrier(), &self.strategy);
        match self.fault {
            None => {
                format!("{carrier}plain (random, then least request) and aware with strategy {strategy}")
            }
            Some(_) => format!("{carrier}aware with strategy {strategy}"),
        }
    }

    fn carrier(&self) -> &'static str {
        if self.envoy { "through Envoy, which asks the router on the last: " } else { "" }
    }

    fn traffic(&self) -> String {
        match &self.shape {
            Shape::Random(random) => format!(
                "{} + {} tokens in, {} out (both ±{:.0} %)",
                random.prefix,
                random.input.mean,
                random.output.mean,
                random.input.ratio * 100.0
            ),
            Shape::Prefix(prefix) => format!(
                "{} system prompts of about {} tokens (Zipf {}), sessions of about {} turns",
                prefix.systems, prefix.system.mean, prefix.skew, prefix.turns.mean
            ),
            Shape::Shared(shared) => format!(
                "{} prefixes of {} tokens, about {} more in, {} out",
                shared.prefixes, shared.prefix, shared.rest.mean, shared.output.mean
            ),
            Shape::Lora(lora) => format!(
                "{} adapters (Zipf {}) and {:.0} % base model, about {} tokens in, {} out",
                lora.adapters.len(),
                lora.skew,
                lora.base_share * 100.0,
                lora.input.mean,
                lora.output.mean
            ),
        }
    }

    fn replicas(&self) -> String {
        if self.engines == Engines::Real {
            return "2 vLLM engines on the CPU with a tiny model, kept warm from route to route".into();
        }
        let count = |card| self.cards.iter().filter(|other| **other == card).count();
        let cards = [Card::A10, Card::L20].map(|card| (count(card), card.title()));
        let cards = cards.iter().filter(|(count, _)| *count > 0);
        let cards: Vec<String> = cards.map(|(count, title)| format!("{count} simulated {title}")).collect();
        let slots = if self.workload == Workload::Lora { ", 2 adapter slots each" } else { "" };
        format!(
            "{}{slots}, fresh for each route; each on a node of its own with an agent",
            cards.join(" and ")
        )
    }

    fn scaled(&self) -> String {
        match self.engines {
            Engines::Real => format!(
                "lengths to {:.0} %; engines and router share this machine's cores, so the figures measure the machine",
                REAL_LENGTHS * 100.0
            ),
            Engines::Sim => {
                let cut = match self.workload {
                    Workload::Random | Workload::Mixed
                        if self.fault.is_none() && self.prompts < FULL_PROMPTS =>
                    {
                        format!(
                            "{} of the full test's {FULL_PROMPTS} prompts, at full length; ",
                            self.prompts
                        )
                    }
                    _ => String::new(),
                };
                let time = self.time_scale;
                format!("{cut}simulated time runs {time} x wall time, and all figures are in simulated time")
            }
        }
    }
}

fn adapters(count: usize) -> Vec<String> {
    (1..=count).map(|n| format!("travel-helper-v{n}")).collect()
}

// === Workload ===

impl Workload {
    /// Requests, requests at once, time scale: chosen so that a route takes less than a minute and two cores stay
    /// under 70 % busy.
    fn load(self) -> (usize, usize, f64) {
        match self {
            Self::Random => (600, 200, 6.0),
            // Twice as many: with fewer the first burst, which no choice can shorten much, is all that p99 shows.
            Self::Mixed => (1200, 200, 6.0),
            Self::Prefix => (1000, 60, 4.0),
            Self::Lora => (800, 60, 5.0),
        }
    }

    fn shape(self, adapters: &[String]) -> Shape {
        match self {
            Self::Random | Self::Mixed => Shape::Random(Random::default()),
            Self::Prefix => Shape::Prefix(Prefix::default()),
            Self::Lora => Shape::Lora(Lora { adapters: adapters.to_vec(), ..Lora::default() }),
        }
    }

    fn cards(self) -> Vec<Card> {
        match self {
            Self::Random | Self::Prefix | Self::Lora => vec![Card::A10; 5],
            Self::Mixed => vec![Card::A10, Card::A10, Card::A10, Card::L20, Card::L20],
        }
    }
}

// === Card ===

impl Card {
    /// Value of `warmlane-sim --profile`.
    pub(super) fn profile(self) -> &'static str {
        match self {
            Self::A10 => "a10",
            Self::L20 => "l20",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::A10 => "A10",
            Self::L20 => "L20",
        }
    }

    /// In bytes, as its data sheet says.
    pub(super) fn memory(self) -> u64 {
        match self {
            Self::A10 => 24_000_000_000,
            Self::L20 => 48_000_000_000,
        }
    }
}
