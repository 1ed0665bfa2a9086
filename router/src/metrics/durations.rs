//! A histogram of durations without a lock: one counter per bucket and one for the sum, written by one thread.
//!
//! Observing is two additions. A page that is written meanwhile may miss the newest observation in one of the
//! two, never more.

use std::time::Duration;

use super::{Tally, page::Observed};

/// Upper bounds in microseconds: from a pick of a few to a stream of ten minutes.
const BOUNDS: [u64; 24] = [
    5,
    10,
    25,
    50,
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    600_000_000,
];

/// See the module's header.
#[derive(Debug, Default)]
pub struct Durations {
    /// The last one is beyond every bound.
    buckets: [Tally; BOUNDS.len() + 1],
    nanos: Tally,
}

// === Durations ===

impl Durations {
    /// Adds one observation.
    #[inline]
    pub fn observe(&self, duration: Duration) {
        if cfg!(feature = "uncounted") {
            return;
        }
        // Five centuries fit. In 64 bits: to divide 128 of them takes longer than all else here.
        let nanos = duration.as_nanos() as u64;
        let bucket = BOUNDS.partition_point(|bound| *bound < nanos.div_ceil(1_000));
        self.buckets[bucket].add(1);
        self.nanos.add(nanos);
    }

    /// Adds another's observations.
    pub(super) fn absorb(&self, other: &Self) {
        self.buckets.iter().zip(&other.buckets).for_each(|(bucket, more)| bucket.add(more.get()));
        self.nanos.add(other.nanos.get());
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.get()).sum()
    }
}

impl Observed for Durations {
    /// In seconds.
    fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bounds = BOUNDS.iter().map(|micros| *micros as f64 / 1e6).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.buckets.iter().map(|b| b.get())).collect();
        let count = buckets.iter().map(|(_, n)| n).sum();
        (self.nanos.get() as f64 / 1e9, count, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_counts_in_the_first_bucket_that_holds_it() {
        let durations = Durations::default();
        durations.observe(Duration::from_micros(5));
        durations.observe(Duration::from_nanos(5_001));
        durations.observe(Duration::from_secs(3_600));
        let (sum, count, buckets) = durations.read();
        assert_eq!(count, 3);
        assert_eq!(buckets[0], (5e-6, 1), "the bound itself belongs to the bucket");
        assert_eq!(buckets[1], (1e-5, 1));
        assert_eq!(buckets[24], (f64::INFINITY, 1), "beyond every bound");
        assert!((sum - 3_600.000_010_001).abs() < 1e-9, "{sum}");
    }
}
