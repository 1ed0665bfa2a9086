//! The known floods of HTTP/2: each is bounded, and others are served meanwhile.
//!
//! The tests of this suite wait for each other: some measure the memory of the process that holds the router.

use std::{io::Write, thread, time::Duration};

use hyper::Request;
use warmlane_tests::{
    Behaviour, RawEngine, TestRouter,
    engine::answer,
    eventually,
    http2::{Frames, Multiplexed, frame, hpack, kind},
    torrent::{resident, settled, torrent, turn},
};

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":path", "/x"), (":authority", "t")];
const POST: [(&str, &str); 4] =
    [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "t")];

fn others_are_served(router: &TestRouter) {
    assert_eq!(router.aware().get("/x").text(), "ok");
}

fn cancel() -> [u8; 4] {
    8_u32.to_be_bytes()
}

#[test]
fn streams_opened_and_reset_at_once_end_the_connection() {
    let _turn = turn();
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Frames::connect(router.aware_address());
    let mut sent = 0;
    // Until the router has had enough; a client that reads nothing notices late.
    while sent < 200_000 {
        let id = 2 * sent + 1;
        let pair =
            [frame(kind::HEADERS, 5, id, &hpack(&GET)), frame(kind::RST_STREAM, 0, id, &cancel())].concat();
        if !client.send_raw(&pair) {
            break;
        }
        sent += 1;
    }
    assert!(client.until(|_| false).is_none(), "closed");
    assert_eq!(router.metric("warmlane_http2_floods_total"), 1.0);
    assert!(engine.seen().len() < 2_000, "{} requests reached the engine", engine.seen().len());
    others_are_served(&router);
    eventually("nothing is left", || {
        router.in_flight() == 0 && router.metric("warmlane_client_connections") == 0.0
    });
}

#[test]
fn streams_reset_one_by_one_are_bounded_too() {
    let _turn = turn();
    // Each is looked at before it is reset, so that no queue fills up.
    let engine = RawEngine::start(Behaviour::Hang);
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Frames::connect(router.aware_address());
    let mut reset = 0;
    while reset < 2_000 {
        let id = 2 * reset + 1;
        let seen = engine.seen().len();
        if !client.headers(id, true, &GET) {
            break;
        }
        let mut gone = false;
        eventually("the request arrives, or the connection has ended", || {
            gone = router.metric("warmlane_http2_floods_total") > 0.0;
            gone || engine.seen().len() > seen
        });
        if gone || !client.send(kind::RST_STREAM, 0, id, &cancel()) {
            break;
        }
        reset += 1;
    }
    assert!((200..2_000).contains(&reset), "{reset} resets");
    assert_eq!(router.metric("warmlane_http2_floods_total"), 1.0);
    eventually("nothing is left", || {
        engine.open() == 0 && router.in_flight() == 0 && router.metric("warmlane_client_connections") == 0.0
    });
}

#[test]
fn a_hundred_users_who_leave_at_once_are_no_flood() {
    let _turn = turn();
    let engine = RawEngine::start(Behaviour::Hang);
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Multiplexed::connect(router.aware_address());
    let streams: Vec<_> = (0..100).map(|_| client.get("/x")).collect();
    engine.wait_for(100);
    streams.into_iter().for_each(|stream| stream.reset());
    eventually("all are gone", || engine.open() == 0 && router.in_flight() == 0);
    engine.behave(Behaviour::Answer(answer("text/plain", b"ok")));
    assert_eq!(client.get("/x").answer().expect("the connection goes on").1, b"ok");
}

#[test]
fn acknowledgements_that_nobody_reads_do_not_pile_up() {
    let _turn = turn();
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    for (kind, payload) in [(kind::PING, &b"12345678"[..]), (kind::SETTINGS, &[0, 3, 0, 0, 0, 100])] {
        let router = TestRouter::with(&[engine.address()], |config| {
            config.timeouts.client_idle = Duration::from_millis(500);
        });
        let mut client = Frames::connect(router.aware_address());
        let before = resident();
        let burst: Vec<u8> = (0..1_000).flat_map(|_| frame(kind, 0, 0, payload)).collect();
        client.stream().set_write_timeout(Some(Duration::from_millis(500))).expect("write timeout");
        // Until the router reads no more: it waits for its acknowledgements to be read.
        let sent = (0..20_000).take_while(|_| client.send_raw(&burst)).count();
        assert!(sent < 20_000, "an endless flood was taken");
        let grown = resident().saturating_sub(before);
        assert!(grown < 8 << 20, "{} KiB for one connection", grown / 1_024);
        others_are_served(&router);
        eventually("it is closed", || router.metric("warmlane_client_connections") == 0.0);
    }
}

#[test]
fn a_head_in_endless_continuations_is_cut_off() {
    let _turn = turn();
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = TestRouter::start(&[engine.address()]);
    let mut client = Frames::connect(router.aware_address());
    client.send(kind::HEADERS, 1, 1, &hpack(&GET));
    let more = hpack(&[("x-more", &"v".repeat(8_000))]);
    let before = resident();
    let sent = (0..100_000).take_while(|_| client.send(kind::CONTINUATION, 0, 1, &more)).count();
    assert!(sent < 100_000, "endless");
    assert!(resident().saturating_sub(before) < 8 << 20);
    let mut empty = Frames::connect(router.aware_address());
    empty.send(kind::HEADERS, 1, 1, &hpack(&GET));
    let sent = (0..1_000_000).take_while(|_| empty.send(kind::CONTINUATION, 0, 1, &[])).count();
    assert!(sent < 1_000_000, "endless");
    assert_eq!(engine.seen().len(), 0);
    others_are_served(&router);
}

#[test]
fn a_head_over_the_limit_is_refused_alone() {
    let _turn = turn();
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = TestRouter::with(&[engine.address()], |config| config.limits.head = 4_096);
    let mut client = Multiplexed::connect(router.aware_address());
    let request = Request::get("http://t/x").header("x-long", "v".repeat(6_000));
    let outcome = client.open(request.body(()).expect("a request"), Some(b"")).answer();
    assert!(!matches!(&outcome, Ok((head, _)) if head.status != 431), "{outcome:?}");
    assert_eq!(client.get("/x").answer().expect("an answer").1, b"ok");
    assert_eq!(engine.seen().len(), 1);
}

#[test]
fn empty_data_for_ever_is_silence() {
    let _turn = turn();
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let router = TestRouter::with(&[engine.address()], |config| {
        config.timeouts.client_body_idle = Duration::from_millis(200);
        config.timeouts.client_idle = Duration::from_millis(200);
    });
    let mut client = Frames::connect(router.aware_address());
    client.headers(1, false, &POST);
    let burst: Vec<u8> = (0..100).flat_map(|_| frame(kind::DATA, 0, 1, &[])).collect();
    let mut writer = client.stream().try_clone().expect("a second handle");
    let flood = thread::spawn(move || {
        while writer.write_all(&burst).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    });
    let ends = |kind| matches!(kind, kind::HEADERS | kind::RST_STREAM | kind::GOAWAY);
    assert!(client.until(|frame| ends(frame.kind)).is_some(), "an answer that it took too long");
    drop(client);
    assert_eq!(engine.seen().len(), 0);
    others_are_served(&router);
    eventually("it is closed", || router.metric("warmlane_client_connections") == 0.0);
    flood.join().expect("the connection was closed under it");
}

#[test]
fn windows_that_never_open_hold_back_the_engine_and_little_memory() {
    const STREAMS: u32 = 100;
    /// One read from an engine, the bridge's two directions, the answer's and the connection's own buffers.
    const PER_STREAM: usize = (64 + 2 * 32 + 64 + 48) * 1_024;
    let _turn = turn();
    let (address, sent) = torrent();
    let good = RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")));
    let (router, other) = (TestRouter::start(&[address]), TestRouter::start(&[good.address()]));
    let mut client = Frames::connect(router.aware_address());
    // A window of nothing for every stream.
    client.send(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let before = resident();
    for stream in 0..STREAMS {
        client.headers(2 * stream + 1, true, &POST);
    }
    eventually("all are under way", || router.in_flight() == u64::from(STREAMS));
    settled(&sent);
    // The engine's threads are in this process too; each touches a page or two of its stack.
    let grown = resident().saturating_sub(before);
    assert!(grown < STREAMS as usize * (PER_STREAM + 16 * 1_024), "{} KiB for each", grown / 102_400);
    others_are_served(&other);
    // Windows that open let them go on.
    client.send(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]);
    assert!(client.until(|frame| frame.kind == kind::DATA && !frame.payload.is_empty()).is_some());
    drop(client);
    eventually("everything is given back", || {
        router.in_flight() == 0 && router.metric("warmlane_client_connections") == 0.0
    });
}

#[test]
fn answers_that_are_not_read_keep_their_places_and_not_for_ever() {
    let _turn = turn();
    let engine = RawEngine::start(Behaviour::Answer(answer("text/plain", &[b'x'; 30_000])));
    let router = TestRouter::with(&[engine.address()], |config| {
        config.limits.connections = 4;
        config.timeouts.client_idle = Duration::from_millis(300);
    });
    let mut client = Frames::connect(router.aware_address());
    client.send(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let mut answered = 0;
    for stream in (0..20).map(|number| 2 * number + 1) {
        client.headers(stream, true, &GET);
        let Some(frame) = client.until(|frame| frame.stream == stream) else { break };
        answered += usize::from(frame.kind == kind::HEADERS);
    }
    assert_eq!(answered, 3, "the connection has the fourth place");
    assert!(client.until(|_| false).is_none(), "closed, since nothing is read");
    // A connection that finds no place is closed without an answer: ask when they are free.
    eventually("places are free", || router.metric("warmlane_client_connections{") == 0.0);
    assert_eq!(router.aware().get("/x").status, 200);
}

#[test]
fn streams_over_the_limit_are_refused() {
    let _turn = turn();
    let engine = RawEngine::start(Behaviour::Hang);
    let router = TestRouter::with(&[engine.address()], |config| config.limits.streams = 2);
    let mut client = Frames::connect(router.aware_address());
    // The limit is told at once; a client that does not care is refused.
    for stream in 0..4 {
        client.headers(2 * stream + 1, true, &GET);
    }
    let refused = client.until(|frame| frame.kind == kind::RST_STREAM).expect("a refusal");
    assert_eq!((refused.stream, refused.code()), (5, 7));
    engine.wait_for(2);
    assert_eq!(engine.seen().len(), 2);
}
