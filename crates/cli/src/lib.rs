//! `warmlane`, the debug CLI: asks routers and agents what they know, and shows it to people and programs.
//!
//! It changes nothing unless told to. What is shown is made by pure functions of the pages ([`views`], [`status`]); asking and writing stand here.

#![forbid(unsafe_code)]

use std::io::{self, Write as _};

use clap::CommandFactory as _;
use signal_hook::low_level::emulate_default_handler;
use tokio::runtime::Builder;

pub mod address;
pub mod args;
mod bench;
mod bundle;
mod changes;
pub mod clean;
pub mod client;
mod commands;
mod doctor;
mod ending;
pub mod error;
pub mod kube;
#[cfg(test)]
mod pictures;
mod question;
pub mod replay;
mod save;
pub mod screen;
pub mod status;
pub mod table;
pub mod top;
pub mod units;
pub mod views;
mod watch;

use args::{Args, Command, Options, Question};
use commands::Asking;
use ending::unless_told;
use error::CliError;
use screen::Screen;

/// The answer is no.
const NO: u8 = 1;

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// For the shell: see [`error`].
    pub exit_code: u8,
    /// For standard error.
    pub complaints: Vec<String>,
}

/// Does what the command line says; what is asked for goes to standard output.
pub fn run(args: Args) -> Outcome {
    let mut complaints = Vec::new();
    let done = match args.command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Args::command(), "warmlane", &mut script);
            write(&script).map(|()| true)
        }
        Command::Man => man().and_then(|page| write(&page)).map(|()| true),
        Command::Replay(replay) => {
            commands::replay(&replay, &args.options, Screen::of_output(args.options.color))
                .and_then(|report| write(report.text.as_bytes()).map(|()| report.is_yes))
        }
        Command::Watch(asked) => {
            converse(&args.options, true, &mut complaints, async |asking| asking.watch(&asked).await)
                .map(|()| true)
        }
        Command::Top(asked) => {
            converse(&args.options, true, &mut complaints, async |asking| asking.top(&asked).await)
                .map(|()| true)
        }
        Command::Ask(question) => ask(&question, &args.options, &mut complaints),
    };
    let exit_code = match done {
        Ok(true) => 0,
        Ok(false) => NO,
        Err(error) => {
            if !error.is_quiet() {
                complaints.push(format!("warmlane: {error}"));
            }
            error.exit_code()
        }
    };
    Outcome { exit_code, complaints }
}

/// Whether the answer is yes.
fn ask(question: &Question, options: &Options, complaints: &mut Vec<String>) -> Result<bool, CliError> {
    // A bench goes by it, and says what it has until then.
    let interrupt = !matches!(question, Question::Bench(_));
    let report = converse(options, interrupt, complaints, async |asking| asking.report(question).await)?;
    write(report.text.as_bytes())?;
    Ok(report.is_yes)
}

/// Asks as often as it takes. `interrupt`: a Ctrl-C ends it, as other signals do, and leaves nothing behind.
fn converse<T>(
    options: &Options,
    interrupt: bool,
    complaints: &mut Vec<String>,
    ask: impl AsyncFnOnce(&mut Asking) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(CliError::Start)?;
    let mut asking = Asking::new(options, Screen::of_output(options.color));
    let answer = match options.kube.is_some() {
        true => runtime.block_on(unless_told(ask(&mut asking), interrupt)).map_err(CliError::Start)?,
        false => Ok(runtime.block_on(ask(&mut asking))),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(number) => {
            // With it goes kubectl. Whoever waits sees what this ended by.
            drop(asking);
            return Err(CliError::Start(match emulate_default_handler(number) {
                Ok(()) => io::ErrorKind::Interrupted.into(),
                Err(error) => error,
            }));
        }
    };
    // Also where it fails: another version may be why.
    complaints.extend(asking.warnings().into_iter().map(|warning| format!("warmlane: warning: {warning}")));
    answer
}

fn man() -> Result<Vec<u8>, CliError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Args::command()).render(&mut page).map_err(CliError::Output)?;
    Ok(page)
}

fn write(text: &[u8]) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    output.write_all(text).and_then(|()| output.flush()).map_err(CliError::Output)
}
