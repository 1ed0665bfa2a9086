//! Clients that stop reading, or send a byte now and then: each holds what the docs say and no more, and everybody else is
//! served.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use warmlane_tests::{Behaviour, RawEngine, TestRouter, engine::answer, eventually};

const CLIENTS: usize = 1_000;

/// What the router may hold for a client that does not read: one read from an engine, and a connection's own buffers.
const PER_CLIENT: usize = 64 * 1024 + 48 * 1024;

/// An engine that answers without end, as fast as it is read; counts what it could send.
fn torrent() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("address");
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let count = count.clone();
            let pour = move || pour(stream, &count);
            thread::Builder::new().stack_size(64 * 1024).spawn(pour).expect("a thread");
        }
    });
    (address, sent)
}

fn pour(mut stream: TcpStream, count: &AtomicU64) {
    use std::io::Read as _;
    let mut request = [0; 2_048];
    let Ok(length) = stream.read(&mut request) else { return };
    if request[..length].starts_with(b"GET ") {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let chunk = ["1000\r\n".to_owned(), "x".repeat(4_096), "\r\n".to_owned()].concat();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut bytes = [head, &chunk].concat();
    while stream.write_all(bytes.as_bytes()).is_ok() {
        count.fetch_add(bytes.len() as u64, Relaxed);
        bytes.clone_from(&chunk);
    }
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: usize = statm.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("pages");
    pages * 4_096
}

/// Waits until a count stands still.
fn settled(count: &AtomicU64) -> u64 {
    let mut last = u64::MAX;
    eventually("the engine is held back", || {
        thread::sleep(Duration::from_millis(200));
        let now = count.load(Relaxed);
        std::mem::replace(&mut last, now) == now && now > 0
    });
    last
}

#[test]
fn a_thousand_clients_that_do_not_read_hold_their_buffers_and_hold_their_engines_back() {
    let (address, sent) = torrent();
    let good = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = TestRouter::with(&[address], |config| config.limits.connections = CLIENTS + 10);
    let other = TestRouter::start(&[good.address()]);
    let ask = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    let before = resident();
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            let socket =
                socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("socket");
            // The kernel's own buffers are not what is measured here.
            socket.set_recv_buffer_size(4_096).expect("buffer size");
            socket.connect(&router.listening().aware.into()).expect("connect");
            let mut stream = TcpStream::from(socket);
            stream.write_all(ask).expect("sent");
            stream
        })
        .collect();
    eventually("all are under way", || router.in_flight() == CLIENTS as u64);
    settled(&sent);
    // The engine's threads are in this process too; each touches a page or two of its stack.
    let grown = resident().saturating_sub(before);
    assert!(grown < CLIENTS * (PER_CLIENT + 16 * 1024), "{} KiB for each", grown / CLIENTS / 1024);
    assert_eq!(other.aware().get("/x").text(), "ok", "others are served");
    drop(clients);
    eventually("everything is given back", || {
        router.in_flight() == 0 && router.metric("warmlane_client_connections") == 0.0
    });
}

#[test]
fn a_head_that_trickles_in_ends_by_its_timeout() {
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = TestRouter::with(&[engine.address()], |config| {
        config.timeouts.client_head = Duration::from_millis(100);
    });
    let mut client = router.aware();
    client.send(b"GET /x HTTP/1.1\r\nHost:");
    assert_eq!(client.response().status, 408);
    assert_eq!((client.rest().len(), engine.seen().len()), (0, 0), "closed, and nothing came of it");
}

#[test]
fn a_body_that_falls_silent_or_trickles_for_ever_ends_by_its_timeouts() {
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let silent = TestRouter::with(&[engine.address()], |config| {
        config.timeouts.client_body_idle = Duration::from_millis(100);
    });
    let mut client = silent.aware();
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc");
    assert_eq!(client.response().status, 408);
    let trickling = TestRouter::with(&[engine.address()], |config| {
        config.timeouts.client_body = Duration::from_millis(300);
    });
    let mut client = trickling.aware();
    client.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    let stream = client.into_stream();
    let mut writer = stream.try_clone().expect("a second handle");
    let trickle = thread::spawn(move || {
        while writer.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
    let mut answer = [0; 12];
    std::io::Read::read_exact(&mut &stream, &mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 408");
    drop(stream);
    trickle.join().expect("the connection was closed under it");
    assert_eq!(engine.seen().len(), 0);
    eventually("nothing is held", || trickling.metric("warmlane_body_bytes_held") == 0.0);
}

#[test]
fn connections_over_the_limit_are_closed_and_the_others_go_on() {
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = TestRouter::with(&[engine.address()], |config| config.limits.connections = 2);
    let mut first = router.aware();
    assert_eq!(first.get("/x").text(), "ok");
    let mut second = router.plain();
    assert_eq!(second.get("/x").text(), "ok");
    let mut third = router.aware();
    third.send(b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(third.rest(), b"");
    assert_eq!(first.get("/x").text(), "ok");
    drop(second);
    eventually("a place is free", || {
        let mut client = router.plain();
        client.send(b"GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        client.rest().starts_with(b"HTTP/1.1 200")
    });
}
