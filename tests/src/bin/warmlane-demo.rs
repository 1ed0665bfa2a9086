//! The program behind `cargo xtask demo`; what it does stands in the library.

use std::process::ExitCode;

use clap::Parser as _;
use warmlane_tests::demo;

fn main() -> ExitCode {
    match demo::run(&demo::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes, not a backtrace: what fails here is a program or the machine.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
