//! The policies that are compared: ours through the real picker, a Service's, and formulas of the field.
//!
//! The formulas are given the router's own prefix index and ledger, so that they differ in what they weigh and
//! not in what they know.

use warmlane_picker::{Live, Matches, PlainPolicy, Profile, Signals, Snapshot, Strategy};

/// How a router chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Policy {
    /// What the plain listener offers.
    Plain(PlainPolicy),
    /// The picker with a strategy's own weights.
    Strategy(Strategy),
    /// The picker with other weights.
    Weighted(Profile),
    /// The upstream endpoint picker: most of `2 * queue + 2 * kv + 3 * prefix`, and LoRA for adapters.
    Upstream,
    /// SGLang's and vLLM's routers: least in flight when unbalanced or the best match is below 0.3, else the
    /// best match.
    CacheAware,
    /// LMetric: least product of prompt tokens to compute and requests in flight.
    Product,
}

/// What a formula sees of one request.
pub(super) struct View<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) live: &'a [Live],
    pub(super) matches: &'a Matches,
    pub(super) prompt_tokens: u64,
    pub(super) adapter: Option<&'a str>,
}

// === Policy ===

impl Policy {
    /// All that have a fixed meaning, the plain ones first.
    pub const ALL: [Self; 8] = [
        Self::Plain(PlainPolicy::Random),
        Self::Plain(PlainPolicy::RoundRobin),
        Self::Plain(PlainPolicy::LeastRequest),
        Self::Strategy(Strategy::Default),
        Self::Strategy(Strategy::PrefixCache),
        Self::Upstream,
        Self::CacheAware,
        Self::Product,
    ];

    /// Name for people.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Plain(plain) => plain.name(),
            Self::Strategy(strategy) => strategy.name(),
            Self::Weighted(_) => "weighted",
            Self::Upstream => "upstream",
            Self::CacheAware => "cache-aware",
            Self::Product => "lmetric",
        }
    }
}

/// Position of the most upstream points; equals at random.
pub(super) fn upstream(view: &View<'_>, rng: &mut fastrand::Rng) -> Option<usize> {
    let value = |read: fn(&Signals) -> f64| -> Vec<f64> {
        view.snapshot.endpoints().iter().map(|endpoint| read(&endpoint.signals)).collect()
    };
    let queues = value(|signals| signals.queue.map_or(0.0, |r| f64::from(r.value)));
    let used = value(|signals| signals.kv_use.map_or(0.0, |r| f64::from(r.value)));
    let most = queues.iter().copied().fold(f64::MIN, f64::max);
    let least = queues.iter().copied().fold(f64::MAX, f64::min);
    least_of(view, rng, |at| {
        let queue = if most > least { (most - queues[at]) / (most - least) } else { 1.0 };
        let prefix = view.matched(at) / (view.prompt_tokens as f64).max(1.0);
        let lora = view.adapter.map_or(0.0, |name| lora(view, at, name));
        -(2.0 * queue + 2.0 * (1.0 - used[at]) + 3.0 * prefix + lora)
    })
}

/// Active 1, room 0.8, waiting 0.6.
fn lora(view: &View<'_>, at: usize, name: &str) -> f64 {
    let Some(lora) = view.snapshot.endpoints()[at].signals.lora.as_ref().map(|r| &r.value) else {
        return 0.0;
    };
    let named = |names: &[String]| names.iter().any(|other| other == name);
    match () {
        () if named(&lora.active) => 1.0,
        () if lora.active.len() < lora.max as usize => 0.8,
        () if named(&lora.waiting) => 0.6,
        () => 0.0,
    }
}

/// Position by SGLang's rule.
pub(super) fn cache_aware(view: &View<'_>, rng: &mut fastrand::Rng) -> Option<usize> {
    let in_flight = |at: usize| f64::from(view.live[at].in_flight);
    let ready = || view.ready();
    let most = ready().map(in_flight).fold(0.0, f64::max);
    let least = ready().map(in_flight).fold(f64::MAX, f64::min);
    let unbalanced = most - least > 64.0 && most > 1.5 * least;
    let best = ready().map(|at| view.matched(at)).fold(0.0, f64::max);
    if !unbalanced && best > 0.3 * view.prompt_tokens as f64 {
        return least_of(view, rng, |at| -view.matched(at));
    }
    least_of(view, rng, in_flight)
}

/// Position of the least product.
pub(super) fn product(view: &View<'_>, rng: &mut fastrand::Rng) -> Option<usize> {
    least_of(view, rng, |at| {
        let live = &view.live[at];
        let compute = live.pending_prefill as f64 + view.prompt_tokens as f64 - view.matched(at);
        compute.max(1.0) * f64::from(live.in_flight + 1)
    })
}

fn least_of(view: &View<'_>, rng: &mut fastrand::Rng, cost: impl Fn(usize) -> f64) -> Option<usize> {
    let costs: Vec<(f64, usize)> = view.ready().map(|at| (cost(at), at)).collect();
    let least = costs.iter().map(|(cost, _)| *cost).min_by(f64::total_cmp)?;
    let tied: Vec<usize> =
        costs.iter().filter(|(cost, _)| *cost <= least + 1e-9).map(|(_, at)| *at).collect();
    rng.choice(tied)
}

// === View ===

impl View<'_> {
    fn ready(&self) -> impl Iterator<Item = usize> {
        let endpoints = self.snapshot.endpoints().iter().enumerate();
        endpoints.filter(|(_, endpoint)| endpoint.ready).map(|(at, _)| at)
    }

    fn matched(&self, at: usize) -> f64 {
        let slot = self.snapshot.endpoints()[at].slot;
        self.matches.tokens(slot).min(self.prompt_tokens) as f64
    }
}
