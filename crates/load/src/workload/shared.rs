//! Independent prompts, each after one of a few long prefixes: what a few applications with a system prompt each send.

use super::words::{Span, Words};
use crate::request::{Prompt, Request};

/// Prefixes and lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Shared {
    /// How many prefixes there are, each as likely as another; 0: prompts have nothing in common.
    pub prefixes: usize,
    /// Tokens of a prefix.
    pub prefix: u32,
    /// Tokens after it.
    pub rest: Span,
    /// Tokens to generate.
    pub output: Span,
}

impl Default for Shared {
    fn default() -> Self {
        Self { prefixes: 4, prefix: 384, rest: Span::new(128, 0.2), output: Span::new(64, 0.2) }
    }
}

impl Shared {
    pub(super) fn scaled(self, factor: f64) -> Self {
        let prefix = Span::new(self.prefix, 0.0).scaled(factor).mean;
        Self { prefix, rest: self.rest.scaled(factor), output: self.output.scaled(factor), ..self }
    }

    pub(super) fn requests(self, model: String, mut words: Words) -> impl Iterator<Item = Request> + Send {
        let prefixes: Vec<String> = (0..self.prefixes).map(|_| words.text(self.prefix)).collect();
        std::iter::repeat_with(move || {
            let prefix = match prefixes.len() {
                0 => words.text(self.prefix),
                count => prefixes[words.below(count)].clone(),
            };
            let length = words.length(self.rest);
            let prompt = prefix + &words.text(length);
            Request::new(&*model, Prompt::Text(prompt), words.length(self.output))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn beginnings(prefixes: usize) -> HashMap<String, usize> {
        let shape = Shared { prefixes, ..Shared::default() };
        let mut counts = HashMap::new();
        for request in shape.requests("m".into(), Words::new(5)).take(400) {
            let Prompt::Text(text) = request.prompt else { panic!("text") };
            *counts.entry(text[..384 * 4].to_owned()).or_default() += 1;
            assert!((384 + 102..=384 + 154).contains(&(text.len() / 4)), "{}", text.len());
        }
        counts
    }

    #[test]
    fn each_prefix_is_as_likely_as_another_and_without_any_nothing_is_shared() {
        let counts = beginnings(4);
        assert_eq!(counts.len(), 4);
        assert!(counts.values().all(|count| (60..=140).contains(count)), "{:?}", counts.values());
        assert_eq!(beginnings(0).len(), 400);
    }
}
