//! Progress of one route: a bar on a terminal, a line every few seconds anywhere else.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use warmlane_load::Progress;

/// Without a terminal, a line this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// The bar of one route.
#[derive(Debug)]
pub(super) struct Bar {
    route: &'static str,
    /// None where the load goes on until something happens.
    prompts: Option<u64>,
    started: Instant,
    spoke: Instant,
    bar: Option<ProgressBar>,
}

impl Bar {
    pub(super) fn start(route: &'static str, prompts: Option<usize>) -> Self {
        use std::io::IsTerminal as _;
        let now = Instant::now();
        let prompts = prompts.map(|prompts| prompts as u64);
        let bar = std::io::stderr().is_terminal().then(|| terminal_bar(route, prompts));
        Self { route, prompts, started: now, spoke: now, bar }
    }

    /// Shows where the run is. `used` is the KV cache use of the replicas.
    pub(super) fn show(&mut self, progress: &Progress, used: &[f64]) {
        let note = || {
            let in_flight = progress.sent() - progress.done();
            let failed = match progress.failed() {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            format!("{in_flight} in flight{failed}, KV {}", percents(used))
        };
        if let Some(bar) = &self.bar {
            bar.set_position(progress.done());
            bar.set_message(note());
        } else if self.spoke.elapsed() >= HEARTBEAT {
            self.spoke = Instant::now();
            let (done, route) = (progress.done(), self.route);
            let of = self.prompts.map(|prompts| format!("/{prompts}")).unwrap_or_default();
            println!("  ... {route:<22} {done:>5}{of} done, {}", note());
        }
    }

    /// Prints a line, above the bar where there is one.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| println!("{line}")),
            None => println!("{line}"),
        }
    }

    /// Ends the bar with one line.
    pub(super) fn finish(self, outcome: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let took = warmlane_xtask::progress::seconds(self.started.elapsed());
        println!("  done   {:<28} {took:>8}  {outcome}", self.route);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn terminal_bar(route: &'static str, prompts: Option<u64>) -> ProgressBar {
    let (bar, template) = match prompts {
        Some(prompts) => {
            (ProgressBar::new(prompts), "  {prefix:<22} {bar:28} {pos:>5}/{len} {elapsed:>4} {wide_msg:.dim}")
        }
        None => (ProgressBar::no_length(), "  {prefix:<22} {pos:>5} done {elapsed:>4} {wide_msg:.dim}"),
    };
    // The templates are constants, so the fallback is never taken.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(route);
    bar
}

fn percents(used: &[f64]) -> String {
    if used.is_empty() {
        return "unknown".into();
    }
    let each: Vec<String> = used.iter().map(|used| format!("{:.0}", used * 100.0)).collect();
    format!("{} %", each.join(" "))
}
