//! What an engine says of itself, beside its answers: models, metrics, load, sleep.

use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderValue},
};
use serde_json::json;

use super::super::{refusal::json_response, replica::Replica, stream::Reply, trouble::Mode};
use crate::error::Error;

/// What a page that is none looks like.
const GARBAGE: &str = "\u{0}<html>502 Bad Gateway</html>\nvllm num_requests_running{ NaN\n";

/// The ORCA header, where the client asked for one.
pub(super) fn load_report(replica: &Replica, headers: &HeaderMap) -> Option<HeaderValue> {
    let format = headers.get("endpoint-load-metrics-format")?.to_str().ok()?;
    let (waiting, kv_use) = replica.load();
    let report = match format.to_ascii_lowercase().as_str() {
        "text" => format!(
            "TEXT named_metrics.num_requests_waiting={waiting}.0, named_metrics.kv_cache_usage_perc={kv_use:?}"
        ),
        "json" => format!(
            r#"JSON {{"named_metrics": {{"num_requests_waiting": {waiting}.0, "kv_cache_usage_perc": {kv_use:?}}}}}"#
        ),
        _ => return None,
    };
    HeaderValue::from_str(&report).ok()
}

/// The metrics page, or what its fault modes make of it.
pub(super) fn metrics(replica: &Replica) -> Response<Reply> {
    let page = match replica.stale_page() {
        _ if replica.has(Mode::GarbageMetrics) => GARBAGE.to_owned(),
        Some(stale) => stale,
        None => replica.metrics_page(),
    };
    let mut response = Response::new(Reply::whole(page));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Base model and adapters, as the real list has them; permissions are part of the shape.
pub(super) fn models(replica: &Replica) -> String {
    let options = replica.options();
    let created = replica.started() as u64;
    let model = |id: &str, parent: Option<&str>| {
        let (id, parent) = (json!(id), json!(parent));
        let limit = if parent.is_null() { json!(options.engine.max_model_len) } else { json!(null) };
        let permission = replica.fresh_id();
        format!(
            r#"{{"id":{id},"object":"model","created":{created},"owned_by":"vllm","root":{id},"parent":{parent},"max_model_len":{limit},"permission":[{{"id":"modelperm-{permission}","object":"model_permission","created":{created},"allow_create_engine":false,"allow_sampling":true,"allow_logprobs":true,"allow_search_indices":false,"allow_view":true,"allow_fine_tuning":false,"organization":"*","group":null,"is_blocking":false}}]}}"#
        )
    };
    let adapters = options.adapters.iter().map(|adapter| model(adapter, Some(&options.model)));
    let list: Vec<String> = [model(&options.model, None)].into_iter().chain(adapters).collect();
    format!(r#"{{"object":"list","data":[{}]}}"#, list.join(","))
}

/// Puts the engine to sleep.
pub(super) fn sleep(replica: &Replica, query: &str) -> Result<Response<Reply>, Error> {
    let value = |key| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(k, _)| *k == key);
    let level = value("level").map_or("1", |(_, level)| level);
    let mode = value("mode").map_or("abort", |(_, mode)| mode);
    let Some(number) = level.parse::<u8>().ok().filter(|level| *level <= 2) else {
        let what = "level must be 0, 1 or 2.".to_owned();
        return Err(Error::BadValue { field: "level", what, value: level.to_owned() });
    };
    if !matches!(mode, "abort" | "keep") {
        let what = "mode must be abort or keep: the simulated engine has no other.".to_owned();
        return Err(Error::BadValue { field: "mode", what, value: mode.to_owned() });
    }
    replica.sleep(number, mode == "keep");
    Ok(json_response(StatusCode::OK, format!(r#"{{"status":"sleeping","level":{number}}}"#)))
}
