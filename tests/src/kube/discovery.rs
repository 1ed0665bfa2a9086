//! Which groups, versions and resources there are.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    answer::{Failure, Reply, json, no_such_path},
    resource::Resource,
    store::Store,
};

// === Store ===

impl Store {
    /// Answers a path above all objects. Aggregated discovery is not offered: who insists on it gets 406.
    pub(super) fn discover(&self, path: &str, accept: &str) -> Reply {
        if accept.contains("APIGroupDiscoveryList") && !accept.split(',').any(is_plain) {
            return Failure::not_acceptable().into();
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let found = match parts[..] {
            ["version"] => Some(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0"})),
            ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
            ["apis"] => {
                let groups: Vec<Value> = self.groups().into_iter().map(group).collect();
                Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
            }
            ["apis", name] => self.groups().remove_entry(name).map(group),
            ["api", version] => self.resources_of("", version),
            ["apis", group, version] => self.resources_of(group, version),
            _ => None,
        };
        found.map_or_else(no_such_path, |found| json(200, &found))
    }

    fn groups(&self) -> BTreeMap<&'static str, Vec<&'static str>> {
        let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for resource in self.resources.iter().filter(|resource| !resource.group.is_empty()) {
            let versions = groups.entry(resource.group).or_default();
            if !versions.contains(&resource.version) {
                versions.push(resource.version);
            }
        }
        groups
    }

    fn resources_of(&self, group: &str, version: &str) -> Option<Value> {
        let here = self.resources.iter().filter(|r| r.group == group && r.version == version);
        let resources: Vec<Value> = here.flat_map(entries).collect();
        let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        (!resources.is_empty()).then(|| {
            json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
        })
    }
}

fn is_plain(accepted: &str) -> bool {
    matches!(accepted.trim(), "application/json" | "*/*")
}

fn group((name, versions): (&'static str, Vec<&'static str>)) -> Value {
    let version = |version: &&str| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let versions: Vec<Value> = versions.iter().map(version).collect();
    json!({"kind": "APIGroup", "apiVersion": "v1", "name": name, "preferredVersion": versions[0], "versions": versions})
}

fn entries(resource: &Resource) -> Vec<Value> {
    let entry = |name: String, verbs: &[&str]| {
        json!({"name": name, "singularName": "", "namespaced": resource.is_namespaced, "kind": resource.kind,
               "verbs": verbs})
    };
    let mut entries = vec![entry(
        resource.plural.to_owned(),
        &["create", "delete", "get", "list", "patch", "update", "watch"],
    )];
    if resource.has_status {
        entries.push(entry(format!("{}/status", resource.plural), &["get", "patch", "update"]));
    }
    entries
}
