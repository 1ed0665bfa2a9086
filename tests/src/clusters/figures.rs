//! What is measured, and its limits.

use std::fmt::{self, Display, Formatter};

use crate::proxy::{bars::Bar, figures};

/// One thing that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// Milliseconds from the last change to the router's final state.
    Converged,
    /// Share of a core that the router takes while the cluster churns, in percent.
    Churning,
    /// The most memory that it had until then, in MB.
    Peak,
    /// Share of a core that it takes while nothing changes, in percent, by the number of pods.
    Idle(usize),
    /// Its memory meanwhile, in MB.
    Resident(usize),
}

/// Who is behind the pods' addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(super) enum Engines {
    /// Engines, which the router reads itself.
    Answer,
    /// Nobody.
    Refuse,
}

pub(super) type Figures = figures::Figures<What, Engines>;

// === What ===

impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Converged => f.write_str("from the last change to the final state, ms"),
            Self::Churning => f.write_str("CPU, 200 changes/s, % of a core"),
            Self::Peak => f.write_str("most memory until then, MB"),
            Self::Idle(pods) => write!(f, "CPU, {pods} pods, no changes, % of a core"),
            Self::Resident(pods) => write!(f, "RSS, {pods} pods, no changes, MB"),
        }
    }
}

// === Engines ===

impl Engines {
    pub(super) const ALL: [Self; 2] = [Self::Answer, Self::Refuse];
}

impl Display for Engines {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Answer => "engines answer",
            Self::Refuse => "nobody answers",
        })
    }
}

/// The figures and their limits. How soon and how much memory are promises that each round must keep; CPU is the lowest of all
/// rounds, since what disturbs one only adds to it.
pub(super) fn bars(figures: &Figures) -> Vec<Bar> {
    let of = |engines: Engines| {
        let named = |what: What| format!("{what}; {engines}");
        [
            Bar::at_most(named(What::Converged), figures.highest(What::Converged, engines), 1_000.0),
            Bar::at_most(named(What::Churning), figures.lowest(What::Churning, engines), 50.0),
            Bar::at_most(named(What::Peak), figures.highest(What::Peak, engines), 150.0),
        ]
    };
    Engines::ALL.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_counts_by_its_worst_round_and_cpu_by_its_best() {
        let mut figures = Figures::default();
        for (converged, cpu) in [(900.0, 60.0), (1_100.0, 40.0)] {
            figures.add(What::Converged, Engines::Answer, converged);
            figures.add(What::Churning, Engines::Answer, cpu);
        }
        let text = serde_json::to_value(bars(&figures)).expect("bars");
        let holds: Vec<_> = (0..6).map(|at| text[at]["holds"] == true).collect();
        assert_eq!(holds, [false, true, false, false, false, false], "{text}");
    }
}
