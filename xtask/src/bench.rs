//! `cargo xtask bench NAME`: runs a benchmark and holds its figures against the limits we promise.
//!
//! Not a place for measuring: benches and simulations in the crates measure; this reads what they found.

mod agent;
mod criterion;
mod ext_proc;
mod lane;
mod measured;
mod observability;
mod pick;
mod policies;
mod proxy;
mod watch;

use std::{borrow::Cow, ffi::OsString, path::PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// Run a benchmark and compare its figures with the promised limits
///
/// Prints a table; --json writes {"bars":[{"what","value","limit","holds"}]}. The exit code is 0
/// even where a limit does not hold, since a busy machine proves nothing; --strict makes it fail.
/// Without a name, the benchmarks are listed.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which one
    name: Option<String>,
    /// Write the figures to this file as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Fail where a limit does not hold
    #[arg(long)]
    strict: bool,
    /// For the measuring program of `agent`, `ext-proc`, `lane`, `observability`, `proxy` and `watch`, after `--`: `cargo xtask bench proxy -- --help` lists them
    #[arg(last = true)]
    options: Vec<OsString>,
}

struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&[OsString]) -> anyhow::Result<Vec<Bar>>,
}

const BENCHES: [Bench; 8] = [
    Bench {
        name: "agent",
        about: "how fresh what a router knows is, and what reading a node costs",
        run: agent::run,
    },
    Bench {
        name: "ext-proc",
        about: "what Envoy's question costs, beside a picker that picks nothing",
        run: ext_proc::run,
    },
    Bench {
        name: "lane",
        about: "what a streamed token costs by the kernel lane, beside the copy",
        run: lane::run,
    },
    Bench {
        name: "observability",
        about: "what counting and keeping decisions costs a request, and what `warmlane top` takes",
        run: observability::run,
    },
    Bench {
        name: "pick",
        about: "one choice among 8, 256 and 1,000 endpoints; reading a 400 KB body",
        run: |_| pick::run(),
    },
    Bench {
        name: "policies",
        about: "aware routing beside random and least request on simulated clusters",
        run: |_| policies::run(),
    },
    Bench {
        name: "proxy",
        about: "the cost of a proxied request beside nginx, haproxy and sglang-router",
        run: proxy::run,
    },
    Bench {
        name: "watch",
        about: "what a router's view of a cluster costs, and how soon it follows: 1,000 pods that come and go",
        run: watch::run,
    },
];

/// One figure and the limit that it is held against; the unit stands in `what`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Bar {
    what: Cow<'static, str>,
    value: f64,
    limit: f64,
    holds: bool,
}

#[derive(Serialize)]
struct Report {
    bars: Vec<Bar>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let Some(name) = &args.name else {
        println!("{}", list());
        return Ok(());
    };
    let bench = BENCHES.iter().find(|bench| bench.name == name);
    let bench = bench.with_context(|| format!("no benchmark is called {name:?}; there are:\n{}", list()))?;
    anyhow::ensure!(
        args.options.is_empty()
            || ["agent", "ext-proc", "lane", "observability", "proxy", "watch"].contains(&bench.name),
        "{} takes no options after `--`",
        bench.name
    );
    let busy = busy(&std::fs::read_to_string("/proc/loadavg").unwrap_or_default());
    let report = Report { bars: (bench.run)(&args.options)? };
    if report.bars.is_empty() {
        return Ok(());
    }
    println!("{}", table(&report.bars));
    if let Some(load) = busy {
        println!("the machine was busy when this began (load {load}): an idle one shows better figures");
    }
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let missed = report.bars.iter().filter(|bar| !bar.holds).count();
    anyhow::ensure!(missed == 0 || !args.strict, "{missed} limit(s) do not hold");
    Ok(())
}

/// The load of the last minute, where it is enough to disturb what is measured.
fn busy(loadavg: &str) -> Option<f64> {
    let load = loadavg.split_whitespace().next()?.parse::<f64>().ok()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    // One bench keeps one core; what others do must fit into what is left.
    (load > cores as f64 / 2.0).then_some(load)
}

fn list() -> String {
    let lines = BENCHES.iter().map(|bench| format!("  {:<12} {}", bench.name, bench.about));
    lines.collect::<Vec<_>>().join("\n")
}

fn table(bars: &[Bar]) -> String {
    let mut lines = vec![format!("\n{:<60} {:>10} {:>10}  {}", "figure", "value", "limit", "holds")];
    for bar in bars {
        let holds = if bar.holds { "yes" } else { "NO" };
        let value = if bar.value.is_nan() { "none".to_owned() } else { format!("{:.2}", bar.value) };
        lines.push(format!("{:<60} {value:>10} {:>10.2}  {holds}", bar.what, bar.limit));
    }
    lines.join("\n")
}

// === Bar ===

impl Bar {
    /// A figure that must stay under its limit.
    fn under(what: &'static str, value: f64, limit: f64) -> Self {
        Self { what: what.into(), value, limit, holds: value < limit }
    }

    /// A figure that must reach its limit.
    fn at_least(what: &'static str, value: f64, limit: f64) -> Self {
        Self { what: what.into(), value, limit, holds: value >= limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_valid_ones() {
        let args = Args { name: Some("pik".to_owned()), json: None, strict: false, options: Vec::new() };
        let said = run(&args).unwrap_err().to_string();
        assert!(said.contains("pik") && said.contains("pick"), "{said}");
    }

    #[test]
    fn options_for_a_bench_that_has_none_are_refused() {
        let options = vec!["--rounds".into()];
        let args = Args { name: Some("pick".to_owned()), json: None, strict: false, options };
        assert!(run(&args).unwrap_err().to_string().contains("no options"));
    }

    #[test]
    fn what_was_not_measured_is_shown_without_a_number() {
        let shown = table(&[Bar::under("us", f64::NAN, 5.0)]);
        assert!(shown.contains("none") && shown.contains("NO"), "{shown}");
    }

    #[test]
    fn a_figure_at_its_limit_reaches_it_but_is_not_under_it() {
        assert!(!Bar::under("us", 5.0, 5.0).holds);
        assert!(Bar::at_least("GB/s", 1.5, 1.5).holds);
    }

    #[test]
    fn a_loaded_machine_is_told_and_an_idle_one_is_not() {
        assert_eq!(busy("4096.5 7.7 8.1 3/400 123"), Some(4096.5));
        assert_eq!(busy("0.01 0.00 0.00 1/400 123"), None);
    }

    #[test]
    fn the_json_has_the_four_promised_keys() {
        let json = serde_json::to_value(Report { bars: vec![Bar::under("us", 4.0, 5.0)] }).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"bars": [{"what": "us", "value": 4.0, "limit": 5.0, "holds": true}]})
        );
    }
}
