use std::time::Duration;

use tokio::time::timeout;
use warmlane_picker::{Criticality, Strategy};

use super::*;
use crate::{
    config::{ModelRule, Objective, Target},
    kube::{Agent, ObjectName, Rewrite},
};

fn config(pools: &[&str]) -> Arc<Config> {
    let mut config = Config::for_endpoints(Vec::new());
    config.kube.pools = pools.iter().map(ToString::to_string).collect();
    config.profile = Profile { shed_queue: 77.0, ..Profile::of(Strategy::Default) };
    config.models = vec![model("chat", Criticality::Sheddable), model("other", Criticality::Critical)];
    Arc::new(config)
}

fn model(name: &str, criticality: Criticality) -> ModelRule {
    ModelRule { name: name.to_owned(), criticality, targets: Vec::new() }
}

fn pool(name: &str, replicas: &[(&str, ReplicaState)]) -> Pool {
    let replica = |(address, state): &(&str, ReplicaState)| crate::kube::Replica {
        address: (*address).to_owned(),
        pod: "pod".to_owned(),
        uid: format!("uid-{address}"),
        node: "node-a".to_owned(),
        state: *state,
        kv_events: None,
    };
    Pool {
        name: ObjectName::new("default", name),
        replicas: replicas.iter().map(replica).collect(),
        ..Pool::default()
    }
}

#[test]
fn what_the_cluster_says_of_a_pool_stands_above_the_settings() {
    let mut said = pool("a", &[]);
    said.strategy = Some(Strategy::PrefixCache);
    said.runtime = EngineKind::Sglang;
    said.replicas = pool("a", &[("10.0.0.1:80", ReplicaState::Ready)]).replicas;
    said.models = vec![model("chat", Criticality::Critical)];
    said.objectives = vec![Objective { name: "batch".to_owned(), priority: -1 }];
    let target = |name: &str| Target { name: name.to_owned(), weight: 1 };
    said.rewrites = vec![Rewrite { model: None, targets: vec![target("new")] }];
    let config = config(&["default/a", "default/b"]);
    let wanted = wanted(&Desired { pools: vec![said], ..Desired::default() }, &config, &Wanted::default());
    let names: Vec<&str> = wanted.pools.iter().map(|pool| &*pool.name).collect();
    assert_eq!(names, ["default/a", "default/b"], "also one that is not there");
    assert_eq!(wanted.pools[0].replicas[0].runtime, EngineKind::Sglang);
    let rules = &wanted.pools[0].rules;
    assert_eq!(rules.profile.weights, Profile::of(Strategy::PrefixCache).weights);
    assert!((rules.profile.shed_queue - 77.0).abs() < 0.1);
    let criticality = |name| rules.model(name).map(|rule| rule.criticality);
    assert_eq!(
        (criticality("chat"), criticality("other")),
        (Some(Criticality::Critical), Some(Criticality::Critical))
    );
    assert_eq!(rules.objective("batch"), Some(Criticality::Sheddable));
    assert_eq!(rules.targets("chat")[0].name, "new");
    assert_eq!(*wanted.pools[1].rules, Rules::of(&config));
}

#[test]
fn pods_that_are_not_ready_or_end_stay_and_get_nothing_new() {
    let states = [ReplicaState::Ready, ReplicaState::NotReady, ReplicaState::Terminating];
    let replicas: Vec<_> = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"].into_iter().zip(states).collect();
    let desired = Desired { pools: vec![pool("a", &replicas)], ..Desired::default() };
    let wanted = wanted(&desired, &config(&["default/a"]), &Wanted::default());
    let closed: Vec<_> = wanted.pools[0].replicas.iter().map(|replica| replica.closed).collect();
    assert_eq!(closed, [None, Some(Closed::NotReady), Some(Closed::Terminating)]);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_something_else_is_passed_on() {
    let (desires, desired) = watch::channel(Arc::default());
    let (cluster, (mut wanted, mut agents)) = Cluster::new(config(&["default/a"]), desired);
    tokio::spawn(cluster.run());
    let said = || Desired {
        pools: vec![pool("a", &[("10.0.0.1:80", ReplicaState::Ready)])],
        agents: vec![Agent { address: "10.0.0.9:9010".to_owned(), node: "node-a".to_owned() }],
        ..Desired::default()
    };
    desires.send_replace(Arc::new(said()));
    wanted.changed().await.expect("it runs");
    let first = wanted.borrow_and_update().clone();
    assert_eq!((first.pools[0].replicas.len(), agents.borrow_and_update().len()), (1, 1));
    desires.send_replace(Arc::new(Desired { troubles: vec!["a word".to_owned()], ..said() }));
    let nothing = timeout(Duration::from_secs(1), wanted.changed()).await;
    assert!(
        nothing.is_err() && !agents.has_changed().expect("it runs"),
        "troubles are no change of what is served"
    );
    let mut more = said();
    more.pools[0].replicas.push(pool("a", &[("10.0.0.2:80", ReplicaState::Ready)]).replicas.remove(0));
    desires.send_replace(Arc::new(more));
    wanted.changed().await.expect("it runs");
    assert!(Arc::ptr_eq(&wanted.borrow().pools[0].rules, &first.pools[0].rules), "its rules are the same");
}
