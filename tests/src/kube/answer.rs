//! Answers, and the Status object of those that say no, worded as a real server words them.

use std::{convert::Infallible, io};

use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{Response, StatusCode, body::Bytes, header::CONTENT_TYPE};
use serde_json::{Value, json};

use super::{call::Call, store::Key};

pub(super) type Body = BoxBody<Bytes, io::Error>;
pub(super) type Reply = Response<Body>;

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) code: u16,
    reason: &'static str,
    message: String,
    details: Value,
}

/// The user that a real server would name.
const USER: &str = "system:serviceaccount:warmlane-system:warmlane-router";

// === Failure ===

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn not_found(key: &Key) -> Self {
        Self::named(404, "NotFound", key, "not found")
    }

    pub(super) fn exists(key: &Key) -> Self {
        Self::named(409, "AlreadyExists", key, "already exists")
    }

    pub(super) fn changed(key: &Key) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply your \
             changes to the latest version and try again",
            qualified(key),
            key.name
        );
        Self { message, ..Self::named(409, "Conflict", key, "") }
    }

    /// Fields that others own.
    pub(super) fn owned(conflicts: &[(String, String)]) -> Self {
        let lines: Vec<String> =
            conflicts.iter().map(|(owner, field)| format!("conflict with \"{owner}\": {field}")).collect();
        let (count, plural) = (conflicts.len(), if conflicts.len() == 1 { "" } else { "s" });
        let message = format!("Apply failed with {count} conflict{plural}: {}", lines.join("; "));
        let cause = |(owner, field): &(String, String)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with \"{owner}\""), "field": field});
        let causes: Vec<Value> = conflicts.iter().map(cause).collect();
        Self { details: json!({"causes": causes}), ..Self::new(409, "Conflict", message) }
    }

    /// The version of a watch or list is no longer known.
    pub(super) fn gone(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// What a test wants said.
    pub(super) fn refused(call: Option<&Call>, code: u16) -> Self {
        let (reason, message) = match code {
            403 => return call.map_or_else(|| Self::new(403, "Forbidden", "forbidden"), Self::forbidden),
            408 | 504 => ("Timeout", "the request did not complete within the allotted timeout"),
            422 => ("Invalid", "the object is invalid"),
            429 => ("TooManyRequests", "too many requests: try again later"),
            500 => ("InternalError", "Internal error occurred: conversion webhook failed"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            _ => ("Unknown", "an answer that nobody expects"),
        };
        Self::new(code, reason, message)
    }

    fn forbidden(call: &Call) -> Self {
        let Call { verb, group, namespace, name, .. } = call;
        let (path, dot) = (call.path(), if group.is_empty() { "" } else { "." });
        let object = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let scope = if namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{namespace}\"")
        };
        let message = format!(
            "{}{dot}{group}{object} is forbidden: User \"{USER}\" cannot {verb} resource \"{path}\" in API group \
             \"{group}\" {scope}",
            call.plural
        );
        let details = json!({"name": name, "group": group, "kind": call.plural});
        Self { details, ..Self::new(403, "Forbidden", message) }
    }

    pub(super) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(415, "UnsupportedMediaType", message)
    }

    pub(super) fn not_acceptable() -> Self {
        Self::new(406, "NotAcceptable", "only the following media types are accepted: application/json")
    }

    pub(super) fn no_such_verb() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    fn named(code: u16, reason: &'static str, key: &Key, what: &str) -> Self {
        let message = format!("{} \"{}\" {what}", qualified(key), key.name);
        let details = json!({"name": key.name, "group": key.resource.group, "kind": key.resource.plural});
        Self { details, ..Self::new(code, reason, message) }
    }

    /// The object.
    pub(super) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        });
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

fn qualified(key: &Key) -> String {
    let dot = if key.resource.group.is_empty() { "" } else { "." };
    format!("{}{dot}{}", key.resource.plural, key.resource.group)
}

// === Reply ===

pub(super) fn full(code: u16, kind: &'static str, text: impl Into<Bytes>) -> Reply {
    let never = |never: Infallible| match never {};
    stream(code, kind, Full::new(text.into()).map_err(never).boxed())
}

pub(super) fn stream(code: u16, kind: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    reply
}

pub(super) fn json(code: u16, value: &Value) -> Reply {
    full(code, "application/json", value.to_string())
}

/// For a path that the server does not have: not even a Status.
pub(super) fn no_such_path() -> Reply {
    full(404, "text/plain; charset=utf-8", "404 page not found\n")
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        json(failure.code, &failure.status())
    }
}
