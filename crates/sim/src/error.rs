//! Everything that can go wrong in this crate, by cause.

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
}
