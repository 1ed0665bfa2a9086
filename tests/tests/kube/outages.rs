//! Watches that end in every way, and an API server that is away: nothing is forgotten meanwhile, nothing is missed, and nothing
//! that went in the dark remains.

use warmlane_tests::{
    eventually,
    kube::{FakeApi, Resource},
};

use crate::{
    cluster::{Cluster, found},
    objects::{key, pod, pool},
};

const WATCHES: usize = 9;

fn cluster() -> Cluster {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 1));
    api.put(pod("a", "qwen", "10.0.0.1"));
    api.put(pod("b", "qwen", "10.0.0.2"));
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until_addresses(&["10.0.0.1:1", "10.0.0.2:1"]);
    cluster.until_watched(WATCHES);
    cluster.api.take_log();
    cluster
}

fn lists(cluster: &Cluster) -> usize {
    cluster.api.take_log().iter().filter(|call| call.verb == "list" && call.resource == "pods").count()
}

#[test]
fn a_watch_that_ends_or_breaks_inside_an_object_goes_on_where_it_was() {
    let cluster = cluster();
    for (at, end) in [FakeApi::end_watches, FakeApi::break_watches].into_iter().enumerate() {
        end(&cluster.api);
        let (gone, new) = (["a", "c"][at], ["c", "d"][at]);
        cluster.api.remove(&key(Resource::PODS, gone));
        cluster.api.put(pod(new, "qwen", &format!("10.0.1.{at}")));
        let address = format!("10.0.1.{at}:1");
        cluster.until_addresses(&["10.0.0.2:1", &address]);
        cluster.until_watched(WATCHES);
    }
    assert_eq!(lists(&cluster), 0, "no need to list anew");
}

#[test]
fn history_that_is_gone_is_answered_by_a_new_list_and_leaves_no_ghost() {
    for as_status in [true, false] {
        let cluster = cluster();
        cluster.api.go_away();
        eventually("all watches are gone", || cluster.api.watches() == 0);
        cluster.api.remove(&key(Resource::PODS, "a"));
        cluster.api.expire(as_status);
        cluster.api.come_back();
        cluster.until_addresses(&["10.0.0.2:1"]);
        cluster.until_watched(WATCHES);
        assert!(lists(&cluster) >= 1, "as status: {as_status}");
    }
}

#[test]
fn an_api_server_that_is_away_is_told_and_what_was_known_stays() {
    let cluster = cluster();
    cluster.api.go_away();
    cluster.api.remove(&key(Resource::PODS, "a"));
    let desired = cluster.until_told("cannot be reached");
    assert_eq!(found(&desired), ["10.0.0.1:1", "10.0.0.2:1"]);
    assert!(desired.pools[0].found);
    cluster.api.come_back();
    cluster.until_addresses(&["10.0.0.2:1"]);
    cluster.until_well();
}

#[test]
fn an_api_server_that_comes_late_is_waited_for() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 1));
    api.put(pod("a", "qwen", "10.0.0.1"));
    api.go_away();
    let cluster = Cluster::late(api, &["qwen"]);
    cluster.api.come_back();
    cluster.until_addresses(&["10.0.0.1:1"]);
    cluster.until_well();
}

#[test]
fn a_list_whose_pages_are_forgotten_half_way_is_begun_anew() {
    let api = FakeApi::start();
    api.put(pool("qwen", "qwen", 1));
    for at in 0..600_u32 {
        api.put(pod(&format!("pod-{at:03}"), "qwen", &format!("10.0.{}.{}", at >> 8, at & 255)));
    }
    api.expire_pages(1);
    let cluster = Cluster::watching(api, &["qwen"]);
    cluster.until("all pods", |desired| desired.pools.first().is_some_and(|pool| pool.replicas.len() == 600));
}
