//! Everything that can go wrong in this crate, by cause.
//!
//! What a client did wrong is worded as vLLM 0.32 words it, because clients and routers read it.

use std::{io, net::SocketAddr};

use thiserror::Error;

/// Why the simulated engine refused something.
#[derive(Debug, Error)]
pub enum Error {
    /// The sequence could never be held in the KV cache, even alone.
    #[error(
        "request {id} needs {needed} KV blocks and the engine has {blocks}: raise the KV size or ask for fewer tokens"
    )]
    TooLarge {
        /// The request.
        id: u64,
        /// Blocks for prompt and output together.
        needed: u32,
        /// Blocks the engine has.
        blocks: u32,
    },
    /// Prompt and output are longer than the model allows.
    #[error("request {id} has {tokens} tokens with its output and the model takes {limit}")]
    TooLong {
        /// The request.
        id: u64,
        /// Prompt tokens plus output tokens asked for.
        tokens: u32,
        /// The longest sequence.
        limit: u32,
    },
    /// The prompt has no tokens.
    #[error("request {id} has an empty prompt")]
    EmptyPrompt {
        /// The request.
        id: u64,
    },
    /// The prompt was cut for another engine.
    #[error("request {id} is cut into blocks of {prompt} tokens and the engine has blocks of {engine}")]
    BlockSize {
        /// The request.
        id: u64,
        /// Tokens per block of the prompt.
        prompt: u32,
        /// Tokens per block of the engine.
        engine: u32,
    },
    /// A request with this id is still in the engine.
    #[error("request {id} is already in the engine: ids must be unique while a request lives")]
    Duplicate {
        /// The request.
        id: u64,
    },
    /// A setting that makes no sense.
    #[error("{setting}: {reason}")]
    Setting {
        /// Flag or option.
        setting: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source} (is another process using the port?)")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The thread or runtime of the server could not be started.
    #[error("cannot start the server: {0}")]
    Start(io::Error),
    /// The body ended or broke before it was complete.
    #[error("the request body could not be read: the client went away or framed it wrongly")]
    Body,
    /// The body is not JSON.
    #[error(
        "1 validation error:\n  {{'type': 'json_invalid', 'loc': 'body.{at}', 'msg': 'JSON decode error', \
         'input': '<dict of 0 items>', 'ctx': {{'error': '{what}'}}}}"
    )]
    NotJson {
        /// Where, in characters.
        at: usize,
        /// What was expected there.
        what: &'static str,
    },
    /// A field that must be there is not.
    #[error(
        "1 validation error:\n  {{'type': 'missing', 'loc': 'body.{field}', 'msg': 'Field required', \
         'input': '<dict of {items} items>'}}"
    )]
    Missing {
        /// The field.
        field: &'static str,
        /// Fields the body has.
        items: usize,
    },
    /// A field has a value of the wrong type.
    #[error(
        "1 validation error:\n  {{'type': '{kind}', 'loc': 'body.{field}', 'msg': '{what}', 'input': {input}}}"
    )]
    WrongType {
        /// Pydantic's name of the complaint.
        kind: &'static str,
        /// The field.
        field: &'static str,
        /// What it should be.
        what: &'static str,
        /// The value, shortened.
        input: String,
    },
    /// A field has a value that is not allowed.
    #[error("{what} (parameter={field}, value={value})")]
    BadValue {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        what: String,
        /// The value.
        value: String,
    },
    /// The prompt is empty.
    #[error("Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)")]
    NoPrompt,
    /// The prompt leaves no room for a token of output.
    #[error(
        "This model's maximum context length is {limit} tokens. However, your prompt contains {tokens} input \
         tokens, which exceeds this limit even without any output tokens. Please reduce the length of the input \
         prompt. (parameter=input_tokens, value={tokens})"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// The longest sequence.
        limit: u32,
    },
    /// Nobody here serves that model.
    #[error("The model `{model}` does not exist. Valid aliases: {served}.")]
    UnknownModel {
        /// The model asked for.
        model: String,
        /// The base model.
        served: String,
    },
    /// The engine was told to stop while the request was in it.
    #[error("EngineCore encountered an issue. See stack trace (above) for the root cause.")]
    Stopped,
    /// The engine lets requests under way end and takes no new ones.
    #[error("cannot schedule new futures after shutdown")]
    Stopping,
    /// The engine has no room.
    #[error("The server is overloaded. Please try again later.")]
    Busy,
}
