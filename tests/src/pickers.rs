//! What `cargo xtask bench ext-proc` measures: the cost of a request through the router's endpoint picker, beside a picker
//! that does nothing, on the same work, in one run.
//!
//! One core for the picker under test, one for the gateway's side and the replicas together. Both pickers are processes;
//! CPU is read from the scheduler's own nanosecond counters. Rounds are interleaved: of a figure the lowest counts, since
//! what disturbs a run only adds to it, and two are compared round by round.

pub(crate) mod chats;
mod figures;
pub(crate) mod load;
mod measure;
pub(crate) mod noop;
mod picker;

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
};

use anyhow::Context as _;

pub use picker::Kind;

use crate::proxy::{on_last_core, tell};

/// Measures endpoint pickers beside each other.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask bench ext-proc --", args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// The router, built with profile `dist`; left out: a second no-op picker stands in for it, and the figures show
    /// what two equal ones differ by
    #[arg(long, value_name = "FILE")]
    router: Option<PathBuf>,
    /// Interleaved rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Where figures and bars go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only load this one, for as many seconds as --seconds says: something to profile
    #[arg(long, value_enum, value_name = "PICKER")]
    only: Option<Kind>,
    /// What --only sends
    #[arg(long, value_enum, default_value_t = Load::Small)]
    load: Load,
    /// How long --only loads
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// What a process of this program is, if not the one that measures.
#[derive(Debug, clap::Subcommand)]
enum Role {
    /// The picker that does nothing
    #[command(hide = true)]
    Noop { address: SocketAddr },
}

/// What a picker is given to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Load {
    /// Prompts of 1 KB, as fast as they are answered
    Small,
    /// Prompts of 400 KB
    Large,
    /// Prompts of 1 KB, 500 a second
    Paced,
    /// Responses, token by token
    Chunks,
}

/// Measures, prints and saves.
///
/// # Errors
/// When a picker cannot be started or answers wrongly; the message says which.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(Role::Noop { address }) = args.role {
        let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        noop::serve(listener);
        return Ok(());
    }
    on_last_core(async {
        if let Some(kind) = args.only {
            return measure::only(args, kind).await;
        }
        let figures = measure::all(args).await?;
        tell(&figures, &Kind::ALL, &figures::bars(&figures), args.json.as_deref())
    })
}
