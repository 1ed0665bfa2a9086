//! /v1/chat/completions.

use super::{Ask, DONE, FINGERPRINT, Frames, Names, Outcome, Shape, finish_reason, quoted, running_usage};

/// A streamed chat: a chunk with the role when the first token comes, then one chunk per token.
pub(super) struct Stream {
    head: String,
    include_usage: bool,
    /// Prompt tokens, where usage goes with every chunk.
    continuous: Option<u32>,
    opened: bool,
}

const DELTA: &str = r#""choices":[{"index":0,"delta":{"content":""#;

// === Stream ===

impl Stream {
    pub(super) fn new(ask: &Ask, names: &Names) -> Self {
        let (id, model) = (quoted(&names.id), quoted(&ask.model));
        Self {
            head: format!(
                r#"data: {{"id":{id},"object":"chat.completion.chunk","created":{},"model":{model},"#,
                names.created
            ),
            include_usage: ask.include_usage,
            continuous: ask.continuous_usage.then(|| ask.request.prompt.tokens()),
            opened: false,
        }
    }

    fn role(&mut self, frames: &mut Frames) {
        if !std::mem::replace(&mut self.opened, true) {
            let usage = self.usage(0);
            frames.push(&[
                &self.head,
                r#""choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]"#,
                &usage,
                r#","prompt_token_ids":null,"prompt_text":null}"#,
                "\n\n",
            ]);
        }
    }

    fn usage(&self, output: u32) -> String {
        self.continuous.map_or_else(String::new, |prompt| format!(",{}", running_usage(prompt, output)))
    }
}

impl Shape for Stream {
    fn token(&mut self, frames: &mut Frames, index: u32, word: &str) {
        self.role(frames);
        let rest = r#""},"logprobs":null,"finish_reason":null,"token_ids":null}]"#;
        if self.continuous.is_none() {
            frames.push(&[&self.head, DELTA, word, rest, "}\n\n"]);
        } else {
            frames.push(&[&self.head, DELTA, word, rest, &self.usage(index + 1), "}\n\n"]);
        }
    }

    fn last(&mut self, frames: &mut Frames, word: &str, outcome: &Outcome) {
        self.role(frames);
        let finish = finish_reason(outcome.finish);
        let rest = format!(
            r#""}},"logprobs":null,"finish_reason":"{finish}","stop_reason":null,"token_ids":null}}]"#
        );
        let usage = self.usage(outcome.output_tokens);
        if self.include_usage {
            frames.push(&[&self.head, DELTA, word, &rest, &usage, "}\n\n"]);
            let (prompt, output) = (outcome.prompt_tokens, outcome.output_tokens);
            let usage = format!(
                r#""choices":[],"usage":{{"prompt_tokens":{prompt},"total_tokens":{},"completion_tokens":{output},"prompt_tokens_details":{{"cached_tokens":{},"created_cache_tokens":0}}}},"system_fingerprint":"{FINGERPRINT}"}}"#,
                prompt + output,
                outcome.cached_tokens
            );
            frames.push(&[&self.head, &usage, "\n\n"]);
        } else {
            let fingerprint = format!(r#","system_fingerprint":"{FINGERPRINT}"}}"#);
            frames.push(&[&self.head, DELTA, word, &rest, &usage, &fingerprint, "\n\n"]);
        }
        frames.push(&[DONE]);
    }
}

pub(super) fn whole(ask: &Ask, names: &Names, outcome: &Outcome, text: &str) -> String {
    let (id, model, text) = (quoted(&names.id), quoted(&ask.model), quoted(text));
    let (prompt, output, cached) = (outcome.prompt_tokens, outcome.output_tokens, outcome.cached_tokens);
    let (created, total, finish) = (names.created, prompt + output, finish_reason(outcome.finish));
    format!(
        r#"{{"id":{id},"object":"chat.completion","created":{created},"model":{model},"choices":[{{"index":0,"message":{{"role":"assistant","content":{text},"refusal":null,"annotations":null,"audio":null,"function_call":null,"reasoning":null}},"logprobs":null,"finish_reason":"{finish}","stop_reason":null,"token_ids":null,"routed_experts":null}}],"service_tier":null,"system_fingerprint":"{FINGERPRINT}","usage":{{"prompt_tokens":{prompt},"total_tokens":{total},"completion_tokens":{output},"prompt_tokens_details":{{"cached_tokens":{cached},"created_cache_tokens":0,"multimodal_tokens":null}},"completion_tokens_details":null}},"prompt_logprobs":null,"prompt_token_ids":null,"prompt_text":null,"kv_transfer_params":null,"ec_transfer_params":null,"metrics":null}}"#
    )
}
