//! `bench lane`: what a streamed token costs by the kernel lane, beside the same router that copies, in one run.
//!
//! Builds the router as it is shipped (profile `dist`) and its kernel programs; installs nginx, and uvloop below target.

use std::{ffi::OsString, process::Command};

use super::{Bar, measured};
use crate::{ebpf, setup, step};

pub(super) fn run(options: &[OsString]) -> anyhow::Result<Vec<Bar>> {
    let root = step::output(Command::new("id").arg("-u")).as_deref() == Some("0");
    anyhow::ensure!(root, "the kernel lane needs root: run cargo xtask bench lane as root");
    setup::iproute2()?;
    let object = ebpf::build()?;
    let mut command = measured::program("warmlane-rides", &["router"])?;
    command.arg("--object").arg(object);
    for (name, found) in [("nginx", setup::program("nginx", "-v")), ("uvloop", setup::uvloop())] {
        match found {
            Ok(path) => {
                command.arg(format!("--{name}")).arg(path);
            }
            Err(error) => eprintln!("what needs {name} is not measured: {error:#}"),
        }
    }
    measured::bars("lane", command, options)
}
