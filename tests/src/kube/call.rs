//! What a request asks for.

use std::collections::BTreeMap;

use hyper::{Method, Uri};

/// A request as rules of a Role see it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Logged {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// Empty for the core.
    pub group: String,
    /// In the plural.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// Empty for all.
    pub namespace: String,
    /// Empty where no rule could name it: of a collection, and of what is yet to be made.
    pub name: String,
}

/// A request for objects.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) verb: &'static str,
    pub(super) group: String,
    pub(super) version: String,
    pub(super) plural: String,
    pub(super) namespace: String,
    /// Empty for a collection.
    pub(super) name: String,
    pub(super) subresource: String,
    pub(super) query: BTreeMap<String, String>,
}

// === Call ===

impl Call {
    /// Reads a request line; `None` where it does not ask for objects.
    pub(super) fn read(method: &Method, uri: &Uri) -> Option<Self> {
        let mut parts = uri.path().split('/').filter(|part| !part.is_empty());
        let (group, version) = match parts.next()? {
            "api" => ("", parts.next()?),
            "apis" => (parts.next()?, parts.next()?),
            _ => return None,
        };
        let mut rest: Vec<&str> = parts.collect();
        let mut namespace = "";
        if let ["namespaces", within, _, ..] = rest[..] {
            namespace = within;
            rest.drain(..2);
        }
        let (plural, name, subresource) = match rest[..] {
            [plural] => (plural, "", ""),
            [plural, name] => (plural, name, ""),
            [plural, name, subresource] => (plural, name, subresource),
            _ => return None,
        };
        let query = query(uri.query().unwrap_or_default());
        let verb = verb(method, name, &query)?;
        let owned = str::to_owned;
        Some(Self {
            verb,
            group: owned(group),
            version: owned(version),
            plural: owned(plural),
            namespace: owned(namespace),
            name: owned(name),
            subresource: owned(subresource),
            query,
        })
    }

    pub(super) fn logged(&self) -> Logged {
        Logged {
            verb: self.verb,
            group: self.group.clone(),
            resource: self.plural.clone(),
            subresource: self.subresource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    /// `pods`, `inferencemodels/status`.
    pub(super) fn path(&self) -> String {
        if self.subresource.is_empty() {
            self.plural.clone()
        } else {
            format!("{}/{}", self.plural, self.subresource)
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.query.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub(super) fn is(&self, key: &str) -> bool {
        matches!(self.get(key), Some("true" | "1"))
    }
}

fn verb(method: &Method, name: &str, query: &BTreeMap<String, String>) -> Option<&'static str> {
    let watches = query.get("watch").is_some_and(|value| value == "true" || value == "1");
    match (method.as_str(), name.is_empty()) {
        ("GET", true) if watches => Some("watch"),
        ("GET", true) => Some("list"),
        ("GET", false) => Some("get"),
        ("POST", true) => Some("create"),
        ("PUT", false) => Some("update"),
        ("PATCH", false) => Some("patch"),
        ("DELETE", false) => Some("delete"),
        _ => None,
    }
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(key), decoded(value))
    };
    text.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(method: &Method, uri: &str) -> Call {
        Call::read(method, &uri.parse().expect("uri")).expect("call")
    }

    #[test]
    fn a_path_names_verb_resource_namespace_and_object() {
        let pods = read(
            &Method::GET,
            "/api/v1/namespaces/default/pods?watch=true&labelSelector=a%3Db%2Cc+in+%28d%29",
        );
        assert_eq!((pods.verb, pods.plural.as_str(), pods.namespace.as_str()), ("watch", "pods", "default"));
        assert_eq!(pods.get("labelSelector"), Some("a=b,c in (d)"));
        let status = read(&Method::PATCH, "/apis/g.io/v1/namespaces/n/things/a/status");
        assert_eq!(
            (status.verb, status.path().as_str(), status.name.as_str()),
            ("patch", "things/status", "a")
        );
        let all = read(&Method::GET, "/apis/g.io/v1/things?limit=5");
        assert_eq!((all.verb, all.namespace.as_str(), all.group.as_str()), ("list", "", "g.io"));
        assert!(Call::read(&Method::GET, &"/apis/g.io/v1".parse().expect("uri")).is_none());
    }
}
