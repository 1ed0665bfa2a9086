//! `cargo xtask test`: the check and every suite, stage by stage, with the time of each.
//!
//! Every stage runs, also after one has failed; the end tells which failed and how to run just that one again.
//! The real engines start behind the first stages, as their start is mostly waiting.

mod engines;
mod suites;

use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ValueEnum;

use crate::progress::seconds;
use crate::{check, fuzz, interrupt, kernels, setup, soak};
use engines::Engines;

/// Check and test everything, as CI does
///
///   setup      what `cargo xtask setup` installs
///   check      what `cargo xtask check` runs
///   build      every binary and test
///   unit       tests of the crates, property tests among them
///   doc        examples in the documentation
///   suites     the router against recorded and simulated engines (package warmlane-tests)
///   lane       of the suites, those over HTTP/1.1 and faults again, with the kernel lane on for all (needs root)
///   kernels    the suite of the kernel lane on Linux 6.1, in an emulated machine
///   soak       two minutes of mixed load while replicas misbehave and die
///   fuzz       each fuzz target for a minute, two at a time
///   real-vllm  the router in front of two real vLLM engines; installs them first (6 GB, once)
///
/// All stages run even if one fails. With --fast, for local use, lane, kernels, soak, fuzz and real-vllm are left out,
/// ignored tests (the long ones) stay ignored, and property tests try fewer cases.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Leave out the lane's turn, other kernels, soak, fuzzing, the real engines and the long property runs
    #[arg(long)]
    fast: bool,
    /// Run only this stage (repeat it for several)
    #[arg(long, value_enum, value_name = "STAGE")]
    only: Vec<Stage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stage {
    Setup,
    Check,
    Build,
    Unit,
    Doc,
    Suites,
    Lane,
    Kernels,
    Soak,
    Fuzz,
    RealVllm,
}

/// How one stage went.
struct Outcome {
    stage: Stage,
    passed: bool,
    took: Duration,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let stages = chosen(args);
    let started = Instant::now();
    let mut engines = None;
    if stages.contains(&Stage::RealVllm) {
        // In the foreground, since it may have to install system packages and say so.
        setup::python().context("the real engines need it; without them: cargo xtask test --fast")?;
        engines = Some(Engines::start());
    }
    let mut outcomes = Vec::new();
    for stage in stages {
        interrupt::checkpoint()?;
        println!("== {}", stage.name());
        let begun = Instant::now();
        let result = stage.run(args.fast, &mut engines);
        if let Err(error) = &result {
            eprintln!("{error:#}\n");
        }
        outcomes.push(Outcome { stage, passed: result.is_ok(), took: begun.elapsed() });
    }
    interrupt::checkpoint()?;
    println!("{}", table(&outcomes, started.elapsed()));
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    let again = failed.iter().map(|outcome| format!(" --only {}", outcome.stage.name())).collect::<String>();
    anyhow::ensure!(failed.is_empty(), "run what failed again: cargo xtask test{again}");
    Ok(())
}

/// The stages to run, in their own order whatever the order they were asked for in.
fn chosen(args: &Args) -> Vec<Stage> {
    let wanted = |stage: &Stage| match args.only.as_slice() {
        [] => !(args.fast && stage.is_long()),
        only => only.contains(stage),
    };
    Stage::value_variants().iter().copied().filter(wanted).collect()
}

fn table(outcomes: &[Outcome], total: Duration) -> String {
    let mut lines = vec![format!("\n{:<12} {:<8} {:>10}", "stage", "result", "time")];
    for outcome in outcomes {
        let result = if outcome.passed { "ok" } else { "FAILED" };
        lines.push(format!("{:<12} {result:<8} {:>10}", outcome.stage.name(), seconds(outcome.took)));
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passed).count();
    lines.push(format!("{:<21} {:>10}", "all", seconds(total)));
    lines.push(format!("stages: {passed} passed, {} failed", outcomes.len() - passed));
    lines.join("\n")
}

// === Stage ===

impl Stage {
    fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whether `--fast` leaves it out.
    fn is_long(self) -> bool {
        matches!(self, Self::Lane | Self::Kernels | Self::Soak | Self::Fuzz | Self::RealVllm)
    }

    fn run(self, fast: bool, engines: &mut Option<Engines>) -> anyhow::Result<()> {
        match self {
            Self::Setup => setup::cargo_deny().map(drop),
            Self::Check => check::run(&check::Args {}),
            Self::Build => suites::build(),
            Self::Unit => suites::unit(fast),
            Self::Doc => suites::doc(),
            Self::Suites => suites::simulated(fast),
            Self::Lane => suites::on_the_lane(fast),
            Self::Kernels => kernels::on_the_oldest(),
            Self::Soak => soak::for_two_minutes(),
            Self::Fuzz => fuzz::for_a_minute(),
            Self::RealVllm => {
                let (install, mut fleet) = engines.take().context("no engines were started")?.wait()?;
                suites::real_vllm(&install, &fleet)?;
                fleet.check().context("an engine did not live through its suite")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(fast: bool, only: &[Stage]) -> Args {
        Args { fast, only: only.to_vec() }
    }

    #[test]
    fn everything_runs_by_default_and_fast_leaves_only_what_takes_long_out() {
        assert_eq!(chosen(&args(false, &[])), Stage::value_variants());
        let fast = chosen(&args(true, &[]));
        let long = [Stage::Lane, Stage::Kernels, Stage::Soak, Stage::Fuzz, Stage::RealVllm];
        assert_eq!(fast.len() + long.len(), Stage::value_variants().len());
        assert!(!long.iter().any(|stage| fast.contains(stage)));
    }

    #[test]
    fn stages_asked_for_by_name_run_in_their_own_order() {
        let asked = args(true, &[Stage::RealVllm, Stage::Unit]);
        assert_eq!(chosen(&asked), [Stage::Unit, Stage::RealVllm]);
    }

    #[test]
    fn the_table_counts_what_failed() {
        let outcome = |stage, passed| Outcome { stage, passed, took: Duration::from_millis(1500) };
        let shown =
            table(&[outcome(Stage::Check, true), outcome(Stage::Unit, false)], Duration::from_secs(3));
        assert!(shown.contains("unit         FAILED        1.5 s"), "{shown}");
        assert!(shown.ends_with("stages: 1 passed, 1 failed"), "{shown}");
    }
}
