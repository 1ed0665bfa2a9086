//! What `docs/openapi-*.json` describe is what a running router and a running agent do, all of it and nothing else.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::{Value, json};
use warmlane_api::admin::route::{self, Route};
use warmlane_tests::{
    RawEngine, TestRouter,
    admin::{Answer, Door},
    agent::TestAgent,
    eventually,
    nvml::FakeNvml,
    picker::engines,
};

#[path = "openapi/agent.rs"]
mod agent;
#[path = "openapi/router.rs"]
mod router;

const TOKEN: &str = "a-token-of-the-test";

/// A description, and which of its answers were seen.
struct Description {
    document: Value,
    seen: BTreeSet<(String, String, u16)>,
}

// === Description ===

impl Description {
    fn of(who: &str) -> Self {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs"))
            .join(format!("openapi-{who}.json"));
        let text = fs::read_to_string(path).expect("a description");
        Self { document: serde_json::from_str(&text).expect("JSON"), seen: BTreeSet::new() }
    }

    /// Asks, and holds the answer against what is described for this path, method and status.
    fn hold(&mut self, door: &Door, asked: &Asked<'_>) -> Answer {
        let Asked { method, template, path, headers, body } = asked;
        let answer = door.ask(method, path, headers, body);
        let status = answer.status;
        let operation = &self.document["paths"][*template][method.to_lowercase()];
        let response = &operation["responses"][status.to_string()];
        assert!(response.is_object(), "{method} {path} answers {status}, which is not described: {answer:?}");
        let header = |name: &str| {
            let head = answer.head.to_ascii_lowercase();
            head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(str::to_owned))
        };
        for name in response["headers"].as_object().expect("headers").keys() {
            assert!(header(name).is_some(), "{method} {path}: no {name} in {}", answer.head);
        }
        let kind = header("content-type").unwrap_or_default();
        let Some(content) = response["content"].as_object() else {
            assert_eq!((*method, answer.body.as_str()), ("HEAD", ""), "{path}");
            return self.saw(asked, answer);
        };
        let described = content.get(&kind);
        let described =
            described.unwrap_or_else(|| panic!("{method} {path}: {kind:?} is not among {content:?}"));
        if kind == "application/json" {
            self.fits(&described["schema"], &answer.page, &format!("{method} {path} {status}"));
        }
        self.saw(asked, answer)
    }

    fn fits(&self, schema: &Value, page: &Value, what: &str) {
        let mut whole = schema.clone();
        whole["components"] = self.document["components"].clone();
        let validator = jsonschema::draft202012::new(&whole).expect("a schema");
        let wrong: Vec<String> = validator
            .iter_errors(page)
            .map(|error| format!("{} at {}", error, error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{what}: {wrong:?}\n{page:#}");
    }

    fn saw(&mut self, asked: &Asked<'_>, answer: Answer) -> Answer {
        self.seen.insert((asked.template.to_owned(), asked.method.to_lowercase(), answer.status));
        answer
    }

    /// What is described and was not seen, as `method path status`.
    fn unseen(&self) -> BTreeSet<String> {
        let mut unseen = BTreeSet::new();
        for (path, item) in self.document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("methods") {
                for status in operation["responses"].as_object().expect("responses").keys() {
                    let key = (path.clone(), method.clone(), status.parse().expect("a status"));
                    if !self.seen.contains(&key) {
                        unseen.insert(format!("{method} {path} {status}"));
                    }
                }
            }
        }
        unseen
    }

    /// The paths are those that the port serves, with their methods; others are told which there are.
    fn has_the_paths(&self, door: &Door, routes: &[Route], example: impl Fn(&str) -> String) {
        let paths = self.document["paths"].as_object().expect("paths");
        let served: BTreeSet<&str> = routes.iter().map(|route| route.path).collect();
        assert_eq!(paths.keys().map(String::as_str).collect::<BTreeSet<_>>(), served);
        for route in routes {
            let described: BTreeSet<String> = paths[route.path]
                .as_object()
                .expect("methods")
                .keys()
                .map(|method| method.to_uppercase())
                .collect();
            assert_eq!(described, route.methods.split(", ").map(str::to_owned).collect(), "{}", route.path);
            for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
                if !described.contains(method) {
                    let refused = door.ask(method, &example(route.path), "", "");
                    assert_eq!(refused.status, 405, "{method} {}", route.path);
                    let allow = format!("allow: {}", route.methods.to_ascii_lowercase());
                    assert!(refused.head.to_ascii_lowercase().contains(&allow), "{}", refused.head);
                }
            }
        }
        for unknown in ["/debug", "/debug/nothing", "//", "/debug/lane/", "/openapi.yaml"] {
            for method in ["GET", "POST"] {
                assert_eq!(door.ask(method, unknown, "", "").status, 404, "{method} {unknown}");
            }
        }
    }
}

/// One question.
struct Asked<'a> {
    method: &'a str,
    /// The path as it is described.
    template: &'a str,
    path: &'a str,
    headers: &'a str,
    body: &'a str,
}

// === Asked ===

impl<'a> Asked<'a> {
    fn get(path: &'a str) -> Self {
        Self { method: "GET", template: path.split('?').next().unwrap_or(path), path, headers: "", body: "" }
    }

    fn of(method: &'a str, template: &'a str, path: &'a str) -> Self {
        Self { method, template, path, ..Self::get(path) }
    }

    fn with(self, headers: &'a str) -> Self {
        Self { headers, ..self }
    }

    fn sending(self, body: &'a str) -> Self {
        Self { body, ..self }
    }
}
