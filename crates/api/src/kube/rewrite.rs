//! InferenceModelRewrite: rules by which the model of a request becomes another before a replica gets it.

use serde_json::Value;

use super::{Invalid, PoolRef, Target, field::Field, pool_ref, targets};

/// Rules of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// In the order given.
    pub rules: Vec<Rule>,
    /// Where they count.
    pub pool: PoolRef,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names that it is for; empty: all.
    pub models: Vec<String>,
    /// What takes their place; never empty.
    pub targets: Vec<Target>,
}

// === Rewrite ===

impl Rewrite {
    /// Reads `spec` of either group, version `v1alpha2`.
    pub fn read(spec: &Value) -> Result<Self, Invalid> {
        let spec = Field::root("spec", spec);
        let rules = spec.need("rules")?.list()?;
        Ok(Self { rules: rules.iter().map(rule).collect::<Result<_, _>>()?, pool: pool_ref(&spec)? })
    }
}

fn rule(field: &Field<'_>) -> Result<Rule, Invalid> {
    let matches = field.get("matches").map(|list| list.list()).transpose()?.unwrap_or_default();
    let models = matches.iter().map(model).collect::<Result<_, _>>()?;
    let to = field.need("targets")?;
    let targets = targets(to.list()?, "modelRewrite")?;
    if targets.is_empty() {
        return Err(to.invalid("it is empty: name at least one model"));
    }
    Ok(Rule { models, targets })
}

fn model(field: &Field<'_>) -> Result<String, Invalid> {
    let model = field.need("model")?;
    let kind = model.get("type");
    match kind.as_ref().map(Field::text).transpose()?.as_deref() {
        None | Some("" | "Exact") => model.need("value")?.filled(),
        Some(other) => {
            let why = format!("{other:?} is unknown; the valid one is Exact");
            Err(kind.unwrap_or_else(|| model.clone()).invalid(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kube::refusal;

    fn read(rules: Value) -> Result<Rewrite, Invalid> {
        Rewrite::read(&json!({"poolRef": {"name": "qwen"}, "rules": rules}))
    }

    #[test]
    fn rules_keep_their_order_and_one_without_matches_is_for_all() {
        let rewrite = read(json!([
            {"matches": [{"model": {"type": "Exact", "value": "chat"}}, {"model": {"value": "talk"}}],
             "targets": [{"modelRewrite": "chat-v2", "weight": 9}, {"modelRewrite": "chat-v3", "weight": 1}]},
            {"targets": [{"modelRewrite": "base"}]},
        ]))
        .expect("rewrite");
        assert_eq!(rewrite.rules[0].models, ["chat", "talk"]);
        assert_eq!(rewrite.rules[0].targets[0], Target { name: "chat-v2".into(), weight: 9 });
        assert!(rewrite.rules[1].models.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        let to = json!([{"modelRewrite": "base"}]);
        assert!(refusal(read(json!([{"targets": []}]))).starts_with("spec.rules[0].targets: "));
        assert!(refusal(read(json!([{}]))).starts_with("spec.rules[0].targets: "));
        let regex = json!([{"targets": to, "matches": [{"model": {"type": "Regex", "value": "a"}}]}]);
        assert!(refusal(read(regex)).starts_with("spec.rules[0].matches[0].model.type: "));
        let some = json!([{"targets": [{"modelRewrite": "a", "weight": 1}, {"modelRewrite": "b"}]}]);
        assert!(refusal(read(some)).starts_with("spec.rules[0].targets[1]: "));
        assert!(refusal(Rewrite::read(&json!({"poolRef": {"name": "a"}}))).starts_with("spec.rules: "));
    }
}
