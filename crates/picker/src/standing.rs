//! One number for a replica, from 0 (avoid it) to 1 (idle and well).
//!
//! `standing = health * (1 - kv_use) / (1 + queue / 8)`, where `health` is 1, 0.5 or 0 by [`Fitness`].
//!
//! For people and for consumers that want one number: agents tell it, and the CLI shows it. No part of a pick, whose
//! scorers weigh the readings themselves, for each request anew.

/// Waiting requests that halve it: about as many as an engine starts in one second.
const HALF: f32 = 8.0;

/// What speaks against a replica, its load aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitness {
    /// Nothing that is known.
    Well,
    /// It serves, but something is wrong.
    Ill,
    /// It gets nothing: it has failed, sleeps, or does not answer.
    Out,
}

/// See the module's header; what is not known of its load counts as idle.
pub fn standing(fitness: Fitness, queue: Option<f32>, kv_use: Option<f32>) -> f32 {
    let health = match fitness {
        Fitness::Well => 1.0,
        Fitness::Ill => 0.5,
        Fitness::Out => 0.0,
    };
    // What no engine can mean (more than all, less than nothing, no number) counts as the nearest that it can.
    let kv_use = kv_use.unwrap_or(0.0).clamp(0.0, 1.0);
    let queue = queue.unwrap_or(0.0).max(0.0);
    let standing = health * (1.0 - kv_use) / (1.0 + queue / HALF);
    if standing.is_finite() { standing } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_the_formula_says() {
        assert_eq!(standing(Fitness::Well, Some(0.0), Some(0.0)), 1.0);
        assert_eq!(standing(Fitness::Well, Some(8.0), Some(0.5)), 0.25);
        assert_eq!(standing(Fitness::Ill, Some(8.0), Some(0.5)), 0.125);
        assert_eq!(standing(Fitness::Out, Some(0.0), Some(0.0)), 0.0);
        assert_eq!(standing(Fitness::Ill, None, None), 0.5);
    }

    #[test]
    fn no_number_of_an_engine_makes_it_more_than_a_share() {
        for (queue, kv_use) in [(f32::NAN, 0.0), (0.0, f32::NAN), (f32::INFINITY, 1.0), (-5.0, 7.0)] {
            let standing = standing(Fitness::Well, Some(queue), Some(kv_use));
            assert!((0.0..=1.0).contains(&standing), "{queue} {kv_use}: {standing}");
        }
    }

    proptest! {
        #[test]
        fn it_is_a_share_whatever_an_engine_says(queue in any::<f32>(), kv_use in any::<f32>()) {
            prop_assert!((0.0..=1.0).contains(&standing(Fitness::Well, Some(queue), Some(kv_use))));
        }
    }
}
