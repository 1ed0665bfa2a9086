//! `cargo xtask fuzz`: runs the fuzz targets for a while, two at a time.
//!
//! They live in `tests/fuzz`, a workspace of its own, and are built by cargo-fuzz with the pinned stable compiler, which
//! takes the coverage flags of a nightly one for this. No sanitizer: the code under test has no `unsafe`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use crate::progress::Progress;
use crate::{interrupt, setup, step, workspace};

/// Run the fuzz targets for a while
///
/// Targets read what comes from outside: request_head, response_head, chunks, body, metrics, config,
/// kv_events, wire.
/// Each runs for --seconds, two at a time; what they find grows their corpus below target/fuzz. A
/// crash fails, and names the input and the command that runs it again.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which ones; all without a name
    targets: Vec<String>,
    /// How long each runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

/// All targets, as tests/fuzz/Cargo.toml names them.
const TARGETS: [&str; 8] =
    ["request_head", "response_head", "chunks", "body", "metrics", "config", "kv_events", "wire"];

/// Together they keep two cores busy.
const AT_ONCE: usize = 2;

/// How often running targets are looked at.
const GLANCE: Duration = Duration::from_millis(200);

/// A target that runs.
struct Run {
    target: String,
    program: PathBuf,
    log: PathBuf,
    child: step::Owned,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let unknown = args.targets.iter().find(|name| !TARGETS.contains(&name.as_str()));
    if let Some(name) = unknown {
        anyhow::bail!("no fuzz target is called {name:?}; there are {}", TARGETS.join(", "));
    }
    let all = TARGETS.map(str::to_owned);
    let targets = if args.targets.is_empty() { &all[..] } else { &args.targets[..] };
    run_for(targets, args.seconds)
}

/// What CI runs.
pub(crate) fn for_a_minute() -> anyhow::Result<()> {
    run_for(&TARGETS.map(str::to_owned), 60)
}

fn run_for(targets: &[String], seconds: u64) -> anyhow::Result<()> {
    let binaries = build()?;
    for pair in targets.chunks(AT_ONCE) {
        let mut progress = Progress::start(&format!("fuzz {}", pair.join(" and ")));
        let runs = pair.iter().map(|target| Run::start(&binaries, target, seconds));
        let mut runs = runs.collect::<anyhow::Result<Vec<Run>>>()?;
        while !runs.iter_mut().try_fold(true, |all, run| Ok::<_, anyhow::Error>(all & run.has_ended()?))? {
            interrupt::checkpoint()?;
            progress.tick(String::new);
            std::thread::sleep(GLANCE);
        }
        let told = runs.iter_mut().map(Run::result).collect::<anyhow::Result<Vec<String>>>()?;
        progress.finish("done");
        told.iter().for_each(|line| println!("         {line}"));
    }
    Ok(())
}

/// Builds all targets; the folder where they lie.
fn build() -> anyhow::Result<PathBuf> {
    let tool = setup::cargo_fuzz()?;
    let mut progress = Progress::start("build fuzz targets");
    let mut command = Command::new(tool);
    command.current_dir(workspace::root().join("tests")).env("RUSTC_BOOTSTRAP", "1");
    command.args(["build", "--release", "--sanitizer", "none", "--fuzz-dir", "fuzz", "--target-dir"]);
    step::quiet(&mut progress, &step::log_file("fuzz build"), command.arg(folder()))?;
    progress.finish("done");
    let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    Ok(folder().join(host).join("release"))
}

fn folder() -> PathBuf {
    workspace::target().join("fuzz")
}

// === Run ===

impl Run {
    fn start(binaries: &Path, target: &str, seconds: u64) -> anyhow::Result<Self> {
        let corpus = folder().join("corpus").join(target);
        let crashes = folder().join("crashes").join(target);
        for dir in [&corpus, &crashes] {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        let (program, log) = (binaries.join(target), folder().join(format!("{target}.log")));
        let out = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&program);
        // The same dice each time: what CI finds, a person finds too.
        command
            .arg("-seed=1")
            .arg(format!("-max_total_time={seconds}"))
            .arg("-max_len=4096")
            .arg("-print_final_stats=1");
        command.arg(format!("-artifact_prefix={}/", crashes.display()));
        command.arg(&corpus).arg(workspace::root().join("tests/fuzz/seeds").join(target));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { target: target.to_owned(), program, log, child: step::Owned(child) })
    }

    fn has_ended(&mut self) -> anyhow::Result<bool> {
        Ok(self.child.0.try_wait()?.is_some())
    }

    /// What it came to.
    fn result(&mut self) -> anyhow::Result<String> {
        let (target, program) = (&self.target, self.program.display());
        let said = std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())?;
        if let Some(input) = said.lines().find_map(|line| line.split("Test unit written to ").nth(1)) {
            let why = said.lines().filter(|line| line.contains("panicked") || line.contains("ERROR"));
            let why: Vec<&str> = why.collect();
            anyhow::bail!("{target} fails on {input}: {}\nagain: {program} {input}", why.join(" "));
        }
        let status = self.child.0.wait()?;
        anyhow::ensure!(status.success(), "{target} failed ({status}); see {}", self.log.display());
        Ok(format!("{target}: {}", figures(&said)))
    }
}

/// Executions and coverage, from the lines that libFuzzer ends with.
fn figures(said: &str) -> String {
    let number = |name: &str| {
        let line = said.lines().rev().find_map(|line| line.split(name).nth(1))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let (runs, covered) = (number("stat::number_of_executed_units:"), number(" cov: "));
    format!("{} runs, {} edges", runs.unwrap_or(0), covered.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_off_the_last_lines() {
        let said = "#2 INITED cov: 10 ft: 11\n#900 NEW    cov: 321 ft: 400 corp: 9\nstat::number_of_executed_units: 12345\n";
        assert_eq!(figures(said), "12345 runs, 321 edges");
    }

    #[test]
    fn the_manifest_names_the_same_targets() {
        let manifest = include_str!("../../tests/fuzz/Cargo.toml");
        let named = manifest.matches("[[bin]]").count();
        assert_eq!(named, TARGETS.len());
        assert!(TARGETS.iter().all(|target| manifest.contains(&format!("name = \"{target}\""))));
    }
}
