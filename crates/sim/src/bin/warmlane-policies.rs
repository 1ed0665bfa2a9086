//! `warmlane-policies`: compares routing policies on simulated clusters and prints one table per workload.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use warmlane_sim::cluster::{Bar, Comparison, Figure, Interval, Policy, Scenario, Trial, judge};

/// Compare routing policies on simulated clusters, in virtual time.
///
/// Every policy gets the same requests. Figures are means over seeds, ± half of the 95 % interval; in brackets the
/// paired difference to least request.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Workloads to run [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// Seeds per policy
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Write the promises and what was found to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Cut the load to the demo's size, with readings as old as they are there
    #[arg(long)]
    demo: bool,
    /// Only the policies that promises are about
    #[arg(long)]
    brief: bool,
}

/// Kinds of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Independent prompts, five A10
    Random,
    /// Sessions under long shared system prompts, five A10
    Prefix,
    /// A base model and eight adapters, five A10
    Lora,
    /// Independent prompts, three A10 and two L20
    Mixed,
}

fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let workloads = if flags.workload.is_empty() { Workload::value_variants() } else { &flags.workload };
    let mut bars = Vec::new();
    for workload in workloads {
        let scenario = workload.scenario();
        let trial = try_out(if flags.demo { scenario.demo() } else { scenario }, &flags)?;
        println!("{}", table(&trial));
        let found = judge(&trial);
        println!("{}", verdicts(&found));
        bars.extend(found);
    }
    if let Some(file) = &flags.json {
        let json = serde_json::to_string_pretty(&serde_json::json!({ "bars": bars }))?;
        std::fs::write(file, json + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn try_out(scenario: Scenario, flags: &Flags) -> anyhow::Result<Trial> {
    let aware = Policy::Strategy(scenario.strategy);
    let [random, _, least_request, ..] = Policy::ALL;
    let policies = if flags.brief { vec![random, least_request, aware] } else { Policy::ALL.to_vec() };
    let (name, runs) = (scenario.name, policies.len() * flags.seeds as usize);
    let (done, out) = (AtomicUsize::new(0), std::io::stderr());
    let terminal = out.is_terminal();
    let tell = || {
        if !terminal {
            return;
        }
        let line = format!("\r{name}: {} of {runs} runs", done.fetch_add(1, Relaxed) + 1);
        let _ = out.lock().write_all(line.as_bytes());
    };
    let trial = Trial::run(scenario, &policies, flags.seeds, &tell);
    if terminal {
        writeln!(out.lock())?;
    }
    Ok(trial)
}

fn table(trial: &Trial) -> String {
    let base = trial.of(Policy::ALL[2]).unwrap_or_default();
    let mut text = format!("{} ({} prompts)\n{:<22}", trial.scenario.name, trial.scenario.prompts, "");
    for (policy, _) in &trial.results {
        text += &format!("{:>25}", policy.name());
    }
    for figure in &Figure::ALL {
        text += &format!("\n{:<22}", figure.name);
        for (policy, summaries) in &trial.results {
            let values: Vec<f64> = summaries.iter().map(figure.of).collect();
            let mut cell = plus_minus(Interval::of(&values), 1.0, figure.digits);
            if *policy != Policy::ALL[2] {
                let to = Comparison::new(figure, summaries, base).relative;
                cell += &format!(" [{:+.0}%]", 100.0 * to.mean);
            }
            text += &format!("{cell:>25}");
        }
    }
    let sum = |of: fn(&warmlane_sim::cluster::Summary) -> u64| -> String {
        trial.results.iter().map(|(_, all)| format!("{:>25}", all.iter().map(of).sum::<u64>())).collect()
    };
    text + &format!(
        "\n{:<22}{}\n{:<22}{}",
        "preemptions",
        sum(|s| s.preemptions),
        "errors",
        sum(|s| s.errors)
    )
}

fn plus_minus(interval: Interval, scale: f64, digits: usize) -> String {
    let mean = format!("{:.digits$}", interval.mean * scale);
    interval.half.map_or(mean.clone(), |half| format!("{mean} ± {:.digits$}", half * scale))
}

fn verdicts(bars: &[Bar]) -> String {
    let line = |bar: &Bar| {
        let holds = if bar.holds { "yes" } else { "NO" };
        format!("  {:<62} {:>8.1} < {:>4.1}  {holds}\n", bar.what, bar.value, bar.limit)
    };
    bars.iter().map(line).collect()
}

// === Workload ===

impl Workload {
    fn scenario(self) -> Scenario {
        match self {
            Self::Random => Scenario::random(),
            Self::Prefix => Scenario::prefix(),
            Self::Lora => Scenario::lora(),
            Self::Mixed => Scenario::mixed(),
        }
    }
}
