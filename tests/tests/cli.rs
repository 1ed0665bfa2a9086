//! The program `warmlane` against whole routers, and against what is none. It lies where `WARMLANE_BIN_DIR` says, which `cargo
//! xtask test` sets.

use std::{
    fmt::Display,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

#[path = "cli/answers.rs"]
mod answers;
#[path = "cli/bench.rs"]
mod bench;
#[path = "cli/bundle.rs"]
mod bundle;
#[path = "cli/documented.rs"]
mod documented;
#[path = "cli/kube.rs"]
mod kube;
#[path = "cli/nodes.rs"]
mod nodes;
#[path = "cli/odd.rs"]
mod odd;
#[path = "cli/others.rs"]
mod others;
#[path = "cli/recipes.rs"]
mod recipes;
#[path = "cli/routers.rs"]
mod routers;
#[path = "cli/sessions.rs"]
mod sessions;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/top.rs"]
mod top;

/// What the program did.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Where the program lies.
fn folder() -> PathBuf {
    let folder = std::env::var_os("WARMLANE_BIN_DIR").map(PathBuf::from);
    folder.expect("WARMLANE_BIN_DIR names no folder; run this suite as: cargo xtask test")
}

fn program() -> Command {
    let mut command = Command::new(folder().join("warmlane"));
    // Nothing of whoever runs the tests.
    command.env_clear().stdin(Stdio::null());
    command
}

/// Asks what is at this address.
fn ask(address: impl Display, words: &[&str]) -> Said {
    // A terminal that has colours, but is not where it writes to.
    run(program().env("TERM", "xterm").args(["--router", &address.to_string()]).args(words))
}

fn run(command: &mut Command) -> Said {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Said { code: status.code(), out: text(stdout), err: text(stderr) }
}

// === Said ===

impl Said {
    /// What it wrote, where all went well and it complained of nothing.
    fn well(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (Some(0), ""), "{self:?}");
        self.out
    }

    /// The same as JSON.
    fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.well()).expect("JSON")
    }
}
