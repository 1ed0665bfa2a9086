//! Every command a person or CI runs, as `cargo xtask COMMAND`.
//!
//! Not a build system: cargo builds, these commands say what to build, in which order, and what the result means.
//! Invariant: nothing outside the checkout changes, except system packages that `setup` names as it installs them.

mod bench;
mod check;
mod dashboards;
mod demo;
mod ebpf;
mod fuzz;
mod image;
pub mod interrupt;
mod kernels;
pub mod progress;
mod setup;
mod soak;
pub mod step;
mod test;
pub mod vllm;
pub mod workspace;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(
    bin_name = "cargo xtask",
    about = "Everything you need to work on Warmlane, one command each",
    after_help = "First time here? `cargo xtask test --fast` checks and tests what you have (a few minutes).\n\
                  Each command installs what it needs by itself; `COMMAND --help` says what that is."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Dashboards(dashboards::Args),
    Setup(setup::Args),
    Check(check::Args),
    Test(test::Args),
    Bench(bench::Args),
    Ebpf(ebpf::Args),
    Kernels(kernels::Args),
    Fuzz(fuzz::Args),
    Image(image::Args),
    Soak(soak::Args),
    Vllm(vllm::Args),
}

/// Parses the command line and runs the command it names.
pub fn run() -> anyhow::Result<()> {
    interrupt::watch()?;
    match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Dashboards(args) => dashboards::run(&args),
        Command::Setup(args) => setup::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Ebpf(args) => ebpf::run(&args),
        Command::Kernels(args) => kernels::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Image(args) => image::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Vllm(args) => vllm::run(&args),
    }
}
