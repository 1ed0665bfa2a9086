//! What `cargo xtask bench lane` measures: streams of a pod on this node by the kernel lane, beside the same router
//! that copies them, on the same work, in one run.
//!
//! One core for the router, one for pod and clients together, as in `bench proxy`. What the lane does is done in the
//! pod's calls, so the router's own CPU says little: what counts is the sum of router, pod, clients and the kernel's
//! workers. All are read from the scheduler's nanosecond counters; what interrupts and packets cost is in them, charged to whom it
//! interrupted, but for what finds a core idle. Rounds are interleaved, and the median counts.

mod bulk;
mod figures;
mod memory;
mod paced;
mod plot;
mod pod;
mod router;
mod short;
mod spent;
mod window;

use std::{future::pending, net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::proxy::{on_last_core, save};
use figures::Figures;
pub use pod::Place;
pub use router::Kind;

/// Measures the kernel lane beside the copy.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask bench lane --", args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    role: Option<Role>,
    /// The router, built with profile `dist`
    #[arg(long, value_name = "FILE", required = true)]
    router: Option<PathBuf>,
    /// Its kernel programs
    #[arg(long, value_name = "FILE", required = true)]
    object: Option<PathBuf>,
    /// nginx; left out: not measured
    #[arg(long, value_name = "FILE")]
    nginx: Option<PathBuf>,
    /// A Python with uvloop; left out: pods in Python are not measured
    #[arg(long, value_name = "FILE")]
    uvloop: Option<PathBuf>,
    /// Interleaved rounds
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=50))]
    rounds: u32,
    /// Measure these parts only; the others' bars are then missing
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,...")]
    part: Vec<Part>,
    /// How many clients do not read: few, whose buffers fill up, and many, for whom a machine may not have as much TCP
    /// memory as its limit lets it take
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1_000], value_name = "CLIENTS,...")]
    unread: Vec<usize>,
    /// Where figures and bars go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the plot goes
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Only load this one with paced streams, for as many seconds as --seconds says: something to profile
    #[arg(long, value_enum, value_name = "CONTENDER")]
    only: Option<Kind>,
    /// How many streams --only has
    #[arg(long, default_value_t = 200)]
    streams: usize,
    /// Where --only has its pod
    #[arg(long, value_enum, default_value_t = Place::Loopback)]
    place: Place,
    /// How long --only loads
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

/// What a process of this program is, if not the one that measures.
#[derive(Debug, clap::Subcommand)]
enum Role {
    /// An engine that waits for edges, with streams that never end
    #[command(hide = true)]
    Edge {
        /// Where it listens
        address: SocketAddr,
        /// How many streams it waits for before it sends any
        streams: usize,
    },
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Streams with a token each 20 ms
    Paced,
    /// Streams of few tokens
    Short,
    /// Streams as fast as they are taken
    Bulk,
    /// Clients that do not read
    Memory,
}

/// Descriptors for a thousand clients, and as many connections on each side of what they are connected to.
const DESCRIPTORS: u64 = 8_192;

// === Args ===

impl Args {
    fn measures(&self, part: Part) -> bool {
        self.part.is_empty() || self.part.contains(&part)
    }
}

/// Measures, prints and saves.
///
/// # Errors
/// When a router or a pod cannot be started or does not do what is measured; the message says which.
pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(Role::Edge { address, streams }) = args.role {
        return memory::edge::serve(address, streams);
    }
    anyhow::ensure!(geteuid().is_root(), "the kernel lane needs root: run cargo xtask bench lane as root");
    allow_descriptors()?;
    on_last_core(async {
        // An error, so that namespaces and processes go with their owners.
        tokio::select! {
            done = measure(args) => done,
            () = asked_to_end() => anyhow::bail!("interrupted"),
        }
    })
}

async fn measure(args: &Args) -> anyhow::Result<()> {
    if let Some(kind) = args.only {
        return paced::only(args, kind).await;
    }
    let mut figures = Figures::default();
    if args.measures(Part::Paced) {
        paced::all(args, &mut figures).await?;
    }
    if args.measures(Part::Short) {
        short::all(args, &mut figures).await?;
    }
    if args.measures(Part::Bulk) {
        bulk::all(args, &mut figures).await?;
    }
    if args.measures(Part::Memory) {
        memory::all(args, &mut figures).await?;
    }
    print!("{}", figures.table_of_medians(&Kind::ALL));
    if let Some(file) = &args.plot {
        plot::save(file, &figures)?;
    }
    save(&figures, &figures::bars(&figures), args.json.as_deref())
}

async fn asked_to_end() {
    let signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else { return pending().await };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}

fn allow_descriptors() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < DESCRIPTORS) {
        let maximum = limit.maximum.map(|maximum| maximum.max(DESCRIPTORS));
        let wanted = Rlimit { current: Some(DESCRIPTORS), maximum };
        setrlimit(Resource::Nofile, wanted).context("cannot allow as many descriptors as are needed")?;
    }
    Ok(())
}
