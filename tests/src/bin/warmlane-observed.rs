//! The program behind `cargo xtask bench observability`; what it does stands in the library.

use std::process::ExitCode;

use clap::Parser as _;
use warmlane_tests::observed;

fn main() -> ExitCode {
    match observed::run(&observed::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes, not a backtrace: what fails here is a program or the machine.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
