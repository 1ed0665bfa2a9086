//! `warmlane`: reads the command line, does what it says, and turns what went wrong into words and an exit code.

use std::process::ExitCode;

use warmlane_cli::{args::Args, run, screen::Screen, views::complaint};

fn main() -> ExitCode {
    let outcome = run(Args::of_process());
    let screen = Screen::of_complaints();
    for line in outcome.complaints.iter().flat_map(|complaint| complaint.lines()) {
        eprint!("{}", complaint(screen, line));
    }
    ExitCode::from(outcome.exit_code)
}
