//! Turns what a metrics page says into the picker's signals.

use warmlane_engine::metrics::Metrics;
use warmlane_picker::{Lora, Reading, Signals, Time, Work};

/// KV use moves when it changes by more than this: a few blocks of a small card's cache.
const KV_STEP: f32 = 0.001;

/// The signals of a page asked for at `at`, when `mark` had been sent to the engine.
pub(super) fn signals(metrics: Metrics, at: Time, mark: Work) -> Signals {
    let number = |value: Option<f64>| value.map(|value| Reading { value: value as f32, at });
    let lora = metrics.lora.map(|lora| Lora { active: lora.active, waiting: lora.waiting, max: lora.max });
    Signals {
        queue: number(metrics.queue),
        running: number(metrics.running),
        kv_use: number(metrics.kv_use),
        kv_capacity_tokens: metrics.kv_capacity_tokens,
        lora: lora.map(|value| Reading { value, at }),
        awake: metrics.awake.map(|value| Reading { value, at }),
        mark,
    }
}

/// A count that only grows while the engine's process lives.
pub(super) fn progress(metrics: &Metrics) -> Option<f64> {
    match (metrics.prompt_tokens, metrics.generation_tokens) {
        (None, None) => None,
        (prompt, generated) => Some(prompt.unwrap_or(0.0) + generated.unwrap_or(0.0)),
    }
}

/// Whether the load differs.
pub(super) fn moved(old: &Signals, new: &Signals) -> bool {
    let kv = |signals: &Signals| signals.kv_use.map_or(0.0, |r| r.value);
    value(&old.queue) != value(&new.queue)
        || value(&old.running) != value(&new.running)
        || value(&old.awake) != value(&new.awake)
        || (kv(old) - kv(new)).abs() > KV_STEP
        || value(&old.lora) != value(&new.lora)
}

fn value<T>(reading: &Option<Reading<T>>) -> Option<&T> {
    reading.as_ref().map(|reading| &reading.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(queue: f64, kv_use: f64) -> Metrics {
        Metrics { queue: Some(queue), kv_use: Some(kv_use), ..Metrics::default() }
    }

    fn read(metrics: Metrics) -> Signals {
        signals(metrics, Time::from_secs(3), Work { requests: 7, ..Work::default() })
    }

    #[test]
    fn every_reading_carries_the_moment_and_the_mark_of_the_request_for_it() {
        let signals = read(page(2.0, 0.25));
        assert_eq!(signals.queue, Some(Reading { value: 2.0, at: Time::from_secs(3) }));
        assert_eq!(signals.kv_use, Some(Reading { value: 0.25, at: Time::from_secs(3) }));
        assert_eq!(signals.running, None, "what is not said stays unsaid");
        assert_eq!(signals.mark.requests, 7);
    }

    #[test]
    fn a_block_more_or_less_is_no_movement_but_a_request_is() {
        let old = read(page(0.0, 0.5));
        assert!(!moved(&old, &read(page(0.0, 0.5005))));
        assert!(moved(&old, &read(page(0.0, 0.502))));
        assert!(moved(&old, &read(page(1.0, 0.5))));
    }

    #[test]
    fn progress_is_the_sum_of_what_is_counted() {
        assert_eq!(progress(&Metrics::default()), None);
        let metrics =
            Metrics { prompt_tokens: Some(5.0), generation_tokens: Some(2.0), ..Metrics::default() };
        assert_eq!(progress(&metrics), Some(7.0));
    }
}
