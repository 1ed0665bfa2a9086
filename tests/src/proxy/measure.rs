//! The rounds: every proxy in turn on the same work, again and again.

use std::{
    cell::RefCell,
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Args,
    contender::{Contender, Kind, Traffic},
    engine::Engines,
    figures::{Figures, What, percentile},
    load,
    prompts::{Prompts, Size},
    stream::{self, Pace, Tally},
};

const PATH: &str = "/v1/completions";
/// Connections where throughput counts.
const CONNECTIONS: usize = 16;
/// Endpoints where their number does not.
const ENDPOINTS: usize = 8;
/// Where growth is measured.
const GROWTH: [usize; 2] = [64, 256];
/// Requests at one connection.
const ALONE: u64 = 3_000;
/// Streams at once.
const STREAMS: usize = 200;
/// A token each 5 ms, for three seconds.
const PACE: Pace = Pace { tokens: 600, beat: Duration::from_millis(5), size: 0 };
const MILLION: u64 = 1_000_000;

type Work = Rc<RefCell<Prompts>>;

/// Everything.
pub(super) async fn all(args: &Args) -> anyhow::Result<Figures> {
    let mut figures = Figures::default();
    let engines = Engines::start(ENDPOINTS).await?;
    let mut running = start(args, Traffic::Requests, &engines.addresses).await?;
    requests(args, &mut running, &engines, &mut figures).await?;
    for contender in &running {
        figures.add(What::Resident, contender.kind, contender.resident_mb());
    }
    running.retain(|contender| contender.kind == Kind::Warmlane);
    for contender in running.iter().filter(|_| !args.quick) {
        a_million(contender, &mut figures).await?;
    }
    drop(running);
    streams(args, &engines, &mut figures).await?;
    drop(engines);
    growth(args, &mut figures).await?;
    Ok(figures)
}

/// Loads one proxy for a while, so that it can be profiled.
pub(super) async fn only(args: &Args, kind: Kind) -> anyhow::Result<()> {
    let engines = Engines::start(args.endpoints).await?;
    let program = kind.program(args);
    let program = program.ok_or_else(|| anyhow::anyhow!("give --{} FILE", kind.name()))?;
    let traffic = if args.streams { Traffic::Streams } else { Traffic::Requests };
    let contender = Contender::start(kind, program, traffic, &engines.addresses).await?;
    let work = Rc::new(RefCell::new(Prompts::new(args.size, PATH)));
    let (began, mut done) = (Instant::now(), 0);
    let before = contender.cpu_seconds();
    while began.elapsed().as_secs() < args.seconds {
        done += if args.streams {
            streamed(contender.address).await?.tokens()
        } else {
            load::run(contender.address, args.size, CONNECTIONS, 2_000, &work).await?.len() as u64
        };
    }
    let (spent, wall) = (contender.cpu_seconds() - before, began.elapsed().as_secs_f64());
    let unit = if args.streams { "chunks" } else { "requests" };
    println!(
        "{}: {done} {unit} in {wall:.1} s, {:.2} us of CPU each, {:.0} % of a core, RSS {:.1} MB",
        kind.name(),
        spent / done as f64 * 1e6,
        spent / wall * 100.0,
        contender.resident_mb()
    );
    Ok(())
}

/// What was measured of a proxy. One of the others that fails is named and left out, so that its bars do not hold; of
/// this router, a failure ends the run.
fn or_left_out<T>(kind: Kind, measured: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
    match measured {
        Err(error) if kind != Kind::Warmlane => {
            eprintln!("{} is left out here: {error:#}", kind.name());
            Ok(None)
        }
        measured => measured.map(Some),
    }
}

/// All proxies that take part.
async fn start(args: &Args, traffic: Traffic, engines: &[SocketAddr]) -> anyhow::Result<Vec<Contender>> {
    let mut running = Vec::new();
    for kind in Kind::ALL {
        if traffic == Traffic::Streams && kind == Kind::Sglang {
            // No figure of it is asked for.
            continue;
        }
        if let Some(program) = kind.program(args).filter(|_| args.takes_part(kind)) {
            let started = Contender::start(kind, program, traffic, engines).await;
            running.extend(or_left_out(kind, started)?);
        }
    }
    Ok(running)
}

pub(crate) fn progress(what: &str, steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64);
    // The template is a constant: a fault in it would show at once.
    if let Ok(style) = ProgressStyle::with_template("{prefix:26} {bar:30} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.with_prefix(what.to_owned())
}

fn count(kind: Kind, size: Size) -> u64 {
    match (kind, size) {
        (Kind::Sglang, Size::Large) => 1_000,
        (Kind::Sglang, _) => 4_000,
        (_, Size::Large) => 8_000,
        (_, _) => 20_000,
    }
}

async fn requests(
    args: &Args,
    running: &mut [Contender],
    engines: &Engines,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let bar = progress("requests", args.rounds as usize * (running.len() * 4));
    let (mut direct, mut proxied) = ([f64::INFINITY; 2], Vec::new());
    for _ in 0..args.rounds {
        // Nobody always follows the same neighbour, whose caches and connections it finds.
        running.rotate_left(1);
        for size in Size::ALL {
            for contender in running.iter() {
                bar.set_message(format!("{}, {}", contender.kind.name(), size.name()));
                let value = per_10k(contender, size, count(contender.kind, size), engines).await;
                if let Some(value) = or_left_out(contender.kind, value)? {
                    figures.add(What::Request(size), contender.kind, value);
                }
                bar.inc(1);
            }
        }
        let round = alone(engines.addresses[0]).await?;
        direct = [direct[0].min(round[0]), direct[1].min(round[1])];
        for contender in running.iter() {
            bar.set_message(format!("{}, one connection", contender.kind.name()));
            bar.inc(1);
            if let Some(times) = or_left_out(contender.kind, alone(contender.address).await)? {
                proxied.push((contender.kind, times));
            }
        }
    }
    // The lowest of all rounds on both sides: the difference of two that were disturbed says nothing.
    for (kind, times) in proxied {
        figures.add(What::Added(50), kind, times[0] - direct[0]);
        figures.add(What::Added(99), kind, times[1] - direct[1]);
    }
    bar.finish_and_clear();
    Ok(())
}

/// p50 and p99 of requests at one connection.
async fn alone(address: SocketAddr) -> anyhow::Result<[f64; 2]> {
    let work: Work = Rc::new(RefCell::new(Prompts::new(Size::Small, PATH)));
    let times = load::run(address, Size::Small, 1, ALONE, &work).await?;
    Ok([50, 99].map(|percent| percentile(&times, percent)))
}

/// CPU seconds for 10,000 requests. Every one must have reached an engine.
async fn per_10k(contender: &Contender, size: Size, count: u64, engines: &Engines) -> anyhow::Result<f64> {
    per_10k_at(contender.kind.name(), contender.address, || contender.cpu_seconds(), (size, count), engines)
        .await
}

/// The same of whatever answers at an address, whose CPU seconds so far `spent` tells.
pub(crate) async fn per_10k_at(
    name: &str,
    address: SocketAddr,
    spent: impl Fn() -> f64,
    (size, count): (Size, u64),
    engines: &Engines,
) -> anyhow::Result<f64> {
    let work: Work = Rc::new(RefCell::new(Prompts::new(size, PATH)));
    // Connections, buffers and caches are there when it counts.
    load::run(address, size, CONNECTIONS, count / 10, &work).await?;
    let (before, served_before) = (spent(), engines.served.get());
    load::run(address, size, CONNECTIONS, count, &work).await?;
    let spent = spent() - before;
    anyhow::ensure!(spent > 0.0, "no CPU time is counted: has it ended?");
    let reached = engines.served.get() - served_before;
    anyhow::ensure!(reached >= count, "{name} answered {} requests by itself", count - reached);
    Ok(spent / count as f64 * 10_000.0)
}

async fn streams(args: &Args, engines: &Engines, figures: &mut Figures) -> anyhow::Result<()> {
    let mut running = start(args, Traffic::Streams, &engines.addresses).await?;
    let bar = progress("streams", args.rounds as usize * running.len());
    for _ in 0..args.rounds {
        running.rotate_left(1);
        for contender in &running {
            bar.set_message(contender.kind.name());
            bar.inc(1);
            let before = contender.cpu_seconds();
            let streamed = or_left_out(contender.kind, streamed(contender.address).await)?;
            let Some(tally) = streamed else { continue };
            let spent = contender.cpu_seconds() - before;
            figures.add(What::Chunk, contender.kind, spent / tally.tokens() as f64 * 1e6);
            let delays = tally.take_delays();
            for percent in [50, 99] {
                let delay = percentile(&delays, percent);
                figures.add(What::ChunkDelay(percent), contender.kind, delay);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

pub(crate) async fn streamed(address: SocketAddr) -> anyhow::Result<Rc<Tally>> {
    let tally = Rc::default();
    stream::run(address, PACE, STREAMS, &tally).await?;
    Ok(tally)
}

/// Few and many endpoints in the same rounds: what is asked is how one grows into the other.
async fn growth(args: &Args, figures: &mut Figures) -> anyhow::Result<()> {
    let mut pools = Vec::new();
    for count in GROWTH {
        let engines = Engines::start(count).await?;
        let running = start(args, Traffic::Requests, &engines.addresses).await?;
        pools.push((count, engines, running));
    }
    let steps = pools.iter().map(|(_, _, running)| running.len()).sum::<usize>();
    let bar = progress("64 and 256 endpoints", args.rounds as usize * steps);
    for _ in 0..args.rounds {
        for (endpoints, engines, running) in &mut pools {
            running.rotate_left(1);
            for contender in running.iter() {
                bar.set_message(contender.kind.name());
                let requests = count(contender.kind, Size::Small);
                let value = per_10k(contender, Size::Small, requests, engines).await;
                if let Some(value) = or_left_out(contender.kind, value)? {
                    figures.add(What::Endpoints(*endpoints), contender.kind, value);
                }
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(())
}

async fn a_million(contender: &Contender, figures: &mut Figures) -> anyhow::Result<()> {
    const STEPS: u64 = 20;
    let work: Work = Rc::new(RefCell::new(Prompts::new(Size::Small, PATH)));
    let bar = progress("a million prompts", STEPS as usize);
    for _ in 0..STEPS {
        load::run(contender.address, Size::Small, CONNECTIONS, MILLION / STEPS, &work).await?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    figures.add(What::ResidentAfterMillion, contender.kind, contender.resident_mb());
    Ok(())
}
