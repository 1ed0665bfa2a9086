//! Any stream, cut anywhere, with any pauses and any end: the client gets exactly what the engine sent, or sees that the rest is missing.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use fastrand::Rng;
use warmlane_tests::lane::given;

use super::*;

/// Seconds for all of it, whatever the machine makes of it.
const BUDGET: u64 = 12;
/// Clients at a time.
const AT_ONCE: usize = 12;
/// Behind each of a stream's first two chunks.
const LEAD: Duration = Duration::from_millis(4);
/// Requests on one client's connection, if none of them breaks it.
const ROUND: u64 = 16;

/// One response, all of it out of one number.
struct Case {
    body: Vec<u8>,
    /// Where it is cut, head aside.
    pieces: VecDeque<Vec<u8>>,
    pause: Duration,
    /// Bytes after which the engine breaks off, and whether by a reset.
    broken: Option<(usize, bool)>,
    /// The client waits so long before it reads.
    slow: Duration,
    /// Bytes after which the client leaves, and whether by a reset.
    leaves: Option<(usize, bool)>,
}

impl Case {
    fn draw(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let (longest, most) = *rng.choice(&[(300, 20), (20, 400), (40_000, 6), (3, 2_000)]).expect("some");
        // Two chunks with time between them, so that the lane is ordered; then anything.
        let mut body = Self::chunk(&mut rng, 20);
        let first = body.len();
        body.extend(Self::chunk(&mut rng, 20));
        let lead = body.len();
        for _ in 0..rng.usize(1..=most) {
            body.extend(Self::chunk(&mut rng, longest));
        }
        body.extend(END);
        let broken = (rng.u8(0..6) == 0).then(|| (rng.usize(1..body.len()), rng.bool()));
        let sent = &body[..broken.map_or(body.len(), |(at, _)| at)];
        let count = *rng.choice(&[1, 3, 10, 50]).expect("some");
        let mut cuts: Vec<usize> = (0..count).map(|_| rng.usize(lead..body.len())).collect();
        cuts.extend([0, first, lead, sent.len()]);
        cuts.retain(|cut| *cut <= sent.len());
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|pair| sent[pair[0]..pair[1]].to_vec());
        let pieces = pieces.filter(|piece| !piece.is_empty()).collect();
        let micros = |rng: &mut Rng, of: &[u64]| Duration::from_micros(*rng.choice(of).expect("some"));
        let pause = micros(&mut rng, &[0, 200, 1_000, 3_000]);
        let slow = micros(&mut rng, &[0, 0, 0, 3_000]);
        let sent = broken.map_or(body.len(), |(at, _)| at);
        let leaves = (rng.u8(0..8) == 0).then(|| (rng.usize(0..sent), rng.bool()));
        Self { body, pieces, pause, broken, slow, leaves }
    }

    /// Bytes that look like framing wherever one stands.
    fn chunk(rng: &mut Rng, longest: usize) -> Vec<u8> {
        let (length, from) = (rng.usize(1..=longest), rng.usize(..14));
        let data = (0..length).map(|at| b"abc0\r\n0\r\n\r\n\n5f"[(at + from) % 14]);
        let extension = *rng.choice(&["", "", "", ";x", ";a=\"b c\""]).expect("some");
        let mut chunk = format!("{length:x}{extension}\r\n").into_bytes();
        chunk.extend(data);
        chunk.extend(b"\r\n");
        chunk
    }

    /// What the engine does.
    fn behave(mut self) -> Behaviour {
        let (sender, parts) = mpsc::channel();
        thread::spawn(move || {
            let mut first = HEAD.to_vec();
            first.extend(self.pieces.pop_front().unwrap_or_default());
            for (number, part) in std::iter::once(first).chain(self.pieces).enumerate() {
                // The router may have gone on before.
                if sender.send(part).is_err() {
                    return;
                }
                let pause = if number < 2 { LEAD } else { self.pause };
                if !pause.is_zero() {
                    thread::sleep(pause);
                }
            }
        });
        let parts = Arc::new(Mutex::new(parts));
        match self.broken {
            None => Behaviour::Parts(parts),
            Some((_, false)) => Behaviour::PartsAndClose(parts),
            Some((_, true)) => Behaviour::PartsAndReset(parts),
        }
    }

    /// What the client sees; false where its connection is over.
    fn check(&self, client: &mut Wire, seed: u64) -> bool {
        client.begin_post(COMPLETIONS, &format!("x-case: {seed}\r\n"), STREAM);
        thread::sleep(self.slow);
        let head = client.head();
        if let Some((at, reset)) = self.leaves.filter(|_| head.starts_with("HTTP/1.1 200 ")) {
            assert!(self.body.starts_with(&client.take(at)), "case {seed}: other bytes before {at}");
            if reset {
                client.reset_when_dropped();
            }
            return false;
        }
        let Some((at, _)) = self.broken else {
            let got = client.take(self.body.len());
            let same = got.iter().zip(&self.body).take_while(|(a, b)| a == b).count();
            assert!(
                got == self.body,
                "case {seed}: differs at {same} of {} and {}",
                got.len(),
                self.body.len()
            );
            return true;
        };
        if !head.starts_with("HTTP/1.1 200 ") {
            // It broke off before its first payload, which the router answers itself.
            return false;
        }
        let rest = client.rest();
        assert!(self.body[..at].starts_with(&rest), "case {seed}: {} bytes of {at}", rest.len());
        false
    }
}

#[test]
fn whatever_an_engine_sends_comes_as_it_was_sent_or_visibly_ends() {
    fuzz(Place::Here);
}

#[test]
fn so_it_does_from_another_node() {
    fuzz(Place::Elsewhere);
}

fn fuzz(place: Place) {
    let decide = |seen: &Seen| {
        let seed = seen.head.lines().find_map(|line| line.strip_prefix("x-case: ")?.trim().parse().ok());
        Case::draw(seed.expect("every request has its case")).behave()
    };
    let node = Node::at(place, |config| config.breaker.in_a_row = 0);
    node.engine.behave(Behaviour::Decide(Arc::new(decide)));
    // The first number, and for how long numbers are tried: both may be given.
    let (first, budget) = (given("WARMLANE_LANE_SEED", 1), given("WARMLANE_LANE_SECONDS", BUDGET));
    let (next, until) = (AtomicU64::new(first), Instant::now() + Duration::from_secs(budget));
    let converse = || {
        while Instant::now() < until {
            let mut client = node.router.aware();
            for _ in 0..ROUND {
                let seed = next.fetch_add(1, Relaxed);
                if !Case::draw(seed).check(&mut client, seed) {
                    break;
                }
            }
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(converse)).collect();
        clients.into_iter().for_each(|client| client.join().expect("every response is as it was sent"));
    });
    println!("{} responses, {} took the lane", next.into_inner() - first, node.rides());
    assert!(node.rides() > 200.0);
    eventually("all is done", || node.router.in_flight() == 0);
    assert_eq!(ended(&node.router, "lane"), 0.0);
}
