//! /v1/messages.

use super::{Ask, Frames, Names, Outcome, Shape, quoted};
use crate::{error::Error, model::Finish};

/// A streamed message: start, one delta per token, stop. The `message_start` comes with the first token.
pub(super) struct Stream {
    id: String,
    model: String,
    prompt: u32,
    opened: bool,
}

// === Stream ===

impl Stream {
    pub(super) fn new(ask: &Ask, names: &Names) -> Self {
        let (id, model) = (quoted(&names.id), quoted(&ask.model));
        Self { id, model, prompt: ask.request.prompt.tokens(), opened: false }
    }

    fn start(&mut self, frames: &mut Frames) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        let (id, model, prompt) = (&self.id, &self.model, self.prompt);
        let message = format!(
            r#"{{"type":"message_start","message":{{"id":{id},"type":"message","role":"assistant","content":[],"model":{model},"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":{prompt},"output_tokens":0}}}}}}"#
        );
        event(frames, "message_start", &message);
        let block = r#"{"type":"content_block_start","content_block":{"type":"text","text":""},"index":0}"#;
        event(frames, "content_block_start", block);
    }
}

impl Shape for Stream {
    fn token(&mut self, frames: &mut Frames, _index: u32, word: &str) {
        self.start(frames);
        frames.push(&[
            "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"",
            word,
            "\"},\"index\":0}\n\n",
        ]);
    }

    fn last(&mut self, frames: &mut Frames, word: &str, outcome: &Outcome) {
        self.token(frames, outcome.output_tokens, word);
        event(frames, "content_block_stop", r#"{"type":"content_block_stop","index":0}"#);
        let (reason, usage) = (stop_reason(outcome.finish), usage(outcome));
        let delta = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":{reason},"stop_sequence":null}},"usage":{usage}}}"#
        );
        event(frames, "message_delta", &delta);
        event(frames, "message_stop", r#"{"type":"message_stop"}"#);
    }

    fn fail(&mut self, frames: &mut Frames, error: &Error) {
        let message = quoted(&error.to_string());
        let object = format!(r#"{{"type":"error","error":{{"type":"internal_error","message":{message}}}}}"#);
        event(frames, "error", &object);
    }
}

pub(super) fn whole(ask: &Ask, names: &Names, outcome: &Outcome, text: &str) -> String {
    let (id, model, text) = (quoted(&names.id), quoted(&ask.model), quoted(text));
    let (reason, usage) = (stop_reason(outcome.finish), usage(outcome));
    format!(
        r#"{{"id":{id},"type":"message","role":"assistant","content":[{{"type":"text","text":{text}}}],"model":{model},"stop_reason":{reason},"usage":{usage}}}"#
    )
}

fn event(frames: &mut Frames, name: &str, data: &str) {
    frames.push(&["event: ", name, "\ndata: ", data, "\n\n"]);
}

fn stop_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => r#""end_turn""#,
        Finish::Length => r#""max_tokens""#,
        Finish::Abort => "null",
    }
}

/// Cached tokens are not part of the input tokens here.
fn usage(outcome: &Outcome) -> String {
    format!(
        r#"{{"input_tokens":{},"output_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":{}}}"#,
        outcome.prompt_tokens - outcome.cached_tokens,
        outcome.output_tokens,
        outcome.cached_tokens
    )
}
