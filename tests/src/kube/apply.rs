//! Server-side apply: who owns which field, and what happens when two want one.
//!
//! Fields are named by their way from the root. Objects are owned field by field, lists as a whole; but a list of conditions is
//! owned by condition, as its schema says (`x-kubernetes-list-map-keys: [type]`).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The way to a field: names, and `{type: NAME}` for a condition.
type Path = Vec<Step>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(String),
    Condition(String),
}

/// Whose each field is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owners {
    of: BTreeMap<String, BTreeSet<Path>>,
}

/// Who owns what somebody else wants.
pub(super) type Conflicts = Vec<(String, String)>;

/// Applies what `manager` wants. Gives back the object and its owners, or who is in the way.
pub(super) fn apply(
    mut object: Value,
    mut owners: Owners,
    manager: &str,
    wanted: &Value,
    force: bool,
) -> Result<(Value, Owners), Conflicts> {
    let wanted = leaves(wanted);
    let conflicts = owners.conflicts(manager, &wanted, &object);
    if !force && !conflicts.is_empty() {
        return Err(conflicts);
    }
    let status: bool = wanted.keys().any(|path| path.first() == Some(&Step::Field("status".to_owned())));
    let given_up = owners.give_up(manager, &wanted, status);
    for path in given_up {
        remove(&mut object, &path);
    }
    for (path, value) in &wanted {
        if get(&object, path) != Some(value) {
            owners.take(path);
        }
        set(&mut object, path, value);
    }
    owners.of.entry(manager.to_owned()).or_default().extend(wanted.into_keys());
    Ok((object, owners))
}

// === Owners ===

impl Owners {
    /// After a write that is no apply: what it changed is its manager's.
    pub(super) fn update(&mut self, manager: &str, before: &Value, after: &Value) {
        let (before, after) = (leaves(before), leaves(after));
        let changed = after.into_iter().filter(|(path, value)| before.get(path) != Some(value));
        for (path, _) in changed {
            self.take(&path);
            self.of.entry(manager.to_owned()).or_default().insert(path);
        }
    }

    fn conflicts(&self, manager: &str, wanted: &BTreeMap<Path, Value>, object: &Value) -> Conflicts {
        let mut conflicts = Conflicts::new();
        for (owner, paths) in self.of.iter().filter(|(owner, _)| *owner != manager) {
            for (path, value) in wanted.iter().filter(|(path, _)| paths.contains(*path)) {
                if get(object, path) != Some(value) {
                    conflicts.push((owner.clone(), named(path)));
                }
            }
        }
        conflicts
    }

    /// Fields that the manager had and wants no more, and that are nobody else's.
    fn give_up(&mut self, manager: &str, wanted: &BTreeMap<Path, Value>, status: bool) -> Vec<Path> {
        // By the path of the status nothing is said of the rest, and the other way round.
        let is_of_this_path =
            |path: &Path| (path.first() == Some(&Step::Field("status".to_owned()))) == status;
        let Some(own) = self.of.get_mut(manager) else { return Vec::new() };
        let gone: Vec<Path> =
            own.iter().filter(|path| is_of_this_path(path) && !wanted.contains_key(*path)).cloned().collect();
        gone.iter().for_each(|path| {
            own.remove(path);
        });
        let is_others = |path: &Path| self.of.values().any(|paths| paths.contains(path));
        gone.into_iter().filter(|path| !is_others(path)).collect()
    }

    fn take(&mut self, path: &Path) {
        self.of.values_mut().for_each(|paths| {
            paths.remove(path);
        });
    }
}

/// All that is owned by itself in a value.
fn leaves(value: &Value) -> BTreeMap<Path, Value> {
    let mut leaves = BTreeMap::new();
    collect(value, &mut Vec::new(), &mut leaves);
    leaves
}

fn collect(value: &Value, path: &mut Path, leaves: &mut BTreeMap<Path, Value>) {
    let conditions = matches!(path.last(), Some(Step::Field(field)) if field == "conditions");
    match value {
        Value::Null => {}
        Value::Object(fields) if !fields.is_empty() => {
            for (field, value) in fields {
                path.push(Step::Field(field.clone()));
                collect(value, path, leaves);
                path.pop();
            }
        }
        Value::Array(items) if conditions => {
            for item in items {
                path.push(Step::Condition(item["type"].as_str().unwrap_or_default().to_owned()));
                collect(item, path, leaves);
                path.pop();
            }
        }
        value => {
            leaves.insert(path.clone(), value.clone());
        }
    }
}

fn get<'v>(value: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, step| match step {
        Step::Field(field) => value.get(field),
        Step::Condition(kind) => value.as_array()?.iter().find(|item| item["type"].as_str() == Some(kind)),
    })
}

fn set(value: &mut Value, path: &[Step], leaf: &Value) {
    let Some((step, rest)) = path.split_first() else {
        *value = leaf.clone();
        return;
    };
    match step {
        Step::Field(field) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            set(&mut value[field.as_str()], rest, leaf);
        }
        Step::Condition(kind) => {
            if !value.is_array() {
                *value = Value::Array(Vec::new());
            }
            let Some(items) = value.as_array_mut() else { return };
            let at = items.iter().position(|item| item["type"].as_str() == Some(kind));
            let at = at.unwrap_or_else(|| {
                // Named at once: its other fields must find it.
                items.push(serde_json::json!({"type": kind}));
                items.len() - 1
            });
            set(&mut items[at], rest, leaf);
        }
    }
}

/// Removes a field, and what is empty without it.
fn remove(value: &mut Value, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    match step {
        Step::Field(field) => {
            let Some(fields) = value.as_object_mut() else { return };
            if let Some(inner) = fields.get_mut(field) {
                remove(inner, rest);
                if rest.is_empty() || is_empty(inner) {
                    fields.remove(field);
                }
            }
        }
        Step::Condition(kind) => {
            let Some(items) = value.as_array_mut() else { return };
            items
                .iter_mut()
                .filter(|item| item["type"].as_str() == Some(kind))
                .for_each(|item| remove(item, rest));
            items.retain(|item| !is_empty(item));
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn named(path: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Field(field) => format!(".{field}"),
        Step::Condition(kind) => format!("[type=\"{kind}\"]"),
    };
    path.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(object: Value, owners: Owners, manager: &str, wanted: &Value) -> (Value, Owners) {
        apply(object, owners, manager, wanted, false).expect("no conflict")
    }

    #[test]
    fn two_managers_of_different_fields_do_not_meet() {
        let (object, owners) = applied(json!({}), Owners::default(), "a", &json!({"spec": {"x": 1}}));
        let (object, _) = applied(object, owners, "b", &json!({"spec": {"y": 2}}));
        assert_eq!(object, json!({"spec": {"x": 1, "y": 2}}));
    }

    #[test]
    fn a_field_of_another_is_a_conflict_unless_it_is_forced_or_the_same() {
        let (object, owners) = applied(json!({}), Owners::default(), "a", &json!({"spec": {"x": 1}}));
        let wanted = json!({"spec": {"x": 2}});
        let conflicts = apply(object.clone(), owners.clone(), "b", &wanted, false).expect_err("conflict");
        assert_eq!(conflicts, [("a".to_owned(), ".spec.x".to_owned())]);
        applied(object.clone(), owners.clone(), "b", &json!({"spec": {"x": 1}}));
        let (object, owners) = apply(object, owners, "b", &wanted, true).expect("forced");
        assert_eq!(object, wanted);
        let (object, _) = applied(object, owners, "a", &json!({"spec": {"y": 1}}));
        assert_eq!(object, json!({"spec": {"x": 2, "y": 1}}), "it was no longer theirs to remove");
    }

    #[test]
    fn what_is_applied_no_more_goes_unless_it_is_also_anothers() {
        let (object, owners) = applied(json!({}), Owners::default(), "a", &json!({"spec": {"x": 1, "y": 1}}));
        let (object, owners) = applied(object, owners, "b", &json!({"spec": {"y": 1}}));
        let (object, _) = applied(object, owners, "a", &json!({"spec": {"z": 1}}));
        assert_eq!(object, json!({"spec": {"y": 1, "z": 1}}));
    }

    #[test]
    fn conditions_are_owned_one_by_one() {
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let accepted = json!({"status": {"conditions": [{"type": "Accepted", "status": "True"}]}});
        let (object, owners) = applied(json!({}), Owners::default(), "a", &ready);
        let (object, owners) = applied(object, owners, "b", &accepted);
        assert_eq!(object["status"]["conditions"].as_array().map(Vec::len), Some(2));
        let other = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
        let conflicts = apply(object, owners, "b", &other, false).expect_err("conflict");
        assert_eq!(conflicts[0].1, ".status.conditions[type=\"Ready\"].status");
    }
}
