//! How answers look: one shape per API, streamed and whole, as recorded from vLLM 0.32.

mod chat;
mod completion;
mod messages;
mod responses;

use serde_json::Value;

use super::{
    ask::{Api, Ask},
    refusal,
    stream::Frames,
};
use crate::{
    error::Error,
    model::{Finish, Outcome},
};

/// A streamed answer: what events tell it.
pub(super) trait Shape {
    /// Events sent as soon as the request is taken.
    fn open(&mut self, _frames: &mut Frames) {}

    /// Output token `index`, which is not the last.
    fn token(&mut self, frames: &mut Frames, index: u32, word: &str);

    /// The end, with the text that came with it.
    fn last(&mut self, frames: &mut Frames, word: &str, outcome: &Outcome);

    /// An end in the middle: the stream says what happened, because its status is sent already.
    fn fail(&mut self, frames: &mut Frames, error: &Error) {
        frames.push(&["data: ", &refusal::object(error), "\n\n"]);
        frames.push(&[DONE]);
    }
}

/// What names an answer.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// Id of the response.
    pub(super) id: String,
    /// Id of the message inside it, where the API has one.
    pub(super) message_id: String,
    /// Seconds since 1970.
    pub(super) created: u64,
}

const FINGERPRINT: &str = "vllm-0.32.0-sim";
const DONE: &str = "data: [DONE]\n\n";

/// The shape of a streamed answer.
pub(super) fn streamed(api: Api, ask: &Ask, names: Names) -> Box<dyn Shape> {
    match api {
        Api::Completions => Box::new(completion::Stream::new(ask, &names)),
        Api::Chat => Box::new(chat::Stream::new(ask, &names)),
        Api::Responses => Box::new(responses::Stream::new(ask, names)),
        Api::Messages => Box::new(messages::Stream::new(ask, &names)),
    }
}

/// A whole answer.
pub(super) fn whole(api: Api, ask: &Ask, names: &Names, outcome: &Outcome, text: &str) -> String {
    match api {
        Api::Completions => completion::whole(ask, names, outcome, text),
        Api::Chat => chat::whole(ask, names, outcome, text),
        Api::Responses => responses::whole(ask, names, outcome, text),
        Api::Messages => messages::whole(ask, names, outcome, text),
    }
}

/// Text as a JSON string, quotes included.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// `finish_reason` of the OpenAI APIs.
fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::Abort => "abort",
    }
}

/// `usage` as it stands in every chunk where the client wants it continuously.
fn running_usage(prompt: u32, output: u32) -> String {
    format!(
        r#""usage":{{"prompt_tokens":{prompt},"total_tokens":{},"completion_tokens":{output},"completion_tokens_details":null}}"#,
        prompt + output
    )
}
