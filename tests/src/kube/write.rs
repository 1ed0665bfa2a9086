//! Writes: what may be changed by which path, what the server adds, and when nothing has changed.

use serde_json::{Map, Value, json};

use super::{
    answer::Failure,
    apply::{self, Owners},
    call::Call,
    store::{Event, Key, Store, Stored},
};

/// What to do to an object.
pub(super) enum Change {
    /// This takes its place.
    Whole(Value),
    /// This is merged into it.
    Merge(Value),
}

/// Who changes an object, and which part of it.
struct Author<'c> {
    manager: &'c str,
    /// By the path of `status`: nothing else changes. By the other one, all but that.
    is_status: bool,
}

/// The grace period of pods where none is given.
const GRACE: u64 = 30;

// === Store ===

impl Store {
    /// Changes an object as a test wants it: no part is kept apart.
    ///
    /// # Panics
    /// Where the object to merge into is not there.
    pub(super) fn write(&mut self, key: &Key, change: Change) {
        let before = self.get(key).cloned();
        let (mut value, owners) = match change {
            Change::Whole(value) => (value, Owners::default()),
            Change::Merge(patch) => {
                let before = before.as_ref().expect("an object to merge into");
                let mut value = before.value.clone();
                merge(&mut value, &patch);
                (value, before.owners.clone())
            }
        };
        if let Some(before) = &before {
            keep_metadata(&mut value, &before.value);
        }
        self.commit(key, value, owners);
    }

    /// Begins to delete an object.
    ///
    /// # Panics
    /// Where it is not there.
    pub(super) fn terminate(&mut self, key: &Key, grace: u64) {
        let before = self.get(key).cloned().expect("an object to delete");
        let mut value = before.value.clone();
        value["metadata"]["deletionTimestamp"] = time(self.version).into();
        value["metadata"]["deletionGracePeriodSeconds"] = grace.into();
        self.commit(key, value, before.owners.clone());
    }

    /// POST to a collection.
    pub(super) fn create(&mut self, key: &Key, mut object: Value, call: &Call) -> Result<Value, Failure> {
        if self.get(key).is_some() {
            return Err(Failure::exists(key));
        }
        if key.resource.has_status
            && let Some(object) = object.as_object_mut()
        {
            object.remove("status");
        }
        let author = Author { manager: manager(call), is_status: false };
        let mut owners = Owners::default();
        owners.update(author.manager, &Value::Null, &object);
        Ok(self.commit(key, object, owners))
    }

    /// PUT.
    pub(super) fn update(&mut self, key: &Key, object: &Value, call: &Call) -> Result<Value, Failure> {
        self.expected(key, object)?;
        self.change(key, call, |_| object.clone())
    }

    /// PATCH that merges.
    pub(super) fn merge_patch(&mut self, key: &Key, patch: &Value, call: &Call) -> Result<Value, Failure> {
        self.expected(key, patch)?;
        self.change(key, call, |before| {
            let mut value = before.clone();
            merge(&mut value, patch);
            value
        })
    }

    /// PATCH that applies: the fields in it are the manager's, and what it had before and has no more goes.
    pub(super) fn apply(&mut self, key: &Key, wanted: &Value, call: &Call) -> Result<Value, Failure> {
        let Some(manager) = call.get("fieldManager") else {
            return Err(Failure::bad(
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
            ));
        };
        let author = Author { manager, is_status: call.subresource == "status" };
        let before = self.get(key).cloned();
        if before.is_none() && author.is_status {
            return Err(Failure::not_found(key));
        }
        self.expected_if_given(key, wanted)?;
        let identity = json!({"apiVersion": key.resource.api_version(), "kind": key.resource.kind,
                              "metadata": {"name": key.name, "namespace": key.namespace}});
        let (old, owners) = match &before {
            Some(before) => (before.value.clone(), before.owners.clone()),
            None => (identity, Owners::default()),
        };
        let wanted = author.part(key, wanted);
        let (mut value, owners) = apply::apply(old.clone(), owners, author.name(), &wanted, call.is("force"))
            .map_err(|conflicts| Failure::owned(&conflicts))?;
        keep_metadata(&mut value, &old);
        Ok(self.commit(key, value, owners))
    }

    /// DELETE: pods end gracefully, all else is gone at once.
    pub(super) fn delete(&mut self, key: &Key, call: &Call) -> Result<Value, Failure> {
        let before = self.get(key).cloned().ok_or_else(|| Failure::not_found(key))?;
        let grace = call.get("gracePeriodSeconds").and_then(|grace| grace.parse().ok()).unwrap_or(GRACE);
        if key.resource.plural == "pods" && grace > 0 {
            self.terminate(key, grace);
            return Ok(self.get(key).map(|object| object.value.clone()).unwrap_or_default());
        }
        self.remove(key);
        Ok(before.value.clone())
    }

    fn change(
        &mut self,
        key: &Key,
        call: &Call,
        next: impl FnOnce(&Value) -> Value,
    ) -> Result<Value, Failure> {
        let before = self.get(key).cloned().ok_or_else(|| Failure::not_found(key))?;
        let author = Author { manager: manager(call), is_status: call.subresource == "status" };
        let mut value = author.allowed(key, &before.value, next(&before.value));
        keep_metadata(&mut value, &before.value);
        let mut owners = before.owners.clone();
        owners.update(author.name(), &before.value, &value);
        Ok(self.commit(key, value, owners))
    }

    /// An update says which version it is about; 409 where that is not the last one.
    fn expected(&self, key: &Key, object: &Value) -> Result<(), Failure> {
        self.get(key).ok_or_else(|| Failure::not_found(key))?;
        self.expected_if_given(key, object)
    }

    fn expected_if_given(&self, key: &Key, object: &Value) -> Result<(), Failure> {
        let given = object["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
        let now = self.get(key).map(|object| &object.value["metadata"]["resourceVersion"]);
        match (given, now) {
            (Some(given), Some(now)) if *now != given => Err(Failure::changed(key)),
            _ => Ok(()),
        }
    }

    /// Stores what has changed, under the next version.
    fn commit(&mut self, key: &Key, mut value: Value, owners: Owners) -> Value {
        let before = self.get(key).cloned();
        if let Some(before) = before.as_ref().filter(|before| before.value == value) {
            let same = Stored::new(value, owners);
            let value = same.value.clone();
            // No new version: nobody is told.
            debug_assert_eq!(before.value, value);
            self.objects.insert(key.clone(), same);
            return value;
        }
        self.version += 1;
        let version = self.version;
        complete(key, &mut value, before.as_ref().map(|before| &before.value), version);
        let after = Stored::new(value.clone(), owners);
        self.objects.insert(key.clone(), after.clone());
        self.remember(Event { version, key: key.clone(), before, after, is_deletion: false });
        value
    }
}

/// What the server says of an object, whoever wrote it.
fn complete(key: &Key, value: &mut Value, before: Option<&Value>, version: u64) {
    value["apiVersion"] = key.resource.api_version().into();
    value["kind"] = key.resource.kind.into();
    let spec_changed = before.is_none_or(|before| before["spec"] != value["spec"]);
    let generation = before.map_or(0, |before| before["metadata"]["generation"].as_u64().unwrap_or(0));
    let metadata = &mut value["metadata"];
    metadata["name"] = key.name.clone().into();
    if key.resource.is_namespaced {
        metadata["namespace"] = key.namespace.clone().into();
    }
    if metadata["uid"].is_null() {
        metadata["uid"] = format!("00000000-0000-4000-8000-{version:012x}").into();
    }
    if metadata["creationTimestamp"].is_null() {
        metadata["creationTimestamp"] = time(version).into();
    }
    if key.resource.has_generation() {
        metadata["generation"] = (generation + u64::from(spec_changed)).into();
    }
    metadata["resourceVersion"] = version.to_string().into();
}

/// What no client can change.
fn keep_metadata(value: &mut Value, before: &Value) {
    let (kept, before) = (&mut value["metadata"], &before["metadata"]);
    for field in [
        "uid",
        "creationTimestamp",
        "generation",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ] {
        if !before[field].is_null() {
            kept[field] = before[field].clone();
        }
    }
}

/// A time that grows with the version: a day has as many seconds as a test has changes.
fn time(version: u64) -> String {
    let (days, seconds) = (version / 86_400, version % 86_400);
    format!(
        "2026-01-{:02}T{:02}:{:02}:{:02}Z",
        1 + days % 31,
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn manager(call: &Call) -> &str {
    call.get("fieldManager").unwrap_or("unknown")
}

/// JSON merge patch, RFC 7396.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().map(|target| target.remove(key));
        } else {
            merge(&mut target[key.as_str()], value);
        }
    }
}

// === Author ===

impl Author<'_> {
    /// One name may own fields by both paths, each for itself.
    fn name(&self) -> &str {
        self.manager
    }

    /// Of what an apply wants, what this path can change.
    fn part(&self, key: &Key, wanted: &Value) -> Value {
        let mut part = Map::new();
        let status = self.is_status || !key.resource.has_status;
        for (field, value) in wanted.as_object().into_iter().flatten() {
            let is_status = field == "status";
            let is_ours = if is_status { status } else { !self.is_status };
            if is_ours && !matches!(field.as_str(), "apiVersion" | "kind" | "metadata") {
                part.insert(field.clone(), value.clone());
            }
        }
        if !self.is_status {
            let metadata = &wanted["metadata"];
            for field in ["labels", "annotations"] {
                if !metadata[field].is_null() {
                    part.entry("metadata").or_insert_with(|| json!({}))[field] = metadata[field].clone();
                }
            }
        }
        Value::Object(part)
    }

    /// The next state, with only what this path can change.
    fn allowed(&self, key: &Key, before: &Value, next: Value) -> Value {
        if !key.resource.has_status {
            return next;
        }
        let (mut kept, status) = if self.is_status {
            (before.clone(), next["status"].clone())
        } else {
            let status = before["status"].clone();
            (next, status)
        };
        if let Some(kept) = kept.as_object_mut() {
            kept.remove("status");
            if !status.is_null() {
                kept.insert("status".to_owned(), status);
            }
        }
        kept
    }
}
