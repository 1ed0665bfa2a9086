//! A request that is not routed, as its client gets it: an OpenAI-style error object.
//!
//! Its message begins with the words of the upstream picker, since scripts and dashboards look for them, and goes on with
//! what this router knows. What was dropped for want of room says so in a header, by upstream's name for it.

use bytes::Bytes;
use warmlane_engine::body::{Api, BodyError};

use super::{
    messages::ProcessingResponse,
    reply::{self, Headers},
};
use crate::{error::Fault, metrics::Label};

const DROPPED: &str = "x-llm-d-request-dropped-reason";

/// What the client gets.
pub(super) fn immediate(fault: &Fault, api: Option<Api>, id: &[u8]) -> ProcessingResponse {
    let body = fault.object(&message(fault, api.is_some()), api);
    let mut headers: Headers = vec![("content-type", Bytes::from_static(b"application/json"))];
    headers.push(("x-request-id", Bytes::copy_from_slice(id)));
    if let Some(seconds) = fault.retry_after() {
        headers.push(("retry-after", seconds.to_string().into()));
    }
    if let Some(reason) = dropped(fault) {
        headers.push((DROPPED, Bytes::from_static(reason.as_bytes())));
    }
    reply::immediate(fault.status(), headers, body, fault.reason().name())
}

/// Upstream's words, and ours.
fn message(fault: &Fault, is_inference: bool) -> String {
    let words = match fault {
        Fault::Body(BodyError::NoModel | BodyError::ModelNotString) => "model not found in request body",
        Fault::Body(
            BodyError::Truncated
            | BodyError::NotJson { .. }
            | BodyError::NotAnObject
            | BodyError::TooDeep
            | BodyError::ModelTooLong,
        ) => "error unmarshaling request bodyMap",
        Fault::NoEndpoint { .. } if is_inference => {
            "failed to find endpoint candidates for serving the request"
        }
        Fault::NoEndpoint { .. } => "no pods available in datastore",
        Fault::Shed { .. } => "system saturated, sheddable request dropped",
        Fault::Framing(_)
        | Fault::CutOff
        | Fault::TooLarge { .. }
        | Fault::OverBudget
        | Fault::Crowded { .. }
        | Fault::SlowClient(_)
        | Fault::UnknownModel { .. }
        | Fault::Upstream { .. }
        | Fault::Malformed { .. }
        | Fault::Timeout(_)
        | Fault::ClientGone => return fault.to_string(),
    };
    let code = match fault.status() {
        400 => "BadRequest",
        429 => "ResourceExhausted",
        _ => "ServiceUnavailable",
    };
    format!("inference error: {code} - {words}: {fault}")
}

fn dropped(fault: &Fault) -> Option<&'static str> {
    match fault {
        Fault::NoEndpoint { .. } => Some("rejected-no-endpoints"),
        Fault::Shed { .. } | Fault::OverBudget | Fault::Crowded { .. } => Some("rejected-saturated"),
        Fault::Framing(_)
        | Fault::Body(_)
        | Fault::CutOff
        | Fault::TooLarge { .. }
        | Fault::SlowClient(_)
        | Fault::UnknownModel { .. }
        | Fault::Upstream { .. }
        | Fault::Malformed { .. }
        | Fault::Timeout(_)
        | Fault::ClientGone => None,
    }
}
