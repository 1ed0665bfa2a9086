//! cargo-fuzz: our own build below target/tools.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::tool;
use crate::{step, workspace};

const VERSION: &str = "0.13.2";

/// The path of a cargo-fuzz that works, installing one if there is none. It needs a C++ compiler, which the real engines
/// need too.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    super::python()?;
    let own = workspace::tools().join("bin/cargo-fuzz");
    let usable = || step::output(Command::new(&own).arg("--version")).is_some();
    if !usable() {
        tool::install("cargo-fuzz", VERSION).context("cannot install cargo-fuzz: is crates.io reachable?")?;
        anyhow::ensure!(usable(), "{} was installed but does not answer", own.display());
    }
    Ok(own)
}
