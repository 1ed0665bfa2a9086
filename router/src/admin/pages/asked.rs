//! Pages that answer a question: which decisions, why this one, and what would be decided.

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::{Request, StatusCode, body::Body};
use warmlane_api::admin::Failure;

use super::{
    super::{Sources, decisions, percent::decoded},
    Answer, page, refused, shown,
};
use crate::{chooser::Chooser, world::World};

const LINES: &str = "application/jsonl";
/// Largest body that is explained.
const MOST_EXPLAINED: usize = 8 << 20;

/// `/debug/decisions`
pub(super) fn decided(world: &World, query: Option<&str>) -> Answer {
    match decisions::Query::of(query) {
        Ok(query) if query.as_file => page(StatusCode::OK, LINES, decisions::export(world, &query)),
        Ok(query) => shown(&decisions::list(world, &query)),
        Err(message) => failure(StatusCode::BAD_REQUEST, message),
    }
}

/// `/debug/decisions/REQUEST-ID`
pub(super) fn explained(sources: &Sources, request_id: &str) -> Answer {
    let request_id = decoded(request_id);
    let chooser = Chooser::of_pages(sources.world.clone(), sources.config.clone());
    match decisions::explain(&chooser, &request_id) {
        Some(explanation) => shown(&explanation),
        None if sources.world.decisions.is_on() => {
            let why = format!(
                "no decision for {request_id:?} is kept: the aware listener and ext_proc keep the last ones, the plain \
                 listener decides nothing; responses carry the id as x-request-id"
            );
            failure(StatusCode::NOT_FOUND, why)
        }
        None => failure(StatusCode::NOT_FOUND, "no decisions are kept: log.decisions is 0"),
    }
}

/// `/debug/explain`
pub(super) async fn explain<B>(request: Request<B>, sources: &Sources) -> Answer
where
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>,
{
    let (head, body) = request.into_parts();
    let path = match head.uri.query().map(|query| query.strip_prefix("path=").ok_or(query)) {
        None => None,
        Some(Ok(path)) => Some(decoded(path)),
        Some(Err(other)) => {
            let why = format!("nothing by ?{other}: known is ?path=, where the body would be sent to");
            return failure(StatusCode::BAD_REQUEST, why);
        }
    };
    let Ok(body) = Limited::new(body, MOST_EXPLAINED).collect().await else {
        let most = MOST_EXPLAINED >> 20;
        let why = format!("the body is cut off, or larger than the {most} MiB that are explained");
        return failure(StatusCode::PAYLOAD_TOO_LARGE, why);
    };
    let chooser = Chooser::of_pages(sources.world.clone(), sources.config.clone());
    match decisions::dry_run(&chooser, path.as_deref(), &head.headers, &body.to_bytes()) {
        Ok(explanation) => shown(&explanation),
        Err(error) => failure(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn failure(status: StatusCode, why: impl Into<String>) -> Answer {
    refused(status, &Failure::new(why, &[]))
}
