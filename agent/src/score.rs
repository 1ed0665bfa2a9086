//! One number for an engine: its [`standing()`], from 0 (avoid it) to 1 (idle and well).
//!
//! It is as fit as its GPU; one of which nothing is known counts as sound. An engine that sleeps or does not answer is out.
//!
//! For people and for consumers that want one number. Warmlane's own router weighs the signals themselves.

use warmlane_picker::{Fitness, Reading, standing};
use warmlane_scrape::Page;

use crate::{gpu::Verdict, node::Contact};

/// The score of an engine.
pub fn score(contact: &Contact, verdict: Option<&Verdict>) -> f32 {
    let fitness = match verdict {
        None | Some(Verdict::Healthy) => Fitness::Well,
        Some(Verdict::Degraded { .. }) => Fitness::Ill,
        Some(Verdict::Failed { .. }) => Fitness::Out,
    };
    match contact {
        Contact::Load(Page { signals, .. }) if signals.is_awake() => {
            let value = |reading: Option<Reading<f32>>| reading.map(|reading| reading.value);
            standing(fitness, value(signals.queue), value(signals.kv_use))
        }
        // Nothing says that it is busy.
        Contact::Alive => standing(fitness, None, None),
        Contact::Load(_) | Contact::Untried | Contact::Unreachable { .. } => {
            standing(Fitness::Out, None, None)
        }
    }
}

#[cfg(test)]
mod tests {
    use warmlane_picker::{Signals, Time};

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
    fn it_is_the_standing_by_its_load_and_the_verdict_on_its_gpu() {
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
}
