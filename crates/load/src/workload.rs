//! Makes requests from a seed: the same [`Shape`], model and seed give the same requests.
//!
//! Lengths are in tokens. A token of text is a random word of three letters and a space, so four bytes:
//! about what English costs. (A tokenizer that does not know such words makes more tokens of them.)
//! Prompts share no prefix by accident: there are 17,576 words.

use crate::request::Request;

mod lora;
mod prefix;
mod random;
mod shared;
mod words;
mod zipf;

pub use lora::Lora;
pub use prefix::Prefix;
pub use random::Random;
pub use shared::Shared;
pub use words::{Span, Words};

/// A stream of requests.
pub struct Workload {
    requests: Box<dyn Iterator<Item = Request> + Send>,
    len: usize,
}

/// What kind of traffic.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Independent prompts, as the random dataset of `vllm bench serve`.
    Random(Random),
    /// Users and sessions over shared system prompts.
    Prefix(Prefix),
    /// A base model and adapters.
    Lora(Lora),
    /// Independent prompts after one of a few prefixes.
    Shared(Shared),
}

// === Workload ===

impl Workload {
    /// `count` requests of `shape` for `model`.
    pub fn new(shape: Shape, model: &str, count: usize, seed: u64) -> Self {
        let words = Words::new(seed);
        let model = model.to_owned();
        let requests: Box<dyn Iterator<Item = Request> + Send> = match shape {
            Shape::Random(shape) => Box::new(shape.requests(model, words).take(count)),
            Shape::Prefix(shape) => Box::new(shape.requests(model, words).take(count)),
            Shape::Lora(shape) => Box::new(shape.requests(model, words).take(count)),
            Shape::Shared(shape) => Box::new(shape.requests(model, words).take(count)),
        };
        Self { requests, len: count }
    }

    /// Requests made elsewhere.
    pub fn from_requests(requests: Vec<Request>) -> Self {
        Self { len: requests.len(), requests: Box::new(requests.into_iter()) }
    }
}

impl Iterator for Workload {
    type Item = Request;

    fn next(&mut self) -> Option<Request> {
        let request = self.requests.next()?;
        self.len -= 1;
        Some(request)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len, Some(self.len))
    }
}

impl ExactSizeIterator for Workload {}

// === Shape ===

impl Shape {
    /// The same traffic with all lengths multiplied by `factor`.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        match self {
            Self::Random(shape) => Self::Random(shape.scaled(factor)),
            Self::Prefix(shape) => Self::Prefix(shape.scaled(factor)),
            Self::Lora(shape) => Self::Lora(shape.scaled(factor)),
            Self::Shared(shape) => Self::Shared(shape.scaled(factor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shapes() -> [Shape; 4] {
        [
            Shape::Random(Random::default()),
            Shape::Prefix(Prefix::default()),
            Shape::Lora(Lora { adapters: vec!["x".into(), "y".into()], ..Lora::default() }),
            Shape::Shared(Shared::default()),
        ]
    }

    #[test]
    fn the_same_seed_gives_the_same_requests_and_another_gives_others() {
        for shape in shapes() {
            let make = |seed| Workload::new(shape.clone(), "m", 50, seed).collect::<Vec<_>>();
            assert_eq!(make(1), make(1), "{shape:?}");
            assert_ne!(make(1), make(2), "{shape:?}");
        }
    }

    #[test]
    fn it_counts_down_to_its_end() {
        for shape in shapes() {
            let mut workload = Workload::new(shape, "m", 3, 1);
            assert_eq!(workload.len(), 3);
            workload.next().unwrap();
            assert_eq!(workload.len(), 2);
            assert_eq!(workload.count(), 2);
        }
    }
}
