//! Prometheus and promtool, which read the alerts and dashboards: Debian's package, unpacked. Installed it would start a
//! server of its own, on the router's port.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::package;
use crate::{step, workspace};

const PACKAGE: &str = "prometheus";

/// The folder with both binaries, unpacking them if they are not there.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let folder = workspace::root().join("target/prometheus");
    let root = folder.join("root");
    if !root.exists() {
        package::unpacked(&folder, || Ok(PACKAGE.to_owned()))
            .context("cannot fetch Debian's package prometheus; its binaries below target/prometheus/root/usr/bin are taken too")?;
    }
    let binaries = root.join("usr/bin");
    for name in ["prometheus", "promtool"] {
        let answers = step::output(Command::new(binaries.join(name)).arg("--version")).is_some();
        anyhow::ensure!(answers, "{} does not answer", binaries.join(name).display());
    }
    Ok(binaries)
}
