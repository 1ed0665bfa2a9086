//! The programs the demo starts, built first.

use std::path::PathBuf;

use super::plan::Engines;
use crate::{progress::Progress, step, workspace};

/// Where they are.
#[derive(Debug)]
pub(super) struct Binaries {
    pub(super) router: PathBuf,
    pub(super) sim: PathBuf,
}

impl Binaries {
    /// Builds them optimised: a debug build would measure itself.
    pub(super) fn build(engines: Engines) -> anyhow::Result<Self> {
        let mut args = vec!["build", "--release", "--package", "warmlane-router"];
        if engines == Engines::Sim {
            args.extend(["--package", "warmlane-sim"]);
        }
        let mut progress = Progress::start("build (release)");
        step::quiet(&mut progress, &step::log_file("demo build"), &mut workspace::cargo(args))?;
        progress.finish("done");
        let release = workspace::target().join("release");
        Ok(Self { router: release.join("warmlane-router"), sim: release.join("warmlane-sim") })
    }
}
