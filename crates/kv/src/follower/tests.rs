//! An engine played by a ZeroMQ library: it publishes, replays, restarts.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use tokio::{task::JoinHandle, time::Instant};
use warmlane_engine::kv_events::Blocks;
use zeromq::{PubSocket, RouterSocket, Socket as _, SocketRecv as _, SocketSend as _, ZmqMessage};

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);
const FRAMES: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/kv/vllm-kv-events.jsonl"));

/// Recorded payloads of one server, in order.
fn recorded(server: &str) -> Vec<Bytes> {
    let text = |line: &str, key: &str| {
        let from = line.find(key).expect("a key") + key.len();
        line[from..].split('"').next().expect("a value").to_owned()
    };
    let of_server = FRAMES.lines().filter(|line| text(line, "\"server\":\"") == server);
    let payload = |line: &str| {
        let hex = text(line, "\"payload_hex\":\"");
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        (0..hex.len()).step_by(2).map(byte).collect()
    };
    of_server.map(payload).collect()
}

/// What a payload adds up to.
fn digest(payloads: &[Bytes]) -> warmlane_engine::kv_events::Digest {
    let mut blocks = Blocks::default();
    for payload in payloads {
        decode(payload).expect("a real frame").events.iter().for_each(|event| drop(blocks.apply(event)));
    }
    blocks.digest()
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<(Blocks, State)>>);

impl Kept {
    fn with<T>(&self, look: impl FnOnce(&mut (Blocks, State)) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn until(&self, what: &str, holds: impl Fn(&(Blocks, State)) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !self.with(|kept| holds(kept)) {
            assert!(Instant::now() < until, "{what}: {:?}", self.with(|kept| kept.1.clone()));
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Sink for Kept {
    fn take(&self, event: &Event) -> Fit {
        self.with(|(blocks, _)| {
            let was_behind = blocks.is_behind();
            blocks.apply(event);
            if was_behind || !blocks.is_behind() { Fit::Whole } else { Fit::Behind }
        })
    }

    fn clear(&self) {
        self.with(|(blocks, _)| drop(blocks.clear()));
    }

    fn stands(&self, state: &State) {
        self.with(|kept| kept.1 = state.clone());
    }
}

/// An engine's two sockets. What it published is replayed, as far as it is kept.
struct Engine {
    publisher: PubSocket,
    published: Arc<Mutex<VecDeque<(u64, Bytes)>>>,
    next: u64,
    replaying: JoinHandle<()>,
}

impl Engine {
    async fn start(port: u16) -> Self {
        let (mut publisher, mut router) = (PubSocket::new(), RouterSocket::new());
        publisher.bind(&format!("tcp://127.0.0.1:{port}")).await.expect("bind");
        router.bind(&format!("tcp://127.0.0.1:{}", port + 1)).await.expect("bind");
        let published: Arc<Mutex<VecDeque<(u64, Bytes)>>> = Arc::default();
        let kept = published.clone();
        let replaying = tokio::spawn(async move {
            while let Ok(asked) = router.recv().await {
                let asked = asked.into_vec();
                let from = u64::from_be_bytes(asked[2].as_ref().try_into().expect("a number"));
                let frames: Vec<_> =
                    kept.lock().expect("no panic").iter().filter(|(seq, _)| *seq >= from).cloned().collect();
                for (seq, payload) in frames.into_iter().chain([(END, Bytes::new())]) {
                    let parts = vec![
                        asked[0].clone(),
                        Bytes::new(),
                        Bytes::copy_from_slice(&seq.to_be_bytes()),
                        payload,
                    ];
                    router.send(ZmqMessage::try_from(parts).expect("parts")).await.expect("send");
                }
            }
        });
        Self { publisher, published, next: 0, replaying }
    }

    async fn publish(&mut self, payload: &Bytes) {
        let seq = self.lose(payload);
        let parts = vec![Bytes::new(), Bytes::copy_from_slice(&seq.to_be_bytes()), payload.clone()];
        self.publisher.send(ZmqMessage::try_from(parts).expect("parts")).await.expect("send");
    }

    /// Publishes to nobody: lost on the way.
    fn lose(&mut self, payload: &Bytes) -> u64 {
        let seq = self.next;
        self.next += 1;
        self.published.lock().expect("no panic").push_back((seq, payload.clone()));
        seq
    }

    fn lose_all(&mut self, payloads: &[Bytes]) {
        for payload in payloads {
            self.lose(payload);
        }
    }

    fn keep(&self, count: usize) {
        let mut published = self.published.lock().expect("no panic");
        let surplus = published.len().saturating_sub(count);
        published.drain(..surplus);
    }

    async fn stop(self) {
        self.replaying.abort();
        let _ = self.replaying.await;
        self.publisher.close().await;
    }
}

/// Two ports in a row that nobody has.
fn ports() -> u16 {
    loop {
        let first = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let port = first.local_addr().expect("address").port();
        if port < u16::MAX && std::net::TcpListener::bind(("127.0.0.1", port + 1)).is_ok() {
            return port;
        }
    }
}

fn follow(port: u16) -> Kept {
    let kept = Kept::default();
    tokio::spawn(Follower::new(format!("127.0.0.1:{port}"), kept.clone()).run());
    kept
}

const SERVER: &str = "0.32-bs32-sha256_cbor";

#[tokio::test]
async fn what_was_published_before_and_what_comes_adds_up() {
    let (port, payloads) = (ports(), recorded(SERVER));
    let mut engine = Engine::start(port).await;
    let (before, after) = payloads.split_at(payloads.len() / 2);
    engine.lose_all(before);
    let kept = follow(port);
    kept.until("all is known", |(blocks, state)| {
        *state == State::Known { whole: true } && blocks.digest() == digest(before)
    })
    .await;
    for payload in after {
        engine.publish(payload).await;
    }
    kept.until("and what comes", |(blocks, _)| blocks.digest() == digest(&payloads)).await;
    engine.stop().await;
}

#[tokio::test]
async fn frames_that_were_lost_are_asked_for() {
    let (port, payloads) = (ports(), recorded(SERVER));
    let mut engine = Engine::start(port).await;
    let kept = follow(port);
    kept.until("it listens", |(_, state)| *state == State::Known { whole: true }).await;
    for (number, payload) in payloads.iter().enumerate() {
        if number % 3 == 1 {
            engine.lose(payload);
        } else {
            engine.publish(payload).await;
        }
    }
    // One that surely comes, in case the last was lost.
    engine.publish(&payloads[0]).await;
    let all: Vec<_> = payloads.iter().chain([&payloads[0]]).cloned().collect();
    kept.until("nothing is missing", |(blocks, _)| blocks.digest() == digest(&all)).await;
    engine.stop().await;
}

#[tokio::test]
async fn an_engine_that_restarts_is_known_anew() {
    let (port, payloads) = (ports(), recorded(SERVER));
    let mut engine = Engine::start(port).await;
    engine.lose_all(&payloads);
    let kept = follow(port);
    kept.until("all is known", |(blocks, _)| blocks.digest() == digest(&payloads)).await;
    engine.stop().await;
    kept.until("it is gone", |(_, state)| matches!(state, State::Lost { .. })).await;
    let mut other = Engine::start(port).await;
    other.lose(&payloads[0]);
    kept.until("the new one's", |(blocks, state)| {
        *state == State::Known { whole: true } && blocks.digest() == digest(&payloads[..1])
    })
    .await;
    other.stop().await;
}

#[tokio::test]
async fn what_an_engine_no_longer_keeps_is_known_in_part_and_never_wrong() {
    // Those before the first clear, which would make all known again.
    let (port, payloads) = (ports(), recorded(SERVER)[..5].to_vec());
    let mut engine = Engine::start(port).await;
    engine.lose_all(&payloads);
    engine.keep(3);
    let kept = follow(port);
    let all: HashSet<u64> = {
        let mut blocks = Blocks::default();
        for payload in &payloads {
            decode(payload).expect("real").events.iter().for_each(|event| drop(blocks.apply(event)));
        }
        blocks.iter().collect()
    };
    kept.until("in part", |(_, state)| *state == State::Known { whole: false }).await;
    assert!(kept.with(|(blocks, _)| blocks.iter().all(|block| all.contains(&block))));
    assert!(kept.with(|(blocks, _)| blocks.digest().count > 0));
    engine.stop().await;
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_costs_what_was_known_and_no_more() {
    let (port, payloads) = (ports(), recorded(SERVER));
    let mut engine = Engine::start(port).await;
    engine.lose(&payloads[0]);
    let kept = follow(port);
    kept.until("it is known", |(blocks, _)| blocks.digest() == digest(&payloads[..1])).await;
    engine.publish(&Bytes::from_static(b"\xc1garbage")).await;
    kept.until("nothing is sure", |(blocks, state)| {
        blocks.digest().count == 0 && *state == State::Known { whole: false }
    })
    .await;
    engine.publish(&payloads[0]).await;
    kept.until("it goes on", |(blocks, _)| blocks.digest() == digest(&payloads[..1])).await;
    engine.stop().await;
}

#[tokio::test]
async fn an_engine_without_replays_is_followed_from_where_it_is() {
    let (port, payloads) = (ports(), recorded(SERVER));
    let mut engine = Engine::start(port).await;
    engine.replaying.abort();
    let _ = (&mut engine.replaying).await;
    engine.lose(&payloads[0]);
    let kept = follow(port);
    kept.until("in part", |(_, state)| *state == State::Known { whole: false }).await;
    engine.publish(&payloads[0]).await;
    kept.until("what comes is known", |(blocks, _)| blocks.digest() == digest(&payloads[..1])).await;
    assert!(kept.with(|(_, state)| *state == State::Known { whole: false }));
}

#[test]
fn the_replay_is_at_the_next_port() {
    assert_eq!(next_port("127.0.0.1:5557"), "127.0.0.1:5558");
    assert_eq!(next_port("[::1]:9"), "[::1]:10");
}
