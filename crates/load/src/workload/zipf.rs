//! Uneven popularity: item `k` of `n` is drawn with weight `1 / (k + 1)^exponent`.

/// Cumulative weights, scaled to one.
#[derive(Debug, Clone)]
pub(super) struct Zipf {
    cumulative: Vec<f64>,
}

impl Zipf {
    /// Of `n` items, at least one.
    pub(super) fn new(n: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = (1..=n.max(1))
            .map(|rank| {
                sum += (rank as f64).powf(-exponent);
                sum
            })
            .collect();
        cumulative.iter_mut().for_each(|weight| *weight /= sum);
        Self { cumulative }
    }

    /// The item at `unit`, a number from 0 up to 1.
    pub(super) fn at(&self, unit: f64) -> usize {
        self.cumulative.partition_point(|weight| *weight <= unit).min(self.cumulative.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_drawn_by_their_weight() {
        // Weights 1, 1/2, 1/3 of 11/6.
        let zipf = Zipf::new(3, 1.0);
        assert_eq!([0.0, 0.54, 0.55, 0.81, 0.82, 0.999].map(|unit| zipf.at(unit)), [0, 0, 1, 1, 2, 2]);
    }

    #[test]
    fn exponent_zero_is_even() {
        let zipf = Zipf::new(4, 0.0);
        assert_eq!([0.1, 0.3, 0.6, 0.9].map(|unit| zipf.at(unit)), [0, 1, 2, 3]);
    }
}
