//! Answers of the ports for people and for monitoring, given alike by routers and agents: each names the version of who
//! answers, is kept by nobody, and is taken for nothing but what it says it is.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::Full;
use serde::Serialize;

use super::{Failure, VERSION_HEADER, text};

/// An answer, whole.
pub type Answer = Response<Full<Bytes>>;

/// Plain text.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// A page of this module's.
pub const JSON: &str = "application/json";

/// Our crates have one version, and who answers has this one built in.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (HeaderName::from_static(VERSION_HEADER), HeaderValue::from_static(env!("CARGO_PKG_VERSION"))),
    (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// An answer of this kind.
pub fn page(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().extend(HEADERS);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// A page.
pub fn shown(what: &impl Serialize) -> Answer {
    page(StatusCode::OK, JSON, text(what))
}

/// Why there is none.
pub fn refused(status: StatusCode, why: &Failure) -> Answer {
    page(status, JSON, text(why))
}

/// Another method is wanted: one of these.
pub fn only(methods: &'static str) -> Answer {
    let why = Failure::new(format!("only {methods} is served here"), &[]);
    let mut answer = refused(StatusCode::METHOD_NOT_ALLOWED, &why);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_says_who_answers_and_is_not_guessed_at() {
        for answer in [
            page(StatusCode::OK, TEXT, "ok\n"),
            shown(&1),
            refused(StatusCode::NOT_FOUND, &Failure::new("no", &[])),
            only("POST"),
        ] {
            let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
            assert_eq!(header(VERSION_HEADER), Some(env!("CARGO_PKG_VERSION")));
            assert_eq!(header("x-content-type-options"), Some("nosniff"));
            assert_eq!(header("cache-control"), Some("no-store"));
            assert!(header("content-type").is_some_and(|kind| kind == TEXT || kind == JSON));
        }
        assert_eq!(only("POST").headers()[ALLOW], "POST");
    }
}
