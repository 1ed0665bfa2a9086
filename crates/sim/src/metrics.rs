//! What the engine counts and how it tells: the `/metrics` page of vLLM 0.32, family by family.
//!
//! Names, labels, types, buckets and order are those of a recorded page; a test compares. Families
//! that need a Python process (`python_*`) are left out. Durations are engine seconds, those of `http_*` wall seconds.

mod families;
mod histogram;
mod http;
mod page;
mod process;

use std::time::{SystemTime, UNIX_EPOCH};

pub(crate) use self::{families::Sample, http::Visit};
use self::{histogram::Histogram, http::Http, page::Page};
use crate::model::{Finish, Outcome, Step, Token};

/// Counters and histograms of one engine.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: f64,
    stopped: u64,
    cut: u64,
    prompt_tokens: Histogram,
    output_tokens: Histogram,
    step_tokens: Histogram,
    most_tokens: Histogram,
    asked_answers: Histogram,
    asked_tokens: Histogram,
    first_token: Histogram,
    gap: Histogram,
    gap_mean: Histogram,
    whole: Histogram,
    queue: Histogram,
    inference: Histogram,
    prefill: Histogram,
    decode: Histogram,
    preemptions: Histogram,
    computed: Histogram,
    /// Adapter series ever shown: stale ones stay, as in the real engine.
    adapters: Vec<AdapterSeries>,
    pub(crate) http: Http,
}

/// One value of `lora_requests_info`.
#[derive(Debug)]
struct AdapterSeries {
    running: String,
    waiting: String,
    seen: f64,
}

// === Metrics ===

impl Metrics {
    pub(crate) fn new(max_model_len: u32) -> Self {
        use histogram::{FIRST_TOKEN, GAPS, PHASES, PREEMPTIONS, REPEATS, STEPS};
        let counts = histogram::counts(max_model_len);
        Self {
            started: unix_time(),
            stopped: 0,
            cut: 0,
            prompt_tokens: Histogram::new(counts),
            output_tokens: Histogram::new(counts),
            step_tokens: Histogram::new(STEPS),
            most_tokens: Histogram::new(counts),
            asked_answers: Histogram::new(REPEATS),
            asked_tokens: Histogram::new(counts),
            first_token: Histogram::new(FIRST_TOKEN),
            gap: Histogram::new(GAPS),
            gap_mean: Histogram::new(GAPS),
            whole: Histogram::new(PHASES),
            queue: Histogram::new(PHASES),
            inference: Histogram::new(PHASES),
            prefill: Histogram::new(PHASES),
            decode: Histogram::new(PHASES),
            preemptions: Histogram::new(PREEMPTIONS),
            computed: Histogram::new(counts),
            adapters: Vec::new(),
            http: Http::default(),
        }
    }

    /// A step came to its end.
    pub(crate) fn step(&mut self, step: &Step) {
        self.step_tokens.observe(f64::from(step.tokens));
    }

    /// A token came out.
    pub(crate) fn token(&mut self, token: &Token) {
        if token.index == 0 {
            self.first_token.observe(token.gap);
        } else {
            self.gap.observe(token.gap);
        }
    }

    /// A request ended with an answer. Aborted ones are not counted, as in the real engine.
    pub(crate) fn finished(&mut self, outcome: &Outcome, max_tokens: u32) {
        match outcome.finish {
            Finish::Stop => self.stopped += 1,
            Finish::Length => self.cut += 1,
            Finish::Abort => return,
        }
        let output = f64::from(outcome.output_tokens);
        self.prompt_tokens.observe(f64::from(outcome.prompt_tokens));
        self.output_tokens.observe(output);
        self.most_tokens.observe(output);
        self.asked_answers.observe(1.0);
        self.asked_tokens.observe(f64::from(max_tokens));
        self.preemptions.observe(f64::from(outcome.preemptions));
        self.computed.observe(f64::from(outcome.prompt_tokens - outcome.cached_tokens));
        self.whole.observe(outcome.ended - outcome.arrived);
        if let (Some(scheduled), Some(first)) = (outcome.scheduled, outcome.first_token) {
            self.queue.observe(scheduled - outcome.arrived);
            self.inference.observe(outcome.ended - scheduled);
            self.prefill.observe(first - scheduled);
            self.decode.observe(outcome.ended - first);
            let gaps = f64::from(outcome.output_tokens.saturating_sub(1));
            self.gap_mean.observe(if gaps > 0.0 { (outcome.ended - first) / gaps } else { 0.0 });
        }
    }

    /// Notes which adapters run and wait now.
    fn see_adapters(&mut self, running: &str, waiting: &str) {
        let seen = unix_time();
        let known = self.adapters.iter_mut().find(|s| s.running == running && s.waiting == waiting);
        match known {
            Some(series) => series.seen = seen,
            None => {
                let (running, waiting) = (running.to_owned(), waiting.to_owned());
                self.adapters.push(AdapterSeries { running, waiting, seen });
            }
        }
    }

    /// The whole page.
    pub(crate) fn render(&mut self, sample: &Sample) -> String {
        if sample.max_loras > 0 {
            self.see_adapters(&sample.running_adapters, &sample.waiting_adapters);
        }
        let mut page = Page::new(sample.model, self.started);
        process::write(&mut page, self.started);
        self.write_families(&mut page, sample);
        self.http.write(&mut page);
        page.finish()
    }
}

/// Seconds since 1970, on the wall.
#[expect(
    clippy::disallowed_methods,
    reason = "engines tell of their start by it, and nothing is measured with it"
)]
pub(crate) fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
