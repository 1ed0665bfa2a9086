//! InferenceObjective: an importance with a name, which requests carry in a header.

use serde_json::Value;

use super::{Invalid, PoolRef, field::Field, pool_ref};

/// An importance of a pool; its name is the object's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// Higher is more important; below 0 may be refused. Unset is 0.
    pub priority: i32,
    /// Where it counts.
    pub pool: PoolRef,
}

// === Objective ===

impl Objective {
    /// Reads `spec` of either group, version `v1alpha2`.
    pub fn read(spec: &Value) -> Result<Self, Invalid> {
        let spec = Field::root("spec", spec);
        let most = i64::from(i32::MAX);
        let priority = spec.get("priority").map_or(Ok(0), |field| field.number(i64::from(i32::MIN), most))?;
        // The range was checked.
        Ok(Self { priority: i32::try_from(priority).unwrap_or_default(), pool: pool_ref(&spec)? })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::refusal;

    #[test]
    fn a_priority_may_be_negative_unset_or_refused() {
        let read =
            |priority: Value| Objective::read(&json!({"poolRef": {"name": "qwen"}, "priority": priority}));
        assert_eq!(read(json!(-10)).expect("objective").priority, -10);
        assert_eq!(read(json!(null)).expect("objective").priority, 0);
        for wrong in [json!("high"), json!(i64::from(i32::MAX) + 1)] {
            assert!(refusal(read(wrong)).starts_with("spec.priority: "));
        }
        assert!(refusal(Objective::read(&json!({"priority": 1}))).starts_with("spec.poolRef: "));
    }
}
