//! `cargo xtask kernels`: the suite of the kernel lane on other kernels than this machine's.
//!
//! A kernel that loads a program may still refuse or do something else than the next one, and the verifier of an older one
//! knows less: only running there shows it. Each kernel is booted in an emulated machine that holds the suite, linked
//! statically, the kernel programs, and nothing else of this checkout.

mod archive;
mod files;
mod guest;
mod verdict;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::Deserialize;

use crate::progress::{Progress, seconds};
use crate::setup::{self, Kernel};
use crate::{ebpf, step, workspace};
use files::Contents;
use guest::Guest;

/// What namespaces are joined by.
const MODULES: [&str; 1] = ["drivers/net/veth"];
const SUITE: &str = "kernel";
/// Where this one passes, those between it and this machine's mostly do.
const OLDEST: &str = "6.1";
/// Seconds; many times what a guest takes on an idle machine.
const LIMIT: u64 = 600;

/// Run the suite of the kernel lane on an older kernel
///
/// Boots a kernel of Debian's in a machine that qemu emulates (without KVM, and not as root) and
/// runs the lane's self-test and the suite `kernel` of warmlane-tests there. Prints what the guest
/// prints, and fails as it does, or where it hangs, panics or warns.
///
/// What that takes is downloaded: by apt the kernel's package (27 MB, unpacked below target/kernels
/// and not installed), qemu-system-x86 and busybox-static (18 MB), and what `cargo xtask ebpf` needs.
/// The suite is built once more, linked statically, below target/kernels/build (four minutes of CPU
/// from nothing); the guest takes about a minute and a quarter.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which kernel (repeat it for several)
    #[arg(long = "kernel", value_name = "VERSION", value_parser = versions(), default_value = OLDEST)]
    kernels: Vec<Kernel>,
    /// The most seconds that a guest may take from its start to its end
    #[arg(long, value_name = "SECONDS", default_value_t = LIMIT, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// For the suite, as `cargo test` passes them on: `-- faults --test-threads 1`
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// What cargo says of a file it has made.
#[derive(Deserialize)]
struct Made {
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    run_on(&args.kernels, args.limit, &args.arguments)
}

/// What CI runs.
pub(crate) fn on_the_oldest() -> anyhow::Result<()> {
    let oldest = Kernel::all().into_iter().find(|kernel| kernel.version == OLDEST);
    run_on(&[oldest.context("the oldest kernel is in the table")?], LIMIT, &[])
}

/// Reads one of the kernels that there are.
fn versions() -> impl TypedValueParser<Value = Kernel> {
    let names = PossibleValuesParser::new(Kernel::all().map(|kernel| kernel.version));
    names.try_map(|name| {
        Kernel::all().into_iter().find(|kernel| kernel.version == name).ok_or("no such kernel")
    })
}

fn run_on(kernels: &[Kernel], limit: u64, arguments: &[String]) -> anyhow::Result<()> {
    anyhow::ensure!(
        cfg!(all(target_arch = "x86_64", target_os = "linux", target_env = "gnu")),
        "other kernels are booted on Linux for x86-64 only: the suite in the guest is built for this machine"
    );
    // First what may have to be installed: that it cannot be is told before anything is built.
    let (emulator, programs) = (setup::qemu()?, files::programs()?);
    let trees = kernels.iter().map(|kernel| Ok((kernel.version, kernel.ensure()?)));
    let trees = trees.collect::<anyhow::Result<Vec<_>>>()?;
    let (object, suite) = (ebpf::build()?, build()?);
    for (version, tree) in trees {
        let modules = MODULES.map(|module| tree.module(module));
        let modules = modules.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
        let contents =
            Contents { programs: &programs, suite: &suite, object: &object, modules: &modules, arguments };
        let guest = prepare(version, emulator.clone(), tree.image()?, &contents)?;
        let passed = boot(&guest, Duration::from_secs(limit))
            .with_context(|| format!("the suite did not pass on kernel {version}"))?;
        println!("  ok     {passed}");
    }
    Ok(())
}

/// Writes what a guest boots.
fn prepare(
    version: &str,
    emulator: PathBuf,
    kernel: PathBuf,
    contents: &Contents<'_>,
) -> anyhow::Result<Guest> {
    let folder = workspace::target().join("kernels").join(version);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let files = folder.join("guest.cpio");
    std::fs::write(&files, files::archive(contents)?)
        .with_context(|| format!("cannot write {}", files.display()))?;
    Ok(Guest { emulator, kernel, files, log: folder.join("kernel.log") })
}

/// Runs a guest, and judges it; what to say of one that passed.
fn boot(guest: &Guest, limit: Duration) -> anyhow::Result<String> {
    let began = Instant::now();
    let said = guest.run(limit)?;
    let log = std::fs::read(&guest.log).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let complaints = verdict::complaints(&log).join("\n");
    let passed = verdict::read(&said).map_err(|error| {
        let last = if verdict::ended(&said) { String::new() } else { guest.last_words() };
        anyhow::anyhow!("{error:#}\n{complaints}\n{last}")
    })?;
    anyhow::ensure!(complaints.is_empty(), "its tests passed, but the kernel itself says:\n{complaints}");
    Ok(format!("{} tests on {} in {}", passed.tests, passed.kernel, seconds(began.elapsed())))
}

/// Builds the suite in a form that needs no system; where it lies.
fn build() -> anyhow::Result<PathBuf> {
    let mut progress = Progress::start("suite, linked statically");
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let command = |format: &str| {
        let mut command = workspace::cargo(["test", "--locked", "--no-run", "--package", "warmlane-tests"]);
        command.args(["--test", SUITE, "--message-format", format]);
        // With a target of its own, so that what runs while it is built is linked as always.
        command.args(["--target", &target, "--target-dir"]).arg(workspace::target().join("kernels/build"));
        command.env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
        // Small, as it goes through an emulated machine's memory; and what it does takes less than to optimise it.
        command.args([
            "--config",
            "profile.dev.debug=false",
            "--config",
            "profile.dev.package.'*'.opt-level=0",
        ]);
        command
    };
    step::quiet(&mut progress, &step::log_file("kernels build"), &mut command("human"))
        .context("cannot link the suite statically; does it need the C library's static form (libc6-dev)?")?;
    let said = step::output(&mut command("json")).context("cargo built the suite but does not say where")?;
    progress.finish("done");
    suite(&said).context("cargo built the suite but names no program")
}

/// The suite's program in what cargo says, a line of JSON for each file.
fn suite(said: &str) -> Option<PathBuf> {
    let mut made = said.lines().filter_map(|line| serde_json::from_str::<Made>(line).ok());
    made.find_map(|made| made.executable.filter(|_| made.target.is_some_and(|target| target.name == SUITE)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_without_an_argument_is_among_them() {
        assert!(Kernel::all().iter().any(|kernel| kernel.version == OLDEST));
    }

    #[test]
    fn the_suite_is_found_among_what_cargo_made() {
        let said = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"rustix\"},\"executable\":null}\n\
                    {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"demo\"},\"executable\":\"a/demo-1\"}\n\
                    {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"kernel\"},\"executable\":\"a/kernel-2\"}\n\
                    {\"reason\":\"build-finished\",\"success\":true}\n";
        assert_eq!(suite(said), Some(PathBuf::from("a/kernel-2")));
        assert_eq!(suite("{}\nnonsense\n"), None);
    }
}
