//! Why a tokenizer cannot be had, and why a body has no tokens that we could name.

use std::path::PathBuf;

/// Why a tokenizer could not be loaded. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file cannot be read.
    #[error(
        "cannot read {path}: {source}; the path of a tokenizer is a tokenizer.json or a model's folder that has one"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is no tokenizer.
    #[error("{path} is no tokenizer ({what}); give the tokenizer.json that the engine loads with its model")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A configuration beside the tokenizer cannot be understood.
    #[error("{path} cannot be understood ({what}); copy it again from the model, or remove it")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The chat template is not one that we can run.
    #[error(
        "the chat template in {path} cannot be used ({what}); without a tokenizer the engine is asked instead"
    )]
    Template {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}

/// Why a body has no tokens here. Its engine may well make some of it, or refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// Another API, or fields that are not of the shape that an engine takes.
    #[error("the request has a shape whose tokens are not worked out here")]
    Shape,
    /// Images, audio, video or embeddings are part of the prompt.
    #[error("the prompt is not text alone")]
    NotText,
    /// There is no chat template.
    #[error("the tokenizer has no chat template: put a chat_template.jinja beside tokenizer.json")]
    NoTemplate,
    /// The chat template raised an error, or ran too long.
    #[error("the chat template refuses the conversation")]
    Template,
    /// The chat template writes today's date.
    #[error("the chat template asks for the time, which only the engine knows")]
    Clock,
    /// The body is no JSON, or not the JSON of its API.
    #[error("the request body is not JSON of the shape of its API")]
    Json,
    /// The request brings a chat template of its own.
    #[error("the request brings its own chat template")]
    OwnTemplate,
    /// The engine is asked to cut the prompt.
    #[error("the request asks for a prompt cut to a length")]
    Cut,
    /// The body, or what is made of it, is too large to be worked on here.
    #[error(
        "the request is larger than {} bytes, or its prompt larger than {}",
        crate::MOST_BODY,
        crate::MOST_TEXT
    )]
    TooLarge,
    /// The tokenizer itself gave up.
    #[error("the tokenizer refuses the text")]
    Tokenizer,
}

impl Unresolved {
    /// The cause as a metric label.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Shape => "shape",
            Self::NotText => "not_text",
            Self::NoTemplate => "no_template",
            Self::Template => "template",
            Self::Clock => "clock",
            Self::Json => "json",
            Self::OwnTemplate => "own_template",
            Self::Cut => "cut",
            Self::TooLarge => "too_large",
            Self::Tokenizer => "tokenizer",
        }
    }
}
