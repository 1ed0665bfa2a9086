//! Random text of a given length in tokens.

use std::fmt;

/// A length drawn evenly from `mean * (1 - ratio)` to `mean * (1 + ratio)`, both included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Mean length in tokens.
    pub mean: u32,
    /// Range ratio, 0 to 1.
    pub ratio: f64,
}

/// A seeded source of words, lengths and choices.
#[derive(Clone)]
pub struct Words {
    rng: fastrand::Rng,
}

/// Bytes of a token: three letters and a space.
const TOKEN: usize = 4;

// === Span ===

impl Span {
    /// A span of `mean` plus or minus `ratio` of it.
    pub const fn new(mean: u32, ratio: f64) -> Self {
        Self { mean, ratio }
    }

    /// The same span around `factor` times the mean, at least one token.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        Self { mean: ((f64::from(self.mean) * factor).round() as u32).max(1), ..self }
    }
}

// === Words ===

impl Words {
    /// Words from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed) }
    }

    /// An independent source that continues from here.
    pub(super) fn fork(&mut self) -> Self {
        Self { rng: self.rng.fork() }
    }

    /// A length within `span`.
    pub fn length(&mut self, span: Span) -> u32 {
        let mean = f64::from(span.mean);
        let low = (mean * (1.0 - span.ratio)).floor().max(1.0) as u32;
        let high = (mean * (1.0 + span.ratio)).ceil().max(1.0) as u32;
        self.rng.u32(low..=high)
    }

    /// Text of so many tokens.
    pub fn text(&mut self, tokens: u32) -> String {
        let mut text = String::with_capacity(tokens as usize * TOKEN);
        for _ in 0..tokens {
            for _ in 1..TOKEN {
                text.push(self.rng.lowercase());
            }
            text.push(' ');
        }
        text
    }

    /// A number from 0 up to 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.rng.f64()
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.rng.usize(0..end)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Words").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_fill_their_span_and_never_leave_it() {
        let mut words = Words::new(1);
        let lengths: Vec<u32> = (0..20_000).map(|_| words.length(Span::new(100, 0.2))).collect();
        assert_eq!(lengths.iter().min(), Some(&80));
        assert_eq!(lengths.iter().max(), Some(&120));
        assert_eq!(words.length(Span::new(7, 0.0)), 7);
    }

    #[test]
    fn a_token_is_four_bytes() {
        assert_eq!(Words::new(1).text(1550).len(), 6200);
    }
}
