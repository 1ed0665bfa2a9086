//! Means over seeds, and the paired difference of two policies.
//!
//! Two policies get the same requests under the same seed, so the difference within a seed is what counts: its
//! interval is narrow even where seeds differ much.

use super::summary::{Figure, Summary};

/// A mean and half the width of its 95 % interval (Student's t); no width from a single value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Arithmetic mean.
    pub mean: f64,
    /// The interval is `mean ± half`.
    pub half: Option<f64>,
}

/// One figure of a policy beside that of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The difference under each seed in parts of the other's value there: 0.05 is 5 % more.
    pub relative: Interval,
}

// === Interval ===

impl Interval {
    /// Of `values`.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n.max(1.0);
        if values.len() < 2 {
            return Self { mean, half: None };
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self { mean, half: Some(student(values.len() - 1) * (squares / (n - 1.0) / n).sqrt()) }
    }
}

/// Two-sided 95 % quantile; beyond the table the error of the last value is under 3 %.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 20] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    ];
    TABLE.get(freedom - 1).copied().unwrap_or(2.02)
}

// === Comparison ===

impl Comparison {
    /// Of `ours` with `theirs`, seed by seed.
    pub fn new(figure: &Figure, ours: &[Summary], theirs: &[Summary]) -> Self {
        let relative = |(a, b): (&Summary, &Summary)| {
            let (a, b) = ((figure.of)(a), (figure.of)(b));
            if a == b { 0.0 } else { (a - b) / b }
        };
        let relative = Interval::of(&ours.iter().zip(theirs).map(relative).collect::<Vec<f64>>());
        Self { relative }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_follows_student() {
        let interval = Interval::of(&[10.0, 12.0, 14.0, 16.0, 18.0]);
        assert_eq!(interval.mean, 14.0);
        // s = sqrt(10), s / sqrt(5) = sqrt(2), t(4) = 2.776
        assert!((interval.half.expect("five values") - 2.776 * 2f64.sqrt()).abs() < 1e-9);
        assert_eq!(Interval::of(&[3.0]), Interval { mean: 3.0, half: None });
    }

    #[test]
    fn what_differs_between_seeds_only_does_not_count() {
        let of = |values: [f64; 3]| values.map(|v| Summary { ttft_p99_ms: v, ..Summary::default() });
        let (ours, theirs) = (of([95.0, 190.0, 285.0]), of([100.0, 200.0, 300.0]));
        let comparison = Comparison::new(&Figure::ALL[1], &ours, &theirs);
        assert!((comparison.relative.mean + 0.05).abs() < 1e-9);
        assert!(comparison.relative.half.expect("three values") < 1e-9);
    }
}
