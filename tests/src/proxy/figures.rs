//! What was measured, round by round, and the table of it.

use std::{
    collections::BTreeMap,
    fmt::{self, Display, Formatter, Write as _},
    time::Duration,
};

use serde::Serialize;

use super::{contender::Kind, prompts::Size};

/// One thing that is measured of each proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
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

/// A figure, or how two relate, over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// All values of all rounds, by what was measured of whom.
pub(crate) struct Figures<W = What, K = Kind>(BTreeMap<(W, K), Vec<f64>>);

// === What ===

impl Display for What {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(size) => write!(f, "CPU s per 10k requests, {}", size.name()),
            Self::Endpoints(count) => write!(f, "CPU s per 10k requests, 1 KB, {count} endpoints"),
            Self::Chunk => f.write_str("CPU s per million chunks"),
            Self::ChunkDelay(percentile) => write!(f, "chunk delay p{percentile}, us"),
            Self::Added(percentile) => write!(f, "added latency p{percentile}, us"),
            Self::Resident => f.write_str("RSS after the rounds, MB"),
            Self::ResidentAfterMillion => f.write_str("RSS after a million prompts, MB"),
        }
    }
}

// === Ratio ===

impl Ratio {
    fn of(values: &[f64], to: &[f64]) -> Option<Self> {
        Self::among(values.iter().zip(to).map(|(value, to)| value / to).collect())
    }

    fn among(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let (low, high) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
        Some(Self { median, low, high })
    }
}

// === Figures ===

impl<W: Copy + Display + Ord, K: Copy + Display + Ord> Figures<W, K> {
    pub(crate) fn add(&mut self, what: W, kind: K, value: f64) {
        self.0.entry((what, kind)).or_default().push(value);
    }

    /// The lowest of all rounds: what disturbs a run only adds.
    pub(crate) fn lowest(&self, what: W, kind: K) -> Option<f64> {
        self.0.get(&(what, kind))?.iter().copied().reduce(f64::min)
    }

    /// The highest of all rounds: what each of them kept to.
    pub(crate) fn highest(&self, what: W, kind: K) -> Option<f64> {
        self.0.get(&(what, kind))?.iter().copied().reduce(f64::max)
    }

    /// Highest less lowest of all rounds.
    pub(crate) fn spread(&self, what: W, kind: K) -> Option<f64> {
        Some(self.highest(what, kind)? - self.lowest(what, kind)?)
    }

    /// All that was measured of anybody, in order.
    pub(crate) fn measured(&self) -> Vec<W> {
        let mut whats: Vec<W> = self.0.keys().map(|(what, _)| *what).collect();
        whats.dedup();
        whats
    }

    /// The median of all rounds, and what they lie between.
    pub(crate) fn middle(&self, what: W, kind: K) -> Option<Ratio> {
        Ratio::among(self.rounds(what, kind)?.to_vec())
    }

    /// One figure as a share of another: each round's by itself, since a machine that is slow for a while is slow for
    /// both, and the median of those.
    pub(crate) fn ratio(&self, what: W, kind: K, to: K) -> Option<Ratio> {
        Ratio::of(self.rounds(what, kind)?, self.rounds(what, to)?)
    }

    /// The same of growth between two figures of one proxy: each round's own.
    pub(crate) fn growth(&self, from: W, to: W, kind: K) -> Option<Ratio> {
        Ratio::of(self.rounds(to, kind)?, self.rounds(from, kind)?)
    }

    fn rounds(&self, what: W, kind: K) -> Option<&[f64]> {
        self.0.get(&(what, kind)).map(Vec::as_slice)
    }

    /// A Markdown table of the lowest of all rounds, as it stands in the docs.
    pub(crate) fn table(&self, kinds: &[K]) -> String {
        self.table_of(kinds, |what, kind| self.lowest(what, kind).map(written))
    }

    /// The same of medians, with the least and the most behind each.
    pub(crate) fn table_of_medians(&self, kinds: &[K]) -> String {
        self.table_of(kinds, |what, kind| {
            let Ratio { median, low, high } = self.middle(what, kind)?;
            let spread = format!(" ({} to {})", written(low), written(high));
            Some(written(median) + if low == high { "" } else { &spread })
        })
    }

    fn table_of(&self, kinds: &[K], cell: impl Fn(W, K) -> Option<String>) -> String {
        let mut text = String::from("\n| figure |");
        kinds.iter().for_each(|kind| text += &format!(" {kind} |"));
        text += "\n|---|";
        kinds.iter().for_each(|_| text += "---|");
        text.push('\n');
        for what in self.measured() {
            // Writing to a string cannot fail.
            let _ = write!(text, "| {what} |");
            for &kind in kinds {
                let shown = cell(what, kind).unwrap_or_else(|| "-".to_owned());
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
pub(crate) fn percentile(sorted: &[Duration], percent: u8) -> f64 {
    let at = (sorted.len() * usize::from(percent) / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(0.0, |value| value.as_secs_f64() * 1e6)
}

impl<W, K> Default for Figures<W, K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<W: Display, K: Display> Serialize for Figures<W, K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.0.iter().map(|((what, kind), values)| (format!("{kind}: {what}"), values)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_round_counts_and_missing_ones_stay_missing() {
        let mut figures = Figures::<What, Kind>::default();
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
        let medians = figures.table_of_medians(&[Kind::Warmlane, Kind::Sglang]);
        assert!(
            medians.contains("| CPU s per 10k requests, 1 KB | 3.000 (2.000 to 4.000) | - |"),
            "{medians}"
        );
        assert!(
            figures.table(&Kind::ALL).contains("| CPU s per 10k requests, 1 KB | 2.000 | 4.000 | - | - |")
        );
    }
}
