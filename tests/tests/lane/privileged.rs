//! What `cargo xtask test` leaves out where it is not root.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use warmlane_router::config::{Config, LaneMode, RemoteLane};
use warmlane_tests::{Behaviour, RawEngine, TestRouter, Wire, cgroup::Cgroup, engine::Seen, eventually};

mod cgroups;
mod ends;
mod fuzz;
mod remote;
mod riders;
mod switch;

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n";
const STREAM: &str = r#"{"model":"m","prompt":"p","stream":true}"#;
const END: &[u8] = b"0\r\n\r\n";
const COMPLETIONS: &str = "/v1/completions";

/// An event that has not taken the lane after this time was copied.
const TRY: Duration = Duration::from_millis(300);

type Parts = Arc<Mutex<Receiver<Vec<u8>>>>;

/// Where the engine is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// On the router's node.
    Here,
    /// As if on another: the lane sees its own cgroup only, and the engine is outside.
    Elsewhere,
}

/// A router, and the engine whose answers the test sends part by part.
struct Node {
    router: TestRouter,
    engine: RawEngine,
    /// Of the present answer.
    parts: Option<Sender<Vec<u8>>>,
    /// What was said of it behind its first event.
    said: Vec<u8>,
    number: usize,
    /// Behind the router.
    _cgroup: Option<Cgroup>,
}

// === Node ===

impl Node {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(Place::Here, change)
    }

    fn at(place: Place, change: impl FnOnce(&mut Config)) -> Self {
        let engine = RawEngine::start(Behaviour::Hang);
        let cgroup = (place == Place::Elsewhere).then(Cgroup::new);
        cgroup.iter().for_each(Cgroup::enter);
        let router = TestRouter::with(&[engine.address()], |config| {
            config.lane.mode = LaneMode::All;
            if let Some(cgroup) = &cgroup {
                config.lane.cgroup = cgroup.path().to_owned();
                config.lane.remote = RemoteLane::On;
                // Each finds out by itself where an engine is.
                config.workers = 1;
            }
            change(config);
        });
        let mut node = Self { router, engine, parts: None, said: Vec::new(), number: 0, _cgroup: cgroup };
        if place == Place::Elsewhere {
            node.find_out();
        }
        node
    }

    /// The first response shows where the engine is, and is copied.
    fn find_out(&mut self) {
        let mut client = self.router.aware();
        self.copied(&mut client);
        assert_eq!(self.router.metric("warmlane_lane_refusals_total{reason=\"remote\"}"), 1.0);
    }

    /// A whole response that does not ride although it might.
    fn copied(&mut self, client: &mut Wire) {
        self.begin(client);
        // Behind the first two events the lane is asked for.
        for _ in 0..3 {
            let event = self.say_event();
            assert_eq!(client.take(event.len()), event);
            thread::sleep(Duration::from_millis(2));
        }
        self.finish();
        assert_eq!(client.take(END.len()), END);
        eventually("all is done", || self.router.in_flight() == 0);
    }

    /// From now on answers are what is said.
    fn answer(&mut self, end: fn(Parts) -> Behaviour) {
        let (sender, parts) = mpsc::channel();
        self.engine.behave(end(Arc::new(Mutex::new(parts))));
        self.parts = Some(sender);
    }

    fn say(&mut self, part: &[u8]) {
        self.said.extend(part);
        self.parts.as_ref().expect("an answer").send(part.to_vec()).expect("the engine runs");
    }

    fn say_event(&mut self) -> Vec<u8> {
        self.number += 1;
        let event = event(self.number);
        self.say(&event);
        event
    }

    /// Says events until the kernel has carried so many: those before an order is given are copied.
    fn say_by_lane(&mut self, events: usize) {
        for _ in 0..events {
            let before = self.carried();
            eventually("the kernel carries one", || {
                self.say_event();
                let until = Instant::now() + TRY;
                while self.carried() == before && Instant::now() < until {}
                self.carried() > before
            });
        }
    }

    /// Asks for a stream and waits until its first event is here; the next ones may go by the lane.
    fn begin(&mut self, client: &mut Wire) {
        self.begin_as(client, Behaviour::Parts);
    }

    /// The same with the way in which the answer ends.
    fn begin_as(&mut self, client: &mut Wire, end: fn(Parts) -> Behaviour) {
        self.answer(end);
        client.begin_post(COMPLETIONS, "", STREAM);
        self.first(client);
    }

    fn begin_with(&mut self, client: &mut Wire, headers: &str, body: &str) {
        self.answer(Behaviour::Parts);
        client.begin_post(COMPLETIONS, headers, body);
        self.first(client);
    }

    fn first(&mut self, client: &mut Wire) {
        self.say(HEAD);
        let first = self.say_event();
        assert!(client.until(&first).is_some());
        self.said.clear();
    }

    /// Ends the answer as it should.
    fn finish(&mut self) {
        self.say(END);
        self.parts = None;
    }

    /// Messages that the kernel has carried.
    fn carried(&self) -> f64 {
        self.router.metric("warmlane_lane_messages_total")
    }

    /// Responses that took the lane.
    fn rides(&self) -> f64 {
        self.router.metric("warmlane_lane_responses_total")
    }
}

fn event(number: usize) -> Vec<u8> {
    event_of(&format!(" {number}"))
}

fn event_of(words: &str) -> Vec<u8> {
    let text = format!("data: {{\"id\":\"cmpl-1\",\"choices\":[{{\"text\":\"{words}\"}}]}}\n\n");
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

/// Responses that ended for this reason.
fn ended(router: &TestRouter, reason: &str) -> f64 {
    router.metric(&format!("warmlane_request_errors_total{{listener=\"aware\",reason=\"{reason}\"}}"))
}
