//! What `cargo xtask bench observability` measures: what counting and keeping decisions cost a request, by two routers that
//! differ in nothing else, in turns on the same work; and what it takes to watch a router (`watching`).
//!
//! One core for the routers, one for engines and load; CPU is read from the scheduler's own counters. The router that does
//! without is built with the feature `uncounted` and keeps no decisions. Each round compares the two; of their shares the median counts.
//! Two processes of the same program differ by some percent for as long as they live, by which pages their memory is on; so both
//! are replaced every few rounds.

use std::{fmt, net::SocketAddr, path::PathBuf};

use warmlane_xtask::workspace;

use crate::proxy::{
    Size,
    bars::Bar,
    contender::warmlane,
    cost,
    engine::Engines,
    figures::{Figures, Ratio},
    measure::{per_10k_at, progress, streamed},
    on_last_core,
    process::on_proxy_core,
    running::{Running, free_address},
    tell,
};

mod watching;

/// What observing may cost, as a share of the CPU that a request takes without.
const LIMIT: f64 = 1.03;
/// Requests in a round: few, so that both routers meet the same machine, whose own pace changes within seconds.
const REQUESTS: u64 = 4_000;
/// Streams take longer than requests: in one round of so many, an odd number, so that neither router always comes first.
const STREAMS_EVERY: u32 = 9;
const REPLICAS: [usize; 2] = [8, 64];
/// Rounds of two routers, before two others take their place.
const LIFETIME: u32 = 10;

/// Measures what observing costs.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask bench observability --")]
pub struct Args {
    /// The router, built with profile `dist`
    #[arg(long, value_name = "FILE")]
    router: PathBuf,
    /// The same with the feature `uncounted`
    #[arg(long, value_name = "FILE")]
    uncounted: PathBuf,
    /// The CLI, built with profile `dist`
    #[arg(long, value_name = "FILE")]
    cli: PathBuf,
    /// Only what `warmlane top` takes
    #[arg(long)]
    top_only: bool,
    /// Interleaved rounds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Where figures and bars go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Whether a router observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Observed,
    Unobserved,
}

/// What is measured of both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// By the number of replicas.
    Requests(usize),
    Chunks,
    /// By `top`, of a core.
    Watching,
    /// By the router that it watches.
    Telling,
}

/// A router that runs.
struct Observed {
    kind: Kind,
    address: SocketAddr,
    running: Running,
}

/// Measures, prints and saves.
///
/// # Errors
/// When a router cannot be started or answers wrongly.
pub fn run(args: &Args) -> anyhow::Result<()> {
    on_last_core(async {
        let mut figures = Figures::default();
        watching::measure(args, &mut figures).await?;
        if args.top_only {
            return tell(&figures, &Kind::ALL, &[watching::bar(&figures)], args.json.as_deref());
        }
        for replicas in REPLICAS {
            rounds(args, &Engines::start(replicas).await?, &mut figures).await?;
        }
        tell(&figures, &Kind::ALL, &bars(&figures), args.json.as_deref())
    })
}

async fn rounds(args: &Args, engines: &Engines, figures: &mut Figures<What, Kind>) -> anyhow::Result<()> {
    let replicas = engines.addresses.len();
    let bar = progress(&format!("{replicas} replicas"), args.rounds as usize * Kind::ALL.len());
    let (mut kinds, mut routers) = (Kind::ALL, Vec::new());
    for round in 0..args.rounds {
        // Neither always comes first.
        if round % LIFETIME == 0 {
            kinds.reverse();
            routers.clear();
            routers = pair(args, kinds, engines).await?;
        }
        routers.rotate_left(1);
        for router in &routers {
            bar.set_message(router.kind.to_string());
            let value = router.per_10k(engines).await?;
            figures.add(What::Requests(replicas), router.kind, value);
            if replicas == REPLICAS[0] && round % STREAMS_EVERY == 0 {
                let before = router.spent();
                let tokens = streamed(router.address).await?.tokens();
                figures.add(What::Chunks, router.kind, (router.spent() - before) / tokens as f64 * 1e6);
            }
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

/// Both, started in this order, when they have what they need.
async fn pair(args: &Args, kinds: [Kind; 2], engines: &Engines) -> anyhow::Result<Vec<Observed>> {
    let mut routers = Vec::new();
    for kind in kinds {
        routers.push(Observed::start(args, kind, &engines.addresses).await?);
    }
    for router in &routers {
        router.per_10k(engines).await?;
    }
    Ok(routers)
}

fn bars(figures: &Figures<What, Kind>) -> Vec<Bar> {
    let share = |what| -> Option<Ratio> { figures.ratio(what, Kind::Observed, Kind::Unobserved) };
    let bar = |what: What| Bar::ratio(format!("{what}, with / without"), share(what), LIMIT);
    let shares = REPLICAS.map(What::Requests).into_iter().chain([What::Chunks]).map(bar);
    shares.chain([watching::bar(figures)]).collect()
}

// === Observed ===

impl Observed {
    async fn start(args: &Args, kind: Kind, engines: &[SocketAddr]) -> anyhow::Result<Self> {
        let folder = workspace::target().join("bench-observability").join(kind.name());
        std::fs::create_dir_all(&folder)?;
        let address = free_address()?;
        let mut command = on_proxy_core(match kind {
            Kind::Observed => &args.router,
            Kind::Unobserved => &args.uncounted,
        });
        warmlane(&mut command, address, engines);
        command.args(["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        if kind == Kind::Unobserved {
            command.args(["--log-decisions", "0"]);
        }
        let running = Running::start(kind.name(), command, &folder, address).await?;
        Ok(Self { kind, address, running })
    }

    /// CPU seconds for so many requests, in a round of them.
    async fn per_10k(&self, engines: &Engines) -> anyhow::Result<f64> {
        let work = (Size::Small, REQUESTS);
        per_10k_at(self.kind.name(), self.address, || self.spent(), work, engines).await
    }

    fn spent(&self) -> f64 {
        cost::cpu_seconds(self.running.id())
    }
}

// === Kind ===

impl Kind {
    const ALL: [Self; 2] = [Self::Observed, Self::Unobserved];

    const fn name(self) -> &'static str {
        match self {
            Self::Observed => "with",
            Self::Unobserved => "without",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === What ===

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requests(replicas) => write!(f, "CPU s per 10k requests, 1 KB, {replicas} replicas"),
            Self::Chunks => f.write_str("CPU s per million chunks"),
            Self::Watching => f.write_str("CPU of `top`, 1,000 endpoints at 2 Hz, % of a core"),
            Self::Telling => f.write_str("CPU of the router with `top` or without, % of a core"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_more_than_it_may_does_not_hold() {
        let mut figures = Figures::default();
        for (kind, value) in [(Kind::Observed, 1.04), (Kind::Unobserved, 1.0)] {
            figures.add(What::Chunks, kind, value);
        }
        for (kind, value) in [(Kind::Observed, 1.02), (Kind::Unobserved, 1.0)] {
            figures.add(What::Requests(8), kind, value);
        }
        figures.add(What::Watching, Kind::Observed, 5.1);
        let text = serde_json::to_value(bars(&figures)).expect("bars");
        let holds: Vec<bool> =
            text.as_array().expect("a list").iter().map(|bar| bar["holds"] == true).collect();
        assert_eq!(holds, [true, false, false, false], "of 64 replicas nothing was measured: {text}");
    }
}
