//! Why a configuration is refused.

use std::{io, path::PathBuf};

use super::Origin;

/// Why a configuration is refused. Each message names the setting, where it stands and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The flags, or a request for help: `clap` prints both, to the right stream.
    #[error("{0}")]
    Flags(#[from] clap::Error),
    /// The file cannot be read.
    #[error("cannot read the configuration file {path} ({origin}): {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What named it.
        origin: Origin,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{path}:{line}: not TOML: {why}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        why: String,
    },
    /// No setting has this name.
    #[error("{origin}: unknown key `{key}`; the nearest valid one is `{nearest}`")]
    UnknownKey {
        /// What stands there, with its section.
        key: String,
        /// Where.
        origin: Origin,
        /// What may have been meant.
        nearest: String,
    },
    /// A value cannot be read, or does not go with the others.
    #[error("{origin}: `{key}` = {value:?}: {why}")]
    Value {
        /// The setting, as in the file.
        key: &'static str,
        /// Its value.
        value: String,
        /// Where it came from.
        origin: Origin,
        /// What is wrong, and what to do.
        why: String,
    },
    /// What must be set is not.
    #[error("`{key}` is not set: {why}")]
    Missing {
        /// The setting, as in the file.
        key: &'static str,
        /// What to do.
        why: String,
    },
    /// An environment variable is not text.
    #[error("environment {name}: its value is not UTF-8 text")]
    NotText {
        /// The variable.
        name: String,
    },
}
