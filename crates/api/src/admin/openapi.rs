//! The admin ports as OpenAPI 3.1 describes them: `docs/openapi-router.json` and `docs/openapi-agent.json`, which the ports serve
//! too. What pages hold comes from their types, which paths there are from [`super::route`], what each may answer from here.

use schemars::{
    JsonSchema,
    generate::{Contract, SchemaGenerator, SchemaSettings},
};
use serde_json::{Map, Value, json};

use super::{
    Agents, Changed, Decisions, Endpoints, Explanation, Failure, GroupPins, Lane, Log, Node, Pins, Pools,
    Router, SetLog, SwitchLane, VERSION_HEADER,
    answer::{JSON, TEXT},
    path,
    route::{self, Route},
};

mod operation;

use operation::Operation;

/// What a port answers, and by which schemas.
struct Port {
    schemas: SchemaGenerator,
    described: Vec<Operation>,
}

/// A router's.
pub fn router() -> Value {
    let mut port = Port::new();
    port.pages();
    port.probes();
    port.readings();
    port.decisions();
    port.changes();
    port.document(
        "Warmlane router: admin port",
        "What a router knows, and changes of it while it runs. Who may make them: docs/security.md. No prompt stands in any page.",
        9091,
        route::ROUTER,
    )
}

/// An agent's.
pub fn agent() -> Value {
    let mut port = Port::new();
    port.file();
    port.probes();
    let node = port.shown::<Node>();
    port.add(
        Operation::get(path::NODE, "What the agent knows of its node, from whom, and who follows it")
            .json(200, node),
    );
    let about = "What a node's agent knows. It changes nothing.";
    port.document("Warmlane agent: admin port", about, 9012, route::AGENT)
}

// === Port ===

impl Port {
    fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
            settings.contract = Contract::Serialize;
        });
        Self { schemas: settings.into_generator(), described: Vec::new() }
    }

    fn add(&mut self, operation: Operation) {
        self.described.push(operation);
    }

    /// The schema of what is answered.
    fn shown<T: JsonSchema>(&mut self) -> Value {
        self.schemas.subschema_for::<T>().to_value()
    }

    fn read<T: JsonSchema>(&mut self, path: &'static str, about: &'static str) {
        let schema = self.shown::<T>();
        self.add(Operation::get(path, about).json(200, schema));
    }

    fn file(&mut self) {
        let about = "This description";
        self.add(Operation::get(path::OPENAPI, about).json(200, json!({ "type": "object" })));
    }

    fn pages(&mut self) {
        let front =
            Operation::get("/", "A page for people; for who does not accept HTML, a list of what there is");
        self.add(front.text(200, "text/html; charset=utf-8").text(200, TEXT));
        let mut file = Operation::get("/page/{file}", "What that page is made of").named("file", "Its name");
        for kind in ["text/css; charset=utf-8", "text/javascript; charset=utf-8", "image/svg+xml"] {
            file = file.text(200, kind);
        }
        self.add(file.refused(&[404]));
        self.file();
    }

    fn probes(&mut self) {
        self.add(Operation::get(path::HEALTH, "It answers").text(200, TEXT));
        let ready = Operation::get(path::READY, "Whether it can do its work, and why not");
        self.add(ready.text(200, TEXT).text(503, TEXT));
    }

    fn readings(&mut self) {
        self.read::<Router>(path::ROUTER, "Which router this is, and whether it serves");
        self.read::<Endpoints>(path::ENDPOINTS, "Every replica with what is known of it and how old that is");
        self.read::<Agents>(path::AGENTS, "Every agent that the router follows, and its GPUs");
        self.read::<Lane>(path::LANE, "The kernel lane, and every way that messages took");
        self.read::<Pools>(
            path::POOLS,
            "Every pool with its rules, and what is wrong with the cluster's objects",
        );
        self.read::<Log>(path::LOG, "What the log is written by");
        self.add(Operation::get(path::CONFIG, "The settings, each with where it comes from").text(200, TEXT));
        let rows = json!({ "type": "integer", "minimum": 0, "maximum": 10_000, "default": 100 });
        for (path, schema, about) in [
            (path::PINS, self.shown::<Pins>(), "Sessions and prefix groups that are pinned, those used last"),
            (path::GROUPS, self.shown::<GroupPins>(), "Prefix groups that are pinned, those used last"),
        ] {
            let page = Operation::get(path, about).asked("limit", "Rows of each kind", rows.clone());
            self.add(page.json(200, schema).refused(&[400]));
        }
    }

    fn decisions(&mut self) {
        let (list, explanation) = (self.shown::<Decisions>(), self.shown::<Explanation>());
        let text = || json!({ "type": "string" });
        let rows = json!({ "type": "integer", "minimum": 0, "maximum": 10_000, "default": 50 });
        let lately = Operation::get(
            path::DECISIONS,
            "The latest decisions, newest first; or as a file for `warmlane replay`, oldest first",
        )
        .asked("limit", "At most so many; of a file 10,000 where nothing is said", rows)
        .asked(
            "since",
            "Newer than this cursor",
            json!({ "type": "string", "pattern": "^[0-9a-fA-F]{1,16}$" }),
        )
        .asked("model", "For this model, as clients or replicas call it", text())
        .asked("endpoint", "That chose this replica", text())
        .asked("pool", "Picked from this pool", text())
        .asked(
            "format",
            "A page, or a file of lines",
            json!({ "enum": ["page", "lines"], "default": "page" }),
        );
        self.add(lately.json(200, list).text(200, "application/jsonl").refused(&[400, 500]));
        let why = Operation::get(
            "/debug/decisions/{request_id}",
            "Why a request went where it went, and where it would go now",
        );
        let why = why.named("request_id", "The `x-request-id` of its answer, percent-encoded");
        self.add(why.json(200, explanation.clone()).refused(&[404, 500]));
        let body = json!({ "type": "object", "description": "An inference request, as it would be sent to `path`; its headers count too" });
        let dry = Operation::post(path::EXPLAIN, "Where a body would go, and why; it goes nowhere").asked(
            "path",
            "Where it would be sent to",
            json!({ "type": "string", "default": "/v1/chat/completions" }),
        );
        self.add(dry.body(body).json(200, explanation).refused(&[400, 408, 413, 503]));
    }

    fn changes(&mut self) {
        let changed = self.shown::<Changed>();
        for (path, about) in [
            ("/debug/endpoints/{address}/drain", "No new request goes there"),
            ("/debug/endpoints/{address}/undrain", "Requests may go there again"),
        ] {
            let drain =
                Operation::post(path, about).named("address", "As `/debug/endpoints` has it").by_token();
            self.add(drain.json(200, changed.clone()).refused(&[404, 503]));
        }
        for (path, name, about) in [
            ("/debug/pins/{session}", "session", "The session is pinned nowhere"),
            ("/debug/groups/{group}", "group", "The prefix group is pinned nowhere"),
        ] {
            let unpin =
                Operation::delete(path, about).named(name, "The 16 digits that the page shows").by_token();
            self.add(unpin.json(200, changed.clone()).refused(&[400, 404, 503]));
        }
        let (lane, log) = (Self::sent::<SwitchLane>(), Self::sent::<SetLog>());
        for (path, body, about) in [
            (path::LANE, lane, "The kernel lane is off for what is new, or on again"),
            (path::LOG, log, "The log is written by this filter until the router ends"),
        ] {
            let change = Operation::post(path, about).body(body).by_token();
            self.add(change.json(200, changed.clone()).refused(&[400, 409, 413, 503]));
        }
    }

    /// The schema of what is sent.
    fn sent<T: JsonSchema>() -> Value {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        });
        settings.into_generator().into_root_schema_for::<T>().to_value()
    }

    fn document(mut self, title: &str, about: &str, port: u16, routes: &[Route]) -> Value {
        let failure = self.shown::<Failure>();
        let mut paths = Map::new();
        for route in routes {
            let of_it = self.described.iter().filter(|operation| operation.path() == route.path);
            let item = of_it.flat_map(|operation| operation.items(&failure)).collect::<Map<String, Value>>();
            paths.insert(route.path.to_owned(), item.into());
        }
        let version =
            json!({ "description": "Of who answers", "required": true, "schema": { "type": "string" } });
        let token = json!({ "type": "http", "scheme": "bearer", "description": "What is in the file of --admin-token-file. Over the Unix socket of --admin-socket root and the router's own user need none." });
        json!({
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": { "title": title, "description": about, "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
            "servers": [{ "url": format!("http://127.0.0.1:{port}") }],
            "paths": paths,
            "components": {
                "schemas": self.schemas.take_definitions(true),
                "headers": { VERSION_HEADER: version },
                "securitySchemes": { "token": token },
            },
        })
    }
}
