//! Pages that answer a question: which decisions, why this one, and what would be decided.

use std::{error::Error, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::{Request, StatusCode, body::Body};
use tokio::{sync::Semaphore, time::timeout};
use warmlane_api::admin::{
    Failure,
    answer::{Answer, page, refused, shown},
};

use super::super::{
    Sources, decisions,
    percent::{decoded, decoded_bytes},
};
use crate::{chooser::Chooser, world::World};

const LINES: &str = "application/jsonl";
/// Largest body that is explained.
const MOST_EXPLAINED: usize = 8 << 20;
/// It must come within this time.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Bodies that are read at once.
static EXPLAINING: Semaphore = Semaphore::const_new(4);

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
    let chooser = Chooser::of_pages(sources.world.clone(), sources.config.clone());
    match decisions::explain(&chooser, &decoded_bytes(request_id)) {
        Some(explanation) => shown(&explanation),
        None if sources.world.decisions.is_on() => {
            let why = format!(
                "no decision for {:?} is kept: the aware listener and ext_proc keep the last ones; the plain listener decides \
                 nothing, and neither is anything decided for a request that was refused before (a body that cannot be read, a \
                 pool that there is not); where there are several routers, another may have it; responses carry the id as \
                 x-request-id",
                decoded(request_id)
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
    let Ok(_turn) = EXPLAINING.try_acquire() else {
        return failure(StatusCode::SERVICE_UNAVAILABLE, "other bodies are being explained: try again");
    };
    let body = match timeout(BODY_TIMEOUT, Limited::new(body, MOST_EXPLAINED).collect()).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let why = format!("the body is larger than the {} MiB that are explained", MOST_EXPLAINED >> 20);
            return failure(StatusCode::PAYLOAD_TOO_LARGE, why);
        }
        Ok(Err(_)) => return failure(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => {
            return failure(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body did not come within {BODY_TIMEOUT:?}"),
            );
        }
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
