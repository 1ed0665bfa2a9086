//! What `cargo xtask bench proxy` measures: the cost of a proxied request through this router, nginx, haproxy and
//! sglang-router, on the same work, in one run.
//!
//! One core for the proxy under test, one for engines and load together. Engines answer at once and do nothing else, so
//! that what is measured is the proxy. Runs are interleaved, and of each figure the lowest of all rounds counts: what
//! disturbs a run only adds to it. CPU is read from the scheduler's own nanosecond counters.

pub(crate) mod bars;
pub(crate) mod contender;
pub(crate) mod cost;
pub(crate) mod engine;
pub(crate) mod figures;
mod load;
pub(crate) mod measure;
pub(crate) mod process;
pub(crate) mod prompts;
pub(crate) mod running;
pub(crate) mod stream;

use std::{
    fmt::Display,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use bars::Bar;
pub use contender::Kind;
use figures::Figures;
pub use prompts::Size;

/// Measures proxies beside each other.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask bench proxy --")]
pub struct Args {
    /// The router, built with profile `dist`
    #[arg(long, value_name = "FILE")]
    router: PathBuf,
    /// nginx; left out: not measured
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// haproxy; left out: not measured
    #[arg(long, value_name = "FILE")]
    haproxy: Option<PathBuf>,
    /// The Python with sglang-router installed; left out: not measured
    #[arg(long, value_name = "FILE")]
    sglang: Option<PathBuf>,
    /// Interleaved rounds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Measure these only, this router in any case; the others' figures are then missing
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PROXY,...")]
    beside: Option<Vec<Kind>>,
    /// Without the million prompts, which take the longest
    #[arg(long)]
    quick: bool,
    /// Where figures and bars go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only load this one, for as many seconds as --seconds says: something to profile
    #[arg(long, value_enum, value_name = "PROXY")]
    only: Option<Kind>,
    /// What --only sends
    #[arg(long, value_enum, default_value_t = Size::Small)]
    size: Size,
    /// With --only, streams instead of requests
    #[arg(long)]
    streams: bool,
    /// With --only, how many endpoints
    #[arg(long, default_value_t = 8)]
    endpoints: usize,
    /// How long --only loads
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

impl Args {
    fn takes_part(&self, kind: Kind) -> bool {
        kind == Kind::Warmlane || self.beside.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }
}

/// Measures, prints and saves.
///
/// # Errors
/// When a proxy cannot be started or answers wrongly; the message says which.
pub fn run(args: &Args) -> anyhow::Result<()> {
    on_last_core(async {
        if let Some(kind) = args.only {
            return measure::only(args, kind).await;
        }
        let figures = measure::all(args).await?;
        tell(&figures, &Kind::ALL, &bars::of(&figures), args.json.as_deref())
    })
}

/// Does the work on the last core, with engines and load. Children move to the first one.
pub(crate) fn on_last_core(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    cost::pin_self().context("cannot choose a core to run on")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

/// Prints the table, and saves figures and bars where that is asked for.
pub(crate) fn tell<W: Copy + Display + Ord, K: Copy + Display + Ord>(
    figures: &Figures<W, K>,
    kinds: &[K],
    bars: &[Bar],
    json: Option<&Path>,
) -> anyhow::Result<()> {
    print!("{}", figures.table(kinds));
    save(figures, bars, json)
}

/// Saves figures and bars where that is asked for.
pub(crate) fn save<W: Display, K: Display>(
    figures: &Figures<W, K>,
    bars: &[Bar],
    json: Option<&Path>,
) -> anyhow::Result<()> {
    if let Some(file) = json {
        let report = serde_json::json!({ "bars": bars, "figures": figures });
        std::fs::write(file, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
