//! Which responses take the lane.

use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;

#[test]
fn streams_come_as_they_were_sent_one_after_the_other_on_the_same_connections() {
    let mut node = Node::new();
    let mut client = node.router.aware();
    for turn in 1..=3 {
        node.begin(&mut client);
        node.say_by_lane(20);
        node.finish();
        assert_eq!(client.take(node.said.len()), node.said);
        eventually("it is counted", || node.rides() == f64::from(turn));
    }
    assert_eq!(node.router.endpoints()[0]["local"], true);
}

#[test]
fn in_a_pinned_lane_only_sessions_ride() {
    let mut node = Node::with(|config| config.lane.mode = LaneMode::Pinned);
    for headers in ["x-session-id: 7\r\n", ""] {
        let mut client = node.router.aware();
        node.begin_with(&mut client, headers, STREAM);
        if headers.is_empty() {
            node.say_event();
        } else {
            node.say_by_lane(1);
        }
        assert_eq!(client.take(node.said.len()), node.said);
        node.finish();
        assert_eq!(client.take(END.len()), END);
        eventually("all is done", || node.router.in_flight() == 0);
        assert_eq!(node.rides(), 1.0, "{headers}");
    }
    let page = node.router.admin().get("/debug/pins").json();
    let pin = &page["sessions"]["pins"][0];
    assert_eq!((&pin["local"], &pin["lane"]["responses"]), (&true.into(), &1.into()), "{page}");
    assert!(
        pin["lane"]["bytes"].as_u64() > Some(20) && pin["lane"]["wakeups_saved"].as_u64() > Some(0),
        "{page}"
    );
}

#[test]
fn what_would_not_gain_is_copied() {
    let mut node = Node::new();
    let short = r#"{"model":"m","prompt":"p","stream":true,"max_tokens":7}"#;
    let whole = r#"{"model":"m","prompt":"p"}"#;
    for body in [short, whole] {
        let mut client = node.router.aware();
        node.begin_with(&mut client, "", body);
        let event = node.say_event();
        assert_eq!(client.take(event.len()), event);
        node.finish();
        assert_eq!(client.take(END.len()), END);
    }
    node.answer(Behaviour::Parts);
    let mut client = node.router.aware();
    client.begin_post(COMPLETIONS, "", STREAM);
    node.say(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n123");
    node.say(b"456");
    node.say(b"789");
    assert_eq!(client.response().body, b"123456789");
    eventually("all is done", || node.router.in_flight() == 0);
    assert_eq!(node.router.metric("warmlane_lane_responses_total"), 0.0);
    assert_eq!(node.router.metric("warmlane_lane_refusals_total"), 0.0, "nor was it tried");
}

#[test]
fn many_events_in_one_message_and_one_in_many_come_as_they_were_sent() {
    let mut node = Node::new();
    let mut client = node.router.aware();
    node.begin(&mut client);
    let all: Vec<u8> = (1..200).flat_map(event).collect();
    for piece in [&all[..3_000], &all[3_000..3_001], &all[3_001..9_000], &all[9_000..]] {
        node.say(piece);
        thread::sleep(Duration::from_millis(5));
    }
    node.finish();
    assert_eq!(client.take(node.said.len()), [&all, END].concat());
}

#[test]
fn a_stream_of_a_known_length_rides_to_its_last_byte() {
    let mut node = Node::new();
    let mut client = node.router.aware();
    for turn in 1..=2 {
        node.answer(Behaviour::Parts);
        client.begin_post(COMPLETIONS, "", STREAM);
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 3000\r\n\r\n";
        node.say(head.as_bytes());
        node.said.clear();
        node.say_event();
        client.head();
        while node.said.len() < 2_900 {
            node.say_by_lane(1);
        }
        node.say(&vec![b'\n'; 3_000 - node.said.len()]);
        node.parts = None;
        assert_eq!(client.take(3_000), node.said);
        eventually("it is counted", || node.rides() == f64::from(turn));
    }
    assert_eq!(ended(&node.router, "response_cut"), 0.0);
}

#[test]
fn a_client_that_comes_as_the_router_starts_rides_too() {
    // A port that was free a moment ago, of an address that nobody else listens on.
    let free =
        TcpListener::bind("127.46.81.17:0").and_then(|port| port.local_addr()).expect("a port is free");
    let first = thread::spawn(move || {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            if let Ok(stream) = TcpStream::connect(free) {
                return Wire::over(stream);
            }
        }
        panic!("the router does not listen");
    });
    let mut node = Node::with(|config| config.listen.aware = Some(free));
    let mut client = first.join().expect("it is let in");
    node.begin(&mut client);
    node.say_by_lane(2);
    node.finish();
    assert_eq!(client.take(node.said.len()), node.said);
}

#[test]
fn an_engine_whose_address_is_replaced_as_the_router_connects_rides_too() {
    let engine = RawEngine::start(Behaviour::Hang);
    // The system connects to another address than this one, as it does for a service's.
    let elsewhere = SocketAddr::new([0, 0, 0, 0].into(), engine.address().port());
    let router = TestRouter::with(&[elsewhere], |config| config.lane.mode = LaneMode::All);
    let mut node = Node { router, engine, parts: None, said: Vec::new(), number: 0, _cgroup: None };
    let mut client = node.router.aware();
    node.begin(&mut client);
    node.say_by_lane(4);
    node.finish();
    assert_eq!(client.take(node.said.len()), node.said);
}

#[test]
fn sessions_among_others_ride_on_connections_of_their_own() {
    let mut node = Node::with(|config| (config.lane.mode, config.workers) = (LaneMode::Pinned, 1));
    for _ in 0..4 {
        for headers in ["", "x-session-id: 7\r\n"] {
            let mut client = node.router.aware();
            node.begin_with(&mut client, headers, STREAM);
            for _ in 0..3 {
                let event = node.say_event();
                assert_eq!(client.take(event.len()), event);
                thread::sleep(Duration::from_millis(2));
            }
            node.finish();
            assert_eq!(client.take(END.len()), END);
            eventually("all is done", || node.router.in_flight() == 0);
        }
    }
    assert_eq!(node.rides(), 4.0);
    let from = node.engine.seen().into_iter().map(|seen| seen.from).collect::<std::collections::HashSet<_>>();
    assert_eq!(from.len(), 2, "each kind keeps one");
    // A program runs for each message of those that ride, and of no others.
    let page = node.router.admin().get("/debug/lane").json();
    assert_eq!((&page["counts"]["pods"], &page["counts"]["upstreams"]), (&1.into(), &1.into()), "{page}");
}
