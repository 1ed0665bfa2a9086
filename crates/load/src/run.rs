//! Sends a workload at a pace and collects the outcomes.
//!
//! Closed loop: a fixed number of requests is in flight; a finished one makes room for the next. Open
//! loop: requests start at random moments (exponential gaps, so a Poisson process) whatever is still
//! in flight. In both, a turn of a session waits for the turn before it.
//!
//! Everything runs on the caller's runtime; dropping the future of [`run`] aborts what is in flight.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use crate::{client::Client, outcome::Outcome, request::Request, workload::Workload};

mod turns;

use turns::Turns;

/// How requests are let go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many requests in flight at any time.
    Closed {
        /// At least one.
        concurrency: usize,
    },
    /// So many requests per second of wall time on average.
    Open {
        /// More than zero.
        per_second: f64,
        /// Seed of the arrival times.
        seed: u64,
    },
}

/// Counts that others may read while a run goes on, and the way to end it early.
#[derive(Debug, Default)]
pub struct Progress {
    ending: AtomicBool,
    stopping: Notify,
    sent: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    tokens: AtomicU64,
}

/// All outcomes of a run, in the order in which they ended.
#[derive(Debug, Default)]
pub struct Run {
    /// One per request.
    pub outcomes: Vec<Outcome>,
    /// Wall time from the first send to the last end.
    pub elapsed: Duration,
}

/// One run under way.
struct Runner {
    client: Arc<Client>,
    progress: Arc<Progress>,
    start: Instant,
    turns: Turns,
    flights: JoinSet<Landed>,
    outcomes: Vec<Outcome>,
}

struct Landed {
    session: Option<String>,
    outcome: Outcome,
}

/// Sends all of `workload` through `client` at `pace`.
pub async fn run(client: Arc<Client>, pace: Pace, workload: Workload, progress: Arc<Progress>) -> Run {
    let runner = Runner {
        client,
        progress,
        start: Instant::now(),
        turns: Turns::new(workload),
        flights: JoinSet::new(),
        outcomes: Vec::new(),
    };
    match pace {
        Pace::Closed { concurrency } => runner.closed(concurrency.max(1)).await,
        Pace::Open { per_second, seed } => runner.open(per_second, fastrand::Rng::with_seed(seed)).await,
    }
}

// === Progress ===

impl Progress {
    /// Requests sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Requests that ended, failed ones included.
    pub fn done(&self) -> u64 {
        self.done.load(Relaxed)
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Sends nothing more: the run is over when what is in flight has ended.
    pub fn end(&self) {
        self.ending.store(true, Relaxed);
    }

    /// Ends it now: what is in flight is given up, and is in no outcome.
    pub fn stop(&self) {
        self.end();
        self.stopping.notify_one();
    }

    fn ending(&self) -> bool {
        self.ending.load(Relaxed)
    }

    /// Token events seen.
    pub fn tokens(&self) -> u64 {
        self.tokens.load(Relaxed)
    }
}

// === Run ===

impl Run {
    /// The part of a closed-loop run under full load, from its start: it begins when the first request ends (the
    /// replicas have filled by then) and ends when the last one is sent (from then on load only
    /// falls). None where no such time exists.
    pub fn loaded(&self) -> Option<(Duration, Duration)> {
        let from = self.outcomes.iter().map(|outcome| outcome.sent_at + outcome.e2e).min()?;
        let until = self.outcomes.iter().map(|outcome| outcome.sent_at).max()?;
        (from < until).then_some((from, until))
    }
}

// === Runner ===

impl Runner {
    async fn closed(mut self, concurrency: usize) -> Run {
        loop {
            while self.flights.len() < concurrency
                && !self.progress.ending()
                && let Some(request) = self.turns.next()
            {
                self.launch(request);
            }
            tokio::select! {
                landed = self.flights.join_next() => match landed {
                    Some(landed) => self.land(landed),
                    None => return self.finish(),
                },
                () = self.progress.stopping.notified() => return self.finish(),
            }
        }
    }

    async fn open(mut self, per_second: f64, mut rng: fastrand::Rng) -> Run {
        let mut due = Some(self.start);
        while due.is_some() || !self.flights.is_empty() {
            tokio::select! {
                () = sleep_until(due.unwrap_or(self.start)), if due.is_some() => {
                    due = self.arrive().then(|| due.unwrap_or(self.start) + gap(per_second, &mut rng));
                }
                Some(landed) = self.flights.join_next() => {
                    self.land(landed);
                    while !self.progress.ending()
                        && let Some(request) = self.turns.freed()
                    {
                        self.launch(request);
                    }
                }
                () = self.progress.stopping.notified() => break,
            }
        }
        self.finish()
    }

    /// One arrival. False when the run is over. A turn whose session is busy starts when it can.
    fn arrive(&mut self) -> bool {
        if self.progress.ending() {
            return false;
        }
        let arrival = self.turns.arrive();
        if let turns::Arrival::Ready(request) = arrival {
            self.launch(request);
            return true;
        }
        matches!(arrival, turns::Arrival::Parked)
    }

    fn launch(&mut self, request: Request) {
        let client = Arc::clone(&self.client);
        let progress = Arc::clone(&self.progress);
        let sent_at = self.start.elapsed();
        progress.sent.fetch_add(1, Relaxed);
        self.flights.spawn(async move {
            let count = |tokens: u32| {
                progress.tokens.fetch_add(u64::from(tokens), Relaxed);
            };
            let mut outcome = client.send_counted(&request, &count).await;
            outcome.sent_at = sent_at;
            progress.failed.fetch_add(u64::from(!outcome.ok()), Relaxed);
            progress.done.fetch_add(1, Relaxed);
            Landed { session: request.session, outcome }
        });
    }

    fn land(&mut self, landed: Result<Landed, tokio::task::JoinError>) {
        match landed {
            Ok(Landed { session, outcome }) => {
                if let Some(session) = session {
                    self.turns.ended(&session);
                }
                self.outcomes.push(outcome);
            }
            // Nobody aborts single flights, so this is a defect of this crate: it must not be hidden.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }

    fn finish(self) -> Run {
        Run { outcomes: self.outcomes, elapsed: self.start.elapsed() }
    }
}

/// An exponential gap with mean `1 / per_second`.
fn gap(per_second: f64, rng: &mut fastrand::Rng) -> Duration {
    // 1 - f64() lies in (0, 1], so the logarithm is finite; an absurd rate must not overflow the clock.
    let seconds = -(1.0 - rng.f64()).ln() / per_second.max(1e-6);
    Duration::from_secs_f64(seconds.min(86_400.0))
}

#[cfg(test)]
mod tests;
