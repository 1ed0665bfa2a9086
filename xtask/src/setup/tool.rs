//! Cargo's tools that are built from crates.io, below target/tools.

use anyhow::Context as _;

use crate::progress::Progress;
use crate::{step, workspace};

/// Builds and installs this version of a tool.
pub(super) fn install(package: &str, version: &str) -> anyhow::Result<()> {
    install_with(package, version, &[], &[])
}

/// The same with options for cargo, and variables for what is built.
pub(super) fn install_with(
    package: &str,
    version: &str,
    options: &[&str],
    variables: &[(&str, &str)],
) -> anyhow::Result<()> {
    let mut progress = Progress::start(&format!("install {package}"));
    let root = workspace::tools();
    let build = root.join("build");
    let mut command = workspace::cargo(["install", "--locked", "--force", "--version", version, package]);
    command.args(options).envs(variables.iter().copied());
    command.arg("--root").arg(&root).arg("--target-dir").arg(&build);
    // Their own release profiles (fat LTO, one unit) build for many minutes; what they do here needs none of it.
    command
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1");
    step::quiet(&mut progress, &step::log_file(&format!("install-{package}")), &mut command)?;
    std::fs::remove_dir_all(&build).with_context(|| format!("cannot remove {}", build.display()))?;
    progress.finish("done");
    Ok(())
}
