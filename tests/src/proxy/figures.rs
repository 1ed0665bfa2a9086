//! What was measured, round by round, and the table of it.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use serde::Serialize;

use super::{contender::Kind, prompts::Size};

/// One thing that is measured of each proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum What {
    /// CPU seconds per 10,000 requests of a size, 8 endpoints.
    Request(Size),
    /// The same of 1 KB, by the number of endpoints.
    Endpoints(usize),
    /// CPU seconds per million chunks.
    Chunk,
    /// Microseconds that a chunk takes, by percentile.
    ChunkDelay(u8),
    /// Microseconds of a request at one connection, more than without a proxy, by percentile.
    Added(u8),
    /// MB after the rounds.
    Resident,
    /// MB after a million different prompts.
    ResidentAfterMillion,
}

/// How two figures relate, round by round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// All values of all rounds.
#[derive(Default)]
pub(super) struct Figures(BTreeMap<(What, Kind), Vec<f64>>);

// === What ===

impl What {
    fn name(self) -> String {
        match self {
            Self::Request(size) => format!("CPU s per 10k requests, {}", size.name()),
            Self::Endpoints(count) => format!("CPU s per 10k requests, 1 KB, {count} endpoints"),
            Self::Chunk => "CPU s per million chunks".to_owned(),
            Self::ChunkDelay(percentile) => format!("chunk delay p{percentile}, us"),
            Self::Added(percentile) => format!("added latency p{percentile}, us"),
            Self::Resident => "RSS after the rounds, MB".to_owned(),
            Self::ResidentAfterMillion => "RSS after a million prompts, MB".to_owned(),
        }
    }
}

// === Ratio ===

impl Ratio {
    fn of(values: &[f64], to: &[f64]) -> Option<Self> {
        let mut ratios: Vec<f64> = values.iter().zip(to).map(|(value, to)| value / to).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let (low, high) = (*ratios.first()?, *ratios.last()?);
        let middle = ratios.len() / 2;
        let median =
            if ratios.len() % 2 == 1 { ratios[middle] } else { (ratios[middle - 1] + ratios[middle]) / 2.0 };
        Some(Self { median, low, high })
    }
}

// === Figures ===

impl Figures {
    pub(super) fn add(&mut self, what: What, kind: Kind, value: f64) {
        self.0.entry((what, kind)).or_default().push(value);
    }

    /// The lowest of all rounds: what disturbs a run only adds.
    pub(super) fn lowest(&self, what: What, kind: Kind) -> Option<f64> {
        self.0.get(&(what, kind))?.iter().copied().reduce(f64::min)
    }

    /// Highest less lowest of all rounds.
    pub(super) fn spread(&self, what: What, kind: Kind) -> Option<f64> {
        let highest = self.0.get(&(what, kind))?.iter().copied().reduce(f64::max)?;
        Some(highest - self.lowest(what, kind)?)
    }

    /// One figure as a share of another: each round's by itself, since a machine that is slow for a while is slow for
    /// both, and the median of those.
    pub(super) fn ratio(&self, what: What, kind: Kind, to: Kind) -> Option<Ratio> {
        Ratio::of(self.rounds(what, kind)?, self.rounds(what, to)?)
    }

    /// The same of growth between two figures of one proxy: each round's own.
    pub(super) fn growth(&self, from: What, to: What, kind: Kind) -> Option<Ratio> {
        Ratio::of(self.rounds(to, kind)?, self.rounds(from, kind)?)
    }

    fn rounds(&self, what: What, kind: Kind) -> Option<&[f64]> {
        self.0.get(&(what, kind)).map(Vec::as_slice)
    }

    /// A Markdown table, as it stands in the docs.
    pub(super) fn table(&self) -> String {
        let mut text = String::from("\n| figure |");
        Kind::ALL.iter().for_each(|kind| text += &format!(" {} |", kind.name()));
        text += "\n|---|";
        Kind::ALL.iter().for_each(|_| text += "---|");
        text.push('\n');
        let mut whats: Vec<What> = self.0.keys().map(|(what, _)| *what).collect();
        whats.dedup();
        for what in whats {
            // Writing to a string cannot fail.
            let _ = write!(text, "| {} |", what.name());
            for kind in Kind::ALL {
                let shown = self.lowest(what, kind).map_or_else(|| "-".to_owned(), written);
                let _ = write!(text, " {shown} |");
            }
            text.push('\n');
        }
        text
    }
}

fn written(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.3}"),
        value => format!("{value:.1}"),
    }
}

/// The value below which so many per cent of them lie; they are in ascending order.
pub(super) fn percentile(sorted: &[Duration], percent: u8) -> f64 {
    let at = (sorted.len() * usize::from(percent) / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |value| value.as_secs_f64() * 1e6)
}

impl Serialize for Figures {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.0.iter().map(|((what, kind), values)| (format!("{}: {}", kind.name(), what.name()), values)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_round_counts_and_missing_ones_stay_missing() {
        let mut figures = Figures::default();
        let what = What::Request(Size::Small);
        for value in [3.0, 2.0, 4.0] {
            figures.add(what, Kind::Warmlane, value);
        }
        for value in [6.0, 8.0, 4.0] {
            figures.add(what, Kind::Nginx, value);
        }
        assert_eq!(figures.lowest(what, Kind::Warmlane), Some(2.0));
        let ratio = Ratio { median: 0.5, low: 0.25, high: 1.0 };
        assert_eq!(figures.ratio(what, Kind::Warmlane, Kind::Nginx), Some(ratio), "round by round");
        assert_eq!(figures.ratio(what, Kind::Warmlane, Kind::Sglang), None);
        assert!(figures.table().contains("| CPU s per 10k requests, 1 KB | 2.000 | 4.000 | - | - |"));
    }
}
