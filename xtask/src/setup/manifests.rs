//! kubernetes-validate: the schemas of every Kubernetes version, and what holds a manifest against them.

use std::path::PathBuf;

use super::environment::Environment;

const VALIDATE: Environment = Environment {
    folder: "kubernetes-validate",
    package: "kubernetes-validate",
    version: "1.37.0",
    probe: "import kubernetes_validate",
    options: &["--only-binary=:all:"],
};

/// The command, making the environment if there is none.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    VALIDATE.ensure()?;
    Ok(VALIDATE.python().with_file_name("kubernetes-validate"))
}
