//! How a question is put to the admin port: paths, queries, bodies.

use std::{
    collections::HashMap,
    io::{self, Read as _},
    path::Path,
};

use bytes::Bytes;
use hyper::{
    HeaderMap, Method,
    header::{HeaderName, HeaderValue},
};
use serde::de::IgnoredAny;
use warmlane_api::admin::path;

use crate::{
    args::{Filter, Recall, Why},
    client::Ask,
    error::CliError,
};

const CHAT: &str = "/v1/chat/completions";
/// By what only their bodies have. Embeddings have an input too, and are rarely what somebody asks about.
const APIS: [(&str, &str); 3] =
    [("messages", CHAT), ("prompt", "/v1/completions"), ("input", "/v1/responses")];

/// For decisions that fit, `more` of the query before.
pub(crate) fn decisions(filter: &Filter, more: &[(&str, String)]) -> Ask {
    let own = [("model", &filter.model), ("endpoint", &filter.endpoint), ("pool", &filter.pool)];
    let own = own.into_iter().filter_map(|(key, value)| Some((key, value.clone()?)));
    let parts: Vec<String> =
        more.iter().cloned().chain(own).map(|(key, value)| format!("{key}={}", escaped(&value))).collect();
    let query = if parts.is_empty() { String::new() } else { format!("?{}", parts.join("&")) };
    Ask::page(&(path::DECISIONS.to_owned() + &query))
}

/// For those that are to be shown or saved.
pub(crate) fn recall(recall: &Recall) -> Ask {
    let mut more: Vec<(&str, String)> =
        recall.limit.iter().map(|limit| ("limit", limit.to_string())).collect();
    if recall.save.is_some() {
        more.push(("format", "lines".to_owned()));
    }
    decisions(&recall.filter, &more)
}

/// For one that was made, or for one that would be.
pub(crate) fn why(why: &Why) -> Result<Ask, CliError> {
    if let Some(id) = &why.request_id {
        return Ok(Ask::page(&format!("{}/{}", path::DECISIONS, escaped(id))));
    }
    let file = why.body.as_deref().unwrap_or(Path::new("-"));
    let body =
        read(file).map_err(|error| CliError::File { path: file.to_owned(), why: error.to_string() })?;
    let sent_to = why.path.as_deref().unwrap_or_else(|| api(&body));
    Ok(Ask {
        method: Method::POST,
        path: format!("{}?path={}", path::EXPLAIN, escaped(sent_to)),
        name: None,
        headers: headers(&why.header)?,
        body: Bytes::from(body),
    })
}

/// Where a body like this is sent. What is none goes as a chat: the router says what is wrong with it.
fn api(body: &[u8]) -> &'static str {
    let parts: HashMap<String, IgnoredAny> = serde_json::from_slice(body).unwrap_or_default();
    let has = |(key, _): &(&str, &str)| parts.contains_key(*key);
    APIS.into_iter().find(has).map_or(CHAT, |(_, path)| path)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    if file != Path::new("-") {
        return std::fs::read(file);
    }
    let mut body = Vec::new();
    io::stdin().lock().read_to_end(&mut body)?;
    Ok(body)
}

fn headers(given: &[String]) -> Result<HeaderMap, CliError> {
    let one = |text: &String| {
        let (name, value) = text.split_once(':')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        Some((name, HeaderValue::try_from(value.trim_matches([' ', '\t'])).ok()?))
    };
    let read = |text: &String| {
        one(text).ok_or_else(|| CliError::Option(format!("--header {text:?} is no header; give NAME: VALUE")))
    };
    given.iter().map(read).collect()
}

/// All but what stands for itself in a path and a query.
pub(crate) fn escaped(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02x}"),
    };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stands_in_the_query() {
        let filter = Filter { model: Some("a b&c".to_owned()), ..Filter::default() };
        let ask = decisions(&filter, &[("since", "00ff".to_owned())]);
        assert_eq!(ask.path, "/debug/decisions?since=00ff&model=a%20b%26c");
        assert_eq!(decisions(&Filter::default(), &[]).path, "/debug/decisions");
    }

    #[test]
    fn an_id_may_be_anything() {
        let asked =
            Why { request_id: Some("a/..?#\u{e9}".to_owned()), body: None, path: None, header: vec![] };
        assert_eq!(why(&asked).expect("asked").path, "/debug/decisions/a/..%3f%23%c3%a9");
    }

    #[test]
    fn a_body_says_itself_where_it_would_be_sent() {
        for (body, path) in [
            (r#"{"model":"m","messages":[]}"#, CHAT),
            (r#"{"model":"m","prompt":"hello"}"#, "/v1/completions"),
            (r#"{"model":"m","input":"hello"}"#, "/v1/responses"),
            (r#"{"messages":[{"prompt":1}],"input":0}"#, CHAT),
            ("{}", CHAT),
            ("[\"prompt\"]", CHAT),
            ("\"prompt", CHAT),
        ] {
            assert_eq!(api(body.as_bytes()), path, "{body}");
        }
    }

    #[test]
    fn a_header_that_is_none_is_named() {
        let given = |text: &str| headers(&[text.to_owned()]);
        assert_eq!(given("X-Session-Id:  abc").expect("a header")["x-session-id"], "abc");
        for text in ["x-session-id", "a b: c", "a: \n"] {
            assert!(matches!(given(text), Err(CliError::Option(_))), "{text:?}");
        }
    }
}
