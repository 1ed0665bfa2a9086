//! Shows that a long step is alive: a spinner on a terminal, a plain line now and then anywhere else.
//!
//! Not a log: what a step prints goes to a file, and only the end of it is shown when the step fails.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Without a terminal, a sign of life this often: rare enough for a CI log, often enough for a person watching it.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// On a terminal, the note beside the spinner changes this often.
const REDRAW: Duration = Duration::from_millis(500);

/// One step that is under way.
#[derive(Debug)]
pub struct Progress {
    label: String,
    started: Instant,
    spoke: Instant,
    shown: Shown,
}

#[derive(Debug)]
enum Shown {
    Spinner(ProgressBar),
    Lines,
    Nothing,
}

impl Progress {
    /// Begins a step and shows it.
    pub fn start(label: &str) -> Self {
        use std::io::IsTerminal as _;
        let shown = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new_spinner();
            // The template is a constant, so the fallback is never taken.
            let style = ProgressStyle::with_template("  {spinner} {prefix} {elapsed} {wide_msg:.dim}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar.set_prefix(label.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            Shown::Spinner(bar)
        } else {
            Shown::Lines
        };
        Self::with(label, shown)
    }

    /// Begins a step that runs behind another one and must not write over it.
    pub fn silent(label: &str) -> Self {
        Self::with(label, Shown::Nothing)
    }

    fn with(label: &str, shown: Shown) -> Self {
        let now = Instant::now();
        Self { label: label.to_owned(), started: now, spoke: now, shown }
    }

    /// Says that the step is still going on; `note` tells where it is, and is asked only when it is shown.
    pub fn tick(&mut self, note: impl FnOnce() -> String) {
        let (every, now) = match self.shown {
            Shown::Spinner(_) => (REDRAW, Instant::now()),
            Shown::Lines => (HEARTBEAT, Instant::now()),
            Shown::Nothing => return,
        };
        if now.duration_since(self.spoke) < every {
            return;
        }
        self.spoke = now;
        match &self.shown {
            Shown::Spinner(bar) => bar.set_message(note()),
            Shown::Lines => println!("  ... {} {} {}", self.label, seconds(self.started.elapsed()), note()),
            Shown::Nothing => {}
        }
    }

    /// Ends the step with one line and tells how long it took.
    pub fn finish(self, outcome: &str) -> Duration {
        let took = self.started.elapsed();
        if let Shown::Spinner(bar) = &self.shown {
            bar.finish_and_clear();
        }
        if !matches!(self.shown, Shown::Nothing) {
            println!("  {outcome:<6} {:<28} {:>8}", self.label, seconds(took));
        }
        took
    }
}

/// A time as people read it in a table: `0.4 s`, `75.2 s`.
pub fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
