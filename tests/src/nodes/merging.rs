//! A thousand endpoints, told by eight agents twenty times a second: what that costs the router, and its picks.

use std::{
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use tokio::time::{MissedTickBehavior, interval};

use super::{
    Args,
    figures::{Figures, Node, What},
    programs::Router,
};
use crate::{
    pickers::{chats::Chats, load::paced},
    proxy::figures::percentile,
    told::{ToldAgent, delta, full, waiting},
};

const AGENTS: usize = 8;
const ENDPOINTS: usize = 1_000;
const TOLD_EVERY: Duration = Duration::from_millis(50);
/// How long the router's CPU is looked at while it is told and not asked.
const MERGING: Duration = Duration::from_secs(5);
/// Requests of one turn while decisions are timed, 200 a second.
const REQUESTS: u64 = 300;
const TURNS: usize = 10;
const BEAT: Duration = Duration::from_millis(5);
const PROMPT: usize = 1024;

/// An agent and the endpoints that it tells of.
struct Teller {
    agent: ToldAgent,
    endpoints: Vec<SocketAddr>,
    /// Of the stream that was opened last.
    sequence: u64,
    streams: usize,
    rng: fastrand::Rng,
}

pub(super) async fn measure(args: &Args, figures: &mut Figures) -> anyhow::Result<()> {
    // Nobody listens there: they are only picked.
    let endpoint =
        |number: usize| SocketAddr::from(([127, 1, (number / 250) as u8, (number % 250) as u8 + 1], 8_000));
    let endpoints: Vec<SocketAddr> = (0..ENDPOINTS).map(endpoint).collect();
    let mut tellers: Vec<Teller> = endpoints.chunks(ENDPOINTS / AGENTS).map(Teller::new).collect();
    let agents: Vec<SocketAddr> = tellers.iter().map(|teller| teller.agent.address).collect();
    let start = Router::start(&args.router, &endpoints, &agents, &[]);
    let router = telling(&mut tellers, false, start).await?;
    let chats = Rc::new(Chats::new(PROMPT));
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    // In turn, so that whatever else this machine does disturbs both.
    for _ in 0..TURNS {
        for (moves, times) in [(false, &mut quiet), (true, &mut busy)] {
            let asked = paced(router.ext_proc, &chats, REQUESTS, BEAT);
            times.extend(telling(&mut tellers, moves, asked).await?);
        }
    }
    for (what, times) in [(What::DecidedQuiet, &mut quiet), (What::DecidedBusy, &mut busy)] {
        times.sort_unstable();
        figures.add(what, Node, percentile(times, 99));
    }
    let (before, began) = (router.program.cpu_seconds(), Instant::now());
    telling(&mut tellers, true, tokio::time::sleep(MERGING)).await;
    let share = (router.program.cpu_seconds() - before) / began.elapsed().as_secs_f64();
    figures.add(What::Merging, Node, share * 100.0);
    Ok(())
}

/// Does something while the agents tell, one after the other: heartbeats, or all of their endpoints anew.
async fn telling<T>(tellers: &mut [Teller], moves: bool, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let mut beat = interval(TOLD_EVERY / tellers.len() as u32);
    beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut turns = (0..tellers.len()).cycle();
    loop {
        tokio::select! {
            done = &mut work => return done,
            _ = beat.tick() => if let Some(turn) = turns.next() {
                tellers[turn].tell(moves);
            },
        }
    }
}

// === Teller ===

impl Teller {
    fn new(endpoints: &[SocketAddr]) -> Self {
        Self {
            agent: ToldAgent::start(),
            endpoints: endpoints.to_vec(),
            sequence: 0,
            streams: 0,
            rng: fastrand::Rng::with_seed(1),
        }
    }

    fn tell(&mut self, moves: bool) {
        let streams = self.agent.followers();
        if streams == 0 {
            return;
        }
        if streams != self.streams {
            (self.streams, self.sequence) = (streams, 0);
        }
        self.sequence += 1;
        let is_first = self.sequence == 1;
        let rng = &mut self.rng;
        let told = |address: &SocketAddr| waiting(*address, f32::from(rng.u8(0..4)));
        let endpoints =
            if is_first || moves { self.endpoints.iter().map(told).collect() } else { Vec::new() };
        self.agent.say(if is_first { full(endpoints) } else { delta(self.sequence, endpoints) });
    }
}
