//! What a binary asks of the API server is what its account may do: no less, and no more.
//!
//! A binary goes through a life of its watches against the fake API server, which notes what it is asked. Discovery and health are
//! not noted: every account may read their paths, by the cluster's own role `system:discovery`.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::{Value, json};
use tempfile::TempDir;
use warmlane_tests::{
    eventually,
    kube::{FakeApi, Key, Logged, Resource},
};

use super::{
    cluster::{Cluster, model},
    privileged::{Owned, arguments, listening, workload, workload_of},
    privileges::account as account_of,
    rendered::{SETS, all, containers, list, tool},
};

/// What one rule allows, word by word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    verb: &'static str,
    group: &'static str,
    /// With its subresource.
    resource: &'static str,
    /// Only the object of this name.
    name: Option<&'static str>,
    /// Only there.
    namespace: Option<&'static str>,
}

// === Grant ===

impl Grant {
    fn allows(&self, asked: &Logged) -> bool {
        let slash = if asked.subresource.is_empty() { "" } else { "/" };
        let resource = format!("{}{slash}{}", asked.resource, asked.subresource);
        (self.verb, self.group, self.resource) == (asked.verb, asked.group.as_str(), resource.as_str())
            && self.name.is_none_or(|name| name == asked.name)
            && self.namespace.is_none_or(|namespace| namespace == asked.namespace)
    }
}

/// The words of a list; one empty list stands for any.
fn words(value: &'static Value) -> Vec<&'static str> {
    list(value).iter().map(|word| word.as_str().expect("a word")).collect()
}

/// All that an account of ours may do, by whatever binds it in any of the sets: a name of `warmlane-system`, or
/// `NAMESPACE/NAME`.
fn granted(account: &str) -> BTreeSet<Grant> {
    let account = account.split_once('/').unwrap_or(("warmlane-system", account));
    let is_bound = |object: &Value| {
        object["kind"].as_str().is_some_and(|kind| kind.ends_with("Binding"))
            && list(&object["subjects"]).iter().any(|subject| account_of(subject) == account)
    };
    let mut grants = BTreeSet::new();
    for (set, binding) in all().filter(|(_, object)| is_bound(object)) {
        // A ClusterRole that a RoleBinding grants holds where the binding is.
        let namespace = binding["metadata"]["namespace"].as_str();
        let named = |object: &&Value| {
            object["kind"] == binding["roleRef"]["kind"]
                && object["metadata"]["name"] == binding["roleRef"]["name"]
                && (object["kind"] == "ClusterRole" || object["metadata"]["namespace"].as_str() == namespace)
        };
        let role = SETS["base"].iter().chain(&SETS[set]).find(named).expect("a role");
        for rule in list(&role["rules"]) {
            let names = words(&rule["resourceNames"]);
            let names = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
            for verb in words(&rule["verbs"]) {
                for group in words(&rule["apiGroups"]) {
                    for resource in words(&rule["resources"]) {
                        let grant =
                            |name: &Option<_>| Grant { verb, group, resource, name: *name, namespace };
                        grants.extend(names.iter().map(grant));
                    }
                }
            }
        }
    }
    grants
}

/// Compares what was asked with what the account may do.
///
/// # Panics
/// With all that was asked and is not granted, and all that is granted and was not asked.
fn compare(asked: &BTreeSet<Logged>, account: &str) {
    let grants = granted(account);
    assert!(!asked.is_empty() && !grants.is_empty(), "{account}: {asked:?} of {grants:?}");
    let missing: Vec<_> =
        asked.iter().filter(|asked| !grants.iter().any(|grant| grant.allows(asked))).collect();
    let idle: Vec<_> = grants.iter().filter(|grant| !asked.iter().any(|asked| grant.allows(asked))).collect();
    assert!(
        missing.is_empty() && idle.is_empty(),
        "{account}: not granted: {missing:#?}; never used: {idle:#?}"
    );
}

/// Starts a pod's program by its manifest's arguments, outside of a cluster.
fn started(pod: &'static Value, binary: &'static str, cluster: &Cluster, folder: &Path) -> Owned {
    let container = containers(pod)[0];
    let kubeconfig = folder.join("kubeconfig");
    cluster.api.write_kubeconfig(&kubeconfig).expect("a kubeconfig");
    let mut command = Command::new(tool("WARMLANE_BIN_DIR").join(binary));
    command.args(arguments(binary, container, folder));
    command.arg(format!("--kubeconfig={}", kubeconfig.display()));
    listening(&mut command, folder).0
}

/// Has what is watched go through all that befalls watches.
fn disturb(api: &FakeApi, watches: usize) {
    eventually("all is watched", || api.watches() == watches);
    for end in [FakeApi::end_watches, FakeApi::break_watches] {
        end(api);
        eventually("all is watched again", || api.watches() == watches);
    }
    api.go_away();
    eventually("all watches are gone", || api.watches() == 0);
    api.expire(true);
    api.come_back();
    eventually("all is listed and watched anew", || api.watches() == watches);
}

/// All that a router asks for in its life, whose Lease is in this namespace.
fn life_of_a_router(pod: &'static Value, namespace: &str) -> BTreeSet<Logged> {
    let (cluster, folder) = (Cluster::new(), TempDir::new().expect("a folder"));
    let api = &cluster.api;
    let router = started(pod, "warmlane-router", &cluster, folder.path());
    eventually("the model is accepted", || cluster.accepted("chat").as_deref() == Some("Accepted"));
    // Eight resources where the pool is, and where the agents are.
    disturb(api, 9);
    api.remove_crd(Resource::OBJECTIVES);
    api.add_crd(Resource::OBJECTIVES);
    api.put(model("second"));
    eventually("it writes what is new", || cluster.accepted("second").as_deref() == Some("Accepted"));
    let lease = Key::new(Resource::LEASES, namespace, "warmlane-router");
    let transitions = || api.get(&lease).map(|lease| lease["spec"]["leaseTransitions"].clone());
    // Another has it for a second, and is silent.
    api.patch(&lease, &json!({"spec": {"holderIdentity": "another", "leaseDurationSeconds": 1}}));
    eventually("it has the Lease again", || transitions() == Some(json!(1)));
    drop(router);
    api.take_log().into_iter().collect()
}

#[test]
fn the_router_asks_for_what_its_account_may_do_and_for_nothing_else() {
    compare(&life_of_a_router(workload("warmlane-router"), "warmlane-system"), "warmlane-router");
}

#[test]
fn routers_beside_a_pool_ask_for_what_their_account_may_do_and_for_nothing_else() {
    let pod = workload_of("examples/qwen/router", "warmlane-router");
    compare(&life_of_a_router(pod, "llm"), "llm/warmlane-router");
}

#[test]
fn the_agent_asks_for_what_its_account_may_do_and_for_nothing_else() {
    let (cluster, folder) = (Cluster::new(), TempDir::new().expect("a folder"));
    let agent = started(workload("warmlane-agent"), "warmlane-agent", &cluster, folder.path());
    // Pods, and pools of both versions.
    disturb(&cluster.api, 3);
    drop(agent);
    compare(&cluster.api.take_log().into_iter().collect(), "warmlane-agent");
}

/// What the comparison itself would say.
#[test]
fn a_rule_too_few_and_a_rule_too_many_are_found() {
    let mut asked = BTreeSet::new();
    for grant in granted("warmlane-agent") {
        asked.insert(Logged {
            verb: grant.verb,
            group: grant.group.to_owned(),
            resource: grant.resource.to_owned(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
        });
    }
    compare(&asked, "warmlane-agent");
    let first = asked.first().cloned().expect("a rule");
    let more = asked.iter().cloned().chain([Logged { resource: "secrets".to_owned(), ..first.clone() }]);
    let more: BTreeSet<Logged> = more.collect();
    let fewer: BTreeSet<Logged> = asked.iter().filter(|asked| **asked != first).cloned().collect();
    for (asked, what) in [(more, "not granted: [\n    Logged"), (fewer, "never used: [\n    Grant")] {
        let found = std::panic::catch_unwind(|| compare(&asked, "warmlane-agent")).expect_err("it is found");
        let said = found.downcast_ref::<String>().expect("text");
        assert!(said.contains(what), "{said}");
    }
}
