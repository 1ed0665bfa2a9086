//! sglang-router: the peer that a benchmark compares with.

use std::path::PathBuf;

use super::environment::Environment;

const SGLANG: Environment = Environment {
    folder: "sglang-router",
    package: "sglang-router",
    version: "0.3.2",
    probe: "import sglang_router",
    options: &[],
};

/// The Python that has it, making the environment if there is none.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    SGLANG.ensure()?;
    Ok(SGLANG.python())
}
