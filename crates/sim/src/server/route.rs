//! From a request to its answer: which route, what it reads, how errors are told.

use std::rc::Rc;

use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
};
use serde_json::json;

use super::{
    ask::{Api, Ask, Fields},
    pooling,
    refusal::{self, json_response},
    replica::Replica,
    reply::{self, Names},
    spoil::{self, BEFORE_CUT},
    stream::Reply,
    text,
    trouble::{Cut, Line, Mode},
};
use crate::{
    error::Error,
    metrics::{Visit, unix_time},
    model::tokens,
};

mod pages;

use pages::{load_report, metrics, models, sleep};

/// Everything that is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    Work(Work),
    Models,
    Health,
    Ping,
    Version,
    Metrics,
    Sleep,
    WakeUp,
    IsSleeping,
    ResetPrefixCache,
    Fault,
}

/// Routes that read a JSON body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Text(Api),
    Embeddings,
    Score,
    Rerank,
    Tokenize,
    Detokenize,
}

const ROUTES: [(&str, Route); 22] = [
    ("/v1/completions", Route::Work(Work::Text(Api::Completions))),
    ("/v1/chat/completions", Route::Work(Work::Text(Api::Chat))),
    ("/v1/responses", Route::Work(Work::Text(Api::Responses))),
    ("/v1/messages", Route::Work(Work::Text(Api::Messages))),
    ("/v1/embeddings", Route::Work(Work::Embeddings)),
    ("/score", Route::Work(Work::Score)),
    ("/v1/score", Route::Work(Work::Score)),
    ("/rerank", Route::Work(Work::Rerank)),
    ("/v1/rerank", Route::Work(Work::Rerank)),
    ("/v2/rerank", Route::Work(Work::Rerank)),
    ("/tokenize", Route::Work(Work::Tokenize)),
    ("/detokenize", Route::Work(Work::Detokenize)),
    ("/v1/models", Route::Models),
    ("/health", Route::Health),
    ("/ping", Route::Ping),
    ("/version", Route::Version),
    ("/metrics", Route::Metrics),
    ("/sleep", Route::Sleep),
    ("/wake_up", Route::WakeUp),
    ("/is_sleeping", Route::IsSleeping),
    ("/reset_prefix_cache", Route::ResetPrefixCache),
    ("/sim/fault", Route::Fault),
];

/// Answers one request.
pub(super) async fn answer(
    replica: Rc<Replica>,
    request: Request<Incoming>,
    line: Rc<Line>,
) -> Result<Response<Reply>, Cut> {
    let route = ROUTES.into_iter().find(|(path, _)| *path == request.uri().path());
    let mut visit = visit(&replica, route, request.method());
    let received = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let mut response = match route {
        None => refusal::detail(StatusCode::NOT_FOUND, None),
        Some((_, route)) if !route.takes(request.method()) => {
            refusal::detail(StatusCode::METHOD_NOT_ALLOWED, Some(route.methods()))
        }
        Some((_, route)) => {
            let struck = if route.api().is_some() { replica.strike() } else { None };
            let answer = serve(&replica, route, request, struck).await;
            let mut answer = answer.unwrap_or_else(|error| refusal::response(route.api(), &error));
            if let Some(mode) = struck {
                spoil::spoil(&mut answer, mode, &line).await?;
            }
            answer
        }
    };
    let sent = hyper::body::Body::size_hint(response.body()).exact().unwrap_or(0);
    if let Some(visit) = &mut visit {
        visit.answered(response.status().as_u16(), received.unwrap_or(0), sent);
    }
    response.body_mut().visit = visit;
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("uvicorn"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Origin"));
    Ok(response)
}

/// The count of this request; probes and scrapes are not counted, as in the real engine.
fn visit(replica: &Replica, route: Option<(&'static str, Route)>, method: &Method) -> Option<Visit> {
    let handler = match route {
        Some((_, Route::Health | Route::Ping | Route::Version | Route::Metrics)) => return None,
        Some((path, _)) => path,
        None => "none",
    };
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        _ => "OTHER",
    };
    Some(Visit::new(replica.metrics(), handler, method))
}

// === Route ===

impl Route {
    fn methods(self) -> &'static str {
        match self {
            Self::Models | Self::Health | Self::Version | Self::Metrics | Self::IsSleeping => "GET",
            Self::Ping => "GET, POST",
            Self::Work(_) | Self::Sleep | Self::WakeUp | Self::ResetPrefixCache | Self::Fault => "POST",
        }
    }

    fn takes(self, method: &Method) -> bool {
        self.methods().split(", ").any(|name| name == method.as_str())
    }

    /// The API whose error objects the route tells.
    fn api(self) -> Option<Api> {
        match self {
            Self::Work(Work::Text(api)) => Some(api),
            _ => None,
        }
    }
}

async fn serve(
    replica: &Rc<Replica>,
    route: Route,
    request: Request<Incoming>,
    struck: Option<Mode>,
) -> Result<Response<Reply>, Error> {
    let ok = |body: String| Ok(json_response(StatusCode::OK, body));
    match route {
        Route::Work(work) => {
            let (headers, fields) = read(request).await?;
            match struck {
                Some(Mode::Shutdown) => Err(Error::Stopping),
                Some(Mode::Busy) => Err(Error::Busy),
                struck => perform(replica, work, &headers, &fields, struck).await,
            }
        }
        Route::Health | Route::Ping => Ok(Response::new(Reply::whole(""))),
        Route::Version => ok(r#"{"version":"0.32.0"}"#.to_owned()),
        Route::Models => ok(models(replica)),
        Route::Metrics if replica.has(Mode::NoMetrics) => std::future::pending().await,
        Route::Metrics => Ok(metrics(replica)),
        Route::Fault => {
            let (_, fields) = read(request).await?;
            replica.misbehave(spoil::troubles(&fields)?);
            ok(r#"{"status":"ok"}"#.to_owned())
        }
        Route::Sleep => sleep(replica, request.uri().query().unwrap_or_default()),
        Route::WakeUp => {
            replica.wake();
            ok(r#"{"status":"awake","tags":null}"#.to_owned())
        }
        Route::IsSleeping => ok(json!({ "is_sleeping": replica.is_asleep() }).to_string()),
        Route::ResetPrefixCache => {
            replica.reset_prefix_cache();
            Ok(Response::new(Reply::whole("")))
        }
    }
}

async fn perform(
    replica: &Rc<Replica>,
    work: Work,
    headers: &HeaderMap,
    fields: &Fields,
    struck: Option<Mode>,
) -> Result<Response<Reply>, Error> {
    match work {
        Work::Text(api) => generate(replica, api, headers, fields, struck).await,
        Work::Embeddings => pooling::embeddings(replica, fields, names(replica, "embd-", headers)).await,
        Work::Score => pooling::score(replica, fields, names(replica, "score-", headers)).await,
        Work::Rerank => pooling::rerank(replica, fields, names(replica, "rerank-", headers)).await,
        Work::Tokenize => text::tokenize(replica, fields),
        Work::Detokenize => text::detokenize(replica, fields),
    }
}

async fn read(request: Request<Incoming>) -> Result<(HeaderMap, Fields), Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Error::Body)?.to_bytes();
    Ok((head.headers, Fields::parse(&body)?))
}

async fn generate(
    replica: &Rc<Replica>,
    api: Api,
    headers: &HeaderMap,
    fields: &Fields,
    struck: Option<Mode>,
) -> Result<Response<Reply>, Error> {
    let ask = Ask::read(api, fields, replica)?;
    let names = match api {
        Api::Completions => names(replica, "cmpl-", headers),
        Api::Chat | Api::Messages => names(replica, "chatcmpl-", headers),
        // Made by the engine whatever the client's request id is.
        Api::Responses => names(replica, "resp_", &HeaderMap::new()),
    };
    if ask.stream {
        let (live, lease) = replica.live(ask.request.clone(), reply::streamed(api, &ask, names))?;
        match struck {
            Some(Mode::ErrorEvent) => live.borrow_mut().fail_at(0),
            Some(Mode::ErrorMidStream) => live.borrow_mut().fail_at(BEFORE_CUT),
            _ => {}
        }
        let mut response = Response::new(Reply::live(live, lease));
        let events = HeaderValue::from_static("text/event-stream; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, events);
        return Ok(response);
    }
    if matches!(struck, Some(Mode::ErrorEvent | Mode::ErrorMidStream)) {
        return Err(Error::Stopped);
    }
    let words = ask.request.prompt.output_stream();
    let outcome = replica.whole(ask.request.clone()).await?;
    let text: String = (0..outcome.output_tokens).map(|index| tokens::word(words, index)).collect();
    let mut response = json_response(StatusCode::OK, reply::whole(api, &ask, &names, &outcome, &text));
    if let Some(report) = load_report(replica, headers) {
        response.headers_mut().insert("endpoint-load-metrics", report);
    }
    Ok(response)
}

/// Ids: the client's `X-Request-Id` behind the API's prefix, or a fresh one.
fn names(replica: &Replica, prefix: &str, headers: &HeaderMap) -> Names {
    let given = headers.get("x-request-id").and_then(|value| value.to_str().ok());
    let id = given.map_or_else(|| replica.fresh_id(), str::to_owned);
    Names {
        id: format!("{prefix}{id}"),
        message_id: format!("msg_{}", replica.fresh_id()),
        created: unix_time() as u64,
    }
}
