//! `cargo xtask check`: format, lints, licences, boundaries, docs and the repository's own rules.
//!
//! Every check runs, also after one has failed, and prints one line with its time.

mod boundaries;
mod layout;

use std::process::Command;

use crate::progress::Progress;
use crate::{ebpf, setup, step, workspace};

/// Check format, lints, licences, crate boundaries, docs and repository rules
///
///   rustfmt     `cargo fmt --all --check`; put it right with `cargo fmt --all`
///   layout      file length, file names, machine paths (plain Rust, in xtask)
///   boundaries  which of our crates may depend on which, and which stay pure
///   deny        licences, banned crates, sources (deny.toml); not advisories, whose
///               database is fetched at run time and needs a network
///   clippy      all targets and features, warnings are errors
///   clippy-bpf  the same for the kernel programs, by the way by which `cargo xtask ebpf`
///               builds them; with Debian's compiler, with its package rust-web-clippy
///   doc         rustdoc with private items, warnings are errors
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {}

type Check = (&'static str, fn(&mut Progress) -> anyhow::Result<()>);

/// Cheapest first: a slip in the format is told within a second.
const CHECKS: [Check; 7] = [
    ("rustfmt", rustfmt),
    ("layout", |_| layout::check()),
    ("boundaries", |_| boundaries::check()),
    ("deny", deny),
    ("clippy", clippy),
    ("clippy-bpf", ebpf::lint),
    ("doc", doc),
];

pub(crate) fn run(_: &Args) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        crate::interrupt::checkpoint()?;
        let mut progress = Progress::start(name);
        let result = check(&mut progress);
        progress.finish(if result.is_ok() { "ok" } else { "FAILED" });
        if let Err(error) = result {
            eprintln!("{error:#}\n");
            failed.push(name);
        }
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}; again: cargo xtask check", failed.join(", "));
    Ok(())
}

fn rustfmt(progress: &mut Progress) -> anyhow::Result<()> {
    logged(progress, "rustfmt", &mut workspace::cargo(["fmt", "--all", "--check"]))?;
    // A workspace of its own.
    let words = ["fmt", "--check", "--manifest-path", "router-ebpf/Cargo.toml"];
    logged(progress, "rustfmt", &mut workspace::cargo(words))
}

fn deny(progress: &mut Progress) -> anyhow::Result<()> {
    let mut command = Command::new(setup::cargo_deny()?);
    command.current_dir(workspace::root());
    command.args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]);
    logged(progress, "deny", &mut command)
}

fn clippy(progress: &mut Progress) -> anyhow::Result<()> {
    let words =
        ["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"];
    logged(progress, "clippy", &mut workspace::cargo(words))
}

fn doc(progress: &mut Progress) -> anyhow::Result<()> {
    // Private items too: they are documented for those who work here, and their links must hold as well.
    let words = ["doc", "--workspace", "--no-deps", "--document-private-items", "--all-features", "--locked"];
    let mut command = workspace::cargo(words);
    logged(progress, "doc", command.env("RUSTDOCFLAGS", "-D warnings"))
}

fn logged(progress: &mut Progress, name: &str, command: &mut Command) -> anyhow::Result<()> {
    step::quiet(progress, &step::log_file(&format!("check-{name}")), command)
}
