//! Who may do what: rules of access without wildcards, and containers with what they need and no more.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use super::rendered::{SETS, all, containers, deploy, list, pod, title};

/// Pods that run as root; their manifests say why.
const ROOT: [&str; 2] = ["warmlane-agent", "warmlane-router-node"];
/// Parts of nodes that may be mounted, and by whom.
const HOST_PATHS: [(&str, &str); 2] =
    [("warmlane-agent", "/var/lib/kubelet/pod-resources"), ("warmlane-router-node", "/sys/fs/cgroup")];
/// The engines' image is not ours: its user is root, and it writes below its root.
const ENGINES: &str = "vllm/vllm-openai";
/// All that may be written through the API server.
const WRITES: [(&str, &str, &str); 3] = [
    ("inference.networking.x-k8s.io", "inferencemodels/status", "patch"),
    ("coordination.k8s.io", "leases", "create"),
    ("coordination.k8s.io", "leases", "update"),
];

fn words(value: &Value) -> Vec<&str> {
    list(value).iter().map(|word| word.as_str().expect("a word")).collect()
}

fn roles() -> Vec<&'static Value> {
    let is_role = |object: &&Value| object["kind"] == "Role" || object["kind"] == "ClusterRole";
    let roles: Vec<&Value> = all().map(|(_, object)| object).filter(is_role).collect();
    assert!(roles.len() >= 3);
    roles
}

#[test]
fn rules_name_groups_resources_and_verbs_and_write_next_to_nothing() {
    for role in roles() {
        for rule in list(&role["rules"]) {
            for key in ["apiGroups", "resources", "verbs"] {
                assert!(!words(&rule[key]).is_empty(), "{}: {key}", title(role));
                assert!(!words(&rule[key]).iter().any(|word| word.contains('*')), "{}: {rule}", title(role));
            }
            assert!(!words(&rule["resources"]).contains(&"secrets"), "{}", title(role));
            let writes = words(&rule["verbs"]);
            for verb in writes.iter().filter(|verb| !["get", "list", "watch"].contains(verb)) {
                for group in words(&rule["apiGroups"]) {
                    for resource in words(&rule["resources"]) {
                        let known = WRITES.contains(&(group, resource, verb));
                        assert!(known, "{} may {verb} {resource}.{group}", title(role));
                    }
                }
            }
        }
    }
}

/// The agent's pods are those of its node, in whatever namespace, and pools say which are engines; a gateway's routes lead to pools
/// in any. All else is granted where it is needed.
#[test]
fn only_agents_and_gateways_read_the_whole_cluster_and_only_pods_and_pools() {
    let bound: BTreeSet<&str> = all()
        .filter(|(_, object)| object["kind"] == "ClusterRoleBinding")
        .map(|(_, object)| object["roleRef"]["name"].as_str().expect("a name"))
        .collect();
    assert_eq!(bound, BTreeSet::from(["warmlane-agent", "warmlane-envoy-gateway"]));
    let groups = ["inference.networking.k8s.io", "inference.networking.x-k8s.io"];
    let pools =
        |verbs: &[&str]| json!({ "apiGroups": groups, "resources": ["inferencepools"], "verbs": verbs });
    let watched = ["list", "watch"];
    let pods = json!({ "apiGroups": [""], "resources": ["pods"], "verbs": watched });
    for (name, rules) in [
        ("warmlane-agent", json!([pods, pools(&watched)])),
        ("warmlane-envoy-gateway", json!([pools(&["get", "list", "watch"])])),
    ] {
        let mut named = roles().into_iter().filter(|role| role["metadata"]["name"] == name).peekable();
        assert!(named.peek().is_some(), "{name}");
        named.for_each(|role| assert_eq!(role["rules"], rules, "{name}"));
    }
}

#[test]
fn bindings_lead_from_an_account_to_a_role() {
    let (mut bound, mut foreign) = (BTreeSet::new(), BTreeSet::new());
    for (set, binding) in all().filter(|(_, o)| o["kind"].as_str().is_some_and(|k| k.ends_with("Binding"))) {
        let there = |kind: &Value, name: &Value| {
            let mut all = SETS["base"].iter().chain(&SETS[set]);
            all.any(|object| object["kind"] == *kind && object["metadata"]["name"] == *name)
        };
        let role = &binding["roleRef"];
        assert!(there(&role["kind"], &role["name"]), "{set}: {}", title(binding));
        for subject in list(&binding["subjects"]) {
            let (namespace, name) = account(subject);
            if namespace == "envoy-gateway-system" {
                foreign.insert(name);
                continue;
            }
            let sets = SETS["base"].iter().chain(&SETS["examples/qwen/router"]);
            let found = sets
                .filter(|o| o["kind"] == "ServiceAccount")
                .any(|o| o["metadata"]["name"] == name && o["metadata"]["namespace"] == namespace);
            assert!(found, "{set}: {}: no {namespace}/{name}", title(binding));
            bound.insert((namespace, name));
        }
    }
    let ours = ["warmlane-agent", "warmlane-router"].map(|name| ("warmlane-system", name));
    assert_eq!(bound, ours.into_iter().chain([("llm", "warmlane-router")]).collect());
    assert_eq!(foreign, BTreeSet::from(["envoy-gateway"]));
}

/// Namespace and name of the account that a subject is, also where it is written as the account's user name.
pub(super) fn account(subject: &Value) -> (&str, &str) {
    let word = |key: &str| subject[key].as_str().expect("a word");
    if subject["kind"] == "User" {
        let name = word("name").strip_prefix("system:serviceaccount:").and_then(|name| name.split_once(':'));
        return name.expect("an account's user name");
    }
    assert_eq!(subject["kind"], "ServiceAccount");
    (word("namespace"), word("name"))
}

/// Routers of all kinds read the pools where pools are, whichever binds which: kustomize takes accounts of one name for one.
#[test]
fn a_namespace_with_a_pool_lets_both_routers_read_it() {
    let mut seen = 0;
    for (set, binding) in all().filter(|(_, o)| o["kind"] == "RoleBinding") {
        if binding["roleRef"]["name"] == "warmlane-pool" {
            let bound: BTreeSet<_> = list(&binding["subjects"]).iter().map(account).collect();
            let both = BTreeSet::from([("llm", "warmlane-router"), ("warmlane-system", "warmlane-router")]);
            assert_eq!(bound, both, "{set}");
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}

/// Accounts that a binding gives something, with their namespaces.
fn with_rights() -> BTreeSet<(&'static str, &'static str)> {
    let bindings = all().filter(|(_, o)| o["kind"].as_str().is_some_and(|kind| kind.ends_with("Binding")));
    let subjects = bindings.flat_map(|(_, binding)| list(&binding["subjects"]));
    subjects.map(account).collect()
}

/// A token is mounted only where something asks the API server.
#[test]
fn tokens_are_mounted_only_where_they_are_used() {
    for (set, object) in all() {
        let Some(pod) = pod(object) else { continue };
        let asks = containers(pod)
            .iter()
            .flat_map(|container| words(&container["args"]))
            .any(|word| word == "--kube" || word.starts_with("--pool="));
        let mounts = pod["spec"]["automountServiceAccountToken"].as_bool();
        assert_eq!(mounts, Some(asks), "{set}: {}", title(object));
        let account = pod["spec"]["serviceAccountName"].as_str();
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        let may = account.is_some_and(|name| with_rights().contains(&(namespace, name)));
        assert_eq!(may, asks, "{set}: {}", title(object));
        let there = |name: &str| {
            SETS[set].iter().any(|o| o["kind"] == "ServiceAccount" && o["metadata"]["name"] == name)
        };
        assert!(account.is_none_or(there), "{set}: {}: no account {account:?}", title(object));
    }
}

#[test]
fn containers_give_up_what_they_do_not_need() {
    let mut seen = 0;
    for (set, object) in all() {
        let Some(pod) = pod(object) else { continue };
        let (place, spec) = (format!("{set}: {}", title(object)), &pod["spec"]);
        let name = object["metadata"]["name"].as_str().expect("a name");
        for shared in ["hostNetwork", "hostPID", "hostIPC"] {
            assert!(spec.get(shared).is_none(), "{place}: {shared}");
        }
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{place}");
        for container in containers(pod) {
            let context = &container["securityContext"];
            assert_eq!(context["privileged"], false, "{place}");
            assert_eq!(context["allowPrivilegeEscalation"], false, "{place}");
            assert_eq!(context["capabilities"]["drop"], json!(["ALL"]), "{place}");
            let foreign = container["image"].as_str().expect("an image").starts_with(ENGINES);
            assert_eq!(context["readOnlyRootFilesystem"], !foreign, "{place}");
            let not_root = spec["securityContext"]["runAsNonRoot"] == true;
            assert_eq!(not_root, !foreign && !ROOT.contains(&name), "{place}");
            for size in ["requests", "limits"] {
                assert!(container["resources"][size]["memory"].is_string(), "{place}: {size}");
            }
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

/// What is written of the lane's needs is what its pod gets, and no other pod gets any.
#[test]
fn capabilities_are_those_that_the_lanes_page_names() {
    let page = fs::read_to_string(deploy().join("../docs/LANE.md")).expect("docs/LANE.md");
    let row = page.lines().find(|line| line.starts_with("| capabilities |")).expect("a row on capabilities");
    let named: BTreeSet<&str> = row.split('`').filter_map(|word| word.strip_prefix("CAP_")).collect();
    assert_eq!(named.len(), 3, "{row}");
    let mut seen = 0;
    for (set, object) in all() {
        for container in pod(object).map(containers).unwrap_or_default() {
            let added = &container["securityContext"]["capabilities"]["add"];
            let lane = object["metadata"]["name"] == "warmlane-router-node";
            let added: BTreeSet<&str> = words(added).into_iter().collect();
            assert_eq!(added, if lane { named.clone() } else { BTreeSet::new() }, "{set}: {}", title(object));
            seen += usize::from(lane);
        }
    }
    assert!(seen > 0);
}

#[test]
fn of_a_node_two_folders_are_mounted_and_only_to_read() {
    let mut seen = BTreeSet::new();
    for (set, object) in all() {
        let Some(pod) = pod(object) else { continue };
        let (place, name) = (format!("{set}: {}", title(object)), &object["metadata"]["name"]);
        for volume in list(&pod["spec"]["volumes"]).iter().filter(|volume| volume.get("hostPath").is_some()) {
            let path = &volume["hostPath"]["path"];
            let known = HOST_PATHS.iter().find(|(who, what)| name == who && path == what);
            seen.insert(*known.unwrap_or_else(|| panic!("{place} mounts {path}")));
            for container in containers(pod) {
                for mount in list(&container["volumeMounts"]).iter().filter(|m| m["name"] == volume["name"]) {
                    assert_eq!(mount["readOnly"], true, "{place}: {path}");
                }
            }
        }
    }
    assert_eq!(seen, BTreeSet::from(HOST_PATHS));
}

/// What the lane's flag says is where the hierarchy is mounted.
#[test]
fn the_lane_looks_where_the_hierarchy_is_mounted() {
    let mut seen = 0;
    for (set, object) in all() {
        for container in pod(object).map(containers).unwrap_or_default() {
            let args = words(&container["args"]);
            let Some(at) = args.iter().find_map(|word| word.strip_prefix("--lane-cgroup=")) else { continue };
            let mounted = list(&container["volumeMounts"]).iter().any(|mount| mount["mountPath"] == at);
            assert!(mounted, "{set}: {}: {at}", title(object));
            seen += 1;
        }
    }
    assert!(seen > 0);
}
