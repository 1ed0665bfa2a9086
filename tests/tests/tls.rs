//! TLS listeners: the same requests, answers and ends as in the clear, and certificates that change under way.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use warmlane_router::{app::App, config::Config};
use warmlane_tests::{
    Behaviour, PATIENCE, RawEngine, TestRouter, Wire,
    engine::answer,
    eventually,
    http2::Multiplexed,
    tls::{Certificate, Secure},
};

const ASK: &[u8] = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn ok() -> RawEngine {
    RawEngine::start(Behaviour::Answer(answer("text/plain", b"ok")))
}

fn free() -> Option<SocketAddr> {
    Some(SocketAddr::from(([127, 0, 0, 1], 0)))
}

fn start(engine: SocketAddr, certificate: &Certificate, change: impl FnOnce(&mut Config)) -> TestRouter {
    TestRouter::with(&[engine], |config| {
        config.tls = certificate.files();
        (config.listen.aware_tls, config.listen.plain_tls) = (free(), free());
        change(config);
    })
}

fn aware(router: &TestRouter) -> SocketAddr {
    router.listening().aware_tls.expect("a TLS listener")
}

/// Reads until the text ends with this.
fn read_to(client: &mut Secure, end: &str) -> String {
    let (mut text, mut byte) = (String::new(), [0; 1]);
    while !text.ends_with(end) && matches!(client.read(&mut byte), Ok(1)) {
        text.push(char::from(byte[0]));
    }
    text
}

fn ask(client: &mut Secure) -> String {
    client.write_all(ASK).expect("sent");
    read_to(client, "\r\n\r\nok")
}

/// Whether a client that trusts this certificate gets an answer.
fn is_in_use(router: &TestRouter, certificate: &Certificate) -> bool {
    let client = certificate.connect(aware(router), &[]);
    client.is_ok_and(|mut client| ask(&mut client).starts_with("HTTP/1.1 200"))
}

#[test]
fn both_listeners_speak_the_version_that_is_agreed_on() {
    let (engine, certificate) = (ok(), Certificate::new());
    let router = start(engine.address(), &certificate, |_| {});
    let plain = router.listening().plain_tls.expect("a TLS listener");
    for address in [aware(&router), plain] {
        for protocols in [&[][..], &["http/1.1"], &["spdy/3", "http/1.1"]] {
            let mut client = certificate.connect(address, protocols).expect("handshake");
            for _ in 0..2 {
                assert!(ask(&mut client).starts_with("HTTP/1.1 200"), "{protocols:?}");
            }
        }
        let mut client = Multiplexed::over(certificate.connect_async(address, &["h2", "http/1.1"]));
        let (head, body) = client.get("/x").answer().expect("an answer");
        assert_eq!((head.status, body.as_slice()), (200, &b"ok"[..]));
    }
    assert!(certificate.connect(plain, &["spdy/3"]).is_err(), "no version in common");
    eventually("all are gone", || router.metric("warmlane_client_connections") == 0.0);
    assert_eq!(router.metric("warmlane_tls_handshake_failures_total"), 1.0);
}

#[test]
fn tokens_arrive_as_they_come_and_a_client_that_leaves_leaves_its_engine() {
    let (engine, send) = RawEngine::in_parts();
    let certificate = Certificate::new();
    let router = start(engine.address(), &certificate, |_| {});
    let mut client = certificate.connect(aware(&router), &[]).expect("handshake");
    client.write_all(ASK).expect("sent");
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    send.send(format!("{head}8\r\ndata: 0\n\r\n").into_bytes()).expect("sent");
    assert!(read_to(&mut client, "data: 0\n\r\n").starts_with("HTTP/1.1 200"));
    for token in 1..5 {
        send.send(format!("8\r\ndata: {token}\n\r\n").into_bytes()).expect("sent");
        assert_eq!(read_to(&mut client, "\n\r\n"), format!("8\r\ndata: {token}\n\r\n"));
    }
    // Without a farewell, as a process that dies.
    drop(client);
    eventually("the engine is left", || engine.open() == 0 && router.in_flight() == 0);
}

#[test]
fn an_answer_that_is_cut_does_not_end_properly() {
    // Its end is the connection's: nothing but the way it ends tells.
    let engine = RawEngine::start(Behaviour::AnswerAndReset(b"HTTP/1.1 200 OK\r\n\r\nok".to_vec()));
    let certificate = Certificate::new();
    let router = start(engine.address(), &certificate, |_| {});
    let read_all = |certificate: &Certificate| {
        let mut client = certificate.connect(aware(&router), &[]).expect("handshake");
        client.write_all(ASK).expect("sent");
        client.read_to_end(&mut Vec::new())
    };
    assert!(read_all(&certificate).is_err());
    engine.behave(Behaviour::AnswerAndClose(b"HTTP/1.1 200 OK\r\n\r\nok".to_vec()));
    assert!(read_all(&certificate).expect("a proper end") > 2);
}

#[test]
fn a_client_that_reads_late_gets_all_of_it() {
    // Of all these lengths, some end where the kernel's buffers are full and the session's own are not empty.
    const STEP: usize = 48 * 1_024;
    let engine = RawEngine::start(Behaviour::Decide(Arc::new(|seen| {
        let length = seen.head.split(['/', ' ']).nth(2).and_then(|length| length.parse().ok());
        Behaviour::Answer(answer("text/plain", &vec![b'x'; length.expect("a length")]))
    })));
    let certificate = Certificate::new();
    let router = start(engine.address(), &certificate, |_| {});
    for length in (STEP..6 << 20).step_by(STEP) {
        let mut client = certificate.connect(aware(&router), &[]).expect("handshake");
        client.write_all(format!("GET /{length} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).expect("sent");
        thread::sleep(Duration::from_millis(10));
        assert!(read_to(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 200"));
        let mut all = vec![0; length];
        client.read_exact(&mut all).unwrap_or_else(|error| panic!("{length} bytes: {error}"));
    }
}

#[test]
fn a_renewed_certificate_is_used_and_open_connections_go_on() {
    let (engine, mut certificate) = (ok(), Certificate::new());
    let router = start(engine.address(), &certificate, |_| {});
    let mut before = certificate.connect(aware(&router), &[]).expect("handshake");
    assert!(ask(&mut before).starts_with("HTTP/1.1 200"));
    certificate.renew();
    eventually("new connections use it", || is_in_use(&router, &certificate));
    assert!(ask(&mut before).starts_with("HTTP/1.1 200"), "the open connection goes on");
    assert!(router.metric("warmlane_tls_certificate_loads_total{outcome=\"ok\"") >= 1.0);
}

#[test]
fn files_that_cannot_be_used_change_nothing() {
    let (engine, mut certificate) = (ok(), Certificate::new());
    let router = start(engine.address(), &certificate, |_| {});
    let failures = || router.metric("warmlane_tls_certificate_loads_total{outcome=\"failed\"");
    let key = std::fs::read(certificate.key()).expect("a key");
    let other = Certificate::new();
    let spoilt = [
        ("another key", Some(std::fs::read(other.key()).expect("a key"))),
        ("no key", None),
        ("garbage", Some(b"garbage".to_vec())),
        ("nothing", Some(Vec::new())),
    ];
    for (at, (what, key)) in spoilt.iter().enumerate() {
        match key {
            Some(key) => std::fs::write(certificate.key(), key).expect("written"),
            None => std::fs::remove_file(certificate.key()).expect("removed"),
        }
        eventually(what, || failures() == (at + 1) as f64);
        assert!(is_in_use(&router, &certificate), "{what}");
    }
    // Told once, however often it is looked at.
    thread::sleep(Duration::from_millis(500));
    assert_eq!(failures(), spoilt.len() as f64);
    std::fs::write(certificate.key(), key).expect("written");
    certificate.renew();
    eventually("the next good one is used", || is_in_use(&router, &certificate));
}

#[test]
fn a_handshake_that_never_comes_ends_by_its_timeout() {
    let (engine, certificate) = (ok(), Certificate::new());
    let router = start(engine.address(), &certificate, |config| {
        config.timeouts.client_head = Duration::from_millis(100);
    });
    let mut silent = Wire::connect(aware(&router));
    assert_eq!(silent.rest(), b"");
    let mut in_the_clear = Wire::connect(aware(&router));
    in_the_clear.send(ASK);
    // An alert, perhaps, but no answer.
    assert!(!in_the_clear.rest().starts_with(b"HTTP"));
    assert_eq!(engine.seen().len(), 0);
    eventually("both are counted", || router.metric("warmlane_tls_handshake_failures_total") == 2.0);
}

#[test]
fn a_drain_does_not_wait_for_a_handshake_that_has_not_begun() {
    let (engine, certificate) = (ok(), Certificate::new());
    let long = Duration::from_secs(3_600);
    let router = start(engine.address(), &certificate, |config| {
        (config.timeouts.client_head, config.timeouts.drain) = (long, long);
    });
    let _silent = Wire::connect(aware(&router));
    eventually("it is connected", || router.metric("warmlane_client_connections{listener=\"aware\"}") == 1.0);
    let (ended, drained) = mpsc::channel();
    thread::spawn(move || ended.send(router.drain()));
    assert_eq!(drained.recv_timeout(PATIENCE), Ok(0));
}

#[test]
fn a_router_with_a_certificate_that_cannot_be_used_says_so_and_does_not_start() {
    let certificate = Certificate::new();
    let why = |change: &dyn Fn(&mut Config)| {
        let mut config = Config::for_endpoints(vec!["127.0.0.1:1".to_owned()]);
        config.tls = certificate.files();
        config.listen.aware_tls = free();
        change(&mut config);
        format!("{:#}", App::start(config).expect_err("an error"))
    };
    let missing = why(&|config| config.tls.key = "/nowhere/tls.key".into());
    assert!(missing.contains("/nowhere/tls.key (tls.key)"), "{missing}");
    let swapped = why(&|config| config.tls.key = certificate.file());
    assert!(swapped.contains("holds no private key in PEM form: are the two files swapped?"), "{swapped}");
    let other = Certificate::new();
    let unfit = why(&|config| config.tls.key = other.key());
    assert!(unfit.contains("cannot be used together"), "{unfit}");
}
