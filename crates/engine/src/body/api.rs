//! The request shapes the reader knows: which path speaks which shape, and which top-level keys of it matter.
//!
//! Not a schema: keys not named here are lexed and left alone.

use Field::{Kept, Limit, Model, Section, Stream};

/// Sections of a prompt, in chain order. The last one is the part that grows from turn to turn.
pub(super) const SECTIONS: usize = 3;

/// The section that is left open at its end; see [`super::Prompt`].
pub(super) const LAST: usize = SECTIONS - 1;

/// How many spellings of the output limit there are.
pub(super) const LIMITS: usize = 3;

/// How many of the session-like strings are kept.
pub(super) const TAGS: usize = 4;

/// A request shape that carries a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// `/v1/completions`
    Completions,
    /// `/v1/chat/completions`
    ChatCompletions,
    /// `/v1/responses`
    Responses,
    /// `/v1/messages`
    Messages,
    /// `/v1/embeddings`
    Embeddings,
    /// `/score`, `/v1/score`
    Score,
    /// `/rerank`, `/v1/rerank`, `/v2/rerank`
    Rerank,
}

/// What the value of a top-level key is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Nothing: it is only checked to be JSON.
    Other,
    Model,
    Stream,
    /// An output limit; the slot with the lowest number that holds one wins.
    Limit(usize),
    Kept(Tag),
    /// A part of the prompt.
    Section(usize),
}

/// The session-like strings, by their slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tag {
    CacheSalt,
    PromptCacheKey,
    PreviousResponse,
    Session,
}

// === Api ===

impl Api {
    /// The shape that requests to `path` have, or `None` where the body is not ours to read.
    ///
    /// A query string is ignored. Paths match exactly, as the engines' own routes do.
    #[must_use]
    pub fn of_path(path: &str) -> Option<Self> {
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        Some(match path {
            "/v1/completions" => Self::Completions,
            "/v1/chat/completions" => Self::ChatCompletions,
            "/v1/responses" => Self::Responses,
            "/v1/messages" => Self::Messages,
            "/v1/embeddings" => Self::Embeddings,
            "/score" | "/v1/score" => Self::Score,
            "/rerank" | "/v1/rerank" | "/v2/rerank" => Self::Rerank,
            _ => return None,
        })
    }

    /// What the top-level key `key` means in this shape.
    pub(super) fn field(self, key: &[u8]) -> Field {
        match key {
            b"model" => Model,
            b"stream" => Stream,
            // vLLM prefers the newer name where a chat carries both.
            b"max_completion_tokens" => Limit(0),
            b"max_output_tokens" => Limit(1),
            b"max_tokens" => Limit(2),
            b"cache_salt" => Kept(Tag::CacheSalt),
            b"prompt_cache_key" => Kept(Tag::PromptCacheKey),
            b"previous_response_id" => Kept(Tag::PreviousResponse),
            b"session_id" => Kept(Tag::Session),
            _ => self.section(key).map_or(Field::Other, Section),
        }
    }

    /// Whether numbers in arrays of the last section are token ids.
    pub(super) fn takes_token_ids(self) -> bool {
        matches!(self, Self::Completions | Self::Embeddings)
    }

    fn section(self, key: &[u8]) -> Option<usize> {
        Some(match (self, key) {
            (Self::ChatCompletions | Self::Responses | Self::Messages, b"tools") => 0,
            (Self::ChatCompletions, b"functions") => 1,
            (Self::Responses, b"instructions") | (Self::Messages, b"system") => 1,
            // vLLM 0.32 knows four pairs of names for the two sides of a score.
            (Self::Score, b"text_1" | b"queries" | b"data_1") => 1,
            (Self::Score, b"text_2" | b"documents" | b"items" | b"data_2") => LAST,
            (Self::Rerank, b"query") => 1,
            (Self::Rerank, b"documents") => LAST,
            (Self::Completions, b"prompt") => LAST,
            (Self::ChatCompletions | Self::Messages | Self::Embeddings, b"messages") => LAST,
            (Self::Responses | Self::Embeddings, b"input") => LAST,
            _ => return None,
        })
    }
}
