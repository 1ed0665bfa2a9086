//! Errors as responses: status, and vLLM's error objects.

use hyper::{Response, StatusCode, header};
use serde_json::{Value, json};

use super::{ask::Api, stream::Reply};
use crate::error::Error;

/// How an error is told.
struct Told<'a> {
    status: StatusCode,
    kind: &'static str,
    param: Option<&'a str>,
}

/// The response to a failed request.
pub(super) fn response(api: Option<Api>, error: &Error) -> Response<Reply> {
    let told = told(error);
    let object = match api {
        Some(Api::Messages) => {
            json!({"type": "error", "error": {"type": told.kind, "message": error.to_string()}}).to_string()
        }
        Some(Api::Completions | Api::Chat | Api::Responses) | None => object(error),
    };
    json_response(told.status, object)
}

/// The error object of the OpenAI APIs, also sent inside streams.
pub(super) fn object(error: &Error) -> String {
    let told = told(error);
    let message = Value::from(error.to_string());
    let param = told.param.map_or(Value::Null, |param| {
        let field = matches!(error, Error::NotJson { .. } | Error::Missing { .. } | Error::WrongType { .. });
        Value::from(if field { format!("body.{param}") } else { param.to_owned() })
    });
    let param = match error {
        Error::NotJson { at, .. } => Value::from(format!("body.{at}")),
        _ => param,
    };
    let (kind, code) = (told.kind, told.status.as_u16());
    format!(r#"{{"error":{{"message":{message},"type":"{kind}","param":{param},"code":{code}}}}}"#)
}

/// FastAPI's answer where no route takes the path or the method.
pub(super) fn detail(status: StatusCode, allow: Option<&'static str>) -> Response<Reply> {
    let detail = status.canonical_reason().unwrap_or_default();
    let mut response = json_response(status, format!(r#"{{"detail":"{detail}"}}"#));
    if let Some(methods) = allow {
        response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static(methods));
    }
    response
}

/// A response with a JSON body.
pub(super) fn json_response(status: StatusCode, body: String) -> Response<Reply> {
    let mut response = Response::new(Reply::whole(body));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn told(error: &Error) -> Told<'_> {
    let client = |kind, param| Told { status: StatusCode::BAD_REQUEST, kind, param };
    match error {
        Error::NotJson { .. } => client("Bad Request", None),
        Error::Missing { field, .. } | Error::WrongType { field, .. } => client("Bad Request", Some(field)),
        Error::BadValue { field, .. } => client("BadRequestError", Some(field)),
        Error::NoPrompt => client("BadRequestError", Some("prompt")),
        Error::PromptTooLong { .. } => client("BadRequestError", Some("input_tokens")),
        Error::Body | Error::TooLarge { .. } | Error::TooLong { .. } | Error::EmptyPrompt { .. } => {
            client("BadRequestError", None)
        }
        Error::UnknownModel { .. } => {
            Told { status: StatusCode::NOT_FOUND, kind: "NotFoundError", param: Some("model") }
        }
        Error::Busy => {
            Told { status: StatusCode::SERVICE_UNAVAILABLE, kind: "ServiceUnavailableError", param: None }
        }
        Error::Stopped
        | Error::Stopping
        | Error::BlockSize { .. }
        | Error::Duplicate { .. }
        | Error::Setting { .. }
        | Error::Listen { .. }
        | Error::Start(_) => {
            Told { status: StatusCode::INTERNAL_SERVER_ERROR, kind: "InternalServerError", param: None }
        }
    }
}
