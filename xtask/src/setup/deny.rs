//! cargo-deny: the one from PATH if it is new enough, else our own build below target/tools.
//!
//! Built from source, since the only ready binary in a package registry (0.14) predates the licence `Unicode-3.0`
//! and refuses our configuration.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::tool;
use crate::{step, workspace};

const VERSION: &str = "0.20.2";
/// The oldest minor version of 0.x that reads our deny.toml.
const OLDEST_MINOR: u32 = 18;

/// The path of a cargo-deny that works, installing one if there is none.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let own = workspace::tools().join("bin/cargo-deny");
    for candidate in [own.clone(), PathBuf::from("cargo-deny")] {
        if usable(&candidate) {
            return Ok(candidate);
        }
    }
    tool::install("cargo-deny", VERSION).context("cannot install cargo-deny: is crates.io reachable?")?;
    anyhow::ensure!(usable(&own), "{} was installed but does not answer as {VERSION}", own.display());
    Ok(own)
}

fn usable(program: &PathBuf) -> bool {
    let said = step::output(Command::new(program).arg("--version"));
    said.and_then(|said| super::version(&said).ok()).is_some_and(|found| found >= (0, OLDEST_MINOR))
}
