//! InferenceModel: a model name of a pool, how important it is, and what it stands for.

use serde_json::Value;

use super::{Invalid, PoolRef, Target, field::Field, pool_ref, targets};

/// A model name of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What clients ask for.
    pub name: String,
    /// How important its requests are; unset is `Standard`.
    pub importance: Importance,
    /// What is asked of the replicas instead; empty: the name itself.
    pub targets: Vec<Target>,
    /// Where it is served.
    pub pool: PoolRef,
}

/// How important a request is, as the resource has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Importance {
    /// First.
    Critical,
    /// As capacity allows.
    #[default]
    Standard,
    /// May be refused.
    Sheddable,
}

// === Model ===

impl Model {
    /// Reads `spec` of group `inference.networking.x-k8s.io`, version `v1alpha2`.
    pub fn read(spec: &Value) -> Result<Self, Invalid> {
        let spec = Field::root("spec", spec);
        let list = spec.get("targetModels").map(|list| list.list()).transpose()?;
        Ok(Self {
            name: spec.need("modelName")?.filled()?,
            importance: importance(&spec)?,
            targets: targets(list.unwrap_or_default(), "name")?,
            pool: pool_ref(&spec)?,
        })
    }
}

fn importance(spec: &Field<'_>) -> Result<Importance, Invalid> {
    let Some(field) = spec.get("criticality") else { return Ok(Importance::default()) };
    match field.text()?.as_str() {
        "Critical" => Ok(Importance::Critical),
        "Standard" => Ok(Importance::Standard),
        "Sheddable" => Ok(Importance::Sheddable),
        other => {
            Err(field.invalid(format!("{other:?} is unknown; valid ones are Critical, Standard, Sheddable")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::refusal;

    #[test]
    fn a_model_has_a_name_and_a_pool_and_may_have_more() {
        let model = Model::read(&json!({"modelName": "chat", "poolRef": {"name": "qwen"}})).expect("model");
        assert_eq!((model.importance, model.targets.len()), (Importance::Standard, 0));
        let model = Model::read(&json!({
            "modelName": "chat", "poolRef": {"name": "qwen"}, "criticality": "Sheddable",
            "targetModels": [{"name": "a", "weight": 9}, {"name": "b", "weight": 1}],
        }))
        .expect("model");
        assert_eq!(model.importance, Importance::Sheddable);
        assert_eq!(model.targets[0], Target { name: "a".into(), weight: 9 });
        assert_eq!(model.pool.name, "qwen");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let with = |key: &str, value: Value| {
            let mut spec = json!({"modelName": "chat", "poolRef": {"name": "qwen"}});
            spec[key] = value;
            refusal(Model::read(&spec))
        };
        assert!(with("modelName", json!("")).starts_with("spec.modelName: "));
        assert!(with("poolRef", json!(null)).starts_with("spec.poolRef: "));
        assert!(with("criticality", json!("critical")).contains("Critical, Standard, Sheddable"));
        let some = json!([{"name": "a", "weight": 9}, {"name": "b"}]);
        assert!(with("targetModels", some).starts_with("spec.targetModels[1]: "));
        assert!(with("targetModels", json!([{"weight": 1}])).starts_with("spec.targetModels[0].name: "));
    }
}
