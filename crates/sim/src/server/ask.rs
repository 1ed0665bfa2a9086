//! What a client asks for: the fields of a request body that the engine acts on.
//!
//! Unknown fields are ignored, as vLLM does. Not supported, and refused: several prompts or answers in
//! one request. An answer that may end by itself ends after 64 to 512 tokens, by prompt and seed.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{conversation, replica::Replica};
use crate::{
    error::Error,
    model::{Prompt, Request, tokens},
};

/// The body of a request, with typed access.
pub(super) struct Fields(Map<String, Value>);

/// A request for text.
pub(super) struct Ask {
    /// The name the client used; it is echoed.
    pub(super) model: String,
    pub(super) request: Request,
    /// As the client gave it.
    pub(super) max_tokens: Option<u32>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
    pub(super) continuous_usage: bool,
}

/// Which API the body follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    Completions,
    Chat,
    Responses,
    Messages,
}

const SHORTEST: u64 = 64;
const LONGEST: u64 = 512;
/// Default of `max_tokens` in /v1/completions.
const COMPLETION_TOKENS: u32 = 16;

// === Fields ===

impl Fields {
    /// Parses a body. The position and wording of a complaint are close to Python's, not equal.
    pub(super) fn parse(body: &Bytes) -> Result<Self, Error> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Error::NotJson { at: 0, what: "Expecting value" }),
            Err(error) => {
                let line_start: usize =
                    body.split_inclusive(|&byte| byte == b'\n').take(error.line() - 1).map(<[u8]>::len).sum();
                let at = (line_start + error.column()).saturating_sub(1);
                if error.is_eof() && error.to_string().contains("string") {
                    let open = body.iter().rposition(|&byte| byte == b'"').unwrap_or(at);
                    return Err(Error::NotJson { at: open, what: "Unterminated string starting at" });
                }
                Err(Error::NotJson { at, what: "Expecting value" })
            }
        }
    }

    pub(super) fn get(&self, field: &'static str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    pub(super) fn require(&self, field: &'static str) -> Result<&Value, Error> {
        self.get(field).ok_or(Error::Missing { field, items: self.0.len() })
    }

    pub(super) fn text(&self, field: &'static str) -> Result<Option<&str>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let wrong = || wrong(field, "string_type", "Input should be a valid string", value);
        value.as_str().map(Some).ok_or_else(wrong)
    }

    pub(super) fn flag(&self, field: &'static str) -> Result<bool, Error> {
        let Some(value) = self.get(field) else { return Ok(false) };
        let wrong = || wrong(field, "bool_type", "Input should be a valid boolean", value);
        value.as_bool().ok_or_else(wrong)
    }

    pub(super) fn integer(&self, field: &'static str) -> Result<Option<i64>, Error> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let number = match value {
            Value::String(text) => text.trim().parse().ok(),
            value => value.as_i64(),
        };
        let what = "Input should be a valid integer, unable to parse string as an integer";
        match (number, value) {
            (Some(number), _) => Ok(Some(number)),
            (None, Value::String(_)) => Err(wrong(field, "int_parsing", what, value)),
            (None, _) => Err(wrong(field, "int_type", "Input should be a valid integer", value)),
        }
    }

    pub(super) fn list(&self, field: &'static str) -> Result<&[Value], Error> {
        let value = self.require(field)?;
        let wrong = || wrong(field, "list_type", "Input should be a valid list", value);
        value.as_array().map(Vec::as_slice).ok_or_else(wrong)
    }
}

// === Ask ===

impl Ask {
    /// Reads a request for text.
    pub(super) fn read(api: Api, fields: &Fields, replica: &Replica) -> Result<Self, Error> {
        let options = replica.options();
        let model = fields.text("model")?.unwrap_or(&options.model).to_owned();
        let adapter = replica.adapter(&model)?;
        if fields.integer("n")?.is_some_and(|n| n != 1) {
            let what = "n must be 1: the simulated engine gives one answer per request.".to_owned();
            return Err(Error::BadValue { field: "n", what, value: fields.require("n")?.to_string() });
        }
        let ids = match api {
            Api::Completions => completion_prompt(fields)?,
            Api::Chat => tokens::encode(&conversation::chat(fields)?),
            Api::Responses => tokens::encode(&conversation::responses(fields)?),
            Api::Messages => tokens::encode(&conversation::messages(fields)?),
        };
        let limit = options.engine.max_model_len;
        let max_tokens = output_limit(api, fields, limit)?;
        let room = room(ids.len(), limit)?;
        let adapter_name = adapter.map(|_| model.as_str());
        let prompt = replica.prompt(&ids, adapter_name, fields.text("cache_salt")?);
        let stop_after = (!fields.flag("ignore_eos")?).then(|| natural_length(&prompt, options.seed));
        let stop_after = stop_after.max(minimum(fields)?);
        let usage = fields.get("stream_options");
        let option = |name| usage.and_then(|usage| usage.get(name)).and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            model,
            request: Request {
                prompt,
                max_tokens: max_tokens.unwrap_or(room).min(room),
                stop_after,
                adapter,
            },
            max_tokens,
            stream: fields.flag("stream")?,
            include_usage: option("include_usage"),
            continuous_usage: option("continuous_usage_stats"),
        })
    }
}

/// Tokens of output that fit behind a prompt.
pub(super) fn room(prompt: usize, limit: u32) -> Result<u32, Error> {
    match u32::try_from(prompt).ok().and_then(|tokens| limit.checked_sub(tokens)) {
        None | Some(0) => Err(Error::PromptTooLong { tokens: prompt, limit }),
        Some(room) => Ok(room),
    }
}

/// A prompt as text or as token ids, possibly in a list of one.
fn completion_prompt(fields: &Fields) -> Result<Vec<u32>, Error> {
    let Some(value) = fields.get("prompt") else { return Err(Error::NoPrompt) };
    let one = match value {
        Value::Array(list) if list.first().is_some_and(|first| !first.is_number()) => {
            if list.len() > 1 {
                let what =
                    "prompt must be one prompt: the simulated engine takes one per request.".to_owned();
                return Err(Error::BadValue {
                    field: "prompt",
                    what,
                    value: format!("<list of {} items>", list.len()),
                });
            }
            &list[0]
        }
        value => value,
    };
    let wrong = || wrong("prompt", "string_type", "Input should be a valid string", value);
    let ids = match one {
        Value::String(text) => tokens::encode(text),
        Value::Array(ids) => token_ids(ids).ok_or_else(wrong)?,
        _ => return Err(wrong()),
    };
    if ids.is_empty() { Err(Error::NoPrompt) } else { Ok(ids) }
}

/// Token ids; `None` where one is no 32-bit number.
pub(super) fn token_ids(ids: &[Value]) -> Option<Vec<u32>> {
    ids.iter().map(|id| id.as_u64().and_then(|id| u32::try_from(id).ok())).collect()
}

fn output_limit(api: Api, fields: &Fields, limit: u32) -> Result<Option<u32>, Error> {
    let named = match api {
        Api::Completions | Api::Messages => ["max_tokens"].as_slice(),
        Api::Chat => &["max_completion_tokens", "max_tokens"],
        Api::Responses => &["max_output_tokens"],
    };
    if api == Api::Messages {
        fields.require("max_tokens")?;
    }
    for &field in named {
        let Some(value) = fields.integer(field)? else { continue };
        let refuse = |what| Err(Error::BadValue { field, what, value: value.to_string() });
        if value < 1 {
            return refuse(format!("{field} must be at least 1, got {value}."));
        }
        if value > i64::from(limit) {
            return refuse(format!(
                "{field}={value} cannot be greater than max_model_len={limit}. Please request fewer output tokens."
            ));
        }
        return Ok(Some(value as u32));
    }
    Ok((api == Api::Completions).then_some(COMPLETION_TOKENS))
}

fn natural_length(prompt: &Prompt, seed: u64) -> u32 {
    let mut random = fastrand::Rng::with_seed(prompt.output_stream() ^ seed);
    random.u64(SHORTEST..=LONGEST) as u32
}

/// `min_tokens` puts off the natural end; it means nothing where there is none.
fn minimum(fields: &Fields) -> Result<Option<u32>, Error> {
    if fields.flag("ignore_eos")? {
        return Ok(None);
    }
    Ok(fields.integer("min_tokens")?.and_then(|least| u32::try_from(least).ok()))
}

/// A complaint about a value's type, with the value shortened as vLLM shortens it.
fn wrong(field: &'static str, kind: &'static str, what: &'static str, value: &Value) -> Error {
    let input = match value {
        Value::String(text) => format!("'{}'", text.chars().take(200).collect::<String>()),
        Value::Array(list) => format!("'<list of {} items>'", list.len()),
        Value::Object(fields) => format!("'<dict of {} items>'", fields.len()),
        other => format!("'{other}'"),
    };
    Error::WrongType { kind, field, what, input }
}
