//! A base model and adapters of uneven popularity; prompts are independent.
//!
//! The base model takes its share; the rest goes to the adapters by Zipf. An engine holds only a few
//! adapters at once, so a replica that already has the adapter of a request serves it sooner.

use super::{
    words::{Span, Words},
    zipf::Zipf,
};
use crate::request::{Prompt, Request};

/// Adapters and lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Lora {
    /// Names of adapters, the most popular first.
    pub adapters: Vec<String>,
    /// Share of requests for the base model, 0 to 1.
    pub base_share: f64,
    /// Zipf exponent of the adapters' popularity.
    pub skew: f64,
    /// Tokens of a prompt.
    pub input: Span,
    /// Tokens to generate.
    pub output: Span,
}

impl Default for Lora {
    fn default() -> Self {
        Self {
            adapters: Vec::new(),
            base_share: 0.3,
            skew: 0.5,
            input: Span::new(800, 0.2),
            output: Span::new(300, 0.2),
        }
    }
}

impl Lora {
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { input: self.input.scaled(factor), output: self.output.scaled(factor), ..self }
    }

    pub(super) fn requests(self, base: String, mut words: Words) -> impl Iterator<Item = Request> + Send {
        let popularity = Zipf::new(self.adapters.len(), self.skew);
        std::iter::repeat_with(move || {
            let (share, rank) = (words.unit(), words.unit());
            let adapter = self.adapters.get(popularity.at(rank)).filter(|_| share >= self.base_share);
            let length = words.length(self.input);
            let prompt = Prompt::Text(words.text(length));
            Request::new(adapter.unwrap_or(&base), prompt, words.length(self.output))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn popularity_falls_with_rank_and_the_base_keeps_its_share() {
        let lora = Lora { adapters: vec!["a".into(), "b".into(), "c".into()], skew: 1.0, ..Lora::default() };
        let lora = lora.scaled(0.01);
        let mut counts = std::collections::HashMap::new();
        for request in lora.requests("base".into(), Words::new(1)).take(11_000) {
            *counts.entry(request.model).or_insert(0u32) += 1;
        }
        let near = |name: &str, expected: u32| assert!(counts[name].abs_diff(expected) < 300, "{counts:?}");
        near("base", 3300);
        near("a", 4200);
        near("b", 2100);
        near("c", 1400);
    }

    #[test]
    fn without_adapters_all_go_to_the_base() {
        let mut requests = Lora::default().requests("base".into(), Words::new(1)).take(20);
        assert!(requests.all(|request| request.model == "base"));
    }
}
