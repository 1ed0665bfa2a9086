//! From an object as the API server sends it to what is needed of it.

use std::{
    cmp::Reverse,
    net::{IpAddr, SocketAddr},
};

use serde_json::Value;
use warmlane_api::kube::{self as api, Model, Objective, Rewrite};

use super::{Body, Condition, Declared, Kind, KvPorts, Member, Meta, Object, Pod, Slice};

/// The ports of an agents' Service that lead to the agents, by the names they may have; otherwise its first port.
const AGENT_PORTS: [&str; 2] = ["node", "grpc"];

/// Reduces `object`. Never fails: what cannot be used says why.
pub fn reduce(kind: Kind, object: &Value, meta: Meta) -> Object {
    let spec = &object["spec"];
    let body = match kind {
        Kind::PoolV1 => api::Pool::from_v1(spec).map(|pool| Body::Pool(declared(pool, object))),
        Kind::PoolX => api::Pool::from_v1alpha2(spec).map(|pool| Body::Pool(declared(pool, object))),
        Kind::Model => Model::read(spec).map(Body::Model),
        Kind::ObjectiveX | Kind::ObjectiveLlmD => Objective::read(spec).map(Body::Objective),
        Kind::RewriteX | Kind::RewriteLlmD => Rewrite::read(spec).map(Body::Rewrite),
        Kind::Pod => Ok(Body::Pod(pod(object))),
        Kind::Agents => Ok(Body::Slice(slice(object))),
    };
    let (condition, pool) = match kind {
        Kind::Model => (accepted(object), spec["poolRef"]["name"].as_str().map(str::to_owned)),
        _ => (None, None),
    };
    match body {
        Ok(body) => Object { meta, body: Some(body), refused: None, condition, pool },
        Err(invalid) => Object { meta, body: None, refused: Some(invalid.to_string()), condition, pool },
    }
}

fn accepted(object: &Value) -> Option<Condition> {
    let conditions = object["status"]["conditions"].as_array()?;
    let accepted = conditions.iter().find(|condition| condition["type"] == "Accepted")?;
    let text = |field: &str| accepted[field].as_str().unwrap_or_default().to_owned();
    Some(Condition {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        generation: accepted["observedGeneration"].as_i64().unwrap_or_default(),
        since: text("lastTransitionTime"),
    })
}

fn declared(pool: api::Pool, object: &Value) -> Declared {
    let annotation = |key: &str| object["metadata"]["annotations"][key].as_str();
    Declared::new(pool, annotation(api::STRATEGY), annotation(api::RUNTIME))
}

fn pod(object: &Value) -> Pod {
    let (metadata, status) = (&object["metadata"], &object["status"]);
    let labels = metadata["labels"].as_object().into_iter().flatten();
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let is_ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    Pod {
        uid: metadata["uid"].as_str().unwrap_or_default().to_owned(),
        labels: labels
            .map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        ip: status["podIP"].as_str().and_then(|ip| ip.parse().ok()),
        node: object["spec"]["nodeName"].as_str().unwrap_or_default().to_owned(),
        ready: conditions.into_iter().any(is_ready),
        terminating: !metadata["deletionTimestamp"].is_null(),
        ended: matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")),
        kv_events: KvPorts::read(metadata["annotations"][api::KV_EVENTS].as_str()),
    }
}

fn slice(object: &Value) -> Slice {
    let ports = object["ports"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |port: &&Value| AGENT_PORTS.iter().any(|name| port["name"] == *name);
    let port = ports.iter().max_by_key(|port| (named(port), Reverse(position(ports, port))));
    let port = port.and_then(|port| port["port"].as_u64()).and_then(|port| u16::try_from(port).ok());
    let Some(port) = port else { return Slice::default() };
    let endpoints = object["endpoints"].as_array().into_iter().flatten();
    let agents = endpoints.filter(|endpoint| serves(endpoint)).filter_map(|endpoint| member(endpoint, port));
    Slice { agents: agents.collect() }
}

fn position(ports: &[Value], port: &Value) -> usize {
    ports.iter().position(|other| std::ptr::eq(other, port)).unwrap_or_default()
}

/// Unset means yes, as the resource has it. An agent that ends still tells until it is gone.
fn serves(endpoint: &Value) -> bool {
    let conditions = &endpoint["conditions"];
    let says_no = |condition: &str| conditions[condition] == Value::Bool(false);
    !says_no("ready") || conditions["serving"] == Value::Bool(true)
}

fn member(endpoint: &Value, port: u16) -> Option<Member> {
    let ip: IpAddr = endpoint["addresses"][0].as_str()?.parse().ok()?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some(Member {
        address: SocketAddr::new(ip, port).to_string(),
        node: text(&endpoint["nodeName"]),
        pod: text(&endpoint["targetRef"]["name"]),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod_of(object: &Value) -> Pod {
        match reduce(Kind::Pod, object, Meta::default()).body {
            Some(Body::Pod(pod)) => pod,
            other => panic!("no pod: {other:?}"),
        }
    }

    #[test]
    fn a_pod_is_ready_ended_or_terminating_by_what_its_object_says() {
        let ready = pod_of(&json!({
            "metadata": {"labels": {"app": "qwen"}}, "spec": {"nodeName": "n1"},
            "status": {"podIP": "10.0.0.1", "phase": "Running", "conditions": [
                {"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "True"}]},
        }));
        assert!(ready.ready && !ready.terminating && !ready.ended);
        assert_eq!((ready.node.as_str(), ready.ip), ("n1", "10.0.0.1".parse().ok()));
        assert_eq!(ready.labels["app"], "qwen");
        let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
        assert!(!pod_of(&unready).ready);
        assert!(pod_of(&json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})).terminating);
        assert!(pod_of(&json!({"status": {"phase": "Failed"}})).ended);
        let annotated = json!({"metadata": {"annotations": {"warmlane.dev/kv-events": "5557"}}});
        assert_eq!(pod_of(&annotated).kv_events.of(0, 1), Some(5557));
        assert_eq!(pod_of(&json!({"status": {"podIP": ""}})).ip, None);
    }

    #[test]
    fn agents_are_the_serving_addresses_of_a_slice_at_the_named_port() {
        let slice = json!({
            "addressType": "IPv6",
            "ports": [{"name": "metrics", "port": 9011}, {"name": "grpc", "port": 9010}],
            "endpoints": [
                {"addresses": ["fd00::1"], "nodeName": "n1", "targetRef": {"name": "agent-a"}},
                {"addresses": ["fd00::2"], "conditions": {"ready": false}},
                {"addresses": ["fd00::3"], "conditions": {"ready": false, "serving": true, "terminating": true}},
            ],
        });
        let Some(Body::Slice(slice)) = reduce(Kind::Agents, &slice, Meta::default()).body else {
            panic!("no slice");
        };
        let addresses: Vec<_> = slice.agents.iter().map(|agent| agent.address.as_str()).collect();
        assert_eq!(addresses, ["[fd00::1]:9010", "[fd00::3]:9010"]);
        assert_eq!((slice.agents[0].node.as_str(), slice.agents[0].pod.as_str()), ("n1", "agent-a"));
        let first = json!({"ports": [{"port": 1}, {"port": 2}], "endpoints": [{"addresses": ["10.0.0.1"]}]});
        let Some(Body::Slice(slice)) = reduce(Kind::Agents, &first, Meta::default()).body else {
            panic!("no slice");
        };
        assert_eq!(slice.agents[0].address, "10.0.0.1:1");
    }

    #[test]
    fn an_object_that_cannot_be_used_says_which_field_is_wrong() {
        let object = reduce(Kind::PoolX, &json!({"spec": {"selector": {"a": "b"}}}), Meta::default());
        assert!(object.refused.expect("refused").starts_with("spec.targetPortNumber: "));
        assert!(object.body.is_none());
        let model = json!({"spec": {"modelName": "", "poolRef": {"name": "qwen"}}});
        let model = reduce(Kind::Model, &model, Meta::default());
        assert_eq!((model.body, model.pool.as_deref()), (None, Some("qwen")), "whose it is can be read");
    }
}
