//! `warmlane`: reads the command line, does what it says, and turns what went wrong into words and an exit code.

use std::process::ExitCode;

use clap::Parser as _;
use warmlane_cli::{args::Args, clean::clean, run};

fn main() -> ExitCode {
    let outcome = run(Args::parse());
    for line in outcome.complaints.iter().flat_map(|complaint| complaint.lines()) {
        eprintln!("{}", clean(line));
    }
    ExitCode::from(outcome.exit_code)
}
