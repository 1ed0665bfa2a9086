//! Histograms of bytes, tokens and percent, written by one thread as those of [`Durations`](super::Durations) are.

use super::{Tally, page::Observed};

/// In steps of four, from a small body to one of a gigabyte.
const BYTES: [u64; 13] = [
    64,
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
    4 << 20,
    16 << 20,
    64 << 20,
    256 << 20,
    1 << 30,
];

/// In steps of two, as dashboards of the upstream picker expect them.
const TOKENS: [u64; 19] = [
    1, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072, 262_144,
    524_288, 1_048_576,
];

/// Also as upstream: nothing at all is a bucket of its own.
const PERCENT: [u64; 11] = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100];

/// See the module's header.
#[derive(Debug)]
pub(super) struct Amounts {
    bounds: &'static [u64],
    /// The last one is beyond every bound.
    buckets: Box<[Tally]>,
    sum: Tally,
    /// What a page shows for one.
    unit: f64,
}

// === Amounts ===

impl Amounts {
    pub(super) fn of_bytes() -> Self {
        Self::within(&BYTES, 1.0)
    }

    pub(super) fn of_tokens() -> Self {
        Self::within(&TOKENS, 1.0)
    }

    /// Shown as shares of 1.
    pub(super) fn of_percent() -> Self {
        Self::within(&PERCENT, 0.01)
    }

    fn within(bounds: &'static [u64], unit: f64) -> Self {
        let buckets = (0..=bounds.len()).map(|_| Tally::default()).collect();
        Self { bounds, buckets, sum: Tally::default(), unit }
    }

    /// Adds one observation.
    #[inline]
    pub(super) fn observe(&self, amount: u64) {
        self.buckets[self.bounds.partition_point(|bound| *bound < amount)].add(1);
        self.sum.add(amount);
    }

    /// Adds the observations of another of the same kind.
    pub(super) fn absorb(&self, other: &Self) {
        self.buckets.iter().zip(&other.buckets).for_each(|(bucket, more)| bucket.add(more.get()));
        self.sum.add(other.sum.get());
    }
}

impl Observed for Amounts {
    fn read(&self) -> (f64, u64, Vec<(f64, u64)>) {
        let bounds = self.bounds.iter().map(|bound| *bound as f64 * self.unit).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(self.buckets.iter().map(|b| b.get())).collect();
        let count = buckets.iter().map(|(_, n)| n).sum();
        (self.sum.get() as f64 * self.unit, count, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_counts_in_the_first_bucket_that_holds_it() {
        let bytes = Amounts::of_bytes();
        [0, 64, 65, u64::MAX >> 1].into_iter().for_each(|amount| bytes.observe(amount));
        let (_, count, buckets) = bytes.read();
        assert_eq!((count, buckets[0], buckets[1]), (4, (64.0, 2), (256.0, 1)));
        assert_eq!(buckets[13], (f64::INFINITY, 1));
    }

    #[test]
    fn percent_are_shown_as_shares_and_nothing_is_a_bucket() {
        let (shares, more) = (Amounts::of_percent(), Amounts::of_percent());
        [0, 1, 100].into_iter().for_each(|percent| more.observe(percent));
        shares.absorb(&more);
        shares.absorb(&more);
        let (sum, count, buckets) = shares.read();
        assert!((sum - 2.02).abs() < 1e-9, "{sum}");
        assert_eq!((count, buckets[0], buckets[1].1, buckets[10]), (6, (0.0, 2), 2, (1.0, 2)));
    }
}
