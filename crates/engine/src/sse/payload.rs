//! What a router wants to know of a payload: is it the end, is it an error, what did it cost.
//!
//! The payload is the data of an event, or the whole body of an answer that is not streamed. Four
//! shapes are known: completions, chat completions, responses and messages. It is no validator:
//! what it cannot read says nothing.
//!
//! Cost: [`kind`] looks at the first bytes. [`Report::of`] searches for four keys and parses only when
//! one of them has a value, which is once or twice per stream.

use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Event;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Tokens, or anything else that is no end and no error.
    Data,
    /// `[DONE]`.
    Done,
    /// An error: the answer is lost although its status was 200.
    Error,
}

/// What an answer says about its end; events of one answer add up with [`Report::absorb`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Tokens it took.
    pub usage: Option<Usage>,
    /// Why it ended.
    pub finish: Option<Finish>,
}

/// Tokens an answer took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub completion_tokens: u64,
    /// Prompt tokens found in the cache; `None` when the engine does not say.
    pub cached_tokens: Option<u64>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// At its natural end or a stop word.
    Stop,
    /// At the token limit.
    Length,
    /// With a call of a tool.
    ToolCalls,
    /// Cut by a content filter.
    ContentFilter,
    /// Given up by the engine, for one because it was shutting down.
    Abort,
    /// By an error.
    Error,
    /// For a reason not listed here.
    Other,
}

/// Tells what an event is.
pub fn kind(event: Event<'_>) -> Kind {
    let data = event.data.trim_ascii();
    if data == b"[DONE]" {
        return Kind::Done;
    }
    let by_name = matches!(event.name, b"error" | b"response.failed");
    if by_name || is_error(data) { Kind::Error } else { Kind::Data }
}

/// Whether a payload is an error object: `{"error":...}` with a value, or `{"type":"error"`.
pub fn is_error(data: &[u8]) -> bool {
    let first_key = |key: &[u8]| {
        let rest = data.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start().strip_prefix(key)?;
        Some(rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
    };
    first_key(b"\"error\"").is_some_and(|value| !value.starts_with(b"null"))
        || first_key(b"\"type\"").is_some_and(|value| value.starts_with(b"\"error\""))
}

/// Whether an event says that the engine gave the answer up, and is to blame: an error object whose code is no 4xx.
pub fn is_failure(event: Event<'_>) -> bool {
    kind(event) == Kind::Error && !is_clients_fault(event.data)
}

/// Whether a piece of a stream begins with an event by which the engine gives the answer up ([`is_failure`]).
///
/// Engines write each event in one piece, so looking at beginnings finds them without cutting a stream into events.
/// Cost where it is none: a few bytes compared.
pub fn begins_with_failure(piece: &[u8]) -> bool {
    let (name, rest) = match piece.strip_prefix(b"event:") {
        Some(rest) => rest.split_at(memchr::memchr(b'\n', rest).unwrap_or(rest.len())),
        None => (&[][..], piece),
    };
    let Some(data) = rest.trim_ascii_start().strip_prefix(b"data:") else { return false };
    let data = &data[..memchr::memchr(b'\n', data).unwrap_or(data.len())];
    is_failure(Event { name: name.trim_ascii(), data })
}

/// Whether an error object says that the request was wrong, by its code or, where it has none, by its type.
fn is_clients_fault(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        error: Told<'a>,
    }
    #[derive(Deserialize)]
    struct Told<'a> {
        code: Option<serde_json::Value>,
        #[serde(rename = "type", borrow)]
        kind: Option<std::borrow::Cow<'a, str>>,
    }
    let Ok(Object { error }) = serde_json::from_slice(data) else { return false };
    match error.code.and_then(|code| code.as_u64()) {
        Some(code) => (400..500).contains(&code),
        None => error.kind.is_some_and(|kind| {
            ["BadRequestError", "NotFoundError", "invalid_request_error", "not_found_error"].contains(&&*kind)
        }),
    }
}

/// A payload as far as it is read; what has another type in another shape is left raw.
#[derive(Deserialize)]
struct Payload<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    choices: Option<&'a RawValue>,
    /// Of a final response event.
    response: Option<&'a RawValue>,
    /// Of a first messages event.
    message: Option<&'a RawValue>,
    /// Of a last messages event; a plain string in other shapes.
    delta: Option<&'a RawValue>,
    stop_reason: Option<&'a RawValue>,
    status: Option<&'a RawValue>,
    incomplete_details: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    finish_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Incomplete<'a> {
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawUsage {
    #[serde(alias = "input_tokens")]
    prompt_tokens: Option<u64>,
    #[serde(alias = "output_tokens")]
    completion_tokens: Option<u64>,
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<Details>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

// === Report ===

impl Report {
    /// What one payload says.
    pub fn of(data: &[u8]) -> Self {
        let keys: [&[u8]; 4] =
            [b"\"usage\"", b"\"finish_reason\"", b"\"stop_reason\"", b"\"incomplete_details\""];
        if !keys.iter().any(|key| has_value(data, key)) {
            return Self::default();
        }
        let Ok(text) = std::str::from_utf8(data) else { return Self::default() };
        let Ok(payload) = serde_json::from_str::<Payload<'_>>(text) else { return Self::default() };
        // What is nested says the same in the same words. One level only: an engine's bytes must not
        // choose how deep we recurse.
        let nested = payload.response.or(payload.message);
        let mut report = read::<Payload<'_>>(nested).as_ref().map(Self::of_level).unwrap_or_default();
        report.absorb(Self::of_level(&payload));
        report
    }

    /// Adds what a later payload of the same answer says.
    pub fn absorb(&mut self, later: Self) {
        self.usage = match (self.usage, later.usage) {
            (Some(known), Some(later)) => Some(known.max(later)),
            (known, later) => later.or(known),
        };
        self.finish = later.finish.or(self.finish);
    }

    fn of_level(payload: &Payload<'_>) -> Self {
        let usage = read::<RawUsage>(payload.usage).and_then(RawUsage::usage);
        Self { usage, finish: payload.finish() }
    }
}

// === Usage ===

impl Usage {
    /// Counts only grow within an answer, and not every event states all of them.
    fn max(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.max(other.prompt_tokens),
            completion_tokens: self.completion_tokens.max(other.completion_tokens),
            cached_tokens: self.cached_tokens.max(other.cached_tokens),
        }
    }
}

// === Finish ===

impl Finish {
    /// Short name for labels and the access log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Abort => "abort",
            Self::Error => "error",
            Self::Other => "other",
        }
    }

    /// Reads a finish reason, stop reason, or the status or reason of a response.
    fn named(name: &str) -> Self {
        match name {
            "stop" | "end_turn" | "stop_sequence" | "completed" => Self::Stop,
            "length" | "max_tokens" | "max_output_tokens" => Self::Length,
            "tool_calls" | "tool_use" | "function_call" => Self::ToolCalls,
            "content_filter" | "refusal" => Self::ContentFilter,
            "abort" | "cancelled" => Self::Abort,
            "error" | "failed" => Self::Error,
            _ => Self::Other,
        }
    }
}

// === Payload ===

impl Payload<'_> {
    fn finish(&self) -> Option<Finish> {
        let choices = read::<Vec<Choice<'_>>>(self.choices).unwrap_or_default();
        let of_choice = choices.iter().find_map(|choice| read::<String>(choice.finish_reason));
        let of_delta = || read::<String>(read::<Delta<'_>>(self.delta)?.stop_reason);
        let of_message = || read::<String>(self.stop_reason);
        // vLLM 0.32 sends an incomplete response under the name of a completed one: details first.
        let of_details = || read::<String>(read::<Incomplete<'_>>(self.incomplete_details)?.reason);
        let of_status =
            || read::<String>(self.status).filter(|status| status != "in_progress" && status != "queued");
        let name = of_choice.or_else(of_delta).or_else(of_message).or_else(of_details).or_else(of_status)?;
        Some(Finish::named(&name))
    }
}

// === RawUsage ===

impl RawUsage {
    fn usage(self) -> Option<Usage> {
        if self.prompt_tokens.is_none() && self.completion_tokens.is_none() {
            return None;
        }
        // The messages shape counts cached and newly cached tokens apart from its input tokens.
        let apart = [self.cache_read_input_tokens, self.cache_creation_input_tokens].into_iter().flatten();
        Some(Usage {
            prompt_tokens: apart.fold(self.prompt_tokens.unwrap_or(0), u64::saturating_add),
            completion_tokens: self.completion_tokens.unwrap_or(0),
            cached_tokens: self
                .prompt_tokens_details
                .and_then(|details| details.cached_tokens)
                .or(self.cache_read_input_tokens),
        })
    }
}

/// Reads a raw value; one of another type says nothing.
fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str::<Option<T>>(raw?.get()).ok()?
}

/// Whether the key occurs with a value other than null.
fn has_value(data: &[u8], key: &[u8]) -> bool {
    memmem::find_iter(data, key).any(|at| {
        let after = data[at + key.len()..].trim_ascii_start();
        after.strip_prefix(b":").is_some_and(|value| !value.trim_ascii_start().starts_with(b"null"))
    })
}

#[cfg(test)]
mod tests;
