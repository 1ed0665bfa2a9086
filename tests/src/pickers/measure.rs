//! The rounds: both pickers in turn on the same work, again and again.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::Context as _;

use super::{
    Args, Load,
    chats::Chats,
    figures::{Figures, What},
    load::{self, CHUNKS, Connection, STREAMS},
    picker::{Kind, Picker},
};
use crate::proxy::{engine::Engines, figures::percentile, measure::progress};

const SMALL: usize = 1024;
const LARGE: usize = 400 * 1024;
/// The largest body that is measured.
const BODY: usize = 20 * 1024 * 1024;
const SMALL_COUNT: u64 = 20_000;
const LARGE_COUNT: u64 = 500;
/// 500 requests a second, for four seconds.
const BEAT: Duration = Duration::from_millis(2);
const PACED_COUNT: u64 = 2_000;
/// How often all streams are opened.
const STREAM_RUNS: u64 = 5;

/// Replicas to choose from. Nobody sends them requests: the router reads their metrics.
const REPLICAS: usize = 2;

/// Everything.
pub(super) async fn all(args: &Args) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let engines = Engines::start(REPLICAS).await?;
    let mut pickers = Vec::new();
    for kind in Kind::ALL {
        pickers.push(Picker::start(kind, args, &engines.addresses).await?);
    }
    let steps = [Load::Small, Load::Large, Load::Paced, Load::Chunks];
    let bar = progress("pickers", args.rounds as usize * pickers.len() * (steps.len() + 1));
    for _ in 0..args.rounds {
        // Nobody always follows the same neighbour.
        pickers.rotate_left(1);
        for step in steps {
            for picker in &pickers {
                let what = format!("{}, {step:?}", picker.kind);
                bar.set_message(what.clone());
                measure(picker, step, &mut figures).await.context(what)?;
                bar.inc(1);
            }
        }
        for picker in &pickers {
            bar.set_message(format!("{}, one large body", picker.kind));
            figures.add(What::Body, picker.kind, grown(picker.kind, args, &engines).await?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(figures)
}

/// Loads one picker for a while, so that it can be profiled.
pub(super) async fn only(args: &Args, kind: Kind) -> anyhow::Result<()> {
    let engines = Engines::start(REPLICAS).await?;
    let picker = Picker::start(kind, args, &engines.addresses).await?;
    let (began, mut figures) = (Instant::now(), Figures::default());
    while began.elapsed().as_secs() < args.seconds {
        measure(&picker, args.load, &mut figures).await?;
    }
    print!("{}", figures.table(&[kind]));
    println!("RSS {:.1} MB", picker.resident_mb());
    Ok(())
}

async fn measure(picker: &Picker, load: Load, figures: &mut Figures) -> anyhow::Result<()> {
    let address = picker.address;
    let small = Rc::new(Chats::new(SMALL));
    match load {
        Load::Small => {
            // Buffers and caches are there when it counts.
            load::closed(address, &small, SMALL_COUNT / 10).await?;
            let cost = cost(picker, SMALL_COUNT, load::closed(address, &small, SMALL_COUNT)).await?;
            figures.add(What::Small, picker.kind, cost);
        }
        Load::Large => {
            let large = Rc::new(Chats::new(LARGE));
            load::closed(address, &large, LARGE_COUNT / 10).await?;
            let cost = cost(picker, LARGE_COUNT, load::closed(address, &large, LARGE_COUNT)).await?;
            figures.add(What::Large, picker.kind, cost);
        }
        Load::Paced => {
            let times = load::paced(address, &small, PACED_COUNT, BEAT).await?;
            for percent in [50, 95, 99] {
                figures.add(What::Decided(percent), picker.kind, percentile(&times, percent));
            }
        }
        Load::Chunks => {
            load::streams(address, &small).await?;
            let chunks = STREAM_RUNS * (STREAMS * CHUNKS) as u64;
            let runs = async {
                for _ in 0..STREAM_RUNS {
                    load::streams(address, &small).await?;
                }
                Ok(())
            };
            let cost = cost(picker, chunks, runs).await?;
            figures.add(What::Chunk, picker.kind, cost);
        }
    }
    Ok(())
}

/// The picker's CPU microseconds for each of `count` while `work` is done.
async fn cost(
    picker: &Picker,
    count: u64,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<f64> {
    let before = picker.cpu_seconds();
    work.await?;
    let spent = picker.cpu_seconds() - before;
    anyhow::ensure!(spent > 0.0, "no CPU time is counted: has it ended?");
    Ok(spent / count as f64 * 1e6)
}

/// MB at most above what there was, while one large body passes. A picker of its own: what one had once, it keeps.
async fn grown(kind: Kind, args: &Args, engines: &Engines) -> anyhow::Result<f64> {
    let picker = Picker::start(kind, args, &engines.addresses).await?;
    let (before, body) = (picker.resident_mb(), Chats::alike(BODY).next());
    Connection::open(picker.address).await?.request(&body).await?;
    Ok(picker.peak_mb() - before)
}
