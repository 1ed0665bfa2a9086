//! What `cargo xtask bench watch` measures: how soon a router knows what changed in a cluster, what that costs it, and what it
//! costs to do nothing but read a number of replicas.
//!
//! The router is a process on the first core. The API server, which churns, and the engines are tasks of this program on the
//! last, so that the CPU that is counted is the router's. Each figure is taken twice: with engines that answer, so that
//! everybody who is ready in the cluster is so for the router, and with nobody at the pods' addresses.

mod figures;
mod fleet;
mod seat;
mod watching;

use std::path::PathBuf;

use figures::{Engines, Figures};

use crate::proxy::{measure::progress, on_last_core, tell};

/// Measures a router that watches a cluster.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask bench watch --")]
pub struct Args {
    /// The router, built with profile `dist`
    #[arg(long, value_name = "FILE")]
    router: PathBuf,
    /// How often everything is measured
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Where figures and bars go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only have the cluster churn for as many seconds: something to profile
    #[arg(long, value_name = "SECONDS")]
    only: Option<u64>,
    /// With --only: who is behind the pods' addresses
    #[arg(long, value_enum, default_value_t = Engines::Answer)]
    engines: Engines,
}

/// Measures, prints and saves.
///
/// # Errors
/// When the router cannot be started or never knows what the cluster has; the message says what it knew.
pub fn run(args: &Args) -> anyhow::Result<()> {
    on_last_core(async {
        let mut figures = Figures::default();
        if let Some(seconds) = args.only {
            return watching::only(args, seconds).await;
        }
        let bar = progress("clusters", args.rounds as usize * 2);
        for _ in 0..args.rounds {
            for engines in Engines::ALL {
                bar.set_message(engines.to_string());
                watching::measure(args, engines, &mut figures).await?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        tell(&figures, &Engines::ALL, &figures::bars(&figures), args.json.as_deref())
    })
}
