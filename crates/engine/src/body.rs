//! Reading a request body: what a router needs of an OpenAI-style JSON body, taken while it streams in.
//!
//! A sans-IO push reader: no sockets, no DOM, no copy of the body. One pass checks the JSON, keeps a handful
//! of facts, and hashes the prompt in fixed blocks of text. The body itself is never changed; it is the
//! caller's to pass on.
//!
//! **Canonical prompt text.** The prompt-bearing fields of an [`Api`] form up to three sections, in this
//! order whatever their order in the body: `tools`; then `system`, `instructions`, `functions`, or the first
//! side of a score or rerank; then `messages`, `prompt`, `input`, or the documents. The text of a section is
//! its JSON with white space outside strings dropped and escapes in strings decoded (numbers stay as
//! written), without the byte that closes the value, so that a prompt which goes on is a continuation of the
//! shorter one.
//!
//! **Blocks.** Each section is cut into blocks of its own: `hash = xxh3_64(block)`. What is left at the end
//! of the last section is dropped: it is about to grow. What is left of any other becomes one more block,
//! `xxh3_64_with_seed(rest, section length)`. So all blocks of a conversation are blocks of its next turn.
//!
//! **Bounds.** A reader holds at most three sections of `max_blocks` hashes (3 x 256 KiB by default), a stage
//! of a few KiB, and strings of 1 KiB each, whatever the body's length.

mod api;
mod facts;
mod kept;
mod lexer;
mod scan;
mod sections;

pub use self::api::Api;

use std::ops::Range;

use self::{facts::Facts, lexer::Lexer};

/// Reads one body, then, after [`finish_into`](Self::finish_into) or [`reset`](Self::reset), the next.
#[derive(Debug)]
pub struct BodyReader {
    api: Api,
    lexer: Lexer,
    facts: Facts,
    failed: Option<BodyError>,
}

/// Sizes a reader works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of prompt text per block; brought into 16..=4096.
    pub block_bytes: u32,
    /// Blocks kept of one prompt. Text beyond is checked and counted, not hashed.
    pub max_blocks: u32,
}

/// What a complete body says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestBody {
    /// The model or adapter asked for.
    pub model: String,
    /// Where the value of `model` stands in the body, quotes included: what a model rewrite replaces.
    pub model_span: Range<u64>,
    /// Whether `stream` is `true`.
    pub stream: bool,
    /// `max_completion_tokens`, else `max_output_tokens`, else `max_tokens`, where it is a whole number.
    pub max_tokens: Option<u64>,
    /// The prompt.
    pub prompt: Prompt,
    /// `cache_salt`: requests with different salts share no cached prefix. Of this and the strings below, one
    /// over 1 KiB is replaced by a digest of it.
    pub cache_salt: Option<String>,
    /// `prompt_cache_key`
    pub prompt_cache_key: Option<String>,
    /// `previous_response_id`
    pub previous_response_id: Option<String>,
    /// `session_id`, which vLLM 0.32 takes in the body too.
    pub session_id: Option<String>,
}

/// The prompt of a body: hashed, counted, not kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Hashes of consecutive blocks, each independent of the others: chain them to name a prefix.
    pub blocks: Vec<u64>,
    /// Length of the canonical text.
    pub bytes: u64,
    /// Numbers in a prompt of token ids (`prompt`, or `input` of embeddings).
    pub token_ids: u64,
    /// Text bytes per block.
    pub block_bytes: u32,
}

/// Why a body cannot be routed. The client's fault in each case (400), and the same on every try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The body ended early, or is empty.
    #[error("the request body is empty or ends before its JSON object does; was the upload cut off?")]
    Truncated,
    /// The body is not JSON.
    #[error("the request body is not valid JSON: {what} at byte {at}")]
    NotJson {
        /// Offset in the body.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The body is JSON of another kind.
    #[error("the request body is not an object in JSON: expected {{\"model\": ..., ...}}")]
    NotAnObject,
    /// Brackets nest too deep.
    #[error("the request body nests more than {} levels deep", lexer::MAX_DEPTH)]
    TooDeep,
    /// No model is named.
    #[error("the request names no model: \"model\" is missing or null")]
    NoModel,
    /// The model is something else than a string.
    #[error("\"model\" is not a string")]
    ModelNotString,
    /// The model's name is too long to be one.
    #[error("\"model\" is longer than {} bytes", kept::KEPT_BYTES)]
    ModelTooLong,
}

// === BodyReader ===

impl BodyReader {
    /// A reader for a body of shape `api`.
    #[must_use]
    pub fn new(api: Api, limits: Limits) -> Self {
        Self { api, lexer: Lexer::new(), facts: Facts::new(api, limits), failed: None }
    }

    /// Forgets the body in hand, if any, and gets ready for one of shape `api`. Buffers stay.
    pub fn reset(&mut self, api: Api) {
        self.api = api;
        self.lexer = Lexer::new();
        self.facts.reset(api);
        self.failed = None;
    }

    /// Reads the next bytes of the body, cut wherever they were. Once a body has failed it stays so.
    ///
    /// # Errors
    /// If the bytes so far cannot begin a JSON object.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), BodyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.lexer.push(chunk, &mut self.facts).inspect_err(|error| self.failed = Some(*error))
    }

    /// What the body said, once all of it has been pushed.
    ///
    /// # Errors
    /// If the body failed before, is not complete, or names no usable model.
    pub fn finish(mut self) -> Result<RequestBody, BodyError> {
        let mut body = RequestBody::default();
        self.finish_into(&mut body)?;
        Ok(body)
    }

    /// As [`finish`](Self::finish), with `body`'s buffers reused: it takes the result and gives its old ones
    /// to the reader, which is then ready for another body of the same shape. On an error `body` is as it
    /// was.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub fn finish_into(&mut self, body: &mut RequestBody) -> Result<(), BodyError> {
        let result = match self.failed {
            Some(error) => Err(error),
            None if !self.lexer.is_done() => Err(BodyError::Truncated),
            None => self.facts.move_to(body),
        };
        self.reset(self.api);
        result
    }
}

// === Limits ===

impl Default for Limits {
    /// 64-byte blocks, 32,768 of them: the first 2 MiB of a prompt.
    fn default() -> Self {
        Self { block_bytes: 64, max_blocks: 32_768 }
    }
}

// === Prompt ===

/// OpenAI's rule of thumb for English text. Code and other scripts take fewer bytes per token, so it is an
/// estimate for weighing loads, not for limits.
const BYTES_PER_TOKEN: u64 = 4;

impl Prompt {
    /// Tokens of the prompt: exact where it is token ids, else text bytes / 4.
    #[must_use]
    pub fn estimated_tokens(&self) -> u64 {
        if self.token_ids > 0 { self.token_ids } else { self.bytes.div_ceil(BYTES_PER_TOKEN) }
    }
}

// === BodyError ===

impl BodyError {
    /// The request field at fault, for `param` of an OpenAI-style error object.
    #[must_use]
    pub fn param(&self) -> Option<&'static str> {
        match self {
            Self::NoModel | Self::ModelNotString | Self::ModelTooLong => Some("model"),
            Self::Truncated | Self::NotJson { .. } | Self::NotAnObject | Self::TooDeep => None,
        }
    }
}

#[cfg(test)]
mod tests;
