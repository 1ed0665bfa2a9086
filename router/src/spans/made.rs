//! The spans of a request: the server's, the client's around what its endpoint did, and one for each stage that it has been in.
//!
//! ```text
//! POST /v1/chat/completions        server
//!   read, admit, pick              internal
//!   chat m                         client: not where Envoy connects
//!     connect, relay               internal
//!   done                           internal
//! ```
//!
//! Names of attributes are those of OpenTelemetry's conventions where there is one, else `warmlane.*`.

use std::time::{Duration, SystemTime};

use warmlane_engine::body::Api;

use super::{
    finished::Finished,
    otlp::{Any, Attribute, Kind, List, Span, Status, Value},
};
use crate::{
    metrics::{Label as _, Listener},
    stage::Stage,
};

/// The code of a span that failed.
const FAILED: i32 = 2;

/// Attributes, as they are gathered.
#[derive(Default)]
struct Attributes(Vec<Attribute>);

/// See the module's header.
pub(super) fn spans(request: &Finished) -> Vec<Span> {
    let begun = nanos(request.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
    let mut spans = Vec::with_capacity(Stage::ALL.len() + 2);
    let calls = request.listener != Listener::ExtProc && !request.spent[Stage::Connect as usize].is_zero();
    let (mut at, mut client) = (begun, None::<(u64, u64)>);
    for (stage, spent) in Stage::ALL.into_iter().zip(request.spent) {
        let (start, end) = (at, at + nanos(spent));
        at = end;
        if spent.is_zero() {
            continue;
        }
        let is_call = calls && matches!(stage, Stage::Connect | Stage::Relay);
        if is_call {
            client = Some((client.map_or(start, |(start, _)| start), end));
        }
        let parent = if is_call { request.place.client } else { request.place.server };
        let id = fastrand::u64(1..);
        spans.push(span(request, (id, Some(parent)), stage.name().to_owned(), Kind::Internal, (start, end)));
    }
    spans.extend(client.map(|times| called(request, times)));
    spans.push(served(request, (begun, at)));
    spans
}

fn served(request: &Finished, times: (u64, u64)) -> Span {
    // What stands in the name must have few values: paths of others may be anything.
    let name = match request.api {
        Some(_) => format!("{} {}", request.method, request.path),
        None => method(&request.method).to_owned(),
    };
    let ids = (request.place.server, request.place.parent);
    let mut span = span(request, ids, name, Kind::Server, times);
    span.trace_state.clone_from(&request.place.state);
    span.flags = request.place.flags();
    let mut all = Attributes::default();
    all.text("http.request.method", Some(&request.method).filter(|method| !method.is_empty()));
    all.text("http.route", request.api.map(|_| &request.path));
    all.text("url.path", Some(&request.path).filter(|path| !path.is_empty()));
    all.number("http.response.status_code", request.status);
    all.text("gen_ai.request.model", Some(&request.model).filter(|model| !model.is_empty()));
    all.of_answer(request);
    all.of_route(request);
    all.text("warmlane.request_id", Some(&request.request_id));
    all.text("warmlane.listener", Some(request.listener.name()));
    all.text("warmlane.session", request.session.as_ref());
    all.text("warmlane.end", Some(request.end));
    all.text("error.type", request.error());
    span.attributes = all.0;
    // A client's own mistakes are no failures of the server.
    span.status = request
        .error()
        .filter(|_| request.status.is_none_or(|status| !(400..500).contains(&status)))
        .map(failed);
    span
}

/// A method as spans are named by: anything may be a method.
fn method(method: &str) -> &str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    if known.contains(&method) { method } else { "HTTP" }
}

fn called(request: &Finished, times: (u64, u64)) -> Span {
    let sent =
        request.reasons.as_ref().and_then(|reasons| reasons.rewrite.as_ref()).unwrap_or(&request.model);
    let operation = request.api.and_then(operation);
    let name = match operation {
        Some(operation) => format!("{operation} {sent}"),
        None => method(&request.method).to_owned(),
    };
    let ids = (request.place.client, Some(request.place.server));
    let mut span = span(request, ids, name, Kind::Client, times);
    let mut all = Attributes::default();
    all.text("http.request.method", Some(&request.method));
    let (host, port) = request.endpoint.as_deref().and_then(|at| at.rsplit_once(':')).unzip();
    all.text("server.address", host.map(|host| host.trim_matches(['[', ']'])));
    all.number("server.port", port.and_then(|port| port.parse::<u16>().ok()));
    all.number("http.response.status_code", request.status.filter(|_| request.endpoint.is_some()));
    all.text("gen_ai.request.model", Some(sent).filter(|model| !model.is_empty()));
    all.of_answer(request);
    let is_refused = request.status.filter(|status| *status >= 400).map(|status| status.to_string());
    let error = request.error().map(str::to_owned).or(is_refused);
    all.text("error.type", error.as_ref());
    span.attributes = all.0;
    span.status = error.as_deref().map(failed);
    span
}

fn span(
    request: &Finished,
    (id, parent): (u64, Option<u64>),
    name: String,
    kind: Kind,
    (start, end): (u64, u64),
) -> Span {
    Span {
        trace_id: request.place.trace_id.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        parent: parent.map(|parent| parent.to_be_bytes().to_vec()).unwrap_or_default(),
        name,
        kind: kind.into(),
        start,
        end,
        // Sampled, and known not to be below a remote one.
        flags: 0x101,
        ..Span::default()
    }
}

fn failed(why: &str) -> Status {
    Status { message: why.to_owned(), code: FAILED }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The name of what an API does, where the conventions have one.
fn operation(api: Api) -> Option<&'static str> {
    match api {
        Api::ChatCompletions | Api::Responses | Api::Messages => Some("chat"),
        Api::Completions => Some("text_completion"),
        Api::Embeddings => Some("embeddings"),
        Api::Score | Api::Rerank => None,
    }
}

// === Attributes ===

impl Attributes {
    fn text(&mut self, key: &str, value: Option<impl AsRef<str>>) {
        self.0.extend(value.map(|text| attribute(key, Value::Text(text.as_ref().to_owned()))));
    }

    fn number(&mut self, key: &str, value: Option<impl TryInto<i64>>) {
        let number = value.and_then(|number| number.try_into().ok());
        self.0.extend(number.map(|number| attribute(key, Value::Number(number))));
    }

    /// What the answer says of itself.
    fn of_answer(&mut self, request: &Finished) {
        let usage = request.report.usage;
        self.text("gen_ai.operation.name", request.api.and_then(operation));
        self.number("gen_ai.usage.input_tokens", request.prompt_tokens);
        self.number("gen_ai.usage.output_tokens", usage.map(|usage| usage.completion_tokens));
        self.number("gen_ai.usage.cache_read.input_tokens", usage.and_then(|usage| usage.cached_tokens));
        if let Some(finish) = request.report.finish {
            let reason = Any { value: Some(Value::Text(finish.as_str().to_owned())) };
            let list = Value::List(List { values: vec![reason] });
            self.0.push(attribute("gen_ai.response.finish_reasons", list));
        }
    }

    /// Where it went, and why.
    fn of_route(&mut self, request: &Finished) {
        let reasons = request.reasons.as_ref();
        self.text("warmlane.endpoint", request.endpoint.as_ref());
        self.text("warmlane.picked", request.picked.as_ref());
        self.text("warmlane.strategy", reasons.map(|reasons| reasons.strategy.name()));
        self.text("warmlane.reasons", reasons.map(|reasons| &reasons.why));
        self.text(
            "warmlane.fallbacks",
            reasons.map(|reasons| &reasons.fallbacks).filter(|all| !all.is_empty()),
        );
        self.text("warmlane.decision", request.decision.as_ref());
        self.number("warmlane.matched_tokens", request.matched.map(|(tokens, _)| tokens));
        self.text("warmlane.matched_by", request.matched.map(|(_, source)| source));
        self.number("warmlane.tried", request.tried);
        self.text(
            "warmlane.lane",
            Some(if request.lane_bytes.is_some() { "kernel" } else { "copy" })
                .filter(|_| request.tried.is_some_and(|tried| tried > 0)),
        );
        self.number("warmlane.lane_bytes", request.lane_bytes);
        self.number(
            "warmlane.first_byte_us",
            request.first_byte.and_then(|took| u64::try_from(took.as_micros()).ok()),
        );
    }
}

fn attribute(key: &str, value: Value) -> Attribute {
    Attribute { key: key.to_owned(), value: Some(Any { value: Some(value) }) }
}
