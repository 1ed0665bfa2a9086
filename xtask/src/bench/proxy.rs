//! `bench proxy`: what a proxied request costs, beside nginx, haproxy and sglang-router, in one run.
//!
//! Builds the router as it is shipped (profile `dist`) and installs the others. One that cannot be installed is named, and
//! the figures against it do not hold.

use std::{ffi::OsString, process::Command};

use anyhow::Context as _;
use serde::Deserialize;

use super::Bar;
use crate::{progress::Progress, setup, step, workspace};

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

pub(super) fn run(options: &[OsString]) -> anyhow::Result<Vec<Bar>> {
    let is_json = |option: &OsString| option.to_string_lossy().starts_with("--json");
    anyhow::ensure!(
        !options.iter().any(is_json),
        "write --json FILE before the `--`: cargo xtask bench proxy --json FILE -- ..."
    );
    let file = workspace::target().join("proxies.json");
    // Figures of an earlier run must not be taken for new.
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot clear {}", file.display()));
        }
        _ => {}
    }
    let mut command = program()?;
    step::shown(command.arg("--json").arg(&file).args(options))?;
    if !file.exists() {
        // Help, or one proxy under load for a profiler: nothing was compared.
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let found: Found = serde_json::from_str(&text)
        .with_context(|| format!("{} has another shape than warmlane-proxies writes", file.display()))?;
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

/// The measuring program with the proxies that there are.
fn program() -> anyhow::Result<Command> {
    let mut progress = Progress::start("build (dist, release)");
    let router = ["build", "--locked", "--profile", "dist", "--package", "warmlane-router", "--bins"];
    step::quiet(&mut progress, &step::log_file("bench router"), &mut workspace::cargo(router))?;
    let driver = ["build", "--locked", "--release", "--package", "warmlane-tests", "--bins"];
    step::quiet(&mut progress, &step::log_file("bench driver"), &mut workspace::cargo(driver))?;
    progress.finish("done");
    let target = workspace::target();
    let mut command = Command::new(target.join("release/warmlane-proxies"));
    command.arg("--router").arg(target.join("dist/warmlane-router"));
    let others = [
        ("nginx", setup::program("nginx", "-v")),
        ("haproxy", setup::program("haproxy", "-v")),
        ("sglang", setup::sglang_router()),
    ];
    for (name, found) in others {
        match found {
            Ok(path) => {
                command.arg(format!("--{name}")).arg(path);
            }
            Err(error) => eprintln!("{name} is not measured: {error:#}"),
        }
    }
    Ok(command)
}
