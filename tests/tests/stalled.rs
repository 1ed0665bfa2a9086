//! Clients that stop reading, or send a byte now and then: each holds what the docs say and no more, and everybody else is
//! served.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use warmlane_tests::{
    Behaviour, RawEngine, TestRouter,
    engine::answer,
    eventually,
    tls::Certificate,
    torrent::{narrow, resident, settled, torrent, turn},
};

const CLIENTS: usize = 1_000;

/// What the router may hold for a client that does not read: one read from an engine, and a connection's own buffers.
const PER_CLIENT: usize = 64 * 1024 + 48 * 1024;

#[test]
fn a_thousand_clients_that_do_not_read_hold_their_buffers_and_hold_their_engines_back() {
    let _turn = turn();
    let (address, sent) = torrent();
    let good = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = TestRouter::with(&[address], |config| config.limits.connections = CLIENTS + 10);
    let other = TestRouter::start(&[good.address()]);
    let ask = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    let before = resident();
    let clients: Vec<TcpStream> = (0..CLIENTS)
        .map(|_| {
            // The kernel's own buffers are not what is measured here.
            let mut stream = narrow(router.aware_address());
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
fn over_tls_a_client_that_does_not_read_holds_little_more() {
    const CLIENTS: usize = 100;
    /// In the clear, and what has been encrypted and not been sent.
    const PER_TLS_CLIENT: usize = PER_CLIENT + 64 * 1_024;
    let _turn = turn();
    let (address, sent) = torrent();
    let certificate = Certificate::new();
    let router = TestRouter::with(&[address], |config| {
        config.tls = certificate.files();
        config.listen.aware_tls = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    });
    let listener = router.listening().aware_tls.expect("a TLS listener");
    let before = resident();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let mut client = certificate.connect(listener, &[]).expect("handshake");
            let ask = b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
            client.write_all(ask).expect("sent");
            client
        })
        .collect();
    eventually("all are under way", || router.in_flight() == CLIENTS as u64);
    settled(&sent);
    let grown = resident().saturating_sub(before);
    // Clients and the engine's threads are in this process too.
    assert!(grown < CLIENTS * (PER_TLS_CLIENT + 64 * 1_024), "{} KiB for each", grown / CLIENTS / 1_024);
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
