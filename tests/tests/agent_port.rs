//! Who comes to an agent's port and is no router: let go, and in nobody's way.

use std::{
    io::Read,
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use warmlane_tests::{
    PATIENCE, TestRouter,
    agent::TestAgent,
    eventually,
    http2::{Frames, kind},
    picker::engines,
    tls::Certificate,
};

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("read timeout");
    stream
}

/// Whether this machine has a connection of its own from one port to another, as the kernel lists them.
fn is_open(from: u16, to: u16) -> bool {
    const ESTABLISHED: &str = "01";
    let (from, to) = (format!(":{from:04X}"), format!(":{to:04X}"));
    let all = std::fs::read_to_string("/proc/self/net/tcp").expect("the kernel's list");
    let is_it = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words[1].ends_with(&from) && words[2].ends_with(&to) && words[3] == ESTABLISHED
    };
    all.lines().skip(1).any(is_it)
}

/// Asks to be told as a router does that has all the room in the world.
fn follow(client: &mut Frames) {
    const MOST: u32 = i32::MAX as u32;
    const WINDOW_UPDATE: u8 = 8;
    let window = [&4_u16.to_be_bytes()[..], &MOST.to_be_bytes()].concat();
    client.send(kind::SETTINGS, 0, 0, &window);
    client.send(WINDOW_UPDATE, 0, 0, &(MOST - 65_535).to_be_bytes());
    let head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/warmlane.node.v1.Node/Follow"),
        (":authority", "agent"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    assert!(client.headers(1, false, &head) && client.send(kind::DATA, 1, 1, &[0; 5]));
}

/// Whether the other side ends it before patience does.
fn is_let_go(mut stream: impl Read) -> bool {
    let mut said = Vec::new();
    let end = stream.read_to_end(&mut said);
    // By an end or by a reset; to wait in vain is an error of another kind.
    end.err().is_none_or(|error| error.kind() != std::io::ErrorKind::WouldBlock)
}

#[test]
fn connections_that_say_nothing_are_let_go_and_routers_follow_beside_them() {
    let (_engines, addresses) = engines(1);
    let agent = TestAgent::start(&addresses);
    let silent: Vec<TcpStream> = (0..32).map(|_| connect(agent.address())).collect();
    let router = TestRouter::with(&addresses, |config| config.agents = vec![agent.address().to_string()]);
    let follows = || router.admin().get("/debug/agents").json()["agents"][0]["connected"] == true;
    eventually("it follows", follows);
    assert!(silent.into_iter().all(is_let_go));
    assert!(follows() && router.metric("warmlane_node_losses_total{") == 0.0, "it goes on");
}

#[test]
fn so_are_those_that_fall_silent_after_the_handshake_of_tls() {
    let (_engines, addresses) = engines(1);
    let shown = Certificate::new();
    let agent = TestAgent::with(&addresses, |config| {
        config.tls = Some(warmlane_tls::Pair { certificate: shown.file(), key: shown.key() });
    });
    let silent: Vec<_> =
        (0..8).map(|_| shown.connect(agent.address(), &["h2"]).expect("a handshake")).collect();
    assert!(silent.into_iter().all(is_let_go));
    assert_eq!(agent.metric("warmlane_agent_tls_handshake_failures_total"), 0.0);
}

#[test]
fn so_are_those_that_speak_and_follow_nothing() {
    let (_engines, addresses) = engines(1);
    let agent = TestAgent::start(&addresses);
    let mut idle = Frames::connect(agent.address());
    assert!(idle.send(kind::PING, 0, 0, &[7; 8]));
    assert!(idle.until(|frame| frame.kind == kind::PING).is_some(), "it is let in");
    let began = Instant::now();
    while let Some(frame) = idle.read() {
        // Whoever answers is there, as far as HTTP/2 can tell.
        if frame.kind == kind::PING && frame.flags == 0 {
            idle.send(kind::PING, 1, 0, &frame.payload);
        }
        assert!(began.elapsed() < PATIENCE, "it is let go");
    }
}

#[test]
fn so_is_a_router_that_takes_nothing_of_what_it_is_told() {
    let (engines, addresses) = engines(1);
    // More than the kernel keeps for a connection.
    let model = |n| format!(r#"{{"id":"{n}","about":"{}"}}"#, "m".repeat(60_000));
    let models = (0..130).map(model).collect::<Vec<_>>().join(",");
    engines[0].models(&format!(r#"{{"data":[{models}]}}"#));
    let agent = TestAgent::start(&addresses);
    let stream = connect(agent.address());
    socket2::SockRef::from(&stream).set_recv_buffer_size(4_096).expect("a small buffer");
    let port = stream.local_addr().expect("an address").port();
    let mut stopped = Frames::over(stream);
    follow(&mut stopped);
    assert!(stopped.until(|frame| frame.kind == kind::DATA).is_some(), "it is told");
    assert!(is_open(agent.address().port(), port));
    eventually("it is let go", || !is_open(agent.address().port(), port));
}
