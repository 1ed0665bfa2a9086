//! Pods where they really are: behind a socket for both families, and in a network namespace of their own.

use std::{
    io::{Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::Duration,
};

use warmlane_router::kernel::{Lane, Refusal, Settings, Side, count, reason};
use warmlane_tests::{
    eventually,
    lane::{Relay, dial, object},
    namespace::{End, Link},
};

use super::{CHUNKED, LOOPBACK, chunked, pause};

fn laid() -> Arc<Lane> {
    Lane::load(&Settings::new(object())).unwrap_or_else(|error| panic!("{error}"))
}

/// A client's connection to the router, both ends.
pub(super) fn client(lane: &Lane, address: SocketAddr) -> (TcpStream, TcpStream) {
    let front = TcpListener::bind(address).expect("a port is free");
    let front_address = front.local_addr().expect("bound");
    assert!(lane.serve(front_address.port()));
    let client = TcpStream::connect(front_address).expect("it listens");
    client.set_read_timeout(Some(Duration::from_secs(10))).expect("open");
    (client, front.accept().expect("it was dialled").0)
}

/// The pod's end of a connection may be established a moment after the router's.
fn relay(lane: &Arc<Lane>, upstream: TcpStream, client_side: TcpStream) -> Relay {
    eventually("the pod's end is seen", || lane.upstream(&upstream).map(drop) != Err(Refusal::Remote));
    Relay::new(lane, upstream, client_side).expect("they may take part")
}

/// One response, of which all but head and tail takes the lane.
fn ride(mut pod: TcpStream, mut relay: Relay, mut client: TcpStream) {
    let response = chunked([&b"data: 1\n\n"[..], b"data: 2\n\n"]);
    thread::scope(|scope| {
        scope.spawn(|| {
            pod.write_all(CHUNKED.as_bytes()).expect("open");
            pause(Duration::from_millis(50));
            pod.write_all(&response[CHUNKED.len()..]).expect("open");
        });
        let told = relay.response().expect("it is whole");
        assert_eq!((told.chunks, told.reasons), (2, vec![reason::END]));
    });
    let mut got = vec![0; response.len()];
    client.read_exact(&mut got).expect("it comes");
    assert!(got == response);
}

#[test]
fn a_pod_that_listens_for_both_families_is_found_over_ipv4() {
    let lane = laid();
    let pods = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("a port is free");
    let address = SocketAddr::from((LOOPBACK, pods.local_addr().expect("bound").port()));
    let (client, client_side) = client(&lane, (LOOPBACK, 0).into());
    let upstream = dial(&lane, Side::Local, address);
    let (pod, _) = pods.accept().expect("it was dialled");
    ride(pod, relay(&lane, upstream, client_side), client);
}

#[test]
fn a_pod_in_a_network_namespace_of_its_own_rides_too() {
    let link = Link::new();
    let pods = link.at(End::Far, || TcpListener::bind((End::Far.address(), 0)).expect("a port is free"));
    let address = pods.local_addr().expect("bound");
    let (lane, client, client_side, upstream) = link.at(End::Near, || {
        let lane = laid();
        let (client, client_side) = client(&lane, (End::Near.address(), 0).into());
        let upstream = dial(&lane, Side::Local, address);
        (lane, client, client_side, upstream)
    });
    let (pod, _) = pods.accept().expect("it was dialled");
    ride(pod, relay(&lane, upstream, client_side), client);
    // Who else talks to the pod, there or here in another namespace, is left alone.
    let other = link.at(End::Far, || TcpStream::connect(address).expect("it listens"));
    let _pod = pods.accept().expect("it was dialled");
    assert_eq!(lane.upstream(&other).map(drop), Err(Refusal::Early));
    assert_eq!(lane.counts().of(count::PODS), 1);
}

#[test]
fn of_two_routers_beside_each_other_the_connections_to_one_pod_ride_with_their_own() {
    let lanes = [laid(), laid()];
    let pods = TcpListener::bind((LOOPBACK, 0)).expect("a port is free");
    let address = pods.local_addr().expect("bound");
    let exchanges = lanes.each_ref().map(|lane| {
        let (client, client_side) = client(lane, (LOOPBACK, 0).into());
        let upstream = dial(lane, Side::Local, address);
        (pods.accept().expect("it was dialled").0, client_side, client, upstream)
    });
    for (lane, (.., others)) in lanes.iter().zip(exchanges.iter().rev()) {
        assert_eq!(lane.upstream(others).map(drop), Err(Refusal::Early));
    }
    for (lane, (pod, client_side, client, upstream)) in lanes.iter().zip(exchanges) {
        ride(pod, relay(lane, upstream, client_side), client);
        assert_eq!((lane.counts().of(count::PODS), lane.counts().of(count::PODS_FULL)), (1, 0));
    }
}
