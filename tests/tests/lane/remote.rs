//! Responses of pods on other nodes: copied, unless the lane is asked for.

use std::{collections::HashSet, net::SocketAddr};

use super::*;

/// The router's ends of its connections to the engine.
fn connections(node: &Node) -> usize {
    node.engine.seen().into_iter().map(|seen| seen.from).collect::<HashSet<SocketAddr>>().len()
}

#[test]
fn they_ride_once_it_is_known_where_their_pod_is() {
    let mut node = Node::at(Place::Elsewhere, |_| {});
    let mut client = node.router.aware();
    for turn in 1..=3 {
        node.begin(&mut client);
        node.say_by_lane(20);
        node.finish();
        assert_eq!(client.take(node.said.len()), node.said);
        eventually("it is counted", || node.rides() == f64::from(turn));
    }
    assert_eq!(connections(&node), 2, "one that found out, and one for all that rode");
    assert_eq!(node.router.endpoints()[0]["local"], false);
    let page = node.router.admin().get("/debug/lane").json();
    assert!(page["remote"] == true && page["counts"]["remotes"].as_u64() == Some(1), "{page}");
}

#[test]
fn they_are_copied_on_one_connection_where_it_is_not_asked_for() {
    let mut node = Node::at(Place::Elsewhere, |config| config.lane.remote = RemoteLane::Off);
    let mut client = node.router.aware();
    for _ in 0..3 {
        node.copied(&mut client);
    }
    assert_eq!(node.router.metric("warmlane_lane_refusals_total{reason=\"remote\"}"), 4.0);
    assert_eq!((connections(&node), node.rides()), (1, 0.0));
}
