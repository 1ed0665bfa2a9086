//! /v1/responses.

use super::{Ask, Frames, Names, Outcome, Shape, quoted, refusal};
use crate::{error::Error, model::Finish};

/// A streamed response: numbered events around one delta per token.
pub(super) struct Stream {
    names: Names,
    model: String,
    max_tokens: Option<u32>,
    text: String,
    sequence: u32,
    opened: bool,
}

// === Stream ===

impl Stream {
    pub(super) fn new(ask: &Ask, names: Names) -> Self {
        let (model, max_tokens) = (quoted(&ask.model), ask.max_tokens);
        Self { names, model, max_tokens, text: String::new(), sequence: 0, opened: false }
    }

    /// Sends an event whose data begins with `fields` and ends with number and type.
    fn event(&mut self, frames: &mut Frames, name: &str, fields: &str) {
        let tail = format!(r#","sequence_number":{},"type":"{name}"}}"#, self.sequence);
        self.sequence += 1;
        frames.push(&["event: ", name, "\ndata: {", fields, &tail, "\n\n"]);
    }

    /// An event whose type and number stand between its fields.
    fn event_with(&mut self, frames: &mut Frames, name: &str, before: &str, after: &str) {
        let number = format!(r#""sequence_number":{},"#, self.sequence);
        self.sequence += 1;
        frames.push(&["event: ", name, "\ndata: {", before, &number, after, r#""type":""#, name, "\"}\n\n"]);
    }

    fn start(&mut self, frames: &mut Frames) {
        if std::mem::replace(&mut self.opened, true) {
            return;
        }
        let item = message(&self.names.message_id, "", "in_progress");
        self.event(frames, "response.output_item.added", &format!(r#""item":{item},"output_index":0"#));
        let before = format!(
            r#""content_index":0,"item_id":"{}","output_index":0,"part":{{"annotations":[],"text":"","type":"output_text","logprobs":[]}}"#,
            self.names.message_id
        );
        self.event(frames, "response.content_part.added", &before);
    }

    fn response(&self, outcome: Option<&Outcome>) -> String {
        response(
            &self.names,
            &self.model,
            self.max_tokens,
            outcome.map(|outcome| (outcome, self.text.as_str())),
        )
    }
}

impl Shape for Stream {
    fn open(&mut self, frames: &mut Frames) {
        for name in ["response.created", "response.in_progress"] {
            let fields = format!(r#""response":{}"#, self.response(None));
            self.event(frames, name, &fields);
        }
    }

    fn token(&mut self, frames: &mut Frames, _index: u32, word: &str) {
        self.start(frames);
        self.text.push_str(word);
        let fields = format!(
            r#""content_index":0,"delta":"{word}","item_id":"{}","logprobs":[],"output_index":0"#,
            self.names.message_id
        );
        self.event(frames, "response.output_text.delta", &fields);
    }

    fn last(&mut self, frames: &mut Frames, word: &str, outcome: &Outcome) {
        self.token(frames, outcome.output_tokens, word);
        let (id, text) = (self.names.message_id.clone(), quoted(&self.text));
        let before = format!(r#""content_index":0,"item_id":"{id}","logprobs":[],"output_index":0,"#);
        self.event_with(frames, "response.output_text.done", &before, &format!(r#""text":{text},"#));
        let part = format!(
            r#""content_index":0,"item_id":"{id}","output_index":0,"part":{{"annotations":[],"text":{text},"type":"output_text","logprobs":null}}"#
        );
        self.event(frames, "response.content_part.done", &part);
        let item = message(&id, &content(&text), "completed");
        self.event(frames, "response.output_item.done", &format!(r#""item":{item},"output_index":0"#));
        let fields = format!(r#""response":{}"#, self.response(Some(outcome)));
        self.event(frames, "response.completed", &fields);
    }

    fn fail(&mut self, frames: &mut Frames, error: &Error) {
        frames.push(&["event: error\ndata: ", &refusal::object(error), "\n\n"]);
    }
}

pub(super) fn whole(ask: &Ask, names: &Names, outcome: &Outcome, text: &str) -> String {
    response(names, &quoted(&ask.model), ask.max_tokens, Some((outcome, text)))
}

/// The response object; without an outcome it is still in progress.
fn response(names: &Names, model: &str, max_tokens: Option<u32>, end: Option<(&Outcome, &str)>) -> String {
    let (id, created) = (quoted(&names.id), names.created);
    let max_tokens = max_tokens.map_or_else(|| "null".to_owned(), |tokens| tokens.to_string());
    let cut = end.is_some_and(|(outcome, _)| outcome.finish == Finish::Length);
    let status = match (end, cut) {
        (None, _) => "in_progress",
        (Some(_), true) => "incomplete",
        (Some(_), false) => "completed",
    };
    let details = if cut { r#"{"reason":"max_output_tokens"}"# } else { "null" };
    let output = end.map_or_else(String::new, |(_, text)| {
        message(&names.message_id, &content(&quoted(text)), "completed")
    });
    let usage = end.map_or_else(|| "null".to_owned(), |(outcome, _)| usage(outcome));
    format!(
        r#"{{"id":{id},"created_at":{created},"incomplete_details":{details},"instructions":null,"metadata":null,"model":{model},"object":"response","output":[{output}],"parallel_tool_calls":true,"temperature":0.0,"tool_choice":"none","tools":[],"top_p":1.0,"background":false,"max_output_tokens":{max_tokens},"max_tool_calls":null,"previous_response_id":null,"prompt":null,"reasoning":null,"service_tier":"auto","status":"{status}","text":null,"top_logprobs":null,"truncation":"disabled","usage":{usage},"user":null,"presence_penalty":0.0,"frequency_penalty":0.0,"kv_transfer_params":null,"ec_transfer_params":null,"input_messages":null,"output_messages":null}}"#
    )
}

fn message(id: &str, content: &str, status: &str) -> String {
    format!(
        r#"{{"id":"{id}","content":[{content}],"role":"assistant","status":"{status}","type":"message","phase":null}}"#
    )
}

/// `text` is a JSON string.
fn content(text: &str) -> String {
    format!(r#"{{"annotations":[],"text":{text},"type":"output_text","logprobs":null}}"#)
}

fn usage(outcome: &Outcome) -> String {
    let (input, output) = (outcome.prompt_tokens, outcome.output_tokens);
    format!(
        r#"{{"input_tokens":{input},"input_tokens_details":{{"cached_tokens":{},"cache_write_tokens":0,"input_tokens_per_turn":[],"cached_tokens_per_turn":[]}},"output_tokens":{output},"output_tokens_details":{{"reasoning_tokens":0,"tool_output_tokens":0,"output_tokens_per_turn":[],"tool_output_tokens_per_turn":[]}},"total_tokens":{}}}"#,
        outcome.cached_tokens,
        input + output
    )
}
