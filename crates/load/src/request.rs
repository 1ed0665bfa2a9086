//! One request to an OpenAI-compatible server, before it is bytes.
//!
//! The body always asks for usage in a stream, because the hit rate is computed from it.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use serde::Serialize;

/// What the model is asked to continue. It also decides the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prompt {
    /// Text for `/v1/completions`.
    Text(String),
    /// Token ids for `/v1/completions`.
    Tokens(Vec<u32>),
    /// Messages for `/v1/chat/completions`.
    Chat(Vec<Message>),
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who says it: `system`, `user`, `assistant` or what else the server takes.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// One request of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Name of the model or adapter.
    pub model: String,
    /// What to continue.
    pub prompt: Prompt,
    /// Most tokens to generate.
    pub max_tokens: u32,
    /// Whether tokens come as server-sent events.
    pub stream: bool,
    /// Goes out as `x-session-id`. Requests of one session are sent one after the other.
    pub session: Option<String>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whether the engine must go on to `max_tokens`. A vLLM extension.
    pub ignore_eos: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<&'a [Message]>,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ignore_eos: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Words(&'a str),
    Ids(&'a [u32]),
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

// === Request ===

impl Request {
    /// A streamed request that generates exactly `max_tokens`.
    pub fn new(model: impl Into<String>, prompt: Prompt, max_tokens: u32) -> Self {
        Self {
            model: model.into(),
            prompt,
            max_tokens,
            stream: true,
            session: None,
            headers: Vec::new(),
            ignore_eos: true,
        }
    }

    /// The same request as one turn of a session.
    #[must_use]
    pub fn in_session(mut self, session: impl Into<String>) -> Self {
        self.session = Some(session.into());
        self
    }

    /// The same request with a whole reply instead of a stream.
    #[must_use]
    pub fn whole(mut self) -> Self {
        self.stream = false;
        self
    }

    /// The path it is posted to.
    pub fn path(&self) -> &'static str {
        match self.prompt {
            Prompt::Text(_) | Prompt::Tokens(_) => "/v1/completions",
            Prompt::Chat(_) => "/v1/chat/completions",
        }
    }

    /// The JSON body.
    pub fn body(&self) -> Bytes {
        let (prompt, messages) = match &self.prompt {
            Prompt::Text(text) => (Some(Text::Words(text)), None),
            Prompt::Tokens(ids) => (Some(Text::Ids(ids)), None),
            Prompt::Chat(messages) => (None, Some(messages.as_slice())),
        };
        let body = Body {
            model: &self.model,
            prompt,
            messages,
            max_tokens: self.max_tokens,
            stream: self.stream,
            stream_options: self.stream.then_some(StreamOptions { include_usage: true }),
            ignore_eos: self.ignore_eos,
        };
        // Strings, numbers and slices always serialise; an empty body would show at once as a 400.
        serde_json::to_vec(&body).unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(request: &Request) -> serde_json::Value {
        serde_json::from_slice(&request.body()).unwrap()
    }

    #[test]
    fn a_streamed_completion_asks_for_usage() {
        let request = Request::new("m", Prompt::Text("a \"b\"".into()), 7);
        assert_eq!(request.path(), "/v1/completions");
        assert_eq!(
            json(&request),
            serde_json::json!({"model": "m", "prompt": "a \"b\"", "max_tokens": 7, "stream": true,
                "stream_options": {"include_usage": true}, "ignore_eos": true})
        );
    }

    #[test]
    fn token_ids_are_sent_as_numbers() {
        let request = Request::new("m", Prompt::Tokens(vec![1, 20, 300]), 1).whole();
        let body = json(&request);
        assert_eq!(body["prompt"], serde_json::json!([1, 20, 300]));
        assert_eq!(body["stream"], false);
        assert!(body.get("stream_options").is_none());
    }

    #[test]
    fn a_chat_goes_to_the_chat_path() {
        let say = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
        let request = Request::new("m", Prompt::Chat(vec![say("system", "s"), say("user", "u")]), 1);
        assert_eq!(request.path(), "/v1/chat/completions");
        assert_eq!(json(&request)["messages"][1], serde_json::json!({"role": "user", "content": "u"}));
    }
}
