//! Where pods and routers are: behind a wire, or two routers beside each other.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use warmlane_router::kernel::{Lane, Refusal, Settings, Side, count, reason};
use warmlane_tests::{
    lane::{Relay, dial, object},
    namespace::{End, Link},
};

use super::super::{CHUNKED, LOOPBACK, chunked, pause, places::client};

fn laid() -> Arc<Lane> {
    let settings = Settings { remote: true, ..Settings::new(object()) };
    Lane::load(&settings).unwrap_or_else(|error| panic!("{error}"))
}

/// One response, of which all but head and tail takes the lane.
fn ride(mut pod: TcpStream, mut relay: Relay, mut client: TcpStream) {
    pod.set_nodelay(true).expect("open");
    let response = chunked([&b"data: 1\n\n"[..], b"data: 2\n\n"]);
    let (body, tail) = response[CHUNKED.len()..].split_at(response.len() - CHUNKED.len() - 5);
    thread::scope(|scope| {
        scope.spawn(|| {
            for piece in [CHUNKED.as_bytes(), body, tail] {
                pod.write_all(piece).expect("open");
                pause(Duration::from_millis(50));
            }
        });
        let told = relay.response().expect("it is whole");
        assert_eq!((told.chunks, told.reasons), (2, vec![reason::END]));
    });
    let mut got = vec![0; response.len()];
    client.read_exact(&mut got).expect("it comes");
    assert!(got == response);
}

/// A pod at the far end, the router and its client at the near one.
fn over(link: &Link) -> (Arc<Lane>, TcpStream, Relay, TcpStream) {
    let pods = link.at(End::Far, || TcpListener::bind((End::Far.address(), 0)).expect("a port is free"));
    let address = pods.local_addr().expect("bound");
    let (lane, client, client_side, upstream) = link.at(End::Near, || {
        let lane = laid();
        let (client, client_side) = client(&lane, (End::Near.address(), 0).into());
        let upstream = dial(&lane, Side::Remote, address);
        (lane, client, client_side, upstream)
    });
    // Who else talks to the pod is left alone.
    let (pod, _) = pods.accept().expect("it was dialled");
    let other = link.at(End::Far, || TcpStream::connect(address).expect("it listens"));
    assert_eq!(lane.upstream(&other).map(drop), Err(Refusal::Early));
    let relay = Relay::new(&lane, upstream, client_side).expect("they may take part");
    pod.set_nodelay(true).expect("open");
    (lane, pod, relay, client)
}

#[test]
fn a_pod_behind_a_wire_rides() {
    let link = Link::new();
    let (lane, pod, relay, client) = over(&link);
    ride(pod, relay, client);
    let counts = lane.counts();
    assert_eq!((counts.of(count::PODS), counts.of(count::REMOTES)), (0, 1));
}

#[test]
fn what_a_wire_loses_and_repeats_comes_once() {
    let link = Link::new();
    let (lane, mut pod, mut relay, mut client) = over(&link);
    let events: Vec<Vec<u8>> = (0..4_000).map(|at| format!("data: {at}\n\n").into()).collect();
    let response = chunked(events.iter().map(Vec::as_slice));
    let sent = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for piece in response.chunks(16) {
                pod.write_all(piece).expect("open");
                thread::sleep(Duration::from_micros(100));
            }
            sent.store(true, Relaxed);
        });
        scope.spawn(|| {
            while !sent.load(Relaxed) {
                thread::sleep(Duration::from_millis(60));
                link.cut();
                // As long as an acknowledgement is held back, so that one is lost for something that has come.
                thread::sleep(Duration::from_millis(50));
                link.mend();
            }
        });
        let router = scope.spawn(|| relay.response());
        let mut got = vec![0; response.len()];
        client.read_exact(&mut got).expect("it comes");
        assert!(got == response, "it differs");
        assert!(router.join().expect("no panic").expect("it is whole").by_lane > 0);
    });
    let counts = lane.counts();
    println!("{} of {} packets repeated", counts.of(count::REPEATED), counts.of(count::PACKETS));
    assert_eq!(counts.of(count::UNCUT) + counts.handed_over(reason::DESYNC), 0);
}

#[test]
fn of_two_routers_on_a_node_each_connection_is_ones_own() {
    let (first, second) = (laid(), laid());
    let pods = TcpListener::bind((LOOPBACK, 0)).expect("a port is free");
    let address = pods.local_addr().expect("bound");
    let (client, client_side) = client(&first, (LOOPBACK, 0).into());
    let upstream = dial(&first, Side::Remote, address);
    let (pod, _) = pods.accept().expect("it was dialled");
    assert_eq!(second.upstream(&upstream).map(drop), Err(Refusal::Early));
    assert_eq!(second.counts().of(count::REMOTES) + second.counts().of(count::REMOTES_FULL), 0);
    ride(pod, Relay::new(&first, upstream, client_side).expect("they may take part"), client);
}

#[test]
fn connections_beyond_the_map_and_those_made_before_go_by_copy() {
    let settings = Settings { remote: true, connections: 1, ..Settings::new(object()) };
    let lane = Lane::load(&settings).unwrap_or_else(|error| panic!("{error}"));
    let pods = TcpListener::bind((LOOPBACK, 0)).expect("a port is free");
    let address = pods.local_addr().expect("bound");
    let before = TcpStream::connect(address).expect("it listens");
    assert_eq!(lane.upstream(&before).map(drop), Err(Refusal::Early));
    let kept = dial(&lane, Side::Remote, address);
    assert_eq!(lane.upstream(&kept).map(|upstream| upstream.side()), Ok(Side::Remote));
    let more = dial(&lane, Side::Remote, address);
    assert_eq!(lane.upstream(&more).map(drop), Err(Refusal::Remote));
    assert_eq!(lane.counts().of(count::REMOTES_FULL), 1);
}

#[test]
fn nothing_of_it_is_loaded_where_it_was_not_asked_for() {
    let lane = Lane::load(&Settings::new(object())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((lane.programs().len(), laid().programs().len()), (2, 3));
    assert!(lane.self_test_remote().is_err());
}
