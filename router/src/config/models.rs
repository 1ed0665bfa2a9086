//! Named models, and what is done with names that nobody knows. Named ones are TOML tables, in the file or as one text.

use std::{fmt, str::FromStr};

use toml::{Table, Value};
use warmlane_picker::Criticality;

use super::{
    tables::{self, list, name, table},
    text::Refusal,
};

const RULE_KEYS: [&str; 3] = ["name", "criticality", "targets"];
const TARGET_KEYS: [&str; 2] = ["name", "weight"];
const CRITICALITIES: [Criticality; 3] =
    [Criticality::Critical, Criticality::Standard, Criticality::Sheddable];

/// What to do with a model name that no replica lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownModel {
    /// Answer 404 with the names that are served, once every ready replica's list is known and fresh.
    #[default]
    NotFound,
    /// Send it to any replica.
    Pass,
}

/// A model name with its own importance and targets.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRule {
    /// The name clients use.
    pub name: String,
    /// Its importance.
    pub criticality: Criticality,
    /// Names to send instead, each with a weight above 0; empty: the name itself.
    pub targets: Vec<Target>,
}

/// One weighted target of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Model or adapter name as replicas list it.
    pub name: String,
    /// Share relative to the other targets.
    pub weight: u32,
}

/// Reads a TOML list of tables.
pub(super) fn read(text: &str) -> Result<Vec<ModelRule>, Refusal> {
    tables::read("models", text, "[{ name = \"chat\" }, ...]", rule)
}

/// Writes what [`read`] reads.
pub(super) fn write(rules: &[ModelRule]) -> String {
    let target = |t: &Target| {
        let weight = Value::Integer(i64::from(t.weight));
        Value::Table(Table::from_iter([
            ("name".to_owned(), Value::String(t.name.clone())),
            ("weight".to_owned(), weight),
        ]))
    };
    let rule = |rule: &ModelRule| {
        let mut table = Table::new();
        table.insert("name".to_owned(), Value::String(rule.name.clone()));
        table.insert("criticality".to_owned(), Value::String(rule.criticality.name().to_owned()));
        if !rule.targets.is_empty() {
            table.insert("targets".to_owned(), Value::Array(rule.targets.iter().map(target).collect()));
        }
        Value::Table(table)
    };
    Value::Array(rules.iter().map(rule).collect()).to_string()
}

fn rule(value: &Value, place: &str) -> Result<ModelRule, Refusal> {
    let table = table(value, place, &RULE_KEYS)?;
    let targets = match table.get("targets") {
        None => Vec::new(),
        targets => list(targets, &format!("{place}.targets"))?
            .iter()
            .enumerate()
            .map(|(at, value)| target(value, &format!("{place}.targets[{at}]")))
            .collect::<Result<_, _>>()?,
    };
    Ok(ModelRule { name: name(table, place)?, criticality: criticality(table, place)?, targets })
}

fn target(value: &Value, place: &str) -> Result<Target, Refusal> {
    let table = table(value, place, &TARGET_KEYS)?;
    let weight = match table.get("weight") {
        None => Some(1),
        Some(value) => value.as_integer().and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0),
    };
    let weight = weight.ok_or_else(|| format!("{place}.weight: write a whole number above 0"))?;
    Ok(Target { name: name(table, place)?, weight })
}

fn criticality(table: &Table, place: &str) -> Result<Criticality, Refusal> {
    let Some(value) = table.get("criticality") else { return Ok(Criticality::default()) };
    let found = CRITICALITIES.into_iter().find(|c| value.as_str() == Some(c.name()));
    found.ok_or_else(|| format!("{place}.criticality: valid values are Critical, Standard, Sheddable"))
}

// === UnknownModel ===

impl fmt::Display for UnknownModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "404",
            Self::Pass => "pass",
        })
    }
}

impl FromStr for UnknownModel {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "404" => Ok(Self::NotFound),
            "pass" => Ok(Self::Pass),
            _ => Err("valid values are 404 and pass"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_a_name_and_may_have_more() {
        let text = r#"[{ name = "/model/qwen" }, { name = "chat", criticality = "Critical",
                        targets = [{ name = "a", weight = 3 }, { name = "b" }] }]"#;
        let rules = read(text).expect("rules");
        assert_eq!(
            rules[0],
            ModelRule { name: "/model/qwen".into(), criticality: Criticality::Standard, targets: vec![] }
        );
        assert_eq!(rules[1].criticality, Criticality::Critical);
        assert_eq!(rules[1].targets[0], Target { name: "a".into(), weight: 3 });
        assert_eq!(rules[1].targets[1].weight, 1, "weight 1 unless given");
        assert_eq!(read(&write(&rules)), Ok(rules), "what is written reads back");
        assert_eq!(read(&write(&[])), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let wrong = [
            ("chat", "not a TOML list of tables"),
            ("[\"chat\"]", "models[0]: write a table"),
            (
                "[{ name = \"a\", critcality = \"Critical\" }]",
                "unknown key `models[0].critcality`; the nearest valid one is `criticality`",
            ),
            ("[{ name = \"a\" }, { targets = [] }]", "models[1].name"),
            ("[{ name = \"a\", criticality = \"critical\" }]", "Critical, Standard, Sheddable"),
            (
                "[{ name = \"a\", targets = [{ name = \"b\", weight = 0 }] }]",
                "models[0].targets[0].weight: write a whole number above 0",
            ),
            ("[{ name = \"a\", targets = [{ name = \"b\", wieght = 1 }] }]", "nearest valid one is `weight`"),
        ];
        for (text, why) in wrong {
            let refusal = read(text).expect_err(text);
            assert!(refusal.contains(why), "{refusal}");
        }
    }
}
