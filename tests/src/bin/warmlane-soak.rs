//! The program behind `cargo xtask soak`; what it does stands in the library.

use std::process::ExitCode;

use clap::Parser as _;
use warmlane_tests::soak;

fn main() -> ExitCode {
    match soak::run(&soak::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes, not a backtrace: what fails here is a program or the machine.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
