//! The run itself: takes events in order of time and lets replicas, routers and clients act on them.

use warmlane_picker::Work;

use super::{
    clients::{Arrival, Clients},
    events::{Event, Events},
    load::{self, Ask},
    policy::Policy,
    replica::Replica,
    router::{Router, Sent},
    scenario::{Pace, Scenario},
    signals,
    summary::{Meter, Summary},
};
use crate::model::Output;

/// Load begins here; until then routers read idle replicas at their slowest.
const START: f64 = 10.0;
/// One way between client or router and replica.
const WAY: f64 = 0.001;
/// Between two notes of KV use.
const SAMPLE: f64 = 0.25;

struct Run<'s> {
    scenario: &'s Scenario,
    asks: Vec<Ask>,
    clients: Clients,
    flights: Vec<Option<Flight>>,
    routers: Vec<Router>,
    replicas: Vec<Replica>,
    events: Events,
    output: Output,
    meter: Meter,
    rng: fastrand::Rng,
    now: f64,
    left: usize,
}

/// A request between its send and its end.
#[derive(Clone, Copy)]
struct Flight {
    router: usize,
    sent: Sent,
    at: f64,
    first: bool,
}

/// Simulates `scenario` under `policy`. The seed fixes requests, delays and ties.
pub fn run(scenario: &Scenario, policy: Policy, seed: u64) -> Summary {
    let mut run = Run::new(scenario, policy, seed);
    run.begin();
    while run.left > 0
        && let Some((at, event)) = run.events.pop()
    {
        run.now = at;
        run.happen(event);
    }
    run.meter.summary()
}

// === Run ===

impl<'s> Run<'s> {
    fn new(scenario: &'s Scenario, policy: Policy, seed: u64) -> Self {
        let asks = load::asks(scenario, seed);
        let mut rng = fastrand::Rng::with_seed(seed ^ 0x5eed);
        let routers = (0..scenario.routers.max(1)).map(|_| Router::new(scenario, policy, rng.u64(..)));
        Self {
            scenario,
            clients: Clients::new(&asks),
            flights: vec![None; asks.len()],
            routers: routers.collect(),
            replicas: scenario.cards.iter().map(Replica::new).collect(),
            events: Events::default(),
            output: Output::default(),
            meter: Meter::new(START),
            now: 0.0,
            left: asks.len(),
            asks,
            rng,
        }
    }

    fn begin(&mut self) {
        for router in 0..self.routers.len() {
            for replica in 0..self.replicas.len() {
                let at = self.rng.f64() * self.scenario.scrape.min;
                self.events.push(at, Event::Ask { router, replica });
            }
        }
        if let Some(after) = self.scenario.joins_after {
            let last = self.replicas.len() - 1;
            self.routers.iter_mut().for_each(|router| router.set_ready(last, false));
            self.events.push(START + after, Event::Join);
        }
        self.events.push(START, Event::Arrive);
        self.events.push(START, Event::Sample);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Reach { ask } => self.reach(ask),
            Event::Step { replica } => self.step(replica),
            Event::Ask { router, replica } => self.ask(router, replica),
            Event::Write { router, replica, asked, mark, took } => {
                let signals = Box::new(signals::page(&self.replicas[replica], asked, mark));
                self.events.push(asked + took, Event::Read { router, replica, signals, took });
            }
            Event::Read { router, replica, signals, took } => {
                let wait = self.routers[router].read(replica, *signals, took);
                self.events.push(self.now + wait, Event::Ask { router, replica });
            }
            Event::Join => {
                let last = self.replicas.len() - 1;
                self.routers.iter_mut().for_each(|router| router.set_ready(last, true));
            }
            Event::Sample => {
                let used = self.replicas.iter().map(|replica| replica.engine.stats().kv_use);
                self.meter.kv(self.now, used);
                self.events.push(self.now + SAMPLE, Event::Sample);
            }
        }
    }

    /// Closed loop: all that may be in flight at the start. Open loop: one, and the next one's time.
    fn arrive(&mut self) {
        match self.scenario.pace {
            Pace::Closed { concurrency } => {
                for _ in 0..concurrency {
                    self.send_next();
                }
            }
            Pace::Open { per_second } => match self.clients.arrive() {
                Arrival::Over => {}
                arrival => {
                    if let Arrival::Ready(ask) = arrival {
                        self.send(ask);
                    }
                    let gap = -(1.0 - self.rng.f64()).ln() / per_second;
                    self.events.push(self.now + gap, Event::Arrive);
                }
            },
        }
    }

    fn send_next(&mut self) {
        if let Some(ask) = self.clients.ready() {
            self.send(ask);
        }
    }

    fn send(&mut self, ask: usize) {
        let router = self.rng.usize(..self.routers.len());
        self.meter.sent(self.now);
        match self.routers[router].send(&self.asks[ask], self.now) {
            Some(sent) => {
                self.flights[ask] = Some(Flight { router, sent, at: self.now, first: false });
                // Up to twice the mean, so that requests sent at once do not arrive in their order.
                let way = WAY * (0.5 + self.rng.f64());
                self.events.push(self.now + way, Event::Reach { ask });
            }
            None => self.refused(ask),
        }
    }

    fn refused(&mut self, ask: usize) {
        self.meter.refused();
        self.clients.ended(ask);
        self.left -= 1;
    }

    fn reach(&mut self, ask: usize) {
        let Some(flight) = self.flights[ask] else { return };
        let replica = flight.sent.replica;
        match self.replicas[replica].take(self.now, ask, &self.asks[ask]) {
            Ok(Some(end)) => self.events.push(end, Event::Step { replica }),
            Ok(None) => {}
            Err(_) => {
                self.routers[flight.router].prefilled(&flight.sent);
                self.routers[flight.router].close(&flight.sent);
                self.refused(ask);
            }
        }
    }

    fn step(&mut self, replica: usize) {
        let mut output = std::mem::take(&mut self.output);
        if let Some(end) = self.replicas[replica].step(self.now, &mut output) {
            self.events.push(end, Event::Step { replica });
        }
        for token in &output.tokens {
            if token.index > 0 {
                self.meter.gap(token.gap);
            } else {
                self.first_token(token.id as usize);
            }
        }
        for outcome in &output.finished {
            self.end(outcome);
        }
        self.output = output;
    }

    fn first_token(&mut self, ask: usize) {
        if let Some(flight) = &mut self.flights[ask]
            && !std::mem::replace(&mut flight.first, true)
        {
            self.meter.ttft(self.now + WAY - flight.at);
            self.routers[flight.router].prefilled(&flight.sent);
        }
    }

    fn end(&mut self, outcome: &crate::model::Outcome) {
        let ask = outcome.id as usize;
        let Some(flight) = self.flights[ask].take() else { return };
        self.routers[flight.router].close(&flight.sent);
        self.meter.ended(self.now, self.now + WAY - flight.at, outcome);
        self.clients.ended(ask);
        self.left -= 1;
        match self.scenario.pace {
            Pace::Closed { .. } => self.send_next(),
            Pace::Open { .. } => {
                while let Some(turn) = self.clients.freed() {
                    self.send(turn);
                }
            }
        }
    }

    fn ask(&mut self, router: usize, replica: usize) {
        let took = self.scenario.scrape.took * (0.5 + self.rng.f64());
        let mark: Work = self.routers[router].mark(replica);
        let write = Event::Write { router, replica, asked: self.now, mark, took };
        self.events.push(self.now + took / 2.0, write);
    }
}
