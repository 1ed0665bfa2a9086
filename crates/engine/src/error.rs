//! The error object of OpenAI-style servers, as vLLM 0.32 writes it.
//!
//! It only writes the shape. Which failure gets which message and status is the caller's decision.
//! Field order and spacing are the engine's own, so a client cannot tell who answered by the shape.

use serde::Serialize;

/// One error answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorBody<'a> {
    /// What went wrong, for a person.
    pub message: &'a str,
    /// The class of the error.
    #[serde(rename = "type")]
    pub kind: ErrorType,
    /// The request field at fault.
    pub param: Option<&'a str>,
    /// The HTTP status.
    pub code: u16,
}

/// The classes of errors, named as vLLM names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorType {
    /// The body is not the JSON its endpoint takes.
    MalformedRequest,
    /// The body is well-formed and asks for something that cannot be.
    BadRequest,
    /// No such model.
    NotFound,
    /// The body is over the limit.
    TooLarge,
    /// Come back later.
    RateLimit,
    /// The answering server failed.
    Internal,
    /// A server behind it failed or answered nonsense.
    BadGateway,
    /// Nobody can serve it now.
    Unavailable,
    /// Nobody served it in time.
    Timeout,
}

/// The envelope: `{"error":{...}}`.
#[derive(Serialize)]
struct Envelope<'a> {
    error: ErrorBody<'a>,
}

/// The envelope of the messages shape: `{"type":"error","error":{...}}`.
#[derive(Serialize)]
struct MessagesEnvelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: MessagesError<'a>,
}

#[derive(Serialize)]
struct MessagesError<'a> {
    #[serde(rename = "type")]
    kind: ErrorType,
    message: &'a str,
}

/// Whether the body of a 500 says that the engine is shutting down, so that another one would have answered.
///
/// vLLM 0.32 with `--shutdown-timeout` refuses new work by "cannot schedule new futures after shutdown" while its
/// `/health` still answers 200. No other 500 is taken for this: what makes one engine fail may make the next one.
pub fn says_shutdown(body: &[u8]) -> bool {
    let finder = |words: &[u8]| memchr::memmem::find(body, words).is_some();
    finder(b"after shutdown") || finder(b"shutting down")
}

// === ErrorBody ===

impl ErrorBody<'_> {
    /// The JSON, for every endpoint but `/v1/messages`.
    pub fn to_json(&self) -> String {
        json(&Envelope { error: *self })
    }

    /// The JSON in the shape of `/v1/messages`, which carries neither param nor code.
    pub fn to_messages_json(&self) -> String {
        json(&MessagesEnvelope {
            kind: "error",
            error: MessagesError { kind: self.kind, message: self.message },
        })
    }
}

// === ErrorType ===

impl ErrorType {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedRequest => "Bad Request",
            Self::BadRequest => "BadRequestError",
            Self::NotFound => "NotFoundError",
            Self::TooLarge => "RequestTooLargeError",
            Self::RateLimit => "RateLimitError",
            Self::Internal => "InternalServerError",
            Self::BadGateway => "BadGatewayError",
            Self::Unavailable => "ServiceUnavailableError",
            Self::Timeout => "TimeoutError",
        }
    }

    /// The HTTP status that goes with it.
    pub fn status(self) -> u16 {
        match self {
            Self::MalformedRequest | Self::BadRequest => 400,
            Self::NotFound => 404,
            Self::TooLarge => 413,
            Self::RateLimit => 429,
            Self::Internal => 500,
            Self::BadGateway => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

impl Serialize for ErrorType {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

fn json(value: &impl Serialize) -> String {
    // Strings, integers and null always serialise; the fallback only keeps this function total.
    serde_json::to_string(value).unwrap_or_else(|_| String::from(r#"{"error":null}"#))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn recorded(name: &str) -> String {
        let answer = fs::read_to_string(format!(
            "{}/../../tests/fixtures/http/vllm-0.32-{name}.txt",
            env!("CARGO_MANIFEST_DIR")
        ));
        answer.unwrap().split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    #[test]
    fn an_unknown_model_reads_as_the_engine_writes_it() {
        let message = "The model `no-such-model` does not exist. Valid aliases: /model/qwen.";
        let body = ErrorBody { message, kind: ErrorType::NotFound, param: Some("model"), code: 404 };
        assert_eq!(body.to_json(), recorded("error-404-model"));
        assert_eq!(body.to_json(), recorded("error-404-model-completion"));
        assert_eq!(body.to_json(), recorded("responses-error-404-model"));
        assert_eq!(body.to_messages_json(), recorded("messages-error-404-model"));
    }

    #[test]
    fn a_truncated_body_reads_as_the_engine_writes_it() {
        let message = "1 validation error:\n  {'type': 'json_invalid', 'loc': 'body.50', 'msg': 'JSON decode error', \
                       'input': '<dict of 0 items>', 'ctx': {'error': 'Unterminated string starting at'}}";
        let kind = ErrorType::MalformedRequest;
        let body = ErrorBody { message, kind, param: Some("body.50"), code: kind.status() };
        assert_eq!(body.to_json(), recorded("error-400-truncated"));
    }

    #[test]
    fn a_bad_parameter_reads_as_the_engine_writes_it() {
        let message = "max_tokens=100000 cannot be greater than max_model_len=4096. Please request fewer output tokens. \
                       (parameter=max_tokens, value=100000)";
        let body = ErrorBody { message, kind: ErrorType::BadRequest, param: Some("max_tokens"), code: 400 };
        assert_eq!(body.to_json(), recorded("error-400-too-long"));
    }

    #[test]
    fn a_missing_param_is_null_and_quotes_are_escaped() {
        let body = ErrorBody { message: "a \"b\"", kind: ErrorType::Unavailable, param: None, code: 503 };
        assert_eq!(
            body.to_json(),
            r#"{"error":{"message":"a \"b\"","type":"ServiceUnavailableError","param":null,"code":503}}"#
        );
    }
}
