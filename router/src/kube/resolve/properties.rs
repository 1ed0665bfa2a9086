//! What holds whatever the cluster looks like: membership as a simple reader of the objects finds it, and no trace of the order
//! in which things came.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;
use warmlane_api::kube::{Labels, Pool};
use warmlane_kube::{Meta, Pod};

use super::*;

/// Few keys and values, so that pools and pods meet.
fn labels(least: usize) -> impl Strategy<Value = Labels> {
    proptest::collection::btree_map("[ab]", "[xyz]", least..3)
}

fn object(body: Body) -> Object {
    Object { meta: Meta::default(), body: Some(body), refused: None, condition: None, pool: None }
}

prop_compose! {
    fn pool()(selector in labels(1), ports in proptest::collection::btree_set(1..9_u16, 1..3)) -> Object {
        let pool = Pool { selector, ports: ports.into_iter().collect(), picker: None };
        object(Body::Pool(Declared::new(pool, None, None)))
    }
}

prop_compose! {
    fn pod()(
        labels in labels(0), ip in proptest::option::of(1..40_u8),
        ready: bool, terminating: bool, ended in proptest::bool::weighted(0.2),
    ) -> Object {
        let ip = ip.map(|last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)));
        object(Body::Pod(Pod { labels, ip, ready, terminating, ended, ..Pod::default() }))
    }
}

type Named = Vec<(Kind, ObjectName, Object)>;

fn named(kind: Kind, of: impl Strategy<Value = Object>) -> impl Strategy<Value = Named> {
    let one = ("[nm]", 0..6_u8, of);
    proptest::collection::vec(one, 0..12).prop_map(move |all| {
        let name = |(space, at, object): (String, u8, Object)| {
            (kind, ObjectName::new(space, at.to_string()), object)
        };
        all.into_iter().map(name).collect()
    })
}

fn stored(all: &Named) -> Objects {
    let mut objects = Objects::default();
    for (kind, name, object) in all {
        objects.apply(*kind, name.clone(), object.clone());
    }
    objects
}

/// The addresses that serve a pool, found the slow way.
fn expected(objects: &Objects, name: &PoolName, declared: &Declared) -> BTreeSet<String> {
    let mut addresses = BTreeSet::new();
    for (pod_name, object) in objects.of(Kind::Pod) {
        let Some(Body::Pod(pod)) = &object.body else { continue };
        let selected = declared.pool.selector.iter().all(|label| pod.labels.iter().any(|own| own == label));
        if pod_name.namespace == name.namespace && selected && !pod.ended {
            let ports = declared.pool.ports.iter();
            addresses
                .extend(pod.ip.iter().flat_map(|ip| ports.clone().map(move |port| format!("{ip}:{port}"))));
        }
    }
    addresses
}

proptest! {
    #[test]
    fn a_pool_has_exactly_its_pods_each_address_once(
        pools in named(Kind::PoolV1, pool()), pods in named(Kind::Pod, pod()),
    ) {
        let objects = stored(&[pools, pods].concat());
        let names: Vec<_> = objects.of(Kind::PoolV1).map(|(name, _)| name.clone()).collect();
        let desired = resolve(&objects, &names);
        prop_assert_eq!(desired.pools.len(), names.len());
        for pool in &desired.pools {
            let declared = objects.pool(&pool.name).expect("declared");
            let got: BTreeSet<_> = pool.replicas.iter().map(|replica| replica.address.clone()).collect();
            prop_assert_eq!(got.len(), pool.replicas.len());
            prop_assert_eq!(got, expected(&objects, &pool.name, declared));
        }
    }

    #[test]
    fn the_order_in_which_objects_came_leaves_no_trace(
        pools in named(Kind::PoolX, pool()), pods in named(Kind::Pod, pod()),
    ) {
        let forward: BTreeMap<_, _> =
            [pools, pods].concat().into_iter().map(|(kind, name, object)| ((kind, name), object)).collect();
        let all: Named = forward.into_iter().map(|((kind, name), object)| (kind, name, object)).collect();
        let back: Named = all.iter().rev().cloned().collect();
        let names: Vec<_> = (0..6).map(|at| ObjectName::new("n", at.to_string())).collect();
        let reversed: Vec<_> = names.iter().rev().cloned().collect();
        prop_assert_eq!(resolve(&stored(&all), &names), resolve(&stored(&back), &reversed));
    }
}
