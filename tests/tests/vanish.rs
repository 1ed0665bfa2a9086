//! Ten thousand clients that vanish in random stages leave nothing behind: no request open, no count, no socket, no byte of
//! the body budget.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use socket2::SockRef;
use warmlane_sim::server::{Options, Running, start};
use warmlane_tests::{TestRouter, eventually};

const CLIENTS: usize = 10_000;
const THREADS: usize = 8;
const SEED: u64 = 20_261_127;

/// Where a client vanishes.
const STAGES: [Stage; 9] = [
    Stage::Connect,
    Stage::Head,
    Stage::Body,
    Stage::Sent,
    Stage::Chunks,
    Stage::FirstByte,
    Stage::MidStream,
    Stage::Unread,
    Stage::Pipelined,
];

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Before its first byte.
    Connect,
    /// Within its head.
    Head,
    /// Within its body.
    Body,
    /// Right behind its last byte.
    Sent,
    /// Within a chunk of its body.
    Chunks,
    /// With the first byte of its answer.
    FirstByte,
    /// After some events.
    MidStream,
    /// With all of its answer unread.
    Unread,
    /// With a second request sent behind the first.
    Pipelined,
}

fn engine() -> Running {
    let mut options = Options::new("m");
    options.time_scale = 20.0;
    start(options).expect("the simulated engine starts")
}

fn request(tokens: u32, words: usize) -> String {
    let prompt = "word ".repeat(words);
    let body = format!(
        r#"{{"model":"m","prompt":"{prompt}","max_tokens":{tokens},"stream":true,"ignore_eos":true}}"#
    );
    format!("POST /v1/completions HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// One client's life. What fails on the way is its own business: it is about to vanish.
fn live(address: SocketAddr, rng: &mut fastrand::Rng) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let stage = STAGES[rng.usize(..STAGES.len())];
    let whole = request(rng.u32(1..300), rng.usize(1..2_000));
    let head_end = whole.find("\r\n\r\n").map_or(0, |at| at + 4);
    let sent: String = match stage {
        Stage::Connect => String::new(),
        Stage::Head => whole[..rng.usize(1..head_end)].to_owned(),
        Stage::Body => whole[..rng.usize(head_end..whole.len())].to_owned(),
        Stage::Chunks => {
            "POST /v1/completions HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"model"
                .to_owned()
        }
        Stage::Sent | Stage::FirstByte | Stage::MidStream | Stage::Unread => whole,
        Stage::Pipelined => whole.repeat(2),
    };
    stream.write_all(sent.as_bytes())?;
    let reads = match stage {
        Stage::FirstByte | Stage::Pipelined => 1,
        Stage::MidStream => rng.usize(2..6),
        _ => 0,
    };
    for _ in 0..reads {
        if stream.read(&mut [0; 512])? == 0 {
            break;
        }
    }
    match rng.u8(..3) {
        0 => SockRef::from(&stream).set_linger(Some(Duration::ZERO))?,
        1 => stream.shutdown(Shutdown::Write)?,
        _ => {}
    }
    Ok(())
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn crowd(router: &TestRouter, clients: usize, seed: u64) {
    let listening = router.listening();
    let threads = (0..THREADS).map(|number| {
        thread::spawn(move || {
            let mut rng = fastrand::Rng::with_seed(seed + number as u64);
            for _ in 0..clients / THREADS {
                let address = if rng.bool() { listening.aware } else { listening.plain };
                let _ = live(address, &mut rng);
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    threads.into_iter().for_each(|thread| thread.join().expect("a client thread ends"));
}

fn nothing_is_left(router: &TestRouter) -> bool {
    let signal = |endpoint: &serde_json::Value, name: &str| endpoint["signals"][name]["value"] == 0.0;
    router.in_flight() == 0
        && router.metric("warmlane_client_connections") == 0.0
        && router.metric("warmlane_body_bytes_held") == 0.0
        && router.endpoints().iter().all(|endpoint| signal(endpoint, "running") && signal(endpoint, "queue"))
}

#[test]
fn ten_thousand_clients_that_vanish_leave_nothing_behind() {
    println!("seed {SEED}");
    let engines = [engine(), engine(), engine()];
    let router = TestRouter::start(&engines.each_ref().map(Running::address));
    // Threads, pools and tables have their sizes after some of them.
    crowd(&router, 400, SEED);
    eventually("nothing is left of the first", || nothing_is_left(&router));
    let before = descriptors();
    crowd(&router, CLIENTS, SEED + 100);
    eventually("nothing is left of them", || nothing_is_left(&router));
    eventually("no socket is left", || descriptors() <= before);
    let aborts = router.metric("warmlane_client_aborts_total");
    assert!(aborts > CLIENTS as f64 / 4.0, "{aborts} of them were noticed");
    let answer = router.aware().post("/v1/completions", r#"{"model":"m","prompt":"x","max_tokens":2}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
}
