//! KV events over ZMQ, read as a router reads them.

use std::{io::Write, thread, time::Duration};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    runtime::{Builder, Runtime},
    time::timeout,
};
use warmlane_engine::kv_events::{Batch, Blocks, Event, Stored, decode};
use warmlane_sim::{
    model::tokens,
    server::{KvEvents, KvFormat, Options, Running, start},
};
use zeromq::{DealerSocket, Socket, SocketRecv, SocketSend, SubSocket, ZmqMessage};

use crate::client::{connect, options, post};

const PATIENCE: Duration = Duration::from_secs(60);
const END: u64 = u64::MAX;

/// A frame as it came: number and payload.
type Frame = (u64, Bytes);
/// Adapter and salt.
type Names = (Option<Box<str>>, Option<Box<str>>);

/// An engine and one who subscribed to its events.
struct Watched {
    engine: Running,
    runtime: Runtime,
    subscriber: SubSocket,
    /// Number of the next frame.
    next: u64,
}

impl Watched {
    fn new(format: KvFormat) -> Self {
        Self::with(format, options())
    }

    /// Starts an engine and waits until the subscription counts: each reset makes one frame until then.
    fn with(format: KvFormat, mut options: Options) -> Self {
        options.kv_events = Some(KvEvents { listen: ([127, 0, 0, 1], 0).into(), format });
        let engine = start(options).unwrap();
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let mut subscriber = runtime.block_on(subscriber(&engine));
        loop {
            post(&engine, "/reset_prefix_cache", "");
            complete(&engine, &json!({"prompt": "x", "max_tokens": 1}));
            let wait = async { timeout(Duration::from_millis(50), subscriber.recv()).await };
            if runtime.block_on(wait).is_ok() {
                break;
            }
        }
        let mut watched = Self { engine, runtime, subscriber, next: 0 };
        // One more, behind which nothing is left of the others.
        let probed = watched.replay(0).last().unwrap().0 + 1;
        post(&watched.engine, "/reset_prefix_cache", "");
        complete(&watched.engine, &json!({"prompt": "x", "max_tokens": 1}));
        while watched.receive().0 < probed {}
        watched.next = probed + 1;
        watched
    }

    fn receive(&mut self) -> Frame {
        let receive = async { timeout(PATIENCE, self.subscriber.recv()).await };
        let message = self.runtime.block_on(receive).unwrap().unwrap();
        let parts = message.into_vec();
        assert_eq!((parts.len(), parts[0].len(), parts[1].len()), (3, 0, 8));
        (number(&parts[1]), parts[2].clone())
    }

    /// The frames published since this was last called, all of them, which are those a replay tells.
    fn frames(&mut self) -> Vec<Frame> {
        let told = self.replay(self.next);
        let published: Vec<Frame> = told.iter().map(|_| self.receive()).collect();
        assert_eq!(published, told);
        for (at, frame) in published.iter().enumerate() {
            assert_eq!(frame.0, self.next + at as u64, "numbers have no gap");
        }
        self.next += published.len() as u64;
        published
    }

    fn events(&mut self) -> Vec<Event> {
        self.frames().iter().flat_map(|frame| batch(frame).events).collect()
    }

    fn stored(&mut self) -> Vec<Stored> {
        let stored = |event| match event {
            Event::Stored(stored) => *stored,
            other => panic!("only blocks were stored: {other:?}"),
        };
        self.events().into_iter().map(stored).collect()
    }

    fn replay(&self, start: u64) -> Vec<Frame> {
        let told = async { timeout(PATIENCE, replay(&self.engine, start)).await };
        self.runtime.block_on(told).unwrap()
    }
}

async fn subscriber(engine: &Running) -> SubSocket {
    let mut socket = SubSocket::new();
    socket.connect(&format!("tcp://{}", engine.kv_events().unwrap())).await.unwrap();
    socket.subscribe("").await.unwrap();
    socket
}

async fn replay(engine: &Running, start: u64) -> Vec<Frame> {
    let mut address = engine.kv_events().unwrap();
    address.set_port(address.port() + 1);
    let mut socket = DealerSocket::new();
    socket.connect(&format!("tcp://{address}")).await.unwrap();
    // What is no request gets no answer.
    socket.send(ZmqMessage::from("hello")).await.unwrap();
    let mut request = ZmqMessage::from(Bytes::new());
    request.push_back(Bytes::copy_from_slice(&start.to_be_bytes()));
    socket.send(request).await.unwrap();
    let mut frames = Vec::new();
    loop {
        let parts = socket.recv().await.unwrap().into_vec();
        assert_eq!((parts.len(), parts[0].len(), parts[1].len(), parts[2].len()), (4, 0, 0, 8));
        if number(&parts[2]) == END {
            assert!(parts[3].is_empty());
            return frames;
        }
        frames.push((number(&parts[2]), parts[3].clone()));
    }
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

fn batch((_, payload): &Frame) -> Batch {
    let batch = decode(payload).unwrap();
    assert_eq!(batch.rank, Some(0));
    assert!(batch.time > 1e9 && !batch.events.is_empty());
    batch
}

fn complete(engine: &Running, body: &Value) -> Value {
    let answer = post(engine, "/v1/completions", &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// A text of `count` tokens.
fn text(stream: u64, count: u32) -> String {
    (0..count).map(|index| tokens::word(stream, index)).collect()
}

fn tokenized(engine: &Running, text: &str) -> Vec<u64> {
    let answer = post(engine, "/tokenize", &json!({"prompt": text}).to_string()).json();
    answer["tokens"].as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
}

#[test]
fn a_subscriber_sees_prompt_and_answer_in_blocks_and_a_repeat_stores_nothing() {
    for format in [KvFormat::Map, KvFormat::Array] {
        let mut watched = Watched::new(format);
        let prompt = text(1, 100);
        let body = json!({"prompt": prompt, "max_tokens": 40, "ignore_eos": true});
        let answer = complete(&watched.engine, &body);
        let stored = watched.stored();
        assert_eq!((stored[0].hashes.len(), stored[0].parent), (6, None), "the prompt is one run");
        for pair in stored.windows(2) {
            assert_eq!((pair[1].parent, pair[1].hashes.len()), (pair[0].hashes.last().copied(), 1));
        }
        assert!(stored.iter().all(|run| run.block_size == 16 && run.place.medium.as_deref() == Some("GPU")));
        let seen: Vec<u64> = stored.iter().flat_map(|run| &run.tokens).map(|&id| u64::from(id)).collect();
        let whole = prompt.clone() + answer["choices"][0]["text"].as_str().unwrap();
        // The last token was put out and never computed.
        assert_eq!(seen, tokenized(&watched.engine, &whole)[..128]);
        complete(&watched.engine, &body);
        assert_eq!(watched.frames(), []);
    }
}

#[test]
fn a_small_cache_evicts_and_says_so() {
    let mut options = options();
    options.engine.max_model_len = 256;
    options.engine.kv_tokens = Some(256);
    let mut watched = Watched::with(KvFormat::Map, options);
    let mut blocks = Blocks::default();
    for stream in 0..10 {
        complete(
            &watched.engine,
            &json!({"prompt": text(stream, 100), "max_tokens": 20, "ignore_eos": true}),
        );
        watched.events().iter().for_each(|event| drop(blocks.apply(event)));
        let held = blocks.digest().count;
        assert!((7..=16).contains(&held), "{held} blocks of 16 are held");
    }
    assert!(!blocks.is_behind());
    assert_eq!((blocks.ignored(), blocks.dropped()), (0, 0));
}

#[test]
fn adapters_and_salts_have_chains_of_their_own() {
    for format in [KvFormat::Map, KvFormat::Array] {
        let mut watched = Watched::new(format);
        let mut blocks = Blocks::default();
        let (mut hashes, mut seen) = (Vec::<u64>::new(), Vec::new());
        for body in [
            json!({}),
            json!({"model": "travel-helper-v1"}),
            json!({"model": "travel-helper-v2"}),
            json!({"cache_salt": "tenant-a"}),
            json!({"cache_salt": "tenant-b"}),
            json!({"model": "travel-helper-v1", "cache_salt": "tenant-a"}),
        ] {
            let mut whole = json!({"prompt": text(1, 40), "max_tokens": 1});
            crate::client::merge(&mut whole, body);
            complete(&watched.engine, &whole);
            for run in watched.stored() {
                assert!(run.extras.iter().all(|&extra| extra == 0), "adapter and salt are no further keys");
                hashes.extend(&run.hashes);
                seen.push((run.adapter.clone(), run.salt.clone()));
                blocks.apply(&Event::Stored(Box::new(run)));
            }
        }
        let (one, two) = (Some("travel-helper-v1".into()), Some("travel-helper-v2".into()));
        let (a, b) = (Some("tenant-a".into()), Some("tenant-b".into()));
        let expected: [Names; 6] =
            [(None, None), (one.clone(), None), (two, None), (None, a.clone()), (None, b), (one, a)];
        assert_eq!(seen, expected);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!((hashes.len(), blocks.digest().count), (12, 12));
    }
}

#[test]
fn a_replay_begins_where_it_is_told_to() {
    let mut watched = Watched::new(KvFormat::Array);
    complete(&watched.engine, &json!({"prompt": text(1, 60), "max_tokens": 100, "ignore_eos": true}));
    let frames = watched.frames();
    assert!(frames.len() > 5);
    let last = frames.last().unwrap().clone();
    assert_eq!(watched.replay(last.0), std::slice::from_ref(&last));
    assert_eq!(watched.replay(last.0 + 1), []);
    let all = watched.replay(0);
    assert_eq!((all[0].0, all.len() as u64), (0, last.0 + 1));
    assert!(all.ends_with(&frames));
}

#[test]
fn frames_that_claim_more_than_memory_harm_nobody() {
    let mut watched = Watched::new(KvFormat::Map);
    let events = watched.engine.kv_events().unwrap();
    let greeting = [&b"\xff\0\0\0\0\0\0\0\0\x7f\x03\0NULL"[..], &[0; 48]].concat();
    for port in [events.port(), events.port() + 1] {
        let mut hostile = connect((events.ip(), port).into());
        hostile.write_all(&greeting).unwrap();
        hostile.write_all(&[&[6][..], &(1_u64 << 50).to_be_bytes()].concat()).unwrap();
        // Cut: the engine ends the connection by itself.
        std::io::copy(&mut hostile, &mut std::io::sink()).unwrap();
    }
    complete(&watched.engine, &json!({"prompt": text(1, 40), "max_tokens": 1}));
    assert_eq!(watched.stored().len(), 1);
}

#[test]
fn a_subscriber_is_never_behind_whatever_the_traffic_and_one_that_does_not_read_holds_up_nobody() {
    let mut options = options();
    options.engine.max_model_len = 512;
    options.engine.kv_tokens = Some(1024);
    let mut watched = Watched::with(KvFormat::Map, options);
    let _idle = watched.runtime.block_on(subscriber(&watched.engine));
    thread::scope(|scope| {
        for client in 0..6_u64 {
            let engine = &watched.engine;
            scope.spawn(move || {
                for turn in 0..20_u64 {
                    // Equal prompts run side by side with answers of other lengths.
                    let (shared, own) = (text(turn % 2, 64), text((client + turn) % 4 + 10, 70));
                    let length = 10 + (client * 37 + turn * 11) % 150;
                    complete(
                        engine,
                        &json!({"prompt": shared + &own, "max_tokens": length, "ignore_eos": true}),
                    );
                    if client == 0 && turn % 7 == 6 {
                        post(engine, "/reset_prefix_cache", "");
                    }
                }
            });
        }
    });
    let events = watched.events();
    let removed = events.iter().filter(|event| matches!(event, Event::Removed(_))).count();
    assert!(removed > 100, "{removed} blocks were evicted");
    assert!(events.contains(&Event::Cleared));
    let mut blocks = Blocks::default();
    for event in &events {
        blocks.apply(event);
        assert!(!blocks.is_behind());
        assert!(blocks.digest().count <= 64);
    }
    assert_eq!((blocks.ignored(), blocks.dropped()), (0, 0));
}
