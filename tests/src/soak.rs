//! What `cargo xtask soak` runs: mixed load through a router while its replicas misbehave, die and come back.
//!
//! The router is a process of its own, so that its memory and descriptors can be watched; replicas are simulated engines
//! in this process. At the end nothing may have been lost: no request that another replica could have served, no count, no
//! descriptor, no memory.

mod churn;
mod client;
mod load;
mod plot;
mod samples;
mod verdict;

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use warmlane_router::config::LaneMode;
use warmlane_xtask::{interrupt, step, workspace};

use churn::Replicas;
use load::Tally;
use samples::{Samples, Watched};

/// Loads a router whose replicas fail, for as long as you like.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask soak")]
pub struct Args {
    /// How long
    #[arg(long, default_value_t = 2.0, value_parser = minutes)]
    minutes: f64,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the plot goes [default: target/soak/soak.svg]
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Which responses may take the router's kernel lane (needs root; builds the kernel programs)
    #[arg(long, value_name = "off|pinned|all", default_value = "off")]
    lane: LaneMode,
    /// Seed of load, faults and deaths
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn minutes(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if (0.25..=1e5).contains(&value) {
        Ok(value)
    } else {
        Err("must be a quarter of a minute or more".into())
    }
}

/// Replicas; two of them always behave, so that every request has somewhere to go.
const REPLICAS: usize = 4;

/// How long requests may take, so that hanging replicas show within a run.
const REQUEST_LIMIT: Duration = Duration::from_secs(6);

/// A running router.
struct Router {
    watched: Watched,
    child: step::Owned,
    log: PathBuf,
}

/// Runs the soak.
///
/// # Errors
/// When something was lost, or a program could not be started; the message says which.
pub fn run(args: &Args) -> anyhow::Result<()> {
    interrupt::watch()?;
    let folder = workspace::target().join("soak");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut replicas = Replicas::start(REPLICAS, args.seed)?;
    let mut router = Router::start(&replicas, args.lane, folder.join("router.log"))?;
    let (tally, stop) = (Tally::default(), AtomicBool::new(false));
    let mut samples = Samples::new();
    println!("  {REPLICAS} simulated replicas, seed {}; two of them always behave", args.seed);
    std::thread::scope(|scope| {
        for number in 0..load::CLIENTS {
            let (tally, stop, addresses) = (&tally, &stop, router.watched.addresses);
            scope.spawn(move || load::run(addresses, args.seed * 1_000 + number as u64, tally, stop));
        }
        let outcome = watch(args, &mut replicas, &mut router, &tally, &mut samples);
        stop.store(true, SeqCst);
        outcome
    })?;
    replicas.behave();
    let verdict = verdict::of(&samples, &tally, &router, args.lane)?;
    print!("{}", verdict.table(&tally, &replicas));
    let svg = args.svg.clone().unwrap_or_else(|| folder.join("soak.svg"));
    plot::save(&svg, &samples)?;
    println!("plot of memory, descriptors and requests: {}", svg.display());
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_string_pretty(&verdict.json(&tally))? + "\n")
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    verdict.check()
}

/// Samples, and lets replicas misbehave, until the time is over.
fn watch(
    args: &Args,
    replicas: &mut Replicas,
    router: &mut Router,
    tally: &Tally,
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let (began, length) = (Instant::now(), Duration::from_secs_f64(args.minutes * 60.0));
    let bar = ProgressBar::new(length.as_secs());
    // The template is a constant: a fault in it would show at once.
    if let Ok(style) = ProgressStyle::with_template("  soak {bar:30} {elapsed} of {len} s  {msg}") {
        bar.set_style(style);
    }
    while began.elapsed() < length {
        interrupt::checkpoint()?;
        router.check()?;
        replicas.turn()?;
        samples.take(&router.watched, tally)?;
        bar.set_position(began.elapsed().as_secs());
        bar.set_message(format!("{}; {}", tally.line(), replicas.line()));
        std::thread::sleep(samples::INTERVAL);
    }
    bar.finish_and_clear();
    Ok(())
}

// === Router ===

impl Router {
    fn start(replicas: &Replicas, lane: LaneMode, log: PathBuf) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let program = own.with_file_name("warmlane-router");
        let out = std::fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&program);
        command.args(["--endpoint", &replicas.list(), "--strategy", "PREFIX_CACHE"]);
        command.args(["--plain", "127.0.0.1:0", "--aware", "127.0.0.1:0"]);
        command.args(["--metrics", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(["--timeouts-request", &format!("{}s", REQUEST_LIMIT.as_secs())]);
        command.args([
            "--timeouts-stream-idle",
            "3s",
            "--breaker-rest",
            "1s",
            "--breaker-longest-rest",
            "5s",
        ]);
        command.args(["--lane", &lane.to_string()]);
        command.args(["--thresholds-slow-start", "3s", "--scrape-timeout", "500ms"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(out);
        let mut child =
            step::Owned(command.spawn().with_context(|| format!("cannot start {}", program.display()))?);
        let said = child.0.stdout.take().context("the router's output was not taken")?;
        let addresses = samples::addresses(said)?;
        let watched = Watched { pid: child.0.id(), addresses };
        watched.wait_until_ready(REPLICAS)?;
        anyhow::ensure!(
            lane == LaneMode::Off || watched.metric("warmlane_lane_on") == 1.0,
            "--lane {lane}: it is off; {} says why",
            log.display()
        );
        Ok(Self { watched, child, log })
    }

    fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.0.try_wait()? {
            anyhow::bail!("the router ended ({status}):\n{}", step::tail(&self.log, 20));
        }
        Ok(())
    }
}
