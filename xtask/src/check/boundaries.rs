//! Which of our crates may depend on which, and which must stay pure.
//!
//! cargo-deny cannot say it: its `wrappers` name everyone who may use a crate, which for tokio is half of the tree.
//! Development dependencies are free: a test may use what the crate itself may not.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use serde::Deserialize;

use crate::{step, workspace};

/// What each of our crates may depend on among our own; a crate that is missing here fails the check.
const ALLOWED: [(&str, &[&str]); 18] = [
    ("warmlane-abi", &[]),
    (
        "warmlane-agent",
        &[
            "warmlane-api",
            "warmlane-engine",
            "warmlane-kube",
            "warmlane-kv",
            "warmlane-picker",
            "warmlane-scrape",
            "warmlane-tls",
        ],
    ),
    ("warmlane-api", &[]),
    ("warmlane-cli", &["warmlane-api", "warmlane-load", "warmlane-picker", "warmlane-replay"]),
    ("warmlane-engine", &[]),
    ("warmlane-fake-nvml", &[]),
    ("warmlane-kube", &["warmlane-api", "warmlane-engine", "warmlane-picker"]),
    ("warmlane-kv", &["warmlane-engine"]),
    ("warmlane-load", &["warmlane-engine"]),
    ("warmlane-picker", &[]),
    ("warmlane-replay", &["warmlane-api", "warmlane-picker"]),
    (
        "warmlane-router",
        &[
            "warmlane-abi",
            "warmlane-api",
            "warmlane-engine",
            "warmlane-kube",
            "warmlane-picker",
            "warmlane-replay",
            "warmlane-scrape",
            "warmlane-tls",
            "warmlane-tokens",
        ],
    ),
    ("warmlane-scrape", &["warmlane-engine", "warmlane-picker"]),
    ("warmlane-sim", &["warmlane-engine", "warmlane-picker"]),
    (
        "warmlane-tests",
        &[
            "warmlane-agent",
            "warmlane-api",
            "warmlane-engine",
            "warmlane-load",
            "warmlane-picker",
            "warmlane-replay",
            "warmlane-router",
            "warmlane-sim",
            "warmlane-tls",
            "warmlane-tokens",
            "warmlane-xtask",
        ],
    ),
    ("warmlane-tls", &[]),
    ("warmlane-tokens", &["warmlane-engine"]),
    ("warmlane-xtask", &[]),
];

/// Crates that only take values and return values, so that they can be tested and replayed without a world around them.
const PURE: [&str; 3] = ["warmlane-abi", "warmlane-engine", "warmlane-picker"];
/// What a pure crate must not reach, also not through another crate: runtimes, sockets, clocks, logs, system randomness.
const IMPURE: [&str; 10] =
    ["tokio", "mio", "hyper", "hyper-util", "socket2", "futures", "tracing", "log", "chrono", "getrandom"];

/// For each of our crates and everything below it, what it depends on (by name; builds included, tests not).
type Graph = BTreeMap<String, BTreeSet<String>>;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

pub(super) fn check() -> anyhow::Result<()> {
    let said = step::output(&mut workspace::cargo([
        "metadata",
        "--format-version",
        "1",
        "--all-features",
        "--locked",
    ]));
    let said = said.context(
        "cargo metadata failed: is Cargo.lock in step with Cargo.toml? Try `cargo metadata --locked`",
    )?;
    let metadata: Metadata = serde_json::from_str(&said).context("cargo metadata changed its shape")?;
    let (ours, graph) = read(metadata);
    let mut wrong = foreign(&ours, &graph);
    wrong.extend(impure(&graph));
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn read(metadata: Metadata) -> (BTreeSet<String>, Graph) {
    let names: BTreeMap<String, String> =
        metadata.packages.into_iter().map(|package| (package.id, package.name)).collect();
    let name = |id: &String| names.get(id).cloned().unwrap_or_default();
    let ours = metadata.workspace_members.iter().map(name).collect();
    let mut graph = Graph::new();
    for node in metadata.resolve.nodes {
        let real = |dep: &&Dependency| dep.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
        // Two versions of one crate share a name here, and so their dependencies: enough to say who reaches what.
        graph
            .entry(name(&node.id))
            .or_default()
            .extend(node.deps.iter().filter(real).map(|dep| name(&dep.pkg)));
    }
    (ours, graph)
}

/// Our crates that depend on one of ours that they may not know.
fn foreign(ours: &BTreeSet<String>, graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    for member in ours {
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| name == member) else {
            wrong.push(format!(
                "{member} is not in ALLOWED of xtask/src/check/boundaries.rs: say there what it may use"
            ));
            continue;
        };
        let used = graph.get(member).into_iter().flatten().filter(|name| ours.contains(*name));
        for name in used.filter(|name| !allowed.contains(&name.as_str())) {
            wrong.push(format!(
                "{member} must not depend on {name} (the table is in xtask/src/check/boundaries.rs)"
            ));
        }
    }
    wrong
}

/// Pure crates that reach an impure one, with the way there.
fn impure(graph: &Graph) -> Vec<String> {
    PURE.iter()
        .filter_map(|pure| way(graph, pure))
        .map(|way| format!("a pure crate reaches IO: {}", way.join(" -> ")))
        .collect()
}

fn way<'a>(graph: &'a Graph, from: &'a str) -> Option<Vec<&'a str>> {
    let (mut seen, mut open) = (BTreeSet::from([from]), vec![vec![from]]);
    while let Some(path) = open.pop() {
        let last = path.last()?;
        for next in graph.get(*last).into_iter().flatten().map(String::as_str) {
            let longer = [&path[..], &[next]].concat();
            if IMPURE.contains(&next) {
                return Some(longer);
            }
            if seen.insert(next) {
                open.push(longer);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::new();
        for (from, to) in edges {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    }

    fn ours(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_pure_crate_that_reaches_a_runtime_is_told_with_the_way_there() {
        let graph = graph(&[("warmlane-picker", "friendly"), ("friendly", "tokio")]);
        assert_eq!(impure(&graph), ["a pure crate reaches IO: warmlane-picker -> friendly -> tokio"]);
    }

    #[test]
    fn an_impure_crate_may_use_a_runtime() {
        assert!(impure(&graph(&[("warmlane-router", "tokio")])).is_empty());
    }

    #[test]
    fn a_dependency_among_ours_must_be_in_the_table() {
        let members = ours(&["warmlane-router", "warmlane-sim", "warmlane-picker"]);
        assert_eq!(foreign(&members, &graph(&[("warmlane-router", "warmlane-sim")])).len(), 1);
        assert!(foreign(&members, &graph(&[("warmlane-router", "warmlane-picker")])).is_empty());
    }

    #[test]
    fn a_new_crate_must_be_entered_in_the_table() {
        assert_eq!(foreign(&ours(&["warmlane-new"]), &Graph::new()).len(), 1);
    }

    #[test]
    fn development_dependencies_are_free() {
        let dependency = |kind: &str| format!(r#"{{"pkg":"t","dep_kinds":[{{"kind":{kind}}}]}}"#);
        let read_with = |kind: &str| {
            let json = format!(
                r#"{{"packages":[{{"id":"p","name":"warmlane-picker"}},{{"id":"t","name":"tokio"}}],
                    "workspace_members":["p"],"resolve":{{"nodes":[{{"id":"p","deps":[{}]}}]}}}}"#,
                dependency(kind)
            );
            read(serde_json::from_str(&json).unwrap()).1
        };
        assert!(impure(&read_with("\"dev\"")).is_empty());
        assert_eq!(impure(&read_with("null")).len(), 1);
    }
}
