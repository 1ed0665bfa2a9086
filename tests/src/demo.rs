//! What `cargo xtask demo` shows: the same requests through three routes to the same replicas, side by side.
//!
//! The routes are the router's plain listener with a random choice (what a Service does), the plain listener with
//! the fewest requests first (what a good proxy can do), and the inference-aware listener. Each begins with fresh
//! replicas, so that no route finds caches that another one filled.
//!
//! Not a benchmark of the router's own cost: the machine must have time to spare, or it is the machine that is
//! measured. A run on a machine that was too busy says so and counts as invalid.

mod bar;
mod cast;
mod cpu;
mod fault;
mod figures;
mod kv;
mod nodes;
mod plan;
mod plot;
mod process;
mod replicas;
mod report;
mod route;
mod stay;

use std::path::PathBuf;

use anyhow::Context as _;

use cast::{Cast, Measured};
use plan::Plan;
use replicas::Replicas;
use route::Route;
use warmlane_router::config::LaneMode;
use warmlane_xtask::{interrupt, workspace};

/// Compares plain and inference-aware routing on simulated or real replicas.
///
/// Starts five simulated vLLM replicas, each on a node of its own with an agent and a simulated GPU, and the router;
/// sends one load through three routes (plain with a random choice, plain with least requests, inference-aware),
/// prints one table, saves a plot of KV cache use, and stays up for your own requests until Ctrl-C. About three minutes
/// on two idle cores, after the build.
///
/// With --fault only the aware route is loaded; what the fault did is printed as it happens, then held against what is
/// expected: an error if it is anything else. It ends by itself after a minute and a half.
#[derive(Debug, clap::Parser)]
#[command(bin_name = "cargo xtask demo")]
pub struct Args {
    /// Exit after the table
    #[arg(long)]
    once: bool,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where the plot goes [default: target/demo/kv.svg]
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// What kind of traffic
    #[arg(long, value_enum, default_value_t = plan::Workload::Random)]
    workload: plan::Workload,
    /// Simulated replicas, or two real vLLM engines on this machine's CPU (installs 6 GB the first time)
    #[arg(long, value_enum, default_value_t = plan::Engines::Sim)]
    engines: plan::Engines,
    /// Let something fail in the middle of the load, and show what becomes of its replica and its requests
    #[arg(long, value_enum, conflicts_with = "seeds")]
    fault: Option<fault::Fault>,
    /// Through a real Envoy, which asks the router where each request should go (installs 40 MB the first time)
    #[arg(long)]
    envoy: bool,
    /// Which responses may take the router's kernel lane (needs root; builds the kernel programs)
    #[arg(long, value_name = "off|pinned|all", default_value = "off")]
    lane: LaneMode,
    /// Seed of the requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Repeat with so many seeds, counted up from --seed, and print each mean with its 95 % interval
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Requests per route; with --fault, a third of them end before it [default: depends on the workload]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    prompts: Option<u32>,
    /// Requests in flight at once [default: depends on the workload]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    concurrency: Option<u32>,
    /// How much faster than real replicas the simulated ones run [default: depends on the workload]
    #[arg(long, value_name = "X", value_parser = positive)]
    scale: Option<f64>,
    /// The router's strategy for the aware route [default: PREFIX_CACHE for `prefix`, else DEFAULT]
    #[arg(long)]
    strategy: Option<String>,
}

/// The programs that the demo starts. They stand beside the one that runs it, built alike.
#[derive(Debug)]
struct Binaries {
    router: PathBuf,
    sim: PathBuf,
    agent: PathBuf,
    fake_nvml: PathBuf,
}

impl Binaries {
    fn find() -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot tell where this program is")?;
        let beside = |name: &str| {
            let path = own.with_file_name(name);
            anyhow::ensure!(path.exists(), "{} is not built: run `cargo xtask demo`", path.display());
            Ok(path)
        };
        Ok(Self {
            router: beside("warmlane-router")?,
            sim: beside("warmlane-sim")?,
            agent: beside("warmlane-agent")?,
            fake_nvml: beside("libwarmlane_fake_nvml.so")?,
        })
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err("must be more than zero".into()) }
}

/// Runs the demo.
///
/// # Errors
/// What failed, with the last words of the program that did.
pub fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(
        args.fault.is_none() || args.engines == plan::Engines::Sim,
        "--fault needs simulated replicas, whose GPUs can be made to fail: leave --engines real out"
    );
    let plan = Plan::new(args);
    let binaries = Binaries::find()?;
    interrupt::watch()?;
    print!("{}", plan.describe());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(show(args, &plan, &binaries))
}

async fn show(args: &Args, plan: &Plan, binaries: &Binaries) -> anyhow::Result<()> {
    let mut replicas = Replicas::start(plan, binaries)?;
    if let Some(fault) = plan.fault {
        return break_one(args, plan, binaries, &mut replicas, fault).await;
    }
    let mut rounds = Vec::new();
    let mut last = None;
    for seed in (args.seed..).take(args.seeds as usize) {
        if args.seeds > 1 {
            println!("seed {seed}");
        }
        let mut round = Vec::new();
        for route in Route::ALL {
            // The router goes before its replicas do, or it would see them fall.
            drop(last.take());
            replicas.renew()?;
            let mut cast = Cast::start(plan, binaries, route, &replicas).await?;
            round.push(cast.measure(plan, &mut replicas, seed, None).await?);
            last = Some(cast);
        }
        rounds.push(round);
    }
    finish(args, plan, &rounds)?;
    match last {
        Some(mut cast) if !args.once => stay::until_interrupt(plan, &mut cast, &mut replicas),
        _ => Ok(()),
    }
}

/// Loads the aware route while one node fails.
async fn break_one(
    args: &Args,
    plan: &Plan,
    binaries: &Binaries,
    replicas: &mut Replicas,
    fault: fault::Fault,
) -> anyhow::Result<()> {
    replicas.renew()?;
    let mut cast = Cast::start(plan, binaries, Route::Aware, replicas).await?;
    let mut incident = cast.incident(plan, fault)?;
    let measured = cast.measure(plan, replicas, args.seed, Some(&mut incident)).await?;
    let findings = incident.findings(measured.figures.requests, measured.figures.errors);
    print!("{}", findings.text());
    if let Some(failure) = &measured.failure {
        println!("the first request that failed: {failure}");
    }
    save_plot(args, plan, std::slice::from_ref(&measured))?;
    save_json(args, &findings.json())?;
    anyhow::ensure!(findings.met(), "the fault did not go as expected; the lines marked FAILED say what");
    Ok(())
}

/// Prints and saves what was measured.
fn finish(args: &Args, plan: &Plan, rounds: &[Vec<Measured>]) -> anyhow::Result<()> {
    let report = report::Report::new(rounds);
    print!("{}", report.text(plan));
    if let Some(first) = rounds.first() {
        save_plot(args, plan, first)?;
    }
    save_json(args, &report.json())
}

fn save_plot(args: &Args, plan: &Plan, measured: &[Measured]) -> anyhow::Result<()> {
    let svg = args.svg.clone().unwrap_or_else(|| workspace::target().join("demo/kv.svg"));
    if let Some(dir) = svg.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    plot::save(&svg, plan, measured)?;
    println!("plot of KV cache use: {}", svg.display());
    Ok(())
}

fn save_json(args: &Args, json: &serde_json::Value) -> anyhow::Result<()> {
    let Some(file) = &args.json else { return Ok(()) };
    let json = serde_json::to_string_pretty(json)?;
    std::fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    println!("figures: {}", file.display());
    Ok(())
}
