//! Which of the pods is asked. Pure.

use serde::Deserialize;

use super::{KubeError, Wanted};
use crate::error::Side;

/// Of a list that are named in a message.
const MOST_NAMED: usize = 8;

/// The one that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pod: String,
    /// What people should know of the choice.
    pub(super) note: Option<String>,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Pod>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
}

#[derive(Default, Deserialize)]
struct Status {
    phase: Option<String>,
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

/// Of those that run, on the node that is asked for; a ready one before others, then the first by name.
pub(super) fn choose(wanted: &Wanted, list: &[u8]) -> Result<Found, KubeError> {
    let what = "get pods";
    let unreadable = |error: serde_json::Error| KubeError::Strange { what, said: error.to_string() };
    let List { items } = serde_json::from_slice(list).map_err(unreadable)?;
    let mut pods: Vec<&Pod> = items.iter().filter(|pod| pod.runs()).collect();
    pods.sort_by_key(|pod| (!pod.is_ready(), pod.metadata.name.as_str()));
    let there: Vec<&Pod> = match &wanted.node {
        Some(node) => pods.iter().copied().filter(|pod| pod.spec.node_name.as_ref() == Some(node)).collect(),
        // Each agent knows its own node only.
        None if wanted.who == Side::Agent => return Err(no_node(&pods)),
        None => Vec::new(),
    };
    // A router that all nodes share runs on few of them.
    let others = if wanted.who == Side::Router && there.is_empty() { pods } else { there };
    let Some(first) = others.first() else { return Err(nobody(wanted, items.len())) };
    let pod = first.metadata.name.clone();
    let more = others.len() - 1;
    let note = (more > 0)
        .then(|| format!("asking {pod}; there are {more} others: --pod names one of {}", names(&others)));
    Ok(Found { pod, note })
}

fn no_node(pods: &[&Pod]) -> KubeError {
    let nodes: Vec<&str> =
        pods.iter().filter_map(|pod| pod.spec.node_name.as_deref()).take(MOST_NAMED).collect();
    KubeError::NoPod(format!(
        "which agent is asked depends on the node\n  Name it by --node; agents run on {}.",
        if nodes.is_empty() { "none".to_owned() } else { nodes.join(", ") }
    ))
}

fn nobody(wanted: &Wanted, all: usize) -> KubeError {
    let on = wanted.node.as_ref().filter(|_| wanted.who == Side::Agent);
    let on = on.map(|node| format!(" on node {node}")).unwrap_or_default();
    KubeError::NoPod(format!(
        "no pod of {}'s runs in namespace {}{on}; of {all} that there are\n  Is it the right --namespace, and what does `kubectl \
         --namespace {} get pods` say?",
        wanted.who, wanted.namespace, wanted.namespace
    ))
}

fn names(pods: &[&Pod]) -> String {
    let names: Vec<&str> = pods.iter().map(|pod| &*pod.metadata.name).take(MOST_NAMED).collect();
    names.join(", ") + if pods.len() > MOST_NAMED { ", ..." } else { "" }
}

// === Pod ===

impl Pod {
    fn runs(&self) -> bool {
        self.status.phase.as_deref() == Some("Running") && self.metadata.deletion_timestamp.is_none()
    }

    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wanted(who: Side, node: Option<&str>) -> Wanted {
        let node = node.map(str::to_owned);
        Wanted { who, context: None, namespace: "warmlane-system".to_owned(), node, pod: None, port: 9_091 }
    }

    fn pod(name: &str, node: &str, phase: &str, ready: &str) -> Value {
        json!({"metadata": {"name": name}, "spec": {"nodeName": node},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]}})
    }

    fn chosen(wanted: &Wanted, pods: &[Value]) -> Result<(String, bool), String> {
        let list = json!({ "items": pods }).to_string();
        let found = choose(wanted, list.as_bytes()).map_err(|error| error.to_string())?;
        Ok((found.pod, found.note.is_some()))
    }

    #[test]
    fn a_ready_router_is_asked_and_others_are_named() {
        let router = wanted(Side::Router, None);
        let mut leaving = pod("a", "n1", "Running", "True");
        leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        let pods = [
            leaving,
            pod("b", "n1", "Pending", "False"),
            pod("c", "n1", "Running", "False"),
            pod("e", "n2", "Running", "True"),
            pod("d", "n1", "Running", "True"),
        ];
        assert_eq!(chosen(&router, &pods), Ok(("d".to_owned(), true)));
        assert_eq!(
            chosen(&router, &pods[2..3]),
            Ok(("c".to_owned(), false)),
            "it may say why it is not ready"
        );
        assert_eq!(chosen(&wanted(Side::Router, Some("n2")), &pods), Ok(("e".to_owned(), false)));
        assert_eq!(
            chosen(&wanted(Side::Router, Some("n9")), &pods),
            Ok(("d".to_owned(), true)),
            "it is shared"
        );
        let none = chosen(&router, &pods[..2]).expect_err("none runs");
        assert!(none.starts_with("no pod of the router's runs in namespace warmlane-system; of 2"), "{none}");
    }

    #[test]
    fn an_agent_is_its_nodes() {
        let pods = [pod("a", "n1", "Running", "True"), pod("b", "n2", "Running", "True")];
        assert_eq!(chosen(&wanted(Side::Agent, Some("n2")), &pods), Ok(("b".to_owned(), false)));
        let unnamed = chosen(&wanted(Side::Agent, None), &pods).expect_err("which?");
        assert!(unnamed.contains("--node; agents run on n1, n2."), "{unnamed}");
        let elsewhere = chosen(&wanted(Side::Agent, Some("n3")), &pods).expect_err("none there");
        assert!(elsewhere.contains("on node n3"), "{elsewhere}");
        assert!(choose(&wanted(Side::Agent, None), b"<html>").is_err());
    }
}
