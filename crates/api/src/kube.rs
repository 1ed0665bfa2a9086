//! What is read of the Kubernetes resources that describe pools and models, whatever their version: one shape each.
//!
//! The `spec` of an object comes in as JSON, a checked value goes out. Fields that nobody here needs are passed over, as
//! the next version of a resource will have more of them. What is read is held to its range, though the schema of the
//! resource says the same: a cluster may have an older one, or none that checks.
//!
//! No object metadata and no client: names, ages and watching are the business of those who read.

use std::{collections::BTreeMap, fmt};

mod field;
mod model;
mod objective;
mod pool;
mod rewrite;

pub use model::{Importance, Model};
pub use objective::Objective;
pub use pool::{FailureMode, Picker, Pool, Protocol};
pub use rewrite::{Rewrite, Rule};

/// Group of the first pools, and of models.
pub const GROUP_X: &str = "inference.networking.x-k8s.io";
/// Group of pools since their version 1.
pub const GROUP: &str = "inference.networking.k8s.io";
/// Group of the objectives and rewrites of llm-d.
pub const GROUP_LLM_D: &str = "llm-d.ai";
/// Annotation of a pool that names its routing strategy.
pub const STRATEGY: &str = "inference.networking.x-k8s.io/routing-strategy";
/// Annotation of a pool that names its engines.
pub const RUNTIME: &str = "inference.networking.x-k8s.io/model-server-runtime";
/// Annotation of a pod that says at which ports its engines publish KV events.
pub const KV_EVENTS: &str = "warmlane.dev/kv-events";

/// Labels that an object must have, each with this value.
pub type Labels = BTreeMap<String, String>;

/// A field of an object that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Invalid {
    /// Where it stands, such as `spec.targetPorts[1].number`.
    pub field: String,
    /// What is wrong with it, and what would be right.
    pub why: String,
}

/// A name that traffic is sent to, with its share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Model or adapter as the replicas list it.
    pub name: String,
    /// Share relative to the other targets; 1 where none of them has one.
    pub weight: u32,
}

/// The pool that a model, objective or rewrite belongs to: in its own namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolRef {
    /// Of the pool.
    pub name: String,
}

/// The largest weight that the resources allow.
const MOST_WEIGHT: i64 = 1_000_000;

/// Reads a list of targets whose names stand in `key`: all of them have a weight, or none.
fn targets(list: Vec<field::Field<'_>>, key: &str) -> Result<Vec<Target>, Invalid> {
    let mut targets = Vec::with_capacity(list.len());
    let mut given = 0;
    for item in &list {
        let weight = item.get("weight");
        given += usize::from(weight.is_some());
        let weight = weight.map_or(Ok(1), |weight| weight.number(1, MOST_WEIGHT))?;
        let name = item.need(key)?.filled()?;
        // The range was checked.
        targets.push(Target { name, weight: u32::try_from(weight).unwrap_or(1) });
    }
    match list.iter().find(|item| item.get("weight").is_none()) {
        Some(without) if given > 0 => {
            Err(without.invalid("it has no weight and others have: give all of them one, or none"))
        }
        _ => Ok(targets),
    }
}

fn pool_ref(spec: &field::Field<'_>) -> Result<PoolRef, Invalid> {
    let reference = spec.need("poolRef")?;
    let kind = reference.get("kind").map(|kind| kind.text()).transpose()?;
    match kind.as_deref() {
        None | Some("" | "InferencePool") => Ok(PoolRef { name: reference.need("name")?.filled()? }),
        Some(other) => Err(reference.invalid(format!("it names a {other}; only an InferencePool can be"))),
    }
}

// === Invalid ===

impl Invalid {
    fn new(field: impl Into<String>, why: impl fmt::Display) -> Self {
        Self { field: field.into(), why: why.to_string() }
    }
}

#[cfg(test)]
fn refusal<T: fmt::Debug>(read: Result<T, Invalid>) -> String {
    read.expect_err("refused").to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(list: &Value) -> Result<Vec<Target>, Invalid> {
        targets(field::Field::root("targets", list).list()?, "name")
    }

    #[test]
    fn weights_are_given_to_all_targets_or_to_none() {
        let none = read(&json!([{"name": "a"}, {"name": "b"}])).expect("none");
        assert_eq!(none.iter().map(|t| t.weight).collect::<Vec<_>>(), [1, 1]);
        let all = read(&json!([{"name": "a", "weight": 3}, {"name": "b", "weight": 1}])).expect("all");
        assert_eq!(all[0], Target { name: "a".into(), weight: 3 });
        let some = refusal(read(&json!([{"name": "a", "weight": 3}, {"name": "b"}])));
        assert!(some.starts_with("targets[1]: ") && some.contains("all of them"), "{some}");
    }

    #[test]
    fn a_weight_outside_its_range_is_refused_with_its_place() {
        for weight in [json!(0), json!(-1), json!(1_000_001), json!("1"), json!(1.5)] {
            let why = refusal(read(&json!([{"name": "a", "weight": weight}])));
            assert!(why.starts_with("targets[0].weight: ") && why.contains("1 to 1000000"), "{why}");
        }
    }

    #[test]
    fn a_reference_to_anything_but_a_pool_is_refused() {
        let read = |spec: Value| pool_ref(&field::Field::root("spec", &spec));
        assert_eq!(read(json!({"poolRef": {"name": "qwen"}})).expect("pool").name, "qwen");
        assert!(refusal(read(json!({}))).starts_with("spec.poolRef: "));
        assert!(refusal(read(json!({"poolRef": {"name": ""}}))).starts_with("spec.poolRef.name: "));
        let service = refusal(read(json!({"poolRef": {"name": "qwen", "kind": "Service"}})));
        assert!(service.contains("Service") && service.contains("InferencePool"), "{service}");
    }
}
