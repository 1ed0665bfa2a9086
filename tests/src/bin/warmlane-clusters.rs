//! The program behind `cargo xtask bench watch`; what it does stands in the library.

use std::process::ExitCode;

use clap::Parser as _;
use warmlane_tests::clusters;

fn main() -> ExitCode {
    match clusters::run(&clusters::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes, not a backtrace: what fails here is a program or the machine.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
