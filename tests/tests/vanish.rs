//! Ten thousand clients that vanish in random stages, and some thousands more over TLS and HTTP/2, leave nothing behind: no
//! request open, no count, no socket, no byte of the body budget.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use socket2::SockRef;
use warmlane_sim::server::{Options, Running, start};
use warmlane_tests::{
    TestRouter, eventually,
    http2::{Frames, kind},
    tls::Certificate,
};

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
    converse(&mut stream, rng)?;
    vanish(&stream, rng)
}

/// The same over TLS; some do not get through their handshake.
fn live_securely(
    address: SocketAddr,
    certificate: &Certificate,
    rng: &mut fastrand::Rng,
) -> std::io::Result<()> {
    if rng.u8(..4) == 0 {
        let mut stream = TcpStream::connect(address)?;
        // The head of a record that would hold a ClientHello, and a part of it.
        let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 200]].concat();
        stream.write_all(&hello[..rng.usize(..hello.len())])?;
        return vanish(&stream, rng);
    }
    let mut stream = certificate.connect(address, &[])?;
    converse(&mut stream, rng)?;
    vanish(&stream.sock, rng)
}

/// The same with a few streams of one HTTP/2 connection, each at a stage of its own.
fn live_many_times(address: SocketAddr, rng: &mut fastrand::Rng) -> std::io::Result<()> {
    let mut client = Frames::connect(address);
    let streams = rng.u32(0..6);
    for stream in (0..streams).map(|number| 2 * number + 1) {
        let whole = request(rng.u32(1..300), rng.usize(1..2_000));
        let body = whole.split_once("\r\n\r\n").map_or("", |(_, body)| body).as_bytes();
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/v1/completions"),
            (":authority", "h"),
            ("content-length", &body.len().to_string()),
        ];
        client.headers(stream, false, &fields);
        let sent = if rng.bool() { body } else { &body[..rng.usize(..body.len())] };
        for part in sent.chunks(8_192) {
            client.send(kind::DATA, 0, stream, part);
        }
        if sent.len() == body.len() {
            client.send(kind::DATA, 1, stream, &[]);
        }
        if rng.u8(..5) == 0 {
            client.send(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        }
    }
    let mut stream = client.stream();
    // Of a stream that is not complete nothing comes.
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    for _ in 0..rng.usize(..5) {
        let _ = stream.read(&mut [0; 512]);
    }
    vanish(stream, rng)
}

fn converse(stream: &mut (impl Read + Write), rng: &mut fastrand::Rng) -> std::io::Result<()> {
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
    Ok(())
}

fn vanish(stream: &TcpStream, rng: &mut fastrand::Rng) -> std::io::Result<()> {
    match rng.u8(..3) {
        0 => SockRef::from(stream).set_linger(Some(Duration::ZERO))?,
        1 => stream.shutdown(Shutdown::Write)?,
        _ => {}
    }
    Ok(())
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

/// So many clients, some at a time. What becomes of each is its own business.
fn crowd(clients: usize, seed: u64, live: impl Fn(&mut fastrand::Rng) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let live = &live;
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed + number as u64);
                (0..clients / THREADS).for_each(|_| live(&mut rng));
            });
        }
    });
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
    let (aware, plain) = (router.aware_address(), router.plain_address());
    let client = |rng: &mut fastrand::Rng| {
        let address = if rng.bool() { aware } else { plain };
        let _ = live(address, rng);
    };
    // Threads, pools and tables have their sizes after some of them.
    crowd(400, SEED, client);
    eventually("nothing is left of the first", || nothing_is_left(&router));
    let before = descriptors();
    crowd(CLIENTS, SEED + 100, client);
    eventually("nothing is left of them", || nothing_is_left(&router));
    eventually("no socket is left", || descriptors() <= before);
    let aborts = router.metric("warmlane_client_aborts_total");
    assert!(aborts > CLIENTS as f64 / 4.0, "{aborts} of them were noticed");
    let answer = router.aware().post("/v1/completions", r#"{"model":"m","prompt":"x","max_tokens":2}"#);
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn clients_of_tls_and_http2_that_vanish_leave_nothing_behind() {
    println!("seed {SEED}");
    let engines = [engine(), engine()];
    let certificate = Certificate::new();
    let router = TestRouter::with(&engines.each_ref().map(Running::address), |config| {
        config.tls = certificate.files();
        config.listen.aware_tls = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        // A handshake that stops half way is given up before the test is.
        config.timeouts.client_head = Duration::from_secs(1);
    });
    let (aware, secure) = (router.aware_address(), router.listening().aware_tls.expect("a TLS listener"));
    let client = |rng: &mut fastrand::Rng| {
        let _ = match rng.bool() {
            true => live_securely(secure, &certificate, rng),
            false => live_many_times(aware, rng),
        };
    };
    crowd(400, SEED, client);
    eventually("nothing is left of the first", || nothing_is_left(&router));
    let before = descriptors();
    crowd(3_000, SEED + 100, client);
    eventually("nothing is left of them", || nothing_is_left(&router));
    eventually("no socket is left", || descriptors() <= before);
    assert!(router.metric("warmlane_client_aborts_total") > 1_000.0);
    assert!(router.metric("warmlane_tls_handshake_failures_total") > 100.0);
}
