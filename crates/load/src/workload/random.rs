//! Independent prompts after one short shared prefix.
//!
//! The defaults are the load test that users of such gateways run: `vllm bench serve` with
//! `--random-prefix-len 10 --random-input-len 1550 --random-output-len 1800 --random-range-ratio 0.2`.

use super::words::{Span, Words};
use crate::request::{Prompt, Request};

/// Lengths of the random workload.
#[derive(Debug, Clone, PartialEq)]
pub struct Random {
    /// Tokens that all prompts begin with.
    pub prefix: u32,
    /// Tokens of a prompt after the prefix.
    pub input: Span,
    /// Tokens to generate.
    pub output: Span,
}

impl Default for Random {
    fn default() -> Self {
        Self { prefix: 10, input: Span::new(1550, 0.2), output: Span::new(1800, 0.2) }
    }
}

impl Random {
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { prefix: self.prefix, input: self.input.scaled(factor), output: self.output.scaled(factor) }
    }

    pub(super) fn requests(self, model: String, mut words: Words) -> impl Iterator<Item = Request> + Send {
        let prefix = words.text(self.prefix);
        std::iter::repeat_with(move || {
            let length = words.length(self.input);
            let prompt = prefix.clone() + &words.text(length);
            Request::new(&*model, Prompt::Text(prompt), words.length(self.output))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_share_only_the_prefix() {
        let requests: Vec<Request> = Random::default().requests("m".into(), Words::new(3)).take(20).collect();
        let texts: Vec<&str> = requests
            .iter()
            .map(|request| match &request.prompt {
                Prompt::Text(text) => text.as_str(),
                other => panic!("{other:?}"),
            })
            .collect();
        for pair in texts.windows(2) {
            assert_eq!(pair[0][..40], pair[1][..40]);
            assert_ne!(pair[0][40..52], pair[1][40..52]);
        }
        let tokens: Vec<usize> = texts.iter().map(|text| text.len() / 4 - 10).collect();
        assert!(tokens.iter().all(|tokens| (1240..=1860).contains(tokens)), "{tokens:?}");
        assert!(requests.iter().all(|request| (1440..=2160).contains(&request.max_tokens)));
    }
}
