//! `bench proxy`: what a proxied request costs, beside nginx, haproxy and sglang-router, in one run.
//!
//! Builds the router as it is shipped (profile `dist`) and installs the others. One that cannot be installed is named, and
//! the figures against it do not hold.

use std::{ffi::OsString, process::Command};

use super::{Bar, measured};
use crate::setup;

pub(super) fn run(options: &[OsString]) -> anyhow::Result<Vec<Bar>> {
    measured::bars("proxy", program()?, options)
}

/// The measuring program with the proxies that there are.
fn program() -> anyhow::Result<Command> {
    let mut command = measured::program("warmlane-proxies", &["router"])?;
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
