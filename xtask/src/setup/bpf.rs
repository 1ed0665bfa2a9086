//! What builds programs for BPF: a compiler with a core library for that target, and bpf-linker.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::{system, tool};
use crate::{step, workspace};

const LINKER: &str = "bpf-linker";
const VERSION: &str = "0.13.0";
/// The compiler is Debian's own build, and its LLVM is the one that the linker must be made with.
const PACKAGES: [&str; 4] = ["rustc-web", "libstd-rust-web-dev-bpf", CLIPPY_PACKAGE, "llvm-22-dev"];
const LLVM_FEATURE: &str = "llvm-22";
const LLVM: &str = "/usr/lib/llvm-22";
const COMPILER: &str = "/usr/bin/rustc";
const CLIPPY_PACKAGE: &str = "rust-web-clippy";
const CLIPPY: &str = "/usr/bin/clippy-driver";

/// A way to build them.
#[derive(Debug)]
pub(crate) enum BpfRoute {
    /// Debian's compiler with its prebuilt core.
    Debian {
        /// The compiler.
        compiler: PathBuf,
        /// Where its linker lies.
        tools: PathBuf,
    },
    /// rustup's nightly, which builds core itself; the linker is found as any program.
    Nightly,
}

/// The way this machine has, installing Debian's where it has none.
pub(crate) fn route() -> anyhow::Result<BpfRoute> {
    if let Some(route) = debian().or_else(nightly) {
        return Ok(route);
    }
    if !has_target(COMPILER) || !Path::new(LLVM).exists() {
        system::install(&PACKAGES).context(
            "kernel programs need a compiler for BPF; without Debian's packages: \
             rustup toolchain install nightly --component rust-src, and cargo install bpf-linker",
        )?;
    }
    let options = ["--debug", "--no-default-features", "--features", LLVM_FEATURE];
    tool::install_with(LINKER, VERSION, &options, &[("LLVM_PREFIX", LLVM)])
        .context("cannot install bpf-linker: is crates.io reachable?")?;
    debian().context("Debian's compiler for BPF and bpf-linker were installed but do not answer")
}

/// Debian's clippy for its compiler: rustup's reads no core but its own compiler's.
pub(crate) fn clippy() -> anyhow::Result<PathBuf> {
    system::from(CLIPPY_PACKAGE, CLIPPY, "--version")
}

fn debian() -> Option<BpfRoute> {
    let tools = workspace::tools().join("bin");
    (has_target(COMPILER) && answers(&tools.join(LINKER)))
        .then(|| BpfRoute::Debian { compiler: PathBuf::from(COMPILER), tools })
}

fn nightly() -> Option<BpfRoute> {
    let sysroot =
        step::output(Command::new("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"]))?;
    let source = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core/Cargo.toml");
    (source.exists() && answers(Path::new(LINKER))).then_some(BpfRoute::Nightly)
}

fn has_target(compiler: &str) -> bool {
    let sysroot = step::output(Command::new(compiler).args(["--print", "sysroot"]));
    sysroot.is_some_and(|sysroot| Path::new(&sysroot).join("lib/rustlib/bpfel-unknown-none/lib").exists())
}

fn answers(linker: &Path) -> bool {
    step::output(Command::new(linker).arg("--version")).is_some()
}

// === BpfRoute ===

impl BpfRoute {
    /// As it is told to people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Debian { .. } => "debian",
            Self::Nightly => "nightly",
        }
    }

    /// Where programs are looked for, its linker first.
    pub(crate) fn path(&self) -> OsString {
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let own = match self {
            Self::Debian { tools, .. } => Some(tools.clone()),
            Self::Nightly => None,
        };
        std::env::join_paths(own.into_iter().chain(std::env::split_paths(&inherited))).unwrap_or(inherited)
    }
}
