//! What the router's figures are held against.

use serde::Serialize;

use super::{
    contender::Kind::{self, Haproxy, Nginx, Sglang, Warmlane},
    figures::{Figures, Ratio, What},
    prompts::Size,
};

/// A figure and its limit. A figure that could not be measured has none and does not hold.
#[derive(Debug, Serialize)]
pub(crate) struct Bar {
    what: String,
    value: Option<f64>,
    /// Least and most of all rounds, where the value is one of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    rounds: Option<(f64, f64)>,
    limit: f64,
    holds: bool,
}

/// MB that the router may have after a million different prompts.
const RESIDENT_LIMIT: f64 = 100.0;

pub(super) fn of(figures: &Figures) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut ratio = |what: What, name: &str, to: Kind, limit: f64| {
        let what_told = format!("{name} / {}", to.name());
        bars.push(Bar::ratio(what_told, figures.ratio(what, Warmlane, to), limit));
    };
    for (size, haproxy, nginx) in
        [(Size::Small, 1.0, 0.85), (Size::Middle, 1.0, 0.85), (Size::Large, 1.1, 1.3)]
    {
        let name = format!("CPU per request, {}", size.name());
        ratio(What::Request(size), &name, Haproxy, haproxy);
        ratio(What::Request(size), &name, Nginx, nginx);
        ratio(What::Request(size), &name, Sglang, 1.0 / 3.0);
    }
    ratio(What::Chunk, "CPU per chunk", Haproxy, 1.0);
    ratio(What::Chunk, "CPU per chunk", Nginx, 0.9);
    bars.push(added(figures));
    let growth = |kind| figures.growth(What::Endpoints(64), What::Endpoints(256), kind);
    let limit = growth(Nginx).map_or(0.0, |growth| growth.median);
    bars.push(Bar::ratio("CPU at 256 endpoints / at 64".to_owned(), growth(Warmlane), limit));
    let resident = figures.lowest(What::ResidentAfterMillion, Warmlane);
    bars.push(Bar::at_most("RSS after a million prompts, MB".to_owned(), resident, RESIDENT_LIMIT));
    bars
}

/// Added latency must lie within noise of haproxy's: within what its own rounds differ by, and a tenth at least.
fn added(figures: &Figures) -> Bar {
    let what = What::Added(50);
    let haproxy = figures.lowest(what, Haproxy);
    let noise = figures.spread(what, Haproxy).zip(haproxy).map(|(spread, lowest)| spread.max(lowest / 10.0));
    let limit = haproxy.zip(noise).map_or(0.0, |(lowest, noise)| lowest + noise);
    Bar::at_most("added latency p50, us".to_owned(), figures.lowest(what, Warmlane), limit)
}

// === Bar ===

impl Bar {
    pub(crate) fn at_most(what: String, value: Option<f64>, limit: f64) -> Self {
        Self { what, value, rounds: None, limit, holds: value.is_some_and(|value| value <= limit) }
    }

    pub(crate) fn ratio(what: String, ratio: Option<Ratio>, limit: f64) -> Self {
        let rounds = ratio.map(|ratio| (ratio.low, ratio.high));
        Self { rounds, ..Self::at_most(what, ratio.map(|ratio| ratio.median), limit) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_does_not_hold() {
        assert!(of(&Figures::default()).iter().all(|bar| !bar.holds && bar.value.is_none()));
    }

    #[test]
    fn a_ratio_at_its_limit_holds() {
        let mut figures = Figures::default();
        figures.add(What::Chunk, Warmlane, 9.0);
        figures.add(What::Chunk, Nginx, 10.0);
        let bars = of(&figures);
        let bar = bars.iter().find(|bar| bar.what == "CPU per chunk / nginx").unwrap();
        assert!(bar.holds, "{bar:?}");
    }

    #[test]
    fn a_value_above_its_limit_does_not_hold() {
        let mut figures = Figures::default();
        figures.add(What::Chunk, Warmlane, 9.1);
        figures.add(What::Chunk, Nginx, 10.0);
        figures.add(What::ResidentAfterMillion, Warmlane, 100.5);
        for what in ["CPU per chunk / nginx", "RSS after a million prompts, MB"] {
            let bars = of(&figures);
            let bar = bars.iter().find(|bar| bar.what == what).unwrap();
            assert!(!bar.holds && bar.value.is_some(), "{bar:?}");
        }
    }
}
