//! A program of ours that measures, and writes what it found as JSON: built, run, read.

use std::{ffi::OsString, process::Command};

use anyhow::Context as _;
use serde::Deserialize;

use super::Bar;
use crate::{progress::Progress, step, workspace};

#[derive(Deserialize)]
struct Found {
    bars: Vec<Measured>,
}

/// A bar as the measuring program writes it: without a value where nothing was measured.
#[derive(Deserialize)]
struct Measured {
    what: String,
    value: Option<f64>,
    /// Least and most of all rounds.
    rounds: Option<(f64, f64)>,
    limit: f64,
    holds: bool,
}

/// The measuring program, and those that it measures as they are shipped (profile `dist`): `--router`, `--agent`.
pub(super) fn program(name: &str, measured: &[&str]) -> anyhow::Result<Command> {
    let mut progress = Progress::start("build (dist, release)");
    for shipped in measured {
        let package = format!("warmlane-{shipped}");
        let build = ["build", "--locked", "--profile", "dist", "--package", &package, "--bins"];
        step::quiet(
            &mut progress,
            &step::log_file(&format!("bench {shipped}")),
            &mut workspace::cargo(build),
        )?;
    }
    let driver = ["build", "--locked", "--release", "--package", "warmlane-tests", "--bins"];
    step::quiet(&mut progress, &step::log_file("bench driver"), &mut workspace::cargo(driver))?;
    progress.finish("done");
    let target = workspace::target();
    let mut command = Command::new(target.join("release").join(name));
    for shipped in measured {
        command.arg(format!("--{shipped}")).arg(target.join(format!("dist/warmlane-{shipped}")));
    }
    Ok(command)
}

/// Runs it; nothing where it compared nothing: help, or one of them under load for a profiler.
pub(super) fn bars(bench: &str, mut command: Command, options: &[OsString]) -> anyhow::Result<Vec<Bar>> {
    let is_json = |option: &OsString| option.to_string_lossy().starts_with("--json");
    anyhow::ensure!(
        !options.iter().any(is_json),
        "write --json FILE before the `--`: cargo xtask bench {bench} --json FILE -- ..."
    );
    let file = workspace::target().join(format!("bench-{bench}.json"));
    // Figures of an earlier run must not be taken for new.
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot clear {}", file.display()));
        }
        _ => {}
    }
    step::shown(command.arg("--json").arg(&file).args(options))?;
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let found: Found = serde_json::from_str(&text)
        .with_context(|| format!("{} has another shape than is read here", file.display()))?;
    let bar = |measured: Measured| Bar {
        what: match measured.rounds {
            Some((low, high)) => format!("{} ({low:.2} to {high:.2})", measured.what).into(),
            None => measured.what.into(),
        },
        value: measured.value.unwrap_or(f64::NAN),
        limit: measured.limit,
        holds: measured.holds,
    };
    Ok(found.bars.into_iter().map(bar).collect())
}
