//! One number for a replica, from 0 (avoid it) to 1 (idle and well).
//!
//! `score = health * (1 - kv_use) / (1 + queue / 8)`, where `health` is 1 for a sound GPU or one of which nothing is known,
//! 0.5 for a degraded one, and 0 for a failed one; 0 also for an engine that sleeps or does not answer. Eight waiting
//! requests halve it: about as many as an engine starts in one second.
//!
//! For people and for consumers that want one number. Warmlane's own router weighs the signals themselves.

use warmlane_picker::Signals;
use warmlane_scrape::Page;

use crate::{gpu::Verdict, node::Contact};

/// Waiting requests that halve a score.
const HALF: f32 = 8.0;

/// The score of an engine.
pub fn score(contact: &Contact, verdict: Option<&Verdict>) -> f32 {
    let health = match verdict {
        None | Some(Verdict::Healthy) => 1.0,
        Some(Verdict::Degraded { .. }) => 0.5,
        Some(Verdict::Failed { .. }) => 0.0,
    };
    match contact {
        Contact::Load(Page { signals, .. }) => health * load(signals),
        // Nothing says that it is busy.
        Contact::Alive => health,
        Contact::Untried | Contact::Unreachable { .. } => 0.0,
    }
}

fn load(signals: &Signals) -> f32 {
    if !signals.is_awake() {
        return 0.0;
    }
    let value = |reading: Option<warmlane_picker::Reading<f32>>| reading.map_or(0.0, |reading| reading.value);
    // What no engine can mean (more than all, less than nothing, no number) counts as the nearest that it can.
    let kv_use = value(signals.kv_use).clamp(0.0, 1.0);
    let queue = value(signals.queue).max(0.0);
    let score = (1.0 - kv_use) / (1.0 + queue / HALF);
    if score.is_finite() { score } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use warmlane_picker::{Reading, Time};

    use super::*;
    use crate::gpu::Cause;

    fn reading<T>(value: T) -> Option<Reading<T>> {
        Some(Reading { value, at: Time::ZERO })
    }

    fn page(queue: f32, kv_use: f32) -> Contact {
        let signals = Signals { queue: reading(queue), kv_use: reading(kv_use), ..Signals::default() };
        Contact::Load(Page { signals, progress: None })
    }

    #[test]
    fn what_the_formula_says() {
        assert_eq!(score(&page(0.0, 0.0), None), 1.0);
        assert_eq!(score(&page(8.0, 0.5), None), 0.25);
        assert_eq!(score(&page(8.0, 0.5), Some(&Verdict::Degraded { why: Cause::RowRemapFailed })), 0.125);
        assert_eq!(score(&page(0.0, 0.0), Some(&Verdict::Failed { why: Cause::RowRemapFailed })), 0.0);
        assert_eq!(score(&Contact::Alive, Some(&Verdict::Healthy)), 1.0);
        assert_eq!(score(&Contact::Untried, None), 0.0);
    }

    #[test]
    fn an_engine_that_sleeps_looks_idle_and_gets_nothing() {
        let signals = Signals { awake: reading(false), queue: reading(0.0), ..Signals::default() };
        assert_eq!(score(&Contact::Load(Page { signals, progress: None }), None), 0.0);
    }

    proptest! {
        #[test]
        fn it_is_a_share_whatever_an_engine_says(queue in any::<f32>(), kv_use in any::<f32>()) {
            prop_assert!((0.0..=1.0).contains(&score(&page(queue, kv_use), None)));
        }
    }
}
