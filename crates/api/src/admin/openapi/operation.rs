//! One method of one path: what may be asked, and every answer.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{JSON, VERSION_HEADER, path};

/// See the module's header.
pub(super) struct Operation {
    path: &'static str,
    method: &'static str,
    about: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    /// Kinds of content with their schemas, by status.
    answers: BTreeMap<u16, Vec<(&'static str, Value)>>,
    /// Statuses with the reason as JSON.
    refusals: Vec<u16>,
    by_token: bool,
}

// === Operation ===

impl Operation {
    /// It reads, and has a twin that only tells of what would be read.
    pub(super) fn get(path: &'static str, about: &'static str) -> Self {
        Self::new(path, "get", about)
    }

    pub(super) fn post(path: &'static str, about: &'static str) -> Self {
        Self::new(path, "post", about)
    }

    pub(super) fn delete(path: &'static str, about: &'static str) -> Self {
        Self::new(path, "delete", about)
    }

    fn new(path: &'static str, method: &'static str, about: &'static str) -> Self {
        Self {
            path,
            method,
            about,
            parameters: Vec::new(),
            body: None,
            answers: BTreeMap::new(),
            // A page of another site asks, or a name was used that may be led here.
            refusals: vec![403],
            by_token: false,
        }
    }

    /// A part of the path.
    pub(super) fn named(mut self, name: &str, about: &str) -> Self {
        let schema = json!({ "type": "string", "minLength": 1 });
        self.parameters.push(
            json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema }),
        );
        self
    }

    /// A part of the query.
    pub(super) fn asked(mut self, name: &str, about: &str, schema: Value) -> Self {
        self.parameters.push(json!({ "name": name, "in": "query", "description": about, "schema": schema }));
        self
    }

    pub(super) fn body(mut self, schema: Value) -> Self {
        self.body = Some(schema);
        self
    }

    pub(super) fn json(mut self, status: u16, schema: Value) -> Self {
        self.answers.entry(status).or_default().push((JSON, schema));
        self
    }

    pub(super) fn text(mut self, status: u16, kind: &'static str) -> Self {
        self.answers.entry(status).or_default().push((kind, json!({ "type": "string" })));
        self
    }

    /// It may fail so, too.
    pub(super) fn refused(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    /// Only who shows the token is let in.
    pub(super) fn by_token(mut self) -> Self {
        self.by_token = true;
        self.refused(&[401])
    }

    pub(super) fn path(&self) -> &'static str {
        self.path
    }

    /// As a path has them: by method.
    pub(super) fn items(&self, failure: &Value) -> Vec<(String, Value)> {
        let mut items = vec![(self.method.to_owned(), self.item(failure, true))];
        if self.method == "get" {
            items.push(("head".to_owned(), self.item(failure, false)));
        }
        items
    }

    fn item(&self, failure: &Value, has_content: bool) -> Value {
        let mut item = json!({ "summary": self.about, "responses": self.responses(failure, has_content) });
        if !self.parameters.is_empty() {
            item["parameters"] = self.parameters.clone().into();
        }
        if let Some(schema) = &self.body {
            item["requestBody"] = json!({ "required": true, "content": { JSON: { "schema": schema } } });
        }
        if self.by_token {
            item["security"] = json!([{ "token": [] }]);
        }
        item
    }

    fn responses(&self, failure: &Value, has_content: bool) -> Map<String, Value> {
        let mut answers = self.answers.clone();
        // Probes come by any name; a page of another site is refused there too.
        for status in &self.refusals {
            answers.entry(*status).or_default().push((JSON, failure.clone()));
        }
        let response = |(status, kinds): (u16, Vec<(&str, Value)>)| {
            let mut response = json!({
                "description": description(status, self.path),
                "headers": { VERSION_HEADER: { "$ref": format!("#/components/headers/{VERSION_HEADER}") } },
            });
            if has_content {
                let kinds =
                    kinds.into_iter().map(|(kind, schema)| (kind.to_owned(), json!({ "schema": schema })));
                response["content"] = kinds.collect::<Map<_, _>>().into();
            }
            (status.to_string(), response)
        };
        answers.into_iter().map(response).collect()
    }
}

fn description(status: u16, asked: &str) -> &'static str {
    match status {
        200 => "It is so",
        400 => "What was asked cannot be read; what can be asked is said",
        401 => "The token is wanted, and another one or none came",
        403 => {
            "A page of another site asks, or the port was called by a name that may be led here, or nobody may change anything"
        }
        404 => "There is nothing of this name",
        408 => "The body did not come in time",
        409 => "It cannot be so, and why",
        413 => "The body is too large",
        503 if asked == path::READY => "It cannot, and why",
        503 => "Not now: ask again",
        _ => "It failed, and why",
    }
}
