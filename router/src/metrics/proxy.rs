//! What the data plane counts: a sheet for each of its threads, summed up when a page is asked for.

use std::{ops::Deref, sync::Arc, time::Duration};

use warmlane_engine::sse::payload::Usage;
use warmlane_picker::{Decision, Source, Strategy};

use super::{
    Amounts, Counts, Durations, ErrorReason, Goal, Label, Listener, LoadOutcome, ModelSheets, RetryReason,
    StreamEnd, Tally,
};
use crate::{kernel::Refusal, stage::Stage};

mod encode;
mod exchanges;
mod seen;
mod sum;

use exchanges::Exchanges;

/// Statuses 100 to 599 have a counter each; what is outside counts as 599.
const FIRST_STATUS: u16 = 100;
const STATUSES: usize = 500;
const LISTENERS: usize = Listener::ALL.len();

/// One thread's sheet: only that thread may count on it.
#[derive(Debug)]
pub struct ProxyMetrics {
    /// By listener, then status.
    requests: [Box<[Tally]>; LISTENERS],
    /// By listener.
    errors: [Counts<ErrorReason>; LISTENERS],
    stages: [Durations; Stage::ALL.len()],
    retries: Counts<RetryReason>,
    retries_refused: Tally,
    aborts: Tally,
    shed: Tally,
    picks: Counts<Strategy>,
    /// Picks that found nobody.
    unpicked: Tally,
    lookups: Tally,
    prompt_tokens: Tally,
    matched_tokens: Tally,
    /// Picks of an endpoint that holds something of the prompt.
    matches: Counts<Source>,
    /// By listener.
    connections: [Tally; LISTENERS],
    /// Requests under way; for the log, no page has it.
    open: Tally,
    connections_refused: Counts<Listener>,
    handshakes_failed: Counts<Listener>,
    floods: Counts<Listener>,
    certificate_loads: Counts<LoadOutcome>,
    exchanges: Exchanges,
    /// Responses that a goal was set for, and those that missed it.
    aims: Counts<Goal>,
    misses: Counts<Goal>,
    /// Responses of which a part took the kernel lane.
    rides: Tally,
    /// Those that might have, and did not.
    refusals: Counts<Refusal>,
    /// Tokens that engines counted: of prompts, of those found in caches, of answers.
    used: [Tally; 3],
    /// What share of each prompt its endpoint was believed to hold, in percent.
    hits: Amounts,
    /// By model and target.
    pub by_model: ModelSheets,
}

/// A request under way, on the sheet of its thread. Dropping it takes it off.
#[derive(Debug)]
pub struct Opened<M: Deref<Target = ProxyMetrics>>(M);

/// An open client connection. Dropping it takes it off the gauge.
#[derive(Debug)]
pub struct Connected {
    metrics: Arc<ProxyMetrics>,
    listener: Listener,
}

// === ProxyMetrics ===

impl ProxyMetrics {
    pub(super) fn new() -> Self {
        Self {
            requests: std::array::from_fn(|_| zeros(STATUSES)),
            errors: std::array::from_fn(|_| Counts::new()),
            stages: Default::default(),
            retries: Counts::new(),
            retries_refused: Tally::default(),
            aborts: Tally::default(),
            shed: Tally::default(),
            picks: Counts::new(),
            unpicked: Tally::default(),
            lookups: Tally::default(),
            prompt_tokens: Tally::default(),
            matched_tokens: Tally::default(),
            matches: Counts::new(),
            connections: Default::default(),
            open: Tally::default(),
            connections_refused: Counts::new(),
            handshakes_failed: Counts::new(),
            floods: Counts::new(),
            certificate_loads: Counts::new(),
            exchanges: Exchanges::default(),
            aims: Counts::new(),
            misses: Counts::new(),
            rides: Tally::default(),
            refusals: Counts::new(),
            used: Default::default(),
            hits: Amounts::of_percent(),
            by_model: ModelSheets::default(),
        }
    }

    /// A request got its response, by whoever gave it.
    #[inline]
    pub fn request_done(&self, listener: Listener, status: u16) {
        let at = usize::from(status.saturating_sub(FIRST_STATUS)).min(STATUSES - 1);
        self.requests[listener.index()][at].add(1);
    }

    /// A stage took this long.
    #[inline]
    pub fn stage(&self, stage: Stage, took: Duration) {
        self.stages[stage.index()].observe(took);
    }

    /// The router answered an error itself, or cut a response.
    pub fn error(&self, listener: Listener, reason: ErrorReason) {
        self.errors[listener.index()].add(reason);
    }

    /// A request was sent once more.
    pub fn retry(&self, reason: RetryReason) {
        self.retries.add(reason);
    }

    /// A request was not sent once more because the retry budget was spent.
    pub fn retry_refused(&self) {
        self.retries_refused.add(1);
    }

    /// A client went away before its response ended.
    pub fn aborted(&self) {
        self.aborts.add(1);
    }

    /// A request was shed.
    pub fn shed(&self) {
        self.shed.add(1);
    }

    /// The picker chose an endpoint for a prompt of so many tokens.
    #[inline]
    pub fn picked(&self, decision: &Decision, prompt: u64) {
        self.picks.add(decision.strategy);
        self.prompt_tokens.add(prompt);
        if decision.strategy.needs_prefix() {
            self.lookups.add(1);
            self.matched_tokens.add(decision.matched_tokens);
            let percent = decision.matched_tokens.saturating_mul(100).checked_div(prompt);
            self.hits.observe(percent.unwrap_or(0).min(100));
            if let Some(source) = decision.source {
                self.matches.add(source);
            }
        }
    }

    /// The picker found nobody.
    pub fn unpicked(&self) {
        self.unpicked.add(1);
    }

    /// A client connected; counted until the guard is dropped.
    pub fn connected(self: &Arc<Self>, listener: Listener) -> Connected {
        self.connections[listener.index()].add(1);
        Connected { metrics: self.clone(), listener }
    }

    /// Requests under way.
    pub fn open(&self) -> u64 {
        self.open.get()
    }

    /// A connection, or a stream of one, found no place.
    pub fn connection_refused(&self, listener: Listener) {
        self.connections_refused.add(listener);
    }

    /// An exchange with Envoy began.
    pub fn stream_began(&self) {
        self.exchanges.open.add(1);
    }

    /// It ended, after this long.
    pub fn stream_ended(&self, end: StreamEnd, took: Duration) {
        self.exchanges.ended(end, took);
    }

    /// A response took so many milliseconds, where a goal was set.
    pub fn aimed(&self, goal: Goal, aim: Option<u64>, took: u128) {
        if let Some(aim) = aim {
            self.aims.add(goal);
            if took > u128::from(aim) {
                self.misses.add(goal);
            }
        }
    }

    /// A response was passed on, of which a part took the kernel lane or none did, and why the last order was not given.
    #[inline]
    pub fn rode(&self, ridden: bool, refusal: Option<Refusal>) {
        if ridden {
            self.rides.add(1);
        } else if let Some(refusal) = refusal {
            self.refusals.add(refusal);
        }
    }

    /// An engine said what an answer took.
    pub fn used(&self, usage: Usage) {
        let tokens = [usage.prompt_tokens, usage.cached_tokens.unwrap_or(0), usage.completion_tokens];
        self.used.iter().zip(tokens).for_each(|(tally, tokens)| tally.add(tokens));
    }

    /// A client's TLS handshake failed or took too long.
    pub fn handshake_failed(&self, listener: Listener) {
        self.handshakes_failed.add(listener);
    }

    /// An HTTP/2 connection was cut because its client gave up streams too fast.
    pub fn flooded(&self, listener: Listener) {
        self.floods.add(listener);
    }

    /// A changed TLS certificate was loaded, or could not be.
    pub fn certificate_loaded(&self, outcome: LoadOutcome) {
        self.certificate_loads.add(outcome);
    }

    fn requests(&self) -> impl Iterator<Item = (Listener, u16, u64)> {
        Listener::ALL.iter().flat_map(|listener| {
            let cells = self.requests[listener.index()].iter().map(|cell| cell.get());
            let numbered = (FIRST_STATUS..).zip(cells).filter(|(_, count)| *count > 0);
            numbered.map(|(status, count)| (*listener, status, count))
        })
    }
}

fn zeros(count: usize) -> Box<[Tally]> {
    (0..count).map(|_| Tally::default()).collect()
}

// === Opened ===

impl<M: Deref<Target = ProxyMetrics>> Opened<M> {
    /// A request begins.
    pub fn on(metrics: M) -> Self {
        metrics.open.add(1);
        Self(metrics)
    }
}

impl<M: Deref<Target = ProxyMetrics>> Drop for Opened<M> {
    fn drop(&mut self) {
        self.0.open.sub(1);
    }
}

// === Connected ===

impl Drop for Connected {
    fn drop(&mut self) {
        self.metrics.connections[self.listener.index()].sub(1);
    }
}
