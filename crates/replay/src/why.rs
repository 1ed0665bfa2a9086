//! Why the chosen endpoint was chosen, in points and in a sentence.

use warmlane_picker::{Decision, Scorer, Verdict, Weighed, Weights, pick::TIE};

/// Differences smaller than this decide nothing: a tenth of what counts as a tie.
const NOTHING: f32 = TIE / 10.0;

/// What the chosen one had ahead of the best other that competed, by score, largest first. Empty when nobody else did.
pub(crate) fn ahead(weights: &Weights, chosen: &Weighed, other: Option<&Weighed>) -> Vec<(Scorer, f32)> {
    let Some(other) = other else { return Vec::new() };
    let weights = weights.as_array();
    let points = |scorer: Scorer| {
        let at = scorer as usize;
        (scorer, weights[at] * (chosen.scores[at] - other.scores[at]))
    };
    let mut ahead: Vec<_> =
        Scorer::ALL.into_iter().map(points).filter(|(_, points)| points.abs() > NOTHING).collect();
    ahead.sort_by(|a, b| b.1.total_cmp(&a.1));
    ahead
}

/// One sentence. `name` says what an endpoint is called.
pub(crate) fn sentence(
    decision: &Decision,
    weighed: &[Weighed],
    other: Option<(&Weighed, String)>,
    ahead: &[(Scorer, f32)],
) -> String {
    let mut why = match other {
        None => alone(weighed),
        Some((_, name)) if decision.tied > 1 => {
            format!("at random among {} that are equally good, as {name} is", decision.tied)
        }
        Some((_, name)) => {
            let better: Vec<String> = ahead
                .iter()
                .filter(|(_, points)| *points > 0.0)
                .map(|(scorer, points)| format!("{} +{points:.2}", scorer.name()))
                .collect();
            format!("better than {name} by {}", better.join(", "))
        }
    };
    if !decision.relaxed.is_empty() {
        let relaxed: Vec<&str> = decision.relaxed.iter().map(|filter| filter.name()).collect();
        why += &format!("; nobody passed {}, so it did not count", relaxed.join(" and "));
    }
    why
}

/// Everybody else was dropped.
fn alone(weighed: &[Weighed]) -> String {
    let mut dropped: Vec<(&str, usize)> = Vec::new();
    for weighed in weighed {
        if let Verdict::Dropped(filter) = weighed.verdict {
            match dropped.iter_mut().find(|(name, _)| *name == filter.name()) {
                Some((_, count)) => *count += 1,
                None => dropped.push((filter.name(), 1)),
            }
        }
    }
    if dropped.is_empty() {
        return "the only endpoint of its pool".to_owned();
    }
    let list: Vec<String> = dropped.iter().map(|(name, count)| format!("{count} by {name}")).collect();
    format!("the only one left; dropped were {}", list.join(", "))
}
