//! Model lists: reads what `GET /v1/models` of an engine answers and merges several into one.
//!
//! It does not interpret the objects beyond what routing needs; each is kept as the engine wrote it,
//! so fields we do not know reach the client too.
//!
//! Invariant: a merged list holds every id once, with the first list's object, in order of first
//! appearance. The caller gives the lists in a fixed order and gets a stable answer.

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// Largest answer read, in bytes.
pub const MAX_LIST_BYTES: usize = 8 << 20;

/// Most models in one list.
pub const MAX_MODELS: usize = 10_000;

/// Longest model id, in bytes.
pub const MAX_ID_BYTES: usize = 1024;

/// What an engine serves, in its own order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelList {
    /// The models and adapters.
    pub models: Vec<Model>,
}

/// A model or an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The name requests use.
    pub id: String,
    /// The model an adapter belongs to; `None` for a base model.
    pub parent: Option<String>,
    /// Where the engine took it from.
    pub root: Option<String>,
    /// Longest prompt and output together, in tokens.
    pub max_model_len: Option<u64>,
    /// The object as the engine wrote it.
    pub raw: Box<str>,
}

/// Why an answer is no model list.
#[derive(Debug, Error)]
pub enum ModelsError {
    /// Larger than anything this crate reads.
    #[error(
        "model list of {bytes} bytes is over the limit of {MAX_LIST_BYTES}: is this /v1/models of an engine?"
    )]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Too many entries.
    #[error("model list has {models} entries, over the limit of {MAX_MODELS}")]
    TooMany {
        /// Their number.
        models: usize,
    },
    /// Not the JSON of a list; also what a truncated answer gives.
    #[error("not an OpenAI model list ({0}): is this /v1/models of an engine, and is its answer whole?")]
    NotAList(#[source] serde_json::Error),
    /// An entry lacks what each model must have.
    #[error("entry {index} of the model list is not a model: {source}")]
    NotAModel {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// An id that no request could sensibly carry.
    #[error("entry {index} of the model list has an id of {bytes} bytes; 1 to {MAX_ID_BYTES} are allowed")]
    BadId {
        /// Its place in the list, from 0.
        index: usize,
        /// Length of the id.
        bytes: usize,
    },
}

/// Merges lists into the JSON of one OpenAI list, each object unchanged.
pub fn merge<'a>(lists: impl IntoIterator<Item = &'a ModelList>) -> String {
    let mut json = String::from(r#"{"object":"list","data":["#);
    let mut seen = HashSet::new();
    for model in lists.into_iter().flat_map(|list| &list.models) {
        if !seen.insert(model.id.as_str()) {
            continue;
        }
        if seen.len() > 1 {
            json.push(',');
        }
        json.push_str(&model.raw);
    }
    json.push_str("]}");
    json
}

/// The answer, as far as it is read.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

/// An entry, as far as it is read.
#[derive(Deserialize)]
struct Entry {
    id: String,
    parent: Option<String>,
    root: Option<String>,
    max_model_len: Option<u64>,
}

// === ModelList ===

impl ModelList {
    /// Reads an answer to `GET /v1/models`.
    pub fn parse(answer: &[u8]) -> Result<Self, ModelsError> {
        if answer.len() > MAX_LIST_BYTES {
            return Err(ModelsError::TooLarge { bytes: answer.len() });
        }
        let answer: Answer<'_> = serde_json::from_slice(answer).map_err(ModelsError::NotAList)?;
        if answer.data.len() > MAX_MODELS {
            return Err(ModelsError::TooMany { models: answer.data.len() });
        }
        let models = answer.data.iter().enumerate().map(|(index, raw)| Model::parse(index, raw));
        Ok(Self { models: models.collect::<Result<_, _>>()? })
    }
}

// === Model ===

impl Model {
    /// Whether it is an adapter on top of another model.
    pub fn is_adapter(&self) -> bool {
        self.parent.is_some()
    }

    fn parse(index: usize, raw: &RawValue) -> Result<Self, ModelsError> {
        let entry: Entry =
            serde_json::from_str(raw.get()).map_err(|source| ModelsError::NotAModel { index, source })?;
        let bytes = entry.id.len();
        if !(1..=MAX_ID_BYTES).contains(&bytes) {
            return Err(ModelsError::BadId { index, bytes });
        }
        let Entry { id, parent, root, max_model_len } = entry;
        Ok(Self { id, parent, root, max_model_len, raw: raw.get().into() })
    }
}

#[cfg(test)]
mod tests;
