//! What `cargo xtask bench agent` measures: how old what a router knows is, what reading engines costs a node, that engines
//! are not asked more often by more routers, what a thousand endpoints cost the router that is told of them, and what KV events
//! cost both.
//!
//! Agent and router are processes on the first core; engines, further routers and, where a thousand endpoints are told,
//! the agents are tasks on the last. CPU is read from the scheduler's own nanosecond counters.

pub(crate) mod engines;
mod figures;
mod freshness;
mod merging;
pub(crate) mod programs;
mod storing;

use std::path::PathBuf;

use figures::{Figures, Node};

use crate::proxy::{measure::progress, on_last_core, tell};

/// Measures agents and the routers that follow them.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask bench agent --")]
pub struct Args {
    /// The router, built with profile `dist`
    #[arg(long, value_name = "FILE")]
    router: PathBuf,
    /// The agent, built with profile `dist`
    #[arg(long, value_name = "FILE")]
    agent: PathBuf,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Where figures and bars go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures, prints and saves.
///
/// # Errors
/// When a program cannot be started or says something unexpected; the message says which.
pub fn run(args: &Args) -> anyhow::Result<()> {
    on_last_core(async {
        let mut figures = Figures::default();
        let bar = progress("nodes", args.rounds as usize * 3);
        for _ in 0..args.rounds {
            bar.set_message("one node of eight engines");
            freshness::measure(args, &mut figures).await?;
            bar.inc(1);
            bar.set_message("a thousand endpoints");
            merging::measure(args, &mut figures).await?;
            bar.inc(1);
            bar.set_message("800,000 KV blocks");
            storing::measure(args, &mut figures).await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        tell(&figures, &[Node], &figures::bars(&figures), args.json.as_deref())
    })
}
