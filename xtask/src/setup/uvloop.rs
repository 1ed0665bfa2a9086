//! uvloop: the event loop that vLLM serves with, for a benchmark's pod.

use std::path::PathBuf;

use super::environment::Environment;

const UVLOOP: Environment = Environment {
    folder: "uvloop",
    package: "uvloop",
    version: "0.23.0",
    probe: "import uvloop",
    options: &[],
};

/// The Python that has it, making the environment if there is none.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    UVLOOP.ensure()?;
    Ok(UVLOOP.python())
}
