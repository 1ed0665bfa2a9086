//! The binary behind `cargo xtask`; what it does stands in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    match warmlane_xtask::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The causes, not a backtrace: what fails here is a command or the machine, not this program.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
